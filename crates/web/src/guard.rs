//! Who is let in to what, and the headers that keep a browser on our side.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::accounts::{Accounts, Role, Visitor};
use crate::answers::{self, refused, see_other};
use crate::context::Web;
use crate::settings::Settings;
use crate::view::View;

/// Where a request came from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) SocketAddr);

impl Peer {
    pub(crate) fn of(request: &Request) -> Self {
        let unknown = Self(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0));
        request.extensions().get::<Self>().copied().unwrap_or(unknown)
    }

    pub(crate) fn ip(self) -> IpAddr {
        self.0.ip().to_canonical()
    }
}

/// How somebody showed who they are.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Proof {
    /// The cookie of a session: its id.
    Session(String),
    /// A header that browsers do not send by themselves.
    Header,
    /// A name and password in a header, which a browser that was given them sends along with everything.
    Basic,
}

/// Nothing but our own scripts, styles and sounds; no frame, no other form target.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; media-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// Headers of every answer.
pub(crate) async fn headers(request: Request, next: Next) -> Response {
    let accepts = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let person = accepts.is_some_and(|kinds| kinds.contains("text/html"))
        && !request.uri().path().starts_with("/api/");
    let mut response = next.run(request).await;
    if person && (response.status().is_client_error() || response.status().is_server_error()) {
        response = answers::for_people(response).await;
    }
    let headers = response.headers_mut();
    let set = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in set {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert_with(|| HeaderValue::from_static("no-store"));
    response
}

/// How long an answer may take to begin: a body that trickles in holds no place for longer.
const ANSWER: Duration = Duration::from_secs(60);

/// What reads a whole mailbox, or makes thousands of them, may take longer; and what is cut off is asked for again.
const LONG: Duration = Duration::from_hours(1);

fn limit(path: &str) -> Duration {
    let is_long = path.starts_with("/api/v1/mailboxes/")
        && ["check", "purge", "import", "bulk", "export"]
            .iter()
            .any(|last| path.ends_with(&format!("/{last}")));
    if is_long
        || path == "/api/v1/mail/move"
        || path == "/api/v1/mail/stats"
        || path == "/mailboxes/act"
        || path == "/mailboxes/import"
    {
        LONG
    } else {
        ANSWER
    }
}

/// Ends a request that takes too long.
pub(crate) async fn in_time(request: Request, next: Next) -> Response {
    let late = || refused(StatusCode::REQUEST_TIMEOUT, "the request took too long");
    let limit = limit(request.uri().path());
    tokio::time::timeout(limit, next.run(request)).await.unwrap_or_else(|_| late())
}

/// Lets in whoever is known, and tells the handler who it is.
pub(crate) async fn known<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    mut request: Request,
    next: Next,
) -> Response {
    if from_elsewhere(request.headers()) {
        return refused(StatusCode::FORBIDDEN, "pages from elsewhere are not answered");
    }
    let (headers, peer) = (request.headers().clone(), Peer::of(&request));
    let active = !request.uri().path().starts_with("/live/");
    match who(&web, &headers, peer, active).await {
        Ok(Some((visitor, proof))) => {
            let safe = matches!(*request.method(), Method::GET | Method::HEAD);
            let headers = request.headers();
            let browser = headers.contains_key("sec-fetch-site") || headers.contains_key("origin");
            let must = match &proof {
                Proof::Session(_) => true,
                Proof::Basic => browser,
                Proof::Header => false,
            };
            if !safe && must && !is_same_origin(headers) {
                return refused(
                    StatusCode::FORBIDDEN,
                    "a change comes from a page of this server, or with an Authorization header",
                );
            }
            request.extensions_mut().insert(visitor);
            request.extensions_mut().insert(proof);
            next.run(request).await
        }
        Ok(None) => not_known(&web, &request),
        Err(refusal) => refusal,
    }
}

fn not_known<V: View + Settings>(web: &Web<V>, request: &Request) -> Response {
    let path = request.uri().path();
    // A page that keeps itself up is told that it may not any more, and loads itself anew.
    if path.starts_with("/live/") {
        return refused(StatusCode::UNAUTHORIZED, "log in again");
    }
    if path.starts_with("/api/") || path == "/metrics" {
        let why = "log in: a bearer token, or a user name and password";
        let mut response = refused(StatusCode::UNAUTHORIZED, why);
        let asks = HeaderValue::from_static("Bearer, Basic realm=\"Entracte\", charset=\"UTF-8\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, asks);
        return response;
    }
    if request.method() != Method::GET {
        return see_other("/login");
    }
    if web.view.accounts().users.is_empty() {
        return see_other("/setup");
    }
    let next = request.uri().path_and_query().map_or("/", |path| path.as_str());
    see_other(&format!("/login?next={}", encode(next)))
}

/// Percent-encodes what is put into a query.
pub(crate) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

async fn who<V: View + Settings>(
    web: &Web<V>,
    headers: &HeaderMap,
    peer: Peer,
    active: bool,
) -> Result<Option<(Visitor, Proof)>, Response> {
    let accounts = web.view.accounts();
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let value = value.to_str().unwrap_or_default();
        let visitor = by_header(web, &accounts, value, peer).await?;
        let basic = value.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("basic"));
        let proof = if basic { Proof::Basic } else { Proof::Header };
        return Ok(visitor.map(|visitor| (visitor, proof)));
    }
    let Some(id) = session_id(headers, web.options.secure) else { return Ok(None) };
    let visitor = web.sessions.visitor(&id, &accounts, web.view.idle_max(), (web.now(), active));
    Ok(visitor.map(|visitor| (visitor, Proof::Session(id))))
}

async fn by_header<V: View + Settings>(
    web: &Web<V>,
    accounts: &Accounts,
    value: &str,
    peer: Peer,
) -> Result<Option<Visitor>, Response> {
    let (scheme, rest) = value.split_once(' ').unwrap_or((value, ""));
    if scheme.eq_ignore_ascii_case("bearer") {
        return Ok(accounts.by_token(rest.trim()));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return Ok(None);
    }
    let Some((name, password)) = basic(rest.trim()) else { return Ok(None) };
    web.try_password(peer, &name, &password).await.map_err(too_often)
}

/// The answer to whoever guesses.
pub(crate) fn too_often(wait: Duration) -> Response {
    let seconds = wait.as_secs() + 1;
    let why = format!("too many failed log-ins; try again in {seconds} s");
    let mut response = refused(StatusCode::TOO_MANY_REQUESTS, &why);
    response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    response
}

/// User name and password of RFC 7617.
fn basic(text: &str) -> Option<(String, String)> {
    let bytes = base64(text)?;
    let text = String::from_utf8(bytes).ok()?;
    let (name, password) = text.split_once(':')?;
    Some((name.to_owned(), password.to_owned()))
}

/// RFC 4648 §4.
fn base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    let (mut bits, mut held) = (0_u32, 0);
    for letter in text.trim_end_matches('=').bytes() {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from((bits >> held) & 0xff).ok()?);
        }
    }
    Some(bytes)
}

/// The name of the cookie. With TLS the prefix keeps neighbours on other ports and plain HTTP from
/// setting it.
pub(crate) const fn cookie_name(secure: bool) -> &'static str {
    if secure { "__Host-entracte" } else { "entracte" }
}

pub(crate) fn session_id(headers: &HeaderMap, secure: bool) -> Option<String> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        (name == cookie_name(secure)).then_some(value)
    });
    pairs.next().map(str::to_owned)
}

/// Whether a page of somebody else has made the request, as browsers say.
pub(crate) fn from_elsewhere(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site").map(|value| value.to_str().unwrap_or("?"));
    let mode = headers.get("sec-fetch-mode").map(|value| value.to_str().unwrap_or("?"));
    // A link on another page may lead here; nothing else of it.
    site.is_some_and(|site| !matches!(site, "same-origin" | "none")) && mode != Some("navigate")
}

/// Whether a page of ours has made the request. Fetch metadata, or the Origin beside the Host.
pub(crate) fn is_same_origin(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text("sec-fetch-site") {
        return matches!(site, "same-origin");
    }
    let (Some(origin), Some(host)) = (text("origin"), text("host")) else { return false };
    origin.split_once("://").is_some_and(|(_, origin)| origin.eq_ignore_ascii_case(host))
}

/// Whether the value of a Host header names an address: `127.0.0.1:8190`, `[::1]`, `localhost`.
pub(crate) fn is_address(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        Some(_) | None => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

/// Lets through only who may do what this role may.
pub(crate) async fn at_least(role: Role, request: Request, next: Next) -> Response {
    let may = request.extensions().get::<Visitor>().is_some_and(|visitor| visitor.role >= role);
    if may {
        return next.run(request).await;
    }
    refused(StatusCode::FORBIDDEN, &format!("this takes the role {role}")).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn a_change_comes_from_a_page_of_ours() {
        for (pairs, ours) in [
            (&[("sec-fetch-site", "same-origin")][..], true),
            (&[("sec-fetch-site", "same-site")], false),
            (&[("sec-fetch-site", "cross-site")], false),
            (&[("sec-fetch-site", "none")], false),
            (&[("origin", "http://h:8190"), ("host", "h:8190")], true),
            (&[("origin", "http://h:8191"), ("host", "h:8190")], false),
            (&[("origin", "null"), ("host", "h:8190")], false),
            (&[("host", "h:8190")], false),
            (&[], false),
        ] {
            assert_eq!(is_same_origin(&headers(pairs)), ours, "{pairs:?}");
        }
    }

    #[test]
    fn basic_credentials_are_read_as_rfc_7617_writes_them() {
        let read = |text| basic(text);
        let pair = |name: &str, password: &str| Some((name.to_owned(), password.to_owned()));
        assert_eq!(read("QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), pair("Aladdin", "open sesame"));
        assert_eq!(read("dGVzdDoxMjPCow=="), pair("test", "123£"));
        assert_eq!(read("YTpiOmM="), pair("a", "b:c"));
        assert_eq!((read("####"), read(""), read("YQ==")), (None, None, None));
    }

    #[test]
    fn the_session_is_found_among_other_cookies() {
        let found = |value, secure| session_id(&headers(&[("cookie", value)]), secure);
        assert_eq!(found("a=b; entracte=c1; d=e", false), Some("c1".to_owned()));
        assert_eq!(found("entracte=c1; __Host-entracte=c2", true), Some("c2".to_owned()));
        assert_eq!(found("xentracte=c1", false), None);
    }
}

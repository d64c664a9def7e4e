//! HTTP with an address guard: what is checked is the address that is connected to.

use std::error::Error;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{HeaderMap, LOCATION};
use reqwest::{Client, Response, StatusCode, Url};

use crate::guard::{AddressGuard, Barred};

/// Redirects that are followed.
pub(crate) const REDIRECTS_MAX: usize = 5;
/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 16;

/// Gets things by HTTP, from nowhere its guard forbids.
#[derive(Clone, Debug)]
pub(crate) struct Fetcher {
    client: Client,
    guard: Arc<AddressGuard>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum FetchError {
    /// A redirect to something that is not HTTP, or one too many.
    Redirects,
    Barred(Barred),
    Unreachable(String),
    /// Somebody answered, but not as HTTP.
    NotHttp(String),
    Timeout,
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Redirects => f.write_str("the server redirects without end or to nowhere"),
            Self::Barred(barred) => barred.fmt(f),
            Self::Unreachable(why) | Self::NotHttp(why) => f.write_str(why),
            Self::Timeout => f.write_str("the server does not answer in time"),
        }
    }
}

impl Fetcher {
    pub(crate) fn new(
        guard: AddressGuard,
        user_agent: &str,
        connect: Duration,
    ) -> Result<Self, String> {
        let guard = Arc::new(guard);
        let client = Client::builder()
            .tls_backend_preconfigured(tls()?)
            .dns_resolver(Resolver(Arc::clone(&guard)))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .user_agent(user_agent)
            .connect_timeout(connect)
            .http1_only()
            // A server that closed an idle connection just then would fail a prompt.
            .pool_max_idle_per_host(0)
            .build()
            .map_err(|why| chain(&why))?;
        Ok(Self { client, guard })
    }

    /// The answer to a GET, after redirects; its status may be anything but a redirect.
    pub(crate) async fn get(&self, url: &Url, headers: &HeaderMap) -> Result<Response, FetchError> {
        let mut url = url.clone();
        for _ in 0..=REDIRECTS_MAX {
            self.check(&url)?;
            let sent = self.client.get(url.clone()).headers(headers.clone()).send().await;
            let response = sent.map_err(|why| classify(&why))?;
            if !is_redirect(response.status()) {
                return Ok(response);
            }
            url = target(&url, response.headers()).ok_or(FetchError::Redirects)?;
        }
        Err(FetchError::Redirects)
    }

    /// An address that is written out in a URL never reaches the resolver, so it is checked here.
    pub(crate) fn check(&self, url: &Url) -> Result<(), FetchError> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(FetchError::Redirects);
        }
        let host = url.host_str().unwrap_or_default();
        match host.trim_matches(['[', ']']).parse() {
            Ok(address) => self.guard.check(host, address).map_err(FetchError::Barred),
            Err(_) => Ok(()),
        }
    }

    /// Where a URL's host is, as far as the guard allows.
    pub(crate) async fn addresses(&self, url: &Url) -> Result<Vec<SocketAddr>, FetchError> {
        self.check(url)?;
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let port = url.port_or_known_default().unwrap_or(80);
        lookup(&self.guard, host, port).await.map_err(|why| match why.downcast::<Barred>() {
            Ok(barred) => FetchError::Barred(*barred),
            Err(why) => FetchError::Unreachable(why.to_string()),
        })
    }
}

/// A client for servers that the operator names, which may be anywhere: no address is forbidden, and no
/// redirect is followed.
///
/// # Errors
/// When TLS cannot be set up; why.
pub fn http_client(user_agent: &str, connect: Duration) -> Result<Client, String> {
    Client::builder()
        .tls_backend_preconfigured(tls()?)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .user_agent(user_agent)
        .connect_timeout(connect)
        .build()
        .map_err(|why| chain(&why))
}

/// A body, piece by piece, from either kind of server.
pub(crate) trait Body {
    /// The next bytes; `None` at the end, and an error when it broke.
    fn piece(&mut self) -> impl Future<Output = Result<Option<Bytes>, String>> + Send;
}

impl Body for Response {
    async fn piece(&mut self) -> Result<Option<Bytes>, String> {
        self.chunk().await.map_err(|why| chain(&why))
    }
}

#[derive(Debug)]
struct Resolver(Arc<AddressGuard>);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = Arc::clone(&self.0);
        Box::pin(async move {
            let passed = lookup(&guard, name.as_str(), 0).await?;
            Ok(Box::new(passed.into_iter()) as Addrs)
        })
    }
}

async fn lookup(
    guard: &AddressGuard,
    host: &str,
    port: u16,
) -> Result<Vec<SocketAddr>, Box<dyn Error + Send + Sync>> {
    let addresses = tokio::net::lookup_host((host, port)).await?;
    Ok(guard.filter(host, addresses.take(ADDRESSES_MAX))?)
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

fn target(from: &Url, headers: &HeaderMap) -> Option<Url> {
    let location = headers.get(LOCATION)?.to_str().ok()?;
    let url = from.join(location).ok()?;
    matches!(url.scheme(), "http" | "https").then_some(url)
}

fn classify(error: &reqwest::Error) -> FetchError {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(now) = cause {
        if let Some(barred) = now.downcast_ref::<Barred>() {
            return FetchError::Barred(barred.clone());
        }
        cause = now.source();
    }
    if error.is_timeout() {
        FetchError::Timeout
    } else if error.is_connect() {
        FetchError::Unreachable(chain(error))
    } else {
        FetchError::NotHttp(chain(error))
    }
}

/// The innermost cause: "connection refused" says more than "error sending request".
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}

/// TLS with the machine's own certificate authorities. A machine without any can still use `http:`.
fn tls() -> Result<rustls::ClientConfig, String> {
    let mut roots = rustls::RootCertStore::empty();
    let (_, unfit) =
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if unfit > 0 {
        tracing::debug!(unfit, "certificate authorities of this machine were passed over");
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|why| why.to_string())?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fetcher(guard: AddressGuard) -> Fetcher {
        Fetcher::new(guard, "test", Duration::from_secs(1)).unwrap()
    }

    #[tokio::test]
    async fn an_inside_address_is_barred_whether_written_out_or_resolved() {
        let fetcher = fetcher(AddressGuard::default());
        for (url, expected) in [
            ("http://127.0.0.1:1/x", "127.0.0.1 is a loopback address"),
            ("http://2130706433:1/x", "127.0.0.1 is a loopback address"),
            ("http://0x7f.1:1/x", "127.0.0.1 is a loopback address"),
            ("http://[::1]:1/x", "[::1] is at the loopback address ::1"),
            ("http://localhost:1/x", "localhost is at the loopback address"),
        ] {
            let url = url.parse().unwrap();
            let why = fetcher.get(&url, &HeaderMap::new()).await.unwrap_err();
            assert!(matches!(why, FetchError::Barred(_)), "{url}: {why:?}");
            assert!(why.to_string().starts_with(expected), "{url}: {why}");
            assert!(matches!(fetcher.addresses(&url).await, Err(FetchError::Barred(_))), "{url}");
        }
    }

    #[tokio::test]
    async fn a_closed_port_says_so() {
        let url = "http://127.0.0.1:1/x".parse().unwrap();
        let why = fetcher(AddressGuard::open()).get(&url, &HeaderMap::new()).await.unwrap_err();
        assert!(why.to_string().contains("refused"), "{why:?}");
    }

    #[test]
    fn a_redirect_leads_to_http_only() {
        let from = "http://a/b/c".parse().unwrap();
        for (location, expected) in [
            ("/d", Some("http://a/d")),
            ("d", Some("http://a/b/d")),
            ("https://e/f", Some("https://e/f")),
            ("file:///etc/passwd", None),
            ("ftp://a/", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(LOCATION, location.parse().unwrap());
            let target = target(&from, &headers);
            assert_eq!(target.as_ref().map(Url::as_str), expected, "{location}");
        }
        assert_eq!(target(&from, &HeaderMap::new()), None);
    }
}

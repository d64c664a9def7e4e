//! Whether a message is let in, and what is answered where it is not.
//!
//! Everything that RFC 3261 §8.2 and §16.3 want checked before a request reaches a transaction user is
//! checked here, so those behind may rely on it: an admitted request has exactly one well-formed From,
//! To, Call-ID and CSeq, a CSeq method that agrees, well-formed Via, Contact, Route and Record-Route, an
//! allowed method, a known scheme, no unknown `Require`, and a body within the limits.

use crate::headers::Headers;
use crate::message::{Request, Response};
use crate::method::Method;
use crate::name;
use crate::parse::{self, Fault, Head, StartLine};
use crate::status::StatusCode;
use crate::values::{CSeq, MediaType, NameAddr, Via};

/// A Request-URI longer than this gets 414.
pub const URI_BYTES_MAX: usize = 8 * 1024;

/// How the bytes came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Framed {
    /// One datagram: without Content-Length the body goes to its end, and what follows it is ignored.
    Datagram,
    /// One message cut from a stream by [`crate::framing::Framer`].
    Stream,
}

/// What a request with `Max-Forwards: 0` meets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ZeroHops {
    /// It has arrived: we are where it goes (RFC 4475 §3.3.12).
    Serve,
    /// We would have to pass it on: 483.
    Refuse,
}

/// What the element behind accepts. OPTIONS answers and refusals are both made from this value.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Methods that are served; others get 405, or 501 where the method is not even known.
    pub allowed_methods: Vec<Method>,
    /// Option tags that `Require` may name; others get 420.
    pub supported_extensions: Vec<String>,
    /// Schemes a Request-URI may have; others get 416.
    pub schemes: Vec<String>,
    /// Body types that INVITE and UPDATE may carry; others get 415.
    pub body_types: Vec<String>,
    /// More bytes than this in a message get 513.
    pub message_bytes_max: usize,
    /// More bytes than this in a body get 413.
    pub body_bytes_max: usize,
    /// Whether `Max-Forwards: 0` is refused.
    pub zero_hops: ZeroHops,
}

impl Default for Rules {
    /// An endpoint that answers calls with SDP.
    fn default() -> Self {
        use Method::{Ack, Bye, Cancel, Info, Invite, Options, Update};
        Self {
            allowed_methods: vec![Invite, Ack, Cancel, Bye, Options, Info, Update],
            supported_extensions: Vec::new(),
            schemes: vec!["sip".into(), "sips".into()],
            body_types: vec!["application/sdp".into()],
            message_bytes_max: 65_535,
            body_bytes_max: 65_535,
            zero_hops: ZeroHops::Serve,
        }
    }
}

impl Rules {
    /// The value of an Allow header.
    pub fn allow(&self) -> String {
        let methods: Vec<_> = self.allowed_methods.iter().map(Method::as_str).collect();
        methods.join(", ")
    }

    /// The value of an Accept header.
    pub fn accept(&self) -> String {
        self.body_types.join(", ")
    }
}

/// What becomes of the bytes.
#[derive(Clone, Debug, PartialEq)]
pub enum Admitted {
    /// A request to act on.
    Request(Request),
    /// A response to match.
    Response(Response),
    /// A request that is refused.
    Refuse(Refusal),
    /// Nothing to act on and nothing to answer.
    Drop(&'static str),
    /// Only line ends: a keep-alive (RFC 5626 §3.5.1, RFC 3261 §7.5).
    KeepAlive,
}

/// A request that is answered at once and without a transaction, the same bytes always alike
/// (RFC 3261 §8.2.7). The top Via is as the peer wrote it: stamp it before sending.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// The answer.
    pub response: Response,
    /// The method, where it could be read.
    pub method: Option<Method>,
    /// What was wrong, for the log and the counter.
    pub why: &'static str,
}

/// Judges one datagram or one framed message.
pub fn admit(bytes: &[u8], framed: Framed, rules: &Rules) -> Admitted {
    if bytes.iter().all(|b| matches!(b, b'\r' | b'\n' | 0)) {
        return Admitted::KeepAlive;
    }
    let Ok(head) = parse::head(bytes) else { return Admitted::KeepAlive };
    if head.is_response {
        return response(head, bytes, rules);
    }
    match request(&head, bytes, framed, rules) {
        Ok(body) => {
            let body = body.to_vec();
            match head.start {
                Ok(StartLine::Request(method, uri)) => {
                    Admitted::Request(Request { method, uri, headers: head.headers, body })
                }
                Ok(StartLine::Status(..)) | Err(_) => Admitted::Drop("no start line"),
            }
        }
        Err(no) => refuse_head(head, no),
    }
}

/// The answer to a request of which perhaps only the head is there: for overload, and for frames that
/// could not be taken whole. `None` where nothing may be answered.
pub fn refuse(bytes: &[u8], status: StatusCode, why: &'static str) -> Option<Refusal> {
    let head = parse::head(bytes).ok().filter(|head| !head.is_response)?;
    match refuse_head(head, No::new(status, why)) {
        Admitted::Refuse(refusal) => Some(refusal),
        Admitted::Request(_) | Admitted::Response(_) | Admitted::Drop(_) | Admitted::KeepAlive => {
            None
        }
    }
}

/// Why not, and the headers that say more.
struct No {
    status: StatusCode,
    why: &'static str,
    headers: Vec<(&'static str, String)>,
}

impl No {
    const fn new(status: StatusCode, why: &'static str) -> Self {
        Self { status, why, headers: Vec::new() }
    }

    const fn bad(why: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, why)
    }

    fn with(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }
}

impl From<Fault> for No {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Version => Self::new(StatusCode::VERSION_NOT_SUPPORTED, "version not supported"),
            Fault::TooLarge => {
                Self::new(StatusCode::MESSAGE_TOO_LARGE, "too many or too long header lines")
            }
            Fault::StartLine(why) | Fault::ContentLength(why) => Self::bad(why),
            Fault::Short => Self::bad("body shorter than Content-Length"),
            Fault::HeaderLine => Self::bad("header line without name or colon"),
            Fault::Empty => Self::bad("empty message"),
            Fault::Status => Self::bad("status code out of range"),
        }
    }
}

fn refuse_head(head: Head, no: No) -> Admitted {
    // An ACK is never answered (RFC 3261 §17.1.1.3); without a Via nobody could take the answer.
    if head.method == Some(Method::Ack) || !head.headers.has(name::VIA) {
        return Admitted::Drop(no.why);
    }
    let tag = stateless_tag(&head.headers);
    let mut response = Response::from_headers(&head.headers, no.status, Some(&tag));
    if no.status == StatusCode::BAD_REQUEST {
        response.reason = format!("{}: {}", no.status.reason(), no.why);
    }
    for (name, value) in no.headers {
        response.headers.push(name, value);
    }
    Admitted::Refuse(Refusal { response, method: head.method, why: no.why })
}

/// A To tag that the same request always gets (RFC 3261 §8.2.7): FNV-1a over what identifies it.
fn stateless_tag(headers: &Headers) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for name in [name::VIA, name::CALL_ID, name::FROM, name::CSEQ] {
        for byte in headers.lines(name).flat_map(|line| line.bytes()) {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    format!("{hash:016x}")
}

fn response(head: Head, bytes: &[u8], rules: &Rules) -> Admitted {
    let Ok(StartLine::Status(status, reason)) = head.start.clone() else {
        return Admitted::Drop("malformed status line");
    };
    // A response that still has another element's Via is not for us (RFC 3261 §8.1.3.3).
    match head.headers.vias().as_deref() {
        None => return Admitted::Drop("malformed Via in response"),
        Some([_]) => {}
        Some([]) => return Admitted::Drop("response without Via"),
        Some(_) => return Admitted::Drop("response with several Via"),
    }
    if let Err(no) = identity(&head.headers) {
        return Admitted::Drop(no.why);
    }
    if head.fault == Some(Fault::TooLarge) || bytes.len() > rules.message_bytes_max {
        return Admitted::Drop("response too large");
    }
    match parse::body(&head, bytes) {
        Ok(body) if body.len() > rules.body_bytes_max => Admitted::Drop("response too large"),
        Ok(body) => {
            let body = body.to_vec();
            Admitted::Response(Response { status, reason, headers: head.headers, body })
        }
        Err(_) => Admitted::Drop("response with wrong Content-Length"),
    }
}

/// Runs every check of a request, in the order of RFC 3261 §8.2, and finds its body.
fn request<'a>(
    head: &Head,
    bytes: &'a [u8],
    framed: Framed,
    rules: &Rules,
) -> Result<&'a [u8], No> {
    if bytes.len() > rules.message_bytes_max {
        return Err(No::new(StatusCode::MESSAGE_TOO_LARGE, "message too large"));
    }
    let (method, uri) = match &head.start {
        Ok(StartLine::Request(method, uri)) => (method, uri),
        Ok(StartLine::Status(..)) => return Err(No::bad("no start line")),
        Err(fault) => return Err((*fault).into()),
    };
    if let Some(fault) = head.fault {
        return Err(fault.into());
    }
    let headers = &head.headers;
    vias(headers)?;
    let cseq = identity(headers)?;
    let body = parse::body(head, bytes)?;
    if framed == Framed::Stream && !headers.has(name::CONTENT_LENGTH) && !body.is_empty() {
        return Err(No::bad("Content-Length missing on a stream"));
    }
    hops(headers, method, rules)?;
    allowed(method, rules)?;
    if cseq.method != *method {
        return Err(No::bad("CSeq method differs from the request's"));
    }
    if uri.as_str().len() > URI_BYTES_MAX {
        return Err(No::new(StatusCode::REQUEST_URI_TOO_LONG, "Request-URI too long"));
    }
    if !rules.schemes.iter().any(|scheme| scheme.eq_ignore_ascii_case(uri.scheme())) {
        return Err(No::new(StatusCode::UNSUPPORTED_URI_SCHEME, "scheme of Request-URI"));
    }
    addresses(headers, method)?;
    required(headers, method, rules)?;
    content(headers, method, body, rules)?;
    Ok(body)
}

fn vias(headers: &Headers) -> Result<(), No> {
    let mut any = false;
    for via in headers.all(name::VIA) {
        any = true;
        if Via::parse(via).is_none() {
            return Err(No::bad("malformed Via"));
        }
    }
    if any { Ok(()) } else { Err(No::bad("Via missing")) }
}

/// From, To, Call-ID and CSeq: once each, and readable.
fn identity(headers: &Headers) -> Result<CSeq, No> {
    let one = |name, missing, several| {
        let mut lines = headers.lines(name);
        let first = lines.next().ok_or_else(|| No::bad(missing))?;
        if lines.next().is_some() { Err(No::bad(several)) } else { Ok(first.value()) }
    };
    let from = one(name::FROM, "From missing", "several From")?;
    NameAddr::parse(from).ok_or(No::bad("malformed From"))?;
    let to = one(name::TO, "To missing", "several To")?;
    NameAddr::parse(to).ok_or(No::bad("malformed To"))?;
    let call_id = one(name::CALL_ID, "Call-ID missing", "several Call-ID")?;
    if call_id.is_empty() || call_id.contains([' ', '\t']) {
        return Err(No::bad("malformed Call-ID"));
    }
    let cseq = one(name::CSEQ, "CSeq missing", "several CSeq")?;
    CSeq::parse(cseq).ok_or(No::bad("malformed CSeq"))
}

fn hops(headers: &Headers, method: &Method, rules: &Rules) -> Result<(), No> {
    match headers.lines(name::MAX_FORWARDS).count() {
        // RFC 2543 had no Max-Forwards.
        0 => return Ok(()),
        1 => {}
        _ => return Err(No::bad("several Max-Forwards")),
    }
    let hops = headers.max_forwards().ok_or(No::bad("malformed Max-Forwards"))?;
    if hops == 0 && rules.zero_hops == ZeroHops::Refuse && *method != Method::Ack {
        return Err(No::new(StatusCode::TOO_MANY_HOPS, "Max-Forwards is 0"));
    }
    Ok(())
}

fn allowed(method: &Method, rules: &Rules) -> Result<(), No> {
    if rules.allowed_methods.contains(method) {
        return Ok(());
    }
    let (status, why) = match method {
        Method::Other(_) => (StatusCode::NOT_IMPLEMENTED, "method unknown"),
        Method::Invite
        | Method::Ack
        | Method::Bye
        | Method::Cancel
        | Method::Options
        | Method::Info
        | Method::Update
        | Method::Prack
        | Method::Register
        | Method::Subscribe
        | Method::Notify
        | Method::Refer
        | Method::Message
        | Method::Publish => (StatusCode::METHOD_NOT_ALLOWED, "method not allowed"),
    };
    Err(No::new(status, why).with(name::ALLOW, rules.allow()))
}

fn addresses(headers: &Headers, method: &Method) -> Result<(), No> {
    for contact in headers.all(name::CONTACT) {
        let star = contact == "*" && *method == Method::Register;
        if !star && NameAddr::parse(contact).is_none() {
            return Err(No::bad("malformed Contact"));
        }
    }
    if headers.routes().is_none() {
        return Err(No::bad("malformed Route"));
    }
    if headers.record_routes().is_none() {
        return Err(No::bad("malformed Record-Route"));
    }
    Ok(())
}

fn required(headers: &Headers, method: &Method, rules: &Rules) -> Result<(), No> {
    // RFC 3261 §8.2.2.3: Require in ACK and CANCEL is ignored.
    if matches!(method, Method::Ack | Method::Cancel) {
        return Ok(());
    }
    let known = |tag: &str| rules.supported_extensions.iter().any(|k| k.eq_ignore_ascii_case(tag));
    let unknown: Vec<_> = headers.require().filter(|tag| !known(tag)).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let no = No::new(StatusCode::BAD_EXTENSION, "unknown option tag in Require");
    Err(no.with(name::UNSUPPORTED, unknown.join(", ")))
}

fn content(headers: &Headers, method: &Method, body: &[u8], rules: &Rules) -> Result<(), No> {
    if body.len() > rules.body_bytes_max {
        return Err(No::new(StatusCode::REQUEST_ENTITY_TOO_LARGE, "body too large"));
    }
    if *method == Method::Invite && refuses_sdp(headers) {
        return Err(No::new(StatusCode::NOT_ACCEPTABLE, "Accept without application/sdp"));
    }
    let negotiates = matches!(method, Method::Invite | Method::Update);
    if body.is_empty() || !negotiates || is_optional(headers) {
        return Ok(());
    }
    if headers.all(name::CONTENT_ENCODING).any(|coding| !coding.eq_ignore_ascii_case("identity")) {
        let no = No::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Content-Encoding");
        return Err(no.with(name::ACCEPT_ENCODING, "identity".into()));
    }
    let Some(text) = headers.get(name::CONTENT_TYPE) else { return Ok(()) };
    let media_type = MediaType::parse(text).ok_or(No::bad("malformed Content-Type"))?;
    if rules.body_types.iter().any(|accepted| media_type.is(accepted)) {
        return Ok(());
    }
    let no = No::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "body type");
    Err(no.with(name::ACCEPT, rules.accept()))
}

/// Whether the peer's Accept leaves no place for our answer (RFC 4475 §3.3.15).
fn refuses_sdp(headers: &Headers) -> bool {
    let mut any = false;
    for element in headers.all(name::ACCEPT) {
        any = true;
        if MediaType::parse(element).is_none_or(|t| t.accepts("application/sdp")) {
            return false;
        }
    }
    any
}

/// Whether the sender lets us ignore a body we do not understand (RFC 3261 §20.11).
fn is_optional(headers: &Headers) -> bool {
    headers.get(name::CONTENT_DISPOSITION).is_some_and(|value| {
        value.split(';').skip(1).any(|param| {
            param.split_once('=').is_some_and(|(name, value)| {
                name.trim().eq_ignore_ascii_case("handling")
                    && value.trim().eq_ignore_ascii_case("optional")
            })
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADERS: &str = "Via: SIP/2.0/UDP a;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\n\
        To: <sip:b@h>\r\nCall-ID: x\r\nMax-Forwards: 70\r\n";

    /// Sends `method` with `more` header lines and tells what becomes of it.
    fn check(method: &str, more: &str, body: &str, expected: &str) {
        let head = format!("{method} sip:b@h SIP/2.0\r\n{HEADERS}CSeq: 1 {method}\r\n{more}");
        let bytes = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
        let rules = Rules {
            supported_extensions: vec!["timer".into()],
            message_bytes_max: 2_000,
            body_bytes_max: 1_000,
            zero_hops: ZeroHops::Refuse,
            ..Rules::default()
        };
        let told = match admit(bytes.as_bytes(), Framed::Datagram, &rules) {
            Admitted::Request(_) => "admitted".to_owned(),
            Admitted::Refuse(refusal) => format!("{} {}", refusal.response.status, refusal.why),
            Admitted::Drop(why) => format!("dropped: {why}"),
            other @ (Admitted::Response(_) | Admitted::KeepAlive) => format!("{other:?}"),
        };
        assert_eq!(told, expected, "{bytes}");
    }

    #[test]
    fn section_8_2_each_reason_has_its_status() {
        check("INVITE", "", "", "admitted");
        check("REGISTER", "", "", "405 method not allowed");
        check("FOO", "", "", "501 method unknown");
        check("INVITE", "Max-Forwards: 0\r\n", "", "400 several Max-Forwards");
        check("INVITE", "Require: timer\r\n", "", "admitted");
        check("INVITE", "Require: timer, gruu\r\n", "", "420 unknown option tag in Require");
        check("INVITE", "Contact: *\r\n", "", "400 malformed Contact");
        check("INVITE", "Route: <sip:p\r\n", "", "400 malformed Route");
        check("INVITE", "Record-Route: nothing\r\n", "", "400 malformed Record-Route");
        check("INVITE", "CSeq: 2 INVITE\r\n", "", "400 several CSeq");
        check("INVITE", "no colon\r\n", "", "400 header line without name or colon");
        check("INVITE", "Accept: text/plain, application/*\r\n", "", "admitted");
        check("INVITE", "Accept: text/plain\r\n", "", "406 Accept without application/sdp");
        check("INVITE", "", &"x".repeat(1_001), "413 body too large");
        check("INVITE", "", &"x".repeat(2_001), "513 message too large");
    }

    #[test]
    fn section_8_2_3_a_body_may_be_declared_optional() {
        let sdp = "v=0\r\n";
        check("INVITE", "Content-Type: application/sdp\r\n", sdp, "admitted");
        check("INVITE", "Content-Type: text/plain\r\n", sdp, "415 body type");
        check("INFO", "Content-Type: text/plain\r\n", sdp, "admitted");
        check("INVITE", "Content-Encoding: gzip\r\n", sdp, "415 Content-Encoding");
        let optional = "Content-Type: a/b\r\nContent-Disposition: session;handling=optional\r\n";
        check("INVITE", optional, sdp, "admitted");
    }

    #[test]
    fn section_17_1_1_3_an_ack_is_never_answered() {
        check("ACK", "no colon\r\n", "", "dropped: header line without name or colon");
        check("ACK", "Require: gruu\r\n", "", "admitted");
        check("CANCEL", "Require: gruu\r\n", "", "admitted");
    }

    #[test]
    fn hops_run_out_only_where_we_would_pass_it_on() {
        let bytes = format!("OPTIONS sip:h SIP/2.0\r\n{HEADERS}CSeq: 1 OPTIONS\r\n\r\n")
            .replace("Max-Forwards: 70", "Max-Forwards: 0");
        for (zero_hops, status) in [(ZeroHops::Serve, None), (ZeroHops::Refuse, Some(483))] {
            let rules = Rules { zero_hops, ..Rules::default() };
            let refused = match admit(bytes.as_bytes(), Framed::Datagram, &rules) {
                Admitted::Refuse(refusal) => Some(refusal.response.status.number()),
                Admitted::Request(_)
                | Admitted::Response(_)
                | Admitted::Drop(_)
                | Admitted::KeepAlive => None,
            };
            assert_eq!(refused, status);
        }
    }

    #[test]
    fn what_nobody_could_take_an_answer_to_is_dropped() {
        let admit = |bytes: &[u8]| admit(bytes, Framed::Datagram, &Rules::default());
        assert_eq!(admit(b"\r\n\r\n"), Admitted::KeepAlive);
        assert_eq!(admit(b"\0\0\0\0"), Admitted::KeepAlive);
        assert_eq!(admit(b""), Admitted::KeepAlive);
        assert!(matches!(admit(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"), Admitted::Drop(_)));
        assert!(matches!(admit(b"\xff\xfe\x00garbage"), Admitted::Drop(_)));
    }

    #[test]
    fn a_head_alone_is_enough_to_refuse() {
        let head = format!("INVITE sip:b@h SIP/2.0\r\n{HEADERS}CSeq: 1 INVITE\r\n\r\n");
        let refusal = refuse(head.as_bytes(), StatusCode::SERVICE_UNAVAILABLE, "overload").unwrap();
        assert_eq!(refusal.response.reason, "Service Unavailable");
        assert_eq!(refusal.response.headers.cseq().unwrap().number, 1);
        assert!(refuse(b"SIP/2.0 200 OK\r\n\r\n", StatusCode::OK, "").is_none());
    }
}

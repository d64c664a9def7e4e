//! Header values with a form of their own: Via, name-addr, CSeq, RAck, media types.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use crate::method::Method;
use crate::params::Params;
use crate::scan::{self, Scan, is_token_byte};
use crate::uri::{self, AnyUri, Host, Uri};

/// What every branch of RFC 3261 begins with (§8.1.1.7).
pub const BRANCH_COOKIE: &str = "z9hG4bK";

/// One Via element (RFC 3261 §20.42).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Via {
    /// `UDP`, `TCP`, …, as written.
    pub transport: String,
    /// Who sent it.
    pub host: Host,
    /// The port it wants answers at.
    pub port: Option<u16>,
    /// `branch`, `received`, `rport`, …
    pub params: Params,
}

impl Via {
    /// Reads one element.
    pub fn parse(text: &str) -> Option<Self> {
        let mut scan = Scan::new(text);
        scan.skip_space();
        let protocol = scan.take(is_token_byte);
        if !protocol.eq_ignore_ascii_case("SIP") || !scan.eat_spaced('/') {
            return None;
        }
        if scan.take(is_token_byte) != "2.0" || !scan.eat_spaced('/') {
            return None;
        }
        let transport = scan.take(is_token_byte).to_owned();
        let spaced = scan.rest();
        scan.skip_space();
        if transport.is_empty() || spaced == scan.rest() {
            return None;
        }
        let (host, port) = uri::host_port(scan.take(|b| b != b';').trim())?;
        let params = Params::scan_header(&mut scan)?;
        Some(Self { transport, host, port, params })
    }

    /// The branch as it stands.
    pub fn branch(&self) -> Option<&str> {
        self.params.value("branch")
    }

    /// The branch where it identifies a transaction by itself: the cookie with something behind it.
    /// Otherwise the transaction is matched as RFC 3261 §17.2.3 says for RFC 2543.
    pub fn unique_branch(&self) -> Option<&str> {
        let branch = self.branch()?;
        let (cookie, rest) = branch.split_at_checked(BRANCH_COOKIE.len())?;
        (cookie.eq_ignore_ascii_case(BRANCH_COOKIE) && !rest.is_empty()).then_some(branch)
    }

    /// Notes where the request really came from: `received` where it differs from sent-by, and
    /// `rport` where it was asked for (RFC 3261 §18.2.1, RFC 3581 §4).
    pub fn stamp(&mut self, source: SocketAddr) {
        let asked = self.params.has("rport");
        if asked {
            self.params.set("rport", Some(&source.port().to_string()));
        }
        if asked || self.host.address() != Some(source.ip()) {
            self.params.set("received", Some(&source.ip().to_string()));
        }
    }

    /// Where an answer over UDP goes, as far as the Via says it by addresses (RFC 3261 §18.2.2):
    /// `received` or sent-by, `rport` or the port or 5060. `None` where only a name is known.
    pub fn answer_address(&self) -> Option<SocketAddr> {
        let received = self.params.value("received");
        let received = received.and_then(|r| r.trim_matches(['[', ']']).parse::<IpAddr>().ok());
        let rport = self.params.value("rport").and_then(scan::number::<u16>);
        let maddr = self.params.value("maddr").and_then(|m| Host::parse(m)?.address());
        if let Some(maddr) = maddr {
            return Some(SocketAddr::new(maddr, self.port.unwrap_or(5060)));
        }
        let ip = received.or_else(|| self.host.address())?;
        Some(SocketAddr::new(ip, rport.or(self.port).unwrap_or(5060)))
    }
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SIP/2.0/{} {}", self.transport, self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        write!(f, "{}", self.params)
    }
}

/// A display name, a URI and parameters: From, To, Contact, Route, Refer-To, … (RFC 3261 §20.10).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NameAddr {
    /// The display name, its quotes resolved.
    pub display: Option<String>,
    /// Whom it names.
    pub uri: AnyUri,
    /// The header's parameters: `tag`, `expires`, `q`, …
    pub params: Params,
}

impl NameAddr {
    /// A bare URI.
    pub fn new(uri: impl Into<AnyUri>) -> Self {
        Self { display: None, uri: uri.into(), params: Params::new() }
    }

    /// Reads one element.
    pub fn parse(text: &str) -> Option<Self> {
        let mut scan = Scan::new(text);
        scan.skip_space();
        let display = if scan.peek() == Some(b'"') {
            let name = scan::unquote(scan.quoted()?);
            scan.skip_space();
            Some(name)
        } else {
            Self::scan_tokens(&mut scan)?
        };
        let uri = if scan.eat('<') {
            let uri = scan.take(|b| b != b'>');
            if !scan.eat('>') {
                return None;
            }
            AnyUri::parse(uri)?
        } else if display.is_none() {
            Self::scan_bare(&mut scan)?
        } else {
            return None;
        };
        let params = Params::scan_header(&mut scan)?;
        Some(Self { display, uri, params })
    }

    /// Takes the unquoted words before `<`; stands still where a bare URI begins.
    fn scan_tokens(scan: &mut Scan<'_>) -> Option<Option<String>> {
        let mut ahead = *scan;
        // Bytes above ASCII are in no token by the RFC; gateways send them all the same.
        let words = ahead.take(|b| b == b' ' || b == b'\t' || b > 0x7f || is_token_byte(b));
        match ahead.peek() {
            Some(b'<') => {
                *scan = ahead;
                let words = words.trim();
                Some((!words.is_empty()).then(|| words.to_owned()))
            }
            Some(b':') => Some(None),
            _ => None,
        }
    }

    /// Takes a URI without brackets, whose parameters are the header's (RFC 3261 §20.10).
    fn scan_bare(scan: &mut Scan<'_>) -> Option<AnyUri> {
        let text = scan.take(|b| b > b' ' && b != b';');
        if text.contains(['?', ',']) {
            return None;
        }
        AnyUri::parse(text)
    }

    /// The `tag` parameter.
    pub fn tag(&self) -> Option<&str> {
        self.params.value("tag").filter(|tag| !tag.is_empty())
    }

    /// The same with this tag.
    #[must_use]
    pub fn with_tag(mut self, tag: &str) -> Self {
        self.params.set("tag", Some(tag));
        self
    }

    /// Whether the URI is a SIP URI with `;lr`: a loose router (RFC 3261 §16.12).
    pub fn is_loose_router(&self) -> bool {
        self.uri.sip().is_some_and(|uri| uri.params.has("lr"))
    }
}

impl From<Uri> for NameAddr {
    fn from(uri: Uri) -> Self {
        Self::new(uri)
    }
}

impl fmt::Display for NameAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(display) = &self.display {
            write!(f, "{} ", scan::quote(display))?;
        }
        write!(f, "<{}>{}", self.uri, self.params)
    }
}

/// CSeq (RFC 3261 §20.16).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CSeq {
    /// The number, within 32 bits.
    pub number: u32,
    /// The method.
    pub method: Method,
}

impl CSeq {
    /// Reads the value; `None` also where the number does not fit.
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_ascii_whitespace();
        let number = scan::number(words.next()?)?;
        let method = Method::parse(words.next()?)?;
        words.next().is_none().then_some(Self { number, method })
    }
}

impl fmt::Display for CSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.number, self.method)
    }
}

/// RAck: which reliable provisional response a PRACK acknowledges (RFC 3262 §7.2).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RAck {
    /// The RSeq of the response.
    pub rseq: u32,
    /// The CSeq of the response.
    pub cseq: CSeq,
}

impl RAck {
    /// Reads the value.
    pub fn parse(text: &str) -> Option<Self> {
        let (rseq, cseq) = text.trim().split_once([' ', '\t'])?;
        Some(Self { rseq: scan::number(rseq)?, cseq: CSeq::parse(cseq)? })
    }
}

impl fmt::Display for RAck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.rseq, self.cseq)
    }
}

/// A media type with its parameters: Content-Type, one element of Accept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MediaType {
    /// `application` in lower case.
    pub kind: String,
    /// `sdp` in lower case.
    pub subtype: String,
    /// `boundary`, `charset`, `q`, …
    pub params: Params,
}

impl MediaType {
    /// Reads the value.
    pub fn parse(text: &str) -> Option<Self> {
        let mut scan = Scan::new(text);
        scan.skip_space();
        let kind = scan.take(is_token_byte).to_ascii_lowercase();
        if kind.is_empty() || !scan.eat_spaced('/') {
            return None;
        }
        let subtype = scan.take(is_token_byte).to_ascii_lowercase();
        let params = Params::scan_header(&mut scan)?;
        (!subtype.is_empty()).then_some(Self { kind, subtype, params })
    }

    /// Whether this is `essence`, written as `application/sdp`.
    pub fn is(&self, essence: &str) -> bool {
        essence.split_once('/').is_some_and(|(kind, subtype)| {
            self.kind.eq_ignore_ascii_case(kind) && self.subtype.eq_ignore_ascii_case(subtype)
        })
    }

    /// Whether this, as an element of Accept, lets `essence` pass: `*/*`, `application/*` or equal.
    pub fn accepts(&self, essence: &str) -> bool {
        essence.split_once('/').is_some_and(|(kind, subtype)| {
            (self.kind == "*" || self.kind.eq_ignore_ascii_case(kind))
                && (self.subtype == "*" || self.subtype.eq_ignore_ascii_case(subtype))
        })
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}{}", self.kind, self.subtype, self.params)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn section_20_42_via() {
        let via =
            Via::parse("SIP  / 2.0 \t/UDP    [2001:db8::9]:5061 ; branch  = z9hG4bK87;rport ")
                .unwrap();
        assert_eq!(via.to_string(), "SIP/2.0/UDP [2001:db8::9]:5061;branch=z9hG4bK87;rport");
        for bad in [
            "",
            "SIP/2.0/UDP",
            "SIP/2.0/UDP ",
            "SIP/2.0/UDP;branch=x",
            "SIP/2.0/UDP 192.0.2.15;;,;,,",
            "SIP/3.0/UDP h",
            "HTTP/2.0/UDP h",
            "SIP/2.0/UDP h h2",
            "SIP/2.0/UDP h:99999",
        ] {
            assert!(Via::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn section_18_2_1_the_real_source_is_noted_and_answered() {
        for (text, stamped, answer) in [
            ("SIP/2.0/UDP 192.0.2.9:5070", "SIP/2.0/UDP 192.0.2.9:5070", "192.0.2.9:5070"),
            ("SIP/2.0/UDP host", "SIP/2.0/UDP host;received=192.0.2.9", "192.0.2.9:5060"),
            (
                "SIP/2.0/UDP host:5070;rport",
                "SIP/2.0/UDP host:5070;rport=4000;received=192.0.2.9",
                "192.0.2.9:4000",
            ),
        ] {
            let mut via = Via::parse(text).unwrap();
            via.stamp("192.0.2.9:4000".parse().unwrap());
            assert_eq!(via.to_string(), stamped);
            assert_eq!(via.answer_address().unwrap().to_string(), answer);
        }
    }

    #[test]
    fn section_17_2_3_only_the_cookie_with_more_is_a_unique_branch() {
        let branch = |text: &str| Via::parse(text).unwrap().unique_branch().map(str::to_owned);
        assert_eq!(branch("SIP/2.0/UDP h;branch=z9hG4bKx"), Some("z9hG4bKx".into()));
        for old in [";branch=z9hG4bK", ";branch=1", ";branch=", ";branch", ""] {
            assert_eq!(branch(&format!("SIP/2.0/UDP h{old}")), None);
        }
    }

    #[test]
    fn section_20_10_names_and_addresses() {
        for (text, display, uri, tag) in [
            ("sip:a@b;tag=1", None, "sip:a@b", Some("1")),
            ("<sip:a@b;lr>;tag=1", None, "sip:a@b;lr", Some("1")),
            ("caller<sip:a@b>", Some("caller"), "sip:a@b", None),
            ("A G  Bell <sip:a@b>", Some("A G  Bell"), "sip:a@b", None),
            (r#""B \"q\", A"<sip:a@b> ; tag = x"#, Some(r#"B "q", A"#), "sip:a@b", Some("x")),
            ("<tel:+1>", None, "tel:+1", None),
            ("Müller <sip:a@b>", Some("Müller"), "sip:a@b", None),
        ] {
            let value = NameAddr::parse(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(value.display.as_deref(), display);
            assert_eq!((value.uri.as_str(), value.tag()), (uri, tag));
            assert_eq!(NameAddr::parse(&value.to_string()).as_ref(), Some(&value));
        }
        for bad in [
            "",
            "<sip:a@b",
            "Bell, A <sip:a@b>",
            "\"open <sip:a@b>",
            "\"x\" sip:a@b",
            "\"W\" < sip:a@b >",
            "sip:a@b?Route=x",
            "<sip:a@b>;;tag=1",
            "<sip:a@b> junk",
        ] {
            assert!(NameAddr::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn numbers_that_do_not_fit_are_refused() {
        assert_eq!(CSeq::parse("0009   INVITE").unwrap().to_string(), "9 INVITE");
        for bad in ["", "1", "INVITE", "-1 INVITE", "4294967296 INVITE", "1 INVITE x", "1 IN(VITE"]
        {
            assert!(CSeq::parse(bad).is_none(), "{bad}");
        }
        assert_eq!(RAck::parse("776656 1 INVITE").unwrap().to_string(), "776656 1 INVITE");
    }

    #[test]
    fn media_types_compare_without_case() {
        let sdp = MediaType::parse("Application / SDP ; charset=\"utf-8\"").unwrap();
        assert!(sdp.is("application/sdp") && sdp.params.has("charset"));
        assert!(MediaType::parse("*/*;q=0.1").unwrap().accepts("application/sdp"));
        assert!(!MediaType::parse("text/*").unwrap().accepts("application/sdp"));
    }
}

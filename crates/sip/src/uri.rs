//! SIP and SIPS URIs (RFC 3261 §19.1), and any other URI as opaque text.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use crate::params::Params;
use crate::scan;

/// `sip` or `sips`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scheme {
    /// `sip:`
    Sip,
    /// `sips:`
    Sips,
}

/// A host as it stands in a URI or a Via.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Host {
    /// A name, its case kept.
    Name(String),
    /// An address.
    Address(IpAddr),
}

impl Host {
    /// Reads a name, an IPv4 address or a bracketed IPv6 address.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(inner) = text.strip_prefix('[') {
            let inner = inner.strip_suffix(']')?;
            // RFC 5118 §4.10: the grammar of RFC 3261 let a third colon in.
            let address = inner.parse().or_else(|_| inner.replacen(":::", "::", 1).parse());
            return Some(Self::Address(IpAddr::V6(address.ok()?)));
        }
        if text.ends_with(|c: char| c.is_ascii_digit())
            && let Ok(address) = text.parse::<Ipv4Addr>()
        {
            return Some(Self::Address(IpAddr::V4(address)));
        }
        // The underscore is in no host name by the RFC, but in many by their owners.
        let named = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
        (!text.is_empty() && text.bytes().all(named)).then(|| Self::Name(text.to_owned()))
    }

    /// The address, where it is one.
    pub const fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Name(_) => None,
            Self::Address(address) => Some(*address),
        }
    }

    /// Whether both mean the same host; names compare without case.
    pub fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Name(one), Self::Name(two)) => one.eq_ignore_ascii_case(two),
            (one, two) => one == two,
        }
    }
}

impl From<IpAddr> for Host {
    fn from(address: IpAddr) -> Self {
        Self::Address(address)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(IpAddr::V4(address)) => write!(f, "{address}"),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

/// Reads `host` or `host:port`, with brackets around IPv6.
pub(crate) fn host_port(text: &str) -> Option<(Host, Option<u16>)> {
    let end = match text.strip_prefix('[') {
        Some(inner) => inner.find(']')? + 2,
        None => text.find(':').unwrap_or(text.len()),
    };
    let (host, rest) = text.split_at_checked(end)?;
    let host = Host::parse(host.trim_end())?;
    if rest.is_empty() {
        return Some((host, None));
    }
    Some((host, Some(scan::number(rest.trim_start().strip_prefix(':')?.trim())?)))
}

/// A SIP or SIPS URI in its parts. Escapes (`%40`) are kept; [`Uri::user_text`] resolves them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Uri {
    /// `sip` or `sips`.
    pub scheme: Scheme,
    /// What stands before `@`, without the password.
    pub user: Option<String>,
    /// What stands behind the user's colon.
    pub password: Option<String>,
    /// Where it points.
    pub host: Host,
    /// The port, where one is written.
    pub port: Option<u16>,
    /// `;lr`, `;transport=tcp`, …
    pub params: Params,
    /// What stands behind `?`, raw.
    pub headers: Option<String>,
}

impl Uri {
    /// A `sip:` URI with nothing but a host.
    pub const fn new(host: Host) -> Self {
        Self {
            scheme: Scheme::Sip,
            user: None,
            password: None,
            host,
            port: None,
            params: Params::new(),
            headers: None,
        }
    }

    /// Reads a SIP or SIPS URI; `None` for another scheme or a fault.
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once(':')?;
        let scheme = if scheme.eq_ignore_ascii_case("sip") {
            Scheme::Sip
        } else if scheme.eq_ignore_ascii_case("sips") {
            Scheme::Sips
        } else {
            return None;
        };
        if !is_uri_text(rest) || !scan::escapes_are_whole(rest) {
            return None;
        }
        let (userinfo, rest) = match rest.split_once('@') {
            Some((userinfo, rest)) => (Some(userinfo), rest),
            None => (None, rest),
        };
        let (user, password) = match userinfo.map(|u| u.split_once(':').ok_or(u)) {
            None => (None, None),
            Some(Err("") | Ok(("", _))) => return None,
            Some(Err(user)) => (Some(user.to_owned()), None),
            Some(Ok((user, password))) => (Some(user.to_owned()), Some(password.to_owned())),
        };
        let (rest, headers) = match rest.split_once('?') {
            Some((rest, headers)) => (rest, Some(headers.to_owned())),
            None => (rest, None),
        };
        let (place, params) = match rest.split_once(';') {
            Some((place, params)) => (place, Params::parse_uri(params)?),
            None => (rest, Params::new()),
        };
        let (host, port) = host_port(place)?;
        Some(Self { scheme, user, password, host, port, params, headers })
    }

    /// The user with its escapes resolved; bytes that are no UTF-8 become U+FFFD.
    pub fn user_text(&self) -> Option<String> {
        self.user.as_deref().map(percent_decoded)
    }

    /// Whether both are equivalent by the rules of RFC 3261 §19.1.4.
    pub fn equivalent(&self, other: &Self) -> bool {
        const MUST_BE_IN_BOTH: [&str; 5] = ["user", "ttl", "method", "maddr", "transport"];
        let text = |user: &Option<String>| user.as_deref().map(percent_decoded);
        let same_param = |name: &str| match (self.params.value(name), other.params.value(name)) {
            (Some(one), Some(two)) => {
                percent_decoded(one).eq_ignore_ascii_case(&percent_decoded(two))
            }
            (one, two) => one == two,
        };
        let headers = |uri: &Self| {
            let mut all: Vec<_> =
                uri.headers.iter().flat_map(|h| h.split('&')).map(percent_decoded).collect();
            all.sort();
            all
        };
        self.scheme == other.scheme
            && text(&self.user) == text(&other.user)
            && text(&self.password) == text(&other.password)
            && self.host.same(&other.host)
            && self.port == other.port
            && MUST_BE_IN_BOTH.iter().all(|name| same_param(name))
            && self.params.iter().all(|(name, _)| !other.params.has(name) || same_param(name))
            && headers(self) == headers(other)
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.scheme {
            Scheme::Sip => "sip:",
            Scheme::Sips => "sips:",
        })?;
        if let Some(user) = &self.user {
            f.write_str(user)?;
            if let Some(password) = &self.password {
                write!(f, ":{password}")?;
            }
            f.write_str("@")?;
        }
        write!(f, "{}", self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        write!(f, "{}", self.params)?;
        if let Some(headers) = &self.headers {
            write!(f, "?{headers}")?;
        }
        Ok(())
    }
}

/// Any URI: its text as it came, and its parts where it is `sip:` or `sips:`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AnyUri {
    text: String,
    parts: Option<Uri>,
}

impl AnyUri {
    /// Reads a URI. `None` where it has no scheme, holds what no URI may, or is a broken SIP URI.
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once(':')?;
        let mut letters = scheme.bytes();
        let named = letters.next().is_some_and(|b| b.is_ascii_alphabetic())
            && letters.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
        if !named || rest.is_empty() || !is_uri_text(rest) {
            return None;
        }
        let sip = scheme.eq_ignore_ascii_case("sip") || scheme.eq_ignore_ascii_case("sips");
        let parts = if sip { Some(Uri::parse(text)?) } else { None };
        Some(Self { text: text.to_owned(), parts })
    }

    /// The text as it came.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The scheme, its case kept.
    pub fn scheme(&self) -> &str {
        self.text.split_once(':').map_or("", |(scheme, _)| scheme)
    }

    /// The parts of a SIP or SIPS URI.
    pub const fn sip(&self) -> Option<&Uri> {
        self.parts.as_ref()
    }

    /// The number of a `tel:` URI, without its parameters (RFC 3966).
    pub fn telephone(&self) -> Option<&str> {
        let (scheme, rest) = self.text.split_once(':')?;
        scheme.eq_ignore_ascii_case("tel").then(|| rest.split_once(';').map_or(rest, |(n, _)| n))
    }
}

impl From<Uri> for AnyUri {
    fn from(uri: Uri) -> Self {
        Self { text: uri.to_string(), parts: Some(uri) }
    }
}

impl fmt::Display for AnyUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn is_uri_text(text: &str) -> bool {
    text.bytes().all(|b| b > b' ' && b != 0x7f && !matches!(b, b'<' | b'>' | b'"'))
}

/// The text with its `%41` escapes resolved; bytes that are no UTF-8 become U+FFFD.
pub fn percent_decoded(text: &str) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let digit = |b: &u8| char::from(*b).to_digit(16).and_then(|d| u8::try_from(d).ok());
        if byte == b'%'
            && let [high, low, after @ ..] = after
            && let (Some(high), Some(low)) = (digit(high), digit(low))
        {
            plain.push(high << 4 | low);
            rest = after;
        } else {
            plain.push(byte);
            rest = after;
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn section_19_1_uris_come_back_as_they_were() {
        for text in [
            "sip:alice@atlanta.com",
            "sip:alice:secretword@atlanta.com;transport=tcp",
            "sips:alice@atlanta.com?subject=project%20x&priority=urgent",
            "sip:+1-212-555-1212:1234@gateway.com;user=phone",
            "sips:1212@gateway.com",
            "sip:alice@192.0.2.4:5070",
            "sip:atlanta.com;method=REGISTER?to=alice%40atlanta.com",
            "sip:alice;day=tuesday@atlanta.com",
            "sip:[2001:db8::9:1]:6060;lr",
            "sip:annc@host.example.net;play=http://audio.example.net/allcircuitsbusy.g711",
        ] {
            let uri = Uri::parse(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(uri.to_string(), text);
            assert_eq!(AnyUri::parse(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn broken_uris_are_refused() {
        for text in [
            "",
            "sip:",
            "sip:@host",
            "sip:user@",
            "sip:user@host:99999",
            "sip:user@host:x",
            "sip:user@host;",
            "sip:user@host;;lr",
            "sip:us er@host",
            "sip:u%zz@host",
            "sip:user@[::1",
            "<sip:user@host>",
            "nocolon",
            "1x:y",
        ] {
            assert!(AnyUri::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn section_19_1_4_equivalence() {
        let same = [
            ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"),
            ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
            ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;newparam=5"),
            ("sip:b.com?subject=a&priority=b", "sip:b.com?priority=b&subject=a"),
        ];
        let differ = [
            ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
            ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"),
            ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
        ];
        for (rows, wanted) in [(&same[..], true), (&differ[..], false)] {
            for (one, two) in rows {
                let (one, two) = (Uri::parse(one).unwrap(), Uri::parse(two).unwrap());
                assert_eq!(one.equivalent(&two), wanted, "{one} {two}");
                assert_eq!(two.equivalent(&one), wanted, "{two} {one}");
            }
        }
    }

    #[test]
    fn other_schemes_stay_opaque() {
        assert_eq!(AnyUri::parse("tel:+15551234;ext=2").unwrap().telephone(), Some("+15551234"));
        assert_eq!(AnyUri::parse("soap.beep://192.0.2.103:3002").unwrap().scheme(), "soap.beep");
    }

    #[test]
    fn escapes_resolve() {
        assert_eq!(percent_decoded("a%40b%zz%4"), "a@b%zz%4");
        assert_eq!(percent_decoded("%C3%BC"), "ü");
    }
}

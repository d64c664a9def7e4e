use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// Which hosts an HTTP request made for somebody else may reach.
///
/// A caller or a page may name any URL; without this, the server would fetch from the inside of its
/// own network for them. Only public addresses pass, and those that the operator has listed.
#[derive(Clone, Debug, Default)]
pub struct AddressGuard {
    allowed: Vec<Allowed>,
    open: bool,
}

/// One entry of the allow-list: a host name, an address, or a network as `10.1.0.0/16`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Allowed {
    /// This host, whatever it resolves to; compared without regard to ASCII case.
    Host(Box<str>),
    /// Every address whose first `bits` bits are those of `base`.
    Network {
        /// An address inside the network.
        base: IpAddr,
        /// How many leading bits must agree.
        bits: u8,
    },
}

/// An entry of the allow-list that is neither a host, an address nor a network.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AllowedError(pub String);

impl fmt::Display for AllowedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not a host name, an address or a network like 10.1.0.0/16", self.0)
    }
}

impl std::error::Error for AllowedError {}

/// An address that must not be reached.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Barred {
    /// The host as it was named.
    pub host: String,
    /// What it resolved to.
    pub address: IpAddr,
    /// Why: "loopback", "private", …
    pub kind: &'static str,
}

impl fmt::Display for Barred {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host == self.address.to_string() {
            write!(f, "{} is a {} address", self.host, self.kind)?;
        } else {
            write!(f, "{} is at the {} address {}", self.host, self.kind, self.address)?;
        }
        f.write_str(" and is not in the list of allowed hosts")
    }
}

impl std::error::Error for Barred {}

impl FromStr for Allowed {
    type Err = AllowedError;

    fn from_str(text: &str) -> Result<Self, AllowedError> {
        let wrong = || AllowedError(text.to_owned());
        let text = text.trim();
        if let Some((base, bits)) = text.split_once('/') {
            let base: IpAddr = bare(base).parse().map_err(|_| wrong())?;
            let bits: u8 = bits.parse().map_err(|_| wrong())?;
            return if bits <= width(base) {
                Ok(Self::Network { base, bits })
            } else {
                Err(wrong())
            };
        }
        if let Ok(base) = bare(text).parse::<IpAddr>() {
            return Ok(Self::Network { base, bits: width(base) });
        }
        let host_like = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        if text.is_empty() || !text.chars().all(host_like) {
            return Err(wrong());
        }
        Ok(Self::Host(text.trim_end_matches('.').into()))
    }
}

impl Allowed {
    fn covers(&self, host: &str, address: IpAddr) -> bool {
        match self {
            Self::Host(name) => name.eq_ignore_ascii_case(host.trim_end_matches('.')),
            Self::Network { base, bits } => {
                let (base, address) = (base.to_canonical(), address.to_canonical());
                let leading = |ip: IpAddr| match ip {
                    IpAddr::V4(ip) => u128::from(ip.to_bits()) << 96,
                    IpAddr::V6(ip) => ip.to_bits(),
                };
                let mask = u128::MAX.checked_shl(128 - u32::from(*bits)).unwrap_or(0);
                base.is_ipv4() == address.is_ipv4()
                    && leading(base) & mask == leading(address) & mask
            }
        }
    }
}

impl AddressGuard {
    /// A guard that lets through public addresses and what `allowed` lists.
    pub const fn new(allowed: Vec<Allowed>) -> Self {
        Self { allowed, open: false }
    }

    /// A guard that lets everything through: for URLs that the operator wrote.
    pub const fn open() -> Self {
        Self { allowed: Vec::new(), open: true }
    }

    /// This guard, which also lets `host` through, wherever it is.
    #[must_use]
    pub fn and_host(mut self, host: &str) -> Self {
        self.allowed.push(Allowed::Host(host.trim_end_matches('.').into()));
        self
    }

    /// Whether `address`, which `host` resolved to, may be connected to.
    pub fn check(&self, host: &str, address: IpAddr) -> Result<(), Barred> {
        let Some(kind) = inner(address) else { return Ok(()) };
        if self.open || self.allowed.iter().any(|entry| entry.covers(host, address)) {
            return Ok(());
        }
        Err(Barred { host: host.to_owned(), address, kind })
    }

    /// Those of `addresses` that may be connected to; an error when there are some and none may.
    pub fn filter(
        &self,
        host: &str,
        addresses: impl IntoIterator<Item = SocketAddr>,
    ) -> Result<Vec<SocketAddr>, Barred> {
        let mut passed = Vec::new();
        let mut barred = None;
        for address in addresses {
            match self.check(host, address.ip()) {
                Ok(()) => passed.push(address),
                Err(why) => barred = Some(why),
            }
        }
        match barred {
            Some(why) if passed.is_empty() => Err(why),
            _ => Ok(passed),
        }
    }
}

/// What kind of inside address this is; `None` for one on the public Internet.
pub(crate) fn inner(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(ip) => inner_v4(ip),
        IpAddr::V6(ip) => inner_v6(ip),
    }
}

fn inner_v4(ip: Ipv4Addr) -> Option<&'static str> {
    match ip.octets() {
        [0, ..] => Some("unspecified"),
        [127, ..] => Some("loopback"),
        [10, ..] | [192, 168, ..] => Some("private"),
        [172, b, ..] if b & 0xf0 == 16 => Some("private"),
        [100, b, ..] if b & 0xc0 == 64 => Some("carrier-shared"),
        [169, 254, ..] => Some("link-local"),
        [192, 0, 0, _] => Some("reserved"),
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => Some("documentation"),
        [198, 18 | 19, ..] => Some("benchmarking"),
        [a, ..] if a & 0xf0 == 224 => Some("multicast"),
        [a, ..] if a & 0xf0 == 240 => Some("reserved"),
        _ => None,
    }
}

/// Addresses that carry an IPv4 address are judged by it: a translator would lead there.
fn inner_v6(ip: Ipv6Addr) -> Option<&'static str> {
    let embedded = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        inner_v4(Ipv4Addr::new(a, b, c, d))
    };
    match ip.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => Some("unspecified"),
        [0, 0, 0, 0, 0, 0, 0, 1] => Some("loopback"),
        [0, 0, 0, 0, 0, 0xffff | 0, high, low] => embedded(high, low),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => embedded(high, low),
        [0x64, 0xff9b, 1, ..] => Some("private"),
        [0x2001, 0, ..] => Some("tunnel"),
        [0x2002, high, low, ..] => embedded(high, low),
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0x0fff, ..] => Some("documentation"),
        [0x100, 0, 0, 0, ..] => Some("discarded"),
        [a, ..] if a & 0xfe00 == 0xfc00 => Some("private"),
        [a, ..] if a & 0xffc0 == 0xfe80 => Some("link-local"),
        [a, ..] if a & 0xffc0 == 0xfec0 => Some("private"),
        [a, ..] if a & 0xff00 == 0xff00 => Some("multicast"),
        _ => None,
    }
}

const fn width(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { 32 } else { 128 }
}

/// An IPv6 address as URLs write it stands in brackets.
fn bare(text: &str) -> &str {
    text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(allowed: &[&str], host: &str, address: &str, expected: &str) {
        let allowed = allowed.iter().map(|entry| entry.parse().unwrap()).collect();
        let verdict = AddressGuard::new(allowed).check(host, address.parse().unwrap());
        let verdict = verdict.map_or_else(|barred| barred.kind, |()| "passes");
        assert_eq!(verdict, expected, "{host} at {address}");
    }

    #[test]
    fn only_public_addresses_pass() {
        for (address, expected) in [
            ("93.184.216.34", "passes"),
            ("127.0.0.1", "loopback"),
            ("127.255.255.254", "loopback"),
            ("0.0.0.0", "unspecified"),
            ("10.0.0.1", "private"),
            ("172.15.0.1", "passes"),
            ("172.16.0.1", "private"),
            ("172.31.255.255", "private"),
            ("172.32.0.1", "passes"),
            ("192.168.1.1", "private"),
            ("169.254.169.254", "link-local"),
            ("100.64.0.1", "carrier-shared"),
            ("100.128.0.1", "passes"),
            ("198.18.0.1", "benchmarking"),
            ("224.0.0.1", "multicast"),
            ("239.255.255.255", "multicast"),
            ("255.255.255.255", "reserved"),
            ("2606:2800:220:1::1", "passes"),
            ("::", "unspecified"),
            ("::1", "loopback"),
            ("::ffff:127.0.0.1", "loopback"),
            ("::127.0.0.1", "loopback"),
            ("::ffff:93.184.216.34", "passes"),
            ("64:ff9b::10.0.0.1", "private"),
            ("2002:7f00:1::", "loopback"),
            ("2001:0:53aa:64c::1", "tunnel"),
            ("fd00::1", "private"),
            ("fe80::1", "link-local"),
            ("fec0::1", "private"),
            ("ff02::1", "multicast"),
            ("2001:db8::1", "documentation"),
        ] {
            check(&[], "host.example", address, expected);
        }
    }

    #[test]
    fn what_the_operator_lists_passes_and_nothing_beside_it() {
        check(&["media.local"], "MEDIA.local.", "10.0.0.9", "passes");
        check(&["media.local"], "evil.media.local", "10.0.0.9", "private");
        check(&["10.1.0.0/16"], "a", "10.1.200.3", "passes");
        check(&["10.1.0.0/16"], "a", "10.2.0.3", "private");
        check(&["10.1.0.0/16"], "a", "::ffff:10.1.0.3", "passes");
        check(&["127.0.0.1"], "a", "127.0.0.1", "passes");
        check(&["127.0.0.1"], "a", "127.0.0.2", "loopback");
        check(&["[fd00::]/8"], "a", "10.0.0.1", "private");
        check(&["fd00::/8"], "a", "fd12::1", "passes");
        check(&["::/0"], "a", "10.0.0.1", "private");
        check(&["0.0.0.0/0"], "a", "10.0.0.1", "passes");
    }

    #[test]
    fn an_entry_that_says_nothing_is_refused() {
        for wrong in ["", "10.0.0.0/33", "host/8", "a b", "http://x", "10.0.0.0/x", "fd00::/129"] {
            assert!(wrong.parse::<Allowed>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_name_with_one_good_address_keeps_only_that_one() {
        let guard = AddressGuard::default();
        let addresses = ["10.0.0.1:80", "93.184.216.34:80"].map(|a| a.parse().unwrap());
        assert_eq!(guard.filter("h", addresses).unwrap(), ["93.184.216.34:80".parse().unwrap()]);
        let barred = guard.filter("h", ["10.0.0.1:80".parse().unwrap()]).unwrap_err();
        assert_eq!(
            barred.to_string(),
            "h is at the private address 10.0.0.1 and is not in the list of allowed hosts"
        );
    }
}

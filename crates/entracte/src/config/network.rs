//! Interfaces, addresses, port ranges and marks: the settings that meet the machine's network.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::fault::Wrong;

/// The network interfaces of a machine and their addresses.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Interfaces(Vec<(String, IpAddr)>);

/// Interfaces of containers and virtual machines: nobody outside this machine reaches them.
const BRIDGES: [&str; 8] = ["docker", "br-", "veth", "virbr", "cni", "podman", "vnet", "lxc"];

impl Interfaces {
    /// Those of this machine. If they cannot be listed there are none.
    #[must_use]
    pub fn here() -> Self {
        let listed = if_addrs::get_if_addrs().unwrap_or_default();
        Self(listed.into_iter().map(|each| (each.name.clone(), each.ip())).collect())
    }

    /// Interfaces by name and address, as a test wants them.
    #[must_use]
    pub fn of(list: &[(&str, IpAddr)]) -> Self {
        Self(list.iter().map(|&(name, address)| (name.to_owned(), address)).collect())
    }

    /// Whether some interface has this address.
    #[must_use]
    pub fn has(&self, address: IpAddr) -> bool {
        self.0.iter().any(|&(_, each)| each == address)
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.0.iter().map(|(name, _)| name.clone()).collect();
        names.sort();
        names.dedup();
        names
    }

    fn of_name(&self, name: &str) -> Vec<IpAddr> {
        self.0.iter().filter(|(each, _)| each == name).map(|&(_, address)| address).collect()
    }

    /// The addresses by which others reach this machine: one a version, no bridge, no link-local
    /// one; the loopback address only where there is no other.
    #[must_use]
    pub fn reachable(&self) -> Addresses {
        let rank = |name: &str, address: IpAddr| {
            let bridge = BRIDGES.iter().any(|start| name.starts_with(start));
            (link_local(address), address.is_loopback(), bridge)
        };
        // The sort is stable: among equals the system's own order stays.
        let mut all: Vec<_> =
            self.0.iter().map(|(name, address)| (rank(name, *address), *address)).collect();
        all.sort_by_key(|&(rank, _)| rank);
        Addresses::first_of(all.into_iter().filter(|(rank, _)| !rank.0).map(|(_, address)| address))
    }
}

fn link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

/// At most one address of each version.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Addresses {
    /// The IPv4 one.
    pub ip4: Option<Ipv4Addr>,
    /// The IPv6 one.
    pub ip6: Option<Ipv6Addr>,
}

impl Addresses {
    fn first_of(addresses: impl Iterator<Item = IpAddr>) -> Self {
        let mut found = Self::default();
        for address in addresses {
            match address {
                IpAddr::V4(address) => {
                    found.ip4.get_or_insert(address);
                }
                IpAddr::V6(address) => {
                    found.ip6.get_or_insert(address);
                }
            }
        }
        found
    }

    /// The address of the same version as `peer`.
    #[must_use]
    pub fn towards(&self, peer: IpAddr) -> Option<IpAddr> {
        match peer {
            IpAddr::V4(_) => self.ip4.map(IpAddr::V4),
            IpAddr::V6(_) => self.ip6.map(IpAddr::V6),
        }
    }

    /// Both, IPv4 first.
    pub fn iter(&self) -> impl Iterator<Item = IpAddr> {
        self.ip4.map(IpAddr::V4).into_iter().chain(self.ip6.map(IpAddr::V6))
    }

    /// Each version from `self`, and where it has none, from `other`.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self { ip4: self.ip4.or(other.ip4), ip6: self.ip6.or(other.ip6) }
    }

    /// Reads at most one address of each version.
    pub(super) fn parse(texts: &[&str]) -> Option<Self> {
        let mut found = Self::default();
        for text in texts {
            let free = match text.parse().ok()? {
                IpAddr::V4(address) => found.ip4.replace(address).is_none(),
                IpAddr::V6(address) => found.ip6.replace(address).is_none(),
            };
            if !free {
                return None;
            }
        }
        (!found.iter().any(|address| address.is_unspecified())).then_some(found)
    }
}

/// Which versions of IP a service takes part in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AddressType {
    /// Whichever there is.
    Any,
    /// Version 4 only.
    Ip4,
    /// Version 6 only.
    Ip6,
    /// Both; refused at start where one is missing.
    Ip4Ip6,
}

impl AddressType {
    fn word(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Ip4 => "ip4",
            Self::Ip6 => "ip6",
            Self::Ip4Ip6 => "ip4ip6",
        }
    }

    fn takes(self, address: IpAddr) -> bool {
        match self {
            Self::Any | Self::Ip4Ip6 => true,
            Self::Ip4 => address.is_ipv4(),
            Self::Ip6 => address.is_ipv6(),
        }
    }

    /// The addresses that are taken of those an interface has, or what is missing among them.
    fn choose(self, interface: &str, all: &[IpAddr]) -> Result<Vec<IpAddr>, Wrong> {
        let missing = |version| Wrong::NoAddress {
            interface: interface.to_owned(),
            version,
            address_type: self.word(),
        };
        let has_ip4 = all.iter().any(IpAddr::is_ipv4);
        let has_ip6 = all.iter().any(IpAddr::is_ipv6);
        match self {
            Self::Ip4 | Self::Ip4Ip6 if !has_ip4 => return Err(missing("IPv4")),
            Self::Ip6 | Self::Ip4Ip6 if !has_ip6 => return Err(missing("IPv6")),
            Self::Any if !has_ip4 && !has_ip6 => return Err(missing("IPv4 or IPv6")),
            Self::Any | Self::Ip4 | Self::Ip6 | Self::Ip4Ip6 => {}
        }
        Ok(all.iter().copied().filter(|&address| self.takes(address)).collect())
    }
}

/// What an interface setting names: all, one by name, or one by address.
#[derive(Clone, Debug)]
pub(super) enum InterfaceName<'t> {
    Any,
    Address(IpAddr, &'t str),
    Named(&'t str),
}

impl<'t> InterfaceName<'t> {
    pub(super) fn read(text: &'t str) -> Self {
        if text.eq_ignore_ascii_case("any") {
            return Self::Any;
        }
        text.trim_matches(['[', ']'])
            .parse()
            .map_or(Self::Named(text), |address| Self::Address(address, text))
    }

    fn all(&self, machine: &Interfaces) -> Result<Vec<IpAddr>, Wrong> {
        match *self {
            Self::Any => Ok(machine.0.iter().map(|&(_, address)| address).collect()),
            Self::Address(address, _) => Ok(vec![address]),
            Self::Named(name) => {
                let all = machine.of_name(name);
                if all.is_empty() {
                    let known = machine.names();
                    return Err(Wrong::NoInterface { name: name.to_owned(), known });
                }
                // A link-local IPv6 address needs a zone that SIP and SDP cannot carry.
                Ok(all
                    .into_iter()
                    .filter(|&address| !address.is_ipv6() || !link_local(address))
                    .collect())
            }
        }
    }

    /// The addresses to listen on: for `any` the unspecified one of each version there is.
    pub(super) fn listen(
        &self,
        wanted: AddressType,
        machine: &Interfaces,
    ) -> Result<Vec<IpAddr>, Wrong> {
        let chosen = wanted.choose(self.word(), &self.all(machine)?)?;
        if !matches!(self, Self::Any) {
            return Ok(chosen);
        }
        let unspecified = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
        let used = |each: &IpAddr| chosen.iter().any(|address| address.is_ipv4() == each.is_ipv4());
        Ok(unspecified.into_iter().filter(used).collect())
    }

    /// The one address a version to send from and name to others: for `any` one is picked, once.
    pub(super) fn single(
        &self,
        wanted: AddressType,
        machine: &Interfaces,
    ) -> Result<Addresses, Wrong> {
        let all: Vec<IpAddr> = match self {
            Self::Any => machine.reachable().iter().collect(),
            Self::Address(..) | Self::Named(_) => self.all(machine)?,
        };
        let chosen = wanted.choose(self.word(), &all)?;
        Ok(Addresses::first_of(chosen.into_iter()))
    }

    fn word(&self) -> &'t str {
        match *self {
            Self::Any => "any",
            Self::Address(_, text) | Self::Named(text) => text,
        }
    }
}

/// A Differentiated Services code point, 0 to 63. RFC 2474 §3.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Dscp(u8);

impl Dscp {
    pub(super) fn new(value: u8) -> Option<Self> {
        (value < 64).then_some(Self(value))
    }

    /// The code point.
    #[must_use]
    pub fn value(self) -> u8 {
        self.0
    }

    /// The octet that `IP_TOS` and `IPV6_TCLASS` take: the code point above two zero bits.
    #[must_use]
    pub fn traffic_class(self) -> u8 {
        self.0 << 2
    }
}

/// Ports in pairs: an even one for RTP, the odd one above it for RTCP. RFC 3550 §11.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct PortRange {
    first: u16,
    last: u16,
}

impl PortRange {
    /// Reads `first-last`; an odd start is rounded up and an even end down.
    pub(super) fn parse(text: &str) -> Option<Result<Self, Wrong>> {
        let (first, last) = text.split_once('-')?;
        let (first, last): (u16, u16) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        if first == 0 || first > last {
            return None;
        }
        let pairs_from = u32::from(first) + u32::from(first % 2);
        let pairs_to = u32::from(last) - u32::from(last % 2 == 0);
        Some(match (u16::try_from(pairs_from), u16::try_from(pairs_to)) {
            (Ok(first), Ok(last)) if first < last => Ok(Self { first, last }),
            _ => Err(Wrong::NoPair(text.to_owned())),
        })
    }

    /// The first RTP port; even.
    #[must_use]
    pub fn first(self) -> u16 {
        self.first
    }

    /// The last RTCP port; odd.
    #[must_use]
    pub fn last(self) -> u16 {
        self.last
    }

    /// How many RTP and RTCP pairs it holds.
    #[must_use]
    pub fn pairs(self) -> usize {
        usize::from((self.last - self.first).div_ceil(2))
    }

    /// Whether `port` lies in it.
    #[must_use]
    pub fn contains(self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }

    pub(super) fn overlaps(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

/// A range of addresses in prefix form, as `10.0.0.0/8`. RFC 4632 §3.1.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Network {
    /// Any address in it.
    pub address: IpAddr,
    /// How many leading bits all its addresses share.
    pub prefix_bits: u8,
}

impl Network {
    /// Reads `address/bits`, or one address.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/').map_or((text, None), |(a, b)| (a, Some(b)));
        let address: IpAddr = address.parse().ok()?;
        let widest = if address.is_ipv4() { 32 } else { 128 };
        let prefix_bits = bits.map_or(Some(widest), |bits| bits.parse().ok())?;
        (prefix_bits <= widest).then_some(Self { address, prefix_bits })
    }

    /// Whether `address` lies in it. An IPv4 address mapped into IPv6 counts as IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let shift = |widest: u8| u32::from(widest - self.prefix_bits);
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
                let differing = ours.to_bits() ^ theirs.to_bits();
                differing.checked_shr(shift(32)).unwrap_or(0) == 0
            }
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => {
                let differing = ours.to_bits() ^ theirs.to_bits();
                differing.checked_shr(shift(128)).unwrap_or(0) == 0
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix_bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(network: &str, inside: &[&str], outside: &[&str]) {
        let network = Network::parse(network).unwrap();
        for address in inside {
            assert!(network.contains(address.parse().unwrap()), "{address} in {network}");
        }
        for address in outside {
            assert!(!network.contains(address.parse().unwrap()), "{address} not in {network}");
        }
    }

    #[test]
    fn rfc_4632_section_3_1_a_network_holds_what_shares_its_leading_bits() {
        check(
            "10.0.0.0/8",
            &["10.0.0.0", "10.255.255.255", "::ffff:10.1.2.3"],
            &["11.0.0.0", "::1"],
        );
        check("192.0.2.4", &["192.0.2.4"], &["192.0.2.5"]);
        check("0.0.0.0/0", &["0.0.0.0", "255.255.255.255"], &["::1"]);
        check("fd00::/8", &["fd12::1"], &["fe80::1", "10.0.0.1"]);
        check("::/0", &["fe80::1"], &["10.0.0.1"]);
        for wrong in ["", "10.0.0.0/33", "10.0.0.0/x", "::/129", "host/8", "10.0.0.0/8/8"] {
            assert_eq!(Network::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn rfc_3550_section_11_a_range_counts_whole_pairs() {
        let read = |text| PortRange::parse(text).and_then(Result::ok);
        let counted = |text| read(text).map(|range| (range.first(), range.last(), range.pairs()));
        assert_eq!(counted("16384-32767"), Some((16_384, 32_767, 8_192)));
        assert_eq!(counted("5-8"), Some((6, 7, 1)));
        assert_eq!(counted("1-65535"), Some((2, 65_535, 32_767)));
        assert_eq!(counted("5-6"), None);
        assert_eq!(counted("65535-65535"), None);
        assert!(PortRange::parse("0-9").is_none());
    }

    #[test]
    fn rfc_2474_section_3_a_mark_stands_above_two_zero_bits() {
        assert_eq!(Dscp::new(46).map(Dscp::traffic_class), Some(0xb8));
        assert_eq!(Dscp::new(64), None);
    }
}

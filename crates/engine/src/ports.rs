use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, PoisonError};

use crate::socket::Sockets;

/// Pairs that are tried when other programs hold some of our range, before we give up: a few
/// milliseconds' worth. Those that failed wait behind all others, so the next call finds them gone.
const TRIES_MAX: usize = 1_024;

/// Port pairs of the configured ranges: even for RTP, the odd one above for RTCP.
#[derive(Debug)]
pub(crate) struct PortTable {
    address: IpAddr,
    /// The one that was free longest comes first, so that late packets of an ended call fall dead.
    free: Mutex<VecDeque<u16>>,
    pairs: usize,
}

/// A pair that is ours until this is dropped.
#[derive(Debug)]
pub(crate) struct Lease {
    table: Arc<PortTable>,
    rtp: u16,
}

/// A bound pair of sockets, ready to be named in an offer or answer. Dropping it frees the pair.
#[derive(Debug)]
pub struct Ports(pub(crate) Sockets);

/// Why no pair could be had.
#[derive(Debug)]
pub enum ReserveError {
    /// Every pair of the ranges is in use.
    PortsExhausted {
        /// How many there are.
        pairs: usize,
    },
    /// The process may not open more files.
    DescriptorsExhausted,
    /// The address cannot be bound.
    Io(io::Error),
}

impl fmt::Display for ReserveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PortsExhausted { pairs } => write!(f, "all {pairs} port pairs are in use"),
            Self::DescriptorsExhausted => f.write_str("the limit of open files is reached"),
            Self::Io(_) => f.write_str("cannot bind a media socket"),
        }
    }
}

impl std::error::Error for ReserveError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::PortsExhausted { .. } | Self::DescriptorsExhausted => None,
            Self::Io(source) => Some(source),
        }
    }
}

impl Ports {
    /// The even port, for RTP.
    pub fn rtp(&self) -> u16 {
        self.0.lease.rtp
    }

    /// The odd port above it, for RTCP.
    pub fn rtcp(&self) -> u16 {
        self.0.lease.rtp + 1
    }
}

impl Lease {
    pub(crate) fn rtp_port(&self) -> u16 {
        self.rtp
    }

    pub(crate) fn address(&self) -> IpAddr {
        self.table.address
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.table.free.lock().unwrap_or_else(PoisonError::into_inner).push_back(self.rtp);
    }
}

impl PortTable {
    /// All whole pairs of the ranges; a pair that stands in two ranges counts once.
    pub(crate) fn new(address: IpAddr, ranges: &[RangeInclusive<u16>]) -> Self {
        let mut free: Vec<u16> = ranges
            .iter()
            .cloned()
            .flat_map(|range| {
                let last = *range.end();
                range.filter(move |port| port.is_multiple_of(2) && *port > 0 && *port < last)
            })
            .collect();
        free.sort_unstable();
        free.dedup();
        Self { address, pairs: free.len(), free: Mutex::new(free.into()) }
    }

    /// Pairs in all.
    pub(crate) fn pairs(&self) -> usize {
        self.pairs
    }

    /// Pairs that nobody holds.
    pub(crate) fn free(&self) -> usize {
        self.free.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Binds the pair that was free longest. Pairs that another program holds are passed over.
    pub(crate) fn reserve(self: &Arc<Self>) -> Result<Ports, ReserveError> {
        // Leases that failed go back only after the search, or it would meet them again.
        let mut busy = Vec::new();
        for _ in 0..TRIES_MAX {
            let next = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            let Some(rtp) = next else { break };
            let lease = Lease { table: Arc::clone(self), rtp };
            match Sockets::bind(self.address, lease) {
                Ok(sockets) => return Ok(Ports(sockets)),
                Err((fault, lease)) if fault.kind() == io::ErrorKind::AddrInUse => busy.push(lease),
                Err((fault, _)) => {
                    return Err(match fault.raw_os_error() {
                        Some(libc::EMFILE | libc::ENFILE) => ReserveError::DescriptorsExhausted,
                        _ => ReserveError::Io(fault),
                    });
                }
            }
        }
        Err(ReserveError::PortsExhausted { pairs: self.pairs })
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, UdpSocket};

    use super::*;

    fn table(ranges: &[RangeInclusive<u16>]) -> Arc<PortTable> {
        Arc::new(PortTable::new(IpAddr::V4(Ipv4Addr::LOCALHOST), ranges))
    }

    #[track_caller]
    fn check(ranges: &[RangeInclusive<u16>], expected: &[u16]) {
        let found: Vec<u16> = table(ranges).free.lock().unwrap().iter().copied().collect();
        assert_eq!(found, expected, "{ranges:?}");
    }

    #[test]
    fn rfc_3550_section_11_pairs_are_even_and_odd_and_lie_wholly_in_a_range() {
        check(&[4_000..=4_005], &[4_000, 4_002, 4_004]);
        check(&[4_001..=4_004], &[4_002]);
        check(&[4_000..=4_003, 5_000..=5_001], &[4_000, 4_002, 5_000]);
        check(&[4_000..=4_003, 4_002..=4_005], &[4_000, 4_002, 4_004]);
        check(&[0..=3], &[2]);
        check(&[65_534..=65_535], &[65_534]);
        check(&[4_000..=4_000], &[]);
    }

    #[test]
    fn exhausted_ranges_are_told_and_a_dropped_pair_is_free_again() {
        let table = table(&[23_400..=23_403]);
        let first = table.reserve().unwrap();
        let second = table.reserve().unwrap();
        assert_eq!((first.rtp(), first.rtcp(), second.rtp()), (23_400, 23_401, 23_402));
        assert!(matches!(table.reserve(), Err(ReserveError::PortsExhausted { pairs: 2 })));
        drop(first);
        assert_eq!(table.reserve().unwrap().rtp(), 23_400);
    }

    #[test]
    fn a_pair_that_another_program_holds_is_passed_over() {
        let table = table(&[23_410..=23_413]);
        let other = UdpSocket::bind((Ipv4Addr::LOCALHOST, 23_411)).unwrap();
        let ports = table.reserve().unwrap();
        assert_eq!(ports.rtp(), 23_412);
        drop((ports, other));
        assert_eq!(table.free(), 2);
        assert_eq!(table.reserve().unwrap().rtp(), 23_410);
    }
}

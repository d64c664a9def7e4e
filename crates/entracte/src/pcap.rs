//! A capture file of what our sockets sent and received, for Wireshark.
//!
//! Classic pcap with nanoseconds and raw IP packets (`LINKTYPE_RAW`). The packets are made here from
//! what the sockets carried, so no right to capture is needed: addresses, ports, payloads and times
//! are real, the IP and TCP headers around them are reconstructed.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// pcap's magic number for nanosecond timestamps.
const MAGIC: u32 = 0xa1b2_3c4d;

/// Raw IP, version 4 or 6 by its first nibble.
const LINKTYPE_RAW: u32 = 101;

/// TCP payload of one reconstructed segment.
const SEGMENT_BYTES_MAX: usize = 16_384;

const TCP: u8 = 6;
const UDP: u8 = 17;
const FLAG_SYN: u8 = 0x02;
const FLAG_ACK: u8 = 0x10;
const FLAG_PUSH: u8 = 0x08;

/// Writes packets as they happen.
#[derive(Debug)]
pub struct Capture<W> {
    out: W,
    streams: BTreeMap<(SocketAddr, SocketAddr), u32>,
}

impl<W: Write> Capture<W> {
    /// Begins a file.
    ///
    /// # Errors
    /// What the writer says.
    pub fn begin(mut out: W) -> io::Result<Self> {
        out.write_all(&MAGIC.to_le_bytes())?;
        out.write_all(&2_u16.to_le_bytes())?;
        out.write_all(&4_u16.to_le_bytes())?;
        out.write_all(&[0; 8])?;
        out.write_all(&65_535_u32.to_le_bytes())?;
        out.write_all(&LINKTYPE_RAW.to_le_bytes())?;
        Ok(Self { out, streams: BTreeMap::new() })
    }

    /// One datagram, at `at` since 1970.
    ///
    /// # Errors
    /// What the writer says.
    pub fn udp(
        &mut self,
        at: Duration,
        from: SocketAddr,
        to: SocketAddr,
        payload: &[u8],
    ) -> io::Result<()> {
        self.udp_cut(at, (from, to), payload, payload.len())
    }

    /// The beginning of a datagram that was so many bytes long.
    ///
    /// # Errors
    /// What the writer says.
    pub fn udp_cut(
        &mut self,
        at: Duration,
        (from, to): (SocketAddr, SocketAddr),
        payload: &[u8],
        whole: usize,
    ) -> io::Result<()> {
        let missing = whole.saturating_sub(payload.len());
        let length = u16::try_from(whole.max(payload.len()) + 8).unwrap_or(u16::MAX);
        let mut segment = Vec::with_capacity(payload.len() + 8);
        segment.extend_from_slice(&from.port().to_be_bytes());
        segment.extend_from_slice(&to.port().to_be_bytes());
        segment.extend_from_slice(&length.to_be_bytes());
        segment.extend_from_slice(&[0, 0]);
        segment.extend_from_slice(payload);
        // Zero means "no checksum", so a sum of zero is written as its complement. RFC 768.
        if missing == 0 {
            let sum = transport_checksum(from.ip(), to.ip(), UDP, &segment);
            put_u16(&mut segment, 6, if sum == 0 { 0xffff } else { sum });
        }
        self.packet(at, (from.ip(), to.ip()), UDP, (&segment, missing))
    }

    /// Bytes of a stream; the first of a stream brings its handshake.
    ///
    /// # Errors
    /// What the writer says.
    pub fn tcp(
        &mut self,
        at: Duration,
        from: SocketAddr,
        to: SocketAddr,
        payload: &[u8],
    ) -> io::Result<()> {
        if !self.streams.contains_key(&(from, to)) {
            self.segment(at, (from, to), FLAG_SYN, &[])?;
            self.segment(at, (to, from), FLAG_SYN | FLAG_ACK, &[])?;
            self.segment(at, (from, to), FLAG_ACK, &[])?;
        }
        for part in payload.chunks(SEGMENT_BYTES_MAX) {
            self.segment(at, (from, to), FLAG_ACK | FLAG_PUSH, part)?;
        }
        Ok(())
    }

    /// What is written to.
    pub const fn get_ref(&self) -> &W {
        &self.out
    }

    /// Writes what is buffered.
    ///
    /// # Errors
    /// What the writer says.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn segment(
        &mut self,
        at: Duration,
        way: (SocketAddr, SocketAddr),
        flags: u8,
        payload: &[u8],
    ) -> io::Result<()> {
        let (from, to) = way;
        let acknowledged = self.streams.get(&(to, from)).copied().unwrap_or(0);
        let sequence = self.streams.entry(way).or_insert(0);
        let mut segment = Vec::with_capacity(payload.len() + 20);
        segment.extend_from_slice(&from.port().to_be_bytes());
        segment.extend_from_slice(&to.port().to_be_bytes());
        segment.extend_from_slice(&sequence.to_be_bytes());
        segment.extend_from_slice(&acknowledged.to_be_bytes());
        segment.extend_from_slice(&[0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
        segment.extend_from_slice(payload);
        let counted = payload.len() + usize::from(flags & FLAG_SYN != 0);
        *sequence = sequence.wrapping_add(u32::try_from(counted).unwrap_or(0));
        let sum = transport_checksum(from.ip(), to.ip(), TCP, &segment);
        put_u16(&mut segment, 16, sum);
        self.packet(at, (from.ip(), to.ip()), TCP, (&segment, 0))
    }

    fn packet(
        &mut self,
        at: Duration,
        (from, to): (IpAddr, IpAddr),
        protocol: u8,
        (segment, missing): (&[u8], usize),
    ) -> io::Result<()> {
        let head = ip_header(from, to, protocol, segment.len() + missing);
        let number = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        let kept = number(head.len() + segment.len());
        let length = number(head.len() + segment.len() + missing);
        let seconds = u32::try_from(at.as_secs()).unwrap_or(u32::MAX);
        self.out.write_all(&seconds.to_le_bytes())?;
        self.out.write_all(&at.subsec_nanos().to_le_bytes())?;
        self.out.write_all(&kept.to_le_bytes())?;
        self.out.write_all(&length.to_le_bytes())?;
        self.out.write_all(&head)?;
        self.out.write_all(segment)
    }
}

fn ip_header(from: IpAddr, to: IpAddr, protocol: u8, payload: usize) -> Vec<u8> {
    if let (IpAddr::V6(from), IpAddr::V6(to)) = (from, to) {
        let length = u16::try_from(payload).unwrap_or(u16::MAX);
        let mut head = vec![0x60, 0, 0, 0];
        head.extend_from_slice(&length.to_be_bytes());
        head.extend_from_slice(&[protocol, 64]);
        head.extend_from_slice(&from.octets());
        head.extend_from_slice(&to.octets());
        return head;
    }
    let octets = |address: IpAddr| match address {
        IpAddr::V4(v4) => v4.octets(),
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or([0; 4], |v4| v4.octets()),
    };
    let length = u16::try_from(payload + 20).unwrap_or(u16::MAX);
    let mut head = vec![0x45, 0];
    head.extend_from_slice(&length.to_be_bytes());
    head.extend_from_slice(&[0, 0, 0x40, 0, 64, protocol, 0, 0]);
    head.extend_from_slice(&octets(from));
    head.extend_from_slice(&octets(to));
    let sum = checksum(0, &head);
    put_u16(&mut head, 10, sum);
    head
}

/// The Internet checksum over the pseudo-header and the segment. RFC 9293 §3.1, RFC 8200 §8.1.
fn transport_checksum(from: IpAddr, to: IpAddr, protocol: u8, segment: &[u8]) -> u16 {
    let mut sum = 0;
    for address in [from, to] {
        sum = match address {
            IpAddr::V4(v4) => words(sum, &v4.octets()),
            IpAddr::V6(v6) => words(sum, &v6.octets()),
        };
    }
    let length = u32::try_from(segment.len()).unwrap_or(u32::MAX);
    sum = words(sum, &length.to_be_bytes());
    checksum(sum + u32::from(protocol), segment)
}

fn checksum(start: u32, bytes: &[u8]) -> u16 {
    let mut sum = words(start, bytes);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(0)
}

fn words(start: u32, bytes: &[u8]) -> u32 {
    bytes.chunks(2).fold(start, |sum, pair| match *pair {
        [high, low] => sum + u32::from(u16::from_be_bytes([high, low])),
        [high] => sum + u32::from(u16::from_be_bytes([high, 0])),
        _ => sum,
    })
}

fn put_u16(bytes: &mut [u8], at: usize, value: u16) {
    if let Some(place) = bytes.get_mut(at..at + 2) {
        place.copy_from_slice(&value.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datagram_is_a_valid_ip_packet_in_the_file() {
        let mut file = Vec::new();
        let mut capture = Capture::begin(&mut file).unwrap();
        let (from, to) = ("127.0.0.1:5060".parse().unwrap(), "127.0.0.2:6060".parse().unwrap());
        capture.udp(Duration::from_millis(1_500), from, to, b"hello").unwrap();
        let packet = &file[24 + 16..];
        assert_eq!(packet.len(), 20 + 8 + 5);
        assert_eq!(checksum(0, &packet[..20]), 0, "the IP header sums up");
        assert_eq!(transport_checksum(from.ip(), to.ip(), UDP, &packet[20..]), 0);
        assert_eq!(&file[24..32], &[1, 0, 0, 0, 0, 0x65, 0xcd, 0x1d], "1.5 s");
    }

    #[test]
    fn a_stream_counts_its_bytes_both_ways() {
        let mut capture = Capture::begin(Vec::new()).unwrap();
        let (a, b) = ("[::1]:1".parse().unwrap(), "[::1]:2".parse().unwrap());
        capture.tcp(Duration::ZERO, a, b, b"ping").unwrap();
        capture.tcp(Duration::ZERO, b, a, &[0; 40_000]).unwrap();
        assert_eq!(capture.streams[&(a, b)], 5);
        assert_eq!(capture.streams[&(b, a)], 40_001);
    }
}

//! RTCP compound packets, written into and read from plain buffers. RFC 3550 §6.
//!
//! [`Writer`] builds what we send (SR or RR, SDES with CNAME, BYE); [`Compound`] walks what a peer
//! sent. Neither allocates.

use crate::reception::middle;

/// Room for the largest compound packet we write: SR with one block, a CNAME of 255 bytes, BYE.
pub const COMPOUND_BYTES_MAX: usize = 28 + 24 + 12 + 256 + 8;

/// Packets we look at in one compound; the rest is ignored.
const PACKETS_MAX: usize = 32;

const SR: u8 = 200;
const RR: u8 = 201;
const SDES: u8 = 202;
const BYE: u8 = 203;

/// What a sender says of itself. RFC 3550 §6.4.1.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SenderInfo {
    /// Wall-clock time of the report, as an NTP timestamp.
    pub ntp: u64,
    /// The same moment in the stream's timestamp units.
    pub timestamp: u32,
    /// Packets sent since the start.
    pub packets: u32,
    /// Payload bytes sent since the start.
    pub octets: u32,
}

/// What a receiver says of one source. RFC 3550 §6.4.1.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ReportBlock {
    /// The source this is about.
    pub ssrc: u32,
    /// Loss since the last report, in 256ths.
    pub fraction_lost: u8,
    /// Packets lost in all; 24 bits, signed.
    pub lost: i32,
    /// The highest sequence number received, extended by its cycles.
    pub highest_sequence: u32,
    /// Interarrival jitter in timestamp units.
    pub jitter: u32,
    /// The middle 32 bits of the NTP time in the last sender report; 0 for none.
    pub last_report: u32,
    /// The time since that report, in 65536ths of a second.
    pub delay: u32,
}

impl ReportBlock {
    /// The round-trip time in microseconds, if this answers a report of ours. RFC 3550 §6.4.1.
    pub fn round_trip_us(&self, ntp_now: u64) -> Option<u64> {
        if self.last_report == 0 {
            return None;
        }
        let units = middle(ntp_now).wrapping_sub(self.last_report).wrapping_sub(self.delay);
        // More than half the circle is a clock that ran backwards, not a round trip.
        (units < 0x8000_0000).then(|| u64::from(units) * 1_000_000 / 65_536)
    }
}

/// The NTP timestamp of a moment given in nanoseconds since the Unix epoch. RFC 3550 §4.
pub fn ntp(unix_ns: u64) -> u64 {
    const EPOCHS_APART_S: u64 = 2_208_988_800;
    let seconds = (unix_ns / 1_000_000_000).wrapping_add(EPOCHS_APART_S);
    let fraction = ((unix_ns % 1_000_000_000) << 32) / 1_000_000_000;
    (seconds << 32) | fraction
}

/// Builds one compound packet in a buffer that is always large enough.
#[derive(Debug)]
pub struct Writer {
    bytes: [u8; COMPOUND_BYTES_MAX],
    len: usize,
}

impl Writer {
    /// Begins with a sender report, or a receiver report for one who sent nothing lately: the
    /// packet that every compound begins with. RFC 3550 §6.1.
    pub fn new(ssrc: u32, sender: Option<SenderInfo>, block: Option<ReportBlock>) -> Self {
        let mut this = Self { bytes: [0; COMPOUND_BYTES_MAX], len: 0 };
        let start = this.begin(if sender.is_some() { SR } else { RR }, u8::from(block.is_some()));
        this.put(&ssrc.to_be_bytes());
        if let Some(info) = sender {
            this.put(&info.ntp.to_be_bytes());
            this.put(&info.timestamp.to_be_bytes());
            this.put(&info.packets.to_be_bytes());
            this.put(&info.octets.to_be_bytes());
        }
        if let Some(block) = block {
            let [_, a, b, c] = block.lost.clamp(-0x80_0000, 0x7f_ffff).to_be_bytes();
            this.put(&block.ssrc.to_be_bytes());
            this.put(&[block.fraction_lost, a, b, c]);
            this.put(&block.highest_sequence.to_be_bytes());
            this.put(&block.jitter.to_be_bytes());
            this.put(&block.last_report.to_be_bytes());
            this.put(&block.delay.to_be_bytes());
        }
        this.end(start);
        this
    }

    /// Adds who we are; of a longer CNAME the first 255 bytes. RFC 3550 §6.5.1.
    pub fn cname(&mut self, ssrc: u32, cname: &[u8]) {
        let cname = cname.get(..255).unwrap_or(cname);
        let start = self.begin(SDES, 1);
        self.put(&ssrc.to_be_bytes());
        self.put(&[1, u8::try_from(cname.len()).unwrap_or(u8::MAX)]);
        self.put(cname);
        // The list ends with one to four zero bytes, up to the next word.
        let fill = 4 - (self.len - start) % 4;
        self.put([0; 4].get(..fill).unwrap_or_default());
        self.end(start);
    }

    /// Adds our farewell. RFC 3550 §6.6.
    pub fn bye(&mut self, ssrc: u32) {
        let start = self.begin(BYE, 1);
        self.put(&ssrc.to_be_bytes());
        self.end(start);
    }

    /// The datagram.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    fn begin(&mut self, kind: u8, count: u8) -> usize {
        let start = self.len;
        self.put(&[0x80 | count, kind, 0, 0]);
        start
    }

    fn end(&mut self, start: usize) {
        let words = u16::try_from((self.len - start) / 4 - 1).unwrap_or(u16::MAX);
        if let Some(length) = self.bytes.get_mut(start + 2..start + 4) {
            length.copy_from_slice(&words.to_be_bytes());
        }
    }

    fn put(&mut self, bytes: &[u8]) {
        if let Some(room) = self.bytes.get_mut(self.len..self.len + bytes.len()) {
            room.copy_from_slice(bytes);
            self.len += bytes.len();
        }
    }
}

/// One thing that a peer's compound packet says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Said {
    /// A sender report's own part.
    Sender {
        /// Who sent it.
        ssrc: u32,
        /// What it says of itself.
        info: SenderInfo,
    },
    /// One report block of a sender or receiver report.
    Block(ReportBlock),
    /// The source leaves.
    Bye {
        /// Who leaves.
        ssrc: u32,
    },
}

/// A peer's compound packet, checked as RFC 3550 A.2 wants.
#[derive(Clone, Copy, Debug)]
pub struct Compound<'a>(&'a [u8]);

impl<'a> Compound<'a> {
    /// Accepts a datagram whose first packet is SR or RR, version 2, without padding, and whose
    /// packets' lengths add up to it.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (&first, &kind) = (bytes.first()?, bytes.get(1)?);
        if first & 0xe0 != 0x80 || !(kind == SR || kind == RR) {
            return None;
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = split(rest)?.1;
        }
        Some(Self(bytes))
    }

    /// Calls `hear` with each thing said, in order.
    pub fn for_each(&self, mut hear: impl FnMut(Said)) {
        let mut rest = self.0;
        for _ in 0..PACKETS_MAX {
            let Some((packet, after)) = split(rest) else { break };
            rest = after;
            let count = usize::from(packet.count);
            match packet.kind {
                SR => sender_report(packet.body, count, &mut hear),
                RR => {
                    blocks(packet.body.get(4..).unwrap_or_default(), count, &mut hear);
                }
                BYE => {
                    for ssrc in packet.body.as_chunks::<4>().0.iter().take(count) {
                        hear(Said::Bye { ssrc: u32::from_be_bytes(*ssrc) });
                    }
                }
                // SDES, APP, feedback (RFC 4585), XR: nothing that we use.
                _ => {}
            }
        }
    }
}

struct Part<'a> {
    count: u8,
    kind: u8,
    body: &'a [u8],
}

/// The first packet and what follows it; `None` for a wrong version or length.
fn split(bytes: &[u8]) -> Option<(Part<'_>, &[u8])> {
    let (&[first, kind, l0, l1], rest) = bytes.split_first_chunk::<4>()?;
    if first >> 6 != 2 {
        return None;
    }
    let (body, after) = rest.split_at_checked(usize::from(u16::from_be_bytes([l0, l1])) * 4)?;
    Some((Part { count: first & 0x1f, kind, body }, after))
}

fn sender_report(body: &[u8], count: usize, hear: &mut impl FnMut(Said)) {
    let Some((head, rest)) = body.split_first_chunk::<24>() else { return };
    let &[s0, s1, s2, s3, n0, n1, n2, n3, n4, n5, n6, n7, tail @ ..] = head;
    let [t0, t1, t2, t3, p0, p1, p2, p3, o0, o1, o2, o3] = tail;
    hear(Said::Sender {
        ssrc: u32::from_be_bytes([s0, s1, s2, s3]),
        info: SenderInfo {
            ntp: u64::from_be_bytes([n0, n1, n2, n3, n4, n5, n6, n7]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            packets: u32::from_be_bytes([p0, p1, p2, p3]),
            octets: u32::from_be_bytes([o0, o1, o2, o3]),
        },
    });
    blocks(rest, count, hear);
}

fn blocks(bytes: &[u8], count: usize, hear: &mut impl FnMut(Said)) {
    for block in bytes.as_chunks::<24>().0.iter().take(count) {
        let &[s0, s1, s2, s3, fraction_lost, l0, l1, l2, h0, h1, h2, h3, tail @ ..] = block;
        let [j0, j1, j2, j3, r0, r1, r2, r3, d0, d1, d2, d3] = tail;
        hear(Said::Block(ReportBlock {
            ssrc: u32::from_be_bytes([s0, s1, s2, s3]),
            fraction_lost,
            // The shift back carries the sign of the 24 bits along.
            lost: i32::from_be_bytes([l0, l1, l2, 0]) >> 8,
            highest_sequence: u32::from_be_bytes([h0, h1, h2, h3]),
            jitter: u32::from_be_bytes([j0, j1, j2, j3]),
            last_report: u32::from_be_bytes([r0, r1, r2, r3]),
            delay: u32::from_be_bytes([d0, d1, d2, d3]),
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: SenderInfo =
        SenderInfo { ntp: 0x1122_3344_5566_7788, timestamp: 99, packets: 50, octets: 8_000 };

    fn said(bytes: &[u8]) -> Option<Vec<Said>> {
        let mut said = Vec::new();
        Compound::parse(bytes)?.for_each(|one| said.push(one));
        Some(said)
    }

    #[test]
    fn section_6_4_1_a_compound_reads_back_as_it_was_written() {
        let block = ReportBlock {
            ssrc: 5,
            fraction_lost: 12,
            lost: -3,
            highest_sequence: 70_000,
            jitter: 11,
            last_report: 22,
            delay: 33,
        };
        for cname in [&b""[..], b"a", b"ab", b"abc", b"abcd", &[b'x'; 300]] {
            let mut writer = Writer::new(7, Some(INFO), Some(block));
            writer.cname(7, cname);
            writer.bye(7);
            assert_eq!(writer.bytes().len() % 4, 0);
            let expected =
                [Said::Sender { ssrc: 7, info: INFO }, Said::Block(block), Said::Bye { ssrc: 7 }];
            assert_eq!(said(writer.bytes()).unwrap(), expected);
        }
        assert_eq!(said(Writer::new(7, None, None).bytes()).unwrap(), []);
    }

    #[test]
    fn section_6_5_the_cname_item_stands_as_the_rfc_draws_it() {
        let mut writer = Writer::new(0x0102_0304, None, None);
        writer.cname(0x0102_0304, b"abcdef");
        let rr = [0x80, 201, 0, 1, 1, 2, 3, 4];
        let sdes = [0x81, 202, 0, 4, 1, 2, 3, 4, 1, 6, b'a', b'b', b'c', b'd', b'e', b'f'];
        assert_eq!(writer.bytes(), [&rr[..], &sdes, &[0; 4]].concat());
    }

    #[test]
    fn appendix_a_2_what_is_no_compound_is_refused() {
        let good = Writer::new(7, Some(INFO), None).bytes().to_vec();
        for len in 0..good.len() {
            assert_eq!(said(&good[..len]), None, "cut at {len}");
        }
        let mut padded = good.clone();
        padded[0] |= 0x20;
        assert_eq!(said(&padded), None);
        assert_eq!(said(&[0x80, 203, 0, 0]), None);
        assert_eq!(said(&[&good[..], &[0x40, 203, 0, 0]].concat()), None);
    }

    #[test]
    fn section_6_4_1_the_round_trip_of_the_rfcs_own_figure() {
        // RFC 3550 figure 2: A = 0xb7108000, DLSR = 0x00054000, LSR = 0xb7052000: 6.125 s.
        let block =
            ReportBlock { last_report: 0xb705_2000, delay: 0x0005_4000, ..ReportBlock::default() };
        assert_eq!(block.round_trip_us(0xb710_8000 << 16), Some(6_125_000));
        assert_eq!(block.round_trip_us(0xb705_3000 << 16), None);
        assert_eq!(ReportBlock::default().round_trip_us(1), None);
    }

    #[test]
    fn section_4_ntp_time_counts_from_1900() {
        assert_eq!(ntp(0), 2_208_988_800 << 32);
        assert_eq!(ntp(500_000_000) & 0xffff_ffff, 0x8000_0000);
    }
}

use vocab::Now;

use crate::packet::Packet;
use crate::rtcp::ReportBlock;

/// A jump forward of this many packets is a restart, not a loss. RFC 3550 A.1.
const MAX_DROPOUT: u16 = 3_000;
/// Packets this late or less are reordered, not a restart. RFC 3550 A.1.
const MAX_MISORDER: u16 = 100;
/// Packets in sequence that make a new source valid. RFC 3550 A.1.
const MIN_SEQUENTIAL: u8 = 2;

/// What we received from one source: RFC 3550 A.1 (validity), A.3 (loss) and A.8 (jitter).
#[derive(Clone, Debug, Default)]
pub struct Reception {
    source: Option<Source>,
}

#[derive(Clone, Debug)]
struct Source {
    ssrc: u32,
    base: u16,
    max: u16,
    cycles: u32,
    /// The sequence number that would prove a restart.
    bad: Option<u16>,
    probation: u8,
    received: u32,
    expected_prior: u32,
    received_prior: u32,
    /// Arrival minus timestamp of the last packet, in clock units.
    transit: u32,
    /// Sixteen times the jitter, as A.8 keeps it.
    jitter_16: u32,
    /// The last timestamp: packets of one timestamp (telephone-events) do not count for jitter.
    timestamp: u32,
    /// The middle 32 bits of the last sender report's NTP time, and when it came.
    report: Option<(u32, Now)>,
}

impl Reception {
    /// Takes a packet that arrived at `now`; false while its source is not yet proven, or when the
    /// packet stands apart from its sequence. A new SSRC replaces the old one.
    pub fn receive(&mut self, now: Now, packet: &Packet<'_>) -> bool {
        let source = match &mut self.source {
            Some(source) if source.ssrc == packet.ssrc => source,
            other => other.insert(Source::new(now, packet)),
        };
        let valid = source.sequence(packet.sequence);
        if valid {
            source.arrival(now, packet.timestamp);
        }
        valid
    }

    /// Takes the time of a sender report of this source.
    pub fn sender_report(&mut self, now: Now, ssrc: u32, ntp: u64) {
        if let Some(source) = self.source.as_mut().filter(|source| source.ssrc == ssrc) {
            source.report = Some((middle(ntp), now));
        }
    }

    /// The block for our next report; begins a new interval of loss. `None` before any packet.
    pub fn report(&mut self, now: Now) -> Option<ReportBlock> {
        let source = self.source.as_mut().filter(|source| source.probation == 0)?;
        let expected = source.expected();
        let lost = expected.wrapping_sub(source.received).cast_signed();
        let expected_interval = expected.wrapping_sub(source.expected_prior);
        let received_interval = source.received.wrapping_sub(source.received_prior);
        source.expected_prior = expected;
        source.received_prior = source.received;
        let lost_interval = u64::from(expected_interval.saturating_sub(received_interval));
        let fraction = (lost_interval << 8).checked_div(u64::from(expected_interval)).unwrap_or(0);
        let (last_report, delay) = source.report.map_or((0, 0), |(ntp, at)| {
            let units = now.since(at).as_micros().saturating_mul(65_536) / 1_000_000;
            (ntp, u32::try_from(units).unwrap_or(u32::MAX))
        });
        Some(ReportBlock {
            ssrc: source.ssrc,
            fraction_lost: u8::try_from(fraction).unwrap_or(u8::MAX),
            lost: lost.clamp(-0x80_0000, 0x7f_ffff),
            highest_sequence: source.cycles.wrapping_add(u32::from(source.max)),
            jitter: source.jitter_16 >> 4,
            last_report,
            delay,
        })
    }

    /// Packets received from the present source, late and double ones too.
    pub fn received(&self) -> u32 {
        self.source.as_ref().map_or(0, |source| source.received)
    }

    /// Packets of the present source that never came; negative with duplicates.
    pub fn lost(&self) -> i32 {
        self.source
            .as_ref()
            .filter(|source| source.probation == 0)
            .map_or(0, |source| source.expected().wrapping_sub(source.received).cast_signed())
    }

    /// The interarrival jitter in clock units (8 to the millisecond).
    pub fn jitter(&self) -> u32 {
        self.source.as_ref().map_or(0, |source| source.jitter_16 >> 4)
    }
}

impl Source {
    fn new(now: Now, packet: &Packet<'_>) -> Self {
        Self {
            ssrc: packet.ssrc,
            base: packet.sequence,
            max: packet.sequence.wrapping_sub(1),
            cycles: 0,
            bad: None,
            probation: MIN_SEQUENTIAL,
            received: 0,
            expected_prior: 0,
            received_prior: 0,
            transit: units(now).wrapping_sub(packet.timestamp),
            jitter_16: 0,
            timestamp: packet.timestamp,
            report: None,
        }
    }

    fn restart(&mut self, sequence: u16) {
        self.base = sequence;
        self.max = sequence;
        self.cycles = 0;
        self.bad = None;
        self.received = 0;
        self.expected_prior = 0;
        self.received_prior = 0;
    }

    /// A.1's `update_seq`.
    fn sequence(&mut self, sequence: u16) -> bool {
        let ahead = sequence.wrapping_sub(self.max);
        if self.probation > 0 {
            if ahead == 1 {
                self.probation -= 1;
                self.max = sequence;
                if self.probation == 0 {
                    self.restart(sequence);
                    self.received = 1;
                    return true;
                }
            } else {
                self.probation = MIN_SEQUENTIAL - 1;
                self.max = sequence;
            }
            return false;
        }
        if ahead < MAX_DROPOUT {
            if sequence < self.max {
                self.cycles = self.cycles.wrapping_add(0x1_0000);
            }
            self.max = sequence;
        } else if ahead <= u16::MAX - MAX_MISORDER {
            if self.bad == Some(sequence) {
                self.restart(sequence);
            } else {
                self.bad = Some(sequence.wrapping_add(1));
                return false;
            }
        }
        self.received = self.received.wrapping_add(1);
        true
    }

    /// A.8.
    fn arrival(&mut self, now: Now, timestamp: u32) {
        let transit = units(now).wrapping_sub(timestamp);
        let change = transit.wrapping_sub(self.transit).cast_signed().unsigned_abs();
        if timestamp != self.timestamp {
            self.jitter_16 =
                self.jitter_16.saturating_add(change).saturating_sub((self.jitter_16 + 8) >> 4);
        }
        self.transit = transit;
        self.timestamp = timestamp;
    }

    fn expected(&self) -> u32 {
        self.cycles
            .wrapping_add(u32::from(self.max))
            .wrapping_sub(u32::from(self.base))
            .wrapping_add(1)
    }
}

/// A moment in clock units, modulo 2^32.
fn units(now: Now) -> u32 {
    let [.., a, b, c, d] = (now.as_micros() / 125).to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}

/// The middle 32 of 64 bits, as LSR wants them. RFC 3550 §6.4.1.
pub(crate) fn middle(ntp: u64) -> u32 {
    let [_, _, a, b, c, d, _, _] = ntp.to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(sequence: u16, timestamp: u32) -> Packet<'static> {
        Packet { marker: false, payload_type: 0, sequence, timestamp, ssrc: 7, payload: &[] }
    }

    /// Receives these sequence numbers 20 ms apart; answers (received, lost, fraction, highest).
    #[track_caller]
    fn check(sequences: &[u16], expected: Option<(u32, i32, u8, u32)>) {
        let mut reception = Reception::default();
        for (sequence, n) in sequences.iter().zip(0_u32..) {
            let now = Now::from_millis(u64::from(n) * 20);
            reception.receive(now, &packet(*sequence, n * 160));
        }
        let report = reception.report(Now::from_millis(9_000));
        let found =
            report.map(|r| (reception.received(), r.lost, r.fraction_lost, r.highest_sequence));
        assert_eq!(found, expected, "{sequences:?}");
        assert_eq!(reception.jitter(), 0, "20 ms apart is no jitter");
    }

    #[test]
    fn appendix_a_1_and_a_3_loss_reordering_duplicates_and_wrap() {
        check(&[5], None);
        check(&[5, 6], Some((1, 0, 0, 6)));
        check(&[5, 6, 7, 8], Some((3, 0, 0, 8)));
        check(&[5, 6, 8, 9], Some((3, 1, 64, 9)));
        check(&[5, 6, 8, 7, 9], Some((4, 0, 0, 9)));
        check(&[5, 6, 7, 7], Some((3, -1, 0, 7)));
        check(&[65_534, 65_535, 0, 1], Some((3, 0, 0, 65_537)));
        // One stray packet far away is ignored; two in a row are a restart.
        check(&[5, 6, 30_000, 7], Some((2, 0, 0, 7)));
        check(&[5, 6, 30_000, 30_001, 30_002], Some((2, 0, 0, 30_002)));
    }

    #[test]
    fn appendix_a_8_jitter_follows_uneven_arrivals() {
        let mut reception = Reception::default();
        for n in 0..200_u32 {
            let late = if n % 2 == 0 { 0 } else { 5 };
            reception.receive(
                Now::from_millis(u64::from(n * 20 + late)),
                &packet(u16::try_from(n).unwrap(), n * 160),
            );
        }
        // A steady change of 40 units settles at a jitter of 40.
        assert!((38..=40).contains(&reception.jitter()), "{}", reception.jitter());
    }

    #[test]
    fn section_6_4_1_the_delay_since_the_last_sender_report_counts_in_65536ths() {
        let mut reception = Reception::default();
        reception.receive(Now::from_millis(0), &packet(1, 0));
        reception.receive(Now::from_millis(20), &packet(2, 160));
        reception.sender_report(Now::from_millis(1_000), 7, 0x1122_3344_5566_7788);
        reception.sender_report(Now::from_millis(1_900), 8, 0);
        let report = reception.report(Now::from_millis(3_500)).unwrap();
        assert_eq!((report.last_report, report.delay), (0x3344_5566, 163_840));
    }
}

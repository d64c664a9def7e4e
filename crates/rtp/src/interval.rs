use std::time::Duration;

use vocab::Now;

/// The least mean time between reports of one member. RFC 3550 §6.2.
const MIN: Duration = Duration::from_secs(5);

/// RTCP's share of the session bandwidth: 5 % of two G.711 directions, in bytes a second.
const BANDWIDTH: f64 = 0.05 * 2.0 * 10_000.0;

/// Our reports' size with IP and UDP headers when nothing was sent yet. RFC 3550 §6.3.2.
const FIRST_BYTES: f64 = 128.0;

/// Undoes the bias of timer reconsideration: e − 1.5. RFC 3550 §6.3.1.
const COMPENSATION: f64 = 1.218_28;

/// When this member's next RTCP packet is due. RFC 3550 §6.3 and A.7, for sessions of two.
///
/// Reconsiders at each expiry, as the RFC wants; draws its randomness from a seed of its own.
#[derive(Clone, Debug)]
pub struct RtcpSchedule {
    seed: u64,
    last: Now,
    due: Now,
    average_bytes: f64,
    initial: bool,
}

impl RtcpSchedule {
    /// A schedule for a member that joins at `now`.
    pub fn new(seed: u64, now: Now) -> Self {
        let mut this =
            Self { seed: seed | 1, last: now, due: now, average_bytes: FIRST_BYTES, initial: true };
        this.due = now + this.interval(1);
        this
    }

    /// The moment at which to ask [`RtcpSchedule::expired`].
    pub fn due(&self) -> Now {
        self.due
    }

    /// Whether a report is to be sent at `now`; when not, the timer was put forward.
    /// `members` counts us too.
    pub fn expired(&mut self, now: Now, members: u32) -> bool {
        if now < self.due {
            return false;
        }
        let earliest = self.last + self.interval(members);
        if earliest > now {
            self.due = earliest;
            return false;
        }
        self.last = now;
        self.initial = false;
        self.due = now + self.interval(members);
        true
    }

    /// Takes the size of an RTCP datagram sent or received, without IP and UDP headers, into the
    /// mean. RFC 3550 §6.3.3.
    pub fn measured(&mut self, datagram_bytes: u32) {
        let with_headers = f64::from(datagram_bytes) + 28.0;
        self.average_bytes = with_headers / 16.0 + self.average_bytes * 15.0 / 16.0;
    }

    /// A.7 with `senders > members / 4`, which always holds for two members of which one sends.
    fn interval(&mut self, members: u32) -> Duration {
        let least = if self.initial { MIN / 2 } else { MIN };
        let mean = (self.average_bytes * f64::from(members) / BANDWIDTH).max(least.as_secs_f64());
        Duration::from_secs_f64(mean * (self.draw() + 0.5) / COMPENSATION)
    }

    /// A number from 0 up to 1: xorshift64*, whose upper half is good enough to spread timers.
    fn draw(&mut self) -> f64 {
        self.seed ^= self.seed >> 12;
        self.seed ^= self.seed << 25;
        self.seed ^= self.seed >> 27;
        let [a, b, c, d, ..] = self.seed.wrapping_mul(0x2545_f491_4f6c_dd1d).to_be_bytes();
        f64::from(u32::from_be_bytes([a, b, c, d])) / 4_294_967_296.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn section_6_3_reports_come_every_five_seconds_on_average_and_never_in_step() {
        let mut gaps = Vec::new();
        for seed in 1..200 {
            let mut schedule = RtcpSchedule::new(seed * 7_919, Now::ZERO);
            let (mut now, mut last) = (Now::ZERO, None);
            while now < Now::from_millis(120_000) {
                now = now + Duration::from_millis(20);
                if schedule.expired(now, 2) {
                    if let Some(last) = last {
                        gaps.push(now.since(last).as_secs_f64());
                    } else {
                        let first = now.since(Now::ZERO).as_secs_f64();
                        assert!((1.0..=5.2).contains(&first), "half the time at first: {first}");
                    }
                    last = Some(now);
                    schedule.measured(100);
                }
            }
        }
        let mean = gaps.iter().sum::<f64>() / f64::from(u32::try_from(gaps.len()).unwrap());
        assert!((4.5..=5.5).contains(&mean), "mean {mean}");
        let (least, most) = gaps.iter().fold((f64::MAX, 0.0), |(a, b), &g| (g.min(a), g.max(b)));
        assert!(least >= 2.0 && most <= 6.3, "{least} to {most}");
        assert!(most - least > 2.0, "spread over {least} to {most}");
    }

    #[test]
    fn section_6_3_1_many_members_share_the_bandwidth() {
        let mut schedule = RtcpSchedule::new(3, Now::ZERO);
        assert!(!schedule.expired(Now::from_millis(5_200), 10_000), "reconsidered: put off");
        assert!(schedule.due() > Now::from_millis(100_000));
    }
}

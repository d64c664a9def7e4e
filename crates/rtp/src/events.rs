use vocab::Now;

use crate::packet::Packet;

/// A key press whose packets stop without an end packet is over after this long.
const LOST_END_MS: u64 = 250;

/// A finished telephone-event. RFC 4733 §2.3.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct KeyPress {
    /// The event's code: 0 to 9, 10 for `*`, 11 for `#`, 12 to 15 for A to D, 16 for a hook flash.
    pub event: u8,
    /// How long it lasted, in timestamp units.
    pub duration: u32,
}

impl KeyPress {
    /// How long it lasted.
    pub fn duration_ms(self) -> u32 {
        self.duration / (crate::CLOCK_HZ / 1_000)
    }
}

/// Turns telephone-event packets into key presses: each is told once, however often its packets
/// are repeated, reordered or lost. RFC 4733 §2.5.
#[derive(Clone, Debug, Default)]
pub struct EventReceiver {
    held: Option<Held>,
    /// The event told last; its repeated end packets come after it.
    told: Option<(u32, u32)>,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    ssrc: u32,
    timestamp: u32,
    event: u8,
    /// The part before `timestamp`, for an event longer than its 16-bit duration can say.
    before: u32,
    duration: u16,
    heard: Now,
}

impl Held {
    fn press(self) -> KeyPress {
        KeyPress { event: self.event, duration: self.before + u32::from(self.duration) }
    }
}

impl EventReceiver {
    /// Takes a packet of the telephone-event payload type. A press is answered at its end, or when
    /// the next one shows that its end was lost.
    pub fn receive(&mut self, now: Now, packet: &Packet<'_>) -> Option<KeyPress> {
        let &[event, flags, d0, d1] = packet.payload.first_chunk::<4>()?;
        let (source, duration) = ((packet.ssrc, packet.timestamp), u16::from_be_bytes([d0, d1]));
        let stale = |told: (u32, u32)| told.0 == source.0 && !newer(source.1, told.1);
        if self.told.is_some_and(stale) {
            return None;
        }
        let mut finished = None;
        let held = match self.held {
            Some(held) if (held.ssrc, held.timestamp) == source => {
                Held { duration: held.duration.max(duration), heard: now, ..held }
            }
            Some(held) if held.ssrc == source.0 && !newer(source.1, held.timestamp) => return None,
            other => {
                let continued = other.filter(|held| continues(held, packet, event));
                finished = other.filter(|_| continued.is_none());
                Held {
                    ssrc: source.0,
                    timestamp: source.1,
                    event,
                    before: continued.map_or(0, |held| held.press().duration),
                    duration,
                    heard: now,
                }
            }
        };
        let ended = flags & 0x80 != 0;
        self.held = (!ended).then_some(held);
        match (finished, ended) {
            (None, false) => None,
            (Some(lost), false) => self.tell(lost),
            (None, true) => self.tell(held),
            // Only the end packets of the second survived: it is told when its time is up.
            (Some(lost), true) => {
                self.held = Some(held);
                self.tell(lost)
            }
        }
    }

    /// The press whose end packets were all lost, once nothing was heard of it for a while.
    pub fn expire(&mut self, now: Now) -> Option<KeyPress> {
        let over = |held: &Held| now.since(held.heard).as_millis() >= u128::from(LOST_END_MS);
        let lost = self.held.filter(over)?;
        self.held = None;
        self.tell(lost)
    }

    /// Whether [`EventReceiver::expire`] has anything to wait for.
    pub fn is_held(&self) -> bool {
        self.held.is_some()
    }

    fn tell(&mut self, held: Held) -> Option<KeyPress> {
        self.told = Some((held.ssrc, held.timestamp));
        Some(held.press())
    }
}

/// Whether timestamp `a` is later than `b` on the circle.
fn newer(a: u32, b: u32) -> bool {
    a != b && a.wrapping_sub(b) < 0x8000_0000
}

/// Whether `packet` carries the next segment of a very long event. RFC 4733 §2.5.1.3.
fn continues(held: &Held, packet: &Packet<'_>, event: u8) -> bool {
    held.ssrc == packet.ssrc
        && held.event == event
        && !packet.marker
        && packet.timestamp == held.timestamp.wrapping_add(u32::from(held.duration))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each row is `timestamp event duration flags` with `m` for the marker and `e` for the end,
    /// 20 ms apart; `.` waits 300 ms. The answer lists `event:duration` as told.
    #[track_caller]
    fn check(packets: &str, expected: &str) {
        let mut receiver = EventReceiver::default();
        let (mut now, mut told) = (0, Vec::new());
        for row in packets.split(',').map(str::trim) {
            now += if row == "." { 300 } else { 20 };
            told.extend(receiver.expire(Now::from_millis(now)));
            if row == "." {
                continue;
            }
            let words: Vec<&str> = row.split_whitespace().collect();
            let number = |n: usize| words[n].parse::<u32>().unwrap();
            let flags = words.get(3).copied().unwrap_or_default();
            let [_, _, d0, d1] = number(2).to_be_bytes();
            let end = if flags.contains('e') { 0x8a } else { 0x0a };
            let payload = [u8::try_from(number(1)).unwrap(), end, d0, d1];
            told.extend(receiver.receive(
                Now::from_millis(now),
                &Packet {
                    marker: flags.contains('m'),
                    payload_type: 101,
                    sequence: 0,
                    timestamp: number(0),
                    ssrc: 1,
                    payload: &payload,
                },
            ));
        }
        let told: Vec<String> =
            told.iter().map(|press| format!("{}:{}", press.event, press.duration)).collect();
        assert_eq!(told.join(" "), expected, "{packets}");
    }

    #[test]
    fn section_2_5_each_press_is_told_once() {
        check("800 5 160 m, 800 5 320, 800 5 480 e, 800 5 480 e, 800 5 480 e", "5:480");
        check("800 5 480 e", "5:480");
        check("800 5 160 m, 800 5 480 e, 1600 5 160 m, 1600 5 400 e, 1600 5 400 e", "5:480 5:400");
    }

    #[test]
    fn section_2_5_reordered_packets_tell_nothing_twice() {
        check("800 5 320, 800 5 160 m, 800 5 480 e, 800 5 320", "5:480");
        check("1600 6 160 e, 800 5 480 e", "6:160");
    }

    #[test]
    fn section_2_5_lost_end_packets_are_made_up_for() {
        check("800 5 160 m, 800 5 320, .", "5:320");
        check("800 5 160 m, 2400 6 160 m, 2400 6 400 e", "5:160 6:400");
        check("800 5 160 m, 2400 6 400 e, ., 2400 6 400 e", "5:160 6:400");
    }

    #[test]
    fn section_2_5_1_3_a_very_long_event_is_one() {
        check("800 5 65535 m, 66335 5 800, 66335 5 900 e", "5:66435");
    }

    #[test]
    fn short_payloads_tell_nothing() {
        let packet = Packet {
            marker: true,
            payload_type: 101,
            sequence: 0,
            timestamp: 0,
            ssrc: 0,
            payload: &[5, 0x80, 1],
        };
        assert_eq!(EventReceiver::default().receive(Now::ZERO, &packet), None);
    }
}

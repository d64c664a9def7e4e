//! The ring through which one live source is heard by any number of calls.
//!
//! Time is cut into units of 10 ms on the machine's monotonic clock: unit `n` is the audio for
//! `[n * 10 ms, (n + 1) * 10 ms)` since boot. The writer writes [`LIVE_AHEAD_UNITS`] ahead of the clock;
//! a reader asks for the unit its clock stands at, and hears what every other reader hears. Readers
//! neither wait nor write: a unit that is not there, or is being overwritten, is simply not there.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::time::Duration;

/// Milliseconds in a unit.
pub const UNIT_MS: u64 = 10;
/// Samples in a unit.
pub const UNIT_SAMPLES: usize = 80;
/// How far ahead of the clock the writer writes.
pub const LIVE_AHEAD_UNITS: u64 = 6;
/// Units the ring holds; older ones are overwritten.
pub const CAPACITY_UNITS: usize = 64;

/// One unit of audio.
pub type Unit = [i16; UNIT_SAMPLES];

const SAMPLES_A_WORD: usize = 4;
const WORDS: usize = UNIT_SAMPLES / SAMPLES_A_WORD;
/// The mark of a slot that is empty or being written; unit `n` is marked `n + 1`.
const BUSY: u64 = 0;

/// The unit that plays at this moment of the monotonic clock.
#[must_use]
pub fn unit_at(since_boot: Duration) -> u64 {
    u64::try_from(since_boot.as_millis()).unwrap_or(u64::MAX) / UNIT_MS
}

/// Makes a ring. The one writer is not `Clone`; the ring is shared with all who listen.
#[must_use]
pub fn ring() -> (Writer, Arc<Ring>) {
    let ring = Arc::new(Ring {
        slots: std::array::from_fn(|_| Slot::default()),
        newest: AtomicU64::new(0),
    });
    (Writer { ring: Arc::clone(&ring), next: 0 }, ring)
}

/// What listeners read.
#[derive(Debug)]
pub struct Ring {
    slots: [Slot; CAPACITY_UNITS],
    /// The newest unit plus one; 0 before the first.
    newest: AtomicU64,
}

/// A unit under a sequence lock: the mark is checked before and after the words are read.
#[derive(Debug, Default)]
struct Slot {
    mark: AtomicU64,
    words: [AtomicU64; WORDS],
}

impl Ring {
    /// Copies a unit out. False when it is not there: not written yet, or already overwritten; then
    /// `into` may hold anything.
    #[must_use]
    pub fn read(&self, unit: u64, into: &mut Unit) -> bool {
        let Some(slot) = self.slot(unit) else { return false };
        let mark = unit.wrapping_add(1);
        if mark == BUSY || slot.mark.load(Ordering::Acquire) != mark {
            return false;
        }
        for (samples, word) in into.as_chunks_mut::<SAMPLES_A_WORD>().0.iter_mut().zip(&slot.words)
        {
            *samples = unpack(word.load(Ordering::Relaxed));
        }
        // Whoever saw a word of the next unit sees its mark, too.
        fence(Ordering::Acquire);
        slot.mark.load(Ordering::Relaxed) == mark
    }

    /// The newest unit that was written.
    #[must_use]
    pub fn newest(&self) -> Option<u64> {
        self.newest.load(Ordering::Acquire).checked_sub(1)
    }

    fn slot(&self, unit: u64) -> Option<&Slot> {
        self.slots.get(usize::try_from(unit % CAPACITY_UNITS as u64).ok()?)
    }
}

/// The only hand that writes a [`Ring`].
#[derive(Debug)]
pub struct Writer {
    ring: Arc<Ring>,
    next: u64,
}

impl Writer {
    /// Writes a unit. Units only go forward; gaps are allowed and read as not there. False when the
    /// unit is not later than the last one: nothing is written then.
    pub fn write(&mut self, unit: u64, samples: &Unit) -> bool {
        if unit < self.next || unit == u64::MAX {
            return false;
        }
        let Some(slot) = self.ring.slot(unit) else { return false };
        slot.mark.store(BUSY, Ordering::Relaxed);
        fence(Ordering::Release);
        for (samples, word) in samples.as_chunks::<SAMPLES_A_WORD>().0.iter().zip(&slot.words) {
            word.store(pack(*samples), Ordering::Relaxed);
        }
        slot.mark.store(unit + 1, Ordering::Release);
        self.next = unit + 1;
        self.ring.newest.store(self.next, Ordering::Release);
        true
    }

    /// The first unit that may still be written.
    #[must_use]
    pub const fn next(&self) -> u64 {
        self.next
    }

    /// The ring this writes to.
    #[must_use]
    pub fn ring(&self) -> Arc<Ring> {
        Arc::clone(&self.ring)
    }
}

fn pack(samples: [i16; SAMPLES_A_WORD]) -> u64 {
    let [a, b, c, d] = samples.map(|s| u64::from(s.cast_unsigned()));
    a | b << 16 | c << 32 | d << 48
}

#[expect(clippy::cast_possible_truncation, reason = "takes the word apart, 16 bits at a time")]
fn unpack(word: u64) -> [i16; SAMPLES_A_WORD] {
    [word, word >> 16, word >> 32, word >> 48].map(|w| (w as u16).cast_signed())
}

#[cfg(test)]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "test patterns may wrap"
)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::thread;

    use super::*;

    fn filled(value: i16) -> Unit {
        [value; UNIT_SAMPLES]
    }

    #[test]
    fn a_unit_is_there_from_its_writing_until_the_ring_comes_round() {
        let (mut writer, ring) = ring();
        let mut heard = filled(0);
        assert_eq!(ring.newest(), None);
        assert!(!ring.read(0, &mut heard));
        for unit in 0..200u64 {
            let ramp: Unit = std::array::from_fn(|n| unit as i16 * 100 - n as i16 * 300);
            assert!(writer.write(unit, &ramp));
            assert_eq!(ring.newest(), Some(unit));
            assert!(ring.read(unit, &mut heard));
            assert_eq!(heard, ramp);
            assert!(!ring.read(unit + 1, &mut heard));
            assert!(ring.read(unit.saturating_sub(63), &mut heard));
            assert!(unit < 64 || !ring.read(unit - 64, &mut heard));
        }
        assert!(!ring.read(u64::MAX, &mut heard));
    }

    #[test]
    fn units_only_go_forward_and_gaps_stay_silent() {
        let (mut writer, ring) = ring();
        let mut heard = filled(0);
        assert!(writer.write(10, &filled(1)));
        assert!(!writer.write(10, &filled(2)));
        assert!(!writer.write(9, &filled(2)));
        assert!(writer.write(14, &filled(3)));
        assert!(ring.read(10, &mut heard) && heard == filled(1));
        assert!(!ring.read(12, &mut heard));
        assert!(ring.read(14, &mut heard) && heard == filled(3));
        assert!(!writer.write(u64::MAX, &filled(4)));
    }

    #[test]
    fn the_clock_names_the_unit() {
        for (micros, unit) in [(0, 0), (9_999, 0), (10_000, 1), (1_234_567, 123)] {
            assert_eq!(unit_at(Duration::from_micros(micros)), unit);
        }
    }

    #[test]
    fn racing_readers_never_hear_a_torn_unit() {
        let (mut writer, ring) = ring();
        let over = AtomicBool::new(false);
        let heard: u64 = thread::scope(|scope| {
            let readers: Vec<_> = (0..3)
                .map(|reader| {
                    let (ring, over) = (&ring, &over);
                    scope.spawn(move || {
                        let (mut heard, mut count) = (filled(0), 0);
                        while !over.load(Ordering::Relaxed) {
                            let Some(newest) = ring.newest() else { continue };
                            // The oldest units are the ones about to be overwritten.
                            let unit = newest.saturating_sub(62 + reader % 2);
                            if ring.read(unit, &mut heard) {
                                assert_eq!(heard, filled(unit as i16), "unit {unit}");
                                count += 1;
                            }
                        }
                        count
                    })
                })
                .collect();
            for unit in 0..30_000 {
                assert!(writer.write(unit, &filled(unit as i16)));
                if unit % 64 == 0 {
                    thread::yield_now();
                }
            }
            over.store(true, Ordering::Relaxed);
            readers.into_iter().map(|r| r.join().unwrap()).sum()
        });
        assert!(heard > 0);
    }
}

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use audio::live::{LIVE_AHEAD_UNITS, UNIT_MS, Writer, unit_at};
use rustix::thread::{ClockId, clock_nanosleep_absolute};
use rustix::time::{Timespec, clock_gettime};

use crate::board::{Board, Report};
use crate::intake::Intake;
use crate::strip::Strip;

/// A pacer that wakes later than this gives up the units it missed: the listeners did, too.
const CATCH_UP_UNITS_MAX: u64 = 32;
/// How often the board hears of level and buffer.
const REPORT_UNITS: u64 = 10;

/// One source as the pacer sees it.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) strip: Strip,
    pub(crate) intake: Arc<Intake>,
    pub(crate) writer: Writer,
    pub(crate) board: Arc<Board>,
}

/// All sources, brought forward together. Knows no clock: a test turns it by hand.
#[derive(Debug)]
pub(crate) struct Desk {
    lanes: Vec<Lane>,
    /// The next unit to write; `None` before the first.
    next: Option<u64>,
    late: Arc<AtomicU64>,
}

impl Desk {
    pub(crate) const fn new(lanes: Vec<Lane>, late: Arc<AtomicU64>) -> Self {
        Self { lanes, next: None, late }
    }

    /// Writes every unit that is due when the clock stands at `unit`.
    pub(crate) fn advance(&mut self, unit: u64) {
        let last = unit + LIVE_AHEAD_UNITS;
        let mut next = self.next.unwrap_or(unit);
        if next <= unit && self.next.is_some() {
            self.late.fetch_add(1, Ordering::Relaxed);
        }
        if unit.saturating_sub(next) > CATCH_UP_UNITS_MAX {
            next = unit;
        }
        while next <= last {
            for lane in &mut self.lanes {
                lane.write(next);
            }
            next += 1;
        }
        self.next = Some(next);
    }
}

impl Lane {
    fn write(&mut self, unit: u64) {
        let before = (self.strip.heard(), self.strip.is_silent());
        let strip = &mut self.strip;
        let (samples, buffered) = self.intake.draw(|supply| {
            let samples = strip.next(supply);
            (samples, supply.live.len() + supply.tail.len())
        });
        self.writer.write(unit, &samples);
        let (heard, silent) = (strip.heard(), strip.is_silent());
        if (heard, silent) != before || unit.is_multiple_of(REPORT_UNITS) {
            self.board.report(Report {
                heard,
                silent,
                loudness: strip.loudness(),
                underruns: strip.underruns(),
                buffered_samples: buffered,
            });
        }
    }
}

/// The thread that brings the desk forward on the machine's monotonic clock.
#[derive(Debug)]
pub(crate) struct Pacer {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Pacer {
    pub(crate) fn start(mut desk: Desk) -> io::Result<Self> {
        let over = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&over);
        // The first units are there before anybody can ask for them.
        desk.advance(unit_at(since_boot()));
        let thread = thread::Builder::new().name("source-pacer".to_owned()).spawn(move || {
            while !until.load(Ordering::Relaxed) {
                let unit = unit_at(since_boot());
                desk.advance(unit);
                sleep_until_unit(unit + 1);
            }
        })?;
        Ok(Self { over, thread: Some(thread) })
    }
}

impl Drop for Pacer {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the pacer of the live sources died");
        }
    }
}

/// The monotonic clock, as the engines read it.
pub(crate) fn since_boot() -> Duration {
    let time = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

fn sleep_until_unit(unit: u64) {
    let at = Duration::from_millis(unit * UNIT_MS);
    let at = Timespec {
        tv_sec: i64::try_from(at.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(at.subsec_nanos()),
    };
    // A signal only wakes us early; the next look at the clock mends that.
    let _ = clock_nanosleep_absolute(ClockId::Monotonic, &at);
}

#[cfg(test)]
mod tests {
    use audio::live::{CAPACITY_UNITS, UNIT_SAMPLES, ring};
    use tokio::sync::mpsc;

    use super::*;
    use crate::intake::Flow;

    #[test]
    fn the_pacer_keeps_ahead_catches_up_and_gives_up_what_is_long_past() {
        let (writer, ring) = ring();
        let intake = Arc::new(Intake::default());
        let (events, _heard) = mpsc::channel(8);
        let board = Arc::new(Board::new("a".into(), String::new(), events));
        let strip = Strip::new(Arc::from([1]), Duration::from_secs(1), None);
        let late = Arc::new(AtomicU64::new(0));
        let lane = Lane { strip, intake: Arc::clone(&intake), writer, board: Arc::clone(&board) };
        let mut desk = Desk::new(vec![lane], Arc::clone(&late));
        let there = |unit| ring.read(unit, &mut [0; UNIT_SAMPLES]);
        desk.advance(1_000);
        assert!((1_000..=1_006).all(there) && !there(1_007));
        desk.advance(1_003);
        assert!(there(1_009) && !there(1_010));
        assert_eq!(late.load(Ordering::Relaxed), 0);
        // 20 units late: every unit is written all the same.
        desk.advance(1_030);
        assert!((1_000..=1_036).all(there));
        assert_eq!(late.load(Ordering::Relaxed), 1);
        // A second late: nobody can hear those any more, and the source must not run behind.
        intake.begin(Flow::Paced).push(&[2; 8_000]).unwrap();
        desk.advance(1_040);
        desk.advance(1_200);
        assert!(!there(1_199) && (1_200..=1_206).all(there));
        assert_eq!(board.state().heard, crate::state::Heard::Source);
        assert!(CATCH_UP_UNITS_MAX + LIVE_AHEAD_UNITS < CAPACITY_UNITS as u64);
    }
}

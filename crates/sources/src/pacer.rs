use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
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
    /// It goes with its last listener.
    pub(crate) leaving: bool,
}

/// What the pacer is told while it runs.
#[derive(Debug)]
pub(crate) enum Order {
    /// One more source.
    Add(Box<Lane>),
    /// A source goes on with another fallback, or another patience with silence.
    Change { board: Arc<Board>, fallback: Arc<[i16]>, silence_after: Option<Duration> },
    /// A source is gone; whoever still listens hears the fallback.
    Leave(Arc<Board>),
    /// A source that was gone is there again, before its last listener went.
    Return(Arc<Board>),
}

/// The orders that the pacer has not read yet.
pub(crate) type Orders = Arc<Mutex<Vec<Order>>>;

/// All sources, brought forward together. Knows no clock: a test turns it by hand.
#[derive(Debug)]
pub(crate) struct Desk {
    lanes: Vec<Lane>,
    orders: Orders,
    /// The next unit to write; `None` before the first.
    next: Option<u64>,
    late: Arc<AtomicU64>,
}

impl Desk {
    pub(crate) const fn new(lanes: Vec<Lane>, orders: Orders, late: Arc<AtomicU64>) -> Self {
        Self { lanes, orders, next: None, late }
    }

    /// Does what was ordered; new lanes are brought to where the others are.
    fn obey(&mut self, unit: u64) {
        let waiting = Arc::clone(&self.orders);
        // Whoever orders holds the lock for a moment only; the next unit is soon enough.
        let Ok(mut orders) = waiting.try_lock() else { return };
        for order in orders.drain(..) {
            match order {
                Order::Add(mut lane) => {
                    (unit..self.next.unwrap_or(unit)).for_each(|unit| lane.write(unit));
                    self.lanes.push(*lane);
                }
                Order::Change { board, fallback, silence_after } => {
                    let lane = self.lanes.iter_mut().find(|lane| Arc::ptr_eq(&lane.board, &board));
                    if let Some(lane) = lane {
                        lane.strip.change(fallback, silence_after);
                    }
                }
                Order::Leave(board) => self.leaving(&board, true),
                Order::Return(board) => self.leaving(&board, false),
            }
        }
        // Within the lock: who holds it, and a ring, knows that its lane stays.
        self.lanes.retain(|lane| !lane.is_over());
    }

    fn leaving(&mut self, board: &Arc<Board>, leaving: bool) {
        let lane = self.lanes.iter_mut().find(|lane| Arc::ptr_eq(&lane.board, board));
        if let Some(lane) = lane {
            lane.leaving = leaving;
        }
    }

    /// Writes every unit that is due when the clock stands at `unit`.
    pub(crate) fn advance(&mut self, unit: u64) {
        self.obey(unit);
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
    /// Whether it is to go and nobody listens: only its writer holds the ring, and the hand that looks.
    fn is_over(&self) -> bool {
        self.leaving && Arc::strong_count(&self.writer.ring()) == 2
    }

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
        let (to_lane, its_board) = (Arc::clone(&intake), Arc::clone(&board));
        let lane = Lane { strip, intake: to_lane, writer, board: its_board, leaving: false };
        let mut desk = Desk::new(vec![lane], Orders::default(), Arc::clone(&late));
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
        // It is gone, and goes on for as long as somebody listens.
        desk.orders.lock().unwrap().push(Order::Leave(board));
        desk.advance(1_201);
        assert!(there(1_207) && desk.lanes.len() == 1);
        drop(ring);
        desk.advance(1_202);
        assert!(desk.lanes.is_empty());
        assert!(CATCH_UP_UNITS_MAX + LIVE_AHEAD_UNITS < CAPACITY_UNITS as u64);
    }
}

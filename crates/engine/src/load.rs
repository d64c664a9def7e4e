use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};

use crate::clock::Mono;

/// Seconds of history that are kept: those of the average, and the present one.
const SECONDS: usize = 32;
/// Seconds of the average load.
const AVERAGE_SECONDS: u64 = 30;
/// A tick may be busy for as long as this.
const TICK_NS: u64 = 1_000_000;
/// Busy times are compared over a packet's 20 ms for the maximum: one long tick is no harm.
const SPAN_TICKS: u64 = 20;
/// Classes of lateness: powers of two of a microsecond, in quarters.
const CLASSES: usize = 96;

/// How busy one engine is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct EngineLoad {
    /// The system's number of its thread; 0 before it runs.
    pub thread_id: i32,
    /// Busy time now, in percent: a mean that forgets within about a second.
    pub load_percent: f64,
    /// Busy time over the 30 s before the question, in percent.
    pub average_percent: f64,
    /// The busiest 20 ms of those 30 s, in percent.
    pub max_percent: f64,
    /// Lateness that 99 of 100 ticks stayed under in the last 15 to 30 s, in microseconds.
    pub lateness_p99_us: u64,
    /// Ticks that ended after the next one was due, since the start.
    pub overruns: u64,
    /// Ticks left out because the engine came more than 20 ms late, since the start.
    pub left_out: u64,
    /// Ticks since the start.
    pub ticks: u64,
    /// Time in ticks since the start.
    pub busy_ns: u64,
    /// Processor time of the thread as the system counts it; much less than `busy_ns` means that
    /// others took the processor away.
    pub cpu_ns: u64,
    /// Streams.
    pub streams: usize,
    /// Streams and shared encodings: all that a tick works on.
    pub elements: usize,
    /// Units of live sources encoded since the start.
    pub encoded_units: u64,
}

/// [`EngineLoad`] as the engine keeps it, for others to read at any time.
#[derive(Debug)]
pub(crate) struct Gauges {
    /// Busy nanoseconds of the last second, more or less.
    recent: AtomicU64,
    seconds: [Second; SECONDS],
    lateness: [[AtomicU32; CLASSES]; 2],
    turn: AtomicU64,
    overruns: AtomicU64,
    left_out: AtomicU64,
    ticks: AtomicU64,
    busy: AtomicU64,
    span_busy: AtomicU64,
    streams: AtomicUsize,
    shares: AtomicUsize,
    encoded: AtomicU64,
}

#[derive(Debug, Default)]
struct Second {
    number: AtomicU64,
    busy: AtomicU64,
    max_span: AtomicU64,
}

impl Gauges {
    pub(crate) fn new() -> Self {
        Self {
            recent: AtomicU64::new(0),
            seconds: std::array::from_fn(|_| Second::default()),
            lateness: std::array::from_fn(|_| std::array::from_fn(|_| AtomicU32::new(0))),
            turn: AtomicU64::new(0),
            overruns: AtomicU64::new(0),
            left_out: AtomicU64::new(0),
            ticks: AtomicU64::new(0),
            busy: AtomicU64::new(0),
            span_busy: AtomicU64::new(0),
            streams: AtomicUsize::new(0),
            shares: AtomicUsize::new(0),
            encoded: AtomicU64::new(0),
        }
    }

    /// Ticks that were left out.
    pub(crate) fn left_out(&self, ticks: u64) {
        add(&self.left_out, ticks);
    }

    /// What the engine holds.
    pub(crate) fn holds(&self, streams: usize, shares: usize, encoded: u64) {
        self.streams.store(streams, Relaxed);
        self.shares.store(shares, Relaxed);
        self.encoded.store(encoded, Relaxed);
    }

    /// A tick that was due, began and ended. Only the engine's own thread calls this.
    pub(crate) fn ticked(&self, due: Mono, began: Mono, ended: Mono) {
        let busy = nanos(began, ended);
        let late = nanos(due, began);
        add(&self.busy, busy);
        let ticks = self.ticks.load(Relaxed) + 1;
        self.ticks.store(ticks, Relaxed);
        add(&self.overruns, u64::from(nanos(due, ended) > TICK_NS));
        // 1/1000 of the difference each millisecond: a time constant of a second.
        let recent = self.recent.load(Relaxed);
        self.recent.store(recent - recent / 1_000 + busy, Relaxed);
        self.in_second(began.as_nanos() / 1_000_000_000, busy, ticks);
        self.was_late(began, late);
    }

    fn in_second(&self, second: u64, busy: u64, ticks: u64) {
        let Some(kept) = place(&self.seconds, second) else { return };
        if kept.number.swap(second, Relaxed) != second {
            kept.busy.store(0, Relaxed);
            kept.max_span.store(0, Relaxed);
        }
        add(&kept.busy, busy);
        add(&self.span_busy, busy);
        if ticks.is_multiple_of(SPAN_TICKS) {
            let span = self.span_busy.swap(0, Relaxed);
            kept.max_span.store(kept.max_span.load(Relaxed).max(span), Relaxed);
        }
    }

    fn was_late(&self, began: Mono, late: u64) {
        // Two tables in turn, 15 s each: one is filled, one is whole.
        let turn = began.as_nanos() / 15_000_000_000;
        let Some(table) = self.lateness.get(usize::from(turn % 2 == 1)) else { return };
        if self.turn.swap(turn, Relaxed) != turn {
            table.iter().for_each(|class| class.store(0, Relaxed));
        }
        if let Some(count) = table.get(class(late)) {
            count.store(count.load(Relaxed).saturating_add(1), Relaxed);
        }
    }

    /// Busy time now, in percent.
    pub(crate) fn percent(&self) -> f64 {
        percent(self.recent.load(Relaxed), 1_000 * TICK_NS)
    }

    /// All of it, at `now`; the thread and its processor time are for the caller to add.
    pub(crate) fn read(&self, now: Mono) -> EngineLoad {
        let second = now.as_nanos() / 1_000_000_000;
        let (mut busy, mut max) = (0, 0);
        for number in second.saturating_sub(AVERAGE_SECONDS)..=second {
            if let Some(kept) = place(&self.seconds, number)
                && kept.number.load(Relaxed) == number
            {
                busy += kept.busy.load(Relaxed);
                max = kept.max_span.load(Relaxed).max(max);
            }
        }
        let ticks = self.ticks.load(Relaxed);
        let whole = AVERAGE_SECONDS * 1_000_000_000 + now.as_nanos() % 1_000_000_000;
        let streams = self.streams.load(Relaxed);
        EngineLoad {
            thread_id: 0,
            load_percent: self.percent(),
            average_percent: percent(busy, whole.min(ticks.max(1) * TICK_NS)),
            max_percent: percent(max, SPAN_TICKS * TICK_NS),
            lateness_p99_us: self.lateness_p99_us(),
            overruns: self.overruns.load(Relaxed),
            left_out: self.left_out.load(Relaxed),
            ticks,
            busy_ns: self.busy.load(Relaxed),
            cpu_ns: 0,
            streams,
            elements: streams + self.shares.load(Relaxed),
            encoded_units: self.encoded.load(Relaxed),
        }
    }

    fn lateness_p99_us(&self) -> u64 {
        let count = |class: usize| -> u64 {
            self.lateness
                .iter()
                .filter_map(|table| table.get(class))
                .map(|count| u64::from(count.load(Relaxed)))
                .sum()
        };
        let all: u64 = (0..CLASSES).map(count).sum();
        let mut under = 0;
        for class in 0..CLASSES {
            under += count(class);
            if under * 100 >= all * 99 {
                return bound_us(class);
            }
        }
        bound_us(CLASSES)
    }
}

/// The class of a lateness: four to each doubling from a microsecond on.
fn class(late_ns: u64) -> usize {
    let us = late_ns / 1_000;
    if us < 4 {
        return usize::try_from(us).unwrap_or(0);
    }
    let doublings = us.ilog2();
    let quarter = (us >> (doublings - 2)) & 3;
    let class = usize::try_from(u64::from(doublings - 1) * 4 + quarter).unwrap_or(CLASSES);
    class.min(CLASSES - 1)
}

/// The least lateness that is above a class, in microseconds.
fn bound_us(class: usize) -> u64 {
    let class = class as u64;
    if class < 4 { class + 1 } else { (5 + class % 4) << (class / 4 - 1) }
}

fn place(seconds: &[Second], second: u64) -> Option<&Second> {
    seconds.get(usize::try_from(second % SECONDS as u64).ok()?)
}

fn add(gauge: &AtomicU64, more: u64) {
    gauge.store(gauge.load(Relaxed) + more, Relaxed);
}

fn nanos(from: Mono, to: Mono) -> u64 {
    to.as_nanos().saturating_sub(from.as_nanos())
}

#[expect(clippy::cast_precision_loss, reason = "a percentage for people")]
fn percent(part: u64, whole: u64) -> f64 {
    100.0 * part as f64 / whole as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A second of ticks that are busy for `busy_us` and begin `late_us` late.
    fn second(gauges: &Gauges, number: u64, busy_us: u64, late_us: u64) {
        for tick in 0..1_000 {
            let due = Mono::from_millis(number * 1_000 + tick);
            let began = Mono::from_nanos(due.as_nanos() + late_us * 1_000);
            gauges.ticked(due, began, Mono::from_nanos(began.as_nanos() + busy_us * 1_000));
        }
    }

    #[test]
    fn load_is_shown_now_over_thirty_seconds_and_at_its_height() {
        let gauges = Gauges::new();
        (100..130).for_each(|number| second(&gauges, number, 100, 20));
        let load = gauges.read(Mono::from_millis(130_000));
        assert!((load.load_percent - 10.0).abs() < 0.1, "{load:?}");
        assert!((load.average_percent - 10.0).abs() < 0.1, "{load:?}");
        assert!((load.max_percent - 10.0).abs() < 0.1, "{load:?}");
        assert_eq!((load.ticks, load.overruns), (30_000, 0));
        second(&gauges, 130, 700, 20);
        let load = gauges.read(Mono::from_millis(131_000));
        assert!(load.load_percent > 40.0 && load.average_percent < 13.0, "{load:?}");
        assert!((load.max_percent - 70.0).abs() < 0.1, "{load:?}");
        (131..165).for_each(|number| second(&gauges, number, 0, 20));
        let load = gauges.read(Mono::from_millis(165_000));
        assert!(load.average_percent < 0.1 && load.max_percent < 0.1, "{load:?}");
    }

    #[test]
    fn lateness_is_shown_by_its_ninety_ninth_percentile_and_forgotten() {
        let gauges = Gauges::new();
        (100..130).for_each(|number| second(&gauges, number, 900, 200));
        let load = gauges.read(Mono::from_millis(130_000));
        assert!((200..=260).contains(&load.lateness_p99_us), "{load:?}");
        assert_eq!(load.overruns, 30_000);
        (130..170).for_each(|number| second(&gauges, number, 10, 2));
        assert_eq!(gauges.read(Mono::from_millis(170_000)).lateness_p99_us, 3);
    }

    #[test]
    fn every_lateness_is_below_its_classs_bound() {
        for us in (0..5_000).chain([1_000_000, 10_000_000]) {
            let class = class(us * 1_000);
            assert!(us < bound_us(class), "{us} in {class}");
            assert!(class == 0 || us >= bound_us(class - 1), "{us} in {class}");
        }
    }
}

//! The two clocks of the media plane, and sleeping until a moment on one of them.

use std::time::Duration;

use rustix::thread::clock_nanosleep_absolute;
use rustix::time::{ClockId, Timespec, clock_gettime};
use vocab::Now;

/// A moment on `CLOCK_MONOTONIC`, in nanoseconds since boot: the clock that live sources are cut by.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Mono(u64);

impl Mono {
    /// This many nanoseconds after boot.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// This many milliseconds after boot.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// Nanoseconds since boot.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Whole milliseconds since boot.
    pub const fn as_millis(self) -> u64 {
        self.0 / 1_000_000
    }

    /// The time from `earlier` to here; zero when `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The same moment for the machines of `rtp`, which count microseconds.
    pub(crate) const fn coarse(self) -> Now {
        Now::from_micros(self.0 / 1_000)
    }
}

/// What the monotonic clock shows.
pub fn now() -> Mono {
    Mono(nanos(clock_gettime(ClockId::Monotonic)))
}

/// How far the wall clock (nanoseconds since 1970) is ahead of the monotonic one.
pub(crate) fn wall_ahead() -> u64 {
    nanos(clock_gettime(ClockId::Realtime)).saturating_sub(now().0)
}

/// Sleeps until `moment`; at once back when it has passed. A signal may wake it early.
pub(crate) fn sleep_until(moment: Mono) {
    let request = Timespec {
        tv_sec: i64::try_from(moment.0 / 1_000_000_000).unwrap_or(i64::MAX),
        tv_nsec: i64::try_from(moment.0 % 1_000_000_000).unwrap_or(0),
    };
    // Only a signal can end it early; the tick then finds itself early and does nothing.
    let _woken = clock_nanosleep_absolute(ClockId::Monotonic, &request);
}

fn nanos(time: Timespec) -> u64 {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(time.tv_nsec).unwrap_or(0))
}

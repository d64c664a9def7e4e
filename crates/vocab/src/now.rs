use std::ops::Add;
use std::time::Duration;

/// A moment on the process's monotonic clock, in whole microseconds since its start.
///
/// Machines never read a clock: whoever drives them hands in `Now`, so a test can move time freely.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Now(u64);

impl Now {
    /// The start of the clock.
    pub const ZERO: Self = Self(0);

    /// The moment `micros` microseconds after the start.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// The moment `millis` milliseconds after the start.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000))
    }

    /// Microseconds since the start.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to here; zero when `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Now {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        let micros = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(micros))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_saturates_and_never_runs_backwards() {
        let now = Now::from_millis(5);
        assert_eq!(now.since(Now::from_millis(9)), Duration::ZERO);
        assert_eq!((now + Duration::from_millis(4)).since(now), Duration::from_millis(4));
        assert_eq!(Now::from_micros(u64::MAX) + Duration::MAX, Now::from_micros(u64::MAX));
    }
}

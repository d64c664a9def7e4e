//! The control plane's clocks, read at the edge and handed in.

use std::time::{Duration, Instant, SystemTime};

use vocab::Now;

/// The process's monotonic clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// A clock that starts now.
    pub fn start() -> Self {
        Self { origin: instant() }
    }

    /// The moment.
    pub fn now(&self) -> Now {
        let micros = self.origin.elapsed().as_micros();
        Now::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }

    /// A moment as the runtime's timers count.
    pub fn instant(&self, at: Now) -> tokio::time::Instant {
        (self.origin + Duration::from_micros(at.as_micros())).into()
    }
}

/// A moment to measure from.
#[expect(clippy::disallowed_methods, reason = "the edge is where clocks are read")]
pub fn instant() -> Instant {
    Instant::now()
}

/// The wall clock, as time since 1970.
#[expect(clippy::disallowed_methods, reason = "the edge is where clocks are read")]
pub fn wall() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

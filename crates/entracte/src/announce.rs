//! What happened, for whoever is told of it: webhooks, and who listens at the API.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;
use tokio::sync::broadcast;

use crate::clock::wall;
use crate::config::EventKind;

/// Events that may wait for one listener; one that is slower misses the oldest, and is told how many.
pub const WAITING_MAX: usize = 4_096;

/// One event.
#[derive(Clone, Debug)]
pub struct Announcement {
    /// Counted up from 1 at each start.
    pub number: u64,
    /// When, seconds since 1970.
    pub at_unix_seconds: f64,
    /// What kind of event.
    pub kind: EventKind,
    /// What exactly.
    pub data: Value,
}

impl Announcement {
    /// As it is sent.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::json!({
            "type": self.kind.as_str(),
            "number": self.number,
            "at_unix_seconds": self.at_unix_seconds,
            "data": self.data,
        })
    }
}

/// Tells all who listen. Telling never waits.
#[derive(Clone, Debug)]
pub struct Announcer {
    told: broadcast::Sender<Arc<Announcement>>,
    last: Arc<AtomicU64>,
}

impl Default for Announcer {
    fn default() -> Self {
        Self { told: broadcast::Sender::new(WAITING_MAX), last: Arc::default() }
    }
}

impl Announcer {
    /// Tells of an event; `data` is made only where somebody listens.
    pub fn tell(&self, kind: EventKind, data: impl FnOnce() -> Value) {
        if self.told.receiver_count() == 0 {
            return;
        }
        let number = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let at_unix_seconds = wall().as_secs_f64();
        // The last listener may just have gone.
        let _ =
            self.told.send(Arc::new(Announcement { number, at_unix_seconds, kind, data: data() }));
    }

    /// Listens from now on.
    #[must_use]
    pub fn listen(&self) -> broadcast::Receiver<Arc<Announcement>> {
        self.told.subscribe()
    }
}

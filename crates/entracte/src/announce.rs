//! What happened, for whoever is told of it: webhooks, and who listens at the API.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use serde_json::Value;
use tokio::sync::mpsc;

use crate::clock::wall;
use crate::config::EventKind;

/// Events that may wait for one listener; what comes then is lost to it, and counted.
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
#[derive(Clone, Debug, Default)]
pub struct Announcer {
    listeners: Arc<RwLock<Vec<Listener>>>,
    last: Arc<AtomicU64>,
}

#[derive(Debug)]
struct Listener {
    kinds: BTreeSet<EventKind>,
    told: mpsc::Sender<Arc<Announcement>>,
    lost: Arc<AtomicU64>,
}

/// Hears events of some kinds.
#[derive(Debug)]
pub struct Listening {
    /// The events, in their order.
    pub events: mpsc::Receiver<Arc<Announcement>>,
    /// Those that did not fit.
    pub lost: Arc<AtomicU64>,
}

impl Announcer {
    /// Whether anybody wants events of this kind.
    pub fn is_heard(&self, kind: EventKind) -> bool {
        let listeners = self.listeners.read().unwrap_or_else(PoisonError::into_inner);
        listeners.iter().any(|listener| listener.kinds.contains(&kind))
    }

    /// Tells of an event; `data` is made only where somebody listens.
    pub fn tell(&self, kind: EventKind, data: impl FnOnce() -> Value) {
        let listeners = self.listeners.read().unwrap_or_else(PoisonError::into_inner);
        let mut wanting = listeners.iter().filter(|one| one.kinds.contains(&kind)).peekable();
        if wanting.peek().is_none() {
            return;
        }
        let number = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let at_unix_seconds = wall().as_secs_f64();
        let event = Arc::new(Announcement { number, at_unix_seconds, kind, data: data() });
        for listener in wanting {
            if listener.told.try_send(Arc::clone(&event)).is_err() {
                listener.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Hears events of these kinds from now on.
    #[must_use]
    pub fn listen(&self, kinds: BTreeSet<EventKind>) -> Listening {
        let (told, events) = mpsc::channel(WAITING_MAX);
        let lost = Arc::<AtomicU64>::default();
        let mut listeners = self.listeners.write().unwrap_or_else(PoisonError::into_inner);
        // Those who have gone are forgotten when somebody comes.
        listeners.retain(|listener| !listener.told.is_closed());
        listeners.push(Listener { kinds, told, lost: Arc::clone(&lost) });
        Listening { events, lost }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_listens_hears_the_kinds_that_it_wants_and_is_told_what_it_missed() {
        let announcer = Announcer::default();
        announcer.tell(EventKind::Audit, || unreachable!("nobody listens"));
        let mut alarms = announcer.listen([EventKind::AlarmRaised].into());
        let slow = announcer.listen([EventKind::Audit].into());
        for n in 0..WAITING_MAX + 5 {
            announcer.tell(EventKind::Audit, || n.into());
        }
        announcer.tell(EventKind::AlarmRaised, || "a".into());
        let heard = alarms.events.try_recv().unwrap();
        assert_eq!((heard.kind, &heard.data), (EventKind::AlarmRaised, &"a".into()));
        assert_eq!(alarms.lost.load(Ordering::Relaxed), 0, "others do not push it out");
        assert_eq!(slow.lost.load(Ordering::Relaxed), 5);
        drop(slow);
        let _more = announcer.listen(BTreeSet::new());
        assert!(!announcer.is_heard(EventKind::Audit));
    }
}

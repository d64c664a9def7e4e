//! What happened to the sources lately, for whoever comes when it is over.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use sources::{Happening, Heard, SourceEvent};

use crate::clock::wall;

/// Happenings that are kept; the oldest go.
pub const HAPPENINGS_MAX: usize = 500;

/// One thing that happened.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// When, as time since 1970.
    pub at: Duration,
    /// To which source.
    pub source: String,
    /// What: `heard`, `fallback`, `playing`, `away`, `silent`, `sounds`, `skipped`.
    pub what: &'static str,
    /// Why, or what exactly.
    pub why: String,
}

/// Who is told of each, as it happens.
type Listener = Box<dyn Fn(&Entry) + Send + Sync>;

/// The last [`HAPPENINGS_MAX`] of them. Titles are not kept: a radio has one every few minutes.
#[derive(Default)]
pub struct Journal {
    kept: Mutex<VecDeque<Entry>>,
    listener: OnceLock<Listener>,
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal").field("kept", &self.kept).finish_non_exhaustive()
    }
}

impl Journal {
    /// Has `listener` told of what happens from now on; there is one, the first.
    pub fn tell(&self, listener: Listener) {
        let _first = self.listener.set(listener);
    }

    /// Notes what happened.
    pub fn note(&self, event: &SourceEvent) {
        let (what, why) = match &event.what {
            Happening::Heard(Heard::Source) => ("heard", String::new()),
            Happening::Heard(Heard::Fallback) => ("fallback", String::new()),
            Happening::Playing(codec) => ("playing", codec.clone()),
            Happening::Away(trouble) => ("away", trouble.to_string()),
            Happening::Silent(true) => ("silent", String::new()),
            Happening::Silent(false) => ("sounds", String::new()),
            Happening::Skipped(skipped) => {
                ("skipped", format!("{}: {}", skipped.file, skipped.why))
            }
            Happening::Title(_) => return,
        };
        let entry = Entry { at: wall(), source: event.source.to_string(), what, why };
        if let Some(listener) = self.listener.get() {
            listener(&entry);
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == HAPPENINGS_MAX {
            kept.pop_front();
        }
        kept.push_back(entry);
    }

    /// All that is kept, the oldest first.
    pub fn entries(&self) -> Vec<Entry> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_happenings_are_kept_and_titles_are_not() {
        let journal = Journal::default();
        let event = |what| SourceEvent { source: "Radio".into(), what };
        journal.note(&event(Happening::Title("A song".into())));
        for _ in 0..HAPPENINGS_MAX {
            journal.note(&event(Happening::Heard(Heard::Fallback)));
        }
        journal.note(&event(Happening::Playing("mp3".into())));
        let entries = journal.entries();
        assert_eq!(entries.len(), HAPPENINGS_MAX);
        let last = entries.last().unwrap();
        assert_eq!(
            (last.what, last.why.as_str(), last.source.as_str()),
            ("playing", "mp3", "Radio")
        );
    }
}

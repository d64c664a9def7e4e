use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use audio::RATE_HZ;
use tokio::sync::mpsc;

use crate::state::{
    Happening, Heard, Level, Phase, Skipped, SourceEvent, SourceState, Trouble, dbfs,
};
use crate::strip::Loudness;

/// Files passed over that are remembered by name.
const SKIPPED_MAX: usize = 32;

/// Where one source's driver and the pacer write what they know, and pages read it.
#[derive(Debug)]
pub(crate) struct Board {
    name: Arc<str>,
    events: mpsc::Sender<SourceEvent>,
    /// Stretches of 5 ms that were turned down so as not to clip.
    limited: Arc<AtomicU64>,
    facts: Mutex<Facts>,
}

#[derive(Debug)]
struct Facts {
    uri: String,
    /// The settings that it plays by.
    revision: u64,
    /// Counts drivers; only the last one is listened to.
    turn: u64,
    phase: Phase,
    heard_since: Instant,
    report: Report,
    title: Option<String>,
    codec: Option<String>,
    connections: u64,
    skipped: Vec<Skipped>,
}

/// What the pacer knows of a source.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Report {
    pub(crate) heard: Heard,
    pub(crate) silent: bool,
    pub(crate) loudness: Loudness,
    pub(crate) underruns: u64,
    pub(crate) buffered_samples: usize,
}

/// The shell's clock, for how long a state has lasted.
#[expect(clippy::disallowed_methods, reason = "this is a shell crate's clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

impl Board {
    pub(crate) fn new(name: Arc<str>, uri: String, events: mpsc::Sender<SourceEvent>) -> Self {
        let facts = Facts {
            uri,
            revision: 0,
            turn: 0,
            phase: Phase::Connecting,
            heard_since: now(),
            report: Report::default(),
            title: None,
            codec: None,
            connections: 0,
            skipped: Vec::new(),
        };
        Self { name, events, limited: Arc::default(), facts: Mutex::new(facts) }
    }

    /// The hand of a new driver; what an older one still writes is left alone from now on.
    pub(crate) fn reporter(self: &Arc<Self>) -> Reporter {
        let mut facts = self.lock();
        facts.turn += 1;
        Reporter { board: Arc::clone(self), turn: facts.turn }
    }

    /// Nobody listens to a source that is there on demand.
    pub(crate) fn resting(&self) {
        let mut facts = self.lock();
        facts.turn += 1;
        facts.phase = Phase::Resting;
        facts.title = None;
        facts.codec = None;
    }

    /// It comes from elsewhere, or in another manner, by the settings of this number.
    pub(crate) fn changed(&self, uri: String, revision: u64) {
        let mut facts = self.lock();
        (facts.uri, facts.revision) = (uri, revision);
        facts.phase = Phase::Connecting;
        (facts.title, facts.codec) = (None, None);
        facts.skipped.clear();
    }

    /// It is wanted, and on its way.
    pub(crate) fn connecting(&self) {
        self.lock().phase = Phase::Connecting;
    }

    /// The pacer's report: at every change of what is heard, and every 100 ms.
    pub(crate) fn report(&self, report: Report) {
        let (changed, silent) = {
            let mut facts = self.lock();
            let before = std::mem::replace(&mut facts.report, report);
            let changed = before.heard != report.heard;
            if changed {
                facts.heard_since = now();
            }
            (changed, (before.silent != report.silent).then_some(report.silent))
        };
        if let Some(silent) = silent {
            if silent {
                tracing::warn!(source = %self.name, "source plays silence");
            }
            self.tell(Happening::Silent(silent));
        }
        if changed {
            self.tell(Happening::Heard(report.heard));
        }
    }

    pub(crate) fn state(&self) -> SourceState {
        let facts = self.lock();
        let report = facts.report;
        let buffered = report.buffered_samples as u64 * 1_000 / u64::from(RATE_HZ);
        SourceState {
            name: Arc::clone(&self.name),
            uri: facts.uri.clone(),
            revision: facts.revision,
            phase: facts.phase.clone(),
            heard: report.heard,
            heard_for: now().saturating_duration_since(facts.heard_since),
            level: Level {
                peak_dbfs: dbfs(report.loudness.peak),
                rms_dbfs: dbfs(report.loudness.rms),
            },
            buffered: Duration::from_millis(buffered),
            title: facts.title.clone(),
            codec: facts.codec.clone(),
            reconnects: facts.connections.saturating_sub(1),
            underruns: report.underruns,
            limited: Duration::from_millis(5 * self.limited.load(Ordering::Relaxed)),
            listeners: 0,
            silent: report.silent,
            skipped: facts.skipped.clone(),
        }
    }

    fn tell(&self, what: Happening) {
        let event = SourceEvent { source: Arc::clone(&self.name), what };
        if let Err(lost) = self.events.try_send(event) {
            tracing::debug!(source = %self.name, %lost, "nobody takes this source's events");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Facts> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The hand by which one driver writes on its source's board, for as long as it is the one that drives.
#[derive(Clone, Debug)]
pub(crate) struct Reporter {
    board: Arc<Board>,
    turn: u64,
}

impl Reporter {
    /// The counter of 5 ms that were turned down so as not to clip.
    pub(crate) fn limited(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.board.limited)
    }

    /// `None` once the driver was stopped: what it still has to say is about nothing any more.
    fn facts(&self) -> Option<MutexGuard<'_, Facts>> {
        Some(self.board.lock()).filter(|facts| facts.turn == self.turn)
    }

    /// A connection stands and gives audio.
    pub(crate) fn playing(&self, codec: &str) {
        {
            let Some(mut facts) = self.facts() else { return };
            facts.phase = Phase::Playing;
            facts.connections += 1;
            facts.codec = Some(codec.to_owned());
        }
        tracing::info!(source = %self.board.name, codec, "source plays");
        self.board.tell(Happening::Playing(codec.to_owned()));
    }

    /// Another file or download of the same connection plays.
    pub(crate) fn codec(&self, codec: &str) {
        if let Some(mut facts) = self.facts() {
            facts.codec = Some(codec.to_owned());
        }
    }

    pub(crate) fn away(&self, trouble: &Trouble) {
        let news = {
            let Some(mut facts) = self.facts() else { return };
            let phase = Phase::Away(trouble.clone());
            facts.title = None;
            let news = facts.phase != phase;
            facts.phase = phase;
            news
        };
        // The same trouble again is one trouble.
        if news {
            tracing::warn!(source = %self.board.name, %trouble, "source is away");
            self.board.tell(Happening::Away(trouble.clone()));
        }
    }

    pub(crate) fn title(&self, title: &str) {
        let title = (!title.is_empty()).then(|| title.to_owned());
        let Some(mut facts) = self.facts() else { return };
        let news = std::mem::replace(&mut facts.title, title.clone()) != title;
        drop(facts);
        if news {
            self.board.tell(Happening::Title(title.unwrap_or_default()));
        }
    }

    pub(crate) fn skipped(&self, file: &str, why: String) {
        let skipped = Skipped { file: file.to_owned(), why };
        let news = {
            let Some(mut facts) = self.facts() else { return };
            let known = facts.skipped.iter_mut().find(|known| known.file == file);
            match known {
                Some(known) if *known == skipped => false,
                Some(known) => {
                    *known = skipped.clone();
                    true
                }
                None => {
                    if facts.skipped.len() < SKIPPED_MAX {
                        facts.skipped.push(skipped.clone());
                    }
                    true
                }
            }
        };
        if news {
            tracing::warn!(source = %self.board.name, file, why = %skipped.why, "file passed over");
            self.board.tell(Happening::Skipped(skipped));
        }
    }

    /// A file plays (again), or is gone from the folder: nothing is wrong with it any more.
    pub(crate) fn keep_skipped(&self, still: impl Fn(&str) -> bool) {
        if let Some(mut facts) = self.facts() {
            facts.skipped.retain(|skipped| still(&skipped.file));
        }
    }
}

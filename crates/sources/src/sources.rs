use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use audio::live::{Ring, ring};
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc};
use tokio::task::AbortHandle;

use crate::board::Board;
use crate::config::{NameError, Settings, SourceConfig, SourceKind, Start, check_names, find_name};
use crate::driver::{Driver, Running, listeners};
use crate::fetch::Fetcher;
use crate::ffmpeg::Ffmpeg;
use crate::guard::{AddressGuard, inner};
use crate::intake::Intake;
use crate::pacer::{Desk, Lane, Pacer};
use crate::state::{SourceEvent, SourceState};
use crate::strip::Strip;

/// All live sources of the server, playing. Dropping it ends them.
#[derive(Debug)]
pub struct Sources {
    entries: Vec<Entry>,
    late: Arc<AtomicU64>,
    running: Vec<Running>,
    tasks: Vec<AbortHandle>,
    pacer: Option<Pacer>,
}

#[derive(Debug)]
struct Entry {
    name: Arc<str>,
    ring: Arc<Ring>,
    intake: Arc<Intake>,
    board: Arc<Board>,
    /// Told when somebody wants to listen.
    wanted: Arc<Notify>,
}

/// Why the sources cannot start.
#[derive(Debug)]
pub enum StartError {
    /// The operator must rename a source.
    Name(NameError),
    /// The fallback has no samples: listeners would hear silence.
    NoFallback,
    /// The machine gives no thread.
    Thread(std::io::Error),
    /// TLS cannot be set up.
    Tls(String),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(why) => why.fmt(f),
            Self::NoFallback => f.write_str("the fallback audio is empty"),
            Self::Thread(_) => f.write_str("cannot start a thread for live sources"),
            Self::Tls(why) => write!(f, "cannot set up TLS: {why}"),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Thread(why) => Some(why),
            Self::Name(_) | Self::NoFallback | Self::Tls(_) => None,
        }
    }
}

impl Sources {
    /// Starts every source, and the thread that paces them all. Must be called within a tokio
    /// runtime. Every ring holds audio (the fallback's) when this returns.
    ///
    /// `events` is never waited for: what does not fit is dropped.
    pub fn start(
        configs: Vec<SourceConfig>,
        settings: Settings,
        events: &mpsc::Sender<SourceEvent>,
    ) -> Result<Self, StartError> {
        let names: Vec<_> = configs.iter().map(|config| config.name.as_str()).collect();
        check_names(&names).map_err(StartError::Name)?;
        if settings.fallback.is_empty() {
            return Err(StartError::NoFallback);
        }
        let settings = Arc::new(settings);
        let mut sources = Self {
            entries: Vec::new(),
            late: Arc::default(),
            running: Vec::new(),
            tasks: Vec::new(),
            pacer: None,
        };
        let mut lanes = Vec::new();
        for config in &configs {
            let (writer, ring) = ring();
            let name: Arc<str> = config.name.as_str().into();
            let board =
                Arc::new(Board::new(Arc::clone(&name), config.kind.shown(), events.clone()));
            let intake = Arc::new(Intake::default());
            let fallback = config.fallback.clone().filter(|fallback| !fallback.is_empty());
            let fallback = fallback.unwrap_or_else(|| Arc::clone(&settings.fallback));
            let strip = Strip::new(fallback, settings.buffer, config.silence_after);
            let (to_lane, its_board) = (Arc::clone(&intake), Arc::clone(&board));
            lanes.push(Lane { strip, intake: to_lane, writer, board: its_board });
            sources.entries.push(Entry { name, ring, intake, board, wanted: Arc::default() });
        }
        let desk = Desk::new(lanes, Arc::clone(&sources.late));
        sources.pacer = Some(Pacer::start(desk).map_err(StartError::Thread)?);
        let ffmpeg = Ffmpeg::new(&settings.ffmpeg);
        for (n, config) in configs.into_iter().enumerate() {
            sources.drive(n, config, &settings, &ffmpeg)?;
        }
        Ok(sources)
    }

    fn drive(
        &mut self,
        n: usize,
        config: SourceConfig,
        settings: &Arc<Settings>,
        ffmpeg: &Ffmpeg,
    ) -> Result<(), StartError> {
        let Some(entry) = self.entries.get(n) else { return Ok(()) };
        let fetcher = match &config.kind {
            SourceKind::Http(url) => {
                let guard = guard(url, settings);
                let fetcher = Fetcher::new(guard, &settings.user_agent, settings.connect);
                Some(fetcher.map_err(StartError::Tls)?)
            }
            SourceKind::Path(_) | SourceKind::Device(_) | SourceKind::Rtp(_) => None,
        };
        let start = config.start;
        let driver = Driver {
            config,
            fetcher,
            ffmpeg: ffmpeg.clone(),
            settings: Arc::clone(settings),
            intake: Arc::clone(&entry.intake),
            board: Arc::clone(&entry.board),
            loudness: Arc::default(),
        };
        match start {
            Start::Always => {
                let running = driver.start(&Handle::current()).map_err(StartError::Thread)?;
                self.running.push(running);
            }
            Start::OnDemand { linger } => {
                let (wanted, ring) = (Arc::clone(&entry.wanted), Arc::downgrade(&entry.ring));
                let task = tokio::spawn(driver.on_demand(wanted, ring, linger));
                self.tasks.push(task.abort_handle());
            }
        }
        Ok(())
    }

    /// The ring of a source: the name as it is, or else the same but for ASCII case. Whoever holds it
    /// counts as a listener.
    pub fn live(&self, name: &str) -> Option<Arc<Ring>> {
        let entry = self.entries.get(find_name(&self.names(), name)?)?;
        let ring = Arc::clone(&entry.ring);
        entry.wanted.notify_one();
        Some(ring)
    }

    /// The names, in the order of the configuration.
    pub fn names(&self) -> Vec<Arc<str>> {
        self.entries.iter().map(|entry| Arc::clone(&entry.name)).collect()
    }

    /// How every source stands now, in the order of the configuration.
    pub fn snapshot(&self) -> Vec<SourceState> {
        let state = |entry: &Entry| SourceState {
            listeners: listeners(&Arc::downgrade(&entry.ring)),
            ..entry.board.state()
        };
        self.entries.iter().map(state).collect()
    }

    /// Times the pacer woke so late that listeners missed units.
    pub fn late(&self) -> u64 {
        self.late.load(Ordering::Relaxed)
    }
}

impl Drop for Sources {
    fn drop(&mut self) {
        self.running.clear();
        for task in &self.tasks {
            task.abort();
        }
        for entry in &self.entries {
            entry.intake.close();
        }
    }
}

/// The operator's own URL may lead anywhere; what its server redirects to may lead inside only if the
/// URL itself did.
fn guard(url: &reqwest::Url, settings: &Settings) -> AddressGuard {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse();
    let inside =
        host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|ip| inner(ip).is_some());
    if inside {
        return AddressGuard::open();
    }
    AddressGuard::new(settings.allow.clone()).and_host(host)
}

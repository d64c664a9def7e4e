use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use audio::live::{Ring, ring};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::board::Board;
use crate::config::{NameError, Settings, SourceConfig, SourceKind, check_names, find_name};
use crate::device::Device;
use crate::fetch::Fetcher;
use crate::ffmpeg::Ffmpeg;
use crate::folder::{Folder, Stop};
use crate::guard::{AddressGuard, inner};
use crate::intake::Intake;
use crate::pacer::{Desk, Lane, Pacer};
use crate::state::{SourceEvent, SourceState};
use crate::stream::Stream;
use crate::strip::Strip;

/// All live sources of the server, playing. Dropping it ends them.
#[derive(Debug)]
pub struct Sources {
    entries: Vec<Entry>,
    late: Arc<AtomicU64>,
    stop: Arc<Stop>,
    tasks: Vec<AbortHandle>,
    pacer: Option<Pacer>,
}

#[derive(Debug)]
struct Entry {
    name: Arc<str>,
    ring: Arc<Ring>,
    intake: Arc<Intake>,
    board: Arc<Board>,
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
            stop: Arc::default(),
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
            let strip = Strip::new(Arc::clone(&settings.fallback), settings.buffer);
            let (to_lane, its_board) = (Arc::clone(&intake), Arc::clone(&board));
            lanes.push(Lane { strip, intake: to_lane, writer, board: its_board });
            sources.entries.push(Entry { name, ring, intake, board });
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
        let (intake, board) = (Arc::clone(&entry.intake), Arc::clone(&entry.board));
        let (settings, ffmpeg, gain) = (Arc::clone(settings), ffmpeg.clone(), config.gain);
        match config.kind {
            SourceKind::Path(path) => {
                let stop = Arc::clone(&self.stop);
                let folder = Folder { path, gain, ffmpeg, settings, intake, board, stop };
                let thread = std::thread::Builder::new().name("source-files".to_owned());
                thread.spawn(move || folder.run()).map_err(StartError::Thread)?;
            }
            SourceKind::Device(name) => {
                let stop = Arc::clone(&self.stop);
                let device = Device { name, gain, settings, intake, board, stop };
                let thread = std::thread::Builder::new().name("source-device".to_owned());
                thread.spawn(move || device.run()).map_err(StartError::Thread)?;
            }
            SourceKind::Http(url) => {
                let guard = guard(&url, &settings);
                let fetcher = Fetcher::new(guard, &settings.user_agent, settings.connect)
                    .map_err(StartError::Tls)?;
                let stream = Stream { url, gain, fetcher, ffmpeg, settings, intake, board };
                self.tasks.push(tokio::spawn(stream.run()).abort_handle());
            }
        }
        Ok(())
    }

    /// The ring of a source: the name as it is, or else the same but for ASCII case.
    pub fn live(&self, name: &str) -> Option<Arc<Ring>> {
        let entry = self.entries.get(find_name(&self.names(), name)?)?;
        Some(Arc::clone(&entry.ring))
    }

    /// The names, in the order of the configuration.
    pub fn names(&self) -> Vec<Arc<str>> {
        self.entries.iter().map(|entry| Arc::clone(&entry.name)).collect()
    }

    /// How every source stands now, in the order of the configuration.
    pub fn snapshot(&self) -> Vec<SourceState> {
        self.entries.iter().map(|entry| entry.board.state()).collect()
    }

    /// Times the pacer woke so late that listeners missed units.
    pub fn late(&self) -> u64 {
        self.late.load(Ordering::Relaxed)
    }
}

impl Drop for Sources {
    fn drop(&mut self) {
        self.stop.tell();
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

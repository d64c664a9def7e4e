use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak};

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
use crate::pacer::{Desk, Lane, Order, Orders, Pacer};
use crate::state::{SourceEvent, SourceState};
use crate::strip::Strip;

/// All live sources of the server, playing. Dropping it ends them.
#[derive(Debug)]
pub struct Sources {
    state: RwLock<Standing>,
    late: Arc<AtomicU64>,
    orders: Orders,
    events: mpsc::Sender<SourceEvent>,
    _pacer: Pacer,
}

/// The sources as they are configured now.
#[derive(Debug)]
struct Standing {
    settings: Arc<Settings>,
    entries: Vec<Entry>,
    /// Those that are not configured any more and still have listeners.
    gone: Vec<Gone>,
}

/// A source that is not configured any more.
#[derive(Debug)]
struct Gone {
    name: Arc<str>,
    ring: Weak<Ring>,
    intake: Arc<Intake>,
    board: Arc<Board>,
    wanted: Arc<Notify>,
}

#[derive(Debug)]
struct Entry {
    name: Arc<str>,
    config: SourceConfig,
    ring: Arc<Ring>,
    intake: Arc<Intake>,
    board: Arc<Board>,
    /// Told when somebody wants to listen.
    wanted: Arc<Notify>,
    drive: Drive,
}

/// What drives a source; dropping it ends that.
#[derive(Debug)]
enum Drive {
    Nothing,
    Always { _running: Running },
    OnDemand(AbortHandle),
}

impl Drop for Drive {
    fn drop(&mut self) {
        if let Self::OnDemand(task) = self {
            task.abort();
        }
    }
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
        check(&configs, &settings)?;
        let settings = Arc::new(settings);
        let orders = Orders::default();
        let late = Arc::default();
        let (entries, lanes): (Vec<_>, Vec<_>) =
            configs.into_iter().map(|config| entry(config, &settings, events)).unzip();
        let desk = Desk::new(lanes, Arc::clone(&orders), Arc::clone(&late));
        let pacer = Pacer::start(desk).map_err(StartError::Thread)?;
        let standing = Standing { settings: Arc::clone(&settings), entries, gone: Vec::new() };
        let state = RwLock::new(standing);
        let sources = Self { state, late, orders, events: events.clone(), _pacer: pacer };
        for entry in &mut sources.write().entries {
            entry.drive(&settings)?;
        }
        Ok(sources)
    }

    /// Goes on with other sources and settings. A source whose settings are the same is left alone. One
    /// of the same name with others is driven anew, and its listeners go on to hear it, the new audio
    /// faded in. Listeners of one that is gone hear its fallback to the end of their calls. `revision`
    /// numbers the settings, for [`SourceState::revision`].
    ///
    /// # Errors
    /// As [`Self::start`]: a wrong name or fallback changes nothing. A source that finds no thread or no TLS
    /// stays in the list, and its listeners hear the fallback; the others go on all the same.
    pub fn change(
        &self,
        configs: Vec<SourceConfig>,
        settings: Settings,
        revision: u64,
    ) -> Result<(), StartError> {
        check(&configs, &settings)?;
        let mut standing = self.write();
        let others = *standing.settings != settings;
        let settings = if others { Arc::new(settings) } else { Arc::clone(&standing.settings) };
        let mut old = std::mem::take(&mut standing.entries);
        let mut failed = None;
        for config in configs {
            let known = old.iter().position(|entry| *entry.name == *config.name);
            let mut entry = match known.map(|at| old.swap_remove(at)) {
                Some(entry) if !others && entry.config == config => {
                    standing.entries.push(entry);
                    continue;
                }
                Some(mut entry) => {
                    entry.drive = Drive::Nothing;
                    entry.config = config;
                    self.go_on(&entry, &settings);
                    entry
                }
                None => match self.back(&mut standing.gone, &config) {
                    Some(entry) => {
                        self.go_on(&entry, &settings);
                        entry
                    }
                    None => {
                        let (entry, lane) = entry(config, &settings, &self.events);
                        self.order(Order::Add(Box::new(lane)));
                        entry
                    }
                },
            };
            entry.board.changed(entry.config.kind.shown(), revision);
            if let Err(error) = entry.drive(&settings) {
                tracing::error!(source = %entry.name, %error, "source not started");
                entry.intake.rest();
                failed = Some(error);
            }
            standing.entries.push(entry);
        }
        standing.settings = settings;
        for mut entry in old {
            entry.drive = Drive::Nothing;
            entry.intake.rest();
            self.order(Order::Leave(Arc::clone(&entry.board)));
            let Entry { name, ring, intake, board, wanted, .. } = entry;
            let ring = Arc::downgrade(&ring);
            standing.gone.push(Gone { name, ring, intake, board, wanted });
        }
        standing.gone.retain(|gone| gone.ring.strong_count() > 0);
        failed.map_or(Ok(()), Err)
    }

    /// A source of this name that left and still has listeners, to go on with other settings.
    fn back(&self, gone: &mut Vec<Gone>, config: &SourceConfig) -> Option<Entry> {
        let at = gone.iter().position(|gone| *gone.name == *config.name)?;
        // The pacer lets go of a lane within this lock only: with the ring in hand the lane stays.
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        let Gone { name, ring, intake, board, wanted } = gone.swap_remove(at);
        let ring = ring.upgrade()?;
        orders.push(Order::Return(Arc::clone(&board)));
        drop(orders);
        let config = config.clone();
        Some(Entry { name, config, ring, intake, board, wanted, drive: Drive::Nothing })
    }

    /// Has the lane of a source go on with its present settings.
    fn go_on(&self, entry: &Entry, settings: &Settings) {
        self.order(Order::Change {
            board: Arc::clone(&entry.board),
            fallback: fallback(&entry.config, settings),
            silence_after: entry.config.silence_after,
        });
    }

    fn order(&self, order: Order) {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner).push(order);
    }

    fn read(&self) -> RwLockReadGuard<'_, Standing> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Standing> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The ring of a source: the name as it is, or else the same but for ASCII case. Whoever holds it
    /// counts as a listener.
    pub fn live(&self, name: &str) -> Option<Arc<Ring>> {
        let standing = self.read();
        let names: Vec<_> = standing.entries.iter().map(|entry| &*entry.name).collect();
        let entry = standing.entries.get(find_name(&names, name)?)?;
        let ring = Arc::clone(&entry.ring);
        entry.wanted.notify_one();
        Some(ring)
    }

    /// The names, in the order of the configuration.
    pub fn names(&self) -> Vec<Arc<str>> {
        self.read().entries.iter().map(|entry| Arc::clone(&entry.name)).collect()
    }

    /// How every source stands now, in the order of the configuration.
    pub fn snapshot(&self) -> Vec<SourceState> {
        let state = |entry: &Entry| SourceState {
            listeners: listeners(&Arc::downgrade(&entry.ring)),
            ..entry.board.state()
        };
        self.read().entries.iter().map(state).collect()
    }

    /// Times the pacer woke so late that listeners missed units.
    pub fn late(&self) -> u64 {
        self.late.load(Ordering::Relaxed)
    }
}

impl Drop for Sources {
    fn drop(&mut self) {
        for entry in &mut self.write().entries {
            entry.drive = Drive::Nothing;
            entry.intake.close();
        }
    }
}

fn check(configs: &[SourceConfig], settings: &Settings) -> Result<(), StartError> {
    let names: Vec<_> = configs.iter().map(|config| config.name.as_str()).collect();
    check_names(&names).map_err(StartError::Name)?;
    if settings.fallback.is_empty() { Err(StartError::NoFallback) } else { Ok(()) }
}

/// What is heard while a source is away: its own, or what all share.
fn fallback(config: &SourceConfig, settings: &Settings) -> Arc<[i16]> {
    let own = config.fallback.clone().filter(|fallback| !fallback.is_empty());
    own.unwrap_or_else(|| Arc::clone(&settings.fallback))
}

/// A source that nothing drives yet, and its lane.
fn entry(
    config: SourceConfig,
    settings: &Settings,
    events: &mpsc::Sender<SourceEvent>,
) -> (Entry, Lane) {
    let (writer, ring) = ring();
    let name: Arc<str> = config.name.as_str().into();
    let board = Arc::new(Board::new(Arc::clone(&name), config.kind.shown(), events.clone()));
    let intake = Arc::new(Intake::default());
    let strip = Strip::new(fallback(&config, settings), settings.buffer, config.silence_after);
    let (to_lane, its_board) = (Arc::clone(&intake), Arc::clone(&board));
    let lane = Lane { strip, intake: to_lane, writer, board: its_board, leaving: false };
    let wanted = Arc::default();
    (Entry { name, config, ring, intake, board, wanted, drive: Drive::Nothing }, lane)
}

impl Entry {
    /// Drives it from here on, in place of whoever did before. Within a tokio runtime.
    fn drive(&mut self, settings: &Arc<Settings>) -> Result<(), StartError> {
        let config = self.config.clone();
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
            ffmpeg: Ffmpeg::new(&settings.ffmpeg),
            settings: Arc::clone(settings),
            intake: Arc::clone(&self.intake),
            board: Arc::clone(&self.board),
            loudness: Arc::default(),
        };
        self.drive = match start {
            Start::Always => {
                let running = driver.start(&Handle::current()).map_err(StartError::Thread)?;
                Drive::Always { _running: running }
            }
            Start::OnDemand { linger } => {
                let (wanted, ring) = (Arc::clone(&self.wanted), Arc::downgrade(&self.ring));
                Drive::OnDemand(tokio::spawn(driver.on_demand(wanted, ring, linger)).abort_handle())
            }
        };
        Ok(())
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

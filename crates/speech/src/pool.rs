//! The helpers together: each text goes to the next that is free, and one that dies is replaced.

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::available_parallelism;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;

use crate::aloud::Broken;
use crate::helper::{Helper, Served};
use crate::provider::HelperConfig;
use crate::run::RUNS_MAX;
use crate::speech::{HelperState, ProviderState, SpeechError};
use crate::voices::VoiceInfo;
use crate::wire::{Point, Speak};

/// The most helper processes of one provider.
pub const HELPERS_MAX: usize = 32;
/// The first and the longest wait before a helper that does not start is tried again.
const AGAIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// A text to speak, and who listens.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) speak: Speak,
    pub(crate) replies: mpsc::Sender<Reply>,
}

/// What the listener of a job gets. The channel's end before `End` or `Refused` is a loss too.
#[derive(Debug)]
pub(crate) enum Reply {
    /// What follows was spoken before, and kept.
    Kept,
    Audio(Vec<i16>),
    Point {
        sample: u64,
        point: Point,
    },
    End,
    Refused(String),
    /// The provider failed, and none takes its place.
    Broke(Broken),
    /// The helper is gone; another takes its place.
    Lost,
}

/// The way to the helpers. They end when the last is dropped.
#[derive(Clone)]
pub(crate) struct Pool {
    /// Never full: a run has one job at a time, and there are no more runs than places.
    jobs: mpsc::Sender<Job>,
    shared: Arc<Shared>,
    rate_hz: u32,
}

/// Figures that all places write and [`Pool::state`] reads.
#[derive(Debug)]
struct Shared {
    helpers: Mutex<Vec<HelperState>>,
    restarts: AtomicU64,
    rescued: AtomicU64,
}

/// One place in the pool: it keeps a helper alive and says when that is free.
struct Slot {
    number: usize,
    path: PathBuf,
    voice: String,
    limits: (Duration, Duration),
    free: mpsc::Sender<oneshot::Sender<Job>>,
    shared: Arc<Shared>,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("shared", &self.shared).finish_non_exhaustive()
    }
}

impl Pool {
    /// Starts the helpers; waits for the first, whose voices it returns. `limit` is how long one may
    /// take to start.
    pub(crate) async fn start(
        config: &HelperConfig,
        limit: Duration,
    ) -> Result<(Self, Vec<VoiceInfo>), SpeechError> {
        let path = config.program.clone();
        if !path.is_file() {
            return Err(SpeechError::NoHelper { path });
        }
        let cores = available_parallelism().map_or(1, usize::from);
        let size = config.processes.unwrap_or_else(|| (2 * cores).min(4)).clamp(1, HELPERS_MAX);
        let mut first = Helper::start(&path, limit).await.map_err(SpeechError::HelperFails)?;
        let voices = first.voices(limit).await.map_err(SpeechError::HelperFails)?;
        let voice = voices.first().map(|voice| voice.id.clone()).unwrap_or_default();
        let rate_hz = first.rate_hz;
        let shared = Arc::new(Shared {
            helpers: Mutex::new(vec![HelperState::default(); size]),
            restarts: AtomicU64::new(0),
            rescued: AtomicU64::new(0),
        });
        let (jobs, queue) = mpsc::channel(RUNS_MAX);
        let (free, idle) = mpsc::channel(size);
        tokio::spawn(hand_out(queue, idle));
        let mut first = Some(first);
        for number in 0..size {
            let slot = Slot {
                number,
                path: path.clone(),
                voice: voice.clone(),
                limits: (limit, config.stall),
                free: free.clone(),
                shared: Arc::clone(&shared),
            };
            tokio::spawn(slot.keep(first.take()));
        }
        Ok((Self { jobs, shared, rate_hz }, voices))
    }

    /// Samples per second of what the helpers make.
    pub(crate) fn rate_hz(&self) -> u32 {
        self.rate_hz
    }

    /// Hands a job in; the replies come when a helper is free.
    pub(crate) async fn submit(&self, job: Job) {
        // The queue lives as long as this does; if not, the dropped replies tell the listener.
        let _ = self.jobs.send(job).await;
    }

    /// A text went on after its helper had died.
    pub(crate) fn count_rescue(&self) {
        self.shared.rescued.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn state(&self) -> ProviderState {
        ProviderState {
            helpers: self.shared.helpers.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            restarts: self.shared.restarts.load(Ordering::Relaxed),
            rescued: self.shared.rescued.load(Ordering::Relaxed),
            ..ProviderState::default()
        }
    }
}

/// Brings jobs and free helpers together, both in the order they came.
async fn hand_out(mut queue: mpsc::Receiver<Job>, mut idle: mpsc::Receiver<oneshot::Sender<Job>>) {
    while let Some(mut job) = queue.recv().await {
        loop {
            let Some(helper) = idle.recv().await else { return };
            match helper.send(job) {
                Ok(()) => break,
                // It died while it waited; its place will say when it has another.
                Err(back) => job = back,
            }
        }
    }
}

impl Slot {
    /// Until the pool is gone: a live helper, and its jobs.
    async fn keep(self, first: Option<Helper>) {
        let mut next = first;
        loop {
            let mut helper = match next.take() {
                Some(helper) => helper,
                None => match self.start().await {
                    Some(helper) => helper,
                    None => return,
                },
            };
            if helper.warm(&self.voice, self.limits.1).await == Served::Done {
                self.show(HelperState { pid: helper.pid(), busy: false });
                if self.work(&mut helper).await.is_none() {
                    return;
                }
            }
            tracing::warn!(place = self.number, pid = helper.pid(), "speech helper lost");
            self.shared.restarts.fetch_add(1, Ordering::Relaxed);
            self.show(HelperState::default());
        }
    }

    /// Jobs until the helper is lost; `None` when the pool is gone.
    async fn work(&self, helper: &mut Helper) -> Option<()> {
        let pid = helper.pid();
        loop {
            let (give, taken) = oneshot::channel();
            self.free.send(give).await.ok()?;
            let job = tokio::select! {
                job = taken => job.ok()?,
                () = helper.ended() => return Some(()),
            };
            self.show(HelperState { pid, busy: true });
            if helper.serve(job, self.limits.1).await == Served::Lost {
                return Some(());
            }
            self.show(HelperState { pid, busy: false });
        }
    }

    /// A started helper; `None` when the pool is gone.
    async fn start(&self) -> Option<Helper> {
        let mut wait = AGAIN.0;
        loop {
            match Helper::start(&self.path, self.limits.0).await {
                Ok(helper) => return Some(helper),
                Err(why) => {
                    tracing::error!(place = self.number, why, "speech helper does not start");
                }
            }
            tokio::select! {
                () = sleep(wait) => wait = (wait * 2).min(AGAIN.1),
                () = self.free.closed() => return None,
            }
        }
    }

    fn show(&self, state: HelperState) {
        let mut helpers = self.shared.helpers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = helpers.get_mut(self.number) {
            *place = state;
        }
    }
}

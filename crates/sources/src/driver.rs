//! What drives one source, whatever it is, and when.

use std::cell::RefCell;
use std::io;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use audio::live::Ring;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep};

use crate::alsa::AlsaDevice;
use crate::board::Board;
use crate::config::{ALSA, Settings, SourceConfig, SourceKind};
use crate::device::Device;
use crate::fetch::Fetcher;
use crate::ffmpeg::Ffmpeg;
use crate::folder::{Folder, Stop};
use crate::intake::Intake;
use crate::loudness::Loudness;
use crate::stream::Stream;
use crate::studio::Studio;

/// How often it is looked whether anybody still listens.
const LOOK: Duration = Duration::from_millis(20);
/// Those who hold a ring and do not listen: its writer, and the list of sources.
const NO_LISTENERS: usize = 2;

/// Calls that hear this ring now.
pub(crate) fn listeners(ring: &Weak<Ring>) -> usize {
    ring.strong_count().saturating_sub(NO_LISTENERS)
}

/// Starts one source, as often as it is wanted.
#[derive(Debug)]
pub(crate) struct Driver {
    pub(crate) config: SourceConfig,
    /// For a source over HTTP.
    pub(crate) fetcher: Option<Fetcher>,
    pub(crate) ffmpeg: Ffmpeg,
    pub(crate) settings: Arc<Settings>,
    pub(crate) intake: Arc<Intake>,
    pub(crate) board: Arc<Board>,
    /// How loud its files are; kept from one start to the next.
    pub(crate) loudness: Arc<Loudness>,
}

/// A source that is being driven; dropping it ends that.
#[derive(Debug)]
pub(crate) struct Running {
    stop: Arc<Stop>,
    task: Option<AbortHandle>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.tell();
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl Driver {
    /// Starts it.
    ///
    /// # Errors
    /// When the machine gives no thread.
    pub(crate) fn start(&self, runtime: &Handle) -> io::Result<Running> {
        let stop = Arc::new(Stop::default());
        let (gain, loudness_lufs) = (self.config.gain, self.config.loudness_lufs);
        let (settings, ffmpeg) = (Arc::clone(&self.settings), self.ffmpeg.clone());
        // Whoever drove it before has nothing to say from here on, however late it learns that.
        let (intake, board) = (self.intake.door(), self.board.reporter());
        let mut task = None;
        match (self.config.kind.clone(), self.fetcher.clone()) {
            (SourceKind::Path(path), _) => {
                let (order, stop) = (self.config.order, Arc::clone(&stop));
                let loudness = Arc::clone(&self.loudness);
                let folder = Folder {
                    path,
                    gain,
                    loudness_lufs,
                    order,
                    ffmpeg,
                    settings,
                    intake,
                    board,
                    stop,
                    loudness,
                    listed: RefCell::new(None),
                };
                named("source-files").spawn(move || folder.run())?;
            }
            (SourceKind::Device(name), _) if name.starts_with(ALSA) => {
                let (pcm, stop) = (name.trim_start_matches(ALSA).to_owned(), Arc::clone(&stop));
                let device =
                    AlsaDevice { pcm, gain, loudness_lufs, ffmpeg, settings, intake, board, stop };
                named("source-alsa").spawn(move || device.run())?;
            }
            (SourceKind::Device(name), _) => {
                let stop = Arc::clone(&stop);
                let device = Device { name, gain, loudness_lufs, settings, intake, board, stop };
                named("source-device").spawn(move || device.run())?;
            }
            (SourceKind::Rtp(from), _) => {
                let stop = Arc::clone(&stop);
                let studio = Studio { from, gain, loudness_lufs, settings, intake, board, stop };
                named("source-rtp").spawn(move || studio.run())?;
            }
            (SourceKind::Http(url), Some(fetcher)) => {
                let stream =
                    Stream { url, gain, loudness_lufs, fetcher, ffmpeg, settings, intake, board };
                task = Some(runtime.spawn(stream.run()).abort_handle());
            }
            (SourceKind::Http(_), None) => return Err(io::ErrorKind::InvalidInput.into()),
        }
        Ok(Running { stop, task })
    }

    /// Drives it for as long as anybody listens, and `linger` longer; for ever.
    pub(crate) async fn on_demand(self, wanted: Arc<Notify>, ring: Weak<Ring>, linger: Duration) {
        loop {
            self.intake.rest();
            self.board.resting();
            while listeners(&ring) == 0 {
                wanted.notified().await;
            }
            self.board.connecting();
            let running = match self.start(&Handle::current()) {
                Ok(running) => running,
                Err(error) => {
                    tracing::error!(source = %self.config.name, %error, "source not started");
                    sleep(Duration::from_secs(1)).await;
                    continue;
                }
            };
            let mut unheard = None;
            loop {
                sleep(LOOK).await;
                if listeners(&ring) > 0 {
                    unheard = None;
                } else if unheard.get_or_insert_with(Instant::now).elapsed() >= linger {
                    break;
                }
            }
            drop(running);
        }
    }
}

fn named(name: &str) -> thread::Builder {
    thread::Builder::new().name(name.to_owned())
}

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use ssml::{Run, Style};
use tokio::sync::{Semaphore, mpsc};

use crate::pool::Pool;
use crate::run::{self, RUNS_MAX};
use crate::voices::{Choice, VoiceInfo, Voices};

/// Chunks that wait in the channel to the listener; more wait in the run.
const CHUNKS_MAX: usize = 32;
/// The most helper processes.
const POOL_MAX: usize = 32;
/// The helper's file name.
const HELPER_NAME: &str = "speech-espeak";

/// What [`Speech::start`] takes.
#[derive(Clone, Debug)]
pub struct SpeechConfig {
    /// The helper program; `None`: `speech-espeak` beside the running program.
    pub helper: Option<PathBuf>,
    /// How many helper processes; `None`: twice the cores, 4 at most.
    pub pool_size: Option<usize>,
    /// The voice for texts that want none: a voice's id (`en-us`), its name, or id and variant
    /// (`en-us+f3`).
    pub default_voice: String,
    /// How long a helper may take to start, or a text to its first sound, waiting included.
    pub first_audio: Duration,
    /// How long a helper may pause between blocks before it counts as stuck.
    pub stall: Duration,
}

impl Default for SpeechConfig {
    fn default() -> Self {
        Self {
            helper: None,
            pool_size: None,
            default_voice: "en-us".into(),
            first_audio: Duration::from_secs(5),
            stall: Duration::from_secs(3),
        }
    }
}

/// What is heard, in order.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Chunk {
    /// Sound, mono at 8 kHz.
    Samples(Arc<[i16]>),
    /// The mark of this name stands here.
    Mark(String),
    /// A word begins here.
    Word,
    /// A sentence begins here.
    Sentence,
    /// A paragraph begins here.
    Paragraph,
}

/// Why text is not, or not wholly, spoken.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SpeechError {
    /// There is no helper program; the operator must install it or name its path.
    NoHelper {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The helper does not start; what it, or the system, says of it.
    HelperFails(String),
    /// The default voice is none of the helper's.
    DefaultVoice(String),
    /// No voice speaks this language.
    Language(String),
    /// A text longer than [`crate::TEXT_CHARS_MAX`].
    TooLong {
        /// Its length in characters.
        chars: usize,
    },
    /// [`RUNS_MAX`] runs are being spoken.
    Busy,
    /// No sound came within [`SpeechConfig::first_audio`].
    TimedOut,
    /// Helpers died on this text again and again.
    Died {
        /// How often.
        times: u32,
    },
    /// The helper refused the text; what it said.
    Refused(String),
}

impl fmt::Display for SpeechError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoHelper { path } => {
                write!(f, "there is no speech helper at {}", path.display())
            }
            Self::HelperFails(why) => write!(f, "the speech helper does not start: {why}"),
            Self::DefaultVoice(name) => write!(f, "there is no voice {name:?}"),
            Self::Language(tag) => write!(f, "no voice speaks {tag:?}"),
            Self::TooLong { chars } => {
                write!(f, "a text of {chars} characters; the limit is {}", crate::TEXT_CHARS_MAX)
            }
            Self::Busy => write!(f, "{RUNS_MAX} texts are being spoken already"),
            Self::TimedOut => f.write_str("no speech within the time allowed"),
            Self::Died { times } => write!(f, "the speech helper died {times} times on this text"),
            Self::Refused(why) => write!(f, "the speech helper refuses: {why}"),
        }
    }
}

impl std::error::Error for SpeechError {}

/// How the provider is, for a page or a log.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct SpeechState {
    /// One for each place in the pool.
    pub helpers: Vec<HelperState>,
    /// Helpers started because one had died or was stuck.
    pub restarts: u64,
    /// Units that were spoken on after a helper had died in the middle.
    pub rescued: u64,
    /// Runs in hand now.
    pub runs: usize,
}

/// One helper process.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct HelperState {
    /// Its process id, while it lives.
    pub pid: Option<u32>,
    /// Whether it speaks now.
    pub busy: bool,
}

/// The speech provider: a pool of helpers, started and warmed. A clone is another handle to it; when
/// the last is dropped and no run is left, the helpers end.
#[derive(Clone, Debug)]
pub struct Speech {
    pool: Arc<Pool>,
    voices: Arc<Voices>,
    places: Arc<Semaphore>,
    config: Arc<SpeechConfig>,
}

impl Speech {
    /// Starts the helpers; returns when the first is ready. The others follow by themselves.
    ///
    /// # Errors
    /// There is no helper, it does not start, or it does not have the default voice.
    pub async fn start(config: SpeechConfig) -> Result<Self, SpeechError> {
        let path = match &config.helper {
            Some(path) => path.clone(),
            None => helper_beside(),
        };
        if !path.is_file() {
            return Err(SpeechError::NoHelper { path });
        }
        let cores = available_parallelism().map_or(1, usize::from);
        let size = config.pool_size.unwrap_or_else(|| (2 * cores).min(4)).clamp(1, POOL_MAX);
        let (pool, listed) = Pool::start(path, size, &config).await?;
        let voices = Voices::new(listed, &config.default_voice)?;
        Ok(Self {
            pool: Arc::new(pool),
            voices: Arc::new(voices),
            places: Arc::new(Semaphore::new(RUNS_MAX)),
            config: Arc::new(config),
        })
    }

    /// Every voice, then every variant that may follow a voice's id after `+`.
    pub fn voices(&self) -> &[VoiceInfo] {
        self.voices.all()
    }

    /// The language of the default voice: what a session without a language of its own speaks.
    pub fn default_language(&self) -> &str {
        self.voices.default_language()
    }

    /// The voice that a style gets, and a note when it is not the one that was wanted.
    ///
    /// # Errors
    /// No voice speaks the language.
    pub fn choose(&self, style: &Style) -> Result<Choice, SpeechError> {
        self.voices.choose(style)
    }

    /// Speaks a run. The first chunk comes as soon as there is sound; after an error nothing comes.
    /// Dropping the receiver stops the work.
    pub fn speak(&self, run: Run) -> mpsc::Receiver<Result<Chunk, SpeechError>> {
        let (sender, receiver) = mpsc::channel(CHUNKS_MAX);
        match Arc::clone(&self.places).try_acquire_owned() {
            Ok(place) => {
                let (pool, voices) = (Arc::clone(&self.pool), Arc::clone(&self.voices));
                let limit = self.config.first_audio;
                tokio::spawn(async move {
                    run::speak(&pool, &voices, &run, limit, sender).await;
                    drop(place);
                });
            }
            Err(_) => {
                // A new channel has room for this.
                let _ = sender.try_send(Err(SpeechError::Busy));
            }
        }
        receiver
    }

    /// How it is now.
    pub fn state(&self) -> SpeechState {
        let runs = RUNS_MAX.saturating_sub(self.places.available_permits());
        SpeechState { runs, ..self.pool.state() }
    }
}

/// Where the helper is when nobody says: beside the running program, or, for a test, one folder up.
pub fn helper_beside() -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    let folder = program.parent().unwrap_or_else(|| Path::new(""));
    let beside = folder.join(HELPER_NAME);
    if !beside.is_file()
        && folder.file_name().is_some_and(|name| name == "deps")
        && let Some(above) = folder.parent()
    {
        return above.join(HELPER_NAME);
    }
    beside
}

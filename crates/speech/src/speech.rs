use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ssml::{Run, Style};
use store::{Cache, Temporary};
use tokio::sync::{Semaphore, mpsc};

use crate::aloud::Kept;
use crate::provider::{Form, HelperConfig, Provider, ProviderConfig};
use crate::roster::{Member, Roster};
use crate::run::{self, Candidates, RUNS_MAX};
use crate::voices::{Choice, VoiceInfo, Voices};

/// Chunks that wait in the channel to the listener; more wait in the run.
const CHUNKS_MAX: usize = 32;
/// The most providers.
pub const PROVIDERS_MAX: usize = 32;

/// What [`Speech::start`] takes.
#[derive(Clone, Debug, Default)]
pub struct SpeechConfig {
    /// The providers, the preferred ones first; at most [`PROVIDERS_MAX`].
    pub providers: Vec<ProviderConfig>,
    /// The voice for texts that want none: a voice's id (`en-us`), its name, id and variant
    /// (`en-us+f3`), a provider's name before it if need be (`neural/alloy`); or a language.
    pub default_voice: String,
    /// Where sound is kept that took long to make; `None`: nowhere.
    pub cache: Option<Arc<Cache>>,
    /// Where programs write files.
    pub temporary: Option<Temporary>,
}

impl SpeechConfig {
    /// eSpeak NG alone, by this helper program and so many processes.
    pub fn espeak(program: PathBuf, processes: Option<usize>) -> Self {
        let stall = Duration::from_secs(3);
        let helper = HelperConfig { program, processes, phonemes: true, keep: false, stall };
        let provider = ProviderConfig {
            name: "espeak".into(),
            tags: Vec::new(),
            form: Form::Helper(helper),
            first_audio: Duration::from_secs(5),
            optional: false,
        };
        Self { providers: vec![provider], default_voice: "en-us".into(), ..Self::default() }
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
    /// From here on this voice speaks.
    Voice {
        /// The provider's name.
        provider: Arc<str>,
        /// The voice's id.
        voice: Arc<str>,
    },
    /// What follows was spoken before, and kept.
    Kept,
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
    /// No sound came within [`ProviderConfig::first_audio`].
    TimedOut,
    /// The provider said that it spoke, and nothing was to be heard.
    Silence,
    /// The provider failed; why.
    Provider(String),
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
            Self::Silence => f.write_str("what came for the text was silence"),
            Self::Provider(why) => f.write_str(why),
            Self::Died { times } => write!(f, "the speech helper died {times} times on this text"),
            Self::Refused(why) => write!(f, "the speech helper refuses: {why}"),
        }
    }
}

impl std::error::Error for SpeechError {}

/// How speech is, for a page or a log.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct SpeechState {
    /// The providers, the preferred ones first.
    pub providers: Vec<ProviderState>,
    /// Runs in hand now.
    pub runs: usize,
    /// Stretches of 5 ms that were turned down so as not to clip.
    pub limited: u64,
}

/// How a provider is.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ProviderState {
    /// Its name.
    pub name: String,
    /// What is behind it: `helper`, `openai`, `piper` or `command`.
    pub form: String,
    /// Why it failed when it was last asked; `None` once it has spoken again.
    pub failed: Option<String>,
    /// How long others are still asked before it because of that.
    pub rests: Duration,
    /// Texts that it spoke to their end.
    pub spoken: u64,
    /// Texts that it did not, so that another was asked.
    pub failures: u64,
    /// One for each place in the pool of a helper.
    pub helpers: Vec<HelperState>,
    /// Helpers started because one had died or was stuck.
    pub restarts: u64,
    /// Units that were spoken on after a helper had died in the middle.
    pub rescued: u64,
}

/// One helper process.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct HelperState {
    /// Its process id, while it lives.
    pub pid: Option<u32>,
    /// Whether it speaks now.
    pub busy: bool,
}

/// All providers, started. A clone is another handle to them; when the last is dropped and no run is
/// left, their helpers end.
#[derive(Clone, Debug)]
pub struct Speech {
    providers: Arc<[Arc<Provider>]>,
    roster: Arc<Roster>,
    places: Arc<Semaphore>,
    missing: Arc<[(String, SpeechError)]>,
}

impl Speech {
    /// Starts the providers; returns when the first helper of each is ready. The other helpers follow by
    /// themselves. One that cannot be started and is optional is left out; see [`Self::missing`].
    ///
    /// # Errors
    /// A provider that is not optional cannot be started, there is none, or none has the default voice.
    pub async fn start(config: SpeechConfig) -> Result<Self, SpeechError> {
        let kept = config.cache.map(|cache| Arc::new(Kept::new(cache)));
        let (mut providers, mut members, mut missing) = (Vec::new(), Vec::new(), Vec::new());
        for wanted in config.providers.iter().take(PROVIDERS_MAX) {
            match Provider::start(wanted, kept.clone(), config.temporary.clone()).await {
                Ok((provider, voices)) => {
                    providers.push(Arc::new(provider));
                    let (name, tags) = (wanted.name.clone(), wanted.tags.clone());
                    members.push(Member { name, tags, voices: Voices::new(voices) });
                }
                Err(error) if wanted.optional => missing.push((wanted.name.clone(), error)),
                Err(error) => return Err(error),
            }
        }
        if providers.is_empty() {
            let none = || SpeechError::Provider("there is no speech provider".to_owned());
            return Err(missing.pop().map_or_else(none, |(_, error)| error));
        }
        Ok(Self {
            providers: providers.into(),
            roster: Arc::new(Roster::new(members, &config.default_voice)?),
            places: Arc::new(Semaphore::new(RUNS_MAX)),
            missing: missing.into(),
        })
    }

    /// Every voice of every provider, in the providers' order; a variant may follow a voice's id after
    /// `+`.
    pub fn voices(&self) -> impl Iterator<Item = &VoiceInfo> {
        self.roster.all()
    }

    /// The words that mean a provider: names and tags.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        self.roster.words()
    }

    /// The providers that were left out at the start, and why.
    pub fn missing(&self) -> &[(String, SpeechError)] {
        &self.missing
    }

    /// The language of the default voice: what a session without a language of its own speaks.
    pub fn default_language(&self) -> &str {
        self.roster.default_language()
    }

    /// The voice that a style gets while all providers are well, and a note when it is not the one that
    /// was wanted.
    ///
    /// # Errors
    /// No voice speaks the language.
    pub fn choose(&self, style: &Style) -> Result<Choice, SpeechError> {
        let mut candidates = self.roster.candidates(style)?;
        Ok(candidates.swap_remove(0).1)
    }

    /// Speaks a run. The first chunk comes as soon as there is sound; after an error nothing comes.
    /// Dropping the receiver stops the work.
    pub fn speak(&self, run: Run) -> mpsc::Receiver<Result<Chunk, SpeechError>> {
        let (sender, receiver) = mpsc::channel(CHUNKS_MAX);
        let place = Arc::clone(&self.places).try_acquire_owned();
        match place
            .map_err(|_| SpeechError::Busy)
            .and_then(|place| Ok((place, self.candidates(&run.style)?)))
        {
            Ok((place, candidates)) => {
                tokio::spawn(async move {
                    run::speak(candidates, &run, sender).await;
                    drop(place);
                });
            }
            Err(error) => {
                // A new channel has room for this.
                let _ = sender.try_send(Err(error));
            }
        }
        receiver
    }

    /// Who may speak in this style; those that failed a moment ago come last.
    fn candidates(&self, style: &Style) -> Result<Candidates, SpeechError> {
        let mut candidates: Candidates = self
            .roster
            .candidates(style)?
            .into_iter()
            .filter_map(|(place, choice)| Some((Arc::clone(self.providers.get(place)?), choice)))
            .collect();
        if candidates.len() > 1 {
            candidates.sort_by_cached_key(|(provider, _)| provider.is_resting());
        }
        Ok(candidates)
    }

    /// How it is now.
    pub fn state(&self) -> SpeechState {
        SpeechState {
            providers: self.providers.iter().map(|provider| provider.state()).collect(),
            limited: self.providers.iter().map(|provider| provider.limited()).sum(),
            runs: RUNS_MAX.saturating_sub(self.places.available_permits()),
        }
    }
}

/// Where a helper program of this name is when nobody says: beside the running program, or, for a test,
/// one folder up.
pub fn helper_beside(name: &str) -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    let folder = program.parent().unwrap_or_else(|| Path::new(""));
    let beside = folder.join(name);
    if !beside.is_file()
        && folder.file_name().is_some_and(|name| name == "deps")
        && let Some(above) = folder.parent()
    {
        return above.join(name);
    }
    beside
}

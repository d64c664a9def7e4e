//! One way to turn text into sound, whatever is behind it.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use audio::RATE_HZ;
use ssml::{Gender, Pitch, Style};
use store::{Key, Temporary};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::aloud::{self, Kept, Reading};
use crate::command::{CommandConfig, Program, Text};
use crate::http::{self, HttpConfig};
use crate::pool::{Job, Pool, Reply};
use crate::render::{Dialect, Rendered};
use crate::replay;
use crate::speech::{ProviderState, SpeechError};
use crate::voices::{Choice, VoiceInfo};
use crate::wire::Speak;

/// Replies that wait for a run.
const REPLIES_MAX: usize = 64;
/// How long a provider that failed is asked last: at first, and at most. It doubles with each failure.
const REST: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(120));
/// The fundamental frequencies that a pitch in hertz is measured against.
const MALE_HZ: f32 = 110.0;
const FEMALE_HZ: f32 = 180.0;
/// The version of what is kept in the cache.
const KEPT_VERSION: &[u8] = b"speech 1";

/// A provider as [`crate::Speech::start`] takes it.
#[derive(Clone, Debug)]
pub struct ProviderConfig {
    /// Its name, for logs and for requests that ask for it.
    pub name: String,
    /// Other words that mean it where a voice's name is asked for.
    pub tags: Vec<String>,
    /// What is behind it.
    pub form: Form,
    /// How long a text may take to its first audible sound, waiting included. Past it the next
    /// provider is asked.
    pub first_audio: Duration,
    /// Whether the server does without it when it cannot be started.
    pub optional: bool,
}

/// What is behind a provider.
#[derive(Clone, Debug)]
pub enum Form {
    /// A pool of helper processes that speak the protocol of `crates/speech-helper/README.md`.
    Helper(HelperConfig),
    /// A service over HTTP.
    Http(HttpConfig),
    /// A program started for each text.
    Command(CommandConfig),
}

/// A pool of helper processes.
#[derive(Clone, Debug)]
pub struct HelperConfig {
    /// The helper program.
    pub program: PathBuf,
    /// How many processes, at most 32; `None`: twice the cores, 4 at most.
    pub processes: Option<usize>,
    /// Whether it takes pronunciations in eSpeak's own alphabet.
    pub phonemes: bool,
    /// Whether what it made is kept on the disk: for one that is slower than a disk.
    pub keep: bool,
    /// How long a helper may pause between blocks before it counts as stuck.
    pub stall: Duration,
}

/// A provider at work.
#[derive(Debug)]
pub(crate) struct Provider {
    pub(crate) name: Arc<str>,
    pub(crate) first_audio: Duration,
    engine: Engine,
    kept: Option<Arc<Kept>>,
    health: Mutex<Health>,
    spoken: AtomicU64,
    failures: AtomicU64,
    limited: AtomicU64,
}

#[derive(Debug)]
enum Engine {
    Pool { pool: Pool, phonemes: bool },
    Http(Box<HttpConfig>),
    Command(Program),
}

/// Whether it is asked before others.
#[derive(Debug, Default)]
struct Health {
    /// Failures in a row.
    failed: u32,
    failed_at: Option<Instant>,
    rests_until: Option<Instant>,
    why: Option<String>,
}

impl Provider {
    /// Starts it; its voices are the second.
    pub(crate) async fn start(
        config: &ProviderConfig,
        kept: Option<Arc<Kept>>,
        temporary: Option<Temporary>,
    ) -> Result<(Self, Vec<VoiceInfo>), SpeechError> {
        let (engine, mut voices) = match &config.form {
            Form::Helper(helper) => {
                let (pool, voices) = Pool::start(helper, config.first_audio).await?;
                (Engine::Pool { pool, phonemes: helper.phonemes }, voices)
            }
            Form::Http(http) => (Engine::Http(Box::new(http.clone())), http.voices.clone()),
            Form::Command(command) => {
                let program = Program::new(command.clone(), temporary);
                (Engine::Command(program), command.voices.clone())
            }
        };
        for voice in &mut voices {
            voice.provider.clone_from(&config.name);
        }
        let kept = kept.filter(|_| match &config.form {
            Form::Helper(helper) => helper.keep,
            Form::Http(_) | Form::Command(_) => true,
        });
        let provider = Self {
            name: config.name.as_str().into(),
            first_audio: config.first_audio,
            engine,
            kept,
            health: Mutex::default(),
            spoken: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            limited: AtomicU64::new(0),
        };
        Ok((provider, voices))
    }

    /// How texts are written for it.
    pub(crate) const fn dialect(&self) -> Dialect {
        match &self.engine {
            Engine::Pool { phonemes: true, .. } => Dialect::Phonemes,
            Engine::Pool { phonemes: false, .. } => Dialect::Marked,
            Engine::Http(_) | Engine::Command(_) => Dialect::Plain,
        }
    }

    /// Samples per second of its sound.
    pub(crate) fn rate_hz(&self) -> u32 {
        match &self.engine {
            Engine::Pool { pool, .. } => pool.rate_hz(),
            Engine::Http(_) | Engine::Command(_) => RATE_HZ,
        }
    }

    /// Whether a text that was lost on the way may be asked for again here.
    pub(crate) const fn is_replaced(&self) -> bool {
        matches!(self.engine, Engine::Pool { .. })
    }

    /// Asks for a text. Dropping the receiver gives it up.
    pub(crate) async fn ask(
        &self,
        rendered: &Rendered,
        choice: &Choice,
        style: &Style,
    ) -> mpsc::Receiver<Reply> {
        let (replies, heard) = mpsc::channel(REPLIES_MAX);
        let text = rendered.text.clone();
        let reading = || Reading {
            words: rendered.word_places(),
            rate: style.rate,
            letters: rendered.text.chars().count(),
            patience: self.first_audio / 3,
        };
        match &self.engine {
            Engine::Pool { pool, .. } => {
                let speak = manner(style, choice, text);
                let factors =
                    [speak.rate, speak.pitch, speak.range].map(|factor| factor.to_string());
                let parts = factors.each_ref().map(String::as_str);
                match self.kept_as(&parts, choice, &speak.ssml) {
                    None => pool.submit(Job { speak, replies }).await,
                    Some(kept) => {
                        let jobs = pool.clone();
                        let ask = async move |replies| jobs.submit(Job { speak, replies }).await;
                        tokio::spawn(replay::tell(kept, self.first_audio / 3, ask, replies));
                    }
                }
            }
            Engine::Http(config) => {
                let (form, rate) = (config.form.to_string(), config.pcm_hz.to_string());
                let parts = [&config.uri, &config.model, &config.format, &form, &rate];
                let kept = self.kept_as(&parts.map(String::as_str), choice, &text);
                let (config, voice) = (config.as_ref().clone(), choice.voice.clone());
                let fetch = move || http::fetch(&config, &text, &voice);
                tokio::spawn(aloud::read_out(reading(), kept, fetch, replies));
            }
            Engine::Command(program) => {
                let identity = program.identity();
                let parts: Vec<&str> = identity.iter().map(String::as_str).collect();
                let kept = self.kept_as(&parts, choice, &text);
                let (voice, language) = (choice.voice.clone(), choice.language.clone());
                let speaking = program.clone();
                let patience = self.first_audio / 3;
                let fetch = move || speaking.speak(Text { text, voice, language }, patience);
                tokio::spawn(aloud::read_out(reading(), kept, fetch, replies));
            }
        }
        heard
    }

    /// The key of a text: everything that makes its sound what it is, and nothing that is done to the
    /// sound here (rate, volume).
    fn kept_as(&self, parts: &[&str], choice: &Choice, text: &str) -> Option<(Arc<Kept>, Key)> {
        let kept = Arc::clone(self.kept.as_ref()?);
        let mut all = vec![KEPT_VERSION, self.name.as_bytes()];
        all.extend(parts.iter().map(|part| part.as_bytes()));
        all.extend([choice.voice.as_bytes(), choice.language.as_bytes(), text.as_bytes()]);
        Some((kept, Key::of(&all)))
    }

    /// It spoke.
    pub(crate) fn did_well(&self) {
        self.spoken.fetch_add(1, Ordering::Relaxed);
        *self.health.lock().unwrap_or_else(PoisonError::into_inner) = Health::default();
    }

    /// It did not, having been asked at `asked`; for a while others are asked before it.
    pub(crate) fn failed(&self, error: &SpeechError, rest: Option<Duration>, asked: Instant) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        health.why = Some(error.to_string());
        if rest == Some(Duration::ZERO) {
            return;
        }
        // Those who asked before it was known to fail saw the same failure.
        if health.failed_at.is_some_and(|failed_at| asked <= failed_at) {
            return;
        }
        health.failed_at = Some(Instant::now());
        let doubled = REST.0.saturating_mul(2_u32.saturating_pow(health.failed.min(8)));
        health.failed = health.failed.saturating_add(1);
        let rest = rest.unwrap_or_else(|| doubled.min(REST.1));
        health.rests_until = Instant::now().checked_add(rest);
    }

    /// How long others are still asked before it.
    fn rests(&self) -> Duration {
        let health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        let until = health.rests_until.unwrap_or_else(Instant::now);
        until.saturating_duration_since(Instant::now())
    }

    pub(crate) fn is_resting(&self) -> bool {
        self.rests() > Duration::ZERO
    }

    /// So many stretches of 5 ms were turned down so as not to clip.
    pub(crate) fn count_limited(&self, limited: u64) {
        self.limited.fetch_add(limited, Ordering::Relaxed);
    }

    pub(crate) fn limited(&self) -> u64 {
        self.limited.load(Ordering::Relaxed)
    }

    /// A text went on after its helper had died.
    pub(crate) fn count_rescue(&self) {
        if let Engine::Pool { pool, .. } = &self.engine {
            pool.count_rescue();
        }
    }

    pub(crate) fn state(&self) -> ProviderState {
        let mut state = match &self.engine {
            Engine::Pool { pool, .. } => pool.state(),
            Engine::Http(_) | Engine::Command(_) => ProviderState::default(),
        };
        state.name = self.name.to_string();
        state.form = match &self.engine {
            Engine::Pool { .. } => "helper".to_owned(),
            Engine::Http(config) => config.form.to_string(),
            Engine::Command(_) => "command".to_owned(),
        };
        state.rests = self.rests();
        let health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        state.failed.clone_from(&health.why);
        drop(health);
        state.spoken = self.spoken.load(Ordering::Relaxed);
        state.failures = self.failures.load(Ordering::Relaxed);
        state
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// The style in the helper's thousandths. The volume stays with us: a gain is exact.
fn manner(style: &Style, choice: &Choice, text: String) -> Speak {
    let pitch = match style.pitch {
        Pitch::Times(times) => times,
        Pitch::Hertz(hertz) => {
            let own = match choice.gender {
                Some(Gender::Female) => FEMALE_HZ,
                Some(Gender::Male | Gender::Neutral) | None => MALE_HZ,
            };
            hertz / own
        }
    };
    Speak {
        voice: choice.voice.clone(),
        rate: permille(style.rate),
        pitch: permille(pitch),
        range: permille(style.range),
        ssml: text,
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to 0..=10,000 first; not a number becomes 0"
)]
fn permille(factor: f32) -> u16 {
    (factor * 1_000.0).round().clamp(0.0, 10_000.0) as u16
}

//! What one request will be heard as: a list of steps, printable without the words it speaks.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use mrcp::lexicon::LexiconRef;

use crate::uri::PlayUri;

/// Everything that one request plays, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Blueprint {
    /// The steps, played without a gap between them.
    pub steps: Vec<Step>,
}

/// One step of a [`Blueprint`].
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Text for a speech provider.
    Say(Box<Say>),
    /// Nothing, for so long.
    Silence(Duration),
    /// A place whose passing is reported (`SPEECH-MARKER`).
    Mark(String),
    /// Stored or live audio.
    Play(Box<Play>),
}

/// Text for a speech provider, and the lexicons that say how its words are pronounced.
#[derive(Clone, Debug, PartialEq)]
pub struct Say {
    /// The text and its style.
    pub run: ssml::Run,
    /// The lexicons in the order in which a word is looked up.
    pub lexicons: Arc<[LexiconRef]>,
    /// How long each of them may take to come, where the request says so. `Fetch-Timeout`.
    pub fetch_timeout: Option<Duration>,
}

/// Stored or live audio, and what is heard when it cannot be had.
#[derive(Clone, Debug, PartialEq)]
pub struct Play {
    /// What is played.
    pub uri: PlayUri,
    /// Where to begin, from the start of the audio. SSML 1.1 `clipBegin`.
    pub from: Duration,
    /// Where to end, from the start of the audio. SSML 1.1 `clipEnd`.
    pub to: Option<Duration>,
    /// How often it is heard; a fraction cuts the last time short. SSML 1.1 `repeatCount`.
    pub times: f32,
    /// How long it is heard at most, repeats included. SSML 1.1 `repeatDur`.
    pub at_most: Option<Duration>,
    /// Speed, 1.0 as recorded; never applied to live sources. SSML 1.1 `speed`, `Prosody-Rate`.
    pub speed: f32,
    /// Change of level in dB. SSML 1.1 `soundLevel`.
    pub level_db: f32,
    /// How long the audio may take to come, where the request says so. `Fetch-Timeout`.
    pub fetch_timeout: Option<Duration>,
    /// Heard instead when the audio cannot be had. SSML 1.0 §3.3.1.
    pub fallback: Vec<Step>,
}

impl Play {
    /// The whole of `uri`, once, as it is.
    pub const fn once(uri: PlayUri) -> Self {
        Self {
            uri,
            from: Duration::ZERO,
            to: None,
            times: 1.0,
            at_most: None,
            speed: 1.0,
            level_db: 0.0,
            fetch_timeout: None,
            fallback: Vec::new(),
        }
    }
}

impl Blueprint {
    /// One URI, once.
    pub fn of(uri: PlayUri) -> Self {
        Self { steps: vec![Step::Play(Box::new(Play::once(uri)))] }
    }

    /// Gives stored audio this speed and level; live sources keep theirs.
    pub fn shape_prompts(&mut self, speed: f32, level_db: f32) {
        for step in &mut self.steps {
            if let Step::Play(play) = step
                && !matches!(play.uri, PlayUri::Source(_))
            {
                (play.speed, play.level_db) = (speed, level_db);
            }
        }
    }

    /// The source, when nothing but one live source is played, as it is and without end.
    pub fn only_live(&self) -> Option<&str> {
        let [Step::Play(play)] = self.steps.as_slice() else { return None };
        match &play.uri {
            PlayUri::Source(name)
                if play.at_most.is_none() && play.to.is_none() && play.level_db == 0.0 =>
            {
                Some(name)
            }
            PlayUri::Source(_)
            | PlayUri::Prompt(_)
            | PlayUri::Mail { .. }
            | PlayUri::Enclosed { .. } => None,
        }
    }

    /// Whether nothing but live sources is heard: there is nowhere to jump to in them, and no speed
    /// or voice to change.
    pub fn is_live(&self) -> bool {
        let live = |play: &Play| matches!(play.uri, PlayUri::Source(_));
        self.steps.iter().any(|step| matches!(step, Step::Play(_)))
            && self.steps.iter().all(|step| match step {
                Step::Play(play) => live(play),
                Step::Mark(_) => true,
                Step::Say(_) | Step::Silence(_) => false,
            })
    }

    /// Whether a live source is among what is heard.
    pub fn plays_live(&self) -> bool {
        self.steps.iter().any(|step| match step {
            Step::Play(play) => matches!(play.uri, PlayUri::Source(_)),
            Step::Say(_) | Step::Silence(_) | Step::Mark(_) => false,
        })
    }

    /// Whether it has a mark of this name, be it in what is heard when audio cannot be had.
    pub fn has_mark(&self, name: &str) -> bool {
        has_mark(&self.steps, name)
    }

    /// Takes the level out of all audio; what it was, in dB, for the first.
    pub fn take_level_db(&mut self) -> f32 {
        let mut first = None;
        for step in &mut self.steps {
            if let Step::Play(play) = step {
                first.get_or_insert(play.level_db);
                play.level_db = 0.0;
            }
        }
        first.unwrap_or_default()
    }

    /// Whether a speech provider is needed even if all audio can be had.
    pub fn speaks(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Say(_)))
    }
}

fn has_mark(steps: &[Step], name: &str) -> bool {
    steps.iter().any(|step| match step {
        Step::Mark(mark) => mark == name,
        Step::Say(say) => {
            let run = &say.run;
            let is_it = |piece: &ssml::RunPiece| matches!(piece, ssml::RunPiece::Mark(mark) if mark == name);
            run.pieces.iter().any(is_it)
        }
        Step::Play(play) => has_mark(&play.fallback, name),
        Step::Silence(_) => false,
    })
}

impl fmt::Display for Blueprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.steps.iter().enumerate() {
            if at > 0 {
                f.write_str(" | ")?;
            }
            write!(f, "{step}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Say(say) => {
                write!(f, "say {} words", say.run.words())?;
                if !say.lexicons.is_empty() {
                    write!(f, " with {} lexicons", say.lexicons.len())?;
                }
                Ok(())
            }
            Self::Silence(span) => write!(f, "silence {} ms", span.as_millis()),
            Self::Mark(name) => write!(f, "mark {name}"),
            Self::Play(play) => {
                write!(f, "play {}", play.uri)?;
                if play.times != 1.0 {
                    write!(f, " x{}", play.times)?;
                }
                if !play.fallback.is_empty() {
                    write!(f, " or {} steps", play.fallback.len())?;
                }
                Ok(())
            }
        }
    }
}

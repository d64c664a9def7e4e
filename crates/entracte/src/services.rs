//! Where audio comes from: live sources, stored prompts, speech. Shared by every feeder.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use control::Failure;
use control::blueprint::Say;
use control::capabilities::{Catalog, Speech as SpeechOnOffer};
use tokio::sync::mpsc;

use crate::first_audio::FirstAudio;
use crate::journal::Journal;
use crate::lexicons::Lexicons;

/// What is spoken, as it comes.
pub type Chunks = mpsc::Receiver<Result<speech::Chunk, speech::SpeechError>>;

/// The providers that are switched on.
#[derive(Debug)]
pub struct Services {
    /// Opens and caches what URIs name.
    pub prompts: sources::Prompts,
    /// The live sources.
    pub sources: sources::Sources,
    /// What happened to the sources lately.
    pub journal: Arc<Journal>,
    /// The speech provider, or why there is none.
    pub speech: Speaking,
    /// The lexicons that were read.
    pub lexicons: Lexicons,
    /// How soon each provider was heard.
    pub first_audio: FirstAudio,
    /// Stretches of 5 ms of prompts that were turned down so as not to clip.
    pub limited: AtomicU64,
    /// What was spoken and fetched, on the disk; `None` where nothing is kept.
    pub kept: Kept,
    /// Whether messages can be played into calls: `mail.retrieval_enabled`.
    pub mail_enabled: bool,
    /// Where messages are found, once the store is open.
    pub mail: OnceLock<MailService>,
    /// Where what is spoken is written, if files are kept for troubleshooting.
    pub temporary: store::Temporary,
}

/// Where messages are found that calls hear.
#[derive(Debug)]
pub struct MailService {
    /// Fetches them.
    pub retrieval: Arc<mailroom::retrieval::Retrieval>,
    /// How those are spoken that have only a text.
    pub style: ssml::Style,
}

/// The caches on the disk.
#[derive(Debug, Default)]
pub struct Kept {
    /// Rendered speech.
    pub speech: Option<Arc<store::Cache>>,
    /// Prompts that were fetched.
    pub prompts: Option<Arc<store::Cache>>,
}

/// The speech provider.
#[derive(Debug)]
pub enum Speaking {
    /// It is ready.
    On(speech::Speech),
    /// `text_to_speech.enabled = false`.
    Off,
    /// It is switched on and could not be started.
    Missing(String),
}

impl Services {
    /// What calls may ask for now.
    pub fn catalog(&self) -> Catalog {
        Catalog {
            sources: self.sources.names().iter().map(|name| name.to_string()).collect(),
            providers: match &self.speech {
                Speaking::On(speech) => speech.words().map(str::to_owned).collect(),
                Speaking::Off | Speaking::Missing(_) => Vec::new(),
            },
            mail: self.mail_enabled,
            speech: match &self.speech {
                Speaking::On(_) => SpeechOnOffer::On,
                Speaking::Off => SpeechOnOffer::Off,
                Speaking::Missing(why) => SpeechOnOffer::Missing(why.clone()),
            },
        }
    }

    /// The ring of a live source.
    ///
    /// # Errors
    /// [`Failure::Uri`] when no source has this name.
    pub fn live(&self, name: &str) -> Result<Arc<audio::live::Ring>, Failure> {
        self.sources.live(name).ok_or_else(|| Failure::Uri {
            uri: format!("source:{name}"),
            why: format!("no source is called \"{name}\""),
            cause: "not-found".to_owned(),
        })
    }

    /// Speech and prompts that were turned down so as not to clip, in milliseconds.
    pub fn limited_ms(&self) -> u64 {
        let speech = match &self.speech {
            Speaking::On(speech) => speech.state().limited,
            Speaking::Off | Speaking::Missing(_) => 0,
        };
        (self.limited.load(Ordering::Relaxed) + speech) * 5
    }

    /// Begins to speak.
    ///
    /// # Errors
    /// [`Failure::Speech`] when there is no provider, [`Failure::Lexicon`] when a lexicon cannot be had.
    pub async fn say(&self, say: Say) -> Result<Chunks, Failure> {
        let Say { run, lexicons, fetch_timeout } = say;
        let run = self.lexicons.apply(&self.prompts, run, &lexicons, fetch_timeout).await?;
        match &self.speech {
            Speaking::On(speech) if self.temporary.keeps() => {
                Ok(written(speech.speak(run), self.temporary.clone()))
            }
            Speaking::On(speech) => Ok(speech.speak(run)),
            Speaking::Off => Err(Failure::Speech("text_to_speech.enabled is false".to_owned())),
            Speaking::Missing(why) => Err(Failure::Speech(why.clone())),
        }
    }
}

/// Chunks that wait on their way to the listener.
const CHUNKS_MAX: usize = 8;

/// The same chunks; what was heard of them is written as a WAV file at the end.
fn written(mut from: Chunks, temporary: store::Temporary) -> Chunks {
    let (out, chunks) = mpsc::channel(CHUNKS_MAX);
    tokio::spawn(async move {
        let mut heard = Vec::new();
        while let Some(chunk) = from.recv().await {
            if let Ok(speech::Chunk::Samples(samples)) = &chunk {
                heard.extend_from_slice(samples);
            }
            if out.send(chunk).await.is_err() {
                break;
            }
        }
        tokio::task::spawn_blocking(move || {
            let wav = audio::wav::to_bytes(audio::wav::Format::TELEPHONE, &heard);
            if let Err(error) = temporary.keep("speech", "wav", &wav) {
                tracing::warn!(%error, "speech is not kept for troubleshooting");
            }
        });
    });
    chunks
}

/// A speech error as the control plane knows it.
pub fn speech_failure(error: &speech::SpeechError) -> Failure {
    if let speech::SpeechError::Language(language) = error {
        return Failure::Language(language.clone());
    }
    Failure::Speech(error.to_string())
}

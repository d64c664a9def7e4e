//! Where audio comes from: live sources, stored prompts, speech. Shared by every feeder.

use std::sync::Arc;

use control::Failure;
use control::capabilities::{Catalog, Speech as SpeechOnOffer};
use tokio::sync::mpsc;

/// What is spoken, as it comes.
pub type Chunks = mpsc::Receiver<Result<speech::Chunk, speech::SpeechError>>;

/// The providers that are switched on.
#[derive(Debug)]
pub struct Services {
    /// Opens and caches what URIs name.
    pub prompts: sources::Prompts,
    /// The live sources.
    pub sources: sources::Sources,
    /// The speech provider, or why there is none.
    pub speech: Speaking,
    /// Where what is spoken is written, if files are kept for troubleshooting.
    pub temporary: store::Temporary,
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

    /// Begins to speak a run.
    ///
    /// # Errors
    /// [`Failure::Speech`] when there is no provider.
    pub fn say(&self, run: ssml::Run) -> Result<Chunks, Failure> {
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

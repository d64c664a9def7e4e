//! Where audio comes from: live sources, stored prompts, speech. Shared by every feeder.

use std::sync::Arc;

use control::Failure;
use control::capabilities::{Catalog, Speech as SpeechOnOffer};
use tokio::sync::mpsc;

/// The providers that are switched on.
#[derive(Debug)]
pub struct Services {
    /// Opens and caches what URIs name.
    pub prompts: sources::Prompts,
    /// The live sources.
    pub sources: sources::Sources,
    /// The speech provider, or why there is none.
    pub speech: Speaking,
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
    pub fn say(
        &self,
        run: ssml::Run,
    ) -> Result<mpsc::Receiver<Result<speech::Chunk, speech::SpeechError>>, Failure> {
        match &self.speech {
            Speaking::On(speech) => Ok(speech.speak(run)),
            Speaking::Off => Err(Failure::Speech("text_to_speech.enabled is false".to_owned())),
            Speaking::Missing(why) => Err(Failure::Speech(why.clone())),
        }
    }
}

/// A speech error as the control plane knows it.
pub fn speech_failure(error: &speech::SpeechError) -> Failure {
    if let speech::SpeechError::Language(language) = error {
        return Failure::Language(language.clone());
    }
    Failure::Speech(error.to_string())
}

//! Messages that calls hear: opened like any other audio, and marked or deleted once they were heard, where a client wants that.

use std::sync::Arc;
use std::time::Duration;

use control::Failure;
use control::blueprint::{Say, Step};
use control::uri::{After, without_token};
use mailroom::retrieval::{Audio, Content, Fault, Handle};
use tokio::runtime;

use crate::feeder::{Opened, Ready, prompt_failure};
use crate::services::Services;

/// What is to become of a message that is heard.
#[derive(Debug)]
pub struct Heard {
    handle: Handle,
    after: After,
    runtime: runtime::Handle,
}

impl Heard {
    /// Some of it was heard.
    pub fn some(self) {
        match self.after {
            After::Keep => {}
            After::Read | After::Delete => self.spawn(After::Read),
        }
    }

    /// All of it was heard.
    pub fn all(self) {
        let after = self.after;
        self.spawn(after);
    }

    fn spawn(self, after: After) {
        let handle = self.handle;
        self.runtime.spawn(async move {
            let done = match after {
                After::Keep => Ok(()),
                After::Read => handle.mark_read().await,
                After::Delete => handle.delete().await,
            };
            if let Err(fault) = done {
                tracing::warn!(%fault, "a message that was heard could not be marked");
            }
        });
    }
}

/// Opens a message.
///
/// # Errors
/// [`Failure::Uri`] says what is wrong with it, or with whoever has it.
pub async fn open(
    services: &Services,
    uri: &str,
    after: After,
    timeout: Option<Duration>,
) -> Result<Ready, Failure> {
    let shown = without_token(uri);
    let failed = |fault: &Fault| Failure::Uri {
        uri: shown.to_owned(),
        why: fault.to_string(),
        cause: fault.cause().to_owned(),
    };
    let Some(service) = services.mail.get() else {
        return Err(failed(&Fault::NotAllowed("mail.retrieval_enabled in a running server")));
    };
    let open = service.retrieval.open(uri);
    let message = match timeout {
        Some(span) => tokio::time::timeout(span, open).await.unwrap_or(Err(Fault::Timeout(span))),
        None => open.await,
    };
    let message = message.map_err(|fault| failed(&fault))?;
    let heard = Heard { handle: message.handle, after, runtime: runtime::Handle::current() };
    if after != After::Keep && heard.handle.is_fixed() {
        return Err(failed(&Fault::NotAllowed("to leave a message as it is, by such a URL")));
    }
    let audio = match message.content {
        Content::Audio(audio) => sounding(services, shown, audio, timeout).await?,
        Content::Text(text) => Opened::Steps(spoken(&text, &service.style)),
    };
    Ok(Ready { audio, heard: Some(heard) })
}

async fn sounding(
    services: &Services,
    shown: &str,
    audio: Audio,
    timeout: Option<Duration>,
) -> Result<Opened, Failure> {
    let Audio { media_type, file_name, mut pieces } = audio;
    let about = (&*media_type, &*file_name);
    let prompt = services.prompts.open_pieces(shown, about, timeout, |out| async move {
        while let Some(piece) = pieces.recv().await {
            match piece {
                Ok(bytes) => {
                    // The decoder has had enough, or nobody listens.
                    if out.send(bytes.into()).await.is_err() {
                        return Ok(());
                    }
                }
                Err(fault) => {
                    let (cause, why) = (fault.cause(), fault.to_string());
                    return Err(sources::PromptFault::Elsewhere { cause, why });
                }
            }
        }
        Ok(())
    });
    prompt.await.map(Opened::of).map_err(|error| prompt_failure(&error))
}

/// A text as steps that speak it.
fn spoken(text: &str, style: &ssml::Style) -> Vec<Step> {
    let step = |segment| match segment {
        ssml::Segment::Speech(run) => {
            Some(Step::Say(Box::new(Say { run, lexicons: Arc::from([]), fetch_timeout: None })))
        }
        ssml::Segment::Silence(span) => Some(Step::Silence(span)),
        ssml::Segment::Mark(_) | ssml::Segment::Audio(_) => None,
    };
    ssml::plain(text, style).segments.into_iter().filter_map(step).collect()
}

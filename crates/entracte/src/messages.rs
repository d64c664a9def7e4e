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

/// What is to become of a message that is heard. Dropped after its begin and before its end, it counts as read: who hung up heard
/// that it is there.
#[derive(Debug)]
pub struct Heard {
    handle: Option<Handle>,
    after: After,
    is_begun: bool,
    runtime: runtime::Handle,
}

/// How often it is tried to mark a message.
const TRIES: u32 = 4;
/// How long the second try is waited for; each further one twice as long.
const WAIT: Duration = Duration::from_secs(5);

impl Heard {
    /// Its first sound was sent.
    pub const fn begins(&mut self) {
        self.is_begun = true;
    }

    /// Its last sound was sent.
    pub fn all(mut self) {
        self.spawn(self.after);
    }

    fn spawn(&mut self, after: After) {
        let Some(handle) = self.handle.take().filter(|_| after != After::Keep) else { return };
        self.runtime.spawn(async move {
            let mut wait = WAIT;
            for attempt in 1..=TRIES {
                let done = match after {
                    After::Keep => Ok(()),
                    After::Read => handle.mark_read().await,
                    After::Delete => handle.delete().await,
                };
                let Err(fault) = done else { return };
                if fault.cause() == "not-found" {
                    // Somebody else took it away.
                    return;
                }
                tracing::warn!(%fault, attempt, of = TRIES, "a message that was heard could not be marked");
                tokio::time::sleep(wait).await;
                wait *= 2;
            }
        });
    }
}

impl Drop for Heard {
    fn drop(&mut self) {
        if self.is_begun && self.after != After::Keep {
            self.spawn(After::Read);
        }
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
    if after != After::Keep && message.handle.is_fixed() {
        return Err(failed(&Fault::NotAllowed("to leave a message as it is, by such a URL")));
    }
    let heard = Heard {
        handle: Some(message.handle),
        after,
        is_begun: false,
        runtime: runtime::Handle::current(),
    };
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

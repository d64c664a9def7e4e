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
    let mut copy = Copied::of(&services.temporary, &file_name);
    let prompt = services.prompts.open_pieces(shown, about, timeout, |out| async move {
        while let Some(piece) = pieces.recv().await {
            match piece {
                Ok(bytes) => {
                    copy.iter_mut().for_each(|copy| copy.add(&bytes));
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

/// Most bytes of a message that are kept for troubleshooting.
const COPIED_BYTES_MAX: usize = 16 << 20;

/// A message's audio as it came, written to a file that is kept for troubleshooting when there is no more of it.
struct Copied {
    temporary: store::Temporary,
    extension: String,
    bytes: Vec<u8>,
}

impl Copied {
    /// None, unless files are kept.
    fn of(temporary: &store::Temporary, file_name: &str) -> Option<Self> {
        let extension = file_name.rsplit_once('.').map_or("", |(_, extension)| extension);
        let fits = |byte: u8| byte.is_ascii_alphanumeric();
        let is_one = (1..=8).contains(&extension.len()) && extension.bytes().all(fits);
        let extension = if is_one { extension.to_ascii_lowercase() } else { "audio".to_owned() };
        temporary.keeps().then(|| Self {
            temporary: temporary.clone(),
            extension,
            bytes: Vec::new(),
        })
    }

    fn add(&mut self, bytes: &[u8]) {
        let room = COPIED_BYTES_MAX.saturating_sub(self.bytes.len());
        self.bytes.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
    }
}

impl Drop for Copied {
    fn drop(&mut self) {
        let (temporary, extension) = (self.temporary.clone(), std::mem::take(&mut self.extension));
        let bytes = std::mem::take(&mut self.bytes);
        if bytes.is_empty() {
            return;
        }
        // It is dropped by the task that fetches.
        tokio::task::spawn_blocking(move || {
            if let Err(error) = temporary.keep("message", &extension, &bytes) {
                tracing::warn!(%error, "a message is not kept for troubleshooting");
            }
        });
    }
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

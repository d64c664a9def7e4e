//! Speech over HTTP: the OpenAI form (`POST /v1/audio/speech`) and the one of Piper's own server.

use std::fmt;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Response};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::timeout;
use vocab::Secret;

use crate::aloud::Broken;
use crate::sound::Sound;
use crate::voices::VoiceInfo;

/// Bytes of a refusal that are read for its reason.
const REASON_BYTES_MAX: usize = 400;
/// The longest `Retry-After` that is believed.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);
/// Blocks that wait for whoever listens.
const BLOCKS_MAX: usize = 64;

/// How a service is asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum HttpForm {
    /// `{model, input, voice, response_format}` as OpenAI's `/v1/audio/speech` takes it, and many
    /// servers after it; the answer is the sound, best as it is made.
    OpenAi,
    /// `{text, voice}` as Piper's HTTP server takes it; the answer is a WAV file.
    Piper,
}

/// A service that speaks over HTTP.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// How it is asked.
    pub form: HttpForm,
    /// Where: the whole URI that texts are posted to.
    pub uri: String,
    /// Sent as `Authorization: Bearer`, if there is one.
    pub key: Option<Secret>,
    /// The model, where the form has one.
    pub model: String,
    /// The format of the sound that is asked for, where the form has one: `pcm`, `wav`, `mp3`, `flac`.
    pub format: String,
    /// Samples per second of `pcm`, which has no header: 16 bits, little-endian, mono.
    pub pcm_hz: u32,
    /// Its voices. Their ids are what the service calls them.
    pub voices: Vec<VoiceInfo>,
    /// Makes the connections.
    pub client: Client,
    /// How long it may pause in the middle of a sound.
    pub stall: Duration,
}

/// Asks for one text; its sound comes block by block. Dropping the receiver ends the work.
pub(crate) fn fetch(
    config: &HttpConfig,
    text: &str,
    voice: &str,
) -> mpsc::Receiver<Result<Vec<i16>, Broken>> {
    let (out, blocks) = mpsc::channel(BLOCKS_MAX);
    let (config, text, voice) = (config.clone(), text.to_owned(), voice.to_owned());
    tokio::spawn(async move {
        tokio::select! {
            // Nobody listens any more: the connection goes with this task.
            () = out.closed() => {}
            done = pour(&config, &text, &voice, &out) => if let Err(broken) = done {
                // As above.
                let _ = out.send(Err(broken)).await;
            }
        }
    });
    blocks
}

async fn pour(
    config: &HttpConfig,
    text: &str,
    voice: &str,
    out: &mpsc::Sender<Result<Vec<i16>, Broken>>,
) -> Result<(), Broken> {
    let mut response = ask(config, text, voice).await?;
    let kind = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = kind.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let kind = kind.to_ascii_lowercase();
    if kind.starts_with("text/") || ["json", "xml", "html"].iter().any(|end| kind.ends_with(end)) {
        return Err(Broken::of(format!("it sent {kind}, not sound")));
    }
    let headed = ["mpeg", "mp3", "ogg", "opus", "flac", "aac", "wav", "wave", "mp4", "m4a", "webm"];
    let headed = headed.iter().any(|format| kind.ends_with(format));
    let raw = config.form == HttpForm::OpenAi && config.format == "pcm" && !headed;
    let mut sound = Sound::new(raw.then_some(config.pcm_hz));
    let mut begun = false;
    loop {
        // How long the first may take is the provider's `first_audio`.
        let piece = async {
            let piece = response.chunk();
            if begun { timeout(config.stall, piece).await } else { Ok(piece.await) }
        };
        let piece = piece.await.map_err(|_| {
            Broken::of(format!("nothing more came for {} ms", config.stall.as_millis()))
        })?;
        begun = true;
        let piece =
            piece.map_err(|why| Broken::of(format!("the sound was cut: {}", last(&why))))?;
        let no_sound = |why: String| Broken::of(format!("it sent no sound: {why}"));
        let Some(bytes) = piece else {
            let rest = sound.end().await.map_err(no_sound)?;
            // Nobody listening is no fault.
            let _ = out.send(Ok(rest)).await;
            return Ok(());
        };
        let mut block = Vec::new();
        sound.take(&bytes, &mut block).map_err(no_sound)?;
        if !block.is_empty() && out.send(Ok(block)).await.is_err() {
            return Ok(());
        }
    }
}

async fn ask(config: &HttpConfig, text: &str, voice: &str) -> Result<Response, Broken> {
    let body = match config.form {
        HttpForm::OpenAi => json!({
            "model": config.model,
            "input": text,
            "voice": voice,
            "response_format": config.format,
        }),
        HttpForm::Piper => json!({ "text": text, "voice": voice }),
    };
    let mut request = config.client.post(&config.uri).header(CONTENT_TYPE, "application/json");
    if let Some(key) = &config.key {
        let mut value = HeaderValue::try_from(format!("Bearer {}", key.reveal()))
            .map_err(|_| Broken::of("the key has letters that no header may have".to_owned()))?;
        value.set_sensitive(true);
        request = request.header(AUTHORIZATION, value);
    }
    let sent = request.body(body.to_string()).send().await;
    let response = sent.map_err(|why| Broken::of(last(&why)))?;
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let again = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let again = again.and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
    let why = reason(response).await;
    let dash = if why.is_empty() { "" } else { ": " };
    // What it says of this one text is nothing against the next.
    let this_text = matches!(status.as_u16(), 400 | 413 | 414 | 422);
    let rest = again.filter(|span| !span.is_zero()).map(|span| span.min(RETRY_AFTER_MAX));
    Err(Broken {
        why: format!("it answers {}{dash}{why}", status.as_u16()),
        rest: if this_text { rest.or(Some(Duration::ZERO)) } else { rest },
    })
}

/// What the service calls its refusal: one word. Its sentences may repeat what it was asked.
async fn reason(mut response: Response) -> String {
    let mut bytes = Vec::new();
    while bytes.len() < REASON_BYTES_MAX
        && let Ok(Ok(Some(piece))) = timeout(Duration::from_millis(500), response.chunk()).await
    {
        bytes.extend_from_slice(&piece);
    }
    let text = String::from_utf8_lossy(&bytes);
    let said = serde_json::from_str::<serde_json::Value>(&text).ok().and_then(|value| {
        let error = value.get("error").or_else(|| value.get("detail"))?;
        let said = error.get("code").or_else(|| error.get("type"));
        said.unwrap_or(error).as_str().map(str::to_owned)
    });
    let word = |letter: char| letter.is_ascii_alphanumeric() || "_-.".contains(letter);
    said.filter(|said| said.len() <= 80 && said.chars().all(word)).unwrap_or_default()
}

/// The innermost cause: "connection refused" says more than "error sending request".
fn last(error: &(dyn std::error::Error + 'static)) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}

impl fmt::Display for HttpForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OpenAi => "openai",
            Self::Piper => "piper",
        })
    }
}

//! What the pages of settings offer besides fields: devices, trying a source, hearing a voice.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Form};
use serde::Deserialize;

use super::{Frame, PAGE_ROWS, show};
use crate::accounts::Visitor;
use crate::answers::{page, refused};
use crate::context::Web;
use crate::settings::Settings;
use crate::view::{Device, Preview, Tried, View, Voice};

#[derive(Template)]
#[template(path = "devices.html")]
struct Devices {
    devices: Vec<Device>,
    error: Option<String>,
    /// The next look, while levels are followed.
    next: Option<u32>,
}

/// Looks at the levels that a page takes by itself, two minutes or so: each opens every device for a moment.
const ROUNDS: u32 = 60;

/// Which look it is.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(crate) struct Round {
    #[serde(default)]
    round: u32,
}

/// The devices of the host, as a piece of a page: the sound server is asked, which takes a second.
pub(crate) async fn devices<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Query(Round { round }): Query<Round>,
) -> Response {
    let next = Some(round + 1).filter(|next| *next < ROUNDS);
    let piece = match web.devices().await {
        Ok(devices) => Devices { devices, error: None, next },
        Err((_, why)) => Devices { devices: Vec::new(), error: Some(why), next: None },
    };
    page(StatusCode::OK, &piece)
}

#[derive(Template)]
#[template(path = "tried.html")]
struct TriedPiece {
    tried: Option<Tried>,
    error: Option<String>,
}

/// Tries the source whose fields were sent: the URI of one entry, or its device.
pub(crate) async fn test<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Extension(visitor): Extension<Visitor>,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Response {
    let of = |wanted: &str| pairs.iter().find(|(name, _)| name == wanted);
    let entry = of("entry").map(|(_, entry)| entry.as_str()).unwrap_or_default();
    let value = |key: &str| {
        let found = of(&format!("{entry}.{key}"));
        found.map(|(_, value)| value.trim().to_owned()).filter(|value| !value.is_empty())
    };
    let source = value("uri").or_else(|| Some(format!("device:{}", value("device")?)));
    let outcome = match source {
        Some(source) => {
            web.view.audit(&visitor.name, "source tried", &source);
            web.view.try_source(&source).await
        }
        None => Err("there is neither a URI nor a device".to_owned()),
    };
    let (tried, error) = match outcome {
        Ok(tried) => (Some(tried), None),
        Err(why) => (None, Some(why)),
    };
    page(StatusCode::OK, &TriedPiece { tried, error })
}

/// Which voices are looked for.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct VoiceQuery {
    #[serde(default)]
    q: String,
    /// How many are left out.
    #[serde(default)]
    from: usize,
}

#[derive(Template)]
#[template(path = "voices.html")]
struct VoicesPage<'a> {
    frame: Frame<'a>,
    voices: Vec<Voice>,
    found: usize,
    query: VoiceQuery,
    next: Option<usize>,
}

/// The voices, and a text that each speaks.
pub(crate) async fn voices<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Extension(visitor): Extension<Visitor>,
    Query(query): Query<VoiceQuery>,
) -> Response {
    let wanted = query.q.to_lowercase();
    let fits = |voice: &Voice| {
        let text = format!("{} {} {}", voice.provider, voice.id, voice.languages.join(" "));
        wanted.is_empty() || text.to_lowercase().contains(&wanted)
    };
    let found: Vec<Voice> = web.view.voices().into_iter().filter(fits).collect();
    let count = found.len();
    let voices: Vec<Voice> = found.into_iter().skip(query.from).take(PAGE_ROWS).collect();
    let next = Some(query.from + PAGE_ROWS).filter(|next| *next < count);
    let frame = Frame::inside("Voices", "/status/voices", &visitor);
    page(StatusCode::OK, &VoicesPage { frame, voices, found: count, query, next })
}

/// The longest text that is spoken for trial.
const TEXT_CHARS_MAX: usize = 1_000;

#[derive(Debug, Deserialize)]
pub(crate) struct PreviewForm {
    text: String,
    #[serde(default)]
    voice: String,
    #[serde(default)]
    rate: String,
}

#[derive(Template)]
#[template(path = "preview.html")]
struct PreviewPiece {
    preview: Option<Preview>,
    /// The sound, as a `data:` address would need a looser policy: its number.
    sound: u64,
    error: Option<String>,
}

impl PreviewPiece {
    /// The outline of the waveform: points of a polygon 1,000 wide and 100 high.
    fn outline(&self) -> String {
        let peaks =
            self.preview.as_ref().map(|preview| preview.peaks.as_slice()).unwrap_or_default();
        let step = 1_000.0 / f32::from(u16::try_from(peaks.len().max(1)).unwrap_or(u16::MAX));
        let mut above = String::new();
        let mut below = Vec::new();
        let mut at = 0.0;
        for peak in peaks {
            let half = (peak.sqrt() * 48.0).max(0.5);
            above.push_str(&format!("{at:.1},{:.1} ", 50.0 - half));
            below.push(format!("{at:.1},{:.1}", 50.0 + half));
            at += step;
        }
        below.reverse();
        above + &below.join(" ")
    }

    /// Where the first audible sample is, in the same width.
    fn lead(&self) -> String {
        let part = |preview: &Preview| {
            let whole = preview.duration_ms.max(1);
            preview.lead_ms * 1_000 / whole
        };
        self.preview.as_ref().map(part).unwrap_or_default().to_string()
    }
}

/// Speaks a text for trial, as a piece of a page.
pub(crate) async fn preview<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Form(form): Form<PreviewForm>,
) -> Response {
    let text = form.text.trim();
    let rate = form.rate.trim().parse().ok();
    let voice = Some(form.voice.trim()).filter(|voice| !voice.is_empty());
    let outcome = if text.is_empty() {
        Err("there is no text to speak".to_owned())
    } else if text.chars().count() > TEXT_CHARS_MAX {
        Err(format!("a text for trial has {TEXT_CHARS_MAX} characters at most"))
    } else if rate.is_none() && !form.rate.trim().is_empty() {
        Err("the rate is a number, as 1.0".to_owned())
    } else {
        web.view.preview(text, voice, rate).await
    };
    let piece = match outcome {
        Ok(mut preview) => {
            let sound = web.keep_sound(std::mem::take(&mut preview.wav));
            PreviewPiece { preview: Some(preview), sound, error: None }
        }
        Err(why) => PreviewPiece { preview: None, sound: 0, error: Some(why) },
    };
    page(StatusCode::OK, &piece)
}

/// A sound that was made for trial a moment ago.
pub(crate) async fn sound<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    axum::extract::Path(number): axum::extract::Path<u64>,
) -> Response {
    match web.sound(number) {
        Some(wav) => ([(header::CONTENT_TYPE, "audio/wav")], (*wav).clone()).into_response(),
        None => refused(StatusCode::NOT_FOUND, "this sound is not kept any more"),
    }
}

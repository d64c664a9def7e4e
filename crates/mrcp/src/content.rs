//! Bodies: which types a resource takes, and their parts. RFC 6787 §8.5.

use std::fmt;

use crate::headers::Headers;
use crate::media_type::MediaType;
use crate::message::Request;
use crate::multipart;

/// What a SPEAK request brought: the parts to be spoken in order, and the sounds that they name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Content {
    /// Plain text, SSML and URI lists, in the order in which they are to be spoken.
    pub spoken: Vec<Part>,
    /// Sounds that came along, each with its [`Part::id`], for `cid:` references.
    pub sounds: Vec<Part>,
}

/// One typed piece of a body.
#[derive(Clone, Eq, PartialEq)]
pub struct Part {
    /// What it is, with `charset` and other parameters.
    pub media_type: MediaType,
    /// Its bytes, transfer encoding undone.
    pub bytes: Vec<u8>,
    /// Its `Content-ID` without angle brackets.
    pub id: Option<String>,
    /// Against which its relative URIs are resolved: its own `Content-Base`, else the message's.
    pub base: Option<String>,
    /// Its `Content-Location`.
    pub location: Option<String>,
}

/// What is wrong with a body. Each has its status in the synthesizer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum BodyFault {
    /// A header field that a body needs is missing, or the body itself.
    Missing,
    /// `Content-Type` is malformed, or lacks a boundary.
    TypeIllegal,
    /// Not a type, or not a structure, that is taken here.
    Unsupported,
    /// `Content-Encoding` is none that we undo.
    Encoding,
}

/// The request's body in its parts: one, or those of `multipart/mixed`.
pub(crate) fn parts(request: &Request) -> Result<Vec<Part>, BodyFault> {
    let headers = &request.headers;
    let declared = headers.get("Content-Type").filter(|declared| !declared.is_empty());
    let Some(declared) = declared.filter(|_| !request.body.is_empty()) else {
        return Err(BodyFault::Missing);
    };
    let media_type = MediaType::parse(declared).ok_or(BodyFault::TypeIllegal)?;
    if is_encoded(headers) {
        return Err(BodyFault::Encoding);
    }
    if !media_type.is_multipart() {
        return Ok(vec![Part::of(media_type, headers, request.body.clone(), None)]);
    }
    let boundary = media_type.parameter("boundary").ok_or(BodyFault::TypeIllegal)?;
    let base = headers.get("Content-Base");
    multipart::split(&request.body, boundary)
        .ok_or(BodyFault::Unsupported)?
        .into_iter()
        .map(|raw| {
            if is_encoded(&raw.headers) {
                return Err(BodyFault::Unsupported);
            }
            // RFC 2046 §5.1: a part that says nothing is plain text.
            let declared = raw.headers.get("Content-Type").unwrap_or("text/plain");
            let media_type = MediaType::parse(declared).ok_or(BodyFault::Unsupported)?;
            Ok(Part::of(media_type, &raw.headers, raw.bytes, base))
        })
        .collect()
}

fn is_encoded(headers: &Headers) -> bool {
    headers
        .all("Content-Encoding")
        .flat_map(|value| value.split(','))
        .any(|coding| !matches!(coding.trim().to_ascii_lowercase().as_str(), "" | "identity"))
}

impl Content {
    /// Sorts parts into what is spoken and what is only referred to.
    pub(crate) fn of(parts: Vec<Part>) -> Result<Self, BodyFault> {
        let (sounds, spoken): (Vec<_>, Vec<_>) =
            parts.into_iter().partition(|part| part.media_type.is_audio() && part.id.is_some());
        let speakable = |part: &Part| {
            let media_type = &part.media_type;
            media_type.is_plain_text() || media_type.is_ssml() || media_type.is_uri_list()
        };
        if spoken.is_empty() || !spoken.iter().all(speakable) {
            return Err(BodyFault::Unsupported);
        }
        Ok(Self { spoken, sounds })
    }

    /// The sound that `cid:` with this id means.
    pub fn sound(&self, id: &str) -> Option<&Part> {
        self.sounds.iter().find(|part| part.id.as_deref() == Some(id))
    }
}

impl Part {
    fn of(media_type: MediaType, headers: &Headers, bytes: Vec<u8>, base: Option<&str>) -> Self {
        let text = |name| headers.get(name).filter(|value| !value.is_empty());
        Self {
            media_type,
            bytes,
            id: text("Content-ID").map(bare_id),
            base: text("Content-Base").or(base).map(str::to_owned),
            location: text("Content-Location").map(str::to_owned),
        }
    }

    /// The URIs of a `text/uri-list`, without its comments. RFC 2483 §5.
    pub fn uris(&self) -> Vec<String> {
        String::from_utf8_lossy(&self.bytes)
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(str::to_owned)
            .collect()
    }
}

/// A Content-ID without its angle brackets.
pub(crate) fn bare_id(text: &str) -> String {
    let text = text.trim();
    text.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')).unwrap_or(text).to_owned()
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Part {} {:?} +{} bytes", self.media_type, self.id, self.bytes.len())
    }
}

//! Cuts the body of a SPEAK into the steps that are heard. RFC 6787 §8.5, SSML 1.1.

use std::sync::Arc;
use std::time::Duration;

use mrcp::content::{Content, Part};
use mrcp::lexicon::LexiconRef;
use mrcp::settings::{Pitch, Settings};
use ssml::values::{self, Scale};

use crate::blueprint::{Blueprint, Play, Say, Step};
use crate::capabilities::{Catalog, Speech};
use crate::event::Failure;
use crate::uri::{After, PlayUri, without_token};

/// URIs in one text/uri-list.
pub const URIS_MAX: usize = 1_000;

/// The vendor-specific parameter by which a client says what becomes of messages that it plays: `keep`, `read`, `delete`;
/// `;after=` of a URI comes before it. RFC 6787 §6.2.16.
pub const MAIL_AFTER: &str = "io.entracte.mail-after";

/// What holds for everything that one call plays, before its settings are laid over it.
#[derive(Clone, Debug, PartialEq)]
pub struct Defaults {
    /// Language, voice, rate and volume from the configuration.
    pub style: ssml::Style,
}

/// What is to be heard, and under which settings.
#[derive(Clone, Copy, Debug)]
pub struct Order<'o> {
    /// What.
    pub content: &'o Content,
    /// The request's settings over the session's.
    pub settings: &'o Settings,
    /// The session's lexicons that are active, in their order.
    pub lexicons: &'o [LexiconRef],
    /// Providers of speech that are preferred where no voice is named, or none of those named is there.
    pub providers: &'o [String],
}

/// Which prosody settings are weighed against markup.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Prosody {
    /// Those of SPEAK and SET-PARAMS: for text without markup only. RFC 6787 §8.4.7.
    Request,
    /// Those of CONTROL: for whatever is being spoken.
    Control,
}

/// The steps that an order means.
///
/// # Errors
/// What would end the request: markup that cannot be read, a URI that names nothing, text while
/// speech is off.
pub fn cut(
    order: &Order<'_>,
    prosody: Prosody,
    defaults: &Defaults,
    catalog: &Catalog,
) -> Result<Blueprint, Failure> {
    let Order { content, settings, lexicons, providers } = *order;
    let lexicons = lexicons.into();
    let cutter = Cutter { content, settings, lexicons, providers, catalog };
    let voiced = voiced(&defaults.style, settings);
    let full = prosodic(&voiced, settings);
    let mut steps = Vec::new();
    for part in &content.spoken {
        if part.media_type.is_uri_list() {
            cutter.uri_list(part, &full, &mut steps)?;
        } else if part.media_type.is_ssml() {
            let style = if prosody == Prosody::Control { &full } else { &voiced };
            cutter.markup(part, style, &mut steps)?;
        } else {
            cutter.text(part, &full, &mut steps)?;
        }
    }
    let blueprint = Blueprint { steps };
    if blueprint.speaks() {
        speech(catalog)?;
    }
    Ok(blueprint)
}

/// The volume that is in the samples of what [`cut`] gave, in dB: what a later change starts from.
pub fn volume_db(
    content: &Content,
    settings: &Settings,
    prosody: Prosody,
    defaults: &Defaults,
) -> f32 {
    let markup = content.spoken.iter().any(|part| part.media_type.is_ssml());
    if markup && prosody == Prosody::Request {
        return defaults.style.volume_db;
    }
    prosodic(&defaults.style, settings).volume_db
}

fn speech(catalog: &Catalog) -> Result<(), Failure> {
    match &catalog.speech {
        Speech::On => Ok(()),
        Speech::Off => Err(Failure::Speech("text_to_speech.enabled is false".to_owned())),
        Speech::Missing(why) => Err(Failure::Speech(why.clone())),
    }
}

/// Language and voice: they hold for every kind of text.
fn voiced(base: &ssml::Style, settings: &Settings) -> ssml::Style {
    let mut style = base.clone();
    if let Some(language) = &settings.language {
        style.language.clone_from(language);
        style.voice = ssml::Voice::default();
    }
    let voice = &settings.voice;
    if let Some(name) = &voice.name {
        // One name with blanks in it, or several with blanks between them. RFC 6787 §8.4.6.
        style.voice.names = vec![name.clone()];
        if name.contains(' ') {
            style.voice.names.extend(name.split_whitespace().map(str::to_owned));
        }
    }
    if let Some(gender) = voice.gender {
        style.voice.gender = values::gender(&gender.to_string());
    }
    if let Some(age) = voice.age {
        style.voice.age = Some(u8::try_from(age).unwrap_or(u8::MAX));
    }
    if let Some(variant) = voice.variant {
        style.voice.variant = Some(u32::try_from(variant).unwrap_or(u32::MAX));
    }
    style
}

/// Rate, volume, pitch and range, as the headers say them in SSML's own words.
fn prosodic(voiced: &ssml::Style, settings: &Settings) -> ssml::Style {
    let mut style = voiced.clone();
    let prosody = &settings.prosody;
    let scale = |value| Scale { default: value, current: value };
    let said = |value: &Option<Pitch>| value.as_ref().map(ToString::to_string);
    let rate = prosody.rate.map(|rate| rate.to_string());
    if let Some(rate) = rate.and_then(|text| values::rate(&text, scale(style.rate))) {
        style.rate = rate;
    }
    let volume = prosody.volume.map(|volume| volume.to_string());
    if let Some(db) = volume.and_then(|text| values::volume_db(&text, scale(style.volume_db))) {
        style.volume_db = db;
    }
    let pitch = said(&prosody.pitch);
    if let Some(pitch) = pitch.and_then(|text| values::pitch(&text, style.pitch, style.pitch)) {
        style.pitch = pitch;
    }
    let range = said(&prosody.range);
    if let Some(range) = range.and_then(|text| values::range(&text, scale(style.range))) {
        style.range = range;
    }
    style
}

struct Cutter<'a> {
    content: &'a Content,
    settings: &'a Settings,
    lexicons: Arc<[LexiconRef]>,
    providers: &'a [String],
    catalog: &'a Catalog,
}

impl Cutter<'_> {
    fn text(&self, part: &Part, style: &ssml::Style, out: &mut Vec<Step>) -> Result<(), Failure> {
        let text = ssml::text(&part.bytes, part.media_type.parameter("charset"))
            .map_err(|error| Failure::Parse(error.to_string()))?;
        self.segments(ssml::plain(&text, style).segments, None, &self.lexicons, out)
    }

    fn markup(&self, part: &Part, style: &ssml::Style, out: &mut Vec<Step>) -> Result<(), Failure> {
        let base = part.location.as_ref().or(part.base.as_ref());
        let defaults = ssml::Defaults {
            style: style.clone(),
            base: base.cloned(),
            charset: part.media_type.parameter("charset").map(str::to_owned),
        };
        let document = ssml::parse(&part.bytes, &defaults)
            .map_err(|error| Failure::Parse(error.to_string()))?;
        // A document's own lexicons come before those of the session. RFC 6787 §8.4.17.
        let own = document.lexicons.into_iter().map(|uri| self.lexicon(uri));
        let lexicons: Arc<[LexiconRef]> = own.chain(self.lexicons.iter().cloned()).collect();
        self.segments(document.segments, base.map(String::as_str), &lexicons, out)
    }

    /// A lexicon that a document names: one that the session keeps, or one to be fetched.
    fn lexicon(&self, uri: String) -> LexiconRef {
        let kept = self
            .lexicons
            .iter()
            .find(|kept| matches!(kept, LexiconRef::Kept(lexicon) if lexicon.uri == uri));
        kept.cloned().unwrap_or(LexiconRef::Uri(uri))
    }

    fn uri_list(
        &self,
        part: &Part,
        style: &ssml::Style,
        out: &mut Vec<Step>,
    ) -> Result<(), Failure> {
        let uris = part.uris();
        if uris.is_empty() {
            return Err(Failure::Parse("the list of URIs is empty".to_owned()));
        }
        if uris.len() > URIS_MAX {
            return Err(Failure::Parse(format!("the list has more than {URIS_MAX} URIs")));
        }
        for text in uris {
            let uri = self.uri(&text, part.base.as_deref())?;
            let mut play = Play::once(uri);
            play.speed = style.rate;
            play.level_db = style.volume_db;
            play.fetch_timeout = self.timeout();
            out.push(Step::Play(Box::new(play)));
        }
        Ok(())
    }

    fn segments(
        &self,
        segments: Vec<ssml::Segment>,
        base: Option<&str>,
        lexicons: &Arc<[LexiconRef]>,
        out: &mut Vec<Step>,
    ) -> Result<(), Failure> {
        for segment in segments {
            match segment {
                ssml::Segment::Speech(mut run) => {
                    run.style.voice.names.extend(self.providers.iter().cloned());
                    let lexicons = Arc::clone(lexicons);
                    let fetch_timeout = self.timeout();
                    out.push(Step::Say(Box::new(Say { run, lexicons, fetch_timeout })));
                }
                ssml::Segment::Silence(span) => out.push(Step::Silence(span)),
                ssml::Segment::Mark(name) => out.push(Step::Mark(name)),
                ssml::Segment::Audio(audio) => self.audio(*audio, base, lexicons, out)?,
            }
        }
        Ok(())
    }

    fn audio(
        &self,
        audio: ssml::Audio,
        base: Option<&str>,
        lexicons: &Arc<[LexiconRef]>,
        out: &mut Vec<Step>,
    ) -> Result<(), Failure> {
        let mut fallback = Vec::new();
        self.segments(audio.fallback, base, lexicons, &mut fallback)?;
        let uri = match self.uri(&audio.src, base) {
            Ok(uri) => uri,
            // Fallback content is there for exactly this. SSML 1.1 §3.3.1.
            Err(_) if !fallback.is_empty() => {
                out.append(&mut fallback);
                return Ok(());
            }
            Err(failure) => return Err(failure),
        };
        out.push(Step::Play(Box::new(Play {
            uri,
            from: audio.clip_begin,
            to: audio.clip_end,
            times: audio.repeat_count,
            at_most: audio.repeat_for,
            speed: (audio.speed * audio.style.rate).clamp(values::RATE_MIN, values::RATE_MAX),
            level_db: audio.sound_level_db + audio.style.volume_db,
            fetch_timeout: audio.fetch_timeout.or_else(|| self.timeout()),
            fallback,
        })));
        Ok(())
    }

    /// What a URI names; sources are looked up now, everything else when its turn comes.
    fn uri(&self, text: &str, base: Option<&str>) -> Result<PlayUri, Failure> {
        if let Some(id) = text.strip_prefix("cid:") {
            return match self.content.sound(id) {
                Some(part) => Ok(PlayUri::Enclosed {
                    id: id.to_owned(),
                    media_type: part.media_type.to_string(),
                    bytes: part.bytes.as_slice().into(),
                }),
                None => Err(no_uri(text, "no part of the body has this Content-ID")),
            };
        }
        let uri = PlayUri::parse(text, base).map_err(|error| Failure::Uri {
            uri: text.to_owned(),
            why: error.to_string(),
            cause: error.cause().to_owned(),
        })?;
        match uri {
            PlayUri::Source(name) => match self.catalog.source(&name) {
                Some(known) => Ok(PlayUri::Source(known.to_owned())),
                None => Err(no_uri(text, &format!("no source is called \"{name}\""))),
            },
            PlayUri::Mail { .. } if !self.catalog.mail => Err(Failure::Uri {
                uri: without_token(text).to_owned(),
                why: "mail.retrieval_enabled is false".to_owned(),
                cause: "not-allowed".to_owned(),
            }),
            PlayUri::Mail { uri, after: None } => Ok(PlayUri::Mail { uri, after: self.after()? }),
            PlayUri::Prompt(_) | PlayUri::Mail { .. } | PlayUri::Enclosed { .. } => Ok(uri),
        }
    }

    /// What is to become of messages whose URIs do not say.
    fn after(&self) -> Result<Option<After>, Failure> {
        let Some(parameter) = self.settings.vendor.get(MAIL_AFTER) else { return Ok(None) };
        let after = After::parse(&parameter.plain());
        let wrong = || Failure::Parse(format!("{MAIL_AFTER} is keep, read or delete"));
        after.map(Some).ok_or_else(wrong)
    }

    fn timeout(&self) -> Option<Duration> {
        self.settings.fetch.timeout
    }
}

fn no_uri(uri: &str, why: &str) -> Failure {
    Failure::Uri { uri: uri.to_owned(), why: why.to_owned(), cause: "not-found".to_owned() }
}

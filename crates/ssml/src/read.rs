use std::mem;
use std::time::Duration;

use quick_xml::Reader;
use quick_xml::events::{BytesRef, BytesStart, Event};

use crate::decode::decode;
use crate::document::{
    Audio, Defaults, Document, Emphasis, Note, Pitch, RunPiece, Segment, SsmlError, Style,
};
use crate::sayas::{self, SayAs};
use crate::values::{self, Scale};

pub(crate) mod attributes;
mod gather;

use attributes::Attributes;
use gather::Gather;

/// The longest document.
pub const BYTES_MAX: usize = 1 << 20;
/// The deepest nesting of elements.
pub const DEPTH_MAX: usize = 64;
/// The most run pieces, segments and marks of one document, fallbacks included.
pub const PIECES_MAX: usize = 16_384;
/// The most notes that are kept.
pub const NOTES_MAX: usize = 64;
/// The most lexicons that are listed.
const LEXICONS_MAX: usize = 64;
/// The longest break.
const BREAK_MAX: Duration = Duration::from_secs(600);

/// Reads a document.
///
/// # Errors
/// The document is not well-formed, in an unknown charset, or past a limit.
pub fn parse(bytes: &[u8], defaults: &Defaults) -> Result<Document, SsmlError> {
    if bytes.len() > BYTES_MAX {
        return Err(SsmlError { line: 1, what: format!("longer than {BYTES_MAX} bytes") });
    }
    let decoded =
        decode(bytes, defaults.charset.as_deref()).map_err(|what| SsmlError { line: 1, what })?;
    let mut reading = Reading::new(defaults);
    if let Some(remark) = decoded.remark {
        reading.note(remark.to_owned());
    }
    reading.read(&decoded.text)?;
    Ok(reading.finish())
}

/// One document being read.
struct Reading<'d> {
    defaults: &'d Defaults,
    line: usize,
    frames: Vec<Frame>,
    /// One per open `audio` element, and the document's own at the bottom.
    gathers: Vec<Gather>,
    language: Option<String>,
    trim: Trim,
    lexicons: Vec<String>,
    notes: Vec<Note>,
    pieces: usize,
    seen_root: bool,
}

/// `startmark` and `endmark` of the root. SSML 1.1 §3.1.1.
#[derive(Default)]
struct Trim {
    start: Option<String>,
    end: Option<String>,
}

/// An open element.
struct Frame {
    style: Style,
    emphasis: Emphasis,
    base: Option<String>,
    kind: Kind,
}

/// What an element's end must do.
enum Kind {
    /// Nothing.
    Plain,
    /// A sentence, paragraph or token: what follows is another word.
    Spaced,
    /// `audio`: what was gathered is its fallback.
    Audio(Box<Audio>),
    /// Text that is taken whole at the end.
    Take(Take, String),
    /// Content that is not heard.
    Hidden,
}

enum Take {
    SayAs(SayAs),
    Sub(String),
    Phoneme { alphabet: String, ph: String },
    Description,
}

impl<'d> Reading<'d> {
    fn new(defaults: &'d Defaults) -> Self {
        Self {
            defaults,
            line: 1,
            frames: Vec::new(),
            gathers: vec![Gather::default()],
            language: None,
            trim: Trim::default(),
            lexicons: Vec::new(),
            notes: Vec::new(),
            pieces: 0,
            seen_root: false,
        }
    }

    fn read(&mut self, text: &str) -> Result<(), SsmlError> {
        let mut reader = Reader::from_str(text);
        let mut lines = Lines::new(text);
        loop {
            let event = reader.read_event();
            let position =
                if event.is_err() { reader.error_position() } else { reader.buffer_position() };
            let event = match event {
                Ok(event) => event,
                Err(error) => {
                    return Err(SsmlError { line: lines.at(position), what: error.to_string() });
                }
            };
            // Told at its end, so an element over several lines counts for its last.
            self.line = lines.at(position);
            match event {
                Event::Start(element) => self.open(&element)?,
                Event::Empty(element) => {
                    self.open(&element)?;
                    self.close()?;
                }
                Event::End(_) => self.close()?,
                Event::Text(words) => self.text(&words)?,
                Event::CData(words) => self.text(&words)?,
                Event::GeneralRef(reference) => self.reference(&reference)?,
                Event::Decl(_) | Event::PI(_) | Event::DocType(_) | Event::Comment(_) => {}
                Event::Eof => break,
            }
        }
        if !self.frames.is_empty() {
            return self.fail("it ends inside an element");
        }
        if self.seen_root { Ok(()) } else { self.fail("there is no element") }
    }

    fn finish(mut self) -> Document {
        let mut segments = self.gathers.pop().map(Gather::finish).unwrap_or_default();
        if let Some(name) = self.trim.start.take() {
            match gather::from_mark(&mut segments, &name) {
                Some(rest) => segments = rest,
                None => self.note("startmark names no mark of the document".into()),
            }
        }
        if let Some(name) = self.trim.end.take()
            && !gather::until_mark(&mut segments, &name)
        {
            self.note("endmark names no mark of the document".into());
        }
        Document {
            language: self.language.unwrap_or_else(|| self.defaults.style.language.clone()),
            segments,
            lexicons: self.lexicons,
            notes: self.notes,
        }
    }

    fn fail<T>(&self, what: &str) -> Result<T, SsmlError> {
        Err(SsmlError { line: self.line, what: what.to_owned() })
    }

    fn note(&mut self, what: String) {
        if self.notes.len() < NOTES_MAX {
            self.notes.push(Note { line: self.line, what });
        }
    }

    /// Counts what was just made against the limit.
    fn spend(&mut self) -> Result<(), SsmlError> {
        self.pieces += self.gathers.last_mut().map_or(0, Gather::made);
        if self.pieces > PIECES_MAX {
            return self.fail("more than 16,384 pieces of text, marks and audio");
        }
        Ok(())
    }

    /// The text that is being taken whole, if any, else where text goes.
    fn text(&mut self, text: &str) -> Result<(), SsmlError> {
        let blank = text.chars().all(char::is_whitespace);
        let Some(frame) = self.frames.last_mut() else {
            if blank {
                return Ok(());
            }
            return self.fail("there is text outside the root element");
        };
        match &mut frame.kind {
            Kind::Take(_, taken) => taken.push_str(text),
            Kind::Hidden => {}
            Kind::Plain | Kind::Spaced | Kind::Audio(_) => {
                if let Some(gather) = self.gathers.last_mut() {
                    gather.text(text, &frame.style, frame.emphasis);
                }
            }
        }
        self.spend()
    }

    fn reference(&mut self, reference: &BytesRef<'_>) -> Result<(), SsmlError> {
        if reference.is_char_ref() {
            return match reference.resolve_char_ref() {
                Ok(Some(letter)) => self.text(letter.encode_utf8(&mut [0; 4])),
                Ok(None) | Err(_) => self.fail("a character reference that is no character"),
            };
        }
        match attributes::entity(reference) {
            Some(text) => self.text(text),
            None => self.fail("an entity that XML does not define; none are read from a DOCTYPE"),
        }
    }

    fn point(&mut self, piece: RunPiece) -> Result<(), SsmlError> {
        if let Some(gather) = self.gathers.last_mut() {
            gather.point(piece);
        }
        self.spend()
    }

    fn segment(&mut self, segment: Segment) -> Result<(), SsmlError> {
        if let Some(gather) = self.gathers.last_mut() {
            gather.segment(segment);
        }
        self.spend()
    }

    fn space(&mut self) {
        if let Some(gather) = self.gathers.last_mut() {
            gather.space();
        }
    }

    /// Whether what stands here is only text to be taken, or nothing at all.
    fn muted(&self) -> bool {
        self.frames.last().is_some_and(|frame| matches!(frame.kind, Kind::Take(..) | Kind::Hidden))
    }

    fn open(&mut self, element: &BytesStart<'_>) -> Result<(), SsmlError> {
        if self.frames.len() >= DEPTH_MAX {
            return self.fail("elements nest more than 64 deep");
        }
        if self.frames.is_empty() && mem::replace(&mut self.seen_root, true) {
            return self.fail("there is a second root element");
        }
        let attributes = match Attributes::read(element) {
            Ok(attributes) => attributes,
            Err(what) => return self.fail(&what),
        };
        let mut frame = match self.frames.last() {
            Some(parent) => Frame {
                style: parent.style.clone(),
                emphasis: parent.emphasis,
                base: parent.base.clone(),
                kind: Kind::Plain,
            },
            None => Frame {
                style: self.defaults.style.clone(),
                emphasis: Emphasis::None,
                base: self.defaults.base.clone(),
                kind: Kind::Plain,
            },
        };
        if self.muted() {
            self.open_muted(element, &attributes, &mut frame)?;
            self.frames.push(frame);
            return Ok(());
        }
        if let Some(base) = attributes.get("base") {
            frame.base = Some(against(frame.base.as_deref(), base));
        }
        if let Some(language) = attributes.get("lang").filter(|tag| !tag.is_empty()) {
            language.clone_into(&mut frame.style.language);
            if self.frames.is_empty() {
                self.language = Some(language.to_owned());
            }
        }
        self.frames.push(frame);
        let name = element.local_name();
        self.element(name.as_ref(), &attributes)
    }

    /// Inside text that is taken whole only marks count, and text goes on being taken.
    fn open_muted(
        &mut self,
        element: &BytesStart<'_>,
        attributes: &Attributes,
        frame: &mut Frame,
    ) -> Result<(), SsmlError> {
        let hidden = self.frames.last().is_some_and(|frame| matches!(frame.kind, Kind::Hidden));
        if hidden {
            frame.kind = Kind::Hidden;
            return Ok(());
        }
        if element.local_name().as_ref() == "mark"
            && let Some(name) = attributes.get("name").filter(|name| !name.is_empty())
        {
            self.point(RunPiece::Mark(name.to_owned()))?;
        } else {
            self.note(format!("<{}> has no place here", attributes.element));
        }
        // Its own text joins what the element around it takes: `close` hands it up.
        frame.kind = Kind::Take(Take::Description, String::new());
        Ok(())
    }

    fn element(&mut self, name: &str, attributes: &Attributes) -> Result<(), SsmlError> {
        match name {
            "speak" => {
                self.trim.start = attributes.get("startmark").map(str::to_owned);
                self.trim.end = attributes.get("endmark").map(str::to_owned);
            }
            "p" | "paragraph" => {
                self.space();
                self.set(Kind::Spaced);
                self.point(RunPiece::ParagraphStart)?;
            }
            "s" | "sentence" => {
                self.space();
                self.set(Kind::Spaced);
                self.point(RunPiece::SentenceStart)?;
            }
            "token" | "w" => {
                self.space();
                self.set(Kind::Spaced);
            }
            "break" => self.silence(attributes)?,
            "mark" => match attributes.get("name").filter(|name| !name.is_empty()) {
                Some(name) => self.point(RunPiece::Mark(name.to_owned()))?,
                None => self.note("<mark> without a name".into()),
            },
            "audio" => self.audio(attributes),
            "desc" => self.set(Kind::Take(Take::Description, String::new())),
            "prosody" => self.prosody(attributes),
            "voice" => self.voice(attributes),
            "emphasis" => self.emphasis(attributes),
            "say-as" => self.say_as(attributes),
            "sub" => match attributes.get("alias") {
                Some(alias) => self.set(Kind::Take(Take::Sub(alias.to_owned()), String::new())),
                None => self.note("<sub> without an alias".into()),
            },
            "phoneme" => match attributes.get("ph") {
                Some(ph) => {
                    let alphabet = attributes.get("alphabet").unwrap_or("ipa").to_owned();
                    let take = Take::Phoneme { alphabet, ph: ph.to_owned() };
                    self.set(Kind::Take(take, String::new()));
                }
                None => self.note("<phoneme> without ph".into()),
            },
            "lexicon" => {
                if let Some(uri) = attributes.get("uri") {
                    let base = self.frames.last().and_then(|frame| frame.base.as_deref());
                    let uri = against(base, uri);
                    if self.lexicons.len() < LEXICONS_MAX {
                        self.lexicons.push(uri);
                    }
                }
                self.set(Kind::Hidden);
            }
            "metadata" | "meta" => self.set(Kind::Hidden),
            "lang" => {}
            "lookup" => self.note("lookup: every lexicon of the document holds everywhere".into()),
            _ => self.note(format!("<{}> is not SSML; its content is spoken", attributes.element)),
        }
        Ok(())
    }

    fn set(&mut self, kind: Kind) {
        if let Some(frame) = self.frames.last_mut() {
            frame.kind = kind;
        }
    }

    fn silence(&mut self, attributes: &Attributes) -> Result<(), SsmlError> {
        let timed = match attributes.get("time") {
            Some(text) => {
                let time = values::time(text);
                if time.is_none() {
                    self.bad(attributes, "time");
                }
                time
            }
            None => None,
        };
        let strength = match attributes.get("strength").map(str::trim) {
            Some("none") => 0,
            Some("x-weak") => 250,
            Some("weak") => 500,
            Some("medium") | None => 750,
            Some("strong") => 1_000,
            Some("x-strong") => 1_250,
            Some(_) => {
                self.bad(attributes, "strength");
                750
            }
        };
        let span = timed.unwrap_or_else(|| Duration::from_millis(strength)).min(BREAK_MAX);
        self.space();
        if span.is_zero() { Ok(()) } else { self.segment(Segment::Silence(span)) }
    }

    fn bad(&mut self, attributes: &Attributes, name: &str) {
        self.note(format!("<{}> has a bad {name}; it is skipped", attributes.element));
    }

    /// The attribute's value as `read` understands it; a bad one is noted.
    fn value<T>(
        &mut self,
        attributes: &Attributes,
        name: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let value = read(attributes.get(name)?);
        if value.is_none() {
            self.bad(attributes, name);
        }
        value
    }

    fn audio(&mut self, attributes: &Attributes) {
        let Some(frame) = self.frames.last() else { return };
        let style = frame.style.clone();
        // An empty one names nothing that can be had, and that is said; it is not silence.
        let Some(src) = attributes.get("src").map(str::trim) else {
            self.note("<audio> without src; its content is spoken".into());
            return;
        };
        let src = against(frame.base.as_deref(), src);
        let speed = self.value(attributes, "speed", values::factor).unwrap_or(1.0);
        let audio = Audio {
            src,
            fetch_timeout: self.value(attributes, "fetchtimeout", values::time),
            clip_begin: self.value(attributes, "clipBegin", values::time).unwrap_or_default(),
            clip_end: self.value(attributes, "clipEnd", values::time),
            repeat_count: self.value(attributes, "repeatCount", values::factor).unwrap_or(1.0),
            repeat_for: self.value(attributes, "repeatDur", values::time),
            speed: speed.clamp(values::RATE_MIN, values::RATE_MAX),
            sound_level_db: self
                .value(attributes, "soundLevel", values::level_db)
                .unwrap_or_default(),
            style,
            fallback: Vec::new(),
            description: None,
        };
        self.set(Kind::Audio(Box::new(audio)));
        self.gathers.push(Gather::default());
    }

    fn prosody(&mut self, attributes: &Attributes) {
        let Some(frame) = self.frames.last() else { return };
        let (now, start) = (frame.style.clone(), &self.defaults.style);
        let (rate, volume, range) = (
            Scale { default: start.rate, current: now.rate },
            Scale { default: start.volume_db, current: now.volume_db },
            Scale { default: start.range, current: now.range },
        );
        let default_pitch = start.pitch;
        let rate = self.value(attributes, "rate", |text| values::rate(text, rate));
        let volume = self.value(attributes, "volume", |text| values::volume_db(text, volume));
        let range = self.value(attributes, "range", |text| values::range(text, range));
        let pitch: Option<Pitch> =
            self.value(attributes, "pitch", |text| values::pitch(text, default_pitch, now.pitch));
        for name in ["contour", "duration"] {
            if attributes.get(name).is_some() {
                self.note(format!("prosody {name} is not followed"));
            }
        }
        if let Some(frame) = self.frames.last_mut() {
            let style = &mut frame.style;
            style.rate = rate.unwrap_or(style.rate);
            style.volume_db = volume.unwrap_or(style.volume_db);
            style.range = range.unwrap_or(style.range);
            style.pitch = pitch.unwrap_or(style.pitch);
        }
    }

    fn voice(&mut self, attributes: &Attributes) {
        let age = self.value(attributes, "age", |text| text.trim().parse().ok());
        let variant = self.value(attributes, "variant", |text| {
            text.trim().parse().ok().filter(|number: &u32| *number > 0)
        });
        let gender = self.value(attributes, "gender", values::gender);
        let Some(frame) = self.frames.last_mut() else { return };
        let voice = &mut frame.style.voice;
        let list = |name: &str| -> Vec<String> {
            let text = attributes.get(name).unwrap_or_default();
            text.split([' ', ',', '\t', '\n'])
                .filter(|s| !s.is_empty())
                .map(str::to_owned)
                .collect()
        };
        let (names, languages) = (list("name"), list("languages"));
        // A named voice is that voice: what was wanted of the voice outside says nothing about it.
        if !names.is_empty() || !languages.is_empty() || gender.is_some() {
            *voice = crate::document::Voice::default();
        }
        if !names.is_empty() {
            voice.names = names;
            // Names of some makers hold spaces; the whole is tried as well.
            if let Some(whole) = attributes.get("name").map(str::trim)
                && voice.names.len() > 1
            {
                voice.names.insert(0, whole.to_owned());
            }
        }
        voice.languages = languages;
        voice.gender = gender.or(voice.gender);
        voice.age = age.or(voice.age);
        voice.variant = variant.or(voice.variant);
    }

    fn emphasis(&mut self, attributes: &Attributes) {
        let level = match attributes.get("level").map(str::trim) {
            Some("none") => Emphasis::None,
            Some("reduced") => Emphasis::Reduced,
            Some("moderate") | None => Emphasis::Moderate,
            Some("strong") => Emphasis::Strong,
            Some(_) => {
                self.bad(attributes, "level");
                Emphasis::Moderate
            }
        };
        if let Some(frame) = self.frames.last_mut() {
            frame.emphasis = level;
        }
    }

    fn say_as(&mut self, attributes: &Attributes) {
        let lower = |name: &str| attributes.get(name).unwrap_or_default().trim().to_lowercase();
        let interpret_as = match lower("interpret-as") {
            old if old.is_empty() => lower("type"),
            new => new,
        };
        if interpret_as.is_empty() {
            self.note("<say-as> without interpret-as".into());
            return;
        }
        let language =
            self.frames.last().map(|frame| frame.style.language.clone()).unwrap_or_default();
        let ask = SayAs { interpret_as, format: lower("format"), language };
        if !ask.is_known() {
            self.note(
                "say-as with an interpret-as that is not known; it is spoken as it is".into(),
            );
        }
        self.set(Kind::Take(Take::SayAs(ask), String::new()));
    }

    fn close(&mut self) -> Result<(), SsmlError> {
        let Some(frame) = self.frames.pop() else {
            return self.fail("an end without a beginning");
        };
        match frame.kind {
            Kind::Plain | Kind::Hidden => Ok(()),
            Kind::Spaced => {
                self.space();
                Ok(())
            }
            Kind::Audio(mut audio) => {
                audio.fallback = self.gathers.pop().map(Gather::finish).unwrap_or_default();
                self.segment(Segment::Audio(audio))
            }
            Kind::Take(take, text) => self.taken(take, &text),
        }
    }

    fn taken(&mut self, take: Take, text: &str) -> Result<(), SsmlError> {
        match take {
            Take::SayAs(ask) => match sayas::words(&ask, text) {
                Some(words) => self.text(&words),
                None => self.text(text),
            },
            Take::Sub(alias) => self.text(&alias),
            Take::Phoneme { alphabet, ph } => {
                let words: Vec<&str> = text.split_whitespace().collect();
                let piece = RunPiece::Phoneme { alphabet, ph, text: words.join(" ") };
                if let (Some(frame), Some(gather)) = (self.frames.last(), self.gathers.last_mut()) {
                    gather.phoneme(piece, &frame.style, frame.emphasis);
                }
                self.spend()
            }
            Take::Description => match self.frames.last_mut() {
                Some(Frame { kind: Kind::Take(_, outer), .. }) => {
                    outer.push_str(text);
                    Ok(())
                }
                Some(Frame { kind: Kind::Audio(audio), .. }) => {
                    audio.description = Some(text.trim().to_owned());
                    Ok(())
                }
                Some(_) | None => Ok(()),
            },
        }
    }
}

fn against(base: Option<&str>, reference: &str) -> String {
    base.map_or_else(|| reference.to_owned(), |base| crate::uri::resolve(base, reference))
}

/// Line numbers of rising positions.
pub(crate) struct Lines<'t> {
    rest: &'t [u8],
    position: u64,
    line: usize,
}

impl<'t> Lines<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        Self { rest: text.as_bytes(), position: 0, line: 1 }
    }

    pub(crate) fn at(&mut self, position: u64) -> usize {
        let step = usize::try_from(position.saturating_sub(self.position)).unwrap_or(usize::MAX);
        let (passed, rest) = self.rest.split_at(step.min(self.rest.len()));
        self.line += passed.iter().filter(|byte| **byte == b'\n').count();
        (self.rest, self.position) = (rest, self.position.max(position));
        self.line
    }
}

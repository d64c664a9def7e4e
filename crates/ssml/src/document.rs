use std::fmt;
use std::time::Duration;

/// What a document means: the segments in the order they are heard.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Document {
    /// The language of the document's root.
    pub language: String,
    /// What is heard, in order.
    pub segments: Vec<Segment>,
    /// The lexicons the document names, resolved; listed, not loaded. All of them hold in the whole
    /// document, the first before the others, before those of the request; `lookup` is not followed.
    pub lexicons: Vec<String>,
    /// What was skipped or read otherwise than written.
    pub notes: Vec<Note>,
}

impl Document {
    /// Whether nothing would be heard and no mark reported.
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }
}

/// Something in a document that was skipped or mended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Note {
    /// The line it stands in, from 1.
    pub line: usize,
    /// What it was; holds markup, never the words to speak.
    pub what: String,
}

/// One thing that is heard, or a point between two.
#[derive(Clone, Debug, PartialEq)]
pub enum Segment {
    /// Text for a speech provider, in one voice and with one prosody.
    Speech(Run),
    /// A break of exactly this length.
    Silence(Duration),
    /// A mark between two segments; marks inside text are in its [`Run`].
    Mark(String),
    /// Something to fetch and play.
    Audio(Box<Audio>),
}

/// An `audio` element. SSML 1.1 §3.3.1.
#[derive(Clone, Debug, PartialEq)]
pub struct Audio {
    /// The URI, resolved against `xml:base` or the document's base where that was possible.
    pub src: String,
    /// How long fetching may take, where the document says so.
    pub fetch_timeout: Option<Duration>,
    /// Where in the media playing begins.
    pub clip_begin: Duration,
    /// Where in the media playing ends; `None` is its end.
    pub clip_end: Option<Duration>,
    /// How often the clip is played; may be a fraction.
    pub repeat_count: f32,
    /// How long the clip, repeated if need be, is played at most.
    pub repeat_for: Option<Duration>,
    /// The factor of `speed`, 0.5 to 2.0.
    pub speed: f32,
    /// The change of `soundLevel` in decibels.
    pub sound_level_db: f32,
    /// The prosody and language that hold where the element stands: its rate and volume apply to
    /// stored audio too (design: prosody), never to live sources.
    pub style: Style,
    /// What is heard instead when it cannot be played.
    pub fallback: Vec<Segment>,
    /// The text of `desc`: for a display, never spoken.
    pub description: Option<String>,
}

/// Text in one voice, with one prosody: the unit a speech provider takes.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// The words and the points between them, in order.
    pub pieces: Vec<RunPiece>,
    /// How it is spoken.
    pub style: Style,
    /// Whether more speech follows at once, so that a sentence's end keeps its pause; what else follows
    /// begins right after the last sound.
    pub joined: bool,
}

impl Run {
    /// The words alone, as a provider without marks would get them.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for piece in &self.pieces {
            match piece {
                RunPiece::Text(words) | RunPiece::Phoneme { text: words, .. } => {
                    text.push_str(words);
                }
                RunPiece::SentenceStart | RunPiece::ParagraphStart => {
                    if !text.is_empty() && !text.ends_with(char::is_whitespace) {
                        text.push(' ');
                    }
                }
                RunPiece::Mark(_) | RunPiece::Emphasis(_) => {}
            }
        }
        text.trim().to_owned()
    }

    /// How many words it has, as white space divides them.
    pub fn words(&self) -> usize {
        self.text().split_whitespace().count()
    }
}

/// A part of a [`Run`].
#[derive(Clone, PartialEq)]
pub enum RunPiece {
    /// Words, white space already collapsed. Not shown by `Debug`.
    Text(String),
    /// Words with a given pronunciation; a provider that cannot use it speaks the words.
    Phoneme {
        /// `ipa` or a vendor's alphabet.
        alphabet: String,
        /// The pronunciation.
        ph: String,
        /// The words.
        text: String,
    },
    /// A mark to report when the words before it were heard.
    Mark(String),
    /// A sentence the document marks begins here.
    SentenceStart,
    /// A paragraph begins here.
    ParagraphStart,
    /// From here on this emphasis holds.
    Emphasis(Emphasis),
}

impl fmt::Debug for RunPiece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "Text([{} chars])", text.chars().count()),
            Self::Phoneme { alphabet, text, .. } => {
                write!(f, "Phoneme({alphabet}, [{} chars])", text.chars().count())
            }
            Self::Mark(name) => f.debug_tuple("Mark").field(name).finish(),
            Self::SentenceStart => f.write_str("SentenceStart"),
            Self::ParagraphStart => f.write_str("ParagraphStart"),
            Self::Emphasis(level) => f.debug_tuple("Emphasis").field(level).finish(),
        }
    }
}

/// How strongly words are stressed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Emphasis {
    /// As any other words.
    #[default]
    None,
    /// Less than other words.
    Reduced,
    /// More than other words.
    Moderate,
    /// Much more than other words.
    Strong,
}

/// How a run is spoken.
#[derive(Clone, Debug, PartialEq)]
pub struct Style {
    /// A language tag (RFC 5646).
    pub language: String,
    /// Whose voice.
    pub voice: Voice,
    /// The speaking rate as a factor, [`crate::values::RATE_MIN`] to [`crate::values::RATE_MAX`].
    pub rate: f32,
    /// The pitch.
    pub pitch: Pitch,
    /// The pitch range (liveliness) as a factor.
    pub range: f32,
    /// The gain in decibels; [`crate::values::SILENT_DB`] is silence.
    pub volume_db: f32,
}

impl Default for Style {
    fn default() -> Self {
        Self {
            language: "en-US".into(),
            voice: Voice::default(),
            rate: 1.0,
            pitch: Pitch::default(),
            range: 1.0,
            volume_db: 0.0,
        }
    }
}

/// Which voice is wanted; what is not given does not matter.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Voice {
    /// Names, the most wanted first.
    pub names: Vec<String>,
    /// The gender.
    pub gender: Option<Gender>,
    /// The age in years.
    pub age: Option<u8>,
    /// Which of several voices that fit, from 1.
    pub variant: Option<u32>,
    /// The languages it must speak; empty: the language of the text.
    pub languages: Vec<String>,
}

/// A voice's gender.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Gender {
    /// A man's voice.
    Male,
    /// A woman's voice.
    Female,
    /// Neither.
    Neutral,
}

/// The pitch of a voice.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pitch {
    /// The voice's own pitch times this.
    Times(f32),
    /// This fundamental frequency.
    Hertz(f32),
}

impl Default for Pitch {
    fn default() -> Self {
        Self::Times(1.0)
    }
}

/// What holds before the document says otherwise: the session's settings and the body's headers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Defaults {
    /// Language, voice and prosody.
    pub style: Style,
    /// Where relative URIs start (`Content-Base`, `Content-Location`).
    pub base: Option<String>,
    /// The charset a transport header gave; it wins over the document's declaration.
    pub charset: Option<String>,
}

/// Why a document cannot be spoken at all.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SsmlError {
    /// The line of the fault, from 1.
    pub line: usize,
    /// What is wrong; holds markup, never the words to speak.
    pub what: String,
}

impl fmt::Display for SsmlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

impl std::error::Error for SsmlError {}

/// A document of text without markup: an empty line begins a paragraph.
pub fn plain(text: &str, style: &Style) -> Document {
    let mut pieces = Vec::new();
    let mut paragraph = String::new();
    for line in text.lines().chain([""]) {
        if line.trim().is_empty() {
            if !paragraph.is_empty() {
                pieces.push(RunPiece::ParagraphStart);
                pieces.push(RunPiece::Text(std::mem::take(&mut paragraph)));
            }
            continue;
        }
        for word in line.split(|c: char| c.is_whitespace() || c.is_control()) {
            if !word.is_empty() {
                if !paragraph.is_empty() {
                    paragraph.push(' ');
                }
                paragraph.push_str(word);
            }
        }
    }
    // The first paragraph needs no border before it.
    if !pieces.is_empty() {
        pieces.remove(0);
    }
    let segments = if pieces.is_empty() {
        Vec::new()
    } else {
        vec![Segment::Speech(Run { pieces, style: style.clone(), joined: false })]
    };
    Document { language: style.language.clone(), segments, ..Document::default() }
}

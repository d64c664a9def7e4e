//! Pronunciation lexicons: which words are said otherwise than they are written. W3C PLS 1.0.
//!
//! Pure, and lenient as the reader of SSML is: a [`Lexicon`] comes from bytes, [`pronounce`] applies
//! some of them to a run. Roles are not told apart: of homographs the first of the document is taken.

use std::collections::BTreeMap;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use crate::decode::decode;
use crate::document::SsmlError;
use crate::read::attributes::{Attributes, entity};
use crate::read::{BYTES_MAX, DEPTH_MAX, Lines};

mod pronounce;

pub use pronounce::{ADDED_BYTES_MAX, pronounce};
use pronounce::{Cut, cut};

/// The most graphemes of one lexicon.
pub const ENTRIES_MAX: usize = 16_384;
/// Words, spaces and signs of the longest grapheme; a longer one is skipped.
pub const GRAPHEME_PARTS_MAX: usize = 16;

/// Words, and how they are said. PLS 1.0 §4.
#[derive(Clone, Debug, Default)]
pub struct Lexicon {
    language: Option<String>,
    sayings: Vec<Saying>,
    exact: Index,
    /// In lower case.
    folded: Index,
}

/// What is said for a word.
#[derive(Clone)]
enum Saying {
    Phoneme { alphabet: String, ph: String },
    Alias(String),
}

impl std::fmt::Debug for Saying {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Phoneme { alphabet, .. } => write!(f, "Phoneme({alphabet})"),
            Self::Alias(text) => write!(f, "Alias([{} chars])", text.chars().count()),
        }
    }
}

/// Graphemes, and where their sayings are.
#[derive(Clone, Default)]
struct Index {
    sayings: BTreeMap<String, usize>,
    /// By a grapheme's first part, how many parts the longest such grapheme has.
    longest: BTreeMap<String, usize>,
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Index([{} graphemes])", self.sayings.len())
    }
}

impl Index {
    /// Adds a grapheme; one that is there already stays.
    fn add(&mut self, grapheme: &str, first: &str, parts: usize, saying: usize) {
        self.sayings.entry(grapheme.to_owned()).or_insert(saying);
        let longest = self.longest.entry(first.to_owned()).or_default();
        *longest = parts.max(*longest);
    }
}

impl Lexicon {
    /// Reads a lexicon of at most [`BYTES_MAX`] bytes; `charset` is what the transport said.
    ///
    /// # Errors
    /// It is not well-formed, its root is not `lexicon`, its charset is unknown, or it is past
    /// [`BYTES_MAX`], [`DEPTH_MAX`] or [`ENTRIES_MAX`].
    pub fn parse(bytes: &[u8], charset: Option<&str>) -> Result<Self, SsmlError> {
        if bytes.len() > BYTES_MAX {
            return Err(SsmlError { line: 1, what: format!("longer than {BYTES_MAX} bytes") });
        }
        let decoded = decode(bytes, charset).map_err(|what| SsmlError { line: 1, what })?;
        let mut reading = Reading { line: 1, ..Reading::default() };
        reading.read(&decoded.text)?;
        Ok(reading.lexicon)
    }

    /// The language it is for, as a tag (RFC 5646); `None` is any.
    pub fn language(&self) -> Option<&str> {
        self.language.as_deref()
    }

    /// How many words it has.
    pub fn len(&self) -> usize {
        self.exact.sayings.len()
    }

    /// Whether it has no words.
    pub fn is_empty(&self) -> bool {
        self.exact.sayings.is_empty()
    }
}

/// A lexicon being read.
#[derive(Default)]
struct Reading {
    line: usize,
    open: Vec<Element>,
    seen_root: bool,
    alphabet: String,
    graphemes: usize,
    lexeme: Lexeme,
    /// The text of the open element, if it is one whose text counts.
    text: String,
    lexicon: Lexicon,
}

/// An open element; those inside others than these are skipped.
enum Element {
    Lexicon,
    Lexeme,
    Grapheme,
    /// Its alphabet.
    Phoneme(String, Preference),
    Alias(Preference),
    Other,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Preference {
    None,
    Preferred,
}

/// A lexeme being read.
#[derive(Default)]
struct Lexeme {
    graphemes: Vec<String>,
    saying: Option<Saying>,
    preferred: bool,
}

impl Reading {
    fn read(&mut self, text: &str) -> Result<(), SsmlError> {
        let mut reader = Reader::from_str(text);
        let mut lines = Lines::new(text);
        loop {
            let event = reader.read_event();
            let position =
                if event.is_err() { reader.error_position() } else { reader.buffer_position() };
            self.line = lines.at(position);
            match event {
                Ok(Event::Start(element)) => self.open(&element)?,
                Ok(Event::Empty(element)) => {
                    self.open(&element)?;
                    self.close();
                }
                Ok(Event::End(_)) => self.close(),
                Ok(Event::Text(words)) => self.text(&words)?,
                Ok(Event::CData(words)) => self.text(&words)?,
                Ok(Event::GeneralRef(reference)) if reference.is_char_ref() => {
                    match reference.resolve_char_ref() {
                        Ok(Some(letter)) => self.text(letter.encode_utf8(&mut [0; 4]))?,
                        Ok(None) | Err(_) => {
                            return self.fail("a character reference that is no character");
                        }
                    }
                }
                Ok(Event::GeneralRef(reference)) => match entity(&reference) {
                    Some(text) => self.text(text)?,
                    None => return self.fail("an entity that XML does not define"),
                },
                Ok(Event::Decl(_) | Event::PI(_) | Event::DocType(_) | Event::Comment(_)) => {}
                Ok(Event::Eof) => break,
                Err(error) => return self.fail(&error.to_string()),
            }
        }
        if !self.open.is_empty() {
            return self.fail("it ends inside an element");
        }
        if self.seen_root { Ok(()) } else { self.fail("there is no element") }
    }

    fn fail<T>(&self, what: &str) -> Result<T, SsmlError> {
        Err(SsmlError { line: self.line, what: what.to_owned() })
    }

    fn text(&mut self, text: &str) -> Result<(), SsmlError> {
        match self.open.last() {
            Some(Element::Grapheme | Element::Phoneme(..) | Element::Alias(_)) => {
                self.text.push_str(text);
            }
            Some(Element::Lexicon | Element::Lexeme | Element::Other) => {}
            None if text.chars().all(char::is_whitespace) => {}
            None => return self.fail("there is text outside the root element"),
        }
        Ok(())
    }

    fn open(&mut self, element: &BytesStart<'_>) -> Result<(), SsmlError> {
        if self.open.len() >= DEPTH_MAX {
            return self.fail("elements nest more than 64 deep");
        }
        let attributes = match Attributes::read(element) {
            Ok(attributes) => attributes,
            Err(what) => return self.fail(&what),
        };
        let preference = match attributes.get("prefer").map(str::trim) {
            Some("true" | "1") => Preference::Preferred,
            Some(_) | None => Preference::None,
        };
        let name = element.local_name();
        let element = match (self.open.last(), name.as_ref()) {
            (None, _) if self.seen_root => return self.fail("there is a second root element"),
            (None, "lexicon") => {
                self.seen_root = true;
                self.alphabet = attributes.get("alphabet").unwrap_or("ipa").trim().to_owned();
                let language = attributes.get("lang").map(str::trim);
                self.lexicon.language = language.filter(|tag| !tag.is_empty()).map(str::to_owned);
                Element::Lexicon
            }
            (None, _) => return self.fail("the root element is not lexicon"),
            (Some(Element::Lexicon), "lexeme") => {
                self.lexeme = Lexeme::default();
                Element::Lexeme
            }
            (Some(Element::Lexeme), "grapheme") => {
                self.graphemes += 1;
                if self.graphemes > ENTRIES_MAX {
                    return self.fail("more than 16,384 graphemes");
                }
                Element::Grapheme
            }
            (Some(Element::Lexeme), "phoneme") => {
                let alphabet = attributes.get("alphabet").map_or(&*self.alphabet, str::trim);
                Element::Phoneme(alphabet.to_owned(), preference)
            }
            (Some(Element::Lexeme), "alias") => Element::Alias(preference),
            (Some(_), _) => Element::Other,
        };
        // A stranger inside a word only hides its own text.
        if !matches!(element, Element::Other) {
            self.text.clear();
        }
        self.open.push(element);
        Ok(())
    }

    fn close(&mut self) {
        let words: Vec<&str> = self.text.split_whitespace().collect();
        let text = words.join(" ");
        match self.open.pop() {
            Some(Element::Grapheme) => self.lexeme.graphemes.push(text),
            Some(Element::Phoneme(alphabet, preference)) if !text.is_empty() => {
                self.lexeme.offer(Saying::Phoneme { alphabet, ph: text }, preference);
            }
            Some(Element::Alias(preference)) if !text.is_empty() => {
                self.lexeme.offer(Saying::Alias(text), preference);
            }
            Some(Element::Lexeme) => {
                let lexeme = std::mem::take(&mut self.lexeme);
                if let Some(saying) = lexeme.saying {
                    self.lexicon.add(&lexeme.graphemes, saying);
                }
            }
            Some(Element::Lexicon | Element::Phoneme(..) | Element::Alias(_) | Element::Other)
            | None => {}
        }
    }
}

impl Lexeme {
    /// The first of all is taken, but one that is preferred before it. PLS 1.0 §4.9.
    fn offer(&mut self, saying: Saying, preference: Preference) {
        let preferred = preference == Preference::Preferred;
        if self.saying.is_none() || preferred && !self.preferred {
            self.saying = Some(saying);
            self.preferred = preferred;
        }
    }
}

impl Lexicon {
    fn add(&mut self, graphemes: &[String], saying: Saying) {
        for grapheme in graphemes {
            let Cut { parts, folded } = cut(grapheme);
            let Some(first) = parts.first() else { continue };
            if parts.len() > GRAPHEME_PARTS_MAX {
                continue;
            }
            let (at, count) = (self.sayings.len(), parts.len());
            let first_of = |text: &str, range: &std::ops::Range<usize>| {
                text.get(range.clone()).unwrap_or_default().to_owned()
            };
            self.exact.add(grapheme, &first_of(grapheme, &first.exact), count, at);
            self.folded.add(&folded, &first_of(&folded, &first.folded), count, at);
        }
        self.sayings.push(saying);
    }
}

#[cfg(test)]
mod tests;

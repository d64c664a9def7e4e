use std::borrow::Cow;
use std::fmt::{self, Write as _};

use crate::lexer::Lexer;

/// Most fields of HEADER.FIELDS.
const FIELDS_MAX: usize = 100;
/// Most attributes of one FETCH.
const ATTRIBUTES_MAX: usize = 100;
/// Most numbers of a section.
const NUMBERS_MAX: usize = 64;

/// What FETCH asks for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fetch {
    /// What of each message.
    pub attributes: Vec<Attribute>,
    /// Only of those changed since. RFC 7162 §3.1.4.1.
    pub changed_since: Option<u64>,
}

/// One attribute of a message. RFC 9051 §6.4.5.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Attribute {
    /// BODY without a section: the structure without extension data.
    Body,
    /// BODYSTRUCTURE.
    BodyStructure,
    /// ENVELOPE.
    Envelope,
    /// FLAGS.
    Flags,
    /// INTERNALDATE.
    InternalDate,
    /// RFC822.SIZE.
    Size,
    /// UID.
    Uid,
    /// MODSEQ. RFC 7162.
    ModSeq,
    /// BODY[…], BODY.PEEK[…], and the names that RFC 3501 has for some of them.
    Section {
        /// Which.
        section: Section,
        /// From which byte on, and how many at most.
        partial: Option<(u64, u64)>,
        /// Whether the message is not marked as read by that.
        peek: bool,
        /// What it is called in the answer, when that is no section: `RFC822.TEXT`.
        name: Option<&'static str>,
    },
    /// BINARY[…], BINARY.PEEK[…]. RFC 9051 §6.4.5.
    Binary {
        /// The number of the part; empty for the whole message.
        part: Vec<u32>,
        /// From which byte on, and how many at most.
        partial: Option<(u64, u64)>,
        /// Whether the message is not marked as read by that.
        peek: bool,
    },
    /// BINARY.SIZE[…].
    BinarySize(Vec<u32>),
}

/// What is between the brackets. RFC 9051 §6.4.5.1.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Section {
    /// The number of the part; empty for the message itself.
    pub part: Vec<u32>,
    /// What of it.
    pub what: SectionPart,
}

/// What of a part is meant.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum SectionPart {
    /// The message with its header, or a part's body.
    #[default]
    All,
    /// HEADER.
    Header,
    /// HEADER.FIELDS (…): these fields only.
    Fields(Vec<String>),
    /// HEADER.FIELDS.NOT (…): all but these.
    FieldsNot(Vec<String>),
    /// MIME: the header of a part.
    Mime,
    /// TEXT.
    Text,
}

impl Fetch {
    pub(crate) fn read(lexer: &mut Lexer<'_>) -> Result<Self, &'static str> {
        use Attribute::{Body, Envelope, Flags, InternalDate, Size};
        let attributes = if lexer.peek() == Some(b'(') {
            let all = lexer.list(attribute)?;
            if all.is_empty() { Err("something to fetch") } else { Ok(all) }?
        } else if lexer.take_keyword("ALL") {
            vec![Flags, InternalDate, Size, Envelope]
        } else if lexer.take_keyword("FAST") {
            vec![Flags, InternalDate, Size]
        } else if lexer.take_keyword("FULL") {
            vec![Flags, InternalDate, Size, Envelope, Body]
        } else {
            vec![attribute(lexer)?]
        };
        if attributes.len() > ATTRIBUTES_MAX {
            return Err("fewer things to fetch");
        }
        let mut changed_since = None;
        if lexer.take(b' ') {
            lexer.need(b'(', "a list of modifiers")?;
            if !lexer.take_keyword("CHANGEDSINCE") {
                return Err("CHANGEDSINCE");
            }
            lexer.space()?;
            changed_since = Some(lexer.number64()?);
            lexer.need(b')', "one modifier only")?;
        }
        Ok(Self { attributes, changed_since })
    }
}

fn attribute(lexer: &mut Lexer<'_>) -> Result<Attribute, &'static str> {
    // A bracket ends the word.
    let word =
        lexer.while_is(|byte| byte.is_ascii_alphanumeric() || byte == b'.').to_ascii_uppercase();
    let named = |what, peek, name| Attribute::Section {
        section: Section { part: Vec::new(), what },
        partial: None,
        peek,
        name: Some(name),
    };
    let is_section = lexer.peek() == Some(b'[');
    Ok(match (&*word, is_section) {
        (b"BODY", false) => Attribute::Body,
        (b"BODYSTRUCTURE", false) => Attribute::BodyStructure,
        (b"ENVELOPE", false) => Attribute::Envelope,
        (b"FLAGS", false) => Attribute::Flags,
        (b"INTERNALDATE", false) => Attribute::InternalDate,
        (b"RFC822.SIZE", false) => Attribute::Size,
        (b"UID", false) => Attribute::Uid,
        (b"MODSEQ", false) => Attribute::ModSeq,
        (b"RFC822", false) => named(SectionPart::All, false, "RFC822"),
        (b"RFC822.HEADER", false) => named(SectionPart::Header, true, "RFC822.HEADER"),
        (b"RFC822.TEXT", false) => named(SectionPart::Text, false, "RFC822.TEXT"),
        (b"BODY" | b"BODY.PEEK", true) => {
            let section = bracketed(lexer)?;
            Attribute::Section {
                section,
                partial: partial(lexer)?,
                peek: word.ends_with(b"K"),
                name: None,
            }
        }
        (b"BINARY" | b"BINARY.PEEK", true) => {
            let part = numbers_only(lexer)?;
            Attribute::Binary { part, partial: partial(lexer)?, peek: word.ends_with(b"K") }
        }
        (b"BINARY.SIZE", true) => Attribute::BinarySize(numbers_only(lexer)?),
        _ => return Err("something that can be fetched"),
    })
}

fn bracketed(lexer: &mut Lexer<'_>) -> Result<Section, &'static str> {
    lexer.need(b'[', "a section")?;
    let section = Section::read(lexer)?;
    lexer.need(b']', "the end of a section")?;
    Ok(section)
}

fn numbers_only(lexer: &mut Lexer<'_>) -> Result<Vec<u32>, &'static str> {
    let section = bracketed(lexer)?;
    if section.what == SectionPart::All { Ok(section.part) } else { Err("the number of a part") }
}

/// `<0.4096>`
fn partial(lexer: &mut Lexer<'_>) -> Result<Option<(u64, u64)>, &'static str> {
    if !lexer.take(b'<') {
        return Ok(None);
    }
    let from = lexer.number64()?;
    lexer.need(b'.', "a dot between offset and length")?;
    let length = lexer.number64()?;
    lexer.need(b'>', "the end of a range")?;
    if length == 0 { Err("a length above 0") } else { Ok(Some((from, length))) }
}

impl Section {
    /// Reads what is between the brackets, as `SECTION=` of a URL has it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut lexer = Lexer::new(text.as_bytes());
        let section = Self::read(&mut lexer).ok()?;
        lexer.end().is_ok().then_some(section)
    }

    fn read(lexer: &mut Lexer<'_>) -> Result<Self, &'static str> {
        let mut part = Vec::new();
        while lexer.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            match lexer.number()? {
                0 => return Err("a part's number above 0"),
                _ if part.len() == NUMBERS_MAX => return Err("fewer numbers of parts"),
                number => part.push(number),
            }
            if !lexer.take(b'.') {
                return Ok(Self { part, what: SectionPart::All });
            }
            if !lexer.peek().is_some_and(|byte| byte.is_ascii_alphanumeric()) {
                return Err("what of a part is meant");
            }
        }
        let word =
            lexer.while_is(|byte| byte.is_ascii_alphabetic() || byte == b'.').to_ascii_uppercase();
        let what = match (&*word, part.is_empty()) {
            (b"", true) => SectionPart::All,
            (b"HEADER", _) => SectionPart::Header,
            (b"TEXT", _) => SectionPart::Text,
            (b"MIME", false) => SectionPart::Mime,
            (b"HEADER.FIELDS", _) => SectionPart::Fields(fields(lexer)?),
            (b"HEADER.FIELDS.NOT", _) => SectionPart::FieldsNot(fields(lexer)?),
            _ => return Err("a section"),
        };
        Ok(Self { part, what })
    }
}

fn fields(lexer: &mut Lexer<'_>) -> Result<Vec<String>, &'static str> {
    lexer.space()?;
    let all = lexer.list(|lexer| {
        let name = lexer.text()?;
        let fits =
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':');
        if fits { Ok(name) } else { Err("a field's name") }
    })?;
    match all.len() {
        0 => Err("a field's name"),
        1..=FIELDS_MAX => Ok(all),
        _ => Err("fewer fields"),
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&number(&self.part))?;
        if !self.part.is_empty() && self.what != SectionPart::All {
            f.write_char('.')?;
        }
        let fields = |f: &mut fmt::Formatter<'_>, word, names: &[String]| {
            let names: Vec<_> = names.iter().map(|name| crate::write::astring(name)).collect();
            write!(f, "{word} ({})", names.join(" "))
        };
        match &self.what {
            SectionPart::All => Ok(()),
            SectionPart::Header => f.write_str("HEADER"),
            SectionPart::Fields(names) => fields(f, "HEADER.FIELDS", names),
            SectionPart::FieldsNot(names) => fields(f, "HEADER.FIELDS.NOT", names),
            SectionPart::Mime => f.write_str("MIME"),
            SectionPart::Text => f.write_str("TEXT"),
        }
    }
}

/// `2.1`
pub(crate) fn number(part: &[u32]) -> String {
    let all: Vec<_> = part.iter().map(u32::to_string).collect();
    all.join(".")
}

impl Attribute {
    /// Whether it is a piece of a message, of which others are likely to be fetched next.
    #[must_use]
    pub const fn is_partial(&self) -> bool {
        match self {
            Self::Section { section, partial, .. } => partial.is_some() || !section.part.is_empty(),
            Self::Binary { partial, part, .. } => partial.is_some() || !part.is_empty(),
            Self::BinarySize(_)
            | Self::Flags
            | Self::InternalDate
            | Self::Size
            | Self::Uid
            | Self::ModSeq
            | Self::Envelope
            | Self::Body
            | Self::BodyStructure => false,
        }
    }

    /// Its name in the answer: `BODY[1.MIME]<0>`.
    #[must_use]
    pub fn name(&self) -> Cow<'static, str> {
        let from = |partial: &Option<(u64, u64)>| {
            partial.map(|(from, _)| format!("<{from}>")).unwrap_or_default()
        };
        match self {
            Self::Body => "BODY".into(),
            Self::BodyStructure => "BODYSTRUCTURE".into(),
            Self::Envelope => "ENVELOPE".into(),
            Self::Flags => "FLAGS".into(),
            Self::InternalDate => "INTERNALDATE".into(),
            Self::Size => "RFC822.SIZE".into(),
            Self::Uid => "UID".into(),
            Self::ModSeq => "MODSEQ".into(),
            Self::Section { name: Some(name), .. } => (*name).into(),
            Self::Section { section, partial, .. } => {
                format!("BODY[{section}]{}", from(partial)).into()
            }
            Self::Binary { part, partial, .. } => {
                format!("BINARY[{}]{}", number(part), from(partial)).into()
            }
            Self::BinarySize(part) => format!("BINARY.SIZE[{}]", number(part)).into(),
        }
    }

    /// Whether asking for it marks a message as read.
    #[must_use]
    pub const fn reads(&self) -> bool {
        matches!(self, Self::Section { peek: false, .. } | Self::Binary { peek: false, .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Fetch, &'static str> {
        let mut lexer = Lexer::new(text.as_bytes());
        let fetch = Fetch::read(&mut lexer)?;
        lexer.end().map(|()| fetch)
    }

    #[test]
    fn section_6_4_5_attributes_are_named_as_they_were_asked_for() {
        for (text, expected) in [
            ("FAST", "FLAGS INTERNALDATE RFC822.SIZE"),
            ("(uid flags)", "UID FLAGS"),
            ("body", "BODY"),
            ("BODY[]", "BODY[]"),
            ("body.peek[1.2.mime]<10.20>", "BODY[1.2.MIME]<10>"),
            ("BODY[HEADER.FIELDS (From \"To\")]", "BODY[HEADER.FIELDS (From To)]"),
            ("BODY[2.HEADER.FIELDS.NOT (X)]", "BODY[2.HEADER.FIELDS.NOT (X)]"),
            ("(BINARY.PEEK[2]<0.1> BINARY.SIZE[2])", "BINARY[2]<0> BINARY.SIZE[2]"),
            ("RFC822.TEXT", "RFC822.TEXT"),
            ("MODSEQ", "MODSEQ"),
        ] {
            let names: Vec<_> =
                read(text).unwrap().attributes.iter().map(Attribute::name).collect();
            assert_eq!(names.join(" "), expected);
        }
        assert_eq!(read("(FLAGS) (CHANGEDSINCE 5)").unwrap().changed_since, Some(5));
    }

    #[test]
    fn what_cannot_be_fetched_is_refused() {
        for text in [
            "",
            "()",
            "NOTHING",
            "BODY[",
            "BODY[0]",
            "BODY[1.]",
            "BODY[MIME]",
            "BODY[]<0>",
            "BODY[]<0.0>",
            "BODY[HEADER.FIELDS ()]",
            "BODY[HEADER.FIELDS]",
            "BINARY[HEADER]",
            "BODYSTRUCTURE[]",
            "FLAGS (X)",
            "UID FLAGS",
            "(ALL)",
            "BODY[1..2]",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn only_what_does_not_peek_reads() {
        let reads = |text| read(text).unwrap().attributes.iter().any(Attribute::reads);
        assert!(reads("BODY[1]") && reads("RFC822") && reads("BINARY[1]"));
        assert!(
            !reads("BODY.PEEK[1]")
                && !reads("RFC822.HEADER")
                && !reads("BINARY.PEEK[]")
                && !reads("FULL")
        );
    }
}

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::moment::Moment;

/// A message's identity, the same in every name that it ever has: 26 characters, a ULID. It begins with
/// the time, so that ids sort as they were made.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct MessageId(u128);

const LETTERS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const ID_CHARS: usize = 26;

impl MessageId {
    /// An id from the moment and 80 random bits.
    #[must_use]
    pub fn new(at: Moment, random: [u8; 10]) -> Self {
        let millis = u128::from(at.as_micros() / 1_000) & ((1 << 48) - 1);
        let random = random.iter().fold(0u128, |all, byte| all << 8 | u128::from(*byte));
        Self(millis << 80 | random)
    }

    /// When it was made, to the millisecond.
    pub(crate) fn made(self) -> Moment {
        let millis = u64::try_from(self.0 >> 80).unwrap_or(u64::MAX);
        Moment::from_micros(millis.saturating_mul(1_000))
    }

    /// The greatest there can be.
    pub(crate) const MAX: Self = Self(u128::MAX);

    /// Reads an id; in any case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != ID_CHARS || !text.bytes().next()?.is_ascii_digit() {
            return None;
        }
        let mut id = 0u128;
        for byte in text.bytes() {
            let digit = LETTERS.iter().position(|l| *l == byte.to_ascii_uppercase())?;
            id = id.checked_mul(32)? | u128::try_from(digit).ok()?;
        }
        Some(Self(id))
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for place in (0..ID_CHARS).rev() {
            let digit = usize::try_from(self.0 >> (5 * place) & 31).unwrap_or(0);
            let letter = LETTERS.get(digit).copied().unwrap_or(b'0');
            write!(f, "{}", char::from(letter))?;
        }
        Ok(())
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Serialize for MessageId {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MessageId {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(from)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("not the id of a message"))
    }
}

/// What a message is.
#[derive(
    Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize, utoipa::ToSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Something that was said.
    Voice,
    /// Pages.
    Fax,
    /// Only a text.
    Text,
    /// Word of another message that could not be delivered.
    NonDelivery,
}

/// All kinds.
pub const KINDS: [Kind; 4] = [Kind::Voice, Kind::Fax, Kind::Text, Kind::NonDelivery];

impl Kind {
    const fn letter(self) -> &'static str {
        match self {
            Self::Voice => "v",
            Self::Fax => "f",
            Self::Text => "t",
            Self::NonDelivery => "n",
        }
    }

    /// The word for it, as the API and the envelope have it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Voice => "voice",
            Self::Fax => "fax",
            Self::Text => "text",
            Self::NonDelivery => "non-delivery",
        }
    }

    /// Reads [`Self::word`].
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        KINDS.into_iter().find(|kind| kind.word() == word)
    }
}

/// Where in its mailbox a message is.
#[derive(
    Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize, utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Folder {
    /// Where messages come in.
    Inbox,
    /// What somebody wants to keep.
    Saved,
    /// What was deleted, until it is purged.
    Deleted,
    /// What the user sent.
    Sent,
    /// What callers hear.
    Greetings,
}

/// All folders.
pub const FOLDERS: [Folder; 5] =
    [Folder::Inbox, Folder::Saved, Folder::Deleted, Folder::Sent, Folder::Greetings];

impl Folder {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Inbox => "inbox",
            Self::Saved => "saved",
            Self::Deleted => "deleted",
            Self::Sent => "sent",
            Self::Greetings => "greetings",
        }
    }

    /// Reads [`Self::word`].
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        FOLDERS.into_iter().find(|folder| folder.word() == word)
    }
}

/// What was done with a message. In a file's name: `U` or `R`, then a letter for each of the others.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    Deserialize,
    Eq,
    Ord,
    PartialEq,
    PartialOrd,
    Serialize,
    utoipa::ToSchema,
)]
#[serde(default)]
#[expect(clippy::struct_excessive_bools, reason = "marks are set and taken one by one")]
pub struct Marks {
    /// It was heard or read.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub read: bool,
    /// It was answered: `a`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub answered: bool,
    /// It is flagged: `f`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub flagged: bool,
    /// It was forwarded: `p`, for passed on.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub forwarded: bool,
    /// It waits to be expunged, RFC 9051 §2.3.2: `x`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub expunging: bool,
}

impl Marks {
    fn parse(text: &str) -> Option<Self> {
        let mut marks = Self::default();
        let mut letters = text.chars();
        marks.read = match letters.next()? {
            'U' => false,
            'R' => true,
            _ => return None,
        };
        for letter in letters {
            match letter {
                'a' => marks.answered = true,
                'f' => marks.flagged = true,
                'p' => marks.forwarded = true,
                'x' => marks.expunging = true,
                _ => return None,
            }
        }
        (marks.to_string() == text).then_some(marks)
    }
}

impl fmt::Display for Marks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.read { "R" } else { "U" })?;
        let letters = [
            (self.answered, "a"),
            (self.flagged, "f"),
            (self.forwarded, "p"),
            (self.expunging, "x"),
        ];
        letters.iter().filter(|(set, _)| *set).try_for_each(|(_, letter)| f.write_str(letter))
    }
}

/// What an attachment's file name may end in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Extension(&'static str);

/// The extensions that are used; of whatever else a message has, the file ends in `bin`.
const EXTENSIONS: [&str; 14] = [
    "wav", "gsm", "ogg", "mp3", "tif", "pdf", "txt", "amr", "au", "flac", "m4a", "eml", "jpg",
    "bin",
];

impl Extension {
    pub(crate) fn of(text: &str) -> Self {
        let known = EXTENSIONS.iter().find(|known| known.eq_ignore_ascii_case(text));
        Self(known.copied().unwrap_or("bin"))
    }

    pub(crate) const fn as_str(self) -> &'static str {
        self.0
    }
}

/// The name of a message's file, which tells all that a list of new messages needs, and all about the
/// message that changes:
/// `20261120T090000.123456Z-01KAFM….v.U.inbox.xml`.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Name {
    /// When it was received.
    pub at: Moment,
    /// Which it is.
    pub id: MessageId,
    /// What it is.
    pub kind: Kind,
    /// What was done with it.
    pub marks: Marks,
    /// Where it is.
    pub folder: Folder,
}

impl Name {
    /// Reads the name of a file; `None` when it is no message's.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (at, rest) = text.split_once('-')?;
        // The moment has a dot, and all that follows is divided by them.
        let mut parts = rest.split('.');
        let id = MessageId::parse(parts.next()?)?;
        let letter = parts.next()?;
        let kind = KINDS.into_iter().find(|kind| kind.letter() == letter)?;
        let marks = Marks::parse(parts.next()?)?;
        let folder = Folder::parse(parts.next()?)?;
        let name = Self { at: Moment::of_compact(at)?, id, kind, marks, folder };
        (parts.next() == Some("xml") && parts.next().is_none()).then_some(name)
    }

    /// What all files of the message begin with.
    pub(crate) fn base(&self) -> String {
        format!("{}-{}", self.at.compact(), self.id)
    }

    /// The name of an attachment's file. Nothing in it changes, ever.
    pub(crate) fn attachment(&self, number: usize, extension: Extension) -> String {
        format!("{}.a{number}.{}", self.base(), extension.0)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, marks, folder, .. } = self;
        write!(f, "{}.{}.{marks}.{}.xml", self.base(), kind.letter(), folder.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_printed() {
        let at = Moment::of_compact("20261120T090000.123456Z").unwrap();
        let id = MessageId::new(at, [0xff; 10]);
        assert_eq!(MessageId::parse(&id.to_string()), Some(id));
        assert!(MessageId::new(Moment::from_micros(at.as_micros() + 1_000), [0; 10]) > id);
        for kind in KINDS {
            for folder in FOLDERS {
                for bits in 0..32u8 {
                    let bit = |n: u8| bits >> n & 1 == 1;
                    let marks = Marks {
                        read: bit(0),
                        answered: bit(1),
                        flagged: bit(2),
                        forwarded: bit(3),
                        expunging: bit(4),
                    };
                    let name = Name { at, id, kind, marks, folder };
                    assert_eq!(Name::parse(&name.to_string()), Some(name), "{name}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_name_is_none() {
        let good = "20261120T090000.123456Z-01KAFM7C0000000000000000ZZ.v.U.inbox.xml";
        assert!(Name::parse(good).is_some());
        for (from, to) in [
            (".xml", ".xml.part"),
            (".xml", ""),
            (".U.", ".X."),
            (".U.", ".Ufa."),
            (".v.", ".q."),
            ("inbox", "../etc"),
            ("2026", "202"),
            ("01KAF", "81KAF"),
        ] {
            let wrong = good.replace(from, to);
            assert_eq!(Name::parse(&wrong), None, "{wrong}");
        }
    }
}

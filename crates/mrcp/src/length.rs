use std::fmt;

use crate::ids::is_digits;
use crate::words::words;

/// The longest tag name that a jump or a length may carry.
const TAG_BYTES_MAX: usize = 256;

words! {
    /// What speech is measured in. RFC 6787 §8.4.1.
    Unit {
        /// Seconds of sound.
        Second = "Second",
        /// Words.
        Word = "Word",
        /// Sentences.
        Sentence = "Sentence",
        /// Paragraphs.
        Paragraph = "Paragraph",
    }
}

/// `Jump-Size`: where to go on from. RFC 6787 §8.4.1.
///
/// The grammar has signed (relative) amounts and tags. An amount without a sign is taken as
/// measured from the start of the speech data, as the text calls only '+' and '-' relative. The
/// plural of a unit is read too: the RFC's own example writes `-15 Words`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Jump {
    /// So much further on from where it speaks now.
    Forward(u64, Unit),
    /// So much back.
    Back(u64, Unit),
    /// So much after the beginning of the speech data.
    FromStart(u64, Unit),
    /// The mark of that name.
    Tag(String),
}

/// `Speak-Length`: where to end. RFC 6787 §8.4.15.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SpeakLength {
    /// So much further on; at least 1.
    Amount(u64, Unit),
    /// At the mark of that name, or at the end if it does not come.
    Tag(String),
}

impl Jump {
    /// Reads the header's value.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(rest) = text.strip_prefix('+') {
            return amount(rest).map(|(count, unit)| Self::Forward(count, unit));
        }
        if let Some((count, unit)) = text.strip_prefix('-').and_then(amount) {
            return Some(Self::Back(count, unit));
        }
        match amount(text) {
            Some((count, unit)) => Some(Self::FromStart(count, unit)),
            None => tag(text).map(Self::Tag),
        }
    }

    /// What it is measured in; none for a tag.
    pub const fn unit(&self) -> Option<Unit> {
        match self {
            Self::Forward(_, unit) | Self::Back(_, unit) | Self::FromStart(_, unit) => Some(*unit),
            Self::Tag(_) => None,
        }
    }
}

impl SpeakLength {
    /// Reads the header's value; a number must be positive.
    pub fn parse(text: &str) -> Option<Self> {
        match amount(text) {
            Some((0, _)) => None,
            Some((count, unit)) => Some(Self::Amount(count, unit)),
            None => tag(text).map(Self::Tag),
        }
    }

    /// What it is measured in; none for a tag.
    pub const fn unit(&self) -> Option<Unit> {
        match self {
            Self::Amount(_, unit) => Some(*unit),
            Self::Tag(_) => None,
        }
    }
}

impl fmt::Display for Jump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forward(count, unit) => write!(f, "+{count} {unit}"),
            Self::Back(count, unit) => write!(f, "-{count} {unit}"),
            Self::FromStart(count, unit) => write!(f, "{count} {unit}"),
            Self::Tag(name) => write!(f, "{name} Tag"),
        }
    }
}

impl fmt::Display for SpeakLength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Amount(count, unit) => write!(f, "{count} {unit}"),
            Self::Tag(name) => write!(f, "{name} Tag"),
        }
    }
}

fn amount(text: &str) -> Option<(u64, Unit)> {
    let (count, unit) = text.split_once(' ')?;
    let unit = unit.trim_start();
    let singular = unit.strip_suffix(['s', 'S']).unwrap_or(unit);
    let unit = Unit::parse(singular)?;
    is_digits(count, 19).then(|| count.parse().ok().map(|count| (count, unit)))?
}

fn tag(text: &str) -> Option<String> {
    let (name, word) = text.rsplit_once(' ')?;
    let name = name.trim_end();
    let sound = word.eq_ignore_ascii_case("Tag")
        && (1..=TAG_BYTES_MAX).contains(&name.len())
        && !name.contains(char::is_whitespace);
    sound.then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn section_8_4_1_jumps_are_signed_absolute_or_to_a_tag() {
        let check = |text: &str, expected: Option<Jump>| {
            assert_eq!(Jump::parse(text), expected, "{text:?}");
        };
        check("+5 Second", Some(Jump::Forward(5, Unit::Second)));
        check("-15 Words", Some(Jump::Back(15, Unit::Word)));
        check("-0 sentence", Some(Jump::Back(0, Unit::Sentence)));
        check("3 Paragraph", Some(Jump::FromStart(3, Unit::Paragraph)));
        check("here Tag", Some(Jump::Tag("here".into())));
        check("-x Tag", Some(Jump::Tag("-x".into())));
        for bad in
            ["", "5", "+5", "+ Second", "+5 Minute", "+-5 Second", "5.5 Second", "Tag", "a b Tag"]
        {
            check(bad, None);
        }
    }

    #[test]
    fn section_8_4_15_a_length_is_positive_or_a_tag() {
        let check = |text: &str, expected: Option<SpeakLength>| {
            assert_eq!(SpeakLength::parse(text), expected, "{text:?}");
        };
        check("10 Second", Some(SpeakLength::Amount(10, Unit::Second)));
        check("end Tag", Some(SpeakLength::Tag("end".into())));
        for bad in ["0 Second", "+3 Word", "-3 Word", "99999999999999999999 Word", "Second"] {
            check(bad, None);
        }
    }
}

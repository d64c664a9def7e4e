use std::fmt::{self, Write as _};
use std::ops::RangeInclusive;

use crate::lexer::Lexer;

/// Most ranges of a set.
pub const RANGES_MAX: usize = 10_000;

/// Numbers of messages, or what a search found before. RFC 9051 §9, `sequence-set`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SequenceSet {
    /// Ranges as they were given; `None` is `*`, the greatest there is.
    Ranges(Vec<(Option<u32>, Option<u32>)>),
    /// `$`. RFC 5182.
    Saved,
}

impl SequenceSet {
    pub(crate) fn read(lexer: &mut Lexer<'_>) -> Result<Self, &'static str> {
        if lexer.take(b'$') {
            return Ok(Self::Saved);
        }
        let mut ranges = Vec::new();
        loop {
            let first = number(lexer)?;
            let last = if lexer.take(b':') { number(lexer)? } else { first };
            if ranges.len() == RANGES_MAX {
                return Err("fewer ranges");
            }
            ranges.push((first, last));
            if !lexer.take(b',') {
                return Ok(Self::Ranges(ranges));
            }
        }
    }

    /// Reads a set as it stands, as in `UID=` of a URL's range.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut lexer = Lexer::new(text.as_bytes());
        let set = Self::read(&mut lexer).ok()?;
        lexer.end().is_ok().then_some(set)
    }

    /// One number.
    #[must_use]
    pub fn one(number: u32) -> Self {
        Self::Ranges(vec![(Some(number), Some(number))])
    }

    /// The ranges with numbers in them, in ascending order and apart, where `*` is `greatest`; none for `$`.
    #[must_use]
    pub fn ranges(&self, greatest: u32) -> Vec<RangeInclusive<u32>> {
        let Self::Ranges(all) = self else { return Vec::new() };
        let number = |number: &Option<u32>| number.unwrap_or(greatest);
        let mut all: Vec<_> = all
            .iter()
            .map(|(first, last)| (number(first), number(last)))
            .map(|(first, last)| (first.min(last), first.max(last)))
            .collect();
        all.sort_unstable();
        let mut merged: Vec<(u32, u32)> = Vec::new();
        for (first, last) in all {
            match merged.last_mut() {
                Some((_, end)) if first <= end.saturating_add(1) => *end = last.max(*end),
                Some(_) | None => merged.push((first, last)),
            }
        }
        merged.into_iter().map(|(first, last)| first..=last).collect()
    }
}

fn number(lexer: &mut Lexer<'_>) -> Result<Option<u32>, &'static str> {
    if lexer.take(b'*') {
        return Ok(None);
    }
    match lexer.number()? {
        0 => Err("a number above 0"),
        number => Ok(Some(number)),
    }
}

impl fmt::Display for SequenceSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Ranges(all) = self else { return f.write_char('$') };
        let number =
            |number: &Option<u32>| number.map_or("*".to_owned(), |number| number.to_string());
        for (place, (first, last)) in all.iter().enumerate() {
            if place > 0 {
                f.write_char(',')?;
            }
            f.write_str(&number(first))?;
            if first != last {
                write!(f, ":{}", number(last))?;
            }
        }
        Ok(())
    }
}

/// Numbers in ascending order, as a set: `1:3,7`.
#[must_use]
pub fn compact(numbers: impl IntoIterator<Item = u32>) -> String {
    let mut out = String::new();
    let mut open: Option<(u32, u32)> = None;
    let mut close = |range: Option<(u32, u32)>| {
        let Some((first, last)) = range else { return };
        if !out.is_empty() {
            out.push(',');
        }
        // A `String` takes everything.
        let _ = if first == last { write!(out, "{first}") } else { write!(out, "{first}:{last}") };
    };
    for number in numbers {
        open = match open {
            Some((first, last)) if number == last.saturating_add(1) => Some((first, number)),
            before => {
                close(before);
                Some((number, number))
            }
        };
    }
    close(open);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_read_and_put_in_order() {
        for (text, expected) in [
            ("1", vec![1..=1]),
            ("3:1,7", vec![1..=3, 7..=7]),
            ("*", vec![9..=9]),
            ("12:*", vec![9..=12]),
            ("1:4,3:6,7,2", vec![1..=7]),
            ("1:4294967295", vec![1..=4_294_967_295]),
        ] {
            let set = SequenceSet::parse(text).unwrap();
            assert_eq!(set.ranges(9), expected);
            assert_eq!(set.to_string(), text);
        }
        for text in ["", "0", "1:", "1,", "a", "1 2", "4294967296", "$1"] {
            assert_eq!(SequenceSet::parse(text), None, "{text}");
        }
        assert_eq!(SequenceSet::parse("$"), Some(SequenceSet::Saved));
    }

    #[test]
    fn numbers_are_written_as_ranges() {
        assert_eq!(compact([1, 2, 3, 7, 9, 10]), "1:3,7,9:10");
        assert_eq!(compact([]), "");
    }
}

//! What a server or a client writes: strings, dates, sets.

use email::compose::{MONTHS, civil};

pub use crate::sequence::compact;

/// Longest string that is written in quotes.
const QUOTED_MAX: usize = 1_024;

/// A string: in quotes where that can be, or else as a literal that needs no answer of the other side, as servers send it.
pub fn string(out: &mut Vec<u8>, value: &[u8]) {
    let is_plain =
        value.len() <= QUOTED_MAX && value.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\t'));
    if is_plain {
        out.push(b'"');
        for byte in value {
            if matches!(byte, b'"' | b'\\') {
                out.push(b'\\');
            }
            out.push(*byte);
        }
        out.push(b'"');
    } else {
        literal(out, value);
    }
}

/// `{5}`, a line break, and the bytes.
pub fn literal(out: &mut Vec<u8>, value: &[u8]) {
    out.extend_from_slice(format!("{{{}}}\r\n", value.len()).as_bytes());
    out.extend_from_slice(value);
}

/// A string, or NIL.
pub fn nstring(out: &mut Vec<u8>, value: Option<&[u8]>) {
    match value {
        Some(value) => string(out, value),
        None => out.extend_from_slice(b"NIL"),
    }
}

/// A name: as an atom where that can be, or else in quotes. For names without line breaks.
#[must_use]
pub fn astring(value: &str) -> String {
    let is_word = |byte: u8| crate::lexer::is_atom(byte) || byte == b']';
    let is_atom =
        !value.is_empty() && value.bytes().all(is_word) && !value.eq_ignore_ascii_case("NIL");
    if is_atom {
        return value.to_owned();
    }
    let mut out = String::from("\"");
    for letter in value.chars().filter(|letter| !matches!(letter, '\r' | '\n' | '\0')) {
        if matches!(letter, '"' | '\\') {
            out.push('\\');
        }
        out.push(letter);
    }
    out.push('"');
    out
}

/// Days since 1970 of a day of the Gregorian calendar; `None` where there is no such day.
#[must_use]
pub fn day(year: i64, month: &str, day: i64) -> Option<i64> {
    let month = MONTHS.iter().position(|name| name.eq_ignore_ascii_case(month))?;
    let month = i64::try_from(month).ok()? + 1;
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    if !(1..=length).contains(&day) || !(1..=9_999).contains(&year) {
        return None;
    }
    // Counted from 1 March, so that the day that is added comes last.
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let of_era = year.rem_euclid(400);
    let of_year = (153 * month + 2) / 5 + day - 1;
    Some(
        year.div_euclid(400) * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year
            - 719_468,
    )
}

/// `"29-Nov-2026 23:30:00 +0000"`, RFC 9051 §9 `date-time`, in its quotes.
#[must_use]
pub fn internal_date(seconds: u64) -> String {
    let (year, month, day) = civil(seconds / 86_400);
    let month = MONTHS.get(usize::try_from(month).unwrap_or(1).saturating_sub(1)).unwrap_or(&"Jan");
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    format!("\"{day:02}-{month}-{year:04} {hour:02}:{minute:02}:{second:02} +0000\"")
}

/// Reads a date and time without its quotes; in seconds since 1970.
#[must_use]
pub fn parse_internal_date(text: &str) -> Option<u64> {
    let mut words = text.split_ascii_whitespace();
    let (date, time, zone) = (words.next()?, words.next()?, words.next()?);
    let mut date = date.splitn(3, '-');
    let (of_month, month, year) = (date.next()?, date.next()?, date.next()?);
    let days = day(year.parse().ok()?, month, of_month.parse().ok()?)?;
    let in_range = |part: &str| part.parse::<i64>().ok().filter(|part| (0..=60).contains(part));
    let mut time = time.splitn(3, ':').map(in_range);
    let (hour, minute, second) = (time.next()??, time.next()??, time.next()??);
    let fits = (0..24).contains(&hour) && (0..60).contains(&minute) && (0..=60).contains(&second);
    let (sign, digits) = zone.split_at_checked(1)?;
    let is_zone = digits.len() == 4 && digits.bytes().all(|byte| byte.is_ascii_digit());
    let digits: i64 = digits.parse().ok().filter(|_| is_zone)?;
    let ahead = (digits / 100 * 60 + digits % 100) * 60;
    let ahead = match sign {
        "+" => ahead,
        "-" => -ahead,
        _ => return None,
    };
    let seconds = days * 86_400 + hour * 3_600 + minute * 60 + second - ahead;
    u64::try_from(seconds).ok().filter(|_| fits && words.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_written_so_that_they_are_read_back() {
        for (value, expected) in [
            (&b"plain"[..], "\"plain\""),
            (b"a\"b\\c", "\"a\\\"b\\\\c\""),
            (b"a\r\nb", "{4}\r\na\r\nb"),
            ("J\u{f6}rg".as_bytes(), "{5}\r\nJ\u{f6}rg"),
            (b"", "\"\""),
        ] {
            let mut out = Vec::new();
            string(&mut out, value);
            assert_eq!(String::from_utf8(out.clone()).unwrap(), expected);
            assert_eq!(crate::lexer::Lexer::new(&out).string().unwrap(), value);
        }
        assert_eq!(astring("INBOX"), "INBOX");
        assert_eq!(astring("nil"), "\"nil\"");
        assert_eq!(astring("a b"), "\"a b\"");
        assert_eq!(astring(""), "\"\"");
    }

    #[test]
    fn dates_go_there_and_back() {
        for (seconds, text) in [
            (0, "\"01-Jan-1970 00:00:00 +0000\""),
            (1_795_995_000, "\"29-Nov-2026 23:30:00 +0000\""),
            (951_782_400, "\"29-Feb-2000 00:00:00 +0000\""),
        ] {
            assert_eq!(internal_date(seconds), text);
            assert_eq!(parse_internal_date(text.trim_matches('"')), Some(seconds));
        }
        assert_eq!(parse_internal_date(" 1-Dec-2026 01:30:00 +0200"), Some(1_796_081_400));
        for text in
            ["", "29-Feb-2026 00:00:00 +0000", "1-Jan-2026 24:00:00 +0000", "1-Jan-2026 0:0:0 0"]
        {
            assert_eq!(parse_internal_date(text), None, "{text}");
        }
    }
}

//! Messages as we write them: header fields that are short and in ASCII, bodies in base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::encoding::LINE_BYTES;
pub use crate::encoding::base64_lines;

/// Bytes of a line of base64 before it is written.
pub const BASE64_LINE: u64 = LINE_BYTES as u64;
/// Bytes of such a line with its line break.
pub const BASE64_LINE_WRITTEN: u64 = 78;
/// Bytes of text in an encoded word. RFC 2047 §2 allows 75 characters for all of it.
const WORD_BYTES: usize = 42;
/// A line is folded when it would be longer. RFC 5322 §2.1.1.
const LINE_CHARS: usize = 76;

/// Bytes that so many bytes take in base64, with the line breaks.
#[must_use]
pub const fn base64_length(bytes: u64) -> u64 {
    let letters = bytes.div_ceil(3) * 4;
    letters + bytes.div_ceil(BASE64_LINE) * 2
}

/// A text as a header field may have it: in encoded words if it is not ASCII. RFC 2047.
#[must_use]
pub fn text(text: &str) -> String {
    let is_plain = text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    if is_plain && !text.contains("=?") {
        return text.to_owned();
    }
    let mut words = Vec::new();
    let mut word = String::new();
    for letter in text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }) {
        if word.len() + letter.len_utf8() > WORD_BYTES {
            words.push(encoded(&std::mem::take(&mut word)));
        }
        word.push(letter);
    }
    words.push(encoded(&word));
    words.join(" ")
}

fn encoded(word: &str) -> String {
    format!("=?utf-8?B?{}?=", STANDARD.encode(word))
}

/// A value in quotes, as a parameter or a name may have it: `"a.wav"`. RFC 5322 §3.2.4.
#[must_use]
pub fn quoted(value: &str) -> String {
    let mut out = String::from("\"");
    for letter in value.chars().filter(|letter| !letter.is_control()) {
        if matches!(letter, '"' | '\\') {
            out.push('\\');
        }
        out.push(letter);
    }
    out.push('"');
    out
}

/// `"Name" <local@domain>`
#[must_use]
pub fn mailbox(name: &str, address: &str) -> String {
    let shown = if name.is_ascii() { quoted(name) } else { text(name) };
    if name.is_empty() { format!("<{address}>") } else { format!("{shown} <{address}>") }
}

/// A parameter: in RFC 2231's form if it is not ASCII.
#[must_use]
pub fn parameter(name: &str, value: &str) -> String {
    use std::fmt::Write as _;

    if value.is_ascii() {
        return format!("{name}={}", quoted(value));
    }
    let mut out = format!("{name}*=utf-8''");
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // A `String` takes everything.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// Appends a field, folded between its words. RFC 5322 §2.2.3.
pub fn field(out: &mut Vec<u8>, name: &str, value: &str) {
    let mut line = format!("{name}:");
    for word in value.split(' ').filter(|word| !word.is_empty()) {
        if line.len() + 1 + word.len() > LINE_CHARS && !line.ends_with(':') {
            out.extend_from_slice(line.as_bytes());
            out.extend_from_slice(b"\r\n");
            line.clear();
        }
        line.push(' ');
        // What could end the field early is no part of a value.
        line.extend(word.chars().filter(|letter| !letter.is_control()));
    }
    out.extend_from_slice(line.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// `Mon, 30 Nov 2026 01:30:00 +0000`, RFC 5322 §3.3.
#[must_use]
pub fn date(seconds: u64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    let (year, month, day) = civil(seconds / 86_400);
    let weekday = usize::try_from(seconds / 86_400 % 7).unwrap_or(0);
    let weekday = DAYS.get(weekday).copied().unwrap_or_default();
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    let month = month_name(month);
    format!("{weekday}, {day:02} {month} {year} {hour:02}:{minute:02}:{second:02} +0000")
}

/// The short names of the months.
pub const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

fn month_name(month: u64) -> &'static str {
    let place = usize::try_from(month).unwrap_or(1).saturating_sub(1);
    MONTHS.get(place).copied().unwrap_or_default()
}

/// Year, month and day of a day since 1970 in the Gregorian calendar.
#[must_use]
pub const fn civil(days: u64) -> (u64, u64, u64) {
    // Counted from 1 March of year 0, so that the day that is added comes last.
    let days = days + 719_468;
    let era = days / 146_097;
    let of_era = days % 146_097;
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Header;

    #[test]
    fn what_is_written_is_read_back() {
        for subject in [
            "plain",
            "Grüße aus dem fünften Stock, wo es immer sehr laut ist und zieht",
            "=?x",
            "a  b",
        ] {
            let mut out = Vec::new();
            field(&mut out, "Subject", &text(subject));
            assert!(out.split(|byte| *byte == b'\n').all(|line| line.len() <= 79), "{subject}");
            assert!(out.is_ascii());
            let read = Header::of(&out).text("subject").unwrap();
            assert_eq!(
                read.split_whitespace().collect::<Vec<_>>(),
                subject.split_whitespace().collect::<Vec<_>>()
            );
        }
        for (name, address) in [("Jörg B", "j@b"), ("E, \"F\"", "e@f"), ("", "g@h")] {
            let mut out = Vec::new();
            field(&mut out, "From", &mailbox(name, address));
            let read = Header::of(&out).address("from").unwrap();
            assert_eq!((&*read.name, &*read.address), (name, address));
        }
    }

    #[test]
    fn nothing_ends_a_field_early() {
        let mut out = Vec::new();
        field(&mut out, "Subject", &text("a\r\nBcc: x@y\r\n\r\nbody"));
        field(&mut out, "X", "a\r\nBcc: x@y");
        assert_eq!(Header::of(&out).fields().len(), 2);
    }

    #[test]
    fn names_of_files_are_read_back() {
        for name in ["a b.wav", "Jörg.wav", "a\"b\\.wav"] {
            let line =
                format!("Content-Disposition: attachment; {}\r\n\r\n", parameter("filename", name));
            assert_eq!(crate::Part::scan(line.as_bytes()).file_name().as_deref(), Some(name));
        }
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, "Thu, 01 Jan 1970 00:00:00 +0000"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 +0000"),
            (1_795_995_000, "Sun, 29 Nov 2026 23:30:00 +0000"),
            (4_107_542_399, "Sun, 28 Feb 2100 23:59:59 +0000"),
        ] {
            assert_eq!(date(seconds), expected);
        }
    }

    #[test]
    fn the_length_of_base64_is_known_before() {
        for bytes in [0_usize, 1, 2, 3, 56, 57, 58, 114, 115, 1_000] {
            let mut out = Vec::new();
            base64_lines(&vec![7; bytes], &mut out);
            assert_eq!(out.len() as u64, base64_length(bytes as u64), "{bytes}");
        }
    }
}

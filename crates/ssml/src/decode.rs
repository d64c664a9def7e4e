use std::char::{REPLACEMENT_CHARACTER, decode_utf16};

use crate::document::SsmlError;

/// A document's text, and a remark when its bytes were not what they were said to be.
pub(crate) struct Decoded {
    pub(crate) text: String,
    pub(crate) remark: Option<&'static str>,
}

/// How bytes stand for characters. XML 1.0 appendix F.
#[derive(Clone, Copy)]
enum Charset {
    Utf8,
    Utf16Big,
    Utf16Little,
    Latin1,
    Windows1252,
}

/// Turns bytes into text by byte order mark, the transport's charset, the declaration, or UTF-8.
pub(crate) fn decode(bytes: &[u8], transport: Option<&str>) -> Result<Decoded, String> {
    let (charset, body) = if let Some(rest) = bytes.strip_prefix(b"\xEF\xBB\xBF") {
        (Charset::Utf8, rest)
    } else if let Some(rest) = bytes.strip_prefix(b"\xFE\xFF") {
        (Charset::Utf16Big, rest)
    } else if let Some(rest) = bytes.strip_prefix(b"\xFF\xFE") {
        (Charset::Utf16Little, rest)
    } else if bytes.starts_with(b"\0<") {
        (Charset::Utf16Big, bytes)
    } else if bytes.starts_with(b"<\0") {
        (Charset::Utf16Little, bytes)
    } else if let Some(name) = transport {
        (named(name)?, bytes)
    } else {
        match declared(bytes) {
            Some(name) => (named(&name)?, bytes),
            None => (Charset::Utf8, bytes),
        }
    };
    let mut remark = None;
    let text = match charset {
        Charset::Utf8 => String::from_utf8(body.to_vec()).unwrap_or_else(|_| {
            remark = Some("not UTF-8 as it says; read as Windows-1252");
            body.iter().map(|byte| windows_1252(*byte)).collect()
        }),
        Charset::Utf16Big => utf16(body, u16::from_be_bytes, &mut remark),
        Charset::Utf16Little => utf16(body, u16::from_le_bytes, &mut remark),
        Charset::Latin1 => body.iter().map(|byte| char::from(*byte)).collect(),
        Charset::Windows1252 => body.iter().map(|byte| windows_1252(*byte)).collect(),
    };
    Ok(Decoded { text, remark })
}

/// The text of a body without markup, in the charset that its transport names.
///
/// # Errors
/// The charset is not known.
pub fn text(bytes: &[u8], charset: Option<&str>) -> Result<String, SsmlError> {
    decode(bytes, charset).map(|decoded| decoded.text).map_err(|what| SsmlError { line: 1, what })
}

fn named(name: &str) -> Result<Charset, String> {
    let name = name.trim().trim_matches('"').to_ascii_lowercase();
    match name.as_str() {
        // UTF-16 without a byte order mark would have shown itself by its zero bytes.
        "utf-8" | "utf8" | "us-ascii" | "ascii" | "utf-16" | "utf16" => Ok(Charset::Utf8),
        "utf-16be" => Ok(Charset::Utf16Big),
        "utf-16le" => Ok(Charset::Utf16Little),
        "iso-8859-1" | "iso8859-1" | "iso_8859-1" | "latin1" | "latin-1" | "l1" => {
            Ok(Charset::Latin1)
        }
        "windows-1252" | "cp1252" => Ok(Charset::Windows1252),
        _ => Err(format!("the charset {:?} is not known", shortened(&name))),
    }
}

fn shortened(name: &str) -> String {
    name.chars().take(40).collect()
}

/// The `encoding` of an XML declaration in ASCII-compatible bytes.
fn declared(bytes: &[u8]) -> Option<String> {
    let rest = bytes.trim_ascii_start().strip_prefix(b"<?xml")?;
    let end = rest.windows(2).position(|pair| pair == b"?>")?;
    let declaration = str::from_utf8(rest.get(..end)?).ok()?;
    let (_, after) = declaration.split_once("encoding")?;
    let value = after.trim_start().strip_prefix('=')?.trim_start();
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    Some(value.strip_prefix(quote)?.split(quote).next()?.to_owned())
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16, remark: &mut Option<&'static str>) -> String {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let text: String = decode_utf16(pairs.iter().map(|pair| unit(*pair)))
        .map(|unit| unit.unwrap_or(REPLACEMENT_CHARACTER))
        .collect();
    if !rest.is_empty() || text.contains(REPLACEMENT_CHARACTER) {
        *remark = Some("broken UTF-16");
    }
    text
}

/// Windows-1252: Latin-1 with letters and signs where that has control codes.
fn windows_1252(byte: u8) -> char {
    const HIGH: [char; 32] = [
        '€', ' ', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', ' ', 'Ž', ' ', ' ', '‘',
        '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', ' ', 'ž', 'Ÿ',
    ];
    match byte.checked_sub(0x80).and_then(|offset| HIGH.get(usize::from(offset))) {
        Some(letter) => *letter,
        None => char::from(byte),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], transport: Option<&str>, expected: &str) {
        assert_eq!(decode(bytes, transport).map(|decoded| decoded.text), Ok(expected.to_owned()));
    }

    #[test]
    fn every_declared_encoding_is_read() {
        check("<a>é</a>".as_bytes(), None, "<a>é</a>");
        let latin = b"<?xml version='1.0' encoding='ISO-8859-1'?><a>\xE9</a>";
        check(latin, None, "<?xml version='1.0' encoding='ISO-8859-1'?><a>é</a>");
        check(b"\xEF\xBB\xBF<a/>", None, "<a/>");
        check(b"\xFE\xFF\0<\0a\0/\0>", None, "<a/>");
        check(b"<\0a\0/\0>\0", None, "<a/>");
        check(b"\x80\x93x", Some("windows-1252"), "€“x");
        check(b"caf\xE9", None, "café");
    }

    #[test]
    fn an_unknown_charset_is_refused() {
        assert!(decode(b"x", Some("ebcdic-cp-fr")).is_err());
    }
}

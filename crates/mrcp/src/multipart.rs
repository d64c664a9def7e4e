//! `multipart/mixed` as MRCPv2 uses it. RFC 6787 §8.5.1, RFC 2046 §5.1.

use crate::headers::{Header, Headers, is_token};
use crate::quoted;

/// Parts that one body may have.
pub(crate) const PARTS_MAX: usize = 64;
/// The longest boundary of RFC 2046 §5.1.1.
const BOUNDARY_MAX: usize = 70;
/// Header lines that one part may have.
const PART_HEADER_LINES_MAX: usize = 32;

/// One part as it stands: its header fields and its bytes after transfer decoding.
#[derive(Debug)]
pub(crate) struct RawPart {
    pub(crate) headers: Headers,
    pub(crate) bytes: Vec<u8>,
}

/// Cuts a body into its parts; none if it is not well formed, has no part or too many.
pub(crate) fn split(body: &[u8], boundary: &str) -> Option<Vec<RawPart>> {
    if boundary.is_empty() || boundary.len() > BOUNDARY_MAX {
        return None;
    }
    let mut parts = Vec::new();
    let mut rest = skip_to_part(body, boundary)?;
    loop {
        let (part, after, last) = next_boundary(rest, boundary)?;
        if parts.len() == PARTS_MAX {
            return None;
        }
        parts.push(read_part(part)?);
        if last {
            return Some(parts);
        }
        rest = after;
    }
}

/// Past the preamble and the first delimiter line.
fn skip_to_part<'a>(body: &'a [u8], boundary: &str) -> Option<&'a [u8]> {
    let mut rest = body;
    while !rest.is_empty() {
        let (line, after) = cut_line(rest);
        match delimiter(line, boundary) {
            Some(Delimiter::Next) => return Some(after),
            Some(Delimiter::Last) => return None,
            None => rest = after,
        }
    }
    None
}

/// The bytes before the next delimiter line, those after it, and whether it was the last one.
fn next_boundary<'a>(bytes: &'a [u8], boundary: &str) -> Option<(&'a [u8], &'a [u8], bool)> {
    let mut at = 0;
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        let (line, after) = cut_line(rest);
        if let Some(found) = delimiter(line, boundary) {
            // The line end before a delimiter belongs to the delimiter.
            let part = bytes.get(..at)?;
            let part = part.strip_suffix(b"\n").unwrap_or(part);
            let part = part.strip_suffix(b"\r").unwrap_or(part);
            return Some((part, after, matches!(found, Delimiter::Last)));
        }
        at += rest.len() - after.len();
    }
    None
}

enum Delimiter {
    Next,
    Last,
}

fn delimiter(line: &[u8], boundary: &str) -> Option<Delimiter> {
    let rest = line.strip_prefix(b"--")?.strip_prefix(boundary.as_bytes())?;
    match rest.trim_ascii() {
        b"" => Some(Delimiter::Next),
        b"--" => Some(Delimiter::Last),
        _ => None,
    }
}

/// The first line without its end, and the rest; the last line may lack an end.
fn cut_line(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|&byte| byte == b'\n').unwrap_or(bytes.len());
    let line = bytes.get(..end).unwrap_or_default();
    (line.strip_suffix(b"\r").unwrap_or(line), bytes.get(end + 1..).unwrap_or_default())
}

fn read_part(part: &[u8]) -> Option<RawPart> {
    let mut headers: Vec<Header> = Vec::new();
    let mut rest = part;
    for _ in 0..=PART_HEADER_LINES_MAX {
        let (line, after) = cut_line(rest);
        rest = after;
        if line.is_empty() {
            let headers: Headers = headers.into_iter().collect();
            let bytes = decode(&headers, rest)?;
            return Some(RawPart { headers, bytes });
        }
        let line = std::str::from_utf8(line).ok()?;
        if line.starts_with([' ', '\t']) {
            let last = headers.last_mut()?;
            last.value.push(' ');
            last.value.push_str(line.trim());
        } else {
            let (name, value) = line.split_once(':')?;
            if !is_token(name) {
                return None;
            }
            headers.push(Header { name: name.to_owned(), value: value.trim().to_owned() });
        }
    }
    None
}

/// Undoes `Content-Transfer-Encoding`. RFC 2045 §6.
fn decode(headers: &Headers, bytes: &[u8]) -> Option<Vec<u8>> {
    let encoding = headers.get("Content-Transfer-Encoding").unwrap_or("8bit");
    match quoted::unquote(encoding).to_ascii_lowercase().as_str() {
        "7bit" | "8bit" | "binary" => Some(bytes.to_vec()),
        "base64" => base64(bytes),
        "quoted-printable" => quoted_printable(bytes),
        _ => None,
    }
}

fn base64(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(bytes.len() / 4 * 3);
    let (mut bits, mut held) = (0_u32, 0_u32);
    for &byte in bytes.iter().filter(|byte| !byte.is_ascii_whitespace()) {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'=' => break,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push(u8::try_from((bits >> held) & 0xff).ok()?);
        }
    }
    Some(out)
}

fn quoted_printable(bytes: &[u8]) -> Option<Vec<u8>> {
    let digit =
        |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&first, after)) = rest.split_first() {
        rest = match (first, after) {
            (b'=', [b'\r', b'\n', after @ ..] | [b'\n', after @ ..]) => after,
            (b'=', [high, low, after @ ..]) => {
                out.push(digit(high)? * 16 + digit(low)?);
                after
            }
            (b'=', _) => return None,
            (plain, after) => {
                out.push(plain);
                after
            }
        };
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, expected: &[(&str, &str)]) {
        let parts = split(body.as_bytes(), "break").unwrap_or_default();
        let found: Vec<(String, String)> = parts
            .iter()
            .map(|part| {
                let kind = part.headers.get("Content-Type").unwrap_or("-").to_owned();
                (kind, String::from_utf8_lossy(&part.bytes).into_owned())
            })
            .collect();
        let found: Vec<(&str, &str)> =
            found.iter().map(|(kind, text)| (kind.as_str(), text.as_str())).collect();
        assert_eq!(found, expected, "{body:?}");
    }

    #[test]
    fn section_8_5_1_parts_are_cut_at_the_boundary_and_only_there() {
        check(
            "preamble\r\n--break\r\nContent-Type:text/plain\r\n\r\none\r\n--breakfast\r\n--break  \r\n\
             Content-Type: text/uri-list\r\n\r\nhttp://a\r\n\r\n--break--\r\nepilogue",
            &[("text/plain", "one\r\n--breakfast"), ("text/uri-list", "http://a\r\n")],
        );
        check("--break\n\nbare\n--break--", &[("-", "bare")]);
        check("--break\r\n\r\n--break--", &[("-", "")]);
    }

    #[test]
    fn a_body_without_an_end_or_a_beginning_is_refused() {
        for bad in [
            "",
            "--break--",
            "--break\r\n\r\nno end",
            "\r\n",
            "--break\r\nno colon\r\n\r\n--break--",
        ] {
            assert!(split(bad.as_bytes(), "break").is_none(), "{bad:?}");
        }
        let many = format!("{}--break--", "--break\r\n\r\n".repeat(PARTS_MAX + 1));
        assert!(split(many.as_bytes(), "break").is_none());
        assert!(split(b"----", "").is_none());
    }

    #[test]
    fn transfer_encodings_are_undone() {
        let body = |encoding: &str, text: &str| {
            format!("--break\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n{text}\r\n--break--")
        };
        check(&body("BASE64", "aGVs\r\nbG8="), &[("-", "hello")]);
        check(&body("quoted-printable", "gr=C3=BC=\r\n=C3=9Fe"), &[("-", "grüße")]);
        check(&body("quoted-printable", "=X1"), &[]);
        check(&body("base64", "?"), &[]);
        check(&body("x-own", "a"), &[]);
    }
}

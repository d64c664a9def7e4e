use std::ops::Range;

use crate::encoding::Encoding;
use crate::header::Header;

/// How deep parts may be in each other; what is deeper is taken as bytes.
pub const DEPTH_MAX: usize = 32;
/// Most parts of a message; what follows the last of them belongs to it.
pub const PARTS_MAX: usize = 1_000;
/// Most bytes of one part's header that are looked at for fields.
pub const HEADER_BYTES_MAX: usize = 256 << 10;
/// Most parameters of one field.
const PARAMETERS_MAX: usize = 64;

/// A parameter of a header field, RFC 2045 §5.1: its name in lower case, and its value as it stands.
pub type Parameter = (String, String);

/// A part of a message, or the message itself: where it is, and what its header says of it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Part {
    /// Type and subtype in lower case: `audio`, `x-wav`.
    pub media: (String, String),
    /// Parameters of Content-Type.
    pub parameters: Vec<Parameter>,
    /// Content-ID.
    pub id: Option<String>,
    /// Content-Description.
    pub description: Option<String>,
    /// Content-Disposition in lower case, with its parameters.
    pub disposition: Option<(String, Vec<Parameter>)>,
    /// Content-Language, as it stands.
    pub language: Option<String>,
    /// Content-Location.
    pub location: Option<String>,
    /// Content-MD5.
    pub md5: Option<String>,
    /// Content-Transfer-Encoding.
    pub encoding: Encoding,
    /// Where its header is, with the empty line after it.
    pub header: Range<usize>,
    /// Where its body is.
    pub body: Range<usize>,
    /// Line breaks in the body; 0 for a multipart, of which nobody asks.
    pub lines: usize,
    /// What is in the body.
    pub content: Body,
}

/// What is in a part's body.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Body {
    /// Bytes.
    #[default]
    Leaf,
    /// Other parts, at least one. RFC 2046 §5.1.
    Multipart(Vec<Part>),
    /// Another message. RFC 2046 §5.2.1.
    Message(Box<Part>),
}

impl Part {
    /// Finds the parts of a message. Whatever the bytes are, they are a message: without a header that says more, a text.
    #[must_use]
    pub fn scan(message: &[u8]) -> Self {
        let mut parts = PARTS_MAX;
        Scan { message, parts: &mut parts }.part(0..message.len(), 0, Assumed::Text)
    }

    /// A part by its header, with what is known of its body: for those who write it.
    #[must_use]
    pub fn written(header: &[u8], at: usize, body: Range<usize>, lines: usize) -> Self {
        let end = at + header.len();
        Self { header: at..end, body, lines, ..described(&Header::of(header), Assumed::Text) }
    }

    /// Whether it is of this type; `subtype` may be `*`.
    #[must_use]
    pub fn is(&self, main: &str, subtype: &str) -> bool {
        self.media.0 == main && (subtype == "*" || self.media.1 == subtype)
    }

    /// `audio/x-wav`
    #[must_use]
    pub fn media_type(&self) -> String {
        format!("{}/{}", self.media.0, self.media.1)
    }

    /// A parameter of Content-Type.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        parameter(&self.parameters, name)
    }

    /// The name that its file has, if the header says one. RFC 2183 §2.3; else the `name` of Content-Type, as older programs.
    #[must_use]
    pub fn file_name(&self) -> Option<String> {
        let disposition = self.disposition.as_ref().map(|(_, parameters)| &**parameters);
        let named = disposition.and_then(|of| extended(of, "filename"));
        named.or_else(|| extended(&self.parameters, "name"))
    }

    /// The parts directly within it.
    #[must_use]
    pub fn children(&self) -> &[Self] {
        match &self.content {
            Body::Leaf => &[],
            Body::Multipart(parts) => parts,
            Body::Message(message) => std::slice::from_ref(message),
        }
    }

    /// It and all within it, in their order, each with its number as IMAP counts them (RFC 9051 §6.4.5.1): empty for the
    /// message itself, then `1`, `2.1`.
    pub fn walk(&self, visit: &mut dyn FnMut(&[u32], &Self)) {
        visit(&[], self);
        // A message that is one part has it as its part 1, and what is within that has numbers below.
        let mut number = match &self.content {
            Body::Message(_) => vec![1],
            Body::Leaf | Body::Multipart(_) => Vec::new(),
        };
        self.walk_within(&mut number, visit);
    }

    fn walk_from(&self, number: &mut Vec<u32>, visit: &mut dyn FnMut(&[u32], &Self)) {
        visit(number, self);
        self.walk_within(number, visit);
    }

    fn walk_within(&self, number: &mut Vec<u32>, visit: &mut dyn FnMut(&[u32], &Self)) {
        match &self.content {
            Body::Multipart(parts) => {
                for (place, part) in (1..).zip(parts) {
                    number.push(place);
                    part.walk_from(number, visit);
                    number.pop();
                }
            }
            // A message has no number of its own within the part that it is in.
            Body::Message(message) => match &message.content {
                Body::Multipart(_) => message.walk_within(number, visit),
                Body::Leaf | Body::Message(_) => {
                    number.push(1);
                    message.walk_from(number, visit);
                    number.pop();
                }
            },
            Body::Leaf => {}
        }
    }

    /// The part of this number. In a message that is no multipart, `1` is its body. RFC 9051 §6.4.5.1.
    #[must_use]
    pub fn find(&self, number: &[u32]) -> Option<&Self> {
        let Some((first, rest)) = number.split_first() else { return Some(self) };
        match &self.content {
            Body::Multipart(parts) => {
                let place = usize::try_from(*first).ok()?.checked_sub(1)?;
                parts.get(place)?.find_within(rest)
            }
            Body::Leaf | Body::Message(_) if *first == 1 => self.find_within(rest),
            Body::Leaf | Body::Message(_) => None,
        }
    }

    fn find_within(&self, number: &[u32]) -> Option<&Self> {
        if number.is_empty() {
            return Some(self);
        }
        match &self.content {
            Body::Leaf => None,
            Body::Multipart(_) => self.find(number),
            Body::Message(message) => message.find(number),
        }
    }
}

/// A parameter of a list.
fn parameter<'a>(parameters: &'a [Parameter], name: &str) -> Option<&'a str> {
    parameters.iter().find(|(known, _)| known == name).map(|(_, value)| &**value)
}

/// A parameter that may be in pieces, or in another character set: RFC 2231; or encoded as RFC 2047 does not allow, and as
/// many programs write it.
fn extended(parameters: &[Parameter], name: &str) -> Option<String> {
    if let Some(value) = parameter(parameters, name) {
        return Some(crate::header::unencoded(value));
    }
    let mut bytes = Vec::new();
    let mut charset = None;
    for piece in 0..PARAMETERS_MAX {
        let plain = parameter(parameters, &format!("{name}*{piece}"));
        let coded = parameter(parameters, &format!("{name}*{piece}*"));
        let alone = parameter(parameters, &format!("{name}*")).filter(|_| piece == 0);
        match (plain, coded.or(alone)) {
            (Some(plain), _) => bytes.extend_from_slice(plain.as_bytes()),
            (None, Some(mut coded)) => {
                if piece == 0 {
                    let mut parts = coded.splitn(3, '\'');
                    charset = parts.next().map(str::to_ascii_lowercase);
                    coded = parts.nth(1).unwrap_or_default();
                }
                percent_decode(coded, &mut bytes);
            }
            (None, None) => break,
        }
    }
    let text = match charset.as_deref() {
        Some(charset) => crate::header::in_charset(charset, &bytes),
        None => String::from_utf8_lossy(&bytes).into_owned(),
    };
    Some(text).filter(|text| !text.is_empty())
}

fn percent_decode(text: &str, out: &mut Vec<u8>) {
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        let escaped = after
            .get(..2)
            .filter(|_| *byte == b'%')
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        match escaped {
            Some(escaped) => {
                out.push(escaped);
                rest = after.get(2..).unwrap_or_default();
            }
            None => out.push(*byte),
        }
    }
}

/// What a part is whose header does not say.
#[derive(Clone, Copy)]
enum Assumed {
    Text,
    Message,
}

struct Scan<'a> {
    message: &'a [u8],
    /// How many more parts there may be.
    parts: &'a mut usize,
}

impl Scan<'_> {
    fn part(&mut self, range: Range<usize>, depth: usize, default: Assumed) -> Part {
        *self.parts = self.parts.saturating_sub(1);
        let bytes = self.message.get(range.clone()).unwrap_or_default();
        let split = range.start + header_end(bytes);
        let (header, body) = (range.start..split, split..range.end);
        let fields = Header::of(self.message.get(header.clone()).unwrap_or_default());
        let mut part = Part { header, body, ..described(&fields, default) };
        let body = self.message.get(part.body.clone()).unwrap_or_default();
        part.lines = memchr::memchr_iter(b'\n', body).count();
        if depth >= DEPTH_MAX || *self.parts == 0 {
            return as_leaf(part);
        }
        if part.media.0 == "multipart" {
            let default = if part.media.1 == "digest" { Assumed::Message } else { Assumed::Text };
            let boundary = part.parameter("boundary").map(str::to_owned).unwrap_or_default();
            let mut children = Vec::new();
            for range in between(self.message, part.body.clone(), boundary.as_bytes()) {
                if *self.parts == 0 {
                    break;
                }
                children.push(self.part(range, depth + 1, default));
            }
            if children.is_empty() {
                return as_leaf(part);
            }
            (part.content, part.lines) = (Body::Multipart(children), 0);
        } else if is_message(&part) && part.encoding.is_identity() {
            let message = self.part(part.body.clone(), depth + 1, Assumed::Text);
            part.content = Body::Message(Box::new(message));
        } else if is_message(&part) {
            // RFC 2046 §5.2.1 allows no such encoding; some do it.
            return as_leaf(part);
        }
        part
    }
}

fn is_message(part: &Part) -> bool {
    part.is("message", "rfc822") || part.is("message", "global")
}

/// A part that has others within it, as its header says, and cannot be taken apart.
fn as_leaf(mut part: Part) -> Part {
    if part.media.0 == "multipart" {
        part.media = ("text".to_owned(), "plain".to_owned());
        part.parameters.clear();
    } else if is_message(&part) {
        part.media = ("application".to_owned(), "octet-stream".to_owned());
    }
    part
}

fn described(header: &Header<'_>, default: Assumed) -> Part {
    let text = |name| header.value(name).filter(|value| !value.is_empty());
    let plain = match default {
        Assumed::Text => ("text".to_owned(), "plain".to_owned()),
        Assumed::Message => ("message".to_owned(), "rfc822".to_owned()),
    };
    let kind = text("Content-Type").map(|value| parameters(&value));
    let media = kind.as_ref().and_then(|(value, _)| media(value));
    let known = media.is_some();
    let disposition = text("Content-Disposition").map(|value| parameters(&value));
    Part {
        media: media.unwrap_or(plain),
        parameters: kind.map(|(_, parameters)| parameters).filter(|_| known).unwrap_or_default(),
        id: text("Content-ID"),
        description: text("Content-Description"),
        disposition: disposition
            .map(|(value, parameters)| (value.to_ascii_lowercase(), parameters))
            .filter(|(value, _)| !value.is_empty()),
        language: text("Content-Language"),
        location: text("Content-Location"),
        md5: text("Content-MD5"),
        encoding: text("Content-Transfer-Encoding")
            .map_or(Encoding::SevenBit, |value| Encoding::parse(&value)),
        ..Part::default()
    }
}

/// `audio/x-wav`, in lower case.
fn media(value: &str) -> Option<(String, String)> {
    let (main, sub) = value.split_once('/')?;
    let (main, sub) = (main.trim().to_ascii_lowercase(), sub.trim().to_ascii_lowercase());
    let is_token = |text: &str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(&byte))
    };
    (is_token(&main) && is_token(&sub)).then_some((main, sub))
}

/// A value and its parameters: `audio/wav; name="a.wav"`. Comments are passed over, and what is no parameter.
fn parameters(value: &str) -> (String, Vec<Parameter>) {
    let mut pieces = pieces(value);
    let first = pieces.next().map(|(_, text)| text).unwrap_or_default();
    let mut all = Vec::new();
    let mut name = None;
    for (kind, text) in pieces {
        match (kind, name.take()) {
            (Piece::Name, _) if !text.is_empty() => name = Some(text.to_ascii_lowercase()),
            (Piece::Value, Some(name)) if all.len() < PARAMETERS_MAX => all.push((name, text)),
            (Piece::Name | Piece::Value, _) => {}
        }
    }
    (first, all)
}

enum Piece {
    Name,
    Value,
}

/// Cuts a value at `;` and `=`, outside quotes and comments.
fn pieces(value: &str) -> impl Iterator<Item = (Piece, String)> {
    let mut letters = value.chars();
    let mut next = Some(Piece::Name);
    std::iter::from_fn(move || {
        let kind = next.take()?;
        let mut text = String::new();
        let (mut is_quoted, mut comments, mut was_quoted) = (false, 0_u32, false);
        while let Some(letter) = letters.next() {
            match letter {
                '\\' if is_quoted || comments > 0 => {
                    if let Some(escaped) = letters.next().filter(|_| comments == 0) {
                        text.push(escaped);
                    }
                }
                '"' if comments == 0 => {
                    is_quoted = !is_quoted;
                    was_quoted = true;
                }
                _ if is_quoted => text.push(letter),
                '(' => comments += 1,
                ')' => comments = comments.saturating_sub(1),
                _ if comments > 0 => {}
                ';' => {
                    next = Some(Piece::Name);
                    break;
                }
                '=' if matches!(kind, Piece::Name) => {
                    next = Some(Piece::Value);
                    break;
                }
                _ if was_quoted => {}
                _ => text.push(letter),
            }
        }
        let text = if was_quoted { text } else { text.trim().to_owned() };
        Some((kind, text))
    })
}

/// The lines, each with its break.
pub(crate) fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
        let (line, after) = rest.split_at_checked(end)?;
        rest = after;
        Some(line)
    })
}

/// Bytes of the header, with the empty line after it.
fn header_end(bytes: &[u8]) -> usize {
    let mut at = 0;
    for line in lines(bytes) {
        at += line.len();
        if matches!(line, b"\r\n" | b"\n") {
            break;
        }
    }
    at
}

/// Where the parts between lines with the boundary are. RFC 2046 §5.1.1: the line break before a delimiter belongs to it.
fn between(message: &[u8], body: Range<usize>, boundary: &[u8]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    if boundary.is_empty() {
        return found;
    }
    let bytes = message.get(body.clone()).unwrap_or_default();
    let mut begin = None;
    let needle = [b"--", boundary].concat();
    for place in memchr::memmem::find_iter(bytes, &needle) {
        // Only at the begin of a line.
        if place > 0 && bytes.get(place - 1) != Some(&b'\n') {
            continue;
        }
        let rest = bytes.get(place..).unwrap_or_default();
        let line = lines(rest).next().unwrap_or_default();
        let Some(is_last) = delimiter(line, boundary) else { continue };
        let at = body.start + place;
        if let Some(begin) = begin.take() {
            found.push(begin..without_break(message, begin, at));
        }
        if is_last || found.len() >= PARTS_MAX {
            return found;
        }
        begin = Some(at + line.len());
    }
    // The end is missing: what is there is the last part.
    found.extend(begin.map(|begin| begin..body.end));
    found
}

/// Whether a line is a delimiter; if so, whether it is the last.
fn delimiter(line: &[u8], boundary: &[u8]) -> Option<bool> {
    let rest = line.strip_prefix(b"--")?.strip_prefix(boundary)?;
    let (is_last, rest) = rest.strip_prefix(b"--").map_or((false, rest), |rest| (true, rest));
    rest.iter().all(u8::is_ascii_whitespace).then_some(is_last)
}

fn without_break(message: &[u8], begin: usize, end: usize) -> usize {
    let bytes = message.get(begin..end).unwrap_or_default();
    let bytes =
        bytes.strip_suffix(b"\n").map_or(bytes, |bytes| bytes.strip_suffix(b"\r").unwrap_or(bytes));
    begin + bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NESTED: &str = "From: a@b\r\nContent-Type: multipart/mixed; boundary=\"A=1\"\r\n\r\npre\r\n--A=1\r\n\
        Content-Type: text/plain\r\n\r\nhello\r\n--A=1\r\nContent-Type: message/rfc822\r\n\r\n\
        From: q@w\r\nContent-Type: Multipart/Voice-Message; version=2.0; boundary=B\r\n\r\n--B\r\n\
        Content-Type: audio/WAV; name=a.wav\r\nContent-Transfer-Encoding: BASE64\r\n\r\nAAAA\r\nBBBB\r\n--B--\r\n\
        \r\n--A=1--\r\nepilogue\r\n";

    /// Each part as its number, its type and its body.
    fn told(message: &str) -> Vec<String> {
        let mut all = Vec::new();
        Part::scan(message.as_bytes()).walk(&mut |number, part| {
            let number: Vec<_> = number.iter().map(u32::to_string).collect();
            let body = message.get(part.body.clone()).unwrap();
            let body = if part.children().is_empty() {
                body.escape_debug().to_string()
            } else {
                String::new()
            };
            all.push(format!("{} {} {body}", number.join("."), part.media_type()));
        });
        all
    }

    #[test]
    fn parts_are_found_where_they_are() {
        assert_eq!(
            told(NESTED),
            [
                " multipart/mixed ",
                "1 text/plain hello",
                "2 message/rfc822 ",
                "2.1 audio/wav AAAA\\r\\nBBBB",
            ]
        );
        let part = Part::scan(NESTED.as_bytes());
        let audio = part.find(&[2, 1]).unwrap();
        assert_eq!(
            (audio.encoding, audio.file_name().as_deref()),
            (Encoding::Base64, Some("a.wav"))
        );
        assert_eq!(audio.lines, 1);
        assert!(part.find(&[3]).is_none() && part.find(&[0]).is_none());
        assert!(part.find(&[2, 1, 1]).is_none(), "a leaf within has no parts");
    }

    #[test]
    fn what_has_no_parts_is_one() {
        assert_eq!(told("Subject: x\r\n\r\nhi\r\n"), [" text/plain hi\\r\\n"]);
        assert_eq!(told(""), [" text/plain "]);
        assert_eq!(told("Content-Type: multipart/mixed\r\n\r\nhi"), [" text/plain hi"]);
        assert_eq!(told("Content-Type: nonsense\r\n\r\nhi"), [" text/plain hi"]);
        let part = Part::scan(b"Subject: x\r\n\r\nhi\r\n");
        assert_eq!(part.find(&[1]), Some(&part), "its body is part 1");
        let whole = "Content-Type: message/rfc822\r\n\r\nContent-Type: text/x\r\n\r\nhi";
        assert_eq!(told(whole), [" message/rfc822 ", "1.1 text/x hi"]);
    }

    #[test]
    fn a_part_without_an_end_goes_to_the_end() {
        let text = "Content-Type: multipart/mixed; boundary=B\n\n--B\n\none\n--B \n\ntwo";
        assert_eq!(told(text), [" multipart/mixed ", "1 text/plain one", "2 text/plain two"]);
        // A longer boundary that begins alike is another.
        let text = "Content-Type: multipart/mixed; boundary=B\n\n--B\n\none\n--BB\ntwo\n--B--\n";
        assert_eq!(told(text), [" multipart/mixed ", "1 text/plain one\\n--BB\\ntwo"]);
    }

    #[test]
    fn parameters_are_read_as_they_are_written() {
        for (value, expected) in [
            ("audio/wav; name=\"a;b=\\\"c\\\".wav\"", vec![("name", "a;b=\"c\".wav")]),
            ("audio/wav (a comment; x=y); Name=a (b) ; ; =z; rate", vec![("name", "a")]),
            ("audio/wav;name=\"a", vec![("name", "a")]),
            ("audio/wav", vec![]),
        ] {
            let (first, all) = parameters(value);
            let all: Vec<_> = all.iter().map(|(n, v)| (&**n, &**v)).collect();
            assert_eq!((&*first, all), ("audio/wav", expected));
        }
    }

    #[test]
    fn names_of_files_are_read_in_all_their_forms() {
        for (header, expected) in [
            ("Content-Disposition: attachment; filename=a.wav", Some("a.wav")),
            ("Content-Disposition: attachment; filename*=utf-8''J%C3%B6rg.wav", Some("Jörg.wav")),
            (
                "Content-Disposition: attachment;\r\n filename*0*=iso-8859-1'de'J%F6;\r\n filename*1=rg",
                Some("Jörg"),
            ),
            ("Content-Type: audio/wav; name=\"=?utf-8?q?J=C3=B6rg?=\"", Some("Jörg")),
            ("Content-Type: audio/wav", None),
        ] {
            let part = Part::scan(format!("{header}\r\n\r\n").as_bytes());
            assert_eq!(part.file_name().as_deref(), expected, "{header}");
        }
    }

    #[test]
    fn depth_and_number_have_bounds() {
        for text in [
            "Content-Type: message/rfc822\r\n\r\n".repeat(200_000),
            (0..2_000)
                .map(|n| format!("Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n"))
                .collect(),
            format!(
                "Content-Type: multipart/mixed; boundary=b\r\n\r\n{}",
                "--b\r\n".repeat(100_000)
            ),
        ] {
            let (mut parts, mut deepest) = (0, 0);
            Part::scan(text.as_bytes()).walk(&mut |number, _| {
                parts += 1;
                deepest = deepest.max(number.len());
            });
            assert!(
                parts <= PARTS_MAX + 1 && deepest <= DEPTH_MAX + 1,
                "{parts} parts, {deepest} deep"
            );
        }
    }
}

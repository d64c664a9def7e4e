//! Bytes to a message: tolerant about form (LF lines, folding, compact names, any bytes in values),
//! exact about what cannot be guessed.

use std::fmt;
use std::ops::Range;

use crate::headers::Headers;
use crate::message::{Message, Request, Response};
use crate::method::Method;
use crate::name;
use crate::scan;
use crate::status::StatusCode;
use crate::uri::AnyUri;

/// Header lines a message may have.
pub const HEADER_LINES_MAX: usize = 256;
/// Bytes that the start line and headers may have together.
pub const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Why bytes are no message. The text names what was wrong, fit for a reason phrase.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// There is nothing but line ends.
    Empty,
    /// The start line is neither a request's nor a status line.
    StartLine(&'static str),
    /// The version is not SIP/2.0.
    Version,
    /// The status code is not between 100 and 699.
    Status,
    /// A header line has no name or no colon.
    HeaderLine,
    /// More lines or bytes than the limits above.
    TooLarge,
    /// Content-Length is no number, or there are several that differ.
    ContentLength(&'static str),
    /// Content-Length says more than there is.
    Short,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "empty message",
            Self::StartLine(what) | Self::ContentLength(what) => what,
            Self::Version => "version not supported",
            Self::Status => "status code out of range",
            Self::HeaderLine => "header line without name or colon",
            Self::TooLarge => "too many or too long header lines",
            Self::Short => "body shorter than Content-Length",
        })
    }
}

impl std::error::Error for Fault {}

/// The first line of a message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum StartLine {
    /// Of a request.
    Request(Method, AnyUri),
    /// Of a response: code and reason phrase.
    Status(StatusCode, String),
}

/// A head as far as it can be read: what is broken stands beside what is not, so that even a broken
/// request can be answered.
#[derive(Clone, Debug)]
pub struct Head {
    /// The start line, or what is wrong with it.
    pub start: Result<StartLine, Fault>,
    /// The method of a request line whose other parts may be broken.
    pub method: Option<Method>,
    /// Whether the first line begins like a response's.
    pub is_response: bool,
    /// Every header line that could be read.
    pub headers: Headers,
    /// The first header line that could not.
    pub fault: Option<Fault>,
    /// Where the body stands in the bytes.
    pub body: Range<usize>,
}

/// Reads a whole message from a datagram or a frame: start line, headers, and the body as
/// Content-Length says or, without it, to the end (RFC 3261 §18.3).
pub fn parse(bytes: &[u8]) -> Result<Message, Fault> {
    let head = head(bytes)?;
    let body = body(&head, bytes)?.to_vec();
    if let Some(fault) = head.fault {
        return Err(fault);
    }
    let headers = head.headers;
    Ok(match head.start? {
        StartLine::Request(method, uri) => Message::Request(Request { method, uri, headers, body }),
        StartLine::Status(status, reason) => {
            Message::Response(Response { status, reason, headers, body })
        }
    })
}

/// Reads start line and headers. Fails only where nothing can be made of the bytes.
pub fn head(bytes: &[u8]) -> Result<Head, Fault> {
    let mut lines = Lines { bytes, at: 0 };
    let first = loop {
        match lines.next() {
            None => return Err(Fault::Empty),
            // RFC 3261 §7.5: empty lines before a message are skipped.
            Some([]) => {}
            Some(line) => break line,
        }
    };
    let begin = lines.at;
    let is_response = first.get(..4).is_some_and(|b| b.eq_ignore_ascii_case(b"SIP/"));
    let (start, method) = match std::str::from_utf8(first) {
        Ok(line) if is_response => (status_line(line), None),
        Err(_) if is_response => (status_line(&String::from_utf8_lossy(first)), None),
        Ok(line) => request_line(line),
        Err(_) => (Err(Fault::StartLine("start line is not UTF-8")), None),
    };
    let mut head = Head {
        start,
        method,
        is_response,
        headers: Headers::with_capacity(16),
        fault: None,
        body: 0..0,
    };
    while let Some(line) = lines.next() {
        if line.is_empty() {
            break;
        }
        if head.headers.len() == HEADER_LINES_MAX || lines.at - begin > HEAD_BYTES_MAX {
            head.fault = Some(Fault::TooLarge);
            break;
        }
        if lines.folds() {
            let mut whole = line.to_vec();
            while lines.folds() {
                whole.push(b' ');
                whole.extend_from_slice(lines.next().unwrap_or_default().trim_ascii());
            }
            header(&mut head, &whole);
        } else {
            header(&mut head, line);
        }
    }
    head.body = lines.at..bytes.len();
    Ok(head)
}

/// The body, or what is wrong with its length.
pub fn body<'a>(head: &Head, bytes: &'a [u8]) -> Result<&'a [u8], Fault> {
    let rest = bytes.get(head.body.clone()).unwrap_or_default();
    match content_length(&head.headers)? {
        None => Ok(rest),
        Some(length) => rest.get(..length).ok_or(Fault::Short),
    }
}

/// Content-Length; several lines are a fault unless they agree.
pub fn content_length(headers: &Headers) -> Result<Option<usize>, Fault> {
    let mut length = None;
    for line in headers.lines(name::CONTENT_LENGTH) {
        let Some(number) = scan::number::<usize>(line.value().trim()) else {
            return Err(Fault::ContentLength("Content-Length is not a number"));
        };
        if length.is_some_and(|known| known != number) {
            return Err(Fault::ContentLength("several Content-Length values"));
        }
        length = Some(number);
    }
    Ok(length)
}

/// How long the body behind this head is by its Content-Length, for a stream: reads only the lines that
/// say so. Without the header it is 0, unless a Content-Type speaks of a body ([`Fault::Short`]).
pub(crate) fn declared_length(head: &[u8]) -> Result<usize, Fault> {
    let mut headers = Headers::new();
    let mut lines = Lines { bytes: head, at: 0 };
    while let Some(line) = lines.next() {
        if !matches!(line.first(), Some(b'c' | b'C' | b'l' | b'L')) {
            continue;
        }
        let Some((name, value)) = split_header(line) else { continue };
        let name = name::canonical(name);
        if name == name::CONTENT_TYPE {
            headers.push_bytes(&name, b"");
        } else if name == name::CONTENT_LENGTH {
            if lines.folds() {
                let mut whole = value.to_vec();
                while lines.folds() {
                    whole.extend_from_slice(lines.next().unwrap_or_default());
                }
                headers.push_bytes(&name, whole.trim_ascii());
            } else {
                headers.push_bytes(&name, value);
            }
        }
    }
    match content_length(&headers)? {
        Some(length) => Ok(length),
        None if headers.has(name::CONTENT_TYPE) => Err(Fault::Short),
        None => Ok(0),
    }
}

fn split_header(line: &[u8]) -> Option<(&str, &[u8])> {
    let colon = line.iter().position(|&b| b == b':')?;
    let (name, rest) = line.split_at_checked(colon)?;
    let name = std::str::from_utf8(name.trim_ascii_end()).ok()?;
    scan::is_token(name).then_some((name, rest.get(1..)?.trim_ascii()))
}

fn header(head: &mut Head, line: &[u8]) {
    match split_header(line) {
        Some((name, value)) => head.headers.push_bytes(name, value),
        None => {
            head.fault.get_or_insert(Fault::HeaderLine);
        }
    }
}

fn request_line(line: &str) -> (Result<StartLine, Fault>, Option<Method>) {
    let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
    let Some(method) = Method::parse(first) else {
        return (Err(Fault::StartLine("method is not a token")), None);
    };
    let parsed = request_rest(rest).map(|uri| StartLine::Request(method.clone(), uri));
    (parsed, Some(method))
}

fn request_rest(rest: &str) -> Result<AnyUri, Fault> {
    let Some((uri, version)) = rest.rsplit_once(' ') else {
        return Err(Fault::StartLine("request line without URI or version"));
    };
    let Some((sip, number)) = version.split_once('/') else {
        return Err(Fault::StartLine("request line does not end in SIP/2.0"));
    };
    if !sip.eq_ignore_ascii_case("SIP") {
        return Err(Fault::StartLine("request line does not end in SIP/2.0"));
    }
    if number != "2.0" {
        return Err(Fault::Version);
    }
    if uri.contains([' ', '\t']) {
        return Err(Fault::StartLine("space in Request-URI"));
    }
    let uri = AnyUri::parse(uri).ok_or(Fault::StartLine("malformed Request-URI"))?;
    // RFC 3261 §19.1.1: a Request-URI has no headers.
    if uri.sip().is_some_and(|sip| sip.headers.is_some()) {
        return Err(Fault::StartLine("headers in Request-URI"));
    }
    Ok(uri)
}

fn status_line(line: &str) -> Result<StartLine, Fault> {
    let (version, rest) = line.split_once(' ').unwrap_or((line, ""));
    if !version.eq_ignore_ascii_case("SIP/2.0") {
        return Err(Fault::Version);
    }
    let (code, reason) = rest.split_once(' ').unwrap_or((rest, ""));
    let status = Some(code)
        .filter(|code| code.len() == 3)
        .and_then(scan::number)
        .and_then(StatusCode::from_number)
        .ok_or(Fault::Status)?;
    Ok(StartLine::Status(status, reason.to_owned()))
}

/// Lines by LF, a CR before it left out.
struct Lines<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Lines<'a> {
    /// Whether the next line begins with space and so goes on with the last (RFC 3261 §7.3.1).
    fn folds(&self) -> bool {
        matches!(self.bytes.get(self.at), Some(b' ' | b'\t'))
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.bytes.get(self.at..).filter(|rest| !rest.is_empty())?;
        let end = rest.iter().position(|&b| b == b'\n').unwrap_or(rest.len());
        let line = rest.get(..end)?;
        self.at += (end + 1).min(rest.len());
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lf_only_folded_compact_and_unlengthed_reads_like_the_long_form() {
        let odd =
            b"\r\n\nOPTIONS sip:h SIP/2.0\nl : 4\ni:\t x\n\t y \nVIA: SIP/2.0/UDP a\n\nbodyjunk";
        let Message::Request(request) = parse(odd).unwrap() else { panic!() };
        assert_eq!(request.headers.get("Call-ID"), Some("x y"));
        assert_eq!(request.body, b"body");
        assert_eq!(
            request.to_bytes(),
            b"OPTIONS sip:h SIP/2.0\r\nCall-ID: x y\r\nVia: SIP/2.0/UDP a\r\nContent-Length: 4\r\n\r\nbody"
        );
    }

    #[test]
    fn section_18_3_without_content_length_the_body_goes_to_the_end() {
        let Message::Request(request) = parse(b"INFO sip:h SIP/2.0\r\n\r\nto the end").unwrap()
        else {
            panic!()
        };
        assert_eq!(request.body, b"to the end");
    }

    #[test]
    fn bytes_that_are_no_utf_8_come_back_as_they_were() {
        let latin = b"SIP/2.0 200 \r\nSubject: f\xfcr\r\nContent-Length: 0\r\n\r\n";
        let message = parse(latin).unwrap();
        assert_eq!(message.headers().get("s"), None);
        assert_eq!(message.headers().get("Subject"), Some("f\u{fffd}r"));
        assert_eq!(message.to_bytes(), latin);
    }

    #[test]
    fn faults_name_what_was_wrong() {
        for (bytes, fault) in [
            (&b"\r\n"[..], Fault::Empty),
            (b"INVITE  sip:h  SIP/2.0\r\n\r\n", Fault::StartLine("space in Request-URI")),
            (b"INVITE <sip:h> SIP/2.0\r\n\r\n", Fault::StartLine("malformed Request-URI")),
            (b"INVITE sip:h SIP/3.0\r\n\r\n", Fault::Version),
            (b"INVITE\r\n\r\n", Fault::StartLine("request line without URI or version")),
            (b"SIP/2.0 4294967301 x\r\n\r\n", Fault::Status),
            (b"INVITE sip:h SIP/2.0\r\nnocolon\r\n\r\n", Fault::HeaderLine),
            (b"INVITE sip:h SIP/2.0\r\nl: 9\r\n\r\n1", Fault::Short),
        ] {
            assert_eq!(parse(bytes), Err(fault));
        }
    }

    #[test]
    fn a_thousand_header_lines_are_too_many() {
        let mut bytes = b"INVITE sip:h SIP/2.0\r\n".to_vec();
        bytes.extend(b"a: b\r\n".repeat(1000));
        assert_eq!(parse(&bytes), Err(Fault::TooLarge));
    }
}

//! Reads one framed message. RFC 6787 §5.1-5.5, §15.

use crate::fault::{Fault, FaultKind};
use crate::framing::Limits;
use crate::headers::{Header, Headers, is_token};
use crate::ids::{ChannelId, RequestId, is_digits};
use crate::message::{Event, EventName, Message, Method, Request, Response, State};
use crate::status::Status;

const CHANNEL: &str = "Channel-Identifier";
const CONTENT_LENGTH: &str = "Content-Length";

/// The first line's meaning.
enum Start {
    Request(Method, RequestId),
    Response(RequestId, Status, State),
    Event(EventName, RequestId, State),
}

/// What the header section held, or what was wrong with it first.
#[derive(Default)]
struct Section {
    fields: Vec<Header>,
    channels: Vec<Header>,
    lengths: Vec<Header>,
    fault: Option<(FaultKind, Option<Header>)>,
    ended: bool,
}

/// Reads a whole frame: exactly the bytes that its message-length counted.
pub(crate) fn read(frame: &[u8], limits: &Limits) -> Result<Message, Fault> {
    let (line, rest) = cut_line(frame).ok_or(Fault::bare(FaultKind::StartLine))?;
    let (version, start) = start_line(line);
    let mut lines = rest;
    let section = Section::read(&mut lines, limits);
    let request = match &start {
        Some(Start::Request(_, id)) => Some(*id),
        Some(Start::Response(..) | Start::Event(..)) | None => None,
    };
    let channel = section.channel();
    let fault = |kind, header: Option<Header>| Fault {
        kind,
        request,
        channel: channel.clone().ok(),
        headers: header.into_iter().collect(),
    };

    if version != Some(2) {
        return Err(fault(FaultKind::Version, None));
    }
    let Some(start) = start else { return Err(fault(FaultKind::StartLine, None)) };
    if let Some((kind, header)) = section.fault.clone() {
        return Err(fault(kind, header));
    }
    if !section.ended {
        return Err(fault(FaultKind::NoEndOfHeaders, None));
    }
    if let Err(kind) = section.body_length(lines.len()) {
        return Err(fault(kind, None));
    }
    if lines.len() > limits.body_bytes {
        return Err(fault(FaultKind::BodyTooLong, None));
    }
    let channel = match channel {
        Ok(channel) => channel,
        Err(kind) => return Err(fault(kind, section.channels.first().cloned())),
    };
    Ok(message(start, channel, section.fields.into_iter().collect(), lines.to_vec()))
}

/// Reads what can be read of a message whose rest will be skipped because it is too long.
pub(crate) fn read_beginning(beginning: &[u8], kind: FaultKind, limits: &Limits) -> Fault {
    let Some((line, mut lines)) = cut_line(beginning) else { return Fault::bare(kind) };
    let request = match start_line(line).1 {
        Some(Start::Request(_, id)) => Some(id),
        Some(Start::Response(..) | Start::Event(..)) | None => None,
    };
    let channel = Section::read(&mut lines, limits).channel().ok();
    Fault { kind, request, channel, headers: Headers::new() }
}

fn message(start: Start, channel: ChannelId, headers: Headers, body: Vec<u8>) -> Message {
    match start {
        Start::Request(method, id) => {
            Message::Request(Request { method, id, channel, headers, body })
        }
        Start::Response(id, status, state) => {
            Message::Response(Response { id, status, state, channel, headers, body })
        }
        Start::Event(name, id, state) => {
            Message::Event(Event { name, id, state, channel, headers, body })
        }
    }
}

/// The version's major number, and the rest of the line if it can be understood.
fn start_line(line: &[u8]) -> (Option<u8>, Option<Start>) {
    let Ok(line) = std::str::from_utf8(line) else { return (None, None) };
    let mut words = line.split_ascii_whitespace();
    let major = words.next().and_then(|version| version.get(5..)).and_then(|numbers| {
        let (major, _) = numbers.split_once('.')?;
        major.parse().ok()
    });
    let _length = words.next();
    let words: Vec<&str> = words.take(5).collect();
    let id = |text| RequestId::parse(text).ok();
    let start = match *words.as_slice() {
        [number, status, state] if is_digits(number, 10) => id(number)
            .zip(Status::parse(status))
            .zip(State::parse(state))
            .map(|((id, status), state)| Start::Response(id, status, state)),
        [name, number] if is_name(name) => {
            id(number).map(|id| Start::Request(Method::parse(name), id))
        }
        // The RFC's own sample in §5.1 has a status in the event line; the grammar has none.
        [name, number, state] | [name, number, _, state] if is_name(name) => id(number)
            .zip(State::parse(state))
            .map(|(id, state)| Start::Event(EventName::parse(name), id, state)),
        _ => None,
    };
    (major, start)
}

fn is_name(text: &str) -> bool {
    is_token(text) && text.starts_with(|c: char| c.is_ascii_alphabetic())
}

impl Section {
    /// Reads up to and with the empty line, leaving the body in `lines`. Goes on after a fault,
    /// because the channel may stand further down.
    fn read(lines: &mut &[u8], limits: &Limits) -> Self {
        let mut section = Self::default();
        let (whole, mut count) = (lines.len(), 0);
        while let Some((line, rest)) = cut_line(lines) {
            *lines = rest;
            if line.is_empty() {
                section.ended = true;
                break;
            }
            count += 1;
            if count > limits.header_lines || whole - rest.len() > limits.header_bytes {
                section.fail(FaultKind::TooManyHeaders, None);
                break;
            }
            section.line(line);
        }
        section.sort();
        section
    }

    fn fail(&mut self, kind: FaultKind, header: Option<Header>) {
        self.fault.get_or_insert((kind, header));
    }

    fn line(&mut self, line: &[u8]) {
        let Ok(text) = std::str::from_utf8(line) else {
            return self.fail(FaultKind::HeaderLine, None);
        };
        if text.starts_with([' ', '\t']) {
            return self.folded(text.trim());
        }
        let Some((name, value)) = text.split_once(':') else {
            return self.fail(FaultKind::HeaderLine, None);
        };
        let (name, value) = (name.trim_end(), value.trim());
        if !is_token(name) || value.contains(|c: char| c.is_control() && c != '\t') {
            return self.fail(FaultKind::HeaderLine, None);
        }
        self.fields.push(Header { name: name.to_owned(), value: value.to_owned() });
    }

    /// A continuation: the line break becomes one blank. RFC 6787 §6.2.
    fn folded(&mut self, text: &str) {
        if text.contains(|c: char| c.is_control() && c != '\t') {
            return self.fail(FaultKind::HeaderLine, None);
        }
        let Some(last) = self.fields.last_mut() else {
            return self.fail(FaultKind::HeaderLine, None);
        };
        if !last.value.is_empty() && !text.is_empty() {
            last.value.push(' ');
        }
        last.value.push_str(text);
    }

    /// The two fields that the message keeps itself are moved out of the list.
    fn sort(&mut self) {
        let named =
            |name: &'static str| move |header: &mut Header| header.name.eq_ignore_ascii_case(name);
        self.channels = self.fields.extract_if(.., named(CHANNEL)).collect();
        self.lengths = self.fields.extract_if(.., named(CONTENT_LENGTH)).collect();
    }

    fn channel(&self) -> Result<ChannelId, FaultKind> {
        match self.channels.as_slice() {
            [] => Err(FaultKind::ChannelMissing),
            [one] => ChannelId::parse(&one.value).map_err(|_| FaultKind::ChannelIllegal),
            [..] => Err(FaultKind::ChannelIllegal),
        }
    }

    /// `Content-Length` must say what the frame holds; without it the body is taken as empty, so
    /// there may be none. RFC 6787 §6.2.11.
    fn body_length(&self, held: usize) -> Result<(), FaultKind> {
        match self.lengths.as_slice() {
            [] if held == 0 => Ok(()),
            [] => Err(FaultKind::ContentLengthMissing),
            [one] if is_digits(&one.value, 19) && one.value.parse() == Ok(held) => Ok(()),
            // Not sent back in the answer, as it would be read as the answer's own.
            [..] => Err(FaultKind::ContentLengthIllegal),
        }
    }
}

/// The bytes up to the first line end, without it, and what follows. A bare LF ends a line too.
fn cut_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|&byte| byte == b'\n')?;
    let (line, rest) = (bytes.get(..end)?, bytes.get(end + 1..)?);
    Some((line.strip_suffix(b"\r").unwrap_or(line), rest))
}

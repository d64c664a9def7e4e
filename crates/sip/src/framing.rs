//! Messages out of a byte stream (RFC 3261 §18.3), within bounds, and going on after a fault wherever
//! it is known where the next message begins.

use crate::parse::{self, Fault as ParseFault, HEAD_BYTES_MAX};
use crate::status::StatusCode;

/// The longest body that is read past when it is too large to take; beyond it the stream is closed.
pub const SKIP_BYTES_MAX: usize = 16 * 1024 * 1024;

/// One thing that the stream brought.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Frame {
    /// A whole message: head and as much body as Content-Length says.
    Message(Vec<u8>),
    /// Two line ends: answer with one (RFC 5626 §3.5.1).
    KeepAlive,
    /// A message that cannot be taken.
    Fault(Fault),
}

/// Why a message cannot be taken; [`crate::admission::refuse`] makes the answer from the head.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fault {
    /// What there is of the head.
    pub head: Vec<u8>,
    /// The status of the answer.
    pub status: StatusCode,
    /// What was wrong.
    pub why: &'static str,
    /// What becomes of the stream.
    pub then: Then,
}

/// Whether the stream lives on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Then {
    /// The next message's begin is known.
    Continue,
    /// It is not: answer, then close. The framer gives nothing more.
    Close,
}

/// Cuts a stream into messages. Push what was read, then take frames until there are none.
#[derive(Debug)]
pub struct Framer {
    buffer: Vec<u8>,
    /// Bytes of the buffer already given away.
    taken: usize,
    /// Bytes behind `taken` in which no end of a head was found.
    scanned: usize,
    /// The length of the message that has begun, once its head is there.
    whole: Option<usize>,
    /// Bytes of a refused body still to be thrown away.
    skip: usize,
    body_bytes_max: usize,
    closed: bool,
}

impl Framer {
    /// A framer that refuses bodies of more than `body_bytes_max` bytes with 413.
    pub const fn new(body_bytes_max: usize) -> Self {
        Self {
            buffer: Vec::new(),
            taken: 0,
            scanned: 0,
            whole: None,
            skip: 0,
            body_bytes_max,
            closed: false,
        }
    }

    /// Adds what was read. What lies in a body that is being thrown away is not kept, and after a
    /// fatal fault nothing is; so with every frame taken after each push, the buffer holds at most
    /// one message and one read.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.closed {
            return;
        }
        let skipped = self.skip.min(bytes.len());
        self.skip -= skipped;
        if self.taken > 0 {
            self.buffer.drain(..self.taken);
            self.taken = 0;
        }
        self.buffer.extend_from_slice(bytes.get(skipped..).unwrap_or_default());
    }

    /// Whether a message has begun and not ended: a stream that closes now lost something.
    pub fn is_within_message(&self) -> bool {
        !self.closed && (self.skip > 0 || !self.rest().is_empty())
    }

    fn rest(&self) -> &[u8] {
        self.buffer.get(self.taken..).unwrap_or_default()
    }

    fn take(&mut self, length: usize) -> Vec<u8> {
        let taken = self.rest().get(..length).unwrap_or_default().to_vec();
        self.taken += taken.len();
        self.scanned = 0;
        self.whole = None;
        if self.taken == self.buffer.len() {
            self.taken = 0;
            // One large message should not be paid for as long as the connection lives.
            if self.buffer.capacity() > IDLE_BYTES_MAX {
                self.buffer = Vec::new();
            } else {
                self.buffer.clear();
            }
        }
        taken
    }

    /// Steps over line ends before a message. `None` where it takes more bytes to tell.
    fn line_ends(&mut self) -> Option<Option<Frame>> {
        loop {
            let (length, frame) = match self.rest() {
                [b'\r', b'\n', b'\r', b'\n', ..] => (4, Some(Frame::KeepAlive)),
                [b'\r'] | [b'\r', b'\n'] | [b'\r', b'\n', b'\r'] => return None,
                [b'\r', b'\n', ..] => (2, None),
                [b'\n' | b'\r', ..] => (1, None),
                _ => return Some(None),
            };
            self.take(length);
            if frame.is_some() {
                return Some(frame);
            }
        }
    }

    fn fatal(&mut self, status: StatusCode, why: &'static str, head: Vec<u8>) -> Frame {
        self.closed = true;
        self.buffer = Vec::new();
        self.taken = 0;
        Frame::Fault(Fault { head, status, why, then: Then::Close })
    }

    fn whole_message(&mut self, length: usize) -> Option<Frame> {
        (self.rest().len() >= length).then(|| Frame::Message(self.take(length)))
    }

    /// Takes the message whose head is `head` bytes long, once its body is there.
    fn message(&mut self, head: usize) -> Option<Frame> {
        const BAD: StatusCode = StatusCode::BAD_REQUEST;
        let bytes = self.rest().get(..head).unwrap_or_default();
        let length = match parse::declared_length(bytes) {
            Ok(length) => length,
            Err(ParseFault::ContentLength(why)) => {
                let head = bytes.to_vec();
                return Some(self.fatal(BAD, why, head));
            }
            Err(_) => {
                let head = bytes.to_vec();
                return Some(self.fatal(BAD, "Content-Length missing on a stream", head));
            }
        };
        if length <= self.body_bytes_max {
            self.whole = Some(head + length);
            return self.whole_message(head + length);
        }
        let (status, why) = (StatusCode::REQUEST_ENTITY_TOO_LARGE, "body too large");
        if length > SKIP_BYTES_MAX {
            let head = bytes.to_vec();
            return Some(self.fatal(status, why, head));
        }
        let head = self.take(head);
        let here = length.min(self.rest().len());
        self.take(here);
        self.skip = length - here;
        Some(Frame::Fault(Fault { head, status, why, then: Then::Continue }))
    }
}

impl Iterator for Framer {
    type Item = Frame;

    /// The next frame; `None` until more is pushed.
    fn next(&mut self) -> Option<Frame> {
        if self.closed || self.rest().is_empty() {
            return None;
        }
        if let Some(length) = self.whole {
            return self.whole_message(length);
        }
        // A head that has begun keeps its begin: only before one are line ends stepped over.
        if self.scanned == 0
            && let Some(frame) = self.line_ends()?
        {
            return Some(frame);
        }
        match head_end(self.rest(), self.scanned) {
            Some(head) if head <= HEAD_BYTES_MAX => self.message(head),
            None if self.rest().len() <= HEAD_BYTES_MAX => {
                self.scanned = self.rest().len().saturating_sub(OVERLAP);
                None
            }
            _ => {
                let head = self.rest().get(..HEAD_BYTES_MAX).unwrap_or_default().to_vec();
                Some(self.fatal(StatusCode::MESSAGE_TOO_LARGE, "header too large", head))
            }
        }
    }
}

/// The memory that an idle stream may keep.
const IDLE_BYTES_MAX: usize = 16 * 1024;

/// An end of a head may lie across two reads by this many bytes.
const OVERLAP: usize = 3;

/// Where the head ends: behind the first empty line, whatever its line ends.
fn head_end(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        let newline = at + bytes.get(at..)?.iter().position(|&b| b == b'\n')?;
        at = newline + 1;
        match bytes.get(at..)? {
            [b'\n', ..] => return Some(at + 1),
            [b'\r', b'\n', ..] => return Some(at + 2),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: &str = "OPTIONS sip:h SIP/2.0\r\nl: 4\r\n\r\nbody";

    /// Pushes `stream` in pieces of `step` bytes and tells the frames in words.
    fn check(stream: &str, step: usize, expected: &str) {
        let mut framer = Framer::new(1000);
        let mut told = Vec::new();
        for piece in stream.as_bytes().chunks(step) {
            framer.push(piece);
            for frame in framer.by_ref() {
                told.push(match frame {
                    Frame::Message(bytes) => format!("message {}", bytes.len()),
                    Frame::KeepAlive => "keep-alive".to_owned(),
                    Frame::Fault(fault) => format!("{} {:?}", fault.status, fault.then),
                });
            }
        }
        assert_eq!(told.join(", "), expected, "in steps of {step}");
    }

    #[test]
    fn section_18_3_messages_come_out_whole_however_they_are_cut() {
        let none = "OPTIONS sip:h SIP/2.0\nMax-Forwards: 7\n\n";
        let stream = format!("\r\n{OPTIONS}{none}\r\n\r\n{OPTIONS}{OPTIONS}\n{OPTIONS}");
        for step in 1..=stream.len() {
            let expected = "message 35, message 39, keep-alive, message 35, message 35, message 35";
            check(&stream, step, expected);
        }
    }

    #[test]
    fn a_body_too_large_is_refused_and_the_stream_lives_on() {
        let stream =
            format!("INVITE sip:h SIP/2.0\r\nl: 2000\r\n\r\n{}{OPTIONS}", "x".repeat(2000));
        for step in [1, 7, 100, 5000] {
            check(&stream, step, "413 Continue, message 35");
        }
    }

    #[test]
    fn where_the_frame_is_lost_the_stream_ends() {
        for head in ["l: -999", "l: x", "l: 1\r\nl: 2", "l: 99999999999", "c: application/sdp"] {
            let expected = if head.contains("9999999") { "413 Close" } else { "400 Close" };
            let stream = format!("INVITE sip:h SIP/2.0\r\n{head}\r\n\r\n{OPTIONS}");
            for step in [1, 5000] {
                check(&stream, step, expected);
            }
        }
        check(&"x".repeat(HEAD_BYTES_MAX + 2), 1000, "513 Close");
    }

    #[test]
    fn a_folded_content_length_still_frames() {
        check("OPTIONS sip:h SIP/2.0\r\nContent-Length :\r\n  4\r\n\r\nbody", 3, "message 52");
    }

    #[test]
    fn what_is_thrown_away_is_not_kept() {
        let mut framer = Framer::new(10);
        framer.push(b"INVITE sip:h SIP/2.0\r\nl: 1000000\r\n\r\n");
        assert!(framer.next().is_some());
        for _ in 0..99 {
            framer.push(&[b'x'; 10_000]);
            assert!(framer.next().is_none() && framer.is_within_message());
            assert!(framer.buffer.is_empty());
        }
    }
}

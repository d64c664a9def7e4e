use std::fmt;

use crate::fault::{Fault, FaultKind};
use crate::ids::is_digits;
use crate::message::Message;
use crate::parse;

/// A message longer than the limits is skipped and answered 504 up to this length; past it the
/// connection is closed.
pub const SKIP_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// What an idle connection keeps for its next bytes; more is given back after a long message.
const KEEP_BYTES: usize = 4 * 1024;

/// The longest `MRCP/dd.dd length ` there can be, and a little more.
const PREFIX_BYTES_MAX: usize = 32;

/// What one message may have at most.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Bytes of the body.
    pub body_bytes: usize,
    /// Bytes of the first line and the header fields together.
    pub header_bytes: usize,
    /// Header lines, continuation lines counted.
    pub header_lines: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { body_bytes: 64 * 1024, header_bytes: 32 * 1024, header_lines: 200 }
    }
}

/// One step along a connection's bytes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Framed {
    /// A whole message.
    Message(Message),
    /// Bytes that were none. If it is not recoverable nothing more will come: answer and close.
    Fault(Fault),
}

/// Cuts a connection's bytes into messages, however they arrive. RFC 6787 §5.1.
///
/// Push what was read, then take from the iterator until it is empty. It holds at most one message
/// within the limits besides what was pushed last. [`Self::is_amid_message`] says whether bytes
/// wait for more, so that a peer that stops half-way can be timed out.
pub struct Framer {
    limits: Limits,
    buffer: Vec<u8>,
    taken: usize,
    skip: usize,
    closed: bool,
}

/// The first two words of a message.
enum Prefix {
    Incomplete,
    Bad(FaultKind),
    Length(u64),
}

impl Framer {
    /// A framer at the start of a connection.
    pub const fn new(limits: Limits) -> Self {
        Self { limits, buffer: Vec::new(), taken: 0, skip: 0, closed: false }
    }

    /// Adds bytes as they were read. Ignored after a fatal fault.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.closed {
            return;
        }
        let skipped = self.skip.min(bytes.len());
        self.skip -= skipped;
        self.buffer.drain(..self.taken);
        self.taken = 0;
        self.buffer.extend_from_slice(bytes.get(skipped..).unwrap_or_default());
    }

    /// Whether a message has begun and not ended.
    pub const fn is_amid_message(&self) -> bool {
        self.skip > 0 || self.taken < self.buffer.len()
    }

    fn waiting(&self) -> &[u8] {
        self.buffer.get(self.taken..).unwrap_or_default()
    }

    fn fatal(&mut self, fault: Fault) -> Framed {
        self.closed = true;
        self.buffer = Vec::new();
        self.taken = 0;
        Framed::Fault(fault)
    }

    /// A message that is too long: read its beginning for the answer, then let the rest go by.
    fn skip_message(&mut self, length: u64) -> Option<Framed> {
        let Some(length) = usize::try_from(length).ok().filter(|_| length <= SKIP_BYTES_MAX) else {
            return Some(self.fatal(Fault::bare(FaultKind::FarTooLong)));
        };
        // It is longer than header_bytes, so that many will come.
        let beginning = self.waiting().get(..self.limits.header_bytes)?;
        let fault = parse::read_beginning(beginning, FaultKind::BodyTooLong, &self.limits);
        let gone = self.waiting().len().min(length);
        self.taken += gone;
        self.skip = length - gone;
        Some(Framed::Fault(fault))
    }
}

impl Iterator for Framer {
    type Item = Framed;

    fn next(&mut self) -> Option<Framed> {
        if self.closed {
            return None;
        }
        // Blank lines between messages are harmless, and some clients send them after a body.
        let blank = self.waiting().iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        self.taken += blank;
        if self.taken == self.buffer.len() {
            self.buffer.clear();
            self.buffer.shrink_to(KEEP_BYTES);
            self.taken = 0;
            return None;
        }
        let length = match prefix(self.waiting()) {
            Prefix::Incomplete => return None,
            Prefix::Bad(kind) => return Some(self.fatal(Fault::bare(kind))),
            Prefix::Length(length) => length,
        };
        let most = self.limits.body_bytes.saturating_add(self.limits.header_bytes);
        let Some(wanted) = usize::try_from(length).ok().filter(|&wanted| wanted <= most) else {
            return self.skip_message(length);
        };
        let frame = self.waiting().get(..wanted)?;
        if !frame.contains(&b'\n') {
            return Some(self.fatal(Fault::bare(FaultKind::BadLength)));
        }
        let read = parse::read(frame, &self.limits);
        self.taken += wanted;
        Some(read.map_or_else(Framed::Fault, Framed::Message))
    }
}

/// Judges each byte as soon as it is there, so that the verdict is the same however they arrive.
fn prefix(bytes: &[u8]) -> Prefix {
    const MRCP: &[u8] = b"MRCP/";
    let begins = bytes.iter().zip(MRCP).all(|(byte, wanted)| byte.eq_ignore_ascii_case(wanted));
    if !begins {
        return Prefix::Bad(FaultKind::NotMrcp);
    }
    let head = bytes.get(..PREFIX_BYTES_MAX.min(bytes.len())).unwrap_or_default();
    let mut words = head.splitn(3, |&byte| byte == b' ');
    let version = words.next().and_then(|word| word.get(MRCP.len()..)).unwrap_or_default();
    let Some(length) = words.next() else {
        let sound = version.len() <= "22.22".len()
            && version.iter().all(|&byte| byte.is_ascii_digit() || byte == b'.');
        return if sound { Prefix::Incomplete } else { Prefix::Bad(FaultKind::NotMrcp) };
    };
    let numbers = std::str::from_utf8(version).ok().and_then(|text| text.split_once('.'));
    if !numbers.is_some_and(|(major, minor)| is_digits(major, 2) && is_digits(minor, 2)) {
        return Prefix::Bad(FaultKind::NotMrcp);
    }
    let text = std::str::from_utf8(length).unwrap_or("not a number");
    if words.next().is_none() && (length.is_empty() || is_digits(text, 19)) {
        return Prefix::Incomplete;
    }
    // 19 digits fit 64 bits. RFC 6787 §5.1: base 10, whatever zeros stand in front.
    match text.parse() {
        Ok(bytes) if is_digits(text, 19) => Prefix::Length(bytes),
        Ok(_) | Err(_) => Prefix::Bad(FaultKind::BadLength),
    }
}

impl fmt::Debug for Framer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { limits, buffer, taken, skip, closed } = self;
        let waiting = buffer.len() - taken;
        write!(f, "Framer {limits:?} waiting {waiting} to skip {skip} closed {closed}")
    }
}

#[cfg(test)]
mod tests;

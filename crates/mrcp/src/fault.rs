use std::fmt;

use crate::headers::Headers;
use crate::ids::{ChannelId, RequestId};
use crate::message;
use crate::status::Status;

/// What is wrong with bytes that should have been a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FaultKind {
    /// The bytes do not begin as a message does, so where it would end cannot be known. Fatal.
    NotMrcp,
    /// The length is no number, or less than the first line. Fatal.
    BadLength,
    /// Longer than is worth skipping ([`crate::SKIP_BYTES_MAX`]). Fatal.
    FarTooLong,
    /// The version's first number is not 2.
    Version,
    /// The first line has the wrong number of words, or a word that cannot stand there.
    StartLine,
    /// The frame ends before the empty line that ends the header fields.
    NoEndOfHeaders,
    /// A header line without a colon, with an impossible name, or not UTF-8.
    HeaderLine,
    /// More header lines or bytes than the limits allow.
    TooManyHeaders,
    /// More body bytes than the limits allow.
    BodyTooLong,
    /// No `Channel-Identifier`.
    ChannelMissing,
    /// `Channel-Identifier` given twice or malformed.
    ChannelIllegal,
    /// There is a body and no `Content-Length`.
    ContentLengthMissing,
    /// `Content-Length` is no number, is given twice, or is not what the frame holds.
    ContentLengthIllegal,
}

impl FaultKind {
    /// The status that tells the client what is wrong. RFC 6787 §5.4.
    pub const fn status(self) -> Status {
        match self {
            Self::Version => Status::VERSION,
            Self::FarTooLong | Self::TooManyHeaders | Self::BodyTooLong => Status::TOO_LARGE,
            Self::ChannelMissing | Self::ContentLengthMissing => Status::HEADER_MISSING,
            Self::NotMrcp
            | Self::BadLength
            | Self::StartLine
            | Self::NoEndOfHeaders
            | Self::HeaderLine
            | Self::ChannelIllegal
            | Self::ContentLengthIllegal => Status::ILLEGAL_VALUE,
        }
    }

    /// Whether the connection must be closed, because the next message cannot be found.
    pub const fn is_fatal(self) -> bool {
        matches!(self, Self::NotMrcp | Self::BadLength | Self::FarTooLong)
    }

    /// The fault in words, for a log line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotMrcp => "does not begin with MRCP/ and a version",
            Self::BadLength => "message-length is no number or less than the first line",
            Self::FarTooLong => "message-length is beyond all limits",
            Self::Version => "protocol version is not 2",
            Self::StartLine => "first line is neither request, response nor event",
            Self::NoEndOfHeaders => "message ends within its header fields",
            Self::HeaderLine => "header line is malformed",
            Self::TooManyHeaders => "too many header lines or bytes",
            Self::BodyTooLong => "body is too long",
            Self::ChannelMissing => "Channel-Identifier is missing",
            Self::ChannelIllegal => "Channel-Identifier is malformed",
            Self::ContentLengthMissing => "Content-Length is missing",
            Self::ContentLengthIllegal => "Content-Length does not fit the message",
        }
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Bytes that were no message, and what could still be read of them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fault {
    /// What is wrong.
    pub kind: FaultKind,
    /// The id of the request that it was; none for a response, an event or an unreadable line.
    pub request: Option<RequestId>,
    /// The channel, if it could be read.
    pub channel: Option<ChannelId>,
    /// The header fields at fault, to be sent back as they came.
    pub headers: Headers,
}

impl Fault {
    pub(crate) const fn bare(kind: FaultKind) -> Self {
        Self { kind, request: None, channel: None, headers: Headers::new() }
    }

    /// Whether the connection can go on with the next message. If not: answer, then close.
    pub const fn is_recoverable(&self) -> bool {
        !self.kind.is_fatal()
    }

    /// The answer for the client as bytes; none if it was no request or its id is unknown, for
    /// a response cannot be sent without one.
    pub fn answer(&self) -> Option<Vec<u8>> {
        self.request.map(|id| {
            message::bare_answer(id, self.kind.status(), self.channel.as_ref(), &self.headers)
        })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

impl std::error::Error for Fault {}

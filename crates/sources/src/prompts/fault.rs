use std::fmt;
use std::time::Duration;

use crate::decode::DecodeError;
use crate::fetch::FetchError;
use crate::file_uri::FileUriError;
use crate::guard::Barred;

/// A prompt that cannot be played, or not to its end.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PromptError {
    /// The URI as it was asked for: for Failed-URI. RFC 6787 §8.4.10.
    pub uri: String,
    /// Why.
    pub why: PromptFault,
}

/// Why a prompt cannot be played.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PromptFault {
    /// The URI is not well formed.
    Malformed(String),
    /// Nothing is known of this scheme.
    Scheme(String),
    /// The `file:` URI names no file here.
    File(FileUriError),
    /// The file is not below a root, or a link leads out of it.
    OutsideRoots,
    /// There is no such file.
    NotFound,
    /// It is a folder, a device or another thing that is no file.
    NotAFile,
    /// The system refuses or fails to read it.
    Unreadable(String),
    /// The host is inside, and not in the list of allowed ones.
    Barred(Barred),
    /// No connection, or it broke.
    Unreachable(String),
    /// Too many redirects, or one to nowhere.
    Redirects,
    /// The server answered with this HTTP status.
    Status(u16),
    /// No audio came within this time.
    Timeout(Duration),
    /// The download is larger than this many bytes.
    TooLarge(u64),
    /// The server sends this content type, which is no audio.
    WrongType(String),
    /// The bytes are no audio that can be decoded.
    NotAudio(String),
    /// The format needs ffmpeg, and it cannot be run.
    NoFfmpeg(String),
    /// Whoever brings the bytes says what is wrong.
    Elsewhere {
        /// A short word for Failed-URI-Cause. RFC 6787 §8.4.11.
        cause: &'static str,
        /// What is wrong.
        why: String,
    },
    /// The decoder ended without a word: our fault.
    Died,
}

impl PromptFault {
    /// A word for Failed-URI-Cause (RFC 6787 §8.4.11): the HTTP status, or a short word of ours.
    pub fn cause(&self) -> String {
        match self {
            Self::Status(status) => return status.to_string(),
            Self::Malformed(_) | Self::File(_) => "malformed",
            Self::Scheme(_) => "unknown-scheme",
            Self::OutsideRoots | Self::Barred(_) => "not-allowed",
            Self::NotFound => "not-found",
            Self::NotAFile | Self::Unreadable(_) => "unreadable",
            Self::Unreachable(_) => "unreachable",
            Self::Redirects => "redirects",
            Self::Timeout(_) => "timeout",
            Self::TooLarge(_) => "too-large",
            Self::WrongType(_) | Self::NotAudio(_) | Self::NoFfmpeg(_) => "not-audio",
            Self::Elsewhere { cause, .. } => cause,
            Self::Died => "internal",
        }
        .to_owned()
    }
}

impl fmt::Display for PromptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.uri, self.why)
    }
}

impl std::error::Error for PromptError {}

impl fmt::Display for PromptFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(why) => f.write_str(why),
            Self::Scheme(scheme) => write!(f, "nothing plays the scheme {scheme:?}"),
            Self::File(why) => why.fmt(f),
            Self::OutsideRoots => f.write_str("not below a folder from which files may be played"),
            Self::NotFound => f.write_str("there is no such file"),
            Self::NotAFile => f.write_str("not a file"),
            Self::Unreadable(why) => write!(f, "cannot be read: {why}"),
            Self::Barred(barred) => barred.fmt(f),
            Self::Unreachable(why) => write!(f, "cannot be reached: {why}"),
            Self::Redirects => f.write_str("the server redirects without end or to nowhere"),
            Self::Status(status) => write!(f, "the server answers {status}"),
            Self::Timeout(span) => write!(f, "no audio within {:.1} s", span.as_secs_f32()),
            Self::TooLarge(bytes) => write!(f, "larger than {bytes} bytes"),
            Self::WrongType(kind) => write!(f, "the server sends {kind}, which is no audio"),
            Self::NotAudio(why) => write!(f, "cannot be decoded: {why}"),
            Self::NoFfmpeg(why) => write!(f, "needs ffmpeg, which fails: {why}"),
            Self::Elsewhere { why, .. } => f.write_str(why),
            Self::Died => f.write_str("the decoder died"),
        }
    }
}

impl From<FetchError> for PromptFault {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::Redirects => Self::Redirects,
            FetchError::Barred(barred) => Self::Barred(barred),
            FetchError::Unreachable(why) | FetchError::NotHttp(why) => Self::Unreachable(why),
            FetchError::Timeout => Self::Unreachable("no answer in time".to_owned()),
        }
    }
}

impl From<DecodeError> for PromptFault {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::NotAudio(why) => Self::NotAudio(why),
            DecodeError::NoFfmpeg(why) => Self::NoFfmpeg(why),
            DecodeError::Unreadable(why) => Self::Unreadable(why),
        }
    }
}

use std::fmt;
use std::time::Duration;

use mailbox::MailError;

/// Why a message cannot be heard, or not to its end.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Fault {
    /// The URI is none.
    Malformed(String),
    /// It names something that may not be asked for; what would be allowed.
    NotAllowed(&'static str),
    /// There is no such mailbox, message or part; which.
    NotFound(String),
    /// The message was there once: its UIDs are not valid any more.
    Renumbered {
        /// What the URI has.
        told: u32,
        /// What the server has.
        found: u32,
    },
    /// The message has no audio, and no text.
    NoAudio,
    /// The message is damaged; why.
    Damaged(String),
    /// The store cannot be reached; why.
    Store(String),
    /// No connection to the server; why.
    Unreachable(String),
    /// TLS with the server cannot be had; why.
    Tls(String),
    /// The server did not answer within this time.
    Timeout(Duration),
    /// It closed the connection before it was done.
    Closed,
    /// It refuses the log-in; what it says.
    LoginRefused(String),
    /// The password cannot be read here; why.
    Password(String),
    /// It refuses what was asked; what it says.
    Refused(String),
    /// It said a size and sent another.
    Size {
        /// What it said.
        told: u64,
        /// What came.
        came: u64,
    },
    /// It sent what is no IMAP; what was expected.
    Nonsense(&'static str),
    /// The audio has more than so many bytes.
    TooLarge(u64),
    /// The server failed a moment ago, and is left alone for so long; why it failed.
    BackedOff(Duration, String),
    /// The URL is not authorized, or not any more, or not for us. RFC 4467 §7.
    UrlRefused,
    /// Our fault.
    Died,
}

impl Fault {
    /// A short word for Failed-URI-Cause. RFC 6787 §8.4.11.
    #[must_use]
    pub const fn cause(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::NotAllowed(_) => "not-allowed",
            Self::NotFound(_) => "not-found",
            Self::Renumbered { .. } => "uidvalidity-changed",
            Self::NoAudio => "no-audio",
            Self::Damaged(_) => "damaged",
            Self::Store(_) => "store-unreachable",
            Self::Unreachable(_) => "unreachable",
            Self::Tls(_) => "tls",
            Self::Timeout(_) => "timeout",
            Self::Closed => "closed",
            Self::LoginRefused(_) | Self::Password(_) => "login-refused",
            Self::Refused(_) => "refused",
            Self::Size { .. } => "wrong-size",
            Self::Nonsense(_) => "not-imap",
            Self::TooLarge(_) => "too-large",
            Self::BackedOff(..) => "backed-off",
            Self::UrlRefused => "url-refused",
            Self::Died => "internal",
        }
    }

    /// Whether the connection may go on after it: the server did as it should.
    pub(super) const fn is_orderly(&self) -> bool {
        match self {
            Self::Malformed(_)
            | Self::NotAllowed(_)
            | Self::NotFound(_)
            | Self::Renumbered { .. }
            | Self::NoAudio
            | Self::Damaged(_)
            | Self::Refused(_)
            | Self::UrlRefused
            | Self::TooLarge(_)
            | Self::Size { .. } => true,
            Self::Store(_)
            | Self::Unreachable(_)
            | Self::Tls(_)
            | Self::Timeout(_)
            | Self::Closed
            | Self::LoginRefused(_)
            | Self::Password(_)
            | Self::Nonsense(_)
            | Self::BackedOff(..)
            | Self::Died => false,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(why) => f.write_str(why),
            Self::NotAllowed(allowed) => write!(f, "not allowed; allowed is: {allowed}"),
            Self::NotFound(what) => f.write_str(what),
            Self::Renumbered { told, found } => {
                write!(f, "the mailbox was made anew: UIDVALIDITY is {found}, not {told}")
            }
            Self::NoAudio => f.write_str("the message has no audio and no text"),
            Self::Damaged(why) => write!(f, "the message is damaged: {why}"),
            Self::Store(why) => write!(f, "the message store cannot be reached: {why}"),
            Self::Unreachable(why) => write!(f, "the mail server cannot be reached: {why}"),
            Self::Tls(why) => write!(f, "no TLS with the mail server: {why}"),
            Self::Timeout(span) => {
                write!(f, "the mail server did not answer within {:.1} s", span.as_secs_f32())
            }
            Self::Closed => f.write_str("the mail server closed the connection"),
            Self::LoginRefused(said) => write!(f, "the mail server refuses the log-in: {said}"),
            Self::Password(why) => {
                write!(f, "the password of the mail server cannot be read: {why}")
            }
            Self::Refused(said) => write!(f, "the mail server refuses: {said}"),
            Self::Size { told, came } => {
                write!(f, "the mail server said {told} bytes and sent {came}")
            }
            Self::Nonsense(expected) => {
                write!(f, "the mail server sent something else than {expected}")
            }
            Self::TooLarge(bytes) => write!(f, "larger than {bytes} bytes"),
            Self::BackedOff(left, why) => {
                let left = left.as_secs_f32();
                write!(f, "the mail server is left alone for {left:.1} s more after: {why}")
            }
            Self::UrlRefused => f.write_str("the URL is not authorized, or not any more"),
            Self::Died => f.write_str("the work on it died"),
        }
    }
}

impl std::error::Error for Fault {}

impl From<MailError> for Fault {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the others are the store's own affairs")]
    fn from(error: MailError) -> Self {
        let why = |error: &MailError| {
            let source = std::error::Error::source(error);
            let source = source.map(|source| format!(": {source}")).unwrap_or_default();
            format!("{error}{source}")
        };
        match &error {
            MailError::NoSuchMailbox(_)
            | MailError::Deleted(_)
            | MailError::NoSuchMessage(_)
            | MailError::NoSuchAttachment(_) => Self::NotFound(error.to_string()),
            MailError::Broken(..) | MailError::Damaged(..) => Self::Damaged(error.to_string()),
            _ => Self::Store(why(&error)),
        }
    }
}

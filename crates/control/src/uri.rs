//! What a URI that a peer wants to hear names: a live source, or a prompt to fetch.

use std::fmt;
use std::sync::Arc;

/// Longest URI that is looked at; past it the URI is refused as a whole.
pub const URI_BYTES_MAX: usize = 4_096;

/// The alias under which desktop handlers of the seeds name a source (feature USE-06).
const SOURCE_ALIAS: &str = "x-inin-audiosrc:systemaudio/";

/// A URI that can be played, sorted by who provides the audio.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PlayUri {
    /// A live source by its name, percent-decoded: `source:<name>` or its alias.
    Source(String),
    /// Anything that is opened for this one utterance: `file:`, `http:`, `https:`, `tone:`.
    Prompt(String),
    /// A message of the store or of a mail server, heard as voice mail: `fbmc:`, `imap:`.
    Mail {
        /// Its URI, without what is to become of it.
        uri: String,
        /// What becomes of it once it was heard; none where the URI does not say.
        after: Option<After>,
    },
    /// Audio that came in the request's own body, named `cid:` there. RFC 2392.
    Enclosed {
        /// The Content-ID.
        id: String,
        /// What the part says it is.
        media_type: String,
        /// The file.
        bytes: Arc<[u8]>,
    },
}

/// What becomes of a message once it was heard. Nothing, unless a client says so.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum After {
    /// It stays as it is.
    #[default]
    Keep,
    /// It is marked as read, as soon as some of it was heard.
    Read,
    /// It is deleted, when it was heard to its end; as soon as some of it was heard, it is marked as read.
    Delete,
}

impl After {
    /// Reads the word for it, in any case: `keep`, `read`, `delete`.
    pub fn parse(word: &str) -> Option<Self> {
        let all = [("keep", Self::Keep), ("read", Self::Read), ("delete", Self::Delete)];
        all.into_iter().find(|(known, _)| word.eq_ignore_ascii_case(known)).map(|(_, after)| after)
    }
}

/// Why a URI cannot be played, before anybody tried to open it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PlayUriError {
    /// No text before a colon, or characters that no scheme has.
    NoScheme,
    /// A scheme that this server does not play.
    Scheme(String),
    /// A source URI whose name is empty, or not UTF-8 once percent-decoded.
    SourceName,
    /// Longer than [`URI_BYTES_MAX`].
    TooLong,
    /// What is to become of a message is none of the words for it.
    After,
}

impl PlayUriError {
    /// The word for Failed-URI-Cause. RFC 6787 §8.4.11.
    pub const fn cause(&self) -> &'static str {
        match self {
            Self::Scheme(_) => "unknown-scheme",
            Self::NoScheme | Self::SourceName | Self::TooLong | Self::After => "malformed",
        }
    }
}

impl fmt::Display for PlayUriError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoScheme => f.write_str("the URI has no scheme"),
            Self::Scheme(scheme) => write!(f, "the scheme \"{scheme}\" is not played here"),
            Self::SourceName => f.write_str("the source name is empty or not UTF-8"),
            Self::After => f.write_str("after a message, ;after= is keep, read or delete"),
            Self::TooLong => write!(f, "the URI is longer than {URI_BYTES_MAX} bytes"),
        }
    }
}

impl std::error::Error for PlayUriError {}

impl PlayUri {
    /// Reads a URI as it stands in a body; `base` completes a relative reference (RFC 3986 §5.2,
    /// SSML `xml:base`, RFC 6787 `Content-Base`).
    ///
    /// # Errors
    /// [`PlayUriError`] when it names nothing that could be opened.
    pub fn parse(text: &str, base: Option<&str>) -> Result<Self, PlayUriError> {
        let text = text.trim();
        if text.len() > URI_BYTES_MAX {
            return Err(PlayUriError::TooLong);
        }
        let Some(name) = scheme(text) else {
            return match base {
                Some(base) if scheme(base).is_some() => {
                    Self::parse(&ssml::resolve(base, text), None)
                }
                Some(_) | None => Err(PlayUriError::NoScheme),
            };
        };
        let rest = text.get(name.len() + 1..).unwrap_or_default();
        match name.to_ascii_lowercase().as_str() {
            "source" => source(rest),
            "x-inin-audiosrc" => {
                let head = text.get(..SOURCE_ALIAS.len()).unwrap_or_default();
                if head.eq_ignore_ascii_case(SOURCE_ALIAS) {
                    source(text.get(SOURCE_ALIAS.len()..).unwrap_or_default())
                } else {
                    Err(PlayUriError::SourceName)
                }
            }
            "file" | "http" | "https" | "tone" => Ok(Self::Prompt(text.to_owned())),
            "fbmc" | "imap" => mail(text),
            other => Err(PlayUriError::Scheme(other.to_owned())),
        }
    }
}

impl fmt::Display for PlayUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(name) => write!(f, "source:{name}"),
            Self::Prompt(uri) => f.write_str(uri),
            Self::Mail { uri, .. } => f.write_str(without_token(uri)),
            Self::Enclosed { id, .. } => write!(f, "cid:{id}"),
        }
    }
}

/// The scheme before the first colon. RFC 3986 §3.1.
fn scheme(text: &str) -> Option<&str> {
    let (scheme, _) = text.split_once(':')?;
    let mut letters = scheme.chars();
    let first_is_letter = letters.next().is_some_and(|c| c.is_ascii_alphabetic());
    let rest_fits = letters.all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    (first_is_letter && rest_fits).then_some(scheme)
}

/// A message, with `;after=` at the end if something is to become of it.
fn mail(text: &str) -> Result<PlayUri, PlayUriError> {
    const WORD: &str = ";after=";
    let at = text.len().checked_sub(1).and_then(|_| {
        text.as_bytes()
            .windows(WORD.len())
            .rposition(|part| part.eq_ignore_ascii_case(WORD.as_bytes()))
    });
    let Some(at) = at else {
        return Ok(PlayUri::Mail { uri: text.to_owned(), after: None });
    };
    let (uri, word) = (text.get(..at), text.get(at + WORD.len()..));
    let after = word.and_then(After::parse).ok_or(PlayUriError::After)?;
    Ok(PlayUri::Mail { uri: uri.unwrap_or_default().to_owned(), after: Some(after) })
}

/// A URI as it may be shown: what authorizes it is a secret. RFC 4467 §9.
pub fn without_token(uri: &str) -> &str {
    let word = b";urlauth=";
    let at = uri.as_bytes().windows(word.len()).position(|part| part.eq_ignore_ascii_case(word));
    let Some(at) = at else { return uri };
    let end = uri.get(at + word.len()..).and_then(|rest| rest.find(':'));
    end.and_then(|end| uri.get(..at + word.len() + end)).unwrap_or(uri)
}

fn source(raw: &str) -> Result<PlayUri, PlayUriError> {
    let name = percent_decode(raw).ok_or(PlayUriError::SourceName)?;
    if name.is_empty() { Err(PlayUriError::SourceName) } else { Ok(PlayUri::Source(name)) }
}

/// Undoes percent-encoding; `None` where an escape is broken or the bytes are not UTF-8.
pub fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let high = char::from(rest.next()?).to_digit(16)?;
        let low = char::from(rest.next()?).to_digit(16)?;
        bytes.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(bytes).ok()
}

/// Percent-encodes everything but RFC 3986's unreserved characters.
pub fn percent_encode(text: &str) -> String {
    use fmt::Write as _;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(uri: &str, base: Option<&str>, expected: &str) {
        let told = match PlayUri::parse(uri, base) {
            Ok(PlayUri::Source(name)) => format!("source {name}"),
            Ok(PlayUri::Prompt(uri)) => format!("prompt {uri}"),
            Ok(PlayUri::Mail { uri, after }) => format!("mail {uri} {after:?}"),
            Ok(PlayUri::Enclosed { id, .. }) => format!("enclosed {id}"),
            Err(error) => format!("error: {error}"),
        };
        assert_eq!(told, expected);
    }

    #[test]
    fn a_uri_names_a_source_or_a_prompt() {
        check("source:Radio", None, "source Radio");
        check("source:Caf%C3%A9%20One", None, "source Café One");
        check("X-ININ-AudioSrc:SystemAudio/Lobby%20Radio", None, "source Lobby Radio");
        check("file:///srv/a.wav", None, "prompt file:///srv/a.wav");
        check(" https://h/a.mp3 \r\n", None, "prompt https://h/a.mp3");
        check("tone:440", None, "prompt tone:440");
        check("fbmc:anna/01J", None, "mail fbmc:anna/01J None");
        check("IMAP://h/INBOX/;UID=5;After=Read", None, "mail IMAP://h/INBOX/;UID=5 Some(Read)");
        check("fbmc:anna/01J;after=delete", None, "mail fbmc:anna/01J Some(Delete)");
        check(
            "fbmc:anna/01J;after=x",
            None,
            "error: after a message, ;after= is keep, read or delete",
        );
    }

    #[test]
    fn what_cannot_be_played_says_why() {
        check("source:", None, "error: the source name is empty or not UTF-8");
        check("source:%ff", None, "error: the source name is empty or not UTF-8");
        check("source:%4", None, "error: the source name is empty or not UTF-8");
        check("x-inin-audiosrc:other/Radio", None, "error: the source name is empty or not UTF-8");
        check("gopher://h/", None, "error: the scheme \"gopher\" is not played here");
        check("a.wav", None, "error: the URI has no scheme");
        check(
            &format!("http://h/{}", "x".repeat(5_000)),
            None,
            "error: the URI is longer than 4096 bytes",
        );
    }

    #[test]
    fn a_relative_reference_is_completed_by_its_base() {
        check("b.wav", Some("http://h/x/a.wav?q#f"), "prompt http://h/x/b.wav");
        check("/b.wav", Some("http://h:81/x/a.wav"), "prompt http://h:81/b.wav");
        check("b.wav", Some("file:///srv/x/"), "prompt file:///srv/x/b.wav");
        check("b.wav", Some("http://h"), "prompt http://h/b.wav");
        check("b.wav", Some("nonsense"), "error: the URI has no scheme");
    }

    #[test]
    fn what_authorizes_a_url_is_not_shown() {
        let rump = "imap://a@h/INBOX/;UID=1;URLAUTH=user+b";
        let uri = PlayUri::parse(&format!("{rump}:internal:0123"), None).unwrap();
        assert_eq!(uri.to_string(), rump);
        assert_eq!(without_token("imap://a@h/INBOX/;UID=1"), "imap://a@h/INBOX/;UID=1");
    }

    #[test]
    fn names_survive_encoding() {
        let name = "Café & Söhne 100% /?:";
        assert_eq!(percent_decode(&percent_encode(name)).as_deref(), Some(name));
    }
}

use crate::headers::Headers;
use crate::quoted;
use crate::words::words;

words! {
    /// Why a SPEAK ended. RFC 6787 §8.4.4.
    Cause {
        /// It was spoken to its end.
        Normal = "000 normal",
        /// The caller broke in.
        BargeIn = "001 barge-in",
        /// The markup could not be read.
        ParseFailure = "002 parse-failure",
        /// A URI could not be had.
        UriFailure = "003 uri-failure",
        /// The synthesizer failed.
        Error = "004 error",
        /// There is no voice for the language.
        LanguageUnsupported = "005 language-unsupported",
        /// A lexicon could not be had.
        LexiconLoadFailure = "006 lexicon-load-failure",
        /// A SPEAK before it in the queue failed.
        Cancelled = "007 cancelled",
    }
}

/// How an utterance ended, as the player tells it. The texts are for the client's log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum End {
    /// Spoken to its end.
    Normal,
    /// The markup could not be read, and why.
    ParseFailure(String),
    /// A document or a sound could not be had.
    UriFailure {
        /// Which.
        uri: String,
        /// The protocol's own code or word for it, such as `404` or `timeout`.
        cause: String,
        /// Why, in words.
        why: String,
    },
    /// The synthesizer failed, and why.
    Error(String),
    /// There is no voice for this language.
    LanguageUnsupported(String),
    /// A lexicon could not be had or read.
    LexiconLoadFailure {
        /// Which.
        uri: String,
        /// Why, in words.
        why: String,
    },
    /// Given up because something before it failed.
    Cancelled,
}

impl End {
    /// The cause as the client is told it.
    pub const fn cause(&self) -> Cause {
        match self {
            Self::Normal => Cause::Normal,
            Self::ParseFailure(_) => Cause::ParseFailure,
            Self::UriFailure { .. } => Cause::UriFailure,
            Self::Error(_) => Cause::Error,
            Self::LanguageUnsupported(_) => Cause::LanguageUnsupported,
            Self::LexiconLoadFailure { .. } => Cause::LexiconLoadFailure,
            Self::Cancelled => Cause::Cancelled,
        }
    }

    /// The header fields that tell how it ended. The URI stands in the reason too, because many
    /// clients log nothing else.
    pub(super) fn headers(&self) -> Headers {
        let mut headers = Headers::new();
        headers.push("Completion-Cause", self.cause().as_str());
        let mut reason = |text: &str| headers.push("Completion-Reason", &quoted::quote(text));
        match self {
            Self::Normal | Self::Cancelled => {}
            Self::ParseFailure(why) | Self::Error(why) => reason(why),
            Self::LanguageUnsupported(language) => {
                reason(&format!("no voice speaks {language}"));
            }
            Self::UriFailure { uri, cause, why } => {
                reason(&with_uri(why, uri));
                push_failed_uri(&mut headers, uri, cause);
            }
            Self::LexiconLoadFailure { uri, why } => {
                reason(&with_uri(why, uri));
                push_failed_uri(&mut headers, uri, "lexicon-load-failure");
            }
        }
        headers
    }
}

fn with_uri(why: &str, uri: &str) -> String {
    if why.contains(uri) { why.to_owned() } else { format!("{why}: {uri}") }
}

/// `Failed-URI` and `Failed-URI-Cause`; neither may have blanks. RFC 6787 §8.4.12, §8.4.13.
pub(super) fn push_failed_uri(headers: &mut Headers, uri: &str, cause: &str) {
    let uri: String = uri
        .chars()
        .map(|c| if c.is_whitespace() || c.is_control() { "%20".into() } else { c.to_string() })
        .collect();
    let cause: String = cause
        .trim()
        .chars()
        .map(|c| if c.is_whitespace() || c.is_control() { '-' } else { c })
        .collect();
    if !uri.is_empty() {
        headers.push("Failed-URI", &uri);
    }
    headers.push("Failed-URI-Cause", if cause.is_empty() { "unknown" } else { &cause });
}

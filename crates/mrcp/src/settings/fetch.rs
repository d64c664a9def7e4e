use std::fmt;
use std::time::Duration;

use super::{FETCH_TIMEOUT_MAX, Wrong, text, whole};
use crate::headers::is_token;
use crate::words::words;

/// Cookies that one session may keep; past it 409.
pub const COOKIES_MAX: usize = 64;

words! {
    /// When documents are fetched. RFC 6787 §8.4.10.
    FetchHint {
        /// As soon as the request is there.
        Prefetch = "prefetch",
        /// Not before they are needed.
        Safe = "safe",
    }
}

words! {
    /// When sounds are fetched. RFC 6787 §8.4.11.
    AudioFetchHint {
        /// Ahead, if we like.
        Prefetch = "prefetch",
        /// Not before they are needed.
        Safe = "safe",
        /// While they are played.
        Stream = "stream",
    }
}

words! {
    /// The parameters of fetching.
    FetchParam {
        /// §8.4.10.
        Hint = "Fetch-Hint",
        /// §8.4.11.
        AudioHint = "Audio-Fetch-Hint",
        /// §6.2.12.
        Timeout = "Fetch-Timeout",
        /// §6.2.13.
        CacheControl = "Cache-Control",
        /// §6.2.15.
        SetCookie = "Set-Cookie",
    }
}

/// How old a stored document may be. RFC 6787 §6.2.13.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct CacheControl {
    /// No older than so many seconds.
    pub max_age: Option<u64>,
    /// Expired, but by how much.
    pub max_stale: Option<MaxStale>,
    /// Fresh for so many seconds more.
    pub min_fresh: Option<u64>,
}

/// How much past its expiry a document may be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MaxStale {
    /// As much as it likes.
    Any,
    /// So many seconds.
    Seconds(u64),
}

/// One cookie, as RFC 6265 writes it. RFC 6787 §6.2.15.
#[derive(Clone, Eq, PartialEq)]
pub struct Cookie(String);

/// How documents and sounds are fetched for a session or an utterance.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fetch {
    /// When documents are fetched.
    pub hint: FetchHint,
    /// When sounds are fetched.
    pub audio_hint: AudioFetchHint,
    /// How long one fetch may take; none leaves it to the server.
    pub timeout: Option<Duration>,
    /// How old stored documents may be.
    pub cache_control: CacheControl,
    /// What to send to those who set it.
    pub cookies: Vec<Cookie>,
}

impl Default for Fetch {
    fn default() -> Self {
        Self {
            hint: FetchHint::Prefetch,
            audio_hint: AudioFetchHint::Prefetch,
            timeout: None,
            cache_control: CacheControl::default(),
            cookies: Vec::new(),
        }
    }
}

impl Cookie {
    /// Reads a `Set-Cookie` value.
    pub fn parse(value: &str) -> Option<Self> {
        let (name, _) = value.split_once('=')?;
        is_token(name.trim()).then(|| Self(value.to_owned()))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.0.split('=').next().unwrap_or_default().trim()
    }

    /// The whole value.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Cookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cookie {}", self.name())
    }
}

impl Fetch {
    pub(super) fn set(&mut self, param: FetchParam, value: &str) -> Result<(), Wrong> {
        match param {
            FetchParam::Hint => self.hint = FetchHint::parse(value).ok_or(Wrong::Illegal)?,
            FetchParam::AudioHint => {
                self.audio_hint = AudioFetchHint::parse(value).ok_or(Wrong::Illegal)?;
            }
            FetchParam::Timeout => {
                let timeout = Duration::from_millis(whole(value, 19)?);
                if timeout > FETCH_TIMEOUT_MAX {
                    return Err(Wrong::BeyondUs);
                }
                self.timeout = Some(timeout);
            }
            FetchParam::CacheControl => {
                self.cache_control = CacheControl::parse(value).ok_or(Wrong::Illegal)?;
            }
            FetchParam::SetCookie => {
                self.keep(Cookie::parse(&text(value)?).ok_or(Wrong::Illegal)?)?;
            }
        }
        Ok(())
    }

    /// Keeps a cookie in the place of one with the same name.
    fn keep(&mut self, cookie: Cookie) -> Result<(), Wrong> {
        let full = self.cookies.len() == COOKIES_MAX;
        match self.cookies.iter_mut().find(|kept| kept.name() == cookie.name()) {
            Some(kept) => *kept = cookie,
            None if full => return Err(Wrong::BeyondUs),
            None => self.cookies.push(cookie),
        }
        Ok(())
    }

    pub(super) fn values(&self, param: FetchParam) -> Vec<String> {
        let one = match param {
            FetchParam::Hint => self.hint.to_string(),
            FetchParam::AudioHint => self.audio_hint.to_string(),
            FetchParam::Timeout => {
                self.timeout.map(|span| span.as_millis().to_string()).unwrap_or_default()
            }
            FetchParam::CacheControl => self.cache_control.to_string(),
            FetchParam::SetCookie if self.cookies.is_empty() => String::new(),
            FetchParam::SetCookie => {
                return self.cookies.iter().map(|cookie| cookie.0.clone()).collect();
            }
        };
        vec![one]
    }
}

impl CacheControl {
    fn parse(value: &str) -> Option<Self> {
        let mut control = Self::default();
        for directive in value.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            let (name, seconds) = match directive.split_once('=') {
                Some((name, seconds)) => (name.trim(), Some(whole(seconds.trim(), 19).ok()?)),
                None => (directive, None),
            };
            match (name.to_ascii_lowercase().as_str(), seconds) {
                ("max-age", Some(_)) => control.max_age = seconds,
                ("min-fresh", Some(_)) => control.min_fresh = seconds,
                ("max-stale", Some(seconds)) => {
                    control.max_stale = Some(MaxStale::Seconds(seconds));
                }
                ("max-stale", None) => control.max_stale = Some(MaxStale::Any),
                _ => return None,
            }
        }
        Some(control)
    }
}

impl fmt::Display for CacheControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stale = self.max_stale.map(|stale| match stale {
            MaxStale::Any => "max-stale".to_owned(),
            MaxStale::Seconds(seconds) => format!("max-stale={seconds}"),
        });
        let directives: Vec<String> = [
            self.max_age.map(|seconds| format!("max-age={seconds}")),
            stale,
            self.min_fresh.map(|seconds| format!("min-fresh={seconds}")),
        ]
        .into_iter()
        .flatten()
        .collect();
        f.write_str(&directives.join(", "))
    }
}

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use audio::Gain;
use reqwest::Url;

use crate::file_uri;
use crate::guard::Allowed;
use crate::studio::RtpAddress;

/// Characters a source's name may have.
pub const NAME_CHARS_MAX: usize = 128;

/// One source as the operator wrote it.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceConfig {
    /// Its name; unique even when upper and lower case are not told apart.
    pub name: String,
    /// Where it comes from.
    pub kind: SourceKind,
    /// Applied to the source, not to the fallback.
    pub gain: Gain,
    /// Heard, looped, while this source is away: telephone audio; `None` for what all share.
    pub fallback: Option<Arc<[i16]>>,
    /// When it is connected to.
    pub start: Start,
    /// The loudness it is brought to, in LUFS (EBU R 128); `None` leaves it as it is.
    pub loudness_lufs: Option<f64>,
    /// Silence of this length is taken for a fault: the fallback is heard. `None` lets it be silent.
    pub silence_after: Option<Duration>,
    /// In which order a folder's files are played.
    pub order: Order,
}

impl SourceConfig {
    /// A source with the defaults.
    pub fn new(name: impl Into<String>, kind: SourceKind) -> Self {
        Self {
            name: name.into(),
            kind,
            gain: Gain::UNITY,
            fallback: None,
            start: Start::Always,
            loudness_lufs: None,
            silence_after: None,
            order: Order::Sorted,
        }
    }
}

/// When a source is connected to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Start {
    /// From the server's start to its end.
    Always,
    /// With its first listener, until it had none for this long.
    OnDemand {
        /// How long it goes on without a listener.
        linger: Duration,
    },
}

/// In which order a folder's files are played.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Order {
    /// By name.
    Sorted,
    /// Shuffled anew in each round.
    Shuffled,
}

/// Where a source comes from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SourceKind {
    /// A file, looped, or a folder, whose files play in the order of their names.
    Path(PathBuf),
    /// A stream over HTTP or HTTPS, or a download, which is looped.
    Http(Url),
    /// RTP, as studios send it.
    Rtp(RtpAddress),
    /// A device of the host, by the sound server's name for it; `alsa:hw:0,0` is ALSA's own.
    Device(String),
}

/// Before the name of a device that is ALSA's own and not the sound server's.
pub(crate) const ALSA: &str = "alsa:";
/// The longest name of a device, in bytes.
const DEVICE_BYTES_MAX: usize = 512;
/// Kinds of ALSA devices that may have arguments. Others could do more than capture: `file` writes files
/// and runs programs.
const ALSA_KINDS: [&str; 8] =
    ["hw", "plughw", "default", "sysdefault", "front", "dsnoop", "usbstream", "pulse"];

/// Whether a device may be called this: `alsa:` and a plain name of ALSA's, or any name of a sound server's.
#[must_use]
pub fn is_device_name(name: &str) -> bool {
    let Some(pcm) = name.strip_prefix(ALSA) else {
        let fits = !name.is_empty() && name.len() <= DEVICE_BYTES_MAX;
        return fits && !name.chars().any(char::is_control);
    };
    let plain = |text: &str| {
        let fits = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        !text.is_empty() && text.len() <= DEVICE_BYTES_MAX && text.chars().all(fits)
    };
    match pcm.split_once(':') {
        // A name without arguments is of the host's own configuration.
        None => plain(pcm),
        Some((kind, arguments)) => {
            let fits = |c: char| c.is_ascii_alphanumeric() || "_=,".contains(c);
            ALSA_KINDS.contains(&kind) && !arguments.is_empty() && arguments.chars().all(fits)
        }
    }
}

/// What all sources share.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Heard, looped, while a source is away: telephone audio.
    pub fallback: Arc<[i16]>,
    /// How the server calls itself towards HTTP servers.
    pub user_agent: String,
    /// How much of a stream is held against jitter, at least; a stream that arrives in lumps is given
    /// what its own take, 5 s at most. A connection that ends is heard for 1.5 s more at most, one that
    /// only falls silent for what is held and half a second.
    pub buffer: Duration,
    /// A connection that gives no audio for this long is ended and made anew.
    pub stall: Duration,
    /// The wait after a first failure; it doubles from there.
    pub backoff_first: Duration,
    /// The longest wait between two attempts.
    pub backoff_most: Duration,
    /// How long a connection, and the head of its answer, may take.
    pub connect: Duration,
    /// The ffmpeg program, for formats our own decoders lack; found on the `PATH` if only a name.
    pub ffmpeg: PathBuf,
    /// Where the sound server is, as `PULSE_SERVER` has it; `None` for where that, or libpulse, says.
    pub sound_server: Option<String>,
    /// ALSA's configuration file, where it is not in its usual place: `ALSA_CONFIG_PATH`.
    pub alsa_config: Option<PathBuf>,
    /// Inside hosts to which a source's server may redirect. The host in a source's own URI is
    /// always allowed.
    pub allow: Vec<Allowed>,
}

impl Default for Settings {
    fn default() -> Self {
        Self::new(crate::hold_music::hold_music())
    }
}

impl Settings {
    /// The defaults, with this fallback; [`Settings::default`] has our own hold music.
    pub fn new(fallback: Arc<[i16]>) -> Self {
        Self {
            fallback,
            user_agent: "entracte".to_owned(),
            buffer: Duration::from_millis(1_200),
            stall: Duration::from_secs(5),
            backoff_first: Duration::from_millis(250),
            backoff_most: Duration::from_secs(2),
            connect: Duration::from_secs(5),
            ffmpeg: PathBuf::from("ffmpeg"),
            sound_server: None,
            alsa_config: std::env::var_os("ALSA_CONFIG_PATH").map(PathBuf::from),
            allow: Vec::new(),
        }
    }
}

/// A source's URI that says nothing we can play.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SourceUriError {
    /// What is wrong.
    pub why: String,
}

impl fmt::Display for SourceUriError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl std::error::Error for SourceUriError {}

impl SourceKind {
    /// Reads a `file:`, `http:`, `https:` or `rtp:` URI; a path that begins with `/` is taken as a file.
    pub fn parse(uri: &str) -> Result<Self, SourceUriError> {
        let uri = uri.trim();
        if uri.starts_with('/') {
            return Ok(Self::Path(PathBuf::from(uri)));
        }
        let wrong = |why: String| SourceUriError { why };
        let scheme = uri.split(':').next().unwrap_or("").to_ascii_lowercase();
        match scheme.as_str() {
            "file" => file_uri::path(uri).map(Self::Path).map_err(|why| wrong(why.to_string())),
            "rtp" => {
                let address = uri.parse().ok().and_then(|url| RtpAddress::parse(&url));
                let why = "rtp://ADDRESS:PORT, with encoding=PCMU, PCMA, L16 or L24, rate= and channels= \
                           where the payload type does not say, and interface= for a group";
                address.map(Self::Rtp).ok_or_else(|| wrong(why.to_owned()))
            }
            "http" | "https" => {
                let url: Url = uri.parse().map_err(|why| wrong(format!("not a URL: {why}")))?;
                Ok(Self::Http(url))
            }
            _ => Err(wrong("a source is a file:, http:, https: or rtp: URI".to_owned())),
        }
    }

    /// The URI as it may be shown: without user name and password.
    pub fn shown(&self) -> String {
        match self {
            Self::Path(path) => file_uri::from_path(path),
            Self::Http(url) => shown(url),
            Self::Rtp(address) => address.to_string(),
            Self::Device(name) => format!("device:{name}"),
        }
    }
}

/// A URL without user name and password.
pub(crate) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // Both fail only for URLs that cannot have them.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.into()
}

/// Names with which a start is refused.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum NameError {
    /// Empty, longer than [`NAME_CHARS_MAX`], or with control characters.
    Unfit(String),
    /// Two names that callers could not tell apart.
    Same(String, String),
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unfit(name) => {
                write!(f, "{name:?} cannot be a source's name: 1 to {NAME_CHARS_MAX} characters")
            }
            Self::Same(one, other) => {
                write!(f, "the sources {one:?} and {other:?} differ in upper and lower case only")
            }
        }
    }
}

impl std::error::Error for NameError {}

/// Finds a name: the exact one, or else the one that is the same but for ASCII case.
pub fn find_name(names: &[impl AsRef<str>], wanted: &str) -> Option<usize> {
    let exact = names.iter().position(|name| name.as_ref() == wanted);
    exact.or_else(|| names.iter().position(|name| name.as_ref().eq_ignore_ascii_case(wanted)))
}

/// Checks that every name is fit and can be told from every other.
pub fn check_names(names: &[impl AsRef<str>]) -> Result<(), NameError> {
    let mut folded = std::collections::BTreeMap::new();
    for name in names {
        let name = name.as_ref();
        let length = name.chars().count();
        if name.trim() != name || length == 0 || length > NAME_CHARS_MAX {
            return Err(NameError::Unfit(name.to_owned()));
        }
        if name.chars().any(char::is_control) {
            return Err(NameError::Unfit(name.to_owned()));
        }
        if let Some(other) = folded.insert(name.to_ascii_lowercase(), name) {
            return Err(NameError::Same(other.to_owned(), name.to_owned()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_alsa_captures_and_does_nothing_else() {
        for name in [
            "alsa:hw:0,0",
            "alsa:plughw:CARD=USB,DEV=0",
            "alsa:line",
            "alsa_input.pci-0000",
            "Line In",
        ] {
            assert!(is_device_name(name), "{name}");
        }
        for name in [
            "alsa:file:'|touch /tmp/x',raw",
            "alsa:file:x,raw",
            "alsa:tee:hw,x,raw",
            "alsa:",
            "alsa:hw:",
            "",
            "alsa:{ type hw }",
            "alsa:hw:'0'",
            "alsa:plug:'file:x'",
            "alsa:hw:0;x",
            "a\nb",
        ] {
            assert!(!is_device_name(name), "{name}");
        }
    }

    #[test]
    fn a_name_is_found_exactly_or_else_without_case() {
        let names = ["Radio", "Lobby"];
        for (wanted, expected) in
            [("Radio", Some(0)), ("rADIO", Some(0)), ("lobby", Some(1)), ("Rad", None), ("", None)]
        {
            assert_eq!(find_name(&names, wanted), expected, "{wanted:?}");
        }
    }

    #[test]
    fn names_that_callers_could_not_tell_apart_are_refused_with_both() {
        let same = check_names(&["Radio", "Lobby", "RADIO"]).unwrap_err();
        assert_eq!(
            same.to_string(),
            "the sources \"Radio\" and \"RADIO\" differ in upper and lower case only"
        );
        for unfit in ["", " a", "a\n", &"x".repeat(129)] {
            assert!(matches!(check_names(&[unfit]), Err(NameError::Unfit(_))));
        }
        assert_eq!(check_names(&["é", "É"]), Ok(()));
    }

    #[test]
    fn a_sources_uri_is_a_path_or_a_url() {
        let path = |text: &str| Ok(SourceKind::Path(PathBuf::from(text)));
        assert_eq!(SourceKind::parse("/srv/a b.wav"), path("/srv/a b.wav"));
        assert_eq!(SourceKind::parse("file:///srv/a%20b.wav"), path("/srv/a b.wav"));
        assert_eq!(SourceKind::parse("FILE:/srv/x"), path("/srv/x"));
        let http = SourceKind::parse("http://me:secret@h:8000/radio").unwrap();
        assert_eq!(http.shown(), "http://h:8000/radio");
        for wrong in ["", "radio", "ftp://h/x", "http://", "file://elsewhere/x"] {
            assert!(SourceKind::parse(wrong).is_err(), "{wrong:?}");
        }
    }
}

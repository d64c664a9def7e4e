use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::guard::Barred;

/// What the listeners of a source hear at this moment.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Heard {
    /// The source itself.
    Source,
    /// The fallback, because the source is not there (yet, or any more).
    #[default]
    Fallback,
}

/// How the connection to a source stands. What is *heard* is [`Heard`]: a buffer lies between.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Phase {
    /// On its way: no audio came yet.
    #[default]
    Connecting,
    /// Audio comes.
    Playing,
    /// It failed and will be tried again.
    Away(Trouble),
    /// Nobody listens; with the first listener it is connected to.
    Resting,
}

/// Why a source is away.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Trouble {
    /// The file or folder cannot be opened.
    Unreadable(String),
    /// The folder has no file that can be played.
    NothingPlayable,
    /// No connection: the name is unknown, nobody listens, or TLS failed.
    Unreachable(String),
    /// The server answered with this HTTP status.
    Status(u16),
    /// More redirects than are followed, or one that leads nowhere.
    Redirects,
    /// A redirect or playlist leads to an address inside.
    Barred(Barred),
    /// The server sends this content type, which is no audio.
    WrongType(String),
    /// The bytes are no audio that can be decoded.
    NotAudio(String),
    /// The server ended the stream.
    Closed,
    /// The connection stands, but no audio came for this long.
    Stalled(Duration),
    /// The format needs ffmpeg, and it cannot be run.
    NoFfmpeg(String),
    /// There is no sound server, or it does not let us in.
    NoSoundServer(String),
    /// The sound server has no such device, or took it away.
    NoDevice(String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(why) => write!(f, "cannot be read: {why}"),
            Self::NothingPlayable => f.write_str("the folder has no file that can be played"),
            Self::Unreachable(why) => write!(f, "cannot be reached: {why}"),
            Self::Status(status) => write!(f, "the server answers {status}"),
            Self::Redirects => f.write_str("the server redirects without end or to nowhere"),
            Self::Barred(barred) => write!(f, "the server leads to a place inside: {barred}"),
            Self::WrongType(kind) => write!(f, "the server sends {kind}, which is no audio"),
            Self::NotAudio(why) => write!(f, "the audio cannot be decoded: {why}"),
            Self::Closed => f.write_str("the server ended the stream"),
            Self::Stalled(span) => {
                write!(f, "no audio came for {:.1} s", span.as_secs_f32())
            }
            Self::NoSoundServer(why) => write!(f, "no sound server: {why}"),
            Self::NoDevice(why) => write!(f, "the device is not there: {why}"),
            Self::NoFfmpeg(why) => write!(f, "the format needs ffmpeg, which fails: {why}"),
        }
    }
}

impl std::error::Error for Trouble {}

/// How loud what is heard is, over the last 300 ms; silence is -100.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Level {
    /// The largest sample, in dB below full scale.
    pub peak_dbfs: f32,
    /// The root mean square, in dB below a full-scale square wave.
    pub rms_dbfs: f32,
}

impl Level {
    /// The level of samples whose full scale is 1.0; `None` of none at all.
    #[expect(clippy::cast_precision_loss, reason = "a count of samples")]
    pub(crate) fn of(samples: &[f32]) -> Option<Self> {
        let peak = samples.iter().fold(0_f32, |peak, sample| peak.max(sample.abs()));
        let power = samples.iter().map(|sample| sample * sample).sum::<f32>();
        let rms = (power / samples.len().max(1) as f32).sqrt();
        (!samples.is_empty()).then(|| Self { peak_dbfs: dbfs(peak), rms_dbfs: dbfs(rms) })
    }
}

/// A part of full scale in decibels; silence is -100.
pub(crate) fn dbfs(part: f32) -> f32 {
    (20.0 * part.log10()).max(SILENCE_DBFS)
}

/// What digital silence is shown as.
const SILENCE_DBFS: f32 = -100.0;

/// A file of a folder that could not be played and was passed over.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Skipped {
    /// The file's name within the folder.
    pub file: String,
    /// What was wrong with it.
    pub why: String,
}

/// Everything a page shows about one source.
#[derive(Clone, Debug)]
pub struct SourceState {
    /// The name as configured.
    pub name: Arc<str>,
    /// Where it comes from, without user name and password.
    pub uri: String,
    /// The number of the settings that it plays by; 0 for those of the start. See `Sources::change`.
    pub revision: u64,
    /// How the connection stands.
    pub phase: Phase,
    /// What listeners hear.
    pub heard: Heard,
    /// For how long they have been hearing that.
    pub heard_for: Duration,
    /// How loud what they hear is.
    pub level: Level,
    /// Audio that is decoded and waits to be heard.
    pub buffered: Duration,
    /// The title as the stream or the file last told it.
    pub title: Option<String>,
    /// Codec, rate and channels of what is decoded, as "mp3 44100 Hz stereo".
    pub codec: Option<String>,
    /// Connections made after the first.
    pub reconnects: u64,
    /// Times the buffer ran dry although the connection stood.
    pub underruns: u64,
    /// How much of it was turned down so as not to clip, in all: its gain is too high.
    pub limited: Duration,
    /// Calls that hear it now.
    pub listeners: usize,
    /// It plays, and what it plays has been silence for too long: the fallback is heard.
    pub silent: bool,
    /// Files passed over in the current round of a folder.
    pub skipped: Vec<Skipped>,
}

/// Something that happened to a source; sent when there is room, dropped (and logged) otherwise.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SourceEvent {
    /// The source's name as configured.
    pub source: Arc<str>,
    /// What happened.
    pub what: Happening,
}

/// See [`SourceEvent`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Happening {
    /// Listeners now hear this.
    Heard(Heard),
    /// Audio comes, in this codec.
    Playing(String),
    /// The connection failed; it will be tried again.
    Away(Trouble),
    /// A new title.
    Title(String),
    /// A file was passed over.
    Skipped(Skipped),
    /// It has been playing silence for too long; or it sounds again.
    Silent(bool),
}

//! The sound server, PulseAudio or PipeWire behind its PulseAudio door, through libpulse. Everything
//! runs on the caller's thread, one turn after the other, so nothing is shared and nothing is locked.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use libpulse_binding::callbacks::ListResult;
use libpulse_binding::context::introspect::SourceInfo;
use libpulse_binding::context::subscribe::InterestMaskSet;
use libpulse_binding::context::{self, Context};
use libpulse_binding::def::{BufferAttr, SourceState};
use libpulse_binding::mainloop::standard::Mainloop;
use libpulse_binding::operation;
use libpulse_binding::sample::{Format, Spec};
use libpulse_binding::stream::{self, PeekResult};
use libpulse_binding::time::MicroSeconds;

use crate::board::now;

/// How we are called among the sound server's clients.
const CLIENT: &str = "entracte";
/// Audio comes in pieces of this length.
const FRAGMENT_MS: u32 = 10;
/// The longest turn: how late a wish from outside may be noticed.
const TURN: Duration = Duration::from_millis(20);
/// Devices that are listed; further ones are not looked at.
const DEVICES_MAX: usize = 1_024;

/// Why the sound server does not do what we want.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PulseError {
    /// There is none, it does not let us in, or it went away; the text says which.
    Server(String),
    /// It has no such device, or took the device away.
    Device(String),
    /// It did not answer in time.
    Timeout(Duration),
}

impl fmt::Display for PulseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server(why) => write!(f, "no sound server: {why}"),
            Self::Device(why) => write!(f, "the sound server does not give the device: {why}"),
            Self::Timeout(span) => {
                write!(f, "the sound server did not answer in {:.1} s", span.as_secs_f32())
            }
        }
    }
}

impl std::error::Error for PulseError {}

/// Whether a device is in use, as the sound server sees it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DeviceState {
    /// Somebody captures from it.
    Running,
    /// It is ready, and nobody captures.
    Idle,
    /// It sleeps until somebody wants it.
    Suspended,
    /// The server does not say.
    Unknown,
}

impl DeviceState {
    /// One word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Idle => "idle",
            Self::Suspended => "suspended",
            Self::Unknown => "unknown",
        }
    }
}

/// Something that audio can be captured from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DeviceInfo {
    /// The sound server's name for it: the `device` of a source.
    pub name: String,
    /// What people call it.
    pub description: String,
    /// The output whose sound it gives, when it is a monitor (loopback).
    pub monitor_of: Option<String>,
    /// Whether it is in use.
    pub state: DeviceState,
    /// Samples a second.
    pub rate_hz: u32,
    /// Channels.
    pub channels: u8,
}

/// A connection to the sound server. The context goes before its loop.
pub(crate) struct Server {
    context: Context,
    mainloop: Mainloop,
    /// Devices came or went since it was last asked.
    news: Rc<Cell<bool>>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").finish_non_exhaustive()
    }
}

/// A device being captured: mono, full scale is 1.0.
pub(crate) struct Capture {
    stream: stream::Stream,
    info: DeviceInfo,
}

impl fmt::Debug for Capture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Capture").field("info", &self.info).finish_non_exhaustive()
    }
}

impl Server {
    /// Connects; `address` is as `PULSE_SERVER` has it, `None` for the usual one. Never starts a
    /// sound server of its own.
    pub(crate) fn connect(address: Option<&str>, patience: Duration) -> Result<Self, PulseError> {
        let refused = |why: &str| PulseError::Server(why.to_owned());
        let mainloop = Mainloop::new().ok_or_else(|| refused("no memory"))?;
        let context = Context::new(&mainloop, CLIENT).ok_or_else(|| refused("no memory"))?;
        let mut server = Self { context, mainloop, news: Rc::default() };
        let flags = context::FlagSet::NOAUTOSPAWN;
        if server.context.connect(address, flags, None).is_err() {
            // What it returns says only that it failed.
            return Err(PulseError::Server(words(server.context.errno())));
        }
        let until = now() + patience;
        while server.context.get_state() != context::State::Ready {
            server.turn(until.saturating_duration_since(now()))?;
            if now() >= until {
                return Err(PulseError::Timeout(patience));
            }
        }
        let news = Rc::clone(&server.news);
        server.context.set_subscribe_callback(Some(Box::new(move |_, _, _| news.set(true))));
        server.context.subscribe(InterestMaskSet::SOURCE, |_| {});
        Ok(server)
    }

    /// Lets the connection work for at most this long, and less when something happened.
    pub(crate) fn turn(&mut self, most: Duration) -> Result<(), PulseError> {
        let span = most.min(TURN).as_micros();
        let span = MicroSeconds(u64::try_from(span).unwrap_or(0));
        let lost = |error| PulseError::Server(words(error));
        self.mainloop.prepare(Some(span)).map_err(lost)?;
        self.mainloop.poll().map_err(lost)?;
        self.mainloop.dispatch().map_err(lost)?;
        if self.context.get_state().is_good() {
            return Ok(());
        }
        Err(PulseError::Server(words(self.context.errno())))
    }

    /// Whether devices came, went or changed since the last call.
    pub(crate) fn news(&self) -> bool {
        self.news.replace(false)
    }

    /// Everything that can be captured from, in the server's order.
    pub(crate) fn devices(&mut self, patience: Duration) -> Result<Vec<DeviceInfo>, PulseError> {
        let found = Rc::new(RefCell::new(Vec::new()));
        let list = Rc::clone(&found);
        let operation = self.context.introspect().get_source_info_list(move |result| {
            if let ListResult::Item(source) = result
                && list.borrow().len() < DEVICES_MAX
            {
                list.borrow_mut().extend(device(source));
            }
        });
        let until = now() + patience;
        while operation.get_state() == operation::State::Running {
            self.turn(until.saturating_duration_since(now()))?;
            if now() >= until {
                return Err(PulseError::Timeout(patience));
            }
        }
        Ok(found.take())
    }

    /// Begins to capture from a device. It is never moved to another: a caller must not hear what was
    /// not meant for him.
    pub(crate) fn capture(&mut self, info: DeviceInfo) -> Result<Capture, PulseError> {
        let refused = |error| PulseError::Device(words(error));
        // As it is made: a server asked for one channel may add them up, and clip.
        let spec = Spec { format: Format::FLOAT32NE, channels: info.channels, rate: info.rate_hz };
        let mut stream = stream::Stream::new(&mut self.context, &info.name, &spec, None)
            .ok_or_else(|| PulseError::Device("no stream".to_owned()))?;
        let frame = u32::from(info.channels) * 4;
        let attr = BufferAttr {
            maxlength: u32::MAX,
            tlength: u32::MAX,
            prebuf: u32::MAX,
            minreq: u32::MAX,
            fragsize: info.rate_hz / 1_000 * FRAGMENT_MS * frame,
        };
        let flags = stream::FlagSet::ADJUST_LATENCY | stream::FlagSet::DONT_MOVE;
        stream.connect_record(Some(&info.name), Some(&attr), flags).map_err(refused)?;
        Ok(Capture { stream, info })
    }
}

impl Capture {
    /// Appends what has come; fails when the device is gone. What the server has lost is silence of
    /// the same length.
    pub(crate) fn take(&mut self, server: &Server, mono: &mut Vec<f32>) -> Result<(), PulseError> {
        let gone = |error| PulseError::Device(words(error));
        match self.stream.get_state() {
            stream::State::Ready => {}
            stream::State::Creating | stream::State::Unconnected => return Ok(()),
            stream::State::Failed => return Err(gone(server.context.errno())),
            stream::State::Terminated => {
                return Err(PulseError::Device("it was taken away".to_owned()));
            }
        }
        let channels = usize::from(self.info.channels).max(1);
        loop {
            match self.stream.peek().map_err(gone)? {
                PeekResult::Empty => return Ok(()),
                PeekResult::Hole(bytes) => mono.resize(mono.len() + bytes / 4 / channels, 0.0),
                PeekResult::Data(bytes) => average(bytes, channels, mono),
            }
            self.stream.discard().map_err(gone)?;
        }
    }

    pub(crate) const fn info(&self) -> &DeviceInfo {
        &self.info
    }
}

/// Averages the channels of interleaved native floats.
fn average(bytes: &[u8], channels: usize, mono: &mut Vec<f32>) {
    #[expect(clippy::cast_precision_loss, reason = "at most 32 channels")]
    let share = 1.0 / channels as f32;
    let sample = |bytes: &[u8]| bytes.try_into().map_or(0.0, f32::from_ne_bytes);
    let mixed = bytes.chunks_exact(4 * channels).map(|frame| {
        let sum = frame.chunks_exact(4).map(sample).sum::<f32>() * share;
        if sum.is_finite() { sum } else { 0.0 }
    });
    mono.extend(mixed);
}

fn device(source: &SourceInfo<'_>) -> Option<DeviceInfo> {
    let name = source.name.as_ref()?.clone().into_owned();
    let spoken = |text: &Option<std::borrow::Cow<'_, str>>| text.as_ref().map(ToString::to_string);
    let state = match source.state {
        SourceState::Running => DeviceState::Running,
        SourceState::Idle => DeviceState::Idle,
        SourceState::Suspended => DeviceState::Suspended,
        SourceState::Invalid => DeviceState::Unknown,
    };
    Some(DeviceInfo {
        description: spoken(&source.description).unwrap_or_else(|| name.clone()),
        monitor_of: source.monitor_of_sink.and_then(|_| spoken(&source.monitor_of_sink_name)),
        name,
        state,
        rate_hz: source.sample_spec.rate,
        channels: source.sample_spec.channels,
    })
}

fn words(error: libpulse_binding::error::PAErr) -> String {
    error.to_string().unwrap_or_else(|| format!("error {}", error.0))
}

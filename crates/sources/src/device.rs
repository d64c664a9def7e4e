//! One source from a device that is connected to the host, through the sound server.

use std::sync::Arc;
use std::time::{Duration, Instant};

use audio::Gain;
use audio::telephone::Converter;

use crate::backoff::Backoff;
use crate::board::{Reporter, now};
use crate::config::Settings;
use crate::folder::Stop;
use crate::intake::{Door, Flow, Inlet};
use crate::leveller::Leveller;
use crate::pulse::{Capture, DeviceInfo, PulseError, Server};
use crate::state::Trouble;

/// How long the sound server has for an answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// The longest wait before a device, or the sound server, is looked for again.
const AGAIN: Duration = Duration::from_millis(500);
/// A device that was just taken away is not asked for again sooner.
const BREATH: Duration = Duration::from_millis(50);

/// What drives one device, on a thread of its own.
#[derive(Debug)]
pub(crate) struct Device {
    pub(crate) name: String,
    pub(crate) gain: Gain,
    pub(crate) loudness_lufs: Option<f64>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) intake: Door,
    pub(crate) board: Reporter,
    pub(crate) stop: Arc<Stop>,
}

/// Why a capture ends.
enum Fault {
    Stopped,
    Trouble(Trouble),
}

impl From<PulseError> for Fault {
    fn from(error: PulseError) -> Self {
        Self::Trouble(error.into())
    }
}

impl From<PulseError> for Trouble {
    fn from(error: PulseError) -> Self {
        match error {
            PulseError::Server(why) => Self::NoSoundServer(why),
            PulseError::Device(why) => Self::NoDevice(why),
            PulseError::Timeout(span) => {
                Self::NoSoundServer(format!("no answer in {:.1} s", span.as_secs_f32()))
            }
        }
    }
}

impl Device {
    /// Runs until stopped.
    pub(crate) fn run(self) {
        let mut backoff = Backoff::new(self.settings.backoff_first.min(AGAIN), AGAIN);
        while !self.stop.wait(Duration::ZERO) {
            match self.serve(&mut backoff) {
                Fault::Stopped => return,
                Fault::Trouble(trouble) => self.board.away(&trouble),
            }
            if self.stop.wait(backoff.failed()) {
                return;
            }
        }
    }

    /// One connection to the sound server, for as long as it stands; the device may come and go.
    fn serve(&self, backoff: &mut Backoff) -> Fault {
        let address = self.settings.sound_server.as_deref();
        let mut server = match Server::connect(address, PATIENCE) {
            Ok(server) => server,
            Err(error) => return error.into(),
        };
        loop {
            let capture = match self.find(&mut server) {
                Ok(capture) => capture,
                Err(fault) => return fault,
            };
            let mut heard = false;
            let ended = self.listen(&mut server, capture, &mut heard);
            if heard {
                backoff.succeeded();
            }
            match ended {
                Fault::Trouble(trouble @ (Trouble::NoDevice(_) | Trouble::Stalled(_))) => {
                    self.board.away(&trouble);
                    // One that was heard may be back at once; one that only refuses is not asked again
                    // and again.
                    if self.stop.wait(if heard { BREATH } else { backoff.failed() }) {
                        return Fault::Stopped;
                    }
                }
                fault @ (Fault::Stopped | Fault::Trouble(_)) => return fault,
            }
        }
    }

    /// Waits until the device is there, and begins to capture.
    fn find(&self, server: &mut Server) -> Result<Capture, Fault> {
        loop {
            let devices = server.devices(PATIENCE)?;
            match devices.into_iter().find(|device| device.name == self.name) {
                Some(info) => return Ok(server.capture(info)?),
                None => {
                    let why = format!("the sound server has none of the name {}", self.name);
                    self.board.away(&Trouble::NoDevice(why));
                }
            }
            // The server tells of new devices; the clock is for one that forgets to.
            let until = now() + AGAIN;
            while !server.news() && now() < until {
                server.turn(until.saturating_duration_since(now()))?;
                self.stopped()?;
            }
        }
    }

    /// Captures until something ends it.
    fn listen(&self, server: &mut Server, mut capture: Capture, heard: &mut bool) -> Fault {
        let Ok(inlet) = self.intake.begin(Flow::Captured) else { return Fault::Stopped };
        let fault = self.feed(server, &mut capture, &inlet, heard);
        inlet.end();
        fault
    }

    fn feed(
        &self,
        server: &mut Server,
        capture: &mut Capture,
        inlet: &Inlet,
        heard: &mut bool,
    ) -> Fault {
        let Ok(mut converter) = Converter::new(capture.info().rate_hz) else {
            return Fault::Trouble(Trouble::NoDevice("its sample rate is unusable".to_owned()));
        };
        let mut leveller =
            Leveller::live(self.gain, self.loudness_lufs).counting(self.board.limited());
        let (mut mono, mut samples) = (Vec::new(), Vec::new());
        let mut last = now();
        loop {
            let taken = capture.take(server, &mut mono);
            if let Err(error) = taken {
                return error.into();
            }
            if mono.is_empty() {
                if let Err(trouble) = self.wait(last) {
                    return Fault::Trouble(trouble);
                }
            } else {
                last = now();
                if !std::mem::replace(heard, true) {
                    self.board.playing(&shown(capture.info()));
                }
                converter.floats(&mono, &mut samples);
                leveller.apply(&mut samples);
                if inlet.push(&samples).is_err() {
                    return Fault::Stopped;
                }
                mono.clear();
                samples.clear();
            }
            if let Err(error) = server.turn(AGAIN) {
                return error.into();
            }
            if let Err(fault) = self.stopped() {
                return fault;
            }
        }
    }

    /// A device that is there and gives nothing is as good as none.
    fn wait(&self, last: Instant) -> Result<(), Trouble> {
        let stall = self.settings.stall;
        if now().saturating_duration_since(last) < stall {
            return Ok(());
        }
        Err(Trouble::Stalled(stall))
    }

    fn stopped(&self) -> Result<(), Fault> {
        if self.stop.wait(Duration::ZERO) { Err(Fault::Stopped) } else { Ok(()) }
    }
}

fn shown(info: &DeviceInfo) -> String {
    let channels = match info.channels {
        1 => "mono".to_owned(),
        2 => "stereo".to_owned(),
        count => format!("{count} channels"),
    };
    format!("captured {} Hz {channels}", info.rate_hz)
}

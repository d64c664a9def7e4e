//! One source from an ALSA device, for hosts without a sound server: ffmpeg captures it.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use audio::Gain;

use crate::backoff::Backoff;
use crate::board::Reporter;
use crate::config::Settings;
use crate::ffmpeg::{Ffmpeg, Input, Use};
use crate::folder::Stop;
use crate::intake::{Door, Flow};
use crate::leveller::Leveller;
use crate::state::Trouble;

/// The longest wait before a device is tried again.
const AGAIN: Duration = Duration::from_millis(500);
/// How late a wish from outside may be noticed.
const LOOK: Duration = Duration::from_millis(20);
/// Blocks of samples between the process and us.
const BLOCKS_MAX: usize = 16;

/// What drives one ALSA device, on a thread of its own.
#[derive(Debug)]
pub(crate) struct AlsaDevice {
    /// ALSA's name for it: `hw:0,0`.
    pub(crate) pcm: String,
    pub(crate) gain: Gain,
    pub(crate) loudness_lufs: Option<f64>,
    pub(crate) ffmpeg: Ffmpeg,
    pub(crate) settings: Arc<Settings>,
    pub(crate) intake: Door,
    pub(crate) board: Reporter,
    pub(crate) stop: Arc<Stop>,
}

impl AlsaDevice {
    /// Runs until stopped.
    pub(crate) fn run(self) {
        let mut backoff = Backoff::new(self.settings.backoff_first.min(AGAIN), AGAIN);
        while let Some(trouble) = self.capture(&mut backoff) {
            self.board.away(&trouble);
            if self.stop.wait(backoff.failed()) {
                return;
            }
        }
    }

    /// One process; `None` when we were told to stop.
    fn capture(&self, backoff: &mut Backoff) -> Option<Trouble> {
        let config = self.settings.alsa_config.clone();
        let input = Input::Alsa { pcm: self.pcm.clone(), config };
        let mut transcoder = match self.ffmpeg.start(input, None, Use::Device) {
            Ok(transcoder) => transcoder,
            Err(why) => return Some(Trouble::NoFfmpeg(why.to_string())),
        };
        let running = transcoder.running();
        let (blocks, heard) = sync_channel(BLOCKS_MAX);
        let read = move || {
            loop {
                let mut samples = Vec::new();
                let more = transcoder.next(&mut samples);
                let last = !matches!(more, Ok(true));
                // Nobody takes it when we were told to stop.
                if blocks.send(more.map(|more| (more, samples))).is_err() || last {
                    return;
                }
            }
        };
        if let Err(why) = thread::Builder::new().name("source-alsa".to_owned()).spawn(read) {
            return Some(Trouble::NoDevice(why.to_string()));
        }
        let Ok(inlet) = self.intake.begin(Flow::Captured) else {
            running.end();
            return None;
        };
        let mut leveller =
            Leveller::live(self.gain, self.loudness_lufs).counting(self.board.limited());
        let mut silent = Duration::ZERO;
        let mut first = true;
        let trouble = loop {
            if self.stop.wait(Duration::ZERO) {
                break None;
            }
            match heard.recv_timeout(LOOK) {
                Ok(Ok((false, _))) => break Some(Trouble::NoDevice("it ended".to_owned())),
                Ok(Ok((true, mut samples))) => {
                    silent = Duration::ZERO;
                    if std::mem::take(&mut first) {
                        backoff.succeeded();
                        self.board.playing("captured by ALSA");
                    }
                    leveller.apply(&mut samples);
                    if inlet.push(&samples).is_err() {
                        break None;
                    }
                }
                Ok(Err(why)) => break Some(Trouble::NoDevice(why)),
                Err(RecvTimeoutError::Disconnected) => {
                    break Some(Trouble::NoDevice("it ended".to_owned()));
                }
                Err(RecvTimeoutError::Timeout) => {
                    silent += LOOK;
                    if silent >= self.settings.stall {
                        break Some(Trouble::Stalled(self.settings.stall));
                    }
                }
            }
        };
        inlet.end();
        running.end();
        trouble
    }
}

//! One source, tried by itself: what it is, how soon it is heard, how loud it is, or what is wrong with it.
//! A server that runs is not disturbed. It waits: it is for threads that may.

use std::sync::Arc;
use std::time::Duration;

use audio::live::{Ring, UNIT_MS, UNIT_SAMPLES, Unit, unit_at};
use sources::{Heard, Phase, SourceConfig, SourceKind, SourceState};
use tokio::sync::mpsc;
use web::Tried;

use crate::clock::instant;

/// How long a source has for its first sample.
const PATIENCE: Duration = Duration::from_secs(15);

/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// Until then the fallback is still in the ring, and fading.
const FADED_UNITS: u64 = 12;

/// Units behind the clock that are read, as an engine does.
const BEHIND_UNITS: u64 = 2;

/// One source that was started.
#[derive(Debug)]
pub struct Trial {
    live: sources::Sources,
    events: mpsc::Receiver<sources::SourceEvent>,
    begun: std::time::Instant,
}

/// What was listened to and what came of it.
fn tried(state: &SourceState) -> Tried {
    let skipped = state.skipped.iter();
    Tried {
        uri: state.uri.clone(),
        codec: state.codec.clone(),
        title: state.title.clone(),
        buffered_ms: ms(state.buffered),
        underruns: state.underruns,
        reconnects: state.reconnects,
        skipped: skipped
            .map(|skipped| web::Skipped { file: skipped.file.clone(), why: skipped.why.clone() })
            .collect(),
        ..Tried::default()
    }
}

fn ms(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// The source that a text names: a `device:`, or a URI that sources have.
///
/// # Errors
/// When it is none of these, in words.
pub fn source_of(text: &str) -> Result<SourceConfig, sources::SourceUriError> {
    let kind = match text.strip_prefix("device:") {
        Some(device) if sources::is_device_name(device) => SourceKind::Device(device.to_owned()),
        Some(_) => {
            let why = "a device is named as \"entracte sources devices\" lists them".to_owned();
            return Err(sources::SourceUriError { why });
        }
        None => SourceKind::parse(text)?,
    };
    Ok(SourceConfig::new("source", kind))
}

impl Trial {
    /// Starts the source. Within a tokio runtime.
    ///
    /// # Errors
    /// When the machine gives no thread, or TLS cannot be set up.
    pub fn start(
        config: SourceConfig,
        settings: sources::Settings,
    ) -> Result<Self, sources::StartError> {
        let (happenings, events) = mpsc::channel(256);
        let begun = instant();
        let config = SourceConfig { start: sources::Start::Always, ..config };
        let live = sources::Sources::start(vec![config], settings, &happenings)?;
        Ok(Self { live, events, begun })
    }

    /// Listens for `listen` once it is heard, and says what it is or what is wrong with it.
    ///
    /// # Errors
    /// When loudness cannot be measured here.
    pub fn judge(mut self, listen: Duration) -> Result<Tried, ebur128::Error> {
        let heard = self.until_heard();
        let Some(state) = self.state() else { return Ok(Tried::default()) };
        let (first, audible) = match heard {
            Ok(times) => times,
            Err(why) => return Ok(Tried { error: Some(why), ..tried(&state) }),
        };
        let mut meter = Meter::new()?;
        let _ = self.listen(listen, |unit| -> Result<(), ()> {
            meter.hear(unit);
            Ok(())
        });
        let state = self.state().unwrap_or(state);
        let Found { loudness_lufs, peak_dbfs, rms_dbfs } = meter.found();
        Ok(Tried {
            ok: loudness_lufs.is_some(),
            error: loudness_lufs.is_none().then(|| "it gives silence".to_owned()),
            first_sample_ms: Some(ms(first)),
            heard_ms: Some(ms(audible)),
            loudness_lufs,
            peak_dbfs: Some(peak_dbfs),
            rms_dbfs: Some(rms_dbfs),
            ..tried(&state)
        })
    }

    /// How it stands.
    pub fn state(&self) -> Option<SourceState> {
        self.live.snapshot().into_iter().next()
    }

    fn ring(&self) -> Option<Arc<Ring>> {
        let name = self.live.names().into_iter().next()?;
        self.live.live(&name)
    }

    /// Waits until the source itself is heard; returns how long its first sample took to decode, and
    /// how long it took to be heard.
    ///
    /// # Errors
    /// The trouble of the last try.
    pub fn until_heard(&mut self) -> Result<(Duration, Duration), String> {
        let mut decoded = None;
        loop {
            while let Ok(event) = self.events.try_recv() {
                if matches!(event.what, sources::Happening::Playing(_)) {
                    decoded.get_or_insert_with(|| self.begun.elapsed());
                }
            }
            let state = self.state().ok_or("there is no source")?;
            if let (Heard::Source, Some(decoded)) = (state.heard, decoded) {
                return Ok((decoded, self.begun.elapsed()));
            }
            let waited = self.begun.elapsed();
            match state.phase {
                // A second try may still reach what the first did not.
                Phase::Away(trouble) if waited > Duration::from_secs(3) => {
                    return Err(trouble.to_string());
                }
                _ if waited > PATIENCE => {
                    return Err(format!("no audio in {} s", PATIENCE.as_secs()));
                }
                Phase::Away(_) | Phase::Connecting | Phase::Playing | Phase::Resting => {}
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Hears the source unit by unit, in real time.
    ///
    /// # Errors
    /// That of `hear`.
    pub fn listen<E>(
        &self,
        listen: Duration,
        mut hear: impl FnMut(&Unit) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some(ring) = self.ring() else { return Ok(()) };
        let here = || {
            unit_at(Duration::from_millis(engine::clock::now().as_millis()))
                .saturating_sub(BEHIND_UNITS)
        };
        let mut next = here() + FADED_UNITS;
        let end = next + ms(listen) / UNIT_MS;
        while next < end {
            while next <= here() && next < end {
                let mut unit = [0; UNIT_SAMPLES];
                // What is not there is silence, as in a call.
                let _ = ring.read(next, &mut unit);
                hear(&unit)?;
                next += 1;
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }
}

/// What a meter found.
struct Found {
    /// EBU R 128 integrated loudness; `None` when all of it was below the gate.
    loudness_lufs: Option<f64>,
    peak_dbfs: f64,
    rms_dbfs: f64,
}

/// Measures what is heard.
struct Meter {
    loudness: ebur128::EbuR128,
    samples: Vec<i16>,
}

impl Meter {
    fn new() -> Result<Self, ebur128::Error> {
        let loudness = ebur128::EbuR128::new(1, audio::RATE_HZ, ebur128::Mode::I)?;
        Ok(Self { loudness, samples: Vec::new() })
    }

    fn hear(&mut self, unit: &Unit) {
        // It fails only for a wrong count of channels.
        let _ = self.loudness.add_frames_i16(unit);
        self.samples.extend_from_slice(unit);
    }

    fn found(&self) -> Found {
        let lufs = self.loudness.loudness_global().ok().filter(|lufs| lufs.is_finite());
        Found {
            loudness_lufs: lufs,
            peak_dbfs: audio::measure::peak_dbfs(&self.samples),
            rms_dbfs: audio::measure::rms_dbfs(&self.samples),
        }
    }
}

//! Brings a source to the loudness that is wanted: its own gain, and what EBU R 128 says is missing.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use audio::{Gain, Limiter, RATE_HZ};
use ebur128::{EbuR128, Mode};

/// The furthest that loudness is mended, up or down, in dB.
const MEND_DB_MAX: f64 = 15.0;
/// A broadcast is judged each second,
const STEP_SAMPLES: usize = RATE_HZ as usize;
const STEP_MS: u32 = 1_000;
/// by so many of its last seconds in which something was heard.
const STEPS: usize = 15;
/// The most that its gain moves in a second, in dB: too slow to be heard as a change.
const STEP_DB: f64 = 0.5;
/// What is softer is a pause, and no reason to turn up.
const PAUSE_LUFS: f64 = -50.0;

/// What is done to one connection's samples.
#[derive(Debug)]
pub(crate) struct Leveller {
    limiter: Limiter,
    own: Gain,
    wanted_lufs: Option<f64>,
    mend_db: f64,
    watch: Option<Watch>,
    /// Told how many stretches of 5 ms were turned down so as not to clip.
    limited: Option<Arc<AtomicU64>>,
}

/// Watches the loudness of something that has no end.
struct Watch {
    meter: EbuR128,
    since: usize,
    /// The power of each of the last seconds that were no pause.
    powers: VecDeque<f64>,
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").field("since", &self.since).finish_non_exhaustive()
    }
}

impl Leveller {
    /// For a broadcast: its loudness is learnt as it comes.
    pub(crate) fn live(own: Gain, wanted_lufs: Option<f64>) -> Self {
        let watch = wanted_lufs.and_then(|_| Watch::new());
        Self { watch, ..Self::measured(own, wanted_lufs, None) }
    }

    /// For a file whose loudness was measured ahead; `None` is silence, which stays it.
    pub(crate) fn measured(own: Gain, wanted_lufs: Option<f64>, lufs: Option<f64>) -> Self {
        let mend_db = match (wanted_lufs, lufs) {
            (Some(wanted), Some(lufs)) => (wanted - lufs).clamp(-MEND_DB_MAX, MEND_DB_MAX),
            (Some(_) | None, _) => 0.0,
        };
        let limiter = Limiter::new(own.then(gain(mend_db)));
        Self { limiter, own, wanted_lufs, mend_db, watch: None, limited: None }
    }

    /// The same, telling this counter of each 5 ms that are turned down so as not to clip.
    pub(crate) fn counting(self, limited: Arc<AtomicU64>) -> Self {
        Self { limited: Some(limited), ..self }
    }

    pub(crate) fn apply(&mut self, samples: &mut [i16]) {
        if let (Some(wanted), Some(watch)) = (self.wanted_lufs, &mut self.watch)
            && let Some(lufs) = watch.hear(samples)
        {
            let off = (wanted - lufs).clamp(-MEND_DB_MAX, MEND_DB_MAX) - self.mend_db;
            self.mend_db += off.clamp(-STEP_DB, STEP_DB);
            self.limiter.set_gain(self.own.then(gain(self.mend_db)));
        }
        let before = self.limiter.limited_segments();
        self.limiter.apply(samples);
        let more = self.limiter.limited_segments() - before;
        if let Some(limited) = self.limited.as_ref().filter(|_| more > 0) {
            limited.fetch_add(more, Ordering::Relaxed);
        }
    }
}

impl Watch {
    fn new() -> Option<Self> {
        let mut meter = EbuR128::new(1, RATE_HZ, Mode::M).ok()?;
        meter.set_max_window(STEP_MS).ok()?;
        Some(Self { meter, since: 0, powers: VecDeque::new() })
    }

    /// Takes samples; gives the loudness when it is time to judge, unless this is a pause.
    fn hear(&mut self, samples: &[i16]) -> Option<f64> {
        self.meter.add_frames_i16(samples).ok()?;
        self.since += samples.len();
        if self.since < STEP_SAMPLES {
            return None;
        }
        self.since = 0;
        let second = self.meter.loudness_window(STEP_MS).ok().filter(|lufs| *lufs > PAUSE_LUFS)?;
        self.powers.push_back(10f64.powf(second / 10.0));
        if self.powers.len() > STEPS {
            self.powers.pop_front();
        }
        #[expect(clippy::cast_precision_loss, reason = "at most STEPS")]
        let mean = self.powers.iter().sum::<f64>() / self.powers.len() as f64;
        Some(10.0 * mean.log10())
    }
}

/// The integrated loudness of a whole, in LUFS; `None` when all of it is below the gate.
pub(crate) struct Measure(EbuR128);

impl Measure {
    pub(crate) fn new() -> Option<Self> {
        EbuR128::new(1, RATE_HZ, Mode::I | Mode::HISTOGRAM).ok().map(Self)
    }

    pub(crate) fn hear(&mut self, samples: &[i16]) {
        // It fails only for a wrong count of channels.
        let _ = self.0.add_frames_i16(samples);
    }

    pub(crate) fn lufs(&self) -> Option<f64> {
        self.0.loudness_global().ok().filter(|lufs| lufs.is_finite())
    }
}

#[expect(clippy::cast_possible_truncation, reason = "at most 15 dB")]
fn gain(db: f64) -> Gain {
    Gain::from_db(db as f32)
}

#[cfg(test)]
mod tests {
    use audio::measure::rms_dbfs;
    use audio::tone::Tone;

    use super::*;

    fn tone(level_dbfs: f32, seconds: usize) -> Vec<i16> {
        let mut samples = vec![0; seconds * RATE_HZ as usize];
        Tone::sine(1_000.0, level_dbfs).fill(&mut samples);
        samples
    }

    fn lufs(samples: &[i16]) -> Option<f64> {
        let mut measure = Measure::new().unwrap();
        measure.hear(samples);
        measure.lufs()
    }

    #[test]
    fn ebu_tech_3341_a_sine_of_minus_23_dbfs_is_minus_23_lufs_in_stereo_and_3_less_in_mono() {
        let found = lufs(&tone(-23.0, 20)).unwrap();
        assert!((found + 26.0).abs() < 0.3, "{found}");
        assert_eq!(lufs(&vec![0; 80_000]), None);
    }

    #[test]
    fn a_file_is_brought_to_its_loudness_from_the_first_sample() {
        for level in [-30.0, -12.0] {
            let mut samples = tone(level, 5);
            let measured = lufs(&samples);
            let mut leveller = Leveller::measured(Gain::UNITY, Some(-20.0), measured);
            leveller.apply(&mut samples);
            let found = lufs(&samples).unwrap();
            assert!((found + 20.0).abs() < 0.2, "{level} dBFS became {found} LUFS");
        }
        // Silence stays silence, and what is far too soft is turned up by 15 dB at most.
        let mut silence = vec![0; 8_000];
        Leveller::measured(Gain::UNITY, Some(-20.0), lufs(&silence)).apply(&mut silence);
        assert!(silence.iter().all(|sample| *sample == 0));
        let mut soft = tone(-60.0, 5);
        let before = rms_dbfs(&soft);
        Leveller::measured(Gain::UNITY, Some(-20.0), lufs(&soft)).apply(&mut soft);
        assert!((rms_dbfs(&soft) - before - 15.0).abs() < 0.5);
    }

    #[test]
    fn a_broadcast_is_brought_there_slowly_and_a_pause_does_not_turn_it_up() {
        let mut leveller = Leveller::live(Gain::UNITY, Some(-20.0));
        let mut play = |samples: Vec<i16>| {
            let mut all = samples;
            for block in all.chunks_mut(160) {
                leveller.apply(block);
            }
            all
        };
        let heard = play(tone(-30.0, 60));
        let second = |heard: &[i16], n: usize| rms_dbfs(&heard[n * 8_000..(n + 1) * 8_000]);
        for n in 1..60 {
            let step = second(&heard, n) - second(&heard, n - 1);
            assert!(step.abs() < 0.6, "{step} dB in a second");
        }
        let end = lufs(&heard[50 * 8_000..]).unwrap();
        assert!((end + 20.0).abs() < 0.5, "{end} LUFS");
        let before = second(&heard, 59);
        play(vec![0; 60 * 8_000]);
        let after = rms_dbfs(&play(tone(-30.0, 1)));
        assert!((after - before).abs() < 0.6, "{before} became {after}");
    }

    #[test]
    fn without_a_wish_only_the_own_gain_is_applied() {
        let mut samples = tone(-30.0, 1);
        let before = rms_dbfs(&samples);
        Leveller::live(Gain::from_db(-6.0), None).apply(&mut samples);
        assert!((rms_dbfs(&samples) - before + 6.0).abs() < 0.1);
    }
}

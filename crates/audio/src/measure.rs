//! How loud, how silent, and how alike.

#![expect(clippy::cast_precision_loss, reason = "counts of samples are far below 2^52")]

use crate::RATE_HZ;

/// What digital silence measures, in dBFS: below one step of 16 bits.
pub const SILENCE_DBFS: f64 = -100.0;

/// The root mean square against full scale; a full-scale sine is -3 dBFS. At least
/// [`SILENCE_DBFS`].
#[must_use]
pub fn rms_dbfs(samples: &[i16]) -> f64 {
    let power = energy(samples) / samples.len().max(1) as f64;
    (10.0 * (power / 32_768.0f64.powi(2)).log10()).max(SILENCE_DBFS)
}

/// The largest magnitude against full scale; at least [`SILENCE_DBFS`].
#[must_use]
pub fn peak_dbfs(samples: &[i16]) -> f64 {
    let peak = samples.iter().map(|s| s.unsigned_abs()).max().unwrap_or(0);
    (20.0 * (f64::from(peak) / 32_768.0).log10()).max(SILENCE_DBFS)
}

fn energy(samples: &[i16]) -> f64 {
    samples.iter().map(|s| f64::from(*s).powi(2)).sum()
}

/// Where one recording is found in another, and how well.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Alike {
    /// How many samples later it is heard than it was said.
    pub lag: usize,
    /// The normalised correlation there: 1 is the same but for loudness, 0 has nothing in common.
    pub correlation: f64,
}

/// Looks for all of `said` in `heard`, at every delay up to `lag_max`. `None` when `heard` is too short
/// for any, or one of them is silent.
#[must_use]
pub fn find(said: &[i16], heard: &[i16], lag_max: usize) -> Option<Alike> {
    let said_energy = energy(said);
    let lags = heard.windows(said.len().max(1)).take(lag_max.saturating_add(1)).enumerate();
    let alike = lags.filter_map(|(lag, window)| {
        let product: f64 =
            said.iter().zip(window).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
        let norm = (said_energy * energy(window)).sqrt();
        (norm > 0.0).then(|| Alike { lag, correlation: product / norm })
    });
    alike.max_by(|a, b| a.correlation.total_cmp(&b.correlation))
}

/// A meter as on a desk: it rises at once and falls by 20 dB a second.
#[derive(Clone, Copy, Debug)]
pub struct Meter {
    level: f64,
}

impl Default for Meter {
    fn default() -> Self {
        Self { level: SILENCE_DBFS }
    }
}

impl Meter {
    /// Takes samples in the order they are heard.
    pub fn hear(&mut self, samples: &[i16]) {
        let fall = 20.0 * samples.len() as f64 / f64::from(RATE_HZ);
        self.level = (self.level - fall).max(rms_dbfs(samples)).max(SILENCE_DBFS);
    }

    /// What it shows, in dBFS.
    #[must_use]
    pub const fn dbfs(&self) -> f64 {
        self.level
    }
}

/// Tells when a source has been silent for too long.
#[derive(Clone, Copy, Debug)]
pub struct SilenceDetector {
    threshold_dbfs: f64,
    limit: u64,
    silent: u64,
}

impl SilenceDetector {
    /// Silence is what stays below `threshold_dbfs`; it is long after `limit_ms`.
    #[must_use]
    pub fn new(threshold_dbfs: f64, limit_ms: u64) -> Self {
        let limit = limit_ms.saturating_mul(u64::from(RATE_HZ)) / 1_000;
        Self { threshold_dbfs, limit, silent: 0 }
    }

    /// Takes samples in the order they are heard: about 10 ms at a time.
    pub fn hear(&mut self, samples: &[i16]) {
        if rms_dbfs(samples) < self.threshold_dbfs {
            self.silent = self.silent.saturating_add(samples.len() as u64);
        } else {
            self.silent = 0;
        }
    }

    /// Milliseconds of silence until now.
    #[must_use]
    pub fn silent_ms(&self) -> u64 {
        self.silent / (u64::from(RATE_HZ) / 1_000)
    }

    /// Whether the silence has reached its limit.
    #[must_use]
    pub const fn is_too_long(&self) -> bool {
        self.silent >= self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tone::Tone;

    fn sine(db: f32) -> Vec<i16> {
        let mut samples = vec![0; 8_000];
        Tone::sine(1_000.0, db).fill(&mut samples);
        samples
    }

    #[test]
    fn levels_are_those_of_the_book() {
        for (samples, rms, peak) in [
            (sine(0.0), -3.01, 0.0),
            (sine(-20.0), -23.01, -20.0),
            (vec![0; 100], SILENCE_DBFS, SILENCE_DBFS),
            (vec![i16::MIN; 100], 0.0, 0.0),
            (Vec::new(), SILENCE_DBFS, SILENCE_DBFS),
        ] {
            assert!((rms_dbfs(&samples) - rms).abs() < 0.05, "{} {rms}", rms_dbfs(&samples));
            assert!((peak_dbfs(&samples) - peak).abs() < 0.05, "{} {peak}", peak_dbfs(&samples));
        }
    }

    /// Pseudo-noise: correlates with nothing but itself.
    fn noise(seed: u32, count: usize) -> Vec<i16> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 18) as i16 - 8_192
        };
        (0..count).map(|_| next()).collect()
    }

    #[test]
    fn a_recording_is_found_where_it_is_whatever_its_loudness() {
        let said = noise(1, 800);
        let mut heard = vec![0; 123];
        heard.extend(said.iter().map(|s| s / 3));
        heard.extend(noise(2, 500));
        let alike = find(&said, &heard, 400).unwrap();
        assert_eq!(alike.lag, 123);
        assert!(alike.correlation > 0.999);
        assert!(find(&said, &noise(3, 2_000), 400).unwrap().correlation < 0.2);
        assert_eq!(find(&said, &heard[..700], 400), None);
        assert_eq!(find(&[0; 100], &heard, 400), None);
        assert_eq!(find(&[], &heard, 400), None);
    }

    #[test]
    fn the_meter_rises_at_once_and_falls_slowly() {
        let mut meter = Meter::default();
        assert!((meter.dbfs() - SILENCE_DBFS).abs() < f64::EPSILON);
        meter.hear(&sine(-10.0)[..80]);
        assert!((meter.dbfs() + 13.01).abs() < 0.1);
        for _ in 0..50 {
            meter.hear(&[0; 80]);
        }
        assert!((meter.dbfs() + 23.01).abs() < 0.1);
    }

    #[test]
    fn silence_counts_until_a_sound() {
        let mut detector = SilenceDetector::new(-50.0, 200);
        for unit in 0..20 {
            assert!(!detector.is_too_long());
            assert_eq!(detector.silent_ms(), unit * 10);
            detector.hear(&[3; 80]);
        }
        assert!(detector.is_too_long());
        detector.hear(&sine(-30.0)[..80]);
        assert_eq!((detector.silent_ms(), detector.is_too_long()), (0, false));
    }
}

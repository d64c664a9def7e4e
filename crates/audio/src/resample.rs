//! From any rate to telephone audio: one polyphase low-pass, designed with a Kaiser window.
//!
//! Passes up to 3.4 kHz flat (±0.2 dB) and lets nothing above 4.1 kHz fold back (75 dB and more).

#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "filter design and positions: all values are far below 2^52"
)]

use std::f64::consts::PI;

use crate::RATE_HZ;

/// The lowest rate that can be converted.
pub const FROM_HZ_MIN: u32 = 1_000;
/// The highest rate that can be converted.
pub const FROM_HZ_MAX: u32 = 384_000;

/// Where the filter begins to fall, and where it has fallen; in hertz.
const PASS_HZ: f64 = 3_600.0;
const STOP_HZ: f64 = 4_100.0;
/// How far it falls, in decibels; 82 leaves room under the promised 75.
const FALL_DB: f64 = 82.0;
/// Most phases a filter may have; a rate that needs more mixes two neighbours.
const PHASES_MAX: usize = 512;
/// Sums that run side by side in the inner product, so that none waits for another; the number of taps is a multiple of it.
const LANES: usize = 32;

/// A rate that cannot be converted: outside [`FROM_HZ_MIN`] to [`FROM_HZ_MAX`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RateRefused(pub u32);

impl std::fmt::Display for RateRefused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} Hz is outside {FROM_HZ_MIN} to {FROM_HZ_MAX} Hz", self.0)
    }
}

impl std::error::Error for RateRefused {}

/// Turns samples at one rate into samples at [`RATE_HZ`], without delay: the first sample out stands
/// where the first one in stood.
#[derive(Clone, Debug)]
pub struct Resampler {
    from_hz: u32,
    /// The ratio out to in, as `up / down`.
    up: usize,
    down: usize,
    taps: usize,
    phases: usize,
    /// One row of `taps` for each phase and one past the last. Empty at 8 kHz.
    rows: Vec<f32>,
    /// What later samples out still need, oldest first.
    history: Vec<f32>,
    /// The next sample out, in input samples from `history`'s beginning and phases past that.
    at: usize,
    phase: usize,
    /// Samples out that are still owed at the end, counted in phases.
    owed: u64,
}

impl Resampler {
    /// A converter from `from_hz` to 8,000 Hz.
    ///
    /// # Errors
    /// When the rate is out of range.
    pub fn new(from_hz: u32) -> Result<Self, RateRefused> {
        if !(FROM_HZ_MIN..=FROM_HZ_MAX).contains(&from_hz) {
            return Err(RateRefused(from_hz));
        }
        let common = greatest_common_divisor(RATE_HZ, from_hz);
        let up = (RATE_HZ / common) as usize;
        let mut resampler = Self {
            from_hz,
            up,
            down: (from_hz / common) as usize,
            phases: up.min(PHASES_MAX),
            taps: 0,
            rows: Vec::new(),
            history: Vec::new(),
            at: 0,
            phase: 0,
            owed: 0,
        };
        if from_hz != RATE_HZ {
            resampler.design();
        }
        Ok(resampler)
    }

    /// The rate this converts from.
    #[must_use]
    pub const fn from_hz(&self) -> u32 {
        self.from_hz
    }

    /// Takes samples and appends what they complete.
    pub fn process(&mut self, samples: &[f32], out: &mut Vec<f32>) {
        if self.taps == 0 {
            out.extend_from_slice(samples);
            return;
        }
        self.owed += samples.len() as u64 * self.up as u64;
        self.history.extend_from_slice(samples);
        self.drain(out);
    }

    /// Appends what is still owed, so that the length out is the length in, converted and rounded up;
    /// then begins anew.
    pub fn finish(&mut self, out: &mut Vec<f32>) {
        if self.taps == 0 {
            return;
        }
        let wanted = out.len() + self.owed.div_ceil(self.down as u64) as usize;
        self.history.resize(self.history.len() + self.taps, 0.0);
        self.drain(out);
        out.truncate(wanted);
        self.reset();
    }

    /// Forgets all that was heard.
    pub fn reset(&mut self) {
        self.history.clear();
        // Half a filter of silence before the first sample puts its centre on that sample.
        self.history.resize(self.taps / 2, 0.0);
        (self.at, self.phase, self.owed) = (0, 0, 0);
    }

    fn drain(&mut self, out: &mut Vec<f32>) {
        while let Some(heard) = self.history.get(self.at..self.at + self.taps) {
            let Some(sample) = self.filter(heard) else { break };
            out.push(sample);
            self.owed = self.owed.saturating_sub(self.down as u64);
            let next = self.phase + self.down;
            self.at += next / self.up;
            self.phase = next % self.up;
        }
        let spent = self.at.min(self.history.len());
        self.history.drain(..spent);
        self.at -= spent;
    }

    /// One sample out, or none if there is no such phase.
    fn filter(&self, heard: &[f32]) -> Option<f32> {
        let scaled = self.phase * self.phases;
        let (row, between) = (scaled / self.up, scaled % self.up);
        let mut rows = self.rows.get(row * self.taps..)?.chunks_exact(self.taps);
        let sample = inner_product(heard, rows.next()?);
        if between == 0 {
            return Some(sample);
        }
        let share = between as f32 / self.up as f32;
        Some(sample + share * (inner_product(heard, rows.next()?) - sample))
    }

    /// The windowed sine with its steps spread over the phases.
    fn design(&mut self) {
        let from = f64::from(self.from_hz);
        // Below 8 kHz the source's own images are what must not be heard.
        let limit = (from / 2.0).min(f64::from(RATE_HZ) / 2.0 + 50.0);
        let (pass, stop) = (PASS_HZ.min(limit * 0.9), STOP_HZ.min(limit * 1.02));
        let width = 2.0 * PI * (stop - pass) / from;
        let taps = ((FALL_DB - 8.0) / (2.285 * width)).ceil() as usize;
        self.taps = taps.next_multiple_of(LANES);
        let beta = 0.1102 * (FALL_DB - 8.7);
        let cut = (pass + stop) / 2.0 / from;
        let half = self.taps as f64 / 2.0;
        self.rows = Vec::with_capacity((self.phases + 1) * self.taps);
        for phase in 0..=self.phases {
            let offset = phase as f64 / self.phases as f64;
            let row: Vec<f64> = (0..self.taps)
                .map(|tap| {
                    let x = tap as f64 - half - offset;
                    2.0 * cut * sinc(2.0 * cut * x) * kaiser(x / half, beta)
                })
                .collect();
            // Each phase passes a constant exactly, or the phases would hum against each other.
            let sum: f64 = row.iter().sum();
            self.rows.extend(row.iter().map(|h| (h / sum) as f32));
        }
        self.reset();
    }
}

const fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

fn sinc(x: f64) -> f64 {
    if x.abs() < 1e-9 { 1.0 } else { (PI * x).sin() / (PI * x) }
}

fn kaiser(x: f64, beta: f64) -> f64 {
    if x.abs() > 1.0 { 0.0 } else { bessel(beta * (1.0 - x * x).sqrt()) / bessel(beta) }
}

/// The modified Bessel function of the first kind, order zero.
fn bessel(x: f64) -> f64 {
    let (mut sum, mut term) = (1.0, 1.0);
    for k in 1..40 {
        term *= (x / 2.0 / f64::from(k)).powi(2);
        sum += term;
    }
    sum
}

#[inline]
fn inner_product(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; LANES];
    for (a, b) in a.as_chunks::<LANES>().0.iter().zip(b.as_chunks::<LANES>().0) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The last two need more phases than there are.
    const RATES: [u32; 11] =
        [384_000, 96_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 11_025, 44_099, 12_347];

    fn tone(hz: f64, from_hz: u32, count: usize) -> Vec<f32> {
        (0..count)
            .map(|n| (2.0 * PI * hz * n as f64 / f64::from(from_hz)).sin() as f32 * 0.5)
            .collect()
    }

    /// The level of what comes out for a tone, against the tone; the ends are left away.
    fn level_db(hz: f64, from_hz: u32) -> f64 {
        let mut resampler = Resampler::new(from_hz).unwrap();
        let mut out = Vec::new();
        resampler.process(&tone(hz, from_hz, from_hz as usize / 2), &mut out);
        let kept = &out[400..3_400];
        let power: f64 = kept.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / 3_000.0;
        10.0 * (power / 0.125).max(1e-20).log10()
    }

    #[test]
    fn the_pass_band_is_flat_to_3400_hz() {
        for from_hz in RATES {
            for hz in [50.0, 300.0, 1_003.0, 2_000.0, 3_000.0, 3_300.0, 3_400.0] {
                let level = level_db(hz, from_hz);
                assert!(level.abs() < 0.2, "{hz} Hz from {from_hz}: {level:.2} dB");
            }
        }
    }

    #[test]
    fn what_lies_above_4100_hz_does_not_fold_back() {
        let mut worst = (0.0, 0.0, -200.0);
        for from_hz in RATES {
            let top = f64::from(from_hz) / 2.0 - 20.0;
            let steps = 40;
            for step in 0..=steps {
                // Dense near the edge, where it is hardest.
                let share = (f64::from(step) / f64::from(steps)).powi(2);
                let hz = 4_100.0 + share * (top - 4_100.0);
                let level = level_db(hz, from_hz);
                if level > worst.2 {
                    worst = (hz, f64::from(from_hz), level);
                }
                assert!(level < -75.0, "{hz} Hz from {from_hz}: {level:.1} dB");
            }
        }
        println!("worst alias: {worst:?}");
    }

    #[test]
    fn a_tone_comes_out_clean() {
        for from_hz in RATES {
            let mut resampler = Resampler::new(from_hz).unwrap();
            let mut out = Vec::new();
            resampler.process(&tone(1_000.0, from_hz, from_hz as usize / 2), &mut out);
            let expected = tone(1_000.0, RATE_HZ, out.len());
            let noise: f64 = out[400..3_400]
                .iter()
                .zip(&expected[400..])
                .map(|(a, b)| f64::from(a - b).powi(2))
                .sum();
            let snr = 10.0 * (0.125 * 3_000.0 / noise).log10();
            assert!(snr > 70.0, "from {from_hz}: {snr:.1} dB");
        }
    }

    #[test]
    fn lengths_are_exact_and_slicing_does_not_matter() {
        for from_hz in [48_000, 44_100, 16_000, 11_025, 8_000, 6_000, 44_099] {
            for count in [1, 5, 441, 10_000] {
                let samples = tone(440.0, from_hz, count);
                let mut whole = Vec::new();
                let mut resampler = Resampler::new(from_hz).unwrap();
                resampler.process(&samples, &mut whole);
                resampler.finish(&mut whole);
                let exact = (count as u64 * 8_000).div_ceil(u64::from(from_hz));
                assert_eq!(whole.len() as u64, exact, "{count} from {from_hz}");
                let mut pieces = Vec::new();
                for part in samples.chunks(37) {
                    resampler.process(part, &mut pieces);
                }
                resampler.finish(&mut pieces);
                assert_eq!(whole, pieces, "{count} from {from_hz}");
            }
        }
    }

    #[test]
    fn low_rates_come_up_without_images() {
        // 1 kHz from 6 kHz has its image at 5 kHz, which would fold to 3 kHz.
        let mut resampler = Resampler::new(6_000).unwrap();
        let mut out = Vec::new();
        resampler.process(&tone(1_000.0, 6_000, 3_000), &mut out);
        let expected = tone(1_000.0, RATE_HZ, out.len());
        for (a, b) in out[400..3_400].iter().zip(&expected[400..]) {
            assert!((a - b).abs() < 0.001);
        }
    }

    #[test]
    fn impossible_rates_are_refused() {
        for from_hz in [0, 999, 384_001, u32::MAX] {
            assert_eq!(Resampler::new(from_hz).unwrap_err(), RateRefused(from_hz));
        }
    }
}

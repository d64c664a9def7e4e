//! A loop of music as a circle of samples: what rings past the end is heard at the beginning, so the
//! loop has no seam. A tune adds its own voices to the circle; this gives it a room and a loudness.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a synthesiser: all numbers are small and clamped before they become samples"
)]

use std::f64::consts::TAU;

/// Peaks are bent to stay under this share of full scale: -7 dBFS.
pub(crate) const PEAK: f64 = 0.447;

/// The loop, as a circle of samples.
pub(crate) struct Circle {
    samples: Vec<f64>,
    rate_hz: u32,
}

impl Circle {
    pub(crate) fn new(rate_hz: u32, length: usize) -> Self {
        Self { samples: vec![0.0; length], rate_hz }
    }

    /// Adds a voice from `at` on for so many seconds; past the end it goes on at the beginning.
    pub(crate) fn add(&mut self, at: usize, seconds: f64, mut voice: impl FnMut(f64) -> f64) {
        let (length, rate) = (self.samples.len(), f64::from(self.rate_hz));
        let count = ((seconds * rate) as usize).min(length);
        let (head, tail) = self.samples.split_at_mut(at % length);
        for (slot, n) in tail.iter_mut().chain(head).zip(0..count) {
            *slot += voice(n as f64 / rate);
        }
    }

    /// A small room: four echoes that feed themselves. The circle is walked twice, so that the room
    /// already sounds when the first sample is kept.
    pub(crate) fn room(&mut self, wetness: f64) {
        /// The length of each echo in samples of 8 kHz, and what it gives back.
        const WALLS: [(usize, f64); 4] = [(239, 0.72), (281, 0.70), (331, 0.68), (397, 0.66)];
        let rate = self.rate_hz as usize;
        // Walls swallow the highs, the same ones at every rate.
        let bright = 1.0 - 0.55f64.powf(8_000.0 / f64::from(self.rate_hz));
        let length = self.samples.len();
        let mut wet = vec![0.0; length];
        for (delay, back) in WALLS.map(|(delay, back)| (delay * rate / 8_000, back)) {
            let mut line = vec![0.0f64; delay];
            let mut dull = 0.0;
            for heard in [0.0, 1.0] {
                for ((dry, wet), slot) in self.samples.iter().zip(&mut wet).zip((0..delay).cycle())
                {
                    let Some(echo) = line.get_mut(slot) else { continue };
                    dull += bright * (*echo - dull);
                    *wet += heard * *echo;
                    *echo = dry + back * dull;
                }
                line.rotate_left(length % delay);
            }
        }
        for (dry, wet) in self.samples.iter_mut().zip(wet) {
            *dry += wetness * wet;
        }
    }

    /// A tremolo of so many whole waves in the loop.
    pub(crate) fn tremble(&mut self, waves: f64, depth: f64) {
        let length = self.samples.len() as f64;
        for (sample, n) in self.samples.iter_mut().zip(0..) {
            *sample *= 1.0 + depth * (TAU * waves * f64::from(n) / length).sin();
        }
    }

    /// Brings the whole to its mean power in dBFS, without its mean, and bends the peaks.
    pub(crate) fn level(&self, loudness_db: f64) -> Vec<i16> {
        let length = self.samples.len() as f64;
        let mean = self.samples.iter().sum::<f64>() / length;
        let power = self.samples.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / length;
        let gain = 10f64.powf(loudness_db / 20.0) / power.sqrt();
        self.samples.iter().map(|s| (bent((s - mean) * gain) * 32_767.0).round() as i16).collect()
    }
}

/// Straight up to two thirds of [`PEAK`], then ever flatter towards it.
fn bent(sample: f64) -> f64 {
    const KNEE: f64 = PEAK * 2.0 / 3.0;
    let over = sample.abs() - KNEE;
    if over <= 0.0 {
        return sample;
    }
    let room = PEAK - KNEE;
    (KNEE + room * (over / room).tanh()) * sample.signum()
}

pub(crate) fn hertz(key: u8) -> f64 {
    440.0 * 2f64.powf((f64::from(key) - 69.0) / 12.0)
}

/// From nothing to one in `length` seconds, without a corner.
pub(crate) fn rise(t: f64, length: f64) -> f64 {
    if t >= length { 1.0 } else { 0.5 - 0.5 * (TAU / 2.0 * t / length).cos() }
}

/// One while held, then fading.
pub(crate) fn release(t: f64, held: f64, fade: f64) -> f64 {
    if t <= held { 1.0 } else { (-(t - held) / fade).exp() }
}

/// How much sharper the loop bends around its seam than nearby; a click is a bend that the music
/// itself does not have. At most one is good.
#[cfg(test)]
pub(crate) fn seam(samples: &[i16]) -> f64 {
    let around = |n: usize| f64::from(samples[n % samples.len()]);
    let bend =
        |n: usize| (around(n) - 3.0 * around(n + 1) + 3.0 * around(n + 2) - around(n + 3)).abs();
    let end = samples.len();
    let sharpest = (end - 4..end + 4).map(bend).fold(0.0, f64::max);
    sharpest / (end - 400..end - 4).chain(end + 4..end + 400).map(bend).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peaks_bend_without_a_corner() {
        let steps: Vec<f64> = (0..400).map(|n| bent(f64::from(n) / 200.0)).collect();
        assert!(steps.windows(2).all(|pair| pair[1] >= pair[0] && pair[1] < PEAK + 1e-9));
        assert!((bent(-0.2) + 0.2).abs() < 1e-12 && (bent(-5.0) + PEAK).abs() < 1e-3);
    }
}

//! Faster and slower speech at the same pitch.
//!
//! Whole pitch periods are taken out or put in, and the seams are cross-faded over one period, so a
//! voice keeps its pitch and a seam falls where the wave repeats itself. The period is the lag at
//! which the next stretch of sound differs least from itself.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "periods and samples: small numbers, clamped before each cast"
)]

use crate::RATE_HZ;

/// The slowest speed.
pub const SPEED_MIN: f32 = 0.5;
/// The fastest speed.
pub const SPEED_MAX: f32 = 2.0;

/// The shortest and the longest pitch period that is looked for: 400 Hz and 65 Hz.
const PERIOD_MIN: usize = RATE_HZ as usize / 400;
const PERIOD_MAX: usize = RATE_HZ as usize / 65;
/// What must be at hand before a decision.
const LOOK_AHEAD: usize = 2 * PERIOD_MAX;

/// Changes the speed of telephone audio and keeps its pitch.
#[derive(Clone, Debug)]
pub struct Stretcher {
    speed: f64,
    pending: Vec<i16>,
    /// Samples of `pending` that are used up already.
    at: usize,
    /// Samples that pass unchanged before the next seam.
    unchanged: f64,
}

impl Stretcher {
    /// A stretcher at a speed: 1 is as recorded, 2 twice as fast. Speeds out of range become the
    /// nearest that is not.
    #[must_use]
    pub const fn new(speed: f32) -> Self {
        let speed = if speed.is_nan() { 1.0 } else { speed.clamp(SPEED_MIN, SPEED_MAX) };
        Self { speed: speed as f64, pending: Vec::new(), at: 0, unchanged: 0.0 }
    }

    /// The speed in force.
    #[must_use]
    pub const fn speed(&self) -> f32 {
        self.speed as f32
    }

    /// Changes the speed for what is not yet stretched.
    pub fn set_speed(&mut self, speed: f32) {
        self.speed = Self::new(speed).speed;
        self.unchanged = 0.0;
    }

    /// Takes samples and appends what they complete: up to 31 ms are held back.
    pub fn process(&mut self, samples: &[i16], out: &mut Vec<i16>) {
        self.pending.extend_from_slice(samples);
        while self.step(out) {}
        self.pending.drain(..self.at.min(self.pending.len()));
        self.at = 0;
    }

    /// Appends what was held back, and begins anew.
    pub fn finish(&mut self, out: &mut Vec<i16>) {
        while self.step(out) {}
        let rest = self.pending.get(self.at..).unwrap_or_default();
        // Too short for a seam: cut it, or leave it a little short.
        let kept = (rest.len() as f64 / self.speed.max(1.0)).round() as usize;
        out.extend(rest.iter().take(kept));
        self.pending.clear();
        (self.at, self.unchanged) = (0, 0.0);
    }

    /// Copies or makes one seam; false when more samples must come first.
    fn step(&mut self, out: &mut Vec<i16>) -> bool {
        let Some(ahead) = self.pending.get(self.at..) else { return false };
        if (self.speed - 1.0).abs() < 1e-3 {
            out.extend_from_slice(ahead);
            self.at = self.pending.len();
            return false;
        }
        if self.unchanged >= 1.0 {
            let count = ahead.len().min(self.unchanged as usize);
            out.extend(ahead.iter().take(count));
            self.at += count;
            self.unchanged -= count as f64;
            return count > 0;
        }
        if ahead.len() < LOOK_AHEAD {
            return false;
        }
        let period = period(ahead);
        let (now, later) = (ahead, ahead.get(period..).unwrap_or_default());
        let turn = period as f64;
        if self.speed > 1.0 {
            // Two periods become one; then, below double speed, some sound passes unchanged.
            cross_fade(now, later, period, out);
            self.at += 2 * period;
            self.unchanged += turn * (2.0 - self.speed) / (self.speed - 1.0);
        } else {
            // One period becomes two: itself, then a fade from what follows back to itself.
            out.extend(now.iter().take(period));
            cross_fade(later, now, period, out);
            self.at += period;
            self.unchanged += turn * (2.0 * self.speed - 1.0) / (1.0 - self.speed);
        }
        true
    }
}

/// The lag at which the sound differs least from itself, relative to its loudness there.
fn period(ahead: &[i16]) -> usize {
    let mut best = (f32::INFINITY, PERIOD_MIN);
    for lag in PERIOD_MIN..=PERIOD_MAX {
        let Some((now, later)) = ahead.split_at_checked(lag) else { break };
        let mut difference = 0;
        for (a, b) in now.iter().zip(later) {
            difference += (i32::from(*a) - i32::from(*b)).unsigned_abs();
        }
        let mean = difference as f32 / lag as f32;
        if mean < best.0 {
            best = (mean, lag);
        }
    }
    best.1
}

/// Appends a fade over `count` samples.
fn cross_fade(from: &[i16], to: &[i16], count: usize, out: &mut Vec<i16>) {
    let whole = count as i32;
    for ((from, to), n) in from.iter().zip(to).take(count).zip(0..) {
        let mixed = i32::from(*from) * (whole - n) + i32::from(*to) * n;
        out.push((mixed / whole) as i16);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::{find, rms_dbfs};

    const SPEEDS: [f32; 9] = [0.5, 0.6, 0.75, 0.9, 0.97, 1.1, 1.33, 1.6, 2.0];

    /// A voice-like sound: a pulse train through two resonances, its pitch gliding a little.
    fn voice(hz: f64, count: usize) -> Vec<i16> {
        let (mut phase, mut y) = (0.0, [[0.0f64; 2]; 2]);
        let mut next = |n: usize| {
            let glide = 1.0 + 0.02 * (n as f64 / 4_000.0).sin();
            phase += hz * glide / 8_000.0;
            let pulse = if phase >= 1.0 { 1.0 } else { 0.0 };
            phase %= 1.0;
            let mut x = pulse;
            for (state, formant) in y.iter_mut().zip([600.0f64, 1_400.0]) {
                let (r, w) = (0.97, std::f64::consts::TAU * formant / 8_000.0);
                let out = x + 2.0 * r * w.cos() * state[0] - r * r * state[1];
                *state = [out, state[0]];
                x = out;
            }
            (x * 700.0).clamp(-32_000.0, 32_000.0) as i16
        };
        (0..count).map(&mut next).collect()
    }

    /// The median pitch of 40 ms pieces: the first peak of the correlation that is nearly the
    /// highest, between samples by a parabola.
    fn pitch(samples: &[i16]) -> f64 {
        let mut found: Vec<f64> = samples
            .chunks_exact(640)
            .filter_map(|piece| {
                let at = |lag: usize| find(&piece[..320], &piece[lag..lag + 320], 0);
                let curve: Vec<f64> =
                    (0..150).map(|lag| at(lag).map_or(0.0, |alike| alike.correlation)).collect();
                let highest = curve[16..].iter().copied().fold(0.0, f64::max);
                let lag = (16..149).find(|lag| {
                    let here = curve[*lag];
                    here > 0.9 * highest && here >= curve[lag - 1] && here >= curve[lag + 1]
                })?;
                let (before, here, after) = (curve[lag - 1], curve[lag], curve[lag + 1]);
                let bend = (before - 2.0 * here + after).min(-1e-9);
                Some(lag as f64 + 0.5 * (before - after) / bend)
            })
            .collect();
        found.sort_by(f64::total_cmp);
        8_000.0 / found[found.len() / 2]
    }

    fn stretched(samples: &[i16], speed: f32, slice: usize) -> Vec<i16> {
        let (mut stretcher, mut out) = (Stretcher::new(speed), Vec::new());
        for part in samples.chunks(slice) {
            stretcher.process(part, &mut out);
        }
        stretcher.finish(&mut out);
        out
    }

    #[test]
    fn the_length_follows_the_speed_and_the_pitch_stays() {
        for hz in [90.0, 125.0, 210.0, 310.0] {
            let said = voice(hz, 24_000);
            let before = pitch(&said);
            for speed in SPEEDS {
                let heard = stretched(&said, speed, 160);
                let ratio = heard.len() as f64 * f64::from(speed) / said.len() as f64;
                assert!((ratio - 1.0).abs() < 0.02, "{hz} Hz at {speed}: length {ratio:.4}");
                let shift = pitch(&heard) / before;
                assert!((shift - 1.0).abs() < 0.03, "{hz} Hz at {speed}: pitch {shift:.4}");
                let louder = rms_dbfs(&heard) - rms_dbfs(&said);
                assert!(louder.abs() < 1.0, "{hz} Hz at {speed}: {louder:.2} dB");
            }
        }
    }

    #[test]
    fn there_and_back_is_nearly_the_same() {
        let said = voice(140.0, 16_000);
        for speed in [0.7, 1.5] {
            let back = stretched(&stretched(&said, speed, 160), 1.0 / speed, 160);
            let at = said.len() / 2;
            let alike = find(&said[at..at + 400], &back[at - 400..], 800).unwrap();
            assert!(alike.correlation > 0.9, "{speed}: {alike:?}");
        }
    }

    #[test]
    fn slicing_does_not_matter_and_speed_one_changes_nothing() {
        let said = voice(150.0, 8_000);
        assert_eq!(stretched(&said, 1.0, 160), said);
        for speed in SPEEDS {
            let whole = stretched(&said, speed, 8_000);
            for slice in [1, 80, 777] {
                assert_eq!(stretched(&said, speed, slice), whole, "{speed} in {slice}");
            }
        }
    }

    #[test]
    fn silence_noise_and_full_scale_come_through_with_their_length() {
        let square: Vec<i16> =
            (0..16_000).map(|n| if n / 23 % 2 == 0 { i16::MAX } else { i16::MIN }).collect();
        for said in [vec![0; 16_000], square, vec![5; 3]] {
            for speed in SPEEDS {
                let heard = stretched(&said, speed, 160);
                let error = heard.len() as f64 - said.len() as f64 / f64::from(speed);
                assert!(error.abs() <= 320.0, "{} at {speed}: {error}", said.len());
            }
        }
    }

    #[test]
    fn speeds_out_of_range_become_the_nearest() {
        for (asked, given) in [(0.1, 0.5), (9.0, 2.0), (f32::NAN, 1.0), (1.25, 1.25)] {
            assert!((Stretcher::new(asked).speed() - given).abs() < 1e-6);
        }
    }
}

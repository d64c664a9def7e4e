//! The hold music: thirty-six seconds of soft electric piano, composed for this project and rendered
//! for a telephone. `cargo xtask hold-music` writes it anew; a test keeps the file and this alike.
//!
//! Time is a circle: what rings past the end is heard at the beginning, so the loop has no seam.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a synthesiser: all numbers are small and clamped before they become samples"
)]

use std::f64::consts::TAU;
use std::path::PathBuf;

use audio::{RATE_HZ, wav};

use crate::{Outcome, top};

/// Where the file is kept.
const FILE: &str = "crates/sources/assets/hold-music.wav";

/// 80 beats a minute, so that a beat is a whole number of samples.
const BEAT: usize = 6_000;
const BARS: usize = 12;
const LENGTH: usize = BARS * 4 * BEAT;
/// The mean power of the whole, in dBFS; it comes out at about -20 LUFS.
const LOUDNESS_DB: f64 = -19.5;
/// Peaks are bent to stay under this share of full scale: -7 dBFS.
const PEAK: f64 = 0.447;

/// A bar's harmony: the bass, and the voices above it in their close position. A second set of voices
/// takes over in the middle of the bar.
struct Bar {
    bass: u8,
    voices: [u8; 4],
    turn: [u8; 4],
    /// Key, beat within the bar, length in beats.
    melody: &'static [(u8, f64, f64)],
}

const fn bar(bass: u8, voices: [u8; 4], melody: &'static [(u8, f64, f64)]) -> Bar {
    Bar { bass, voices, turn: voices, melody }
}

const C_MAJOR_9: [u8; 4] = [64, 67, 71, 74];
const A_MINOR_9: [u8; 4] = [60, 64, 67, 71];
const D_MINOR_9: [u8; 4] = [65, 69, 72, 76];
const E_MINOR_7: [u8; 4] = [62, 67, 71, 74];
const F_MAJOR_9: [u8; 4] = [64, 67, 69, 72];
const G_SUSPENDED: [u8; 4] = [65, 69, 72, 74];
const G_NINE: [u8; 4] = [65, 69, 71, 74];

const SCORE: [Bar; BARS] = [
    bar(48, C_MAJOR_9, &[(76, 0.0, 1.5), (74, 1.5, 0.5), (79, 2.0, 2.0)]),
    bar(45, A_MINOR_9, &[(76, 0.0, 1.0), (72, 1.0, 1.0), (71, 2.0, 2.0)]),
    bar(50, D_MINOR_9, &[(77, 0.0, 1.5), (76, 1.5, 0.5), (81, 2.0, 2.0)]),
    Bar {
        bass: 43,
        voices: G_SUSPENDED,
        turn: G_NINE,
        melody: &[(79, 0.0, 1.0), (77, 1.0, 1.0), (74, 2.0, 2.0)],
    },
    bar(48, C_MAJOR_9, &[(76, 0.0, 1.5), (79, 1.5, 0.5), (84, 2.0, 2.0)]),
    bar(52, E_MINOR_7, &[(83, 0.0, 1.0), (79, 1.0, 1.0), (76, 2.0, 2.0)]),
    bar(53, F_MAJOR_9, &[(81, 0.0, 1.5), (79, 1.5, 0.5), (76, 2.0, 1.0), (72, 3.0, 1.0)]),
    bar(43, G_NINE, &[(74, 0.0, 2.0), (71, 2.5, 0.5), (74, 3.0, 1.0)]),
    bar(45, A_MINOR_9, &[(72, 0.0, 1.5), (76, 1.5, 0.5), (79, 2.0, 2.0)]),
    bar(53, F_MAJOR_9, &[(81, 0.0, 1.0), (79, 1.0, 1.0), (76, 2.0, 2.0)]),
    bar(50, D_MINOR_9, &[(77, 0.0, 1.0), (76, 1.0, 1.0), (74, 2.0, 1.0), (72, 3.0, 1.0)]),
    Bar {
        bass: 43,
        voices: G_SUSPENDED,
        turn: G_NINE,
        melody: &[(74, 0.0, 2.5), (71, 3.0, 0.5), (74, 3.5, 0.5)],
    },
];

pub(crate) fn run(words: &[String]) -> Outcome {
    let path = words.first().map_or_else(|| top().join(FILE), PathBuf::from);
    std::fs::write(&path, file()).map_err(|why| format!("{}: {why}", path.display()))
}

/// The whole file.
fn file() -> Vec<u8> {
    wav::to_bytes(wav::Format::TELEPHONE, &render())
}

fn render() -> Vec<i16> {
    let mut circle = Circle(vec![0.0; LENGTH]);
    for (bar, number) in SCORE.iter().zip(0..) {
        let begin = number * 4 * BEAT;
        play_chords(&mut circle, bar, begin);
        for (key, beat, beats) in bar.melody {
            let at = begin + (beat * BEAT as f64) as usize;
            circle.piano(*key, at, beats * 0.95, 0.30);
        }
    }
    circle.room();
    circle.tremble();
    circle.level()
}

fn play_chords(circle: &mut Circle, bar: &Bar, begin: usize) {
    circle.bass(bar.bass, begin, 1.9, 0.30);
    circle.bass(bar.bass, begin + 5 * BEAT / 2, 1.4, 0.20);
    for (half, voices) in [bar.voices, bar.turn].iter().enumerate() {
        let at = begin + half * 2 * BEAT;
        // The second chord comes half a beat late and softer: a slow sway.
        let (late, force) = if half == 0 { (0, 0.13) } else { (BEAT / 2, 0.09) };
        for (key, order) in voices.iter().zip(0..) {
            circle.pad(*key, at, 2.2, 0.042);
            // A hand rolls the chord from below.
            circle.piano(*key, at + late + order * 130, 1.8 - half as f64 * 0.4, force);
        }
    }
}

/// The loop, as a circle of samples.
struct Circle(Vec<f64>);

impl Circle {
    /// Adds a voice from `at` on for `count` samples; past the end it goes on at the beginning.
    fn add(&mut self, at: usize, count: usize, mut voice: impl FnMut(f64) -> f64) {
        let begin = at % LENGTH;
        let (head, tail) = self.0.split_at_mut(begin);
        for (slot, n) in tail.iter_mut().chain(head).zip(0..count.min(LENGTH)) {
            *slot += voice(n as f64 / f64::from(RATE_HZ));
        }
    }

    /// A tine and its pickup: a sine whose phase is swung by its own copy, less and less, and a short
    /// bright stroke.
    fn piano(&mut self, key: u8, at: usize, beats: f64, force: f64) {
        let (hz, held) = (hertz(key), seconds(beats));
        let ring = 1.5 * (262.0 / hz).sqrt();
        self.add(at, (9 * RATE_HZ as usize) / 2, |t| {
            let turn = TAU * hz * t;
            let swing = 1.1 * force.sqrt() * (-t / 0.35).exp() + 0.12;
            let stroke = 0.10 * (-t / 0.05).exp() * (3.0 * turn).sin();
            let body = (turn + swing * turn.sin()).sin() + 0.15 * (2.0 * turn).sin() + stroke;
            force * body * rise(t, 0.006) * (-t / ring).exp() * release(t, held, 0.14)
        });
    }

    /// Low strings are heard on a telephone by their overtones.
    fn bass(&mut self, key: u8, at: usize, beats: f64, force: f64) {
        let (hz, held) = (hertz(key), seconds(beats));
        self.add(at, 3 * RATE_HZ as usize, |t| {
            let turn = TAU * hz * t;
            let body = 0.6 * turn.sin() + 0.5 * (2.0 * turn).sin() + 0.22 * (3.0 * turn).sin();
            force * body * rise(t, 0.012) * (-t / 1.4).exp() * release(t, held, 0.10)
        });
    }

    /// Two sines a breath apart, swelling and fading: no moment of the loop is silent.
    fn pad(&mut self, key: u8, at: usize, beats: f64, force: f64) {
        let (hz, held) = (hertz(key), seconds(beats));
        self.add(at, 4 * RATE_HZ as usize, |t| {
            let body = (TAU * (hz - 0.4) * t).sin() + (TAU * (hz + 0.4) * t).sin();
            force * body * rise(t, 0.5) * release(t, held, 0.45)
        });
    }

    /// A small room: four echoes that feed themselves. The circle is walked twice, so that the room
    /// already sounds when the first sample is kept.
    fn room(&mut self) {
        const WALLS: [(usize, f64); 4] = [(239, 0.72), (281, 0.70), (331, 0.68), (397, 0.66)];
        let mut wet = vec![0.0; LENGTH];
        for (delay, back) in WALLS {
            let mut line = vec![0.0f64; delay];
            let mut dull = 0.0;
            for heard in [0.0, 1.0] {
                for ((dry, wet), slot) in self.0.iter().zip(&mut wet).zip((0..delay).cycle()) {
                    let Some(echo) = line.get_mut(slot) else { continue };
                    // Walls swallow the highs.
                    dull += 0.45 * (*echo - dull);
                    *wet += heard * *echo;
                    *echo = dry + back * dull;
                }
                line.rotate_left(LENGTH % delay);
            }
        }
        for (dry, wet) in self.0.iter_mut().zip(wet) {
            *dry += 0.08 * wet;
        }
    }

    /// The slow tremolo of an electric piano: a whole number of waves in the loop.
    fn tremble(&mut self) {
        for (sample, n) in self.0.iter_mut().zip(0..) {
            *sample *= 1.0 + 0.07 * (TAU * 144.0 * f64::from(n) / LENGTH as f64).sin();
        }
    }

    /// Brings the whole to its loudness, without its mean, and bends the peaks.
    fn level(&self) -> Vec<i16> {
        let mean = self.0.iter().sum::<f64>() / LENGTH as f64;
        let power = self.0.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / LENGTH as f64;
        let gain = 10f64.powf(LOUDNESS_DB / 20.0) / power.sqrt();
        self.0.iter().map(|s| (bent((s - mean) * gain) * 32_767.0).round() as i16).collect()
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

fn hertz(key: u8) -> f64 {
    440.0 * 2f64.powf((f64::from(key) - 69.0) / 12.0)
}

fn seconds(beats: f64) -> f64 {
    beats * BEAT as f64 / f64::from(RATE_HZ)
}

/// From nothing to one in `length` seconds, without a corner.
fn rise(t: f64, length: f64) -> f64 {
    if t >= length { 1.0 } else { 0.5 - 0.5 * (TAU / 2.0 * t / length).cos() }
}

/// One while held, then fading.
fn release(t: f64, held: f64, fade: f64) -> f64 {
    if t <= held { 1.0 } else { (-(t - held) / fade).exp() }
}

#[cfg(test)]
mod tests {
    use audio::measure::{peak_dbfs, rms_dbfs};

    use super::*;

    fn kept() -> Vec<i16> {
        let bytes = std::fs::read(top().join(FILE)).unwrap();
        let wav = wav::read(&bytes).unwrap();
        assert_eq!(wav.format, wav::Format::TELEPHONE);
        wav.samples()
    }

    #[test]
    fn the_file_is_what_this_renders() {
        let (kept, rendered) = (kept(), render());
        assert_eq!(kept.len(), rendered.len());
        // Sines differ in their last bit between machines.
        let worst = kept.iter().zip(&rendered).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(worst <= Some(1), "{worst:?} steps apart: run `cargo xtask hold-music`");
    }

    #[test]
    fn the_loop_has_no_click_at_its_seam() {
        let samples = kept();
        let around = |n: usize| f64::from(samples[n % samples.len()]);
        // A click is a bend that the music itself does not have nearby.
        let bend = |n: usize| {
            (around(n) - 3.0 * around(n + 1) + 3.0 * around(n + 2) - around(n + 3)).abs()
        };
        let end = samples.len();
        let seam = (end - 4..end + 4).map(bend).fold(0.0, f64::max);
        let nearby = (end - 400..end - 4).chain(end + 4..end + 400).map(bend).fold(0.0, f64::max);
        assert!(seam <= nearby, "{seam} at the seam, {nearby} around it");
    }

    #[test]
    fn it_is_as_loud_as_a_telephone_wants_and_never_silent() {
        let samples = kept();
        assert!((30..=40).contains(&(samples.len() / RATE_HZ as usize)));
        assert!(peak_dbfs(&samples) < -6.0, "{}", peak_dbfs(&samples));
        assert!((-22.0..-18.0).contains(&rms_dbfs(&samples)), "{}", rms_dbfs(&samples));
        for (second, part) in samples.chunks(RATE_HZ as usize).enumerate() {
            assert!(rms_dbfs(part) > -32.0, "second {second}: {}", rms_dbfs(part));
        }
    }

    #[test]
    fn peaks_bend_without_a_corner() {
        let steps: Vec<f64> = (0..400).map(|n| bent(f64::from(n) / 200.0)).collect();
        assert!(steps.windows(2).all(|pair| pair[1] >= pair[0] && pair[1] < PEAK + 1e-9));
        assert!((bent(-0.2) + 0.2).abs() < 1e-12 && (bent(-5.0) + PEAK).abs() < 1e-3);
    }
}

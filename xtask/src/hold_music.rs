//! The hold music: thirty-six seconds of soft electric piano, composed for this project and rendered
//! for a telephone. `cargo xtask hold-music` writes it anew; a test keeps the file and this alike.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a synthesiser: all numbers are small and clamped before they become samples"
)]

use std::f64::consts::TAU;
use std::path::PathBuf;

use audio::{RATE_HZ, wav};

use crate::synth::{Circle, hertz, release, rise};
use crate::{Outcome, top};

/// Where the file is kept.
const FILE: &str = "crates/sources/assets/hold-music.wav";

/// 80 beats a minute, so that a beat is a whole number of samples.
const BEAT: usize = 6_000;
const BARS: usize = 12;
const LENGTH: usize = BARS * 4 * BEAT;
/// The mean power of the whole, in dBFS; it comes out at about -20 LUFS.
const LOUDNESS_DB: f64 = -19.5;

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
    std::fs::write(&path, file()).map_err(|why| format!("{}: {why}", path.display()).into())
}

/// The whole file.
fn file() -> Vec<u8> {
    wav::to_bytes(wav::Format::TELEPHONE, &render())
}

fn render() -> Vec<i16> {
    let mut circle = Circle::new(RATE_HZ, LENGTH);
    for (bar, number) in SCORE.iter().zip(0..) {
        let begin = number * 4 * BEAT;
        play_chords(&mut circle, bar, begin);
        for (key, beat, beats) in bar.melody {
            let at = begin + (beat * BEAT as f64) as usize;
            circle.piano(*key, at, beats * 0.95, 0.30);
        }
    }
    circle.room(0.08);
    // The slow tremolo of an electric piano.
    circle.tremble(144.0, 0.07);
    circle.level(LOUDNESS_DB)
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

/// The voices of this tune.
impl Circle {
    /// A tine and its pickup: a sine whose phase is swung by its own copy, less and less, and a short
    /// bright stroke.
    fn piano(&mut self, key: u8, at: usize, beats: f64, force: f64) {
        let (hz, held) = (hertz(key), seconds(beats));
        let ring = 1.5 * (262.0 / hz).sqrt();
        self.add(at, 4.5, |t| {
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
        self.add(at, 3.0, |t| {
            let turn = TAU * hz * t;
            let body = 0.6 * turn.sin() + 0.5 * (2.0 * turn).sin() + 0.22 * (3.0 * turn).sin();
            force * body * rise(t, 0.012) * (-t / 1.4).exp() * release(t, held, 0.10)
        });
    }

    /// Two sines a breath apart, swelling and fading: no moment of the loop is silent.
    fn pad(&mut self, key: u8, at: usize, beats: f64, force: f64) {
        let (hz, held) = (hertz(key), seconds(beats));
        self.add(at, 4.0, |t| {
            let body = (TAU * (hz - 0.4) * t).sin() + (TAU * (hz + 0.4) * t).sin();
            force * body * rise(t, 0.5) * release(t, held, 0.45)
        });
    }
}

fn seconds(beats: f64) -> f64 {
    beats * BEAT as f64 / f64::from(RATE_HZ)
}

#[cfg(test)]
mod tests {
    use audio::measure::{peak_dbfs, rms_dbfs};

    use super::*;
    use crate::synth::seam;

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
        let seam = seam(&kept());
        assert!(seam <= 1.0, "{seam}");
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
}

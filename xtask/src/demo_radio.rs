//! What the demo's radio station plays: forty-six seconds of marimba, keys, bass and brushes, composed
//! for this project. `cargo xtask demo-radio OUT.wav` renders one turn of the loop;
//! `crates/entracte/assets/README.md` says how it became the MP3 that is kept.
//!
//! A listener must be able to tell from five seconds where in the tune they are. So no bar comes
//! twice, and no note begins as another did: each partial starts anywhere in its wave.

#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a synthesiser: all numbers are small and positive"
)]

use std::f64::consts::TAU;

use audio::wav;

use crate::Outcome;
use crate::synth::{Circle, hertz, release, rise};

const RATE_HZ: u32 = 22_050;
/// 125 beats a minute, so that the loop is a whole number of MP3 frames and of bytes at 64 kbit/s.
const EIGHTH: usize = 5_292;
const BARS: usize = 24;
const LENGTH: usize = BARS * 8 * EIGHTH;
/// The mean power of the whole, in dBFS.
const LOUDNESS_DB: f64 = -19.0;

/// A bar: its chord, a bass note for each beat, and the melody as key, eighth within the bar, and
/// length in eighths.
type Bar = ([u8; 4], [u8; 4], &'static [(u8, usize, usize)]);

const F_SHARP_6: [u8; 4] = [66, 70, 73, 75];
const G_SHARP_MINOR_7: [u8; 4] = [66, 68, 71, 75];
const G_SHARP_9: [u8; 4] = [66, 70, 72, 75];
const A_SHARP_MINOR_7: [u8; 4] = [65, 68, 70, 73];
const A_SHARP_7: [u8; 4] = [65, 68, 70, 74];
const B_6: [u8; 4] = [66, 68, 71, 75];
const C_SHARP_9: [u8; 4] = [65, 68, 71, 75];
const C_SHARP_SUSPENDED: [u8; 4] = [66, 68, 71, 73];
const D_SHARP_MINOR_7: [u8; 4] = [66, 70, 73, 75];
const D_SHARP_7: [u8; 4] = [67, 70, 73, 75];
const E_6: [u8; 4] = [64, 68, 71, 73];

#[rustfmt::skip]
const SCORE: [Bar; BARS] = [
    (F_SHARP_6, [42, 46, 49, 51], &[(73, 0, 1), (75, 1, 1), (78, 2, 2), (82, 4, 1), (80, 5, 2), (78, 7, 1)]),
    (D_SHARP_MINOR_7, [51, 49, 46, 42], &[(75, 1, 2), (78, 3, 1), (75, 4, 1), (73, 5, 1), (70, 6, 2)]),
    (B_6, [47, 51, 54, 56], &[(71, 0, 1), (75, 1, 1), (78, 2, 1), (80, 3, 2), (82, 5, 1), (80, 6, 1), (78, 7, 1)]),
    (C_SHARP_SUSPENDED, [49, 56, 54, 53], &[(80, 0, 3), (77, 3, 1), (75, 4, 1), (73, 5, 3)]),
    (A_SHARP_MINOR_7, [46, 49, 53, 56], &[(82, 0, 1), (85, 1, 2), (82, 3, 1), (80, 4, 1), (82, 5, 1), (77, 6, 2)]),
    (D_SHARP_MINOR_7, [51, 54, 58, 54], &[(78, 0, 2), (75, 2, 1), (78, 3, 1), (82, 4, 3), (80, 7, 1)]),
    (G_SHARP_MINOR_7, [44, 47, 51, 54], &[(78, 0, 1), (80, 1, 1), (83, 2, 1), (80, 3, 2), (78, 5, 1), (75, 6, 2)]),
    (C_SHARP_9, [49, 47, 44, 41], &[(77, 0, 1), (75, 1, 1), (73, 2, 2), (68, 4, 1), (71, 5, 1), (73, 6, 1), (77, 7, 1)]),
    (B_6, [47, 54, 51, 49], &[(83, 0, 2), (82, 2, 1), (78, 3, 2), (75, 5, 1), (78, 6, 2)]),
    (E_6, [40, 44, 47, 49], &[(80, 0, 1), (76, 1, 1), (73, 2, 2), (76, 4, 1), (80, 5, 1), (83, 6, 2)]),
    (A_SHARP_MINOR_7, [46, 53, 49, 44], &[(82, 0, 3), (85, 3, 1), (87, 4, 1), (85, 5, 1), (82, 6, 1), (80, 7, 1)]),
    (D_SHARP_7, [51, 46, 43, 39], &[(79, 0, 2), (75, 2, 2), (82, 4, 1), (79, 5, 1), (75, 6, 1), (73, 7, 1)]),
    (G_SHARP_MINOR_7, [44, 51, 54, 56], &[(71, 0, 1), (75, 1, 1), (78, 2, 1), (83, 3, 3), (80, 6, 2)]),
    (A_SHARP_7, [46, 50, 53, 50], &[(82, 0, 1), (80, 1, 1), (77, 2, 1), (74, 3, 2), (77, 5, 1), (80, 6, 1), (82, 7, 1)]),
    (D_SHARP_MINOR_7, [51, 58, 56, 53], &[(85, 0, 1), (82, 1, 2), (78, 3, 1), (77, 4, 2), (75, 6, 2)]),
    (C_SHARP_SUSPENDED, [49, 51, 53, 56], &[(73, 1, 1), (75, 2, 1), (78, 3, 1), (80, 4, 1), (83, 5, 2), (85, 7, 1)]),
    (F_SHARP_6, [54, 49, 46, 42], &[(87, 0, 2), (85, 2, 1), (82, 3, 1), (85, 4, 3), (78, 7, 1)]),
    (A_SHARP_MINOR_7, [46, 41, 44, 46], &[(80, 0, 1), (82, 1, 1), (85, 2, 1), (82, 3, 1), (80, 4, 1), (77, 5, 1), (73, 6, 2)]),
    (B_6, [47, 42, 44, 46], &[(75, 0, 2), (80, 2, 2), (78, 4, 1), (75, 5, 1), (71, 6, 2)]),
    (G_SHARP_MINOR_7, [44, 47, 46, 44], &[(68, 0, 1), (71, 1, 1), (75, 2, 2), (78, 4, 2), (83, 6, 1), (82, 7, 1)]),
    (F_SHARP_6, [49, 46, 42, 46], &[(82, 0, 2), (78, 2, 1), (73, 3, 1), (70, 4, 2), (73, 6, 1), (78, 7, 1)]),
    (D_SHARP_MINOR_7, [39, 46, 51, 49], &[(75, 0, 1), (82, 1, 1), (80, 2, 1), (78, 3, 1), (75, 4, 3), (73, 7, 1)]),
    (G_SHARP_9, [44, 48, 51, 54], &[(72, 0, 2), (75, 2, 1), (78, 3, 1), (82, 4, 2), (80, 6, 1), (78, 7, 1)]),
    (C_SHARP_9, [49, 44, 41, 37], &[(77, 0, 1), (80, 1, 1), (83, 2, 1), (85, 3, 2), (83, 5, 1), (80, 6, 1), (77, 7, 1)]),
];

/// On which eighths of a bar the chord is struck: five ways in turn, which never meet four bars.
const STRIKES: [&[usize]; 5] = [&[2, 6], &[1, 4, 7], &[2, 5], &[3, 6], &[1, 3, 6]];

pub(crate) fn run(words: &[String]) -> Outcome {
    let [path] = words else {
        return Err("which file? cargo xtask demo-radio OUT.wav".to_owned().into());
    };
    let format = wav::Format { coding: wav::Coding::Pcm16, rate_hz: RATE_HZ, channels: 1 };
    std::fs::write(path, wav::to_bytes(format, &render()))
        .map_err(|why| format!("{path}: {why}").into())
}

fn render() -> Vec<i16> {
    let mut band = Band { circle: Circle::new(RATE_HZ, LENGTH), dice: Dice(0x0E27_AC7E) };
    let bars = SCORE.iter().zip(STRIKES.iter().cycle()).zip(0..);
    for (((chord, bass, melody), strikes), number) in bars {
        let begin = number * 8 * EIGHTH;
        for (key, beat) in bass.iter().zip(0..) {
            band.bass(*key, begin + beat * 2 * EIGHTH);
        }
        for (eighth, order) in strikes.iter().zip(0..) {
            let force = if order == 0 { 0.085 } else { 0.065 };
            for key in chord {
                band.keys(*key, begin + eighth * EIGHTH, force);
            }
        }
        for (key, eighth, eighths) in *melody {
            band.marimba(*key, begin + eighth * EIGHTH, *eighths);
        }
        for eighth in 0..8 {
            let (force, fade) = if eighth % 4 == 2 { (0.10, 0.07) } else { (0.035, 0.02) };
            band.brush(begin + eighth * EIGHTH, force, fade);
        }
    }
    band.circle.room(0.05);
    band.circle.level(LOUDNESS_DB)
}

/// Chance that falls the same way every time (xorshift).
struct Dice(u32);

impl Dice {
    /// From 0 to 1.
    fn throw(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        f64::from(self.0) / f64::from(u32::MAX)
    }

    /// Some partials of a note, as how much of them, and where in its wave each begins.
    fn phases<const N: usize>(&mut self, partials: [(f64, f64); N]) -> [(f64, f64, f64); N] {
        partials.map(|(times, share)| (times, share, TAU * self.throw()))
    }
}

struct Band {
    circle: Circle,
    dice: Dice,
}

impl Band {
    /// No hand is exact: up to 5 ms late.
    fn late(&mut self, at: usize) -> usize {
        at + (self.dice.throw() * 0.005 * f64::from(RATE_HZ)) as usize
    }

    /// A wooden bar tuned to its double octave, which is gone at once, over a tube that rings on.
    fn marimba(&mut self, key: u8, at: usize, eighths: usize) {
        let (hz, held) = (hertz(key), (eighths * EIGHTH) as f64 / f64::from(RATE_HZ));
        let partials = self.dice.phases([(1.0, 1.0), (2.0, 0.12), (3.98, 0.30)]);
        let at = self.late(at);
        self.circle.add(at, 1.4, |t| {
            let sound = partials.map(|(times, share, phase)| {
                share * (-t * times / 0.5).exp() * (TAU * hz * times * t + phase).sin()
            });
            0.30 * sound.iter().sum::<f64>() * rise(t, 0.004) * release(t, held, 0.12)
        });
    }

    /// Short chords in the gaps, bright and dry.
    fn keys(&mut self, key: u8, at: usize, force: f64) {
        let hz = hertz(key);
        let partials = self.dice.phases([(1.0, 1.0), (2.0, 0.55), (3.0, 0.35), (4.0, 0.15)]);
        let at = self.late(at);
        self.circle.add(at, 0.8, |t| {
            let sound = partials.map(|(times, share, phase)| {
                share * (-t * times / 0.9).exp() * (TAU * hz * times * t + phase).sin()
            });
            force * sound.iter().sum::<f64>() * rise(t, 0.005) * release(t, 0.16, 0.05)
        });
    }

    /// A plucked string, one to a beat. A telephone hears its overtones.
    fn bass(&mut self, key: u8, at: usize) {
        let hz = hertz(key);
        let partials =
            self.dice.phases([(1.0, 0.5), (2.0, 0.5), (3.0, 0.3), (4.0, 0.2), (5.0, 0.1)]);
        let at = self.late(at);
        self.circle.add(at, 0.9, |t| {
            let sound = partials.map(|(times, share, phase)| {
                share * (-t * times.sqrt() / 0.6).exp() * (TAU * hz * times * t + phase).sin()
            });
            0.22 * sound.iter().sum::<f64>() * rise(t, 0.006) * release(t, 0.42, 0.06)
        });
    }

    /// Wire on a drum: noise without its lows.
    fn brush(&mut self, at: usize, force: f64, fade: f64) {
        let at = self.late(at);
        let (dice, mut last) = (&mut self.dice, 0.0);
        self.circle.add(at, fade * 6.0, |t| {
            let noise = dice.throw() - 0.5;
            let high = noise - last;
            last = noise;
            force * high * rise(t, 0.004) * (-t / fade).exp()
        });
    }
}

#[cfg(test)]
mod tests {
    use audio::decode::{self, Hint};
    use audio::measure::{find, peak_dbfs, rms_dbfs};
    use audio::telephone::{self, Converter};

    use super::*;
    use crate::{synth, top};

    const SECOND: usize = audio::RATE_HZ as usize;
    /// MPEG-2 layer III without CRC, 64 kbit/s, 22.05 kHz, mono; the padding bit left out.
    const FRAME_HEADER: u32 = 0xFFF3_80C4;

    fn mp3() -> Vec<u8> {
        std::fs::read(top().join("crates/entracte/assets/demo-radio.mp3")).unwrap()
    }

    /// Two turns of the tune as a telephone hears it.
    fn rendered_twice() -> Vec<i16> {
        let once = render();
        let mut heard = Vec::new();
        let mut converter = Converter::new(RATE_HZ).unwrap();
        converter.integers(&once, &mut heard);
        converter.integers(&once, &mut heard);
        converter.finish(&mut heard);
        heard
    }

    #[test]
    fn the_file_played_twice_is_the_tune_played_twice() {
        let (file, rendered) = (mp3(), rendered_twice());
        let decoder = decode::open_bytes([file.clone(), file].concat(), &Hint::none()).unwrap();
        let heard = telephone::whole(decoder, rendered.len() + SECOND).unwrap();
        assert!(heard.len().abs_diff(rendered.len()) <= 1, "{} samples", heard.len());
        // Both at the beginning and across the seam; the codec is some 100 ms late.
        let turn = rendered.len() / 2;
        let mut lags = Vec::new();
        for at in [SECOND / 2, 20 * SECOND, turn - 2 * SECOND, turn - 50, turn + 30 * SECOND] {
            let alike = find(&rendered[at..at + 5 * SECOND], &heard[at..], SECOND / 5).unwrap();
            assert!(alike.correlation > 0.98, "at {at}: {alike:?}");
            lags.push(alike.lag);
        }
        assert!(lags.windows(2).all(|pair| pair[0] == pair[1]), "{lags:?}");
    }

    #[test]
    fn the_file_is_whole_frames_that_need_no_other_and_64_kbit_a_second() {
        let file = mp3();
        let (mut rest, mut frames) = (&file[..], 0);
        while let Some((header, body)) = rest.split_first_chunk::<4>() {
            let header = u32::from_be_bytes(*header);
            assert_eq!(header & !0x0200, FRAME_HEADER, "frame {frames}");
            // The reservoir, bytes of earlier frames that this one needs, is empty.
            assert_eq!(body[0], 0, "frame {frames}");
            rest = &rest[208 + (header >> 9 & 1) as usize..];
            frames += 1;
        }
        assert_eq!(frames * 576, LENGTH);
        assert_eq!(file.len() * RATE_HZ as usize, LENGTH * 8_000);
    }

    #[test]
    fn five_seconds_say_where_in_the_tune_they_are() {
        let rendered = rendered_twice();
        // What repeats in music repeats after whole eighths: 240 ms. No hand is later than 5 ms.
        let eighth = rendered.len() / 2 / (BARS * 8);
        for at in [3, 17, 31].map(|second| second * SECOND) {
            let said = &rendered[at..at + 5 * SECOND];
            for eighths in 1..BARS * 8 {
                let there = at + eighths * eighth - 48;
                let Some(heard) = rendered.get(there..there + 5 * SECOND + 96) else { break };
                let alike = find(said, heard, 96).unwrap();
                assert!(alike.correlation < 0.5, "{at}, {eighths} eighths later: {alike:?}");
            }
        }
    }

    #[test]
    fn it_is_as_loud_as_a_telephone_wants_without_a_seam() {
        let once = render();
        assert!(peak_dbfs(&once) < -6.0, "{}", peak_dbfs(&once));
        assert!((-21.0..-18.0).contains(&rms_dbfs(&once)), "{}", rms_dbfs(&once));
        for (second, part) in once.chunks(RATE_HZ as usize).enumerate() {
            assert!(rms_dbfs(part) > -26.0, "second {second}: {}", rms_dbfs(part));
        }
        assert!(synth::seam(&once) <= 1.0, "{}", synth::seam(&once));
    }
}

//! What the demo's ears make of a recording: which piece of music it is, how late packets came,
//! where it is silent.

use std::time::{Duration, Instant};

use audio::measure::{find, rms_dbfs};

use crate::client::ear::Heard;

/// Samples a second.
const RATE_HZ: usize = 8_000;

/// The excerpt by which the place in a piece of music is found: 100 ms.
const EXCERPT: usize = 800;

/// How far a source may drift against the recording within one second, in samples.
const DRIFT: usize = 40;

/// A piece of music that plays in a loop, ready to be recognised.
#[derive(Debug)]
pub struct Music {
    samples: Vec<i16>,
    period: usize,
}

impl Music {
    /// The loop `once`, as telephone audio.
    pub fn new(once: &[i16]) -> Self {
        let mut samples = once.to_vec();
        samples.extend_from_slice(once);
        Self { samples, period: once.len() }
    }

    /// Decodes `file`, played twice in a row, so that the seam is as a listener hears it.
    ///
    /// # Errors
    /// When the file cannot be decoded.
    pub fn decode(file: &[u8]) -> Result<Self, audio::decode::DecodeError> {
        let twice = [file, file].concat();
        let decoder = audio::decode::open_bytes(twice, &audio::decode::Hint::none())?;
        let samples = audio::telephone::whole(decoder, 600 * RATE_HZ)?;
        let period = samples.len() / 2;
        Ok(Self { samples, period })
    }

    /// Decodes a WAV file that is played in a loop sample by sample.
    ///
    /// # Errors
    /// When the file cannot be decoded.
    pub fn decode_wav(file: &[u8]) -> Result<Self, audio::decode::DecodeError> {
        let decoder = audio::decode::open_bytes(file.to_vec(), &audio::decode::Hint::none())?;
        Ok(Self::new(&audio::telephone::whole(decoder, 600 * RATE_HZ)?))
    }

    /// The place in the music that is heard at `at`, and how alike it is there, -1 to 1.
    pub fn place(&self, heard: &[i16], at: usize) -> Option<(usize, f64)> {
        let excerpt = heard.get(at..at + EXCERPT)?;
        let alike = find(excerpt, &self.samples, self.period)?;
        Some((alike.lag, alike.correlation))
    }

    /// How alike the recording is to this music from `from` to `to`: the mean of the normalised
    /// correlations of its seconds, each found near where it should be.
    pub fn likeness(&self, heard: &[i16], from: usize, to: usize) -> f64 {
        let Some((place, _)) = self.place(heard, from) else { return 0.0 };
        let mut place = place;
        let mut alike = Vec::new();
        for second in heard.get(from..to).unwrap_or_default().chunks_exact(RATE_HZ) {
            let Some((drift, correlation)) = self.near(second, place) else { return 0.0 };
            alike.push(correlation);
            place = self.wrap(place + drift + RATE_HZ - DRIFT);
        }
        alike.iter().sum::<f64>() / alike.len().max(1) as f64
    }

    /// The first sample from `from` on at which this music, heard until then, is heard no more.
    pub fn end(&self, heard: &[i16], from: usize) -> Option<usize> {
        const STEP: usize = 160;
        let (place, _) = self.place(heard, from)?;
        let mut place = place;
        let mut at = from;
        loop {
            let block = heard.get(at..at + STEP)?;
            // Soft passages say little; what is not music at all is judged by the next block.
            if rms_dbfs(block) > -45.0 {
                let (drift, correlation) = self.near(block, place)?;
                if correlation < 0.6 {
                    return Some(at);
                }
                place = self.wrap(place + drift + STEP - DRIFT);
            } else {
                place = self.wrap(place + STEP);
            }
            at += STEP;
        }
    }

    fn near(&self, block: &[i16], place: usize) -> Option<(usize, f64)> {
        let start = place.checked_sub(DRIFT).unwrap_or(place + self.period - DRIFT);
        let alike = find(block, self.samples.get(start..)?, 2 * DRIFT)?;
        Some((alike.lag, alike.correlation))
    }

    const fn wrap(&self, place: usize) -> usize {
        if place >= self.period { place - self.period } else { place }
    }
}

/// How late packets came against their stream's own schedule.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lateness {
    /// The 99th percentile.
    pub p99: Duration,
    /// The worst.
    pub max: Duration,
}

/// Measures against the earliest packet's schedule.
pub fn lateness(heard: &[Heard]) -> Lateness {
    let Some(first) = heard.first() else { return Lateness::default() };
    let offset = |packet: &Heard| {
        let arrived = i128::try_from(packet.at.saturating_duration_since(first.at).as_micros());
        let due = i128::from(packet.timestamp.wrapping_sub(first.timestamp)) * 125;
        arrived.unwrap_or(0) - due
    };
    let earliest = heard.iter().map(offset).min().unwrap_or(0);
    let mut late: Vec<i128> = heard.iter().map(|packet| offset(packet) - earliest).collect();
    late.sort_unstable();
    let micros = |value: Option<&i128>| {
        Duration::from_micros(value.and_then(|v| u64::try_from(*v).ok()).unwrap_or(0))
    };
    Lateness { p99: micros(late.get(late.len() * 99 / 100)), max: micros(late.last()) }
}

/// When the first sample louder than -50 dBFS was here.
pub fn first_audible(heard: &[Heard]) -> Option<Instant> {
    let packet = heard.iter().find(|packet| audio::measure::peak_dbfs(&packet.samples) > -50.0)?;
    Some(packet.at)
}

/// The longest silence of a recording: where it begins and how long it is, in samples.
pub fn longest_silence(samples: &[i16]) -> (usize, usize) {
    const STEP: usize = 40;
    let (mut best, mut run) = ((0, 0), (0, 0));
    for (number, block) in samples.chunks(STEP).enumerate() {
        if audio::measure::peak_dbfs(block) > -45.0 {
            run = ((number + 1) * STEP, 0);
        } else {
            run.1 += block.len();
        }
        if run.1 > best.1 {
            best = run;
        }
    }
    best
}

/// The frequency of a tone, from its zero crossings.
pub fn pitch_hz(samples: &[i16]) -> f64 {
    let rises = samples.windows(2).filter(|pair| matches!(pair, [a, b] if *a < 0 && *b >= 0));
    rises.count() as f64 * RATE_HZ as f64 / samples.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::cast_possible_truncation, reason = "8,000 fits")]
    fn sample(phase: f64) -> i16 {
        (phase.sin() * 8_000.0) as i16
    }

    /// A melody without repeats: a sweep.
    fn sweep(samples: usize) -> Vec<i16> {
        let mut phase = 0.0_f64;
        (0..samples)
            .map(|n| {
                phase += 0.1 + n as f64 / samples as f64;
                sample(phase)
            })
            .collect()
    }

    #[test]
    fn music_is_recognised_wherever_it_is_entered() {
        let once = sweep(40_000);
        let music = Music::new(&once);
        let heard: Vec<i16> = once.iter().cycle().skip(31_000).take(32_000).copied().collect();
        assert!(music.likeness(&heard, 0, heard.len()) > 0.99);
        let other: Vec<i16> = once.iter().rev().copied().collect();
        assert!(music.likeness(&other, 0, other.len()) < 0.7);
    }

    #[test]
    fn the_end_of_music_is_found() {
        let once = sweep(40_000);
        let music = Music::new(&once);
        let mut heard = once[..20_000].to_vec();
        heard.extend(once.iter().rev().take(8_000));
        let end = music.end(&heard, 0).unwrap();
        assert!((19_840..=20_160).contains(&end), "{end}");
    }

    #[test]
    fn a_tone_has_its_pitch_and_a_pause_its_length() {
        let tone: Vec<i16> = (0..8_000).map(|n| sample(f64::from(n) * 0.345_575)).collect();
        assert!((pitch_hz(&tone) - 440.0).abs() < 2.0);
        let paused = [&tone[..], &[0; 4_000], &tone[..]].concat();
        let (at, length) = longest_silence(&paused);
        assert!((7_960..8_040).contains(&at) && (3_900..4_040).contains(&length));
    }
}

//! Tones: for tests, for telephone signals, and for the `tone:` URI.

#![expect(clippy::cast_possible_truncation, reason = "samples are clamped to 16 bits before")]

use std::f64::consts::TAU;

use crate::{RATE_HZ, live};

/// Sines that sound together at most.
pub const SINES_MAX: usize = 4;
/// The longest tone that a text may ask for: ten minutes.
pub const LENGTH_MS_MAX: u64 = 600_000;
/// What a text means that names no level, in dBFS.
const DEFAULT_DB: f32 = -12.0;
/// What a text means that names no length.
const DEFAULT_MS: u64 = 1_000;

/// Some sines together, running on from call to call.
#[derive(Clone, Debug, PartialEq)]
pub struct Tone {
    sines: Vec<Sine>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Sine {
    amplitude: f64,
    /// Turns a sample.
    step: f64,
    /// Where it stands, in turns.
    phase: f64,
}

impl Tone {
    /// One sine with its peak at `db` dBFS.
    #[must_use]
    pub fn sine(hz: f64, db: f32) -> Self {
        Self::chord(&[hz], db)
    }

    /// Up to [`SINES_MAX`] sines, each with its peak at `db` dBFS.
    #[must_use]
    pub fn chord(hz: &[f64], db: f32) -> Self {
        let amplitude = 32_767.0 * 10f64.powf(f64::from(db) / 20.0);
        let sine = |hz: &f64| Sine { amplitude, step: hz / f64::from(RATE_HZ), phase: 0.0 };
        Self { sines: hz.iter().take(SINES_MAX).map(sine).collect() }
    }

    /// The two tones of a key, as DTMF pairs them: `0`-`9`, `*`, `#`, `A`-`D`.
    #[must_use]
    pub fn key(key: char, db: f32) -> Option<Self> {
        const KEYS: [&str; 4] = ["123A", "456B", "789C", "*0#D"];
        const LOW: [f64; 4] = [697.0, 770.0, 852.0, 941.0];
        const HIGH: [f64; 4] = [1_209.0, 1_336.0, 1_477.0, 1_633.0];
        let key = key.to_ascii_uppercase();
        let mut rows = KEYS.iter().zip(LOW);
        let (column, low) = rows.find_map(|(row, low)| Some((row.find(key)?, low)))?;
        Some(Self::chord(&[low, *HIGH.get(column)?], db))
    }

    /// Fills samples with what comes next.
    pub fn fill(&mut self, samples: &mut [i16]) {
        for sample in samples {
            let mut sum = 0.0;
            for sine in &mut self.sines {
                sum += sine.amplitude * (sine.phase * TAU).sin();
                sine.phase = (sine.phase + sine.step).fract();
            }
            *sample = sum.round().clamp(-32_768.0, 32_767.0) as i16;
        }
    }

    /// Begins a live unit with what comes next.
    pub fn unit(&mut self) -> live::Unit {
        let mut unit = [0; live::UNIT_SAMPLES];
        self.fill(&mut unit);
        unit
    }
}

/// Why a text is not a tone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ToneError {
    /// Not a number, or a frequency that a telephone cannot carry.
    Frequency,
    /// More than [`SINES_MAX`].
    TooMany,
    /// Neither `ms=` nor `db=`, or a value out of range.
    Parameter,
}

impl std::fmt::Display for ToneError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Frequency => "a frequency must be a number from 20 to 3,900",
            Self::TooMany => "too many frequencies",
            Self::Parameter => "a parameter must be ms= up to 600000 or db= from -60 to 0",
        })
    }
}

impl std::error::Error for ToneError {}

/// Reads what follows `tone:` in a URI: `440`, `350+440;ms=2000;db=-20`. The whole is returned as a tone
/// and its length in samples; its ends are at zero when a whole number of turns fits.
///
/// # Errors
/// When it is not so written.
pub fn parse(text: &str) -> Result<(Tone, u64), ToneError> {
    let mut parts = text.split(';');
    let mut hz = Vec::new();
    for number in parts.next().unwrap_or_default().split('+') {
        if hz.len() == SINES_MAX {
            return Err(ToneError::TooMany);
        }
        let value: f64 = number.parse().map_err(|_| ToneError::Frequency)?;
        if !(20.0..=3_900.0).contains(&value) {
            return Err(ToneError::Frequency);
        }
        hz.push(value);
    }
    let (mut ms, mut db) = (DEFAULT_MS, DEFAULT_DB);
    for part in parts {
        match part.split_once('=') {
            Some(("ms", value)) => ms = value.parse().map_err(|_| ToneError::Parameter)?,
            Some(("db", value)) => db = value.parse().map_err(|_| ToneError::Parameter)?,
            _ => return Err(ToneError::Parameter),
        }
    }
    if ms > LENGTH_MS_MAX || !(-60.0..=0.0).contains(&db) {
        return Err(ToneError::Parameter);
    }
    Ok((Tone::chord(&hz, db), ms * u64::from(RATE_HZ) / 1_000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::peak_dbfs;

    #[test]
    fn a_tone_has_its_level_and_runs_on_without_a_step() {
        let (mut whole, mut parts) = ([0; 1_000], [0; 1_000]);
        Tone::sine(400.0, -6.0).fill(&mut whole);
        let mut tone = Tone::sine(400.0, -6.0);
        for part in parts.chunks_mut(7) {
            tone.fill(part);
        }
        assert_eq!(whole, parts);
        assert!((peak_dbfs(&whole) + 6.0).abs() < 0.01);
        assert_eq!(Tone::sine(400.0, -6.0).unit()[..], whole[..80]);
    }

    #[test]
    fn keys_have_their_two_tones() {
        for (key, low, high) in
            [('1', 697.0, 1_209.0), ('#', 941.0, 1_477.0), ('d', 941.0, 1_633.0)]
        {
            assert_eq!(Tone::key(key, -10.0), Some(Tone::chord(&[low, high], -10.0)));
        }
        assert_eq!(Tone::key('x', 0.0), None);
    }

    #[test]
    fn texts_are_read_or_refused() {
        for (text, expected) in [
            ("440", Ok((Tone::sine(440.0, -12.0), 8_000))),
            ("350+440;ms=2000;db=-20", Ok((Tone::chord(&[350.0, 440.0], -20.0), 16_000))),
            ("", Err(ToneError::Frequency)),
            ("10", Err(ToneError::Frequency)),
            ("nan", Err(ToneError::Frequency)),
            ("100+200+300+400+500", Err(ToneError::TooMany)),
            ("440;ms=600001", Err(ToneError::Parameter)),
            ("440;ms=-1", Err(ToneError::Parameter)),
            ("440;db=nan", Err(ToneError::Parameter)),
            ("440;loud", Err(ToneError::Parameter)),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
    }
}

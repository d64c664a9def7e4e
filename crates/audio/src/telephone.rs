//! From whatever was decoded to telephone audio.

#![expect(
    clippy::cast_possible_truncation,
    reason = "samples are clamped to 16 bits before the cast"
)]

use crate::decode::{DecodeError, Decoder};
use crate::resample::{RateRefused, Resampler};

/// A decoder whose samples come out as telephone audio.
#[derive(Debug)]
pub struct Telephone {
    decoder: Decoder,
    converter: Option<Converter>,
    samples: Vec<i16>,
    ended: bool,
}

impl Telephone {
    /// Takes over a decoder.
    #[must_use]
    pub const fn new(decoder: Decoder) -> Self {
        Self { decoder, converter: None, samples: Vec::new(), ended: false }
    }

    /// The next samples, some tens of milliseconds; `None` at the end.
    ///
    /// # Errors
    /// As [`Decoder::block`].
    pub fn block(&mut self) -> Result<Option<&[i16]>, DecodeError> {
        self.samples.clear();
        while self.samples.is_empty() && !self.ended {
            let Some(block) = self.decoder.block()? else {
                self.ended = true;
                if let Some(converter) = &mut self.converter {
                    converter.finish(&mut self.samples);
                }
                break;
            };
            if self.converter.as_ref().is_none_or(|c| c.from_hz() != block.rate_hz) {
                let refused = |_| DecodeError::Unsupported("sample rate");
                let next = Converter::new(block.rate_hz).map_err(refused)?;
                if let Some(mut last) = self.converter.replace(next) {
                    last.finish(&mut self.samples);
                }
            }
            if let Some(converter) = &mut self.converter {
                converter.floats(block.samples, &mut self.samples);
            }
        }
        Ok((!self.samples.is_empty()).then_some(self.samples.as_slice()))
    }

    /// The decoder, for its titles and what it found out.
    pub const fn decoder(&mut self) -> &mut Decoder {
        &mut self.decoder
    }
}

/// All of a decoder's sound at once.
///
/// # Errors
/// As [`Decoder::block`], and [`DecodeError::Limit`] when there are more than `samples_max` samples.
pub fn whole(decoder: Decoder, samples_max: usize) -> Result<Vec<i16>, DecodeError> {
    let mut telephone = Telephone::new(decoder);
    let mut all = Vec::new();
    while let Some(samples) = telephone.block()? {
        if all.len() + samples.len() > samples_max {
            return Err(DecodeError::Limit("length of the audio"));
        }
        all.extend_from_slice(samples);
    }
    Ok(all)
}

/// Turns mono samples of one rate into telephone audio, for sounds that need no decoder.
#[derive(Clone, Debug)]
pub struct Converter {
    resampler: Resampler,
    floats: Vec<f32>,
    converted: Vec<f32>,
}

impl Converter {
    /// A converter from a rate.
    ///
    /// # Errors
    /// When the rate is out of range.
    pub fn new(from_hz: u32) -> Result<Self, RateRefused> {
        let resampler = Resampler::new(from_hz)?;
        Ok(Self { resampler, floats: Vec::new(), converted: Vec::new() })
    }

    /// The rate this converts from.
    #[must_use]
    pub const fn from_hz(&self) -> u32 {
        self.resampler.from_hz()
    }

    /// Takes samples whose full scale is 1.0; appends what they complete.
    pub fn floats(&mut self, samples: &[f32], out: &mut Vec<i16>) {
        self.converted.clear();
        self.resampler.process(samples, &mut self.converted);
        out.extend(self.converted.iter().copied().map(narrow));
    }

    /// Takes 16-bit samples; appends what they complete. At 8 kHz they stay as they are.
    pub fn integers(&mut self, samples: &[i16], out: &mut Vec<i16>) {
        if self.from_hz() == crate::RATE_HZ {
            out.extend_from_slice(samples);
            return;
        }
        let mut floats = std::mem::take(&mut self.floats);
        floats.clear();
        floats.extend(samples.iter().map(|s| f32::from(*s) / 32_768.0));
        self.floats(&floats, out);
        self.floats = floats;
    }

    /// Appends what the last samples complete, and begins anew.
    pub fn finish(&mut self, out: &mut Vec<i16>) {
        self.converted.clear();
        self.resampler.finish(&mut self.converted);
        out.extend(self.converted.iter().copied().map(narrow));
    }
}

/// To 16 bits, stopping at full scale.
fn narrow(sample: f32) -> i16 {
    (sample * 32_768.0).round().clamp(-32_768.0, 32_767.0) as i16
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::{find, rms_dbfs};
    use crate::tone::Tone;

    #[test]
    fn integers_of_our_rate_stay_exactly_as_they_are() {
        let samples: Vec<i16> = (i16::MIN..=i16::MAX).collect();
        let (mut out, mut floated) = (Vec::new(), Vec::new());
        let mut converter = Converter::new(8_000).unwrap();
        converter.integers(&samples, &mut out);
        let floats: Vec<f32> = samples.iter().map(|s| f32::from(*s) / 32_768.0).collect();
        converter.floats(&floats, &mut floated);
        converter.finish(&mut out);
        assert_eq!((&out, &floated), (&samples, &samples));
    }

    #[test]
    fn other_rates_keep_level_length_and_place() {
        for from_hz in [22_050u32, 16_000, 24_000] {
            // The tone generator runs at 8 kHz; a scaled frequency is the same tone at another rate.
            let hz = 500.0 * 8_000.0 / f64::from(from_hz);
            let mut said = vec![0; from_hz as usize];
            Tone::sine(hz, -10.0).fill(&mut said);
            let mut expected = vec![0; 8_000];
            Tone::sine(500.0, -10.0).fill(&mut expected);
            let (mut converter, mut heard) = (Converter::new(from_hz).unwrap(), Vec::new());
            for part in said.chunks(441) {
                converter.integers(part, &mut heard);
            }
            converter.finish(&mut heard);
            assert_eq!(heard.len(), 8_000);
            let alike = find(&expected[400..2_000], &heard[400..], 15).unwrap();
            assert!(alike.lag == 0 && alike.correlation > 0.9999, "{from_hz}: {alike:?}");
            assert!((rms_dbfs(&heard) + 13.01).abs() < 0.05);
        }
    }

    #[test]
    fn what_is_too_loud_stops_at_full_scale() {
        let mut heard = Vec::new();
        Converter::new(8_000).unwrap().floats(&[1.5, -1.5, 1.0, f32::NAN], &mut heard);
        assert_eq!(heard, [i16::MAX, i16::MIN, i16::MAX, 0]);
    }
}

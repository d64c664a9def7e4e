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

//! DSP Group TrueSpeech: 240 samples in 32 bytes, 8.53 kbit/s; format 0x22 of WAV files.
//!
//! A frame has four parts of 60 samples. Of each, an excitation goes through a predictor of eighth order: pulses, seven of them in places of
//! their own, on top of what was 18 to 145 samples earlier, weighted by two taps. The numbers of the tables are those of the format; they cannot
//! be others. All arithmetic of the decoder is on integers, so that every bit is as any other decoder's.

#![expect(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    reason = "fixed arrays, indices that the format bounds, and casts that its arithmetic wants"
)]

mod encode;
mod tables;

pub use encode::{AHEAD_SAMPLES, Encoder};
use tables::{FORMANT_FAR, FORMANT_NEAR, PULSE_GAINS, REFLECTIONS, TAPS, WIDENING};

/// Samples in a frame.
pub const FRAME_SAMPLES: usize = 240;
/// Bytes of a frame.
pub const FRAME_BYTES: usize = 32;

/// Samples of a part.
const PART: usize = 60;
/// Order of the predictor.
const ORDER: usize = 8;
/// Samples of the past that a lag may reach.
const MEMORY: usize = 146;
/// The shortest lag, less one.
const LAG_MIN: i32 = 18;
/// The code of a part that repeats nothing of the past.
const NO_PITCH: u32 = 127;
/// Pulses in the first 30 samples of a part, and in the other 30.
const PULSES: (usize, usize) = (3, 4);
const HALF: usize = 30;

/// What a frame says.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Frame {
    /// Which reflection coefficients.
    reflections: [u32; ORDER],
    /// Whether the first two parts are between the last frame's predictor and this one's.
    blends: bool,
    /// Where the lags of each half count from.
    lags: [u32; 2],
    parts: [Part; 4],
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Part {
    /// Which lag beyond its half's, and which taps; or [`NO_PITCH`].
    pitch: u32,
    /// Two bits for each pulse, the first pulse's highest: +1, +3, -1, -3.
    sizes: u32,
    /// Where the pulses are.
    places: u32,
    /// How large the pulses are.
    gain: u32,
}

/// Bits of the reflection coefficients, in their order.
const REFLECTION_BITS: [u32; ORDER] = [5, 5, 4, 4, 4, 3, 3, 3];

/// Bits of a frame, in little-endian words of 32, each from its highest bit on.
#[derive(Debug)]
struct Bits<'a> {
    bytes: &'a mut [u8; FRAME_BYTES],
    at: usize,
}

/// How a field is read, or written.
trait Field {
    fn field(&mut self, value: &mut u32, bits: u32);
}

impl Bits<'_> {
    const fn place(&self) -> (usize, u32) {
        let (word, bit) = (self.at / 32, self.at % 32);
        // The highest bit is in the last byte of the word.
        (word * 4 + 3 - bit / 8, 7 - (bit % 8) as u32)
    }
}

#[derive(Debug)]
struct Reads<'a>(Bits<'a>);
#[derive(Debug)]
struct Writes<'a>(Bits<'a>);

impl Field for Reads<'_> {
    fn field(&mut self, value: &mut u32, bits: u32) {
        *value = 0;
        for _ in 0..bits {
            let (byte, shift) = self.0.place();
            *value = *value << 1 | u32::from(self.0.bytes[byte] >> shift & 1);
            self.0.at += 1;
        }
    }
}

impl Field for Writes<'_> {
    fn field(&mut self, value: &mut u32, bits: u32) {
        for bit in (0..bits).rev() {
            let (byte, shift) = self.0.place();
            self.0.bytes[byte] |= ((*value >> bit & 1) as u8) << shift;
            self.0.at += 1;
        }
    }
}

impl Frame {
    /// Every field in the order of the format. The first half's lag is scattered over the frame.
    fn each(&mut self, to: &mut impl Field) {
        for (coefficient, bits) in self.reflections.iter_mut().zip(REFLECTION_BITS).rev() {
            to.field(coefficient, bits);
        }
        let mut blends = u32::from(self.blends);
        to.field(&mut blends, 1);
        self.blends = blends == 1;
        let (mut high0, mut high1, mut low1) =
            (self.lags[0] >> 4, self.lags[1] >> 4, self.lags[1] & 15);
        to.field(&mut high0, 4);
        for part in self.parts.iter_mut().rev() {
            to.field(&mut part.pitch, 7);
        }
        to.field(&mut low1, 4);
        to.field(&mut self.parts[1].sizes, 14);
        to.field(&mut self.parts[0].sizes, 14);
        to.field(&mut high1, 4);
        to.field(&mut self.parts[3].sizes, 14);
        to.field(&mut self.parts[2].sizes, 14);
        let mut low0 = 0;
        for (number, part) in self.parts.iter_mut().enumerate() {
            let mut bit = self.lags[0] >> number & 1;
            to.field(&mut bit, 1);
            low0 |= bit << number;
            to.field(&mut part.places, 27);
            to.field(&mut part.gain, 4);
        }
        self.lags = [high0 << 4 | low0, high1 << 4 | low1];
    }

    fn of_bytes(bytes: &[u8; FRAME_BYTES]) -> Self {
        let mut frame = Self::default();
        let mut bytes = *bytes;
        frame.each(&mut Reads(Bits { bytes: &mut bytes, at: 0 }));
        frame
    }

    fn to_bytes(mut self) -> [u8; FRAME_BYTES] {
        let mut bytes = [0; FRAME_BYTES];
        self.each(&mut Writes(Bits { bytes: &mut bytes, at: 0 }));
        bytes
    }
}

/// A predictor: what each of the last eight samples counts, in 1/4096.
type Predictor = [i32; ORDER];

/// The predictor of these reflection coefficients, a little widened.
fn predictor(reflections: &[u32; ORDER]) -> Predictor {
    let mut p = [0; ORDER];
    for i in 0..ORDER {
        let k = REFLECTIONS[i][reflections[i] as usize];
        let before = p;
        for j in 0..i {
            // Sixteen bits: what no speech reaches wraps around.
            let more = (before[i - 1 - j] * k + 0x4000) >> 15;
            p[j] = i32::from((p[j] + more) as i16);
        }
        p[i] = (8 - k) >> 3;
    }
    std::array::from_fn(|i| (p[i] * WIDENING[i]) >> 15)
}

/// The predictors of a frame's parts.
fn predictors(last: &Predictor, this: &Predictor, blends: bool) -> [Predictor; 4] {
    let mix = |new: i32, old: i32| -> Predictor {
        std::array::from_fn(|i| (this[i] * new + last[i] * old + 0x4000) >> 15)
    };
    if blends {
        [mix(21_846, 10_923), mix(10_923, 21_846), *this, *this]
    } else {
        [*last, *last, *this, *this]
    }
}

/// The excitation of the past, as the next part may repeat it.
type Memory = [i32; MEMORY];

/// What a part repeats of the past.
fn repeated(memory: &Memory, base: u32, pitch: u32) -> [i32; PART] {
    let mut out = [0; PART];
    if pitch == NO_PITCH {
        return out;
    }
    let lag = ((pitch / 25 + base) as i32 + LAG_MIN).min(MEMORY as i32 - 1) as usize;
    let [far, near] = TAPS[(pitch % 25) as usize];
    let mut all = [0; MEMORY + PART];
    all[..MEMORY].copy_from_slice(memory);
    for n in 0..PART {
        let at = MEMORY - 1 - lag + n;
        let value = (all[at] * far + all[at + 1] * near + 0x2000) >> 14;
        // Sixteen bits, as the format has it.
        let value = i32::from(value as i16);
        all[MEMORY + n] = value;
        out[n] = value;
    }
    out
}

/// In how many ways so many pulses can be in so many places.
const fn ways(places: u32, pulses: u32) -> u32 {
    if pulses > places {
        return 0;
    }
    let (mut all, mut n) = (1, 0);
    while n < pulses {
        all = all * (places - n) / (n + 1);
        n += 1;
    }
    all
}

/// A part's pulses.
fn pulses(part: &Part) -> [i32; PART] {
    let mut out = [0; PART];
    let sign = |number: usize| {
        let code = part.sizes >> (2 * (PULSES.0 + PULSES.1 - 1 - number)) & 3;
        PULSE_GAINS[part.gain as usize] * [1, 3, -1, -3][code as usize]
    };
    let mut number = 0;
    for (from, count, index) in
        [(0, PULSES.0, part.places >> 15), (HALF, PULSES.1, part.places & 0x7fff)]
    {
        let (mut left, mut index) = (count, index);
        for n in 0..HALF {
            if left == 0 {
                break;
            }
            // The arrangements that have a pulse here come first.
            let here = ways((HALF - 1 - n) as u32, left as u32 - 1);
            if index >= here {
                index -= here;
            } else {
                out[from + n] = sign(number);
                number += 1;
                left -= 1;
            }
        }
    }
    out
}

/// The number of an arrangement of pulses in 30 places, in their order.
fn arrangement(places: &[usize]) -> u32 {
    let mut index = 0;
    let mut next = 0;
    for (done, place) in places.iter().enumerate() {
        let left = (places.len() - done) as u32;
        for n in next..*place {
            index += ways((HALF - 1 - n) as u32, left - 1);
        }
        next = place + 1;
    }
    index
}

/// Adds a part's excitation to the memory: the pulses, and seven eighths of what was repeated.
fn remember(memory: &mut Memory, pulses: &[i32; PART], repeated: &[i32; PART]) {
    memory.copy_within(PART.., 0);
    for (n, (pulse, old)) in pulses.iter().zip(repeated).enumerate() {
        memory[MEMORY - PART + n] = i32::from((pulse + old - (old >> 3)) as i16);
    }
}

const fn clip(value: i32) -> i32 {
    if value > 0x7ffe {
        0x7ffe
    } else if value < -0x7ffe {
        -0x7ffe
    } else {
        value
    }
}

/// The last eight values, the youngest first.
#[derive(Clone, Copy, Debug, Default)]
struct Line([i32; ORDER]);

impl Line {
    fn push(&mut self, value: i32) {
        self.0.copy_within(..ORDER - 1, 1);
        self.0[0] = value;
    }

    fn sum(&self, weights: &Predictor) -> i32 {
        let products =
            self.0.iter().zip(weights).map(|(value, weight)| value.wrapping_mul(*weight));
        products.fold(0, i32::wrapping_add)
    }
}

/// Frames to samples. There are no frames that cannot be decoded.
#[derive(Clone, Debug)]
pub struct Decoder {
    last: Predictor,
    memory: Memory,
    synthesis: Line,
    near: Line,
    far: Line,
}

impl Default for Decoder {
    fn default() -> Self {
        Self {
            last: [0; ORDER],
            memory: [0; MEMORY],
            synthesis: Line::default(),
            near: Line::default(),
            far: Line::default(),
        }
    }
}

impl Decoder {
    /// Decodes one frame.
    pub fn frame(&mut self, bytes: &[u8; FRAME_BYTES]) -> [i16; FRAME_SAMPLES] {
        let frame = Frame::of_bytes(bytes);
        let this = predictor(&frame.reflections);
        let tilt = REFLECTIONS[0][frame.reflections[0] as usize];
        let parts = predictors(&self.last, &this, frame.blends);
        let mut out = [0; FRAME_SAMPLES];
        for (number, (part, weights)) in frame.parts.iter().zip(&parts).enumerate() {
            let old = repeated(&self.memory, frame.lags[number / 2], part.pitch);
            let pulses = pulses(part);
            remember(&mut self.memory, &pulses, &old);
            let excitation: [i32; PART] =
                std::array::from_fn(|n| i32::from((pulses[n] + old[n]) as i16));
            let samples = self.synthesise(&excitation, weights, tilt);
            out[PART * number..PART * (number + 1)].copy_from_slice(&samples);
        }
        self.last = this;
        out
    }

    /// Speech of the excitation, and what the format does to it after that: formants made a little clearer, and the tilt
    /// taken back.
    fn synthesise(
        &mut self,
        excitation: &[i32; PART],
        weights: &Predictor,
        tilt: i32,
    ) -> [i16; PART] {
        let scaled = |by: &[i32; ORDER]| -> Predictor {
            std::array::from_fn(|i| (by[i] * weights[i]) >> 15)
        };
        let (near, far) = (scaled(&FORMANT_NEAR), scaled(&FORMANT_FAR));
        excitation.map(|value| {
            let speech = self.synthesis.sum(weights).wrapping_add(0x800) >> 12;
            let speech = clip(value + speech);
            self.synthesis.push(speech);
            let clearer = speech + (self.near.sum(&near).wrapping_neg() >> 12);
            let clearer = i32::from(clearer as i16);
            self.near.push(speech);
            let sum = (clearer << 12).wrapping_add(self.far.sum(&far));
            self.far.push(clip(sum.wrapping_add(0x800) >> 12));
            let sum = ((self.far.0[1] * (tilt - (tilt >> 2))) >> 4).wrapping_add(sum);
            let sum = sum.wrapping_sub(sum >> 3);
            clip(sum.wrapping_add(0x800) >> 12) as i16
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure;

    #[test]
    fn every_bit_is_as_another_decoder_makes_it() {
        let frames = include_bytes!("../corpus/truespeech/random.frames");
        let wanted = include_bytes!("../corpus/truespeech/random.s16");
        let wanted = wanted.as_chunks::<2>().0.iter().map(|bytes| i16::from_le_bytes(*bytes));
        let mut decoder = Decoder::default();
        let heard = frames.as_chunks::<FRAME_BYTES>().0.iter().flat_map(|f| decoder.frame(f));
        assert!(heard.collect::<Vec<_>>() == wanted.collect::<Vec<_>>());
    }

    #[test]
    fn what_is_written_is_read_again() {
        let frames = include_bytes!("../corpus/truespeech/random.frames");
        for bytes in frames.as_chunks::<FRAME_BYTES>().0 {
            assert_eq!(Frame::of_bytes(bytes).to_bytes(), *bytes);
        }
        for places in [[0, 1, 2, 3], [26, 27, 28, 29], [0, 7, 15, 29]] {
            let part = Part { places: arrangement(&places), ..Part::default() };
            let heard = pulses(&part);
            let found: Vec<usize> =
                (HALF..PART).filter(|n| heard[*n] != 0).map(|n| n - HALF).collect();
            assert_eq!(found, places);
        }
        assert_eq!((arrangement(&[27, 28, 29]), arrangement(&[26, 27, 28, 29])), (4_059, 27_404));
    }

    /// A voice, so to speak: pulses at a pitch that glides, through two resonances, with pauses.
    fn voice() -> Vec<i16> {
        let (mut phase, mut a, mut b) = (0.0f64, [0.0f64; 2], [0.0f64; 2]);
        (0..16_800)
            .map(|n| {
                let t = f64::from(n) / 8_000.0;
                phase += (110.0 + 30.0 * (t * 3.0).sin()) / 8_000.0;
                let mut pulse = 0.0;
                if phase >= 1.0 {
                    phase -= 1.0;
                    pulse = if (t * 2.5).fract() < 0.8 { 3_000.0 } else { 0.0 };
                }
                let first = 500.0 + 150.0 * (t * 5.0).sin();
                let one = pulse + 1.86 * (first / 8_000.0 * std::f64::consts::TAU).cos() * a[0]
                    - 0.865 * a[1];
                a = [one, a[0]];
                let two = one * 0.5
                    + 1.8 * (1_500.0f64 / 8_000.0 * std::f64::consts::TAU).cos() * b[0]
                    - 0.81 * b[1];
                b = [two, b[0]];
                two as i16
            })
            .collect()
    }

    #[test]
    fn a_voice_is_known_again_and_silence_is_silent() {
        let coded = |samples: &[i16]| {
            let (mut encoder, mut decoder) = (Encoder::default(), Decoder::default());
            let mut padded = samples.to_vec();
            padded.resize(samples.len() + AHEAD_SAMPLES, 0);
            let frames = samples.len() / FRAME_SAMPLES;
            (0..frames)
                .flat_map(|n| {
                    let from = n * FRAME_SAMPLES;
                    let frame = padded[from..from + FRAME_SAMPLES].try_into().unwrap();
                    let end = from + FRAME_SAMPLES;
                    let ahead = padded[end..end + AHEAD_SAMPLES].try_into().unwrap();
                    decoder.frame(&encoder.frame(frame, ahead))
                })
                .collect::<Vec<i16>>()
        };
        let voice = voice();
        let heard = coded(&voice);
        let alike = measure::find(&voice[2_000..12_000], &heard[1_960..], 80).unwrap();
        assert!(alike.correlation > 0.85 && alike.lag.abs_diff(40) < 8, "{alike:?}");
        let silence = coded(&[0; 2_400]);
        assert!(silence.iter().all(|sample| sample.abs() <= 8), "{:?}", silence.iter().max());
        let full: Vec<i16> =
            (0..4_800).map(|n| if n / 20 % 2 == 0 { i16::MAX } else { i16::MIN }).collect();
        assert_eq!(coded(&full).len(), full.len());
    }
}

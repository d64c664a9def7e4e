//! GSM 06.10 full rate: 160 samples in 33 bytes, 13 kbit/s. ETSI EN 300 961, cited as GSM 06.10.
//!
//! All arithmetic is the standard's, on 16 and 32 bits, so that every bit is as any other encoder's and decoder's.

#![expect(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    reason = "fixed arrays, indices that the standard bounds, and casts that its arithmetic wants"
)]

/// Samples in a frame.
pub const FRAME_SAMPLES: usize = 160;
/// Bytes of a frame by itself, as in `.gsm` files and RTP (RFC 3551 §4.5.8).
pub const FRAME_BYTES: usize = 33;
/// Bytes of two frames as WAV files have them.
pub const BLOCK_BYTES: usize = 65;
/// Samples of a block.
pub const BLOCK_SAMPLES: usize = 2 * FRAME_SAMPLES;

/// The bits of the eight log-area ratios; then, four times, of lag, gain, grid, maximum and pulses.
const LAR_BITS: [u32; 8] = [6, 6, 5, 5, 4, 4, 3, 3];
const PULSES: usize = 13;
const PART: usize = 40;
/// The four high bits of a frame that stands by itself.
const MAGIC: u32 = 0xd;

/// The parameters of a frame, as they are coded. GSM 06.10 §1.7.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Frame {
    lar: [i16; 8],
    parts: [Part; 4],
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Part {
    lag: i16,
    gain: i16,
    grid: i16,
    maximum: i16,
    pulses: [i16; PULSES],
}

impl Frame {
    /// Every parameter with its bits, in their order.
    fn each(&mut self, mut visit: impl FnMut(&mut i16, u32)) {
        for (lar, bits) in self.lar.iter_mut().zip(LAR_BITS) {
            visit(lar, bits);
        }
        for part in &mut self.parts {
            visit(&mut part.lag, 7);
            visit(&mut part.gain, 2);
            visit(&mut part.grid, 2);
            visit(&mut part.maximum, 6);
            for pulse in &mut part.pulses {
                visit(pulse, 3);
            }
        }
    }

    /// Most significant bits first, after the magic.
    fn to_bytes(mut self) -> [u8; FRAME_BYTES] {
        let mut bytes = [0; FRAME_BYTES];
        let mut at = 0;
        let mut put = |value: u32, bits: u32| {
            for bit in (0..bits).rev() {
                bytes[at / 8] |= ((value >> bit & 1) << (7 - at % 8)) as u8;
                at += 1;
            }
        };
        put(MAGIC, 4);
        self.each(|value, bits| put(*value as u32, bits));
        bytes
    }

    fn of_bytes(bytes: &[u8; FRAME_BYTES]) -> Self {
        let mut frame = Self::default();
        let mut at = 4;
        frame.each(|value, bits| {
            for _ in 0..bits {
                *value = *value << 1 | i16::from(bytes[at / 8] >> (7 - at % 8) & 1);
                at += 1;
            }
        });
        frame
    }

    /// Least significant bits first, from a bit on: the second frame of a block begins within a byte.
    fn put_in_block(mut self, block: &mut [u8; BLOCK_BYTES], mut at: usize) {
        self.each(|value, bits| {
            for bit in 0..bits {
                block[at / 8] |= ((*value >> bit & 1) << (at % 8)) as u8;
                at += 1;
            }
        });
    }

    fn of_block(block: &[u8; BLOCK_BYTES], mut at: usize) -> Self {
        let mut frame = Self::default();
        frame.each(|value, bits| {
            for bit in 0..bits {
                *value |= i16::from(block[at / 8] >> (at % 8) & 1) << bit;
                at += 1;
            }
        });
        frame
    }
}

/// Bits of a frame in a block.
const BLOCK_FRAME_BITS: usize = 260;

// The standard's operations, GSM 06.10 §5.1.

const fn add(a: i16, b: i16) -> i16 {
    a.saturating_add(b)
}

const fn sub(a: i16, b: i16) -> i16 {
    a.saturating_sub(b)
}

const fn mult(a: i16, b: i16) -> i16 {
    if a == i16::MIN && b == i16::MIN { i16::MAX } else { ((a as i32 * b as i32) >> 15) as i16 }
}

const fn mult_r(a: i16, b: i16) -> i16 {
    if a == i16::MIN && b == i16::MIN {
        i16::MAX
    } else {
        ((a as i32 * b as i32 + 16_384) >> 15) as i16
    }
}

const fn abs(a: i16) -> i16 {
    a.saturating_abs()
}

/// Left shifts until the number fills its 32 bits.
const fn norm(a: i32) -> i16 {
    let a = if a < 0 { !a } else { a };
    if a == 0 { 31 } else { a.leading_zeros() as i16 - 1 }
}

const fn asr(a: i16, by: i16) -> i16 {
    if by >= 16 {
        -((a < 0) as i16)
    } else if by < 0 {
        asl(a, -by)
    } else {
        a >> by
    }
}

const fn asl(a: i16, by: i16) -> i16 {
    if by >= 16 {
        0
    } else if by < 0 {
        asr(a, -by)
    } else {
        ((a as i32) << by) as i16
    }
}

/// A quotient of 15 bits; neither is negative, and the first is not greater.
const fn div(numerator: i16, denominator: i16) -> i16 {
    let (mut left, of) = (numerator as i32, denominator as i32);
    let mut quotient = 0;
    let mut bit = 0;
    while bit < 15 && numerator != 0 {
        quotient <<= 1;
        left <<= 1;
        if left >= of {
            left -= of;
            quotient += 1;
        }
        bit += 1;
    }
    quotient
}

// The standard's tables, GSM 06.10 §5.4: of log-area ratios, of gains, of the block maximum.

const A: [i16; 8] = [20_480, 20_480, 20_480, 20_480, 13_964, 15_360, 8_534, 9_036];
const B: [i16; 8] = [0, 0, 2_048, -2_560, 94, -1_792, -341, -1_144];
const MIC: [i16; 8] = [-32, -32, -16, -16, -8, -8, -4, -4];
const MAC: [i16; 8] = [31, 31, 15, 15, 7, 7, 3, 3];
const INVA: [i16; 8] = [13_107, 13_107, 13_107, 13_107, 19_223, 17_476, 31_454, 29_708];
const DLB: [i16; 3] = [6_554, 16_384, 26_214];
const QLB: [i16; 4] = [3_277, 11_469, 21_299, 32_767];
const H: [i32; 11] = [-134, -374, 0, 2_054, 5_741, 8_192, 5_741, 2_054, 0, -374, -134];
const NRFAC: [i16; 8] = [29_128, 26_215, 23_832, 21_846, 20_165, 18_725, 17_476, 16_384];
const FAC: [i16; 8] = [18_431, 20_479, 22_527, 24_575, 26_623, 28_671, 30_719, 32_767];

/// Where the filter's coefficients change within a frame. GSM 06.10 §5.2.9.1.
const STRETCHES: [(usize, usize); 4] = [(0, 13), (13, 27), (27, 40), (40, 160)];

fn lar_decoded(coded: &[i16; 8]) -> [i16; 8] {
    std::array::from_fn(|i| {
        let shifted = asl(add(coded[i], MIC[i]), 10);
        let scaled = mult_r(INVA[i], sub(shifted, asl(B[i], 1)));
        add(scaled, scaled)
    })
}

/// The reflection coefficients of a stretch, between those of the last frame and this one's.
fn reflections(stretch: usize, last: &[i16; 8], this: &[i16; 8]) -> [i16; 8] {
    std::array::from_fn(|i| {
        let (a, b) = (last[i], this[i]);
        let lar = match stretch {
            0 => add(add(a >> 2, b >> 2), a >> 1),
            1 => add(a >> 1, b >> 1),
            2 => add(add(a >> 2, b >> 2), b >> 1),
            _ => b,
        };
        let size = abs(lar);
        let size = if size < 11_059 {
            size << 1
        } else if size < 20_070 {
            size + 11_059
        } else {
            add(size >> 2, 26_112)
        };
        if lar < 0 { -size } else { size }
    })
}

/// Exponent and mantissa of a block maximum. GSM 06.10 §5.2.15.
const fn exponent(maximum: i16) -> (i16, usize) {
    let mut exponent = if maximum > 15 { (maximum >> 3) - 1 } else { 0 };
    let mut mantissa = maximum - (exponent << 3);
    if mantissa == 0 {
        return (-4, 7);
    }
    while mantissa <= 7 {
        mantissa = mantissa << 1 | 1;
        exponent -= 1;
    }
    (exponent, (mantissa - 8) as usize)
}

/// The excitation that a part's pulses stand for. GSM 06.10 §5.2.16 and 17.
fn excitation(part: &Part) -> [i16; PART] {
    let (exponent, mantissa) = exponent(part.maximum);
    let shift = sub(6, exponent);
    let round = asl(1, sub(shift, 1));
    let mut out = [0; PART];
    for (i, pulse) in part.pulses.iter().enumerate() {
        let value = mult_r(FAC[mantissa], ((*pulse << 1) - 7) << 12);
        out[part.grid as usize + 3 * i] = asr(add(value, round), shift);
    }
    out
}

/// Samples to frames.
#[derive(Clone, Debug)]
pub struct Encoder {
    z1: i16,
    z2: i32,
    mp: i16,
    lar: [i16; 8],
    u: [i16; 8],
    /// The reconstructed residual: the last 120, then this frame's.
    residual: [i16; 120 + FRAME_SAMPLES],
}

impl Default for Encoder {
    fn default() -> Self {
        Self { z1: 0, z2: 0, mp: 0, lar: [0; 8], u: [0; 8], residual: [0; 280] }
    }
}

impl Encoder {
    /// Encodes one frame by itself.
    pub fn frame(&mut self, samples: &[i16; FRAME_SAMPLES]) -> [u8; FRAME_BYTES] {
        self.encode(samples).to_bytes()
    }

    /// Encodes two frames as a block of a WAV file.
    pub fn block(&mut self, samples: &[i16; BLOCK_SAMPLES]) -> [u8; BLOCK_BYTES] {
        let mut block = [0; BLOCK_BYTES];
        let mut half = [0; FRAME_SAMPLES];
        for (number, part) in samples.chunks_exact(FRAME_SAMPLES).enumerate() {
            half.copy_from_slice(part);
            self.encode(&half).put_in_block(&mut block, number * BLOCK_FRAME_BITS);
        }
        block
    }

    fn encode(&mut self, samples: &[i16; FRAME_SAMPLES]) -> Frame {
        let mut s = self.prepared(samples);
        let mut frame = Frame { lar: coded_lars(&mut s), ..Frame::default() };
        self.analyse(&frame.lar, &mut s);
        for number in 0..4 {
            let mut d = [0; PART];
            d.copy_from_slice(&s[PART * number..PART * (number + 1)]);
            frame.parts[number] = self.part(number, &d);
        }
        self.residual.copy_within(FRAME_SAMPLES.., 0);
        frame
    }

    /// Downscaling, offset compensation, preemphasis. GSM 06.10 §5.2.1 to 5.2.3.
    fn prepared(&mut self, samples: &[i16; FRAME_SAMPLES]) -> [i16; FRAME_SAMPLES] {
        samples.map(|sample| {
            let so = (sample >> 3) << 2;
            let s1 = so.wrapping_sub(self.z1);
            self.z1 = so;
            let msp = (self.z2 >> 15) as i16;
            let lsp = (self.z2 - (i32::from(msp) << 15)) as i16;
            let s2 = (i32::from(s1) << 15) + i32::from(mult_r(lsp, 32_735));
            self.z2 = (i32::from(msp) * 32_735).saturating_add(s2);
            let rounded = self.z2.saturating_add(16_384);
            let emphasis = mult_r(self.mp, -28_180);
            self.mp = (rounded >> 15) as i16;
            add(self.mp, emphasis)
        })
    }

    /// Short-term analysis filtering. GSM 06.10 §5.2.10.
    fn analyse(&mut self, lar: &[i16; 8], s: &mut [i16; FRAME_SAMPLES]) {
        let this = lar_decoded(lar);
        for (stretch, (from, to)) in STRETCHES.into_iter().enumerate() {
            let rp = reflections(stretch, &self.lar, &this);
            for sample in &mut s[from..to] {
                let (mut di, mut sou) = (*sample, *sample);
                for (u, rp) in self.u.iter_mut().zip(rp) {
                    let ui = *u;
                    *u = sou;
                    sou = add(ui, mult_r(rp, di));
                    di = add(di, mult_r(rp, ui));
                }
                *sample = di;
            }
        }
        self.lar = this;
    }

    /// Long-term prediction and regular pulses of a part. GSM 06.10 §5.2.11 to 5.2.18.
    fn part(&mut self, number: usize, d: &[i16; PART]) -> Part {
        let now = 120 + PART * number;
        let (lag, gain) = self.predictor(now, d);
        let mut predicted = [0; PART];
        let mut e = [0; PART + 10];
        for k in 0..PART {
            predicted[k] = mult_r(QLB[gain as usize], self.residual[now + k - lag]);
            e[5 + k] = sub(d[k], predicted[k]);
        }
        let part = Part { lag: lag as i16, gain, ..pulses(&e) };
        for (k, value) in excitation(&part).into_iter().enumerate() {
            self.residual[now + k] = add(value, predicted[k]);
        }
        part
    }

    /// Lag and coded gain. GSM 06.10 §5.2.11.
    fn predictor(&self, now: usize, d: &[i16; PART]) -> (usize, i16) {
        let loudest = d.iter().map(|d| abs(*d)).max().unwrap_or(0);
        let shift = if loudest == 0 { 6 } else { norm(i32::from(loudest) << 16) };
        let scale = if shift > 6 || loudest == 0 { 0 } else { 6 - shift };
        let wt = d.map(|d| i32::from(d >> scale));
        let history = |lag: usize| &self.residual[now - lag..now - lag + PART];
        let (mut lag, mut best) = (40, 0);
        for candidate in 40..=120 {
            let sum: i32 = wt.iter().zip(history(candidate)).map(|(w, h)| w * i32::from(*h)).sum();
            if sum > best {
                (lag, best) = (candidate, sum);
            }
        }
        let best = (best << 1) >> (6 - scale);
        let power: i32 = history(lag).iter().map(|h| i32::from(*h >> 3).pow(2)).sum::<i32>() << 1;
        if best <= 0 {
            return (lag, 0);
        }
        if best >= power {
            return (lag, 3);
        }
        let by = norm(power);
        let (r, s) = (((best << by) >> 16) as i16, ((power << by) >> 16) as i16);
        let gain = DLB.iter().take_while(|limit| r > mult(s, **limit)).count();
        (lag, gain as i16)
    }
}

/// The coded log-area ratios of a frame. GSM 06.10 §5.2.4 to 5.2.7.
fn coded_lars(s: &mut [i16; FRAME_SAMPLES]) -> [i16; 8] {
    let loudest = s.iter().map(|s| abs(*s)).max().unwrap_or(0);
    let scale = if loudest == 0 { 0 } else { 4 - norm(i32::from(loudest) << 16) };
    if scale > 0 {
        let by = 16_384 >> (scale - 1);
        s.iter_mut().for_each(|s| *s = mult_r(*s, by));
    }
    let acf: [i32; 9] = std::array::from_fn(|k| {
        let sum: i32 =
            s[k..].iter().zip(s.iter()).map(|(a, b)| i32::from(*a) * i32::from(*b)).sum();
        sum << 1
    });
    if scale > 0 {
        s.iter_mut().for_each(|s| *s = asl(*s, scale));
    }
    let mut coded = [0; 8];
    for (i, r) in schur(&acf).into_iter().enumerate() {
        let size = abs(r);
        let size = if size < 22_118 {
            size >> 1
        } else if size < 31_130 {
            size - 11_059
        } else {
            (size - 26_112) << 2
        };
        let lar = if r < 0 { -size } else { size };
        let step = add(add(mult(A[i], lar), B[i]), 256) >> 9;
        coded[i] = step.clamp(MIC[i], MAC[i]) - MIC[i];
    }
    coded
}

/// Reflection coefficients by the Schur recursion. GSM 06.10 §5.2.5.
fn schur(acf: &[i32; 9]) -> [i16; 8] {
    let mut r = [0; 8];
    if acf[0] == 0 {
        return r;
    }
    let by = norm(acf[0]);
    let mut p: [i16; 9] = std::array::from_fn(|i| ((acf[i] << by) >> 16) as i16);
    let mut k = p;
    for n in 0..8 {
        let size = abs(p[1]);
        if p[0] < size {
            return r;
        }
        r[n] = div(size, p[0]);
        if p[1] > 0 {
            r[n] = -r[n];
        }
        if n == 7 {
            break;
        }
        p[0] = add(p[0], mult_r(p[1], r[n]));
        for m in 1..8 - n {
            let next = p[m + 1];
            p[m] = add(next, mult_r(k[m], r[n]));
            k[m] = add(k[m], mult_r(next, r[n]));
        }
    }
    r
}

/// The pulses that stand for a residual. GSM 06.10 §5.2.13 to 5.2.15.
fn pulses(e: &[i16; PART + 10]) -> Part {
    let x: [i16; PART] = std::array::from_fn(|k| {
        let sum: i32 = H.iter().zip(&e[k..]).map(|(h, e)| h * i32::from(*e)).sum();
        ((sum + 4_096) >> 13).clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16
    });
    let energy = |grid: usize| -> i32 {
        (0..PULSES).map(|i| i32::from(x[grid + 3 * i] >> 2).pow(2)).sum::<i32>() << 1
    };
    let mut grid = 0;
    let mut most = energy(0);
    for candidate in 1..4 {
        let energy = energy(candidate);
        if energy > most {
            (grid, most) = (candidate, energy);
        }
    }
    let chosen: [i16; PULSES] = std::array::from_fn(|i| x[grid + 3 * i]);
    let loudest = chosen.iter().map(|x| abs(*x)).max().unwrap_or(0);
    let mut exp = 0;
    let mut rest = loudest >> 9;
    for _ in 0..6 {
        if rest <= 0 {
            break;
        }
        exp += 1;
        rest >>= 1;
    }
    let maximum = add(loudest >> (exp + 5), exp << 3);
    let (exp, mantissa) = exponent(maximum);
    let quantized = chosen.map(|x| (mult(asl(x, 6 - exp), NRFAC[mantissa]) >> 12) + 4);
    Part { grid: grid as i16, maximum, pulses: quantized, ..Part::default() }
}

/// Frames to samples. There are no frames that cannot be decoded.
#[derive(Clone, Debug)]
pub struct Decoder {
    lar: [i16; 8],
    v: [i16; 9],
    msr: i16,
    lag: usize,
    residual: [i16; 120 + PART],
}

impl Default for Decoder {
    fn default() -> Self {
        Self { lar: [0; 8], v: [0; 9], msr: 0, lag: 40, residual: [0; 160] }
    }
}

impl Decoder {
    /// Decodes one frame by itself. Its magic is not looked at.
    pub fn frame(&mut self, bytes: &[u8; FRAME_BYTES]) -> [i16; FRAME_SAMPLES] {
        self.decode(&Frame::of_bytes(bytes))
    }

    /// Decodes a block of a WAV file.
    pub fn block(&mut self, bytes: &[u8; BLOCK_BYTES]) -> [i16; BLOCK_SAMPLES] {
        let mut out = [0; BLOCK_SAMPLES];
        for (number, half) in out.chunks_exact_mut(FRAME_SAMPLES).enumerate() {
            let frame = Frame::of_block(bytes, number * BLOCK_FRAME_BITS);
            half.copy_from_slice(&self.decode(&frame));
        }
        out
    }

    fn decode(&mut self, frame: &Frame) -> [i16; FRAME_SAMPLES] {
        let mut s = [0; FRAME_SAMPLES];
        for (part, out) in frame.parts.iter().zip(s.chunks_exact_mut(PART)) {
            // GSM 06.10 §5.3.2: a lag that cannot be is the last one.
            if (40..=120).contains(&part.lag) {
                self.lag = part.lag as usize;
            }
            let gain = QLB[part.gain as usize];
            for (k, value) in excitation(part).into_iter().enumerate() {
                let predicted = mult_r(gain, self.residual[120 + k - self.lag]);
                self.residual[120 + k] = add(value, predicted);
            }
            out.copy_from_slice(&self.residual[120..]);
            self.residual.copy_within(PART.., 0);
        }
        self.synthesise(&frame.lar, &mut s);
        s.map(|sample| {
            self.msr = add(sample, mult_r(self.msr, 28_180));
            add(self.msr, self.msr) & !7
        })
    }

    /// Short-term synthesis filtering. GSM 06.10 §5.3.4.
    fn synthesise(&mut self, lar: &[i16; 8], s: &mut [i16; FRAME_SAMPLES]) {
        let this = lar_decoded(lar);
        for (stretch, (from, to)) in STRETCHES.into_iter().enumerate() {
            let rp = reflections(stretch, &self.lar, &this);
            for sample in &mut s[from..to] {
                let mut sri = *sample;
                for i in (0..8).rev() {
                    sri = sub(sri, mult_r(rp[i], self.v[i]));
                    self.v[i + 1] = add(self.v[i], mult_r(rp[i], sri));
                }
                self.v[0] = sri;
                *sample = sri;
            }
        }
        self.lar = this;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What libgsm made of the same samples, and what it made of that again.
    const FRAMES: &[u8] = include_bytes!("../corpus/gsm/reference.gsm");
    const BLOCKS: &[u8] = include_bytes!("../corpus/gsm/reference.blocks");
    const DECODED: &[u8] = include_bytes!("../corpus/gsm/reference.s16");

    fn samples() -> Vec<i16> {
        let wave = |n: i32| {
            let loud = if n / 800 % 3 != 0 {
                (n * n * 7 % 4_001 - 2_000) * (n / 400 % 16 + 1)
            } else {
                (n * 37 % 200 - 100) * 150
            };
            loud.clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16
        };
        (0..6_400).map(wave).collect()
    }

    #[test]
    fn every_bit_is_as_libgsm_makes_it() {
        let mut encoder = Encoder::default();
        let frames: Vec<u8> = samples()
            .as_chunks::<FRAME_SAMPLES>()
            .0
            .iter()
            .flat_map(|frame| encoder.frame(frame))
            .collect();
        assert!(frames == FRAMES);
        let mut encoder = Encoder::default();
        let blocks: Vec<u8> = samples()
            .as_chunks::<BLOCK_SAMPLES>()
            .0
            .iter()
            .flat_map(|block| encoder.block(block))
            .collect();
        assert!(blocks == BLOCKS);
        let mut decoder = Decoder::default();
        let mut again = Decoder::default();
        let one = FRAMES.as_chunks::<FRAME_BYTES>().0.iter().flat_map(|frame| decoder.frame(frame));
        let two = BLOCKS.as_chunks::<BLOCK_BYTES>().0.iter().flat_map(|block| again.block(block));
        let wanted = DECODED.as_chunks::<2>().0.iter().map(|bytes| i16::from_le_bytes(*bytes));
        let wanted: Vec<i16> = wanted.collect();
        assert!(one.collect::<Vec<_>>() == wanted);
        assert!(two.collect::<Vec<_>>() == wanted);
    }

    #[test]
    fn any_bytes_are_frames() {
        let mut decoder = Decoder::default();
        let mut seed = 1u32;
        for _ in 0..2_000 {
            let frame = std::array::from_fn(|_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (seed >> 24) as u8
            });
            decoder.frame(&frame);
        }
    }
}

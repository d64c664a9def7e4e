//! G.711 as ITU-T G.191 rounds it: one's complement for negative samples, 14 bits (mu) and 13 bits (A).
//!
//! Both encoders use the same trick: converted to `f32`, a magnitude's exponent is its segment and
//! the top four bits of its mantissa are its step. So the loops have no branches and become vector code.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    reason = "sample arithmetic: every range is stated beside it and all 65,536 inputs are tested"
)]

/// Which of the two G.711 codes.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Law {
    /// mu-law, PCMU, payload type 0.
    Mu,
    /// A-law, PCMA, payload type 8.
    A,
}

impl Law {
    /// The code of a zero sample: what silence is filled with.
    #[must_use]
    pub const fn silence(self) -> u8 {
        match self {
            Self::Mu => 0xFF,
            Self::A => 0xD5,
        }
    }

    /// The static RTP payload type. RFC 3551 §6.
    #[must_use]
    pub const fn payload_type(self) -> u8 {
        match self {
            Self::Mu => 0,
            Self::A => 8,
        }
    }

    /// The encoding name that SDP uses. RFC 3551 §4.5.14.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mu => "PCMU",
            Self::A => "PCMA",
        }
    }
}

/// Encodes as many samples as fit both slices.
pub fn encode(law: Law, samples: &[i16], codes: &mut [u8]) {
    // Two plain loops: they are what compilers turn into vector code best.
    match law {
        Law::Mu => samples.iter().zip(codes).for_each(|(s, code)| *code = encode_mu(*s)),
        Law::A => samples.iter().zip(codes).for_each(|(s, code)| *code = encode_a(*s)),
    }
}

/// Decodes as many codes as fit both slices.
pub fn decode(law: Law, codes: &[u8], samples: &mut [i16]) {
    let table = match law {
        Law::Mu => &MU,
        Law::A => &A,
    };
    for (sample, code) in samples.iter_mut().zip(codes) {
        *sample = entry(table, *code);
    }
}

/// Decodes one code.
#[must_use]
pub fn decode_one(law: Law, code: u8) -> i16 {
    match law {
        Law::Mu => entry(&MU, code),
        Law::A => entry(&A, code),
    }
}

#[expect(clippy::indexing_slicing, reason = "a u8 cannot pass the end of 256 entries")]
#[inline]
const fn entry(table: &[i16; 256], code: u8) -> i16 {
    table[code as usize]
}

#[inline]
fn encode_mu(sample: i16) -> u8 {
    // 33 is the bias of G.711 mu-law; 8158 + 33 = 8191, the largest 13-bit magnitude.
    let magnitude = ((((sample ^ (sample >> 15)) as u16) >> 2) as i16).min(8158) + 33;
    // 33..=8191 has exponents 5..=12, so segment 0 begins at (127 + 5) << 4.
    let step = (f32::from(magnitude).to_bits() >> 19) as i32 - (132 << 4);
    // All bits are sent inverted, the sign bit is 1 for positive.
    (step as u8) ^ (0x7F | (!(sample >> 8) & 0x80) as u8)
}

#[inline]
fn encode_a(sample: i16) -> u8 {
    let magnitude = (((sample ^ (sample >> 15)) as u16) >> 4) as i16;
    // Segments 0 and 1 are one straight line, so below 32 the magnitude is the step itself. From
    // there exponents 5..=10 are segments 2..=7: segment 0 would begin at (127 + 3) << 4.
    let curved = ((f32::from(magnitude).to_bits() >> 19) as i32 - (130 << 4)) as i16;
    let step = if magnitude < 32 { magnitude } else { curved };
    // Even bits are sent inverted, the sign bit is 1 for positive.
    (step as u8) ^ (0x55 | (!(sample >> 8) & 0x80) as u8)
}

static MU: [i16; 256] = table(Law::Mu);
static A: [i16; 256] = table(Law::A);

#[expect(clippy::indexing_slicing, reason = "runs at compile time; the loop ends at 256")]
const fn table(law: Law) -> [i16; 256] {
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        table[code] = match law {
            Law::Mu => expand_mu(code as u8),
            Law::A => expand_a(code as u8),
        };
        code += 1;
    }
    table
}

const fn expand_mu(code: u8) -> i16 {
    let inverted = !code;
    let segment = (inverted >> 4) & 7;
    let step = (inverted & 15) as i16;
    let magnitude = (((step << 3) + 132) << segment) - 132;
    if inverted & 0x80 == 0 { magnitude } else { -magnitude }
}

const fn expand_a(code: u8) -> i16 {
    let toggled = code ^ 0x55;
    let segment = (toggled >> 4) & 7;
    let step = (toggled & 15) as i16;
    let magnitude =
        if segment == 0 { (step << 4) + 8 } else { ((step << 4) + 0x108) << (segment - 1) };
    if toggled & 0x80 == 0 { -magnitude } else { magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ITU-T G.191 `ulaw_compress`, written as plainly as the standard's own text.
    fn mu_by_the_book(sample: i16) -> u8 {
        let ones = if sample < 0 { !sample } else { sample };
        let magnitude = ((i32::from(ones) >> 2) + 33).min(0x1FFF);
        let mut segment = 1;
        let mut rest = magnitude >> 6;
        while rest != 0 {
            segment += 1;
            rest >>= 1;
        }
        let high = 8 - segment;
        let low = 15 - ((magnitude >> segment) & 15);
        let sign = if sample >= 0 { 0x80 } else { 0 };
        ((high << 4) | low | sign) as u8
    }

    /// ITU-T G.191 `alaw_compress`.
    fn a_by_the_book(sample: i16) -> u8 {
        let ones = if sample < 0 { !sample } else { sample };
        let mut x = i32::from(ones) >> 4;
        if x > 15 {
            let mut exponent = 1;
            while x > 31 {
                x >>= 1;
                exponent += 1;
            }
            x -= 16;
            x += exponent << 4;
        }
        if sample >= 0 {
            x |= 0x80;
        }
        (x ^ 0x55) as u8
    }

    /// ITU-T G.191 `ulaw_expand`.
    fn mu_back_by_the_book(code: u8) -> i16 {
        let sign = if code < 0x80 { -1 } else { 1 };
        let mantissa = !i32::from(code);
        let exponent = (mantissa >> 4) & 7;
        let step = 4 << (exponent + 1);
        (sign * ((0x80 << exponent) + step * (mantissa & 15) + step / 2 - 4 * 33)) as i16
    }

    /// ITU-T G.191 `alaw_expand`.
    fn a_back_by_the_book(code: u8) -> i16 {
        let x = (i32::from(code) ^ 0x55) & 0x7F;
        let exponent = x >> 4;
        let mut mantissa = x & 15;
        if exponent > 0 {
            mantissa += 16;
        }
        mantissa = (mantissa << 4) + 8;
        if exponent > 1 {
            mantissa <<= exponent - 1;
        }
        (if code > 127 { mantissa } else { -mantissa }) as i16
    }

    fn check(law: Law, encoded: fn(i16) -> u8, decoded: fn(u8) -> i16) {
        let samples: Vec<i16> = (i16::MIN..=i16::MAX).collect();
        let mut codes = vec![0; samples.len()];
        encode(law, &samples, &mut codes);
        for (sample, code) in samples.iter().zip(&codes) {
            assert_eq!(*code, encoded(*sample), "{law:?} of {sample}");
        }
        let all: Vec<u8> = (0..=255).collect();
        let mut back = [0; 256];
        decode(law, &all, &mut back);
        for code in all {
            assert_eq!(back[usize::from(code)], decoded(code), "{law:?} code {code}");
            assert_eq!(decode_one(law, code), decoded(code));
        }
        assert_eq!(codes[32768], law.silence());
    }

    #[test]
    fn mu_law_is_that_of_g191_for_all_samples_and_codes() {
        check(Law::Mu, mu_by_the_book, mu_back_by_the_book);
    }

    #[test]
    fn a_law_is_that_of_g191_for_all_samples_and_codes() {
        check(Law::A, a_by_the_book, a_back_by_the_book);
    }

    #[test]
    fn any_lengths_encode_what_fits_both_and_leave_the_rest() {
        let samples: Vec<i16> = (0..100).map(|n| n * 300 - 15_000).collect();
        for law in [Law::Mu, Law::A] {
            for from in 0..=67 {
                for to in 0..=67 {
                    let mut codes = [1; 100];
                    encode(law, &samples[..from], &mut codes[..to]);
                    for (n, code) in codes.iter().enumerate() {
                        let expected = if n >= from.min(to) {
                            1
                        } else if law == Law::Mu {
                            mu_by_the_book(samples[n])
                        } else {
                            a_by_the_book(samples[n])
                        };
                        assert_eq!(*code, expected, "{law:?} {from} {to} at {n}");
                    }
                }
            }
        }
    }
}

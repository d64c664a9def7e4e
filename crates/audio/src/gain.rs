//! Louder and softer: a fixed-point factor, and a limiter that keeps the result inside 16 bits.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "sample arithmetic: values are clamped to the range of the type before each cast"
)]

/// A factor for samples, in steps of 1/4096, from silence to +24 dB.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Gain(u16);

impl Default for Gain {
    fn default() -> Self {
        Self::UNITY
    }
}

impl Gain {
    /// Leaves samples as they are.
    pub const UNITY: Self = Self(4096);
    /// Silence.
    pub const MUTE: Self = Self(0);
    /// The loudest: +24.08 dB.
    pub const MAX: Self = Self(u16::MAX);

    /// A gain in decibels; values past [`Gain::MAX`] become it, and below -72 dB it is silence.
    #[must_use]
    pub fn from_db(db: f32) -> Self {
        Self::from_factor(10f32.powf(db / 20.0))
    }

    /// A gain as a linear factor; not a number and negative are silence.
    #[must_use]
    pub fn from_factor(factor: f32) -> Self {
        Self((factor * 4096.0).round().clamp(0.0, f32::from(u16::MAX)) as u16)
    }

    /// The linear factor.
    #[must_use]
    pub fn factor(self) -> f32 {
        f32::from(self.0) / 4096.0
    }

    /// The gain in decibels; silence is minus infinity.
    #[must_use]
    pub fn db(self) -> f32 {
        20.0 * self.factor().log10()
    }

    /// One gain after the other.
    #[must_use]
    pub fn then(self, next: Self) -> Self {
        let product = (u32::from(self.0) * u32::from(next.0) + 2048) >> 12;
        Self(u16::try_from(product).unwrap_or(u16::MAX))
    }

    /// The factor in units of 1/4096.
    #[must_use]
    pub const fn q12(self) -> u16 {
        self.0
    }

    /// Multiplies in place, stopping at full scale. Returns how many samples stopped there.
    pub fn apply(self, samples: &mut [i16]) -> u32 {
        if self == Self::UNITY {
            return 0;
        }
        // Past +18 dB the factor does not fit 16 bits, and one bit of it is lost.
        match i16::try_from(self.0) {
            Ok(factor) => multiply::<12>(samples, factor),
            Err(_) => multiply::<11>(samples, (self.0 >> 1).cast_signed()),
        }
    }
}

/// Multiplies by `factor / 2^SHIFT` and counts what stopped at full scale. Products of 16-bit numbers
/// are several times faster than of wider ones.
#[inline]
fn multiply<const SHIFT: u32>(samples: &mut [i16], factor: i16) -> u32 {
    // The mask tells the compiler that 15 bits are enough. It would take the mask away, since it has
    // seen that above, and then multiply wider numbers after all: hence the box.
    let factor = std::hint::black_box(factor) & i16::MAX;
    let mut clipped = 0;
    for sample in samples {
        let wide = (i32::from(*sample) * i32::from(factor) + (1 << (SHIFT - 1))) >> SHIFT;
        let kept = wide.clamp(i32::from(i16::MIN), i32::from(i16::MAX));
        clipped += u32::from(kept != wide);
        *sample = kept as i16;
    }
    clipped
}

/// Stops at full scale. Written so that it becomes two vector instructions.
#[inline]
fn full_scale(value: f32) -> f32 {
    let above = if value < -32_768.0 { -32_768.0 } else { value };
    if above > 32_767.0 { 32_767.0 } else { above }
}

/// Rounds a value within full scale. Added to 1.5 * 2^23, a float's lowest bits are the whole number:
/// far cheaper than `round` where there is no instruction for it.
#[inline]
fn rounded(value: f32) -> i16 {
    (value + 12_582_912.0).to_bits() as i16
}

/// Samples over which the limiter's gain is a straight line: 5 ms.
const SEGMENT: usize = 40;
/// The largest magnitude that leaves the limiter: -0.5 dBFS.
const CEILING: f32 = 30_934.0;
/// How much of the lost gain comes back in a segment: 95 % of it in about half a second.
const RELEASE: f32 = 0.03;

/// A gain that bends before it breaks: peaks that would pass -0.5 dBFS are turned down, smoothly, and
/// the level comes back in about half a second. Adds no delay: it looks ahead only within a slice, so
/// give it 10 ms or more at a time.
#[derive(Clone, Debug)]
pub struct Limiter {
    gain: Gain,
    /// The reduction in force at the end of the last slice, 0 to 1.
    reduction: f32,
    limited: u64,
}

impl Limiter {
    /// A limiter that first applies `gain`.
    #[must_use]
    pub const fn new(gain: Gain) -> Self {
        Self { gain, reduction: 1.0, limited: 0 }
    }

    /// Changes the gain from the next slice on.
    pub const fn set_gain(&mut self, gain: Gain) {
        self.gain = gain;
    }

    /// The gain that is applied first.
    #[must_use]
    pub const fn gain(&self) -> Gain {
        self.gain
    }

    /// How many 5 ms segments were turned down since the beginning.
    #[must_use]
    pub const fn limited_segments(&self) -> u64 {
        self.limited
    }

    /// Applies the gain in place; no sample passes -0.5 dBFS. A gain of unity or less makes no peaks, so
    /// it touches nothing else: at unity samples stay exactly as they are.
    pub fn apply(&mut self, samples: &mut [i16]) {
        if self.gain <= Gain::UNITY && self.reduction >= 1.0 {
            self.gain.apply(samples);
            return;
        }
        let factor = self.gain.factor();
        let mut segments = samples.chunks_mut(SEGMENT).peekable();
        while let Some(segment) = segments.next() {
            let bound = needed(segment, factor);
            let next = segments.peek().map_or(1.0, |next| needed(next, factor));
            self.limited += u64::from(bound < 1.0);
            let begin = self.reduction.min(bound);
            let back = begin + (1.0 - begin) * RELEASE;
            let end = if back > 0.9999 { 1.0 } else { back }.min(bound).min(next);
            let slope = (end - begin) / segment.len() as f32;
            let (first, rise) = (factor * begin, factor * slope);
            for (sample, n) in segment.iter_mut().zip(0u16..) {
                let reduced = f32::from(*sample) * (first + rise * f32::from(n));
                *sample = rounded(full_scale(reduced));
            }
            self.reduction = end;
        }
    }
}

/// The reduction that keeps a segment under the ceiling.
fn needed(segment: &[i16], factor: f32) -> f32 {
    // The complement is one less than the negative: it cannot overflow.
    let peak = segment.iter().fold(0, |peak: i16, s| peak.max(*s).max(!*s));
    let loud = (f32::from(peak) + 1.0) * factor;
    if loud > CEILING { CEILING / loud } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decibels_and_factors_agree() {
        for (db, q12) in [(0.0, 4096), (-6.0206, 2048), (6.0206, 8192), (-120.0, 0), (90.0, 65535)]
        {
            assert_eq!(Gain::from_db(db).q12(), q12, "{db} dB");
        }
        assert_eq!(Gain::from_factor(f32::NAN), Gain::MUTE);
        assert_eq!(Gain::from_db(6.0206).then(Gain::from_db(-6.0206)), Gain::UNITY);
        assert_eq!(Gain::MAX.then(Gain::MAX), Gain::MAX);
        assert!((Gain::from_db(-10.0).db() + 10.0).abs() < 0.01);
    }

    #[test]
    fn every_sample_at_every_gain_stays_in_range_and_clips_are_counted() {
        let all: Vec<i16> = (i16::MIN..=i16::MAX).collect();
        for q12 in [0, 1, 2048, 4095, 4096, 4097, 8192, 32767, 32769, 65535] {
            let mut samples = all.clone();
            let clipped = Gain(q12).apply(&mut samples);
            let mut expected = 0;
            for (was, is) in all.iter().zip(&samples) {
                let q12 = if q12 > 32_767 { q12 & !1 } else { q12 };
                let exact = (i64::from(*was) * i64::from(q12) + 2048) >> 12;
                expected += u32::from(!(-32768..=32767).contains(&exact));
                assert_eq!(i64::from(*is), exact.clamp(-32768, 32767), "{was} at {q12}");
            }
            assert_eq!(clipped, expected, "at {q12}");
        }
    }

    fn sine(amplitude: f32, count: usize) -> Vec<i16> {
        (0..count).map(|n| (amplitude * (n as f32 * 0.35).sin()) as i16).collect()
    }

    #[test]
    fn the_limiter_never_passes_its_ceiling_in_any_slicing() {
        for slice in [1, 7, 80, 160, 4000] {
            let mut limiter = Limiter::new(Gain::MAX);
            let mut samples = sine(200.0, 800);
            samples.extend([i16::MIN; 50]);
            samples.extend([i16::MAX; 50]);
            samples.extend(sine(20_000.0, 1600));
            for part in samples.chunks_mut(slice) {
                limiter.apply(part);
            }
            let peak = samples.iter().map(|s| s.unsigned_abs()).max().unwrap();
            assert!(peak <= 30_935, "{peak} in slices of {slice}");
            assert!(limiter.limited_segments() > 0);
        }
    }

    #[test]
    fn the_limiter_bends_without_a_step_and_comes_back() {
        let mut limiter = Limiter::new(Gain::from_db(12.0));
        let mut samples = sine(2000.0, 800);
        samples.extend(sine(20_000.0, 800));
        samples.extend(sine(2000.0, 16_000));
        let quiet: Vec<i16> = samples[800 + 800 + 12_000..].to_vec();
        for part in samples.chunks_mut(160) {
            limiter.apply(part);
        }
        let steepest = samples.windows(2).map(|w| (w[1] - w[0]).unsigned_abs()).max().unwrap();
        // A sine of 30,934 at 0.35 rad moves 10,800 a sample at most.
        assert!(steepest < 11_500, "{steepest}");
        let mut plain = quiet;
        Gain::from_db(12.0).apply(&mut plain);
        for (limited, plain) in samples[800 + 800 + 12_000..].iter().zip(&plain) {
            assert!((limited - plain).abs() <= 2, "{limited} {plain}");
        }
    }
}

//! From the helper's blocks to telephone audio: 8 kHz, the gain, no silence that is not part of the
//! text, and every point before the sample it belongs to.

use std::collections::VecDeque;
use std::sync::Arc;

use audio::resample::Resampler;
use audio::{Gain, Limiter, RATE_HZ};

use crate::render::Tail;
use crate::speech::Chunk;

/// Samples no louder than this are silence: about -66 dBFS.
pub(crate) const SILENCE: u16 = 16;
/// Silence that stays at the end of what is trimmed, and at most of it before the first sound: 5 ms.
const GUARD: usize = 40;

/// A point, and the atom it stands for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Place {
    pub(crate) atom: usize,
    pub(crate) chunk: Chunk,
}

/// What leaves the shaper.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Shaped {
    Samples(Arc<[i16]>),
    Place(Place),
}

/// One run's sound. The converter runs on from unit to unit, so that no border is heard.
pub(crate) struct Shaper {
    resampler: Resampler,
    from_hz: u64,
    limiter: Limiter,
    /// Samples that went in, over all units.
    taken: u64,
    /// Where the unit began, in samples in.
    base: u64,
    /// Samples that came out of the converter.
    made: u64,
    /// Points that were not reached yet, by sample out.
    ahead: VecDeque<(u64, Place)>,
    /// Whether nothing was heard of this unit yet, and silence is dropped.
    leading: bool,
    /// Silence that may turn out to be the end, and the points in it.
    held: Vec<i16>,
    held_places: Vec<(usize, Place)>,
    floats: (Vec<f32>, Vec<f32>),
}

impl Shaper {
    /// A shaper for sound at this rate; `None` when it cannot be converted.
    pub(crate) fn new(from_hz: u32, volume_db: f32) -> Option<Self> {
        let gain = if volume_db <= ssml::values::SILENT_DB {
            Gain::MUTE
        } else {
            Gain::from_db(volume_db)
        };
        Some(Self {
            resampler: Resampler::new(from_hz).ok()?,
            from_hz: u64::from(from_hz),
            limiter: Limiter::new(gain),
            taken: 0,
            base: 0,
            made: 0,
            ahead: VecDeque::new(),
            leading: true,
            held: Vec::new(),
            held_places: Vec::new(),
            floats: (Vec::new(), Vec::new()),
        })
    }

    /// Stretches of 5 ms that were turned down so as not to clip.
    pub(crate) const fn limited(&self) -> u64 {
        self.limiter.limited_segments()
    }

    /// A unit begins, or begins again after a helper's death: points not reached are forgotten.
    pub(crate) fn begin(&mut self) {
        self.base = self.taken;
        self.ahead.clear();
        self.held_places.clear();
        self.leading = true;
    }

    /// A point at this sample of the unit.
    pub(crate) fn place(&mut self, sample: u64, place: Place) {
        let at = (self.base + sample) * u64::from(RATE_HZ);
        self.ahead.push_back((at.div_ceil(self.from_hz), place));
    }

    /// A point behind all that came of the unit so far.
    pub(crate) fn place_last(&mut self, place: Place) {
        self.ahead.push_back((u64::MAX, place));
    }

    /// A block of the unit.
    pub(crate) fn take(&mut self, samples: &[i16], out: &mut Vec<Shaped>) {
        let (mut input, mut output) = std::mem::take(&mut self.floats);
        input.clear();
        output.clear();
        input.extend(samples.iter().map(|sample| f32::from(*sample)));
        self.taken += u64::try_from(samples.len()).unwrap_or(0);
        self.resampler.process(&input, &mut output);
        self.advance(&output, out);
        self.floats = (input, output);
    }

    /// The unit is over.
    pub(crate) fn end(&mut self, tail: Tail, last: bool, out: &mut Vec<Shaped>) {
        if last {
            let mut rest = Vec::new();
            self.resampler.finish(&mut rest);
            self.advance(&rest, out);
        }
        if tail == Tail::Trim {
            self.held.truncate(GUARD);
        }
        self.release(out);
        // What lies at the very end, or was said to lie past it.
        out.extend(self.ahead.drain(..).map(|(_, place)| Shaped::Place(place)));
    }

    /// Lets converted samples and the points among them go on.
    fn advance(&mut self, samples: &[f32], out: &mut Vec<Shaped>) {
        #[expect(clippy::cast_possible_truncation, reason = "clamped to the range of i16 first")]
        let whole = |sample: &f32| sample.round().clamp(-32_768.0, 32_767.0) as i16;
        let samples: Vec<i16> = samples.iter().map(whole).collect();
        let mut rest = samples.as_slice();
        loop {
            let before = match self.ahead.front() {
                Some((at, _)) => {
                    usize::try_from(at.saturating_sub(self.made)).unwrap_or(rest.len())
                }
                None => rest.len(),
            };
            if before > rest.len() || self.ahead.is_empty() {
                self.hear(rest, out);
                return;
            }
            let (head, tail) = rest.split_at(before);
            self.hear(head, out);
            rest = tail;
            if let Some((_, place)) = self.ahead.pop_front() {
                if self.held.is_empty() {
                    out.push(Shaped::Place(place));
                } else {
                    self.held_places.push((self.held.len(), place));
                }
            }
        }
    }

    /// Samples without a point among them.
    fn hear(&mut self, samples: &[i16], out: &mut Vec<Shaped>) {
        self.made += u64::try_from(samples.len()).unwrap_or(0);
        let loud = |sample: &i16| sample.unsigned_abs() > SILENCE;
        let Some(last) = samples.iter().rposition(loud) else {
            if !self.leading {
                self.held.extend_from_slice(samples);
            }
            return;
        };
        let mut samples = samples;
        let mut end = last + 1;
        if std::mem::take(&mut self.leading) {
            let first = samples.iter().position(loud).unwrap_or(0).saturating_sub(GUARD);
            samples = samples.get(first..).unwrap_or_default();
            end -= first;
        }
        let (sound, silence) = samples.split_at_checked(end).unwrap_or((samples, &[]));
        if self.held_places.is_empty() {
            let mut all = std::mem::take(&mut self.held);
            all.extend_from_slice(sound);
            self.emit(all, out);
        } else {
            self.release(out);
            self.emit(sound.to_vec(), out);
        }
        self.held.extend_from_slice(silence);
    }

    /// Lets the held silence and its points go.
    fn release(&mut self, out: &mut Vec<Shaped>) {
        let held = std::mem::take(&mut self.held);
        let mut rest = held.as_slice();
        let mut gone = 0;
        for (at, place) in std::mem::take(&mut self.held_places) {
            let count = at.saturating_sub(gone).min(rest.len());
            let (head, tail) = rest.split_at(count);
            self.emit(head.to_vec(), out);
            out.push(Shaped::Place(place));
            (rest, gone) = (tail, gone + count);
        }
        self.emit(rest.to_vec(), out);
    }

    fn emit(&mut self, mut samples: Vec<i16>, out: &mut Vec<Shaped>) {
        if !samples.is_empty() {
            self.limiter.apply(&mut samples);
            out.push(Shaped::Samples(samples.into()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each `blocks` entry is `(level, samples at 8 kHz)`; points stand at samples of the unit.
    #[track_caller]
    fn check(blocks: &[(i16, usize)], points: &[(u64, &str)], tail: Tail, expected: &str) {
        let mut shaper = Shaper::new(RATE_HZ, 0.0).unwrap();
        let mut out = Vec::new();
        shaper.begin();
        for (at, name) in points {
            let place = Place { atom: 0, chunk: Chunk::Mark((*name).into()) };
            shaper.place(*at, place);
        }
        for (level, count) in blocks {
            shaper.take(&vec![*level; *count], &mut out);
        }
        shaper.end(tail, true, &mut out);
        let mut shown: Vec<String> = Vec::new();
        let mut count = 0;
        for shaped in out {
            match shaped {
                Shaped::Samples(samples) => count += samples.len(),
                Shaped::Place(Place { chunk: Chunk::Mark(name), .. }) => {
                    shown.push(format!("{} {name}", std::mem::take(&mut count)));
                }
                Shaped::Place(_) => {}
            }
        }
        shown.push(count.to_string());
        assert_eq!(shown.join(" "), expected);
    }

    #[test]
    fn points_stand_at_their_sample_and_silence_outside_is_trimmed() {
        check(&[(9_000, 100)], &[(0, "a"), (30, "b"), (100, "c")], Tail::Trim, "0 a 30 b 70 c 0");
        check(&[(0, 200), (9_000, 100), (0, 400)], &[(250, "a")], Tail::Trim, "50 a 90");
        check(&[(9_000, 100), (0, 400)], &[], Tail::Keep, "500");
        check(&[(9_000, 10), (0, 300), (9_000, 10)], &[(100, "a")], Tail::Trim, "100 a 220");
        check(&[(9_000, 10), (0, 300)], &[(200, "a"), (999, "b")], Tail::Trim, "50 a 0 b 0");
        check(&[(0, 300)], &[(10, "a")], Tail::Trim, "0 a 0");
    }

    #[test]
    fn at_another_rate_a_point_keeps_its_time() {
        let mut shaper = Shaper::new(22_050, -6.0).unwrap();
        let mut out = Vec::new();
        shaper.begin();
        shaper.place(11_025, Place { atom: 3, chunk: Chunk::Word });
        for _ in 0..100 {
            shaper.take(&[8_000; 221], &mut out);
        }
        shaper.end(Tail::Trim, true, &mut out);
        let mut before = 0;
        for shaped in &out {
            match shaped {
                Shaped::Samples(samples) => before += samples.len(),
                Shaped::Place(_) => break,
            }
        }
        assert_eq!(before, 4_000);
        let loudest = out.iter().filter_map(|shaped| match shaped {
            Shaped::Samples(samples) => samples.iter().copied().max(),
            Shaped::Place(_) => None,
        });
        assert!((3_900..5_000).contains(&loudest.max().unwrap()));
    }
}

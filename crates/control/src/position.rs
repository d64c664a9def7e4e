//! Where in an utterance the caller is, and where a jump lands.
//!
//! The feeder tells each border (step, paragraph, sentence, word) with its place in the program; the
//! engine tells how far it has played. From both follows where to begin again after a jump or a
//! change of voice or rate.

use std::collections::VecDeque;
use std::sync::Arc;

/// Borders kept for one utterance; the oldest go first, and a jump back beyond them ends at the
/// oldest that is kept.
pub const BORDERS_MAX: usize = 4_096;

/// Samples a second, of everything that is played.
const RATE_HZ: u64 = 8_000;

/// What begins at a border. Each is told for itself: where a sentence begins, a border for its first
/// word follows.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Unit {
    /// A word.
    Word,
    /// A sentence.
    Sentence,
    /// A paragraph.
    Paragraph,
    /// A step of the blueprint; where it has no words, it counts as any of the others.
    Step,
}

/// A place in the utterance at which something begins.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Border {
    /// Samples from the start of the utterance.
    pub at: u64,
    /// What begins.
    pub unit: Unit,
    /// The step of the blueprint it stands in.
    pub step: usize,
    /// Words of this step that begin before it.
    pub word: u32,
}

/// Where a program begins in its blueprint.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Start {
    /// The first step that is played.
    pub step: usize,
    /// What of it is passed over.
    pub skip: Skip,
}

/// How much is passed over before the first sample is heard.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Skip {
    /// So many samples, across steps.
    Samples(u64),
    /// So many beginnings of a unit, across steps.
    Units(Unit, u32),
    /// Everything before the mark of this name.
    Mark(Arc<str>),
}

impl Default for Skip {
    fn default() -> Self {
        Self::Samples(0)
    }
}

/// How much is played before the program ends by itself. RFC 6787 §8.4.15 `Speak-Length`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Limit {
    /// So many samples.
    Samples(u64),
    /// So many of a unit.
    Units(Unit, u32),
    /// Everything before the mark of this name.
    Mark(Arc<str>),
}

/// What a jump counts in. RFC 6787 §8.4.1.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Jump {
    /// Seconds, back when negative.
    Seconds(i64),
    /// Units, back when negative. Back by one is the beginning of the unit that is being heard.
    Units(Unit, i64),
    /// Seconds from the beginning.
    ToSecond(u64),
    /// So many of a unit from the beginning.
    ToUnit(Unit, u32),
    /// The mark of this name.
    Mark(Arc<str>),
}

/// A jump's landing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Landing {
    /// Where the new program begins.
    pub start: Start,
    /// Where in the utterance the first step of the new program begins, in samples.
    pub origin: u64,
    /// Where in the utterance it lands; where the jump began, if only the feeder can tell.
    pub at: u64,
    /// Whether the jump went back beyond the beginning. RFC 6787 §8.4.14 `Speak-Restart`.
    pub restarted: bool,
}

/// The borders of one utterance that are known so far.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    borders: VecDeque<Border>,
}

impl Timeline {
    /// Notes a border; one at or before a known place replaces what was known from there on, since
    /// a program that began again tells its borders anew.
    pub fn note(&mut self, border: Border) {
        while self.borders.back().is_some_and(|last| {
            last.at > border.at || (last.at == border.at && last.unit <= border.unit)
        }) {
            self.borders.pop_back();
        }
        if self.borders.len() == BORDERS_MAX {
            self.borders.pop_front();
        }
        self.borders.push_back(border);
    }

    /// Forgets what lies after `at`: it will be told again by the program that begins there.
    pub fn forget_after(&mut self, at: u64) {
        while self.borders.back().is_some_and(|last| last.at > at) {
            self.borders.pop_back();
        }
    }

    /// Where to begin again so that the listener hears on from `at` as it was.
    pub fn resume(&self, at: u64) -> Landing {
        let (step, origin) = self.step_at(at).map_or((0, 0), |border| (border.step, border.at));
        let skip = Skip::Samples(at.saturating_sub(origin));
        Landing { start: Start { step, skip }, origin, at, restarted: false }
    }

    /// Where to begin again with another voice or rate: at the word being heard, or, in a step
    /// without words, where it is.
    pub fn restate(&self, at: u64) -> Landing {
        let resumed = self.resume(at);
        let word = self
            .borders
            .iter()
            .rev()
            .find(|border| border.at <= at && border.unit == Unit::Word)
            .filter(|word| word.step == resumed.start.step);
        match word {
            Some(word) => {
                let skip = Skip::Units(Unit::Word, word.word);
                Landing { start: Start { skip, ..resumed.start }, at: word.at, ..resumed }
            }
            None => resumed,
        }
    }

    /// Where a jump from `at` lands.
    pub fn jump(&self, at: u64, jump: &Jump) -> Landing {
        match *jump {
            Jump::ToSecond(second) => self.resume(second.saturating_mul(RATE_HZ)),
            Jump::ToUnit(unit, count) => Self::sought(Skip::Units(unit, count)),
            Jump::Mark(ref name) => Self::sought(Skip::Mark(Arc::clone(name))),
            Jump::Seconds(seconds) => {
                let span = seconds.unsigned_abs().saturating_mul(RATE_HZ);
                match at.checked_sub(span) {
                    _ if seconds >= 0 => self.resume(at.saturating_add(span)),
                    Some(to) => self.resume(to),
                    None => Self::restarted(),
                }
            }
            Jump::Units(_, 0) => self.resume(at),
            Jump::Units(unit, count) if count > 0 => self.ahead(at, unit, count.unsigned_abs()),
            Jump::Units(unit, count) => {
                let places: Vec<_> = self.places(unit).filter(|place| *place <= at).collect();
                let back = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
                let place = places.len().checked_sub(back).and_then(|index| places.get(index));
                place.map_or_else(Self::restarted, |place| self.resume(*place))
            }
        }
    }

    fn ahead(&self, at: u64, unit: Unit, count: u64) -> Landing {
        let index = usize::try_from(count - 1).unwrap_or(usize::MAX);
        let known = self.places(unit).filter(|place| *place > at).nth(index);
        if let Some(place) = known {
            return self.resume(place);
        }
        // Beyond what was told so far: count on from the step where it is.
        let from = self.resume(at);
        let passed = self.begun(unit, from.origin, at).saturating_sub(1);
        let units = u32::try_from(count).unwrap_or(u32::MAX).saturating_add(passed);
        let skip = Skip::Units(unit, units);
        Landing { start: Start { skip, ..from.start }, ..from }
    }

    /// How many of `unit` begin from `from` to `to`, both included.
    pub fn begun(&self, unit: Unit, from: u64, to: u64) -> u32 {
        let begun = self.places(unit).filter(|place| (from..=to).contains(place)).count();
        u32::try_from(begun).unwrap_or(u32::MAX)
    }

    /// A place that only the feeder can find, counted from the beginning.
    fn sought(skip: Skip) -> Landing {
        Landing { start: Start { step: 0, skip }, origin: 0, at: 0, restarted: false }
    }

    fn restarted() -> Landing {
        Landing { start: Start::default(), origin: 0, at: 0, restarted: true }
    }

    fn step_at(&self, at: u64) -> Option<&Border> {
        self.borders.iter().rev().find(|border| border.unit == Unit::Step && border.at <= at)
    }

    /// The places at which a `unit` begins, each once, first to last.
    fn places(&self, unit: Unit) -> impl Iterator<Item = u64> {
        let mut last = None;
        self.borders
            .iter()
            .filter(move |border| border.unit == unit || border.unit == Unit::Step)
            .map(|border| border.at)
            .filter(move |at| last.replace(*at) != Some(*at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// "Hello there. | How are you?" then a file; a word each half second, sentences at 0 and 1 s.
    fn timeline() -> Timeline {
        let mut timeline = Timeline::default();
        let mut note = |at, unit, step, word| timeline.note(Border { at, unit, step, word });
        note(0, Unit::Step, 0, 0);
        note(0, Unit::Sentence, 0, 0);
        note(0, Unit::Word, 0, 0);
        note(4_000, Unit::Word, 0, 1);
        note(8_000, Unit::Sentence, 0, 2);
        note(8_000, Unit::Word, 0, 2);
        note(12_000, Unit::Word, 0, 3);
        note(16_000, Unit::Word, 0, 4);
        note(20_000, Unit::Step, 1, 0);
        timeline
    }

    #[track_caller]
    #[expect(clippy::needless_pass_by_value, reason = "reads better in the rows")]
    fn check(at: u64, jump: Jump, expected: &str) {
        let Landing { start, at, restarted, .. } = timeline().jump(at, &jump);
        let skip = match start.skip {
            Skip::Samples(samples) => format!("{samples} samples"),
            Skip::Units(unit, count) => format!("{count} {unit:?}"),
            Skip::Mark(name) => format!("mark {name}"),
        };
        let again = if restarted { ", restarted" } else { "" };
        assert_eq!(format!("step {} + {skip} = {at}{again}", start.step), expected);
    }

    #[test]
    fn section_8_4_1_a_jump_in_seconds_lands_by_time() {
        check(9_000, Jump::Seconds(1), "step 0 + 17000 samples = 17000");
        check(21_000, Jump::Seconds(1), "step 1 + 9000 samples = 29000");
        check(21_000, Jump::Seconds(-1), "step 0 + 13000 samples = 13000");
        check(9_000, Jump::Seconds(-2), "step 0 + 0 samples = 0, restarted");
    }

    #[test]
    fn section_8_4_1_a_jump_in_units_lands_at_a_border() {
        check(9_000, Jump::Units(Unit::Word, -1), "step 0 + 8000 samples = 8000");
        check(9_000, Jump::Units(Unit::Word, -2), "step 0 + 4000 samples = 4000");
        check(9_000, Jump::Units(Unit::Word, 2), "step 0 + 16000 samples = 16000");
        check(9_000, Jump::Units(Unit::Sentence, -2), "step 0 + 0 samples = 0");
        check(9_000, Jump::Units(Unit::Sentence, -9), "step 0 + 0 samples = 0, restarted");
        check(4_500, Jump::Units(Unit::Sentence, 1), "step 0 + 8000 samples = 8000");
        check(9_000, Jump::Units(Unit::Word, 0), "step 0 + 9000 samples = 9000");
    }

    #[test]
    fn a_jump_beyond_what_was_spoken_counts_on_from_here() {
        check(13_000, Jump::Units(Unit::Sentence, 3), "step 0 + 4 Sentence = 13000");
    }

    #[test]
    fn another_rate_begins_at_the_word_being_heard() {
        let landing = timeline().restate(13_000);
        assert_eq!(landing.start, Start { step: 0, skip: Skip::Units(Unit::Word, 3) });
        assert_eq!(landing.at, 12_000);
        let landing = timeline().restate(22_000);
        assert_eq!(landing.start, Start { step: 1, skip: Skip::Samples(2_000) });
    }
}

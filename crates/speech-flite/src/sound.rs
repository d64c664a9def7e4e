//! Blocks of sound with the points that lie in them, from what flite makes of each utterance.

use std::collections::VecDeque;
use std::mem;
use std::ops::Range;

use speech_helper::{Listener, Point, Then};

use crate::script::{Edge, Utterance};

/// Samples per second of every voice.
pub(crate) const RATE_HZ: u32 = 16_000;
/// 60 ms.
pub(crate) const BLOCK_SAMPLES: usize = 960;
/// What stays before the first sound of an utterance: 15 ms, for the breath of a consonant.
const LEAD_SAMPLES: u64 = 240;
/// And after its last: 60 ms, until it has died away. Past it there is only hiss.
const DECAY_SAMPLES: u64 = 960;

/// When what is heard in an utterance, in seconds.
#[derive(Debug, Default)]
pub(crate) struct Times {
    /// When each word begins; `None` if it is not heard.
    pub(crate) words: Vec<Option<f32>>,
    /// From the end of the silence before to the beginning of the one after.
    pub(crate) sounding: Range<f32>,
}

/// The sound of one request, on its way to the listener.
pub(crate) struct Sound<'l> {
    listener: &'l mut dyn Listener,
    volume_permille: i32,
    block: Vec<i16>,
    /// Samples that the listener has.
    given: u64,
    /// Points not given yet, in order.
    points: VecDeque<Point>,
    /// Marks that wait for the next word.
    marks: Vec<String>,
    part: Part,
    then: Then,
}

/// How much of the running utterance is let through, in samples from its beginning.
#[derive(Debug, Default)]
struct Part {
    passed: u64,
    kept: Range<u64>,
    /// Outside of this it is silent.
    heard: Range<u64>,
}

impl<'l> Sound<'l> {
    /// `volume` is in thousandths.
    pub(crate) fn new(listener: &'l mut dyn Listener, volume: u16) -> Self {
        Self {
            listener,
            volume_permille: i32::from(volume),
            block: Vec::with_capacity(BLOCK_SAMPLES),
            given: 0,
            points: VecDeque::new(),
            marks: Vec::new(),
            part: Part::default(),
            then: Then::Continue,
        }
    }

    /// An utterance begins; its samples follow.
    pub(crate) fn begin(&mut self, utterance: &Utterance, times: &Times) {
        let base = self.samples();
        let (first, last) = (sample(times.sounding.start), sample(times.sounding.end));
        let heard = first.saturating_sub(LEAD_SAMPLES)..last.saturating_add(DECAY_SAMPLES);
        // Silence is no news at the beginning, and belongs to no comma twice.
        let from = if base == 0 || utterance.start != Edge::Sentence { heard.start } else { 0 };
        let to = if utterance.end == Edge::Torn { last } else { u64::MAX };
        let kept = if first < last { from..to } else { 0..0 };
        self.part = Part { passed: 0, kept, heard };
        let mut marks = utterance.marks.iter().peekable();
        let mut opening = utterance.start == Edge::Sentence;
        let words = times.words.iter().zip(&utterance.tokens).enumerate();
        for (index, (seconds, token)) in words {
            while let Some((_, name)) = marks.next_if(|(before, _)| *before <= index) {
                self.marks.push(name.clone());
            }
            let Some(seconds) = *seconds else { continue };
            let sample = base + sample(seconds).saturating_sub(from);
            let (position, length) = (token.position, token.length);
            let marks = mem::take(&mut self.marks).into_iter();
            self.points.extend(marks.map(|name| Point::Mark { sample, name }));
            if mem::take(&mut opening) {
                self.points.push_back(Point::Sentence { sample, position });
            }
            self.points.push_back(Point::Word { sample, position, length });
        }
        self.marks.extend(marks.map(|(_, name)| name.clone()));
    }

    /// Takes the next samples of the utterance.
    pub(crate) fn take(&mut self, samples: &[i16]) -> Then {
        for sample in samples {
            let at = self.part.passed;
            self.part.passed += 1;
            if self.part.kept.contains(&at) {
                let heard = self.part.heard.contains(&at);
                self.push(if heard { self.louder(*sample) } else { 0 });
            }
        }
        self.then
    }

    /// The utterance is over. A point that was told too late is moved to its end.
    pub(crate) fn end_utterance(&mut self) -> Then {
        let end = self.samples();
        for point in &mut self.points {
            match point {
                Point::Mark { sample, .. }
                | Point::Word { sample, .. }
                | Point::Sentence { sample, .. } => *sample = (*sample).min(end),
            }
        }
        self.then
    }

    /// The text is over; so much silence follows.
    pub(crate) fn end(mut self, pause_samples: usize) {
        for _ in 0..pause_samples {
            self.push(0);
        }
        self.give();
        let sample = self.samples();
        let mut points: Vec<_> = self.points.into_iter().collect();
        points.extend(self.marks.into_iter().map(|name| Point::Mark { sample, name }));
        if !points.is_empty() && self.then == Then::Continue {
            self.listener.block(points, &[]);
        }
    }

    /// Samples so far.
    fn samples(&self) -> u64 {
        self.given + u64::try_from(self.block.len()).unwrap_or(0)
    }

    fn louder(&self, sample: i16) -> i16 {
        let scaled = i32::from(sample) * self.volume_permille / 1_000;
        let clamped = scaled.clamp(i32::from(i16::MIN), i32::from(i16::MAX));
        i16::try_from(clamped).unwrap_or(0)
    }

    fn push(&mut self, sample: i16) {
        self.block.push(sample);
        if self.block.len() == BLOCK_SAMPLES {
            self.give();
        }
    }

    /// Gives the block with its points.
    fn give(&mut self) {
        let end = self.samples();
        let inside = self.points.partition_point(|point| match point {
            Point::Mark { sample, .. }
            | Point::Word { sample, .. }
            | Point::Sentence { sample, .. } => *sample < end,
        });
        let points = self.points.drain(..inside).collect();
        if self.then == Then::Continue && !self.block.is_empty() {
            self.then = self.listener.block(points, &self.block);
        }
        self.given = end;
        self.block.clear();
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped at 0 first")]
fn sample(seconds: f32) -> u64 {
    (f64::from(seconds) * f64::from(RATE_HZ)).max(0.0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::markup::Form;
    use crate::script::Script;

    /// Notes what it gets.
    #[derive(Default)]
    struct Notes {
        lines: Vec<String>,
        samples: Vec<i16>,
    }

    impl Listener for Notes {
        fn block(&mut self, points: Vec<Point>, samples: &[i16]) -> Then {
            for point in points {
                self.lines.push(match point {
                    Point::Mark { sample, name } => format!("[{name}]@{sample}"),
                    Point::Word { sample, position, .. } => format!("{position}@{sample}"),
                    Point::Sentence { sample, .. } => format!("s@{sample}"),
                });
            }
            self.samples.extend(samples);
            self.lines.push(format!("+{}", samples.len()));
            Then::Continue
        }
    }

    /// Each utterance lasts a second, is heard from 0.2 to 0.8, and its words are 0.1 apart.
    fn check(text: &str, volume: u16, seen: &str) -> Vec<i16> {
        let mut notes = Notes::default();
        let mut sound = Sound::new(&mut notes, volume);
        for utterance in Script::new(text, Form::Ssml) {
            let words = (0_u8..).take(utterance.tokens.len());
            let words = words.map(|word| Some(0.2 + 0.1 * f32::from(word))).collect();
            let sounding = if utterance.tokens.is_empty() { 0.2..0.0 } else { 0.2..0.8 };
            sound.begin(&utterance, &Times { words, sounding });
            sound.take(&[1_000; 16_000]);
            sound.end_utterance();
        }
        sound.end(0);
        notes.lines.retain(|line| line != "+960");
        assert_eq!(notes.lines.join(" "), seen);
        notes.samples
    }

    #[test]
    fn points_lie_where_their_words_are_heard() {
        let samples = check("a <mark name=\"m\"/>b", 500, "s@240 0@240 [m]@1840 18@1840 +560");
        assert_eq!(samples.len(), 16_000 - 3_200 + 240);
        assert_eq!((samples[0], samples[9_000], samples[12_000]), (500, 500, 0));
        check(
            "<s>a</s><mark name=\"m\"/><s>b</s><mark name=\"n\"/>",
            1_000,
            "s@240 3@240 [m]@16240 s@16240 27@16240 +240 [n]@29040 +0",
        );
    }

    #[test]
    fn loud_samples_are_cut_not_wrapped() {
        let samples = check("a", 60_000, "s@240 0@240 +560");
        assert_eq!(samples[1_000], i16::MAX);
    }

    #[test]
    fn marks_without_words_come_at_the_end_of_nothing() {
        assert!(check("<mark name=\"m\"/>", 1_000, "[m]@0 +0").is_empty());
    }
}

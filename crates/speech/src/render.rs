//! A run as the texts that helpers get, and the way back from a place in such a text to the run.

use std::fmt::Write;
use std::ops::Range;

use ssml::{Emphasis, Run, RunPiece};

use crate::speech::SpeechError;

/// The longest text of a run, in characters.
pub const TEXT_CHARS_MAX: usize = 100_000;

/// From this weight on a unit ends at the next end of a sentence,
const UNIT_SENTENCE: usize = 400;
/// from this on at a comma,
const UNIT_COMMA: usize = 800;
/// and from this on anywhere.
const UNIT_MAX: usize = 1_200;
/// A longer word is divided: languages without spaces would be one word.
const WORD_CHARS_MAX: usize = 40;
/// A digit takes as long to speak as this many letters.
const DIGIT_WEIGHT: usize = 4;

/// The smallest part that is spoken as a whole.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Atom {
    /// A word with the space behind it.
    Word(String),
    /// A mark of the document.
    Mark(String),
    Sentence,
    Paragraph,
    Emphasis(Emphasis),
}

/// What becomes of the silence at the end of a unit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Tail {
    /// A sentence ends and speech follows: it is the pause between.
    Keep,
    /// It is no part of the text.
    Trim,
}

/// A run's atoms, and which of them make a unit.
#[derive(Debug)]
pub(crate) struct Plan {
    atoms: Vec<Atom>,
    units: Vec<Range<usize>>,
    joined: bool,
}

/// A text for a helper, and where its atoms are in it.
#[derive(Debug)]
pub(crate) struct Rendered {
    pub(crate) ssml: String,
    /// The first character of each atom.
    starts: Vec<(u32, usize)>,
}

impl Plan {
    pub(crate) fn new(run: &Run) -> Result<Self, SpeechError> {
        let mut atoms = Vec::new();
        let mut chars = 0;
        for piece in &run.pieces {
            match piece {
                RunPiece::Text(text) | RunPiece::Phoneme { text, .. } => {
                    chars += text.chars().count();
                    if chars > TEXT_CHARS_MAX {
                        return Err(SpeechError::TooLong { chars });
                    }
                    words(text, &mut atoms);
                }
                RunPiece::Mark(name) => atoms.push(Atom::Mark(name.clone())),
                RunPiece::SentenceStart => atoms.push(Atom::Sentence),
                RunPiece::ParagraphStart => atoms.push(Atom::Paragraph),
                RunPiece::Emphasis(level) => atoms.push(Atom::Emphasis(*level)),
            }
        }
        let units = divide(&atoms);
        Ok(Self { atoms, units, joined: run.joined })
    }

    pub(crate) fn units(&self) -> &[Range<usize>] {
        &self.units
    }

    pub(crate) fn atom(&self, index: usize) -> Option<&Atom> {
        self.atoms.get(index)
    }

    /// What becomes of the silence after this unit.
    pub(crate) fn tail(&self, unit: &Range<usize>) -> Tail {
        let followed = unit.end < self.atoms.len() || self.joined;
        if followed && self.ends_sentence(unit.end) { Tail::Keep } else { Tail::Trim }
    }

    /// Whether a sentence begins with this atom or the points right before it.
    pub(crate) fn begins_sentence(&self, index: usize) -> bool {
        index == 0 || self.ends_sentence(index)
    }

    /// Whether what stands before `end` ends a sentence.
    fn ends_sentence(&self, end: usize) -> bool {
        if matches!(self.atoms.get(end), Some(Atom::Sentence | Atom::Paragraph)) {
            return true;
        }
        for atom in self.atoms.iter().take(end).rev() {
            match atom {
                Atom::Word(word) => return closes(word),
                Atom::Sentence | Atom::Paragraph => return true,
                Atom::Mark(_) | Atom::Emphasis(_) => {}
            }
        }
        true
    }

    /// These atoms as SSML. Points get marks named after their index; the words' own places are told
    /// by the helper.
    pub(crate) fn render(&self, range: Range<usize>) -> Rendered {
        let mut writing = Writing { out: "<speak>".into(), at: 7, ..Writing::default() };
        let before = self.atoms.iter().take(range.start).rev();
        writing.emphasis = before
            .filter_map(|atom| match atom {
                Atom::Emphasis(level) => Some(*level),
                Atom::Word(_) | Atom::Mark(_) | Atom::Sentence | Atom::Paragraph => None,
            })
            .next()
            .unwrap_or_default();
        writing.open_emphasis();
        let mut starts = Vec::new();
        let count = range.len();
        for (index, atom) in self.atoms.iter().enumerate().skip(range.start).take(count) {
            match atom {
                Atom::Word(word) => {
                    starts.push((writing.at, index));
                    writing.text(word);
                }
                Atom::Mark(_) => writing.mark(index),
                Atom::Sentence => writing.sentence(),
                Atom::Paragraph => {
                    writing.paragraph();
                    writing.mark(index);
                }
                Atom::Emphasis(level) => {
                    writing.close_emphasis();
                    writing.emphasis = *level;
                    writing.open_emphasis();
                }
            }
        }
        writing.close_all();
        writing.tag("</speak>");
        Rendered { ssml: writing.out, starts }
    }
}

impl Atom {
    /// Whether this is a word and not only the space between two points.
    pub(crate) fn is_word(&self) -> bool {
        match self {
            Self::Word(word) => !word.trim().is_empty(),
            Self::Mark(_) | Self::Sentence | Self::Paragraph | Self::Emphasis(_) => false,
        }
    }
}

impl Rendered {
    /// The first word of the text.
    pub(crate) fn first_word(&self) -> Option<usize> {
        self.starts.first().map(|(_, atom)| *atom)
    }

    /// The word at this character.
    pub(crate) fn word_at(&self, position: u32) -> Option<usize> {
        let after = self.starts.partition_point(|(start, _)| *start <= position);
        self.starts.get(after.saturating_sub(1)).map(|(_, atom)| *atom)
    }
}

/// The text being written; elements that are open close in the right order.
#[derive(Default)]
struct Writing {
    out: String,
    /// Characters written.
    at: u32,
    emphasis: Emphasis,
    sentence: bool,
    paragraph: bool,
}

impl Writing {
    fn tag(&mut self, tag: &str) {
        self.out.push_str(tag);
        // Tags are ASCII and short.
        self.at += u32::try_from(tag.len()).unwrap_or(0);
    }

    fn text(&mut self, text: &str) {
        for letter in text.chars() {
            match letter {
                '&' => self.tag("&amp;"),
                '<' => self.tag("&lt;"),
                '>' => self.tag("&gt;"),
                _ => {
                    self.out.push(letter);
                    self.at += 1;
                }
            }
        }
    }

    fn mark(&mut self, index: usize) {
        let mut tag = String::new();
        // Writing to a string cannot fail.
        let _ = write!(tag, "<mark name=\"{index}\"/>");
        self.tag(&tag);
    }

    fn open_emphasis(&mut self) {
        match self.emphasis {
            Emphasis::None => {}
            Emphasis::Reduced => self.tag("<emphasis level=\"reduced\">"),
            Emphasis::Moderate => self.tag("<emphasis level=\"moderate\">"),
            Emphasis::Strong => self.tag("<emphasis level=\"strong\">"),
        }
    }

    fn close_emphasis(&mut self) {
        if self.emphasis != Emphasis::None {
            self.tag("</emphasis>");
        }
    }

    fn close_sentence(&mut self) {
        if std::mem::take(&mut self.sentence) {
            self.tag("</s>");
        }
    }

    fn close_all(&mut self) {
        self.close_emphasis();
        self.close_sentence();
        if std::mem::take(&mut self.paragraph) {
            self.tag("</p>");
        }
    }

    fn sentence(&mut self) {
        self.close_emphasis();
        self.close_sentence();
        self.tag("<s>");
        self.sentence = true;
        self.open_emphasis();
    }

    fn paragraph(&mut self) {
        self.close_all();
        self.tag("<p>");
        self.paragraph = true;
        self.open_emphasis();
    }
}

fn words(text: &str, atoms: &mut Vec<Atom>) {
    let mut word = String::new();
    let mut chars = 0;
    let mut done = false;
    for letter in text.chars() {
        // Zero would end the text for the helper; other controls are commands to it.
        let letter = if letter.is_whitespace() || letter.is_control() { ' ' } else { letter };
        // Space before the first word goes with it.
        let begun = chars > 0 && !word.trim().is_empty();
        if begun && (done && letter != ' ' || chars >= WORD_CHARS_MAX) {
            atoms.push(Atom::Word(std::mem::take(&mut word)));
            chars = 0;
        }
        word.push(letter);
        chars += 1;
        done = letter == ' ' || matches!(letter, '。' | '、' | '，' | '！' | '？' | '；');
    }
    if word.trim().is_empty()
        && let Some(Atom::Word(last)) = atoms.last_mut()
    {
        last.push_str(&word);
    } else if !word.is_empty() {
        atoms.push(Atom::Word(word));
    }
}

fn divide(atoms: &[Atom]) -> Vec<Range<usize>> {
    let mut units = Vec::new();
    let (mut start, mut weight) = (0, 0);
    for (index, atom) in atoms.iter().enumerate() {
        let next_is_border = matches!(atom, Atom::Sentence | Atom::Paragraph);
        let cut = index > start && weight > 0 && {
            let last = atoms.get(index - 1);
            let (sentence, comma) = match last {
                Some(Atom::Word(word)) => (closes(word) && opens(atom), pauses(word)),
                Some(_) | None => (false, false),
            };
            weight >= UNIT_MAX
                || weight >= UNIT_COMMA && comma
                || weight >= UNIT_SENTENCE && (sentence || next_is_border)
        };
        if cut {
            units.push(start..index);
            (start, weight) = (index, 0);
        }
        if let Atom::Word(word) = atom {
            let digits = word.chars().filter(char::is_ascii_digit).count();
            weight += word.chars().count() + digits * (DIGIT_WEIGHT - 1);
        }
    }
    if start < atoms.len() {
        units.push(start..atoms.len());
    }
    units
}

/// Whether a sentence ends with this word; "Dr." and "e.g." do not end one.
fn closes(word: &str) -> bool {
    let word = word.trim_end().trim_end_matches(['"', '\'', ')', ']', '”', '’', '»']);
    match word.chars().next_back() {
        Some('!' | '?' | '。' | '！' | '？' | '…') => true,
        Some('.') => {
            let stem = word.trim_end_matches('.');
            stem.chars().count() >= 4 && !stem.contains('.')
                || stem.chars().any(|letter| letter.is_ascii_digit())
                || stem.chars().all(char::is_lowercase) && stem.chars().count() >= 2
        }
        Some(_) | None => false,
    }
}

/// Whether a sentence can begin with this atom.
fn opens(atom: &Atom) -> bool {
    match atom {
        Atom::Word(word) => {
            word.chars().find(|c| c.is_alphanumeric()).is_some_and(|letter| !letter.is_lowercase())
        }
        Atom::Mark(_) | Atom::Sentence | Atom::Paragraph | Atom::Emphasis(_) => true,
    }
}

/// Whether one may breathe after this word.
fn pauses(word: &str) -> bool {
    closes(word) || word.trim_end().ends_with([',', ';', ':', '、', '，', '；', '–', '—'])
}

#[cfg(test)]
mod tests {
    use ssml::Style;

    use super::*;

    fn plan(pieces: Vec<RunPiece>) -> Plan {
        Plan::new(&Run { pieces, style: Style::default(), joined: false }).unwrap()
    }

    #[test]
    fn a_text_is_written_with_its_points_named_by_index() {
        let plan = plan(vec![
            RunPiece::ParagraphStart,
            RunPiece::Text("Fish & chips ".into()),
            RunPiece::Mark("a<b".into()),
            RunPiece::Emphasis(Emphasis::Strong),
            RunPiece::Text("now.".into()),
            RunPiece::SentenceStart,
            RunPiece::Text("Yes".into()),
        ]);
        let whole = plan.render(0..plan.atoms.len());
        assert_eq!(
            whole.ssml,
            "<speak><p><mark name=\"0\"/>Fish &amp; chips <mark name=\"4\"/>\
             <emphasis level=\"strong\">now.</emphasis><s><emphasis level=\"strong\">Yes\
             </emphasis></s></p></speak>"
        );
        assert_eq!(plan.atom(4), Some(&Atom::Mark("a<b".into())));
        let position = u32::try_from(whole.ssml.find("now").unwrap()).unwrap();
        assert_eq!(whole.word_at(position), Some(6));
        assert_eq!(whole.word_at(position + 2), Some(6));
        let rest = plan.render(8..9);
        assert_eq!(rest.ssml, "<speak><emphasis level=\"strong\">Yes</emphasis></speak>");
    }

    #[test]
    fn a_long_text_is_cut_where_sentences_end_and_nothing_is_lost() {
        let text = "Dr. Smith met Mr. Jones at 5 p.m. on Monday, as agreed. ".repeat(40);
        let plan = plan(vec![RunPiece::Text(text.clone())]);
        assert!(plan.units().len() > 3);
        let mut whole = String::new();
        for unit in plan.units() {
            for atom in &plan.atoms[unit.clone()] {
                if let Atom::Word(word) = atom {
                    whole.push_str(word);
                }
            }
            assert!(whole.ends_with("agreed. "), "{whole}");
            assert!(plan.begins_sentence(unit.start));
        }
        assert_eq!(whole, text);
        let tails: Vec<_> = plan.units().iter().map(|unit| plan.tail(unit)).collect();
        assert!(tails.iter().rev().skip(1).all(|tail| *tail == Tail::Keep));
        assert_eq!(tails.last(), Some(&Tail::Trim));
    }

    #[test]
    fn text_without_sentences_or_spaces_is_cut_all_the_same() {
        for text in ["word ".repeat(1_000), "語".repeat(5_000), "9".repeat(3_000)] {
            let plan = plan(vec![RunPiece::Text(text)]);
            assert!(plan.units().len() > 2, "{} units", plan.units().len());
            assert_eq!(plan.tail(&plan.units()[0].clone()), Tail::Trim);
        }
        assert_eq!(
            Plan::new(&Run {
                pieces: vec![RunPiece::Text("x".repeat(TEXT_CHARS_MAX + 1))],
                style: Style::default(),
                joined: false,
            })
            .err(),
            Some(SpeechError::TooLong { chars: TEXT_CHARS_MAX + 1 })
        );
    }
}

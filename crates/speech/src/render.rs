//! A run as the texts that providers get, and the way back from a place in such a text to the run.

use std::fmt::Write;
use std::ops::Range;

use ssml::{Emphasis, Run, RunPiece};

use crate::ipa;
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
/// So does a sign of Chinese or Japanese, or a syllable of Korean.
const SIGN_WEIGHT: usize = 3;

/// A provider that knows no marks gets its first text soon, so that it is heard soon: from this weight
/// on it ends at the end of a sentence,
const FIRST_SENTENCE: usize = 12;
/// and from this on at a comma.
const FIRST_COMMA: usize = 120;

/// How texts are written for a provider.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Dialect {
    /// SSML, with marks for the points.
    Marked,
    /// The same, and pronunciations in eSpeak's own alphabet.
    Phonemes,
    /// Words only: a text goes from one point to the next.
    Plain,
}

impl Dialect {
    pub(crate) const fn has_marks(self) -> bool {
        match self {
            Self::Marked | Self::Phonemes => true,
            Self::Plain => false,
        }
    }
}

/// The smallest part that is spoken as a whole.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Atom {
    /// A word with the space behind it.
    Word {
        text: String,
        /// How it is pronounced, in eSpeak's alphabet, if that was said.
        sounds: Option<String>,
    },
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

/// A run's atoms.
#[derive(Debug)]
pub(crate) struct Plan {
    atoms: Vec<Atom>,
    joined: bool,
}

/// A text for a provider, and where its atoms are in it.
#[derive(Debug)]
pub(crate) struct Rendered {
    pub(crate) text: String,
    /// The first character of each atom.
    starts: Vec<(u32, usize)>,
}

impl Plan {
    pub(crate) fn new(run: &Run) -> Result<Self, SpeechError> {
        let mut atoms = Vec::new();
        let mut chars = 0;
        for piece in &run.pieces {
            match piece {
                RunPiece::Text(text) => {
                    chars += text.chars().count();
                    words(text, &mut atoms);
                }
                RunPiece::Phoneme { alphabet, ph, text } => {
                    chars += text.chars().count() + ph.chars().count();
                    match ipa::to_espeak(alphabet, ph) {
                        Some(sounds) => {
                            let text = cleaned(text);
                            atoms.push(Atom::Word { text, sounds: Some(sounds) });
                        }
                        None => words(text, &mut atoms),
                    }
                }
                RunPiece::Mark(name) => atoms.push(Atom::Mark(name.clone())),
                RunPiece::SentenceStart => atoms.push(Atom::Sentence),
                RunPiece::ParagraphStart => atoms.push(Atom::Paragraph),
                RunPiece::Emphasis(level) => atoms.push(Atom::Emphasis(*level)),
            }
            if chars > TEXT_CHARS_MAX {
                return Err(SpeechError::TooLong { chars });
            }
        }
        Ok(Self { atoms, joined: run.joined })
    }

    /// The parts that are asked for one by one, from this atom on.
    pub(crate) fn units(&self, dialect: Dialect, from: usize) -> Vec<Range<usize>> {
        divide(&self.atoms, dialect, from)
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
                Atom::Word { text, .. } => return closes(text),
                Atom::Sentence | Atom::Paragraph => return true,
                Atom::Mark(_) | Atom::Emphasis(_) => {}
            }
        }
        true
    }

    /// These atoms as a text.
    pub(crate) fn render(&self, range: Range<usize>, dialect: Dialect) -> Rendered {
        match dialect {
            Dialect::Marked | Dialect::Phonemes => self.marked(range, dialect),
            Dialect::Plain => self.plain(range),
        }
    }

    /// The words alone, each where a sentence borders divided from the next.
    fn plain(&self, range: Range<usize>) -> Rendered {
        let mut text = String::new();
        let mut starts = Vec::new();
        let mut chars = 0;
        let count = range.len();
        for (index, atom) in self.atoms.iter().enumerate().skip(range.start).take(count) {
            match atom {
                Atom::Word { text: word, .. } => {
                    starts.push((chars, index));
                    text.push_str(word);
                    chars += u32::try_from(word.chars().count()).unwrap_or(0);
                }
                Atom::Sentence | Atom::Paragraph if !text.is_empty() => {
                    // Without a full stop it would run on into the next.
                    let end = if self.ends_with_stop(index) { " " } else { ". " };
                    text.push_str(end);
                    chars += u32::try_from(end.len()).unwrap_or(0);
                }
                Atom::Sentence | Atom::Paragraph | Atom::Mark(_) | Atom::Emphasis(_) => {}
            }
        }
        Rendered { text, starts }
    }

    /// Whether the last word before this atom has a sign behind it.
    fn ends_with_stop(&self, index: usize) -> bool {
        let before = self.atoms.iter().take(index).rev();
        let word = before.filter_map(|atom| match atom {
            Atom::Word { text, .. } => Some(text.trim_end()),
            Atom::Mark(_) | Atom::Sentence | Atom::Paragraph | Atom::Emphasis(_) => None,
        });
        word.filter(|word| !word.is_empty())
            .map(|word| !word.ends_with(char::is_alphanumeric))
            .next()
            .unwrap_or(true)
    }

    /// As SSML. Points get marks named after their index; the words' own places are told by the helper.
    fn marked(&self, range: Range<usize>, dialect: Dialect) -> Rendered {
        let mut writing = Writing { out: "<speak>".into(), at: 7, ..Writing::default() };
        let before = self.atoms.iter().take(range.start).rev();
        writing.emphasis = before
            .filter_map(|atom| match atom {
                Atom::Emphasis(level) => Some(*level),
                Atom::Word { .. } | Atom::Mark(_) | Atom::Sentence | Atom::Paragraph => None,
            })
            .next()
            .unwrap_or_default();
        writing.open_emphasis();
        let mut starts = Vec::new();
        let count = range.len();
        for (index, atom) in self.atoms.iter().enumerate().skip(range.start).take(count) {
            match atom {
                Atom::Word { text, sounds } => {
                    starts.push((writing.at, index));
                    match sounds {
                        Some(sounds) if dialect == Dialect::Phonemes => writing.sounds(sounds),
                        Some(_) | None => writing.text(text),
                    }
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
        Rendered { text: writing.out, starts }
    }
}

impl Atom {
    /// Whether this is a word and not only the space between two points.
    pub(crate) fn is_word(&self) -> bool {
        match self {
            Self::Word { text, .. } => !text.trim().is_empty(),
            Self::Mark(_) | Self::Sentence | Self::Paragraph | Self::Emphasis(_) => false,
        }
    }
}

impl Rendered {
    /// The first word of the text.
    pub(crate) fn first_word(&self) -> Option<usize> {
        self.starts.first().map(|(_, atom)| *atom)
    }

    /// Where the words begin, in characters.
    pub(crate) fn word_places(&self) -> Vec<u32> {
        self.starts.iter().map(|(start, _)| *start).collect()
    }

    /// Whether silence is no answer to it: there is a letter or a digit in it.
    pub(crate) fn must_be_heard(&self) -> bool {
        // The tags have letters too.
        let mut inside = false;
        self.text.chars().any(|letter| {
            match letter {
                '<' => inside = true,
                '>' => inside = false,
                _ => {}
            }
            !inside && letter.is_alphanumeric()
        })
    }

    /// The character up to which the text has so many letters, a digit being four and a sign of a script
    /// without letters three.
    pub(crate) fn behind(&self, letters: usize) -> u32 {
        let mut left = letters;
        let weight = |letter: char| match letter {
            _ if letter.is_numeric() => DIGIT_WEIGHT,
            '\u{2e80}'.. => SIGN_WEIGHT,
            _ => 1,
        };
        let heard = self.text.chars().take_while(|letter| {
            let weight = weight(*letter);
            let fits = weight <= left;
            left -= weight.min(left);
            fits
        });
        u32::try_from(heard.count()).unwrap_or(u32::MAX)
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

    /// A pronunciation, with the space behind the word.
    fn sounds(&mut self, sounds: &str) {
        self.tag("[[");
        self.text(sounds);
        self.tag("]] ");
    }

    fn text(&mut self, text: &str) {
        let mut last = ' ';
        for letter in text.chars() {
            // Two of them would begin a pronunciation.
            if letter == '[' && last == '[' {
                self.tag(" ");
            }
            last = letter;
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

/// Zero would end the text for a helper; other controls are commands to it.
fn printable(letter: char) -> char {
    if letter.is_whitespace() || letter.is_control() { ' ' } else { letter }
}

fn cleaned(text: &str) -> String {
    text.chars().map(printable).collect()
}

fn words(text: &str, atoms: &mut Vec<Atom>) {
    let mut word = String::new();
    let mut chars = 0;
    let mut done = false;
    for letter in text.chars().map(printable) {
        // Space before the first word goes with it.
        let begun = chars > 0 && !word.trim().is_empty();
        if begun && (done && letter != ' ' || chars >= WORD_CHARS_MAX) {
            atoms.push(Atom::Word { text: std::mem::take(&mut word), sounds: None });
            chars = 0;
        }
        word.push(letter);
        chars += 1;
        done = letter == ' ' || matches!(letter, '。' | '、' | '，' | '！' | '？' | '；');
    }
    if word.trim().is_empty()
        && let Some(Atom::Word { text: last, .. }) = atoms.last_mut()
    {
        last.push_str(&word);
    } else if !word.is_empty() {
        atoms.push(Atom::Word { text: word, sounds: None });
    }
}

fn divide(atoms: &[Atom], dialect: Dialect, from: usize) -> Vec<Range<usize>> {
    let mut units = Vec::new();
    let (mut start, mut weight) = (from, 0);
    for (index, atom) in atoms.iter().enumerate().skip(from) {
        if index > start && weight > 0 && is_border(atoms, index, weight, dialect, units.is_empty())
        {
            units.push(start..index);
            (start, weight) = (index, 0);
        }
        if let Atom::Word { text, .. } = atom {
            let digits = text.chars().filter(char::is_ascii_digit).count();
            weight += text.chars().count() + digits * (DIGIT_WEIGHT - 1);
        }
    }
    if start < atoms.len() {
        units.push(start..atoms.len());
    }
    units
}

/// Whether a unit of this weight ends before the atom.
fn is_border(atoms: &[Atom], index: usize, weight: usize, dialect: Dialect, first: bool) -> bool {
    let Some(atom) = atoms.get(index) else { return false };
    let last = atoms.get(index - 1);
    let (sentence, comma) = match last {
        Some(Atom::Word { text, .. }) => (closes(text) && opens(atom), pauses(text)),
        Some(_) | None => (false, false),
    };
    let sentence = sentence || matches!(atom, Atom::Sentence | Atom::Paragraph);
    let soon = first && !dialect.has_marks();
    let (sentence_min, comma_min) =
        if soon { (FIRST_SENTENCE, FIRST_COMMA) } else { (UNIT_SENTENCE, UNIT_COMMA) };
    let point = matches!(atom, Atom::Mark(_) | Atom::Paragraph);
    let more = || {
        let words = |atom: &Atom| atom.is_word();
        atoms.iter().skip(index).any(words)
    };
    weight >= UNIT_MAX
        || weight >= comma_min && comma
        || weight >= sentence_min && sentence
        || !dialect.has_marks() && point && more()
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
        Atom::Word { text, .. } => {
            text.chars().find(|c| c.is_alphanumeric()).is_some_and(|letter| !letter.is_lowercase())
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
        let whole = plan.render(0..plan.atoms.len(), Dialect::Marked);
        assert_eq!(
            whole.text,
            "<speak><p><mark name=\"0\"/>Fish &amp; chips <mark name=\"4\"/>\
             <emphasis level=\"strong\">now.</emphasis><s><emphasis level=\"strong\">Yes\
             </emphasis></s></p></speak>"
        );
        assert_eq!(plan.atom(4), Some(&Atom::Mark("a<b".into())));
        let position = u32::try_from(whole.text.find("now").unwrap()).unwrap();
        assert_eq!(whole.word_at(position), Some(6));
        assert_eq!(whole.word_at(position + 2), Some(6));
        let rest = plan.render(8..9, Dialect::Marked);
        assert_eq!(rest.text, "<speak><emphasis level=\"strong\">Yes</emphasis></speak>");
        let bare = plan.render(0..plan.atoms.len(), Dialect::Plain);
        assert_eq!(bare.text, "Fish & chips now. Yes");
        assert_eq!(bare.word_places(), [0, 5, 7, 13, 18]);
        let units = plan.units(Dialect::Plain, 0);
        assert_eq!(units, [0..4, 4..9], "a mark lies between two texts");
        assert_eq!(plan.units(Dialect::Marked, 0), vec![Range { start: 0, end: 9 }]);
    }

    #[test]
    fn a_pronunciation_goes_to_who_takes_it_and_the_word_to_others() {
        let ipa = |ph: &str| RunPiece::Phoneme {
            alphabet: "ipa".into(),
            ph: ph.into(),
            text: "tomato".into(),
        };
        let plan = plan(vec![
            RunPiece::Text("a [[b]] ".into()),
            ipa("təˈmɑːtəʊ"),
            RunPiece::Text(" soup".into()),
            ipa("not ☺ ipa"),
        ]);
        let text = |dialect| plan.render(0..plan.atoms.len(), dialect).text;
        assert_eq!(text(Dialect::Phonemes), "<speak>a [ [b]] [[t@m'A:toU]]  souptomato</speak>");
        assert_eq!(text(Dialect::Marked), "<speak>a [ [b]] tomato souptomato</speak>");
        assert_eq!(text(Dialect::Plain), "a [[b]] tomato souptomato");
    }

    #[test]
    fn the_first_text_of_a_slow_provider_is_short() {
        let plan = plan(vec![RunPiece::Text(
            "Thank you for calling. Your call is important to us, and it will be answered soon. \
             Please hold."
                .repeat(20),
        )]);
        let first = |dialect| {
            let unit = plan.units(dialect, 0).into_iter().next().unwrap();
            plan.render(unit, Dialect::Plain).text
        };
        assert_eq!(first(Dialect::Plain), "Thank you for calling. ");
        assert!(first(Dialect::Marked).len() > UNIT_SENTENCE);
    }

    #[test]
    fn digits_and_signs_take_longer_than_letters() {
        let text = "Pay 47 euros, 二十 yuan";
        let plan = plan(vec![RunPiece::Text(text.into())]);
        let rendered = plan.render(0..plan.atoms.len(), Dialect::Plain);
        for (letters, expected) in
            [(0, "Pay "), (3, "Pay "), (7, "47 "), (11, "47 "), (14, "euros, ")]
        {
            let atom = rendered.word_at(rendered.behind(letters)).unwrap();
            assert!(
                matches!(plan.atom(atom), Some(Atom::Word { text, .. }) if text == expected),
                "{letters}: {:?}",
                plan.atom(atom)
            );
        }
        assert_eq!(rendered.behind(10_000), 21);
    }

    #[test]
    fn silence_is_no_answer_to_words() {
        for (text, expected) in
            [("Hello", true), ("Привет", true), ("7", true), ("...", false), ("— ?", false)]
        {
            let plan = plan(vec![RunPiece::Text(text.into())]);
            for dialect in [Dialect::Marked, Dialect::Plain] {
                let rendered = plan.render(0..plan.atoms.len(), dialect);
                assert_eq!(rendered.must_be_heard(), expected, "{text}");
            }
        }
    }

    #[test]
    fn a_long_text_is_cut_where_sentences_end_and_nothing_is_lost() {
        let text = "Dr. Smith met Mr. Jones at 5 p.m. on Monday, as agreed. ".repeat(40);
        let plan = plan(vec![RunPiece::Text(text.clone())]);
        let units = plan.units(Dialect::Marked, 0);
        assert!(units.len() > 3);
        let mut whole = String::new();
        for unit in &units {
            for atom in &plan.atoms[unit.clone()] {
                if let Atom::Word { text, .. } = atom {
                    whole.push_str(text);
                }
            }
            assert!(whole.ends_with("agreed. "), "{whole}");
            assert!(plan.begins_sentence(unit.start));
        }
        assert_eq!(whole, text);
        let tails: Vec<_> = units.iter().map(|unit| plan.tail(unit)).collect();
        assert!(tails.iter().rev().skip(1).all(|tail| *tail == Tail::Keep));
        assert_eq!(tails.last(), Some(&Tail::Trim));
    }

    #[test]
    fn text_without_sentences_or_spaces_is_cut_all_the_same() {
        for text in ["word ".repeat(1_000), "語".repeat(5_000), "9".repeat(3_000)] {
            let plan = plan(vec![RunPiece::Text(text)]);
            let units = plan.units(Dialect::Marked, 0);
            assert!(units.len() > 2, "{} units", units.len());
            assert_eq!(plan.tail(&units[0]), Tail::Trim);
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

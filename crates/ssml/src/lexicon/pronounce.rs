//! Finding the words of lexicons in a run.

use std::borrow::Borrow;
use std::ops::Range;

use super::{Index, Lexicon, Saying};
use crate::document::{Run, RunPiece};

/// Pronunciations and aliases put into one run, in bytes; past it words stay as they are.
pub const ADDED_BYTES_MAX: usize = 1 << 20;

/// The run with its words said as the lexicons want it; the first lexicon that has a word decides.
///
/// A lexicon is used where its language is that of the run or a prefix of it (RFC 4647 §3.3.1). At
/// each word the longest grapheme is taken, in the case as written before any other case, and never
/// within another word: what stands beside it is no letter or digit. An alias is read with the same
/// lexicon once more. Words that have a pronunciation already keep it; what `sub` and `say-as` put in
/// is text as any other. RFC 6787 §8.4.17 has the order: a document's lexicons before the request's.
pub fn pronounce<L: Borrow<Lexicon>>(run: &Run, lexicons: &[L]) -> Run {
    let fitting: Vec<&Lexicon> = lexicons
        .iter()
        .map(Borrow::borrow)
        .filter(|lexicon| !lexicon.is_empty() && lexicon.fits(&run.style.language))
        .collect();
    if fitting.is_empty() {
        return run.clone();
    }
    let mut said = Said { pieces: Vec::new(), text: String::new(), left: ADDED_BYTES_MAX };
    for piece in &run.pieces {
        match piece {
            RunPiece::Text(text) => {
                said.say(text, &fitting, Depth::Text);
                said.flush();
            }
            RunPiece::Phoneme { .. }
            | RunPiece::Mark(_)
            | RunPiece::SentenceStart
            | RunPiece::ParagraphStart
            | RunPiece::Emphasis(_) => said.pieces.push(piece.clone()),
        }
    }
    Run { pieces: said.pieces, style: run.style.clone(), joined: run.joined }
}

impl Lexicon {
    fn fits(&self, language: &str) -> bool {
        let Some(range) = self.language() else { return true };
        language.split_at_checked(range.len()).is_some_and(|(begin, rest)| {
            begin.eq_ignore_ascii_case(range) && (rest.is_empty() || rest.starts_with('-'))
        })
    }

    /// How many parts from `at` on are a word of this lexicon, and what is said for it.
    fn find(&self, text: &str, cut: &Cut, at: usize) -> Option<(usize, &Saying)> {
        let first = cut.parts.get(at)?;
        let longest = self
            .exact
            .longest(text.get(first.exact.clone())?)
            .max(self.folded.longest(cut.folded.get(first.folded.clone())?));
        for count in (1..=longest).rev() {
            let Some(last) = cut.parts.get(at + count - 1) else { continue };
            if cut.parts.get(at + count).is_some_and(|next| next.is_word) {
                continue;
            }
            let exact = text.get(first.exact.start..last.exact.end)?;
            let folded = cut.folded.get(first.folded.start..last.folded.end)?;
            let found = self.exact.sayings.get(exact).or_else(|| self.folded.sayings.get(folded));
            if let Some(saying) = found.and_then(|found| self.sayings.get(*found)) {
                return Some((count, saying));
            }
        }
        None
    }
}

impl Index {
    fn longest(&self, first: &str) -> usize {
        self.longest.get(first).copied().unwrap_or(0)
    }
}

/// Whether words of an alias are looked up: an alias within an alias is not, so none goes in a circle.
#[derive(Clone, Copy)]
enum Depth {
    Text,
    Alias,
}

/// Pieces being made.
struct Said {
    pieces: Vec<RunPiece>,
    /// What becomes the next piece of text.
    text: String,
    /// Bytes that may yet be added.
    left: usize,
}

impl Said {
    fn say(&mut self, text: &str, lexicons: &[&Lexicon], depth: Depth) {
        let cut = cut(text);
        let mut at = 0;
        let mut inside = false;
        while let Some(part) = cut.parts.get(at) {
            let found = if inside {
                None
            } else {
                lexicons.iter().find_map(|lexicon| {
                    lexicon.find(text, &cut, at).map(|(count, saying)| (count, saying, *lexicon))
                })
            };
            let end = at + found.map_or(1, |(count, _, _)| count);
            let last = cut.parts.get(end - 1).unwrap_or(part);
            let words = text.get(part.exact.start..last.exact.end).unwrap_or_default();
            inside = last.is_word;
            at = end;
            match found {
                Some((_, saying, lexicon)) => self.put(words, saying, lexicon, depth),
                None => self.text.push_str(words),
            }
        }
    }

    fn put(&mut self, words: &str, saying: &Saying, lexicon: &Lexicon, depth: Depth) {
        let cost = match saying {
            Saying::Phoneme { alphabet, ph } => alphabet.len() + ph.len(),
            Saying::Alias(alias) => alias.len(),
        };
        let Some(left) = self.left.checked_sub(cost) else {
            self.text.push_str(words);
            return;
        };
        self.left = left;
        match (saying, depth) {
            (Saying::Phoneme { alphabet, ph }, _) => {
                self.flush();
                self.pieces.push(RunPiece::Phoneme {
                    alphabet: alphabet.clone(),
                    ph: ph.clone(),
                    text: words.to_owned(),
                });
            }
            (Saying::Alias(alias), Depth::Text) => self.say(alias, &[lexicon], Depth::Alias),
            (Saying::Alias(alias), Depth::Alias) => self.text.push_str(alias),
        }
    }

    fn flush(&mut self) {
        if !self.text.is_empty() {
            self.pieces.push(RunPiece::Text(std::mem::take(&mut self.text)));
        }
    }
}

/// A text in parts: each run of letters and digits, and each other character by itself.
pub(super) struct Cut {
    pub(super) parts: Vec<Part>,
    /// The text in lower case, part by part.
    pub(super) folded: String,
}

/// Where a part is, in bytes.
pub(super) struct Part {
    pub(super) exact: Range<usize>,
    pub(super) folded: Range<usize>,
    is_word: bool,
}

pub(super) fn cut(text: &str) -> Cut {
    let mut parts: Vec<Part> = Vec::new();
    let mut folded = String::with_capacity(text.len());
    for (at, letter) in text.char_indices() {
        let begin = folded.len();
        folded.extend(letter.to_lowercase());
        let (end, folded_end) = (at + letter.len_utf8(), folded.len());
        // An accent of its own belongs to the letter before it.
        let is_word = letter.is_alphanumeric() || matches!(letter, '\u{300}'..='\u{36F}');
        match parts.last_mut() {
            Some(last) if last.is_word && is_word => {
                (last.exact.end, last.folded.end) = (end, folded_end);
            }
            Some(_) | None => {
                parts.push(Part { exact: at..end, folded: begin..folded_end, is_word });
            }
        }
    }
    Cut { parts, folded }
}

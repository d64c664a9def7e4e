use std::mem;

use crate::document::{Emphasis, Run, RunPiece, Segment, Style};

/// Collects segments: text of one style becomes one run, marks at its edges stand outside it.
#[derive(Default)]
pub(super) struct Gather {
    segments: Vec<Segment>,
    pieces: Vec<RunPiece>,
    style: Option<Style>,
    /// The emphasis that holds at the end of the run.
    emphasis: Emphasis,
    /// A word border is due before the next text.
    spaced: bool,
    /// Pieces and segments made since this was last asked.
    made: usize,
}

impl Gather {
    /// Adds text.
    pub(super) fn text(&mut self, text: &str, style: &Style, emphasis: Emphasis) {
        let mut added = String::with_capacity(text.len());
        let mut spaced = mem::take(&mut self.spaced);
        for letter in text.chars() {
            // Control characters are commands to some providers, and words to none.
            if letter.is_whitespace() || letter.is_control() {
                spaced = true;
            } else {
                if mem::take(&mut spaced) {
                    added.push(' ');
                }
                added.push(letter);
            }
        }
        self.spaced = spaced;
        if added.is_empty() {
            return;
        }
        self.restyle(style, emphasis);
        if let Some(RunPiece::Text(last)) = self.pieces.last_mut() {
            last.push_str(&added);
            return;
        }
        self.push(RunPiece::Text(added));
    }

    /// The next text is another word.
    pub(super) fn space(&mut self) {
        self.spaced = true;
    }

    /// A point between words; it does not care about the style of what it stands beside.
    pub(super) fn point(&mut self, piece: RunPiece) {
        self.push(piece);
    }

    pub(super) fn phoneme(&mut self, piece: RunPiece, style: &Style, emphasis: Emphasis) {
        self.restyle(style, emphasis);
        if mem::take(&mut self.spaced) {
            self.push(RunPiece::Text(" ".into()));
        }
        self.push(piece);
    }

    pub(super) fn segment(&mut self, segment: Segment) {
        self.flush();
        self.made += 1;
        self.segments.push(segment);
    }

    /// How many pieces and segments were made since this was last asked.
    pub(super) fn made(&mut self) -> usize {
        mem::take(&mut self.made)
    }

    fn push(&mut self, piece: RunPiece) {
        self.made += 1;
        self.pieces.push(piece);
    }

    pub(super) fn finish(mut self) -> Vec<Segment> {
        self.flush();
        let mut followed = false;
        for segment in self.segments.iter_mut().rev() {
            match segment {
                Segment::Speech(run) => run.joined = mem::replace(&mut followed, true),
                Segment::Mark(_) => {}
                Segment::Silence(_) | Segment::Audio(_) => followed = false,
            }
        }
        self.segments
    }

    fn restyle(&mut self, style: &Style, emphasis: Emphasis) {
        if self.style.as_ref().is_some_and(|current| current != style) {
            // A sentence or a mark in front of the new style's first word belongs to it.
            let keep = self
                .pieces
                .iter()
                .rposition(|piece| matches!(piece, RunPiece::Text(_) | RunPiece::Phoneme { .. }))
                .map_or(0, |last| last + 1);
            let later = self.pieces.split_off(keep);
            self.flush();
            self.pieces = later;
        }
        if self.style.is_none() {
            self.style = Some(style.clone());
        }
        if mem::replace(&mut self.emphasis, emphasis) != emphasis {
            self.push(RunPiece::Emphasis(emphasis));
        }
    }

    /// Ends the run: marks before its first and after its last word become segments of their own.
    fn flush(&mut self) {
        let pieces = mem::take(&mut self.pieces);
        let style = self.style.take();
        self.emphasis = Emphasis::None;
        let first = pieces.iter().position(audible);
        let last = pieces.iter().rposition(audible);
        let (Some(first), Some(last), Some(style)) = (first, last, style) else {
            self.marks(pieces);
            return;
        };
        let mut before = pieces;
        let mut run = before.split_off(first);
        let after = run.split_off(last + 1 - first);
        // A border or an emphasis in front of the first word is part of the run.
        let (marks, points): (Vec<_>, Vec<_>) =
            before.into_iter().partition(|piece| matches!(piece, RunPiece::Mark(_)));
        self.marks(marks);
        let mut all = opening(points);
        all.append(&mut run);
        if let Some(RunPiece::Text(text)) =
            all.iter_mut().find(|piece| matches!(piece, RunPiece::Text(_)))
        {
            let trimmed = text.trim_start().to_owned();
            *text = trimmed;
        }
        self.segments.push(Segment::Speech(Run { pieces: all, style, joined: false }));
        self.marks(after);
    }

    fn marks(&mut self, pieces: Vec<RunPiece>) {
        for piece in pieces {
            if let RunPiece::Mark(name) = piece {
                self.segments.push(Segment::Mark(name));
            }
        }
    }
}

/// What stands before the first word, without what was undone again.
fn opening(points: Vec<RunPiece>) -> Vec<RunPiece> {
    let mut emphasis = None;
    let mut kept: Vec<RunPiece> = Vec::new();
    for point in points {
        match point {
            RunPiece::Emphasis(level) => emphasis = Some(level),
            // Punctuation without a word before it says nothing.
            RunPiece::Text(_) | RunPiece::Phoneme { .. } | RunPiece::Mark(_) => {}
            border @ (RunPiece::SentenceStart | RunPiece::ParagraphStart) => {
                if !kept.contains(&border) {
                    kept.push(border);
                }
            }
        }
    }
    if let Some(level) = emphasis.filter(|level| *level != Emphasis::None) {
        kept.push(RunPiece::Emphasis(level));
    }
    kept
}

/// Whether a piece is heard: punctuation alone is not.
fn audible(piece: &RunPiece) -> bool {
    match piece {
        RunPiece::Text(text) => !text.chars().all(|c| {
            c.is_whitespace()
                || matches!(c, '.' | ',' | ';' | ':' | '!' | '?' | '…' | '"' | '\'')
                || matches!(c, '(' | ')' | '[' | ']' | '-' | '–' | '—' | '“' | '”' | '‘' | '’')
        }),
        RunPiece::Phoneme { .. } => true,
        RunPiece::Mark(_)
        | RunPiece::SentenceStart
        | RunPiece::ParagraphStart
        | RunPiece::Emphasis(_) => false,
    }
}

/// What follows the mark; `None` when there is none of that name.
pub(super) fn from_mark(segments: &mut Vec<Segment>, name: &str) -> Option<Vec<Segment>> {
    let at = segments.iter().position(|segment| holds(segment, name))?;
    let mut rest = segments.split_off(at);
    if let Some(Segment::Speech(run)) = rest.first_mut() {
        let mark = run.pieces.iter().position(|piece| is_mark(piece, name))?;
        run.pieces.drain(..mark);
    }
    Some(rest)
}

/// Cuts at the mark, which stays; tells whether there is one of that name.
pub(super) fn until_mark(segments: &mut Vec<Segment>, name: &str) -> bool {
    let Some(at) = segments.iter().position(|segment| holds(segment, name)) else { return false };
    segments.truncate(at + 1);
    if let Some(Segment::Speech(run)) = segments.last_mut()
        && let Some(mark) = run.pieces.iter().position(|piece| is_mark(piece, name))
    {
        run.pieces.truncate(mark + 1);
    }
    true
}

fn holds(segment: &Segment, name: &str) -> bool {
    match segment {
        Segment::Mark(mark) => mark == name,
        Segment::Speech(run) => run.pieces.iter().any(|piece| is_mark(piece, name)),
        Segment::Silence(_) | Segment::Audio(_) => false,
    }
}

fn is_mark(piece: &RunPiece, name: &str) -> bool {
    matches!(piece, RunPiece::Mark(mark) if mark == name)
}

//! A text cut into words and into what is spoken as a whole.
//!
//! flite has a reader of its own, which is not used: it forgets where markup stood, and writes past the
//! end of a buffer when a word has many hundred signs of punctuation.

use std::collections::VecDeque;
use std::mem;

use crate::letters::{self, Read};
use crate::markup::{Event, Form, Markup};

/// A longer word is divided.
const WORD_BYTES_MAX: usize = 60;
/// From this weight on an utterance ends at a comma: its first sound waits for all of it.
const WEIGHT_COMMA: usize = 150;
/// And from this on anywhere. It is about twenty seconds.
const WEIGHT_MAX: usize = 300;
/// A digit or a sign takes as long to speak as this many letters.
const SIGN_WEIGHT: usize = 5;

/// Signs that flite puts apart before and after a word.
const BEFORE: &[char] = &['"', '\'', '`', '(', '{', '['];
const AFTER: &[char] =
    &['"', '\'', '`', '.', ',', ':', ';', '!', '?', '(', ')', '{', '}', '[', ']'];
/// Signs that are words when they stand alone.
const SPOKEN: [&str; 9] = ["%", "&", "$", "+", "=", "@", "#", "*", "/"];

/// A word as flite takes it: ASCII, no space, no zero.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Token {
    pub(crate) before: String,
    pub(crate) name: String,
    pub(crate) after: String,
    /// Where it stands in the text as sent, in characters.
    pub(crate) position: u32,
    pub(crate) length: u32,
}

/// How an utterance joins the one beside it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Edge {
    #[default]
    Sentence,
    Comma,
    /// Nothing in the text asks for a pause.
    Torn,
}

/// What is spoken as a whole.
#[derive(Debug, Default)]
pub(crate) struct Utterance {
    pub(crate) tokens: Vec<Token>,
    /// Marks, each with the number of tokens before it.
    pub(crate) marks: Vec<(usize, String)>,
    pub(crate) start: Edge,
    pub(crate) end: Edge,
    /// How long it takes to speak, about, in letters.
    weight: usize,
}

/// Reads a text utterance by utterance, no further than it must.
#[derive(Debug)]
pub(crate) struct Script<'t> {
    markup: Markup<'t>,
    form: Form,
    word: Vec<Sign>,
    /// Line ends since the last letter.
    lines: usize,
    building: Utterance,
    ready: VecDeque<Utterance>,
}

/// A sign of a word, and which characters of the text it stands for.
#[derive(Clone, Copy, Debug)]
struct Sign {
    byte: u8,
    from: u32,
    to: u32,
}

impl<'t> Script<'t> {
    pub(crate) fn new(text: &'t str, form: Form) -> Self {
        Self {
            markup: Markup::new(text, form),
            form,
            word: Vec::new(),
            lines: 0,
            building: Utterance::default(),
            ready: VecDeque::new(),
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Letter { letter, position, length } => {
                self.letter(letter, position, position + length);
            }
            Event::Mark(name) => {
                self.end_word();
                self.building.marks.push((self.building.tokens.len(), name));
            }
            Event::Border => {
                self.end_word();
                self.end_utterance(Edge::Sentence);
            }
        }
    }

    fn letter(&mut self, letter: char, from: u32, to: u32) {
        let signs = match letters::read(letter) {
            Read::Nothing => return,
            Read::Space => {
                self.end_word();
                self.lines += usize::from(letter == '\n');
                return;
            }
            Read::Letter(byte) => &[byte][..],
            Read::Letters(letters) => letters.as_bytes(),
        };
        if mem::take(&mut self.lines) > 1 && self.form == Form::Plain {
            self.end_utterance(Edge::Sentence);
        }
        self.word.extend(signs.iter().map(|byte| Sign { byte: *byte, from, to }));
        if self.word.len() >= WORD_BYTES_MAX {
            self.end_word();
        }
    }

    fn end_word(&mut self) {
        let word = mem::take(&mut self.word);
        let text: String = word.iter().map(|sign| char::from(sign.byte)).collect();
        let name = text.trim_start_matches(BEFORE);
        let before = text.len() - name.len();
        let name = name.trim_end_matches(AFTER);
        let (head, rest) = text.split_at_checked(before).unwrap_or_default();
        let after = rest.strip_prefix(name).unwrap_or_default();
        if !name.contains(|c: char| c.is_ascii_alphanumeric()) && !SPOKEN.contains(&name) {
            // Nothing to say; but it may end a sentence, or ask for a pause.
            if let Some(last) = self.building.tokens.last_mut() {
                let room = WORD_BYTES_MAX.saturating_sub(last.after.len());
                last.after.extend(text.chars().filter(|sign| AFTER.contains(sign)).take(room));
            }
            return;
        }
        let letters = word.get(before..before + name.len()).unwrap_or_default();
        let (Some(first), Some(last)) = (letters.first(), letters.last()) else { return };
        self.push(Token {
            before: head.to_owned(),
            name: name.to_owned(),
            after: after.to_owned(),
            position: first.from,
            length: last.to.saturating_sub(first.from),
        });
    }

    fn push(&mut self, token: Token) {
        if let Some(edge) = self.building.edge_before(&token) {
            self.end_utterance(edge);
        }
        self.building.weight += token.weight();
        self.building.tokens.push(token);
    }

    fn end_utterance(&mut self, edge: Edge) {
        if self.building.tokens.is_empty() {
            return;
        }
        self.building.end = edge;
        let next = Utterance { start: edge, ..Utterance::default() };
        self.ready.push_back(mem::replace(&mut self.building, next));
    }
}

impl Iterator for Script<'_> {
    type Item = Utterance;

    fn next(&mut self) -> Option<Utterance> {
        while self.ready.is_empty() {
            let Some(event) = self.markup.next() else {
                self.end_word();
                self.end_utterance(Edge::Sentence);
                if !self.building.marks.is_empty() {
                    self.ready.push_back(mem::take(&mut self.building));
                }
                break;
            };
            self.take(event);
        }
        self.ready.pop_front()
    }
}

impl Utterance {
    /// How it ends if it ends before `next`.
    fn edge_before(&self, next: &Token) -> Option<Edge> {
        let last = self.tokens.last()?;
        let weight = self.weight + next.weight();
        if last.closes() && next.opens() {
            Some(Edge::Sentence)
        } else if weight > WEIGHT_COMMA && last.after.contains([',', ';', ':']) {
            Some(Edge::Comma)
        } else if weight > WEIGHT_MAX {
            Some(Edge::Torn)
        } else {
            None
        }
    }
}

impl Token {
    /// Whether a sentence ends with this word; "Dr." and "e.g." do not end one.
    fn closes(&self) -> bool {
        if self.after.contains(['!', '?']) {
            return true;
        }
        let name = &self.name;
        self.after.contains('.')
            && (name.len() >= 4 && !name.contains('.')
                || name.contains(|c: char| c.is_ascii_digit())
                || name.len() >= 2 && name.bytes().all(|byte| byte.is_ascii_lowercase()))
    }

    /// With a space for each word.
    fn weight(&self) -> usize {
        let letters = self.name.bytes().filter(u8::is_ascii_alphabetic).count();
        1 + letters + SIGN_WEIGHT * (self.name.len() - letters)
    }

    /// Whether a sentence can begin with this word.
    fn opens(&self) -> bool {
        !self.name.starts_with(|c: char| c.is_ascii_lowercase())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words with their places, utterances parted by how they end, marks in brackets.
    fn check(text: &str, form: Form, seen: &str) {
        let mut all = Vec::new();
        for utterance in Script::new(text, form) {
            let mut marks = utterance.marks.iter().peekable();
            for (index, token) in utterance.tokens.iter().enumerate() {
                while let Some((_, name)) = marks.next_if(|(before, _)| *before <= index) {
                    all.push(format!("[{name}]"));
                }
                all.push(format!("{}@{}+{}", token.name, token.position, token.length));
            }
            all.extend(marks.map(|(_, name)| format!("[{name}]")));
            all.push(format!("{:?}", utterance.end));
        }
        assert_eq!(all.join(" "), seen);
    }

    #[test]
    fn words_stand_where_they_stood_in_the_text() {
        check("(Hello) \"w\u{f6}rld\".", Form::Plain, "Hello@1+5 world@9+5 Sentence");
        let text = "<speak>a&amp;b <emphasis>c</emphasis>d<mark name=\"m\"/></speak>";
        check(text, Form::Ssml, "a&b@7+7 cd@25+13 [m] Sentence");
        check("fa\u{e7}ade\u{2026} na\u{ef}ve", Form::Plain, "facade@0+6 naive@8+5 Sentence");
    }

    #[test]
    fn sentences_end_where_they_do() {
        check("Dr. No. Yes. No? ok", Form::Plain, "Dr@0+2 No@4+2 Yes@8+3 No@13+2 ok@17+2 Sentence");
        check(
            "We came . They left",
            Form::Plain,
            "We@0+2 came@3+4 Sentence They@10+4 left@15+4 Sentence",
        );
        check("<s>a</s><s>b</s>", Form::Ssml, "a@3+1 Sentence b@11+1 Sentence");
        check("a\n\nb\nc", Form::Plain, "a@0+1 Sentence b@3+1 c@5+1 Sentence");
    }

    #[test]
    fn what_has_nothing_to_say_is_no_word() {
        for text in
            ["", " ", "...", "-- ?! \"\" ***", "\u{8a9e}\u{8a9e} \u{43d}\u{435}\u{442}", "<p/>"]
        {
            check(text, Form::Ssml, "");
        }
        check("press * or #", Form::Plain, "press@0+5 *@6+1 or@8+2 #@11+1 Sentence");
        check("<mark name=\"x\"/>...", Form::Ssml, "[x] Sentence");
    }

    #[test]
    fn long_words_and_utterances_are_divided() {
        let ends = |text: &str| -> Vec<(usize, Edge)> {
            Script::new(text, Form::Plain).map(|each| (each.tokens.len(), each.end)).collect()
        };
        let torn = [(60, Edge::Torn), (60, Edge::Torn), (10, Edge::Sentence)];
        assert_eq!(ends(&"word ".repeat(130)), torn);
        assert_eq!(ends(&"one, two ".repeat(20)), [(37, Edge::Comma), (3, Edge::Sentence)]);
        assert_eq!(ends(&"x".repeat(150)), [(3, Edge::Sentence)]);
        assert_eq!(ends(&"9".repeat(100)), [(1, Edge::Torn), (1, Edge::Sentence)]);
        assert_eq!(ends(&format!("x{}", "!".repeat(5_000))), [(1, Edge::Sentence)]);
    }
}

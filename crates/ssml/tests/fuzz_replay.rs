//! The committed corpora, and mutations of them, through the fuzz bodies.

#![expect(clippy::indexing_slicing, reason = "a test may fail where it stands")]

use std::fs;
use std::path::Path;

/// Mutations of each file.
const MUTATIONS: usize = 2_500;

/// A small generator whose run is the same every time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap_or(0) % sides.max(1)
    }
}

/// Pieces that make a parser think.
const SEEDS: [&[u8]; 17] = [
    b"<",
    b">",
    b"&",
    b";",
    b"\"",
    b"'",
    b"]]>",
    b"<![CDATA[",
    b"&#x110000;",
    b"<mark name='",
    b"</",
    b"\xFF\xFE",
    b"<audio src='",
    b"time='1e9s'",
    b"<grapheme>a</grapheme>",
    b"<alias>a a</alias>",
    b"prefer='true'",
];

#[test]
fn the_corpus_and_its_mutations_keep_the_promises() {
    replay("ssml", ssml::fuzz::ssml);
}

#[test]
fn the_lexicons_and_their_mutations_keep_the_promises() {
    replay("lexicon", ssml::fuzz::lexicon);
}

fn replay(corpus: &str, body: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(corpus);
    let mut files: Vec<_> = fs::read_dir(folder)
        .expect("the corpus is committed")
        .map(|entry| entry.expect("a readable folder").path())
        .collect();
    files.sort();
    assert!(files.len() >= 8, "{} files", files.len());
    let texts: Vec<Vec<u8>> =
        files.iter().map(|file| fs::read(file).expect("a readable file")).collect();
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    for text in &texts {
        body(text);
        for _ in 0..MUTATIONS {
            let mut bytes = text.clone();
            for _ in 0..=dice.roll(4) {
                let at = dice.roll(bytes.len() + 1);
                match dice.roll(5) {
                    0 => bytes.truncate(at),
                    1 => drop(bytes.splice(at..at, SEEDS[dice.roll(SEEDS.len())].iter().copied())),
                    2 => {
                        let end = (at + dice.roll(16)).min(bytes.len());
                        drop(bytes.drain(at..end));
                    }
                    3 => {
                        let other = &texts[dice.roll(texts.len())];
                        let from = dice.roll(other.len());
                        let end = (from + dice.roll(40)).min(other.len());
                        drop(bytes.splice(at..at, other[from..end].iter().copied()));
                    }
                    _ => {
                        if let Some(byte) = bytes.get_mut(at) {
                            *byte ^= 1 << dice.roll(8);
                        }
                    }
                }
            }
            body(&bytes);
        }
    }
}

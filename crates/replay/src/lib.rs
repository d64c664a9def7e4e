//! Runs fuzz bodies over their corpora and over mutations of them, always the same ones. Only tests use it.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "only tests call it")]

use std::fs;
use std::path::Path;

/// Mutations tried for each body.
const MUTATIONS: usize = 20_000;

/// Marsaglia's xorshift: small, and the same everywhere.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % end.max(1)
    }
}

/// Runs a body over `corpus/<name>/` below the folder of a crate.
///
/// # Panics
/// The body does, or there is no corpus.
pub fn replay(of_crate: &str, name: &str, body: fn(&[u8])) {
    let folder = Path::new(of_crate).join("corpus").join(name);
    let mut paths: Vec<_> =
        fs::read_dir(folder).unwrap().map(|item| item.unwrap().path()).collect();
    paths.sort();
    let corpus: Vec<Vec<u8>> = paths.iter().map(|path| fs::read(path).unwrap()).collect();
    assert!(!corpus.is_empty());
    for seed in &corpus {
        body(seed);
    }
    let mut dice = Dice(0x9051);
    for _ in 0..MUTATIONS {
        let mut data = corpus[dice.below(corpus.len())].clone();
        for _ in 0..=dice.below(4) {
            mutate(&mut data, &corpus, &mut dice);
        }
        body(&data);
    }
}

fn mutate(data: &mut Vec<u8>, corpus: &[Vec<u8>], dice: &mut Dice) {
    const BYTES: &[u8] = b"\r\n :;,=@<>\"\\0919-+%\0\xff\x80\t(){}[]*$/MZ";
    let at = dice.below(data.len());
    match dice.below(6) {
        0 if !data.is_empty() => data[at] = BYTES[dice.below(BYTES.len())],
        1 => data.insert(at, BYTES[dice.below(BYTES.len())]),
        2 => data.truncate(at),
        3 if !data.is_empty() => {
            let end = (at + dice.below(16)).min(data.len());
            data.drain(at..end);
        }
        4 => {
            let end = (at + dice.below(64)).min(data.len());
            let again = data[at..end].to_vec();
            data.splice(at..at, again);
        }
        _ => {
            let other = &corpus[dice.below(corpus.len())];
            let from = dice.below(other.len());
            let end = (from + dice.below(64)).min(other.len());
            data.splice(at..at, other[from..end].iter().copied());
        }
    }
}

//! The fuzz body over its corpus, and over mutations of it.

#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

use std::path::Path;

/// How many changed documents are tried.
const MUTATIONS: usize = 20_000;

/// Numbers that are the same in every run. Marsaglia's xorshift.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(limit.max(1)).unwrap()).unwrap()
    }
}

#[test]
fn mutated_documents_never_panic() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/ssml");
    let mut files: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let seeds: Vec<Vec<u8>> = files.iter().map(|file| std::fs::read(file).unwrap()).collect();
    assert!(!seeds.is_empty());
    seeds.iter().for_each(|seed| ssml::fuzz::ssml(seed));
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    for _ in 0..MUTATIONS {
        let mut data = seeds[numbers.below(seeds.len())].clone();
        for _ in 0..=numbers.below(4) {
            let at = numbers.below(data.len());
            match numbers.below(4) {
                0 => data.truncate(at),
                1 => data.insert(at, b"<>&;/\"'="[numbers.below(8)]),
                2 => {
                    let end = (at + numbers.below(40)).min(data.len());
                    let copy = data[at..end].to_vec();
                    let to = numbers.below(data.len());
                    data.splice(to..to, copy);
                }
                _ => data.get_mut(at).into_iter().for_each(|byte| *byte ^= 1 << numbers.below(8)),
            }
        }
        ssml::fuzz::ssml(&data);
    }
}

//! Which known key a mistyped one was likely meant to be.

use std::collections::BTreeSet;

/// The nearest known key: a sibling spelt alike, else the same word elsewhere, else any path
/// spelt alike.
pub(super) fn nearest(wrong: &str, known: &BTreeSet<String>) -> Option<String> {
    let (folder, word) = split(wrong);
    let near = |candidates: &mut dyn Iterator<Item = (&String, &str)>, word: &str| {
        let limit = (word.chars().count() / 3).clamp(1, 3);
        candidates
            .map(|(path, text)| (distance(word, text), path))
            .filter(|&(apart, _)| apart <= limit)
            .min()
            .map(|(_, path)| path.clone())
    };
    let mut siblings =
        known.iter().filter(|path| split(path).0 == folder).map(|path| (path, split(path).1));
    near(&mut siblings, word)
        .or_else(|| known.iter().find(|path| split(path).1 == word).cloned())
        .or_else(|| near(&mut known.iter().map(|path| (path, path.as_str())), wrong))
        .or_else(|| near(&mut known.iter().map(|path| (path, split(path).1)), word))
}

fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('.').unwrap_or(("", path))
}

/// Letters to insert, delete, change or swap with their neighbour to get from one to the other;
/// `-` and `_` are the same.
fn distance(a: &str, b: &str) -> usize {
    let letters = |text: &str| -> Vec<char> {
        text.chars().map(|c| if c == '-' { '_' } else { c.to_ascii_lowercase() }).collect()
    };
    let (a, b) = (letters(a), letters(b));
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    let at = |row: &[usize], index: usize| row.get(index).copied().unwrap_or(usize::MAX / 2);
    for (i, &from) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, &to) in b.iter().enumerate() {
            let change = at(&last, j) + usize::from(from != to);
            let mut best = change.min(at(&last, j + 1) + 1).min(at(&row, j) + 1);
            let crossed =
                j > 0 && i > 0 && b.get(j - 1) == Some(&from) && a.get(i - 1) == Some(&to);
            if crossed {
                best = best.min(at(&before_last, j - 1) + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    at(&last, b.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(wrong: &str, meant: Option<&str>) {
        let known =
            ["general", "general.sip", "general.sip.port", "general.mrcp.port", "media.roots"]
                .into_iter()
                .chain(["audio.rtp.port_ranges", "external_audio.sources[].gain_db"])
                .map(str::to_owned)
                .collect();
        assert_eq!(nearest(wrong, &known).as_deref(), meant, "for {wrong}");
    }

    #[test]
    fn the_likely_meant_key_is_a_sibling_first() {
        check("general.sip.prot", Some("general.sip.port"));
        check("general.mrcp.portt", Some("general.mrcp.port"));
        check("audio.rtp.port-range", Some("audio.rtp.port_ranges"));
        check("external_audio.sources[].gain_bd", Some("external_audio.sources[].gain_db"));
    }

    #[test]
    fn else_the_same_word_elsewhere() {
        check("sip", Some("general.sip"));
        check("roots", Some("media.roots"));
        check("genral", Some("general"));
    }

    #[test]
    fn else_nothing_is_guessed() {
        check("colour", None);
    }
}

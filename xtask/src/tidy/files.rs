//! The files of the project, read once; their words, their length, and the corpora of fuzz bodies.

use std::collections::BTreeMap;
use std::path::Path;

use super::Complaint;

/// Every text file that git would keep, by its path from the top.
#[derive(Debug)]
pub(super) struct Files {
    texts: BTreeMap<String, String>,
    paths: Vec<String>,
}

/// Folders that hold nothing of ours.
const SKIPPED: [&str; 4] = [".git", "target", "demo-out", "node_modules"];

/// Endings of files that are read as text.
const TEXTS: [&str; 6] = ["rs", "md", "toml", "sh", "txt", "yml"];

impl Files {
    /// Reads everything below `top`.
    pub(super) fn read(top: &Path) -> Result<Self, String> {
        let mut files = Self { texts: BTreeMap::new(), paths: Vec::new() };
        files.walk(top, "").map_err(|error| format!("cannot read {}: {error}", top.display()))?;
        Ok(files)
    }

    #[cfg(test)]
    pub(super) fn of(list: &[(&str, &str)]) -> Self {
        let texts: BTreeMap<String, String> =
            list.iter().map(|&(path, text)| (path.to_owned(), text.to_owned())).collect();
        Self { paths: texts.keys().cloned().collect(), texts }
    }

    fn walk(&mut self, folder: &Path, prefix: &str) -> std::io::Result<()> {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = format!("{prefix}{name}");
            if entry.file_type()?.is_dir() {
                if !SKIPPED.contains(&name.as_str()) {
                    self.paths.push(path.clone());
                    self.walk(&entry.path(), &format!("{path}/"))?;
                }
                continue;
            }
            let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
            if TEXTS.contains(&ending) || name == "Makefile" {
                let bytes = std::fs::read(entry.path())?;
                self.texts.insert(path.clone(), String::from_utf8_lossy(&bytes).into_owned());
            }
            self.paths.push(path);
        }
        Ok(())
    }

    /// The text of one file.
    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.texts.get(path).map(String::as_str)
    }

    /// All texts whose path ends so.
    pub(super) fn ending<'a>(
        &'a self,
        ending: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a str)> + 'a {
        self.texts
            .iter()
            .filter(move |(path, _)| path.ends_with(ending))
            .map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// Whether a file or folder is there.
    pub(super) fn exists(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        path.is_empty() || self.paths.iter().any(|each| each == path)
    }

    /// Whether a folder has at least one file in it.
    fn has_file_in(&self, folder: &str) -> bool {
        self.paths.iter().any(|path| path.starts_with(&format!("{folder}/")))
    }
}

/// The lines of a source file before its tests, with their numbers.
pub(super) fn before_tests(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(text.lines()).take_while(|(_, line)| line.trim() != "#[cfg(test)]")
}

/// The most lines a source file may have before its tests.
const LINES_MAX: usize = 1_000;

/// Words of unfinished or misnamed things, and what to do instead.
const BANNED: [(&str, &str); 7] = [
    (concat!("TO", "DO"), "finish it, or say in docs/ what is left"),
    (concat!("FIX", "ME"), "mend it"),
    (concat!("XX", "X"), "say what is meant"),
    (concat!("todo", "!("), "write it"),
    (concat!("unimplemented", "!("), "write it"),
    (concat!("dbg", "!("), "use tracing"),
    (concat!("#[ig", "nore"), "a test runs, or it is not there"),
];

pub(super) fn complaints(files: &Files) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for (path, text) in &files.texts {
        for (number, line) in (1..).zip(text.lines()) {
            for (word, cure) in BANNED {
                if has_word(line, word) {
                    complaints.push(Complaint::new(path, number, format!("{word}: {cure}")));
                }
            }
        }
    }
    for (path, text) in files.ending(".rs") {
        let lines = before_tests(text).count();
        if lines > LINES_MAX && !path.contains("/tests/") {
            let what =
                format!("{lines} lines before the tests, {LINES_MAX} at most: find the seam");
            complaints.push(Complaint::new(path, 1, what));
        }
    }
    complaints.extend(corpora(files));
    complaints
}

/// `word` in `line`, not as a part of a longer word.
fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line.get(..at).and_then(|text| text.chars().next_back());
        let after = line.get(at + word.len()..).and_then(|text| text.chars().next());
        let letter = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        !letter(before) && (!letter(after) || !word.ends_with(char::is_alphanumeric))
    })
}

/// A fuzz body without a corpus is never replayed.
fn corpora(files: &Files) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for (path, text) in files.ending("/src/fuzz.rs") {
        let folder = path.trim_end_matches("/src/fuzz.rs");
        for (number, line) in before_tests(text) {
            let name = line.strip_prefix("pub fn ").and_then(|rest| rest.split('(').next());
            let Some(name) = name.filter(|_| line.contains("data: &[u8]")) else { continue };
            if !files.has_file_in(&format!("{folder}/corpus/{name}")) {
                let what = format!("{name} has no corpus in {folder}/corpus/{name}/");
                complaints.push(Complaint::new(path, number, what));
            }
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_banned_word_is_found_whole_only() {
        assert!(has_word(concat!("// TO", "DO: x"), concat!("TO", "DO")));
        assert!(has_word(concat!("  todo", "!()"), concat!("todo", "!(")));
        assert!(!has_word("PHOTODOSE", concat!("TO", "DO")));
        assert!(!has_word(concat!("xdbg", "!("), concat!("dbg", "!(")));
    }

    #[test]
    fn a_fuzz_body_needs_a_corpus() {
        let body = "pub fn wav(data: &[u8]) {}";
        let alone = Files::of(&[("crates/a/src/fuzz.rs", body)]);
        assert_eq!(complaints(&alone).len(), 1);
        let fed = Files::of(&[("crates/a/src/fuzz.rs", body), ("crates/a/corpus/wav/1.txt", "")]);
        assert_eq!(complaints(&fed).len(), 0);
    }

    #[test]
    fn a_long_file_is_found_and_its_tests_do_not_count() {
        let long = "x\n".repeat(1_001);
        assert_eq!(complaints(&Files::of(&[("crates/a/src/b.rs", &long)])).len(), 1);
        let tests = format!("x\n#[cfg(test)]\n{long}");
        assert_eq!(complaints(&Files::of(&[("crates/a/src/b.rs", &tests)])).len(), 0);
    }
}

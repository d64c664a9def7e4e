//! Links and paths in the documents lead somewhere.

use super::Complaint;
use super::files::Files;

/// A word in backticks that starts so is a path from the top.
const FOLDERS: [&str; 9] =
    ["crates/", "docs/", "config/", "xtask/", "conformance/", "fuzz/", "ops/", ".ci/", ".config/"];

pub(super) fn complaints(files: &Files) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for (page, text) in files.ending(".md") {
        for (number, line) in (1..).zip(text.lines()) {
            for target in links(line) {
                if !files.exists(&resolve(page, target)) {
                    complaints.push(Complaint::new(
                        page,
                        number,
                        format!("no such page: {target}"),
                    ));
                }
            }
            for path in paths(line) {
                if !files.exists(path) {
                    complaints.push(Complaint::new(page, number, format!("no such path: {path}")));
                }
            }
        }
    }
    complaints
}

/// The targets of `[text](target)` that lie in this project.
fn links(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| {
        let target = rest.split([')', '#', ' ']).next()?;
        let inside = !target.is_empty() && !target.contains(':');
        inside.then_some(target)
    })
}

/// The words in backticks that are paths.
pub(super) fn paths(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2).filter(|word| {
        let start = FOLDERS.iter().any(|folder| word.starts_with(folder));
        start && !word.contains(['*', '<', '{', ' ', '…'])
    })
}

/// `target` as seen from `page`, from the top.
fn resolve(page: &str, target: &str) -> String {
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    if target.starts_with('/') {
        parts.clear();
    }
    for part in target.split('/').filter(|part| !part.is_empty() && *part != ".") {
        if part == ".." {
            parts.pop();
        } else {
            parts.push(part);
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, said: &[&str]) {
        let files = Files::of(&[("docs/walks/a.md", line), ("docs/b.md", ""), ("crates/x.rs", "")]);
        let shown: Vec<String> = complaints(&files).into_iter().map(|each| each.what).collect();
        assert_eq!(shown, said);
    }

    #[test]
    fn links_and_paths_lead_somewhere() {
        check("see [b](../b.md#part), [web](https://example.org/) and `crates/x.rs`", &[]);
        check("see [b](b.md)", &["no such page: b.md"]);
        check("see `crates/y.rs` and `crates/*/src`", &["no such path: crates/y.rs"]);
    }
}

//! `docs/seed-features.md`: every feature of the systems we stand in for, and where it is kept.

use std::collections::BTreeSet;

use super::Complaint;
use super::files::Files;
use super::links::paths;

const PAGE: &str = "docs/seed-features.md";

/// As many features as the seeds have.
const FEATURES: usize = 268;

pub(super) fn complaints(files: &Files) -> Vec<Complaint> {
    let Some(page) = files.text(PAGE) else {
        return vec![Complaint::new(PAGE, 1, "is missing")];
    };
    let mut complaints = Vec::new();
    let mut ids = BTreeSet::new();
    for (number, line) in (1..).zip(page.lines()) {
        let cells: Vec<&str> = line.trim().trim_matches('|').split('|').map(str::trim).collect();
        let [id, _, kept] = cells[..] else { continue };
        if !is_id(id) {
            continue;
        }
        if !ids.insert(id) {
            complaints.push(Complaint::new(PAGE, number, format!("{id} stands here twice")));
        }
        // That the paths exist is checked for every page.
        if kept != "open" && paths(kept).next().is_none() {
            let what = format!("{id} is neither \"open\" nor names a path in backticks");
            complaints.push(Complaint::new(PAGE, number, what));
        }
    }
    if ids.len() != FEATURES {
        let what = format!("{} ids, there are {FEATURES} features", ids.len());
        complaints.push(Complaint::new(PAGE, 1, what));
    }
    complaints
}

/// Three capitals, a dash, two digits.
fn is_id(text: &str) -> bool {
    let Some((word, number)) = text.split_once('-') else { return false };
    word.len() == 3
        && word.chars().all(|c| c.is_ascii_uppercase())
        && number.len() == 2
        && number.chars().all(|c| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_open_or_says_where_it_is_kept() {
        let said = |row: &str| -> Vec<String> {
            complaints(&Files::of(&[(PAGE, row)])).into_iter().map(|each| each.what).collect()
        };
        let count = "1 ids, there are 268 features".to_owned();
        assert_eq!(said("| GEN-01 | x | open |"), std::slice::from_ref(&count));
        assert_eq!(said("| GEN-01 | x | `config/entracte.toml` |"), [count]);
        assert_eq!(said("| GEN-01 | x | done |").len(), 2);
        assert_eq!(said("| GEN-01 | x | open |\n| GEN-01 | x | open |").len(), 2);
    }
}

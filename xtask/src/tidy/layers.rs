//! ARCHITECTURE.md's table of crates against what cargo sees.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use super::Complaint;
use super::files::Files;
use crate::top;

const PAGE: &str = "ARCHITECTURE.md";

/// What a crate may be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// Decides; no clock, socket, file, thread, randomness or async.
    Pure,
    /// Does.
    Shell,
    /// A program of its own.
    Program,
    /// For the ones who build this.
    Tool,
}

/// A row of the table.
#[derive(Debug)]
struct Row {
    line: usize,
    kind: Option<Kind>,
    /// Written before the crate is.
    to_come: bool,
    may_use: MayUse,
}

#[derive(Debug)]
enum MayUse {
    All,
    Only(BTreeSet<String>),
}

/// The table, and each crate of the workspace with those of ours that it uses.
#[derive(Debug)]
pub(super) struct Layers {
    rows: BTreeMap<String, Row>,
    crates: BTreeMap<String, BTreeSet<String>>,
}

impl Layers {
    pub(super) fn read(files: &Files) -> Result<Self, String> {
        let page = files.text(PAGE).ok_or_else(|| format!("{PAGE} is missing"))?;
        Ok(Self { rows: rows(page), crates: crates(&metadata()?) })
    }

    /// The crates of one kind.
    pub(super) fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &str> {
        self.rows
            .iter()
            .filter(move |(_, row)| row.kind == Some(kind))
            .map(|(name, _)| name.as_str())
    }

    pub(super) fn complaints(&self) -> Vec<Complaint> {
        let mut complaints = Vec::new();
        let mut complain = |line, what: String| complaints.push(Complaint::new(PAGE, line, what));
        for (name, uses) in &self.crates {
            let Some(row) = self.rows.get(name) else {
                complain(1, format!("crate {name} has no row in the table of crates"));
                continue;
            };
            if row.to_come {
                complain(row.line, format!("crate {name} is here: strike \"to come\""));
            }
            for used in uses {
                match &row.may_use {
                    MayUse::Only(allowed) if !allowed.contains(used) => {
                        complain(row.line, format!("crate {name} uses {used}, and may not"));
                    }
                    MayUse::All | MayUse::Only(_) => {}
                }
            }
        }
        for (name, row) in &self.rows {
            if row.kind.is_none() {
                complain(row.line, "kind is none of pure, shell, program, tool".to_owned());
            }
            if !row.to_come && !self.crates.contains_key(name) {
                complain(row.line, format!("there is no crate {name}"));
            }
        }
        complaints
    }
}

/// Reads the rows of the table whose head names `crate` and `may use`.
fn rows(page: &str) -> BTreeMap<String, Row> {
    let mut rows = BTreeMap::new();
    let mut inside = false;
    for (line, text) in (1..).zip(page.lines()) {
        let cells: Vec<&str> = text.trim().trim_matches('|').split('|').map(str::trim).collect();
        if !text.trim_start().starts_with('|') {
            inside = false;
        } else if cells.first() == Some(&"crate") && cells.last() == Some(&"may use") {
            inside = true;
        } else if inside
            && let [name, _, kind, may_use] = cells[..]
            && name.starts_with('`')
        {
            rows.insert(name.trim_matches('`').to_owned(), row(line, kind, may_use));
        }
    }
    rows
}

fn row(line: usize, kind: &str, may_use: &str) -> Row {
    let (kind, to_come) = match kind.split_once(", to come") {
        Some((kind, _)) => (kind, true),
        None => (kind, false),
    };
    let kind = match kind {
        "pure" => Some(Kind::Pure),
        "shell" => Some(Kind::Shell),
        "program" => Some(Kind::Program),
        "tool" => Some(Kind::Tool),
        _ => None,
    };
    let may_use = if may_use == "all" {
        MayUse::All
    } else {
        let names = may_use.split(',').map(|name| name.trim().trim_matches('`').to_owned());
        MayUse::Only(names.filter(|name| !name.is_empty() && name != "-").collect())
    };
    Row { line, kind, to_come, may_use }
}

fn metadata() -> Result<Value, String> {
    let output = Command::new(env!("CARGO"))
        .current_dir(top())
        .args(["metadata", "--format-version", "1", "--no-deps"])
        .output()
        .map_err(|error| format!("cannot start cargo: {error}"))?;
    serde_json::from_slice(&output.stdout).map_err(|error| format!("cargo metadata: {error}"))
}

/// Each crate with those of ours it uses; what only its tests use does not count.
fn crates(metadata: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let name = |value: &Value| value.get("name").and_then(Value::as_str).map(str::to_owned);
    let packages = metadata.get("packages").map(list).unwrap_or_default();
    let ours: BTreeSet<String> = packages.iter().filter_map(name).collect();
    let uses = |package: &Value| {
        let all = package.get("dependencies").map(list).unwrap_or_default();
        let real =
            all.iter().filter(|each| each.get("kind").and_then(Value::as_str) != Some("dev"));
        real.filter_map(name).filter(|name| ours.contains(name)).collect()
    };
    packages.iter().filter_map(|package| Some((name(package)?, uses(package)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(table: &str, crates: &[(&str, &[&str])], said: &[&str]) {
        let page = format!("| crate | one line | kind | may use |\n|---|---|---|---|\n{table}");
        let set = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let crates = crates.iter().map(|&(name, uses)| (name.to_owned(), set(uses))).collect();
        let complaints = Layers { rows: rows(&page), crates }.complaints();
        let shown: Vec<String> = complaints.into_iter().map(|each| each.what).collect();
        assert_eq!(shown, said);
    }

    #[test]
    fn a_crate_and_its_row_belong_together() {
        check("| `a` | x | pure | - |", &[("a", &[])], &[]);
        check("", &[("a", &[])], &["crate a has no row in the table of crates"]);
        check("| `a` | x | pure | - |", &[], &["there is no crate a"]);
        check("| `a` | x | pure, to come | - |", &[], &[]);
        check(
            "| `a` | x | pure, to come | - |",
            &[("a", &[])],
            &["crate a is here: strike \"to come\""],
        );
        check(
            "| `a` | x | soft | - |",
            &[("a", &[])],
            &["kind is none of pure, shell, program, tool"],
        );
    }

    #[test]
    fn a_crate_uses_what_its_row_allows() {
        let both = "| `a` | x | pure | - |\n| `b` | x | shell | a |";
        check(both, &[("a", &[]), ("b", &["a"])], &[]);
        check(both, &[("a", &["b"]), ("b", &[])], &["crate a uses b, and may not"]);
        check(
            "| `a` | x | shell | all |\n| `b` | x | pure | - |",
            &[("a", &["b"]), ("b", &[])],
            &[],
        );
    }
}

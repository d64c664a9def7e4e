//! The rules of this project that no compiler knows. Each is a function from the files to
//! complaints; a complaint says where, what, and what to do instead.

mod citations;
mod files;
mod layers;
mod links;
mod purity;
mod seeds;

use crate::{Outcome, top};
use files::Files;

/// One broken rule.
#[derive(Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Complaint {
    path: String,
    line: usize,
    what: String,
}

impl Complaint {
    fn new(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, what: what.into() }
    }
}

impl std::fmt::Display for Complaint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.what)
    }
}

pub(crate) fn run(_: &[String]) -> Outcome {
    let complaints = complaints()?;
    for complaint in &complaints {
        println!("{complaint}");
    }
    match complaints.len() {
        0 => Ok(()),
        count => Err(format!("{count} broken rules").into()),
    }
}

fn complaints() -> Result<Vec<Complaint>, String> {
    let files = Files::read(&top())?;
    let layers = layers::Layers::read(&files)?;
    let mut complaints = layers.complaints();
    complaints.extend(purity::complaints(&files, &layers));
    complaints.extend(files::complaints(&files));
    complaints.extend(links::complaints(&files));
    complaints.extend(citations::complaints(&files));
    complaints.extend(seeds::complaints(&files));
    complaints.sort();
    complaints.dedup();
    Ok(complaints)
}

#[test]
fn the_project_keeps_its_own_rules() {
    let shown: Vec<String> = complaints().unwrap().iter().map(ToString::to_string).collect();
    assert!(shown.is_empty(), "\n{}", shown.join("\n"));
}

//! Everything that must hold before a change lands, cheapest first, the tests last.

use std::process::{Command, Stdio};

use crate::{Failure, Outcome, tidy, top};

/// The steps before the tests: what they are for, and the words after `cargo`.
const STEPS: &[(&str, &[&str])] = &[
    ("format", &["fmt", "--all", "--check"]),
    ("build", &["build", "--workspace", "--bins"]),
    ("lints", &["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"]),
    ("doc tests", &["test", "--quiet", "--workspace", "--doc"]),
];

/// The programs of the workspace are built first: tests start them.
pub(crate) fn run(_: &[String]) -> Outcome {
    step("tidy", || tidy::run(&[]))?;
    for (name, words) in STEPS {
        step(name, || cargo(words))?;
    }
    step("tests", || {
        if has_nextest() {
            cargo(&["nextest", "run", "--workspace"])
        } else {
            println!("cargo-nextest is not installed; cargo test does the same, more slowly");
            cargo(&["test", "--workspace", "--tests", "--no-fail-fast"])
        }
    })
}

fn step(name: &str, run: impl FnOnce() -> Outcome) -> Outcome {
    println!("== {name}");
    run().map_err(|failure| Failure { why: format!("{name}: {}", failure.why), ..failure })
}

fn cargo(words: &[&str]) -> Outcome {
    let status = Command::new(env!("CARGO"))
        .current_dir(top())
        .args(words)
        .status()
        .map_err(|error| format!("cannot start cargo: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("cargo {} failed", words.join(" ")).into()) }
}

fn has_nextest() -> bool {
    let asked = Command::new(env!("CARGO"))
        .args(["nextest", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    asked.is_ok_and(|status| status.success())
}

//! The project's own chores, as `cargo xtask VERB`. To add one: a module and a line in [`VERBS`].

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a tool for the terminal")]

mod ci;
mod clean_root;
mod demo_radio;
mod hold_music;
mod package;
mod package_test;
mod process;
mod synth;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What a chore returns.
type Outcome = Result<(), Failure>;

/// What went wrong, ready to be printed, and the exit status that says so.
#[derive(Debug)]
struct Failure {
    status: u8,
    why: String,
}

impl Failure {
    /// The chore cannot be done on this machine: nothing was tried.
    fn not_here(why: impl Into<String>) -> Self {
        Self { status: 2, why: why.into() }
    }
}

impl From<String> for Failure {
    fn from(why: String) -> Self {
        Self { status: 1, why }
    }
}

/// A chore: its name, one line about it, and what it does with the words after its name.
struct Verb {
    name: &'static str,
    about: &'static str,
    run: fn(&[String]) -> Outcome,
}

const VERBS: &[Verb] = &[
    Verb { name: "ci", about: "format, tidy, lints, builds and every test", run: ci::run },
    Verb {
        name: "deb",
        about: "builds the Debian package: [--profile release|dev] [--out FOLDER]",
        run: package::run,
    },
    Verb {
        name: "deb-test",
        about: "installs, runs, upgrades and removes it in a clean root: [--profile dev|release] [--fresh]",
        run: package_test::run,
    },
    Verb {
        name: "demo-radio",
        about: "renders what the demo's radio station plays into the file that is named",
        run: demo_radio::run,
    },
    Verb {
        name: "hold-music",
        about: "renders the hold music, into its place or into the file that is named",
        run: hold_music::run,
    },
    Verb { name: "tidy", about: "the rules that no compiler knows", run: tidy::run },
];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let verb = words
        .split_first()
        .and_then(|(name, rest)| Some((VERBS.iter().find(|verb| verb.name == name)?, rest)));
    let Some((verb, rest)) = verb else {
        println!("cargo xtask VERB, where VERB is one of:");
        for verb in VERBS {
            println!("  {:<12} {}", verb.name, verb.about);
        }
        return ExitCode::from(2);
    };
    match (verb.run)(rest) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xtask {}: {}", verb.name, failure.why);
            ExitCode::from(failure.status)
        }
    }
}

/// The project's top folder.
fn top() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// Where cargo puts what it builds, and chores what they make.
fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| top().join("target"), |path| top().join(path))
}

//! `entracte`: see the library crate of the same name.

use std::process::ExitCode;

fn main() -> ExitCode {
    entracte::cli::main().into()
}

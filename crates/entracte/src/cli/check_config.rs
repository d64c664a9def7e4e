//! `entracte check-config FILE`.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::Exit;
use crate::config::{Fault, Layers, Plan};

/// Reads a configuration and prints every fault in it, with line and key.
///
/// Exit status 0 if it can be used (warnings may be printed), 2 if not.
#[derive(Args, Debug)]
pub(super) struct CheckConfig {
    /// The file to check; conf.d/*.toml beside it and ENTRACTE__SECTION__KEY are read too.
    file: PathBuf,
    /// Prints one JSON object instead of lines.
    #[arg(long)]
    json: bool,
}

impl CheckConfig {
    pub(super) fn run(&self) -> Exit {
        let checked = Plan::load(&Layers::of_process(Some(&self.file), &[]));
        let (faults, notes) = match &checked {
            Ok(plan) => (&[][..], plan.notes.as_slice()),
            Err(faults) => (faults.faults(), faults.notes()),
        };
        if self.json {
            let list = |items: &[Fault]| items.iter().map(Fault::to_json).collect::<Value>();
            println!(
                "{}",
                json!({ "ok": faults.is_empty(), "faults": list(faults), "warnings": list(notes) })
            );
        } else {
            for note in notes {
                println!("warning: {note}");
            }
            for fault in faults {
                println!("{fault}");
            }
            match faults.len() {
                0 => println!("{}: good", self.file.display()),
                1 => println!("{}: 1 fault", self.file.display()),
                count => println!("{}: {count} faults", self.file.display()),
            }
        }
        if faults.is_empty() { Exit::Done } else { Exit::Usage }
    }
}

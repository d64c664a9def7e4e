//! `entracte completions` and `entracte man`: what a shell and a reader want to know of the command line.

use std::path::PathBuf;

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::{CommandLine, Exit};

/// Prints completions for a shell: source <(entracte completions bash)
#[derive(Args, Debug)]
pub(super) struct Completions {
    /// Which shell.
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self) -> Exit {
        let mut command = CommandLine::command();
        clap_complete::generate(self.shell, &mut command, "entracte", &mut std::io::stdout());
        Exit::Done
    }
}

/// Writes the manual: entracte(1) to standard output, or a page for each verb into a folder.
#[derive(Args, Debug)]
pub(super) struct Man {
    /// The folder for entracte.1, entracte-serve.1 and the others.
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

impl Man {
    pub(super) fn run(self) -> Exit {
        let command = CommandLine::command();
        let written = match self.out {
            Some(folder) => std::fs::create_dir_all(&folder)
                .and_then(|()| clap_mangen::generate_to(command, &folder)),
            None => clap_mangen::Man::new(command).render(&mut std::io::stdout()),
        };
        match written {
            Ok(()) => Exit::Done,
            // Nobody reads any more.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Exit::Done,
            Err(error) => {
                eprintln!("entracte: {error}");
                Exit::Failed
            }
        }
    }
}

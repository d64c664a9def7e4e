//! `entracte hash-password` and `entracte reset-admin`: how people come in.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use clap::Args;

use super::{ConfigArgs, Exit};
use crate::serve::setup_link;
use crate::settings::setup_file;

/// Prints the hash of a password, for administration.users in the configuration. The password is read
/// from standard input: typed twice at a terminal, else its first line.
#[derive(Args, Debug)]
pub(super) struct HashPassword {}

impl HashPassword {
    pub(super) fn run(self) -> Exit {
        match read_hash() {
            Ok(hash) => {
                println!("{hash}");
                Exit::Done
            }
            Err(why) => {
                eprintln!("entracte: {why}");
                Exit::Usage
            }
        }
    }
}

/// The hash of a password that is read from standard input.
pub(super) fn read_hash() -> Result<String, String> {
    let password = read_password()?;
    web::check_password(&password)?;
    web::hash_password(&password)
}

fn read_password() -> Result<String, String> {
    if !std::io::stdin().is_terminal() {
        return line();
    }
    let ask = |what: &str| {
        eprint!("{what}: ");
        let _ = std::io::stderr().flush();
        hidden(line)
    };
    let first = ask("Password")?;
    if ask("Again")? == first { Ok(first) } else { Err("the two passwords differ".to_owned()) }
}

fn line() -> Result<String, String> {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).map_err(|error| error.to_string())?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// Does not show what is typed meanwhile.
fn hidden(read: impl FnOnce() -> Result<String, String>) -> Result<String, String> {
    use nix::sys::termios::{LocalFlags, SetArg, tcgetattr, tcsetattr};
    let stdin = std::io::stdin();
    let Ok(usual) = tcgetattr(&stdin) else { return read() };
    let mut silent = usual.clone();
    silent.local_flags.remove(LocalFlags::ECHO);
    let _ = tcsetattr(&stdin, SetArg::TCSADRAIN, &silent);
    let typed = read();
    let _ = tcsetattr(&stdin, SetArg::TCSADRAIN, &usual);
    eprintln!();
    typed
}

/// Prints a new one-time link by which an administrator comes in, for who locked themselves out. It opens
/// once, for 15 minutes, on a server that runs or is started meanwhile. Accounts that are there stay.
#[derive(Args, Debug)]
pub(super) struct ResetAdmin {
    #[command(flatten)]
    config: ConfigArgs,
}

impl ResetAdmin {
    pub(super) fn run(self) -> Exit {
        let plan = match self.config.load_or_explain() {
            Ok(plan) => plan,
            Err(exit) => return exit,
        };
        let Some(http) = plan.http else {
            eprintln!("entracte: http.enabled is false: there are no pages");
            return Exit::Usage;
        };
        let file = setup_file(&plan.state_dir);
        match web::make_setup_link(&file, crate::clock::wall()) {
            Ok(secret) => {
                println!("{}", setup_link(&plan, http, &secret));
                eprintln!("It opens once, within 15 minutes, on the server of these settings.");
                Exit::Done
            }
            Err(error) => {
                eprintln!(
                    "entracte: {}: {error}; run this as the server's user or root",
                    file.display()
                );
                Exit::Failed
            }
        }
    }
}

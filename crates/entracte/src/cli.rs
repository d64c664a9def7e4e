//! What a person types: one enum of verbs, one place that runs them, three exit statuses.
//!
//! To add a verb: a variant of [`Verb`] with its arguments, and an arm in [`run`].

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the command line answers on its two streams"
)]

mod accounts;
mod ask;
mod bench;
mod capture;
mod check_config;
mod config;
mod demo;
mod doctor;
mod mailbox;
mod paper;
mod player;
mod serve;
mod sessions;
mod sources;
mod speak;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::{Args, Parser, Subcommand};
use signal_hook::consts::SIGPIPE;

use crate::config::{Faults, Layers, Plan};

/// How the program ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Exit {
    /// All that was asked for was done: status 0.
    Done,
    /// It was tried and did not work: status 1.
    Failed,
    /// The command line or the configuration is wrong; nothing was tried: status 2.
    Usage,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Done => Self::from(0),
            Exit::Failed => Self::from(1),
            Exit::Usage => Self::from(2),
        }
    }
}

/// Plays live audio, files and speech into calls: a SIP and MRCPv2 (speech) media server.
#[derive(Debug, Parser)]
#[command(
    name = "entracte",
    version,
    after_help = "Exit status: 0 done, 1 tried and failed, 2 wrong command line or configuration."
)]
struct CommandLine {
    #[command(subcommand)]
    verb: Verb,
}

/// What can be asked for.
#[derive(Debug, Subcommand)]
enum Verb {
    Bench(bench::Bench),
    Serve(serve::Serve),
    Demo(demo::Demo),
    /// Reads a configuration and prints every fault in it, with line and key.
    CheckConfig(check_config::CheckConfig),
    Config(config::Config),
    Doctor(doctor::Doctor),
    Sources(sources::Sources),
    Sessions(sessions::Sessions),
    Capture(capture::Capture),
    Mailbox(mailbox::Arguments),
    HashPassword(accounts::HashPassword),
    ResetAdmin(accounts::ResetAdmin),
    Speak(speak::Speak),
    Completions(paper::Completions),
    Man(paper::Man),
}

/// The settings of a verb that runs with a configuration.
#[derive(Args, Clone, Debug, Default)]
pub struct ConfigArgs {
    /// The configuration file. Without it /etc/entracte/entracte.toml is read if it is there, and
    /// else the defaults are taken.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Sets one key for this run, over file and environment: --set general.sip.port=5060
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub settings: Vec<String>,
}

impl ConfigArgs {
    /// What the settings are read from.
    pub fn layers(&self) -> Layers {
        Layers::of_process(self.config.as_deref(), &self.settings)
    }

    /// Reads file, `conf.d`, environment and `--set` into a plan.
    ///
    /// # Errors
    /// All faults of all of them.
    pub fn load(&self) -> Result<Plan, Faults> {
        Plan::load(&self.layers())
    }

    /// As [`Self::load`]; faults are printed, one a line, and become [`Exit::Usage`].
    ///
    /// # Errors
    /// [`Exit::Usage`] after the faults were printed.
    pub fn load_or_explain(&self) -> Result<Plan, Exit> {
        self.load().map_err(|faults| {
            eprintln!("{faults}");
            Exit::Usage
        })
    }
}

/// Rows in columns, the last of which is as wide as it likes.
fn columns<const N: usize>(rows: &[[String; N]]) -> String {
    let width =
        |n: usize| rows.iter().filter_map(|row| row.get(n)).map(|c| c.chars().count()).max();
    let widths: Vec<usize> = (0..N.saturating_sub(1)).map(|n| width(n).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (n, cell) in row.iter().enumerate() {
            line.push_str(cell);
            if let Some(width) = widths.get(n) {
                line.extend(std::iter::repeat_n(' ', width - cell.chars().count() + 2));
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Runs what the process was started with.
#[must_use]
pub fn main() -> Exit {
    match CommandLine::try_parse() {
        Ok(line) => run(line.verb),
        Err(error) => {
            // clap prints help and version on stdout, complaints on stderr.
            let printed = error.print();
            match (error.use_stderr(), printed) {
                (false, Ok(())) => Exit::Done,
                (false, Err(_)) => Exit::Failed,
                (true, _) => Exit::Usage,
            }
        }
    }
}

/// The threads of the control plane and the edges; the media plane has its own.
fn runtime() -> Option<tokio::runtime::Runtime> {
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => Some(runtime),
        Err(error) => {
            eprintln!("entracte: cannot start threads: {error}");
            None
        }
    }
}

fn run(verb: Verb) -> Exit {
    if !matches!(verb, Verb::Serve(_) | Verb::Demo(_) | Verb::Bench(_)) {
        // Whoever reads what is printed may have enough, as `head` has; that ends us, and is no fault. Without it, nothing
        // worse happens than that it is told as one.
        let always = Arc::new(AtomicBool::new(true));
        let _ = signal_hook::flag::register_conditional_default(SIGPIPE, always);
    }
    match verb {
        Verb::Bench(arguments) => arguments.run(),
        Verb::Serve(arguments) => arguments.run(),
        Verb::Demo(arguments) => arguments.run(),
        Verb::CheckConfig(arguments) => arguments.run(),
        Verb::Sources(arguments) => arguments.run(),
        Verb::Config(arguments) => arguments.run(),
        Verb::Doctor(arguments) => arguments.run(),
        Verb::Sessions(arguments) => arguments.run(),
        Verb::Capture(arguments) => arguments.run(),
        Verb::Mailbox(arguments) => arguments.run(),
        Verb::HashPassword(arguments) => arguments.run(),
        Verb::ResetAdmin(arguments) => arguments.run(),
        Verb::Completions(arguments) => arguments.run(),
        Verb::Man(arguments) => arguments.run(),
        Verb::Speak(arguments) => arguments.run(),
    }
}

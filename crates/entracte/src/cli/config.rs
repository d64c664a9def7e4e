//! `entracte config`: the settings of a server that runs, and those before them.

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Exit;
use super::ask::{Server, Target};

/// Reads the settings of a running server again, shows those it had, or brings earlier ones back.
#[derive(Args, Debug)]
pub(super) struct Config {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Lets the server read its configuration again, as SIGHUP does, and says what came of it.
    Reload(Reload),
    /// Lists earlier settings, the youngest first: who made them, when, and what differs.
    History(History),
    /// Prints earlier settings, without secrets.
    Show(Show),
    /// Brings earlier settings back. Who may come in stays as it is.
    Restore(Restore),
}

#[derive(Args, Debug)]
struct Reload {
    #[command(flatten)]
    target: Target,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
struct History {
    #[command(flatten)]
    target: Target,
    /// Prints one JSON array.
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
struct Show {
    /// Which: a number of the history.
    number: u64,
    #[command(flatten)]
    target: Target,
}

#[derive(Args, Debug)]
struct Restore {
    /// Which: a number of the history.
    number: u64,
    #[command(flatten)]
    target: Target,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Deserialize)]
struct Text {
    text: String,
}

impl Config {
    pub(super) fn run(self) -> Exit {
        let done = match self.what {
            What::Reload(reload) => {
                let path = "/api/v1/settings/reload";
                on(&reload.target, async |server| server.post(path).await)
                    .map(|applied| show(&applied, reload.json))
            }
            What::History(history) => history.run(),
            What::Show(Show { number, target }) => {
                let path = format!("/api/v1/settings/history/{number}");
                on::<Text>(&target, async |server| server.get(&path).await)
                    .map(|found| print!("{}", found.text))
            }
            What::Restore(Restore { number, target, json }) => {
                let path = format!("/api/v1/settings/history/{number}/restore");
                on(&target, async |server| server.post(&path).await)
                    .map(|applied| show(&applied, json))
            }
        };
        done.map_or_else(|exit| exit, |()| Exit::Done)
    }
}

/// Asks the server; a refusal is printed.
fn on<T>(target: &Target, ask: impl AsyncFnOnce(Server) -> Result<T, String>) -> Result<T, Exit> {
    let server = target.server()?;
    let runtime = super::runtime().ok_or(Exit::Failed)?;
    runtime.block_on(ask(server)).map_err(|why| {
        eprintln!("entracte: {why}");
        Exit::Failed
    })
}

fn show(applied: &web::Applied, as_json: bool) {
    if as_json {
        return println!("{}", json!(applied));
    }
    println!("settings number {} are in use", applied.revision);
    for each in &applied.differences {
        let value =
            |value: &Option<String>| value.clone().unwrap_or_else(|| "(default)".to_owned());
        println!("  {}: {} -> {}", each.key, value(&each.before), value(&each.after));
    }
    for key in &applied.waiting {
        println!("  {key} waits for a restart");
    }
}

impl History {
    fn run(&self) -> Result<(), Exit> {
        let path = "/api/v1/settings/history";
        if self.json {
            let found: Value = on(&self.target, async |server| server.get(path).await)?;
            println!("{found}");
            return Ok(());
        }
        let found: Vec<web::Revision> = on(&self.target, async |server| server.get(path).await)?;
        let mut rows = vec![["NUMBER", "WHEN (UTC)", "WHO", "HOW", "KEYS"].map(str::to_owned)];
        rows.extend(found.into_iter().map(|revision| {
            let when = web::utc(revision.at_unix_seconds);
            [revision.number.to_string(), when, revision.who, revision.how, revision.keys.join(" ")]
        }));
        print!("{}", super::columns(&rows));
        Ok(())
    }
}

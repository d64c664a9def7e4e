//! `entracte config`: the settings of a server that runs, those before them, archives of them.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use serde::Deserialize;
use serde_json::{Value, json};

use super::ask::{self, Server, Target};
use super::{ConfigArgs, Exit};
use crate::config::{Layers, Plan};
use crate::settings::{self, archive};

/// Lets a running server read its settings again; earlier ones, archives, differences, the schema.
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
    /// Writes everything that is set, wherever it is set, as one archive.
    Export(Export),
    /// Takes an archive or another configuration file in place of the present one, and lets a server that
    /// runs read it.
    Import(Import),
    /// Says what would differ with another configuration file or archive.
    Diff(Diff),
    /// Prints the JSON Schema of the configuration file, for editors.
    Schema,
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

/// How an archive is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Format {
    /// A configuration file.
    Toml,
    /// XML, by docs/settings.xsd.
    Xml,
    /// JSON, by `entracte config schema`.
    Json,
}

#[derive(Args, Debug)]
struct Export {
    #[command(flatten)]
    config: ConfigArgs,
    /// How it is written.
    #[arg(long, value_enum, default_value = "toml")]
    format: Format,
    /// With accounts and tokens, which are hashes: whoever has the archive can try passwords on them.
    #[arg(long)]
    with_accounts: bool,
    /// The file to write; without it, standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Args, Debug)]
struct Import {
    /// The archive: TOML, XML or JSON.
    file: PathBuf,
    /// Only says what would differ.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    target: Target,
}

#[derive(Args, Debug)]
struct Diff {
    /// The other configuration file or archive: TOML, XML or JSON.
    file: PathBuf,
    #[command(flatten)]
    config: ConfigArgs,
    /// Prints one JSON array.
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
            What::Reload(Reload { target, json }) => {
                let path = "/api/v1/settings/reload";
                on(&target, async |server| server.post(path).await)
                    .map(|applied| show(&applied, json))
            }
            What::History(history) => history.run(),
            What::Show(Show { number, target }) => {
                let path = format!("/api/v1/settings/history/{number}");
                on::<Text>(&target, async |server| server.get(&path).await)
                    .map(|found| say(&found.text))
            }
            What::Restore(Restore { number, target, json }) => {
                let path = format!("/api/v1/settings/history/{number}/restore");
                on(&target, async |server| server.post(&path).await)
                    .map(|applied| show(&applied, json))
            }
            What::Export(export) => export.run(),
            What::Import(import) => import.run(),
            What::Diff(diff) => diff.run(),
            What::Schema => {
                say(&format!("{:#}\n", archive::json_schema()));
                Ok(())
            }
        };
        done.map_or_else(|exit| exit, |()| Exit::Done)
    }
}

/// Prints a long text, which a reader such as `head` may leave before its end.
fn say(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

fn failed(what: impl std::fmt::Display) -> Exit {
    eprintln!("entracte: {what}");
    Exit::Failed
}

/// Asks the server; a refusal is printed.
fn on<T>(target: &Target, ask: impl AsyncFnOnce(Server) -> Result<T, String>) -> Result<T, Exit> {
    let server = target.server()?;
    let runtime = super::runtime().ok_or(Exit::Failed)?;
    runtime.block_on(ask(server)).map_err(failed)
}

fn show(applied: &web::Applied, as_json: bool) {
    if as_json {
        return println!("{}", json!(applied));
    }
    println!("settings number {} are in use", applied.revision);
    show_differences(&applied.differences);
    applied.waiting.iter().for_each(|key| println!("{key} waits for a restart"));
}

fn show_differences(differences: &[web::Difference]) {
    let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "(default)".to_owned());
    for each in differences {
        let used = if each.live { "" } else { "  (after a restart)" };
        println!("{}: {} -> {}{used}", each.key, value(&each.before), value(&each.after));
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

impl Export {
    fn run(&self) -> Result<(), Exit> {
        self.config.load_or_explain()?;
        let values = settings::all_values(&self.config.layers(), self.with_accounts);
        let text = match self.format {
            Format::Toml => archive::to_toml(&values).map_err(failed)?,
            Format::Xml => archive::to_xml(&values),
            Format::Json => archive::to_json(&values).map_err(failed)?,
        };
        match &self.out {
            Some(file) => settings::write_atomically(file, text.as_bytes())
                .map_err(|error| failed(format!("{}: {error}", file.display()))),
            None => {
                say(&text);
                Ok(())
            }
        }
    }
}

/// The text of a configuration file or an archive, as TOML.
fn toml_of(file: &Path) -> Result<String, Exit> {
    let named = |why: String| failed(format!("{}: {why}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|error| named(error.to_string()))?;
    match text.trim_start().chars().next() {
        Some('<') => archive::from_xml(&text).and_then(|values| archive::to_toml(&values)),
        Some('{') => archive::from_json(&text),
        _ => toml::from_str::<toml::Table>(&text)
            .map(|_| text)
            .map_err(|error| format!("not TOML: {}", error.to_string().trim())),
    }
    .map_err(named)
}

/// The settings with this text in place of the file's.
fn layers_with(config: &ConfigArgs, text: String) -> Layers {
    Layers { text: Some(text), ..config.layers() }
}

impl Import {
    fn run(&self) -> Result<(), Exit> {
        let config = &self.target.config;
        let layers = config.layers();
        let Some(file) = &layers.file else {
            return Err(failed("there is no configuration file"));
        };
        let now = std::fs::read_to_string(file).unwrap_or_default();
        let text = settings::with_accounts(&toml_of(&self.file)?, &now).map_err(failed)?;
        let after = layers_with(config, text.clone());
        Plan::load(&after).map_err(|faults| {
            eprintln!("{faults}");
            Exit::Usage
        })?;
        let differences = settings::difference(&layers, &after);
        show_differences(&differences);
        if differences.is_empty() {
            println!("nothing differs: {} stays as it is", file.display());
            return Ok(());
        }
        if self.dry_run {
            return Ok(());
        }
        settings::write_atomically(file, text.as_bytes())
            .map_err(|error| failed(format!("{}: {error}", file.display())))?;
        let server = self.target.server()?;
        let runtime = super::runtime().ok_or(Exit::Failed)?;
        let told = server.post::<web::Applied>("/api/v1/settings/reload");
        match runtime.block_on(told) {
            Ok(applied) => show(&web::Applied { differences: Vec::new(), ..applied }, false),
            Err(why) if why.starts_with(ask::NO_ANSWER) => {
                println!("{} is written; no server runs that could be told", file.display());
            }
            Err(why) => {
                return Err(failed(format!(
                    "{} is written, but not in use: {why}",
                    file.display()
                )));
            }
        }
        Ok(())
    }
}

impl Diff {
    fn run(&self) -> Result<(), Exit> {
        let layers = self.config.layers();
        let now = layers.file.as_ref().and_then(|file| std::fs::read_to_string(file).ok());
        // As an import would leave it.
        let text = toml_of(&self.file)?;
        let text = settings::with_accounts(&text, &now.unwrap_or_default()).map_err(failed)?;
        let differences = settings::difference(&layers, &layers_with(&self.config, text));
        if self.json {
            println!("{}", json!(differences));
        } else {
            show_differences(&differences);
        }
        Ok(())
    }
}

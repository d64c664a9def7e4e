//! `entracte sources`: how the sources of a server stand; what there is to capture from, and whether a
//! source can be heard. For these two it opens sources by itself and does not disturb a server.

use std::fs::File;
use std::io::{BufWriter, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use audio::live::UNIT_MS;
use audio::wav;
use clap::{Args, Subcommand};
use serde_json::json;
use sources::{Heard, Level, SourceConfig};

use super::ask::Target;
use super::player::Player;
use super::{ConfigArgs, Exit};
use crate::config::Plan;
use crate::trial::Trial;

/// Lists a server's sources, or the devices of this host; tries a source, or listens to one.
#[derive(Args, Debug)]
pub(super) struct Sources {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    List(List),
    Devices(Devices),
    Test(Test),
    Listen(Listen),
}

/// Lists the sources of a server that runs: state, what is heard, level, listeners, title.
#[derive(Args, Debug)]
struct List {
    #[command(flatten)]
    target: Target,
    /// Shows them again each second, until it is ended.
    #[arg(long)]
    watch: bool,
    /// Prints one JSON array, with --watch one a second.
    #[arg(long)]
    json: bool,
}

/// Lists every device that audio can be captured from, and the monitor (loopback) of every output,
/// with its level just now.
#[derive(Args, Debug)]
struct Devices {
    /// Prints one JSON array.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArgs,
}

/// Opens a source and says what it is: codec, rate, channels, loudness, the time to the first sample,
/// or what is wrong with it. Exit status 1 if it cannot be heard.
#[derive(Args, Debug)]
struct Test {
    #[command(flatten)]
    wanted: Wanted,
    /// How long it is listened to, for its loudness.
    #[arg(long, value_name = "S", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=3_600))]
    seconds: u32,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
}

/// Listens to a source as a call would, into a WAV file or through the loudspeaker.
#[derive(Args, Debug)]
struct Listen {
    #[command(flatten)]
    wanted: Wanted,
    /// The WAV file to write.
    #[arg(long, value_name = "FILE", required_unless_present = "play")]
    out: Option<PathBuf>,
    /// Plays it through aplay or pw-play, where there is one.
    #[arg(long)]
    play: bool,
    /// How long.
    #[arg(long, value_name = "S", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    seconds: u32,
}

/// Which source.
#[derive(Args, Debug)]
struct Wanted {
    /// The name of a source in the configuration, or a file:, http:, https:, rtp: or device: URI.
    #[arg(value_name = "NAME|URI")]
    source: String,
    #[command(flatten)]
    config: ConfigArgs,
}

impl Sources {
    pub(super) fn run(self) -> Exit {
        let done = match self.what {
            What::List(list) => list.run(),
            What::Devices(devices) => devices.run(),
            What::Test(test) => test.run(),
            What::Listen(listen) => listen.run(),
        };
        done.unwrap_or_else(|exit| exit)
    }
}

fn failed(what: &dyn std::fmt::Display) -> Exit {
    eprintln!("entracte: {what}");
    Exit::Failed
}

impl List {
    fn run(&self) -> Result<Exit, Exit> {
        let server = self.target.server()?;
        let runtime = super::runtime().ok_or(Exit::Failed)?;
        runtime.block_on(async {
            loop {
                let shown = match server.get::<Vec<web::Source>>("/api/v1/sources").await {
                    Ok(sources) => self.show(&sources),
                    // It may come back: that is what is watched.
                    Err(why) if self.watch => {
                        eprintln!("entracte: {why}");
                        Ok(())
                    }
                    Err(why) => return Err(failed(&why)),
                };
                // Nobody reads any more.
                if !self.watch || shown.is_err() {
                    return Ok(Exit::Done);
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        })
    }

    fn show(&self, sources: &[web::Source]) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        if self.json {
            writeln!(out, "{}", json!(sources))?;
        } else {
            if self.watch && out.is_terminal() {
                // To the top, and nothing below.
                out.write_all(b"\x1b[H\x1b[2J")?;
            }
            out.write_all(table(sources).as_bytes())?;
        }
        out.flush()
    }
}

/// One line for each source, in columns.
fn table(sources: &[web::Source]) -> String {
    let mut rows =
        vec![["SOURCE", "STATE", "HEARD", "FOR", "LEVEL", "CALLS", ""].map(str::to_owned)];
    rows.extend(sources.iter().map(|source| {
        let state = match source.state {
            web::SourceState::Connecting => "connecting",
            web::SourceState::Playing if source.silent => "silent",
            web::SourceState::Playing => "playing",
            web::SourceState::Away => "away",
            web::SourceState::Resting => "resting",
        };
        let heard = match source.heard {
            web::Heard::Source => "source",
            web::Heard::Fallback => "fallback",
        };
        let what = source.why.as_ref().or(source.title.as_ref()).cloned().unwrap_or_default();
        [
            source.name.clone(),
            state.to_owned(),
            heard.to_owned(),
            span(source.heard_seconds),
            format!("{:.0} dBFS", source.rms_dbfs),
            source.listeners.to_string(),
            what,
        ]
    }));
    super::columns(&rows)
}

/// A time to be read at a glance.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "never negative")]
pub(super) fn span(seconds: f64) -> String {
    let whole = seconds.max(0.0) as u64;
    match whole {
        0..60 => format!("{whole} s"),
        60..3_600 => format!("{} m", whole / 60),
        3_600..86_400 => format!("{} h", whole / 3_600),
        _ => format!("{} d", whole / 86_400),
    }
}

impl Devices {
    fn run(&self) -> Result<Exit, Exit> {
        let plan = self.config.load_or_explain()?;
        let found = sources::devices(plan.external_audio.sound_server.as_deref());
        let found = found.map_err(|error| failed(&error))?;
        if self.json {
            let devices: Vec<_> = found.into_iter().map(crate::view::device).collect();
            println!("{}", json!(devices));
            return Ok(Exit::Done);
        }
        if found.is_empty() {
            println!("The sound server has nothing to capture from.");
        }
        for device in &found {
            let info = &device.info;
            let level = device.level.map_or_else(|| "gives nothing".to_owned(), shown);
            println!("{}", info.name);
            println!(
                "    {}: {} Hz, {} channels, {}, {level}",
                info.description,
                info.rate_hz,
                info.channels,
                info.state.as_str()
            );
        }
        Ok(Exit::Done)
    }
}

fn shown(level: Level) -> String {
    format!("peak {:.1} dBFS, RMS {:.1} dBFS", level.peak_dbfs, level.rms_dbfs)
}

impl Wanted {
    /// Starts the one source. A name of the configuration goes before a URI.
    fn open(&self) -> Result<(Trial, tokio::runtime::Runtime), Exit> {
        let plan = self.config.load_or_explain()?;
        let config = self.find(&plan)?;
        let settings = crate::serve::source_settings(&plan).map_err(|error| failed(&error))?;
        let runtime = super::runtime().ok_or(Exit::Failed)?;
        let trial = {
            let _context = runtime.enter();
            Trial::start(config, settings)
        };
        Ok((trial.map_err(|error| failed(&error))?, runtime))
    }

    fn find(&self, plan: &Plan) -> Result<SourceConfig, Exit> {
        let listed = &plan.external_audio.sources;
        let names: Vec<_> = listed.iter().map(|source| source.name.as_str()).collect();
        if let Some(found) = sources::find_name(&names, &self.source).and_then(|n| listed.get(n)) {
            return crate::serve::source_config(found).map_err(|error| failed(&error));
        }
        crate::trial::source_of(&self.source).map_err(|_| {
            eprintln!("entracte: {}", unknown(&self.source, &names));
            Exit::Usage
        })
    }
}

fn unknown(wanted: &str, names: &[&str]) -> String {
    let names = match names {
        [] => "the configuration names none".to_owned(),
        names => format!("the configuration names {}", names.join(", ")),
    };
    format!(
        "no source is called {wanted:?} ({names}), and it is no file:, http:, https:, rtp: or device: URI"
    )
}

impl Test {
    fn run(&self) -> Result<Exit, Exit> {
        let (trial, runtime) = self.wanted.open()?;
        let tried = trial.judge(Duration::from_secs(self.seconds.into()));
        drop(runtime);
        let tried = tried.map_err(|error| failed(&error))?;
        if self.json {
            println!("{}", json!(tried));
        } else {
            print!("{}", told(&tried));
        }
        Ok(if tried.ok { Exit::Done } else { Exit::Failed })
    }
}

/// What came of a trial, for people.
fn told(tried: &web::Tried) -> String {
    let first = match (tried.first_sample_ms, tried.heard_ms) {
        (Some(first), Some(heard)) => (first, heard),
        _ => return format!("{}: {}\n", tried.uri, tried.error.as_deref().unwrap_or_default()),
    };
    let mut lines = vec![tried.uri.clone()];
    let mut line = |name: &str, what: String| lines.push(format!("{name:<13} {what}"));
    line("codec", tried.codec.clone().unwrap_or_default());
    if let Some(title) = &tried.title {
        line("title", title.clone());
    }
    line("first sample", format!("after {} ms, heard after {} ms", first.0, first.1));
    let loudness =
        tried.loudness_lufs.map_or_else(|| "silence".to_owned(), |lufs| format!("{lufs:.1} LUFS"));
    let (peak, rms) = (tried.peak_dbfs.unwrap_or_default(), tried.rms_dbfs.unwrap_or_default());
    line("loudness", format!("{loudness}, peak {peak:.1} dBFS, RMS {rms:.1} dBFS"));
    let (underruns, reconnects) = (tried.underruns, tried.reconnects);
    line(
        "held",
        format!("{} ms, {underruns} underruns, {reconnects} reconnects", tried.buffered_ms),
    );
    for skipped in &tried.skipped {
        line("passed over", format!("{}: {}", skipped.file, skipped.why));
    }
    if let Some(wrong) = &tried.error {
        line("wrong", wrong.clone());
    }
    lines.join("\n") + "\n"
}

impl Listen {
    fn run(&self) -> Result<Exit, Exit> {
        let (mut opened, _runtime) = self.wanted.open()?;
        if let Err(why) = opened.until_heard() {
            eprintln!("entracte: {why}; the fallback is heard instead");
        }
        let mut file = match &self.out {
            Some(path) => {
                let file = File::create(path)
                    .map_err(|error| failed(&format!("{}: {error}", path.display())))?;
                let file = wav::Writer::new(BufWriter::new(file), wav::Format::TELEPHONE);
                Some(file.map_err(|error| failed(&error))?)
            }
            None => None,
        };
        let mut player = match self.play {
            true => Some(Player::start().map_err(|why| failed(&why))?),
            false => None,
        };
        let mut units = 0;
        opened.listen(Duration::from_secs(self.seconds.into()), |unit| {
            if let Some(file) = &mut file {
                file.write(unit).map_err(|error| failed(&error))?;
            }
            if let Some(player) = &mut player {
                player.play(unit).map_err(|error| failed(&error))?;
            }
            units += 1;
            if units % (1_000 / UNIT_MS) == 0 {
                self.progress(units * UNIT_MS / 1_000);
            }
            Ok(())
        })?;
        if let Some(file) = file {
            let done = file.finish().and_then(|mut inner| inner.flush());
            done.map_err(|error| failed(&error))?;
        }
        if let Some(player) = player {
            player.finish().map_err(|why| failed(&why))?;
        }
        let heard = opened.state().map(|state| state.heard);
        Ok(if heard == Some(Heard::Source) { Exit::Done } else { Exit::Failed })
    }

    fn progress(&self, seconds: u64) {
        if std::io::stderr().is_terminal() {
            let end = if seconds == u64::from(self.seconds) { "\n" } else { "" };
            eprint!("\r{seconds} of {} s{end}", self.seconds);
        }
    }
}

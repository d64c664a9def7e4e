//! `entracte sources`: how the sources of a server stand; what there is to capture from, and whether a
//! source can be heard. For these two it opens sources by itself and does not disturb a server.

use std::fs::File;
use std::io::{BufWriter, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use audio::live::{Ring, UNIT_MS, UNIT_SAMPLES, Unit, unit_at};
use audio::wav;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use sources::{Heard, Level, Phase, SourceConfig, SourceKind, SourceState};
use tokio::sync::mpsc;

use super::ask::Target;
use super::player::Player;
use super::{ConfigArgs, Exit};
use crate::clock::instant;
use crate::config::Plan;

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

/// How long a source has for its first sample.
const PATIENCE: Duration = Duration::from_secs(15);

/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// Until then the fallback is still in the ring, and fading.
const FADED_UNITS: u64 = 12;

/// Units behind the clock that are read, as an engine does.
const BEHIND_UNITS: u64 = 2;

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
    fn open(&self) -> Result<Opened, Exit> {
        let plan = self.config.load_or_explain()?;
        let config = self.find(&plan)?;
        let settings = crate::serve::source_settings(&plan).map_err(|error| failed(&error))?;
        let runtime = super::runtime().ok_or(Exit::Failed)?;
        let (happenings, events) = mpsc::channel(256);
        let begun = instant();
        let live = {
            let _context = runtime.enter();
            sources::Sources::start(vec![config], settings, &happenings)
        };
        let live = live.map_err(|error| failed(&error))?;
        Ok(Opened { live, events, begun, _runtime: runtime })
    }

    fn find(&self, plan: &Plan) -> Result<SourceConfig, Exit> {
        let listed = &plan.external_audio.sources;
        let names: Vec<_> = listed.iter().map(|source| source.name.as_str()).collect();
        if let Some(found) = sources::find_name(&names, &self.source).and_then(|n| listed.get(n)) {
            let config = crate::serve::source_config(found).map_err(|error| failed(&error))?;
            return Ok(SourceConfig { start: sources::Start::Always, ..config });
        }
        let kind = match self.source.strip_prefix("device:") {
            Some(device) => SourceKind::Device(device.to_owned()),
            None => SourceKind::parse(&self.source).map_err(|_| {
                eprintln!("entracte: {}", unknown(&self.source, &names));
                Exit::Usage
            })?,
        };
        Ok(SourceConfig::new("source", kind))
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

/// One source that was started.
struct Opened {
    live: sources::Sources,
    events: mpsc::Receiver<sources::SourceEvent>,
    begun: std::time::Instant,
    _runtime: tokio::runtime::Runtime,
}

impl Opened {
    fn state(&self) -> Option<SourceState> {
        self.live.snapshot().into_iter().next()
    }

    fn ring(&self) -> Option<Arc<Ring>> {
        let name = self.live.names().into_iter().next()?;
        self.live.live(&name)
    }

    /// Waits until the source itself is heard; returns how long its first sample took to decode, and
    /// how long it took to be heard. The trouble of the last try is why it is not.
    fn until_heard(&mut self) -> Result<(Duration, Duration), String> {
        let mut decoded = None;
        loop {
            while let Ok(event) = self.events.try_recv() {
                if matches!(event.what, sources::Happening::Playing(_)) {
                    decoded.get_or_insert_with(|| self.begun.elapsed());
                }
            }
            let state = self.state().ok_or("there is no source")?;
            if let (Heard::Source, Some(decoded)) = (state.heard, decoded) {
                return Ok((decoded, self.begun.elapsed()));
            }
            let waited = self.begun.elapsed();
            match state.phase {
                // A second try may still reach what the first did not.
                Phase::Away(trouble) if waited > Duration::from_secs(3) => {
                    return Err(trouble.to_string());
                }
                _ if waited > PATIENCE => {
                    return Err(format!("no audio in {} s", PATIENCE.as_secs()));
                }
                Phase::Away(_) | Phase::Connecting | Phase::Playing | Phase::Resting => {}
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Hears the source unit by unit, in real time.
    fn listen(
        &self,
        seconds: u32,
        mut hear: impl FnMut(&Unit) -> Result<(), Exit>,
    ) -> Result<(), Exit> {
        let ring = self.ring().ok_or(Exit::Failed)?;
        let here = || {
            unit_at(Duration::from_millis(engine::clock::now().as_millis()))
                .saturating_sub(BEHIND_UNITS)
        };
        let mut next = here() + FADED_UNITS;
        let end = next + u64::from(seconds) * 1_000 / UNIT_MS;
        while next < end {
            while next <= here() && next < end {
                let mut unit = [0; UNIT_SAMPLES];
                // What is not there is silence, as in a call.
                let _ = ring.read(next, &mut unit);
                hear(&unit)?;
                next += 1;
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }
}

impl Test {
    fn run(&self) -> Result<Exit, Exit> {
        let mut opened = self.wanted.open()?;
        let heard = opened.until_heard();
        let Some(state) = opened.state() else { return Ok(Exit::Failed) };
        let (first, audible) = match heard {
            Ok(times) => times,
            Err(why) => {
                if self.json {
                    println!("{}", json!({ "ok": false, "uri": state.uri, "error": why }));
                } else {
                    println!("{}: {why}", state.uri);
                }
                return Ok(Exit::Failed);
            }
        };
        let mut meter = Meter::new().map_err(|error| failed(&error))?;
        opened.listen(self.seconds, |unit| {
            meter.hear(unit);
            Ok(())
        })?;
        let Some(state) = opened.state() else { return Ok(Exit::Failed) };
        let Found { loudness_lufs, peak_dbfs, rms_dbfs } = meter.found();
        let silent = loudness_lufs.is_none();
        let ms = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        let codec = state.codec.unwrap_or_default();
        if self.json {
            println!(
                "{}",
                json!({
                    "ok": !silent, "uri": state.uri, "codec": codec, "title": state.title,
                    "first_sample_ms": ms(first), "heard_ms": ms(audible),
                    "loudness_lufs": loudness_lufs, "peak_dbfs": peak_dbfs, "rms_dbfs": rms_dbfs,
                    "buffered_ms": ms(state.buffered), "underruns": state.underruns,
                    "reconnects": state.reconnects,
                    "skipped": state.skipped.iter().map(|s| json!({ "file": s.file, "why": s.why }))
                        .collect::<Value>(),
                })
            );
        } else {
            println!("{}", state.uri);
            println!("codec         {codec}");
            if let Some(title) = &state.title {
                println!("title         {title}");
            }
            println!("first sample  after {} ms, heard after {} ms", ms(first), ms(audible));
            let loudness = loudness_lufs
                .map_or_else(|| "silence".to_owned(), |lufs| format!("{lufs:.1} LUFS"));
            println!("loudness      {loudness}, peak {peak_dbfs:.1} dBFS, RMS {rms_dbfs:.1} dBFS");
            println!(
                "held          {} ms, {} underruns, {} reconnects",
                ms(state.buffered),
                state.underruns,
                state.reconnects
            );
            for skipped in &state.skipped {
                println!("passed over   {}: {}", skipped.file, skipped.why);
            }
            if silent {
                println!("wrong         it gives silence");
            }
        }
        Ok(if silent { Exit::Failed } else { Exit::Done })
    }
}

/// What a meter found.
struct Found {
    /// EBU R 128 integrated loudness; `None` when all of it was below the gate.
    loudness_lufs: Option<f64>,
    peak_dbfs: f64,
    rms_dbfs: f64,
}

/// Measures what is heard.
struct Meter {
    loudness: ebur128::EbuR128,
    samples: Vec<i16>,
}

impl Meter {
    fn new() -> Result<Self, ebur128::Error> {
        let loudness = ebur128::EbuR128::new(1, audio::RATE_HZ, ebur128::Mode::I)?;
        Ok(Self { loudness, samples: Vec::new() })
    }

    fn hear(&mut self, unit: &Unit) {
        // It fails only for a wrong count of channels.
        let _ = self.loudness.add_frames_i16(unit);
        self.samples.extend_from_slice(unit);
    }

    fn found(&self) -> Found {
        let lufs = self.loudness.loudness_global().ok().filter(|lufs| lufs.is_finite());
        Found {
            loudness_lufs: lufs,
            peak_dbfs: audio::measure::peak_dbfs(&self.samples),
            rms_dbfs: audio::measure::rms_dbfs(&self.samples),
        }
    }
}

impl Listen {
    fn run(&self) -> Result<Exit, Exit> {
        let mut opened = self.wanted.open()?;
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
        opened.listen(self.seconds, |unit| {
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

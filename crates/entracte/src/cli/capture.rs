//! `entracte capture`: what a server that runs sends and receives, in a file.

use std::io::{IsTerminal as _, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde::Deserialize;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use web::{CaptureFile, CaptureOrder};

use super::ask::{Server, Target};
use super::{Exit, columns};

/// Captures what a server that runs sends and receives - SIP, MRCPv2, RTP and RTCP - into a file that Wireshark
/// opens. It ends after --seconds, with the call, or with Ctrl-C. Voices and numbers are in the file.
#[derive(Args, Debug)]
pub(super) struct Capture {
    #[command(flatten)]
    target: Target,
    /// Only this call, by the number that `entracte sessions` shows; else all calls.
    #[arg(long, value_name = "NUMBER")]
    session: Option<u64>,
    /// When it ends by itself, 1 to 86400. Without it 60, and 3600 for one call.
    #[arg(long, value_name = "N")]
    seconds: Option<u64>,
    /// SIP and MRCPv2 only, without audio.
    #[arg(long)]
    signalling_only: bool,
    /// Where the file goes; - is standard output. Without it the file stays with the server, by the name that is printed.
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Lists the captures that the server has, and begins none.
    #[arg(long, conflicts_with_all = ["session", "seconds", "signalling_only", "out"])]
    list: bool,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Deserialize)]
struct Begun {
    name: String,
}

/// How often it is looked whether it is over.
const LOOK: Duration = Duration::from_millis(500);
/// Answers in a row that may fail.
const FAILURES_MAX: u32 = 5;

impl Capture {
    pub(super) fn run(self) -> Exit {
        let Ok(server) = self.target.server() else { return Exit::Usage };
        let Some(runtime) = super::runtime() else { return Exit::Failed };
        let done = runtime.block_on(async {
            if self.list { self.list(&server).await } else { self.capture(&server).await }
        });
        match done {
            Ok(()) => Exit::Done,
            Err(why) => {
                eprintln!("entracte: {why}");
                Exit::Failed
            }
        }
    }

    async fn list(&self, server: &Server) -> Result<(), String> {
        let captures: Vec<CaptureFile> = server.get("/api/v1/captures").await?;
        if self.json {
            println!("{}", json!(captures));
            return Ok(());
        }
        let head = ["FILE", "STATE", "BYTES", "WRITTEN (UTC)"].map(str::to_owned);
        let row = |one: &CaptureFile| {
            let state = if one.running { "runs" } else { "over" };
            let written = web::utc(one.at_unix_seconds);
            [one.name.clone(), state.to_owned(), one.bytes.to_string(), written]
        };
        let rows: Vec<_> = std::iter::once(head).chain(captures.iter().map(row)).collect();
        print!("{}", columns(&rows));
        Ok(())
    }

    async fn capture(&self, server: &Server) -> Result<(), String> {
        let order = CaptureOrder {
            session: self.session,
            seconds: self.seconds,
            signalling_only: self.signalling_only,
        };
        // What cannot be written is known before, not after.
        let mut file = self.out.as_deref().map(open).transpose()?;
        let Begun { name } = server.post_json("/api/v1/captures", &json!(order)).await?;
        eprintln!("capturing into {name}; Ctrl-C ends it");
        let mut ended = signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
        let stopped = async {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = ended.recv() => {}
            }
        };
        let (bytes, why) = tokio::select! {
            over = watch(server, &name) => over?,
            () = stopped => {
                let path = format!("/api/v1/captures/{name}/stop");
                let _: serde_json::Value = server.post(&path).await?;
                watch(server, &name).await?
            }
        };
        let out = self.out.as_deref();
        if let Some(out) = &mut file {
            server.fetch(&format!("/api/v1/captures/{name}"), out).await?;
        }
        if self.json {
            let told = json!({ "name": name, "bytes": bytes, "file": out, "why": why });
            say(out, &told.to_string());
        } else {
            let place = out.map_or_else(|| name.clone(), |out| out.display().to_string());
            say(out, &format!("{place}: {bytes} bytes; {why}"));
        }
        Ok(())
    }
}

/// The file for a capture; `-` is standard output. Voices and numbers are in it.
fn open(out: &Path) -> Result<Box<dyn Write>, String> {
    if out == Path::new("-") {
        return Ok(Box::new(std::io::stdout()));
    }
    let mut file = std::fs::OpenOptions::new();
    let file = file.write(true).create(true).truncate(true).mode(0o600).open(out);
    let file = file.map_err(|error| format!("{}: {error}", out.display()))?;
    Ok(Box::new(std::io::BufWriter::new(file)))
}

/// Says how it went, where the file does not go.
fn say(out: Option<&Path>, words: &str) {
    if out == Some(Path::new("-")) {
        eprintln!("{words}");
    } else {
        println!("{words}");
    }
}

/// Waits until a capture is over, and answers its bytes and why it is; how many there are so far is shown to people.
async fn watch(server: &Server, name: &str) -> Result<(u64, String), String> {
    let people = std::io::stderr().is_terminal();
    let mut failures = 0;
    loop {
        let captures: Vec<CaptureFile> = match server.get("/api/v1/captures").await {
            Ok(captures) => captures,
            // One slow answer is no reason to leave the capture alone.
            Err(why) if failures >= FAILURES_MAX => return Err(why),
            Err(_) => {
                failures += 1;
                tokio::time::sleep(LOOK).await;
                continue;
            }
        };
        failures = 0;
        let one = captures.iter().find(|one| one.name == name);
        let one = one.ok_or_else(|| format!("{name} is not there any more"))?;
        if people {
            eprint!("\r{} bytes", one.bytes);
            // Nobody reads any more.
            let _ = std::io::stderr().flush();
        }
        if !one.running {
            if people {
                eprintln!();
            }
            return Ok((one.bytes, one.why.clone().unwrap_or_default()));
        }
        tokio::time::sleep(LOOK).await;
    }
}

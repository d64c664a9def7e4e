//! `entracte capture`: what a server that runs sends and receives, in a file.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde::Deserialize;
use serde_json::json;
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
    /// Where the file goes. Without it the file stays with the server, by the name that is printed.
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
        let Begun { name } = server.post_json("/api/v1/captures", &json!(order)).await?;
        eprintln!("capturing into {name}; Ctrl-C ends it");
        let bytes = tokio::select! {
            bytes = watch(server, &name) => bytes?,
            _ = tokio::signal::ctrl_c() => {
                let path = format!("/api/v1/captures/{name}/stop");
                let _: serde_json::Value = server.post(&path).await?;
                watch(server, &name).await?
            }
        };
        let out = self.out.as_deref();
        if let Some(out) = out {
            let file = server.bytes(&format!("/api/v1/captures/{name}")).await?;
            std::fs::write(out, file).map_err(|error| format!("{}: {error}", out.display()))?;
        }
        if self.json {
            println!("{}", json!({ "name": name, "bytes": bytes, "file": out }));
        } else {
            let place = out.map_or_else(|| name.clone(), |out| out.display().to_string());
            println!("{place}: {bytes} bytes");
        }
        Ok(())
    }
}

/// Waits until a capture is over, and answers its bytes; how many there are so far is shown to people.
async fn watch(server: &Server, name: &str) -> Result<u64, String> {
    let people = std::io::stderr().is_terminal();
    loop {
        let captures: Vec<CaptureFile> = server.get("/api/v1/captures").await?;
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
            return Ok(one.bytes);
        }
        tokio::time::sleep(LOOK).await;
    }
}

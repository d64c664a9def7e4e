//! `entracte sessions`: the calls of a server that runs.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use clap::Args;
use serde::Deserialize;
use serde_json::json;
use web::Call;

use super::Exit;
use super::ask::{Server, Target};
use super::sources::span;

/// Lists the calls of a server that runs, the youngest first: Call-ID, state, channels, what is heard,
/// packets and age.
#[derive(Args, Debug)]
pub(super) struct Sessions {
    #[command(flatten)]
    target: Target,
    /// Only calls that contain this: a Call-ID, a channel, an address, a source.
    #[arg(long, value_name = "TEXT", default_value = "")]
    search: String,
    /// Shows them again each second, until it is ended.
    #[arg(long)]
    watch: bool,
    /// Prints one JSON array, with --watch one a second.
    #[arg(long)]
    json: bool,
}

#[derive(Deserialize)]
struct Page {
    calls: Vec<Call>,
    next_after: Option<u64>,
}

impl Sessions {
    pub(super) fn run(self) -> Exit {
        self.list().unwrap_or_else(|exit| exit)
    }

    fn list(&self) -> Result<Exit, Exit> {
        let server = self.target.server()?;
        let runtime = super::runtime().ok_or(Exit::Failed)?;
        runtime.block_on(async {
            loop {
                let shown = match self.all(&server).await {
                    Ok(calls) => self.show(&calls),
                    // It may come back: that is what is watched.
                    Err(why) if self.watch => {
                        eprintln!("entracte: {why}");
                        Ok(())
                    }
                    Err(why) => {
                        eprintln!("entracte: {why}");
                        return Err(Exit::Failed);
                    }
                };
                // Nobody reads any more.
                if !self.watch || shown.is_err() {
                    return Ok(Exit::Done);
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        })
    }

    async fn all(&self, server: &Server) -> Result<Vec<Call>, String> {
        let mut all = Vec::new();
        let mut after = None;
        loop {
            let search: String =
                reqwest::Url::parse_with_params("http://h/", [("q", self.search.as_str())])
                    .ok()
                    .and_then(|url| url.query().map(str::to_owned))
                    .unwrap_or_default();
            let from = after.map(|after: u64| format!("&after={after}")).unwrap_or_default();
            let page: Page = server.get(&format!("/api/v1/calls?{search}{from}")).await?;
            all.extend(page.calls);
            match page.next_after {
                Some(next) => after = Some(next),
                None => return Ok(all),
            }
        }
    }

    fn show(&self, calls: &[Call]) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        if self.json {
            writeln!(out, "{}", json!(calls))?;
        } else {
            if self.watch && out.is_terminal() {
                // To the top, and nothing below.
                out.write_all(b"\x1b[H\x1b[2J")?;
            }
            out.write_all(table(calls).as_bytes())?;
        }
        out.flush()
    }
}

fn table(calls: &[Call]) -> String {
    let mut rows = vec![
        ["NO.", "CALL-ID", "STATE", "CHANNELS", "REMOTE RTP", "SENT", "AGE", "HEARS"]
            .map(str::to_owned),
    ];
    rows.extend(calls.iter().map(|call| {
        let channels: Vec<_> = call
            .channels
            .iter()
            .map(|channel| format!("{} {}", channel.id, channel.state))
            .collect();
        let hears = call.resource.as_ref().map(|resource| resource.steps.join(", "));
        [
            call.session.to_string(),
            call.call_id.clone(),
            call.state.clone(),
            channels.join(", "),
            call.remote_rtp.map(|at| at.to_string()).unwrap_or_default(),
            call.rtp.map(|rtp| rtp.sent.to_string()).unwrap_or_default(),
            span(call.age_seconds),
            hears.unwrap_or_default(),
        ]
    }));
    super::columns(&rows)
}

//! `entracte doctor`: what is wrong with this host for a server.

use std::io::IsTerminal as _;

use clap::Args;
use serde_json::json;
use web::{Finding, Severity};

use super::ask::Target;
use super::{ConfigArgs, Exit};
use crate::doctor::{Subject, examine};

/// Looks over the configuration and this host: ports, addresses, limits, disk, clock, names, sound server
/// and sources, speech. Says of each thing that is wrong what to do. Exit status 1 if anything is a fault.
///
/// Run it as the user that the server runs as. Beside a server that runs, which is asked for over HTTP, ports, sources
/// and speech are left out: the page Diagnostics tells of them.
#[derive(Args, Debug)]
pub(super) struct Doctor {
    #[command(flatten)]
    config: ConfigArgs,
    /// A server runs here, also where it cannot be asked: its ports and sources are not tried.
    #[arg(long)]
    running: bool,
    /// Leaves out what is fine.
    #[arg(long)]
    quiet: bool,
    /// Prints one JSON array.
    #[arg(long)]
    json: bool,
}

impl Doctor {
    pub(super) fn run(self) -> Exit {
        let plan = match self.config.load() {
            Ok(plan) => plan,
            Err(faults) => {
                let found = faults.faults().iter().map(|fault| Finding {
                    severity: Severity::Fault,
                    area: "configuration".to_owned(),
                    what: fault.to_string(),
                    remedy: Some("mend it; nothing else is looked at before".to_owned()),
                });
                self.show(&found.collect::<Vec<_>>());
                return Exit::Usage;
            }
        };
        let Some(runtime) = super::runtime() else { return Exit::Failed };
        let running =
            self.running || (plan.http.is_some() && runtime.block_on(self.meets_server()));
        let subject = if running { Subject::Running } else { Subject::Host };
        let mut found = runtime.block_on(examine(&plan, subject));
        if running {
            found.insert(
                0,
                Finding {
                    severity: Severity::Hint,
                    area: "server".to_owned(),
                    what: "one runs here: its ports, sources and speech are not tried".to_owned(),
                    remedy: Some("the page Diagnostics tells of them".to_owned()),
                },
            );
        }
        self.show(&found);
        let wrong = found.iter().any(|finding| finding.severity == Severity::Fault);
        if wrong { Exit::Failed } else { Exit::Done }
    }

    /// Whether a server of this configuration answers on this host.
    async fn meets_server(&self) -> bool {
        let target = Target { config: self.config.clone(), ..Target::default() };
        let Ok(server) = target.server() else { return false };
        server.get::<serde_json::Value>("/api/v1/about").await.is_ok()
    }

    fn show(&self, found: &[Finding]) {
        let wanted = |finding: &&Finding| !self.quiet || finding.severity != Severity::Fine;
        let found: Vec<&Finding> = found.iter().filter(wanted).collect();
        if self.json {
            return println!("{}", json!(found));
        }
        let colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        for finding in found {
            let (sign, colour) = match finding.severity {
                Severity::Fine => ("ok     ", "32"),
                Severity::Hint => ("hint   ", "36"),
                Severity::Warning => ("warning", "33"),
                Severity::Fault => ("FAULT  ", "31"),
            };
            let sign =
                if colours { format!("\x1b[{colour}m{sign}\x1b[0m") } else { sign.to_owned() };
            println!("{sign}  {:<13}  {}", finding.area, finding.what);
            if let Some(remedy) = &finding.remedy {
                println!("{:24}-> {remedy}", "");
            }
        }
    }
}

//! `entracte serve`: runs the server until it is told to end.

use std::io::{IsTerminal as _, Write as _};

use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{ConfigArgs, Exit};
use crate::config::{LogFormat, LogLevel, Plan};
use crate::serve::{self, DRAIN, Running};

/// Runs the server. SIGTERM and SIGINT take no new calls, wait for those that are up (30 s at most)
/// and end; a second one says goodbye to those calls and ends at once.
#[derive(Args, Debug)]
pub(super) struct Serve {
    #[command(flatten)]
    config: ConfigArgs,
}

impl Serve {
    pub(super) fn run(self) -> Exit {
        let plan = match self.config.load_or_explain() {
            Ok(plan) => plan,
            Err(exit) => return exit,
        };
        log_to_stderr(&plan);
        let runtime = super::runtime();
        runtime.map_or(Exit::Failed, |runtime| runtime.block_on(self.serve(&plan)))
    }

    async fn serve(&self, plan: &Plan) -> Exit {
        // Before anybody can know that we are here: a signal is never met unprepared.
        let signals = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
        let (Ok(terminate), Ok(interrupt)) = signals else {
            eprintln!("entracte: cannot wait for signals");
            return Exit::Failed;
        };
        let running = match serve::start(plan).await {
            Ok(running) => running,
            Err(error) => {
                let place = self.config.layers().place_of(error.key());
                eprintln!("entracte: cannot start: {place}: {error}");
                return Exit::Usage;
            }
        };
        for note in &plan.notes {
            tracing::warn!("{note}");
        }
        for note in &running.notes {
            tracing::warn!("{note}");
        }
        // Whoever started us may not listen; that is no reason to end.
        let _ = writeln!(std::io::stdout(), "ready: {}", addresses(&running));
        end_when_told(running, terminate, interrupt).await
    }
}

async fn end_when_told(mut running: Running, mut terminate: Signal, mut interrupt: Signal) -> Exit {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = running.ended() => {
            tracing::error!("the control loop has ended; so does the server");
            return Exit::Failed;
        }
    }
    tracing::info!("draining: no new calls");
    let again = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("told again: the calls that are up are ended");
    };
    running.end_sooner(DRAIN, again).await;
    Exit::Done
}

/// Every address that is listened on, as the ready line has it.
pub(super) fn addresses(running: &Running) -> String {
    let sip = running.sip.iter().map(|(transport, address)| {
        format!("sip/{} {address}", transport.as_str().to_ascii_lowercase())
    });
    let mrcp = running.mrcp.iter().map(|address| format!("mrcp/tcp {address}"));
    let rtp = std::iter::once(format!("rtp/udp {}", running.rtp));
    let http = running.http.map(|address| format!("http/tcp {address}"));
    sip.chain(mrcp).chain(rtp).chain(http).collect::<Vec<_>>().join(", ")
}

/// Logs go to stderr, at the level of `log.level` unless `RUST_LOG` says otherwise.
pub(super) fn log_to_stderr(plan: &Plan) {
    let level = match plan.log.level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
        LogLevel::Trace => "trace",
    };
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        // What the decoders' library finds wrong is told by whoever decodes, with the source's name.
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(format!("{level},symphonia=off")));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    // A second subscriber in one process is a test's; the first one stays.
    let _ = match plan.log.format {
        LogFormat::Text => log.try_init(),
        LogFormat::Json => log.json().try_init(),
    };
}

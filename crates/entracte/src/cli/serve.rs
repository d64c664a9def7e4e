//! `entracte serve`: runs the server until it is told to end.

use std::io::Write as _;

use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{ConfigArgs, Exit};
use crate::config::Plan;
use crate::logging::log_to_stderr;
use crate::serve::{self, DRAIN, Running};
use crate::supervision;

/// Runs the server. SIGTERM and SIGINT take no new calls, wait for those that are up (30 s at most)
/// and end; a second one says goodbye to those calls and ends at once. SIGHUP reads the settings again.
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
        let kinds = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()];
        let [Ok(terminate), Ok(interrupt), Ok(hang_up)] = kinds.map(signal) else {
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
        let _ = writeln!(std::io::stdout(), "ready: {}", running.listens.join(", "));
        if let Some(link) = &running.setup_link {
            let _ = writeln!(std::io::stdout(), "first administrator (15 minutes, once): {link}");
            tracing::info!(link, "no administrator yet: this link opens once, for 15 minutes");
        }
        supervision::ready();
        let watchdog = tokio::spawn(running.watchdog());
        let exit = end_when_told(running, terminate, interrupt, hang_up).await;
        watchdog.abort();
        exit
    }
}

async fn reload(running: &Running) {
    supervision::reloading();
    match running.reload("SIGHUP").await {
        Ok(applied) => {
            tracing::info!(revision = applied.revision, waiting = ?applied.waiting, "settings reloaded");
        }
        // Each fault was logged where it was found.
        Err(faults) => tracing::error!(faults = faults.len(), "the last good settings stay in use"),
    }
    supervision::ready();
}

async fn end_when_told(
    mut running: Running,
    mut terminate: Signal,
    mut interrupt: Signal,
    mut hang_up: Signal,
) -> Exit {
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hang_up.recv() => reload(&running).await,
            () = running.ended() => {
                tracing::error!("the control loop has ended; so does the server");
                return Exit::Failed;
            }
        }
    }
    supervision::stopping();
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

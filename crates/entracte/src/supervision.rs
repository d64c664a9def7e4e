//! What systemd is told: that the server is ready, reloads, ends, and that its engines tick. Without
//! systemd it says nothing.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::sync::{mpsc, oneshot};

use crate::wiring::Event;

/// Says something; nobody may listen.
fn say(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "systemd is not told");
    }
}

/// Everything is bound, and calls are taken.
pub fn ready() {
    say(&[NotifyState::Ready]);
}

/// No new calls are taken; it ends with the last one.
pub fn stopping() {
    say(&[NotifyState::Stopping]);
}

/// Settings are read again; [`ready`] follows.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => say(&[NotifyState::Reloading, now]),
        Err(error) => tracing::debug!(%error, "systemd is not told"),
    }
}

/// Feeds systemd's watchdog for as long as every engine ticks and the control loop answers: a server that
/// runs and plays nothing is started anew. It ends at once where there is no watchdog.
pub async fn feed_watchdog(events: mpsc::Sender<Event>) {
    let Some(within) = sd_notify::watchdog_enabled() else { return };
    let mut before: Vec<u64> = Vec::new();
    let mut beats = tokio::time::interval(pause(within));
    loop {
        beats.tick().await;
        let Some(ticks) = ticks(&events).await else { continue };
        if goes_on(&before, &ticks) {
            say(&[NotifyState::Watchdog]);
        } else {
            tracing::error!(?before, now = ?ticks, "an engine stands still; the watchdog is not fed");
        }
        before = ticks;
    }
}

/// Twice within the time, as systemd recommends.
fn pause(within: Duration) -> Duration {
    (within / 2).max(Duration::from_millis(100))
}

/// The ticks of every engine since the start; `None` when the control loop does not answer.
async fn ticks(events: &mpsc::Sender<Event>) -> Option<Vec<u64>> {
    let (ask, answer) = oneshot::channel();
    events.send(Event::Ticks(ask)).await.ok()?;
    answer.await.ok()
}

/// Whether every engine ticked since the look before.
fn goes_on(before: &[u64], now: &[u64]) -> bool {
    before.iter().zip(now).all(|(before, now)| now > before)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_engine_that_stands_still_is_enough() {
        assert!(goes_on(&[], &[5, 5]) && goes_on(&[4, 4], &[5, 6]));
        assert!(!goes_on(&[4, 5], &[5, 5]));
    }
}

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::message_store::MessageStore;

const SECOND: Duration = Duration::from_secs(1);
/// The first sweep of old messages comes soon, so that a server that is restarted daily sweeps too.
const FIRST_SWEEP: Duration = Duration::from_mins(1);
const SWEEPS: Duration = Duration::from_hours(1);

/// How long the first sign of life is waited for, and the end of the threads.
const PATIENCE: Duration = Duration::from_secs(2);

/// Whether old messages are deleted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sweeps {
    /// They are, each hour.
    Hourly,
    /// They are not.
    Never,
}

/// The threads that do what is to be done from time to time, until it is dropped. Each has its own, because any may take
/// long and others take our mailboxes when the signs of life do not come.
#[derive(Debug)]
pub struct Ticker {
    stop: Arc<Stop>,
    ended: Mutex<Vec<Receiver<()>>>,
}

#[derive(Debug, Default)]
struct Stop {
    is_set: Mutex<bool>,
    changed: Condvar,
}

impl Stop {
    /// Waits so long; whether it is to end.
    fn comes_within(&self, time: Duration) -> bool {
        let set = self.is_set.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(set, time, |set| !*set);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

impl Ticker {
    /// Starts the threads, and waits up to 2 s until it is known whether the root answers.
    ///
    /// # Errors
    /// The system has no more threads.
    pub fn start(store: Arc<MessageStore>, sweeps: Sweeps) -> std::io::Result<Self> {
        let ticker = Self { stop: Arc::default(), ended: Mutex::default() };
        let (told, first) = sync_channel(1);
        let beating = Arc::clone(&store);
        ticker.spawn("mail-beat", [Duration::ZERO, SECOND], move || {
            beating.beat();
            // Only the first is waited for.
            let _ = told.try_send(());
        })?;
        if first.recv_timeout(PATIENCE).is_err() {
            store.doubt();
        }
        let hearing = Arc::clone(&store);
        ticker.spawn("mail-hear", [Duration::ZERO, SECOND], move || hearing.hear())?;
        let working = Arc::clone(&store);
        ticker.spawn("mail-work", [Duration::ZERO, SECOND], move || working.work())?;
        if sweeps == Sweeps::Hourly {
            ticker.spawn("mail-sweep", [FIRST_SWEEP, SWEEPS], move || {
                // What fails is told by the store.
                let _ = store.sweep();
            })?;
        }
        Ok(ticker)
    }

    /// Does something after a first time, and then again and again after another.
    fn spawn(
        &self,
        name: &str,
        [first, period]: [Duration; 2],
        mut work: impl FnMut() + Send + 'static,
    ) -> std::io::Result<()> {
        let (end, ended) = sync_channel(1);
        let stop = Arc::clone(&self.stop);
        let run = move || {
            // Dropped when the thread ends, whatever it ends by.
            let _end: SyncSender<()> = end;
            let mut wait = first;
            while !stop.comes_within(wait) {
                work();
                wait = period;
            }
        };
        thread::Builder::new().name(name.to_owned()).spawn(run)?;
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).push(ended);
        Ok(())
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        *self.stop.is_set.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.stop.changed.notify_all();
        // One that hangs on a share that is away would keep us from ending.
        for ended in self.ended.get_mut().unwrap_or_else(PoisonError::into_inner) {
            let _ = ended.recv_timeout(PATIENCE);
        }
    }
}

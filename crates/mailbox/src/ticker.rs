use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::message_store::MessageStore;

/// Ticks a second each; so many of them lie between two sweeps of old messages.
const SWEEP_TICKS: u32 = 3_600;

/// How long its end is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a ticker's thread does besides.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sweeps {
    /// It deletes old messages, each hour.
    Hourly,
    /// It does not.
    Never,
}

/// A thread that calls [`MessageStore::tick`] each second, until it is dropped.
#[derive(Debug)]
pub struct Ticker {
    stop: Arc<(Mutex<bool>, Condvar)>,
    ended: Mutex<Receiver<()>>,
    _thread: JoinHandle<()>,
}

impl Ticker {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system has no more threads.
    pub fn start(store: Arc<MessageStore>, sweeps: Sweeps) -> std::io::Result<Self> {
        let stop = Arc::new((Mutex::new(false), Condvar::new()));
        let stopped = Arc::clone(&stop);
        let (end, ended) = sync_channel(1);
        let run = move || {
            // Dropped when the thread ends, whatever it ends by.
            let _end: SyncSender<()> = end;
            let mut ticks = 0;
            loop {
                store.tick();
                // The first sweep comes soon, so that a server that is restarted daily sweeps too.
                if sweeps == Sweeps::Hourly && ticks % SWEEP_TICKS == 60 {
                    // What fails is told by the store.
                    let _ = store.sweep();
                }
                ticks += 1;
                let (flag, changed) = &*stopped;
                let flag = flag.lock().unwrap_or_else(PoisonError::into_inner);
                let waited =
                    changed.wait_timeout_while(flag, Duration::from_secs(1), |flag| !*flag);
                if *waited.unwrap_or_else(PoisonError::into_inner).0 {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("mail".to_owned()).spawn(run)?;
        Ok(Self { stop, ended: Mutex::new(ended), _thread: thread })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        let (flag, changed) = &*self.stop;
        *flag.lock().unwrap_or_else(PoisonError::into_inner) = true;
        changed.notify_all();
        // One that hangs on a share that is away would keep us from ending.
        let ended = self.ended.get_mut().unwrap_or_else(PoisonError::into_inner);
        let _ = ended.recv_timeout(PATIENCE);
    }
}

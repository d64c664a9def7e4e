use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;

use crate::clock;
use crate::engines::Lane;
use crate::socket;
use crate::tick::Engine;

/// Ticks between two looks at the wall clock.
const WALL_EVERY: u64 = 1_000;

/// What is worth knowing about how the engines started.
#[derive(Debug)]
pub enum Note {
    /// So many files, and half as many sessions, may be open.
    OpenFiles {
        /// The limit now.
        limit: u64,
    },
    /// The limit of open files could not be lifted.
    OpenFilesNotLifted,
    /// Real-time scheduling was refused: packets come late when others use the processor.
    NotRealTime {
        /// Which engine.
        engine: usize,
        /// What the system says.
        why: io::Error,
    },
    /// The engine could not be kept on one processor.
    NotPinned {
        /// Which engine.
        engine: usize,
        /// What the system says.
        why: io::Error,
    },
    /// The process's memory could not be locked.
    MemoryNotLocked {
        /// What the system says.
        why: io::Error,
    },
}

impl Note {
    /// Whether an operator should mend something.
    pub fn is_warning(&self) -> bool {
        !matches!(self, Self::OpenFiles { .. })
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OpenFiles { limit } => write!(f, "up to {limit} files may be open"),
            Self::OpenFilesNotLifted => f.write_str("the limit of open files could not be lifted"),
            Self::NotRealTime { engine, why } => {
                write!(f, "engine {engine} runs without real-time scheduling: {why}")
            }
            Self::NotPinned { engine, why } => {
                write!(f, "engine {engine} could not be kept on one processor: {why}")
            }
            Self::MemoryNotLocked { why } => write!(f, "memory could not be locked: {why}"),
        }
    }
}

/// The life of a media thread.
pub(crate) fn run_engine(
    mut engine: Engine,
    lanes: &[Lane],
    (number, cpu, priority): (usize, Option<usize>, Option<u8>),
    stop: &AtomicBool,
    ready: &SyncSender<Vec<Note>>,
) {
    let Some(lane) = lanes.get(number) else { return };
    lane.thread.store(socket::thread_id(), Ordering::Relaxed);
    let _told = ready.send(settle(number, cpu, priority));
    let mut ticks: u64 = 0;
    while !stop.load(Ordering::Acquire) {
        let due = engine.due();
        clock::sleep_until(due);
        let began = clock::now();
        engine.tick(began);
        lane.gauges.ticked(due, began, clock::now());
        ticks += 1;
        if ticks.is_multiple_of(WALL_EVERY) {
            engine.set_wall_ahead(clock::wall_ahead());
        }
    }
    engine.close(clock::now());
}

fn settle(engine: usize, cpu: Option<usize>, priority: Option<u8>) -> Vec<Note> {
    let mut notes = Vec::new();
    if let Some(cpu) = cpu
        && let Err(why) = socket::pin(cpu)
    {
        notes.push(Note::NotPinned { engine, why });
    }
    if let Some(priority) = priority
        && let Err(why) = socket::schedule_fifo(priority)
    {
        notes.push(Note::NotRealTime { engine, why });
    }
    socket::sharpen_timers();
    notes
}

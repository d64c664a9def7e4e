use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use audio::RATE_HZ;

/// Samples an intake holds before its producer must wait: 12 s, so that the start burst of a
/// streaming server goes in whole.
pub(crate) const INTAKE_SAMPLES_MAX: usize = 12 * RATE_HZ as usize;
/// Samples held for a producer that can be made to wait, such as a file: 1 s.
pub(crate) const PACED_SAMPLES_MAX: usize = RATE_HZ as usize;

/// Who sets the pace of a connection's audio.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Flow {
    /// We do: a file, or a download of known length. The producer waits when there is enough.
    #[default]
    Paced,
    /// The sender does: what comes too early must be trimmed, or it would be heard late for ever.
    Arriving,
    /// A device does, here and now: little is held, and when it goes it is gone at once.
    Captured,
}

/// Decoded audio on its way from the decoder's thread to the pacer's.
#[derive(Debug, Default)]
pub(crate) struct Intake {
    supply: Mutex<Supply>,
    room: Condvar,
}

/// What the pacer draws from.
#[derive(Debug, Default)]
pub(crate) struct Supply {
    /// Counts drivers; only the last one may open a connection.
    turn: u64,
    /// Counts connections; a producer of an older one is turned away.
    pub(crate) epoch: u64,
    pub(crate) flow: Flow,
    /// This connection's audio.
    pub(crate) live: VecDeque<i16>,
    /// What was left of the connection before, or stands before a trim: heard while it lasts.
    pub(crate) tail: VecDeque<i16>,
    /// Samples ever pushed by this connection.
    pub(crate) pushed: u64,
    /// No more will be pushed by this connection.
    pub(crate) ended: bool,
    /// No more will be pushed at all.
    pub(crate) closed: bool,
}

/// The producer's end of an [`Intake`], for one connection.
#[derive(Clone, Debug)]
pub(crate) struct Inlet {
    intake: Arc<Intake>,
    epoch: u64,
}

/// One driver's way to open connections.
#[derive(Clone, Debug)]
pub(crate) struct Door {
    intake: Arc<Intake>,
    turn: u64,
}

impl Door {
    /// Opens a new connection, unless this driver was stopped.
    pub(crate) fn begin(&self, flow: Flow) -> Result<Inlet, Closed> {
        let mut supply = self.intake.lock();
        if supply.closed || supply.turn != self.turn {
            return Err(Closed);
        }
        let epoch = supply.begin(flow);
        drop(supply);
        self.intake.room.notify_all();
        Ok(Inlet { intake: Arc::clone(&self.intake), epoch })
    }
}

/// Nobody wants these samples any more: the source stopped, or a newer connection took over.
#[derive(Debug)]
pub(crate) struct Closed;

impl Supply {
    /// A new connection begins: what is left of the last one becomes the tail.
    pub(crate) fn begin(&mut self, flow: Flow) -> u64 {
        self.epoch += 1;
        self.flow = flow;
        self.pushed = 0;
        self.ended = false;
        self.tail = std::mem::take(&mut self.live);
        self.epoch
    }

    fn room(&self) -> usize {
        let most = match self.flow {
            Flow::Paced => PACED_SAMPLES_MAX,
            Flow::Arriving | Flow::Captured => INTAKE_SAMPLES_MAX,
        };
        most.saturating_sub(self.live.len())
    }

    /// Takes as many samples as there is room for; returns how many.
    pub(crate) fn push(&mut self, samples: &[i16]) -> usize {
        let taken = self.room().min(samples.len());
        self.live.extend(samples.iter().take(taken));
        self.pushed += taken as u64;
        taken
    }
}

impl Intake {
    /// Opens a new connection; producers of earlier ones are turned away from now on.
    #[cfg(test)]
    pub(crate) fn begin(self: &Arc<Self>, flow: Flow) -> Inlet {
        let epoch = self.lock().begin(flow);
        self.room.notify_all();
        Inlet { intake: Arc::clone(self), epoch }
    }

    /// The way in for a new driver; the older ones find it shut from now on.
    pub(crate) fn door(self: &Arc<Self>) -> Door {
        let mut supply = self.lock();
        supply.turn += 1;
        Door { intake: Arc::clone(self), turn: supply.turn }
    }

    /// Turns every producer away until there is a new connection; what was left is dropped.
    pub(crate) fn rest(&self) {
        let mut supply = self.lock();
        supply.turn += 1;
        supply.begin(Flow::Arriving);
        supply.ended = true;
        supply.tail.clear();
        drop(supply);
        self.room.notify_all();
    }

    /// Turns every producer away for good.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.room.notify_all();
    }

    /// For the pacer: the supply, and after it a word to a producer that waits for room.
    pub(crate) fn draw<T>(&self, take: impl FnOnce(&mut Supply) -> T) -> T {
        let taken = take(&mut self.lock());
        self.room.notify_one();
        taken
    }

    fn lock(&self) -> MutexGuard<'_, Supply> {
        // Samples cannot be left in a state that would matter.
        self.supply.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inlet {
    /// Hands samples over; waits while there is no room.
    pub(crate) fn push(&self, mut samples: &[i16]) -> Result<(), Closed> {
        let mut supply = self.intake.lock();
        loop {
            if supply.closed || supply.epoch != self.epoch {
                return Err(Closed);
            }
            let taken = supply.push(samples);
            samples = samples.get(taken..).unwrap_or_default();
            if samples.is_empty() {
                return Ok(());
            }
            // The time-out only guards against a pacer that died.
            let waited = self.intake.room.wait_timeout(supply, Duration::from_millis(200));
            supply = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Samples pushed so far, and whether the producer is being held back: then silence on the line
    /// is our doing.
    pub(crate) fn progress(&self) -> (u64, bool) {
        let supply = self.intake.lock();
        (supply.pushed, supply.room() == 0)
    }

    /// The next of several pieces that belong together begins.
    pub(crate) fn go_on(&self) {
        let mut supply = self.intake.lock();
        if supply.epoch == self.epoch {
            supply.ended = false;
        }
    }

    /// No more will come from this connection.
    pub(crate) fn end(&self) {
        let mut supply = self.intake.lock();
        if supply.epoch == self.epoch {
            supply.ended = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_connection_turns_the_older_ones_producer_away_and_keeps_its_rest() {
        let intake = Arc::new(Intake::default());
        let old = intake.begin(Flow::Arriving);
        old.push(&[1; 100]).unwrap();
        let new = intake.begin(Flow::Arriving);
        assert!(old.push(&[2; 10]).is_err());
        new.push(&[3; 10]).unwrap();
        intake.draw(|supply| {
            assert_eq!((supply.tail.len(), supply.live.len()), (100, 10));
        });
        intake.close();
        assert!(new.push(&[4]).is_err());
    }

    #[test]
    fn a_driver_that_was_stopped_opens_nothing_any_more() {
        let intake = Arc::new(Intake::default());
        let old = intake.door();
        assert!(old.begin(Flow::Captured).is_ok());
        intake.rest();
        assert!(old.begin(Flow::Captured).is_err());
        let new = intake.door();
        let inlet = new.begin(Flow::Captured).unwrap();
        assert!(old.begin(Flow::Captured).is_err());
        inlet.push(&[1]).unwrap();
    }

    #[test]
    fn a_file_waits_for_room_and_a_stream_is_never_held_before_its_limit() {
        let mut supply = Supply::default();
        supply.begin(Flow::Paced);
        assert_eq!(supply.push(&[0; 2 * PACED_SAMPLES_MAX]), PACED_SAMPLES_MAX);
        supply.begin(Flow::Arriving);
        assert_eq!(supply.push(&vec![0; 2 * INTAKE_SAMPLES_MAX]), INTAKE_SAMPLES_MAX);
    }
}

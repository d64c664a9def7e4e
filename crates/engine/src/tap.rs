use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::Mono;

/// Bytes of a datagram that a tap keeps: the longest packet that we send, and most that come.
pub const TAPPED_BYTES_MAX: usize = 500;

/// Datagrams that may wait for whoever looks on: half a second of both ways at 20 ms a packet.
const WAITING_MAX: usize = 64;

/// Which way a datagram went.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Way {
    /// From the peer.
    In,
    /// To the peer.
    Out,
}

/// Which of a stream's two sockets a datagram used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// The lower port.
    Rtp,
    /// The port above.
    Rtcp,
}

/// A copy of a datagram of a stream.
#[derive(Clone, Debug)]
pub struct Tapped {
    /// Which way it went.
    pub way: Way,
    /// Which socket it used.
    pub kind: Kind,
    /// When the engine had it in hand.
    pub at: Mono,
    /// How long it was.
    pub bytes: u16,
    kept: [u8; TAPPED_BYTES_MAX],
}

impl Tapped {
    /// Its first [`TAPPED_BYTES_MAX`] bytes.
    pub fn payload(&self) -> &[u8] {
        self.kept.get(..usize::from(self.bytes)).unwrap_or(&self.kept)
    }
}

/// Where copies of a stream's datagrams come out. The stream is let go when this is dropped.
#[derive(Debug)]
pub struct Tap {
    ring: rtrb::Consumer<Tapped>,
    missed: Arc<AtomicU64>,
}

impl Tap {
    /// The next copy, if one waits. Whoever takes too long misses some.
    pub fn take(&mut self) -> Option<Tapped> {
        self.ring.pop().ok()
    }

    /// Datagrams that were missed since this was asked last.
    pub fn missed(&self) -> u64 {
        self.missed.swap(0, Ordering::Relaxed)
    }

    /// Whether the stream has ended and nothing waits any more.
    pub fn is_over(&self) -> bool {
        // In this order: what came before the end is seen after it.
        self.ring.is_abandoned() && self.ring.is_empty()
    }
}

/// The engine's end: it copies into memory that is there already, and drops what does not fit.
#[derive(Debug)]
pub(crate) struct Spout {
    ring: rtrb::Producer<Tapped>,
    missed: Arc<AtomicU64>,
}

pub(crate) fn tap() -> (Spout, Tap) {
    let (spout, tap) = rtrb::RingBuffer::new(WAITING_MAX);
    let missed = Arc::new(AtomicU64::new(0));
    (Spout { ring: spout, missed: Arc::clone(&missed) }, Tap { ring: tap, missed })
}

impl Spout {
    pub(crate) fn is_wanted(&self) -> bool {
        !self.ring.is_abandoned()
    }

    pub(crate) fn copy(&mut self, way: Way, kind: Kind, at: Mono, datagram: &[u8]) {
        let mut kept = [0; TAPPED_BYTES_MAX];
        for (place, byte) in kept.iter_mut().zip(datagram) {
            *place = *byte;
        }
        let bytes = u16::try_from(datagram.len()).unwrap_or(u16::MAX);
        // A full ring is a reader that is too slow; calls do not wait for it.
        if self.ring.push(Tapped { way, kind, at, bytes, kept }).is_err() {
            self.missed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

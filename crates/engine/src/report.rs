use std::fmt;
use std::sync::Arc;

use audio::live;

use crate::clock::Mono;
use crate::program::{Piece, ProgramId};
use crate::stats::StreamStats;
use crate::stream::{Stream, Update};
use crate::tap::Spout;

/// Which stream: valid until it is [`Report::Gone`], and never used again.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct StreamKey {
    pub(crate) engine: u16,
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

impl StreamKey {
    /// The number of the engine that sends it, from 0.
    pub const fn engine(self) -> u16 {
        self.engine
    }
}

impl fmt::Display for StreamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}.{}", self.engine, self.index, self.generation)
    }
}

/// What an engine tells. Positions count the samples of the program that were sent before.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Report {
    /// The sample behind a [`Piece::Tag`] was sent.
    Tag {
        /// Where.
        stream: StreamKey,
        /// In which program.
        program: ProgramId,
        /// The tag's own number.
        tag: u32,
        /// The sample's offset in the program.
        at_samples: u64,
        /// When its packet was sent.
        sent_at: Mono,
    },
    /// The packet with the program's last sample was sent.
    Finished {
        /// Where.
        stream: StreamKey,
        /// Which program.
        program: ProgramId,
        /// The program's length.
        at_samples: u64,
        /// When.
        sent_at: Mono,
    },
    /// Whoever fed the program went away before its end; it is over.
    Abandoned {
        /// Where.
        stream: StreamKey,
        /// Which program.
        program: ProgramId,
        /// How far it came.
        at_samples: u64,
    },
    /// The program's pieces came too late for the first time: silence is sent until more come.
    Starved {
        /// Where.
        stream: StreamKey,
        /// Which program.
        program: ProgramId,
        /// How far it came.
        at_samples: u64,
    },
    /// The program was ended by `silence`, by `remove`, or by another one in its place.
    Stopped {
        /// Where.
        stream: StreamKey,
        /// Which program.
        program: ProgramId,
        /// How far it came.
        at_samples: u64,
        /// What ended it.
        why: StopReason,
    },
    /// The peer pressed a key.
    Digit {
        /// Where.
        stream: StreamKey,
        /// The telephone-event's code. RFC 4733 §3.2.
        event: u8,
        /// How long it was held.
        duration_ms: u32,
    },
    /// The peer said goodbye by RTCP.
    PeerLeft {
        /// Where.
        stream: StreamKey,
    },
    /// The stream is removed, and its ports are free; its last report.
    Gone {
        /// Which.
        stream: StreamKey,
        /// Its figures at the end.
        stats: StreamStats,
    },
}

/// What ended a program before its end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StopReason {
    /// [`crate::Engines::play`] put another in its place.
    Replaced,
    /// [`crate::Engines::silence`].
    Silenced,
    /// [`crate::Engines::remove`].
    Removed,
}

/// What a tick has done with and does not free itself.
#[derive(Debug)]
#[expect(dead_code, reason = "they are sent away to be dropped, never to be read")]
pub(crate) enum Retired {
    Stream(Box<Stream>),
    Update(Box<Update>),
    Pieces(rtrb::Consumer<Piece>),
    Clip(Arc<[i16]>),
    Ring(Arc<live::Ring>),
    Spout(Box<Spout>),
}

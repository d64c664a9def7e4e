use std::sync::Arc;

use audio::{Gain, live};

/// Which program, as whoever plays it counts them.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ProgramId(u64);

impl ProgramId {
    /// The id with this number.
    pub const fn from_number(number: u64) -> Self {
        Self(number)
    }

    /// The number, for tables and logs.
    pub const fn number(self) -> u64 {
        self.0
    }
}

/// One part of a program. Parts follow each other without a gap, to the sample.
#[derive(Debug)]
pub enum Piece {
    /// The samples `from..to` of a clip; bounds outside of it are drawn in.
    Clip {
        /// Telephone audio.
        samples: Arc<[i16]>,
        /// The first sample that is heard.
        from: usize,
        /// The first that is not.
        to: usize,
    },
    /// A live source at its present position.
    Live {
        /// Where it is written.
        ring: Arc<live::Ring>,
        /// How much of it is heard; without end if `None`, and what comes behind is never reached.
        samples: Option<u64>,
    },
    /// So many samples of silence.
    Silence {
        /// How long.
        samples: u64,
    },
    /// Tells when the sample that follows is sent; lasts no time.
    Tag(u32),
    /// The program is whole; nothing is read behind it.
    End,
}

/// What a stream plays: pieces that come through a ring while it plays, the last being
/// [`Piece::End`].
///
/// Before its first piece is there, nothing is sent. Later an empty ring is an underrun: silence is
/// sent and counted until more comes.
#[derive(Debug)]
pub struct Program {
    /// Names it in reports.
    pub id: ProgramId,
    /// How loud it begins; [`crate::Engines::gain`] changes it.
    pub gain: Gain,
    /// What is to be heard.
    pub pieces: rtrb::Consumer<Piece>,
}

impl Program {
    /// A program, and the ring through which it gets up to `capacity` pieces ahead.
    pub fn new(id: ProgramId, gain: Gain, capacity: usize) -> (rtrb::Producer<Piece>, Self) {
        let (producer, pieces) = rtrb::RingBuffer::new(capacity);
        (producer, Self { id, gain, pieces })
    }
}

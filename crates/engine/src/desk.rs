use rtp::HEADER_BYTES;

use crate::report::{Report, Retired};
use crate::shares::Shares;

/// Reports, and things to be freed, that may wait for the reports thread; with less room than one
/// packet may need, programs stand still and are silent until there is more.
pub(crate) const REPORTS_MAX: usize = 16_384;

/// What one packet, command or key press puts into either ring at most.
const ROOM_WANTED: usize = crate::playing::PIECES_PER_PACKET_MAX + 8;

/// Samples of the longest packet.
const SAMPLES_MAX: usize = 480;

/// Where packets are put together, one after the other.
pub(crate) type Packet = [u8; HEADER_BYTES + SAMPLES_MAX];

/// An empty packet.
pub(crate) const PACKET: Packet = [0; HEADER_BYTES + SAMPLES_MAX];

/// What all streams of an engine share while it ticks.
#[derive(Debug)]
pub(crate) struct Desk {
    reports: rtrb::Producer<Report>,
    retired: rtrb::Producer<Retired>,
    room: usize,
    /// Whether the reports thread has something to do.
    pub(crate) told: bool,
    pub(crate) shares: Shares,
    pub(crate) samples: [i16; SAMPLES_MAX],
    /// Where received datagrams are read to; longer ones are cut off, and then refused.
    pub(crate) inbox: [u8; 1_500],
    /// How far the wall clock is ahead of the monotonic one, in nanoseconds.
    pub(crate) wall_ahead: u64,
}

impl Desk {
    pub(crate) fn new(
        reports: rtrb::Producer<Report>,
        retired: rtrb::Producer<Retired>,
        wall_ahead: u64,
    ) -> Self {
        Self {
            reports,
            retired,
            room: 0,
            told: false,
            shares: Shares::new(),
            samples: [0; SAMPLES_MAX],
            inbox: [0; 1_500],
            wall_ahead,
        }
    }

    /// Looks once a tick how much the rings take.
    pub(crate) fn measure(&mut self) {
        self.room = self.reports.slots().min(self.retired.slots());
    }

    /// Whether one more packet, command or key press may be worked on.
    pub(crate) fn has_room(&self) -> bool {
        self.room >= ROOM_WANTED
    }

    pub(crate) fn report(&mut self, report: Report) {
        self.room = self.room.saturating_sub(1);
        self.told = true;
        // Whoever reports has asked for room before.
        let _kept = self.reports.push(report);
    }

    pub(crate) fn retire(&mut self, retired: Retired) {
        self.room = self.room.saturating_sub(1);
        self.told = true;
        let _kept = self.retired.push(retired);
    }
}

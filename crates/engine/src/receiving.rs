use rtp::{EventReceiver, KeyPress, Packet, Reception};

use crate::clock::Mono;
use crate::config::{Receive, StreamConfig};
use crate::desk::Desk;
use crate::report::{Report, StreamKey};
use crate::socket::Sockets;
use crate::stats::StreamStats;
use crate::tap::{Kind, Spout, Way};

/// Datagrams read from one stream in one of its ticks; a faster peer loses some in the kernel.
const DATAGRAMS_PER_TICK_MAX: usize = 8;

/// Empty looks after which a peer counts as quiet and is looked at less often: an empty look costs
/// a tenth of a packet.
const QUIET_AFTER: u8 = 50;
/// A quiet peer is looked at in one of so many ticks.
const QUIET_LOOK: u8 = 5;

/// What comes in from a stream's peer.
#[derive(Debug)]
pub(crate) struct Receiving {
    pub(crate) reception: Reception,
    events: EventReceiver,
    event_type: Option<u8>,
    empty: u8,
}

impl Receiving {
    pub(crate) fn new(config: &StreamConfig) -> Option<Self> {
        (config.receive == Receive::Listen).then(|| Self {
            reception: Reception::default(),
            events: EventReceiver::default(),
            event_type: config.telephone_event,
            empty: 0,
        })
    }

    /// Takes over what was negotiated anew, and keeps what was heard.
    pub(crate) fn change(&mut self, new: &Self) {
        self.event_type = new.event_type;
        self.empty = 0;
    }

    /// Reads what has come since the last look.
    pub(crate) fn sweep(
        &mut self,
        (stream, now): (StreamKey, Mono),
        sockets: &Sockets,
        (stats, mut spout): (&mut StreamStats, Option<&mut Spout>),
        desk: &mut Desk,
    ) {
        if let Some(press) = self.events.expire(now.coarse()) {
            tell(stream, press, stats, desk);
        }
        if self.empty >= QUIET_AFTER {
            self.empty += 1;
            if self.empty < QUIET_AFTER + QUIET_LOOK {
                return;
            }
            self.empty = QUIET_AFTER;
        }
        for _ in 0..DATAGRAMS_PER_TICK_MAX {
            // A key press that nobody could be told of stays in the kernel until there is room.
            if !desk.has_room() {
                return;
            }
            let Some(bytes) = sockets.receive(&mut desk.inbox) else {
                self.empty = self.empty.saturating_add(1).min(QUIET_AFTER + QUIET_LOOK);
                return;
            };
            self.empty = 0;
            if let Some(spout) = &mut spout {
                spout.copy(Way::In, Kind::Rtp, now, bytes);
            }
            let Ok(packet) = Packet::parse(bytes) else { continue };
            self.reception.receive(now.coarse(), &packet);
            if self.event_type == Some(packet.payload_type)
                && let Some(press) = self.events.receive(now.coarse(), &packet)
            {
                tell(stream, press, stats, desk);
            }
        }
    }

    pub(crate) fn figures(&self, stats: &mut StreamStats) {
        stats.received = u64::from(self.reception.received());
        stats.lost = i64::from(self.reception.lost());
        stats.jitter = u64::from(self.reception.jitter());
    }
}

fn tell(stream: StreamKey, press: KeyPress, stats: &mut StreamStats, desk: &mut Desk) {
    stats.digits += 1;
    let (event, duration_ms) = (press.event, press.duration_ms());
    desk.report(Report::Digit { stream, event, duration_ms });
}

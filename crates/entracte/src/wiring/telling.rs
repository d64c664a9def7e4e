//! What the loop tells of itself: how things stand, and every call at one moment.

use std::time::Duration;

use engine::StreamKey;

use super::{Seat, Wiring};

/// How things stand: zero everywhere once every call is over and the timers have run out.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Standing {
    /// No new calls are taken.
    pub draining: bool,
    /// Calls, channels and what belongs to them.
    pub control: control::Counts,
    /// What the SIP agent holds.
    pub sip: sip::agent::Counts,
    /// Media streams.
    pub streams: usize,
    /// Programs that are prepared or played.
    pub programs: usize,
    /// Connections.
    pub connections: usize,
}

/// Every call and engine at one moment.
#[derive(Debug)]
pub struct Looks {
    /// The calls, in the order in which they came.
    pub calls: Vec<CallLook>,
    /// The engines, in the order of their numbers.
    pub engines: Vec<engine::EngineLoad>,
}

/// One call, in the control plane and in the media plane.
#[derive(Debug)]
pub struct CallLook {
    /// What was agreed on, and what is heard.
    pub survey: control::Survey,
    /// How long ago its INVITE came.
    pub age: Duration,
    /// Its stream, once an engine sends.
    pub stream: Option<(StreamKey, engine::StreamStats)>,
    /// How long ago what is heard was ordered.
    pub ordered: Option<Duration>,
    /// How long nothing has been sent of it: the client or the peer holds it.
    pub idle: Option<Duration>,
}

impl Wiring {
    pub(super) fn standing(&self) -> Standing {
        Standing {
            draining: self.parts.server.is_draining(),
            control: self.parts.server.counts(),
            sip: self.parts.agent.counts(),
            streams: self.media.len(),
            programs: self.programs.len(),
            connections: self.links.len(),
        }
    }

    pub(super) fn look(&self) -> Looks {
        let (now, media_now) = (self.clock.now(), engine::clock::now());
        let look = |survey: control::Survey| {
            let seat = self.media.get(&survey.session);
            let (stream, held) = match seat {
                Some(Seat::Open { key, held, .. }) => {
                    (Some((*key, self.parts.engines.stats(*key).unwrap_or_default())), *held)
                }
                Some(Seat::Reserved(_)) | None => (None, None),
            };
            let loaded = survey.playing.as_ref().and_then(|(id, _)| self.programs.get(id));
            CallLook {
                age: now.since(survey.began),
                stream,
                ordered: loaded.map(|loaded| media_now.since(loaded.ordered)),
                idle: held.map(|held| media_now.since(held)),
                survey,
            }
        };
        Looks {
            calls: self.parts.server.survey().into_iter().map(look).collect(),
            engines: self.parts.engines.loads(),
        }
    }
}

//! What the loop tells of itself: how things stand, every call at one moment, and a record of each that is over.

use std::time::Duration;

use engine::StreamKey;

use super::{Seat, Wiring};
use crate::cdr::CallRecord;
use crate::clock::wall;

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

    /// Records a call that is over, while it is still known.
    pub(super) fn record(&mut self, call: sip::agent::Call, why: &sip::agent::EndReason) {
        use sip::agent::EndReason;
        let Some(records) = &self.parts.records else { return };
        let Some(survey) = self.parts.server.survey_of(call) else { return };
        let age = self.clock.now().since(survey.began);
        let stream = match self.media.get(&survey.session) {
            Some(Seat::Open { key, .. }) => Some(*key),
            Some(Seat::Reserved(_)) | None => None,
        };
        let ended = wall();
        let media = survey.media.as_ref();
        let record = CallRecord {
            call_id: survey.call_id.to_string(),
            began_utc: web::utc(ended.saturating_sub(age).as_secs()),
            ended_utc: web::utc(ended.as_secs()),
            seconds: age.as_secs_f64(),
            ended_by: match why {
                EndReason::Bye => "bye",
                EndReason::Cancelled => "cancelled",
                EndReason::LocalBye => "local-bye",
                EndReason::Refused => "refused",
                EndReason::AckTimeout => "no-ack",
                EndReason::TransactionTimeout => "timeout",
                EndReason::Unknown => "unknown",
                EndReason::FlowClosed => "flow-closed",
            },
            peer: survey.peer.to_string(),
            remote_rtp: media.map(|media| media.remote.to_string()),
            codec: media.map(|media| format!("{} {} ms", media.law.name(), media.ptime_ms)),
            channels: survey.channels.len(),
            heard: survey.playing.as_ref().map(|(_, blueprint)| blueprint.to_string()),
            ..CallRecord::default()
        };
        match stream {
            // Its last figures come when the engine has let go of it.
            Some(key) => {
                self.closing.insert(key, record);
            }
            None => records.put(record),
        }
    }

    /// The engine has let go of a stream: these are its figures.
    pub(super) fn gone(&mut self, stream: StreamKey, stats: &engine::StreamStats) {
        let Some(record) = self.closing.remove(&stream) else { return };
        let Some(records) = &self.parts.records else { return };
        records.put(CallRecord {
            sent: stats.packets,
            received: stats.received,
            lost: stats.lost,
            peer_lost: stats.peer_lost,
            late: stats.skipped + stats.starved + stats.held,
            // Timestamps count 8,000 a second.
            jitter_ms: stats.jitter / 8,
            ..record
        });
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

//! What is left of calls that are over: a record, an announcement, a trace.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::{Mono, StreamKey, StreamStats};
use sip::agent::{Call, EndReason, Flow};
use vocab::{SessionId, Tokens};

use super::{Seat, Voiced, Wiring};
use crate::announce::Announcer;
use crate::captures::TappedCall;
use crate::cdr::{CallRecord, Records};
use crate::clock::{instant, wall};
use crate::config::EventKind;
use crate::traces::{Context, Span, Tracer};

/// Who is told what is left.
#[derive(Clone, Debug)]
pub struct Told {
    /// Where calls that are over are recorded, if they are.
    pub records: Option<Records>,
    /// Who listens to events.
    pub announcer: Announcer,
    /// Where traces go, if they do.
    pub tracer: Option<Tracer>,
}

/// A call from its INVITE on, also one that is refused at once.
#[derive(Debug)]
struct Arrival {
    call_id: Arc<str>,
    peer: SocketAddr,
    began: Instant,
    context: Context,
    /// The status of our refusal.
    refused: Option<u16>,
    /// Why we refused it, or hung up.
    reason: Option<String>,
    /// What was heard last.
    heard: Option<Arc<control::blueprint::Blueprint>>,
}

/// A record that waits for its stream's last figures.
#[derive(Debug)]
struct Closing {
    record: CallRecord,
    span: Span,
}

/// The books.
#[derive(Debug)]
pub(super) struct Ledger {
    told: Told,
    arrivals: BTreeMap<Call, Arrival>,
    by_call_id: BTreeMap<Arc<str>, Call>,
    /// Calls that are over, until their streams are.
    closing: BTreeMap<StreamKey, Closing>,
    /// Refused calls that were told of in this second, and how many were not in all.
    refusals: (u64, u32),
    untold: u64,
}

/// Refused calls that are told of in a second: a flood shall fill neither disk nor queues.
const REFUSALS_A_SECOND: u32 = 20;

impl Drop for Ledger {
    fn drop(&mut self) {
        // Streams that the engines did not come to let go of.
        for closing in std::mem::take(&mut self.closing).into_values() {
            self.told.put(closing);
        }
    }
}

impl Told {
    fn put(&self, closing: Closing) {
        let Closing { record, mut span } = closing;
        self.announcer
            .tell(EventKind::CallEnded, || serde_json::to_value(&record).unwrap_or_default());
        if let Some(tracer) = &self.tracer {
            let figures = [
                ("rtp.sent", record.sent),
                ("rtp.received", record.received),
                ("rtp.late", record.late),
                ("rtp.jitter_ms", record.jitter_ms),
            ];
            span.attributes.extend(figures.map(|(key, figure)| (key, figure.into())));
            tracer.put(span);
        }
        if let Some(records) = &self.records {
            records.put(record);
        }
    }
}

/// An id that is not all zero.
fn context(tokens: &mut Tokens) -> Context {
    let [a, b, span] = [(); 3].map(|()| (tokens.next_u64() | 1).to_be_bytes());
    let mut trace = [0; 16];
    for (place, byte) in trace.iter_mut().zip(a.into_iter().chain(b)) {
        *place = byte;
    }
    Context { trace, span }
}

/// The words of a Warning (RFC 3261 §20.43) or of a Reason (RFC 3326), without a number that somebody dialled
/// (invariant 7).
fn reason_of(header: &str) -> String {
    let words = header.split_once('"').map_or(header, |(_, rest)| rest.trim_end_matches('"'));
    let mut kept = String::with_capacity(words.len());
    let mut digits = String::new();
    for letter in words.chars().chain(std::iter::once(' ')) {
        if letter.is_ascii_digit() {
            digits.push(letter);
            continue;
        }
        // Ports, codes and counts are shorter than what is dialled.
        kept.push_str(if digits.len() > 5 { "…" } else { &digits });
        digits.clear();
        kept.push(letter);
    }
    kept.pop();
    kept
}

const fn word(why: EndReason) -> &'static str {
    match why {
        EndReason::Bye => "bye",
        EndReason::Cancelled => "cancelled",
        EndReason::LocalBye => "local-bye",
        EndReason::Refused => "refused",
        EndReason::AckTimeout => "no-ack",
        EndReason::TransactionTimeout => "timeout",
        EndReason::Unknown => "unknown",
        EndReason::FlowClosed => "flow-closed",
    }
}

impl Ledger {
    pub(super) fn new(told: Told) -> Self {
        let (arrivals, by_call_id, closing) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { told, arrivals, by_call_id, closing, refusals: (0, 0), untold: 0 }
    }

    fn begins(&mut self, call: Call, flow: &Flow, call_id: &str, tokens: &mut Tokens) {
        let (call_id, context): (Arc<str>, _) = (call_id.into(), context(tokens));
        self.told.announcer.tell(EventKind::CallBegan, || {
            let (peer, transport) = (flow.remote.to_string(), flow.transport.as_str());
            serde_json::json!({ "call_id": &*call_id, "peer": peer, "transport": transport })
        });
        self.by_call_id.insert(Arc::clone(&call_id), call);
        let (peer, began) = (flow.remote, instant());
        let (refused, reason, heard) = (None, None, None);
        self.arrivals
            .insert(call, Arrival { call_id, peer, began, context, refused, reason, heard });
    }

    fn over(
        &mut self,
        call: Call,
        why: EndReason,
        survey: Option<&control::Survey>,
        stream: Option<StreamKey>,
    ) {
        let Some(arrival) = self.arrivals.remove(&call) else { return };
        if self.by_call_id.get(&arrival.call_id) == Some(&call) {
            self.by_call_id.remove(&arrival.call_id);
        }
        let (ended, age) = (wall(), arrival.began.elapsed());
        let began = ended.saturating_sub(age);
        if arrival.refused.is_some() && !self.has_room_for_refusal(ended) {
            return;
        }
        let media = survey.and_then(|survey| survey.media.as_ref());
        let (code, reason) = (arrival.refused, arrival.reason.clone());
        let record = CallRecord {
            call_id: arrival.call_id.to_string(),
            began_utc: web::utc(began.as_secs()),
            ended_utc: web::utc(ended.as_secs()),
            seconds: age.as_secs_f64(),
            ended_by: word(why),
            peer: arrival.peer.to_string(),
            remote_rtp: media.map(|media| media.remote.to_string()),
            codec: media.map(|media| format!("{} {} ms", media.law.name(), media.ptime_ms)),
            channels: survey.map_or(0, |survey| survey.channels.len()),
            heard: arrival.heard.as_ref().map(ToString::to_string),
            code,
            reason,
            ..CallRecord::default()
        };
        let mut attributes = vec![
            ("sip.call_id", record.call_id.clone().into()),
            ("sip.ended_by", record.ended_by.into()),
            ("network.peer.address", arrival.peer.ip().to_string().into()),
            ("network.peer.port", arrival.peer.port().into()),
        ];
        attributes.extend(code.map(|code| ("sip.response.status_code", code.into())));
        attributes.extend(record.codec.clone().map(|codec| ("rtp.codec", codec.into())));
        let failed = match why {
            EndReason::Bye | EndReason::Cancelled => None,
            // A goodbye with a reason is one that nobody wished for.
            EndReason::LocalBye => record.reason.clone(),
            EndReason::Refused => Some(record.reason.clone().unwrap_or_else(|| "refused".into())),
            EndReason::AckTimeout
            | EndReason::TransactionTimeout
            | EndReason::Unknown
            | EndReason::FlowClosed => Some(word(why).to_owned()),
        };
        let span = Span {
            trace: arrival.context.trace,
            id: arrival.context.span,
            parent: None,
            name: "call",
            is_server: true,
            began,
            ended,
            attributes,
            failed,
        };
        match stream {
            // Its last figures come when the engine has let go of it.
            Some(key) => {
                self.closing.insert(key, Closing { record, span });
            }
            None => self.told.put(Closing { record, span }),
        }
    }

    fn has_room_for_refusal(&mut self, now: Duration) -> bool {
        if self.refusals.0 != now.as_secs() {
            self.refusals = (now.as_secs(), 0);
        }
        self.refusals.1 = self.refusals.1.saturating_add(1);
        let room = self.refusals.1 <= REFUSALS_A_SECOND;
        if !room {
            self.untold += 1;
            if self.untold.is_power_of_two() {
                let untold = self.untold;
                tracing::warn!(target: "control", untold, "so many calls are refused that not each is recorded");
            }
        }
        room
    }

    fn gone(&mut self, stream: StreamKey, stats: &StreamStats) {
        let Some(Closing { record, span }) = self.closing.remove(&stream) else { return };
        let record = CallRecord {
            sent: stats.packets,
            received: stats.received,
            lost: stats.lost,
            peer_lost: stats.peer_lost,
            late: stats.skipped + stats.starved + stats.held,
            // Timestamps count 8,000 a second.
            jitter_ms: stats.jitter / 8,
            ..record
        };
        self.told.put(Closing { record, span });
    }
}

/// An utterance, for its span.
#[derive(Clone, Debug)]
pub(super) struct Utterance {
    /// Whose, where traces are sent.
    pub(super) context: Option<Context>,
    pub(super) steps: Arc<control::blueprint::Blueprint>,
    /// Who spoke first, and after how many milliseconds.
    pub(super) spoke: Option<(Voiced, u64)>,
}

impl Wiring {
    /// A call begins.
    pub(super) fn arrives(&mut self, call: Call, flow: &Flow, call_id: &str) {
        self.ledger.begins(call, flow, call_id, &mut self.tokens);
        if let Some(arrival) = self.ledger.arrivals.get(&call) {
            self.parts.wire.captures().arrived(&arrival.call_id);
        }
    }

    /// We refuse a call, or end it for a reason; whoever wonders why finds it in the log.
    pub(super) fn says_why(&mut self, call: Call, status: Option<u16>, headers: &sip::Headers) {
        let Some(arrival) = self.ledger.arrivals.get_mut(&call) else { return };
        let told = headers.get("Warning").or_else(|| headers.get("Reason"));
        let reason = told.map(reason_of);
        let (number, why) = (call.number(), reason.as_deref().unwrap_or_default());
        let call_id = &*arrival.call_id;
        if let Some(status) = status {
            tracing::info!(target: "control", call = number, call_id, status, why, "call refused");
        } else if !why.is_empty() {
            tracing::info!(target: "control", call = number, call_id, why, "call is hung up");
        }
        arrival.refused = status.or(arrival.refused);
        arrival.reason = reason.or_else(|| arrival.reason.take());
    }

    /// Something is to be heard in a call.
    pub(super) fn hears(&mut self, session: SessionId, steps: &Arc<control::blueprint::Blueprint>) {
        let Some(survey) = self.parts.server.survey_in(session) else { return };
        let call = self.ledger.by_call_id.get(&survey.call_id);
        if let Some(arrival) = call.and_then(|call| self.ledger.arrivals.get_mut(call)) {
            arrival.heard = Some(Arc::clone(steps));
        }
    }

    /// A call is over, while it is still known.
    pub(super) fn record(&mut self, call: Call, why: EndReason) {
        let survey = self.parts.server.survey_of(call);
        let seat = survey.as_ref().and_then(|survey| self.media.get(&survey.session));
        let stream = match seat {
            Some(Seat::Open { key, .. }) => Some(*key),
            Some(Seat::Reserved(_)) | None => None,
        };
        if let Some(arrival) = self.ledger.arrivals.get(&call) {
            self.parts.wire.captures().over(&arrival.call_id);
        }
        self.ledger.over(call, why, survey.as_ref(), stream);
    }

    /// The engine has let go of a stream: these are its figures.
    pub(super) fn gone(&mut self, stream: StreamKey, stats: &StreamStats) {
        self.ledger.gone(stream, stats);
    }

    /// An utterance is over: it was ordered then, and this came of it.
    pub(super) fn uttered(&mut self, utterance: &Utterance, ordered: Mono, failed: Option<String>) {
        let Some(tracer) = self.ledger.told.tracer.clone() else { return };
        let Some(Context { trace, span }) = utterance.context else { return };
        let ended = wall();
        let mut attributes: Vec<(&'static str, serde_json::Value)> =
            vec![("entracte.steps", utterance.steps.to_string().into())];
        if let Some((Voiced { provider, voice, cached }, first_ms)) = &utterance.spoke {
            attributes.push(("entracte.provider", (**provider).into()));
            attributes.push(("entracte.voice", (**voice).into()));
            attributes.push(("entracte.cached", (*cached).into()));
            attributes.push(("entracte.first_audio_ms", (*first_ms).into()));
        }
        tracer.put(Span {
            trace,
            id: context(&mut self.tokens).span,
            parent: Some(span),
            name: "utterance",
            is_server: false,
            began: ended.saturating_sub(engine::clock::now().since(ordered)),
            ended,
            attributes,
            failed,
        });
    }

    /// The trace of a session's call, where traces are sent.
    pub(super) fn context_of(&self, session: SessionId) -> Option<Context> {
        self.ledger.told.tracer.as_ref()?;
        let survey = self.parts.server.survey_in(session)?;
        let call = self.ledger.by_call_id.get(&survey.call_id)?;
        Some(self.ledger.arrivals.get(call)?.context)
    }

    /// Hands a call's stream to the captures that want it.
    pub(super) fn tap(&self, session: SessionId) {
        let captures = self.parts.wire.captures();
        if !captures.is_listening() {
            return;
        }
        let Some(Seat::Open { key, .. }) = self.media.get(&session) else { return };
        let Some(survey) = self.parts.server.survey_in(session) else { return };
        let (Some(media), Some(port)) = (&survey.media, survey.rtp_port) else { return };
        if !captures.wants_media(&survey.call_id) {
            return;
        }
        match self.parts.engines.tap(*key) {
            Ok(tap) => captures.media(TappedCall {
                call_id: survey.call_id,
                tap,
                local: SocketAddr::new(self.parts.media.local, port),
                remote: media.remote,
                remote_rtcp: media.remote_rtcp,
            }),
            Err(error) => tracing::warn!(%session, %error, "media is not captured"),
        }
    }

    /// Hands every call's stream to the captures: one has just begun.
    pub(super) fn tap_all(&self) {
        self.media.keys().for_each(|session| self.tap(*session));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_told_in_words_and_without_numbers_that_were_dialled() {
        for (header, reason) in [
            ("399 entracte \"no source is called '+493055512'\"", "no source is called '+…'"),
            ("Q.850;cause=41;text=\"file:/a.wav: not found\"", "file:/a.wav: not found"),
            ("SIP;cause=480", "SIP;cause=480"),
            (
                "399 x \"general.mrcp.max_sessions (32) is reached\"",
                "general.mrcp.max_sessions (32) is reached",
            ),
        ] {
            assert_eq!(reason_of(header), reason);
        }
    }
}

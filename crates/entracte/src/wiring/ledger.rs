//! What is left of calls that are over: a record, an announcement, a trace.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use engine::{Mono, StreamKey, StreamStats};
use sip::agent::{Call, EndReason, Flow};
use vocab::{SessionId, Tokens};

use super::{Seat, Voiced, Wiring};
use crate::announce::Announcer;
use crate::captures::TappedCall;
use crate::cdr::{CallRecord, Records};
use crate::clock::wall;
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
    began: Duration,
    context: Context,
    /// The status of our refusal and its Warning.
    refused: Option<(u16, Option<String>)>,
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
    contexts: BTreeMap<Arc<str>, Context>,
    /// Calls that are over, until their streams are.
    closing: BTreeMap<StreamKey, Closing>,
}

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
        let (arrivals, contexts, closing) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { told, arrivals, contexts, closing }
    }

    fn begins(&mut self, call: Call, flow: &Flow, call_id: &str, tokens: &mut Tokens) {
        let (call_id, context): (Arc<str>, _) = (call_id.into(), context(tokens));
        self.told.announcer.tell(EventKind::CallBegan, || {
            let (peer, transport) = (flow.remote.to_string(), flow.transport.as_str());
            serde_json::json!({ "call_id": &*call_id, "peer": peer, "transport": transport })
        });
        if self.told.tracer.is_some() {
            self.contexts.insert(Arc::clone(&call_id), context);
        }
        let (peer, began) = (flow.remote, wall());
        self.arrivals.insert(call, Arrival { call_id, peer, began, context, refused: None });
    }

    fn over(
        &mut self,
        call: Call,
        why: EndReason,
        survey: Option<&control::Survey>,
        stream: Option<StreamKey>,
    ) {
        let Some(arrival) = self.arrivals.remove(&call) else { return };
        self.contexts.remove(&arrival.call_id);
        let ended = wall().max(arrival.began);
        let media = survey.and_then(|survey| survey.media.as_ref());
        let (code, warning) = arrival.refused.clone().unzip();
        let record = CallRecord {
            call_id: arrival.call_id.to_string(),
            began_utc: web::utc(arrival.began.as_secs()),
            ended_utc: web::utc(ended.as_secs()),
            seconds: (ended - arrival.began).as_secs_f64(),
            ended_by: word(why),
            peer: arrival.peer.to_string(),
            remote_rtp: media.map(|media| media.remote.to_string()),
            codec: media.map(|media| format!("{} {} ms", media.law.name(), media.ptime_ms)),
            channels: survey.map_or(0, |survey| survey.channels.len()),
            heard: survey
                .and_then(|survey| survey.playing.as_ref())
                .map(|(_, blueprint)| blueprint.to_string()),
            code,
            refused_for: warning.flatten(),
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
            EndReason::Bye | EndReason::Cancelled | EndReason::LocalBye => None,
            EndReason::Refused => {
                Some(record.refused_for.clone().unwrap_or_else(|| "refused".into()))
            }
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
            began: arrival.began,
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
    }

    /// We refuse a call; whoever wonders why finds it in the log.
    pub(super) fn refuses(&mut self, call: Call, status: u16, headers: &sip::Headers) {
        let Some(arrival) = self.ledger.arrivals.get_mut(&call) else { return };
        let warning = headers.get("Warning").map(str::to_owned);
        let why = warning.as_deref().unwrap_or_default();
        tracing::info!(target: "control", call = call.number(), status, why, "call refused");
        arrival.refused = Some((status, warning));
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
        self.ledger.contexts.get(&survey.call_id).copied()
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

//! The INVITE usage where the peer asks: its INVITE, re-INVITE, UPDATE, BYE and CANCEL, its ACK.

use std::sync::Arc;
use std::time::Duration;

use super::compose::push_all;
use super::server::Arrival;
use super::tables::{Accepting, CallEntry, Phase, ServerKey};
use super::{Agent, Call, EndReason, Event, Turn};
use crate::dialog::Dialog;
use crate::headers::Headers;
use crate::invite::{Carrier, Repeat, RepeatAct, Sdp, Usage, Verdict};
use crate::message::{Request, Response};
use crate::name;
use crate::status::StatusCode;

/// How often a provisional response is sent again while the application lets it ring.
const RING_AGAIN: Duration = Duration::from_secs(60);

const SDP_TYPE: &str = "application/sdp";

pub(super) const fn sdp_presence(sdp: Option<&[u8]>) -> Sdp {
    if sdp.is_some() { Sdp::Present } else { Sdp::Absent }
}

impl Agent {
    /// The INVITE that makes a call.
    pub(super) fn on_invite(&mut self, arrival: Arrival, merge: u64, turn: &mut Turn<'_>) {
        if self.tables.calls.len() >= self.config.calls_max {
            return self.refuse_overloaded(&arrival, turn);
        }
        let tag = self.next_tag();
        let tag_text: Box<str> = format!("{tag:016x}").into();
        let Ok(dialog) = Dialog::callee(&arrival.request, &tag_text, arrival.flow) else {
            return self.refuse_malformed(&arrival, turn);
        };
        let id = self.open_server(turn.now, &arrival, Some(merge), tag_text);
        let call = Call(self.next_number());
        let request = arrival.request;
        let offer = request.sdp().map(<[u8]>::to_vec);
        let mut usage = Usage::default();
        usage.receive_invite(sdp_presence(offer.as_deref()));
        let mut entry = CallEntry::new(tag, false, Phase::Ringing(Box::new(dialog)), usage);
        entry.server = Some(id);
        self.tables.add_call(call, entry);
        let flow = arrival.flow;
        turn.tell(Event::Invited { call, flow, request, offer });
    }

    /// An INVITE within the dialog.
    pub(super) fn on_reinvite(
        &mut self,
        call: Call,
        id: ServerKey,
        request: Arc<Request>,
        turn: &mut Turn<'_>,
    ) {
        let implied = self.tables.calls.get(&call).is_some_and(|entry| entry.usage.implies_ack());
        if implied {
            self.acknowledged(call, None, turn);
        }
        // The application may have asked for the end before that ACK.
        let Some(entry) = self.tables.calls.get_mut(&call) else {
            self.respond(id, StatusCode::CALL_DOES_NOT_EXIST, |_| {}, turn);
            return;
        };
        let offer = request.sdp().map(<[u8]>::to_vec);
        match entry.usage.receive_invite(sdp_presence(offer.as_deref())) {
            Verdict::Take => {
                entry.server = Some(id);
                let carrier = Carrier::Invite;
                turn.tell(Event::Offered { call, carrier, request, offer });
            }
            verdict @ (Verdict::Glare | Verdict::Later) => self.refuse_crossing(id, verdict, turn),
        }
    }

    /// UPDATE, in an early dialog or a live one.
    pub(super) fn on_update(
        &mut self,
        call: Call,
        id: ServerKey,
        request: Arc<Request>,
        turn: &mut Turn<'_>,
    ) {
        let Some(entry) = self.tables.calls.get_mut(&call) else { return };
        let offer = request.sdp().map(<[u8]>::to_vec);
        match entry.usage.receive_update(sdp_presence(offer.as_deref())) {
            Verdict::Take if offer.is_some() => {
                entry.update = Some(id);
                let carrier = Carrier::Update;
                turn.tell(Event::Offered { call, carrier, request, offer });
            }
            // Nothing but a new target, or a sign of life.
            Verdict::Take => {
                let from = request.headers.from();
                let tag = from.as_ref().and_then(|from| from.tag()).unwrap_or_default();
                let call_id = request.headers.call_id().unwrap_or_default();
                let Some(dialog) = entry.phase.dialog_with(call_id, tag) else { return };
                dialog.refresh(&request.headers);
                let flow = dialog.flow;
                let contact = self.contact(flow);
                let add = |response: &mut Response| response.headers.push(name::CONTACT, contact);
                self.respond(id, StatusCode::OK, add, turn);
            }
            verdict @ (Verdict::Glare | Verdict::Later) => self.refuse_crossing(id, verdict, turn),
        }
    }

    fn refuse_crossing(&mut self, id: ServerKey, verdict: Verdict, turn: &mut Turn<'_>) {
        let pause_s = self.tokens.next_u32() % 11;
        match verdict {
            Verdict::Glare => self.respond(id, StatusCode::REQUEST_PENDING, |_| {}, turn),
            Verdict::Take | Verdict::Later => {
                let add = |response: &mut Response| {
                    response.headers.push(name::RETRY_AFTER, pause_s.to_string());
                };
                self.respond(id, StatusCode::SERVER_INTERNAL_ERROR, add, turn)
            }
        };
    }

    /// BYE. RFC 3261 §15.1.2.
    pub(super) fn on_bye(
        &mut self,
        call: Call,
        id: ServerKey,
        arrival: &Arrival,
        turn: &mut Turn<'_>,
    ) {
        self.respond(id, StatusCode::OK, |_| {}, turn);
        let Some(entry) = self.tables.calls.get_mut(&call) else { return };
        if let Phase::Calling { forks, .. } = &mut entry.phase {
            // The callee may not end an early dialog so, but its branch is gone all the same; the
            // INVITE goes on.
            forks.retain(|fork| fork.remote_tag() != &*arrival.from_tag);
            return;
        }
        self.end(call, EndReason::Bye, turn);
    }

    /// A CANCEL for an INVITE that has no final response yet.
    pub(super) fn invite_cancelled(&mut self, call: Call, id: ServerKey, turn: &mut Turn<'_>) {
        let Some(entry) = self.tables.calls.get_mut(&call) else { return };
        if entry.phase.is_live() {
            if entry.server == Some(id) {
                entry.server = None;
                entry.usage.settle(Carrier::Invite);
                turn.tell(Event::OfferWithdrawn { call });
            }
            self.respond(id, StatusCode::REQUEST_TERMINATED, |_| {}, turn);
        } else {
            self.end(call, EndReason::Cancelled, turn);
        }
    }

    /// The ACK of a 2xx.
    pub(super) fn on_session_ack(&mut self, call: Call, arrival: &Arrival, turn: &mut Turn<'_>) {
        let Some(entry) = self.tables.calls.get_mut(&call) else { return };
        let call_id = arrival.request.headers.call_id().unwrap_or_default();
        let awaited = entry.accepting.as_ref().is_some_and(|a| a.seq == arrival.seq);
        let Some(dialog) = entry.phase.dialog_with(call_id, &arrival.from_tag) else { return };
        if awaited {
            dialog.flow = arrival.flow;
            let answer = arrival.request.sdp().map(<[u8]>::to_vec);
            self.acknowledged(call, answer, turn);
        }
    }

    fn acknowledged(&mut self, call: Call, answer: Option<Vec<u8>>, turn: &mut Turn<'_>) {
        let Some(entry) = self.tables.calls.get_mut(&call) else { return };
        entry.accepting = None;
        entry.usage.receive_ack();
        let farewell = entry.farewell.take();
        self.tables.settle_call(call);
        match farewell {
            Some(headers) => self.hang_up(call, &headers, EndReason::LocalBye, turn),
            None => turn.tell(Event::Acked { call, answer }),
        }
    }

    /// Repeats a 2xx, or gives up waiting for its ACK.
    pub(super) fn accepting_timer(&mut self, call: Call, turn: &mut Turn<'_>) {
        let timing = self.config.timing;
        let Some(entry) = self.tables.calls.get_mut(&call) else { return };
        let Some(accepting) = &mut entry.accepting else { return };
        match accepting.repeat.timer(turn.now, timing) {
            RepeatAct::Resend => {
                let server = self.tables.servers.get(&accepting.server);
                let flow = server.map_or(accepting.flow, |server| server.flow);
                turn.send(flow, accepting.bytes.clone());
                self.tables.settle_call(call);
            }
            RepeatAct::GiveUp => {
                let farewell = entry.farewell.take();
                let why = farewell.as_ref().map_or(EndReason::AckTimeout, |_| EndReason::LocalBye);
                self.hang_up(call, &farewell.unwrap_or_default(), why, turn);
            }
        }
    }

    /// Sends the provisional response once more.
    pub(super) fn ring_timer(&mut self, call: Call, turn: &mut Turn<'_>) {
        let Some(entry) = self.tables.calls.get_mut(&call) else { return };
        entry.ring = Some(turn.now + RING_AGAIN);
        let server = entry.server.and_then(|id| self.tables.servers.get(&id));
        if let Some(server) = server {
            turn.send(server.flow, server.last.clone());
        }
        self.tables.settle_call(call);
    }

    /// A provisional response.
    pub(super) fn ring(
        &mut self,
        (call, status): (Call, StatusCode),
        headers: &Headers,
        sdp: Option<Vec<u8>>,
        turn: &mut Turn<'_>,
    ) -> Option<()> {
        let entry = self.tables.calls.get(&call)?;
        let (Phase::Ringing(dialog), Some(id)) = (&entry.phase, entry.server) else { return None };
        if !status.is_provisional() || status == StatusCode::TRYING {
            return None;
        }
        let contact = self.contact(dialog.flow);
        self.respond(id, status, session(contact, headers, sdp), turn)?;
        self.tables.calls.get_mut(&call)?.ring = Some(turn.now + RING_AGAIN);
        self.tables.settle_call(call);
        Some(())
    }

    /// A 2xx to the INVITE, the first or a later one.
    pub(super) fn accept(
        &mut self,
        call: Call,
        headers: &Headers,
        sdp: Option<Vec<u8>>,
        turn: &mut Turn<'_>,
    ) -> Option<()> {
        let entry = self.tables.calls.get(&call)?;
        let (dialog, server) = (entry.phase.dialog()?, entry.server?);
        let request = Arc::clone(self.tables.servers.get(&server)?.request.as_ref()?);
        let contact = self.contact(dialog.flow);
        let present = sdp_presence(sdp.as_deref());
        let mut abilities = Headers::new();
        self.push_abilities(&mut abilities);
        let add = session(contact, headers, sdp);
        let add = |response: &mut Response| {
            push_all(&mut response.headers, &abilities);
            add(response);
        };
        let (flow, bytes) = self.respond(server, StatusCode::OK, add, turn)?;
        let repeat = Repeat::new(turn.now, self.config.timing);
        let seq = request.headers.cseq().map_or(0, |cseq| cseq.number);
        let entry = self.tables.calls.get_mut(&call)?;
        entry.accepting = Some(Box::new(Accepting { repeat, server, flow, bytes, seq }));
        entry.server = None;
        entry.ring = None;
        entry.usage.accept_invite(present);
        let calling = Phase::Calling { forks: Vec::new(), cancel: super::tables::Cancel::No };
        entry.phase = match std::mem::replace(&mut entry.phase, calling) {
            Phase::Ringing(dialog) => Phase::Live(dialog),
            Phase::Live(mut dialog) => {
                dialog.refresh(&request.headers);
                Phase::Live(dialog)
            }
            other @ Phase::Calling { .. } => other,
        };
        self.tables.settle_call(call);
        Some(())
    }

    /// The refusal of the first INVITE.
    pub(super) fn reject(
        &mut self,
        (call, status): (Call, StatusCode),
        headers: &Headers,
        why: EndReason,
        turn: &mut Turn<'_>,
    ) -> Option<()> {
        let entry = self.tables.calls.get(&call)?;
        let (Phase::Ringing(_), Some(id)) = (&entry.phase, entry.server) else { return None };
        if status < StatusCode::MULTIPLE_CHOICES {
            return None;
        }
        let add = |response: &mut Response| push_all(&mut response.headers, headers);
        self.respond(id, status, add, turn)?;
        self.end(call, why, turn);
        Some(())
    }

    /// A 2xx to a re-INVITE or UPDATE.
    pub(super) fn answer_offer(
        &mut self,
        call: Call,
        sdp: Option<Vec<u8>>,
        turn: &mut Turn<'_>,
    ) -> Option<()> {
        let entry = self.tables.calls.get_mut(&call)?;
        let Some(id) = entry.update else {
            return if entry.phase.is_live() {
                self.accept(call, &Headers::new(), sdp, turn)
            } else {
                None
            };
        };
        let request = Arc::clone(self.tables.servers.get(&id)?.request.as_ref()?);
        entry.update = None;
        entry.usage.settle(Carrier::Update);
        let dialog = entry.phase.dialog_mut()?;
        dialog.refresh(&request.headers);
        let flow = dialog.flow;
        let contact = self.contact(flow);
        self.respond(id, StatusCode::OK, session(contact, &Headers::new(), sdp), turn)?;
        Some(())
    }

    /// The refusal of a re-INVITE or UPDATE.
    pub(super) fn reject_offer(
        &mut self,
        (call, status): (Call, StatusCode),
        headers: &Headers,
        turn: &mut Turn<'_>,
    ) -> Option<()> {
        let entry = self.tables.calls.get_mut(&call)?;
        if status < StatusCode::MULTIPLE_CHOICES {
            return None;
        }
        let id = if let Some(id) = entry.update.take() {
            entry.usage.settle(Carrier::Update);
            id
        } else if entry.phase.is_live() {
            let id = entry.server.take()?;
            entry.usage.settle(Carrier::Invite);
            id
        } else {
            return None;
        };
        let add = |response: &mut Response| push_all(&mut response.headers, headers);
        self.respond(id, status, add, turn)?;
        Some(())
    }

    /// An UPDATE that the application left unanswered was refused in its place.
    pub(super) fn update_overdue(&mut self, id: ServerKey) {
        let tag = self.tables.servers.get(&id).map(|entry| entry.tag.clone());
        let call = tag.and_then(|tag| self.tables.call_by_tag(&tag));
        if let Some(entry) = call.and_then(|call| self.tables.calls.get_mut(&call))
            && entry.update == Some(id)
        {
            entry.update = None;
            entry.usage.settle(Carrier::Update);
        }
    }
}

/// Puts Contact, further headers and a session description into a response.
fn session(
    contact: String,
    headers: &Headers,
    sdp: Option<Vec<u8>>,
) -> impl FnOnce(&mut Response) + use<'_> {
    move |response| {
        response.headers.push(name::CONTACT, contact);
        push_all(&mut response.headers, headers);
        if let Some(sdp) = sdp {
            if !headers.has(name::CONTENT_TYPE) {
                response.headers.push(name::CONTENT_TYPE, SDP_TYPE);
            }
            response.body = sdp;
        }
    }
}

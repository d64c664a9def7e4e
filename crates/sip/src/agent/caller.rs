//! The INVITE usage where we ask: our INVITE and its forks, re-INVITE, UPDATE, BYE, and our ACK.

use vocab::Now;

use super::Origin;
use super::callee::sdp_presence;
use super::client::{Reply, lost};
use super::compose::{ack_orphan, push_all};
use super::tables::{Answer, CallEntry, Cancel, ClientKey, Phase, Purpose, Retry};
use super::{
    Agent, Call, ClientTransaction, EndReason, Event, FORKS_MAX, Flow, GLARE_RETRIES_MAX, Invite,
    NotSent, Output, Outside, Turn, Within,
};
use crate::dialog::Dialog;
use crate::headers::Headers;
use crate::invite::{Carrier, Usage, glare_pause};
use crate::message::{Request, Response};
use crate::method::Method;
use crate::name;
use crate::status::StatusCode;

const SDP_TYPE: &str = "application/sdp";

impl Agent {
    /// Calls. The handle is new; every event about the call carries it.
    pub fn invite(
        &mut self,
        now: Now,
        invite: Invite,
        out: &mut Vec<Output>,
    ) -> Result<Call, NotSent> {
        if self.tables.calls.len() >= self.config.calls_max {
            return Err(NotSent::Calls);
        }
        if self.tables.transactions() >= self.config.transactions_max {
            return Err(NotSent::Transactions);
        }
        let Invite { target, flow, from, to, headers: more, sdp } = invite;
        let (tag, key, call) = (self.next_tag(), self.next_branch(), Call(self.next_number()));
        let mut headers = self.begin(flow, key.0);
        headers.push(name::FROM, format!("{from};tag={tag:016x}"));
        headers.push(name::TO, to);
        headers.push(name::CALL_ID, self.tokens.next_hex());
        headers.push(name::CSEQ, "1 INVITE");
        headers.push(name::CONTACT, self.contact(flow));
        self.push_abilities(&mut headers);
        if let Some(product) = &self.config.product {
            headers.push(name::USER_AGENT, &**product);
        }
        push_all(&mut headers, &more);
        let mut request =
            Request { method: Method::Invite, uri: target, headers, body: Vec::new() };
        let usage = Usage::calling(sdp_presence(sdp.as_deref()));
        push_sdp(&mut request, sdp);
        let phase = Phase::Calling { forks: Vec::new(), cancel: Cancel::No };
        let mut entry = CallEntry::new(tag, true, phase, usage);
        entry.client = Some(key);
        self.tables.add_call(call, entry);
        self.open_client(key, (request, flow, Purpose::Invite(call)), &mut Turn { now, out });
        Ok(call)
    }

    /// Sends a request outside any dialog; its responses come as [`Event::Response`].
    pub fn request_outside(
        &mut self,
        now: Now,
        outside: Outside,
        out: &mut Vec<Output>,
    ) -> Result<ClientTransaction, NotSent> {
        let Outside { method, target, flow, from, to, headers: more, body } = outside;
        if has_machinery(&method) {
            return Err(NotSent::Method);
        }
        if self.tables.transactions() >= self.config.transactions_max {
            return Err(NotSent::Transactions);
        }
        let key = self.next_branch();
        let mut headers = self.begin(flow, key.0);
        headers.push(name::FROM, format!("{from};tag={}", self.tokens.next_hex()));
        headers.push(name::TO, to);
        headers.push(name::CALL_ID, self.tokens.next_hex());
        headers.push(name::CSEQ, format!("1 {method}"));
        push_all(&mut headers, &more);
        let request = Request { method, uri: target, headers, body };
        let transaction = ClientTransaction(self.next_number());
        let purpose = Purpose::Other(transaction, None);
        self.open_client(key, (request, flow, purpose), &mut Turn { now, out });
        Ok(transaction)
    }

    /// Sends INFO, OPTIONS or the like within a call; its responses come as [`Event::Response`].
    pub fn request_within(
        &mut self,
        now: Now,
        within: Within,
        out: &mut Vec<Output>,
    ) -> Result<ClientTransaction, NotSent> {
        let Within { call, method, headers, body } = within;
        if has_machinery(&method) {
            return Err(NotSent::Method);
        }
        if self.tables.transactions() >= self.config.transactions_max {
            return Err(NotSent::Transactions);
        }
        let (mut request, flow, key) = self.in_dialog(call, method).ok_or(NotSent::NoDialog)?;
        push_all(&mut request.headers, &headers);
        request.body = body;
        let transaction = ClientTransaction(self.next_number());
        let purpose = Purpose::Other(transaction, Some(call));
        self.open_client(key, (request, flow, purpose), &mut Turn { now, out });
        Ok(transaction)
    }

    /// A new request within the dialog of a call.
    fn in_dialog(&mut self, call: Call, method: Method) -> Option<(Request, Flow, ClientKey)> {
        let key = self.next_branch();
        let dialog = self.tables.calls.get_mut(&call)?.phase.dialog_mut()?;
        let seq = dialog.next_seq();
        let dialog = self.tables.calls.get(&call)?.phase.dialog()?;
        let flow = self.route(dialog);
        Some((dialog.request(method, seq, self.begin(flow, key.0)), flow, key))
    }

    /// A provisional response to the INVITE that makes the call.
    pub(super) fn progress(&mut self, call: Call, reply: Reply, turn: &mut Turn<'_>) {
        let Some(invite) = self.tables.clients.get(&reply.key) else { return };
        let Some(entry) = self.tables.calls.get_mut(&call) else { return };
        let Phase::Calling { forks, cancel } = &mut entry.phase else { return };
        if *cancel != Cancel::No {
            return self.cancel_if_due(call, turn);
        }
        let response = reply.response;
        if response.status == StatusCode::TRYING {
            return;
        }
        if let Ok(dialog) = Dialog::caller(&invite.request, &response, reply.flow)
            && !dialog.remote_tag().is_empty()
        {
            let full = forks.len() >= FORKS_MAX;
            match forks.iter_mut().find(|fork| fork.remote_tag() == dialog.remote_tag()) {
                Some(fork) => fork.refresh(&response.headers),
                None if full => return,
                None => forks.push(dialog),
            }
        }
        let sdp = response.sdp().map(<[u8]>::to_vec);
        turn.tell(Event::Progress { call, response, sdp });
    }

    /// A 2xx to the INVITE that makes the call: the first, a repetition, or that of another branch.
    pub(super) fn answered(&mut self, call: Call, reply: Reply, turn: &mut Turn<'_>) {
        let Reply { key, flow, response, .. } = reply;
        let Some(invite) = self.tables.clients.get_mut(&key) else { return };
        let to = response.headers.to();
        let tag = to.as_ref().and_then(|to| to.tag()).unwrap_or_default();
        if let Some(answer) = invite.answers.iter().find(|answer| *answer.tag == *tag) {
            // Repeated: it gets its ACK again, once there is one. RFC 3261 §13.2.2.4.
            if let Some((flow, bytes)) = &answer.ack {
                turn.send(*flow, bytes.clone());
            }
            return;
        }
        let Ok(mut dialog) = Dialog::caller(&invite.request, &response, flow) else { return };
        if invite.answers.len() < FORKS_MAX {
            invite.answers.push(Answer { tag: tag.into(), ack: None });
        }
        if let Some(entry) = self.tables.calls.get_mut(&call)
            && let Phase::Calling { forks, cancel: Cancel::No } = &entry.phase
        {
            if let Some(early) = forks.iter().find(|fork| fork.remote_tag() == tag) {
                dialog.count_on_from(early);
            }
            entry.phase = Phase::Live(Box::new(dialog));
            let sdp = response.sdp().map(<[u8]>::to_vec);
            entry.usage.accepted(sdp_presence(sdp.as_deref()));
            self.tables.settle_call(call);
            return turn.tell(Event::Answered { call, response, sdp });
        }
        // It crossed our CANCEL, or another branch was first: taken back by ACK and BYE.
        self.ack_answer(&dialog, key, None, turn);
        let seq = dialog.next_seq();
        self.send_bye(&dialog, seq, &Headers::new(), turn);
        let cancelled = self.tables.calls.get(&call);
        if cancelled.is_some_and(|entry| matches!(entry.phase, Phase::Calling { .. })) {
            self.end(call, EndReason::Cancelled, turn);
        }
    }

    /// Sends the ACK of a 2xx and keeps it for repetitions of that 2xx.
    fn ack_answer(
        &mut self,
        dialog: &Dialog,
        key: ClientKey,
        sdp: Option<Vec<u8>>,
        turn: &mut Turn<'_>,
    ) {
        let Some(invite) = self.tables.clients.get(&key) else { return };
        let seq = invite.request.headers.cseq().map_or(1, |cseq| cseq.number);
        let branch = self.next_branch();
        let flow = self.route(dialog);
        let mut request = dialog.request(Method::Ack, seq, self.begin(flow, branch.0));
        push_sdp(&mut request, sdp);
        let bytes = request.to_bytes();
        turn.send(flow, bytes.clone());
        let Some(invite) = self.tables.clients.get_mut(&key) else { return };
        let tag = dialog.remote_tag();
        if let Some(answer) = invite.answers.iter_mut().find(|answer| *answer.tag == *tag) {
            answer.ack = Some((flow, bytes));
        }
    }

    /// The application's ACK.
    pub(super) fn acknowledge(
        &mut self,
        call: Call,
        sdp: Option<Vec<u8>>,
        turn: &mut Turn<'_>,
    ) -> Option<()> {
        let entry = self.tables.calls.get_mut(&call)?;
        if !entry.usage.owes_ack() {
            return None;
        }
        let key = entry.client.take()?;
        entry.usage.acknowledged();
        let dialog = entry.phase.dialog()?.clone();
        self.ack_answer(&dialog, key, sdp, turn);
        Some(())
    }

    /// The INVITE that was to make the call failed.
    pub(super) fn refused(&mut self, call: Call, reply: Reply, turn: &mut Turn<'_>) {
        let Some(entry) = self.tables.calls.get(&call) else { return };
        let Phase::Calling { cancel, .. } = &entry.phase else { return };
        let why = match (cancel, reply.origin) {
            (Cancel::Wanted | Cancel::Sent, _) => EndReason::Cancelled,
            (Cancel::No, Origin::Peer) => EndReason::Refused,
            (Cancel::No, Origin::Timeout) => EndReason::TransactionTimeout,
            (Cancel::No, Origin::FlowFailed) => EndReason::FlowClosed,
        };
        if *cancel == Cancel::No {
            turn.tell(Event::Refused { call, response: reply.response });
        }
        self.end(call, why, turn);
    }

    /// Sends INVITE or UPDATE within the call.
    pub(super) fn reoffer(
        &mut self,
        (call, carrier, tries): (Call, Carrier, u32),
        sdp: Option<Vec<u8>>,
        turn: &mut Turn<'_>,
    ) -> Option<()> {
        let entry = self.tables.calls.get(&call)?;
        let full = self.tables.transactions() >= self.config.transactions_max;
        if full || !entry.phase.is_live() || !entry.usage.may_offer(carrier) {
            return None;
        }
        let method = match carrier {
            Carrier::Invite => Method::Invite,
            Carrier::Update => Method::Update,
        };
        let (mut request, flow, key) = self.in_dialog(call, method)?;
        request.headers.push(name::CONTACT, self.contact(flow));
        self.push_abilities(&mut request.headers);
        let entry = self.tables.calls.get_mut(&call)?;
        entry.retry = None;
        match carrier {
            Carrier::Invite => {
                entry.usage.send_invite(sdp_presence(sdp.as_deref()));
                entry.client = Some(key);
            }
            Carrier::Update if sdp.is_some() => entry.usage.send_update(),
            Carrier::Update => {}
        }
        push_sdp(&mut request, sdp);
        self.tables.settle_call(call);
        let purpose = Purpose::Reoffer(call, carrier, tries);
        self.open_client(key, (request, flow, purpose), turn);
        Some(())
    }

    /// A final response to INVITE or UPDATE within the call.
    pub(super) fn reoffer_done(
        &mut self,
        (call, carrier, tries): (Call, Carrier, u32),
        reply: Reply,
        turn: &mut Turn<'_>,
    ) {
        let Reply { key, flow, response, origin, offer, .. } = reply;
        let status = response.status;
        let Some(entry) = self.tables.calls.get_mut(&call) else {
            return self.orphan_answered(key, &response, flow, turn);
        };
        if status.is_success() {
            return self.reoffer_accepted((call, carrier), key, response, turn);
        }
        entry.usage.refused(carrier);
        if carrier == Carrier::Invite {
            entry.client = None;
        }
        if status == StatusCode::REQUEST_PENDING && tries < GLARE_RETRIES_MAX {
            let at = turn.now + glare_pause(self.tokens.next_u32(), entry.owns_call_id);
            let (tries, response) = (tries + 1, Box::new(response));
            entry.retry = Some(Box::new(Retry { at, carrier, sdp: offer, tries, response }));
            return self.tables.settle_call(call);
        }
        turn.tell(Event::ReofferRefused { call, carrier, response });
        if lost(status, origin) {
            self.peer_lost(call, (status, origin), turn);
        }
    }

    fn reoffer_accepted(
        &mut self,
        (call, carrier): (Call, Carrier),
        key: ClientKey,
        response: Response,
        turn: &mut Turn<'_>,
    ) {
        let Some(entry) = self.tables.calls.get_mut(&call) else { return };
        let sdp = response.sdp().map(<[u8]>::to_vec);
        if carrier == Carrier::Update {
            entry.usage.updated();
            if let Some(dialog) = entry.phase.dialog_mut() {
                dialog.refresh(&response.headers);
            }
            return turn.tell(Event::Updated { call, response, answer: sdp });
        }
        let Some(invite) = self.tables.clients.get_mut(&key) else { return };
        if let Some(answer) = invite.answers.first() {
            if let Some((flow, bytes)) = &answer.ack {
                turn.send(*flow, bytes.clone());
            }
            return;
        }
        let Some(dialog) = entry.phase.dialog_mut() else { return };
        dialog.refresh(&response.headers);
        invite.answers.push(Answer { tag: dialog.remote_tag().into(), ack: None });
        entry.usage.accepted(sdp_presence(sdp.as_deref()));
        turn.tell(Event::Answered { call, response, sdp });
    }

    /// A 2xx to a re-INVITE whose call has ended meanwhile: only the ACK is owed.
    fn orphan_answered(
        &mut self,
        key: ClientKey,
        response: &Response,
        flow: Flow,
        turn: &mut Turn<'_>,
    ) {
        let branch = self.next_branch();
        let begun = self.begin(flow, branch.0);
        let Some(invite) = self.tables.clients.get_mut(&key) else { return };
        if !response.status.is_success() || invite.request.method != Method::Invite {
            return;
        }
        if let Some((flow, bytes)) = invite.answers.first().and_then(|answer| answer.ack.as_ref()) {
            return turn.send(*flow, bytes.clone());
        }
        let tag = response.headers.to().and_then(|to| to.tag().map(Box::from)).unwrap_or_default();
        let ack = ack_orphan(&invite.request, response, begun).to_bytes();
        turn.send(flow, ack.clone());
        invite.answers.clear();
        invite.answers.push(Answer { tag, ack: Some((flow, ack)) });
    }

    /// Sends again what met a 491, if its time has come.
    pub(super) fn retry_timer(&mut self, call: Call, turn: &mut Turn<'_>) {
        let Some(entry) = self.tables.calls.get_mut(&call) else { return };
        let Some(mut retry) = entry.retry.take() else { return };
        if entry.usage.may_offer(retry.carrier) {
            let Retry { carrier, sdp, tries, .. } = *retry;
            self.reoffer((call, carrier, tries), sdp, turn);
        } else if retry.tries < GLARE_RETRIES_MAX {
            // The peer was quicker and is not done yet.
            retry.tries += 1;
            retry.at = turn.now + glare_pause(self.tokens.next_u32(), entry.owns_call_id);
            entry.retry = Some(retry);
        } else {
            let (carrier, response) = (retry.carrier, *retry.response);
            turn.tell(Event::ReofferRefused { call, carrier, response });
        }
        self.tables.settle_call(call);
    }

    /// The peer does not know the call, or no longer answers. RFC 3261 §12.2.1.2.
    pub(super) fn peer_lost(
        &mut self,
        call: Call,
        (status, origin): (StatusCode, Origin),
        turn: &mut Turn<'_>,
    ) {
        let unknown = status == StatusCode::CALL_DOES_NOT_EXIST && origin == Origin::Peer;
        let why = if unknown { EndReason::Unknown } else { EndReason::TransactionTimeout };
        self.hang_up(call, &Headers::new(), why, turn);
    }

    /// Sends BYE and forgets the call. RFC 3261 §15.1.1.
    pub(super) fn hang_up(
        &mut self,
        call: Call,
        headers: &Headers,
        why: EndReason,
        turn: &mut Turn<'_>,
    ) {
        self.acknowledge(call, None, turn);
        if let Some(entry) = self.tables.calls.get_mut(&call)
            && let Some(dialog) = entry.phase.dialog_mut()
        {
            let seq = dialog.next_seq();
            let dialog = dialog.clone();
            self.send_bye(&dialog, seq, headers, turn);
        }
        self.end(call, why, turn);
    }

    fn send_bye(&mut self, dialog: &Dialog, seq: u32, headers: &Headers, turn: &mut Turn<'_>) {
        let key = self.next_branch();
        let flow = self.route(dialog);
        let mut request = dialog.request(Method::Bye, seq, self.begin(flow, key.0));
        push_all(&mut request.headers, headers);
        self.open_client(key, (request, flow, Purpose::Farewell), turn);
    }
}

fn push_sdp(request: &mut Request, sdp: Option<Vec<u8>>) {
    if let Some(sdp) = sdp {
        if !request.headers.has(name::CONTENT_TYPE) {
            request.headers.push(name::CONTENT_TYPE, SDP_TYPE);
        }
        request.body = sdp;
    }
}

/// Methods that are sent by commands of their own.
const fn has_machinery(method: &Method) -> bool {
    matches!(
        method,
        Method::Invite
            | Method::Ack
            | Method::Bye
            | Method::Cancel
            | Method::Update
            | Method::Prack
    )
}

//! Requests of ours out, responses in.

use vocab::Now;

use super::compose::{ack_refusal, branch_number, cancel, param};
use super::tables::{Cancel, ClientEntry, ClientKey, Part, Phase, Purpose};
use super::{Agent, Call, Event, Flow, Origin, Turn};
use crate::message::{Request, Response};
use crate::method::Method;
use crate::name;
use crate::status::StatusCode;
use crate::transaction::{Client, ClientAct, Kind};

/// A response with the transaction it came for.
pub(super) struct Reply {
    pub(super) key: ClientKey,
    pub(super) purpose: Purpose,
    pub(super) flow: Flow,
    pub(super) response: Response,
    pub(super) origin: Origin,
    /// The session description of the request, where it may have to be sent again.
    pub(super) offer: Option<Vec<u8>>,
}

impl Agent {
    /// Sends a request and waits for what comes back.
    pub(super) fn open_client(
        &mut self,
        key: ClientKey,
        (request, flow, purpose): (Request, Flow, Purpose),
        turn: &mut Turn<'_>,
    ) {
        let kind = if request.method == Method::Invite { Kind::Invite } else { Kind::Other };
        let machine = Client::new(turn.now, kind, flow.transport.reach(), self.config.timing);
        turn.send(flow, request.to_bytes());
        self.tables.add_client(key, machine, (request, flow, purpose));
    }

    /// Takes an admitted response; one that belongs to nothing is dropped.
    pub(super) fn on_response(&mut self, flow: Flow, response: Response, turn: &mut Turn<'_>) {
        let via = response.headers.get(name::VIA);
        let branch = via.and_then(|via| branch_number(param(via, "branch")?));
        let (Some(branch), Some(cseq)) = (branch, response.headers.cseq()) else { return };
        let part = if cseq.method == Method::Cancel { Part::Cancel } else { Part::Main };
        let key = ClientKey(branch, part);
        let Some(entry) = self.tables.clients.get_mut(&key) else { return };
        if entry.request.method != cseq.method {
            return;
        }
        if flow.connection.is_some() && entry.flow.connection.is_none() {
            self.tables.move_client(key, flow);
        }
        let Some(entry) = self.tables.clients.get_mut(&key) else { return };
        let act = entry.machine.response(turn.now, response.status.number());
        let acked =
            matches!(act, ClientAct::DeliverAndAck | ClientAct::DeliverAckAndGo | ClientAct::Ack);
        if acked {
            let ack = ack_refusal(&entry.request, &response);
            turn.send(entry.flow, ack.to_bytes());
        }
        let (purpose, flow) = (entry.purpose, entry.flow);
        let mut offer = None;
        if response.status.is_final() {
            // The body is needed no more, unless the same offer is made again.
            let body = std::mem::take(&mut entry.request.body);
            offer = Some(body).filter(|body| !body.is_empty());
        }
        match act {
            ClientAct::Deliver | ClientAct::DeliverAndAck => self.tables.rearm_client(key),
            ClientAct::DeliverAndGo | ClientAct::DeliverAckAndGo => {
                self.tables.remove_client(key);
            }
            ClientAct::Ack
            | ClientAct::Resend
            | ClientAct::TimedOut
            | ClientAct::Gone
            | ClientAct::Ignore => return,
        }
        let origin = Origin::Peer;
        self.deliver(Reply { key, purpose, flow, response, origin, offer }, turn);
    }

    fn deliver(&mut self, reply: Reply, turn: &mut Turn<'_>) {
        let status = reply.response.status;
        if let Purpose::Invite(call) | Purpose::Reoffer(call, ..) = reply.purpose
            && status.is_provisional()
            && !self.tables.calls.contains_key(&call)
        {
            return self.limit_orphan(reply.key, turn.now);
        }
        match reply.purpose {
            Purpose::Invite(call) => match status.number() {
                ..=199 => self.progress(call, reply, turn),
                200..=299 => self.answered(call, reply, turn),
                300.. => self.refused(call, reply, turn),
            },
            Purpose::Reoffer(call, carrier, tries) => {
                if status.is_final() {
                    self.reoffer_done((call, carrier, tries), reply, turn);
                }
            }
            Purpose::Farewell => {}
            Purpose::Other(transaction, call) => {
                let gone = status.is_final() && lost(status, reply.origin);
                let (response, origin) = (reply.response, reply.origin);
                turn.tell(Event::Response { transaction, call, response, origin });
                if let Some(call) = call.filter(|_| gone) {
                    self.peer_lost(call, (status, origin), turn);
                }
            }
        }
    }

    pub(super) fn client_timer(&mut self, key: ClientKey, turn: &mut Turn<'_>) {
        let Some(entry) = self.tables.clients.get_mut(&key) else { return };
        match entry.machine.timer(turn.now) {
            ClientAct::Resend => {
                turn.send(entry.flow, entry.request.to_bytes());
                self.tables.rearm_client(key);
            }
            ClientAct::TimedOut => self.fail(key, Origin::Timeout, turn),
            ClientAct::Gone => {
                self.tables.remove_client(key);
            }
            ClientAct::Deliver
            | ClientAct::DeliverAndGo
            | ClientAct::DeliverAndAck
            | ClientAct::DeliverAckAndGo
            | ClientAct::Ack
            | ClientAct::Ignore => self.tables.rearm_client(key),
        }
    }

    /// Ends a transaction that will have no final response: 408 after time, 503 where the flow
    /// failed. RFC 3261 §8.1.3.1.
    pub(super) fn fail(&mut self, key: ClientKey, origin: Origin, turn: &mut Turn<'_>) {
        let Some(entry) = self.tables.remove_client(key) else { return };
        let ClientEntry { mut request, flow, purpose, .. } = *entry;
        let status = match origin {
            Origin::Peer | Origin::Timeout => StatusCode::REQUEST_TIMEOUT,
            Origin::FlowFailed => StatusCode::SERVICE_UNAVAILABLE,
        };
        let response = Response::to(&request, status, None);
        let offer = Some(std::mem::take(&mut request.body)).filter(|body| !body.is_empty());
        self.deliver(Reply { key, purpose, flow, response, origin, offer }, turn);
    }

    /// An INVITE whose call is over waits for its final response, but not without end.
    pub(super) fn limit_orphan(&mut self, key: ClientKey, now: Now) {
        if let Some(entry) = self.tables.clients.get_mut(&key) {
            entry.machine.cancelled(now);
            self.tables.rearm_client(key);
        }
    }

    /// Sends the CANCEL that is wanted, if the INVITE has had a provisional response and no more.
    pub(super) fn cancel_if_due(&mut self, call: Call, turn: &mut Turn<'_>) {
        let Some(entry) = self.tables.calls.get_mut(&call) else { return };
        let (Phase::Calling { cancel: state, .. }, Some(key)) = (&mut entry.phase, entry.client)
        else {
            return;
        };
        let Some(invite) = self.tables.clients.get_mut(&key) else { return };
        if *state == Cancel::Wanted && invite.machine.is_proceeding() {
            *state = Cancel::Sent;
            invite.machine.cancelled(turn.now);
            let (request, flow) = (cancel(&invite.request), invite.flow);
            self.tables.rearm_client(key);
            let key = ClientKey(key.0, Part::Cancel);
            self.open_client(key, (request, flow, Purpose::Farewell), turn);
        }
    }
}

/// Whether this answer to a request within a dialog means that the peer has no such dialog.
/// RFC 3261 §12.2.1.2.
pub(super) fn lost(status: StatusCode, origin: Origin) -> bool {
    status == StatusCode::CALL_DOES_NOT_EXIST
        || status == StatusCode::REQUEST_TIMEOUT
        || origin == Origin::Timeout
}

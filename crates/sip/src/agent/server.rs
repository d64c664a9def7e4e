//! Requests in: transactions, dialogs they belong to, and the answers that need no application.

use std::net::SocketAddr;
use std::sync::Arc;

use vocab::Now;

use super::compose::{param, push_all, server_key, way_back};
use super::tables::{ServerKey, ServerParts};
use super::{Agent, Call, Command, Event, Flow, RETRY_AFTER_S, ServerTransaction, Turn};
use crate::headers::Headers;
use crate::message::{Request, Response};
use crate::method::Method;
use crate::name;
use crate::status::StatusCode;
use crate::transaction::{Kind, Server, ServerAct};

/// A request with what was read from it on the way in.
pub(super) struct Arrival {
    pub(super) request: Arc<Request>,
    pub(super) flow: Flow,
    pub(super) from_tag: Box<str>,
    pub(super) to_tag: Option<Box<str>>,
    pub(super) seq: u32,
    key: Box<str>,
    back: Flow,
    redial: SocketAddr,
}

impl Agent {
    /// Takes an admitted request.
    pub(super) fn on_request(&mut self, flow: Flow, mut request: Request, turn: &mut Turn<'_>) {
        // Admission has made sure of these headers.
        let headers = &request.headers;
        let (Some(mut via), Some(cseq)) = (headers.via(), headers.cseq()) else { return };
        let tag = |name| param(headers.get(name)?, "tag").filter(|tag| !tag.is_empty());
        let from_tag = tag(name::FROM).map(Box::from).unwrap_or_default();
        let to_tag = tag(name::TO).map(Box::from);
        let key = server_key(&request, &via, &from_tag);
        via.stamp(flow.remote);
        request.headers.set_top_via(&via);
        let (back, redial) = way_back(flow, &via);
        let seq = cseq.number;
        let request = Arc::new(request);
        let arrival = Arrival { request, flow, from_tag, to_tag, seq, key, back, redial };
        let known = self.tables.server_by_key(&arrival.key);
        match (&arrival.request.method, known) {
            (Method::Ack, known) => self.on_ack(known, &arrival, turn),
            (Method::Cancel, Some(id)) => self.on_cancel(id, &arrival, turn),
            (Method::Cancel, None) => {
                self.refuse(&arrival, StatusCode::CALL_DOES_NOT_EXIST, None, turn);
            }
            (_, Some(id)) => self.on_repeated(id, turn),
            (_, None) => match arrival.to_tag.clone() {
                Some(tag) => self.on_within(&tag, arrival, turn),
                None => self.on_outside(arrival, turn),
            },
        }
    }

    fn on_repeated(&mut self, id: ServerKey, turn: &mut Turn<'_>) {
        let Some(entry) = self.tables.servers.get_mut(&id) else { return };
        let act = entry.machine.repeated(turn.now);
        self.server_act(id, act, turn);
    }

    fn on_ack(&mut self, known: Option<ServerKey>, arrival: &Arrival, turn: &mut Turn<'_>) {
        if let Some(id) = known
            && let Some(entry) = self.tables.servers.get_mut(&id)
        {
            let act = entry.machine.ack(turn.now);
            if act != ServerAct::HandUp {
                return self.server_act(id, act, turn);
            }
        }
        // An ACK that belongs to nothing is dropped: there is no answer to an ACK.
        let tag = arrival.to_tag.as_deref();
        if let Some(call) = tag.and_then(|tag| self.tables.call_by_tag(tag)) {
            self.on_session_ack(call, arrival, turn);
        }
    }

    /// RFC 3261 §9.2. A repeated CANCEL finds its INVITE again, so it needs no transaction.
    fn on_cancel(&mut self, id: ServerKey, arrival: &Arrival, turn: &mut Turn<'_>) {
        let Some(entry) = self.tables.servers.get(&id) else { return };
        let response = Response::to(&arrival.request, StatusCode::OK, Some(&entry.tag));
        let open = entry.machine.is_open();
        turn.send(arrival.back, response.to_bytes());
        if open {
            match self.tables.call_by_tag(&entry.tag) {
                Some(call) => self.invite_cancelled(call, id, turn),
                None => {
                    self.respond(id, StatusCode::REQUEST_TERMINATED, |_| {}, turn);
                }
            }
        }
    }

    /// A request without a To tag.
    fn on_outside(&mut self, arrival: Arrival, turn: &mut Turn<'_>) {
        let call_id = arrival.request.headers.call_id().unwrap_or_default();
        let merge = self.merge_key(call_id, &arrival);
        if self.tables.is_merged(merge) {
            // RFC 3261 §8.2.2.2: it came by two ways.
            return self.refuse(&arrival, StatusCode::LOOP_DETECTED, None, turn);
        }
        let most = self.config.transactions_max;
        // One peer never takes it all: the last eighth is for the others.
        let share = most - most / 8;
        let full = self.tables.transactions() >= most
            || self.tables.held_by(arrival.flow.remote.ip()) >= share;
        if full {
            return self.refuse_overloaded(&arrival, turn);
        }
        match arrival.request.method {
            Method::Invite => self.on_invite(arrival, merge, turn),
            Method::Bye
            | Method::Update
            | Method::Info
            | Method::Prack
            | Method::Notify
            | Method::Ack
            | Method::Cancel => {
                self.refuse(&arrival, StatusCode::CALL_DOES_NOT_EXIST, None, turn);
            }
            Method::Options
            | Method::Register
            | Method::Subscribe
            | Method::Refer
            | Method::Message
            | Method::Publish
            | Method::Other(_) => {
                let tag = self.tokens.next_hex().into();
                let id = self.open_server(turn.now, &arrival, Some(merge), tag);
                self.hand_up(id, None, arrival.request, turn);
            }
        }
    }

    fn merge_key(&self, call_id: &str, arrival: &Arrival) -> u64 {
        let method = &arrival.request.method;
        self.tables.hash(Merge(call_id, &arrival.from_tag, arrival.seq, method))
    }

    /// A request with a To tag: of a call, or of one that is no more.
    fn on_within(&mut self, tag: &str, arrival: Arrival, turn: &mut Turn<'_>) {
        let call_id = arrival.request.headers.call_id().unwrap_or_default();
        let busy = self.tables.transactions();
        let call = self.tables.call_by_tag(tag);
        let entry = call.and_then(|call| self.tables.calls.get_mut(&call));
        let dialog = entry.and_then(|entry| entry.phase.dialog_with(call_id, &arrival.from_tag));
        let (Some(call), Some(dialog)) = (call, dialog) else {
            return self.refuse(&arrival, StatusCode::CALL_DOES_NOT_EXIST, None, turn);
        };
        let headroom =
            self.config.transactions_max.saturating_add(self.config.transactions_max / 4);
        if busy >= headroom {
            return self.refuse_overloaded(&arrival, turn);
        }
        dialog.flow = arrival.flow;
        let order = dialog.order(arrival.seq);
        self.tables.settle_call(call);
        let id = self.open_server(turn.now, &arrival, None, tag.into());
        if order.is_err() {
            self.respond(id, StatusCode::SERVER_INTERNAL_ERROR, |_| {}, turn);
            return;
        }
        match arrival.request.method {
            Method::Bye => self.on_bye(call, id, &arrival, turn),
            Method::Invite => self.on_reinvite(call, id, arrival.request, turn),
            Method::Update => self.on_update(call, id, arrival.request, turn),
            Method::Prack => {
                // We send no reliable provisional response, so there is none to match.
                self.respond(id, StatusCode::CALL_DOES_NOT_EXIST, |_| {}, turn);
            }
            Method::Ack
            | Method::Cancel
            | Method::Options
            | Method::Info
            | Method::Register
            | Method::Subscribe
            | Method::Notify
            | Method::Refer
            | Method::Message
            | Method::Publish
            | Method::Other(_) => self.hand_up(id, Some(call), arrival.request, turn),
        }
    }

    fn hand_up(
        &self,
        id: ServerKey,
        call: Option<Call>,
        request: Arc<Request>,
        turn: &mut Turn<'_>,
    ) {
        let transaction = ServerTransaction(id.0);
        turn.tell(if request.method == Method::Options {
            Event::Options { transaction, call, request }
        } else {
            Event::Request { transaction, call, request }
        });
    }

    /// The transaction of a request that will be answered with `tag`.
    pub(super) fn open_server(
        &mut self,
        now: Now,
        arrival: &Arrival,
        merge: Option<u64>,
        tag: Box<str>,
    ) -> ServerKey {
        let kind =
            if arrival.request.method == Method::Invite { Kind::Invite } else { Kind::Other };
        let reach = arrival.flow.transport.reach();
        let id = ServerKey(self.next_number());
        let parts = ServerParts {
            machine: Server::new(now, kind, reach, self.config.timing),
            key: arrival.key.clone(),
            merge,
            request: Arc::clone(&arrival.request),
            tag,
            flow: arrival.back,
            redial: arrival.redial,
        };
        self.tables.add_server(id, parts);
        id
    }

    /// Answers a transaction; `add` puts headers and body into the response. `None` where it has had
    /// its final response; else what was sent and where.
    pub(super) fn respond(
        &mut self,
        id: ServerKey,
        status: StatusCode,
        add: impl FnOnce(&mut Response),
        turn: &mut Turn<'_>,
    ) -> Option<(Flow, Vec<u8>)> {
        let entry = self.tables.servers.get_mut(&id)?;
        let request = entry.request.as_ref()?;
        let mut response = Response::to(request, status, Some(&entry.tag));
        let kept = match entry.machine.respond(turn.now, status.number()) {
            ServerAct::Send => true,
            ServerAct::SendAndGo => false,
            ServerAct::TooLate
            | ServerAct::ResendLast
            | ServerAct::Trying
            | ServerAct::Overdue
            | ServerAct::HandUp
            | ServerAct::Go
            | ServerAct::Gone
            | ServerAct::Nothing => return None,
        };
        add(&mut response);
        let (flow, bytes) = (entry.flow, response.to_bytes());
        turn.send(flow, bytes.clone());
        if !kept {
            self.tables.remove_server(id);
            return Some((flow, bytes));
        }
        if status.is_final() {
            entry.request = None;
        }
        // A 2xx to INVITE is repeated by the call, not by the transaction.
        if !(status.is_success() && entry.machine.kind() == Kind::Invite) {
            entry.last.clone_from(&bytes);
        }
        self.tables.rearm_server(id);
        Some((flow, bytes))
    }

    /// Answers without a transaction: the same request will get the same answer, tag and all.
    /// RFC 3261 §8.2.7.
    fn refuse(
        &self,
        arrival: &Arrival,
        status: StatusCode,
        retry_after_s: Option<u32>,
        turn: &mut Turn<'_>,
    ) {
        let tag = format!("{:016x}", self.tables.hash(&arrival.key));
        let mut response = Response::to(&arrival.request, status, Some(&tag));
        if let Some(seconds) = retry_after_s {
            response.headers.push(name::RETRY_AFTER, seconds.to_string());
        }
        turn.send(arrival.back, response.to_bytes());
    }

    pub(super) fn refuse_overloaded(&self, arrival: &Arrival, turn: &mut Turn<'_>) {
        self.refuse(arrival, StatusCode::SERVICE_UNAVAILABLE, Some(RETRY_AFTER_S), turn);
    }

    pub(super) fn refuse_malformed(&self, arrival: &Arrival, turn: &mut Turn<'_>) {
        self.refuse(arrival, StatusCode::BAD_REQUEST, None, turn);
    }

    pub(super) fn server_timer(&mut self, id: ServerKey, turn: &mut Turn<'_>) {
        let Some(entry) = self.tables.servers.get_mut(&id) else { return };
        let act = entry.machine.timer(turn.now);
        self.server_act(id, act, turn);
    }

    fn server_act(&mut self, id: ServerKey, act: ServerAct, turn: &mut Turn<'_>) {
        match act {
            ServerAct::ResendLast | ServerAct::Trying => {
                let Some(entry) = self.tables.servers.get_mut(&id) else { return };
                if act == ServerAct::Trying
                    && let Some(request) = &entry.request
                {
                    entry.last = Response::to(request, StatusCode::TRYING, None).to_bytes();
                }
                turn.send(entry.flow, entry.last.clone());
            }
            ServerAct::Overdue => {
                self.update_overdue(id);
                self.respond(id, StatusCode::SERVER_INTERNAL_ERROR, |_| {}, turn);
            }
            ServerAct::Go | ServerAct::Gone => return self.tables.remove_server(id),
            ServerAct::Send
            | ServerAct::SendAndGo
            | ServerAct::TooLate
            | ServerAct::HandUp
            | ServerAct::Nothing => {}
        }
        self.tables.rearm_server(id);
    }

    /// The answer of the application to OPTIONS and the like.
    pub(super) fn respond_command(
        &mut self,
        (transaction, status): (ServerTransaction, StatusCode),
        headers: &Headers,
        body: Vec<u8>,
        turn: &mut Turn<'_>,
    ) {
        let id = ServerKey(transaction.0);
        let mut abilities = Headers::new();
        let entry = self.tables.servers.get(&id);
        let request = entry.and_then(|entry| entry.request.as_ref());
        if request.is_some_and(|request| request.method == Method::Options) {
            self.push_abilities(&mut abilities);
            abilities.push(name::ACCEPT, self.accept.as_str());
        }
        let add = |response: &mut Response| {
            push_all(&mut response.headers, &abilities);
            push_all(&mut response.headers, headers);
            response.body = body;
        };
        if self.respond(id, status, add, turn).is_none() {
            turn.tell(Event::Misplaced { command: "Respond" });
        }
    }

    /// Tells the application that its command met no fitting state.
    pub(super) fn misplaced(&self, command: &'static str, turn: &mut Turn<'_>) {
        turn.tell(Event::Misplaced { command });
    }
}

#[derive(Hash)]
struct Merge<'a>(&'a str, &'a str, u32, &'a Method);

impl Command {
    /// The name of the command, for [`Event::Misplaced`].
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Ring { .. } => "Ring",
            Self::Accept { .. } => "Accept",
            Self::Reject { .. } => "Reject",
            Self::Bye { .. } => "Bye",
            Self::Cancel { .. } => "Cancel",
            Self::Ack { .. } => "Ack",
            Self::Reoffer { .. } => "Reoffer",
            Self::AnswerOffer { .. } => "AnswerOffer",
            Self::RejectOffer { .. } => "RejectOffer",
            Self::Respond { .. } => "Respond",
        }
    }
}

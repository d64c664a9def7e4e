//! The user agent, client and server side, without I/O: transactions, dialogs and calls.
//!
//! What goes in and what comes out stands in [`Input`], [`Command`], [`Output`] and [`Event`]; requests
//! of ours that need a new handle begin with [`Agent::invite`], [`Agent::request_outside`] and
//! [`Agent::request_within`]. Everything that a peer may send is answered here as RFC 3261 wants, but
//! for what only the application knows.
//!
//! Not here yet, and refused meanwhile: reliable provisional responses, session timers, digest,
//! REFER, SUBSCRIBE. Not here at all: name resolution; a host that is no address is reached by the
//! flow that the application, or the peer, chose.
//!
//! Inside: `server` and `client` are the transactions with their tables, `callee` and `caller` the
//! INVITE usage of either side, `compose` what is written into messages.

mod callee;
mod caller;
mod client;
mod compose;
mod face;
pub(crate) mod script;
mod server;
mod tables;
#[cfg(test)]
mod testbed;
#[cfg(test)]
mod tests;

use vocab::{Now, Tokens};

use self::compose::way_back;
use self::tables::{Cancel, Owner, Phase, Seeded, Tables};
use crate::admission::{self, Admitted, Framed, Refusal};
use crate::framing::Fault;
use crate::headers::Headers;
use crate::status::StatusCode;

pub use face::*;

/// One call of a method from outside: its moment, and where its orders go.
struct Turn<'a> {
    now: Now,
    out: &'a mut Vec<Output>,
}

impl Turn<'_> {
    fn send(&mut self, flow: Flow, bytes: Vec<u8>) {
        self.out.push(Output::Send { flow, bytes });
    }

    fn tell(&mut self, event: Event) {
        self.out.push(Output::Event(event));
    }
}

/// A user agent.
#[derive(Debug)]
pub struct Agent {
    config: AgentConfig,
    tokens: Tokens,
    tables: Tables,
    /// The last handle given out.
    number: u64,
    allow: String,
    supported: String,
    accept: String,
}

impl Agent {
    /// An agent without calls.
    pub fn new(config: AgentConfig) -> Self {
        let mut tokens = Tokens::new(config.seed);
        let tables = Tables::new(Seeded(tokens.next_u64()));
        let allow = config.rules.allow();
        let accept = config.rules.accept();
        let supported = config.rules.supported_extensions.join(", ");
        Self { config, tokens, tables, number: 0, allow, supported, accept }
    }

    /// When [`Input::Timeout`] is next wanted, and for what.
    pub fn deadline(&self) -> Option<(Now, &'static str)> {
        self.tables.deadlines.first().map(|(at, owner)| {
            let why = match owner {
                Owner::Client(_) => "client transaction",
                Owner::Server(_) => "server transaction",
                Owner::Call(_) => "call",
            };
            (at, why)
        })
    }

    /// What is held now.
    pub fn counts(&self) -> Counts {
        Counts {
            calls: self.tables.calls.len(),
            clients: self.tables.clients.len(),
            servers: self.tables.servers.len(),
            lookups: self.tables.lookups(),
            flows: self.tables.flows(),
            deadlines: self.tables.deadlines.len(),
        }
    }

    /// Whether a transaction or a call uses this flow: closing it would be noticed.
    pub fn stands_on(&self, flow: Flow) -> bool {
        !self.tables.on_flow(flow).is_empty()
    }

    /// Takes one input; appends what must be done to `out`.
    pub fn handle(&mut self, now: Now, input: Input, out: &mut Vec<Output>) {
        let turn = &mut Turn { now, out };
        match input {
            Input::Received { flow, bytes } => self.received(flow, &bytes, turn),
            Input::Faulty { flow, fault } => Self::faulty(flow, &fault, turn),
            Input::FlowClosed { flow } => self.flow_closed(flow, turn),
            Input::SendFailed { flow } => self.send_failed(flow, turn),
            Input::Command(command) => self.command(command, turn),
            Input::Timeout => {
                while let Some(owner) = self.tables.deadlines.due(now) {
                    let before = self.tables.deadlines.first();
                    self.timer(owner, turn);
                    // A machine that leaves its deadline where it was would keep us here for ever.
                    if self.tables.deadlines.first() == before {
                        debug_assert!(false, "{owner:?} did not move its deadline");
                        self.tables.deadlines.discard_first();
                    }
                }
            }
        }
    }

    fn received(&mut self, flow: Flow, bytes: &[u8], turn: &mut Turn<'_>) {
        let framed = match flow.transport {
            Transport::Udp => Framed::Datagram,
            Transport::Tcp => Framed::Stream,
        };
        match admission::admit(bytes, framed, &self.config.rules) {
            Admitted::Request(request) => self.on_request(flow, request, turn),
            Admitted::Response(response) => self.on_response(flow, response, turn),
            Admitted::Refuse(refusal) => Self::turn_away(flow, refusal, turn),
            Admitted::KeepAlive if flow.transport == Transport::Tcp => {
                turn.send(flow, b"\r\n".to_vec());
            }
            Admitted::KeepAlive | Admitted::Drop(_) => {}
        }
    }

    fn faulty(flow: Flow, fault: &Fault, turn: &mut Turn<'_>) {
        if let Some(refusal) = admission::refuse(&fault.head, fault.status, fault.why) {
            Self::turn_away(flow, refusal, turn);
        }
    }

    fn turn_away(flow: Flow, refusal: Refusal, turn: &mut Turn<'_>) {
        let mut response = refusal.response;
        let mut back = flow;
        if let Some(mut via) = response.headers.via() {
            via.stamp(flow.remote);
            response.headers.set_top_via(&via);
            (back, _) = way_back(flow, &via);
        }
        turn.send(back, response.to_bytes());
    }

    fn timer(&mut self, owner: Owner, turn: &mut Turn<'_>) {
        match owner {
            Owner::Client(key) => self.client_timer(key, turn),
            Owner::Server(id) => self.server_timer(id, turn),
            Owner::Call(call) => {
                let Some(entry) = self.tables.calls.get(&call) else { return };
                let now = turn.now;
                let due = |at: Option<Now>| at.is_some_and(|at| at <= now);
                if due(entry.accepting.as_ref().map(|accepting| accepting.repeat.deadline())) {
                    self.accepting_timer(call, turn);
                } else if due(entry.retry.as_ref().map(|retry| retry.at)) {
                    self.retry_timer(call, turn);
                } else {
                    self.ring_timer(call, turn);
                }
            }
        }
    }

    fn flow_closed(&mut self, flow: Flow, turn: &mut Turn<'_>) {
        for owner in self.tables.on_flow(flow) {
            match owner {
                Owner::Client(key) => self.fail_if_open(key, turn),
                Owner::Server(id) => self.tables.redial_server(id),
                Owner::Call(call) => {
                    let entry = self.tables.calls.get_mut(&call);
                    let Some(dialog) = entry.and_then(|entry| entry.phase.dialog_mut()) else {
                        continue;
                    };
                    dialog.flow.connection = None;
                    self.tables.settle_call(call);
                    turn.tell(Event::FlowClosed { call });
                }
            }
        }
    }

    fn send_failed(&mut self, flow: Flow, turn: &mut Turn<'_>) {
        for owner in self.tables.on_flow(flow) {
            if let Owner::Client(key) = owner {
                self.fail_if_open(key, turn);
            }
        }
    }

    fn fail_if_open(&mut self, key: tables::ClientKey, turn: &mut Turn<'_>) {
        if self.tables.clients.get(&key).is_some_and(|entry| entry.machine.is_open()) {
            self.fail(key, Origin::FlowFailed, turn);
        }
    }

    fn command(&mut self, command: Command, turn: &mut Turn<'_>) {
        let name = command.name();
        let done = match command {
            Command::Ring { call, status, headers, sdp } => {
                self.ring((call, status), &headers, sdp, turn)
            }
            Command::Accept { call, headers, sdp } => {
                let calls = &self.tables.calls;
                let live = calls.get(&call).is_none_or(|entry| entry.phase.is_live());
                if live { None } else { self.accept(call, &headers, sdp, turn) }
            }
            Command::Reject { call, status, headers } => {
                self.reject((call, status), &headers, EndReason::Refused, turn)
            }
            Command::Bye { call, headers } => self.bye(call, headers, turn),
            Command::Cancel { call } => self.cancel(call, turn),
            Command::Ack { call, sdp } => self.acknowledge(call, sdp, turn),
            Command::Reoffer { call, carrier, sdp } => self.reoffer((call, carrier, 0), sdp, turn),
            Command::AnswerOffer { call, sdp } => self.answer_offer(call, sdp, turn),
            Command::RejectOffer { call, status, headers } => {
                self.reject_offer((call, status), &headers, turn)
            }
            Command::Respond { transaction, status, headers, body } => {
                self.respond_command((transaction, status), &headers, body, turn);
                Some(())
            }
        };
        if done.is_none() {
            self.misplaced(name, turn);
        }
    }

    /// Ends a call in whatever way its state wants.
    fn bye(&mut self, call: Call, headers: Headers, turn: &mut Turn<'_>) -> Option<()> {
        let entry = self.tables.calls.get_mut(&call)?;
        match &entry.phase {
            Phase::Calling { .. } => self.cancel(call, turn),
            Phase::Ringing(_) => {
                let status = StatusCode::TEMPORARILY_UNAVAILABLE;
                self.reject((call, status), &headers, EndReason::LocalBye, turn)
            }
            // RFC 3261 §15: the callee may not send BYE before the ACK came or was given up.
            Phase::Live(_) if entry.usage.awaits_ack() => {
                entry.farewell = Some(headers);
                Some(())
            }
            Phase::Live(_) => {
                self.hang_up(call, &headers, EndReason::LocalBye, turn);
                Some(())
            }
        }
    }

    fn cancel(&mut self, call: Call, turn: &mut Turn<'_>) -> Option<()> {
        let entry = self.tables.calls.get_mut(&call)?;
        let Phase::Calling { cancel, .. } = &mut entry.phase else { return None };
        if *cancel == Cancel::No {
            *cancel = Cancel::Wanted;
            self.cancel_if_due(call, turn);
        }
        Some(())
    }

    /// Forgets a call and tells so; an ACK that is still owed is sent, and requests of the peer that
    /// still wait are refused with 487.
    fn end(&mut self, call: Call, why: EndReason, turn: &mut Turn<'_>) {
        self.acknowledge(call, None, turn);
        let Some(entry) = self.tables.remove_call(call) else { return };
        if let Some(key) = entry.client {
            self.limit_orphan(key, turn.now);
        }
        for id in [entry.server, entry.update].into_iter().flatten() {
            self.respond(id, StatusCode::REQUEST_TERMINATED, |_| {}, turn);
        }
        turn.tell(Event::Ended { call, why });
    }

    const fn next_number(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    fn next_tag(&mut self) -> u64 {
        loop {
            let tag = self.tokens.next_u64();
            if !self.tables.has_tag(tag) {
                return tag;
            }
        }
    }
}

//! A fuzz body for the whole agent: bytes are read as a script of messages, commands and time.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use vocab::{ConnectionId, Now};

use super::{
    Agent, AgentConfig, Call, Command, Counts, Event, Flow, Input, Invite, Output,
    ServerTransaction, Transport,
};
use crate::headers::Headers;
use crate::invite::Carrier;
use crate::message::{Message, Request, Response};
use crate::method::Method;
use crate::parse::parse;
use crate::status::StatusCode;
use crate::uri::AnyUri;

/// Whatever a peer and an application do in whatever order: no panic, one end for every call, and once
/// the application has let go and the timers have run out, nothing is left.
pub fn sip_agent(data: &[u8]) {
    let mut stage = Stage::new(data.first().copied().unwrap_or_default());
    for step in data.get(1..).unwrap_or_default().chunks(4) {
        let byte = |index: usize| step.get(index).copied().unwrap_or_default();
        stage.step(byte(0), byte(1), byte(2), byte(3));
    }
    for call in stage.calls.clone() {
        stage.command(Command::Bye { call, headers: Headers::new() });
    }
    stage.wait(Duration::from_secs(300));
    assert_eq!(stage.agent.counts(), Counts::default(), "something is left");
    assert_eq!(stage.ended, stage.calls.len(), "every call ends once");
    assert!(stage.agent.deadline().is_none(), "someone still waits");
}

const METHODS: [&str; 8] = ["INVITE", "ACK", "BYE", "CANCEL", "UPDATE", "INFO", "OPTIONS", "ACK"];
const STATUSES: [u16; 12] = [100, 180, 183, 200, 200, 202, 302, 408, 481, 486, 487, 491];
/// What the script remembers of what was sent; the oldest is forgotten.
const MEMORY: usize = 16;

/// One dialog as the peer sees it.
#[derive(Clone, Default)]
struct Known {
    call_id: String,
    /// The agent's tag.
    ours: String,
    /// The peer's.
    theirs: String,
    seq: u32,
    /// Number and branch of the peer's last INVITE.
    invite: (u32, u32),
}

struct Stage {
    now: Now,
    agent: Agent,
    flow: Flow,
    calls: Vec<Call>,
    ended: usize,
    open: VecDeque<ServerTransaction>,
    /// Requests of the agent, for responses.
    asked: VecDeque<Request>,
    /// Dialogs that may exist, for requests within them.
    known: VecDeque<Known>,
    /// Makes Call-IDs and branches that were not there before.
    fresh: u32,
    #[cfg(test)]
    seen: Vec<String>,
}

impl Stage {
    fn new(first: u8) -> Self {
        let (transport, connection) = if first.is_multiple_of(2) {
            (Transport::Udp, None)
        } else {
            (Transport::Tcp, Some(ConnectionId::from_number(1)))
        };
        let local = SocketAddr::from(([10, 0, 0, 1], 5060));
        let remote = SocketAddr::from(([10, 0, 0, 2], 5060));
        let mut config = AgentConfig::new([first; 32], Vec::new());
        config.calls_max = 16;
        config.transactions_max = 64;
        Self {
            now: Now::ZERO,
            agent: Agent::new(config),
            flow: Flow { transport, local, remote, connection },
            calls: Vec::new(),
            ended: 0,
            open: VecDeque::new(),
            asked: VecDeque::new(),
            known: VecDeque::new(),
            fresh: 0,
            #[cfg(test)]
            seen: Vec::new(),
        }
    }

    fn step(&mut self, what: u8, one: u8, two: u8, three: u8) {
        match what % 8 {
            0 | 1 => self.ask(one, two, three),
            2 | 3 => self.reply(one, two, three),
            4 | 5 => self.order(one, two, three),
            6 => self.wait(Duration::from_millis(u64::from(one) * u64::from(two))),
            _ => {
                let flow = self.flow;
                self.input(match one % 16 {
                    0 => Input::FlowClosed { flow },
                    1 => Input::SendFailed { flow },
                    _ => Input::Timeout,
                });
            }
        }
    }

    /// A request of the peer: of a new call, or within one it knows.
    fn ask(&mut self, one: u8, two: u8, three: u8) {
        let method = METHODS.get(usize::from(one) % METHODS.len()).copied().unwrap_or("INVITE");
        self.fresh += 1;
        let fresh = self.fresh;
        let index = usize::from(two >> 2) % self.known.len().max(1);
        let (mut outside, known) = (Known::default(), self.known.get_mut(index));
        let known = match known {
            Some(known) if !two.is_multiple_of(4) => known,
            Some(_) | None => {
                // Now and then the same call once more, by another way.
                let call = if three.is_multiple_of(8) { 0 } else { fresh };
                outside.call_id = format!("c{call}");
                outside.theirs = "p".into();
                &mut outside
            }
        };
        let (seq, branch) = match method {
            "ACK" => (known.invite.0, fresh),
            "CANCEL" => known.invite,
            _ if three.is_multiple_of(16) => (known.seq, known.invite.1),
            _ => (known.seq + 1, fresh),
        };
        known.seq = known.seq.max(seq);
        if method == "INVITE" {
            known.invite = (seq, branch);
        }
        let Known { call_id, ours, theirs, .. } = known.clone();
        let to = if ours.is_empty() { ours } else { format!(";tag={ours}") };
        let branch = if one >= 250 { String::new() } else { format!(";branch=z9hG4bK{branch}") };
        let body = if one & 64 == 0 { "" } else { "v=0" };
        let (transport, length) = (self.flow.transport.as_str(), body.len());
        let text = format!(
            "{method} sip:a@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/{transport} 10.0.0.2{branch}\r\n\
             From: <sip:p@p>;tag={theirs}\r\nTo: <sip:a@a>{to}\r\nCall-ID: {call_id}\r\n\
             CSeq: {seq} {method}\r\nContact: <sip:p@10.0.0.2>\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        );
        if outside.seq > 0 && method == "INVITE" {
            self.know(outside);
        }
        let (flow, bytes) = (self.flow, text.into_bytes());
        self.input(Input::Received { flow, bytes });
    }

    fn know(&mut self, known: Known) {
        self.known.push_back(known);
        while self.known.len() > MEMORY {
            self.known.pop_front();
        }
    }

    /// A response of the peer.
    fn reply(&mut self, one: u8, two: u8, three: u8) {
        let status = STATUSES.get(usize::from(one) % STATUSES.len()).copied().unwrap_or(200);
        let Some(status) = StatusCode::from_number(status) else { return };
        let Some(request) = self.asked.get(usize::from(two) % 4) else { return };
        let tag = format!("t{}", three % 3);
        let mut response = Response::to(request, status, Some(&tag));
        response.headers.push("Contact", "<sip:p@10.0.0.2>");
        if three & 64 != 0 {
            response.set_body("application/sdp", b"v=0".to_vec());
        }
        if three % 3 < 2 && request.method == Method::Invite {
            let call_id = request.headers.call_id().unwrap_or_default().to_owned();
            let ours = request.headers.from().and_then(|from| from.tag().map(str::to_owned));
            let (theirs, ours) = (tag, ours.unwrap_or_default());
            let same = |known: &Known| known.call_id == call_id && known.theirs == theirs;
            if !self.known.iter().any(same) {
                self.know(Known { call_id, ours, theirs, ..Known::default() });
            }
        }
        let (flow, bytes) = (self.flow, response.to_bytes());
        self.input(Input::Received { flow, bytes });
    }

    /// A command of the application, fitting or not.
    fn order(&mut self, one: u8, two: u8, three: u8) {
        let headers = Headers::new();
        let status = STATUSES.get(usize::from(three) % STATUSES.len()).copied().unwrap_or(200);
        let Some(status) = StatusCode::from_number(status) else { return };
        let sdp = (three & 64 != 0).then(|| b"v=0".to_vec());
        let carrier = if three & 32 == 0 { Carrier::Invite } else { Carrier::Update };
        if one.is_multiple_of(12) {
            return self.invite(sdp);
        }
        if one % 12 == 1 {
            let Some(transaction) = self.open.pop_front() else { return };
            let body = Vec::new();
            return self.command(Command::Respond { transaction, status, headers, body });
        }
        let Some(&call) = self.calls.get(self.calls.len().saturating_sub(1 + usize::from(two % 4)))
        else {
            return;
        };
        self.command(match one % 12 {
            2 => Command::Ring { call, status, headers, sdp },
            3 | 4 => Command::Accept { call, headers, sdp },
            5 => Command::Reject { call, status, headers },
            6 => Command::Bye { call, headers },
            7 => Command::Cancel { call },
            8 => Command::Ack { call, sdp },
            9 => Command::Reoffer { call, carrier, sdp },
            10 => Command::AnswerOffer { call, sdp },
            _ => Command::RejectOffer { call, status, headers },
        });
    }

    fn invite(&mut self, sdp: Option<Vec<u8>>) {
        let Some(target) = AnyUri::parse("sip:p@10.0.0.2") else { return };
        let (from, to) = ("<sip:a@a>".into(), "<sip:p@p>".into());
        let invite = Invite { target, flow: self.flow, from, to, headers: Headers::new(), sdp };
        let mut out = Vec::new();
        if let Ok(call) = self.agent.invite(self.now, invite, &mut out) {
            self.calls.push(call);
        }
        self.take(out);
    }

    fn wait(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some((at, _)) = self.agent.deadline().filter(|(at, _)| *at <= end) {
            self.now = self.now.max(at);
            self.input(Input::Timeout);
        }
        self.now = end;
    }

    fn command(&mut self, command: Command) {
        self.input(Input::Command(command));
    }

    fn input(&mut self, input: Input) {
        let mut out = Vec::new();
        self.agent.handle(self.now, input, &mut out);
        self.take(out);
    }

    fn take(&mut self, out: Vec<Output>) {
        for output in out {
            #[cfg(test)]
            if let Output::Event(event) = &output {
                let name = format!("{event:?}");
                self.seen.extend(name.split([' ', '{']).next().map(str::to_owned));
            }
            match output {
                Output::Send { bytes, .. } => self.remember(&bytes),
                Output::Event(Event::Invited { call, .. }) => self.calls.push(call),
                Output::Event(Event::Ended { .. }) => self.ended += 1,
                Output::Event(
                    Event::Options { transaction, .. } | Event::Request { transaction, .. },
                ) => self.open.push_back(transaction),
                Output::Event(_) => {}
            }
        }
    }

    fn remember(&mut self, bytes: &[u8]) {
        match parse(bytes) {
            Ok(Message::Request(request)) if request.method == Method::Ack => {}
            Ok(Message::Request(request)) => {
                // The latest first: most scripts answer what was just asked.
                self.asked.push_front(request);
                self.asked.truncate(MEMORY);
            }
            Ok(Message::Response(response)) => {
                let headers = &response.headers;
                let call_id = headers.call_id().unwrap_or_default();
                let tag = headers.to().and_then(|to| to.tag().map(str::to_owned));
                let known = self.known.iter_mut().find(|known| known.call_id == call_id);
                if let (Some(known), Some(tag)) = (known, tag)
                    && known.ours.is_empty()
                {
                    known.ours = tag;
                }
            }
            Err(fault) => debug_assert!(false, "we sent what cannot be read: {fault}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use vocab::Tokens;

    use super::*;

    fn script(dice: &mut Tokens) -> Vec<u8> {
        let length = 40 + usize::try_from(dice.next_u32() % 400).unwrap();
        (0..length).map(|_| dice.next_u32().to_le_bytes()[0]).collect()
    }

    #[test]
    fn the_committed_scripts_and_two_thousand_more_end_with_nothing_left() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/sip_agent");
        for file in std::fs::read_dir(folder).unwrap() {
            sip_agent(&std::fs::read(file.unwrap().path()).unwrap());
        }
        let mut dice = Tokens::new([5; 32]);
        for number in 0..2_000 {
            let script = script(&mut dice);
            let done = std::panic::catch_unwind(|| sip_agent(&script));
            assert!(done.is_ok(), "script {number}: {script:?}");
        }
    }

    #[test]
    fn the_scripts_reach_every_kind_of_event() {
        let mut dice = Tokens::new([6; 32]);
        let mut seen = std::collections::BTreeMap::<String, usize>::new();
        for _ in 0..500 {
            let script = script(&mut dice);
            let mut stage = Stage::new(script[0]);
            for step in script[1..].chunks_exact(4) {
                stage.step(step[0], step[1], step[2], step[3]);
            }
            for event in stage.seen {
                *seen.entry(event).or_default() += 1;
            }
        }
        for wanted in [
            "Invited",
            "Offered",
            "OfferWithdrawn",
            "Acked",
            "Progress",
            "Answered",
            "Updated",
            "ReofferRefused",
            "Refused",
            "Ended",
            "Options",
            "Request",
            "FlowClosed",
            "Misplaced",
        ] {
            assert!(seen.contains_key(wanted), "{wanted} is missing in {seen:?}");
        }
        println!("{seen:?}");
    }
}

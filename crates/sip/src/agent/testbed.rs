//! Two agents and a network in virtual time; and one agent that is spoken to by hand.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use vocab::{ConnectionId, Now, Tokens};

use super::*;
use crate::message::Message;
use crate::method::Method;
use crate::parse::parse;
use crate::uri::AnyUri;

/// Which of the two.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Who {
    A,
    B,
}

impl Who {
    pub(super) const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }

    fn address(self) -> SocketAddr {
        match self {
            Self::A => "10.0.0.1:5060".parse().unwrap(),
            Self::B => "10.0.0.2:5060".parse().unwrap(),
        }
    }

    const fn letter(self) -> char {
        match self {
            Self::A => 'a',
            Self::B => 'b',
        }
    }
}

/// What the network does to datagrams. Streams lose nothing and keep their order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weather {
    pub(super) loss_percent: u32,
    pub(super) twice_percent: u32,
    pub(super) delay_ms: u64,
    /// Up to so much more, drawn for each datagram: it reorders them.
    pub(super) jitter_ms: u64,
}

pub(super) const FAIR: Weather =
    Weather { loss_percent: 0, twice_percent: 0, delay_ms: 10, jitter_ms: 0 };

type Filter = Box<dyn FnMut(Who, &str) -> bool>;

pub(super) struct Duet {
    pub(super) now: Now,
    agents: [Agent; 2],
    transport: Transport,
    weather: Weather,
    dice: Tokens,
    flight: BTreeMap<(Now, u64), (Who, Flow, Vec<u8>)>,
    sent: u64,
    stream: Option<ConnectionId>,
    streams: u64,
    /// Says whether a message of this side, named like `200 INVITE`, is lost.
    pub(super) lost: Filter,
    pub(super) wire: Vec<String>,
    pub(super) events: Vec<String>,
}

/// What the applications do about an event.
pub(super) type React<'a> = &'a mut dyn FnMut(Who, Event) -> Vec<Command>;

impl Duet {
    pub(super) fn new(transport: Transport, weather: Weather, seed: u8) -> Self {
        let agent = |who: Who, more: u8| {
            let bound = who.address();
            let port = bound.port();
            let address = Address { transport, bound, host: None, port };
            Agent::new(AgentConfig::new([seed.wrapping_add(more); 32], vec![address]))
        };
        Self {
            now: Now::ZERO,
            agents: [agent(Who::A, 1), agent(Who::B, 2)],
            transport,
            weather,
            dice: Tokens::new([seed; 32]),
            flight: BTreeMap::new(),
            sent: 0,
            stream: None,
            streams: 0,
            lost: Box::new(|_, _| false),
            wire: Vec::new(),
            events: Vec::new(),
        }
    }

    pub(super) fn agent(&mut self, who: Who) -> &mut Agent {
        match who {
            Who::A => &mut self.agents[0],
            Who::B => &mut self.agents[1],
        }
    }

    pub(super) fn flow(&self, from: Who) -> Flow {
        Flow {
            transport: self.transport,
            local: from.address(),
            remote: from.other().address(),
            connection: self.stream,
        }
    }

    pub(super) fn call_with(&mut self, from: Who, sdp: Option<&str>) -> Call {
        let invite = Invite {
            target: AnyUri::parse("sip:x@10.0.0.9").unwrap(),
            flow: self.flow(from),
            from: "<sip:a@a.example>".into(),
            to: "<sip:x@b.example>".into(),
            headers: Headers::new(),
            sdp: sdp.map(|text| text.as_bytes().to_vec()),
        };
        let (now, mut out) = (self.now, Vec::new());
        let call = self.agent(from).invite(now, invite, &mut out).unwrap();
        self.carry(from, out, &mut |_, _| Vec::new());
        call
    }

    pub(super) fn call(&mut self) -> Call {
        self.call_with(Who::A, Some("offer"))
    }

    pub(super) fn command(&mut self, who: Who, command: Command, react: React<'_>) {
        let (now, mut out) = (self.now, Vec::new());
        self.agent(who).handle(now, Input::Command(command), &mut out);
        self.carry(who, out, react);
    }

    pub(super) fn within(&mut self, who: Who, call: Call, method: Method) {
        let within = Within { call, method, headers: Headers::new(), body: Vec::new() };
        let (now, mut out) = (self.now, Vec::new());
        let done = self.agent(who).request_within(now, within, &mut out);
        if done.is_ok() {
            self.carry(who, out, &mut |_, _| Vec::new());
        }
    }

    /// The stream breaks; both sides are told.
    pub(super) fn cut(&mut self, react: React<'_>) {
        let flow = self.flow(Who::A);
        self.stream = None;
        self.flight.clear();
        for (who, flow) in [(Who::A, flow), (Who::B, Flow { ..self.back(flow) })] {
            let (now, mut out) = (self.now, Vec::new());
            self.agent(who).handle(now, Input::FlowClosed { flow }, &mut out);
            self.carry(who, out, react);
        }
    }

    fn back(&self, flow: Flow) -> Flow {
        Flow { local: flow.remote, remote: flow.local, ..flow }
    }

    /// Runs for so long, then looks at the clock again.
    pub(super) fn run(&mut self, for_ms: u64, react: React<'_>) {
        let end = self.now + Duration::from_millis(for_ms);
        loop {
            let flight = self.flight.keys().next().map(|(at, _)| *at);
            let timers = self.agents.iter().filter_map(|agent| agent.deadline()).map(|(at, _)| at);
            let Some(next) = timers.chain(flight).min().filter(|at| *at <= end) else { break };
            self.now = self.now.max(next);
            self.step(react);
        }
        self.now = end;
    }

    fn step(&mut self, react: React<'_>) {
        let now = self.now;
        if let Some(entry) = self.flight.first_entry()
            && entry.key().0 <= now
        {
            let (who, flow, bytes) = entry.remove();
            let mut out = Vec::new();
            self.agent(who).handle(now, Input::Received { flow, bytes }, &mut out);
            return self.carry(who, out, react);
        }
        for who in [Who::A, Who::B] {
            let mut out = Vec::new();
            self.agent(who).handle(now, Input::Timeout, &mut out);
            self.carry(who, out, react);
        }
    }

    fn carry(&mut self, who: Who, out: Vec<Output>, react: React<'_>) {
        let mut commands = Vec::new();
        for output in out {
            match output {
                Output::Send { flow, bytes } => self.send(who, flow, &bytes),
                Output::Event(event) => {
                    self.events.push(format!("{} {}", who.letter(), name_event(&event)));
                    commands.extend(react(who, event));
                }
            }
        }
        for command in commands {
            self.command(who, command, react);
        }
    }

    fn send(&mut self, who: Who, flow: Flow, bytes: &[u8]) {
        let name = name_message(bytes);
        let lost = (self.lost)(who, &name);
        let mark = if lost { "!" } else { "" };
        self.wire.push(format!("{} {}{mark} {name}", self.ms(), who.letter()));
        let mut there = self.back(flow);
        // Everything between the two arrives, whatever address a Contact or Via named.
        (there.local, there.remote) = (who.other().address(), who.address());
        if self.transport == Transport::Tcp {
            if flow.connection.is_none() && self.stream.is_none() {
                self.streams += 1;
                self.stream = Some(ConnectionId::from_number(self.streams));
            }
            if flow.connection.is_some() && flow.connection != self.stream {
                return;
            }
            there.connection = self.stream;
        }
        let udp = self.transport == Transport::Udp;
        let chance = |dice: &mut Tokens, percent| udp && dice.next_u32() % 100 < percent;
        let copies = 1 + u32::from(chance(&mut self.dice, self.weather.twice_percent));
        for _ in 0..copies {
            if lost || chance(&mut self.dice, self.weather.loss_percent) {
                continue;
            }
            let jitter = match (udp, self.weather.jitter_ms) {
                (true, 1..) => u64::from(self.dice.next_u32()) % self.weather.jitter_ms,
                _ => 0,
            };
            self.sent += 1;
            let at = self.now + Duration::from_millis(self.weather.delay_ms + jitter);
            self.flight.insert((at, self.sent), (who.other(), there, bytes.to_vec()));
        }
    }

    pub(super) fn ms(&self) -> u64 {
        self.now.as_micros() / 1_000
    }

    /// After all timers nothing may be left on either side.
    pub(super) fn ends_empty(&mut self, react: React<'_>) {
        self.run(200_000, react);
        for agent in &self.agents {
            assert_eq!(agent.counts(), Counts::default(), "{:#?}", self.events);
        }
        assert!(self.agents.iter().all(|agent| agent.deadline().is_none()));
    }
}

/// `INVITE`, `200 INVITE`, with `+` where there is a body.
pub(super) fn name_message(bytes: &[u8]) -> String {
    match parse(bytes).unwrap() {
        Message::Request(request) => {
            let body = if request.body.is_empty() { "" } else { "+" };
            format!("{}{body}", request.method)
        }
        Message::Response(response) => {
            let body = if response.body.is_empty() { "" } else { "+" };
            format!("{} {}{body}", response.status, response.headers.cseq().unwrap().method)
        }
    }
}

pub(super) fn name_event(event: &Event) -> String {
    let text = |sdp: &Option<Vec<u8>>| match sdp {
        Some(sdp) => format!(" {}", String::from_utf8_lossy(sdp)),
        None => String::new(),
    };
    match event {
        Event::Invited { offer, .. } => format!("Invited{}", text(offer)),
        Event::Offered { carrier, offer, .. } => format!("Offered {carrier:?}{}", text(offer)),
        Event::OfferWithdrawn { .. } => "OfferWithdrawn".into(),
        Event::Acked { answer, .. } => format!("Acked{}", text(answer)),
        Event::Progress { response, sdp, .. } => {
            format!("Progress {}{}", response.status, text(sdp))
        }
        Event::Answered { sdp, .. } => format!("Answered{}", text(sdp)),
        Event::Updated { answer, .. } => format!("Updated{}", text(answer)),
        Event::ReofferRefused { response, .. } => format!("ReofferRefused {}", response.status),
        Event::Refused { response, .. } => format!("Refused {}", response.status),
        Event::Ended { why, .. } => format!("Ended {why:?}"),
        Event::Options { .. } => "Options".into(),
        Event::Request { request, .. } => format!("Request {}", request.method),
        Event::Response { response, .. } => format!("Response {}", response.status),
        Event::FlowClosed { .. } => "FlowClosed".into(),
        Event::Misplaced { command } => format!("Misplaced {command}"),
    }
}

/// Applications that ring, accept, acknowledge and answer whatever they are asked.
pub(super) fn willing(_: Who, event: Event) -> Vec<Command> {
    let headers = Headers::new;
    let sdp = |text: &str| Some(text.as_bytes().to_vec());
    match event {
        Event::Invited { call, offer, .. } => {
            let sdp = sdp(if offer.is_some() { "answer" } else { "late-offer" });
            let status = StatusCode::RINGING;
            vec![
                Command::Ring { call, status, headers: headers(), sdp: None },
                Command::Accept { call, headers: headers(), sdp },
            ]
        }
        Event::Answered { call, sdp: Some(text), .. } if text.starts_with(b"late") => {
            vec![Command::Ack { call, sdp: sdp("late-answer") }]
        }
        Event::Answered { call, .. } => vec![Command::Ack { call, sdp: None }],
        Event::Offered { call, offer, .. } => {
            let sdp = sdp(if offer.is_some() { "answer" } else { "late-offer" });
            vec![Command::AnswerOffer { call, sdp }]
        }
        Event::Options { transaction, .. } | Event::Request { transaction, .. } => {
            let (status, body) = (StatusCode::OK, Vec::new());
            vec![Command::Respond { transaction, status, headers: headers(), body }]
        }
        Event::OfferWithdrawn { .. }
        | Event::Acked { .. }
        | Event::Progress { .. }
        | Event::Updated { .. }
        | Event::ReofferRefused { .. }
        | Event::Refused { .. }
        | Event::Ended { .. }
        | Event::Response { .. }
        | Event::FlowClosed { .. }
        | Event::Misplaced { .. } => Vec::new(),
    }
}

/// Applications that do nothing by themselves.
pub(super) fn idle(_: Who, _: Event) -> Vec<Command> {
    Vec::new()
}

/// One agent at 10.0.0.2:5060 and a peer whose messages are written by hand.
pub(super) struct Solo {
    pub(super) now: Now,
    pub(super) agent: Agent,
    pub(super) flow: Flow,
    pub(super) calls: Vec<Call>,
    pub(super) transactions: Vec<ServerTransaction>,
    /// What was sent last, and where.
    pub(super) sent: Vec<(Flow, Message)>,
}

impl Solo {
    pub(super) fn new(transport: Transport) -> Self {
        let bound = Who::B.address();
        let address = Address { transport, bound, host: Some("b.example".into()), port: 5060 };
        let config = AgentConfig::new([9; 32], vec![address]);
        Self::with(config, transport)
    }

    pub(super) fn with(config: AgentConfig, transport: Transport) -> Self {
        let connection = (transport == Transport::Tcp).then(|| ConnectionId::from_number(7));
        let remote = "10.0.0.1:5070".parse().unwrap();
        Self {
            now: Now::ZERO,
            agent: Agent::new(config),
            flow: Flow { transport, local: Who::B.address(), remote, connection },
            calls: Vec::new(),
            transactions: Vec::new(),
            sent: Vec::new(),
        }
    }

    /// Hands in one input and says in words what came out.
    pub(super) fn input(&mut self, input: Input) -> String {
        let mut out = Vec::new();
        self.agent.handle(self.now, input, &mut out);
        self.show(out)
    }

    pub(super) fn show(&mut self, out: Vec<Output>) -> String {
        let mut said = Vec::new();
        for output in out {
            said.push(match output {
                Output::Send { flow, bytes } => {
                    self.sent.push((flow, parse(&bytes).unwrap()));
                    name_message(&bytes)
                }
                Output::Event(event) => {
                    if let Event::Invited { call, .. } = &event {
                        self.calls.push(*call);
                    }
                    if let Event::Options { transaction, .. } | Event::Request { transaction, .. } =
                        &event
                    {
                        self.transactions.push(*transaction);
                    }
                    name_event(&event)
                }
            });
        }
        said.join(", ")
    }

    pub(super) fn say(&mut self, message: &str) -> String {
        let bytes = message.as_bytes().to_vec();
        self.input(Input::Received { flow: self.flow, bytes })
    }

    pub(super) fn command(&mut self, command: Command) -> String {
        self.input(Input::Command(command))
    }

    pub(super) fn wait(&mut self, ms: u64) -> String {
        let end = self.now + Duration::from_millis(ms);
        let mut said = Vec::new();
        while let Some((at, _)) = self.agent.deadline().filter(|(at, _)| *at <= end) {
            self.now = at;
            let one = self.input(Input::Timeout);
            if !one.is_empty() {
                said.push(one);
            }
        }
        self.now = end;
        said.join(", ")
    }

    /// Calls out; gives the INVITE that was sent.
    pub(super) fn invite(&mut self, sdp: Option<&str>) -> (Call, crate::message::Request) {
        let invite = Invite {
            target: AnyUri::parse("sip:x@10.0.0.1:5070").unwrap(),
            flow: self.flow,
            from: "<sip:b@b.example>".into(),
            to: "<sip:x@x.example>".into(),
            headers: Headers::new(),
            sdp: sdp.map(|text| text.as_bytes().to_vec()),
        };
        let mut out = Vec::new();
        let call = self.agent.invite(self.now, invite, &mut out).unwrap();
        self.show(out);
        (call, self.last_request())
    }

    pub(super) fn last_request(&self) -> crate::message::Request {
        match self.sent.last() {
            Some((_, Message::Request(request))) => request.clone(),
            other => panic!("no request: {other:?}"),
        }
    }

    pub(super) fn last_response(&self) -> crate::message::Response {
        match self.sent.last() {
            Some((_, Message::Response(response))) => response.clone(),
            other => panic!("no response: {other:?}"),
        }
    }
}

/// A response of the peer to a request of ours.
pub(super) fn reply(
    to: &crate::message::Request,
    status: u16,
    tag: &str,
    more: &str,
    body: &str,
) -> String {
    let status = StatusCode::from_number(status).unwrap();
    let mut response = crate::message::Response::to(to, status, Some(tag));
    for line in more.lines() {
        let (name, value) = line.split_once(": ").unwrap();
        response.headers.push(name, value);
    }
    if !body.is_empty() {
        response.set_body("application/sdp", body.as_bytes().to_vec());
    }
    String::from_utf8(response.to_bytes()).unwrap()
}

/// A request of the peer in a call with this agent: `INVITE 1`, `BYE 2`; `tag` is the agent's.
pub(super) fn ask(what: &str, tag: &str, more: &str, body: &str) -> String {
    let (method, seq) = what.split_once(' ').unwrap();
    let (method, branch) = method.split_once('/').unwrap_or((method, seq));
    let to = if tag.is_empty() { String::new() } else { format!(";tag={tag}") };
    let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    let length = body.len();
    format!(
        "{method} sip:b@b.example SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1:5070;branch=z9hG4bK{branch}\r\n\
         From: <sip:x@x.example>;tag=peer\r\nTo: <sip:b@b.example>{to}\r\nCall-ID: c1\r\n\
         CSeq: {seq} {method}\r\nMax-Forwards: 70\r\nContact: <sip:x@10.0.0.1:5070>\r\n{more}{kind}\
         Content-Length: {length}\r\n\r\n{body}"
    )
}

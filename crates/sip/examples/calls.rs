//! How much processor time a whole call costs: `cargo run --release -p sip --example calls -- [calls] [udp|tcp]`.
//!
//! Two agents in memory, bytes in and bytes out: INVITE, 200, ACK, BYE, 200, at 1,000 calls a second of
//! virtual time, so that the tables hold what they would hold on such a server.
#![expect(clippy::print_stdout, reason = "it is a command")]

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use sip::agent::{
    Address, Agent, AgentConfig, Command, Counts, Event, Flow, Input, Invite, Output, Transport,
};
use sip::{AnyUri, Headers};
use vocab::{ConnectionId, Now};

const OFFER: &[u8] = b"v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\n\
    m=application 9 TCP/MRCPv2 1\r\na=setup:active\r\na=connection:new\r\na=resource:speechsynth\r\n\
    a=cmid:1\r\nm=audio 16384 RTP/AVP 0 8 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n\
    a=rtpmap:101 telephone-event/8000\r\na=recvonly\r\na=mid:1\r\n";
const ANSWER: &[u8] = b"v=0\r\no=- 2 2 IN IP4 10.0.0.2\r\ns=-\r\nc=IN IP4 10.0.0.2\r\nt=0 0\r\n\
    m=application 8104 TCP/MRCPv2 1\r\na=setup:passive\r\na=connection:new\r\n\
    a=channel:32AECB23433801@speechsynth\r\na=cmid:1\r\nm=audio 16500 RTP/AVP 0\r\n\
    a=rtpmap:0 PCMU/8000\r\na=sendonly\r\na=mid:1\r\n";

struct Side {
    agent: Agent,
    spent: Duration,
    most: Counts,
}

impl Side {
    fn new(seed: u8, flow: Flow) -> Self {
        let (bound, port) = (flow.local, flow.local.port());
        let address = Address { transport: flow.transport, bound, host: None, port };
        let agent = Agent::new(AgentConfig::new([seed; 32], vec![address]));
        Self { agent, spent: Duration::ZERO, most: Counts::default() }
    }

    fn timed(&mut self, work: impl FnOnce(&mut Agent)) {
        let begin = clock();
        work(&mut self.agent);
        self.spent += begin.elapsed();
        let counts = self.agent.counts();
        if counts.clients + counts.servers > self.most.clients + self.most.servers {
            self.most = counts;
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this command measures real time")]
fn clock() -> Instant {
    Instant::now()
}

/// Processor time of this process so far, where the system tells (Linux).
fn processor_us() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/schedstat").ok()?;
    let nanos: u64 = text.split(' ').next()?.parse().ok()?;
    Some(Duration::from_nanos(nanos).as_secs_f64() * 1e6)
}

fn flow(transport: Transport, from: u8, to: u8) -> Flow {
    let connection = (transport == Transport::Tcp).then(|| ConnectionId::from_number(1));
    let (local, remote) = (([10, 0, 0, from], 5060).into(), ([10, 0, 0, to], 5060).into());
    Flow { transport, local, remote, connection }
}

/// One call, from INVITE to the 200 of its BYE. Index 0 calls, index 1 is called.
fn call(sides: &mut [Side; 2], flows: [Flow; 2], now: Now) {
    let mut wire: VecDeque<(usize, Input)> = VecDeque::new();
    let mut out = Vec::new();
    let [caller, callee] = sides;
    let (Some(target), [there, _]) = (AnyUri::parse("sip:radio@10.0.0.2"), flows) else { return };
    caller.timed(|agent| {
        let invite = Invite {
            target,
            flow: there,
            from: "\"Bench\" <sip:bench@10.0.0.1>".into(),
            to: "<sip:radio@10.0.0.2>".into(),
            headers: Headers::new(),
            sdp: Some(OFFER.to_vec()),
        };
        if agent.invite(now, invite, &mut out).is_err() {
            println!("the limit is reached");
        }
    });
    let mut who = 0;
    loop {
        for output in out.drain(..) {
            match output {
                Output::Send { bytes, .. } => {
                    let to = 1 - who;
                    let [one, two] = flows;
                    let flow = if to == 0 { one } else { two };
                    wire.push_back((to, Input::Received { flow, bytes }));
                }
                Output::Event(event) => {
                    wire.extend(react(&event).map(|c| (who, Input::Command(c))));
                }
            }
        }
        let Some((next, input)) = wire.pop_front() else { break };
        who = next;
        let side = if who == 0 { &mut *caller } else { &mut *callee };
        side.timed(|agent| agent.handle(now, input, &mut out));
    }
}

fn react(event: &Event) -> impl Iterator<Item = Command> + use<> {
    let headers = Headers::new;
    let commands = match event {
        Event::Invited { call, .. } => {
            vec![Command::Accept { call: *call, headers: headers(), sdp: Some(ANSWER.to_vec()) }]
        }
        Event::Answered { call, .. } => {
            let call = *call;
            vec![Command::Ack { call, sdp: None }, Command::Bye { call, headers: headers() }]
        }
        Event::Offered { .. }
        | Event::OfferWithdrawn { .. }
        | Event::Acked { .. }
        | Event::Progress { .. }
        | Event::Updated { .. }
        | Event::ReofferRefused { .. }
        | Event::Refused { .. }
        | Event::Ended { .. }
        | Event::Options { .. }
        | Event::Request { .. }
        | Event::Response { .. }
        | Event::FlowClosed { .. }
        | Event::Misplaced { .. } => Vec::new(),
    };
    commands.into_iter()
}

fn main() {
    let mut words = std::env::args().skip(1);
    let calls: u32 = words.next().and_then(|word| word.parse().ok()).unwrap_or(100_000);
    let transport = match words.next().as_deref() {
        Some("tcp") => Transport::Tcp,
        _ => Transport::Udp,
    };
    let flows = [flow(transport, 1, 2), flow(transport, 2, 1)];
    let mut sides = [Side::new(1, flows[0]), Side::new(2, flows[1])];
    let mut now = Now::ZERO;
    let before = processor_us();
    for _ in 0..calls {
        now = now + Duration::from_millis(1);
        for side in &mut sides {
            if side.agent.deadline().is_some_and(|(at, _)| at <= now) {
                let mut out = Vec::new();
                side.timed(|agent| agent.handle(now, Input::Timeout, &mut out));
            }
        }
        call(&mut sides, flows, now);
    }
    if let (Some(before), Some(after)) = (before, processor_us()) {
        let each = (after - before) / f64::from(calls) / 2.0;
        println!("processor time: {each:.1} us a call and side");
    }
    for (name, side) in ["caller", "callee"].into_iter().zip(&mut sides) {
        let each = side.spent.as_secs_f64() * 1e6 / f64::from(calls);
        println!("{name}: {each:.1} us a call by the clock, at most {:?}", side.most);
        side.agent.handle(now + Duration::from_secs(100), Input::Timeout, &mut Vec::new());
        println!("{name}: after the timers {:?}", side.agent.counts());
    }
}

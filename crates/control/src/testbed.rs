//! A whole server in virtual time: a caller's SIP agent and ours with a wire between them, MRCPv2
//! as text, and a media plane that plays by the clock.
//!
//! Each step of a [`Stand`] is a line; what it brought about comes back as one line too, so a test
//! is a table that can be read without knowing how it is run.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use mrcp::lexicon::Lexicon;
use mrcp::synthesizer::LexiconFailure;
use mrcp::{Framed, Framer, Limits, Message, NtpTime};
use sip::agent::{
    Address, Agent, AgentConfig, Call, Command, Event as SipEvent, Flow, Input, Invite, Output,
    Outside, Transport, Within,
};
use sip::headers::Headers;
use sip::invite::Carrier;
use sip::message::Response;
use sip::sdp::mrcp::{Capabilities, Connected, Law};
use sip::sdp::{Kind, Sdp};
use sip::uri::AnyUri;
use vocab::{ConnectionId, Now, SessionId};

use crate::blueprint::Blueprint;
use crate::capabilities::{Catalog, RESOURCES, Speech};
use crate::event::{Busy, Effect, Event, Failure, Feed, Media, Moment, ProgramId, Spoken};
use crate::player::Ticket;
use crate::playout::Defaults;
use crate::position::{Border, Limit, Skip, Start, Unit};
use crate::{Config, Liveness, Server};

/// The call that a step is about when it names none.
const FIRST: &str = "a";

pub(crate) struct Stand {
    now: Now,
    caller: Agent,
    agent: Agent,
    pub(crate) server: Server,
    calls: BTreeMap<String, Side>,
    media: BTreeMap<SessionId, Seat>,
    programs: BTreeMap<ProgramId, Program>,
    /// Whether a feeder is ready the moment it is asked.
    pub(crate) feeders: Feeders,
    /// What the next Reserve or Open comes to.
    pub(crate) trouble: Option<Busy>,
    /// Whether the caller's machine is off: nothing of what is sent to it arrives.
    dead: bool,
    said: Vec<String>,
    fetching: Option<(SessionId, Ticket)>,
    /// SIP on its way: who gets it, and what.
    wire: Vec<(Who, Vec<u8>)>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Feeders {
    Quick,
    Slow,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Who {
    Caller,
    Us,
}

/// What the caller knows of a call.
#[derive(Default)]
struct Side {
    call: Option<Call>,
    channels: BTreeMap<String, String>,
    version: u64,
    /// What it answers when the offer is ours.
    late: Option<String>,
}

struct Seat {
    media: Option<Media>,
    playing: Option<Playing>,
    paused: bool,
}

struct Playing {
    program: ProgramId,
    played_ms: u64,
    since: Now,
}

struct Program {
    session: SessionId,
    started: bool,
}

impl Stand {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut Config)) -> Self {
        let agent = |seed: u8, address: &str| {
            let bound: SocketAddr = address.parse().unwrap();
            let transport = Transport::Udp;
            let address = Address { transport, bound, host: None, port: bound.port() };
            Agent::new(AgentConfig::new([seed; 32], vec![address]))
        };
        let mut config = Config {
            seed: [7; 32],
            sessions_max: 4,
            mrcp_port: 8104,
            capabilities: Capabilities {
                laws: vec![Law::Mu, Law::A],
                resources: RESOURCES.map(str::to_owned).to_vec(),
                tls: false,
                audio_lines_max: 1,
                ip4: Some("10.0.0.2".parse().unwrap()),
                ip6: None,
                connected: Connected::No,
            },
            defaults: Defaults { style: ssml::Style::default() },
            catalog: Catalog {
                sources: vec!["Radio".into(), "Lobby".into()],
                speech: Speech::On,
                mail: true,
                providers: vec!["neural".into()],
            },
            liveness: Liveness::default(),
        };
        change(&mut config);
        Self {
            now: Now::from_millis(1_000),
            caller: agent(1, "10.0.0.1:5060"),
            agent: agent(2, "10.0.0.2:5060"),
            server: Server::new(config),
            calls: BTreeMap::new(),
            media: BTreeMap::new(),
            programs: BTreeMap::new(),
            feeders: Feeders::Quick,
            trouble: None,
            dead: false,
            said: Vec::new(),
            fetching: None,
            wire: Vec::new(),
        }
    }

    /// One step; what it brought about.
    pub(crate) fn step(&mut self, line: &str) -> String {
        let (call, line) = match line.split_once(": ") {
            Some((call, rest)) if call.len() == 1 => (call, rest),
            _ => (FIRST, line),
        };
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        match verb {
            "invite" => self.invite(call, rest),
            "reinvite" => self.reinvite(call, rest),
            "bye" => self.command(Command::Bye { call: self.call(call), headers: Headers::new() }),
            "info" => self.within(call, sip::Method::Info),
            "options" => self.within(call, sip::Method::Options),
            "ping" => self.ping(),
            "skipped" => {
                let samples = rest.parse().unwrap();
                self.feed(|program| Feed::Skipped { program, samples });
            }
            "wait" => self.run(rest.parse().unwrap()),
            "die" => self.dead = true,
            "close" => {
                let connection = ConnectionId::from_number(rest.parse().unwrap());
                self.tell(Event::Closed { connection });
            }
            "ready" => self.feed(|program| Feed::Ready { program }),
            "end" => self.end(),
            "fail" => {
                let failure = Failure::Uri {
                    uri: rest.to_owned(),
                    why: "404 Not Found".to_owned(),
                    cause: "404".to_owned(),
                };
                self.feed(|program| Feed::Failed { program, failure });
            }
            "mark" => {
                let (tag, name) = rest.split_once(' ').unwrap();
                let (tag, name) = (tag.parse().unwrap(), name.to_owned());
                self.feed(|program| Feed::Mark { program, tag, name });
            }
            "pass" => {
                let program =
                    self.programs.keys().last().map_or(ProgramId::from_number(0), |id| *id);
                let (tag, at) = (rest.parse().unwrap(), self.moment().at);
                self.tell(Event::Passed { program, tag, at });
            }
            "spoke" => self.spoke(rest),
            "lexicons" => self.lexicons(rest),
            "border" => self.border(rest),
            "gone" => {
                let session = *self.media.keys().next().unwrap();
                self.tell(Event::MediaGone { session });
            }
            "drain" => self.tell(Event::Drain),
            "hangup" => self.tell(Event::HangUp),
            "raw" => self.raw(rest),
            _ => self.mrcp(call, verb, rest),
        }
        self.settle();
        std::mem::take(&mut self.said).join(" | ")
    }

    fn spoke(&mut self, rest: &str) {
        let program = self.programs.keys().last().map_or(ProgramId::from_number(0), |id| *id);
        let (provider, after) = rest.split_once(' ').unwrap();
        let after = Duration::from_millis(after.parse().unwrap());
        let by = Spoken { provider: provider.into(), voice: "en-us".into(), after };
        self.tell(Event::Spoke { program, by });
    }

    fn lexicons(&mut self, rest: &str) {
        let (session, ticket) = self.fetching.take().unwrap();
        let lexicon = |uri: &str| Lexicon {
            uri: uri.to_owned(),
            media_type: mrcp::MediaType::parse("application/pls+xml").unwrap(),
            bytes: b"<lexicon/>".as_slice().into(),
        };
        let fetched = match rest.strip_prefix("fail ") {
            Some(uri) => Err(LexiconFailure {
                uri: uri.to_owned(),
                cause: "404".to_owned(),
                why: "404 Not Found".to_owned(),
            }),
            None => Ok(rest.split(' ').map(lexicon).collect()),
        };
        self.tell(Event::Lexicons { session, ticket, fetched });
    }

    /// Every call ends and every timer runs out: nothing may be left anywhere.
    #[track_caller]
    pub(crate) fn ends_empty(mut self) {
        let calls: Vec<_> = self.calls.values().filter_map(|side| side.call).collect();
        for call in calls {
            self.command(Command::Bye { call, headers: Headers::new() });
        }
        self.settle();
        self.run(200_000);
        assert_eq!(self.server.counts(), crate::Counts::default(), "{:#?}", self.said);
        assert_eq!(self.server.deadline(), None);
        assert_eq!(self.agent.counts(), sip::agent::Counts::default());
        assert_eq!(self.media.len(), 0, "ports are given back");
        assert_eq!(self.programs.len(), 0, "programs are halted");
    }

    fn moment(&self) -> Moment {
        let at = NtpTime::from_unix(Duration::from_micros(self.now.as_micros()));
        Moment { now: self.now, at }
    }

    fn say(&mut self, text: impl Into<String>) {
        self.said.push(text.into());
    }

    fn call(&self, name: &str) -> Call {
        self.calls[name].call.unwrap()
    }

    fn name(&self, call: Call) -> String {
        let found = self.calls.iter().find(|(_, side)| side.call == Some(call));
        found.map_or_else(|| "?".to_owned(), |(name, _)| name.clone())
    }

    // The caller.

    /// `USER LINE...`, where a line is `audio`, `speechsynth`, `basicsynth`, and `-` before it sets
    /// its port to 0; `late` offers nothing and answers with the lines that follow.
    fn invite(&mut self, name: &str, rest: &str) {
        let (user, lines) = rest.split_once(' ').unwrap();
        let side = self.calls.entry(name.to_owned()).or_default();
        let sdp = match lines.strip_prefix("late ") {
            Some(answer) => {
                side.late = Some(answer.to_owned());
                None
            }
            None => Some(description(&mut side.version, lines).into_bytes()),
        };
        let invite = Invite {
            target: AnyUri::parse(&format!("sip:{user}")).unwrap(),
            flow: flow(Who::Caller),
            from: "<sip:caller@10.0.0.1>".into(),
            to: format!("<sip:{user}>"),
            headers: Headers::new(),
            sdp,
        };
        let mut out = Vec::new();
        let call = self.caller.invite(self.now, invite, &mut out).unwrap();
        self.calls.get_mut(name).unwrap().call = Some(call);
        self.caller_said(out);
    }

    fn reinvite(&mut self, name: &str, lines: &str) {
        let call = self.call(name);
        let side = self.calls.get_mut(name).unwrap();
        let sdp = match lines.strip_prefix("late ") {
            Some(answer) => {
                side.late = Some(answer.to_owned());
                None
            }
            None => Some(description(&mut side.version, lines).into_bytes()),
        };
        self.command(Command::Reoffer { call, carrier: Carrier::Invite, sdp });
    }

    fn within(&mut self, name: &str, method: sip::Method) {
        let within =
            Within { call: self.call(name), method, headers: Headers::new(), body: Vec::new() };
        let mut out = Vec::new();
        self.caller.request_within(self.now, within, &mut out).unwrap();
        self.caller_said(out);
    }

    /// OPTIONS outside any call.
    fn ping(&mut self) {
        let outside = Outside {
            method: sip::Method::Options,
            target: AnyUri::parse("sip:10.0.0.2").unwrap(),
            flow: flow(Who::Caller),
            from: "<sip:caller@10.0.0.1>".into(),
            to: "<sip:10.0.0.2>".into(),
            headers: Headers::new(),
            body: Vec::new(),
        };
        let mut out = Vec::new();
        self.caller.request_outside(self.now, outside, &mut out).unwrap();
        self.caller_said(out);
    }

    fn command(&mut self, command: Command) {
        let mut out = Vec::new();
        self.caller.handle(self.now, Input::Command(command), &mut out);
        self.caller_said(out);
    }

    fn caller_said(&mut self, out: Vec<Output>) {
        for output in out {
            match output {
                Output::Send { bytes, .. } => self.wire.push((Who::Us, bytes)),
                Output::Event(event) => self.caller_hears(event),
            }
        }
    }

    fn caller_hears(&mut self, event: SipEvent) {
        match event {
            SipEvent::Answered { call, response, sdp } => {
                let name = self.name(call);
                let sdp = sdp.unwrap_or_default();
                let told = self.described(&name, &sdp);
                self.say(format!("{}{told}", response.status.number()));
                let side = self.calls.get_mut(&name).unwrap();
                let answer = side.late.take();
                let answer = answer.filter(|lines| lines != "nothing");
                let answer = answer.map(|lines| description(&mut side.version, &lines));
                self.command(Command::Ack { call, sdp: answer.map(String::into_bytes) });
            }
            SipEvent::Refused { response, .. } | SipEvent::ReofferRefused { response, .. } => {
                self.say(refusal(&response));
            }
            SipEvent::Ended { call, why } => {
                let name = self.name(call);
                self.say(format!("ended {why:?}"));
                if let Some(side) = self.calls.get_mut(&name) {
                    side.call = None;
                }
            }
            SipEvent::Response { response, .. } => self.say(refusal(&response)),
            SipEvent::Options { transaction, .. } | SipEvent::Request { transaction, .. } => {
                self.say("asked");
                self.command(Command::Respond {
                    transaction,
                    status: sip::StatusCode::OK,
                    headers: Headers::new(),
                    body: Vec::new(),
                });
            }
            SipEvent::Invited { .. }
            | SipEvent::Offered { .. }
            | SipEvent::OfferWithdrawn { .. }
            | SipEvent::Acked { .. }
            | SipEvent::Progress { .. }
            | SipEvent::Updated { .. }
            | SipEvent::FlowClosed { .. }
            | SipEvent::Misplaced { .. } => self.say("?"),
        }
    }

    /// The lines of an answer; remembers the channels.
    fn described(&mut self, name: &str, sdp: &[u8]) -> String {
        let mut told = String::new();
        let side = self.calls.get_mut(name).unwrap();
        for media in Sdp::parse(sdp).unwrap().media() {
            let kind = match (&media.kind, &media.channel) {
                (Kind::Audio, _) => format!("audio {}", media.direction.as_str()),
                (_, Some(channel)) => {
                    let resource = channel.split('@').nth(1).unwrap().to_owned();
                    side.channels.insert(resource.clone(), channel.clone());
                    resource
                }
                (kind, None) => kind.as_str().to_owned(),
            };
            write!(told, " [{} {kind}]", media.port).unwrap();
        }
        told
    }

    // MRCPv2.

    /// `RESOURCE[/CONNECTION] METHOD ID [NAME: VALUE; ...] [= BODY]`
    fn mrcp(&mut self, call: &str, to: &str, rest: &str) {
        let (to, connection) = to.split_once('/').unwrap_or((to, "1"));
        let channel = self.calls.get(call).and_then(|side| side.channels.get(to)).cloned();
        let channel = channel.unwrap_or_else(|| format!("0000@{to}"));
        let (head, body) = rest.split_once("= ").unwrap_or((rest, ""));
        let mut words = head.trim().splitn(3, ' ');
        let (method, id) = (words.next().unwrap(), words.next().unwrap());
        let mut fields = format!("Channel-Identifier: {channel}\r\n");
        for field in words.next().unwrap_or_default().split("; ").filter(|field| !field.is_empty())
        {
            write!(fields, "{field}\r\n").unwrap();
        }
        if !body.is_empty() {
            let kind = match body.split_once(':') {
                Some((scheme, _)) if !scheme.contains([' ', '<']) => "text/uri-list",
                _ if body.starts_with('<') => "application/ssml+xml",
                _ => "text/plain",
            };
            let length = body.len();
            write!(fields, "Content-Type: {kind}\r\nContent-Length: {length}\r\n").unwrap();
        }
        self.raw(&format!("{connection} {method} {id}\r\n{fields}\r\n{body}"));
    }

    /// `CONNECTION METHOD ID HEADERS...`: the message without its version and length.
    fn raw(&mut self, text: &str) {
        let (connection, rest) = text.split_once(' ').unwrap();
        let connection = ConnectionId::from_number(connection.parse().unwrap());
        let length = rest.len() + "MRCP/2.0 nnnn ".len();
        let mut framer = Framer::new(Limits::default());
        framer.push(format!("MRCP/2.0 {length:04} {rest}").as_bytes());
        match framer.next() {
            Some(Framed::Message(message)) => {
                self.tell(Event::Mrcp { connection, message: Box::new(message) });
            }
            Some(Framed::Fault(fault)) => self.tell(Event::MrcpFault { connection, fault }),
            None => panic!("the message is not whole: {text:?}"),
        }
    }

    fn answered(&mut self, connection: ConnectionId, bytes: &[u8]) {
        let mut framer = Framer::new(Limits::default());
        framer.push(bytes);
        // An answer to what named no channel names none, and clients cannot read it.
        let Some(Framed::Message(message)) = framer.next() else {
            let text = String::from_utf8_lossy(bytes);
            return self.say(text.split_whitespace().skip(2).collect::<Vec<_>>().join(" "));
        };
        let (mut told, headers) = match message {
            Message::Response(response) => (
                format!("{} {} {}", response.id, response.status, response.state),
                response.headers,
            ),
            Message::Event(event) => {
                (format!("{} {}", event.name.as_str(), event.id), event.headers)
            }
            Message::Request(_) => panic!("servers do not ask"),
        };
        for (name, short) in [
            ("Completion-Cause", ""),
            ("Completion-Reason", ""),
            ("Failed-URI", ""),
            ("Failed-URI-Cause", ""),
            ("Active-Request-Id-List", "of "),
            ("Speak-Restart", "restart "),
            ("Jump-Size", "Jump-Size "),
            ("Prosody-Rate", "rate "),
            ("Vendor-Specific-Parameters", ""),
        ] {
            if let Some(value) = headers.get(name) {
                write!(told, " {short}{value}").unwrap();
            }
        }
        if let Some((_, mark)) = headers.get("Speech-Marker").and_then(|text| text.split_once(';'))
        {
            write!(told, " at {mark}").unwrap();
        }
        if connection.number() != 1 {
            write!(told, " by {connection}").unwrap();
        }
        self.say(told);
    }

    // The media plane.

    fn latest(&self) -> ProgramId {
        *self.programs.keys().last().expect("a program is prepared")
    }

    fn feed(&mut self, feed: impl FnOnce(ProgramId) -> Feed) {
        if self.programs.is_empty() {
            return self.say("no program");
        }
        let feed = feed(self.latest());
        self.tell(Event::Feed(feed));
    }

    /// `AT UNIT STEP WORD`
    fn border(&mut self, rest: &str) {
        let words: Vec<_> = rest.split(' ').collect();
        let unit = match words[1] {
            "word" => Unit::Word,
            "sentence" => Unit::Sentence,
            "paragraph" => Unit::Paragraph,
            _ => Unit::Step,
        };
        let (at, step) = (words[0].parse().unwrap(), words[2].parse().unwrap());
        let border = Border { at, unit, step, word: words[3].parse().unwrap() };
        self.feed(|program| Feed::Border { program, border });
    }

    /// The engine plays the first playing program to its end.
    fn end(&mut self) {
        let seat = self.media.values_mut().find(|seat| seat.playing.is_some());
        let Some(playing) = seat.and_then(|seat| seat.playing.take()) else {
            return self.say("nothing plays");
        };
        self.programs.remove(&playing.program);
        self.tell(Event::Finished { program: playing.program });
    }

    // Us.

    fn tell(&mut self, event: Event) {
        let mut out = Vec::new();
        self.server.handle(self.moment(), event, &mut out);
        for effect in out {
            self.carry_out(effect);
        }
    }

    fn us(&mut self, input: Input) {
        let mut out = Vec::new();
        self.agent.handle(self.now, input, &mut out);
        self.we_said(out);
    }

    fn we_said(&mut self, out: Vec<Output>) {
        for output in out {
            match output {
                Output::Send { bytes, .. } => self.wire.push((Who::Caller, bytes)),
                Output::Event(SipEvent::Misplaced { command }) => {
                    self.say(format!("misplaced {command}"));
                }
                Output::Event(event) => self.tell(Event::Sip(event)),
            }
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Sip(command) => self.us(Input::Command(command)),
            Effect::Probe { call } => {
                self.say("probe");
                let (headers, body) = (Headers::new(), Vec::new());
                let within = Within { call, method: sip::Method::Options, headers, body };
                let mut out = Vec::new();
                self.agent.request_within(self.now, within, &mut out).unwrap();
                self.we_said(out);
            }
            Effect::FetchLexicons { session, ticket, uris, .. } => {
                self.say(format!("fetch {}", uris.join(" ")));
                self.fetching = Some((session, ticket));
            }
            Effect::Send { connection, bytes } => self.answered(connection, &bytes),
            Effect::Close { connection } => self.say(format!("close {connection}")),
            Effect::Reserve { session, .. } => {
                let outcome = match self.trouble.take_if(|trouble| !at_open(trouble)) {
                    Some(busy) => Err(busy),
                    None => Ok(20_000),
                };
                if outcome.is_ok() {
                    let seat = Seat { media: None, playing: None, paused: false };
                    assert!(self.media.insert(session, seat).is_none(), "reserved twice");
                }
                self.tell(Event::Reserved { session, outcome });
            }
            Effect::Open { session, media } => {
                if let Some(busy) = self.trouble.take() {
                    self.media.remove(&session);
                    return self.tell(Event::Refused { session, busy });
                }
                self.say(format!("open {}", show(&media)));
                self.seat(session).media = Some(media);
            }
            Effect::Change { session, media } => {
                self.say(format!("change {}", show(&media)));
                self.count(session);
                self.seat(session).media = Some(media);
            }
            Effect::Release { session } => self.release(session),
            Effect::Prepare { session, program, blueprint, start, limit, .. } => {
                self.say(prepared(&blueprint, &start, limit.as_ref()));
                self.programs.insert(program, Program { session, started: false });
                if self.feeders == Feeders::Quick {
                    self.tell(Event::Feed(Feed::Ready { program }));
                }
            }
            Effect::Start { session, program, gain_db } => self.start(session, program, gain_db),
            Effect::Halt { session, program } => self.halt(session, program),
            Effect::Pause { session } => {
                self.say("pause");
                self.count(session);
                self.seat(session).paused = true;
            }
            Effect::Resume { session } => {
                self.say("resume");
                self.count(session);
                self.seat(session).paused = false;
            }
            Effect::Gain { db, .. } => self.say(format!("gain {db:.1}")),
        }
    }

    #[track_caller]
    fn seat(&mut self, session: SessionId) -> &mut Seat {
        self.media.get_mut(&session).expect("ports are reserved")
    }

    fn start(&mut self, session: SessionId, program: ProgramId, gain_db: f32) {
        let gain = if gain_db == 0.0 { String::new() } else { format!(" {gain_db:.1} dB") };
        self.say(format!("start{gain}"));
        self.programs.get_mut(&program).expect("it is prepared").started = true;
        let since = self.now;
        let seat = self.seat(session);
        assert!(seat.media.is_some(), "started without a stream");
        seat.paused = false;
        let replaced = seat.playing.replace(Playing { program, played_ms: 0, since });
        if let Some(old) = replaced {
            self.stopped(&old);
        }
    }

    fn halt(&mut self, session: SessionId, program: ProgramId) {
        self.say("halt");
        let Some(held) = self.programs.get(&program) else { return };
        assert_eq!(held.session, session);
        if !held.started {
            self.programs.remove(&program);
            return self.tell(Event::Stopped { program, at: 0 });
        }
        self.count(session);
        if let Some(playing) = self.seat(session).playing.take() {
            self.stopped(&playing);
        }
    }

    fn release(&mut self, session: SessionId) {
        self.say("release");
        self.count(session);
        let seat = self.media.remove(&session).expect("ports are reserved");
        if let Some(playing) = seat.playing {
            self.stopped(&playing);
        }
    }

    fn stopped(&mut self, playing: &Playing) {
        let program = playing.program;
        self.programs.remove(&program);
        self.tell(Event::Stopped { program, at: playing.played_ms * 8 });
    }

    /// Brings the place up to now.
    fn count(&mut self, session: SessionId) {
        let now = self.now;
        let Some(seat) = self.media.get_mut(&session) else { return };
        let held = seat.paused || seat.media.as_ref().is_some_and(|media| !media.sends);
        if let Some(playing) = &mut seat.playing {
            if !held {
                playing.played_ms += (now.as_micros() - playing.since.as_micros()) / 1_000;
            }
            playing.since = now;
        }
    }

    // Time and the wire.

    fn settle(&mut self) {
        while !self.wire.is_empty() {
            let (who, bytes) = self.wire.remove(0);
            match who {
                Who::Us => self.us(Input::Received { flow: flow(Who::Us), bytes }),
                Who::Caller if self.dead => {}
                Who::Caller => {
                    let mut out = Vec::new();
                    let input = Input::Received { flow: flow(Who::Caller), bytes };
                    self.caller.handle(self.now, input, &mut out);
                    self.caller_said(out);
                }
            }
        }
    }

    fn run(&mut self, for_ms: u64) {
        let end = self.now + Duration::from_millis(for_ms);
        loop {
            self.settle();
            let caller = self.caller.deadline().filter(|_| !self.dead);
            let deadlines = [caller, self.agent.deadline(), self.server.deadline()];
            let next = deadlines.into_iter().flatten().map(|(at, _)| at).min();
            let Some(next) = next.filter(|at| *at <= end) else { break };
            self.now = self.now.max(next);
            let due = |at: Option<(Now, &str)>| at.is_some_and(|(at, _)| at <= next);
            if due(caller) {
                let mut out = Vec::new();
                self.caller.handle(self.now, Input::Timeout, &mut out);
                self.caller_said(out);
            }
            if due(self.agent.deadline()) {
                self.us(Input::Timeout);
            }
            if due(self.server.deadline()) {
                self.tell(Event::Timeout);
            }
        }
        self.now = end;
    }
}

fn flow(at: Who) -> Flow {
    let (caller, us) = ("10.0.0.1:5060".parse().unwrap(), "10.0.0.2:5060".parse().unwrap());
    let (local, remote) = if at == Who::Caller { (caller, us) } else { (us, caller) };
    Flow { transport: Transport::Udp, local, remote, connection: None }
}

fn refusal(response: &Response) -> String {
    let mut told = response.status.number().to_string();
    for name in ["Warning", "Retry-After", "Reason"] {
        if let Some(value) = response.headers.get(name) {
            write!(told, " {name}: {value}").unwrap();
        }
    }
    told
}

fn show(media: &Media) -> String {
    let direction = match (media.sends, media.receives) {
        (true, true) => "sendrecv",
        (true, false) => "sendonly",
        (false, true) => "recvonly",
        (false, false) => "inactive",
    };
    format!("{} {:?} {direction}", media.remote, media.law)
}

/// An offer or answer of these lines: `audio[@HOST][,PORT][,DIRECTION]`, or a resource.
fn description(version: &mut u64, lines: &str) -> String {
    *version += 1;
    let mut sdp = format!(
        "v=0\r\no=caller 1 {version} IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\n"
    );
    for line in lines.split(' ') {
        let (line, off) = line.strip_prefix('-').map_or((line, false), |line| (line, true));
        let mut words = line.split(',');
        let name = words.next().unwrap();
        if let Some(host) = name.strip_prefix("audio") {
            let words: Vec<_> = words.collect();
            let port = words.iter().find_map(|word| word.parse::<u16>().ok()).unwrap_or(4_000);
            let port = if off { 0 } else { port };
            write!(sdp, "m=audio {port} RTP/AVP 0 8 101\r\na=mid:1\r\n").unwrap();
            if let Some(host) = host.strip_prefix('@') {
                write!(sdp, "c=IN IP4 {host}\r\n").unwrap();
            }
            sdp.push_str("a=rtpmap:101 telephone-event/8000\r\n");
            for word in words.iter().filter(|word| word.parse::<u16>().is_err()) {
                write!(sdp, "a={word}\r\n").unwrap();
            }
        } else if name == "video" {
            sdp.push_str("m=video 5000 RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\n");
        } else {
            let port = if off { 0 } else { 9 };
            write!(
                sdp,
                "m=application {port} TCP/MRCPv2 1\r\na=setup:active\r\na=connection:new\r\n\
                 a=resource:{name}\r\na=cmid:1\r\n"
            )
            .unwrap();
        }
    }
    sdp
}

/// Whether this is found out when the stream is opened, and not when its ports are taken.
fn at_open(busy: &Busy) -> bool {
    matches!(busy, Busy::Load | Busy::Unreachable(_))
}

/// A program as it is ordered.
fn prepared(blueprint: &Blueprint, start: &Start, limit: Option<&Limit>) -> String {
    let skip = match &start.skip {
        Skip::Samples(0) => String::new(),
        Skip::Samples(samples) => format!(" + {samples}"),
        Skip::Units(unit, count) => format!(" + {count} {unit:?}"),
        Skip::Mark(mark) => format!(" + mark {mark}"),
    };
    let from = match (start.step, skip.as_str()) {
        (0, "") => String::new(),
        (step, skip) => format!(" from {step}{skip}"),
    };
    let limit = limit.map_or_else(String::new, |limit| format!(" for {limit:?}"));
    format!("prepare {blueprint}{from}{limit}")
}

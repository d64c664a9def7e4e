//! The one loop of the control plane: events in, [`control::Effect`]s carried out. It owns the SIP
//! agent, the server's machine, the connections and the handles of the media plane, so nothing here
//! is shared or locked.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use audio::Gain;
use control::player::Ticket;
use control::{Busy, Effect, Failure, Feed, Media, Moment, ProgramId, Server};
use engine::{
    CommandError, Engines, Mono, Piece, Ports, Program, Receive, Report, StreamConfig, StreamKey,
    Way,
};
use mrcp::NtpTime;
use mrcp::lexicon::Lexicon;
use mrcp::synthesizer::LexiconFailure;
use sip::agent::{Agent, Flow, Input, Output, Transport};
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;
use vocab::{ConnectionId, SessionId};

use crate::clock::{Clock, wall};
use crate::messages::Heard;
use crate::net::stream::{self, Registry, Writer};
use crate::net::udp::UdpPort;
use crate::net::{NetEvent, Origin, Protocol};
use crate::services::Services;
use crate::settings::Used;
use crate::wire::Wire;
use crate::{feeder, lexicons};

mod ledger;
mod reporting;
mod telling;

pub use ledger::Told;
use ledger::{Ledger, Utterance};
pub use telling::{CallLook, Looks, Standing};

/// Events that may wait for the loop; past it whoever brings them waits for its turn, and TCP pushes
/// back. It is short: this is the time by which a flood of one peer holds up all others.
pub const EVENTS_MAX: usize = 512;

/// Events taken at once. The answers to them must fit the write queue of one connection.
const BATCH: usize = 32;

/// Everything that the loop hears.
#[derive(Debug)]
pub enum Event {
    /// A socket speaks.
    Net(NetEvent),
    /// An engine speaks.
    Engine(Report),
    /// A feeder speaks.
    Feed(Feed),
    /// A program begins with speech, by this provider's voice.
    Speaks {
        /// Which program.
        program: ProgramId,
        /// Who speaks in it first.
        voiced: Voiced,
    },
    /// A message begins in a program.
    Hears {
        /// Which program.
        program: ProgramId,
        /// Its number in it, as its tags have it.
        number: u32,
        /// What is to become of it.
        heard: Heard,
    },
    /// What became of the lexicons that a request wanted.
    Lexicons {
        /// Of which session.
        session: SessionId,
        /// Which request.
        ticket: Ticket,
        /// The lexicons, or why there are none.
        fetched: Result<Vec<Lexicon>, LexiconFailure>,
    },
    /// A feeder ended without a word: it was aborted, or it panicked.
    FeederGone(ProgramId),
    /// Somebody wants to know how things stand.
    Ask(oneshot::Sender<Standing>),
    /// Somebody wants to see every call and engine.
    Look(oneshot::Sender<Looks>),
    /// Somebody wants to know that the engines tick.
    Ticks(oneshot::Sender<Vec<u64>>),
    /// Settings have changed.
    Settings(Box<Used>),
    /// A capture has begun: it wants the media of calls that are up.
    Tap,
    /// No new calls.
    Drain,
    /// End every call.
    HangUp,
}

impl From<NetEvent> for Event {
    fn from(event: NetEvent) -> Self {
        Self::Net(event)
    }
}

/// Who speaks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Voiced {
    /// The provider's name.
    pub provider: Arc<str>,
    /// The voice's id.
    pub voice: Arc<str>,
    /// It was spoken before, and kept.
    pub cached: bool,
}

/// What the loop is made of.
#[derive(Debug)]
pub struct Parts {
    /// The SIP agent.
    pub agent: Agent,
    /// The machine that decides.
    pub server: Server,
    /// The media plane.
    pub engines: Engines,
    /// Where audio comes from.
    pub services: Arc<Services>,
    /// The UDP sockets of SIP.
    pub udp: Vec<UdpPort>,
    /// Limits of streams.
    pub limits: stream::Limits,
    /// Numbers of streams.
    pub registry: Registry,
    /// Sends to the loop's own channel.
    pub events: mpsc::Sender<Event>,
    /// How RTP is sent.
    pub media: MediaSettings,
    /// Who is told what is left of calls.
    pub told: Told,
    /// Who looks on.
    pub wire: Wire,
}

/// What every media stream has in common.
#[derive(Clone, Debug)]
pub struct MediaSettings {
    /// Our name in RTCP reports.
    pub cname: String,
    /// The marks on packets.
    pub dscp: engine::Marks,
    /// The address that media is sent from, for those who look on.
    pub local: std::net::IpAddr,
}

/// The loop.
#[derive(Debug)]
pub struct Wiring {
    parts: Parts,
    clock: Clock,
    links: BTreeMap<ConnectionId, Link>,
    dialled: BTreeMap<SocketAddr, Dialled>,
    media: BTreeMap<SessionId, Seat>,
    sessions: BTreeMap<StreamKey, SessionId>,
    programs: BTreeMap<ProgramId, Loaded>,
    /// What is left of calls that are over.
    ledger: Ledger,
    /// Orders that an engine had no room for, in their order.
    again: VecDeque<(StreamKey, Wish)>,
    /// Flows by which a message could not be sent; the agent is told when it has spoken out.
    failed: Vec<Flow>,
    tokens: vocab::Tokens,
}

/// What a stream is told; it must come to pass, however busy its engine is.
#[derive(Clone, Copy, Debug)]
enum Wish {
    Silence,
    Pause,
    Resume,
    Gain(Gain),
    Remove,
}

/// How long goodbyes are waited for once the last call is over.
const GOODBYES: Duration = Duration::from_secs(2);

/// How soon an engine that had no room is asked again.
const AGAIN: Duration = Duration::from_millis(5);

/// One open connection.
#[derive(Debug)]
struct Link {
    writer: Writer,
    flow: Flow,
    protocol: Protocol,
}

/// A peer that we dialled, or are dialling.
#[derive(Debug)]
enum Dialled {
    Waiting(Vec<Vec<u8>>),
    Up(ConnectionId),
}

/// Messages that may wait for one connection to be made.
const DIALLING_MAX: usize = 64;

/// A call's place in the media plane.
#[derive(Debug)]
enum Seat {
    /// Ports are taken, nothing is sent yet.
    Reserved(Ports),
    /// An engine sends.
    Open { key: StreamKey, hold: Hold, pace: Pace, held: Option<Mono> },
}

/// Whether the client lets the audio run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Pace {
    Running,
    Paused,
}

/// Whether the peer takes audio.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Hold {
    No,
    Yes,
}

/// A program and whoever fills it.
#[derive(Debug)]
struct Loaded {
    /// Until the engine has it.
    program: Option<Program>,
    /// When it was ordered.
    ordered: Mono,
    /// Who speaks in it first.
    voice: Option<Voiced>,
    utterance: Utterance,
    feeder: Option<AbortHandle>,
    /// Messages that it has come to, by number.
    messages: BTreeMap<u32, Heard>,
}

impl Loaded {
    const fn new(
        program: Option<Program>,
        ordered: Mono,
        utterance: Utterance,
        feeder: Option<AbortHandle>,
    ) -> Self {
        Self { program, ordered, voice: None, utterance, feeder, messages: BTreeMap::new() }
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        if let Some(feeder) = &self.feeder {
            feeder.abort();
        }
    }
}

impl Wiring {
    /// The loop, not yet running.
    pub fn new(parts: Parts, clock: Clock, seed: [u8; 32]) -> Self {
        Self {
            clock,
            links: BTreeMap::new(),
            dialled: BTreeMap::new(),
            media: BTreeMap::new(),
            sessions: BTreeMap::new(),
            programs: BTreeMap::new(),
            ledger: Ledger::new(parts.told.clone()),
            again: VecDeque::new(),
            failed: Vec::new(),
            tokens: vocab::Tokens::new(seed),
            parts,
        }
    }

    /// Runs until a drain is over: no call is left, and every goodbye was answered or given up.
    pub async fn run(mut self, mut events: mpsc::Receiver<Event>) {
        let mut batch = Vec::with_capacity(BATCH);
        let mut gone: Option<vocab::Now> = None;
        loop {
            let deadlines = [self.parts.agent.deadline(), self.parts.server.deadline()];
            let next = deadlines.into_iter().flatten().map(|(at, _)| at).min();
            let wake = next.map(|at| self.clock.instant(at));
            let again =
                (!self.again.is_empty()).then(|| self.clock.instant(self.clock.now() + AGAIN));
            let gone_at = gone.map(|at| self.clock.instant(at));
            let wake = [wake, again, gone_at].into_iter().flatten().min();
            tokio::select! {
                taken = events.recv_many(&mut batch, BATCH) => {
                    if taken == 0 {
                        return;
                    }
                    for event in batch.drain(..) {
                        self.take(event);
                    }
                    // A writer that we woke waits behind us on this thread.
                    tokio::task::yield_now().await;
                }
                () = sleep_until(wake) => {}
            }
            self.settle();
            if self.parts.server.is_drained() {
                // A goodbye that nobody answers is not waited for to its last repetition.
                let until = *gone.get_or_insert_with(|| self.clock.now() + GOODBYES);
                if self.parts.agent.counts().clients == 0 || self.clock.now() >= until {
                    return;
                }
            }
        }
    }

    /// Gives both machines the time, if it is theirs.
    fn settle(&mut self) {
        for (key, wish) in std::mem::take(&mut self.again) {
            self.command(key, wish);
        }
        for flow in std::mem::take(&mut self.failed) {
            self.agent(Input::SendFailed { flow });
        }
        let now = self.clock.now();
        if self.parts.agent.deadline().is_some_and(|(at, _)| at <= now) {
            self.agent(Input::Timeout);
        }
        if self.parts.server.deadline().is_some_and(|(at, _)| at <= now) {
            self.decide(control::Event::Timeout);
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Net(event) => self.net(event),
            Event::Engine(report) => self.report(report),
            Event::Feed(feed) => {
                if let Feed::Failed { program, failure } = &feed {
                    // What is wrong in a document repeats words of it (invariant 7).
                    let parse = matches!(failure, Failure::Parse(_));
                    let why = if parse {
                        "the document cannot be read".to_owned()
                    } else {
                        failure.to_string()
                    };
                    tracing::info!(target: "control", %program, why, "utterance fails");
                }
                self.decide(control::Event::Feed(feed));
            }
            Event::FeederGone(program) => self.feeder_gone(program),
            Event::Speaks { program, voiced } => {
                if let Some(loaded) = self.programs.get_mut(&program) {
                    loaded.voice = Some(voiced);
                }
            }
            Event::Hears { program, number, heard } => {
                if let Some(loaded) = self.programs.get_mut(&program) {
                    loaded.messages.insert(number, heard);
                }
            }
            Event::Lexicons { session, ticket, fetched } => {
                self.decide(control::Event::Lexicons { session, ticket, fetched });
            }
            Event::Ask(reply) => {
                // Whoever asked may be gone.
                let _ = reply.send(self.standing());
            }
            Event::Look(reply) => {
                let _ = reply.send(self.look());
            }
            Event::Ticks(reply) => {
                let loads = self.parts.engines.loads();
                let _ = reply.send(loads.iter().map(|load| load.ticks).collect());
            }
            Event::Settings(used) => {
                let Used { catalog, sessions_max, defaults } = *used;
                self.decide(control::Event::Catalog(catalog));
                self.decide(control::Event::Settings { sessions_max, defaults });
            }
            Event::Tap => self.tap_all(),
            Event::Drain => self.decide(control::Event::Drain),
            Event::HangUp => self.decide(control::Event::HangUp),
        }
    }

    fn net(&mut self, event: NetEvent) {
        match event {
            NetEvent::Sip { flow, bytes } => {
                self.parts.wire.sip(Way::In, &flow, &bytes);
                self.agent(Input::Received { flow, bytes });
            }
            NetEvent::Mrcp { connection, message } => {
                tracing::debug!(target: "mrcp", %connection, message = line(&message), "came");
                self.decide(control::Event::Mrcp { connection, message });
            }
            NetEvent::SipFault { flow, fault } => self.agent(Input::Faulty { flow, fault }),
            NetEvent::KeepAlive { flow } => {
                if let Some(connection) = flow.connection {
                    self.write(connection, b"\r\n".to_vec());
                }
            }
            NetEvent::MrcpFault { connection, fault } => {
                let link = self.links.get(&connection);
                let remote = link.map(|link| link.flow.remote.to_string()).unwrap_or_default();
                tracing::info!(target: "mrcp", %connection, remote, %fault, closes = !fault.is_recoverable(), "no MRCPv2 message");
                self.decide(control::Event::MrcpFault { connection, fault });
            }
            NetEvent::Opened { connection, protocol, local, remote, writer, origin } => {
                let transport = Transport::Tcp;
                let flow = Flow { transport, local, remote, connection: Some(connection) };
                self.links.insert(connection, Link { writer, flow, protocol });
                if origin == Origin::Dialled {
                    let waiting = self.dialled.insert(remote, Dialled::Up(connection));
                    if let Some(Dialled::Waiting(messages)) = waiting {
                        for bytes in messages {
                            self.write(connection, bytes);
                        }
                    }
                }
            }
            NetEvent::Idle { connection } => self.idle(connection),
            NetEvent::Closed { connection } => self.closed(connection),
            NetEvent::DialFailed { flow, why } => {
                tracing::info!(remote = %flow.remote, why, "cannot connect");
                self.dialled.remove(&flow.remote);
                self.agent(Input::FlowClosed { flow });
            }
        }
    }

    /// Closes a SIP connection that nobody speaks on, unless something stands on it.
    fn idle(&mut self, connection: ConnectionId) {
        let Some(link) = self.links.get(&connection) else { return };
        if !self.parts.agent.stands_on(link.flow) {
            tracing::debug!(remote = %link.flow.remote, "connection closed: idle");
            self.closed(connection);
        }
    }

    fn closed(&mut self, connection: ConnectionId) {
        let Some(link) = self.links.remove(&connection) else { return };
        match link.protocol {
            Protocol::Sip => {
                self.dialled.retain(
                    |_, dialled| !matches!(dialled, Dialled::Up(number) if *number == connection),
                );
                self.agent(Input::FlowClosed { flow: link.flow });
            }
            Protocol::Mrcp => self.decide(control::Event::Closed { connection }),
        }
    }

    fn agent(&mut self, input: Input) {
        let mut outputs = Vec::new();
        self.parts.agent.handle(self.clock.now(), input, &mut outputs);
        self.agent_said(outputs);
    }

    fn agent_said(&mut self, outputs: Vec<Output>) {
        for output in outputs {
            match output {
                Output::Send { flow, bytes } => self.send(flow, bytes),
                Output::Event(event) => {
                    self.log(&event);
                    self.decide(control::Event::Sip(event));
                }
            }
        }
    }

    fn send(&mut self, flow: Flow, bytes: Vec<u8>) {
        self.parts.wire.sip(Way::Out, &flow, &bytes);
        match flow.transport {
            Transport::Udp => {
                let port = self.parts.udp.iter().find(|port| port.local() == flow.local);
                let sent = port.map(|port| port.send(flow.remote, &bytes));
                if !matches!(sent, Some(Ok(()))) {
                    tracing::debug!(remote = %flow.remote, ?sent, "datagram not sent");
                    self.failed.push(flow);
                }
            }
            Transport::Tcp => match flow.connection {
                Some(connection) if self.links.contains_key(&connection) => {
                    self.write(connection, bytes);
                }
                Some(_) | None => self.dial(Flow { connection: None, ..flow }, bytes),
            },
        }
    }

    /// Calls begin and end at INFO; who calls whom is about people and stays out (invariant 7).
    fn log(&mut self, event: &sip::agent::Event) {
        use sip::agent::Event;
        if let Event::Invited { call, flow, request, .. } = event {
            let transport = flow.transport.as_str();
            let (number, remote) = (call.number(), flow.remote);
            let call_id = request.headers.get("Call-ID").unwrap_or_default();
            tracing::info!(target: "control", call = number, call_id, %remote, transport, "call begins");
            self.arrives(*call, flow, call_id);
        } else if let Event::Ended { call, why } = event {
            tracing::info!(target: "control", call = call.number(), ?why, "call ends");
            self.record(*call, *why);
        }
    }

    fn dial(&mut self, flow: Flow, bytes: Vec<u8>) {
        match self.dialled.get_mut(&flow.remote) {
            Some(Dialled::Up(connection)) => {
                let connection = *connection;
                self.write(connection, bytes);
            }
            Some(Dialled::Waiting(messages)) => {
                if messages.len() < DIALLING_MAX {
                    messages.push(bytes);
                } else {
                    self.failed.push(flow);
                }
            }
            None => {
                self.dialled.insert(flow.remote, Dialled::Waiting(vec![bytes]));
                let (limits, registry) = (self.parts.limits, self.parts.registry.clone());
                tokio::spawn(stream::dial(flow, limits, registry, self.parts.events.clone()));
            }
        }
    }

    fn write(&mut self, connection: ConnectionId, bytes: Vec<u8>) {
        let Some(link) = self.links.get(&connection) else { return };
        self.parts.wire.stream(link.flow.local, link.flow.remote, &bytes);
        if link.writer.send(bytes).is_err() {
            tracing::info!(remote = %link.flow.remote, "connection closed: the peer does not read");
            self.closed(connection);
        }
    }

    fn decide(&mut self, event: control::Event) {
        let mut effects = Vec::new();
        let moment = Moment { now: self.clock.now(), at: NtpTime::from_unix(wall()) };
        self.parts.server.handle(moment, event, &mut effects);
        for effect in effects {
            self.carry_out(effect);
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Sip(command) => {
                if let sip::agent::Command::Reject { call, status, headers } = &command {
                    self.says_why(*call, Some(status.number()), headers);
                } else if let sip::agent::Command::Bye { call, headers } = &command {
                    self.says_why(*call, None, headers);
                }
                self.agent(Input::Command(command));
            }
            Effect::Probe { call } => self.probe(call),
            Effect::Send { connection, bytes } => {
                tracing::debug!(target: "mrcp", %connection, message = %headline(&bytes), "goes");
                self.write(connection, bytes);
            }
            Effect::FetchLexicons { session, ticket, uris, timeout } => {
                self.fetch_lexicons((session, ticket), uris, timeout);
            }
            Effect::Close { connection } => self.closed(connection),
            Effect::Reserve { session, .. } => self.reserve(session),
            Effect::Open { session, media } => self.open(session, &media),
            Effect::Change { session, media } => self.change(session, &media),
            Effect::Release { session } => self.release(session),
            Effect::Prepare { session, program, blueprint, start, limit, logging_tag } => {
                let tag = logging_tag.as_deref();
                tracing::info!(target: "control", %session, %program, tag, "utterance begins");
                tracing::debug!(target: "control", %program, %blueprint, "steps");
                self.prepare(session, feeder::Order { program, blueprint, start, limit });
            }
            Effect::Start { session, program, gain_db } => self.start(session, program, gain_db),
            Effect::Halt { session, program } => self.halt(session, program),
            Effect::Pause { session } => self.pace(session, Pace::Paused),
            Effect::Resume { session } => self.pace(session, Pace::Running),
            Effect::Gain { session, db } => {
                if let Some(Seat::Open { key, .. }) = self.media.get(&session) {
                    self.command(*key, Wish::Gain(Gain::from_db(db)));
                }
            }
        }
    }

    fn probe(&mut self, call: sip::agent::Call) {
        let mut outputs = Vec::new();
        let now = self.clock.now();
        let options = sip::agent::Within {
            call,
            method: sip::Method::Options,
            headers: sip::Headers::default(),
            body: Vec::new(),
        };
        let asked = self.parts.agent.request_within(now, options, &mut outputs);
        if let Err(error) = asked {
            tracing::debug!(%error, "peer not asked");
        }
        self.agent_said(outputs);
    }

    fn reserve(&mut self, session: SessionId) {
        let outcome = match self.parts.engines.reserve() {
            Ok(ports) => {
                let port = ports.rtp();
                self.media.insert(session, Seat::Reserved(ports));
                Ok(port)
            }
            Err(engine::ReserveError::PortsExhausted { .. }) => Err(Busy::Ports),
            Err(error) => Err(Busy::System(error.to_string())),
        };
        self.decide(control::Event::Reserved { session, outcome });
    }

    fn open(&mut self, session: SessionId, media: &Media) {
        let Some(Seat::Reserved(ports)) = self.media.remove(&session) else { return };
        let config = self.stream_config(media);
        match self.parts.engines.add(ports, &config) {
            Ok(key) => {
                self.sessions.insert(key, session);
                let hold = if media.sends { Hold::No } else { Hold::Yes };
                self.media
                    .insert(session, Seat::Open { key, hold, pace: Pace::Running, held: None });
                self.apply_pace(session);
                self.tap(session);
            }
            Err(error) => {
                tracing::warn!(%session, %error, "no media stream");
                let busy = match error {
                    engine::Refused::Overloaded { .. } => Busy::Load,
                    engine::Refused::Io(why) => Busy::Unreachable(format!(
                        "audio cannot be sent to {}: {why}",
                        media.remote
                    )),
                    error @ (engine::Refused::StreamsFull | engine::Refused::Busy) => {
                        Busy::System(error.to_string())
                    }
                };
                self.decide(control::Event::Refused { session, busy });
            }
        }
    }

    fn change(&mut self, session: SessionId, media: &Media) {
        let config = self.stream_config(media);
        let Some(Seat::Open { key, hold, .. }) = self.media.get_mut(&session) else { return };
        *hold = if media.sends { Hold::No } else { Hold::Yes };
        if let Err(error) = self.parts.engines.update(*key, &config) {
            tracing::warn!(%session, %error, "media stream not changed");
            let busy = match error {
                CommandError::Io(why) => Busy::Unreachable(why.to_string()),
                error @ (CommandError::NoSuchStream | CommandError::Busy) => {
                    Busy::System(error.to_string())
                }
            };
            return self.decide(control::Event::Refused { session, busy });
        }
        self.apply_pace(session);
        // Captures shall have its new addresses.
        self.tap(session);
    }

    fn stream_config(&mut self, media: &Media) -> StreamConfig {
        StreamConfig {
            remote_rtp: media.remote,
            remote_rtcp: Some(media.remote_rtcp),
            law: media.law,
            payload_type: media.payload_type,
            ptime: rtp::Ptime::exact(media.ptime_ms).unwrap_or(rtp::Ptime::DEFAULT),
            telephone_event: media.telephone_event,
            receive: if media.receives { Receive::Listen } else { Receive::Ignore },
            start: rtp::Start::draw(&mut self.tokens),
            cname: self.parts.media.cname.clone(),
            dscp: self.parts.media.dscp,
        }
    }

    fn release(&mut self, session: SessionId) {
        if let Some(Seat::Open { key, .. }) = self.media.remove(&session) {
            self.sessions.remove(&key);
            self.command(key, Wish::Remove);
        }
    }

    /// Loads a program: at once where nothing but one live source is heard, else by a feeder.
    fn prepare(&mut self, session: SessionId, order: feeder::Order) {
        let id = order.program;
        self.hears(session, &order.blueprint);
        let context = self.context_of(session);
        let utterance = Utterance { context, steps: Arc::clone(&order.blueprint), spoke: None };
        let number = engine::ProgramId::from_number(id.number());
        let ordered = engine::clock::now();
        let whole = order.limit.is_none() && order.start == control::position::Start::default();
        if let Some(name) = order.blueprint.only_live().filter(|_| whole)
            && let Ok(ring) = self.parts.services.live(name)
        {
            let (mut pieces, program) = Program::new(number, Gain::UNITY, LIVE_PIECES);
            // The ring is as large as what goes in.
            let _ = pieces.push(Piece::Live { ring, samples: None });
            let _ = pieces.push(Piece::End);
            let program = Some(program);
            self.programs.insert(id, Loaded::new(program, ordered, utterance, None));
            return self.decide(control::Event::Feed(Feed::Ready { program: id }));
        }
        let (pieces, program) = Program::new(number, Gain::UNITY, feeder::PIECES_MAX);
        let (services, events) = (Arc::clone(&self.parts.services), self.parts.events.clone());
        let task = tokio::spawn(feeder::run(order, pieces, services, events));
        let feeder = Some(task.abort_handle());
        let program = Some(program);
        self.programs.insert(id, Loaded::new(program, ordered, utterance, feeder));
    }

    /// The packet with a program's first speech was sent.
    fn spoke(&mut self, program: ProgramId, sent_at: Mono) {
        let Some(loaded) = self.programs.get_mut(&program) else { return };
        let Some(Voiced { provider, voice, cached }) = loaded.voice.take() else { return };
        let after = sent_at.since(loaded.ordered);
        let first_ms = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        let by = &*provider;
        let voiced = Voiced { provider: Arc::clone(&provider), voice: Arc::clone(&voice), cached };
        loaded.utterance.spoke = Some((voiced, first_ms));
        tracing::info!(target: "control", %program, provider = by, voice = &*voice, cached, first_ms, "speaks");
        self.parts.services.first_audio.observe(by, after);
        let by = control::Spoken { provider, voice, after };
        self.decide(control::Event::Spoke { program, by });
    }

    /// Fetches lexicons for a request; the answer comes as an event.
    fn fetch_lexicons(
        &self,
        (session, ticket): (SessionId, Ticket),
        uris: Vec<String>,
        timeout: Option<Duration>,
    ) {
        let (services, events) = (Arc::clone(&self.parts.services), self.parts.events.clone());
        tokio::spawn(async move {
            let fetched = lexicons::fetch(&services.prompts, uris, timeout).await;
            // The loop is gone at the server's end only.
            let _ = events.send(Event::Lexicons { session, ticket, fetched }).await;
        });
    }

    fn start(&mut self, session: SessionId, id: ProgramId, gain_db: f32) {
        let Some(Seat::Open { key, pace, .. }) = self.media.get_mut(&session) else {
            return self.lose(id, "the call has no media stream");
        };
        let program = self.programs.get_mut(&id).and_then(|loaded| loaded.program.take());
        let Some(program) = program else { return };
        *pace = Pace::Running;
        let program = Program { gain: Gain::from_db(gain_db), ..program };
        if let Err(error) = self.parts.engines.play(*key, program) {
            tracing::warn!(%session, %error, "program not played");
            return self.lose(id, &error.to_string());
        }
        self.apply_pace(session);
    }

    fn halt(&mut self, session: SessionId, id: ProgramId) {
        let Some(loaded) = self.programs.get(&id) else { return };
        match self.media.get(&session) {
            // The feeder goes on until the engine's report, so that its ring is not taken for one
            // that was abandoned.
            Some(Seat::Open { key, .. }) if loaded.program.is_none() => {
                self.command(*key, Wish::Silence);
            }
            // It never started, or there is nothing left that it could have started in.
            Some(Seat::Open { .. } | Seat::Reserved(_)) | None => {
                self.program_over(id, None);
                self.decide(control::Event::Stopped { program: id, at: 0 });
            }
        }
    }

    /// Orders a stream; what the engine has no room for is ordered again.
    fn command(&mut self, key: StreamKey, wish: Wish) {
        let engines = &self.parts.engines;
        let done = match wish {
            // Orders keep their order.
            _ if self.again.iter().any(|(waiting, _)| *waiting == key) => Err(CommandError::Busy),
            Wish::Silence => engines.silence(key),
            Wish::Pause => engines.pause(key),
            Wish::Resume => engines.resume(key),
            Wish::Gain(gain) => engines.gain(key, gain),
            Wish::Remove => engines.remove(key),
        };
        match done {
            Ok(()) => {}
            Err(CommandError::Busy) => self.again.push_back((key, wish)),
            Err(error) => tracing::warn!(stream = %key, %error, ?wish, "not done"),
        }
    }

    fn pace(&mut self, session: SessionId, wanted: Pace) {
        if let Some(Seat::Open { pace, .. }) = self.media.get_mut(&session) {
            *pace = wanted;
        }
        self.apply_pace(session);
    }

    /// Sends unless the client paused it or the peer holds the call.
    fn apply_pace(&mut self, session: SessionId) {
        let Some(Seat::Open { key, hold, pace, held }) = self.media.get_mut(&session) else {
            return;
        };
        let wish = match (hold, pace) {
            (Hold::No, Pace::Running) => {
                *held = None;
                Wish::Resume
            }
            (Hold::Yes, _) | (_, Pace::Paused) => {
                held.get_or_insert_with(engine::clock::now);
                Wish::Pause
            }
        };
        let key = *key;
        self.command(key, wish);
    }
}

/// What a message is, in a line.
fn line(message: &mrcp::Message) -> String {
    use mrcp::Message;
    let channel = message.channel();
    match message {
        Message::Request(request) => format!("{} {} {channel}", request.method, request.id),
        Message::Response(response) => format!("{} {} {channel}", response.id, response.status),
        Message::Event(event) => format!("{} {} {channel}", event.name, event.id),
    }
}

/// The first line of a message.
pub(crate) fn headline(message: &[u8]) -> std::borrow::Cow<'_, str> {
    let line = message.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
    String::from_utf8_lossy(line)
}

/// Pieces of a program that is one live source: the source and the end.
const LIVE_PIECES: usize = 2;

fn program_of(id: engine::ProgramId) -> ProgramId {
    ProgramId::from_number(id.number())
}

/// A moment of the media clock on the wall clock.
fn ntp(at: Mono) -> NtpTime {
    let ago = engine::clock::now().since(at);
    NtpTime::from_unix(wall().saturating_sub(ago))
}

async fn sleep_until(at: Option<tokio::time::Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

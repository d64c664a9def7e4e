//! The one machine: takes calls, hands requests to their channels, keeps nothing of a call that is
//! over.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mrcp::ChannelId;
use sip::agent::{Call, Command, Event as SipEvent, Origin, ServerTransaction};
use sip::headers::Headers;
use sip::sdp::mrcp::Capabilities;
use sip::status::StatusCode;
use vocab::{ConnectionId, Now, SessionId, Tokens};

use crate::capabilities::Catalog;
use crate::event::{Busy, Effect, Event, Moment, ProgramId};
use crate::negotiation::Refusal;
use crate::player::Ids;
use crate::playout::Defaults;
use crate::session::{Context, Invitation, Session};
use crate::survey::Survey;

/// When a peer is asked whether it is still there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Liveness {
    /// After silence of this length: 60 s.
    pub silent: Duration,
    /// This long after a sign that it is gone (its connection closed, its port refuses): 1 s.
    pub suspect: Duration,
}

impl Default for Liveness {
    fn default() -> Self {
        Self { silent: Duration::from_secs(60), suspect: Duration::from_secs(1) }
    }
}

/// What the server is told once.
#[derive(Clone, Debug)]
pub struct Config {
    /// Seed of channel identifiers.
    pub seed: [u8; 32],
    /// Calls at one time: `general.mrcp.max_sessions`.
    pub sessions_max: usize,
    /// The port that session descriptions name for MRCPv2.
    pub mrcp_port: u16,
    /// The laws, resources and addresses of our session descriptions.
    pub capabilities: Capabilities,
    /// Language, voice, rate and volume where nothing else is said.
    pub defaults: Defaults,
    /// What calls may ask for.
    pub catalog: Catalog,
    /// When a silent peer is asked whether it is still there.
    pub liveness: Liveness,
}

/// What the server holds: all zero once every call is over.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// Calls.
    pub sessions: usize,
    /// MRCPv2 channels.
    pub channels: usize,
    /// Programs that are prepared or play.
    pub programs: usize,
    /// Connections, once for each call that they serve.
    pub connections: usize,
    /// Moments at which a call is looked at.
    pub checks: usize,
}

/// The machine that decides. See [`Server::handle`].
#[derive(Debug)]
pub struct Server {
    config: Config,
    tokens: Tokens,
    ids: Ids,
    next: u64,
    /// Boxed, because a map moves what it holds.
    sessions: BTreeMap<SessionId, Box<Session>>,
    calls: BTreeMap<Call, SessionId>,
    channels: BTreeMap<ChannelId, SessionId>,
    connections: BTreeSet<(ConnectionId, SessionId)>,
    programs: BTreeMap<ProgramId, SessionId>,
    checks: BTreeSet<(Now, SessionId)>,
    open: Doors,
}

/// Whether new calls are taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Doors {
    Open,
    Draining,
}

impl Server {
    /// A server without calls.
    pub fn new(config: Config) -> Self {
        Self {
            tokens: Tokens::new(config.seed),
            config,
            ids: Ids::default(),
            next: 1,
            sessions: BTreeMap::new(),
            calls: BTreeMap::new(),
            channels: BTreeMap::new(),
            connections: BTreeSet::new(),
            programs: BTreeMap::new(),
            checks: BTreeSet::new(),
            open: Doors::Open,
        }
    }

    /// What is held now.
    pub fn counts(&self) -> Counts {
        Counts {
            sessions: self.sessions.len(),
            channels: self.channels.len(),
            programs: self.programs.len(),
            connections: self.connections.len(),
            checks: self.checks.len(),
        }
    }

    /// Every call as it stands, in the order in which they came.
    pub fn survey(&self) -> Vec<Survey> {
        self.sessions.values().map(|session| session.survey()).collect()
    }

    /// One call as it stands.
    pub fn survey_of(&self, call: Call) -> Option<Survey> {
        let session = self.sessions.get(self.calls.get(&call)?)?;
        Some(session.survey())
    }

    /// One session as it stands.
    pub fn survey_in(&self, session: SessionId) -> Option<Survey> {
        Some(self.sessions.get(&session)?.survey())
    }

    /// Whether no new calls are taken any more.
    pub fn is_draining(&self) -> bool {
        self.open == Doors::Draining
    }

    /// Whether a drain was ordered and the last call is over.
    pub fn is_drained(&self) -> bool {
        self.open == Doors::Draining && self.sessions.is_empty()
    }

    /// When to come back if nothing else happens, and for what.
    pub fn deadline(&self) -> Option<(Now, &'static str)> {
        self.checks.first().map(|(at, _)| (*at, "is the peer still there"))
    }

    /// Takes one event; appends what must be done to `out`.
    pub fn handle(&mut self, moment: Moment, event: Event, out: &mut Vec<Effect>) {
        match event {
            Event::Sip(event) => self.sip(moment, event, out),
            Event::Mrcp { connection, message } => self.mrcp(moment, connection, *message, out),
            Event::MrcpFault { connection, fault } => {
                if let Some(bytes) = fault.answer() {
                    out.push(Effect::Send { connection, bytes });
                }
                if !fault.is_recoverable() {
                    out.push(Effect::Close { connection });
                }
            }
            Event::Closed { connection } => self.closed(moment.now, connection),
            Event::Reserved { session, outcome } => self.reserved(moment, session, outcome, out),
            Event::Refused { session, busy } => self.refused(moment, session, &busy, out),
            Event::Feed(feed) => {
                if let Some(id) = self.playing(feed.program()) {
                    self.with(moment, id, out, |session, context| session.feed(feed, context));
                }
            }
            Event::Spoke { program, by } => {
                if let Some(id) = self.playing(program) {
                    self.with(moment, id, out, |session, context| {
                        session.spoke(program, &by, context);
                    });
                }
            }
            Event::Lexicons { session, ticket, fetched } => {
                self.with(moment, session, out, |session, context| {
                    session.lexicons(ticket, fetched, context);
                });
            }
            Event::Passed { program, tag, at } => {
                if let Some(id) = self.playing(program) {
                    let moment = Moment { at, ..moment };
                    self.with(moment, id, out, |session, context| {
                        session.passed(program, tag, context);
                    });
                }
            }
            Event::Finished { program } => {
                if let Some(id) = self.playing(program) {
                    self.with(moment, id, out, |session, context| {
                        session.finished(program, context);
                    });
                }
            }
            Event::Stopped { program, at: samples } => {
                if let Some(id) = self.playing(program) {
                    self.with(moment, id, out, |session, context| {
                        session.stopped(program, samples, context);
                    });
                }
            }
            Event::MediaGone { session } => self.suspect(moment.now, session),
            Event::Catalog(catalog) => self.config.catalog = catalog,
            Event::Settings { sessions_max, defaults } => {
                (self.config.sessions_max, self.config.defaults) = (sessions_max, defaults);
            }
            Event::Drain => self.open = Doors::Draining,
            Event::HangUp => {
                for session in self.sessions.values() {
                    out.push(bye(session.call(), None));
                }
            }
            Event::Timeout => self.timeout(moment, out),
        }
    }

    fn sip(&mut self, moment: Moment, event: SipEvent, out: &mut Vec<Effect>) {
        match event {
            SipEvent::Invited { call, flow, request, offer } => {
                let invitation = Invitation { call, peer: flow.remote, request, offer };
                self.invited(moment, &invitation, out);
            }
            SipEvent::Offered { call, offer, .. } => {
                self.on_call(moment, call, out, |session, context| {
                    session.offered(offer.as_deref(), context);
                });
            }
            SipEvent::Acked { call, answer } => {
                self.on_call(moment, call, out, |session, context| {
                    session.acked(answer.as_deref(), context);
                });
            }
            SipEvent::Ended { call, .. } => self.ended(call, out),
            SipEvent::Options { transaction, call, .. } => {
                let session = call.and_then(|call| self.calls.get(&call).copied());
                if let Some(id) = session {
                    self.heard(moment.now, id);
                }
                self.options(transaction, session, out);
            }
            // INFO and MESSAGE carry nothing that we act upon; RFC 6086 §4.2.2 has 200 for it.
            SipEvent::Request { transaction, call, .. } => {
                if let Some(id) = call.and_then(|call| self.calls.get(&call).copied()) {
                    self.heard(moment.now, id);
                }
                out.push(respond(transaction, StatusCode::OK, Headers::default(), Vec::new()));
            }
            SipEvent::Response { call: Some(call), response, origin, .. } => {
                let Some(id) = self.calls.get(&call).copied() else { return };
                // The answer to a probe. 408 and 481 end the call by themselves. A peer's own 503
                // is a sign of life; ours says that it cannot be reached.
                if origin == Origin::FlowFailed {
                    out.push(bye(call, None));
                } else if response.status.number() >= 200 {
                    self.heard(moment.now, id);
                }
            }
            SipEvent::FlowClosed { call } => {
                if let Some(id) = self.calls.get(&call).copied() {
                    self.suspect(moment.now, id);
                }
            }
            SipEvent::Answered { call, .. } => out.push(bye(call, None)),
            SipEvent::OfferWithdrawn { .. }
            | SipEvent::Progress { .. }
            | SipEvent::Updated { .. }
            | SipEvent::ReofferRefused { .. }
            | SipEvent::Refused { .. }
            | SipEvent::Response { .. }
            | SipEvent::Misplaced { .. } => {}
        }
    }

    fn invited(&mut self, moment: Moment, invitation: &Invitation, out: &mut Vec<Effect>) {
        let call = invitation.call;
        if let Some(refusal) = self.full() {
            return out.push(reject(call, &refusal));
        }
        let id = SessionId::from_number(self.next);
        self.next += 1;
        let offered = (&self.config.catalog, &self.config.capabilities);
        match Session::invited(id, invitation, offered) {
            Ok(session) => {
                self.sessions.insert(id, Box::new(session));
                self.calls.insert(call, id);
                self.look(id, moment.now + self.config.liveness.silent);
                self.with(moment, id, out, Session::begin);
            }
            Err(refusal) => out.push(reject(call, &refusal)),
        }
    }

    fn reserved(
        &mut self,
        moment: Moment,
        id: SessionId,
        outcome: Result<u16, Busy>,
        out: &mut Vec<Effect>,
    ) {
        match outcome {
            Ok(port) => {
                self.with(moment, id, out, |session, context| session.reserved(port, context));
            }
            Err(busy) => {
                let refusal = Refusal::unavailable(&busy.to_string());
                self.with(moment, id, out, |session, context| session.refuse(&refusal, context));
            }
        }
    }

    fn refused(&mut self, moment: Moment, id: SessionId, busy: &Busy, out: &mut Vec<Effect>) {
        let why = busy.to_string();
        let refusal = match busy {
            Busy::Unreachable(_) => Refusal::unreachable(&why),
            Busy::Ports | Busy::Load | Busy::System(_) => Refusal::unavailable(&why),
        };
        self.with(moment, id, out, |session, context| session.unseated(&refusal, context));
    }

    /// RFC 3261 §11.2: answered as an INVITE would be. Within a call it asks for that call, which
    /// is there whatever else is full.
    fn options(
        &self,
        transaction: ServerTransaction,
        session: Option<SessionId>,
        out: &mut Vec<Effect>,
    ) {
        if session.is_none()
            && let Some(refusal) = self.full()
        {
            let (status, headers) = (refusal.status, refusal.headers());
            return out.push(respond(transaction, status, headers, Vec::new()));
        }
        let body = self.config.catalog.session_description(&self.config.capabilities).into_bytes();
        let mut headers = Headers::default();
        headers.push("Content-Type", "application/sdp");
        out.push(respond(transaction, StatusCode::OK, headers, body));
    }

    /// Why no call can be taken now.
    fn full(&self) -> Option<Refusal> {
        if self.open == Doors::Draining {
            return Some(Refusal::unavailable("the server is going down"));
        }
        let most = self.config.sessions_max;
        let why = format!("general.mrcp.max_sessions = {most}");
        (self.sessions.len() >= most).then(|| Refusal::unavailable(&why))
    }

    fn mrcp(
        &mut self,
        moment: Moment,
        connection: ConnectionId,
        message: mrcp::Message,
        out: &mut Vec<Effect>,
    ) {
        // A server is never asked anything by event or answer; both are ignored. RFC 6787 §5.
        let mrcp::Message::Request(request) = message else { return };
        let Some(id) = self.channels.get(&request.channel).copied() else {
            let answer = request.refuse(mrcp::Status::NO_RESOURCE);
            return out.push(Effect::Send { connection, bytes: answer.to_bytes() });
        };
        self.heard(moment.now, id);
        if self.connections.insert((connection, id))
            && let Some(session) = self.sessions.get_mut(&id)
        {
            session.connections.push(connection);
        }
        self.with(moment, id, out, |session, context| session.mrcp(connection, request, context));
    }

    fn closed(&mut self, now: Now, connection: ConnectionId) {
        let first = (connection, SessionId::from_number(0));
        let last = (connection, SessionId::from_number(u64::MAX));
        let served: Vec<_> = self.connections.range(first..=last).copied().collect();
        for entry in served {
            self.connections.remove(&entry);
            let (_, id) = entry;
            let Some(session) = self.sessions.get_mut(&id) else { continue };
            session.connections.retain(|held| *held != connection);
            if session.closed(connection) {
                self.suspect(now, id);
            }
        }
    }

    fn ended(&mut self, call: Call, out: &mut Vec<Effect>) {
        let Some(id) = self.calls.remove(&call) else { return };
        let Some(mut session) = self.sessions.remove(&id) else { return };
        if let Some(program) = session.program() {
            self.programs.remove(&program);
        }
        session.end(out);
        for channel in session.channel_ids() {
            self.channels.remove(channel);
        }
        for connection in &session.connections {
            self.connections.remove(&(*connection, id));
        }
        if let Some(due) = session.check {
            self.checks.remove(&(due, id));
        }
    }

    /// Looks at a session at `due`, unless it is looked at before.
    fn look(&mut self, id: SessionId, due: Now) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        match session.check {
            Some(planned) if planned <= due => {}
            planned => {
                if let Some(planned) = planned {
                    self.checks.remove(&(planned, id));
                }
                session.check = Some(due);
                self.checks.insert((due, id));
            }
        }
    }

    fn playing(&self, program: ProgramId) -> Option<SessionId> {
        self.programs.get(&program).copied()
    }

    fn heard(&mut self, now: Now, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.heard = now;
        }
    }

    /// Asks the peer soon whether it is still there.
    fn suspect(&mut self, now: Now, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.suspected = true;
            self.look(id, now + self.config.liveness.suspect);
        }
    }

    fn timeout(&mut self, moment: Moment, out: &mut Vec<Effect>) {
        while let Some((due, id)) =
            self.checks.first().copied().filter(|(due, _)| *due <= moment.now)
        {
            self.checks.remove(&(due, id));
            let Some(session) = self.sessions.get_mut(&id) else { continue };
            session.check = None;
            if session.suspected || moment.now.since(session.heard) >= self.config.liveness.silent {
                session.suspected = false;
                session.heard = moment.now;
                out.push(Effect::Probe { call: session.call() });
            }
            let next = session.heard + self.config.liveness.silent;
            self.look(id, next);
            self.with(moment, id, out, Session::expire);
        }
    }

    fn on_call(
        &mut self,
        moment: Moment,
        call: Call,
        out: &mut Vec<Effect>,
        act: impl FnOnce(&mut Session, &mut Context<'_>),
    ) {
        if let Some(id) = self.calls.get(&call).copied() {
            self.heard(moment.now, id);
            self.with(moment, id, out, act);
        }
    }

    /// Lets a session act, and keeps the tables of channels and deadlines as it leaves them.
    fn with(
        &mut self,
        moment: Moment,
        id: SessionId,
        out: &mut Vec<Effect>,
        act: impl FnOnce(&mut Session, &mut Context<'_>),
    ) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let before = session.program();
        let mut context = Context {
            now: moment.now,
            at: moment.at,
            catalog: &self.config.catalog,
            defaults: &self.config.defaults,
            capabilities: &self.config.capabilities,
            mrcp_port: self.config.mrcp_port,
            tokens: &mut self.tokens,
            ids: &mut self.ids,
            opened: Vec::new(),
            closed: Vec::new(),
            out,
        };
        act(session, &mut context);
        let (opened, closed) = (context.opened, context.closed);
        for channel in closed {
            self.channels.remove(&channel);
        }
        for channel in opened {
            self.channels.insert(channel, id);
        }
        let after = session.program();
        let deadline = session.deadline();
        if before != after {
            if let Some(program) = before {
                self.programs.remove(&program);
            }
            if let Some(program) = after {
                self.programs.insert(program, id);
            }
        }
        if let Some((due, _)) = deadline {
            self.look(id, due);
        }
    }
}

fn bye(call: Call, headers: Option<Headers>) -> Effect {
    Effect::Sip(Command::Bye { call, headers: headers.unwrap_or_default() })
}

fn reject(call: Call, refusal: &Refusal) -> Effect {
    Effect::Sip(Command::Reject { call, status: refusal.status, headers: refusal.headers() })
}

const fn respond(
    transaction: ServerTransaction,
    status: StatusCode,
    headers: Headers,
    body: Vec<u8>,
) -> Effect {
    Effect::Sip(Command::Respond { transaction, status, headers, body })
}

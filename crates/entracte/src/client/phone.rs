//! One SIP socket with an agent behind it. A task owns both; calls are placed by asking it.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sip::agent::{
    Address, Agent, AgentConfig, Call, Command, EndReason, Event, Flow, Input, Invite, Output,
    Transport,
};
use sip::headers::Headers;
use sip::message::Response;
use sip::status::StatusCode;
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use vocab::Now;

use crate::pcap::Capture;

/// Calls that may be asked for and not yet placed.
const ASKED_MAX: usize = 1_024;

/// The largest datagram that UDP has.
const DATAGRAM_BYTES_MAX: usize = 65_535;

/// A capture that several sockets write to.
pub type Tap = Arc<Mutex<Capture<io::BufWriter<std::fs::File>>>>;

/// Writes to a tap, if there is one; a capture that cannot be written does not stop a call.
pub(crate) fn tap(
    to: Option<&Tap>,
    write: impl FnOnce(&mut Capture<io::BufWriter<std::fs::File>>) -> io::Result<()>,
) {
    if let Some(tap) = to {
        let _ = write(&mut tap.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Writes what the capture still holds back.
pub fn flush(capture: &Tap) {
    tap(Some(capture), Capture::flush);
}

/// Why there is no phone.
#[derive(Debug)]
pub struct PhoneError(pub io::Error);

impl std::fmt::Display for PhoneError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "cannot open a SIP socket: {}", self.0)
    }
}

impl std::error::Error for PhoneError {}

/// Why a call did not come about.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum CallError {
    /// The server refused: status, reason phrase, Warning.
    Refused(u16, String, Option<String>),
    /// It was not sent, or nobody answered.
    Failed(String),
}

impl std::fmt::Display for CallError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused(status, reason, Some(warning)) => {
                write!(f, "{status} {reason} ({warning})")
            }
            Self::Refused(status, reason, None) => write!(f, "{status} {reason}"),
            Self::Failed(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for CallError {}

/// A call that was taken.
#[derive(Debug)]
pub struct Answer {
    /// Names the call to the phone.
    pub call: Call,
    /// The session description of the 200.
    pub sdp: Vec<u8>,
    /// When the INVITE was sent.
    pub invited: Instant,
    /// When the 200 was here.
    pub answered: Instant,
    /// Becomes `Some` when the call is over.
    pub ended: watch::Receiver<Option<EndReason>>,
}

enum Ask {
    Invite { target: String, sdp: Vec<u8>, reply: oneshot::Sender<Result<Answer, CallError>> },
    Bye { call: Call },
}

/// One SIP socket. Dropping it ends its task; calls that are up are not said goodbye to.
#[derive(Debug)]
pub struct Phone {
    asked: mpsc::Sender<Ask>,
    local: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Phone {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Phone {
    /// Opens a socket that talks to `server`; `tap` gets a copy of every message.
    ///
    /// # Errors
    /// When no socket can be had.
    pub async fn open(server: SocketAddr, tap: Option<Tap>) -> Result<Self, PhoneError> {
        let any: SocketAddr =
            if server.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0_u16; 8], 0).into() };
        let socket = UdpSocket::bind(any).await.map_err(PhoneError)?;
        socket.connect(server).await.map_err(PhoneError)?;
        let local = socket.local_addr().map_err(PhoneError)?;
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|error| PhoneError(io::Error::other(error)))?;
        let address =
            Address { transport: Transport::Udp, bound: local, host: None, port: local.port() };
        let mut config = AgentConfig::new(seed, vec![address]);
        config.user = "phone".into();
        let (asked, asks) = mpsc::channel(ASKED_MAX);
        let line = Line {
            socket,
            agent: Agent::new(config),
            flow: Flow { transport: Transport::Udp, local, remote: server, connection: None },
            origin: crate::clock::instant(),
            placing: BTreeMap::new(),
            up: BTreeMap::new(),
            tap,
        };
        Ok(Self { asked, local, task: tokio::spawn(line.run(asks)) })
    }

    /// Our address.
    pub const fn local(&self) -> SocketAddr {
        self.local
    }

    /// Calls `target`, a SIP URI, with an offer.
    ///
    /// # Errors
    /// [`CallError`] when the call is refused or nobody answers.
    pub async fn call(&self, target: &str, sdp: Vec<u8>) -> Result<Answer, CallError> {
        let (reply, answer) = oneshot::channel();
        let gone = || CallError::Failed("the phone is closed".to_owned());
        self.asked
            .send(Ask::Invite { target: target.to_owned(), sdp, reply })
            .await
            .map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    /// Hangs up, and waits for the end.
    pub async fn hang_up(&self, mut answer: Answer) {
        if self.asked.send(Ask::Bye { call: answer.call }).await.is_ok() {
            let ended = answer.ended.wait_for(Option::is_some);
            let _ = tokio::time::timeout(Duration::from_secs(5), ended).await;
        }
    }
}

struct Placing {
    invited: Instant,
    reply: oneshot::Sender<Result<Answer, CallError>>,
}

struct Line {
    socket: UdpSocket,
    agent: Agent,
    flow: Flow,
    origin: Instant,
    placing: BTreeMap<Call, Placing>,
    up: BTreeMap<Call, watch::Sender<Option<EndReason>>>,
    tap: Option<Tap>,
}

impl Line {
    async fn run(mut self, mut asks: mpsc::Receiver<Ask>) {
        let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
        loop {
            let wait = self
                .agent
                .deadline()
                .map_or(Duration::from_secs(60), |(at, _)| at.since(self.now()));
            tokio::select! {
                received = self.socket.recv(&mut buffer) => {
                    // An ICMP error of an earlier send is told by the transaction's timer.
                    let Ok(length) = received else { continue };
                    let bytes = buffer.get(..length).unwrap_or_default().to_vec();
                    tap(self.tap.as_ref(), |tap| {
                        tap.udp(crate::clock::wall(), self.flow.remote, self.flow.local, &bytes)
                    });
                    self.input(Input::Received { flow: self.flow, bytes });
                }
                ask = asks.recv() => match ask {
                    Some(Ask::Invite { target, sdp, reply }) => self.invite(&target, sdp, reply),
                    Some(Ask::Bye { call }) => {
                        self.input(Input::Command(Command::Bye { call, headers: Headers::default() }));
                    }
                    None => return,
                },
                () = tokio::time::sleep(wait) => self.input(Input::Timeout),
            }
        }
    }

    fn now(&self) -> Now {
        let micros = crate::clock::instant().duration_since(self.origin).as_micros();
        Now::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }

    fn invite(
        &mut self,
        target: &str,
        sdp: Vec<u8>,
        reply: oneshot::Sender<Result<Answer, CallError>>,
    ) {
        let Some(uri) = sip::AnyUri::parse(target) else {
            let _ = reply.send(Err(CallError::Failed(format!("{target} is no SIP URI"))));
            return;
        };
        let invite = Invite {
            target: uri,
            flow: self.flow,
            from: format!("<sip:phone@{}>", self.flow.local),
            to: format!("<{target}>"),
            headers: Headers::default(),
            sdp: Some(sdp),
        };
        let mut out = Vec::new();
        let now = self.now();
        let invited = crate::clock::instant();
        match self.agent.invite(now, invite, &mut out) {
            Ok(call) => {
                self.placing.insert(call, Placing { invited, reply });
            }
            Err(error) => {
                let _ = reply.send(Err(CallError::Failed(error.to_string())));
            }
        }
        self.carry_out(out);
    }

    fn input(&mut self, input: Input) {
        let mut out = Vec::new();
        self.agent.handle(self.now(), input, &mut out);
        self.carry_out(out);
    }

    fn carry_out(&mut self, outputs: Vec<Output>) {
        for output in outputs {
            match output {
                Output::Send { flow, bytes } => {
                    tap(self.tap.as_ref(), |tap| {
                        tap.udp(crate::clock::wall(), self.flow.local, flow.remote, &bytes)
                    });
                    // Lost or refused: the transaction sends again or gives up.
                    let _ = self.socket.try_send(&bytes);
                }
                Output::Event(event) => self.event(event),
            }
        }
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Answered { call, sdp, .. } => {
                self.input(Input::Command(Command::Ack { call, sdp: None }));
                let Some(Placing { invited, reply }) = self.placing.remove(&call) else { return };
                let (ends, ended) = watch::channel(None);
                self.up.insert(call, ends);
                let answer = Answer {
                    call,
                    sdp: sdp.unwrap_or_default(),
                    invited,
                    answered: crate::clock::instant(),
                    ended,
                };
                if reply.send(Ok(answer)).is_err() {
                    self.input(Input::Command(Command::Bye { call, headers: Headers::default() }));
                }
            }
            Event::Refused { call, response } => {
                if let Some(placing) = self.placing.remove(&call) {
                    let _ = placing.reply.send(Err(refused(&response)));
                }
            }
            Event::Ended { call, why } => {
                if let Some(placing) = self.placing.remove(&call) {
                    let _ = placing.reply.send(Err(CallError::Failed(format!("{why:?}"))));
                }
                if let Some(ends) = self.up.remove(&call) {
                    ends.send_replace(Some(why));
                }
            }
            Event::Options { transaction, .. } | Event::Request { transaction, .. } => {
                self.input(Input::Command(Command::Respond {
                    transaction,
                    status: StatusCode::OK,
                    headers: Headers::default(),
                    body: Vec::new(),
                }));
            }
            Event::Offered { call, .. } => {
                self.input(Input::Command(Command::RejectOffer {
                    call,
                    status: StatusCode::NOT_ACCEPTABLE_HERE,
                    headers: Headers::default(),
                }));
            }
            Event::Invited { call, .. } => {
                self.input(Input::Command(Command::Reject {
                    call,
                    status: StatusCode::BUSY_HERE,
                    headers: Headers::default(),
                }));
            }
            Event::OfferWithdrawn { .. }
            | Event::Acked { .. }
            | Event::Progress { .. }
            | Event::Updated { .. }
            | Event::ReofferRefused { .. }
            | Event::Response { .. }
            | Event::FlowClosed { .. }
            | Event::Misplaced { .. } => {}
        }
    }
}

fn refused(response: &Response) -> CallError {
    let warning = response.headers.get("Warning").map(str::to_owned);
    CallError::Refused(response.status.number(), response.reason.clone(), warning)
}

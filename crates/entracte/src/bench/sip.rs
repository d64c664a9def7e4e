//! The SIP side alone: so many calls a second over UDP, each with an offer for MRCPv2 and audio,
//! answered, held for a while and ended. One thread; messages are text with the changing parts put
//! in, so that the client costs little beside the server that is measured.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::figures::{Spread, millis};
use super::subject::Subject;
use super::usage::{Usage, each};
use crate::clock::instant;

/// A request without an answer is sent again after this. RFC 3261 §17.1.1.1, T1.
const AGAIN: Duration = Duration::from_millis(500);

/// How often a request is sent before its call counts as failed.
const TRIES_MAX: u8 = 7;

/// How long one wait for the socket is.
const WAIT: Duration = Duration::from_millis(1);

/// The kernel's buffers, bytes.
const BUFFER_BYTES: usize = 8 << 20;

/// Messages taken before it is looked what is due.
const BATCH: usize = 64;

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    /// New calls a second.
    pub rate: u32,
    /// How long calls are begun.
    pub seconds: u32,
    /// How long each is held.
    pub hold: Duration,
}

/// How far it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    /// Calls that were begun.
    pub begun: u32,
    /// Calls that are up.
    pub up: usize,
    /// Calls that ended well.
    pub ended: u32,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Calls that were begun.
    pub begun: u32,
    /// Calls that were answered, held and ended.
    pub ended: u32,
    /// Calls that failed, by the answer they got; 0 means none at all.
    pub failed: BTreeMap<u16, u32>,
    /// Requests that were sent again.
    pub again: u32,
    /// From INVITE to 200.
    pub answered: Spread,
    /// New calls in each second that there were, from the first to the last.
    pub rate: f64,
    /// CPU time of the server for each call, media threads not counted.
    pub cpu_each: Option<Duration>,
    /// The same of the media threads.
    pub engine_each: Option<Duration>,
}

impl Found {
    /// Whether every call went well.
    pub fn passed(&self) -> bool {
        self.begun == self.ended && self.failed.is_empty()
    }

    /// For a program to read.
    pub fn to_json(&self) -> Value {
        json!({
            "passed": self.passed(), "begun": self.begun, "ended": self.ended,
            "failed": self.failed, "sent_again": self.again, "calls_per_second": self.rate,
            "invite_to_200": self.answered.to_json(),
            "cpu_us_per_call": self.cpu_each.map(|each| millis(each) * 1e3),
            "engine_cpu_us_per_call": self.engine_each.map(|each| millis(each) * 1e3),
        })
    }
}

/// Where a call is.
#[derive(Debug)]
enum Stage {
    Inviting { since: Instant, tries: u8 },
    Up { to: Box<str>, contact: Box<str> },
    Leaving { to: Box<str>, contact: Box<str>, tries: u8 },
}

/// Which request waits for its answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Sent {
    Invite,
    Bye,
}

struct Generator {
    socket: UdpSocket,
    local: SocketAddr,
    server: SocketAddr,
    run: u32,
    calls: BTreeMap<u32, Stage>,
    leave: VecDeque<(Instant, u32)>,
    again: VecDeque<(Instant, u32, Sent)>,
    answered: Vec<Duration>,
    found: Found,
    up: usize,
    out: String,
}

/// Calls and ends; `tell` hears how far it is, twice a second.
///
/// # Errors
/// When there is no socket, or it breaks.
pub fn run(order: Order, subject: &Subject, mut tell: impl FnMut(Progress)) -> io::Result<Found> {
    let mut generator = Generator::open(subject.sip)?;
    let usage = || subject.pid.and_then(Usage::of);
    let before = usage();
    let total = order.rate.saturating_mul(order.seconds);
    let began = instant();
    let mut told = began;
    let mut lasted = Duration::ZERO;
    while generator.found.begun < total || !generator.calls.is_empty() {
        let now = instant();
        let passed = now.duration_since(began);
        let due = passed.as_micros() * u128::from(order.rate) / 1_000_000;
        let due = u32::try_from(due).unwrap_or(u32::MAX).min(total);
        while generator.found.begun < due {
            generator.invite(now)?;
            lasted = passed;
        }
        generator.due(now)?;
        generator.receive(order.hold)?;
        if now.duration_since(told) >= AGAIN {
            told = now;
            let Found { begun, ended, .. } = generator.found;
            tell(Progress { begun, up: generator.up, ended });
        }
    }
    let after = usage();
    let mut found = generator.found;
    found.answered = Spread::of(generator.answered);
    found.rate = f64::from(found.begun) / lasted.as_secs_f64().max(1e-9);
    if let (Some(before), Some(after)) = (before, after) {
        let spent = after.since(before);
        let share = |cost| Some(Duration::from_nanos(each(cost, u64::from(found.begun))));
        found.cpu_each = share(spent.rest);
        found.engine_each = share(spent.engine);
    }
    Ok(found)
}

impl Generator {
    fn open(server: SocketAddr) -> io::Result<Self> {
        let socket = UdpSocket::bind(SocketAddr::new(super::load::reached_by(server)?, 0))?;
        socket.connect(server)?;
        socket.set_read_timeout(Some(WAIT))?;
        // The system may give less.
        let kernel = socket2::SockRef::from(&socket);
        let _ = kernel.set_recv_buffer_size(BUFFER_BYTES);
        let _ = kernel.set_send_buffer_size(BUFFER_BYTES);
        let local = socket.local_addr()?;
        Ok(Self {
            socket,
            local,
            server,
            run: std::process::id(),
            calls: BTreeMap::new(),
            leave: VecDeque::new(),
            again: VecDeque::new(),
            answered: Vec::new(),
            found: Found::default(),
            up: 0,
            out: String::new(),
        })
    }

    fn invite(&mut self, now: Instant) -> io::Result<()> {
        let number = self.found.begun;
        self.found.begun += 1;
        self.calls.insert(number, Stage::Inviting { since: now, tries: 1 });
        self.again.push_back((now + AGAIN, number, Sent::Invite));
        self.send_invite(number)
    }

    /// Says the goodbyes that are due, and what had no answer once more.
    fn due(&mut self, now: Instant) -> io::Result<()> {
        while let Some(&(_, number)) = self.leave.front().filter(|(at, _)| *at <= now) {
            self.leave.pop_front();
            if let Some(Stage::Up { to, contact }) = self.calls.remove(&number) {
                self.up -= 1;
                self.send("BYE", number, &to, &contact)?;
                self.calls.insert(number, Stage::Leaving { to, contact, tries: 1 });
                self.again.push_back((now + AGAIN, number, Sent::Bye));
            }
        }
        while let Some(&(_, number, sent)) = self.again.front().filter(|(at, ..)| *at <= now) {
            self.again.pop_front();
            let ((Some(Stage::Inviting { tries, .. }), Sent::Invite)
            | (Some(Stage::Leaving { tries, .. }), Sent::Bye)) =
                (self.calls.get_mut(&number), sent)
            else {
                continue;
            };
            if *tries >= TRIES_MAX {
                self.calls.remove(&number);
                self.fail(0);
                continue;
            }
            *tries += 1;
            self.found.again += 1;
            self.again.push_back((now + AGAIN, number, sent));
            match self.calls.get(&number) {
                Some(Stage::Leaving { to, contact, .. }) => {
                    let (to, contact) = (to.clone(), contact.clone());
                    self.send("BYE", number, &to, &contact)?;
                }
                Some(Stage::Inviting { .. } | Stage::Up { .. }) | None => {
                    self.send_invite(number)?;
                }
            }
        }
        Ok(())
    }

    fn fail(&mut self, status: u16) {
        *self.found.failed.entry(status).or_default() += 1;
    }

    fn receive(&mut self, hold: Duration) -> io::Result<()> {
        let mut buffer = [0; 4_096];
        for _ in 0..BATCH {
            match self.socket.recv(&mut buffer) {
                Ok(length) => {
                    let text = std::str::from_utf8(buffer.get(..length).unwrap_or_default());
                    if let Some(response) = text.ok().and_then(Response::read) {
                        self.response(&response, hold)?;
                    }
                }
                Err(error) if is_pause(error.kind()) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn response(&mut self, response: &Response<'_>, hold: Duration) -> io::Result<()> {
        let Response { number, status, method, to, contact } = *response;
        if status < 200 {
            return Ok(());
        }
        match (self.calls.remove(&number), method, status) {
            (Some(Stage::Inviting { since, .. }), "INVITE", 200..=299) => {
                let now = instant();
                self.answered.push(now.duration_since(since));
                self.send("ACK", number, to, contact)?;
                self.up += 1;
                self.leave.push_back((now + hold, number));
                let (to, contact) = (to.into(), contact.into());
                self.calls.insert(number, Stage::Up { to, contact });
            }
            (Some(Stage::Inviting { .. }), "INVITE", _) => {
                self.fail(status);
                self.send("ACK", number, to, &format!("sip:mresources@{}", self.server))?;
            }
            (Some(Stage::Leaving { .. }), "BYE", 200..=299) => self.found.ended += 1,
            (Some(Stage::Leaving { .. }), "BYE", _) => self.fail(status),
            (stage, "INVITE", 200..=299) => {
                // The ACK was lost, or is still under way.
                self.send("ACK", number, to, contact)?;
                self.put_back(number, stage);
            }
            (stage, _, _) => self.put_back(number, stage),
        }
        Ok(())
    }

    fn put_back(&mut self, number: u32, stage: Option<Stage>) {
        if let Some(stage) = stage {
            self.calls.insert(number, stage);
        }
    }

    fn send_invite(&mut self, number: u32) -> io::Result<()> {
        let target = format!("sip:mresources@{}", self.server);
        self.send("INVITE", number, "<sip:mresources@bench>", &target)
    }

    fn send(&mut self, method: &str, number: u32, to: &str, target: &str) -> io::Result<()> {
        use std::fmt::Write as _;
        let Self { local, run, .. } = self;
        let ip = local.ip();
        let offer = match method {
            "INVITE" => format!(
                "v=0\r\no=- {number} 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\n\
                 m=application 9 TCP/MRCPv2 1\r\na=setup:active\r\na=connection:existing\r\n\
                 a=resource:speechsynth\r\na=cmid:1\r\n\
                 m=audio 30000 RTP/AVP 0 8 101\r\na=rtpmap:0 PCMU/8000\r\n\
                 a=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\n\
                 a=fmtp:101 0-15\r\na=recvonly\r\na=mid:1\r\n"
            ),
            _ => String::new(),
        };
        let sequence = if method == "BYE" { 2 } else { 1 };
        // The ACK of a 200 is a transaction of its own (RFC 3261 §13.2.2.4).
        let branch = if method == "ACK" && to.contains("tag=") { "a" } else { "i" };
        let branch = if method == "BYE" { "b" } else { branch };
        self.out.clear();
        // Writing to a string does not fail.
        let _ = write!(
            self.out,
            "{method} {target} SIP/2.0\r\n\
             Via: SIP/2.0/UDP {local};branch=z9hG4bK{run}-{number}-{branch};rport\r\n\
             Max-Forwards: 70\r\n\
             From: \"bench\" <sip:bench@{local}>;tag={run}-{number}\r\n\
             To: {to}\r\n\
             Call-ID: {number}-{run}@bench\r\n\
             CSeq: {sequence} {method}\r\n"
        );
        if !offer.is_empty() {
            let _ = write!(
                self.out,
                "Contact: <sip:bench@{local}>\r\nContent-Type: application/sdp\r\n"
            );
        }
        let _ = write!(self.out, "Content-Length: {}\r\n\r\n{offer}", offer.len());
        match self.socket.send(self.out.as_bytes()) {
            Ok(_) => Ok(()),
            // Full buffers lose the message, as the network may; it is sent again.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Nothing is there now, or another look is worth it.
fn is_pause(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

/// What is wanted of a response.
struct Response<'a> {
    number: u32,
    status: u16,
    method: &'a str,
    to: &'a str,
    contact: &'a str,
}

impl<'a> Response<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let mut lines = text.lines();
        let status = lines.next()?.strip_prefix("SIP/2.0 ")?.split(' ').next()?.parse().ok()?;
        let mut response = Self { number: 0, status, method: "", to: "", contact: "" };
        for line in lines.take_while(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':')?;
            let value = value.trim();
            match name {
                "Call-ID" => response.number = value.split('-').next()?.parse().ok()?,
                "CSeq" => response.method = value.split(' ').nth(1)?,
                "To" => response.to = value,
                "Contact" => response.contact = value.split(['<', '>']).nth(1)?,
                _ => {}
            }
        }
        Some(response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_is_read_for_what_the_next_request_needs() {
        let text = "SIP/2.0 200 OK\r\nTo: <sip:x>;tag=1\r\nCall-ID: 17-4@bench\r\n\
                    CSeq: 1 INVITE\r\nContact: <sip:me@127.0.0.1:6060>;x\r\n\r\nv=0\r\n";
        let response = Response::read(text).unwrap();
        assert_eq!((response.number, response.status, response.method), (17, 200, "INVITE"));
        assert_eq!((response.to, response.contact), ("<sip:x>;tag=1", "sip:me@127.0.0.1:6060"));
        assert!(Response::read("INVITE sip:x SIP/2.0\r\n\r\n").is_none());
    }
}

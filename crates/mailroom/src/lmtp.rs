//! Local mail transfer: RFC 2033, with the extensions of RFC 1870 (SIZE), 2034 (enhanced status codes), 2920
//! (pipelining), 6152 (8BITMIME) and 6531 (SMTPUTF8).

pub(crate) mod grammar;

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use email::compose;
use mailbox::{Address, Draft, MailError, Place, Receipt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use self::grammar::{path, take_lines, unquoted};
use crate::link::Link;
use crate::mailroom::{Counted, Mailroom};

/// How long a client may be silent. RFC 5321 §4.5.3.2.7.
const IDLE: Duration = Duration::from_secs(300);
/// Bytes of a command. RFC 5321 §4.5.3.1.4 has 512, and extensions more.
const COMMAND_BYTES_MAX: usize = 8_192;
/// Receivers of one message. RFC 5321 §4.5.3.1.8 wants at least 100.
const RECIPIENTS_MAX: usize = 1_000;
/// Commands that were not understood, after which the connection is closed.
const NONSENSE_MAX: u32 = 20;
/// Bytes of a message for which room is asked at once.
const ROOM_BYTES: usize = 1 << 20;

/// Serves those who connect, until it is dropped.
pub async fn serve(listener: TcpListener, room: Arc<Mailroom>) {
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            // Too many open files, mostly; it passes.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let Some(counted) = room.count(peer.ip()) else {
            tokio::spawn(refuse(stream, room.host.clone()));
            continue;
        };
        tokio::spawn(session(stream, peer.ip(), Arc::clone(&room), counted));
    }
}

async fn refuse(stream: TcpStream, host: String) {
    let mut link = Link::new(stream);
    let mut out = format!("421 4.3.2 {host} has too many connections\r\n").into_bytes();
    // It is refused in any case.
    let _ = link.write(&mut out).await;
    link.close().await;
}

async fn session(stream: TcpStream, peer: IpAddr, room: Arc<Mailroom>, counted: Counted) {
    let mut session = Session {
        out: format!("220 {} LMTP Entracte\r\n", room.host).into_bytes(),
        room,
        peer,
        input: Vec::new(),
        greeted: None,
        envelope: None,
        nonsense: 0,
    };
    let mut link = Link::new(stream);
    if let Err(error) = session.run(&mut link).await {
        tracing::debug!(%peer, %error, "an LMTP connection broke");
    }
    link.close().await;
    drop(counted);
}

struct Session {
    room: Arc<Mailroom>,
    peer: IpAddr,
    input: Vec<u8>,
    out: Vec<u8>,
    /// What the client calls itself.
    greeted: Option<String>,
    envelope: Option<Envelope>,
    nonsense: u32,
}

#[derive(Default)]
struct Envelope {
    from: String,
    recipients: Vec<(String, Address)>,
}

/// How a command ends.
enum Next {
    Go,
    Data,
    Quit,
}

impl Session {
    async fn run(&mut self, link: &mut Link) -> io::Result<()> {
        loop {
            let Some(line) = self.line(link).await? else { return Ok(()) };
            match self.command(&line).await {
                Next::Go => {}
                Next::Data => self.data(link).await?,
                Next::Quit => return link.write(&mut self.out).await,
            }
            if self.nonsense > NONSENSE_MAX {
                self.say("421 4.7.0 too many commands that are none");
                return link.write(&mut self.out).await;
            }
        }
    }

    fn say(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
        self.out.extend_from_slice(b"\r\n");
    }

    /// The next line; what is to be said is written when there is none yet, so that commands that came together are
    /// answered together. RFC 2920 §3.2.
    async fn line(&mut self, link: &mut Link) -> io::Result<Option<String>> {
        loop {
            if let Some(end) = self.input.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.input.drain(..=end).collect();
                return Ok(Some(String::from_utf8_lossy(&line).trim_end().to_owned()));
            }
            if self.input.len() > COMMAND_BYTES_MAX {
                self.say("500 5.5.2 the line is too long");
                link.write(&mut self.out).await?;
                return Ok(None);
            }
            link.write(&mut self.out).await?;
            let Ok(read) = timeout(IDLE, link.read()).await else {
                self.say(&format!("421 4.4.2 {} heard nothing for too long", self.room.host));
                link.write(&mut self.out).await?;
                return Ok(None);
            };
            let read = read?;
            if read.is_empty() {
                return Ok(None);
            }
            self.input.extend_from_slice(read);
        }
    }

    async fn command(&mut self, line: &str) -> Next {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word.to_ascii_uppercase().as_str() {
            "LHLO" => self.hello(rest),
            "HELO" | "EHLO" => self.bad("500 5.5.1 this is LMTP: say LHLO"),
            "MAIL" => self.mail(rest),
            "RCPT" => self.recipient(rest).await,
            "DATA" if !rest.is_empty() => self.bad("501 5.5.4 DATA stands alone"),
            "DATA" => match &self.envelope {
                // RFC 2033 §4.2: no receiver that was taken is no reason to send anything.
                Some(envelope) if !envelope.recipients.is_empty() => return Next::Data,
                Some(_) => self.say("503 5.5.1 no receiver was taken"),
                None => self.say("503 5.5.1 MAIL comes first"),
            },
            "RSET" => {
                self.envelope = None;
                self.say("250 2.0.0 forgotten");
            }
            "NOOP" => self.say("250 2.0.0 nothing done"),
            "VRFY" => self.say("252 2.5.2 send it, and see"),
            "HELP" => self.say("214 2.0.0 LHLO MAIL RCPT DATA RSET NOOP VRFY QUIT: RFC 2033"),
            "QUIT" => {
                self.say(&format!("221 2.0.0 {} says goodbye", self.room.host));
                return Next::Quit;
            }
            _ => self.bad("500 5.5.1 no such command"),
        }
        Next::Go
    }

    fn bad(&mut self, text: &str) {
        self.nonsense += 1;
        self.say(text);
    }

    fn hello(&mut self, name: &str) {
        if name.trim().is_empty() {
            self.bad("501 5.5.4 LHLO wants a name");
            return;
        }
        let printable = name.chars().filter(|letter| letter.is_ascii_graphic()).take(255);
        self.greeted = Some(printable.collect());
        self.envelope = None;
        let host = self.room.host.clone();
        let size = self.room.limits.message_bytes_max;
        self.say(&format!("250-{host}\r\n250-PIPELINING\r\n250-ENHANCEDSTATUSCODES\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 SIZE {size}"));
    }

    fn mail(&mut self, rest: &str) {
        if self.greeted.is_none() {
            return self.bad("503 5.5.1 LHLO comes first");
        }
        if self.envelope.is_some() {
            return self.bad("503 5.5.1 one message at a time: RSET forgets it");
        }
        let Some((from, parameters)) = path(rest, "FROM:") else {
            return self.bad("501 5.5.4 as in MAIL FROM:<a@b.example>");
        };
        for parameter in parameters.split_ascii_whitespace() {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            match name.to_ascii_uppercase().as_str() {
                "SIZE" => {
                    let Ok(bytes) = value.parse::<u64>() else {
                        return self.bad("501 5.5.4 SIZE is a number");
                    };
                    let most = self.room.limits.message_bytes_max;
                    if bytes > most as u64 {
                        self.say(&format!("552 5.3.4 a message has at most {most} bytes"));
                        return;
                    }
                }
                "BODY" if ["7BIT", "8BITMIME"].contains(&value.to_ascii_uppercase().as_str()) => {}
                "BODY" => return self.bad("501 5.5.4 BODY is 7BIT or 8BITMIME"),
                "SMTPUTF8" => {}
                _ => return self.bad("555 5.5.4 no such parameter"),
            }
        }
        self.envelope = Some(Envelope { from: from.to_owned(), recipients: Vec::new() });
        self.say("250 2.1.0 from there");
    }

    async fn recipient(&mut self, rest: &str) {
        let Some(envelope) = &self.envelope else {
            return self.bad("503 5.5.1 MAIL comes first");
        };
        let count = envelope.recipients.len();
        let Some((to, parameters)) = path(rest, "TO:").filter(|(to, _)| !to.is_empty()) else {
            return self.bad("501 5.5.4 as in RCPT TO:<a@b.example>");
        };
        if !parameters.trim().is_empty() {
            return self.bad("555 5.5.4 no such parameter");
        }
        if count >= RECIPIENTS_MAX {
            return self.say("452 4.5.3 too many receivers");
        }
        let (room, address) = (Arc::clone(&self.room), unquoted(to));
        let found = self.room.blocking(move |_| room.resolve(&address)).await;
        match found.and_then(|found| found) {
            Ok(address) => {
                if let Some(envelope) = &mut self.envelope {
                    envelope.recipients.push((to.to_owned(), address));
                }
                self.say("250 2.1.5 known");
            }
            Err(error) => {
                self.room.stats.rejected.fetch_add(1, Ordering::Relaxed);
                let text = refused(&error);
                self.say(&text);
            }
        }
    }

    /// Takes a message, and answers for each of its receivers. RFC 2033 §4.2.
    async fn data(&mut self, link: &mut Link) -> io::Result<()> {
        let envelope = self.envelope.take().unwrap_or_default();
        self.say("354 end it with a dot by itself");
        link.write(&mut self.out).await?;
        let mut text = self.trace(&envelope);
        let taken = self.text(link, &mut text).await?;
        let held = match taken {
            Taken::Whole(held) => held,
            Taken::Refused(why) => {
                envelope.recipients.iter().for_each(|_| self.say(why));
                return Ok(());
            }
        };
        let addresses: Vec<Address> =
            envelope.recipients.iter().map(|(_, address)| address.clone()).collect();
        let done = self.room.blocking(move |store| {
            let draft = Draft::of_mail(text.into());
            store.deliver(&draft, &addresses)
        });
        let done = done.await;
        drop(held);
        match done {
            Ok(results) => {
                for ((to, _), result) in envelope.recipients.iter().zip(results) {
                    self.told(to, result);
                }
            }
            Err(error) => envelope.recipients.iter().for_each(|_| self.say(&refused(&error))),
        }
        Ok(())
    }

    fn told(&mut self, to: &str, result: Result<Receipt, MailError>) {
        match result {
            Ok(Receipt { id, place }) => {
                self.room.stats.delivered.fetch_add(1, Ordering::Relaxed);
                let place = match place {
                    Place::Mailbox => "delivered",
                    Place::Spool => "kept until the mailbox can be reached",
                };
                self.say(&format!("250 2.1.5 <{to}> {id} {place}"));
            }
            Err(error) => {
                self.room.stats.rejected.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(error = &error as &dyn std::error::Error, "a message was not taken");
                self.say(&refused(&error));
            }
        }
    }

    /// Where the message came from. RFC 5321 §4.4.
    fn trace(&self, envelope: &Envelope) -> Vec<u8> {
        let now = crate::imap_server::seconds_now();
        let greeted = self.greeted.as_deref().unwrap_or("unknown");
        let from: String = envelope.from.chars().filter(|letter| !letter.is_control()).collect();
        let peer = match self.peer {
            IpAddr::V4(v4) => format!("[{v4}]"),
            IpAddr::V6(v6) => format!("[IPv6:{v6}]"),
        };
        format!(
            "Return-Path: <{from}>\r\nReceived: from {greeted} ({peer})\r\n\tby {} with LMTP; {}\r\n",
            self.room.host,
            compose::date(now)
        )
        .into_bytes()
    }

    /// Takes the text up to the line with a dot, which is CRLF, dot, CRLF and nothing like it: what some take for an end
    /// and others do not has let messages be smuggled in.
    async fn text(&mut self, link: &mut Link, text: &mut Vec<u8>) -> io::Result<Taken> {
        let most = self.room.limits.message_bytes_max;
        let mut held: Option<OwnedSemaphorePermit> = None;
        let mut room = 0;
        let mut refused = None;
        let mut at_line = true;
        loop {
            let end = take_lines(&mut self.input, text, &mut at_line);
            if text.len() > most && refused.is_none() {
                refused = Some("552 5.3.4 the message is too large");
            }
            while refused.is_none() && room < text.len() {
                match self.room.room_for(ROOM_BYTES) {
                    Some(more) => {
                        room += ROOM_BYTES;
                        match &mut held {
                            Some(held) => held.merge(more),
                            None => held = Some(more),
                        }
                    }
                    None => refused = Some("452 4.3.1 too much is being taken at this moment"),
                }
            }
            if refused.is_some() {
                text.clear();
            }
            if end {
                return Ok(refused.map_or(Taken::Whole(held), Taken::Refused));
            }
            let read = timeout(IDLE, link.read()).await.map_err(|_| io::ErrorKind::TimedOut)??;
            if read.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.input.extend_from_slice(read);
        }
    }
}

/// A message that came.
enum Taken {
    Whole(Option<OwnedSemaphorePermit>),
    /// It came and was not kept.
    Refused(&'static str),
}

/// What is answered when a message cannot be delivered. RFC 3463.
#[expect(clippy::wildcard_enum_match_arm, reason = "the others are ours: it may be tried again")]
fn refused(error: &MailError) -> String {
    let code = match error {
        MailError::NoSuchMailbox(_) | MailError::Address(_) => "550 5.1.1",
        MailError::Deleted(_) => "550 5.2.1",
        MailError::Full(_) => "552 5.2.2",
        MailError::Limit(_) | MailError::Undecodable(_) | MailError::Invalid(_) => "554 5.6.0",
        MailError::Damaged(..) | MailError::LaterMailbox(_) => "450 4.2.0",
        MailError::Busy(_) => "450 4.2.1",
        _ => "451 4.3.0",
    };
    let text: String = error
        .to_string()
        .chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect();
    format!("{code} {text}")
}

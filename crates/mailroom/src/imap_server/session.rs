use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use imap::{BadCommand, Command, CommandFrame, CommandFramer, Mode, write};
use mailbox::{MailError, MessageStore, Unique};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout, timeout_at};

use super::Begin;
use super::fetching::Last;
use super::folders;
use super::selected::{Expunges, FLAGS, Selected, Telling};
use crate::access::{Refusal, Who};
use crate::link::Link;
use crate::mailroom::{Counted, Mailroom};

/// How long a client may be silent once it logged in. RFC 9051 §5.4 wants at least 30 minutes.
const IDLE: Duration = Duration::from_secs(31 * 60);
/// How long it may take to log in.
const LOGIN_WAIT: Duration = Duration::from_secs(120);
/// Bytes of answers after which they are sent.
const OUT_BYTES: usize = 64 << 10;
/// Wrong passwords and commands that were not understood, after which the connection is closed.
const NONSENSE_MAX: u32 = 30;
/// What answers wait after a wrong password.
const WRONG_WAIT: Duration = Duration::from_secs(1);
/// What ends a session whose folder has other UIDs than before.
const VOID: &str = "BYE the folder was made anew: its UIDs are others by now";
/// Bytes of a message for which room is asked at once.
const ROOM_BYTES: usize = 1 << 20;

/// Says that there is no room.
pub(super) async fn refuse(stream: TcpStream) {
    let mut link = Link::new(stream);
    let mut out = b"* BYE [UNAVAILABLE] too many connections\r\n".to_vec();
    // It is refused in any case.
    let _ = link.write(&mut out).await;
    link.close().await;
}

/// Serves one connection.
pub(super) async fn run(
    stream: TcpStream,
    peer: SocketAddr,
    (room, counted): (Arc<Mailroom>, Counted),
    begin: Begin,
) {
    let mut link = Link::new(stream);
    if begin == Begin::Tls {
        let Some(tls) = room.tls.clone() else { return };
        if let Err(error) = link.secure(tls).await {
            tracing::debug!(%peer, %error, "no TLS with an IMAP client");
            return;
        }
    }
    // Nobody sends a message before it is known who that is.
    let framer = CommandFramer::new(0);
    let mut session = Session {
        room,
        peer,
        link,
        framer,
        out: Vec::new(),
        who: None,
        selected: None,
        features: Features::default(),
        last: None,
        taking: None,
        nonsense: 0,
        since: Instant::now(),
    };
    if let Err(error) = session.serve().await {
        tracing::debug!(%peer, %error, "an IMAP connection broke");
    }
    session.link.close().await;
    drop(counted);
}

/// What the client has said that it knows.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Features {
    /// IMAP4rev2. RFC 9051 §6.3.1.
    pub(super) rev2: bool,
    /// CONDSTORE. RFC 7162 §3.1.
    pub(super) condstore: bool,
}

pub(super) struct Session {
    pub(super) room: Arc<Mailroom>,
    pub(super) peer: SocketAddr,
    pub(super) link: Link,
    pub(super) framer: CommandFramer,
    pub(super) out: Vec<u8>,
    pub(super) who: Option<Who>,
    pub(super) selected: Option<Box<Selected>>,
    pub(super) features: Features,
    pub(super) last: Last,
    /// Room for a message that is being taken.
    taking: Option<OwnedSemaphorePermit>,
    nonsense: u32,
    /// When it began.
    since: Instant,
}

/// How a command ends: with a status, a code and a text.
#[derive(Debug)]
pub(super) struct Answer {
    status: &'static str,
    code: Option<String>,
    text: String,
}

impl Answer {
    pub(super) fn ok(text: impl Into<String>) -> Self {
        Self { status: "OK", code: None, text: text.into() }
    }

    pub(super) fn no(code: &str, text: impl Into<String>) -> Self {
        Self { status: "NO", code: Some(code.to_owned()), text: text.into() }
    }

    pub(super) fn bad(text: impl Into<String>) -> Self {
        Self { status: "BAD", code: None, text: text.into() }
    }

    pub(super) fn with(mut self, code: String) -> Self {
        self.code = Some(code);
        self
    }
}

impl From<MailError> for Answer {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the others are ours, or faults of the caller"
    )]
    fn from(error: MailError) -> Self {
        let code = match &error {
            MailError::NoSuchMailbox(_) | MailError::Deleted(_) | MailError::NoSuchMessage(_) => {
                "NONEXISTENT"
            }
            MailError::Full(_) => "OVERQUOTA",
            MailError::Limit(_) => "LIMIT",
            MailError::Busy(_) => "INUSE",
            MailError::Damaged(..) | MailError::Broken(..) => "CORRUPTION",
            MailError::Away(_) | MailError::NoStore(_) => "UNAVAILABLE",
            MailError::Private => "NOPERM",
            _ => "SERVERBUG",
        };
        Self::no(code, error.to_string())
    }
}

/// What follows a command.
enum Next {
    Go,
    Close,
}

impl Session {
    async fn serve(&mut self) -> io::Result<()> {
        let greeting =
            format!("* OK [CAPABILITY {}] {} is ready\r\n", self.capabilities(), self.room.host);
        self.out.extend_from_slice(greeting.as_bytes());
        loop {
            let Some(frame) = self.frame().await? else { return Ok(()) };
            match frame {
                CommandFrame::Literal => {
                    // It was found to fit.
                    self.out.extend_from_slice(b"+ go on\r\n");
                }
                CommandFrame::TooLarge(line) => {
                    let line = String::from_utf8_lossy(&line).into_owned();
                    let mut words = line.split(' ');
                    let tag = words.next().unwrap_or_default();
                    let tag = if imap::is_tag(tag) { tag } else { "*" };
                    let is_append = words.next().is_some_and(|w| w.eq_ignore_ascii_case("APPEND"));
                    let why = "that is more than is taken";
                    // RFC 7889 §4.
                    self.finish(
                        tag,
                        if is_append && tag != "*" {
                            Answer::no("TOOBIG", why)
                        } else {
                            Answer::bad(why).with("TOOBIG".to_owned())
                        },
                    );
                    self.nonsense += 1;
                }
                CommandFrame::Command(bytes) => {
                    self.room.stats.commands.fetch_add(1, Ordering::Relaxed);
                    let next = self.command(&bytes).await?;
                    self.taking = None;
                    if matches!(next, Next::Close) {
                        return self.link.write(&mut self.out).await;
                    }
                }
            }
            if self.nonsense > NONSENSE_MAX {
                self.untagged("BYE too much that was not understood");
                return self.link.write(&mut self.out).await;
            }
        }
    }

    /// The next frame; what was answered is sent first, when the client waits for it.
    async fn frame(&mut self) -> io::Result<Option<CommandFrame>> {
        loop {
            if self.is_void() {
                self.untagged(VOID);
                self.link.write(&mut self.out).await?;
                return Ok(None);
            }
            if let Some(frame) = self.framer.next() {
                if self.out.len() > OUT_BYTES {
                    self.link.write(&mut self.out).await?;
                }
                return Ok(Some(frame));
            }
            self.link.write(&mut self.out).await?;
            if !self.take_room() {
                self.untagged("BYE [UNAVAILABLE] too much is being taken at this moment");
                self.link.write(&mut self.out).await?;
                return Ok(None);
            }
            let patience = match &self.who {
                Some(_) => IDLE,
                None => LOGIN_WAIT.saturating_sub(self.since.elapsed()),
            };
            let Ok(read) = timeout(patience, self.link.read()).await else {
                self.untagged("BYE nothing was heard for too long");
                self.link.write(&mut self.out).await?;
                return Ok(None);
            };
            let read = read?;
            if read.is_empty() {
                return Ok(None);
            }
            self.framer.push(read);
        }
    }

    /// Room for what has come of a long command, out of what all connections share.
    fn take_room(&mut self) -> bool {
        let have = self.taking.as_ref().map_or(0, |held| held.num_permits() << 10);
        let mut lacks = self.framer.held().saturating_sub(have + ROOM_BYTES);
        while lacks > 0 {
            let Some(more) = self.room.room_for(ROOM_BYTES) else { return false };
            lacks = lacks.saturating_sub(ROOM_BYTES);
            match &mut self.taking {
                Some(held) => held.merge(more),
                None => self.taking = Some(more),
            }
        }
        true
    }

    fn is_void(&self) -> bool {
        self.selected.as_ref().is_some_and(|selected| selected.is_void)
    }

    pub(super) fn untagged(&mut self, text: &str) {
        self.out.extend_from_slice(format!("* {text}\r\n").as_bytes());
    }

    fn finish(&mut self, tag: &str, answer: Answer) {
        let code = answer.code.map(|code| format!("[{code}] ")).unwrap_or_default();
        let text: String = answer
            .text
            .chars()
            .map(|letter| if letter.is_control() { ' ' } else { letter })
            .collect();
        let line = format!("{tag} {} {code}{text}\r\n", answer.status);
        self.out.extend_from_slice(line.as_bytes());
    }

    fn is_trusted(&self) -> bool {
        self.link.is_secure() || self.peer.ip().is_loopback()
    }

    fn capabilities(&self) -> String {
        let mut all = vec!["IMAP4rev2 IMAP4rev1 LITERAL+ ID"];
        if self.who.is_none() {
            if self.room.tls.is_some() && !self.link.is_secure() {
                all.push("STARTTLS");
            }
            all.push(if self.is_trusted() { "AUTH=PLAIN SASL-IR" } else { "LOGINDISABLED" });
        } else {
            all.push(
                "ENABLE IDLE NAMESPACE UIDPLUS MOVE UNSELECT CHILDREN LIST-EXTENDED LIST-STATUS SPECIAL-USE ESEARCH SEARCHRES STATUS=SIZE BINARY CONDSTORE WITHIN QUOTA QUOTA=RES-STORAGE QUOTA=RES-MESSAGE URLAUTH URLAUTH=BINARY",
            );
        }
        all.join(" ")
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "`asked` has the others")]
    async fn command(&mut self, bytes: &[u8]) -> io::Result<Next> {
        let (tag, command) = match Command::parse(bytes) {
            Ok(parsed) => parsed,
            Err(BadCommand { tag, name, expected }) => {
                self.nonsense += 1;
                let name = name.map(|name| format!("{name}: ")).unwrap_or_default();
                let answer = Answer::bad(format!("{name}{expected} was expected"));
                self.finish(tag.as_deref().unwrap_or("*"), answer);
                return Ok(Next::Go);
            }
        };
        let answer = match command {
            Command::Logout => {
                self.untagged("BYE see you");
                self.finish(&tag, Answer::ok("logged out"));
                return Ok(Next::Close);
            }
            Command::StartTls => return self.start_tls(&tag).await,
            Command::Login { user, password } => self.log_in("", &user, password).await,
            Command::Authenticate { mechanism, initial } => {
                self.authenticate(&mechanism, initial).await?
            }
            Command::Idle => self.idle().await?,
            command => {
                let sync = sync_after(&command);
                let answer = match self.asked(&tag, command).await {
                    Ok(answer) | Err(Asked::No(answer)) => answer,
                    Err(Asked::Broken(error)) => return Err(error),
                };
                if let Some((expunges, uid)) = sync {
                    self.sync(expunges, uid).await;
                }
                answer
            }
        };
        self.finish(&tag, answer);
        Ok(Next::Go)
    }

    async fn start_tls(&mut self, tag: &str) -> io::Result<Next> {
        let Some(tls) = self.room.tls.clone().filter(|_| !self.link.is_secure()) else {
            self.finish(tag, Answer::bad("there is no TLS to be started"));
            return Ok(Next::Go);
        };
        self.finish(tag, Answer::ok("begin TLS"));
        self.link.write(&mut self.out).await?;
        // What came before TLS could be anybody's: it is not taken for what comes after. RFC 9051 §11.1.
        drop(self.framer.take_rest());
        self.link.secure(tls).await?;
        Ok(Next::Go)
    }

    async fn log_in(&mut self, act_for: &str, name: &str, password: String) -> Answer {
        if self.who.is_some() {
            return Answer::bad("somebody is logged in already");
        }
        if !self.is_trusted() {
            return Answer::no("PRIVACYREQUIRED", "begin TLS first");
        }
        let access = Arc::clone(&self.room.access);
        match access.log_in(self.peer.ip(), act_for, name, password).await {
            Ok(who) => {
                self.room.stats.logins.fetch_add(1, Ordering::Relaxed);
                tracing::info!(peer = %self.peer.ip(), name, act_for, "logged in over IMAP");
                if let Who::User(unique) = &who
                    && self.room.notes_login(unique)
                {
                    let unique = unique.clone();
                    let noted = self.room.blocking(move |store| store.logged_in(&unique)).await;
                    if let Err(error) = noted.and_then(|noted| noted) {
                        tracing::warn!(%error, "a log-in could not be written down");
                    }
                }
                self.who = Some(who);
                self.framer.set_literal_bytes_max(self.room.limits.message_bytes_max);
                let capabilities = self.capabilities();
                Answer::ok("welcome").with(format!("CAPABILITY {capabilities}"))
            }
            Err(refusal) => {
                self.room.stats.login_failures.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(peer = %self.peer.ip(), name, act_for, %refusal, "a log-in over IMAP was refused");
                self.nonsense += 5;
                let code = match refusal {
                    Refusal::Wrong => "AUTHENTICATIONFAILED",
                    Refusal::NotAllowed => "AUTHORIZATIONFAILED",
                    Refusal::Barred | Refusal::Store(_) => "UNAVAILABLE",
                };
                tokio::time::sleep(WRONG_WAIT).await;
                Answer::no(code, refusal.to_string())
            }
        }
    }

    /// AUTHENTICATE with PLAIN: who to act for, who logs in, the password. RFC 4616.
    async fn authenticate(
        &mut self,
        mechanism: &str,
        initial: Option<String>,
    ) -> io::Result<Answer> {
        if mechanism != "PLAIN" {
            return Ok(Answer::no("CANNOT", "the mechanism is PLAIN"));
        }
        let response = match initial {
            Some(response) => response,
            None => {
                self.out.extend_from_slice(b"+ \r\n");
                match self.line().await? {
                    Some(line) => String::from_utf8_lossy(&line).into_owned(),
                    None => return Err(io::ErrorKind::UnexpectedEof.into()),
                }
            }
        };
        if response == "*" {
            return Ok(Answer::bad("as you wish"));
        }
        let decoded =
            STANDARD.decode(&response).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let mut parts = decoded.as_deref().unwrap_or_default().splitn(3, '\0');
        let parts = (parts.next(), parts.next(), parts.next());
        let (Some(act_for), Some(name), Some(password)) = parts else {
            return Ok(Answer::bad("PLAIN has three parts, in base64"));
        };
        Ok(self.log_in(act_for, name, password.to_owned()).await)
    }

    /// A line that is no command.
    async fn line(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            match self.framer.line() {
                Ok(Some(line)) => return Ok(Some(line)),
                Ok(None) => {}
                Err(_) => return Ok(None),
            }
            self.link.write(&mut self.out).await?;
            let patience = LOGIN_WAIT.saturating_sub(self.since.elapsed());
            let read = timeout(patience, self.link.read()).await;
            let read = read.map_err(|_| io::ErrorKind::TimedOut)??;
            if read.is_empty() {
                return Ok(None);
            }
            self.framer.push(read);
        }
    }

    /// Tells what happens until the client says DONE. RFC 9051 §6.3.13.
    async fn idle(&mut self) -> io::Result<Answer> {
        let Some(Who::User(unique)) = self.who.clone() else {
            return Ok(Answer::bad("log in first"));
        };
        self.last = None;
        let mut events = self.room.store.subscribe();
        self.sync(Expunges::Tell, false).await;
        self.out.extend_from_slice(b"+ idling\r\n");
        let mut end = Instant::now() + IDLE;
        loop {
            match self.framer.line() {
                Ok(Some(line)) if line.eq_ignore_ascii_case(b"DONE") => {
                    self.sync(Expunges::Tell, false).await;
                    return Ok(Answer::ok("done"));
                }
                Ok(Some(_)) | Err(_) => return Ok(Answer::bad("DONE was expected")),
                Ok(None) => {}
            }
            if self.is_void() {
                self.untagged(VOID);
                self.link.write(&mut self.out).await?;
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            self.link.write(&mut self.out).await?;
            tokio::select! {
                read = timeout_at(end, self.link.read()) => {
                    let read = read.map_err(|_| io::ErrorKind::TimedOut)??;
                    end = Instant::now() + IDLE;
                    if read.is_empty() {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    self.framer.push(read);
                }
                event = events.recv() => match event {
                    Ok(event) if Unique::parse(&event.mailbox).ok().as_ref() != Some(&unique) => {}
                    // Some were missed, or this one is it: how it is now is asked in any case.
                    Ok(_) | Err(tokio::sync::broadcast::error::RecvError::Lagged(_)) => {
                        self.sync(Expunges::Tell, false).await;
                    }
                    Err(tokio::sync::broadcast::error::RecvError::Closed) => {
                        self.untagged("BYE the server ends");
                        self.link.write(&mut self.out).await?;
                        return Err(io::ErrorKind::ConnectionAborted.into());
                    }
                },
            }
        }
    }

    /// Tells what became of the folder that is open.
    pub(super) async fn sync(&mut self, expunges: Expunges, uid: bool) {
        let telling = self.telling(uid);
        let done = self.with_selected(move |store, selected| {
            let mut out = Vec::new();
            selected.sync(store, (expunges, telling), &mut out).map(|()| out)
        });
        match done.await {
            Ok(mut out) => self.out.append(&mut out),
            Err(Asked::No(answer)) if self.selected.is_some() => {
                tracing::debug!(?answer, "a folder could not be looked at");
            }
            Err(_) => {}
        }
    }

    pub(super) const fn telling(&self, uid: bool) -> Telling {
        Telling { uid, mod_seq: self.features.condstore }
    }

    /// Does what may block with the folder that is open.
    pub(super) async fn with_selected<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&MessageStore, &mut Selected) -> Result<T, MailError> + Send + 'static,
    ) -> Result<T, Asked> {
        let Some(mut selected) = self.selected.take() else {
            return Err(Asked::No(Answer::bad("no folder is open")));
        };
        let done = self.room.blocking(move |store| {
            let done = work(store, &mut selected);
            (done, selected)
        });
        let (done, selected) = done.await.map_err(|error| Asked::No(error.into()))?;
        self.selected = Some(selected);
        Ok(done?)
    }

    /// As [`Self::with_selected`]; in the same go the folder is brought up to date, and what the client must be told of that goes
    /// with what `work` has to say.
    pub(super) async fn with_selected_synced<T: Send + 'static>(
        &mut self,
        (expunges, telling): (Expunges, Telling),
        work: impl FnOnce(&MessageStore, &mut Selected, &mut Vec<u8>) -> Result<T, MailError>
        + Send
        + 'static,
    ) -> Result<T, Asked> {
        let done = self.with_selected(move |store, selected| {
            let mut out = Vec::new();
            let done = work(store, selected, &mut out)?;
            // What was done is answered, also when it cannot be seen what else was.
            if let Err(error) = selected.sync(store, (expunges, telling), &mut out) {
                tracing::debug!(%error, "a folder could not be looked at");
            }
            Ok((done, out))
        });
        let (done, mut out) = done.await?;
        self.out.append(&mut out);
        Ok(done)
    }

    /// The mailbox of who logged in.
    pub(super) fn user(&self) -> Result<Unique, Asked> {
        match &self.who {
            Some(Who::User(unique)) => Ok(unique.clone()),
            Some(Who::Service(_)) => {
                Err(Asked::No(Answer::no("NOPERM", "a service has no mailbox: act for somebody")))
            }
            None => Err(Asked::No(Answer::bad("log in first"))),
        }
    }

    /// Opens a folder.
    pub(super) async fn select(
        &mut self,
        name: &str,
        mode: Mode,
        condstore: bool,
    ) -> Result<Answer, Asked> {
        let unique = self.user()?;
        if self.selected.take().is_some() {
            self.untagged("OK [CLOSED] the other folder is closed");
        }
        self.last = None;
        self.features.condstore |= condstore;
        let Some(folder) = folders::by_name(name) else {
            return Ok(Answer::no("NONEXISTENT", "there is no such folder"));
        };
        let opened = self.room.blocking(move |store| Selected::open(store, &unique, folder, mode));
        let selected = opened.await.and_then(|opened| opened)?;
        self.untagged(&format!("FLAGS ({FLAGS})"));
        self.untagged(&format!("{} EXISTS", selected.entries.len()));
        if !self.features.rev2 {
            self.untagged("0 RECENT");
            let unseen = selected.entries.iter().position(|entry| !entry.marks.read);
            if let Some(place) = unseen {
                self.untagged(&format!("OK [UNSEEN {}] the first that is not read", place + 1));
            }
        }
        let permanent = if mode == Mode::ReadWrite { FLAGS } else { "" };
        self.untagged(&format!("OK [PERMANENTFLAGS ({permanent})] these are kept"));
        self.untagged(&format!("OK [UIDVALIDITY {}] UIDs are valid", selected.uid_validity));
        self.untagged(&format!("OK [UIDNEXT {}] the next UID", selected.uid_next));
        self.untagged(&format!("OK [HIGHESTMODSEQ {}] the last change", selected.sequence.max(1)));
        if self.features.rev2 {
            let name = write::astring(folders::name_of(folder));
            self.untagged(&format!("LIST () \"/\" {name}"));
        }
        self.selected = Some(Box::new(selected));
        let code = if mode == Mode::ReadWrite { "READ-WRITE" } else { "READ-ONLY" };
        Ok(Answer::ok("open").with(code.to_owned()))
    }
}

/// Why a command is not done.
#[derive(Debug)]
pub(super) enum Asked {
    /// It is answered so.
    No(Answer),
    /// The connection is no more.
    Broken(io::Error),
}

impl From<MailError> for Asked {
    fn from(error: MailError) -> Self {
        Self::No(error.into())
    }
}

impl From<io::Error> for Asked {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
    }
}

/// What is told after a command: whether messages that are no more may be, and whether with UIDs. RFC 9051 §7.5.1.
const fn sync_after(command: &Command) -> Option<(Expunges, bool)> {
    match command {
        Command::Noop
        | Command::Check
        | Command::Expunge(_)
        | Command::Copy(..)
        | Command::Move(..)
        | Command::Append(_)
        | Command::Status { .. } => Some((Expunges::Tell, false)),
        // These do it themselves.
        Command::Fetch(..) | Command::Store(..) | Command::Search(..) => None,
        Command::Capability
        | Command::Logout
        | Command::Id(_)
        | Command::StartTls
        | Command::Authenticate { .. }
        | Command::Login { .. }
        | Command::Enable(_)
        | Command::Select { .. }
        | Command::Create(_)
        | Command::Delete(_)
        | Command::Rename(..)
        | Command::Subscribe(_)
        | Command::Unsubscribe(_)
        | Command::List { .. }
        | Command::Namespace
        | Command::Idle
        | Command::GetQuota(_)
        | Command::GetQuotaRoot(_)
        | Command::SetQuota
        | Command::GenUrlAuth(_)
        | Command::ResetKey(_)
        | Command::UrlFetch(_)
        | Command::Close
        | Command::Unselect => None,
    }
}

impl Session {
    /// Commands that are answered at once, or by the modules beside this one.
    #[expect(clippy::wildcard_enum_match_arm, reason = "`about_folders` has the others")]
    async fn asked(&mut self, tag: &str, command: Command) -> Result<Answer, Asked> {
        Ok(match command {
            Command::Capability => {
                let capabilities = self.capabilities();
                self.untagged(&format!("CAPABILITY {capabilities}"));
                Answer::ok("that is all")
            }
            Command::Noop | Command::Check => Answer::ok("done"),
            Command::Id(said) => {
                tracing::debug!(peer = %self.peer, ?said, "an IMAP client says what it is");
                self.untagged("ID (\"name\" \"Entracte\")");
                Answer::ok("nice to meet you")
            }
            Command::Enable(names) => self.enable(&names),
            Command::Select { mailbox, mode, condstore } => {
                self.select(&mailbox, mode, condstore).await?
            }
            Command::Unselect => match self.selected.take() {
                Some(_) => Answer::ok("closed"),
                None => Answer::bad("no folder is open"),
            },
            Command::Namespace => {
                self.user()?;
                self.untagged("NAMESPACE ((\"\" \"/\")) NIL NIL");
                Answer::ok("that is all")
            }
            Command::Close => self.close().await?,
            Command::Expunge(set) => self.expunge(set).await?,
            Command::Search(by, search) => self.search(tag, by, search).await?,
            Command::Fetch(by, set, fetch) => self.fetch(by, &set, fetch).await?,
            Command::Store(by, set, store) => self.store(by, &set, store).await?,
            Command::Copy(by, set, to) => self.copy(by, &set, &to).await?,
            Command::Move(by, set, to) => self.move_to(by, &set, &to).await?,
            Command::Append(append) => self.append(append).await?,
            Command::GenUrlAuth(urls) => self.authorize(urls).await?,
            Command::ResetKey(mailbox) => self.reset_key(mailbox).await?,
            Command::UrlFetch(urls) => self.fetch_urls(urls).await?,
            command => self.about_folders(command).await?,
        })
    }

    fn enable(&mut self, names: &[String]) -> Answer {
        if self.who.is_none() {
            return Answer::bad("log in first");
        }
        let mut enabled = String::new();
        for name in names {
            match name.as_str() {
                "IMAP4REV2" => {
                    self.features.rev2 = true;
                    enabled.push_str(" IMAP4rev2");
                }
                "CONDSTORE" => {
                    self.features.condstore = true;
                    enabled.push_str(" CONDSTORE");
                }
                _ => {}
            }
        }
        self.untagged(&format!("ENABLED{enabled}"));
        Answer::ok("done")
    }

    /// Folders by name. They are the five that a mailbox has: none is made, renamed or deleted.
    #[expect(clippy::wildcard_enum_match_arm, reason = "all others are answered before")]
    async fn about_folders(&mut self, command: Command) -> Result<Answer, Asked> {
        let unique = self.user()?;
        let fixed = || Answer::no("CANNOT", "a mailbox has these five folders, and no others");
        Ok(match command {
            Command::Create(name) if folders::by_name(&name).is_some() => {
                Answer::no("ALREADYEXISTS", "there is such a folder")
            }
            Command::Create(_) => fixed(),
            Command::Delete(name) | Command::Rename(name, _)
                if folders::by_name(&name).is_none() =>
            {
                Answer::no("NONEXISTENT", "there is no such folder")
            }
            Command::Delete(_) | Command::Rename(..) => fixed(),
            Command::Subscribe(name) if folders::by_name(&name).is_some() => {
                Answer::ok("it always is")
            }
            Command::Subscribe(_) => Answer::no("NONEXISTENT", "there is no such folder"),
            Command::Unsubscribe(_) => Answer::no("CANNOT", "all folders are subscribed to"),
            Command::List { reference, patterns, options, is_lsub } => {
                let word = if is_lsub { "LSUB" } else { "LIST" };
                for (folder, line) in folders::list(&reference, &patterns, &options, word) {
                    self.untagged(&line);
                    if let (Some(folder), Some(items)) = (folder, &options.status) {
                        self.status(&unique, folder, items.clone()).await?;
                    }
                }
                Answer::ok("that is all")
            }
            Command::Status { mailbox, items } => match folders::by_name(&mailbox) {
                Some(folder) => {
                    self.status(&unique, folder, items).await?;
                    Answer::ok("that is all")
                }
                None => Answer::no("NONEXISTENT", "there is no such folder"),
            },
            Command::GetQuotaRoot(mailbox) => {
                if folders::by_name(&mailbox).is_none() {
                    return Ok(Answer::no("NONEXISTENT", "there is no such folder"));
                }
                self.untagged(&format!("QUOTAROOT {} \"\"", write::astring(&mailbox)));
                self.quota(unique).await?
            }
            Command::GetQuota(root) if root.is_empty() => self.quota(unique).await?,
            Command::GetQuota(_) => Answer::no("NONEXISTENT", "the quota root is \"\""),
            Command::SetQuota => Answer::no("NOPERM", "an administrator sets quotas"),
            // All others are done by now.
            _ => Answer::bad("that cannot be done now"),
        })
    }

    async fn status(
        &mut self,
        unique: &Unique,
        folder: mailbox::Folder,
        items: Vec<imap::StatusItem>,
    ) -> Result<(), Asked> {
        self.features.condstore |= items.contains(&imap::StatusItem::HighestModSeq);
        let unique = unique.clone();
        let told = self.room.blocking(move |store| {
            let mut out = Vec::new();
            folders::status(store, &unique, folder, &items, &mut out).map(|()| out)
        });
        let mut told = told.await.and_then(|told| told)?;
        self.out.append(&mut told);
        Ok(())
    }

    /// What the mailbox may hold. RFC 2087; sizes in units of 1,024 bytes.
    async fn quota(&mut self, unique: Unique) -> Result<Answer, Asked> {
        let told = self.room.blocking(move |store| {
            let quota = store.quota(&unique)?;
            Ok::<_, MailError>((quota, store.counts(&unique)?))
        });
        let ((messages, bytes), counts) = told.await.and_then(|told| told)?;
        let mut resources = Vec::new();
        if bytes > 0 {
            resources.push(format!("STORAGE {} {}", counts.bytes.div_ceil(1_024), bytes / 1_024));
        }
        if messages > 0 {
            resources.push(format!("MESSAGE {} {messages}", counts.messages));
        }
        self.untagged(&format!("QUOTA \"\" ({})", resources.join(" ")));
        Ok(Answer::ok("that is all"))
    }
}

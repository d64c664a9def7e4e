use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use imap::{Response, Value, modified_utf7, write};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::Server;
use super::connection::{ANSWER_BYTES_MAX, Connection, Mode, now};
use super::fault::Fault;

/// Connections of one account at one time: many servers allow ten.
const CONNECTIONS_MAX: usize = 8;
/// How long a server is left alone after it failed: at first, and at most. It doubles with each failure.
const BACK_OFF: Duration = Duration::from_millis(500);
const BACK_OFF_MAX: Duration = Duration::from_secs(60);
/// A connection that stood idle for so long is asked whether it still is one.
const DOUBT_AFTER: Duration = Duration::from_secs(5);

/// The connections of one account on one server. Each belongs to one who uses it, from when it is taken to when it is given
/// back; one that failed is not given back.
#[derive(Debug)]
pub(super) struct Account {
    server: Server,
    as_whom: String,
    idle_for: Option<Duration>,
    patience: Duration,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Connection>>,
    health: Mutex<Health>,
    fetched: AtomicU64,
    failed: AtomicU64,
}

#[derive(Debug, Default)]
struct Health {
    failures: u32,
    left_alone_until: Option<Instant>,
    last_fault: Option<(String, u64)>,
    last_success: Option<u64>,
    counts: Option<Counts>,
}

/// What a mailbox holds, as far as it was told.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// The mailbox.
    pub mailbox: String,
    /// Messages; none where the server did not say.
    pub messages: Option<u64>,
    /// Those not read; none where the server did not say.
    pub unseen: Option<u64>,
    /// When that was, in seconds since 1970.
    pub at: u64,
}

/// How it stands with an account.
#[derive(Clone, Debug)]
pub struct AccountState {
    /// The server's name here.
    pub server: String,
    /// Its host and port.
    pub address: String,
    /// Who is acted for; empty: the account itself.
    pub as_whom: String,
    /// Whether it was used since the start.
    pub is_used: bool,
    /// Connections that stand idle, and those in use.
    pub connections: (usize, usize),
    /// How long it is left alone, if it is.
    pub left_alone: Option<Duration>,
    /// What failed last, and when, in seconds since 1970.
    pub last_fault: Option<(String, u64)>,
    /// When something succeeded last, in seconds since 1970.
    pub last_success: Option<u64>,
    /// Messages that were found for calls.
    pub fetched: u64,
    /// Messages that could not be had.
    pub failed: u64,
    /// What a mailbox held when that was known last; none while it never was.
    pub counts: Option<Counts>,
}

impl AccountState {
    pub(super) fn unused(server: &Server) -> Self {
        Self {
            server: server.name.clone(),
            address: format!("{}:{}", server.host, server.port),
            as_whom: String::new(),
            is_used: false,
            connections: (0, 0),
            left_alone: None,
            last_fault: None,
            last_success: None,
            fetched: 0,
            failed: 0,
            counts: None,
        }
    }
}

/// What is done with messages.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Mark {
    Read,
    Unread,
    /// Read, too.
    Deleted,
}

/// A connection that is in use.
pub(super) struct Taken<'a> {
    account: &'a Account,
    connection: Option<Connection>,
    _permit: OwnedSemaphorePermit,
}

impl Taken<'_> {
    /// Works with the connection. After a fault of the server it is not used again.
    pub(super) async fn with<T>(
        mut self,
        work: impl AsyncFnOnce(&mut Connection) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let Some(mut connection) = self.connection.take() else { return Err(Fault::Died) };
        // Dropped in the middle, it is gone: nobody knows where it stands.
        let done = work(&mut connection).await;
        match &done {
            Ok(_) => self.account.succeeded(),
            Err(fault) if fault.is_orderly() => self.account.failed_orderly(fault),
            Err(fault) => {
                self.account.failed(fault);
                return done;
            }
        }
        connection.used = now();
        connection.bytes_max = ANSWER_BYTES_MAX;
        self.account.give_back(connection);
        done
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Account {
    pub(super) fn new(
        server: Server,
        as_whom: String,
        idle_for: Option<Duration>,
        patience: Duration,
    ) -> Self {
        Self {
            server,
            as_whom,
            idle_for,
            patience,
            permits: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
            idle: Mutex::default(),
            health: Mutex::default(),
            fetched: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        }
    }

    /// A connection: one that stands idle, or a new one. Those who come when all are in use wait their turn.
    pub(super) async fn take(&self) -> Result<Taken<'_>, Fault> {
        self.check_back_off()?;
        let permit = Arc::clone(&self.permits).acquire_owned();
        let permit = timeout(self.patience, permit).await;
        let permit = permit.map_err(|_| Fault::Timeout(self.patience))?.map_err(|_| Fault::Died)?;
        let connection = loop {
            let idle = lock(&self.idle).pop();
            let Some(mut connection) = idle else { break None };
            let stood = now().saturating_duration_since(connection.used);
            if self.idle_for.is_some_and(|most| stood > most) {
                tokio::spawn(connection.leave());
                continue;
            }
            if stood < DOUBT_AFTER || connection.is_alive().await {
                break Some(connection);
            }
            // Those that stood longer are no better.
            lock(&self.idle).clear();
        };
        let connection = match connection {
            Some(connection) => connection,
            None => {
                // Others who waited may have found out that it is down.
                self.check_back_off()?;
                let opened = Connection::open(&self.server, &self.as_whom, self.patience).await;
                opened.inspect_err(|fault| self.failed(fault))?
            }
        };
        Ok(Taken { account: self, connection: Some(connection), _permit: permit })
    }

    /// Which it is: server and user, and for whom.
    pub(super) fn place(&self) -> String {
        let Server { host, port, user, .. } = &self.server;
        format!("{host}:{port} {user} {}", self.as_whom)
    }

    fn check_back_off(&self) -> Result<(), Fault> {
        let health = lock(&self.health);
        let left = health.left_alone_until.map(|until| until.saturating_duration_since(now()));
        match left.filter(|left| !left.is_zero()) {
            Some(left) => {
                let why = health.last_fault.as_ref().map(|(why, _)| why.clone());
                Err(Fault::BackedOff(left, why.unwrap_or_default()))
            }
            None => Ok(()),
        }
    }

    fn give_back(&self, connection: Connection) {
        lock(&self.idle).push(connection);
    }

    /// Closes connections that stood idle for too long.
    pub(super) fn sweep(&self) {
        let Some(most) = self.idle_for else { return };
        let mut idle = lock(&self.idle);
        let (late, rest): (Vec<_>, Vec<_>) = idle
            .drain(..)
            .partition(|connection| now().saturating_duration_since(connection.used) > most);
        *idle = rest;
        drop(idle);
        for connection in late {
            tokio::spawn(connection.leave());
        }
    }

    fn succeeded(&self) {
        let mut health = lock(&self.health);
        health.failures = 0;
        health.left_alone_until = None;
        health.last_success = Some(crate::imap_server::seconds_now());
    }

    /// The server works, and what was asked of it cannot be had.
    fn failed_orderly(&self, fault: &Fault) {
        let mut health = lock(&self.health);
        health.failures = 0;
        health.left_alone_until = None;
        health.last_fault = Some((fault.to_string(), crate::imap_server::seconds_now()));
    }

    fn failed(&self, fault: &Fault) {
        let mut health = lock(&self.health);
        let wait = BACK_OFF.saturating_mul(1 << health.failures.min(10)).min(BACK_OFF_MAX);
        health.failures = health.failures.saturating_add(1);
        health.left_alone_until = Some(now() + wait);
        health.last_fault = Some((fault.to_string(), crate::imap_server::seconds_now()));
        drop(health);
        tracing::warn!(server = self.server.name, %fault, "a mail server failed");
    }

    pub(super) fn counted(&self, found: bool) {
        let count = if found { &self.fetched } else { &self.failed };
        count.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn state(&self) -> AccountState {
        let idle = lock(&self.idle).len();
        let health = lock(&self.health);
        let left = health.left_alone_until.map(|until| until.saturating_duration_since(now()));
        AccountState {
            is_used: true,
            as_whom: self.as_whom.clone(),
            connections: (idle, CONNECTIONS_MAX - self.permits.available_permits()),
            left_alone: left.filter(|left| !left.is_zero()),
            last_fault: health.last_fault.clone(),
            last_success: health.last_success,
            fetched: self.fetched.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            counts: health.counts.clone(),
            ..AccountState::unused(&self.server)
        }
    }

    /// What a mailbox holds.
    pub(super) async fn counts(&self, mailbox: &str) -> Result<Counts, Fault> {
        let name = write::astring(&modified_utf7(mailbox));
        let taken = self.take().await?;
        let said = taken
            .with(async |connection: &mut Connection| {
                connection.command(&format!("STATUS {name} (MESSAGES UNSEEN)")).await
            })
            .await?;
        let told = said.responses.iter().find_map(|response| match response {
            Response::Data(word, values) if word == "STATUS" => values.get(1),
            Response::Data(..)
            | Response::Continue(_)
            | Response::Status { .. }
            | Response::Numbered(..) => None,
        });
        let number = |name| told.and_then(|told| told.item(name)).and_then(Value::number);
        let counts = Counts {
            mailbox: mailbox.to_owned(),
            messages: number("MESSAGES"),
            unseen: number("UNSEEN"),
            at: crate::imap_server::seconds_now(),
        };
        lock(&self.health).counts = Some(counts.clone());
        Ok(counts)
    }

    /// Marks messages as read or unread, or deletes them; `uids` as a command names them, RFC 9051 §9 sequence-set.
    pub(super) async fn mark(
        &self,
        mailbox: &str,
        (uid_validity, uids): (u32, &str),
        mark: Mark,
    ) -> Result<(), Fault> {
        let taken = self.take().await?;
        let change = match mark {
            Mark::Read => "+FLAGS.SILENT (\\Seen)",
            Mark::Unread => "-FLAGS.SILENT (\\Seen)",
            Mark::Deleted => "+FLAGS.SILENT (\\Seen \\Deleted)",
        };
        taken
            .with(async |connection: &mut Connection| {
                let found = connection.select(mailbox, Mode::Write).await?;
                if found != uid_validity {
                    return Err(Fault::Renumbered { told: uid_validity, found });
                }
                connection.command(&format!("UID STORE {uids} {change}")).await?;
                // Without UIDPLUS, EXPUNGE would take away what others have marked, too. RFC 4315 §2.1.
                if mark == Mark::Deleted
                    && (connection.can("UIDPLUS") || connection.can("IMAP4REV2"))
                {
                    connection.command(&format!("UID EXPUNGE {uids}")).await?;
                }
                Ok(())
            })
            .await
    }
}

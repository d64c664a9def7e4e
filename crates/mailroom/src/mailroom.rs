use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use mailbox::{Address, MailError, MessageStore, Unique};
use rustls::ServerConfig;
use tokio::sync::Semaphore;

use crate::access::Access;

/// What connections may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at one time.
    pub connections_max: usize,
    /// Connections at one time from one address; a mail program has one for each folder, and more.
    pub connections_per_peer_max: usize,
    /// Bytes of a message that is taken.
    pub message_bytes_max: usize,
    /// Bytes of messages that are being taken, all together.
    pub taking_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 2_000,
            connections_per_peer_max: 200,
            message_bytes_max: 64 << 20,
            taking_bytes_max: 512 << 20,
        }
    }
}

/// What happened since the start.
#[derive(Debug, Default)]
pub struct Stats {
    /// Connections that are there.
    pub connections: AtomicUsize,
    /// Connections that were refused because there were too many.
    pub refused: AtomicU64,
    /// Messages that were taken by LMTP, for each receiver.
    pub delivered: AtomicU64,
    /// Messages that LMTP refused, for each receiver.
    pub rejected: AtomicU64,
    /// Log-ins over IMAP.
    pub logins: AtomicU64,
    /// Log-ins that were refused.
    pub login_failures: AtomicU64,
    /// Commands over IMAP.
    pub commands: AtomicU64,
}

/// What all connections of mail programs share.
#[derive(Debug)]
pub struct Mailroom {
    /// The store.
    pub store: Arc<MessageStore>,
    /// Who may come in.
    pub access: Arc<Access>,
    /// What this host is called.
    pub host: String,
    /// Domains whose addresses are mailboxes here, in lower case; empty: all.
    pub domains: Vec<String>,
    /// How TLS is spoken; none where there is no certificate.
    pub tls: Option<Arc<ServerConfig>>,
    /// What connections may take.
    pub limits: Limits,
    /// What happened.
    pub stats: Stats,
    /// Work on the store that may block, at one time.
    work: Semaphore,
    /// Bytes of messages that may still be taken, in KiB.
    room: Arc<Semaphore>,
    peers: Mutex<BTreeMap<IpAddr, usize>>,
    /// When a log-in of a mailbox's user was written down last, in seconds since 1970.
    noted: Mutex<BTreeMap<String, u64>>,
}

/// How often the log-in of a user is written down: a mail program logs in with each of its connections.
const NOTED_SECONDS: u64 = 600;
/// Mailboxes of which that is known.
const NOTED_MAX: usize = 100_000;

/// Work on the store that may block, at one time.
const WORK_MAX: usize = 64;

/// A connection that is counted.
#[derive(Debug)]
pub(crate) struct Counted {
    room: Arc<Mailroom>,
    peer: IpAddr,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.room.stats.connections.fetch_sub(1, Ordering::Relaxed);
        let mut peers = self.room.peers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = peers.get_mut(&self.peer) {
            *count -= 1;
            if *count == 0 {
                peers.remove(&self.peer);
            }
        }
    }
}

impl Mailroom {
    /// For a store, and those who may come in.
    #[must_use]
    pub fn new(
        store: Arc<MessageStore>,
        access: Arc<Access>,
        (host, domains): (String, Vec<String>),
        tls: Option<Arc<ServerConfig>>,
        limits: Limits,
    ) -> Self {
        Self {
            store,
            access,
            host,
            domains,
            tls,
            limits,
            stats: Stats::default(),
            work: Semaphore::new(WORK_MAX),
            room: Arc::new(Semaphore::new(limits.taking_bytes_max >> 10)),
            peers: Mutex::default(),
            noted: Mutex::default(),
        }
    }

    /// Whether it is time to write down that this user logged in.
    pub(crate) fn notes_login(&self, unique: &Unique) -> bool {
        let now = crate::imap_server::seconds_now();
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.len() >= NOTED_MAX {
            noted.retain(|_, at| now.saturating_sub(*at) < NOTED_SECONDS);
        }
        let last = noted.insert(unique.leaf().to_owned(), now);
        last.is_none_or(|last| now.saturating_sub(last) >= NOTED_SECONDS)
    }

    /// Counts a connection; none when there are too many.
    pub(crate) fn count(self: &Arc<Self>, peer: IpAddr) -> Option<Counted> {
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        let theirs = peers.entry(peer).or_default();
        let all = self.stats.connections.load(Ordering::Relaxed);
        if *theirs >= self.limits.connections_per_peer_max || all >= self.limits.connections_max {
            if *theirs == 0 {
                peers.remove(&peer);
            }
            self.stats.refused.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        *theirs += 1;
        self.stats.connections.fetch_add(1, Ordering::Relaxed);
        Some(Counted { room: Arc::clone(self), peer })
    }

    /// Does what may block, on a thread for that.
    pub(crate) async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&MessageStore) -> T + Send + 'static,
    ) -> Result<T, MailError> {
        let _turn = self.work.acquire().await.map_err(|_| gone())?;
        let room = Arc::clone(self);
        tokio::task::spawn_blocking(move || work(&room.store)).await.map_err(|_| gone())
    }

    /// Room for so many bytes of a message that is being taken, until it is dropped; none when there is none.
    pub(crate) fn room_for(&self, bytes: usize) -> Option<tokio::sync::OwnedSemaphorePermit> {
        let kib = u32::try_from(bytes.div_ceil(1_024)).ok()?;
        Arc::clone(&self.room).try_acquire_many_owned(kib).ok()
    }

    /// The mailbox that an e-mail address leads to: the one whose unique string is the whole address, or else, in a
    /// domain of ours, what stands before the `@`.
    ///
    /// # Errors
    /// There is none, or the store cannot be asked.
    pub fn resolve(&self, address: &str) -> Result<Address, MailError> {
        let whole = Unique::parse(address).map_err(MailError::Address)?;
        let found = self.store.resolve(&whole);
        let Some((local, domain)) = address.rsplit_once('@') else { return found };
        let is_ours =
            self.domains.is_empty() || self.domains.contains(&domain.to_ascii_lowercase());
        match found {
            Err(MailError::NoSuchMailbox(_)) if is_ours => {
                self.store.resolve(&Unique::parse(local).map_err(MailError::Address)?)
            }
            found => found,
        }
    }
}

fn gone() -> MailError {
    MailError::Away(std::io::Error::other("the work on it died"))
}

/// Does what may block on the store, on a thread for that.
pub(crate) async fn on_store<T: Send + 'static>(
    store: &Arc<MessageStore>,
    work: impl FnOnce(&MessageStore) -> Result<T, MailError> + Send + 'static,
) -> Result<T, MailError> {
    let store = Arc::clone(store);
    let done = tokio::task::spawn_blocking(move || work(&store)).await;
    done.unwrap_or_else(|_| Err(MailError::NoStore("the work on it died".to_owned())))
}

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use store::{Disk, Reading, make_folders, read_all, replace_all};
use tokio::sync::broadcast;

use crate::address::{Address, Unique, friendly_name};
use crate::catalog::{Counts, Row};
use crate::draft::{Draft, commit};
use crate::envelope::{Envelope, Sensitivity, hex};
use crate::error::MailError;
use crate::host::Host;
use crate::moment::Moment;
use crate::name::{FOLDERS, Folder, Marks, MessageId, Name};
use crate::node::{Node, Notice};
use crate::opened::{
    Around, Broken, CATALOG, MAILBOX, MESSAGES, Opened, OwnError, QUARANTINE, Seen, is_full,
};
use crate::sound::CompressionRule;
use crate::spool::Spool;

mod administration;
mod mailboxes;
mod moving;
mod reading;
mod upkeep;

pub use administration::{Checked, Damage, Exported, Purged, Repair, Stats};
use mailboxes::MailboxFile;
pub use mailboxes::{
    AgreeWith, EmailAfter, EmailRule, EmailSend, Mailbox, NewUser, UserOutcome, is_email_address,
};
pub use moving::Moved;
pub use reading::{Cursor, PAGE_MAX, Page, Query, View};
pub use upkeep::{NodeState, PendingMessage, Swept};

/// The file that shows that a folder is a message store, and which. A mount point whose share is away
/// has none.
pub const GUARD: &str = "entracte-store.json";
/// Mailboxes whose catalogs are kept in memory at once; the ones used least recently are let go.
const OPENED_MAX: usize = 1_024;
/// Events that one who listens may be behind; after that some are missed, and it is told so.
const EVENTS_MAX: usize = 4_096;
/// How often a mailbox that another node has is asked for.
const ASK: Duration = Duration::from_secs(1);
/// How long between two looks at whether it was let go.
const LOOK: Duration = Duration::from_millis(20);
/// A sign of life that takes longer means that the root does not answer.
const ANSWER: Duration = Duration::from_secs(5);

/// How a store is to behave.
#[derive(Clone, Debug)]
pub struct Options {
    /// Most messages of a mailbox; 0 for no bound.
    pub quota_messages: u64,
    /// Most bytes of a mailbox; 0 for no bound.
    pub quota_bytes: u64,
    /// After how many days a message in a folder is deleted by itself, in the order of [`FOLDERS`]; 0 for never.
    pub retention_days: [u32; 5],
    /// How voice messages are compressed.
    pub compression: CompressionRule,
    /// How long a change waits for a mailbox that another node has.
    pub patience: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            quota_messages: 0,
            quota_bytes: 0,
            retention_days: [0, 0, 30, 0, 0],
            compression: CompressionRule::default(),
            patience: Duration::from_secs(15),
        }
    }
}

/// What a guard file says.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Guard {
    format: String,
    version: u32,
    id: String,
    /// Where all of it was moved to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    moved_to: Option<String>,
}

/// Something that happened in a mailbox.
#[derive(Clone, Debug, Serialize)]
pub struct MailEvent {
    /// The mailbox's unique string.
    pub mailbox: String,
    /// The number of the mailbox's last change when this was told. It rises; 0 while it is not known.
    pub sequence: u64,
    /// What it was.
    #[serde(flatten)]
    pub what: MailChange,
    /// What the mailbox holds now; absent while that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counts: Option<Counts>,
    /// Messages that wait to be delivered to it.
    pub spooled: u64,
}

/// What can happen in a mailbox.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "change", rename_all = "kebab-case")]
pub enum MailChange {
    /// A message came.
    Added {
        /// Which.
        message: Box<Row>,
    },
    /// A message was marked or moved.
    Changed {
        /// Which, as it is now.
        message: Box<Row>,
    },
    /// A message is no more.
    Removed {
        /// Which.
        id: MessageId,
    },
    /// A message was found damaged and put aside.
    Quarantined {
        /// Which.
        id: MessageId,
        /// What is wrong with it.
        why: String,
    },
    /// A message was taken while the mailbox could not be reached.
    Spooled {
        /// Which.
        id: MessageId,
    },
    /// Another process changed something, and what is not known here: nobody asked for this mailbox before.
    Unspecified,
    /// The mailbox was deleted, with all that is in it.
    MailboxDeleted,
    /// The mailbox is back.
    MailboxRestored,
}

/// Where an accepted message is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// In its mailbox.
    Mailbox,
    /// On this machine, until the mailbox can be reached.
    Spool,
}

/// The acknowledgement of a message: it survives a power cut.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Receipt {
    /// The message in that mailbox.
    pub id: MessageId,
    /// Where it is.
    pub place: Place,
}

/// A message store: mailboxes below one root, which several processes on several hosts may use at once.
///
/// Share it by reference. Every call may block on the disk. A [`Ticker`](crate::Ticker) must do what is to be done from time
/// to time.
#[derive(Debug)]
pub struct MessageStore {
    disk: Arc<dyn Disk>,
    host: Arc<dyn Host>,
    root: PathBuf,
    options: Options,
    spool: Option<Spool>,
    session: Mutex<Session>,
    opened: Mutex<BTreeMap<Unique, Arc<Entry>>>,
    events: broadcast::Sender<MailEvent>,
    quarantined: AtomicU64,
    delivered: [AtomicU64; 3],
    is_moving: AtomicBool,
    /// Whoever changes a file of a mailbox.
    editing: Mutex<()>,
}

/// A mailbox that is known here.
#[derive(Debug)]
struct Entry {
    opened: Mutex<Opened>,
    /// Whether another node asked for it. Whoever is at it next lets it go: one who waited for the lock could wait for long
    /// beside others who take it again and again.
    is_wanted: AtomicBool,
    /// Its unique string as it was given at its birth.
    born: OnceLock<String>,
}

/// How it stands with the root.
#[derive(Debug, Default)]
struct Session {
    node: Option<Arc<Node>>,
    /// Which store it is.
    id: Option<String>,
    /// When the root was asked for a sign of life that has not come yet.
    asked: Option<Duration>,
    /// Why it cannot be used.
    trouble: Option<String>,
    /// Whether we left for good.
    is_closed: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MessageStore {
    /// Makes a folder a message store. The folder is made if it is not there, its parent must be.
    ///
    /// # Errors
    /// It is one already, or is not empty, or the disk says no.
    pub fn initialise(disk: &dyn Disk, host: &dyn Host, root: &Path) -> Result<(), MailError> {
        match disk.make_folder(root) {
            Ok(()) => {
                if let Some(parent) = root.parent() {
                    disk.sync_folder(parent)?;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error.into()),
        }
        let entries = disk.list(root)?;
        if entries.iter().any(|entry| entry.name == GUARD) {
            let shown = root.display();
            return Err(MailError::NoStore(format!("{shown} is a message store already")));
        }
        // What a new file system brings along is no reason.
        if entries.iter().any(|entry| entry.name != "lost+found") {
            let shown = root.display();
            return Err(MailError::NoStore(format!(
                "{shown} is not empty; a message store begins in an empty folder"
            )));
        }
        let guard = Guard {
            format: "entracte-store".to_owned(),
            version: 1,
            id: hex(&host.random()),
            moved_to: None,
        };
        write_guard(disk, root, &guard)?;
        Ok(())
    }

    /// A store below `root`, which is not looked at yet ([`Self::join`] does, or the first who needs it): with a `spool`,
    /// which is a folder on a disk of this machine, messages are taken while it cannot be reached.
    ///
    /// # Errors
    /// The spool cannot be read or made.
    pub fn open(
        disk: Arc<dyn Disk>,
        host: Arc<dyn Host>,
        root: &Path,
        spool: Option<(Arc<dyn Disk>, PathBuf)>,
        options: Options,
    ) -> io::Result<Self> {
        let spool = spool.map(|(disk, folder)| Spool::open(disk, folder)).transpose()?;
        let (events, _) = broadcast::channel(EVENTS_MAX);
        Ok(Self {
            disk,
            host,
            root: root.to_owned(),
            options,
            spool,
            session: Mutex::default(),
            opened: Mutex::default(),
            events,
            quarantined: AtomicU64::new(0),
            delivered: Default::default(),
            is_moving: AtomicBool::new(false),
            editing: Mutex::default(),
        })
    }

    /// Becomes one of those who use the root. It may block as long as the root does.
    ///
    /// # Errors
    /// It cannot be reached, or is no store; [`Self::trouble`] says so, too.
    pub fn join(&self) -> Result<(), MailError> {
        let joined = self.node().map(drop);
        if let Err(error) = &joined {
            lock(&self.session).trouble = Some(told(error));
        }
        joined
    }

    /// How voice messages are compressed.
    #[must_use]
    pub const fn compression(&self) -> &CompressionRule {
        &self.options.compression
    }

    /// The folder that all is below.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// As if another node had asked for a mailbox at this moment.
    #[cfg(test)]
    pub(crate) fn want(&self, unique: &Unique) {
        self.opened(unique).is_wanted.store(true, Ordering::Relaxed);
    }

    /// What happens in all mailboxes from now on.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<MailEvent> {
        self.events.subscribe()
    }

    /// Our place among those who use the root; joins them first, if that was not possible before.
    fn node(&self) -> Result<Arc<Node>, MailError> {
        let known = {
            let session = lock(&self.session);
            if session.is_closed {
                return Err(MailError::NoStore("the message store was closed".to_owned()));
            }
            if session.is_late(self.host.uptime()) {
                return Err(MailError::Away(io::ErrorKind::TimedOut.into()));
            }
            // The next sign of life shows whether it is better, or the one that is waited for.
            let is_told = session.node.is_some() || session.asked.is_some();
            if let Some(why) = session.trouble.as_ref().filter(|_| is_told) {
                return Err(MailError::NoStore(why.clone()));
            }
            session.node.clone()
        };
        known.map_or_else(|| self.joined(), Ok)
    }

    fn joined(&self) -> Result<Arc<Node>, MailError> {
        let guard = self.guard()?;
        let node =
            Arc::new(Node::join(Arc::clone(&self.disk), Arc::clone(&self.host), &self.root)?);
        let mut session = lock(&self.session);
        session.id = Some(guard.id);
        // Somebody else may have been faster; one is enough.
        match &session.node {
            Some(other) => {
                let other = Arc::clone(other);
                drop(session);
                node.leave();
                Ok(other)
            }
            None => {
                session.node = Some(Arc::clone(&node));
                session.trouble = None;
                Ok(node)
            }
        }
    }

    /// Whether the root is there, and the one that it was, and is still where it was.
    fn guard(&self) -> Result<Guard, MailError> {
        let guard = self.guard_file()?;
        if let Some(to) = &guard.moved_to {
            return Err(MailError::NoStore(format!(
                "this message store was moved to {to}: set mail.root to it"
            )));
        }
        Ok(guard)
    }

    fn guard_file(&self) -> Result<Guard, MailError> {
        let shown = self.root.display();
        let bytes = match read_all(&*self.disk, &self.root.join(GUARD), 65_536) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(MailError::NoStore(format!(
                    "{shown} is no message store: {GUARD} is missing. If it is a share, it is not mounted; a new store is made by `entracte mailbox init`"
                )));
            }
            Err(error) => return Err(error.into()),
        };
        let guard: Guard = serde_json::from_slice(&bytes)
            .map_err(|_| MailError::NoStore(format!("{shown}: {GUARD} cannot be read")))?;
        if guard.format != "entracte-store" || guard.version != 1 {
            return Err(MailError::NoStore(format!(
                "{shown}: a later version made this message store"
            )));
        }
        if lock(&self.session).id.as_ref().is_some_and(|id| *id != guard.id) {
            return Err(MailError::NoStore(format!(
                "{shown} is another message store than before"
            )));
        }
        Ok(guard)
    }

    fn folder(&self, unique: &Unique) -> PathBuf {
        let [first, second] = unique.letters();
        self.root.join(first.to_string()).join(second.to_string()).join(unique.leaf())
    }

    /// Delivers a message to each of these addresses. What is acknowledged survives a power cut, in its mailbox
    /// or, while that cannot be reached, in the spool. Another node may own the mailbox.
    pub fn deliver(&self, draft: &Draft, to: &[Address]) -> Vec<Result<Receipt, MailError>> {
        let one = |address| {
            let done = self.deliver_one(draft, address);
            let place = match &done {
                Ok(Receipt { place: Place::Mailbox, .. }) => 0,
                Ok(Receipt { place: Place::Spool, .. }) => 1,
                Err(_) => 2,
            };
            if let Some(count) = self.delivered.get(place) {
                count.fetch_add(1, Ordering::Relaxed);
            }
            done
        };
        to.iter().map(one).collect()
    }

    fn deliver_one(&self, draft: &Draft, to: &Address) -> Result<Receipt, MailError> {
        draft.check().map_err(MailError::Limit)?;
        let name = self.new_name(draft);
        // What the user or an administrator puts there is not refused for what callers have left.
        let bound = if draft.folder == Folder::Inbox { Bound::Quota } else { Bound::None };
        match self.deliver_as(&name, draft, to, bound) {
            Ok(()) => Ok(Receipt { id: name.id, place: Place::Mailbox }),
            Err(
                error @ (MailError::Away(_)
                | MailError::NoStore(_)
                | MailError::Damaged(..)
                | MailError::LaterMailbox(_)),
            ) => {
                let Some(spool) = &self.spool else { return Err(error) };
                let why = told(&error);
                spool.take(name, draft, to).map_err(uncommitted)?;
                tracing::warn!(mailbox = to.unique.leaf(), message = %name, why, "a message waits in the spool");
                self.tell_spooled(&to.unique, name.id);
                Ok(Receipt { id: name.id, place: Place::Spool })
            }
            Err(error) => Err(error),
        }
    }

    fn new_name(&self, draft: &Draft) -> Name {
        let now = self.host.wall();
        let id = MessageId::new(now, self.host.random());
        let at = draft.received.map_or(now, |received| received.min(now));
        Name { at, id, kind: draft.kind, marks: draft.marks, folder: draft.folder }
    }

    fn deliver_as(
        &self,
        name: &Name,
        draft: &Draft,
        to: &Address,
        bound: Bound,
    ) -> Result<(), MailError> {
        let node = self.node()?;
        let mailbox = self.mailbox_file(&to.unique)?;
        if mailbox.deleted.is_some() {
            return Err(MailError::Deleted(to.unique.to_string()));
        }
        match bound {
            Bound::Quota => self.check_quota(&mailbox, &to.unique, draft)?,
            Bound::None => {}
        }
        let unique = Unique::parse(&mailbox.unique)?;
        let address = Address { friendly: mailbox.friendly, unique };
        let messages = self.folder(&to.unique).join(MESSAGES);
        let envelope =
            commit(&*self.disk, &messages, name, draft, &address).map_err(uncommitted)?;
        // Who moves the store copies what is here after it was shut. Of what came later there may be no copy.
        self.guard()?;
        // It is safe now; what fails from here on is made good when the mailbox is opened next.
        let row = Row::of(name, &envelope);
        let arrived = self.with(&node, &to.unique, |opened, around, seen| {
            opened.arrived(around, row.clone(), seen)
        });
        if let Err(error) = arrived {
            let why = match error {
                OwnError::Held(node) => node,
                OwnError::Disk(error) => error.to_string(),
            };
            tracing::warn!(
                mailbox = to.unique.leaf(),
                why,
                "a message was delivered and is not listed yet"
            );
        }
        Ok(())
    }

    fn check_quota(
        &self,
        mailbox: &MailboxFile,
        unique: &Unique,
        draft: &Draft,
    ) -> Result<(), MailError> {
        let (messages, bytes) = self.quota_of(mailbox);
        if messages == 0 && bytes == 0 {
            return Ok(());
        }
        let counts = self.counts(unique)?;
        if messages > 0 && counts.messages >= messages {
            return Err(MailError::Full("messages"));
        }
        if bytes > 0 && counts.bytes.saturating_add(draft.bytes()) > bytes {
            return Err(MailError::Full("bytes"));
        }
        Ok(())
    }

    fn quota_of(&self, mailbox: &MailboxFile) -> (u64, u64) {
        let messages = mailbox.quota_messages.unwrap_or(self.options.quota_messages);
        (messages, mailbox.quota_bytes.unwrap_or(self.options.quota_bytes))
    }

    /// Most messages and most bytes of a mailbox; 0 is no bound.
    ///
    /// # Errors
    /// There is no such mailbox, or it cannot be reached.
    pub fn quota(&self, unique: &Unique) -> Result<(u64, u64), MailError> {
        self.mailbox_file(unique).map(|file| self.quota_of(&file))
    }

    /// Runs `work` on an opened mailbox and tells those who listen what it saw.
    fn with<T>(
        &self,
        node: &Node,
        unique: &Unique,
        mut work: impl FnMut(&mut Opened, Around<'_>, &mut Vec<Seen>) -> Result<T, OwnError>,
    ) -> Result<T, OwnError> {
        let entry = self.opened(unique);
        let around = Around { disk: &*self.disk, host: &*self.host, node };
        let mut seen = Vec::new();
        let mut opened = lock(&entry.opened);
        opened.used = self.host.uptime();
        let done = work(&mut opened, around, &mut seen);
        if entry.is_wanted.swap(false, Ordering::Relaxed) {
            // Should it fail, whoever wants it asks again.
            let _ = opened.give(around, &mut seen);
        }
        if !seen.is_empty() {
            opened.tells_first();
        }
        self.tell_seen(unique, &opened, seen);
        done
    }

    /// Lets a mailbox go, and tells what was found on that occasion.
    fn release(&self, node: &Node, unique: &Unique, entry: &Entry) {
        let around = Around { disk: &*self.disk, host: &*self.host, node };
        let mut opened = lock(&entry.opened);
        let mut seen = Vec::new();
        opened.release(around, &mut seen);
        self.tell_seen(unique, &opened, seen);
    }

    /// Told before another can change it, so that the order is right.
    fn tell_seen(&self, unique: &Unique, opened: &Opened, seen: Vec<Seen>) {
        let broken = seen.iter().filter(|one| matches!(one, Seen::Broken(..))).count();
        self.quarantined.fetch_add(u64::try_from(broken).unwrap_or(0), Ordering::Relaxed);
        if !seen.is_empty() {
            let catalog = opened.catalog();
            let (counts, sequence) = (*catalog.counts(), catalog.head.sequence);
            self.tell(unique, seen.into_iter().map(changed), Some(counts), sequence);
        }
    }

    /// What the mailbox holds is told as far as it is known without asking the root.
    fn tell_spooled(&self, unique: &Unique, id: MessageId) {
        let entry = lock(&self.opened).get(unique).cloned();
        let known = entry.and_then(|entry| {
            let opened = entry.opened.try_lock().ok()?;
            let catalog = opened.catalog();
            opened.is_known().then(|| (*catalog.counts(), catalog.head.sequence))
        });
        let (counts, sequence) = known.unzip();
        self.tell(unique, [MailChange::Spooled { id }], counts, sequence.unwrap_or(0));
    }

    fn opened(&self, unique: &Unique) -> Arc<Entry> {
        let mut all = lock(&self.opened);
        if let Some(opened) = all.get(unique) {
            return Arc::clone(opened);
        }
        let entry = Arc::new(Entry {
            opened: Mutex::new(Opened::new(self.folder(unique), unique.clone())),
            is_wanted: AtomicBool::new(false),
            born: OnceLock::new(),
        });
        all.insert(unique.clone(), Arc::clone(&entry));
        entry
    }

    fn tell(
        &self,
        unique: &Unique,
        what: impl IntoIterator<Item = MailChange>,
        counts: Option<Counts>,
        sequence: u64,
    ) {
        if self.events.receiver_count() == 0 {
            return;
        }
        let spooled = self.spooled(unique);
        let mailbox = self.born(unique);
        for what in what {
            let mailbox = mailbox.clone();
            // Nobody may listen any more.
            let _ = self.events.send(MailEvent { mailbox, sequence, what, counts, spooled });
        }
    }

    /// A mailbox's unique string as all others name it; as it is given, while that cannot be found out.
    fn born(&self, unique: &Unique) -> String {
        let entry = lock(&self.opened).get(unique).cloned();
        if let Some(born) = entry.as_ref().and_then(|entry| entry.born.get()) {
            return born.clone();
        }
        let file = self.well().and_then(|_| self.mailbox_file(unique).ok());
        let Some(MailboxFile { unique: born, .. }) = file else { return unique.to_string() };
        entry.map_or_else(|| born.clone(), |entry| entry.born.get_or_init(|| born.clone()).clone())
    }

    /// As [`Self::with`], for work that must own the mailbox: another node that has it is asked for it.
    fn owning<T>(
        &self,
        unique: &Unique,
        mut work: impl FnMut(&mut Opened, Around<'_>, &mut Vec<Seen>) -> Result<T, OwnError>,
    ) -> Result<T, MailError> {
        self.usable(unique)?;
        let done = self.waiting(unique, &mut work)?;
        // As for a delivery: of what was changed after the store was shut there may be no copy.
        self.guard()?;
        Ok(done)
    }

    /// Whether there is such a mailbox, and it was not deleted: perhaps by another process, just now.
    fn usable(&self, unique: &Unique) -> Result<(), MailError> {
        match self.mailbox_file(unique)?.deleted {
            None => Ok(()),
            Some(_) => Err(MailError::Deleted(unique.to_string())),
        }
    }

    /// As [`Self::with`]; while another node has what is needed, it is asked for it, as long as our patience lasts.
    fn waiting<T>(
        &self,
        unique: &Unique,
        mut work: impl FnMut(&mut Opened, Around<'_>, &mut Vec<Seen>) -> Result<T, OwnError>,
    ) -> Result<T, MailError> {
        let node = self.node()?;
        let mut began: Option<Duration> = None;
        let mut asked: Option<Duration> = None;
        loop {
            match self.with(&node, unique, &mut work) {
                Ok(done) => return Ok(done),
                Err(OwnError::Disk(error)) => return Err(MailError::Away(error)),
                Err(OwnError::Held(holder)) => {
                    let now = self.host.uptime();
                    let began = *began.get_or_insert(now);
                    if now.saturating_sub(began) >= self.options.patience {
                        return Err(MailError::Busy(holder));
                    }
                    if asked.is_none_or(|at| now.saturating_sub(at) >= ASK) {
                        asked = Some(now);
                        node.tell(Notice::Want, unique.leaf())?;
                    }
                    self.host.pause(LOOK);
                }
            }
        }
    }

    /// Moves messages to a folder, marks them, or both; answers how they are now. Those that are there no more are
    /// passed over. It survives a power cut when it returns.
    ///
    /// # Errors
    /// There is no such mailbox, another node keeps it, or it cannot be reached.
    pub fn change(
        &self,
        unique: &Unique,
        ids: &[MessageId],
        edit: impl Fn(Folder, Marks) -> (Folder, Marks),
    ) -> Result<Vec<Row>, MailError> {
        self.change_each(unique, ids, |row| edit(row.folder, row.marks))
    }

    /// As [`Self::change`], where what becomes of a message depends on all that a list shows of it.
    ///
    /// # Errors
    /// As [`Self::change`].
    pub fn change_each(
        &self,
        unique: &Unique,
        ids: &[MessageId],
        edit: impl Fn(&Row) -> (Folder, Marks),
    ) -> Result<Vec<Row>, MailError> {
        self.owning(unique, |opened, around, seen| {
            opened.change(around, ids, &edit, seen)?;
            Ok(ids.iter().filter_map(|id| opened.catalog().row(*id).cloned()).collect())
        })
    }

    /// Marks messages as read, or as not read.
    ///
    /// # Errors
    /// As [`Self::change`].
    pub fn mark_read(
        &self,
        unique: &Unique,
        ids: &[MessageId],
        read: Reads,
    ) -> Result<Vec<Row>, MailError> {
        self.change(unique, ids, |folder, marks| {
            (folder, Marks { read: read == Reads::Read, ..marks })
        })
    }

    /// Takes messages away for good.
    ///
    /// # Errors
    /// As [`Self::change`].
    pub fn remove(&self, unique: &Unique, ids: &[MessageId]) -> Result<(), MailError> {
        self.remove_those(unique, ids, &|_| true)
    }

    /// As [`Self::remove`], of those only that have the UIDs that they had: a message that was moved since has another.
    ///
    /// # Errors
    /// As [`Self::change`].
    pub fn remove_unmoved(
        &self,
        unique: &Unique,
        messages: &[(MessageId, u32)],
    ) -> Result<(), MailError> {
        let ids: Vec<_> = messages.iter().map(|(id, _)| *id).collect();
        let uids: BTreeSet<_> = messages.iter().map(|(_, uid)| *uid).collect();
        self.remove_those(unique, &ids, &|row| uids.contains(&row.uid))
    }

    /// As [`Self::remove`], of those only that wait to be expunged and have the UIDs that they had: a message that was moved since has
    /// another. RFC 9051 §6.4.3.
    ///
    /// # Errors
    /// As [`Self::change`].
    pub fn expunge(&self, unique: &Unique, messages: &[(MessageId, u32)]) -> Result<(), MailError> {
        let ids: Vec<_> = messages.iter().map(|(id, _)| *id).collect();
        let uids: BTreeSet<_> = messages.iter().map(|(_, uid)| *uid).collect();
        self.remove_those(unique, &ids, &|row| row.marks.expunging && uids.contains(&row.uid))
    }

    fn remove_those(
        &self,
        unique: &Unique,
        ids: &[MessageId],
        which: &dyn Fn(&Row) -> bool,
    ) -> Result<(), MailError> {
        self.owning(unique, |opened, around, seen| opened.remove(around, ids, which, seen))
    }

    /// Writes down that the user of a mailbox was here.
    ///
    /// # Errors
    /// As [`Self::change`].
    pub fn logged_in(&self, unique: &Unique) -> Result<(), MailError> {
        self.owning(unique, Opened::logged_in)
    }

    /// Damaged messages that were put aside since the start.
    #[must_use]
    pub fn quarantined(&self) -> u64 {
        self.quarantined.load(Ordering::Relaxed)
    }

    /// Deliveries since the start: into mailboxes, into the spool, refused.
    #[must_use]
    pub fn delivered(&self) -> [u64; 3] {
        let [mailbox, spool, refused] = &self.delivered;
        [mailbox, spool, refused].map(|count| count.load(Ordering::Relaxed))
    }

    /// Lets every mailbox go, and leaves. Other nodes need not wait for a lease after that. A root that does not answer is
    /// left as it is.
    pub fn close(&self) {
        let node = {
            let mut session = lock(&self.session);
            session.is_closed = true;
            let node = session.node.take();
            node.filter(|_| !session.is_late(self.host.uptime()))
        };
        let Some(node) = node else { return };
        let all = std::mem::take(&mut *lock(&self.opened));
        all.iter().for_each(|(unique, opened)| self.release(&node, unique, opened));
        node.leave();
    }
}

impl Drop for MessageStore {
    fn drop(&mut self) {
        self.close();
    }
}

/// Whether a message was heard or read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reads {
    /// It was.
    Read,
    /// It was not.
    Unread,
}

/// What a delivery is bound by.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Bound {
    /// The mailbox's quota.
    Quota,
    /// Nothing: it was acknowledged before, or nobody else sent it.
    None,
}

fn changed(seen: Seen) -> MailChange {
    match seen {
        Seen::Added(row) => MailChange::Added { message: Box::new(row) },
        Seen::Changed(row) => MailChange::Changed { message: Box::new(row) },
        Seen::Removed(id) => MailChange::Removed { id },
        Seen::Broken(name, why) => MailChange::Quarantined { id: name.id, why },
    }
}

impl Session {
    /// Whether a sign of life takes so long that the root must be taken for one that does not answer.
    fn is_late(&self, now: Duration) -> bool {
        self.asked.is_some_and(|at| now.saturating_sub(at) > ANSWER)
    }
}

fn write_guard(disk: &dyn Disk, root: &Path, guard: &Guard) -> io::Result<()> {
    let text = serde_json::to_string_pretty(guard).unwrap_or_default();
    replace_all(disk, &root.join(GUARD), format!("{text}\n").as_bytes())
}

/// Why a message could not be written: the message's own fault, or the disk's.
fn uncommitted(error: io::Error) -> MailError {
    let kind = error.kind();
    if kind == io::ErrorKind::InvalidInput {
        MailError::Limit("what an envelope can hold")
    } else if kind == io::ErrorKind::FileTooLarge {
        MailError::Limit("bytes of an attachment")
    } else {
        MailError::Away(error)
    }
}

/// An error with what is behind it, in one line.
fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(next) = source {
        text = format!("{text}: {next}");
        source = next.source();
    }
    text
}

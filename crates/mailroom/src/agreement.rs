//! Messages that went on by e-mail and their copies where they came to, kept in agreement: what was read or deleted on one side is
//! so on the other, also after one of them was away. Copies are known by the header fields that they were given; what both sides
//! said last is kept in a file beside the mailbox, so that it is known who changed what since.
//!
//! - `settling`: what is to be changed where; nothing in it waits or writes.

mod settling;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mailbox::{AgreeWith, Folder, MailError, Marks, MessageId, MessageStore, Unique};
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::imap_server::seconds_now;
use crate::outgoing::{MAILBOX_FIELD, MESSAGE_FIELD, ruled};
use crate::retrieval::{Fault, Known, Mark, Retrieval};
use settling::{Changes, Here, Pairs, settle};

/// How often the other side is looked at where nothing else is said. It tells nobody when something changes there.
pub const EVERY: Duration = Duration::from_secs(60);
/// How long after a change on our side: whoever marks one message marks others.
const SOON: Duration = Duration::from_secs(1);
/// Mailboxes that are looked at in the same moment.
const ROUNDS_MAX: usize = 8;

/// How it stands.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct AgreementState {
    /// Mailboxes that are kept in agreement with a mail server.
    pub mailboxes: u64,
    /// Messages of the store that were changed, since the start.
    pub changed_here: u64,
    /// Copies that were changed, since the start.
    pub changed_there: u64,
    /// What failed last, and when, in seconds since 1970.
    pub last_fault: Option<(String, u64)>,
}

/// Keeps mailboxes and their copies in agreement.
pub struct Agreement {
    store: Arc<MessageStore>,
    retrieval: Arc<Retrieval>,
    every: Duration,
    mailboxes: AtomicU64,
    changed_here: AtomicU64,
    changed_there: AtomicU64,
    last_fault: Mutex<Option<(String, u64)>>,
}

impl fmt::Debug for Agreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Agreement").field("every", &self.every).finish_non_exhaustive()
    }
}

/// Why a mailbox and its copies could not be compared.
#[derive(Debug)]
enum RoundError {
    Here(MailError),
    There(Fault),
}

impl From<MailError> for RoundError {
    fn from(error: MailError) -> Self {
        Self::Here(error)
    }
}

impl From<Fault> for RoundError {
    fn from(fault: Fault) -> Self {
        Self::There(fault)
    }
}

impl fmt::Display for RoundError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Here(error) => error.fmt(f),
            Self::There(fault) => fault.fmt(f),
        }
    }
}

impl std::error::Error for RoundError {}

impl Agreement {
    /// Between a store and the mail servers that `retrieval` knows, looked at so often; [`EVERY`] where nothing else is said.
    #[must_use]
    pub fn new(store: Arc<MessageStore>, retrieval: Arc<Retrieval>, every: Duration) -> Self {
        Self {
            store,
            retrieval,
            every,
            mailboxes: AtomicU64::new(0),
            changed_here: AtomicU64::new(0),
            changed_there: AtomicU64::new(0),
            last_fault: Mutex::default(),
        }
    }

    /// How it stands.
    #[must_use]
    pub fn state(&self) -> AgreementState {
        AgreementState {
            mailboxes: self.mailboxes.load(Ordering::Relaxed),
            changed_here: self.changed_here.load(Ordering::Relaxed),
            changed_there: self.changed_there.load(Ordering::Relaxed),
            last_fault: self.last().clone(),
        }
    }

    fn last(&self) -> MutexGuard<'_, Option<(String, u64)>> {
        self.last_fault.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at all mailboxes that are to agree, again and again, until the store is gone.
    pub async fn run(self: Arc<Self>) {
        let mut events = self.store.subscribe();
        let mut due: BTreeMap<Unique, Instant> = BTreeMap::new();
        let mut busy: BTreeSet<Unique> = BTreeSet::new();
        let mut rounds: JoinSet<(Unique, bool)> = JoinSet::new();
        let mut all = Instant::now();
        loop {
            let now = Instant::now();
            if now >= all {
                all = now + self.every.max(SOON);
                for unique in ruled(&self.store, |rule| rule.agree_with.is_some()).await {
                    due.entry(unique).or_insert(now);
                }
            }
            self.mailboxes
                .store(u64::try_from(due.len() + busy.len()).unwrap_or(0), Ordering::Relaxed);
            let ready = due.iter().filter(|(unique, at)| **at <= now && !busy.contains(*unique));
            let ready: Vec<_> = ready.map(|(unique, _)| unique.clone()).collect();
            for unique in ready.into_iter().take(ROUNDS_MAX.saturating_sub(busy.len())) {
                due.remove(&unique);
                busy.insert(unique.clone());
                let this = Arc::clone(&self);
                rounds.spawn(async move {
                    let goes_on = this.look(&unique).await;
                    (unique, goes_on)
                });
            }
            let is_full = busy.len() >= ROUNDS_MAX;
            let waiting = due.iter().filter(|(unique, _)| !is_full && !busy.contains(*unique));
            let next = waiting.map(|(_, at)| *at).min().unwrap_or(all).min(all);
            tokio::select! {
                () = sleep_until(next) => {}
                Some(done) = rounds.join_next(), if !rounds.is_empty() => match done {
                    Ok((unique, goes_on)) => {
                        busy.remove(&unique);
                        if goes_on {
                            let next = Instant::now() + self.every;
                            due.entry(unique).or_insert(next);
                        }
                    }
                    // Which one is not told: all are looked at anew.
                    Err(_) => busy.clear(),
                },
                event = events.recv() => match event {
                    Ok(event) => {
                        let unique = Unique::parse(&event.mailbox).ok();
                        // Only those that agreed before are asked at once; a rule that is new is seen with the next look at all.
                        let known = unique.filter(|u| due.contains_key(u) || busy.contains(u));
                        if let Some(unique) = known {
                            let soon = Instant::now() + SOON;
                            let at = due.entry(unique).or_insert(soon);
                            *at = soon.min(*at);
                        }
                    }
                    Err(RecvError::Lagged(_)) => {
                        let soon = Instant::now() + SOON;
                        due.values_mut().for_each(|at| *at = soon.min(*at));
                    }
                    Err(RecvError::Closed) => return,
                },
            }
        }
    }

    /// Looks at a mailbox; whether it is to be looked at again.
    async fn look(&self, unique: &Unique) -> bool {
        match self.round(unique).await {
            Ok(goes_on) => goes_on,
            Err(RoundError::Here(MailError::NoSuchMailbox(_) | MailError::Deleted(_))) => false,
            // It is left alone for a moment, and why was told before.
            Err(RoundError::There(Fault::BackedOff(..))) => true,
            Err(error) => {
                let why = format!("{unique}: {error}");
                tracing::warn!(why, "a mailbox could not be compared with its copies");
                *self.last() = Some((why, seconds_now()));
                true
            }
        }
    }

    async fn round(&self, unique: &Unique) -> Result<bool, RoundError> {
        let before = {
            let unique = unique.clone();
            self.blocking(move |store| before(store, &unique)).await?
        };
        let Some((with, pairs)) = before else { return Ok(false) };
        let Some(mut pairs) = pairs else { return Ok(true) };
        let mailbox = unique.leaf();
        let known = Known { mailbox_field: MAILBOX_FIELD, message_field: MESSAGE_FIELD, mailbox };
        let there = self.retrieval.copies(&with.server, &with.user, known).await?;
        pairs.are_valid_with(&with, there.uid_validity);
        let wanted: Vec<MessageId> =
            pairs.ids().chain(there.all.iter().map(|copy| copy.id)).collect();
        let here = {
            let unique = unique.clone();
            self.blocking(move |store| here(store, &unique, &wanted)).await?
        };
        let (changes, after) = settle(&pairs, &here, &there.all);
        let is_new = after != pairs;
        self.apply(unique, &with, (there.uid_validity, changes)).await?;
        if is_new {
            let unique = unique.clone();
            self.blocking(move |store| store.write_agreement(&unique, &after.to_bytes())).await?;
        }
        Ok(true)
    }

    async fn apply(
        &self,
        unique: &Unique,
        with: &AgreeWith,
        (uid_validity, changes): (u32, Changes),
    ) -> Result<(), RoundError> {
        let there = [
            (changes.read_there, Mark::Read),
            (changes.unread_there, Mark::Unread),
            (changes.deleted_there, Mark::Deleted),
        ];
        for (uids, mark) in there {
            if uids.is_empty() {
                continue;
            }
            let whose = (&*with.server, &*with.user);
            self.retrieval.mark_copies(whose, uid_validity, &uids, mark).await?;
            count(&self.changed_there, uids.len());
        }
        let here: [(Vec<MessageId>, Edit); 4] = [
            (changes.read_here, |folder, marks| (folder, Marks { read: true, ..marks })),
            (changes.unread_here, |folder, marks| (folder, Marks { read: false, ..marks })),
            (changes.deleted_here, |_, marks| (Folder::Deleted, marks)),
            (changes.restored_here, |_, marks| (Folder::Inbox, marks)),
        ];
        for (ids, edit) in here {
            if ids.is_empty() {
                continue;
            }
            let (unique, count_of) = (unique.clone(), ids.len());
            self.blocking(move |store| store.change(&unique, &ids, edit)).await?;
            count(&self.changed_here, count_of);
        }
        Ok(())
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&MessageStore) -> Result<T, MailError> + Send + 'static,
    ) -> Result<T, MailError> {
        let store = Arc::clone(&self.store);
        let done = tokio::task::spawn_blocking(move || work(&store)).await;
        done.unwrap_or_else(|_| Err(MailError::NoStore("the work on it died".to_owned())))
    }
}

/// What becomes of a message of ours.
type Edit = fn(Folder, Marks) -> (Folder, Marks);

fn count(counter: &AtomicU64, more: usize) {
    counter.fetch_add(u64::try_from(more).unwrap_or(0), Ordering::Relaxed);
}

/// With whom a mailbox agrees, and what was said last; none, where another server sees to it. None at all, where it agrees with nobody.
fn before(
    store: &MessageStore,
    unique: &Unique,
) -> Result<Option<(AgreeWith, Option<Pairs>)>, MailError> {
    let Some(rule) = store.email_rule(unique)? else { return Ok(None) };
    let Some(mut with) = rule.agree_with else { return Ok(None) };
    if with.user.is_empty() {
        with.user = rule.address;
    }
    let pairs = if store.owns(unique)? {
        Some(Pairs::from_bytes(store.agreement(unique)?.as_deref()))
    } else {
        None
    };
    Ok(Some((with, pairs)))
}

/// How messages stand in the store; those that are no more are left out.
fn here(
    store: &MessageStore,
    unique: &Unique,
    ids: &[MessageId],
) -> Result<BTreeMap<MessageId, Here>, MailError> {
    store.view(unique, |view| {
        let row = |id: &MessageId| {
            let row = view.row(*id)?;
            let is_deleted = row.folder == Folder::Deleted;
            Some((*id, Here { is_read: row.marks.read, is_deleted }))
        };
        ids.iter().filter_map(row).collect()
    })
}

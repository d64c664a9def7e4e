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

use mailbox::{EmailRule, Folder, MailError, Marks, MessageId, MessageStore, Row, Unique};
use tokio::sync::broadcast::error::RecvError;
use tokio::task::{self, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};

use crate::imap_server::seconds_now;
use crate::mailroom::on_store;
use crate::outgoing::{MAILBOX_FIELD, MESSAGE_FIELD, ruled};
use crate::retrieval::{Copies, Fault, Known, Mark, Retrieval};
use settling::{Changes, Here, Pairs, settle};

/// How often the other side is looked at where nothing else is said. It tells nobody when something changes there.
pub const EVERY: Duration = Duration::from_secs(60);
/// How long after a change on our side: whoever marks one message marks others.
const SOON: Duration = Duration::from_secs(1);
/// How often it is looked which mailboxes have such a rule; a message that comes or changes tells it at once.
const ALL: Duration = Duration::from_secs(600);
/// Mailboxes that are looked at in the same moment.
const ROUNDS_MAX: usize = 16;
/// How long one may take.
const ROUND: Duration = Duration::from_secs(300);

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
    TooMany(String),
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
            Self::TooMany(why) => f.write_str(why),
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

    /// Looks at all mailboxes that are to agree, again and again, until it is dropped.
    pub async fn run(self: Arc<Self>) {
        let mut events = self.store.subscribe();
        let mut due = Due::default();
        let mut busy = Busy::new();
        let mut rounds: JoinSet<bool> = JoinSet::new();
        let mut all = Instant::now();
        loop {
            let now = Instant::now();
            if now >= all {
                for unique in ruled(&self.store, |rule| rule.agree_with.is_some()).await {
                    due.no_later(unique, now);
                }
                all = Instant::now() + ALL;
            }
            while busy.len() < ROUNDS_MAX
                && let Some(unique) = due.take(now, &busy)
            {
                let (this, whose) = (Arc::clone(&self), unique.clone());
                let round = rounds.spawn(async move { this.look(&whose).await });
                busy.insert(round.id(), unique);
            }
            self.mailboxes.store(due.count(&busy), Ordering::Relaxed);
            let next = due.next(&busy).filter(|_| busy.len() < ROUNDS_MAX);
            tokio::select! {
                () = sleep_until(next.unwrap_or(all).min(all)) => {}
                Some(done) = rounds.join_next_with_id(), if !rounds.is_empty() => {
                    let (id, goes_on) = match done {
                        Ok(done) => done,
                        Err(died) => (died.id(), true),
                    };
                    if let Some(unique) = busy.remove(&id).filter(|_| goes_on) {
                        due.no_later(unique, Instant::now() + self.every);
                    }
                }
                event = events.recv() => match event.map(|event| Unique::parse(&event.mailbox)) {
                    Ok(Ok(unique)) => due.no_later(unique, Instant::now() + SOON),
                    Ok(Err(_)) => {}
                    Err(RecvError::Lagged(_)) => all = Instant::now(),
                    Err(RecvError::Closed) => return,
                },
            }
        }
    }

    /// Looks at a mailbox; whether it is to be looked at again.
    async fn look(&self, unique: &Unique) -> bool {
        let done = timeout(ROUND, self.round(unique)).await;
        match done.unwrap_or(Err(RoundError::There(Fault::Timeout(ROUND)))) {
            Ok(goes_on) => goes_on,
            Err(RoundError::Here(MailError::NoSuchMailbox(_) | MailError::Deleted(_))) => false,
            // It is left alone for a moment, and why was told before.
            Err(RoundError::There(Fault::BackedOff(..))) => true,
            Err(error) => {
                let why = format!("{unique}: {error}");
                // What a mail server does is told for its account already.
                if let RoundError::There(_) = &error {
                    tracing::debug!(why, "a mailbox could not be compared with its copies");
                } else {
                    tracing::warn!(why, "a mailbox could not be compared with its copies");
                }
                *self.last() = Some((why, seconds_now()));
                true
            }
        }
    }

    async fn round(&self, unique: &Unique) -> Result<bool, RoundError> {
        let rule = {
            let unique = unique.clone();
            on_store(&self.store, move |store| store.email_rule(&unique)).await?
        };
        let Some((rule, with)) = rule.and_then(|rule| Some((rule.clone(), rule.agree_with?)))
        else {
            return Ok(false);
        };
        let user = if with.user.is_empty() { &rule.address } else { &with.user };
        let mailbox = unique.leaf();
        let known = Known { mailbox_field: MAILBOX_FIELD, message_field: MESSAGE_FIELD, mailbox };
        let Copies { place, uid_validity, all } =
            self.retrieval.copies(&with.server, user, known).await?;
        // Nothing is waited for between this and what is decided by it.
        let compared = {
            let (unique, rule) = (unique.clone(), rule.clone());
            on_store(&self.store, move |store| {
                let written = Pairs::from_bytes(store.agreement(&unique)?.as_deref());
                let mut pairs = written.clone();
                pairs.are_valid_with(&place, uid_validity);
                let here = here(store, &unique, pairs.ids().chain(all.keys().copied()))?;
                let (changes, after) = settle(&pairs, &here, &all);
                let after = (after != written).then_some(after);
                // A mailbox in which nothing is to be done is left to whoever has it.
                let is_same = after.is_none() && changes == Changes::default();
                let is_ours = !is_same && still(store, &unique, &rule)?;
                Ok(is_ours.then_some((changes, after)))
            })
            .await?
        };
        // They agree; or there is another rule by now, or another server that has the mailbox.
        let Some((changes, after)) = compared else { return Ok(true) };
        let held = changes.held;
        self.apply(unique, &rule, (&with.server, user, uid_validity), (changes, after)).await?;
        if held > 0 {
            let why = "copies are gone from the INBOX at once; nothing is deleted here for that, \
                       until the rule is removed and set again";
            return Err(RoundError::TooMany(format!("{held} {why}")));
        }
        Ok(true)
    }

    /// Marks first, which is done twice without harm; then what both say is written; and only then is anything deleted here: who dies in
    /// between leaves a message too many, never one too few.
    async fn apply(
        &self,
        unique: &Unique,
        rule: &EmailRule,
        (server, user, uid_validity): (&str, &str, u32),
        (changes, after): (Changes, Option<Pairs>),
    ) -> Result<(), RoundError> {
        let Changes { read_here, unread_here, deleted_here, restored_here, .. } = changes;
        self.edit(unique, read_here, |row| (row.folder, Marks { read: true, ..row.marks })).await?;
        self.edit(unique, unread_here, |row| (row.folder, Marks { read: false, ..row.marks }))
            .await?;
        self.edit(unique, restored_here, |row| {
            let is_deleted = row.folder == Folder::Deleted;
            (if is_deleted { Folder::Inbox } else { row.folder }, row.marks)
        })
        .await?;
        let there = [
            (changes.read_there, Mark::Read),
            (changes.unread_there, Mark::Unread),
            (changes.deleted_there, Mark::Deleted),
        ];
        for (uids, mark) in there {
            if !uids.is_empty() {
                let whose = (server, user);
                self.retrieval.mark_copies(whose, uid_validity, &uids, mark).await?;
                count(&self.changed_there, uids.len());
            }
        }
        if let Some(after) = after {
            let (unique, rule) = (unique.clone(), rule.clone());
            let written = on_store(&self.store, move |store| {
                let still = still(store, &unique, &rule)?;
                if still {
                    store.write_agreement(&unique, &after.to_bytes())?;
                }
                Ok(still)
            });
            if !written.await? {
                return Ok(());
            }
        }
        let folders: BTreeMap<MessageId, Folder> = deleted_here.iter().copied().collect();
        let ids = deleted_here.into_iter().map(|(id, _)| id).collect();
        self.edit(unique, ids, move |row| {
            // Whoever moved it meanwhile wants it.
            let is_there = folders.get(&row.id) == Some(&row.folder);
            (if is_there { Folder::Deleted } else { row.folder }, row.marks)
        })
        .await?;
        Ok(())
    }

    /// Changes messages of the store.
    async fn edit(
        &self,
        unique: &Unique,
        ids: Vec<MessageId>,
        edit: impl Fn(&Row) -> (Folder, Marks) + Send + 'static,
    ) -> Result<(), MailError> {
        if ids.is_empty() {
            return Ok(());
        }
        let (unique, count_of) = (unique.clone(), ids.len());
        on_store(&self.store, move |store| store.change_each(&unique, &ids, edit)).await?;
        count(&self.changed_here, count_of);
        Ok(())
    }
}

fn count(counter: &AtomicU64, more: usize) {
    counter.fetch_add(u64::try_from(more).unwrap_or(0), Ordering::Relaxed);
}

/// Mailboxes that are looked at in this moment.
type Busy = BTreeMap<task::Id, Unique>;

/// Which mailboxes are to be looked at, and when: whoever has waited longest first.
#[derive(Debug, Default)]
struct Due {
    at: BTreeMap<Unique, Instant>,
    queue: BTreeSet<(Instant, Unique)>,
}

impl Due {
    fn no_later(&mut self, unique: Unique, at: Instant) {
        if let Some(known) = self.at.get(&unique).copied() {
            if known <= at {
                return;
            }
            self.queue.remove(&(known, unique.clone()));
        }
        self.queue.insert((at, unique.clone()));
        self.at.insert(unique, at);
    }

    /// In the order in which they are due; those that are looked at already come after that.
    fn waiting<'a>(&'a self, busy: &'a Busy) -> impl Iterator<Item = &'a (Instant, Unique)> {
        self.queue.iter().filter(|(_, unique)| !busy.values().any(|known| known == unique))
    }

    fn take(&mut self, now: Instant, busy: &Busy) -> Option<Unique> {
        let first = self.waiting(busy).next().filter(|(at, _)| *at <= now)?.clone();
        self.queue.remove(&first);
        self.at.remove(&first.1);
        Some(first.1)
    }

    fn next(&self, busy: &Busy) -> Option<Instant> {
        self.waiting(busy).next().map(|(at, _)| *at)
    }

    fn count(&self, busy: &Busy) -> u64 {
        let more = busy.values().filter(|unique| !self.at.contains_key(*unique)).count();
        u64::try_from(self.at.len() + more).unwrap_or(u64::MAX)
    }
}

/// Whether a mailbox has this rule still, and this server sees to it.
fn still(store: &MessageStore, unique: &Unique, rule: &EmailRule) -> Result<bool, MailError> {
    Ok(store.email_rule(unique)?.as_ref() == Some(rule) && store.owns(unique)?)
}

/// How messages stand in the store; those that are no more are left out.
fn here(
    store: &MessageStore,
    unique: &Unique,
    ids: impl Iterator<Item = MessageId>,
) -> Result<BTreeMap<MessageId, Here>, MailError> {
    let ids: Vec<MessageId> = ids.collect();
    store.view(unique, |view| {
        let row = |id: &MessageId| {
            let row = view.row(*id)?;
            Some((*id, Here { is_read: row.marks.read, folder: row.folder }))
        };
        ids.iter().filter_map(row).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_has_waited_longest_is_looked_at_first_and_nobody_twice_at_once() {
        let now = Instant::now();
        let [anna, bert, carl] = ["anna", "bert", "carl"].map(|name| Unique::parse(name).unwrap());
        let after = |seconds| now + Duration::from_secs(seconds);
        let mut due = Due::default();
        due.no_later(anna.clone(), after(3));
        due.no_later(bert.clone(), after(2));
        due.no_later(carl.clone(), after(5));
        due.no_later(carl.clone(), after(1));
        due.no_later(carl.clone(), after(9));
        let mut rounds = JoinSet::new();
        let mut busy = Busy::new();
        assert_eq!((due.next(&busy), due.take(now, &busy)), (Some(after(1)), None));
        assert_eq!(due.take(after(4), &busy), Some(carl.clone()));
        busy.insert(rounds.spawn(async {}).id(), carl.clone());
        // It changes while it is looked at.
        due.no_later(carl.clone(), after(1));
        assert_eq!(due.count(&busy), 3);
        assert_eq!(due.take(after(4), &busy), Some(bert));
        assert_eq!(due.take(after(4), &busy), Some(anna));
        assert_eq!((due.next(&busy), due.take(after(4), &busy)), (None, None));
        busy.clear();
        assert_eq!(due.take(after(4), &busy), Some(carl));
        assert_eq!(due.count(&busy), 0);
    }
}

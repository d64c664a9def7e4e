//! Messages that go on by e-mail: a copy, so that a user has them where the other mail is, or a notice. What is to be sent is
//! seen from the mailbox itself and from a file beside it, so that nothing is forgotten over a restart or while a relay is away;
//! a message is sent again rather than not at all, always with the same Message-ID.

mod letter;
mod relay;
mod state;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mailbox::{
    Draft, EmailAfter, EmailRule, Folder, Kind, MailChange, MailError, MessageId, MessageStore,
    Unique, View,
};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, sleep_until};

pub(crate) use letter::{MAILBOX_FIELD, MESSAGE_FIELD};
pub use relay::{Relay, RelayFault};

use crate::imap_server::seconds_now;
use crate::mailroom::on_store;
use letter::Letter;
use state::{Pending, State};

/// How long a message waits for its second try.
pub const WAIT: Duration = Duration::from_secs(60);
const WAIT_MAX: Duration = Duration::from_secs(3_600);
/// How often mailboxes with messages that wait are looked at.
const LOOK: Duration = Duration::from_secs(5);
/// Messages of one mailbox that wait; further ones are seen when there is room.
const PENDING_MAX: usize = 1_000;

/// How messages go on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Config {
    /// Whom they are sent by, the first that takes them.
    pub relays: Vec<Relay>,
    /// Who sends them, as `voicemail@office.example`.
    pub sender: String,
    /// How long it is tried.
    pub give_up_after: Duration,
    /// How long a message waits for its second try, [`WAIT`] where nobody tests it; each further wait is twice as long, up to an hour.
    pub first_wait: Duration,
}

/// How it stands.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct OutgoingState {
    /// Messages that wait, or are being sent.
    pub pending: u64,
    /// Messages that a relay took, since the start.
    pub sent: u64,
    /// Tries that failed for the time being.
    pub deferred: u64,
    /// Messages that were given up.
    pub bounced: u64,
    /// What failed last, and when, in seconds since 1970.
    pub last_fault: Option<(String, u64)>,
}

/// Sends messages on.
pub struct Outgoing {
    store: Arc<MessageStore>,
    config: Config,
    sent: AtomicU64,
    deferred: AtomicU64,
    bounced: AtomicU64,
    last_fault: Mutex<Option<(String, u64)>>,
    waiting: Mutex<BTreeMap<Unique, u64>>,
    /// Relays that could not be reached, until when they are left alone, and why.
    away: Mutex<BTreeMap<usize, (Instant, RelayFault)>>,
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing").field("config", &self.config).finish_non_exhaustive()
    }
}

/// When a mailbox is to be looked at again; none when nothing of it waits.
type Again = Option<Duration>;

impl Outgoing {
    /// For a store.
    #[must_use]
    pub fn new(store: Arc<MessageStore>, config: Config) -> Self {
        Self {
            store,
            config,
            sent: AtomicU64::new(0),
            deferred: AtomicU64::new(0),
            bounced: AtomicU64::new(0),
            last_fault: Mutex::default(),
            waiting: Mutex::default(),
            away: Mutex::default(),
        }
    }

    /// How it stands.
    #[must_use]
    pub fn state(&self) -> OutgoingState {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        OutgoingState {
            pending: waiting.values().sum(),
            sent: self.sent.load(Ordering::Relaxed),
            deferred: self.deferred.load(Ordering::Relaxed),
            bounced: self.bounced.load(Ordering::Relaxed),
            last_fault: self.last_fault.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    /// Sends on what comes, and what waits from before, until it is dropped.
    pub async fn run(self: Arc<Self>) {
        let mut events = self.store.subscribe();
        // Which mailboxes are to be looked at, and when.
        let mut due: BTreeMap<Unique, Instant> = BTreeMap::new();
        let mut all = Instant::now();
        loop {
            let now = Instant::now();
            if now >= all {
                all = now + Duration::from_secs(600);
                for unique in ruled(&self.store, |_| true).await {
                    due.insert(unique, now);
                }
            }
            let ready: Vec<_> = due
                .iter()
                .filter(|(_, at)| **at <= now)
                .map(|(unique, _)| unique.clone())
                .collect();
            for unique in ready {
                match self.look(&unique).await {
                    Some(wait) => due.insert(unique, Instant::now() + wait),
                    None => due.remove(&unique),
                };
            }
            let next = due.values().min().copied().unwrap_or(all).min(all);
            tokio::select! {
                () = sleep_until(next) => {}
                event = events.recv() => match event {
                    Ok(event) => {
                        if matches!(event.what, MailChange::Added { .. } | MailChange::Unspecified)
                            && let Ok(unique) = Unique::parse(&event.mailbox)
                        {
                            due.insert(unique, Instant::now());
                        }
                    }
                    Err(RecvError::Lagged(_)) => all = Instant::now(),
                    Err(RecvError::Closed) => return,
                },
            }
        }
    }

    /// Looks at a mailbox, and sends what is to be sent now.
    async fn look(&self, unique: &Unique) -> Again {
        let begun = {
            let unique = unique.clone();
            on_store(&self.store, move |store| begin(store, &unique)).await
        };
        let (rule, mut state, is_more) = match begun {
            Ok(Some(begun)) => begun,
            Ok(None) => {
                self.waits(unique, 0);
                return None;
            }
            Err(MailError::NoSuchMailbox(_) | MailError::Deleted(_)) => {
                self.waits(unique, 0);
                return None;
            }
            Err(error) => {
                self.fault(&format!("{unique}: {error}"));
                return Some(WAIT);
            }
        };
        let now = seconds_now();
        let ready: Vec<(MessageId, u32)> = state
            .pending
            .iter()
            .filter(|one| one.next_at <= now)
            .map(|one| (one.id, one.uid))
            .collect();
        for message in ready {
            self.waits(unique, state.pending.len());
            let still = {
                let unique = unique.clone();
                on_store(&self.store, move |store| {
                    Ok((store.email_rule(&unique)?, store.owns(&unique)?))
                })
            };
            // Another rule by now, or another server: that begins anew.
            match still.await {
                Ok((Some(now), true)) if now == rule => {}
                Ok(_) | Err(_) => return Some(LOOK),
            }
            self.one(unique, &rule, &mut state, message).await;
            let (unique, state) = (unique.clone(), state.clone());
            // What cannot be written down is sent once more, rather than not at all.
            if let Err(error) =
                on_store(&self.store, move |store| state.write(store, &unique)).await
            {
                self.fault(&error.to_string());
            }
        }
        self.waits(unique, state.pending.len());
        if is_more && state.pending.len() < PENDING_MAX {
            return Some(Duration::ZERO);
        }
        let next = state.pending.iter().map(|one| one.next_at).min()?;
        Some(
            Duration::from_secs(next.saturating_sub(seconds_now()))
                .max(LOOK.min(self.config.first_wait)),
        )
    }

    fn waits(&self, unique: &Unique, count: usize) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if count == 0 {
            waiting.remove(unique);
        } else {
            waiting.insert(unique.clone(), u64::try_from(count).unwrap_or(u64::MAX));
        }
    }

    fn fault(&self, why: &str) {
        tracing::warn!(why, "a message could not be sent on");
        let mut last = self.last_fault.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Some((why.to_owned(), seconds_now()));
    }

    /// Sends one message, and sees to what becomes of it.
    async fn one(
        &self,
        unique: &Unique,
        rule: &EmailRule,
        state: &mut State,
        (id, uid): (MessageId, u32),
    ) {
        if let Some(after) = state.after(id) {
            // By the rule as it is now: it may want less than it did.
            let after = match rule.after {
                EmailAfter::Keep => EmailAfter::Keep,
                EmailAfter::Read if after != EmailAfter::Keep => EmailAfter::Read,
                EmailAfter::Read | EmailAfter::Delete => after,
            };
            self.after(unique, state, after, (id, uid)).await;
            return;
        }
        let written = {
            let (unique, rule, sender) = (unique.clone(), rule.clone(), self.config.sender.clone());
            on_store(&self.store, move |store| {
                let is_there = |view: &View<'_>| view.row(id).is_some_and(|row| row.uid == uid);
                // Whoever moved it has seen it.
                if !store.view(&unique, |view| is_there(view))? {
                    return Ok(None);
                }
                letter::write(store, &unique, id, &rule, &sender)
            })
            .await
        };
        let letter = match written {
            Ok(Some(letter)) => letter,
            // It came from here by the same way, or it is not to be sent.
            Ok(None) | Err(MailError::NoSuchMessage(_)) => {
                state.done(id);
                return;
            }
            Err(error) => {
                self.fault(&format!("{unique}, message {id}: {error}"));
                let fault = RelayFault::Unreadable(error.to_string());
                self.failed(unique, (rule, id), state, &fault).await;
                return;
            }
        };
        match self.send(&rule.address, &letter).await {
            Ok(()) => {
                self.sent.fetch_add(1, Ordering::Relaxed);
                tracing::info!(mailbox = unique.leaf(), message = %id, "a message was sent on by e-mail");
                // What was not sent is not deleted.
                let after = match rule.after {
                    EmailAfter::Delete if !letter.is_whole => EmailAfter::Read,
                    EmailAfter::Keep | EmailAfter::Read | EmailAfter::Delete => rule.after,
                };
                state.taken(id, after);
                self.after(unique, state, after, (id, uid)).await;
            }
            Err(fault) => {
                self.fault(&format!("{unique}, message {id}: {fault}"));
                self.failed(unique, (rule, id), state, &fault).await;
            }
        }
    }

    /// Tries again later, or gives up and tells the mailbox.
    async fn failed(
        &self,
        unique: &Unique,
        (rule, id): (&EmailRule, MessageId),
        state: &mut State,
        fault: &RelayFault,
    ) {
        let since = state.since(id);
        let is_late = seconds_now().saturating_sub(since) >= self.config.give_up_after.as_secs();
        if fault.is_permanent() || is_late {
            // Where nobody can be told, as in a full mailbox, it goes on.
            if self.bounce(unique, rule, id, fault).await {
                self.bounced.fetch_add(1, Ordering::Relaxed);
                state.done(id);
                return;
            }
        }
        self.deferred.fetch_add(1, Ordering::Relaxed);
        state.defer(id, seconds_now(), self.config.first_wait);
    }

    /// By the first relay that takes it. What one refuses for good is not asked of the next: it would be the same.
    async fn send(&self, to: &str, letter: &Letter) -> Result<(), RelayFault> {
        let mut last = RelayFault::None;
        let from = Some(&*self.config.sender).filter(|_| !letter.is_automatic);
        for (number, relay) in self.config.relays.iter().enumerate() {
            if let Some((until, fault)) = self.away().get(&number)
                && Instant::now() < *until
            {
                last = fault.clone();
                continue;
            }
            match relay.send(from, to, &letter.bytes).await {
                Ok(()) => return Ok(()),
                Err(fault) if fault.is_permanent() => return Err(fault),
                Err(fault) => {
                    // What waits for a server that does not answer keeps nothing else waiting.
                    if let RelayFault::Away(_) = fault {
                        let until = Instant::now() + self.config.first_wait;
                        self.away().insert(number, (until, fault.clone()));
                    }
                    last = fault;
                }
            }
        }
        Err(last)
    }

    fn away(&self) -> MutexGuard<'_, BTreeMap<usize, (Instant, RelayFault)>> {
        self.away.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What becomes of a message that a relay took; what cannot be done now is done later.
    async fn after(
        &self,
        unique: &Unique,
        state: &mut State,
        after: EmailAfter,
        (id, uid): (MessageId, u32),
    ) {
        let unique = unique.clone();
        let done = on_store(&self.store, move |store| match after {
            EmailAfter::Keep => Ok(()),
            EmailAfter::Read => store.mark_read(&unique, &[id], mailbox::Reads::Read).map(drop),
            EmailAfter::Delete => store.remove_unmoved(&unique, &[(id, uid)]),
        });
        match done.await {
            Ok(()) | Err(MailError::NoSuchMessage(_) | MailError::NoSuchMailbox(_)) => {
                state.done(id);
            }
            Err(error) => {
                self.fault(&error.to_string());
                state.defer(id, seconds_now(), self.config.first_wait);
            }
        }
    }

    /// Word of it in the mailbox, where the message stays.
    async fn bounce(
        &self,
        unique: &Unique,
        rule: &EmailRule,
        id: MessageId,
        fault: &RelayFault,
    ) -> bool {
        let body = format!(
            "A message of this mailbox could not be sent on to {}: {fault}.\nIt is in the mailbox, as it was.\n",
            rule.address
        );
        let draft = Draft {
            subject: format!("Not delivered to {}", rule.address),
            body,
            reply_to: Some(id),
            thread: Some(id),
            folder: Folder::Inbox,
            ..Draft::new(Kind::NonDelivery)
        };
        let unique = unique.clone();
        let done = on_store(&self.store, move |store| {
            let to = store.resolve(&unique)?;
            let done = store.deliver(&draft, std::slice::from_ref(&to)).pop();
            done.unwrap_or(Err(MailError::Invalid("a receiver"))).map(drop)
        });
        match done.await {
            Ok(()) => true,
            Err(error) => {
                self.fault(&error.to_string());
                false
            }
        }
    }
}

/// The mailboxes of which messages go on by rules of a kind; none while the store is away.
pub(crate) async fn ruled(store: &Arc<MessageStore>, is_it: fn(&EmailRule) -> bool) -> Vec<Unique> {
    let store = Arc::clone(store);
    let found = tokio::task::spawn_blocking(move || {
        let all = store.uniques().unwrap_or_default().into_iter();
        all.filter(|unique| matches!(store.email_rule(unique), Ok(Some(rule)) if is_it(&rule)))
            .collect()
    });
    found.await.unwrap_or_default()
}

/// A rule, what waits by it, and whether there is more than fits.
type Begun = (EmailRule, State, bool);

/// The rule of a mailbox and what of it waits, with what came since; none when nothing of it goes on, or another server does it.
fn begin(store: &MessageStore, unique: &Unique) -> Result<Option<Begun>, MailError> {
    let Some(rule) = store.email_rule(unique)? else { return Ok(None) };
    if !store.owns(unique)? {
        return Ok(None);
    }
    let mut state = State::read(store, unique)?;
    let now = seconds_now();
    let (uid_validity, fresh, last) = store.view(unique, |view| {
        // What was moved there came before; and our own word of a failure goes nowhere.
        let rows = view.rows().filter(|row| row.folder == Folder::Inbox && row.moved.is_none());
        let rows = rows.filter(|row| row.kind != Kind::NonDelivery || row.is_mail);
        let is_numbered = view.uid_validity() == rule.uid_validity;
        let from = if is_numbered { rule.from_uid } else { 0 };
        let mut fresh: Vec<_> =
            rows.filter(|row| row.uid >= from).map(|row| (row.uid, row.id)).collect();
        fresh.sort_unstable();
        (view.uid_validity(), fresh, view.uid_next().saturating_sub(1))
    })?;
    if state.uid_validity != 0 && state.uid_validity != uid_validity {
        // All numbers are others: what is there now was seen before, as far as anybody knows.
        state.seen = last;
    }
    state.uid_validity = uid_validity;
    let mut seen = last.max(state.seen);
    let mut is_more = false;
    for (uid, id) in fresh {
        if uid <= state.seen || state.pending.iter().any(|one| one.id == id) {
            continue;
        }
        if state.pending.len() >= PENDING_MAX {
            seen = uid - 1;
            is_more = true;
            break;
        }
        let after = None;
        state.pending.push(Pending { id, uid, since: now, tries: 0, next_at: now, after });
    }
    state.seen = seen;
    state.write(store, unique)?;
    Ok(Some((rule, state, is_more)))
}

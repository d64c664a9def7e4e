//! What must be done from time to time: signs of life, what others tell, the spool, old messages.

use super::*;
use crate::spool::Waiting;

/// A message in the spool, as administrators see it.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct PendingMessage {
    /// Which.
    #[schema(value_type = String)]
    pub id: MessageId,
    /// For whom; empty while the message cannot be read.
    pub to: String,
    /// Since when, RFC 3339.
    pub since: String,
    /// Bytes of it.
    pub bytes: u64,
    /// Why it is still there, if it was tried.
    pub trouble: Option<String>,
}

/// A process that uses the root.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct NodeState {
    /// Its name.
    pub node: String,
    /// Its machine.
    pub host: String,
    /// Whether it is alive.
    pub is_alive: bool,
    /// Whether it is this process.
    pub is_this: bool,
}

/// What a sweep did.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Swept {
    /// Mailboxes that were looked at.
    pub mailboxes: u64,
    /// Messages that were deleted because their time was over.
    pub expired: u64,
    /// Mailboxes that could not be swept.
    pub failed: u64,
}

/// What another node told of a mailbox.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    want: bool,
    look: bool,
    changed: bool,
}

impl MessageStore {
    /// [`Self::beat`], [`Self::hear`] and [`Self::work`], one after the other: for whoever has one thread.
    pub fn tick(&self) {
        self.beat();
        self.hear();
        self.work();
    }

    /// Gives a sign of life, each second; joins the root when that was not possible before. Without it others take our
    /// mailboxes after [`LEASE`](crate::LEASE), so it waits for nothing but the root, not for what else is done here.
    pub fn beat(&self) {
        let now = self.host.uptime();
        if lock(&self.session).is_closed {
            return;
        }
        lock(&self.session).asked.get_or_insert(now);
        let done = self.sign();
        let mut session = lock(&self.session);
        session.asked = None;
        match done {
            Ok(()) => {
                if session.trouble.take().is_some() {
                    tracing::info!(root = %self.root.display(), "the message store can be reached");
                }
            }
            Err(error) => {
                let why = told(&error);
                if session.trouble.as_ref() != Some(&why) {
                    tracing::error!(root = %self.root.display(), why, "the message store cannot be reached");
                }
                session.trouble = Some(why);
            }
        }
    }

    fn sign(&self) -> Result<(), MailError> {
        self.guard()?;
        let known = lock(&self.session).node.clone();
        match known.map_or_else(|| self.joined(), Ok)?.beat() {
            // What is there can be read, and deleted.
            Err(error) if is_full(&error) => {
                tracing::error!(root = %self.root.display(), "no room is left in the message store");
                Ok(())
            }
            done => Ok(done?),
        }
    }

    /// Our node, if we have joined and the root can be used as far as is known.
    pub(super) fn well(&self) -> Option<Arc<Node>> {
        let session = lock(&self.session);
        session.node.clone().filter(|_| session.trouble.is_none() && !session.is_closed)
    }

    /// Listens to what other nodes tell, each second. It waits for a mailbox that is in use.
    pub fn hear(&self) {
        let Some(node) = self.well() else { return };
        // What fails is told by the next sign of life.
        let heard = node.hear().unwrap_or_default();
        let mut all: BTreeMap<Unique, Told> = BTreeMap::new();
        if heard.has_missed {
            let opened = lock(&self.opened);
            let look = Told { look: true, ..Told::default() };
            all.extend(opened.keys().map(|unique| (unique.clone(), look)));
        }
        // Of each mailbox once, however much was told of it.
        for (notice, leaf) in heard.notices {
            let Some(unique) = Unique::of_leaf(&leaf) else { continue };
            let told = all.entry(unique).or_default();
            match notice {
                Notice::Want => told.want = true,
                Notice::Look => told.look = true,
                Notice::Changed => told.changed = true,
            }
        }
        // First of all: who waits shall not wait for what else there is to do.
        for (unique, _) in all.iter().filter(|(_, told)| told.want) {
            self.opened(unique).is_wanted.store(true, Ordering::Relaxed);
        }
        for (unique, told) in &all {
            if told.look || told.changed {
                self.look(&node, unique, told.look);
            } else {
                // Nothing but to let it go.
                let _ = self.with(&node, unique, |_, _, _| Ok(()));
            }
        }
        for unique in self.due() {
            self.look(&node, &unique, false);
        }
    }

    /// Looks at a mailbox because another node told of it; tells what is new there, or at least that something is.
    fn look(&self, node: &Node, unique: &Unique, is_behind: bool) {
        // Purged meanwhile, or never there; or nobody is to be at it. What cannot be read is looked at all the same.
        if let Err(MailError::NoSuchMailbox(_) | MailError::Deleted(_)) = self.usable(unique) {
            let entry = lock(&self.opened).remove(unique);
            if let Some(entry) = entry {
                self.release(node, unique, &entry);
            }
            return;
        }
        let _ = self.with(node, unique, |opened, around, seen| {
            let now = around.host.uptime();
            if is_behind {
                opened.look_again(now);
            }
            let followed = opened.follow(around, seen);
            if followed.is_err() && !is_behind {
                opened.fail_to_look(now);
            }
            followed?;
            if seen.is_empty() && opened.tells_first() {
                let catalog = opened.catalog();
                let (counts, sequence) = (*catalog.counts(), catalog.head.sequence);
                self.tell(unique, [MailChange::Unspecified], Some(counts), sequence);
            }
            Ok(())
        });
    }

    /// Mailboxes that are to be looked at again.
    fn due(&self) -> Vec<Unique> {
        let now = self.host.uptime();
        let all = lock(&self.opened);
        let is_due =
            |entry: &Entry| entry.opened.try_lock().is_ok_and(|mut opened| opened.is_due(now));
        all.iter().filter(|(_, entry)| is_due(entry)).map(|(unique, _)| unique.clone()).collect()
    }

    /// Delivers what waits in the spool, and lets mailboxes go that nobody uses; each second. It may take as long as there
    /// is to be delivered.
    pub fn work(&self) {
        if self.well().is_some() {
            self.deliver_spooled();
            self.let_go();
        }
    }

    /// Why the root cannot be used at this moment; `None` when it can.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        let session = lock(&self.session);
        if session.is_late(self.host.uptime()) {
            Some("it does not answer".to_owned())
        } else {
            session.trouble.clone()
        }
    }

    /// The root has not answered yet, and somebody wants to know how it is.
    pub(crate) fn doubt(&self) {
        lock(&self.session).trouble.get_or_insert_with(|| "it does not answer".to_owned());
    }

    /// What waits in the spool.
    #[must_use]
    pub fn pending(&self) -> Vec<PendingMessage> {
        let Some(spool) = &self.spool else { return Vec::new() };
        let pending = |one: Waiting| PendingMessage {
            id: one.name.id,
            to: one.to.to_string(),
            since: one.name.at.to_string(),
            bytes: one.row.bytes,
            trouble: one.trouble,
        };
        let unread = spool.unread().into_iter().map(|(name, why)| PendingMessage {
            id: name.id,
            to: String::new(),
            since: name.at.to_string(),
            bytes: 0,
            trouble: Some(why),
        });
        spool.waiting().into_iter().map(pending).chain(unread).collect()
    }

    /// Takes a message out of the spool that nobody shall have: of a mailbox that will not be made, say.
    ///
    /// # Errors
    /// It is not there (any more), or the disk says no.
    pub fn discard(&self, id: MessageId) -> Result<(), MailError> {
        let none = || MailError::NoSuchMessage(id);
        let spool = self.spool.as_ref().ok_or_else(none)?;
        let names = spool.waiting().into_iter().map(|one| one.name);
        let name = names.chain(spool.unread().into_keys()).find(|name| name.id == id);
        Ok(spool.done(&name.ok_or_else(none)?)?)
    }

    /// The processes that use the root.
    ///
    /// # Errors
    /// It cannot be reached.
    pub fn nodes(&self) -> Result<Vec<NodeState>, MailError> {
        let node = self.node()?;
        let state = |(id, identity, is_alive): (String, crate::Identity, bool)| NodeState {
            is_this: id == node.id(),
            node: id,
            host: identity.host,
            is_alive,
        };
        Ok(node.all()?.into_iter().map(state).collect())
    }

    fn deliver_spooled(&self) {
        let Some(spool) = &self.spool else { return };
        spool.read_again();
        let mut by_mailbox: BTreeMap<Unique, Vec<Waiting>> = BTreeMap::new();
        for waiting in spool.waiting() {
            by_mailbox.entry(waiting.to.unique.clone()).or_default().push(waiting);
        }
        for (unique, all) in by_mailbox {
            let known = self.known_of(&unique, &all);
            for waiting in all {
                let done = match &known {
                    Ok(known) => match known.get(&waiting.name.id) {
                        Some(known) => known.clone(),
                        None => self.deliver_waiting(spool, &waiting),
                    },
                    Err(why) => Err(why.clone()),
                };
                self.after_spool(spool, &waiting, done);
                if self.trouble().is_some() {
                    return;
                }
            }
        }
    }

    fn after_spool(&self, spool: &Spool, waiting: &Waiting, done: Result<(), String>) {
        match done {
            Ok(()) => {
                tracing::info!(mailbox = waiting.to.unique.leaf(), message = %waiting.name, "a message left the spool");
                if let Err(error) = spool.done(&waiting.name) {
                    let why = format!("it was delivered and cannot be taken away: {error}");
                    spool.troubled(waiting.name.id, why);
                }
            }
            Err(why) => {
                if waiting.trouble.as_ref() != Some(&why) {
                    tracing::warn!(mailbox = waiting.to.unique.leaf(), message = %waiting.name, why, "a message stays in the spool");
                }
                spool.troubled(waiting.name.id, why);
            }
        }
    }

    /// Which of these are in the mailbox already, or were and were removed: the power may have gone between a message's
    /// delivery and its leaving the spool. Nobody else delivers them, so it is asked once for all.
    fn known_of(
        &self,
        unique: &Unique,
        all: &[Waiting],
    ) -> Result<BTreeMap<MessageId, Result<(), String>>, String> {
        let known = self.owning(unique, |opened, around, seen| {
            opened.own(around, seen)?;
            opened.catch_up(around, seen)?;
            let mut known = BTreeMap::new();
            for id in all.iter().map(|waiting| waiting.name.id) {
                let Some(row) = opened.catalog().row(id).cloned() else {
                    if opened.catalog().was_removed(id) {
                        known.insert(id, Ok(()));
                    }
                    continue;
                };
                let name = row.name();
                match opened.envelope(around.disk, &name) {
                    Ok(_) => drop(known.insert(id, Ok(()))),
                    // What is in the spool is whole: it takes the place of what a cut left of the first attempt.
                    Err(Broken::Message(why)) => {
                        match opened.quarantine(around.disk, &name, &why) {
                            Ok(()) => seen.push(Seen::Broken(name, why)),
                            Err(error) => drop(known.insert(id, Err(error.to_string()))),
                        }
                    }
                    Err(broken @ (Broken::Disk(_) | Broken::Later)) => {
                        known.insert(id, Err(broken.to_string()));
                    }
                }
            }
            opened.catch_up(around, seen)?;
            // The sync may be what failed at first.
            around.disk.sync_folder(&opened.messages())?;
            Ok(known)
        });
        known.map_err(|error| told(&error))
    }

    /// Delivers a message that was acknowledged before.
    fn deliver_waiting(&self, spool: &Spool, waiting: &Waiting) -> Result<(), String> {
        let draft = spool.draft(waiting)?;
        let to = &waiting.to;
        self.deliver_as(&waiting.name, &draft, to, Bound::None).map_err(|error| told(&error))
    }

    /// Lets the mailboxes go that were used least recently.
    fn let_go(&self) {
        let over: Vec<_> = {
            let mut all = lock(&self.opened);
            let over = all.len().saturating_sub(OPENED_MAX);
            if over == 0 {
                return;
            }
            // One that is in use was used just now.
            let mut by_use: Vec<_> = all
                .iter()
                .filter_map(|(unique, entry)| {
                    let used = entry.opened.try_lock().ok()?.used;
                    Some((used, unique.clone()))
                })
                .collect();
            by_use.sort();
            by_use.truncate(over);
            by_use.into_iter().filter_map(|(_, unique)| all.remove_entry(&unique)).collect()
        };
        let Ok(node) = self.node() else { return };
        over.iter().for_each(|(unique, opened)| self.release(&node, unique, opened));
    }

    /// Deletes what is in its folder for longer than that keeps it, or past its own time, in all mailboxes.
    ///
    /// # Errors
    /// The root cannot be reached.
    pub fn sweep(&self) -> Result<Swept, MailError> {
        let mut swept = Swept::default();
        for unique in self.uniques()? {
            self.let_go();
            swept.mailboxes += 1;
            match self.sweep_one(&unique) {
                Ok(expired) => swept.expired += expired,
                Err(MailError::Deleted(_) | MailError::NoSuchMailbox(_)) => {}
                Err(error) => {
                    swept.failed += 1;
                    tracing::warn!(
                        mailbox = unique.leaf(),
                        why = told(&error),
                        "old messages could not be deleted"
                    );
                }
            }
        }
        Ok(swept)
    }

    fn sweep_one(&self, unique: &Unique) -> Result<u64, MailError> {
        self.usable(unique)?;
        let now = self.host.wall();
        let is_over = |row: &Row| {
            let place = FOLDERS.iter().position(|folder| *folder == row.folder);
            let days = place.and_then(|place| self.options.retention_days.get(place)).copied();
            let kept = days.filter(|days| *days > 0);
            let since = Moment::from_micros(row.moved.unwrap_or(row.at));
            let old = kept.is_some_and(|days| since.plus_days(days) < now);
            old || row.expires.is_some_and(|at| at < now.as_micros())
        };
        let ids: Vec<_> = self.looked(unique, |opened| {
            opened.catalog().rows().filter(|row| is_over(row)).map(|row| row.id).collect()
        })?;
        if !ids.is_empty() {
            // Somebody may have taken one back meanwhile.
            self.remove_those(unique, &ids, &is_over)?;
        }
        Ok(u64::try_from(ids.len()).unwrap_or(u64::MAX))
    }
}

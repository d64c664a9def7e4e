//! What must be done from time to time: signs of life, what others tell, the spool, old messages.

use super::*;

/// A message in the spool, as administrators see it.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct PendingMessage {
    /// Which.
    #[schema(value_type = String)]
    pub id: MessageId,
    /// For whom.
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
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                tracing::error!(root = %self.root.display(), "no room is left in the message store");
                Ok(())
            }
            done => Ok(done?),
        }
    }

    /// Our node, if we have joined and the root can be used as far as is known.
    fn well(&self) -> Option<Arc<Node>> {
        let session = lock(&self.session);
        session.node.clone().filter(|_| session.trouble.is_none() && !session.is_closed)
    }

    /// Listens to what other nodes tell, each second. It waits for a mailbox that is in use.
    pub fn hear(&self) {
        let Some(node) = self.well() else { return };
        // What fails is told by the next sign of life.
        let heard = node.hear().unwrap_or_default();
        if heard.has_missed {
            let all: Vec<_> = lock(&self.opened).keys().cloned().collect();
            for unique in all {
                let _ = self.with(&node, &unique, |opened, around, seen| {
                    opened.look_again();
                    opened.follow(around, seen)
                });
            }
        }
        for (notice, leaf) in heard.notices {
            let Some(unique) = Unique::of_leaf(&leaf) else { continue };
            let is_opened = lock(&self.opened).contains_key(&unique);
            if !is_opened && notice != Notice::Want {
                continue;
            }
            // What fails here is found out when the mailbox is used next.
            let _ = self.with(&node, &unique, |opened, around, seen| {
                match notice {
                    Notice::Want => opened.give(around, seen)?,
                    Notice::Look => {
                        opened.look_again();
                        opened.follow(around, seen)?;
                    }
                    Notice::Changed => opened.follow(around, seen)?,
                }
                Ok(())
            });
        }
        for unique in self.untold() {
            let _ = self.with(&node, &unique, |opened, around, seen| opened.follow(around, seen));
        }
    }

    /// Mailboxes of which something is not told yet.
    fn untold(&self) -> Vec<Unique> {
        let all = lock(&self.opened);
        let has_untold =
            |opened: &Mutex<Opened>| opened.try_lock().is_ok_and(|opened| opened.has_untold());
        all.iter().filter(|(_, o)| has_untold(o)).map(|(unique, _)| unique.clone()).collect()
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
        let pending = |one: crate::spool::Waiting| PendingMessage {
            id: one.name.id,
            to: one.to.to_string(),
            since: one.name.at.to_string(),
            bytes: one.row.bytes,
            trouble: one.trouble,
        };
        spool.waiting().into_iter().map(pending).collect()
    }

    /// Takes a message out of the spool that nobody shall have: of a mailbox that will not be made, say.
    ///
    /// # Errors
    /// It is not there (any more), or the disk says no.
    pub fn discard(&self, id: MessageId) -> Result<(), MailError> {
        let none = || MailError::NoSuchMessage(id);
        let spool = self.spool.as_ref().ok_or_else(none)?;
        let waiting = spool.waiting().into_iter().find(|one| one.name.id == id);
        Ok(spool.done(&waiting.ok_or_else(none)?)?)
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
        for waiting in spool.waiting() {
            match self.deliver_waiting(spool, &waiting) {
                Ok(()) => {
                    tracing::info!(mailbox = waiting.to.unique.leaf(), message = %waiting.name, "a message left the spool");
                    if let Err(error) = spool.done(&waiting) {
                        spool.troubled(
                            waiting.name.id,
                            format!("it was delivered and cannot be taken away: {error}"),
                        );
                    }
                }
                Err(why) => {
                    if waiting.trouble.as_ref() != Some(&why) {
                        tracing::warn!(mailbox = waiting.to.unique.leaf(), message = %waiting.name, why, "a message stays in the spool");
                    }
                    spool.troubled(waiting.name.id, why);
                    if self.trouble().is_some() {
                        return;
                    }
                }
            }
        }
    }

    /// Delivers a message that was acknowledged before, once. It may be there already: the power may have gone
    /// between its delivery and its leaving the spool.
    fn deliver_waiting(
        &self,
        spool: &Spool,
        waiting: &crate::spool::Waiting,
    ) -> Result<(), String> {
        let unique = &waiting.to.unique;
        self.mailbox_file(unique).map_err(|error| told(&error))?;
        let id = waiting.name.id;
        let known = self.owning(unique, |opened, around, seen| {
            opened.own(around, seen)?;
            opened.catch_up(around, seen)?;
            let Some(row) = opened.catalog().row(id).cloned() else {
                return Ok(opened.catalog().was_removed(id));
            };
            match opened.envelope(around.disk, &row.name()) {
                Ok(_) => {
                    around.disk.sync_folder(&opened.messages())?;
                    Ok(true)
                }
                Err(Broken::Disk(error)) => Err(error.into()),
                Err(Broken::Later) => Err(io::Error::other(Broken::Later.to_string()).into()),
                // What is in the spool is whole: it takes the place of what a cut left of the first attempt.
                Err(Broken::Message(why)) => {
                    opened.quarantine(around.disk, &row.name(), &why)?;
                    seen.push(Seen::Broken(row.name(), why));
                    opened.catch_up(around, seen)?;
                    Ok(false)
                }
            }
        });
        if known.map_err(|error| told(&error))? {
            return Ok(());
        }
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
                .filter_map(|(unique, opened)| {
                    let used = opened.try_lock().ok()?.used;
                    Some((used, unique.clone()))
                })
                .collect();
            by_use.sort();
            by_use.truncate(over);
            by_use.into_iter().filter_map(|(_, unique)| all.remove(&unique)).collect()
        };
        let Ok(node) = self.node() else { return };
        let around = Around { disk: &*self.disk, host: &*self.host, node: &node };
        over.iter().for_each(|opened| lock(opened).release(around, &mut Vec::new()));
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
                Err(MailError::Deleted(_)) => {}
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

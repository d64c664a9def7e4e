use std::cell::RefCell;
use std::collections::BTreeSet;

use imap::{
    Append, Attribute, Fetch, Mode, Numbering, ResultOption, Search, SequenceSet, Store,
    StoreAction, write,
};
use mailbox::{Draft, Folder, MailError, Marks, MessageId, MessageStore, Moment, Place, Unique};

use super::fetching::{self, Order};
use super::folders;
use super::searching;
use super::selected::{Entry, Expunges, Selected, Telling, mark};
use super::session::{Answer, Asked, Session};

/// Messages that are changed in one go, so that others come in between.
const CHANGED_AT_ONCE: usize = 500;

impl Session {
    /// The folder that is open, if it may be changed.
    fn writable(&self) -> Result<&Selected, Asked> {
        match self.selected.as_deref() {
            Some(selected) if selected.mode == Mode::ReadWrite => Ok(selected),
            Some(_) => Err(Asked::No(Answer::no("NOPERM", "the folder was opened with EXAMINE"))),
            None => Err(Asked::No(Answer::bad("no folder is open"))),
        }
    }

    /// The messages of a set, each with its number.
    fn chosen(&self, by: Numbering, set: &SequenceSet) -> Result<Vec<(usize, Entry)>, Asked> {
        let Some(selected) = self.selected.as_deref() else {
            return Err(Asked::No(Answer::bad("no folder is open")));
        };
        if selected.goes_beyond(by, set) {
            return Err(Asked::No(Answer::bad("there is no message of that number")));
        }
        let places = selected.places(by, set);
        let entries = places
            .into_iter()
            .filter_map(|place| selected.entries.get(place).map(|entry| (place + 1, *entry)));
        Ok(entries.collect())
    }

    /// The same, without those that are no more.
    fn there(&self, by: Numbering, set: &SequenceSet) -> Result<Vec<(usize, Entry)>, Asked> {
        let mut chosen = self.chosen(by, set)?;
        chosen.retain(|(_, entry)| !entry.is_gone);
        Ok(chosen)
    }

    /// What is told after a command with numbers or UIDs of messages. RFC 9051 §7.5.1: who may be sending numbers is not told that
    /// they change.
    fn sync_of(&self, by: Numbering) -> (Expunges, Telling) {
        let expunges = match by {
            Numbering::Sequence => Expunges::Hold,
            Numbering::Uid => Expunges::Tell,
        };
        (expunges, self.telling(by == Numbering::Uid))
    }

    pub(super) async fn search(
        &mut self,
        tag: &str,
        by: Numbering,
        search: Search,
    ) -> Result<Answer, Asked> {
        if search.charset.as_deref().is_some_and(|set| !["UTF-8", "US-ASCII"].contains(&set)) {
            return Ok(Answer::no("BADCHARSET (UTF-8 US-ASCII)", "the character set is not known"));
        }
        self.features.condstore |= search.asks_for_mod_seq();
        let (tag, is_rev2) = (tag.to_owned(), self.features.rev2);
        let sync = self.sync_of(by);
        let done = self.with_selected_synced(sync, move |store, selected, out| {
            let found = searching::search(store, selected, &search)?;
            searching::tell(selected, (by, &search), (&tag, is_rev2), &found, out);
            if let Some(options) = &search.results
                && options.contains(&ResultOption::Save)
            {
                selected.saved = saved(selected, options, &found);
            }
            Ok(())
        });
        done.await?;
        Ok(Answer::ok("that is all"))
    }

    pub(super) async fn fetch(
        &mut self,
        by: Numbering,
        set: &SequenceSet,
        fetch: Fetch,
    ) -> Result<Answer, Asked> {
        let mut chosen = self.chosen(by, set)?;
        let mut attributes: Vec<Attribute> = Vec::with_capacity(fetch.attributes.len());
        for attribute in fetch.attributes {
            if !attributes.contains(&attribute) {
                attributes.push(attribute);
            }
        }
        if by == Numbering::Uid && !attributes.contains(&Attribute::Uid) {
            attributes.insert(0, Attribute::Uid);
        }
        if let Some(since) = fetch.changed_since {
            chosen.retain(|(_, entry)| entry.mod_seq > since);
            if !attributes.contains(&Attribute::ModSeq) {
                attributes.push(Attribute::ModSeq);
            }
        }
        self.features.condstore |= attributes.contains(&Attribute::ModSeq);
        let reads = attributes.iter().any(Attribute::reads) && self.writable().is_ok();
        let marked = reads && self.mark_read(&mut chosen).await?;
        let Some(selected) = self.selected.as_deref() else {
            return Ok(Answer::bad("no folder is open"));
        };
        // Only of a message that comes in pieces the next is likely to be asked for.
        let is_partial = attributes.iter().any(Attribute::is_partial);
        let order = Order {
            unique: selected.unique.clone(),
            messages: chosen.into(),
            attributes: attributes.into(),
            marked,
            bytes_max: self.room.limits.message_bytes_max.saturating_mul(2),
        };
        if fetching::from_memory(&order, &self.last, &mut self.out).is_some() {
            return Ok(Answer::ok("that is all"));
        }
        let (mut next, mut failures, mut unknown) = (0, Vec::new(), false);
        let sync = self.sync_of(by);
        loop {
            let (order, last) = (order.clone(), self.last.take());
            let fetched = self.with_selected(move |store, selected| {
                let mut fetched = fetching::fetch(store, &order, next, last);
                let is_last = fetched.next >= order.messages.len();
                if is_last && let Err(error) = selected.sync(store, sync, &mut fetched.out) {
                    tracing::debug!(%error, "a folder could not be looked at");
                }
                Ok((fetched, is_last))
            });
            let (mut fetched, is_last) = fetched.await?;
            next = fetched.next.max(next + 1);
            self.last = fetched.last.filter(|_| is_partial);
            failures.append(&mut fetched.failed);
            unknown |= fetched.unknown_encoding;
            self.out.append(&mut fetched.out);
            if is_last {
                break;
            }
            self.link.write(&mut self.out).await?;
        }
        if unknown {
            return Ok(Answer::no("UNKNOWN-CTE", "how a part is encoded is not known"));
        }
        Ok(fetched_but(failures.into_iter().next()))
    }

    /// Marks messages as read that were not; whether there were any.
    async fn mark_read(&mut self, chosen: &mut [(usize, Entry)]) -> Result<bool, Asked> {
        let unread: Vec<Entry> =
            chosen.iter().filter(|(_, entry)| !entry.marks.read).map(|(_, entry)| *entry).collect();
        if unread.is_empty() {
            return Ok(false);
        }
        let read = |row: &mailbox::Row| (row.folder, Marks { read: true, ..row.marks });
        self.with_selected(move |store, selected| {
            change(store, selected, &unread, &read).map(drop)
        })
        .await?;
        if let Some(selected) = self.selected.as_deref() {
            for (number, entry) in chosen {
                if let Some(now) = selected.entries.get(*number - 1) {
                    *entry = *now;
                }
            }
        }
        Ok(true)
    }

    pub(super) async fn store(
        &mut self,
        by: Numbering,
        set: &SequenceSet,
        order: Store,
    ) -> Result<Answer, Asked> {
        self.writable()?;
        let chosen = self.there(by, set)?;
        self.features.condstore |= order.unchanged_since.is_some();
        let sync @ (_, telling) = self.sync_of(by);
        let done = self.with_selected_synced(sync, move |store, selected, out| {
            let refused = RefCell::new(BTreeSet::new());
            let edit = |row: &mailbox::Row| {
                if order.unchanged_since.is_some_and(|since| row.changed > since) {
                    refused.borrow_mut().insert(row.id);
                    return (row.folder, row.marks);
                }
                (row.folder, edited(row.marks, &order))
            };
            let entries: Vec<_> = chosen.iter().map(|(_, entry)| *entry).collect();
            change(store, selected, &entries, &edit)?;
            let refused = refused.into_inner();
            for (number, entry) in &chosen {
                let is_told = !order.silent || telling.mod_seq;
                if is_told && !refused.contains(&entry.id) {
                    selected.tell_flags(number - 1, telling, out);
                }
            }
            let modified: Vec<u32> = chosen
                .iter()
                .filter(|(_, entry)| refused.contains(&entry.id))
                .map(|(number, entry)| match by {
                    Numbering::Sequence => u32::try_from(*number).unwrap_or(u32::MAX),
                    Numbering::Uid => entry.uid,
                })
                .collect();
            Ok(modified)
        });
        let modified = done.await?;
        if modified.is_empty() {
            return Ok(Answer::ok("done"));
        }
        let modified = write::compact(modified);
        Ok(Answer::ok("some have changed since").with(format!("MODIFIED {modified}")))
    }

    pub(super) async fn expunge(&self, set: Option<SequenceSet>) -> Result<Answer, Asked> {
        let selected = self.writable()?;
        let among = set.map(|set| selected.places(Numbering::Uid, &set));
        let entries = selected.entries.iter().enumerate();
        let messages: Vec<(MessageId, u32)> = entries
            .filter(|(place, _)| {
                among.as_ref().is_none_or(|among| among.binary_search(place).is_ok())
            })
            .filter(|(_, entry)| entry.marks.expunging)
            .map(|(_, entry)| (entry.id, entry.uid))
            .collect();
        let unique = selected.unique.clone();
        let done = self.room.blocking(move |store| {
            let mut some = messages.chunks(CHANGED_AT_ONCE);
            some.try_for_each(|messages| store.expunge(&unique, messages))
        });
        done.await.and_then(|done| done)?;
        Ok(Answer::ok("done"))
    }

    pub(super) async fn close(&mut self) -> Result<Answer, Asked> {
        if self.selected.is_none() {
            return Ok(Answer::bad("no folder is open"));
        }
        if self.writable().is_ok() {
            self.expunge(None).await?;
        }
        self.selected = None;
        Ok(Answer::ok("closed"))
    }

    pub(super) async fn copy(
        &mut self,
        by: Numbering,
        set: &SequenceSet,
        to: &str,
    ) -> Result<Answer, Asked> {
        let chosen = self.there(by, set)?;
        let Some(folder) = folders::by_name(to) else {
            return Ok(Answer::no("TRYCREATE", "there is no such folder"));
        };
        let done = self.with_selected(move |store, selected| {
            let ids: Vec<_> = chosen.iter().map(|(_, entry)| entry.id).collect();
            let copies = copies(store, &selected.unique, &ids, folder)?;
            Ok((selected.uid_validity, pairs(store, (selected, folder), &chosen, &copies)?))
        });
        let (uid_validity, pairs) = done.await?;
        Ok(copied("copied", uid_validity, &pairs))
    }

    pub(super) async fn move_to(
        &mut self,
        by: Numbering,
        set: &SequenceSet,
        to: &str,
    ) -> Result<Answer, Asked> {
        let from = self.writable()?.folder;
        let chosen = self.there(by, set)?;
        let Some(folder) = folders::by_name(to) else {
            return Ok(Answer::no("TRYCREATE", "there is no such folder"));
        };
        if folder == from {
            return Ok(Answer::no("CANNOT", "they are there"));
        }
        let done = self.with_selected(move |store, selected| {
            let entries: Vec<_> = chosen.iter().map(|(_, entry)| *entry).collect();
            for entries in entries.chunks(CHANGED_AT_ONCE) {
                change_those(store, &selected.unique, entries, &|row| (folder, row.marks))?;
            }
            let ids: Vec<_> = entries.iter().map(|entry| entry.id).collect();
            Ok((selected.uid_validity, pairs(store, (selected, folder), &chosen, &ids)?))
        });
        let (uid_validity, pairs) = done.await?;
        if let Some(code) = copy_uid(uid_validity, &pairs) {
            self.untagged(&format!("OK [{code}] moved"));
        }
        Ok(Answer::ok("done"))
    }

    pub(super) async fn append(&self, append: Append) -> Result<Answer, Asked> {
        let unique = self.user()?;
        let Some(folder) = folders::by_name(&append.mailbox) else {
            return Ok(Answer::no("TRYCREATE", "there is no such folder"));
        };
        let mut marks = Marks::default();
        for flag in &append.flags {
            if let Some(mark) = mark(flag, &mut marks) {
                *mark = true;
            }
        }
        let received =
            append.date.map(|seconds| Moment::from_micros(seconds.saturating_mul(1_000_000)));
        let done = self.room.blocking(move |store| {
            let draft = Draft::of_mail(append.message.into());
            let draft = Draft { folder, marks, received, ..draft };
            let to = store.resolve(&unique)?;
            let done = store.deliver(&draft, std::slice::from_ref(&to)).pop();
            let receipt = done.unwrap_or(Err(MailError::Invalid("a receiver")))?;
            if receipt.place == Place::Spool {
                return Ok(None);
            }
            store.view(&unique, |view| Some((view.uid_validity(), view.row(receipt.id)?.uid)))
        });
        let code = done.await.and_then(|done| done)?;
        let code = code.map(|(uid_validity, uid)| format!("APPENDUID {uid_validity} {uid}"));
        let answer = Answer::ok("taken");
        Ok(match code {
            Some(code) => answer.with(code),
            None => answer,
        })
    }
}

/// Changes messages of the folder that is open, and takes in how they are then.
fn change(
    store: &MessageStore,
    selected: &mut Selected,
    entries: &[Entry],
    edit: &dyn Fn(&mailbox::Row) -> (Folder, Marks),
) -> Result<(), MailError> {
    for entries in entries.chunks(CHANGED_AT_ONCE) {
        let rows = change_those(store, &selected.unique, entries, edit)?;
        selected.changed(&rows);
    }
    Ok(())
}

/// Changes messages; how they are then. What has another UID by now is not in the folder any more: it is not the message that was
/// meant.
fn change_those(
    store: &MessageStore,
    unique: &Unique,
    entries: &[Entry],
    edit: &dyn Fn(&mailbox::Row) -> (Folder, Marks),
) -> Result<Vec<mailbox::Row>, MailError> {
    let ids: Vec<_> = entries.iter().map(|entry| entry.id).collect();
    let uids: BTreeSet<_> = entries.iter().map(|entry| entry.uid).collect();
    let mut rows = store.change_each(unique, &ids, |row| {
        if uids.contains(&row.uid) { edit(row) } else { (row.folder, row.marks) }
    })?;
    rows.retain(|row| uids.contains(&row.uid));
    Ok(rows)
}

fn edited(marks: Marks, order: &Store) -> Marks {
    let mut edited = match order.action {
        StoreAction::Replace => Marks::default(),
        StoreAction::Add | StoreAction::Remove => marks,
    };
    for flag in &order.flags {
        // A flag that is not kept is no reason to refuse those that are. RFC 9051 §6.4.6.
        if let Some(mark) = mark(flag, &mut edited) {
            *mark = order.action != StoreAction::Remove;
        }
    }
    edited
}

/// What `$` is after a search. RFC 5182 §2.1: with MIN or MAX alone, only those.
fn saved(selected: &Selected, options: &[ResultOption], found: &[usize]) -> Vec<u32> {
    let has = |option| options.contains(&option);
    let all = has(ResultOption::All) || has(ResultOption::Count);
    let some = has(ResultOption::Min) || has(ResultOption::Max);
    let places: Vec<usize> = if all || !some {
        found.to_vec()
    } else {
        let first = found.first().filter(|_| has(ResultOption::Min));
        let last = found.last().filter(|_| has(ResultOption::Max));
        let mut ends: Vec<_> = first.into_iter().chain(last).copied().collect();
        ends.dedup();
        ends
    };
    places.iter().filter_map(|place| selected.entries.get(*place)).map(|entry| entry.uid).collect()
}

/// Copies messages within a mailbox, all or none. RFC 9051 §6.4.7.
fn copies(
    store: &MessageStore,
    unique: &Unique,
    ids: &[MessageId],
    folder: Folder,
) -> Result<Vec<MessageId>, MailError> {
    let to = store.resolve(unique)?;
    let mut made = Vec::with_capacity(ids.len());
    for id in ids {
        let done = store.copied(unique, *id, folder).and_then(|draft| {
            let done = store.deliver(&draft, std::slice::from_ref(&to)).pop();
            done.unwrap_or(Err(MailError::Invalid("a receiver")))
        });
        match done {
            Ok(receipt) => made.push(receipt.id),
            Err(error) => {
                // What cannot be taken back is one copy too many, and no message too few.
                let _ = store.remove(unique, &made);
                return Err(error);
            }
        }
    }
    Ok(made)
}

/// The UIDs of messages before, and of the same messages or their copies now.
fn pairs(
    store: &MessageStore,
    (selected, folder): (&Selected, Folder),
    chosen: &[(usize, Entry)],
    now: &[MessageId],
) -> Result<Vec<(u32, u32)>, MailError> {
    store.view(&selected.unique, |view| {
        let pairs = chosen.iter().zip(now).filter_map(|((_, entry), id)| {
            let row = view.row(*id).filter(|row| row.folder == folder)?;
            Some((entry.uid, row.uid)).filter(|(before, now)| before != now)
        });
        pairs.collect()
    })
}

fn copied(text: &str, uid_validity: u32, pairs: &[(u32, u32)]) -> Answer {
    match copy_uid(uid_validity, pairs) {
        Some(code) => Answer::ok(text).with(code),
        None => Answer::ok(text),
    }
}

/// RFC 9051 §7.1, COPYUID.
fn copy_uid(uid_validity: u32, pairs: &[(u32, u32)]) -> Option<String> {
    if pairs.is_empty() {
        return None;
    }
    let before = write::compact(pairs.iter().map(|(before, _)| *before));
    let now = write::compact(pairs.iter().map(|(_, now)| *now));
    Some(format!("COPYUID {uid_validity} {before} {now}"))
}

/// The answer to FETCH, where this could not be fetched.
fn fetched_but(failure: Option<(usize, MailError)>) -> Answer {
    match failure {
        None => Answer::ok("that is all"),
        Some((_, MailError::NoSuchMessage(_))) => {
            Answer::ok("some are no more").with("EXPUNGEISSUED".to_owned())
        }
        Some((number, error)) => {
            tracing::warn!(number, %error, "a message could not be fetched");
            error.into()
        }
    }
}

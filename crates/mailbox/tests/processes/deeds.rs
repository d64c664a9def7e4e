//! What a process does in mailboxes, and says of it.

use std::sync::atomic::{AtomicBool, Ordering};

use mailbox::{FOLDERS, Folder, Marks, MessageId, MessageStore, Place};

use crate::bed::{Chance, address, listed, say, unique, voice};

/// Messages that one worker has at once.
const MESSAGES_MAX: usize = 12;

/// One thread that delivers messages, and changes and removes those that it delivered. Each message has one worker, so
/// what becomes of it is known; workers of other processes only flag it.
pub(crate) struct Worker<'a> {
    pub(crate) store: &'a MessageStore,
    pub(crate) mailboxes: &'a [&'a str],
    /// Which of how many workers this is: its messages are those whose number leaves this rest.
    pub(crate) which: u64,
    pub(crate) workers: u64,
    /// Its next message.
    pub(crate) next: u64,
    pub(crate) chance: Chance,
    pub(crate) mine: Vec<(u64, MessageId, &'a str)>,
}

impl Worker<'_> {
    /// Takes over what an earlier process left.
    pub(crate) fn adopt(&mut self) {
        for mailbox in self.mailboxes {
            let found = listed(self.store, mailbox, 0).unwrap();
            let mine = found.iter().filter(|one| one.n % self.workers == self.which);
            self.mine.extend(mine.map(|one| (one.n, one.id, *mailbox)));
        }
    }

    pub(crate) fn run(&mut self, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            match self.chance.below(10) {
                0..5 if self.mine.len() < MESSAGES_MAX => self.deliver(),
                0..3 => self.remove(),
                9 => self.flag(),
                _ => self.change(),
            }
        }
    }

    fn deliver(&mut self) {
        let n = self.next;
        self.next += self.workers;
        let Some(mailbox) = self.chance.of(self.mailboxes).copied() else { return };
        say(&format!("> {n} {mailbox} inbox new"));
        match self.store.deliver(&voice(n), &[address(mailbox)]).remove(0) {
            Ok(receipt) => {
                say(&format!("< {n} {mailbox} inbox new"));
                if receipt.place == Place::Mailbox {
                    self.mine.push((n, receipt.id, mailbox));
                }
            }
            Err(error) => say(&format!("! {n} deliver: {error}")),
        }
    }

    fn change(&mut self) {
        let Some((n, id, mailbox)) = self.chance.of(&self.mine).copied() else { return };
        let folder = self.chance.of(&FOLDERS).copied().unwrap_or(Folder::Inbox);
        let read = self.chance.below(2) == 0;
        let state =
            format!("{n} {mailbox} {} {}", folder.word(), if read { "read" } else { "new" });
        say(&format!("> {state}"));
        let edit = |_, marks| (folder, Marks { read, ..marks });
        match self.store.change(&unique(mailbox), &[id], edit) {
            Ok(rows) => match rows.first() {
                Some(row) if row.folder == folder && row.marks.read == read => {
                    say(&format!("< {state}"));
                }
                row => say(&format!("! {state}: it is {:?}", row.map(|r| (r.folder, r.marks)))),
            },
            Err(error) => say(&format!("! {state}: {error}")),
        }
    }

    fn remove(&mut self) {
        let which = self.chance.below(u64::try_from(self.mine.len().max(1)).unwrap_or(1));
        let which = usize::try_from(which).unwrap_or(0);
        let Some((n, id, mailbox)) = self.mine.get(which).copied() else { return };
        say(&format!("> {n} gone"));
        match self.store.remove(&unique(mailbox), &[id]) {
            Ok(()) => {
                self.mine.swap_remove(which);
                say(&format!("< {n} gone"));
            }
            Err(error) => say(&format!("! {n} remove: {error}")),
        }
    }

    /// Flags a message that is another worker's. Nobody takes a flag away, so it must stay.
    fn flag(&mut self) {
        let Some(mailbox) = self.chance.of(self.mailboxes).copied() else { return };
        let mut found = match listed(self.store, mailbox, 0) {
            Ok(found) => found,
            Err(error) => return say(&format!("! list: {error}")),
        };
        found.retain(|one| one.n % self.workers != self.which);
        let Some(one) = self.chance.of(&found).copied() else { return };
        let edit = |folder, marks| (folder, Marks { flagged: true, ..marks });
        match self.store.change(&unique(mailbox), &[one.id], edit) {
            Ok(rows) if rows.iter().any(|row| row.marks.flagged) => {
                say(&format!("< {} flagged", one.n));
            }
            Ok(rows) if rows.is_empty() => {}
            Ok(rows) => say(&format!("! {} flag: it is {:?}", one.n, rows.first())),
            Err(error) => say(&format!("! {} flag: {error}", one.n)),
        }
    }
}

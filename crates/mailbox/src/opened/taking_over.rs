//! A mailbox becomes ours: the files of its catalog are claimed, read, and made to say what the messages' files do.

use super::*;

/// How many numbers of messages are reserved when a file of the catalog is begun. Should the end of
/// that file be lost, no number is given a second time.
const UIDS_RESERVED: u32 = 20_000;
/// How far the sequence of changes jumps when the end of a file may be lost.
const SEQUENCE_JUMP: u64 = 1 << 24;
/// How many races for a mailbox are lost one after the other, before it must be something else.
const RACES_MAX: usize = 100;
/// How often a folder is listed again because it changed meanwhile.
const SCANS_MAX: usize = 20;
/// How long a mailbox that was let go for another node is left to it; it looks every 20 ms. A busy owner would take it
/// back before.
const GIVEN: Duration = Duration::from_millis(200);

impl Opened {
    pub(super) fn newest_whole(&self, disk: &dyn Disk, epochs: &[u64]) -> Option<(u64, Read)> {
        epochs.iter().find_map(|epoch| {
            let mut read = Read::default();
            read.take(&read_from(disk, &self.path(*epoch), 0).ok()?);
            read.is_whole.then_some((*epoch, read))
        })
    }

    /// Makes the mailbox ours, and its catalog say what its files do.
    pub(crate) fn own(&mut self, around: Around<'_>, seen: &mut Vec<Seen>) -> Result<(), OwnError> {
        if self.is_owned(around) {
            return if self.is_behind { self.catch_up(around, seen) } else { Ok(()) };
        }
        self.log = None;
        let (mut gone, mut lost) = (0, 0);
        loop {
            let epochs = self.epochs(around.disk)?;
            let newest = epochs.first().copied().unwrap_or(0);
            match self.free(around, newest) {
                // Another began the next one at this moment.
                Err(OwnError::Disk(error))
                    if error.kind() == io::ErrorKind::NotFound && gone < TRIES_MAX =>
                {
                    gone += 1;
                    continue;
                }
                done => done?,
            }
            match self.claim(around, &epochs, seen) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && lost < RACES_MAX => {
                    lost += 1;
                }
                done => return done.map_err(OwnError::Disk),
            }
        }
    }

    /// Whether nobody alive owns the mailbox.
    fn free(&self, around: Around<'_>, newest: u64) -> Result<(), OwnError> {
        if newest == 0 {
            return Ok(());
        }
        // Only its begin and its end: this is asked at each look, and a catalog may be long.
        let (claim, end) = read_ends(around.disk, &self.path(newest))?;
        if is_later(&claim) {
            let later = io::Error::other("a later version keeps the catalog of this mailbox");
            return Err(OwnError::Disk(later));
        }
        if released_by(&end).is_some() {
            let now = around.host.uptime();
            let is_left = self
                .given
                .is_some_and(|(epoch, at)| epoch == newest && now.saturating_sub(at) < GIVEN);
            return if is_left {
                Err(OwnError::Held("a node that asked for it just now".to_owned()))
            } else {
                Ok(())
            };
        }
        let mut read = Read::default();
        read.take(&claim);
        let is_free = match &read.node {
            Some(node) => node == around.node.id() || around.node.is_dead(node),
            // A claim is written at once; what is longer and cannot be read is damaged.
            None if claim.len() >= CLAIM_BYTES_MAX => true,
            // Whoever made it and did not come to write its name joined before, and is dead if nobody else lives.
            None => {
                around.node.is_alone()
                    || around.node.is_stale_claim(&self.path(newest).to_string_lossy())
            }
        };
        if is_free {
            Ok(())
        } else {
            Err(OwnError::Held(read.node.unwrap_or_else(|| "a node that gave no name".to_owned())))
        }
    }

    /// Makes the next file; `older` are those that are there, the newest first.
    pub(super) fn claim(
        &mut self,
        around: Around<'_>,
        older: &[u64],
        seen: &mut Vec<Seen>,
    ) -> io::Result<()> {
        let epoch = match older.first() {
            Some(newest) => newest + 1,
            None => self.first_epoch(around.disk)?,
        };
        let log = around.disk.create(&self.path(epoch))?;
        if older.is_empty() && self.epochs(around.disk)?.len() > 1 {
            // Somebody else began with another number: the description was damaged, or made anew just now.
            let _ = around.disk.remove(&self.path(epoch));
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let was_known = self.is_known;
        let mut found = Vec::new();
        let claimed = self.claim_with(around, (epoch, log), older, &mut found);
        if claimed.is_ok() && !found.is_empty() {
            // What fails here they see when they look.
            let _ = around.node.tell(Notice::Changed, self.unique.leaf());
        }
        match &claimed {
            // Those who listen know nothing of it, and need to know only what comes.
            Ok(()) if !was_known => {
                self.untold.clear();
                seen.append(&mut found);
            }
            Ok(()) => {
                seen.extend(found.into_iter().filter(is_broken));
                self.tell_differences(seen);
            }
            Err(error) => {
                if error.kind() != io::ErrorKind::AlreadyExists {
                    // It is in everybody's way, ours too.
                    let _ = around.disk.remove(&self.path(epoch));
                }
                // What was learnt of the files stays until it is read again.
                self.forget();
                seen.extend(found.into_iter().filter(is_broken));
            }
        }
        if claimed.is_ok() {
            self.is_known = true;
            self.removed.clear();
        }
        claimed
    }

    /// The number of the first file of a catalog: it is the same for all who begin it, and another one when the mailbox
    /// was purged and made anew, so that nobody takes the new one's for its own.
    fn first_epoch(&self, disk: &dyn Disk) -> io::Result<u64> {
        #[derive(serde::Deserialize)]
        struct Created {
            created: u64,
        }
        let bytes = match read_all(disk, &self.folder.join(MAILBOX), 1 << 16) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            read => read.unwrap_or_default(),
        };
        let created = serde_json::from_slice(&bytes).map_or(1, |Created { created }| created);
        Ok(created.clamp(1, EPOCH_END / 2))
    }

    fn claim_with(
        &mut self,
        around: Around<'_>,
        (epoch, mut log): (u64, Box<dyn Writing>),
        older: &[u64],
        seen: &mut Vec<Seen>,
    ) -> io::Result<()> {
        let disk = around.disk;
        let mut text = FORMAT.to_owned();
        Record::Claim { epoch, node: around.node.id().to_owned() }.write(&mut text);
        log.write_all(text.as_bytes())?;
        // Only now: what the last owner appended before it could see our claim must be read.
        let stamp = disk.about(&self.messages())?.stamp;
        // Of a new numbering nobody knows a number yet; and of one that was let go, no end is lost.
        let (catalog, is_as_left, is_sure) = match self.newest_whole(disk, older) {
            Some((epoch, read)) => {
                let released = read.released.as_deref();
                let is_as_left = self.is_as_left(disk, epoch, released, stamp)?;
                (read.catalog, is_as_left, read.released.is_some())
            }
            None => (Catalog::new(self.uid_validity(around)?), false, true),
        };
        let before = std::mem::replace(&mut self.read, Read { catalog, ..Read::default() });
        self.keep_told(before.catalog);
        if !is_as_left {
            if !is_sure {
                let head = &mut self.read.catalog.head;
                head.uid_next = head.uid_next.saturating_add(UIDS_RESERVED);
                head.sequence = head.sequence.saturating_add(SEQUENCE_JUMP);
            }
            self.reconcile(around, seen)?;
        }
        let mut snapshot = String::new();
        self.read.catalog.snapshot(&mut snapshot);
        log.write_all(snapshot.as_bytes())?;
        // The older file goes only when this one would survive a power cut.
        log.sync()?;
        disk.sync_folder(&self.folder.join(CATALOG))?;
        self.epoch = epoch;
        self.log = Some(log);
        self.is_behind = false;
        self.read.is_whole = true;
        if !self.is_newest(disk) {
            // We were too slow, and others took us for dead.
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        for old in older.iter().rev() {
            match disk.remove(&self.path(*old)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => break,
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }

    /// A number for the numbering of messages, greater than that of any earlier one.
    fn uid_validity(&self, around: Around<'_>) -> io::Result<u32> {
        let path = self.folder.join(CATALOG).join("uidvalidity");
        let last = match read_all(around.disk, &path, 64) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).trim().parse().unwrap_or(0),
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
        let now = u32::try_from(around.host.wall().as_seconds()).unwrap_or(u32::MAX);
        let next = now.max(u32::saturating_add(last, 1));
        store::replace_all(around.disk, &path, format!("{next}\n").as_bytes())?;
        Ok(next)
    }

    /// Makes the catalog say what the names of the files do.
    pub(super) fn reconcile(
        &mut self,
        around: Around<'_>,
        seen: &mut Vec<Seen>,
    ) -> io::Result<Reconciled> {
        let mut records = Vec::new();
        let (names, stamp) = self.scan(around.disk)?;
        let gone: Vec<_> = self
            .read
            .catalog
            .rows()
            .filter(|row| !names.contains_key(&row.id))
            .map(|row| row.id)
            .collect();
        for id in gone {
            let is_ours = self.removed.contains(&id);
            let catalog = &mut self.read.catalog;
            records.push(if is_ours { catalog.remove(id) } else { catalog.lose(id) });
            seen.push(Seen::Removed(id));
        }
        let mut ordered: Vec<_> = names.into_values().collect();
        ordered.sort_by_key(|name| (name.at, name.id));
        for name in ordered {
            match self.read.catalog.row(name.id).map(Row::name) {
                Some(known) if known == name => {}
                Some(_) => {
                    records.push(self.read.catalog.change(&name, around.host.wall()));
                    seen.extend(self.read.catalog.row(name.id).cloned().map(Seen::Changed));
                }
                None => match self.envelope(around.disk, &name) {
                    Ok(envelope) => {
                        // Nobody knows since when it is where it is. It is kept too long rather than too short.
                        let moved =
                            (name.folder != Folder::Inbox).then(|| around.host.wall().as_micros());
                        let row = Row { moved, ..Row::of(&name, &envelope) };
                        records.push(self.read.catalog.add(row));
                        seen.extend(self.read.catalog.row(name.id).cloned().map(Seen::Added));
                    }
                    Err(Broken::Disk(error)) if error.kind() != io::ErrorKind::NotFound => {
                        return Err(error);
                    }
                    Err(Broken::Disk(_)) => {}
                    Err(Broken::Later) => {
                        tracing::warn!(mailbox = self.unique.leaf(), message = %name, "a later version wrote this message; it is not listed");
                    }
                    Err(Broken::Message(why)) => {
                        self.quarantine(around.disk, &name, &why)?;
                        seen.push(Seen::Broken(name, why));
                    }
                },
            }
        }
        Ok(Reconciled { records, stamp })
    }

    /// The messages by the names of their files. Of two names that one message has, because a share
    /// renames by a second name, the one that the catalog does not know is the newer. And the folder's stamp, if it did not
    /// change meanwhile.
    fn scan(&self, disk: &dyn Disk) -> io::Result<(BTreeMap<MessageId, Name>, Option<i128>)> {
        let folder = self.messages();
        let mut names = BTreeMap::new();
        for _ in 0..SCANS_MAX {
            let before = disk.about(&folder)?.stamp;
            names.clear();
            for entry in disk.list(&folder)? {
                let Some(name) = Name::parse(&entry.name) else { continue };
                if let Some(other) = names.insert(name.id, name)
                    && other != name
                {
                    let known = self.read.catalog.row(name.id).map(Row::name);
                    let (keep, drop) =
                        if known == Some(name) { (other, name) } else { (name, other) };
                    names.insert(keep.id, keep);
                    // It is the same file.
                    let _ = disk.remove(&folder.join(drop.to_string()));
                }
            }
            // A list of a folder that changes meanwhile misses some and has others twice.
            if disk.about(&folder)?.stamp == before {
                return Ok((names, Some(before)));
            }
        }
        Ok((names, None))
    }
}

/// What was not known of the files: its records; and the stamp of the folder that has nothing more, if it held still.
#[derive(Debug)]
pub(super) struct Reconciled {
    pub(super) records: Vec<Record>,
    pub(super) stamp: Option<i128>,
}

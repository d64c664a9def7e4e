//! Messages that come, are marked, moved and taken away: the file first, then the catalog.

use super::*;

/// Messages that are removed at once, up to which each is asked for the names of its attachments.
const NAMED_MAX: usize = 64;

impl Opened {
    /// Takes in a message whose files were just committed. Without owning the mailbox, the owner is told.
    pub(crate) fn arrived(
        &mut self,
        around: Around<'_>,
        row: Row,
        seen: &mut Vec<Seen>,
    ) -> Result<(), OwnError> {
        let id = row.id;
        if !self.is_owned(around) || self.is_behind {
            match self.own(around, seen) {
                Ok(()) => {}
                Err(OwnError::Held(_)) => {
                    // The owner tells; should it be dead, somebody must find out.
                    self.look_again(around.host.uptime());
                    around.node.tell(Notice::Look, self.unique.leaf())?;
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        if self.read.catalog.row(id).is_none() {
            // What comes with an old date, as a copy or by APPEND, is kept from now on: whoever put it there wants it.
            let now = around.host.wall();
            let is_late = crate::Moment::from_micros(row.at).plus_days(1) < id.made();
            let since_now = (row.folder != Folder::Inbox || is_late).then(|| now.as_micros());
            let row = Row { moved: row.moved.or(since_now), ..row };
            let record = self.read.catalog.add(row);
            seen.extend(self.read.catalog.row(id).cloned().map(Seen::Added));
            self.append(around, &[record], seen);
        }
        Ok(())
    }

    /// Moves and marks messages; those that are there no more are passed over. It survives a power cut
    /// when it returns.
    pub(crate) fn change(
        &mut self,
        around: Around<'_>,
        ids: &[MessageId],
        edit: &dyn Fn(&Row) -> (Folder, Marks),
        seen: &mut Vec<Seen>,
    ) -> Result<(), OwnError> {
        self.own_or_go_by_files(around, seen)?;
        self.each(around, ids, seen, |opened, ids, seen| {
            opened.change_known(around, ids, edit, seen)
        })?;
        // What was done is done; how it is now is asked of whoever knows.
        match self.own(around, seen) {
            Err(OwnError::Held(_)) => self.follow(around, seen),
            Err(OwnError::Disk(error)) if is_full(&error) => self.go_by_files(around, seen),
            done => done,
        }
    }

    /// Nobody else has it: what needs no room, and what makes room, is done without.
    fn own_or_go_by_files(
        &mut self,
        around: Around<'_>,
        seen: &mut Vec<Seen>,
    ) -> Result<(), OwnError> {
        match self.own(around, seen) {
            Err(OwnError::Disk(error)) if is_full(&error) => self.go_by_files(around, seen),
            done => done,
        }
    }

    /// Does `work` on messages; it answers those whose files have another name than we knew: somebody else was at them. For
    /// these it is done again with what is there now.
    fn each(
        &mut self,
        around: Around<'_>,
        ids: &[MessageId],
        seen: &mut Vec<Seen>,
        mut work: impl FnMut(&mut Self, &[MessageId], &mut Vec<Seen>) -> io::Result<Vec<MessageId>>,
    ) -> Result<(), OwnError> {
        let mut rest = work(self, ids, seen)?;
        for _ in 1..TRIES_MAX {
            if rest.is_empty() {
                break;
            }
            self.is_behind = true;
            match self.own(around, seen) {
                Ok(()) => rest = work(self, &rest, seen)?,
                // It is another's by now: it is to be done again when it is ours. What was done is no other then.
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn change_known(
        &mut self,
        around: Around<'_>,
        ids: &[MessageId],
        edit: &dyn Fn(&Row) -> (Folder, Marks),
        seen: &mut Vec<Seen>,
    ) -> io::Result<Vec<MessageId>> {
        let folder = self.messages();
        let (mut done, mut missed) = (Vec::new(), Vec::new());
        for id in ids {
            let Some(row) = self.read.catalog.row(*id) else { continue };
            let (name, (place, marks)) = (row.name(), edit(row));
            let next = Name { folder: place, marks, ..name };
            if next == name {
                continue;
            }
            let (from, to) = (folder.join(name.to_string()), folder.join(next.to_string()));
            match around.disk.publish(&from, &to) {
                Ok(()) => done.push(next),
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists
                    ) =>
                {
                    missed.push(*id);
                }
                Err(error) => {
                    self.is_behind = true;
                    return Err(error);
                }
            }
        }
        if !done.is_empty()
            && let Err(error) = around.disk.sync_folder(&folder)
        {
            self.is_behind = true;
            return Err(error);
        }
        let mut records = Vec::new();
        for name in done {
            records.push(self.read.catalog.change(&name, around.host.wall()));
            seen.extend(self.read.catalog.row(name.id).cloned().map(Seen::Changed));
        }
        self.append(around, &records, seen);
        Ok(missed)
    }

    /// Takes messages away for good, those that still are as `which` says.
    pub(crate) fn remove(
        &mut self,
        around: Around<'_>,
        ids: &[MessageId],
        which: &dyn Fn(&Row) -> bool,
        seen: &mut Vec<Seen>,
    ) -> Result<(), OwnError> {
        self.own_or_go_by_files(around, seen)?;
        self.each(around, ids, seen, |opened, ids, seen| {
            opened.remove_known(around, ids, which, seen)
        })?;
        match self.own(around, seen) {
            Err(OwnError::Disk(error)) if is_full(&error) => Ok(()),
            done => done,
        }
    }

    fn remove_known(
        &mut self,
        around: Around<'_>,
        ids: &[MessageId],
        which: &dyn Fn(&Row) -> bool,
        seen: &mut Vec<Seen>,
    ) -> io::Result<Vec<MessageId>> {
        let folder = self.messages();
        let (mut done, mut missed) = (Vec::new(), Vec::new());
        let mut files = Some(Vec::new()).filter(|_| ids.len() <= NAMED_MAX);
        for id in ids {
            let row = self.read.catalog.row(*id).filter(|row| which(row)).cloned();
            let Some(row) = row else { continue };
            files = files.and_then(|files| self.with_attachments(around.disk, &row, files));
            match around.disk.remove(&folder.join(row.name().to_string())) {
                Ok(()) => {
                    self.removed.insert(*id);
                    done.push(row);
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => missed.push(*id),
                Err(error) => {
                    self.is_behind = true;
                    return Err(error);
                }
            }
        }
        if !done.is_empty()
            && let Err(error) = around.disk.sync_folder(&folder)
        {
            self.is_behind = true;
            return Err(error);
        }
        let records: Vec<_> = done.iter().map(|row| self.read.catalog.remove(row.id)).collect();
        seen.extend(done.iter().map(|row| Seen::Removed(row.id)));
        self.append(around, &records, seen);
        self.remove_attachments(around.disk, &done, files);
        Ok(missed)
    }

    /// The names of these files and of a message's attachments; `None` when its envelope does not say.
    fn with_attachments(
        &self,
        disk: &dyn Disk,
        row: &Row,
        mut files: Vec<(MessageId, String)>,
    ) -> Option<Vec<(MessageId, String)>> {
        if row.attachments > 0 {
            let name = row.name();
            let path = self.messages().join(name.to_string());
            let envelope =
                Envelope::parse(&read_all(disk, &path, ENVELOPE_BYTES_MAX).ok()?).ok()?;
            let named = envelope.attachments.iter().enumerate();
            files.extend(named.map(|(n, a)| (row.id, name.attachment(n, a.extension))));
        }
        Some(files)
    }

    /// Removes the attachments of messages that are gone; by their names, if these are known, for a list of the folder is
    /// long. What stays has no envelope, and a check takes it away.
    fn remove_attachments(
        &self,
        disk: &dyn Disk,
        of: &[Row],
        files: Option<Vec<(MessageId, String)>>,
    ) {
        let folder = self.messages();
        if let Some(files) = files {
            let are_gone: BTreeSet<_> = of.iter().map(|row| row.id).collect();
            for (_, file) in files.iter().filter(|(id, _)| are_gone.contains(id)) {
                let _ = disk.remove(&folder.join(file));
            }
            return;
        }
        let bases: BTreeSet<_> =
            of.iter().filter(|row| row.attachments > 0).map(|row| row.name().base()).collect();
        if bases.is_empty() {
            return;
        }
        let Ok(entries) = disk.list(&folder) else { return };
        let is_theirs = |name: &str| name.split_once(".a").is_some_and(|(b, _)| bases.contains(b));
        for entry in entries.iter().filter(|entry| is_theirs(&entry.name)) {
            let _ = disk.remove(&folder.join(&entry.name));
        }
    }
}

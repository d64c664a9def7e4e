//! What administrators do: purge, check, repair, export, move.

use std::collections::BTreeSet;
use std::io::Read as _;

use ring::digest::{Context, SHA256};

use super::*;

/// What a purge takes away, or would.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Purged {
    /// The mailbox's unique string.
    pub unique: String,
    /// Files in its folder.
    pub files: u64,
    /// Bytes of them.
    pub bytes: u64,
}

/// Something that is not as it should be in a mailbox.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Damage {
    /// The file, below the mailbox's folder.
    pub file: String,
    /// What is wrong.
    pub what: String,
    /// Whether a repair did something about it.
    pub mended: bool,
}

/// What a check found.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Checked {
    /// The mailbox's unique string.
    pub unique: String,
    /// Messages that were read, with all their attachments.
    pub messages: u64,
    /// Bytes that were read.
    pub bytes: u64,
    /// What is wrong.
    pub faults: Vec<Damage>,
}

/// What an export wrote.
#[derive(Clone, Debug, Serialize)]
pub struct Exported {
    /// Messages.
    pub messages: u64,
    /// Files.
    pub files: u64,
    /// Bytes.
    pub bytes: u64,
}

/// What a store holds.
#[derive(Clone, Debug, Default, Serialize, utoipa::ToSchema)]
pub struct Stats {
    /// Mailboxes that were not deleted.
    pub mailboxes: u64,
    /// Of these, those that a user has.
    pub users: u64,
    /// Mailboxes that were deleted and not purged.
    pub deleted: u64,
    /// Mailboxes whose catalog could not be read.
    pub unread: u64,
    /// Messages.
    pub messages: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Messages that wait in the spool.
    pub spooled: u64,
    /// Messages in each folder.
    #[schema(value_type = std::collections::BTreeMap<String, u64>)]
    pub folders: BTreeMap<&'static str, u64>,
    /// Mailboxes whose lamp is lit.
    pub waiting: u64,
}

/// What moving did.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Moved {
    /// Files that were copied.
    pub copied: u64,
    /// Files that were there already.
    pub kept: u64,
    /// Bytes that were copied.
    pub bytes: u64,
}

impl MessageStore {
    /// What a purge of a mailbox that was deleted would take away.
    ///
    /// # Errors
    /// There is no such mailbox, it was not deleted, or the root cannot be reached.
    pub fn purge_would(&self, unique: &Unique) -> Result<Purged, MailError> {
        let file = self.mailbox_file(unique)?;
        if file.deleted.is_none() {
            return Err(MailError::NotDeleted(file.unique));
        }
        let files = all_files(&*self.disk, &self.folder(unique))?;
        let mut purged = Purged { unique: file.unique, files: 0, bytes: 0 };
        for path in files {
            purged.files += 1;
            purged.bytes += self.disk.about(&path).map_or(0, |about| about.bytes);
        }
        Ok(purged)
    }

    /// Takes away the data of a mailbox that was deleted, for good. Interrupted, it can be done again.
    ///
    /// # Errors
    /// As [`Self::purge_would`].
    pub fn purge(&self, unique: &Unique) -> Result<Purged, MailError> {
        let purged = self.purge_would(unique)?;
        let folder = self.folder(unique);
        // The file that says that it was deleted goes last.
        let last = folder.join(mailboxes::MAILBOX);
        for path in all_files(&*self.disk, &folder)? {
            if path != last {
                gone_is_fine(self.disk.remove(&path))?;
            }
        }
        for entry in self.disk.list(&folder)?.iter().filter(|entry| entry.is_folder) {
            gone_is_fine(self.disk.remove_folder(&folder.join(&entry.name)))?;
        }
        gone_is_fine(self.disk.remove(&last))?;
        gone_is_fine(self.disk.remove_folder(&folder))?;
        if let Some(parent) = folder.parent() {
            self.disk.sync_folder(parent)?;
        }
        lock(&self.opened).remove(unique);
        Ok(purged)
    }

    /// Reads every byte of a mailbox and says what is wrong; with `Repair::Yes` does something about it: damaged messages go
    /// into quarantine, what no message has is taken away, and the catalog is made anew from the files.
    ///
    /// # Errors
    /// There is no such mailbox, another node keeps it, or it cannot be reached.
    pub fn check(&self, unique: &Unique, repair: Repair) -> Result<Checked, MailError> {
        let file = self.mailbox_file(unique)?;
        let mut checked =
            Checked { unique: file.unique, messages: 0, bytes: 0, faults: Vec::new() };
        let names = self.disk.list(&self.folder(unique).join(MESSAGES))?;
        let names: BTreeSet<_> = names.into_iter().map(|entry| entry.name).collect();
        let mut known = BTreeSet::new();
        for name in names.iter().filter_map(|name| Name::parse(name)) {
            match self.verify(unique, &name, &mut known) {
                Ok(bytes) => {
                    checked.messages += 1;
                    checked.bytes += bytes;
                }
                // It was changed or deleted meanwhile.
                Err(Broken::Disk(error)) if error.kind() == io::ErrorKind::NotFound => {}
                Err(Broken::Disk(error)) => return Err(error.into()),
                Err(Broken::Message(what)) => {
                    let fault = Damage { file: format!("{MESSAGES}/{name}"), what, mended: false };
                    checked.faults.push(fault);
                    if repair == Repair::Yes {
                        self.mend(unique, &name, &mut checked)?;
                    }
                }
            }
        }
        self.check_catalog(unique, &mut checked)?;
        let strays = self.strays(unique, &names, &known)?;
        for (name, is_old) in strays {
            let path = self.folder(unique).join(MESSAGES).join(&name);
            let mended = repair == Repair::Yes && is_old && self.disk.remove(&path).is_ok();
            let what = if is_old {
                "it belongs to no message"
            } else {
                "it belongs to no message, or to one that is just delivered"
            };
            let file = format!("{MESSAGES}/{name}");
            checked.faults.push(Damage { file, what: what.to_owned(), mended });
        }
        if repair == Repair::Yes {
            self.owning(unique, |opened, around, seen| {
                opened.own(around, seen)?;
                opened.catch_up(around, seen)
            })?;
        }
        Ok(checked)
    }

    fn mend(&self, unique: &Unique, name: &Name, checked: &mut Checked) -> Result<(), MailError> {
        let Some(fault) = checked.faults.last_mut() else { return Ok(()) };
        self.owning(unique, |opened, around, seen| {
            opened.own(around, seen)?;
            opened.quarantine(around.disk, name, &fault.what)?;
            seen.push(Seen::Broken(*name, fault.what.clone()));
            Ok(())
        })?;
        fault.mended = true;
        Ok(())
    }

    /// Reads a message and its attachments; their bytes.
    fn verify(
        &self,
        unique: &Unique,
        name: &Name,
        known: &mut BTreeSet<String>,
    ) -> Result<u64, Broken> {
        let folder = self.folder(unique).join(MESSAGES);
        known.insert(name.to_string());
        let opened = Opened::new(self.folder(unique), unique.clone());
        let envelope = opened.envelope(&*self.disk, name)?;
        let mut all = 0;
        for (number, attachment) in envelope.attachments.iter().enumerate() {
            let file = name.attachment(number, attachment.extension);
            let mut reader = self.disk.open(&folder.join(&file)).map_err(Broken::Disk)?;
            let mut context = Context::new(&SHA256);
            let mut buffer = vec![0; 256 << 10];
            loop {
                let got = reader.read(&mut buffer).map_err(Broken::Disk)?;
                let bytes = buffer.get(..got).unwrap_or_default();
                if bytes.is_empty() {
                    break;
                }
                context.update(bytes);
                all += bytes.len() as u64;
            }
            if context.finish().as_ref() != attachment.sha256 {
                return Err(Broken::Message(format!("{file} is not what was delivered")));
            }
            known.insert(file);
        }
        Ok(all)
    }

    /// Compares the catalog with the names of the files.
    fn check_catalog(&self, unique: &Unique, checked: &mut Checked) -> Result<(), MailError> {
        let listed = self
            .looked(unique, |opened| opened.catalog().rows().map(Row::name).collect::<Vec<_>>())?;
        let entries = self.disk.list(&self.folder(unique).join(MESSAGES))?;
        let there: BTreeSet<_> = entries.iter().map(|entry| entry.name.as_str()).collect();
        for name in listed.iter().map(ToString::to_string) {
            if !there.contains(&*name) {
                let file = format!("{CATALOG}: {name}");
                let what = "it is listed and has no file".to_owned();
                checked.faults.push(Damage { file, what, mended: false });
            }
        }
        let listed: BTreeSet<_> = listed.iter().map(ToString::to_string).collect();
        for name in there.iter().filter(|name| Name::parse(name).is_some()) {
            if !listed.contains(*name) {
                let file = format!("{MESSAGES}/{name}");
                let what = "it is not listed".to_owned();
                checked.faults.push(Damage { file, what, mended: false });
            }
        }
        Ok(())
    }

    /// Files that belong to no message, as an interrupted delivery leaves them, and whether they are old. One that another
    /// host is about to commit looks the same while it is young. Only those count that were there before everything else
    /// was read.
    fn strays(
        &self,
        unique: &Unique,
        before: &BTreeSet<String>,
        known: &BTreeSet<String>,
    ) -> Result<Vec<(String, bool)>, MailError> {
        let entries = self.disk.list(&self.folder(unique).join(MESSAGES))?;
        let messages = entries.iter().filter_map(|entry| Name::parse(&entry.name));
        let committed: BTreeSet<String> = messages.map(|name| name.base()).collect();
        let base = |name: &str| name.split('.').take(2).collect::<Vec<_>>().join(".");
        let names = entries.into_iter().map(|entry| entry.name).filter(|name| {
            before.contains(name)
                && !known.contains(name)
                && Name::parse(name).is_none()
                && !committed.contains(&base(name))
        });
        Ok(names.map(|name| (self.is_old(&name), name)).map(|(old, name)| (name, old)).collect())
    }

    /// Whether a delivery that began then must be over: a day is more than clocks differ by.
    fn is_old(&self, name: &str) -> bool {
        let at = name.split('-').next().and_then(Moment::of_compact);
        at.is_none_or(|at| at.plus_days(1) < self.host.wall())
    }

    /// What the store holds. `progress` is called after each mailbox, with how many of how many were looked at.
    ///
    /// # Errors
    /// The root cannot be reached.
    pub fn stats(&self, progress: &mut dyn FnMut(u64, u64)) -> Result<Stats, MailError> {
        let mut stats = Stats::default();
        let uniques = self.uniques()?;
        let of = u64::try_from(uniques.len()).unwrap_or(u64::MAX);
        for (done, unique) in (1..).zip(&uniques) {
            let mailbox = match self.mailbox(unique) {
                Ok(mailbox) => mailbox,
                // Purged meanwhile.
                Err(MailError::NoSuchMailbox(_)) => continue,
                Err(error) => return Err(error),
            };
            match (&mailbox.deleted, mailbox.has_user) {
                (Some(_), _) => stats.deleted += 1,
                (None, true) => {
                    stats.mailboxes += 1;
                    stats.users += 1;
                }
                (None, false) => stats.mailboxes += 1,
            }
            stats.spooled += mailbox.spooled;
            match mailbox.counts {
                Some(counts) => stats.add(&counts),
                None => stats.unread += 1,
            }
            progress(done, of);
        }
        Ok(stats)
    }

    /// Copies a mailbox's messages into a folder of this machine, as they are in the store, with `mailbox.json`
    /// and a list `messages.csv`. The folder must be empty or not be there.
    ///
    /// # Errors
    /// There is no such mailbox, something cannot be read or written, or the folder is not empty.
    pub fn export(&self, unique: &Unique, to: &Path) -> Result<Exported, MailError> {
        std::fs::create_dir_all(to)?;
        if std::fs::read_dir(to)?.next().is_some() {
            return Err(MailError::NoStore(format!("{} is not empty", to.display())));
        }
        let mut exported = Exported { messages: 0, files: 0, bytes: 0 };
        let mut list = String::from(
            "received,folder,read,type,from,number,called,subject,duration_ms,bytes,file\n",
        );
        let rows =
            self.looked(unique, |opened| opened.catalog().rows().cloned().collect::<Vec<_>>())?;
        let from = self.folder(unique).join(MESSAGES);
        for row in rows {
            let (row, envelope) = match self.message(unique, row.id) {
                Ok(found) => found,
                // Deleted meanwhile, or damaged and put aside.
                Err(MailError::NoSuchMessage(_) | MailError::Broken(..)) => continue,
                Err(error) => return Err(error),
            };
            let name = row.name();
            let attachments = envelope.attachments.iter().enumerate();
            let mut files = vec![name.to_string()];
            files.extend(attachments.map(|(n, a)| name.attachment(n, a.extension)));
            for file in files {
                let mut reader = self.disk.open(&from.join(&file))?;
                let mut writer = std::fs::File::create_new(to.join(&file))?;
                exported.bytes += io::copy(&mut reader, &mut writer)?;
                exported.files += 1;
            }
            exported.messages += 1;
            list_row(&mut list, &row);
        }
        std::fs::write(to.join("messages.csv"), list)?;
        let bytes = read_all(&*self.disk, &self.folder(unique).join(mailboxes::MAILBOX), 65_536)?;
        std::fs::write(to.join(mailboxes::MAILBOX), bytes)?;
        Ok(exported)
    }

    /// Copies everything to a new root, and then says at the old one that it was moved: servers that still use it take
    /// messages into their spools until they are told of the new root. Interrupted, it goes on where it was when
    /// it is called again.
    ///
    /// # Errors
    /// Something cannot be read or written, or the new root holds something else.
    pub fn move_to(
        &self,
        disk: &dyn Disk,
        to: &Path,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Moved, MailError> {
        let guard = self.guard()?;
        make_folders(disk, to)?;
        match read_all(disk, &to.join(GUARD), 65_536) {
            Ok(bytes) => {
                let other: Option<Guard> = serde_json::from_slice(&bytes).ok();
                if other.is_none_or(|other| other.id != guard.id) {
                    return Err(MailError::NoStore(format!(
                        "{} is another message store",
                        to.display()
                    )));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
        let mut moved = Moved::default();
        // Most is copied while everybody works on.
        self.copy_all(disk, to, &mut moved, progress)?;
        // From now on nobody changes anything here.
        let shut = Guard { moved_to: Some(to.display().to_string()), ..guard.clone() };
        let all = std::mem::take(&mut *lock(&self.opened));
        let node = self.node()?;
        let around = Around { disk: &*self.disk, host: &*self.host, node: &node };
        all.values().for_each(|opened| lock(opened).release(around, &mut Vec::new()));
        write_guard(&*self.disk, &self.root, &shut)?;
        lock(&self.session).trouble = self.guard().err().map(|error| told(&error));
        self.wait_for_others(&node)?;
        self.copy_all(disk, to, &mut moved, progress)?;
        write_guard(disk, to, &guard)?;
        Ok(moved)
    }

    /// Waits until every other node must have seen that the root was shut: each looks at least once a second.
    fn wait_for_others(&self, node: &Node) -> Result<(), MailError> {
        let others = node.all()?.into_iter().filter(|(id, _, alive)| *alive && id != node.id());
        if others.count() > 0 {
            self.host.pause(crate::node::LEASE);
        }
        Ok(())
    }

    fn copy_all(
        &self,
        disk: &dyn Disk,
        to: &Path,
        moved: &mut Moved,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<(), MailError> {
        let uniques = self.every_folder()?;
        let of = u64::try_from(uniques.len()).unwrap_or(u64::MAX);
        for (done, folder) in uniques.iter().enumerate() {
            progress(u64::try_from(done).unwrap_or(u64::MAX), of);
            let inner = folder.strip_prefix(&self.root).unwrap_or(folder);
            let target = to.join(inner);
            self.copy_folder(disk, folder, &target, moved)?;
        }
        progress(of, of);
        Ok(())
    }

    fn every_folder(&self) -> Result<Vec<PathBuf>, MailError> {
        let letter = |name: &str| name.len() == 1 && name.bytes().all(|b| b.is_ascii_uppercase());
        let mut all = Vec::new();
        for first in self.disk.list(&self.root)?.iter().filter(|entry| letter(&entry.name)) {
            let first = self.root.join(&first.name);
            for second in self.disk.list(&first)?.iter().filter(|entry| letter(&entry.name)) {
                let second = first.join(&second.name);
                let leaves = self.disk.list(&second)?;
                all.extend(leaves.iter().filter(|e| e.is_folder).map(|e| second.join(&e.name)));
            }
        }
        Ok(all)
    }

    /// Copies a mailbox's folder. Attachments and envelopes never change, so one of the same name and size is the
    /// same; everything else is copied anew, and what is not here any more is taken away there.
    fn copy_folder(
        &self,
        disk: &dyn Disk,
        from: &Path,
        to: &Path,
        moved: &mut Moved,
    ) -> Result<(), MailError> {
        make_folders(disk, to)?;
        let entries = self.disk.list(from)?;
        let here: BTreeSet<_> = entries.iter().map(|entry| entry.name.as_str()).collect();
        for entry in disk.list(to)? {
            if !entry.is_folder && !here.contains(&*entry.name) {
                disk.remove(&to.join(&entry.name))?;
            }
        }
        let is_messages = from.file_name().is_some_and(|name| name == MESSAGES);
        for entry in &entries {
            let (source, target) = (from.join(&entry.name), to.join(&entry.name));
            if entry.is_folder {
                self.copy_folder(disk, &source, &target, moved)?;
                continue;
            }
            let bytes = match self.disk.about(&source) {
                Ok(about) => about.bytes,
                // Renamed or deleted meanwhile; the second round finds it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error.into()),
            };
            if is_messages && disk.about(&target).is_ok_and(|about| about.bytes == bytes) {
                moved.kept += 1;
                continue;
            }
            let part = to.join(format!("{}.moving", entry.name));
            gone_is_fine(disk.remove(&part))?;
            let mut reader = match self.disk.open(&source) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                done => done?,
            };
            let mut writer = disk.create(&part)?;
            moved.bytes += io::copy(&mut reader, &mut *writer)?;
            writer.sync()?;
            drop(writer);
            disk.replace(&part, &target)?;
            moved.copied += 1;
        }
        disk.sync_folder(to)?;
        Ok(())
    }
}

impl Stats {
    fn add(&mut self, counts: &Counts) {
        self.messages += counts.messages;
        self.bytes += counts.bytes;
        self.waiting += u64::from(counts.is_waiting());
        for (folder, messages) in FOLDERS.iter().zip(counts.folders) {
            *self.folders.entry(folder.word()).or_default() += messages;
        }
    }
}

/// Whether a check mends what it finds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Repair {
    /// It does.
    Yes,
    /// It only tells.
    No,
}

fn gone_is_fine(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

fn all_files(disk: &dyn Disk, folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for entry in disk.list(folder)? {
        let path = folder.join(&entry.name);
        if entry.is_folder {
            all.extend(all_files(disk, &path)?);
        } else {
            all.push(path);
        }
    }
    Ok(all)
}

fn list_row(list: &mut String, row: &Row) {
    use std::fmt::Write as _;

    // RFC 4180; what a spreadsheet would take for a formula is made a text.
    let field = |text: &str| {
        let text = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
            format!("'{text}")
        } else {
            text.to_owned()
        };
        format!("\"{}\"", text.replace('"', "\"\""))
    };
    let duration = row.duration_ms.map(|ms| ms.to_string()).unwrap_or_default();
    // A `String` takes everything.
    let _ = writeln!(
        list,
        "{},{},{},{},{},{},{},{},{duration},{},{}",
        Moment::from_micros(row.at),
        row.folder.word(),
        row.marks.read,
        row.kind.word(),
        field(&row.from),
        field(&row.number),
        field(&row.called),
        field(&row.subject),
        row.bytes,
        row.name(),
    );
}

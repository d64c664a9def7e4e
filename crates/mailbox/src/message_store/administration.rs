//! What administrators do: purge, check, repair, export, move.

use std::collections::BTreeSet;

use ring::digest::{Context, Digest, SHA256};

use super::*;

/// What belongs to no message and was not written to for so long is no delivery that is under way: nanoseconds.
const STRAY_NANOS: i128 = 24 * 3_600 * 1_000_000_000;
/// How often a catalog is compared with the files while they differ, and how long between.
const LOOKS: u32 = 3;
const AGAIN: Duration = Duration::from_millis(1_500);
/// How often a purge goes on when somebody made a file meanwhile.
const PURGES_MAX: u32 = 5;
/// Most files of one name in a quarantine.
const ASIDE_MAX: u32 = 100;

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
    /// Files that belong to no message yet: of a delivery that is under way, or was interrupted less than a day ago.
    pub unfinished: u64,
    /// Files in its quarantine.
    pub quarantined: u64,
    /// What is wrong.
    pub faults: Vec<Damage>,
}

/// What an export wrote.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Exported {
    /// Messages.
    pub messages: u64,
    /// Files.
    pub files: u64,
    /// Bytes.
    pub bytes: u64,
    /// What was damaged or missing.
    pub faults: Vec<Damage>,
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
    /// Mailboxes of which it cannot be read whose they are.
    pub damaged: u64,
    /// Mailboxes whose catalog could not be read: their messages are not counted.
    pub unreadable: u64,
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
        let mut tries = 0;
        loop {
            match self.remove_mailbox(&folder) {
                // Somebody who did not know yet that it was deleted has begun a file.
                Err(error)
                    if error.kind() == io::ErrorKind::DirectoryNotEmpty && tries < PURGES_MAX =>
                {
                    tries += 1;
                    self.host.pause(AGAIN);
                    match self.mailbox_file(unique) {
                        Ok(MailboxFile { deleted: Some(_), .. }) => {}
                        // Somebody has taken it back.
                        Ok(MailboxFile { unique, .. }) => {
                            return Err(MailError::NotDeleted(unique));
                        }
                        // All of it is gone; what is there now is somebody else's.
                        Err(MailError::NoSuchMailbox(_)) => break,
                        Err(error) => return Err(error),
                    }
                }
                done => break done?,
            }
        }
        if let Some(parent) = folder.parent() {
            self.disk.sync_folder(parent)?;
        }
        lock(&self.opened).remove(unique);
        Ok(purged)
    }

    /// Takes away what is in a mailbox's folder: envelopes first, for without one nobody misses an attachment; the file that says
    /// that it was deleted last.
    fn remove_mailbox(&self, folder: &Path) -> io::Result<()> {
        let last = folder.join(MAILBOX);
        let mut files = all_files(&*self.disk, folder)?;
        files.retain(|path| *path != last);
        files.sort_by_key(|path| path.extension().is_none_or(|extension| extension != "xml"));
        for path in files {
            gone_is_fine(self.disk.remove(&path))?;
        }
        for entry in self.disk.list(folder)?.iter().filter(|entry| entry.is_folder) {
            gone_is_fine(self.disk.remove_folder(&folder.join(&entry.name)))?;
        }
        gone_is_fine(self.disk.remove(&last))?;
        gone_is_fine(self.disk.remove_folder(folder))
    }

    /// Reads every byte of a mailbox and says what is wrong; with `Repair::Yes` does something about it: damaged messages, and
    /// files that belong to none, go into quarantine, the catalog is made to say what the files do, and the file that says
    /// whose mailbox it is is made anew when it cannot be used.
    ///
    /// # Errors
    /// There is no such mailbox, another node keeps it, or it cannot be reached.
    pub fn check(&self, unique: &Unique, repair: Repair) -> Result<Checked, MailError> {
        let mut checked = Checked {
            unique: unique.to_string(),
            messages: 0,
            bytes: 0,
            unfinished: 0,
            quarantined: 0,
            faults: Vec::new(),
        };
        match self.mailbox_file(unique) {
            Ok(file) => checked.unique = file.unique,
            Err(MailError::Damaged(_, what)) => {
                if repair == Repair::Yes {
                    self.rebuild(unique)?;
                }
                let file = MAILBOX.to_owned();
                checked.faults.push(Damage { file, what, mended: repair == Repair::Yes });
            }
            Err(error) => return Err(error),
        }
        let Some(names) = self.messages_of(unique, repair, &mut checked)? else {
            return Ok(checked);
        };
        self.check_catalog(unique, repair, &mut checked)?;
        let mut known = BTreeSet::new();
        for name in names.iter().filter_map(|name| Name::parse(name)) {
            // Twice: what is being removed just now looks like what is damaged.
            let verified = self
                .verify(unique, &name, &mut known)
                .or_else(|_| self.verify(unique, &name, &mut known));
            match verified {
                Ok(bytes) => {
                    checked.messages += 1;
                    checked.bytes += bytes;
                }
                // It was changed or deleted meanwhile.
                Err(Broken::Disk(error)) if error.kind() == io::ErrorKind::NotFound => {}
                Err(Broken::Disk(error)) => return Err(error.into()),
                Err(Broken::Later) => {
                    let what = "a later version wrote it".to_owned();
                    let file = format!("{MESSAGES}/{name}");
                    // That is why it is not listed.
                    checked.faults.retain(|fault| fault.file != file);
                    checked.faults.push(Damage { file, what, mended: false });
                }
                Err(Broken::Message(what)) => {
                    let fault = Damage { file: format!("{MESSAGES}/{name}"), what, mended: false };
                    checked.faults.push(fault);
                    if repair == Repair::Yes {
                        self.mend(unique, &name, &mut checked)?;
                    }
                }
            }
        }
        for name in self.strays(unique, &names, &known, &mut checked)? {
            if repair == Repair::Yes {
                self.aside(unique, &name)?;
            }
            let (file, what) = (format!("{MESSAGES}/{name}"), "it belongs to no message");
            let mended = repair == Repair::Yes;
            checked.faults.push(Damage { file, what: what.to_owned(), mended });
        }
        if repair == Repair::Yes {
            self.owning(unique, |opened, around, seen| {
                opened.own(around, seen)?;
                opened.catch_up(around, seen)
            })?;
        }
        let aside = self.disk.list(&self.folder(unique).join(QUARANTINE)).unwrap_or_default();
        checked.quarantined = u64::try_from(aside.len()).unwrap_or(u64::MAX);
        Ok(checked)
    }

    /// The names in the folder of the messages, which a repair makes when it is missing; none while it is.
    fn messages_of(
        &self,
        unique: &Unique,
        repair: Repair,
        checked: &mut Checked,
    ) -> Result<Option<BTreeSet<String>>, MailError> {
        let folder = self.folder(unique).join(MESSAGES);
        match self.disk.list(&folder) {
            Ok(entries) => Ok(Some(entries.into_iter().map(|entry| entry.name).collect())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mended = repair == Repair::Yes;
                if mended {
                    make_folders(&*self.disk, &folder)?;
                }
                let (file, what) = (MESSAGES.to_owned(), "the folder is missing".to_owned());
                checked.faults.push(Damage { file, what, mended });
                Ok(mended.then(BTreeSet::new))
            }
            Err(error) => Err(error.into()),
        }
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
            let (bytes, digest) = hashed(&mut reader, &mut io::sink()).map_err(Broken::Disk)?;
            all += bytes;
            if digest.as_ref() != attachment.sha256 {
                return Err(Broken::Message(format!("{file} is not what was delivered")));
            }
            known.insert(file);
        }
        Ok(all)
    }

    /// Compares the catalog with the names of the files. At its end a repair makes them say the same.
    fn check_catalog(
        &self,
        unique: &Unique,
        repair: Repair,
        checked: &mut Checked,
    ) -> Result<(), MailError> {
        let (mut without_file, mut unlisted) = self.differing(unique)?;
        for _ in 1..LOOKS {
            if without_file.is_empty() && unlisted.is_empty() {
                break;
            }
            // What came or went just now is known to all within a second.
            self.host.pause(AGAIN);
            let (again_without, again_unlisted) = self.differing(unique)?;
            without_file.retain(|name| again_without.contains(name));
            unlisted.retain(|name| again_unlisted.contains(name));
        }
        let mended = repair == Repair::Yes;
        let fault = |file: String, what: &str| Damage { file, what: what.to_owned(), mended };
        let without_file = without_file.into_iter().map(|name| format!("{CATALOG}: {name}"));
        checked.faults.extend(without_file.map(|file| fault(file, "it is listed and has no file")));
        let unlisted = unlisted.into_iter().map(|name| format!("{MESSAGES}/{name}"));
        checked.faults.extend(unlisted.map(|file| fault(file, "it is not listed")));
        Ok(())
    }

    /// Names that are listed and have no file, and files that are not listed, as it looks at this moment.
    fn differing(
        &self,
        unique: &Unique,
    ) -> Result<(BTreeSet<String>, BTreeSet<String>), MailError> {
        let listed = self
            .looked(unique, |opened| opened.catalog().rows().map(Row::name).collect::<Vec<_>>())?;
        let listed: BTreeSet<_> = listed.iter().map(ToString::to_string).collect();
        let entries = self.disk.list(&self.folder(unique).join(MESSAGES))?;
        let names = entries.into_iter().map(|entry| entry.name);
        let there: BTreeSet<_> = names.filter(|name| Name::parse(name).is_some()).collect();
        let without_file = listed.difference(&there).cloned().collect();
        Ok((without_file, there.difference(&listed).cloned().collect()))
    }

    /// Files that belong to no message, as an interrupted delivery leaves them, and that nobody wrote to for a day by the
    /// disk's own clock: one that another host is about to commit looks the same. Only those count that were there before
    /// everything else was read, and none that a file server hides.
    fn strays(
        &self,
        unique: &Unique,
        before: &BTreeSet<String>,
        known: &BTreeSet<String>,
        checked: &mut Checked,
    ) -> Result<Vec<String>, MailError> {
        let folder = self.folder(unique).join(MESSAGES);
        let entries = self.disk.list(&folder)?;
        let messages = entries.iter().filter_map(|entry| Name::parse(&entry.name));
        let committed: BTreeSet<String> = messages.map(|name| name.base()).collect();
        let base = |name: &str| name.split('.').take(2).collect::<Vec<_>>().join(".");
        let names = entries.into_iter().map(|entry| entry.name).filter(|name| {
            before.contains(name)
                && !name.starts_with('.')
                && !known.contains(name)
                && Name::parse(name).is_none()
                && !committed.contains(&base(name))
        });
        let names: Vec<_> = names.collect();
        let mut old = Vec::new();
        if !names.is_empty() {
            let now = self.node()?.now_there()?;
            for name in names {
                match self.disk.about(&folder.join(&name)) {
                    Ok(about) if now.saturating_sub(about.stamp) > STRAY_NANOS => old.push(name),
                    Ok(_) => checked.unfinished += 1,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(old)
    }

    /// Puts a file into quarantine that belongs to no message, in the place of none.
    fn aside(&self, unique: &Unique, name: &str) -> Result<(), MailError> {
        let (from, to) = (self.folder(unique).join(MESSAGES), self.folder(unique).join(QUARANTINE));
        make_folders(&*self.disk, &to)?;
        for number in 1..=ASIDE_MAX {
            let other = if number == 1 { name.to_owned() } else { format!("{name}.{number}") };
            match self.disk.publish(&from.join(name), &to.join(other)) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                done => {
                    gone_is_fine(done)?;
                    self.disk.sync_folder(&to)?;
                    return Ok(self.disk.sync_folder(&from)?);
                }
            }
        }
        Err(MailError::Limit("files of one name in quarantine"))
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
                _ if mailbox.damaged.is_some() => stats.damaged += 1,
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
                None => stats.unreadable += 1,
            }
            progress(done, of);
        }
        Ok(stats)
    }

    /// Copies a mailbox's messages into a folder of this machine, as they are in the store, with `mailbox.json`
    /// and a list `messages.csv`; also of one that was deleted. The folder must be empty or not be there. What is damaged or
    /// missing is told, and all else is copied.
    ///
    /// # Errors
    /// There is no such mailbox, something cannot be read or written, or the folder is not empty.
    pub fn export(&self, unique: &Unique, to: &Path) -> Result<Exported, MailError> {
        match self.mailbox_file(unique) {
            Ok(_) | Err(MailError::Damaged(..)) => {}
            Err(error) => return Err(error),
        }
        std::fs::create_dir_all(to).map_err(here(to))?;
        if std::fs::read_dir(to).map_err(here(to))?.next().is_some() {
            return Err(MailError::Target(format!("{} is not empty", to.display())));
        }
        let mut exported = Exported { messages: 0, files: 0, bytes: 0, faults: Vec::new() };
        let mut list = String::from(
            "received,folder,read,type,from,number,called,subject,duration_ms,bytes,file\n",
        );
        let rows =
            self.looked(unique, |opened| opened.catalog().rows().cloned().collect::<Vec<_>>())?;
        for row in rows {
            // None was deleted meanwhile.
            if let Some(row) = self.export_one(unique, row, to, &mut exported)? {
                exported.messages += 1;
                list_row(&mut list, &row);
            }
        }
        self.export_quarantine(unique, to, &mut exported)?;
        std::fs::write(to.join("messages.csv"), list).map_err(here(to))?;
        let mailbox = self.folder(unique).join(MAILBOX);
        match read_all(&*self.disk, &mailbox, 1 << 20) {
            Ok(bytes) => std::fs::write(to.join(MAILBOX), bytes).map_err(here(to))?,
            Err(error) => exported.fault(MAILBOX.to_owned(), error.to_string()),
        }
        Ok(exported)
    }

    /// Copies a message's files, as far as they are there; the message, unless it was deleted meanwhile. Nothing is changed in
    /// the store.
    fn export_one(
        &self,
        unique: &Unique,
        mut row: Row,
        to: &Path,
        exported: &mut Exported,
    ) -> Result<Option<Row>, MailError> {
        let from = self.folder(unique).join(MESSAGES);
        let mut tries = 0;
        let files = loop {
            let name = row.name();
            match crate::opened::envelope(&*self.disk, &from, &name) {
                Ok(envelope) => {
                    let attachments = envelope.attachments.iter().enumerate();
                    let attachments =
                        attachments.map(|(n, a)| (name.attachment(n, a.extension), Some(a.sha256)));
                    break std::iter::once((name.to_string(), None)).chain(attachments).collect();
                }
                // It has another name by now, perhaps.
                Err(Broken::Disk(error)) if error.kind() == io::ErrorKind::NotFound => {
                    tries += 1;
                    let now =
                        self.looked(unique, |opened| opened.catalog().row(row.id).cloned())?;
                    match now {
                        Some(now) if tries < 4 => row = now,
                        Some(_) | None => return Ok(None),
                    }
                }
                Err(Broken::Disk(error)) => return Err(error.into()),
                Err(broken @ (Broken::Message(_) | Broken::Later)) => {
                    exported.fault(name.to_string(), broken.to_string());
                    let base = name.base();
                    let there = self.disk.list(&from)?.into_iter().map(|entry| entry.name);
                    break there.filter(|n| n.starts_with(&base)).map(|n| (n, None)).collect();
                }
            }
        };
        let files: Vec<(String, Option<[u8; 32]>)> = files;
        for (file, sha256) in files {
            let digest = self.export_file(&from.join(&file), &to.join(&file), exported)?;
            if sha256.is_some_and(|sha256| digest.is_some_and(|digest| digest.as_ref() != sha256)) {
                exported.fault(file, "it is not what was delivered".to_owned());
            }
        }
        Ok(Some(row))
    }

    /// Copies a file; its digest, unless it is gone.
    fn export_file(
        &self,
        from: &Path,
        to: &Path,
        exported: &mut Exported,
    ) -> Result<Option<Digest>, MailError> {
        let mut reader = match self.disk.open(from) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            done => done?,
        };
        let mut writer = std::fs::File::create_new(to).map_err(here(to))?;
        let (bytes, digest) = hashed(&mut reader, &mut writer).map_err(here(to))?;
        exported.bytes += bytes;
        exported.files += 1;
        Ok(Some(digest))
    }

    /// What was put aside earlier goes along, and is told.
    fn export_quarantine(
        &self,
        unique: &Unique,
        to: &Path,
        exported: &mut Exported,
    ) -> Result<(), MailError> {
        let from = self.folder(unique).join(QUARANTINE);
        let entries = self.disk.list(&from).unwrap_or_default();
        if entries.is_empty() {
            return Ok(());
        }
        let to = to.join(QUARANTINE);
        std::fs::create_dir(&to).map_err(here(&to))?;
        for entry in &entries {
            self.export_file(&from.join(&entry.name), &to.join(&entry.name), exported)?;
        }
        let what = format!("{} files were put aside earlier", entries.len());
        exported.fault(QUARANTINE.to_owned(), what);
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

impl Exported {
    fn fault(&mut self, file: String, what: String) {
        self.faults.push(Damage { file, what, mended: false });
    }
}

/// An error of a file that is not the store's.
fn here(path: &Path) -> impl Fn(io::Error) -> MailError {
    move |error| MailError::Here(path.to_owned(), error)
}

/// Copies bytes; how many, and their digest.
fn hashed(from: &mut dyn io::Read, to: &mut dyn io::Write) -> io::Result<(u64, Digest)> {
    let mut context = Context::new(&SHA256);
    let mut buffer = vec![0; 256 << 10];
    let mut all = 0;
    loop {
        let got = from.read(&mut buffer)?;
        let bytes = buffer.get(..got).unwrap_or_default();
        if bytes.is_empty() {
            return Ok((all, context.finish()));
        }
        context.update(bytes);
        to.write_all(bytes)?;
        all += bytes.len() as u64;
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

pub(super) fn gone_is_fine(done: io::Result<()>) -> io::Result<()> {
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

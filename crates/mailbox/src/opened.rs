use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use store::{Disk, Writing, read_all};

use crate::address::Unique;
use crate::catalog::{Catalog, FAMILY, FORMAT, Read, Record, Row, VERSION, released_by};
use crate::envelope::{ENVELOPE_BYTES_MAX, Envelope, EnvelopeError};
use crate::host::Host;
use crate::name::{Folder, Marks, MessageId, Name};
use crate::node::{LEASE, Node, Notice};

mod changes;
mod taking_over;

/// The folder with the messages, that with the catalog, and that with what is broken.
pub(crate) const MESSAGES: &str = "messages";
pub(crate) const CATALOG: &str = "catalog";
pub(crate) const QUARANTINE: &str = "quarantine";
/// The file that says whose mailbox a folder is.
pub(crate) const MAILBOX: &str = "mailbox.json";

/// No file of the catalog has such a number, unless somebody made it by hand.
const EPOCH_END: u64 = 1 << 62;
/// Clocks of disks go in steps of no more.
const TICK_NANOS: i128 = 100_000_000;
/// Changes after which a new file is begun, unless there are more rows than that.
const CHANGES_MAX: u64 = 10_000;
/// A file that has only its claim is not longer.
const CLAIM_BYTES_MAX: usize = 512;
/// How often something is tried on a message whose file somebody else renames meanwhile.
const TRIES_MAX: usize = 4;
/// How soon something that could not be told is looked at again, and how late, after many times.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
const LOOK_AGAIN_MAX: Duration = Duration::from_mins(1);

/// Why a mailbox cannot be changed at this moment.
#[derive(Debug)]
pub(crate) enum OwnError {
    /// Another node owns it.
    Held(String),
    /// The disk says no.
    Disk(io::Error),
}

impl From<io::Error> for OwnError {
    fn from(error: io::Error) -> Self {
        Self::Disk(error)
    }
}

/// What was seen to have changed, for those who listen.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Seen {
    Added(Row),
    Changed(Row),
    Removed(MessageId),
    Broken(Name, String),
}

/// What a mailbox needs of the store it is in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Around<'a> {
    pub(crate) disk: &'a dyn Disk,
    pub(crate) host: &'a dyn Host,
    pub(crate) node: &'a Node,
}

/// A mailbox of which this process knows the catalog.
///
/// The truth is in the names of the files in `messages`: each change of a message is one rename there. The catalog
/// repeats it so that a list costs no scan, and numbers messages and changes. Its file `log.<epoch>` is made
/// by whoever owns the mailbox from then on, and written by nobody else; making it is the claim (two cannot make the
/// same file). Who claims reads the older file only after that, and who appends looks for a newer file only after that:
/// so what an owner did before it lost the mailbox is either read by the next, or known by itself to be void.
#[derive(Debug)]
pub(crate) struct Opened {
    folder: PathBuf,
    unique: Unique,
    /// The file that was read, and what it says.
    epoch: u64,
    read: Read,
    /// That file, if it is ours.
    log: Option<Box<dyn Writing>>,
    /// Messages that we removed, while that is not written down.
    removed: BTreeSet<MessageId>,
    /// Whether the folder may hold what the catalog does not say.
    is_behind: bool,
    /// When it was told that it may.
    behind_since: Duration,
    /// When that is looked at again, and how long it is waited after that.
    due: Duration,
    wait: Duration,
    /// Whether those who listen were told of anything since it was read.
    has_told: bool,
    /// Whether a catalog was read; what differs from it later is told.
    is_known: bool,
    /// What those who listen know, while that is not what was read last.
    told: Option<Catalog>,
    /// What happened and was not told, because the catalog could not be relied on then.
    untold: Vec<Seen>,
    /// The file that was let go for another node, and when.
    given: Option<(u64, Duration)>,
    pub(crate) used: Duration,
}

fn file(epoch: u64) -> String {
    format!("log.{epoch:010}")
}

impl Opened {
    pub(crate) fn new(folder: PathBuf, unique: Unique) -> Self {
        Self {
            folder,
            unique,
            epoch: 0,
            read: Read::default(),
            log: None,
            removed: BTreeSet::new(),
            is_behind: false,
            behind_since: Duration::ZERO,
            due: Duration::ZERO,
            wait: Duration::ZERO,
            has_told: false,
            is_known: false,
            told: None,
            untold: Vec::new(),
            given: None,
            used: Duration::ZERO,
        }
    }

    pub(crate) const fn catalog(&self) -> &Catalog {
        &self.read.catalog
    }

    pub(crate) fn messages(&self) -> PathBuf {
        self.folder.join(MESSAGES)
    }

    /// The epochs of the catalog's files, the newest first.
    fn epochs(&self, disk: &dyn Disk) -> io::Result<Vec<u64>> {
        let folder = self.folder.join(CATALOG);
        let entries = match disk.list(&folder) {
            // A copy of the mailbox need not have it.
            Err(error)
                if error.kind() == io::ErrorKind::NotFound
                    && disk.about(&self.messages()).is_ok() =>
            {
                store::make_folders(disk, &folder)?;
                Vec::new()
            }
            done => done?,
        };
        let epoch = |name: &str| name.strip_prefix("log.")?.parse().ok();
        let epochs = entries.iter().filter_map(|entry| epoch(&entry.name));
        let mut epochs: Vec<u64> = epochs.filter(|epoch| *epoch < EPOCH_END).collect();
        epochs.sort_unstable_by(|one, other| other.cmp(one));
        Ok(epochs)
    }

    fn path(&self, epoch: u64) -> PathBuf {
        self.folder.join(CATALOG).join(file(epoch))
    }

    /// Whether our file is there and none is newer. Files go in the order of their age, so where the next one is
    /// gone, ours is, too.
    fn is_newest(&self, disk: &dyn Disk) -> bool {
        let is_missing = |epoch| matches!(disk.about(&self.path(epoch)), Err(error) if error.kind() == io::ErrorKind::NotFound);
        // In this order: a file that is made and taken away between the two looks takes ours with it.
        is_missing(self.epoch + 1) && disk.about(&self.path(self.epoch)).is_ok()
    }

    pub(crate) fn is_owned(&self, around: Around<'_>) -> bool {
        if self.log.is_some() && !around.node.is_fresh() {
            // We were late, and may still be the owner: whoever took us for dead has a newer file. What fails here, the
            // next line sees.
            let _ = around.node.beat();
        }
        self.log.is_some() && around.node.is_fresh() && self.is_newest(around.disk)
    }

    /// Brings the catalog up to date without owning the mailbox: enough for a list. Owns it where the
    /// files say more than the catalog and nobody else is there to tell.
    pub(crate) fn follow(
        &mut self,
        around: Around<'_>,
        seen: &mut Vec<Seen>,
    ) -> Result<(), OwnError> {
        if self.is_owned(around) {
            return if self.is_behind { self.catch_up(around, seen) } else { Ok(()) };
        }
        for _ in 1..TRIES_MAX {
            match self.follow_files(around, seen) {
                // Files of the catalog come and go while we look.
                Err(OwnError::Disk(error)) if error.kind() == io::ErrorKind::NotFound => {}
                done => return done,
            }
        }
        self.follow_files(around, seen)
    }

    fn follow_files(&mut self, around: Around<'_>, seen: &mut Vec<Seen>) -> Result<(), OwnError> {
        let epochs = self.epochs(around.disk)?;
        let newest = epochs.first().copied().unwrap_or(0);
        if newest != self.epoch || self.epoch == 0 || self.log.is_some() {
            self.log = None;
            let Some((epoch, read)) = self.newest_whole(around.disk, &epochs) else {
                return self.own(around, seen);
            };
            let before = std::mem::replace(&mut self.read, read);
            self.keep_told(before.catalog);
            self.is_known = true;
            self.epoch = epoch;
            if epoch != newest {
                // Somebody begins a file at this moment, or died when it did.
                return self.own_if_free(around, seen);
            }
        } else {
            let bytes = read_from(around.disk, &self.path(self.epoch), self.read.bytes)?;
            // Else what differs is told, below.
            let is_told = self.told.is_none();
            self.read.take_telling(&bytes, &mut |catalog, record| match record {
                _ if !is_told => {}
                Record::Added(row) => seen.push(Seen::Added(row.clone())),
                Record::Changed { id, .. } => {
                    seen.extend(catalog.row(*id).cloned().map(Seen::Changed));
                }
                Record::Removed { id, .. } => seen.push(Seen::Removed(*id)),
                Record::Claim { .. }
                | Record::Head(_)
                | Record::Row(_)
                | Record::Whole { .. }
                | Record::LoggedIn { .. }
                | Record::Released { .. } => {}
            });
        }
        let stamp = around.disk.about(&self.messages())?.stamp;
        if self.is_as_left(around.disk, self.epoch, self.read.released.as_deref(), stamp)? {
            self.tell_differences(seen);
            return Ok(());
        }
        self.own_if_free(around, seen)
    }

    /// Whether nothing came into the folder since a file of the catalog was let go.
    fn is_as_left(
        &self,
        disk: &dyn Disk,
        epoch: u64,
        released: Option<&str>,
        stamp: i128,
    ) -> io::Result<bool> {
        if self.is_behind || released != Some(&*stamp.to_string()) {
            return Ok(false);
        }
        // Two changes within a tick of the disk's clock have one stamp.
        let left = disk.about(&self.path(epoch))?.stamp;
        Ok(left.saturating_sub(stamp) > TICK_NANOS)
    }

    fn own_if_free(&mut self, around: Around<'_>, seen: &mut Vec<Seen>) -> Result<(), OwnError> {
        match self.own(around, seen) {
            // The owner tells, and is as right as can be.
            Err(OwnError::Held(_)) => {
                // By now it has heard of it, or would be taken for dead.
                let since = around.host.uptime().saturating_sub(self.behind_since);
                self.is_behind &= since < LEASE * 2;
                self.tell_differences(seen);
                Ok(())
            }
            Err(OwnError::Disk(error)) if is_full(&error) => self.go_by_files(around, seen),
            done => done,
        }
    }

    /// Makes the catalog in memory say what the files do, until it is read again. Nobody is told of it before. To see what
    /// can be deleted, and to delete it, no room is needed.
    fn go_by_files(&mut self, around: Around<'_>, seen: &mut Vec<Seen>) -> Result<(), OwnError> {
        self.forget();
        if self.told.is_none() {
            self.keep_told(self.read.catalog.clone());
        }
        if !self.is_known
            && let Some((_, read)) = self.newest_whole(around.disk, &self.epochs(around.disk)?)
        {
            self.read.catalog = read.catalog;
        }
        let mut found = Vec::new();
        let done = self.reconcile(around, &mut found);
        seen.extend(found.into_iter().filter(is_broken));
        done?;
        Ok(())
    }

    /// Keeps what those who listen know, when something else takes its place.
    fn keep_told(&mut self, catalog: Catalog) {
        if self.is_known {
            self.told.get_or_insert(catalog);
        }
    }

    /// Tells what is other than those who listen know.
    fn tell_differences(&mut self, seen: &mut Vec<Seen>) {
        let untold = std::mem::take(&mut self.untold);
        if let Some(told) = self.told.take() {
            differences(&told, &self.read.catalog, &untold, seen);
        }
    }

    /// Whether the catalog was ever read.
    pub(crate) const fn is_known(&self) -> bool {
        self.is_known
    }

    /// Whether it is time to look again for something that was not told yet, or may not have been; if so, the next time is
    /// later, and later.
    pub(crate) fn is_due(&mut self, now: Duration) -> bool {
        let has_untold = self.is_behind || self.told.is_some() || !self.untold.is_empty();
        if !has_untold {
            self.wait = Duration::ZERO;
        }
        if !has_untold || now < self.due {
            return false;
        }
        self.wait = (self.wait * 2).clamp(LOOK_AGAIN, LOOK_AGAIN_MAX);
        self.due = now + self.wait;
        true
    }

    /// Whether this is the first time that those who listen are told of anything; it is no more, from now on.
    pub(crate) const fn tells_first(&mut self) -> bool {
        let is_first = !self.has_told;
        self.has_told = true;
        is_first
    }

    /// Keeps back what was seen, until the catalog can be relied on again.
    fn keep_back(&mut self, seen: &mut Vec<Seen>) {
        let (broken, untold) = seen.drain(..).partition(is_broken);
        *seen = broken;
        self.untold.extend::<Vec<_>>(untold);
    }

    /// A message's envelope, if it and the sizes of its files are as they should be.
    pub(crate) fn envelope(&self, disk: &dyn Disk, name: &Name) -> Result<Envelope, Broken> {
        envelope(disk, &self.messages(), name)
    }

    /// Takes a broken message out of the way, with all its files and a note that says why.
    pub(crate) fn quarantine(&self, disk: &dyn Disk, name: &Name, why: &str) -> io::Result<()> {
        let (from, to) = (self.messages(), self.folder.join(QUARANTINE));
        store::make_folders(disk, &to)?;
        let base = name.base();
        let mut files: Vec<_> = disk.list(&from)?;
        files.retain(|entry| entry.name.starts_with(&base));
        // The envelope first: without it nobody sees the rest.
        files.sort_by_key(|entry| !entry.name.ends_with(".xml"));
        for entry in &files {
            disk.replace(&from.join(&entry.name), &to.join(&entry.name))?;
        }
        disk.sync_folder(&to)?;
        disk.sync_folder(&from)?;
        let note = to.join(format!("{base}.why.txt"));
        store::replace_all(disk, &note, format!("{why}\n").as_bytes())?;
        tracing::error!(mailbox = self.unique.leaf(), message = %name, why, "a broken message was quarantined");
        Ok(())
    }

    /// Scans the folder and writes down what was not known.
    pub(crate) fn catch_up(
        &mut self,
        around: Around<'_>,
        seen: &mut Vec<Seen>,
    ) -> Result<(), OwnError> {
        match self.reconcile(around, seen) {
            Ok(found) => {
                self.is_behind = false;
                self.append(around, &found.records, seen);
                Ok(())
            }
            Err(error) => {
                // What was learnt until then is written down nowhere. Another may have more luck with it.
                if let Some(log) = &mut self.log {
                    let mut text = String::new();
                    Record::Released { stamp: String::new() }.write(&mut text);
                    let _ = log.write_all(text.as_bytes());
                }
                self.forget();
                self.keep_back(seen);
                self.is_behind = true;
                Err(error.into())
            }
        }
    }

    /// Appends to the catalog's file, and begins a new one when it is long.
    fn append(&mut self, around: Around<'_>, records: &[Record], seen: &mut Vec<Seen>) {
        self.write(around, records, seen);
        if self.log.is_some()
            && self.read.changes > self.read.catalog.counts().messages.max(CHANGES_MAX)
        {
            self.begin_anew(around, seen);
        }
    }

    /// Appends to the catalog's file. What is told here has already happened: when this fails, or the mailbox was
    /// taken from us, the next who opens it finds it out from the files. Then what we gave numbers to is void, and
    /// nobody is told of it by us.
    fn write(&mut self, around: Around<'_>, records: &[Record], seen: &mut Vec<Seen>) {
        if records.is_empty() {
            return;
        }
        let leaf = self.unique.leaf();
        let mut text = String::new();
        records.iter().for_each(|record| record.write(&mut text));
        let written = self.log.as_mut().map(|log| log.write_all(text.as_bytes()));
        let is_told = matches!(written, Some(Ok(()))) && self.is_newest(around.disk);
        let notice = if is_told { Notice::Changed } else { Notice::Look };
        if let Err(error) = around.node.tell(notice, leaf) {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(mailbox = leaf, error, "other nodes could not be told of a change");
        }
        if !is_told {
            self.forget();
            self.keep_back(seen);
            return;
        }
        self.removed.clear();
        self.read.changes += u64::try_from(records.len()).unwrap_or(u64::MAX);
    }

    /// What we knew is not to be relied on: it is read again. Until then the catalog is there for those who are told what
    /// was seen last.
    fn forget(&mut self) {
        self.log = None;
        self.epoch = 0;
        let catalog = std::mem::take(&mut self.read.catalog);
        self.read = Read { catalog, ..Read::default() };
    }

    /// Goes on in a new file, so that the old one does not grow for ever.
    fn begin_anew(&mut self, around: Around<'_>, seen: &mut Vec<Seen>) {
        let Ok(epochs) = self.epochs(around.disk) else { return };
        self.release(around, seen);
        if let Err(error) = self.claim(around, &epochs, seen) {
            tracing::warn!(
                mailbox = self.unique.leaf(),
                error = &error as &dyn std::error::Error,
                "a catalog could not be begun anew"
            );
        }
    }

    /// Writes down that the user was here.
    pub(crate) fn logged_in(
        &mut self,
        around: Around<'_>,
        seen: &mut Vec<Seen>,
    ) -> Result<(), OwnError> {
        self.own(around, seen)?;
        let record = Record::LoggedIn { at: around.host.wall().as_micros() };
        self.read.catalog.apply(record.clone());
        self.append(around, &[record], seen);
        Ok(())
    }

    /// Lets the mailbox go, so that anybody may own it at once.
    pub(crate) fn release(&mut self, around: Around<'_>, seen: &mut Vec<Seen>) {
        if self.is_owned(around) {
            // Others may have delivered what we have not heard of, and the next one relies on what we say.
            let found = self.reconcile(around, seen);
            let (records, stamp) = found.map_or_else(|_| (vec![], None), |f| (f.records, f.stamp));
            self.write(around, &records, seen);
            // Equal to none without a stamp: then the next one looks at all files.
            let stamp = stamp.map(|stamp| stamp.to_string()).unwrap_or_default();
            let mut text = String::new();
            Record::Released { stamp }.write(&mut text);
            if let Some(log) = &mut self.log {
                // Without it, the next one waits until we are dead, or asks again.
                let _ = log.write_all(text.as_bytes());
            }
        }
        if self.log.is_some() {
            self.forget();
        }
    }

    /// Lets the mailbox go because another node wants it; also when its catalog's file is ours and we do not write to
    /// it any more, because that failed.
    pub(crate) fn give(
        &mut self,
        around: Around<'_>,
        seen: &mut Vec<Seen>,
    ) -> Result<(), OwnError> {
        if self.log.is_none() {
            let newest = self.epochs(around.disk)?.first().copied().unwrap_or(0);
            let mut read = Read::default();
            read.take(&read_from(around.disk, &self.path(newest), 0)?);
            let is_ours = read.node.as_deref() == Some(around.node.id());
            if !is_ours || read.released.is_some() {
                return Ok(());
            }
            self.own(around, seen)?;
        }
        let given = self.epoch;
        self.release(around, seen);
        self.given = Some((given, around.host.uptime()));
        Ok(())
    }

    /// What was told could not be looked at: it is, later.
    pub(crate) const fn fail_to_look(&mut self, now: Duration) {
        if !self.is_behind {
            self.is_behind = true;
            self.behind_since = now;
        }
    }

    /// The files may have changed without us.
    pub(crate) fn look_again(&mut self, now: Duration) {
        self.is_behind = true;
        self.behind_since = now;
        (self.due, self.wait) = (now, Duration::ZERO);
    }
}

/// The envelope of a message in a folder, if it and the sizes of its files are as they should be.
pub(crate) fn envelope(disk: &dyn Disk, folder: &Path, name: &Name) -> Result<Envelope, Broken> {
    let envelope = match read_all(disk, &folder.join(name.to_string()), ENVELOPE_BYTES_MAX) {
        Ok(bytes) => Envelope::parse(&bytes)?,
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
            return Err(EnvelopeError::Limit("bytes of an envelope").into());
        }
        Err(error) => return Err(Broken::Disk(error)),
    };
    if envelope.id != name.id || envelope.at != name.at || envelope.kind != name.kind {
        return Err(Broken::Message("its envelope is another message's".to_owned()));
    }
    for (number, attachment) in envelope.attachments.iter().enumerate() {
        let file = name.attachment(number, attachment.extension);
        match disk.about(&folder.join(&file)) {
            Ok(about) if about.bytes == attachment.bytes => {}
            Ok(about) => {
                let wanted = attachment.bytes;
                return Err(Broken::Message(format!(
                    "{file} has {} bytes, not {wanted}",
                    about.bytes
                )));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Broken::Message(format!("{file} is missing")));
            }
            Err(error) => return Err(Broken::Disk(error)),
        }
    }
    Ok(envelope)
}

/// Why a message cannot be read.
#[derive(Debug)]
pub(crate) enum Broken {
    /// It is damaged; why.
    Message(String),
    /// A later version wrote it.
    Later,
    /// The disk says no.
    Disk(io::Error),
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Message(why) => f.write_str(why),
            Self::Later => f.write_str("a later version wrote it"),
            Self::Disk(error) => error.fmt(f),
        }
    }
}

impl From<EnvelopeError> for Broken {
    fn from(error: EnvelopeError) -> Self {
        match error {
            EnvelopeError::Version => Self::Later,
            EnvelopeError::Sum
            | EnvelopeError::Malformed { .. }
            | EnvelopeError::Value(_)
            | EnvelopeError::Limit(_) => Self::Message(format!("its envelope: {error}")),
        }
    }
}

/// Whether a file of a catalog is of a later version: its first line says so, and is whole.
fn is_later(begin: &[u8]) -> bool {
    let Some(end) = begin.iter().position(|byte| *byte == b'\n') else { return false };
    let line = std::str::from_utf8(begin.get(..end).unwrap_or_default()).unwrap_or_default();
    // Whatever else stands there.
    line.strip_prefix(FAMILY).is_some_and(|rest| {
        let version = rest.split(' ').next().and_then(|version| version.parse::<u32>().ok());
        version.is_none_or(|version| version > VERSION)
    })
}

const fn is_broken(one: &Seen) -> bool {
    matches!(one, Seen::Broken(..))
}

pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

fn read_from(disk: &dyn Disk, path: &Path, from: u64) -> io::Result<Vec<u8>> {
    let mut file = disk.open(path)?;
    if from > 0 {
        file.seek(SeekFrom::Start(from))?;
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The first bytes of a file of the catalog, as many as have its claim, and as many of its last.
fn read_ends(disk: &dyn Disk, path: &Path) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let mut file = disk.open(path)?;
    let limit = u64::try_from(CLAIM_BYTES_MAX).unwrap_or(u64::MAX);
    let (mut begin, mut end) = (Vec::new(), Vec::new());
    file.by_ref().take(limit).read_to_end(&mut begin)?;
    let bytes = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(bytes.saturating_sub(limit)))?;
    file.read_to_end(&mut end)?;
    Ok((begin, end))
}

/// What differs between two catalogs of one mailbox; of messages of which something was not told, how they are now.
fn differences(before: &Catalog, after: &Catalog, untold: &[Seen], seen: &mut Vec<Seen>) {
    let untold = untold.iter().filter_map(|one| match one {
        Seen::Added(row) => Some((row.id, true)),
        Seen::Changed(row) => Some((row.id, false)),
        Seen::Removed(id) => Some((*id, false)),
        Seen::Broken(..) => None,
    });
    // Whether nobody was told of it at all.
    let mut new = BTreeMap::new();
    for (id, is_new) in untold {
        new.entry(id).or_insert(is_new);
    }
    for row in after.rows() {
        match (before.row(row.id), new.get(&row.id)) {
            (Some(old), None) if old.folder == row.folder && old.marks == row.marks => {}
            (Some(_), None) | (_, Some(false)) => seen.push(Seen::Changed(row.clone())),
            (None, None) | (_, Some(true)) => seen.push(Seen::Added(row.clone())),
        }
    }
    let gone = before.rows().map(|row| row.id).filter(|id| new.get(id) != Some(&true));
    let told_of = new.iter().filter(|(id, is_new)| !**is_new && before.row(**id).is_none());
    let all = gone.chain(told_of.map(|(id, _)| *id));
    seen.extend(all.filter(|id| after.row(*id).is_none()).map(Seen::Removed));
}

//! A store that gets another root while servers use it.

use std::collections::BTreeSet;

use store::SystemDisk;

use super::administration::gone_is_fine;
use super::*;

/// How often a folder is copied again because it changed meanwhile.
const COPIES_MAX: usize = 20;
/// The file in a new root that says which store is being moved there.
const MOVING: &str = "entracte-store.moving";

/// What moving did.
#[derive(Clone, Copy, Debug, Default, Serialize, utoipa::ToSchema)]
pub struct Moved {
    /// Files that were copied.
    pub copied: u64,
    /// Files that were there already.
    pub kept: u64,
    /// Bytes that were copied.
    pub bytes: u64,
}

impl MessageStore {
    /// As [`Self::move_to`], to a folder of this machine or a share that is mounted here, which must be apart from the root.
    ///
    /// # Errors
    /// As [`Self::move_to`].
    pub fn move_here(
        &self,
        to: &Path,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Moved, MailError> {
        let to = std::path::absolute(to)?;
        let (from, target) = (real(&self.root), real(&to));
        if from.starts_with(&target) || target.starts_with(&from) {
            let (from, target) = (from.display(), target.display());
            return Err(MailError::Target(format!("{target}: it must be apart from {from}")));
        }
        match self.move_to(&SystemDisk::new(), &to, progress) {
            Err(MailError::Away(error)) => {
                let what = format!("copying {} to {}", from.display(), target.display());
                Err(MailError::Here(PathBuf::from(what), error))
            }
            done => done,
        }
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
        if self.is_moving.swap(true, Ordering::Relaxed) {
            return Err(MailError::Target("it is being moved already".to_owned()));
        }
        let done = self.move_once(disk, to, progress);
        self.is_moving.store(false, Ordering::Relaxed);
        done
    }

    fn move_once(
        &self,
        disk: &dyn Disk,
        to: &Path,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Moved, MailError> {
        let shut = self.guard_file()?;
        let target = to.display().to_string();
        let goes_on = shut.moved_to.as_ref() == Some(&target);
        if !goes_on {
            self.guard()?;
        }
        let guard = Guard { moved_to: None, ..shut };
        self.begin_move(disk, to, &guard, goes_on)?;
        let mut copy = Copy { store: self, disk, to, moved: Moved::default() };
        // Most is copied while everybody works on.
        if !goes_on {
            copy.all(Copied::Roughly, progress)?;
        }
        // Another process may have moved it meanwhile.
        if !goes_on {
            self.guard()?;
        }
        // From now on nobody changes anything here: who has written something looks at this once more.
        let shut = Guard { moved_to: Some(target), ..guard.clone() };
        let known = lock(&self.session).node.clone();
        let node = match known {
            Some(node) => node,
            // The root was shut before we came.
            None => {
                Arc::new(Node::join(Arc::clone(&self.disk), Arc::clone(&self.host), &self.root)?)
            }
        };
        let all = std::mem::take(&mut *lock(&self.opened));
        all.iter().for_each(|(unique, opened)| self.release(&node, unique, opened));
        write_guard(&*self.disk, &self.root, &shut)?;
        {
            let mut session = lock(&self.session);
            session.node = Some(Arc::clone(&node));
            session.trouble = Some(format!("it was moved to {}", to.display()));
        }
        self.wait_for_others(&node)?;
        copy.all(Copied::Exactly, progress)?;
        self.is_shut(to)?;
        write_guard(disk, to, &guard)?;
        gone_is_fine(disk.remove(&to.join(MOVING)))?;
        Ok(copy.moved)
    }

    /// Whether the root is there, and shut for a move to this one: where its share is gone, a list of it is empty.
    fn is_shut(&self, to: &Path) -> Result<(), MailError> {
        let guard = self.guard_file()?;
        if guard.moved_to.is_some_and(|target| target == to.display().to_string()) {
            Ok(())
        } else {
            let root = self.root.display();
            Err(MailError::NoStore(format!("{root} was opened again while it was moved")))
        }
    }

    /// Makes the new root, or finds that it is the one that was begun.
    fn begin_move(
        &self,
        disk: &dyn Disk,
        to: &Path,
        guard: &Guard,
        goes_on: bool,
    ) -> Result<(), MailError> {
        make_folders(disk, to)?;
        let shown = to.display();
        let refused = |why: &str| Err(MailError::Target(format!("{shown} {why}")));
        match read_all(disk, &to.join(GUARD), 65_536) {
            Ok(bytes) => {
                let other: Option<Guard> = serde_json::from_slice(&bytes).ok();
                return match other {
                    Some(other) if other.id != guard.id => refused("is another message store"),
                    Some(_) if goes_on => {
                        refused("has all of this message store already: set mail.root to it")
                    }
                    Some(_) | None => refused("has a copy of this message store already"),
                };
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
        match read_all(disk, &to.join(MOVING), 1_024) {
            Ok(bytes) if bytes == guard.id.as_bytes() => return Ok(()),
            Ok(_) => return refused("has a part of another message store"),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
        // What a new file system brings along is no reason.
        if disk.list(to)?.iter().any(|entry| entry.name != "lost+found") {
            return refused("is not empty");
        }
        Ok(replace_all(disk, &to.join(MOVING), guard.id.as_bytes())?)
    }

    /// Waits until every other node must have seen that the root was shut: each looks at least once a second.
    fn wait_for_others(&self, node: &Node) -> Result<(), MailError> {
        let others = node.all()?.into_iter().filter(|(id, _, alive)| *alive && id != node.id());
        if others.count() > 0 {
            self.host.pause(crate::node::LEASE);
        }
        Ok(())
    }
}

/// The folders of all mailboxes below a root.
fn every_folder(disk: &dyn Disk, root: &Path) -> io::Result<Vec<PathBuf>> {
    let letter = |name: &str| name.len() == 1 && name.bytes().all(|b| b.is_ascii_uppercase());
    let mut all = Vec::new();
    for first in disk.list(root)?.iter().filter(|entry| letter(&entry.name)) {
        let first = root.join(&first.name);
        for second in disk.list(&first)?.iter().filter(|entry| letter(&entry.name)) {
            let second = first.join(&second.name);
            let leaves = disk.list(&second)?;
            all.extend(leaves.iter().filter(|e| e.is_folder).map(|e| second.join(&e.name)));
        }
    }
    Ok(all)
}

/// Takes a folder away with all that is in it.
fn remove_all(disk: &dyn Disk, folder: &Path) -> io::Result<()> {
    for entry in disk.list(folder)? {
        let path = folder.join(&entry.name);
        if entry.is_folder {
            remove_all(disk, &path)?;
        } else {
            disk.remove(&path)?;
        }
    }
    disk.remove_folder(folder)
}

/// Where a path leads, although not all of it need be there.
fn real(path: &Path) -> PathBuf {
    for ancestor in path.ancestors() {
        if let Ok(real) = ancestor.canonicalize() {
            return real.join(path.strip_prefix(ancestor).unwrap_or_else(|_| Path::new("")));
        }
    }
    path.to_owned()
}

/// How a folder is copied.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Copied {
    /// As it happens to be while others change it.
    Roughly,
    /// As it is.
    Exactly,
}

/// A copy that is made of a store.
struct Copy<'a> {
    store: &'a MessageStore,
    disk: &'a dyn Disk,
    to: &'a Path,
    moved: Moved,
}

impl Copy<'_> {
    fn all(&mut self, how: Copied, progress: &mut dyn FnMut(u64, u64)) -> Result<(), MailError> {
        let folders = every_folder(&*self.store.disk, &self.store.root)?;
        let of = u64::try_from(folders.len()).unwrap_or(u64::MAX);
        for (done, folder) in (0..).zip(&folders) {
            progress(done, of);
            let inner = folder.strip_prefix(&self.store.root).unwrap_or(folder);
            self.folder(folder, &self.to.join(inner), how)?;
        }
        if how == Copied::Exactly {
            self.store.is_shut(self.to)?;
            self.is_ours()?;
            // What was purged meanwhile shall not come back.
            let here: BTreeSet<_> = folders
                .iter()
                .filter_map(|folder| folder.strip_prefix(&self.store.root).ok())
                .collect();
            for folder in every_folder(self.disk, self.to)? {
                if folder.strip_prefix(self.to).is_ok_and(|inner| !here.contains(inner)) {
                    remove_all(self.disk, &folder)?;
                }
            }
        }
        progress(of, of);
        Ok(())
    }

    /// A mailbox's folder; exactly, again and again until it held still meanwhile, for a list of a folder that changes misses
    /// some.
    fn folder(&mut self, from: &Path, to: &Path, how: Copied) -> Result<(), MailError> {
        for _ in 0..COPIES_MAX {
            self.is_ours()?;
            let before = self.store.disk.about(from)?.stamp;
            self.once(from, to, how)?;
            if how == Copied::Roughly || self.store.disk.about(from)?.stamp == before {
                return Ok(());
            }
        }
        Err(MailError::Busy("somebody who does not see that the root was shut".to_owned()))
    }

    /// Whether the new root is still in the making: one that is in use has more than the old one, and nothing of it may go.
    fn is_ours(&self) -> Result<(), MailError> {
        match self.disk.about(&self.to.join(GUARD)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error.into()),
            Ok(_) => {
                let to = self.to.display();
                Err(MailError::Target(format!("{to} is in use already: another has moved it")))
            }
        }
    }

    /// Attachments and envelopes never change, so one of the same name and size is the same; everything else is copied
    /// anew, and what is not here any more is taken away there.
    fn once(&mut self, from: &Path, to: &Path, how: Copied) -> Result<(), MailError> {
        make_folders(self.disk, to)?;
        let entries = self.store.disk.list(from)?;
        let here: BTreeSet<_> = entries.iter().map(|entry| entry.name.as_str()).collect();
        for entry in self.disk.list(to)? {
            if !entry.is_folder && !here.contains(&*entry.name) {
                self.disk.remove(&to.join(&entry.name))?;
            }
        }
        let never_changes = from.file_name().is_some_and(|name| name == MESSAGES);
        for entry in &entries {
            let (source, target) = (from.join(&entry.name), to.join(&entry.name));
            if entry.is_folder {
                self.folder(&source, &target, how)?;
            } else {
                self.file(&source, &target, never_changes)?;
            }
        }
        self.disk.sync_folder(to)?;
        Ok(())
    }

    fn file(&mut self, source: &Path, target: &Path, never_changes: bool) -> io::Result<()> {
        let Some(bytes) = found(self.store.disk.about(source))?.map(|about| about.bytes) else {
            return Ok(());
        };
        if never_changes && self.disk.about(target).is_ok_and(|about| about.bytes == bytes) {
            self.moved.kept += 1;
            return Ok(());
        }
        let Some(mut reader) = found(self.store.disk.open(source))? else { return Ok(()) };
        let mut part = target.as_os_str().to_owned();
        part.push(".moving");
        let part = PathBuf::from(part);
        gone_is_fine(self.disk.remove(&part))?;
        let mut writer = self.disk.create(&part)?;
        self.moved.bytes += io::copy(&mut reader, &mut *writer)?;
        writer.sync()?;
        drop(writer);
        self.disk.replace(&part, target)?;
        self.moved.copied += 1;
        Ok(())
    }
}

/// What was renamed or deleted meanwhile, the next round finds.
fn found<T>(done: io::Result<T>) -> io::Result<Option<T>> {
    match done {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

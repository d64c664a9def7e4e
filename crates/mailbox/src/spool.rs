use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use store::{Disk, make_folders};

use crate::address::Address;
use crate::catalog::Row;
use crate::draft::{Draft, commit};
use crate::envelope::Envelope;
use crate::name::{MessageId, Name};
use crate::opened::Broken;

/// Messages that were taken while their mailbox could not be reached. They are on a disk of this machine,
/// in the same form, and go on by themselves.
#[derive(Debug)]
pub(crate) struct Spool {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    waiting: Mutex<BTreeMap<MessageId, Waiting>>,
    /// What could not be read when that was tried last, and why.
    unread: Mutex<BTreeMap<Name, String>>,
}

/// One of them.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    pub(crate) name: Name,
    pub(crate) to: Address,
    pub(crate) row: Row,
    /// Why it could not be delivered when that was tried last.
    pub(crate) trouble: Option<String>,
}

impl Spool {
    /// Opens the spool and finds what an earlier process left in it.
    pub(crate) fn open(disk: Arc<dyn Disk>, folder: PathBuf) -> io::Result<Self> {
        make_folders(&*disk, &folder)?;
        let spool = Self { disk, folder, waiting: Mutex::default(), unread: Mutex::default() };
        let names = spool.disk.list(&spool.folder)?;
        let names = names.iter().filter_map(|entry| Name::parse(&entry.name));
        *spool.lock_unread() = names.map(|name| (name, String::new())).collect();
        spool.read_again();
        Ok(spool)
    }

    /// Reads what could not be read before.
    pub(crate) fn read_again(&self) {
        let mut unread = self.lock_unread();
        let names = std::mem::take(&mut *unread);
        for (name, before) in names {
            let done = match self.whole(&name) {
                Ok(envelope) => {
                    self.add(name, &envelope);
                    continue;
                }
                Err(Broken::Message(why)) => self.put_aside(&name, &why),
                // One that is not there any more is known by another name, or to nobody.
                Err(Broken::Disk(error)) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                Err(Broken::Disk(error)) => Err(error),
                Err(Broken::Later) => Err(io::Error::other("a later version wrote it")),
            };
            if let Err(error) = done {
                let why = error.to_string();
                if why != before {
                    tracing::error!(message = %name, why, "a message in the spool cannot be read");
                }
                unread.insert(name, why);
            }
        }
    }

    fn add(&self, name: Name, envelope: &Envelope) {
        let row = Row::of(&name, envelope);
        let waiting = Waiting { name, to: envelope.to.clone(), row, trouble: None };
        self.lock().insert(name.id, waiting);
    }

    /// A message's envelope, if all its files are there.
    fn whole(&self, name: &Name) -> Result<Envelope, Broken> {
        crate::opened::envelope(&*self.disk, &self.folder, name)
    }

    /// What is not whole was never acknowledged, unless the disk has lost something; who knows, so it stays, under a
    /// name that nobody delivers.
    fn put_aside(&self, name: &Name, why: &str) -> io::Result<()> {
        tracing::error!(message = %name, why, "a message in the spool is not whole and was put aside");
        let path = self.folder.join(name.to_string());
        self.disk.replace(&path, &self.folder.join(format!("{name}.broken")))?;
        self.disk.sync_folder(&self.folder)
    }

    /// Takes a message: when it returns, it survives a power cut.
    pub(crate) fn take(&self, name: Name, draft: &Draft, to: &Address) -> io::Result<()> {
        let envelope = commit(&*self.disk, &self.folder, &name, draft, to)?;
        self.add(name, &envelope);
        Ok(())
    }

    /// All that wait, the oldest first.
    pub(crate) fn waiting(&self) -> Vec<Waiting> {
        let mut all: Vec<_> = self.lock().values().cloned().collect();
        all.sort_by_key(|one| (one.name.at, one.name.id));
        all
    }

    /// A message as it is delivered again.
    pub(crate) fn draft(&self, waiting: &Waiting) -> Result<Draft, String> {
        let envelope = self.whole(&waiting.name).map_err(|broken| broken.to_string())?;
        Ok(Draft::again(&waiting.name, envelope, &self.disk, &self.folder))
    }

    /// What cannot be read, and why.
    pub(crate) fn unread(&self) -> BTreeMap<Name, String> {
        self.lock_unread().clone()
    }

    /// A message was delivered, or nobody shall have it.
    pub(crate) fn done(&self, name: &Name) -> io::Result<()> {
        // It must not be read again just now.
        let mut unread = self.lock_unread();
        match self.disk.remove(&self.folder.join(name.to_string())) {
            // Its removal was not known to have been done.
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        self.disk.sync_folder(&self.folder)?;
        self.lock().remove(&name.id);
        unread.remove(name);
        let base = name.base();
        for entry in self.disk.list(&self.folder)? {
            if entry.name.starts_with(&base) {
                self.disk.remove(&self.folder.join(&entry.name))?;
            }
        }
        Ok(())
    }

    /// A message could not be delivered, again.
    pub(crate) fn troubled(&self, id: MessageId, why: String) {
        if let Some(waiting) = self.lock().get_mut(&id) {
            waiting.trouble = Some(why);
        }
    }

    fn lock_unread(&self) -> MutexGuard<'_, BTreeMap<Name, String>> {
        self.unread.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<MessageId, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use store::{Disk, make_folders, read_all};

use crate::address::Address;
use crate::catalog::Row;
use crate::draft::{Draft, commit};
use crate::envelope::{ENVELOPE_BYTES_MAX, Envelope};
use crate::name::{MessageId, Name};

/// Messages that were taken while their mailbox could not be reached. They are on a disk of this machine,
/// in the same form, and go on by themselves.
#[derive(Debug)]
pub(crate) struct Spool {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    waiting: Mutex<BTreeMap<MessageId, Waiting>>,
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
        let spool = Self { disk, folder, waiting: Mutex::default() };
        for entry in spool.disk.list(&spool.folder)? {
            let Some(name) = Name::parse(&entry.name) else { continue };
            match spool.whole(&name) {
                Ok(envelope) => spool.add(name, &envelope),
                Err(why) => spool.put_aside(&name, &why)?,
            }
        }
        Ok(spool)
    }

    fn add(&self, name: Name, envelope: &Envelope) {
        let row = Row::of(&name, envelope);
        let waiting = Waiting { name, to: envelope.to.clone(), row, trouble: None };
        self.lock().insert(name.id, waiting);
    }

    fn envelope(&self, name: &Name) -> Result<Envelope, String> {
        let path = self.folder.join(name.to_string());
        let bytes = read_all(&*self.disk, &path, ENVELOPE_BYTES_MAX);
        Envelope::parse(&bytes.map_err(|error| error.to_string())?)
            .map_err(|error| error.to_string())
    }

    /// A message's envelope, if all its files are there.
    fn whole(&self, name: &Name) -> Result<Envelope, String> {
        let envelope = self.envelope(name)?;
        for (number, attachment) in envelope.attachments.iter().enumerate() {
            let file = name.attachment(number, attachment.extension);
            let bytes = self.disk.about(&self.folder.join(&file)).map(|about| about.bytes);
            if bytes.ok() != Some(attachment.bytes) {
                return Err(format!("{file} is missing or not whole"));
            }
        }
        Ok(envelope)
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
        let envelope = self.envelope(&waiting.name)?;
        Ok(Draft::again(&waiting.name, envelope, &self.disk, &self.folder))
    }

    /// A message was delivered.
    pub(crate) fn done(&self, waiting: &Waiting) -> io::Result<()> {
        self.disk.remove(&self.folder.join(waiting.name.to_string()))?;
        self.disk.sync_folder(&self.folder)?;
        self.lock().remove(&waiting.name.id);
        let base = waiting.name.base();
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

    fn lock(&self) -> MutexGuard<'_, BTreeMap<MessageId, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

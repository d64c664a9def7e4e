use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::group::{Group, Groups, Since};
use super::{About, Disk, Entry, Reading, Writing};

/// The system's own disks and shares. Files are made for their owner and group only.
///
/// Concurrent syncs share one sync of the whole file system where that keeps what they ask for; one alone is not
/// delayed by that.
#[derive(Debug)]
pub struct SystemDisk {
    groups: Groups,
}

impl SystemDisk {
    /// It opens nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self { groups: Groups::new() }
    }

    fn written(&self, file: File, path: &Path) -> Box<dyn Writing> {
        let folder = path.parent().unwrap_or_else(|| Path::new("/"));
        let shared = self.groups.of(&file, folder).map(|group| {
            let since = group.since();
            (group, since)
        });
        Box::new(SystemFile { file, shared })
    }
}

impl Default for SystemDisk {
    fn default() -> Self {
        Self::new()
    }
}

#[derive(Debug)]
struct SystemFile {
    file: File,
    shared: Option<(Arc<Group>, Since)>,
}

impl Write for SystemFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let done = self.file.write(bytes);
        if let Some((group, since)) = &mut self.shared {
            group.written(since);
        }
        done
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Writing for SystemFile {
    fn sync(&mut self) -> io::Result<()> {
        match &mut self.shared {
            Some((group, since)) => group.sync(since, || self.file.sync_data()),
            None => self.file.sync_data(),
        }
    }
}

impl Disk for SystemDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn Writing>> {
        let file = File::options().append(true).create_new(true).mode(0o640).open(path)?;
        Ok(self.written(file, path))
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn Writing>> {
        Ok(self.written(File::options().append(true).open(path)?, path))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Reading>> {
        let file = File::open(path)?;
        if file.metadata()?.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        Ok(Box::new(file))
    }

    fn replace(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn publish(&self, from: &Path, to: &Path) -> io::Result<()> {
        match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            Ok(()) => return Ok(()),
            // NFS and older systems cannot refuse to replace.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {}
            Err(error) => return Err(error.into()),
        }
        match fs::hard_link(from, to) {
            Ok(()) => fs::remove_file(from),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
            // An NFS server's answer may be lost after the deed.
            Err(_) if same_file(from, to) => fs::remove_file(from),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(error),
            // SMB knows no second names. Names that are published are never used twice.
            Err(_) if to.symlink_metadata().is_ok() => Err(io::ErrorKind::AlreadyExists.into()),
            Err(_) => fs::rename(from, to),
        }
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        fs::DirBuilder::new().mode(0o750).create(path)
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<Entry>> {
        fs::read_dir(folder)?
            .map(|entry| {
                let entry = entry?;
                let is_folder = entry.file_type()?.is_dir();
                Ok(Entry { name: entry.file_name().to_string_lossy().into_owned(), is_folder })
            })
            .collect()
    }

    fn about(&self, path: &Path) -> io::Result<About> {
        let about = fs::metadata(path)?;
        let stamp = i128::from(about.mtime()) * 1_000_000_000 + i128::from(about.mtime_nsec());
        Ok(About { bytes: about.len(), is_folder: about.is_dir(), stamp })
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        let file = File::open(folder)?;
        let alone = || match file.sync_all() {
            // Some shares have nothing to sync in a folder, and say so.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
            done => done,
        };
        match self.groups.of(&file, folder) {
            Some(group) => group.sync(&mut group.since(), alone),
            None => alone(),
        }
    }
}

fn same_file(one: &Path, other: &Path) -> bool {
    let inode = |path: &Path| path.symlink_metadata().map(|about| (about.dev(), about.ino())).ok();
    inode(one).is_some_and(|found| inode(other) == Some(found))
}

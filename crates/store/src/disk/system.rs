use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::group::Group;
use super::{About, Disk, Entry, Reading, Writing};

/// The system's own disks and shares. Files are made for their owner and group only.
///
/// Concurrent syncs share one sync of the whole file system; one alone is not delayed by that.
#[derive(Debug)]
pub struct SystemDisk {
    group: Group,
}

impl SystemDisk {
    /// For files on the file system that `folder` is on.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self { group: Group::new(folder) }
    }
}

#[derive(Debug)]
struct SystemFile(File);

impl Write for SystemFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Writing for SystemFile {
    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }
}

impl Disk for SystemDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn Writing>> {
        let file = File::options().append(true).create_new(true).mode(0o640).open(path)?;
        Ok(Box::new(SystemFile(file)))
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn Writing>> {
        Ok(Box::new(SystemFile(File::options().append(true).open(path)?)))
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
        self.group.sync(|| match File::open(folder)?.sync_all() {
            // Some shares have nothing to sync in a folder, and say so.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
            done => done,
        })
    }

    fn settle(&self, files: &mut [Box<dyn Writing>]) -> io::Result<()> {
        self.group.sync(|| files.iter_mut().try_for_each(|file| file.sync()))
    }
}

fn same_file(one: &Path, other: &Path) -> bool {
    let inode = |path: &Path| path.symlink_metadata().map(|about| (about.dev(), about.ino())).ok();
    inode(one).is_some_and(|found| inode(other) == Some(found))
}

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, openat};

use super::cache::Stamp;
use super::fault::PromptFault;

/// The folders below which files may be played.
#[derive(Debug)]
pub(super) struct Roots(Vec<PathBuf>);

/// A file below a root, open.
#[derive(Debug)]
pub(super) struct RootedFile {
    pub(super) file: File,
    /// Its real path.
    pub(super) key: String,
    pub(super) stamp: Stamp,
}

impl Roots {
    pub(super) const fn new(roots: Vec<PathBuf>) -> Self {
        Self(roots)
    }

    /// Opens the file that an absolute path without `..` names.
    ///
    /// A path that does not even look like one below a root is refused before the disk is asked, so
    /// that nobody learns what there is outside. Links are followed first; the place they lead to must
    /// be below a root, and is then opened step by step without following any.
    pub(super) fn open(&self, path: &Path) -> Result<RootedFile, PromptFault> {
        let looks_inside = |root: &PathBuf| {
            path.starts_with(root) || root.canonicalize().is_ok_and(|root| path.starts_with(root))
        };
        if !self.0.iter().any(looks_inside) {
            return Err(PromptFault::OutsideRoots);
        }
        let real = fs::canonicalize(path).map_err(|why| fault(&why))?;
        let below = self.0.iter().find_map(|root| {
            let root = root.canonicalize().ok()?;
            let rest = real.strip_prefix(&root).ok()?.to_owned();
            Some((root, rest))
        });
        let (root, rest) = below.ok_or(PromptFault::OutsideRoots)?;
        let file = open_below(&root, &rest).map_err(|why| fault(&why))?;
        let metadata = file.metadata().map_err(|why| fault(&why))?;
        if !metadata.is_file() {
            return Err(PromptFault::NotAFile);
        }
        let stamp = Stamp::File {
            inode: metadata.ino(),
            bytes: metadata.len(),
            modified: metadata.modified().ok(),
        };
        Ok(RootedFile { file, key: real.to_string_lossy().into_owned(), stamp })
    }
}

/// Opens without following a link: between the look at the path and now, somebody may have put one
/// there.
fn open_below(root: &Path, rest: &Path) -> io::Result<File> {
    let folder = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut at: OwnedFd = rustix::fs::open(root, folder, Mode::empty())?;
    let mut steps = rest.components().peekable();
    while let Some(step) = steps.next() {
        if steps.peek().is_none() {
            // Not to hang on a named pipe.
            let file = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
            return Ok(openat(&at, step.as_os_str(), file, Mode::empty())?.into());
        }
        at = openat(&at, step.as_os_str(), folder, Mode::empty())?;
    }
    File::open(root)
}

fn fault(why: &io::Error) -> PromptFault {
    if matches!(why.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) {
        return PromptFault::NotFound;
    }
    PromptFault::Unreadable(why.to_string())
}

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use crate::cache::{number, private_file, private_folder};

/// The most bytes of temporary files that are kept for troubleshooting; past it the oldest go: 1 GiB.
pub const KEPT_BYTES_MAX: u64 = 1 << 30;

/// How every file of ours begins that must not stay.
const PASSING: &str = "entracte-passing-";
/// How those begin that are kept; they are never swept.
const KEPT: &str = "entracte-kept-";

/// A folder for files that are needed for a moment.
#[derive(Clone, Debug)]
pub struct Temporary {
    folder: Arc<Path>,
    keep: bool,
}

impl Temporary {
    /// Takes `folder`, which is made if it is not there. Files that a process of ours left when it was
    /// killed are deleted, unless files are to be kept; how many they were.
    ///
    /// # Errors
    /// The folder cannot be made, listed or written to.
    pub fn open(folder: &Path, keep: bool) -> io::Result<(Self, usize)> {
        private_folder(folder)?;
        let temporary = Self { folder: folder.into(), keep };
        let mut swept = 0;
        for path in temporary.files(is_abandoned)? {
            fs::remove_file(&path)?;
            swept += 1;
        }
        let probe = Self { keep: false, ..temporary.clone() };
        probe.create("probe", "tmp")?;
        Ok((temporary, swept))
    }

    /// Whether files are kept for troubleshooting.
    pub const fn keeps(&self) -> bool {
        self.keep
    }

    /// Where the files are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A new, empty file; `what` and the time are in its name. It is deleted when the value is
    /// dropped, unless files are kept.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn create(&self, what: &str, extension: &str) -> io::Result<TemporaryFile> {
        let seconds = today().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |age| age.as_secs());
        let (process, number) = (std::process::id(), number());
        let name = if self.keep {
            format!("{KEPT}{seconds}-{process}-{number}-{what}.{extension}")
        } else {
            format!("{PASSING}{process}-{seconds}-{number}-{what}.{extension}")
        };
        let path = self.folder.join(name);
        let file = private_file(&path)?;
        Ok(TemporaryFile { path, file, keep: self.keep })
    }

    /// Writes a file that stays, if files are kept at all; else does nothing. The oldest go when
    /// there are more than [`KEPT_BYTES_MAX`].
    ///
    /// # Errors
    /// The disk refuses.
    pub fn keep(&self, what: &str, extension: &str, bytes: &[u8]) -> io::Result<()> {
        if !self.keep {
            return Ok(());
        }
        self.create(what, extension)?.file.write_all(bytes)?;
        self.make_room(KEPT_BYTES_MAX)
    }

    fn make_room(&self, bytes_max: u64) -> io::Result<()> {
        let mut kept: Vec<_> = self
            .files(|name| name.starts_with(KEPT))?
            .into_iter()
            .filter_map(|path| {
                let about = fs::metadata(&path).ok()?;
                Some((about.modified().ok()?, about.len(), path))
            })
            .collect();
        kept.sort();
        let mut bytes: u64 = kept.iter().map(|(_, length, _)| length).sum();
        for (_, length, path) in kept {
            if bytes <= bytes_max {
                break;
            }
            fs::remove_file(path)?;
            bytes -= length;
        }
        Ok(())
    }

    fn files(&self, of: impl Fn(&str) -> bool) -> io::Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
            if is_file && of(&entry.file_name().to_string_lossy()) {
                files.push(entry.path());
            }
        }
        Ok(files)
    }
}

/// Whether it is a file of ours that must not stay, and the process that wrote it is no more. Our own
/// number is nobody else's: in a container the server has the same one each time.
fn is_abandoned(name: &str) -> bool {
    let Some(rest) = name.strip_prefix(PASSING) else { return false };
    let parts: Vec<&str> = rest.splitn(4, '-').collect();
    let [process, seconds, number, _] = parts.as_slice() else { return false };
    let numbers = [*process, *seconds, *number].map(|digits| digits.parse::<u64>().ok());
    let [Some(process), Some(_), Some(_)] = numbers else { return false };
    process == u64::from(std::process::id())
        || !Path::new("/proc").join(process.to_string()).exists()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the time a file is named after is the machine's own"
)]
fn today() -> SystemTime {
    SystemTime::now()
}

/// A temporary file, deleted on drop unless files are kept.
#[derive(Debug)]
pub struct TemporaryFile {
    path: PathBuf,
    file: File,
    keep: bool,
}

impl TemporaryFile {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        if !self.keep
            && let Err(error) = fs::remove_file(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %self.path.display(), %error, "a temporary file stays");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> usize {
        fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn a_file_is_gone_when_it_is_no_longer_held() {
        let folder = tempfile::tempdir().unwrap();
        let (temporary, swept) = Temporary::open(&folder.path().join("tmp"), false).unwrap();
        assert_eq!((swept, names(temporary.folder())), (0, 0));
        let file = temporary.create("speech", "wav").unwrap();
        assert!(file.path().exists());
        temporary.keep("speech", "wav", b"RIFF").unwrap();
        assert_eq!(names(temporary.folder()), 1);
        drop(file);
        assert_eq!(names(temporary.folder()), 0);
    }

    #[test]
    fn what_a_crash_left_is_swept_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        // The first number is beyond every process's; the second is one that lives.
        for name in [
            "entracte-passing-4194305-1-1-speech.wav",
            "entracte-passing-1-1-1-speech.wav",
            "entracte-4194305-backup.txt",
            "entracte-passing-notes.txt",
            "entracte-kept-1-4194305-1-speech.wav",
            "mine.wav",
        ] {
            fs::write(folder.path().join(name), b"x").unwrap();
        }
        let (_, swept) = Temporary::open(folder.path(), false).unwrap();
        assert_eq!((swept, names(folder.path())), (1, 5));
    }

    #[test]
    fn kept_files_stay_up_to_a_size() {
        let folder = tempfile::tempdir().unwrap();
        let (temporary, _) = Temporary::open(folder.path(), true).unwrap();
        for _ in 0..5 {
            temporary.keep("fetched", "wav", &[0; 100]).unwrap();
        }
        assert_eq!(names(folder.path()), 5);
        temporary.make_room(250).unwrap();
        assert_eq!(names(folder.path()), 2);
    }

    #[test]
    fn a_folder_that_cannot_be_written_to_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, b"").unwrap();
        assert!(Temporary::open(&file, false).is_err());
    }
}

use std::fmt;
use std::io::{self, Read, Seek, Write};
use std::path::Path;

mod group;
mod system;

pub use system::SystemDisk;

/// What one entry of a folder is.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Entry {
    /// Its name, without the folder.
    pub name: String,
    /// Whether it is a folder itself.
    pub is_folder: bool,
}

/// What a path holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct About {
    /// Bytes of a file; of a folder nothing in particular.
    pub bytes: u64,
    /// Whether it is a folder.
    pub is_folder: bool,
    /// When a file's bytes, or a folder's entries, changed last: nanoseconds by the clock of whoever keeps the disk. It is
    /// compared with another one of the same disk, and with nothing else: the clocks of hosts differ.
    pub stamp: i128,
}

/// A file that is written.
pub trait Writing: Write + fmt::Debug + Send {
    /// Makes what was written survive a power cut.
    ///
    /// # Errors
    /// The disk lost it. The file cannot be trusted after that, and trying again would lie
    /// (the system forgets what it could not write): write it anew under another name.
    fn sync(&mut self) -> io::Result<()>;
}

/// A file that is read, from any place.
pub trait Reading: Read + Seek + Send {}

impl<T: Read + Seek + Send> Reading for T {}

/// A disk, or a share: what the store asks of it, and nothing more. Every call may block.
///
/// What was written survives a power cut after [`Writing::sync`]; that there is a file by this name after
/// [`Disk::sync_folder`] on its folder.
pub trait Disk: fmt::Debug + Send + Sync {
    /// A new file.
    ///
    /// # Errors
    /// `AlreadyExists` when there is one, and whatever the disk says.
    fn create(&self, path: &Path) -> io::Result<Box<dyn Writing>>;

    /// A file that is there, to be written to at its end.
    ///
    /// # Errors
    /// `NotFound`, and whatever the disk says.
    fn append(&self, path: &Path) -> io::Result<Box<dyn Writing>>;

    /// A file, to be read.
    ///
    /// # Errors
    /// `NotFound`, and whatever the disk says.
    fn open(&self, path: &Path) -> io::Result<Box<dyn Reading>>;

    /// Gives a file another name in place of whatever had it.
    ///
    /// # Errors
    /// `NotFound`, and whatever the disk says.
    fn replace(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Gives a file another name that nothing has.
    ///
    /// # Errors
    /// `AlreadyExists` when something has it, `NotFound`, and whatever the disk says.
    fn publish(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// A second name for the same bytes.
    ///
    /// # Errors
    /// `AlreadyExists`, `NotFound`, and whatever the disk says; many shares know no second names.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Takes a file away.
    ///
    /// # Errors
    /// `NotFound`, and whatever the disk says.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// A new folder; its parent must be there.
    ///
    /// # Errors
    /// `AlreadyExists`, `NotFound`, and whatever the disk says.
    fn make_folder(&self, path: &Path) -> io::Result<()>;

    /// Takes an empty folder away.
    ///
    /// # Errors
    /// `NotFound`, and whatever the disk says.
    fn remove_folder(&self, path: &Path) -> io::Result<()>;

    /// What is in a folder, in no order.
    ///
    /// # Errors
    /// `NotFound`, and whatever the disk says.
    fn list(&self, folder: &Path) -> io::Result<Vec<Entry>>;

    /// What a path holds.
    ///
    /// # Errors
    /// `NotFound`, and whatever the disk says.
    fn about(&self, path: &Path) -> io::Result<About>;

    /// Makes the names in a folder survive a power cut.
    ///
    /// # Errors
    /// Whatever the disk says; see [`Writing::sync`].
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
}

/// All bytes of a file.
///
/// # Errors
/// `NotFound`, `FileTooLarge` past `bytes_max`, and whatever the disk says.
pub fn read_all(disk: &dyn Disk, path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    // Most are small; begun with nothing, a file of a few hundred bytes takes seven reads.
    let mut bytes = Vec::with_capacity(4_096);
    let mut file = disk.open(path)?;
    file.by_ref().take(bytes_max.saturating_add(1)).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > bytes_max {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}

/// Puts a small file in the place of another, so that at any moment one of the two is there, whole.
/// Durable when it returns.
///
/// # Errors
/// Whatever the disk says; then the old one is still there, or already the new one.
pub fn replace_all(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    let (Some(name), Some(folder)) = (name, path.parent()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    // Others on the same share may have our process's number.
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
    let draft = folder.join(format!("{name}.{:016x}.part", u64::from_le_bytes(random)));
    let mut file = disk.create(&draft)?;
    let written = (|| {
        file.write_all(bytes)?;
        file.sync()?;
        drop(file);
        disk.replace(&draft, path)
    })();
    if let Err(error) = written {
        // It may have its new name.
        let _ = disk.remove(&draft);
        return Err(error);
    }
    disk.sync_folder(folder)
}

/// A folder with all that lead to it, durable when it returns. What is there already is left alone.
///
/// # Errors
/// Whatever the disk says.
pub fn make_folders(disk: &dyn Disk, folder: &Path) -> io::Result<()> {
    match disk.about(folder) {
        Ok(about) if about.is_folder => return Ok(()),
        Ok(_) => return Err(io::ErrorKind::NotADirectory.into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let Some(parent) = folder.parent() else { return Err(io::ErrorKind::NotFound.into()) };
    make_folders(disk, parent)?;
    match disk.make_folder(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        Ok(()) | Err(_) => {}
    }
    disk.sync_folder(parent)
}

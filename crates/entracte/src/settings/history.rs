//! The settings that were in use: each text whole, with who made it, when and how.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use web::Revision;

/// Revisions that are kept; the oldest go.
const REVISIONS_MAX: usize = 500;

/// What a file of what is known of a revision says first. Invariant 9.
const FORMAT: &str = "entracte-settings-revision 1";

/// A folder with two files a revision: `000012.toml`, the text, and `000012.json`, what is known of it.
#[derive(Clone, Debug)]
pub(super) struct History(PathBuf);

impl History {
    /// The history in this folder, which is made if it is not there. It holds hashes of passwords, and is
    /// for its owner alone.
    pub(super) fn open(folder: PathBuf) -> io::Result<Self> {
        make_private(&folder)?;
        Ok(Self(folder))
    }

    fn numbers(&self) -> Vec<u64> {
        let entries = fs::read_dir(&self.0).into_iter().flatten().flatten();
        let number = |entry: fs::DirEntry| {
            let name = entry.file_name().into_string().ok()?;
            name.strip_suffix(".json")?.parse().ok()
        };
        let mut numbers: Vec<u64> = entries.filter_map(number).collect();
        numbers.sort_unstable();
        numbers
    }

    fn path(&self, number: u64, ending: &str) -> PathBuf {
        self.0.join(format!("{number:06}.{ending}"))
    }

    /// All that are kept, the youngest first.
    pub(super) fn revisions(&self) -> Vec<Revision> {
        let read = |number| {
            let bytes = fs::read(self.path(number, "json")).ok()?;
            let mut known: Value = serde_json::from_slice(&bytes).ok()?;
            let readable = known.get("format").is_some_and(|format| format == FORMAT);
            let revision = known.get_mut("revision").filter(|_| readable)?.take();
            serde_json::from_value(revision).ok()
        };
        self.numbers().into_iter().rev().filter_map(read).collect()
    }

    /// The last one: its number and its text.
    pub(super) fn last(&self) -> Option<(u64, String)> {
        let number = self.numbers().pop()?;
        Some((number, self.text(number)?))
    }

    /// The text of a revision.
    pub(super) fn text(&self, number: u64) -> Option<String> {
        fs::read_to_string(self.path(number, "toml")).ok()
    }

    /// Keeps a text as the next revision; answers its number. The text is there before what is known of it
    /// says so.
    pub(super) fn add(&self, text: &str, revision: Revision) -> io::Result<u64> {
        let numbers = self.numbers();
        let number = numbers.last().map_or(1, |last| last + 1);
        let revision = Revision { number, ..revision };
        write_atomically(&self.path(number, "toml"), text.as_bytes())?;
        let known = json!({ "format": FORMAT, "revision": revision });
        write_atomically(&self.path(number, "json"), known.to_string().as_bytes())?;
        let old = numbers.len().saturating_sub(REVISIONS_MAX - 1);
        for number in numbers.into_iter().take(old) {
            let _ = fs::remove_file(self.path(number, "json"));
            let _ = fs::remove_file(self.path(number, "toml"));
        }
        Ok(number)
    }
}

/// Makes a folder, and those above it that are not there, for its owner alone. One that is there stays as it is.
///
/// # Errors
/// When it cannot be made.
pub fn make_private(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Writes a file so that a power cut leaves the old or the new one, whole. Mode and owner stay.
///
/// # Errors
/// When the folder or the file cannot be written; then the old one is there.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // A link stays a link: what it points to is replaced.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let named = path.parent().filter(|folder| *folder != Path::new(""));
    let folder = named.unwrap_or_else(|| Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let fresh = folder.join(format!(".{name}.{}.new", std::process::id()));
    let old = fs::metadata(&path).ok();
    let mode = old.as_ref().map_or(0o600, |old| old.mode() & 0o7777);
    let _ = fs::remove_file(&fresh);
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&fresh)?;
        file.write_all(bytes)?;
        if let Some(old) = &old {
            file.set_permissions(old.permissions())?;
            // Only root may give a file away; for others it is theirs already.
            let _ = std::os::unix::fs::fchown(&file, Some(old.uid()), Some(old.gid()));
        }
        file.sync_all()?;
        fs::rename(&fresh, &path)
    })();
    if written.is_err() {
        let _ = fs::remove_file(&fresh);
        return written;
    }
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn by(who: &str) -> Revision {
        Revision {
            number: 0,
            at_unix_seconds: 1,
            who: who.into(),
            how: "changed".into(),
            keys: Vec::new(),
        }
    }

    #[test]
    fn revisions_are_kept_in_order_and_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let history = History::open(folder.path().join("h")).unwrap();
        assert_eq!(history.last(), None);
        for n in 1..=REVISIONS_MAX + 3 {
            history.add(&format!("# {n}\n"), by("ada")).unwrap();
        }
        let all = history.revisions();
        assert_eq!((all.len(), all[0].number), (REVISIONS_MAX, 503));
        assert_eq!(history.last(), Some((503, "# 503\n".into())));
        assert_eq!((history.text(3), history.text(4)), (None, Some("# 4\n".into())));
        let mode = fs::metadata(folder.path().join("h")).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0);
    }

    #[test]
    fn a_file_is_replaced_whole_with_its_mode_through_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("a.toml"), folder.path().join("b.toml"));
        fs::write(&file, "old").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        write_atomically(&link, b"new").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
        assert!(write_atomically(Path::new("/proc/nothing/a"), b"x").is_err());
    }
}

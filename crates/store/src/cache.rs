use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use ring::digest::{Context, Digest, SHA256, digest};

/// The largest entry: 64 MiB.
pub const ENTRY_BYTES_MAX: u64 = 64 << 20;

/// The first line of every entry: the name of the format and its version.
const FORMAT: &[u8] = b"entracte-cache 1\n";
/// Bytes of a digest, which follows the first line.
const DIGEST_BYTES: usize = 32;
/// How an entry's file is called while it is written.
const UNFINISHED: &str = "part";

/// What an entry is found by: a digest of everything that makes it what it is.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
pub struct Key([u8; DIGEST_BYTES]);

impl Key {
    /// The key of these parts. `["ab", "c"]` and `["a", "bc"]` are different keys.
    pub fn of(parts: &[&[u8]]) -> Self {
        let mut context = Context::new(&SHA256);
        for part in parts {
            let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
            context.update(&length.to_le_bytes());
            context.update(part);
        }
        Self(array(&context.finish()))
    }

    fn parse(name: &str) -> Option<Self> {
        let mut bytes = [0; DIGEST_BYTES];
        if name.len() != 2 * DIGEST_BYTES {
            return None;
        }
        for (place, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(name.get(2 * place..2 * place + 2)?, 16).ok()?;
        }
        Some(Self(bytes))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({self})")
    }
}

fn array(digest: &Digest) -> [u8; DIGEST_BYTES] {
    // SHA-256 has 32 bytes.
    digest.as_ref().try_into().unwrap_or([0; DIGEST_BYTES])
}

/// How a cache is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct CacheState {
    /// Entries that are kept.
    pub entries: usize,
    /// Bytes of their files.
    pub bytes: u64,
    /// Times that something was found.
    pub hits: u64,
    /// Times that nothing was.
    pub misses: u64,
    /// Entries that were dropped because their bytes were not those that had been put in.
    pub corrupt: u64,
}

/// Bytes by key, in files of one folder. Share it by reference; one process at a time owns the folder
/// (a second one does no harm: what it takes away is a miss).
#[derive(Debug)]
pub struct Cache {
    folder: PathBuf,
    bytes_max: u64,
    shelf: Mutex<Shelf>,
}

/// What is kept, and in which order it was used.
#[derive(Debug, Default)]
struct Shelf {
    entries: BTreeMap<Key, Entry>,
    by_use: BTreeMap<u64, Key>,
    uses: u64,
    state: CacheState,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    bytes: u64,
    used: u64,
}

impl Shelf {
    fn put(&mut self, key: Key, bytes: u64) {
        self.remove(key);
        self.uses += 1;
        self.entries.insert(key, Entry { bytes, used: self.uses });
        self.by_use.insert(self.uses, key);
        self.state.bytes += bytes;
    }

    fn remove(&mut self, key: Key) {
        if let Some(entry) = self.entries.remove(&key) {
            self.by_use.remove(&entry.used);
            self.state.bytes -= entry.bytes;
        }
    }

    fn touch(&mut self, key: Key) {
        if let Some(entry) = self.entries.get_mut(&key) {
            self.uses += 1;
            self.by_use.remove(&entry.used);
            entry.used = self.uses;
            self.by_use.insert(self.uses, key);
        }
    }
}

impl Cache {
    /// Opens the cache in `folder`, which is made if it is not there: what an earlier process kept is
    /// found again, what it left half written is deleted.
    ///
    /// # Errors
    /// The folder cannot be made, listed or written to.
    pub fn open(folder: &Path, bytes_max: u64) -> io::Result<Self> {
        private_folder(folder)?;
        let mut found = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let Ok(about) = entry.metadata() else { continue };
            if name.ends_with(UNFINISHED) {
                // Nobody else writes here.
                let _ = fs::remove_file(entry.path());
            } else if let Some(key) = Key::parse(&name) {
                found.push((about.modified().unwrap_or(SystemTime::UNIX_EPOCH), key, about.len()));
            }
        }
        found.sort();
        let mut shelf = Shelf::default();
        for (_, key, bytes) in found {
            shelf.put(key, bytes);
        }
        let cache = Self { folder: folder.to_owned(), bytes_max, shelf: Mutex::new(shelf) };
        cache.make_room();
        // Whether it can be written to is better said at the start than at each entry.
        let probe = cache.folder.join(format!("probe.{UNFINISHED}"));
        fs::write(&probe, FORMAT)?;
        fs::remove_file(&probe)?;
        Ok(cache)
    }

    /// The bytes that were put under `key`; `None` when there are none, or not those.
    pub fn get(&self, key: Key) -> Option<Vec<u8>> {
        let read = self.lock().entries.contains_key(&key).then(|| self.read(key));
        let mut shelf = self.lock();
        match read {
            Some(Ok(bytes)) => {
                shelf.state.hits += 1;
                shelf.touch(key);
                return Some(bytes);
            }
            Some(Err(error)) => {
                if error.kind() == io::ErrorKind::InvalidData {
                    shelf.state.corrupt += 1;
                    tracing::warn!(%key, folder = %self.folder.display(), "a corrupt entry of the cache is dropped");
                }
                shelf.remove(key);
                drop(shelf);
                // It may be gone already.
                let _ = fs::remove_file(self.path(key));
                shelf = self.lock();
            }
            None => {}
        }
        shelf.state.misses += 1;
        None
    }

    /// Keeps `bytes` under `key`; the least recently used entries go if there is no room. What alone
    /// has no room is not kept.
    ///
    /// # Errors
    /// The disk refuses; what was under the key before is gone or as it was.
    pub fn put(&self, key: Key, bytes: &[u8]) -> io::Result<()> {
        let length = u64::try_from(FORMAT.len() + DIGEST_BYTES + bytes.len()).unwrap_or(u64::MAX);
        if length > self.bytes_max.min(ENTRY_BYTES_MAX) {
            return Ok(());
        }
        let process = std::process::id();
        let unfinished = self.folder.join(format!("{key}.{process}.{}.{UNFINISHED}", number()));
        let written = private_file(&unfinished).and_then(|mut file| {
            file.write_all(FORMAT)?;
            file.write_all(digest(&SHA256, bytes).as_ref())?;
            file.write_all(bytes)
        });
        if let Err(error) = written.and_then(|()| fs::rename(&unfinished, self.path(key))) {
            // What is wrong was said; this is only tidying.
            let _ = fs::remove_file(&unfinished);
            return Err(error);
        }
        self.lock().put(key, length);
        self.make_room();
        Ok(())
    }

    /// Forgets what is under `key`.
    pub fn remove(&self, key: Key) {
        self.lock().remove(key);
        // It may not be there.
        let _ = fs::remove_file(self.path(key));
    }

    /// How it is now.
    pub fn state(&self) -> CacheState {
        let shelf = self.lock();
        CacheState { entries: shelf.entries.len(), ..shelf.state }
    }

    fn read(&self, key: Key) -> io::Result<Vec<u8>> {
        let file = File::open(self.path(key))?;
        let mut bytes = Vec::new();
        (&file).take(ENTRY_BYTES_MAX + 1).read_to_end(&mut bytes)?;
        let sound = bytes.strip_prefix(FORMAT).and_then(|rest| {
            let (said, body) = rest.split_first_chunk::<DIGEST_BYTES>()?;
            (*said == array(&digest(&SHA256, body))).then(|| body.to_vec())
        });
        let body = sound.ok_or(io::ErrorKind::InvalidData)?;
        // The time of the last use, for the next process. Without it the order is a little older.
        let _ = file.set_modified(today());
        Ok(body)
    }

    fn make_room(&self) {
        loop {
            let mut shelf = self.lock();
            if shelf.state.bytes <= self.bytes_max {
                return;
            }
            let Some(oldest) = shelf.by_use.first_key_value().map(|(_, key)| *key) else { return };
            shelf.remove(oldest);
            drop(shelf);
            // It may be gone already.
            let _ = fs::remove_file(self.path(oldest));
        }
    }

    fn path(&self, key: Key) -> PathBuf {
        self.folder.join(key.to_string())
    }

    fn lock(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes a folder that only its owner may look into: what callers hear is nobody else's business.
pub(crate) fn private_folder(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;

    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// A new file that only its owner may read.
pub(crate) fn private_file(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;

    File::options().write(true).create_new(true).mode(0o600).open(path)
}

/// A number that no other call in this process gets.
pub(crate) fn number() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};

    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

#[expect(clippy::disallowed_methods, reason = "the time a file gets is the machine's own")]
fn today() -> SystemTime {
    SystemTime::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        Key::of(&[name.as_bytes()])
    }

    /// The size of an entry's file with so many bytes in it.
    fn size(bytes: u64) -> u64 {
        bytes + u64::try_from(FORMAT.len() + DIGEST_BYTES).unwrap()
    }

    #[test]
    fn what_was_put_in_comes_back_after_a_restart_too() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b");
        let cache = Cache::open(&path, 10_000).unwrap();
        assert_eq!(cache.get(key("x")), None);
        cache.put(key("x"), b"first").unwrap();
        cache.put(key("x"), b"second").unwrap();
        cache.put(key("y"), b"").unwrap();
        assert_eq!(cache.get(key("x")).as_deref(), Some(&b"second"[..]));
        drop(cache);
        fs::write(path.join("left.part"), b"half").unwrap();
        fs::write(path.join("README"), b"not ours").unwrap();
        let cache = Cache::open(&path, 10_000).unwrap();
        assert_eq!(cache.get(key("x")).as_deref(), Some(&b"second"[..]));
        assert_eq!(cache.get(key("y")).as_deref(), Some(&b""[..]));
        assert!(!path.join("left.part").exists() && path.join("README").exists());
        cache.remove(key("x"));
        assert_eq!(cache.get(key("x")), None);
        let state = cache.state();
        assert_eq!((state.entries, state.bytes), (1, size(0)));
        assert_eq!((state.hits, state.misses, state.corrupt), (2, 1, 0));
    }

    #[test]
    fn a_file_that_was_cut_or_changed_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path(), 10_000).unwrap();
        let spoil: [fn(&mut Vec<u8>); 4] = [
            |bytes| bytes.truncate(bytes.len() - 1),
            |bytes| *bytes.last_mut().unwrap() ^= 1,
            |bytes| bytes[15] = b'2',
            Vec::clear,
        ];
        for (number, spoil) in spoil.iter().enumerate() {
            cache.put(key("x"), b"some bytes").unwrap();
            let path = cache.path(key("x"));
            let mut bytes = fs::read(&path).unwrap();
            spoil(&mut bytes);
            fs::write(&path, bytes).unwrap();
            assert_eq!(cache.get(key("x")), None);
            assert!(!path.exists());
            assert_eq!(cache.state().corrupt, u64::try_from(number).unwrap() + 1);
            assert_eq!(cache.state().bytes, 0);
        }
        cache.put(key("x"), b"some bytes").unwrap();
        fs::remove_file(cache.path(key("x"))).unwrap();
        assert_eq!((cache.get(key("x")), cache.state().corrupt), (None, 4));
    }

    #[test]
    fn the_least_recently_used_goes_first_also_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Cache::open(folder.path(), 3 * size(100)).unwrap();
        let cache = open();
        let kept = |cache: &Cache| {
            ["a", "b", "c", "d", "e"].map(|name| cache.lock().entries.contains_key(&key(name)))
        };
        for (name, age) in [("a", 30), ("b", 20), ("c", 10)] {
            cache.put(key(name), &[0; 100]).unwrap();
            let file = File::options().append(true).open(cache.path(key(name))).unwrap();
            file.set_modified(today() - std::time::Duration::from_secs(age)).unwrap();
        }
        assert!(cache.get(key("a")).is_some());
        cache.put(key("d"), &[0; 100]).unwrap();
        assert_eq!(kept(&cache), [true, false, true, true, false]);
        cache.put(key("e"), &[0; 1_000]).unwrap();
        assert_eq!(kept(&cache), [true, false, true, true, false], "what never fits is not kept");
        drop(cache);
        let cache = open();
        cache.put(key("e"), &[0; 100]).unwrap();
        assert_eq!(kept(&cache), [true, false, false, true, true]);
        drop(cache);
        let small = Cache::open(folder.path(), size(100)).unwrap();
        assert_eq!(small.state().entries, 1);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn keys_tell_their_parts_apart() {
        assert_ne!(Key::of(&[b"ab", b"c"]), Key::of(&[b"a", b"bc"]));
        assert_eq!(Key::parse(&key("x").to_string()), Some(key("x")));
        for not in ["", "zz", &"g".repeat(64), &"é".repeat(32)] {
            assert_eq!(Key::parse(not), None);
        }
    }
}

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use super::web::Validators;

/// Decoded clips, the least recently used of which go first when there are too many bytes.
#[derive(Debug)]
pub(super) struct Cache {
    bytes_max: usize,
    bytes: usize,
    uses: u64,
    entries: BTreeMap<String, Entry>,
    by_use: BTreeMap<u64, String>,
}

#[derive(Debug)]
struct Entry {
    clip: Arc<[i16]>,
    stamp: Stamp,
    used: u64,
}

/// What tells whether a clip is still what its URI names.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Stamp {
    /// The file as it was.
    File { inode: u64, bytes: u64, modified: Option<SystemTime> },
    /// What the server said of it.
    Web(Validators),
}

impl Cache {
    pub(super) const fn new(bytes_max: usize) -> Self {
        let by_use = BTreeMap::new();
        Self { bytes_max, bytes: 0, uses: 0, entries: BTreeMap::new(), by_use }
    }

    pub(super) fn stamp(&self, key: &str) -> Option<&Stamp> {
        self.entries.get(key).map(|entry| &entry.stamp)
    }

    /// The clip, if its stamp fits; one that does not fit is forgotten.
    pub(super) fn get(
        &mut self,
        key: &str,
        fits: impl FnOnce(&Stamp) -> bool,
    ) -> Option<Arc<[i16]>> {
        if !fits(&self.entries.get(key)?.stamp) {
            self.remove(key);
            return None;
        }
        let entry = self.entries.get_mut(key)?;
        self.uses += 1;
        self.by_use.remove(&entry.used);
        entry.used = self.uses;
        self.by_use.insert(self.uses, key.to_owned());
        Some(Arc::clone(&entry.clip))
    }

    pub(super) fn put(&mut self, key: &str, stamp: Stamp, clip: Arc<[i16]>) {
        self.remove(key);
        let bytes = size_of_val(&*clip);
        if bytes > self.bytes_max {
            return;
        }
        self.uses += 1;
        self.bytes += bytes;
        self.by_use.insert(self.uses, key.to_owned());
        self.entries.insert(key.to_owned(), Entry { clip, stamp, used: self.uses });
        while self.bytes > self.bytes_max {
            let Some(oldest) = self.by_use.first_key_value().map(|(_, key)| key.clone()) else {
                return;
            };
            self.remove(&oldest);
        }
    }

    fn remove(&mut self, key: &str) {
        if let Some(entry) = self.entries.remove(key) {
            self.bytes -= size_of_val(&*entry.clip);
            self.by_use.remove(&entry.used);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(bytes: u64) -> Stamp {
        Stamp::File { inode: 1, bytes, modified: None }
    }

    #[test]
    fn the_least_recently_used_clip_goes_first() {
        let mut cache = Cache::new(250);
        for key in ["a", "b"] {
            cache.put(key, stamp(1), Arc::from([0; 50]));
        }
        assert!(cache.get("a", |_| true).is_some());
        cache.put("c", stamp(1), Arc::from([0; 50]));
        let held: Vec<_> = ["a", "b", "c"].map(|key| cache.stamp(key).is_some()).into();
        assert_eq!(held, [true, false, true]);
        cache.put("large", stamp(1), Arc::from([0; 200]));
        assert!(cache.stamp("large").is_none());
        assert_eq!((cache.bytes, cache.by_use.len()), (200, 2));
    }

    #[test]
    fn a_clip_that_changed_is_forgotten() {
        let mut cache = Cache::new(250);
        cache.put("a", stamp(1), Arc::from([0; 50]));
        assert!(cache.get("a", |known| *known == stamp(2)).is_none());
        assert_eq!((cache.bytes, cache.by_use.len(), cache.entries.len()), (0, 0, 0));
    }
}

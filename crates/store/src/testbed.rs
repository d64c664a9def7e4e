//! A disk for tests that fails where it is told to, and forgets at a power cut what was not synced.
//!
//! It keeps the least that POSIX promises: what was written but not synced may be there, missing or torn
//! after a cut; so may each name that was made, changed or removed without a sync of its folder, each on
//! its own and in any order. A rename within a folder happens or does not; it is never half.

use std::collections::BTreeMap;
use std::io::{self, Cursor, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::disk::{About, Disk, Entry, Reading, Writing};

/// What happens at the call that was chosen.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// The call fails with an error of the disk; nothing of it is done. A sync that fails loses what it
    /// should have kept, and the disk does not say so again.
    Error,
    /// The call fails because the disk is full; of a write, half is done.
    Full,
    /// Power is gone before the call, and every later call fails.
    Cut,
}

/// What is left of that which was not synced, after a power cut.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Left {
    /// Nothing.
    Nothing,
    /// Everything.
    Everything,
    /// This or that, torn or whole, by a number that can be given again.
    Chance(u64),
}

/// See the module.
#[derive(Clone, Default)]
pub struct TornDisk {
    state: Arc<Mutex<State>>,
}

impl std::fmt::Debug for TornDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TornDisk")
    }
}

#[derive(Default)]
struct State {
    /// Calls of any kind, and what is done before one of them.
    touches: u64,
    meanwhile: Option<(u64, Box<dyn FnOnce() + Send>)>,
    files: BTreeMap<usize, Content>,
    folders: BTreeMap<PathBuf, Folder>,
    next: usize,
    calls: u64,
    fault: Option<(u64, Fault)>,
    is_off: bool,
    /// Calls that made something durable.
    syncs: u64,
    stamps: i128,
    failed: bool,
}

#[derive(Clone, Debug, Default)]
struct Content {
    now: Vec<u8>,
    durable: Vec<u8>,
    /// A sync failed: what was written until then is never written.
    lost: bool,
    stamp: i128,
}

#[derive(Clone, Debug, Default)]
struct Folder {
    now: BTreeMap<String, Node>,
    durable: BTreeMap<String, Node>,
    /// What was done to the names since they were synced.
    pending: Vec<Change>,
    stamp: i128,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Node {
    File(usize),
    Folder,
}

/// Names and what they now stand for; a rename within a folder changes two at once.
#[derive(Clone, Debug)]
struct Change(Vec<(String, Option<Node>)>);

impl Change {
    fn apply(&self, names: &mut BTreeMap<String, Node>) {
        for (name, node) in &self.0 {
            match node {
                Some(node) => names.insert(name.clone(), *node),
                None => names.remove(name),
            };
        }
    }
}

fn chance(seed: &mut u64) -> u64 {
    // splitmix64.
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *seed;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl TornDisk {
    /// An empty disk that has the folder `/`.
    #[must_use]
    pub fn new() -> Self {
        let disk = Self::default();
        disk.lock().folders.insert(PathBuf::from("/"), Folder::default());
        disk
    }

    /// Lets the call number `at` from now on (the next is 1) meet a fault. It is met once.
    pub fn fail(&self, at: u64, fault: Fault) {
        let mut state = self.lock();
        state.failed = false;
        state.fault = Some((state.calls + at, fault));
    }

    /// Lets somebody else do something before the call number `at` from now on, of any kind (the next is 1).
    pub fn before(&self, at: u64, work: impl FnOnce() + Send + 'static) {
        let mut state = self.lock();
        state.meanwhile = Some((state.touches + at, Box::new(work)));
    }

    /// Lets the clock of the disk go on, by nanoseconds.
    pub fn pass(&self, time: std::time::Duration) {
        self.lock().stamps += i128::try_from(time.as_nanos()).unwrap_or(i128::MAX);
    }

    /// Whether nothing waits to be done before a call.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.lock().meanwhile.is_none()
    }

    /// Whether the fault was met.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.lock().failed
    }

    /// How many calls have changed or synced something.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.lock().calls
    }

    /// How many syncs there were.
    #[must_use]
    pub fn syncs(&self) -> u64 {
        self.lock().syncs
    }

    /// Takes the disk away, as a share that is unmounted or a cable that is pulled; and brings it back.
    pub fn unplug(&self, away: bool) {
        self.lock().is_off = away;
    }

    /// The power goes, and comes back: the disk as it is found then. This one stays off.
    #[must_use]
    pub fn cut(&self, left: Left) -> Self {
        let mut state = self.lock();
        state.is_off = true;
        let mut seed = match left {
            Left::Nothing | Left::Everything => 0,
            Left::Chance(seed) => seed,
        };
        let mut keeps = || match left {
            Left::Nothing => 0,
            Left::Everything => u64::MAX,
            Left::Chance(_) => chance(&mut seed),
        };
        let mut after = State { next: state.next, stamps: state.stamps, ..State::default() };
        for (id, content) in &state.files {
            let luck = keeps();
            let now = if content.lost { &content.durable } else { &content.now };
            let bytes = match luck % 4 {
                0 => content.durable.clone(),
                // A part, and then what happened to be on the disk.
                1 if luck != u64::MAX => {
                    let kept = content.durable.len()
                        + usize::try_from(luck >> 8).unwrap_or(0)
                            % (now.len().saturating_sub(content.durable.len()) + 1);
                    let mut torn = now.get(..kept).unwrap_or_default().to_vec();
                    torn.resize(now.len(), 0);
                    torn
                }
                _ => now.clone(),
            };
            let stamp = content.stamp;
            let now = bytes.clone();
            after.files.insert(*id, Content { now, durable: bytes, lost: false, stamp });
        }
        for (path, folder) in &state.folders {
            let mut names = folder.durable.clone();
            for change in &folder.pending {
                if !keeps().is_multiple_of(2) {
                    change.apply(&mut names);
                }
            }
            let folder = Folder { now: names.clone(), durable: names, ..Folder::default() };
            after.folders.insert(path.clone(), folder);
        }
        // A folder whose name was forgotten is not there, nor what is in it.
        let known = |path: &Path| {
            path.ancestors().all(|at| {
                let (Some(parent), Some(name)) = (at.parent(), at.file_name()) else { return true };
                let parent = after.folders.get(parent);
                parent.is_some_and(|p| p.now.contains_key(&*name.to_string_lossy()))
            })
        };
        let gone: Vec<_> = after.folders.keys().filter(|path| !known(path)).cloned().collect();
        for path in gone {
            after.folders.remove(&path);
        }
        drop(state);
        Self { state: Arc::new(Mutex::new(after)) }
    }

    /// Turns one bit of a file, as an old disk does.
    ///
    /// # Panics
    /// There is no such file, or it is empty.
    pub fn flip(&self, path: &Path, bit: usize) {
        let mut state = self.lock();
        let id = state.file(path).expect("the file is there");
        let content = state.files.get_mut(&id).expect("a name has bytes");
        let bits = content.now.len() * 8;
        let byte = content.now.get_mut(bit % bits / 8).expect("within");
        *byte ^= 1 << (bit % 8);
        content.durable.clone_from(&content.now);
    }

    /// The paths of all files.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        let state = self.lock();
        let within = |(path, folder): (&PathBuf, &Folder)| {
            let files = folder.now.iter().filter(|(_, node)| matches!(node, Node::File(_)));
            files.map(|(name, _)| path.join(name)).collect::<Vec<_>>()
        };
        state.folders.iter().flat_map(within).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call of any kind; does first what is to be done before it.
    fn touch(&self) -> MutexGuard<'_, State> {
        let mut state = self.lock();
        state.touches += 1;
        let touches = state.touches;
        if let Some((_, work)) = state.meanwhile.take_if(|(at, _)| *at == touches) {
            drop(state);
            work();
            state = self.lock();
        }
        state
    }

    /// Counts a call that changes or syncs something; the fault that it meets.
    fn step(&self) -> io::Result<(MutexGuard<'_, State>, Option<Fault>)> {
        let mut state = self.touch();
        if state.is_off {
            return Err(gone());
        }
        state.calls += 1;
        let met = state.fault.filter(|(at, _)| *at == state.calls).map(|(_, fault)| fault);
        if met.is_some() {
            state.failed = true;
        }
        if met == Some(Fault::Cut) {
            state.is_off = true;
            return Err(gone());
        }
        Ok((state, met))
    }

    /// As [`Self::step`], for calls that are done or not.
    fn whole(&self) -> io::Result<MutexGuard<'_, State>> {
        let (state, met) = self.step()?;
        match met {
            None | Some(Fault::Cut) => Ok(state),
            Some(Fault::Error) => Err(io::Error::from_raw_os_error(5)),
            Some(Fault::Full) => Err(io::Error::from_raw_os_error(28)),
        }
    }

    fn reading(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.touch();
        if state.is_off { Err(gone()) } else { Ok(state) }
    }

    fn rename(&self, from: &Path, to: &Path, may_replace: bool) -> io::Result<()> {
        let mut state = self.whole()?;
        let id = state.file(from)?;
        let (from_folder, from_name) = split(from)?;
        let (to_folder, to_name) = split(to)?;
        if !may_replace && state.folder(to_folder)?.now.contains_key(&to_name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if from_folder == to_folder {
            let both = vec![(from_name, None), (to_name, Some(Node::File(id)))];
            return state.change(to_folder, Change(both));
        }
        state.change(to_folder, Change(vec![(to_name, Some(Node::File(id)))]))?;
        state.change(from_folder, Change(vec![(from_name, None)]))
    }
}

fn gone() -> io::Error {
    io::Error::from_raw_os_error(116)
}

fn split(path: &Path) -> io::Result<(&Path, String)> {
    match (path.parent(), path.file_name()) {
        (Some(folder), Some(name)) => Ok((folder, name.to_string_lossy().into_owned())),
        _ => Err(io::ErrorKind::InvalidInput.into()),
    }
}

impl State {
    fn folder(&mut self, path: &Path) -> io::Result<&mut Folder> {
        self.folders.get_mut(path).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn node(&self, path: &Path) -> io::Result<Node> {
        let (folder, name) = split(path)?;
        let folder = self.folders.get(folder).ok_or(io::ErrorKind::NotFound)?;
        folder.now.get(&name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn file(&self, path: &Path) -> io::Result<usize> {
        match self.node(path)? {
            Node::File(id) => Ok(id),
            Node::Folder => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    fn change(&mut self, folder: &Path, change: Change) -> io::Result<()> {
        self.stamps += 1;
        let stamp = self.stamps;
        let folder = self.folder(folder)?;
        change.apply(&mut folder.now);
        folder.pending.push(change);
        folder.stamp = stamp;
        Ok(())
    }
}

#[derive(Debug)]
struct TornFile {
    disk: TornDisk,
    id: usize,
}

impl Write for TornFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (mut state, met) = self.disk.step()?;
        state.stamps += 1;
        let stamp = state.stamps;
        let Some(content) = state.files.get_mut(&self.id) else { return Err(gone()) };
        content.stamp = stamp;
        match met {
            None | Some(Fault::Cut) => {
                content.now.extend_from_slice(bytes);
                Ok(bytes.len())
            }
            Some(Fault::Error) => Err(io::Error::from_raw_os_error(5)),
            Some(Fault::Full) => {
                content.now.extend_from_slice(bytes.get(..bytes.len() / 2).unwrap_or_default());
                Err(io::Error::from_raw_os_error(28))
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Writing for TornFile {
    fn sync(&mut self) -> io::Result<()> {
        let (mut state, met) = self.disk.step()?;
        state.syncs += 1;
        let Some(content) = state.files.get_mut(&self.id) else { return Err(gone()) };
        if met.is_some() {
            content.lost = true;
            return Err(io::Error::from_raw_os_error(5));
        }
        if !content.lost {
            content.durable.clone_from(&content.now);
        }
        Ok(())
    }
}

impl Disk for TornDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn Writing>> {
        let mut state = self.whole()?;
        let (folder, name) = split(path)?;
        if state.folder(folder)?.now.contains_key(&name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let id = state.next;
        state.next += 1;
        let content = Content { stamp: state.stamps, ..Content::default() };
        state.files.insert(id, content);
        state.change(folder, Change(vec![(name, Some(Node::File(id)))]))?;
        Ok(Box::new(TornFile { disk: self.clone(), id }))
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn Writing>> {
        let id = self.reading()?.file(path)?;
        Ok(Box::new(TornFile { disk: self.clone(), id }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Reading>> {
        let state = self.reading()?;
        let id = state.file(path)?;
        let bytes = state.files.get(&id).map(|content| content.now.clone());
        Ok(Box::new(Cursor::new(bytes.unwrap_or_default())))
    }

    fn replace(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.rename(from, to, true)
    }

    fn publish(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.rename(from, to, false)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.whole()?;
        let id = state.file(from)?;
        let (folder, name) = split(to)?;
        if state.folder(folder)?.now.contains_key(&name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        state.change(folder, Change(vec![(name, Some(Node::File(id)))]))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.whole()?;
        state.file(path)?;
        let (folder, name) = split(path)?;
        state.change(folder, Change(vec![(name, None)]))
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        let mut state = self.whole()?;
        let (folder, name) = split(path)?;
        if state.folder(folder)?.now.contains_key(&name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        state.change(folder, Change(vec![(name, Some(Node::Folder))]))?;
        state.folders.insert(path.to_owned(), Folder::default());
        Ok(())
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        let mut state = self.whole()?;
        if !state.folder(path)?.now.is_empty() {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        let (folder, name) = split(path)?;
        state.change(folder, Change(vec![(name, None)]))?;
        state.folders.remove(path);
        Ok(())
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<Entry>> {
        let mut state = self.reading()?;
        let entry = |(name, node): (&String, &Node)| Entry {
            name: name.clone(),
            is_folder: *node == Node::Folder,
        };
        Ok(state.folder(folder)?.now.iter().map(entry).collect())
    }

    fn about(&self, path: &Path) -> io::Result<About> {
        let mut state = self.reading()?;
        if let Ok(folder) = state.folder(path) {
            return Ok(About { bytes: 0, is_folder: true, stamp: folder.stamp });
        }
        let id = state.file(path)?;
        let content = state.files.get(&id);
        let (bytes, stamp) = content.map_or((0, 0), |content| (content.now.len(), content.stamp));
        Ok(About { bytes: u64::try_from(bytes).unwrap_or(u64::MAX), is_folder: false, stamp })
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        let (mut state, met) = self.step()?;
        state.syncs += 1;
        let folder = state.folder(folder)?;
        if met.is_some() {
            return Err(io::Error::from_raw_os_error(5));
        }
        folder.durable.clone_from(&folder.now);
        folder.pending.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(disk: &TornDisk, path: &str, text: &str) -> Box<dyn Writing> {
        let mut file = disk.create(Path::new(path)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    fn read(disk: &TornDisk, path: &str) -> Option<String> {
        let bytes = crate::read_all(disk, Path::new(path), 1 << 20).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    #[test]
    fn what_was_not_synced_may_be_gone_torn_or_there() {
        let disk = TornDisk::new();
        write(&disk, "/a", "one").sync().unwrap();
        assert_eq!(read(&disk.cut(Left::Nothing), "/a"), None, "its name was not synced");
        disk.unplug(false);
        disk.sync_folder(Path::new("/")).unwrap();
        assert_eq!(read(&disk.cut(Left::Nothing), "/a").as_deref(), Some("one"));
        disk.unplug(false);
        let _file = write(&disk, "/b", "two");
        disk.replace(Path::new("/a"), Path::new("/c")).unwrap();
        let seen: std::collections::BTreeSet<_> = (0..64)
            .map(|seed| {
                let after = disk.cut(Left::Chance(seed));
                let a_or_c = (read(&after, "/a").is_some(), read(&after, "/c").is_some());
                assert!(a_or_c.0 ^ a_or_c.1, "a rename is whole");
                (read(&after, "/b"), a_or_c.0)
            })
            .collect();
        assert!(seen.len() >= 6, "{seen:?}");
    }

    #[test]
    fn a_sync_that_failed_once_has_lost_it_for_good() {
        let disk = TornDisk::new();
        let mut file = write(&disk, "/a", "one");
        disk.sync_folder(Path::new("/")).unwrap();
        disk.fail(1, Fault::Error);
        assert!(file.sync().is_err());
        assert!(file.sync().is_ok(), "it does not say so again");
        assert_eq!(read(&disk.cut(Left::Everything), "/a").as_deref(), Some(""));
    }
}

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use store::{Disk, Writing, make_folders, read_all};

use crate::host::{Host, Identity};
use crate::opened::is_full;

/// How long a node that gives no sign still owns what it owned.
pub const LEASE: Duration = Duration::from_secs(10);
/// How long the folder of a node stays that has left, so that all can hear what it told last.
const LEFT: Duration = Duration::from_secs(30);
/// How long the folder of a node stays that gives no sign.
const KEPT: Duration = Duration::from_mins(10);
/// Most bytes of another node's notices that are read at once.
const HEARD_BYTES_MAX: u64 = 2 << 20;
/// With so many bytes in it, a file of notices is followed by another, and the one before it is taken away.
const NOTICES_BYTES: u64 = 1 << 20;

/// The folder with a folder for each node.
const NODES: &str = "nodes";
const IDENTITY: &str = "node.json";
const ALIVE: &str = "alive";

/// The name of a file of notices.
fn notices(number: u64) -> String {
    format!("notices.{number:08}")
}

/// What one node tells the others about a mailbox.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Notice {
    /// It would like to own it.
    Want,
    /// Something in its files changed without its catalog.
    Look,
    /// Its catalog changed.
    Changed,
}

const NOTICE_WORDS: [(Notice, &str); 3] =
    [(Notice::Want, "want"), (Notice::Look, "look"), (Notice::Changed, "changed")];

/// What others told.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub(crate) notices: Vec<(Notice, String)>,
    /// Whether some of it was missed: it was taken away before we looked.
    pub(crate) has_missed: bool,
}

fn line(notice: Notice, leaf: &str) -> String {
    let word = NOTICE_WORDS.iter().find(|(n, _)| *n == notice).map_or("", |(_, word)| word);
    format!("{word} {leaf}\n")
}

/// This process among those that use the same root. Each has a folder there: a file that grows by a
/// byte at each sign of life, and files with what it tells the others, one after the other. Clocks are not compared: a node is
/// dead when another saw no sign for [`LEASE`] by its own clock, or knows that the process ended.
#[derive(Debug)]
pub(crate) struct Node {
    disk: Arc<dyn Disk>,
    host: Arc<dyn Host>,
    nodes: PathBuf,
    id: String,
    state: Mutex<State>,
    /// The last sign of life. It is apart, for whoever asks must not wait for the disk.
    beat: Mutex<Duration>,
}

#[derive(Debug, Default)]
struct State {
    files: Option<Files>,
    /// The number that the next of our files of notices gets.
    number: u64,
    /// When we listened last.
    listened: Option<Duration>,
    /// What could not be written to it.
    unsaid: BTreeSet<(Notice, String)>,
    /// Whether the last line of it may be half a line.
    is_torn: bool,
    peers: BTreeMap<String, Peer>,
    has_told: bool,
    /// Whether some of it was not synced yet.
    is_to_sync: bool,
}

impl State {
    /// Whether nobody is known to be there.
    fn is_alone(&self) -> bool {
        self.peers.iter().all(|(name, peer)| peer.is_gone || name.starts_with('?'))
    }
}

/// What we write to.
#[derive(Debug)]
struct Files {
    alive: Box<dyn Writing>,
    notices: Box<dyn Writing>,
    /// Which of our files of notices that is, and the bytes in it.
    number: u64,
    bytes: u64,
}

/// What we saw of another node.
#[derive(Debug, Default)]
struct Peer {
    identity: Option<Identity>,
    /// Signs of life, and when there was a new one.
    beats: u64,
    seen: Duration,
    /// The file of its notices that we are in, and the bytes of it that we know.
    heard: (u64, u64),
    /// Whether it surely ended, or left.
    is_gone: bool,
}

impl Node {
    /// Joins those that use this root.
    pub(crate) fn join(disk: Arc<dyn Disk>, host: Arc<dyn Host>, root: &Path) -> io::Result<Self> {
        let identity = host.identity();
        let nodes = root.join(NODES);
        let mut id: String =
            identity.host.chars().filter(char::is_ascii_alphanumeric).take(32).collect();
        let _ = write!(id, "-{}-", identity.process);
        for byte in host.random().iter().take(5) {
            let _ = write!(id, "{byte:02x}");
        }
        let node = Self { disk, host, nodes, id, state: Mutex::default(), beat: Mutex::default() };
        match node.enter(&identity) {
            // What is there can be read, and deleted. As long as nobody knows us, we own nothing.
            Err(error) if is_full(&error) => {}
            done => done?,
        }
        let mut state = node.lock();
        for (name, ended) in node.look(&mut state)? {
            if !ended && let Some(peer) = state.peers.get_mut(&name) {
                // What was told before we came is in the files.
                let number = node.numbers(&name).last().copied().unwrap_or(0);
                let notices = node.nodes.join(&name).join(notices(number));
                peer.heard = (number, end(&*node.disk, &notices).unwrap_or(0));
            }
        }
        drop(state);
        Ok(node)
    }

    fn enter(&self, identity: &Identity) -> io::Result<()> {
        let folder = self.nodes.join(&self.id);
        make_folders(&*self.disk, &folder)?;
        self.empty(&folder)?;
        let alive = self.disk.create(&folder.join(ALIVE))?;
        let mut state = self.lock();
        // Whoever knows the one before shall not take this for it.
        state.files = None;
        let number = state.number;
        let notices = self.disk.create(&folder.join(notices(number)))?;
        // By this one we are known: without it we are taken for one that has left.
        let text = serde_json::to_string(identity).unwrap_or_default();
        let mut file = self.disk.create(&folder.join(IDENTITY))?;
        file.write_all(text.as_bytes())?;
        file.sync()?;
        state.files = Some(Files { alive, notices, number, bytes: 0 });
        (state.number, state.is_torn) = (number + 1, false);
        drop(state);
        self.set_beat(self.host.uptime());
        Ok(())
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Gives a sign of life. Where the folder is gone, because others took us for dead for long, we join
    /// anew.
    pub(crate) fn beat(&self) -> io::Result<()> {
        let known = self.nodes.join(&self.id).join(IDENTITY);
        let has_entered = self.lock().files.is_some();
        match self.disk.about(&known) {
            Ok(_) if has_entered => {}
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(_) | Err(_) => {
                self.enter(&self.host.identity())?;
                // What fails is told with the next one.
                let _ = self.tell_unsaid();
                return Ok(());
            }
        }
        let now = self.host.uptime();
        let mut state = self.lock();
        let is_to_sync = !state.is_alone() && std::mem::take(&mut state.is_to_sync);
        if let Some(Files { alive, notices, .. }) = &mut state.files {
            alive.write_all(b".")?;
            alive.sync()?;
            if is_to_sync {
                notices.sync()?;
            }
        }
        drop(state);
        self.set_beat(now);
        let _ = self.tell_unsaid();
        Ok(())
    }

    /// Now, by the clock of whoever keeps the disk, as [`store::About::stamp`] has it.
    pub(crate) fn now_there(&self) -> io::Result<i128> {
        self.beat()?;
        Ok(self.disk.about(&self.nodes.join(&self.id).join(ALIVE))?.stamp)
    }

    /// Whether the others surely take us for alive; else what we own may be theirs by now.
    pub(crate) fn is_fresh(&self) -> bool {
        let beat = *self.beat.lock().unwrap_or_else(PoisonError::into_inner);
        self.host.uptime().saturating_sub(beat) < LEASE / 2
    }

    fn set_beat(&self, at: Duration) {
        *self.beat.lock().unwrap_or_else(PoisonError::into_inner) = at;
    }

    /// Tells the others something; also when we know of none, for one may have come since we looked. What cannot be told now is
    /// told with the next sign of life.
    ///
    /// # Errors
    /// It could not be told yet.
    pub(crate) fn tell(&self, notice: Notice, leaf: &str) -> io::Result<()> {
        let mut state = self.lock();
        state.has_told = true;
        let told = self.write_notices(&mut state, &line(notice, leaf), notice != Notice::Changed);
        if told.is_err() {
            state.unsaid.insert((notice, leaf.to_owned()));
        }
        told
    }

    /// All at once: the sign of life must not wait for long.
    fn tell_unsaid(&self) -> io::Result<()> {
        let mut state = self.lock();
        let unsaid = std::mem::take(&mut state.unsaid);
        let lines = unsaid.iter().map(|(notice, leaf)| line(*notice, leaf)).collect::<String>();
        let needs_sync = unsaid.iter().any(|(notice, _)| *notice != Notice::Changed);
        let told = if lines.is_empty() {
            Ok(())
        } else {
            self.write_notices(&mut state, &lines, needs_sync)
        };
        if told.is_err() {
            state.unsaid.extend(unsaid);
        }
        told
    }

    fn write_notices(&self, state: &mut State, lines: &str, needs_sync: bool) -> io::Result<()> {
        // On a full disk we could not enter.
        let Some(files) = &mut state.files else { return Err(io::ErrorKind::StorageFull.into()) };
        // What a line begins that was torn, it also ends, as one that names no mailbox.
        let text = if state.is_torn { format!("?\n{lines}") } else { lines.to_owned() };
        state.is_torn = true;
        files.notices.write_all(text.as_bytes())?;
        state.is_torn = false;
        files.bytes += u64::try_from(text.len()).unwrap_or(0);
        if needs_sync {
            files.notices.sync()?;
        } else {
            // A share shows others what was synced; they look once a second, and so does our next sign of life.
            state.is_to_sync = true;
        }
        if files.bytes >= NOTICES_BYTES {
            files.notices.sync()?;
            self.begin_notices(files)?;
            state.number = files.number + 1;
        }
        Ok(())
    }

    /// Goes on in another file.
    fn begin_notices(&self, files: &mut Files) -> io::Result<()> {
        let folder = self.nodes.join(&self.id);
        let next = folder.join(notices(files.number + 1));
        // One that an earlier attempt has left.
        match self.disk.remove(&next) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        files.notices = self.disk.create(&next)?;
        (files.number, files.bytes) = (files.number + 1, 0);
        if let Some(before) = files.number.checked_sub(2) {
            // What stays is taken away with the folder.
            let _ = self.disk.remove(&folder.join(notices(before)));
        }
        Ok(())
    }

    /// The files of a node's notices that are there.
    fn numbers(&self, node: &str) -> Vec<u64> {
        let entries = self.disk.list(&self.nodes.join(node)).unwrap_or_default();
        let number = |name: &str| {
            let number = name.strip_prefix("notices.")?.parse().ok()?;
            (notices(number) == name).then_some(number)
        };
        let mut numbers: Vec<_> = entries.iter().filter_map(|entry| number(&entry.name)).collect();
        numbers.sort_unstable();
        numbers
    }

    /// Whether a node is dead, as far as we can tell by now. The first look at one that we did not know
    /// begins its time.
    pub(crate) fn is_dead(&self, id: &str) -> bool {
        if id == self.id {
            return false;
        }
        let mut state = self.lock();
        match self.look_at(&mut state, id) {
            Ok(ended) => ended,
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        }
    }

    /// Whether every other node is dead.
    pub(crate) fn is_alone(&self) -> bool {
        let mut state = self.lock();
        self.look(&mut state).is_ok_and(|others| others.iter().all(|(_, ended)| *ended))
    }

    /// Whether a claim that nobody put a name to is older than a lease.
    pub(crate) fn is_stale_claim(&self, claim: &str) -> bool {
        let now = self.host.uptime();
        let mut state = self.lock();
        let seen = state
            .peers
            .entry(format!("?{claim}"))
            .or_insert_with(|| Peer { seen: now, ..Peer::default() });
        now.saturating_sub(seen.seen) >= LEASE
    }

    /// What the others told since we listened last. Folders of those that are long dead are taken away.
    pub(crate) fn hear(&self) -> io::Result<Heard> {
        let mut state = self.lock();
        let mut heard = Heard::default();
        // Of those who left since we listened last there may be nothing any more.
        let now = self.host.uptime();
        let last = state.listened.replace(now);
        heard.has_missed = last.is_some_and(|last| now.saturating_sub(last) > LEFT / 2);
        for (name, ended) in self.look(&mut state)? {
            let folder = self.nodes.join(&name);
            let now = self.host.uptime();
            let Some(peer) = state.peers.get_mut(&name) else { continue };
            self.hear_one(&name, peer, &mut heard);
            let kept = if peer.is_gone { LEFT } else { KEPT };
            if ended && now.saturating_sub(peer.seen) >= kept {
                state.peers.remove(&name);
                self.clear(&folder);
            }
        }
        Ok(heard)
    }

    fn hear_one(&self, name: &str, peer: &mut Peer, heard: &mut Heard) {
        let folder = self.nodes.join(name);
        loop {
            let (number, from) = peer.heard;
            // One that is followed by another grows no more: asked in this order, all of it is read.
            let is_over = from >= NOTICES_BYTES && self.numbers(name).last() > Some(&number);
            let bytes = match self.read_from(&folder.join(notices(number)), from) {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    let Some(first) = self.numbers(name).first().copied() else { return };
                    heard.has_missed = true;
                    peer.heard = (first, 0);
                    continue;
                }
                // It is read again.
                Err(_) => return,
            };
            // The last line may not be whole yet.
            let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            peer.heard.1 += u64::try_from(whole).unwrap_or(0);
            for line in String::from_utf8_lossy(bytes.get(..whole).unwrap_or_default()).lines() {
                let Some((word, leaf)) = line.split_once(' ') else { continue };
                if let Some((notice, _)) = NOTICE_WORDS.iter().find(|(_, known)| *known == word) {
                    heard.notices.push((*notice, leaf.to_owned()));
                }
            }
            if whole > 0 && peer.heard.1 >= NOTICES_BYTES {
                continue;
            }
            if !is_over || whole > 0 {
                return;
            }
            peer.heard = (number + 1, 0);
        }
    }

    /// Leaves: what we owned is free at once.
    pub(crate) fn leave(&self) {
        let mut state = self.lock();
        state.files = None;
        let folder = self.nodes.join(&self.id);
        let is_there = |name: &str| self.disk.about(&self.nodes.join(name).join(IDENTITY)).is_ok();
        let is_alone = self
            .disk
            .list(&self.nodes)
            .is_ok_and(|all| !all.iter().any(|e| e.name != self.id && is_there(&e.name)));
        if state.has_told && !is_alone {
            // Not all may have heard it. Without this file we are known to have left; they clear the rest.
            let _ = self.disk.remove(&folder.join(IDENTITY));
        } else {
            self.clear(&folder);
        }
    }

    /// The nodes that are there and have not left, and whether they are alive; ours too.
    pub(crate) fn all(&self) -> io::Result<Vec<(String, Identity, bool)>> {
        let mut state = self.lock();
        let mut all = vec![(self.id.clone(), self.host.identity(), true)];
        for (name, ended) in self.look(&mut state)? {
            let Some(peer) = state.peers.get(&name) else { continue };
            let has_left = ended && peer.identity.is_none();
            if !has_left {
                all.push((name, peer.identity.clone().unwrap_or_default(), !ended));
            }
        }
        Ok(all)
    }

    /// Looks at all others; their names, and whether they are dead.
    fn look(&self, state: &mut State) -> io::Result<Vec<(String, bool)>> {
        let entries = self.disk.list(&self.nodes)?;
        let names: Vec<_> = entries
            .into_iter()
            .filter(|entry| entry.is_folder && entry.name != self.id)
            .map(|entry| entry.name)
            .collect();
        state.peers.retain(|name, _| name.starts_with('?') || names.contains(name));
        Ok(names
            .into_iter()
            .filter_map(|name| {
                let ended = self.look_at(state, &name).ok()?;
                Some((name, ended))
            })
            .collect())
    }

    fn look_at(&self, state: &mut State, name: &str) -> io::Result<bool> {
        let folder = self.nodes.join(name);
        let now = self.host.uptime();
        let beats = match end(&*self.disk, &folder.join(ALIVE)) {
            // It came no further, or it is cleared just now.
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            done => done?,
        };
        let peer = state
            .peers
            .entry(name.to_owned())
            .or_insert_with(|| Peer { seen: now, ..Peer::default() });
        match read_all(&*self.disk, &folder.join(IDENTITY), 4_096) {
            Ok(bytes) => peer.identity = serde_json::from_slice(&bytes).ok(),
            // It is made after all others, and taken away by one who leaves.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                peer.is_gone = true;
                peer.identity = None;
                return Ok(true);
            }
            Err(error) => return Err(error),
        }
        if peer.beats != beats {
            peer.beats = beats;
            peer.seen = now;
        }
        let ended = peer.identity.as_ref().is_some_and(|identity| self.host.has_ended(identity));
        peer.is_gone = ended;
        Ok(ended || now.saturating_sub(peer.seen) >= LEASE)
    }

    fn read_from(&self, path: &Path, from: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut file = self.disk.open(path)?;
        file.seek(SeekFrom::Start(from))?;
        file.take(HEARD_BYTES_MAX).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn clear(&self, folder: &Path) {
        // Whatever stays is taken away by another node, later.
        let _ = self.empty(folder);
        let _ = self.disk.remove_folder(folder);
    }

    fn empty(&self, folder: &Path) -> io::Result<()> {
        let mut entries = self.disk.list(folder)?;
        // Without the one that all others go by, they know that we left.
        entries.sort_by_key(|entry| entry.name != IDENTITY);
        entries.iter().try_for_each(|entry| self.disk.remove(&folder.join(&entry.name)))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The bytes of a file, asked in a way that a share answers freshly: by opening it.
fn end(disk: &dyn Disk, path: &Path) -> io::Result<u64> {
    disk.open(path)?.seek(SeekFrom::End(0))
}

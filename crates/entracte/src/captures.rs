//! Captures: what was sent and received for one call, or for all, in files that Wireshark opens.
//!
//! One thread ([`scribe`]) writes all of them. What passes by is handed to it by [`crate::wire::Wire`] and by taps of the
//! media streams; neither waits for it, and what does not fit is counted as missed.

mod scribe;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use engine::Tap;

use crate::clock::{instant, wall};
use crate::config::CapturePlan;
pub(crate) use scribe::call_id_of;
use scribe::{Open, Scribe};

/// What may wait for the thread that writes.
const WAITING_MAX: usize = 8_192;
/// How long a capture of a call goes on once that is over: the last answers come after the goodbye.
const AFTERWARDS: Duration = Duration::from_secs(2);
/// The longest capture that is ordered by hand.
pub const SECONDS_MAX: u64 = 86_400;
/// Bytes that may wait for the thread that writes.
const WAITING_BYTES_MAX: usize = 64 << 20;
/// Captures of which it is remembered why they ended.
const ENDED_MAX: usize = 1_000;

/// What is to be captured.
#[derive(Clone, Debug)]
pub struct Order {
    /// One call, or all there are and all that come.
    pub of: Of,
    /// With RTP and RTCP, or SIP and MRCPv2 only.
    pub media: bool,
    /// After how long it ends by itself.
    pub ends: Duration,
}

/// Whose packets.
#[derive(Clone, Debug)]
pub enum Of {
    /// Every call.
    All,
    /// One call; the capture ends with it.
    Call {
        /// Its Call-ID.
        call_id: Arc<str>,
        /// The identifiers of its MRCPv2 channels so far; those to come are read from its SDP.
        channels: Vec<String>,
    },
}

/// A stream of bytes or a datagram.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Carrier {
    /// A datagram.
    Udp,
    /// A part of a stream.
    Tcp,
}

/// A call's media.
#[derive(Debug)]
pub struct TappedCall {
    /// Its Call-ID.
    pub call_id: Arc<str>,
    /// Where copies come out.
    pub tap: Tap,
    /// Our RTP port's address; RTCP is one above.
    pub local: SocketAddr,
    /// Where RTP goes.
    pub remote: SocketAddr,
    /// Where RTCP goes.
    pub remote_rtcp: SocketAddr,
}

#[derive(Debug)]
enum Input {
    Begin(String, Box<Open>),
    Stop(String),
    Signal(Signal),
    Media(Box<TappedCall>),
    Arrived(Arc<str>),
    End,
}

/// A datagram, or a part of a stream.
#[derive(Debug)]
struct Signal {
    at: Duration,
    carrier: Carrier,
    from: SocketAddr,
    to: SocketAddr,
    bytes: Vec<u8>,
}

/// A capture that runs, or a file of one that did.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Listed {
    /// Its file's name.
    pub name: String,
    /// Bytes written.
    pub bytes: u64,
    /// When it was written to last, seconds since 1970.
    pub at_unix_seconds: u64,
    /// It still runs.
    pub running: bool,
    /// Why it ended, if that was lately.
    pub why: Option<String>,
}

/// Why there is no capture.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Refused {
    /// `captures.max_active` run.
    Full(usize),
    /// The file cannot be made.
    Disk(String),
    /// More waits to be written than is kept: the disk is too slow.
    Busy,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Full(most) => {
                write!(f, "{most} captures run, as many as captures.max_active lets")
            }
            Self::Disk(why) => write!(f, "no file can be made: {why}"),
            Self::Busy => {
                f.write_str("more waits to be written than is kept: the disk is too slow")
            }
        }
    }
}

impl std::error::Error for Refused {}

/// The captures of a server.
#[derive(Clone, Debug)]
pub struct Captures {
    inputs: SyncSender<Input>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    folder: PathBuf,
    /// Somebody wants what passes by.
    listening: AtomicBool,
    missed: AtomicU64,
    waiting_bytes: AtomicUsize,
    table: Mutex<Table>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Table {
    plan: CapturePlan,
    running: BTreeMap<String, Running>,
    /// Why those ended that did lately.
    ended: BTreeMap<String, String>,
    begun: u64,
}

#[derive(Debug)]
struct Running {
    call_id: Option<Arc<str>>,
    media: bool,
    bytes: u64,
    /// When it ends: its call is over, or somebody has stopped it.
    over: Option<Instant>,
}

impl Shared {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A name for a new capture, and its place among those that run.
    fn enter(&self, of: &Of, media: bool) -> Result<String, Refused> {
        let mut table = self.table();
        if table.running.len() >= table.plan.max_active {
            return Err(Refused::Full(table.plan.max_active));
        }
        table.begun += 1;
        let when: String = web::utc(wall().as_secs())
            .chars()
            .filter(|c| c.is_ascii_digit() || *c == ' ')
            .collect();
        let what = match of {
            Of::All => "all".to_owned(),
            // By which the call is found in other records.
            Of::Call { call_id, .. } => {
                let letters = call_id.chars().filter(char::is_ascii_alphanumeric);
                format!("call-{}", letters.take(40).collect::<String>())
            }
        };
        let name = format!("{}-{:04}-{what}.pcap", when.replace(' ', "-"), table.begun);
        let call_id = match of {
            Of::All => None,
            Of::Call { call_id, .. } => Some(Arc::clone(call_id)),
        };
        table.running.insert(name.clone(), Running { call_id, media, bytes: 0, over: None });
        self.listening.store(true, Ordering::Relaxed);
        Ok(name)
    }

    fn leave(&self, name: &str, why: &str) {
        let mut table = self.table();
        table.running.remove(name);
        while table.ended.len() >= ENDED_MAX {
            table.ended.pop_first();
        }
        table.ended.insert(name.to_owned(), why.to_owned());
        self.settle(&table);
    }

    fn settle(&self, table: &Table) {
        let listening = table.plan.every_call || !table.running.is_empty();
        self.listening.store(listening, Ordering::Relaxed);
    }
}

impl Captures {
    /// Captures into `folder`.
    ///
    /// # Errors
    /// When the thread cannot be had.
    pub fn start(folder: PathBuf, plan: CapturePlan) -> io::Result<Self> {
        let table = Table { plan, running: BTreeMap::new(), ended: BTreeMap::new(), begun: 0 };
        let shared = Arc::new(Shared {
            folder,
            listening: AtomicBool::new(plan.every_call),
            missed: AtomicU64::new(0),
            waiting_bytes: AtomicUsize::new(0),
            table: Mutex::new(table),
            thread: Mutex::default(),
        });
        let (inputs, given) = sync_channel(WAITING_MAX);
        let mut scribe = Scribe::new(Arc::clone(&shared));
        let thread = std::thread::Builder::new()
            .name("captures".to_owned())
            .spawn(move || scribe.run(&given))?;
        *shared.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        Ok(Self { inputs, shared })
    }

    /// Ends all of them, and waits until what there is of them is in their files.
    pub fn end(&self) {
        let thread = self.shared.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(thread) = thread else { return };
        // It reads until this comes; one that panicked has said so.
        let _ = self.inputs.send(Input::End);
        let _ = thread.join();
    }

    /// Takes other settings.
    pub fn set(&self, plan: CapturePlan) {
        let mut table = self.shared.table();
        table.plan = plan;
        self.shared.settle(&table);
    }

    /// Begins one; answers the name of its file. It waits for the disk.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn begin(&self, order: Order) -> Result<String, Refused> {
        let name = self.shared.enter(&order.of, order.media)?;
        let begun = match Open::create(&self.shared.folder, &name, order) {
            Ok(open) => self
                .inputs
                .try_send(Input::Begin(name.clone(), Box::new(open)))
                .map_err(|_| Refused::Busy),
            Err(error) => Err(Refused::Disk(error.to_string())),
        };
        if begun.is_err() {
            // An empty file is no capture.
            let _ = fs::remove_file(self.shared.folder.join(&name));
            self.shared.leave(&name, "it could not begin");
        }
        begun.map(|()| name)
    }

    /// Ends one; answers whether one runs by this name.
    pub fn stop(&self, name: &str) -> bool {
        match self.shared.table().running.get_mut(name) {
            // Should the order not be heard, its time is over all the same.
            Some(running) => running.over = Some(instant()),
            None => return false,
        }
        let _ = self.inputs.try_send(Input::Stop(name.to_owned()));
        true
    }

    /// Whether anybody wants what passes by. Cheap enough to ask for each packet.
    pub fn is_listening(&self) -> bool {
        self.shared.listening.load(Ordering::Relaxed)
    }

    /// Whether some capture wants the media of this call.
    pub fn wants_media(&self, call_id: &str) -> bool {
        if !self.is_listening() {
            return false;
        }
        let table = self.shared.table();
        table.plan.every_call
            || table.running.values().any(|one| {
                one.media && one.call_id.as_ref().is_none_or(|wanted| **wanted == *call_id)
            })
    }

    /// What passes by. Never waits.
    pub fn signal(&self, carrier: Carrier, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        if !self.is_listening() {
            return;
        }
        let waiting = &self.shared.waiting_bytes;
        let before = waiting.fetch_add(bytes.len(), Ordering::Relaxed);
        let (at, length) = (wall(), bytes.len());
        let signal = || Signal { at, carrier, from, to, bytes: bytes.to_vec() };
        let put = before <= WAITING_BYTES_MAX && self.put(Input::Signal(signal()));
        if !put {
            waiting.fetch_sub(length, Ordering::Relaxed);
        }
    }

    /// A call's media. Never waits.
    pub fn media(&self, call: TappedCall) {
        self.put(Input::Media(Box::new(call)));
    }

    /// An INVITE has become a call.
    pub fn arrived(&self, call_id: &Arc<str>) {
        if self.is_listening() {
            self.put(Input::Arrived(Arc::clone(call_id)));
        }
    }

    /// A call is over, and so are its captures, a moment later.
    pub fn over(&self, call_id: &str) {
        if !self.is_listening() {
            return;
        }
        let ends = instant() + AFTERWARDS;
        for running in self.shared.table().running.values_mut() {
            if running.call_id.as_deref() == Some(call_id) {
                running.over.get_or_insert(ends);
            }
        }
    }

    fn put(&self, input: Input) -> bool {
        let put = self.inputs.try_send(input).is_ok();
        if !put {
            let missed = self.shared.missed.fetch_add(1, Ordering::Relaxed) + 1;
            if missed.is_power_of_two() {
                tracing::warn!(missed, "captures miss packets: the disk is too slow");
            }
        }
        put
    }

    /// Packets and parts of streams that no capture has, because the disk was too slow.
    pub fn missed(&self) -> u64 {
        self.shared.missed.load(Ordering::Relaxed)
    }

    /// Those that run.
    pub fn running(&self) -> usize {
        self.shared.table().running.len()
    }

    /// Those that run and the files of those that did, the youngest first.
    pub fn list(&self) -> Vec<Listed> {
        let mut all: BTreeMap<String, Listed> = BTreeMap::new();
        // Before the lock: calls shall not wait for the disk.
        for (name, bytes, at) in files(&self.shared.folder) {
            let (at_unix_seconds, running, why) = (at, false, None);
            all.insert(name.clone(), Listed { name, bytes, at_unix_seconds, running, why });
        }
        let table = self.shared.table();
        for (name, why) in &table.ended {
            if let Some(listed) = all.get_mut(name) {
                listed.why = Some(why.clone());
            }
        }
        for (name, running) in &table.running {
            let listed = all.entry(name.clone()).or_default();
            let at_unix_seconds = listed.at_unix_seconds.max(1);
            let bytes = running.bytes.max(listed.bytes);
            let (name, running, why) = (name.clone(), true, None);
            *listed = Listed { name, bytes, at_unix_seconds, running, why };
        }
        drop(table);
        all.into_values().rev().collect()
    }

    /// The path of a capture's file.
    pub fn file(&self, name: &str) -> Option<PathBuf> {
        is_name(name).then(|| self.shared.folder.join(name)).filter(|file| file.is_file())
    }

    /// Deletes the file of one that is over.
    ///
    /// # Errors
    /// When there is none, it runs, or the system refuses.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        if self.shared.table().running.contains_key(name) {
            return Err(io::Error::other("it runs; stop it first"));
        }
        let file = self.file(name).ok_or(io::ErrorKind::NotFound)?;
        fs::remove_file(file)
    }
}

/// Whether a name is one that we give: nothing else is read or deleted.
fn is_name(name: &str) -> bool {
    let stem = name.strip_suffix(".pcap").unwrap_or_default();
    !stem.is_empty() && stem.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

/// The files that are kept, with bytes and the time of the last change, the oldest first.
fn files(folder: &Path) -> Vec<(String, u64, u64)> {
    let mut all: Vec<_> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok().filter(|name| is_name(name))?;
            let known = entry.metadata().ok()?;
            let since = known.modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
            Some((name, known.len(), since.as_secs()))
        })
        .collect();
    all.sort();
    all
}

/// Where captures are kept.
#[must_use]
pub fn folder(state_dir: &Path) -> PathBuf {
    state_dir.join("captures")
}

#[cfg(test)]
mod tests;

//! Captures: what was sent and received for one call, or for all, in files that Wireshark opens.
//!
//! One thread writes all of them. What passes by is handed to it by [`crate::wire::Wire`] and by taps of the
//! media streams; neither waits for it, and what does not fit is counted as missed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use engine::{Kind, Tap, Tapped, Way};

use crate::clock::{instant, wall};
use crate::config::CapturePlan;
use crate::pcap::Capture;

/// What may wait for the thread that writes.
const WAITING_MAX: usize = 8_192;
/// How often media is fetched from the taps; they hold half a second of it.
const TICK: Duration = Duration::from_millis(20);
/// How long a capture of a call goes on once that is over: the last answers come after the goodbye.
const AFTERWARDS: Duration = Duration::from_secs(2);
/// The longest capture that is ordered by hand.
pub const SECONDS_MAX: u64 = 86_400;
/// Channels of one call.
const CHANNELS_MAX: usize = 64;
/// Bytes that may wait for the thread that writes.
const WAITING_BYTES_MAX: usize = 64 << 20;
/// Inputs taken before media is looked at again.
const BATCH: usize = 256;
/// INVITEs that are kept until it is known whether they become calls, and for how long.
const EARLY_MAX: usize = 64;
const EARLY: Duration = Duration::from_secs(5);
/// Files that are kept; what each takes of a disk is at least a block.
const FILES_MAX: usize = 10_000;
const BLOCK_BYTES: u64 = 4_096;
/// Captures of which it is remembered why they ended.
const ENDED_MAX: usize = 1_000;
/// Streams of which it is known whether their last part belonged to the call.
const STREAMS_MAX: usize = 4_096;

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

/// One capture as it is written.
#[derive(Debug)]
struct Open {
    out: Capture<Counted>,
    /// By which messages of MRCPv2 are known, where it is of one call.
    channels: BTreeSet<String>,
    /// Of which call; `None` takes all.
    call_id: Option<Arc<str>>,
    media: bool,
    ends: Instant,
    /// What the last part of each stream was taken for: a part without a beginning goes with it.
    streams: BTreeMap<(SocketAddr, SocketAddr), bool>,
}

/// A file that counts its bytes. What is written waits for the next flush, so that a file holds whole packets.
#[derive(Debug)]
struct Counted {
    file: File,
    waiting: Vec<u8>,
    bytes: u64,
}

impl io::Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.waiting.extend_from_slice(bytes);
        self.bytes += u64::try_from(bytes.len()).unwrap_or(0);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::Write::write_all(&mut self.file, &self.waiting)?;
        self.waiting.clear();
        Ok(())
    }
}

/// The thread that writes.
struct Scribe {
    shared: Arc<Shared>,
    open: BTreeMap<String, Open>,
    taps: Vec<TappedCall>,
    /// INVITEs of which it is not known yet whether they become calls.
    early: VecDeque<(Instant, Signal)>,
}

impl Scribe {
    fn new(shared: Arc<Shared>) -> Self {
        Self { shared, open: BTreeMap::new(), taps: Vec::new(), early: VecDeque::new() }
    }

    fn run(&mut self, inputs: &Receiver<Input>) {
        loop {
            let idle = self.taps.is_empty() && self.open.is_empty();
            let input = if idle {
                inputs.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                inputs.recv_timeout(TICK)
            };
            let first = match input {
                Ok(Input::End) | Err(RecvTimeoutError::Disconnected) => return self.close_all(),
                Ok(input) => Some(input),
                Err(RecvTimeoutError::Timeout) => None,
            };
            // What waits already belongs to this tick; but media waits half a second only.
            for input in first.into_iter().chain(inputs.try_iter().take(BATCH)) {
                if matches!(input, Input::End) {
                    return self.close_all();
                }
                self.take(input);
            }
            self.media();
            self.write(|open| open.out.flush());
            self.end_what_is_due();
        }
    }

    fn close_all(&mut self) {
        self.media();
        for name in self.open.keys().cloned().collect::<Vec<_>>() {
            self.close(&name, "the server ends");
        }
    }

    fn take(&mut self, input: Input) {
        match input {
            Input::Begin(name, open) => {
                tracing::info!(name, "capture begins");
                self.open.insert(name, *open);
            }
            Input::Stop(name) => {
                self.media();
                self.close(&name, "stopped");
            }
            Input::Signal(signal) => {
                self.shared.waiting_bytes.fetch_sub(signal.bytes.len(), Ordering::Relaxed);
                self.write(|open| open.signal(&signal));
                self.keep_early(signal);
            }
            Input::Media(call) => self.taps.push(*call),
            Input::Arrived(call_id) => self.begin_with_the_call(&call_id),
            Input::End => {}
        }
    }

    /// With `captures.every_call` an INVITE is kept until it is a call: most of a flood never is.
    fn keep_early(&mut self, signal: Signal) {
        if !signal.bytes.starts_with(b"INVITE ") || !self.shared.table().plan.every_call {
            return;
        }
        let now = instant();
        self.early.retain(|(came, _)| now.saturating_duration_since(*came) < EARLY);
        if self.early.len() == EARLY_MAX {
            self.early.pop_front();
        }
        self.early.push_back((now, signal));
    }

    fn begin_with_the_call(&mut self, call_id: &Arc<str>) {
        if !self.shared.table().plan.every_call {
            return;
        }
        let of = Of::Call { call_id: Arc::clone(call_id), channels: Vec::new() };
        let order = Order { of, media: true, ends: Duration::from_secs(SECONDS_MAX) };
        let name = match self.shared.enter(&order.of, order.media) {
            Ok(name) => name,
            Err(refused) => {
                return tracing::warn!(%refused, call_id = &**call_id, "a call is not captured");
            }
        };
        let mut open = match Open::create(&self.shared.folder, &name, order) {
            Ok(open) => open,
            Err(error) => {
                tracing::error!(%error, name, call_id = &**call_id, "a call is not captured");
                return self.shared.leave(&name, "no file");
            }
        };
        let early = std::mem::take(&mut self.early);
        let (own, others): (VecDeque<_>, VecDeque<_>) = early
            .into_iter()
            .partition(|(_, signal)| call_id_of(&signal.bytes).as_deref() == Some(call_id));
        self.early = others;
        let written = own.iter().try_for_each(|(_, signal)| open.signal(signal));
        self.open.insert(name.clone(), open);
        if let Err(error) = written {
            self.close(&name, &error.to_string());
        }
    }

    fn media(&mut self) {
        let mut all: Vec<(Tapped, usize)> = Vec::new();
        for (number, call) in self.taps.iter_mut().enumerate() {
            all.extend(std::iter::from_fn(|| call.tap.take()).map(|tapped| (tapped, number)));
            self.shared.missed.fetch_add(call.tap.missed(), Ordering::Relaxed);
        }
        all.sort_by_key(|(tapped, _)| tapped.at);
        let (now, media_now) = (wall(), engine::clock::now());
        let taps = std::mem::take(&mut self.taps);
        for (tapped, number) in all {
            let Some(call) = taps.get(number) else { continue };
            let at = now.saturating_sub(media_now.since(tapped.at));
            self.write(|open| open.media(at, call, &tapped));
        }
        let wanted = |call: &TappedCall| {
            !call.tap.is_over() && self.open.values().any(|open| open.wants(&call.call_id))
        };
        self.taps = taps.into_iter().filter(wanted).collect();
    }

    /// Writes to every capture; one that cannot be written, or is long enough, ends.
    fn write(&mut self, mut write: impl FnMut(&mut Open) -> io::Result<()>) {
        let bytes_max = self.shared.table().plan.file_bytes_max;
        let mut over = Vec::new();
        for (name, open) in &mut self.open {
            if let Err(error) = write(open) {
                over.push((name.clone(), error.to_string()));
            } else if open.out.get_ref().bytes > bytes_max {
                over.push((name.clone(), "captures.file_bytes_max is reached".to_owned()));
            }
        }
        for (name, why) in over {
            self.close(&name, &why);
        }
    }

    fn end_what_is_due(&mut self) {
        let now = instant();
        let mut due = Vec::new();
        for (name, running) in &mut self.shared.table().running {
            let Some(open) = self.open.get(name) else { continue };
            running.bytes = open.out.get_ref().bytes;
            if running.over.is_some_and(|over| over <= now) {
                due.push((name.clone(), "its call is over, or it was stopped"));
            } else if open.ends <= now {
                due.push((name.clone(), "its time is over"));
            }
        }
        for (name, why) in due {
            self.close(&name, why);
        }
    }

    fn close(&mut self, name: &str, why: &str) {
        let Some(mut open) = self.open.remove(name) else { return };
        let flushed = open.out.flush();
        let bytes = open.out.get_ref().bytes;
        match flushed {
            Ok(()) => tracing::info!(name, why, bytes, "capture ends"),
            Err(error) => {
                tracing::error!(name, why, bytes, %error, "capture ends, and its end is lost");
            }
        }
        self.shared.leave(name, why);
        self.prune(name);
    }

    /// Deletes the oldest until the rest fits.
    fn prune(&self, last: &str) {
        let (most, running) = {
            let table = self.shared.table();
            (table.plan.keep_bytes_max, table.running.keys().cloned().collect::<BTreeSet<_>>())
        };
        let all = files(&self.shared.folder);
        // A file takes whole blocks.
        let on_disk = |bytes: &u64| bytes.div_ceil(BLOCK_BYTES).saturating_mul(BLOCK_BYTES);
        let mut sum: u64 = all.iter().map(|(_, bytes, _)| on_disk(bytes)).sum();
        let mut count = all.len();
        for (name, bytes, _) in
            all.iter().filter(|(name, ..)| !running.contains(name) && name != last)
        {
            if sum <= most && count <= FILES_MAX {
                return;
            }
            if fs::remove_file(self.shared.folder.join(name)).is_ok() {
                tracing::info!(name, "the oldest capture is deleted: captures.keep_bytes_max");
                sum -= on_disk(bytes);
                count -= 1;
            }
        }
    }
}

impl Open {
    fn create(folder: &Path, name: &str, order: Order) -> io::Result<Self> {
        crate::settings::make_private(folder)?;
        let file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(folder.join(name))?;
        let out = Capture::begin(Counted { file, waiting: Vec::new(), bytes: 0 })?;
        let (channels, call_id) = match order.of {
            Of::All => (BTreeSet::new(), None),
            Of::Call { call_id, channels } => (channels.into_iter().collect(), Some(call_id)),
        };
        let ends = instant() + order.ends;
        Ok(Self { out, channels, call_id, media: order.media, ends, streams: BTreeMap::new() })
    }

    fn wants(&self, call_id: &Arc<str>) -> bool {
        self.media && self.call_id.as_ref().is_none_or(|wanted| wanted == call_id)
    }

    fn signal(&mut self, signal: &Signal) -> io::Result<()> {
        if !self.is_of_it(signal) {
            return Ok(());
        }
        let Signal { at, carrier, from, to, bytes } = signal;
        match carrier {
            Carrier::Udp => self.out.udp(*at, *from, *to, bytes),
            Carrier::Tcp => self.out.tcp(*at, *from, *to, bytes),
        }
    }

    /// Whether bytes belong to the call. What a stream brings in between two messages of it goes along.
    fn is_of_it(&mut self, signal: &Signal) -> bool {
        let Some(call_id) = &self.call_id else { return true };
        let text = String::from_utf8_lossy(&signal.bytes);
        let named = values(&text, &["Call-ID", "i"]).any(|value| *value == **call_id)
            || values(&text, &["Channel-Identifier"]).any(|value| self.channels.contains(value));
        // The answer says which channels the call has. RFC 6787 §4.2.
        if named && text.starts_with("SIP/") {
            let told = text.lines().filter_map(|line| line.trim().strip_prefix("a=channel:"));
            let room = CHANNELS_MAX.saturating_sub(self.channels.len());
            self.channels.extend(told.filter(|one| !one.is_empty()).take(room).map(str::to_owned));
        }
        if signal.carrier == Carrier::Udp {
            return named;
        }
        if self.streams.len() >= STREAMS_MAX {
            self.streams.clear();
        }
        let way = (signal.from, signal.to);
        let before = self.streams.get(&way).copied().unwrap_or(false);
        let of_it = named || (!begins_message(&text) && before);
        self.streams.insert(way, of_it);
        of_it
    }

    fn media(&mut self, at: Duration, call: &TappedCall, tapped: &Tapped) -> io::Result<()> {
        if !self.wants(&call.call_id) {
            return Ok(());
        }
        let mut local = call.local;
        let remote = match tapped.kind {
            Kind::Rtp => call.remote,
            Kind::Rtcp => {
                local.set_port(local.port().saturating_add(1));
                call.remote_rtcp
            }
        };
        let way = match tapped.way {
            Way::In => (remote, local),
            Way::Out => (local, remote),
        };
        self.out.udp_cut(at, way, tapped.payload(), usize::from(tapped.bytes))
    }
}

/// Whether a part of a stream begins with a message of SIP or MRCPv2.
fn begins_message(text: &str) -> bool {
    let line = text.trim_start_matches(['\r', '\n']).lines().next().unwrap_or_default();
    line.starts_with("MRCP/") || line.starts_with("SIP/") || line.ends_with("SIP/2.0")
}

/// The values of header fields with one of these names.
fn values<'t>(text: &'t str, names: &[&str]) -> impl Iterator<Item = &'t str> {
    text.lines().filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        let known = names.iter().any(|known| name.trim_end().eq_ignore_ascii_case(known));
        known.then(|| value.trim())
    })
}

/// The value of Call-ID, in its long or its compact form. RFC 3261 §7.3.3, §20.8.
pub(crate) fn call_id_of(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    values(&text, &["Call-ID", "i"]).next().map(str::to_owned)
}

/// Where captures are kept.
#[must_use]
pub fn folder(state_dir: &Path) -> PathBuf {
    state_dir.join("captures")
}

#[cfg(test)]
mod tests;

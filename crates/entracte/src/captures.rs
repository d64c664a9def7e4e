//! Captures: what was sent and received for one call, or for all, in files that Wireshark opens.
//!
//! One thread writes all of them. What passes by is handed to it by [`crate::wire::Wire`] and by taps of the
//! media streams; neither waits for it, and what does not fit is counted as missed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
/// Words by which messages of one call are known: its Call-ID and channels.
const WORDS_MAX: usize = 64;
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
    Begin(String, Order),
    Stop(String),
    Signal { at: Duration, carrier: Carrier, from: SocketAddr, to: SocketAddr, bytes: Vec<u8> },
    Media(Box<TappedCall>),
    Over(Arc<str>),
    Look,
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
}

/// Why there is no capture.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refused {
    /// `captures.max_active` run.
    Full(usize),
    /// The thread that writes has ended.
    Gone,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Full(most) => {
                write!(f, "{most} captures run, as many as captures.max_active lets")
            }
            Self::Gone => f.write_str("the thread that writes captures has ended"),
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
    table: Mutex<Table>,
}

#[derive(Debug)]
struct Table {
    plan: CapturePlan,
    running: BTreeMap<String, Running>,
    begun: u64,
}

#[derive(Debug)]
struct Running {
    call_id: Option<Arc<str>>,
    media: bool,
    bytes: u64,
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
        let what = if matches!(of, Of::All) { "all" } else { "call" };
        let name = format!("{}-{:04}-{what}.pcap", when.replace(' ', "-"), table.begun);
        let call_id = match of {
            Of::All => None,
            Of::Call { call_id, .. } => Some(Arc::clone(call_id)),
        };
        table.running.insert(name.clone(), Running { call_id, media, bytes: 0 });
        self.listening.store(true, Ordering::Relaxed);
        Ok(name)
    }

    fn leave(&self, name: &str) {
        let mut table = self.table();
        table.running.remove(name);
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
        let table = Table { plan, running: BTreeMap::new(), begun: 0 };
        let shared = Arc::new(Shared {
            folder,
            listening: AtomicBool::new(plan.every_call),
            missed: AtomicU64::new(0),
            table: Mutex::new(table),
        });
        let (inputs, given) = sync_channel(WAITING_MAX);
        let mut scribe = Scribe::new(Arc::clone(&shared));
        std::thread::Builder::new()
            .name("captures".to_owned())
            .spawn(move || scribe.run(&given))?;
        Ok(Self { inputs, shared })
    }

    /// Takes other settings.
    pub fn set(&self, plan: CapturePlan) {
        let mut table = self.shared.table();
        table.plan = plan;
        self.shared.settle(&table);
    }

    /// Begins one; answers the name of its file.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn begin(&self, order: Order) -> Result<String, Refused> {
        let name = self.shared.enter(&order.of, order.media)?;
        if self.inputs.send(Input::Begin(name.clone(), order)).is_err() {
            return Err(Refused::Gone);
        }
        Ok(name)
    }

    /// Ends one; it does nothing where none runs by this name.
    pub fn stop(&self, name: &str) {
        // The thread ends with the server only.
        let _ = self.inputs.send(Input::Stop(name.to_owned()));
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
        if self.is_listening() {
            let (at, bytes) = (wall(), bytes.to_vec());
            self.put(Input::Signal { at, carrier, from, to, bytes });
        }
    }

    /// A call's media. Never waits.
    pub fn media(&self, call: TappedCall) {
        self.put(Input::Media(Box::new(call)));
    }

    /// A call is over.
    pub fn over(&self, call_id: &Arc<str>) {
        if self.is_listening() {
            self.put(Input::Over(Arc::clone(call_id)));
        }
    }

    fn put(&self, input: Input) {
        if self.inputs.try_send(input).is_err() {
            let missed = self.shared.missed.fetch_add(1, Ordering::Relaxed) + 1;
            if missed.is_power_of_two() {
                tracing::warn!(missed, "captures miss packets: the disk is too slow");
            }
        }
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
        // What is written shall be seen.
        let _ = self.inputs.try_send(Input::Look);
        let table = self.shared.table();
        let mut all: BTreeMap<String, Listed> = BTreeMap::new();
        for (name, bytes, at) in files(&self.shared.folder) {
            let listed = Listed { name: name.clone(), bytes, at_unix_seconds: at, running: false };
            all.insert(name, listed);
        }
        for (name, running) in &table.running {
            let listed = all.entry(name.clone()).or_default();
            let at_unix_seconds = listed.at_unix_seconds.max(1);
            let bytes = running.bytes.max(listed.bytes);
            *listed = Listed { name: name.clone(), bytes, at_unix_seconds, running: true };
        }
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
struct Open {
    out: Capture<Counted>,
    /// By which messages are known; `None` takes all.
    words: Option<BTreeSet<String>>,
    call_id: Option<Arc<str>>,
    media: bool,
    ends: Instant,
    /// What the last part of each stream was taken for: a part without a beginning goes with it.
    streams: BTreeMap<(SocketAddr, SocketAddr), bool>,
}

/// A file that counts its bytes.
#[derive(Debug)]
struct Counted {
    file: BufWriter<File>,
    bytes: u64,
}

impl io::Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.bytes += u64::try_from(written).unwrap_or(0);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// The thread that writes.
struct Scribe {
    shared: Arc<Shared>,
    open: BTreeMap<String, Open>,
    taps: Vec<TappedCall>,
}

impl Scribe {
    fn new(shared: Arc<Shared>) -> Self {
        Self { shared, open: BTreeMap::new(), taps: Vec::new() }
    }

    fn run(&mut self, inputs: &Receiver<Input>) {
        loop {
            let idle = self.taps.is_empty() && self.open.is_empty();
            let input = if idle {
                inputs.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                inputs.recv_timeout(TICK)
            };
            match input {
                Ok(input) => self.take(input),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            // What waits already belongs to this tick.
            while let Ok(input) = inputs.try_recv() {
                self.take(input);
            }
            self.media();
            self.end_what_is_due();
        }
        for name in self.open.keys().cloned().collect::<Vec<_>>() {
            self.close(&name, "the server ends");
        }
    }

    fn take(&mut self, input: Input) {
        match input {
            Input::Begin(name, order) => self.begin(name, order),
            Input::Stop(name) => {
                self.media();
                self.close(&name, "stopped");
            }
            Input::Signal { at, carrier, from, to, bytes } => {
                self.begin_with_the_call(&bytes);
                self.write(|open| open.signal(at, carrier, (from, to), &bytes));
            }
            Input::Media(call) => self.taps.push(*call),
            Input::Over(call_id) => {
                let ends = instant() + AFTERWARDS;
                let of_it = |open: &&mut Open| open.call_id.as_ref() == Some(&call_id);
                self.open
                    .values_mut()
                    .filter(of_it)
                    .for_each(|open| open.ends = open.ends.min(ends));
            }
            Input::Look => self.write(|open| open.out.flush()),
        }
    }

    fn begin(&mut self, name: String, order: Order) {
        match Open::create(&self.shared.folder, &name, order) {
            Ok(open) => {
                tracing::info!(name, "capture begins");
                self.open.insert(name, open);
            }
            Err(error) => {
                let folder = self.shared.folder.display();
                tracing::error!(%error, name, %folder, "no capture");
                self.shared.leave(&name);
            }
        }
    }

    /// With `captures.every_call` a call's first message begins its capture.
    fn begin_with_the_call(&mut self, bytes: &[u8]) {
        if !bytes.starts_with(b"INVITE ") || !self.shared.table().plan.every_call {
            return;
        }
        let Some(call_id) = call_id_of(bytes) else { return };
        if self.open.values().any(|open| open.call_id.as_deref() == Some(&call_id)) {
            return;
        }
        let of = Of::Call { call_id: call_id.into(), channels: Vec::new() };
        let order = Order { of, media: true, ends: Duration::from_secs(SECONDS_MAX) };
        match self.shared.enter(&order.of, order.media) {
            Ok(name) => self.begin(name, order),
            Err(refused) => tracing::warn!(%refused, "a call is not captured"),
        }
    }

    fn media(&mut self) {
        let mut all: Vec<(Tapped, usize)> = Vec::new();
        for (number, call) in self.taps.iter_mut().enumerate() {
            all.extend(std::iter::from_fn(|| call.tap.take()).map(|tapped| (tapped, number)));
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
        let due = self.open.iter().filter(|(_, open)| open.ends <= now);
        for name in due.map(|(name, _)| name.clone()).collect::<Vec<_>>() {
            self.close(&name, "its time is over");
        }
        let mut table = self.shared.table();
        for (name, open) in &self.open {
            if let Some(running) = table.running.get_mut(name) {
                running.bytes = open.out.get_ref().bytes;
            }
        }
    }

    fn close(&mut self, name: &str, why: &str) {
        let Some(mut open) = self.open.remove(name) else { return };
        let flushed = open.out.flush();
        let bytes = open.out.get_ref().bytes;
        tracing::info!(name, why, bytes, error = ?flushed.err(), "capture ends");
        self.shared.leave(name);
        self.prune();
    }

    /// Deletes the oldest until the rest fits.
    fn prune(&self) {
        let (most, running) = {
            let table = self.shared.table();
            (table.plan.keep_bytes_max, table.running.keys().cloned().collect::<BTreeSet<_>>())
        };
        let all = files(&self.shared.folder);
        let mut sum: u64 = all.iter().map(|(_, bytes, _)| bytes).sum();
        for (name, bytes, _) in all.iter().filter(|(name, ..)| !running.contains(name)) {
            if sum <= most {
                return;
            }
            if fs::remove_file(self.shared.folder.join(name)).is_ok() {
                tracing::info!(name, "the oldest capture is deleted: captures.keep_bytes_max");
                sum -= bytes;
            }
        }
    }
}

impl Open {
    fn create(folder: &Path, name: &str, order: Order) -> io::Result<Self> {
        crate::settings::make_private(folder)?;
        let file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(folder.join(name))?;
        let out = Capture::begin(Counted { file: BufWriter::new(file), bytes: 0 })?;
        let (words, call_id) = match order.of {
            Of::All => (None, None),
            Of::Call { call_id, channels } => {
                let words = channels.into_iter().chain(std::iter::once(call_id.to_string()));
                (Some(words.collect()), Some(call_id))
            }
        };
        let ends = instant() + order.ends;
        Ok(Self { out, words, call_id, media: order.media, ends, streams: BTreeMap::new() })
    }

    fn wants(&self, call_id: &Arc<str>) -> bool {
        self.media && self.call_id.as_ref().is_none_or(|wanted| wanted == call_id)
    }

    fn signal(
        &mut self,
        at: Duration,
        carrier: Carrier,
        (from, to): (SocketAddr, SocketAddr),
        bytes: &[u8],
    ) -> io::Result<()> {
        if !self.is_of_it(carrier, (from, to), bytes) {
            return Ok(());
        }
        match carrier {
            Carrier::Udp => self.out.udp(at, from, to, bytes),
            Carrier::Tcp => self.out.tcp(at, from, to, bytes),
        }
    }

    /// Whether bytes belong to the call. What a stream brings in between two messages of it goes along.
    fn is_of_it(&mut self, carrier: Carrier, way: (SocketAddr, SocketAddr), bytes: &[u8]) -> bool {
        let Some(words) = &mut self.words else { return true };
        let text = String::from_utf8_lossy(bytes);
        let named = words.iter().any(|word| text.contains(word.as_str()));
        if named {
            let channels = text.lines().filter_map(|line| line.trim().strip_prefix("a=channel:"));
            let room = WORDS_MAX.saturating_sub(words.len());
            words.extend(channels.take(room).map(str::to_owned));
        }
        if carrier == Carrier::Udp {
            return named;
        }
        let begins = begins_message(&text);
        if self.streams.len() >= STREAMS_MAX {
            self.streams.clear();
        }
        let before = self.streams.get(&way).copied().unwrap_or(false);
        let of_it = named || (!begins && before);
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
        match tapped.way {
            Way::In => self.out.udp(at, remote, local, tapped.payload()),
            Way::Out => self.out.udp(at, local, remote, tapped.payload()),
        }
    }
}

/// Whether a part of a stream begins with a message of SIP or MRCPv2.
fn begins_message(text: &str) -> bool {
    let line = text.trim_start_matches(['\r', '\n']).lines().next().unwrap_or_default();
    line.starts_with("MRCP/") || line.starts_with("SIP/") || line.ends_with("SIP/2.0")
}

/// The value of Call-ID, in its long or its compact form. RFC 3261 §7.3.3, §20.8.
fn call_id_of(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    text.lines().take_while(|line| !line.is_empty()).find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let name = name.trim();
        let is_it = name.eq_ignore_ascii_case("Call-ID") || name.eq_ignore_ascii_case("i");
        is_it.then(|| value.trim().to_owned())
    })
}

/// Where captures are kept.
#[must_use]
pub fn folder(state_dir: &Path) -> PathBuf {
    state_dir.join("captures")
}

#[cfg(test)]
mod tests;

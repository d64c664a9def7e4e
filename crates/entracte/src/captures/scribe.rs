//! The thread that writes captures: which of what passes by belongs into which file, and when each ends.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use engine::{Kind, Tapped, Way};

use super::{Carrier, Input, Of, Order, SECONDS_MAX, Shared, Signal, TappedCall, files};
use crate::clock::{instant, wall};
use crate::pcap::Capture;

/// How often media is fetched from the taps; they hold half a second of it.
const TICK: Duration = Duration::from_millis(20);
/// Channels of one call.
const CHANNELS_MAX: usize = 64;
/// Streams of which it is known whether their last part belonged to the call.
const STREAMS_MAX: usize = 4_096;
/// Inputs taken before media is looked at again.
const BATCH: usize = 256;
/// INVITEs that are kept until it is known whether they become calls, and for how long.
const EARLY_MAX: usize = 64;
const EARLY: Duration = Duration::from_secs(5);
/// Files that are kept; what each takes of a disk is at least a block.
const FILES_MAX: usize = 10_000;
const BLOCK_BYTES: u64 = 4_096;

/// One capture as it is written.
#[derive(Debug)]
pub(super) struct Open {
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
pub(super) struct Scribe {
    shared: Arc<Shared>,
    open: BTreeMap<String, Open>,
    taps: Vec<TappedCall>,
    /// INVITEs of which it is not known yet whether they become calls.
    early: VecDeque<(Instant, Signal)>,
}

impl Scribe {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, open: BTreeMap::new(), taps: Vec::new(), early: VecDeque::new() }
    }

    pub(super) fn run(&mut self, inputs: &Receiver<Input>) {
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
    pub(super) fn create(folder: &Path, name: &str, order: Order) -> io::Result<Self> {
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

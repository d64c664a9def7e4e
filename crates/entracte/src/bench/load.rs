//! N sessions that listen to one live source: are they set up at once, and does each hear every
//! packet when it is due?

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::figures::{Spread, millis, share};
use super::receiver::{Receiver, Track};
use super::session::{Caller, Session};
use super::subject::Subject;
use super::usage::{Usage, each};
use crate::clock::wall;

/// A packet later than this against its own stream's schedule counts as late.
pub const LATE: Duration = Duration::from_millis(5);

/// Every packet is so long.
const PACKET: Duration = Duration::from_millis(20);

/// After the last session is up, before anything is measured.
const SETTLE: Duration = Duration::from_secs(1);

/// A stream whose last packet is older than this at the end of the window has fallen silent.
const SILENT: Duration = Duration::from_millis(200);

/// Between two tellings of how far it is.
const TELL: Duration = Duration::from_millis(500);

/// Goodbyes at one time.
const GOODBYES: usize = 64;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Order {
    /// Sessions at one time.
    pub sessions: usize,
    /// How long all of them listen.
    pub listen: Duration,
    /// Calls a second while they are set up.
    pub rate: u32,
    /// What they listen to.
    pub uri: String,
    /// Channels on one MRCPv2 connection.
    pub channels_each: usize,
    /// Where another program receives, two ports for each session; then nothing is heard here.
    pub elsewhere: Option<SocketAddr>,
}

/// How far it is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Sessions that are up.
    pub up: usize,
    /// Sessions that are wanted.
    pub of: usize,
    /// Packets so far.
    pub packets: u64,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Sessions that came up.
    pub up: usize,
    /// Why others did not.
    pub failures: Vec<String>,
    /// From INVITE to 200.
    pub answered: Spread,
    /// From SPEAK to its response.
    pub speaking: Spread,
    /// From INVITE to the first packet.
    pub first_packet: Spread,
    /// What was heard; nothing where it went elsewhere.
    pub heard: Option<Heard>,
    /// What the server cost, where its process is known.
    pub cost: Option<Cost>,
}

/// What came of all streams.
#[derive(Clone, Copy, Debug, Default)]
pub struct Heard {
    /// Packets that were due from each stream's first to its last.
    pub expected: u64,
    /// Packets that came.
    pub received: u64,
    /// Packets that never came.
    pub lost: u64,
    /// Packets that came twice.
    pub duplicated: u64,
    /// Packets that came after a later one.
    pub reordered: u64,
    /// Streams of which nothing came, or nothing more at the end.
    pub silent: u64,
    /// Packets while all sessions were up: those that the lateness is of.
    pub timed: u64,
    /// Those of them later than [`LATE`].
    pub late: u64,
    /// Lateness against each stream's own schedule.
    pub lateness: Spread,
}

/// What the server cost.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    /// CPU time of media threads for each packet, nanoseconds.
    pub engine_nanos: u64,
    /// The part of one core that the media threads took.
    pub engine_share: f64,
    /// The part of one core that all other threads took while the sessions listened.
    pub rest_share: f64,
    /// CPU time of all other threads for the set-up of one session.
    pub setup: Duration,
    /// Memory for one session, bytes.
    pub memory_bytes: u64,
}

impl Found {
    /// Whether all sessions came up and heard everything.
    pub fn passed(&self) -> bool {
        let whole = self.heard.is_none_or(|heard| heard.lost == 0 && heard.silent == 0);
        self.failures.is_empty() && whole
    }

    /// For a program to read.
    pub fn to_json(&self) -> Value {
        json!({
            "passed": self.passed(),
            "sessions": self.up,
            "failed": self.failures.len(),
            "invite_to_200": self.answered.to_json(),
            "speak_to_in_progress": self.speaking.to_json(),
            "invite_to_first_rtp": self.first_packet.to_json(),
            "heard": self.heard.map(Heard::to_json),
            "cost": self.cost.map(Cost::to_json),
        })
    }
}

impl Heard {
    /// The part of the packets that was late.
    pub fn late_share(&self) -> f64 {
        share(self.late, self.timed)
    }

    fn to_json(self) -> Value {
        json!({
            "expected": self.expected, "received": self.received, "lost": self.lost,
            "duplicated": self.duplicated, "reordered": self.reordered, "silent": self.silent,
            "timed": self.timed, "late": self.late, "late_share": self.late_share(),
            "late_above_ms": millis(LATE), "lateness": self.lateness.to_json(),
        })
    }

    fn of<'a>(tracks: impl Iterator<Item = &'a Track>, end: Duration) -> Self {
        let mut heard = Self::default();
        let mut lateness = Vec::new();
        for track in tracks {
            heard.received += track.packets;
            heard.lost += track.lost;
            heard.duplicated += track.duplicated;
            heard.reordered += track.reordered;
            heard.timed += track.in_window;
            let last = Duration::from_nanos(track.last.unwrap_or(0));
            heard.silent += u64::from(last + SILENT < end);
            lateness.extend(track.lateness());
        }
        heard.expected = heard.received + heard.lost;
        heard.late = lateness.iter().filter(|late| **late > LATE).count() as u64;
        heard.lateness = Spread::of(lateness);
        heard
    }
}

impl Cost {
    fn to_json(self) -> Value {
        json!({
            "engine_ns_per_packet": self.engine_nanos, "engine_core_share": self.engine_share,
            "rest_core_share": self.rest_share, "setup_cpu_us": millis(self.setup) * 1e3,
            "memory_bytes_per_session": self.memory_bytes,
        })
    }
}

/// The session's times, and the session.
struct Placed {
    number: usize,
    session: Session,
    answered: Duration,
    speaking: Duration,
}

/// Where the audio of each session goes.
enum Ears {
    Here(Receiver),
    Elsewhere(SocketAddr),
}

impl Ears {
    fn open(order: &Order, server: SocketAddr) -> Result<Self, String> {
        if let Some(first) = order.elsewhere {
            return Ok(Self::Elsewhere(first));
        }
        let count = order.sessions + 1;
        let ip = reached_by(server).map_err(|error| error.to_string())?;
        let opened = Receiver::open(ip, count);
        Ok(Self::Here(opened.map_err(|error| format!("{count} pairs of RTP ports: {error}"))?))
    }

    fn address(&self, number: usize) -> Result<SocketAddr, String> {
        let address = match self {
            Self::Here(receiver) => receiver.addresses().get(number).copied(),
            Self::Elsewhere(first) => u16::try_from(number * 2)
                .ok()
                .and_then(|step| first.port().checked_add(step))
                .map(|port| SocketAddr::new(first.ip(), port)),
        };
        address.ok_or_else(|| "there are too few ports".to_owned())
    }

    const fn here(&self) -> Option<&Receiver> {
        match self {
            Self::Here(receiver) => Some(receiver),
            Self::Elsewhere(_) => None,
        }
    }

    fn packets(&self) -> u64 {
        self.here().map_or(0, Receiver::packets)
    }
}

/// The time in which all sessions are up and nothing else happens.
struct Window {
    began: Duration,
    ended: Duration,
    usage: Option<(Usage, Usage)>,
}

/// Sets up, listens, and takes down; `tell` hears how far it is.
///
/// # Errors
/// In words, when it cannot even begin.
pub async fn run(
    order: &Order,
    subject: &Subject,
    mut tell: impl FnMut(Progress),
) -> Result<Found, String> {
    let ears = Ears::open(order, subject.sip)?;
    let caller = Caller::open(subject.sip, order.sessions + 1, order.channels_each).await?;
    let caller = Arc::new(caller);
    // One session first, so that what is only made once is not counted as a session's memory.
    let ears = Arc::new(ears);
    let warm = place(&caller, order.sessions, &ears, &order.uri).await?;
    caller.hang_up(warm.session).await;
    sleep(SETTLE).await;

    let usage = || subject.pid.and_then(Usage::of);
    let idle = usage();
    let mut found = Found::default();
    let placed = set_up(order, &ears, &caller, &mut found, &mut tell).await?;
    let up = usage();
    sleep(SETTLE).await;
    let window = listen(order, &ears, usage, || {
        tell(Progress { up: placed.len(), of: order.sessions, packets: ears.packets() });
    })
    .await;

    let mut placed = placed;
    for one in &mut placed {
        found.failures.extend(one.session.failed().await);
    }
    found.up = placed.len();
    found.answered = Spread::of(placed.iter().map(|placed| placed.answered).collect());
    found.speaking = Spread::of(placed.iter().map(|placed| placed.speaking).collect());
    let invited: Vec<_> =
        placed.iter().map(|placed| (placed.number, placed.session.invited)).collect();
    hang_up(&caller, placed).await;
    if let Some(Ears::Here(receiver)) = Arc::into_inner(ears) {
        let tracks = tokio::task::spawn_blocking(move || receiver.finish()).await;
        let tracks = tracks.map_err(|error| error.to_string())?;
        let firsts = invited.iter().filter_map(|(number, invited)| {
            let first = Duration::from_nanos(tracks.get(*number)?.first?);
            Some(first.saturating_sub(*invited))
        });
        found.first_packet = Spread::of(firsts.collect());
        let heard = invited.iter().filter_map(|(number, _)| tracks.get(*number));
        found.heard = Some(Heard::of(heard, window.ended));
    }
    if let (Some(idle), Some(up)) = (idle, up) {
        found.cost = cost(&window, found.up as u64, found.heard);
        if let Some(cost) = &mut found.cost {
            let (setup, count) = (up.since(idle), found.up as u64);
            cost.setup = Duration::from_nanos(each(setup.rest, count));
            let grown = setup.memory_bytes.saturating_sub(idle.memory_bytes);
            cost.memory_bytes = grown.checked_div(count).unwrap_or(0);
        }
    }
    Ok(found)
}

/// Brings all sessions up at the rate that is asked for.
async fn set_up(
    order: &Order,
    ears: &Arc<Ears>,
    caller: &Arc<Caller>,
    found: &mut Found,
    tell: &mut impl FnMut(Progress),
) -> Result<Vec<Placed>, String> {
    let mut placing = JoinSet::new();
    let mut placed = Vec::with_capacity(order.sessions);
    let mut pace = interval(Duration::from_secs(1) / order.rate.max(1));
    pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for number in 0..order.sessions {
        pace.tick().await;
        let (caller, uri, audio) = (Arc::clone(caller), order.uri.clone(), Arc::clone(ears));
        placing.spawn(async move { place(&caller, number, &audio, &uri).await });
        while let Some(done) = placing.try_join_next() {
            keep(done, &mut placed, found);
        }
        if number % 50 == 0 {
            tell(Progress { up: placed.len(), of: order.sessions, packets: ears.packets() });
        }
    }
    while let Some(done) = placing.join_next().await {
        keep(done, &mut placed, found);
    }
    Ok(placed)
}

async fn listen(
    order: &Order,
    ears: &Ears,
    usage: impl Fn() -> Option<Usage>,
    mut tell: impl FnMut(),
) -> Window {
    let before = usage();
    let began = wall();
    if let Some(receiver) = ears.here() {
        receiver.begin_window(began);
    }
    while wall().saturating_sub(began) < order.listen {
        tell();
        sleep(TELL.min(order.listen)).await;
    }
    let ended = wall();
    if let Some(receiver) = ears.here() {
        receiver.end_window(ended);
    }
    Window { began, ended, usage: before.zip(usage()) }
}

/// What the server took in the window; setting up comes later.
fn cost(window: &Window, sessions: u64, heard: Option<Heard>) -> Option<Cost> {
    let (before, after) = window.usage?;
    let lasted = window.ended.saturating_sub(window.began);
    let usage = after.since(before);
    let packets = heard.map_or_else(|| sessions * packets_in(lasted), |heard| heard.timed);
    let part = |cpu: Duration| cpu.as_secs_f64() / lasted.as_secs_f64().max(1e-9);
    Some(Cost {
        engine_nanos: each(usage.engine, packets),
        engine_share: part(usage.engine),
        rest_share: part(usage.rest),
        ..Cost::default()
    })
}

fn packets_in(window: Duration) -> u64 {
    u64::try_from(window.as_nanos() / PACKET.as_nanos()).unwrap_or(u64::MAX)
}

/// Our address on the way to a server.
pub(super) fn reached_by(server: SocketAddr) -> std::io::Result<IpAddr> {
    let any: SocketAddr =
        if server.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0_u16; 8], 0).into() };
    let probe = std::net::UdpSocket::bind(any)?;
    probe.connect(server)?;
    Ok(probe.local_addr()?.ip())
}

async fn place(caller: &Caller, number: usize, ears: &Ears, uri: &str) -> Result<Placed, String> {
    let mut session = caller.call(ears.address(number)?).await?;
    if let Some(receiver) = ears.here() {
        receiver.expect(number, session.audio()?).map_err(|error| error.to_string())?;
    }
    let answered = session.answer.answered.duration_since(session.answer.invited);
    match session.speak("text/uri-list", &format!("{uri}\r\n"), None).await {
        Ok((sent, in_progress)) => {
            let speaking = in_progress.duration_since(sent);
            Ok(Placed { number, session, answered, speaking })
        }
        Err(error) => {
            caller.hang_up(session).await;
            Err(error)
        }
    }
}

fn keep(
    done: Result<Result<Placed, String>, tokio::task::JoinError>,
    placed: &mut Vec<Placed>,
    found: &mut Found,
) {
    match done {
        Ok(Ok(one)) => placed.push(one),
        Ok(Err(error)) => found.failures.push(error),
        Err(error) => found.failures.push(error.to_string()),
    }
}

async fn hang_up(caller: &Arc<Caller>, placed: Vec<Placed>) {
    let mut leaving = JoinSet::new();
    for one in placed {
        if leaving.len() >= GOODBYES {
            leaving.join_next().await;
        }
        let caller = Arc::clone(caller);
        leaving.spawn(async move { caller.hang_up(one.session).await });
    }
    while leaving.join_next().await.is_some() {}
}

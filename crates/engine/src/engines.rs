use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use audio::Gain;
use rustix::fd::OwnedFd;
use vocab::Tokens;

use crate::clock::{self, Mono};
use crate::config::{ENGINES_MAX, EngineConfig, StreamConfig};
use crate::desk::{Desk, REPORTS_MAX};
use crate::load::{EngineLoad, Gauges};
use crate::ports::{PortTable, Ports, ReserveError};
use crate::program::Program;
use crate::pump::{Pump, Source};
use crate::receiving::Receiving;
use crate::report::{Report, StreamKey};
use crate::socket::{self, Sockets};
use crate::startup::{Note, run_engine};
use crate::stats::{StatsCell, StreamStats};
use crate::stream::{Stream, Update};
use crate::tap::{self, Tap};
use crate::tick::{Command, Engine, pack};

/// Commands that may wait for an engine; past that callers are told to come again.
const COMMANDS_MAX: usize = 4_096;
/// The part of them that only `remove` may use, so that a flood of others never keeps a stream.
const COMMANDS_FOR_REMOVE: usize = 1_024;

/// The media threads of this process, from outside. Every call returns at once.
#[derive(Debug)]
pub struct Engines {
    pub(crate) lanes: Arc<[Lane]>,
    ports: Arc<PortTable>,
    refuse_above: f64,
    tokens: Mutex<Tokens>,
    stop: Arc<AtomicBool>,
    /// All engines have ended: what they told last is told.
    ended: Arc<AtomicBool>,
    bell: Arc<OwnedFd>,
    threads: Vec<JoinHandle<()>>,
    pump: Option<JoinHandle<()>>,
}

/// The way to one engine, and what is known of its streams on this side.
#[derive(Debug)]
pub(crate) struct Lane {
    control: Mutex<Control>,
    pub(crate) gauges: Arc<Gauges>,
    watch: Arc<OwnedFd>,
    pub(crate) thread: AtomicI32,
}

#[derive(Debug)]
struct Control {
    commands: rtrb::Producer<Command>,
    entries: Vec<Entry>,
    free: Vec<u32>,
}

#[derive(Debug, Default)]
struct Entry {
    generation: u32,
    stream: Option<Known>,
}

#[derive(Debug)]
struct Known {
    sockets: Arc<Sockets>,
    stats: Arc<StatsCell>,
    leaving: bool,
}

/// Why a stream was not taken.
#[derive(Debug)]
pub enum Refused {
    /// Every engine is busier than the limit.
    Overloaded {
        /// The load of the least busy one.
        load_percent: f64,
    },
    /// Every engine holds as many streams as it may.
    StreamsFull,
    /// Commands are not taken as fast as they are given.
    Busy,
    /// The sockets cannot reach the peer.
    Io(io::Error),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Overloaded { load_percent } => {
                write!(f, "the engines are busy: {load_percent:.0} %")
            }
            Self::StreamsFull => f.write_str("the engines hold as many streams as they may"),
            Self::Busy => f.write_str("the engine has too many commands to work on"),
            Self::Io(_) => f.write_str("the peer's media address cannot be reached"),
        }
    }
}

impl std::error::Error for Refused {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Overloaded { .. } | Self::StreamsFull | Self::Busy => None,
            Self::Io(source) => Some(source),
        }
    }
}

/// Why a stream did not take a command.
#[derive(Debug)]
pub enum CommandError {
    /// It is removed, or was never there.
    NoSuchStream,
    /// Commands are not taken as fast as they are given; the command was not kept.
    Busy,
    /// The sockets cannot reach the peer's new address.
    Io(io::Error),
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchStream => f.write_str("there is no such stream"),
            Self::Busy => f.write_str("the engine has too many commands to work on"),
            Self::Io(_) => f.write_str("the peer's media address cannot be reached"),
        }
    }
}

impl std::error::Error for CommandError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NoSuchStream | Self::Busy => None,
            Self::Io(source) => Some(source),
        }
    }
}

impl Engines {
    /// Starts the threads. `sink` is called on a thread of its own with everything that the
    /// engines tell; while it does not return, reports wait, and at last programs do.
    ///
    /// The notes say what the system refused; everything works all the same.
    pub fn start(
        config: &EngineConfig,
        sink: Box<dyn Fn(Report) + Send>,
    ) -> io::Result<(Self, Vec<Note>)> {
        let mut notes = Vec::new();
        match socket::lift_open_files() {
            Some(limit) => notes.push(Note::OpenFiles { limit }),
            None => notes.push(Note::OpenFilesNotLifted),
        }
        if config.lock_memory
            && let Err(why) = socket::lock_memory()
        {
            notes.push(Note::MemoryNotLocked { why });
        }
        let priority = config.priority;
        let (mut engines, machines, mut pump) = Self::by_hand(config, sink)?;
        let cpus = socket::processors();
        for (number, machine) in machines.into_iter().enumerate() {
            let cpu = cpus.iter().rev().cycle().nth(number).copied();
            let (lanes, stop) = (Arc::clone(&engines.lanes), Arc::clone(&engines.stop));
            let (ready, started) = std::sync::mpsc::sync_channel(1);
            let run = move || run_engine(machine, &lanes, (number, cpu, priority), &stop, &ready);
            engines
                .threads
                .push(thread::Builder::new().name(format!("engine-{number}")).spawn(run)?);
            notes.extend(started.recv().unwrap_or_default());
        }
        let (bell, ended) = (Arc::clone(&engines.bell), Arc::clone(&engines.ended));
        let pumping = thread::Builder::new().name("engine-reports".into()).spawn(move || {
            while !ended.load(Ordering::Acquire) {
                pump.drain();
                socket::heard(&bell);
            }
            pump.drain();
        })?;
        engines.pump = Some(pumping);
        Ok((engines, notes))
    }

    /// The same without threads: whoever calls this gives the engines their ticks, and drains the
    /// pump. For tests in virtual time, and for measuring a tick.
    pub fn by_hand(
        config: &EngineConfig,
        sink: Box<dyn Fn(Report) + Send>,
    ) -> io::Result<(Self, Vec<Engine>, Pump)> {
        let bell = Arc::new(socket::bell()?);
        let count = config.engines.clamp(1, ENGINES_MAX);
        let (mut lanes, mut machines, mut sources) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..count {
            let (lane, machine, source) = lane(config, &bell)?;
            lanes.push(lane);
            machines.push(machine);
            sources.push(source);
        }
        let lanes: Arc<[Lane]> = lanes.into();
        let engines = Self {
            lanes: Arc::clone(&lanes),
            ports: Arc::new(PortTable::new(config.bind, &config.port_ranges)),
            refuse_above: f64::from(config.refuse_above),
            tokens: Mutex::new(Tokens::new(config.seed)),
            stop: Arc::new(AtomicBool::new(false)),
            ended: Arc::new(AtomicBool::new(false)),
            bell,
            threads: Vec::new(),
            pump: None,
        };
        Ok((engines, machines, Pump::new(sources, lanes, sink)))
    }

    /// A bound pair of ports.
    pub fn reserve(&self) -> Result<Ports, ReserveError> {
        self.ports.reserve()
    }

    /// Port pairs in all, and those that are free.
    pub fn port_pairs(&self) -> (usize, usize) {
        (self.ports.pairs(), self.ports.free())
    }

    /// Gives a stream to the engine with the fewest, among those that are not too busy. It is
    /// silent until [`Engines::play`].
    pub fn add(&self, ports: Ports, config: &StreamConfig) -> Result<StreamKey, Refused> {
        let (number, lane) = self.choose()?;
        let sockets = Arc::new(ports.0);
        sockets.connect(config.remote_rtp, config.dscp).map_err(Refused::Io)?;
        sockets.listen(config.receive).map_err(Refused::Io)?;
        let seed = self.tokens.lock().unwrap_or_else(PoisonError::into_inner).next_u64();
        let mut control = lane.control();
        if control.commands.slots() <= COMMANDS_FOR_REMOVE {
            return Err(Refused::Busy);
        }
        let index = control.free.pop().ok_or(Refused::StreamsFull)?;
        let stats = Arc::new(StatsCell::default());
        let entry = usize::try_from(index).ok().and_then(|index| control.entries.get_mut(index));
        let Some(entry) = entry else { return Err(Refused::StreamsFull) };
        let key = StreamKey { engine: number, index, generation: entry.generation };
        if let Err(fault) = sockets.watch_rtcp(&lane.watch, pack(key)) {
            control.free.push(index);
            return Err(Refused::Io(fault));
        }
        entry.stream = Some(Known {
            sockets: Arc::clone(&sockets),
            stats: Arc::clone(&stats),
            leaving: false,
        });
        let stream = Stream::new(key, config, sockets, stats, seed);
        // There is room: it was looked for under the same lock.
        let _pushed = control.commands.push(Command::Add(Box::new(stream)));
        Ok(key)
    }

    /// Takes over what a new offer or answer says; the stream plays on and keeps its numbers.
    pub fn update(&self, key: StreamKey, config: &StreamConfig) -> Result<(), CommandError> {
        let sockets = {
            let mut control = self.control(key)?;
            control.room()?;
            Arc::clone(&control.known(key)?.sockets)
        };
        sockets.connect(config.remote_rtp, config.dscp).map_err(CommandError::Io)?;
        sockets.listen(config.receive).map_err(CommandError::Io)?;
        let update = Update {
            law: config.law,
            payload_type: config.payload_type,
            ptime: config.ptime,
            receiving: Receiving::new(config).map(Box::new),
            remote_rtcp: config.rtcp(),
        };
        self.command(key, Command::Update(key, Box::new(update)))
    }

    /// Ends a stream: BYE is sent, and [`Report::Gone`] follows when its ports are free.
    pub fn remove(&self, key: StreamKey) -> Result<(), CommandError> {
        let mut control = self.control(key)?;
        if control.commands.is_full() {
            return Err(CommandError::Busy);
        }
        control.known(key)?.leaving = true;
        control.commands.push(Command::Remove(key)).map_err(|_| CommandError::Busy)
    }

    /// Plays a program from the next packet on, in place of what was played or paused.
    pub fn play(&self, key: StreamKey, program: Program) -> Result<(), CommandError> {
        self.command(key, Command::Play(key, program))
    }

    /// Sends nothing until [`Engines::resume`]; the program keeps its place, a live source runs on.
    pub fn pause(&self, key: StreamKey) -> Result<(), CommandError> {
        self.command(key, Command::Pause(key))
    }

    /// Goes on where [`Engines::pause`] stopped.
    pub fn resume(&self, key: StreamKey) -> Result<(), CommandError> {
        self.command(key, Command::Resume(key))
    }

    /// Ends the program at once.
    pub fn silence(&self, key: StreamKey) -> Result<(), CommandError> {
        self.command(key, Command::Silence(key))
    }

    /// Makes the program louder or softer from the next packet on.
    pub fn gain(&self, key: StreamKey, gain: Gain) -> Result<(), CommandError> {
        self.command(key, Command::Gain(key, gain))
    }

    /// Has copies of all of a stream's datagrams made from now on, RTP and RTCP of both ways. A stream has one
    /// tap: a new one ends the one before.
    pub fn tap(&self, key: StreamKey) -> Result<Tap, CommandError> {
        let (spout, tap) = tap::tap();
        self.command(key, Command::Tap(key, Box::new(spout)))?;
        Ok(tap)
    }

    /// How busy each engine is.
    pub fn loads(&self) -> Vec<EngineLoad> {
        let now = clock::now();
        self.lanes.iter().map(|lane| lane.load(now)).collect()
    }

    /// A stream's figures; `None` when it is gone.
    pub fn stats(&self, key: StreamKey) -> Option<StreamStats> {
        let mut control = self.control(key).ok()?;
        Some(control.entry(key)?.stream.as_ref()?.stats.read())
    }

    fn choose(&self) -> Result<(u16, &Lane), Refused> {
        let least = self.lanes.iter().map(|lane| lane.gauges.percent()).fold(f64::MAX, f64::min);
        (0..)
            .zip(self.lanes.iter())
            .filter(|(_, lane)| lane.gauges.percent() <= self.refuse_above)
            .max_by_key(|(_, lane)| lane.control().free.len())
            .ok_or(Refused::Overloaded { load_percent: least })
    }

    fn control(&self, key: StreamKey) -> Result<MutexGuard<'_, Control>, CommandError> {
        let lane = self.lanes.get(usize::from(key.engine));
        lane.map(Lane::control).ok_or(CommandError::NoSuchStream)
    }

    fn command(&self, key: StreamKey, command: Command) -> Result<(), CommandError> {
        let mut control = self.control(key)?;
        control.known(key)?;
        control.room()?;
        control.commands.push(command).map_err(|_| CommandError::Busy)
    }
}

impl Drop for Engines {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        for engine in self.threads.drain(..) {
            // A thread that panicked has said so already.
            let _ended = engine.join();
        }
        self.ended.store(true, Ordering::Release);
        socket::ring(&self.bell);
        if let Some(pump) = self.pump.take() {
            let _ended = pump.join();
        }
    }
}

impl Lane {
    fn control(&self) -> MutexGuard<'_, Control> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn load(&self, now: Mono) -> EngineLoad {
        let thread_id = self.thread.load(Ordering::Relaxed);
        let cpu_ns = if thread_id == 0 { 0 } else { socket::processor_time(thread_id) };
        EngineLoad { thread_id, cpu_ns, ..self.gauges.read(now) }
    }

    /// Forgets a stream that the engine has let go of; answers its last figures.
    pub(crate) fn forget(&self, key: StreamKey) -> StreamStats {
        let mut control = self.control();
        let Some(entry) = control.entry(key) else { return StreamStats::default() };
        entry.generation = entry.generation.wrapping_add(1);
        let known = entry.stream.take();
        control.free.push(key.index);
        known.map(|known| known.stats.read()).unwrap_or_default()
    }
}

impl Control {
    fn entry(&mut self, key: StreamKey) -> Option<&mut Entry> {
        let entry = self.entries.get_mut(usize::try_from(key.index).ok()?)?;
        (entry.generation == key.generation).then_some(entry)
    }

    fn known(&mut self, key: StreamKey) -> Result<&mut Known, CommandError> {
        let known = self.entry(key).and_then(|entry| entry.stream.as_mut());
        known.filter(|known| !known.leaving).ok_or(CommandError::NoSuchStream)
    }

    fn room(&self) -> Result<(), CommandError> {
        if self.commands.slots() > COMMANDS_FOR_REMOVE { Ok(()) } else { Err(CommandError::Busy) }
    }
}

fn lane(config: &EngineConfig, bell: &Arc<OwnedFd>) -> io::Result<(Lane, Engine, Source)> {
    use rustix::event::epoll;
    let watch = Arc::new(epoll::create(epoll::CreateFlags::CLOEXEC)?);
    let gauges = Arc::new(Gauges::new());
    let (commands, obeyed) = rtrb::RingBuffer::new(COMMANDS_MAX);
    let (reports, told) = rtrb::RingBuffer::new(REPORTS_MAX);
    let (retired, freed) = rtrb::RingBuffer::new(REPORTS_MAX);
    let streams_max = config.streams_max.clamp(1, 1 << 20);
    let desk = Desk::new(reports, retired, clock::wall_ahead());
    let wires = (Arc::clone(&watch), Arc::clone(bell));
    let gauged = (Arc::clone(&gauges), clock::now());
    let engine = Engine::new(streams_max, desk, obeyed, wires, gauged);
    let control = Control {
        commands,
        entries: (0..streams_max).map(|_| Entry::default()).collect(),
        free: (0..u32::try_from(streams_max).unwrap_or(0)).rev().collect(),
    };
    let lane = Lane { control: Mutex::new(control), gauges, watch, thread: AtomicI32::new(0) };
    Ok((lane, engine, Source::new(told, freed)))
}

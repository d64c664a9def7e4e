use std::sync::Arc;

use audio::Gain;
use rtp::Ptime;
use rustix::event::{Timespec, epoll};
use rustix::fd::OwnedFd;

use crate::clock::Mono;
use crate::desk::{Desk, PACKET, Packet};
use crate::load::Gauges;
use crate::program::Program;
use crate::report::{Report, Retired, StopReason, StreamKey};
use crate::stream::{Stream, Update};
use crate::tap::Spout;
use crate::wheel::Wheel;

/// Commands that one tick works on; the rest waits for the next.
const COMMANDS_PER_TICK_MAX: usize = 64;

/// RTCP datagrams read in one tick; the rest waits for the next.
const RTCP_PER_TICK_MAX: usize = 16;

/// Packets put together before the first of them is sent.
const BATCH: usize = 16;

/// With more than this lateness the ticks in between are left out: sending them in one go would
/// only fill the peer's jitter buffer.
const LATE_MAX_TICKS: u64 = 20;

/// What the control side wants of an engine.
#[derive(Debug)]
pub(crate) enum Command {
    Add(Box<Stream>),
    Update(StreamKey, Box<Update>),
    Remove(StreamKey),
    Play(StreamKey, Program),
    Pause(StreamKey),
    Resume(StreamKey),
    Silence(StreamKey),
    Gain(StreamKey, Gain),
    Tap(StreamKey, Box<Spout>),
}

/// What one media thread does every millisecond. Reads no clock: time comes in, so a test may run
/// it through hours in a moment. Neither allocates nor locks nor waits.
#[derive(Debug)]
pub struct Engine {
    wheel: Wheel,
    desk: Desk,
    packets: Box<[Packet; BATCH]>,
    commands: rtrb::Consumer<Command>,
    /// Watches the streams' RTCP sockets.
    watch: Arc<OwnedFd>,
    gauges: Arc<Gauges>,
    /// Wakes the reports thread.
    bell: Arc<OwnedFd>,
    /// The tick that is due next, in milliseconds since boot.
    next: u64,
}

impl Engine {
    pub(crate) fn new(
        streams_max: usize,
        desk: Desk,
        commands: rtrb::Consumer<Command>,
        (watch, bell): (Arc<OwnedFd>, Arc<OwnedFd>),
        (gauges, now): (Arc<Gauges>, Mono),
    ) -> Self {
        Self {
            wheel: Wheel::new(streams_max),
            desk,
            packets: Box::new([PACKET; BATCH]),
            commands,
            watch,
            gauges,
            bell,
            next: now.as_millis() + 1,
        }
    }

    /// When the next tick is due.
    pub fn due(&self) -> Mono {
        Mono::from_millis(self.next)
    }

    /// Does the tick that is due at `now`, and answers when the next one is. Called too early, it
    /// does nothing; called late, it catches up by a tick a call, or leaves ticks out if that
    /// would be more than 20 of them.
    pub fn tick(&mut self, now: Mono) -> Mono {
        let behind = now.as_millis().checked_sub(self.next);
        let Some(behind) = behind else { return self.due() };
        if behind > LATE_MAX_TICKS {
            self.gauges.left_out(behind);
            self.next += behind;
        }
        let tick = self.next;
        self.desk.measure();
        self.take_commands(now);
        self.read_rtcp(now);
        for ptime in Ptime::ALL {
            for batch in self.wheel.slot(ptime, tick).chunks_mut(BATCH) {
                send(batch, &mut self.packets, &mut self.desk, (tick, now));
            }
        }
        self.next = tick + 1;
        if self.desk.told {
            self.desk.told = false;
            crate::socket::ring(&self.bell);
        }
        self.gauges.holds(self.wheel.len(), self.desk.shares.taken(), self.desk.shares.encoded);
        self.due()
    }

    /// Tells the engine how far the wall clock is ahead of the monotonic one, in nanoseconds.
    pub fn set_wall_ahead(&mut self, nanos: u64) {
        self.desk.wall_ahead = nanos;
    }

    /// Says goodbye to every peer and lets go of all streams. Not a tick: it may take its time.
    pub fn close(&mut self, now: Mono) {
        while let Ok(command) = self.commands.pop() {
            self.desk.measure();
            self.obey(command, now);
        }
        while let Some((index, generation)) = self.wheel.any() {
            self.desk.measure();
            let Some(mut stream) = self.wheel.remove(index, generation) else { break };
            stream.leave(now, &mut self.desk);
            stream.retire(&mut self.desk);
        }
        crate::socket::ring(&self.bell);
    }

    fn take_commands(&mut self, now: Mono) {
        for _ in 0..COMMANDS_PER_TICK_MAX {
            if !self.desk.has_room() {
                return;
            }
            let Ok(command) = self.commands.pop() else { return };
            self.obey(command, now);
        }
    }

    fn obey(&mut self, command: Command, now: Mono) {
        let (wheel, desk) = (&mut self.wheel, &mut self.desk);
        let mut with = |key: StreamKey, act: &mut dyn FnMut(&mut Stream, &mut Desk)| {
            if let Some(stream) = wheel.get(key.index, key.generation) {
                act(stream, desk);
            }
        };
        match command {
            Command::Add(mut stream) => {
                stream.join(now);
                if let Err(stream) = wheel.add(stream) {
                    stream.retire(desk);
                }
            }
            Command::Remove(key) => {
                if let Some(mut stream) = wheel.remove(key.index, key.generation) {
                    stream.leave(now, desk);
                    stream.retire(desk);
                }
            }
            Command::Update(key, mut update) => {
                with(key, &mut |stream, desk| stream.update(&mut update, desk));
                self.wheel.hasten(key.index, key.generation, self.next);
                self.desk.retire(Retired::Update(update));
            }
            Command::Play(key, program) => self.play(key, program),
            Command::Pause(key) => with(key, &mut |stream, _| stream.pause()),
            Command::Resume(key) => with(key, &mut |stream, _| stream.resume()),
            Command::Silence(key) => {
                with(key, &mut |stream, desk| stream.stop(StopReason::Silenced, desk));
            }
            Command::Tap(key, spout) => match wheel.get(key.index, key.generation) {
                Some(stream) => stream.tap(spout, desk),
                None => desk.retire(Retired::Spout(spout)),
            },
            Command::Gain(key, gain) => with(key, &mut |stream, desk| stream.gain(gain, desk)),
        }
    }

    fn play(&mut self, key: StreamKey, program: Program) {
        self.wheel.hasten(key.index, key.generation, self.next);
        match self.wheel.get(key.index, key.generation) {
            Some(stream) => stream.play(program, &mut self.desk),
            None => {
                let (program, why) = (program, StopReason::Removed);
                let report =
                    Report::Stopped { stream: key, program: program.id, at_samples: 0, why };
                self.desk.report(report);
                self.desk.retire(Retired::Pieces(program.pieces));
            }
        }
    }

    fn read_rtcp(&mut self, now: Mono) {
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        let (flags, data) = (epoll::EventFlags::empty(), epoll::EventData::new_u64(0));
        let mut events = [epoll::Event { flags, data }; RTCP_PER_TICK_MAX];
        let Ok(count) = epoll::wait(&self.watch, &mut events, Some(&at_once)) else { return };
        for event in events.iter().take(count) {
            let (index, generation) = unpack(event.data.u64());
            if let Some(stream) = self.wheel.get(index, generation) {
                stream.read_rtcp(now, &mut self.desk);
            }
        }
    }
}

/// Puts a batch of packets together, then sends them: between two sends the kernel takes the cache
/// for itself, so whatever waits for memory does so all at once before.
fn send(
    batch: &mut [Box<Stream>],
    packets: &mut [Packet; BATCH],
    desk: &mut Desk,
    (tick, now): (u64, Mono),
) {
    let mut lens = [0; BATCH];
    for ((stream, packet), len) in batch.iter_mut().zip(&mut *packets).zip(&mut lens) {
        *len = stream.prepare(tick, now, desk, packet);
    }
    for ((stream, packet), len) in batch.iter_mut().zip(packets).zip(lens) {
        if len > 0 {
            stream.send(packet.get(..len).unwrap_or_default(), now);
        }
    }
}

/// A stream's key as the RTCP watch hands it back.
pub(crate) fn pack(key: StreamKey) -> u64 {
    u64::from(key.index) << 32 | u64::from(key.generation)
}

fn unpack(data: u64) -> (u32, u32) {
    let [a, b, c, d, e, f, g, h] = data.to_be_bytes();
    (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]))
}

use std::sync::Arc;

use audio::{Gain, Law};
use rtp::rtcp::{ReportBlock, Said, SenderInfo, Writer, ntp};
use rtp::{HEADER_BYTES, Marker, Ptime, RtcpSchedule, Sender};

use crate::clock::Mono;
use crate::config::StreamConfig;
use crate::desk::{Desk, Packet};
use crate::playing::{Filled, Moment, Playing, silence};
use crate::program::Program;
use crate::receiving::Receiving;
use crate::report::{Report, Retired, StopReason, StreamKey};
use crate::socket::{Held, SendFault, Sockets};
use crate::stats::{StatsCell, StreamStats};
use crate::tap::{Kind, Spout, Way};

/// Timestamp units in a tick of one millisecond.
const UNITS_PER_TICK: u32 = rtp::CLOCK_HZ / 1_000;

/// One direction of sound to one peer, with the RTCP that belongs to it.
///
/// Its timestamp follows from the tick alone, so that it runs on over pauses and lost time without
/// anybody counting; its sequence number follows from the packets sent.
///
/// What every packet needs lies in the first 128 bytes, in this order: a thousand streams do not fit
/// the cache together with the kernel's sockets, so each line that a packet touches costs it up to a
/// twentieth of the send itself.
#[derive(Debug)]
#[repr(C, align(128))]
pub(crate) struct Stream {
    /// The first tick in which to look at the RTCP schedule.
    rtcp_due: u64,
    /// The tick whose packet would follow the last one without a gap.
    next_tick: u64,
    held: Held,
    sender: Sender,
    key: StreamKey,
    /// The timestamp of tick 0, modulo 2^32.
    timestamp_zero: u32,
    ptime: Ptime,
    law: Law,
    paused: bool,
    /// Whether the packet before was sent: else the next begins a talk spurt.
    talking: bool,
    /// Whether somebody looks on, by `spout`.
    tapped: bool,
    playing: Option<Playing>,
    receiving: Option<Box<Receiving>>,
    rtcp: Rtcp,
    /// `packets` and `octets` are brought up to date by [`Stream::show`].
    stats: StreamStats,
    /// The sender's octets that `stats` knows of, modulo 2^32.
    octets_known: u32,
    shown: Arc<StatsCell>,
    spout: Option<Box<Spout>>,
}

#[derive(Debug)]
struct Rtcp {
    seed: u64,
    schedule: RtcpSchedule,
    cname: Box<[u8]>,
    remote: std::net::SocketAddr,
    /// Packets sent at the time of the last report and the one before: a sender is who sent since.
    sent: [u32; 2],
    peer_left: bool,
}

/// What of a stream changes with a new offer or answer.
#[derive(Debug)]
pub(crate) struct Update {
    pub(crate) law: Law,
    pub(crate) payload_type: u8,
    pub(crate) ptime: Ptime,
    pub(crate) receiving: Option<Box<Receiving>>,
    pub(crate) remote_rtcp: std::net::SocketAddr,
}

impl Stream {
    /// A silent stream that has not joined an engine; its sockets are connected already.
    pub(crate) fn new(
        key: StreamKey,
        config: &StreamConfig,
        sockets: Arc<Sockets>,
        shown: Arc<StatsCell>,
        seed: u64,
    ) -> Self {
        let schedule = RtcpSchedule::new(seed, Mono::default().coarse());
        let cname = config.cname.as_bytes();
        Self {
            key,
            sender: Sender::new(config.start, config.payload_type),
            playing: None,
            ptime: config.ptime,
            law: config.law,
            paused: false,
            talking: false,
            tapped: false,
            timestamp_zero: config.start.timestamp,
            next_tick: 0,
            held: Held::new(sockets),
            receiving: Receiving::new(config).map(Box::new),
            rtcp: Rtcp {
                seed,
                schedule,
                cname: cname.get(..255).unwrap_or(cname).into(),
                remote: config.rtcp(),
                sent: [0; 2],
                peer_left: false,
            },
            stats: StreamStats::default(),
            octets_known: 0,
            rtcp_due: 0,
            shown,
            spout: None,
        }
    }

    /// Begins its time.
    pub(crate) fn join(&mut self, now: Mono) {
        let ticks = low(now.as_millis());
        self.timestamp_zero = self.timestamp_zero.wrapping_sub(ticks.wrapping_mul(UNITS_PER_TICK));
        self.rtcp.schedule = RtcpSchedule::new(self.rtcp.seed, now.coarse());
        self.rtcp_due = tick_of(&self.rtcp.schedule);
    }

    pub(crate) fn key(&self) -> StreamKey {
        self.key
    }

    pub(crate) fn ptime(&self) -> Ptime {
        self.ptime
    }

    /// Whether it may take another slot without anybody hearing it.
    pub(crate) fn is_resting(&self) -> bool {
        !self.talking
    }

    /// The first tick in which it could send.
    pub(crate) fn next_tick(&self) -> u64 {
        self.next_tick
    }

    pub(crate) fn play(&mut self, program: Program, desk: &mut Desk) {
        self.stop(StopReason::Replaced, desk);
        self.paused = false;
        self.playing = Some(Playing::new(program));
    }

    pub(crate) fn pause(&mut self) {
        self.paused = true;
    }

    pub(crate) fn resume(&mut self) {
        self.paused = false;
    }

    pub(crate) fn gain(&mut self, gain: Gain, desk: &mut Desk) {
        if let Some(playing) = &mut self.playing {
            playing.set_gain(gain, self.law, desk);
        }
    }

    pub(crate) fn stop(&mut self, why: StopReason, desk: &mut Desk) {
        if let Some(playing) = self.playing.take() {
            let (stream, program, at_samples) = (self.key, playing.id(), playing.at());
            desk.report(Report::Stopped { stream, program, at_samples, why });
            playing.retire(desk);
        }
    }

    pub(crate) fn update(&mut self, update: &mut Update, desk: &mut Desk) {
        self.talking &= self.ptime == update.ptime;
        self.law = update.law;
        self.ptime = update.ptime;
        self.sender.set_payload_type(update.payload_type);
        self.rtcp.remote = update.remote_rtcp;
        match (&mut self.receiving, &mut update.receiving) {
            (Some(old), Some(new)) => old.change(new),
            // What is no longer wanted leaves the tick with the update.
            (old, new) => std::mem::swap(old, new),
        }
        if let Some(playing) = &mut self.playing {
            playing.rejoin(self.law, desk);
        }
    }

    /// Does what is due at `tick`, one of the stream's own. Answers how many bytes of `packet` are to
    /// be sent; what is sent then is counted already.
    pub(crate) fn prepare(
        &mut self,
        tick: u64,
        now: Mono,
        desk: &mut Desk,
        packet: &mut Packet,
    ) -> usize {
        if tick >= self.rtcp_due {
            self.rtcp_due(now, desk);
        }
        if let Some(receiving) = &mut self.receiving {
            // Not looked at without need: it lies far from what every packet wants.
            let spout = if self.tapped { self.spout.as_deref_mut() } else { None };
            self.tapped = spout.as_ref().is_some_and(|spout| spout.is_wanted());
            let to = (&mut self.stats, spout);
            receiving.sweep((self.key, now), self.held.sockets(), to, desk);
        }
        if self.playing.is_some() && !self.paused {
            return self.next_packet(tick, now, desk, packet);
        }
        if self.talking {
            self.talking = false;
            self.show();
        }
        0
    }

    fn next_packet(&mut self, tick: u64, now: Mono, desk: &mut Desk, packet: &mut Packet) -> usize {
        // A new slot may come round before the last packet's sound is over.
        if tick < self.next_tick {
            return 0;
        }
        let end = HEADER_BYTES + self.ptime.samples();
        let Some((header, codes)) =
            packet.get_mut(..end).and_then(<[u8]>::split_first_chunk_mut::<HEADER_BYTES>)
        else {
            return 0;
        };
        let filled = self.fill(codes, tick, now, desk);
        if matches!(filled, Filled::Last | Filled::Over)
            && let Some(playing) = self.playing.take()
        {
            playing.retire(desk);
        }
        if matches!(filled, Filled::Nothing | Filled::Over) {
            self.talking = false;
            return 0;
        }
        let follows = self.talking && tick == self.next_tick;
        if self.talking && tick > self.next_tick {
            self.stats.skipped += (tick - self.next_tick).div_ceil(u64::from(self.ptime.ms()));
        }
        self.talking = true;
        self.next_tick = tick + u64::from(self.ptime.ms());
        let marker = if follows { Marker::Clear } else { Marker::Set };
        let octets = u32::try_from(codes.len()).unwrap_or(0);
        *header = self.sender.header(self.timestamp(tick), marker, octets);
        if self.sender.packets().is_multiple_of(16) {
            self.show();
        }
        end
    }

    /// Sends what [`Stream::prepare`] has put together.
    pub(crate) fn send(&mut self, packet: &[u8], now: Mono) {
        if self.tapped {
            self.copy(Way::Out, Kind::Rtp, now, packet);
        }
        match self.held.send(packet) {
            Ok(()) => {}
            Err(SendFault::Refused) => self.stats.refused += 1,
            Err(SendFault::Other) => self.stats.failed += 1,
        }
    }

    /// Has copies of all its datagrams made from now on, in place of whoever had them before.
    pub(crate) fn tap(&mut self, spout: Box<Spout>, desk: &mut Desk) {
        self.tapped = true;
        if let Some(old) = self.spout.replace(spout) {
            desk.retire(Retired::Spout(old));
        }
    }

    fn copy(&mut self, way: Way, kind: Kind, now: Mono, datagram: &[u8]) {
        if !self.tapped {
            return;
        }
        let Some(spout) = self.spout.as_deref_mut() else { return };
        // What is no longer wanted stays where it is to the stream's end: nothing is freed here.
        self.tapped = spout.is_wanted();
        if self.tapped {
            spout.copy(way, kind, now, datagram);
        }
    }

    fn fill(&mut self, codes: &mut [u8], tick: u64, now: Mono, desk: &mut Desk) -> Filled {
        let Some(playing) = &mut self.playing else { return Filled::Nothing };
        if !desk.has_room() {
            self.stats.held += 1;
            silence(self.law, codes, 0);
            return Filled::Packet;
        }
        let moment = Moment { stream: self.key, law: self.law, tick, now };
        playing.fill(moment, codes, &mut self.stats, desk)
    }

    fn timestamp(&self, tick: u64) -> u32 {
        self.timestamp_zero.wrapping_add(low(tick).wrapping_mul(UNITS_PER_TICK))
    }

    fn rtcp_due(&mut self, now: Mono, desk: &Desk) {
        if self.rtcp.schedule.expired(now.coarse(), 2) {
            let writer = self.compound(now, desk);
            self.send_rtcp(&writer, now);
        }
        self.rtcp_due = tick_of(&self.rtcp.schedule);
        self.show();
    }

    /// The report that every compound begins with, and our name. RFC 3550 §6.1.
    fn compound(&mut self, now: Mono, desk: &Desk) -> Writer {
        let packets = self.sender.packets();
        let [last, before] = self.rtcp.sent;
        self.rtcp.sent = [packets, last];
        let units = low(now.as_nanos() / 125_000);
        // RFC 3550 §6.4: a sender is who sent since its report before the last.
        let sender = (packets != before).then(|| SenderInfo {
            ntp: ntp(now.as_nanos().saturating_add(desk.wall_ahead)),
            timestamp: self.timestamp_zero.wrapping_add(units),
            packets,
            octets: self.sender.octets(),
        });
        let block = self.receiving.as_mut().and_then(|r| r.reception.report(now.coarse()));
        let ssrc = self.sender.ssrc();
        let mut writer = Writer::new(ssrc, sender, block);
        writer.cname(ssrc, &self.rtcp.cname);
        writer
    }

    fn send_rtcp(&mut self, writer: &Writer, now: Mono) {
        let bytes = writer.bytes();
        self.copy(Way::Out, Kind::Rtcp, now, bytes);
        self.rtcp.schedule.measured(u32::try_from(bytes.len()).unwrap_or(0));
        match self.held.sockets().send_rtcp(bytes, self.rtcp.remote) {
            Ok(()) => self.stats.reports_sent += 1,
            Err(SendFault::Refused) => self.stats.refused += 1,
            Err(SendFault::Other) => self.stats.failed += 1,
        }
    }

    /// Reads one RTCP datagram that is waiting.
    pub(crate) fn read_rtcp(&mut self, now: Mono, desk: &mut Desk) {
        let mut inbox = [0; 1_500];
        let Some(bytes) = self.held.sockets().receive_rtcp(&mut inbox) else { return };
        self.copy(Way::In, Kind::Rtcp, now, bytes);
        let Some(compound) = rtp::rtcp::Compound::parse(bytes) else { return };
        self.stats.reports_received += 1;
        self.rtcp.schedule.measured(u32::try_from(bytes.len()).unwrap_or(0));
        compound.for_each(|said| match said {
            Said::Sender { ssrc, info } => {
                if let Some(receiving) = &mut self.receiving {
                    receiving.reception.sender_report(now.coarse(), ssrc, info.ntp);
                }
            }
            Said::Block(block) if block.ssrc == self.sender.ssrc() => {
                self.peer_report(now, &block, desk);
            }
            Said::Block(_) => {}
            Said::Bye { .. } => {
                if !self.rtcp.peer_left && desk.has_room() {
                    self.rtcp.peer_left = true;
                    desk.report(Report::PeerLeft { stream: self.key });
                }
            }
        });
        self.show();
    }

    fn peer_report(&mut self, now: Mono, block: &ReportBlock, desk: &Desk) {
        self.stats.peer_fraction_lost = u64::from(block.fraction_lost);
        self.stats.peer_lost = i64::from(block.lost);
        self.stats.peer_jitter = u64::from(block.jitter);
        let wall = ntp(now.as_nanos().saturating_add(desk.wall_ahead));
        if let Some(us) = block.round_trip_us(wall) {
            self.stats.round_trip_us = us;
        }
    }

    /// Ends it: the peer is told, if it ever heard of us. RFC 3550 §6.3.7.
    pub(crate) fn leave(&mut self, now: Mono, desk: &mut Desk) {
        self.stop(StopReason::Removed, desk);
        if self.sender.packets() > 0 || self.stats.reports_sent > 0 {
            let mut writer = self.compound(now, desk);
            writer.bye(self.sender.ssrc());
            self.send_rtcp(&writer, now);
        }
        self.show();
    }

    pub(crate) fn retire(self: Box<Self>, desk: &mut Desk) {
        desk.retire(Retired::Stream(self));
    }

    fn show(&mut self) {
        if let Some(receiving) = &self.receiving {
            receiving.figures(&mut self.stats);
        }
        let octets = self.sender.octets();
        self.stats.packets = u64::from(self.sender.packets());
        self.stats.octets += u64::from(octets.wrapping_sub(self.octets_known));
        self.octets_known = octets;
        self.shown.publish(&self.stats);
    }
}

/// The tick in which a schedule is due: never before its moment.
fn tick_of(schedule: &RtcpSchedule) -> u64 {
    schedule.due().as_micros().div_ceil(1_000)
}

/// The lower 32 bits: timestamps go in circles.
fn low(wide: u64) -> u32 {
    let [.., a, b, c, d] = wide.to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}

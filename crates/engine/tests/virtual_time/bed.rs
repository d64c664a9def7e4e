//! An engine driven by hand in virtual time, with peers on real loopback sockets.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};

use audio::{Gain, Law, g711};
use engine::{
    Engine, EngineConfig, Engines, Mono, Piece, Program, ProgramId, Pump, Receive, Report,
    StreamConfig, StreamKey,
};
use rtp::{Packet, Ptime, Start};

pub(crate) const START: Start = Start { ssrc: 0xfeed, sequence: 65_534, timestamp: 1_000 };

/// A packet as a peer got it, and the millisecond of the bed's run in which it came.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Got {
    pub(crate) at: u64,
    pub(crate) sequence: u16,
    pub(crate) timestamp: u32,
    pub(crate) marker: bool,
    pub(crate) payload_type: u8,
    pub(crate) payload: Vec<u8>,
}

pub(crate) struct Peer {
    pub(crate) rtp: UdpSocket,
    pub(crate) rtcp: UdpSocket,
    pub(crate) got: Vec<Got>,
    /// RTCP datagrams, with the millisecond.
    pub(crate) reports: Vec<(u64, Vec<u8>)>,
}

impl Peer {
    pub(crate) fn new(address: IpAddr) -> Self {
        let bind = || {
            let socket = UdpSocket::bind((address, 0)).unwrap();
            socket.set_nonblocking(true).unwrap();
            socket
        };
        Self { rtp: bind(), rtcp: bind(), got: Vec::new(), reports: Vec::new() }
    }

    pub(crate) fn config(&self) -> StreamConfig {
        StreamConfig {
            remote_rtp: self.rtp.local_addr().unwrap(),
            remote_rtcp: Some(self.rtcp.local_addr().unwrap()),
            law: Law::Mu,
            payload_type: 0,
            ptime: Ptime::DEFAULT,
            telephone_event: Some(101),
            receive: Receive::Listen,
            start: START,
            cname: "bed".into(),
            dscp: engine::Marks { rtp: 46, rtcp: 46 },
        }
    }

    pub(crate) fn poll(&mut self, at: u64) {
        let mut bytes = [0; 2_000];
        while let Ok(len) = self.rtp.recv(&mut bytes) {
            let packet = Packet::parse(&bytes[..len]).unwrap();
            assert_eq!(packet.ssrc, START.ssrc);
            self.got.push(Got {
                at,
                sequence: packet.sequence,
                timestamp: packet.timestamp,
                marker: packet.marker,
                payload_type: packet.payload_type,
                payload: packet.payload.to_vec(),
            });
        }
        while let Ok(len) = self.rtcp.recv(&mut bytes) {
            self.reports.push((at, bytes[..len].to_vec()));
        }
    }

    /// All payload so far.
    pub(crate) fn heard(&self) -> Vec<u8> {
        self.got.iter().flat_map(|got| got.payload.clone()).collect()
    }
}

pub(crate) struct Bed {
    pub(crate) engines: Engines,
    pub(crate) engine: Engine,
    pub(crate) pump: Pump,
    pub(crate) reports: Arc<Mutex<Vec<Report>>>,
    /// The monotonic millisecond in which the run began: a multiple of 600.
    pub(crate) began: u64,
    /// Milliseconds since then.
    pub(crate) now: u64,
    pub(crate) peers: Vec<Peer>,
}

impl Bed {
    pub(crate) fn new() -> Self {
        Self::with(EngineConfig { streams_max: 64, ..EngineConfig::default() })
    }

    pub(crate) fn with(config: EngineConfig) -> Self {
        let reports = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&reports);
        let port_ranges = match config.port_ranges {
            ranges if ranges == EngineConfig::default().port_ranges => vec![24_000..=29_999],
            other => other,
        };
        let config = EngineConfig { port_ranges, ..config };
        let push = move |report| sink.lock().unwrap().push(report);
        let (engines, mut machines, pump) = Engines::by_hand(&config, Box::new(push)).unwrap();
        let mut engine = machines.remove(0);
        let began = (engine.due().as_millis() / 600 + 10) * 600;
        // Far late: it leaves everything out up to here.
        engine.tick(Mono::from_millis(began - 1));
        Self { engines, engine, pump, reports, began, now: 0, peers: Vec::new() }
    }

    /// A stream to a new peer.
    pub(crate) fn stream(&mut self, change: impl FnOnce(&mut StreamConfig)) -> StreamKey {
        let peer = Peer::new(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let mut config = peer.config();
        change(&mut config);
        self.peers.push(peer);
        self.engines.add(self.engines.reserve().unwrap(), &config).unwrap()
    }

    pub(crate) fn play(&self, key: StreamKey, number: u64, pieces: Vec<Piece>) {
        self.play_with(key, number, Gain::UNITY, pieces);
    }

    pub(crate) fn play_with(&self, key: StreamKey, number: u64, gain: Gain, pieces: Vec<Piece>) {
        let (mut ring, program) =
            Program::new(ProgramId::from_number(number), gain, pieces.len().max(1));
        pieces.into_iter().for_each(|piece| ring.push(piece).unwrap());
        self.engines.play(key, program).unwrap();
        // Kept from being abandoned; the program has its end in it.
        std::mem::forget(ring);
    }

    /// Lets `ms` pass, a tick each.
    pub(crate) fn run(&mut self, ms: u64) {
        for _ in 0..ms {
            self.engine.tick(Mono::from_millis(self.began + self.now));
            self.settle();
            self.now += 1;
        }
    }

    /// Lets `ms` pass without a tick, as if the thread had been held up, then one late tick.
    pub(crate) fn stall(&mut self, ms: u64) {
        self.now += ms;
        loop {
            let now = Mono::from_millis(self.began + self.now);
            let next = self.engine.tick(now);
            self.settle();
            if next > now {
                break;
            }
        }
        self.now += 1;
    }

    fn settle(&mut self) {
        self.pump.drain();
        self.peers.iter_mut().for_each(|peer| peer.poll(self.now));
    }

    /// The reports so far, shortly: `tag 3 of 1 at 160`.
    pub(crate) fn told(&self) -> Vec<String> {
        self.reports.lock().unwrap().iter().map(|report| self.brief(report)).collect()
    }

    fn brief(&self, report: &Report) -> String {
        let ms = |at: &Mono| at.as_millis() - self.began;
        match report {
            Report::Tag { program, tag, at_samples, sent_at, .. } => {
                format!("tag {tag} of {} at {at_samples}, {} ms", program.number(), ms(sent_at))
            }
            Report::Finished { program, at_samples, sent_at, .. } => {
                format!("finished {} at {at_samples}, {} ms", program.number(), ms(sent_at))
            }
            Report::Abandoned { program, at_samples, .. } => {
                format!("abandoned {} at {at_samples}", program.number())
            }
            Report::Starved { program, at_samples, .. } => {
                format!("starved {} at {at_samples}", program.number())
            }
            Report::Stopped { program, at_samples, why, .. } => {
                format!("stopped {} at {at_samples}, {why:?}", program.number())
            }
            Report::Digit { event, duration_ms, .. } => format!("digit {event} {duration_ms}"),
            Report::PeerLeft { .. } => "peer left".into(),
            Report::Gone { .. } => "gone".into(),
        }
    }
}

/// A clip of a ramp that starts at `from`, so that every sample tells where it stands.
pub(crate) fn ramp(from: i16, count: usize) -> Arc<[i16]> {
    (0..count).map(|n| from.wrapping_add(i16::try_from(n % 30_000).unwrap())).collect()
}

pub(crate) fn clip(samples: &Arc<[i16]>) -> Piece {
    Piece::Clip { samples: Arc::clone(samples), from: 0, to: samples.len() }
}

pub(crate) fn encoded(law: Law, samples: &[i16]) -> Vec<u8> {
    let mut codes = vec![0; samples.len()];
    g711::encode(law, samples, &mut codes);
    codes
}

/// A telephone-event or other packet to a stream whose RTP port is `port`.
pub(crate) fn packet(payload_type: u8, sequence: u16, timestamp: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x80, payload_type];
    bytes.extend(sequence.to_be_bytes());
    bytes.extend(timestamp.to_be_bytes());
    bytes.extend(7_u32.to_be_bytes());
    bytes.extend(payload);
    bytes
}

pub(crate) fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;

use audio::Law;
use rtp::{Ptime, Start};

/// Streams that one engine holds unless the configuration says otherwise.
pub const STREAMS_MAX: usize = 8_000;

/// Engines in one process at most.
pub const ENGINES_MAX: usize = 64;

/// How the engines of a process are set up.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// Media threads, 1 to [`ENGINES_MAX`]; each is pinned to a processor of its own, the last ones first.
    pub engines: usize,
    /// The `SCHED_FIFO` priority (1 to 99); `None` leaves the threads in the normal class.
    pub priority: Option<u8>,
    /// Keeps the whole process in memory, where the system allows it.
    pub lock_memory: bool,
    /// Ports for RTP (even) and RTCP (the odd one above).
    pub port_ranges: Vec<RangeInclusive<u16>>,
    /// The address that every media socket is bound to, IPv4 or IPv6.
    pub bind: IpAddr,
    /// New streams are refused while an engine is busier than this, in percent.
    pub refuse_above: u8,
    /// Streams per engine, at most.
    pub streams_max: usize,
    /// Seeds the timing of reports.
    pub seed: [u8; 32],
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            engines: 1,
            priority: Some(20),
            lock_memory: false,
            port_ranges: vec![16_384..=32_767],
            bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
            refuse_above: 80,
            streams_max: STREAMS_MAX,
            seed: [0; 32],
        }
    }
}

/// Whether a stream listens to what its peer sends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Receive {
    /// Telephone-events and reception statistics.
    Listen,
    /// What comes is dropped by the kernel.
    Ignore,
}

/// What was negotiated for one stream.
#[derive(Clone, Debug)]
pub struct StreamConfig {
    /// Where RTP goes.
    pub remote_rtp: SocketAddr,
    /// Where RTCP goes; `None` is the port above RTP's. RFC 3550 §11.
    pub remote_rtcp: Option<SocketAddr>,
    /// The code of what is sent.
    pub law: Law,
    /// The payload type of what is sent, 0 to 127.
    pub payload_type: u8,
    /// How much each packet carries.
    pub ptime: Ptime,
    /// The payload type of telephone-events that come in.
    pub telephone_event: Option<u8>,
    /// Whether what the peer sends is read at all.
    pub receive: Receive,
    /// Where the stream's numbers begin; of no effect in an update.
    pub start: Start,
    /// Names the sender in RTCP; up to 255 bytes. Of no effect in an update.
    pub cname: String,
    /// The Differentiated Services code points of RTP and of RTCP, 0 to 63. RFC 2474.
    pub dscp: Marks,
}

/// How the packets of a stream are marked. RFC 2474.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Marks {
    /// RTP, 0 to 63.
    pub rtp: u8,
    /// RTCP, 0 to 63.
    pub rtcp: u8,
}

impl StreamConfig {
    /// Where RTCP goes: as negotiated, or the port above RTP's. RFC 3550 §11.
    pub(crate) fn rtcp(&self) -> SocketAddr {
        self.remote_rtcp.unwrap_or_else(|| {
            let mut above = self.remote_rtp;
            above.set_port(above.port().saturating_add(1));
            above
        })
    }
}

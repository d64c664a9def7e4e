//! Copies of SIP messages for a collector that speaks HEPv3 ("EEP"), as HOMER does: one datagram a message.
//!
//! The packet is `HEP3`, its length, then chunks of vendor, type, length and value, all in network order.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sip::agent::Transport;

/// The longest message that is copied: with its chunks it must fit a datagram.
const PAYLOAD_BYTES_MAX: usize = 65_000;
/// The protocol of the payload: SIP.
const SIP: u8 = 1;

/// The types of chunks of the generic vendor, 0.
mod chunk {
    pub(super) const FAMILY: u16 = 1;
    pub(super) const PROTOCOL: u16 = 2;
    pub(super) const SOURCE_IP4: u16 = 3;
    pub(super) const DESTINATION_IP4: u16 = 4;
    pub(super) const SOURCE_IP6: u16 = 5;
    pub(super) const DESTINATION_IP6: u16 = 6;
    pub(super) const SOURCE_PORT: u16 = 7;
    pub(super) const DESTINATION_PORT: u16 = 8;
    pub(super) const SECONDS: u16 = 9;
    pub(super) const MICROSECONDS: u16 = 10;
    pub(super) const PAYLOAD_PROTOCOL: u16 = 11;
    pub(super) const AGENT: u16 = 12;
    pub(super) const KEY: u16 = 14;
    pub(super) const PAYLOAD: u16 = 15;
    pub(super) const NODE: u16 = 19;
}

/// Sends to one collector. A collector that is away is not waited for.
#[derive(Clone, Debug)]
pub struct Hep(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    socket: OnceLock<UdpSocket>,
    agent: u32,
    key: Option<vocab::Secret>,
    node: String,
    lost: AtomicU64,
}

impl Hep {
    /// Not connected yet. We are `agent` to the collector, and `node`, and show `key` if it wants one.
    #[must_use]
    pub fn new(agent: u32, key: Option<vocab::Secret>, node: String) -> Self {
        let (socket, lost) = (OnceLock::new(), AtomicU64::new(0));
        Self(Arc::new(Inner { socket, agent, key, node, lost }))
    }

    /// Sends to this collector from now on.
    ///
    /// # Errors
    /// When there is no socket or no way there.
    pub fn connect(&self, collector: SocketAddr) -> io::Result<()> {
        let any: SocketAddr = if collector.is_ipv4() {
            (std::net::Ipv4Addr::UNSPECIFIED, 0).into()
        } else {
            (std::net::Ipv6Addr::UNSPECIFIED, 0).into()
        };
        let socket = UdpSocket::bind(any)?;
        socket.connect(collector)?;
        socket.set_nonblocking(true)?;
        // The first one stays.
        let _ = self.0.socket.set(socket);
        Ok(())
    }

    /// Copies that were lost: there was no collector yet, or the system had no room.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.0.lost.load(Ordering::Relaxed)
    }

    /// Sends a copy; what the system has no room for is lost.
    pub fn send(
        &self,
        at: Duration,
        transport: Transport,
        way: (SocketAddr, SocketAddr),
        message: &[u8],
    ) {
        let packet = || self.packet(at, transport, way, message);
        let sent = self.0.socket.get().map(|socket| socket.send(&packet()));
        if !matches!(sent, Some(Ok(_))) {
            self.0.lost.fetch_add(1, Ordering::Relaxed);
            tracing::debug!(?sent, "no copy for the HEP collector");
        }
    }

    fn packet(
        &self,
        at: Duration,
        transport: Transport,
        (from, to): (SocketAddr, SocketAddr),
        message: &[u8],
    ) -> Vec<u8> {
        let mut packet = b"HEP3\0\0".to_vec();
        let mut put = |kind: u16, value: &[u8]| {
            let length = u16::try_from(value.len() + 6).unwrap_or(u16::MAX);
            packet.extend_from_slice(&[0, 0]);
            packet.extend_from_slice(&kind.to_be_bytes());
            packet.extend_from_slice(&length.to_be_bytes());
            packet.extend_from_slice(value);
        };
        match (from.ip().to_canonical(), to.ip().to_canonical()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                put(chunk::FAMILY, &[2]);
                put(chunk::SOURCE_IP4, &from.octets());
                put(chunk::DESTINATION_IP4, &to.octets());
            }
            (from, to) => {
                let wide = |ip: IpAddr| match ip {
                    IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
                    IpAddr::V6(ip) => ip.octets(),
                };
                put(chunk::FAMILY, &[10]);
                put(chunk::SOURCE_IP6, &wide(from));
                put(chunk::DESTINATION_IP6, &wide(to));
            }
        }
        let protocol = match transport {
            Transport::Udp => 17,
            Transport::Tcp => 6,
        };
        put(chunk::PROTOCOL, &[protocol]);
        put(chunk::SOURCE_PORT, &from.port().to_be_bytes());
        put(chunk::DESTINATION_PORT, &to.port().to_be_bytes());
        put(chunk::SECONDS, &u32::try_from(at.as_secs()).unwrap_or(u32::MAX).to_be_bytes());
        put(chunk::MICROSECONDS, &at.subsec_micros().to_be_bytes());
        put(chunk::PAYLOAD_PROTOCOL, &[SIP]);
        put(chunk::AGENT, &self.0.agent.to_be_bytes());
        if let Some(key) = &self.0.key {
            put(chunk::KEY, key.reveal().as_bytes());
        }
        put(chunk::NODE, self.0.node.as_bytes());
        put(chunk::PAYLOAD, message.get(..PAYLOAD_BYTES_MAX).unwrap_or(message));
        let length = u16::try_from(packet.len()).unwrap_or(u16::MAX).to_be_bytes();
        packet.splice(4..6, length);
        packet
    }
}

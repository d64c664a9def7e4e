//! SIP over UDP. The socket is emptied at once into one short queue per peer, and the queues are
//! served in turn: a peer that floods fills its own queue, and only its own messages are dropped.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sip::agent::{Flow, Transport};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

use super::NetEvent;

/// Messages of one peer that may wait; past it the newest is dropped and counted, and the peer
/// retransmits (RFC 3261 §17).
pub const PEER_QUEUE_MAX: usize = 1_024;

/// Messages of all peers that may wait.
pub const QUEUE_MAX: usize = 32_768;

/// The kernel's receive buffer, bytes: room for a burst while this process is not scheduled.
const RECEIVE_BUFFER_BYTES: usize = 8 << 20;

/// Datagrams read before the queues are served again.
const BATCH: usize = 64;

/// The largest datagram that UDP has.
const DATAGRAM_BYTES_MAX: usize = 65_535;

/// A bound UDP socket with its intake running.
#[derive(Clone, Debug)]
pub struct UdpPort {
    socket: Arc<UdpSocket>,
    local: SocketAddr,
    dropped: Arc<AtomicU64>,
}

impl UdpPort {
    /// Binds `address`.
    ///
    /// # Errors
    /// What the system says: address in use, not ours, or not permitted.
    pub fn bind(address: SocketAddr, dscp: Option<u8>) -> io::Result<Self> {
        let socket = socket2::Socket::new(
            socket2::Domain::for_address(address),
            socket2::Type::DGRAM,
            Some(socket2::Protocol::UDP),
        )?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        // A smaller buffer than asked for is no reason not to start.
        let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES);
        let _ = socket.set_send_buffer_size(RECEIVE_BUFFER_BYTES);
        super::stream::mark(&socket, address, dscp);
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        let socket = UdpSocket::from_std(socket.into())?;
        let local = socket.local_addr()?;
        Ok(Self { socket: Arc::new(socket), local, dropped: Arc::default() })
    }

    /// The address it is bound to.
    pub const fn local(&self) -> SocketAddr {
        self.local
    }

    /// Messages dropped because their peer's queue was full.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Sends one datagram, or drops it where the kernel has no room: SIP over UDP retransmits.
    pub fn send(&self, remote: SocketAddr, bytes: &[u8]) -> io::Result<()> {
        match self.socket.try_send_to(bytes, remote) {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Reads until the channel is closed.
    pub async fn run<E: From<NetEvent> + Send>(self, events: mpsc::Sender<E>) {
        let mut intake = Intake::default();
        let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
        loop {
            if intake.is_empty() {
                if self.socket.readable().await.is_err() {
                    continue;
                }
            } else {
                tokio::select! {
                    biased;
                    ready = self.socket.readable() => if ready.is_err() { continue },
                    permit = events.reserve() => match permit {
                        Ok(permit) => {
                            if let Some((remote, bytes)) = intake.next() {
                                permit.send(self.event(remote, bytes).into());
                            }
                        }
                        Err(_) => return,
                    },
                }
            }
            self.fill(&mut intake, &mut buffer);
            while !intake.is_empty() {
                match events.try_reserve() {
                    Ok(permit) => {
                        if let Some((remote, bytes)) = intake.next() {
                            permit.send(self.event(remote, bytes).into());
                        }
                    }
                    Err(mpsc::error::TrySendError::Full(())) => break,
                    Err(mpsc::error::TrySendError::Closed(())) => return,
                }
            }
        }
    }

    fn fill(&self, intake: &mut Intake, buffer: &mut [u8]) {
        for _ in 0..BATCH {
            // An ICMP error of an earlier send shows up here; the next datagram may be fine.
            let Ok((length, remote)) = self.socket.try_recv_from(buffer) else { return };
            let bytes = buffer.get(..length).unwrap_or_default();
            if !intake.push(remote, bytes) {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn event(&self, remote: SocketAddr, bytes: Vec<u8>) -> NetEvent {
        let flow = Flow { transport: Transport::Udp, local: self.local, remote, connection: None };
        NetEvent::Sip { flow, bytes }
    }
}

/// One queue per peer, served in turn.
#[derive(Debug, Default)]
struct Intake {
    queues: BTreeMap<SocketAddr, VecDeque<Vec<u8>>>,
    turns: VecDeque<SocketAddr>,
    waiting: usize,
}

impl Intake {
    const fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// False when there was no room.
    fn push(&mut self, peer: SocketAddr, bytes: &[u8]) -> bool {
        if self.waiting >= QUEUE_MAX {
            return false;
        }
        let queue = self.queues.entry(peer).or_default();
        if queue.len() >= PEER_QUEUE_MAX {
            return false;
        }
        if queue.is_empty() {
            self.turns.push_back(peer);
        }
        queue.push_back(bytes.to_vec());
        self.waiting += 1;
        true
    }

    fn next(&mut self) -> Option<(SocketAddr, Vec<u8>)> {
        let peer = self.turns.pop_front()?;
        let queue = self.queues.get_mut(&peer)?;
        let bytes = queue.pop_front()?;
        self.waiting -= 1;
        if queue.is_empty() {
            self.queues.remove(&peer);
        } else {
            self.turns.push_back(peer);
        }
        Some((peer, bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_one_peer_costs_only_that_peer() {
        let (loud, quiet) = ("127.0.0.1:1".parse().unwrap(), "127.0.0.1:2".parse().unwrap());
        let mut intake = Intake::default();
        let kept = (0..5_000).filter(|_| intake.push(loud, b"loud")).count();
        assert_eq!(kept, PEER_QUEUE_MAX);
        assert!(intake.push(quiet, b"quiet"));
        let first_two = [intake.next().unwrap().0, intake.next().unwrap().0];
        assert_eq!(
            first_two,
            [loud, quiet],
            "the quiet peer waits for one message, not a thousand"
        );
    }
}

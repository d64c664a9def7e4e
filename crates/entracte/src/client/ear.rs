//! One RTP port that keeps what it hears, with the time at which each packet came.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use audio::{Law, g711};
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

use super::phone::{Tap, tap};

/// Packets kept: 20 minutes at 20 ms.
const PACKETS_MAX: usize = 60_000;

/// One packet as it came.
#[derive(Clone, Debug)]
pub struct Heard {
    /// When.
    pub at: Instant,
    /// RTP sequence number.
    pub sequence: u16,
    /// RTP timestamp, in samples.
    pub timestamp: u32,
    /// Whether it begins a talk spurt.
    pub marker: bool,
    /// The audio.
    pub samples: Vec<i16>,
}

/// An open RTP port.
#[derive(Debug)]
pub struct Ear {
    local: SocketAddr,
    heard: Arc<Mutex<Vec<Heard>>>,
    task: JoinHandle<()>,
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Ear {
    /// Opens a free port on the address by which `server` is reached.
    ///
    /// # Errors
    /// What the system says.
    pub async fn open(server: SocketAddr, copy: Option<Tap>) -> io::Result<Self> {
        let probe = UdpSocket::bind(SocketAddr::new(unspecified(server), 0)).await?;
        probe.connect(server).await?;
        let socket = UdpSocket::bind(SocketAddr::new(probe.local_addr()?.ip(), 0)).await?;
        let local = socket.local_addr()?;
        let heard: Arc<Mutex<Vec<Heard>>> = Arc::default();
        let keep = Arc::clone(&heard);
        let task = tokio::spawn(async move {
            let mut buffer = vec![0; 2_048];
            while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
                let at = crate::clock::instant();
                let bytes = buffer.get(..length).unwrap_or_default();
                tap(copy.as_ref(), |tap| tap.udp(crate::clock::wall(), from, local, bytes));
                if let Some(packet) = read(at, bytes) {
                    let mut heard = keep.lock().unwrap_or_else(PoisonError::into_inner);
                    if heard.len() < PACKETS_MAX {
                        heard.push(packet);
                    }
                }
            }
        });
        Ok(Self { local, heard, task })
    }

    /// Where it listens.
    pub const fn local(&self) -> SocketAddr {
        self.local
    }

    /// Everything heard so far, in the order in which it came.
    pub fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Packets heard so far.
    pub fn count(&self) -> usize {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

const fn unspecified(like: SocketAddr) -> std::net::IpAddr {
    match like {
        SocketAddr::V4(_) => std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => std::net::IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED),
    }
}

fn read(at: Instant, bytes: &[u8]) -> Option<Heard> {
    let packet = rtp::Packet::parse(bytes).ok()?;
    let law = match packet.payload_type {
        0 => Law::Mu,
        8 => Law::A,
        _ => return None,
    };
    let mut samples = vec![0; packet.payload.len()];
    g711::decode(law, packet.payload, &mut samples);
    Some(Heard {
        at,
        sequence: packet.sequence,
        timestamp: packet.timestamp,
        marker: packet.marker,
        samples,
    })
}

/// Packets missing between the first and the last heard, by sequence number.
pub fn lost(heard: &[Heard]) -> u64 {
    let mut lost = 0_u64;
    for pair in heard.windows(2) {
        if let [one, two] = pair {
            let step = two.sequence.wrapping_sub(one.sequence);
            lost += u64::from(step.saturating_sub(1));
        }
    }
    lost
}

/// The audio on the stream's own timeline: packets placed by timestamp, silence between spurts.
pub fn timeline(heard: &[Heard]) -> Vec<i16> {
    let Some(first) = heard.first() else { return Vec::new() };
    let mut out: Vec<i16> = Vec::new();
    for packet in heard {
        let at = packet.timestamp.wrapping_sub(first.timestamp) as usize;
        // Half the space back: a packet older than the first.
        if at > 0x8000_0000 {
            continue;
        }
        if out.len() < at + packet.samples.len() {
            out.resize(at + packet.samples.len(), 0);
        }
        if let Some(place) = out.get_mut(at..at + packet.samples.len()) {
            place.copy_from_slice(&packet.samples);
        }
    }
    out
}

//! One RTP port and what it hears.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// One RTP packet.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    pub(crate) at: Instant,
    pub(crate) sequence: u16,
    pub(crate) timestamp: u32,
    pub(crate) marker: bool,
    pub(crate) payload_type: u8,
    pub(crate) payload: Vec<u8>,
}

impl Packet {
    pub(crate) fn samples(&self) -> Vec<i16> {
        let law = if self.payload_type == 8 { audio::Law::A } else { audio::Law::Mu };
        let mut samples = vec![0; self.payload.len()];
        audio::g711::decode(law, &self.payload, &mut samples);
        samples
    }
}

/// An open port, read by a thread of its own.
pub(crate) struct Ear {
    pub(crate) local: SocketAddr,
    pub(crate) socket: UdpSocket,
    heard: Arc<Mutex<Vec<Packet>>>,
    over: Arc<AtomicBool>,
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

impl Ear {
    pub(crate) fn open() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let local = socket.local_addr().unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let (heard, over) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (reader, keep, stop) =
            (socket.try_clone().unwrap(), Arc::clone(&heard), Arc::clone(&over));
        std::thread::spawn(move || {
            let mut room = [0; 2_048];
            while !stop.load(Ordering::Relaxed) {
                let Ok(length) = reader.recv(&mut room) else { continue };
                let at = Instant::now();
                let bytes = &room[..length];
                if length < 12 || bytes[0] != 0x80 {
                    continue;
                }
                keep.lock().unwrap().push(Packet {
                    at,
                    sequence: u16::from_be_bytes([bytes[2], bytes[3]]),
                    timestamp: u32::from_be_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]),
                    marker: bytes[1] & 0x80 != 0,
                    payload_type: bytes[1] & 0x7f,
                    payload: bytes[12..].to_vec(),
                });
            }
        });
        Self { local, socket, heard, over }
    }

    pub(crate) fn heard(&self) -> Vec<Packet> {
        self.heard.lock().unwrap().clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.heard.lock().unwrap().len()
    }

    pub(crate) fn forget(&self) {
        self.heard.lock().unwrap().clear();
    }

    /// Waits for `count` packets.
    #[track_caller]
    pub(crate) fn wait_for(&self, count: usize) -> Vec<Packet> {
        let end = Instant::now() + Duration::from_secs(4);
        while self.count() < count {
            assert!(Instant::now() < end, "{} of {count} packets came", self.count());
            std::thread::sleep(Duration::from_millis(5));
        }
        self.heard()
    }

    /// Packets that come within `span` from now.
    pub(crate) fn within(&self, span: Duration) -> usize {
        let before = self.count();
        std::thread::sleep(span);
        self.count() - before
    }

    /// All the audio, on the stream's own timeline; what was not sent is silence.
    pub(crate) fn audio(&self) -> Vec<i16> {
        // The last packet and the news of the end come by different ways.
        std::thread::sleep(Duration::from_millis(50));
        let heard = self.heard();
        let Some(first) = heard.first() else { return Vec::new() };
        let mut out: Vec<i16> = Vec::new();
        for packet in &heard {
            let at = packet.timestamp.wrapping_sub(first.timestamp) as usize;
            let samples = packet.samples();
            assert!(at < 8_000 * 600, "a timestamp out of line");
            out.resize(out.len().max(at + samples.len()), 0);
            out[at..at + samples.len()].copy_from_slice(&samples);
        }
        out
    }
}

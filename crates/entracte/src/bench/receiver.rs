//! Many RTP ports and one thread that reads them. The kernel stamps each packet as it comes, so the
//! thread may come late: it looks at each port ten times a second and wakes nobody.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, setsockopt, sockopt,
};
use nix::sys::time::TimeSpec;

/// Ports are taken from here up, in even and odd pairs as RTP wants them.
const PORT_FIRST: u16 = 33_000;

/// The kernel's receive buffer of each port, bytes: many times what comes between two looks.
const BUFFER_BYTES: usize = 512 << 10;

/// Datagrams taken in one call.
const BATCH: usize = 16;

/// Bytes of a datagram that are looked at.
const HEAD_BYTES: usize = 12;

/// The ports are looked at in so many shares, one after each pause.
const SHARES: usize = 10;

/// Between two shares.
const PAUSE: Duration = Duration::from_millis(10);

/// RTP timestamp units: 8,000 in a second.
const SAMPLE_NANOS: i64 = 125_000;

/// What came to one port.
#[derive(Clone, Debug, Default)]
pub struct Track {
    /// When the first packet came, nanoseconds since 1970.
    pub first: Option<u64>,
    /// When the last one came.
    pub last: Option<u64>,
    /// Packets, those that came twice not counted.
    pub packets: u64,
    /// Numbers between the first and the last that never came.
    pub lost: u64,
    /// Packets that came twice.
    pub duplicated: u64,
    /// Packets that came after a later one.
    pub reordered: u64,
    /// Packets within the window.
    pub in_window: u64,
    origin: Option<(u64, u32)>,
    highest: u16,
    recent: u64,
    offsets: Vec<i32>,
}

impl Track {
    /// Takes the head of one packet.
    fn take(&mut self, at: u64, head: [u8; HEAD_BYTES], in_window: bool) {
        let [first, _, s0, s1, t0, t1, t2, t3, ..] = head;
        if first >> 6 != 2 {
            return;
        }
        let sequence = u16::from_be_bytes([s0, s1]);
        let timestamp = u32::from_be_bytes([t0, t1, t2, t3]);
        if !self.count(sequence) {
            return;
        }
        self.first = self.first.or(Some(at));
        self.last = Some(at);
        if in_window {
            self.in_window += 1;
            let (began, start) = *self.origin.get_or_insert((at, timestamp));
            let media = i64::from(timestamp.wrapping_sub(start).cast_signed()) * SAMPLE_NANOS;
            let passed = at.wrapping_sub(began).cast_signed();
            let micros = passed.saturating_sub(media) / 1_000;
            self.offsets.push(i32::try_from(micros).unwrap_or(i32::MAX));
        }
    }

    /// Counts a packet by its number; false where it was here before.
    fn count(&mut self, sequence: u16) -> bool {
        if self.first.is_none() {
            self.highest = sequence;
            self.recent = 1;
            self.packets = 1;
            return true;
        }
        let step = sequence.wrapping_sub(self.highest).cast_signed();
        if step > 0 {
            let step = u64::from(step.unsigned_abs());
            self.highest = sequence;
            self.recent = if step < 64 { self.recent << step | 1 } else { 1 };
            self.lost += step - 1;
        } else {
            let back = u32::from(step.unsigned_abs());
            let bit = 1_u64.checked_shl(back).unwrap_or(0);
            if self.recent & bit != 0 {
                self.duplicated += 1;
                return false;
            }
            self.recent |= bit;
            self.reordered += 1;
            self.lost = self.lost.saturating_sub(1);
        }
        self.packets += 1;
        true
    }

    /// How late each packet of the window was, against the earliest that the stream ever was.
    pub fn lateness(&self) -> impl Iterator<Item = Duration> + '_ {
        let earliest = self.offsets.iter().copied().min().unwrap_or(0);
        self.offsets.iter().map(move |offset| {
            let late = i64::from(*offset) - i64::from(earliest);
            Duration::from_micros(late.unsigned_abs())
        })
    }
}

/// What the thread and its owner share.
#[derive(Debug, Default)]
struct Shared {
    packets: AtomicU64,
    heard: AtomicU64,
    from: AtomicU64,
    to: AtomicU64,
    end: AtomicBool,
}

/// The ports, and the thread that reads them.
#[derive(Debug)]
pub struct Receiver {
    addresses: Vec<SocketAddr>,
    hands: Vec<(UdpSocket, Arc<AtomicBool>)>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Vec<Track>>>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.shared.end.store(true, Ordering::Relaxed);
    }
}

impl Receiver {
    /// Opens so many pairs of ports on `ip`.
    ///
    /// # Errors
    /// What the system says; [`io::ErrorKind::AddrInUse`] where there are not so many.
    pub fn open(ip: IpAddr, count: usize) -> io::Result<Self> {
        let mut ports = Vec::with_capacity(count);
        let mut next = PORT_FIRST + PORT_FIRST % 2;
        while ports.len() < count {
            if next > u16::MAX - 3 {
                return Err(io::ErrorKind::AddrInUse.into());
            }
            match Port::open(ip, next) {
                Ok(port) => ports.push(port),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                Err(error) => return Err(error),
            }
            next += 2;
        }
        let addresses = ports.iter().map(|port| port.address).collect();
        let hand = |port: &Port| Ok((port.rtp.try_clone()?, Arc::clone(&port.expecting)));
        let hands = ports.iter().map(hand).collect::<io::Result<_>>()?;
        let shared = Arc::new(Shared::default());
        shared.from.store(u64::MAX, Ordering::Relaxed);
        shared.to.store(u64::MAX, Ordering::Relaxed);
        let seen = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("bench-receive".to_owned())
            .spawn(move || read_all(ports, &seen))?;
        Ok(Self { addresses, hands, shared, thread: Some(thread) })
    }

    /// The ports, in the order of the tracks.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// From now on the port counts what comes from `remote`, and nothing else: a server may still be
    /// sending to whoever had the port before.
    ///
    /// # Errors
    /// When there is no way to `remote`.
    pub fn expect(&self, number: usize, remote: SocketAddr) -> io::Result<()> {
        let Some((socket, expecting)) = self.hands.get(number) else { return Ok(()) };
        socket.connect(remote)?;
        // What came before from elsewhere is still in the queue.
        let mut nothing = [0; 1];
        while socket.recv(&mut nothing).is_ok() {}
        expecting.store(true, Ordering::Release);
        Ok(())
    }

    /// Packets so far.
    pub fn packets(&self) -> u64 {
        self.shared.packets.load(Ordering::Relaxed)
    }

    /// Ports to which anything came so far.
    pub fn heard(&self) -> u64 {
        self.shared.heard.load(Ordering::Relaxed)
    }

    /// Packets that come from now on are in the window. `at` is the time since 1970.
    pub fn begin_window(&self, at: Duration) {
        self.shared.from.store(nanos(at), Ordering::Relaxed);
    }

    /// Packets that come from now on are not.
    pub fn end_window(&self, at: Duration) {
        self.shared.to.store(nanos(at), Ordering::Relaxed);
    }

    /// Reads what is there, and ends.
    pub fn finish(mut self) -> Vec<Track> {
        self.shared.end.store(true, Ordering::Relaxed);
        self.thread.take().and_then(|thread| thread.join().ok()).unwrap_or_default()
    }
}

#[derive(Debug)]
struct Port {
    /// Only then does it count what comes.
    expecting: Arc<AtomicBool>,
    rtp: UdpSocket,
    /// Held so that the reports have somewhere to go; never read.
    _rtcp: UdpSocket,
    address: SocketAddr,
    track: Track,
}

impl Port {
    fn open(ip: IpAddr, number: u16) -> io::Result<Self> {
        let address = SocketAddr::new(ip, number);
        let rtp = UdpSocket::bind(address)?;
        let rtcp = UdpSocket::bind(SocketAddr::new(ip, number + 1))?;
        rtp.set_nonblocking(true)?;
        setsockopt(&rtp, sockopt::ReceiveTimestampns, &true)?;
        // The system may give less; nothing is lost while we look often enough.
        let _ = socket2::SockRef::from(&rtp).set_recv_buffer_size(BUFFER_BYTES);
        let expecting = Arc::default();
        Ok(Self { expecting, rtp, _rtcp: rtcp, address, track: Track::default() })
    }
}

fn read_all(mut ports: Vec<Port>, shared: &Shared) -> Vec<Track> {
    let mut headers = headers();
    let share = ports.len().div_ceil(SHARES).max(1);
    loop {
        let last = shared.end.load(Ordering::Relaxed);
        for some in ports.chunks_mut(share) {
            for port in some {
                read(port, &mut headers, shared);
            }
            if !last {
                std::thread::sleep(PAUSE);
            }
        }
        if last {
            return ports.into_iter().map(|port| port.track).collect();
        }
    }
}

fn headers() -> MultiHeaders<SockaddrStorage> {
    MultiHeaders::preallocate(BATCH, Some(nix::cmsg_space!(TimeSpec)))
}

/// Takes everything that waits at one port.
fn read(port: &mut Port, headers: &mut MultiHeaders<SockaddrStorage>, shared: &Shared) {
    let from = shared.from.load(Ordering::Relaxed);
    let to = shared.to.load(Ordering::Relaxed);
    loop {
        let mut heads = [[0_u8; HEAD_BYTES]; BATCH];
        let mut slices = heads.each_mut().map(|head| [IoSliceMut::new(head)]);
        let flags = MsgFlags::MSG_DONTWAIT;
        let mut stamps = [None; BATCH];
        let got = match recvmmsg(port.rtp.as_raw_fd(), headers, slices.iter_mut(), flags, None) {
            Ok(messages) => {
                let mut got = 0;
                for (message, stamp) in messages.zip(&mut stamps) {
                    *stamp = message
                        .cmsgs()
                        .ok()
                        .and_then(|mut all| all.find_map(|control| stamped(&control)));
                    got += 1;
                }
                got
            }
            // A report of an earlier send is of no interest.
            Err(Errno::EINTR | Errno::ECONNREFUSED) => continue,
            Err(_) => return,
        };
        if !port.expecting.load(Ordering::Acquire) {
            if got < BATCH as u64 {
                return;
            }
            continue;
        }
        if port.track.first.is_none() && got > 0 {
            shared.heard.fetch_add(1, Ordering::Relaxed);
        }
        shared.packets.fetch_add(got, Ordering::Relaxed);
        for (head, at) in heads.into_iter().zip(stamps) {
            if let Some(at) = at {
                port.track.take(at, head, at >= from && at < to);
            }
        }
        if got < BATCH as u64 {
            return;
        }
    }
}

fn stamped(control: &ControlMessageOwned) -> Option<u64> {
    if let ControlMessageOwned::ScmTimestampns(at) = control {
        return Some(nanos((*at).into()));
    }
    None
}

/// Nanoseconds since 1970: good until the year 2554.
fn nanos(at: Duration) -> u64 {
    u64::try_from(at.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(sequence: u16, timestamp: u32) -> [u8; HEAD_BYTES] {
        let mut head = [0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4];
        head[2..4].copy_from_slice(&sequence.to_be_bytes());
        head[4..8].copy_from_slice(&timestamp.to_be_bytes());
        head
    }

    fn check(sequences: &[u16], expected: (u64, u64, u64, u64)) {
        let mut track = Track::default();
        for sequence in sequences {
            track.take(1, head(*sequence, 0), true);
        }
        let counted = (track.packets, track.lost, track.duplicated, track.reordered);
        assert_eq!(counted, expected, "{sequences:?}");
    }

    #[test]
    fn packets_are_counted_by_their_numbers() {
        check(&[], (0, 0, 0, 0));
        check(&[65_535, 0, 1], (3, 0, 0, 0));
        check(&[1, 2, 4, 5], (4, 1, 0, 0));
        check(&[1, 2, 4, 3, 5], (5, 0, 0, 1));
        check(&[1, 2, 2, 3, 1], (3, 0, 2, 0));
        check(&[1, 200], (2, 198, 0, 0));
    }

    #[test]
    fn lateness_is_told_against_the_earliest_packet_whichever_it_was() {
        let mut track = Track::default();
        // The first is 3 ms late, the second on time, the third 1 ms late.
        for (sequence, millis) in [(0_u16, 3_u64), (1, 20), (2, 41)] {
            let at = 1_000_000_000 + millis * 1_000_000;
            track.take(at, head(sequence, u32::from(sequence) * 160), true);
        }
        let late: Vec<_> = track.lateness().map(|late| late.as_millis()).collect();
        assert_eq!(late, [3, 0, 1]);
    }

    #[test]
    fn a_port_hears_what_its_own_server_sends_to_it_and_when() {
        let receiver = Receiver::open([127, 0, 0, 1].into(), 2).unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
        stranger.send_to(&head(7, 0), receiver.addresses()[0]).unwrap();
        stranger.send_to(&head(7, 0), receiver.addresses()[1]).unwrap();
        receiver.expect(0, sender.local_addr().unwrap()).unwrap();
        receiver.expect(1, sender.local_addr().unwrap()).unwrap();
        stranger.send_to(&head(8, 0), receiver.addresses()[0]).unwrap();
        let before = crate::clock::wall();
        receiver.begin_window(before);
        for sequence in 0..40 {
            sender.send_to(&head(sequence, 0), receiver.addresses()[1]).unwrap();
        }
        let tracks = receiver.finish();
        assert_eq!(tracks.iter().map(|track| track.in_window).collect::<Vec<_>>(), [0, 40]);
        let first = Duration::from_nanos(tracks[1].first.unwrap());
        assert!(first >= before && first <= crate::clock::wall());
    }
}

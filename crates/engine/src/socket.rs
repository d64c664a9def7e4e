//! What the engine asks of the system: sockets, a bell, and the scheduling class of its threads.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};
use rustix::process::{Resource, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::ports::Lease;

/// Room in the kernel for what a peer sends: over half a second of packets.
const RECEIVE_BYTES: usize = 32 * 1_024;

/// Room where nothing is wanted: the kernel makes this its least, which is full after a packet or
/// two, and drops the rest. A filter would drop them all and costs a call more than its SIP does.
const NO_RECEIVE_BYTES: usize = 0;

/// Packets that may have come while nothing was wanted; more than fit.
const STALE_MAX: usize = 16;

/// A session's two sockets: RTP, connected to the peer, and RTCP.
#[derive(Debug)]
pub(crate) struct Sockets {
    rtp: Socket,
    rtcp: Socket,
    /// Given back when both are closed: fields drop in their order.
    pub(crate) lease: Lease,
}

/// Why a packet did not leave.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum SendFault {
    /// An earlier packet found nobody at the peer's port.
    Refused,
    /// No buffer, no route, no address.
    Other,
}

impl Sockets {
    /// Binds the pair; what arrives before [`Sockets::listen`] is dropped.
    pub(crate) fn bind(address: IpAddr, lease: Lease) -> Result<Self, (io::Error, Lease)> {
        let port = lease.rtp_port();
        match (bind(address, port), bind(address, port + 1)) {
            (Ok(rtp), Ok(rtcp)) => Ok(Self { rtp, rtcp, lease }),
            (Err(fault), _) | (_, Err(fault)) => Err((fault, lease)),
        }
    }

    /// Sends to, and takes packets from, this peer only.
    pub(crate) fn connect(&self, remote: SocketAddr, marks: crate::Marks) -> io::Result<()> {
        let local = self.rtp.local_addr()?.as_socket().map(|local| local.ip());
        for (socket, dscp) in [(&self.rtp, marks.rtp), (&self.rtcp, marks.rtcp)] {
            if matches!(local, Some(IpAddr::V6(_))) {
                socket.set_tclass_v6(u32::from(dscp) << 2)?;
            } else {
                socket.set_tos_v4(u32::from(dscp) << 2)?;
            }
        }
        self.rtp.connect(&SockAddr::from(fitting(remote, local)))
    }

    /// Lets packets in, or has the kernel drop them.
    pub(crate) fn listen(&self, wanted: crate::Receive) -> io::Result<()> {
        match wanted {
            crate::Receive::Ignore => self.rtp.set_recv_buffer_size(NO_RECEIVE_BYTES),
            crate::Receive::Listen => open(&self.rtp),
        }
    }

    /// Lets RTCP in and has `watch` tell of it.
    pub(crate) fn watch_rtcp(&self, watch: &OwnedFd, data: u64) -> io::Result<()> {
        use rustix::event::epoll::{EventData, EventFlags, add};
        open(&self.rtcp)?;
        Ok(add(watch, &self.rtcp, EventData::new_u64(data), EventFlags::IN)?)
    }

    pub(crate) fn send_rtcp(&self, packet: &[u8], remote: SocketAddr) -> Result<(), SendFault> {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        let local = self.lease.address();
        rustix::net::sendto(&self.rtcp, packet, flags, &fitting(remote, Some(local)))
            .map(|_| ())
            .map_err(fault)
    }

    /// One RTP datagram that is waiting.
    pub(crate) fn receive<'a>(&self, into: &'a mut [u8]) -> Option<&'a [u8]> {
        receive(&self.rtp, into)
    }

    /// One RTCP datagram that is waiting.
    pub(crate) fn receive_rtcp<'a>(&self, into: &'a mut [u8]) -> Option<&'a [u8]> {
        receive(&self.rtcp, into)
    }
}

/// A stream's hold on its sockets, with the RTP one at hand.
///
/// The descriptor is kept beside the pointer because following that costs every packet a line of
/// memory: 5 % of all that an engine does, as measured with 1,000 streams.
#[derive(Debug)]
pub(crate) struct Held {
    rtp: RawFd,
    sockets: Arc<Sockets>,
}

impl Held {
    pub(crate) fn new(sockets: Arc<Sockets>) -> Self {
        Self { rtp: sockets.rtp.as_raw_fd(), sockets }
    }

    pub(crate) fn sockets(&self) -> &Sockets {
        &self.sockets
    }

    /// Sends an RTP packet.
    #[expect(unsafe_code, reason = "the safe way is a pointer away, see above")]
    pub(crate) fn send(&self, packet: &[u8]) -> Result<(), SendFault> {
        // SAFETY: `self.sockets` owns this descriptor, never changes it, and outlives the borrow.
        let rtp = unsafe { BorrowedFd::borrow_raw(self.rtp) };
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        rustix::net::send(rtp, packet, flags).map(|_| ()).map_err(fault)
    }
}

fn receive<'a>(socket: &Socket, into: &'a mut [u8]) -> Option<&'a [u8]> {
    // An error here is an answer to an earlier send: the next send would count it, and this does not.
    let (len, _) = rustix::net::recv(socket, &mut *into, RecvFlags::DONTWAIT).ok()?;
    into.get(..len)
}

fn fault(errno: Errno) -> SendFault {
    if errno == Errno::CONNREFUSED { SendFault::Refused } else { SendFault::Other }
}

fn bind(address: IpAddr, port: u16) -> io::Result<Socket> {
    let local = SocketAddr::new(address, port);
    let socket = Socket::new(Domain::for_address(local), Type::DGRAM, Some(Protocol::UDP))?;
    if address == IpAddr::V6(Ipv6Addr::UNSPECIFIED) {
        socket.set_only_v6(false)?;
    }
    socket.set_recv_buffer_size(NO_RECEIVE_BYTES)?;
    socket.bind(&SockAddr::from(local))?;
    Ok(socket)
}

/// Lets packets in from now on; what came before is dropped. One that listens already loses nothing.
fn open(socket: &Socket) -> io::Result<()> {
    if socket.recv_buffer_size()? >= RECEIVE_BYTES {
        return Ok(());
    }
    let mut stale = [0; 1];
    for _ in 0..STALE_MAX {
        if receive(socket, &mut stale).is_none() {
            break;
        }
    }
    socket.set_recv_buffer_size(RECEIVE_BYTES)
}

/// An IPv4 peer as an IPv6 socket names it.
fn fitting(remote: SocketAddr, local: Option<IpAddr>) -> SocketAddr {
    match (local, remote.ip()) {
        (Some(IpAddr::V6(_)), IpAddr::V4(ip)) => {
            SocketAddr::new(IpAddr::V6(ip.to_ipv6_mapped()), remote.port())
        }
        _ => remote,
    }
}

/// A bell that one thread rings and another waits for.
pub(crate) fn bell() -> io::Result<OwnedFd> {
    Ok(eventfd(0, EventfdFlags::CLOEXEC)?)
}

/// Rings it; never waits.
pub(crate) fn ring(bell: &OwnedFd) {
    // It fails only at 2^64 - 1 unheard rings.
    let _rung = rustix::io::write(bell, &1_u64.to_ne_bytes());
}

/// Waits until it is rung.
pub(crate) fn heard(bell: impl AsFd) {
    let mut count = [0; 8];
    // A signal ends the wait early, and whoever waits then finds nothing to do.
    let _heard = rustix::io::read(bell, &mut count);
}

/// Lifts the limit of open files to what the system allows; answers what that is.
pub(crate) fn lift_open_files() -> Option<u64> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let hard = limit.maximum;
    setrlimit(Resource::Nofile, limit).ok().and(hard)
}

/// Processors that this process may use, lowest first.
pub(crate) fn processors() -> Vec<usize> {
    let Ok(allowed) = sched_getaffinity(None) else { return Vec::new() };
    (0..CpuSet::MAX_CPU).filter(|&cpu| allowed.is_set(cpu)).collect()
}

/// Keeps the calling thread on one processor.
pub(crate) fn pin(cpu: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu);
    Ok(sched_setaffinity(None, &set)?)
}

/// Puts the calling thread into `SCHED_FIFO`, ahead of everything of the normal class.
#[expect(unsafe_code, reason = "no safe wrapper among our dependencies sets a scheduling class")]
pub(crate) fn schedule_fifo(priority: u8) -> io::Result<()> {
    // Children get the normal class, so that a helper process never runs ahead of the machine.
    let policy = libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK;
    // SAFETY: all fields of `sched_param` are integers, for which zero is a value.
    let mut param: libc::sched_param = unsafe { std::mem::zeroed() };
    param.sched_priority = i32::from(priority);
    // SAFETY: `param` lives until the call returns, which only reads it; 0 is the calling thread.
    let answer = unsafe { libc::sched_setscheduler(0, policy, &raw const param) };
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Has timers fire at their moment, not up to 50 µs later.
pub(crate) fn sharpen_timers() {
    let _sharp = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1));
}

/// Keeps what the process has, and will have, in memory.
pub(crate) fn lock_memory() -> io::Result<()> {
    use rustix::mm::{MlockAllFlags, mlockall};
    Ok(mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE)?)
}

/// The calling thread's id, under which the system counts its processor time.
pub(crate) fn thread_id() -> i32 {
    rustix::thread::gettid().as_raw_nonzero().get()
}

/// Processor time of a thread of this process, in nanoseconds; 0 if the system does not tell.
pub(crate) fn processor_time(thread: i32) -> u64 {
    let path = format!("/proc/self/task/{thread}/schedstat");
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace().next().and_then(|first| first.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, UdpSocket};

    use super::*;

    #[test]
    fn what_came_before_anybody_listened_is_not_heard() {
        let here = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let socket = bind(here.ip(), 0).unwrap();
        let to = socket.local_addr().unwrap().as_socket().unwrap();
        let peer = UdpSocket::bind(here).unwrap();
        for _ in 0..100 {
            peer.send_to(b"stale", to).unwrap();
        }
        open(&socket).unwrap();
        let mut into = [0; 16];
        assert_eq!(receive(&socket, &mut into), None);
        for _ in 0..20 {
            peer.send_to(b"fresh", to).unwrap();
        }
        // Listening again loses nothing.
        open(&socket).unwrap();
        for _ in 0..20 {
            assert_eq!(receive(&socket, &mut into), Some(&b"fresh"[..]));
        }
    }
}

//! SIP and MRCPv2 over TCP. Each connection has a task that reads and a task that writes from a
//! bounded queue: a peer that sends and never reads fills its own queue, and is then closed. One that
//! begins a message and does not end it, or connects and says nothing, is closed by the clock.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sip::agent::{Flow, Transport};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use vocab::ConnectionId;

use super::{NetEvent, Origin, Protocol};
use crate::wire::Wire;

/// MRCPv2 connections open at once; past it a new one is closed at once. One serves many calls.
pub const MRCP_CONNECTIONS_MAX: usize = 10_000;

/// Messages that may wait for one peer to read; past it the connection is closed.
pub const WRITE_QUEUE_MAX: usize = 1_024;

/// Messages written at once.
const WRITE_BATCH: usize = 64;

/// How long a message may take from its first byte to its last.
pub const HALF_MESSAGE: Duration = Duration::from_secs(30);

/// How long one write may take before the peer counts as gone.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long what is queued may still be written once a connection is to be closed.
const FLUSH: Duration = Duration::from_secs(2);

/// How long a dialled connection may take.
const DIAL_TIMEOUT: Duration = Duration::from_secs(4);

/// How long a connection stays for the answer to what made it unreadable.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Bytes read at once.
const READ_BYTES: usize = 4_096;

/// The writing end of a connection. Dropping it closes the connection once what was queued is written.
#[derive(Debug)]
pub struct Writer {
    queue: mpsc::Sender<Vec<u8>>,
    waiting_bytes: Arc<AtomicUsize>,
    waiting_bytes_max: usize,
    /// Its end tells the reader that nobody wants to hear more.
    _held: oneshot::Sender<()>,
}

/// The peer does not read, or is gone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PeerStuck;

impl Writer {
    /// Queues a message.
    ///
    /// # Errors
    /// [`PeerStuck`] when the queue is full: drop the writer then.
    pub fn send(&self, bytes: Vec<u8>) -> Result<(), PeerStuck> {
        let waiting = self.waiting_bytes.fetch_add(bytes.len(), Ordering::Relaxed);
        if waiting > self.waiting_bytes_max {
            return Err(PeerStuck);
        }
        self.queue.try_send(bytes).map_err(|_| PeerStuck)
    }
}

/// Numbers and counts the connections of one server, and knows who looks on.
#[derive(Clone, Debug)]
pub struct Registry {
    wire: Wire,
    next: Arc<AtomicU64>,
    sip: Tally,
    mrcp: Tally,
}

/// The open connections of one protocol, in all and by peer.
#[derive(Clone, Debug)]
struct Tally {
    open: Arc<Mutex<Census>>,
    all_max: usize,
    peer_max: usize,
}

#[derive(Debug, Default)]
struct Census {
    all: usize,
    peers: BTreeMap<IpAddr, usize>,
}

/// Which limit refuses a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Full {
    All,
    Peer,
}

impl Registry {
    /// With the limits of SIP: in all, and from one address.
    pub fn new(sip_max: usize, sip_peer_max: usize, wire: Wire) -> Self {
        let tally = |all_max, peer_max| Tally { open: Arc::default(), all_max, peer_max };
        Self {
            wire,
            next: Arc::default(),
            sip: tally(sip_max, sip_peer_max),
            mrcp: tally(MRCP_CONNECTIONS_MAX, MRCP_CONNECTIONS_MAX),
        }
    }

    fn admit(&self, protocol: Protocol, peer: IpAddr) -> Result<(ConnectionId, Open), Full> {
        let tally = match protocol {
            Protocol::Sip => &self.sip,
            Protocol::Mrcp => &self.mrcp,
        };
        let open = tally.admit(peer)?;
        let number = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        Ok((ConnectionId::from_number(number), open))
    }
}

impl Tally {
    fn admit(&self, peer: IpAddr) -> Result<Open, Full> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.all >= self.all_max {
            return Err(Full::All);
        }
        let count = open.peers.get(&peer).copied().unwrap_or(0);
        if count >= self.peer_max {
            return Err(Full::Peer);
        }
        open.all += 1;
        open.peers.insert(peer, count + 1);
        Ok(Open { tally: self.clone(), peer })
    }
}

/// Counts one connection until it is dropped.
#[derive(Debug)]
struct Open {
    tally: Tally,
    peer: IpAddr,
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut open = self.tally.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.all -= 1;
        if let Some(count) = open.peers.get_mut(&self.peer) {
            *count -= 1;
            if *count == 0 {
                open.peers.remove(&self.peer);
            }
        }
    }
}

/// What may come in over a stream of ours, and how long it may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Largest SIP message, bytes.
    pub sip_message_bytes_max: usize,
    /// Largest MRCPv2 body, bytes.
    pub mrcp_body_bytes_max: usize,
    /// Bytes that may wait for one peer to read; past it the connection is closed.
    pub write_queue_bytes_max: usize,
    /// How long a connection without a call may be silent.
    pub idle: Duration,
    /// How long a message may take from its first byte to its last.
    pub half_message: Duration,
}

/// Binds a listening socket.
///
/// # Errors
/// What the system says: address in use, not ours, or not permitted.
pub fn listen(address: SocketAddr, dscp: Option<u8>) -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(
        socket2::Domain::for_address(address),
        socket2::Type::STREAM,
        Some(socket2::Protocol::TCP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Without it a restart would have to wait for the connections of the last run to expire.
    socket.set_reuse_address(true)?;
    mark(&socket, address, dscp);
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(4_096)?;
    TcpListener::from_std(socket.into())
}

/// Sets the DSCP of what is sent (RFC 2474); a system that refuses sends it unmarked.
pub(super) fn mark(socket: &socket2::Socket, address: SocketAddr, dscp: Option<u8>) {
    let Some(dscp) = dscp else { return };
    let class = u32::from(dscp) << 2;
    let _ = if address.is_ipv6() { socket.set_tclass_v6(class) } else { socket.set_tos_v4(class) };
}

/// Accepts until the channel is closed.
pub async fn run<E: From<NetEvent> + Send + 'static>(
    listener: TcpListener,
    protocol: Protocol,
    limits: Limits,
    registry: Registry,
    events: mpsc::Sender<E>,
) {
    let mut refused: u64 = 0;
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    let (connection, open) = match registry.admit(protocol, peer.ip()) {
                        Ok(admitted) => admitted,
                        Err(limit) => {
                            refused += 1;
                            // Whoever tries without end shall not fill the log as well.
                            if refused.is_power_of_two() {
                                tracing::warn!(%peer, ?protocol, ?limit, refused, "too many connections");
                            }
                            continue;
                        }
                    };
                    let (origin, wire) = (Origin::Accepted, registry.wire.clone());
                    let link = Link { connection, protocol, origin, limits, open, wire };
                    tokio::spawn(serve(stream, link, events.clone()));
                }
                // Out of file descriptors, most likely: wait for some to come back.
                Err(error) => {
                    tracing::warn!(%error, "cannot accept");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
            () = events.closed() => return,
        }
    }
}

/// Dials the remote end of `flow` for SIP; [`NetEvent::Opened`] or [`NetEvent::DialFailed`] follows.
pub async fn dial<E: From<NetEvent> + Send + 'static>(
    flow: Flow,
    limits: Limits,
    registry: Registry,
    events: mpsc::Sender<E>,
) {
    let why = match tokio::time::timeout(DIAL_TIMEOUT, TcpStream::connect(flow.remote)).await {
        Ok(Ok(stream)) => match registry.admit(Protocol::Sip, flow.remote.ip()) {
            Ok((connection, open)) => {
                let (protocol, origin) = (Protocol::Sip, Origin::Dialled);
                let wire = registry.wire.clone();
                let link = Link { connection, protocol, origin, limits, open, wire };
                return serve(stream, link, events).await;
            }
            Err(_) => "too many connections".to_owned(),
        },
        Ok(Err(error)) => error.to_string(),
        Err(_) => "the peer did not answer".to_owned(),
    };
    let _ = events.send(NetEvent::DialFailed { flow, why }.into()).await;
}

#[derive(Debug)]
struct Link {
    connection: ConnectionId,
    protocol: Protocol,
    origin: Origin,
    limits: Limits,
    open: Open,
    wire: Wire,
}

/// One connection's life: says that it is open, reads until the end, says that it is closed.
async fn serve<E: From<NetEvent> + Send + 'static>(
    stream: TcpStream,
    link: Link,
    events: mpsc::Sender<E>,
) {
    let (Ok(local), Ok(remote)) = (stream.local_addr(), stream.peer_addr()) else { return };
    let _ = stream.set_nodelay(true);
    let keepalive = socket2::TcpKeepalive::new()
        .with_time(Duration::from_secs(60))
        .with_interval(Duration::from_secs(10));
    let _ = socket2::SockRef::from(&stream).set_tcp_keepalive(&keepalive);
    let connection = link.connection;
    let (reader, writer) = stream.into_split();
    let (queue, written) = mpsc::channel(WRITE_QUEUE_MAX);
    let (held, released) = oneshot::channel();
    let waiting_bytes = Arc::new(AtomicUsize::new(0));
    let mut writing = tokio::spawn(write(writer, written, Arc::clone(&waiting_bytes)));
    let waiting_bytes_max = link.limits.write_queue_bytes_max;
    let opened = NetEvent::Opened {
        connection,
        protocol: link.protocol,
        local,
        remote,
        writer: Writer { queue, waiting_bytes, waiting_bytes_max, _held: held },
        origin: link.origin,
    };
    if events.send(opened.into()).await.is_err() {
        writing.abort();
        return;
    }
    let onlooker = Onlooker { wire: link.wire.clone(), local, remote };
    let reader = Reader::new(reader, link.limits, released, onlooker);
    let reading = async {
        match link.protocol {
            Protocol::Sip => {
                let transport = Transport::Tcp;
                let flow = Flow { transport, local, remote, connection: Some(connection) };
                read_sip(reader, flow, &events).await;
            }
            Protocol::Mrcp => read_mrcp(reader, connection, &events).await,
        }
    };
    tokio::pin!(reading);
    tokio::select! {
        () = &mut reading => {}
        _ = &mut writing => {
            // Its last word is out, or its peer is stuck; the reader is told and ends.
            let _ = tokio::time::timeout(LAST_WORDS, &mut reading).await;
        }
    }
    let _ = events.send(NetEvent::Closed { connection }.into()).await;
    // Answers to what was read before may still wait.
    if !writing.is_finished() && tokio::time::timeout(FLUSH, &mut writing).await.is_err() {
        writing.abort();
    }
    drop(link.open);
}

async fn write(
    mut socket: OwnedWriteHalf,
    mut queue: mpsc::Receiver<Vec<u8>>,
    waiting_bytes: Arc<AtomicUsize>,
) {
    let (mut batch, mut bytes) = (Vec::new(), Vec::new());
    while queue.recv_many(&mut batch, WRITE_BATCH).await > 0 {
        bytes.clear();
        for message in batch.drain(..) {
            bytes.extend_from_slice(&message);
        }
        match tokio::time::timeout(WRITE_TIMEOUT, socket.write_all(&bytes)).await {
            Ok(Ok(())) => {
                waiting_bytes.fetch_sub(bytes.len(), Ordering::Relaxed);
            }
            Ok(Err(_)) | Err(_) => return,
        }
    }
    let _ = socket.shutdown().await;
}

/// Reads, and watches the clock: a message that was begun must end, and a connection must be used.
#[derive(Debug)]
struct Reader {
    socket: OwnedReadHalf,
    buffer: Vec<u8>,
    limits: Limits,
    /// Ends when the control loop lets go of the connection.
    released: oneshot::Receiver<()>,
    /// When the message that is not yet whole began.
    began: Option<Instant>,
    silent_since: Instant,
    onlooker: Onlooker,
}

/// Who looks on, and at what.
#[derive(Debug)]
struct Onlooker {
    wire: Wire,
    local: SocketAddr,
    remote: SocketAddr,
}

/// What came of reading.
enum Came<'a> {
    Bytes(&'a [u8]),
    /// Nothing, for as long as [`Limits::idle`].
    Silence,
    /// Nobody wants to hear more.
    Released,
    End,
}

impl Reader {
    fn new(
        socket: OwnedReadHalf,
        limits: Limits,
        released: oneshot::Receiver<()>,
        onlooker: Onlooker,
    ) -> Self {
        let buffer = vec![0; READ_BYTES];
        let (began, silent_since) = (None, Instant::now());
        Self { socket, buffer, limits, released, began, silent_since, onlooker }
    }

    async fn read(&mut self) -> Came<'_> {
        let half = self.began.map(|at| at + self.limits.half_message);
        let due = half.unwrap_or_else(|| self.silent_since + self.limits.idle);
        let read = tokio::select! {
            read = tokio::time::timeout_at(due, self.socket.read(&mut self.buffer)) => read,
            _ = &mut self.released => return Came::Released,
        };
        self.silent_since = Instant::now();
        match read {
            Ok(Ok(length @ 1..)) => {
                let bytes = self.buffer.get(..length).unwrap_or_default();
                let Onlooker { wire, local, remote } = &self.onlooker;
                wire.stream(*remote, *local, bytes);
                Came::Bytes(bytes)
            }
            Ok(Ok(0) | Err(_)) => Came::End,
            Err(_) if half.is_some() => {
                let peer = self.socket.peer_addr().ok();
                tracing::info!(?peer, "connection closed: half a message, and no more of it");
                Came::End
            }
            Err(_) => Came::Silence,
        }
    }

    /// What was read is cut: whether a message was `whole`, and whether another one waits for `more`.
    fn cut(&mut self, whole: bool, more: bool) {
        self.began = match self.began {
            _ if !more => None,
            Some(at) if !whole => Some(at),
            _ => Some(self.silent_since),
        };
    }

    /// Lets the answer to what made the connection unreadable go out: a close with bytes unread
    /// would throw it away.
    async fn last_words(&mut self) {
        let drained = async { while let Ok(1..) = self.socket.read(&mut self.buffer).await {} };
        // It is over either way.
        let _ = tokio::time::timeout(LAST_WORDS, drained).await;
    }
}

async fn read_sip<E: From<NetEvent>>(mut reader: Reader, flow: Flow, events: &mpsc::Sender<E>) {
    let mut framer = sip::framing::Framer::new(reader.limits.sip_message_bytes_max);
    loop {
        match reader.read().await {
            Came::Bytes(bytes) => framer.push(bytes),
            Came::Released => return reader.last_words().await,
            Came::End => return,
            Came::Silence => {
                let Some(connection) = flow.connection else { return };
                if events.send(NetEvent::Idle { connection }.into()).await.is_err() {
                    return;
                }
                continue;
            }
        }
        let mut whole = false;
        for frame in framer.by_ref() {
            whole = true;
            let (event, last) = match frame {
                sip::framing::Frame::Message(bytes) => (NetEvent::Sip { flow, bytes }, false),
                sip::framing::Frame::KeepAlive => (NetEvent::KeepAlive { flow }, false),
                sip::framing::Frame::Fault(fault) => {
                    let last = fault.then == sip::framing::Then::Close;
                    (NetEvent::SipFault { flow, fault }, last)
                }
            };
            if events.send(event.into()).await.is_err() {
                return;
            }
            if last {
                return reader.last_words().await;
            }
        }
        reader.cut(whole, framer.is_within_message());
    }
}

async fn read_mrcp<E: From<NetEvent>>(
    mut reader: Reader,
    connection: ConnectionId,
    events: &mpsc::Sender<E>,
) {
    let body_bytes = reader.limits.mrcp_body_bytes_max;
    let mut framer = mrcp::Framer::new(mrcp::Limits { body_bytes, ..mrcp::Limits::default() });
    let mut used = false;
    loop {
        match reader.read().await {
            Came::Bytes(bytes) => framer.push(bytes),
            Came::Released => return reader.last_words().await,
            Came::End => return,
            // Clients keep a connection for the calls of the next morning; only one that never
            // carried a message is not missed.
            Came::Silence if used => continue,
            Came::Silence => return,
        }
        let mut whole = false;
        for framed in framer.by_ref() {
            whole = true;
            let (event, last) = match framed {
                mrcp::Framed::Message(message) => {
                    used = true;
                    (NetEvent::Mrcp { connection, message: Box::new(message) }, false)
                }
                mrcp::Framed::Fault(fault) => {
                    let last = !fault.is_recoverable();
                    (NetEvent::MrcpFault { connection, fault }, last)
                }
            };
            if events.send(event.into()).await.is_err() {
                return;
            }
            if last {
                return reader.last_words().await;
            }
        }
        reader.cut(whole, framer.is_amid_message());
    }
}

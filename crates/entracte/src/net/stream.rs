//! SIP and MRCPv2 over TCP. Each connection has a task that reads and a task that writes from a
//! bounded queue: a peer that sends and never reads fills its own queue, and is then closed.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use sip::agent::{Flow, Transport};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use vocab::ConnectionId;

use super::{NetEvent, Origin, Protocol};

/// Connections open at once, of both protocols; past it a new one is closed at once.
pub const CONNECTIONS_MAX: usize = 20_000;

/// Messages that may wait for one peer to read; past it the connection is closed.
pub const WRITE_QUEUE_MAX: usize = 128;

/// Bytes that may wait for one peer to read; past it the connection is closed.
pub const WRITE_QUEUE_BYTES_MAX: usize = 1 << 20;

/// How long one write may take before the peer counts as gone.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a dialled connection may take.
const DIAL_TIMEOUT: Duration = Duration::from_secs(4);

/// How long a connection stays for the answer to what made it unreadable.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Bytes read at once.
const READ_BYTES: usize = 4_096;

/// The writing end of a connection. Dropping it closes the connection.
#[derive(Debug)]
pub struct Writer {
    queue: mpsc::Sender<Vec<u8>>,
    waiting_bytes: Arc<AtomicUsize>,
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
        if waiting > WRITE_QUEUE_BYTES_MAX {
            return Err(PeerStuck);
        }
        self.queue.try_send(bytes).map_err(|_| PeerStuck)
    }
}

/// Numbers and counts shared by all listeners.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    next: Arc<AtomicU64>,
    open: Arc<AtomicUsize>,
}

impl Registry {
    /// Connections open now.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    fn admit(&self) -> Option<(ConnectionId, Open)> {
        let open = Open(Arc::clone(&self.open));
        if self.open.fetch_add(1, Ordering::Relaxed) >= CONNECTIONS_MAX {
            return None;
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        Some((ConnectionId::from_number(number), open))
    }
}

/// Counts one connection until it is dropped.
#[derive(Debug)]
struct Open(Arc<AtomicUsize>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What may come in over a stream of ours.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Largest SIP message, bytes.
    pub sip_message_bytes_max: usize,
    /// Largest MRCPv2 body, bytes.
    pub mrcp_body_bytes_max: usize,
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
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let Some((connection, open)) = registry.admit() else {
                        tracing::warn!(limit = CONNECTIONS_MAX, "connection refused: too many");
                        continue;
                    };
                    let link = Link { connection, protocol, origin: Origin::Accepted, limits, open };
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
        Ok(Ok(stream)) => match registry.admit() {
            Some((connection, open)) => {
                let (protocol, origin) = (Protocol::Sip, Origin::Dialled);
                let link = Link { connection, protocol, origin, limits, open };
                return serve(stream, link, events).await;
            }
            None => "too many connections".to_owned(),
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
    let waiting_bytes = Arc::new(AtomicUsize::new(0));
    let writing = tokio::spawn(write(writer, written, Arc::clone(&waiting_bytes)));
    let opened = NetEvent::Opened {
        connection,
        protocol: link.protocol,
        local,
        remote,
        writer: Writer { queue, waiting_bytes },
        origin: link.origin,
    };
    if events.send(opened.into()).await.is_err() {
        writing.abort();
        return;
    }
    // The writer ends when its peer is stuck or the control loop lets go of it; then so do we.
    let ending = writing.abort_handle();
    let reading = async {
        match link.protocol {
            Protocol::Sip => {
                let flow =
                    Flow { transport: Transport::Tcp, local, remote, connection: Some(connection) };
                read_sip(reader, flow, link.limits, &events).await;
            }
            Protocol::Mrcp => read_mrcp(reader, connection, link.limits, &events).await,
        }
    };
    tokio::select! {
        () = reading => {}
        _ = writing => {}
    }
    ending.abort();
    drop(link.open);
    let _ = events.send(NetEvent::Closed { connection }.into()).await;
}

async fn write(
    mut socket: OwnedWriteHalf,
    mut queue: mpsc::Receiver<Vec<u8>>,
    waiting_bytes: Arc<AtomicUsize>,
) {
    while let Some(bytes) = queue.recv().await {
        match tokio::time::timeout(WRITE_TIMEOUT, socket.write_all(&bytes)).await {
            Ok(Ok(())) => {
                waiting_bytes.fetch_sub(bytes.len(), Ordering::Relaxed);
            }
            Ok(Err(_)) | Err(_) => return,
        }
    }
    let _ = socket.shutdown().await;
}

async fn read_sip<E: From<NetEvent>>(
    mut socket: OwnedReadHalf,
    flow: Flow,
    limits: Limits,
    events: &mpsc::Sender<E>,
) {
    let mut framer = sip::framing::Framer::new(limits.sip_message_bytes_max);
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let Ok(length @ 1..) = socket.read(&mut buffer).await else { return };
        framer.push(buffer.get(..length).unwrap_or_default());
        for frame in framer.by_ref() {
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
                // The answer is written by the other half; give it the time for that.
                tokio::time::sleep(LAST_WORDS).await;
                return;
            }
        }
    }
}

async fn read_mrcp<E: From<NetEvent>>(
    mut socket: OwnedReadHalf,
    connection: ConnectionId,
    limits: Limits,
    events: &mpsc::Sender<E>,
) {
    let body_bytes = limits.mrcp_body_bytes_max;
    let mut framer = mrcp::Framer::new(mrcp::Limits { body_bytes, ..mrcp::Limits::default() });
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let Ok(length @ 1..) = socket.read(&mut buffer).await else { return };
        framer.push(buffer.get(..length).unwrap_or_default());
        for framed in framer.by_ref() {
            let (event, last) = match framed {
                mrcp::Framed::Message(message) => {
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
                tokio::time::sleep(LAST_WORDS).await;
                return;
            }
        }
    }
}

//! Connections: how many, how long, and from whom.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{Method, StatusCode, header};
use axum::response::Response;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

use crate::answers::{refused, see_other};
use crate::guard::Peer;

/// Connections at one time; the next ones wait for one to end. Descriptors belong to calls first.
pub const CONNECTIONS_MAX: usize = 512;
/// Connections at one time from one address elsewhere.
const CONNECTIONS_PER_PEER_MAX: usize = 128;
/// How long a request's head may take, and a connection may lie idle.
const HEAD: Duration = Duration::from_secs(10);
/// The longest that one connection lives; a live page connects anew by itself.
const CONNECTION: Duration = Duration::from_secs(3_600);
/// How long a TLS handshake may take, and the first byte before it.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Answers on `listener` until dropped: with TLS, if there is a configuration for it. Whoever speaks plain
/// HTTP there is led to the same place with TLS.
pub async fn serve(listener: TcpListener, router: Router, tls: Option<Arc<ServerConfig>>) {
    let tls = tls.map(TlsAcceptor::from);
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    let peers = Peers::default();
    loop {
        // The semaphore is never closed.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let Ok((stream, peer)) = listener.accept().await else {
            // Out of descriptors, or the peer is gone again already.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let Some(seat) = peers.seat(peer.ip()) else { continue };
        let (router, tls) = (router.clone(), tls.clone());
        connections.spawn(async move {
            let _seat = seat;
            // Whatever ends it, it is over; there is nobody to tell.
            let _ = tokio::time::timeout(CONNECTION, connection(stream, peer, router, tls)).await;
            drop(place);
        });
        while connections.try_join_next().is_some() {}
    }
}

/// How many connections each address elsewhere has.
#[derive(Clone, Debug, Default)]
struct Peers(Arc<Mutex<BTreeMap<IpAddr, usize>>>);

/// One connection of an address.
struct Seat {
    peers: Peers,
    address: IpAddr,
}

impl Peers {
    /// A place for one more; this host has as many as it likes, since a proxy may be there.
    fn seat(&self, address: IpAddr) -> Option<Seat> {
        let address = address.to_canonical();
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(address).or_insert(0);
        if *count >= CONNECTIONS_PER_PEER_MAX && !address.is_loopback() {
            return None;
        }
        *count += 1;
        Some(Seat { peers: self.clone(), address })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut counts = self.peers.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    tls: Option<TlsAcceptor>,
) -> Option<()> {
    let Some(tls) = tls else {
        answer(stream, peer, router).await;
        return Some(());
    };
    let mut first = [0];
    tokio::time::timeout(HANDSHAKE, stream.peek(&mut first)).await.ok()?.ok()?;
    // A TLS record of a handshake begins with 22. RFC 8446 §5.1.
    if first != [22] {
        answer(stream, peer, Router::new().fallback(to_tls)).await;
        return Some(());
    }
    let stream = tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await.ok()?.ok()?;
    answer(stream, peer, router).await;
    Some(())
}

/// Leads to the same address with TLS.
async fn to_tls(request: Request) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    match host {
        Some(host) if request.method() == Method::GET => {
            see_other(&format!("https://{host}{path}"))
        }
        // Whoever posts a password in the clear shall not repeat it without a look.
        Some(_) | None => refused(StatusCode::UPGRADE_REQUIRED, "ask with TLS"),
    }
}

async fn answer(stream: impl AsyncRead + AsyncWrite + Unpin, peer: SocketAddr, router: Router) {
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(Peer(peer));
        router.clone().oneshot(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .serve_connection(TokioIo::new(stream), service);
    let _ = connection.await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_elsewhere_leaves_places_to_others() {
        let peers = Peers::default();
        let greedy = "192.0.2.1".parse().unwrap();
        let seats: Vec<_> =
            (0..CONNECTIONS_PER_PEER_MAX).map(|_| peers.seat(greedy).unwrap()).collect();
        assert!(peers.seat(greedy).is_none());
        assert!(peers.seat("192.0.2.2".parse().unwrap()).is_some());
        let here = (0..CONNECTIONS_MAX).map(|_| peers.seat("127.0.0.1".parse().unwrap()));
        assert!(here.collect::<Vec<_>>().iter().all(Option::is_some));
        drop(seats);
        assert!(peers.seat(greedy).is_some() && peers.0.lock().unwrap().is_empty());
    }
}

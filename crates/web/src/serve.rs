//! Connections: how many, how long, and from whom.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tower::ServiceExt as _;

use crate::guard::Peer;

/// Connections at one time; the next ones wait for one to end. Descriptors belong to calls first.
pub const CONNECTIONS_MAX: usize = 512;
/// How long a request's head may take, and a connection may lie idle.
const HEAD: Duration = Duration::from_secs(10);
/// The longest that one connection lives; a live page connects anew by itself.
const CONNECTION: Duration = Duration::from_secs(3_600);
/// Answers on `listener` until dropped.
pub async fn serve(listener: TcpListener, router: Router) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        // The semaphore is never closed.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let Ok((stream, peer)) = listener.accept().await else {
            // Out of descriptors, or the peer is gone again already.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let router = router.clone();
        let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(Peer(peer));
            router.clone().oneshot(request)
        });
        connections.spawn(async move {
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD)
                .serve_connection(TokioIo::new(stream), service);
            // Whatever ends it, it is over; there is nobody to tell.
            let _ = tokio::time::timeout(CONNECTION, connection).await;
            drop(place);
        });
        while connections.try_join_next().is_some() {}
    }
}

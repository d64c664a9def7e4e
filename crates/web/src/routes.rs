use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, Semaphore};
use tokio::task::JoinSet;

use crate::metrics;
use crate::view::{View, alarms};

/// The media type of metrics. Prometheus exposition format 0.0.4.
const EXPOSITION: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Every address, and what answers there.
pub fn router<V: View>(view: Arc<V>) -> Router {
    Router::new()
        .route("/api/v1/sources", get(sources::<V>))
        .route("/api/v1/sources/{name}", get(source::<V>))
        .route(
            "/api/v1/alarms",
            get(async |State(view): State<Arc<V>>| Json(alarms(&view.sources(), &view.speech()))),
        )
        .route(
            "/api/v1/happenings",
            get(async |State(view): State<Arc<V>>| Json(view.happenings())),
        )
        .route("/api/v1/devices", get(devices::<V>))
        .route("/api/v1/capabilities", get(capabilities::<V>))
        .route("/api/v1/speech", get(async |State(view): State<Arc<V>>| Json(view.speech())))
        .route("/api/v1/standing", get(standing::<V>))
        .route("/metrics", get(exposition::<V>))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready::<V>))
        .fallback(async || refused(StatusCode::NOT_FOUND, "there is nothing at this address"))
        .method_not_allowed_fallback(async || {
            refused(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are answered here")
        })
        .with_state(view)
        .layer(middleware::from_fn(from_here))
}

/// Lets in only who asks by an address, or for localhost. A page from elsewhere in a browser on this host
/// could else let its own name point here and read what is told (DNS rebinding).
async fn from_here(request: Request, next: Next) -> Response {
    if let Some(answer) = stranger(request.headers()) {
        return answer;
    }
    next.run(request).await
}

/// What somebody is told who asks from elsewhere.
fn stranger(headers: &HeaderMap) -> Option<Response> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    // What browsers say of a request that another page has made.
    if text("sec-fetch-site").is_some_and(|site| !matches!(site, "same-origin" | "none")) {
        return Some(refused(StatusCode::FORBIDDEN, "pages from elsewhere are not answered"));
    }
    let why = "ask by the server's IP address, or localhost";
    let known = text("host").is_none_or(is_address);
    (!known).then(|| refused(StatusCode::MISDIRECTED_REQUEST, why))
}

/// Whether the value of a Host header names an address: `127.0.0.1:8190`, `[::1]`, `localhost`.
fn is_address(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        Some(_) | None => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

/// Connections at one time; the next ones wait for one to end. Descriptors belong to calls first.
pub const CONNECTIONS_MAX: usize = 64;
/// How long a request's head may take, and a connection may lie idle.
const HEAD: Duration = Duration::from_secs(10);
/// The longest that one connection lives.
const CONNECTION: Duration = Duration::from_secs(120);
/// How long the server may take to say how it stands.
const STANDING: Duration = Duration::from_secs(2);

/// Answers on `listener` until dropped.
pub async fn serve(listener: TcpListener, router: Router) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        // The semaphore is never closed.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors, or the peer is gone again already.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let service = TowerToHyperService::new(router.clone());
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

/// What the server holds, if it says so in time.
async fn standing_of<V: View>(view: &V) -> Option<crate::view::Standing> {
    tokio::time::timeout(STANDING, view.standing()).await.ok().flatten()
}

fn refused(status: StatusCode, why: &str) -> Response {
    (status, Json(json!({ "error": why }))).into_response()
}

async fn sources<V: View>(State(view): State<Arc<V>>) -> Response {
    Json(view.sources()).into_response()
}

/// Names are found as calls find them: exactly, or else without ASCII case.
async fn source<V: View>(State(view): State<Arc<V>>, Path(name): Path<String>) -> Response {
    let sources = view.sources();
    let exact = sources.iter().find(|source| source.name == name);
    let found = exact.or_else(|| sources.iter().find(|s| s.name.eq_ignore_ascii_case(&name)));
    match found {
        Some(source) => Json(source).into_response(),
        None => refused(StatusCode::NOT_FOUND, &format!("no source is called {name:?}")),
    }
}

async fn devices<V: View>(State(view): State<Arc<V>>) -> Response {
    // One at a time: each opens every device of the host for a moment.
    static ASKING: Mutex<()> = Mutex::const_new(());
    let Ok(asking) = ASKING.try_lock() else {
        return refused(StatusCode::TOO_MANY_REQUESTS, "the devices are being asked for already");
    };
    // The sound server is asked, and every device listened to: that takes a second.
    let asked = tokio::task::spawn_blocking(move || view.devices()).await;
    drop(asking);
    match asked {
        Ok(Ok(devices)) => Json(devices).into_response(),
        Ok(Err(why)) => refused(StatusCode::BAD_GATEWAY, &why),
        Err(_) => refused(StatusCode::INTERNAL_SERVER_ERROR, "the devices could not be asked for"),
    }
}

async fn capabilities<V: View>(State(view): State<Arc<V>>) -> Response {
    Json(view.capabilities()).into_response()
}

async fn standing<V: View>(State(view): State<Arc<V>>) -> Response {
    match standing_of(&*view).await {
        Some(standing) => Json(standing).into_response(),
        None => refused(StatusCode::SERVICE_UNAVAILABLE, "the server does not say how it stands"),
    }
}

async fn ready<V: View>(State(view): State<Arc<V>>) -> Response {
    match standing_of(&*view).await {
        Some(standing) if !standing.draining => "ok\n".into_response(),
        Some(_) => (StatusCode::SERVICE_UNAVAILABLE, "draining\n").into_response(),
        None => (StatusCode::SERVICE_UNAVAILABLE, "no answer\n").into_response(),
    }
}

async fn exposition<V: View>(State(view): State<Arc<V>>) -> Response {
    let standing = standing_of(&*view).await.unwrap_or_default();
    let text = metrics::exposition(&view.sources(), view.sources_late(), &view.speech(), standing);
    ([(header::CONTENT_TYPE, EXPOSITION)], text).into_response()
}

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;
use tokio::net::TcpListener;

use crate::metrics;
use crate::view::View;

/// The media type of metrics. Prometheus exposition format 0.0.4.
const EXPOSITION: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Every address, and what answers there.
pub fn router<V: View>(view: Arc<V>) -> Router {
    Router::new()
        .route("/api/v1/sources", get(sources::<V>))
        .route("/api/v1/sources/{name}", get(source::<V>))
        .route("/api/v1/devices", get(devices::<V>))
        .route("/api/v1/capabilities", get(capabilities::<V>))
        .route("/api/v1/standing", get(standing::<V>))
        .route("/metrics", get(exposition::<V>))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready::<V>))
        .fallback(async || refused(StatusCode::NOT_FOUND, "there is nothing at this address"))
        .method_not_allowed_fallback(async || {
            refused(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are answered here")
        })
        .with_state(view)
        .layer(middleware::from_fn(by_address))
}

/// Lets in only who asks by an address, or for localhost. A page from elsewhere in a browser on this host
/// could else let its own name point here and read what is told (DNS rebinding).
async fn by_address(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).map(|host| host.to_str().unwrap_or("?"));
    match host {
        Some(host) if !is_address(host) => {
            refused(StatusCode::MISDIRECTED_REQUEST, "ask by the server's IP address, or localhost")
        }
        Some(_) | None => next.run(request).await,
    }
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

/// Answers on `listener` until dropped.
///
/// # Errors
/// When the listener breaks.
pub async fn serve(listener: TcpListener, router: Router) -> io::Result<()> {
    axum::serve(listener, router).await
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
    // The sound server is asked, and every device listened to: that takes a second.
    let asked = tokio::task::spawn_blocking(move || view.devices()).await;
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
    match view.standing().await {
        Some(standing) => Json(standing).into_response(),
        None => refused(StatusCode::SERVICE_UNAVAILABLE, "the server is ending"),
    }
}

async fn ready<V: View>(State(view): State<Arc<V>>) -> Response {
    match view.standing().await {
        Some(_) => "ok\n".into_response(),
        None => (StatusCode::SERVICE_UNAVAILABLE, "ending\n").into_response(),
    }
}

async fn exposition<V: View>(State(view): State<Arc<V>>) -> Response {
    let standing = view.standing().await.unwrap_or_default();
    let text = metrics::exposition(&view.sources(), view.sources_late(), standing);
    ([(header::CONTENT_TYPE, EXPOSITION)], text).into_response()
}

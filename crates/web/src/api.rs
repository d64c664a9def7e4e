//! The answers for programs.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::sse::{Event, KeepAlive};
use axum::response::{IntoResponse as _, Response, Sse};
use axum::{Extension, Json};
use futures_util::stream::{StreamExt as _, unfold};
use serde::Deserialize;
use serde_json::json;

use crate::accounts::Visitor;
use crate::answers::refused;
use crate::context::Web;
use crate::guard::Proof;
use crate::metrics;
use crate::settings::{Applied, Change, FieldFault, Settings};
use crate::view::{Standing, View};

/// The media type of metrics. Prometheus exposition format 0.0.4.
const EXPOSITION: &str = "text/plain; version=0.0.4; charset=utf-8";
/// How long the server may take to say how it stands.
const STANDING: Duration = Duration::from_secs(2);

/// What the server holds, if it says so in time.
async fn standing_of<V: View>(view: &V) -> Option<Standing> {
    tokio::time::timeout(STANDING, view.standing()).await.ok().flatten()
}

pub(crate) async fn sources<V: View + Settings>(State(web): State<Arc<Web<V>>>) -> Response {
    Json(web.view.sources()).into_response()
}

/// Names are found as calls find them: exactly, or else without ASCII case.
pub(crate) async fn source<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Path(name): Path<String>,
) -> Response {
    let sources = web.view.sources();
    let exact = sources.iter().find(|source| source.name == name);
    let found = exact.or_else(|| sources.iter().find(|s| s.name.eq_ignore_ascii_case(&name)));
    match found {
        Some(source) => Json(source).into_response(),
        None => refused(StatusCode::NOT_FOUND, &format!("no source is called {name:?}")),
    }
}

pub(crate) async fn devices<V: View + Settings>(State(web): State<Arc<Web<V>>>) -> Response {
    match web.devices().await {
        Ok(devices) => Json(devices).into_response(),
        Err((status, why)) => refused(status, &why),
    }
}

pub(crate) async fn capabilities<V: View + Settings>(State(web): State<Arc<Web<V>>>) -> Response {
    Json(web.view.capabilities()).into_response()
}

pub(crate) async fn standing<V: View + Settings>(State(web): State<Arc<Web<V>>>) -> Response {
    match standing_of(&*web.view).await {
        Some(standing) => Json(standing).into_response(),
        None => refused(StatusCode::SERVICE_UNAVAILABLE, "the server does not say how it stands"),
    }
}

pub(crate) async fn ready<V: View + Settings>(State(web): State<Arc<Web<V>>>) -> Response {
    match standing_of(&*web.view).await {
        Some(standing) if !standing.draining => "ok\n".into_response(),
        Some(_) => (StatusCode::SERVICE_UNAVAILABLE, "draining\n").into_response(),
        None => (StatusCode::SERVICE_UNAVAILABLE, "no answer\n").into_response(),
    }
}

pub(crate) async fn exposition<V: View + Settings>(State(web): State<Arc<Web<V>>>) -> Response {
    let standing = standing_of(&*web.view).await.unwrap_or_default();
    let looks = web.looks().await.unwrap_or_default();
    let text = metrics::exposition(&*web.view, standing, &looks.engines);
    ([(header::CONTENT_TYPE, EXPOSITION)], text).into_response()
}

/// A refusal of settings: what is wrong with which key.
fn faulty(faults: &[FieldFault]) -> Response {
    let first = faults.first().map(|fault| format!("{}: {}", fault.key, fault.what));
    let why = first.unwrap_or_default();
    let body = json!({ "error": why.trim_start_matches(": "), "faults": faults });
    (StatusCode::UNPROCESSABLE_ENTITY, Json(body)).into_response()
}

fn applied(outcome: Result<Applied, Vec<FieldFault>>) -> Response {
    outcome.map_or_else(|faults| faulty(&faults), |applied| Json(applied).into_response())
}

/// Every key with its value.
pub(crate) async fn settings<V: View + Settings>(State(web): State<Arc<Web<V>>>) -> Response {
    Json(json!({ "pending": web.view.pending(), "fields": web.view.fields() })).into_response()
}

/// Changes, and the settings that they were made from.
#[derive(Debug, Deserialize)]
pub(crate) struct Wanted {
    changes: Vec<Change>,
    /// The `base` of a proposal; without it, whatever is there is changed.
    base: Option<String>,
}

/// Makes changes.
pub(crate) async fn change_settings<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Extension(visitor): Extension<Visitor>,
    Json(wanted): Json<Wanted>,
) -> Response {
    applied(web.view.apply(&wanted.changes, wanted.base.as_deref(), &visitor.name).await)
}

/// What changes would do.
pub(crate) async fn propose_settings<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Json(wanted): Json<Wanted>,
) -> Response {
    match web.view.propose(&wanted.changes).await {
        Ok(proposal) => Json(proposal).into_response(),
        Err(faults) => faulty(&faults),
    }
}

/// Reads the file again.
pub(crate) async fn reload_settings<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Extension(visitor): Extension<Visitor>,
) -> Response {
    applied(web.view.reload(&visitor.name).await)
}

/// Earlier settings.
pub(crate) async fn revisions<V: View + Settings>(State(web): State<Arc<Web<V>>>) -> Response {
    Json(web.view.revisions()).into_response()
}

/// The text of earlier settings.
pub(crate) async fn revision<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Path(number): Path<u64>,
) -> Response {
    match web.view.revision_text(number) {
        Some(text) => Json(json!({ "number": number, "text": text })).into_response(),
        None => refused(StatusCode::NOT_FOUND, "this revision is not kept (any more)"),
    }
}

/// Brings earlier settings back.
pub(crate) async fn restore_settings<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Extension(visitor): Extension<Visitor>,
    Path(number): Path<u64>,
) -> Response {
    applied(web.view.restore(number, &visitor.name).await)
}

/// What happens from now on, as it happens, for as long as whoever listens is known.
pub(crate) async fn events<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Extension(proof): Extension<Proof>,
) -> Response {
    let told = web.view.listen_events();
    let events = unfold((told, web, proof), |(mut told, web, proof)| async {
        let event = told.recv().await?;
        if !web.still(&proof) {
            return None;
        }
        let text = |key: &str| event.get(key).map(|value| value.to_string().replace('"', ""));
        let kind = text("type").unwrap_or_default();
        let number = text("number").unwrap_or_default();
        let event = Event::default().event(kind).id(number).data(event.to_string());
        Some((Ok::<_, std::convert::Infallible>(event), (told, web, proof)))
    });
    Sse::new(events.fuse()).keep_alive(KeepAlive::default()).into_response()
}

/// Who did what.
pub(crate) async fn audit<V: View + Settings>(State(web): State<Arc<Web<V>>>) -> Response {
    Json(web.view.audited()).into_response()
}

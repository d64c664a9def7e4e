//! Status: About, Server Status, Session Details, Resource Details, Audio Engine.

use std::fmt::Write as _;
use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};

use super::{Frame, Listing, PAGE_ROWS, show};
use crate::accounts::Visitor;
use crate::answers::{page, refused};
use crate::context::{Web, wall};
use crate::guard::{Peer, Proof};
use crate::live::follow;
use crate::settings::Settings;
use crate::view::{About, Call, Engine, Looks, Resource, View};

#[derive(Template)]
#[template(path = "about.html")]
struct AboutPage<'a> {
    frame: Frame<'a>,
    about: About,
    started: f64,
    viewer: String,
    refresh: Listing,
}

pub(crate) async fn about<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Extension(visitor): Extension<Visitor>,
    Extension(peer): Extension<Peer>,
    Query(listing): Query<Listing>,
) -> Response {
    let frame = Frame {
        reload_seconds: listing.refresh.seconds(),
        ..Frame::inside("About", "/status/about", &visitor)
    };
    let about = web.view.about();
    #[expect(clippy::cast_precision_loss, reason = "a time of this era")]
    let started = about.started_unix_seconds as f64;
    let viewer = peer.ip().to_string();
    page(StatusCode::OK, &AboutPage { frame, about, started, viewer, refresh: listing })
}

/// The rows of a list that are on one page, and the way to the next.
pub(crate) struct Rows<T> {
    pub(crate) rows: Vec<T>,
    /// All that fit the search.
    pub(crate) found: usize,
    /// All there are.
    pub(crate) all: usize,
    /// The key after which the next page begins.
    pub(crate) next: Option<u64>,
}

/// The calls that fit, the youngest first: their number falls from row to row.
fn calls(looks: &Looks, listing: &Listing) -> Rows<Call> {
    let wanted = listing.q.to_lowercase();
    let fits = |call: &&Call| wanted.is_empty() || text_of(call).to_lowercase().contains(&wanted);
    let found: Vec<&Call> = looks.calls.iter().filter(fits).collect();
    let after = listing.after.unwrap_or(u64::MAX);
    let mut below = found.iter().rev().filter(|call| call.session < after);
    let rows: Vec<Call> = below.by_ref().take(PAGE_ROWS).map(|call| (*call).clone()).collect();
    let more = below.next().is_some();
    let next = rows.last().map(|call| call.session).filter(|_| more);
    Rows { rows, found: found.len(), all: looks.calls.len(), next }
}

/// What a call can be found by.
fn text_of(call: &Call) -> String {
    let mut text = format!("{}\n{}\n{}\n{}", call.call_id, call.state, call.peer, call.session);
    for channel in &call.channels {
        let _ = write!(text, "\n{}\n{}", channel.id, channel.state);
    }
    if let Some(remote) = call.remote_rtp {
        let _ = write!(text, "\n{remote}");
    }
    for step in call.resource.iter().flat_map(|resource| &resource.steps) {
        let _ = write!(text, "\n{step}");
    }
    text
}

#[derive(Template)]
#[template(path = "server_rows.html")]
struct ServerRows<'a> {
    list: Rows<Call>,
    listing: &'a Listing,
}

#[derive(Template)]
#[template(path = "server.html")]
struct ServerPage<'a> {
    frame: Frame<'a>,
    list: Rows<Call>,
    listing: &'a Listing,
}

pub(crate) async fn server<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Extension(visitor): Extension<Visitor>,
    Query(listing): Query<Listing>,
) -> Response {
    let Some(looks) = web.looks().await else { return ending() };
    let frame = Frame {
        reload_seconds: listing.refresh.seconds(),
        ..Frame::inside("Server Status", "/status/server", &visitor)
    };
    let list = calls(&looks, &listing);
    page(StatusCode::OK, &ServerPage { frame, list, listing: &listing })
}

pub(crate) async fn server_live<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Extension(proof): Extension<Proof>,
    Query(listing): Query<Listing>,
) -> Response {
    follow(web, proof, move |_, looks| {
        ServerRows { list: calls(looks, &listing), listing: &listing }.render().ok()
    })
}

pub(crate) fn ending() -> Response {
    refused(StatusCode::SERVICE_UNAVAILABLE, "the server is ending")
}

#[derive(Template)]
#[template(path = "session_rows.html")]
struct SessionRows<'a> {
    call: Option<&'a Call>,
}

#[derive(Template)]
#[template(path = "session.html")]
struct SessionPage<'a> {
    frame: Frame<'a>,
    session: u64,
    call: Option<&'a Call>,
    listing: &'a Listing,
}

fn call_of(looks: &Looks, session: u64) -> Option<&Call> {
    let at = looks.calls.binary_search_by_key(&session, |call| call.session).ok()?;
    looks.calls.get(at)
}

pub(crate) async fn session<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Extension(visitor): Extension<Visitor>,
    Path(session): Path<u64>,
    Query(listing): Query<Listing>,
) -> Response {
    let Some(looks) = web.looks().await else { return ending() };
    let frame = Frame {
        reload_seconds: listing.refresh.seconds(),
        ..Frame::inside("Session Details", "/status/server", &visitor)
    };
    let call = call_of(&looks, session);
    let status = if call.is_some() { StatusCode::OK } else { StatusCode::NOT_FOUND };
    page(status, &SessionPage { frame, session, call, listing: &listing })
}

pub(crate) async fn session_live<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Extension(proof): Extension<Proof>,
    Path(session): Path<u64>,
) -> Response {
    follow(web, proof, move |_, looks| SessionRows { call: call_of(looks, session) }.render().ok())
}

/// A resource, its call and the picture of its graph.
struct Graph<'a> {
    resource: &'a Resource,
    call: &'a Call,
    nodes: Vec<(String, &'static str)>,
}

#[derive(Template)]
#[template(path = "resource_rows.html")]
struct ResourceRows<'a> {
    graph: Option<Graph<'a>>,
}

#[derive(Template)]
#[template(path = "resource.html")]
struct ResourcePage<'a> {
    frame: Frame<'a>,
    id: u64,
    graph: Option<Graph<'a>>,
    listing: &'a Listing,
}

fn graph_of(looks: &Looks, id: u64) -> Option<Graph<'_>> {
    let has = |call: &&Call| call.resource.as_ref().is_some_and(|resource| resource.id == id);
    let call = looks.calls.iter().find(has)?;
    let resource = call.resource.as_ref()?;
    // What is played one after the other, then what all of it passes through.
    let mut nodes: Vec<_> = resource.steps.iter().map(|step| (step.clone(), "step")).collect();
    nodes.push(("gain, limiter".to_owned(), "stage"));
    if let Some(codec) = &call.codec {
        nodes.push((codec.clone(), "stage"));
    }
    if let Some(remote) = call.remote_rtp {
        nodes.push((format!("RTP to {remote}"), "sink"));
    }
    Some(Graph { resource, call, nodes })
}

pub(crate) async fn resource<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<u64>,
    Query(listing): Query<Listing>,
) -> Response {
    let Some(looks) = web.looks().await else { return ending() };
    let frame = Frame {
        reload_seconds: listing.refresh.seconds(),
        ..Frame::inside("Resource Details", "/status/server", &visitor)
    };
    let graph = graph_of(&looks, id);
    let status = if graph.is_some() { StatusCode::OK } else { StatusCode::NOT_FOUND };
    page(status, &ResourcePage { frame, id, graph, listing: &listing })
}

pub(crate) async fn resource_live<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Extension(proof): Extension<Proof>,
    Path(id): Path<u64>,
) -> Response {
    follow(web, proof, move |_, looks| ResourceRows { graph: graph_of(looks, id) }.render().ok())
}

/// A resource for programs: XML where the request prefers it or the address says so, else JSON.
pub(crate) async fn resource_data<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Response {
    let (id, form) = name.rsplit_once('.').unwrap_or((&name, ""));
    let Ok(id) = id.parse() else {
        return refused(StatusCode::NOT_FOUND, "a resource is named by its number");
    };
    let Some(looks) = web.looks().await else { return ending() };
    let Some(graph) = graph_of(&looks, id) else {
        return refused(StatusCode::NOT_FOUND, "no call plays this resource (any more)");
    };
    let accepts = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    if form == "xml" || (form.is_empty() && accepts.is_some_and(|kinds| kinds.contains("xml"))) {
        let kind = [(header::CONTENT_TYPE, "application/xml; charset=utf-8")];
        return (kind, xml(&graph)).into_response();
    }
    Json(graph.resource).into_response()
}

/// The resource as XML. What steps name may come from a peer.
fn xml(graph: &Graph<'_>) -> String {
    let Graph { resource, call, nodes } = graph;
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = write!(
        text,
        "<resource id=\"{}\" operation=\"{}\" created=\"{}\" age-seconds=\"{:.1}\" idle-seconds=\"{:.1}\">\n  <session id=\"{}\" call-id=\"{}\"/>\n",
        resource.id,
        escaped(&resource.operation),
        show::utc(&resource.created_unix_seconds),
        resource.age_seconds,
        resource.idle_seconds,
        call.session,
        escaped(&call.call_id),
    );
    let stream = resource.graph.as_deref().unwrap_or_default();
    let _ = writeln!(text, "  <graph id=\"{}\">", escaped(stream));
    for (name, kind) in nodes {
        let _ = writeln!(text, "    <{kind}>{}</{kind}>", escaped(name));
    }
    text.push_str("  </graph>\n</resource>\n");
    text
}

/// Text of a peer within XML 1.0; what XML has no way to write is left out.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            '"' => safe.push_str("&quot;"),
            '\t' | '\n' | ' ' => safe.push(letter),
            '\0'..' ' | '\u{fffe}' | '\u{ffff}' => {}
            _ => safe.push(letter),
        }
    }
    safe
}

#[derive(Template)]
#[template(path = "engine_rows.html")]
struct EngineRows<'a> {
    engines: &'a [Engine],
}

#[derive(Template)]
#[template(path = "engine.html")]
struct EnginePage<'a> {
    frame: Frame<'a>,
    engines: &'a [Engine],
    asked: String,
    listing: &'a Listing,
}

pub(crate) async fn engine<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Extension(visitor): Extension<Visitor>,
    Query(listing): Query<Listing>,
) -> Response {
    let Some(looks) = web.looks().await else { return ending() };
    let frame = Frame {
        reload_seconds: listing.refresh.seconds(),
        ..Frame::inside("Audio Engine", "/status/engine", &visitor)
    };
    let asked = show::utc(&wall().as_secs_f64());
    page(StatusCode::OK, &EnginePage { frame, engines: &looks.engines, asked, listing: &listing })
}

pub(crate) async fn engine_live<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Extension(proof): Extension<Proof>,
) -> Response {
    follow(web, proof, move |_, looks| EngineRows { engines: &looks.engines }.render().ok())
}

/// The calls as JSON, a page at a time.
pub(crate) async fn calls_json<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Query(listing): Query<Listing>,
) -> Response {
    let Some(looks) = web.looks().await else { return ending() };
    let list = calls(&looks, &listing);
    Json(serde_json::json!({
        "calls": list.rows, "found": list.found, "all": list.all, "next_after": list.next,
    }))
    .into_response()
}

/// The engines as JSON.
pub(crate) async fn engines_json<V: View + Settings>(State(web): State<Arc<Web<V>>>) -> Response {
    match web.looks().await {
        Some(looks) => Json(&looks.engines).into_response(),
        None => ending(),
    }
}

//! Captures: begun, ended, fetched and deleted; by page and by API.

use std::sync::Arc;

use askama::Template;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Form, Json};
use futures_util::stream::{StreamExt as _, unfold};
use serde::Deserialize;
use serde_json::json;
use tokio::io::AsyncReadExt as _;

use super::{Frame, PAGE_ROWS, show};
use crate::accounts::Visitor;
use crate::answers::{page, refused, see_other};
use crate::context::Web;
use crate::settings::Settings;
use crate::view::{CaptureFile, CaptureOrder, View};

/// Bytes of a file that are read at once.
const BLOCK_BYTES: usize = 64 << 10;

#[derive(Template)]
#[template(path = "captures.html")]
struct CapturesPage<'a> {
    frame: Frame<'a>,
    captures: Vec<CaptureFile>,
    session: Option<u64>,
    error: Option<String>,
    q: String,
    from: usize,
    next: Option<usize>,
}

impl CapturesPage<'_> {
    fn kilobytes(bytes: &u64) -> String {
        format!("{} kB", bytes.div_ceil(1_000))
    }
}

/// The list, read where one may wait.
async fn listed<V: View + Settings>(web: &Arc<Web<V>>) -> Vec<CaptureFile> {
    let web = Arc::clone(web);
    tokio::task::spawn_blocking(move || web.view.captures()).await.unwrap_or_default()
}

async fn captures_page<V: View + Settings>(
    web: &Arc<Web<V>>,
    visitor: &Visitor,
    asked: Asked,
    error: Option<String>,
) -> Response {
    let status = if error.is_some() { StatusCode::CONFLICT } else { StatusCode::OK };
    let frame = Frame::inside("Captures", "/captures", visitor);
    let from = asked.from;
    let mut captures = listed(web).await;
    let wanted = asked.q.to_lowercase();
    captures.retain(|capture| capture.name.to_lowercase().contains(&wanted));
    let next = Some(from + PAGE_ROWS).filter(|next| captures.len() > *next);
    captures = captures.into_iter().skip(from).take(PAGE_ROWS).collect();
    let Asked { session, q, .. } = asked;
    page(status, &CapturesPage { frame, captures, session, error, q, from, next })
}

pub(crate) async fn captures<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Extension(visitor): Extension<Visitor>,
    Query(asked): Query<Asked>,
) -> Response {
    captures_page(&web, &visitor, asked, None).await
}

/// What the page is asked with.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Asked {
    /// Files whose names contain this.
    #[serde(default)]
    q: String,
    /// Which call the form is for.
    session: Option<u64>,
    /// Rows that are left out.
    #[serde(default)]
    from: usize,
}

/// What the form sends.
#[derive(Debug, Deserialize)]
pub(crate) struct Begin {
    #[serde(default)]
    session: String,
    #[serde(default)]
    seconds: String,
    #[serde(default)]
    what: String,
}

impl Begin {
    fn order(&self) -> Result<CaptureOrder, String> {
        let number = |name: &str, text: &str| match text.trim() {
            "" => Ok(None),
            text => match text.parse() {
                Ok(number) => Ok(Some(number)),
                Err(_) => Err(format!("{name} is a number, not {text:?}")),
            },
        };
        Ok(CaptureOrder {
            session: number("Session", &self.session)?,
            seconds: number("Seconds", &self.seconds)?,
            signalling_only: self.what == "signalling",
        })
    }
}

async fn start<V: View + Settings>(
    web: &Web<V>,
    visitor: &Visitor,
    order: &CaptureOrder,
) -> Result<String, String> {
    let name = web.view.capture(order).await?;
    let of =
        order.session.map_or_else(|| "all calls".to_owned(), |number| format!("session {number}"));
    web.view.audit(&visitor.name, "capture begun", &format!("{name}, {of}"));
    Ok(name)
}

pub(crate) async fn begin<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Extension(visitor): Extension<Visitor>,
    Form(form): Form<Begin>,
) -> Response {
    let begun = match form.order() {
        Ok(order) => start(&web, &visitor, &order).await,
        Err(why) => Err(why),
    };
    match begun {
        Ok(_) => see_other("/captures"),
        Err(why) => {
            let session = form.session.trim().parse().ok();
            captures_page(&web, &visitor, Asked { session, ..Asked::default() }, Some(why)).await
        }
    }
}

/// Ends a capture.
fn end<V: View + Settings>(web: &Web<V>, visitor: &Visitor, name: &str) -> Result<(), String> {
    if !web.view.stop_capture(name) {
        return Err(format!("no capture runs as {name:?}"));
    }
    web.view.audit(&visitor.name, "capture stopped", name);
    Ok(())
}

/// Deletes the file of a capture.
fn delete<V: View + Settings>(web: &Web<V>, visitor: &Visitor, name: &str) -> Result<(), String> {
    web.view.remove_capture(name).map_err(|why| format!("{name}: {why}"))?;
    web.view.audit(&visitor.name, "capture deleted", name);
    Ok(())
}

/// The list again, with what went wrong.
async fn back<V: View + Settings>(
    web: &Arc<Web<V>>,
    visitor: &Visitor,
    done: Result<(), String>,
) -> Response {
    match done {
        Ok(()) => see_other("/captures"),
        Err(why) => captures_page(web, visitor, Asked::default(), Some(why)).await,
    }
}

pub(crate) async fn stop<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Extension(visitor): Extension<Visitor>,
    Path(name): Path<String>,
) -> Response {
    let done = end(&web, &visitor, &name);
    back(&web, &visitor, done).await
}

pub(crate) async fn remove<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Extension(visitor): Extension<Visitor>,
    Path(name): Path<String>,
) -> Response {
    let done = delete(&web, &visitor, &name);
    back(&web, &visitor, done).await
}

/// The file itself.
pub(crate) async fn file<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Extension(visitor): Extension<Visitor>,
    Path(name): Path<String>,
) -> Response {
    let none = || refused(StatusCode::NOT_FOUND, &format!("no capture is called {name:?}"));
    let Some(path) = web.view.capture_file(&name) else { return none() };
    let Ok(file) = tokio::fs::File::open(path).await else { return none() };
    web.view.audit(&visitor.name, "capture fetched", &name);
    let blocks = unfold(file, |mut file| async {
        let mut block = vec![0; BLOCK_BYTES];
        match file.read(&mut block).await {
            Ok(0) => None,
            Ok(length) => {
                block.truncate(length);
                Some((Ok::<_, std::io::Error>(block), file))
            }
            Err(error) => Some((Err(error), file)),
        }
    });
    // Compression asks once more behind the end.
    let headers = [
        (header::CONTENT_TYPE, "application/vnd.tcpdump.pcap".to_owned()),
        // The name was looked for among ours, which have letters, digits and dashes.
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
    ];
    (headers, Body::from_stream(blocks.fuse())).into_response()
}

pub(crate) async fn list_json<V: View + Settings>(State(web): State<Arc<Web<V>>>) -> Response {
    Json(listed(&web).await).into_response()
}

pub(crate) async fn begin_json<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Extension(visitor): Extension<Visitor>,
    Json(order): Json<CaptureOrder>,
) -> Response {
    match start(&web, &visitor, &order).await {
        Ok(name) => (StatusCode::CREATED, Json(json!({ "name": name }))).into_response(),
        Err(why) => refused(StatusCode::CONFLICT, &why),
    }
}

pub(crate) async fn stop_json<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Extension(visitor): Extension<Visitor>,
    Path(name): Path<String>,
) -> Response {
    match end(&web, &visitor, &name) {
        Ok(()) => Json(json!({ "name": name })).into_response(),
        Err(why) => refused(StatusCode::NOT_FOUND, &why),
    }
}

pub(crate) async fn remove_json<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Extension(visitor): Extension<Visitor>,
    Path(name): Path<String>,
) -> Response {
    match delete(&web, &visitor, &name) {
        Ok(()) => Json(json!({ "name": name })).into_response(),
        Err(why) => refused(StatusCode::CONFLICT, &why),
    }
}

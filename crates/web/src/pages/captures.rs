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

use super::{Frame, show};
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
}

impl CapturesPage<'_> {
    fn kilobytes(bytes: &u64) -> String {
        format!("{} kB", bytes.div_ceil(1_000))
    }
}

fn captures_page<V: View + Settings>(
    web: &Web<V>,
    visitor: &Visitor,
    (session, error): (Option<u64>, Option<String>),
) -> Response {
    let status = if error.is_some() { StatusCode::CONFLICT } else { StatusCode::OK };
    let frame = Frame::inside("Captures", "/captures", visitor);
    page(status, &CapturesPage { frame, captures: web.view.captures(), session, error })
}

pub(crate) async fn captures<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Extension(visitor): Extension<Visitor>,
    Query(Asked { session }): Query<Asked>,
) -> Response {
    captures_page(&web, &visitor, (session, None))
}

/// Which call the form is for.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Asked {
    session: Option<u64>,
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
            captures_page(&web, &visitor, (session, Some(why)))
        }
    }
}

pub(crate) async fn stop<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Extension(visitor): Extension<Visitor>,
    Path(name): Path<String>,
) -> Response {
    web.view.stop_capture(&name);
    web.view.audit(&visitor.name, "capture stopped", &name);
    see_other("/captures")
}

pub(crate) async fn remove<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Extension(visitor): Extension<Visitor>,
    Path(name): Path<String>,
) -> Response {
    match web.view.remove_capture(&name) {
        Ok(()) => {
            web.view.audit(&visitor.name, "capture deleted", &name);
            see_other("/captures")
        }
        Err(why) => captures_page(&web, &visitor, (None, Some(format!("{name}: {why}")))),
    }
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
    Json(web.view.captures()).into_response()
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
    web.view.stop_capture(&name);
    web.view.audit(&visitor.name, "capture stopped", &name);
    Json(json!({ "name": name })).into_response()
}

pub(crate) async fn remove_json<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Extension(visitor): Extension<Visitor>,
    Path(name): Path<String>,
) -> Response {
    match web.view.remove_capture(&name) {
        Ok(()) => {
            web.view.audit(&visitor.name, "capture deleted", &name);
            Json(json!({ "name": name })).into_response()
        }
        Err(why) => refused(StatusCode::CONFLICT, &why),
    }
}

//! Sources: what each plays and how it stands; each can be heard.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream::{StreamExt as _, unfold};

use super::{Frame, Listing, PAGE_ROWS, show};
use crate::accounts::{Role, Visitor};
use crate::answers::{page, refused};
use crate::context::Web;
use crate::guard::{Proof, encode};
use crate::live::follow;
use crate::settings::Settings;
use crate::view::{Happening, Listening, Source, View};

/// Happenings shown with the sources.
const HAPPENINGS: usize = 20;

#[derive(Template)]
#[template(path = "sources_rows.html")]
struct Rows {
    sources: Vec<Source>,
    happenings: Vec<Happening>,
    may_listen: bool,
    /// Sources that fit the search, and all there are.
    found: usize,
    all: usize,
    /// Where the next page begins.
    next: Option<u64>,
}

#[derive(Template)]
#[template(path = "sources.html")]
struct SourcesPage<'a> {
    frame: Frame<'a>,
    rows: Rows,
    listing: Listing,
}

impl Source {
    /// Its state in one word, for people.
    pub(crate) fn pill(&self) -> &'static str {
        use crate::view::SourceState::{Away, Connecting, Playing, Resting};
        match self.state {
            Connecting => "connecting",
            Playing if self.silent => "silent",
            Playing => "playing",
            Away => "away",
            Resting => "resting",
        }
    }

    pub(crate) fn hears_fallback(&self) -> bool {
        self.heard == crate::view::Heard::Fallback
    }

    /// Where it can be heard.
    pub(crate) fn listen_path(&self) -> String {
        format!("/listen/{}", encode(&self.name).replace('/', "%2F"))
    }
}

fn rows(view: &impl View, visitor_role: Role, listing: &Listing) -> Rows {
    let mut sources = view.sources();
    let all = sources.len();
    let wanted = listing.q.to_lowercase();
    sources.retain(|source| {
        let title = source.title.as_deref().unwrap_or_default();
        let text = format!("{} {} {title} {}", source.name, source.uri, source.pill());
        wanted.is_empty() || text.to_lowercase().contains(&wanted)
    });
    let found = sources.len();
    let from = listing.after.and_then(|after| usize::try_from(after).ok()).unwrap_or(0);
    let next = u64::try_from(from + PAGE_ROWS).ok().filter(|_| found > from + PAGE_ROWS);
    let sources: Vec<Source> = sources.into_iter().skip(from).take(PAGE_ROWS).collect();
    let mut happenings = view.happenings();
    happenings.reverse();
    happenings.truncate(HAPPENINGS);
    let may_listen = visitor_role >= Role::Operator;
    Rows { sources, happenings, may_listen, found, all, next }
}

pub(crate) async fn sources<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Extension(visitor): Extension<Visitor>,
    Query(listing): Query<Listing>,
) -> Response {
    let frame = Frame {
        reload_seconds: listing.refresh.seconds(),
        ..Frame::inside("Sources", "/status/sources", &visitor)
    };
    let rows = rows(&*web.view, visitor.role, &listing);
    page(StatusCode::OK, &SourcesPage { frame, rows, listing })
}

pub(crate) async fn sources_live<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Extension(visitor): Extension<Visitor>,
    Extension(proof): Extension<Proof>,
    Query(listing): Query<Listing>,
) -> Response {
    follow(web, proof, move |web, _| rows(&*web.view, visitor.role, &listing).render().ok())
}

/// A source as a call hears it, for the browser: WAV without an end.
pub(crate) async fn listen<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Path(name): Path<String>,
) -> Response {
    match web.view.listen(&name) {
        Some(listening) => wav_stream(listening),
        None => refused(StatusCode::NOT_FOUND, &format!("no source is called {name:?}")),
    }
}

fn wav_stream(listening: Listening) -> Response {
    let blocks = unfold(listening, |mut listening| async {
        let bytes = listening.recv().await?;
        Some((Ok::<_, std::convert::Infallible>(bytes), listening))
    });
    ([(header::CONTENT_TYPE, "audio/wav")], Body::from_stream(blocks.fuse())).into_response()
}

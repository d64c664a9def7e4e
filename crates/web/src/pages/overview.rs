//! Overview: what is wrong now, if anything, and how much goes on.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::{Frame, Listing, show};
use crate::accounts::Visitor;
use crate::answers::page;
use crate::context::Web;
use crate::guard::Proof;
use crate::live::follow;
use crate::settings::Settings;
use crate::view::{Alarm, Looks, Source, Speech, View, alarms};

#[derive(Template)]
#[template(path = "overview_rows.html")]
struct Rows {
    alarms: Vec<Alarm>,
    calls: usize,
    speaking: usize,
    load: f64,
    sources: Vec<Source>,
    speech: Speech,
}

#[derive(Template)]
#[template(path = "overview.html")]
struct OverviewPage<'a> {
    frame: Frame<'a>,
    rows: Rows,
    listing: Listing,
}

fn rows(view: &impl View, looks: &Looks) -> Rows {
    let (sources, speech) = (view.sources(), view.speech());
    Rows {
        alarms: alarms(view),
        calls: looks.calls.len(),
        speaking: looks.calls.iter().filter(|call| call.resource.is_some()).count(),
        load: looks.engines.iter().map(|engine| engine.average_percent).fold(0.0, f64::max),
        sources,
        speech,
    }
}

pub(crate) async fn overview<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Extension(visitor): Extension<Visitor>,
    Query(listing): Query<Listing>,
) -> Response {
    let Some(looks) = web.looks().await else { return super::status::ending() };
    let frame = Frame {
        reload_seconds: listing.refresh.seconds(),
        ..Frame::inside("Overview", "/overview", &visitor)
    };
    let rows = rows(&*web.view, &looks);
    page(StatusCode::OK, &OverviewPage { frame, rows, listing })
}

pub(crate) async fn overview_live<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Extension(proof): Extension<Proof>,
) -> Response {
    follow(web, proof, |web, looks| rows(&*web.view, looks).render().ok())
}

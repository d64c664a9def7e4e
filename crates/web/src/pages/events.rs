//! Events: what is wrong, what happened to sources, and who did what.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::{Frame, Listing, PAGE_ROWS, show};
use crate::accounts::{Role, Visitor};
use crate::answers::page;
use crate::context::Web;
use crate::settings::Settings;
use crate::view::{Alarm, View, alarms};

/// Something that happened, to a source or by somebody.
struct Event {
    at: f64,
    who: String,
    what: String,
    detail: String,
}

#[derive(Template)]
#[template(path = "events.html")]
struct EventsPage<'a> {
    frame: Frame<'a>,
    alarms: Vec<Alarm>,
    events: Vec<Event>,
    listing: Listing,
    next: Option<u64>,
}

pub(crate) async fn events<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Extension(visitor): Extension<Visitor>,
    Query(listing): Query<Listing>,
) -> Response {
    let happened = web.view.happenings().into_iter().map(|happening| Event {
        at: happening.at_unix_seconds,
        who: happening.source,
        what: happening.what,
        detail: happening.why,
    });
    let mut events: Vec<Event> = happened.collect();
    if visitor.role == Role::Administrator {
        #[expect(clippy::cast_precision_loss, reason = "a time of this era")]
        events.extend(web.view.audited().into_iter().map(|audited| Event {
            at: audited.at_unix_seconds as f64,
            who: audited.who,
            what: audited.what,
            detail: audited.detail,
        }));
    }
    let wanted = listing.q.to_lowercase();
    events.retain(|event| {
        let text = format!("{} {} {}", event.who, event.what, event.detail);
        wanted.is_empty() || text.to_lowercase().contains(&wanted)
    });
    events.sort_by(|a, b| b.at.total_cmp(&a.at));
    let from = listing.after.and_then(|after| usize::try_from(after).ok()).unwrap_or(0);
    let more = events.len() > from + PAGE_ROWS;
    let next = u64::try_from(from + PAGE_ROWS).ok().filter(|_| more);
    let events = events.into_iter().skip(from).take(PAGE_ROWS).collect();
    let alarms = alarms(&*web.view);
    let frame = Frame::inside("Events", "/events", &visitor);
    page(StatusCode::OK, &EventsPage { frame, alarms, events, listing, next })
}

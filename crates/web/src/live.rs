//! Pages that change while one looks at them: server-sent events, each a new piece of the page.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::response::sse::{Event, KeepAlive};
use axum::response::{IntoResponse as _, Response, Sse};
use futures_util::stream::{Stream, StreamExt as _, unfold};
use tokio::sync::Mutex;
use tokio::time::MissedTickBehavior;

use crate::context::Web;
use crate::guard::Proof;
use crate::settings::Settings;
use crate::view::{Looks, View};

/// How often a page is made anew.
const TICK: Duration = Duration::from_millis(500);
/// A sign of life on a page that does not change.
const ALIVE: Duration = Duration::from_secs(15);

/// A value that many want and one fetches.
#[derive(Debug)]
pub(crate) struct Cached<T> {
    fresh: Duration,
    kept: Mutex<Option<(Instant, Arc<T>)>>,
}

impl<T> Cached<T> {
    pub(crate) const fn new(fresh: Duration) -> Self {
        Self { fresh, kept: Mutex::const_new(None) }
    }

    /// The value, fetched anew if it is too old. Those who come meanwhile wait for the same.
    #[expect(clippy::disallowed_methods, reason = "this is a shell crate's clock")]
    pub(crate) async fn get<F: Future<Output = Option<T>>>(
        &self,
        fetch: impl FnOnce() -> F,
    ) -> Option<Arc<T>> {
        let mut kept = self.kept.lock().await;
        if let Some((at, value)) = &*kept
            && at.elapsed() < self.fresh
        {
            return Some(Arc::clone(value));
        }
        let value = Arc::new(fetch().await?);
        *kept = Some((Instant::now(), Arc::clone(&value)));
        Some(value)
    }
}

/// A page that follows calls and engines, for as long as its viewer is logged in.
pub(crate) fn follow<V: View + Settings>(
    web: Arc<Web<V>>,
    proof: Proof,
    render: impl Fn(&Web<V>, &Looks) -> Option<String> + Send + Sync + 'static,
) -> Response {
    let render = Arc::new(render);
    let next = move || {
        let (web, proof, render) = (Arc::clone(&web), proof.clone(), Arc::clone(&render));
        async move {
            if !web.still(&proof) {
                return None;
            }
            let looks = web.looks().await?;
            render(&web, &looks)
        }
    };
    live(next).into_response()
}

/// Sends what `render` makes, each time that it differs from what was sent last; ends when it makes
/// nothing.
fn live<F, R>(render: R) -> Sse<impl Stream<Item = Result<Event, Infallible>>>
where
    R: FnMut() -> F + Send + 'static,
    F: Future<Output = Option<String>> + Send,
{
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let events =
        unfold((render, ticks, String::new()), |(mut render, mut ticks, last)| async move {
            loop {
                ticks.tick().await;
                let html = render().await?;
                if html != last {
                    let event = Event::default().data(&html);
                    return Some((Ok(event), (render, ticks, html)));
                }
            }
        });
    Sse::new(events.fuse()).keep_alive(KeepAlive::new().interval(ALIVE))
}

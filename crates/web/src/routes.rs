use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state, map_response};
use axum::response::Response;
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use tower_http::compression::CompressionLayer;

use crate::accounts::Role;
use crate::answers::{in_one_form, refused, see_other};
use crate::context::{Options, Web};
use crate::guard::{self, Peer, at_least};
use crate::settings::Settings;
use crate::view::{View, alarms};
use crate::{api, login, mail, pages};

/// Every address, and what answers there.
pub fn router<V: View + Settings>(view: Arc<V>, options: Options) -> Router {
    let web = Arc::new(Web::new(view, options));
    let operators = Router::new()
        .route("/listen/{name}", get(pages::sources::listen::<V>))
        .route("/status/voices", get(pages::tools::voices::<V>))
        .route("/diagnostics", get(pages::diagnostics::diagnostics::<V>))
        .route("/api/v1/diagnostics", get(pages::diagnostics::diagnostics_json::<V>))
        .route("/voices/preview", post(pages::tools::preview::<V>))
        .route("/voices/sound/{number}", get(pages::tools::sound::<V>))
        .layer(from_fn(async |request, next| at_least(Role::Operator, request, next).await));
    let known = Router::new()
        .merge(operators)
        .merge(administrators())
        .merge(page_routes())
        .merge(api_routes())
        .layer(from_fn_with_state(Arc::clone(&web), guard::known::<V>));
    let open = Router::new()
        .route("/", get(async || see_other(login::LANDING)))
        .route("/login", get(login::form::<V>).post(login::log_in::<V>))
        .route("/setup", get(login::setup_form::<V>).post(login::set_up::<V>))
        .route("/static/{version}/{name}", get(pages::assets::asset))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(api::ready::<V>));
    let metrics = Router::new()
        .route("/metrics", get(api::exposition::<V>))
        .layer(from_fn_with_state(Arc::clone(&web), scrapers::<V>));
    known
        .merge(open)
        .merge(metrics)
        .fallback(async || refused(StatusCode::NOT_FOUND, "there is nothing at this address"))
        .method_not_allowed_fallback(async || {
            refused(StatusCode::METHOD_NOT_ALLOWED, "this address does not take this method")
        })
        .with_state(web)
        .layer(map_response(in_one_form))
        .layer(from_fn(guard::in_time))
        .layer(from_fn(guard::headers))
        .layer(CompressionLayer::new())
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
}

/// The largest body that is read: the settings, whole.
const BODY_BYTES_MAX: usize = 1 << 20;

fn page_routes<V: View + Settings>() -> Router<Arc<Web<V>>> {
    use pages::{overview, sources, status};
    Router::new()
        .route("/logout", post(login::log_out::<V>))
        .route("/overview", get(overview::overview::<V>))
        .route("/live/overview", get(overview::overview_live::<V>))
        .route("/events", get(pages::events::events::<V>))
        .route("/status/about", get(status::about::<V>))
        .route("/status/server", get(status::server::<V>))
        .route("/live/server", get(status::server_live::<V>))
        .route("/status/sessions/{session}", get(status::session::<V>))
        .route("/live/sessions/{session}", get(status::session_live::<V>))
        .route("/status/resources/{id}", get(status::resource::<V>))
        .route("/live/resources/{id}", get(status::resource_live::<V>))
        .route("/status/engine", get(status::engine::<V>))
        .route("/live/engine", get(status::engine_live::<V>))
        .route("/help/api", get(pages::help::api))
        .route("/help/{name}", get(pages::help::document))
        .route("/status/sources", get(sources::sources::<V>))
        .route("/live/sources", get(sources::sources_live::<V>))
}

fn administrators<V: View + Settings>() -> Router<Arc<Web<V>>> {
    use pages::{administration, captures, config};
    Router::new()
        .route("/administration", get(administration::form::<V>))
        .route("/administration/account", post(administration::change::<V>))
        .route("/administration/users", post(administration::add_user::<V>))
        .route("/administration/users/remove", post(administration::remove_user::<V>))
        .route("/administration/tokens", post(administration::add_token::<V>))
        .route("/administration/tokens/remove", post(administration::remove_token::<V>))
        .route("/welcome/{step}", get(config::welcome::<V>))
        .route("/welcome/tone", get(config::tone))
        .route("/config/reload", post(config::reload::<V>))
        .route("/config/devices", get(pages::tools::devices::<V>))
        .route("/config/test", post(pages::tools::test::<V>))
        .route("/config/history", get(config::history::<V>))
        .route("/config/history/{number}", get(config::revision::<V>))
        .route("/config/history/{number}/restore", post(config::restore::<V>))
        .route("/config/{group}", get(config::form::<V>).post(config::review::<V>))
        .route("/config/{group}/apply", post(config::apply::<V>))
        .route("/api/v1/settings", get(api::settings::<V>).post(api::change_settings::<V>))
        .route("/api/v1/settings/propose", post(api::propose_settings::<V>))
        .route("/api/v1/settings/reload", post(api::reload_settings::<V>))
        .route("/api/v1/settings/history", get(api::revisions::<V>))
        .route("/api/v1/settings/history/{number}", get(api::revision::<V>))
        .route("/api/v1/settings/history/{number}/restore", post(api::restore_settings::<V>))
        .route("/mailboxes", get(pages::mailboxes::mailboxes::<V>))
        .route("/mailboxes/import", post(pages::mailboxes::import::<V>))
        .route("/mailboxes/act", post(pages::mailboxes::act::<V>))
        .route(
            "/mailboxes/{unique}",
            get(pages::mailboxes::mailbox::<V>).post(pages::mailboxes::messages::<V>),
        )
        .route("/captures", get(captures::captures::<V>).post(captures::begin::<V>))
        .route("/captures/{name}", get(captures::file::<V>))
        .route("/captures/{name}/stop", post(captures::stop::<V>))
        .route("/captures/{name}/remove", post(captures::remove::<V>))
        .route("/api/v1/captures", get(captures::list_json::<V>).post(captures::begin_json::<V>))
        .route(
            "/api/v1/captures/{name}",
            get(captures::file::<V>).delete(captures::remove_json::<V>),
        )
        .route("/api/v1/captures/{name}/stop", post(captures::stop_json::<V>))
        .route("/api/v1/events", get(api::events::<V>))
        .route("/api/v1/audit", get(api::audit::<V>))
        .merge(mail_routes())
        .layer(from_fn(async |request, next| at_least(Role::Administrator, request, next).await))
}

/// The largest message that is sent, and the largest list of users.
const MAIL_BYTES_MAX: usize = 64 << 20;

fn mail_routes<V: View + Settings>() -> Router<Arc<Web<V>>> {
    Router::new()
        .route("/api/v1/mail", get(mail::standing::<V>))
        .route("/api/v1/mail/spool/{id}", delete(mail::discard::<V>))
        .route("/api/v1/mail/stats", get(mail::stats::<V>))
        .route("/api/v1/mail/move", post(mail::move_to::<V>))
        .route("/api/v1/mailboxes/{name}/export", post(mail::export::<V>))
        .route("/api/v1/mailboxes", get(mail::mailboxes::<V>).post(mail::create::<V>))
        .route("/api/v1/mailboxes/import", post(mail::import::<V>))
        .route(
            "/api/v1/mailboxes/{name}",
            get(mail::mailbox::<V>).patch(mail::rename::<V>).delete(mail::delete::<V>),
        )
        .route("/api/v1/mail/servers", get(mail::servers::servers::<V>))
        .route("/api/v1/mail/sent-on", get(mail::servers::sent_on::<V>))
        .route("/api/v1/mail/servers/{name}/counts", get(mail::servers::counts::<V>))
        .route("/api/v1/mailboxes/{name}/password", post(mail::password::<V>))
        .route("/api/v1/mailboxes/{name}/restore", post(mail::restore::<V>))
        .route("/api/v1/mailboxes/{name}/purge", post(mail::purge::<V>))
        .route("/api/v1/mailboxes/{name}/check", post(mail::check::<V>))
        .route("/api/v1/mailboxes/{name}/events", get(mail::events::<V>))
        .route("/api/v1/mailboxes/{name}/bulk", post(mail::bulk::<V>))
        .route(
            "/api/v1/mailboxes/{name}/greetings",
            get(mail::greetings::<V>).post(mail::greet::<V>),
        )
        .route("/api/v1/mailboxes/{name}/messages", get(mail::list::<V>).post(mail::send::<V>))
        .route(
            "/api/v1/mailboxes/{name}/messages/{id}",
            get(mail::message::<V>).patch(mail::change::<V>).delete(mail::remove::<V>),
        )
        .route("/api/v1/mailboxes/{name}/messages/{id}/forward", post(mail::forward::<V>))
        .route("/api/v1/mailboxes/{name}/messages/{id}/reply", post(mail::reply::<V>))
        .route("/api/v1/mailboxes/{name}/messages/{id}/audio", get(mail::audio::<V>))
        .route(
            "/api/v1/mailboxes/{name}/messages/{id}/attachments/{number}",
            get(mail::attachment::<V>),
        )
        .layer(DefaultBodyLimit::max(MAIL_BYTES_MAX))
}

fn api_routes<V: View + Settings>() -> Router<Arc<Web<V>>> {
    use pages::status;
    Router::new()
        .route("/api/v1/about", get(async |State(web): State<Arc<Web<V>>>| Json(web.view.about())))
        .route("/api/v1/calls", get(status::calls_json::<V>))
        .route("/api/v1/engines", get(status::engines_json::<V>))
        .route("/api/v1/resources/{name}", get(status::resource_data::<V>))
        .route("/api/v1/sources", get(api::sources::<V>))
        .route("/api/v1/sources/{name}", get(api::source::<V>))
        .route(
            "/api/v1/alarms",
            get(async |State(web): State<Arc<Web<V>>>| Json(alarms(&*web.view))),
        )
        .route(
            "/api/v1/happenings",
            get(async |State(web): State<Arc<Web<V>>>| Json(web.view.happenings())),
        )
        .route("/api/v1/devices", get(api::devices::<V>))
        .route("/api/v1/capabilities", get(api::capabilities::<V>))
        .route(
            "/api/v1/speech",
            get(async |State(web): State<Arc<Web<V>>>| Json(web.view.speech())),
        )
        .route("/api/v1/standing", get(api::standing::<V>))
        .route(
            "/api/v1/deliveries",
            get(async |State(web): State<Arc<Web<V>>>| Json(web.view.deliveries())),
        )
        .route("/api/v1/openapi.json", get(pages::help::openapi_json))
}

/// Headers by which a proxy says that somebody else asks.
const PROXIES: [&str; 6] =
    ["forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip"];

/// Metrics are told to who is known, and to programs on this host that ask by its address: a page from
/// elsewhere in a browser here could else let its own name point here (DNS rebinding).
async fn scrapers<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    request: Request,
    next: Next,
) -> Response {
    let host = request.headers().get(header::HOST).map(|host| host.to_str().unwrap_or("?"));
    let here = Peer::of(&request).ip().is_loopback()
        && host.is_none_or(guard::is_address)
        && !PROXIES.iter().any(|name| request.headers().contains_key(*name))
        && !guard::from_elsewhere(request.headers());
    if here {
        return next.run(request).await;
    }
    guard::known(State(web), request, next).await
}

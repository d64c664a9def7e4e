//! The forms that answers have.

use askama::Template;
use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse as _, Response};
use serde_json::json;

/// A refusal, for programs.
pub(crate) fn refused(status: StatusCode, why: &str) -> Response {
    (status, Json(json!({ "error": why }))).into_response()
}

/// Leads a browser to another page. `path` is one of ours, percent-encoded.
pub(crate) fn see_other(path: &str) -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    let to = HeaderValue::from_str(path).unwrap_or(HeaderValue::from_static("/"));
    response.headers_mut().insert(header::LOCATION, to);
    response
}

/// A page.
pub(crate) fn page(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(text) => (status, Html(text)).into_response(),
        // A template fails only where a value of its own cannot be shown.
        Err(error) => {
            tracing::error!(%error, "a page was not made");
            refused(StatusCode::INTERNAL_SERVER_ERROR, "the page could not be made")
        }
    }
}

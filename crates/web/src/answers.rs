//! The forms that answers have.

use askama::Template;
use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse as _, Response};
use serde_json::json;

use crate::pages::Frame;

/// A refusal, for programs.
pub(crate) fn refused(status: StatusCode, why: &str) -> Response {
    (status, Json(json!({ "error": why }))).into_response()
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    frame: Frame<'a>,
    why: String,
}

/// What cannot be read is refused in words by whoever reads it; for programs as any other refusal.
pub(crate) async fn in_one_form(response: Response) -> Response {
    let plain = |kind: &HeaderValue| kind.as_bytes().starts_with(b"text/plain");
    let kind = response.headers().get(header::CONTENT_TYPE);
    if !response.status().is_client_error() || !kind.is_some_and(plain) {
        return response;
    }
    let (parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, REFUSAL_BYTES_MAX).await.unwrap_or_default();
    refused(parts.status, &String::from_utf8_lossy(&bytes))
}

/// The longest refusal.
const REFUSAL_BYTES_MAX: usize = 65_536;

/// The same refusal as a page; what is a page already stays as it is.
pub(crate) async fn for_people(response: Response) -> Response {
    let json = |kind: &HeaderValue| kind.as_bytes().starts_with(b"application/json");
    if !response.headers().get(header::CONTENT_TYPE).is_some_and(json) {
        return response;
    }
    let (parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, REFUSAL_BYTES_MAX).await.unwrap_or_default();
    let told: Option<serde_json::Value> = serde_json::from_slice(&bytes).ok();
    let why = told.and_then(|told| Some(told.get("error")?.as_str()?.to_owned()));
    let title = parts.status.canonical_reason().unwrap_or("Refused");
    let content = ErrorPage { frame: Frame::outside(title), why: why.unwrap_or_default() };
    let mut response = page(parts.status, &content);
    // Retry-After, what to log in with.
    for name in [header::RETRY_AFTER, header::WWW_AUTHENTICATE] {
        if let Some(value) = parts.headers.get(&name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    response
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

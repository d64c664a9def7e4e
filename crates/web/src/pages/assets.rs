//! Styles and scripts, from the program itself.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use crate::accounts::{hex, sha256};
use crate::answers::refused;

/// Name, media type, bytes.
static ASSETS: &[(&str, &str, &[u8])] = &[
    ("app.css", "text/css; charset=utf-8", include_bytes!("../../static/app.css")),
    ("app.js", "text/javascript; charset=utf-8", include_bytes!("../../static/app.js")),
    ("htmx.js", "text/javascript; charset=utf-8", include_bytes!("../../static/htmx-4.0.1.min.js")),
    (
        "hx-sse.js",
        "text/javascript; charset=utf-8",
        include_bytes!("../../static/hx-sse-4.0.1.min.js"),
    ),
    ("icon.svg", "image/svg+xml", include_bytes!("../../static/icon.svg")),
];

/// A word that changes with any of them: what a browser kept of another version is never used.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let all: Vec<u8> = ASSETS.iter().flat_map(|(.., bytes)| bytes.iter().copied()).collect();
    let mut version = hex(&sha256(&all));
    version.truncate(12);
    version
});

/// Where an asset is.
pub(crate) fn address(name: &str) -> String {
    format!("/static/{}/{name}", *VERSION)
}

/// An asset. Its address names its version, so it may be kept for ever.
pub(crate) async fn asset(Path((_, name)): Path<(String, String)>) -> Response {
    match ASSETS.iter().find(|(known, ..)| *known == name) {
        Some((_, kind, bytes)) => (
            [
                (header::CONTENT_TYPE, *kind),
                (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
            ],
            *bytes,
        )
            .into_response(),
        None => refused(StatusCode::NOT_FOUND, "there is nothing at this address"),
    }
}

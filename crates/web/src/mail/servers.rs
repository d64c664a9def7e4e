//! Mail servers that messages are fetched from.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::json;

use crate::answers::refused;
use crate::context::Web;
use crate::settings::Settings;
use crate::view::View;

/// How it stands with each.
pub(crate) async fn servers<V: View + Settings>(State(web): State<Arc<Web<V>>>) -> Response {
    Json(web.view.mail_servers()).into_response()
}

/// How it stands with messages that go on by e-mail; null where no relay is set.
pub(crate) async fn sent_on<V: View + Settings>(State(web): State<Arc<Web<V>>>) -> Response {
    Json(web.view.mail_sent_on()).into_response()
}

/// Whose mailbox, and which.
#[derive(Debug, Deserialize)]
pub(crate) struct Asked {
    #[serde(default)]
    user: String,
    #[serde(default = "inbox")]
    mailbox: String,
}

fn inbox() -> String {
    "INBOX".to_owned()
}

/// What a mailbox there holds.
pub(crate) async fn counts<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Path(server): Path<String>,
    Query(asked): Query<Asked>,
) -> Response {
    match web.view.mail_counts(&server, &asked.user, &asked.mailbox).await {
        Ok(counts) => Json(counts).into_response(),
        Err(None) => refused(
            StatusCode::NOT_FOUND,
            "there is no such server in mail.servers, or mail is not played",
        ),
        Err(Some((why, known))) => {
            (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "error": why, "known": known })))
                .into_response()
        }
    }
}

//! Diagnostics: what the doctor finds.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};

use super::Frame;
use crate::accounts::Visitor;
use crate::answers::page;
use crate::context::Web;
use crate::settings::Settings;
use crate::view::{Finding, Severity, View, alarms};

#[derive(Template)]
#[template(path = "diagnostics.html")]
struct DiagnosticsPage<'a> {
    frame: Frame<'a>,
    findings: Vec<Finding>,
}

/// What is found, the worst first; what the server itself says is wrong among it.
async fn findings<V: View + Settings>(web: &Web<V>) -> Vec<Finding> {
    let alarms = alarms(&*web.view).into_iter();
    let told = alarms.map(|alarm| Finding {
        severity: Severity::Fault,
        area: alarm.about,
        what: format!("{}: {}", alarm.name, alarm.why),
        remedy: None,
    });
    let mut findings: Vec<Finding> = told.collect();
    findings.extend(web.view.doctor().await);
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    findings
}

pub(crate) async fn diagnostics<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Extension(visitor): Extension<Visitor>,
) -> Response {
    let findings = findings(&web).await;
    let frame = Frame::inside("Diagnostics", "/diagnostics", &visitor);
    page(StatusCode::OK, &DiagnosticsPage { frame, findings })
}

pub(crate) async fn diagnostics_json<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
) -> Response {
    Json(findings(&web).await).into_response()
}

//! Traces of calls for a collector of OpenTelemetry: a span for each call and one within it for each utterance,
//! as OTLP over HTTP with JSON.
//!
//! The body is the one that the OTLP specification gives for `ExportTraceServiceRequest`; the libraries for it
//! bring gRPC and Protocol Buffers along.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::webhooks::innermost;

/// Spans that may wait; more are lost, and said to be.
const WAITING_MAX: usize = 8_192;
/// Spans in one request.
const BATCH: usize = 512;
/// How long spans are gathered.
const GATHERED: Duration = Duration::from_secs(2);
/// How often a request is tried, with pauses that double from a second on.
const TRIES: u32 = 4;

/// Which call a span belongs to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Context {
    /// The trace. 16 bytes, not all zero.
    pub trace: [u8; 16],
    /// The call's own span.
    pub span: [u8; 8],
}

/// Something that took its time.
#[derive(Clone, Debug)]
pub struct Span {
    /// Whose trace.
    pub trace: [u8; 16],
    /// Its own id.
    pub id: [u8; 8],
    /// The span that it happened in.
    pub parent: Option<[u8; 8]>,
    /// What it is: `call`, `utterance`.
    pub name: &'static str,
    /// Whether somebody asked us for it.
    pub is_server: bool,
    /// When it began, since 1970.
    pub began: Duration,
    /// When it ended.
    pub ended: Duration,
    /// What is known of it.
    pub attributes: Vec<(&'static str, Value)>,
    /// Why it failed, if it did.
    pub failed: Option<String>,
}

fn attribute((key, value): &(&'static str, Value)) -> Value {
    let value = match value {
        Value::Bool(flag) => json!({ "boolValue": flag }),
        Value::Number(number) if number.is_f64() => json!({ "doubleValue": number }),
        // 64-bit integers are strings in JSON. Protocol Buffers, JSON mapping.
        Value::Number(number) => json!({ "intValue": number.to_string() }),
        Value::String(text) => json!({ "stringValue": text }),
        other @ (Value::Null | Value::Array(_) | Value::Object(_)) => {
            json!({ "stringValue": other.to_string() })
        }
    };
    json!({ "key": key, "value": value })
}

impl Span {
    fn json(&self) -> Value {
        let nanos = |at: Duration| at.as_nanos().to_string();
        let mut span = json!({
            "traceId": web::hex(&self.trace),
            "spanId": web::hex(&self.id),
            "name": self.name,
            // SPAN_KIND_INTERNAL, SPAN_KIND_SERVER.
            "kind": if self.is_server { 2 } else { 1 },
            "startTimeUnixNano": nanos(self.began),
            "endTimeUnixNano": nanos(self.ended),
            "attributes": self.attributes.iter().map(attribute).collect::<Vec<_>>(),
            // STATUS_CODE_UNSET, STATUS_CODE_ERROR.
            "status": match &self.failed {
                None => json!({ "code": 0 }),
                Some(why) => json!({ "code": 2, "message": why }),
            },
        });
        if let (Some(parent), Some(object)) = (self.parent, span.as_object_mut()) {
            object.insert("parentSpanId".to_owned(), web::hex(&parent).into());
        }
        span
    }
}

/// Hands spans over; it never waits.
#[derive(Clone, Debug)]
pub struct Tracer {
    spans: mpsc::Sender<Span>,
    lost: Arc<AtomicU64>,
}

impl Tracer {
    /// Sends to `endpoint` from now on, in a task of its own, as the server on this host.
    ///
    /// # Errors
    /// When TLS cannot be had.
    pub fn start(endpoint: String, host: String) -> Result<Self, String> {
        let client = crate::webhooks::client()?;
        let (spans, waiting) = mpsc::channel(WAITING_MAX);
        let lost = Arc::<AtomicU64>::default();
        tokio::spawn(export(client, (endpoint, host), waiting, Arc::clone(&lost)));
        Ok(Self { spans, lost })
    }

    /// Hands one over.
    pub fn put(&self, span: Span) {
        if self.spans.try_send(span).is_err() {
            lose(&self.lost, 1, "the collector does not keep up");
        }
    }

    /// Spans that the collector did not get.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

/// Counts; the log has the 1st, 2nd, 4th … time.
fn lose(lost: &AtomicU64, count: u64, why: &str) {
    let before = lost.fetch_add(count, Ordering::Relaxed);
    if before.checked_ilog2() != (before + count).checked_ilog2() {
        tracing::warn!(lost = before + count, why, "spans are lost");
    }
}

async fn export(
    client: reqwest::Client,
    (endpoint, host): (String, String),
    mut waiting: mpsc::Receiver<Span>,
    lost: Arc<AtomicU64>,
) {
    let mut batch = Vec::with_capacity(BATCH);
    while let Some(first) = waiting.recv().await {
        batch.push(first);
        let more = async {
            while batch.len() < BATCH {
                let Some(span) = waiting.recv().await else { return };
                batch.push(span);
            }
        };
        // What came until then is sent.
        let _ = tokio::time::timeout(GATHERED, more).await;
        let body = request(&host, &batch).to_string();
        if let Err(why) = post(&client, &endpoint, body).await {
            lose(&lost, u64::try_from(batch.len()).unwrap_or(0), &why);
        }
        batch.clear();
    }
}

async fn post(client: &reqwest::Client, endpoint: &str, body: String) -> Result<(), String> {
    let mut why = String::new();
    for attempt in 0..TRIES {
        if attempt > 0 {
            tokio::time::sleep(Duration::from_secs(1 << (attempt - 1))).await;
        }
        let request = client.post(endpoint).header("content-type", "application/json");
        match request.body(body.clone()).send().await {
            Ok(answer) if answer.status().is_success() => return Ok(()),
            Ok(answer) => {
                why = format!("answers {}", answer.status());
                // OTLP names these as the ones that may pass.
                if !matches!(answer.status().as_u16(), 429 | 502 | 503 | 504) {
                    break;
                }
            }
            Err(error) => why = innermost(&error),
        }
    }
    Err(why)
}

fn request(host: &str, spans: &[Span]) -> Value {
    let resource = [
        ("service.name", Value::from("entracte")),
        ("service.version", env!("CARGO_PKG_VERSION").into()),
        ("host.name", host.into()),
    ];
    json!({
        "resourceSpans": [{
            "resource": { "attributes": resource.iter().map(attribute).collect::<Vec<_>>() },
            "scopeSpans": [{
                "scope": { "name": "entracte", "version": env!("CARGO_PKG_VERSION") },
                "spans": spans.iter().map(Span::json).collect::<Vec<_>>(),
            }],
        }],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_as_otlp_writes_it() {
        let span = Span {
            trace: [0xab; 16],
            id: [1; 8],
            parent: Some([2; 8]),
            name: "utterance",
            is_server: false,
            began: Duration::new(1, 5),
            ended: Duration::from_secs(2),
            attributes: vec![("a", 7_u64.into()), ("b", 0.5.into()), ("c", "d".into())],
            failed: Some("gone".into()),
        };
        let body = request("here", &[span]);
        let span = &body["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
        assert_eq!(span["traceId"], "ab".repeat(16));
        assert_eq!(span["parentSpanId"], "02".repeat(8));
        assert_eq!(span["startTimeUnixNano"], "1000000005");
        assert_eq!(span["attributes"][0], json!({ "key": "a", "value": { "intValue": "7" } }));
        assert_eq!(span["attributes"][1]["value"], json!({ "doubleValue": 0.5 }));
        assert_eq!(span["status"], json!({ "code": 2, "message": "gone" }));
        let host = &body["resourceSpans"][0]["resource"]["attributes"][2];
        assert_eq!(host["value"]["stringValue"], "here");
    }
}

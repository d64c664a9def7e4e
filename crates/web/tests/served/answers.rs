//! The answers over HTTP, of a server that is made up, over a real socket.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::made::{Made, TOKEN, options};
use web::{Source, View as _};

/// Asks once: the status, the content type, the body.
async fn ask(made: Made, method: &str, path: &str) -> (u16, String, String) {
    ask_as(made, method, path, "127.0.0.1:8190").await
}

async fn ask_as(made: Made, method: &str, path: &str, host: &str) -> (u16, String, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(web::serve(listener, web::router(Arc::new(made), options()), None));
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    serving.abort();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let kind = head.lines().find_map(|line| line.strip_prefix("content-type: "));
    (status, kind.unwrap_or_default().to_owned(), body.to_owned())
}

async fn json_at(path: &str) -> (u16, Value) {
    let (status, kind, body) = ask(Made::default(), "GET", path).await;
    assert_eq!(kind, "application/json", "{body}");
    (status, serde_json::from_str(&body).unwrap())
}

#[tokio::test]
async fn sources_are_told_whole_and_one_by_one() {
    let (status, told) = json_at("/api/v1/sources").await;
    assert_eq!(status, 200);
    let expected = Made::default().sources();
    assert_eq!(serde_json::from_value::<Vec<Source>>(told.clone()).unwrap(), expected);
    assert_eq!(told[0]["state"], "playing");
    assert_eq!(told[1]["why"], "the server answers 404");
    assert_eq!(json_at("/api/v1/sources/rADIO").await, (200, told[0].clone()));
    assert_eq!(json_at("/api/v1/sources/a%20%22b%22%5C%2F%C3%BC").await, (200, told[1].clone()));
    let nobody = json!({ "error": "no source is called \"Lobby\"" });
    assert_eq!(json_at("/api/v1/sources/Lobby").await, (404, nobody));
}

#[tokio::test]
async fn faults_are_told_as_json_with_their_status() {
    let (status, told) = json_at("/api/v1/devices").await;
    assert_eq!(
        (status, told["error"].as_str()),
        (502, Some("no sound server: Connection refused"))
    );
    assert_eq!(json_at("/api/v2").await.0, 404);
    let (status, _, body) = ask(Made::default(), "POST", "/api/v1/sources").await;
    assert_eq!((status, body.contains("does not take this method")), (405, true), "{body}");
}

#[tokio::test]
async fn a_page_from_elsewhere_is_not_answered() {
    let host = "127.0.0.1\r\nSec-Fetch-Site: cross-site";
    let (status, ..) = ask_as(Made::default(), "GET", "/api/v1/devices", host).await;
    assert_eq!(status, 403);
    let host = "127.0.0.1\r\nSec-Fetch-Site: none";
    assert_eq!(ask_as(Made::default(), "GET", "/healthz", host).await.0, 200);
}

#[tokio::test]
async fn connections_are_bounded_and_the_next_one_is_served_when_one_ends() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving =
        tokio::spawn(web::serve(listener, web::router(Arc::new(Made::default()), options()), None));
    let mut idle = Vec::new();
    for _ in 0..web::CONNECTIONS_MAX {
        idle.push(TcpStream::connect(address).await.unwrap());
    }
    let mut next = TcpStream::connect(address).await.unwrap();
    next.write_all(b"GET /healthz HTTP/1.0\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    let early = tokio::time::timeout(
        std::time::Duration::from_millis(300),
        next.read_to_string(&mut answer),
    );
    assert!(early.await.is_err(), "answered beyond the limit: {answer}");
    drop(idle.pop());
    next.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("ok\n"), "{answer}");
    serving.abort();
}

#[tokio::test]
async fn what_it_offers_and_holds_is_told() {
    let (_, told) = json_at("/api/v1/capabilities").await;
    assert_eq!(told["codecs"], json!(["PCMU", "PCMA"]));
    let (_, told) = json_at("/api/v1/standing").await;
    assert_eq!((told["sessions"].as_u64(), told["channels"].as_u64()), (Some(2), Some(0)));
}

#[tokio::test]
async fn a_server_that_ends_is_healthy_and_not_ready() {
    for (path, ending, expected) in
        [("/healthz", true, 200), ("/readyz", true, 503), ("/readyz", false, 200)]
    {
        assert_eq!(
            ask(Made { ending, ..Made::default() }, "GET", path).await.0,
            expected,
            "{path} {ending}"
        );
    }
}

#[tokio::test]
async fn what_is_wrong_and_what_happened_is_told() {
    let (status, _, body) = ask(Made::default(), "GET", "/api/v1/alarms").await;
    let told: Value = serde_json::from_str(&body).unwrap();
    let expected = json!([
        { "about": "source", "name": "a \"b\"\\/ü", "why": "the server answers 404" },
        { "about": "speech", "name": "neural", "why": "it answers 500" },
        { "about": "webhook", "name": "1 crm.example.com", "why": "answers 500" },
    ]);
    assert_eq!((status, told), (200, expected));
    let (_, _, body) = ask(Made::default(), "GET", "/api/v1/happenings").await;
    let told: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        (&told[0]["what"], &told[0]["at_unix_seconds"]),
        (&json!("away"), &json!(1_700_000_000.5))
    );
}

#[tokio::test]
async fn how_texts_are_spoken_is_told() {
    let (status, _, body) = ask(Made::default(), "GET", "/api/v1/speech").await;
    let told: Value = serde_json::from_str(&body).unwrap();
    let first = &told["providers"][0];
    assert_eq!(
        (status, &first["name"], &first["failed"]),
        (200, &json!("neural"), &json!("it answers 500"))
    );
    assert_eq!(first["first_audio"]["within"][1], json!([0.1, 2]));
    assert_eq!((&told["cache"]["hits"], &told["prompt_cache"]), (&json!(7), &Value::Null));
}

#[tokio::test]
async fn metrics_are_prometheus_text_with_help_and_escaped_labels() {
    let (status, kind, body) = ask(Made::default(), "GET", "/metrics").await;
    assert_eq!((status, kind.as_str()), (200, "text/plain; version=0.0.4; charset=utf-8"));
    for line in [
        "# TYPE entracte_source_listeners gauge",
        "# HELP entracte_source_listeners Calls that hear the source",
        "entracte_source_listeners{source=\"Radio\"} 3",
        "entracte_source_heard{source=\"Radio\"} 1",
        "entracte_source_heard{source=\"a \\\"b\\\"\\\\/ü\"} 0",
        "entracte_source_buffered_seconds{source=\"Radio\"} 1.25",
        "# TYPE entracte_source_reconnects_total counter",
        "entracte_source_reconnects_total{source=\"Radio\"} 4",
        "entracte_sources_late_total 7",
        "entracte_sessions 2",
        "entracte_alarms 3",
        "entracte_source_limited_milliseconds_total{source=\"Radio\"} 35",
        "entracte_tts_provider_up{provider=\"neural\"} 0",
        "entracte_tts_spoken_total{provider=\"neural\"} 12",
        "# TYPE entracte_tts_first_audio_seconds histogram",
        "entracte_tts_first_audio_seconds_bucket{provider=\"neural\",le=\"0.1\"} 2",
        "entracte_tts_first_audio_seconds_bucket{provider=\"a\\\"b\",le=\"+Inf\"} 3",
        "entracte_tts_first_audio_seconds_sum{provider=\"neural\"} 0.5",
        "entracte_tts_first_audio_seconds_count{provider=\"neural\"} 3",
        "entracte_cache_bytes{cache=\"speech\"} 4096",
        "entracte_cache_hits_total{cache=\"speech\"} 7",
        "entracte_engine_left_out_total{engine=\"0\"} 0",
        "entracte_disk_free_bytes{dir=\"/var/lib/entracte\"} 5368709120",
        "entracte_settings_faults 0",
        "entracte_build_info{version=\"1.2.3\"} 1",
        "process_open_fds 33",
    ] {
        assert!(body.lines().any(|each| each == line), "no {line:?} in\n{body}");
    }
    // Every series has its help and its type.
    for line in body.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let name = line.split(['{', ' ']).next().unwrap();
        let parts = ["_bucket", "_sum", "_count"].map(|part| name.strip_suffix(part));
        let whole = parts.into_iter().flatten().find(|name| name.ends_with("first_audio_seconds"));
        let name = whole.unwrap_or(name);
        assert!(body.contains(&format!("# HELP {name} ")), "{name} has no help");
        assert!(body.contains(&format!("# TYPE {name} ")), "{name} has no type");
    }
}

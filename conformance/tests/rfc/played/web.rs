//! `http:` URIs: fetched within limits, and never from inside the network unless that is allowed.

use std::time::{Duration, Instant};

use crate::call::Call;
use crate::played::bed::{Folder, Page, share, web};

#[test]
fn a_clip_is_fetched_and_every_failure_says_why() {
    let folder = Folder::new();
    let clip = std::fs::read(folder.tone("clip.mp3", 700, 0.5, &[])).unwrap();
    let server = web(vec![
        ("/clip.mp3", Page::Body("audio/mpeg", clip)),
        ("/page", Page::Body("text/html", b"<html>hello</html>".to_vec())),
        ("/gone", Page::Status(410)),
        ("/stuck", Page::Silence),
        ("/endless", Page::Endless),
    ]);
    let subject = folder.subject(&[
        "media.allow_networks=['127.0.0.1/32']",
        "media.http_bytes_max=40000",
        "media.http_timeout_seconds=1",
    ]);
    let mut call = Call::place(&subject);
    let done = call.spoken("text/uri-list", &format!("http://{server}/clip.mp3\r\n"));
    assert_eq!(done.get("Completion-Cause"), "000 normal", "{}", done.head);
    assert!(share(&call.ear.audio()[400..3_600], 700.0) > 0.9);
    for (path, cause) in
        [("/page", "not-audio"), ("/gone", "410"), ("/none", "404"), ("/stuck", "timeout")]
    {
        let began = Instant::now();
        let done = call.spoken("text/uri-list", &format!("http://{server}{path}\r\n"));
        assert_eq!(done.get("Completion-Cause"), "003 uri-failure", "{path}: {}", done.head);
        assert_eq!(done.get("Failed-URI"), format!("http://{server}{path}"));
        assert_eq!(done.get("Failed-URI-Cause"), cause, "{}", done.head);
        assert!(began.elapsed() < Duration::from_millis(1_800), "{path}: {:?}", began.elapsed());
    }
    // The size is known only on the way: it is heard as far as it came.
    let told = call.speak("text/uri-list", &format!("http://{server}/endless\r\n"));
    assert_eq!(told.what(), "200 IN-PROGRESS");
    let done = call.event();
    assert_eq!(done.get("Failed-URI-Cause"), "too-large", "{}", done.head);
    let nobody = "http://127.0.0.1:9/x.wav";
    let done = call.spoken("text/uri-list", &format!("{nobody}\r\n"));
    assert_eq!(done.get("Failed-URI-Cause"), "unreachable", "{}", done.head);
    // The request's own limit is shorter. RFC 6787 §6.2.13.
    let began = Instant::now();
    let headers = ["Content-Type: text/uri-list", "Fetch-Timeout: 300"];
    call.ask("SPEAK", &headers, format!("http://{server}/stuck\r\n").as_bytes());
    assert_eq!(call.event().get("Failed-URI-Cause"), "timeout");
    assert!(began.elapsed() < Duration::from_millis(700), "{:?}", began.elapsed());
    call.dialog.bye();
    subject.settles();
}

#[test]
fn inside_addresses_are_not_asked_unless_they_are_listed() {
    let folder = Folder::new();
    let clip = std::fs::read(folder.tone("clip.wav", 700, 0.3, &[])).unwrap();
    let server = web(vec![("/clip.wav", Page::Body("audio/wav", clip))]);
    let subject = folder.subject(&[]);
    let mut call = Call::place(&subject);
    let port = server.port();
    for host in
        ["127.0.0.1", "localhost", "[::1]", "127.1", "2130706433", "10.0.0.1", "169.254.169.254"]
    {
        let uri = format!("http://{host}:{port}/clip.wav");
        let done = call.spoken("text/uri-list", &format!("{uri}\r\n"));
        assert_eq!(done.get("Completion-Cause"), "003 uri-failure", "{uri}: {}", done.head);
        assert_eq!(done.get("Failed-URI-Cause"), "not-allowed", "{uri}: {}", done.head);
    }
    call.dialog.bye();
}

//! HTTP sources against servers that behave in every known way.

use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::Duration;

use sources::{Happening, Heard, Phase, Trouble};

use crate::bed::{
    CLICK_DBFS, FALLBACK_HZ, Folder, SOURCE_HZ, Server, Stage, broadcast, first_ms, mp3,
    processes_below, roughest, send, settings, share, sine, tries,
};

const SOON: Duration = Duration::from_secs(4);
/// Bytes a second of the MP3 that the bed makes.
const MP3_RATE: usize = 8_000;

fn is_playing(stage: &Stage) {
    stage.until(SOON, |state| state.heard == Heard::Source && state.phase == Phase::Playing);
}

fn head(stream: &mut TcpStream, kind: &str, more: &str) {
    let head = format!("HTTP/1.0 200 OK\r\nContent-Type: {kind}\r\n{more}\r\n");
    send(stream, head.as_bytes());
}

/// Weaves ICY titles into a stream.
fn woven(audio: &[u8], interval: usize, titles: &[&str]) -> Vec<u8> {
    let mut titles = titles.iter();
    let mut out = Vec::new();
    for part in audio.chunks(interval) {
        out.extend_from_slice(part);
        if part.len() == interval {
            let title = titles.next().map(|title| format!("StreamTitle='{title}';"));
            let mut text = title.unwrap_or_default().into_bytes();
            text.resize(text.len().next_multiple_of(16), 0);
            out.push(u8::try_from(text.len() / 16).unwrap());
            out.extend(text);
        }
    }
    out
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_radio_is_heard_soon_its_burst_trimmed_and_its_titles_shown() {
    let audio = woven(&mp3(SOURCE_HZ, 30.0), 8_192, &["One", "It's two", "", "Four"]);
    let server = Server::start(move |request, stream| {
        assert!(request.to_ascii_lowercase().contains("icy-metadata: 1"), "{request}");
        assert!(request.contains("entracte"), "{request}");
        head(stream, "audio/mpeg", "icy-metaint: 8192\r\n");
        broadcast(stream, &audio, MP3_RATE, 65_536);
    });
    let mut stage = Stage::start(&server.url("/radio"));
    stage.ear.listen(Duration::from_millis(30));
    let waited = stage.ear.until(SOURCE_HZ, SOON);
    assert!(waited < Duration::from_secs(2), "heard after {waited:?}");
    is_playing(&stage);
    // 8 s came at once, and 0.4 s are kept.
    let heard = stage.ear.listen(Duration::from_millis(700));
    assert!(share(&heard, SOURCE_HZ) > 0.99);
    let state = stage.state();
    assert!(state.buffered < Duration::from_millis(1_000), "{state:?}");
    assert_eq!(state.title.as_deref(), Some("Four"));
    assert!(state.codec.as_deref().is_some_and(|c| c.starts_with("mp3 44100 Hz")), "{state:?}");
    assert!((-20.0..-3.0).contains(&state.level.rms_dbfs), "{state:?}");
    assert_eq!((state.reconnects, state.underruns, stage.ear.missed()), (0, 0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stall_without_a_close_is_noticed_bridged_and_mended() {
    let audio = mp3(SOURCE_HZ, 30.0);
    let connections = Arc::new(AtomicUsize::new(0));
    let server = Server::start(move |_, stream| {
        head(stream, "audio/mpeg", "");
        if connections.fetch_add(1, Ordering::Relaxed) == 0 {
            // A little audio, and then nothing, but the connection stays.
            broadcast(stream, &audio[..24_000], MP3_RATE, 16_000);
            sleep(Duration::from_secs(60));
        }
        broadcast(stream, &audio, MP3_RATE, 32_000);
    });
    let mut stage = Stage::start(&server.url("/radio"));
    stage.ear.until(SOURCE_HZ, SOON);
    stage.ear.until(FALLBACK_HZ, SOON);
    let state = stage.until(SOON, |state| matches!(state.phase, Phase::Away(_)));
    assert_eq!(state.phase, Phase::Away(Trouble::Stalled(settings().stall)));
    stage.ear.until(SOURCE_HZ, SOON);
    stage.ear.listen(Duration::from_millis(300));
    let state = stage.state();
    assert_eq!((state.reconnects, state.underruns, state.heard), (1, 1, Heard::Source));
    let rough = roughest(stage.ear.everything());
    assert!(rough < CLICK_DBFS, "{rough} dBFS");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_broadcast_over_and_over_is_heard_beyond_its_own_length() {
    // It begins with a tag that tells its length, three seconds.
    let song = mp3(SOURCE_HZ, 3.0);
    assert!(song.windows(4).any(|four| four == b"Xing" || four == b"Info"));
    // The same with a picture of 40 kB before it. ID3v2.4 §3.1: seven bits a byte.
    let mut pictured = b"ID3\x04\0\0\0\x02\x38\x40".to_vec();
    pictured.extend(vec![0; (2 << 14) + (0x38 << 7) + 0x40]);
    let tag = pictured.len();
    pictured.extend(song.repeat(5));
    let song = song.repeat(5);
    let server = Server::start(move |request, stream| {
        head(stream, "audio/mpeg", "");
        if request.contains("pictured") {
            broadcast(stream, &pictured, MP3_RATE, tag + 16_000);
        } else {
            broadcast(stream, &song, MP3_RATE, 16_000);
        }
    });
    let mut stages = ["/radio", "/pictured"].map(|path| Stage::start(&server.url(path)));
    for stage in &mut stages {
        stage.ear.until(SOURCE_HZ, SOON);
    }
    sleep(Duration::from_secs(6));
    for stage in &mut stages {
        stage.ear.until(SOURCE_HZ, Duration::from_millis(500));
        assert_eq!((stage.state().phase, stage.state().reconnects), (Phase::Playing, 0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_ends_the_stream_is_asked_again_and_the_fallback_bridges() {
    let audio = mp3(SOURCE_HZ, 30.0);
    let connections = Arc::new(AtomicUsize::new(0));
    let server =
        Server::start(move |_, stream| match connections.fetch_add(1, Ordering::Relaxed) {
            0 => {
                head(stream, "audio/mpeg", "");
                broadcast(stream, &audio[..24_000], MP3_RATE, 16_000);
            }
            1..6 => {
                send(stream, b"HTTP/1.0 404 Not Found\r\n\r\n");
            }
            _ => {
                head(stream, "audio/mpeg", "");
                broadcast(stream, &audio, MP3_RATE, 32_000);
            }
        });
    let mut stage = Stage::start(&server.url("/radio"));
    stage.ear.until(SOURCE_HZ, SOON);
    stage.until(SOON, |state| state.phase == Phase::Away(Trouble::Status(404)));
    let waited = stage.ear.until(FALLBACK_HZ, SOON);
    assert!(waited < Duration::from_secs(2), "{waited:?}");
    stage.ear.until(SOURCE_HZ, SOON);
    is_playing(&stage);
    assert_eq!(stage.state().underruns, 0);
    let mut events = Vec::new();
    while let Ok(event) = stage.events.try_recv() {
        events.push(event.what);
    }
    events.retain(|what| matches!(what, Happening::Heard(_)));
    let expected = [Heard::Source, Heard::Fallback, Heard::Source].map(Happening::Heard);
    assert_eq!(events, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_audio_is_named_and_the_fallback_goes_on() {
    for (answer, expected) in [
        (
            "HTTP/1.0 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<html>",
            Trouble::WrongType("text/html".to_owned()),
        ),
        ("HTTP/1.0 403 No\r\n\r\n", Trouble::Status(403)),
        ("HTTP/1.0 302 x\r\nLocation: /radio\r\n\r\n", Trouble::Redirects),
        ("HTTP/1.0 302 x\r\nLocation: file:///etc/passwd\r\n\r\n", Trouble::Redirects),
        (
            "HTTP/1.0 200 OK\r\nContent-Type: audio/x-mpegurl\r\n\r\n#EXTM3U\n",
            Trouble::NotAudio("an empty playlist".to_owned()),
        ),
    ] {
        let server = Server::start(move |_, stream| {
            send(stream, answer.as_bytes());
        });
        let mut stage = Stage::start(&server.url("/radio"));
        stage.until(SOON, |state| state.phase == Phase::Away(expected.clone()));
        stage.ear.until(FALLBACK_HZ, SOON);
    }
    let stage = Stage::start("http://127.0.0.1:1/radio");
    stage.until(SOON, |state| matches!(state.phase, Phase::Away(Trouble::Unreachable(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rubbish_that_says_it_is_audio_is_away_and_not_silence() {
    let server = Server::start(move |_, stream| {
        head(stream, "audio/mpeg", "");
        while send(stream, &[0; 4_096]) {
            sleep(Duration::from_millis(5));
        }
    });
    let mut stage = Stage::start(&server.url("/radio"));
    let state = stage.until(SOON, |state| matches!(state.phase, Phase::Away(_)));
    assert!(
        matches!(state.phase, Phase::Away(Trouble::NotAudio(_) | Trouble::Stalled(_))),
        "{state:?}"
    );
    assert!(share(&stage.ear.listen(Duration::from_millis(300)), FALLBACK_HZ) > 0.99);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redirects_and_playlists_lead_to_the_stream() {
    let audio = mp3(SOURCE_HZ, 20.0);
    let server = Server::start(move |request, stream| match request.split(' ').nth(1) {
        Some("/old") => {
            send(stream, b"HTTP/1.0 301 x\r\nLocation: /radio.m3u\r\n\r\n");
        }
        Some("/radio.m3u") => {
            let host = request
                .lines()
                .find_map(|l| l.to_lowercase().strip_prefix("host: ").map(str::to_owned));
            let list = format!("#EXTM3U\r\n#EXTINF:-1,Radio\r\nhttp://{}/radio\r\n", host.unwrap());
            head(stream, "audio/x-mpegurl", "");
            send(stream, list.as_bytes());
        }
        _ => {
            head(stream, "audio/mpeg", "");
            broadcast(stream, &audio, MP3_RATE, 16_000);
        }
    });
    let mut stage = Stage::start(&server.url("/old"));
    stage.ear.until(SOURCE_HZ, SOON);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_answers_icy_200_ok_is_heard_with_its_titles() {
    let audio = woven(&mp3(SOURCE_HZ, 20.0), 4_096, &["Old but gold"]);
    let server = Server::start(move |_, stream| {
        send(
            stream,
            b"ICY 200 OK\r\nicy-name:Old\r\ncontent-type:audio/mpeg\r\nicy-metaint:4096\r\n\r\n",
        );
        broadcast(stream, &audio, MP3_RATE, 16_000);
    });
    let mut stage = Stage::start(&server.url("/"));
    stage.ear.until(SOURCE_HZ, SOON);
    is_playing(&stage);
    assert_eq!(stage.state().title.as_deref(), Some("Old but gold"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chained_ogg_plays_on_and_tells_each_title() {
    let song = |title: &str| {
        let tag = format!("title={title}");
        sine(SOURCE_HZ, 1.5, &["-c:a", "libvorbis", "-metadata", &tag, "-f", "ogg"])
    };
    let (one, two) = (song("First"), song("Second"));
    let server = Server::start(move |_, stream| {
        head(stream, "application/ogg", "");
        send(stream, &one);
        sleep(Duration::from_millis(600));
        send(stream, &two);
        sleep(Duration::from_secs(5));
    });
    let mut stage = Stage::start(&server.url("/radio.ogg"));
    let first = stage.until(SOON, |state| state.title.is_some());
    assert_eq!(first.title.as_deref(), Some("First"));
    stage.ear.until(SOURCE_HZ, SOON);
    stage.until(SOON, |state| state.title.as_deref() == Some("Second"));
    assert_eq!(stage.state().reconnects, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_needs_ffmpeg_is_decoded_by_it_and_no_process_stays_behind() {
    let audio = sine(SOURCE_HZ, 20.0, &["-c:a", "aac", "-b:a", "64k", "-f", "adts"]);
    let server = Server::start(move |_, stream| {
        head(stream, "audio/aacp", "");
        broadcast(stream, &audio, MP3_RATE, 32_000);
    });
    let mut stage = Stage::start(&server.url("/radio"));
    stage.ear.until(SOURCE_HZ, SOON);
    is_playing(&stage);
    assert_eq!(stage.state().codec.as_deref(), Some("by ffmpeg"));
    let processes = processes_below(std::process::id());
    let [process] = processes.as_slice() else { panic!("{processes:?}") };
    let read = |name: &str| std::fs::read_to_string(process.join(name)).unwrap();
    assert!(read("status").contains("NoNewPrivs:\t1"), "it may gain privileges");
    let no_files = |line: &str| line.starts_with("Max file size") && line.contains(" 0 ");
    assert!(read("limits").lines().any(no_files), "it may write files");
    drop(stage);
    for _ in 0..100 {
        if processes_below(std::process::id()).is_empty() {
            return;
        }
        sleep(Duration::from_millis(20));
    }
    panic!("ffmpeg still runs");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hls_is_followed_by_ffmpeg() {
    let folder = Folder::new();
    let ts = sine(SOURCE_HZ, 12.0, &["-c:a", "aac", "-f", "mpegts"]);
    folder.put("a.ts", &ts);
    let server = Server::start(move |request, stream| {
        if request.starts_with("GET /live.m3u8") {
            head(stream, "application/vnd.apple.mpegurl", "");
            let list = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:12\n\
                        #EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:12.0,\na.ts\n";
            send(stream, list.as_bytes());
        } else {
            head(stream, "video/mp2t", "");
            send(stream, &ts);
        }
    });
    let mut stage = Stage::start(&server.url("/live.m3u8"));
    stage.ear.until(SOURCE_HZ, SOON);
    is_playing(&stage);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_download_is_looped_in_real_time() {
    let audio = mp3(SOURCE_HZ, 1.0);
    let connections = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&connections);
    let server = Server::start(move |_, stream| {
        count.fetch_add(1, Ordering::Relaxed);
        let length = format!("Content-Length: {}\r\n", audio.len());
        head(stream, "audio/mpeg", &length);
        send(stream, &audio);
    });
    let mut stage = Stage::start(&server.url("/loop.mp3"));
    stage.ear.until(SOURCE_HZ, SOON);
    let heard = stage.ear.listen(Duration::from_millis(2_500));
    assert!(share(&heard, SOURCE_HZ) > 0.5);
    assert_eq!(stage.state().heard, Heard::Source);
    let asked = connections.load(Ordering::Relaxed);
    assert!((3..=7).contains(&asked), "asked {asked} times");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_playlist_is_played_through_and_what_is_missing_in_it_is_passed_over() {
    let (first, second) = (mp3(SOURCE_HZ, 1.5), mp3(700.0, 1.5));
    let server = Server::start(move |request, stream| {
        let file = |stream: &mut TcpStream, body: &[u8]| {
            head(stream, "audio/mpeg", &format!("Content-Length: {}\r\n", body.len()));
            send(stream, body);
        };
        match request.split(' ').nth(1) {
            Some("/music/list.m3u") => {
                head(stream, "audio/x-mpegurl", "");
                send(stream, b"#EXTM3U\n#EXTINF:1,One\none.mp3\n\ngone.mp3\n/two.mp3\n");
            }
            Some("/music/one.mp3") => file(stream, &first),
            Some("/two.mp3") => file(stream, &second),
            _ => drop(send(stream, b"HTTP/1.0 404 x\r\n\r\n")),
        }
    });
    let mut stage = Stage::start(&server.url("/music/list.m3u"));
    for hz in [SOURCE_HZ, 700.0, SOURCE_HZ, 700.0] {
        stage.ear.until(hz, SOON);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_the_addresses_of_a_radio_the_next_is_heard_when_one_is_down() {
    let audio = mp3(SOURCE_HZ, 30.0);
    let asked = Arc::new(AtomicUsize::new(0));
    let first = Arc::clone(&asked);
    let server = Server::start(move |request, stream| match request.split(' ').nth(1) {
        Some("/radio.pls") => {
            head(stream, "audio/x-scpls", "");
            send(stream, b"[playlist]\nNumberOfEntries=2\nFile1=/main\nFile2=/spare\n");
        }
        Some("/main") if first.fetch_add(1, Ordering::Relaxed) == 0 => {
            head(stream, "audio/mpeg", "");
            broadcast(stream, &audio[..16_000], MP3_RATE, 8_000);
        }
        Some("/spare") => {
            head(stream, "audio/mpeg", "");
            broadcast(stream, &audio, MP3_RATE, 16_000);
        }
        _ => drop(send(stream, b"HTTP/1.0 404 x\r\n\r\n")),
    });
    let mut stage = Stage::start(&server.url("/radio.pls"));
    stage.ear.until(SOURCE_HZ, SOON);
    stage.until(SOON, |state| state.reconnects == 1 && state.heard == Heard::Source);
    stage.ear.until(SOURCE_HZ, SOON);
    assert_eq!(asked.load(Ordering::Relaxed), 1, "the spare one was heard");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_cut_and_comes_back_is_bridged_without_a_click() {
    let audio = mp3(SOURCE_HZ, 30.0);
    let up = Arc::new(AtomicBool::new(true));
    let there = Arc::clone(&up);
    let server = Server::start(move |_, stream| {
        if !there.load(Ordering::Relaxed) {
            send(stream, b"HTTP/1.0 503 x\r\n\r\n");
            return;
        }
        head(stream, "audio/mpeg", "");
        // Each tenth of a second in real time after a second at once, until it is cut.
        let mut pieces = audio.chunks(MP3_RATE / 10);
        for piece in pieces.by_ref().take(10) {
            send(stream, piece);
        }
        for piece in pieces {
            sleep(Duration::from_millis(100));
            if !there.load(Ordering::Relaxed) || !send(stream, piece) {
                return;
            }
        }
    });
    let mut stage = Stage::start(&server.url("/radio"));
    stage.ear.until(SOURCE_HZ, SOON);
    let (mut gone, mut back) = (Vec::new(), Vec::new());
    for reconnects in 1..=tries() {
        let before = stage.ear.everything().len();
        up.store(false, Ordering::Relaxed);
        stage.ear.until(FALLBACK_HZ, SOON);
        gone.push(first_ms(&stage.ear.everything()[before..], |s| share(s, FALLBACK_HZ) > 0.6));
        let there = stage.ear.everything().len();
        up.store(true, Ordering::Relaxed);
        stage.ear.until(SOURCE_HZ, SOON);
        back.push(first_ms(&stage.ear.everything()[there..], |s| share(s, FALLBACK_HZ) < 0.3));
        stage.ear.listen(Duration::from_millis(300));
        let rough = roughest(&stage.ear.everything()[before..]);
        assert!(rough < CLICK_DBFS, "{rough} dBFS");
        assert_eq!(stage.state().reconnects, reconnects as u64);
    }
    let worst = |times: &[usize]| times.iter().copied().max().unwrap();
    println!("worst of {}: gone {} ms, back {} ms", gone.len(), worst(&gone), worst(&back));
    // What was held ahead is heard to its end; only then is there anything to bridge.
    assert!(worst(&gone) <= 1_500, "{gone:?} ms");
    assert!(worst(&back) <= 2_000, "{back:?} ms");
}

use std::io::Write;
use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use sources::{Prompt, PromptConfig, PromptError, PromptFault, Prompts, WHOLE_SAMPLES_MAX};

use crate::bed::{Folder, SOURCE_HZ, Server, mp3, send, share, sine};

fn prompts(folder: &Folder) -> Prompts {
    Prompts::new(PromptConfig {
        roots: vec![folder.path().to_owned()],
        allow: vec!["127.0.0.1".parse().unwrap()],
        patience: Duration::from_secs(5),
        idle: Duration::from_millis(500),
        http_bytes_max: 2_000_000,
        ..PromptConfig::default()
    })
    .unwrap()
}

async fn whole(prompts: &Prompts, uri: &str) -> Arc<[i16]> {
    match prompts.open(uri, None).await.unwrap_or_else(|why| panic!("{why}")) {
        Prompt::Whole(clip) => clip,
        Prompt::Stream(mut pieces) => {
            let mut clip = Vec::new();
            while let Some(piece) = pieces.recv().await {
                clip.extend_from_slice(&piece.unwrap_or_else(|why| panic!("{why}")));
            }
            clip.into()
        }
    }
}

async fn fault(prompts: &Prompts, uri: &str) -> PromptFault {
    match prompts.open(uri, None).await {
        Ok(_) => panic!("{uri} plays"),
        Err(PromptError { uri: named, why }) => {
            assert_eq!(named, uri);
            why
        }
    }
}

/// Two seconds of a sine in the given format are heard as such: pitch, length, and that it is loud.
async fn check_format(name: &str, args: &[&str]) {
    let folder = Folder::new();
    let path = folder.put(name, &sine(SOURCE_HZ, 2.0, args));
    let clip = whole(&prompts(&folder), &format!("file://{}", path.display())).await;
    let seconds = clip.len() as f64 / 8_000.0;
    assert!((1.85..2.15).contains(&seconds), "{name}: {seconds} s");
    assert!(share(&clip[2_000..10_000], SOURCE_HZ) > 0.95, "{name} sounds otherwise");
    let peak = clip.iter().map(|s| s.unsigned_abs()).max().unwrap();
    assert!(peak > 4_000, "{name} is too soft: {peak}");
}

#[tokio::test]
async fn wav_of_every_kind_is_played() {
    for (codec, rate, channels) in [
        ("pcm_s16le", "8000", "1"),
        ("pcm_s16le", "44100", "2"),
        ("pcm_u8", "11025", "1"),
        ("pcm_s24le", "48000", "2"),
        ("pcm_f32le", "22050", "1"),
        ("pcm_mulaw", "8000", "1"),
        ("pcm_alaw", "8000", "2"),
        ("adpcm_ms", "16000", "1"),
        ("libgsm_ms", "8000", "1"),
    ] {
        check_format("a.wav", &["-c:a", codec, "-ar", rate, "-ac", channels, "-f", "wav"]).await;
    }
}

#[tokio::test]
async fn compressed_files_of_every_kind_are_played() {
    check_format("a.mp3", &["-c:a", "libmp3lame", "-f", "mp3"]).await;
    check_format("a.ogg", &["-c:a", "libvorbis", "-f", "ogg"]).await;
    check_format("a.opus", &["-c:a", "libopus", "-ac", "2", "-f", "ogg"]).await;
    check_format("a.flac", &["-c:a", "flac", "-f", "flac"]).await;
    check_format("a.aac", &["-c:a", "aac", "-f", "adts"]).await;
    check_format("a.aiff", &["-c:a", "pcm_s16be", "-f", "aiff"]).await;
    check_format("a.au", &["-c:a", "pcm_mulaw", "-ar", "8000", "-f", "au"]).await;
    check_format("a.gsm", &["-c:a", "libgsm", "-ar", "8000", "-f", "gsm"]).await;
    check_format("a.mp2", &["-c:a", "mp2", "-f", "mp2"]).await;
    check_format("a.wma", &["-c:a", "wmav2", "-f", "asf"]).await;
}

#[tokio::test]
async fn an_mp4_with_its_index_at_the_end_is_played_from_the_disk_and_from_the_web() {
    let folder = Folder::new();
    let bytes = sine(SOURCE_HZ, 2.0, &["-c:a", "aac", "-f", "mp4"]);
    let path = folder.put("a.m4a", &bytes);
    let prompts = prompts(&folder);
    let from_disk = whole(&prompts, &format!("file:{}", path.display())).await;
    assert!(share(&from_disk[2_000..10_000], SOURCE_HZ) > 0.95);
    let server = Server::start(move |_, stream| {
        send(stream, head("200 OK", "audio/mp4", bytes.len()).as_bytes());
        send(stream, &bytes);
    });
    let from_web = whole(&prompts, &server.url("/a.m4a")).await;
    assert!(from_web == from_disk);
}

fn head(status: &str, kind: &str, length: usize) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n"
    )
}

#[tokio::test]
async fn nothing_outside_the_roots_is_read_however_it_is_named() {
    let (inside, outside) = (Folder::new(), Folder::new());
    let wav = sine(SOURCE_HZ, 0.2, &["-f", "wav"]);
    let secret = outside.put("secret.wav", &wav);
    let plain = inside.put("a b.wav", &wav);
    symlink(&secret, inside.path().join("out.wav")).unwrap();
    symlink(outside.path(), inside.path().join("folder")).unwrap();
    symlink(&plain, inside.path().join("in.wav")).unwrap();
    let prompts = prompts(&inside);
    let at = |path: &str| format!("file://{}/{path}", inside.path().display());
    assert!(!whole(&prompts, &at("a%20b.wav")).await.is_empty());
    assert!(!whole(&prompts, &at("in.wav")).await.is_empty());
    for (uri, expected) in [
        (format!("file://{}", secret.display()), "not-allowed"),
        (at("out.wav"), "not-allowed"),
        (at("folder/secret.wav"), "not-allowed"),
        (at("../x"), "malformed"),
        (at("%2e%2e/x"), "malformed"),
        ("file:///etc/passwd".to_owned(), "not-allowed"),
        ("file://server/share/a.wav".to_owned(), "malformed"),
        (at("missing.wav"), "not-found"),
        (at("a%20b.wav/x"), "not-found"),
        (at(""), "unreadable"),
        ("gopher://x/".to_owned(), "unknown-scheme"),
        ("tone:loud".to_owned(), "malformed"),
        ("http://".to_owned(), "malformed"),
    ] {
        let why = fault(&prompts, &uri).await;
        assert_eq!(why.cause(), expected, "{uri}: {why}");
    }
}

#[tokio::test]
async fn a_named_pipe_and_a_file_of_rubbish_are_faults_at_once() {
    let folder = Folder::new();
    let pipe = folder.path().join("pipe.wav");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RWXU).unwrap();
    folder.put("rubbish.wav", &[7; 50_000]);
    folder.put("empty.mp3", &[]);
    // A playlist that names files: ffmpeg must not follow it.
    folder.put("list.bin", b"ffconcat version 1.0\nfile '/etc/passwd'\n");
    folder.put("hls.bin", b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile:///etc/passwd\n");
    let prompts = prompts(&folder);
    for (name, expected) in [
        ("pipe.wav", "unreadable"),
        ("rubbish.wav", "not-audio"),
        ("empty.mp3", "not-audio"),
        ("list.bin", "not-audio"),
        ("hls.bin", "not-audio"),
    ] {
        let why = fault(&prompts, &format!("file:{}/{name}", folder.path().display())).await;
        assert_eq!(why.cause(), expected, "{name}: {why}");
    }
}

#[tokio::test]
async fn a_file_is_decoded_once_until_it_changes() {
    let folder = Folder::new();
    let path = folder.put("a.wav", &sine(SOURCE_HZ, 0.5, &["-f", "wav"]));
    let (prompts, uri) = (prompts(&folder), format!("file:{}", path.display()));
    let (first, again) = (whole(&prompts, &uri).await, whole(&prompts, &uri).await);
    assert!(Arc::ptr_eq(&first, &again));
    folder.put("a.wav", &sine(SOURCE_HZ, 0.9, &["-f", "wav"]));
    let changed = whole(&prompts, &uri).await;
    assert_eq!(changed.len(), 7_200);
}

#[tokio::test]
async fn a_long_file_streams_as_it_is_decoded_and_waits_for_its_listener() {
    let folder = Folder::new();
    let path = folder.put("a.wav", &sine(SOURCE_HZ, 200.0, &["-ar", "8000", "-f", "wav"]));
    let prompts = prompts(&folder);
    let prompt = prompts.open(&format!("file:{}", path.display()), None).await.unwrap();
    let Prompt::Stream(mut pieces) = prompt else { panic!("it is not a stream") };
    let mut samples = 0;
    while let Some(piece) = pieces.recv().await {
        samples += piece.unwrap().len();
    }
    assert_eq!(samples, 1_600_000);
    assert!(samples > WHOLE_SAMPLES_MAX);
}

#[tokio::test]
async fn a_tone_is_made_as_asked() {
    let folder = Folder::new();
    let prompts = prompts(&folder);
    let clip = whole(&prompts, "tone:440?ms=500&dbfs=-20").await;
    assert_eq!(clip.len(), 4_000);
    assert!(share(&clip, 440.0) > 0.99);
    assert!((audio::measure::peak_dbfs(&clip) + 20.0).abs() < 0.1);
}

/// A web server with every kind of answer.
fn every_answer() -> Server {
    let clip = mp3(SOURCE_HZ, 1.0);
    Server::start(move |request, stream| {
        let path = request.split(' ').nth(1).unwrap_or_default();
        let to = |place: &str| {
            format!("HTTP/1.1 302 x\r\nLocation: {place}\r\nContent-Length: 0\r\n\r\n")
        };
        let (answer, body) = match path {
            "/missing" => (head("404 Not Found", "text/html", 0), &[][..]),
            "/broken" => (head("500 Oh", "text/html", 0), &[][..]),
            "/page" => (head("200 OK", "text/html", clip.len()), &clip[..]),
            "/large" => (head("200 OK", "audio/mpeg", 3_000_000), &[][..]),
            "/cut" => (head("200 OK", "audio/mpeg", 100_000), &clip[..4_000]),
            "/slow" => (head("200 OK", "audio/mpeg", 100_000), &[][..]),
            "/endless" => (head("200 OK", "audio/wav", 0), &[][..]),
            "/loop" => (to("/loop"), &[][..]),
            "/inside" => (to("http://127.0.0.2:1/x"), &[][..]),
            "/to-file" => (to("file:///etc/passwd"), &[][..]),
            "/relative" => (to("clip.mp3"), &[][..]),
            _ => (head("200 OK", "audio/mpeg", clip.len()), &clip[..]),
        };
        if path == "/endless" {
            send(stream, b"HTTP/1.1 200 OK\r\nContent-Type: audio/wav\r\n\r\nRIFF\0\0\0\0WAVE");
            while send(stream, &[0; 10_000]) {}
            return;
        }
        send(stream, answer.as_bytes());
        send(stream, body);
        if path == "/slow" {
            std::thread::sleep(Duration::from_secs(2));
        }
    })
}

#[tokio::test]
async fn http_answers_become_prompts_or_clear_faults() {
    let server = every_answer();
    let folder = Folder::new();
    let prompts = prompts(&folder);
    for path in ["/clip.mp3", "/relative"] {
        let clip = whole(&prompts, &server.url(path)).await;
        assert!(share(&clip[1_000..7_000], SOURCE_HZ) > 0.95, "{path}");
    }
    for (path, expected) in [
        ("/missing", "404"),
        ("/broken", "500"),
        ("/page", "not-audio"),
        ("/large", "too-large"),
        ("/endless", "too-large"),
        ("/slow", "timeout"),
        ("/loop", "redirects"),
        ("/inside", "not-allowed"),
        ("/to-file", "redirects"),
    ] {
        let why = fault(&prompts, &server.url(path)).await;
        assert_eq!(why.cause(), expected, "{path}: {why}");
    }
    // What came before the cut is played, and then the fault is told.
    let Prompt::Stream(mut pieces) = prompts.open(&server.url("/cut"), None).await.unwrap() else {
        panic!("a clip that was cut is not whole")
    };
    assert!(pieces.recv().await.unwrap().is_ok());
    assert_eq!(pieces.recv().await.unwrap().unwrap_err().why.cause(), "unreachable");
    assert!(pieces.recv().await.is_none());
    let unlisted = "http://127.0.0.2:9/a.mp3";
    assert_eq!(fault(&prompts, unlisted).await.cause(), "not-allowed");
    assert_eq!(fault(&prompts, "http://127.0.0.1:1/a.mp3").await.cause(), "unreachable");
}

#[tokio::test]
async fn section_8_4_12_the_fetch_timeout_of_the_request_is_kept() {
    let server = Server::start(|_, _| std::thread::sleep(Duration::from_secs(3)));
    let folder = Folder::new();
    let (prompts, begun) = (prompts(&folder), Instant::now());
    let opened = prompts.open(&server.url("/a.mp3"), Some(Duration::from_millis(300))).await;
    assert_eq!(opened.unwrap_err().why.cause(), "timeout");
    assert!(begun.elapsed() < Duration::from_millis(600));
}

#[tokio::test]
async fn a_download_is_fetched_once_asked_about_when_stale_and_opened_once_for_many() {
    let clip = mp3(SOURCE_HZ, 0.5);
    let asked = Arc::new(AtomicUsize::new(0));
    let (count, unchanged) = (Arc::clone(&asked), Arc::new(AtomicUsize::new(0)));
    let not_modified = Arc::clone(&unchanged);
    let server = Server::start(move |request, stream| {
        let lower = request.to_ascii_lowercase();
        let control = if request.contains("/stale") { "no-cache" } else { "max-age=60" };
        count.fetch_add(1, Ordering::Relaxed);
        let same = format!("HTTP/1.1 304 x\r\nETag: \"1\"\r\nCache-Control: {control}\r\n\r\n");
        if lower.contains("if-none-match: \"1\"") {
            not_modified.fetch_add(1, Ordering::Relaxed);
            send(stream, same.as_bytes());
            return;
        }
        write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Type: audio/mpeg\r\nETag: \"1\"\r\n\
             Cache-Control: {control}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            clip.len()
        )
        .unwrap();
        send(stream, &clip);
    });
    let folder = Folder::new();
    let prompts = prompts(&folder);
    let url = server.url("/fresh.mp3");
    let (one, two, three) =
        tokio::join!(whole(&prompts, &url), whole(&prompts, &url), whole(&prompts, &url));
    assert!(Arc::ptr_eq(&one, &two) && Arc::ptr_eq(&two, &three));
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    let url = server.url("/stale.mp3");
    let (one, two) = (whole(&prompts, &url).await, whole(&prompts, &url).await);
    assert!(Arc::ptr_eq(&one, &two));
    assert_eq!((asked.load(Ordering::Relaxed), unchanged.load(Ordering::Relaxed)), (3, 1));
}

/// Prompts that keep what they fetch in this folder.
fn prompts_on_disk(folder: &Folder, keep: bool) -> Prompts {
    let (temporary, _) = store::Temporary::open(&folder.path().join("tmp"), keep).unwrap();
    Prompts::new(PromptConfig {
        allow: vec!["127.0.0.1".parse().unwrap()],
        disk: Some(Arc::new(store::Cache::open(&folder.path().join("disk"), 1 << 20).unwrap())),
        temporary: Some(temporary),
        ..PromptConfig::default()
    })
    .unwrap()
}

/// Waits until so many files are in a folder.
fn until_files(folder: &std::path::Path, count: usize) {
    let begun = Instant::now();
    while std::fs::read_dir(folder).unwrap().count() != count {
        assert!(begun.elapsed() < Duration::from_secs(5), "{}", folder.display());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[tokio::test]
async fn a_download_outlives_a_restart_and_is_asked_about_as_its_server_wants() {
    let folder = Folder::new();
    let disk = folder.path().join("disk");
    let wav = sine(SOURCE_HZ, 1.0, &["-f", "wav"]);
    let (asked, unchanged) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (count, same) = (Arc::clone(&asked), Arc::clone(&unchanged));
    let server = Server::start(move |request, stream| {
        count.fetch_add(1, Ordering::SeqCst);
        let lower = request.to_ascii_lowercase();
        if lower.contains("if-none-match: \"v1\"") {
            same.fetch_add(1, Ordering::SeqCst);
            send(stream, b"HTTP/1.1 304 Not Modified\r\nConnection: close\r\n\r\n");
            return;
        }
        let control = if lower.starts_with("get /long") { "max-age=600" } else { "no-cache" };
        let control = if lower.starts_with("get /secret") { "no-store" } else { control };
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: audio/wav\r\nContent-Length: {}\r\nETag: \"v1\"\r\n\
             Cache-Control: {control}\r\nConnection: close\r\n\r\n",
            wav.len()
        );
        send(stream, head.as_bytes());
        send(stream, &wav);
    });
    let before = prompts_on_disk(&folder, false);
    let first = whole(&before, &server.url("/long.wav")).await;
    assert!(whole(&before, &server.url("/secret.wav")).await == first);
    until_files(&disk, 1);
    assert!(whole(&before, &server.url("/asks.wav")).await == first);
    until_files(&disk, 2);
    assert_eq!(asked.load(Ordering::SeqCst), 3);
    drop(before);

    let after = prompts_on_disk(&folder, false);
    assert!(whole(&after, &server.url("/long.wav")).await == first, "fresh: not asked about");
    assert_eq!(asked.load(Ordering::SeqCst), 3);
    assert!(whole(&after, &server.url("/asks.wav")).await == first, "asked about, and unchanged");
    assert_eq!((asked.load(Ordering::SeqCst), unchanged.load(Ordering::SeqCst)), (4, 1));
    assert!(whole(&after, &server.url("/secret.wav")).await == first, "never kept");
    assert_eq!((asked.load(Ordering::SeqCst), unchanged.load(Ordering::SeqCst)), (5, 1));
    drop(after);

    // A power cut in the middle of a write: the files are there, and not whole.
    for entry in std::fs::read_dir(&disk).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    }
    let mended = prompts_on_disk(&folder, false);
    assert!(whole(&mended, &server.url("/long.wav")).await == first);
    assert_eq!(asked.load(Ordering::SeqCst), 6);
    assert_eq!(std::fs::read_dir(folder.path().join("tmp")).unwrap().count(), 0);
    // It is written again, and no half file is left.
    let begun = Instant::now();
    loop {
        let files = std::fs::read_dir(&disk).unwrap().map(|entry| entry.unwrap());
        let sizes: Vec<u64> = files.filter_map(|file| Some(file.metadata().ok()?.len())).collect();
        if sizes.len() == 2 && sizes.iter().max() > Some(&16_000) {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(5), "{sizes:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[tokio::test]
async fn downloads_are_written_as_wav_files_while_files_are_kept() {
    let folder = Folder::new();
    let wav = sine(SOURCE_HZ, 1.0, &["-f", "wav"]);
    let server = Server::start(move |_, stream| {
        send(stream, head("200 OK", "audio/wav", wav.len()).as_bytes());
        send(stream, &wav);
    });
    let heard = whole(&prompts_on_disk(&folder, true), &server.url("/a.wav")).await;
    let kept = folder.path().join("tmp");
    until_files(&kept, 1);
    let path = std::fs::read_dir(&kept).unwrap().next().unwrap().unwrap().path();
    let begun = Instant::now();
    loop {
        let bytes = std::fs::read(&path).unwrap();
        if audio::wav::read(&bytes).is_ok_and(|wav| wav.samples() == *heard) {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(5));
        std::thread::sleep(Duration::from_millis(5));
    }
}

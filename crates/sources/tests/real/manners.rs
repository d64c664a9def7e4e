//! What a source may be told: when to start, what stands in for it, when its silence is a fault, how
//! loud it is to be.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::Duration;

use audio::measure::rms_dbfs;
use audio::{tone::Tone, wav};
use sources::{Happening, Heard, Order, Phase, SourceConfig, SourceKind, Sources, Start};
use tokio::sync::mpsc;

use crate::bed::{
    Ear, FALLBACK_HZ, Folder, SOURCE_HZ, Server, Stage, broadcast, mp3, send, settings, tries,
};

const SOON: Duration = Duration::from_secs(6);

fn tone(hz: f64, dbfs: f32, ms: usize) -> Vec<i16> {
    let mut samples = vec![0; ms * 8];
    Tone::sine(hz, dbfs).fill(&mut samples);
    samples
}

fn file(samples: &[i16]) -> Vec<u8> {
    wav::to_bytes(wav::Format::TELEPHONE, samples)
}

fn radio(kind: SourceKind) -> SourceConfig {
    SourceConfig::new("Radio", kind)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn complaint_02_a_stream_on_demand_is_fetched_only_while_somebody_listens() {
    let audio = mp3(SOURCE_HZ, 30.0);
    let open = Arc::new(AtomicUsize::new(0));
    let (asked, connections) = (Arc::new(AtomicUsize::new(0)), Arc::clone(&open));
    let counted = Arc::clone(&asked);
    let server = Server::start(move |_, stream| {
        counted.fetch_add(1, Ordering::Relaxed);
        connections.fetch_add(1, Ordering::Relaxed);
        send(stream, b"HTTP/1.0 200 OK\r\nContent-Type: audio/mpeg\r\n\r\n");
        broadcast(stream, &audio, 8_000, 32_000);
        connections.fetch_sub(1, Ordering::Relaxed);
    });
    let config = SourceConfig {
        start: Start::OnDemand { linger: Duration::from_millis(300) },
        ..radio(SourceKind::parse(&server.url("/radio")).unwrap())
    };
    let (sender, _events) = mpsc::channel(256);
    let sources = Sources::start(vec![config], settings(), &sender).unwrap();
    let state = || sources.snapshot().remove(0);
    sleep(Duration::from_millis(500));
    assert_eq!((state().phase, state().listeners), (Phase::Resting, 0));
    assert_eq!(asked.load(Ordering::Relaxed), 0);
    for round in 1..=2 {
        // Two calls: one connection.
        let mut first = Ear::new(sources.live("radio").unwrap());
        let second = Ear::new(sources.live("Radio").unwrap());
        first.until(SOURCE_HZ, SOON);
        assert_eq!((state().listeners, state().phase), (2, Phase::Playing));
        assert_eq!(asked.load(Ordering::Relaxed), round);
        drop(first);
        // One is enough, however long.
        sleep(Duration::from_millis(600));
        assert_eq!((state().listeners, state().phase), (1, Phase::Playing));
        drop(second);
        let begun = std::time::Instant::now();
        while state().phase != Phase::Resting || open.load(Ordering::Relaxed) > 0 {
            assert!(begun.elapsed() < SOON, "{:?}", state());
            sleep(Duration::from_millis(20));
        }
        assert!(begun.elapsed() >= Duration::from_millis(250), "it did not linger");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_on_demand_rests_too_and_comes_back() {
    let folder = Folder::new();
    folder.put("a.wav", &file(&tone(SOURCE_HZ, -10.0, 1_000)));
    let config = SourceConfig {
        start: Start::OnDemand { linger: Duration::ZERO },
        ..radio(SourceKind::Path(folder.path().to_owned()))
    };
    let (sender, _events) = mpsc::channel(256);
    let sources = Sources::start(vec![config], settings(), &sender).unwrap();
    // Of this kind there may be some of other tests in the same process, but never ten.
    let named = |task: &std::path::Path| {
        std::fs::read_to_string(task.join("comm")).is_ok_and(|name| name.trim() == "source-files")
    };
    let threads = || {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
        tasks.filter(|task| named(&task.path())).count()
    };
    let memory = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        status.lines().find(|line| line.starts_with("RssAnon")).unwrap().to_owned()
    };
    for round in 0..10 * tries() {
        if round == 10 {
            println!("after 10 starts and stops: {}", memory());
        }
        let mut ear = Ear::new(sources.live("Radio").unwrap());
        ear.until(SOURCE_HZ, SOON);
        drop(ear);
        let begun = std::time::Instant::now();
        while sources.snapshot()[0].phase != Phase::Resting {
            assert!(begun.elapsed() < SOON);
            sleep(Duration::from_millis(10));
        }
        sleep(Duration::from_millis(300));
        assert!(threads() < 10, "round {round}: {} threads", threads());
    }
    println!("after {}: {}", 10 * tries(), memory());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_may_have_a_fallback_of_its_own() {
    let config = SourceConfig {
        fallback: Some(tone(600.0, -6.0, 1_000).into()),
        ..radio(SourceKind::parse("http://127.0.0.1:1/radio").unwrap())
    };
    let mut stage = Stage::start_config(config, settings());
    stage.ear.until(600.0, SOON);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn complaint_11_a_source_that_plays_silence_is_replaced_and_told() {
    let folder = Folder::new();
    let mut samples = tone(SOURCE_HZ, -10.0, 1_000);
    samples.extend(vec![0; 8 * 3_000]);
    folder.put("a.wav", &file(&samples));
    let config = SourceConfig {
        silence_after: Some(Duration::from_secs(1)),
        ..radio(SourceKind::Path(folder.path().to_owned()))
    };
    let mut stage = Stage::start_config(config, settings());
    stage.ear.until(SOURCE_HZ, SOON);
    stage.ear.until(FALLBACK_HZ, SOON);
    let state = stage.until(SOON, |state| state.silent);
    assert_eq!((state.phase, state.heard), (Phase::Playing, Heard::Fallback));
    // The file begins again, and is heard again.
    stage.ear.until(SOURCE_HZ, SOON);
    stage.until(SOON, |state| !state.silent);
    let mut told = Vec::new();
    while let Ok(event) = stage.events.try_recv() {
        told.push(event.what);
    }
    let silences: Vec<_> =
        told.iter().filter(|what| matches!(what, Happening::Silent(_))).collect();
    assert_eq!(silences, [&Happening::Silent(true), &Happening::Silent(false)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_of_any_loudness_come_out_alike() {
    let folder = Folder::new();
    folder.put("1.wav", &file(&tone(SOURCE_HZ, -30.0, 1_500)));
    folder.put("2.wav", &file(&tone(700.0, -8.0, 1_500)));
    let config = SourceConfig {
        loudness_lufs: Some(-20.0),
        ..radio(SourceKind::Path(folder.path().to_owned()))
    };
    let mut stage = Stage::start_config(config, settings());
    let mut levels = Vec::new();
    for hz in [SOURCE_HZ, 700.0, SOURCE_HZ] {
        stage.ear.until(hz, SOON);
        levels.push(rms_dbfs(&stage.ear.listen(Duration::from_millis(500))));
    }
    println!("{levels:?}");
    // A sine of -20 LUFS is about -20 dBFS peak in two channels, 3 more in one.
    assert!(levels.iter().all(|level| (level + 20.0).abs() < 1.0), "{levels:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_is_shuffled_and_each_file_has_its_turn_in_each_round() {
    let folder = Folder::new();
    let pitches = [500.0, 700.0, 900.0, 1_100.0, 1_300.0];
    for (n, hz) in pitches.iter().enumerate() {
        folder.put(&format!("{n}.wav"), &file(&tone(*hz, -10.0, 150)));
    }
    let config = SourceConfig {
        order: Order::Shuffled,
        ..radio(SourceKind::Path(folder.path().to_owned()))
    };
    let mut stage = Stage::start_config(config, settings());
    let mut titles = Vec::new();
    let begun = std::time::Instant::now();
    while titles.len() < 20 {
        assert!(begun.elapsed() < 4 * SOON, "{titles:?}");
        stage.ear.listen(Duration::from_millis(100));
        while let Ok(event) = stage.events.try_recv() {
            if let Happening::Title(title) = event.what {
                titles.push(title);
            }
        }
    }
    println!("{titles:?}");
    // A title that follows itself, from one round to the next, is told once: so look for all of them.
    let seen: std::collections::BTreeSet<_> = titles.iter().collect();
    assert_eq!(seen.len(), pitches.len());
    let sorted: Vec<String> = (0..20).map(|n| (n % 5).to_string()).collect();
    assert_ne!(titles, sorted, "one in a quintillion shuffles is sorted four times over");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_added_has_its_turn_in_the_same_round() {
    let folder = Folder::new();
    folder.put("1.wav", &file(&tone(500.0, -10.0, 1_500)));
    folder.put("3.wav", &file(&tone(SOURCE_HZ, -10.0, 60_000)));
    folder.put("4.wav", &file(&tone(1_500.0, -10.0, 1_000)));
    let mut stage = Stage::start_kind(SourceKind::Path(folder.path().to_owned()), settings());
    stage.ear.until(500.0, SOON);
    folder.put("2.wav", &file(&tone(800.0, -10.0, 500)));
    std::fs::remove_file(folder.path().join("3.wav")).unwrap();
    stage.ear.until(800.0, SOON);
    stage.ear.until(1_500.0, SOON);
    assert!(stage.state().skipped.is_empty());
}

//! What the tests are made of: made audio, servers that misbehave on purpose, and ears.

use std::f64::consts::TAU;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use audio::live::{Ring, UNIT_SAMPLES, unit_at};
use audio::{Gain, tone::Tone};
use sources::{Settings, SourceConfig, SourceEvent, SourceKind, SourceState, Sources};
use tokio::sync::mpsc;

/// What the source sounds like, and what the fallback does.
pub(crate) const SOURCE_HZ: f64 = 1_000.0;
pub(crate) const FALLBACK_HZ: f64 = 400.0;

/// How often what is measured is tried: once, or as `ENTRACTE_TRIES` says.
pub(crate) fn tries() -> usize {
    std::env::var("ENTRACTE_TRIES").ok().and_then(|tries| tries.parse().ok()).unwrap_or(1)
}

/// From the beginning of what was heard, in ms: the first 20 ms that sound like this, or do not.
pub(crate) fn first_ms(heard: &[i16], sounds: impl Fn(&[i16]) -> bool) -> usize {
    let stretches: Vec<_> = heard.chunks_exact(160).collect();
    stretches.iter().position(|stretch| sounds(stretch)).unwrap() * 20
}

/// A port that is free now, below those that the system gives to whoever connects: at one of those a client
/// that knocks before the server listens may meet itself.
pub(crate) fn free_port() -> u16 {
    let first = 20_000 + u16::try_from(std::process::id() % 10_000).unwrap();
    let mut ports = (first..first + 2_000).step_by(7);
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    ports.find(free).expect("a free port")
}

/// The path of a program, or a failure that says what to install.
pub(crate) fn tool(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(name)).find(|p| p.exists());
    found.unwrap_or_else(|| panic!("{name} is missing: apt-get install {name}"))
}

/// A sine made into a file's bytes by ffmpeg: `args` name rate, codec and container.
pub(crate) fn sine(hz: f64, seconds: f64, args: &[&str]) -> Vec<u8> {
    // Some containers are only right in a file, where their sizes can be mended at the end.
    let folder = Folder::new();
    let path = folder.path().join("made");
    let made = Command::new(tool("ffmpeg"))
        .args(["-nostdin", "-v", "error", "-f", "lavfi", "-i"])
        .arg(format!("sine=frequency={hz}:duration={seconds}:sample_rate=44100,volume=8dB"))
        .args(args)
        .arg(&path)
        .status();
    assert!(made.unwrap().success(), "ffmpeg {args:?}");
    std::fs::read(path).unwrap()
}

pub(crate) fn mp3(hz: f64, seconds: f64) -> Vec<u8> {
    sine(hz, seconds, &["-c:a", "libmp3lame", "-b:a", "64k", "-f", "mp3"])
}

/// A process that ends with the test.
pub(crate) struct Ours(pub(crate) Child);

impl Drop for Ours {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A folder that goes with the test.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("sources-{}-{count}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path.canonicalize().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn put(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

/// A server that does to every connection what the test says; it gets the request's head.
pub(crate) struct Server {
    address: SocketAddr,
}

impl Server {
    pub(crate) fn start(answer: impl Fn(&str, &mut TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let answer = Arc::new(answer);
        // It lives as long as the test's process, which is one test.
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, answer) = (stream.unwrap(), Arc::clone(&answer));
                thread::spawn(move || {
                    let head = read_head(&mut stream);
                    if !head.is_empty() {
                        answer(&head, &mut stream);
                    }
                });
            }
        });
        Self { address }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => break,
        }
    }
    String::from_utf8_lossy(&head).into_owned()
}

/// Writes what is left of a stream to somebody who may have gone.
pub(crate) fn send(stream: &mut TcpStream, bytes: &[u8]) -> bool {
    stream.write_all(bytes).is_ok()
}

/// Sends constant-rate bytes as a radio does: a burst, then in real time, until the end or the peer's.
pub(crate) fn broadcast(stream: &mut TcpStream, bytes: &[u8], a_second: usize, burst: usize) {
    let (first, rest) = bytes.split_at(burst.min(bytes.len()));
    if !send(stream, first) {
        return;
    }
    let begun = Instant::now();
    for (n, piece) in rest.chunks(a_second / 10).enumerate() {
        let due = begun + Duration::from_millis(100 * n as u64);
        thread::sleep(due.saturating_duration_since(Instant::now()));
        if !send(stream, piece) {
            return;
        }
    }
}

/// One source under test, and an ear at it.
pub(crate) struct Stage {
    pub(crate) sources: Sources,
    pub(crate) events: mpsc::Receiver<SourceEvent>,
    pub(crate) ear: Ear,
}

/// Short waits, so that the tests are quick.
pub(crate) fn settings() -> Settings {
    let mut fallback = vec![0; 8_000];
    Tone::sine(FALLBACK_HZ, -6.0).fill(&mut fallback);
    let mut settings = Settings::new(fallback.into());
    settings.buffer = Duration::from_millis(400);
    settings.stall = Duration::from_millis(1_000);
    settings.backoff_first = Duration::from_millis(50);
    settings.backoff_most = Duration::from_millis(200);
    settings.connect = Duration::from_millis(1_000);
    settings
}

impl Stage {
    pub(crate) fn start(uri: &str) -> Self {
        Self::start_with(uri, settings())
    }

    pub(crate) fn start_with(uri: &str, settings: Settings) -> Self {
        Self::start_louder(uri, settings, Gain::UNITY)
    }

    pub(crate) fn start_louder(uri: &str, settings: Settings, gain: Gain) -> Self {
        Self::start_source(SourceKind::parse(uri).unwrap(), settings, gain)
    }

    pub(crate) fn start_kind(kind: SourceKind, settings: Settings) -> Self {
        Self::start_source(kind, settings, Gain::UNITY)
    }

    fn start_source(kind: SourceKind, settings: Settings, gain: Gain) -> Self {
        let config = SourceConfig { gain, ..SourceConfig::new("Radio", kind) };
        Self::start_config(config, settings)
    }

    pub(crate) fn start_config(config: SourceConfig, settings: Settings) -> Self {
        let (sender, events) = mpsc::channel(256);
        let sources = Sources::start(vec![config], settings, &sender).unwrap();
        let ring = sources.live("radio").unwrap();
        Self { sources, events, ear: Ear::new(ring) }
    }

    pub(crate) fn state(&self) -> SourceState {
        self.sources.snapshot().remove(0)
    }

    /// Waits until the state is as wanted; fails with the state after `patience`.
    pub(crate) fn until(
        &self,
        patience: Duration,
        wanted: impl Fn(&SourceState) -> bool,
    ) -> SourceState {
        let begun = Instant::now();
        loop {
            let state = self.state();
            if wanted(&state) {
                return state;
            }
            assert!(begun.elapsed() < patience, "still {state:#?}");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// A listener: hears every unit when its time has come, as a call does.
pub(crate) struct Ear {
    ring: Arc<Ring>,
    next: u64,
    heard: Vec<i16>,
    missed: u64,
}

impl Ear {
    pub(crate) fn new(ring: Arc<Ring>) -> Self {
        Self { ring, next: unit_at(since_boot()), heard: Vec::new(), missed: 0 }
    }

    /// Listens until now.
    fn catch_up(&mut self) {
        let now = unit_at(since_boot());
        while self.next <= now {
            let mut unit = [0; UNIT_SAMPLES];
            if !self.ring.read(self.next, &mut unit) {
                self.missed += 1;
            }
            self.heard.extend(unit);
            self.next += 1;
        }
    }

    /// Listens this long from now, and gives what was heard.
    pub(crate) fn listen(&mut self, span: Duration) -> Vec<i16> {
        self.catch_up();
        let from = self.heard.len();
        let until = Instant::now() + span;
        while Instant::now() < until {
            thread::sleep(Duration::from_millis(20));
            self.catch_up();
        }
        self.heard.get(from..).unwrap_or_default().to_vec()
    }

    /// Listens until a pitch is clear for 100 ms; returns how long that took, or fails.
    pub(crate) fn until(&mut self, hz: f64, patience: Duration) -> Duration {
        let begun = Instant::now();
        loop {
            let last = self.listen(Duration::from_millis(100));
            if share(&last, hz) > 0.9 {
                return begun.elapsed();
            }
            assert!(begun.elapsed() < patience, "{hz} Hz is not heard within {patience:?}");
        }
    }

    /// All that was heard since the beginning.
    pub(crate) fn everything(&self) -> &[i16] {
        &self.heard
    }

    pub(crate) const fn missed(&self) -> u64 {
        self.missed
    }
}

fn since_boot() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap())
}

/// Which part of the power is at this pitch.
pub(crate) fn share(samples: &[i16], hz: f64) -> f64 {
    let (mut sin, mut cos, mut power) = (0.0, 0.0, 1e-9);
    for (n, sample) in samples.iter().enumerate() {
        let (value, angle) = (f64::from(*sample), n as f64 * hz * TAU / 8_000.0);
        sin += value * angle.sin();
        cos += value * angle.cos();
        power += value * value;
    }
    (sin * sin + cos * cos) * 2.0 / samples.len().max(1) as f64 / power
}

/// The loudest 20 ms in dBFS of what lies far above all the tests' pitches, where only a click reaches.
pub(crate) fn roughest(samples: &[i16]) -> f64 {
    const LENGTH: usize = 160;
    let amplitude = |window: &[i16], hz: f64| {
        let (mut sin, mut cos) = (0.0, 0.0);
        for (n, sample) in window.iter().enumerate() {
            let hann = 0.5 - 0.5 * (n as f64 * TAU / LENGTH as f64).cos();
            let angle = n as f64 * hz * TAU / 8_000.0;
            sin += f64::from(*sample) * hann * angle.sin();
            cos += f64::from(*sample) * hann * angle.cos();
        }
        sin.hypot(cos) * 4.0 / LENGTH as f64 / 32_768.0
    };
    let windows = samples.windows(LENGTH).step_by(LENGTH / 4);
    let worst = windows.map(|window| {
        let pitches = [2_600.0, 2_800.0, 3_000.0, 3_200.0].map(|hz| amplitude(window, hz));
        pitches.into_iter().fold(1e-6, f64::max)
    });
    20.0 * worst.fold(1e-6, f64::max).log10()
}

/// A step of this height is heard as a click.
pub(crate) const CLICK_DBFS: f64 = -55.0;

/// The processes that `parent` started and that still run.
pub(crate) fn processes_below(parent: u32) -> Vec<PathBuf> {
    let mut below = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        let after_name = stat.rsplit(") ").next().unwrap_or_default();
        let mut fields = after_name.split(' ');
        let (state, its_parent) = (fields.next(), fields.next());
        if state != Some("Z") && its_parent == Some(&parent.to_string()) {
            below.push(entry.path());
        }
    }
    below
}

//! A real icecast2, fed by ffmpeg.

use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use sources::{Heard, Phase, Settings, Trouble};

use crate::bed::{
    CLICK_DBFS, FALLBACK_HZ, Folder, Ours, SOURCE_HZ, Server, Stage, free_port, roughest, send,
    settings, share, tool,
};

const SOON: Duration = Duration::from_secs(6);
const MP3: [&str; 8] =
    ["-c:a", "libmp3lame", "-b:a", "64k", "-content_type", "audio/mpeg", "-f", "mp3"];
const AAC: [&str; 8] = ["-c:a", "aac", "-b:a", "64k", "-content_type", "audio/aac", "-f", "adts"];
const AACP: [&str; 8] = ["-c:a", "aac", "-b:a", "64k", "-content_type", "audio/aacp", "-f", "adts"];
const VORBIS: [&str; 8] =
    ["-c:a", "libvorbis", "-b:a", "64k", "-content_type", "application/ogg", "-f", "ogg"];
const OPUS: [&str; 8] =
    ["-c:a", "libopus", "-b:a", "32k", "-content_type", "audio/ogg", "-f", "ogg"];

/// icecast2 with a folder and a port of its own.
struct Icecast {
    folder: Folder,
    port: u16,
    process: Option<Ours>,
}

impl Icecast {
    fn start() -> Self {
        let port = free_port();
        let folder = Folder::new();
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o777)).unwrap();
        let mut icecast = Self { folder, port, process: None };
        icecast.write_config();
        icecast.run();
        icecast
    }

    fn write_config(&self) {
        let folder = self.folder.path().display();
        let mut security = String::from("<chroot>0</chroot>");
        if rustix::process::geteuid().is_root() {
            // It refuses to run as root, but may give that up itself.
            security
                .push_str("<changeowner><user>nobody</user><group>nogroup</group></changeowner>");
        }
        let config = format!(
            "<icecast><limits><clients>20</clients><sources>8</sources>\
             <client-timeout>10</client-timeout><header-timeout>5</header-timeout>\
             <source-timeout>3</source-timeout><burst-on-connect>1</burst-on-connect>\
             <burst-size>65535</burst-size></limits>\
             <authentication><source-password>in</source-password>\
             <relay-password>in</relay-password><admin-user>admin</admin-user>\
             <admin-password>secret</admin-password></authentication>\
             <hostname>127.0.0.1</hostname>\
             <listen-socket><port>{}</port><bind-address>127.0.0.1</bind-address>\
             </listen-socket><fileserve>0</fileserve>\
             <paths><basedir>/usr/share/icecast2</basedir><logdir>{folder}</logdir>\
             <webroot>/usr/share/icecast2/web</webroot>\
             <adminroot>/usr/share/icecast2/admin</adminroot></paths>\
             <logging><accesslog>access.log</accesslog><errorlog>error.log</errorlog>\
             <loglevel>2</loglevel></logging><security>{security}</security></icecast>",
            self.port
        );
        self.folder.put("icecast.xml", config.as_bytes());
    }

    fn run(&mut self) {
        let process = Command::new(tool("icecast2"))
            .arg("-c")
            .arg(self.folder.path().join("icecast.xml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.process = Some(Ours(process.unwrap()));
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(begun.elapsed() < SOON, "icecast2 does not listen: {}", self.log());
            sleep(Duration::from_millis(20));
        }
    }

    fn kill(&mut self) {
        self.process = None;
    }

    fn signal(&self, signal: Signal) {
        let process = self.process.as_ref().unwrap();
        let id = Pid::from_raw(process.0.id().cast_signed()).unwrap();
        kill_process(id, signal).unwrap();
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("error.log")).unwrap_or_default()
    }

    fn url(&self, mount: &str) -> String {
        format!("http://127.0.0.1:{}/{mount}", self.port)
    }

    /// Feeds a sine to a mount, in real time, and waits until the mount is there.
    fn feed(&self, mount: &str, format: &[&str]) -> Ours {
        let process = Command::new(tool("ffmpeg"))
            .args(["-nostdin", "-v", "error", "-re", "-f", "lavfi", "-i"])
            .arg(format!("sine=frequency={SOURCE_HZ}:sample_rate=44100,volume=8dB"))
            .args(format)
            .arg(format!("icecast://source:in@127.0.0.1:{}/{mount}", self.port))
            .stdin(Stdio::null())
            .spawn();
        let fed = Ours(process.unwrap());
        let begun = Instant::now();
        while !self.get("/status-json.xsl").contains(&format!("/{mount}")) {
            assert!(begun.elapsed() < SOON, "{mount} does not appear: {}", self.log());
            sleep(Duration::from_millis(50));
        }
        fed
    }

    /// A GET as the administrator.
    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        // admin:secret
        let request = format!(
            "GET {path} HTTP/1.0\r\nHost: x\r\nAuthorization: Basic YWRtaW46c2VjcmV0\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mp3_is_heard_its_title_changes_and_a_killed_source_is_bridged_and_heard_again() {
    let icecast = Icecast::start();
    let source = icecast.feed("radio.mp3", &MP3);
    // The waits of a real installation: the two seconds are promised for these.
    let mut real = Settings::new(settings().fallback);
    real.stall = Duration::from_secs(5);
    let mut stage = Stage::start_with(&icecast.url("radio.mp3"), real);
    stage.ear.until(SOURCE_HZ, SOON);
    stage.until(SOON, |state| state.phase == Phase::Playing && state.title.is_none());
    for title in ["First song", "It's 2"] {
        let mut path = "/admin/metadata?mount=/radio.mp3&mode=updinfo&song=".to_owned();
        for byte in title.bytes() {
            write!(path, "%{byte:02x}").unwrap();
        }
        let answer = icecast.get(&path);
        assert!(answer.contains("successful"), "{answer}");
        stage.until(SOON, |state| state.title.as_deref() == Some(title));
    }
    let before = stage.ear.everything().len();
    drop(source);
    let waited = stage.ear.until(FALLBACK_HZ, SOON);
    assert!(waited < Duration::from_secs(2), "the fallback after {waited:?}");
    // Only the cut: a new stream begins with an onset of its own.
    let rough = roughest(&stage.ear.everything()[before..]);
    assert!(rough < CLICK_DBFS, "{rough} dBFS");
    let state = stage.until(SOON, |state| matches!(state.phase, Phase::Away(_)));
    assert!(matches!(state.phase, Phase::Away(Trouble::Closed | Trouble::Status(404))));
    let _source = icecast.feed("radio.mp3", &MP3);
    stage.ear.until(SOURCE_HZ, SOON);
    let state = stage.until(SOON, |state| state.phase == Phase::Playing);
    assert_eq!((state.heard, state.reconnects), (Heard::Source, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_is_bridged_and_found_again() {
    let mut icecast = Icecast::start();
    let source = icecast.feed("radio.mp3", &MP3);
    let mut stage = Stage::start(&icecast.url("radio.mp3"));
    stage.ear.until(SOURCE_HZ, SOON);
    icecast.kill();
    drop(source);
    let waited = stage.ear.until(FALLBACK_HZ, SOON);
    assert!(waited < Duration::from_secs(2), "the fallback after {waited:?}");
    stage.until(SOON, |state| matches!(state.phase, Phase::Away(Trouble::Unreachable(_))));
    icecast.run();
    stage.until(SOON, |state| state.phase == Phase::Away(Trouble::Status(404)));
    let _source = icecast.feed("radio.mp3", &MP3);
    stage.ear.until(SOURCE_HZ, SOON);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_without_closing_is_bridged_and_heard_again() {
    let icecast = Icecast::start();
    let _source = icecast.feed("radio.mp3", &MP3);
    let mut stage = Stage::start(&icecast.url("radio.mp3"));
    stage.ear.until(SOURCE_HZ, SOON);
    icecast.signal(Signal::STOP);
    stage.ear.until(FALLBACK_HZ, SOON);
    stage.until(SOON, |state| state.phase == Phase::Away(Trouble::Stalled(settings().stall)));
    icecast.signal(Signal::CONT);
    stage.ear.until(SOURCE_HZ, SOON);
    assert!(stage.until(SOON, |state| state.phase == Phase::Playing).reconnects >= 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mount_of_a_wrong_type_is_named_and_one_behind_a_redirect_is_heard() {
    let icecast = Icecast::start();
    let _wrong =
        icecast.feed("page", &["-c:a", "libmp3lame", "-content_type", "text/html", "-f", "mp3"]);
    let _source = icecast.feed("radio.mp3", &MP3);
    let stage = Stage::start(&icecast.url("page"));
    let wrong = Phase::Away(Trouble::WrongType("text/html".to_owned()));
    stage.until(SOON, |state| state.phase == wrong);
    let elsewhere = icecast.url("radio.mp3");
    let door = Server::start(move |_, stream| {
        send(stream, format!("HTTP/1.0 302 Found\r\nLocation: {elsewhere}\r\n\r\n").as_bytes());
    });
    let mut stage = Stage::start(&door.url("/listen"));
    stage.ear.until(SOURCE_HZ, SOON);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aac_vorbis_and_opus_are_heard_each_by_its_own_decoder() {
    let icecast = Icecast::start();
    let mounts = [
        ("a.aac", &AAC, "aac"),
        ("a.aacp", &AACP, "by ffmpeg"),
        ("a.ogg", &VORBIS, "vorbis"),
        ("a.opus", &OPUS, "opus"),
    ];
    let _fed: Vec<_> =
        mounts.iter().map(|(mount, format, _)| icecast.feed(mount, *format)).collect();
    // A page of Ogg is a second: no stall.
    let patient = || Settings { stall: Duration::from_secs(5), ..settings() };
    let mut stages: Vec<_> = mounts
        .iter()
        .map(|(mount, ..)| Stage::start_with(&icecast.url(mount), patient()))
        .collect();
    for (stage, (mount, _, codec)) in stages.iter_mut().zip(mounts) {
        stage.ear.until(SOURCE_HZ, SOON);
        let state = stage.until(SOON, |state| state.phase == Phase::Playing);
        assert!(state.codec.as_deref().is_some_and(|c| c.starts_with(codec)), "{mount} {state:?}");
    }
    // Long enough for several of the pages, a second each, in which Ogg comes.
    sleep(Duration::from_secs(4));
    for (stage, (mount, ..)) in stages.iter_mut().zip(mounts) {
        assert_eq!(stage.state().underruns, 0, "{mount}");
        let heard = stage.ear.listen(Duration::from_millis(200));
        // By 20 ms: on a busy machine the drift control bends one in eight units a little.
        let clear = |stretch: &[i16]| share(stretch, SOURCE_HZ) > 0.8;
        assert!(heard.chunks_exact(160).all(clear), "{mount}: {:?}", stage.state());
    }
}

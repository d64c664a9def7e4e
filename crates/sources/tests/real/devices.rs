//! Devices behind a real PulseAudio and a real PipeWire: headless, each with sinks of its own that a
//! player fills, whose monitors are the devices.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use sources::{
    DeviceState, Heard, Phase, PulseError, Settings, SourceConfig, SourceKind, Sources, Start,
    Trouble, devices,
};
use tokio::sync::mpsc;

use crate::bed::{
    CLICK_DBFS, Ear, FALLBACK_HZ, Folder, SOURCE_HZ, Stage, first_ms, roughest, settings, share,
    tool, tries,
};

const SOON: Duration = Duration::from_secs(8);
const RATE_HZ: u32 = 48_000;
/// The user that has nothing.
const NOBODY: u32 = 65_534;

/// Which sound server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    PulseAudio,
    PipeWire,
}

/// Processes that end together with the test, whatever they started.
struct Group(Child);

impl Group {
    fn start(command: &mut Command) -> Self {
        let command = command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null());
        Self(command.stderr(Stdio::null()).spawn().unwrap())
    }

    fn signal(&self, signal: Signal) {
        let leader = Pid::from_raw(self.0.id().cast_signed()).unwrap();
        // All of them may have ended.
        let _ = kill_process_group(leader, signal);
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        let _ = self.0.wait();
    }
}

/// A sound server with a socket of its own.
struct SoundServer {
    kind: Kind,
    folder: Folder,
    processes: Option<Group>,
}

impl SoundServer {
    /// Its folder, and nothing that runs.
    fn new(kind: Kind) -> Self {
        let folder = Folder::new();
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o777)).unwrap();
        std::fs::create_dir_all(folder.path().join("pulse")).unwrap();
        let frames = (0..10 * RATE_HZ).flat_map(|n| {
            // It begins softly, so that a click is not the player's.
            let loud = (f64::from(n) / f64::from(RATE_HZ / 20)).min(1.0);
            let turn = f64::from(n) * SOURCE_HZ * std::f64::consts::TAU / f64::from(RATE_HZ);
            #[expect(clippy::cast_possible_truncation, reason = "far within the range")]
            let sample = (loud * 12_000.0 * turn.sin()) as i16;
            // The channels differ: their average is what must be heard.
            [sample, sample / 2].map(i16::to_le_bytes).concat()
        });
        folder.put("tone.raw", &frames.collect::<Vec<u8>>());
        Self { kind, folder, processes: None }
    }

    fn start(kind: Kind) -> Self {
        let mut server = Self::new(kind);
        server.run();
        server
    }

    fn socket(&self) -> String {
        self.folder.path().join("pulse/native").display().to_string()
    }

    fn address(&self) -> String {
        format!("unix:{}", self.socket())
    }

    fn run(&mut self) {
        let command = match self.kind {
            Kind::PulseAudio => {
                self.pulseaudio(Command::new(tool("pulseaudio")), "auth-anonymous=1")
            }
            Kind::PipeWire => self.pipewire(),
        };
        self.begin(command);
        self.pactl(&["info"]);
    }

    fn begin(&mut self, mut command: Command) {
        let here = self.folder.path();
        command.env("XDG_RUNTIME_DIR", here).env("HOME", here).env("XDG_CONFIG_HOME", here);
        command.env_remove("DBUS_SESSION_BUS_ADDRESS").env_remove("PULSE_SERVER");
        self.processes = Some(Group::start(&mut command));
        let begun = Instant::now();
        while !std::path::Path::new(&self.socket()).exists() {
            assert!(begun.elapsed() < SOON, "{:?} makes no socket", self.kind);
            sleep(Duration::from_millis(20));
        }
    }

    fn pulseaudio(&self, mut command: Command, access: &str) -> Command {
        command.args(["-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no"]);
        command.arg("--disable-shm=yes").arg("-L");
        command.arg(format!("module-native-protocol-unix socket={} {access}", self.socket()));
        command
    }

    fn pipewire(&self) -> Command {
        let mut command = Command::new(tool("dbus-run-session"));
        let [wire, manager, door] = ["pipewire", "wireplumber", "pipewire-pulse"].map(tool);
        let all = format!(
            "{} & while ! test -e $XDG_RUNTIME_DIR/pipewire-0; do sleep 0.02; done; {} & exec {}",
            wire.display(),
            manager.display(),
            door.display()
        );
        command.args(["--", "sh", "-c", &all]);
        command
    }

    fn kill(&mut self) {
        self.processes = None;
        // Left by a killed server.
        let _ = std::fs::remove_file(self.socket());
        let _ = std::fs::remove_file(self.folder.path().join("pipewire-0"));
    }

    fn signal(&self, signal: Signal) {
        self.processes.as_ref().unwrap().signal(signal);
    }

    /// Tells the server something, again while it is not up yet.
    fn pactl(&self, words: &[&str]) -> String {
        let begun = Instant::now();
        loop {
            let mut command = Command::new(tool("pactl"));
            command.args(["--server", &self.address()]).args(words).env("LC_ALL", "C");
            let output = command.output().unwrap();
            if output.status.success() {
                return String::from_utf8_lossy(&output.stdout).trim().to_owned();
            }
            let why = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(begun.elapsed() < SOON, "pactl {words:?}: {why}");
            sleep(Duration::from_millis(50));
        }
    }

    /// An output, whose monitor is a device, with its player.
    fn plug(&self) -> Plugged {
        let rate = format!("rate={RATE_HZ}");
        let mut words = vec!["load-module", "module-null-sink", "sink_name=radio", &rate];
        words.extend(["sink_properties=device.description=Radio", "channels=2"]);
        if self.kind == Kind::PulseAudio {
            // Else its first block takes two seconds, as no sound card's does.
            words.push("norewinds=1");
        }
        let module = self.pactl(&words);
        Plugged { module, _player: self.player() }
    }

    fn player(&self) -> Group {
        let mut command = Command::new(tool("pacat"));
        command.args(["--server", &self.address(), "--playback", "--device=radio", "--raw"]);
        command.args(["--format=s16le", "--channels=2", "--latency-msec=100"]);
        command.arg(format!("--rate={RATE_HZ}"));
        let tone = self.folder.path().join("tone.raw");
        // Over and over: as long as the test may take.
        let feed = format!("while cat {}; do :; done", tone.display());
        let mut shell = Command::new("sh");
        let words: Vec<_> = std::iter::once(command.get_program())
            .chain(command.get_args())
            .map(|word| word.to_string_lossy().into_owned())
            .collect();
        shell.args(["-c", &format!("({feed}) | {}", words.join(" "))]);
        Group::start(&mut shell)
    }

    fn unplug(&self, plugged: &Plugged) {
        self.pactl(&["unload-module", &plugged.module]);
    }

    fn settings(&self) -> Settings {
        Settings { sound_server: Some(self.address()), ..settings() }
    }

    fn stage(&self) -> Stage {
        let kind = SourceKind::Device("radio.monitor".to_owned());
        Stage::start_kind(kind, self.settings())
    }
}

struct Plugged {
    module: String,
    _player: Group,
}

fn is_listed(kind: Kind) {
    let server = SoundServer::start(kind);
    let _plugged = server.plug();
    let begun = Instant::now();
    let device = loop {
        let found = devices(Some(&server.address())).unwrap();
        let device = found.into_iter().find(|device| device.info.name == "radio.monitor");
        // The player takes a moment.
        match device.filter(|device| device.level.is_some_and(|level| level.peak_dbfs > -60.0)) {
            Some(device) => break device,
            None => assert!(begun.elapsed() < SOON, "it does not appear, or is silent"),
        }
    };
    assert_eq!(device.info.description, "Monitor of Radio");
    assert_eq!(device.info.monitor_of.as_deref(), Some("radio"));
    assert_eq!((device.info.rate_hz, device.info.channels), (RATE_HZ, 2));
    assert_ne!(device.info.state, DeviceState::Unknown);
    // The average of the channels: three quarters of 12,000.
    let level = device.level.unwrap();
    assert!((level.peak_dbfs + 11.2).abs() < 0.3, "{level:?}");
}

fn is_unplugged_and_plugged_again(kind: Kind) {
    let server = SoundServer::start(kind);
    let mut plugged = server.plug();
    let mut stage = server.stage();
    stage.ear.until(SOURCE_HZ, SOON);
    stage.until(SOON, |state| state.phase == Phase::Playing);
    let level = stage.ear.listen(Duration::from_millis(500));
    // The average of the channels is a sine of 9,000.
    let rms = audio::measure::rms_dbfs(&level);
    assert!((rms + 14.2).abs() < 0.3, "{rms} dBFS");
    let (mut gone, mut back) = (Vec::new(), Vec::new());
    for reconnects in 1..=tries() {
        let before = stage.ear.everything().len();
        server.unplug(&plugged);
        drop(plugged);
        stage.ear.until(FALLBACK_HZ, SOON);
        gone.push(first_ms(&stage.ear.everything()[before..], |s| share(s, FALLBACK_HZ) > 0.6));
        let state = stage.until(SOON, |state| matches!(state.phase, Phase::Away(_)));
        assert!(matches!(state.phase, Phase::Away(Trouble::NoDevice(_))), "{state:?}");
        let there = stage.ear.everything().len();
        plugged = server.plug();
        stage.ear.until(SOURCE_HZ, SOON);
        // Its player may be slower to begin than it is to be heard.
        back.push(first_ms(&stage.ear.everything()[there..], |s| share(s, FALLBACK_HZ) < 0.3));
        stage.ear.listen(Duration::from_millis(300));
        let heard = &stage.ear.everything()[before..];
        let rough = roughest(heard);
        // On a busy machine the player itself may miss its turn, which leaves a hole in the sound.
        assert!(rough < CLICK_DBFS || has_hole(heard), "{rough} dBFS");
        let state = stage.state();
        let mut happened = Vec::new();
        while let Ok(event) = stage.events.try_recv() {
            happened.push(event.what);
        }
        let as_wanted = (Heard::Source, reconnects as u64);
        assert_eq!((state.heard, state.reconnects), as_wanted, "{happened:?} {state:?}");
    }
    let worst = |times: &[usize]| times.iter().copied().max().unwrap();
    println!(
        "{kind:?}: worst of {}: gone {} ms, back {} ms",
        gone.len(),
        worst(&gone),
        worst(&back)
    );
    assert!(worst(&gone) <= 250, "{gone:?} ms");
    assert!(worst(&back) <= 1_000, "{back:?} ms");
}

/// Whether nothing is heard for 4 ms: the sound server gives what is played turn by turn, and there was
/// nothing in one. Neither the source nor the fallback has such a place, nor has the change between them.
fn has_hole(heard: &[i16]) -> bool {
    heard.windows(32).any(|stretch| stretch.iter().all(|sample| sample.unsigned_abs() < 150))
}

fn loses_its_server_and_finds_it_again(kind: Kind) {
    let mut server = SoundServer::new(kind);
    let mut stage = server.stage();
    // None at all at the start.
    stage.until(SOON, |state| matches!(state.phase, Phase::Away(Trouble::NoSoundServer(_))));
    stage.ear.until(FALLBACK_HZ, SOON);
    server.run();
    stage.until(SOON, |state| matches!(state.phase, Phase::Away(Trouble::NoDevice(_))));
    let plugged = server.plug();
    stage.ear.until(SOURCE_HZ, SOON);
    server.kill();
    drop(plugged);
    stage.ear.until(FALLBACK_HZ, SOON);
    stage.until(SOON, |state| matches!(state.phase, Phase::Away(Trouble::NoSoundServer(_))));
    server.run();
    let _plugged = server.plug();
    stage.ear.until(SOURCE_HZ, SOON);
    assert!(stage.until(SOON, |state| state.phase == Phase::Playing).reconnects >= 1);
}

fn gives_nothing(kind: Kind) {
    let server = SoundServer::start(kind);
    let _plugged = server.plug();
    let mut stage = server.stage();
    stage.ear.until(SOURCE_HZ, SOON);
    server.signal(Signal::STOP);
    stage.ear.until(FALLBACK_HZ, SOON);
    stage.until(SOON, |state| state.phase == Phase::Away(Trouble::Stalled(settings().stall)));
    server.signal(Signal::CONT);
    stage.ear.until(SOURCE_HZ, SOON);
}

#[tokio::test]
async fn pulseaudio_devices_are_listed_with_name_state_and_level() {
    is_listed(Kind::PulseAudio);
}

#[tokio::test]
async fn pipewire_devices_are_listed_with_name_state_and_level() {
    is_listed(Kind::PipeWire);
}

#[tokio::test]
async fn pulseaudio_device_is_unplugged_in_a_call_and_plugged_again() {
    is_unplugged_and_plugged_again(Kind::PulseAudio);
}

#[tokio::test]
async fn pipewire_device_is_unplugged_in_a_call_and_plugged_again() {
    is_unplugged_and_plugged_again(Kind::PipeWire);
}

#[tokio::test]
async fn pulseaudio_is_not_there_comes_is_killed_and_comes_again() {
    loses_its_server_and_finds_it_again(Kind::PulseAudio);
}

#[tokio::test]
async fn pipewire_is_not_there_comes_is_killed_and_comes_again() {
    loses_its_server_and_finds_it_again(Kind::PipeWire);
}

#[tokio::test]
async fn pulseaudio_device_that_gives_nothing_is_away() {
    gives_nothing(Kind::PulseAudio);
}

#[tokio::test]
async fn pipewire_device_that_gives_nothing_is_away() {
    gives_nothing(Kind::PipeWire);
}

#[tokio::test]
async fn a_sound_server_that_does_not_let_us_in_is_named() {
    let mut server = SoundServer::new(Kind::PulseAudio);
    if rustix::process::geteuid().is_root() {
        // Another user's server, whose cookie we do not have.
        let mut other = Command::new(tool("setpriv"));
        other.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"]);
        other.arg(tool("pulseaudio"));
        for folder in [server.folder.path().to_owned(), server.folder.path().join("pulse")] {
            std::os::unix::fs::chown(folder, Some(NOBODY), None).unwrap();
        }
        let command = server.pulseaudio(other, "auth-anonymous=0");
        server.begin(command);
    } else {
        server.run();
        std::fs::set_permissions(server.socket(), PermissionsExt::from_mode(0o000)).unwrap();
    }
    let refused = devices(Some(&server.address())).unwrap_err();
    println!("{refused}");
    assert!(matches!(&refused, PulseError::Server(why) if why.contains("denied")), "{refused:?}");
    let stage = server.stage();
    let state = stage.until(SOON, |state| matches!(state.phase, Phase::Away(_)));
    let Phase::Away(trouble) = state.phase else { unreachable!() };
    assert_eq!(trouble.to_string().replace("no sound server: ", ""), "Access denied");
}

#[tokio::test]
async fn an_alsa_device_is_heard_goes_and_comes_back() {
    let server = SoundServer::start(Kind::PulseAudio);
    let plugged = server.plug();
    // ALSA's own way to a sound that really comes at its own pace, on a machine without a sound card.
    let address = server.address();
    let pcm = format!(
        "</usr/share/alsa/alsa.conf>\n\
         pcm.line {{ type pulse server \"{address}\" device \"radio.monitor\" }}\n"
    );
    let path = server.folder.put("asound.conf", pcm.as_bytes());
    let with_alsa = Settings { alsa_config: Some(path), ..settings() };
    let mut stage = Stage::start_kind(SourceKind::Device("alsa:line".to_owned()), with_alsa);
    stage.ear.until(SOURCE_HZ, SOON);
    stage.until(SOON, |state| state.phase == Phase::Playing);
    let rms = audio::measure::rms_dbfs(&stage.ear.listen(Duration::from_millis(500)));
    assert!((rms + 14.2).abs() < 0.5, "{rms} dBFS is not the channels' average");
    server.unplug(&plugged);
    drop(plugged);
    stage.ear.until(FALLBACK_HZ, SOON);
    stage.until(SOON, |state| matches!(state.phase, Phase::Away(_)));
    let _plugged = server.plug();
    stage.ear.until(SOURCE_HZ, SOON);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_on_demand_that_is_wanted_again_while_the_last_one_still_ends_is_heard() {
    let server = SoundServer::start(Kind::PulseAudio);
    let _plugged = server.plug();
    let config = SourceConfig {
        start: Start::OnDemand { linger: Duration::from_millis(200) },
        ..SourceConfig::new("Radio", SourceKind::Device("radio.monitor".to_owned()))
    };
    let (sender, _events) = mpsc::channel(256);
    let sources = Sources::start(vec![config], server.settings(), &sender).unwrap();
    let state = || sources.snapshot().remove(0);
    for _ in 0..3 {
        // The sound server hangs, and with it whoever waits for its answer.
        server.signal(Signal::STOP);
        let ear = Ear::new(sources.live("Radio").unwrap());
        sleep(Duration::from_millis(100));
        drop(ear);
        sleep(Duration::from_millis(400));
        assert_eq!(state().phase, Phase::Resting);
        let mut ear = Ear::new(sources.live("Radio").unwrap());
        sleep(Duration::from_millis(100));
        server.signal(Signal::CONT);
        ear.until(SOURCE_HZ, SOON);
        assert_eq!(state().phase, Phase::Playing);
        drop(ear);
        let begun = Instant::now();
        while state().phase != Phase::Resting {
            assert!(begun.elapsed() < SOON, "{:?}", state());
            sleep(Duration::from_millis(20));
        }
    }
    // Nothing that ends late says that it is away.
    server.signal(Signal::STOP);
    drop(Ear::new(sources.live("Radio").unwrap()));
    sleep(Duration::from_millis(3_000));
    assert_eq!(state().phase, Phase::Resting);
    server.signal(Signal::CONT);
}

//! `entracte doctor` on hosts where something is wrong.

use std::net::{TcpListener, UdpSocket};
use std::process::Command;
use std::time::Duration;

use conformance::{Folder, Subject, entracte, programs};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(60);
const MUSIC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/sources/assets/hold-music.wav");

/// What it finds, and its exit status.
fn found(folder: &Folder, settings: &str) -> (Value, Option<i32>) {
    let ground = format!(
        "state_dir = {:?}\n[general]\nlisten_interface = \"127.0.0.1\"\n[audio.rtp]\ninterface = \"127.0.0.1\"\n{settings}",
        folder.path()
    );
    let file = folder.write("entracte.toml", ground);
    let mut doctor = Command::new(entracte());
    // No sound server of this machine, if it has one.
    doctor.env("PULSE_SERVER", "unix:/nonexistent").env("XDG_RUNTIME_DIR", folder.path());
    let left = programs::run(doctor.args(["doctor", "--json", "--config"]).arg(file), PATIENCE);
    (serde_json::from_str(&left.out).unwrap(), left.status.code())
}

/// The finding whose text has these words.
#[track_caller]
fn finding<'f>(found: &'f Value, words: &str) -> &'f Value {
    let mut all = found.as_array().unwrap().iter();
    let one = all.find(|finding| finding["what"].as_str().unwrap().contains(words));
    assert!(one.is_some(), "no {words:?} in {found:#}");
    one.unwrap()
}

#[test]
fn complaint_12_it_tells_why_there_is_no_music_and_what_to_do() {
    let folder = Folder::create();
    let settings = format!(
        "[general.sip]\nport = 0\n[general.mrcp]\nport = 0\n[http]\nport = 0\n\
         [[external_audio.sources]]\nname = \"Good\"\nuri = \"file:{MUSIC}\"\n\
         [[external_audio.sources]]\nname = \"Lost\"\nuri = \"file:/nonexistent/a.wav\"\n\
         [[external_audio.sources]]\nname = \"Radio\"\nuri = \"http://127.0.0.1:9/x\"\n\
         [[external_audio.sources]]\nname = \"Studio\"\ndevice = \"line-in\"\n"
    );
    let (found, status) = found(&folder, &settings);
    assert_eq!(status, Some(1), "{found:#}");
    assert_eq!(finding(&found, "source Good is heard")["severity"], "fine");
    for (words, remedy) in [
        ("source Lost is not heard: ", "see the path"),
        (
            "source Radio is not heard: cannot be reached: Connection refused",
            "entracte sources test",
        ),
        ("source Studio is not heard: ", "entracte sources devices"),
        (
            "1 source is a device that comes by the sound server: no sound server",
            "start PulseAudio or PipeWire",
        ),
    ] {
        let finding = finding(&found, words);
        assert_eq!(finding["severity"], "fault", "{finding}");
        assert!(finding["remedy"].as_str().unwrap().contains(remedy), "{finding}");
    }
    assert_eq!(finding(&found, "speaks, first sound after")["severity"], "fine");
}

#[test]
fn complaint_49_addresses_that_cannot_be_reached_are_told_and_ports_in_use() {
    let folder = Folder::create();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (mrcp, sip) = (tcp.local_addr().unwrap().port(), udp.local_addr().unwrap().port());
    let settings = format!(
        "[general.sip]\nport = {sip}\nprotocol = [\"udp\"]\n[general.mrcp]\nport = {mrcp}\n\
         [http]\nport = 0\naddress = \"0.0.0.0\"\ntls = \"off\"\n[text_to_speech]\nenabled = false\n"
    );
    let (found, status) = found(&folder, &settings);
    assert_eq!(status, Some(1));
    for port in [format!("UDP 127.0.0.1:{sip}"), format!("TCP 127.0.0.1:{mrcp}")] {
        let finding = finding(&found, &port);
        assert_eq!(finding["severity"], "fault");
        assert!(finding["remedy"].as_str().unwrap().contains("ss -lpn"), "{finding}");
    }
    let loopback = finding(&found, "peers are told to send media to 127.0.0.1");
    assert_eq!(loopback["severity"], "warning");
    assert!(loopback["remedy"].as_str().unwrap().contains("audio.rtp.advertise"), "{loopback}");
    assert_eq!(finding(&found, "without TLS")["severity"], "warning");
    // What `advertise` says is what counts.
    let other = Folder::create();
    let settings = "[general.sip]\nport = 0\n[general.mrcp]\nport = 0\n[http]\nport = 0\n\
                    [text_to_speech]\nenabled = false\n";
    for (advertise, severity) in [("172.17.0.2", "fine"), ("198.51.100.7", "fine")] {
        let settings = settings.to_owned();
        let ground = format!("advertise = [\"{advertise}\"]\n{settings}");
        let (found, _) = self::found(&other, &ground);
        assert_eq!(finding(&found, advertise)["severity"], severity);
    }
}

#[test]
fn a_server_that_runs_is_looked_over_by_itself() {
    let subject = Subject::own("[text_to_speech]\nenabled = false\n");
    let mut doctor = Command::new(entracte());
    // It is found by itself, whatever its file says of ports meanwhile.
    doctor.args(["doctor", "--quiet", "--config"]).arg(subject.config().unwrap());
    let left = programs::run(&mut doctor, PATIENCE);
    assert_eq!(left.status.code(), Some(0), "{} {}", left.out, left.err);
    assert!(left.out.contains("antivirus") && !left.out.contains("ok  "), "{}", left.out);
    assert!(left.out.contains("one runs here"), "{}", left.out);
}

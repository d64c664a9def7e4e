//! `entracte serve` and `entracte check-config` as a person or a service manager uses them.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use ::entracte::client::Phone;
use conformance::rig::offer;
use conformance::{Folder, Subject, entracte, programs};
use rustix::process::Signal;
use sip::agent::EndReason;

const QUIET: &str = "[text_to_speech]\nenabled = false\n";

/// How long the server may take to end, or to say that it cannot begin.
const PATIENCE: Duration = Duration::from_secs(10);

fn entracte_with(words: &[&str], file: &Path) -> programs::Left {
    let mut program = Command::new(entracte());
    programs::run(program.args(words).arg(file), PATIENCE)
}

/// A configuration that the server does not start with: one line says why, with these words.
#[track_caller]
fn check_refused(settings: &str, words: &[&str]) {
    let folder = Folder::create();
    let ground = format!("state_dir = {:?}\n{settings}\n[http]\nenabled = false\n", folder.path());
    let file = folder.write("entracte.toml", ground);
    let left = entracte_with(&["serve", "--config"], &file);
    assert_eq!(left.status.code(), Some(2), "{}", left.err);
    assert_eq!(left.out, "");
    assert_eq!(left.err.lines().count(), 1, "{}", left.err);
    for word in words {
        assert!(left.err.contains(word), "no {word:?} in {}", left.err);
    }
}

#[test]
fn the_ready_line_names_every_address_and_they_answer() {
    let subject = Subject::own(QUIET);
    let ready = subject.ready().unwrap();
    let rest = ready.strip_prefix("ready: ").unwrap();
    let addresses: Vec<_> = rest.split(", ").filter_map(|each| each.split_once(' ')).collect();
    let kinds: Vec<_> = addresses.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds, ["sip/udp", "sip/tcp", "mrcp/tcp", "rtp/udp", "http/tcp"], "{ready}");
    for (kind, address) in addresses {
        if kind.ends_with("tcp") {
            std::net::TcpStream::connect(address).unwrap();
        }
    }
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let own = socket.local_addr().unwrap();
    let options = format!(
        "OPTIONS sip:{0} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bK1\r\nMax-Forwards: 70\r\n\
         From: <sip:a@{own}>;tag=1\r\nTo: <sip:{0}>\r\nCall-ID: 1@{own}\r\nCSeq: 1 OPTIONS\r\n\
         Content-Length: 0\r\n\r\n",
        subject.sip
    );
    socket.send_to(options.as_bytes(), subject.sip).unwrap();
    let mut buffer = [0; 4_096];
    let length = socket.recv(&mut buffer).unwrap();
    let answer = String::from_utf8_lossy(buffer.get(..length).unwrap()).into_owned();
    assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
}

#[test]
fn sigterm_and_sigint_end_it_with_status_0_and_free_its_ports() {
    for signal in [Signal::TERM, Signal::INT] {
        let subject = Subject::own(QUIET);
        let (sip, mrcp) = (subject.sip, subject.mrcp);
        subject.signal(signal);
        let (status, rest) = subject.wait(PATIENCE);
        assert_eq!(status.code(), Some(0));
        // Nothing but the link of the first administrator.
        assert!(rest.lines().count() == 1 && rest.starts_with("first administrator"), "{rest}");
        UdpSocket::bind(sip).unwrap();
        drop(TcpListener::bind(mrcp).unwrap());
    }
}

#[tokio::test]
async fn told_twice_it_says_goodbye_to_the_calls_that_are_up_and_ends_at_once() {
    let settings = format!(
        "{QUIET}[external_audio]\n[[external_audio.sources]]\nname = \"Tone\"\nuri = \"file:{}\"\n",
        concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/sources/assets/hold-music.wav")
    );
    let subject = Subject::own(&settings);
    let phone = Phone::open(subject.sip, None).await.unwrap();
    let rtp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let target = format!("sip:Tone@{}", subject.sip);
    let mut answer = phone.call(&target, offer(rtp.local_addr().unwrap(), &[])).await.unwrap();
    subject.signal(Signal::TERM);
    // It waits for the call, half a minute if need be, and whoever shares calls out is told to leave it.
    let http = subject.http();
    let ready = || {
        let mut stream = std::net::TcpStream::connect(&http).unwrap();
        stream.write_all(b"GET /readyz HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().to_owned()
    };
    let begun = ::entracte::clock::instant();
    while ready() != "503" {
        assert!(begun.elapsed() < PATIENCE, "still ready");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    subject.signal(Signal::INT);
    let told = tokio::time::timeout(PATIENCE, answer.ended.wait_for(Option::is_some)).await;
    assert_eq!(*told.expect("no BYE came").unwrap(), Some(EndReason::Bye));
    let (status, _) = tokio::task::spawn_blocking(move || subject.wait(PATIENCE)).await.unwrap();
    assert_eq!(status.code(), Some(0));
}

#[test]
fn a_voice_that_is_not_there_is_one_line_with_its_key() {
    let settings = "[general]\nlisten_interface = \"127.0.0.1\"\n[general.sip]\nport = 0\n\
                    [general.mrcp]\nport = 0\n[text_to_speech]\ndefault_voice = \"nobody\"\n";
    check_refused(settings, &["entracte.toml:9", "text_to_speech.default_voice", "nobody"]);
}

#[tokio::test]
async fn a_running_server_lists_its_sources_and_who_hears_them() {
    let settings = format!(
        "{QUIET}[external_audio]\n[[external_audio.sources]]\nname = \"Tone\"\nuri = \"file:{}\"\n\
         [[external_audio.sources]]\nname = \"Gone\"\nuri = \"http://127.0.0.1:9/radio\"\n",
        concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/sources/assets/hold-music.wav")
    );
    let subject = Subject::own(&settings);
    let (address, token) = (subject.http(), subject.token_file());
    let phone = Phone::open(subject.sip, None).await.unwrap();
    let rtp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let target = format!("sip:Tone@{}", subject.sip);
    let answer = phone.call(&target, offer(rtp.local_addr().unwrap(), &[])).await.unwrap();
    let list = |more: &[&str]| {
        let mut program = Command::new(entracte());
        program.args(["sources", "list", "--url", &format!("http://{address}")]);
        program.arg("--token-file").arg(&token).args(more);
        programs::run(&mut program, PATIENCE)
    };
    let begun = ::entracte::clock::instant();
    let told = loop {
        let left = list(&["--json"]);
        assert_eq!(left.status.code(), Some(0), "{}", left.err);
        let told: serde_json::Value = serde_json::from_str(&left.out).unwrap();
        if told[0]["listeners"] == 1 && told[1]["state"] == "away" {
            break told;
        }
        assert!(begun.elapsed() < PATIENCE, "{told}");
    };
    assert_eq!((&told[0]["name"], &told[0]["state"]), (&"Tone".into(), &"playing".into()));
    assert_eq!(told[0]["heard"], "source");
    assert_eq!(told[1]["why"], "cannot be reached: Connection refused (os error 111)");
    let shown = list(&[]).out;
    let columns = |line: &str| line.split_whitespace().take(3).collect::<Vec<_>>().join(" ");
    let rows: Vec<_> = shown.lines().map(columns).collect();
    assert_eq!(
        rows,
        ["SOURCE STATE HEARD", "Tone playing source", "Gone away fallback"],
        "{shown}"
    );
    phone.hang_up(answer).await;
    drop(subject);
    let left = list(&[]);
    assert_eq!(left.status.code(), Some(1));
    assert!(left.err.contains("does the server run?"), "{}", left.err);
}

#[test]
fn a_port_in_use_is_one_line_with_its_key() {
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (mrcp, sip) = (tcp.local_addr().unwrap().port(), udp.local_addr().unwrap().port());
    let general = "[general]\nlisten_interface = \"127.0.0.1\"\n";
    let settings = |sip: u16, mrcp: u16| {
        format!("{general}[general.sip]\nport = {sip}\n[general.mrcp]\nport = {mrcp}\n{QUIET}")
    };
    let taken = format!("127.0.0.1:{mrcp}");
    check_refused(&settings(0, mrcp), &["entracte.toml:7", "general.mrcp.port", &taken, "in use"]);
    let taken = format!("127.0.0.1:{sip}");
    check_refused(&settings(sip, 0), &["entracte.toml:5", "general.sip.port", &taken, "in use"]);
}

#[test]
fn a_bad_key_is_one_line_with_its_place_and_what_was_meant() {
    let words = ["entracte.toml:3", "general.sip.prot", "general.sip.port"];
    check_refused("[general.sip]\nprot = 5060\n", &words);
    check_refused("[general.sip]\nport = 70000\n", &["entracte.toml:3", "general.sip.port"]);
    check_refused("[general.sip]\nport 1\n", &["entracte.toml:3"]);
}

#[test]
fn a_file_that_cannot_be_read_is_one_line_with_its_name() {
    let folder = Folder::create();
    let file = folder.path().join("there-is-none.toml");
    let left = entracte_with(&["serve", "--config"], &file);
    assert_eq!((left.status.code(), left.out.as_str()), (Some(2), ""));
    assert_eq!(left.err.lines().count(), 1, "{}", left.err);
    assert!(left.err.contains("there-is-none.toml"), "{}", left.err);
}

#[test]
fn a_fallback_that_cannot_be_read_is_one_line_with_its_key() {
    let settings = format!(
        "[general]\nlisten_interface = \"127.0.0.1\"\n[general.sip]\nport = 0\n\
         [general.mrcp]\nport = 0\n[external_audio]\nfallback = \"/nonexistent/music.wav\"\n{QUIET}"
    );
    check_refused(
        &settings,
        &["entracte.toml:9", "external_audio.fallback", "/nonexistent/music.wav"],
    );
}

#[test]
fn check_config_prints_all_faults_and_ends_with_2_or_0() {
    let folder = Folder::create();
    let file = folder.write(
        "entracte.toml",
        "[general.sip]\nport = 70000\nprotocl = [\"udp\"]\n[audio]\ndefault_prosody_rate = 9.0\n",
    );
    let left = entracte_with(&["check-config"], &file);
    assert_eq!(left.status.code(), Some(2));
    for word in [":2", ":3", ":5", "general.sip.protocol", "audio.default_prosody_rate"] {
        assert!(left.out.contains(word), "no {word} in {}", left.out);
    }
    let file = folder.write("good.toml", "[general.sip]\nport = 5060\n");
    let left = entracte_with(&["check-config"], &file);
    assert_eq!(left.status.code(), Some(0), "{}", left.out);
}

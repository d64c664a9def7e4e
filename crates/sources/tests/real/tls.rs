//! HTTPS, against openssl's own server.

use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use sources::{Phase, Trouble};

use crate::bed::{Folder, Ours, SOURCE_HZ, Stage, free_port, mp3, tool};

const SOON: Duration = Duration::from_secs(5);
const URL: &str = "SOURCES_TEST_URL";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn https_is_heard_when_the_machine_trusts_the_server_and_refused_when_not() {
    // Which authorities a process trusts is decided by its environment: the second half of this
    // test is this test again, in a process that trusts the server.
    if let Ok(url) = std::env::var(URL) {
        return a_trusted_server_is_heard(&url);
    }
    let folder = Folder::new();
    let made = Command::new(tool("openssl"))
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
        .args(["-nodes", "-keyout", "key.pem", "-out", "cert.pem", "-days", "2"])
        .args(["-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .current_dir(folder.path())
        .stderr(Stdio::null())
        .status();
    assert!(made.unwrap().success());
    let audio = mp3(SOURCE_HZ, 2.0);
    let mut answer = b"HTTP/1.0 200 OK\r\nContent-Type: audio/mpeg\r\n".to_vec();
    answer.extend(format!("Content-Length: {}\r\n\r\n", audio.len()).bytes());
    answer.extend(audio);
    folder.put("radio", &answer);
    let port = free_port();
    let server = Command::new(tool("openssl"))
        .args(["s_server", "-quiet", "-HTTP", "-cert", "cert.pem", "-key", "key.pem", "-accept"])
        .arg(format!("127.0.0.1:{port}"))
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let _server = Ours(server.unwrap());
    let url = format!("https://127.0.0.1:{port}/radio");
    let stage = Stage::start(&url);
    let refused = |state: &sources::SourceState| match &state.phase {
        Phase::Away(Trouble::Unreachable(why)) => why.contains("certificate"),
        Phase::Connecting | Phase::Playing | Phase::Resting | Phase::Away(_) => false,
    };
    stage.until(SOON, refused);
    drop(stage);
    let trusting = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "tls::https_is_heard_when_the_machine_trusts_the_server_and_refused_when_not",
        ])
        .env("SSL_CERT_FILE", folder.path().join("cert.pem"))
        .env(URL, url)
        .output()
        .unwrap();
    assert!(trusting.status.success(), "{}", String::from_utf8_lossy(&trusting.stdout));
}

fn a_trusted_server_is_heard(url: &str) {
    let mut stage = Stage::start(url);
    stage.ear.until(SOURCE_HZ, SOON);
    sleep(Duration::from_millis(100));
    assert_eq!(stage.state().phase, Phase::Playing);
}

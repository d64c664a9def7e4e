//! Settings that change while the server runs: by hand and SIGHUP, by command, and what of it calls hear.

use std::f64::consts::TAU;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use ::entracte::client::Phone;
use ::entracte::client::ear::{Ear, lost, timeline};
use conformance::rig::offer;
use conformance::{Folder, Subject, entracte, programs};
use rustix::process::Signal;
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(20);

/// Five seconds of a tone, as a file.
fn tone(folder: &Folder, hz: u32) -> PathBuf {
    let sample = |n: u32| (f64::from(n * hz) / 8_000.0 * TAU).sin() * 8_000.0;
    #[expect(clippy::cast_possible_truncation, reason = "within the range of i16")]
    let samples: Vec<i16> = (0..40_000).map(|n| sample(n) as i16).collect();
    let wav = audio::wav::to_bytes(audio::wav::Format::TELEPHONE, &samples);
    folder.write(&format!("{hz}.wav"), wav)
}

/// The pitch of the last half second that was heard, by its zero crossings.
fn pitch(ear: &Ear) -> u32 {
    let heard = timeline(&ear.heard());
    let last = heard.get(heard.len().saturating_sub(4_000)..).unwrap_or_default();
    let crossings =
        last.iter().zip(last.iter().skip(1)).filter(|(a, b)| (**a < 0) != (**b < 0)).count();
    u32::try_from(crossings).unwrap()
}

async fn until_pitch(ear: &Ear, hz: u32) {
    let begun = ::entracte::clock::instant();
    while pitch(ear).abs_diff(hz) > hz / 20 {
        assert!(begun.elapsed() < PATIENCE, "{} Hz is heard, not {hz}", pitch(ear));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn source(name: &str, file: &Path) -> String {
    format!("[[external_audio.sources]]\nname = \"{name}\"\nuri = \"file:{}\"\n", file.display())
}

/// `entracte` with these words, as a program of this server's host.
fn command(subject: &Subject, words: &[&str]) -> programs::Left {
    let mut program = Command::new(entracte());
    program.args(words).args(["--url", &format!("http://{}", subject.http())]);
    programs::run(program.arg("--token-file").arg(subject.token_file()), PATIENCE)
}

fn told(subject: &Subject, words: &[&str]) -> Value {
    let left = command(subject, words);
    assert_eq!(left.status.code(), Some(0), "{words:?}: {}", left.err);
    serde_json::from_str(&left.out).unwrap()
}

const QUIET: &str = "[text_to_speech]\nenabled = false\n";

/// Waits until the server has taken notice of its file.
fn until_revision(subject: &Subject, number: u64) {
    let begun = ::entracte::clock::instant();
    let last = || told(subject, &["config", "history", "--json"]).pointer("/0/number").cloned();
    while last() != Some(number.into()) {
        assert!(begun.elapsed() < PATIENCE, "no revision {number}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn complaint_07_changed_hold_music_is_heard_by_the_calls_that_are_up() {
    let folder = Folder::create();
    let low = tone(&folder, 440);
    tone(&folder, 1_000);
    let ground = |file: &Path| format!("{QUIET}{}", source("Hold", file));
    let subject = Subject::own(&ground(&low));
    let phone = Phone::open(subject.sip, None).await.unwrap();
    let ear = Ear::open(subject.sip, None).await.unwrap();
    let target = format!("sip:Hold@{}", subject.sip);
    let answer = phone.call(&target, offer(ear.local(), &[])).await.unwrap();
    until_pitch(&ear, 440).await;
    let file = subject.config().unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    let change = |to: &str| std::fs::write(&file, to).unwrap();
    change(&text.replace("440.wav", "1000.wav"));
    subject.signal(Signal::HUP);
    until_pitch(&ear, 1_000).await;
    until_revision(&subject, 2);
    // The page says by which settings it is heard.
    assert_eq!(told(&subject, &["sources", "list", "--json"])[0]["revision"], 2);
    // A file that is wrong changes nothing, and is told.
    change(&text.replace("uri = \"file:", "uri = \"ftp:"));
    subject.signal(Signal::HUP);
    let left = command(&subject, &["config", "reload"]);
    assert_eq!(left.status.code(), Some(1));
    assert!(left.err.contains("external_audio.sources[0].uri"), "{}", left.err);
    // A source that is gone: who hears it hears the fallback on, who comes is told.
    change(&text.replace("\"Hold\"", "\"Other\""));
    let applied = told(&subject, &["config", "reload", "--json"]);
    assert_eq!(applied["revision"], 3, "{applied}");
    assert!(phone.call(&target, offer(ear.local(), &[])).await.is_err());
    // Half a second of the fallback, which is music and no tone of ours.
    let begun = ::entracte::clock::instant();
    loop {
        let heard = timeline(&ear.heard());
        let last = heard.get(heard.len().saturating_sub(4_000)..).unwrap_or_default();
        let loud = last.iter().filter(|sample| sample.unsigned_abs() > 300).count();
        if loud > 1_000 && pitch(&ear).abs_diff(1_000) > 50 {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "the call that was up hears nothing");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // And back, by a command: the call that is up hears it again, and a new one, too.
    let restored = told(&subject, &["config", "restore", "1", "--json"]);
    let key = restored["differences"][0]["key"].as_str().unwrap();
    assert!(key.starts_with("external_audio.sources[\""), "{key}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
    let again = Ear::open(subject.sip, None).await.unwrap();
    let second = phone.call(&target, offer(again.local(), &[])).await.unwrap();
    until_pitch(&again, 440).await;
    until_pitch(&ear, 440).await;
    assert_eq!(lost(&ear.heard()), 0);
    phone.hang_up(second).await;
    phone.hang_up(answer).await;
}

/// An order to the API: its status, and what it answers.
fn order(subject: &Subject, path: &str, body: &Value) -> (String, Value) {
    let token = std::fs::read_to_string(subject.token_file()).unwrap();
    let body = body.to_string();
    let mut stream = std::net::TcpStream::connect(subject.http()).unwrap();
    let request = format!(
        "POST {path} HTTP/1.0\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().to_owned(), serde_json::from_str(body).unwrap())
}

#[test]
fn complaint_50_a_change_is_refused_at_its_key_or_used_at_once() {
    let folder = Folder::create();
    let subject = Subject::own(&format!("{QUIET}{}", source("Hold", &tone(&folder, 440))));
    let set = |key: &str, value: &str| serde_json::json!({ "set": { "key": key, "value": value } });
    let path = "/api/v1/settings";
    let wrong = serde_json::json!({ "changes": [
        set("general.mrcp.max_sessions", "0"),
        set("external_audio.sources[0].gain_db", "\"loud\""),
        set("general.sip.prot", "1"),
        set("media.ffmpeg", "\"/bin/sh\""),
    ] });
    let before = std::fs::read_to_string(subject.config().unwrap()).unwrap();
    let (status, told) = order(&subject, path, &wrong);
    assert_eq!((status.as_str(), told["faults"][0]["key"].as_str()), ("422", Some("media.ffmpeg")));
    let mut wrong = wrong;
    wrong["changes"].as_array_mut().unwrap().pop();
    let (status, told) = order(&subject, path, &wrong);
    let keys: Vec<_> =
        told["faults"].as_array().unwrap().iter().map(|fault| &fault["key"]).collect();
    assert_eq!(status, "422");
    for key in
        ["general.mrcp.max_sessions", "external_audio.sources[0].gain_db", "general.sip.prot"]
    {
        assert!(keys.iter().any(|found| *found == key), "{told}");
    }
    // However it is written, a page names no program, no key and no sound file of the host.
    for (key, value) in [
        ("media", "{ ffmpeg = \"/bin/sh\" }"),
        ("http", "{ certificate = \"/a\", key = \"/b\" }"),
        ("text_to_speech.providers", "[{ name = \"x\", program = \"/bin/sh\" }]"),
        ("text_to_speech.providers[0]", "{ name = \"x\", program = \"/bin/sh\" }"),
        ("external_audio.sources[0].uri", "\"alsa:file:/tmp/x,raw\""),
    ] {
        let change = serde_json::json!({ "changes": [set(key, value)] });
        let (status, told) = order(&subject, path, &change);
        assert_eq!(status, "422", "{key} = {value}: {told}");
    }
    // An address of somebody else would leave a server without pages.
    let change = serde_json::json!({ "changes": [set("http.address", "\"192.0.2.1\"")] });
    let (status, told) = order(&subject, path, &change);
    assert_eq!((status.as_str(), &told["faults"][0]["key"]), ("422", &"http.address".into()));
    assert_eq!(std::fs::read_to_string(subject.config().unwrap()).unwrap(), before);
    let right = serde_json::json!({ "changes": [set("general.mrcp.max_sessions", "64")] });
    let begun = ::entracte::clock::instant();
    let (status, told) = order(&subject, &format!("{path}/propose"), &right);
    assert_eq!((status.as_str(), &told["differences"][0]["after"]), ("200", &"64".into()));
    let based = serde_json::json!({ "changes": right["changes"], "base": told["base"] });
    let (status, told) = order(&subject, path, &based);
    println!("checked, shown and applied in {:?}", begun.elapsed());
    assert_eq!((status.as_str(), &told["waiting"]), ("200", &serde_json::json!([])));
    // Who looked at older settings is told so.
    let (status, told) = order(&subject, path, &based);
    assert_eq!(status, "422");
    assert!(told["error"].as_str().unwrap().contains("somebody else"), "{told}");
}

#[test]
fn what_needs_a_restart_waits_for_it_and_is_told_and_what_does_not_is_used() {
    let folder = Folder::create();
    let subject = Subject::own(&format!("{QUIET}{}", source("Hold", &tone(&folder, 440))));
    let file = subject.config().unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    let text = text.replace("[general]\n", "[general]\nkeep_temporary_files = true\n");
    let text = text.replace("[general.mrcp]\n", "[general.mrcp]\nmax_sessions = 64\n");
    std::fs::write(&file, text).unwrap();
    let applied = told(&subject, &["config", "reload", "--json"]);
    assert_eq!(applied["waiting"], serde_json::json!(["general.keep_temporary_files"]));
    let live = |key: &str| {
        let differences = applied["differences"].as_array().unwrap();
        differences.iter().find(|each| each["key"] == key).unwrap()["live"].clone()
    };
    assert_eq!(live("general.mrcp.max_sessions"), true);
    assert_eq!(live("general.keep_temporary_files"), false);
    // What conf.d sets is read again too, and stands where it stands.
    let other = file.with_file_name("conf.d");
    std::fs::create_dir(&other).unwrap();
    std::fs::write(other.join("a.toml"), "[general.mrcp]\nmax_sessions = 7\n").unwrap();
    let applied = told(&subject, &["config", "reload", "--json"]);
    assert_eq!(applied["differences"][0]["after"], "7", "{applied}");
}

/// Asks with TLS, taking only this certificate for the server's.
fn listed_over_tls(subject: &Subject, certificate: &Path) -> programs::Left {
    let mut program = Command::new(entracte());
    program.args(["sources", "list", "--json", "--url", &format!("https://{}", subject.http())]);
    program.arg("--token-file").arg(subject.token_file()).arg("--certificate").arg(certificate);
    programs::run(&mut program, PATIENCE)
}

#[test]
fn pages_come_with_tls_by_an_own_certificate_and_by_another_after_a_reload() {
    let mut subject = Subject::own(&format!("{QUIET}[http]\ntls = \"on\"\n"));
    assert!(subject.setup_link().starts_with("https://"));
    let file = subject.config().unwrap();
    let made = file.with_file_name("http").join("certificate.pem");
    let left = listed_over_tls(&subject, &made);
    assert_eq!((left.status.code(), left.out.trim()), (Some(0), "[]"), "{}", left.err);
    // Whoever comes without TLS is led to it.
    let mut stream = std::net::TcpStream::connect(subject.http()).unwrap();
    let request =
        format!("GET /overview HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", subject.http());
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains(&format!("location: https://{}/overview", subject.http())), "{answer}");
    // A certificate of one's own.
    let (certificate, key) = (file.with_file_name("c.pem"), file.with_file_name("k.pem"));
    let openssl = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
        .args([
            "-days",
            "2",
            "-subj",
            "/CN=pages.example",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
        ])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output()
        .unwrap();
    assert!(openssl.status.success(), "{}", String::from_utf8_lossy(&openssl.stderr));
    let text = std::fs::read_to_string(&file).unwrap();
    let named = format!("tls = \"on\"\ncertificate = {certificate:?}\nkey = {key:?}\n");
    std::fs::write(&file, text.replace("tls = \"on\"\n", &named)).unwrap();
    subject.signal(Signal::HUP);
    let begun = ::entracte::clock::instant();
    while listed_over_tls(&subject, &certificate).status.code() != Some(0) {
        assert!(begun.elapsed() < PATIENCE, "{}", listed_over_tls(&subject, &certificate).err);
        std::thread::sleep(Duration::from_millis(50));
    }
    let left = listed_over_tls(&subject, &made);
    assert_eq!(left.status.code(), Some(1), "the old one is still shown");
    assert!(left.err.contains("another certificate"), "{}", left.err);
    // A key that is none changes nothing: neither what is shown nor what is in force.
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&key, "no key").unwrap();
    std::fs::write(&file, text.replace("[general.mrcp]\n", "[general.mrcp]\nmax_sessions = 7\n"))
        .unwrap();
    let mut reload = Command::new(entracte());
    reload.args(["config", "reload", "--url", &format!("https://{}", subject.http())]);
    reload.arg("--token-file").arg(subject.token_file()).arg("--certificate").arg(&certificate);
    let left = programs::run(&mut reload, PATIENCE);
    assert_eq!(left.status.code(), Some(1), "{}", left.out);
    assert!(left.err.contains("http.key"), "{}", left.err);
    assert_eq!(listed_over_tls(&subject, &certificate).status.code(), Some(0));
}

#[test]
fn accounts_that_are_made_at_the_same_time_are_all_there() {
    let subject = Subject::own(QUIET);
    let token = std::fs::read_to_string(subject.token_file()).unwrap();
    let add = |name: &str| {
        let form = format!("user={name}&role=viewer&password=correct+horse&again=correct+horse");
        let mut stream = std::net::TcpStream::connect(subject.http()).unwrap();
        let request = format!(
            "POST /administration/users HTTP/1.0\r\nAuthorization: Bearer {token}\r\n\
             Sec-Fetch-Site: same-origin\r\nContent-Length: {}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\n\r\n{form}",
            form.len()
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.0 200"), "{answer}");
    };
    let names = ["ada", "ben", "cleo", "dora"];
    std::thread::scope(|scope| names.iter().for_each(|name| drop(scope.spawn(|| add(name)))));
    let text = std::fs::read_to_string(subject.config().unwrap()).unwrap();
    for name in names {
        assert!(text.contains(&format!("name = \"{name}\"")), "{name}: {text}");
    }
}

#[test]
fn a_password_is_hashed_and_a_link_lets_back_in() {
    let mut hash = Command::new(entracte());
    let left = programs::run_with_input(hash.arg("hash-password"), b"correct horse\n", PATIENCE);
    assert!(left.out.starts_with("$argon2id$"), "{} {}", left.out, left.err);
    let left_hash = left.out.clone();
    let short = programs::run_with_input(
        Command::new(entracte()).arg("hash-password"),
        b"short\n",
        PATIENCE,
    );
    assert_eq!(short.status.code(), Some(2));
    assert!(short.err.contains("at least 8"), "{}", short.err);
    let user = format!(
        "{QUIET}[[administration.users]]\nname = \"ada\"\npassword_hash = '{}'\n",
        left.out.trim()
    );
    let subject = Subject::own(&user);
    let mut reset = Command::new(entracte());
    let left = programs::run(
        reset.args(["reset-admin", "--config"]).arg(subject.config().unwrap()),
        PATIENCE,
    );
    let (_, secret) = left.out.trim().split_once("/setup?token=").unwrap();
    let page = |secret: &str| {
        let mut stream = std::net::TcpStream::connect(subject.http()).unwrap();
        let request = format!("GET /setup?token={secret} HTTP/1.0\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().to_owned()
    };
    assert_eq!((page(secret), page("guess")), ("200".to_owned(), "403".to_owned()));
    // Who forgot a password gets another by it, once.
    let post = || {
        let form = format!("token={secret}&user=ada&password=another+horse&again=another+horse");
        let mut stream = std::net::TcpStream::connect(subject.http()).unwrap();
        let request = format!(
            "POST /setup HTTP/1.0\r\nSec-Fetch-Site: same-origin\r\nContent-Length: {}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\n\r\n{form}",
            form.len()
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let answer = post();
    assert!(
        answer.starts_with("HTTP/1.0 303") && answer.contains("set-cookie: entracte="),
        "{answer}"
    );
    assert!(post().starts_with("HTTP/1.0 403"));
    let file = std::fs::read_to_string(subject.config().unwrap()).unwrap();
    assert_eq!(file.matches("password_hash").count(), 1, "{file}");
    assert!(!file.contains(left_hash.trim()), "the old password is still there");
}

//! What an operator puts around the server: metrics, alert rules, a dashboard, the unit of systemd, archives.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use ::entracte::client::Phone;
use ::entracte::client::ear::Ear;
use conformance::rig::offer;
use conformance::{Folder, Subject, entracte, programs};

const PATIENCE: Duration = Duration::from_secs(20);
const QUIET: &str = "[text_to_speech]\nenabled = false\n";
const MUSIC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/sources/assets/hold-music.wav");

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn metrics(subject: &Subject) -> String {
    let mut stream = std::net::TcpStream::connect(subject.http()).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

/// Names of metrics in a text: words that begin with `entracte_` or `process_`.
fn named(text: &str) -> BTreeSet<String> {
    let word = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
    let words = text
        .split(word)
        .filter(|word| word.starts_with("entracte_") || word.starts_with("process_"));
    words.map(str::to_owned).collect()
}

#[test]
fn complaint_53_every_metric_says_what_it_means_and_alerts_and_dashboard_use_those_there_are() {
    let settings = format!(
        "[[webhooks]]\nuri = \"http://127.0.0.1:9/\"\n[[external_audio.sources]]\nname = \"Music\"\nuri = \"file:{MUSIC}\"\n"
    );
    let subject = Subject::with_tables(&settings);
    let told = metrics(&subject);
    let mut described = BTreeSet::new();
    for line in told.lines() {
        if let Some((name, help)) =
            line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' '))
        {
            assert!(help.len() > 3, "{line}");
            described.insert(name.to_owned());
        }
    }
    for line in told.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap();
        let whole =
            ["_bucket", "_sum", "_count"].into_iter().find_map(|end| name.strip_suffix(end));
        let known = described.contains(name) || whole.is_some_and(|name| described.contains(name));
        assert!(known, "{name} does not say what it means");
        // What is in a label is known from the settings, and so bounded.
        let labels = line.split_once('{').map(|(_, rest)| rest.split_once('}').unwrap().0);
        for label in labels.into_iter().flat_map(|labels| labels.split("\",")) {
            let label = label.split('=').next().unwrap();
            let bounded = [
                "source",
                "provider",
                "engine",
                "dir",
                "cache",
                "version",
                "le",
                "direction",
                "method",
                "outcome",
                "code",
                "webhook",
            ];
            assert!(bounded.contains(&label), "{line}");
        }
    }
    for file in ["ops/alerts.yaml", "ops/grafana-dashboard.json"] {
        let text = std::fs::read_to_string(top().join(file)).unwrap();
        for name in named(&text) {
            let whole = name.strip_suffix("_bucket").unwrap_or(&name);
            assert!(described.contains(whole), "{file} uses {name}, which there is not");
        }
    }
    let dashboard = std::fs::read(top().join("ops/grafana-dashboard.json")).unwrap();
    serde_json::from_slice::<serde_json::Value>(&dashboard).unwrap();
}

#[test]
fn systemd_is_told_that_it_is_ready_that_it_ticks_reloads_and_ends() {
    let folder = Folder::create();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let ground = format!(
        "state_dir = {:?}\n[general]\nlisten_interface = \"127.0.0.1\"\n[general.sip]\nport = 0\n\
         [general.mrcp]\nport = 0\n[http]\nport = 0\n[audio.rtp]\ninterface = \"127.0.0.1\"\n{QUIET}",
        folder.path()
    );
    let file = folder.write("entracte.toml", ground);
    let mut child = Command::new(entracte())
        .args(["serve", "--config"])
        .arg(file)
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "400000")
        .env_remove("WATCHDOG_PID")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let pid = rustix::process::Pid::from_child(&child);
    let heard = || {
        let mut buffer = [0; 512];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(buffer.get(..length).unwrap()).into_owned()
    };
    let until = |word: &str| {
        let begun = ::entracte::clock::instant();
        loop {
            let said = heard();
            if said.contains(word) {
                return said;
            }
            assert!(begun.elapsed() < PATIENCE, "no {word}");
        }
    };
    until("READY=1");
    until("WATCHDOG=1");
    until("WATCHDOG=1");
    rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
    assert!(until("RELOADING=1").contains("MONOTONIC_USEC="));
    until("READY=1");
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    until("STOPPING=1");
    let status = programs::wait(&mut child, PATIENCE);
    assert_eq!(status.and_then(|status| status.code()), Some(0));
}

fn config(words: &[&str], file: &Path) -> programs::Left {
    let mut program = Command::new(entracte());
    programs::run(program.arg("config").args(words).arg("--config").arg(file), PATIENCE)
}

#[test]
fn settings_go_to_xml_by_their_schema_and_come_back() {
    let folder = Folder::create();
    let text = format!(
        "# Mine.\nstate_dir = {:?}\n[general.sip]\nport = 5999\n[audio.rtp]\nport_ranges = [\"20000-20999\"]\n\
         [[external_audio.sources]]\nname = \"A <b> & \\\"c\\\"\"\nuri = \"file:{MUSIC}\"\ngain_db = -3.5\n\
         [[administration.users]]\nname = \"ada\"\npassword_hash = '{}'\n",
        folder.path(),
        web_hash()
    );
    let file = folder.write("entracte.toml", &text);
    let xml = folder.path().join("archive.xml");
    let out = xml.display().to_string();
    let left = config(&["export", "--format", "xml", "--out", &out], &file);
    assert_eq!(left.status.code(), Some(0), "{}", left.err);
    assert!(
        !std::fs::read_to_string(&xml).unwrap().contains("argon2"),
        "hashes are in the archive"
    );
    let schema = top().join("docs/settings.xsd");
    let mut lint = Command::new("xmllint");
    let left = programs::run(lint.args(["--noout", "--schema"]).arg(schema).arg(&xml), PATIENCE);
    assert_eq!(left.status.code(), Some(0), "{}", left.err);
    // Something else stands there now; the archive brings everything back, and accounts stay.
    let changed = text.replace("5999", "5998").replace("gain_db = -3.5", "gain_db = 2.0");
    std::fs::write(&file, &changed).unwrap();
    let left = config(&["diff", &out], &file);
    assert_eq!(
        left.out,
        "external_audio.sources[\"A <b> & \\\"c\\\"\"].gain_db: 2.0 -> -3.5\n\
         general.sip.port: 5998 -> 5999  (after a restart)\n"
    );
    let left = config(&["import", &out, "--dry-run"], &file);
    assert!(left.out.contains("general.sip.port: 5998 -> 5999"), "{} {}", left.out, left.err);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), changed);
    let left = config(&["import", &out], &file);
    assert_eq!(left.status.code(), Some(0), "{}", left.err);
    let back = std::fs::read_to_string(&file).unwrap();
    assert!(back.contains("port = 5999") && back.contains("argon2"), "{back}");
    let left = config(&["diff", &out], &file);
    assert_eq!(left.out, "", "{back}");
    // A file from elsewhere that names no accounts leaves these.
    let example = top().join("config/entracte.toml").display().to_string();
    let left = config(&["import", &example], &file);
    assert_eq!(left.status.code(), Some(0), "{}", left.err);
    let imported = std::fs::read_to_string(&file).unwrap();
    assert!(imported.contains("argon2") && !imported.contains("5999"), "{imported}");
    std::fs::write(&file, &back).unwrap();
    // The same by JSON, in the present folder; what is taken back as it is leaves comments alone.
    let mut export = Command::new(entracte());
    export.args(["config", "export", "--format", "json", "--out", "archive.json", "--config"]);
    let left = programs::run(export.arg(&file).current_dir(folder.path()), PATIENCE);
    assert_eq!(left.status.code(), Some(0), "{}", left.err);
    let json = folder.path().join("archive.json");
    let told: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
    assert_eq!(told["external_audio"]["sources"][0]["gain_db"], -3.5);
    let left = config(&["import", &json.display().to_string()], &file);
    assert!(left.out.contains("nothing differs"), "{} {}", left.out, left.err);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), back);
    // An archive that is wrong changes nothing.
    let broken =
        folder.write("broken.xml", std::fs::read_to_string(&xml).unwrap().replace("5999", "99999"));
    let left = config(&["import", &broken.display().to_string()], &file);
    assert_eq!(left.status.code(), Some(2));
    assert!(left.err.contains("general.sip.port"), "{}", left.err);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), back);
}

/// A hash as `entracte hash-password` prints it.
fn web_hash() -> String {
    let mut hash = Command::new(entracte());
    programs::run_with_input(hash.arg("hash-password"), b"correct horse\n", PATIENCE)
        .out
        .trim()
        .to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_call_that_is_over_is_a_record() {
    let settings = format!(
        "{QUIET}[cdr]\nformat = \"jsonl\"\n[[external_audio.sources]]\nname = \"Music\"\nuri = \"file:{MUSIC}\"\n"
    );
    let subject = Subject::own(&settings);
    let phone = Phone::open(subject.sip, None).await.unwrap();
    let ear = Ear::open(subject.sip, None).await.unwrap();
    for n in 0..3 {
        let target = format!("sip:Music@{}", subject.sip);
        let answer = phone.call(&target, offer(ear.local(), &[])).await.unwrap();
        while ear.count() < 10 * (n + 1) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        phone.hang_up(answer).await;
    }
    let folder = subject.config().unwrap().with_file_name("cdr");
    let begun = ::entracte::clock::instant();
    let records = loop {
        let files = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        let text: String =
            files.map(|file| std::fs::read_to_string(file.path()).unwrap()).collect();
        let lines: Vec<serde_json::Value> =
            text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let records: Vec<_> =
            lines.into_iter().filter(|line| line.get("call_id").is_some()).collect();
        if records.len() == 3 {
            break records;
        }
        assert!(begun.elapsed() < PATIENCE, "{text}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    for record in &records {
        assert_eq!(
            (&record["ended_by"], &record["heard"]),
            (&"bye".into(), &"play source:Music".into())
        );
        assert_eq!(record["remote_rtp"], ear.local().to_string());
        assert!(
            record["sent"].as_u64() >= Some(1) && record["seconds"].as_f64() > Some(0.0),
            "{record}"
        );
    }
    let ids: BTreeSet<_> = records.iter().map(|record| record["call_id"].as_str()).collect();
    assert_eq!(ids.len(), 3);
}

#[test]
fn manuals_and_completions_are_made_of_the_command_line() {
    let folder = Folder::create();
    let mut man = Command::new(entracte());
    let left = programs::run(man.args(["man", "--out"]).arg(folder.path()), PATIENCE);
    assert_eq!(left.status.code(), Some(0), "{}", left.err);
    for page in ["entracte.1", "entracte-serve.1", "entracte-config-restore.1", "entracte-doctor.1"]
    {
        let text = std::fs::read_to_string(folder.path().join(page)).unwrap();
        assert!(text.contains(".SH NAME") && text.contains(".SH SYNOPSIS"), "{page}");
    }
    for shell in ["bash", "zsh", "fish"] {
        let mut completions = Command::new(entracte());
        let left = programs::run(completions.args(["completions", shell]), PATIENCE);
        assert!(left.out.contains("check-config") && left.out.contains("sessions"), "{shell}");
    }
}

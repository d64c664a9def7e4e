//! A server is replaced by a newer one, over the same state folder and settings: everything is where it was.
//!
//! `kept/` holds the state folders of earlier versions, one a format. For a new format one is made by
//! `ENTRACTE_KEEP_STATE=FOLDER cargo nextest run -p conformance made_for_later`, and added to [`KEPT`].

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ::entracte::client::Phone;
use ::entracte::client::ear::{Ear, timeline};
use conformance::rig::offer;
use conformance::{Folder, Subject};

/// The state folders that must open.
const KEPT: &[&str] = &["1"];
/// Where the prompt in their caches came from. Nobody listens there any more.
const PROMPT: &str = "127.0.0.1:18222";
const PATIENCE: Duration = Duration::from_secs(20);

/// Settings besides the usual ones of a test.
fn settings(music: &Path) -> String {
    format!(
        "[text_to_speech]\nenabled = false\n[media]\nallow_networks = [\"127.0.0.0/8\"]\n\
         [[external_audio.sources]]\nname = \"Music\"\nuri = \"file:{}\"\n",
        music.display()
    )
}

/// A tone of 0.6 s as a file.
fn tone() -> Vec<u8> {
    let square = (0..4_800).map(|n| if n % 12 < 6 { 6_000 } else { -6_000 });
    audio::wav::to_bytes(audio::wav::Format::TELEPHONE, &square.collect::<Vec<i16>>())
}

/// Seconds of sound that a call to the prompt hears.
async fn heard(subject: &Subject) -> f64 {
    let phone = Phone::open(subject.sip, None).await.unwrap();
    let ear = Ear::open(subject.sip, None).await.unwrap();
    let target = format!("sip:annc@{};play=http://{PROMPT}/prompt.wav", subject.sip);
    let mut answer = phone.call(&target, offer(ear.local(), &[])).await.unwrap();
    let _ = tokio::time::timeout(PATIENCE, answer.ended.wait_for(Option::is_some)).await;
    let loud = timeline(&ear.heard()).iter().filter(|sample| sample.unsigned_abs() > 3_000).count();
    f64::from(u32::try_from(loud).unwrap()) / 8_000.0
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Every file below, by its path within.
fn files(folder: &Path, within: &Path, found: &mut BTreeSet<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = within.join(entry.file_name());
        if entry.path().is_dir() {
            files(&entry.path(), &path, found);
        } else {
            found.insert(path);
        }
    }
}

/// Asks with ada's password.
fn get(subject: &Subject, path: &str) -> String {
    // ada:correct horse
    let credentials = "YWRhOmNvcnJlY3QgaG9yc2U=";
    ask(subject, &format!("GET {path} HTTP/1.0\r\nAuthorization: Basic {credentials}\r\n\r\n"))
}

fn ask(subject: &Subject, request: &str) -> String {
    let mut stream = std::net::TcpStream::connect(subject.http()).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn complaint_08_an_upgrade_finds_everything_where_it_was() {
    for version in KEPT {
        let folder = Folder::create();
        let music = folder.write("hold.wav", tone());
        let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real/kept").join(version);
        // The folder may be moved, too: a new server on a new disk.
        let subject = Subject::over(&settings(&music), |state| {
            copy(&kept, state);
            let text = std::fs::read_to_string(kept.join("entracte.toml")).unwrap();
            let accounts = text.find("[[administration.users]]").unwrap();
            text.get(accounts..).unwrap().to_owned()
        });
        // The account opens with its password, the history and the audit go on.
        let history = get(&subject, "/api/v1/settings/history");
        assert!(history.starts_with("HTTP/1.0 200"), "{version}: {history}");
        assert!(history.contains("\"setup link\""), "{version}: {history}");
        let text = get(&subject, "/api/v1/settings/history/1");
        assert!(text.contains("external_audio"), "{version}: {text}");
        assert!(get(&subject, "/api/v1/audit").contains("settings changed"), "{version}");
        // What was fetched is heard although its server is gone, and music is where the settings say.
        let seconds = heard(&subject).await;
        assert!((0.5..0.7).contains(&seconds), "{version}: {seconds} s of the prompt");
        let sources = get(&subject, "/api/v1/sources");
        assert!(sources.contains("\"state\":\"playing\""), "{version}: {sources}");
        // Nothing was moved or lost.
        let (mut before, mut after) = (BTreeSet::new(), BTreeSet::new());
        files(&kept, Path::new(""), &mut before);
        let state = subject.config().unwrap();
        files(state.parent().unwrap(), Path::new(""), &mut after);
        let lost: Vec<_> = before.difference(&after).collect();
        assert!(lost.is_empty(), "{version}: {lost:?}");
    }
}

/// The state folder of this version, for the test above in later ones.
#[tokio::test(flavor = "multi_thread")]
async fn the_state_of_this_version_is_made_for_later() {
    let server = tokio::net::TcpListener::bind(PROMPT).await;
    let folder = Folder::create();
    let music = folder.write("hold.wav", tone());
    let mut subject = Subject::own(&settings(&music));
    let link = subject.setup_link();
    let form = format!(
        "token={}&user=ada&password=correct+horse&again=correct+horse",
        link.rsplit('=').next().unwrap()
    );
    let head = format!(
        "POST /setup HTTP/1.0\r\nSec-Fetch-Site: same-origin\r\nContent-Length: {}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\n\r\n{form}",
        form.len()
    );
    assert!(ask(&subject, &head).starts_with("HTTP/1.0 303"));
    // Nobody else needs this port; where somebody has it, there is nothing to make.
    let Ok(server) = server else { return };
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = server.accept().await {
            use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
            let mut head = [0; 2_048];
            let _ = stream.read(&mut head).await;
            let wav = tone();
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: audio/wav\r\nCache-Control: max-age=3153600000\r\n\
                 Connection: close\r\nContent-Length: {}\r\n\r\n",
                wav.len()
            );
            let _ = stream.write_all(&[head.as_bytes(), &wav].concat()).await;
        }
    });
    let seconds = heard(&subject).await;
    assert!((0.5..0.7).contains(&seconds), "{seconds} s of the prompt");
    if let Some(keep) = std::env::var_os("ENTRACTE_KEEP_STATE") {
        let state = subject.config().unwrap();
        copy(state.parent().unwrap(), Path::new(&keep));
    }
}

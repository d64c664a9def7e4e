//! The message store by commands, and a root that is not well.

use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use conformance::{Folder, Subject, entracte, programs};
use serde_json::{Value, json};

use crate::mailboxes::{
    BOX, PATIENCE, QUIET, command, done, get, send, voice, wait_for, with_users,
};

/// `entracte mailbox` where no server ran.
fn alone(folder: &Folder, words: &[&str]) -> programs::Left {
    let text = format!("state_dir = {:?}\n", folder.path().join("state"));
    let config = folder.write("entracte.toml", text);
    let mut program = Command::new(entracte());
    programs::run(program.arg("mailbox").args(words).arg("--config").arg(config), PATIENCE)
}

fn well(folder: &Folder, words: &[&str]) -> String {
    let left = alone(folder, words);
    assert_eq!(left.status.code(), Some(0), "{words:?}: {}{}", left.out, left.err);
    left.out
}

fn ill(folder: &Folder, words: &[&str], why: &str) {
    let left = alone(folder, words);
    assert!(left.status.code() != Some(0) && left.err.contains(why), "{words:?}: {}", left.err);
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn commands_need_no_server_that_ran_before() {
    let folder = Folder::create();
    assert_eq!(well(&folder, &["create", "FBMC: Ann : ann@site"]), "FBMC: Ann : ann@site\n");
    assert_eq!(json_of(&well(&folder, &["list", "--json"]))[0]["unique"], "ann@site");
    // Where a server ran, a root that is gone is not made anew in silence.
    std::fs::create_dir(folder.path().join("state/spool")).unwrap();
    let root = std::fs::read_dir(folder.path().join("state")).unwrap();
    let root = root.map(|entry| entry.unwrap().path()).find(|path| !path.ends_with("spool"));
    std::fs::rename(root.unwrap(), folder.path().join("away")).unwrap();
    ill(&folder, &["list"], "entracte mailbox init");
    let state = folder.path().join("state");
    assert_eq!(std::fs::read_dir(state).unwrap().count(), 1, "something was made");
}

#[test]
fn every_command_answers_in_json_and_says_what_it_refuses() {
    let folder = Folder::create();
    let users = folder.write("users.csv", "unique,name\nann@site,Ann\nbob@site,Bob\n");
    let users = users.to_str().unwrap();
    let parsed = |words: &[&str]| json_of(&well(&folder, &[words, &["--json"]].concat()));
    assert_eq!(parsed(&["import", users, "--dry-run"]), json!({ "users": 2 }));
    assert_eq!(parsed(&["import", users])["made"], 2);
    assert_eq!(parsed(&["create", "cleo@site"])["unique"], "cleo@site");
    ill(&folder, &["create", "FBMC: Nobody : ann@site"], "there is a mailbox ann@site already");
    assert_eq!(parsed(&["show", "ann@site"])["friendly"], "Ann");
    // A list that is empty by mistake takes nobody's mailbox.
    let none = folder.write("none.csv", "unique,name\n");
    let none = none.to_str().unwrap();
    ill(&folder, &["import", none, "--release-others"], "there are no users in it");
    assert_eq!(parsed(&["show", "ann@site"])["has_user"], true);
    let bounds = ["bound", "ann@site", "--messages", "1", "--bytes", "none"];
    assert_eq!(parsed(&bounds)["quota_messages"], 1);
    let sent = parsed(&["send", "ann@site", "bob@site", "--subject", "one"]);
    assert_eq!(sent.as_array().unwrap().len(), 2);
    let left = alone(&folder, &["send", "ann@site", "--subject", "two", "--json"]);
    assert_eq!(json_of(&left.out)[0]["error"], "the mailbox is full: messages");
    ill(&folder, &["bound", "ann@site", "--messages", "few"], "none or default");
    ill(&folder, &["send", "ann@site"], "nothing to send");
    ill(&folder, &["send", "ann@site", "--attach", "/dev/null"], "it is no file");
    let root = parsed(&["stats"]);
    let inside = folder.path().join("state/mail/new");
    ill(&folder, &["move", inside.to_str().unwrap()], "it must be apart from");
    assert!(root.is_object() && !inside.exists());
    ill(&folder, &["send", "bob@site", "--subject", &"x".repeat(1_025)], "1024 bytes of a subject");
    assert_eq!(parsed(&["delete", "cleo@site"]), json!({ "deleted": ["cleo@site"] }));
    assert_eq!(parsed(&["restore", "cleo@site"])["deleted"], Value::Null);
    assert_eq!(parsed(&["check"])["left"], 0);
    assert_eq!(parsed(&["stats"])["store"]["damaged"], 0);
}

#[test]
fn whoever_has_read_enough_is_no_fault() {
    let folder = Folder::create();
    well(&folder, &["create", "ann@site"]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let config = folder.path().join("entracte.toml");
    let mut program = Command::new(entracte());
    program.args(["mailbox", "list", "--config"]).arg(config).stdout(writer);
    let left = program.stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&left.stderr);
    assert!(left.status.signal() == Some(13) && told.is_empty(), "{:?} {told}", left.status);
}

#[test]
fn an_answer_that_cannot_be_written_is_told() {
    let folder = Folder::create();
    well(&folder, &["create", "ann@site"]);
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let config = folder.path().join("entracte.toml");
    let mut program = Command::new(entracte());
    program.args(["mailbox", "list", "--config"]).arg(config).stdout(full);
    let left = program.stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&left.stderr);
    assert!(left.status.code() == Some(1) && told.contains("cannot be written"), "{told}");
}

/// As root, what is made belongs to whoever the server runs as.
#[test]
fn root_works_as_the_owner_of_the_store() {
    if !rustix::process::geteuid().is_root() {
        // Who is not root owns what it makes.
        return;
    }
    let folder = Folder::create();
    well(&folder, &["create", "ann@site"]);
    let nobody = 65_534;
    let paths = |from: &Path| {
        let mut all = vec![from.to_owned()];
        let mut at = 0;
        while let Some(path) = all.get(at).cloned() {
            let entries = std::fs::read_dir(&path).into_iter().flatten();
            all.extend(entries.map(|entry| entry.unwrap().path()));
            at += 1;
        }
        all
    };
    let state = folder.path().join("state");
    // The way to it is open.
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(folder.path(), open).unwrap();
    paths(&state).iter().for_each(|path| chown(path, Some(nobody), Some(nobody)).unwrap());
    well(&folder, &["create", "bob@site"]);
    well(&folder, &["send", "bob@site", "--subject", "one"]);
    for path in paths(&state) {
        assert_eq!(path.metadata().unwrap().uid(), nobody, "{}", path.display());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_damaged_is_told_by_list_check_and_export() {
    let subject = with_users();
    let id = voice(&subject);
    let out = done(&subject, &["show", "michaelc@site", "--json"]);
    let root = done(&subject, &["stats", "--json"]);
    assert_eq!(json_of(&root)["store"]["damaged"], 0);
    let standing = get(&subject, "/api/v1/mail").json();
    let mailbox = Path::new(standing["root"].as_str().unwrap())
        .join(json_of(&out)["folder"].as_str().unwrap());
    // The audio of one, and whose it is.
    let audio = std::fs::read_dir(mailbox.join("messages")).unwrap();
    let mut audio = audio.map(|entry| entry.unwrap().path());
    let audio = audio.find(|path| path.extension().is_some_and(|end| end == "wav")).unwrap();
    let mut bytes = std::fs::read(&audio).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&audio, bytes).unwrap();
    let folder = Folder::create();
    let to = folder.path().join("export");
    let left = command(&subject, &["export", "michaelc@site", to.to_str().unwrap()]);
    assert_eq!(left.status.code(), Some(1));
    assert!(left.err.contains("is not what was delivered"), "{}", left.err);
    std::fs::write(mailbox.join("mailbox.json"), "{").unwrap();
    let list = done(&subject, &["list"]);
    assert!(list.contains("damaged") && list.contains("ann@site"), "{list}");
    let all = get(&subject, "/api/v1/mailboxes").json();
    let damaged: Vec<_> = all["mailboxes"].as_array().unwrap().iter().collect();
    assert_eq!(damaged.iter().filter(|one| one["damaged"].is_string()).count(), 1, "{all}");
    assert_eq!(get(&subject, &format!("{BOX}/messages")).status, 500);
    let checked = command(&subject, &["check"]);
    assert_eq!(checked.status.code(), Some(1));
    assert!(checked.out.contains("mailbox.json"), "{}", checked.out);
    let repaired = done(&subject, &["repair"]);
    assert!(repaired.contains("2 faults, 2 mended"), "{repaired}");
    assert_eq!(get(&subject, BOX).json()["address"], "FBMC: Michael Cole : michaelc@site");
    assert_eq!(get(&subject, &format!("{BOX}/messages/{id}")).status, 404);
    // The alarm leads to what tells of it.
    let checked = done(&subject, &["check"]);
    assert!(checked.contains("files in quarantine"), "{checked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_moved_beside_a_server_takes_its_messages_along() {
    let subject = with_users();
    voice(&subject);
    let folder = Folder::create();
    let to = folder.path().join("new");
    let moved = done(&subject, &["move", to.to_str().unwrap(), "--json"]);
    assert!(json_of(&moved)["copied"].as_u64().unwrap() > 4, "{moved}");
    let letter = json!({ "to": ["michaelc@site"], "subject": "later", "text": "x" });
    let sent = send(&subject, "POST", "/api/v1/mailboxes/ann@site/messages", &letter);
    assert_eq!(sent.json()[0]["place"], "spool", "{}", sent.text());
    let alarms = get(&subject, "/api/v1/alarms").text();
    assert!(alarms.contains("was moved to"), "{alarms}");
    let again = command(&subject, &["move", to.to_str().unwrap()]);
    assert!(again.err.contains("set mail.root to it"), "{}", again.err);
    let list = done(&subject, &["messages", "michaelc@site", "--root", to.to_str().unwrap()]);
    assert!(list.contains("a tone"), "{list}");
}

/// Whoever opens the guard of the root waits, as for a file server that does not answer.
struct Hang {
    guard: std::path::PathBuf,
    aside: std::path::PathBuf,
}

impl Hang {
    fn begin(root: &Path) -> Self {
        let guard = root.join("entracte-store.json");
        let aside = root.with_file_name("hanging");
        std::fs::rename(&guard, root.with_file_name("guard")).unwrap();
        // One of an earlier time.
        let _ = std::fs::remove_file(&aside);
        let made = programs::run(Command::new("mkfifo").arg(&aside), PATIENCE);
        assert!(made.status.success(), "{}", made.err);
        std::fs::hard_link(&aside, &guard).unwrap();
        Self { guard, aside }
    }

    fn end(&self) {
        std::fs::rename(self.guard.parent().unwrap().with_file_name("guard"), &self.guard).unwrap();
        self.release();
    }

    /// Whoever waits reads nothing, and goes on.
    fn release(&self) {
        use std::os::unix::fs::OpenOptionsExt as _;
        let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap();
        // Nobody may wait.
        drop(std::fs::File::options().write(true).custom_flags(nonblocking).open(&self.aside));
    }
}

impl Drop for Hang {
    fn drop(&mut self) {
        self.release();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn complaint_44_a_share_that_hangs_keeps_nobody_from_starting_and_nothing_else_from_working()
{
    let share = Folder::create();
    let root = share.path().join("mail");
    let folder = Folder::create();
    let config = folder.write("entracte.toml", format!("[mail]\nroot = {root:?}\n"));
    for words in [&["init"][..], &["create", "ann@site"]] {
        let mut program = Command::new(entracte());
        let left = programs::run(
            program.arg("mailbox").args(words).arg("--config").arg(&config),
            PATIENCE,
        );
        assert!(left.status.success(), "{}", left.err);
    }
    let hang = Hang::begin(&root);
    let subject = Subject::own(&format!("[mail]\nroot = {root:?}\n{QUIET}"));
    let alarms = get(&subject, "/api/v1/alarms").text();
    assert!(alarms.contains("it does not answer"), "{alarms}");
    let letter = json!({ "to": ["ann@site"], "subject": "meanwhile", "text": "x" });
    let path = "/api/v1/mailboxes/ann@site/messages";
    assert_eq!(send(&subject, "POST", path, &letter).json()[0]["place"], "spool");
    hang.end();
    let arrived = || {
        let list = get(&subject, &format!("{path}?folder=inbox"));
        list.status == 200 && list.json()["messages"][0]["subject"] == "meanwhile"
    };
    wait_for("what was in the spool does not arrive", arrived);

    // It hangs again: whoever asks before that is known waits, and at most so many.
    let hang = Hang::begin(&root);
    let asked = || get(&subject, "/api/v1/mailboxes").status;
    thread::scope(|scope| {
        let (told, answers) = std::sync::mpsc::sync_channel(90);
        for _ in 0..90 {
            let told = told.clone();
            // Nobody counts the last ones.
            scope.spawn(move || {
                let _ = told.send(asked());
            });
        }
        // Those who find no place are told so, and all else works meanwhile.
        for _ in 0..26 {
            assert_eq!(answers.recv_timeout(PATIENCE).unwrap(), 503);
        }
        assert_eq!(get(&subject, "/api/v1/about").status, 200);
        wait_for("nobody notices", || {
            get(&subject, "/api/v1/alarms").text().contains("it does not answer")
        });
        hang.end();
    });
    wait_for("it does not recover", || asked() == 200);
    assert_eq!(get(&subject, "/api/v1/alarms").json(), json!([]));
}

/// Whoever has a file of ours has FFmpeg, or something like it.
#[test]
fn ffmpeg_plays_what_each_compression_makes() {
    use audio::voicemail::Compression;

    let folder = Folder::create();
    let tone = crate::mailboxes::tone();
    let samples = audio::wav::read(&tone).unwrap().samples();
    let energy = |samples: &[i16]| {
        let sum: f64 = samples.iter().map(|s| f64::from(*s) * f64::from(*s)).sum();
        (sum / f64::from(u32::try_from(samples.len()).unwrap())).sqrt()
    };
    let all = [
        (Compression::TrueSpeech, "truespeech"),
        (Compression::Gsm, "gsm_ms"),
        (Compression::MuLaw, "pcm_mulaw"),
        (Compression::Opus, "opus"),
        (Compression::Pcm, "pcm_s16le"),
    ];
    for (compression, name) in all {
        let file = folder.write("voice", compression.file(&samples).unwrap());
        let raw = folder.path().join("raw");
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg.args(["-nostdin", "-hide_banner", "-y", "-i"]).arg(file);
        ffmpeg.args(["-f", "s16le", "-ac", "1", "-ar", "8000"]).arg(&raw);
        let left = programs::run(&mut ffmpeg, PATIENCE);
        assert!(left.status.success() && left.err.contains(name), "{name}: {}", left.err);
        let bytes = std::fs::read(raw).unwrap();
        let heard: Vec<i16> =
            bytes.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect();
        // Three seconds, and at most a block more; as loud as it was, within a decibel.
        assert!((23_900..24_600).contains(&heard.len()), "{name}: {}", heard.len());
        let ratio = energy(&heard[..23_900]) / energy(&samples);
        assert!((0.89..1.12).contains(&ratio), "{name}: {ratio}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn totals_an_export_and_a_move_over_http() {
    let subject = with_users();
    let id = voice(&subject);
    let stats = get(&subject, "/api/v1/mail/stats").json();
    assert_eq!((&stats["mailboxes"], &stats["messages"]), (&json!(2), &json!(2)));
    let folder = Folder::create();
    let to = folder.path().join("export");
    let exported = send(&subject, "POST", &format!("{BOX}/export"), &json!({ "to": to })).json();
    assert_eq!((&exported["messages"], &exported["files"]), (&json!(1), &json!(2)));
    let again = send(&subject, "POST", &format!("{BOX}/export"), &json!({ "to": to }));
    assert!(again.text().contains("is not empty"), "{}", again.text());
    let near = send(&subject, "POST", &format!("{BOX}/export"), &json!({ "to": "near" }));
    assert_eq!((near.status, near.text().contains("absolute path")), (422, true));
    let to = folder.path().join("new");
    let moved = send(&subject, "POST", "/api/v1/mail/move", &json!({ "to": to }));
    assert!(moved.json()["copied"].as_u64().unwrap() > 4, "{}", moved.text());
    assert_eq!(get(&subject, "/api/v1/mail").json()["moving"], Value::Null);
    let list =
        done(&subject, &["messages", "michaelc@site", "--root", to.to_str().unwrap(), "--json"]);
    assert_eq!(json_of(&list)[0]["id"], json!(id));
}

/// Deleted, purged and made again, while a server has it open and hears of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_mailbox_is_purged_beside_a_server_that_uses_it() {
    let subject = with_users();
    for n in 0..8 {
        done(&subject, &["create", "gone@site"]);
        let letter = json!({ "to": ["gone@site"], "subject": n.to_string(), "text": "x" });
        for _ in 0..3 {
            let sent = send(&subject, "POST", "/api/v1/mailboxes/ann@site/messages", &letter);
            assert_eq!(sent.json()[0]["place"], "mailbox");
        }
        done(&subject, &["send", "gone@site", "--text", "y"]);
        done(&subject, &["delete", "gone@site"]);
        done(&subject, &["purge", "--yes"]);
        assert_eq!(get(&subject, "/api/v1/mailboxes/gone@site").status, 404);
    }
    assert_eq!(get(&subject, "/api/v1/mail").json()["quarantined"], 0);
}

/// Whoever looks where nothing is makes nothing, and is told.
#[test]
fn a_list_makes_no_store() {
    let folder = Folder::create();
    let state = folder.path().join("state");
    let config = folder.write("entracte.toml", format!("state_dir = {state:?}\n"));
    for words in [&["list"][..], &["stats"], &["email", "ann@site", "a@b.example"]] {
        let mut program = Command::new(entracte());
        let left = programs::run(
            program.arg("mailbox").args(words).arg("--config").arg(&config),
            PATIENCE,
        );
        assert_eq!(left.status.code(), Some(1), "{words:?}: {}", left.out);
        assert!(left.err.contains("is no message store"), "{words:?}: {}", left.err);
        assert!(!state.exists(), "{words:?}");
    }
}

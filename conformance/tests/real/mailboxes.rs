//! The message store of a running server: over HTTP, and by commands beside it.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    reason = "whatever an answer lacks shall fail the test"
)]

use std::f64::consts::TAU;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use conformance::{Folder, Subject, entracte, programs};
use serde_json::{Value, json};

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
pub(crate) const QUIET: &str = "[text_to_speech]\nenabled = false\n";

/// An answer: its status, its headers, its body.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn has(&self, header: &str) -> bool {
        self.head.to_lowercase().contains(&header.to_lowercase())
    }
}

pub(crate) fn request(
    subject: &Subject,
    method: &str,
    path: &str,
    headers: &str,
    body: &[u8],
) -> TcpStream {
    let token = std::fs::read_to_string(subject.token_file()).unwrap();
    let mut stream = TcpStream::connect(subject.http()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = format!(
        "{method} {path} HTTP/1.0\r\nAuthorization: Bearer {}\r\nContent-Length: {}\r\n{headers}\r\n",
        token.trim(),
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    stream
}

pub(crate) fn ask(
    subject: &Subject,
    method: &str,
    path: &str,
    headers: &str,
    body: &[u8],
) -> Answer {
    let mut bytes = Vec::new();
    request(subject, method, path, headers, body).read_to_end(&mut bytes).unwrap();
    let at = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let head = String::from_utf8_lossy(&bytes[..at]).into_owned();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head, body: bytes[at + 4..].to_vec() }
}

pub(crate) fn get(subject: &Subject, path: &str) -> Answer {
    ask(subject, "GET", path, "", b"")
}

pub(crate) fn send(subject: &Subject, method: &str, path: &str, body: &Value) -> Answer {
    ask(subject, method, path, "Content-Type: application/json\r\n", body.to_string().as_bytes())
}

/// `entracte mailbox` beside the server, on the same settings.
pub(crate) fn command(subject: &Subject, words: &[&str]) -> programs::Left {
    let mut program = Command::new(entracte());
    program.arg("mailbox").args(words).arg("--config").arg(subject.config().unwrap());
    programs::run(&mut program, PATIENCE)
}

pub(crate) fn done(subject: &Subject, words: &[&str]) -> String {
    let left = command(subject, words);
    assert_eq!(left.status.code(), Some(0), "{words:?}: {}{}", left.out, left.err);
    left.out
}

/// Three seconds of a tone.
pub(crate) fn tone() -> Vec<u8> {
    let sample = |n: u32| (f64::from(n * 440) / 8_000.0 * TAU).sin() * 8_000.0;
    #[expect(clippy::cast_possible_truncation, reason = "within the range of i16")]
    let samples: Vec<i16> = (0..24_000).map(|n| sample(n) as i16).collect();
    audio::wav::to_bytes(audio::wav::Format::TELEPHONE, &samples)
}

/// A server with two users.
pub(crate) fn with_users() -> Subject {
    let subject = Subject::own(QUIET);
    let folder = Folder::create();
    let users =
        folder.write("users.csv", "unique,name\nmichaelc@site,Michael Cole\nann@site,Ann\n");
    let out = done(&subject, &["import", users.to_str().unwrap()]);
    assert!(out.starts_with("2 made"), "{out}");
    subject
}

pub(crate) const BOX: &str = "/api/v1/mailboxes/michaelc@site";

/// Sends three seconds of voice from Ann to Michael; the message's id.
pub(crate) fn voice(subject: &Subject) -> String {
    let letter = json!({
        "to": ["FBMC: Michael Cole : MICHAELC@SITE"],
        "subject": "a tone",
        "urgent": true,
        "audio": STANDARD.encode(tone()),
    });
    let sent = send(subject, "POST", "/api/v1/mailboxes/ann@site/messages", &letter);
    assert_eq!(sent.status, 200, "{}", sent.text());
    assert_eq!(sent.json()[0]["place"], "mailbox");
    sent.json()[0]["id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_sent_listed_and_heard_whole_and_in_parts_over_http() {
    let subject = with_users();
    let id = voice(&subject);
    let list = get(&subject, &format!("{BOX}/messages")).json();
    let row = &list["messages"][0];
    assert_eq!(
        (&row["id"], &row["codec"], &row["duration_ms"]),
        (&json!(id), &json!("gsm"), &json!(3_000))
    );
    assert_eq!(
        (&list["counts"]["voice"]["new"], &list["counts"]["voice"]["urgent_new"]),
        (&json!(1), &json!(1))
    );
    let message = get(&subject, &format!("{BOX}/messages/{id}")).json();
    assert_eq!(message["from"]["address"], "FBMC: Ann : ann@site");
    assert_eq!(message["attachments"][0]["peaks"].as_array().unwrap().len(), 30);

    // As it is kept, and as a browser plays it; whole and in parts.
    let stored = get(&subject, &format!("{BOX}/messages/{id}/audio?format=stored"));
    assert_eq!((stored.status, stored.body.len()), (200, 4_936));
    let wav = get(&subject, &format!("{BOX}/messages/{id}/audio"));
    assert!(wav.has("content-type: audio/wav") && wav.has("accept-ranges: bytes"));
    assert_eq!(audio::wav::read(&wav.body).unwrap().samples().len(), 24_000);
    let ogg = get(&subject, &format!("{BOX}/messages/{id}/audio?format=ogg"));
    assert!(ogg.has("content-type: audio/ogg") && ogg.body.starts_with(b"OggS"));
    let part = ask(
        &subject,
        "GET",
        &format!("{BOX}/messages/{id}/audio"),
        "Range: bytes=100-299\r\n",
        b"",
    );
    assert_eq!(part.status, 206);
    assert!(part.has(&format!("content-range: bytes 100-299/{}", wav.body.len())), "{}", part.head);
    assert_eq!(part.body, wav.body[100..300]);
    let none = ask(
        &subject,
        "GET",
        &format!("{BOX}/messages/{id}/audio"),
        "Range: bytes=900000-\r\n",
        b"",
    );
    assert_eq!(none.status, 416);

    // Each is noted, also who hears all but the first byte.
    let heard = |audit: &Answer| audit.text().matches("message heard").count();
    let before = heard(&get(&subject, "/api/v1/audit"));
    let path = format!("{BOX}/messages/{id}/audio");
    ask(&subject, "GET", &path, "Range: bytes=1-\r\n", b"");
    assert_eq!(heard(&get(&subject, "/api/v1/audit")), before + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_marked_answered_forwarded_and_deleted_over_http() {
    let subject = with_users();
    let id = voice(&subject);
    let heard = get(&subject, &format!("{BOX}/messages/{id}/audio")).body;
    let read = send(
        &subject,
        "PATCH",
        &format!("{BOX}/messages/{id}"),
        &json!({ "read": true, "folder": "saved" }),
    );
    assert_eq!(
        (&read.json()["folder"], &read.json()["marks"]["read"]),
        (&json!("saved"), &json!(true))
    );
    let reply =
        send(&subject, "POST", &format!("{BOX}/messages/{id}/reply"), &json!({ "text": "thanks" }));
    assert_eq!(reply.json()[0]["to"], "ann@site");
    let forward = json!({ "to": ["ann@site", "nobody"], "text": "for you" });
    let forward = send(&subject, "POST", &format!("{BOX}/messages/{id}/forward"), &forward).json();
    assert_eq!(forward[1]["error"], "there is no mailbox nobody");
    let second = forward[0]["id"].as_str().unwrap();
    let ann = "/api/v1/mailboxes/ann@site";
    let forwarded = get(&subject, &format!("{ann}/messages/{second}")).json();
    assert_eq!((&forwarded["forward_of"], &forwarded["thread"]), (&json!(id), &json!(id)));
    assert_eq!(get(&subject, &format!("{ann}/messages/{second}/audio")).body, heard);
    let subjects = |folder: &str| {
        let list = get(&subject, &format!("{ann}/messages?folder={folder}")).json();
        let rows = list["messages"].as_array().unwrap().clone();
        rows.iter().map(|row| row["subject"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(subjects("inbox"), ["a tone", "Re: a tone"]);
    assert_eq!(subjects("sent"), ["a tone"]);

    // What is asked for twice is done once.
    let gone = |how: &str| {
        let path = format!("{BOX}/messages/{id}{how}");
        ask(&subject, "DELETE", &path, "", b"").json()["removed"].clone()
    };
    let removed = ["", "", "?really=true"].map(gone);
    assert_eq!(removed, [json!(false), json!(false), json!(true)]);
    assert_eq!(get(&subject, &format!("{BOX}/messages/{id}")).status, 404);
    let audit = get(&subject, "/api/v1/audit").text();
    let notes = [
        "message changed",
        "message answered",
        "message forwarded",
        "message deleted",
        "message removed",
    ];
    for what in notes {
        assert!(audit.contains(what), "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_answered_with_its_status_and_words() {
    let subject = with_users();
    let check = |answer: Answer, status: u16, words: &str| {
        let error = answer.json()["error"].as_str().unwrap_or_default().to_owned();
        assert!(answer.status == status && error.contains(words), "{} {error}", answer.status);
    };
    check(get(&subject, "/api/v1/mailboxes/nobody/messages"), 404, "there is no mailbox nobody");
    check(
        get(&subject, &format!("{BOX}/messages/01KAFM7C0000000000000000ZZ")),
        404,
        "there is no message",
    );
    check(get(&subject, &format!("{BOX}/messages/short")), 422, "26 letters");
    check(get(&subject, &format!("{BOX}/messages?folder=spam")), 422, "inbox, saved");
    check(
        send(&subject, "POST", "/api/v1/mailboxes", &json!({ "address": "ann@site" })),
        409,
        "already",
    );
    check(
        send(&subject, "POST", "/api/v1/mailboxes", &json!({ "address": "SMTP: a : b" })),
        422,
        "not an address",
    );
    check(
        send(&subject, "POST", &format!("{BOX}/messages"), &json!({ "to": [], "text": "x" })),
        422,
        "recipient",
    );
    let noise = json!({ "to": ["ann@site"], "audio": STANDARD.encode("no audio at all") });
    check(send(&subject, "POST", &format!("{BOX}/messages"), &noise), 422, "cannot be decoded");
    check(
        send(&subject, "POST", &format!("{BOX}/purge"), &json!({ "really": true })),
        409,
        "was not deleted",
    );
    let long = json!({ "to": ["ann@site"], "subject": "x".repeat(1_025), "text": "x" });
    check(
        send(&subject, "POST", &format!("{BOX}/messages"), &long),
        422,
        "1024 bytes of a subject",
    );
    for (method, path, body) in [
        ("PATCH", BOX.to_owned(), json!({ "quota": 3 })),
        ("POST", format!("{BOX}/purge"), json!({ "realy": true })),
        ("POST", format!("{BOX}/messages"), json!({ "to": ["ann@site"], "urgnt": true })),
        ("POST", format!("{BOX}/bulk"), json!({ "ids": [], "reads": true })),
    ] {
        let answer = send(&subject, method, &path, &body);
        let words = answer.text();
        assert!(answer.status == 422 && words.contains("unknown field"), "{path}: {words}");
    }
    let users = "unique,name\nc@site,C\na:b,D\n";
    check(
        ask(&subject, "POST", "/api/v1/mailboxes/import", "", users.as_bytes()),
        422,
        "line 3: unique",
    );
    assert_eq!(get(&subject, "/api/v1/mailboxes/c@site").status, 404, "nobody was imported");
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_beside_the_server_see_and_change_the_same_mailboxes() {
    let subject = with_users();
    let id = voice(&subject);
    let listed: Value =
        serde_json::from_str(&done(&subject, &["messages", "michaelc@site", "--json"])).unwrap();
    assert_eq!(listed[0]["id"], json!(id));
    // The server has the mailbox; it lets it go, and takes it back.
    done(&subject, &["repair", "michaelc@site"]);
    let second = voice(&subject);
    assert_ne!(id, second);
    let out = done(&subject, &["check"]);
    assert!(out.contains("2 mailboxes, 4 messages") && out.contains("0 faults"), "{out}");
    let folder = Folder::create();
    let export = folder.path().join("export");
    let out = done(&subject, &["export", "michaelc@site", export.to_str().unwrap()]);
    assert!(out.starts_with("2 messages, 4 files"), "{out}");
    done(&subject, &["delete", "michaelc@site"]);
    assert_eq!(get(&subject, &format!("{BOX}/messages/{id}")).status, 410);
    assert!(done(&subject, &["purge"]).contains("would go"));
    assert_eq!(send(&subject, "POST", &format!("{BOX}/restore"), &json!({})).status, 200);
    assert_eq!(get(&subject, &format!("{BOX}/messages/{id}")).status, 200);
    assert_eq!(send(&subject, "DELETE", BOX, &json!({})).status, 200);
    assert!(done(&subject, &["purge", "--yes"]).contains("are gone"));
    assert_eq!(get(&subject, BOX).status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_follows_a_mailbox_is_told_what_happens_there_and_what_was_missed() {
    let subject = with_users();
    let events = |last: &str| {
        let stream = request(&subject, "GET", &format!("{BOX}/events"), last, b"");
        BufReader::new(stream).lines().map_while(Result::ok)
    };
    let next = |lines: &mut dyn Iterator<Item = String>| {
        let mut event = [String::new(), String::new()];
        for line in lines {
            if let Some(kind) = line.strip_prefix("event: ") {
                event[0] = kind.to_owned();
            } else if let Some(id) = line.strip_prefix("id: ") {
                event[1] = id.to_owned();
            } else if line.is_empty() && !event[0].is_empty() {
                return event;
            }
        }
        panic!("no more events")
    };
    let mut lines = events("");
    let [kind, begin] = next(&mut lines);
    assert_eq!(kind, "counts");
    let id = voice(&subject);
    send(&subject, "PATCH", &format!("{BOX}/messages/{id}"), &json!({ "read": true }));
    let told = [next(&mut lines), next(&mut lines)];
    assert_eq!([&*told[0][0], &*told[1][0]], ["added", "changed"]);
    drop(lines);
    // Who comes back with the last is told how it stands; with an older one, that it missed some.
    let last = &told[1][1];
    assert_eq!(&next(&mut events(&format!("Last-Event-ID: {last}\r\n")))[0], "counts");
    assert_eq!(&next(&mut events(&format!("Last-Event-ID: {begin}\r\n")))[0], "missed");
}

#[tokio::test(flavor = "multi_thread")]
async fn greetings_are_set_by_their_audio_and_bulk_changes_many() {
    let subject = with_users();
    let path = format!("{BOX}/greetings?name=unavailable");
    let set = ask(&subject, "POST", &path, "Content-Type: audio/wav\r\n", &tone());
    assert_eq!(set.status, 200, "{}", set.text());
    let greetings = get(&subject, &format!("{BOX}/greetings")).json();
    assert_eq!(greetings["messages"][0]["subject"], "unavailable");
    assert_eq!(greetings["counts"]["voice"]["new"], 0, "a greeting is no message");
    let ids: Vec<_> = (0..5).map(|_| voice(&subject)).collect();
    let order = json!({ "ids": ids, "read": true, "folder": "deleted" });
    let changed = send(&subject, "POST", &format!("{BOX}/bulk"), &order).json();
    assert_eq!(changed.as_array().unwrap().len(), 5);
    send(&subject, "POST", &format!("{BOX}/bulk"), &json!({ "ids": ids, "remove": true }));
    let counts = get(&subject, BOX).json()["counts"].clone();
    assert_eq!((&counts["messages"], &counts["folders"]), (&json!(1), &json!([0, 0, 0, 0, 1])));
}

/// Waits until something is so.
pub(crate) fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = ::entracte::clock::instant();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A root that was set, and whose share is away when the server starts.
#[tokio::test(flavor = "multi_thread")]
async fn complaint_44_a_server_whose_share_is_away_starts_and_says_so() {
    let share = Folder::create();
    let root = share.path().join("mail");
    let subject = Subject::own(&format!("[mail]\nroot = {root:?}\n{QUIET}"));
    let alarms = get(&subject, "/api/v1/alarms").text();
    assert!(alarms.contains("is not mounted"), "{alarms}");
    let list = get(&subject, "/api/v1/mailboxes");
    assert_eq!(list.status, 503, "{}", list.text());
    // What is for nobody there is waits too, until somebody takes it away.
    let letter = json!({ "to": ["nobody@site"], "subject": "lost", "text": "x" });
    let sent = send(&subject, "POST", "/api/v1/mailboxes/ann@site/messages", &letter).json();
    let lost = sent[0]["id"].as_str().unwrap().to_owned();
    // It is mounted, so to speak.
    done(&subject, &["init"]);
    done(&subject, &["create", "FBMC: Ann : ann@site"]);
    wait_for("the server does not find the share", || {
        get(&subject, "/api/v1/mailboxes/ann@site").status == 200
    });
    let discard = || ask(&subject, "DELETE", &format!("/api/v1/mail/spool/{lost}"), "", b"").status;
    assert_eq!([0; 2].map(|_| discard()), [200, 404]);
    wait_for("an alarm stays", || get(&subject, "/api/v1/alarms").json() == json!([]));
    // The share goes; what is sent meanwhile is there when it is back.
    let away = share.path().join("away");
    std::fs::rename(&root, &away).unwrap();
    let letter = json!({ "to": ["ann@site"], "subject": "meanwhile", "text": "x" });
    let sent = send(&subject, "POST", "/api/v1/mailboxes/ann@site/messages", &letter);
    assert_eq!(sent.json()[0]["place"], "spool", "{}", sent.text());
    std::fs::rename(&away, &root).unwrap();
    let arrived = || {
        let list = get(&subject, "/api/v1/mailboxes/ann@site/messages?q=meanwhile");
        list.status == 200 && list.json()["messages"].as_array().unwrap().len() == 2
    };
    wait_for("what was in the spool does not arrive", arrived);
}

#[tokio::test(flavor = "multi_thread")]
async fn envelopes_keep_their_schema() {
    let subject = with_users();
    voice(&subject);
    let letter =
        json!({ "to": ["ann@site"], "subject": "<&\">", "text": "a\r\nb", "private": true });
    assert_eq!(send(&subject, "POST", &format!("{BOX}/messages"), &letter).status, 200);
    let folder = Folder::create();
    let schema = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/message.xsd");
    let mut checked = 0;
    for (number, user) in ["michaelc@site", "ann@site"].into_iter().enumerate() {
        let export = folder.path().join(number.to_string());
        done(&subject, &["export", user, export.to_str().unwrap()]);
        for file in std::fs::read_dir(export).unwrap().map(|entry| entry.unwrap().path()) {
            if file.extension().is_some_and(|extension| extension == "xml") {
                let mut lint = Command::new("xmllint");
                let left =
                    programs::run(lint.args(["--noout", "--schema", schema]).arg(&file), PATIENCE);
                assert!(left.status.success(), "{}", left.err);
                checked += 1;
            }
        }
    }
    assert_eq!(checked, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_every_size_go_with_a_message_and_come_back_as_they_were() {
    let subject = with_users();
    let folder = Folder::create();
    let empty = folder.write("empty.pdf", b"");
    let large = folder.write("large.bin", vec![7u8; 20 << 20]);
    let huge = folder.path().join("huge.bin");
    // It has a hole for almost all of its bytes.
    std::fs::File::create(&huge).unwrap().set_len((2 << 30) + 1).unwrap();
    let words = ["send", "ann@site", "--subject", "files", "--attach"];
    let path = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    let (empty, large, huge) = (path(&empty), path(&large), path(&huge));
    let out = done(&subject, &[&words[..], &[&empty, "--attach", &large]].concat());
    let id = out.trim().rsplit(' ').next().unwrap().to_owned();
    let at = |number: u32| {
        get(&subject, &format!("/api/v1/mailboxes/ann@site/messages/{id}/attachments/{number}"))
    };
    let first = at(0);
    assert_eq!((first.status, first.body.len()), (200, 0));
    let second = at(1);
    assert!(second.has("content-disposition: attachment") && second.has("nosniff"));
    assert!(second.body.len() == 20 << 20 && second.body.iter().all(|byte| *byte == 7));
    let left = command(&subject, &[&words[..], &[&huge]].concat());
    assert!(left.err.contains("limit reached: bytes of an attachment"), "{}", left.err);
}

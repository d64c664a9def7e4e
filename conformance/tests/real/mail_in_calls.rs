//! Messages of the store and of mail servers, heard in calls: from a store, from our own IMAP server and from Dovecot.

#![expect(clippy::indexing_slicing, reason = "whatever an answer lacks shall fail the test")]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use conformance::rig::{Controlled, call};
use conformance::{Folder, Subject};
use entracte::client::Phone;
use entracte::client::ear::timeline;
use entracte::client::link::Link;
use entracte::demo::hearing::pitch_hz;
use mrcp::{EventName, Headers, Message, Method};

use crate::mail_programs::{Line, USER, deliver, door, letter, with_mail};
use crate::mail_servers::Dovecot;
use crate::mailboxes::{PATIENCE, QUIET, get, tone};

pub(crate) const HEARD: &str = "retrieval_enabled = true\n";

/// How a SPEAK ended: its completion cause and reason, the cause of the URI that failed, and what was heard.
pub(crate) struct Ended {
    pub(crate) cause: String,
    pub(crate) reason: String,
    pub(crate) uri_cause: String,
    heard: Vec<i16>,
}

impl std::fmt::Debug for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { cause, reason, uri_cause, .. } = self;
        write!(f, "{cause:?} {uri_cause:?} {reason:?}, {} ms heard", self.sounding_ms())
    }
}

impl Ended {
    /// Milliseconds that are not silent.
    pub(crate) fn sounding_ms(&self) -> usize {
        self.heard.iter().filter(|sample| sample.unsigned_abs() > 200).count() / 8
    }
}

pub(crate) struct Caller {
    pub(crate) call: Controlled,
    _phone: Phone,
    _link: Link,
}

pub(crate) async fn caller(subject: &Subject) -> Caller {
    let phone = Phone::open(subject.sip, None).await.unwrap();
    let link = Link::open(subject.mrcp, None).await.unwrap();
    let call = call(subject.sip, &phone, &link, None).await.unwrap();
    Caller { call, _phone: phone, _link: link }
}

impl Caller {
    pub(crate) async fn speak(&mut self, uri: &str, vendor: Option<&str>) -> Ended {
        let mut headers = Headers::new();
        headers.push("Content-Type", "text/uri-list");
        if let Some(vendor) = vendor {
            headers.push("Vendor-Specific-Parameters", vendor);
        }
        let before = self.call.ear.count();
        let response = self.call.ask(Method::Speak, headers, format!("{uri}\r\n").into()).await;
        let said = |headers: &Headers, name| headers.get(name).unwrap_or_default().to_owned();
        let told = |headers: &Headers| {
            (
                said(headers, "completion-cause"),
                said(headers, "completion-reason"),
                said(headers, "failed-uri-cause"),
            )
        };
        if response.state == mrcp::State::Complete {
            let (cause, reason, uri_cause) = told(&response.headers);
            return Ended { cause, reason, uri_cause, heard: Vec::new() };
        }
        let (cause, reason, uri_cause) = told(&self.complete().await);
        let heard = timeline(&self.call.ear.heard()[before..]);
        Ended { cause, reason, uri_cause, heard }
    }

    /// What SPEAK-COMPLETE says, when it comes.
    async fn complete(&mut self) -> Headers {
        loop {
            let next = tokio::time::timeout(PATIENCE, self.call.channel.next()).await;
            let (_, message) = next.expect("an end in time").unwrap();
            if let Message::Event(event) = message
                && event.name == EventName::SpeakComplete
            {
                return event.headers;
            }
        }
    }

    /// The completion cause of what is spoken, when it ends.
    pub(crate) async fn ended(&mut self) -> String {
        self.complete().await.get("completion-cause").unwrap_or_default().to_owned()
    }

    /// Speaks, and waits until a little of it was heard.
    pub(crate) async fn begin(&mut self, headers: Headers, body: Vec<u8>) {
        let before = self.call.ear.count();
        self.call.ask(Method::Speak, headers, body).await;
        let heard = async {
            while self.call.ear.count() < before + 5 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, heard).await.expect("audio");
    }
}

pub(crate) async fn speak(subject: &Subject, uri: &str) -> Ended {
    caller(subject).await.speak(uri, None).await
}

#[track_caller]
pub(crate) fn sounds_like_the_tone(ended: &Ended) {
    assert_eq!(ended.cause, "000 normal", "{} {}", ended.reason, ended.uri_cause);
    let ms = ended.sounding_ms();
    assert!((2_800..3_050).contains(&ms), "{ms} ms of three seconds were heard");
    let middle = &ended.heard[ended.heard.len() / 3..ended.heard.len() / 2];
    let pitch = pitch_hz(middle);
    assert!((pitch - 440.0).abs() < 10.0, "{pitch} Hz");
}

/// The ids of messages in a folder.
pub(crate) fn ids(subject: &Subject, folder: &str) -> Vec<(String, bool)> {
    let listed = get(subject, &format!("/api/v1/mailboxes/{USER}/messages?folder={folder}")).json();
    let row = |row: &serde_json::Value| {
        (row["id"].as_str().unwrap().to_owned(), row["marks"]["read"] == true)
    };
    listed["messages"].as_array().unwrap().iter().map(row).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_came_by_lmtp_is_heard_and_marked_only_when_told() {
    let subject = with_mail(HEARD);
    deliver(&subject, USER, &letter("one"));
    let (id, _) = ids(&subject, "inbox").remove(0);
    let uri = format!("fbmc:{USER}/{id}");
    let mut caller = caller(&subject).await;
    sounds_like_the_tone(&caller.speak(&uri, None).await);
    assert_eq!(ids(&subject, "inbox"), [(id.clone(), false)], "nobody said that it be marked");
    // Stopped in the middle, it was heard: an IMAP client sees it.
    let mut imap = Line::imap(&subject);
    imap.done("SELECT INBOX");
    imap.say(b"i IDLE\r\n");
    imap.until("+ ");
    let mut headers = Headers::new();
    headers.push("Content-Type", "text/uri-list");
    let body = format!("{uri};after=read\r\n").into();
    caller.begin(headers, body).await;
    caller.call.ask(Method::Stop, Headers::new(), Vec::new()).await;
    let told = tokio::task::spawn_blocking(move || imap.hear()).await.unwrap();
    assert_eq!(told, "* 1 FETCH (FLAGS (\\Seen))");
    // To its end, and deleted: as the parameter of the request says.
    let ended = caller.speak(&uri, Some("io.entracte.mail-after=delete")).await;
    sounds_like_the_tone(&ended);
    let gone = async {
        while ids(&subject, "deleted").is_empty() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.expect("it is deleted");
    // What is none says so.
    let wrong = caller.speak(&uri, Some("io.entracte.mail-after=burn")).await;
    assert!(wrong.reason.contains("keep, read or delete"), "{wrong:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_was_heard_to_its_end_is_deleted() {
    let subject = with_mail(HEARD);
    for name in ["one", "two", "three"] {
        deliver(&subject, USER, &letter(name));
    }
    // The youngest is listed first.
    let mut all = ids(&subject, "inbox");
    all.reverse();
    let list = all.iter().map(|(id, _)| format!("fbmc:{USER}/{id};after=delete\r\n"));
    let list: String = list.collect();
    let mut caller = caller(&subject).await;
    let mut headers = Headers::new();
    headers.push("Content-Type", "text/uri-list");
    caller.begin(headers.clone(), list.clone().into()).await;
    caller.call.ask(Method::Stop, Headers::new(), Vec::new()).await;
    let read = |wanted: &'static [bool]| {
        let subject = &subject;
        async move {
            let mut now = Vec::new();
            for _ in 0..200 {
                now = ids(subject, "inbox");
                now.reverse();
                if now.iter().map(|(_, is_read)| *is_read).eq(wanted.iter().copied()) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            panic!("{now:?}, and {wanted:?} was expected");
        }
    };
    read(&[true, false, false]).await;
    // A jump over the first two, each of three seconds, and a bit.
    headers.push("Jump-Size", "+7 Second");
    caller.begin(headers, list.into()).await;
    read(&[true, false]).await;
    // A URI that says it comes before the parameter.
    let uri = format!("fbmc:{USER}/{};after=keep", all[1].0);
    sounds_like_the_tone(&caller.speak(&uri, Some("io.entracte.mail-after=delete")).await);
    // One that is heard and deleted after it shows that it was not.
    let uri = format!("fbmc:{USER}/{};after=delete", all[0].0);
    sounds_like_the_tone(&caller.speak(&uri, None).await);
    read(&[false]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_thing_that_can_be_wrong_with_a_stored_message_has_its_own_cause() {
    let subject = with_mail(HEARD);
    deliver(&subject, USER, &letter("one"));
    let (id, _) = ids(&subject, "inbox").remove(0);
    let nowhere = "01J0000000000000000000000A";
    for (uri, cause) in [
        (format!("fbmc:{USER}"), "malformed"),
        (format!("fbmc:{USER}/nonsense"), "malformed"),
        (format!("fbmc:{USER}/{nowhere}"), "not-found"),
        (format!("fbmc:nobody/{id}"), "not-found"),
        (format!("fbmc:{USER}/{id}/7"), "not-found"),
        (format!("fbmc:{USER}/{id};after=x"), "malformed"),
        ("imap://elsewhere/INBOX/;UID=1".to_owned(), "not-allowed"),
        ("imap://elsewhere/INBOX".to_owned(), "malformed"),
    ] {
        let ended = speak(&subject, &uri).await;
        assert_eq!(
            (&*ended.cause, &*ended.uri_cause),
            ("003 uri-failure", cause),
            "{uri}: {ended:?}"
        );
        assert!(!ended.reason.is_empty(), "{uri}");
    }
    // Only a text, and nobody to speak it.
    deliver(&subject, USER, b"Subject: x\r\n\r\nonly a text\r\n");
    let text = ids(&subject, "inbox").into_iter().map(|(id, _)| id).find(|other| *other != id);
    let ended = speak(&subject, &format!("fbmc:{USER}/{}", text.unwrap())).await;
    assert!(ended.reason.contains("text_to_speech.enabled"), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_that_is_switched_off_is_neither_offered_nor_played() {
    let subject = with_mail("");
    deliver(&subject, USER, &letter("one"));
    let (id, _) = ids(&subject, "inbox").remove(0);
    let ended = speak(&subject, &format!("fbmc:{USER}/{id}")).await;
    assert_eq!((&*ended.cause, &*ended.uri_cause), ("003 uri-failure", "not-allowed"));
    assert!(ended.reason.contains("mail.retrieval_enabled is false"), "{ended:?}");
    let on = with_mail(HEARD);
    for (subject, expected) in [(&subject, false), (&on, true)] {
        let told = get(subject, "/api/v1/capabilities").json();
        assert_eq!(told["mail"], expected, "{told}");
        let offered = options(subject);
        assert_eq!(offered.contains("a=x-feature:mail"), expected, "{offered}");
    }
}

/// What OPTIONS is answered.
fn options(subject: &Subject) -> String {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let (own, sip) = (socket.local_addr().unwrap(), subject.sip);
    let request = format!(
        "OPTIONS sip:{sip} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bK1\r\nMax-Forwards: 70\r\n\
         From: <sip:a@{own}>;tag=1\r\nTo: <sip:{sip}>\r\nCall-ID: 1@{own}\r\nCSeq: 1 OPTIONS\r\n\
         Accept: application/sdp\r\nContent-Length: 0\r\n\r\n"
    );
    socket.send_to(request.as_bytes(), sip).unwrap();
    let mut answer = [0; 4_096];
    let count = socket.recv(&mut answer).unwrap();
    String::from_utf8_lossy(&answer[..count]).into_owned()
}

/// The argon2id hash of a password.
fn hash(password: &str) -> String {
    let mut command = Command::new(conformance::entracte());
    command.arg("hash-password");
    let left = conformance::programs::run_with_input(&mut command, password.as_bytes(), PATIENCE);
    left.out.trim().to_owned()
}

/// A server that plays from our own IMAP server at `port`, as a service.
pub(crate) fn player(port: u16, more: &str) -> (Subject, Folder) {
    player_with(port, "", more)
}

/// The same, with more settings of mail.
pub(crate) fn player_with(port: u16, mail: &str, more: &str) -> (Subject, Folder) {
    let folder = Folder::create();
    let password = folder.write("password", "a service's own\n");
    let subject = Subject::own(&format!(
        "{QUIET}[mail]\n{HEARD}imap_answer_seconds = 2\n{mail}[[mail.servers]]\nname = \"office\"\nhost = \"127.0.0.1\"\n\
         port = {port}\nsecurity = \"none\"\nuser = \"mediaserver\"\nauthorization_id = \"*\"\npassword_file = {password:?}\n{more}"
    ));
    (subject, folder)
}

#[tokio::test(flavor = "multi_thread")]
async fn rfc_5616_a_part_is_authorized_by_its_owner_and_fetched_by_a_media_server() {
    let hash = hash("a service's own");
    let store = with_mail(&format!(
        "[[mail.services]]\nname = \"mediaserver\"\npassword_hash = \"{hash}\"\n"
    ));
    deliver(&store, USER, &letter("one"));
    let port = door(&store, "imap").port();
    let (player, _folder) = player(port, "");
    let mut owner = Line::imap(&store);
    let mut authorize = |expires: &str| {
        let url = format!(
            "imap://anna%40office.example@127.0.0.1:{port}/INBOX/;UID=1/;SECTION=2{expires};URLAUTH=stream"
        );
        let told = owner.done(&format!("GENURLAUTH \"{url}\" INTERNAL"));
        let line = told[0].strip_prefix("* GENURLAUTH \"").unwrap().strip_suffix('"').unwrap();
        assert!(line.starts_with(&format!("{url}:internal:01")), "{line}");
        line.to_owned()
    };
    let url = authorize(";EXPIRE=2999-01-01T00:00:00Z");
    sounds_like_the_tone(&speak(&player, &url).await);
    let late = authorize(";EXPIRE=2020-01-01T00:00:00Z");
    let tampered = url.replace("UID=1", "UID=2");
    for url in [late, tampered] {
        let ended = speak(&player, &url).await;
        assert_eq!(
            (&*ended.cause, &*ended.uri_cause),
            ("003 uri-failure", "url-refused"),
            "{ended:?}"
        );
        assert!(!ended.reason.contains("internal:"), "the token is a secret: {ended:?}");
    }
    // Of a part of which a piece is authorized, no more is told.
    let piece = format!(
        "imap://anna%40office.example@127.0.0.1:{port}/INBOX/;UID=1/;SECTION=2/;PARTIAL=0.10;URLAUTH=authuser"
    );
    let told = owner.done(&format!("GENURLAUTH \"{piece}\" INTERNAL"));
    let piece = told[0].strip_prefix("* GENURLAUTH \"").unwrap().strip_suffix('"').unwrap();
    let told = owner.done(&format!("URLFETCH \"{piece}\""));
    assert!(
        told[0].ends_with("{10}") && told[1].starts_with("UklGR") && told[1].len() == 10,
        "{told:?}"
    );
    let told = owner.done(&format!("URLFETCH (\"{piece}\" BINARY)"));
    assert!(told[0].ends_with(" NIL"), "{told:?}");
    // The user is not a media server, and nobody else is the user.
    let told = owner.done(&format!("URLFETCH \"{url}\""));
    assert!(told[0].ends_with(" NIL"), "{told:?}");
    owner.done("RESETKEY INBOX INTERNAL");
    let ended = speak(&player, &url).await;
    assert_eq!(ended.uri_cause, "url-refused", "all URLs are void after RESETKEY");
    // As the service on the user's behalf, without a URL's authorization.
    let plain = format!("imap://anna%40office.example@127.0.0.1:{port}/INBOX/;UID=1;after=read");
    sounds_like_the_tone(&speak(&player, &plain).await);
    let seen = async {
        while !ids(&store, "inbox").iter().all(|(_, read)| *read) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, seen).await.expect("it is marked as read");
}

/// A message that is one part, in base64.
pub(crate) fn mail(headers: &str, body: &[u8]) -> Vec<u8> {
    let mut text = format!(
        "From: a@b\r\nSubject: x\r\nMIME-Version: 1.0\r\n{headers}Content-Transfer-Encoding: base64\r\n\r\n"
    )
    .into_bytes();
    email::compose::base64_lines(body, &mut text);
    text
}

/// The tone in another form, made by ffmpeg.
pub(crate) fn converted(folder: &Path, name: &str, arguments: &[&str]) -> Vec<u8> {
    let (from, to) = (folder.join("tone.wav"), folder.join(name));
    fs::write(&from, tone()).unwrap();
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg
        .args(["-hide_banner", "-loglevel", "error", "-y", "-i"])
        .arg(&from)
        .args(arguments)
        .arg(&to);
    let left = conformance::programs::run(&mut ffmpeg, PATIENCE);
    assert_eq!(left.status.code(), Some(0), "{name}: {}", left.err);
    fs::read(to).unwrap()
}

/// Messages in every form that people have, each with its name.
fn forms(at: &Path) -> Vec<(&'static str, Vec<u8>)> {
    let wav = |codec: &str| converted(at, &format!("{codec}.wav"), &["-c:a", codec, "-ar", "8000"]);
    let compressed = |form: mailbox::Compression| {
        let samples: Vec<i16> = audio::wav::read(&tone()).unwrap().samples();
        form.file(&samples).unwrap()
    };
    let sound = |kind: &str, bytes: &[u8]| mail(&format!("Content-Type: {kind}\r\n"), bytes);
    vec![
        ("WAV, linear", letter("x")),
        ("WAV, mu-law", sound("audio/wav", &wav("pcm_mulaw"))),
        ("WAV, A-law", sound("audio/x-wav", &wav("pcm_alaw"))),
        ("WAV, IMA ADPCM", sound("audio/x-wav", &wav("adpcm_ima_wav"))),
        ("WAV, MS ADPCM", sound("audio/x-wav", &wav("adpcm_ms"))),
        ("WAV, GSM", sound("audio/x-wav", &compressed(mailbox::Compression::Gsm))),
        ("WAV, TrueSpeech", sound("audio/x-wav", &compressed(mailbox::Compression::TrueSpeech))),
        ("MP3", sound("audio/mpeg", &converted(at, "tone.mp3", &[]))),
        ("Ogg Opus", sound("audio/ogg", &compressed(mailbox::Compression::Opus))),
        ("forwarded", forwarded()),
        ("VPIM", vpim(at)),
        ("quoted-printable", quoted()),
        ("a wrong type, a right name", sound("application/x-download; name=\"m.wav\"", &tone())),
        ("a wrong type of audio", sound("audio/mpeg", &tone())),
        ("no type at all", sound("application/octet-stream", &tone())),
        ("AMR", sound("audio/amr", &amr(at))),
    ]
}

/// A message within a message.
fn forwarded() -> Vec<u8> {
    let outer = "From: a@b\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=O\r\n\r\n\
                 --O\r\nContent-Type: text/plain\r\n\r\nsee below\r\n--O\r\nContent-Type: message/rfc822\r\n\r\n";
    [outer.as_bytes(), &letter("inner"), b"\r\n--O--\r\n"].concat()
}

/// RFC 3801: a spoken name, and then the message, in G.726.
fn vpim(at: &Path) -> Vec<u8> {
    let part = |what: &str| {
        format!(
            "--V\r\nContent-Type: audio/32KADPCM\r\nContent-Transfer-Encoding: base64\r\n\
             Content-Disposition: inline; voice={what}\r\n\r\n"
        )
    };
    let mut text = format!(
        "From: a@b\r\nMIME-Version: 1.0\r\nContent-Type: multipart/voice-message; version=2.0; boundary=V\r\n\r\n\
         {}AAAA\r\n{}",
        part("Originator-Spoken-Name"),
        part("Voice-Message")
    )
    .into_bytes();
    let coding = ["-c:a", "g726le", "-code_size", "4", "-ar", "8000", "-f", "g726le"];
    email::compose::base64_lines(&converted(at, "tone.g726", &coding), &mut text);
    text.extend_from_slice(b"--V--\r\n");
    text
}

fn quoted() -> Vec<u8> {
    let escapes: String = tone().iter().map(|byte| format!("={byte:02X}")).collect();
    let lines = escapes.as_bytes().chunks(72);
    let body: String =
        lines.map(|line| format!("{}=\r\n", String::from_utf8_lossy(line))).collect();
    format!(
        "From: a@b\r\nMIME-Version: 1.0\r\nContent-Type: audio/x-wav\r\n\
         Content-Transfer-Encoding: quoted-printable\r\n\r\n{body}"
    )
    .into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_every_form_are_heard_from_dovecot() {
    let dovecot = Dovecot::start();
    let folder = Folder::create();
    let forms = forms(folder.path());
    for (_, message) in &forms {
        dovecot.append(message);
    }
    // The master user of Dovecot acts for anna.
    let (player, _folder) = player(dovecot.imap, "");
    // All at once: each takes three seconds.
    let mut heard = Vec::new();
    for (uid, (name, _)) in (1..).zip(&forms) {
        let mut caller = caller(&player).await;
        let uri = format!("imap://anna@127.0.0.1:{}/INBOX/;UID={uid}", dovecot.imap);
        heard.push((*name, tokio::spawn(async move { caller.speak(&uri, None).await })));
    }
    for (name, ended) in heard {
        let ended = ended.await.unwrap();
        assert_eq!(ended.cause, "000 normal", "{name}: {} {}", ended.reason, ended.uri_cause);
        let ms = ended.sounding_ms();
        assert!((2_700..3_200).contains(&ms), "{name}: {ms} ms of three seconds");
        let middle = &ended.heard[ended.heard.len() / 3..ended.heard.len() / 2];
        let pitch = pitch_hz(middle);
        assert!((pitch - 440.0).abs() < 20.0, "{name}: {pitch} Hz");
    }
    // Nothing was marked by that; and then one is, and one is deleted.
    let mut line = dovecot.line();
    line.done("SELECT INBOX");
    let unseen = line.done("SEARCH UNSEEN");
    let mut caller = caller(&player).await;
    assert_eq!(unseen[0].split(' ').count(), 2 + forms.len(), "{unseen:?}");
    caller
        .speak(&format!("imap://anna@127.0.0.1:{}/INBOX/;UID=1;after=read", dovecot.imap), None)
        .await;
    caller
        .speak(&format!("imap://anna@127.0.0.1:{}/INBOX/;UID=2;after=delete", dovecot.imap), None)
        .await;
    let settled = async {
        loop {
            line.done("NOOP");
            let all = line.done("UID SEARCH ALL");
            let seen = line.done("UID SEARCH SEEN");
            if !all[0].contains(" 2 ") && seen[0] == "* SEARCH 1" {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, settled).await.expect("one is read, one is gone");
}

/// How long after SPEAK the first sound of a message arrives.
async fn first_sound(caller: &mut Caller, uri: String) -> Duration {
    let mut headers = Headers::new();
    headers.push("Content-Type", "text/uri-list");
    let before = caller.call.ear.count();
    let asked = entracte::clock::instant();
    caller.call.ask(Method::Speak, headers, format!("{uri}\r\n").into()).await;
    let sounds = async {
        loop {
            let heard = caller.call.ear.heard();
            let mut packets = heard.iter().skip(before);
            let first =
                packets.find(|packet| packet.samples.iter().any(|s| s.unsigned_abs() > 100));
            if let Some(first) = first {
                return first.at.saturating_duration_since(asked);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let after = tokio::time::timeout(PATIENCE, sounds).await.expect("a sound");
    caller.call.ask(Method::Stop, Headers::new(), Vec::new()).await;
    after
}

/// A small form always runs; `ENTRACTE_CALLS=100` measures.
#[tokio::test(flavor = "multi_thread")]
async fn many_calls_at_once_hear_a_message_from_the_store_and_from_dovecot() {
    let calls = std::env::var("ENTRACTE_CALLS").ok().and_then(|n| n.parse().ok()).unwrap_or(4);
    let dovecot = Dovecot::start();
    let secrets = Folder::create();
    let secret = secrets.write("password", "a service's own\n");
    let subject = with_mail(&format!(
        "{HEARD}[[mail.servers]]\nname = \"office\"\nhost = \"127.0.0.1\"\nport = {}\nsecurity = \"none\"\n\
         user = \"mediaserver\"\nauthorization_id = \"*\"\npassword_file = {:?}\n\
         [general.mrcp]\nmax_sessions = 200\n",
        dovecot.imap,
        secret.display().to_string(),
    ));
    deliver(&subject, USER, &letter("one"));
    dovecot.append(&letter("one"));
    let (id, _) = ids(&subject, "inbox").remove(0);
    let from_store = format!("fbmc:{USER}/{id}");
    let from_dovecot = format!("imap://anna@127.0.0.1:{}/INBOX/;UID=1", dovecot.imap);
    let mut callers = Vec::new();
    for _ in 0..calls {
        callers.push(caller(&subject).await);
    }
    for count in [1, calls] {
        for (place, uri) in [("the store", &from_store), ("Dovecot", &from_dovecot)] {
            let mut all = Vec::new();
            // One alone is asked as often as many are.
            for _ in 0..calls / count {
                let asked: Vec<_> = callers
                    .drain(..count)
                    .map(|mut caller| {
                        let uri = uri.clone();
                        tokio::spawn(async move {
                            let after = first_sound(&mut caller, uri).await;
                            (caller, after)
                        })
                    })
                    .collect();
                for one in asked {
                    let (caller, after) = one.await.unwrap();
                    all.push(after);
                    callers.push(caller);
                }
            }
            all.sort_unstable();
            let of = |share: usize| all[(all.len() * share / 100).min(all.len() - 1)];
            println!("{count} at once from {place}: p50 {:.1?}, p99 {:.1?}", of(50), of(99));
        }
    }
}

/// The tone in AMR; FFmpeg reads it, and has nothing that writes it.
fn amr(folder: &Path) -> Vec<u8> {
    let (from, to) = (folder.join("tone.wav"), folder.join("tone.amr"));
    fs::write(&from, tone()).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real/programs/amr.py");
    let mut python = Command::new("python3");
    python.arg(script).arg(&from).arg(&to);
    let left = conformance::programs::run(&mut python, PATIENCE);
    assert!(left.status.success(), "{}", left.err);
    fs::read(to).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_stays_as_it_came_while_files_are_kept() {
    for keep in [false, true] {
        let folder = Folder::create();
        let place = folder.path().display().to_string();
        let subject = with_mail(&format!(
            "{HEARD}[general]\ntemporary_directory = {place:?}\nkeep_temporary_files = {keep}\n"
        ));
        deliver(&subject, USER, &letter("one"));
        let (id, _) = ids(&subject, "inbox").remove(0);
        sounds_like_the_tone(&speak(&subject, &format!("fbmc:{USER}/{id}")).await);
        drop(subject);
        let files = fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().path());
        let files: Vec<_> = files.collect();
        if !keep {
            assert!(files.is_empty(), "{files:?}");
            continue;
        }
        assert_eq!(files.len(), 1, "{files:?}");
        let name = files[0].display().to_string();
        assert!(name.contains("/entracte-kept-") && name.ends_with("-message.wav"), "{name}");
        assert_eq!(fs::read(&files[0]).unwrap(), tone());
    }
}

//! Mail servers that fail in every way that is known, by a proxy before Dovecot; and how connections to them are shared and kept.

#![expect(clippy::indexing_slicing, reason = "whatever an answer lacks shall fail the test")]

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use conformance::{Folder, Subject};

use crate::mail_in_calls::{
    HEARD, caller, converted, mail, player, player_with, sounds_like_the_tone, speak,
};
use crate::mail_programs::letter;
use crate::mail_servers::Dovecot;
use crate::mailboxes::{PATIENCE, QUIET, get};

/// What a proxy does with what the server says.
#[derive(Clone, Copy, Debug)]
enum Trick {
    /// Nothing.
    Honest,
    /// It closes when the audio is on its way.
    CutInFetch,
    /// It says nothing more once somebody logged in.
    Silent,
    /// It says that the part is longer than it is.
    LongerThanItIs,
    /// It closes at once.
    Closed,
    /// It speaks something else.
    Nonsense,
    /// Of the audio one piece comes, and then nothing.
    OnePiece,
}

/// A proxy before a server, which plays tricks; and how many connected.
fn proxy(server: u16, trick: Trick) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let Ok(mut client) = client else { return };
            counted.fetch_add(1, Ordering::SeqCst);
            match trick {
                Trick::Closed => continue,
                Trick::Nonsense => {
                    let _ = client.write_all(b"220 smtp.example ESMTP\r\n");
                    continue;
                }
                Trick::Honest
                | Trick::CutInFetch
                | Trick::Silent
                | Trick::LongerThanItIs
                | Trick::OnePiece => {}
            }
            let server = TcpStream::connect(("127.0.0.1", server)).unwrap();
            let (mut up_from, mut up_to) =
                (client.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut up_from, &mut up_to);
                let _ = up_to.shutdown(std::net::Shutdown::Write);
            });
            std::thread::spawn(move || down(server, client, trick));
        }
    });
    (port, count)
}

/// Says nothing more for as long as the client stays: when that has left, the server closes.
fn until_it_leaves(server: &mut TcpStream) {
    let mut buffer = [0; 4_096];
    while server.read(&mut buffer).unwrap_or(0) > 0 {}
}

fn down(mut server: TcpStream, mut client: TcpStream, trick: Trick) {
    let mut buffer = [0; 4_096];
    let mut said = 0;
    loop {
        let count = server.read(&mut buffer).unwrap_or(0);
        if count == 0 {
            let _ = client.shutdown(std::net::Shutdown::Both);
            return;
        }
        said += count;
        let text = String::from_utf8_lossy(&buffer[..count]).into_owned();
        let is_audio = text.contains("BODY[2]<");
        match trick {
            Trick::CutInFetch if is_audio => {
                let _ = client.write_all(&buffer[..count / 2]);
                let _ = client.shutdown(std::net::Shutdown::Both);
                return;
            }
            Trick::OnePiece if text.contains("BODY[2]<32768>") => {
                until_it_leaves(&mut server);
                return;
            }
            Trick::Silent if text.contains("UIDVALIDITY") => {
                until_it_leaves(&mut server);
                return;
            }
            // The same number of digits, so that nothing else changes.
            Trick::LongerThanItIs if text.contains("BODYSTRUCTURE") => {
                let (before, after) = text.split_once("\"base64\" ").unwrap();
                let rest = after.trim_start_matches(|digit: char| digit.is_ascii_digit());
                let digits = after.len() - rest.len();
                let lie = format!("{before}\"base64\" {}{rest}", "9".repeat(digits));
                assert_ne!(lie, text, "the part has that size");
                let _ = client.write_all(lie.as_bytes());
            }
            Trick::Honest
            | Trick::CutInFetch
            | Trick::Silent
            | Trick::LongerThanItIs
            | Trick::OnePiece => {
                if client.write_all(&buffer[..count]).is_err() {
                    return;
                }
            }
            Trick::Closed | Trick::Nonsense => return,
        }
        assert!(said < 100 << 20, "no end");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn complaint_40_each_way_in_which_a_mail_server_fails_has_its_own_cause_and_none_hangs() {
    let dovecot = Dovecot::start();
    dovecot.append(&letter("one"));
    let folder = Folder::create();
    let mp3 = converted(folder.path(), "tone.mp3", &[]);
    dovecot.append(&mail("Content-Type: audio/mpeg\r\n", &mp3));
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for (trick, cause) in [
        (Some(Trick::Honest), ""),
        (Some(Trick::CutInFetch), "closed"),
        (Some(Trick::Silent), "timeout"),
        (Some(Trick::LongerThanItIs), "wrong-size"),
        (Some(Trick::Closed), "closed"),
        (Some(Trick::Nonsense), "not-imap"),
        (None, "unreachable"),
    ] {
        let port = trick.map_or(closed, |trick| proxy(dovecot.imap, trick).0);
        let (player, _folder) = player(port, "");
        // A WAV file has its own length in it, and is whole when that is there; an MP3 file ends where it ends.
        let uid = if matches!(trick, Some(Trick::LongerThanItIs)) { 2 } else { 1 };
        let uri = format!("imap://anna@127.0.0.1:{port}/INBOX/;UID={uid}");
        let begun = entracte::clock::instant();
        let ended = speak(&player, &uri).await;
        assert_eq!(ended.uri_cause, cause, "{trick:?}: {ended:?}");
        assert!(begun.elapsed() < Duration::from_secs(9), "{trick:?} took {:?}", begun.elapsed());
        if cause.is_empty() {
            sounds_like_the_tone(&ended);
            continue;
        }
        assert_eq!(ended.cause, "003 uri-failure", "{trick:?}: {ended:?}");
        // What came before the fault was heard.
        if cause == "wrong-size" {
            assert!(ended.sounding_ms() > 2_700, "{ended:?}");
        }
        // It is on record, and the calls of others live on.
        let told = get(&player, "/api/v1/mail/servers").json();
        let last = told[0]["last_fault"]["why"].as_str().unwrap_or_default();
        assert!(!last.is_empty() || cause == "wrong-size", "{trick:?}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_is_heard_before_the_rest_is_here() {
    let dovecot = Dovecot::start();
    dovecot.append(&letter("one"));
    let (port, _) = proxy(dovecot.imap, Trick::OnePiece);
    let (player, _folder) = player(port, "");
    let ended = speak(&player, &format!("imap://anna@127.0.0.1:{port}/INBOX/;UID=1")).await;
    assert_eq!((&*ended.cause, &*ended.uri_cause), ("003 uri-failure", "timeout"), "{ended:?}");
    // 32 kB of base64 are 1.5 s of this message, which has three; the rest never came.
    assert!((1_000..1_700).contains(&ended.sounding_ms()), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_calls_share_eight_connections_of_one_account() {
    let dovecot = Dovecot::start();
    dovecot.append(&letter("one"));
    let (port, count) = proxy(dovecot.imap, Trick::Honest);
    let (player, _folder) = player(port, "");
    let uri = format!("imap://anna@127.0.0.1:{port}/INBOX/;UID=1");
    let mut callers = Vec::new();
    for _ in 0..12 {
        callers.push(caller(&player).await);
    }
    let spoken: Vec<_> = callers
        .into_iter()
        .map(|mut caller| {
            let uri = uri.clone();
            tokio::spawn(async move { caller.speak(&uri, None).await })
        })
        .collect();
    for ended in spoken {
        sounds_like_the_tone(&ended.await.unwrap());
    }
    let connected = count.load(Ordering::SeqCst);
    assert!((2..=8).contains(&connected), "{connected}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_gone_or_refused_at_a_mail_server_says_so() {
    let dovecot = Dovecot::start();
    dovecot.append(&letter("one"));
    dovecot.append(b"Subject: x\r\nContent-Type: image/png\r\n\r\nx\r\n");
    let port = dovecot.imap;
    let (player, _folder) = player(port, "");
    let mut caller = caller(&player).await;
    for (uri, cause) in [
        (format!("imap://anna@127.0.0.1:{port}/INBOX/;UID=99"), "not-found"),
        (format!("imap://anna@127.0.0.1:{port}/Nowhere/;UID=1"), "not-found"),
        (format!("imap://anna@127.0.0.1:{port}/INBOX/;UID=1/;SECTION=7"), "not-found"),
        (format!("imap://anna@127.0.0.1:{port}/INBOX;UIDVALIDITY=1/;UID=1"), "uidvalidity-changed"),
        (format!("imap://anna@127.0.0.1:{port}/INBOX/;UID=2"), "no-audio"),
        (format!("imap://127.0.0.1:{port}/INBOX/;UID=1"), "malformed"),
    ] {
        let ended = caller.speak(&uri, None).await;
        assert_eq!(
            (&*ended.cause, &*ended.uri_cause),
            ("003 uri-failure", cause),
            "{uri}: {ended:?}"
        );
    }
    sounds_like_the_tone(&caller.speak("imap://anna@office/INBOX/;UID=1/;SECTION=2", None).await);
    let folder = Folder::create();
    let wrong = folder.write("password", "not the password\n");
    let refused = Subject::own(&format!(
        "{QUIET}[mail]\n{HEARD}[[mail.servers]]\nname = \"office\"\nhost = \"127.0.0.1\"\nport = {port}\n\
         security = \"none\"\nuser = \"anna\"\npassword_file = {wrong:?}\n"
    ));
    let uri = format!("imap://127.0.0.1:{port}/INBOX/;UID=1");
    let ended = speak(&refused, &uri).await;
    assert_eq!(ended.uri_cause, "login-refused", "{ended:?}");
    // It is left alone for a moment then: a wrong password tried again and again locks accounts.
    let ended = speak(&refused, &uri).await;
    assert_eq!(ended.uri_cause, "backed-off", "{ended:?}");
    let right = folder.write("right", "secret\n");
    let own = Subject::own(&format!(
        "{QUIET}[mail]\n{HEARD}[[mail.servers]]\nname = \"office\"\nhost = \"127.0.0.1\"\nport = {port}\n\
         security = \"none\"\nuser = \"anna\"\npassword_file = {right:?}\n"
    ));
    sounds_like_the_tone(&speak(&own, &uri).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_stands_idle_is_closed_after_its_time_or_never() {
    let dovecot = Dovecot::start();
    dovecot.append(&letter("one"));
    let idle =
        |player: &Subject| get(player, "/api/v1/mail/servers").json()[0]["idle"].as_u64().unwrap();
    let heard = async |seconds: i32| {
        let (port, count) = proxy(dovecot.imap, Trick::Honest);
        let (player, folder) =
            player_with(port, &format!("imap_timeout_seconds = {seconds}\n"), "");
        let uri = format!("imap://anna@127.0.0.1:{port}/INBOX/;UID=1");
        sounds_like_the_tone(&speak(&player, &uri).await);
        (player, uri, count, folder)
    };
    let never = heard(-1).await;
    let soon = heard(1).await;
    let closed = async {
        while idle(&soon.0) > 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, closed).await.expect("it is closed");
    // The other one stood longer.
    assert_eq!(idle(&never.0), 1);
    for ((player, uri, count, _folder), connections) in [(soon, 2), (never, 1)] {
        sounds_like_the_tone(&speak(&player, &uri).await);
        assert_eq!(count.load(Ordering::SeqCst), connections, "{uri}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn complaint_41_counts_that_are_not_known_are_not_told_as_none() {
    let dovecot = Dovecot::start();
    dovecot.append(&letter("one"));
    let (port, count) = proxy(dovecot.imap, Trick::Honest);
    let (player, _folder) = player(port, "");
    let path = "/api/v1/mail/servers/office/counts?user=anna";
    let told = get(&player, path).json();
    assert_eq!((&told["messages"], &told["unseen"]), (&1.into(), &1.into()), "{told}");
    assert!(count.load(Ordering::SeqCst) >= 1);
    drop(dovecot);
    let told = get(&player, path);
    assert_eq!(told.status, 503, "{}", told.text());
    let told = told.json();
    assert_eq!(told["known"]["messages"], 1, "what was known last is kept: {told}");
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (never, _other) = self::player(closed, "");
    let told = get(&never, path);
    assert_eq!(
        (told.status, &told.json()["known"]),
        (503, &serde_json::Value::Null),
        "never is not none"
    );
}

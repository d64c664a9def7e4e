//! The message store reached by mail programs: Python's own modules, curl, mbsync, and what desktop programs do.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use conformance::{Folder, Subject, entracte, programs};
use serde_json::json;

use crate::mailboxes::{PATIENCE, QUIET, done, tone};

pub(crate) const USER: &str = "anna@office.example";
const PASSWORD: &str = "a secret of anna's";

/// A server with its doors for mail programs open, and one user with a password.
pub(crate) fn with_mail(more: &str) -> Subject {
    with_user(&format!("{more}{QUIET}"))
}

/// The same, where texts are spoken.
pub(crate) fn with_speech(more: &str) -> Subject {
    with_user(more)
}

fn with_user(more: &str) -> Subject {
    let subject = Subject::with_tables(&format!(
        "[mail]\nlmtp_listen = [\"127.0.0.1:0\"]\nimap_listen = [\"127.0.0.1:0\"]\n\
         imaps_listen = [\"127.0.0.1:0\"]\n{more}"
    ));
    done(&subject, &["create", &format!("FBMC: Anna : {USER}")]);
    password(&subject, USER, PASSWORD);
    subject
}

pub(crate) fn password(subject: &Subject, user: &str, password: &str) {
    let mut set = Command::new(entracte());
    set.args(["mailbox", "password", user, "--config"]).arg(subject.config().unwrap());
    let left = programs::run_with_input(&mut set, format!("{password}\n").as_bytes(), PATIENCE);
    assert_eq!(left.status.code(), Some(0), "{}", left.err);
}

/// Where a protocol is spoken.
pub(crate) fn door(subject: &Subject, protocol: &str) -> SocketAddr {
    let ready = subject.ready().unwrap();
    let found =
        ready.split(',').find_map(|door| door.trim().strip_prefix(&format!("{protocol}/tcp ")));
    found.expect("the door is open").trim().parse().unwrap()
}

/// A message with three seconds of a tone.
pub(crate) fn letter(subject: &str) -> Vec<u8> {
    let mut text = format!(
        "From: Caller <4711@pbx.example>\r\nTo: {USER}\r\nSubject: {subject}\r\n\
         Message-Context: voice-message\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/mixed; boundary=\"B\"\r\n\r\n--B\r\n\
         Content-Type: text/plain\r\n\r\nplease call\r\n--B\r\nContent-Type: audio/x-wav; name=m.wav\r\n\
         Content-Transfer-Encoding: base64\r\n\r\n"
    )
    .into_bytes();
    email::compose::base64_lines(&tone(), &mut text);
    text.extend_from_slice(b"--B--\r\n");
    text
}

/// A connection on which lines are said and answered.
pub(crate) struct Line {
    reader: BufReader<TcpStream>,
    tag: u32,
}

impl Line {
    pub(crate) fn to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { reader: BufReader::new(stream), tag: 0 }
    }

    pub(crate) fn say(&mut self, text: &[u8]) {
        self.reader.get_mut().write_all(text).unwrap();
    }

    pub(crate) fn hear(&mut self) -> String {
        let mut line = String::new();
        self.reader.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Lines up to the one that begins so.
    pub(crate) fn until(&mut self, begin: &str) -> Vec<String> {
        let mut all = Vec::new();
        loop {
            let line = self.hear();
            assert!(!line.is_empty(), "closed while {begin} was waited for: {all:?}");
            all.push(line);
            if all.last().is_some_and(|line| line.starts_with(begin)) {
                return all;
            }
        }
    }

    /// An IMAP command, and all that is answered to it.
    pub(crate) fn ask(&mut self, command: &str) -> Vec<String> {
        self.tag += 1;
        let tag = format!("t{}", self.tag);
        self.say(format!("{tag} {command}\r\n").as_bytes());
        self.until(&format!("{tag} "))
    }

    /// As [`Self::ask`], of a command that must be done.
    pub(crate) fn done(&mut self, command: &str) -> Vec<String> {
        let answers = self.ask(command);
        let last = answers.last().unwrap();
        assert!(last.split(' ').nth(1) == Some("OK"), "{command}: {answers:?}");
        answers
    }

    /// A connection that is logged in.
    pub(crate) fn imap(subject: &Subject) -> Self {
        let mut line = Self::to(door(subject, "imap"));
        assert!(line.hear().starts_with("* OK [CAPABILITY IMAP4rev2"));
        line.done(&format!("LOGIN {USER} \"{PASSWORD}\""));
        line
    }
}

/// Delivers a message by LMTP; what is answered for it.
pub(crate) fn deliver(subject: &Subject, to: &str, message: &[u8]) -> String {
    let mut line = Line::to(door(subject, "lmtp"));
    line.until("220 ");
    line.say(
        format!("LHLO test\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<{to}>\r\nDATA\r\n").as_bytes(),
    );
    line.until("250 SIZE");
    assert!(line.hear().starts_with("250 ") && line.hear().starts_with("250 "));
    assert!(line.hear().starts_with("354 "));
    let mut text = message.to_vec();
    text.extend_from_slice(b".\r\nQUIT\r\n");
    line.say(&text);
    line.hear()
}

#[test]
fn pythons_own_modules_deliver_read_and_change_messages() {
    let subject = with_mail("");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real/programs/session.py");
    let port = |protocol| door(&subject, protocol).port().to_string();
    let mut python = Command::new("python3");
    python.arg(script).args([&port("lmtp"), &port("imap"), USER, PASSWORD]);
    let left = programs::run(&mut python, Duration::from_secs(60));
    assert!(left.out.ends_with("all is well\n"), "{}{}", left.out, left.err);
}

#[test]
fn curl_reads_over_tls_from_the_first_byte_and_after_starttls() {
    let subject = with_mail("");
    assert!(deliver(&subject, USER, &letter("one")).starts_with("250 2.1.5"));
    let state = subject.config().unwrap().parent().unwrap().to_owned();
    let certificate = state.join("http/certificate.pem");
    for (scheme, protocol, more) in [("imaps", "imaps", None), ("imap", "imap", Some("--ssl-reqd"))]
    {
        let port = door(&subject, protocol).port();
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--user", &format!("{USER}:{PASSWORD}")])
            .arg("--cacert")
            .arg(&certificate)
            .args(more)
            .arg(format!("{scheme}://127.0.0.1:{port}/INBOX;MAILINDEX=1;SECTION=1"));
        let left = programs::run(&mut curl, PATIENCE);
        assert_eq!(left.status.code(), Some(0), "{}", left.err);
        assert!(left.out.starts_with("please call"), "{}", left.out);
    }
    // Without TLS, nobody on another host would be let in; here it is this host.
    let mut line = Line::to(door(&subject, "imap"));
    assert!(line.hear().contains(" STARTTLS AUTH=PLAIN"));
}

fn mbsync(config: &Path) {
    let mut sync = Command::new("mbsync");
    sync.arg("-c").arg(config).arg("-a").env("HOME", config.parent().unwrap());
    let left = programs::run(&mut sync, Duration::from_secs(60));
    assert_eq!(left.status.code(), Some(0), "{}{}", left.out, left.err);
}

fn names(folder: &Path) -> Vec<String> {
    let entries =
        ["new", "cur"].into_iter().flat_map(|kind| std::fs::read_dir(folder.join(kind)).unwrap());
    let mut names: Vec<_> = entries.map(|e| e.unwrap().path().display().to_string()).collect();
    names.sort();
    names
}

#[test]
fn mbsync_keeps_a_maildir_and_a_mailbox_alike_in_both_directions() {
    let subject = with_mail("");
    for n in 0..5 {
        deliver(&subject, USER, &letter(&format!("number {n}")));
    }
    let home = Folder::create();
    let mail = home.path().join("mail");
    std::fs::create_dir(&mail).unwrap();
    let port = door(&subject, "imap").port();
    let shown = mail.display();
    let config = home.write(
        "mbsyncrc",
        format!(
            "IMAPAccount a\nHost 127.0.0.1\nPort {port}\nUser {USER}\nPass \"{PASSWORD}\"\nSSLType None\nAuthMechs PLAIN\n\n\
             IMAPStore far\nAccount a\n\nMaildirStore near\nPath {shown}/\nInbox {shown}/INBOX\nSubFolders Verbatim\n\n\
             Channel c\nFar :far:\nNear :near:\nPatterns INBOX Saved Sent\nCreate Near\nExpunge Both\nSyncState *\n"
        ),
    );
    mbsync(&config);
    let inbox = mail.join("INBOX");
    assert_eq!(names(&inbox).len(), 5);
    // Here one is marked and one is deleted; there one is flagged, one moved, and one more comes.
    let all = names(&inbox);
    let marked = |path: &str, flags: &str| {
        let name = Path::new(path).file_name().unwrap().to_string_lossy().into_owned();
        let base = name.split(":2,").next().unwrap().to_owned();
        std::fs::rename(path, inbox.join("cur").join(format!("{base}:2,{flags}"))).unwrap();
    };
    marked(&all[0], "S");
    marked(&all[1], "ST");
    let mut there = Line::imap(&subject);
    there.done("SELECT INBOX");
    there.done("STORE 4 +FLAGS (\\Flagged)");
    there.done("MOVE 5 Saved");
    deliver(&subject, USER, &letter("the sixth"));
    mbsync(&config);
    let all = names(&inbox);
    assert_eq!(all.len(), 4, "{all:?}");
    assert_eq!(all.iter().filter(|name| name.ends_with(":2,F")).count(), 1, "{all:?}");
    assert_eq!(names(&mail.join("Saved")).len(), 1);
    let told = there.done("FETCH 1:* (FLAGS)");
    let seen = told.iter().filter(|line| line.contains("FETCH") && line.contains("\\Seen")).count();
    assert_eq!(seen, 1, "{told:?}");
    // With nothing changed, nothing is done.
    let before = names(&inbox);
    mbsync(&config);
    assert_eq!(names(&inbox), before);
}

#[test]
fn a_desktop_program_hears_of_changes_on_each_of_its_connections() {
    let subject = with_mail("");
    deliver(&subject, USER, &letter("one"));
    // One connection waits in each folder, as desktop programs have them, and another works.
    let mut waiting: Vec<_> = ["INBOX", "Saved", "Deleted"]
        .into_iter()
        .map(|folder| {
            let mut line = Line::imap(&subject);
            line.done(&format!("SELECT {folder} (CONDSTORE)"));
            line.say(b"i IDLE\r\n");
            line.until("+ ");
            line
        })
        .collect();
    let mut working = Line::imap(&subject);
    working.done("SELECT INBOX");
    deliver(&subject, USER, &letter("two"));
    assert_eq!(waiting[0].until("* 2 EXISTS").len(), 1);
    working.done("NOOP");
    working.done("STORE 1 +FLAGS (\\Seen $Forwarded)");
    let told = waiting[0].hear();
    assert!(told.starts_with("* 1 FETCH (FLAGS (\\Seen $Forwarded) MODSEQ ("), "{told}");
    working.done("MOVE 1 Saved");
    assert_eq!(waiting[0].hear(), "* 1 EXPUNGE");
    assert_eq!(waiting[1].hear(), "* 1 EXISTS");
    // By telephone or page, too.
    let listed =
        crate::mailboxes::get(&subject, &format!("/api/v1/mailboxes/{USER}/messages?folder=inbox"));
    let id = listed.json()["messages"][0]["id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/mailboxes/{USER}/messages/{id}");
    assert_eq!(crate::mailboxes::ask(&subject, "DELETE", &path, "", b"").status, 200);
    assert_eq!(waiting[0].hear(), "* 1 EXPUNGE");
    assert_eq!(waiting[2].hear(), "* 1 EXISTS");
    for line in &mut waiting {
        line.say(b"DONE\r\n");
        line.until("i OK");
    }
}

#[test]
fn what_another_connection_moved_away_is_not_reached_by_its_old_number() {
    let subject = with_mail("");
    for name in ["one", "two"] {
        deliver(&subject, USER, &letter(name));
    }
    let mut first = Line::imap(&subject);
    let mut second = Line::imap(&subject);
    first.done("SELECT INBOX");
    second.done("SELECT INBOX");
    first.done("STORE 1 +FLAGS (\\Deleted)");
    // Somebody keeps it, just before the first expunges what it saw.
    second.done("UID MOVE 1 Saved");
    first.done("EXPUNGE");
    // And marks what is elsewhere by now.
    second.done("UID MOVE 2 Saved");
    first.ask("UID STORE 2 +FLAGS (\\Deleted)");
    second.done("SELECT Saved");
    let told = second.done("FETCH 1:* (FLAGS)");
    assert_eq!(told[..2], ["* 1 FETCH (FLAGS (\\Deleted))", "* 2 FETCH (FLAGS ())"], "{told:?}");
}

#[test]
fn section_2_3_1_1_a_session_ends_when_the_numbers_of_its_folder_are_void() {
    let subject = with_mail("");
    deliver(&subject, USER, &letter("one"));
    let mut line = Line::imap(&subject);
    line.done("SELECT INBOX");
    // Numbers are of the second in which a mailbox got its first message.
    std::thread::sleep(Duration::from_millis(1_100));
    done(&subject, &["delete", USER]);
    done(&subject, &["purge", USER, "--yes"]);
    done(&subject, &["create", &format!("FBMC: Anna : {USER}")]);
    deliver(&subject, USER, &letter("another"));
    line.say(b"n NOOP\r\n");
    line.until("* BYE the folder was made anew");
}

#[test]
fn section_7_5_1_a_client_that_may_be_sending_numbers_is_not_told_that_they_change() {
    let subject = with_mail("");
    for n in 0..3 {
        deliver(&subject, USER, &letter(&format!("number {n}")));
    }
    let (mut one, mut other) = (Line::imap(&subject), Line::imap(&subject));
    one.done("SELECT INBOX");
    other.done("SELECT INBOX");
    one.done("STORE 1 +FLAGS.SILENT (\\Deleted)");
    one.done("EXPUNGE");
    let told = other.done("FETCH 3 (UID)");
    assert!(told.contains(&"* 3 FETCH (UID 3)".to_owned()), "{told:?}");
    assert!(!told.iter().any(|line| line.contains("EXPUNGE")), "{told:?}");
    let gone = other.ask("FETCH 1 (BODY.PEEK[])");
    assert!(gone.last().unwrap().contains("[EXPUNGEISSUED]"), "{gone:?}");
    let told = other.done("NOOP");
    assert_eq!(told[0], "* 1 EXPUNGE");
    assert!(other.done("FETCH 2 (UID)").contains(&"* 2 FETCH (UID 3)".to_owned()));
    let beyond = other.ask("FETCH 3 (UID)");
    assert!(beyond.last().unwrap().contains(" BAD "), "{beyond:?}");
}

#[test]
fn rfc_7162_changes_are_told_by_their_state_and_refused_by_it() {
    let subject = with_mail("");
    for n in 0..3 {
        deliver(&subject, USER, &letter(&format!("number {n}")));
    }
    let mut line = Line::imap(&subject);
    let told = line.done("SELECT INBOX (CONDSTORE)");
    let before = told.iter().find_map(|line| line.split("HIGHESTMODSEQ ").nth(1)).unwrap();
    let before: u64 = before.split(']').next().unwrap().parse().unwrap();
    line.done("STORE 2 +FLAGS.SILENT (\\Flagged)");
    let told = line.done(&format!("FETCH 1:* (FLAGS) (CHANGEDSINCE {before})"));
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].starts_with("* 2 FETCH (FLAGS (\\Flagged) MODSEQ ("), "{told:?}");
    let told = line.done(&format!("STORE 1:3 (UNCHANGEDSINCE {before}) +FLAGS.SILENT (\\Seen)"));
    assert!(told.last().unwrap().contains("[MODIFIED 2]"), "{told:?}");
    let told = line.done("SEARCH RETURN (ALL) SEEN");
    assert!(told[0].ends_with(" ALL 1,3"), "{told:?}");
    let told = line.done(&format!("UID SEARCH MODSEQ {}", before + 1));
    assert!(told[0].starts_with("* SEARCH 1 2 3 (MODSEQ "), "{told:?}");
}

#[test]
fn what_rev2_clients_ask_at_once_is_told_at_once() {
    let subject = with_mail("");
    for name in ["one", "two", "three"] {
        deliver(&subject, USER, &letter(name));
    }
    let mut line = Line::imap(&subject);
    // RFC 9051 §6.3.10.
    assert_eq!(line.done("NAMESPACE")[0], "* NAMESPACE ((\"\" \"/\")) NIL NIL");
    // RFC 9051 §6.3.9.2: a STATUS after each LIST.
    let told = line.done("LIST \"\" \"*\" RETURN (SPECIAL-USE STATUS (MESSAGES UNSEEN))");
    assert_eq!(told.len(), 11, "{told:?}");
    assert!(told[0].starts_with("* LIST (") && told[0].ends_with("\"/\" INBOX"), "{told:?}");
    assert_eq!(told[1], "* STATUS INBOX (MESSAGES 3 UNSEEN 3)");
    assert!(told.iter().any(|row| row.contains("\\Trash") && row.ends_with("Deleted")), "{told:?}");
    // RFC 9051 §6.4.4, and §6.4.4.1 for what is saved.
    line.done("ENABLE IMAP4rev2");
    line.done("SELECT INBOX");
    line.done("STORE 2 +FLAGS.SILENT (\\Seen)");
    let mut answer = |command: &str| {
        let told = line.done(command);
        let row = told.iter().find(|row| row.starts_with("* ESEARCH (TAG ")).unwrap();
        row.split_once(") ").map_or("", |(_, rest)| rest).to_owned()
    };
    for (command, expected) in [
        ("SEARCH UNSEEN", "ALL 1,3"),
        ("SEARCH RETURN () UNSEEN", "ALL 1,3"),
        ("UID SEARCH RETURN (MIN MAX COUNT ALL) UNSEEN", "UID MIN 1 MAX 3 COUNT 2 ALL 1,3"),
        ("SEARCH RETURN (COUNT) SUBJECT two", "COUNT 1"),
        ("SEARCH RETURN (MIN MAX COUNT) SUBJECT nowhere", "COUNT 0"),
        ("SEARCH RETURN (SAVE COUNT) SEEN", "COUNT 1"),
        ("SEARCH RETURN (ALL) NOT $", "ALL 1,3"),
        ("UID SEARCH RETURN (ALL) $", "UID ALL 2"),
    ] {
        assert_eq!(answer(command), expected, "{command}");
    }
    let none = line.done("SEARCH UNDRAFT DRAFT");
    assert!(none[0].starts_with("* ESEARCH (TAG ") && none[0].ends_with("\")"), "{none:?}");
    // The numbers that were saved, in other commands.
    line.done("SEARCH RETURN (SAVE) UNSEEN");
    let told = line.done("FETCH $ (FLAGS)");
    assert_eq!(told[..2], ["* 1 FETCH (FLAGS ())", "* 3 FETCH (FLAGS ())"], "{told:?}");
}

#[test]
fn what_is_wrong_is_answered_and_the_connection_goes_on() {
    let subject = with_mail("message_bytes_max = 65536\n");
    let mut line = Line::imap(&subject);
    for (command, answer) in [
        ("XYZZY", "BAD a command that is known was expected"),
        ("SELECT", "BAD SELECT: a space was expected"),
        ("FETCH 1 (UID)", "BAD no folder is open"),
        ("SELECT Projects", "NO [NONEXISTENT] there is no such folder"),
        ("CREATE Projects", "NO [CANNOT] a mailbox has these five folders, and no others"),
        ("APPEND INBOX {65537}", "NO [TOOBIG] that is more than is taken"),
        ("APPEND Projects {1+}\r\nx", "NO [TRYCREATE] there is no such folder"),
        ("LOGIN a b", "BAD somebody is logged in already"),
        ("UID EXPUNGE 1", "BAD no folder is open"),
        ("GENURLAUTH imap://x/ INTERNAL", "BAD [BADURL] the message is missing"),
    ] {
        let told = line.ask(command);
        assert!(told.last().unwrap().contains(answer), "{command}: {told:?}");
    }
    line.done("SELECT INBOX");
    let told = line.ask("SEARCH CHARSET KOI8-R ALL");
    assert!(told.last().unwrap().contains("NO [BADCHARSET (UTF-8 US-ASCII)]"), "{told:?}");
    // LMTP: too large by what is said, and by what comes.
    let mut lmtp = Line::to(door(&subject, "lmtp"));
    lmtp.until("220 ");
    for (said, answer) in [
        ("HELO x", "500 5.5.1"),
        ("MAIL FROM:<>", "503 5.5.1"),
        ("NONSENSE", "500 5.5.1"),
        ("LHLO x", "250-"),
    ] {
        lmtp.say(format!("{said}\r\n").as_bytes());
        assert!(lmtp.hear().starts_with(answer), "{said}");
    }
    lmtp.until("250 SIZE 65536");
    for (said, answer) in [
        ("MAIL FROM:<a@b> SIZE=65537", "552 5.3.4"),
        ("MAIL FROM:<a@b> BODY=BINARYMIME", "501 5.5.4"),
        ("MAIL FROM:a@b", "501 5.5.4"),
        ("RCPT TO:<a>", "503 5.5.1"),
        ("MAIL FROM:<a@b> BODY=8BITMIME SMTPUTF8", "250 2.1.0"),
        ("DATA", "503 5.5.1"),
        ("RCPT TO:<nobody@office.example>", "550 5.1.1"),
        (&format!("RCPT TO:<{USER}>"), "250 2.1.5"),
        ("DATA", "354 "),
    ] {
        lmtp.say(format!("{said}\r\n").as_bytes());
        let told = lmtp.hear();
        assert!(told.starts_with(answer), "{said}: {told}");
    }
    lmtp.say(&"x".repeat(70_000).into_bytes());
    lmtp.say(b"\r\n.\r\nNOOP\r\n");
    assert!(lmtp.hear().starts_with("552 5.3.4"));
    assert!(lmtp.hear().starts_with("250 2.0.0"));
}

#[test]
fn a_full_mailbox_and_a_deleted_one_are_refused_each_for_what_it_is() {
    let subject = with_mail("quota_messages = 1\n");
    assert!(deliver(&subject, USER, &letter("one")).starts_with("250 2.1.5"));
    assert!(deliver(&subject, USER, &letter("two")).starts_with("552 5.2.2"));
    let mut line = Line::imap(&subject);
    let told = line.done("GETQUOTAROOT INBOX");
    assert!(told.contains(&"* QUOTA \"\" (MESSAGE 1 1)".to_owned()), "{told:?}");
    let told = line.ask("APPEND INBOX {1+}\r\nx");
    assert!(told.last().unwrap().contains("NO [OVERQUOTA]"), "{told:?}");
    done(&subject, &["delete", USER]);
    let mut lmtp = Line::to(door(&subject, "lmtp"));
    lmtp.until("220 ");
    lmtp.say(format!("LHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<{USER}>\r\n").as_bytes());
    lmtp.until("250 SIZE");
    lmtp.until("250 2.1.0");
    assert!(lmtp.hear().starts_with("550 5.2.1"));
    let mut late = Line::to(door(&subject, "imap"));
    late.hear();
    let told = late.ask(&format!("LOGIN {USER} \"{PASSWORD}\""));
    assert!(told.last().unwrap().contains("NO [AUTHENTICATIONFAILED]"), "{told:?}");
}

/// Takes one message by SMTP: to whom, and what.
fn one_by_smtp(listener: &TcpListener) -> (String, String) {
    let mut client = BufReader::new(listener.accept().unwrap().0);
    let mut to = String::new();
    client.get_mut().write_all(b"220 ready\r\n").unwrap();
    loop {
        let mut line = String::new();
        assert!(client.read_line(&mut line).unwrap() > 0, "it went away");
        let answer = match line.get(..4).unwrap_or_default() {
            "RCPT" => {
                to = line;
                "250 ok"
            }
            "DATA" => {
                client.get_mut().write_all(b"354 go on\r\n").unwrap();
                let mut text = String::new();
                while !text.ends_with("\r\n.\r\n") {
                    assert!(client.read_line(&mut text).unwrap() > 0, "{text}");
                }
                client.get_mut().write_all(b"250 taken\r\n").unwrap();
                return (to, text);
            }
            _ => "250 ok",
        };
        client.get_mut().write_all(format!("{answer}\r\n").as_bytes()).unwrap();
    }
}

#[test]
fn messages_go_on_by_email_as_command_line_and_api_say() {
    let relay = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = relay.local_addr().unwrap().port();
    let subject = with_mail(&format!(
        "sender = \"voicemail@office.example\"\n[[mail.relays]]\nhost = \"127.0.0.1\"\nport = {port}\n\
         security = \"none\"\n"
    ));
    let shown = done(&subject, &["email", USER, "anna@elsewhere.example", "--after", "read"]);
    assert!(shown.contains("anna@elsewhere.example: copy, then read"), "{shown}");
    deliver(&subject, USER, &letter("one"));
    let (to, text) = one_by_smtp(&relay);
    assert!(to.contains("<anna@elsewhere.example>"), "{to}");
    // It came as mail, and goes on as it came.
    assert!(text.starts_with("X-Entracte-Mailbox: "), "{text}");
    let whole = text.strip_suffix(".\r\n").unwrap().as_bytes();
    assert!(whole.ends_with(&letter("one")), "{text}");
    let sent_on = || crate::mailboxes::get(&subject, "/api/v1/mail/sent-on").json();
    let is_sent = (0..400).any(|_| {
        std::thread::sleep(Duration::from_millis(50));
        sent_on()["sent"] == 1
    });
    assert!(is_sent, "{}", sent_on());
    let path = format!("/api/v1/mailboxes/{USER}");
    let patch = |body| crate::mailboxes::send(&subject, "PATCH", &path, &body);
    let wrong = patch(json!({ "email": { "address": "nobody" } }));
    assert!(wrong.status == 422 && wrong.text().contains("as anna@"), "{}", wrong.text());
    let changed = patch(json!({ "email": { "address": "b@c.example", "send": "notice" } }));
    assert_eq!((changed.status, changed.json()["email"]["send"].as_str()), (200, Some("notice")));
    assert!(patch(json!({ "email": null })).json()["email"].is_null());
}

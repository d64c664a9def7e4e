//! Messages that go on by e-mail, with a mail server whose answers are set.

#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mailbox::{
    Address, Draft, EmailAfter, EmailRule, EmailSend, Folder, Kind, MessageStore, NewAttachment,
    Options, Row, Sweeps, SystemHost, Ticker, Unique,
};
use mailroom::outgoing::{Config, Outgoing, Relay};
use mailroom::retrieval::Security;
use store::SystemDisk;
use tokio::task::JoinHandle;

/// No test waits so long, unless it fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// An SMTP server: each message is answered by the next of its answers, the last one for ever.
struct Smtp {
    address: SocketAddr,
    heard: Receiver<(String, String)>,
}

impl Smtp {
    fn answering(answers: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, heard) = sync_channel(100);
        let answers: Vec<String> = answers.iter().rev().map(|&text| text.to_owned()).collect();
        let answers = Arc::new(Mutex::new(answers));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (tell, answers) = (tell.clone(), Arc::clone(&answers));
                std::thread::spawn(move || serve(stream.unwrap(), &tell, &answers));
            }
        });
        Self { address, heard }
    }

    /// The next message: to whom, what, and what was answered.
    fn next(&self) -> (String, String) {
        self.heard.recv_timeout(PATIENCE).unwrap()
    }

    fn relay(&self) -> Relay {
        Relay {
            host: "127.0.0.1".to_owned(),
            port: self.address.port(),
            security: Security::None,
            user: None,
            password_file: None,
            ca_file: None,
        }
    }
}

/// Whoever connects may go away at any time.
fn serve(
    stream: TcpStream,
    tell: &SyncSender<(String, String)>,
    answers: &Mutex<Vec<String>>,
) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut to = String::new();
    let say =
        |stream: &mut TcpStream, text: &str| stream.write_all(format!("{text}\r\n").as_bytes());
    say(reader.get_mut(), "220 ready").ok()?;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let word = line.get(..4).unwrap_or_default().to_ascii_uppercase();
        let answer = match &*word {
            "RCPT" => {
                line.trim_end().clone_into(&mut to);
                "250 ok".to_owned()
            }
            "DATA" => {
                say(reader.get_mut(), "354 go on").ok()?;
                let mut text = String::new();
                while !text.ends_with("\r\n.\r\n") {
                    reader.read_line(&mut text).ok()?;
                }
                let mut left = answers.lock().unwrap();
                let answer = if left.len() > 1 { left.pop() } else { left.last().cloned() };
                tell.send((to.clone(), text)).ok()?;
                answer.unwrap()
            }
            "QUIT" => return say(reader.get_mut(), "221 bye").ok(),
            _ => "250 ok".to_owned(),
        };
        say(reader.get_mut(), &answer).ok()?;
    }
}

fn opened(root: &Path) -> Arc<MessageStore> {
    let disk = Arc::new(SystemDisk::new());
    if !root.exists() {
        MessageStore::initialise(&SystemDisk::new(), &SystemHost, root).unwrap();
    }
    Arc::new(
        MessageStore::open(disk, Arc::new(SystemHost), root, None, Options::default()).unwrap(),
    )
}

struct Bed {
    store: Arc<MessageStore>,
    outgoing: Arc<Outgoing>,
    task: JoinHandle<()>,
    anna: Unique,
    _ticker: Ticker,
}

impl Drop for Bed {
    fn drop(&mut self) {
        self.task.abort();
        self.store.close();
    }
}

impl Bed {
    fn new(root: &Path, relays: Vec<Relay>, give_up_after: Duration) -> Self {
        let store = opened(root);
        let address = Address::parse("FBMC: Anna : anna").unwrap();
        let anna = address.unique.clone();
        if store.mailbox(&anna).is_err() {
            store.create(&address).unwrap();
        }
        let sender = "voicemail@office.example".to_owned();
        let config = Config { relays, sender, give_up_after, first_wait: Duration::from_secs(1) };
        let outgoing = Arc::new(Outgoing::new(Arc::clone(&store), config));
        let task = tokio::spawn(Arc::clone(&outgoing).run());
        let ticker = Ticker::start(Arc::clone(&store), Sweeps::Never).unwrap();
        Self { store, outgoing, task, anna, _ticker: ticker }
    }

    fn goes_on(&self, send: EmailSend, after: EmailAfter) {
        let address = "anna@elsewhere.example".to_owned();
        let rule =
            EmailRule { address, send, after, from_uid: 0, uid_validity: 0, agree_with: None };
        self.store.set_email_rule(&self.anna, Some(rule)).unwrap();
    }

    fn deliver(&self, subject: &str) {
        let audio = NewAttachment {
            media_type: "audio/basic".to_owned(),
            title: "m.au".to_owned(),
            content: mailbox::Content::Bytes(Arc::from(b"no audio, but bytes".as_slice())),
            codec: String::new(),
            duration_ms: None,
            peaks: Vec::new(),
        };
        let draft = Draft {
            subject: subject.to_owned(),
            body: "please call".to_owned(),
            attachments: vec![audio],
            ..Draft::new(Kind::Voice)
        };
        let to = self.store.resolve(&self.anna).unwrap();
        self.store.deliver(&draft, &[to]).pop().unwrap().unwrap();
    }

    fn rows(&self) -> Vec<Row> {
        let mut rows: Vec<Row> =
            self.store.view(&self.anna, |view| view.rows().cloned().collect()).unwrap();
        rows.sort_by_key(|row| row.uid);
        rows
    }

    /// Waits until it is so.
    async fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let begun = tokio::time::Instant::now();
        while !is_so(self) {
            assert!(
                begun.elapsed() < PATIENCE,
                "{what}: {:?} {:?}",
                self.outgoing.state(),
                self.rows()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

const LONG: Duration = Duration::from_secs(3_600);

#[tokio::test(flavor = "multi_thread")]
async fn complaint_43_a_user_may_have_a_message_in_one_place_or_in_both() {
    let folder = tempfile::tempdir().unwrap();
    let smtp = Smtp::answering(&["250 taken"]);
    let bed = Bed::new(&folder.path().join("mail"), vec![smtp.relay()], LONG);
    // What was there before the rule stays where it is.
    bed.deliver("before");
    bed.goes_on(EmailSend::Copy, EmailAfter::Keep);
    bed.deliver("both");
    let (to, text) = smtp.next();
    assert!(to.contains("<anna@elsewhere.example>"), "{to}");
    assert!(text.contains("Subject: both\r\n"), "{text}");
    assert!(text.contains("From: <voicemail@office.example>\r\n"), "{text}");
    let part = email::Part::scan(text.as_bytes());
    let audio = part.children().iter().find_map(|part| email::audio(part)).is_some();
    assert!(audio, "{text}");
    bed.until("it is sent", |bed| bed.outgoing.state().sent == 1).await;
    assert!(bed.rows().iter().all(|row| !row.marks.read && row.folder == Folder::Inbox));

    bed.goes_on(EmailSend::Copy, EmailAfter::Read);
    bed.deliver("read");
    smtp.next();
    bed.until("it is read", |bed| bed.rows()[2].marks.read).await;

    bed.goes_on(EmailSend::Copy, EmailAfter::Delete);
    bed.deliver("only there");
    smtp.next();
    bed.until("it is gone", |bed| bed.rows().len() == 3).await;

    bed.goes_on(EmailSend::Notice, EmailAfter::Keep);
    bed.deliver("word of it");
    let (_, text) = smtp.next();
    assert!(text.contains("Auto-Submitted: auto-generated\r\n"), "{text}");
    assert!(!text.contains("attachment"), "{text}");

    bed.goes_on(EmailSend::NoticeWithAudio, EmailAfter::Keep);
    bed.deliver("word and sound");
    assert!(smtp.next().1.contains("filename=\"m.au\""));

    bed.store.set_email_rule(&bed.anna, None).unwrap();
    bed.deliver("here only");
    // Messages go on in their order: the next that does shows that this one did not.
    bed.goes_on(EmailSend::Copy, EmailAfter::Keep);
    bed.deliver("the next");
    assert!(smtp.next().1.contains("Subject: the next\r\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_for_now_is_tried_again_and_what_is_refused_for_good_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let smtp = Smtp::answering(&["451 4.3.0 not now", "250 taken", "550 5.1.1 nobody here"]);
    let bed = Bed::new(&folder.path().join("mail"), vec![smtp.relay()], LONG);
    bed.goes_on(EmailSend::Copy, EmailAfter::Delete);
    bed.deliver("late");
    let (_, first) = smtp.next();
    assert_eq!(bed.rows().len(), 1, "what was not taken stays");
    let (_, again) = smtp.next();
    let id =
        |text: &str| text.lines().find(|line| line.starts_with("Message-ID")).map(str::to_owned);
    assert_eq!((id(&first), id(&first).is_some()), (id(&again), true));
    bed.until("it is sent", |bed| bed.rows().is_empty()).await;
    assert_eq!(bed.outgoing.state().deferred, 1);

    bed.deliver("never");
    bed.until("it is told", |bed| bed.outgoing.state().bounced == 1 && bed.rows().len() == 2).await;
    let rows = bed.rows();
    assert_eq!((rows[0].kind, &*rows[0].subject), (Kind::Voice, "never"));
    assert_eq!(rows[1].kind, Kind::NonDelivery);
    let (_, envelope) = bed.store.message(&bed.anna, rows[1].id).unwrap();
    assert!(
        envelope.body.contains("550 5.1.1") || envelope.body.contains("nobody here"),
        "{}",
        envelope.body
    );
    // Word of it is no message that goes on: one that comes after it is refused next, and nothing between.
    bed.deliver("never again");
    bed.until("it is told", |bed| bed.outgoing.state().bounced == 2 && bed.rows().len() == 4).await;
    assert!(smtp.next().1.contains("Subject: never\r\n"));
    assert!(smtp.next().1.contains("Subject: never again\r\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_sent_after_a_restart_by_the_relay_that_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("mail");
    // Nobody listens there.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let smtp = Smtp::answering(&["250 taken"]);
    let away = Relay { port: closed.port(), ..smtp.relay() };
    let bed = Bed::new(&root, vec![away.clone()], LONG);
    bed.goes_on(EmailSend::Copy, EmailAfter::Delete);
    bed.deliver("one");
    bed.deliver("two");
    bed.until("both wait", |bed| {
        bed.outgoing.state().pending == 2 && bed.outgoing.state().deferred >= 2
    })
    .await;
    let (fault, _) = bed.outgoing.state().last_fault.unwrap();
    assert!(fault.contains(&closed.port().to_string()), "{fault}");
    drop(bed);
    let bed = Bed::new(&root, vec![away, smtp.relay()], LONG);
    let mut subjects: Vec<bool> =
        (0..2).map(|_| smtp.next().1.contains("Subject: one\r\n")).collect();
    subjects.sort_unstable();
    assert_eq!(subjects, [false, true]);
    bed.until("both are sent", |bed| bed.rows().is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_back_goes_no_second_time_and_what_is_late_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let smtp = Smtp::answering(&["250 taken", "451 4.3.0 not now"]);
    let bed = Bed::new(&folder.path().join("mail"), vec![smtp.relay()], Duration::from_secs(1));
    bed.goes_on(EmailSend::Copy, EmailAfter::Keep);
    bed.deliver("round and round");
    let (_, text) = smtp.next();
    let to = bed.store.resolve(&bed.anna).unwrap();
    let back = Draft::of_mail(text.trim_end_matches(".\r\n").as_bytes().into());
    bed.store.deliver(&back, &[to]).pop().unwrap().unwrap();
    bed.until("both were looked at", |bed| {
        bed.rows().len() == 2 && bed.outgoing.state().pending == 0
    })
    .await;
    assert_eq!(bed.outgoing.state().sent, 1);
    bed.deliver("too late");
    bed.until("it is given up", |bed| bed.outgoing.state().bounced == 1).await;
    bed.until("it is told", |bed| bed.rows().iter().any(|row| row.kind == Kind::NonDelivery)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_moved_does_not_go_on_and_what_is_only_told_is_not_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let smtp = Smtp::answering(&["250 taken"]);
    let bed = Bed::new(&folder.path().join("mail"), vec![smtp.relay()], LONG);
    bed.deliver("old");
    let old = bed.rows()[0].id;
    bed.store.change(&bed.anna, &[old], |_, marks| (Folder::Deleted, marks)).unwrap();
    bed.goes_on(EmailSend::NoticeWithAudio, EmailAfter::Delete);
    // Taken back, it is no message that comes.
    bed.store.change(&bed.anna, &[old], |_, marks| (Folder::Inbox, marks)).unwrap();
    // Of mail a notice has not all: it stays. And a notice of a notice goes nowhere.
    let mail = |more: &str| {
        let text = format!("From: a@b.example\r\n{more}Subject: mail\r\n\r\ntext\r\n");
        Draft::of_mail(text.into_bytes().into())
    };
    let to = bed.store.resolve(&bed.anna).unwrap();
    for draft in [mail("x-entracte-mailbox: another\r\n"), mail("")] {
        bed.store.deliver(&draft, std::slice::from_ref(&to)).pop().unwrap().unwrap();
    }
    let (_, text) = smtp.next();
    assert!(text.contains("Subject: mail\r\n"), "{text}");
    bed.until("it is read", |bed| bed.rows().iter().filter(|row| row.marks.read).count() == 1)
        .await;
    bed.until("all is seen", |bed| bed.outgoing.state().pending == 0).await;
    assert_eq!((bed.rows().len(), bed.outgoing.state().sent), (3, 1));
    // A word alone is no reason to delete anything.
    let rule = EmailRule {
        address: "anna@elsewhere.example".to_owned(),
        send: EmailSend::Notice,
        after: EmailAfter::Delete,
        from_uid: 0,
        uid_validity: 0,
        agree_with: None,
    };
    assert!(bed.store.set_email_rule(&bed.anna, Some(rule)).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn half_line_ends_go_on_as_whole_ones_and_what_is_automatic_from_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let smtp = Smtp::answering(&["250 taken"]);
    let bed = Bed::new(&folder.path().join("mail"), vec![smtp.relay()], LONG);
    bed.goes_on(EmailSend::Copy, EmailAfter::Keep);
    let text =
        b"From: a@b.example\r\nAuto-Submitted: auto-replied\r\n\r\nx\n.\nMAIL FROM:<boss@c>\r.\r\n";
    let to = bed.store.resolve(&bed.anna).unwrap();
    let draft = Draft::of_mail(text.as_slice().into());
    bed.store.deliver(&draft, &[to]).pop().unwrap().unwrap();
    let (_, text) = smtp.next();
    assert!(text.ends_with("\r\n\r\nx\r\n..\r\nMAIL FROM:<boss@c>\r\n..\r\n.\r\n"), "{text:?}");
    assert!(text.contains("\r\nMessage-ID: <") || text.starts_with("Message-ID: <"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_mailbox_is_told_of_a_failure_once_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let smtp = Smtp::answering(&["550 5.1.1 nobody here"]);
    let bed = Bed::new(&folder.path().join("mail"), vec![smtp.relay()], LONG);
    bed.goes_on(EmailSend::Copy, EmailAfter::Delete);
    bed.store.bound(&bed.anna, Some(1), None).unwrap();
    bed.deliver("never");
    bed.until("it is refused", |bed| bed.outgoing.state().deferred > 0).await;
    assert_eq!((bed.outgoing.state().bounced, bed.rows().len()), (0, 1));
    let (fault, _) = bed.outgoing.state().last_fault.unwrap();
    assert!(fault.contains("full") || fault.contains("1 message"), "{fault}");
    bed.store.bound(&bed.anna, Some(0), None).unwrap();
    bed.until("it is told", |bed| bed.outgoing.state().bounced == 1 && bed.rows().len() == 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_too_large_for_e_mail_stays_and_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let smtp = Smtp::answering(&["250 taken"]);
    let bed = Bed::new(&folder.path().join("mail"), vec![smtp.relay()], LONG);
    bed.goes_on(EmailSend::Copy, EmailAfter::Delete);
    let large = NewAttachment {
        media_type: "image/tiff".to_owned(),
        title: "fax.tiff".to_owned(),
        content: mailbox::Content::Bytes(vec![7; (24 << 20) + 1].into()),
        codec: String::new(),
        duration_ms: None,
        peaks: Vec::new(),
    };
    let draft =
        Draft { subject: "long fax".to_owned(), attachments: vec![large], ..Draft::new(Kind::Fax) };
    let to = bed.store.resolve(&bed.anna).unwrap();
    bed.store.deliver(&draft, &[to]).pop().unwrap().unwrap();
    let (_, text) = smtp.next();
    assert!(text.len() < 4_096, "{} bytes", text.len());
    let part = email::Part::scan(text.as_bytes());
    let words = email::plain_text(&part.children()[0], text.as_bytes());
    assert!(words.contains("Too large for e-mail, and kept: fax.tiff"), "{words}");
    bed.until("it is read", |bed| bed.rows()[0].marks.read).await;
    assert_eq!((bed.rows().len(), bed.outgoing.state().sent), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_servers_on_one_root_one_sends() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("mail");
    let smtp = Smtp::answering(&["250 taken"]);
    let first = Bed::new(&root, vec![smtp.relay()], LONG);
    first.goes_on(EmailSend::Copy, EmailAfter::Read);
    let second = Bed::new(&root, vec![smtp.relay()], LONG);
    let names: Vec<String> = (0..6).map(|n| format!("number {n}")).collect();
    for (n, name) in names.iter().enumerate() {
        // Both take messages for the mailbox.
        if n % 2 == 0 { first.deliver(name) } else { second.deliver(name) }
    }
    let mut sent: Vec<String> = names
        .iter()
        .map(|_| {
            let (_, text) = smtp.next();
            let subject = text.lines().find_map(|line| line.strip_prefix("Subject: "));
            subject.unwrap().to_owned()
        })
        .collect();
    sent.sort_unstable();
    assert_eq!(sent, names);
    for bed in [&first, &second] {
        bed.until("all are read", |bed| bed.rows().iter().all(|row| row.marks.read)).await;
    }
    assert_eq!(first.outgoing.state().sent + second.outgoing.state().sent, 6);
}

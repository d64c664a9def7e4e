//! A mailbox and its copies with an IMAP server that plays tricks: whatever it says or leaves out, nothing is deleted that nobody deleted.

#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mailbox::{
    Address, AgreeWith, Draft, EmailAfter, EmailRule, EmailSend, Folder, Kind, MessageId,
    MessageStore, Options, Reads, SystemHost, Unique,
};
use mailroom::agreement::Agreement;
use mailroom::retrieval::{Config, Login, Retrieval, Security, Server};
use store::SystemDisk;
use tokio::task::JoinHandle;

/// No test waits so long, unless it fails.
const PATIENCE: Duration = Duration::from_secs(20);
const UID_VALIDITY: u32 = 7;

/// What the server does otherwise than it should, or than others do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Trick {
    None,
    /// It answers SEARCH as IMAP4rev2 has it.
    Esearch,
    /// It tells flags and header in two responses.
    TwoResponses,
    /// It leaves the last message out of what it fetches.
    FetchesFewer,
    /// It says OK to SEARCH, and nothing else.
    SaysNothing,
    /// It tells the header as NIL.
    NoHeader,
    /// It lets nobody change anything.
    ReadOnly,
}

#[derive(Clone, Debug)]
struct Copy {
    uid: u32,
    header: String,
    is_seen: bool,
}

#[derive(Debug)]
struct Inbox {
    copies: Vec<Copy>,
    trick: Trick,
    uid_validity: u32,
    searches: u32,
}

/// An IMAP server with one INBOX.
#[derive(Clone)]
struct Imap {
    port: u16,
    inbox: Arc<Mutex<Inbox>>,
}

impl Imap {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let inbox = Inbox {
            copies: Vec::new(),
            trick: Trick::None,
            uid_validity: UID_VALIDITY,
            searches: 0,
        };
        let inbox = Arc::new(Mutex::new(inbox));
        let shared = Arc::clone(&inbox);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let inbox = Arc::clone(&shared);
                std::thread::spawn(move || serve(stream.unwrap(), &inbox));
            }
        });
        Self { port, inbox }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Inbox) -> T) -> T {
        work(&mut self.inbox.lock().unwrap())
    }

    /// A copy of a message of a mailbox comes.
    fn comes(&self, mailbox: &str, id: MessageId) {
        self.with(|inbox| {
            let uid = inbox.copies.iter().map(|copy| copy.uid).max().unwrap_or(0) + 1;
            // It went through another mailbox as well.
            let header = format!(
                "X-Entracte-Mailbox: another\r\nX-Entracte-Message: 01J0000000000000000000000A\r\n\
                 X-Entracte-Mailbox: {mailbox}\r\nX-Entracte-Message: {id}\r\n\r\n"
            );
            inbox.copies.push(Copy { uid, header, is_seen: false });
        });
    }

    fn seen(&self) -> Vec<bool> {
        self.with(|inbox| inbox.copies.iter().map(|copy| copy.is_seen).collect())
    }
}

/// Whoever connects may go away at any time.
fn serve(stream: TcpStream, inbox: &Mutex<Inbox>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let greeting = "* PREAUTH [CAPABILITY IMAP4rev1 UIDPLUS] here\r\n";
    reader.get_mut().write_all(greeting.as_bytes()).ok()?;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let answer = answer(line.trim_end(), &mut inbox.lock().unwrap());
        reader.get_mut().write_all(answer.as_bytes()).ok()?;
    }
}

fn answer(line: &str, inbox: &mut Inbox) -> String {
    let (tag, command) = line.split_once(' ').unwrap();
    let words: Vec<&str> = command.split(' ').collect();
    let uids =
        |text: &str| -> Vec<u32> { text.split(',').map(|uid| uid.parse().unwrap()).collect() };
    let said = match &words[..] {
        ["SELECT", ..] => format!("* OK [UIDVALIDITY {}] valid\r\n", inbox.uid_validity),
        ["UID", "SEARCH", ..] => {
            inbox.searches += 1;
            let all: Vec<String> = inbox.copies.iter().map(|copy| copy.uid.to_string()).collect();
            match inbox.trick {
                Trick::Esearch if all.is_empty() => format!("* ESEARCH (TAG \"{tag}\") UID\r\n"),
                Trick::Esearch => {
                    format!("* ESEARCH (TAG \"{tag}\") UID ALL {}\r\n", all.join(","))
                }
                Trick::SaysNothing => String::new(),
                Trick::None
                | Trick::TwoResponses
                | Trick::FetchesFewer
                | Trick::NoHeader
                | Trick::ReadOnly => format!("* SEARCH {}\r\n", all.join(" ")),
            }
        }
        ["UID", "FETCH", set, ..] => {
            let wanted = uids(set);
            let mut found: Vec<&Copy> =
                inbox.copies.iter().filter(|copy| wanted.contains(&copy.uid)).collect();
            if inbox.trick == Trick::FetchesFewer {
                found.pop();
            }
            found.iter().map(|copy| fetched(copy, inbox.trick)).collect()
        }
        ["UID", "STORE" | "EXPUNGE", ..] if inbox.trick == Trick::ReadOnly => {
            return format!("{tag} NO this INBOX is only read\r\n");
        }
        ["UID", "STORE", set, how, ..] => {
            for copy in inbox.copies.iter_mut().filter(|copy| uids(set).contains(&copy.uid)) {
                copy.is_seen = how.starts_with('+');
            }
            String::new()
        }
        ["UID", "EXPUNGE", set] => {
            inbox.copies.retain(|copy| !uids(set).contains(&copy.uid));
            String::new()
        }
        ["NOOP"] => String::new(),
        _ => return format!("{tag} BAD {command}\r\n"),
    };
    format!("{said}{tag} OK done\r\n")
}

fn fetched(copy: &Copy, trick: Trick) -> String {
    let Copy { uid, header, is_seen } = copy;
    let flags = if *is_seen { "\\Seen" } else { "" };
    let name = "BODY[HEADER.FIELDS (X-ENTRACTE-MAILBOX X-ENTRACTE-MESSAGE)]";
    let literal = format!("{name} {{{}}}\r\n{header}", header.len());
    let head = format!("* {uid} FETCH (UID {uid}");
    match trick {
        Trick::TwoResponses => format!("{head} FLAGS ({flags}))\r\n{head} {literal})\r\n"),
        Trick::NoHeader => format!("{head} FLAGS ({flags}) {name} NIL)\r\n"),
        Trick::None
        | Trick::Esearch
        | Trick::FetchesFewer
        | Trick::SaysNothing
        | Trick::ReadOnly => format!("{head} FLAGS ({flags}) {literal})\r\n"),
    }
}

struct Bed {
    store: Arc<MessageStore>,
    agreement: Arc<Agreement>,
    task: JoinHandle<()>,
    anna: Unique,
    imap: Imap,
    _folder: tempfile::TempDir,
}

impl Drop for Bed {
    fn drop(&mut self) {
        self.task.abort();
        self.store.close();
    }
}

impl Bed {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("mail");
        MessageStore::initialise(&SystemDisk::new(), &SystemHost, &root).unwrap();
        let disk = Arc::new(SystemDisk::new());
        let store = MessageStore::open(disk, Arc::new(SystemHost), &root, None, Options::default());
        let store = Arc::new(store.unwrap());
        let address = Address::parse("FBMC: Anna : anna").unwrap();
        let anna = address.unique.clone();
        store.create(&address).unwrap();
        let imap = Imap::start();
        let server = Server {
            name: "office".to_owned(),
            host: "127.0.0.1".to_owned(),
            port: imap.port,
            security: Security::None,
            user: "service".to_owned(),
            authorization_id: "*".to_owned(),
            login: Login::Password,
            password_file: None,
            ca_file: None,
        };
        let config = Config { servers: vec![server], idle: None, patience: PATIENCE };
        let retrieval = Arc::new(Retrieval::new(Some(Arc::clone(&store)), config));
        let every = Duration::from_millis(50);
        let agreement = Arc::new(Agreement::new(Arc::clone(&store), retrieval, every));
        let task = tokio::spawn(Arc::clone(&agreement).run());
        let bed = Self { store, agreement, task, anna, imap, _folder: folder };
        bed.agrees(Some("office"));
        bed
    }

    fn agrees(&self, server: Option<&str>) {
        let rule = server.map(|server| EmailRule {
            address: "anna@elsewhere.example".to_owned(),
            send: EmailSend::Copy,
            after: EmailAfter::Keep,
            from_uid: 0,
            uid_validity: 0,
            agree_with: Some(AgreeWith { server: server.to_owned(), user: String::new() }),
        });
        self.store.set_email_rule(&self.anna, rule).unwrap();
    }

    /// Messages with a copy each, and both sides know of each other.
    async fn paired(&self, count: usize) -> Vec<MessageId> {
        let to = self.store.resolve(&self.anna).unwrap();
        let ids: Vec<MessageId> = (0..count)
            .map(|_| {
                let draft = Draft { subject: "x".to_owned(), ..Draft::new(Kind::Voice) };
                let done = self.store.deliver(&draft, std::slice::from_ref(&to)).pop();
                let id = done.unwrap().unwrap().id;
                self.imap.comes(self.anna.leaf(), id);
                id
            })
            .collect();
        self.rounds().await;
        self.until("they know each other", |bed| {
            let file = bed.store.agreement(&bed.anna).unwrap().unwrap_or_default();
            String::from_utf8(file).unwrap().matches("\"unread\"").count() == count
        })
        .await;
        ids
    }

    /// Two rounds at least, of which one began after this was called.
    async fn rounds(&self) {
        let before = self.imap.with(|inbox| inbox.searches);
        self.until("it is looked at", |bed| bed.imap.with(|i| i.searches) >= before + 2).await;
    }

    fn folder_of(&self, id: MessageId) -> Option<(Folder, bool)> {
        let row = self.store.view(&self.anna, |view| view.row(id).cloned()).unwrap();
        row.map(|row| (row.folder, row.marks.read))
    }

    fn in_bin(&self, ids: &[MessageId]) -> usize {
        let is_in = |id: &&MessageId| self.folder_of(**id).unwrap().0 == Folder::Deleted;
        ids.iter().filter(is_in).count()
    }

    fn fault(&self) -> String {
        self.agreement.state().last_fault.map(|(why, _)| why).unwrap_or_default()
    }

    /// Waits until it is so.
    async fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let begun = tokio::time::Instant::now();
        while !is_so(self) {
            assert!(begun.elapsed() < PATIENCE, "{what}: {:?}", self.agreement.state());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_of_every_kind_are_understood_and_all_copies_are_meant() {
    for trick in [Trick::None, Trick::Esearch, Trick::TwoResponses] {
        let bed = Bed::new();
        bed.imap.with(|inbox| inbox.trick = trick);
        let ids = bed.paired(3).await;
        // One was sent twice.
        bed.imap.comes(bed.anna.leaf(), ids[0]);
        bed.store.mark_read(&bed.anna, &[ids[0]], Reads::Read).unwrap();
        bed.until("read there", |bed| bed.imap.seen() == [true, false, false, true]).await;
        bed.imap.with(|inbox| inbox.copies[1].is_seen = true);
        bed.until("read here", |bed| bed.folder_of(ids[1]) == Some((Folder::Inbox, true))).await;
        bed.store.change(&bed.anna, &[ids[0]], |_, marks| (Folder::Deleted, marks)).unwrap();
        bed.until("deleted there", |bed| bed.imap.seen().len() == 2).await;
        bed.rounds().await;
        assert_eq!(bed.in_bin(&ids), 1, "{trick:?}");
        bed.imap.with(|inbox| inbox.copies.retain(|copy| copy.uid != 2));
        bed.until("deleted here", |bed| bed.in_bin(&ids) == 2).await;
        assert_eq!(bed.fault(), "", "{trick:?}");
        assert_eq!(bed.agreement.state().mailboxes, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_leaves_out_is_not_taken_for_deleted() {
    for (trick, why) in [
        (Trick::FetchesFewer, "nothing is told of the copy with UID 3"),
        (Trick::NoHeader, "nothing is told of the copy"),
        (Trick::SaysNothing, "an answer to SEARCH"),
    ] {
        let bed = Bed::new();
        let ids = bed.paired(3).await;
        bed.imap.with(|inbox| inbox.trick = trick);
        bed.until("it is told", |bed| bed.fault().contains(why)).await;
        assert_eq!(bed.in_bin(&ids), 0, "{trick:?}");
        // And then it is well again.
        bed.imap.with(|inbox| {
            inbox.trick = Trick::None;
            inbox.copies[0].is_seen = true;
        });
        bed.until("read here", |bed| bed.folder_of(ids[0]) == Some((Folder::Inbox, true))).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inbox_that_lost_its_messages_or_was_made_anew_empties_nothing() {
    let bed = Bed::new();
    let ids = bed.paired(12).await;
    let copies = bed.imap.with(|inbox| std::mem::take(&mut inbox.copies));
    bed.until("it is told", |bed| bed.fault().contains("12 copies are gone")).await;
    bed.rounds().await;
    assert_eq!(bed.in_bin(&ids), 0);
    // Set anew, it begins anew.
    bed.agrees(None);
    bed.agrees(Some("office"));
    bed.rounds().await;
    assert_eq!(bed.in_bin(&ids), 0);
    // They come back, and one is deleted there; then all numbers are others.
    bed.imap.with(|inbox| inbox.copies.extend(copies.clone()));
    bed.rounds().await;
    bed.imap.with(|inbox| inbox.copies.remove(0));
    bed.until("deleted here", |bed| bed.in_bin(&ids) == 1).await;
    bed.imap.with(|inbox| {
        inbox.copies.clone_from(&copies);
        inbox.uid_validity += 1;
    });
    // The connection is kept, and with it what it selected: a server that makes it anew closes it.
    bed.agrees(None);
    bed.agrees(Some("office"));
    bed.rounds().await;
    assert_eq!(
        bed.imap.seen().len(),
        11,
        "what is in the bin here is deleted at the first meeting"
    );
    assert_eq!(bed.in_bin(&ids), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_store_has_no_more_stays_there_and_what_may_not_be_changed_is_told() {
    let bed = Bed::new();
    let ids = bed.paired(2).await;
    // Its time was over, an IMAP client expunged it, or a disk lost it: nobody knows.
    bed.store.remove(&bed.anna, &[ids[0]]).unwrap();
    bed.rounds().await;
    assert_eq!(bed.imap.seen().len(), 2);
    bed.imap.with(|inbox| {
        inbox.trick = Trick::ReadOnly;
        inbox.copies[1].is_seen = true;
    });
    bed.until("read here", |bed| bed.folder_of(ids[1]) == Some((Folder::Inbox, true))).await;
    bed.store.mark_read(&bed.anna, &[ids[1]], Reads::Unread).unwrap();
    bed.until("it is told", |bed| bed.fault().contains("only read")).await;
    bed.agrees(Some("nowhere"));
    bed.until("it is told", |bed| bed.fault().contains("a server of mail.servers")).await;
}

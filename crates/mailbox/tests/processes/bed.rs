//! Other processes, and the messages that go through them.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mailbox::{
    Address, Content, Draft, Folder, Kind, MailError, MessageId, MessageStore, NewAttachment,
    Options, Query, SystemHost, Unique,
};
use rustix::process::{Pid, Signal, kill_process};
use store::SystemDisk;

/// Longer than anything takes on a slow machine; whoever waits so long has found a fault.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);
/// Says to a process which body it runs.
const ROLE: &str = "ENTRACTE_ROLE";

#[expect(clippy::disallowed_methods, reason = "processes are in real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// A number from the environment, for a test's long form.
pub(crate) fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// What a process was told when it was begun; `None` when it is not one that a test began.
pub(crate) fn role(name: &str) -> Option<Vec<String>> {
    let role = std::env::var(ROLE).ok()?;
    let mut words = role.split('\t').map(str::to_owned);
    (words.next()? == name).then(|| words.collect())
}

/// Writes a line to the process that began this one, past whatever catches the output of tests.
pub(crate) fn say(line: &str) {
    let mut out = io::stdout().lock();
    // Nobody may listen any more; then this process ends soon.
    let _ = out.write_all(format!("@ {line}\n").as_bytes()).and_then(|()| out.flush());
}

/// The next order of the process that began this one; `None` when it is gone.
pub(crate) fn order() -> Option<String> {
    let mut line = String::new();
    let got = io::stdin().lock().read_line(&mut line).unwrap_or(0);
    (got > 0).then(|| line.trim().to_owned())
}

/// Another process. It is killed and reaped when this is dropped.
pub(crate) struct Other {
    child: Child,
    orders: Option<ChildStdin>,
    lines: Receiver<String>,
    reader: Option<JoinHandle<()>>,
}

impl Other {
    /// Begins a process that runs the test `body`, which must ask for its [`role`].
    pub(crate) fn begin(body: &str, words: &[&str]) -> Self {
        Self::run(Command::new(std::env::current_exe().unwrap()), body, words)
    }

    /// The same with mounts of its own, which nobody else sees and which end with it.
    pub(crate) fn begin_with_mounts(body: &str, words: &[&str]) -> Self {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private"]);
        command.arg(std::env::current_exe().unwrap());
        Self::run(command, body, words)
    }

    fn run(mut command: Command, body: &str, words: &[&str]) -> Self {
        let role = [&[body], words].concat().join("\t");
        command.args([body, "--exact", "--nocapture", "--test-threads=1"]).env(ROLE, role);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let orders = child.stdin.take();
        let out = BufReader::new(child.stdout.take().unwrap());
        // A process that says more than we listen to waits for us.
        let (to, lines) = sync_channel(1_024);
        let reader = std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                // What is not ours is of the test harness. A line that was cut has no end.
                if let Some((_, line)) = line.split_once("@ ")
                    && to.send(line.to_owned()).is_err()
                {
                    return;
                }
            }
        });
        Self { child, orders, lines, reader: Some(reader) }
    }

    pub(crate) fn order(&mut self, order: &str) {
        let to = self.orders.as_mut().unwrap();
        to.write_all(format!("{order}\n").as_bytes()).unwrap();
    }

    /// The next line; `None` when the process has ended.
    pub(crate) fn line(&self) -> Option<String> {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("the other process says nothing"),
        }
    }

    /// The next line if it comes so soon.
    pub(crate) fn line_within(&self, time: Duration) -> Option<String> {
        self.lines.recv_timeout(time).ok()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Kills it, and answers what it had said until then.
    pub(crate) fn kill(mut self) -> Vec<String> {
        self.child.kill().unwrap();
        let ended = self.child.wait().unwrap();
        assert_eq!(ended.signal(), Some(9), "it had ended by itself: {ended}");
        std::iter::from_fn(|| self.line()).collect()
    }

    /// Waits for its end, which must be a good one; what it said.
    pub(crate) fn end(mut self) -> Vec<String> {
        drop(self.orders.take());
        let said = std::iter::from_fn(|| self.line()).collect();
        assert!(self.child.wait().unwrap().success(), "the other process failed: {said:?}");
        said
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        // It may have ended, and may be stopped; a kill ends it all the same.
        let _ = self.child.kill();
        let _ = self.child.wait();
        while self.lines.recv_timeout(PATIENCE).is_ok() {}
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

pub(crate) fn unique(text: &str) -> Unique {
    Unique::parse(text).unwrap()
}

pub(crate) fn address(text: &str) -> Address {
    Address { friendly: "somebody".into(), unique: unique(text) }
}

/// A new store with these mailboxes.
pub(crate) fn made(root: &Path, mailboxes: &[&str]) {
    MessageStore::initialise(&SystemDisk::new(), &SystemHost, root).unwrap();
    let store = opened(root, None);
    mailboxes.iter().for_each(|mailbox| store.create(&address(mailbox)).unwrap());
}

pub(crate) fn opened(root: &Path, spool: Option<&Path>) -> MessageStore {
    let disk = Arc::new(SystemDisk::new());
    let spool = spool.map(|folder| {
        let disk: Arc<dyn store::Disk> = Arc::new(SystemDisk::new());
        (disk, folder.to_owned())
    });
    MessageStore::open(disk, Arc::new(SystemHost), root, spool, Options::default()).unwrap()
}

/// Numbers that look like chance and are the same each time. Marsaglia's xorshift.
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % end
    }

    pub(crate) fn of<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        all.get(usize::try_from(self.below(u64::try_from(all.len().max(1)).unwrap())).unwrap())
    }
}

/// The audio of the message with this number: some bytes up to 12,000, different for each.
pub(crate) fn audio(n: u64) -> Vec<u8> {
    let length = usize::try_from(n.wrapping_mul(7_919) % 12_000).unwrap() + 1;
    let mut chance = Chance::new(n + 1);
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        bytes.extend(chance.below(u64::MAX).to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// The message with this number.
pub(crate) fn voice(n: u64) -> Draft {
    Draft {
        subject: n.to_string(),
        duration_ms: Some(1_000),
        attachments: vec![NewAttachment {
            media_type: "audio/gsm".into(),
            codec: "gsm".into(),
            duration_ms: Some(1_000),
            title: String::new(),
            peaks: Vec::new(),
            content: Content::Bytes(audio(n).into()),
        }],
        ..Draft::new(Kind::Voice)
    }
}

/// A message as it is listed.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Found {
    pub(crate) n: u64,
    pub(crate) id: MessageId,
    pub(crate) uid: u32,
    pub(crate) folder: Folder,
    pub(crate) read: bool,
    pub(crate) flagged: bool,
}

/// The list of a mailbox, page by page.
///
/// # Errors
/// As [`MessageStore::list`].
pub(crate) fn listed(
    store: &MessageStore,
    mailbox: &str,
    limit: usize,
) -> Result<Vec<Found>, MailError> {
    let mut all = Vec::new();
    let mut after = None;
    loop {
        let query = Query { after, limit, ..Query::default() };
        let page = store.list(&unique(mailbox), &query)?;
        all.extend(page.rows.iter().map(|row| Found {
            n: row.subject.parse().unwrap(),
            id: row.id,
            uid: row.uid,
            folder: row.folder,
            read: row.marks.read,
            flagged: row.marks.flagged,
        }));
        after = page.next;
        if after.is_none() {
            return Ok(all);
        }
    }
}

/// The same, with every byte of every message compared with what was delivered.
pub(crate) fn read(store: &MessageStore, mailbox: &str) -> Vec<Found> {
    let found = listed(store, mailbox, 7).unwrap();
    for one in &found {
        let (_, mut file) = store.attachment(&unique(mailbox), one.id, 0).unwrap();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        assert!(bytes == audio(one.n), "{mailbox}: message {} is not what was delivered", one.n);
    }
    found
}

//! `entracte mailbox`: the message store, from the command line. It works on the files themselves, whether a server
//! runs or not: it is one more node among those that use the root.

use std::io::{IsTerminal as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Subcommand};
use mailbox::{
    Address, Checked, Content, Cursor, Draft, Folder, Kind, MailError, Mailbox, MessageStore,
    Moment, NewAttachment, NewUser, Query, Repair, Row, Sweeps, SystemHost, Ticker, Unique,
    UserOutcome,
};
use nix::unistd::{Gid, Uid, setgid, setgroups, setuid};
use serde_json::json;
use store::SystemDisk;

use super::{ConfigArgs, Exit, columns};

/// Mailboxes of the message store: users imported, mailboxes listed, deleted and purged, messages listed, checked, repaired
/// and exported, and everything moved to another root. It works on the files, whether a server runs or not; as root it works
/// as the user who owns them.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The root of the store; without it mail.root of the configuration.
    #[arg(long, value_name = "FOLDER", global = true)]
    root: Option<PathBuf>,
    /// Prints JSON.
    #[arg(long, global = true)]
    json: bool,
    /// The configuration file, for mail.root and the bounds.
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Makes the root a message store. Its folder must be empty; of a share, mount it first.
    Init,
    /// Imports users from CSV or JSON: each gets a mailbox. All lines are checked before the first is used.
    ///
    /// CSV has a first line that names the columns: unique, name, `quota_messages`, `quota_bytes`. JSON is a list of
    /// objects with the same keys. A user that is there already is changed, and never loses a message.
    Import {
        /// The file; - is standard input.
        file: PathBuf,
        /// Mailboxes whose users are not in the file are without a user from then on.
        #[arg(long)]
        release_others: bool,
        /// Only checks the file.
        #[arg(long)]
        dry_run: bool,
    },
    /// Makes one mailbox: entracte mailbox create "FBMC: Michael Cole : michaelc@site". One that was deleted comes back with its
    /// messages.
    Create {
        /// FBMC: <name> : <unique string>, or the unique string alone.
        address: String,
    },
    /// Lists mailboxes.
    List {
        /// Only unused ones: no user has it, or nobody logged in and no message came for --days.
        #[arg(long)]
        unused: bool,
        /// Without it mail.unused_days.
        #[arg(long, value_name = "N", requires = "unused")]
        days: Option<u32>,
        /// Only those that were deleted and not purged.
        #[arg(long)]
        deleted: bool,
    },
    /// Shows one mailbox with what it holds.
    Show {
        /// Its address or unique string.
        address: String,
    },
    /// Gives a mailbox another friendly name; its unique string never changes.
    Rename {
        /// Its address or unique string.
        address: String,
        /// What people call it from now on.
        name: String,
    },
    /// Gives a mailbox bounds of its own, in place of mail.quota_messages and mail.quota_bytes.
    Bound {
        /// Its address or unique string.
        address: String,
        /// Most messages: a number, none, or default for everybody's. Without it they stay.
        #[arg(long, value_name = "N")]
        messages: Option<Quota>,
        /// Most bytes: a number, none, or default for everybody's. Without it they stay.
        #[arg(long, value_name = "N")]
        bytes: Option<Quota>,
    },
    /// Deletes mailboxes: they take no messages any more. Their data stay until they are purged.
    Delete {
        /// Their addresses or unique strings.
        #[arg(required = true)]
        addresses: Vec<String>,
    },
    /// Takes back that a mailbox was deleted.
    Restore {
        /// Its address or unique string.
        address: String,
    },
    /// Says what a purge of deleted mailboxes would take away; with --yes does it, for good.
    Purge {
        /// Only these; without any, all that were deleted.
        addresses: Vec<String>,
        /// Takes the data away.
        #[arg(long)]
        yes: bool,
    },
    /// Lists the messages of a mailbox, the youngest first.
    Messages {
        /// Its address or unique string.
        address: String,
        /// Only of this folder: inbox, saved, deleted, sent, greetings.
        #[arg(long, value_parser = folder)]
        folder: Option<Folder>,
        /// Only those not heard or read.
        #[arg(long)]
        unread: bool,
        /// Only those with this text in caller, number or subject.
        #[arg(long, value_name = "TEXT", default_value = "")]
        search: String,
        /// At most so many; without it all.
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
    },
    /// Puts a message into mailboxes: a text, audio, files.
    Send {
        /// Their addresses or unique strings.
        #[arg(required = true)]
        addresses: Vec<String>,
        /// What it is about.
        #[arg(long, default_value = "")]
        subject: String,
        /// The text.
        #[arg(long, default_value = "")]
        text: String,
        /// A file with audio, which is compressed as voice messages are; then it is a voice message.
        #[arg(long, value_name = "FILE")]
        audio: Option<PathBuf>,
        /// A file that goes with it as it is; may be given several times.
        #[arg(long, value_name = "FILE")]
        attach: Vec<PathBuf>,
    },
    /// Reads every byte of mailboxes and says what is wrong. Exit status 1 when something is.
    Check {
        /// Only these; without any, all.
        addresses: Vec<String>,
    },
    /// Checks mailboxes and mends what is wrong: damaged messages, and files that belong to none, go into quarantine; the
    /// catalog is made to say what the files do; a damaged mailbox.json is made anew.
    Repair {
        /// Only these; without any, all.
        addresses: Vec<String>,
    },
    /// Copies the messages of a mailbox into an empty folder, with a list that spreadsheets read. What is damaged or missing
    /// is told, and then the exit status is 1.
    Export {
        /// Its address or unique string.
        address: String,
        /// The folder.
        to: PathBuf,
    },
    /// What the store holds, and which processes use it.
    Stats,
    /// Copies everything to a new root and shuts the old one; servers then take messages into their spools until mail.root
    /// is the new one. Interrupted, it goes on when it is called again.
    Move {
        /// The new root: an empty folder, or one that does not exist yet.
        to: PathBuf,
    },
}

/// A bound of a mailbox as it is written.
#[derive(Clone, Copy, Debug)]
enum Quota {
    Everybodys,
    None,
    Most(u64),
}

impl std::str::FromStr for Quota {
    type Err = &'static str;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word {
            "default" => Ok(Self::Everybodys),
            "none" => Ok(Self::None),
            number => match number.parse() {
                Ok(0) => Ok(Self::None),
                Ok(most) => Ok(Self::Most(most)),
                Err(_) => Err("a number, none or default"),
            },
        }
    }
}

impl Quota {
    const fn number(self) -> Option<u64> {
        match self {
            Self::Everybodys => None,
            Self::None => Some(0),
            Self::Most(most) => Some(most),
        }
    }
}

/// How often it is told how far long work is, where that is no terminal.
const TOLD: Duration = Duration::from_secs(10);

fn folder(word: &str) -> Result<Folder, String> {
    Folder::parse(word).ok_or_else(|| "inbox, saved, deleted, sent or greetings".to_owned())
}

/// Prints a line, and fails where that cannot be done.
macro_rules! say {
    ($($words:tt)*) => {
        writeln!(std::io::stdout().lock(), $($words)*).map_err(|error| unsaid(&error))?
    };
}

fn unsaid(error: &std::io::Error) -> Failure {
    Failure(format!("it was done, and the answer cannot be written: {error}"))
}

/// A store with a thread that gives signs of life.
struct Opened {
    store: Arc<MessageStore>,
    unused_days: u32,
    _ticker: Ticker,
}

/// Text with what is behind an error.
fn told(error: &dyn std::error::Error) -> String {
    let source = error.source().map(|source| format!(": {source}")).unwrap_or_default();
    format!("{error}{source}")
}

/// What goes wrong, in words.
struct Failure(String);

impl From<MailError> for Failure {
    fn from(error: MailError) -> Self {
        Self(told(&error))
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self(error.to_string())
    }
}

type Outcome = Result<Exit, Failure>;

impl Arguments {
    pub(super) fn run(self) -> Exit {
        let config = ConfigArgs { config: self.config.clone(), settings: Vec::new() };
        let Ok(plan) = config.load_or_explain() else { return Exit::Usage };
        let root = self.root.clone().unwrap_or_else(|| plan.mail.root(&plan.state_dir));
        // What root may read the owner of the store may not.
        let users = if let Verb::Import { file, .. } = &self.verb {
            match users_of(file) {
                Ok(users) => users,
                Err(failure) => return finish(Err(failure)),
            }
        } else {
            String::new()
        };
        let owned =
            if self.root.is_none() && plan.mail.root.is_none() { &plan.state_dir } else { &root };
        if let Err(error) = become_owner(owned) {
            return finish(Err(Failure(format!("{}: {error}", owned.display()))));
        }
        if let Verb::Init = self.verb {
            return finish(init(&root, self.json));
        }
        if self.root.is_none()
            && let Err(error) = crate::mail::make_default(&plan)
        {
            return finish(Err(Failure(format!("{}: {}", root.display(), told(&error)))));
        }
        let disk = Arc::new(SystemDisk::new());
        let host = Arc::new(SystemHost);
        let opened = MessageStore::open(disk, host, &root, None, plan.mail.options());
        let store = match opened {
            Ok(store) => Arc::new(store),
            Err(error) => return finish(Err(error.into())),
        };
        // A root that a move has shut already is no store for anything else.
        if !matches!(self.verb, Verb::Move { .. })
            && let Err(error) = store.join()
        {
            return finish(Err(error.into()));
        }
        let ticker = match Ticker::start(Arc::clone(&store), Sweeps::Never) {
            Ok(ticker) => ticker,
            Err(error) => return finish(Err(error.into())),
        };
        let opened = Opened {
            store: Arc::clone(&store),
            unused_days: plan.mail.unused_days,
            _ticker: ticker,
        };
        let done = opened.run(&self, &users);
        drop(opened);
        store.close();
        finish(done)
    }
}

fn users_of(file: &Path) -> Result<String, Failure> {
    if file == Path::new("-") {
        return Ok(std::io::read_to_string(std::io::stdin())?);
    }
    std::fs::read_to_string(file).map_err(|error| Failure(format!("{}: {error}", file.display())))
}

/// As root, becomes who owns the store: a server that runs as somebody else could not read what root makes there.
fn become_owner(folder: &Path) -> std::io::Result<()> {
    let Ok(about) = folder.metadata() else { return Ok(()) };
    if !Uid::effective().is_root() || about.uid() == 0 {
        return Ok(());
    }
    let (user, group) = (Uid::from_raw(about.uid()), Gid::from_raw(about.gid()));
    setgroups(&[group])?;
    setgid(group)?;
    Ok(setuid(user)?)
}

fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| unsaid(&error))
}

fn finish(done: Outcome) -> Exit {
    done.unwrap_or_else(|Failure(why)| {
        eprintln!("entracte: {why}");
        Exit::Failed
    })
}

fn init(root: &Path, json: bool) -> Outcome {
    MessageStore::initialise(&SystemDisk::new(), &SystemHost, root)
        .map_err(|error| Failure(format!("{}: {}", root.display(), told(&error))))?;
    if json {
        say!("{}", json!({ "root": root }));
    } else {
        say!("{} is a message store", root.display());
    }
    Ok(Exit::Done)
}

/// How far long work is: a bar on a terminal, else a line now and then.
fn progress(what: &str) -> impl FnMut(u64, u64) {
    let is_terminal = std::io::stderr().is_terminal();
    let what = what.to_owned();
    let mut told = crate::clock::instant();
    move |done, of| {
        if is_terminal {
            let width = 30;
            let full = usize::try_from(done * width / of.max(1)).unwrap_or(0);
            let end = if done >= of { "\n" } else { "" };
            eprint!("\r{what} [{:<30}] {done} of {of}{end}", "#".repeat(full));
            let _ = std::io::stderr().flush();
        } else if told.elapsed() >= TOLD {
            told = crate::clock::instant();
            eprintln!("{what}: {done} of {of}");
        }
    }
}

fn unique(text: &str) -> Result<Unique, Failure> {
    let address = Address::parse(text);
    address.map(|address| address.unique).map_err(|error| Failure(format!("{text:?}: {error}")))
}

impl Opened {
    fn run(&self, asked: &Arguments, users: &str) -> Outcome {
        let json = asked.json;
        match &asked.verb {
            Verb::Init => Ok(Exit::Done),
            Verb::Import { file, release_others, dry_run } => {
                self.import((file, users), [*release_others, *dry_run], json)
            }
            Verb::Create { address } => self.create(address, json),
            Verb::List { unused, days, deleted } => {
                let days = unused.then(|| days.unwrap_or(self.unused_days));
                self.list(days, *deleted, json)
            }
            Verb::Show { address } => self.show(address, json),
            Verb::Rename { address, name } => {
                self.store.rename(&unique(address)?, name)?;
                self.show(address, json)
            }
            Verb::Bound { address, messages, bytes } => {
                let unique = unique(address)?;
                let now = self.store.mailbox(&unique)?;
                let messages = messages.map_or(now.quota_messages, Quota::number);
                let bytes = bytes.map_or(now.quota_bytes, Quota::number);
                self.store.bound(&unique, messages, bytes)?;
                self.show(address, json)
            }
            Verb::Delete { addresses } => self.delete(addresses, json),
            Verb::Restore { address } => {
                self.store.restore(&unique(address)?)?;
                self.show(address, json)
            }
            Verb::Purge { addresses, yes } => self.purge(addresses, *yes, json),
            Verb::Messages { address, folder, unread, search, limit } => {
                let query = Query {
                    folder: *folder,
                    unread: *unread,
                    search: search.clone(),
                    ..Query::default()
                };
                self.messages(&unique(address)?, query, limit.unwrap_or(usize::MAX), json)
            }
            Verb::Send { addresses, subject, text, audio, attach } => {
                let draft = self.draft(subject, text, audio.as_deref(), attach)?;
                self.send(addresses, &draft, json)
            }
            Verb::Check { addresses } => self.check(addresses, Repair::No, json),
            Verb::Repair { addresses } => self.check(addresses, Repair::Yes, json),
            Verb::Export { address, to } => self.export(address, to, json),
            Verb::Stats => self.stats(json),
            Verb::Move { to } => self.move_to(to, json),
        }
    }

    fn import(&self, (file, text): (&Path, &str), options: [bool; 2], json: bool) -> Outcome {
        let [release_others, dry_run] = options;
        let users = match NewUser::parse_list(text) {
            Ok(users) => users,
            Err(faults) => {
                if json {
                    say!("{}", json!({ "faults": faults }));
                } else {
                    let name = file.display();
                    faults.iter().for_each(|fault| eprintln!("{name}: {fault}"));
                    eprintln!("nobody was imported");
                }
                return Ok(Exit::Usage);
            }
        };
        if users.is_empty() && release_others {
            return Err(Failure(
                "there are no users in it: --release-others would take the user from every mailbox"
                    .to_owned(),
            ));
        }
        if dry_run {
            if json {
                say!("{}", json!({ "users": users.len() }));
            } else {
                say!("{} users; nothing was done", users.len());
            }
            return Ok(Exit::Done);
        }
        let (mut made, mut changed, mut kept, mut released) = (0, 0, 0, 0);
        let mut tell = progress("importing");
        let of = u64::try_from(users.len()).unwrap_or(u64::MAX);
        for (done, user) in (1..).zip(&users) {
            match self.store.import(user)? {
                UserOutcome::Made => made += 1,
                UserOutcome::Changed => changed += 1,
                UserOutcome::Kept => kept += 1,
            }
            tell(done, of);
        }
        if release_others {
            let known: std::collections::BTreeSet<_> =
                users.iter().filter_map(|user| Unique::parse(&user.unique).ok()).collect();
            for unique in self.store.uniques()? {
                if !known.contains(&unique) && self.store.mailbox(&unique)?.has_user {
                    self.store.release_user(&unique)?;
                    released += 1;
                }
            }
        }
        if json {
            say!(
                "{}",
                json!({ "made": made, "changed": changed, "kept": kept, "released": released })
            );
        } else {
            say!(
                "{made} made, {changed} changed, {kept} as they were, {released} without a user now"
            );
        }
        Ok(Exit::Done)
    }

    fn create(&self, address: &str, json: bool) -> Outcome {
        let address =
            Address::parse(address).map_err(|error| Failure(format!("{address:?}: {error}")))?;
        self.store.create(&address)?;
        if json {
            say!("{}", json!(self.store.mailbox(&address.unique)?));
        } else {
            say!("{}", self.store.resolve(&address.unique)?);
        }
        Ok(Exit::Done)
    }

    fn list(&self, unused_days: Option<u32>, deleted: bool, json: bool) -> Outcome {
        let mut found = Vec::new();
        for unique in self.store.uniques()? {
            let mailbox = match self.store.mailbox(&unique) {
                Ok(mailbox) => mailbox,
                Err(MailError::NoSuchMailbox(_)) => continue,
                Err(error) => return Err(error.into()),
            };
            let is_wanted = mailbox.deleted.is_some() == deleted
                && unused_days.is_none_or(|days| self.store.is_unused(&mailbox, days));
            if is_wanted {
                found.push(mailbox);
            }
        }
        if json {
            say!("{}", json!(found));
            return Ok(Exit::Done);
        }
        let head = ["UNIQUE", "NAME", "NEW", "MESSAGES", "BYTES", "LAST MESSAGE (UTC)", "STATE"];
        let rows: Vec<_> =
            std::iter::once(head.map(str::to_owned)).chain(found.iter().map(line)).collect();
        print(&columns(&rows))?;
        Ok(Exit::Done)
    }

    fn show(&self, address: &str, json: bool) -> Outcome {
        let mailbox = self.store.mailbox(&unique(address)?)?;
        if json {
            say!("{}", json!(mailbox));
            return Ok(Exit::Done);
        }
        let none = || "-".to_owned();
        let bound = |bound: Option<u64>| match bound {
            None => "as for everybody".to_owned(),
            Some(0) => "none".to_owned(),
            Some(most) => most.to_string(),
        };
        let counts = mailbox.counts.unwrap_or_default();
        let tally = |tally: mailbox::Tally| format!("{} new, {} old", tally.new, tally.old);
        let rows = [
            ["address", &mailbox.address],
            ["folder", &mailbox.folder],
            ["state", state(&mailbox)],
            ["made", &mailbox.created],
            ["damage", mailbox.damaged.as_deref().unwrap_or("-")],
            ["last log-in", &mailbox.last_login.clone().unwrap_or_else(none)],
            ["last message", &mailbox.last_received.clone().unwrap_or_else(none)],
            ["voice", &tally(counts.voice)],
            ["fax", &tally(counts.fax)],
            ["text", &tally(counts.text)],
            ["messages", &counts.messages.to_string()],
            ["bytes", &counts.bytes.to_string()],
            ["in the spool", &mailbox.spooled.to_string()],
            ["most messages", &bound(mailbox.quota_messages)],
            ["most bytes", &bound(mailbox.quota_bytes)],
        ];
        print(&columns(&rows.map(|row| row.map(str::to_owned))))?;
        Ok(Exit::Done)
    }

    fn delete(&self, addresses: &[String], json: bool) -> Outcome {
        // None is deleted when one of them is nonsense.
        let uniques: Vec<_> =
            addresses.iter().map(|address| unique(address)).collect::<Result<_, _>>()?;
        for unique in &uniques {
            self.store.delete(unique)?;
            if !json {
                say!("{unique} was deleted; `entracte mailbox purge` takes its data away");
            }
        }
        if json {
            let deleted: Vec<_> = uniques.iter().map(Unique::as_str).collect();
            say!("{}", json!({ "deleted": deleted }));
        }
        Ok(Exit::Done)
    }

    fn purge(&self, addresses: &[String], yes: bool, json: bool) -> Outcome {
        let chosen = if addresses.is_empty() {
            let mut deleted = self.store.uniques()?;
            deleted
                .retain(|unique| matches!(self.store.resolve(unique), Err(MailError::Deleted(_))));
            deleted
        } else {
            addresses.iter().map(|address| unique(address)).collect::<Result<_, _>>()?
        };
        let mut done = Vec::new();
        let mut exit = Exit::Done;
        for unique in &chosen {
            let purged =
                if yes { self.store.purge(unique) } else { self.store.purge_would(unique) };
            match purged {
                Ok(purged) => done.push(purged),
                // The others go all the same.
                Err(error) => {
                    eprintln!("entracte: {unique}: {}", told(&error));
                    exit = Exit::Failed;
                }
            }
        }
        if json {
            say!("{}", json!({ "done": yes, "mailboxes": done }));
            return Ok(exit);
        }
        for one in &done {
            say!("{}: {} files, {} bytes", one.unique, one.files, one.bytes);
        }
        let bytes: u64 = done.iter().map(|one| one.bytes).sum();
        if yes {
            say!("{} mailboxes and {bytes} bytes are gone", done.len());
        } else {
            say!("{} mailboxes and {bytes} bytes would go; --yes does it", done.len());
        }
        Ok(exit)
    }

    fn messages(&self, unique: &Unique, mut query: Query, limit: usize, json: bool) -> Outcome {
        let mut rows: Vec<Row> = Vec::new();
        let mut next: Option<Cursor> = None;
        loop {
            query.after = next;
            query.limit = (limit - rows.len()).min(mailbox::PAGE_MAX);
            if query.limit == 0 {
                break;
            }
            let page = self.store.list(unique, &query)?;
            rows.extend(page.rows);
            next = page.next;
            if next.is_none() {
                break;
            }
        }
        if json {
            say!("{}", json!(rows));
            return Ok(Exit::Done);
        }
        let head =
            ["RECEIVED (UTC)", "FOLDER", "", "TYPE", "SECONDS", "BYTES", "FROM", "ID", "SUBJECT"];
        let row = |row: &Row| {
            [
                Moment::from_micros(row.at).to_string().chars().take(19).collect(),
                row.folder.word().to_owned(),
                if row.marks.read { "" } else { "new" }.to_owned(),
                row.kind.word().to_owned(),
                row.duration_ms.map(|ms| ms.div_ceil(1_000).to_string()).unwrap_or_default(),
                row.bytes.to_string(),
                plain(if row.from.is_empty() { &row.number } else { &row.from }),
                row.id.to_string(),
                plain(&row.subject),
            ]
        };
        let rows: Vec<_> =
            std::iter::once(head.map(str::to_owned)).chain(rows.iter().map(row)).collect();
        print(&columns(&rows))?;
        Ok(Exit::Done)
    }

    fn draft(
        &self,
        subject: &str,
        text: &str,
        audio: Option<&Path>,
        attach: &[PathBuf],
    ) -> Result<Draft, Failure> {
        let kind = if audio.is_some() { Kind::Voice } else { Kind::Text };
        let (subject, body) = (subject.to_owned(), text.to_owned());
        let mut draft = Draft { subject, body, ..Draft::new(kind) };
        let named = |path: &Path, error: &dyn std::error::Error| {
            Failure(format!("{}: {error}", path.display()))
        };
        if let Some(path) = audio {
            let bytes = std::fs::read(path).map_err(|error| named(path, &error))?;
            let spoken = mailbox::compressed(bytes, "", self.store.compression());
            let spoken = spoken.map_err(|error| named(path, &error))?;
            draft.duration_ms = spoken.duration_ms;
            draft.attachments.push(spoken);
        }
        for path in attach {
            let about = std::fs::metadata(path).map_err(|error| named(path, &error))?;
            if !about.is_file() {
                return Err(Failure(format!("{}: it is no file", path.display())));
            }
            std::fs::File::open(path).map_err(|error| named(path, &error))?;
            draft.attachments.push(NewAttachment {
                media_type: media_type_of(path).to_owned(),
                codec: String::new(),
                duration_ms: None,
                title: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
                peaks: Vec::new(),
                content: Content::File(path.clone()),
            });
        }
        Ok(draft)
    }

    fn send(&self, addresses: &[String], draft: &Draft, json: bool) -> Outcome {
        draft.check_texts().map_err(MailError::Limit)?;
        if draft.subject.is_empty() && draft.body.is_empty() && draft.attachments.is_empty() {
            return Err(Failure(
                "there is nothing to send: --text, --audio or --attach".to_owned(),
            ));
        }
        let to: Vec<_> = addresses
            .iter()
            .map(|text| Address::parse(text).map_err(|error| Failure(format!("{text:?}: {error}"))))
            .collect::<Result<_, _>>()?;
        let mut exit = Exit::Done;
        let mut all = Vec::new();
        for (address, done) in addresses.iter().zip(self.store.deliver(draft, &to)) {
            match done {
                Ok(receipt) if json => all.push(json!({ "to": address, "id": receipt.id })),
                Ok(receipt) => say!("{address}: {}", receipt.id),
                Err(error) => {
                    eprintln!("entracte: {address}: {}", told(&error));
                    all.push(json!({ "to": address, "error": told(&error) }));
                    exit = Exit::Failed;
                }
            }
        }
        if json {
            say!("{}", json!(all));
        }
        Ok(exit)
    }

    fn check(&self, addresses: &[String], repair: Repair, json: bool) -> Outcome {
        let chosen = if addresses.is_empty() {
            self.store.uniques()?
        } else {
            addresses.iter().map(|address| unique(address)).collect::<Result<_, _>>()?
        };
        let mut tell = progress("reading");
        let of = u64::try_from(chosen.len()).unwrap_or(u64::MAX);
        let mut all: Vec<Checked> = Vec::new();
        let mut missed = 0;
        for (done, unique) in (1..).zip(&chosen) {
            match self.store.check(unique, repair) {
                Ok(checked) => all.push(checked),
                // Deleted or purged; or a later version's, of which the list tells.
                Err(MailError::Deleted(_) | MailError::NoSuchMailbox(_))
                    if addresses.is_empty() => {}
                // The others are looked at all the same.
                Err(error @ (MailError::LaterMailbox(_) | MailError::Busy(_))) => {
                    eprintln!("entracte: {unique}: {error}");
                    missed += 1;
                }
                Err(error) => return Err(Failure(format!("{unique}: {}", told(&error)))),
            }
            tell(done, of);
        }
        let faults: usize = all.iter().map(|one| one.faults.len()).sum();
        let left = all.iter().flat_map(|one| &one.faults).filter(|fault| !fault.mended).count();
        let messages: u64 = all.iter().map(|one| one.messages).sum();
        let bytes: u64 = all.iter().map(|one| one.bytes).sum();
        if json {
            let answer =
                json!({ "mailboxes": all, "faults": faults, "left": left, "missed": missed });
            say!("{answer}");
            return Ok(if left + missed == 0 { Exit::Done } else { Exit::Failed });
        }
        for one in &all {
            for fault in &one.faults {
                let mended = if fault.mended { " (mended)" } else { "" };
                say!("{}: {}: {}{mended}", one.unique, fault.file, fault.what);
            }
            if one.quarantined > 0 {
                let (unique, files) = (&one.unique, one.quarantined);
                say!("{unique}: {files} files in quarantine; their notes say why");
            }
        }
        let unfinished: u64 = all.iter().map(|one| one.unfinished).sum();
        if unfinished > 0 {
            say!("{unfinished} files of deliveries that are under way or were interrupted today");
        }
        say!(
            "{} mailboxes, {messages} messages, {bytes} bytes read: {faults} faults, {} mended",
            all.len(),
            faults - left
        );
        if missed > 0 {
            say!("{missed} mailboxes were not looked at");
        }
        Ok(if left + missed == 0 { Exit::Done } else { Exit::Failed })
    }

    fn export(&self, address: &str, to: &Path, json: bool) -> Outcome {
        let exported = self.store.export(&unique(address)?, to)?;
        if json {
            say!("{}", json!(exported));
        } else {
            let mailbox::Exported { messages, files, bytes, faults } = &exported;
            for fault in faults {
                eprintln!("entracte: {}: {}", fault.file, fault.what);
            }
            say!("{messages} messages, {files} files, {bytes} bytes in {}", to.display());
        }
        Ok(if exported.faults.is_empty() { Exit::Done } else { Exit::Failed })
    }

    fn stats(&self, json: bool) -> Outcome {
        let stats = self.store.stats(&mut progress("reading"))?;
        let nodes = self.store.nodes()?;
        if json {
            say!("{}", json!({ "store": stats, "nodes": nodes }));
            return Ok(Exit::Done);
        }
        let mut rows = vec![
            ["mailboxes".to_owned(), stats.mailboxes.to_string()],
            ["with a user".to_owned(), stats.users.to_string()],
            ["deleted, not purged".to_owned(), stats.deleted.to_string()],
            ["damaged".to_owned(), stats.damaged.to_string()],
            ["lamps lit".to_owned(), stats.waiting.to_string()],
            ["messages".to_owned(), stats.messages.to_string()],
            ["bytes".to_owned(), stats.bytes.to_string()],
        ];
        rows.extend(
            stats.folders.iter().map(|(folder, n)| [format!("in {folder}"), n.to_string()]),
        );
        for node in nodes.iter().filter(|node| !node.is_this) {
            let alive = if node.is_alive { "alive" } else { "dead" };
            rows.push([format!("node {}", node.node), format!("{alive}, on {}", node.host)]);
        }
        print(&columns(&rows))?;
        Ok(Exit::Done)
    }

    fn move_to(&self, to: &Path, json: bool) -> Outcome {
        let moved = self.store.move_here(to, &mut progress("copying"))?;
        if json {
            say!("{}", json!(moved));
        } else {
            say!(
                "{} files and {} bytes copied, {} were there; set mail.root = {:?}",
                moved.copied,
                moved.bytes,
                moved.kept,
                to
            );
        }
        Ok(Exit::Done)
    }
}

/// A text on one line, and in its own direction.
fn plain(text: &str) -> String {
    let turns = ['\u{202a}'..='\u{202e}', '\u{2066}'..='\u{2069}'];
    let is_odd = |c: char| c.is_control() || turns.iter().any(|turn| turn.contains(&c));
    text.replace(is_odd, " ")
}

/// What a file is, by its name.
fn media_type_of(path: &Path) -> &'static str {
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    match &*extension {
        "pdf" => "application/pdf",
        "tif" | "tiff" => "image/tiff",
        "jpg" | "jpeg" => "image/jpeg",
        "txt" => "text/plain",
        "wav" => "audio/x-wav",
        "ogg" | "opus" => "audio/ogg",
        "mp3" => "audio/mpeg",
        _ => "application/octet-stream",
    }
}

fn state(mailbox: &Mailbox) -> &'static str {
    match (&mailbox.deleted, mailbox.has_user) {
        _ if mailbox.damaged.is_some() => "damaged",
        (Some(_), _) => "deleted",
        (None, true) => "in use",
        (None, false) => "no user",
    }
}

fn line(mailbox: &Mailbox) -> [String; 7] {
    let counts = mailbox.counts.map(|counts| {
        let new = counts.voice.new + counts.fax.new + counts.text.new;
        [new.to_string(), counts.messages.to_string(), counts.bytes.to_string()]
    });
    // What is not known is not zero.
    let [new, messages, bytes] = counts.unwrap_or_else(|| ["?", "?", "?"].map(str::to_owned));
    let last = mailbox.last_received.as_deref().unwrap_or("-");
    [
        mailbox.unique.clone(),
        mailbox.friendly.clone(),
        new,
        messages,
        bytes,
        last.chars().take(19).collect(),
        state(mailbox).to_owned(),
    ]
}

//! `entracte mailbox`: the message store, from the command line. It works on the files themselves, whether a server
//! runs or not: it is one more node among those that use the root.

use std::io::{IsTerminal as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Subcommand};
use mailbox::{
    Address, AgreeWith, Checked, Content, Cursor, Draft, EmailAfter, EmailRule, EmailSend, Folder,
    Kind, MailError, Mailbox, MessageStore, Moment, NewAttachment, NewUser, Query, Repair, Row,
    Sweeps, SystemHost, Ticker, Unique, UserOutcome,
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
    /// Gives the user of a mailbox the password to log in with by IMAP. It is read from standard input: typed twice at a terminal,
    /// else its first line.
    Password {
        /// Its address or unique string.
        address: String,
        /// Takes the password away: nobody logs in as this user.
        #[arg(long)]
        remove: bool,
    },
    /// Lets messages that come into a mailbox from now on go on by e-mail, through mail.relays.
    Email {
        /// Its address or unique string.
        address: String,
        /// To whom, as anna@office.example; without it nothing changes, and how it is is shown.
        to: Option<String>,
        /// What: copy is all of the message; notice is word that it came, notice-with-audio with its files.
        #[arg(long, default_value = "copy", requires = "to")]
        send: EmailSend,
        /// What becomes of the message here once a relay took it: keep, read, delete.
        #[arg(long, default_value = "keep", requires = "to")]
        after: EmailAfter,
        /// Where the copies come to, one of mail.servers, and whose INBOX it is there if not that of the e-mail address: as office, or
        /// office/anna. What is read or deleted there is so here then, and the other way round.
        #[arg(long, value_name = "SERVER[/USER]", requires = "to")]
        agree_with: Option<AgreeWith>,
        /// Nothing goes on any more.
        #[arg(long, conflicts_with = "to")]
        remove: bool,
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

mod deeds;

fn unsaid(error: &std::io::Error) -> Failure {
    Failure(format!("it was done, and the answer cannot be written: {error}"))
}

/// A store with a thread that gives signs of life.
struct Opened {
    store: Arc<MessageStore>,
    unused_days: u32,
    /// The names of mail.servers; none where the root was named and not the configuration.
    servers: Option<Vec<String>>,
    has_relays: bool,
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
        let input = match self.input() {
            Ok(input) => input,
            Err(failure) => return finish(Err(failure)),
        };
        let owned =
            if self.root.is_none() && plan.mail.root.is_none() { &plan.state_dir } else { &root };
        if let Err(error) = become_owner(owned) {
            return finish(Err(Failure(format!("{}: {error}", owned.display()))));
        }
        if let Verb::Init = self.verb {
            return finish(init(&root, self.json));
        }
        // Whoever only looks makes nothing.
        let makes = matches!(self.verb, Verb::Create { .. } | Verb::Import { .. });
        if self.root.is_none()
            && makes
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
            servers: (self.root.is_none() || self.config.is_some())
                .then(|| plan.mail.servers.iter().map(|server| server.name.clone()).collect()),
            has_relays: plan.mail.outgoing.is_some(),
            _ticker: ticker,
        };
        let done = opened.run(&self, &input);
        drop(opened);
        store.close();
        finish(done)
    }
}

impl Arguments {
    /// What is read before anything is done: users to be imported, the hash of a password.
    fn input(&self) -> Result<String, Failure> {
        if let Verb::Import { file, .. } = &self.verb {
            return users_of(file);
        }
        if let Verb::Password { remove: false, .. } = &self.verb {
            return super::accounts::read_hash().map_err(Failure);
        }
        Ok(String::new())
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

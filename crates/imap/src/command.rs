use crate::fetch::Fetch;
use crate::lexer::Lexer;
use crate::search::Search;
use crate::sequence::SequenceSet;
use crate::write;

/// Most items of a list in a command: flags, URLs, status items.
const ITEMS_MAX: usize = 200;

/// What a client asks for. RFC 9051 §6, with RFC 2087, 2971, 4467, 5524 and 7162.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Command {
    /// CAPABILITY.
    Capability,
    /// NOOP.
    Noop,
    /// LOGOUT.
    Logout,
    /// ID: who the client says that it is; names and values. RFC 2971.
    Id(Vec<(String, String)>),
    /// STARTTLS.
    StartTls,
    /// AUTHENTICATE.
    Authenticate {
        /// The mechanism, in upper case.
        mechanism: String,
        /// The first response, in base64.
        initial: Option<String>,
    },
    /// LOGIN.
    Login {
        /// Who.
        user: String,
        /// The password.
        password: String,
    },
    /// ENABLE: names in upper case.
    Enable(Vec<String>),
    /// SELECT and EXAMINE.
    Select {
        /// Which mailbox.
        mailbox: String,
        /// Whether it may be changed.
        mode: Mode,
        /// Whether the state of messages is to be told from now on. RFC 7162 §3.1.8.
        condstore: bool,
    },
    /// CREATE.
    Create(String),
    /// DELETE.
    Delete(String),
    /// RENAME, from and to.
    Rename(String, String),
    /// SUBSCRIBE.
    Subscribe(String),
    /// UNSUBSCRIBE.
    Unsubscribe(String),
    /// LIST, LSUB.
    List {
        /// What names are relative to.
        reference: String,
        /// Which names.
        patterns: Vec<String>,
        /// Which of them, and what else is told.
        options: ListOptions,
        /// Whether it was LSUB. RFC 3501 §6.3.9.
        is_lsub: bool,
    },
    /// NAMESPACE.
    Namespace,
    /// STATUS.
    Status {
        /// Of which mailbox.
        mailbox: String,
        /// What.
        items: Vec<StatusItem>,
    },
    /// APPEND.
    Append(Append),
    /// IDLE.
    Idle,
    /// GETQUOTA of a root.
    GetQuota(String),
    /// GETQUOTAROOT of a mailbox.
    GetQuotaRoot(String),
    /// SETQUOTA.
    SetQuota,
    /// GENURLAUTH: URLs, each with a mechanism in upper case. RFC 4467 §7.
    GenUrlAuth(Vec<(String, String)>),
    /// RESETKEY of a mailbox, or of all.
    ResetKey(Option<String>),
    /// URLFETCH. RFC 4467 §7, RFC 5524.
    UrlFetch(Vec<UrlFetch>),
    /// CHECK. RFC 3501 §6.4.1.
    Check,
    /// CLOSE.
    Close,
    /// UNSELECT.
    Unselect,
    /// EXPUNGE; of these only, by UID.
    Expunge(Option<SequenceSet>),
    /// SEARCH.
    Search(Numbering, Search),
    /// FETCH.
    Fetch(Numbering, SequenceSet, Fetch),
    /// STORE.
    Store(Numbering, SequenceSet, Store),
    /// COPY.
    Copy(Numbering, SequenceSet, String),
    /// MOVE.
    Move(Numbering, SequenceSet, String),
}

/// Whether a mailbox is opened to be changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mode {
    /// SELECT.
    ReadWrite,
    /// EXAMINE.
    ReadOnly,
}

/// What the numbers of a command are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Numbering {
    /// Places in the mailbox.
    Sequence,
    /// UIDs.
    Uid,
}

/// Options of LIST. RFC 9051 §6.3.9, RFC 5258, 5819, 6154.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "each is one word of the command")]
pub struct ListOptions {
    /// Only those subscribed to.
    pub subscribed: bool,
    /// Only those of a special use.
    pub special_use: bool,
    /// Those above one that matches, too.
    pub recursive: bool,
    /// Tell which are subscribed to.
    pub return_subscribed: bool,
    /// Tell this status of each.
    pub status: Option<Vec<StatusItem>>,
}

/// What STATUS tells.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StatusItem {
    /// MESSAGES.
    Messages,
    /// RECENT. RFC 3501.
    Recent,
    /// UIDNEXT.
    UidNext,
    /// UIDVALIDITY.
    UidValidity,
    /// UNSEEN.
    Unseen,
    /// DELETED.
    Deleted,
    /// SIZE.
    Size,
    /// HIGHESTMODSEQ. RFC 7162.
    HighestModSeq,
}

/// What is appended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Append {
    /// To which mailbox.
    pub mailbox: String,
    /// With which flags.
    pub flags: Vec<String>,
    /// When it came, in seconds since 1970.
    pub date: Option<u64>,
    /// The message.
    pub message: Vec<u8>,
}

/// What STORE does.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Store {
    /// How flags are changed.
    pub action: StoreAction,
    /// Whether nothing is told of it.
    pub silent: bool,
    /// Which flags.
    pub flags: Vec<String>,
    /// Only of messages that have not changed since. RFC 7162 §3.1.3.
    pub unchanged_since: Option<u64>,
}

/// How STORE changes flags.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StoreAction {
    /// These and no others.
    Replace,
    /// These, too.
    Add,
    /// These no more.
    Remove,
}

/// A URL, and what is wanted of it. RFC 5524 §3.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct UrlFetch {
    /// The URL.
    pub url: String,
    /// Its bytes as they stand.
    pub body: bool,
    /// Its bytes, with the transfer encoding undone.
    pub binary: bool,
    /// What it is.
    pub structure: bool,
}

/// A command that cannot be understood.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BadCommand {
    /// The tag that the answer needs, if there is one.
    pub tag: Option<String>,
    /// The command's name in upper case, if it is known.
    pub name: Option<String>,
    /// What was expected in its place.
    pub expected: &'static str,
}

impl Command {
    /// Reads a whole command, its literals in it.
    ///
    /// # Errors
    /// It is none; with as much of it as the answer needs.
    pub fn parse(bytes: &[u8]) -> Result<(String, Self), BadCommand> {
        let mut lexer = Lexer::new(bytes);
        let bad = |tag: Option<&str>, name: Option<&str>, expected| BadCommand {
            tag: tag.map(str::to_owned),
            name: name.map(str::to_owned),
            expected,
        };
        let tag = lexer.tag().map_err(|expected| bad(None, None, expected))?;
        let name = lexer.space().and_then(|()| lexer.keyword());
        let name = name.map_err(|_| bad(Some(tag), None, "a command"))?;
        let command =
            Self::read(&name, &mut lexer).and_then(|command| lexer.end().map(|()| command));
        match command {
            Ok(command) => Ok((tag.to_owned(), command)),
            Err(UNKNOWN) => Err(bad(Some(tag), None, UNKNOWN)),
            Err(expected) => Err(bad(Some(tag), Some(&name), expected)),
        }
    }

    fn read(name: &str, lexer: &mut Lexer<'_>) -> Result<Self, &'static str> {
        Ok(match name {
            "CAPABILITY" => Self::Capability,
            "NOOP" => Self::Noop,
            "LOGOUT" => Self::Logout,
            "STARTTLS" => Self::StartTls,
            "NAMESPACE" => Self::Namespace,
            "IDLE" => Self::Idle,
            "CHECK" => Self::Check,
            "CLOSE" => Self::Close,
            "UNSELECT" => Self::Unselect,
            "EXPUNGE" => Self::Expunge(None),
            "ID" => Self::Id(id(lexer)?),
            "AUTHENTICATE" => authenticate(lexer)?,
            "LOGIN" => {
                let user = argument(lexer)?;
                Self::Login { user, password: argument(lexer)? }
            }
            "ENABLE" => Self::Enable(many(lexer, |lexer| lexer.keyword())?),
            "SELECT" => select(lexer, Mode::ReadWrite)?,
            "EXAMINE" => select(lexer, Mode::ReadOnly)?,
            "UID" => uid(lexer)?,
            "LIST" => list(lexer)?,
            "LSUB" => {
                let reference = argument(lexer)?;
                lexer.space()?;
                let options = ListOptions { subscribed: true, ..ListOptions::default() };
                Self::List { reference, patterns: vec![lexer.pattern()?], options, is_lsub: true }
            }
            "APPEND" => Self::Append(append(lexer)?),
            name => return Self::about_mailboxes(name, lexer),
        })
    }

    /// Commands about mailboxes by name, and about URLs.
    fn about_mailboxes(name: &str, lexer: &mut Lexer<'_>) -> Result<Self, &'static str> {
        Ok(match name {
            "CREATE" => {
                let name = argument(lexer)?;
                if lexer.take(b' ') {
                    // The special use that it is to have. RFC 6154 §3.
                    lexer.list(|lexer| {
                        lexer.keyword()?;
                        lexer.space()?;
                        lexer.list(Lexer::flag)
                    })?;
                }
                Self::Create(name)
            }
            "DELETE" => Self::Delete(argument(lexer)?),
            "RENAME" => {
                let from = argument(lexer)?;
                Self::Rename(from, argument(lexer)?)
            }
            "SUBSCRIBE" => Self::Subscribe(argument(lexer)?),
            "UNSUBSCRIBE" => Self::Unsubscribe(argument(lexer)?),
            "STATUS" => {
                let mailbox = argument(lexer)?;
                lexer.space()?;
                let items = lexer.list(status_item)?;
                if items.is_empty() || items.len() > ITEMS_MAX {
                    return Err("what is to be told");
                }
                Self::Status { mailbox, items }
            }
            "GETQUOTA" => Self::GetQuota(argument(lexer)?),
            "GETQUOTAROOT" => Self::GetQuotaRoot(argument(lexer)?),
            "SETQUOTA" => {
                lexer.while_is(|_| true);
                Self::SetQuota
            }
            "GENURLAUTH" => Self::GenUrlAuth(many(lexer, |lexer| {
                let url = lexer.text()?;
                lexer.space()?;
                Ok((url, lexer.keyword()?))
            })?),
            "RESETKEY" => {
                let mailbox = lexer.take(b' ').then(|| lexer.text()).transpose()?;
                while lexer.take(b' ') {
                    lexer.keyword()?;
                }
                Self::ResetKey(mailbox)
            }
            "URLFETCH" => Self::UrlFetch(many(lexer, url_fetch)?),
            name => return numbered(Numbering::Sequence, name, lexer),
        })
    }
}

/// A string after a space.
fn argument(lexer: &mut Lexer<'_>) -> Result<String, &'static str> {
    lexer.space()?;
    lexer.text()
}

fn authenticate(lexer: &mut Lexer<'_>) -> Result<Command, &'static str> {
    lexer.space()?;
    let mechanism = lexer.keyword()?;
    let more = lexer.take(b' ');
    let initial = more.then(|| base64(lexer)).transpose()?;
    Ok(Command::Authenticate { mechanism, initial })
}

fn select(lexer: &mut Lexer<'_>, mode: Mode) -> Result<Command, &'static str> {
    let mailbox = argument(lexer)?;
    let mut condstore = false;
    if lexer.take(b' ') {
        let options = lexer.list(Lexer::keyword)?;
        condstore = !options.is_empty();
        if options.iter().any(|option| option != "CONDSTORE") {
            return Err("no parameter but CONDSTORE");
        }
    }
    Ok(Command::Select { mailbox, mode, condstore })
}

fn uid(lexer: &mut Lexer<'_>) -> Result<Command, &'static str> {
    lexer.space()?;
    let name = lexer.keyword()?;
    if name != "EXPUNGE" {
        return numbered(Numbering::Uid, &name, lexer);
    }
    lexer.space()?;
    Ok(Command::Expunge(Some(SequenceSet::read(lexer)?)))
}

/// What is expected where a command is that nobody knows.
const UNKNOWN: &str = "a command that is known";

fn numbered(by: Numbering, name: &str, lexer: &mut Lexer<'_>) -> Result<Command, &'static str> {
    if !matches!(name, "SEARCH" | "FETCH" | "STORE" | "COPY" | "MOVE") {
        return Err(UNKNOWN);
    }
    lexer.space()?;
    if name == "SEARCH" {
        return Search::read(lexer).map(|search| Command::Search(by, search));
    }
    let set = SequenceSet::read(lexer)?;
    lexer.space()?;
    Ok(match name {
        "FETCH" => Command::Fetch(by, set, Fetch::read(lexer)?),
        "STORE" => Command::Store(by, set, store(lexer)?),
        "COPY" => Command::Copy(by, set, lexer.text()?),
        _ => Command::Move(by, set, lexer.text()?),
    })
}

/// One or more, each after a space.
fn many<T>(
    lexer: &mut Lexer<'_>,
    mut one: impl FnMut(&mut Lexer<'_>) -> Result<T, &'static str>,
) -> Result<Vec<T>, &'static str> {
    let mut all = Vec::new();
    while lexer.take(b' ') {
        if all.len() == ITEMS_MAX {
            return Err("fewer arguments");
        }
        all.push(one(lexer)?);
    }
    if all.is_empty() { Err("an argument") } else { Ok(all) }
}

fn base64(lexer: &mut Lexer<'_>) -> Result<String, &'static str> {
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    let found = lexer.while_is(is_base64);
    let found = std::str::from_utf8(found).ok().filter(|found| !found.is_empty());
    found.map(str::to_owned).ok_or("a response in base64")
}

fn id(lexer: &mut Lexer<'_>) -> Result<Vec<(String, String)>, &'static str> {
    lexer.space()?;
    if lexer.take_keyword("NIL") {
        return Ok(Vec::new());
    }
    let words = lexer.list(|lexer| {
        if lexer.take_keyword("NIL") {
            return Ok(String::new());
        }
        String::from_utf8(lexer.string()?).map_err(|_| "a string in UTF-8")
    })?;
    // RFC 2971 §3.3 allows 30 pairs.
    if words.len() > 60 {
        return Err("at most 30 pairs");
    }
    let pairs = words.chunks(2).filter_map(|pair| match pair {
        [name, value] => Some((name.clone(), value.clone())),
        _ => None,
    });
    Ok(pairs.collect())
}

fn list(lexer: &mut Lexer<'_>) -> Result<Command, &'static str> {
    let mut options = ListOptions::default();
    lexer.space()?;
    if lexer.peek() == Some(b'(') {
        for option in lexer.list(Lexer::keyword)? {
            match option.as_str() {
                "SUBSCRIBED" => options.subscribed = true,
                "SPECIAL-USE" => options.special_use = true,
                "RECURSIVEMATCH" => options.recursive = true,
                "REMOTE" => {}
                _ => return Err("SUBSCRIBED, SPECIAL-USE, RECURSIVEMATCH or REMOTE"),
            }
        }
        lexer.space()?;
    }
    let reference = lexer.text()?;
    lexer.space()?;
    let patterns = if lexer.peek() == Some(b'(') {
        lexer.list(Lexer::pattern)?
    } else {
        vec![lexer.pattern()?]
    };
    if patterns.len() > ITEMS_MAX {
        return Err("fewer patterns");
    }
    if lexer.take(b' ') {
        if !lexer.take_keyword("RETURN") {
            return Err("RETURN");
        }
        lexer.space()?;
        lexer.list(|lexer| {
            match lexer.keyword()?.as_str() {
                "SUBSCRIBED" => options.return_subscribed = true,
                // Told in any case.
                "CHILDREN" | "SPECIAL-USE" => {}
                "STATUS" => {
                    lexer.space()?;
                    options.status = Some(lexer.list(status_item)?);
                }
                _ => return Err("SUBSCRIBED, CHILDREN, SPECIAL-USE or STATUS"),
            }
            Ok(())
        })?;
    }
    Ok(Command::List { reference, patterns, options, is_lsub: false })
}

fn status_item(lexer: &mut Lexer<'_>) -> Result<StatusItem, &'static str> {
    Ok(match lexer.keyword()?.as_str() {
        "MESSAGES" => StatusItem::Messages,
        "RECENT" => StatusItem::Recent,
        "UIDNEXT" => StatusItem::UidNext,
        "UIDVALIDITY" => StatusItem::UidValidity,
        "UNSEEN" => StatusItem::Unseen,
        "DELETED" => StatusItem::Deleted,
        "SIZE" => StatusItem::Size,
        "HIGHESTMODSEQ" => StatusItem::HighestModSeq,
        _ => return Err("a status item"),
    })
}

fn append(lexer: &mut Lexer<'_>) -> Result<Append, &'static str> {
    lexer.space()?;
    let mailbox = lexer.text()?;
    lexer.space()?;
    let mut flags = Vec::new();
    if lexer.peek() == Some(b'(') {
        flags = lexer.list(Lexer::flag)?;
        lexer.space()?;
    }
    if flags.len() > ITEMS_MAX {
        return Err("fewer flags");
    }
    let mut date = None;
    if lexer.peek() == Some(b'"') {
        let text = String::from_utf8(lexer.quoted()?).map_err(|_| "a date")?;
        date = Some(
            write::parse_internal_date(&text).ok_or("a date as \"17-Jul-1996 02:44:25 -0700\"")?,
        );
        lexer.space()?;
    }
    // `UTF8 (~{5}…)`, RFC 6855 §4.
    let wrapped = lexer.take_text("UTF8 (");
    let message = lexer.literal().map_err(|_| "a message as a literal")?.to_vec();
    if wrapped {
        lexer.need(b')', "one message only")?;
    }
    Ok(Append { mailbox, flags, date, message })
}

fn store(lexer: &mut Lexer<'_>) -> Result<Store, &'static str> {
    let mut unchanged_since = None;
    if lexer.take(b'(') {
        if !lexer.take_keyword("UNCHANGEDSINCE") {
            return Err("UNCHANGEDSINCE");
        }
        lexer.space()?;
        unchanged_since = Some(lexer.number64()?);
        lexer.need(b')', "one modifier only")?;
        lexer.space()?;
    }
    let action = if lexer.take(b'+') {
        StoreAction::Add
    } else if lexer.take(b'-') {
        StoreAction::Remove
    } else {
        StoreAction::Replace
    };
    let silent = match lexer.keyword()?.as_str() {
        "FLAGS" => false,
        "FLAGS.SILENT" => true,
        _ => return Err("FLAGS"),
    };
    lexer.space()?;
    let flags = if lexer.peek() == Some(b'(') {
        lexer.list(Lexer::flag)?
    } else {
        let mut flags = vec![lexer.flag()?];
        while lexer.take(b' ') && flags.len() <= ITEMS_MAX {
            flags.push(lexer.flag()?);
        }
        flags
    };
    if flags.len() > ITEMS_MAX {
        return Err("fewer flags");
    }
    Ok(Store { action, silent, flags, unchanged_since })
}

fn url_fetch(lexer: &mut Lexer<'_>) -> Result<UrlFetch, &'static str> {
    if !lexer.take(b'(') {
        return Ok(UrlFetch { url: lexer.text()?, ..UrlFetch::default() });
    }
    let mut fetch = UrlFetch { url: lexer.text()?, ..UrlFetch::default() };
    while lexer.take(b' ') {
        match lexer.keyword()?.as_str() {
            "BODY" => fetch.body = true,
            "BINARY" => fetch.binary = true,
            "BODYPARTSTRUCTURE" => fetch.structure = true,
            _ => return Err("BODY, BINARY or BODYPARTSTRUCTURE"),
        }
    }
    lexer.need(b')', "the end of what is wanted of a URL")?;
    if fetch.body && fetch.binary { Err("BODY or BINARY, not both") } else { Ok(fetch) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Command {
        let (tag, command) = Command::parse(format!("a1 {text}").as_bytes()).unwrap();
        assert_eq!(tag, "a1");
        command
    }

    fn text(text: &str) -> String {
        text.to_owned()
    }

    #[test]
    fn commands_are_read_as_the_standard_has_them() {
        assert_eq!(
            read("login anna \"se\\\"cret\""),
            Command::Login { user: text("anna"), password: text("se\"cret") }
        );
        assert_eq!(
            read("LOGIN {4}\r\nanna {2+}\r\npw"),
            Command::Login { user: text("anna"), password: text("pw") }
        );
        assert_eq!(
            read("AUTHENTICATE plain AGE="),
            Command::Authenticate { mechanism: text("PLAIN"), initial: Some(text("AGE=")) }
        );
        assert_eq!(
            read("SELECT INBOX (CONDSTORE)"),
            Command::Select { mailbox: text("INBOX"), mode: Mode::ReadWrite, condstore: true }
        );
        assert_eq!(read("UID EXPUNGE 3:5"), Command::Expunge(SequenceSet::parse("3:5")));
        assert_eq!(
            read("UID MOVE 1,2 Saved"),
            Command::Move(Numbering::Uid, SequenceSet::parse("1,2").unwrap(), text("Saved"))
        );
        let expected = Store {
            action: StoreAction::Add,
            silent: true,
            flags: vec![text("\\Seen"), text("$Forwarded")],
            unchanged_since: Some(12),
        };
        assert_eq!(
            read("STORE 1 (UNCHANGEDSINCE 12) +FLAGS.SILENT (\\Seen $Forwarded)"),
            Command::Store(Numbering::Sequence, SequenceSet::one(1), expected)
        );
        assert_eq!(
            read("ID (\"name\" \"x\" \"os\" NIL)"),
            Command::Id(vec![(text("name"), text("x")), (text("os"), String::new()),])
        );
        assert_eq!(read("RESETKEY INBOX INTERNAL"), Command::ResetKey(Some(text("INBOX"))));
        assert_eq!(
            read("GENURLAUTH \"imap://x\" INTERNAL"),
            Command::GenUrlAuth(vec![(text("imap://x"), text("INTERNAL"))])
        );
    }

    #[test]
    fn append_takes_flags_date_and_message() {
        let expected = Append {
            mailbox: text("Sent"),
            flags: vec![text("\\Seen")],
            date: Some(837_596_665),
            message: b"x\r\ny".to_vec(),
        };
        let command = "APPEND Sent (\\Seen) \"17-Jul-1996 02:44:25 -0700\" {4}\r\nx\r\ny";
        assert_eq!(read(command), Command::Append(expected));
        let Command::Append(append) = read("APPEND INBOX UTF8 (~{1}\r\nx)") else { panic!() };
        assert_eq!(append.message, b"x");
    }

    #[test]
    fn lists_have_options() {
        let Command::List { patterns, options, .. } =
            read("LIST (SUBSCRIBED) \"\" (INBOX \"S*\" %) RETURN (SPECIAL-USE STATUS (UNSEEN))")
        else {
            panic!()
        };
        assert_eq!(patterns, ["INBOX", "S*", "%"]);
        assert!(options.subscribed && options.status == Some(vec![StatusItem::Unseen]));
        let Command::List { reference, .. } = read("LIST \"\" *") else { panic!() };
        assert_eq!(reference, "");
    }

    #[test]
    fn what_cannot_be_understood_says_what_was_expected() {
        for (bytes, tag, name, expected) in [
            ("", None, None, "a tag"),
            ("+ NOOP", None, None, "a tag"),
            ("a", Some("a"), None, "a command"),
            ("a XYZZY", Some("a"), None, UNKNOWN),
            ("a UID NOOP", Some("a"), None, UNKNOWN),
            ("a NOOP x", Some("a"), Some("NOOP"), "the end of the command"),
            ("a LOGIN x", Some("a"), Some("LOGIN"), "a space"),
            ("a FETCH 0 FLAGS", Some("a"), Some("FETCH"), "a number above 0"),
            ("a STORE 1 FLAGS \\", Some("a"), Some("STORE"), "a flag"),
            ("a APPEND x y", Some("a"), Some("APPEND"), "a message as a literal"),
            ("a LOGIN {4}\r\nan", Some("a"), Some("LOGIN"), "a whole literal"),
        ] {
            let bad = Command::parse(bytes.as_bytes()).unwrap_err();
            let told = (bad.tag.as_deref(), bad.name.as_deref(), bad.expected);
            assert_eq!(told, (tag, name, expected), "{bytes}");
        }
    }
}

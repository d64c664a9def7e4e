//! Mailboxes: listed, imported, deleted, purged; and the messages of one, with a player.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::{Extension, Form};
use mailbox::{
    Folder, MailError, Mailbox, MessageId, Moment, NodeState, PendingMessage, Repair, Row, Unique,
};

use super::Frame;
use crate::accounts::Visitor;
use crate::answers::{page, refused, see_other};
use crate::context::Web;
use crate::guard::encode;
use crate::mail::{self, Mailboxes, MessageChange, Wanted, Which, told};
use crate::settings::Settings;
use crate::view::View;

/// Days that “unused” means where nothing else is asked for.
const UNUSED_DAYS: u32 = 90;

#[derive(Template)]
#[template(path = "mailboxes.html")]
struct MailboxesPage<'a> {
    frame: Frame<'a>,
    root: String,
    trouble: Option<String>,
    nodes: Vec<NodeState>,
    /// Messages in the spool, and the first of them.
    waiting: usize,
    pending: Vec<PendingMessage>,
    list: Mailboxes,
    which: Which,
    done: Option<String>,
    error: Option<String>,
    /// What was typed when it was refused.
    users: String,
    unused_days: u32,
}

impl MailboxesPage<'_> {
    fn path(mailbox: &Mailbox) -> String {
        path_of(&mailbox.unique)
    }

    fn next(&self) -> Option<String> {
        let after = self.list.next_after.as_deref()?;
        let unused = self.which.unused_days.map(|days| format!("&unused_days={days}"));
        let deleted = if self.which.deleted { "&deleted=true" } else { "" };
        let (q, after) = (encode(&self.which.q), encode(after));
        Some(format!("?q={q}{}{deleted}&after={after}", unused.unwrap_or_default()))
    }
}

fn path_of(unique: &str) -> String {
    format!("/mailboxes/{}", encode(unique).replace('/', "%2F"))
}

/// A number of bytes, for people.
fn size(bytes: &u64) -> String {
    match *bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{} kB", bytes.div_ceil(1_000)),
        _ => format!("{}.{} MB", bytes / 1_000_000, bytes / 100_000 % 10),
    }
}

fn day(rfc3339: &str) -> String {
    rfc3339.chars().take(16).map(|c| if c == 'T' { ' ' } else { c }).collect()
}

/// What came of something that was asked for.
#[derive(Default)]
struct Outcome {
    done: Option<String>,
    error: Option<String>,
    users: String,
}

async fn shown<V: View + Settings>(
    web: &Arc<Web<V>>,
    visitor: &Visitor,
    which: Which,
    outcome: Outcome,
) -> Response {
    let wanted = which.clone();
    let read = mail::with(web, move |store| {
        let nodes = store.nodes().unwrap_or_default();
        let list = mail::page_of(store, &wanted);
        Ok((store.root().display().to_string(), store.trouble(), nodes, store.pending(), list))
    });
    let Outcome { done, mut error, users } = outcome;
    let status = if error.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let none = || Mailboxes { mailboxes: Vec::new(), next_after: None, all: 0 };
    let (root, mut trouble, nodes, pending, list) = match read.await {
        Ok((root, trouble, nodes, pending, Ok(list))) => (root, trouble, nodes, pending, list),
        Ok((root, trouble, nodes, pending, Err(why))) => {
            (root, Some(trouble.unwrap_or_else(|| told(&why))), nodes, pending, none())
        }
        Err(why) => {
            error.get_or_insert_with(|| told(&why));
            (String::new(), None, Vec::new(), Vec::new(), none())
        }
    };
    if root.is_empty() {
        trouble = trouble.or_else(|| error.take());
    }
    let waiting = pending.len();
    let pending = pending.into_iter().take(mail::PENDING_MAX).collect();
    let frame = Frame::inside("Mailboxes", "/mailboxes", visitor);
    let unused_days = which.unused_days.unwrap_or(UNUSED_DAYS);
    let content = MailboxesPage {
        frame,
        root,
        trouble,
        nodes,
        waiting,
        pending,
        list,
        which,
        done,
        error,
        users,
        unused_days,
    };
    page(status, &content)
}

/// What the page is asked with: as the API, and how the box of the form comes.
#[derive(Clone, Debug, Default, serde::Deserialize)]
pub(crate) struct Asked {
    #[serde(default)]
    q: String,
    #[serde(default)]
    unused: String,
    #[serde(default)]
    unused_days: String,
    #[serde(default)]
    deleted: String,
    after: Option<String>,
}

impl Asked {
    fn which(self) -> Which {
        let days = self.unused_days.trim().parse().ok();
        let unused_days = match &*self.unused {
            "" => None,
            _ => Some(days.unwrap_or(UNUSED_DAYS)),
        };
        let deleted = !self.deleted.is_empty() && self.deleted != "false";
        Which { q: self.q, unused_days, deleted, after: self.after }
    }
}

pub(crate) async fn mailboxes<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Extension(visitor): Extension<Visitor>,
    Query(asked): Query<Asked>,
) -> Response {
    shown(&web, &visitor, asked.which(), Outcome::default()).await
}

/// What the form for users sends.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct Users {
    users: String,
}

/// Imports the users that were pasted.
pub(crate) async fn import<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Extension(visitor): Extension<Visitor>,
    Form(Users { users }): Form<Users>,
) -> Response {
    let outcome = match mail::imported(&web, &visitor, &users).await {
        Ok(Ok(mail::Imported { made, changed, kept })) => Outcome {
            done: Some(format!("{made} mailboxes made, {changed} changed, {kept} as they were.")),
            ..Outcome::default()
        },
        Ok(Err(faults)) => {
            let faults: Vec<_> = faults.iter().take(20).map(ToString::to_string).collect();
            let error = Some(format!("Nobody was imported. {}", faults.join("; ")));
            Outcome { error, users, ..Outcome::default() }
        }
        Err(error) => Outcome { error: Some(told(&error)), users, ..Outcome::default() },
    };
    shown(&web, &visitor, Which::default(), outcome).await
}

/// What a button of a mailbox wants.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct Deed {
    #[serde(default)]
    unique: String,
    deed: String,
    /// A folder of the server, for what goes there.
    #[serde(default)]
    to: String,
}

/// Deletes, restores, purges, checks, repairs or exports a mailbox; moves all; discards a message in the spool.
pub(crate) async fn act<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Extension(visitor): Extension<Visitor>,
    Form(Deed { unique, deed, to }): Form<Deed>,
) -> Response {
    let wanted = deed.clone();
    let (what, name) = (format!("mailbox: {wanted}"), format!("{unique} {to}"));
    let done = mail::noted(&web, &visitor, (&what, name), move |store| {
        if deed == "move" {
            let moved = mail::moved(store, &mail::ToFolder { to: to.clone() })?;
            return Ok(format!(
                "{} files with {} were copied, {} were there. Set mail.root to {to} and restart.",
                moved.copied,
                size(&moved.bytes),
                moved.kept
            ));
        }
        let unique = Unique::parse(&unique)?;
        Ok(match &*deed {
            "delete" => {
                store.delete(&unique)?;
                format!("{unique} was deleted. Its data are kept until they are purged.")
            }
            "restore" => {
                store.restore(&unique)?;
                format!("{unique} is back.")
            }
            "export" => {
                let exported = store.export(&unique, &mail::ToFolder { to: to.clone() }.path()?)?;
                let faults = exported.faults.iter().map(|f| format!("{}: {}", f.file, f.what));
                let faults = faults.take(20).collect::<Vec<_>>().join("; ");
                format!("{unique}: {} messages are in {to}. {faults}", exported.messages)
            }
            "discard" => {
                // Of a message in the spool, by its id.
                store.discard(mail::id(unique.as_str())?)?;
                "The message was taken out of the spool.".to_owned()
            }
            "purge" => {
                let purged = store.purge(&unique)?;
                format!("{unique}: {} files with {} are gone.", purged.files, size(&purged.bytes))
            }
            "check" | "repair" => {
                let repair = if deed == "repair" { Repair::Yes } else { Repair::No };
                let checked = store.check(&unique, repair)?;
                let mut read =
                    format!("{} messages and {} read", checked.messages, size(&checked.bytes));
                if checked.quarantined > 0 {
                    read = format!("{read}, {} files in quarantine", checked.quarantined);
                }
                let faults = checked.faults.iter().map(|f| format!("{}: {}", f.file, f.what));
                match faults.take(20).collect::<Vec<_>>() {
                    faults if faults.is_empty() => format!("{unique}: {read}; nothing is wrong."),
                    faults => format!("{unique}: {read}. {}", faults.join("; ")),
                }
            }
            _ => {
                return Err(MailError::Invalid(
                    "delete, restore, purge, check, repair, export, move or discard",
                ));
            }
        })
    });
    let which = Which { deleted: matches!(&*wanted, "restore" | "purge"), ..Which::default() };
    let outcome = match done.await {
        Ok(done) => Outcome { done: Some(done), ..Outcome::default() },
        Err(error) => Outcome { error: Some(told(&error)), ..Outcome::default() },
    };
    shown(&web, &visitor, which, outcome).await
}

/// A folder with what is in it, as its tab shows it.
struct Tab {
    word: &'static str,
    messages: u64,
    unread: u64,
    is_open: bool,
}

#[derive(Template)]
#[template(path = "mailbox.html")]
struct MailboxPage<'a> {
    frame: Frame<'a>,
    mailbox: Mailbox,
    path: String,
    tabs: Vec<Tab>,
    folder: Folder,
    rows: Vec<Row>,
    q: String,
    unread: bool,
    after: String,
    next: Option<String>,
    done: Option<String>,
    error: Option<String>,
}

impl MailboxPage<'_> {
    fn at(row: &Row) -> String {
        day(&Moment::from_micros(row.at).to_string())
    }

    fn from(row: &Row) -> String {
        match (&*row.from, &*row.number) {
            ("", "") => "unknown".to_owned(),
            ("", number) => number.to_owned(),
            (name, "") => name.to_owned(),
            (name, number) => format!("{name}, {number}"),
        }
    }

    fn length(row: &Row) -> String {
        let seconds = row.duration_ms.map(|ms| ms.div_ceil(1_000));
        let time = seconds.map(|seconds| format!("{}:{:02}", seconds / 60, seconds % 60));
        let pages = row.pages.map(|pages| format!("{pages} pages"));
        time.or(pages).unwrap_or_default()
    }

    fn is_sound(row: &Row) -> bool {
        row.attachments > 0 && row.duration_ms.is_some()
    }

    fn is_urgent(row: &Row) -> bool {
        row.importance == mailbox::Importance::High
    }
}

async fn mailbox_shown<V: View + Settings>(
    web: &Arc<Web<V>>,
    visitor: &Visitor,
    unique: String,
    wanted: Wanted,
    outcome: Outcome,
) -> Response {
    let folder = Folder::parse(&wanted.folder).unwrap_or(Folder::Inbox);
    let wanted = Wanted { folder: folder.word().to_owned(), limit: super::PAGE_ROWS, ..wanted };
    let query = match wanted.query() {
        Ok(query) => query,
        Err(why) => return refused(StatusCode::UNPROCESSABLE_ENTITY, why),
    };
    let read = mail::with(web, move |store| {
        let unique = Unique::parse(&unique)?;
        Ok((store.mailbox(&unique)?, store.list(&unique, &query)?))
    });
    let (mailbox, list) = match read.await {
        Ok(read) => read,
        Err(error) => return mail::refusal(&error),
    };
    let tab = |(at, folder): (usize, &Folder)| Tab {
        word: folder.word(),
        messages: list.counts.folders.get(at).copied().unwrap_or(0),
        unread: list.counts.unread.get(at).copied().unwrap_or(0),
        is_open: folder.word() == wanted.folder,
    };
    let Outcome { done, error, .. } = outcome;
    let title = format!("Mailbox of {}", mailbox.friendly);
    let status = if error.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let content = MailboxPage {
        frame: Frame::inside(&title, "/mailboxes/one", visitor),
        path: path_of(&mailbox.unique),
        tabs: mailbox::FOLDERS.iter().enumerate().map(tab).collect(),
        folder,
        mailbox,
        rows: list.rows,
        q: wanted.q,
        unread: wanted.unread,
        after: wanted.after,
        next: list.next.map(|next| next.to_string()),
        done,
        error,
    };
    page(status, &content)
}

pub(crate) async fn mailbox<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Extension(visitor): Extension<Visitor>,
    Path(unique): Path<String>,
    Query(wanted): Query<Wanted>,
) -> Response {
    mailbox_shown(&web, &visitor, unique, wanted, Outcome::default()).await
}

/// Does with the messages that were chosen what the button says.
pub(crate) async fn messages<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Extension(visitor): Extension<Visitor>,
    Path(unique): Path<String>,
    Form(form): Form<Vec<(String, String)>>,
) -> Response {
    let field =
        |name: &str| form.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    let ids = form.iter().filter(|(key, _)| key == "id");
    let ids: Vec<MessageId> = ids.filter_map(|(_, id)| MessageId::parse(id)).collect();
    let deed = field("deed").unwrap_or_default();
    let folder = field("folder").unwrap_or_default();
    if ids.is_empty() {
        let error = Some("No message was chosen.".to_owned());
        let wanted = Wanted { folder, ..Wanted::default() };
        return mailbox_shown(
            &web,
            &visitor,
            unique,
            wanted,
            Outcome { error, ..Outcome::default() },
        )
        .await;
    }
    let (name, what) = (unique.clone(), format!("messages: {deed}"));
    let detail = format!("{name}: {} messages", ids.len());
    let done = mail::noted(&web, &visitor, (&what, detail), move |store| {
        let unique = Unique::parse(&unique)?;
        let change = match &*deed {
            "read" => MessageChange::reading(true),
            "unread" => MessageChange::reading(false),
            "remove" => return store.remove(&unique, &ids),
            word => MessageChange::moving(
                Folder::parse(word).ok_or(MailError::Invalid("what is to be done"))?,
            ),
        };
        change.apply(store, &unique, &ids).map(drop)
    });
    match done.await {
        Ok(()) => {
            let (path, folder, q) =
                (path_of(&name), encode(&folder), field("q").unwrap_or_default());
            see_other(&format!("{path}?folder={folder}&q={}", encode(&q)))
        }
        Err(error) => {
            let outcome = Outcome { error: Some(told(&error)), ..Outcome::default() };
            let wanted = Wanted { folder, ..Wanted::default() };
            mailbox_shown(&web, &visitor, name, wanted, outcome).await
        }
    }
}

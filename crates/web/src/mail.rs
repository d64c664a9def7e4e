//! Mailboxes and messages, for programs. Everything here is for administrators: voice mail is private, and who listens
//! to it is noted.

mod messages;
pub(crate) mod servers;
mod sound;

pub(crate) use messages::{
    BulkOrder, Letter, Message, MessageChange, Messages, Sent, Wanted, bulk, change, events,
    forward, greet, greetings, id, list, message, remove, reply, send,
};
pub(crate) use sound::{attachment, audio};

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use mailbox::{
    Address, EmailRule, MailError, Mailbox, MessageStore, NewUser, Repair, Unique, UserOutcome,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::Semaphore;
use utoipa::ToSchema;

use crate::accounts::Visitor;
use crate::answers::refused;
use crate::context::Web;
use crate::pages::PAGE_ROWS;
use crate::settings::Settings;
use crate::view::View;

/// An error with what is behind it.
pub(crate) fn told(error: &MailError) -> String {
    let source = std::error::Error::source(error).map(|source| format!(": {source}"));
    format!("{error}{}", source.unwrap_or_default())
}

/// The answer that an error is.
pub(crate) fn refusal(error: &MailError) -> Response {
    let status = match error {
        MailError::NoSuchMailbox(_)
        | MailError::NoSuchMessage(_)
        | MailError::NoSuchAttachment(_) => StatusCode::NOT_FOUND,
        MailError::Deleted(_) | MailError::Broken(..) => StatusCode::GONE,
        MailError::Exists(_) | MailError::NotDeleted(_) | MailError::Target(_) => {
            StatusCode::CONFLICT
        }
        MailError::Here(_, error) if error.kind() == std::io::ErrorKind::StorageFull => {
            StatusCode::INSUFFICIENT_STORAGE
        }
        MailError::Here(..) => StatusCode::UNPROCESSABLE_ENTITY,
        MailError::Address(_)
        | MailError::Limit(_)
        | MailError::Invalid(_)
        | MailError::Undecodable(_) => StatusCode::UNPROCESSABLE_ENTITY,
        MailError::Private => StatusCode::FORBIDDEN,
        MailError::Damaged(..) => StatusCode::INTERNAL_SERVER_ERROR,
        MailError::Later(_) | MailError::LaterMailbox(_) => StatusCode::NOT_IMPLEMENTED,
        MailError::Full(_) => StatusCode::INSUFFICIENT_STORAGE,
        MailError::Busy(_) | MailError::Away(_) | MailError::NoStore(_) | _ => {
            StatusCode::SERVICE_UNAVAILABLE
        }
    };
    let mut response = refused(status, &told(error));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    }
    response
}

/// So many may ask the store at once: one that hangs must not take the threads that all others need.
static AT_ONCE: Semaphore = Semaphore::const_new(64);
/// Most messages of the spool that are shown.
pub(crate) const PENDING_MAX: usize = 100;
/// How long one waits for a place among them.
const PLACE: Duration = Duration::from_secs(5);

/// Does something where one may wait, if there is a place.
pub(super) async fn in_a_place<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, MailError> {
    let place = tokio::time::timeout(PLACE, AT_ONCE.acquire()).await;
    let Ok(Ok(place)) = place else {
        return Err(MailError::NoStore("the message store is busy, or does not answer".to_owned()));
    };
    let work = move || {
        // Kept as long as the thread is, also when nobody waits for it any more.
        let _place = place;
        work()
    };
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| MailError::NoStore("the message store failed".to_owned()))
}

/// Does something with the store.
pub(crate) async fn with<V: View + Settings, T: Send + 'static>(
    web: &Arc<Web<V>>,
    work: impl FnOnce(&MessageStore) -> Result<T, MailError> + Send + 'static,
) -> Result<T, MailError> {
    let Some(store) = web.view.mail() else {
        return Err(MailError::NoStore("there is no message store: mail.store_enabled".to_owned()));
    };
    in_a_place(move || work(&store)).await?
}

/// Does something with the store that is noted when it is done, whether whoever asked for it still waits or not.
pub(crate) async fn noted<V: View + Settings, T: Send + 'static>(
    web: &Arc<Web<V>>,
    visitor: &Visitor,
    (what, detail): (&str, String),
    work: impl FnOnce(&MessageStore) -> Result<T, MailError> + Send + 'static,
) -> Result<T, MailError> {
    let (view, who, what) = (Arc::clone(&web.view), visitor.name.clone(), what.to_owned());
    with(web, move |store| {
        let done = work(store)?;
        view.audit(&who, &what, &detail);
        Ok(done)
    })
    .await
}

/// As [`noted`], answered as JSON.
async fn noted_answer<V: View + Settings, T: Serialize + Send + 'static>(
    web: &Arc<Web<V>>,
    visitor: &Visitor,
    note: (&str, String),
    work: impl FnOnce(&MessageStore) -> Result<T, MailError> + Send + 'static,
) -> Response {
    match noted(web, visitor, note, work).await {
        Ok(done) => Json(done).into_response(),
        Err(error) => refusal(&error),
    }
}

/// As [`with`], answered as JSON.
async fn answered<V: View + Settings, T: Serialize + Send + 'static>(
    web: &Arc<Web<V>>,
    work: impl FnOnce(&MessageStore) -> Result<T, MailError> + Send + 'static,
) -> Response {
    match with(web, work).await {
        Ok(done) => Json(done).into_response(),
        Err(error) => refusal(&error),
    }
}

/// Which mailboxes are listed.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Which {
    /// Only those with this in their name or unique string.
    #[serde(default)]
    pub(crate) q: String,
    /// Only those unused for so many days.
    pub(crate) unused_days: Option<u32>,
    /// Those that were deleted, in place of the others.
    #[serde(default)]
    pub(crate) deleted: bool,
    /// After this one.
    pub(crate) after: Option<String>,
}

/// A page of mailboxes.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Mailboxes {
    pub(crate) mailboxes: Vec<Mailbox>,
    /// What the next page is asked with.
    pub(crate) next_after: Option<String>,
    /// Mailboxes in the store, deleted ones too.
    pub(crate) all: usize,
}

/// Reads mailboxes until a page is full: of ten thousand, only those are opened that come before its end.
pub(crate) fn page_of(store: &MessageStore, which: &Which) -> Result<Mailboxes, MailError> {
    let uniques = store.uniques()?;
    let wanted = which.q.to_lowercase();
    let after = which.after.as_deref().and_then(|after| Unique::parse(after).ok());
    let mut page = Mailboxes { mailboxes: Vec::new(), next_after: None, all: uniques.len() };
    for unique in uniques.iter().filter(|one| after.as_ref().is_none_or(|after| *one > after)) {
        let mailbox = match store.mailbox(unique) {
            Ok(mailbox) => mailbox,
            Err(MailError::NoSuchMailbox(_)) => continue,
            Err(error) => return Err(error),
        };
        let fits = mailbox.deleted.is_some() == which.deleted
            && mailbox.address.to_lowercase().contains(&wanted)
            && which.unused_days.is_none_or(|days| store.is_unused(&mailbox, days));
        if !fits {
            continue;
        }
        if page.mailboxes.len() == PAGE_ROWS {
            page.next_after = page.mailboxes.last().map(|last| last.unique.clone());
            break;
        }
        page.mailboxes.push(mailbox);
    }
    Ok(page)
}

pub(crate) async fn mailboxes<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Query(which): Query<Which>,
) -> Response {
    answered(&web, move |store| page_of(store, &which)).await
}

/// How the store is, all together.
pub(crate) async fn standing<V: View + Settings>(State(web): State<Arc<Web<V>>>) -> Response {
    answered(&web, |store| {
        let [delivered, spooled, refused] = store.delivered();
        Ok(json!({
            "root": store.root(),
            "trouble": store.trouble(),
            "nodes": store.nodes().unwrap_or_default(),
            "waiting": store.pending().len(),
            "pending": store.pending().into_iter().take(PENDING_MAX).collect::<Vec<_>>(),
            "quarantined": store.quarantined(),
            "moving": moving(),
            "delivered": { "mailbox": delivered, "spool": spooled, "refused": refused },
        }))
    })
    .await
}

/// What all mailboxes hold together. It looks at each of them.
pub(crate) async fn stats<V: View + Settings>(State(web): State<Arc<Web<V>>>) -> Response {
    answered(&web, |store| store.stats(&mut |_, _| {})).await
}

/// A folder of the server.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ToFolder {
    /// Its absolute path. It is made when it is not there, and is empty otherwise.
    pub(crate) to: String,
}

impl ToFolder {
    pub(crate) fn path(&self) -> Result<PathBuf, MailError> {
        let path = PathBuf::from(&self.to);
        if path.is_absolute() {
            Ok(path)
        } else {
            Err(MailError::Invalid("to is an absolute path"))
        }
    }
}

/// How far the move that runs is: mailboxes that were copied, of how many.
static MOVING: [AtomicU64; 2] = [AtomicU64::new(0), AtomicU64::new(0)];

/// Copies everything to a new root and shuts the old one. Interrupted, it goes on when it is asked for again.
pub(crate) async fn move_to<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Extension(visitor): Extension<Visitor>,
    Json(folder): Json<ToFolder>,
) -> Response {
    let note = ("message store moved", folder.to.clone());
    noted_answer(&web, &visitor, note, move |store| moved(store, &folder)).await
}

pub(crate) fn moved(store: &MessageStore, folder: &ToFolder) -> Result<mailbox::Moved, MailError> {
    let to = folder.path()?;
    let [copied, of] = &MOVING;
    let done = store.move_here(&to, &mut |done, all| {
        copied.store(done, Ordering::Relaxed);
        of.store(all, Ordering::Relaxed);
    });
    // One that was refused because another runs says nothing of that one.
    if !matches!(done, Err(MailError::Target(_))) {
        of.store(0, Ordering::Relaxed);
    }
    done
}

/// Copies the messages of a mailbox into a folder of the server.
pub(crate) async fn export<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Extension(visitor): Extension<Visitor>,
    Path(unique): Path<String>,
    Json(folder): Json<ToFolder>,
) -> Response {
    let note = ("mailbox exported", format!("{unique} to {}", folder.to));
    noted_answer(&web, &visitor, note, move |store| {
        store.export(&Unique::parse(&unique)?, &folder.path()?)
    })
    .await
}

/// Takes a message out of the spool that nobody shall have.
pub(crate) async fn discard<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Extension(visitor): Extension<Visitor>,
    Path(message): Path<String>,
) -> Response {
    let note = ("message discarded from the spool", message.clone());
    noted_answer(&web, &visitor, note, move |store| {
        let id = id(&message)?;
        store.discard(id)?;
        Ok(json!({ "id": id, "removed": true }))
    })
    .await
}

/// The move that runs, if one does.
fn moving() -> Option<serde_json::Value> {
    let [copied, of] = MOVING.each_ref().map(|number| number.load(Ordering::Relaxed));
    (of > 0).then(|| json!({ "copied": copied, "of": of }))
}

pub(crate) async fn mailbox<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Path(unique): Path<String>,
) -> Response {
    answered(&web, move |store| store.mailbox(&Unique::parse(&unique)?)).await
}

/// A mailbox to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewMailbox {
    /// `FBMC: <name> : <unique string>`, or the unique string alone.
    address: String,
}

/// Makes a mailbox.
pub(crate) async fn create<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Extension(visitor): Extension<Visitor>,
    Json(new): Json<NewMailbox>,
) -> Response {
    let note = ("mailbox made", new.address.clone());
    let done = noted(&web, &visitor, note, move |store| {
        let address = Address::parse(&new.address)?;
        store.create(&address)?;
        store.mailbox(&address.unique)
    });
    match done.await {
        Ok(mailbox) => (StatusCode::CREATED, Json(mailbox)).into_response(),
        Err(error) => refusal(&error),
    }
}

/// The password of a mailbox's user.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MailboxPassword {
    /// At least 8 characters; null takes it away: nobody logs in as this user.
    password: Option<String>,
}

/// Sets the password that a user logs in with by IMAP.
pub(crate) async fn password<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Extension(visitor): Extension<Visitor>,
    Path(name): Path<String>,
    Json(new): Json<MailboxPassword>,
) -> Response {
    if let Some(Err(why)) = new.password.as_deref().map(crate::accounts::check_password) {
        return refused(StatusCode::UNPROCESSABLE_ENTITY, &why);
    }
    let hash = match new.password {
        Some(password) => {
            let hashed =
                tokio::task::spawn_blocking(move || crate::accounts::hash_password(&password));
            match hashed.await {
                Ok(Ok(hash)) => Some(hash),
                Ok(Err(why)) => return refused(StatusCode::INTERNAL_SERVER_ERROR, &why),
                Err(_) => {
                    return refused(StatusCode::INTERNAL_SERVER_ERROR, "it could not be hashed");
                }
            }
        }
        None => None,
    };
    let note = (
        if hash.is_some() { "mailbox password set" } else { "mailbox password removed" },
        name.clone(),
    );
    noted_answer(&web, &visitor, note, move |store| {
        let unique = Unique::parse(&name)?;
        store.set_password_hash(&unique, hash)?;
        store.mailbox(&unique)
    })
    .await
}

/// What is to be other about a mailbox; what is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MailboxChange {
    /// What people call it.
    name: Option<String>,
    /// Most messages; 0 is no bound, null is everybody's.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<u64>)]
    quota_messages: Option<Option<u64>>,
    /// Most bytes; 0 is no bound, null is everybody's.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<u64>)]
    quota_bytes: Option<Option<u64>>,
    /// How messages that come from now on go on by e-mail; null is not at all.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<EmailRule>)]
    email: Option<Option<EmailRule>>,
}

/// A value that is there, although it may be null.
fn given<'de, D, T>(from: D) -> Result<Option<Option<T>>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::deserialize(from).map(Some)
}

impl MailboxChange {
    fn apply(&self, store: &MessageStore, unique: &Unique) -> Result<Mailbox, MailError> {
        if self.quota_messages.is_some() || self.quota_bytes.is_some() {
            let now = store.mailbox(unique)?;
            let messages = self.quota_messages.unwrap_or(now.quota_messages);
            store.bound(unique, messages, self.quota_bytes.unwrap_or(now.quota_bytes))?;
        }
        if let Some(name) = &self.name {
            store.rename(unique, name)?;
        }
        if let Some(email) = &self.email {
            store.set_email_rule(unique, email.clone())?;
        }
        store.mailbox(unique)
    }
}

/// Gives a mailbox another friendly name, bounds of its own, or another way for its messages by e-mail.
pub(crate) async fn rename<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Extension(visitor): Extension<Visitor>,
    Path(unique): Path<String>,
    Json(change): Json<MailboxChange>,
) -> Response {
    let with =
        change.email.as_ref().and_then(Option::as_ref).and_then(|rule| rule.agree_with.as_ref());
    if let Some(with) = with
        && !web.view.mail_server_names().contains(&with.server)
    {
        let why = format!("agree_with.server: mail.servers has no {:?}", with.server);
        return refused(StatusCode::UNPROCESSABLE_ENTITY, &why);
    }
    let named = change.name.as_ref().map(|name| format!(" is {name}")).unwrap_or_default();
    let note = ("mailbox changed", format!("{unique}{named}"));
    noted_answer(&web, &visitor, note, move |store| change.apply(store, &Unique::parse(&unique)?))
        .await
}

/// Deletes a mailbox; its data stay.
pub(crate) async fn delete<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Extension(visitor): Extension<Visitor>,
    Path(unique): Path<String>,
) -> Response {
    let note = ("mailbox deleted", unique.clone());
    noted_answer(&web, &visitor, note, move |store| {
        let unique = Unique::parse(&unique)?;
        store.delete(&unique)?;
        store.mailbox(&unique)
    })
    .await
}

/// Takes back that a mailbox was deleted.
pub(crate) async fn restore<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Extension(visitor): Extension<Visitor>,
    Path(unique): Path<String>,
) -> Response {
    let note = ("mailbox restored", unique.clone());
    noted_answer(&web, &visitor, note, move |store| {
        let unique = Unique::parse(&unique)?;
        store.restore(&unique)?;
        store.mailbox(&unique)
    })
    .await
}

/// Whether it is done or only told.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Really {
    /// Without it, it is only told what would be done.
    #[serde(default)]
    really: bool,
}

/// Takes away the data of a mailbox that was deleted, or says what that would be.
pub(crate) async fn purge<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Extension(visitor): Extension<Visitor>,
    Path(unique): Path<String>,
    Json(Really { really }): Json<Really>,
) -> Response {
    if really {
        let note = ("mailbox purged", unique.clone());
        noted_answer(&web, &visitor, note, move |store| store.purge(&Unique::parse(&unique)?)).await
    } else {
        answered(&web, move |store| store.purge_would(&Unique::parse(&unique)?)).await
    }
}

/// Whether what is wrong is mended.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CheckOrder {
    /// Damaged messages go into quarantine, and the catalog is made anew.
    #[serde(default)]
    repair: bool,
}

/// Reads every byte of a mailbox, and says what is wrong.
pub(crate) async fn check<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Extension(visitor): Extension<Visitor>,
    Path(unique): Path<String>,
    Json(CheckOrder { repair }): Json<CheckOrder>,
) -> Response {
    let repair = if repair { Repair::Yes } else { Repair::No };
    let what = if repair == Repair::Yes { "mailbox repaired" } else { "mailbox checked" };
    noted_answer(&web, &visitor, (what, unique.clone()), move |store| {
        store.check(&Unique::parse(&unique)?, repair)
    })
    .await
}

/// What an import did.
#[derive(Clone, Copy, Debug, Default, Serialize, ToSchema)]
pub(crate) struct Imported {
    /// New mailboxes.
    pub(crate) made: usize,
    /// Mailboxes with another name or other bounds, or that are back.
    pub(crate) changed: usize,
    /// Mailboxes that were as they should be.
    pub(crate) kept: usize,
}

/// Imports users from CSV or JSON.
pub(crate) async fn import<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Extension(visitor): Extension<Visitor>,
    text: String,
) -> Response {
    match imported(&web, &visitor, &text).await {
        Ok(Ok(imported)) => Json(imported).into_response(),
        Ok(Err(faults)) => {
            let first = faults.first().map(ToString::to_string).unwrap_or_default();
            let body = json!({ "error": first, "lines": faults });
            (StatusCode::UNPROCESSABLE_ENTITY, Json(body)).into_response()
        }
        Err(error) => refusal(&error),
    }
}

/// Imports users, all or, when a line is wrong, none.
pub(crate) async fn imported<V: View + Settings>(
    web: &Arc<Web<V>>,
    visitor: &Visitor,
    text: &str,
) -> Result<Result<Imported, Vec<mailbox::UserFault>>, MailError> {
    let users = match NewUser::parse_list(text) {
        Ok(users) => users,
        Err(faults) => return Ok(Err(faults)),
    };
    let (view, who) = (Arc::clone(&web.view), visitor.name.clone());
    let done = with(web, move |store| {
        let mut imported = Imported::default();
        let done = users.iter().try_for_each(|user| {
            match store.import(user)? {
                UserOutcome::Made => imported.made += 1,
                UserOutcome::Changed => imported.changed += 1,
                UserOutcome::Kept => imported.kept += 1,
            }
            Ok(())
        });
        // Also what was done before something went wrong.
        let Imported { made, changed, kept } = imported;
        let detail = format!("{made} made, {changed} changed, {kept} as they were");
        view.audit(&who, "users imported", &detail);
        done.map(|()| imported)
    });
    Ok(Ok(done.await?))
}

//! Messages: listed, read, marked, moved, deleted, sent, forwarded, answered; and what happens to them as it happens.

use std::convert::Infallible;

use axum::http::HeaderMap;
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use futures_util::stream::{StreamExt as _, unfold};
use mailbox::{
    Counts, Cursor, Draft, Envelope, Folder, Importance, Kind, MailEvent, MessageId,
    Query as ListQuery, Receipt, Row, Sender, Sensitivity,
};
use tokio::sync::broadcast::error::RecvError;

use super::*;
use crate::guard::Proof;

/// Most messages that one order changes.
const BULK_MAX: usize = 10_000;
/// Most recipients of a message.
const RECIPIENTS_MAX: usize = 1_000;

/// Which messages are listed.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Wanted {
    #[serde(default)]
    pub(crate) folder: String,
    #[serde(default)]
    pub(crate) unread: bool,
    #[serde(default)]
    pub(crate) q: String,
    #[serde(default)]
    pub(crate) after: String,
    #[serde(default)]
    pub(crate) limit: usize,
}

impl Wanted {
    pub(crate) fn query(&self) -> Result<ListQuery, &'static str> {
        let folder = match &*self.folder {
            "" => None,
            word => Some(
                Folder::parse(word)
                    .ok_or("folder is one of inbox, saved, deleted, sent, greetings")?,
            ),
        };
        let after = match &*self.after {
            "" => None,
            text => Some(Cursor::parse(text).ok_or("after is next_after of the page before")?),
        };
        let (unread, search, limit) = (self.unread, self.q.clone(), self.limit);
        Ok(ListQuery { folder, unread, search, after, limit })
    }
}

/// A message in a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Message {
    #[serde(flatten)]
    row: Row,
    /// When it was received, RFC 3339.
    received: String,
}

impl From<Row> for Message {
    fn from(row: Row) -> Self {
        let received = mailbox::Moment::from_micros(row.at).to_string();
        Self { row, received }
    }
}

/// A page of messages, the youngest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Messages {
    messages: Vec<Message>,
    /// What the next page is asked with.
    next_after: Option<String>,
    /// What the mailbox holds.
    counts: Counts,
    /// The number of the mailbox's last change: where events go on.
    sequence: u64,
    /// What the numbers of messages are valid with.
    uid_validity: u32,
}

pub(crate) async fn list<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Path(unique): Path<String>,
    Query(wanted): Query<Wanted>,
) -> Response {
    let query = match wanted.query() {
        Ok(query) => query,
        Err(why) => return refused(StatusCode::UNPROCESSABLE_ENTITY, why),
    };
    answered(&web, move |store| {
        let page = store.list(&Unique::parse(&unique)?, &query)?;
        Ok(Messages {
            messages: page.rows.into_iter().map(Message::from).collect(),
            next_after: page.next.map(|next| next.to_string()),
            counts: page.counts,
            sequence: page.sequence,
            uid_validity: page.uid_validity,
        })
    })
    .await
}

pub(crate) fn id(text: &str) -> Result<MessageId, MailError> {
    MessageId::parse(text)
        .ok_or(MailError::Invalid("the id of a message has 26 letters and digits"))
}

/// All of a message but its files.
fn whole(row: Row, envelope: &Envelope) -> serde_json::Value {
    let attachment = |attachment: &mailbox::Attachment| {
        json!({
            "media_type": attachment.media_type,
            "codec": attachment.codec,
            "duration_ms": attachment.duration_ms,
            "bytes": attachment.bytes,
            "sha256": mailbox::hex(&attachment.sha256),
            "title": attachment.title,
            "peaks": attachment.peaks,
        })
    };
    let text = |id: Option<MessageId>| id.map(|id| id.to_string());
    json!({
        "message": Message::from(row),
        "to": envelope.to.to_string(),
        "from": { "name": envelope.from.name, "number": envelope.from.number, "address": envelope.from.address },
        "stopped": envelope.stopped,
        "reply_to": text(envelope.reply_to),
        "forward_of": text(envelope.forward_of),
        "thread": text(envelope.thread),
        "text": envelope.body,
        "attachments": envelope.contents().iter().map(attachment).collect::<Vec<_>>(),
    })
}

pub(crate) async fn message<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Extension(visitor): Extension<Visitor>,
    Path((unique, message)): Path<(String, String)>,
) -> Response {
    let note = ("message read", format!("{unique} {message}"));
    noted_answer(&web, &visitor, note, move |store| {
        let (row, envelope) = store.message(&Unique::parse(&unique)?, id(&message)?)?;
        Ok(whole(row, &envelope))
    })
    .await
}

/// What is to be other about messages; what is absent stays.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MessageChange {
    /// Whether it was heard or read.
    read: Option<bool>,
    /// Whether it is flagged.
    flagged: Option<bool>,
    /// Whether it was answered.
    answered: Option<bool>,
    /// Where it is: `inbox`, `saved`, `deleted`, `sent`, `greetings`.
    #[schema(value_type = Option<String>)]
    folder: Option<Folder>,
}

impl MessageChange {
    pub(crate) fn apply(
        &self,
        store: &MessageStore,
        unique: &Unique,
        ids: &[MessageId],
    ) -> Result<Vec<Row>, MailError> {
        store.change(unique, ids, |folder, mut marks| {
            marks.read = self.read.unwrap_or(marks.read);
            marks.flagged = self.flagged.unwrap_or(marks.flagged);
            marks.answered = self.answered.unwrap_or(marks.answered);
            (self.folder.unwrap_or(folder), marks)
        })
    }

    pub(crate) fn reading(read: bool) -> Self {
        Self { read: Some(read), ..Self::default() }
    }

    pub(crate) fn moving(folder: Folder) -> Self {
        Self { folder: Some(folder), ..Self::default() }
    }
}

/// Marks or moves a message.
pub(crate) async fn change<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Extension(visitor): Extension<Visitor>,
    Path((unique, message)): Path<(String, String)>,
    Json(change): Json<MessageChange>,
) -> Response {
    let note = ("message changed", format!("{unique} {message}"));
    noted_answer(&web, &visitor, note, move |store| {
        let message = id(&message)?;
        let rows = change.apply(store, &Unique::parse(&unique)?, &[message])?;
        rows.into_iter().next().map(Message::from).ok_or(MailError::NoSuchMessage(message))
    })
    .await
}

/// What is to be done with many messages; what is absent stays.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BulkOrder {
    /// Which messages, at most 10,000.
    ids: Vec<String>,
    /// Takes them away for good, in place of a change.
    #[serde(default)]
    remove: bool,
    /// Whether they were heard or read.
    read: Option<bool>,
    /// Whether they are flagged.
    flagged: Option<bool>,
    /// Whether they were answered.
    answered: Option<bool>,
    /// Where they are: `inbox`, `saved`, `deleted`, `sent`, `greetings`.
    #[schema(value_type = Option<String>)]
    folder: Option<Folder>,
}

/// Marks, moves or removes many messages at once.
pub(crate) async fn bulk<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Extension(visitor): Extension<Visitor>,
    Path(unique): Path<String>,
    Json(order): Json<BulkOrder>,
) -> Response {
    let BulkOrder { ids, remove, read, flagged, answered, folder } = order;
    let what = if remove { "messages removed" } else { "messages changed" };
    let note = (what, format!("{unique}: {} messages", ids.len()));
    noted_answer(&web, &visitor, note, move |store| {
        if ids.len() > BULK_MAX {
            return Err(MailError::Limit("10000 messages at once"));
        }
        let ids: Vec<_> = ids.iter().map(|text| id(text)).collect::<Result<_, _>>()?;
        let unique = Unique::parse(&unique)?;
        let changed = if remove {
            store.remove(&unique, &ids)?;
            Vec::new()
        } else {
            MessageChange { read, flagged, answered, folder }.apply(store, &unique, &ids)?
        };
        Ok(changed.into_iter().map(Message::from).collect::<Vec<_>>())
    })
    .await
}

/// How a message is deleted.
#[derive(Debug, Deserialize)]
pub(crate) struct HowRemoved {
    /// For good, wherever it is.
    #[serde(default)]
    really: bool,
}

/// Moves a message to the deleted ones, where it may be already; or takes it away for good.
pub(crate) async fn remove<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Extension(visitor): Extension<Visitor>,
    Path((unique, message)): Path<(String, String)>,
    Query(HowRemoved { really }): Query<HowRemoved>,
) -> Response {
    let what = if really { "message removed" } else { "message deleted" };
    let note = (what, format!("{unique} {message}"));
    noted_answer(&web, &visitor, note, move |store| {
        let (unique, message) = (Unique::parse(&unique)?, id(&message)?);
        store.message(&unique, message)?;
        if really {
            store.remove(&unique, &[message])?;
        } else {
            MessageChange::moving(Folder::Deleted).apply(store, &unique, &[message])?;
        }
        Ok(json!({ "id": message, "removed": really }))
    })
    .await
}

/// A message to be sent.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Letter {
    /// For whom: addresses or unique strings, at most 1,000. Of a reply, the sender when it is absent.
    #[serde(default)]
    to: Vec<String>,
    /// What it is about.
    #[serde(default)]
    subject: String,
    /// Its text.
    #[serde(default)]
    text: String,
    /// Whether it is urgent.
    #[serde(default)]
    urgent: bool,
    /// Whether nobody may forward it.
    #[serde(default)]
    private: bool,
    /// Audio, in Base64: any file that the server can decode. It is compressed as voice mail is.
    #[serde(default)]
    audio: String,
}

/// How sending went, for one recipient.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Sent {
    /// Who.
    to: String,
    /// The message there.
    id: Option<String>,
    /// `mailbox`, or `spool` while that cannot be reached.
    place: Option<String>,
    /// Why it was refused.
    error: Option<String>,
}

impl Letter {
    fn addresses(&self) -> Result<Vec<Address>, MailError> {
        if self.to.is_empty() {
            return Err(MailError::Invalid("a message has at least one recipient"));
        }
        if self.to.len() > RECIPIENTS_MAX {
            return Err(MailError::Limit("1000 recipients of a message"));
        }
        self.to.iter().map(|to| Address::parse(to).map_err(MailError::from)).collect()
    }

    /// Adds what the letter says to a draft.
    fn fill(&self, store: &MessageStore, mut draft: Draft) -> Result<Draft, MailError> {
        let subject = self.subject.clone();
        Draft { subject, ..Draft::new(Kind::Text) }.check_texts().map_err(MailError::Limit)?;
        if !self.subject.is_empty() {
            draft.subject.clone_from(&self.subject);
        }
        if self.urgent {
            draft.importance = Importance::High;
        }
        if self.private {
            draft.sensitivity = Sensitivity::Private;
        }
        draft.body = match (&*self.text, &*draft.body) {
            ("", _) => draft.body,
            (text, "") => text.to_owned(),
            (text, below) => format!("{text}\n\n{below}"),
        };
        if !self.audio.is_empty() {
            let spoken = sound::spoken(store, &self.audio)?;
            draft.kind = Kind::Voice;
            draft.duration_ms = spoken.duration_ms;
            draft.attachments.insert(0, spoken);
        }
        Ok(draft)
    }
}

/// Delivers a draft, and keeps a copy with the sender.
fn post(
    store: &MessageStore,
    unique: &Unique,
    draft: Draft,
    to: &[Address],
) -> Result<Vec<Sent>, MailError> {
    let me = match store.resolve(unique) {
        Ok(me) => me,
        // What is sent while the root is away goes into the spool, under the name that is known.
        Err(MailError::Away(_) | MailError::NoStore(_)) => {
            Address { friendly: unique.to_string(), unique: unique.clone() }
        }
        Err(error) => return Err(error),
    };
    let draft = Draft {
        from: Sender { name: me.friendly.clone(), address: me.to_string(), ..Sender::default() },
        ..draft
    };
    let done = store.deliver(&draft, to);
    let sent = to.iter().zip(done).map(|(to, done)| match done {
        Ok(Receipt { id, place }) => Sent {
            to: to.unique.to_string(),
            id: Some(id.to_string()),
            place: serde_json::to_value(place).ok().and_then(|p| p.as_str().map(str::to_owned)),
            error: None,
        },
        Err(error) => {
            let error = Some(told(&error));
            Sent { to: to.unique.to_string(), id: None, place: None, error }
        }
    });
    let sent: Vec<_> = sent.collect();
    if sent.iter().any(|one| one.id.is_some()) {
        let marks = mailbox::Marks { read: true, ..mailbox::Marks::default() };
        let copy = Draft { folder: Folder::Sent, marks, ..draft };
        // What was sent is sent, whether there is room for a copy or not.
        for refused in store.deliver(&copy, &[me]).into_iter().filter_map(Result::err) {
            tracing::warn!(
                mailbox = unique.leaf(),
                why = told(&refused),
                "no copy of a sent message was kept"
            );
        }
    }
    Ok(sent)
}

/// Sends a message.
pub(crate) async fn send<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Extension(visitor): Extension<Visitor>,
    Path(unique): Path<String>,
    Json(letter): Json<Letter>,
) -> Response {
    let note = ("message sent", format!("{unique} to {}", letter.to.len()));
    noted_answer(&web, &visitor, note, move |store| {
        let to = letter.addresses()?;
        let draft = letter.fill(store, Draft::new(Kind::Text))?;
        post(store, &Unique::parse(&unique)?, draft, &to)
    })
    .await
}

/// Marks what was forwarded or answered. That is done, whether it can be marked or not.
fn mark(store: &MessageStore, unique: &Unique, message: MessageId, set: fn(&mut mailbox::Marks)) {
    let marked = store.change(unique, &[message], |folder, mut marks| {
        set(&mut marks);
        (folder, marks)
    });
    if let Err(error) = marked {
        let (mailbox, why) = (unique.leaf(), told(&error));
        tracing::warn!(
            mailbox,
            why,
            "a message was answered or forwarded, and could not be marked"
        );
    }
}

/// Passes a message on, with a text or audio before it.
pub(crate) async fn forward<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Extension(visitor): Extension<Visitor>,
    Path((unique, message)): Path<(String, String)>,
    Json(letter): Json<Letter>,
) -> Response {
    let note = ("message forwarded", format!("{unique} {message} to {}", letter.to.len()));
    noted_answer(&web, &visitor, note, move |store| {
        let (unique, message) = (Unique::parse(&unique)?, id(&message)?);
        let to = letter.addresses()?;
        let draft = letter.fill(store, store.forwarded(&unique, message)?)?;
        let sent = post(store, &unique, draft, &to)?;
        mark(store, &unique, message, |marks| marks.forwarded = true);
        Ok(sent)
    })
    .await
}

/// Answers a message.
pub(crate) async fn reply<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Extension(visitor): Extension<Visitor>,
    Path((unique, message)): Path<(String, String)>,
    Json(mut letter): Json<Letter>,
) -> Response {
    let note = ("message answered", format!("{unique} {message}"));
    noted_answer(&web, &visitor, note, move |store| {
        let (unique, message) = (Unique::parse(&unique)?, id(&message)?);
        let (_, envelope) = store.message(&unique, message)?;
        if letter.to.is_empty() && Address::parse(&envelope.from.address).is_ok() {
            letter.to = vec![envelope.from.address.clone()];
        }
        let to = letter.addresses()?;
        let subject = if envelope.subject.is_empty() {
            String::new()
        } else {
            format!("Re: {}", envelope.subject.trim_start_matches("Re: "))
        };
        let draft = Draft {
            subject,
            reply_to: Some(message),
            thread: envelope.thread.or(Some(message)),
            ..Draft::new(Kind::Text)
        };
        let sent = post(store, &unique, letter.fill(store, draft)?, &to)?;
        mark(store, &unique, message, |marks| marks.answered = true);
        Ok(sent)
    })
    .await
}

/// What happens in a mailbox, as it happens. The id of an event is the number of the mailbox's last change; who comes
/// back with one that is not the last any more is told so first.
pub(crate) async fn events<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Extension(proof): Extension<Proof>,
    Path(unique): Path<String>,
    headers: HeaderMap,
) -> Response {
    let Some(store) = web.view.mail() else {
        return refusal(&MailError::NoStore("there is no message store".to_owned()));
    };
    // First, so that nothing falls between.
    let told = store.subscribe();
    let name = unique.clone();
    let begin = with(&web, move |store| {
        let unique = Unique::parse(&name)?;
        let page = store.list(&unique, &ListQuery { limit: 1, ..ListQuery::default() })?;
        Ok((unique, page.sequence, page.counts))
    });
    let (unique, sequence, counts) = match begin.await {
        Ok(begin) => begin,
        Err(error) => return refusal(&error),
    };
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse::<u64>().ok());
    let kind = if last.is_none_or(|last| last == sequence) { "counts" } else { "missed" };
    let first = json!({ "counts": counts, "sequence": sequence }).to_string();
    let first = Event::default().event(kind).id(sequence.to_string()).data(first);
    let rest = unfold((told, web, proof), move |(mut told, web, proof)| {
        let unique = unique.clone();
        async move {
            loop {
                let event = match told.recv().await {
                    Ok(event) if Unique::parse(&event.mailbox).is_ok_and(|one| one == unique) => {
                        event_of(&event)
                    }
                    Ok(_) => continue,
                    Err(RecvError::Lagged(_)) => Event::default().event("missed").data("{}"),
                    Err(RecvError::Closed) => return None,
                };
                return web
                    .still(&proof)
                    .then_some((Ok::<_, Infallible>(event), (told, web, proof)));
            }
        }
    });
    let all = futures_util::stream::once(async { Ok(first) }).chain(rest);
    Sse::new(all.fuse()).keep_alive(KeepAlive::default()).into_response()
}

fn event_of(event: &MailEvent) -> Event {
    let data = serde_json::to_value(event).unwrap_or_default();
    let kind = data.get("change").and_then(|kind| kind.as_str()).unwrap_or("changed").to_owned();
    Event::default().event(kind).id(event.sequence.to_string()).data(data.to_string())
}

/// Which greeting.
#[derive(Debug, Deserialize)]
pub(crate) struct Greeting {
    /// What it is for: `unavailable`, `busy`, `name`, `temporary`, or another word.
    #[serde(default)]
    name: String,
}

/// The greetings of a mailbox: the newest of a name is the one that is heard.
pub(crate) async fn greetings<V: View + Settings>(
    state: State<Arc<Web<V>>>,
    path: Path<String>,
) -> Response {
    let folder = Folder::Greetings.word().to_owned();
    list(state, path, Query(Wanted { folder, limit: 1_000, ..Wanted::default() })).await
}

/// Sets a greeting: the body is its audio, in any form that can be decoded.
pub(crate) async fn greet<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Extension(visitor): Extension<Visitor>,
    Path(unique): Path<String>,
    Query(Greeting { name }): Query<Greeting>,
    (headers, body): (HeaderMap, axum::body::Bytes),
) -> Response {
    let note = ("greeting set", format!("{unique} {name}"));
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let media_type = media_type.unwrap_or_default().to_owned();
    noted_answer(&web, &visitor, note, move |store| {
        if name.trim().is_empty() {
            return Err(MailError::Invalid("a greeting has a name, as ?name=unavailable"));
        }
        let me = store.resolve(&Unique::parse(&unique)?)?;
        let spoken = mailbox::compressed(body.to_vec(), &media_type, store.compression())?;
        let draft = Draft {
            subject: name.trim().to_owned(),
            duration_ms: spoken.duration_ms,
            attachments: vec![spoken],
            folder: Folder::Greetings,
            marks: mailbox::Marks { read: true, ..mailbox::Marks::default() },
            ..Draft::new(Kind::Voice)
        };
        draft.check_texts().map_err(MailError::Limit)?;
        let receipt = store.deliver(&draft, &[me]).into_iter().next();
        receipt.unwrap_or(Err(MailError::NoSuchMailbox(unique)))
    })
    .await
}

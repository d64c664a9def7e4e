//! Copies of messages that went on by e-mail, where they came to.

use std::collections::BTreeMap;

use imap::{Response, SequenceSet, Value, write};
use mailbox::MessageId;

use super::Retrieval;
use super::account::Mark;
use super::connection::{Connection, Mode, Said};
use super::fault::Fault;

/// Where e-mail comes to. RFC 9051 §5.1.
const INBOX: &str = "INBOX";
/// Numbers of messages in one command.
const NUMBERS_MAX: usize = 500;

/// Copies in one INBOX that are compared.
const COPIES_MAX: usize = 100_000;
/// Bytes of the answers to one command.
const BYTES_MAX: usize = 32 << 20;

/// How a message stands there.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct There {
    /// The numbers of its copies: it may have been sent twice.
    pub(crate) uids: Vec<u32>,
    /// Whether one of them was read.
    pub(crate) is_read: bool,
}

/// The copies in one INBOX.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Copies {
    /// Which INBOX it is: server and account.
    pub(crate) place: String,
    /// What their numbers are valid with.
    pub(crate) uid_validity: u32,
    /// Those that are not marked as deleted.
    pub(crate) all: BTreeMap<MessageId, There>,
}

/// By which header fields copies are known: one names the mailbox, one the message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known<'a> {
    pub(crate) mailbox_field: &'a str,
    pub(crate) message_field: &'a str,
    /// What the first says.
    pub(crate) mailbox: &'a str,
}

impl Retrieval {
    /// The copies of a mailbox's messages in the INBOX of a user.
    ///
    /// # Errors
    /// There is no such server, or it cannot be asked.
    pub(crate) async fn copies(
        &self,
        server: &str,
        as_whom: &str,
        known: Known<'_>,
    ) -> Result<Copies, Fault> {
        let account = self.named(server, as_whom)?;
        let taken = account.take().await?;
        let (uid_validity, all) = taken
            .with(async |connection: &mut Connection| {
                connection.bytes_max = BYTES_MAX;
                copies(connection, known).await
            })
            .await?;
        Ok(Copies { place: account.place(), uid_validity, all })
    }

    /// Marks copies in the INBOX of a user.
    ///
    /// # Errors
    /// There is no such server, it cannot be asked, or the numbers are not valid any more.
    pub(crate) async fn mark_copies(
        &self,
        (server, as_whom): (&str, &str),
        uid_validity: u32,
        uids: &[u32],
        mark: Mark,
    ) -> Result<(), Fault> {
        let account = self.named(server, as_whom)?;
        for some in uids.chunks(NUMBERS_MAX) {
            account.mark(INBOX, (uid_validity, &numbers(some)), mark).await?;
        }
        Ok(())
    }
}

fn numbers(uids: &[u32]) -> String {
    uids.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
}

async fn copies(
    connection: &mut Connection,
    known: Known<'_>,
) -> Result<(u32, BTreeMap<MessageId, There>), Fault> {
    let uid_validity = connection.select(INBOX, Mode::Write).await?;
    // What came and went since it was opened. RFC 9051 §7.
    connection.command("NOOP").await?;
    let (field, value) = (known.mailbox_field, write::astring(known.mailbox));
    let said = connection.command(&format!("UID SEARCH UNDELETED HEADER {field} {value}")).await?;
    let mut all: BTreeMap<MessageId, There> = BTreeMap::new();
    for some in found(&said)?.chunks(NUMBERS_MAX) {
        let (one, other) = (known.mailbox_field, known.message_field);
        let fields = format!("BODY.PEEK[HEADER.FIELDS ({one} {other})]");
        let fetch = format!("UID FETCH {} (UID FLAGS {fields})", numbers(some));
        let told = Told::of(&connection.command(&fetch).await?);
        for uid in some {
            // Whoever is not told of was not deleted: it is looked at again.
            let missing = || Fault::NotFound(format!("nothing is told of the copy with UID {uid}"));
            let (is_read, header) = told.0.get(uid).and_then(Told::whole).ok_or_else(missing)?;
            if let Some(id) = known.message(header) {
                let there = all.entry(id).or_default();
                there.uids.push(*uid);
                there.is_read |= is_read;
            }
        }
    }
    Ok((uid_validity, all))
}

impl Known<'_> {
    /// The message of our mailbox that a header names: a copy that went through other mailboxes, too, has such fields of theirs.
    fn message(self, header: &[u8]) -> Option<MessageId> {
        let header = email::Header::of(header);
        let ours = |field: &email::Field<'_>| {
            field.name.eq_ignore_ascii_case(self.mailbox_field) && field.value() == self.mailbox
        };
        let place = header.fields().iter().position(ours)?;
        let next = header.fields().get(place + 1)?;
        let is_message = next.name.eq_ignore_ascii_case(self.message_field);
        MessageId::parse(&next.value()).filter(|_| is_message)
    }
}

/// The numbers of messages that SEARCH found. A server of IMAP4rev2 tells them as a set. RFC 9051 §7.3.4, RFC 3501 §7.2.5.
fn found(said: &Said) -> Result<Vec<u32>, Fault> {
    let mut uids: Option<Vec<u32>> = None;
    for response in &said.responses {
        let Response::Data(word, values) = response else { continue };
        if word == "SEARCH" {
            let numbers = values.iter().filter_map(Value::number);
            let numbers = numbers.filter_map(|number| u32::try_from(number).ok());
            uids.get_or_insert_default().extend(numbers);
        } else if word == "ESEARCH" {
            let uids = uids.get_or_insert_default();
            let is_all =
                |value: &Value| value.text().is_some_and(|t| t.eq_ignore_ascii_case("ALL"));
            let set = values.iter().position(is_all).and_then(|place| values.get(place + 1));
            let Some(set) = set else { continue };
            let set = set.text().and_then(|text| SequenceSet::parse(&text));
            let ranges = set.ok_or(Fault::Nonsense("a set of numbers"))?.ranges(u32::MAX);
            uids.extend(ranges.into_iter().flatten().take(COPIES_MAX + 1));
        }
    }
    // Not a word about it is not none.
    let uids = uids.ok_or(Fault::Nonsense("an answer to SEARCH"))?;
    if uids.len() > COPIES_MAX {
        return Err(Fault::NotAllowed("100,000 copies in an INBOX"));
    }
    Ok(uids)
}

/// What FETCH told of messages, in one response or in several: by UID, whether it was read, and its header.
struct Told(BTreeMap<u32, (Option<bool>, Option<Vec<u8>>)>);

impl Told {
    fn of(said: &Said) -> Self {
        let mut told = Self(BTreeMap::new());
        for response in &said.responses {
            let Response::Numbered(_, word, values) = response else { continue };
            let Some(list) = values.first().filter(|_| word == "FETCH") else { continue };
            let uid = list.item("UID").and_then(Value::number);
            let Some(uid) = uid.and_then(|uid| u32::try_from(uid).ok()) else { continue };
            let (is_read, header) = told.0.entry(uid).or_default();
            if let Some(flags) = list.item("FLAGS") {
                let mut flags = flags.items().iter().filter_map(Value::text);
                *is_read = Some(flags.any(|flag| flag.eq_ignore_ascii_case("\\Seen")));
            }
            let is_header = |value: &&Value| matches!(value, Value::String(_));
            if let Some(bytes) = list.items().iter().find(is_header).and_then(Value::bytes) {
                *header = Some(bytes.to_vec());
            }
        }
        told
    }

    fn whole((is_read, header): &(Option<bool>, Option<Vec<u8>>)) -> Option<(bool, &[u8])> {
        Some(((*is_read)?, header.as_deref()?))
    }
}

//! Copies of messages that went on by e-mail, where they came to.

use imap::{Response, Value, write};
use mailbox::MessageId;

use super::Retrieval;
use super::account::Mark;
use super::connection::{Connection, Mode, Said};
use super::fault::Fault;

/// Where e-mail comes to. RFC 9051 §5.1.
const INBOX: &str = "INBOX";
/// Numbers of messages in one command.
const NUMBERS_MAX: usize = 500;

/// A copy.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Copy {
    /// Of which message.
    pub(crate) id: MessageId,
    /// Its number there.
    pub(crate) uid: u32,
    /// Whether it was read there.
    pub(crate) is_read: bool,
}

/// The copies in one INBOX.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Copies {
    /// What their numbers are valid with.
    pub(crate) uid_validity: u32,
    /// Those that are not marked as deleted.
    pub(crate) all: Vec<Copy>,
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
        taken.with(async |connection: &mut Connection| copies(connection, known).await).await
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

async fn copies(connection: &mut Connection, known: Known<'_>) -> Result<Copies, Fault> {
    let uid_validity = connection.select(INBOX, Mode::Write).await?;
    // What came and went since it was opened. RFC 9051 §7.
    connection.command("NOOP").await?;
    let (field, value) = (known.mailbox_field, write::astring(known.mailbox));
    let said = connection.command(&format!("UID SEARCH UNDELETED HEADER {field} {value}")).await?;
    let mut all = Vec::new();
    let field = known.message_field;
    for some in found(&said).chunks(NUMBERS_MAX) {
        let fetch =
            format!("UID FETCH {} (UID FLAGS BODY.PEEK[HEADER.FIELDS ({field})])", numbers(some));
        let said = connection.command(&fetch).await?;
        all.extend(said.responses.iter().filter_map(|response| copy(response, field)));
    }
    Ok(Copies { uid_validity, all })
}

/// The numbers of messages that SEARCH found.
fn found(said: &Said) -> Vec<u32> {
    let numbers = said.responses.iter().filter_map(|response| match response {
        Response::Data(word, values) if word == "SEARCH" => Some(values),
        Response::Data(..)
        | Response::Numbered(..)
        | Response::Continue(_)
        | Response::Status { .. } => None,
    });
    let numbers = numbers.flatten().filter_map(Value::number);
    numbers.filter_map(|number| u32::try_from(number).ok()).collect()
}

/// A copy as FETCH tells of it.
fn copy(response: &Response, field: &str) -> Option<Copy> {
    let Response::Numbered(_, word, values) = response else { return None };
    let list = values.first().filter(|_| word == "FETCH")?;
    let uid = list.item("UID").and_then(Value::number)?;
    let flags = list.item("FLAGS")?.items();
    let is_read = flags.iter().filter_map(Value::text).any(|f| f.eq_ignore_ascii_case("\\Seen"));
    let is_header = |value: &&Value| matches!(value, Value::String(_));
    let header = list.items().iter().find(is_header).and_then(Value::bytes)?;
    let header = email::Header::of(header);
    let id = MessageId::parse(header.value(field)?.trim())?;
    Some(Copy { id, uid: u32::try_from(uid).ok()?, is_read })
}

//! A message on an IMAP server: found, and fetched in pieces.

use std::sync::Arc;

use email::{Decoder, Encoding, Part, plain_text};
use imap::{Response, Section, SectionPart, Url, Value, structure, write};
use tokio::sync::mpsc;

use super::account::Account;
use super::connection::{Connection, Mode, Said};
use super::fault::Fault;
use super::{
    AUDIO_BYTES_MAX, Audio, Content, Handle, Message, PIECE_BYTES, PIECES_MAX, TEXT_BYTES_MAX,
    Which, spoken,
};

/// The part of a message that is heard.
#[derive(Clone, Debug)]
struct Found {
    mailbox: String,
    uid_validity: u32,
    uid: u32,
    section: String,
    octets: u64,
    encoding: Encoding,
}

/// Finds the message of a URL.
pub(super) async fn open(account: &Arc<Account>, text: &str, url: &Url) -> Result<Message, Fault> {
    let opened = if url.authorization.is_some() {
        by_authorization(account, text).await
    } else {
        by_account(account, url).await
    };
    account.counted(opened.is_ok());
    opened
}

async fn by_account(account: &Arc<Account>, url: &Url) -> Result<Message, Fault> {
    let (found, part, first) = account
        .take()
        .await?
        .with(async |connection: &mut Connection| {
            let (found, part) = find(connection, url).await?;
            // What is heard first is asked for in the same breath.
            let first = piece(connection, &found, 0).await?;
            Ok((found, part, first))
        })
        .await?;
    let handle = Handle(Arc::new(Which::Remote {
        account: Arc::clone(account),
        mailbox: found.mailbox.clone(),
        uid_validity: found.uid_validity,
        uid: found.uid,
    }));
    if part.media.0 == "text" {
        let mut part = part;
        part.body = 0..first.len();
        return Ok(Message { content: spoken(plain_text(&part, &first))?, handle });
    }
    let (out, pieces) = mpsc::channel(PIECES_MAX);
    let (media_type, file_name) = (part.media_type(), part.file_name().unwrap_or_default());
    tokio::spawn(pour(Arc::clone(account), found, first, out));
    Ok(Message { content: Content::Audio(Audio { media_type, file_name, pieces }), handle })
}

/// The part that a URL means: the one that it names, or else the one with the audio, or with the text.
async fn find(connection: &mut Connection, url: &Url) -> Result<(Found, Part), Fault> {
    let uid = url.uid;
    if url.partial.is_some() {
        return Err(Fault::NotAllowed("a whole part, without ;PARTIAL="));
    }
    let uid_validity = connection.select(&url.mailbox, Mode::Read).await?;
    if let Some(told) = url.uid_validity.filter(|told| *told != uid_validity) {
        return Err(Fault::Renumbered { told, found: uid_validity });
    }
    let fetch = format!("UID FETCH {uid} (UID BODYSTRUCTURE)");
    let mut said = connection.command(&fetch).await?;
    if fetched(&said, uid).is_none() {
        // What came since the mailbox was opened is seen after a NOOP only. RFC 9051 §7.
        connection.command("NOOP").await?;
        said = connection.command(&fetch).await?;
    }
    let told = fetched(&said, uid).and_then(|list| list.item("BODYSTRUCTURE"));
    let told =
        told.ok_or_else(|| Fault::NotFound(format!("there is no message with UID {uid}")))?;
    let root = structure::parse(told).ok_or(Fault::Nonsense("a BODYSTRUCTURE"))?;
    let (number, part) = match &url.section {
        Some(Section { part: number, what: SectionPart::All }) if !number.is_empty() => {
            let part = root.find(number);
            let missing = || Fault::NotFound(format!("the message has no part {}", shown(number)));
            (number.clone(), part.ok_or_else(missing)?)
        }
        Some(Section { what: SectionPart::All, .. }) | None => {
            email::audio(&root).or_else(|| email::text(&root)).ok_or(Fault::NoAudio)?
        }
        Some(_) => return Err(Fault::NoAudio),
    };
    let octets = part.body.len() as u64;
    if octets > AUDIO_BYTES_MAX {
        return Err(Fault::TooLarge(AUDIO_BYTES_MAX));
    }
    let found = Found {
        mailbox: url.mailbox.clone(),
        uid_validity,
        uid,
        section: shown(&number),
        octets: if part.media.0 == "text" { octets.min(TEXT_BYTES_MAX as u64) } else { octets },
        encoding: part.encoding,
    };
    Ok((found, part.clone()))
}

fn shown(number: &[u32]) -> String {
    let all: Vec<_> = number.iter().map(u32::to_string).collect();
    all.join(".")
}

/// What FETCH said of a message.
fn fetched(said: &Said, uid: u32) -> Option<&Value> {
    said.responses.iter().find_map(|response| match response {
        Response::Numbered(_, word, values) if word == "FETCH" => {
            let list = values.first()?;
            let is_it = list.item("UID").and_then(Value::number) == Some(u64::from(uid));
            is_it.then_some(list)
        }
        Response::Numbered(..)
        | Response::Data(..)
        | Response::Continue(_)
        | Response::Status { .. } => None,
    })
}

/// Bytes of the part as they stand, from such a place on. BODY.PEEK and not BINARY: every server has it, and nothing is
/// marked.
async fn piece(connection: &mut Connection, found: &Found, from: u64) -> Result<Vec<u8>, Fault> {
    let Found { uid, section, .. } = found;
    let left = found.octets.saturating_sub(from);
    // A text is taken at once.
    let most = if from == 0 && left <= TEXT_BYTES_MAX as u64 {
        left
    } else {
        left.min(PIECE_BYTES as u64)
    };
    if most == 0 {
        return Ok(Vec::new());
    }
    let command = format!("UID FETCH {uid} (UID BODY.PEEK[{section}]<{from}.{most}>)");
    let said = connection.command(&command).await?;
    let list = fetched(&said, uid.to_owned());
    let list = list.ok_or_else(|| Fault::NotFound("the message is no more".to_owned()))?;
    let name = format!("BODY[{section}]<{from}>");
    let bytes = match list.item(&name).or_else(|| list.item(&format!("BODY[{section}]"))) {
        Some(Value::String(bytes)) => bytes.clone(),
        Some(Value::Nil) => Vec::new(),
        Some(Value::Word(_) | Value::List(_)) | None => return Err(Fault::Nonsense("a BODY")),
    };
    if bytes.len() as u64 > most {
        return Err(Fault::Size { told: most, came: bytes.len() as u64 });
    }
    Ok(bytes)
}

/// Fetches the rest, with a connection for as long as each piece takes: while a long message is heard, others have their turn.
async fn pour(
    account: Arc<Account>,
    found: Found,
    first: Vec<u8>,
    out: mpsc::Sender<Result<Vec<u8>, Fault>>,
) {
    let mut decoder = Decoder::new(found.encoding);
    let (mut from, mut bytes) = (0, first);
    let fault = loop {
        if bytes.is_empty() {
            let told = found.octets;
            break (from < told).then_some(Fault::Size { told, came: from });
        }
        from += bytes.len() as u64;
        let mut decoded = Vec::with_capacity(bytes.len());
        decoder.push(&bytes, &mut decoded);
        if !decoded.is_empty() && out.send(Ok(decoded)).await.is_err() {
            return;
        }
        if from >= found.octets {
            break None;
        }
        bytes = match next(&account, &found, from).await {
            Ok(bytes) => bytes,
            Err(fault) => break Some(fault),
        };
    };
    let mut rest = Vec::new();
    decoder.finish(&mut rest);
    if !rest.is_empty() && out.send(Ok(rest)).await.is_err() {
        return;
    }
    if let Some(fault) = fault {
        // Nobody may listen any more.
        let _ = out.send(Err(fault)).await;
    }
}

async fn next(account: &Account, found: &Found, from: u64) -> Result<Vec<u8>, Fault> {
    account
        .take()
        .await?
        .with(async |connection: &mut Connection| {
            let uid_validity = connection.select(&found.mailbox, Mode::Read).await?;
            if uid_validity != found.uid_validity {
                return Err(Fault::Renumbered { told: found.uid_validity, found: uid_validity });
            }
            piece(connection, found, from).await
        })
        .await
}

/// Fetches what a URL is authorized for, as this account. RFC 5616 §3.5, RFC 5524.
async fn by_authorization(account: &Arc<Account>, text: &str) -> Result<Message, Fault> {
    let (part, bytes) = account
        .take()
        .await?
        .with(async |connection: &mut Connection| {
            let url = write::astring(text);
            if connection.can("URLAUTH=BINARY") {
                let command = format!("URLFETCH ({url} BODYPARTSTRUCTURE BINARY)");
                return extended(&connection.command(&command).await?);
            }
            if !connection.can("URLAUTH") {
                return Err(Fault::Refused("it has no URLAUTH".to_owned()));
            }
            plain(&connection.command(&format!("URLFETCH {url}")).await?)
        })
        .await?;
    let handle = Handle(Arc::new(Which::Fixed));
    if part.media.0 == "text" {
        let mut part = part;
        (part.body, part.encoding) = (0..bytes.len(), Encoding::Binary);
        return Ok(Message { content: spoken(plain_text(&part, &bytes))?, handle });
    }
    let (out, pieces) = mpsc::channel(PIECES_MAX);
    let (media_type, file_name) = (part.media_type(), part.file_name().unwrap_or_default());
    // There is room for it.
    let _ = out.try_send(Ok(bytes));
    Ok(Message { content: Content::Audio(Audio { media_type, file_name, pieces }), handle })
}

fn url_fetch(said: &Said) -> Option<&[Value]> {
    said.responses.iter().find_map(|response| match response {
        Response::Data(word, values) if word == "URLFETCH" => values.get(1..),
        Response::Data(..)
        | Response::Numbered(..)
        | Response::Continue(_)
        | Response::Status { .. } => None,
    })
}

/// `"url" (BODYPARTSTRUCTURE (…)) (BINARY ~{5}…)`
fn extended(said: &Said) -> Result<(Part, Vec<u8>), Fault> {
    let values = url_fetch(said).ok_or(Fault::Nonsense("an answer to URLFETCH"))?;
    if matches!(values, [Value::Nil]) {
        return Err(Fault::UrlRefused);
    }
    let item = |name| values.iter().find_map(|value| value.item(name));
    let part = item("BODYPARTSTRUCTURE").and_then(structure::parse);
    let bytes = item("BINARY").and_then(Value::bytes).ok_or(Fault::UrlRefused)?;
    Ok(within(part.unwrap_or_default(), bytes.to_vec()))
}

/// `"url" {5}…`: what it is must be seen from the bytes.
fn plain(said: &Said) -> Result<(Part, Vec<u8>), Fault> {
    let values = url_fetch(said).ok_or(Fault::Nonsense("an answer to URLFETCH"))?;
    let bytes = values.first().and_then(Value::bytes).ok_or(Fault::UrlRefused)?;
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=\r\n".contains(byte);
    let encoding = if bytes.iter().all(is_base64) { Encoding::Base64 } else { Encoding::Binary };
    let mut part = Part { media: ("application".into(), "octet-stream".into()), ..Part::default() };
    part.encoding = encoding;
    Ok(within(part, email::decode(encoding, bytes)))
}

/// Where a whole message was fetched, the part of it that is heard.
fn within(part: Part, bytes: Vec<u8>) -> (Part, Vec<u8>) {
    let is_whole =
        part.media.0 == "multipart" || part.media.0 == "message" || part.media.0.is_empty();
    if !is_whole {
        return (part, bytes);
    }
    let root = Part::scan(&bytes);
    let Some((_, found)) = email::audio(&root).or_else(|| email::text(&root)) else {
        return (part, bytes);
    };
    let body = bytes.get(found.body.clone()).unwrap_or_default();
    (found.clone(), email::decode(found.encoding, body))
}

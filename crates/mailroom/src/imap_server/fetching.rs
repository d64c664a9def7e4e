use std::io::{self, Write as _};
use std::ops::Range;
use std::sync::Arc;

use email::{Body, Header, Part};
use imap::structure::Detail;
use imap::{Attribute, Section, SectionPart, write};
use mailbox::{Mail, MailError, MessageId, MessageStore, Row, Unique, View};

use super::selected::{Entry, set_flags};

/// Messages whose rows are looked at in one go: nobody else looks at the mailbox meanwhile, which is for a millisecond or two.
const ROWS_AT_ONCE: usize = 4_000;
/// Bytes of answers after which they are sent before more is read.
const ANSWER_BYTES: usize = 256 << 10;

/// What of which messages is fetched.
#[derive(Clone, Debug)]
pub(super) struct Order {
    pub(super) unique: Unique,
    /// Number and message.
    pub(super) messages: Arc<[(usize, Entry)]>,
    pub(super) attributes: Arc<[Attribute]>,
    /// Whether flags and UID are told, too, because they changed by this.
    pub(super) marked: bool,
    /// Bytes of one answer, after which no more attributes are read for it.
    pub(super) bytes_max: usize,
}

/// Bytes of a part that are kept for its next piece: voice of half a minute, and more.
const KEPT_BYTES_MAX: usize = 128 << 10;

/// A message that was read last, so that the next piece of it need not be read again.
#[derive(Debug)]
pub(super) struct Read {
    id: MessageId,
    mail: Arc<Mail>,
    /// A section that was asked for in pieces, all of it.
    section: Option<(Section, Vec<u8>)>,
}

/// What was read last, if a piece was.
pub(super) type Last = Option<Box<Read>>;

/// Some of the answers, and where to go on.
#[derive(Debug, Default)]
pub(super) struct Fetched {
    pub(super) out: Vec<u8>,
    pub(super) next: usize,
    pub(super) last: Last,
    /// Messages that could not be read, and why.
    pub(super) failed: Vec<(usize, MailError)>,
    /// Whether a part was asked for whose transfer encoding nobody knows.
    pub(super) unknown_encoding: bool,
}

/// Whether a list of messages is enough to answer.
fn is_in_row(attribute: &Attribute) -> bool {
    match attribute {
        Attribute::Flags
        | Attribute::InternalDate
        | Attribute::Size
        | Attribute::Uid
        | Attribute::ModSeq
        | Attribute::Envelope => true,
        Attribute::Body
        | Attribute::BodyStructure
        | Attribute::Section { .. }
        | Attribute::Binary { .. }
        | Attribute::BinarySize(_) => false,
    }
}

/// Whether what a session knows of a message is enough to answer.
const fn is_in_entry(attribute: &Attribute) -> bool {
    matches!(attribute, Attribute::Flags | Attribute::Uid | Attribute::ModSeq)
}

/// Fetches the next messages. It may block.
pub(super) fn fetch(store: &MessageStore, order: &Order, from: usize, last: Last) -> Fetched {
    let mut fetched = Fetched { next: from, last, ..Fetched::default() };
    if order.attributes.iter().all(is_in_entry) {
        while let Some((number, entry)) = order.messages.get(fetched.next) {
            if fetched.out.len() >= ANSWER_BYTES {
                break;
            }
            if !entry.is_gone {
                // There is nothing to be asked for.
                let _ = answer(&mut fetched.out, (*number, entry), order, |_, _| None);
            }
            fetched.next += 1;
        }
        return fetched;
    }
    if order.attributes.iter().all(is_in_row) {
        let end = (from + ROWS_AT_ONCE).min(order.messages.len());
        fetched.next = end;
        if let Some((end, unread)) = rows(store, order, from..end, &mut fetched) {
            for place in unread {
                one(store, order, place, &mut fetched);
            }
            fetched.next = end;
        }
        return fetched;
    }
    while fetched.next < order.messages.len() && fetched.out.len() < ANSWER_BYTES {
        let place = fetched.next;
        one(store, order, place, &mut fetched);
        fetched.next = place + 1;
    }
    fetched
}

/// Answers from the list alone; how far it came, and the places of those for which it is not enough.
fn rows(
    store: &MessageStore,
    order: &Order,
    range: Range<usize>,
    fetched: &mut Fetched,
) -> Option<(usize, Vec<usize>)> {
    let told = store.view(&order.unique, |view| {
        let mut out = Vec::with_capacity(range.len() * 64);
        let mut rest = Vec::new();
        for place in range.clone() {
            if out.len() >= ANSWER_BYTES {
                return (place, out, rest);
            }
            let Some((number, entry)) = order.messages.get(place) else { continue };
            let Some(row) = view.row(entry.id) else { continue };
            let begin = out.len();
            if answer(&mut out, (*number, entry), order, |out, attribute| {
                from_row(out, attribute, (view, row, entry))
            })
            .is_none()
            {
                out.truncate(begin);
                rest.push(place);
            }
        }
        (range.end, out, rest)
    });
    match told {
        Ok((end, mut out, rest)) => {
            fetched.out.append(&mut out);
            Some((end, rest))
        }
        Err(error) => {
            fetched.failed.push((range.start, error));
            None
        }
    }
}

/// `* 5 FETCH (…)`; `None` when an attribute cannot be told.
fn answer(
    out: &mut Vec<u8>,
    (number, entry): (usize, &Entry),
    order: &Order,
    mut tell: impl FnMut(&mut Vec<u8>, &Attribute) -> Option<()>,
) -> Option<()> {
    // A vector takes everything.
    let _ = write!(out, "* {number} FETCH (");
    let mut is_first = true;
    let marked = order.marked && !order.attributes.contains(&Attribute::Flags);
    let uid = order.marked && !order.attributes.contains(&Attribute::Uid);
    let more = [(marked, Attribute::Flags), (uid, Attribute::Uid)];
    let more = more.iter().filter(|(is_told, _)| *is_told).map(|(_, attribute)| attribute);
    for attribute in order.attributes.iter().chain(more) {
        if !std::mem::take(&mut is_first) {
            out.push(b' ');
        }
        out.extend_from_slice(attribute.name().as_bytes());
        out.push(b' ');
        match attribute {
            Attribute::Flags => {
                out.push(b'(');
                for (place, flag) in set_flags(entry.marks).enumerate() {
                    if place > 0 {
                        out.push(b' ');
                    }
                    out.extend_from_slice(flag.as_bytes());
                }
                out.push(b')');
            }
            Attribute::Uid => drop(write!(out, "{}", entry.uid)),
            Attribute::ModSeq => drop(write!(out, "({})", entry.mod_seq)),
            Attribute::Body
            | Attribute::BodyStructure
            | Attribute::Envelope
            | Attribute::InternalDate
            | Attribute::Size
            | Attribute::Section { .. }
            | Attribute::Binary { .. }
            | Attribute::BinarySize(_) => tell(out, attribute)?,
        }
    }
    out.extend_from_slice(b")\r\n");
    Some(())
}

fn from_row(
    out: &mut Vec<u8>,
    attribute: &Attribute,
    (view, row, entry): (&View<'_>, &Row, &Entry),
) -> Option<()> {
    match attribute {
        Attribute::InternalDate => {
            out.extend_from_slice(write::internal_date(row.at / 1_000_000).as_bytes());
        }
        Attribute::Size if row.octets > 0 => {
            let _ = write!(out, "{}", row.octets);
        }
        Attribute::Envelope if view.envelope(row, out) => {}
        Attribute::Size
        | Attribute::Envelope
        | Attribute::Body
        | Attribute::BodyStructure
        | Attribute::Section { .. }
        | Attribute::Binary { .. }
        | Attribute::BinarySize(_)
        | Attribute::Flags
        | Attribute::Uid
        | Attribute::ModSeq => {
            debug_assert!(entry.uid > 0);
            return None;
        }
    }
    Some(())
}

impl Read {
    /// Appends a piece of the section that is kept, if it is that one.
    fn piece(&self, out: &mut Vec<u8>, section: &Section, partial: Option<(u64, u64)>) -> bool {
        match &self.section {
            Some((known, bytes)) if known == section && partial.is_some() => {
                write::literal(out, within(bytes, partial));
                true
            }
            Some(_) | None => false,
        }
    }
}

/// Answers for one message from what was read last, if that is enough: then nothing needs to wait for a disk.
pub(super) fn from_memory(order: &Order, last: &Last, out: &mut Vec<u8>) -> Option<()> {
    let ([(number, entry)], Some(read)) = (&*order.messages, last) else { return None };
    if entry.is_gone || order.marked || entry.id != read.id {
        return None;
    }
    let begin = out.len();
    let told = answer(out, (*number, entry), order, |out, attribute| match attribute {
        Attribute::Section { section, partial, .. } => {
            read.piece(out, section, *partial).then_some(())
        }
        Attribute::Body
        | Attribute::BodyStructure
        | Attribute::Envelope
        | Attribute::Flags
        | Attribute::InternalDate
        | Attribute::Size
        | Attribute::Uid
        | Attribute::ModSeq
        | Attribute::Binary { .. }
        | Attribute::BinarySize(_) => None,
    });
    if told.is_none() {
        out.truncate(begin);
    }
    told
}

/// Answers for one message, of which all may be needed.
fn one(store: &MessageStore, order: &Order, place: usize, fetched: &mut Fetched) {
    let Some((number, entry)) = order.messages.get(place) else { return };
    if entry.is_gone {
        fetched.failed.push((*number, MailError::NoSuchMessage(entry.id)));
        return;
    }
    let known = fetched.last.take().filter(|read| read.id == entry.id);
    let mut read = match known {
        Some(read) => read,
        None => match store.mail(&order.unique, entry.id) {
            Ok(mail) => Box::new(Read { id: entry.id, mail: Arc::new(mail), section: None }),
            Err(error) => {
                fetched.failed.push((*number, error));
                return;
            }
        },
    };
    let row = order.attributes.contains(&Attribute::InternalDate).then(|| {
        store.view(&order.unique, |view| view.row(entry.id).map(|row| row.at)).ok().flatten()
    });
    let received = row.flatten().unwrap_or_default();
    let begin = fetched.out.len();
    let mut failure = None;
    let told = answer(&mut fetched.out, (*number, entry), order, |out, attribute| {
        if out.len() - begin > order.bytes_max {
            failure = Some(Some(MailError::Limit("what is fetched of one message at once")));
            return None;
        }
        let told = from_mail(out, attribute, &mut read, received).map_err(MailError::from);
        match told {
            Ok(true) => Some(()),
            Ok(false) => {
                failure = Some(None);
                None
            }
            Err(error) => {
                failure = Some(Some(error));
                None
            }
        }
    });
    fetched.last = Some(read);
    if told.is_none() {
        fetched.out.truncate(begin);
        match failure.flatten() {
            Some(error) => fetched.failed.push((*number, error)),
            None => fetched.unknown_encoding = true,
        }
    }
}

/// Appends an attribute; false when the transfer encoding of the part is not known. RFC 9051 §6.4.5.
fn from_mail(
    out: &mut Vec<u8>,
    attribute: &Attribute,
    read: &mut Read,
    received: u64,
) -> io::Result<bool> {
    let mail = &Arc::clone(&read.mail);
    match attribute {
        Attribute::InternalDate => {
            out.extend_from_slice(write::internal_date(received / 1_000_000).as_bytes());
        }
        Attribute::Size => out.extend_from_slice(mail.octets().to_string().as_bytes()),
        Attribute::Envelope => out.extend_from_slice(&mail.envelope()?),
        Attribute::Body => out.extend_from_slice(&mail.structure(Detail::Basic)),
        Attribute::BodyStructure => out.extend_from_slice(&mail.structure(Detail::Full)),
        Attribute::Section { section, partial, .. } => {
            if read.piece(out, section, *partial) {
                return Ok(true);
            }
            // Whoever asks for the first piece will ask for the next.
            let begins = partial.is_some_and(|(from, _)| from == 0);
            let range = if begins { Some((0, KEPT_BYTES_MAX as u64)) } else { *partial };
            match section_bytes(mail, section, range)? {
                Some(bytes) if begins => {
                    write::literal(out, within(&bytes, *partial));
                    let is_whole = bytes.len() < KEPT_BYTES_MAX;
                    read.section = is_whole.then(|| (section.clone(), bytes));
                }
                Some(bytes) => write::literal(out, &bytes),
                None => out.extend_from_slice(b"NIL"),
            }
        }
        Attribute::Binary { part, partial, .. } => match binary(mail, part)? {
            Binary::None => out.extend_from_slice(b"NIL"),
            Binary::Unknown => return Ok(false),
            Binary::Bytes(bytes) => binary_literal(out, within(&bytes, *partial)),
        },
        Attribute::BinarySize(part) => match binary(mail, part)? {
            Binary::None => out.push(b'0'),
            Binary::Unknown => return Ok(false),
            Binary::Bytes(bytes) => out.extend_from_slice(bytes.len().to_string().as_bytes()),
        },
        Attribute::Flags | Attribute::Uid | Attribute::ModSeq => {}
    }
    Ok(true)
}

/// Bytes that may have zeros in them are a literal of their own kind. RFC 9051 §4.3, `literal8`.
pub(super) fn binary_literal(out: &mut Vec<u8>, bytes: &[u8]) {
    if bytes.contains(&0) {
        out.push(b'~');
    }
    write::literal(out, bytes);
}

fn within(bytes: &[u8], partial: Option<(u64, u64)>) -> &[u8] {
    let Some((from, length)) = partial else { return bytes };
    let range = clip(0..bytes.len(), Some((from, length)));
    bytes.get(range).unwrap_or_default()
}

/// The part of a range that was asked for.
fn clip(range: Range<usize>, partial: Option<(u64, u64)>) -> Range<usize> {
    let Some((from, length)) = partial else { return range };
    let place = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let begin = range.start.saturating_add(place(from)).min(range.end);
    begin..begin.saturating_add(place(length)).min(range.end)
}

/// The bytes of a section as they stand; none where the message has no such part.
pub(super) fn section_bytes(
    mail: &Mail,
    section: &Section,
    partial: Option<(u64, u64)>,
) -> io::Result<Option<Vec<u8>>> {
    let root = mail.part();
    let Some(part) = root.find(&section.part) else { return Ok(None) };
    let is_root = section.part.is_empty();
    // HEADER and TEXT of a part are those of the message within it. RFC 9051 §6.4.5.1.
    let message: Option<&Part> = match &part.content {
        _ if is_root => Some(root),
        Body::Message(message) => Some(message),
        Body::Leaf | Body::Multipart(_) => None,
    };
    let range = match &section.what {
        SectionPart::All if is_root => 0..root.body.end,
        SectionPart::All => part.body.clone(),
        SectionPart::Mime => part.header.clone(),
        SectionPart::Text => match message {
            Some(message) => message.body.clone(),
            None => return Ok(None),
        },
        SectionPart::Header => match message {
            Some(message) => message.header.clone(),
            None => return Ok(None),
        },
        SectionPart::Fields(names) | SectionPart::FieldsNot(names) => {
            let Some(message) = message else { return Ok(None) };
            let header = mail.bytes(message.header.clone())?;
            let wanted = matches!(section.what, SectionPart::Fields(_));
            let fields = fields(&header, names, wanted);
            return Ok(Some(within(&fields, partial).to_vec()));
        }
    };
    mail.bytes(clip(range, partial)).map(Some)
}

/// The fields of these names, or all others, and the empty line.
fn fields(header: &[u8], names: &[String], wanted: bool) -> Vec<u8> {
    let mut out = Vec::new();
    for field in Header::of(header).fields() {
        if names.iter().any(|name| name.eq_ignore_ascii_case(field.name)) == wanted {
            out.extend_from_slice(field.raw);
        }
    }
    out.extend_from_slice(b"\r\n");
    out
}

pub(super) enum Binary {
    Bytes(Vec<u8>),
    /// There is no such part.
    None,
    /// Nobody knows how it is encoded.
    Unknown,
}

/// A part with its transfer encoding undone.
pub(super) fn binary(mail: &Mail, number: &[u32]) -> io::Result<Binary> {
    let root = mail.part();
    if number.is_empty() {
        return mail.bytes(0..root.body.end).map(Binary::Bytes);
    }
    let Some(part) = root.find(number) else { return Ok(Binary::None) };
    if part.encoding == email::Encoding::Unknown {
        return Ok(Binary::Unknown);
    }
    let bytes = mail.bytes(part.body.clone())?;
    Ok(Binary::Bytes(email::decode(part.encoding, &bytes)))
}

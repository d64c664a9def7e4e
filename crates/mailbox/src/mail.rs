//! A message as e-mail: as it came, if it came as that; else written from its envelope, always in the same way, for what IMAP
//! once told of a message must stay so (RFC 9051 §2.3.1.1). Only the header is in memory then; attachments are encoded as they
//! are read.

use std::fmt;
use std::io::{self, Read as _, SeekFrom};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use email::compose::{self, BASE64_LINE, BASE64_LINE_WRITTEN, base64_length};
use email::{Body, Header, Part};
use imap::structure;
use store::Reading;

use crate::catalog::Row;
use crate::envelope::{Envelope, Importance, Sensitivity};
use crate::moment::Moment;
use crate::name::{Kind, MessageId};

/// The domain of numbers that called, and of mailboxes without one: RFC 2606 §2 keeps it for names that lead nowhere.
pub const DOMAIN: &str = "telephone.invalid";
/// The domain of our Message-IDs.
const ID_DOMAIN: &str = "entracte.invalid";

/// A message as e-mail.
#[derive(Debug)]
pub struct Mail {
    root: Part,
    pieces: Vec<Piece>,
}

/// Bytes of a message, one after the other.
enum Piece {
    /// As they are.
    Bytes(Vec<u8>),
    /// A file in base64, in lines; and its bytes before.
    File(Mutex<Box<dyn Reading>>, u64),
}

impl fmt::Debug for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
            Self::File(_, bytes) => write!(f, "a file of {bytes} bytes"),
        }
    }
}

/// What a message is made of, before its files are opened.
enum Planned {
    Bytes(Vec<u8>),
    /// The number of an attachment, and its bytes.
    File(usize, u64),
}

impl Planned {
    const fn length(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File(_, bytes) => base64_length(*bytes),
        }
    }
}

impl Mail {
    /// A message that came as e-mail.
    pub(crate) fn came(bytes: Vec<u8>) -> Self {
        Self { root: Part::scan(&bytes), pieces: vec![Piece::Bytes(bytes)] }
    }

    /// A message written from its envelope; `open` opens an attachment by its number.
    pub(crate) fn written<E>(
        envelope: &Envelope,
        mut open: impl FnMut(usize) -> Result<Box<dyn Reading>, E>,
    ) -> Result<Self, E> {
        let (root, planned) = plan(envelope);
        let pieces = planned.into_iter().map(|piece| match piece {
            Planned::Bytes(bytes) => Ok(Piece::Bytes(bytes)),
            Planned::File(number, bytes) => Ok(Piece::File(Mutex::new(open(number)?), bytes)),
        });
        Ok(Self { root, pieces: pieces.collect::<Result<_, _>>()? })
    }

    /// Its parts, and where each is.
    #[must_use]
    pub const fn part(&self) -> &Part {
        &self.root
    }

    /// Bytes of all of it.
    #[must_use]
    pub const fn octets(&self) -> usize {
        self.root.body.end
    }

    /// Appends bytes of it; fewer where it ends before.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn read(&self, range: Range<usize>, out: &mut Vec<u8>) -> io::Result<()> {
        let (mut from, mut left) = (range.start as u64, range.len() as u64);
        for piece in &self.pieces {
            let length = match piece {
                Piece::Bytes(bytes) => bytes.len() as u64,
                Piece::File(_, bytes) => base64_length(*bytes),
            };
            if from >= length {
                from -= length;
                continue;
            }
            let count = left.min(length - from);
            match piece {
                Piece::Bytes(bytes) => {
                    let (at, count) = (place(from), place(count));
                    out.extend_from_slice(bytes.get(at..at + count).unwrap_or_default());
                }
                Piece::File(file, _) => {
                    let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
                    encoded(&mut **file, from, count, out)?;
                }
            }
            (from, left) = (0, left - count);
            if left == 0 {
                break;
            }
        }
        Ok(())
    }

    /// All bytes of a range.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn bytes(&self, range: Range<usize>) -> io::Result<Vec<u8>> {
        let mut out = Vec::with_capacity(range.len());
        self.read(range, &mut out)?;
        Ok(out)
    }

    /// Its ENVELOPE. RFC 9051 §7.5.2.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn envelope(&self) -> io::Result<Vec<u8>> {
        let header = self.bytes(self.root.header.clone())?;
        let mut out = Vec::new();
        structure::envelope(&mut out, &Header::of(&header));
        Ok(out)
    }

    /// Its BODYSTRUCTURE or BODY. RFC 9051 §7.5.2.
    #[must_use]
    pub fn structure(&self, detail: structure::Detail) -> Vec<u8> {
        let mut out = Vec::new();
        self.part_structure(&self.root, detail, &mut out);
        out
    }

    /// The structure of one of its parts.
    pub fn part_structure(&self, part: &Part, detail: structure::Detail, out: &mut Vec<u8>) {
        // Headers of messages within are in memory.
        let header = |part: &Part| self.bytes(part.header.clone()).unwrap_or_default();
        structure::body(out, part, &header, detail);
    }
}

fn place(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Appends so many bytes of a file in base64, from such a byte of that on.
fn encoded(file: &mut dyn Reading, from: u64, count: u64, out: &mut Vec<u8>) -> io::Result<()> {
    let (first, last) = (from / BASE64_LINE_WRITTEN, (from + count).div_ceil(BASE64_LINE_WRITTEN));
    file.seek(SeekFrom::Start(first * BASE64_LINE))?;
    let mut bytes = Vec::new();
    file.take((last - first) * BASE64_LINE).read_to_end(&mut bytes)?;
    let mut text = Vec::with_capacity(bytes.len() * 3 / 2);
    compose::base64_lines(&bytes, &mut text);
    let begin = place(from % BASE64_LINE_WRITTEN);
    let end = begin.saturating_add(place(count)).min(text.len());
    let found = text.get(begin..end).ok_or(io::ErrorKind::UnexpectedEof)?;
    if (found.len() as u64) < count {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    out.extend_from_slice(found);
    Ok(())
}

/// Bytes of a message as e-mail.
pub(crate) fn octets(envelope: &Envelope) -> u64 {
    match envelope.attachments.first() {
        Some(mail) if envelope.is_mail => mail.bytes,
        Some(_) | None => plan(envelope).1.iter().map(Planned::length).sum(),
    }
}

fn plan(envelope: &Envelope) -> (Part, Vec<Planned>) {
    let mut head = header(&Face::of(envelope));
    if envelope.attachments.is_empty() {
        text_header(&mut head);
        let mut body = Vec::new();
        compose::base64_lines(envelope.body.as_bytes(), &mut body);
        let end = head.len() + body.len();
        let lines = lines(body.len() as u64);
        let root = Part::written(&head, 0, head.len()..end, lines);
        head.append(&mut body);
        return (root, vec![Planned::Bytes(head)]);
    }
    let boundary = format!("=_{}", envelope.id);
    compose::field(
        &mut head,
        "Content-Type",
        &format!("multipart/mixed; {}", compose::parameter("boundary", &boundary)),
    );
    head.extend_from_slice(b"\r\n");
    let root_header = head.clone();
    let mut pieces = Vec::new();
    let mut parts = Vec::new();
    let mut at = head.len();
    let mut open = head;
    let mut begin = |open: &mut Vec<u8>, at: &mut usize, header: &[u8], length: u64| {
        let delimiter = format!("--{boundary}\r\n");
        open.extend_from_slice(delimiter.as_bytes());
        open.extend_from_slice(header);
        let header_at = *at + delimiter.len();
        let body = header_at + header.len();
        // The last line break of the body belongs to the delimiter that follows. RFC 2046 §5.1.1.
        let end = body + place(length.saturating_sub(2));
        parts.push(Part::written(header, header_at, body..end, lines(length).saturating_sub(1)));
        *at = body + place(length);
    };
    if !envelope.body.is_empty() {
        let (mut header, mut body) = (Vec::new(), Vec::new());
        text_header(&mut header);
        compose::base64_lines(envelope.body.as_bytes(), &mut body);
        begin(&mut open, &mut at, &header, body.len() as u64);
        open.append(&mut body);
    }
    for (number, attachment) in envelope.attachments.iter().enumerate() {
        let header = attachment_header(envelope, number);
        // An empty file has a line, too.
        let length = base64_length(attachment.bytes).max(2);
        begin(&mut open, &mut at, &header, length);
        if attachment.bytes == 0 {
            open.extend_from_slice(b"\r\n");
            continue;
        }
        pieces.push(Planned::Bytes(std::mem::take(&mut open)));
        pieces.push(Planned::File(number, attachment.bytes));
    }
    open.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    pieces.push(Planned::Bytes(open));
    let end = place(pieces.iter().map(Planned::length).sum());
    let mut root = Part::written(&root_header, 0, root_header.len()..end, 0);
    root.content = Body::Multipart(parts);
    (root, pieces)
}

fn lines(length: u64) -> usize {
    place(length.div_ceil(BASE64_LINE_WRITTEN))
}

fn text_header(out: &mut Vec<u8>) {
    compose::field(out, "Content-Type", "text/plain; charset=utf-8");
    compose::field(out, "Content-Transfer-Encoding", "base64");
    out.extend_from_slice(b"\r\n");
}

fn attachment_header(envelope: &Envelope, number: usize) -> Vec<u8> {
    let Some(attachment) = envelope.attachments.get(number) else { return Vec::new() };
    let title = match &*attachment.title {
        "" => format!("{}-{}.{}", envelope.kind.word(), number + 1, attachment.extension()),
        title => title.rsplit(['/', '\\']).next().unwrap_or(title).to_owned(),
    };
    // It may be what a sender said.
    let media = attachment.media_type.split(';').next().unwrap_or_default().trim();
    let is_type = media.split_once('/').is_some_and(|(main, sub)| {
        let is_word = |word: &str| {
            !word.is_empty()
                && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"-+._".contains(&b))
        };
        // A multipart or a message in base64 is none. RFC 2045 §6.4.
        is_word(main) && is_word(sub) && main != "multipart" && main != "message"
    });
    let media = if is_type { media } else { "application/octet-stream" };
    let mut out = Vec::new();
    let name = compose::parameter("name", &title);
    compose::field(&mut out, "Content-Type", &format!("{media}; {name}"));
    compose::field(&mut out, "Content-Transfer-Encoding", "base64");
    let is_spoken = envelope.kind == Kind::Voice && media.starts_with("audio/");
    let file_name = compose::parameter("filename", &title);
    let disposition = if is_spoken {
        format!("attachment; voice=Voice-Message; {file_name}")
    } else {
        format!("attachment; {file_name}")
    };
    compose::field(&mut out, "Content-Disposition", &disposition);
    if let Some(ms) = attachment.duration_ms {
        compose::field(&mut out, "Content-Duration", &ms.div_ceil(1_000).to_string());
    }
    out.extend_from_slice(b"\r\n");
    out
}

/// What the header of a message is written from.
struct Face<'a> {
    id: MessageId,
    kind: Kind,
    at: Moment,
    name: &'a str,
    number: &'a str,
    address: &'a str,
    to: &'a str,
    subject: &'a str,
    reply_to: Option<MessageId>,
    duration_ms: Option<u64>,
    pages: Option<u32>,
    importance: Importance,
    sensitivity: Sensitivity,
}

impl<'a> Face<'a> {
    fn of(envelope: &'a Envelope) -> Self {
        Self {
            id: envelope.id,
            kind: envelope.kind,
            at: envelope.at,
            name: &envelope.from.name,
            number: &envelope.from.number,
            address: &envelope.from.address,
            to: envelope.to.unique.as_str(),
            subject: &envelope.subject,
            reply_to: envelope.reply_to,
            duration_ms: envelope.duration_ms,
            pages: envelope.pages,
            importance: envelope.importance,
            sensitivity: envelope.sensitivity,
        }
    }

    fn of_row(row: &'a Row, to: &'a str) -> Self {
        Self {
            id: row.id,
            kind: row.kind,
            at: Moment::from_micros(row.at),
            name: &row.from,
            number: &row.number,
            address: &row.address,
            to,
            subject: &row.subject,
            reply_to: row.reply_to,
            duration_ms: row.duration_ms,
            pages: row.pages,
            importance: row.importance,
            sensitivity: row.sensitivity,
        }
    }

    fn date(&self) -> String {
        compose::date(self.at.as_seconds())
    }

    fn message_id(id: MessageId) -> String {
        format!("<{id}@{ID_DOMAIN}>")
    }

    /// Local part and domain of who sent it.
    fn sender(&self) -> (String, String) {
        if let Some(address) = self.address.strip_prefix("mailto:")
            && let Some((local, domain)) = split(address)
        {
            return (local, domain);
        }
        let number = if self.number.is_empty() { "unknown" } else { self.number };
        (safe(number), DOMAIN.to_owned())
    }

    fn receiver(&self) -> (String, String) {
        split(self.to).unwrap_or_else(|| (safe(self.to), DOMAIN.to_owned()))
    }

    fn shown_name(&self) -> String {
        one_line(if self.name.trim().is_empty() { self.number } else { self.name })
    }

    fn subject(&self) -> String {
        let subject = one_line(self.subject);
        if !subject.is_empty() {
            return subject;
        }
        let kind = match self.kind {
            Kind::Voice => "Voice message",
            Kind::Fax => "Fax",
            Kind::Text => "Message",
            Kind::NonDelivery => "Not delivered",
        };
        let from = match self.shown_name() {
            name if name.is_empty() => name,
            name => format!(" from {name}"),
        };
        let length = self.duration_ms.map(|ms| {
            let seconds = ms.div_ceil(1_000);
            format!(" ({}:{:02})", seconds / 60, seconds % 60)
        });
        format!("{kind}{from}{}", length.unwrap_or_default())
    }
}

/// A text with single spaces in place of all other space.
fn one_line(text: &str) -> String {
    let is_space = |letter: char| letter.is_whitespace() || letter.is_control();
    let words: Vec<_> = text.split(is_space).filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

/// Local part and domain of an address that can stand as it is.
fn split(address: &str) -> Option<(String, String)> {
    let (local, domain) = address.rsplit_once('@')?;
    let fits = |text: &str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~.".contains(&b))
    };
    (fits(local) && fits(domain)).then(|| (local.to_owned(), domain.to_owned()))
}

/// A text as a local part.
fn safe(text: &str) -> String {
    let is_safe = |letter: char| letter.is_ascii_alphanumeric() || "+-_.".contains(letter);
    text.chars().map(|letter| if is_safe(letter) { letter } else { '_' }).collect()
}

fn header(face: &Face<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(600);
    let address = |(local, domain): (String, String)| format!("{local}@{domain}");
    compose::field(&mut out, "Date", &face.date());
    compose::field(
        &mut out,
        "From",
        &compose::mailbox(&face.shown_name(), &address(face.sender())),
    );
    compose::field(&mut out, "To", &compose::mailbox("", &address(face.receiver())));
    compose::field(&mut out, "Subject", &compose::text(&face.subject()));
    compose::field(&mut out, "Message-ID", &Face::message_id(face.id));
    if let Some(id) = face.reply_to {
        compose::field(&mut out, "In-Reply-To", &Face::message_id(id));
        compose::field(&mut out, "References", &Face::message_id(id));
    }
    compose::field(&mut out, "MIME-Version", "1.0");
    let context = match face.kind {
        Kind::Voice => Some("voice-message"),
        Kind::Fax => Some("fax-message"),
        Kind::Text | Kind::NonDelivery => None,
    };
    if let Some(context) = context {
        compose::field(&mut out, "Message-Context", context);
    }
    if let Some(ms) = face.duration_ms {
        compose::field(&mut out, "Content-Duration", &ms.div_ceil(1_000).to_string());
    }
    if let Some(pages) = face.pages {
        compose::field(&mut out, "X-Entracte-Pages", &pages.to_string());
    }
    if face.importance != Importance::Normal {
        compose::field(&mut out, "Importance", face.importance.word());
    }
    if face.sensitivity != Sensitivity::None {
        compose::field(&mut out, "Sensitivity", face.sensitivity.word());
    }
    out
}

/// The ENVELOPE of a message that did not come as e-mail, from its row alone: lists of many are asked for at once.
/// It is what [`Mail::envelope`] says.
pub(crate) fn row_envelope(row: &Row, to: &str, out: &mut Vec<u8>) {
    let face = Face::of_row(row, to);
    let string = imap::write::string;
    let address = |out: &mut Vec<u8>, name: &str, (local, domain): (String, String)| {
        out.extend_from_slice(b"((");
        let name = compose::text(name);
        imap::write::nstring(out, Some(name.as_bytes()).filter(|name| !name.is_empty()));
        out.extend_from_slice(b" NIL ");
        string(out, local.as_bytes());
        out.push(b' ');
        string(out, domain.as_bytes());
        out.extend_from_slice(b"))");
    };
    out.push(b'(');
    string(out, face.date().as_bytes());
    out.push(b' ');
    string(out, compose::text(&face.subject()).as_bytes());
    for _ in ["From", "Sender", "Reply-To"] {
        out.push(b' ');
        address(out, &face.shown_name(), face.sender());
    }
    out.push(b' ');
    address(out, "", face.receiver());
    out.extend_from_slice(b" NIL NIL ");
    let reply = face.reply_to.map(Face::message_id);
    imap::write::nstring(out, reply.as_deref().map(str::as_bytes));
    out.push(b' ');
    string(out, Face::message_id(face.id).as_bytes());
    out.push(b')');
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::address::Address;
    use crate::envelope::{Attachment, Sender};
    use crate::name::{Extension, Folder, Marks, Name};

    fn attachment(bytes: usize, media_type: &str, title: &str) -> Attachment {
        Attachment {
            media_type: media_type.into(),
            codec: String::new(),
            duration_ms: Some(1_500),
            bytes: bytes as u64,
            sha256: [0; 32],
            title: title.into(),
            peaks: Vec::new(),
            extension: Extension::of("wav"),
        }
    }

    fn example(body: &str, attachments: Vec<Attachment>, from: Sender, subject: &str) -> Envelope {
        let at = Moment::parse("2026-11-20T09:00:00.123456Z").unwrap();
        Envelope {
            id: MessageId::new(at, [7; 10]),
            kind: Kind::Voice,
            at,
            to: Address::parse("FBMC: Michael : michaelc@site").unwrap(),
            from,
            called: String::new(),
            subject: subject.into(),
            importance: Importance::High,
            sensitivity: Sensitivity::Private,
            expires: None,
            duration_ms: Some(61_000),
            pages: None,
            stopped: String::new(),
            reply_to: Some(MessageId::new(at, [1; 10])),
            forward_of: None,
            thread: None,
            body: body.into(),
            attachments,
            is_mail: false,
            parts: Vec::new(),
            imap_envelope: String::new(),
        }
    }

    fn sender(name: &str, number: &str, address: &str) -> Sender {
        Sender { name: name.into(), number: number.into(), address: address.into() }
    }

    fn content(number: usize, bytes: u64) -> Vec<u8> {
        (0..bytes).map(|n| ((n * 7 + number as u64) % 251).to_le_bytes()[0]).collect()
    }

    fn written(envelope: &Envelope) -> Mail {
        let open = |number: usize| {
            let bytes = content(number, envelope.attachments[number].bytes);
            Ok::<_, io::Error>(Box::new(Cursor::new(bytes)) as Box<dyn Reading>)
        };
        Mail::written(envelope, open).unwrap()
    }

    fn examples() -> Vec<Envelope> {
        let wav = |bytes| attachment(bytes, "audio/x-wav", "../a \"b\".wav");
        vec![
            example("", vec![], sender("", "", ""), ""),
            example(
                "Grüße\nund mehr",
                vec![],
                sender("Jörg \"B\"\t(x)", "+49 30", ""),
                "a\r\nBcc: x\t y",
            ),
            example(
                "",
                vec![wav(0)],
                sender("", "+4930", ""),
                "Grüße, die sehr lang sind und die man falten muss, weil sie lang sind",
            ),
            example("x", vec![wav(57), wav(1)], sender("A, B", "1", "mailto:a.b@c.example"), "s"),
            example(
                "x",
                vec![
                    wav(48_750),
                    attachment(3, "message/rfc822", ""),
                    attachment(9, "nonsense\r\nX: y", "Jörg"),
                ],
                sender("a  b", "", "mailto:a b@c"),
                "=?x",
            ),
        ]
    }

    #[test]
    fn it_is_what_a_reader_of_mail_finds() {
        for envelope in examples() {
            let mail = written(&envelope);
            let all = mail.bytes(0..mail.octets()).unwrap();
            assert_eq!(all.len() as u64, octets(&envelope));
            let scanned = Part::scan(&all);
            assert_eq!(mail.part(), &scanned, "{}", String::from_utf8_lossy(&all));
            let leaves = scanned.children();
            let files = leaves.len() - usize::from(!envelope.body.is_empty() && !leaves.is_empty());
            assert_eq!(files, envelope.attachments.len());
            for (number, part) in leaves.iter().rev().take(files).rev().enumerate() {
                let body = email::decode(part.encoding, &all[part.body.clone()]);
                assert_eq!(body, content(number, envelope.attachments[number].bytes));
            }
            if let Some((_, part)) = email::text(&scanned).filter(|_| !envelope.body.is_empty()) {
                assert_eq!(email::plain_text(part, &all), envelope.body);
            }
            let header = Header::of(&all);
            assert!(header.field("Bcc").is_none() && header.date("Date").is_some());
        }
    }

    #[test]
    fn any_range_of_it_can_be_read() {
        let envelope = &examples()[4];
        let mail = written(envelope);
        let all = mail.bytes(0..mail.octets()).unwrap();
        for from in (0..all.len()).step_by(997) {
            for length in [0, 1, 77, 78, 79, 4_096] {
                let end = (from + length).min(all.len());
                assert_eq!(
                    mail.bytes(from..from + length).unwrap(),
                    all[from..end],
                    "{from} {length}"
                );
            }
        }
        assert!(mail.bytes(all.len()..all.len() + 5).unwrap().is_empty());
    }

    #[test]
    fn a_row_says_the_same_envelope() {
        for envelope in examples() {
            let Envelope { id, kind, at, .. } = envelope;
            let name = Name { at, id, kind, marks: Marks::default(), folder: Folder::Inbox };
            let mut told = Vec::new();
            row_envelope(&Row::of(&name, &envelope), envelope.to.unique.as_str(), &mut told);
            let read = written(&envelope).envelope().unwrap();
            assert_eq!(String::from_utf8(told).unwrap(), String::from_utf8(read).unwrap());
        }
    }
}

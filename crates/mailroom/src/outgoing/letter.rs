//! A message as it goes on.

use std::io::Read as _;

use email::compose;
use email::{Header, Part};
use mailbox::{EmailRule, EmailSend, MailError, MessageId, MessageStore, Row, Unique};

/// Which mailbox a message went on from: it does not go on from there again, should it come back.
pub(crate) const MAILBOX_FIELD: &str = "X-Entracte-Mailbox";
/// Which message of that mailbox it is: by that copies are known again.
pub(crate) const MESSAGE_FIELD: &str = "X-Entracte-Message";
/// Bytes of a file that goes with a notice.
const FILE_BYTES_MAX: u64 = 24 << 20;

/// Mailboxes by whose rules a message may have come.
const HOPS_MAX: usize = 10;

/// A message that goes on.
pub(super) struct Letter {
    pub(super) bytes: Vec<u8>,
    /// Whether all of the message is in it.
    pub(super) is_whole: bool,
    /// Whether nobody shall answer it. RFC 5321 §4.5.5.
    pub(super) is_automatic: bool,
}

/// The message for an address; none when it came by e-mail from here before.
pub(super) fn write(
    store: &MessageStore,
    unique: &Unique,
    id: MessageId,
    rule: &EmailRule,
    sender: &str,
) -> Result<Option<Letter>, MailError> {
    let (row, envelope) = store.message(unique, id)?;
    let mail = store.mail(unique, id)?;
    let header = mail.bytes(mail.part().header.clone())?;
    let mark = unique.leaf();
    let head = Header::of(&header);
    let marks: Vec<String> = head
        .fields()
        .iter()
        .filter(|field| field.name.eq_ignore_ascii_case(MAILBOX_FIELD))
        .map(|field| field.value())
        .collect();
    // A notice of a notice could go round for ever.
    let is_notice = rule.send != EmailSend::Copy;
    if marks.iter().any(|known| known == mark)
        || marks.len() >= HOPS_MAX
        || (is_notice && !marks.is_empty())
    {
        return Ok(None);
    }
    let mut out = Vec::new();
    compose::field(&mut out, MAILBOX_FIELD, mark);
    compose::field(&mut out, MESSAGE_FIELD, &id.to_string());
    if rule.send == EmailSend::Copy && envelope.is_mail {
        if head.value("Message-ID").is_none() {
            compose::field(&mut out, "Message-ID", &format!("<{id}@entracte.invalid>"));
        }
        let is_automatic = head.value("Return-Path").is_some_and(|from| from.trim() == "<>")
            || head
                .value("Auto-Submitted")
                .is_some_and(|how| !how.trim().eq_ignore_ascii_case("no"));
        // As it came: signatures of others hold.
        whole_lines(&mail.bytes(0..mail.octets())?, &mut out);
        return Ok(Some(Letter { bytes: out, is_whole: true, is_automatic }));
    }
    let subject = head.text("Subject").unwrap_or_default();
    composed(store, (unique, &row, &envelope), (rule, sender), (out, &subject)).map(Some)
}

/// What is no mail, or is told only, as mail of ours.
fn composed(
    store: &MessageStore,
    (unique, row, envelope): (&Unique, &Row, &mailbox::Envelope),
    (rule, sender): (&EmailRule, &str),
    (mut out, subject): (Vec<u8>, &str),
) -> Result<Letter, MailError> {
    let id = row.id;
    let name = if row.from.is_empty() { &row.number } else { &row.from };
    compose::field(&mut out, "Date", &compose::date(row.at / 1_000_000));
    compose::field(&mut out, "From", &compose::mailbox(name, sender));
    compose::field(&mut out, "To", &compose::mailbox("", &rule.address));
    compose::field(&mut out, "Subject", &compose::text(subject));
    compose::field(
        &mut out,
        "Message-ID",
        &format!("<{id}.{}@entracte.invalid>", rule.send.word()),
    );
    // Nobody answers a machine. RFC 3834 §5.
    compose::field(&mut out, "Auto-Submitted", "auto-generated");
    compose::field(&mut out, "MIME-Version", "1.0");
    let contents = envelope.contents();
    let left_out: Vec<&str> = contents
        .iter()
        .filter(|about| rule.send == EmailSend::Notice || about.bytes > FILE_BYTES_MAX)
        .map(|about| &*about.title)
        .collect();
    let mut words = told(row, &envelope.body);
    if rule.send != EmailSend::Notice && !left_out.is_empty() {
        words.push_str(&format!("\r\nToo large for e-mail, and kept: {}\r\n", left_out.join(", ")));
    }
    // Of mail only the begin of its text is told.
    let is_whole = left_out.is_empty() && !envelope.is_mail;
    let mut text = Vec::new();
    compose::base64_lines(words.as_bytes(), &mut text);
    let boundary = format!("=_{id}");
    let kind = format!("multipart/mixed; {}", compose::parameter("boundary", &boundary));
    compose::field(&mut out, "Content-Type", &kind);
    out.extend_from_slice(format!("\r\n--{boundary}\r\n").as_bytes());
    compose::field(&mut out, "Content-Type", "text/plain; charset=utf-8");
    compose::field(&mut out, "Content-Transfer-Encoding", "base64");
    out.extend_from_slice(b"\r\n");
    out.append(&mut text);
    if rule.send != EmailSend::Notice {
        for (number, about) in contents.into_iter().enumerate() {
            if about.bytes > FILE_BYTES_MAX {
                continue;
            }
            let (_, file) = store.attachment(unique, id, number)?;
            let mut bytes = Vec::new();
            file.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
            let name = match &*about.title {
                "" => format!("voice.{}", about.extension()),
                title => title.to_owned(),
            };
            out.extend_from_slice(format!("--{boundary}\r\n").as_bytes());
            compose::field(&mut out, "Content-Type", plain(&about.media_type));
            compose::field(&mut out, "Content-Transfer-Encoding", "base64");
            let disposition = format!("attachment; {}", compose::parameter("filename", &name));
            compose::field(&mut out, "Content-Disposition", &disposition);
            out.extend_from_slice(b"\r\n");
            compose::base64_lines(&bytes, &mut out);
        }
    }
    out.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    debug_assert!(!Part::scan(&out).children().is_empty());
    Ok(Letter { bytes: out, is_whole, is_automatic: false })
}

/// Lines that end with CR and LF, each: what one server takes for the end of a line and another does not lets messages be smuggled.
/// RFC 5321 §2.3.8.
fn whole_lines(bytes: &[u8], out: &mut Vec<u8>) {
    let mut last = 0;
    for (at, byte) in bytes.iter().enumerate() {
        if *byte == b'\n' && last != b'\r' {
            out.push(b'\r');
        }
        out.push(*byte);
        if *byte == b'\r' && bytes.get(at + 1) != Some(&b'\n') {
            out.push(b'\n');
        }
        last = *byte;
    }
}

/// A media type that can stand in a header.
fn plain(media_type: &str) -> &str {
    let fits = media_type.bytes().all(|b| b.is_ascii_alphanumeric() || b"/-+._".contains(&b));
    let is_type = fits && media_type.matches('/').count() == 1;
    let is_whole = media_type.starts_with("multipart/") || media_type.starts_with("message/");
    if is_type && !is_whole { media_type } else { "application/octet-stream" }
}

fn told(row: &Row, body: &str) -> String {
    use std::fmt::Write as _;

    let mut text = String::new();
    let mut say = |what: &str, value: &str| {
        if !value.is_empty() {
            // A `String` takes everything.
            let _ = writeln!(text, "{what}: {value}");
        }
    };
    say("From", &row.from);
    say("Number", &row.number);
    say("Called", &row.called);
    say("Received", &mailbox::Moment::from_micros(row.at).to_string());
    if let Some(ms) = row.duration_ms {
        let seconds = ms.div_ceil(1_000);
        say("Length", &format!("{}:{:02}", seconds / 60, seconds % 60));
    }
    if !body.is_empty() {
        text.push('\n');
        text.push_str(body);
    }
    text.replace('\n', "\r\n")
}

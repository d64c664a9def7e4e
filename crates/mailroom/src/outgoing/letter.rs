//! A message as it goes on.

use std::io::Read as _;

use email::compose;
use email::{Header, Part};
use mailbox::{EmailRule, EmailSend, MailError, MessageId, MessageStore, Row, Unique};

/// Which mailbox a message went on from: it does not go on from there again, should it come back.
const MARK: &str = "X-Entracte-Mailbox";
/// Bytes of a file that goes with a notice.
const FILE_BYTES_MAX: u64 = 24 << 20;

/// The message for an address; none when it came from this mailbox by e-mail before.
pub(super) fn write(
    store: &MessageStore,
    unique: &Unique,
    id: MessageId,
    rule: &EmailRule,
    sender: &str,
) -> Result<Option<Vec<u8>>, MailError> {
    let (row, envelope) = store.message(unique, id)?;
    let mail = store.mail(unique, id)?;
    let header = mail.bytes(mail.part().header.clone())?;
    let mark = unique.leaf();
    if Header::of(&header).fields().iter().any(|field| field.name == MARK && field.value() == mark)
    {
        return Ok(None);
    }
    let mut out = Vec::new();
    compose::field(&mut out, MARK, mark);
    if rule.send == EmailSend::Copy && envelope.is_mail {
        // As it came: signatures of others hold.
        out.extend_from_slice(&mail.bytes(0..mail.octets())?);
        return Ok(Some(out));
    }
    let name = if row.from.is_empty() { &row.number } else { &row.from };
    compose::field(&mut out, "Date", &compose::date(row.at / 1_000_000));
    compose::field(&mut out, "From", &compose::mailbox(name, sender));
    compose::field(&mut out, "To", &compose::mailbox("", &rule.address));
    let subject = Header::of(&header).value("Subject").unwrap_or_default();
    compose::field(&mut out, "Subject", &subject);
    compose::field(
        &mut out,
        "Message-ID",
        &format!("<{id}.{}@entracte.invalid>", rule.send.word()),
    );
    // Nobody answers a machine. RFC 3834 §5.
    compose::field(&mut out, "Auto-Submitted", "auto-generated");
    compose::field(&mut out, "MIME-Version", "1.0");
    let mut text = Vec::new();
    compose::base64_lines(told(&row, &envelope.body).as_bytes(), &mut text);
    let boundary = format!("=_{id}");
    let kind = format!("multipart/mixed; {}", compose::parameter("boundary", &boundary));
    compose::field(&mut out, "Content-Type", &kind);
    out.extend_from_slice(format!("\r\n--{boundary}\r\n").as_bytes());
    compose::field(&mut out, "Content-Type", "text/plain; charset=utf-8");
    compose::field(&mut out, "Content-Transfer-Encoding", "base64");
    out.extend_from_slice(b"\r\n");
    out.append(&mut text);
    if rule.send != EmailSend::Notice {
        for (number, about) in envelope.contents().into_iter().enumerate() {
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
    Ok(Some(out))
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

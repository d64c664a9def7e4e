//! A message that comes as e-mail: what of it a list, a telephone and a page need.

use std::sync::Arc;

use email::{Body, Encoding, Header, Part, Voice};

use crate::draft::{Content, Draft, NewAttachment};
use crate::envelope::{Importance, MailPart, PARTS_MAX, Sender, Sensitivity};
use crate::name::Kind;

/// Most bytes of its text that stand in the envelope, too; all of it is in the message.
const EXCERPT_BYTES_MAX: usize = 16 << 10;

impl Draft {
    /// A draft of a message as it came. It is kept as it is; what it says of itself is believed where a header has the
    /// right form, and otherwise not looked at.
    #[must_use]
    pub fn of_mail(bytes: Arc<[u8]>) -> Self {
        let root = Part::scan(&bytes);
        let header = Header::of(bytes.get(root.header.clone()).unwrap_or_default());
        let kind = match email::voice(&root, header.value("Message-Context").as_deref()) {
            Voice::Voice => Kind::Voice,
            Voice::Fax => Kind::Fax,
            Voice::NonDelivery => Kind::NonDelivery,
            Voice::Text => Kind::Text,
        };
        let parts = parts(&root, &bytes);
        let sounds = parts.iter().filter(|part| part.media_type.starts_with("audio/"));
        let told = header.value("Content-Duration").and_then(|value| value.parse::<u32>().ok());
        let sum: u64 = sounds.filter_map(|part| part.duration_ms).sum();
        let duration_ms = (kind == Kind::Voice)
            .then(|| told.map_or(sum, |seconds| u64::from(seconds) * 1_000))
            .filter(|ms| *ms > 0);
        let mut imap_envelope = Vec::new();
        imap::structure::envelope(&mut imap_envelope, &header);
        let body = email::text(&root).map(|(_, part)| email::plain_text(part, &bytes));
        Self {
            from: sender(&header),
            subject: header.text("Subject").unwrap_or_default(),
            importance: importance(&header),
            sensitivity: sensitivity(&header),
            duration_ms,
            body: excerpt(body.unwrap_or_default()),
            is_mail: true,
            parts,
            imap_envelope: String::from_utf8(imap_envelope).unwrap_or_default(),
            attachments: vec![NewAttachment {
                media_type: "message/rfc822".to_owned(),
                codec: String::new(),
                duration_ms: None,
                title: String::new(),
                peaks: Vec::new(),
                content: Content::Bytes(bytes),
            }],
            ..Self::new(kind)
        }
    }
}

fn excerpt(mut text: String) -> String {
    let mut end = text.len().min(EXCERPT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text.truncate(text.trim_end().len());
    text
}

fn sender(header: &Header<'_>) -> Sender {
    let from = header.address("From").unwrap_or_default();
    let local = from.address.split('@').next().unwrap_or_default();
    let is_digits = |digits: &str| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    let is_number = is_digits(local.strip_prefix('+').unwrap_or(local));
    let address = match &*from.address {
        "" => String::new(),
        address => format!("mailto:{address}"),
    };
    Sender {
        name: from.name,
        number: if is_number { local.to_owned() } else { String::new() },
        address,
    }
}

/// `Importance` of RFC 2156 §5.3.4, or `X-Priority` as many programs have it.
fn importance(header: &Header<'_>) -> Importance {
    let word = header.value("Importance").map(|value| value.to_ascii_lowercase());
    let priority = header.value("X-Priority").unwrap_or_default();
    match (word.as_deref().and_then(Importance::parse), priority.chars().next()) {
        (Some(importance), _) => importance,
        (None, Some('1' | '2')) => Importance::High,
        (None, Some('4' | '5')) => Importance::Low,
        (None, Some(_) | None) => Importance::Normal,
    }
}

/// `Sensitivity`, RFC 2156 §5.3.8.
fn sensitivity(header: &Header<'_>) -> Sensitivity {
    let word = header.value("Sensitivity").map(|value| value.to_ascii_lowercase());
    word.as_deref().and_then(Sensitivity::parse).unwrap_or_default()
}

/// What is in it but its text: the audio first, the rest in its order.
fn parts(root: &Part, message: &[u8]) -> Vec<MailPart> {
    let audio = email::audio(root).map(|(number, _)| number);
    let text = email::text(root).map(|(number, _)| number);
    let mut found = Vec::new();
    root.walk(&mut |number, part| {
        let number = if number.is_empty() { &[1] } else { number };
        let is_text = text.as_deref() == Some(number);
        if found.len() < PARTS_MAX && matches!(part.content, Body::Leaf) && !is_text {
            let is_audio = audio.as_deref() == Some(number);
            let place = if is_audio { 0 } else { found.len() };
            found.insert(place, mail_part(part, message, is_audio));
        }
    });
    found
}

fn mail_part(part: &Part, message: &[u8], is_audio: bool) -> MailPart {
    let body = message.get(part.body.clone()).unwrap_or_default();
    let duration = is_audio.then(|| wav_duration_ms(part.encoding, body)).flatten();
    MailPart {
        media_type: part.media_type(),
        title: part.file_name().unwrap_or_default(),
        duration_ms: duration,
        encoding: part.encoding,
        from: part.body.start as u64,
        length: body.len() as u64,
        bytes: email::decoded_length(part.encoding, body) as u64,
    }
}

/// How long the audio of a WAV file is by its header, which is within its first bytes.
fn wav_duration_ms(encoding: Encoding, body: &[u8]) -> Option<u64> {
    let begin = body.get(..2_048).unwrap_or(body);
    let begin = email::decode(encoding, begin);
    audio::wav::duration_ms(&begin)
}

use crate::part::{Body, Part};

/// What kind of message it is for a telephone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Voice {
    /// Something that was said. RFC 3458 §3.1, RFC 3801 §4.
    Voice,
    /// Pages.
    Fax,
    /// Word of what could not be delivered. RFC 3464.
    NonDelivery,
    /// A text, or anything else.
    Text,
}

/// File names of audio end so.
const AUDIO: [&str; 17] = [
    "wav", "wave", "gsm", "mp3", "ogg", "oga", "opus", "amr", "awb", "au", "snd", "flac", "m4a",
    "aac", "aif", "aiff", "wma",
];

/// How sure it is that a part is what a caller said; `None` when it cannot be that. The lowest comes first.
fn rank(part: &Part) -> Option<u8> {
    let spoken = part.disposition.as_ref().and_then(|(_, parameters)| {
        let voice = parameters.iter().find(|(name, _)| name == "voice");
        voice.map(|(_, value)| value.to_ascii_lowercase())
    });
    let named = part.file_name().and_then(|name| {
        let ending = name.rsplit_once('.')?.1.to_ascii_lowercase();
        Some(AUDIO.contains(&&*ending))
    });
    match (&*part.media.0, spoken.as_deref()) {
        ("audio", Some("voice-message")) => Some(0),
        // The sender's or the receiver's name, spoken. RFC 3801 §4.4.1.
        ("audio", Some(_)) => Some(5),
        ("audio", None) => Some(1),
        _ if named == Some(true) => Some(2),
        ("application", _) if part.media.1 == "octet-stream" && named.is_none() => Some(3),
        ("video", _) => Some(4),
        _ => None,
    }
}

/// The part with the audio of a message, with its number: by its type; or its name, where the type says nothing. Parts of
/// forwarded messages are looked at, too, after those of the message itself.
#[must_use]
pub fn audio(message: &Part) -> Option<(Vec<u32>, &Part)> {
    best(message, rank)
}

/// The part with the text of a message, with its number.
#[must_use]
pub fn text(message: &Part) -> Option<(Vec<u32>, &Part)> {
    let is_attached =
        |part: &Part| part.disposition.as_ref().is_some_and(|(value, _)| value == "attachment");
    best(message, |part| (part.is("text", "plain") && !is_attached(part)).then_some(0))
        .or_else(|| best(message, |part| part.is("text", "*").then_some(0)))
}

/// The leaf with the lowest rank, the shallowest message first, and the first of those.
fn best(message: &Part, rank: impl Fn(&Part) -> Option<u8>) -> Option<(Vec<u32>, &Part)> {
    let mut found: Option<((usize, u8), Vec<u32>)> = None;
    let mut look = |part: &Part, number: &[u32], within: usize| {
        let Some(rank) = rank(part) else { return };
        // An unnamed lump of bytes in the outer message is no reason to pass over audio in the inner one.
        let key = if rank >= 3 { (usize::MAX, rank) } else { (within, rank) };
        if found.as_ref().is_none_or(|(best, _)| key < *best) {
            found = Some((key, number.to_vec()));
        }
    };
    let mut number = match &message.content {
        Body::Message(_) => vec![1],
        Body::Leaf | Body::Multipart(_) => Vec::new(),
    };
    leaves(message, &mut number, 0, &mut look);
    let (_, number) = found?;
    let part = message.find(if number.is_empty() { &[1] } else { &number })?;
    Some((if number.is_empty() { vec![1] } else { number }, part))
}

fn leaves(
    part: &Part,
    number: &mut Vec<u32>,
    within: usize,
    look: &mut dyn FnMut(&Part, &[u32], usize),
) {
    match &part.content {
        Body::Leaf => look(part, number, within),
        Body::Multipart(parts) => {
            for (place, part) in (1..).zip(parts) {
                number.push(place);
                leaves(part, number, within, look);
                number.pop();
            }
        }
        Body::Message(message) => {
            if matches!(message.content, Body::Multipart(_)) {
                leaves(message, number, within + 1, look);
            } else {
                number.push(1);
                leaves(message, number, within + 1, look);
                number.pop();
            }
        }
    }
}

/// What kind of message it is, by its Message-Context (RFC 3458 §3), or else by what is in it.
#[must_use]
pub fn voice(message: &Part, context: Option<&str>) -> Voice {
    let has = |wanted: &dyn Fn(&Part) -> bool| {
        let mut found = false;
        message.walk(&mut |_, part| found |= wanted(part));
        found
    };
    if message.is("multipart", "report")
        && message
            .parameter("report-type")
            .is_some_and(|kind| kind.eq_ignore_ascii_case("delivery-status"))
    {
        return Voice::NonDelivery;
    }
    match context.map(str::trim).map(str::to_ascii_lowercase).as_deref() {
        Some("voice-message") => return Voice::Voice,
        Some("fax-message") => return Voice::Fax,
        Some(_) | None => {}
    }
    if has(&|part| part.is("multipart", "voice-message")) {
        Voice::Voice
    } else if has(&|part| part.is("multipart", "fax-message")) {
        Voice::Fax
    } else if has(&|part| {
        matches!(part.content, Body::Leaf) && rank(part).is_some_and(|rank| rank <= 2)
    }) {
        Voice::Voice
    } else if has(&|part| part.is("image", "tiff")) {
        Voice::Fax
    } else {
        Voice::Text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(header: &str) -> String {
        format!("--B\r\n{header}\r\n\r\nx\r\n")
    }

    fn multipart(kind: &str, parts: &[String]) -> String {
        format!("Content-Type: multipart/{kind}; boundary=B\r\n\r\n{}--B--\r\n", parts.concat())
    }

    #[track_caller]
    fn check(message: &str, number: Option<&[u32]>, kind: Voice) {
        let scanned = Part::scan(message.as_bytes());
        assert_eq!(audio(&scanned).map(|(number, _)| number).as_deref(), number);
        assert_eq!(voice(&scanned, None), kind);
    }

    #[test]
    fn the_audio_is_found_by_its_type_or_its_name() {
        let text = part("Content-Type: text/plain");
        let wav = part("Content-Type: audio/wav");
        check(&multipart("mixed", &[text.clone(), wav]), Some(&[2]), Voice::Voice);
        let named = part("Content-Type: application/x-download; name=\"msg.WAV\"");
        check(&multipart("mixed", &[text.clone(), named]), Some(&[2]), Voice::Voice);
        let lump = part("Content-Type: application/octet-stream");
        check(&multipart("mixed", &[text.clone(), lump]), Some(&[2]), Voice::Text);
        let pdf = part("Content-Type: application/octet-stream; name=a.pdf");
        check(&multipart("mixed", &[text.clone(), pdf]), None, Voice::Text);
        check("Content-Type: audio/wav\r\n\r\nx", Some(&[1]), Voice::Voice);
        check("Subject: x\r\n\r\nx", None, Voice::Text);
        let fax = part("Content-Type: image/tiff");
        check(&multipart("mixed", &[text, fax]), None, Voice::Fax);
    }

    #[test]
    fn spoken_names_are_not_the_message() {
        let name = part(
            "Content-Type: audio/32KADPCM\r\nContent-Disposition: inline; voice=Originator-Spoken-Name",
        );
        let said = part(
            "Content-Type: audio/32KADPCM\r\nContent-Disposition: inline; voice=Voice-Message",
        );
        check(&multipart("voice-message; version=2.0", &[name, said]), Some(&[2]), Voice::Voice);
    }

    #[test]
    fn what_was_forwarded_comes_after_what_was_added() {
        let inner = "Content-Type: multipart/mixed; boundary=C\r\n\r\n--C\r\nContent-Type: audio/wav\r\n\r\nx\r\n--C--\r\n";
        let forwarded = format!("--B\r\nContent-Type: message/rfc822\r\n\r\n{inner}\r\n");
        let text = part("Content-Type: text/plain");
        check(&multipart("mixed", &[text, forwarded.clone()]), Some(&[2, 1]), Voice::Voice);
        let wav = part("Content-Type: audio/wav");
        check(&multipart("mixed", &[forwarded, wav]), Some(&[2]), Voice::Voice);
        let alone =
            "--B\r\nContent-Type: message/rfc822\r\n\r\nContent-Type: audio/wav\r\n\r\nx\r\n"
                .to_owned();
        check(&multipart("mixed", &[alone]), Some(&[1, 1]), Voice::Voice);
    }
}

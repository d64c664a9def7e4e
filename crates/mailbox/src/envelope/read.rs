use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use quick_xml::Reader;
use quick_xml::events::{BytesRef, BytesStart, Event};

use super::{
    ATTACHMENTS_MAX, Attachment, BODY_BYTES_MAX, Envelope, EnvelopeError, FIELD_BYTES_MAX,
    Importance, MailPart, NAMESPACE, PARTS_MAX, PEAKS_MAX, Sender, Sensitivity,
};
use crate::address::Address;
use crate::moment::Moment;
use crate::name::{Extension, Kind, MessageId};

/// Most elements within elements.
const DEPTH_MAX: usize = 16;
/// Most attributes of an element.
const ATTRIBUTES_MAX: usize = 32;

type Attributes = BTreeMap<String, String>;

/// What was read so far.
#[derive(Default)]
struct Read {
    root: Option<Attributes>,
    /// Elements within the root that have only text, by name.
    texts: BTreeMap<String, String>,
    from: Attributes,
    attachments: Vec<(Attributes, String)>,
    parts: Vec<Attributes>,
}

pub(super) fn envelope(xml: &str) -> Result<Envelope, EnvelopeError> {
    let mut reader = Reader::from_str(xml);
    reader.config_mut().check_end_names = true;
    let mut read = Read::default();
    let mut path: Vec<String> = Vec::new();
    let mut text = String::new();
    loop {
        let at = reader.buffer_position();
        let malformed = |what| EnvelopeError::Malformed { at, what };
        let event = reader.read_event().map_err(|_| malformed("not well-formed"))?;
        match event {
            Event::Start(start) => {
                path.push(name(&start));
                text.clear();
                read.begin(&path, attributes(&start).ok_or_else(|| malformed("an attribute"))?)?;
            }
            Event::Empty(start) => {
                path.push(name(&start));
                read.begin(&path, attributes(&start).ok_or_else(|| malformed("an attribute"))?)?;
                read.end(&path, String::new());
                path.pop();
            }
            Event::End(_) => {
                read.end(&path, std::mem::take(&mut text));
                path.pop();
            }
            Event::Text(more) => text.push_str(&more),
            Event::CData(more) => text.push_str(&more),
            Event::GeneralRef(reference) => {
                let unknown = || malformed("an entity that XML does not define");
                text.push(letter(&reference).ok_or_else(unknown)?);
            }
            Event::DocType(_) => return Err(malformed("a document type declaration")),
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
            Event::Eof if path.is_empty() => return read.whole(),
            Event::Eof => return Err(malformed("the end before all elements ended")),
        }
        if path.len() > DEPTH_MAX {
            return Err(EnvelopeError::Limit("depth of elements"));
        }
        if text.len() > text_bytes_max(&path) {
            return Err(EnvelopeError::Limit("bytes of a text"));
        }
    }
}

fn text_bytes_max(path: &[String]) -> usize {
    if path.get(1).is_some_and(|name| name == "body") {
        BODY_BYTES_MAX
    } else {
        // Peaks are longest.
        FIELD_BYTES_MAX + PEAKS_MAX * 4 / 3
    }
}

fn name(start: &BytesStart<'_>) -> String {
    start.local_name().as_ref().to_owned()
}

fn attributes(start: &BytesStart<'_>) -> Option<Attributes> {
    let mut all = Attributes::new();
    for attribute in start.attributes().take(ATTRIBUTES_MAX + 1) {
        let attribute = attribute.ok()?;
        let key = attribute.key.as_ref().to_owned();
        // Only what XML itself defines.
        all.insert(key, quick_xml::escape::unescape(&attribute.value).ok()?.into_owned());
    }
    (all.len() <= ATTRIBUTES_MAX).then_some(all)
}

fn letter(reference: &BytesRef<'_>) -> Option<char> {
    if let Ok(Some(c)) = reference.resolve_char_ref() {
        return Some(c);
    }
    match &**reference {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => None,
    }
}

impl Read {
    fn begin(&mut self, path: &[String], attributes: Attributes) -> Result<(), EnvelopeError> {
        match path {
            [root] if root == "message" && self.root.is_none() => self.root = Some(attributes),
            [_] => return Err(EnvelopeError::Value("the element message")),
            [_, one] if one == "from" => self.from = attributes,
            [_, one] if one == "attachment" => {
                if self.attachments.len() == ATTACHMENTS_MAX {
                    return Err(EnvelopeError::Limit("attachments"));
                }
                self.attachments.push((attributes, String::new()));
            }
            [_, one] if one == "part" => {
                if self.parts.len() == PARTS_MAX {
                    return Err(EnvelopeError::Limit("parts"));
                }
                self.parts.push(attributes);
            }
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self, path: &[String], text: String) {
        match path {
            [_, one] if one != "attachment" => {
                self.texts.insert(one.clone(), text);
            }
            [_, one, two] if one == "attachment" && two == "peaks" => {
                if let Some((_, peaks)) = self.attachments.last_mut() {
                    *peaks = text;
                }
            }
            _ => {}
        }
    }

    fn text(&mut self, name: &'static str) -> Result<String, EnvelopeError> {
        let text = self.texts.remove(name).unwrap_or_default();
        let is_long = matches!(name, "body" | "imap-envelope");
        if !is_long && text.len() > FIELD_BYTES_MAX {
            return Err(EnvelopeError::Limit(name));
        }
        Ok(text)
    }

    /// The value of an element that must be there.
    fn must<T>(
        &mut self,
        name: &'static str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<T, EnvelopeError> {
        self.maybe(name, parse)?.ok_or(EnvelopeError::Value(name))
    }

    /// The value of an element that may be there.
    fn maybe<T>(
        &mut self,
        name: &'static str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, EnvelopeError> {
        let text = self.texts.remove(name);
        text.map(|text| parse(text.trim()).ok_or(EnvelopeError::Value(name))).transpose()
    }

    fn whole(mut self) -> Result<Envelope, EnvelopeError> {
        let root = self.root.take().ok_or(EnvelopeError::Value("the element message"))?;
        if root.get("xmlns").is_none_or(|namespace| namespace != NAMESPACE) {
            return Err(EnvelopeError::Value("the namespace"));
        }
        match root.get("version").map(String::as_str) {
            Some("1") => {}
            Some(other) if other.parse::<u32>().is_ok() => return Err(EnvelopeError::Version),
            Some(_) | None => return Err(EnvelopeError::Value("version")),
        }
        let id = root.get("id").and_then(|id| MessageId::parse(id));
        let kind = root.get("type").and_then(|kind| Kind::parse(kind));
        let mut from = std::mem::take(&mut self.from);
        let mut sender = |key| from.remove(key).unwrap_or_default();
        let from =
            Sender { name: sender("name"), number: sender("number"), address: sender("address") };
        let attachments = std::mem::take(&mut self.attachments);
        let parts = std::mem::take(&mut self.parts);
        let first = attachments.first();
        let is_mail =
            first.is_some_and(|(from, _)| from.get("mail").is_some_and(|mail| mail == "true"));
        Ok(Envelope {
            id: id.ok_or(EnvelopeError::Value("id"))?,
            kind: kind.ok_or(EnvelopeError::Value("type"))?,
            at: self.must("received", Moment::parse)?,
            to: self.must("to", |text| Address::parse(text).ok())?,
            from,
            called: self.text("called")?,
            subject: self.text("subject")?,
            importance: self.maybe("importance", Importance::parse)?.unwrap_or_default(),
            sensitivity: self.maybe("sensitivity", Sensitivity::parse)?.unwrap_or_default(),
            expires: self.maybe("expires", Moment::parse)?,
            duration_ms: self.maybe("duration-ms", |text| text.parse().ok())?,
            pages: self.maybe("pages", |text| text.parse().ok())?,
            stopped: self.text("stopped")?,
            reply_to: self.maybe("reply-to", MessageId::parse)?,
            forward_of: self.maybe("forward-of", MessageId::parse)?,
            thread: self.maybe("thread", MessageId::parse)?,
            body: self.text("body")?,
            attachments: attachments.into_iter().map(attachment).collect::<Result<_, _>>()?,
            is_mail,
            parts: parts.into_iter().map(part).collect::<Result<_, _>>()?,
            imap_envelope: self.text("imap-envelope")?,
        })
    }
}

fn part(mut from: Attributes) -> Result<MailPart, EnvelopeError> {
    let duration = from.remove("duration-ms").map(|text| text.parse());
    let mut number = |name| {
        let number = from.remove(name).and_then(|number| number.parse::<u64>().ok());
        number.ok_or(EnvelopeError::Value(name))
    };
    Ok(MailPart {
        duration_ms: duration.transpose().map_err(|_| EnvelopeError::Value("duration-ms"))?,
        from: number("from")?,
        length: number("length")?,
        bytes: number("bytes")?,
        media_type: from.remove("media-type").ok_or(EnvelopeError::Value("media-type"))?,
        title: from.remove("title").unwrap_or_default(),
        encoding: email::Encoding::parse(&from.remove("encoding").unwrap_or_default()),
    })
}

fn attachment((mut from, peaks): (Attributes, String)) -> Result<Attachment, EnvelopeError> {
    let extension = from.remove("extension").unwrap_or_default();
    let known = Extension::of(&extension);
    // A name that we would not write leads somewhere else.
    if known.as_str() != extension {
        return Err(EnvelopeError::Value("extension"));
    }
    let bytes = from.remove("bytes").and_then(|bytes| bytes.parse().ok());
    let sha256 = from.remove("sha256").and_then(|text| digest(&text));
    let duration = from.remove("duration-ms").map(|text| text.parse());
    let peaks = STANDARD.decode(peaks.trim()).ok().filter(|peaks| peaks.len() <= PEAKS_MAX);
    Ok(Attachment {
        media_type: from.remove("media-type").ok_or(EnvelopeError::Value("media-type"))?,
        codec: from.remove("codec").unwrap_or_default(),
        duration_ms: duration.transpose().map_err(|_| EnvelopeError::Value("duration-ms"))?,
        bytes: bytes.ok_or(EnvelopeError::Value("bytes"))?,
        sha256: sha256.ok_or(EnvelopeError::Value("sha256"))?,
        title: from.remove("title").unwrap_or_default(),
        peaks: peaks.ok_or(EnvelopeError::Value("peaks"))?,
        extension: known,
    })
}

fn digest(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 {
        return None;
    }
    for (place, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * place..2 * place + 2)?, 16).ok()?;
    }
    Some(bytes)
}

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use email::Encoding;

use crate::address::Address;
use crate::moment::Moment;
use crate::name::{Extension, Kind, MessageId};

mod read;

/// The namespace of the envelope's elements.
pub const NAMESPACE: &str = "urn:entracte:message:1";
/// Most bytes of an envelope's file. A text of [`BODY_BYTES_MAX`] that is all quotes needs six times as many.
pub const ENVELOPE_BYTES_MAX: u64 = 16 << 20;
/// Most bytes of a message's text.
pub const BODY_BYTES_MAX: usize = 1 << 20;
/// Most bytes of any other text in an envelope.
pub const FIELD_BYTES_MAX: usize = 1_024;
/// Most attachments of a message.
pub const ATTACHMENTS_MAX: usize = 100;
/// Most parts of a message that came as e-mail that are listed; all are in it.
pub const PARTS_MAX: usize = 100;
/// Most bytes of an ENVELOPE that are kept.
pub const IMAP_BYTES_MAX: usize = 4_096;
/// Most bytes of an attachment: 2 GiB.
pub const ATTACHMENT_BYTES_MAX: u64 = 2 << 30;
/// Most peaks that are kept of an attachment.
pub const PEAKS_MAX: usize = 4_096;

/// How much a message matters, in the words of RFC 2156's `Importance`.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    Eq,
    PartialEq,
    serde::Deserialize,
    serde::Serialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Importance {
    /// Least.
    Low,
    /// As most.
    #[default]
    Normal,
    /// Urgent.
    High,
}

/// Who a message is for, RFC 2156's `Sensitivity`.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    Eq,
    PartialEq,
    serde::Deserialize,
    serde::Serialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Sensitivity {
    /// Anybody's.
    #[default]
    None,
    /// The user's, not the office's.
    Personal,
    /// The user's only; it is not forwarded.
    Private,
    /// The company's.
    Confidential,
}

macro_rules! words {
    ($type:ident: $($variant:ident $word:literal),+) => {
        impl $type {
            /// The word for it.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// Reads [`Self::word`].
            #[must_use]
            pub fn parse(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

words!(Importance: Low "low", Normal "normal", High "high");
words!(Sensitivity: None "none", Personal "personal", Private "private", Confidential "company-confidential");

/// Who sent a message, as far as it is known.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Sender {
    /// What the caller's display said.
    pub name: String,
    /// The calling number.
    pub number: String,
    /// An address to answer to: `FBMC:`, `mailto:`, `tel:` or `sip:`.
    pub address: String,
}

/// One file that goes with a message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Attachment {
    /// What it is: `audio/x-wav`.
    pub media_type: String,
    /// How the audio is coded: `gsm`, `opus`.
    pub codec: String,
    /// How long the audio is.
    pub duration_ms: Option<u64>,
    /// Bytes of the file.
    pub bytes: u64,
    /// SHA-256 of the file; zeros for a part of a message that came as e-mail, which has one as a whole.
    pub sha256: [u8; 32],
    /// The name it had where it came from. No file is named by it.
    pub title: String,
    /// How loud it is, 0 to 255, at even distances from its begin to its end.
    pub peaks: Vec<u8>,
    pub(crate) extension: Extension,
}

impl Attachment {
    /// How its file's name ends, without the dot.
    #[must_use]
    pub const fn extension(&self) -> &'static str {
        self.extension.as_str()
    }
}

/// A part of a message that came as e-mail, which is kept as it came: where in it, and what.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MailPart {
    /// What it is: `audio/x-wav`.
    pub media_type: String,
    /// The name that its sender gave it.
    pub title: String,
    /// How long the audio is.
    pub duration_ms: Option<u64>,
    /// Its transfer encoding.
    pub encoding: Encoding,
    /// Bytes of the message before it.
    pub from: u64,
    /// Bytes of it as it stands.
    pub length: u64,
    /// About how many bytes it has when its transfer encoding is undone.
    pub bytes: u64,
}

/// All that is known of a message, and its text. It is written once and never changed; what changes is in
/// the file's [name](crate::Name).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Envelope {
    /// Which it is.
    pub id: MessageId,
    /// What it is.
    pub kind: Kind,
    /// When it was received.
    pub at: Moment,
    /// Whose mailbox it was delivered to.
    pub to: Address,
    /// Who sent it.
    pub from: Sender,
    /// The number that was called.
    pub called: String,
    /// What it is about.
    pub subject: String,
    /// How much it matters.
    pub importance: Importance,
    /// Who it is for.
    pub sensitivity: Sensitivity,
    /// When it is deleted by itself.
    pub expires: Option<Moment>,
    /// How long the audio is, all together.
    pub duration_ms: Option<u64>,
    /// Pages of a fax.
    pub pages: Option<u32>,
    /// Why the recording ended: `hung up`, `key #`, `longest length`.
    pub stopped: String,
    /// The message that this one answers.
    pub reply_to: Option<MessageId>,
    /// The message that this one passes on.
    pub forward_of: Option<MessageId>,
    /// The first message of the chain that it is in.
    pub thread: Option<MessageId>,
    /// Its text.
    pub body: String,
    /// Its files, in their order.
    pub attachments: Vec<Attachment>,
    /// Whether it came as e-mail. Then its first file is that, as it came.
    pub is_mail: bool,
    /// What is in that, but its text.
    pub parts: Vec<MailPart>,
    /// Its ENVELOPE as IMAP has it, RFC 9051 §7.5.2, so that a list needs no more than this; empty when it did not come as
    /// e-mail, or when that is longer than [`IMAP_BYTES_MAX`].
    pub imap_envelope: String,
}

/// Why bytes are no envelope.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum EnvelopeError {
    /// The last line's sum is missing or wrong: bits changed, or the end is missing.
    Sum,
    /// It is not well-formed, or has what no envelope has, at this byte.
    Malformed {
        /// Bytes before the fault.
        at: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// An element or attribute is missing or has a value that it cannot have.
    Value(&'static str),
    /// A bound was reached; the text names it.
    Limit(&'static str),
    /// A later version wrote it.
    Version,
}

impl fmt::Display for EnvelopeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sum => f.write_str("the checksum in its last line is missing or wrong"),
            Self::Malformed { at, what } => write!(f, "{what} at byte {at}"),
            Self::Value(which) => write!(f, "{which} is missing or wrong"),
            Self::Limit(which) => write!(f, "limit reached: {which}"),
            Self::Version => f.write_str("a later version wrote it"),
        }
    }
}

impl std::error::Error for EnvelopeError {}

impl MailPart {
    /// It as a file of its own would be.
    #[must_use]
    pub fn as_attachment(&self) -> Attachment {
        Attachment {
            media_type: self.media_type.clone(),
            codec: String::new(),
            duration_ms: self.duration_ms,
            bytes: self.bytes,
            sha256: [0; 32],
            title: self.title.clone(),
            peaks: Vec::new(),
            extension: crate::draft::extension(&self.media_type, &self.title),
        }
    }
}

impl Envelope {
    /// What goes with the text: the files, or what is in a message that came as e-mail.
    #[must_use]
    pub fn contents(&self) -> Vec<Attachment> {
        if self.is_mail {
            self.parts.iter().map(MailPart::as_attachment).collect()
        } else {
            self.attachments.clone()
        }
    }

    /// The file's bytes: XML by the schema in `docs/message.xsd`, with a checksum in its last line.
    #[must_use]
    pub fn to_xml(&self) -> String {
        let mut out = Xml(String::with_capacity(1_024 + self.body.len()));
        out.raw("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        out.open(
            "message",
            &[
                ("xmlns", NAMESPACE),
                ("version", "1"),
                ("id", &self.id.to_string()),
                ("type", self.kind.word()),
            ],
        );
        out.leaf("received", &self.at.to_string());
        out.leaf("to", &self.to.to_string());
        let Sender { name, number, address } = &self.from;
        let from = [("name", &**name), ("number", number), ("address", address)];
        out.empty("from", from.into_iter().filter(|(_, value)| !value.is_empty()));
        out.some("called", &self.called);
        out.some("subject", &self.subject);
        out.leaf("importance", self.importance.word());
        out.leaf("sensitivity", self.sensitivity.word());
        out.maybe("expires", self.expires);
        out.maybe("duration-ms", self.duration_ms);
        out.maybe("pages", self.pages);
        out.some("stopped", &self.stopped);
        out.maybe("reply-to", self.reply_to);
        out.maybe("forward-of", self.forward_of);
        out.maybe("thread", self.thread);
        out.some("body", &self.body);
        for (number, attachment) in self.attachments.iter().enumerate() {
            out.attachment(attachment, self.is_mail && number == 0);
        }
        self.parts.iter().for_each(|part| out.part(part));
        out.some("imap-envelope", &self.imap_envelope);
        out.raw("</message>\n");
        let Xml(mut text) = out;
        let sum = crc32fast::hash(text.as_bytes());
        // A `String` takes everything.
        let _ = writeln!(text, "<!-- crc32 {sum:08x} -->");
        text
    }

    /// Reads [`Self::to_xml`]. Elements and attributes that are not known are passed over.
    ///
    /// # Errors
    /// See [`EnvelopeError`]. A document type declaration is refused, and so are entities that XML does not
    /// define itself.
    pub fn parse(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        read::envelope(checked(bytes)?)
    }
}

/// The XML before the last line, if its checksum is right.
fn checked(bytes: &[u8]) -> Result<&str, EnvelopeError> {
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > ENVELOPE_BYTES_MAX {
        return Err(EnvelopeError::Limit("bytes of an envelope"));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| EnvelopeError::Sum)?;
    let (xml, sum) = text.rsplit_once("<!-- crc32 ").ok_or(EnvelopeError::Sum)?;
    let right = format!("{:08x} -->\n", crc32fast::hash(xml.as_bytes()));
    if sum == right { Ok(xml) } else { Err(EnvelopeError::Sum) }
}

struct Xml(String);

impl Xml {
    fn raw(&mut self, text: &str) {
        self.0.push_str(text);
    }

    fn begin<'a>(&mut self, name: &str, attributes: impl IntoIterator<Item = (&'a str, &'a str)>) {
        // A `String` takes everything.
        let _ = write!(self.0, "<{name}");
        for (key, value) in attributes {
            let _ = write!(self.0, " {key}=\"{}\"", escaped(value));
        }
    }

    fn open(&mut self, name: &str, attributes: &[(&str, &str)]) {
        self.begin(name, attributes.iter().copied());
        self.raw(">\n");
    }

    fn empty<'a>(&mut self, name: &str, attributes: impl IntoIterator<Item = (&'a str, &'a str)>) {
        self.begin(name, attributes);
        self.raw("/>\n");
    }

    fn leaf(&mut self, name: &str, text: &str) {
        let _ = writeln!(self.0, "<{name}>{}</{name}>", escaped(text));
    }

    fn some(&mut self, name: &str, text: &str) {
        if !text.is_empty() {
            self.leaf(name, text);
        }
    }

    fn maybe(&mut self, name: &str, value: Option<impl fmt::Display>) {
        if let Some(value) = value {
            self.leaf(name, &value.to_string());
        }
    }

    fn part(&mut self, part: &MailPart) {
        let [from, length, bytes] = [part.from, part.length, part.bytes].map(|n| n.to_string());
        let duration = part.duration_ms.map(|ms| ms.to_string());
        let all = [
            ("media-type", Some(&*part.media_type)),
            ("duration-ms", duration.as_deref()),
            ("encoding", Some(part.encoding.word())),
            ("from", Some(&*from)),
            ("length", Some(&*length)),
            ("bytes", Some(&*bytes)),
            ("title", Some(&*part.title)),
        ];
        let there = all.iter().filter_map(|(key, value)| Some((*key, (*value)?)));
        self.empty("part", there.filter(|(_, value)| !value.is_empty()));
    }

    fn attachment(&mut self, attachment: &Attachment, is_mail: bool) {
        let bytes = attachment.bytes.to_string();
        let sha256 = hex(&attachment.sha256);
        let duration = attachment.duration_ms.map(|ms| ms.to_string());
        let all = [
            ("media-type", Some(&*attachment.media_type)),
            ("extension", Some(attachment.extension())),
            ("codec", Some(&*attachment.codec)),
            ("duration-ms", duration.as_deref()),
            ("bytes", Some(&*bytes)),
            ("sha256", Some(&*sha256)),
            ("title", Some(&*attachment.title)),
            ("mail", Some("true").filter(|_| is_mail)),
        ];
        let there = all.iter().filter_map(|(key, value)| Some((*key, (*value)?)));
        let there = there.filter(|(_, value)| !value.is_empty());
        if attachment.peaks.is_empty() {
            self.empty("attachment", there);
        } else {
            self.begin("attachment", there);
            self.raw("><peaks>");
            STANDARD.encode_string(&attachment.peaks, &mut self.0);
            self.raw("</peaks></attachment>\n");
        }
    }
}

/// The text with what XML cannot hold as it is written as references.
fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(['<', '>', '&', '"', '\r', '\n', '\t']) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            // A reader would turn these into others, or into spaces.
            '\r' => out.push_str("&#13;"),
            '\n' => out.push_str("&#10;"),
            '\t' => out.push_str("&#9;"),
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// The text without characters that XML has no form for; in their place stands U+FFFD.
pub(crate) fn xml_text(text: &str) -> String {
    let holds = |c: char| {
        matches!(c, '\t' | '\n' | '\r') || (c >= ' ' && c != '\u{fffe}' && c != '\u{ffff}')
    };
    text.chars().map(|c| if holds(c) { c } else { char::REPLACEMENT_CHARACTER }).collect()
}

/// The bytes in hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut all, byte| {
        let _ = write!(all, "{byte:02x}");
        all
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn example() -> Envelope {
        let at = Moment::parse("2026-11-20T09:00:00.123456Z").unwrap();
        let id = MessageId::new(at, [7; 10]);
        Envelope {
            id,
            kind: Kind::Voice,
            at,
            to: Address::parse("FBMC: Michael Cole : michaelc@site").unwrap(),
            from: Sender {
                name: "\"A\" <b> & c".into(),
                number: "+493012345".into(),
                address: String::new(),
            },
            called: "200".into(),
            subject: "ümläut\tand tab".into(),
            importance: Importance::High,
            sensitivity: Sensitivity::Confidential,
            expires: Some(at.plus_days(30)),
            duration_ms: Some(30_000),
            pages: None,
            stopped: "hung up".into(),
            reply_to: Some(MessageId::new(at, [1; 10])),
            forward_of: None,
            thread: Some(MessageId::new(at, [2; 10])),
            body: " one\r\n<two> &amp; ]]> \n".into(),
            attachments: vec![
                Attachment {
                    media_type: "audio/x-wav".into(),
                    codec: "gsm".into(),
                    duration_ms: Some(30_000),
                    bytes: 48_750,
                    sha256: [0xab; 32],
                    title: "../../voice \"1\".wav".into(),
                    peaks: (0..=255).collect(),
                    extension: Extension::of("wav"),
                },
                Attachment {
                    media_type: "application/octet-stream".into(),
                    codec: String::new(),
                    duration_ms: None,
                    bytes: 0,
                    sha256: [0; 32],
                    title: String::new(),
                    peaks: Vec::new(),
                    extension: Extension::of("exe"),
                },
            ],
            is_mail: true,
            parts: vec![MailPart {
                media_type: "audio/x-wav".into(),
                title: "a \"b\".wav".into(),
                duration_ms: Some(1_000),
                encoding: Encoding::Base64,
                from: 700,
                length: 400,
                bytes: 290,
            }],
            imap_envelope: "(NIL {3}\r\na\tb \"x\")".into(),
        }
    }

    #[test]
    fn an_envelope_is_read_as_it_was_written() {
        let all = example();
        assert_eq!(Envelope::parse(all.to_xml().as_bytes()).as_ref(), Ok(&all));
        let least = Envelope {
            from: Sender::default(),
            called: String::new(),
            subject: String::new(),
            importance: Importance::Normal,
            sensitivity: Sensitivity::None,
            expires: None,
            duration_ms: None,
            pages: Some(3),
            stopped: String::new(),
            reply_to: None,
            thread: None,
            body: String::new(),
            attachments: Vec::new(),
            is_mail: false,
            parts: Vec::new(),
            imap_envelope: String::new(),
            ..all
        };
        assert_eq!(Envelope::parse(least.to_xml().as_bytes()).as_ref(), Ok(&least));
    }

    #[test]
    fn a_changed_bit_or_a_missing_end_is_found() {
        let good = example().to_xml().into_bytes();
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(Envelope::parse(&bad).is_err(), "bit {bit}");
        }
        for end in 0..good.len() {
            assert!(Envelope::parse(&good[..end]).is_err(), "{end} bytes");
        }
    }

    fn with_sum(xml: &str) -> Vec<u8> {
        format!("{xml}<!-- crc32 {:08x} -->\n", crc32fast::hash(xml.as_bytes())).into_bytes()
    }

    #[test]
    fn bombs_and_strangers_are_refused_with_a_word() {
        let good = example().to_xml();
        let xml = good.rsplit_once("<!-- crc32").unwrap().0;
        let check = |from: &str, to: &str, wanted: &str| {
            assert!(xml.contains(from), "{from}");
            let error = Envelope::parse(&with_sum(&xml.replacen(from, to, 1))).unwrap_err();
            assert!(error.to_string().contains(wanted), "{from} -> {to}: {error}");
        };
        let bomb = "<!DOCTYPE b [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;&a;\">]>\n<message";
        check("<message", bomb, "document type");
        check("ümläut", "&b;", "entity");
        check("version=\"1\"", "version=\"2\"", "later version");
        check("type=\"voice\"", "type=\"video\"", "type");
        check(NAMESPACE, "urn:other", "namespace");
        check("<received>2026", "<received>20-", "received");
        check("extension=\"wav\"", "extension=\"/../../x\"", "extension");
        check("sha256=\"ab", "sha256=\"", "sha256");
        check("</message>", "", "end");
        check("<called>", &format!("{}<called>", "<x>".repeat(40)), "depth");
        let newer = "<unknown a=\"b\"><deep>1</deep></unknown><called x=\"y\">";
        let read = Envelope::parse(&with_sum(&xml.replacen("<called>", newer, 1)));
        assert_eq!(read, Ok(example()), "what is not known is passed over");
    }
}

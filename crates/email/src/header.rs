use std::borrow::Cow;

use mail_parser::decoders::charsets::map::charset_decoder;
use mail_parser::{Address, MessageParser};

use crate::part::HEADER_BYTES_MAX;

/// Most fields of a header that are looked at.
const FIELDS_MAX: usize = 2_000;
/// Most addresses of a field.
const ADDRESSES_MAX: usize = 1_000;

/// One field of a header, as it stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Field<'a> {
    /// Its name.
    pub name: &'a str,
    /// All of it, with its name and its last line break.
    pub raw: &'a [u8],
    value: &'a [u8],
}

/// The fields of a header. RFC 5322 §2.2.
#[derive(Clone, Debug, Default)]
pub struct Header<'a> {
    fields: Vec<Field<'a>>,
}

/// Someone with an address.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Mailbox {
    /// What they are called; empty when that is not said.
    pub name: String,
    /// `local-part@domain`, as it stands.
    pub address: String,
}

/// One entry of an address field.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Recipient {
    /// Someone.
    Mailbox(Mailbox),
    /// Some, under a name. RFC 5322 §3.4.
    Group(String, Vec<Mailbox>),
}

/// A date as a header has it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Date {
    /// Seconds since 1970.
    pub seconds: i64,
    /// The day as it is called there, days since 1970: what IMAP's SENTON means. RFC 9051 §6.4.4.
    pub day: i64,
}

impl<'a> Header<'a> {
    /// Finds the fields; lines that are none are passed over.
    #[must_use]
    pub fn of(bytes: &'a [u8]) -> Self {
        let bytes = bytes.get(..HEADER_BYTES_MAX).unwrap_or(bytes);
        let mut fields = Vec::new();
        let mut lines = crate::part::lines(bytes).peekable();
        let mut at = 0;
        while let Some(line) = lines.next() {
            let begin = at;
            at += line.len();
            if matches!(line, b"\r\n" | b"\n") || fields.len() >= FIELDS_MAX {
                break;
            }
            while let Some(more) =
                lines.next_if(|next| next.starts_with(b" ") || next.starts_with(b"\t"))
            {
                at += more.len();
            }
            let raw = bytes.get(begin..at).unwrap_or_default();
            fields.extend(field(raw));
        }
        Self { fields }
    }

    /// All fields in their order.
    #[must_use]
    pub fn fields(&self) -> &[Field<'a>] {
        &self.fields
    }

    /// The first field of this name; in any case.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Field<'a>> {
        self.fields.iter().find(|field| field.name.eq_ignore_ascii_case(name))
    }

    /// The value of the first field of this name, in one line and otherwise as it stands.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<String> {
        self.field(name).map(Field::value)
    }

    /// The value of a field of text, with its encoded words decoded. RFC 2047.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        self.field(name).map(Field::text)
    }

    /// The addresses of a field. What is none is passed over.
    #[must_use]
    pub fn addresses(&self, name: &str) -> Vec<Recipient> {
        let Some(value) = self.value(name) else { return Vec::new() };
        let line = format!("To: {value}\r\n\r\n");
        let parser = MessageParser::new().with_address_headers();
        let parsed = parser.parse_headers(&line);
        let mailbox = |of: &mail_parser::Addr<'_>| Mailbox {
            name: of.name.as_deref().unwrap_or_default().to_owned(),
            address: of.address.as_deref().unwrap_or_default().to_owned(),
        };
        match parsed.as_ref().and_then(mail_parser::Message::to) {
            None => Vec::new(),
            Some(Address::List(all)) => {
                all.iter().take(ADDRESSES_MAX).map(|one| Recipient::Mailbox(mailbox(one))).collect()
            }
            Some(Address::Group(groups)) => {
                let mut found = Vec::new();
                for group in groups.iter().take(ADDRESSES_MAX) {
                    let all: Vec<_> =
                        group.addresses.iter().take(ADDRESSES_MAX).map(mailbox).collect();
                    match &group.name {
                        Some(name) => found.push(Recipient::Group(name.to_string(), all)),
                        None => found.extend(all.into_iter().map(Recipient::Mailbox)),
                    }
                }
                found
            }
        }
    }

    /// The first address of a field.
    #[must_use]
    pub fn address(&self, name: &str) -> Option<Mailbox> {
        self.addresses(name).into_iter().find_map(|one| match one {
            Recipient::Mailbox(one) => Some(one),
            Recipient::Group(_, all) => all.into_iter().next(),
        })
    }

    /// The date of a field.
    #[must_use]
    pub fn date(&self, name: &str) -> Option<Date> {
        let value = self.value(name)?;
        let line = format!("Date: {value}\r\n\r\n");
        let parser = MessageParser::new().with_date_headers();
        let parsed = parser.parse_headers(&line)?;
        let date = parsed.date().filter(|date| date.is_valid())?;
        let here = mail_parser::DateTime { tz_hour: 0, tz_minute: 0, ..*date };
        Some(Date { seconds: date.to_timestamp(), day: here.to_timestamp().div_euclid(86_400) })
    }
}

fn field(raw: &[u8]) -> Option<Field<'_>> {
    let colon = raw.iter().position(|byte| *byte == b':')?;
    let name = std::str::from_utf8(raw.get(..colon)?).ok()?.trim_end();
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic());
    is_name.then_some(Field { name, raw, value: raw.get(colon + 1..)? })
}

impl Field<'_> {
    /// Its value with its encoded words decoded. RFC 2047.
    #[must_use]
    pub fn text(&self) -> String {
        unencoded(&self.value())
    }

    /// Its value in one line, otherwise as it stands; bytes that are no UTF-8 are taken as Latin-1.
    #[must_use]
    pub fn value(&self) -> String {
        let text = match std::str::from_utf8(self.value) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => self.value.iter().copied().map(char::from).collect(),
        };
        text.trim().chars().filter(|letter| !matches!(letter, '\r' | '\n' | '\0')).collect()
    }
}

/// A text with its encoded words decoded. RFC 2047 §2.
pub(crate) fn unencoded(value: &str) -> String {
    if !value.contains("=?") {
        return value.to_owned();
    }
    let line = format!("Subject: {value}\r\n\r\n");
    let parsed =
        MessageParser::new().with_mime_headers().header_text("Subject").parse_headers(&line);
    let text = parsed.as_ref().and_then(|message| message.subject().map(str::to_owned));
    text.unwrap_or_else(|| value.to_owned())
}

/// Bytes in a character set, as text. One that is not known is taken as UTF-8 as far as it is that.
pub(crate) fn in_charset(charset: &str, bytes: &[u8]) -> String {
    let is_utf8 = ["", "utf-8", "utf8", "us-ascii", "ascii"].contains(&charset);
    let decoder = charset_decoder(charset.as_bytes()).filter(|_| !is_utf8);
    decoder.map_or_else(|| String::from_utf8_lossy(bytes).into_owned(), |decode| decode(bytes))
}

/// The text of a part: its transfer encoding and its character set undone, and line breaks as `\n`.
#[must_use]
pub fn plain_text(part: &crate::Part, message: &[u8]) -> String {
    let body = message.get(part.body.clone()).unwrap_or_default();
    let bytes = crate::encoding::decode(part.encoding, body);
    let charset = part.parameter("charset").unwrap_or_default().to_ascii_lowercase();
    in_charset(&charset, &bytes).replace("\r\n", "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &[u8] = b"From: =?utf-8?q?J=C3=B6rg?= B <j@b.example>\r\nSubject: =?utf-8?b?R3LDvMOfZQ==?=\r\n\t and more\r\n\
        no field\r\nTo: a@b, Team: c@d, \"E, F\" <e@f>;, g@h\r\nDate: Mon, 30 Nov 2026 01:30:00 +0200\r\nX : y\r\n\r\nBody: z\r\n";

    #[test]
    fn fields_are_found_and_decoded() {
        let header = Header::of(HEADER);
        let names: Vec<_> = header.fields().iter().map(|field| field.name).collect();
        assert_eq!(names, ["From", "Subject", "To", "Date", "X"]);
        assert_eq!(header.text("subject").as_deref(), Some("Grüße and more"));
        let from = header.address("FROM").unwrap();
        assert_eq!((&*from.name, &*from.address), ("Jörg B", "j@b.example"));
        assert_eq!(header.field("subject").unwrap().raw.len(), 45 + "\r\n".len());
    }

    #[test]
    fn addresses_come_alone_and_in_groups() {
        let told: Vec<_> = Header::of(HEADER)
            .addresses("to")
            .into_iter()
            .map(|one| match one {
                Recipient::Mailbox(one) => one.address,
                Recipient::Group(name, all) => {
                    let all: Vec<_> = all.into_iter().map(|one| one.name + &one.address).collect();
                    format!("{name}: {}", all.join(" "))
                }
            })
            .collect();
        assert_eq!(told, ["a@b", "Team: c@d E, Fe@f", "g@h"]);
        assert!(Header::of(b"To: undisclosed-recipients:;\r\n").address("to").is_none());
    }

    #[test]
    fn a_date_has_its_moment_and_its_day() {
        let date = Header::of(HEADER).date("date").unwrap();
        assert_eq!(date.seconds, 1_795_995_000);
        assert_eq!(date.day, 20_787, "the 30th there, the 29th in Greenwich");
        assert!(Header::of(b"Date: yesterday\r\n").date("date").is_none());
    }

    #[test]
    fn bytes_that_are_no_utf8_are_latin_1() {
        assert_eq!(Header::of(b"Subject: J\xf6rg\r\n").text("subject").as_deref(), Some("Jörg"));
        assert_eq!(in_charset("iso-8859-1", b"J\xf6rg"), "Jörg");
        assert_eq!(in_charset("unheard-of", "Jörg".as_bytes()), "Jörg");
    }
}

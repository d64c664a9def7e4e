//! A message as IMAP shows it: ENVELOPE and BODYSTRUCTURE. RFC 9051 §7.5.2.

use email::{Body, Encoding, Header, Mailbox, Parameter, Part, Recipient, compose};

use crate::response::Value;
use crate::write::{nstring, string};

/// How deep a structure that a server sends may be.
const DEPTH_MAX: usize = 40;

/// Appends the ENVELOPE of a message with this header.
pub fn envelope(out: &mut Vec<u8>, header: &Header<'_>) {
    let field = |out: &mut Vec<u8>, name: &str| {
        nstring(out, header.value(name).as_deref().map(str::as_bytes));
    };
    out.push(b'(');
    field(out, "Date");
    out.push(b' ');
    field(out, "Subject");
    let from = header.addresses("From");
    for name in ["From", "Sender", "Reply-To", "To", "Cc", "Bcc"] {
        out.push(b' ');
        let own = if name == "From" { Vec::new() } else { header.addresses(name) };
        // RFC 9051 §7.5.2: who did not say otherwise is the author.
        let is_author = matches!(name, "From" | "Sender" | "Reply-To") && own.is_empty();
        addresses(out, if is_author { &from } else { &own });
    }
    out.push(b' ');
    field(out, "In-Reply-To");
    out.push(b' ');
    field(out, "Message-ID");
    out.push(b')');
}

fn addresses(out: &mut Vec<u8>, all: &[Recipient]) {
    if all.is_empty() {
        out.extend_from_slice(b"NIL");
        return;
    }
    out.push(b'(');
    for one in all {
        match one {
            Recipient::Mailbox(mailbox) => address(out, mailbox),
            Recipient::Group(name, members) => {
                out.extend_from_slice(b"(NIL NIL ");
                string(out, compose::text(name).as_bytes());
                out.extend_from_slice(b" NIL)");
                members.iter().for_each(|mailbox| address(out, mailbox));
                out.extend_from_slice(b"(NIL NIL NIL NIL)");
            }
        }
    }
    out.push(b')');
}

fn address(out: &mut Vec<u8>, mailbox: &Mailbox) {
    let (local, domain) = mailbox.address.rsplit_once('@').unwrap_or((&mailbox.address, ""));
    out.push(b'(');
    let name = compose::text(&mailbox.name);
    nstring(out, Some(name.as_bytes()).filter(|name| !name.is_empty()));
    out.extend_from_slice(b" NIL ");
    // NIL would begin a group.
    string(out, local.as_bytes());
    out.push(b' ');
    string(out, domain.as_bytes());
    out.push(b')');
}

/// Whether BODYSTRUCTURE is written, or BODY.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Detail {
    /// With the extension data.
    Full,
    /// Without.
    Basic,
}

/// Appends the structure of a part of `message`.
pub fn body_structure(out: &mut Vec<u8>, part: &Part, message: &[u8], detail: Detail) {
    body(out, part, &|part| message.get(part.header.clone()).unwrap_or_default().to_vec(), detail);
}

/// As [`body_structure`], where the header of a message within is asked for.
pub fn body(out: &mut Vec<u8>, part: &Part, header: &dyn Fn(&Part) -> Vec<u8>, detail: Detail) {
    out.push(b'(');
    if let Body::Multipart(parts) = &part.content {
        parts.iter().for_each(|part| body(out, part, header, detail));
        out.push(b' ');
        string(out, part.media.1.as_bytes());
        if detail == Detail::Full {
            out.push(b' ');
            parameters(out, &part.parameters);
            about(out, part);
        }
        out.push(b')');
        return;
    }
    string(out, part.media.0.as_bytes());
    out.push(b' ');
    string(out, part.media.1.as_bytes());
    out.push(b' ');
    parameters(out, &part.parameters);
    for text in [&part.id, &part.description] {
        out.push(b' ');
        nstring(out, text.as_deref().map(str::as_bytes));
    }
    out.push(b' ');
    string(out, part.encoding.word().as_bytes());
    out.extend_from_slice(format!(" {}", part.body.len()).as_bytes());
    if let Body::Message(message) = &part.content {
        out.push(b' ');
        let bytes = header(message);
        envelope(out, &Header::of(&bytes));
        out.push(b' ');
        body(out, message, header, detail);
    }
    if part.media.0 == "text" || matches!(part.content, Body::Message(_)) {
        out.extend_from_slice(format!(" {}", part.lines).as_bytes());
    }
    if detail == Detail::Full {
        out.push(b' ');
        nstring(out, part.md5.as_deref().map(str::as_bytes));
        about(out, part);
    }
    out.push(b')');
}

fn parameters(out: &mut Vec<u8>, all: &[Parameter]) {
    if all.is_empty() {
        out.extend_from_slice(b"NIL");
        return;
    }
    out.push(b'(');
    for (place, (name, value)) in all.iter().enumerate() {
        if place > 0 {
            out.push(b' ');
        }
        string(out, name.as_bytes());
        out.push(b' ');
        string(out, value.as_bytes());
    }
    out.push(b')');
}

/// Disposition, language and location.
fn about(out: &mut Vec<u8>, part: &Part) {
    out.push(b' ');
    match &part.disposition {
        Some((value, all)) => {
            out.push(b'(');
            string(out, value.as_bytes());
            out.push(b' ');
            parameters(out, all);
            out.push(b')');
        }
        None => out.extend_from_slice(b"NIL"),
    }
    out.push(b' ');
    let languages: Vec<_> =
        part.language.iter().flat_map(|all| all.split(',')).map(str::trim).collect();
    match &*languages {
        [] => out.extend_from_slice(b"NIL"),
        [one] => string(out, one.as_bytes()),
        many => {
            out.push(b'(');
            for (place, one) in many.iter().enumerate() {
                if place > 0 {
                    out.push(b' ');
                }
                string(out, one.as_bytes());
            }
            out.push(b')');
        }
    }
    out.push(b' ');
    nstring(out, part.location.as_deref().map(str::as_bytes));
}

/// Reads a BODYSTRUCTURE as a server sends it. Where its parts are it does not say: a body's range begins at 0 and has the
/// bytes that the part has as it stands.
#[must_use]
pub fn parse(value: &Value) -> Option<Part> {
    part(value, 0)
}

fn part(value: &Value, depth: usize) -> Option<Part> {
    let Value::List(items) = value else { return None };
    if depth > DEPTH_MAX {
        return None;
    }
    let children: Vec<_> = items.iter().take_while(|item| matches!(item, Value::List(_))).collect();
    if children.is_empty() {
        return leaf(items, depth);
    }
    let rest = items.get(children.len()..)?;
    let parts =
        children.into_iter().map(|item| part(item, depth + 1)).collect::<Option<Vec<_>>>()?;
    Some(Part {
        media: ("multipart".to_owned(), rest.first()?.text()?.to_ascii_lowercase()),
        parameters: rest.get(1).map(pairs).unwrap_or_default(),
        disposition: rest.get(2).and_then(disposition),
        content: Body::Multipart(parts),
        ..Part::default()
    })
}

fn leaf(items: &[Value], depth: usize) -> Option<Part> {
    let [main, sub, parameters, id, description, encoding, size, rest @ ..] = items else {
        return None;
    };
    let media = (main.text()?.to_ascii_lowercase(), sub.text()?.to_ascii_lowercase());
    let is_message = media == ("message".to_owned(), "rfc822".to_owned())
        || media == ("message".to_owned(), "global".to_owned());
    let (content, rest) = match rest {
        [Value::List(_), body @ Value::List(_), rest @ ..] if is_message => {
            (Body::Message(Box::new(part(body, depth + 1)?)), rest)
        }
        _ => (Body::Leaf, rest),
    };
    let has_lines = media.0 == "text" || matches!(content, Body::Message(_));
    let rest = if has_lines { rest.get(1..).unwrap_or_default() } else { rest };
    Some(Part {
        media,
        parameters: pairs(parameters),
        id: id.text(),
        description: description.text(),
        encoding: Encoding::parse(&encoding.text().unwrap_or_default()),
        body: 0..usize::try_from(size.number()?).ok()?,
        // After the MD5.
        disposition: rest.get(1).and_then(disposition),
        content,
        ..Part::default()
    })
}

fn pairs(value: &Value) -> Vec<Parameter> {
    let Value::List(items) = value else { return Vec::new() };
    let pair = |pair: &[Value]| match pair {
        [name, value] => Some((name.text()?.to_ascii_lowercase(), value.text()?)),
        _ => None,
    };
    items.chunks(2).filter_map(pair).collect()
}

fn disposition(value: &Value) -> Option<(String, Vec<Parameter>)> {
    let Value::List(items) = value else { return None };
    let word = items.first()?.text()?.to_ascii_lowercase();
    Some((word, items.get(1).map(pairs).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::response::Response;

    const MESSAGE: &[u8] = b"Date: Mon, 7 Feb 1994 21:52:25 -0800\r\nFrom: =?utf-8?q?J=C3=B6rg?= <fred@blurdy>\r\n\
        To: Team: a@b;, c@d\r\nSubject: afternoon\r\nMessage-Id: <B27397-0100000@x>\r\n\
        Content-Type: multipart/mixed; boundary=B\r\n\r\n--B\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\nhi\r\nyou\r\n\
        --B\r\nContent-Type: message/rfc822\r\n\r\nSubject: in\r\nContent-Type: audio/wav\r\nContent-Transfer-Encoding: base64\r\n\
        Content-Disposition: attachment; filename=a.wav\r\nContent-Language: en, de\r\n\r\nAAAA\r\n--B--\r\n";

    #[test]
    fn section_7_5_2_an_envelope_has_ten_fields() {
        let mut out = Vec::new();
        let part = Part::scan(MESSAGE);
        envelope(&mut out, &Header::of(&MESSAGE[part.header]));
        let from = "((\"=?utf-8?B?SsO2cmc=?=\" NIL \"fred\" \"blurdy\"))";
        let to =
            "((NIL NIL \"Team\" NIL)(NIL NIL \"a\" \"b\")(NIL NIL NIL NIL)(NIL NIL \"c\" \"d\"))";
        let expected = format!(
            "(\"Mon, 7 Feb 1994 21:52:25 -0800\" \"afternoon\" {from} {from} {from} {to} NIL NIL NIL \"<B27397-0100000@x>\")"
        );
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn section_7_5_2_a_structure_is_written_and_read_back() {
        let mut out = Vec::new();
        let whole = Part::scan(MESSAGE);
        body_structure(&mut out, &whole, MESSAGE, Detail::Full);
        let inner = "(NIL \"in\" NIL NIL NIL NIL NIL NIL NIL NIL) (\"audio\" \"wav\" NIL NIL NIL \"base64\" 4 NIL \
            (\"attachment\" (\"filename\" \"a.wav\")) (\"en\" \"de\") NIL)";
        let expected = format!(
            "((\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 7 1 NIL NIL NIL NIL)\
             (\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 154 {inner} 6 NIL NIL NIL NIL) \"mixed\" (\"boundary\" \"B\") NIL NIL NIL)"
        );
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, expected);
        let line = format!("* 1 FETCH (BODYSTRUCTURE {text})");
        let Some(Response::Numbered(1, _, values)) = Response::parse(line.as_bytes()) else {
            panic!()
        };
        let read = parse(values[0].item("BODYSTRUCTURE").unwrap()).unwrap();
        let (number, audio) = email::audio(&read).unwrap();
        assert_eq!((number, audio.body.len()), (vec![2, 1], 4));
        assert_eq!(audio.file_name().as_deref(), Some("a.wav"));
        assert_eq!(audio.encoding, Encoding::Base64);
    }
}

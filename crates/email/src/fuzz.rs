//! Bodies for the fuzzer; each is replayed over `corpus/<name>/` by a test of this crate.

use crate::{Body, Decoder, Encoding, Header, Part, audio, plain_text, text, voice};

/// Whatever the bytes are, they are a message: each part lies within the one that it is in, has a number by which it is
/// found, and nothing panics.
pub fn email_message(data: &[u8]) {
    let message = Part::scan(data);
    assert_eq!(message.body.end, data.len(), "the body ends where the message does");
    within(&message);
    message.walk(&mut |number, part| {
        if !number.is_empty() {
            let found = message.find(number).map(|found| &found.body);
            assert_eq!(found, Some(&part.body), "{number:?} is another part");
        }
        let header = Header::of(data.get(part.header.clone()).unwrap_or_default());
        for field in header.fields() {
            let _ = header.text(field.name);
        }
        let _ = (header.addresses("to"), header.date("date"), part.file_name());
        let _ = plain_text(part, data);
    });
    let _ = (audio(&message), text(&message), voice(&message, None));
}

fn within(part: &Part) {
    for child in part.children() {
        assert!(child.header.start >= part.body.start && child.body.end <= part.body.end);
        assert_eq!(child.header.end, child.body.start);
        within(child);
    }
    assert!(!matches!(&part.content, Body::Multipart(parts) if parts.is_empty()));
}

/// However encoded bytes are cut, they decode the same.
pub fn email_decoder(data: &[u8]) {
    for encoding in [Encoding::Base64, Encoding::QuotedPrintable, Encoding::Binary] {
        let decode = |piece: usize| {
            let (mut decoder, mut out) = (Decoder::new(encoding), Vec::new());
            data.chunks(piece).for_each(|bytes| decoder.push(bytes, &mut out));
            decoder.finish(&mut out);
            out
        };
        let whole = decode(data.len().max(1));
        for piece in [1, 7] {
            assert!(decode(piece) == whole, "decoded otherwise in pieces of {piece}");
        }
    }
}

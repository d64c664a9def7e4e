//! Bodies for the fuzzer; each is replayed over `corpus/<name>/` by a test of this crate.

use email::{Header, Part};

use crate::framing::{CommandFrame, CommandFramer, ResponseFrame, ResponseFramer};
use crate::{Command, Response, Url, structure};

/// Small, so that short inputs reach it.
const LITERAL_BYTES_MAX: usize = 200;

/// However a client's bytes are cut, they read the same, and nothing panics.
pub fn imap_commands(data: &[u8]) {
    let read = |piece: usize| {
        let mut framer = CommandFramer::new(LITERAL_BYTES_MAX);
        let mut seen = Vec::new();
        for bytes in data.chunks(piece) {
            framer.push(bytes);
            seen.extend(framer.by_ref());
        }
        seen
    };
    let whole = read(data.len().max(1));
    for piece in [1, 7] {
        assert!(read(piece) == whole, "read otherwise in pieces of {piece}");
    }
    for frame in whole {
        if let CommandFrame::Command(bytes) = frame {
            match Command::parse(&bytes) {
                Ok((tag, _)) => assert!(!tag.is_empty()),
                Err(bad) => assert!(!bad.expected.is_empty()),
            }
        }
    }
}

/// However a server's bytes are cut, they read the same; a structure that is read can be asked for its audio; and nothing
/// panics.
pub fn imap_responses(data: &[u8]) {
    let read = |piece: usize| {
        let mut framer = ResponseFramer::new(4_096);
        let mut seen = Vec::new();
        for bytes in data.chunks(piece) {
            framer.push(bytes);
            seen.extend(framer.by_ref());
        }
        seen
    };
    let whole = read(data.len().max(1));
    for piece in [1, 7] {
        let pieces = read(piece);
        let is_cut =
            pieces.contains(&ResponseFrame::TooLarge) || whole.contains(&ResponseFrame::TooLarge);
        assert!(is_cut || pieces == whole, "read otherwise in pieces of {piece}");
    }
    for frame in whole {
        let ResponseFrame::Response(bytes) = frame else { continue };
        let Some(Response::Numbered(_, _, values)) = Response::parse(&bytes) else { continue };
        for value in &values {
            let part = value.item("BODYSTRUCTURE").and_then(structure::parse);
            let _ = part.as_ref().map(|part| (email::audio(part), email::text(part)));
        }
    }
}

/// What a message looks like to IMAP can be read by a client, and has the same audio.
pub fn imap_structure(data: &[u8]) {
    let message = Part::scan(data);
    let mut line = b"* 1 FETCH (ENVELOPE ".to_vec();
    structure::envelope(
        &mut line,
        &Header::of(data.get(message.header.clone()).unwrap_or_default()),
    );
    line.extend_from_slice(b" BODYSTRUCTURE ");
    structure::body_structure(&mut line, &message, data, structure::Detail::Full);
    line.push(b')');
    let mut framer = ResponseFramer::new(usize::MAX);
    framer.push(&line);
    framer.push(b"\r\n");
    let Some(ResponseFrame::Response(bytes)) = framer.next() else { unreachable!("no response") };
    assert!(framer.is_empty(), "more than one response");
    let read = Response::parse(&bytes);
    assert!(read.is_some(), "cannot be read: {}", String::from_utf8_lossy(&bytes));
    let Some(Response::Numbered(1, _, values)) = read else { unreachable!("another response") };
    let item = |name| values.first().and_then(|list| list.item(name));
    assert_eq!(item("ENVELOPE").map(|envelope| envelope.items().len()), Some(10));
    let read = item("BODYSTRUCTURE").and_then(structure::parse);
    let found = |part: &Part| email::audio(part).map(|(number, part)| (number, part.body.len()));
    assert_eq!(read.as_ref().map(found), Some(found(&message)));
}

/// A URL that is read names a server, a mailbox and a message, and nothing panics.
pub fn imap_url(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(url) = Url::parse(text) else { return };
    assert!(!url.host.is_empty() && !url.mailbox.is_empty() && url.uid > 0);
    if let Some(authorization) = url.authorization {
        assert!(text.starts_with(&authorization.rump));
    }
}

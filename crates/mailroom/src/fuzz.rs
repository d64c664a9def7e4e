//! Bodies for the fuzzer; each is replayed over `corpus/<name>/` by a test of this crate.

use crate::lmtp::grammar::{path, take_lines, unquoted};

/// A line with a path, and the text of a message: it is what RFC 5321 §4.5.2 says, however the bytes are cut, and nothing panics.
pub fn lmtp(data: &[u8]) {
    let end = data.iter().position(|byte| *byte == b'\n').map_or(data.len(), |end| end + 1);
    let (line, text) = data.split_at(end);
    let line = String::from_utf8_lossy(line);
    if let Some((path, after)) = path(line.trim_end(), "TO:") {
        assert!(path.len() + after.len() < line.len());
        assert!(unquoted(path).len() <= path.len());
    }
    let expected = by_lines(text);
    for piece in [text.len().max(1), 1, 7] {
        let (mut input, mut taken, mut at_line, mut is_end) = (Vec::new(), Vec::new(), true, false);
        for bytes in text.chunks(piece) {
            input.extend_from_slice(bytes);
            is_end = is_end || take_lines(&mut input, &mut taken, &mut at_line);
        }
        assert!(
            (&taken, &input, is_end) == (&expected.0, &expected.1, expected.2),
            "in pieces of {piece}"
        );
    }
}

/// The same in the plainest way: the text, what is left, and whether the end came.
fn by_lines(text: &[u8]) -> (Vec<u8>, Vec<u8>, bool) {
    let mut taken = Vec::new();
    let mut rest = text;
    loop {
        if let Some(rest) = rest.strip_prefix(b".\r\n") {
            return (taken, rest.to_vec(), true);
        }
        if rest == b"." || rest == b".\r" {
            return (taken, rest.to_vec(), false);
        }
        rest = rest.strip_prefix(b".").unwrap_or(rest);
        let Some(end) = rest.windows(2).position(|two| two == b"\r\n") else {
            // A line break may be half there.
            let (whole, half) = match rest.strip_suffix(b"\r") {
                Some(whole) => (whole, &b"\r"[..]),
                None => (rest, &b""[..]),
            };
            taken.extend_from_slice(whole);
            return (taken, half.to_vec(), false);
        };
        let (line, after) = rest.split_at(end + 2);
        taken.extend_from_slice(line);
        rest = after;
    }
}

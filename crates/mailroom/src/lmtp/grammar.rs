//! What LMTP has of grammar: the text of a message, and paths.

/// Takes from `input` what is text, without the dots that were put before dots (RFC 5321 §4.5.2); true at its end.
pub(crate) fn take_lines(input: &mut Vec<u8>, text: &mut Vec<u8>, at_line: &mut bool) -> bool {
    let mut at = 0;
    let end = loop {
        let rest = input.get(at..).unwrap_or_default();
        if *at_line && rest.first() == Some(&b'.') {
            match rest {
                [b'.', b'\r', b'\n', ..] => {
                    at += 3;
                    *at_line = true;
                    break true;
                }
                // It may be the end.
                [b'.'] | [b'.', b'\r'] => break false,
                _ => at += 1,
            }
            *at_line = false;
            continue;
        }
        // Only a dot at the begin of a line means anything.
        if let Some(line) = memchr::memmem::find(rest, b"\r\n.") {
            text.extend_from_slice(rest.get(..line + 2).unwrap_or_default());
            at += line + 2;
            *at_line = true;
            continue;
        }
        // A line break may be half there.
        let count = if rest.last() == Some(&b'\r') { rest.len() - 1 } else { rest.len() };
        let whole = rest.get(..count).unwrap_or_default();
        text.extend_from_slice(whole);
        *at_line = whole.ends_with(b"\r\n") || (count == 0 && *at_line);
        at += count;
        break false;
    };
    input.drain(..at);
    end
}

/// The path after `FROM:` or `TO:`, without its brackets, and what follows it. RFC 5321 §4.1.2: a source route is passed over.
pub(crate) fn path<'a>(rest: &'a str, word: &str) -> Option<(&'a str, &'a str)> {
    let head = rest.get(..word.len())?;
    if !head.eq_ignore_ascii_case(word) {
        return None;
    }
    let rest = rest.get(word.len()..)?.trim_start().strip_prefix('<')?;
    let mut is_quoted = false;
    let mut is_escaped = false;
    let end = rest.find(|letter| match letter {
        _ if is_escaped => {
            is_escaped = false;
            false
        }
        '\\' if is_quoted => {
            is_escaped = true;
            false
        }
        '"' => {
            is_quoted = !is_quoted;
            false
        }
        letter => letter == '>' && !is_quoted,
    })?;
    let (path, after) = (rest.get(..end)?, rest.get(end + 1..)?);
    let path = match path.strip_prefix('@') {
        Some(route) => route.split_once(':')?.1,
        None => path,
    };
    Some((path, after))
}

/// `"a b"@c` as `a b@c`.
pub(crate) fn unquoted(address: &str) -> String {
    let Some(rest) = address.strip_prefix('"') else { return address.to_owned() };
    let Some((local, domain)) = rest.rsplit_once('"') else { return address.to_owned() };
    let mut out = String::new();
    let mut letters = local.chars();
    while let Some(letter) = letters.next() {
        out.extend(if letter == '\\' { letters.next() } else { Some(letter) });
    }
    out + domain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(pieces: &[&str]) -> (String, bool, String) {
        let (mut input, mut text, mut at_line) = (Vec::new(), Vec::new(), true);
        let mut end = false;
        for piece in pieces {
            input.extend_from_slice(piece.as_bytes());
            if !end {
                end = take_lines(&mut input, &mut text, &mut at_line);
            }
        }
        (String::from_utf8(text).unwrap(), end, String::from_utf8(input).unwrap())
    }

    #[test]
    fn rfc_5321_section_4_5_2_dots_are_taken_away_wherever_the_bytes_are_cut() {
        let whole = "a\r\n..b\r\n...\r\n.\rc\r\n.\n\r\nd.\r\n.\r\nQUIT\r\n";
        let expected = "a\r\n.b\r\n..\r\n\rc\r\n\n\r\nd.\r\n";
        for cut in 0..whole.len() {
            let (one, other) = whole.split_at(cut);
            let (text, end, rest) = taken(&[one, other]);
            assert_eq!((&*text, end, &*rest), (expected, true, "QUIT\r\n"), "cut at {cut}");
        }
        let each: Vec<_> = whole.split("").collect();
        assert_eq!(taken(&each).0, expected);
        assert_eq!(taken(&[".\r\n"]), (String::new(), true, String::new()));
        assert!(!taken(&["a\n.\n"]).1, "an end without CR is none");
        assert!(!taken(&["a\r\n.\n"]).1 && !taken(&["a\n.\r\n"]).1);
    }

    #[test]
    fn paths_are_read_with_quotes_and_routes() {
        for (text, expected) in [
            ("FROM:<a@b> SIZE=5", Some(("a@b", " SIZE=5"))),
            ("from: <>", Some(("", ""))),
            ("FROM:<\"a>b\\\"c\"@d>", Some(("\"a>b\\\"c\"@d", ""))),
            ("FROM:<@x,@y:a@b>", Some(("a@b", ""))),
            ("FROM:a@b", None),
            ("FROM:<a@b", None),
            ("TO:<a@b>", None),
        ] {
            assert_eq!(path(text, "FROM:"), expected);
        }
        assert_eq!(unquoted("\"a \\\"b\"@c"), "a \"b@c");
    }
}

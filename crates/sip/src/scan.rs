//! Reading header values character by character, without a way to panic.

/// The bytes a token is made of (RFC 3261 §25.1).
pub(crate) const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~')
}

/// Whether the whole text is one token.
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token_byte)
}

/// Whether every `%` is followed by two hexadecimal digits.
pub(crate) fn escapes_are_whole(text: &str) -> bool {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let (high, low) = (bytes.next(), bytes.next());
            if ![high, low].iter().all(|d| d.is_some_and(|d| d.is_ascii_hexdigit())) {
                return false;
            }
        }
    }
    true
}

/// A decimal number: digits only, no sign, as large as `T` takes.
pub(crate) fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// What is left to read of one (unfolded) value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scan<'a> {
    rest: &'a str,
}

impl<'a> Scan<'a> {
    pub(crate) const fn new(text: &'a str) -> Self {
        Self { rest: text }
    }

    pub(crate) const fn rest(&self) -> &'a str {
        self.rest
    }

    pub(crate) fn peek(&self) -> Option<u8> {
        self.rest.bytes().next()
    }

    pub(crate) const fn at_end(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn skip_space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
    }

    /// Steps over `wanted` where it is next.
    pub(crate) fn eat(&mut self, wanted: char) -> bool {
        match self.rest.strip_prefix(wanted) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Steps over `wanted` with any space around it.
    pub(crate) fn eat_spaced(&mut self, wanted: char) -> bool {
        let before = self.rest;
        self.skip_space();
        if self.eat(wanted) {
            self.skip_space();
            return true;
        }
        self.rest = before;
        false
    }

    /// Takes the longest run of accepted bytes; `accept` treats all non-ASCII bytes alike.
    pub(crate) fn take(&mut self, accept: impl Fn(u8) -> bool) -> &'a str {
        let end = self.rest.bytes().position(|b| !accept(b)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, ""));
        self.rest = rest;
        taken
    }

    /// Takes a quoted string, its quotes and backslashes included; `None` where it does not end.
    pub(crate) fn quoted(&mut self) -> Option<&'a str> {
        let mut bytes = self.rest.bytes().enumerate();
        if bytes.next()?.1 != b'"' {
            return None;
        }
        while let Some((at, byte)) = bytes.next() {
            match byte {
                b'\\' => {
                    bytes.next()?;
                }
                b'"' => {
                    let (taken, rest) = self.rest.split_at_checked(at + 1)?;
                    self.rest = rest;
                    return Some(taken);
                }
                _ => {}
            }
        }
        None
    }
}

/// What a quoted string says; any other text as it stands.
pub(crate) fn unquote(text: &str) -> String {
    let Some(inner) = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')) else {
        return text.to_owned();
    };
    let mut plain = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        if c == '\\' {
            plain.extend(chars.next());
        } else {
            plain.push(c);
        }
    }
    plain
}

/// The text as a quoted string.
pub(crate) fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        if c == '"' || c == '\\' {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    quoted
}

/// The elements of a comma-separated value; commas inside quotes and `<>` do not count, empty
/// elements are left out.
pub(crate) fn split_list(value: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(value);
    std::iter::from_fn(move || {
        loop {
            let text = rest?;
            let (element, after) = match comma(text) {
                Some(at) => {
                    let (element, after) = text.split_at_checked(at)?;
                    (element, after.strip_prefix(','))
                }
                None => (text, None),
            };
            rest = after;
            let element = element.trim_matches([' ', '\t', '\r', '\n']);
            if !element.is_empty() {
                return Some(element);
            }
        }
    })
}

fn comma(text: &str) -> Option<usize> {
    let (mut quoted, mut angled, mut escaped) = (false, false, false);
    text.bytes().position(|byte| {
        if escaped {
            escaped = false;
            return false;
        }
        match byte {
            b'\\' if quoted => escaped = true,
            b'"' if !angled => quoted = !quoted,
            b'<' if !quoted => angled = true,
            b'>' if !quoted => angled = false,
            b',' => return !quoted && !angled,
            _ => {}
        }
        false
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_inside_quotes_and_brackets_do_not_split() {
        let elements: Vec<_> = split_list(r#""a, \"b" <sip:x,y@h>;q=1 , <sip:z>,, c"#).collect();
        assert_eq!(elements, [r#""a, \"b" <sip:x,y@h>;q=1"#, "<sip:z>", "c"]);
        assert_eq!(split_list("").count(), 0);
        assert_eq!(split_list("\"never, closed").count(), 1);
    }

    #[test]
    fn quoting_goes_there_and_back() {
        for text in ["", "plain", r#"with "quotes" and \ back"#, "ü"] {
            assert_eq!(unquote(&quote(text)), text);
        }
    }

    #[test]
    fn a_lone_percent_is_not_an_escape() {
        assert!(escapes_are_whole("a%20b%ff") && escapes_are_whole(""));
        assert!(!escapes_are_whole("a%2") && !escapes_are_whole("%zz") && !escapes_are_whole("%"));
    }
}

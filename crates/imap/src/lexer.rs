/// Why bytes are not what the grammar wants: what was expected.
pub(crate) type Expected = &'static str;
type Read<T> = Result<T, Expected>;

/// Reads one command or response, whose literals stand in it.
#[derive(Clone, Debug)]
pub(crate) struct Lexer<'a> {
    bytes: &'a [u8],
}

/// Whether a byte may stand in an atom. RFC 9051 §9, `ATOM-CHAR`.
pub(crate) const fn is_atom(byte: u8) -> bool {
    byte > b' '
        && byte < 0x7f
        && !matches!(byte, b'(' | b')' | b'{' | b'%' | b'*' | b'"' | b'\\' | b']')
}

const fn is_astring(byte: u8) -> bool {
    is_atom(byte) || byte == b']'
}

/// Whether a word can be the tag of a command. RFC 9051 §9.
#[must_use]
pub fn is_tag(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| is_astring(byte) && byte != b'+')
}

const fn is_pattern(byte: u8) -> bool {
    is_astring(byte) || matches!(byte, b'%' | b'*')
}

impl<'a> Lexer<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.bytes
    }

    pub(crate) fn peek(&self) -> Option<u8> {
        self.bytes.first().copied()
    }

    pub(crate) fn take(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        if there {
            self.skip(1);
        }
        there
    }

    pub(crate) fn need(&mut self, byte: u8, expected: Expected) -> Read<()> {
        if self.take(byte) { Ok(()) } else { Err(expected) }
    }

    pub(crate) fn space(&mut self) -> Read<()> {
        self.need(b' ', "a space")
    }

    pub(crate) fn end(&self) -> Read<()> {
        if self.bytes.is_empty() { Ok(()) } else { Err("the end of the command") }
    }

    fn skip(&mut self, count: usize) {
        self.bytes = self.bytes.get(count..).unwrap_or_default();
    }

    pub(crate) fn while_is(&mut self, is: impl Fn(u8) -> bool) -> &'a [u8] {
        let count = self.bytes.iter().position(|byte| !is(*byte)).unwrap_or(self.bytes.len());
        let found = self.bytes.get(..count).unwrap_or_default();
        self.skip(count);
        found
    }

    fn word(&mut self, is: impl Fn(u8) -> bool, expected: Expected) -> Read<&'a str> {
        let found = self.while_is(is);
        // All these bytes are ASCII.
        std::str::from_utf8(found).ok().filter(|found| !found.is_empty()).ok_or(expected)
    }

    pub(crate) fn tag(&mut self) -> Read<&'a str> {
        self.word(|byte| is_astring(byte) && byte != b'+', "a tag")
    }

    pub(crate) fn atom(&mut self) -> Read<&'a str> {
        self.word(is_atom, "a word")
    }

    /// A word in upper case.
    pub(crate) fn keyword(&mut self) -> Read<String> {
        self.atom().map(str::to_ascii_uppercase)
    }

    /// Takes a word if it is this one, in any case.
    pub(crate) fn take_keyword(&mut self, keyword: &str) -> bool {
        let mut ahead = self.clone();
        let there = ahead.atom().is_ok_and(|word| word.eq_ignore_ascii_case(keyword));
        if there {
            *self = ahead;
        }
        there
    }

    /// Takes these bytes, in any case.
    pub(crate) fn take_text(&mut self, text: &str) -> bool {
        let there = self
            .bytes
            .get(..text.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(text.as_bytes()));
        if there {
            self.skip(text.len());
        }
        there
    }

    pub(crate) fn number64(&mut self) -> Read<u64> {
        let digits = self.word(|byte| byte.is_ascii_digit(), "a number")?;
        digits.parse().map_err(|_| "a number below 2^64")
    }

    pub(crate) fn number(&mut self) -> Read<u32> {
        u32::try_from(self.number64()?).map_err(|_| "a number below 2^32")
    }

    /// `"…"`. RFC 9051 §4.3: UTF-8 is taken.
    pub(crate) fn quoted(&mut self) -> Read<Vec<u8>> {
        self.need(b'"', "a quoted string")?;
        let mut out = Vec::new();
        loop {
            out.extend_from_slice(
                self.while_is(|byte| !matches!(byte, b'"' | b'\\' | b'\r' | b'\n' | 0)),
            );
            if self.take(b'"') {
                return Ok(out);
            }
            self.need(b'\\', "the end of a quoted string")?;
            let escaped = self.peek().filter(|byte| matches!(byte, b'"' | b'\\'));
            out.push(escaped.ok_or("a quote or a backslash after a backslash")?);
            self.skip(1);
        }
    }

    /// `{5}` or `{5+}`, a line break, and so many bytes; `~` before it where binary is meant.
    pub(crate) fn literal(&mut self) -> Read<&'a [u8]> {
        self.take(b'~');
        self.need(b'{', "a literal")?;
        let length = self.number64()?;
        self.take(b'+');
        self.need(b'}', "a } after the length of a literal")?;
        self.take(b'\r');
        self.need(b'\n', "a line break after a literal's length")?;
        let length = usize::try_from(length).map_err(|_| "a shorter literal")?;
        let found = self.bytes.get(..length).ok_or("a whole literal")?;
        self.skip(length);
        Ok(found)
    }

    pub(crate) fn is_literal(&self) -> bool {
        matches!(self.bytes, [b'{', ..] | [b'~', b'{', ..])
    }

    pub(crate) fn string(&mut self) -> Read<Vec<u8>> {
        if self.is_literal() { self.literal().map(<[u8]>::to_vec) } else { self.quoted() }
    }

    fn string_or(&mut self, is: impl Fn(u8) -> bool) -> Read<Vec<u8>> {
        if self.is_literal() || self.peek() == Some(b'"') {
            return self.string();
        }
        self.word(is, "a string").map(|word| word.as_bytes().to_vec())
    }

    pub(crate) fn astring(&mut self) -> Read<Vec<u8>> {
        self.string_or(is_astring)
    }

    /// An astring that is text.
    pub(crate) fn text(&mut self) -> Read<String> {
        String::from_utf8(self.astring()?).map_err(|_| "a string in UTF-8")
    }

    /// A mailbox's name, or a pattern for some.
    pub(crate) fn pattern(&mut self) -> Read<String> {
        String::from_utf8(self.string_or(is_pattern)?).map_err(|_| "a string in UTF-8")
    }

    /// `(one one)`, with nothing in it too.
    pub(crate) fn list<T>(&mut self, mut one: impl FnMut(&mut Self) -> Read<T>) -> Read<Vec<T>> {
        self.need(b'(', "a list in parentheses")?;
        let mut all = Vec::new();
        if self.take(b')') {
            return Ok(all);
        }
        loop {
            all.push(one(self)?);
            if self.take(b')') {
                return Ok(all);
            }
            self.space()?;
        }
    }

    /// `\Seen` or `$Forwarded`.
    pub(crate) fn flag(&mut self) -> Read<String> {
        let system = self.take(b'\\');
        let word = self.atom().map_err(|_| "a flag")?;
        Ok(if system { format!("\\{word}") } else { word.to_owned() })
    }
}

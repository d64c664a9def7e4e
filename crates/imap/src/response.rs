use crate::lexer::Lexer;

/// How deep lists may be in each other.
const DEPTH_MAX: usize = 50;

/// What a server says. RFC 9051 §7.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Response {
    /// `+`: it waits for more, or for what it asked with this text.
    Continue(String),
    /// OK, NO, BAD, BYE or PREAUTH; with the tag of the command that it ends, if it ends one.
    Status {
        /// The tag; `None` for what ends no command.
        tag: Option<String>,
        /// Which.
        status: Status,
        /// The word in brackets, in upper case, and what follows it there.
        code: Option<(String, Vec<Value>)>,
        /// What a person may read.
        text: String,
    },
    /// `* 5 FETCH (…)`, `* 5 EXISTS`: the number, the word in upper case, and what follows.
    Numbered(u32, String, Vec<Value>),
    /// `* SEARCH 1 2`: the word in upper case, and what follows.
    Data(String, Vec<Value>),
}

/// How a command ended, or how it stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Status {
    /// Done.
    Ok,
    /// It failed.
    No,
    /// It was not understood.
    Bad,
    /// The server goes away.
    Bye,
    /// Nobody need log in.
    PreAuth,
}

/// A value as it stands in a response.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Value {
    /// NIL.
    Nil,
    /// A word, a number, a flag, an attribute with its section.
    Word(String),
    /// A string, quoted or as a literal.
    String(Vec<u8>),
    /// A list in parentheses.
    List(Vec<Self>),
}

impl Value {
    /// It as text; a string that is no UTF-8 as far as it is that.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        match self {
            Self::Word(word) => Some(word.clone()),
            Self::String(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
            Self::Nil | Self::List(_) => None,
        }
    }

    /// It as a number.
    #[must_use]
    pub fn number(&self) -> Option<u64> {
        match self {
            Self::Word(word) => word.parse().ok(),
            Self::Nil | Self::String(_) | Self::List(_) => None,
        }
    }

    /// It as bytes.
    #[must_use]
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::String(bytes) => Some(bytes),
            Self::Word(word) => Some(word.as_bytes()),
            Self::Nil | Self::List(_) => None,
        }
    }

    /// The values of a list; none of anything else.
    #[must_use]
    pub fn items(&self) -> &[Self] {
        match self {
            Self::List(items) => items,
            Self::Nil | Self::Word(_) | Self::String(_) => &[],
        }
    }

    /// In a list of names and values, the value after this name; in any case.
    #[must_use]
    pub fn item(&self, name: &str) -> Option<&Self> {
        let is_it = |pair: &[Self]| matches!(pair, [Self::Word(word), _] if word.eq_ignore_ascii_case(name));
        self.items().chunks(2).find(|pair| is_it(pair)).and_then(|pair| pair.get(1))
    }
}

impl Response {
    /// Reads a whole response, its literals in it; `None` where it is none.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut lexer = Lexer::new(bytes);
        if lexer.take(b'+') {
            lexer.take(b' ');
            return Some(Self::Continue(rest(&lexer)));
        }
        let tag = if lexer.take(b'*') { None } else { Some(lexer.tag().ok()?.to_owned()) };
        lexer.space().ok()?;
        if tag.is_none() && lexer.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            let number = lexer.number().ok()?;
            lexer.space().ok()?;
            let word = lexer.keyword().ok()?;
            return Some(Self::Numbered(number, word, values(&mut lexer)?));
        }
        let word = lexer.keyword().ok()?;
        let status = match word.as_str() {
            "OK" => Status::Ok,
            "NO" => Status::No,
            "BAD" => Status::Bad,
            "BYE" => Status::Bye,
            "PREAUTH" => Status::PreAuth,
            _ if tag.is_some() => return None,
            _ => return Some(Self::Data(word, values(&mut lexer)?)),
        };
        lexer.take(b' ');
        let code = if lexer.take(b'[') { Some(code(&mut lexer)?) } else { None };
        Some(Self::Status { tag, status, code, text: rest(&lexer) })
    }
}

fn rest(lexer: &Lexer<'_>) -> String {
    String::from_utf8_lossy(lexer.rest()).trim_start().to_owned()
}

/// `[APPENDUID 38505 3955]`, of which the first bracket is taken already.
fn code(lexer: &mut Lexer<'_>) -> Option<(String, Vec<Value>)> {
    let word = lexer.keyword().ok()?;
    let mut all = Vec::new();
    while lexer.take(b' ') {
        let mut ahead = lexer.clone();
        match value(&mut ahead, 0) {
            Some(found) => {
                all.push(found);
                *lexer = ahead;
            }
            // What a code says may be any text without a bracket.
            None => {
                lexer.while_is(|byte| byte != b']');
            }
        }
    }
    lexer.while_is(|byte| byte != b']');
    lexer.take(b']').then_some((word, all))
}

/// Values after spaces, up to the end.
fn values(lexer: &mut Lexer<'_>) -> Option<Vec<Value>> {
    let mut all = Vec::new();
    loop {
        lexer.while_is(|byte| byte == b' ');
        if lexer.rest().is_empty() {
            return Some(all);
        }
        all.push(value(lexer, 0)?);
    }
}

fn value(lexer: &mut Lexer<'_>, depth: usize) -> Option<Value> {
    if depth > DEPTH_MAX {
        return None;
    }
    match lexer.peek()? {
        b'(' => {
            lexer.take(b'(');
            let mut all = Vec::new();
            loop {
                // Children of a multipart have no space between them; some servers have one too many elsewhere.
                lexer.while_is(|byte| byte == b' ');
                if lexer.take(b')') {
                    return Some(Value::List(all));
                }
                all.push(value(lexer, depth + 1)?);
            }
        }
        b'"' | b'{' => lexer.string().ok().map(Value::String),
        b'~' if lexer.is_literal() => lexer.string().ok().map(Value::String),
        _ => word(lexer),
    }
}

/// A word; what is in brackets belongs to it: `BODY[HEADER.FIELDS (FROM)]<0>`.
fn word(lexer: &mut Lexer<'_>) -> Option<Value> {
    let ends = |byte: u8| matches!(byte, b' ' | b'(' | b')' | b'"' | b']' | b'{') || byte < b' ';
    let mut word = lexer.while_is(|byte| !ends(byte) && byte != b'[').to_vec();
    if lexer.take(b'[') {
        word.push(b'[');
        word.extend_from_slice(lexer.while_is(|byte| byte != b']' && byte >= b' '));
        if !lexer.take(b']') {
            return None;
        }
        word.push(b']');
        word.extend_from_slice(lexer.while_is(|byte| !ends(byte)));
    }
    let word = String::from_utf8(word).ok().filter(|word| !word.is_empty())?;
    Some(if word.eq_ignore_ascii_case("NIL") { Value::Nil } else { Value::Word(word) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(all: &[&str]) -> Vec<Value> {
        all.iter().map(|word| Value::Word((*word).to_owned())).collect()
    }

    #[test]
    fn status_responses_have_codes_and_text() {
        let status = |tag: Option<&str>, status, code: Option<(&str, Vec<Value>)>, text: &str| {
            let code = code.map(|(word, values)| (word.to_owned(), values));
            Some(Response::Status {
                tag: tag.map(str::to_owned),
                status,
                code,
                text: text.to_owned(),
            })
        };
        for (line, expected) in [
            ("* OK hi there", status(None, Status::Ok, None, "hi there")),
            (
                "a1 NO [AUTHENTICATIONFAILED] no",
                status(Some("a1"), Status::No, Some(("AUTHENTICATIONFAILED", vec![])), "no"),
            ),
            (
                "* OK [UIDVALIDITY 12] UIDs valid",
                status(None, Status::Ok, Some(("UIDVALIDITY", words(&["12"]))), "UIDs valid"),
            ),
            (
                "* OK [PERMANENTFLAGS (\\Seen \\*)]",
                status(
                    None,
                    Status::Ok,
                    Some(("PERMANENTFLAGS", vec![Value::List(words(&["\\Seen", "\\*"]))])),
                    "",
                ),
            ),
            (
                "* OK [X-ODD a\\b{c] text",
                status(None, Status::Ok, Some(("X-ODD", words(&["a\\b"]))), "text"),
            ),
            ("* BYE", status(None, Status::Bye, None, "")),
        ] {
            assert_eq!(Response::parse(line.as_bytes()), expected, "{line}");
        }
    }

    #[test]
    fn data_is_read_whatever_it_is() {
        let line =
            b"* 12 FETCH (FLAGS (\\Seen) BODY[HEADER.FIELDS (FROM)]<0> {3}\r\nabc UID 7 X NIL)";
        let Some(Response::Numbered(12, word, values)) = Response::parse(line) else { panic!() };
        assert_eq!(word, "FETCH");
        assert_eq!(values[0].item("uid").and_then(Value::number), Some(7));
        assert_eq!(
            values[0].item("BODY[HEADER.FIELDS (FROM)]<0>").and_then(Value::bytes),
            Some(&b"abc"[..])
        );
        assert_eq!(values[0].item("X"), Some(&Value::Nil));
        assert_eq!(
            Response::parse(b"* CAPABILITY IMAP4rev1 AUTH=PLAIN"),
            Some(Response::Data("CAPABILITY".to_owned(), words(&["IMAP4rev1", "AUTH=PLAIN"])))
        );
        assert_eq!(Response::parse(b"+ go on"), Some(Response::Continue("go on".to_owned())));
        let deep = format!("* X {}", "(".repeat(100_000));
        for line in
            ["", "*", "* ", "a", "a1 FETCH", "* 1 FETCH (", "* X \"", "* X {5}\r\nab", &deep]
        {
            assert_eq!(Response::parse(line.as_bytes()), None, "{line:.20}");
        }
    }
}

use crate::lexer::{Lexer, is_atom};
use crate::sequence::SequenceSet;
use crate::write::day;

/// Most keys of a search, however they are nested.
pub const KEYS_MAX: usize = 500;
/// How deep keys may be nested.
const DEPTH_MAX: usize = 32;

/// What SEARCH asks for. RFC 9051 §6.4.4.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Search {
    /// What is to be told, where RETURN says so; `None` for the answer that RFC 3501 has.
    pub results: Option<Vec<ResultOption>>,
    /// The character set that strings are said to be in, in upper case.
    pub charset: Option<String>,
    /// What must be true of a message, all of it.
    pub keys: Vec<Key>,
}

/// What is told of what was found. RFC 9051 §6.4.4.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ResultOption {
    /// The lowest number.
    Min,
    /// The greatest number.
    Max,
    /// All numbers.
    All,
    /// How many.
    Count,
    /// It is kept, as `$`.
    Save,
}

/// Something that may be true of a message. Days are counted since 1970.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Key {
    /// Always.
    All,
    /// It has this flag.
    Flag(String),
    /// It came before this day.
    Before(i64),
    /// It came on this day.
    On(i64),
    /// It came on this day or after.
    Since(i64),
    /// Its Date is before this day.
    SentBefore(i64),
    /// Its Date is this day.
    SentOn(i64),
    /// Its Date is this day or after.
    SentSince(i64),
    /// It came within so many seconds. RFC 5032.
    Younger(u64),
    /// It came before so many seconds. RFC 5032.
    Older(u64),
    /// A field of its header has this text; any field of that name, when the text is empty.
    Header(String, String),
    /// Its body has this text.
    Body(String),
    /// Its header or its body has this text.
    Text(String),
    /// It has more bytes.
    Larger(u64),
    /// It has fewer bytes.
    Smaller(u64),
    /// It is one of these, by UID.
    Uid(SequenceSet),
    /// It is one of these, by number.
    Sequence(SequenceSet),
    /// It changed at this state of the mailbox or after. RFC 7162.
    ModSeq(u64),
    /// This is not so.
    Not(Box<Self>),
    /// One of these is so.
    Or(Box<Self>, Box<Self>),
    /// All of these are so.
    And(Vec<Self>),
}

impl Search {
    pub(crate) fn read(lexer: &mut Lexer<'_>) -> Result<Self, &'static str> {
        let mut results = None;
        if lexer.take_keyword("RETURN") {
            lexer.space()?;
            let options = lexer.list(|lexer| match lexer.keyword()?.as_str() {
                "MIN" => Ok(ResultOption::Min),
                "MAX" => Ok(ResultOption::Max),
                "ALL" => Ok(ResultOption::All),
                "COUNT" => Ok(ResultOption::Count),
                "SAVE" => Ok(ResultOption::Save),
                _ => Err("MIN, MAX, ALL, COUNT or SAVE"),
            })?;
            results = Some(if options.is_empty() { vec![ResultOption::All] } else { options });
            lexer.space()?;
        }
        let mut charset = None;
        if lexer.take_keyword("CHARSET") {
            lexer.space()?;
            charset = Some(lexer.text()?.to_ascii_uppercase());
            lexer.space()?;
        }
        let mut reader = Reader { keys: 0 };
        let mut keys = vec![reader.key(lexer, 0)?];
        while lexer.take(b' ') {
            keys.push(reader.key(lexer, 0)?);
        }
        Ok(Self { results, charset, keys })
    }

    /// Whether anything is asked of its state, so that the answer tells the latest of those found. RFC 7162 §3.1.5.
    #[must_use]
    pub fn asks_for_mod_seq(&self) -> bool {
        fn asks(key: &Key) -> bool {
            match key {
                Key::ModSeq(_) => true,
                Key::Not(key) => asks(key),
                Key::Or(one, other) => asks(one) || asks(other),
                Key::And(keys) => keys.iter().any(asks),
                Key::All
                | Key::Flag(_)
                | Key::Before(_)
                | Key::On(_)
                | Key::Since(_)
                | Key::SentBefore(_)
                | Key::SentOn(_)
                | Key::SentSince(_)
                | Key::Younger(_)
                | Key::Older(_)
                | Key::Header(..)
                | Key::Body(_)
                | Key::Text(_)
                | Key::Larger(_)
                | Key::Smaller(_)
                | Key::Uid(_)
                | Key::Sequence(_) => false,
            }
        }
        self.keys.iter().any(asks)
    }
}

struct Reader {
    keys: usize,
}

impl Reader {
    fn key(&mut self, lexer: &mut Lexer<'_>, depth: usize) -> Result<Key, &'static str> {
        self.keys += 1;
        if depth > DEPTH_MAX || self.keys > KEYS_MAX {
            return Err("fewer search keys");
        }
        match lexer.peek() {
            Some(b'(') => {
                let keys = lexer.list(|lexer| self.key(lexer, depth + 1))?;
                return if keys.is_empty() { Err("a search key") } else { Ok(Key::And(keys)) };
            }
            Some(b'0'..=b'9' | b'*' | b'$') => return SequenceSet::read(lexer).map(Key::Sequence),
            Some(_) | None => {}
        }
        let word = lexer.while_is(is_atom).to_ascii_uppercase();
        let flag = |flag: &str| Key::Flag(flag.to_owned());
        let not = |key| Key::Not(Box::new(key));
        Ok(match &*word {
            b"ALL" => Key::All,
            b"ANSWERED" => flag("\\Answered"),
            b"DELETED" => flag("\\Deleted"),
            b"DRAFT" => flag("\\Draft"),
            b"FLAGGED" => flag("\\Flagged"),
            b"SEEN" => flag("\\Seen"),
            b"UNANSWERED" => not(flag("\\Answered")),
            b"UNDELETED" => not(flag("\\Deleted")),
            b"UNDRAFT" => not(flag("\\Draft")),
            b"UNFLAGGED" => not(flag("\\Flagged")),
            b"UNSEEN" => not(flag("\\Seen")),
            // No message is recent: RFC 9051 has done away with that.
            b"RECENT" => flag("\\Recent"),
            b"OLD" => not(flag("\\Recent")),
            b"NEW" => Key::And(vec![flag("\\Recent"), not(flag("\\Seen"))]),
            b"KEYWORD" => Key::Flag(argument(lexer, |lexer| lexer.atom().map(str::to_owned))?),
            b"UNKEYWORD" => {
                not(Key::Flag(argument(lexer, |lexer| lexer.atom().map(str::to_owned))?))
            }
            b"BEFORE" => Key::Before(argument(lexer, date)?),
            b"ON" => Key::On(argument(lexer, date)?),
            b"SINCE" => Key::Since(argument(lexer, date)?),
            b"SENTBEFORE" => Key::SentBefore(argument(lexer, date)?),
            b"SENTON" => Key::SentOn(argument(lexer, date)?),
            b"SENTSINCE" => Key::SentSince(argument(lexer, date)?),
            b"YOUNGER" => Key::Younger(argument(lexer, Lexer::number64)?),
            b"OLDER" => Key::Older(argument(lexer, Lexer::number64)?),
            b"LARGER" => Key::Larger(argument(lexer, Lexer::number64)?),
            b"SMALLER" => Key::Smaller(argument(lexer, Lexer::number64)?),
            b"UID" => Key::Uid(argument(lexer, SequenceSet::read)?),
            b"BODY" => Key::Body(text(lexer)?),
            b"TEXT" => Key::Text(text(lexer)?),
            b"BCC" | b"CC" | b"FROM" | b"SUBJECT" | b"TO" => {
                let name = String::from_utf8_lossy(&word).into_owned();
                Key::Header(name, text(lexer)?)
            }
            b"HEADER" => {
                let name = argument(lexer, Lexer::text)?;
                Key::Header(name, text(lexer)?)
            }
            b"MODSEQ" => Key::ModSeq(argument(lexer, mod_seq)?),
            b"NOT" => {
                lexer.space()?;
                not(self.key(lexer, depth + 1)?)
            }
            b"OR" => {
                lexer.space()?;
                let one = self.key(lexer, depth + 1)?;
                lexer.space()?;
                Key::Or(Box::new(one), Box::new(self.key(lexer, depth + 1)?))
            }
            _ => return Err("a search key"),
        })
    }
}

/// A string to be found: UTF-8, whatever it is said to be. US-ASCII is UTF-8, too, and clients of old have UTF-8 where they say
/// nothing.
fn text(lexer: &mut Lexer<'_>) -> Result<String, &'static str> {
    lexer.space()?;
    String::from_utf8(lexer.astring()?).map_err(|_| "a string in UTF-8")
}

fn argument<'a, T>(
    lexer: &mut Lexer<'a>,
    read: impl FnOnce(&mut Lexer<'a>) -> Result<T, &'static str>,
) -> Result<T, &'static str> {
    lexer.space()?;
    read(lexer)
}

/// `"/flags/\\draft" all 620162338` or a number alone. RFC 7162 §3.1.5.
fn mod_seq(lexer: &mut Lexer<'_>) -> Result<u64, &'static str> {
    if lexer.peek() == Some(b'"') {
        lexer.quoted()?;
        lexer.space()?;
        lexer.atom()?;
        lexer.space()?;
    }
    lexer.number64()
}

/// `1-Feb-1994`, in quotes or not.
fn date(lexer: &mut Lexer<'_>) -> Result<i64, &'static str> {
    let expected = "a date as 1-Feb-1994";
    let text = lexer.text().map_err(|_| expected)?;
    let mut parts = text.splitn(3, '-');
    let (date, month, year) = (parts.next(), parts.next(), parts.next());
    let (Some(date), Some(month), Some(year)) = (date, month, year) else { return Err(expected) };
    if year.len() != 4 {
        return Err(expected);
    }
    let (Ok(date), Ok(year)) = (date.parse(), year.parse()) else { return Err(expected) };
    day(year, month, date).ok_or(expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Search, &'static str> {
        let mut lexer = Lexer::new(text.as_bytes());
        let search = Search::read(&mut lexer)?;
        lexer.end().map(|()| search)
    }

    #[test]
    fn section_6_4_4_keys_are_read() {
        let search =
            read("RETURN (MIN COUNT) CHARSET utf-8 UNSEEN SINCE 1-Feb-1994 NOT FROM \"Smith\"")
                .unwrap();
        assert_eq!(search.results, Some(vec![ResultOption::Min, ResultOption::Count]));
        assert_eq!(search.charset.as_deref(), Some("UTF-8"));
        assert_eq!(
            search.keys,
            [
                Key::Not(Box::new(Key::Flag("\\Seen".to_owned()))),
                Key::Since(8_797),
                Key::Not(Box::new(Key::Header("FROM".to_owned(), "Smith".to_owned()))),
            ]
        );
        assert_eq!(read("RETURN () ALL").unwrap().results, Some(vec![ResultOption::All]));
        let search = read("OR (1:3 UID 7) MODSEQ \"/flags/\\\\draft\" all 12").unwrap();
        assert!(search.asks_for_mod_seq() && !read("1,3 OLD").unwrap().asks_for_mod_seq());
    }

    #[test]
    fn what_is_no_search_is_refused() {
        let deep = format!("{}ALL", "NOT ".repeat(40));
        let many = "ALL ".repeat(600);
        for text in [
            "",
            "RETURN ALL",
            "RETURN (ALL)",
            "()",
            "NOTHING",
            "SINCE yesterday",
            "SINCE 31-Feb-2026",
            "OR ALL",
            "SINCE 1-Feb-26",
            "LARGER x",
            "HEADER x",
            &deep,
            many.trim(),
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}

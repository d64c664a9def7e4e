use std::cmp::Ordering;
use std::fmt;

use ring::digest::{SHA256, digest};

/// Most characters of a unique string or of a friendly name.
pub const NAME_CHARS_MAX: usize = 64;
/// Most bytes of a mailbox's folder name; every file system takes so many.
pub const LEAF_BYTES_MAX: usize = 200;

/// Names that Windows keeps for devices, whatever follows the first dot.
const RESERVED: [&str; 4] = ["CON", "PRN", "AUX", "NUL"];

/// Why a text is no address, or no part of one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AddressError {
    /// Nothing where the unique string must be.
    Empty,
    /// It has more than [`NAME_CHARS_MAX`] characters, or more bytes than a folder's name may.
    TooLong,
    /// A colon or a control character in it.
    Character(char),
    /// It begins with a word and a colon, and the word is not `FBMC`.
    Scheme,
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the unique string is empty"),
            Self::TooLong => {
                write!(f, "more than {NAME_CHARS_MAX} characters, or too many that need encoding")
            }
            Self::Character(c) => write!(f, "{c:?} cannot be in it"),
            Self::Scheme => f.write_str("an address begins with FBMC:"),
        }
    }
}

impl std::error::Error for AddressError {}

/// What ties a user to a mailbox: made when the mailbox is, and never changed. Two that differ only
/// in case are the same.
///
/// ```
/// let unique = mailbox::Unique::parse("My.Name").unwrap();
/// assert_eq!(unique, mailbox::Unique::parse("MY.NAME").unwrap());
/// assert_eq!(unique.leaf(), "MY.NAME");
/// ```
#[derive(Clone)]
pub struct Unique {
    text: String,
    leaf: String,
}

impl Unique {
    /// Reads a unique string; space around it does not count.
    ///
    /// # Errors
    /// It is empty, too long, or has a colon or a control character.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(AddressError::Empty);
        }
        if let Some(c) = text.chars().find(|c| *c == ':' || c.is_control()) {
            return Err(AddressError::Character(c));
        }
        let leaf = leaf(text);
        if text.chars().count() > NAME_CHARS_MAX || leaf.len() > LEAF_BYTES_MAX {
            return Err(AddressError::TooLong);
        }
        Ok(Self { text: text.to_owned(), leaf })
    }

    /// Reads the name of a mailbox's folder.
    #[must_use]
    pub fn of_leaf(leaf: &str) -> Option<Self> {
        let mut bytes = Vec::with_capacity(leaf.len());
        let mut rest = leaf.bytes();
        while let Some(byte) = rest.next() {
            if byte == b'%' {
                let digits = [rest.next()?, rest.next()?];
                bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
            } else {
                bytes.push(byte);
            }
        }
        let unique = Self::parse(std::str::from_utf8(&bytes).ok()?).ok()?;
        (unique.leaf == leaf).then_some(unique)
    }

    /// As it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The name of the mailbox's folder: in upper case; what is not a letter from A to Z, a digit or one of
    /// `. - _ @ +` as the UTF-8 bytes in hexadecimal after `%`. So is a dot at either end, and the first letter
    /// of a name that Windows keeps for a device.
    #[must_use]
    pub fn leaf(&self) -> &str {
        &self.leaf
    }

    /// The two folders above the mailbox's, one letter each: the first two bytes of the SHA-256 of
    /// [`Self::leaf`], each modulo 26, counted from A.
    #[must_use]
    pub fn letters(&self) -> [char; 2] {
        let digest = digest(&SHA256, self.leaf.as_bytes());
        let mut letters = digest.as_ref().iter().map(|byte| char::from(b'A' + byte % 26));
        [letters.next().unwrap_or('A'), letters.next().unwrap_or('A')]
    }
}

fn leaf(text: &str) -> String {
    use fmt::Write as _;

    let folded: String = text.chars().flat_map(char::to_uppercase).collect();
    let stem = folded.split('.').next().unwrap_or_default();
    let port = stem.strip_prefix("COM").or_else(|| stem.strip_prefix("LPT"));
    let is_reserved = RESERVED.contains(&stem)
        || port.is_some_and(|n| n.len() == 1 && n.bytes().all(|b| b.is_ascii_digit()));
    let last = folded.chars().count().saturating_sub(1);
    let mut leaf = String::with_capacity(folded.len());
    for (place, c) in folded.chars().enumerate() {
        let is_plain = c.is_ascii_uppercase()
            || c.is_ascii_digit()
            || "-_@+".contains(c)
            || (c == '.' && place != 0 && place != last);
        if is_plain && !(is_reserved && place == 0) {
            leaf.push(c);
        } else {
            for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                // A `String` takes everything.
                let _ = write!(leaf, "%{byte:02X}");
            }
        }
    }
    leaf
}

impl PartialEq for Unique {
    fn eq(&self, other: &Self) -> bool {
        self.leaf == other.leaf
    }
}

impl Eq for Unique {}

impl PartialOrd for Unique {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Unique {
    fn cmp(&self, other: &Self) -> Ordering {
        self.leaf.cmp(&other.leaf)
    }
}

impl fmt::Display for Unique {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Unique {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Unique({})", self.text)
    }
}

/// `FBMC: <friendly name> : <unique string>`: the name may change, the unique string never.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Address {
    /// What people call it.
    pub friendly: String,
    /// Where it leads.
    pub unique: Unique,
}

impl Address {
    /// Reads an address: in any case, with or without spaces; the last colon divides. A unique string alone
    /// is taken, too.
    ///
    /// # Errors
    /// Another word than `FBMC` stands first, or the unique string is none.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let Some((before, unique)) = text.rsplit_once(':') else {
            return Ok(Self { friendly: String::new(), unique: Unique::parse(text)? });
        };
        let (scheme, friendly) = before.split_once(':').unwrap_or((before, ""));
        if !scheme.trim().eq_ignore_ascii_case("FBMC") {
            return Err(AddressError::Scheme);
        }
        Ok(Self { friendly: friendly_name(friendly)?, unique: Unique::parse(unique)? })
    }
}

/// A friendly name without the space around it.
///
/// # Errors
/// It is too long or has a control character.
pub fn friendly_name(text: &str) -> Result<String, AddressError> {
    let text = text.trim();
    if let Some(c) = text.chars().find(|c| c.is_control()) {
        return Err(AddressError::Character(c));
    }
    if text.chars().count() > NAME_CHARS_MAX {
        return Err(AddressError::TooLong);
    }
    Ok(text.to_owned())
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FBMC: {} : {}", self.friendly, self.unique)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, wanted: Result<&str, AddressError>) {
        let read = Address::parse(text).map(|address| address.to_string());
        assert_eq!(read, wanted.map(str::to_owned), "{text}");
    }

    #[test]
    fn addresses_are_read_leniently_and_printed_one_way() {
        check("FBMC: Michael Cole:michaelc@site", Ok("FBMC: Michael Cole : michaelc@site"));
        check("fbmc:Michael Cole : michaelc@site  ", Ok("FBMC: Michael Cole : michaelc@site"));
        check("  FBMC : Sales: East : q7", Ok("FBMC: Sales: East : q7"));
        check("michaelc@site", Ok("FBMC:  : michaelc@site"));
        check("FBMC:michaelc@site", Ok("FBMC:  : michaelc@site"));
        check("SMTP: a : b", Err(AddressError::Scheme));
        check("FBMC: a :", Err(AddressError::Empty));
        check("FBMC: a : b\u{7}c", Err(AddressError::Character('\u{7}')));
        check(&format!("FBMC: a : {}", "x".repeat(65)), Err(AddressError::TooLong));
    }

    #[test]
    fn folders_are_safe_on_every_file_system() {
        let rows = [
            ("My.Name", "MY.NAME"),
            ("michaelc@site", "MICHAELC@SITE"),
            ("..", "%2E%2E"),
            (".hidden.", "%2EHIDDEN%2E"),
            ("../../etc/passwd", "%2E./../ETC/PASSWD"),
            ("a/b\\c", "A%2FB%5CC"),
            ("con", "%43ON"),
            ("com1.txt", "%43OM1.TXT"),
            ("com10", "COM10"),
            ("100%", "100%25"),
            ("müller", "M%C3%9CLLER"),
            ("straße", "STRASSE"),
            ("a b", "A%20B"),
        ];
        for (text, wanted) in rows {
            let unique = Unique::parse(text).unwrap();
            let wanted = wanted.replace('/', "%2F");
            assert_eq!(unique.leaf(), wanted, "{text}");
            assert_eq!(Unique::of_leaf(&wanted).unwrap(), unique);
        }
        assert_eq!(Unique::of_leaf("lower"), None);
        assert_eq!(Unique::of_leaf("%4"), None);
    }

    #[test]
    fn letters_are_the_same_on_every_host() {
        let letters = |text: &str| Unique::parse(text).unwrap().letters();
        assert_eq!(letters("My.Name"), letters("my.NAME"));
        assert_eq!(letters("My.Name"), ['I', 'O']);
        let all: std::collections::BTreeSet<_> =
            (0..10_000).map(|n| letters(&format!("user{n}"))).collect();
        assert_eq!(all.len(), 26 * 26, "they spread");
    }
}

use std::fmt;

/// One header field. The name keeps its case, the value has lost its folding and outer blanks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Header {
    /// The name as it was sent; compare without regard to case.
    pub name: String,
    /// The value; blanks where lines were folded.
    pub value: String,
}

/// A message's header fields in order, without `Channel-Identifier` and `Content-Length`, which
/// the message itself keeps. RFC 6787 §6.2.
///
/// Printing shows names only: values can name people, carry cookies or text to speak.
#[derive(Clone, Default, Eq, PartialEq)]
pub struct Headers(Vec<Header>);

impl Headers {
    /// No header field.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The first value of that name, in any case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|header| header.name.eq_ignore_ascii_case(name))
            .map(|header| header.value.as_str())
    }

    /// Every value of that name, in order.
    pub fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |header| header.name.eq_ignore_ascii_case(name))
            .map(|header| header.value.as_str())
    }

    /// Adds a field at the end. Line ends and other controls in the value become blanks, so that
    /// no text from elsewhere can begin a new field.
    pub fn push(&mut self, name: &str, value: &str) {
        self.0.push(Header { name: name.to_owned(), value: one_line(value) });
    }

    /// Adds a field and hands the list back, for building in one expression.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.push(name, value);
        self
    }

    /// Every field in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Header> {
        self.0.iter()
    }

    /// How many fields there are.
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        for header in &self.0 {
            out.extend_from_slice(header.name.as_bytes());
            out.extend_from_slice(if header.value.is_empty() { b":" } else { b": " });
            out.extend_from_slice(header.value.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
    }
}

impl FromIterator<Header> for Headers {
    fn from_iter<I: IntoIterator<Item = Header>>(fields: I) -> Self {
        Self(fields.into_iter().collect())
    }
}

impl Extend<Header> for Headers {
    fn extend<I: IntoIterator<Item = Header>>(&mut self, fields: I) {
        self.0.extend(fields);
    }
}

impl<'a> IntoIterator for &'a Headers {
    type Item = &'a Header;
    type IntoIter = std::slice::Iter<'a, Header>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|header| &header.name)).finish()
    }
}

/// Whether `text` can be a field name: the characters of an RFC 2616 token, which include those
/// that RFC 6787 §15 lists.
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

fn one_line(text: &str) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    clean.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn section_6_2_names_are_found_in_any_case_and_in_order() {
        let headers = Headers::new().with("Set-Cookie", "a=1").with("set-cookie", "b=2");
        assert_eq!(headers.all("SET-COOKIE").collect::<Vec<_>>(), ["a=1", "b=2"]);
        assert_eq!(headers.get("Voice-Age"), None);
    }

    #[test]
    fn no_value_begins_a_new_field() {
        let headers = Headers::new().with("Logging-Tag", "x\r\nFailed-URI: y");
        let mut bytes = Vec::new();
        headers.write(&mut bytes);
        assert_eq!(String::from_utf8(bytes).unwrap(), "Logging-Tag: x  Failed-URI: y\r\n");
        assert_eq!(format!("{headers:?}"), r#"["Logging-Tag"]"#);
    }
}

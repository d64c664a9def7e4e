//! `;name=value` parameters, as URIs and header values carry them.

use std::fmt;

use crate::scan::{self, Scan};

/// More parameters than this on one value are a fault.
pub const PARAMS_MAX: usize = 64;

/// Parameters in their order; names compare without case, values are kept as they stand (quotes too).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Params(Vec<(String, Option<String>)>);

impl Params {
    /// No parameters.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Whether the parameter is there, with or without a value.
    pub fn has(&self, name: &str) -> bool {
        self.entry(name).is_some()
    }

    /// The raw value; `None` where the parameter is absent or has none.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.entry(name)?.1.as_deref()
    }

    /// The value without its quotes.
    pub fn unquoted(&self, name: &str) -> Option<String> {
        self.value(name).map(scan::unquote)
    }

    /// Sets the parameter, in place where it exists.
    pub fn set(&mut self, name: &str, value: Option<&str>) {
        let value = value.map(str::to_owned);
        match self.0.iter_mut().find(|(n, _)| n.eq_ignore_ascii_case(name)) {
            Some(entry) => entry.1 = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }

    /// Takes the parameter away.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_deref()))
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn entry(&self, name: &str) -> Option<&(String, Option<String>)> {
        self.0.iter().find(|(n, _)| n.eq_ignore_ascii_case(name))
    }

    /// Reads `;a=b ; c = "d"` up to the end of a header value.
    pub(crate) fn scan_header(scan: &mut Scan<'_>) -> Option<Self> {
        let mut params = Vec::new();
        while scan.eat_spaced(';') {
            let name = scan.take(scan::is_token_byte);
            if name.is_empty() || params.len() == PARAMS_MAX {
                return None;
            }
            let value = if scan.eat_spaced('=') { Some(Self::scan_value(scan)?) } else { None };
            params.push((name.to_owned(), value.map(str::to_owned)));
        }
        scan.skip_space();
        scan.at_end().then_some(Self(params))
    }

    fn scan_value<'a>(scan: &mut Scan<'a>) -> Option<&'a str> {
        if scan.peek() == Some(b'"') {
            return scan.quoted();
        }
        // Wider than a token: hosts with brackets, and what gateways write without quotes.
        Some(scan.take(|b| b > b' ' && b != 0x7f && !matches!(b, b';' | b',' | b'"')))
    }

    /// Reads the parameters of a URI: what follows its host, up to `?` or the end.
    pub(crate) fn parse_uri(text: &str) -> Option<Self> {
        let mut params = Vec::new();
        for part in text.split(';') {
            let (name, value) = match part.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (part, None),
            };
            if name.is_empty() || params.len() == PARAMS_MAX {
                return None;
            }
            params.push((name.to_owned(), value.map(str::to_owned)));
        }
        Some(Self(params))
    }
}

impl fmt::Display for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.0 {
            f.write_str(";")?;
            f.write_str(name)?;
            if let Some(value) = value {
                f.write_str("=")?;
                f.write_str(value)?;
            }
        }
        Ok(())
    }
}

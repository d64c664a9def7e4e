use std::fmt;

use super::{TEXT_BYTES_MAX, Wrong};
use crate::quoted;

/// Vendor-specific parameters that one session may keep; past it 409.
pub const VENDOR_PARAMETERS_MAX: usize = 64;

/// One parameter and its value as it was written, quotes included.
#[derive(Clone, Eq, PartialEq)]
pub struct VendorParameter {
    /// Its name, a domain name backwards: `com.example.foo`.
    pub name: String,
    /// Its value as it was sent.
    pub value: String,
}

/// Parameters that the server keeps and gives back without knowing them. RFC 6787 §6.2.16.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Vendor(Vec<VendorParameter>);

impl VendorParameter {
    /// A parameter with this text as its value; quoted where it is more than letters, digits and signs
    /// that mean nothing here.
    pub fn new(name: &str, text: &str) -> Self {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.+/:".contains(c);
        let bare = !text.is_empty() && text.chars().all(plain);
        let value = if bare { text.to_owned() } else { quoted::quote(text) };
        Self { name: name.to_owned(), value }
    }

    /// The value without its quotes.
    pub fn plain(&self) -> String {
        quoted::unquote(&self.value)
    }
}

impl fmt::Debug for VendorParameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Vendor {
    /// The parameter of that name.
    pub fn get(&self, name: &str) -> Option<&VendorParameter> {
        self.0.iter().find(|parameter| parameter.name == name)
    }

    /// All of them, in the order in which they were first set.
    pub fn iter(&self) -> std::slice::Iter<'_, VendorParameter> {
        self.0.iter()
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Sets every parameter of one header field; on an error none of them.
    pub(crate) fn set(&mut self, value: &str) -> Result<(), Wrong> {
        let mut next = self.clone();
        for pair in pairs(value) {
            let (name, value) = pair.split_once('=').ok_or(Wrong::Illegal)?;
            let parameter =
                VendorParameter { name: name.trim().into(), value: value.trim().into() };
            if !is_name(&parameter.name) {
                return Err(Wrong::Illegal);
            }
            if parameter.value.len() > TEXT_BYTES_MAX {
                return Err(Wrong::BeyondUs);
            }
            let full = next.0.len() == VENDOR_PARAMETERS_MAX;
            match next.0.iter_mut().find(|kept| kept.name == parameter.name) {
                Some(kept) => *kept = parameter,
                None if full => return Err(Wrong::BeyondUs),
                None => next.0.push(parameter),
            }
        }
        *self = next;
        Ok(())
    }

    /// Those that a GET-PARAMS names, or all if it names none. One that was never set has an
    /// empty value, for the header field itself is supported.
    pub(crate) fn select(&self, names: &str) -> Result<Self, Wrong> {
        if names.trim().is_empty() {
            return Ok(self.clone());
        }
        names
            .split([';', ','])
            .map(|item| {
                let name = item.split('=').next().unwrap_or_default().trim();
                let unset = || VendorParameter { name: name.into(), value: "\"\"".into() };
                is_name(name)
                    .then(|| self.get(name).cloned().unwrap_or_else(unset))
                    .ok_or(Wrong::Illegal)
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl fmt::Display for Vendor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pairs: Vec<String> =
            self.0.iter().map(|pair| format!("{}={}", pair.name, pair.value)).collect();
        f.write_str(&pairs.join(";"))
    }
}

/// The pairs of a header field. Semicolons separate them, and so do commas where an intermediary
/// has joined two fields (§6.2): before something that reads `com.example.name=`.
fn pairs(value: &str) -> Vec<String> {
    let begins = |text: &str| {
        text.split_once('=').is_some_and(|(name, _)| name.contains('.') && is_name(name.trim()))
    };
    let mut pairs: Vec<String> = Vec::new();
    for item in quoted::split(value, ';').into_iter().filter(|item| !item.trim().is_empty()) {
        pairs.push(String::new());
        for part in quoted::split(item, ',') {
            match pairs.last_mut() {
                Some(last) if last.is_empty() => part.clone_into(last),
                Some(last) if !begins(part) => last.extend([",", part]),
                Some(_) | None => pairs.push(part.to_owned()),
            }
        }
    }
    pairs
}

/// Letters, digits, hyphens and points; RFC 6787 §13.1.6 wants a domain name, some clients send
/// underscores.
fn is_name(text: &str) -> bool {
    let sound = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    (1..=255).contains(&text.len()) && text.bytes().all(sound)
}

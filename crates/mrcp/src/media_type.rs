use std::fmt;

use crate::headers::is_token;
use crate::quoted;

/// A media type with its parameters: `type/subtype; name=value`. RFC 6787 §6.2.6.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MediaType {
    essence: String,
    parameters: Vec<(String, String)>,
}

impl MediaType {
    /// Reads a `Content-Type` value.
    pub fn parse(text: &str) -> Option<Self> {
        let mut pieces = quoted::split(text, ';').into_iter().map(str::trim);
        let (kind, subtype) = pieces.next()?.split_once('/')?;
        if !is_token(kind) || !is_token(subtype) {
            return None;
        }
        let parameters = pieces
            .filter(|piece| !piece.is_empty())
            .map(|piece| {
                let (name, value) = piece.split_once('=')?;
                is_token(name.trim())
                    .then(|| (name.trim().to_ascii_lowercase(), quoted::unquote(value.trim())))
            })
            .collect::<Option<_>>()?;
        Some(Self { essence: format!("{kind}/{subtype}").to_ascii_lowercase(), parameters })
    }

    /// `type/subtype` in lower case.
    pub fn essence(&self) -> &str {
        &self.essence
    }

    /// A parameter by its lower-case name, such as `charset`.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(has, _)| has == name).map(|(_, value)| value.as_str())
    }

    /// Whether it is `text/plain`.
    pub fn is_plain_text(&self) -> bool {
        self.essence == "text/plain"
    }

    /// Whether it is SSML: its own type, the older name that some clients still send, or XML.
    pub fn is_ssml(&self) -> bool {
        matches!(
            &*self.essence,
            "application/ssml+xml"
                | "application/synthesis+ssml"
                | "application/ssml"
                | "application/xml"
                | "text/xml"
        )
    }

    /// Whether it is `text/uri-list`.
    pub fn is_uri_list(&self) -> bool {
        self.essence == "text/uri-list"
    }

    /// Whether it is `multipart/mixed`.
    pub fn is_multipart(&self) -> bool {
        self.essence == "multipart/mixed"
    }

    /// Whether it is sound.
    pub fn is_audio(&self) -> bool {
        self.essence.starts_with("audio/")
    }

    /// Whether it is a pronunciation lexicon (PLS).
    pub fn is_lexicon(&self) -> bool {
        matches!(&*self.essence, "application/pls+xml" | "application/xml" | "text/xml")
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.essence)?;
        self.parameters
            .iter()
            .try_for_each(|(name, value)| write!(f, ";{name}={}", quoted::quote(value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn section_6_2_6_a_type_has_parameters_quoted_or_not() {
        let mixed = MediaType::parse("Multipart/Mixed; boundary=\"br;eak\" ;x=1").unwrap();
        assert_eq!(mixed.essence(), "multipart/mixed");
        assert_eq!(mixed.parameter("boundary"), Some("br;eak"));
        assert_eq!(mixed.to_string(), r#"multipart/mixed;boundary="br;eak";x="1""#);
        for bad in ["", "text", "text/", "/plain", "te xt/plain", "text/plain;charset"] {
            assert_eq!(MediaType::parse(bad), None, "{bad:?}");
        }
    }
}

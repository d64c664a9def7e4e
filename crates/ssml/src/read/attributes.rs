use quick_xml::escape::unescape_with;
use quick_xml::events::BytesStart;

/// The attributes of one element, by local name, entities resolved.
pub(crate) struct Attributes {
    /// The element's name as it is written, shortened for notes.
    pub(crate) element: String,
    list: Vec<(String, String)>,
}

/// Attributes of one element that are read; more is no honest document.
const ATTRIBUTES_MAX: usize = 64;

impl Attributes {
    pub(crate) fn read(element: &BytesStart<'_>) -> Result<Self, String> {
        let name: String = element.name().as_ref().chars().take(40).collect();
        let mut list = Vec::new();
        for attribute in element.attributes() {
            let attribute =
                attribute.map_err(|error| format!("an attribute of <{name}>: {error}"))?;
            if list.len() == ATTRIBUTES_MAX {
                return Err(format!("<{name}> has more than {ATTRIBUTES_MAX} attributes"));
            }
            let key = attribute.key.as_ref();
            if key == "xmlns" || key.starts_with("xmlns:") {
                continue;
            }
            let value = unescape_with(&attribute.value, entity)
                .map_err(|_| format!("an attribute of <{name}> holds an unknown entity"))?;
            let local = attribute.key.local_name().as_ref().to_owned();
            list.push((local, value.into_owned()));
        }
        Ok(Self { element: name, list })
    }

    /// The attribute with this local name; clients get the case of `clipBegin` and its kind wrong.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.list.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?;
        Some(value)
    }
}

/// The entities that stand for text without a DTD: XML's five, and the one that pages put in.
pub(crate) fn entity(name: &str) -> Option<&'static str> {
    match name {
        "lt" => Some("<"),
        "gt" => Some(">"),
        "amp" => Some("&"),
        "apos" => Some("'"),
        "quot" => Some("\""),
        "nbsp" => Some(" "),
        _ => None,
    }
}

//! Settings as an archive: everything that is set, in TOML or in XML, and the way back. The seeds kept
//! theirs in `config_mss.xml`; `docs/settings.xsd` is the schema of ours.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use toml_edit::{Array, Value};
use web::{Change, Takes};

use super::document;
use crate::config::{Plan, references};

/// The name of the elements: it carries the version. Invariant 9.
pub const NAMESPACE: &str = "urn:entracte:settings:1";

/// Everything that is set, by its key, as TOML writes it.
pub type Values = BTreeMap<String, String>;

/// As a TOML file of its own.
///
/// # Errors
/// When a value cannot be written, which what was read can.
pub fn to_toml(values: &Values) -> Result<String, String> {
    let changes: Vec<Change> = values
        .iter()
        .map(|(key, value)| Change::Set { key: key.clone(), value: literal(value) })
        .collect();
    document::edit("", &changes).map_err(|error| error.to_string())
}

/// What stands in the environment or in an argument may be a text without its quotes.
fn literal(value: &str) -> String {
    match value.parse::<Value>() {
        Ok(_) => value.to_owned(),
        Err(_) => Value::from(value).to_string(),
    }
}

/// As JSON of the same form as the TOML file, which `json_schema` describes.
///
/// # Errors
/// When a value cannot be written, which what was read can.
pub fn to_json(values: &Values) -> Result<String, String> {
    let json: serde_json::Value =
        toml::from_str(&to_toml(values)?).map_err(|error| error.to_string())?;
    Ok(format!("{json:#}\n"))
}

/// An archive in JSON, as TOML.
///
/// # Errors
/// In words, with the place, when it is none.
pub fn from_json(json: &str) -> Result<String, String> {
    let values: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(json).map_err(|error| format!("not JSON: {error}"))?;
    toml::to_string(&values).map_err(|error| error.to_string())
}

/// As XML.
#[must_use]
pub fn to_xml(values: &Values) -> String {
    let mut xml =
        format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<settings xmlns=\"{NAMESPACE}\">\n");
    for (key, value) in values {
        let value: Value = literal(value).parse().unwrap_or_else(|_| Value::from(value.as_str()));
        let _ = writeln!(xml, "  <setting key=\"{}\">{}</setting>", escaped(key), element(&value));
    }
    xml.push_str("</settings>\n");
    xml
}

fn element(value: &Value) -> String {
    match value {
        Value::String(text) => format!("<text>{}</text>", escaped(text.value())),
        Value::Integer(number) => format!("<integer>{}</integer>", number.value()),
        Value::Float(number) => format!("<number>{:?}</number>", number.value()),
        Value::Boolean(flag) => format!("<flag>{}</flag>", flag.value()),
        Value::Array(items) => {
            let items: String = items.iter().map(element).collect();
            format!("<list>{items}</list>")
        }
        // No key takes these.
        Value::Datetime(_) | Value::InlineTable(_) => {
            format!("<text>{}</text>", escaped(&value.to_string()))
        }
    }
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            '"' => safe.push_str("&quot;"),
            // Line ends would come back as others.
            control if control.is_control() => {
                let _ = write!(safe, "&#{};", u32::from(control));
            }
            letter => safe.push(letter),
        }
    }
    safe
}

/// The values of an archive in XML.
///
/// # Errors
/// In words, with the place in bytes, when it is none.
pub fn from_xml(xml: &str) -> Result<Values, String> {
    let mut reader = Reader::from_str(xml);
    reader.config_mut().check_end_names = true;
    let mut values = Values::new();
    let mut open: Vec<String> = Vec::new();
    let (mut key, mut text) = (None::<String>, String::new());
    let mut lists: Vec<Array> = Vec::new();
    loop {
        let at = reader.buffer_position();
        let wrong = |why: String| format!("at byte {at}: {why}");
        match reader.read_event().map_err(|error| wrong(error.to_string()))? {
            Event::Start(start) => {
                let name = start.local_name().as_ref().to_owned();
                match (name.as_str(), open.len()) {
                    ("settings", 0) => check_namespace(&start).map_err(wrong)?,
                    ("setting", 1) => key = Some(key_of(&start).map_err(wrong)?),
                    ("list", 2..) => lists.push(Array::new()),
                    ("text" | "integer" | "number" | "flag", 2..) => text.clear(),
                    (other, _) => return Err(wrong(format!("<{other}> does not belong here"))),
                }
                open.push(name);
            }
            Event::Text(more) => text.push_str(&more),
            Event::GeneralRef(reference) => text
                .push(letter(&reference).ok_or_else(|| wrong("an unknown reference".to_owned()))?),
            Event::CData(more) => text.push_str(&more),
            Event::End(_) => {
                let name = open.pop().unwrap_or_default();
                let value = match name.as_str() {
                    "list" => lists.pop().map(Value::Array),
                    "text" => Some(Value::from(std::mem::take(&mut text))),
                    "integer" | "number" | "flag" => {
                        let parsed = text.trim().parse::<Value>();
                        Some(parsed.map_err(|_| wrong(format!("{text:?} is no {name}")))?)
                    }
                    _ => None,
                };
                if let Some(value) = value {
                    match (lists.last_mut(), key.take()) {
                        (Some(list), back) => {
                            list.push_formatted(value);
                            key = back;
                        }
                        (None, Some(key)) => {
                            values.insert(key, value.to_string().trim().to_owned());
                        }
                        (None, None) => return Err(wrong("a value without a key".to_owned())),
                    }
                }
            }
            Event::Eof => break,
            Event::Decl(_) | Event::Comment(_) | Event::PI(_) => {}
            Event::Empty(_) | Event::DocType(_) => {
                return Err(wrong("this does not belong here".to_owned()));
            }
        }
    }
    if open.is_empty() { Ok(values) } else { Err("it breaks off".to_owned()) }
}

fn letter(reference: &quick_xml::events::BytesRef<'_>) -> Option<char> {
    if let Ok(Some(letter)) = reference.resolve_char_ref() {
        return Some(letter);
    }
    match &**reference {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => None,
    }
}

fn check_namespace(start: &BytesStart<'_>) -> Result<(), String> {
    let found = start.try_get_attribute("xmlns").ok().flatten();
    let found = found.map(|found| found.value.into_owned());
    match found.as_deref() {
        Some(NAMESPACE) => Ok(()),
        Some(other) => Err(format!("these are settings of {other:?}, not of {NAMESPACE:?}")),
        None => Err(format!("<settings> names no xmlns; these would be of {NAMESPACE:?}")),
    }
}

fn key_of(start: &BytesStart<'_>) -> Result<String, String> {
    let key = start.try_get_attribute("key").ok().flatten().ok_or("a setting without a key")?;
    Ok(key.value.into_owned())
}

/// The JSON Schema of a configuration file, for editors: what each key means and takes. Draft 2020-12.
#[must_use]
pub fn json_schema() -> serde_json::Value {
    use serde_json::{Value as Json, json};
    let mut root = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Entracte's settings",
        "type": "object",
        "additionalProperties": false,
        "properties": {},
    });
    let takes = Plan::takes();
    for (key, takes) in &takes {
        let reference = references().get(key);
        let mut schema = match takes {
            Takes::Table | Takes::Tables => continue,
            Takes::Flag => json!({ "type": "boolean" }),
            Takes::Integer(least, most) => {
                let number = |text: &String| text.parse::<i64>().unwrap_or(i64::MAX);
                json!({ "type": "integer", "minimum": number(least), "maximum": number(most) })
            }
            Takes::Number(least, most) => {
                json!({ "type": "number", "minimum": least, "maximum": most })
            }
            Takes::Choice(words) => json!({ "enum": words }),
            Takes::Choices(words) => {
                json!({ "type": "array", "items": { "enum": words }, "minItems": 1 })
            }
            Takes::Text(_) => json!({ "type": "string" }),
            Takes::Texts => json!({ "type": "array", "items": { "type": "string" } }),
        };
        if let (Some(reference), Json::Object(schema)) = (reference, &mut schema) {
            schema.insert("description".to_owned(), json!(reference.meaning));
            if !key.contains("[]") {
                let default = reference.default.parse::<toml::Value>().ok();
                let default = default.and_then(|default| serde_json::to_value(default).ok());
                schema.extend(default.map(|default| ("default".to_owned(), default)));
            }
        }
        place(&mut root, key, schema);
    }
    root
}

/// Puts the schema of one key where it belongs.
fn place(root: &mut serde_json::Value, key: &str, schema: serde_json::Value) {
    use serde_json::json;
    let mut here = root;
    let mut parts = key.split('.').peekable();
    while let Some(part) = parts.next() {
        let Some(properties) =
            here.get_mut("properties").and_then(serde_json::Value::as_object_mut)
        else {
            return;
        };
        let (name, list) = part.strip_suffix("[]").map_or((part, false), |name| (name, true));
        if parts.peek().is_none() {
            properties.insert(name.to_owned(), schema);
            return;
        }
        let table = || json!({ "type": "object", "additionalProperties": false, "properties": {} });
        let fresh = || if list { json!({ "type": "array", "items": table() }) } else { table() };
        let slot = properties.entry(name.to_owned()).or_insert_with(fresh);
        let inner = if list { slot.get_mut("items") } else { Some(slot) };
        let Some(inner) = inner else { return };
        here = inner;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{EXAMPLE, Layers};

    fn values_of(text: &str) -> Values {
        let layers = Layers {
            file: Some("/x.toml".into()),
            text: Some(text.to_owned()),
            ..Layers::default()
        };
        layers.values().into_iter().map(|(key, (value, _))| (key, value)).collect()
    }

    /// The example with everything that is a comment in it made live.
    fn everything() -> String {
        let live = |line: &str| match line.strip_prefix('#') {
            Some(rest) if rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '[') => {
                rest.to_owned()
            }
            _ => line.to_owned(),
        };
        EXAMPLE.lines().map(live).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn every_key_goes_to_xml_and_toml_and_comes_back() {
        let values = values_of(&everything());
        assert!(values.len() > 90, "{}", values.len());
        let back = from_xml(&to_xml(&values)).unwrap();
        let toml = to_toml(&back).unwrap();
        let again = values_of(&toml);
        let parsed = |values: &Values| -> Vec<(String, toml::Value)> {
            let value =
                |text: &String| format!("v = {text}").parse::<toml::Table>().unwrap()["v"].clone();
            values.iter().map(|(key, text)| (key.clone(), value(text))).collect()
        };
        assert_eq!(parsed(&values), parsed(&again));
    }

    #[test]
    fn texts_of_all_kinds_survive() {
        let text =
            "a = \"<b> & \\\"c\\\" ü \\n\\t\\\\ ]]>\"\nl = [\"x,y\", \"\"]\nn = -1.5\nf = false\n";
        let values = values_of(text);
        assert_eq!(values_of(&to_toml(&from_xml(&to_xml(&values)).unwrap()).unwrap()), values);
    }

    #[test]
    fn what_is_no_archive_is_refused_with_its_place() {
        for (xml, why) in [
            ("<settings/>", "does not belong"),
            ("<settings xmlns=\"urn:other\"></settings>", "urn:other"),
            (
                &*format!(
                    "<settings xmlns=\"{NAMESPACE}\"><setting key=\"a\"><integer>x</integer></setting></settings>"
                ),
                "no integer",
            ),
            (
                &*format!(
                    "<settings xmlns=\"{NAMESPACE}\"><setting><flag>true</flag></setting></settings>"
                ),
                "without a key",
            ),
            (&*format!("<settings xmlns=\"{NAMESPACE}\"><evil></evil></settings>"), "<evil>"),
            (&*format!("<settings xmlns=\"{NAMESPACE}\">"), "breaks off"),
            (
                "<!DOCTYPE a [<!ENTITY b SYSTEM \"file:/etc/passwd\">]><settings/>",
                "does not belong",
            ),
        ] {
            let error = from_xml(xml).unwrap_err();
            assert!(error.contains(why), "{xml}: {error}");
        }
    }

    #[test]
    fn the_schema_names_every_key() {
        let schema = json_schema();
        for key in Plan::keys() {
            let mut here = &schema;
            for part in key.split('.') {
                let (name, list) =
                    part.strip_suffix("[]").map_or((part, false), |name| (name, true));
                here = &here["properties"][name];
                if list {
                    here = &here["items"];
                }
            }
            assert!(here.is_object(), "{key}");
        }
        assert_eq!(
            schema["properties"]["general"]["properties"]["sip"]["properties"]["port"]["default"],
            6060
        );
    }
}

//! `config/entracte.toml` as data: what each key means, and its default. There is one text about each
//! key, for people in the file and on pages alike; a test holds it to the code.

use std::collections::BTreeMap;
use std::sync::LazyLock;

/// The file itself, which is also what a new configuration begins with.
pub static EXAMPLE: &str = include_str!("../../../../config/entracte.toml");

/// What is said of one key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reference {
    /// Where it stands among the others: related keys stand together.
    pub at: usize,
    /// What it means and takes, in sentences.
    pub meaning: String,
    /// The default as TOML writes it; of a key in a list of tables, an example.
    pub default: String,
}

/// Every key, lists of tables as `external_audio.sources[].name`.
pub fn references() -> &'static BTreeMap<String, Reference> {
    static ALL: LazyLock<BTreeMap<String, Reference>> = LazyLock::new(|| read(EXAMPLE));
    &ALL
}

fn read(text: &str) -> BTreeMap<String, Reference> {
    let mut all = BTreeMap::new();
    let (mut table, mut prose) = (String::new(), String::new());
    for line in text.lines() {
        if let Some(words) = line.strip_prefix("# ") {
            if !prose.is_empty() {
                prose.push(' ');
            }
            prose.push_str(words.trim());
            continue;
        }
        let live = line.strip_prefix('#').unwrap_or(line);
        if let Some(name) = live.strip_prefix("[[").and_then(|rest| rest.strip_suffix("]]")) {
            table = format!("{name}[].");
        } else if let Some(name) = live.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            table = format!("{name}.");
        } else if let Some((key, default)) = live.split_once(" = ") {
            let at = all.len();
            let reference = Reference { at, meaning: prose.clone(), default: default.to_owned() };
            all.entry(format!("{table}{key}")).or_insert(reference);
        }
        prose.clear();
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use web::Takes;

    use crate::config::Plan;

    #[test]
    fn every_key_is_explained_on_its_own() {
        let all = references();
        for key in Plan::keys() {
            // Keys within a value are explained with it.
            let own =
                key.split_once("voices[].").map_or(&*key, |_| "text_to_speech.providers[].voices");
            let known = all.get(own).unwrap_or_else(|| panic!("{key} is not explained"));
            assert!(known.meaning.len() > 3, "{key}: {known:?}");
        }
        let port = &all["general.sip.port"];
        assert_eq!(port.default, "6060");
        assert!(port.meaning.starts_with("0 to 65535"), "{port:?}");
    }

    #[test]
    fn every_key_says_what_it_takes() {
        let takes = Plan::takes();
        for key in Plan::keys() {
            assert!(takes.contains_key(&key), "{key}");
        }
        assert_eq!(
            takes["general.listen_address_type"],
            Takes::Choice(vec!["any".into(), "ip4".into(), "ip6".into()])
        );
        assert_eq!(takes["external_audio.sources[].gain_db"], Takes::Number(-60.0, 20.0));
        assert_eq!(
            takes["external_audio.sources[].start"].clone(),
            Takes::Choice(vec!["always".into(), "on-demand".into()])
        );
        assert_eq!(takes["general.sip.qos"], Takes::Flag);
    }
}

//! `config/entracte.toml` and the code name the same keys with the same defaults, and every TOML
//! file that people may copy from can be used.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail where it stands")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use entracte::config::{Interfaces, Layers, Plan};

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn load(text: &str) -> Plan {
    let path = std::env::temp_dir().join(format!(
        "entracte-config-file-{}-{:?}.toml",
        std::process::id(),
        std::thread::current().id()
    ));
    std::fs::write(&path, text).unwrap();
    let layers = Layers { file: Some(path.clone()), ..Layers::default() };
    let machine = Interfaces::of(&[("lo", "127.0.0.1".parse().unwrap())]);
    let plan = Plan::load_for(&layers, &machine);
    std::fs::remove_file(path).unwrap();
    Plan {
        notes: Vec::new(),
        layers: Layers::default(),
        ..plan.unwrap_or_else(|faults| panic!("{faults}"))
    }
}

/// The file with every `#key = value` made live: `#` followed by a space is prose.
fn uncommented(text: &str) -> String {
    let live = |line: &str| match line.strip_prefix('#') {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '[') => {
            rest.to_owned()
        }
        _ => line.to_owned(),
    };
    text.lines().map(live).collect::<Vec<_>>().join("\n")
}

fn keys_of(value: &toml::Value, path: &str, keys: &mut BTreeSet<String>) {
    let items = value.as_array().map_or(&[][..], Vec::as_slice);
    if let Some(table) = value.as_table() {
        for (key, inner) in table {
            let dotted = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            keys_of(inner, &dotted, keys);
        }
    } else if items.iter().any(toml::Value::is_table) {
        items.iter().for_each(|item| keys_of(item, &format!("{path}[]"), keys));
    } else {
        keys.insert(path.to_owned());
    }
}

#[test]
fn the_example_names_every_key_there_is_and_no_other() {
    let text = std::fs::read_to_string(top().join("config/entracte.toml")).unwrap();
    let mut written = BTreeSet::new();
    keys_of(&uncommented(&text).parse().map(toml::Value::Table).unwrap(), "", &mut written);
    let known: BTreeSet<String> = Plan::keys().into_iter().collect();
    assert_eq!(written, known);
}

#[test]
fn the_example_states_the_defaults() {
    let text = std::fs::read_to_string(top().join("config/entracte.toml")).unwrap();
    let defaults = load("");
    assert_eq!(load(&text), defaults);
    let mut stated = load(&uncommented(&text));
    // The two sources in it show how a source is written; by default there is none.
    assert_eq!(stated.external_audio.sources.len(), 2);
    assert!(stated.external_audio.sources.iter().all(|source| source.gain_db == 0.0));
    stated.external_audio.sources.clear();
    // So do the providers of speech.
    assert_eq!(stated.text_to_speech.providers.len(), 2);
    stated.text_to_speech.providers.clear();
    // And who is told of events, and the mail servers.
    assert_eq!((stated.webhooks.len(), stated.mail.servers.len()), (1, 1));
    stated.webhooks.clear();
    stated.mail.servers.clear();
    // And who sends messages on, and who may log in for others.
    assert_eq!(stated.mail.outgoing.take().map(|outgoing| outgoing.relays.len()), Some(1));
    assert_eq!(stated.mail.services.len(), 1);
    stated.mail.services.clear();
    // And people and programs that may come in.
    let accounts = &mut stated.administration.accounts;
    assert_eq!((accounts.users.len(), accounts.tokens.len()), (1, 1));
    *accounts = Default::default();
    // A program that is not on this machine is remarked on.
    stated.notes.clear();
    assert_eq!(stated, defaults);
}

fn files(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files(&path, ending, found);
        } else if path.extension().is_some_and(|extension| extension == ending) {
            found.push(path);
        }
    }
}

/// The ```toml blocks of a page.
fn blocks(page: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut open: Option<String> = None;
    for line in page.lines() {
        match (&mut open, line.trim()) {
            (None, "```toml") => open = Some(String::new()),
            (None, _) => {}
            (Some(_), "```") => blocks.extend(open.take()),
            (Some(block), _) => {
                block.push_str(line);
                block.push('\n');
            }
        }
    }
    blocks
}

#[test]
fn every_configuration_that_people_may_copy_can_be_used() {
    let mut paths = Vec::new();
    files(&top().join("config"), "toml", &mut paths);
    files(&top().join("docs"), "toml", &mut paths);
    assert!(!paths.is_empty());
    for path in paths {
        load(&std::fs::read_to_string(path).unwrap());
    }
    let mut pages = vec![top().join("README.md")];
    files(&top().join("docs"), "md", &mut pages);
    for page in pages {
        let text = std::fs::read_to_string(page).unwrap_or_default();
        for block in blocks(&text) {
            load(&block);
        }
    }
}

//! Changes a TOML file as a careful person would: comments and order stay, a value that was a comment
//! with its default comes to stand in that place, and one that goes back to its default becomes one.

use std::collections::BTreeMap;
use std::fmt;

use toml_edit::{ArrayOfTables, DocumentMut, InlineTable, Item, Table, TableLike, Value};
use web::Change;

use crate::config::references;

/// Why a change cannot be made.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct EditError {
    pub(super) key: String,
    pub(super) what: String,
}

impl fmt::Display for EditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.what)
    }
}

/// One part of a key: a name, and an index where it is a list of tables.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Part {
    name: String,
    index: Option<usize>,
}

fn parts(key: &str) -> Option<Vec<Part>> {
    let part = |text: &str| {
        let (name, index) = match text.split_once('[') {
            None => (text, None),
            Some((name, rest)) => (name, Some(rest.strip_suffix(']')?.parse().ok()?)),
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        let named = !name.is_empty() && name.chars().all(plain);
        named.then(|| Part { name: name.to_owned(), index })
    };
    key.split('.').map(part).collect()
}

/// The text with `changes` made, in their order; entries are removed last, so that the indices of one
/// batch all mean the entries as they were.
///
/// # Errors
/// The first change that cannot be made.
pub(super) fn edit(text: &str, changes: &[Change]) -> Result<String, EditError> {
    let mut text = text.to_owned();
    let mut removed: Vec<&str> = Vec::new();
    // Where the new entries of this batch went.
    let mut made = BTreeMap::new();
    for change in changes {
        text = match change {
            Change::Set { key, value } => set(&text, key, value, &mut made)?,
            Change::Unset { key } => unset(text, key)?,
            Change::Remove { entry } => {
                removed.push(entry);
                text
            }
        };
    }
    // The last entries first, each once, however it is written.
    removed.sort_by_key(|entry| std::cmp::Reverse(parts(entry)));
    removed.dedup_by_key(|entry| parts(entry));
    for entry in removed {
        text = remove(&text, entry)?;
    }
    Ok(text)
}

fn error(key: &str, what: &str) -> EditError {
    EditError { key: key.to_owned(), what: what.to_owned() }
}

fn parse(text: &str) -> Result<DocumentMut, EditError> {
    text.parse()
        .map_err(|why: toml_edit::TomlError| error("", &format!("not TOML: {}", why.message())))
}

fn set(
    text: &str,
    key: &str,
    value: &str,
    made: &mut BTreeMap<(String, usize), usize>,
) -> Result<String, EditError> {
    let value: Value =
        value.trim().parse().map_err(|_| error(key, &format!("{value} is no value of TOML")))?;
    let path = parts(key).ok_or_else(|| error(key, "is no key"))?;
    let mut document = parse(text)?;
    let there = get(document.as_table_mut(), &path).is_some();
    if !there && let Some(placed) = uncomment(text, &path, &value) {
        return Ok(placed);
    }
    let (last, tables) = path.split_last().ok_or_else(|| error(key, "is no key"))?;
    if last.index.is_some() {
        return Err(error(key, "is an entry, which has keys"));
    }
    let mut table: &mut dyn TableLike = document.as_table_mut();
    let mut so_far = String::new();
    for part in tables {
        so_far.push_str(&format!(".{}", part.name));
        table = enter(table, part, (&so_far, made))
            .ok_or_else(|| error(key, "its table is a value"))?;
        if let Some(index) = part.index {
            so_far.push_str(&format!("[{index}]"));
        }
    }
    match table.get_mut(&last.name) {
        Some(Item::Value(old)) => {
            // A comment behind the old value stays behind the new one.
            let decor = old.decor().clone();
            *old = value;
            *old.decor_mut() = decor;
        }
        Some(Item::None) | None => {
            table.insert(&last.name, Item::Value(value));
        }
        Some(Item::Table(_) | Item::ArrayOfTables(_)) => return Err(error(key, "is a table")),
    }
    Ok(document.to_string())
}

/// The table of one part, made if it is not there.
fn enter<'t>(
    table: &'t mut dyn TableLike,
    part: &Part,
    (path, made): (&str, &mut BTreeMap<(String, usize), usize>),
) -> Option<&'t mut dyn TableLike> {
    let Some(index) = part.index else {
        let implicit = || {
            let mut fresh = Table::new();
            fresh.set_implicit(true);
            Item::Table(fresh)
        };
        return table.entry(&part.name).or_insert_with(implicit).as_table_like_mut();
    };
    let list = table.entry(&part.name).or_insert_with(|| Item::ArrayOfTables(ArrayOfTables::new()));
    let at = made.get(&(path.to_owned(), index)).copied().unwrap_or(index);
    match list {
        Item::ArrayOfTables(tables) => {
            let at = if at < tables.len() {
                at
            } else {
                tables.push(Table::new());
                tables.len() - 1
            };
            made.insert((path.to_owned(), index), at);
            Some(tables.get_mut(at)?)
        }
        Item::Value(Value::Array(array)) => {
            let at = if at < array.len() {
                at
            } else {
                array.push(Value::InlineTable(InlineTable::new()));
                array.len() - 1
            };
            made.insert((path.to_owned(), index), at);
            Some(array.get_mut(at)?.as_inline_table_mut()?)
        }
        Item::None | Item::Value(_) | Item::Table(_) => None,
    }
}

fn get<'t>(root: &'t mut Table, path: &[Part]) -> Option<&'t mut Item> {
    let (last, tables) = path.split_last()?;
    table_of(root, tables)?.get_mut(&last.name).filter(|item| !item.is_none())
}

fn table_of<'t>(root: &'t mut Table, tables: &[Part]) -> Option<&'t mut dyn TableLike> {
    let mut table: &mut dyn TableLike = root;
    for part in tables {
        let item = table.get_mut(&part.name)?;
        table = match (item, part.index) {
            (item, None) => item.as_table_like_mut()?,
            (Item::ArrayOfTables(list), Some(index)) => list.get_mut(index)?,
            (Item::Value(Value::Array(list)), Some(index)) => {
                list.get_mut(index)?.as_inline_table_mut()?
            }
            (Item::None | Item::Value(_) | Item::Table(_), Some(_)) => return None,
        };
    }
    Some(table)
}

/// Puts a value where its key stands as a comment with its default, in its own table. `None` where there
/// is no such line.
fn uncomment(text: &str, path: &[Part], value: &Value) -> Option<String> {
    if path.iter().any(|part| part.index.is_some()) {
        return None;
    }
    let (last, tables) = path.split_last()?;
    let header: Vec<&str> = tables.iter().map(|part| part.name.as_str()).collect();
    let header = header.join(".");
    let wanted = format!("#{} = ", last.name);
    let (mut here, mut done) = (header.is_empty(), false);
    let mut lines = Vec::new();
    for line in text.split_inclusive('\n') {
        let bare = line.trim_end();
        let live = bare.strip_prefix('#').unwrap_or(bare);
        if live.starts_with('[') && live.ends_with(']') {
            here = bare == format!("[{header}]");
        }
        if here && !done && bare.starts_with(&wanted) {
            let end = line.strip_prefix(bare).unwrap_or("\n");
            lines.push(format!("{} = {}{end}", last.name, value.to_string().trim()));
            done = true;
        } else {
            lines.push(line.to_owned());
        }
    }
    let placed = lines.concat();
    // What looked like a comment may have been within a text of several lines.
    let check = placed.parse::<DocumentMut>().ok();
    let same = |mut document: DocumentMut| get(document.as_table_mut(), path).is_some();
    (done && check.is_some_and(same)).then_some(placed)
}

fn unset(text: String, key: &str) -> Result<String, EditError> {
    let path = parts(key).ok_or_else(|| error(key, "is no key"))?;
    let mut document = parse(&text)?;
    if get(document.as_table_mut(), &path).is_none() {
        return Ok(text);
    }
    let (last, tables) = path.split_last().ok_or_else(|| error(key, "is no key"))?;
    if let Some(commented) = comment_out(&text, &path) {
        return Ok(commented);
    }
    if let Some(table) = table_of(document.as_table_mut(), tables) {
        table.remove(&last.name);
    }
    Ok(document.to_string())
}

/// Makes the line of a key a comment with its default, if it is one line.
fn comment_out(text: &str, path: &[Part]) -> Option<String> {
    if path.iter().any(|part| part.index.is_some()) {
        return None;
    }
    let (last, _) = path.split_last()?;
    let names: Vec<&str> = path.iter().map(|part| part.name.as_str()).collect();
    let default = &references().get(&names.join("."))?.default;
    let document = toml_edit::Document::parse(text).ok()?;
    let mut item: &Item = document.as_item();
    let mut key_span = None;
    for name in &names {
        let (key, inner) = item.as_table_like()?.get_key_value(name)?;
        (item, key_span) = (inner, key.span());
    }
    let (from, to) = (key_span?.start, item.span()?.end);
    let start = text.get(..from)?.rfind('\n').map_or(0, |at| at + 1);
    let line = text.get(start..to)?;
    let own = line.trim_start().starts_with(&format!("{} =", last.name)) && !line.contains('\n');
    // What stands behind the value stays behind it.
    let commented = format!("{}#{} = {default}{}", text.get(..start)?, last.name, text.get(to..)?);
    own.then_some(commented)
}

fn remove(text: &str, entry: &str) -> Result<String, EditError> {
    let path = parts(entry).ok_or_else(|| error(entry, "is no entry"))?;
    let mut document = parse(text)?;
    let missing = || error(entry, "is not in the file");
    let (last, tables) = path.split_last().ok_or_else(missing)?;
    let index = last.index.ok_or_else(missing)?;
    let table = table_of(document.as_table_mut(), tables).ok_or_else(missing)?;
    match table.get_mut(&last.name).ok_or_else(missing)? {
        Item::ArrayOfTables(list) if index < list.len() => {
            list.remove(index);
        }
        Item::Value(Value::Array(list)) if index < list.len() => {
            list.remove(index);
        }
        Item::None | Item::Value(_) | Item::Table(_) | Item::ArrayOfTables(_) => {
            return Err(missing());
        }
    }
    Ok(document.to_string())
}

/// Whose accounts stay.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Accounts {
    /// Those that are there now: who may come in does not go back with the rest.
    Always,
    /// Those that are there now, unless the other text has a list of its own.
    WhereNone,
}

/// `kept` with the accounts that `text` has, each of the two lists by itself.
///
/// # Errors
/// When one of them is not TOML.
pub(super) fn with_accounts_of(
    kept: &str,
    text: &str,
    whose: Accounts,
) -> Result<String, EditError> {
    let (mut restored, mut now) = (parse(kept)?, parse(text)?);
    let lists = ["users", "tokens"];
    let here = now.get_mut("administration").and_then(Item::as_table_like_mut);
    let own = match here {
        Some(here) => lists.map(|list| here.remove(list)),
        None => [None, None],
    };
    let part = Part { name: "administration".to_owned(), index: None };
    let there = enter(restored.as_table_mut(), &part, ("", &mut BTreeMap::new()))
        .ok_or_else(|| error("administration", "its table is a value"))?;
    for (list, own) in lists.into_iter().zip(own) {
        if whose == Accounts::WhereNone && there.contains_key(list) {
            continue;
        }
        there.remove(list);
        if let Some(own) = own {
            there.insert(list, own);
        }
    }
    Ok(restored.to_string())
}

/// The text without the values of these keys, wherever they stand and however they are written.
/// `None` when it is not TOML.
pub(super) fn without(text: &str, keys: &[&str], instead: &str) -> Option<String> {
    let mut document: DocumentMut = text.parse().ok()?;
    hide(document.as_table_mut(), keys, instead);
    // What was once such a line and is a comment now.
    let comment = |line: &&str| {
        let bare = line.trim_start();
        bare.starts_with('#') && keys.iter().any(|key| bare.contains(key))
    };
    let written = document.to_string();
    Some(written.lines().filter(|line| !comment(line)).map(|line| format!("{line}\n")).collect())
}

fn hide(table: &mut dyn TableLike, keys: &[&str], instead: &str) {
    for (key, item) in table.iter_mut() {
        if keys.contains(&key.get()) {
            *item = Item::Value(Value::from(instead));
            continue;
        }
        if let Some(table) = item.as_table_like_mut() {
            hide(table, keys, instead);
        } else if let Some(tables) = item.as_array_of_tables_mut() {
            tables.iter_mut().for_each(|table| hide(table, keys, instead));
        } else if let Some(items) = item.as_array_mut() {
            let tables = items.iter_mut().filter_map(Value::as_inline_table_mut);
            tables.for_each(|table| hide(table, keys, instead));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::EXAMPLE;

    fn set(key: &str, value: &str) -> Change {
        Change::Set { key: key.into(), value: value.into() }
    }

    #[test]
    fn a_value_comes_to_stand_where_its_default_was_a_comment_and_goes_back() {
        let changed = edit(EXAMPLE, &[set("general.mrcp.port", "9104")]).unwrap();
        let before: Vec<&str> = EXAMPLE.lines().collect();
        let after: Vec<&str> = changed.lines().collect();
        assert_eq!(before.len(), after.len());
        let differ: Vec<_> = before.iter().zip(&after).filter(|(a, b)| a != b).collect();
        assert_eq!(differ, [(&"#port = 8104", &"port = 9104")]);
        let unset = [Change::Unset { key: "general.mrcp.port".into() }];
        assert_eq!(edit(&changed, &unset).unwrap(), EXAMPLE);
        let noted = changed.replace("port = 9104", "port = 9104 # ticket 12");
        assert!(edit(&noted, &unset).unwrap().contains("#port = 8104 # ticket 12"));
    }

    #[test]
    fn comments_and_order_survive_every_change() {
        let text = "# Ours.\nstate_dir = \"/x\" # here\n\n[general.sip]\n# The old one.\nport = 5060 # as always\n\n[[external_audio.sources]]\n# Lobby's.\nname = \"Lobby\"\nuri = \"file:/a\"\n\n[[external_audio.sources]]\nname = \"Two\"\nuri = \"file:/b\"\n";
        let changes = [
            set("general.sip.port", "5070"),
            set("external_audio.sources[0].uri", "\"file:/c\""),
            set("external_audio.sources[2].name", "\"Three\""),
            set("external_audio.sources[2].uri", "\"file:/d\""),
            Change::Remove { entry: "external_audio.sources[1]".into() },
            set("general.mrcp.max_sessions", "64"),
        ];
        let changed = edit(text, &changes).unwrap();
        for kept in [
            "# Ours.",
            "state_dir = \"/x\" # here",
            "# The old one.\nport = 5070 # as always",
            "# Lobby's.\nname = \"Lobby\"\nuri = \"file:/c\"",
            "[general.mrcp]\nmax_sessions = 64",
        ] {
            assert!(changed.contains(kept), "{kept:?} is not in\n{changed}");
        }
        assert!(!changed.contains("Two"), "{changed}");
        let value: toml::Table = changed.parse().unwrap();
        let sources = value["external_audio"]["sources"].as_array().unwrap();
        assert_eq!(sources.len(), 2);
        assert_eq!(sources[1]["uri"].as_str(), Some("file:/d"));
    }

    #[test]
    fn lists_written_on_one_line_and_an_empty_file_are_changed_too() {
        let text = "[external_audio]\nsources = [{ name = \"A\", uri = \"file:/a\" }] # all\n";
        let changed = edit(text, &[set("external_audio.sources[1].name", "\"B\"")]).unwrap();
        assert!(changed.contains("{ name = \"B\" }] # all"), "{changed}");
        let changed = edit("", &[set("general.sip.limits.idle_seconds", "30")]).unwrap();
        assert_eq!(changed.trim(), "[general.sip.limits]\nidle_seconds = 30");
    }

    #[test]
    fn secrets_are_hidden_however_they_are_written() {
        let keys = ["password_hash", "sha256"];
        for text in [
            "[[administration.users]]\nname = \"a\"\npassword_hash\t= \"$argon2id$x\"\n",
            "administration.users = [{ name = \"a\", password_hash = \"$argon2id$x\" }]\n",
            "[administration]\nusers = [{ \"password_hash\" = '$argon2id$x' }]\n",
            "[[administration.users]]\npassword_hash = \"\"\"\n$argon2id$x\"\"\"\n",
            "[[administration.users]]\n#password_hash = \"$argon2id$x\"\n",
        ] {
            let shown = without(text, &keys, "(hidden)").unwrap();
            assert!(!shown.contains("argon2"), "{shown}");
        }
        assert_eq!(without("= broken", &keys, "x"), None);
    }

    #[test]
    fn accounts_stay_unless_the_other_text_has_its_own() {
        let now =
            "[[administration.users]]\nname = \"now\"\n[[administration.tokens]]\nname = \"t\"\n";
        let example = with_accounts_of(EXAMPLE, now, Accounts::WhereNone).unwrap();
        assert!(example.contains("name = \"now\"") && example.contains("name = \"t\""));
        let own = "administration.users = [{ name = \"own\" }]\n";
        let merged = with_accounts_of(own, now, Accounts::WhereNone).unwrap();
        assert!(
            merged.contains("own") && !merged.contains("\"now\"") && merged.contains("\"t\""),
            "{merged}"
        );
        assert!(!with_accounts_of(own, now, Accounts::Always).unwrap().contains("own"));
    }

    #[test]
    fn what_cannot_be_done_is_told_and_nothing_is_smuggled_in() {
        for (key, value) in [
            ("general.sip.port", "1\n[evil]\nx = 1"),
            ("general.sip.port", ""),
            ("general..port", "1"),
            ("general.sip.port]", "1"),
            ("general", "1"),
            ("state_dir.x", "1"),
            ("text_to_speech.providers[0]", "1"),
        ] {
            let text = "state_dir = \"/x\"\n[general]\n";
            assert!(edit(text, &[set(key, value)]).is_err(), "{key} {value:?}");
        }
        assert!(edit("", &[Change::Remove { entry: "external_audio.sources[0]".into() }]).is_err());
        assert!(edit("= broken", &[set("a", "1")]).is_err());
    }
}

//! Settings before they mean anything: values with their places, laid over one another.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use super::fault::{Fault, Place, Wrong};

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) place: Place,
}

/// A table: key, where the key stands, its value.
pub(super) type Table = BTreeMap<String, Entry>;

#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key_place: Place,
    pub(super) node: Node,
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    Text(String),
    Integer(i64),
    Float(f64),
    Flag(bool),
    Moment,
    List(Vec<Node>),
    Table(Table),
    /// From environment or command line: what it is, the key that takes it decides.
    Loose(String),
}

impl Value {
    /// A number, written with a point or without.
    pub(super) fn as_number(&self) -> Option<f64> {
        match self {
            Self::Float(number) => Some(*number),
            // i32 is wider than every range that is asked for; a larger number is outside of all.
            Self::Integer(number) => Some(i32::try_from(*number).map_or(f64::INFINITY, f64::from)),
            Self::Text(_)
            | Self::Flag(_)
            | Self::Moment
            | Self::List(_)
            | Self::Table(_)
            | Self::Loose(_) => None,
        }
    }

    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) | Self::Loose(_) => "text",
            Self::Integer(_) => "a whole number",
            Self::Float(_) => "a number",
            Self::Flag(_) => "true or false",
            Self::Moment => "a date",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
        }
    }
}

fn flatten(table: &Table, path: &str, values: &mut BTreeMap<String, (String, Place)>) {
    for (key, entry) in table {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        match &entry.node.value {
            Value::Table(inner) => flatten(inner, &path, values),
            Value::List(items) if tables(items) => {
                for (index, item) in items.iter().enumerate() {
                    if let Value::Table(inner) = &item.value {
                        flatten(inner, &format!("{path}[{index}]"), values);
                    }
                }
            }
            value @ (Value::Text(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::Flag(_)
            | Value::Moment
            | Value::List(_)
            | Value::Loose(_)) => {
                values.insert(path, (literal(value), entry.node.place.clone()));
            }
        }
    }
}

/// A value as TOML writes it, on one line.
fn literal(value: &Value) -> String {
    match value {
        Value::Text(text) => toml::Value::String(text.clone()).to_string(),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => toml::Value::Float(*number).to_string(),
        Value::Flag(flag) => flag.to_string(),
        Value::Moment => "a date".to_owned(),
        Value::Loose(text) => text.clone(),
        Value::List(items) => {
            let items: Vec<String> = items.iter().map(|item| literal(&item.value)).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Table(table) => {
            let pairs: Vec<String> = table
                .iter()
                .map(|(key, entry)| format!("{key} = {}", literal(&entry.node.value)))
                .collect();
            format!("{{ {} }}", pairs.join(", "))
        }
    }
}

/// What settings are read from, each laid over those before it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Layers {
    /// The file; `conf.d/*.toml` beside it follows, in the order of the names.
    pub file: Option<PathBuf>,
    /// What is taken for the content of that file, to try a change before it is made.
    pub text: Option<String>,
    /// Environment variables; only `ENTRACTE__…` are looked at.
    pub environment: Vec<(String, String)>,
    /// `KEY=VALUE` from the command line.
    pub settings: Vec<String>,
}

/// The file that is read when none is named.
pub const SYSTEM_FILE: &str = "/etc/entracte/entracte.toml";

/// The start of every environment variable that is a setting.
const ENVIRONMENT_PREFIX: &str = "ENTRACTE__";

impl Layers {
    /// The layers of this process: `file`, or the system's file, which need not be there; the environment;
    /// `settings`.
    #[must_use]
    pub fn of_process(file: Option<&Path>, settings: &[String]) -> Self {
        let file = file.unwrap_or_else(|| Path::new(SYSTEM_FILE));
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(name, _)| name.starts_with(ENVIRONMENT_PREFIX))
            .collect();
        Self { file: Some(file.to_owned()), text: None, environment, settings: settings.to_vec() }
    }

    /// Where a key stands, or the nearest table around it; for what shows only once it is used.
    #[must_use]
    pub fn place_of(&self, key: &str) -> Place {
        let mut table = &self.read(&mut Vec::new());
        let mut place = Place::Default;
        for part in key.split('.') {
            let Some(entry) = table.get(part) else { break };
            place = entry.key_place.clone();
            let Value::Table(inner) = &entry.node.value else { break };
            table = inner;
        }
        place
    }

    /// Every value that is set anywhere, by its key (`external_audio.sources[0].name`): as TOML writes it,
    /// and where it stands.
    #[must_use]
    pub fn values(&self) -> BTreeMap<String, (String, Place)> {
        let mut values = BTreeMap::new();
        flatten(&self.read(&mut Vec::new()), "", &mut values);
        values
    }

    /// Reads all layers into one table. What cannot be read goes to `faults`.
    pub(super) fn read(&self, faults: &mut Vec<Fault>) -> Table {
        let mut table = Table::new();
        if let Some(file) = &self.file {
            match &self.text {
                Some(text) => lay(&mut table, read_text(text, file, faults)),
                None => read_file(file, &mut table, faults),
            }
            let folder = file.with_file_name("conf.d");
            for file in toml_files(&folder, faults) {
                read_file(&file, &mut table, faults);
            }
        }
        let mut environment = self.environment.clone();
        environment.sort();
        for (name, text) in &environment {
            if let Some(path) = name.strip_prefix(ENVIRONMENT_PREFIX) {
                let keys: Vec<String> = path.split("__").map(str::to_ascii_lowercase).collect();
                put(&mut table, &keys, text, &Place::Environment(name.as_str().into()));
            }
        }
        for setting in &self.settings {
            let place = Place::Argument(setting.as_str().into());
            match setting.split_once('=') {
                Some((path, text)) if !path.trim().is_empty() => {
                    let keys: Vec<String> = path.trim().split('.').map(str::to_owned).collect();
                    put(&mut table, &keys, text.trim(), &place);
                }
                _ => faults.push(whole(place, Wrong::NotAnAssignment)),
            }
        }
        table
    }
}

fn whole(place: Place, wrong: Wrong) -> Fault {
    Fault { place, key: String::new(), wrong, allowed: None, meant: None }
}

fn toml_files(folder: &Path, faults: &mut Vec<Fault>) -> Vec<PathBuf> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            let place = Place::File { path: folder.into(), line: 1, column: 1 };
            faults.push(whole(place, Wrong::Unreadable(error.to_string())));
            return Vec::new();
        }
    };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();
    files
}

fn read_file(path: &Path, table: &mut Table, faults: &mut Vec<Fault>) {
    match std::fs::read_to_string(path) {
        Ok(text) => lay(table, read_text(&text, path, faults)),
        // Without it, everything has its default.
        Err(error)
            if error.kind() == std::io::ErrorKind::NotFound && path == Path::new(SYSTEM_FILE) => {}
        Err(error) => {
            let place = Place::File { path: path.into(), line: 1, column: 1 };
            faults.push(whole(place, Wrong::Unreadable(error.to_string())));
        }
    }
}

/// Reads TOML; what can be read around a syntax fault is read too.
pub(super) fn read_text(text: &str, path: &Path, faults: &mut Vec<Fault>) -> Table {
    let source = Source { text, path: path.into() };
    let (document, errors) = DeTable::parse_recoverable(text);
    let mut broken = Vec::new();
    for error in errors {
        let place = source.place(error.span().map_or(0, |span| span.start));
        broken.extend(source.line_of(&place));
        faults.push(whole(place, Wrong::Syntax(error.message().replace('\n', "; "))));
    }
    let mut table = source.table(document.into_inner());
    drop_lines(&mut table, &broken, &source);
    table
}

/// A line that is not TOML was said to be so; what the parser guessed of it would only confuse.
fn drop_lines(table: &mut Table, broken: &[usize], source: &Source<'_>) {
    table.retain(|_, entry| {
        let stays = source.line_of(&entry.key_place).is_none_or(|line| !broken.contains(&line));
        if let Value::Table(inner) = &mut entry.node.value {
            drop_lines(inner, broken, source);
            return true;
        }
        stays
    });
}

struct Source<'t> {
    text: &'t str,
    path: Arc<Path>,
}

impl Source<'_> {
    fn place(&self, offset: usize) -> Place {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line = before.matches('\n').count() + 1;
        let column = before.get(line_start..).unwrap_or("").chars().count() + 1;
        Place::File { path: Arc::clone(&self.path), line, column }
    }

    fn line_of(&self, place: &Place) -> Option<usize> {
        match place {
            Place::File { path, line, .. } if *path == self.path => Some(*line),
            Place::File { .. } | Place::Environment(_) | Place::Argument(_) | Place::Default => {
                None
            }
        }
    }

    fn table(&self, table: DeTable<'_>) -> Table {
        table
            .into_iter()
            .map(|(key, value)| {
                let key_place = self.place(key.span().start);
                (key.into_inner().into_owned(), Entry { key_place, node: self.node(value) })
            })
            .collect()
    }

    fn node(&self, value: toml::Spanned<DeValue<'_>>) -> Node {
        let place = self.place(value.span().start);
        let value = match value.into_inner() {
            DeValue::String(text) => Value::Text(text.into_owned()),
            // A number too large for us is still a number: the range of its key will refuse it.
            DeValue::Integer(digits) => Value::Integer(
                i64::from_str_radix(digits.as_str(), digits.radix()).unwrap_or(i64::MAX),
            ),
            DeValue::Float(digits) => Value::Float(digits.as_str().parse().unwrap_or(f64::NAN)),
            DeValue::Boolean(flag) => Value::Flag(flag),
            DeValue::Datetime(_) => Value::Moment,
            DeValue::Array(items) => {
                Value::List(items.into_iter().map(|item| self.node(item)).collect())
            }
            DeValue::Table(table) => Value::Table(self.table(table)),
        };
        Node { value, place }
    }
}

/// Lays `upper` over `lower`: tables join, lists of tables add up, everything else is replaced.
pub(super) fn lay(lower: &mut Table, upper: Table) {
    for (key, entry) in upper {
        match lower.get_mut(&key) {
            None => {
                lower.insert(key, entry);
            }
            Some(below) => match (&mut below.node.value, entry.node.value) {
                (Value::Table(below), Value::Table(above)) => lay(below, above),
                (Value::List(below), Value::List(above)) if tables(below) && tables(&above) => {
                    below.extend(above);
                }
                (_, value) => {
                    let node = Node { value, place: entry.node.place };
                    *below = Entry { key_place: entry.key_place, node };
                }
            },
        }
    }
}

fn tables(list: &[Node]) -> bool {
    !list.is_empty() && list.iter().all(|node| matches!(node.value, Value::Table(_)))
}

/// Puts one value from outside a file at the end of a path of keys.
fn put(table: &mut Table, keys: &[String], text: &str, place: &Place) {
    let Some((first, rest)) = keys.split_first() else { return };
    let fresh =
        |value| Entry { key_place: place.clone(), node: Node { value, place: place.clone() } };
    if rest.is_empty() {
        table.insert(first.clone(), fresh(loose(text, place)));
        return;
    }
    let entry = table.entry(first.clone()).or_insert_with(|| fresh(Value::Table(Table::new())));
    if !matches!(entry.node.value, Value::Table(_)) {
        *entry = fresh(Value::Table(Table::new()));
    }
    if let Value::Table(inner) = &mut entry.node.value {
        put(inner, rest, text, place);
    }
}

/// Puts a list with one empty table at the end of a path of keys.
pub(super) fn put_empty_entry(table: &mut Table, keys: &[String]) {
    put(table, keys, "[{}]", &Place::Default);
}

/// A list or table is written as in TOML; what else it is, is left open.
fn loose(text: &str, place: &Place) -> Value {
    if text.starts_with(['[', '{'])
        && let Some(value) = parse_value(text, place)
    {
        return value;
    }
    Value::Loose(text.to_owned())
}

/// One TOML value, if `text` is one.
pub(super) fn parse_value(text: &str, place: &Place) -> Option<Value> {
    let line = format!("value = {text}");
    let source = Source { text: &line, path: Path::new("").into() };
    let mut table = source.table(DeTable::parse(&line).ok()?.into_inner());
    let mut node = (table.len() == 1).then(|| table.remove("value"))??.node;
    move_to(&mut node, place);
    Some(node.value)
}

fn move_to(node: &mut Node, place: &Place) {
    node.place = place.clone();
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(|item| move_to(item, place)),
        Value::Table(table) => table.values_mut().for_each(|entry| {
            entry.key_place = place.clone();
            move_to(&mut entry.node, place);
        }),
        Value::Text(_)
        | Value::Integer(_)
        | Value::Float(_)
        | Value::Flag(_)
        | Value::Moment
        | Value::Loose(_) => {}
    }
}

//! Reading values by key: each read says what the key takes, and so makes it known.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use web::Takes;

use super::fault::{Fault, Place, Wrong};
use super::nearest::nearest;
use super::tree::{Entry, Node, Table, Value, parse_value};

/// Collects what was asked for and what was wrong.
#[derive(Debug, Default)]
pub(super) struct Desk {
    asked: RefCell<BTreeMap<String, Takes>>,
    faults: RefCell<Vec<Fault>>,
    notes: RefCell<Vec<Fault>>,
}

impl Desk {
    pub(super) fn root<'a>(&'a self, table: &'a Table) -> Section<'a> {
        Section { desk: self, table: Some(table), path: String::new(), place: Place::Default }
    }

    /// Every key that was asked for, lists of tables as `sources[].name`.
    pub(super) fn asked(&self) -> BTreeMap<String, Takes> {
        self.asked.borrow().clone()
    }

    /// Says of every key in `table` that nobody asked for that it is unknown.
    pub(super) fn find_unknown(&self, table: &Table) {
        self.find_unknown_below(table, "");
    }

    fn find_unknown_below(&self, table: &Table, path: &str) {
        for (key, entry) in table {
            let dotted = join(path, key);
            if !self.asked.borrow().contains_key(&schema(&dotted)) {
                let known = self.asked.borrow().keys().cloned().collect();
                let meant = nearest(&schema(&dotted), &known);
                self.faults.borrow_mut().push(Fault {
                    place: entry.key_place.clone(),
                    key: dotted,
                    wrong: Wrong::UnknownKey,
                    allowed: None,
                    meant,
                });
                continue;
            }
            match &entry.node.value {
                Value::Table(inner) => self.find_unknown_below(inner, &dotted),
                Value::List(items) => {
                    for (index, item) in items.iter().enumerate() {
                        if let Value::Table(inner) = &item.value {
                            self.find_unknown_below(inner, &format!("{dotted}[{index}]"));
                        }
                    }
                }
                Value::Text(_)
                | Value::Integer(_)
                | Value::Float(_)
                | Value::Flag(_)
                | Value::Moment
                | Value::Loose(_) => {}
            }
        }
    }

    pub(super) fn into_parts(self) -> (Vec<Fault>, Vec<Fault>) {
        (self.faults.into_inner(), self.notes.into_inner())
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// `sources[3].name` to `sources[].name`.
fn schema(path: &str) -> String {
    let mut inside = false;
    path.chars()
        .filter(|&letter| {
            inside = (inside && letter != ']') || letter == '[';
            !inside || letter == '['
        })
        .collect()
}

/// One table of the configuration, present or not.
#[derive(Debug)]
pub(super) struct Section<'a> {
    desk: &'a Desk,
    table: Option<&'a Table>,
    path: String,
    place: Place,
}

/// A value that was read, with its place for later complaints.
#[derive(Clone, Debug)]
pub(super) struct Placed<T> {
    pub(super) value: T,
    pub(super) place: Place,
    pub(super) key: String,
}

impl<'a> Section<'a> {
    fn entry(&self, key: &str, takes: Takes) -> Option<&'a Entry> {
        let mut asked = self.desk.asked.borrow_mut();
        // A choice is read as a text: what was said of it first says more.
        let known = asked.entry(schema(&join(&self.path, key))).or_insert_with(|| takes.clone());
        if matches!(known, Takes::Text(None)) {
            *known = takes;
        }
        self.table?.get(key)
    }

    /// Where `key` stands, or would by default.
    pub(super) fn place(&self, key: &str) -> Place {
        let entry = self.table.and_then(|table| table.get(key));
        entry.map_or(Place::Default, |entry| entry.node.place.clone())
    }

    pub(super) fn fault(&self, key: &str, wrong: Wrong, allowed: Option<&str>) {
        self.fault_at(self.place(key), join(&self.path, key), wrong, allowed);
    }

    pub(super) fn fault_at(&self, place: Place, key: String, wrong: Wrong, allowed: Option<&str>) {
        let allowed = allowed.map(str::to_owned);
        self.desk.faults.borrow_mut().push(Fault { place, key, wrong, allowed, meant: None });
    }

    pub(super) fn note(&self, key: &str, wrong: Wrong) {
        self.note_at(self.place(key), join(&self.path, key), wrong);
    }

    pub(super) fn note_at(&self, place: Place, key: String, wrong: Wrong) {
        let fault = Fault { place, key, wrong, allowed: None, meant: None };
        self.desk.notes.borrow_mut().push(fault);
    }

    fn wrong_kind(&self, key: &str, found: &Value, wanted: &'static str, allowed: &str) {
        self.fault(key, Wrong::Kind { found: found.kind(), wanted }, Some(allowed));
    }

    /// The table under `key`; an absent one reads as empty.
    pub(super) fn section(&self, key: &str) -> Self {
        let entry = self.entry(key, Takes::Table);
        let table = match entry.map(|entry| &entry.node.value) {
            None => None,
            Some(Value::Table(table)) => Some(table),
            Some(other) => {
                let wrong = Wrong::Kind { found: other.kind(), wanted: "a table" };
                self.fault(key, wrong, None);
                None
            }
        };
        let place = entry.map_or(Place::Default, |entry| entry.node.place.clone());
        Section { desk: self.desk, table, path: join(&self.path, key), place }
    }

    /// The list of tables under `key`. With none there, `keys` makes its keys known all the same.
    pub(super) fn sections(&self, key: &str, keys: &[&str]) -> Vec<Self> {
        for known in keys {
            let path = join(&self.path, &format!("{key}[].{known}"));
            self.desk.asked.borrow_mut().entry(path).or_insert(Takes::Text(None));
        }
        let Some(entry) = self.entry(key, Takes::Tables) else { return Vec::new() };
        let Value::List(items) = &entry.node.value else {
            let wrong = Wrong::Kind { found: entry.node.value.kind(), wanted: "a list of tables" };
            self.fault(key, wrong, None);
            return Vec::new();
        };
        let mut sections = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let path = format!("{}[{index}]", join(&self.path, key));
            if let Value::Table(table) = &item.value {
                let place = item.place.clone();
                sections.push(Section { desk: self.desk, table: Some(table), path, place });
            } else {
                let wrong = Wrong::Kind { found: item.value.kind(), wanted: "a table" };
                self.fault_at(item.place.clone(), path, wrong, None);
            }
        }
        sections
    }

    /// True or false.
    pub(super) fn flag(&self, key: &str, default: bool) -> bool {
        let Some(entry) = self.entry(key, Takes::Flag) else { return default };
        let value = settle(&entry.node);
        let Value::Flag(flag) = value else {
            self.wrong_kind(key, &value, "true or false", "true, false");
            return default;
        };
        flag
    }

    /// A whole number in `range`.
    pub(super) fn integer<T>(&self, key: &str, default: T, range: RangeInclusive<T>) -> T
    where
        T: TryFrom<i64> + PartialOrd + std::fmt::Display,
    {
        let takes = Takes::Integer(range.start().to_string(), range.end().to_string());
        let Some(entry) = self.entry(key, takes) else { return default };
        let allowed = format!("{} to {}", range.start(), range.end());
        let value = settle(&entry.node);
        let Value::Integer(number) = value else {
            self.wrong_kind(key, &value, "a whole number", &allowed);
            return default;
        };
        if let Some(fitting) = T::try_from(number).ok().filter(|fitting| range.contains(fitting)) {
            return fitting;
        }
        self.fault(key, Wrong::NotAllowed(number.to_string()), Some(&allowed));
        default
    }

    /// A number in `range`, with or without a point.
    pub(super) fn number(&self, key: &str, default: f64, range: RangeInclusive<f64>) -> f64 {
        let takes = Takes::Number(*range.start(), *range.end());
        let Some(entry) = self.entry(key, takes) else { return default };
        let allowed = format!("{:?} to {:?}", range.start(), range.end());
        let value = settle(&entry.node);
        let Some(number) = value.as_number() else {
            self.wrong_kind(key, &value, "a number", &allowed);
            return default;
        };
        if range.contains(&number) {
            return number;
        }
        self.fault(key, Wrong::NotAllowed(number.to_string()), Some(&allowed));
        default
    }

    /// A text, if the key is there and is one.
    pub(super) fn text(&self, key: &str) -> Option<Placed<String>> {
        let entry = self.entry(key, Takes::Text(None))?;
        let text = as_text(&entry.node);
        if text.is_none() {
            let wrong = Wrong::Kind { found: entry.node.value.kind(), wanted: "text in quotes" };
            self.fault(key, wrong, None);
        }
        let place = entry.node.place.clone();
        Some(Placed { value: text?, place, key: join(&self.path, key) })
    }

    /// A text that must be there.
    pub(super) fn required(&self, key: &str) -> Option<Placed<String>> {
        if self.table.is_some_and(|table| !table.contains_key(key)) {
            self.missing(key, None);
        }
        self.text(key)
    }

    /// Whether the key stands in it.
    pub(super) fn is_set(&self, key: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(key))
    }

    /// Says that a key must be there and is not.
    pub(super) fn missing(&self, key: &str, allowed: Option<&str>) {
        self.fault_at(self.place.clone(), join(&self.path, key), Wrong::Missing, allowed);
    }

    /// A text that `parse` understands.
    pub(super) fn parsed<T>(
        &self,
        key: &str,
        allowed: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        self.entry(key, Takes::Text(Some(allowed.to_owned())));
        let text = self.text(key)?;
        let value = parse(&text.value);
        if value.is_none() {
            self.fault(key, Wrong::NotAllowed(format!("{:?}", text.value)), Some(allowed));
        }
        value
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(&self, key: &str, default: T, choices: &[(&str, T)]) -> T {
        let find = |text: &str| {
            choices
                .iter()
                .find(|(word, _)| word.eq_ignore_ascii_case(text))
                .map(|&(_, value)| value)
        };
        self.entry(key, Takes::Choice(word_list(choices)));
        self.parsed(key, &words(choices), find).unwrap_or(default)
    }

    /// Some of a few words, at least one.
    pub(super) fn choices<T: Copy + Ord>(
        &self,
        key: &str,
        default: &[T],
        choices: &[(&str, T)],
    ) -> BTreeSet<T> {
        let allowed = words(choices);
        self.entry(key, Takes::Choices(word_list(choices)));
        let Some(texts) = self.texts(key) else { return default.iter().copied().collect() };
        let by_word: BTreeMap<_, _> = choices.iter().copied().collect();
        let mut found = BTreeSet::new();
        for text in &texts {
            match by_word.get(text.value.to_ascii_lowercase().as_str()) {
                Some(&value) => {
                    found.insert(value);
                }
                None => {
                    let wrong = Wrong::NotAllowed(format!("{:?}", text.value));
                    self.fault_at(text.place.clone(), text.key.clone(), wrong, Some(&allowed));
                }
            }
        }
        if texts.is_empty() {
            self.fault(key, Wrong::Empty, Some(&allowed));
        }
        found
    }

    /// A list of texts; a single text is a list of one. From the environment, commas divide.
    pub(super) fn texts(&self, key: &str) -> Option<Vec<Placed<String>>> {
        let entry = self.entry(key, Takes::Texts)?;
        let dotted = join(&self.path, key);
        let place = entry.node.place.clone();
        match &entry.node.value {
            Value::List(items) => Some(
                (0..)
                    .zip(items)
                    .filter_map(|(index, item)| self.item(item, format!("{dotted}[{index}]")))
                    .collect(),
            ),
            Value::Text(text) => Some(vec![Placed { value: text.clone(), place, key: dotted }]),
            Value::Loose(text) => {
                let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
                let placed = |part: &str| Placed {
                    value: part.to_owned(),
                    place: place.clone(),
                    key: dotted.clone(),
                };
                Some(parts.map(placed).collect())
            }
            Value::Integer(_)
            | Value::Float(_)
            | Value::Flag(_)
            | Value::Moment
            | Value::Table(_) => {
                let found = entry.node.value.kind();
                self.fault(key, Wrong::Kind { found, wanted: "a list of texts" }, None);
                None
            }
        }
    }

    fn item(&self, item: &Node, key: String) -> Option<Placed<String>> {
        let place = item.place.clone();
        if let Some(value) = as_text(item) {
            return Some(Placed { value, place, key });
        }
        let wrong = Wrong::Kind { found: item.value.kind(), wanted: "text in quotes" };
        self.fault_at(place, key, wrong, None);
        None
    }
}

fn words<T>(choices: &[(&str, T)]) -> String {
    word_list(choices).join(", ")
}

fn word_list<T>(choices: &[(&str, T)]) -> Vec<String> {
    choices.iter().map(|(word, _)| (*word).to_owned()).collect()
}

/// What a loose text is when a number or flag is wanted.
fn settle(node: &Node) -> Value {
    let settled = match &node.value {
        Value::Loose(text) => parse_value(text, &node.place),
        Value::Text(_)
        | Value::Integer(_)
        | Value::Float(_)
        | Value::Flag(_)
        | Value::Moment
        | Value::List(_)
        | Value::Table(_) => None,
    };
    settled.unwrap_or_else(|| node.value.clone())
}

fn as_text(node: &Node) -> Option<String> {
    // Quotes round the whole of a loose text are TOML's; without them it is taken as it is.
    match (settle(node), &node.value) {
        (Value::Text(text), _) => Some(text),
        (_, Value::Loose(text)) => Some(text.clone()),
        _ => None,
    }
}

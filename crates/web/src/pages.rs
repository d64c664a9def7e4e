//! The pages.

pub(crate) mod administration;
pub(crate) mod assets;
pub(crate) mod captures;
pub(crate) mod config;
pub(crate) mod diagnostics;
pub(crate) mod events;
pub(crate) mod help;
pub(crate) mod mailboxes;
pub(crate) mod overview;
pub(crate) mod show;
pub(crate) mod sources;
pub(crate) mod status;
pub(crate) mod tools;

use serde::Deserialize;

use crate::accounts::{Role, Visitor};

pub(crate) use config::plain;

/// What every page has around it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame<'a> {
    pub(crate) title: &'a str,
    /// Where it stands among the others; empty outside.
    pub(crate) path: &'a str,
    pub(crate) visitor: Option<&'a Visitor>,
    /// Seconds after which the browser loads it anew.
    pub(crate) reload_seconds: Option<u32>,
}

/// One entry of the menu.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) path: &'static str,
    pub(crate) name: &'static str,
    pub(crate) role: Role,
}

/// The menu, in the order and with the names of the seeds' pages, then ours.
const MENU: &[(&str, &[Entry])] = &[
    ("", &[entry("/overview", "Overview")]),
    (
        "Status",
        &[
            entry("/status/about", "About"),
            entry("/status/server", "Server Status"),
            entry("/status/engine", "Audio Engine"),
            entry("/status/sources", "Sources"),
            Entry { path: "/status/voices", name: "Voices", role: Role::Operator },
            entry("/events", "Events"),
            Entry { path: "/diagnostics", name: "Diagnostics", role: Role::Operator },
            administrators("/captures", "Captures"),
            administrators("/mailboxes", "Mailboxes"),
        ],
    ),
    (
        "Config",
        &[
            administrators("/config/general", "General"),
            administrators("/config/audio", "Audio"),
            administrators("/config/mail", "Mail Server"),
            administrators("/config/external-audio", "External Audio"),
            administrators("/config/text-to-speech", "Text to Speech"),
            administrators("/administration", "Administration"),
            administrators("/config/server", "Server"),
            administrators("/config/history", "History"),
        ],
    ),
    (
        "Help",
        &[
            entry("/help/troubleshooting", "Troubleshooting"),
            entry("/help/glossary", "Glossary"),
            entry("/help/operating", "Operating"),
            entry("/help/api", "API"),
        ],
    ),
];

const fn administrators(path: &'static str, name: &'static str) -> Entry {
    Entry { path, name, role: Role::Administrator }
}

const fn entry(path: &'static str, name: &'static str) -> Entry {
    Entry { path, name, role: Role::Viewer }
}

impl<'a> Frame<'a> {
    /// A page for somebody who is not known yet.
    pub(crate) const fn outside(title: &'a str) -> Self {
        Self { title, path: "", visitor: None, reload_seconds: None }
    }

    pub(crate) const fn inside(title: &'a str, path: &'a str, visitor: &'a Visitor) -> Self {
        Self { title, path, visitor: Some(visitor), reload_seconds: None }
    }

    /// The groups of the menu that this visitor may enter.
    pub(crate) fn menu(&self) -> Vec<(&'static str, Vec<Entry>)> {
        let Some(visitor) = self.visitor else { return Vec::new() };
        let may = |entries: &[Entry]| -> Vec<Entry> {
            entries.iter().filter(|entry| visitor.role >= entry.role).copied().collect()
        };
        let groups = MENU.iter().map(|(name, entries)| (*name, may(entries)));
        groups.filter(|(_, entries)| !entries.is_empty()).collect()
    }

    /// Whether it is an administrator who looks.
    pub(crate) fn is_administrators(&self) -> bool {
        self.visitor.is_some_and(|visitor| visitor.role == Role::Administrator)
    }

    /// Whether the page, or one below it, is open.
    pub(crate) fn is_in(&self, path: &str) -> bool {
        self.path.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// The address of a style or script.
    pub(crate) fn asset(&self, name: &str) -> String {
        assets::address(name)
    }
}

/// How a page keeps up: `live` (by itself), every 10 s by loading it anew, or not at all.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Refresh {
    #[default]
    Live,
    #[serde(rename = "10")]
    TenSeconds,
    Off,
}

impl Refresh {
    pub(crate) const fn seconds(self) -> Option<u32> {
        match self {
            Self::TenSeconds => Some(10),
            Self::Live | Self::Off => None,
        }
    }

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::TenSeconds => "10",
            Self::Off => "off",
        }
    }
}

/// What a page of a list is asked with.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Listing {
    #[serde(default)]
    pub(crate) refresh: Refresh,
    /// Rows that contain this, in any case.
    #[serde(default)]
    pub(crate) q: String,
    /// Rows after this key, in the order of the page.
    pub(crate) after: Option<u64>,
}

impl Listing {
    /// The same list at another place, as the query of an address.
    pub(crate) fn query(&self, after: Option<u64>) -> String {
        let mut query = format!("refresh={}", self.refresh.as_str());
        if !self.q.is_empty() {
            query.push_str(&format!("&q={}", crate::guard::encode(&self.q)));
        }
        if let Some(after) = after {
            query.push_str(&format!("&after={after}"));
        }
        query
    }
}

/// Rows of a list on one page.
pub(crate) const PAGE_ROWS: usize = 50;

/// The first second of a day, `2026-11-28`, since 1970.
#[must_use]
pub fn unix_of(day: &str) -> Option<u64> {
    let mut parts = day.splitn(3, '-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    show::seconds_of(year, month, day)
}

/// Seconds since 1970 as UTC: `2026-11-28 22:18:50`.
#[must_use]
pub fn utc(unix_seconds: u64) -> String {
    show::utc_of(&unix_seconds)
}

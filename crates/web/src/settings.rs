//! What can be changed of a server.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::accounts::Accounts;

/// The settings of a server, and who may change them.
pub trait Settings: Send + Sync + 'static {
    /// Who may come in.
    fn accounts(&self) -> Arc<Accounts>;

    /// How long somebody who does nothing stays logged in.
    fn idle_max(&self) -> Duration;

    /// Notes who did what, for the audit.
    fn audit(&self, who: &str, what: &str, detail: &str);

    /// What was done and by whom, the oldest first.
    fn audited(&self) -> Vec<Audited>;

    /// Every key with its value, as the file and what is laid over it have them now.
    fn fields(&self) -> Vec<Field>;

    /// The keys of one entry of a list of tables, none of them set.
    fn blank(&self, list: &str) -> Vec<(String, Field)>;

    /// What would differ from the settings in use after these changes; nothing is changed.
    ///
    /// # Errors
    /// All that is wrong with the settings as they would be.
    fn propose(
        &self,
        changes: &[Change],
    ) -> impl Future<Output = Result<Proposal, Vec<FieldFault>>> + Send;

    /// Makes changes: checks, writes, notes them in the history, and puts to use what can be without a
    /// restart. `base` is the [`Proposal::base`] that was looked at; `None` takes whatever is there.
    ///
    /// # Errors
    /// As [`Self::propose`]; or the settings have changed since, or cannot be written. Then nothing is.
    fn apply(
        &self,
        changes: &[Change],
        base: Option<&str>,
        who: &str,
    ) -> impl Future<Output = Result<Applied, Vec<FieldFault>>> + Send;

    /// Reads the file again and puts to use what can be without a restart.
    ///
    /// # Errors
    /// All that is wrong with it; then the last good settings stay in use.
    fn reload(&self, who: &str) -> impl Future<Output = Result<Applied, Vec<FieldFault>>> + Send;

    /// Earlier settings, the youngest first.
    fn revisions(&self) -> Vec<Revision>;

    /// The text of an earlier revision, without secrets; `None` when it is not kept any more.
    fn revision_text(&self, number: u64) -> Option<String>;

    /// What would differ if an earlier revision were brought back.
    ///
    /// # Errors
    /// All that is wrong with it, or it is not kept.
    fn restoring(
        &self,
        number: u64,
    ) -> impl Future<Output = Result<Vec<Difference>, Vec<FieldFault>>> + Send;

    /// Brings an earlier revision back. Who may come in is left as it is now.
    ///
    /// # Errors
    /// As [`Self::apply`].
    fn restore(
        &self,
        number: u64,
        who: &str,
    ) -> impl Future<Output = Result<Applied, Vec<FieldFault>>> + Send;

    /// What of the settings waits for a restart, or is wrong in the file on the disk.
    fn pending(&self) -> Pending;
}

/// What a key takes, for whoever offers a choice of it.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Takes {
    /// Keys of its own.
    Table,
    /// Any number of tables.
    Tables,
    /// True or false.
    Flag,
    /// A whole number from the first to the second.
    Integer(String, String),
    /// A number from the first to the second.
    Number(f64, f64),
    /// One of these words.
    Choice(Vec<String>),
    /// Some of these words, at least one.
    Choices(Vec<String>),
    /// A text; what it may be is said in words.
    Text(Option<String>),
    /// A list of texts.
    Texts,
}

/// One key and its value.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Field {
    /// The key: `general.sip.port`, or `external_audio.sources[0].name` in a list of tables.
    pub key: String,
    /// What it means, in sentences.
    pub meaning: String,
    /// What it takes.
    pub takes: Takes,
    /// The default, as TOML writes it; in a list of tables an example.
    pub default: String,
    /// The value that is set, as TOML writes it; none for the default.
    pub value: Option<String>,
    /// Why pages do not change it, in words: where it is set, when it is not in the file that they change.
    pub pinned: Option<String>,
    /// A change is put to use at once; else with the next start.
    pub live: bool,
    /// It is not shown.
    pub secret: bool,
}

/// One change.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// Gives a key a value, as TOML writes it. An index one past the last makes an entry.
    Set {
        /// The key.
        key: String,
        /// Its value.
        value: String,
    },
    /// Gives a key its default.
    Unset {
        /// The key.
        key: String,
    },
    /// Removes an entry of a list of tables.
    Remove {
        /// `external_audio.sources[1]`.
        entry: String,
    },
}

/// One key that differs.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct Difference {
    /// The key.
    pub key: String,
    /// Its value before; none for the default.
    pub before: Option<String>,
    /// Its value after; none for the default.
    pub after: Option<String>,
    /// It is put to use at once; else with the next start.
    pub live: bool,
}

impl Difference {
    /// What stands for no value: a key of its own has its default then, an entry of a list is not there.
    #[must_use]
    pub fn nothing(&self) -> &'static str {
        if self.key.contains('[') { "(none)" } else { "(default)" }
    }
}

/// What changes would do.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Proposal {
    /// Names the settings that the changes were laid over.
    pub base: String,
    /// What would differ.
    pub differences: Vec<Difference>,
    /// What is strange and works all the same.
    pub notes: Vec<String>,
}

/// What was done.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct Applied {
    /// The number of the settings now in use.
    pub revision: u64,
    /// What differs from those before.
    pub differences: Vec<Difference>,
    /// Keys that wait for a restart.
    pub waiting: Vec<String>,
}

/// What is wrong with a key, or with the settings as a whole.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, ToSchema)]
pub struct FieldFault {
    /// The key; empty for the whole.
    pub key: String,
    /// What is wrong, and what would be right.
    pub what: String,
}

/// Settings that were in use.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct Revision {
    /// Its number, counted up from 1.
    pub number: u64,
    /// Since when, in seconds since 1970.
    pub at_unix_seconds: u64,
    /// Who made them.
    pub who: String,
    /// How: `found`, `changed`, `edited by hand`, `restored 3`.
    pub how: String,
    /// The keys that differ from the revision before.
    pub keys: Vec<String>,
}

/// What of the settings is not in use.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, ToSchema)]
pub struct Pending {
    /// The number of the settings in use.
    pub revision: u64,
    /// Keys that wait for a restart.
    pub waiting: Vec<String>,
    /// What is wrong with the file on the disk; the settings before it are in use.
    pub faults: Vec<FieldFault>,
}

/// Something that somebody did.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct Audited {
    /// When, in seconds since 1970.
    pub at_unix_seconds: u64,
    /// Who.
    pub who: String,
    /// What.
    pub what: String,
    /// More of it.
    pub detail: String,
}

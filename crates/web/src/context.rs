//! What all handlers share.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::http::StatusCode;

use crate::accounts::{Checker, Role, Visitor};
use crate::guard::{Peer, Proof};
use crate::live::Cached;
use crate::pages;
use crate::sessions::{Guessers, Sessions};
use crate::settings::{Change, Field, FieldFault, Settings};
use crate::view::{Device, Looks, View};

/// How the pages are served.
#[derive(Clone, Debug)]
pub struct Options {
    /// The file of the one-time link. See [`crate::make_setup_link`].
    pub setup_file: PathBuf,
    /// Whether browsers come by TLS, so that cookies may insist on it.
    pub secure: bool,
}

/// What all handlers share.
#[derive(Debug)]
pub(crate) struct Web<V> {
    pub(crate) view: Arc<V>,
    pub(crate) options: Options,
    pub(crate) sessions: Sessions,
    pub(crate) guessers: Guessers,
    pub(crate) checker: Checker,
    pub(crate) looks: Cached<Looks>,
    asking: tokio::sync::Mutex<()>,
    sounds: Mutex<VecDeque<(u64, Arc<Vec<u8>>)>>,
    began: Instant,
}

/// How old a look at all calls may be before the server is asked again: many viewers cost it one question.
const LOOKS: Duration = Duration::from_millis(250);
/// Sounds that are kept for the page that asks next: some megabytes at most.
const SOUNDS_MAX: usize = 20;
/// Times that a change is tried when somebody else was faster.
const TRIES: usize = 5;
/// The list of people.
pub(crate) const USERS: &str = "administration.users";
/// How long the server may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

impl<V: View + Settings> Web<V> {
    #[expect(clippy::disallowed_methods, reason = "this is a shell crate's clock")]
    pub(crate) fn new(view: Arc<V>, options: Options) -> Self {
        Self {
            view,
            options,
            sessions: Sessions::default(),
            guessers: Guessers::default(),
            checker: Checker::new(),
            looks: Cached::new(LOOKS),
            asking: tokio::sync::Mutex::default(),
            sounds: Mutex::default(),
            began: Instant::now(),
        }
    }

    /// The time since the start, which nobody can set back.
    pub(crate) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Who has this name and password.
    ///
    /// # Errors
    /// How long to wait, after too many failures.
    pub(crate) async fn try_password(
        &self,
        peer: Peer,
        name: &str,
        password: &str,
    ) -> Result<Option<Visitor>, Duration> {
        self.guessers.try_now(peer.ip(), name, self.now())?;
        let accounts = self.view.accounts();
        let account = accounts.user(name);
        if !self.checker.check(account, password).await {
            let name: String = name.chars().take(64).collect();
            tracing::warn!(target: "audit", user = ?name, from = %peer.ip(), "log-in refused");
            // Whoever tries without end shall not fill the audit: the 1st, 2nd, 4th, 8th … of an address is noted.
            let failures = self.guessers.failures(peer.ip());
            if failures.is_power_of_two() && self.guessers.has_room_to_tell(self.now()) {
                let detail = format!("from {}, {failures} in a row", peer.ip());
                self.view.audit(&name, "log-in refused", &detail);
            }
            return Ok(None);
        }
        self.guessers.right(peer.ip(), name);
        Ok(account.map(|account| Visitor { name: account.name.clone(), role: account.role }))
    }

    /// Makes changes that depend on what is there, such as where an entry stands: `changes` is asked again when
    /// somebody else was faster.
    ///
    /// # Errors
    /// What `changes` says, or why the settings are not taken.
    pub(crate) async fn change(
        &self,
        who: &str,
        changes: impl Fn(&[Field]) -> Result<Vec<Change>, String>,
    ) -> Result<(), String> {
        let mut last = String::new();
        for _ in 0..TRIES {
            // The name of the settings comes first: what is read after it is as it says, or refused.
            let base = match self.view.propose(&[]).await {
                Ok(proposal) => proposal.base,
                Err(faults) => return Err(words(&faults)),
            };
            let changes = changes(&self.view.fields())?;
            match self.view.apply(&changes, Some(&base), who).await {
                Ok(_) => return Ok(()),
                Err(faults) => last = words(&faults),
            }
        }
        Err(last)
    }

    /// Lets somebody come in with this password. Who is there already gets the new password and role.
    ///
    /// # Errors
    /// When the settings would be wrong, or cannot be written.
    pub(crate) async fn set_account(
        &self,
        name: &str,
        role: Role,
        password_hash: &str,
        who: &str,
    ) -> Result<(), String> {
        self.change(who, |fields| {
            let names = names_in(fields, USERS);
            let at = names.iter().position(|known| known == name).unwrap_or(names.len());
            let set = |key: &str, value: &str| Change::Set {
                key: format!("{USERS}[{at}].{key}"),
                value: toml_text(value),
            };
            Ok(vec![
                set("name", name),
                set("role", role.as_str()),
                set("password_hash", password_hash),
            ])
        })
        .await
    }

    /// Whether whoever opened a page may still look at it.
    pub(crate) fn still(&self, proof: &Proof) -> bool {
        match proof {
            Proof::Session(id) => {
                let (accounts, idle_max) = (self.view.accounts(), self.view.idle_max());
                self.sessions.visitor(id, &accounts, idle_max, (self.now(), false)).is_some()
            }
            // It lasts no longer than the connection.
            Proof::Header | Proof::Basic => true,
        }
    }

    /// The devices of the host. One question at a time: each opens every device for a moment.
    ///
    /// # Errors
    /// Why they cannot be told, with the status that says so.
    pub(crate) async fn devices(self: &Arc<Self>) -> Result<Vec<Device>, (StatusCode, String)> {
        let Ok(_asking) = self.asking.try_lock() else {
            let why = "the devices are being asked for already".to_owned();
            return Err((StatusCode::TOO_MANY_REQUESTS, why));
        };
        // The sound server is asked, and every device listened to: that takes a second.
        let web = Arc::clone(self);
        match tokio::task::spawn_blocking(move || web.view.devices()).await {
            Ok(Ok(devices)) => Ok(devices),
            Ok(Err(why)) => Err((StatusCode::BAD_GATEWAY, why)),
            Err(_) => {
                let why = "the devices could not be asked for".to_owned();
                Err((StatusCode::INTERNAL_SERVER_ERROR, why))
            }
        }
    }

    /// Keeps a sound for a moment, for the page that asks for it next.
    pub(crate) fn keep_sound(&self, wav: Vec<u8>) -> u64 {
        let mut sounds = self.sounds.lock().unwrap_or_else(PoisonError::into_inner);
        let number = sounds.back().map_or(1, |(number, _)| number + 1);
        if sounds.len() == SOUNDS_MAX {
            sounds.pop_front();
        }
        sounds.push_back((number, Arc::new(wav)));
        number
    }

    /// A sound that was kept.
    pub(crate) fn sound(&self, number: u64) -> Option<Arc<Vec<u8>>> {
        let sounds = self.sounds.lock().unwrap_or_else(PoisonError::into_inner);
        sounds.iter().find(|(known, _)| *known == number).map(|(_, wav)| Arc::clone(wav))
    }

    /// Every call and engine, at most a moment old; `None` when the server is ending.
    pub(crate) async fn looks(&self) -> Option<Arc<Looks>> {
        let ask = tokio::time::timeout(PATIENCE, self.looks.get(|| self.view.looks()));
        ask.await.ok().flatten()
    }
}

/// The names in a list of tables, in its order.
pub(crate) fn names_in(fields: &[Field], list: &str) -> Vec<String> {
    let start = format!("{list}[");
    let named = |field: &&Field| field.key.starts_with(&start) && field.key.ends_with("].name");
    let names = fields.iter().filter(named);
    names.map(|field| pages::plain(field.value.as_deref().unwrap_or_default())).collect()
}

/// Faults in one sentence.
pub(crate) fn words(faults: &[FieldFault]) -> String {
    let words = faults.iter().map(|fault| format!("{} {}", fault.key, fault.what));
    words.collect::<Vec<_>>().join("; ").trim().to_owned()
}

/// The time since 1970.
#[expect(clippy::disallowed_methods, reason = "this is a shell crate's clock")]
pub(crate) fn wall() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// A text as TOML writes it: a basic string.
pub(crate) fn toml_text(text: &str) -> String {
    let mut written = String::with_capacity(text.len() + 2);
    written.push('"');
    for letter in text.chars() {
        match letter {
            '"' => written.push_str("\\\""),
            '\\' => written.push_str("\\\\"),
            '\n' => written.push_str("\\n"),
            control if control.is_control() => {
                written.push_str(&format!("\\u{:04X}", u32::from(control)));
            }
            letter => written.push(letter),
        }
    }
    written.push('"');
    written
}

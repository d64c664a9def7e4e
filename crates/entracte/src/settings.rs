//! The settings of a running server: read, changed by people and pages alike, kept with their history,
//! put to use without dropping a call.
//!
//! There is one file. A page changes it as a person would ([`document`]), the result is checked like any
//! other before it is written, and every text that was in use is kept ([`history`]). What of a change can
//! be used at once is: [`LIVE`] names those keys; the others wait for the next start, and are told.

pub mod archive;
mod check;
mod document;
mod history;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use control::playout::Defaults;
use tokio::sync::mpsc;
use web::{Applied, Change, Difference, Field, FieldFault, Pending, Proposal, Revision, Takes};

use crate::captures::Captures;
use crate::certificates::Certificates;
use crate::clock::wall;
use crate::config::{Faults, Layers, Place, Plan, references};
use crate::serve;
use crate::services::Services;
use crate::wiring::Event;
use check::{Checker, Ready};
use history::History;
pub use history::{make_private, write_atomically};

/// Keys, or the tables they are in, that are used as soon as they change.
pub const LIVE: &[&str] = &[
    "administration",
    "audio.default_prosody_rate",
    "audio.default_prosody_volume",
    "captures",
    "external_audio",
    "general.mrcp.max_sessions",
    "http.certificate",
    "http.key",
    "log.areas",
    "log.level",
    "text_to_speech.default_rate",
];

/// Keys that make the server run programs or send away what is in a file: whoever may only come in by a
/// page shall not set them.
const FILE_ONLY: &[&str] = &[
    "hep.key_file",
    "http.certificate",
    "http.key",
    "mail.relays[].ca_file",
    "mail.relays[].password_file",
    "mail.servers[].ca_file",
    "mail.servers[].password_file",
    "media.ffmpeg",
    "text_to_speech.helper_path",
    "text_to_speech.providers[].arguments",
    "text_to_speech.providers[].key_file",
    "text_to_speech.providers[].program",
    "webhooks[].secret_file",
];

/// Why a page does not change where a secret is sent.
const BOUND: &str = "goes with a program or key file: set in the configuration file only";
/// Keys whose values are shown to nobody.
const SECRET: &[&str] = &[
    "administration.users[].password_hash",
    "administration.tokens[].sha256",
    "mail.services[].password_hash",
];
/// What is shown in their place.
const HIDDEN: &str = "\"(hidden)\"";

/// A configuration file that sets what `text` does, with who may come in as `now` has it, unless `text` says so
/// itself.
///
/// # Errors
/// When one of them is no TOML.
pub fn with_accounts(text: &str, now: &str) -> Result<String, String> {
    document::with_accounts_of(text, now, document::Accounts::WhereNone)
        .map_err(|error| error.to_string())
}

/// What differs between two readings of settings.
#[must_use]
pub fn difference(before: &Layers, after: &Layers) -> Vec<Difference> {
    differences(&values(before), &values(after))
}

/// Everything that is set, without what is secret unless that is wanted.
#[must_use]
pub fn all_values(layers: &Layers, secrets: bool) -> archive::Values {
    let mut all = values(layers);
    let hidden = |key: &String| {
        ["administration.users[", "administration.tokens["].iter().any(|list| key.starts_with(list))
    };
    all.retain(|key, _| secrets || !hidden(key));
    all
}

/// What somebody is told whose look at the settings is too old.
const MEANWHILE: &str = "somebody else has changed the settings meanwhile; look at them again";

/// Whether a key is used as soon as it changes.
#[must_use]
pub fn is_live(key: &str) -> bool {
    LIVE.iter().any(|live| {
        key.strip_prefix(live).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    })
}

/// What a change is put to use in.
#[derive(Debug)]
pub struct Running {
    /// Where audio comes from.
    pub services: Arc<Services>,
    /// The control loop.
    pub events: mpsc::Sender<Event>,
    /// What pages are served with, if by TLS.
    pub certificates: Option<Arc<Certificates>>,
    /// The captures.
    pub captures: Captures,
}

/// The settings of a running server.
#[derive(Debug)]
pub struct Keeper {
    checker: Arc<Checker>,
    history: Option<History>,
    running: Running,
    /// One change at a time.
    changing: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    plan: Arc<Plan>,
    /// What the server started with: what is not live is still that.
    started: Values,
    /// What is in use, or waits for a restart.
    values: Values,
    revision: u64,
    faults: Vec<FieldFault>,
}

type Values = BTreeMap<String, String>;

impl Keeper {
    /// Keeps the settings of a server that starts with `plan`, as `layers` say it.
    pub fn new(layers: Layers, plan: Arc<Plan>, running: Running) -> Self {
        let history = History::open(plan.state_dir.join("settings-history"));
        let history = history.inspect_err(|error| tracing::warn!(%error, "no history of settings"));
        let standing = values(&layers);
        let certificates = running.certificates.clone();
        let checker = Checker { layers, started: Arc::clone(&plan), certificates };
        let state = State {
            plan,
            started: standing.clone(),
            values: standing,
            revision: 0,
            faults: Vec::new(),
        };
        let keeper = Self {
            checker: Arc::new(checker),
            history: history.ok(),
            running,
            changing: tokio::sync::Mutex::default(),
            state: Mutex::new(state),
        };
        let text = keeper.checker.text().unwrap_or_default();
        // What somebody changed while the server was down.
        let before = keeper.history.as_ref().and_then(History::last).map(|(_, text)| text);
        let before = before.map(|text| values(&keeper.checker.layers_with(&text)));
        let differ = before.map(|before| differences(&before, &keeper.lock().values));
        let keys: Vec<_> = differ.into_iter().flatten().map(|each| each.key).collect();
        let number = keeper.note(&text, "the server", "found at the start", &keys);
        keeper.lock().revision = number;
        keeper
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The settings in use, and those that wait for a restart.
    pub fn plan(&self) -> Arc<Plan> {
        Arc::clone(&self.lock().plan)
    }

    /// Keeps `text` in the history, unless it is the last there already; answers its number.
    fn note(&self, text: &str, who: &str, how: &str, keys: &[String]) -> u64 {
        let Some(history) = &self.history else { return 0 };
        let last = history.last();
        if let Some((number, kept)) = &last
            && kept == text
        {
            return *number;
        }
        let revision = Revision {
            number: 0,
            at_unix_seconds: wall().as_secs(),
            who: who.to_owned(),
            how: how.to_owned(),
            keys: keys.to_vec(),
        };
        history.add(text, revision).unwrap_or_else(|error| {
            tracing::error!(%error, "settings are in use and not kept in the history");
            last.map_or(0, |(number, _)| number)
        })
    }

    /// Every key with its value.
    pub fn fields(&self) -> Vec<Field> {
        let text = self.checker.text().unwrap_or_default();
        let values = self.checker.layers_with(&text).values();
        let bound = check::bound_to_file(&values);
        let takes = Plan::takes();
        let mut fields = Vec::new();
        for schema in keys_in_order() {
            for key in keys_of("", &schema, &values) {
                let blank = blank(&key, &schema, &takes);
                let value = values.get(&key);
                fields.push(Field {
                    value: value
                        .map(|(value, _)| if blank.secret { HIDDEN } else { value }.to_owned()),
                    pinned: value
                        .map_or_else(
                            || self.pinned_entry(&key, &values),
                            |(_, place)| self.checker.pinned(place),
                        )
                        .map(|place| format!("set at {place}"))
                        .or(blank.pinned)
                        .or_else(|| bound.contains(&key).then(|| BOUND.to_owned())),
                    ..blank
                });
            }
        }
        fields
    }

    /// The keys of one entry of a list of tables, none of them set.
    pub fn blank(list: &str) -> Vec<(String, Field)> {
        let takes = Plan::takes();
        let within = format!("{list}[].");
        let keys = keys_in_order().into_iter();
        keys.filter_map(|schema| {
            let key = schema.strip_prefix(&within)?.to_owned();
            Some((
                key.clone(),
                Field { default: "(new)".to_owned(), ..blank(&key, &schema, &takes) },
            ))
        })
        .collect()
    }

    /// Where an entry of a list stands, if pages cannot change it there: its keys stand together.
    fn pinned_entry(
        &self,
        key: &str,
        values: &BTreeMap<String, (String, Place)>,
    ) -> Option<String> {
        let (entry, _) = key.rsplit_once("].")?;
        let within = format!("{entry}].");
        let mut others = values.iter().filter(|(other, _)| other.starts_with(&within));
        others.find_map(|(_, (_, place))| self.checker.pinned(place))
    }

    /// The settings after `changes` to `text`, checked where one may wait.
    async fn changed(&self, text: String, changes: Vec<Change>) -> Result<Ready, Vec<FieldFault>> {
        let checker = Arc::clone(&self.checker);
        let checked = tokio::task::spawn_blocking(move || checker.changed(&text, &changes)).await;
        checked.unwrap_or_else(|_| Err(whole("the settings could not be checked")))
    }

    /// What `changes` would do to the settings in use.
    ///
    /// # Errors
    /// All that is wrong with the settings as they would be.
    pub async fn propose(&self, changes: &[Change]) -> Result<Proposal, Vec<FieldFault>> {
        let text = self.checker.text()?;
        let ready = self.changed(text.clone(), changes.to_vec()).await?;
        let mut notes: Vec<String> = ready.plan.notes.iter().map(ToString::to_string).collect();
        let mail = &ready.plan.mail;
        if let Some(root) = mail.root.clone().filter(|_| mail.store_enabled) {
            let shown = root.display().to_string();
            let probed = tokio::task::spawn_blocking(move || crate::mail::probe(&root)).await;
            notes.extend(probed.ok().flatten().map(|why| format!("mail.root = {shown}: {why}")));
        }
        Ok(Proposal {
            base: base(&text),
            differences: differences(&self.lock().values, &ready.values),
            notes,
        })
    }

    /// Makes changes, and puts to use what can be.
    ///
    /// # Errors
    /// All that is wrong; then nothing has changed.
    pub async fn apply(
        &self,
        changes: &[Change],
        wanted: Option<&str>,
        who: &str,
    ) -> Result<Applied, Vec<FieldFault>> {
        let _one = self.changing.lock().await;
        let text = self.checker.text()?;
        if wanted.is_some_and(|wanted| wanted != base(&text)) {
            return Err(whole(MEANWHILE));
        }
        let ready = self.changed(text.clone(), changes.to_vec()).await?;
        if ready.text == text && self.lock().values == ready.values {
            return Ok(self.applied(Vec::new()));
        }
        // What was there before is kept too, if a person had changed it by hand.
        self.note(&text, "somebody", "edited by hand", &[]);
        self.write(&ready.text)?;
        Ok(self.use_it(ready, who, "changed").await)
    }

    fn write(&self, text: &str) -> Result<(), Vec<FieldFault>> {
        if self.checker.layers.file.is_none() {
            return Err(whole("this server was started without a configuration file"));
        }
        let file = self.checker.file();
        write_atomically(file, text.as_bytes())
            .map_err(|error| whole(&format!("{} cannot be written: {error}", file.display())))
    }

    /// Reads the file again, and puts to use what can be.
    ///
    /// # Errors
    /// All that is wrong with it; then the last good settings stay in use.
    pub async fn reload(&self, who: &str) -> Result<Applied, Vec<FieldFault>> {
        let _one = self.changing.lock().await;
        let read = match self.checker.text() {
            Ok(text) => self.changed(text, Vec::new()).await,
            Err(faults) => Err(faults),
        };
        match read {
            Ok(ready) => Ok(self.use_it(ready, who, "edited by hand").await),
            Err(faults) => {
                for fault in &faults {
                    tracing::error!(key = fault.key, "settings not reloaded: {}", fault.what);
                }
                self.lock().faults.clone_from(&faults);
                Err(faults)
            }
        }
    }

    /// Puts settings to use, as far as they can be, and keeps their text. Nothing here can fail.
    async fn use_it(&self, ready: Ready, who: &str, how: &str) -> Applied {
        let Ready { text, plan, values, sources: (configs, settings), certificate } = ready;
        let differ = differences(&self.lock().values, &values);
        let keys: Vec<String> = differ.iter().map(|difference| difference.key.clone()).collect();
        let revision = self.note(&text, who, how, &keys);
        let plan = Arc::new(plan);
        {
            let mut state = self.lock();
            (state.plan, state.values) = (Arc::clone(&plan), values);
            state.revision = revision;
            state.faults.clear();
        }
        if let (Some(certificates), Some(certificate)) = (&self.running.certificates, certificate) {
            certificates.install(certificate);
        }
        let services = &self.running.services;
        let changing = Arc::clone(services);
        let runtime = tokio::runtime::Handle::current();
        let changed = tokio::task::spawn_blocking(move || {
            let _runtime = runtime.enter();
            changing.sources.change(configs, settings, revision)
        });
        match changed.await {
            Ok(Ok(())) => {}
            // Each was logged with its name, and its listeners hear the fallback.
            Ok(Err(error)) => tracing::error!(%error, "not every source could be started"),
            Err(error) => tracing::error!(%error, "the sources were not changed"),
        }
        let used = Used {
            catalog: services.catalog(),
            sessions_max: plan.general.mrcp.max_sessions,
            defaults: serve::defaults(&plan, services),
        };
        // The loop is gone at the server's end only.
        let _ = self.running.events.send(Event::Settings(Box::new(used))).await;
        crate::logging::set_level(&plan.log);
        self.running.captures.set(plan.captures);
        let applied = self.applied(differ);
        tracing::info!(target: "audit", who, revision, ?keys, waiting = ?applied.waiting, "settings changed");
        applied
    }

    fn applied(&self, differences: Vec<Difference>) -> Applied {
        let Pending { revision, waiting, .. } = self.pending();
        Applied { revision, differences, waiting }
    }

    /// What waits for a restart, and what is wrong with the file.
    pub fn pending(&self) -> Pending {
        let state = self.lock();
        let differ = differences(&state.started, &state.values);
        // A server that started without TLS has no use for another certificate.
        let plain = self.running.certificates.is_none();
        let unused = |key: &str| plain && ["http.certificate", "http.key"].contains(&key);
        let waiting =
            differ.into_iter().filter(|difference| !difference.live || unused(&difference.key));
        Pending {
            revision: state.revision,
            waiting: waiting.map(|difference| difference.key).collect(),
            faults: state.faults.clone(),
        }
    }

    /// Earlier settings, the youngest first.
    pub fn revisions(&self) -> Vec<Revision> {
        self.history.as_ref().map(History::revisions).unwrap_or_default()
    }

    /// The text of an earlier revision, without secrets.
    pub fn revision_text(&self, number: u64) -> Option<String> {
        Some(redact(&self.history.as_ref()?.text(number)?))
    }

    /// What would differ if an earlier revision were brought back.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub async fn restoring(&self, number: u64) -> Result<Vec<Difference>, Vec<FieldFault>> {
        let ready = self.earlier(number).await?;
        Ok(differences(&self.lock().values, &ready.values))
    }

    /// An earlier revision, with who may come in now.
    async fn earlier(&self, number: u64) -> Result<Ready, Vec<FieldFault>> {
        let kept = self.history.as_ref().and_then(|history| history.text(number));
        let kept =
            kept.ok_or_else(|| whole(&format!("revision {number} is not kept (any more)")))?;
        let text = self.checker.text()?;
        let restored = document::with_accounts_of(&kept, &text, document::Accounts::Always)
            .map_err(|error| vec![FieldFault { key: error.key, what: error.what }])?;
        self.changed(restored, Vec::new()).await
    }

    /// Brings an earlier revision back; who may come in stays as it is now.
    ///
    /// # Errors
    /// As [`Self::apply`].
    pub async fn restore(&self, number: u64, who: &str) -> Result<Applied, Vec<FieldFault>> {
        let _one = self.changing.lock().await;
        let ready = self.earlier(number).await?;
        let text = self.checker.text()?;
        self.note(&text, "somebody", "edited by hand", &[]);
        self.write(&ready.text)?;
        Ok(self.use_it(ready, who, &format!("restored {number}")).await)
    }
}

/// What the control loop is told of new settings.
#[derive(Debug)]
pub struct Used {
    /// What calls may ask for.
    pub catalog: control::capabilities::Catalog,
    /// Calls at one time.
    pub sessions_max: usize,
    /// Rate, volume and language where nothing else is said.
    pub defaults: Defaults,
}

fn values(layers: &Layers) -> Values {
    layers.values().into_iter().map(|(key, (value, _))| (key, value)).collect()
}

/// Every key, in the order in which the example configuration explains them.
fn keys_in_order() -> Vec<String> {
    let mut keys = Plan::keys();
    keys.sort_by_key(|key| references().get(key).map_or(usize::MAX, |reference| reference.at));
    keys
}

/// A key without a value.
fn blank(key: &str, schema: &str, takes: &BTreeMap<String, Takes>) -> Field {
    // Keys within a value are explained with it.
    let mut explained = schema;
    while !references().contains_key(explained)
        && let Some((above, _)) = explained.rsplit_once("[].")
    {
        explained = above;
    }
    let reference = references().get(explained);
    Field {
        key: key.to_owned(),
        meaning: reference.map(|reference| reference.meaning.clone()).unwrap_or_default(),
        takes: takes.get(schema).cloned().unwrap_or(Takes::Text(None)),
        default: reference.map(|reference| reference.default.clone()).unwrap_or_default(),
        value: None,
        pinned: FILE_ONLY
            .contains(&schema)
            .then(|| "set in the configuration file only".to_owned()),
        live: is_live(schema),
        secret: SECRET.contains(&schema),
    }
}

/// The keys that `rest` of a schema stands for behind `path`: one for each entry of its lists.
fn keys_of(path: &str, rest: &str, values: &BTreeMap<String, (String, Place)>) -> Vec<String> {
    let Some((list, rest)) = rest.split_once("[].") else { return vec![format!("{path}{rest}")] };
    let list = format!("{path}{list}[");
    let index = |key: &String| key.strip_prefix(&list)?.split_once(']')?.0.parse::<usize>().ok();
    let indices: BTreeSet<usize> = values.keys().filter_map(index).collect();
    indices.into_iter().flat_map(|at| keys_of(&format!("{list}{at}]."), rest, values)).collect()
}

fn differences(before: &Values, after: &Values) -> Vec<Difference> {
    let hidden = |key: &str, value: Option<&String>| {
        let secret = SECRET.contains(&schema(key).as_str());
        value.map(|value| if secret { HIDDEN } else { value }.to_owned())
    };
    let (before, after) = (&by_name(before), &by_name(after));
    let mut keys: Vec<&String> = before.keys().chain(after.keys()).collect();
    keys.sort();
    keys.dedup();
    let differ = keys.into_iter().filter(|key| before.get(*key) != after.get(*key));
    differ
        .map(|key| Difference {
            key: key.clone(),
            before: hidden(key, before.get(key)),
            after: hidden(key, after.get(key)),
            live: is_live(key),
        })
        .collect()
}

/// Entries of lists by their names instead of their numbers: one that goes shifts no others. `sources[0].uri`
/// becomes `sources["Radio"].uri`.
fn by_name(values: &Values) -> Values {
    let named = |key: &str| {
        let (list, rest) = key.split_once('[')?;
        let (number, rest) = rest.split_once(']')?;
        let name = values.get(&format!("{list}[{number}].name"))?;
        // However it is quoted in the file.
        let name: toml_edit::Value = name.parse().ok()?;
        let name = name.as_str()?;
        // A bracket in a name would end it here.
        (!name.contains(']')).then(|| format!("{list}[{name:?}]{rest}"))
    };
    let all = values.iter();
    all.map(|(key, value)| (named(key).unwrap_or_else(|| key.clone()), value.clone())).collect()
}

/// `sources[3].name` to `sources[].name`.
fn schema(key: &str) -> String {
    let mut schema = String::new();
    let mut rest = key;
    while let Some((before, after)) = rest.split_once('[') {
        schema.push_str(before);
        schema.push_str("[]");
        rest = after.split_once(']').map_or("", |(_, after)| after);
    }
    schema + rest
}

/// Names a text.
fn base(text: &str) -> String {
    let mut name = web::hex(&web::sha256(text.as_bytes()));
    name.truncate(16);
    name
}

fn whole(what: &str) -> Vec<FieldFault> {
    vec![FieldFault { key: String::new(), what: what.to_owned() }]
}

fn of_faults(faults: &Faults) -> Vec<FieldFault> {
    let fault = |fault: &crate::config::Fault| {
        let allowed = fault.allowed.as_ref().map(|allowed| format!("; allowed: {allowed}"));
        let what = format!("{}{}", fault.wrong, allowed.unwrap_or_default());
        let what = if fault.key.is_empty() { format!("{}: {what}", fault.place) } else { what };
        FieldFault { key: fault.key.clone(), what }
    };
    faults.faults().iter().map(fault).collect()
}

/// A text of settings without what is secret in it.
fn redact(text: &str) -> String {
    document::without(text, &["password_hash", "sha256"], "(hidden)").unwrap_or_else(|| {
        "# It cannot be read, and so not be shown without its secrets.\n".to_owned()
    })
}

/// Where the file of the one-time link is.
#[must_use]
pub fn setup_file(state_dir: &Path) -> PathBuf {
    state_dir.join("http").join("setup-link.json")
}

/// Where the secret is by which whoever may read the state folder is known to the server.
#[must_use]
pub fn local_token_file(state_dir: &Path) -> PathBuf {
    state_dir.join("http").join("local-token")
}

/// Where the address of the pages is for commands on this host. It is true until the next start, whatever
/// the configuration says meanwhile.
#[must_use]
pub fn url_file(state_dir: &Path) -> PathBuf {
    state_dir.join("http").join("url")
}

/// Tells commands on this host where the pages are, or that there are none.
///
/// # Errors
/// When it cannot be written.
pub fn tell_url(state_dir: &Path, url: Option<&str>) -> io::Result<()> {
    let file = url_file(state_dir);
    let Some(url) = url else {
        let gone = std::fs::remove_file(&file);
        return gone.or_else(|error| {
            if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
        });
    };
    if let Some(folder) = file.parent() {
        make_private(folder)?;
    }
    write_atomically(&file, url.as_bytes())
}

/// Makes the secret for commands on this host anew; answers its hash.
///
/// # Errors
/// When it cannot be written.
pub fn make_local_token(state_dir: &Path) -> io::Result<[u8; 32]> {
    let secret = web::random_secret().map_err(io::Error::other)?;
    let file = local_token_file(state_dir);
    if let Some(folder) = file.parent() {
        make_private(folder)?;
    }
    // A file of another owner or mode is not written into.
    let _ = std::fs::remove_file(&file);
    write_atomically(&file, secret.as_bytes())?;
    Ok(web::sha256(secret.as_bytes()))
}

//! Config: every key as a field, with its meaning, what it takes, and what is wrong with it. A change is
//! shown before it is made, and can be taken back after.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::Form;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;

use super::{Frame, Listing, PAGE_ROWS, show};
use crate::accounts::Visitor;
use crate::answers::{page, refused, see_other};
use crate::context::{Web, toml_text};
use crate::settings::{
    Applied, Change, Difference, Field, FieldFault, Pending, Proposal, Revision, Settings, Takes,
};
use crate::view::{Finding, MailSentOn, MailServer, View};

/// One page of settings: its address, its name, what it holds, and a word about it.
struct Group {
    path: &'static str,
    name: &'static str,
    tables: &'static [&'static str],
    about: &'static str,
}

/// The pages of the seeds with their names, then ours.
const GROUPS: &[Group] = &[
    Group {
        path: "general",
        name: "General",
        tables: &["general"],
        about: "Where the server listens for SIP and MRCPv2. Other ports than the usual ones must be let through by firewalls, and told to the calling systems.",
    },
    Group {
        path: "audio",
        name: "Audio",
        tables: &["audio", "media", "captures"],
        about: "How audio is sent, and what may be fetched, played and captured.",
    },
    Group {
        path: "mail",
        name: "Mail Server",
        tables: &["mail"],
        about: "Where voice mail is: the message store with its root, bounds and compression, where mail programs reach it, and IMAP servers that messages are fetched from. Mailboxes are on the page Mailboxes. Thirty seconds of voice take 256 kilobits (32 kB) with truespeech, 390 (49 kB) with gsm, 1920 (240 kB) with mulaw and about 360 (45 kB) with opus. A root that is set is looked at and written to before it is used.",
    },
    Group {
        path: "external-audio",
        name: "External Audio",
        tables: &["external_audio"],
        about: "Sources that calls can be given: streams, files, devices. Music and speech of others need licences for public performance, on hold too: see the bodies that license them where your callers are.",
    },
    Group {
        path: "text-to-speech",
        name: "Text to Speech",
        tables: &["text_to_speech"],
        about: "Who speaks texts, and how.",
    },
    Group {
        path: "server",
        name: "Server",
        tables: &[
            "state_dir",
            "engine",
            "http",
            "log",
            "cdr",
            "hep",
            "traces",
            "webhooks",
            "administration",
        ],
        about: "Threads, pages, the log, and who else is told what happens.",
    },
];

/// Pages of the first run: a few keys each. They are not in the menu.
const FIRST: &[Group] = &[
    Group {
        path: "first-addresses",
        name: "Addresses",
        tables: &[
            "general.listen_interface",
            "general.sip.advertise",
            "general.mrcp.advertise",
            "audio.rtp.interface",
            "audio.rtp.advertise",
            "http.address",
        ],
        about: "Where the server listens, and what it tells others to send to.",
    },
    Group {
        path: "first-features",
        name: "Features",
        tables: &["external_audio.enabled", "text_to_speech.enabled"],
        about: "What calls are offered.",
    },
];

/// Lists of tables to which pages can add. Providers of speech name programs and keys: the file has them.
const LISTS: &[&str] = &["external_audio.sources", "mail.servers", "webhooks"];

/// Keys that have pages of their own.
const ELSEWHERE: &[&str] = &["administration.users", "administration.tokens", "mail.services"];

impl Group {
    fn find(path: &str) -> Option<&'static Self> {
        GROUPS.iter().chain(FIRST).find(|group| group.path == path)
    }

    fn has(&self, key: &str) -> bool {
        let in_table = |table: &str| {
            key.strip_prefix(table)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        self.tables.iter().any(|table| in_table(table))
            && !ELSEWHERE.iter().any(|other| key.starts_with(other))
    }
}

/// One field as the form shows it.
struct Shown {
    field: Field,
    /// The last part of its key, in words.
    label: String,
    /// The text of an input.
    text: String,
    /// Words that can be chosen, and whether each is.
    words: Vec<(String, bool)>,
    error: Option<String>,
}

impl Shown {
    fn is_choices(&self) -> bool {
        matches!(self.field.takes, Takes::Choices(_))
    }

    fn is_list(&self) -> bool {
        matches!(self.field.takes, Takes::Texts)
    }

    fn is_number(&self) -> bool {
        matches!(self.field.takes, Takes::Integer(..) | Takes::Number(..))
    }

    /// Lines of its input.
    fn rows(&self) -> usize {
        self.text.lines().count().clamp(1, 8) + 1
    }
}

/// Fields of one table, or of one entry of a list.
struct Section {
    /// Its table, in words.
    name: String,
    /// `external_audio.sources[1]`: it can be removed.
    entry: Option<String>,
    /// It is not there yet: it is added when its first field is filled in.
    fresh: bool,
    fields: Vec<Shown>,
}

#[derive(Template)]
#[template(path = "config.html")]
struct ConfigPage<'a> {
    frame: Frame<'a>,
    group: &'static Group,
    sections: Vec<Section>,
    /// What is wrong and belongs to no field.
    errors: Vec<String>,
    /// The keys of fields that are wrong: each says it where it stands, which may be far below.
    wrong: Vec<String>,
    pending: Pending,
    is_sources: bool,
    /// How it stands with each, on the page that sets them.
    mail_servers: Option<Vec<MailServer>>,
    sent_on: Option<MailSentOn>,
}

/// What was submitted, by key.
type Submitted = BTreeMap<String, Vec<String>>;

/// `general.sip.port` to `port`, in words.
fn words_of(part: &str) -> String {
    const KNOWN: &[(&str, &str)] = &[
        ("dscp", "QoS DSCP value"),
        ("qos", "QoS enabled"),
        ("uri", "URI"),
        ("sip", "SIP"),
        ("mrcp", "MRCP"),
        ("rtp", "RTP"),
        ("rtcp", "RTCP"),
        ("http", "HTTP"),
        ("hep", "HEP"),
        ("cdr", "Call detail records"),
        ("imap_timeout_seconds", "IMAP timeout (seconds)"),
        ("imap_answer_seconds", "IMAP answer (seconds)"),
        ("agree_seconds", "Copies compared every (seconds)"),
        ("lmtp_listen", "LMTP listen"),
        ("imap_listen", "IMAP listen"),
        ("imaps_listen", "IMAP with TLS listen"),
    ];
    if let Some((_, words)) = KNOWN.iter().find(|(key, _)| *key == part) {
        return (*words).to_owned();
    }
    let words = part.replace('_', " ");
    let mut letters = words.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

fn section_name(table: &str) -> String {
    if table.is_empty() {
        return "State".to_owned();
    }
    let parts: Vec<String> = table.split('.').map(words_of).collect();
    parts.join(" · ")
}

/// What a field's input shows of a TOML value.
fn text_of(takes: &Takes, literal: &str) -> String {
    match takes {
        Takes::Texts | Takes::Choices(_) => list(literal).join("\n"),
        Takes::Text(_) | Takes::Choice(_) => plain(literal),
        Takes::Table | Takes::Tables | Takes::Flag | Takes::Integer(..) | Takes::Number(..) => {
            literal.to_owned()
        }
    }
}

/// A TOML string without its quotes; anything else as it is.
pub(crate) fn plain(literal: &str) -> String {
    if let Some(raw) = literal.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')) {
        return raw.to_owned();
    }
    let Some(inner) = literal.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return literal.to_owned();
    };
    let mut text = String::new();
    let mut letters = inner.chars();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            text.push(letter);
            continue;
        }
        match letters.next() {
            Some('n') => text.push('\n'),
            Some('t') => text.push('\t'),
            Some('u') => {
                let digits: String = letters.by_ref().take(4).collect();
                let code = u32::from_str_radix(&digits, 16).ok();
                text.extend(code.and_then(char::from_u32));
            }
            Some(other) => text.push(other),
            None => {}
        }
    }
    text
}

/// The texts of a TOML list; a text alone is a list of one.
fn list(literal: &str) -> Vec<String> {
    let Some(inner) = literal.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) else {
        return if literal.is_empty() { Vec::new() } else { vec![plain(literal)] };
    };
    let mut items = Vec::new();
    let (mut item, mut quote) = (String::new(), None);
    let mut letters = inner.chars();
    while let Some(letter) = letters.next() {
        match (letter, quote) {
            ('\\', Some('"')) => {
                item.push(letter);
                item.extend(letters.next());
                continue;
            }
            ('"' | '\'', None) => quote = Some(letter),
            (_, Some(open)) if open == letter => quote = None,
            (',', None) => {
                items.push(std::mem::take(&mut item));
                continue;
            }
            _ => {}
        }
        item.push(letter);
    }
    items.push(item);
    items.iter().map(|item| plain(item.trim())).filter(|item| !item.is_empty()).collect()
}

/// What was submitted for a field, as TOML writes it.
fn literal(takes: &Takes, values: &[String]) -> String {
    let first = values.last().map_or("", |value| value.trim());
    match takes {
        Takes::Texts | Takes::Choices(_) => {
            let lines = values.iter().flat_map(|value| value.lines()).map(str::trim);
            let items: Vec<String> = lines.filter(|line| !line.is_empty()).map(toml_text).collect();
            format!("[{}]", items.join(", "))
        }
        Takes::Text(_) | Takes::Choice(_) => toml_text(first),
        // What is no number is told so with the number's limits, together with all else that is wrong.
        Takes::Integer(..) | Takes::Number(..) if first.parse::<f64>().is_err() => toml_text(first),
        Takes::Table | Takes::Tables | Takes::Flag | Takes::Integer(..) | Takes::Number(..) => {
            first.to_owned()
        }
    }
}

/// What the submitted values change.
fn changes_of(fields: &[Field], submitted: &Submitted) -> Vec<Change> {
    let mut changes = Vec::new();
    for field in fields.iter().filter(|field| field.pinned.is_none() && !field.secret) {
        let Some(values) = submitted.get(&field.key) else { continue };
        let wanted = literal(&field.takes, values);
        let in_list = field.key.contains('[');
        let empty = values.iter().all(|value| value.trim().is_empty());
        let number = matches!(field.takes, Takes::Integer(..) | Takes::Number(..));
        let emptied = empty && (in_list || number);
        let same = |literal: &str| text_of(&field.takes, literal) == text_of(&field.takes, &wanted);
        let key = field.key.clone();
        match &field.value {
            Some(value) if same(value) => {}
            None if emptied || (!in_list && same(&field.default)) => {}
            Some(_) if emptied || (!in_list && same(&field.default)) => {
                changes.push(Change::Unset { key });
            }
            Some(_) | None => changes.push(Change::Set { key, value: wanted }),
        }
    }
    let removed = submitted.get("remove").into_iter().flatten();
    changes.extend(removed.map(|entry| Change::Remove { entry: entry.clone() }));
    changes
}

/// The fields of a group, and blank ones for one more entry of its lists.
fn fields_of<V: Settings>(view: &V, group: &Group) -> Vec<Field> {
    let mut fields: Vec<Field> =
        view.fields().into_iter().filter(|field| group.has(&field.key)).collect();
    for list in LISTS.iter().filter(|list| group.has(list)) {
        let within = format!("{list}[");
        let number = |field: &Field| {
            field.key.strip_prefix(&within)?.split_once(']')?.0.parse::<usize>().ok()
        };
        let count = fields.iter().filter_map(number).max().map_or(0, |last| last + 1);
        let blank = view.blank(list).into_iter();
        let blank: Vec<Field> = blank
            .map(|(key, field)| Field { key: format!("{list}[{count}].{key}"), ..field })
            .collect();
        // Behind the other entries of its list, or where the first of them would be.
        let last = fields.iter().rposition(|field| field.key.starts_with(&within));
        let at = last.map_or(fields.len(), |last| last + 1);
        fields.splice(at..at, blank);
    }
    fields
}

fn sections(
    fields: Vec<Field>,
    submitted: Option<&Submitted>,
    faults: &[FieldFault],
) -> Vec<Section> {
    let mut sections: Vec<(String, Section)> = Vec::new();
    for field in fields {
        let (table, last) = field.key.rsplit_once('.').unwrap_or(("", &field.key));
        let (table, label) = (table.to_owned(), words_of(last));
        let values = submitted.and_then(|submitted| submitted.get(&field.key));
        let shown_default = if field.key.contains('[') { "" } else { field.default.as_str() };
        let current = field.value.as_deref().unwrap_or(shown_default);
        let text =
            values.map_or_else(|| text_of(&field.takes, current), |values| values.join("\n"));
        let words = match &field.takes {
            Takes::Flag => ["true", "false"].map(|word| (word.to_owned(), word == text)).to_vec(),
            Takes::Choice(words) => {
                words.iter().map(|word| (word.clone(), *word == text)).collect()
            }
            Takes::Choices(words) => {
                let chosen: Vec<&str> = text.lines().collect();
                words.iter().map(|word| (word.clone(), chosen.contains(&word.as_str()))).collect()
            }
            Takes::Table
            | Takes::Tables
            | Takes::Integer(..)
            | Takes::Number(..)
            | Takes::Text(_)
            | Takes::Texts => Vec::new(),
        };
        let own = |fault: &&FieldFault| {
            fault.key == field.key || fault.key.starts_with(&format!("{}[", field.key))
        };
        let error = faults.iter().find(own).map(|fault| fault.what.clone());
        let shown = Shown { label, text, words, error, field };
        match sections.iter_mut().find(|(name, _)| *name == table) {
            Some((_, section)) => section.fields.push(shown),
            None => {
                let entry = table.ends_with(']').then(|| table.clone());
                let fresh = entry.is_some() && shown.field.default == BLANK;
                let name = match (&entry, fresh) {
                    (None, _) => section_name(&table),
                    (Some(entry), true) => {
                        let list = entry.split('[').next().unwrap_or_default();
                        format!("One more · {}", section_name(list))
                    }
                    (Some(entry), false) => section_name(entry),
                };
                sections.push((table, Section { name, entry, fresh, fields: vec![shown] }));
            }
        }
    }
    let named = |(_, mut section): (String, Section)| {
        let name = section.fields.iter().find(|shown| shown.label == "Name");
        if let Some(name) = name.filter(|_| !section.fresh && section.entry.is_some()) {
            section.name.clone_from(&name.text);
        }
        section
    };
    sections.into_iter().map(named).collect()
}

/// The default of fields of an entry that is not there yet.
pub(crate) const BLANK: &str = "(new)";

/// The steps of the first run.
const STEPS: [(u8, &str); 3] = [(1, "Addresses"), (2, "Features"), (3, "Sound")];

#[derive(Template)]
#[template(path = "welcome.html")]
struct WelcomePage<'a> {
    frame: Frame<'a>,
    step: u8,
    group_path: &'a str,
    sections: Vec<Section>,
    findings: Vec<Finding>,
    is_sources: bool,
}

/// One step of the first run.
pub(crate) async fn welcome<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Extension(visitor): Extension<Visitor>,
    Path(step): Path<u8>,
) -> Response {
    let Some((_, name)) = STEPS.into_iter().find(|(number, _)| *number == step) else {
        return refused(StatusCode::NOT_FOUND, "there is no such step");
    };
    let group = usize::from(step).checked_sub(1).and_then(|at| FIRST.get(at));
    let sections = group.map(|group| sections(fields_of(&*web.view, group), None, &[]));
    let mut findings = Vec::new();
    if step == 1 {
        let about = ["addresses", "limits", "pages", "clock", "disk"];
        findings = web.view.doctor().await;
        findings.retain(|finding| about.contains(&finding.area.as_str()));
    }
    let content = WelcomePage {
        frame: Frame::inside(name, "/welcome", &visitor),
        step,
        group_path: group.map_or("", |group| group.path),
        sections: sections.unwrap_or_default(),
        findings,
        is_sources: false,
    };
    page(StatusCode::OK, &content)
}

/// The tone of the last step: 440 Hz for two seconds, as a WAV file.
pub(crate) async fn tone() -> Response {
    ([(header::CONTENT_TYPE, "audio/wav")], tone_wav()).into_response()
}

fn tone_wav() -> Vec<u8> {
    const SAMPLES: u16 = 16_000;
    let bytes = u32::from(SAMPLES) * 2;
    let mut wav = b"RIFF".to_vec();
    wav.extend((36 + bytes).to_le_bytes());
    wav.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    wav.extend([8_000_u32, 16_000].iter().flat_map(|field| field.to_le_bytes()));
    wav.extend(b"\x02\0\x10\0data");
    wav.extend(bytes.to_le_bytes());
    for n in 0..SAMPLES {
        let phase = f32::from(n) * 440.0 / 8_000.0 * std::f32::consts::TAU;
        #[expect(clippy::cast_possible_truncation, reason = "within the range of i16")]
        let sample = (phase.sin() * 8_000.0) as i16;
        wav.extend(sample.to_le_bytes());
    }
    wav
}

/// What the page of a group looks like.
fn form_page<V: View + Settings>(
    web: &Web<V>,
    visitor: &Visitor,
    group: &'static Group,
    (submitted, faults): (Option<&Submitted>, &[FieldFault]),
) -> Response {
    let path = format!("/config/{}", group.path);
    let frame = Frame::inside(group.name, &path, visitor);
    let fields = fields_of(&*web.view, group);
    let known: Vec<&str> = fields.iter().map(|field| field.key.as_str()).collect();
    let own = |fault: &&FieldFault| {
        known.iter().any(|key| fault.key == *key || fault.key.starts_with(&format!("{key}[")))
    };
    let other = faults.iter().filter(|fault| !own(fault));
    let errors = other.map(|fault| {
        if fault.key.is_empty() {
            fault.what.clone()
        } else {
            format!("{}: {}", fault.key, fault.what)
        }
    });
    let errors = errors.collect();
    let wrong = known.iter().filter(|key| {
        let below = format!("{key}[");
        faults.iter().any(|fault| fault.key == **key || fault.key.starts_with(&below))
    });
    let wrong = wrong.map(|key| (*key).to_owned()).collect();
    let status = if faults.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let sections = sections(fields, submitted, faults);
    let is_sources = group.path == "external-audio";
    let pending = web.view.pending();
    let mail_servers = (group.path == "mail").then(|| web.view.mail_servers());
    let sent_on = mail_servers.as_ref().and_then(|_| web.view.mail_sent_on());
    page(
        status,
        &ConfigPage {
            frame,
            group,
            sections,
            errors,
            wrong,
            pending,
            is_sources,
            mail_servers,
            sent_on,
        },
    )
}

pub(crate) async fn form<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Extension(visitor): Extension<Visitor>,
    Path(path): Path<String>,
) -> Response {
    match Group::find(&path) {
        Some(group) => form_page(&web, &visitor, group, (None, &[])),
        None => refused(StatusCode::NOT_FOUND, "there is no such page of settings"),
    }
}

#[derive(Template)]
#[template(path = "config_review.html")]
struct ReviewPage<'a> {
    frame: Frame<'a>,
    group: &'static Group,
    proposal: Proposal,
    changes: String,
}

/// Looks at what was submitted: shows what is wrong, or what would change.
pub(crate) async fn review<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Extension(visitor): Extension<Visitor>,
    Path(path): Path<String>,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Response {
    let Some(group) = Group::find(&path) else {
        return refused(StatusCode::NOT_FOUND, "there is no such page of settings");
    };
    let mut submitted = Submitted::new();
    for (key, value) in pairs {
        submitted.entry(key).or_default().push(value);
    }
    let fields = fields_of(&*web.view, group);
    let changes = changes_of(&fields, &submitted);
    match web.view.propose(&changes).await {
        Err(faults) => form_page(&web, &visitor, group, (Some(&submitted), &faults)),
        Ok(proposal) => {
            let path = format!("/config/{}", group.path);
            let frame = Frame::inside(group.name, &path, &visitor);
            let changes = serde_json::to_string(&changes).unwrap_or_default();
            page(StatusCode::OK, &ReviewPage { frame, group, proposal, changes })
        }
    }
}

/// What the form would have had for these changes, without entries of lists: those may be others now.
fn typed(fields: &[Field], changes: &[Change]) -> Submitted {
    let mut typed = Submitted::new();
    let single = |change: &&Change| {
        let (Change::Set { key, .. } | Change::Unset { key } | Change::Remove { entry: key }) =
            change;
        !key.contains('[')
    };
    for change in changes.iter().filter(single) {
        match change {
            Change::Set { key, value } => {
                let takes = fields.iter().find(|field| field.key == *key);
                let takes = takes.map_or(&Takes::Text(None), |field| &field.takes);
                typed.insert(key.clone(), vec![text_of(takes, value)]);
            }
            Change::Unset { key } => {
                let field = fields.iter().find(|field| field.key == *key);
                let text = field.map(|field| text_of(&field.takes, &field.default));
                typed.insert(key.clone(), vec![text.unwrap_or_default()]);
            }
            Change::Remove { .. } => {}
        }
    }
    typed
}

#[derive(Debug, Deserialize)]
pub(crate) struct ApplyForm {
    changes: String,
    base: String,
}

#[derive(Template)]
#[template(path = "config_applied.html")]
struct AppliedPage<'a> {
    frame: Frame<'a>,
    back: &'a str,
    applied: Applied,
}

pub(crate) async fn apply<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Extension(visitor): Extension<Visitor>,
    Path(path): Path<String>,
    Form(form): Form<ApplyForm>,
) -> Response {
    let Some(group) = Group::find(&path) else {
        return refused(StatusCode::NOT_FOUND, "there is no such page of settings");
    };
    let Ok(changes) = serde_json::from_str::<Vec<Change>>(&form.changes) else {
        return refused(StatusCode::BAD_REQUEST, "the changes cannot be read");
    };
    match web.view.apply(&changes, Some(&form.base), &visitor.name).await {
        Err(faults) => {
            // What was typed stays, also when somebody else was faster.
            let mut faults = faults;
            let typed = typed(&web.view.fields(), &changes);
            if changes.len() > typed.len() {
                let what =
                    "entries of lists are shown as they are now, not as they were typed".to_owned();
                faults.push(FieldFault { key: String::new(), what });
            }
            form_page(&web, &visitor, group, (Some(&typed), &faults))
        }
        Ok(applied) => {
            let path = format!("/config/{}", group.path);
            let frame = Frame::inside("Settings applied", &path, &visitor);
            let first = FIRST.iter().position(|each| each.path == group.path);
            // On with the first run, where that is what it was.
            let back = first.map_or_else(|| path.clone(), |at| format!("/welcome/{}", at + 1));
            page(StatusCode::OK, &AppliedPage { frame, back: &back, applied })
        }
    }
}

#[derive(Template)]
#[template(path = "history.html")]
struct HistoryPage<'a> {
    frame: Frame<'a>,
    revisions: Vec<Revision>,
    pending: Pending,
    errors: Vec<String>,
    listing: Listing,
    next: Option<u64>,
}

fn history_page<V: View + Settings>(
    web: &Web<V>,
    visitor: &Visitor,
    faults: &[FieldFault],
    listing: Listing,
) -> Response {
    let frame = Frame::inside("History", "/config/history", visitor);
    let (mut revisions, pending) = (web.view.revisions(), web.view.pending());
    let wanted = listing.q.to_lowercase();
    revisions.retain(|revision| {
        let text = format!("{} {} {}", revision.who, revision.how, revision.keys.join(" "));
        wanted.is_empty() || text.to_lowercase().contains(&wanted)
    });
    // The youngest first: a page goes on below the number it is asked with.
    revisions.retain(|revision| listing.after.is_none_or(|after| revision.number < after));
    let next = revisions.get(PAGE_ROWS).and_then(|_| Some(revisions.get(PAGE_ROWS - 1)?.number));
    revisions.truncate(PAGE_ROWS);
    let errors = faults.iter().map(|fault| format!("{} {}", fault.key, fault.what)).collect();
    let status = if faults.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    page(status, &HistoryPage { frame, revisions, pending, errors, listing, next })
}

pub(crate) async fn history<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Extension(visitor): Extension<Visitor>,
    Query(listing): Query<Listing>,
) -> Response {
    history_page(&web, &visitor, &[], listing)
}

#[derive(Template)]
#[template(path = "revision.html")]
struct RevisionPage<'a> {
    frame: Frame<'a>,
    number: u64,
    revision: Option<Revision>,
    text: String,
    current: bool,
    differences: Vec<Difference>,
    errors: Vec<String>,
}

pub(crate) async fn revision<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Extension(visitor): Extension<Visitor>,
    Path(number): Path<u64>,
) -> Response {
    let Some(text) = web.view.revision_text(number) else {
        return refused(StatusCode::NOT_FOUND, "this revision is not kept (any more)");
    };
    let revision = web.view.revisions().into_iter().find(|revision| revision.number == number);
    let frame = Frame::inside("Earlier settings", "/config/history", &visitor);
    let current = web.view.pending().revision == number;
    let (differences, errors) = match web.view.restoring(number).await {
        Ok(differences) => (differences, Vec::new()),
        Err(faults) => {
            let told = faults.iter().map(|fault| format!("{} {}", fault.key, fault.what));
            (Vec::new(), told.collect())
        }
    };
    let shown = RevisionPage { frame, number, revision, text, current, differences, errors };
    page(StatusCode::OK, &shown)
}

pub(crate) async fn restore<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Extension(visitor): Extension<Visitor>,
    Path(number): Path<u64>,
) -> Response {
    match web.view.restore(number, &visitor.name).await {
        Err(faults) => history_page(&web, &visitor, &faults, Listing::default()),
        Ok(applied) => {
            let frame = Frame::inside("Settings restored", "/config/history", &visitor);
            page(StatusCode::OK, &AppliedPage { frame, back: "/config/history", applied })
        }
    }
}

pub(crate) async fn reload<V: View + Settings>(
    State(web): State<Arc<Web<V>>>,
    Extension(visitor): Extension<Visitor>,
) -> Response {
    match web.view.reload(&visitor.name).await {
        Err(faults) => history_page(&web, &visitor, &faults, Listing::default()),
        Ok(_) => see_other("/config/history"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(key: &str, takes: Takes, default: &str, value: Option<&str>) -> Field {
        Field {
            key: key.into(),
            meaning: String::new(),
            takes,
            default: default.into(),
            value: value.map(str::to_owned),
            pinned: None,
            live: true,
            secret: false,
        }
    }

    #[test]
    fn values_are_shown_and_read_back_as_toml_writes_them() {
        let texts = Takes::Texts;
        for (takes, literal_text, text) in [
            (&Takes::Text(None), "\"a \\\"b\\\" \\\\ ü\"", "a \"b\" \\ ü"),
            (&Takes::Text(None), "'C:\\x'", "C:\\x"),
            (&texts, "[\"10.0.0.0/8\", \"a,b\"]", "10.0.0.0/8\na,b"),
            (&texts, "[]", ""),
            (&Takes::Integer("0".into(), "9".into()), "7", "7"),
        ] {
            assert_eq!(text_of(takes, literal_text), text);
            let again = literal(takes, &[text.to_owned()]);
            assert_eq!(text_of(takes, &again), text, "{again}");
        }
    }

    #[test]
    fn only_what_differs_is_changed_and_the_default_unsets() {
        let integer = || Takes::Integer("0".into(), "65535".into());
        let fields = [
            field("a.same", integer(), "1", Some("5")),
            field("a.default", integer(), "1", None),
            field("a.back", integer(), "1", Some("5")),
            field("a.new", integer(), "1", None),
            field("l[0].name", Takes::Text(None), "\"x\"", Some("\"old\"")),
            field("l[0].uri", Takes::Text(None), "\"x\"", Some("\"u\"")),
            field("l[1].name", Takes::Text(None), BLANK, None),
            Field {
                pinned: Some("environment".into()),
                ..field("a.pinned", integer(), "1", Some("2"))
            },
        ];
        let pairs = [
            ("a.same", "5"),
            ("a.default", "1"),
            ("a.back", "1"),
            ("a.new", " 9 "),
            ("l[0].name", "new"),
            ("l[0].uri", ""),
            ("l[1].name", ""),
            ("a.pinned", "3"),
            ("remove", "l[2]"),
            ("unknown", "1"),
        ];
        let submitted = pairs.map(|(key, value)| (key.to_owned(), vec![value.to_owned()])).into();
        let set = |key: &str, value: &str| Change::Set { key: key.into(), value: value.into() };
        assert_eq!(
            changes_of(&fields, &submitted),
            [
                Change::Unset { key: "a.back".into() },
                set("a.new", "9"),
                set("l[0].name", "\"new\""),
                Change::Unset { key: "l[0].uri".into() },
                Change::Remove { entry: "l[2]".into() },
            ]
        );
    }
}

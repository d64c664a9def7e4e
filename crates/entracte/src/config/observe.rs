//! `captures`, `hep`, `traces`, `webhooks`: who looks on; and `mail`.

use std::path::PathBuf;

use mailbox::{Compression, CompressionRule};

use super::fault::Wrong;
use super::plan::{
    CapturePlan, EventKind, HepPlan, MailPlan, MailSecurity, MailServerPlan, WebhookPlan,
};
use super::read::{absolute, host};
use super::reader::{Placed, Section};

pub(super) fn captures(section: &Section<'_>) -> CapturePlan {
    CapturePlan {
        max_active: section.integer("max_active", 32, 1..=1_000),
        every_call: section.flag("every_call", false),
        file_bytes_max: section.integer("file_bytes_max", 67_108_864, 65_536..=68_719_476_736),
        keep_bytes_max: section.integer("keep_bytes_max", 1_073_741_824, 0..=1_099_511_627_776),
    }
}

/// `host:port`, an IPv6 address in brackets.
fn host_and_port(text: &str) -> Option<(String, u16)> {
    let (name, port) = text.rsplit_once(':')?;
    Some((host(name)?, port.parse().ok().filter(|port| *port > 0)?))
}

pub(super) fn hep(section: &Section<'_>) -> Option<HepPlan> {
    let collector = section.parsed("address", "HOST:PORT, as \"192.0.2.5:9060\"", |text| {
        if text.is_empty() { Some(None) } else { host_and_port(text).map(Some) }
    });
    let agent_id = section.integer("agent_id", 2_001, 0..=u32::MAX);
    let key_file = absolute(section, "key_file");
    collector.flatten().map(|collector| HepPlan { collector, agent_id, key_file })
}

/// An address that is posted to.
fn endpoint(text: &str) -> Option<String> {
    let uri = reqwest::Url::parse(text).ok()?;
    let fits = matches!(uri.scheme(), "http" | "https") && uri.has_host();
    fits.then(|| text.to_owned())
}

pub(super) fn traces(section: &Section<'_>) -> Option<String> {
    let read = section.parsed("endpoint", "an http: or https: URI", |text| {
        if text.is_empty() { Some(None) } else { endpoint(text).map(Some) }
    });
    read.flatten()
}

const WEBHOOK_KEYS: [&str; 3] = ["uri", "secret_file", "events"];

pub(super) fn webhooks(root: &Section<'_>) -> Vec<WebhookPlan> {
    let mut webhooks = Vec::new();
    for entry in root.sections("webhooks", &WEBHOOK_KEYS) {
        let events = entry.choices("events", &EventKind::ALL, &EventKind::WORDS);
        let secret_file = absolute(&entry, "secret_file");
        let Some(uri) = entry.required("uri") else { continue };
        match endpoint(&uri.value) {
            Some(uri) => webhooks.push(WebhookPlan { uri, secret_file, events }),
            None => entry.fault(
                "uri",
                Wrong::NotAllowed(format!("{:?}", uri.value)),
                Some("an http: or https: URI"),
            ),
        }
    }
    webhooks
}

const SERVER_KEYS: [&str; 7] =
    ["name", "host", "port", "security", "user", "authorization_id", "password_file"];
const SECURITY: [(&str, MailSecurity); 3] = [
    ("tls", MailSecurity::Tls),
    ("starttls", MailSecurity::StartTls),
    ("none", MailSecurity::None),
];

const COMPRESSIONS: [(&str, Compression); 4] = [
    ("truespeech", Compression::TrueSpeech),
    ("gsm", Compression::Gsm),
    ("mulaw", Compression::MuLaw),
    ("opus", Compression::Opus),
];

pub(super) fn mail(section: &Section<'_>) -> MailPlan {
    let root = absolute(section, "root").filter(|root| {
        let deep = |part| matches!(part, std::path::Component::Normal(_));
        let up = root.components().any(|part| part == std::path::Component::ParentDir);
        let whole = up || !root.components().any(deep);
        if whole {
            let found = Wrong::NotAllowed(format!("{root:?}"));
            section.fault("root", found, Some("a folder below /, without .."));
        }
        !whole
    });
    let seconds = section.integer("imap_timeout_seconds", 60_i32, -1..=32_767);
    let days = |key, default| section.integer(key, default, 0..=36_500_u32);
    MailPlan {
        store_enabled: section.flag("store_enabled", true),
        quota_messages: section.integer("quota_messages", 0, 0..=10_000_000),
        quota_bytes: section.integer("quota_bytes", 0, 0..=1_099_511_627_776),
        retention_days: [
            days("keep_inbox_days", 0),
            days("keep_saved_days", 0),
            days("keep_deleted_days", 30),
            days("keep_sent_days", 0),
            0,
        ],
        unused_days: section.integer("unused_days", 90, 1..=36_500),
        compression: CompressionRule {
            long_seconds: section.integer("long_seconds", 60, 1..=86_400),
            long: section.choice("compression_long", Compression::Gsm, &COMPRESSIONS),
            short: section.choice("compression_short", Compression::Gsm, &COMPRESSIONS),
        },
        retrieval_enabled: section.flag("retrieval_enabled", false),
        imap_timeout_seconds: u32::try_from(seconds).ok(),
        root,
        servers: mail_servers(section),
    }
}

fn mail_servers(section: &Section<'_>) -> Vec<MailServerPlan> {
    let mut servers: Vec<MailServerPlan> = Vec::new();
    for entry in section.sections("servers", &SERVER_KEYS) {
        let name = entry.required("name").map(|name| name.value);
        let address = entry.required("host").and_then(|Placed { value, .. }| {
            let read = host(&value);
            if read.is_none() {
                let found = Wrong::NotAllowed(format!("{value:?}"));
                entry.fault("host", found, Some("a host name or an IP address"));
            }
            read
        });
        let port = entry.integer("port", 993, 1..=u16::MAX);
        let security = entry.choice("security", MailSecurity::Tls, &SECURITY);
        let text = |key| entry.text(key).map(|text| text.value).filter(|text| !text.is_empty());
        let (user, authorization_id) = (text("user"), text("authorization_id"));
        let password_file: Option<PathBuf> = absolute(&entry, "password_file");
        let (Some(name), Some(host)) = (name, address) else { continue };
        if servers.iter().any(|other| other.name.eq_ignore_ascii_case(&name)) {
            let found = Wrong::NotAllowed(format!("{name:?}"));
            entry.fault("name", found, Some("a name that no other mail server has"));
            continue;
        }
        servers.push(MailServerPlan {
            name,
            host,
            port,
            security,
            user,
            authorization_id,
            password_file,
        });
    }
    servers
}

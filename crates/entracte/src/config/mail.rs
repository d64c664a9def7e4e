//! `mail`: the message store, who may reach it with a mail program, and servers that have mail.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use mailbox::{Compression, CompressionRule};
use mailroom::outgoing::{self, Relay};
use mailroom::retrieval::{Login, Security};

use super::fault::Wrong;
use super::plan::{Listening, MailPlan, MailServerPlan};
use super::read::{absolute, host};
use super::reader::{Placed, Section};

const SERVER_KEYS: [&str; 9] = [
    "name",
    "host",
    "port",
    "security",
    "user",
    "authorization_id",
    "login",
    "password_file",
    "ca_file",
];
const LOGINS: [(&str, Login); 2] = [("password", Login::Password), ("oauth", Login::OAuth)];
const RELAY_KEYS: [&str; 6] = ["host", "port", "security", "user", "password_file", "ca_file"];
const SECURITY: [(&str, Security); 3] =
    [("tls", Security::Tls), ("starttls", Security::StartTls), ("none", Security::None)];

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
    let store_enabled = section.flag("store_enabled", true);
    let listen = listening(section, store_enabled);
    let days = |key, default| section.integer(key, default, 0..=36_500_u32);
    MailPlan {
        store_enabled,
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
        imap_answer_seconds: section.integer("imap_answer_seconds", 10, 1..=600),
        agree_seconds: section.integer("agree_seconds", 60, 1..=86_400),
        root,
        servers: mail_servers(section),
        listen,
        domains: domains(section),
        message_bytes_max: section.integer("message_bytes_max", 67_108_864, 65_536..=1_073_741_824),
        services: services(section),
        outgoing: outgoing(section),
    }
}

fn addresses(section: &Section<'_>, key: &str) -> Vec<SocketAddr> {
    let mut all = Vec::new();
    for Placed { value, place, key } in section.texts(key).into_iter().flatten() {
        match value.parse::<SocketAddr>() {
            Ok(address) if !all.contains(&address) => all.push(address),
            Ok(_) | Err(_) => {
                let found = Wrong::NotAllowed(format!("{value:?}"));
                let allowed =
                    "IP addresses with ports, each once, as \"127.0.0.1:143\" or \"[::1]:143\"";
                section.fault_at(place, key, found, Some(allowed));
            }
        }
    }
    all
}

fn domains(section: &Section<'_>) -> Vec<String> {
    let mut all = Vec::new();
    for Placed { value, place, key } in section.texts("domains").into_iter().flatten() {
        match host(&value) {
            Some(domain) => all.push(domain.to_ascii_lowercase()),
            None => {
                let found = Wrong::NotAllowed(format!("{value:?}"));
                section.fault_at(
                    place,
                    key,
                    found,
                    Some("names of domains, as \"office.example\""),
                );
            }
        }
    }
    all
}

fn services(section: &Section<'_>) -> Vec<mailroom::Service> {
    let mut all: Vec<mailroom::Service> = Vec::new();
    for entry in section.sections("services", &["name", "password_hash"]) {
        let (name, hash) = (entry.required("name"), entry.required("password_hash"));
        let (Some(name), Some(hash)) = (name, hash) else { continue };
        if !web::is_password_hash(&hash.value) {
            let found = Wrong::NotAllowed("this text".to_owned());
            let allowed = "an argon2 hash, as \"entracte hash-password\" makes it";
            entry.fault("password_hash", found, Some(allowed));
            continue;
        }
        if name.value.is_empty() || all.iter().any(|other| other.name == name.value) {
            let found = Wrong::NotAllowed(format!("{:?}", name.value));
            entry.fault("name", found, Some("a name that no other service has"));
            continue;
        }
        let password_hash = vocab::Redacted::new(hash.value);
        all.push(mailroom::Service { name: name.value, password_hash });
    }
    all
}

fn host_of(entry: &Section<'_>) -> Option<String> {
    entry.required("host").and_then(|Placed { value, .. }| {
        let read = host(&value);
        if read.is_none() {
            let found = Wrong::NotAllowed(format!("{value:?}"));
            entry.fault("host", found, Some("a host name or an IP address"));
        }
        read
    })
}

fn outgoing(section: &Section<'_>) -> Option<outgoing::Config> {
    let mut relays = Vec::new();
    let mut is_whole = true;
    for entry in section.sections("relays", &RELAY_KEYS) {
        let address = host_of(&entry);
        let port = entry.integer("port", 465, 1..=u16::MAX);
        let security = entry.choice("security", Security::Tls, &SECURITY);
        let user = entry.text("user").map(|user| user.value).filter(|user| !user.is_empty());
        let password_file: Option<PathBuf> = absolute(&entry, "password_file");
        let ca_file: Option<PathBuf> = absolute(&entry, "ca_file");
        if user.is_some() && password_file.is_none() {
            entry.fault(
                "password_file",
                Wrong::Missing,
                Some("the file with the password of user"),
            );
        }
        match address {
            Some(host) => relays.push(Relay { host, port, security, user, password_file, ca_file }),
            None => is_whole = false,
        }
    }
    let sender = section.text("sender").filter(|sender| !sender.value.is_empty());
    let hours = section.integer("retry_hours", 48_u64, 1..=720);
    if let Some(Placed { value, place, key }) = &sender
        && !mailbox::is_email_address(value)
    {
        let found = Wrong::NotAllowed(format!("{value:?}"));
        section.fault_at(
            place.clone(),
            key.clone(),
            found,
            Some("an e-mail address, as \"voicemail@office.example\""),
        );
        return None;
    }
    if relays.is_empty() {
        return None;
    }
    let Some(sender) = sender else {
        if is_whole {
            section.fault("sender", Wrong::Missing, Some("who sends what relays take"));
        }
        return None;
    };
    Some(outgoing::Config {
        relays,
        sender: sender.value,
        give_up_after: Duration::from_secs(hours * 3_600),
        first_wait: outgoing::WAIT,
    })
}

/// Where mail programs come in: there must be something behind it, and each address is taken once.
fn listening(section: &Section<'_>, store_enabled: bool) -> Listening {
    let mut taken: Vec<SocketAddr> = Vec::new();
    let mut door = |key| {
        let all = addresses(section, key);
        if !all.is_empty() && !store_enabled {
            let found = Wrong::NotAllowed("an address".to_owned());
            section.fault(key, found, Some("none: mail.store_enabled is false"));
        }
        for address in &all {
            if address.port() != 0 && taken.contains(address) {
                let found = Wrong::NotAllowed(format!("\"{address}\""));
                section.fault(key, found, Some("an address that no other protocol has"));
            }
            taken.push(*address);
        }
        all
    };
    Listening { lmtp: door("lmtp_listen"), imap: door("imap_listen"), imaps: door("imaps_listen") }
}

fn mail_servers(section: &Section<'_>) -> Vec<MailServerPlan> {
    let mut servers: Vec<MailServerPlan> = Vec::new();
    for entry in section.sections("servers", &SERVER_KEYS) {
        let name = entry.required("name").map(|name| name.value);
        let address = host_of(&entry);
        let port = entry.integer("port", 993, 1..=u16::MAX);
        let security = entry.choice("security", Security::Tls, &SECURITY);
        let text = |key| entry.text(key).map(|text| text.value).filter(|text| !text.is_empty());
        let (user, authorization_id) = (text("user"), text("authorization_id"));
        let login = entry.choice("login", Login::Password, &LOGINS);
        let password_file: Option<PathBuf> = absolute(&entry, "password_file");
        let ca_file: Option<PathBuf> = absolute(&entry, "ca_file");
        let (Some(name), Some(host)) = (name, address) else { continue };
        if name.is_empty() || name.contains(['/', ' ']) {
            let found = Wrong::NotAllowed(format!("{name:?}"));
            entry.fault("name", found, Some("a name without spaces and slashes"));
            continue;
        }
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
            login,
            password_file,
            ca_file,
        });
    }
    servers
}

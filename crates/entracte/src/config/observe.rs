//! `captures`, `hep`, `traces`, `webhooks`: who looks on.

use super::fault::Wrong;
use super::plan::{CapturePlan, EventKind, HepPlan, WebhookPlan};
use super::read::{absolute, host};
use super::reader::Section;

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

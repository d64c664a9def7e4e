//! From the laid-together table to the [`Plan`]: every key, its default and what it takes.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use web::Takes;

use super::administration;
use super::external;
use super::fault::{Faults, Wrong};
use super::mail;
use super::network::{AddressType, Addresses, Dscp, InterfaceName, Interfaces, Network, PortRange};
use super::observe;
use super::plan::{
    Audio, Cdr, CdrFormat, Engine, General, Log, LogFormat, LogLevel, Media, Mrcp, Plan, Rtp, Sip,
    SipLimits, TlsPlan, Transport,
};
use super::reader::{Desk, Placed, Section};
use super::tree::{self, Layers, Table};
use super::voices;

impl Plan {
    /// Reads `layers` and checks them against this machine.
    ///
    /// # Errors
    /// All faults of all layers.
    pub fn load(layers: &Layers) -> Result<Self, Faults> {
        Self::load_for(layers, &Interfaces::here())
    }

    /// Reads `layers` and checks them against a machine with these interfaces.
    ///
    /// # Errors
    /// All faults of all layers.
    pub fn load_for(layers: &Layers, machine: &Interfaces) -> Result<Self, Faults> {
        let mut faults = Vec::new();
        let table = layers.read(&mut faults);
        let desk = Desk::default();
        let mut plan = plan(&desk.root(&table), machine);
        desk.find_unknown(&table);
        let (more, notes) = desk.into_parts();
        faults.extend(more);
        if !faults.is_empty() {
            return Err(Faults::new(faults, notes));
        }
        plan.notes = notes;
        plan.layers = layers.clone();
        Ok(plan)
    }

    /// Every key there is, lists of tables as `external_audio.sources[].name`.
    #[must_use]
    pub fn keys() -> Vec<String> {
        let desk = Desk::default();
        plan(&desk.root(&Table::new()), &Interfaces::default());
        let asked = desk.asked();
        let leaf = |key: &&String| !asked.keys().any(|each| is_below(each, key));
        asked.keys().filter(leaf).cloned().collect()
    }

    /// What each key takes, lists of tables as `external_audio.sources[].name`.
    #[must_use]
    pub fn takes() -> BTreeMap<String, Takes> {
        // An entry in each list makes what its keys take known; what it lacks does not matter.
        let mut table = Table::new();
        for list in Self::keys().iter().filter_map(|key| Some(key.split_once("[].")?.0.to_owned()))
        {
            let keys: Vec<String> = list.split('.').map(str::to_owned).collect();
            tree::put_empty_entry(&mut table, &keys);
        }
        let desk = Desk::default();
        plan(&desk.root(&table), &Interfaces::default());
        desk.asked()
    }
}

fn is_below(each: &str, key: &str) -> bool {
    each.strip_prefix(key).is_some_and(|rest| rest.starts_with(['.', '[']))
}

fn plan(root: &Section<'_>, machine: &Interfaces) -> Plan {
    let state_dir = absolute(root, "state_dir").unwrap_or_else(|| "/var/lib/entracte".into());
    let general = general(&root.section("general"), machine);
    let audio = audio(&root.section("audio"), machine);
    check_ports(root, &general, &audio.rtp);
    Plan {
        administration: administration::administration(&root.section("administration")),
        tls: tls(&root.section("http")),
        http: http(&root.section("http"), &general),
        general,
        audio,
        external_audio: external::external_audio(&root.section("external_audio")),
        text_to_speech: voices::text_to_speech(&root.section("text_to_speech")),
        media: media(&root.section("media")),
        engine: engine(&root.section("engine")),
        cdr: cdr(&root.section("cdr")),
        captures: observe::captures(&root.section("captures")),
        hep: observe::hep(&root.section("hep")),
        traces: observe::traces(&root.section("traces")),
        webhooks: observe::webhooks(root),
        mail: mail::mail(&root.section("mail")),
        log: log(&root.section("log")),
        notes: Vec::new(),
        layers: Layers::default(),
        state_dir,
    }
}

const ADDRESS_TYPES: [(&str, AddressType); 3] =
    [("any", AddressType::Any), ("ip4", AddressType::Ip4), ("ip6", AddressType::Ip6)];

fn general(section: &Section<'_>, machine: &Interfaces) -> General {
    let interface = interface(section, "listen_interface", machine);
    let name = InterfaceName::read(&interface);
    let wanted = section.choice("listen_address_type", AddressType::Any, &ADDRESS_TYPES);
    let listen = name.listen(wanted, machine);
    let reachable = name.single(wanted, machine);
    General {
        listen: listen.unwrap_or_else(|wrong| {
            complain_of_interface(section, "listen_interface", wrong);
            Vec::new()
        }),
        reachable: reachable.unwrap_or_default(),
        sip: sip(&section.section("sip")),
        mrcp: mrcp(&section.section("mrcp")),
        temporary_directory: absolute(section, "temporary_directory"),
        keep_temporary_files: section.flag("keep_temporary_files", false),
    }
}

/// An interface as it is written; an address that is not of this machine is remarked on.
fn interface(section: &Section<'_>, key: &str, machine: &Interfaces) -> String {
    let text = section.text(key).map_or_else(|| "any".to_owned(), |text| text.value);
    if let InterfaceName::Address(address, _) = InterfaceName::read(&text)
        && !address.is_unspecified()
        && !machine.has(address)
    {
        section.note(key, Wrong::NotOurs(address.to_string()));
    }
    text
}

fn complain_of_interface(section: &Section<'_>, key: &str, wrong: Wrong) {
    section.fault(key, wrong, Some("any, the name of a network interface, or an IP address"));
}

const TRANSPORTS: [(&str, Transport); 2] = [("udp", Transport::Udp), ("tcp", Transport::Tcp)];

fn sip(section: &Section<'_>) -> Sip {
    let limits = section.section("limits");
    Sip {
        port: section.integer("port", 6060, 0..=u16::MAX),
        transports: section.choices("protocol", &[Transport::Udp, Transport::Tcp], &TRANSPORTS),
        mark: mark(section, 24),
        advertise: section
            .parsed("advertise", "a host name or an IP address", |text| {
                if text.is_empty() { Some(None) } else { host(text).map(Some) }
            })
            .flatten(),
        limits: SipLimits {
            message_bytes_max: limits.integer("message_bytes_max", 65_535, 4_096..=1_048_576),
            connections_max: limits.integer("connections_max", 12_000, 1..=1_000_000),
            connections_per_peer_max: limits.integer(
                "connections_per_peer_max",
                12_000,
                1..=1_000_000,
            ),
            write_queue_bytes_max: limits.integer(
                "write_queue_bytes_max",
                262_144,
                65_536..=67_108_864,
            ),
            idle_timeout: seconds(&limits, "idle_seconds", 600.0, 1.0..=86_400.0),
            transactions_max: limits.integer("transactions_max", 100_000, 100..=10_000_000),
        },
    }
}

/// A host as SIP names it.
pub(super) fn host(text: &str) -> Option<String> {
    let name = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let letters = |label: &str| {
        !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
    };
    let address = name.parse::<IpAddr>().is_ok_and(|address| !address.is_unspecified());
    let name_fits = name.len() <= 253 && name.trim_end_matches('.').split('.').all(letters);
    (address || name_fits).then(|| name.to_owned())
}

fn mrcp(section: &Section<'_>) -> Mrcp {
    section.choices("protocol", &[()], &[("tcp", ())]);
    Mrcp {
        port: section.integer("port", 8104, 0..=u16::MAX),
        max_sessions: section.integer("max_sessions", 32, 1..=100_000),
        mark: mark(section, 24),
        body_bytes_max: section.integer("body_bytes_max", 65_536, 1_024..=16_777_216),
        advertise: advertise(section),
    }
}

/// The mark of a protocol: `dscp`, unless `qos` is off.
fn mark(section: &Section<'_>, default: u8) -> Option<Dscp> {
    let value = section.integer("dscp", default, 0..=63);
    section.flag("qos", true).then(|| Dscp::new(value)).flatten()
}

fn advertise(section: &Section<'_>) -> Addresses {
    let texts = section.texts("advertise").unwrap_or_default();
    let parts: Vec<&str> =
        texts.iter().map(|text| text.value.as_str()).filter(|text| !text.is_empty()).collect();
    Addresses::parse(&parts).unwrap_or_else(|| {
        let found = Wrong::NotAllowed(format!("{parts:?}"));
        let allowed = "at most one IPv4 and one IPv6 address, neither 0.0.0.0 nor ::";
        section.fault("advertise", found, Some(allowed));
        Addresses::default()
    })
}

const RTP_ADDRESS_TYPES: [(&str, AddressType); 4] = [
    ("any", AddressType::Any),
    ("ip4", AddressType::Ip4),
    ("ip6", AddressType::Ip6),
    ("ip4ip6", AddressType::Ip4Ip6),
];

fn audio(section: &Section<'_>, machine: &Interfaces) -> Audio {
    let rtp = section.section("rtp");
    let name = interface(&rtp, "interface", machine);
    let wanted = rtp.choice("address_type", AddressType::Any, &RTP_ADDRESS_TYPES);
    let bind = InterfaceName::read(&name).single(wanted, machine).unwrap_or_else(|wrong| {
        complain_of_interface(&rtp, "interface", wrong);
        Addresses::default()
    });
    Audio {
        default_prosody_rate: section.number("default_prosody_rate", 1.0, 0.5..=2.0),
        default_prosody_volume: section.number("default_prosody_volume", 100.0, 0.0..=100.0),
        http_cache_directory: local(section, "http_cache_directory"),
        rtp: Rtp {
            port_ranges: port_ranges(&rtp),
            bind,
            advertise: advertise(&rtp),
            mark: mark(&rtp, 46),
        },
        rtcp_mark: mark(&section.section("rtcp"), 46),
    }
}

fn port_ranges(section: &Section<'_>) -> Vec<PortRange> {
    const ALLOWED: &str = "ranges as \"16384-32767\", from 1 to 65535, apart from each other";
    let texts = section.texts("port_ranges");
    let mut ranges: Vec<PortRange> = Vec::new();
    for Placed { value, place, key } in texts.iter().flatten() {
        let fault = |wrong| section.fault_at(place.clone(), key.clone(), wrong, Some(ALLOWED));
        match PortRange::parse(value) {
            None => fault(Wrong::NotAllowed(format!("{value:?}"))),
            Some(Err(wrong)) => fault(wrong),
            Some(Ok(range)) => {
                if let Some(other) = ranges.iter().find(|other| range.overlaps(**other)) {
                    fault(Wrong::Overlap { range: range.to_string(), other: other.to_string() });
                }
                let used = range.to_string();
                if used != value.replace(' ', "") {
                    let wrong = Wrong::Rounded { written: value.clone(), used };
                    section.note_at(place.clone(), key.clone(), wrong);
                }
                ranges.push(range);
            }
        }
    }
    match texts {
        None => PortRange::parse("16384-32767").and_then(Result::ok).into_iter().collect(),
        Some(texts) => {
            if texts.is_empty() {
                section.fault("port_ranges", Wrong::Empty, Some(ALLOWED));
            }
            ranges
        }
    }
}

fn http(section: &Section<'_>, general: &General) -> Option<SocketAddr> {
    let enabled = section.flag("enabled", true);
    let address =
        section.parsed("address", "an IP address of this machine, or 0.0.0.0 or ::", |text| {
            text.parse::<IpAddr>().ok()
        });
    let port = section.integer("port", 8190, 0..=u16::MAX);
    for (other, key) in
        [(general.sip.port, "general.sip.port"), (general.mrcp.port, "general.mrcp.port")]
    {
        if enabled && port == other && port != 0 {
            section.fault("port", Wrong::SamePort { port, other: key }, None);
        }
    }
    let address = address.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    enabled.then(|| SocketAddr::new(address, port))
}

/// Whether pages are served with TLS. Loopback needs none.
fn tls(section: &Section<'_>) -> Option<TlsPlan> {
    let choices = [("auto", None), ("on", Some(true)), ("off", Some(false))];
    let wanted = section.choice("tls", None, &choices);
    let address = section.text("address").and_then(|text| text.value.parse::<IpAddr>().ok());
    let loopback = address.is_none_or(|address| address.is_loopback());
    let files = match (absolute(section, "certificate"), absolute(section, "key")) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (Some(_), None) => {
            section.missing("key", Some("the file of the certificate's key"));
            None
        }
        (None, Some(_)) => {
            section.missing("certificate", Some("the file of the certificate"));
            None
        }
        (None, None) => None,
    };
    let outside = !loopback || files.is_some();
    wanted.unwrap_or(outside).then_some(TlsPlan { files })
}

/// Ports of different services that would meet.
fn check_ports(root: &Section<'_>, general: &General, rtp: &Rtp) {
    let section = root.section("general");
    let (sip, mrcp) = (section.section("sip"), section.section("mrcp"));
    let (sip_port, mrcp_port) = (general.sip.port, general.mrcp.port);
    if sip_port == mrcp_port && sip_port != 0 && general.sip.transports.contains(&Transport::Tcp) {
        mrcp.fault("port", Wrong::SamePort { port: mrcp_port, other: "general.sip.port" }, None);
    }
    let range_of = |port| rtp.port_ranges.iter().find(|range| range.contains(port));
    if general.sip.transports.contains(&Transport::Udp)
        && let Some(range) = range_of(sip_port)
    {
        sip.note("port", Wrong::InsideRange { port: sip_port, range: range.to_string() });
    }
}

pub(super) fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        let value = digit(rest.next())? * 16 + digit(rest.next())?;
        bytes.push(u8::try_from(value).ok()?);
    }
    String::from_utf8(bytes).ok()
}

fn media(section: &Section<'_>) -> Media {
    Media {
        roots: roots(section),
        http_bytes_max: section.integer("http_bytes_max", 52_428_800, 1_024..=4_294_967_296),
        http_timeout: seconds(section, "http_timeout_seconds", 10.0, 0.1..=600.0),
        allow_networks: networks(section),
        cache_bytes_max: section.integer("cache_bytes_max", 268_435_456, 0..=1_099_511_627_776),
        disk_cache_bytes_max: section.integer(
            "disk_cache_bytes_max",
            1_073_741_824,
            0..=1_099_511_627_776,
        ),
        ffmpeg: match section.text("ffmpeg") {
            None => Some("ffmpeg".into()),
            Some(text) if text.value.is_empty() => None,
            Some(text) => Some(text.value.into()),
        },
    }
}

fn roots(section: &Section<'_>) -> Vec<PathBuf> {
    let mut roots = Vec::new();
    for text in section.texts("roots").unwrap_or_default() {
        let path = PathBuf::from(&text.value);
        if !path.is_absolute() {
            let wrong = Wrong::NotAbsolute(text.value);
            section.fault_at(text.place, text.key, wrong, Some("absolute paths of folders"));
            continue;
        }
        if !path.is_dir() {
            section.note_at(text.place, text.key, Wrong::NotThere(text.value));
        }
        roots.push(path);
    }
    roots
}

fn networks(section: &Section<'_>) -> Vec<Network> {
    let mut networks = Vec::new();
    for text in section.texts("allow_networks").unwrap_or_default() {
        match Network::parse(&text.value) {
            Some(network) => networks.push(network),
            None => {
                let wrong = Wrong::NotAllowed(format!("{:?}", text.value));
                let allowed = "IP addresses and ranges as 10.0.0.0/8 or fd00::/8";
                section.fault_at(text.place, text.key, wrong, Some(allowed));
            }
        }
    }
    networks
}

fn engine(section: &Section<'_>) -> Engine {
    Engine {
        threads: Some(section.integer("threads", 0, 0..=64)).filter(|&threads| threads > 0),
        priority: Some(section.integer("priority", 20, 0..=99)).filter(|&priority| priority > 0),
        refuse_above_percent: section.integer("refuse_above_percent", 80, 10..=100),
    }
}

fn cdr(section: &Section<'_>) -> Option<Cdr> {
    let formats = [("off", None), ("jsonl", Some(CdrFormat::Jsonl)), ("csv", Some(CdrFormat::Csv))];
    let keep_days = section.integer("keep_days", 30_u64, 1..=3_650);
    section.choice("format", None, &formats).map(|format| Cdr { format, keep_days })
}

const LOG_LEVELS: [(&str, LogLevel); 5] = [
    ("error", LogLevel::Error),
    ("warn", LogLevel::Warn),
    ("info", LogLevel::Info),
    ("debug", LogLevel::Debug),
    ("trace", LogLevel::Trace),
];

/// What a line of the log may be about.
const LOG_AREAS: [&str; 10] =
    ["sip", "mrcp", "control", "sources", "speech", "engine", "store", "web", "entracte", "audit"];

fn log(section: &Section<'_>) -> Log {
    let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    let mut areas = Vec::new();
    for text in section.texts("areas").unwrap_or_default() {
        let known = text.value.split_once('=').is_some_and(|(area, level)| {
            let levels = LOG_LEVELS.iter().map(|(level, _)| *level);
            LOG_AREAS.contains(&area)
                && (level == "off" || levels.into_iter().any(|one| one == level))
        });
        if known {
            areas.push(text.value);
        } else {
            let levels: Vec<&str> = LOG_LEVELS.iter().map(|(level, _)| *level).collect();
            let allowed = format!(
                "AREA=LEVEL; areas: {}; levels: {}, off",
                LOG_AREAS.join(", "),
                levels.join(", ")
            );
            let wrong = Wrong::NotAllowed(format!("{:?}", text.value));
            section.fault_at(text.place, text.key, wrong, Some(&allowed));
        }
    }
    Log {
        areas,
        level: section.choice("level", LogLevel::Info, &LOG_LEVELS),
        format: section.choice("format", LogFormat::Text, &formats),
    }
}

/// An absolute path; absent or empty is none.
pub(super) fn absolute(section: &Section<'_>, key: &str) -> Option<PathBuf> {
    let text = section.text(key).filter(|text| !text.value.is_empty())?;
    let path = PathBuf::from(&text.value);
    if !path.is_absolute() {
        section.fault(key, Wrong::NotAbsolute(text.value), Some("an absolute path"));
        return None;
    }
    Some(path)
}

/// An absolute path of this machine: no name of a share, as `//server/share` or `\\\\server\\share`.
fn local(section: &Section<'_>, key: &str) -> Option<PathBuf> {
    let text = section.text(key).map(|text| text.value).unwrap_or_default();
    if text.starts_with("//") || text.starts_with("\\\\") {
        let found = Wrong::NotAllowed(format!("{text:?}"));
        section.fault(key, found, Some("an absolute path of this machine, not of a share"));
        return None;
    }
    absolute(section, key)
}

pub(super) fn seconds(
    section: &Section<'_>,
    key: &str,
    default: f64,
    range: std::ops::RangeInclusive<f64>,
) -> Duration {
    Duration::from_secs_f64(section.number(key, default, range))
}

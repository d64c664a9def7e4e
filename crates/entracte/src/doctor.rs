//! Looks over a host and its configuration, and says of each thing that is wrong what to do. For
//! `entracte doctor`, before a server starts or beside one that runs, and for the page Diagnostics.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, ToSocketAddrs as _, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit};
use nix::sys::statvfs::statvfs;
use sources::SourceKind;
use web::{Finding, Severity};

use crate::certificates::Certificates;
use crate::config::{Interfaces, Location, Plan, ProviderForm, Transport};
use crate::recite;
use crate::serve;
use crate::services::{Services, Speaking};
use crate::trial::Trial;

/// How long a source that is tried is listened to.
const LISTEN: Duration = Duration::from_millis(500);
/// How long all sources together may take.
const SOURCES: Duration = Duration::from_secs(30);
/// How long other programs may take to answer.
const PROGRAMS: Duration = Duration::from_secs(5);
/// Sources that are tried; more would take too long.
const SOURCES_MAX: usize = 50;
/// Less free space is a fault, and less than ten times of it is remarked on.
const FREE_BYTES_MIN: u64 = 100 << 20;
/// Descriptors that the server needs besides those of calls.
const DESCRIPTORS: u64 = 200;

/// What a running server has, which another look would take for somebody else's.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Subject {
    /// A server that could be started here.
    #[default]
    Host,
    /// One that runs here: its ports, sources and speech are told by itself.
    Running,
}

/// Findings, in the order in which somebody would look.
#[derive(Debug, Default)]
struct Report(Vec<Finding>);

impl Report {
    fn put(&mut self, severity: Severity, area: &str, what: impl Into<String>, remedy: &str) {
        let (area, remedy) = (area.to_owned(), Some(remedy.to_owned()).filter(|r| !r.is_empty()));
        self.0.push(Finding { severity, area, what: what.into(), remedy });
    }

    fn fine(&mut self, area: &str, what: impl Into<String>) {
        self.put(Severity::Fine, area, what, "");
    }

    fn hint(&mut self, area: &str, what: impl Into<String>, remedy: &str) {
        self.put(Severity::Hint, area, what, remedy);
    }

    fn warning(&mut self, area: &str, what: impl Into<String>, remedy: &str) {
        self.put(Severity::Warning, area, what, remedy);
    }

    fn fault(&mut self, area: &str, what: impl Into<String>, remedy: &str) {
        self.put(Severity::Fault, area, what, remedy);
    }
}

/// Looks at everything that can be looked at without a server.
pub async fn examine(plan: &Plan, subject: Subject) -> Vec<Finding> {
    let mut report = Report::default();
    let notes = plan.notes.iter();
    notes.for_each(|note| report.hint("configuration", note.to_string(), ""));
    if subject == Subject::Host {
        ports(plan, &mut report);
    }
    addresses(plan, &Interfaces::here(), &mut report);
    getting_in(plan, &mut report);
    secrets(plan, &mut report);
    limits(plan, &mut report);
    disk(plan, &mut report);
    // Other programs are asked, which may take their time.
    let asked = plan.clone();
    let told = tokio::task::spawn_blocking(move || {
        let mut report = Report::default();
        clock(&mut report);
        programs(&asked, &mut report);
        report
    });
    match tokio::time::timeout(PROGRAMS, told).await {
        Ok(Ok(told)) => report.0.extend(told.0),
        Ok(Err(_)) | Err(_) => {
            report.warning("programs", "timedatectl or ffmpeg does not answer", "try them by hand");
        }
    }
    names(plan, &mut report).await;
    report.0.extend(sound(plan, subject).await);
    if subject == Subject::Host {
        speech(plan, &mut report).await;
    }
    antivirus(plan, &mut report);
    report.0
}

fn ports(plan: &Plan, report: &mut Report) {
    let general = &plan.general;
    let mut wanted = Vec::new();
    for ip in &general.listen {
        for transport in &general.sip.transports {
            let udp = *transport == Transport::Udp;
            wanted.push(("SIP", "general.sip.port", SocketAddr::new(*ip, general.sip.port), udp));
        }
        wanted.push((
            "MRCPv2",
            "general.mrcp.port",
            SocketAddr::new(*ip, general.mrcp.port),
            false,
        ));
    }
    wanted.extend(plan.http.map(|address| ("HTTP", "http.port", address, false)));
    for (what, key, address, udp) in wanted.into_iter().filter(|(.., at, _)| at.port() != 0) {
        let bound = if udp {
            UdpSocket::bind(address).map(drop)
        } else {
            TcpListener::bind(address).map(drop)
        };
        let protocol = if udp { "UDP" } else { "TCP" };
        match bound {
            Ok(()) => report.fine("ports", format!("{what}: {protocol} {address} is free")),
            Err(error) => {
                let what = format!("{what}: {protocol} {address}: {error}");
                let kind = error.kind();
                let remedy = if kind == io::ErrorKind::AddrInUse {
                    format!(
                        "end the program that has it (\"ss -lpn\" names it), or set {key} to another port"
                    )
                } else if kind == io::ErrorKind::PermissionDenied {
                    format!("set {key} to 1024 or above, or give the server CAP_NET_BIND_SERVICE")
                } else {
                    format!("see {key} and general.listen_interface")
                };
                report.fault("ports", what, &remedy);
            }
        }
    }
}

/// What an offer of ours would name, and whether a peer could reach it.
fn addresses(plan: &Plan, machine: &Interfaces, report: &mut Report) {
    let rtp = &plan.audio.rtp;
    let named = rtp.advertise.or(plan.general.mrcp.advertise).or(rtp.bind);
    let chosen = rtp.advertise.or(plan.general.mrcp.advertise);
    let set = chosen.iter().next().is_some();
    for address in named.iter() {
        let (area, key) = ("addresses", "audio.rtp.advertise");
        if address.is_unspecified() {
            report.fault(
                area,
                format!("media would be asked for at {address}"),
                &format!("set {key}"),
            );
        } else if address.is_loopback() {
            let remedy = format!(
                "good for a trial; for peers on other machines set audio.rtp.interface, or {key}"
            );
            report.warning(
                area,
                format!("peers are told to send media to {address}, this host itself"),
                &remedy,
            );
        } else if is_bridge(address) && !set {
            let remedy = format!(
                "run with the host's network, or set general.sip.advertise, general.mrcp.advertise and {key} to an address that peers reach"
            );
            report.warning(
                area,
                format!("peers are told {address}, which looks like a container's"),
                &remedy,
            );
        } else if is_private(address) && !set {
            let remedy = format!(
                "nothing, if all peers are in the same network; behind NAT set general.sip.advertise, general.mrcp.advertise and {key} to the outer address"
            );
            report.hint(area, format!("peers are told the private address {address}"), &remedy);
        } else if !machine.has(address) && !set {
            report.warning(
                area,
                format!("this machine does not have {address}"),
                "see audio.rtp.interface",
            );
        } else {
            report.fine(area, format!("peers are told to send media to {address}"));
        }
    }
}

/// Docker's own network, which is nobody else's; within a container those of Compose and podman, too.
fn is_bridge(address: IpAddr) -> bool {
    let IpAddr::V4(v4) = address else { return false };
    let marks = ["/.dockerenv", "/run/.containerenv"];
    let contained = marks.iter().any(|mark| Path::new(mark).exists());
    match v4.octets() {
        [172, 17, ..] => true,
        [172, 18..=31, ..] | [10, 88 | 89, ..] => contained,
        _ => false,
    }
}

fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_private() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

fn getting_in(plan: &Plan, report: &mut Report) {
    let Some(http) = plan.http else { return };
    if !http.ip().is_loopback() && plan.tls.is_none() {
        let remedy = "set http.tls to \"on\", or http.address to 127.0.0.1 behind a proxy with TLS";
        report.warning(
            "pages",
            format!("pages are at {http} without TLS: passwords can be read on the way"),
            remedy,
        );
    }
    if let Some(tls) = &plan.tls {
        let own = crate::certificates::own_files(&plan.state_dir);
        if tls.files.is_none() && !own.0.exists() {
            report.fine("pages", "the server makes itself a certificate at its first start");
            return getting_in_people(plan, report);
        }
        match Certificates::read(plan, tls, None) {
            Ok(_) => report.fine("pages", "the certificate and its key fit"),
            Err(error) => report.fault(
                "pages",
                error.to_string(),
                "name both files, readable for the server's user; or neither",
            ),
        }
    }
    getting_in_people(plan, report);
}

fn getting_in_people(plan: &Plan, report: &mut Report) {
    let file = plan.layers.file.as_deref().unwrap_or_else(|| Path::new(crate::config::SYSTEM_FILE));
    let file = &file.canonicalize().unwrap_or_else(|_| file.to_owned());
    let has_hashes = !plan.administration.accounts.users.is_empty();
    let mode = std::fs::metadata(file).map(|known| std::os::unix::fs::MetadataExt::mode(&known));
    if has_hashes && mode.is_ok_and(|mode| mode & 0o004 != 0) {
        report.warning(
            "pages",
            format!("{} has hashes of passwords and is readable for everybody", file.display()),
            &format!("chmod o-r {}", file.display()),
        );
    }
    if plan.administration.accounts.users.is_empty() {
        let remedy =
            "open the link that the server prints at its start, or \"entracte reset-admin\"";
        report.hint("pages", "nobody can log in yet", remedy);
    }
}

/// Files whose first line is a secret.
fn secrets(plan: &Plan, report: &mut Report) {
    let hep = plan.hep.iter().filter_map(|hep| Some(("hep.key_file", hep.key_file.as_ref()?)));
    let webhooks = plan.webhooks.iter().filter_map(|webhook| webhook.secret_file.as_ref());
    let webhooks = webhooks.map(|file| ("webhooks.secret_file", file));
    let mail = plan.mail.servers.iter().filter_map(|server| server.password_file.as_ref());
    let mail = mail.map(|file| ("mail.servers.password_file", file));
    let relays = || plan.mail.outgoing.iter().flat_map(|outgoing| &outgoing.relays);
    let passwords = relays().filter_map(|relay| relay.password_file.as_ref());
    let passwords = passwords.map(|file| ("mail.relays.password_file", file));
    let mail_ca = plan.mail.servers.iter().filter_map(|server| server.ca_file.as_ref());
    let mail_ca = mail_ca.map(|file| ("mail.servers.ca_file", file));
    let relay_ca = relays().filter_map(|relay| relay.ca_file.as_ref());
    let relay_ca = relay_ca.map(|file| ("mail.relays.ca_file", file));
    for (key, file) in mail_ca.chain(relay_ca) {
        match mailroom::retrieval::certificates_in(file) {
            Ok(count) => {
                report.fine("certificates", format!("{key}: {count} in {}", file.display()));
            }
            Err(why) => report.fault(
                "certificates",
                format!("{key}: {why}"),
                "certificates in PEM in a file that the server's user can read",
            ),
        }
    }
    for (key, file) in hep.chain(webhooks).chain(mail).chain(passwords) {
        match crate::webhooks::first_line(file) {
            Ok(_) => report.fine("secrets", format!("{key}: {} can be read", file.display())),
            Err(error) => report.fault(
                "secrets",
                format!("{key}: {}: {error}", file.display()),
                "one line in a file that the server's user, and nobody else, can read",
            ),
        }
    }
}

fn limits(plan: &Plan, report: &mut Report) {
    let sessions = u64::try_from(plan.general.mrcp.max_sessions).unwrap_or(u64::MAX);
    let needed = sessions.saturating_mul(4).saturating_add(DESCRIPTORS);
    match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok((_, hard)) if hard < needed => report.fault(
            "limits",
            format!("{hard} files may be open; {sessions} calls want about {needed}"),
            "LimitNOFILE=65536 in the systemd unit, or lower general.mrcp.max_sessions",
        ),
        Ok((_, hard)) => report.fine("limits", format!("{hard} files may be open")),
        Err(error) => report.warning("limits", format!("open files: {error}"), ""),
    }
    let Some(priority) = plan.engine.priority else { return };
    let granted = getrlimit(Resource::RLIMIT_RTPRIO).map_or(0, |(_, hard)| hard);
    if granted < u64::from(priority) && !nix::unistd::geteuid().is_root() {
        report.hint(
            "limits",
            format!(
                "real-time priority {priority} is not granted: audio may stutter on a busy machine"
            ),
            "LimitRTPRIO=20 in the systemd unit; engine.priority = 0 asks for none",
        );
    }
}

fn disk(plan: &Plan, report: &mut Report) {
    let mut folders = vec![("state_dir", plan.state_dir.clone())];
    if let Some(temporary) = &plan.general.temporary_directory {
        folders.push(("general.temporary_directory", temporary.clone()));
    }
    if let Some(cache) = &plan.audio.http_cache_directory {
        folders.push(("audio.http_cache_directory", cache.clone()));
    }
    match &plan.mail.root {
        _ if !plan.mail.store_enabled => {}
        // It may be a share that hangs.
        Some(root) => match crate::mail::probe(root) {
            Some(why) => {
                let what = format!("mail.root = {}: {why}", root.display());
                report.fault(
                    "disk",
                    what,
                    "voice mail waits in the spool below state_dir meanwhile",
                );
            }
            None => folders.push(("mail.root", root.clone())),
        },
        None => folders.push(("mail.root", plan.mail.root(&plan.state_dir))),
    }
    for (key, folder) in folders {
        let there = existing(&folder);
        let free = match statvfs(&there) {
            Ok(stat) => stat.blocks_available().saturating_mul(stat.fragment_size()),
            Err(error) => {
                report.fault("disk", format!("{key} = {}: {error}", folder.display()), "");
                continue;
            }
        };
        let megabytes = free >> 20;
        let what = format!("{key} = {}: {megabytes} MiB are free", folder.display());
        if free < FREE_BYTES_MIN {
            report.fault("disk", what, "make room, or set it to another disk");
        } else if free < FREE_BYTES_MIN * 10 {
            report.warning(
                "disk",
                what,
                "caches take up to text_to_speech.cache_bytes_max and media.disk_cache_bytes_max",
            );
        } else {
            report.fine("disk", what);
        }
        if folder.is_dir() {
            let probe = folder.join(format!(".doctor-{}", std::process::id()));
            match std::fs::write(&probe, b"").and_then(|()| std::fs::remove_file(&probe)) {
                Ok(()) => {}
                Err(error) => report.fault(
                    "disk",
                    format!("{}: nothing can be written: {error}", folder.display()),
                    "give it to the user that the server runs as; run this as that user",
                ),
            }
        }
    }
}

/// The nearest folder that is there.
fn existing(folder: &Path) -> PathBuf {
    folder.ancestors().find(|each| each.exists()).unwrap_or_else(|| Path::new("/")).to_owned()
}

/// Whether the clock is kept right: times in logs, and those of calls and messages, are compared.
fn clock(report: &mut Report) {
    let said = std::process::Command::new("timedatectl")
        .args(["show", "-p", "NTPSynchronized", "--value"])
        .output();
    let said = said.map(|said| String::from_utf8_lossy(&said.stdout).trim().to_owned());
    match said.as_deref() {
        Ok("yes") => report.fine("clock", "the clock is kept by a time server"),
        Ok("no") => report.warning(
            "clock",
            "the clock is not kept by a time server",
            "systemd-timesyncd or chrony; in a container the host keeps it",
        ),
        Ok(_) | Err(_) => {
            report.hint("clock", "whether the clock is kept right cannot be told here", "");
        }
    }
}

/// Hosts that the configuration names.
async fn names(plan: &Plan, report: &mut Report) {
    let sources = plan.external_audio.sources.iter().filter_map(|source| match &source.location {
        Location::Stream(url) => Some((format!("source {}", source.name), url.clone())),
        Location::Path(_) | Location::Device(_) => None,
    });
    let providers = plan.text_to_speech.providers.iter().filter_map(|provider| {
        let uri = match &provider.form {
            ProviderForm::OpenAi { uri, .. } | ProviderForm::Piper { uri, .. } => uri.clone(),
            ProviderForm::Command { .. } => return None,
        };
        Some((format!("provider {}", provider.name), uri))
    });
    for (what, url) in sources.chain(providers).take(SOURCES_MAX) {
        let Ok(url) = reqwest::Url::parse(&url) else { continue };
        let Some(host) = url.host_str().filter(|host| host.parse::<IpAddr>().is_err()) else {
            continue;
        };
        let host = host.to_owned();
        let asked = host.clone();
        let found =
            tokio::task::spawn_blocking(move || (asked.as_str(), 0).to_socket_addrs().map(drop));
        match found.await {
            Ok(Ok(())) => report.fine("names", format!("{what}: {host} has an address")),
            Ok(Err(error)) => report.fault(
                "names",
                format!("{what}: {host}: {error}"),
                "see the name, and /etc/resolv.conf",
            ),
            Err(_) => {}
        }
    }
}

fn programs(plan: &Plan, report: &mut Report) {
    let Some(ffmpeg) = &plan.media.ffmpeg else { return };
    let there = std::process::Command::new(ffmpeg).arg("-version").output();
    match there {
        Ok(_) => report.fine("programs", format!("{} runs", ffmpeg.display())),
        Err(error) => report.warning(
            "programs",
            format!("{}: {error}", ffmpeg.display()),
            "install ffmpeg: without it HLS, WMA and ALSA devices are not heard; or set media.ffmpeg to \"\"",
        ),
    }
}

/// Why there is music, or none: the sound server, if one is needed, and every source. HST-01.
pub async fn sound(plan: &Plan, subject: Subject) -> Vec<Finding> {
    let mut report = Report::default();
    let external = &plan.external_audio;
    if !external.enabled {
        report.warning(
            "sound",
            "no source is on offer: external_audio.enabled is false",
            "set it to true",
        );
        return report.0;
    }
    let by_server = |location: &Location| matches!(location, Location::Device(name) if !name.starts_with("alsa:"));
    let devices = external.sources.iter().filter(|source| by_server(&source.location)).count();
    let sound_server = external.sound_server.clone();
    let asked = tokio::task::spawn_blocking(move || sources::devices(sound_server.as_deref()));
    match asked.await {
        Ok(Ok(found)) => report.fine("sound", format!("the sound server answers and has {} devices to capture from", found.len())),
        Ok(Err(error)) if devices > 0 => report.fault(
            "sound",
            format!(
                "{devices} source{} by the sound server: {error}",
                if devices == 1 { " is a device that comes" } else { "s are devices that come" },
            ),
            "start PulseAudio or PipeWire for the user that the server runs as (systemctl --user enable --now pipewire-pulse; loginctl enable-linger USER), or name its socket in external_audio.sound_server",
        ),
        Ok(Err(error)) => report.fine("sound", format!("no source needs a sound server, and none answers: {error}")),
        Err(_) => {}
    }
    if external.sources.is_empty() {
        report.hint(
            "sound",
            "no source is configured: calls hear only what requests name",
            "add one on the page External Audio, or in [[external_audio.sources]]",
        );
    }
    if subject == Subject::Host {
        each_source(plan, &mut report).await;
    }
    report.0
}

/// Tries every source, all at the same time.
async fn each_source(plan: &Plan, report: &mut Report) {
    let settings = match serve::source_settings(plan) {
        Ok(settings) => settings,
        Err(error) => return report.fault("sound", error.to_string(), ""),
    };
    let mut trials = Vec::new();
    for source in plan.external_audio.sources.iter().take(SOURCES_MAX) {
        let config = match serve::source_config(source) {
            Ok(config) => config,
            Err(error) => {
                report.fault("sound", format!("source {}: {error}", source.name), "");
                continue;
            }
        };
        // It binds a port, which a server that runs may have.
        let rtp = matches!(config.kind, SourceKind::Rtp(_));
        match Trial::start(config, settings.clone()) {
            Ok(trial) => {
                trials.push((
                    source,
                    rtp,
                    tokio::task::spawn_blocking(move || trial.judge(LISTEN)),
                ));
            }
            Err(error) => report.fault("sound", format!("source {}: {error}", source.name), ""),
        }
    }
    for (source, rtp, trial) in trials {
        let judged = tokio::time::timeout(SOURCES, trial).await;
        let name = &source.name;
        match judged {
            Ok(Ok(Ok(tried))) if tried.ok => {
                let level = tried.rms_dbfs.unwrap_or(-99.0);
                let what = format!("source {name} is heard, {level:.0} dBFS");
                if level < -45.0 {
                    report.warning("sound", what, "it is very quiet: set its gain_db or loudness");
                } else {
                    report.fine("sound", what);
                }
            }
            Ok(Ok(Ok(tried))) => {
                let why = tried.error.unwrap_or_default();
                let remedy = match &source.location {
                    _ if rtp => "see that the sender sends to this address and port",
                    Location::Device(_) => "\"entracte sources devices\" names what there is",
                    Location::Stream(_) => {
                        "try it with \"entracte sources test\"; the fallback is heard meanwhile"
                    }
                    Location::Path(_) => "see the path, and that the server's user may read it",
                };
                report.fault("sound", format!("source {name} is not heard: {why}"), remedy);
            }
            Ok(Ok(Err(error))) => report.warning("sound", format!("source {name}: {error}"), ""),
            Ok(Err(_)) | Err(_) => {
                report.warning("sound", format!("source {name}: no word in time"), "");
            }
        }
    }
}

async fn speech(plan: &Plan, report: &mut Report) {
    if !plan.text_to_speech.enabled {
        return report.hint("speech", "texts are not spoken: text_to_speech.enabled is false", "");
    }
    let mut notes = Vec::new();
    let folder = match TemporaryFolder::create() {
        Ok(folder) => folder,
        Err(error) => return report.fault("speech", format!("no temporary folder: {error}"), ""),
    };
    let quiet = quiet(plan, &folder.0);
    let services: Arc<Services> = match serve::services(&quiet, &mut notes).await {
        Ok(services) => Arc::new(services),
        Err(error) => return report.fault("speech", error.to_string(), ""),
    };
    for note in notes {
        report.warning("speech", note, "");
    }
    match &services.speech {
        Speaking::On(_) => {}
        Speaking::Off => return,
        Speaking::Missing(why) => {
            return report.fault(
                "speech",
                why.clone(),
                "install the helper speech-espeak beside the server",
            );
        }
    }
    let defaults = serve::defaults(plan, &services);
    let Some(content) = recite::content("Can you hear me?".to_owned(), "text/plain") else {
        return;
    };
    let settings = mrcp::settings::Settings::default();
    let prosody = control::playout::Prosody::Request;
    match recite::recite(&services, &defaults, &content, &settings, prosody).await {
        Ok(recital) => {
            let by =
                recital.voice.map(|voiced| format!("{}, voice {}", voiced.provider, voiced.voice));
            let first = recital.first.as_millis();
            report.fine(
                "speech",
                format!("{} speaks, first sound after {first} ms", by.unwrap_or_default()),
            );
        }
        Err(failure) => {
            report.fault("speech", failure.to_string(), "\"entracte speak\" tries each voice");
        }
    }
}

/// A folder that goes with this value.
struct TemporaryFolder(PathBuf);

impl TemporaryFolder {
    fn create() -> io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt as _;
        let secret = web::random_secret().map_err(io::Error::other)?;
        let path = std::env::temp_dir().join(format!("entracte-doctor-{secret}"));
        // Not one that somebody else has made.
        std::fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::debug!(%error, "a temporary folder is left");
        }
    }
}

/// The same without sources, and with a folder of its own for what is written meanwhile.
fn quiet(plan: &Plan, folder: &Path) -> Plan {
    let mut quiet = plan.clone();
    quiet.external_audio.sources.clear();
    quiet.text_to_speech.cache_bytes_max = 0;
    quiet.media.disk_cache_bytes_max = 0;
    quiet.general.keep_temporary_files = false;
    quiet.general.temporary_directory = Some(folder.to_owned());
    quiet
}

/// Folders that a scanner of files should leave alone. S1 "Antivirus".
fn antivirus(plan: &Plan, report: &mut Report) {
    let mut folders = vec![plan.state_dir.clone(), plan.temporary_directory()];
    folders.extend(plan.audio.http_cache_directory.clone());
    // What is below another one is left out with it.
    folders.dedup_by(|below, above| below.starts_with(above));
    let folders: Vec<String> = folders.iter().map(|folder| folder.display().to_string()).collect();
    report.hint(
        "antivirus",
        format!(
            "if files are scanned on this host, leave out {} with all below",
            folders.join(" and ")
        ),
        "scan what is written only, and in full outside the busy hours",
    );
}

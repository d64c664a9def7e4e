//! Starts the server from a [`Plan`] and ends it: binds every port, starts engines, sources and
//! speech, and runs the control loop.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use audio::Gain;
use control::playout::Defaults;
use engine::{EngineConfig, Engines};
use sip::agent::{Address, Agent, AgentConfig, Transport};
use sip::sdp::mrcp::{Capabilities, Connected, Law};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use vocab::Tokens;

use crate::audit::Audit;
use crate::cdr::{self, Records};
use crate::certificates::Certificates;
use crate::clock::Clock;
use crate::config::{self, Location, Plan};
use crate::journal::Journal;
use crate::mail::{self, Mail};
use crate::net::Protocol;
use crate::net::stream::{self, Limits, Registry};
use crate::net::udp::UdpPort;
use crate::services::{Kept, Services, Speaking};
use crate::settings::{self, Keeper};
use crate::view::ServerView;
use crate::voices;
use crate::watching::{self, Watching};
use crate::wiring::{EVENTS_MAX, Event, MediaSettings, Parts, Standing, Wiring};

/// The hold music that is built in, heard while a source is away.
pub static HOLD_MUSIC: &[u8] = include_bytes!("../../sources/assets/hold-music.wav");

/// How long a server that was told to end waits for its calls before it hangs up.
pub const DRAIN: Duration = Duration::from_secs(30);

/// How long calls have for their goodbye after that.
const GOODBYE: Duration = Duration::from_secs(2);

/// What only tests set otherwise: how patient the server is with its peers.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The timers of SIP. RFC 3261 §17.
    pub timing: sip::transaction::Timing,
    /// When a silent peer is asked whether it is still there.
    pub liveness: control::Liveness,
    /// How long a message may take from its first byte to its last.
    pub half_message: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            timing: sip::transaction::Timing::default(),
            liveness: control::Liveness::default(),
            half_message: stream::HALF_MESSAGE,
        }
    }
}

/// Why the server does not start: the key that names it, and what is wrong.
#[derive(Debug)]
pub struct StartError {
    key: &'static str,
    what: String,
    busy_port: bool,
}

impl StartError {
    pub(crate) fn new(key: &'static str, what: impl fmt::Display) -> Self {
        Self { key, what: what.to_string(), busy_port: false }
    }

    /// The key of the configuration that asks for what cannot be had.
    pub const fn key(&self) -> &'static str {
        self.key
    }

    /// Whether another program has the port.
    pub const fn is_busy_port(&self) -> bool {
        self.busy_port
    }

    pub(crate) fn bind(
        key: &'static str,
        what: &str,
        address: SocketAddr,
        error: &io::Error,
    ) -> Self {
        let known = [
            (io::ErrorKind::AddrInUse, "the port is in use by another program"),
            (io::ErrorKind::PermissionDenied, "not permitted: ports below 1024 want a right"),
            (io::ErrorKind::AddrNotAvailable, "this machine does not have the address"),
        ];
        let known = known.into_iter().find(|(kind, _)| *kind == error.kind());
        let why = known.map_or_else(|| error.to_string(), |(_, why)| why.to_owned());
        let busy_port = error.kind() == io::ErrorKind::AddrInUse;
        Self { key, what: format!("cannot listen on {address} ({what}): {why}"), busy_port }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.what)
    }
}

impl std::error::Error for StartError {}

/// A running server.
#[derive(Debug)]
pub struct Running {
    /// Where SIP is spoken.
    pub sip: Vec<(Transport, SocketAddr)>,
    /// Where MRCPv2 is spoken.
    pub mrcp: Vec<SocketAddr>,
    /// Where pages and the API are.
    pub http: Option<SocketAddr>,
    /// All of these and the ports of RTP, as the ready line has them.
    pub listens: Vec<String>,
    /// The one-time link by which the first administrator comes in, when there is none yet.
    pub setup_link: Option<String>,
    /// What is not as it should be, and works all the same.
    pub notes: Vec<String>,
    events: mpsc::Sender<Event>,
    control: JoinHandle<()>,
    services: Arc<Services>,
    tasks: Vec<JoinHandle<()>>,
    view: Arc<ServerView>,
}

/// What is bound.
struct Bound {
    udp: Vec<UdpPort>,
    sip_tcp: Vec<tokio::net::TcpListener>,
    mrcp: Vec<tokio::net::TcpListener>,
    http: Option<tokio::net::TcpListener>,
    doors: mail::Doors,
}

/// Starts everything; returns once every port is bound. Must be called within a tokio runtime.
///
/// # Errors
/// The first thing that cannot be had, by the key that asks for it.
pub async fn start(plan: &Plan) -> Result<Running, StartError> {
    start_with(plan, &Options::default()).await
}

/// As [`start`], with other timers.
///
/// # Errors
/// As [`start`].
pub async fn start_with(plan: &Plan, options: &Options) -> Result<Running, StartError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| StartError::new("the system", error))?;
    let mut tokens = Tokens::new(seed);
    settings::make_private(&plan.state_dir).map_err(|error| {
        StartError::new("state_dir", format!("{}: {error}", plan.state_dir.display()))
    })?;
    let bound = bind(plan)?;
    let (events, received) = mpsc::channel(EVENTS_MAX);
    let (engines, mut notes) = engines(plan, &mut tokens, &events)?;
    let services = Arc::new(services(plan, &mut notes).await?);

    let sip = addresses(&bound)?;
    let mrcp = listeners(&bound.mrcp, "general.mrcp.port")?;
    let (agent, server) = machines((plan, options), &services, (&sip, &mrcp), &mut tokens);
    let limits = limits(plan, options);
    let (host, run) = (host_name(), tokens.next_hex());
    let watching = watching::start(plan, records(plan)?, &host, &run, &mut notes)?;
    let certificates = page_certificates(plan, &bound, &host)?;
    let known = (certificates.as_ref(), &*host);
    let mail = mail::start(plan, (&watching.told.announcer, &services), known, &mut notes)?;
    let Watching { wire, told, .. } = &watching;
    let most = &plan.general.sip.limits;
    let registry = Registry::new(most.connections_max, most.connections_per_peer_max, wire.clone());
    let parts = Parts {
        agent,
        server,
        engines,
        services: Arc::clone(&services),
        udp: bound.udp.clone(),
        limits,
        registry: registry.clone(),
        events: events.clone(),
        told: told.clone(),
        wire: wire.clone(),
        media: media(plan),
    };
    let http = bound.http.as_ref().and_then(|listener| listener.local_addr().ok());
    let rtp = rtp_ports(plan);
    let mut listens = listens(&sip, &mrcp, &rtp, http);
    listens.extend(bound.doors.listens());
    let tls = certificates.as_ref().map(Certificates::server).transpose()?;
    let running = settings::Running {
        services: Arc::clone(&services),
        events: events.clone(),
        certificates,
        captures: wire.captures().clone(),
    };
    let announcer = told.announcer.clone();
    let view = Arc::new(view(plan, running, (watching, mail), &listens, &notes));
    tell_url(plan, http);
    watching::tell_sources(&services, announcer.clone());
    tokio::spawn(watching::tell_alarms(Arc::downgrade(&view), announcer));
    let tasks = listen(bound, (Arc::clone(&view), plan, tls), limits, &registry);
    let wiring = Wiring::new(parts, Clock::start(), tokens.next_seed());
    let control = tokio::spawn(wiring.run(received));
    let setup_link = first_link(plan, http);
    Ok(Running {
        sip,
        mrcp,
        http,
        listens,
        notes,
        events,
        control,
        services,
        tasks,
        view,
        setup_link,
    })
}

/// What pages are served with, if they are and by TLS.
fn page_certificates(
    plan: &Plan,
    bound: &Bound,
    host: &str,
) -> Result<Option<Arc<Certificates>>, StartError> {
    let tls = plan.tls.as_ref().filter(|_| bound.http.is_some());
    tls.map(|tls| Certificates::load(plan, tls, host)).transpose()
}

/// Tells commands on this host where pages are.
fn tell_url(plan: &Plan, http: Option<SocketAddr>) {
    let url = http.map(|address| page_url(plan, address));
    if let Err(error) = settings::tell_url(&plan.state_dir, url.as_deref()) {
        tracing::warn!(%error, "commands on this host find the server by its configuration only");
    }
}

/// The machines that decide: of SIP, and of what is heard.
fn machines(
    (plan, options): (&Plan, &Options),
    services: &Services,
    (sip, mrcp): (&[(Transport, SocketAddr)], &[SocketAddr]),
    tokens: &mut Tokens,
) -> (Agent, control::Server) {
    let mrcp_port = mrcp.first().map_or(plan.general.mrcp.port, SocketAddr::port);
    let agent = agent_config(plan, sip, tokens.next_seed());
    let agent = Agent::new(AgentConfig { timing: options.timing, ..agent });
    let server = server_config(plan, services, tokens.next_seed());
    let liveness = options.liveness;
    (agent, control::Server::new(control::Config { mrcp_port, liveness, ..server }))
}

/// What all streams have in common.
fn media(plan: &Plan) -> MediaSettings {
    MediaSettings {
        cname: format!("entracte@{}", host_name()),
        dscp: engine::Marks {
            rtp: plan.audio.rtp.mark.map_or(0, config::Dscp::value),
            rtcp: plan.audio.rtcp_mark.map_or(0, config::Dscp::value),
        },
        local: media_address(plan).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
    }
}

/// Where calls that are over are recorded, if they are.
fn records(plan: &Plan) -> Result<Option<Records>, StartError> {
    let start = |cdr: config::Cdr| {
        let folder = cdr::folder(&plan.state_dir);
        Records::start(folder, cdr.format, cdr.keep_days)
            .map_err(|error| StartError::new("cdr.format", error))
    };
    plan.cdr.map(start).transpose()
}

/// What the machine that decides is told once.
fn server_config(plan: &Plan, services: &Services, seed: [u8; 32]) -> control::Config {
    control::Config {
        seed,
        sessions_max: plan.general.mrcp.max_sessions,
        mrcp_port: plan.general.mrcp.port,
        capabilities: capabilities(plan),
        defaults: defaults(plan, services),
        catalog: services.catalog(),
        liveness: control::Liveness::default(),
    }
}

/// What pages show and change.
fn view(
    plan: &Plan,
    running: settings::Running,
    (watching, mail): (Watching, Option<Mail>),
    listens: &[String],
    notes: &[String],
) -> ServerView {
    let local = settings::make_local_token(&plan.state_dir)
        .inspect_err(|error| tracing::warn!(%error, "commands on this host must bring a token"));
    let notes = plan.notes.iter().map(ToString::to_string).chain(notes.iter().cloned());
    ServerView {
        services: Arc::clone(&running.services),
        sound_server: plan.external_audio.sound_server.clone(),
        offered: capabilities(plan),
        events: running.events.clone(),
        keeper: Keeper::new(plan.layers.clone(), Arc::new(plan.clone()), running),
        local: local.ok(),
        audit: Audit::open(&plan.state_dir),
        watching,
        mail,
        machine: host_name(),
        started: crate::clock::instant(),
        listens: listens.to_vec(),
        notes: notes.collect(),
        media: media_address(plan),
        examining: tokio::sync::Mutex::default(),
        trials: tokio::sync::Semaphore::new(crate::view::TRIALS_MAX),
    }
}

/// The limits of streams.
fn limits(plan: &Plan, options: &Options) -> Limits {
    let sip = &plan.general.sip.limits;
    Limits {
        sip_message_bytes_max: sip.message_bytes_max,
        mrcp_body_bytes_max: plan.general.mrcp.body_bytes_max,
        write_queue_bytes_max: sip.write_queue_bytes_max,
        idle: sip.idle_timeout,
        half_message: options.half_message,
    }
}

/// Starts a task for everything that is bound.
fn listen(
    bound: Bound,
    (view, plan, tls): (Arc<ServerView>, &Plan, Option<Arc<rustls::ServerConfig>>),
    limits: Limits,
    registry: &Registry,
) -> Vec<JoinHandle<()>> {
    let events = view.events.clone();
    let mut tasks = Vec::new();
    for port in bound.udp {
        tasks.push(tokio::spawn(port.run(events.clone())));
    }
    let streams = [(bound.sip_tcp, Protocol::Sip), (bound.mrcp, Protocol::Mrcp)];
    for (listeners, protocol) in streams {
        for listener in listeners {
            let run = stream::run(listener, protocol, limits, registry.clone(), events.clone());
            tasks.push(tokio::spawn(run));
        }
    }
    if let Some(room) = view.mail.as_ref().and_then(|mail| mail.room.as_ref()) {
        tasks.extend(bound.doors.serve(room));
    }
    if let Some(listener) = bound.http {
        let setup_file = settings::setup_file(&plan.state_dir);
        let router = web::router(view, web::Options { setup_file, secure: tls.is_some() });
        tasks.push(tokio::spawn(web::serve(listener, router, tls)));
    }
    tasks
}

/// Every address that is listened on, with its protocol.
fn listens(
    sip: &[(Transport, SocketAddr)],
    mrcp: &[SocketAddr],
    rtp: &str,
    http: Option<SocketAddr>,
) -> Vec<String> {
    let sip = sip.iter().map(|(transport, address)| {
        format!("sip/{} {address}", transport.as_str().to_ascii_lowercase())
    });
    let mrcp = mrcp.iter().map(|address| format!("mrcp/tcp {address}"));
    let http = http.map(|address| format!("http/tcp {address}"));
    sip.chain(mrcp).chain(std::iter::once(format!("rtp/udp {rtp}"))).chain(http).collect()
}

/// A link for the first administrator, where nobody can log in.
fn first_link(plan: &Plan, http: Option<SocketAddr>) -> Option<String> {
    let http = http.filter(|_| plan.administration.accounts.users.is_empty())?;
    let file = settings::setup_file(&plan.state_dir);
    match web::make_setup_link(&file, crate::clock::wall()) {
        Ok(secret) => Some(setup_link(plan, http, &secret)),
        Err(error) => {
            tracing::error!(%error, file = %file.display(), "no link for the first administrator");
            None
        }
    }
}

/// The one-time link with this secret, as it is opened on this host.
#[must_use]
pub fn setup_link(plan: &Plan, http: SocketAddr, secret: &str) -> String {
    format!("{}/setup?token={secret}", page_url(plan, http))
}

/// Where pages are, asked from this host.
#[must_use]
pub fn page_url(plan: &Plan, mut http: SocketAddr) -> String {
    if http.ip().is_unspecified() {
        let here: IpAddr =
            if http.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
        http.set_ip(here);
    }
    let scheme = if plan.tls.is_some() { "https" } else { "http" };
    format!("{scheme}://{http}")
}

impl Running {
    /// Reads the settings again, and puts to use what can be without a restart.
    ///
    /// # Errors
    /// All that is wrong with them; then the last good ones stay in use.
    pub async fn reload(&self, who: &str) -> Result<web::Applied, Vec<web::FieldFault>> {
        web::Settings::reload(&*self.view, who).await
    }

    /// Feeds systemd's watchdog, where there is one, until it is dropped.
    pub fn watchdog(&self) -> impl Future<Output = ()> + Send + 'static {
        crate::supervision::feed_watchdog(self.events.clone())
    }

    /// Comes when the server has ended by itself, which it should not.
    pub async fn ended(&mut self) {
        let _ = (&mut self.control).await;
    }

    /// How things stand; `None` when the server has ended.
    pub async fn standing(&self) -> Option<Standing> {
        let (ask, answer) = oneshot::channel();
        self.events.send(Event::Ask(ask)).await.ok()?;
        answer.await.ok()
    }

    /// The message store, if there is one.
    pub fn mail(&self) -> Option<Arc<mailbox::MessageStore>> {
        self.view.mail.as_ref().map(|mail| Arc::clone(&mail.store))
    }

    /// The live sources, prompts and speech.
    pub fn services(&self) -> &Services {
        &self.services
    }

    /// Takes no new calls, waits for those that are, at most `patience`, then hangs up and ends.
    pub async fn end(self, patience: Duration) {
        self.end_sooner(patience, std::future::pending()).await;
    }

    /// As [`Self::end`]; when `hurry` comes first, it hangs up at once.
    pub async fn end_sooner(mut self, patience: Duration, hurry: impl Future<Output = ()>) {
        let _ = self.events.send(Event::Drain).await;
        let ended = tokio::select! {
            _ = &mut self.control => true,
            () = tokio::time::sleep(patience) => false,
            () = hurry => false,
        };
        if !ended {
            let _ = self.events.send(Event::HangUp).await;
            let _ = tokio::time::timeout(GOODBYE, &mut self.control).await;
        }
        // What was captured to the end is whole on the disk.
        let captures = self.view.watching.wire.captures().clone();
        let written = tokio::task::spawn_blocking(move || captures.end());
        let _ = tokio::time::timeout(GOODBYE, written).await;
        // Whoever takes the mailboxes over need not wait for a lease.
        if let Some(mail) = &self.view.mail {
            let store = Arc::clone(&mail.store);
            let left = tokio::task::spawn_blocking(move || store.close());
            let _ = tokio::time::timeout(GOODBYE, left).await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.control.abort();
        for task in &self.tasks {
            task.abort();
        }
    }
}

fn bind(plan: &Plan) -> Result<Bound, StartError> {
    let general = &plan.general;
    let doors = mail::Doors::bind(plan)?;
    let (udp, sip_tcp, mrcp) = (Vec::new(), Vec::new(), Vec::new());
    let mut bound = Bound { udp, sip_tcp, mrcp, http: None, doors };
    let sip_mark = general.sip.mark.map(config::Dscp::value);
    for ip in &general.listen {
        let address = SocketAddr::new(*ip, general.sip.port);
        for transport in &general.sip.transports {
            match transport {
                config::Transport::Udp => {
                    let port = UdpPort::bind(address, sip_mark).map_err(|error| {
                        StartError::bind("general.sip.port", "SIP over UDP", address, &error)
                    })?;
                    bound.udp.push(port);
                }
                config::Transport::Tcp => {
                    let listener = stream::listen(address, sip_mark).map_err(|error| {
                        StartError::bind("general.sip.port", "SIP over TCP", address, &error)
                    })?;
                    bound.sip_tcp.push(listener);
                }
            }
        }
        let address = SocketAddr::new(*ip, general.mrcp.port);
        let mark = general.mrcp.mark.map(config::Dscp::value);
        let listener = stream::listen(address, mark).map_err(|error| {
            StartError::bind("general.mrcp.port", "MRCPv2 over TCP", address, &error)
        })?;
        bound.mrcp.push(listener);
    }
    if let Some(address) = plan.http {
        let listener = stream::listen(address, None)
            .map_err(|error| StartError::bind("http.port", "HTTP", address, &error))?;
        bound.http = Some(listener);
    }
    Ok(bound)
}

fn listeners(
    listeners: &[tokio::net::TcpListener],
    key: &'static str,
) -> Result<Vec<SocketAddr>, StartError> {
    listeners
        .iter()
        .map(|listener| listener.local_addr().map_err(|error| StartError::new(key, error)))
        .collect()
}

fn addresses(bound: &Bound) -> Result<Vec<(Transport, SocketAddr)>, StartError> {
    let mut all: Vec<_> = bound.udp.iter().map(|port| (Transport::Udp, port.local())).collect();
    let tcp = listeners(&bound.sip_tcp, "general.sip.port")?;
    all.extend(tcp.into_iter().map(|address| (Transport::Tcp, address)));
    Ok(all)
}

fn engines(
    plan: &Plan,
    tokens: &mut Tokens,
    events: &mpsc::Sender<Event>,
) -> Result<(Engines, Vec<String>), StartError> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let Some(bind) = media_address(plan) else {
        return Err(StartError::new("audio.rtp.interface", "has no address"));
    };
    let ranges = plan.audio.rtp.port_ranges.iter();
    let config = EngineConfig {
        engines: plan.engine.threads.unwrap_or_else(|| cores.saturating_sub(1).max(1)),
        priority: plan.engine.priority,
        port_ranges: ranges.map(|range| range.first()..=range.last()).collect(),
        bind,
        refuse_above: plan.engine.refuse_above_percent,
        seed: tokens.next_seed(),
        ..EngineConfig::default()
    };
    let reports = events.clone();
    // The pump's own thread: it may wait for the loop, and the engines never do.
    let sink = Box::new(move |report| {
        let _ = reports.blocking_send(Event::Engine(report));
    });
    let (engines, notes) =
        Engines::start(&config, sink).map_err(|error| StartError::new("engine.threads", error))?;
    let notes = notes.iter().filter(|note| note.is_warning()).map(ToString::to_string).collect();
    Ok((engines, notes))
}

/// Starts whatever gives audio: live sources, prompts, speech. What is missing and can be done without
/// is noted.
///
/// # Errors
/// The first thing that cannot be done without, by the key that asks for it.
pub async fn services(plan: &Plan, notes: &mut Vec<String>) -> Result<Services, StartError> {
    // Without one, a name that no program has: formats that need it say so.
    let ffmpeg = plan.media.ffmpeg.clone().unwrap_or_default();
    let (configs, settings) = live_sources(plan)?;
    let allow = allowed(plan);
    let (happenings, mut happened) = mpsc::channel(256);
    let live = sources::Sources::start(configs, settings, &happenings)
        .map_err(|error| StartError::new("external_audio", error))?;
    let journal = Arc::<Journal>::default();
    let noting = Arc::clone(&journal);
    tokio::spawn(async move {
        while let Some(event) = happened.recv().await {
            noting.note(&event);
        }
    });
    let temporary = temporary(plan, notes)?;
    let own = plan.state_dir.join("cache");
    let disk = cache(
        &plan.audio.http_cache_directory.clone().unwrap_or_else(|| own.join("prompts")),
        ("media.disk_cache_bytes_max", plan.media.disk_cache_bytes_max),
        notes,
    );
    let prompts = sources::Prompts::new(sources::PromptConfig {
        roots: plan.media.roots.clone(),
        allow,
        patience: plan.media.http_timeout,
        http_bytes_max: plan.media.http_bytes_max,
        cache_bytes: usize::try_from(plan.media.cache_bytes_max).unwrap_or(usize::MAX),
        ffmpeg,
        disk: disk.clone(),
        temporary: Some(temporary.clone()),
        ..sources::PromptConfig::default()
    })
    .map_err(|error| StartError::new("media", error))?;
    let spoken = cache(
        &own.join("speech"),
        ("text_to_speech.cache_bytes_max", plan.text_to_speech.cache_bytes_max),
        notes,
    );
    let speech = voices::speaking(plan, temporary.clone(), spoken.clone(), notes).await?;
    Ok(Services {
        prompts,
        sources: live,
        journal,
        speech,
        lexicons: crate::lexicons::Lexicons::default(),
        first_audio: crate::first_audio::FirstAudio::default(),
        limited: std::sync::atomic::AtomicU64::new(0),
        kept: Kept { speech: spoken, prompts: disk },
        mail_enabled: plan.mail.retrieval_enabled,
        mail: std::sync::OnceLock::new(),
        temporary,
    })
}

/// The folder for files that are needed for a moment; what a crash left in it is swept.
fn temporary(plan: &Plan, notes: &mut Vec<String>) -> Result<store::Temporary, StartError> {
    let folder = plan.temporary_directory();
    let keep = plan.general.keep_temporary_files;
    let (temporary, swept) = store::Temporary::open(&folder, keep).map_err(|error| {
        let what = format!("{}: {error}", folder.display());
        StartError::new("general.temporary_directory", what)
    })?;
    if swept > 0 {
        tracing::info!(swept, folder = %folder.display(), "temporary files of an earlier run are deleted");
    }
    if keep {
        let folder = folder.display();
        notes.push(format!(
            "general.keep_temporary_files: what callers hear stays in {folder}; for troubleshooting only"
        ));
    }
    Ok(temporary)
}

/// The folder `name` of the disk cache, of the size that `key` sets. Without it all works, only slower.
fn cache(
    folder: &Path,
    (key, bytes_max): (&str, u64),
    notes: &mut Vec<String>,
) -> Option<Arc<store::Cache>> {
    if bytes_max == 0 {
        return None;
    }
    match store::Cache::open(folder, bytes_max) {
        Ok(cache) => Some(Arc::new(cache)),
        Err(error) => {
            notes.push(format!("{key}: {}: {error}; nothing is kept there", folder.display()));
            None
        }
    }
}

/// All live sources, and what they share.
///
/// # Errors
/// As [`source_settings`] and [`source_config`].
pub fn live_sources(
    plan: &Plan,
) -> Result<(Vec<sources::SourceConfig>, sources::Settings), StartError> {
    let external = &plan.external_audio;
    let listed = if external.enabled { external.sources.as_slice() } else { &[] };
    let configs = listed.iter().map(source_config).collect::<Result<_, _>>()?;
    Ok((configs, source_settings(plan)?))
}

/// What all live sources share.
///
/// # Errors
/// When the fallback cannot be read.
pub fn source_settings(plan: &Plan) -> Result<sources::Settings, StartError> {
    let external = &plan.external_audio;
    let mut settings = sources::Settings::new(fallback(external.fallback.as_deref())?);
    settings.stall = external.stall;
    settings.sound_server.clone_from(&external.sound_server);
    settings.ffmpeg = plan.media.ffmpeg.clone().unwrap_or_default();
    settings.allow = allowed(plan);
    Ok(settings)
}

/// One live source.
///
/// # Errors
/// When its URI is none that can be played.
pub fn source_config(source: &config::SourcePlan) -> Result<sources::SourceConfig, StartError> {
    let kind = match &source.location {
        Location::Path(path) => sources::SourceKind::Path(path.clone()),
        Location::Stream(url) => sources::SourceKind::parse(url)
            .map_err(|error| StartError::new("external_audio.sources.uri", error))?,
        Location::Device(name) => sources::SourceKind::Device(name.clone()),
    };
    let fallback = match &source.fallback {
        Some(path) => {
            let own = fallback(Some(path)).map_err(|error| {
                let what = format!("{}: fallback {}: {}", source.name, path.display(), error.what);
                StartError::new("external_audio.sources", what)
            });
            Some(own?)
        }
        None => None,
    };
    Ok(sources::SourceConfig {
        name: source.name.clone(),
        kind,
        gain: Gain::from_db(narrow(source.gain_db)),
        fallback,
        start: match source.start {
            config::Start::Always => sources::Start::Always,
            config::Start::OnDemand => sources::Start::OnDemand { linger: source.linger },
        },
        loudness_lufs: source.loudness_lufs,
        silence_after: source.silence_after,
        order: match source.order {
            config::Order::Sorted => sources::Order::Sorted,
            config::Order::Shuffled => sources::Order::Shuffled,
        },
    })
}

/// The inside networks that may be reached for others.
pub(crate) fn allowed(plan: &Plan) -> Vec<sources::Allowed> {
    let networks = plan.media.allow_networks.iter();
    let allowed = networks.map(|network| sources::Allowed::Network {
        base: network.address,
        bits: network.prefix_bits,
    });
    allowed.collect()
}

/// The audio heard while a source is away.
fn fallback(file: Option<&Path>) -> Result<Arc<[i16]>, StartError> {
    let key = "external_audio.fallback";
    let bytes = match file {
        Some(path) => sound_file(path)
            .map_err(|error| StartError::new(key, format!("{}: {error}", path.display())))?,
        None => HOLD_MUSIC.to_vec(),
    };
    let decoder = audio::decode::open_bytes(bytes, &audio::decode::Hint::none())
        .map_err(|error| StartError::new(key, error))?;
    let samples = audio::telephone::whole(decoder, FALLBACK_SAMPLES_MAX)
        .map_err(|error| StartError::new(key, error))?;
    if samples.is_empty() {
        return Err(StartError::new(key, "the file has no audio"));
    }
    Ok(samples.into())
}

/// A file of audio, whole. Devices and pipes have no end, or no beginning.
fn sound_file(path: &Path) -> io::Result<Vec<u8>> {
    let what = std::fs::metadata(path)?;
    if !what.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    if what.len() > FALLBACK_BYTES_MAX {
        let most = FALLBACK_BYTES_MAX >> 20;
        return Err(io::Error::other(format!("it is larger than {most} MiB")));
    }
    std::fs::read(path)
}

/// A longer file would be ten minutes of anything.
const FALLBACK_BYTES_MAX: u64 = 256 << 20;
/// Ten minutes of fallback audio.
const FALLBACK_SAMPLES_MAX: usize = 10 * 60 * 8_000;

fn agent_config(plan: &Plan, sip: &[(Transport, SocketAddr)], seed: [u8; 32]) -> AgentConfig {
    let advertise = plan.general.sip.advertise.as_deref();
    let host = |bound: SocketAddr| {
        let named = advertise.map(Into::into);
        let reachable = plan.general.reachable.towards(bound.ip());
        named.or_else(|| {
            let address = reachable.filter(|_| bound.ip().is_unspecified())?;
            Some(match address {
                IpAddr::V4(v4) => v4.to_string().into(),
                IpAddr::V6(v6) => format!("[{v6}]").into(),
            })
        })
    };
    let addresses = sip
        .iter()
        .map(|(transport, bound)| Address {
            transport: *transport,
            bound: *bound,
            host: host(*bound),
            port: bound.port(),
        })
        .collect();
    let mut config = AgentConfig::new(seed, addresses);
    config.product = Some("Entracte".into());
    config.transactions_max = plan.general.sip.limits.transactions_max;
    // A datagram has no more than the default; a stream may.
    let message_bytes_max = plan.general.sip.limits.message_bytes_max;
    config.rules.message_bytes_max = message_bytes_max;
    config.rules.body_bytes_max = message_bytes_max;
    config
}

/// The media address and the port ranges, for whoever opens a firewall.
fn rtp_ports(plan: &Plan) -> String {
    let ranges = plan.audio.rtp.port_ranges.iter();
    let ranges: Vec<_> =
        ranges.map(|range| format!("{}-{}", range.first(), range.last())).collect();
    let address = media_address(plan).map(|address| address.to_string()).unwrap_or_default();
    format!("{address} {}", ranges.join(" "))
}

/// The address that media is sent from.
fn media_address(plan: &Plan) -> Option<IpAddr> {
    plan.audio.rtp.bind.iter().next()
}

fn capabilities(plan: &Plan) -> Capabilities {
    // One address stands for media and control alike: the answer has one c= line. RFC 8866 §5.7.
    let mut addresses =
        plan.audio.rtp.advertise.or(plan.general.mrcp.advertise).or(plan.audio.rtp.bind);
    // Media is sent from one address; the other version is not promised.
    match media_address(plan) {
        Some(IpAddr::V4(_)) => addresses.ip6 = None,
        Some(IpAddr::V6(_)) | None => addresses.ip4 = None,
    }
    Capabilities {
        laws: vec![Law::Mu, Law::A],
        resources: control::capabilities::RESOURCES.map(str::to_owned).to_vec(),
        tls: false,
        audio_lines_max: 1,
        ip4: addresses.ip4,
        ip6: addresses.ip6,
        connected: Connected::Yes,
    }
}

/// Language, rate and volume where nothing else is said.
pub fn defaults(plan: &Plan, services: &Services) -> Defaults {
    let speech = &plan.text_to_speech;
    let language = match &services.speech {
        Speaking::On(provider) => provider.default_language().to_owned(),
        Speaking::Off | Speaking::Missing(_) => ssml::Style::default().language,
    };
    let volume = narrow(plan.audio.default_prosody_volume);
    let scale = ssml::values::Scale { default: 0.0, current: 0.0 };
    let volume_db = ssml::values::volume_db(&volume.to_string(), scale).unwrap_or(0.0);
    Defaults {
        style: ssml::Style {
            language,
            rate: narrow(speech.default_rate * plan.audio.default_prosody_rate),
            volume_db,
            ..ssml::Style::default()
        },
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a setting has few digits")]
const fn narrow(setting: f64) -> f32 {
    setting as f32
}

fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name: String = name.trim().chars().filter(|c| c.is_ascii_graphic()).collect();
    if name.is_empty() { "localhost".to_owned() } else { name }
}

//! The server as `web` tells it, and as its pages change it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use audio::live::{Ring, UNIT_MS, UNIT_SAMPLES, unit_at};
use control::blueprint::{Blueprint, Step};
use control::uri::PlayUri;

use sources::{Phase, SourceState};
use tokio::sync::{mpsc, oneshot};
use web::{
    About, Accounts, Applied, Audited, Call, Capabilities, Change, Channel, Device, Engine, Field,
    FieldFault, Heard, Listening, Looks, Packets, Pending, Preview, Proposal, Resource, Revision,
    Settings, Skipped, Source, Standing, View,
};

use crate::announce::Listening as Events;
use crate::audit::Audit;
use crate::captures::{Of, Order, SECONDS_MAX};
use crate::clock::{instant, wall};
use crate::config::EventKind;
use crate::first_audio::{BORDERS_MS, Seen};
use crate::journal::Entry;
use crate::mail::Mail;
use crate::recite::Recital;
use crate::services::{Services, Speaking};
use crate::settings::Keeper;
use crate::traces::Tracer;
use crate::trial::Trial;
use crate::watching::Watching;
use crate::wiring::{CallLook, Event};

/// What is looked at.
#[derive(Debug)]
pub struct ServerView {
    /// Where audio comes from.
    pub services: Arc<Services>,
    /// Where the sound server is.
    pub sound_server: Option<String>,
    /// What calls are offered.
    pub offered: sip::sdp::mrcp::Capabilities,
    /// The control loop.
    pub events: mpsc::Sender<Event>,
    /// The settings.
    pub keeper: Keeper,
    /// The hash of the secret by which commands on this host are known.
    pub local: Option<[u8; 32]>,
    /// Who did what.
    pub audit: Audit,
    /// Who looks on or is told.
    pub watching: Watching,
    /// The message store.
    pub mail: Option<Mail>,
    /// The name of the host.
    pub machine: String,
    /// When the server started.
    pub started: std::time::Instant,
    /// Where it listens, as its ready line says.
    pub listens: Vec<String>,
    /// What it started with and is not as it should be.
    pub notes: Vec<String>,
    /// The address that media is sent from.
    pub media: Option<IpAddr>,
    /// One look over the host at a time.
    pub examining: tokio::sync::Mutex<()>,
    /// Places for trials of sources and texts.
    pub trials: tokio::sync::Semaphore,
}

/// Trials at one time: each takes a decoder or a helper from the calls.
pub const TRIALS_MAX: usize = 2;
/// Events that may wait for one listener at the API.
const EVENTS_WAITING: usize = 64;
/// Blocks of a source that may wait for a browser: two seconds. One that reads slower misses some.
const LISTENING_BLOCKS: usize = 20;
/// Units in a block: 100 ms.
const BLOCK_UNITS: u64 = 10;
/// Units behind the clock that are read, as an engine does.
const BEHIND_UNITS: u64 = 2;

impl ServerView {
    fn call(&self, look: CallLook, threads: &[i32]) -> Call {
        let CallLook { survey, age, stream, ordered, idle } = look;
        let media = survey.media.as_ref();
        let mode = |media: &control::Media| match (media.sends, media.receives) {
            (true, true) => "sendrecv",
            (true, false) => "sendonly",
            (false, true) => "recvonly",
            (false, false) => "inactive",
        };
        let resource = survey.playing.as_ref().map(|(id, blueprint)| {
            let age = ordered.unwrap_or_default();
            let engine = stream.map(|(key, _)| key.engine());
            Resource {
                id: id.number(),
                operation: operation(blueprint).to_owned(),
                created_unix_seconds: wall().saturating_sub(age).as_secs_f64(),
                age_seconds: age.as_secs_f64(),
                idle_seconds: idle.unwrap_or_default().as_secs_f64(),
                engine,
                engine_thread: engine.and_then(|engine| threads.get(usize::from(engine)).copied()),
                graph: stream.map(|(key, _)| key.to_string()),
                steps: blueprint.steps.iter().map(ToString::to_string).collect(),
            }
        });
        let channel = |channel: &control::ChannelSurvey| Channel {
            id: channel.id.to_string(),
            state: channel.state.to_owned(),
            speak_request: channel.request.map(mrcp::RequestId::number),
        };
        let local = self.media.zip(survey.rtp_port);
        Call {
            session: survey.session.number(),
            call_id: survey.call_id.to_string(),
            state: survey.stage.as_str().to_owned(),
            age_seconds: age.as_secs_f64(),
            peer: survey.peer.to_string(),
            local_rtp: local.map(|(ip, port)| SocketAddr::new(ip, port)),
            mode: media.map(|media| mode(media).to_owned()),
            remote_rtp: media.map(|media| media.remote),
            codec: media.map(|media| format!("{} {} ms", media.law.name(), media.ptime_ms)),
            channels: survey.channels.iter().map(channel).collect(),
            resource,
            rtp: stream.map(|(_, stats)| packets(&stats)),
        }
    }
}

/// What an utterance does, in one word.
fn operation(blueprint: &Blueprint) -> &'static str {
    let of = |step: &Step| match step {
        Step::Say(_) => Some("speech"),
        Step::Play(play) => Some(match play.uri {
            PlayUri::Source(_) => "source",
            PlayUri::Prompt(_) | PlayUri::Enclosed { .. } => "file",
            PlayUri::Mail { .. } => "mail",
        }),
        Step::Silence(_) | Step::Mark(_) => None,
    };
    let mut kinds = blueprint.steps.iter().filter_map(of);
    let first = kinds.next().unwrap_or("silence");
    if kinds.all(|kind| kind == first) { first } else { "mixed" }
}

const fn packets(stats: &engine::StreamStats) -> Packets {
    Packets {
        sent: stats.packets,
        received: stats.received,
        lost: stats.lost,
        peer_lost: stats.peer_lost,
        late: stats.skipped + stats.starved + stats.held,
        // Timestamps count 8,000 a second.
        jitter_ms: stats.jitter / 8,
        round_trip_ms: stats.round_trip_us / 1_000,
    }
}

fn engine_of((number, load): (usize, &engine::EngineLoad)) -> Engine {
    let cpu = processor_of(load.thread_id);
    Engine {
        number,
        thread_id: load.thread_id,
        cpu,
        location: cpu.map(location).unwrap_or_default(),
        load_percent: load.load_percent,
        average_percent: load.average_percent,
        max_percent: load.max_percent,
        late_p99_us: load.lateness_p99_us,
        left_out: load.left_out,
        graphs: load.streams,
        elements: load.elements,
    }
}

/// The processor that a thread of ours ran on last. proc(5), field 39 of `stat`.
fn processor_of(thread: i32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/self/task/{thread}/stat")).ok()?;
    // The name, the second field, may hold anything but ends with the last bracket.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(36)?.parse().ok()
}

/// Where a processor is: socket, core, NUMA node, as far as the system says.
fn location(cpu: u32) -> String {
    let folder = format!("/sys/devices/system/cpu/cpu{cpu}");
    let read = |name: &str| {
        let text = std::fs::read_to_string(format!("{folder}/topology/{name}")).ok()?;
        Some(text.trim().to_owned())
    };
    let node = std::fs::read_dir(&folder).into_iter().flatten().flatten().find_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        name.strip_prefix("node")?.parse::<u32>().ok()
    });
    let parts = [
        read("physical_package_id").map(|socket| format!("socket {socket}")),
        read("core_id").map(|core| format!("core {core}")),
        node.map(|node| format!("node {node}")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// Reads a ring as a call does, in real time, until nobody takes it any more.
async fn listen(ring: Arc<Ring>, heard: mpsc::Sender<Vec<u8>>) {
    // The channel is as yet empty.
    let _ = heard.try_send(audio::wav::Format::TELEPHONE.header(None));
    let here = || {
        let now = Duration::from_millis(engine::clock::now().as_millis());
        unit_at(now).saturating_sub(BEHIND_UNITS)
    };
    let mut next = here();
    let mut ticks = tokio::time::interval(Duration::from_millis(BLOCK_UNITS * UNIT_MS));
    loop {
        ticks.tick().await;
        if heard.is_closed() {
            return;
        }
        let now = here();
        // A machine that slept goes on where the source is.
        next = next.max(now.saturating_sub(5 * BLOCK_UNITS));
        let mut block = Vec::new();
        while next <= now {
            let mut unit = [0; UNIT_SAMPLES];
            // What is not there is silence, as in a call.
            let _ = ring.read(next, &mut unit);
            block.extend(unit.iter().flat_map(|sample| sample.to_le_bytes()));
            next += 1;
        }
        // A browser that reads slower than the source plays misses some of it.
        let _ = heard.try_send(block);
    }
}

/// How long a source that is tried is listened to.
const TRIAL: Duration = Duration::from_secs(3);
/// Bars of a waveform.
const PEAKS: usize = 200;
/// Below this a sample is silence: -60 dBFS.
const AUDIBLE: u16 = 33;

fn preview(recital: &Recital) -> Preview {
    let samples = recital.samples.as_slice();
    let ms = |samples: usize| u64::try_from(samples / 8).unwrap_or(u64::MAX);
    let part = samples.len().div_ceil(PEAKS).max(1);
    let peak = |part: &[i16]| part.iter().map(|sample| sample.unsigned_abs()).max().unwrap_or(0);
    let lead = samples.iter().position(|sample| sample.unsigned_abs() > AUDIBLE);
    let voiced = recital.voice.as_ref();
    Preview {
        wav: audio::wav::to_bytes(audio::wav::Format::TELEPHONE, samples),
        duration_ms: ms(samples.len()),
        peaks: samples.chunks(part).map(|part| f32::from(peak(part)) / 32_768.0).collect(),
        provider: voiced.map(|voiced| voiced.provider.to_string()).unwrap_or_default(),
        voice: voiced.map(|voiced| voiced.voice.to_string()).unwrap_or_default(),
        cached: voiced.is_some_and(|voiced| voiced.cached),
        first_audio_ms: u64::try_from(recital.first.as_millis()).unwrap_or(u64::MAX),
        lead_ms: ms(lead.unwrap_or(0)),
    }
}

impl Settings for ServerView {
    fn accounts(&self) -> Arc<Accounts> {
        let mut accounts = self.keeper.plan().administration.accounts.clone();
        let (name, role) = ("a command on this host".to_owned(), web::Role::Administrator);
        accounts.tokens.extend(self.local.map(|sha256| web::Token { name, role, sha256 }));
        Arc::new(accounts)
    }

    fn idle_max(&self) -> Duration {
        self.keeper.plan().administration.idle
    }

    fn audit(&self, who: &str, what: &str, detail: &str) {
        self.note(who, what, detail);
    }

    fn audited(&self) -> Vec<Audited> {
        self.audit.entries()
    }

    fn fields(&self) -> Vec<Field> {
        self.keeper.fields()
    }

    fn blank(&self, list: &str) -> Vec<(String, Field)> {
        Keeper::blank(list)
    }

    async fn propose(&self, changes: &[Change]) -> Result<Proposal, Vec<FieldFault>> {
        self.keeper.propose(changes).await
    }

    async fn apply(
        &self,
        changes: &[Change],
        base: Option<&str>,
        who: &str,
    ) -> Result<Applied, Vec<FieldFault>> {
        let applied = self.keeper.apply(changes, base, who).await?;
        self.noted(&applied, who, "settings changed");
        Ok(applied)
    }

    async fn reload(&self, who: &str) -> Result<Applied, Vec<FieldFault>> {
        let applied = self.keeper.reload(who).await?;
        self.noted(&applied, who, "settings reloaded");
        Ok(applied)
    }

    fn revisions(&self) -> Vec<Revision> {
        self.keeper.revisions()
    }

    fn revision_text(&self, number: u64) -> Option<String> {
        self.keeper.revision_text(number)
    }

    async fn restoring(&self, number: u64) -> Result<Vec<web::Difference>, Vec<FieldFault>> {
        self.keeper.restoring(number).await
    }

    async fn restore(&self, number: u64, who: &str) -> Result<Applied, Vec<FieldFault>> {
        let applied = self.keeper.restore(number, who).await?;
        self.noted(&applied, who, &format!("settings {number} restored"));
        Ok(applied)
    }

    fn pending(&self) -> Pending {
        self.keeper.pending()
    }
}

impl ServerView {
    fn noted(&self, applied: &Applied, who: &str, what: &str) {
        let keys: Vec<&str> = applied.differences.iter().map(|each| each.key.as_str()).collect();
        let detail = format!("revision {}: {}", applied.revision, keys.join(", "));
        self.note(who, what, &detail);
    }

    fn note(&self, who: &str, what: &str, detail: &str) {
        self.audit.note(who, what, detail);
        self.watching.told.announcer.tell(
            EventKind::Audit,
            || serde_json::json!({ "who": who, "what": what, "detail": detail }),
        );
    }

    /// The call of a session, as a capture knows it.
    async fn call_of(&self, session: u64) -> Option<Of> {
        let (ask, answer) = oneshot::channel();
        self.events.send(Event::Look(ask)).await.ok()?;
        let looks = answer.await.ok()?;
        let found = looks.calls.into_iter().find(|look| look.survey.session.number() == session)?;
        let channels = found.survey.channels.iter().map(|channel| channel.id.to_string());
        Some(Of::Call { call_id: found.survey.call_id, channels: channels.collect() })
    }
}

impl View for ServerView {
    fn sources(&self) -> Vec<Source> {
        self.services.sources.snapshot().into_iter().map(source).collect()
    }

    fn sources_late(&self) -> u64 {
        self.services.sources.late()
    }

    fn happenings(&self) -> Vec<web::Happening> {
        let entries = self.services.journal.entries().into_iter();
        let told = |entry: Entry| web::Happening {
            at_unix_seconds: entry.at.as_secs_f64(),
            source: entry.source,
            what: entry.what.to_owned(),
            why: entry.why,
        };
        entries.map(told).collect()
    }

    fn devices(&self) -> Result<Vec<Device>, String> {
        let found = sources::devices(self.sound_server.as_deref());
        let found = found.map_err(|error| error.to_string())?;
        Ok(found.into_iter().map(device).collect())
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            resources: self.offered.resources.clone(),
            codecs: self.offered.laws.iter().map(|law| law.name().to_owned()).collect(),
            sources: self.services.sources.names().iter().map(ToString::to_string).collect(),
            text_to_speech: matches!(self.services.speech, Speaking::On(_)),
            mail: self.services.mail_enabled,
        }
    }

    fn speech(&self) -> web::Speech {
        let (state, waits) = match &self.services.speech {
            Speaking::On(speech) => (speech.state(), self.services.first_audio.all()),
            Speaking::Off | Speaking::Missing(_) => Default::default(),
        };
        let cache =
            |cache: &Option<Arc<store::Cache>>| cache.as_ref().map(|cache| kept(cache.state()));
        web::Speech {
            texts: state.runs,
            limited_ms: self.services.limited_ms(),
            cache: cache(&self.services.kept.speech),
            prompt_cache: cache(&self.services.kept.prompts),
            providers: state
                .providers
                .into_iter()
                .map(|state| {
                    let seen = waits.get(&state.name).copied().unwrap_or_default();
                    provider(state, &seen)
                })
                .collect(),
        }
    }

    fn about(&self) -> About {
        let up = instant().saturating_duration_since(self.started);
        About {
            machine: self.machine.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_unix_seconds: wall().saturating_sub(up).as_secs(),
            up_seconds: up.as_secs(),
            process: std::process::id(),
            listens: self.listens.clone(),
            notes: self.notes.clone(),
        }
    }

    async fn looks(&self) -> Option<Looks> {
        let (ask, answer) = oneshot::channel();
        self.events.send(Event::Look(ask)).await.ok()?;
        let found = answer.await.ok()?;
        let threads: Vec<i32> = found.engines.iter().map(|load| load.thread_id).collect();
        Some(Looks {
            calls: found.calls.into_iter().map(|look| self.call(look, &threads)).collect(),
            engines: found.engines.iter().enumerate().map(engine_of).collect(),
        })
    }

    fn host(&self) -> web::Host {
        let plan = self.keeper.plan();
        let mut folders = vec![plan.state_dir.clone(), plan.temporary_directory()];
        folders.dedup();
        let free = |folder: &std::path::PathBuf| {
            let stat = nix::sys::statvfs::statvfs(folder).ok()?;
            let free = stat.blocks_available().saturating_mul(stat.fragment_size());
            Some((folder.display().to_string(), free))
        };
        // proc(5): fields 14 and 15 of `stat` are processor time in ticks of 10 ms; field 2 of `statm` is pages.
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
        let ticks: u64 =
            fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
        let pages: u64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
        let open = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
        web::Host {
            free_bytes: folders.iter().filter_map(free).collect(),
            resident_bytes: pages * 4_096,
            cpu_seconds: ticks / 100,
            open_files: open,
            started_unix_seconds: self.about().started_unix_seconds,
        }
    }

    async fn doctor(&self) -> Vec<web::Finding> {
        // Several at once would find the same, later.
        let _one = self.examining.lock().await;
        let plan = self.keeper.plan();
        crate::doctor::examine(&plan, crate::doctor::Subject::Running).await
    }

    async fn try_source(&self, source: &str) -> Result<web::Tried, String> {
        let Ok(_place) = self.trials.try_acquire() else {
            return Err("other sources are being tried at this moment".to_owned());
        };
        let config = crate::trial::source_of(source).map_err(|error| error.to_string())?;
        let plan = self.keeper.plan();
        let read = tokio::task::spawn_blocking(move || crate::serve::source_settings(&plan)).await;
        let settings =
            read.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        let trial = Trial::start(config, settings).map_err(|error| error.to_string())?;
        let judged = tokio::task::spawn_blocking(move || trial.judge(TRIAL)).await;
        judged.map_err(|_| "the trial broke off".to_owned())?.map_err(|error| error.to_string())
    }

    fn voices(&self) -> Vec<web::Voice> {
        let Speaking::On(speech) = &self.services.speech else { return Vec::new() };
        let whole = speech.voices().filter(|voice| !voice.variant);
        whole
            .map(|voice| web::Voice {
                provider: voice.provider.clone(),
                id: voice.id.clone(),
                languages: voice.languages.clone(),
                gender: crate::voices::gender(voice).map(str::to_owned),
            })
            .collect()
    }

    async fn preview(
        &self,
        text: &str,
        voice: Option<&str>,
        rate: Option<f64>,
    ) -> Result<Preview, String> {
        let Ok(_place) = self.trials.try_acquire() else {
            return Err("other texts are being spoken at this moment".to_owned());
        };
        let mut settings = mrcp::settings::Settings::default();
        let given = [
            ("Voice-Name", voice.map(str::to_owned)),
            ("Prosody-Rate", rate.map(|rate| rate.to_string())),
        ];
        for (name, value) in given {
            if let (Some(param), Some(value)) = (mrcp::settings::Param::parse(name), value) {
                settings.set(param, &value).map_err(|_| format!("{name} cannot be {value}"))?;
            }
        }
        let content = crate::recite::content(text.to_owned(), "text/plain")
            .ok_or_else(|| "no such media type".to_owned())?;
        let plan = self.keeper.plan();
        let defaults = crate::serve::defaults(&plan, &self.services);
        let prosody = control::playout::Prosody::Control;
        let recital =
            crate::recite::recite(&self.services, &defaults, &content, &settings, prosody).await;
        Ok(preview(&recital.map_err(|failure| failure.to_string())?))
    }

    fn mail(&self) -> Option<Arc<mailbox::MessageStore>> {
        self.mail.as_ref().map(|mail| Arc::clone(&mail.store))
    }

    fn mail_servers(&self) -> Vec<web::MailServer> {
        crate::mail::servers(&self.services)
    }

    async fn mail_counts(
        &self,
        server: &str,
        user: &str,
        mailbox: &str,
    ) -> Result<web::MailCounts, Option<(String, Option<web::MailCounts>)>> {
        crate::mail::counts(&self.services, server, user, mailbox).await
    }

    fn mail_programs(&self) -> Option<web::MailPrograms> {
        self.mail.as_ref().and_then(Mail::programs)
    }

    fn mail_server_names(&self) -> Vec<String> {
        self.keeper.plan().mail.servers.iter().map(|server| server.name.clone()).collect()
    }

    fn mail_sent_on(&self) -> Option<web::MailSentOn> {
        self.mail.as_ref().and_then(Mail::sent_on)
    }

    fn sip_counts(&self) -> Vec<web::SipCount> {
        self.watching.wire.counts()
    }

    fn missed(&self) -> web::Missed {
        web::Missed {
            captures: self.watching.wire.captures().missed(),
            hep: self.watching.wire.hep_lost(),
            spans: self.watching.told.tracer.as_ref().map_or(0, Tracer::lost),
        }
    }

    fn deliveries(&self) -> Vec<web::Delivery> {
        self.watching.deliveries.iter().map(|deliveries| deliveries.told()).collect()
    }

    fn listen_events(&self) -> mpsc::Receiver<serde_json::Value> {
        let kinds = EventKind::ALL.into_iter().collect();
        let Events { mut events, lost } = self.watching.told.announcer.listen(kinds);
        let (heard, listening) = mpsc::channel(EVENTS_WAITING);
        tokio::spawn(async move {
            loop {
                let told = tokio::select! {
                    told = events.recv() => told,
                    () = heard.closed() => return,
                };
                let Some(event) = told else { return };
                let mut json = event.json();
                let missed = lost.swap(0, std::sync::atomic::Ordering::Relaxed);
                if let (1.., Some(object)) = (missed, json.as_object_mut()) {
                    object.insert("missed".to_owned(), missed.into());
                }
                if heard.send(json).await.is_err() {
                    return;
                }
            }
        });
        listening
    }

    fn captures(&self) -> Vec<web::CaptureFile> {
        let listed = self.watching.wire.captures().list().into_iter();
        listed
            .map(|one| web::CaptureFile {
                name: one.name,
                bytes: one.bytes,
                at_unix_seconds: one.at_unix_seconds,
                running: one.running,
                why: one.why,
            })
            .collect()
    }

    async fn capture(&self, order: &web::CaptureOrder) -> Result<String, String> {
        let session = order.session;
        let (of, usual) = match session {
            None => (Of::All, 60),
            Some(session) => {
                let call = self.call_of(session).await;
                (call.ok_or_else(|| format!("there is no session {session}"))?, 3_600)
            }
        };
        let seconds = order.seconds.unwrap_or(usual);
        if !(1..=SECONDS_MAX).contains(&seconds) {
            return Err(format!("seconds is 1 to {SECONDS_MAX}"));
        }
        let media = !order.signalling_only;
        let ends = Duration::from_secs(seconds);
        let captures = self.watching.wire.captures().clone();
        let call_id = match &of {
            Of::All => None,
            Of::Call { call_id, .. } => Some(Arc::clone(call_id)),
        };
        let making = captures.clone();
        let begun = tokio::task::spawn_blocking(move || making.begin(Order { of, media, ends }));
        let begun = begun.await.map_err(|error| error.to_string())?;
        let name = begun.map_err(|refused| refused.to_string())?;
        // It may have ended meanwhile.
        if let (Some(session), Some(call_id)) = (session, call_id)
            && self.call_of(session).await.is_none()
        {
            captures.over(&call_id);
        }
        if media {
            // The loop is gone at the server's end only.
            let _ = self.events.send(Event::Tap).await;
        }
        Ok(name)
    }

    fn stop_capture(&self, name: &str) -> bool {
        self.watching.wire.captures().stop(name)
    }

    fn remove_capture(&self, name: &str) -> Result<(), String> {
        self.watching.wire.captures().remove(name).map_err(|error| error.to_string())
    }

    fn capture_file(&self, name: &str) -> Option<std::path::PathBuf> {
        self.watching.wire.captures().file(name)
    }

    fn listen(&self, source: &str) -> Option<Listening> {
        let ring = self.services.sources.live(source)?;
        let (heard, listening) = mpsc::channel(LISTENING_BLOCKS);
        tokio::spawn(listen(ring, heard));
        Some(listening)
    }

    async fn standing(&self) -> Option<Standing> {
        let (ask, answer) = oneshot::channel();
        self.events.send(Event::Ask(ask)).await.ok()?;
        let now = answer.await.ok()?;
        Some(Standing {
            draining: now.draining,
            sessions: now.control.sessions,
            channels: now.control.channels,
            streams: now.streams,
            utterances: now.programs,
            connections: now.connections,
            transactions: now.sip.clients + now.sip.servers,
        })
    }
}

fn source(state: SourceState) -> Source {
    let (phase, why) = match state.phase {
        Phase::Connecting => (web::SourceState::Connecting, None),
        Phase::Playing => (web::SourceState::Playing, None),
        Phase::Away(trouble) => (web::SourceState::Away, Some(trouble.to_string())),
        Phase::Resting => (web::SourceState::Resting, None),
    };
    Source {
        name: state.name.to_string(),
        uri: state.uri,
        revision: state.revision,
        state: phase,
        why,
        heard: match state.heard {
            sources::Heard::Source => Heard::Source,
            sources::Heard::Fallback => Heard::Fallback,
        },
        heard_seconds: state.heard_for.as_secs_f64(),
        silent: state.silent,
        listeners: state.listeners,
        peak_dbfs: state.level.peak_dbfs,
        rms_dbfs: state.level.rms_dbfs,
        buffered_ms: u64::try_from(state.buffered.as_millis()).unwrap_or(u64::MAX),
        title: state.title,
        codec: state.codec,
        reconnects: state.reconnects,
        underruns: state.underruns,
        limited_ms: u64::try_from(state.limited.as_millis()).unwrap_or(u64::MAX),
        skipped: state
            .skipped
            .into_iter()
            .map(|skipped| Skipped { file: skipped.file, why: skipped.why })
            .collect(),
    }
}

fn provider(state: speech::ProviderState, seen: &Seen) -> web::Provider {
    let seconds = |millis: u64| Duration::from_millis(millis).as_secs_f64();
    web::Provider {
        name: state.name,
        form: state.form,
        failed: state.failed,
        rests_seconds: state.rests.as_secs_f64(),
        spoken: state.spoken,
        failures: state.failures,
        restarts: state.restarts,
        first_audio: web::Waits {
            count: seen.count,
            sum_seconds: seen.sum.as_secs_f64(),
            within: BORDERS_MS.into_iter().map(seconds).zip(seen.within).collect(),
        },
    }
}

const fn kept(state: store::CacheState) -> web::Cache {
    let store::CacheState { entries, bytes, hits, misses, corrupt } = state;
    web::Cache { entries, bytes, hits, misses, corrupt }
}

/// A device as it is told everywhere.
pub fn device(device: sources::Device) -> Device {
    let sources::Device { info, level } = device;
    Device {
        name: info.name,
        description: info.description,
        monitor_of: info.monitor_of,
        state: info.state.as_str().to_owned(),
        rate_hz: info.rate_hz,
        channels: info.channels,
        peak_dbfs: level.map(|level| level.peak_dbfs),
        rms_dbfs: level.map(|level| level.rms_dbfs),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaint_52_an_hour_of_audio_is_two_hundred_bars_on_a_page() {
        // A browser that draws a waveform itself decodes all of it: an hour takes a gigabyte.
        let hour: Vec<i16> =
            (0..3_600 * 8_000).map(|n| if n == 8_000 { -32_768 } else { 7 }).collect();
        let recital = Recital { samples: hour, ..Recital::default() };
        let shown = preview(&recital);
        assert_eq!((shown.peaks.len(), shown.duration_ms), (PEAKS, 3_600_000));
        assert_eq!(shown.peaks[0], 1.0);
        assert!(shown.peaks[1..].iter().all(|peak| *peak < 0.001));
        // What is sent is a byte a sample or two, never decoded ahead.
        assert_eq!(shown.wav.len(), 44 + 2 * 3_600 * 8_000);
    }
}

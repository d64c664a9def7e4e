//! The server as `web` tells it.

use std::sync::Arc;
use std::time::Duration;

use sources::{Phase, SourceState};
use tokio::sync::{mpsc, oneshot};
use web::{Capabilities, Device, Heard, Skipped, Source, Standing, View};

use crate::first_audio::{BORDERS_MS, Seen};
use crate::journal::Entry;
use crate::services::{Services, Speaking};
use crate::wiring::Event;

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

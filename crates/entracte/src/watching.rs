//! Starts whoever looks on or is told: captures, a HEP collector, traces, webhooks. None of them is needed by a call:
//! what cannot be had is noted, and the server starts without it.

use std::sync::Arc;
use std::time::Duration;

use crate::announce::Announcer;
use crate::captures::{self, Captures};
use crate::cdr::Records;
use crate::config::{EventKind, HepPlan, Plan};
use crate::hep::Hep;
use crate::serve::StartError;
use crate::services::Services;
use crate::traces::Tracer;
use crate::view::ServerView;
use crate::webhooks::{Deliveries, Webhook, first_line, name_of};
use crate::wire::Wire;
use crate::wiring::Told;

/// How often a HEP collector is looked for that is not there.
const COLLECTOR: Duration = Duration::from_secs(10);
/// How often it is looked whether an alarm began or ended.
const ALARMS: Duration = Duration::from_secs(1);

/// All who look on or are told.
#[derive(Debug)]
pub struct Watching {
    /// Who looks at the wire.
    pub wire: Wire,
    /// Who is told what is left of calls.
    pub told: Told,
    /// How webhooks go.
    pub deliveries: Vec<Arc<Deliveries>>,
}

/// Starts all of them; `run` is different at each start. What is missing is noted.
///
/// # Errors
/// When the thread of the captures cannot be had.
pub fn start(
    plan: &Plan,
    records: Option<Records>,
    host: &str,
    run: &str,
    notes: &mut Vec<String>,
) -> Result<Watching, StartError> {
    let captures = Captures::start(captures::folder(&plan.state_dir), plan.captures)
        .map_err(|error| StartError::new("captures", error))?;
    let hep = plan.hep.as_ref().and_then(|hep| {
        let started = start_hep(hep, host);
        started.map_err(|why| notes.push(format!("hep.key_file: no copies are sent: {why}"))).ok()
    });
    let tracer = plan.traces.as_ref().and_then(|endpoint| {
        let tracer = Tracer::start(endpoint.clone(), host.to_owned());
        tracer.map_err(|why| notes.push(format!("traces.endpoint: no traces are sent: {why}"))).ok()
    });
    let announcer = Announcer::default();
    let mut deliveries = Vec::new();
    for (number, webhook) in (1..).zip(&plan.webhooks) {
        match Webhook::new((number, webhook.clone()), run.to_owned(), &announcer) {
            Ok(webhook) => {
                deliveries.push(webhook.deliveries());
                tokio::spawn(webhook.run());
            }
            Err(why) => {
                let name = name_of(number, &webhook.uri);
                deliveries.push(Arc::new(Deliveries::none(&name, &why)));
                notes.push(format!("webhooks: {name} is told nothing: {why}"));
            }
        }
    }
    let wire = Wire::new(captures, hep);
    Ok(Watching { wire, told: Told { records, announcer, tracer }, deliveries })
}

/// Reads the key, and finds the collector for as long as it takes.
fn start_hep(plan: &HepPlan, host: &str) -> Result<Hep, String> {
    let read = |file: &std::path::PathBuf| {
        first_line(file).map_err(|why| format!("{}: {why}", file.display()))
    };
    let key = plan.key_file.as_ref().map(read).transpose()?;
    let hep = Hep::new(plan.agent_id, key, host.to_owned());
    let (connecting, (name, port)) = (hep.clone(), plan.collector.clone());
    tokio::spawn(async move {
        let mut told = false;
        loop {
            let found = tokio::net::lookup_host((name.as_str(), port)).await;
            let found = found
                .and_then(|mut all| all.next().ok_or_else(|| std::io::ErrorKind::NotFound.into()));
            match found.and_then(|collector| connecting.connect(collector)) {
                Ok(()) => return,
                Err(error) if told => tracing::debug!(%error, "no HEP collector yet"),
                Err(error) => {
                    tracing::warn!(collector = name, %error, "no HEP collector; it is looked for again");
                    told = true;
                }
            }
            tokio::time::sleep(COLLECTOR).await;
        }
    });
    Ok(hep)
}

/// Tells when an alarm begins and when it ends, until the view is gone.
pub async fn tell_alarms(view: std::sync::Weak<ServerView>, announcer: Announcer) {
    let mut ticks = tokio::time::interval(ALARMS);
    let mut known: Vec<web::Alarm> = Vec::new();
    loop {
        ticks.tick().await;
        let kinds = [EventKind::AlarmRaised, EventKind::AlarmCleared];
        if !kinds.into_iter().any(|kind| announcer.is_heard(kind)) {
            continue;
        }
        let Some(view) = view.upgrade() else { return };
        let now = web::alarms(&*view);
        let same = |one: &web::Alarm, other: &web::Alarm| {
            (&one.about, &one.name) == (&other.about, &other.name)
        };
        let json = |alarm: &web::Alarm| serde_json::to_value(alarm).unwrap_or_default();
        for alarm in now.iter().filter(|alarm| !known.iter().any(|one| same(one, alarm))) {
            announcer.tell(EventKind::AlarmRaised, || json(alarm));
        }
        for alarm in known.iter().filter(|alarm| !now.iter().any(|one| same(one, alarm))) {
            announcer.tell(EventKind::AlarmCleared, || json(alarm));
        }
        known = now;
    }
}

/// Tells what happens to sources.
pub fn tell_sources(services: &Services, announcer: Announcer) {
    services.journal.tell(Box::new(move |entry| {
        announcer.tell(
            EventKind::Source,
            || serde_json::json!({ "source": entry.source, "what": entry.what, "why": entry.why }),
        );
    }));
}

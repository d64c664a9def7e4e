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
use crate::webhooks::{Deliveries, Webhook, first_line};
use crate::wire::Wire;
use crate::wiring::Told;

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
pub async fn start(
    plan: &Plan,
    records: Option<Records>,
    host: &str,
    run: &str,
    notes: &mut Vec<String>,
) -> Result<Watching, StartError> {
    let captures = Captures::start(captures::folder(&plan.state_dir), plan.captures)
        .map_err(|error| StartError::new("captures", error))?;
    let hep = match &plan.hep {
        None => None,
        Some(hep) => connect(hep, host)
            .await
            .map_err(|why| notes.push(format!("hep.address: no copies are sent: {why}")))
            .ok(),
    };
    let tracer = plan.traces.as_ref().and_then(|endpoint| {
        let tracer = Tracer::start(endpoint.clone(), host.to_owned());
        tracer.map_err(|why| notes.push(format!("traces.endpoint: no traces are sent: {why}"))).ok()
    });
    let announcer = Announcer::default();
    let mut deliveries = Vec::new();
    for webhook in &plan.webhooks {
        match Webhook::new(webhook.clone(), run.to_owned()) {
            Ok(webhook) => {
                deliveries.push(webhook.deliveries());
                tokio::spawn(webhook.run(announcer.clone()));
            }
            Err(why) => notes.push(format!("webhooks: {} is told nothing: {why}", webhook.uri)),
        }
    }
    let wire = Wire::new(captures, hep);
    Ok(Watching { wire, told: Told { records, announcer, tracer }, deliveries })
}

async fn connect(hep: &HepPlan, host: &str) -> Result<Hep, String> {
    let key = hep
        .key_file
        .as_ref()
        .map(|file| first_line(file).map_err(|why| format!("{}: {why}", file.display())));
    let key = key.transpose()?;
    let (name, port) = &hep.collector;
    let mut found =
        tokio::net::lookup_host((name.as_str(), *port)).await.map_err(|error| error.to_string())?;
    let collector = found.next().ok_or_else(|| format!("{name} has no address"))?;
    Hep::connect(collector, hep.agent_id, key, host.to_owned()).map_err(|error| error.to_string())
}

/// Tells when an alarm begins and when it ends, until the view is gone.
pub async fn tell_alarms(view: std::sync::Weak<ServerView>, announcer: Announcer) {
    let mut ticks = tokio::time::interval(ALARMS);
    let mut known: Vec<web::Alarm> = Vec::new();
    loop {
        ticks.tick().await;
        let Some(view) = view.upgrade() else { return };
        let now = web::alarms(&web::View::sources(&*view), &web::View::speech(&*view));
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

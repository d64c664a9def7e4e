//! Events to web servers: a signed POST for each, in order, repeated until it is taken or a quarter of an hour is over.
//!
//! Signed as Standard Webhooks says: `webhook-signature: v1,` and the Base64 of HMAC-SHA256 over
//! `webhook-id.webhook-timestamp.body`.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use tokio::sync::mpsc;

use crate::announce::{Announcement, Announcer, Listening};
use crate::clock::{instant, wall};
use crate::config::WebhookPlan;

/// How long one attempt may take.
const ANSWER: Duration = Duration::from_secs(10);
/// How long the first pause is; each is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// For how long an event is tried.
const TRIED_FOR: Duration = Duration::from_mins(15);

/// How deliveries to one address go. The address itself is told to nobody: mostly it is a secret of its own.
#[derive(Debug)]
pub struct Deliveries {
    name: String,
    taken: AtomicU64,
    given_up: AtomicU64,
    /// Those that did not fit the queue.
    overflowed: Arc<AtomicU64>,
    trouble: Mutex<Option<String>>,
}

impl Deliveries {
    /// Of a webhook that cannot be told anything.
    pub(crate) fn none(name: &str, why: &str) -> Self {
        let (taken, given_up, overflowed) = Default::default();
        let trouble = Mutex::new(Some(why.to_owned()));
        Self { name: name.to_owned(), taken, given_up, overflowed, trouble }
    }

    fn set(&self, trouble: Option<String>) {
        let mut kept = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(why), None) = (&trouble, &*kept) {
            tracing::warn!(webhook = self.name, why, "events are not taken; they are tried again");
        }
        *kept = trouble;
    }

    fn give_up(&self, why: &str) {
        let lost = self.given_up.fetch_add(1, Ordering::Relaxed) + 1;
        if lost.is_power_of_two() {
            tracing::error!(webhook = self.name, lost, why, "events are given up");
        }
    }

    /// As it is shown.
    #[must_use]
    pub fn told(&self) -> web::Delivery {
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        let lost = self.given_up.load(Ordering::Relaxed) + self.overflowed.load(Ordering::Relaxed);
        web::Delivery {
            webhook: self.name.clone(),
            taken: self.taken.load(Ordering::Relaxed),
            lost,
            trouble: trouble.clone(),
        }
    }
}

/// The first line of a file, which is secret.
///
/// # Errors
/// When it cannot be read or is empty.
pub fn first_line(file: &Path) -> Result<vocab::Secret, String> {
    let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
    let line = text.lines().next().map(str::trim).unwrap_or_default();
    if line.is_empty() {
        return Err("its first line is empty".to_owned());
    }
    Ok(vocab::Secret::new(line.to_owned()))
}

/// The key of a secret: Base64 behind `whsec_`, else the text itself.
fn key(secret: &str) -> Result<hmac::Key, String> {
    let bytes = match secret.strip_prefix("whsec_") {
        Some(coded) => STANDARD.decode(coded).map_err(|_| "no Base64 behind whsec_".to_owned())?,
        None => secret.as_bytes().to_vec(),
    };
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
}

/// What a webhook is called where its address is nobody's business: its number in the settings, and its host.
pub(crate) fn name_of(number: usize, uri: &str) -> String {
    let host = reqwest::Url::parse(uri).ok().and_then(|uri| uri.host_str().map(str::to_owned));
    format!("{number} {}", host.unwrap_or_default())
}

/// A client for what is posted elsewhere.
///
/// # Errors
/// When TLS cannot be had.
pub fn client() -> Result<reqwest::Client, String> {
    // For an address that begins with https; a second one in one process changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let none = reqwest::redirect::Policy::none();
    let client = reqwest::Client::builder().timeout(ANSWER).redirect(none).build();
    client.map_err(|error| error.to_string())
}

/// One address that is told.
#[derive(Debug)]
pub struct Webhook {
    plan: WebhookPlan,
    key: Option<hmac::Key>,
    client: reqwest::Client,
    /// Names this run of the server in the ids of events.
    run: String,
    events: mpsc::Receiver<Arc<Announcement>>,
    deliveries: Arc<Deliveries>,
}

impl Webhook {
    /// For the plan of this number; it hears `announcer` from now on. `run` is different at each start.
    ///
    /// # Errors
    /// When its secret cannot be had, in words.
    pub fn new(
        (number, plan): (usize, WebhookPlan),
        run: String,
        announcer: &Announcer,
    ) -> Result<Self, String> {
        let read = |file: &std::path::PathBuf| {
            let secret = first_line(file).and_then(|secret| key(secret.reveal()));
            secret.map_err(|why| format!("{}: {why}", file.display()))
        };
        let key = plan.secret_file.as_ref().map(read).transpose()?;
        let client = client()?;
        let Listening { events, lost } = announcer.listen(plan.events.clone());
        let (taken, given_up, trouble) = Default::default();
        let name = name_of(number, &plan.uri);
        let deliveries = Deliveries { name, taken, given_up, overflowed: lost, trouble };
        Ok(Self { plan, key, client, run, events, deliveries: Arc::new(deliveries) })
    }

    /// How it goes.
    #[must_use]
    pub fn deliveries(&self) -> Arc<Deliveries> {
        Arc::clone(&self.deliveries)
    }

    /// Delivers until nobody tells any more.
    pub async fn run(mut self) {
        while let Some(event) = self.events.recv().await {
            self.deliver(&event).await;
        }
    }

    async fn deliver(&self, event: &Announcement) {
        let id = format!("{}-{}", self.run, event.number);
        let body = event.json().to_string();
        let (began, mut pause) = (instant(), FIRST_PAUSE);
        loop {
            let why = match self.post(&id, &body).await {
                Ok(()) => {
                    self.deliveries.taken.fetch_add(1, Ordering::Relaxed);
                    self.deliveries.set(None);
                    return;
                }
                Err((why, Again::Never)) => {
                    self.deliveries.set(Some(why.clone()));
                    return self.deliveries.give_up(&why);
                }
                Err((why, Again::Later)) => why,
            };
            self.deliveries.set(Some(why.clone()));
            if began.elapsed() + pause > TRIED_FOR {
                return self.deliveries.give_up(&why);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn post(&self, id: &str, body: &str) -> Result<(), (String, Again)> {
        let timestamp = wall().as_secs();
        let mut request = self
            .client
            .post(&self.plan.uri)
            .header("content-type", "application/json")
            .header("user-agent", concat!("entracte/", env!("CARGO_PKG_VERSION")))
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp);
        if let Some(key) = &self.key {
            let signed = hmac::sign(key, format!("{id}.{timestamp}.{body}").as_bytes());
            let signature = format!("v1,{}", STANDARD.encode(signed));
            request = request.header("webhook-signature", signature);
        }
        let answer = request.body(body.to_owned()).send().await;
        let answer = answer.map_err(|error| (innermost(&error), Again::Later))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        // What is wrong with the request stays wrong; the rest may pass, and a secret may be being changed.
        let passes = status.is_server_error()
            || matches!(status.as_u16(), 401 | 403 | 404 | 408 | 425 | 429);
        Err((format!("answers {status}"), if passes { Again::Later } else { Again::Never }))
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Again {
    Later,
    Never,
}

/// The innermost reason, which says the most.
pub(crate) fn innermost(error: &dyn std::error::Error) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_the_standard() {
        // The example of standardwebhooks.com's specification of the scheme.
        let key = key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signed =
            hmac::sign(&key, b"msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{\"test\": 2432232314}");
        assert_eq!(STANDARD.encode(signed), "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert!(super::key("whsec_?").is_err());
    }
}

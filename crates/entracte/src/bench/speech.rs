//! From SPEAK of a text to the first sample that a person could hear.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::figures::Spread;
use super::session::{Caller, Session};
use super::subject::Subject;
use crate::client::ear::{Ear, Heard};

/// Samples above this can be heard: -50 dB of full scale.
const AUDIBLE: u16 = 104;

/// How long the first sound may take before the text counts as not spoken.
const WAIT: Duration = Duration::from_secs(5);

/// How often it is looked.
const LOOK: Duration = Duration::from_millis(5);

/// The same where many sessions are looked at.
const LOOK_OF_MANY: Duration = Duration::from_millis(100);

/// Between two texts.
const REST: Duration = Duration::from_millis(300);

/// Samples in a millisecond.
const SAMPLES_MS: u32 = 8;

/// Texts that differ, so that nothing of an earlier one is of use.
const WORDS: [&str; 8] = ["one", "two", "three", "four", "five", "six", "seven", "eight"];

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Texts that were not heard, and why.
    pub failures: Vec<String>,
    /// From SPEAK to its response.
    pub in_progress: Spread,
    /// From SPEAK to the packet that has the first audible sample, and in it to the sample.
    pub audible: Spread,
}

impl Found {
    /// Whether every text was heard.
    pub fn passed(&self) -> bool {
        self.failures.is_empty()
    }

    /// For a program to read.
    pub fn to_json(&self) -> Value {
        json!({
            "passed": self.passed(), "failures": self.failures,
            "speak_to_in_progress": self.in_progress.to_json(),
            "speak_to_audible": self.audible.to_json(),
        })
    }
}

/// What is asked of the server.
#[derive(Clone, Debug)]
pub struct Order {
    /// Texts that each session has spoken, one after the other.
    pub times: usize,
    /// Sessions that have a text spoken at the same moment.
    pub at_once: usize,
    /// Whose voice: a voice's name or a provider's; none is the server's own choice.
    pub voice: Option<String>,
}

/// Has texts spoken; `tell` hears the number of each round.
///
/// # Errors
/// In words, when there is no session.
pub async fn run(
    order: &Order,
    subject: &Subject,
    mut tell: impl FnMut(usize),
) -> Result<Found, String> {
    let caller = Caller::open(subject.sip, order.at_once, order.at_once).await?;
    let mut seats = Vec::new();
    for _ in 0..order.at_once {
        let ear = Ear::open(subject.sip, None).await.map_err(|error| error.to_string())?;
        let session = caller.call(ear.local()).await?;
        seats.push((session, ear));
    }
    // Packets carry the time they came: looking seldom costs no precision, and many look.
    let look = if order.at_once == 1 { LOOK } else { LOOK_OF_MANY };
    let mut found = Found::default();
    let (mut progress, mut audible) = (Vec::new(), Vec::new());
    for round in 0..order.times {
        tell(round);
        let mut speaking = JoinSet::new();
        for (place, (mut session, ear)) in seats.drain(..).enumerate() {
            let voice = order.voice.clone();
            let number = round * order.at_once + place;
            speaking.spawn(async move {
                let said = once(&mut session, &ear, number, voice.as_deref(), look).await;
                (said, session, ear)
            });
        }
        while let Some(Ok((said, session, ear))) = speaking.join_next().await {
            match said {
                Ok((answered, heard)) => {
                    progress.push(answered);
                    audible.push(heard);
                }
                Err(error) => found.failures.push(error),
            }
            seats.push((session, ear));
        }
        sleep(REST).await;
    }
    for (session, _) in seats {
        caller.hang_up(session).await;
    }
    found.in_progress = Spread::of(progress);
    found.audible = Spread::of(audible);
    Ok(found)
}

async fn once(
    session: &mut Session,
    ear: &Ear,
    number: usize,
    voice: Option<&str>,
    look: Duration,
) -> Result<(Duration, Duration), String> {
    let word = |place: usize| WORDS.get((number / place) % WORDS.len()).copied().unwrap_or("one");
    let text = format!(
        "Announcement {} {} {} {} for everybody who waits.",
        word(512),
        word(64),
        word(8),
        word(1)
    );
    let before = ear.count();
    let (sent, answered) = session.speak("text/plain", &text, voice).await?;
    let mut audible = None;
    while audible.is_none() && sent.elapsed() < WAIT {
        sleep(look).await;
        let heard = ear.heard();
        audible = heard.iter().skip(before).find_map(first_audible);
    }
    session.stop().await?;
    let audible = audible.ok_or_else(|| format!("\"{text}\" was not heard"))?;
    Ok((answered.duration_since(sent), audible.saturating_duration_since(sent)))
}

fn first_audible(packet: &Heard) -> Option<Instant> {
    let place = packet.samples.iter().position(|sample| sample.unsigned_abs() > AUDIBLE)?;
    let within = Duration::from_millis(1) * u32::try_from(place).ok()? / SAMPLES_MS;
    Some(packet.at + within)
}

//! The seven scenes: real calls, judged by what was received.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mrcp::synthesizer::Cause;
use mrcp::{Event, EventName, Headers, Message, Method, RequestId, Response, State};

use super::hearing::{first_audible, lateness, longest_silence, pitch_hz};
use super::stage::{Controlled, STATION, Stage};
use super::voice_mail as mail;
use crate::client::ear::{Heard, lost, timeline};

/// Samples a millisecond.
const PER_MS: usize = 8;

/// How long an answer or an event may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How alike what is heard must be to what was played.
const ALIKE: f64 = 0.9;

/// What a scene showed.
#[derive(Debug)]
pub struct Scene {
    /// Its place in the demo, from 1.
    pub number: usize,
    /// What it is about.
    pub name: &'static str,
    /// What was measured, in the order in which it is told.
    pub figures: Vec<(&'static str, String)>,
    /// What was not as it should be.
    pub faults: Vec<String>,
    /// What was heard.
    pub heard: Vec<i16>,
}

impl Scene {
    /// Whether everything was as it should be.
    pub fn passed(&self) -> bool {
        self.faults.is_empty()
    }

    fn figure(&mut self, name: &'static str, value: impl Into<String>) {
        self.figures.push((name, value.into()));
    }

    fn check(&mut self, holds: bool, fault: impl FnOnce() -> String) {
        if !holds {
            self.faults.push(fault());
        }
    }
}

/// The scenes' names, in order.
pub const SCENES: [&str; 7] = [
    "hold music",
    "speech",
    "queue",
    "stream cut",
    "unknown source",
    "plain SIP call",
    "voice mail",
];

/// Plays scene `number`, 1 to 7.
pub async fn run(stage: &Stage, number: usize) -> Scene {
    let name = SCENES.get(number.saturating_sub(1)).copied().unwrap_or_default();
    let mut scene =
        Scene { number, name, figures: Vec::new(), faults: Vec::new(), heard: Vec::new() };
    let played = match number {
        1 => hold_music(stage, &mut scene).await,
        2 => speech(stage, &mut scene).await,
        3 => queue(stage, &mut scene).await,
        4 => stream_cut(stage, &mut scene).await,
        5 => unknown_source(stage, &mut scene).await,
        6 => plain_call(stage, &mut scene).await,
        _ => voice_mail(stage, &mut scene).await,
    };
    if let Err(fault) = played {
        scene.faults.push(fault);
    }
    stage.flush();
    scene
}

async fn hold_music(stage: &Stage, scene: &mut Scene) -> Result<(), String> {
    let mut call = stage.controlled().await?;
    call.speak_uris(&[&format!("source:{STATION}")]).await?;
    call.started().await?;
    wait(Duration::from_secs(10)).await;
    let stopped = call.ask(Method::Stop, Headers::new()).await?;
    scene.check(stopped.status.is_success(), || format!("STOP was answered {}", stopped.status));
    let heard = call.ear.heard();
    let audio = timeline(&heard);
    let setup = call.answer.answered.saturating_duration_since(call.answer.invited);
    stage.hang_up(call.answer).await;

    // The server may just have come back from its fallback, with a cross-fade.
    let likeness = stage.tune.likeness(&audio, 500 * PER_MS, audio.len());
    let late = lateness(&heard);
    scene.figure("setup_ms", millis(setup));
    scene.figure("packets", heard.len().to_string());
    scene.figure("lost", lost(&heard).to_string());
    scene.figure("likeness", format!("{likeness:.3}"));
    scene.figure("late_p99_ms", millis(late.p99));
    scene.figure("late_max_ms", millis(late.max));
    scene.check(heard.len() >= 490, || format!("{} packets in 10 s instead of 500", heard.len()));
    scene.check(lost(&heard) == 0, || format!("{} packets were lost", lost(&heard)));
    scene.check(likeness >= ALIKE, || format!("it is not the station: likeness {likeness:.3}"));
    scene.heard = audio;
    Ok(())
}

async fn speech(stage: &Stage, scene: &mut Scene) -> Result<(), String> {
    let ssml = "<?xml version=\"1.0\"?>\n<speak version=\"1.1\" xml:lang=\"en-US\" \
        xmlns=\"http://www.w3.org/2001/10/synthesis\"><voice gender=\"female\">Welcome to \
        Entracte.</voice><mark name=\"before\"/><break time=\"700ms\"/><mark name=\"after\"/>\
        Somebody will be with you in a moment.</speak>";
    let mut call = stage.controlled().await?;
    let asked = crate::clock::instant();
    call.speak("application/ssml+xml", ssml).await?;
    call.started().await?;
    let mut marks = Vec::new();
    let done = loop {
        let (_, event) = call.event().await?;
        match event.name {
            EventName::SpeechMarker => marks.extend(event.marker()),
            EventName::SpeakComplete | EventName::Other(_) => break event,
        }
    };
    wait(Duration::from_millis(100)).await;
    let heard = call.ear.heard();
    let audio = timeline(&heard);
    stage.hang_up(call.answer).await;

    let first = first_audible(&heard).map(|at| at.saturating_duration_since(asked));
    let (silent_at, silent) = longest_silence(&audio);
    let named: Vec<&str> = marks.iter().filter_map(|mark| mark.name.as_deref()).collect();
    let apart = match marks.as_slice() {
        [one, two] => ntp_apart(one.at, two.at),
        _ => Duration::ZERO,
    };
    scene.figure("first_sound_ms", first.map_or_else(|| "none".to_owned(), millis));
    scene.figure("length_ms", (audio.len() / PER_MS).to_string());
    scene.figure("silence_ms", (silent / PER_MS).to_string());
    scene.figure("marks", named.join(" "));
    scene.figure("marks_apart_ms", millis(apart));
    let cause = done.completion().and_then(|done| done.cause);
    scene.check(cause == Some(Cause::Normal), || format!("it ended with {cause:?}"));
    scene.check(named == ["before", "after"], || format!("the marks were {named:?}"));
    let off = apart.as_secs_f64() - 0.7;
    scene.check(off.abs() <= 0.0201, || format!("the marks were {apart:?} apart, not 700 ms"));
    let (said, then) = audio.split_at(silent_at.min(audio.len()));
    for (part, what) in [(said, "before"), (then.get(silent..).unwrap_or_default(), "after")] {
        let level = audio::measure::rms_dbfs(part);
        scene.check(part.len() > 500 * PER_MS && level > -45.0, || {
            format!("no words {what} the break: {} ms at {level:.0} dBFS", part.len() / PER_MS)
        });
    }
    scene.check((680..1_200).contains(&(silent / PER_MS)), || {
        format!("the break lasted {} ms", silent / PER_MS)
    });
    scene.heard = audio;
    Ok(())
}

async fn queue(stage: &Stage, scene: &mut Scene) -> Result<(), String> {
    let mut call = stage.controlled().await?;
    let mut ids = Vec::new();
    for tone in
        ["tone:440?ms=5000&dbfs=-12", "tone:880?ms=1000&dbfs=-12", "tone:660?ms=9000&dbfs=-12"]
    {
        ids.push(call.speak_uris(&[tone]).await?);
    }
    let mut states = Vec::new();
    for _ in &ids {
        states.push(call.answer().await?.state);
    }
    scene.check(states == [State::InProgress, State::Pending, State::Pending], || {
        format!("three SPEAKs were answered {states:?}")
    });
    wait(Duration::from_millis(600)).await;
    let one = ids.first().map(RequestId::to_string).unwrap_or_default();
    let stop = Headers::new().with("Active-Request-Id-List", &one);
    let stopped = call.ask(Method::Stop, stop).await?;
    scene.check(stopped.active_requests().first() == ids.first(), || {
        "STOP did not name the request it stopped".to_owned()
    });
    wait(Duration::from_millis(400)).await;
    call.ask(Method::Pause, Headers::new()).await?;
    wait(Duration::from_millis(60)).await;
    let quiet = call.ear.count();
    wait(Duration::from_millis(400)).await;
    let while_paused = call.ear.count() - quiet;
    call.ask(Method::Resume, Headers::new()).await?;
    let (_, done) = call.event_named(&EventName::SpeakComplete).await?;
    scene.check(Some(&done.id) == ids.get(1), || format!("{} was completed", done.id));
    wait(Duration::from_millis(500)).await;
    let barged = call.ask(Method::BargeInOccurred, Headers::new()).await?;
    scene.check(barged.active_requests().first() == ids.get(2), || {
        "BARGE-IN-OCCURRED did not name the request it ended".to_owned()
    });
    wait(Duration::from_millis(60)).await;
    let after = call.ear.count();
    wait(Duration::from_millis(300)).await;
    let more = call.ear.count() - after;
    let heard = call.ear.heard();
    let audio = timeline(&heard);
    stage.hang_up(call.answer).await;

    let tones = spurts(&heard);
    scene.figure(
        "tones_hz",
        tones.iter().map(|hz| format!("{hz:.0}")).collect::<Vec<_>>().join(" "),
    );
    scene.figure("packets_while_paused", while_paused.to_string());
    scene.figure("packets_after_barge_in", more.to_string());
    scene.check(while_paused == 0, || format!("{while_paused} packets came while paused"));
    scene.check(more == 0, || format!("{more} packets came after the barge-in"));
    let order = [440.0, 880.0, 880.0, 660.0];
    let right = tones.len() == order.len()
        && tones.iter().zip(order).all(|(heard, wanted)| (heard - wanted).abs() < 15.0);
    scene.check(right, || format!("heard {tones:?} Hz instead of {order:?}"));
    scene.heard = audio;
    Ok(())
}

async fn stream_cut(stage: &Stage, scene: &mut Scene) -> Result<(), String> {
    let mut call = stage.controlled().await?;
    call.speak_uris(&[&format!("source:{STATION}")]).await?;
    call.started().await?;
    wait(Duration::from_secs(2)).await;
    let before = call.ear.count();
    stage.radio.cut();
    wait(Duration::from_millis(3_500)).await;
    let away = call.ear.count();
    stage.radio.restore();
    stage.tune_in().await.map_err(|error| error.to_string())?;
    wait(Duration::from_millis(1_500)).await;
    let heard = call.ear.heard();
    let audio = timeline(&heard);
    stage.hang_up(call.answer).await;

    let place = |packets: usize| packets * 20 * PER_MS;
    let cut = place(before);
    let end = stage.tune.end(&audio, place(25));
    let fallback_after = end.map(|end| end.saturating_sub(cut) / PER_MS);
    let fallback = stage.hold_music.place(&audio, place(away).saturating_sub(1_600));
    let back = stage.tune.place(&audio, audio.len().saturating_sub(4_000));
    let likeness = |found: Option<(usize, f64)>| found.map_or(0.0, |(_, likeness)| likeness);
    let told = |ms: Option<usize>| ms.map_or_else(|| "never".to_owned(), |ms| ms.to_string());
    scene.figure("fallback_after_ms", told(fallback_after));
    scene.figure("fallback_likeness", format!("{:.3}", likeness(fallback)));
    scene.figure("back_likeness", format!("{:.3}", likeness(back)));
    scene.figure("lost", lost(&heard).to_string());
    scene.check(fallback_after.is_some_and(|ms| ms <= 2_000), || {
        format!("the fallback came after {} ms", told(fallback_after))
    });
    scene.check(likeness(fallback) >= ALIKE, || "the hold music was not heard".to_owned());
    scene.check(likeness(back) >= ALIKE, || "the station was not heard again".to_owned());
    scene.check(lost(&heard) == 0, || format!("{} packets were lost", lost(&heard)));
    scene.heard = audio;
    Ok(())
}

async fn unknown_source(stage: &Stage, scene: &mut Scene) -> Result<(), String> {
    let mut call = stage.controlled().await?;
    call.speak_uris(&["source:Nobody"]).await?;
    let (_, done) = call.event_named(&EventName::SpeakComplete).await?;
    wait(Duration::from_millis(300)).await;
    let packets = call.ear.count();
    stage.hang_up(call.answer).await;

    let completion = done.completion();
    let cause = completion.as_ref().and_then(|done| done.cause);
    let reason = completion.and_then(|done| done.reason).unwrap_or_default();
    let cause_text = cause.map_or("none", |cause| cause.as_str());
    scene.figure("completion_cause", cause_text);
    scene.figure("completion_reason", reason.clone());
    scene.figure("packets", packets.to_string());
    scene.check(cause == Some(Cause::UriFailure), || format!("the cause was {cause_text}"));
    scene.check(reason.contains("Nobody"), || "the reason does not name the source".to_owned());
    scene.check(packets == 0, || format!("{packets} packets of silence were sent"));
    Ok(())
}

async fn plain_call(stage: &Stage, scene: &mut Scene) -> Result<(), String> {
    let (answer, ear) = stage.call(STATION).await?;
    wait(Duration::from_secs(3)).await;
    let heard = ear.heard();
    let audio = timeline(&heard);
    let first = heard.first().map(|packet| packet.at.saturating_duration_since(answer.invited));
    stage.hang_up(answer).await;
    let likeness = stage.tune.likeness(&audio, 0, audio.len());
    scene.figure("first_rtp_ms", first.map_or_else(|| "none".to_owned(), millis));
    scene.figure("packets", heard.len().to_string());
    scene.figure("lost", lost(&heard).to_string());
    scene.figure("likeness", format!("{likeness:.3}"));
    scene.check(heard.len() >= 140, || format!("{} packets in 3 s instead of 150", heard.len()));
    scene.check(lost(&heard) == 0, || format!("{} packets were lost", lost(&heard)));
    scene.check(likeness >= ALIKE, || format!("it is not the station: likeness {likeness:.3}"));
    scene.heard = audio;
    Ok(())
}

/// A message comes by LMTP, is heard, is marked as read, and a mail program sees that.
async fn voice_mail(stage: &Stage, scene: &mut Scene) -> Result<(), String> {
    let store = stage.running.mail().ok_or("there is no message store")?;
    mail::mailbox(Arc::clone(&store)).await?;
    let mut program = mail::waiting(mail::door(stage, "imap")?).await?;
    let message = mail::message()?;
    let begun = crate::clock::instant();
    mail::deliver(mail::door(stage, "lmtp")?, &message).await?;
    let delivered = begun.elapsed();
    program.ask(b"", "* 1 EXISTS").await?;
    let uri = mail::uri(store).await?;

    let mut call = stage.controlled().await?;
    let asked = crate::clock::instant();
    call.speak_uris(&[&format!("{uri};after=read")]).await?;
    call.started().await?;
    let (_, done) = call.event_named(&EventName::SpeakComplete).await?;
    wait(Duration::from_millis(100)).await;
    let heard = call.ear.heard();
    stage.hang_up(call.answer).await;
    let seen = program.ask(b"", "* 1 FETCH (FLAGS (\\Seen))").await;
    program.ask(b"DONE\r\n", "c OK").await?;

    let cause = done.completion().and_then(|done| done.cause);
    let first = first_audible(&heard).map(|at| at.saturating_duration_since(asked));
    let audio = timeline(&heard);
    let sounding = audio.iter().filter(|sample| sample.unsigned_abs() > 200).count() / PER_MS;
    let middle = audio.get(audio.len() / 3..audio.len() / 2).unwrap_or_default();
    let hz = pitch_hz(middle);
    scene.figure("delivered_ms", millis(delivered));
    scene.figure("first_sample_ms", first.map_or_else(|| "none".to_owned(), millis));
    scene.figure("heard_ms", sounding.to_string());
    scene.figure("hz", format!("{hz:.1}"));
    scene.figure("seen_by_imap", if seen.is_ok() { "yes" } else { "no" });
    scene.check(cause == Some(Cause::Normal), || format!("the cause was {cause:?}"));
    scene
        .check((1_900..=2_050).contains(&sounding), || format!("{sounding} ms of 2000 were heard"));
    scene.check((hz - mail::TONE_HZ).abs() < 5.0, || format!("it is another tone: {hz:.1} Hz"));
    scene.check(seen.is_ok(), || "the mail program did not see that it was heard".to_owned());
    scene.heard = audio;
    Ok(())
}

impl Controlled {
    async fn speak(&mut self, media_type: &str, body: &str) -> Result<RequestId, String> {
        let headers = Headers::new().with("Content-Type", media_type);
        let sent = self.channel.send(Method::Speak, headers, body.as_bytes().to_vec()).await;
        sent.map_err(|error| error.to_string())
    }

    async fn speak_uris(&mut self, uris: &[&str]) -> Result<RequestId, String> {
        self.speak("text/uri-list", &format!("{}\r\n", uris.join("\r\n"))).await
    }

    /// The next answer; events before it are passed over.
    async fn answer(&mut self) -> Result<Response, String> {
        loop {
            if let (_, Message::Response(response)) = self.message().await? {
                return Ok(response);
            }
        }
    }

    /// Waits for 200 IN-PROGRESS.
    async fn started(&mut self) -> Result<(), String> {
        let response = self.answer().await?;
        if response.state == State::InProgress {
            return Ok(());
        }
        Err(format!("SPEAK was answered {} {}", response.status, response.state))
    }

    async fn ask(&mut self, method: Method, headers: Headers) -> Result<Response, String> {
        let sent = self.channel.send(method, headers, Vec::new()).await;
        sent.map_err(|error| error.to_string())?;
        self.answer().await
    }

    async fn event(&mut self) -> Result<(Instant, Event), String> {
        loop {
            if let (at, Message::Event(event)) = self.message().await? {
                return Ok((at, event));
            }
        }
    }

    async fn event_named(&mut self, name: &EventName) -> Result<(Instant, Event), String> {
        loop {
            let (at, event) = self.event().await?;
            if event.name == *name {
                return Ok((at, event));
            }
        }
    }

    async fn message(&mut self) -> Result<(Instant, Message), String> {
        let next = tokio::time::timeout(PATIENCE, self.channel.next());
        match next.await {
            Ok(Some(message)) => Ok(message),
            Ok(None) => Err("the MRCPv2 connection is closed".to_owned()),
            Err(_) => Err(format!("nothing came over MRCPv2 for {PATIENCE:?}")),
        }
    }
}

/// The pitch of each run of packets with one tone in it.
fn spurts(heard: &[Heard]) -> Vec<f64> {
    let mut runs: Vec<(f64, Vec<i16>)> = Vec::new();
    for packet in heard {
        let hz = pitch_hz(&packet.samples);
        match runs.last_mut() {
            Some((tone, samples)) if !packet.marker && (hz - *tone).abs() < 60.0 => {
                samples.extend_from_slice(&packet.samples);
            }
            _ => runs.push((hz, packet.samples.clone())),
        }
    }
    // A packet in which one tone gives way to the next is neither.
    runs.retain(|(_, samples)| samples.len() >= 100 * PER_MS);
    runs.iter().map(|(_, samples)| pitch_hz(samples)).collect()
}

fn ntp_apart(one: mrcp::NtpTime, two: mrcp::NtpTime) -> Duration {
    let bits = two.bits().saturating_sub(one.bits());
    let fraction = (bits & 0xffff_ffff) * 1_000_000 / (1 << 32);
    Duration::from_secs(bits >> 32) + Duration::from_micros(fraction)
}

fn millis(span: Duration) -> String {
    format!("{:.1}", span.as_secs_f64() * 1_000.0)
}

async fn wait(span: Duration) {
    tokio::time::sleep(span).await;
}

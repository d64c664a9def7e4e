//! CONTROL while something is heard: how soon the change is.

use std::time::{Duration, Instant};

use audio::wav::{self, Format};

use crate::call::Call;
use crate::played::bed::{Folder, helper};

/// What is aimed at, and printed: on a machine that has time it takes a packet or two.
const SOON: Duration = Duration::from_millis(100);
/// Only a change that never comes fails a test: this machine may be busy with others.
const PATIENCE: Duration = Duration::from_millis(1_000);

/// Ten seconds of 25 ms of a tone in every 100 ms.
fn pulses() -> Vec<u8> {
    let (mut tone, _) = audio::tone::parse("1000;ms=10000;db=-10").unwrap();
    let mut samples = vec![0; 80_000];
    tone.fill(&mut samples);
    for (place, sample) in samples.iter_mut().enumerate() {
        if place % 800 >= 200 {
            *sample = 0;
        }
    }
    wav::to_bytes(Format::TELEPHONE, &samples)
}

/// Sends a CONTROL while something is heard, and gives the time until `changed` says so of what came
/// since, as samples from the first packet that was sent after it.
fn change(call: &mut Call, header: &str, changed: impl Fn(&[i16]) -> bool) -> Duration {
    call.ear.wait_for(call.ear.count() + 25);
    let before = call.ear.count();
    let asked = Instant::now();
    let told = call.ask("CONTROL", &[header], b"");
    assert_eq!(told.what(), "200 COMPLETE", "{header}: {}", told.head);
    loop {
        let heard = call.ear.heard();
        let mut since = Vec::new();
        for packet in heard.iter().skip(before) {
            since.extend(packet.samples());
            if changed(&since) {
                return packet.at.saturating_duration_since(asked);
            }
        }
        assert!(asked.elapsed() < PATIENCE + Duration::from_secs(1), "{header} is not heard");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Whether the last 20 ms are at this level, within 3 dB.
fn level(dbfs: f64) -> impl Fn(&[i16]) -> bool {
    move |since: &[i16]| {
        let last = &since[since.len().saturating_sub(160)..];
        (audio::measure::rms_dbfs(last) - dbfs).abs() < 3.0
    }
}

/// Whether two pulses have come closer together than they are in the file.
fn closer(since: &[i16]) -> bool {
    let mut begins = Vec::new();
    let mut quiet = 80;
    for (place, sample) in since.iter().enumerate() {
        if sample.unsigned_abs() > 1_500 {
            if quiet >= 80 {
                begins.push(place);
            }
            quiet = 0;
        } else {
            quiet += 1;
        }
    }
    begins.windows(2).any(|pair| pair[1] - pair[0] < 600)
}

#[test]
fn section_8_11_a_change_is_heard_soon() {
    let folder = Folder::new();
    let (tone, ticks) = (folder.path().join("tone.wav"), folder.put("ticks.wav", &pulses()));
    folder.tone("tone.wav", 1_000, 20.0, &["-c:a", "pcm_s16le", "-ar", "8000"]);
    let source =
        format!("external_audio.sources=[{{name='Radio', uri='file:{}'}}]", tone.display());
    let speech = format!("text_to_speech.helper_path={}", helper().display());
    let subject = folder.subject(&[
        &source,
        "text_to_speech.enabled=true",
        "text_to_speech.built_in=espeak",
        &speech,
    ]);
    let mut call = Call::place(&subject);
    let mut took = Vec::new();
    let file = format!("file://{}", tone.display());
    for uri in [file.as_str(), "source:Radio"] {
        assert_eq!(call.speak("text/uri-list", &format!("{uri}\r\n")).what(), "200 IN-PROGRESS");
        call.ear.wait_for(call.ear.count() + 40);
        let usual = {
            let heard = call.ear.heard();
            audio::measure::rms_dbfs(&heard.last().unwrap().samples())
        };
        for (header, db) in [
            ("Prosody-Volume: -20dB", -20.0),
            ("Prosody-Volume: 100", 0.0),
            ("Prosody-Volume: -10dB", -10.0),
        ] {
            let after = change(&mut call, header, level(usual + db));
            took.push((uri, header, after, Duration::from_millis(20)));
        }
        call.ask("STOP", &[], b"");
    }
    let ticks = format!("file://{}\r\n", ticks.display());
    assert_eq!(call.speak("text/uri-list", &ticks).what(), "200 IN-PROGRESS");
    // Two pulses must be heard to know it.
    let rate = change(&mut call, "Prosody-Rate: 2", closer);
    took.push(("file", "Prosody-Rate: 2", rate, Duration::from_millis(100)));
    call.ask("STOP", &[], b"");
    let text = "One two three four five six seven eight nine ten. ".repeat(3);
    assert_eq!(call.speak("text/plain", &text).what(), "200 IN-PROGRESS");
    let softer = |since: &[i16]| {
        let last = &since[since.len().saturating_sub(800)..];
        last.len() == 800 && audio::measure::rms_dbfs(last) < -45.0
    };
    let speech = change(&mut call, "Prosody-Volume: -40dB", softer);
    took.push(("speech", "Prosody-Volume: -40dB", speech, Duration::from_millis(100)));
    call.dialog.bye();
    // What must be heard to know it comes on top.
    for (what, header, after, window) in &took {
        println!("{what}: {header} heard after {after:?}, of which {window:?} is listening");
        assert!(*after < PATIENCE, "{what}: {header} heard after {after:?}");
    }
    let late = took.iter().filter(|(.., after, window)| *after > SOON + *window).count();
    println!("{} of {} changes were heard within {SOON:?}", took.len() - late, took.len());
}

//! RFC 6787 §8: the synthesizer's methods, as a client sees them and as the RTP says.

use std::time::{Duration, Instant};

use crate::call::Call;
use crate::mrcp_line::Told;
use crate::subject::Subject;

const LIST: &str = "Content-Type: text/uri-list";
const SSML: &str = "Content-Type: application/ssml+xml";

fn tone(ms: u32) -> Vec<u8> {
    format!("tone:1000;ms={ms};db=-10\r\n").into_bytes()
}

/// The next message and what it is about.
#[track_caller]
fn expect(call: &mut Call, what: &str, id: u32) -> Told {
    let told = call.mrcp.next();
    assert_eq!((told.what().as_str(), told.id()), (what, id), "{}", told.head);
    told
}

#[test]
fn section_8_6_speaks_wait_for_each_other_without_a_gap() {
    let subject = Subject::any();
    let mut call = Call::place(&subject);
    let ids: [u32; 3] = std::array::from_fn(|_| call.send("SPEAK", &[LIST], &tone(300)));
    expect(&mut call, "200 IN-PROGRESS", ids[0]);
    expect(&mut call, "200 PENDING", ids[1]);
    expect(&mut call, "200 PENDING", ids[2]);
    for id in ids {
        if id != ids[0] {
            // It says that its turn has come. RFC 6787 §8.6.
            expect(&mut call, "SPEECH-MARKER IN-PROGRESS", id);
        }
        let done = expect(&mut call, "SPEAK-COMPLETE COMPLETE", id);
        assert_eq!(done.get("Completion-Cause"), "000 normal");
        assert!(done.get("Speech-Marker").starts_with("timestamp="), "{}", done.head);
    }
    let sound = call.ear.audio();
    let silent = sound.chunks(160).filter(|block| audio::measure::rms_dbfs(block) < -60.0).count();
    assert!(sound.len() >= 7_200, "{}", sound.len());
    assert!(sound.len() < 7_200 + 2 * 960, "two joints of at most 120 ms: {}", sound.len());
    assert!(silent <= 12, "{silent} packets of silence at two joints");
    call.dialog.bye();
    subject.settles();
}

#[test]
fn section_8_7_stop_ends_what_plays_and_what_waits() {
    let subject = Subject::any();
    let mut call = Call::place(&subject);
    assert_eq!(call.ask("STOP", &[], b"").what(), "200 COMPLETE");
    let [one, two, three] = std::array::from_fn(|_| call.send("SPEAK", &[LIST], &tone(10_000)));
    expect(&mut call, "200 IN-PROGRESS", one);
    expect(&mut call, "200 PENDING", two);
    expect(&mut call, "200 PENDING", three);
    call.ear.wait_for(5);
    // With a list: only those.
    let told = call.ask("STOP", &[&format!("Active-Request-Id-List: {two}")], b"");
    assert_eq!(told.get("Active-Request-Id-List"), two.to_string());
    let told = call.ask("STOP", &[], b"");
    assert_eq!(told.what(), "200 COMPLETE");
    assert_eq!(told.get("Active-Request-Id-List"), format!("{one},{three}"));
    std::thread::sleep(Duration::from_millis(60));
    assert_eq!(call.ear.within(Duration::from_millis(150)), 0, "nothing is sent after a STOP");
    // No SPEAK-COMPLETE follows, and the channel speaks on. RFC 6787 §8.7.
    let done = call.spoken("text/uri-list", "tone:400;ms=100\r\n");
    assert_eq!(done.get("Completion-Cause"), "000 normal");
    call.dialog.bye();
    subject.settles();
}

#[test]
fn section_8_8_pause_keeps_the_place_and_resume_goes_on_from_it() {
    let subject = Subject::any();
    let mut call = Call::place(&subject);
    assert_eq!(call.ask("PAUSE", &[], b"").what(), "402 COMPLETE");
    assert_eq!(call.ask("RESUME", &[], b"").what(), "402 COMPLETE");
    let id = call.send("SPEAK", &[LIST], &tone(600));
    expect(&mut call, "200 IN-PROGRESS", id);
    call.ear.wait_for(10);
    let told = call.ask("PAUSE", &[], b"");
    assert_eq!(told.get("Active-Request-Id-List"), id.to_string());
    assert_eq!(
        call.ask("PAUSE", &[], b"").what(),
        "200 COMPLETE",
        "§8.10: a second one is harmless"
    );
    std::thread::sleep(Duration::from_millis(60));
    assert_eq!(call.ear.within(Duration::from_millis(300)), 0);
    let before = call.ear.count();
    let told = call.ask("RESUME", &[], b"");
    assert_eq!(told.get("Active-Request-Id-List"), id.to_string());
    let done = call.event();
    assert_eq!(done.get("Completion-Cause"), "000 normal");
    let heard = call.ear.wait_for(30);
    assert_eq!(heard.len(), 30, "600 ms, none twice and none lost");
    assert!(heard[before].marker, "a new talk spurt");
    let pause = heard[before].timestamp.wrapping_sub(heard[before - 1].timestamp);
    let waited = heard[before].at - heard[before - 1].at;
    let apart = (f64::from(pause) / 8_000.0 - waited.as_secs_f64()).abs();
    assert!(apart < 0.03, "the timestamp runs on while nothing is sent: {pause} for {waited:?}");
}

#[test]
fn section_8_10_a_speak_that_waits_behind_a_pause_waits_on() {
    let subject = Subject::any();
    let mut call = Call::place(&subject);
    let one = call.send("SPEAK", &[LIST], &tone(300));
    let two = call.send("SPEAK", &[LIST], &tone(200));
    expect(&mut call, "200 IN-PROGRESS", one);
    expect(&mut call, "200 PENDING", two);
    assert_eq!(call.ask("PAUSE", &[], b"").what(), "200 COMPLETE");
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(call.ask("RESUME", &[], b"").what(), "200 COMPLETE");
    assert_eq!(call.event().id(), one);
    assert_eq!(call.event().id(), two);
}

#[test]
fn section_8_9_barge_in_ends_what_may_be_ended() {
    let subject = Subject::any();
    let mut call = Call::place(&subject);
    let told = call.ask("BARGE-IN-OCCURRED", &[], b"");
    assert_eq!(told.what(), "200 COMPLETE");
    let [one, two] = std::array::from_fn(|_| call.send("SPEAK", &[LIST], &tone(5_000)));
    expect(&mut call, "200 IN-PROGRESS", one);
    expect(&mut call, "200 PENDING", two);
    call.ear.wait_for(5);
    let began = Instant::now();
    let told = call.ask("BARGE-IN-OCCURRED", &[], b"");
    assert_eq!(told.get("Active-Request-Id-List"), format!("{one},{two}"));
    assert!(began.elapsed() < Duration::from_millis(100));
    std::thread::sleep(Duration::from_millis(60));
    assert_eq!(call.ear.within(Duration::from_millis(100)), 0);
    // With Kill-On-Barge-In: false it goes on.
    let told = call.ask("SPEAK", &[LIST, "Kill-On-Barge-In: false"], &tone(400));
    assert_eq!(told.what(), "200 IN-PROGRESS");
    let told = call.ask("BARGE-IN-OCCURRED", &[], b"");
    assert_eq!(
        (told.what().as_str(), told.header("Active-Request-Id-List")),
        ("200 COMPLETE", None)
    );
    assert_eq!(call.event().get("Completion-Cause"), "000 normal");
}

#[test]
fn section_8_11_control_jumps_by_seconds() {
    let subject = Subject::any();
    let mut call = Call::place(&subject);
    assert_eq!(call.ask("CONTROL", &["Jump-Size: +1 Second"], b"").what(), "402 COMPLETE");
    let list = b"tone:400;ms=2000;db=-10\r\ntone:1000;ms=3000;db=-10\r\n";
    let id = call.send("SPEAK", &[LIST], list);
    expect(&mut call, "200 IN-PROGRESS", id);
    call.ear.wait_for(10);
    let began = Instant::now();
    let told = call.ask("CONTROL", &["Jump-Size: +4 Second"], b"");
    assert_eq!((told.what().as_str(), told.id()), ("200 COMPLETE", id + 1), "{}", told.head);
    assert_eq!(told.get("Active-Request-Id-List"), id.to_string());
    assert_eq!(call.event().get("Completion-Cause"), "000 normal");
    let took = began.elapsed();
    assert!((500..1_100).contains(&took.as_millis()), "about 0.8 s were left: {took:?}");
    // Back beyond the beginning: from the start, and said so.
    let id = call.send("SPEAK", &[LIST], b"tone:400;ms=600;db=-10\r\n");
    expect(&mut call, "200 IN-PROGRESS", id);
    std::thread::sleep(Duration::from_millis(300));
    let told = call.ask("CONTROL", &["Jump-Size: -9 Second"], b"");
    assert_eq!((told.what().as_str(), told.get("Speak-Restart")), ("200 COMPLETE", "true"));
    let began = Instant::now();
    assert_eq!(call.event().get("Completion-Cause"), "000 normal");
    assert!((500..750).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
}

#[test]
fn section_8_11_control_ends_after_a_speak_length_and_changes_the_volume() {
    let subject = Subject::any();
    let mut call = Call::place(&subject);
    let id = call.send("SPEAK", &[LIST], &tone(8_000));
    expect(&mut call, "200 IN-PROGRESS", id);
    call.ear.wait_for(15);
    let loud = audio::measure::rms_dbfs(&call.ear.audio());
    assert_eq!(call.ask("CONTROL", &["Prosody-Volume: 20"], b"").what(), "200 COMPLETE");
    std::thread::sleep(Duration::from_millis(100));
    call.ear.forget();
    call.ear.wait_for(10);
    let soft = audio::measure::rms_dbfs(&call.ear.audio());
    assert!(soft < loud - 6.0, "{loud} dB, then {soft} dB");
    let began = Instant::now();
    assert_eq!(call.ask("CONTROL", &["Speak-Length: 1 Second"], b"").what(), "200 COMPLETE");
    assert_eq!(call.event().get("Completion-Cause"), "000 normal");
    assert!((800..1_300).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
    let bad = call.ask("CONTROL", &["Jump-Size: a bit"], b"");
    assert!(bad.what().starts_with("404") || bad.what().starts_with("402"), "{}", bad.head);
}

#[test]
fn section_8_6_speak_length_bounds_a_speak() {
    let subject = Subject::any();
    let mut call = Call::place(&subject);
    let told = call.ask("SPEAK", &[LIST, "Speak-Length: 1 Second"], &tone(20_000));
    assert_eq!(told.what(), "200 IN-PROGRESS");
    assert_eq!(call.event().get("Completion-Cause"), "000 normal");
    assert_eq!(call.ear.wait_for(50).len(), 50);
}

#[test]
fn section_8_12_markers_come_within_a_packet_of_their_place() {
    let subject = Subject::any();
    let mut call = Call::place(&subject);
    let ssml = "<?xml version=\"1.0\"?><speak version=\"1.1\" xml:lang=\"en-US\" \
                xmlns=\"http://www.w3.org/2001/10/synthesis\"><mark name=\"start\"/>\
                <audio src=\"tone:1000;ms=500;db=-10\"/><mark name=\"a\"/><break time=\"300ms\"/>\
                <mark name=\"b\"/><audio src=\"tone:400;ms=410;db=-10\"/><mark name=\"end\"/></speak>";
    let id = call.send("SPEAK", &[SSML], ssml.as_bytes());
    expect(&mut call, "200 IN-PROGRESS", id);
    let mut markers: Vec<(String, u64, Told)> = Vec::new();
    let done = loop {
        let event = call.event();
        let (time, name) = event.get("Speech-Marker").split_once(';').unwrap_or_default();
        let time: u64 = time.strip_prefix("timestamp=").unwrap_or("0").parse().unwrap_or(0);
        if event.what().starts_with("SPEAK-COMPLETE") {
            break event;
        }
        assert_eq!(event.what(), "SPEECH-MARKER IN-PROGRESS");
        markers.push((name.to_owned(), time, event));
    };
    assert_eq!(done.get("Completion-Cause"), "000 normal");
    let names: Vec<&str> = markers.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(names, ["start", "a", "b", "end"]);
    let places = [0.0, 0.5, 0.8, 1.21];
    let first = call.ear.heard()[0].at;
    for ((name, time, told), place) in markers.iter().zip(places) {
        // NTP: 32 bits of seconds, 32 of their fraction.
        let since = (time.wrapping_sub(markers[0].1) as f64) / 4_294_967_296.0;
        assert!(
            (since - place).abs() <= 0.021,
            "{name} at {since} s by its timestamp, not {place}"
        );
        let arrived = told.at.saturating_duration_since(first).as_secs_f64();
        assert!((arrived - place).abs() < 0.06, "{name} came at {arrived} s, not {place}");
    }
    let sound = call.ear.audio();
    let level = |from: usize, to: usize| audio::measure::rms_dbfs(&sound[from * 8..to * 8]);
    assert!(level(10, 490) > -16.0 && level(520, 780) < -60.0 && level(820, 1_190) > -16.0);
}

#[test]
fn section_8_13_a_lexicon_is_stored_and_a_bad_one_refused() {
    let subject = Subject::any();
    let mut call = Call::place(&subject);
    let lexicon = "<?xml version=\"1.0\"?><lexicon version=\"1.0\" alphabet=\"ipa\" xml:lang=\"en-US\" \
                   xmlns=\"http://www.w3.org/2005/01/pronunciation-lexicon\"><lexeme>\
                   <grapheme>Entracte</grapheme><alias>on tract</alias></lexeme></lexicon>";
    let headers =
        ["Content-Type: application/pls+xml", "Content-ID: <lexicon1@test>", "Load-Lexicon: true"];
    let told = call.ask("DEFINE-LEXICON", &headers, lexicon.as_bytes());
    assert_eq!(told.what(), "200 COMPLETE", "{}", told.head);
    let told = call.ask("DEFINE-LEXICON", &["Load-Lexicon: true"], b"");
    assert!(told.what().starts_with("40"), "{}", told.head);
    assert!(told.what().ends_with("COMPLETE"));
}

#[test]
fn section_8_6_what_cannot_be_spoken_is_refused_with_its_code() {
    let subject = Subject::any();
    let mut call = Call::place(&subject);
    for (headers, body, expected) in [
        (vec![], "", "406 COMPLETE"),
        (vec!["Content-Type: application/pdf"], "%PDF", "408 COMPLETE"),
        (vec![LIST, "Voice-Gender: purple"], "tone:400\r\n", "404 COMPLETE"),
    ] {
        let told = call.ask("SPEAK", &headers, body.as_bytes());
        let allowed = expected.split('|').any(|each| each == told.what());
        assert!(allowed, "{expected} for {headers:?}: {}", told.head);
    }
    let done = call.spoken("text/uri-list", "tone:400;ms=100\r\n");
    assert_eq!(done.get("Completion-Cause"), "000 normal");
}

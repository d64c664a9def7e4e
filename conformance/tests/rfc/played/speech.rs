//! Text, alone and among audio.

use std::process::Command;
use std::time::{Duration, Instant};

use entracte::services::Speaking;

use crate::call::{Call, Dialog};
use crate::played::bed::{helper, share, speaking, ssml};
use crate::sip_line::Line;
use crate::subject::Subject;

#[test]
fn text_is_spoken_plain_and_marked_up() {
    let subject = speaking(&[]);
    let mut call = Call::place(&subject);
    let asked = Instant::now();
    let done = call.spoken("text/plain", "Hello world. This is a short test.");
    assert_eq!(done.get("Completion-Cause"), "000 normal", "{}", done.head);
    let heard = call.ear.heard();
    let first = heard.iter().find(|packet| packet.samples().iter().any(|s| s.unsigned_abs() > 300));
    println!("first sound after {:?}", first.unwrap().at - asked);
    let sound = call.ear.audio();
    assert!((12_000..28_000).contains(&sound.len()), "{} samples", sound.len());
    assert!(audio::measure::rms_dbfs(&sound) > -35.0);
    call.ear.forget();
    let latin = "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><speak>Caf\u{e9} <![CDATA[& more]]> &amp; \
                 <say-as interpret-as=\"digits\">123</say-as></speak>";
    let bytes: Vec<u8> = latin.chars().map(|c| c as u8).collect();
    call.ask("SPEAK", &["Content-Type: application/ssml+xml"], &bytes);
    assert_eq!(call.event().get("Completion-Cause"), "000 normal");
    assert!(call.ear.audio().len() > 8_000);
    let done = call.spoken("application/ssml+xml", "<speak><p>never closed</speak>");
    assert_eq!(done.get("Completion-Cause"), "002 parse-failure", "{}", done.head);
    assert!(!done.get("Completion-Reason").is_empty());
    let strange = "<speak xml:lang=\"tlh\">nuqneH</speak>";
    let done = call.spoken("application/ssml+xml", strange);
    assert_eq!(done.get("Completion-Cause"), "005 language-unsupported", "{}", done.head);
    assert!(done.get("Completion-Reason").contains("tlh"));
    let bomb = "<!DOCTYPE speak [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><speak>&x;</speak>";
    let done = call.spoken("application/ssml+xml", bomb);
    assert!(["000 normal", "002 parse-failure"].contains(&done.get("Completion-Cause")));
    call.dialog.bye();
    subject.settles();
}

#[test]
fn text_audio_and_breaks_follow_each_other_without_a_gap() {
    let subject = speaking(&[]);
    let mut call = Call::place(&subject);
    let text = "One two three.";
    let done = call.spoken("application/ssml+xml", &ssml(text));
    assert_eq!(done.get("Completion-Cause"), "000 normal");
    let alone = call.ear.audio().len();
    call.ear.forget();
    let document = ssml(&format!(
        "{text}<audio src=\"tone:1000;ms=400;db=-10\"/><mark name=\"m\"/>{text}<break time=\"300ms\"/>\
         <audio src=\"tone:500;ms=400;db=-10\"/>{text}"
    ));
    let id = call.send("SPEAK", &["Content-Type: application/ssml+xml"], document.as_bytes());
    let mut mark = None;
    let done = loop {
        let told = call.mrcp.next_within(Duration::from_secs(15)).expect("an event");
        if told.what() == "SPEECH-MARKER IN-PROGRESS" {
            mark = Some(told.at);
        } else if told.is_event() {
            break told;
        }
    };
    assert_eq!((done.id(), done.get("Completion-Cause")), (id, "000 normal"));
    let heard = call.ear.heard();
    let unbroken = heard.windows(2).all(|pair| {
        let step = pair[1].timestamp.wrapping_sub(pair[0].timestamp);
        step == 160 && !pair[1].marker
    });
    assert!(unbroken, "one talk spurt from end to end");
    let sound = call.ear.audio();
    let expected = 3 * alone + 8_800;
    let apart = sound.len().abs_diff(expected);
    assert!(apart < 1_200, "{} samples instead of about {expected}", sound.len());
    // The tone begins right behind the words, the words right behind the tone.
    let at_tone: Vec<bool> = sound.chunks(160).map(|block| share(block, 1_000.0) > 0.8).collect();
    let from = at_tone.iter().position(|tone| *tone).unwrap();
    let to = at_tone.iter().rposition(|tone| *tone).unwrap();
    assert!((19..=21).contains(&(to - from + 1)), "{from} to {to}");
    let gap = |from: usize, to: usize| {
        let blocks = sound[from * 160..to * 160].chunks(160);
        blocks.filter(|block| audio::measure::rms_dbfs(block) < -55.0).count()
    };
    assert!(gap(from.saturating_sub(10), from) <= 4, "silence before the tone");
    assert!(gap(to + 1, to + 11) <= 4, "silence behind the tone");
    let place = heard[to + 1].at;
    let late = mark.unwrap().max(place) - mark.unwrap().min(place);
    assert!(late < Duration::from_millis(60), "the mark came {late:?} from its place");
    call.dialog.bye();
    subject.settles();
}

#[test]
fn jumps_go_by_words_and_sentences() {
    let subject = speaking(&[]);
    let mut call = Call::place(&subject);
    let text = "One two three four five six seven. Eight nine ten eleven. The end.";
    let began = Instant::now();
    let done = call.spoken("text/plain", text);
    assert_eq!(done.get("Completion-Cause"), "000 normal");
    let whole = began.elapsed();
    for jump in ["+2 Sentence", "+10 Word"] {
        let told = call.speak("text/plain", text);
        assert_eq!(told.what(), "200 IN-PROGRESS");
        call.ear.wait_for(10);
        let began = Instant::now();
        let told = call.ask("CONTROL", &[&format!("Jump-Size: {jump}")], b"");
        assert_eq!(told.what(), "200 COMPLETE", "{}", told.head);
        assert_eq!(call.event().get("Completion-Cause"), "000 normal");
        let took = began.elapsed();
        assert!(took < whole / 2, "{jump}: {took:?} of {whole:?}");
    }
    let told = call.speak("text/plain", text);
    assert_eq!(told.what(), "200 IN-PROGRESS");
    let began = Instant::now();
    let told = call.ask("CONTROL", &["Prosody-Rate: +80%"], b"");
    assert_eq!(told.what(), "200 COMPLETE", "{}", told.head);
    assert_eq!(call.event().get("Completion-Cause"), "000 normal");
    let took = began.elapsed();
    assert!(took < whole * 4 / 5, "faster: {took:?} of {whole:?}");
    call.dialog.bye();
}

#[test]
fn a_helper_that_dies_with_a_text_in_hand_is_not_heard_of() {
    let subject = speaking(&[]);
    let mut call = Call::place(&subject);
    let text = "This sentence is interrupted. This one is spoken as well.";
    assert_eq!(call.spoken("text/plain", text).get("Completion-Cause"), "000 normal");
    let whole = call.ear.audio().len();
    let signal = |signal: &str| {
        let Speaking::On(speech) = &subject.running().services().speech else { panic!("silent") };
        let providers = speech.state().providers;
        for helper in providers.into_iter().flat_map(|provider| provider.helpers) {
            let pid = helper.pid.expect("it runs").to_string();
            assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
        }
    };
    // It is given the text, cannot say a word of it, and dies.
    signal("-STOP");
    call.ear.forget();
    assert_eq!(call.speak("text/plain", text).what(), "200 IN-PROGRESS");
    std::thread::sleep(Duration::from_millis(200));
    signal("-KILL");
    let done = call.event();
    assert_eq!(done.get("Completion-Cause"), "000 normal", "{}", done.head);
    let after = call.ear.audio().len();
    assert!(after.abs_diff(whole) < whole / 10, "{whole} samples, then {after}");
    // It dies while what it said is heard.
    assert_eq!(call.speak("text/plain", text).what(), "200 IN-PROGRESS");
    signal("-KILL");
    assert_eq!(call.event().get("Completion-Cause"), "000 normal");
    // The pool is whole again.
    let done = call.spoken("text/plain", "Still here.");
    assert_eq!(done.get("Completion-Cause"), "000 normal", "{}", done.head);
    call.dialog.bye();
    subject.settles();
}

#[test]
fn without_a_helper_text_fails_with_its_reason_and_is_not_advertised() {
    let disabled = Subject::with(&[]);
    let missing = Subject::speaking(&[
        "text_to_speech.helper_path=/nonexistent/helper",
        "text_to_speech.built_in=espeak",
    ]);
    for (subject, reason) in
        [(disabled, "text_to_speech.enabled"), (missing, "/nonexistent/helper")]
    {
        let mut call = Call::place(&subject);
        for (kind, body) in
            [("text/plain", "Hello.".to_owned()), ("application/ssml+xml", ssml("Hi."))]
        {
            let done = call.spoken(kind, &body);
            assert_eq!(done.get("Completion-Cause"), "004 error", "{}", done.head);
            assert!(done.get("Completion-Reason").contains(reason), "{}", done.head);
        }
        let done = call.spoken("text/uri-list", "tone:400;ms=100\r\n");
        assert_eq!(done.get("Completion-Cause"), "000 normal", "audio still plays");
        let mut dialog = Dialog::new(Line::udp(subject.udp), subject.udp);
        assert!(!dialog.ask("OPTIONS", &[], "").body.contains("text-to-speech"));
        call.dialog.bye();
        subject.settles();
    }
    let on = speaking(&[]);
    let mut dialog = Dialog::new(Line::udp(on.udp), on.udp);
    assert!(dialog.ask("OPTIONS", &[], "").body.contains("a=x-feature:text-to-speech"));
    assert!(helper().is_file());
}

//! RFC 4240 §3: announcements, and the plain door to a source.

use std::time::{Duration, Instant};

use crate::call::{Dialog, describe};
use crate::ear::Ear;
use crate::sip_line::{Line, Message};
use crate::subject::Subject;

const PLAIN: &[&str] = &["m=audio {rtp} RTP/AVP 0 8", "a=sendrecv"];

fn dial(subject: &Subject, user: &str, ear: &Ear) -> (Dialog, Message) {
    let mut dialog = Dialog::to(Line::udp(subject.udp), &format!("sip:{user}"));
    let answer = dialog.invite(&describe(PLAIN, ear));
    (dialog, answer)
}

/// Waits for the server's BYE, answers it, and gives it.
#[track_caller]
fn goodbye(dialog: &mut Dialog) -> Message {
    loop {
        let message = dialog.line.next_within(Duration::from_secs(5)).expect("no BYE");
        if message.head.starts_with("BYE ") {
            let kept = message.head.split("\r\n").skip(1).filter(|line| {
                ["Via", "From", "To", "Call-ID", "CSeq"].iter().any(|name| line.starts_with(name))
            });
            let headers: String = kept.map(|line| format!("{line}\r\n")).collect();
            dialog.send(&format!("SIP/2.0 200 OK\r\n{headers}Content-Length: 0\r\n\r\n"));
            return message;
        }
    }
}

#[test]
fn an_announcement_is_played_and_the_call_ended() {
    let subject = Subject::any();
    let ear = Ear::open();
    let host = subject.udp;
    let user = format!("annc@{host};play=tone:1000%3Bms%3D500%3Bdb%3D-10");
    let (mut dialog, answer) = dial(&subject, &user, &ear);
    assert_eq!(answer.status(), 200, "{}", answer.head);
    let bye = goodbye(&mut dialog);
    assert!(!bye.head.contains("cause=500"), "{}", bye.head);
    assert_eq!(ear.wait_for(25).len(), 25);
    assert!(audio::measure::rms_dbfs(&ear.audio()) > -16.0);
    subject.settles();
}

#[test]
fn it_is_repeated_delayed_and_cut_as_asked() {
    let subject = Subject::any();
    for (parameters, millis) in [
        (";repeat=3", 560..900),
        (";repeat=3;locale=de_AT", 560..900),
        (";repeat=2;delay=400", 760..1_100),
        (";repeat=forever;duration=700", 660..1_000),
        (";duration=100", 60..300),
    ] {
        let ear = Ear::open();
        let host = subject.udp;
        let user = format!("annc@{host};play=tone:1000%3Bms%3D200{parameters}");
        let (mut dialog, answer) = dial(&subject, &user, &ear);
        assert_eq!(answer.status(), 200, "{}", answer.head);
        let began = Instant::now();
        goodbye(&mut dialog);
        let took = began.elapsed().as_millis() as usize;
        assert!(millis.contains(&took), "{parameters}: {took} ms");
    }
    subject.settles();
}

#[test]
fn what_cannot_be_played_is_refused_or_said_in_the_goodbye() {
    let subject = Subject::any();
    let host = subject.udp;
    for (user, status) in [
        (format!("annc@{host}"), 400),
        (format!("annc@{host};play=gopher:x"), 404),
        (format!("annc@{host};play=tone:400;repeat=x"), 400),
        (format!("annc@{host};play=tone:400;delay=soon"), 400),
        (format!("annc@{host};play=tone:400;duration=-1"), 400),
        (format!("annc@{host};play=source:Nothing"), 404),
        (format!("Nothing@{host}"), 404),
    ] {
        let ear = Ear::open();
        let (_, answer) = dial(&subject, &user, &ear);
        assert_eq!(answer.status(), status, "{user}: {}", answer.head);
        assert!(answer.header("Warning").is_some(), "{}", answer.head);
    }
    let ear = Ear::open();
    let (mut dialog, answer) =
        dial(&subject, &format!("annc@{host};play=file:///etc/passwd"), &ear);
    if answer.status() == 200 {
        let bye = goodbye(&mut dialog);
        assert!(
            bye.header("Reason").is_some_and(|text| text.contains("/etc/passwd")),
            "{}",
            bye.head
        );
    } else {
        assert_eq!(answer.status(), 404, "{}", answer.head);
    }
    subject.settles();
}

#[test]
fn a_source_is_dialled_by_its_name() {
    let subject =
        Subject::with(&["external_audio.sources=[{name='Radio One', uri='file:/no.wav'}]"]);
    let host = subject.udp;
    for user in ["Radio%20One", "radio%20one"] {
        let ear = Ear::open();
        let (mut dialog, answer) = dial(&subject, &format!("{user}@{host}"), &ear);
        assert_eq!(answer.status(), 200, "{}", answer.head);
        // Its file is not there: the fallback music is heard, never silence.
        ear.wait_for(50);
        assert!(audio::measure::rms_dbfs(&ear.audio()) > -50.0);
        dialog.bye();
    }
    subject.settles();
}

//! RFC 3261 §11: OPTIONS says what can be asked for.

use crate::call::{Dialog, values};
use crate::sip_line::Line;
use crate::subject::Subject;

#[test]
fn options_names_resources_codecs_and_every_source() {
    let subject = Subject::with(&[
        "external_audio.sources=[{name='Radio One', uri='file:/no.wav'}, {name='Café', uri='file:/no.wav'}]",
    ]);
    let mut dialog = Dialog::new(Line::udp(subject.udp), subject.udp);
    let answer = dialog.ask("OPTIONS", &["Accept: application/sdp"], "");
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.header("Content-Type").as_deref(), Some("application/sdp"));
    for name in ["Allow", "Accept"] {
        assert!(answer.header(name).is_some(), "{name}: {}", answer.head);
    }
    assert_eq!(values(&answer.body, "a=x-audiosrc:"), ["Radio%20One", "Caf%C3%A9"]);
    assert_eq!(values(&answer.body, "a=resource:"), ["speechsynth", "basicsynth"]);
    assert_eq!(
        values(&answer.body, "a=rtpmap:"),
        ["0 PCMU/8000", "8 PCMA/8000", "101 telephone-event/8000"]
    );
    assert!(!answer.body.contains("text-to-speech"), "it is switched off");
    let off = Subject::with(&[
        "external_audio.enabled=false",
        "external_audio.sources=[{name='Radio', uri='file:/no.wav'}]",
    ]);
    let mut dialog = Dialog::new(Line::tcp(off.tcp), off.tcp);
    assert!(!dialog.ask("OPTIONS", &[], "").body.contains("x-audiosrc"));
}

#[test]
fn a_full_server_says_503_and_when_to_try_again() {
    let subject = Subject::with(&["general.mrcp.max_sessions=1"]);
    let mut call = crate::call::Call::place(&subject);
    let ear = crate::ear::Ear::open();
    let sdp = crate::call::describe(&[crate::call::CONTROL, crate::call::AUDIO].concat(), &ear);
    let mut dialog = Dialog::new(Line::udp(subject.udp), subject.udp);
    let answer = dialog.invite(&sdp);
    assert_eq!(answer.status(), 503);
    assert!(answer.header("Retry-After").is_some());
    assert!(answer.header("Warning").unwrap().contains("max_sessions"), "{}", answer.head);
    call.dialog.bye();
    subject.settles();
    let mut dialog = Dialog::new(Line::udp(subject.udp), subject.udp);
    assert_eq!(dialog.invite(&sdp).status(), 200);
    dialog.bye();
}

#[test]
fn without_a_free_port_a_call_is_503() {
    let pair = free_pair();
    let range = format!("audio.rtp.port_ranges=['{pair}-{}']", pair + 1);
    let subject = Subject::with(&[&range]);
    let ear = crate::ear::Ear::open();
    let sdp = crate::call::describe(&[crate::call::CONTROL, crate::call::AUDIO].concat(), &ear);
    let mut first = Dialog::new(Line::udp(subject.udp), subject.udp);
    let taken = first.invite(&sdp).status();
    let mut second = Dialog::new(Line::udp(subject.udp), subject.udp);
    let answer = second.invite(&sdp);
    assert_eq!(answer.status(), 503, "{}", answer.head);
    assert!(answer.header("Warning").is_some_and(|text| text.contains("port")), "{}", answer.head);
    if taken == 200 {
        first.bye();
    }
    subject.settles();
}

/// An even port that is free, with the odd one above it.
fn free_pair() -> u16 {
    for _ in 0..200 {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port() & !1;
        if [port, port + 1].iter().all(|port| {
            let taken = socket.local_addr().unwrap().port() == *port;
            taken || std::net::UdpSocket::bind(("127.0.0.1", *port)).is_ok()
        }) {
            return port;
        }
    }
    panic!("no two ports are free");
}

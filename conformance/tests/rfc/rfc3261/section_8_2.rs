//! RFC 3261 §8.2: what a request must be to be served, over UDP and over TCP.

use crate::call::Dialog;
use crate::sip_line::{Line, Message};
use crate::subject::Subject;

/// Sends `method` with `extra` headers over both transports; after it, the connection must live on.
#[track_caller]
fn check(subject: &Subject, method: &str, extra: &[&str], body: &str, status: u16) -> Message {
    let mut last = None;
    for line in [Line::udp(subject.udp), Line::tcp(subject.tcp)] {
        let server = if line.transport() == "UDP" { subject.udp } else { subject.tcp };
        let mut dialog = Dialog::new(line, server);
        let answer = dialog.ask(method, extra, body);
        let what = format!("{method} {extra:?} over {}", dialog.line.transport());
        assert_eq!(answer.status(), status, "{what}: {}", answer.head);
        // RFC 3261 §8.2.6.2: To is copied, and has a tag.
        assert!(answer.header("To").unwrap().contains(";tag="), "{what}");
        if method == "INVITE" {
            dialog.acknowledge(&answer);
        }
        let mut next = Dialog::new(dialog.line, server);
        assert_eq!(next.ask("OPTIONS", &[], "").status(), 200, "after {what}");
        last = Some(answer);
    }
    last.unwrap()
}

#[test]
fn section_8_2_1_an_unknown_method_is_answered_and_the_connection_lives_on() {
    let subject = Subject::any();
    for method in ["REGISTER", "SUBSCRIBE", "PUBLISH", "REFER", "MESSAGE", "NOTIFY", "PRACK"] {
        let answer = check(&subject, method, &[], "", 405);
        assert!(answer.header("Allow").unwrap().contains("INVITE"), "{}", answer.head);
    }
    let answer = check(&subject, "DANCE", &[], "", 501);
    assert!(answer.header("Allow").is_some());
}

#[test]
fn section_8_2_2_1_an_unknown_scheme_is_416() {
    let subject = Subject::any();
    let mut dialog = Dialog::new(Line::udp(subject.udp), subject.udp);
    dialog.target = "mailto:someone@example.com".to_owned();
    assert_eq!(dialog.ask("OPTIONS", &[], "").status(), 416);
}

#[test]
fn section_8_2_2_3_what_is_required_and_unknown_is_420() {
    let subject = Subject::any();
    let answer = check(&subject, "INVITE", &["Require: 100rel, moonlight"], "", 420);
    assert!(answer.header("Unsupported").unwrap().contains("moonlight"), "{}", answer.head);
    // Proxy-Require is not for us. RFC 3261 §8.2.2.3.
    check(&subject, "OPTIONS", &["Proxy-Require: moonlight"], "", 200);
}

#[test]
fn section_8_2_3_a_body_of_an_unknown_type_is_415() {
    let subject = Subject::any();
    let answer = check(&subject, "INVITE", &["Content-Type: text/plain"], "hello", 415);
    assert_eq!(answer.header("Accept").as_deref(), Some("application/sdp"));
}

#[test]
fn section_8_2_too_large_is_513_or_413_and_hops_are_counted() {
    let subject = Subject::any();
    let large = "x".repeat(80_000);
    let mut dialog = Dialog::new(Line::tcp(subject.tcp), subject.tcp);
    let answer = dialog.ask("INVITE", &["Content-Type: application/sdp"], &large);
    assert!([413, 513].contains(&answer.status()), "{}", answer.head);
    // It has arrived, so hops do not matter any more. RFC 4475 §3.3.11.
    check(&subject, "OPTIONS", &["Max-Forwards: 0"], "", 200);
    let answer = check(&subject, "OPTIONS", &["Max-Forwards: many"], "", 400);
    assert!(answer.first_line().contains("Max-Forwards"), "{}", answer.head);
}

#[test]
fn section_8_2_6_1_a_call_without_an_offer_gets_one() {
    let subject =
        Subject::with(&["external_audio.sources=[{name='Radio', uri='file:/nowhere.wav'}]"]);
    let target = format!("sip:Radio@{}", subject.udp);
    let mut dialog = Dialog::to(Line::udp(subject.udp), &target);
    let answer = dialog.ask("INVITE", &[], "");
    assert_eq!(answer.status(), 200);
    assert!(answer.body.contains("m=audio "), "{}", answer.body);
    assert_eq!(answer.header("Content-Type").as_deref(), Some("application/sdp"));
    let ear = crate::ear::Ear::open();
    let sdp = crate::call::describe(&["m=audio {rtp} RTP/AVP 8", "a=recvonly"], &ear);
    dialog.to = answer.header("To").unwrap();
    let contact = answer.header("Contact").unwrap();
    dialog.target = contact.split(['<', '>']).nth(1).unwrap().to_owned();
    let ack = dialog.request("ACK", &["Content-Type: application/sdp"], &sdp);
    dialog.send(&ack);
    assert_eq!(ear.wait_for(5)[0].payload_type, 8, "the answer in the ACK has the law");
    dialog.bye();
    subject.settles();
}

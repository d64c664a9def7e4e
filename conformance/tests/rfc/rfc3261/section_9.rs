//! RFC 3261 §9, §12, §15 and §17: CANCEL, dialogs, and what is repeated or out of order.

use std::time::{Duration, Instant};

use crate::call::{AUDIO, CONTROL, Call, Dialog, describe};
use crate::ear::Ear;
use crate::sip_line::{Line, QUIET};
use crate::subject::Subject;

#[test]
fn section_9_2_a_cancel_for_nothing_is_481_and_a_late_one_200() {
    let subject = Subject::any();
    let mut dialog = Dialog::new(Line::udp(subject.udp), subject.udp);
    assert_eq!(dialog.ask("CANCEL", &[], "").status(), 481);
    let ear = Ear::open();
    let sdp = describe(&[CONTROL, AUDIO].concat(), &ear);
    let mut dialog = Dialog::new(Line::udp(subject.udp), subject.udp);
    let answer = dialog.ask("INVITE", &["Content-Type: application/sdp"], &sdp);
    assert_eq!(answer.status(), 200);
    // It comes after the 200: it is answered, and the call lives.
    let cancel = dialog.again("CANCEL", &[], "");
    dialog.send(&cancel);
    let told = dialog.line.answer();
    assert_eq!((told.status(), told.header("CSeq").as_deref()), (200, Some("1 CANCEL")));
    dialog.acknowledge(&answer);
    dialog.bye();
    subject.settles();
}

#[test]
fn section_12_2_2_requests_of_no_dialog_are_481() {
    let subject = Subject::any();
    for method in ["BYE", "INFO", "UPDATE", "INVITE"] {
        let mut dialog = Dialog::new(Line::udp(subject.udp), subject.udp);
        dialog.to.push_str(";tag=nobody");
        assert_eq!(dialog.ask(method, &[], "").status(), 481, "{method}");
    }
}

#[test]
fn section_12_2_2_a_lower_cseq_is_500_and_a_gap_is_no_fault() {
    let subject = Subject::any();
    let mut call = Call::place(&subject);
    call.dialog.cseq = 100;
    assert_eq!(call.dialog.within("OPTIONS", &[], "").status(), 200);
    call.dialog.cseq = 50;
    assert_eq!(call.dialog.within("OPTIONS", &[], "").status(), 500);
    call.dialog.cseq = 200;
    assert_eq!(call.dialog.within("INFO", &[], "").status(), 200);
    call.dialog.bye();
    assert_eq!(call.dialog.within("BYE", &[], "").status(), 481, "it is over");
    subject.settles();
}

#[test]
fn section_13_3_1_4_the_200_is_repeated_until_the_ack() {
    let subject = Subject::any();
    let ear = Ear::open();
    let sdp = describe(&[CONTROL, AUDIO].concat(), &ear);
    let mut dialog = Dialog::new(Line::udp(subject.udp), subject.udp);
    let first = dialog.ask("INVITE", &["Content-Type: application/sdp"], &sdp);
    let second = dialog.line.next_within(Duration::from_millis(900)).expect("no repeat after T1");
    assert_eq!(
        (first.head.as_str(), first.body.as_str()),
        (second.head.as_str(), second.body.as_str())
    );
    dialog.acknowledge(&first);
    while dialog.line.next_within(QUIET).is_some() {}
    assert!(dialog.line.next_within(Duration::from_millis(1_200)).is_none(), "the ACK ends it");
    dialog.bye();
    subject.settles();
}

#[test]
fn section_13_3_1_4_without_an_ack_the_call_ends_and_leaves_nothing() {
    let subject = Subject::with(&[]);
    let ear = Ear::open();
    let sdp = describe(&[CONTROL, AUDIO].concat(), &ear);
    let mut accepted = Dialog::new(Line::udp(subject.udp), subject.udp);
    assert_eq!(accepted.ask("INVITE", &["Content-Type: application/sdp"], &sdp).status(), 200);
    let mut refused = Dialog::new(Line::udp(subject.udp), subject.udp);
    let nothing = describe(&["m=audio {rtp} RTP/AVP 18"], &ear);
    assert_eq!(refused.ask("INVITE", &["Content-Type: application/sdp"], &nothing).status(), 488);
    let mut cancelled = Dialog::new(Line::udp(subject.udp), subject.udp);
    assert_eq!(cancelled.ask("CANCEL", &[], "").status(), 481);
    // 64 times T1 is 32 s: then the server gives up, and says goodbye.
    let began = Instant::now();
    let bye = loop {
        let message = accepted.line.next_within(Duration::from_secs(6)).expect("no BYE");
        if message.head.starts_with("BYE ") {
            break message;
        }
        assert_eq!(message.status(), 200);
    };
    assert!((30..36).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    let kept = bye.head.split("\r\n").skip(1).filter(|line| {
        ["Via", "From", "To", "Call-ID", "CSeq"].iter().any(|name| line.starts_with(name))
    });
    let headers: String = kept.map(|line| format!("{line}\r\n")).collect();
    accepted.send(&format!("SIP/2.0 200 OK\r\n{headers}Content-Length: 0\r\n\r\n"));
    subject.settles();
}

#[test]
fn section_17_2_1_a_repeated_invite_gets_the_same_answer_and_makes_no_second_call() {
    let subject = Subject::with(&[]);
    let ear = Ear::open();
    let sdp = describe(&[CONTROL, AUDIO].concat(), &ear);
    let mut dialog = Dialog::new(Line::udp(subject.udp), subject.udp);
    let invite = dialog.request("INVITE", &["Content-Type: application/sdp"], &sdp);
    for _ in 0..3 {
        dialog.send(&invite);
    }
    let first = dialog.line.answer();
    while let Some(more) = dialog.line.next_within(QUIET) {
        assert!(more.status() < 200 || more.head == first.head, "{}", more.head);
    }
    assert_eq!(subject.standing().unwrap().control.sessions, 1);
    dialog.acknowledge(&first);
    dialog.bye();
    subject.settles();
}

#[test]
fn section_8_2_2_2_a_call_that_comes_twice_by_two_ways_is_482() {
    let subject = Subject::any();
    let ear = Ear::open();
    let sdp = describe(&[CONTROL, AUDIO].concat(), &ear);
    let mut dialog = Dialog::new(Line::udp(subject.udp), subject.udp);
    let answer = dialog.ask("INVITE", &["Content-Type: application/sdp"], &sdp);
    let merged = dialog.ask("INVITE", &["Content-Type: application/sdp"], &sdp);
    assert_eq!(merged.status(), 482, "{}", merged.head);
    let ack = dialog.again("ACK", &[], "");
    dialog.send(&ack);
    dialog.acknowledge(&answer);
    dialog.bye();
    subject.settles();
}

#[test]
fn a_call_over_tcp_works_as_over_udp_and_its_messages_may_come_in_pieces() {
    let subject = Subject::any();
    let ear = Ear::open();
    let sdp = describe(&[CONTROL, AUDIO].concat(), &ear);
    let mut dialog = Dialog::new(Line::tcp(subject.tcp), subject.tcp);
    let invite = dialog.request("INVITE", &["Content-Type: application/sdp"], &sdp);
    for piece in invite.as_bytes().chunks(7) {
        dialog.line.send(piece);
    }
    let answer = dialog.line.answer();
    assert_eq!(answer.status(), 200, "{}", answer.head);
    dialog.acknowledge(&answer);
    dialog.line.send(b"\r\n\r\n");
    dialog.bye();
    subject.settles();
}

#[test]
fn section_18_2_2_without_rport_the_answer_goes_where_the_via_says() {
    let subject = Subject::any();
    let mut here = Line::udp(subject.udp);
    let mut there = Dialog::new(Line::udp(subject.udp), subject.udp);
    let text = there.request("OPTIONS", &[], "").replace(";rport", "");
    here.send(text.as_bytes());
    assert_eq!(there.line.answer().status(), 200);
    assert!(here.next_within(QUIET).is_none());
}

//! RFC 3264 §8: a session that is changed while it runs.

use std::time::Duration;

use crate::call::{AUDIO, CONTROL, Call, describe, values};
use crate::ear::Ear;
use crate::subject::Subject;

const TONE: &str = "tone:1000;ms=60000;db=-10\r\n";

fn offer(lines: &[&str], version: u32) -> String {
    let ear = Ear::open();
    describe(lines, &ear).replace("o=c 1 1", &format!("o=c 1 {version}"))
}

fn with_port(lines: &[&str], version: u32, ear: &Ear) -> String {
    describe(lines, ear).replace("o=c 1 1", &format!("o=c 1 {version}"))
}

impl Call {
    #[track_caller]
    fn reoffer(&mut self, sdp: &str) -> crate::sip_line::Message {
        let answer = self.dialog.within("INVITE", &["Content-Type: application/sdp"], sdp);
        self.dialog.acknowledge(&answer);
        answer
    }
}

#[test]
fn section_8_4_a_held_call_is_sent_nothing_and_goes_on_after() {
    let subject = Subject::any();
    let mut call = Call::place(&subject);
    assert_eq!(call.speak("text/uri-list", TONE).what(), "200 IN-PROGRESS");
    call.ear.wait_for(10);
    let channel = call.channels[0].clone();
    for (number, hold) in ["a=inactive", "a=sendonly", "c=IN IP4 0.0.0.0"].into_iter().enumerate() {
        let version = number as u32 * 2 + 2;
        let lines = [CONTROL, &["m=audio {rtp} RTP/AVP 0", hold, "a=mid:1"]].concat();
        let sdp = with_port(&lines, version, &call.ear);
        let answer = call.reoffer(&sdp);
        assert_eq!(answer.status(), 200, "{}", answer.head);
        assert_eq!(values(&answer.body, "a=channel:"), [channel.as_str()], "the channel stays");
        std::thread::sleep(Duration::from_millis(60));
        assert_eq!(call.ear.within(Duration::from_millis(200)), 0, "{hold}");
        let sdp = with_port(&[CONTROL, AUDIO].concat(), version + 1, &call.ear);
        assert_eq!(call.reoffer(&sdp).status(), 200);
        assert!(call.ear.within(Duration::from_millis(300)) > 8, "after {hold}");
    }
    call.dialog.bye();
    subject.settles();
}

#[test]
fn section_8_3_1_the_port_moves_while_it_speaks() {
    let subject = Subject::any();
    let mut call = Call::place(&subject);
    assert_eq!(call.speak("text/uri-list", TONE).what(), "200 IN-PROGRESS");
    let before = call.ear.wait_for(10);
    let other = Ear::open();
    let answer = call.reoffer(&with_port(&[CONTROL, AUDIO].concat(), 2, &other));
    assert_eq!(answer.status(), 200);
    let after = other.wait_for(10);
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(call.ear.within(Duration::from_millis(100)), 0);
    let last = call.ear.heard().last().unwrap().sequence;
    assert_eq!(after[0].sequence, last.wrapping_add(1), "the stream goes on as it was");
    assert!(before.len() >= 10);
    // The o-line's version rises with each answer.
    let version = |sdp: &str| -> u64 { sdp.split(' ').nth(2).unwrap().parse().unwrap() };
    assert!(version(&answer.body) > version(&call.answer.body));
    call.dialog.bye();
    subject.settles();
}

#[test]
fn section_8_the_law_and_the_packet_length_change_while_it_speaks() {
    let subject = Subject::any();
    let mut call = Call::place(&subject);
    assert_eq!(call.speak("text/uri-list", TONE).what(), "200 IN-PROGRESS");
    call.ear.wait_for(5);
    let lines =
        [CONTROL, &["m=audio {rtp} RTP/AVP 8", "a=ptime:30", "a=recvonly", "a=mid:1"]].concat();
    let sdp = with_port(&lines, 2, &call.ear);
    assert_eq!(call.reoffer(&sdp).status(), 200);
    std::thread::sleep(Duration::from_millis(60));
    call.ear.forget();
    let heard = call.ear.wait_for(10);
    assert!(heard.iter().all(|packet| packet.payload_type == 8 && packet.payload.len() == 240));
    assert!(audio::measure::rms_dbfs(&call.ear.audio()) > -18.0);
    call.dialog.bye();
}

#[test]
fn section_8_1_lines_are_added_and_taken_away() {
    let subject = Subject::any();
    let mut call = Call::place(&subject);
    let second = [
        "m=application 9 TCP/MRCPv2 1",
        "a=setup:active",
        "a=connection:existing",
        "a=resource:basicsynth",
        "a=cmid:1",
    ];
    let sdp = with_port(&[CONTROL, AUDIO, &second].concat(), 2, &call.ear);
    let answer = call.reoffer(&sdp);
    let channels = values(&answer.body, "a=channel:");
    assert_eq!(channels.len(), 2, "{}", answer.body);
    assert_eq!(channels[0], call.channels[0]);
    let mut gone = second;
    gone[0] = "m=application 0 TCP/MRCPv2 1";
    let sdp = with_port(&[CONTROL, AUDIO, &gone].concat(), 3, &call.ear);
    let answer = call.reoffer(&sdp);
    assert_eq!(values(&answer.body, "a=channel:"), [channels[0].as_str()]);
    assert_eq!(values(&answer.body, "m=application 0 ").len(), 1, "{}", answer.body);
    let headers = [format!("Channel-Identifier: {}", channels[1])];
    let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
    call.mrcp.send(&crate::mrcp_line::request("GET-PARAMS", 1, &headers, b""));
    assert_eq!(call.mrcp.next().what(), "405 COMPLETE", "its channel is gone");
    call.dialog.bye();
    subject.settles();
}

#[test]
fn section_8_an_offer_that_cannot_be_served_changes_nothing() {
    let subject = Subject::any();
    let mut call = Call::place(&subject);
    assert_eq!(call.speak("text/uri-list", TONE).what(), "200 IN-PROGRESS");
    call.ear.wait_for(5);
    let answer = call.reoffer(&offer(&["m=audio {rtp} RTP/AVP 18"], 2));
    assert_eq!(answer.status(), 488);
    assert!(call.ear.within(Duration::from_millis(200)) > 5, "the old session runs on");
    // UPDATE does the same as INVITE, without an ACK. RFC 3311.
    let sdp = with_port(
        &[CONTROL, &["m=audio {rtp} RTP/AVP 0", "a=inactive", "a=mid:1"]].concat(),
        3,
        &call.ear,
    );
    let answer = call.dialog.within("UPDATE", &["Content-Type: application/sdp"], &sdp);
    assert_eq!(answer.status(), 200, "{}", answer.head);
    std::thread::sleep(Duration::from_millis(60));
    assert_eq!(call.ear.within(Duration::from_millis(150)), 0);
    call.dialog.bye();
    subject.settles();
}

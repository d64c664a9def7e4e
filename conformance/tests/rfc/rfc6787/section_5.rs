//! RFC 6787 §5: messages on a connection, whole, in pieces, together and broken.

use std::time::Duration;

use crate::call::Call;
use crate::mrcp_line::{MrcpLine, request};
use crate::sip_line::QUIET;
use crate::subject::Subject;

fn get_params(call: &Call, id: u32) -> Vec<u8> {
    request("GET-PARAMS", id, &[&format!("Channel-Identifier: {}", call.channels[0])], b"")
}

#[test]
fn section_5_1_a_message_may_be_split_at_every_byte() {
    let subject = Subject::any();
    let mut call = Call::place(&subject);
    let bytes = get_params(&call, 1);
    for (number, byte) in bytes.iter().enumerate() {
        call.mrcp.send(&[*byte]);
        if number % 16 == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    assert_eq!(call.mrcp.next().what(), "200 COMPLETE");
    for split in 1..bytes.len() {
        let id = split as u32 + 1;
        let bytes = get_params(&call, id);
        call.mrcp.send(&bytes[..split]);
        call.mrcp.send(&bytes[split..]);
        let told = call.mrcp.next();
        assert_eq!((told.what().as_str(), told.id()), ("200 COMPLETE", id));
    }
}

#[test]
fn section_5_1_several_messages_may_come_in_one_segment() {
    let subject = Subject::any();
    let mut call = Call::place(&subject);
    let all: Vec<u8> = (1..=100).flat_map(|id| get_params(&call, id)).collect();
    call.mrcp.send(&all);
    for id in 1..=100 {
        assert_eq!(call.mrcp.next().id(), id);
    }
}

#[test]
fn section_5_1_zeros_may_stand_before_a_length() {
    let subject = Subject::any();
    let mut call = Call::place(&subject);
    let text = String::from_utf8(get_params(&call, 1)).unwrap();
    let length = text.split(' ').nth(1).unwrap();
    let padded = text.replacen(length, &format!("000000{}", length.parse::<u32>().unwrap() + 6), 1);
    call.mrcp.send(padded.as_bytes());
    assert_eq!(call.mrcp.next().what(), "200 COMPLETE");
}

/// Sends `bytes`; the answer, and whether the connection lives on.
#[track_caller]
fn check(call: &mut Call, bytes: &[u8], answer: Option<&str>, lives: bool) {
    let address = call.mrcp.stream.peer_addr().unwrap();
    let mut line = MrcpLine::open(address);
    line.send(bytes);
    let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(120)]).into_owned();
    if let Some(answer) = answer {
        assert_eq!(line.next().what(), answer, "for {shown}");
    }
    if lives {
        call.next_id += 10;
        line.send(&get_params(call, call.next_id));
        call.next_id += 1;
        assert_eq!(line.next().what(), "200 COMPLETE", "for {shown}");
    } else {
        assert!(line.is_closed(), "for {shown}");
    }
    // Whatever one connection says, another does not notice.
    assert_eq!(call.ask("GET-PARAMS", &[], b"").what(), "200 COMPLETE");
}

#[test]
fn section_5_1_after_a_fault_the_connection_lives_on_if_the_next_message_can_be_found() {
    let subject = Subject::any();
    let mut call = Call::place(&subject);
    let channel = format!("Channel-Identifier: {}", call.channels[0]);
    let call = &mut call;
    check(call, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", None, false);
    check(call, b"MRCP/2.0 12 SPEAK 1\r\n\r\n", None, false);
    check(call, b"MRCP/2.0 abc SPEAK 1\r\n\r\n", None, false);
    check(call, b"MRCP/2.0 -5 SPEAK 1\r\n\r\n", None, false);
    check(call, b"MRCP/2.0 99999999999 SPEAK 1\r\n\r\n", None, false);
    let mut next = || {
        call.next_id += 10;
        call.next_id
    };
    let [a, b, c, d, e, f, g] = std::array::from_fn(|_| next());
    check(call, &request("GET-PARAMS", a, &[], b""), Some("406 COMPLETE"), true);
    let twice = [channel.as_str(), channel.as_str()];
    check(call, &request("GET-PARAMS", b, &twice, b""), Some("404 COMPLETE"), true);
    let bad = [channel.as_str(), "no colon here"];
    check(call, &request("GET-PARAMS", c, &bad, b""), Some("404 COMPLETE"), true);
    let stranger = ["Channel-Identifier: 0123456789abcdef@speechsynth"];
    check(call, &request("GET-PARAMS", d, &stranger, b""), Some("405 COMPLETE"), true);
    let old = String::from_utf8(request("GET-PARAMS", e, &[&channel], b"")).unwrap();
    let old = old.replacen("MRCP/2.0", "MRCP/1.0", 1);
    check(call, old.as_bytes(), Some("502 COMPLETE"), true);
    let many: Vec<String> =
        (0..1_000).map(|n| format!("X-{n}: 1")).chain([channel.clone()]).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    check(call, &request("GET-PARAMS", f, &many, b""), Some("504 COMPLETE"), true);
    let lied = String::from_utf8(request("SPEAK", g, &[&channel], b"tone:400")).unwrap();
    let lied = lied.replace("Content-Length: 8", "Content-Length: 9");
    check(call, lied.as_bytes(), Some("404 COMPLETE"), true);
}

#[test]
fn section_5_1_bodies_to_64_kib_are_taken_and_longer_ones_refused() {
    let subject = Subject::any();
    let mut call = Call::place(&subject);
    let text = format!("tone:400;ms=100\r\n#{}", "x".repeat(65_536 - 18));
    assert_eq!(text.len(), 65_536);
    let done = call.spoken("text/uri-list", &text);
    assert_eq!(done.get("Completion-Cause"), "000 normal", "{}", done.head);
    let long = format!("{text}x");
    assert_eq!(call.speak("text/uri-list", &long).what(), "504 COMPLETE");
    assert_eq!(call.speak("text/uri-list", &"x".repeat(5_000_000)).what(), "504 COMPLETE");
    assert_eq!(call.ask("GET-PARAMS", &[], b"").what(), "200 COMPLETE");
}

#[test]
fn section_5_2_request_ids_rise_in_a_session() {
    let subject = Subject::any();
    let mut call = Call::place(&subject);
    for (id, expected) in [
        (5, "200 COMPLETE"),
        (5, "410 COMPLETE"),
        (4, "410 COMPLETE"),
        (6, "200 COMPLETE"),
        (4_294_967_295, "200 COMPLETE"),
    ] {
        let bytes = get_params(&call, id);
        call.mrcp.send(&bytes);
        let told = call.mrcp.next();
        assert_eq!((told.what().as_str(), told.id()), (expected, id));
    }
}

#[test]
fn section_5_2_an_unknown_method_is_answered_and_the_connection_lives_on() {
    let subject = Subject::any();
    let mut call = Call::place(&subject);
    for method in ["RECOGNIZE", "SING", "speak-now"] {
        assert_eq!(call.ask(method, &[], b"").what(), "405 COMPLETE", "{method}");
    }
    assert_eq!(call.ask("GET-PARAMS", &[], b"").what(), "200 COMPLETE");
}

#[test]
fn section_5_3_events_and_answers_from_a_client_are_ignored() {
    let subject = Subject::any();
    let mut call = Call::place(&subject);
    let channel = &call.channels[0];
    for line in ["1 200 COMPLETE", "SPEAK-COMPLETE 1 COMPLETE"] {
        let rest = format!(" {line}\r\nChannel-Identifier: {channel}\r\n\r\n");
        let length = "MRCP/2.0 ".len() + 3 + rest.len();
        let bytes = format!("MRCP/2.0 {length:03}{rest}");
        call.mrcp.stream.set_nodelay(true).unwrap();
        call.mrcp.send(bytes.as_bytes());
        assert!(call.mrcp.next_within(QUIET).is_none());
    }
    assert_eq!(call.ask("GET-PARAMS", &[], b"").what(), "200 COMPLETE");
}

#[test]
fn a_connection_that_stops_in_a_message_hurts_nobody() {
    let subject = Subject::any();
    let mut call = Call::place(&subject);
    let mut half = MrcpLine::open(call.mrcp.stream.peer_addr().unwrap());
    half.send(b"MRCP/2.0 500 SPEAK 1\r\nChannel-Id");
    let done = call.spoken("text/uri-list", "tone:400;ms=100\r\n");
    assert_eq!(done.get("Completion-Cause"), "000 normal");
    drop(half);
    assert_eq!(call.ask("GET-PARAMS", &[], b"").what(), "200 COMPLETE");
}

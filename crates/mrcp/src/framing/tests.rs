use std::fmt::Write;

use super::*;

const LIMITS: Limits = Limits { body_bytes: 64, header_bytes: 512, header_lines: 8 };

/// The bytes of a script: line ends become CRLF, and LEN the message's length, for every message.
fn wire(script: &str) -> Vec<u8> {
    let script = script.replace('\n', "\r\n");
    script
        .split_inclusive("~")
        .flat_map(|message| {
            let message = message.trim_end_matches('~');
            let others = message.len() - if message.contains("LEN") { 3 } else { 0 };
            let digits = (1..6).find(|d| (others + d).to_string().len() == *d).unwrap();
            message.replacen("LEN", &(others + digits).to_string(), 1).into_bytes()
        })
        .collect()
}

fn told(framed: &Framed) -> String {
    match framed {
        Framed::Message(Message::Request(r)) => {
            format!("{} {} {} +{}", r.method, r.id, r.channel, r.body.len())
        }
        Framed::Message(Message::Response(r)) => {
            format!("{} {} {} {} +{}", r.id, r.status, r.state, r.channel, r.body.len())
        }
        Framed::Message(Message::Event(e)) => {
            format!("{} {} {} {} +{}", e.name, e.id, e.state, e.channel, e.body.len())
        }
        Framed::Fault(fault) => {
            let mut text = format!("{:?}", fault.kind);
            if !fault.is_recoverable() {
                text.push_str(" closed");
            }
            if let Some(answer) = fault.answer() {
                let answer = String::from_utf8(answer).unwrap();
                let lines: Vec<&str> = answer.trim_end().split("\r\n").collect();
                let first: Vec<&str> = lines[0].split(' ').skip(2).collect();
                write!(text, " -> {}", first.join(" ")).unwrap();
                for line in &lines[1..] {
                    write!(text, " {{{line}}}").unwrap();
                }
            }
            text
        }
    }
}

fn read(bytes: &[u8], piece: usize) -> String {
    let mut framer = Framer::new(LIMITS);
    let mut seen = Vec::new();
    for piece in bytes.chunks(piece) {
        framer.push(piece);
        seen.extend(framer.by_ref().map(|framed| told(&framed)));
    }
    if framer.is_amid_message() {
        seen.push("…".into());
    }
    seen.join(" | ")
}

/// What comes out, and that it comes out the same however the bytes are cut.
fn check(script: &str, expected: &str) {
    let bytes = wire(script);
    for piece in [bytes.len().max(1), 1, 2, 3, 5, 16, 61] {
        assert_eq!(read(&bytes, piece), expected, "{script:?} in pieces of {piece}");
    }
    for cut in 1..bytes.len() {
        let mut framer = Framer::new(LIMITS);
        let mut seen = Vec::new();
        for piece in [&bytes[..cut], &bytes[cut..]] {
            framer.push(piece);
            seen.extend(framer.by_ref().map(|framed| told(&framed)));
        }
        if framer.is_amid_message() {
            seen.push("…".into());
        }
        assert_eq!(seen.join(" | "), expected, "{script:?} cut at {cut}");
    }
}

const STOP: &str = "MRCP/2.0 LEN STOP 7\nChannel-Identifier: a@speechsynth\n\n";

#[test]
fn section_5_requests_responses_and_events_are_told_apart() {
    check(STOP, "STOP 7 a@speechsynth +0");
    check(
        "MRCP/2.0 LEN 7 200 IN-PROGRESS\nChannel-Identifier:a@recorder\n\n",
        "7 200 IN-PROGRESS a@recorder +0",
    );
    check(
        "MRCP/2.0 LEN SPEAK-COMPLETE 7 COMPLETE\nCHANNEL-IDENTIFIER :\ta@speechsynth\n\n",
        "SPEAK-COMPLETE 7 COMPLETE a@speechsynth +0",
    );
    check(
        "mrcp/2.00 LEN speak 7\nChannel-Identifier:a@b\ncontent-length: 005\n\nhello",
        "SPEAK 7 a@b +5",
    );
}

#[test]
fn section_4_5_messages_follow_each_other_in_one_segment() {
    check(&format!("{STOP}~{STOP}~\n~{STOP}"), &["STOP 7 a@speechsynth +0"; 3].join(" | "));
    check(
        &format!("{STOP}~MRCP/2.0 LEN PAUSE 8\nChannel-Identifier: b@speechsynth\n\n~MRCP/2.0 9"),
        "STOP 7 a@speechsynth +0 | PAUSE 8 b@speechsynth +0 | …",
    );
}

#[test]
fn section_5_1_lengths_may_have_leading_zeros_and_are_decimal() {
    for zeros in ["0", "000000000000", "0000000000000000"] {
        let script = STOP.replace("LEN", "#");
        let length = script.replace('\n', "\r\n").len() - 1 + zeros.len() + 2;
        check(&script.replace('#', &format!("{zeros}{length}")), "STOP 7 a@speechsynth +0");
    }
    check(&STOP.replace("LEN", "00000000000000000070"), "BadLength closed");
    for bad in ["", "-5", "+70", "7x", "0x46", "0", "5", "19"] {
        check(&STOP.replace("LEN", bad), "BadLength closed");
    }
}

#[test]
fn section_5_1_what_does_not_begin_as_a_message_closes_the_connection() {
    check("GET / HTTP/1.1\n\n", "NotMrcp closed");
    check("MRCP/2 70 STOP 7\n", "NotMrcp closed");
    check("MRCP/2.000 70 STOP 7\n", "NotMrcp closed");
    check("SPEAK 543257 MRCP/1.0\n", "NotMrcp closed");
    check("MRCP/2.0 77777777777777777777777777777777777777", "BadLength closed");
    check("MRCP/2.0\n70 STOP 7\n", "NotMrcp closed");
    check("MRCP/2.0  70 STOP 7\n", "BadLength closed");
    check("\u{16}\u{3}\u{1}", "NotMrcp closed");
    check("MRCP/2.0 99999999999 STOP 7\n", "FarTooLong closed");
    check(&format!("junk~{STOP}"), "NotMrcp closed");
}

#[test]
fn section_5_4_a_fault_inside_a_known_frame_is_answered_and_the_connection_goes_on() {
    let check = |script: &str, expected: &str| {
        check(&format!("{script}~{STOP}"), &format!("{expected} | STOP 7 a@speechsynth +0"));
    };
    let channel = "Channel-Identifier: a@b";
    check(
        &format!("MRCP/3.0 LEN SPEAK 1\n{channel}\n\n"),
        &format!("Version -> 1 502 COMPLETE {{{channel}}}"),
    );
    check(&format!("MRCP/2.0 LEN SPEAK\n{channel}\n\n"), "StartLine");
    check(&format!("MRCP/2.0 LEN SPEAK 4294967296\n{channel}\n\n"), "StartLine");
    check(&format!("MRCP/2.0 LEN 7 200 DONE\n{channel}\n\n"), "StartLine");
    check(&format!("MRCP/2.0 LEN 7 2000 COMPLETE\n{channel}\n\n"), "StartLine");
    check("MRCP/2.0 LEN SPEAK 1\n\n", "ChannelMissing -> 1 406 COMPLETE");
    check(
        "MRCP/2.0 LEN SPEAK 1\nChannel-Identifier: a-b\n\n",
        "ChannelIllegal -> 1 404 COMPLETE {Channel-Identifier: a-b}",
    );
    check(
        &format!("MRCP/2.0 LEN SPEAK 1\n{channel}\n{channel}\n\n"),
        &format!("ChannelIllegal -> 1 404 COMPLETE {{{channel}}}"),
    );
    for bad in ["no colon", "two words: x", ": no name", "a: \u{1}"] {
        check(
            &format!("MRCP/2.0 LEN SPEAK 1\n{bad}\n{channel}\n\n"),
            &format!("HeaderLine -> 1 404 COMPLETE {{{channel}}}"),
        );
    }
    check(
        &format!("MRCP/2.0 LEN SPEAK 1\n folded\n{channel}\n\n"),
        "HeaderLine -> 1 404 COMPLETE {Channel-Identifier: a@b}",
    );
    check(
        &format!("MRCP/2.0 LEN SPEAK 1\n{channel}\n"),
        &format!("NoEndOfHeaders -> 1 404 COMPLETE {{{channel}}}"),
    );
    check("MRCP/2.0 LEN 1 200 COMPLETE\n\n", "ChannelMissing");
}

#[test]
fn section_6_2_11_content_length_says_what_the_frame_holds() {
    let check = |fields: &str, body: &str, expected: &str| {
        let script = format!("MRCP/2.0 LEN SPEAK 1\nChannel-Identifier: a@b\n{fields}\n{body}");
        check(&format!("{script}~{STOP}"), &format!("{expected} | STOP 7 a@speechsynth +0"));
    };
    check("Content-Length:5\n", "hello", "SPEAK 1 a@b +5");
    check("Content-Length:0\n", "", "SPEAK 1 a@b +0");
    let answer = "-> 1 404 COMPLETE {Channel-Identifier: a@b}";
    for (fields, body) in [
        ("Content-Length:6\n", "hello"),
        ("Content-Length:4\n", "hello"),
        ("Content-Length:five\n", "hello"),
        ("Content-Length:\n", ""),
        ("Content-Length:5\nContent-Length:5\n", "hello"),
        ("Content-Length:99999999999999999999\n", "hello"),
    ] {
        check(fields, body, &format!("ContentLengthIllegal {answer}"));
    }
    check("", "hello", "ContentLengthMissing -> 1 406 COMPLETE {Channel-Identifier: a@b}");
}

#[test]
fn section_5_4_what_is_too_large_is_skipped_and_answered_504() {
    let after = "STOP 7 a@speechsynth +0";
    let speak = |fields: &str, body: usize| {
        let body = "x".repeat(body);
        format!(
            "MRCP/2.0 LEN SPEAK 1\nChannel-Identifier: a@b\n{fields}Content-Length: {}\n\n{body}~{STOP}",
            body.len()
        )
    };
    let answer = "-> 1 504 COMPLETE {Channel-Identifier: a@b}";
    check(&speak("", LIMITS.body_bytes), &format!("SPEAK 1 a@b +64 | {after}"));
    check(&speak("", LIMITS.body_bytes + 1), &format!("BodyTooLong {answer} | {after}"));
    check(&speak("", 2_000), &format!("BodyTooLong {answer} | {after}"));
    check(&speak(&"A: b\n".repeat(9), 1), &format!("TooManyHeaders {answer} | {after}"));
    let long = format!("A: {}\n", "b".repeat(600));
    check(&speak(&long, 1), &format!("BodyTooLong {answer} | {after}"));
}

#[test]
fn section_6_2_a_thousand_header_lines_are_refused_by_default() {
    let script =
        format!("MRCP/2.0 LEN SPEAK 1\nChannel-Identifier: a@b\n{}\n", "A: b\n".repeat(1000));
    let mut framer = Framer::new(Limits::default());
    framer.push(&wire(&script));
    let Some(Framed::Fault(fault)) = framer.next() else { panic!("no fault") };
    assert_eq!(fault.kind, FaultKind::TooManyHeaders);
    assert!(fault.is_recoverable() && fault.answer().is_some());
}

#[test]
fn section_5_1_bodies_to_64_kib_are_taken_by_default() {
    let body = "x".repeat(64 * 1024);
    let script = format!(
        "MRCP/2.0 LEN SPEAK 1\nChannel-Identifier: a@b\nContent-Length: {}\n\n{body}",
        body.len()
    );
    let mut framer = Framer::new(Limits::default());
    for byte in wire(&script) {
        framer.push(&[byte]);
    }
    assert_eq!(framer.next().map(|framed| told(&framed)).unwrap(), "SPEAK 1 a@b +65536");
    assert_eq!(framer.next(), None);
    assert!(framer.buffer.capacity() <= KEEP_BYTES, "an idle connection keeps little");
}

#[test]
fn section_6_2_folded_values_are_joined_by_one_blank() {
    let mut framer = Framer::new(LIMITS);
    framer.push(&wire(
        "MRCP/2.0 LEN GET-PARAMS 1\nVendor-Specific-Parameters:com.a;\n \t  com.b\nX:\n y\n\
         Channel-Identifier:\n a@b\n\n",
    ));
    let Some(Framed::Message(Message::Request(request))) = framer.next() else { panic!() };
    assert_eq!(request.headers.get("vendor-specific-parameters"), Some("com.a; com.b"));
    assert_eq!(request.headers.get("X"), Some("y"));
    assert_eq!(request.channel.to_string(), "a@b");
}

#[test]
fn lines_may_end_without_a_carriage_return() {
    let mut framer = Framer::new(LIMITS);
    framer.push(b"MRCP/2.0 48 STOP 7\nChannel-Identifier: a@synth\n\n");
    assert_eq!(framer.next().map(|framed| told(&framed)).unwrap(), "STOP 7 a@synth +0");
}

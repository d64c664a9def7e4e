//! The RFC's own example messages, as files: how each is read, and that a synthesizer says what
//! the RFC says.
//!
//! A file holds blocks: a line `C->S` or `S->C`, the message as it stands in the RFC, a line
//! `= reading`. Lengths are filled in, for the RFC writes `...` or, in §5.1, counts that are off.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test file")]

use std::fs;
use std::path::Path;

use mrcp::settings::Settings;
use mrcp::synthesizer::{End, Input, Kind, Outcome, Output, Synthesizer};
use mrcp::{EventName, Framed, Framer, Headers, Limits, Message, NtpTime};
use vocab::Now;

struct Example {
    from_client: bool,
    bytes: Vec<u8>,
    reading: String,
}

fn examples(name: &str) -> Vec<Example> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rfc6787").join(name);
    let text = fs::read_to_string(path).unwrap();
    let mut examples = Vec::new();
    let mut lines = text.lines();
    while let Some(direction) = lines.next() {
        let mut message = Vec::new();
        let reading = loop {
            let line = lines.next().unwrap();
            match line.strip_prefix("= ") {
                Some(reading) => break reading.to_owned(),
                None => message.push(line),
            }
        };
        let from_client = direction == "C->S";
        examples.push(Example { from_client, bytes: wire(&message), reading });
    }
    examples
}

/// The message with CRLF and true lengths.
fn wire(lines: &[&str]) -> Vec<u8> {
    let end = lines.iter().position(|line| line.is_empty()).unwrap_or(lines.len());
    let (head, body) = lines.split_at(end);
    let body: String = body.iter().skip(1).map(|line| format!("{line}\r\n")).collect();
    let mut words: Vec<&str> = head.first().unwrap().split(' ').collect();
    let fields: String = head
        .iter()
        .skip(1)
        .map(|line| match line.split_once(':') {
            Some(("Content-Length", _)) => format!("Content-Length:{}\r\n", body.len()),
            _ => format!("{line}\r\n"),
        })
        .collect();
    // Eight digits, zero-padded, as §5.1 allows.
    words.remove(1);
    words.insert(1, "00000000");
    let first = words.join(" ");
    let length = first.len() + 2 + fields.len() + 2 + body.len();
    let first = first.replacen("00000000", &format!("{length:08}"), 1);
    format!("{first}\r\n{fields}\r\n{body}").into_bytes()
}

fn read(bytes: &[u8]) -> Framed {
    let mut framer = Framer::new(Limits::default());
    framer.push(bytes);
    let framed = framer.next().unwrap();
    assert!(!framer.is_amid_message());
    framed
}

fn reading(framed: &Framed) -> String {
    match framed {
        Framed::Message(Message::Request(request)) => format!("{request:?}"),
        Framed::Message(Message::Response(response)) => format!("{response:?}"),
        Framed::Message(Message::Event(event)) => format!("{event:?}"),
        Framed::Fault(fault) => format!("fault: {fault}"),
    }
}

fn check(name: &str) {
    let mut wrong = String::new();
    for example in examples(name) {
        let got = reading(&read(&example.bytes));
        if got != example.reading {
            wrong.push_str(&format!("= {}\n  got {got}\n", example.reading));
        }
    }
    assert!(wrong.is_empty(), "{name}:\n{wrong}");
}

/// Plays the client's side to a synthesizer, with the news that the RFC's answers imply, and
/// compares what it says with what the RFC says (timestamps and the order of fields apart).
fn converse(name: &str) {
    let mut synthesizer = Synthesizer::new(Kind::Speech, Settings::default());
    let mut said: Vec<Message> = Vec::new();
    for example in examples(name) {
        let Framed::Message(message) = read(&example.bytes) else { continue };
        let at = NtpTime::default();
        let mut inputs = Vec::new();
        if let (true, Message::Request(request)) = (example.from_client, &message) {
            inputs.push(Input::Request { request: request.clone(), at });
        } else if let Message::Event(event) = &message {
            inputs.push(match (&event.name, event.marker().unwrap().name) {
                (EventName::SpeechMarker, Some(name)) => {
                    Input::Marker { request: event.id, name, at }
                }
                (EventName::SpeakComplete, _) => {
                    Input::Finished { request: event.id, end: End::Normal, at }
                }
                other => panic!("{other:?}"),
            });
        }
        for input in inputs {
            let mut out = Vec::new();
            synthesizer.handle(Now::ZERO, input, &mut out);
            let mut more = Vec::new();
            for output in &out {
                if let Output::Change { control, .. } = output {
                    let done = Input::Changed { control: *control, outcome: Outcome::Applied, at };
                    synthesizer.handle(Now::ZERO, done, &mut more);
                }
            }
            for output in out.into_iter().chain(more) {
                if let Output::Send(message) = output {
                    said.push(message);
                }
            }
        }
        if !example.from_client {
            assert_eq!(essence(&said.remove(0)), essence(&message), "{name}");
        }
    }
    assert!(said.iter().all(|message| matches!(message, Message::Response(_))), "{said:?}");
}

/// Everything but the timestamps and the order and case of the fields.
fn essence(message: &Message) -> (String, Vec<String>) {
    let fields = |headers: &Headers| {
        let mut fields: Vec<String> = headers
            .iter()
            .map(|field| {
                let value = match field.value.strip_prefix("timestamp=") {
                    Some(rest) => rest.trim_start_matches(|c: char| c.is_ascii_digit()),
                    None => &field.value,
                };
                format!("{}: {value}", field.name.to_lowercase())
            })
            .collect();
        fields.sort();
        fields
    };
    match message {
        Message::Request(r) => (format!("{} {}", r.method, r.id), fields(&r.headers)),
        Message::Response(r) => (format!("{} {} {}", r.id, r.status, r.state), fields(&r.headers)),
        Message::Event(e) => (format!("{} {} {}", e.name, e.id, e.state), fields(&e.headers)),
    }
}

macro_rules! sections {
    ($check:ident: $($test:ident $file:literal),+ $(,)?) => {
        $(#[test] fn $test() { $check($file); })+
    };
}

sections!(check:
    section_5_1_is_read "section_5_1.txt",
    section_6_1_1_is_read "section_6_1_1.txt",
    section_6_1_2_is_read "section_6_1_2.txt",
    section_8_6_is_read "section_8_6.txt",
    section_8_7_is_read "section_8_7.txt",
    section_8_8_is_read "section_8_8.txt",
    section_8_9_is_read "section_8_9.txt",
    section_8_10_is_read "section_8_10.txt",
    section_8_11_is_read "section_8_11.txt",
    section_8_12_is_read "section_8_12.txt",
    section_8_13_is_read "section_8_13.txt",
    section_14_1_is_read "section_14_1.txt",
);

// §8.10 writes one answer wrongly and §14.1 speaks of a recognizer: these are only read.
sections!(converse:
    section_6_1_1_is_answered_so "section_6_1_1.txt",
    section_8_6_is_answered_so "section_8_6.txt",
    section_8_7_is_answered_so "section_8_7.txt",
    section_8_8_is_answered_so "section_8_8.txt",
    section_8_9_is_answered_so "section_8_9.txt",
    section_8_11_is_answered_so "section_8_11.txt",
    section_8_12_is_answered_so "section_8_12.txt",
    section_8_13_is_answered_so "section_8_13.txt",
);

//! RFC 4475: the 49 torture messages, sent to the running server over UDP and over TCP.
//!
//! The server takes calls and OPTIONS; it is no registrar (405), and nobody whom these messages call
//! lives here (404).

use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use crate::call::Dialog;
use crate::sip_line::{Line, PATIENCE, QUIET};
use crate::subject::Subject;

/// Name, section, the answer to a datagram, and over a stream where that differs. 0: none is due.
const TABLE: &[(&str, &str, u16, Option<u16>)] = &[
    ("wsinv", "3.1.1.1", 481, None),
    ("intmeth", "3.1.1.2", 501, None),
    ("esc01", "3.1.1.3", 404, None),
    ("escnull", "3.1.1.4", 405, None),
    ("esc02", "3.1.1.5", 501, None),
    ("lwsdisp", "3.1.1.6", 200, None),
    ("longreq", "3.1.1.7", 404, None),
    ("dblreq", "3.1.1.8", 405, None),
    ("semiuri", "3.1.1.9", 200, None),
    ("transports", "3.1.1.10", 200, None),
    ("mpart01", "3.1.1.11", 405, None),
    ("unreason", "3.1.1.12", 0, None),
    ("noreason", "3.1.1.13", 0, None),
    ("badinv01", "3.1.2.1", 400, None),
    // On a stream the rest of the body may still come.
    ("clerr", "3.1.2.2", 400, Some(0)),
    ("ncl", "3.1.2.3", 400, None),
    ("scalar02", "3.1.2.4", 400, None),
    ("scalarlg", "3.1.2.5", 0, None),
    ("quotbal", "3.1.2.6", 400, None),
    ("ltgtruri", "3.1.2.7", 400, None),
    ("lwsruri", "3.1.2.8", 400, None),
    ("lwsstart", "3.1.2.9", 400, None),
    ("trws", "3.1.2.10", 400, None),
    ("escruri", "3.1.2.11", 400, None),
    // Nothing here depends on the Date.
    ("baddate", "3.1.2.12", 404, None),
    ("regbadct", "3.1.2.13", 405, None),
    ("badaspec", "3.1.2.14", 400, None),
    ("baddn", "3.1.2.15", 400, None),
    ("badvers", "3.1.2.16", 505, None),
    ("mismatch01", "3.1.2.17", 400, None),
    ("mismatch02", "3.1.2.18", 501, None),
    ("bigcode", "3.1.2.19", 0, None),
    ("badbranch", "3.2.1", 200, None),
    ("insuf", "3.3.1", 400, None),
    ("unkscm", "3.3.2", 416, None),
    ("novelsc", "3.3.3", 416, None),
    ("unksm2", "3.3.4", 405, None),
    ("bext01", "3.3.5", 420, None),
    ("invut", "3.3.6", 415, None),
    ("regaut01", "3.3.7", 405, None),
    ("multi01", "3.3.8", 400, None),
    ("mcl01", "3.3.9", 400, None),
    ("bcast", "3.3.10", 0, None),
    // It has arrived: 483 is for those who would pass it on.
    ("zeromf", "3.3.11", 200, None),
    ("cparam01", "3.3.12", 405, None),
    ("cparam02", "3.3.13", 405, None),
    ("regescrt", "3.3.14", 405, None),
    ("sdp01", "3.3.15", 406, None),
    // Without a Content-Length only a datagram says where the body ends.
    ("inv2543", "3.4.1", 404, Some(400)),
];

/// Messages after which nobody can say where the next one begins.
const CLOSED_AFTER: &[&str] = &["ncl", "mcl01", "inv2543"];

fn bytes(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/sip/corpus/rfc4475");
    std::fs::read(format!("{folder}/{name}.dat")).unwrap()
}

/// A socket where the answer to a message goes: these have no rport, and mostly port 5060 in their Via.
fn line(subject: &Subject, number: usize, port: u16) -> Line {
    let process = std::process::id();
    let [high, low] = (process as u16).to_be_bytes();
    let host = Ipv4Addr::new(127, high | 0x80, low, number as u8 + 1);
    // Another test's program may hold the port on every address for a while.
    for _ in 0..100 {
        if let Ok(socket) = UdpSocket::bind((host, port)) {
            socket.connect(subject.udp).unwrap();
            return Line::Udp(socket);
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    panic!("UDP port {port} is taken on every address of this machine");
}

#[test]
fn every_message_is_answered_over_udp() {
    let subject = Subject::any();
    assert_eq!(TABLE.len(), 49);
    let mut wrong = Vec::new();
    for (number, (name, section, expected, _)) in TABLE.iter().enumerate() {
        let port = if *name == "quotbal" { 5_050 } else { 5_060 };
        let mut line = line(&subject, number, port);
        line.send(&bytes(name));
        let patience = if *expected == 0 { QUIET } else { PATIENCE };
        let answer = loop {
            match line.next_within(patience) {
                Some(answer) if answer.status() < 200 => {}
                answer => break answer,
            }
        };
        let status = answer.as_ref().map_or(0, |answer| answer.status());
        if status != *expected {
            wrong.push(format!("{name} §{section}: {answer:?} instead of {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    subject.settles();
}

#[test]
fn every_message_is_answered_over_tcp_and_the_connection_lives_on() {
    let subject = Subject::any();
    let mut wrong = Vec::new();
    for (name, section, datagram, stream) in TABLE {
        let expected = stream.unwrap_or(*datagram);
        let mut dialog = Dialog::new(Line::tcp(subject.tcp), subject.tcp);
        dialog.line.send(&bytes(name));
        let mut told = Vec::new();
        let closed = CLOSED_AFTER.contains(name);
        if expected != 0 {
            told.push(dialog.line.answer().status());
        }
        if told.iter().any(|status| *status != expected) {
            wrong.push(format!("{name} §{section}: {told:?} instead of {expected}"));
        }
        if closed || *name == "clerr" {
            if closed && !dialog.line.is_closed() {
                wrong.push(format!("{name} §{section}: the connection is still open"));
            }
            continue;
        }
        if *name == "dblreq" {
            // What stands behind its second message's length takes the next message with it.
            dialog.line.send(b"\r\n\r\n");
        }
        let options = dialog.request("OPTIONS", &[], "");
        dialog.send(&options);
        loop {
            match dialog.line.next() {
                Some(answer) if answer.header("Call-ID") != Some(dialog.call_id.clone()) => {}
                Some(answer) if answer.status() == 200 => break,
                other => {
                    wrong.push(format!("{name} §{section}: then {other:?}"));
                    break;
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    subject.settles();
}

//! What a typical INVITE with an MRCPv2 offer costs, in nanoseconds a message:
//! `cargo run --release -p sip --example message_cost`.
#![expect(clippy::print_stdout, reason = "a command that prints figures")]
#![expect(clippy::disallowed_methods, reason = "it measures time")]

use std::hint::black_box;
use std::net::Ipv4Addr;
use std::time::Instant;

use sip::admission::{Admitted, Framed, Rules, admit};
use sip::framing::Framer;
use sip::sdp::Sdp;
use sip::sdp::mrcp::{Capabilities, Connected, Given, Law, plan};
use sip::{Message, Response, StatusCode, parse};

const RUNS: u32 = 200;
const ROUNDS: u32 = 1_000;

const OFFER: &str = "v=0\r\no=sarvi 2890844526 2890844526 IN IP4 192.0.2.12\r\ns=-\r\n\
    c=IN IP4 192.0.2.12\r\nt=0 0\r\nm=application 9 TCP/MRCPv2 1\r\na=setup:active\r\n\
    a=connection:new\r\na=resource:speechsynth\r\na=cmid:1\r\nm=audio 49170 RTP/AVP 0 8 96\r\n\
    a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:96 telephone-event/8000\r\n\
    a=fmtp:96 0-15\r\na=ptime:20\r\na=recvonly\r\na=mid:1\r\n";

fn invite() -> Vec<u8> {
    format!(
        "INVITE sip:media@192.0.2.11:6060 SIP/2.0\r\n\
         Via: SIP/2.0/UDP 192.0.2.12:5060;branch=z9hG4bK-524287-1---7a9b2c;rport\r\n\
         Max-Forwards: 70\r\nContact: <sip:client@192.0.2.12:5060>\r\n\
         To: <sip:media@192.0.2.11:6060>\r\nFrom: \"Client\" <sip:client@192.0.2.12>;tag=a81c2d01\r\n\
         Call-ID: 84762NmQ1ZTk0ZjA2YzE@192.0.2.12\r\nCSeq: 1 INVITE\r\n\
         Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE\r\n\
         Content-Type: application/sdp\r\nSupported: replaces, timer\r\n\
         User-Agent: client 1.0\r\nContent-Length: {}\r\n\r\n{OFFER}",
        OFFER.len()
    )
    .into_bytes()
}

/// Prints the best of many short runs: what it costs when nothing else has the core.
fn measure(what: &str, mut work: impl FnMut()) {
    let mut best = u128::MAX;
    for _ in 0..RUNS {
        let start = Instant::now();
        for _ in 0..ROUNDS {
            work();
        }
        best = best.min(start.elapsed().as_nanos() / u128::from(ROUNDS));
    }
    println!("{what:<44} {best:>6} ns");
}

fn main() {
    let bytes = invite();
    let rules = Rules::default();
    let Ok(Message::Request(request)) = parse::parse(&bytes) else { return };
    let Ok(offer) = Sdp::parse(OFFER.as_bytes()) else { return };
    let capabilities = Capabilities {
        laws: vec![Law::Mu, Law::A],
        resources: vec!["speechsynth".into(), "basicsynth".into()],
        tls: false,
        audio_lines_max: 1,
        ip4: Some(Ipv4Addr::LOCALHOST),
        ip6: None,
        connected: Connected::No,
    };
    let given = Given {
        session_id: 1,
        version: 1,
        rtp_ports: &[16_384],
        mrcp_port: 8104,
        mrcp_tls_port: 8105,
    };
    measure("parse the INVITE", || drop(black_box(parse::parse(black_box(&bytes)))));
    measure("write the INVITE", || drop(black_box(request.to_bytes())));
    measure("admit the INVITE (parse and every check)", || {
        if let Admitted::Request(request) = admit(black_box(&bytes), Framed::Datagram, &rules) {
            black_box(&request);
        }
    });
    measure("build and write the 200", || {
        let mut response = Response::to(&request, StatusCode::OK, Some("a1b2c3"));
        response.set_body("application/sdp", OFFER.into());
        black_box(response.to_bytes());
    });
    let mut framer = Framer::new(65_535);
    measure("frame the INVITE", || {
        framer.push(&bytes);
        black_box(framer.next());
    });
    measure("read the offer", || drop(black_box(Sdp::parse(black_box(OFFER.as_bytes())))));
    measure("plan and write the answer", || {
        if let Ok(plan) = plan(&offer, &capabilities) {
            black_box(plan.answer(&offer, &given, |_| "AB12@speechsynth".into()));
        }
    });
}

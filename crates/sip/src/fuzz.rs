//! Fuzz bodies: called by the fuzzer, and replayed over `corpus/<name>/` by the tests here.

use std::net::Ipv4Addr;

use crate::admission::{Admitted, Framed, Rules, admit, refuse};
pub use crate::agent::script::sip_agent;
use crate::framing::{Frame, Framer, Then};
use crate::message::Message;
use crate::parse;
use crate::sdp::Sdp;
use crate::sdp::mrcp::{Capabilities, Connected, Given, Law, plan};

/// A datagram: judged without a panic, and what is let in is written and read back the same.
pub fn sip_message(data: &[u8]) {
    let message = match admit(data, Framed::Datagram, &Rules::default()) {
        Admitted::Request(request) => Message::Request(request),
        Admitted::Response(response) => Message::Response(response),
        Admitted::Refuse(refusal) => Message::Response(refusal.response),
        Admitted::Drop(_) | Admitted::KeepAlive => return,
    };
    let bytes = message.to_bytes();
    let again = parse::parse(&bytes).map(|message| message.to_bytes());
    assert_eq!(again.as_deref(), Ok(bytes.as_slice()), "read back differently");
    let headers = message.headers();
    let _ = (headers.contact(), headers.max_forwards(), headers.expires(), headers.rack());
    let _ = (headers.retry_after(), headers.content_type(), headers.via().map(|v| v.to_string()));
}

/// A stream: the same frames however it is cut, and an end to every stream.
pub fn sip_stream(data: &[u8]) {
    let whole = frames(data, data.len().max(1));
    let pieces = frames(data, 1 + data.len() % 13);
    assert_eq!(whole, pieces, "cut differently");
    for frame in whole {
        match frame {
            Frame::Message(bytes) => {
                let _ = admit(&bytes, Framed::Stream, &Rules::default());
            }
            Frame::KeepAlive => {}
            Frame::Fault(fault) => {
                let _ = refuse(&fault.head, fault.status, fault.why);
            }
        }
    }
}

fn frames(data: &[u8], step: usize) -> Vec<Frame> {
    let mut framer = Framer::new(1_000);
    let mut frames = Vec::new();
    for piece in data.chunks(step) {
        framer.push(piece);
        for frame in framer.by_ref() {
            if let Frame::Fault(fault) = &frame {
                assert!(
                    !fault.head.is_empty() || fault.then == Then::Close,
                    "a fault about nothing"
                );
            }
            frames.push(frame);
        }
    }
    frames
}

/// A session description: read, written, read back the same, and answered line for line.
pub fn sdp(data: &[u8]) {
    let Ok(sdp) = Sdp::parse(data) else { return };
    if let Ok(again) = Sdp::parse(sdp.to_text().as_bytes()) {
        assert_eq!(again.media().len(), sdp.media().len(), "a line was lost");
    }
    let capabilities = Capabilities {
        laws: vec![Law::Mu, Law::A],
        resources: vec!["speechsynth".into(), "basicsynth".into()],
        tls: true,
        audio_lines_max: 2,
        ip4: Some(Ipv4Addr::LOCALHOST),
        ip6: None,
        connected: Connected::Yes,
    };
    let Ok(plan) = plan(&sdp, &capabilities) else { return };
    let given = Given {
        session_id: 1,
        version: 1,
        rtp_ports: &[2, 4],
        mrcp_port: 8104,
        mrcp_tls_port: 8105,
    };
    let answer = plan.answer(&sdp, &given, |control| format!("A@{}", control.resource));
    match Sdp::parse(answer.as_bytes()) {
        Ok(answer) => assert_eq!(answer.media().len(), sdp.media().len(), "lines do not match"),
        Err(error) => assert!(answer.len() > 60_000, "our own answer is unreadable: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use vocab::Tokens;

    use super::*;

    const MUTATIONS: usize = 20_000;

    /// Replays every file of `corpus/<name>/`, then mutations of them.
    fn check(name: &str, body: fn(&[u8])) {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
        let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|f| f.unwrap().path()).collect();
        files.sort();
        let seeds: Vec<_> = files.iter().map(|path| fs::read(path).unwrap()).collect();
        assert!(!seeds.is_empty());
        for seed in &seeds {
            body(seed);
        }
        let mut tokens = Tokens::new([7; 32]);
        let mut below = |limit: usize| tokens.next_u32() as usize % limit.max(1);
        for round in 0..MUTATIONS {
            let mut data = seeds[round % seeds.len()].clone();
            for _ in 0..=below(4) {
                let at = below(data.len());
                match below(6) {
                    0 => data[at] = u8::try_from(below(256)).unwrap(),
                    1 => drop(data.remove(at)),
                    2 => data.insert(at, b" \t\r\n;,:<>\"@%=/\0\xff"[below(16)]),
                    3 => data.truncate(at.max(1)),
                    4 => data.rotate_left(at),
                    _ => {
                        let piece = data[at..(at + below(40)).min(data.len())].to_vec();
                        let to = below(data.len());
                        data.splice(to..to, piece);
                    }
                }
                if data.is_empty() {
                    data.push(b'x');
                }
            }
            body(&data);
        }
    }

    #[test]
    fn messages() {
        check("sip_message", sip_message);
    }

    #[test]
    fn streams() {
        check("sip_stream", sip_stream);
    }

    #[test]
    fn descriptions() {
        check("sdp", sdp);
    }
}

//! Bodies for the fuzzer; each is replayed over `corpus/<name>/` by a test of this crate.

use crate::fault::FaultKind;
use crate::framing::{Framed, Framer, Limits};
use crate::message::Message;
use crate::ntp::NtpTime;
use crate::settings::Settings;
use crate::synthesizer::{Input, Kind, Synthesizer};

/// Small, so that short inputs reach them.
const LIMITS: Limits = Limits { body_bytes: 2048, header_bytes: 1024, header_lines: 20 };

/// However a stream is cut, it reads the same, and nothing panics.
pub fn mrcp_stream(data: &[u8]) {
    let read = |piece: usize| {
        let mut framer = Framer::new(LIMITS);
        let mut seen = Vec::new();
        for bytes in data.chunks(piece) {
            framer.push(bytes);
            seen.extend(framer.by_ref());
        }
        seen
    };
    let whole = read(data.len().max(1));
    for piece in [1, 7] {
        assert!(read(piece) == whole, "read otherwise in pieces of {piece}");
    }
}

/// What was read is written and read back the same; a synthesizer answers every request.
pub fn mrcp_message(data: &[u8]) {
    let mut framer = Framer::new(LIMITS);
    framer.push(data);
    let mut synthesizer = Synthesizer::new(Kind::Speech, Settings::default());
    for framed in framer {
        let message = match framed {
            Framed::Message(message) => message,
            Framed::Fault(fault) => {
                if let Some(answer) = fault.answer() {
                    assert!(reads_as_response(&answer), "an answer that cannot be read");
                }
                continue;
            }
        };
        let bytes = message.to_bytes();
        let mut again = Framer::new(Limits::default());
        again.push(&bytes);
        assert!(again.next() == Some(Framed::Message(message.clone())), "not read back the same");
        if let Message::Request(request) = message {
            let mut out = Vec::new();
            let input = Input::Request { request, at: NtpTime::default() };
            synthesizer.handle(vocab::Now::ZERO, input, &mut out);
        }
    }
}

/// A fault's answer without a channel reads as a fault again; with one it is a response.
fn reads_as_response(bytes: &[u8]) -> bool {
    let mut framer = Framer::new(Limits::default());
    framer.push(bytes);
    match framer.next() {
        Some(Framed::Message(Message::Response(_))) => true,
        Some(Framed::Fault(fault)) => {
            matches!(fault.kind, FaultKind::ChannelMissing | FaultKind::ChannelIllegal)
        }
        Some(Framed::Message(Message::Request(_) | Message::Event(_))) | None => false,
    }
}

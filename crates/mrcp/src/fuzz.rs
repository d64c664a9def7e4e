//! Bodies for the fuzzer; each is replayed over `corpus/<name>/` by a test of this crate.

use vocab::Now;

use crate::fault::FaultKind;
use crate::framing::{Framed, Framer, Limits};
use crate::ids::RequestId;
use crate::message::Message;
use crate::ntp::NtpTime;
use crate::settings::Settings;
use crate::synthesizer::{ChangePart, End, Input, Kind, Outcome, Output, Synthesizer};

/// Small, so that short inputs reach them.
const LIMITS: Limits = Limits { body_bytes: 128, header_bytes: 256, header_lines: 8 };

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

/// Messages with a zero byte between them and without version, length and Content-Length, which
/// are put in so that most inputs get past the framing. What is read is written and read back
/// the same, a synthesizer answers every request just once, and nothing panics.
pub fn mrcp_message(data: &[u8]) {
    let kind = if data.len().is_multiple_of(4) { Kind::Basic } else { Kind::Speech };
    let mut session = Session::new(kind);
    for piece in data.split(|&byte| byte == 0) {
        let mut framer = Framer::new(Limits::default());
        framer.push(&framed(piece));
        for framed in framer {
            session.take(framed);
        }
    }
    session.end();
}

/// The piece with its version, length and Content-Length.
fn framed(piece: &[u8]) -> Vec<u8> {
    let head =
        piece.windows(4).position(|four| four == b"\r\n\r\n").map_or(piece.len(), |at| at + 4);
    let body = piece.len() - head;
    let line = piece.iter().position(|&byte| byte == b'\n').map_or(head, |at| at + 1);
    let length = if body > 0 { format!("Content-Length: {body}\r\n") } else { String::new() };
    let total = "MRCP/2.0 00000000 ".len() + piece.len() + length.len();
    let mut bytes = format!("MRCP/2.0 {total:08} ").into_bytes();
    bytes.extend_from_slice(piece.get(..line).unwrap_or_default());
    bytes.extend_from_slice(length.as_bytes());
    bytes.extend_from_slice(piece.get(line..).unwrap_or_default());
    bytes
}

/// A synthesizer, and the requests that it still owes an answer.
struct Session {
    synthesizer: Synthesizer,
    now_ms: u64,
    owed: Vec<RequestId>,
}

impl Session {
    fn new(kind: Kind) -> Self {
        let synthesizer = Synthesizer::new(kind, Settings::default());
        Self { synthesizer, now_ms: 0, owed: Vec::new() }
    }

    fn take(&mut self, framed: Framed) {
        match framed {
            Framed::Message(message) => {
                let mut again = Framer::new(Limits::default());
                again.push(&message.to_bytes());
                let back = again.next();
                assert!(back == Some(Framed::Message(message.clone())), "not read back the same");
                match message {
                    Message::Request(request) => {
                        self.owed.push(request.id);
                        self.feed(Input::Request { request, at: NtpTime::default() });
                    }
                    Message::Response(response) => self.news(response.id),
                    Message::Event(event) => self.feed(Input::Marker {
                        request: event.id,
                        name: event.name.as_str().to_owned(),
                        at: NtpTime::default(),
                    }),
                }
            }
            Framed::Fault(fault) => {
                if let Some(answer) = fault.answer() {
                    assert!(reads_as_response(&answer), "an answer that cannot be read");
                }
            }
        }
    }

    /// A response in the input stands for news from the player; its id chooses which.
    fn news(&mut self, id: RequestId) {
        let at = NtpTime::default();
        let request = self.synthesizer.active().unwrap_or(id);
        self.now_ms += 500;
        self.feed(match id.number() % 6 {
            0 => Input::Finished { request, end: End::Normal, at },
            1 => Input::Finished { request, end: End::Error("fuzz".into()), at },
            2 => Input::Changed { control: id, outcome: Outcome::Restarted, at },
            3 => {
                Input::Changed { control: id, outcome: Outcome::Unsupported(ChangePart::Jump), at }
            }
            4 => Input::BargeIn { at },
            _ => Input::Deadline { at },
        });
    }

    fn feed(&mut self, input: Input) {
        let mut out = Vec::new();
        self.synthesizer.handle(Now::from_millis(self.now_ms), input, &mut out);
        for output in out {
            let Output::Send(Message::Response(response)) = output else { continue };
            let place = self.owed.iter().position(|&id| id == response.id);
            assert!(place.is_some(), "an answer that nobody waits for");
            self.owed.remove(place.unwrap_or_default());
        }
    }

    /// After every deadline nothing is owed.
    fn end(&mut self) {
        self.now_ms += 1_000_000;
        self.feed(Input::Deadline { at: NtpTime::default() });
        assert!(self.owed.is_empty(), "requests without an answer");
        assert!(self.synthesizer.deadline().is_none(), "a deadline that does not pass");
    }
}

/// A fault's answer without a sound channel reads as a fault again; with one it is a response.
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

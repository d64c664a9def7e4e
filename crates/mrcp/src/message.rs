use std::fmt;

use crate::headers::Headers;
use crate::ids::{ChannelId, RequestId};
use crate::status::Status;
use crate::words::words;

/// What every message that we write begins with.
const VERSION: &str = "MRCP/2.0 ";

words! {
    /// How far a request has come. RFC 6787 §5.3.
    State {
        /// In a queue.
        Pending = "PENDING",
        /// Being worked on; events may follow.
        InProgress = "IN-PROGRESS",
        /// Done; nothing more comes with this request id.
        Complete = "COMPLETE",
    }
}

/// Declares an open set of names.
macro_rules! names {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Eq, PartialEq)]
        pub enum $name {
            $($(#[$doc])* $variant,)+
            /// Any other name, as it was sent.
            Other(Box<str>),
        }

        impl $name {
            /// Reads the name; the known ones in any case.
            pub fn parse(text: &str) -> Self {
                $(if text.eq_ignore_ascii_case($word) { return Self::$variant; })+
                Self::Other(text.into())
            }

            /// The name as it is written on the wire.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $word,)+
                    Self::Other(name) => name,
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

names! {
    /// What a request asks for: the generic and the synthesizer methods by name, others as text.
    Method {
        /// Sets session parameters. RFC 6787 §6.1.1.
        SetParams = "SET-PARAMS",
        /// Reads session parameters. RFC 6787 §6.1.2.
        GetParams = "GET-PARAMS",
        /// Speaks the body. RFC 6787 §8.6.
        Speak = "SPEAK",
        /// Ends SPEAK requests. RFC 6787 §8.7.
        Stop = "STOP",
        /// Holds the speech. RFC 6787 §8.9.
        Pause = "PAUSE",
        /// Lets held speech go on. RFC 6787 §8.10.
        Resume = "RESUME",
        /// The caller spoke or pressed a key. RFC 6787 §8.8.
        BargeInOccurred = "BARGE-IN-OCCURRED",
        /// Changes what is being spoken. RFC 6787 §8.11.
        Control = "CONTROL",
        /// Loads or unloads a lexicon. RFC 6787 §8.14.
        DefineLexicon = "DEFINE-LEXICON",
    }
}

names! {
    /// What an event tells.
    EventName {
        /// A mark in the speech was reached. RFC 6787 §8.13.
        SpeechMarker = "SPEECH-MARKER",
        /// A SPEAK request has ended. RFC 6787 §8.12.
        SpeakComplete = "SPEAK-COMPLETE",
    }
}

/// A request from client to server. RFC 6787 §5.2.
#[derive(Clone, Eq, PartialEq)]
pub struct Request {
    /// What is asked for.
    pub method: Method,
    /// The client's number for it.
    pub id: RequestId,
    /// Whom it is for.
    pub channel: ChannelId,
    /// The other header fields.
    pub headers: Headers,
    /// The body; empty if there is none.
    pub body: Vec<u8>,
}

/// The answer to a request. RFC 6787 §5.3.
#[derive(Clone, Eq, PartialEq)]
pub struct Response {
    /// The request's number.
    pub id: RequestId,
    /// How it went.
    pub status: Status,
    /// Whether more will come.
    pub state: State,
    /// The request's channel.
    pub channel: ChannelId,
    /// The other header fields.
    pub headers: Headers,
    /// The body; empty if there is none.
    pub body: Vec<u8>,
}

/// News about a request that was answered before. RFC 6787 §5.5.
#[derive(Clone, Eq, PartialEq)]
pub struct Event {
    /// What happened.
    pub name: EventName,
    /// The request that it belongs to.
    pub id: RequestId,
    /// Whether more will come.
    pub state: State,
    /// The request's channel.
    pub channel: ChannelId,
    /// The other header fields.
    pub headers: Headers,
    /// The body; empty if there is none.
    pub body: Vec<u8>,
}

/// Anything that travels on a control connection.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Message {
    /// Client to server.
    Request(Request),
    /// Server to client, once for each request.
    Response(Response),
    /// Server to client, any number of times.
    Event(Event),
}

impl Request {
    /// An answer to this request with no header field of its own.
    pub fn answer(&self, status: Status, state: State) -> Response {
        Response {
            id: self.id,
            status,
            state,
            channel: self.channel.clone(),
            headers: Headers::new(),
            body: Vec::new(),
        }
    }

    /// The refusal of this request with that status: complete, no header field of its own.
    pub fn refuse(&self, status: Status) -> Response {
        self.answer(status, State::Complete)
    }

    /// The request as it goes on the wire.
    pub fn to_bytes(&self) -> Vec<u8> {
        let line = format!(" {} {}\r\n", self.method, self.id);
        assemble(&line, Some(&self.channel), &self.headers, &self.body)
    }
}

impl Response {
    /// The response as it goes on the wire.
    pub fn to_bytes(&self) -> Vec<u8> {
        let line = response_line(self.id, self.status, self.state);
        assemble(&line, Some(&self.channel), &self.headers, &self.body)
    }
}

impl Event {
    /// The event as it goes on the wire.
    pub fn to_bytes(&self) -> Vec<u8> {
        let line = format!(" {} {} {}\r\n", self.name, self.id, self.state);
        assemble(&line, Some(&self.channel), &self.headers, &self.body)
    }
}

impl Message {
    /// The message as it goes on the wire; the length counts itself.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Request(request) => request.to_bytes(),
            Self::Response(response) => response.to_bytes(),
            Self::Event(event) => event.to_bytes(),
        }
    }

    /// The channel that the message belongs to.
    pub const fn channel(&self) -> &ChannelId {
        match self {
            Self::Request(request) => &request.channel,
            Self::Response(response) => &response.channel,
            Self::Event(event) => &event.channel,
        }
    }
}

/// A complete answer for a request of which too little was read to build a [`Response`].
pub(crate) fn bare_answer(
    id: RequestId,
    status: Status,
    channel: Option<&ChannelId>,
    headers: &Headers,
) -> Vec<u8> {
    assemble(&response_line(id, status, State::Complete), channel, headers, &[])
}

fn response_line(id: RequestId, status: Status, state: State) -> String {
    format!(" {id} {status} {state}\r\n")
}

/// Puts the version and the length, which counts its own digits, before `line`.
fn assemble(line: &str, channel: Option<&ChannelId>, headers: &Headers, body: &[u8]) -> Vec<u8> {
    let mut rest = Vec::with_capacity(256 + body.len());
    rest.extend_from_slice(line.as_bytes());
    if let Some(channel) = channel {
        rest.extend_from_slice(format!("Channel-Identifier: {channel}\r\n").as_bytes());
    }
    headers.write(&mut rest);
    if !body.is_empty() {
        rest.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
    }
    rest.extend_from_slice(b"\r\n");
    rest.extend_from_slice(body);

    let others = VERSION.len() + rest.len();
    let length = (1..20)
        .map(|digits| (digits, (others + digits).to_string()))
        .find_map(|(digits, length)| (length.len() == digits).then_some(length))
        .unwrap_or_default();
    let mut bytes = Vec::with_capacity(others + length.len());
    bytes.extend_from_slice(VERSION.as_bytes());
    bytes.extend_from_slice(length.as_bytes());
    bytes.append(&mut rest);
    bytes
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { method, id, channel, headers, body } = self;
        write!(f, "{method} {id} {channel} {headers:?} +{} bytes", body.len())
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, status, state, channel, headers, body } = self;
        write!(f, "{id} {status} {state} {channel} {headers:?} +{} bytes", body.len())
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, id, state, channel, headers, body } = self;
        write!(f, "{name} {id} {state} {channel} {headers:?} +{} bytes", body.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn section_5_1_the_length_counts_its_own_digits_at_every_size() {
        let channel = ChannelId::parse("a@speechsynth").unwrap();
        for size in 0..1200 {
            let request = Request {
                method: Method::Speak,
                id: RequestId::from_number(1),
                channel: channel.clone(),
                headers: Headers::new(),
                body: vec![b'x'; size],
            };
            let bytes = request.to_bytes();
            let text = String::from_utf8_lossy(&bytes);
            let length = text.split(' ').nth(1).unwrap();
            assert_eq!(length, bytes.len().to_string());
        }
    }

    #[test]
    fn nothing_to_speak_is_shown_when_a_message_is_printed() {
        let request = Request {
            method: Method::Speak,
            id: RequestId::from_number(7),
            channel: ChannelId::parse("a@speechsynth").unwrap(),
            headers: Headers::new().with("Content-Type", "text/plain"),
            body: b"your balance is".to_vec(),
        };
        assert_eq!(format!("{request:?}"), r#"SPEAK 7 a@speechsynth ["Content-Type"] +15 bytes"#);
    }
}

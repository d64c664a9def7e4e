//! The client's side: requests to send, and what an answer or an event says.

use crate::headers::{Header, Headers};
use crate::ids::{ChannelId, RequestId};
use crate::message::{Event, EventName, Method, Request, Response};
use crate::ntp::NtpTime;
use crate::quoted;
use crate::synthesizer::Cause;

/// Makes the requests of one MRCP session, on any of its channels: ids rise by one.
#[derive(Clone, Copy, Debug)]
pub struct Requests {
    next: u32,
}

impl Default for Requests {
    fn default() -> Self {
        Self::new()
    }
}

impl Requests {
    /// A session whose first request has the id 1.
    pub const fn new() -> Self {
        Self { next: 1 }
    }

    /// Any request. The id stays at its greatest value once that is reached (2^32 requests).
    pub fn request(&mut self, channel: &ChannelId, method: Method, headers: Headers) -> Request {
        let id = RequestId::from_number(self.next);
        self.next = self.next.saturating_add(1);
        Request { method, id, channel: channel.clone(), headers, body: Vec::new() }
    }

    /// SPEAK of a body of that type; more header fields may be pushed onto it.
    pub fn speak(&mut self, channel: &ChannelId, content_type: &str, body: &[u8]) -> Request {
        let headers = Headers::new().with("Content-Type", content_type);
        let mut request = self.request(channel, Method::Speak, headers);
        request.body = body.to_vec();
        request
    }

    /// SPEAK of one or more URIs, played in that order.
    pub fn speak_uris(&mut self, channel: &ChannelId, uris: &[&str]) -> Request {
        let mut list = uris.join("\r\n");
        list.push_str("\r\n");
        self.speak(channel, "text/uri-list", list.as_bytes())
    }

    /// STOP of these requests, or of all if there is none.
    pub fn stop(&mut self, channel: &ChannelId, requests: &[RequestId]) -> Request {
        let mut headers = Headers::new();
        if !requests.is_empty() {
            headers.push("Active-Request-Id-List", &id_list(requests));
        }
        self.request(channel, Method::Stop, headers)
    }

    /// PAUSE.
    pub fn pause(&mut self, channel: &ChannelId) -> Request {
        self.request(channel, Method::Pause, Headers::new())
    }

    /// RESUME.
    pub fn resume(&mut self, channel: &ChannelId) -> Request {
        self.request(channel, Method::Resume, Headers::new())
    }

    /// BARGE-IN-OCCURRED.
    pub fn barge_in(&mut self, channel: &ChannelId) -> Request {
        self.request(channel, Method::BargeInOccurred, Headers::new())
    }

    /// CONTROL with the changes as header fields.
    pub fn control(&mut self, channel: &ChannelId, changes: Headers) -> Request {
        self.request(channel, Method::Control, changes)
    }

    /// SET-PARAMS.
    pub fn set_params(&mut self, channel: &ChannelId, params: Headers) -> Request {
        self.request(channel, Method::SetParams, params)
    }

    /// GET-PARAMS of these, or of all if there is none.
    pub fn get_params(&mut self, channel: &ChannelId, names: &[&str]) -> Request {
        let headers = names
            .iter()
            .map(|&name| Header { name: name.to_owned(), value: String::new() })
            .collect();
        self.request(channel, Method::GetParams, headers)
    }

    /// DEFINE-LEXICON of an inline lexicon under that Content-ID.
    pub fn define_lexicon(&mut self, channel: &ChannelId, id: &str, body: &[u8]) -> Request {
        let headers = Headers::new()
            .with("Content-Type", "application/pls+xml")
            .with("Content-ID", &format!("<{id}>"));
        let mut request = self.request(channel, Method::DefineLexicon, headers);
        request.body = body.to_vec();
        request
    }
}

/// Request ids as `Active-Request-Id-List` has them.
pub(crate) fn id_list(requests: &[RequestId]) -> String {
    requests.iter().map(RequestId::to_string).collect::<Vec<_>>().join(",")
}

/// The ids in a message's `Active-Request-Id-List`; none if it is missing or malformed.
pub(crate) fn active_requests(headers: &Headers) -> Option<Vec<RequestId>> {
    let lists: Vec<&str> = headers.all("Active-Request-Id-List").collect();
    if lists.is_empty() {
        return None;
    }
    lists
        .iter()
        .flat_map(|list| list.split(','))
        .map(|id| RequestId::parse(id.trim()).ok())
        .collect()
}

/// A `Speech-Marker`: when, and the last mark if there was one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SpeechMarker {
    /// When it was.
    pub at: NtpTime,
    /// The mark's name.
    pub name: Option<String>,
}

impl SpeechMarker {
    /// Reads `timestamp=…[;name]`.
    pub fn parse(text: &str) -> Option<Self> {
        let (time, name) = match text.split_once(';') {
            Some((time, name)) => (time, Some(name.trim()).filter(|name| !name.is_empty())),
            None => (text, None),
        };
        let at = NtpTime::parse(time.trim().strip_prefix("timestamp=")?.trim())?;
        Some(Self { at, name: name.map(str::to_owned) })
    }
}

/// How a SPEAK ended, as its SPEAK-COMPLETE tells.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Completion {
    /// The cause; none if it is missing or not of the RFC's table.
    pub cause: Option<Cause>,
    /// The reason in words.
    pub reason: Option<String>,
    /// Which URI could not be had.
    pub failed_uri: Option<String>,
    /// Why not.
    pub failed_uri_cause: Option<String>,
    /// When it ended, and the last mark before.
    pub marker: Option<SpeechMarker>,
}

impl Response {
    /// The requests that the method touched.
    pub fn active_requests(&self) -> Vec<RequestId> {
        active_requests(&self.headers).unwrap_or_default()
    }

    /// Its `Speech-Marker`.
    pub fn marker(&self) -> Option<SpeechMarker> {
        self.headers.get("Speech-Marker").and_then(SpeechMarker::parse)
    }

    /// Whether a CONTROL's jump has restarted the speech from its beginning.
    pub fn is_restart(&self) -> bool {
        self.headers.get("Speak-Restart").is_some_and(|text| text.eq_ignore_ascii_case("true"))
    }
}

impl Event {
    /// Its `Speech-Marker`.
    pub fn marker(&self) -> Option<SpeechMarker> {
        self.headers.get("Speech-Marker").and_then(SpeechMarker::parse)
    }

    /// How the SPEAK ended, if this is a SPEAK-COMPLETE.
    pub fn completion(&self) -> Option<Completion> {
        if self.name != EventName::SpeakComplete {
            return None;
        }
        let text = |name| self.headers.get(name).map(quoted::unquote);
        Some(Completion {
            cause: self.headers.get("Completion-Cause").and_then(Cause::parse),
            reason: text("Completion-Reason"),
            failed_uri: text("Failed-URI"),
            failed_uri_cause: text("Failed-URI-Cause"),
            marker: self.marker(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::framing::{Framed, Framer, Limits};
    use crate::message::Message;

    #[test]
    fn section_5_2_a_clients_requests_rise_and_read_back_as_they_were_made() {
        let channel = ChannelId::parse("a1@speechsynth").unwrap();
        let mut requests = Requests::new();
        let ids = [RequestId::from_number(1), RequestId::from_number(2)];
        let made = [
            requests.speak(&channel, "text/plain", b"good morning"),
            requests.speak_uris(&channel, &["source:Radio", "tone:440"]),
            requests.stop(&channel, &ids),
            requests.pause(&channel),
            requests.resume(&channel),
            requests.barge_in(&channel),
            requests.control(&channel, Headers::new().with("Jump-Size", "-5 Second")),
            requests.set_params(&channel, Headers::new().with("Voice-Age", "30")),
            requests.get_params(&channel, &["Voice-Age"]),
            requests.define_lexicon(&channel, "a@b", b"<lexicon/>"),
        ];
        let mut framer = Framer::new(Limits::default());
        for (place, request) in (1..).zip(&made) {
            assert_eq!(request.id.number(), place);
            framer.push(&request.to_bytes());
        }
        let read: Vec<Framed> = framer.collect();
        let made: Vec<Framed> =
            made.into_iter().map(Message::Request).map(Framed::Message).collect();
        assert_eq!(read, made);
    }

    #[test]
    fn section_8_4_8_a_speech_marker_has_a_time_and_perhaps_a_name() {
        let check = |text: &str, expected: Option<(u64, Option<&str>)>| {
            let marker = SpeechMarker::parse(text);
            let got = marker.as_ref().map(|marker| (marker.at.bits(), marker.name.as_deref()));
            assert_eq!(got, expected, "{text}");
        };
        check("timestamp=857206027059", Some((857_206_027_059, None)));
        check("timestamp=857206027059;here now", Some((857_206_027_059, Some("here now"))));
        check("timestamp=1;", Some((1, None)));
        for bad in ["", "here", "timestamp=", "timestamp=x;here", "857206027059;here"] {
            check(bad, None);
        }
    }
}

//! The header fields that the synthesizer's answers share.

use super::Output;
use crate::client::id_list;
use crate::content::BodyFault;
use crate::ids::RequestId;
use crate::message::{Message, Request, Response};
use crate::ntp::NtpTime;
use crate::quoted;
use crate::status::Status;

pub(super) fn send(response: Response, out: &mut Vec<Output>) {
    out.push(Output::Send(Message::Response(response)));
}

/// `timestamp=…`, and the last mark if there was one. RFC 6787 §8.4.8.
pub(super) fn speech_marker(at: NtpTime, name: Option<&str>) -> String {
    match name.filter(|name| !name.is_empty()) {
        Some(name) => format!("timestamp={at};{name}"),
        None => format!("timestamp={at}"),
    }
}

impl Response {
    pub(super) fn listing(mut self, requests: &[RequestId]) -> Self {
        if !requests.is_empty() {
            self.headers.push("Active-Request-Id-List", &id_list(requests));
        }
        self
    }

    pub(super) fn marked(mut self, at: NtpTime, name: Option<&str>) -> Self {
        self.headers.push("Speech-Marker", &speech_marker(at, name));
        self
    }

    pub(super) fn explained(mut self, why: &str) -> Self {
        self.headers.push("Completion-Reason", &quoted::quote(why));
        self
    }
}

/// The refusal of a request for its body.
pub(super) fn refuse_body(request: &Request, fault: BodyFault) -> Response {
    let (status, name) = match fault {
        BodyFault::Missing => (Status::HEADER_MISSING, None),
        BodyFault::TypeIllegal => (Status::ILLEGAL_VALUE, Some("Content-Type")),
        BodyFault::Unsupported => (Status::UNSUPPORTED_ENTITY, Some("Content-Type")),
        BodyFault::Encoding => (Status::UNSUPPORTED_VALUE, Some("Content-Encoding")),
    };
    let mut response = request.refuse(status);
    let at_fault = request
        .headers
        .iter()
        .filter(|header| name.is_some_and(|name| header.name.eq_ignore_ascii_case(name)));
    response.headers.extend(at_fault.cloned());
    response
}

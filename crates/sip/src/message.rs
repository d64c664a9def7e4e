//! Requests and responses.

use crate::headers::Headers;
use crate::method::Method;
use crate::name;
use crate::status::StatusCode;
use crate::uri::AnyUri;

/// A request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Request {
    /// What is asked.
    pub method: Method,
    /// Of whom.
    pub uri: AnyUri,
    /// The headers. Content-Length is written from the body, whatever stands here.
    pub headers: Headers,
    /// The body.
    pub body: Vec<u8>,
}

/// A response.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Response {
    /// The status code.
    pub status: StatusCode,
    /// The reason phrase; may be empty.
    pub reason: String,
    /// The headers. Content-Length is written from the body, whatever stands here.
    pub headers: Headers,
    /// The body.
    pub body: Vec<u8>,
}

/// Either.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Message {
    /// A request.
    Request(Request),
    /// A response.
    Response(Response),
}

impl Request {
    /// A request without headers or body.
    pub const fn new(method: Method, uri: AnyUri) -> Self {
        Self { method, uri, headers: Headers::new(), body: Vec::new() }
    }

    /// Sets the body and its Content-Type.
    pub fn set_body(&mut self, content_type: &str, body: Vec<u8>) {
        self.headers.set(name::CONTENT_TYPE, content_type);
        self.body = body;
    }

    /// The body where it is SDP by its type, or has no type and is there (RFC 3261 §13.2.1).
    pub fn sdp(&self) -> Option<&[u8]> {
        sdp(&self.headers, &self.body)
    }
}

impl Response {
    /// An answer to `request` as RFC 3261 §8.2.6 builds it: Via, From, To, Call-ID, CSeq copied;
    /// Timestamp for 100; Record-Route where the response makes a dialog (§12.1.1).
    /// `to_tag` is added where To has none.
    pub fn to(request: &Request, status: StatusCode, to_tag: Option<&str>) -> Self {
        let dialog = request.method.makes_dialog()
            && status > StatusCode::TRYING
            && status < StatusCode::MULTIPLE_CHOICES;
        let mut response = Self::from_headers(&request.headers, status, to_tag);
        if dialog {
            response.headers.copy(&request.headers, name::RECORD_ROUTE);
        }
        response
    }

    pub(crate) fn from_headers(from: &Headers, status: StatusCode, to_tag: Option<&str>) -> Self {
        let mut headers = Headers::with_capacity(12);
        for name in [name::VIA, name::FROM, name::TO, name::CALL_ID, name::CSEQ] {
            headers.copy(from, name);
        }
        if status == StatusCode::TRYING {
            headers.copy(from, name::TIMESTAMP);
        } else if let Some(tag) = to_tag
            && headers.to().is_none_or(|to| !to.params.has("tag"))
        {
            headers.append(name::TO, &format!(";tag={tag}"));
        }
        Self { status, reason: status.reason().to_owned(), headers, body: Vec::new() }
    }

    /// Sets the body and its Content-Type.
    pub fn set_body(&mut self, content_type: &str, body: Vec<u8>) {
        self.headers.set(name::CONTENT_TYPE, content_type);
        self.body = body;
    }

    /// The body where it is SDP by its type, or has no type and is there.
    pub fn sdp(&self) -> Option<&[u8]> {
        sdp(&self.headers, &self.body)
    }
}

impl Message {
    /// The headers of either.
    pub const fn headers(&self) -> &Headers {
        match self {
            Self::Request(request) => &request.headers,
            Self::Response(response) => &response.headers,
        }
    }
}

fn sdp<'a>(headers: &Headers, body: &'a [u8]) -> Option<&'a [u8]> {
    if body.is_empty() {
        return None;
    }
    match headers.get(name::CONTENT_TYPE) {
        None => Some(body),
        Some(_) => headers.content_type().is_some_and(|t| t.is("application/sdp")).then_some(body),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;

    const INVITE: &[u8] = b"INVITE sip:b@h SIP/2.0\r\nv: SIP/2.0/UDP a;branch=z9hG4bK1\r\n\
        Record-Route: <sip:p;lr>\r\nf: <sip:a@h>;tag=1\r\nt: sip:b@h\r\ni: x\r\nCSeq: 1 INVITE\r\n\
        Timestamp: 54\r\n\r\n";

    #[test]
    fn section_8_2_6_a_response_copies_what_identifies_the_request() {
        for (status, to, record_route, timestamp) in [
            (StatusCode::TRYING, "sip:b@h", false, true),
            (StatusCode::RINGING, "sip:b@h;tag=9", true, false),
            (StatusCode::OK, "sip:b@h;tag=9", true, false),
            (StatusCode::BUSY_HERE, "sip:b@h;tag=9", false, false),
        ] {
            let Message::Request(request) = parse::parse(INVITE).unwrap() else { panic!() };
            let response = Response::to(&request, status, Some("9"));
            for name in [name::VIA, name::FROM, name::CALL_ID, name::CSEQ] {
                assert_eq!(response.headers.get(name), request.headers.get(name));
            }
            assert_eq!(response.headers.get(name::TO), Some(to));
            assert_eq!(response.headers.has(name::RECORD_ROUTE), record_route);
            assert_eq!(response.headers.has(name::TIMESTAMP), timestamp);
        }
    }
}

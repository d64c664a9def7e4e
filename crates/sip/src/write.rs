//! Messages to bytes. Content-Length is always written, and always right.

use std::io::Write as _;

use crate::headers::Headers;
use crate::message::{Message, Request, Response};
use crate::name;

impl Request {
    /// The bytes to send.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(room(&self.headers, &self.body));
        out.extend_from_slice(self.method.as_str().as_bytes());
        out.push(b' ');
        out.extend_from_slice(self.uri.as_str().as_bytes());
        out.extend_from_slice(b" SIP/2.0\r\n");
        finish(out, &self.headers, &self.body)
    }
}

impl Response {
    /// The bytes to send.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(room(&self.headers, &self.body));
        // Writing to a Vec cannot fail.
        let _ = write!(out, "SIP/2.0 {} ", self.status);
        out.extend(self.reason.bytes().filter(|b| !matches!(b, b'\r' | b'\n')));
        out.extend_from_slice(b"\r\n");
        finish(out, &self.headers, &self.body)
    }
}

impl Message {
    /// The bytes to send.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Request(request) => request.to_bytes(),
            Self::Response(response) => response.to_bytes(),
        }
    }
}

fn room(headers: &Headers, body: &[u8]) -> usize {
    let lines: usize = headers.iter().map(|h| h.name().len() + h.bytes().len() + 4).sum();
    lines + body.len() + 160
}

fn finish(mut out: Vec<u8>, headers: &Headers, body: &[u8]) -> Vec<u8> {
    for header in headers.iter().filter(|h| h.name() != name::CONTENT_LENGTH) {
        out.extend_from_slice(header.name().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(header.bytes());
        out.extend_from_slice(b"\r\n");
    }
    let _ = write!(out, "{}: {}\r\n\r\n", name::CONTENT_LENGTH, body.len());
    out.extend_from_slice(body);
    out
}

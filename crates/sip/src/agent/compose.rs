//! What an agent writes into its messages: Via, Contact, Allow; and where they go.

use std::fmt::Write as _;
use std::net::SocketAddr;

use super::tables::{ClientKey, Part};
use super::{Agent, Flow, Transport};
use crate::dialog::Dialog;
use crate::headers::Headers;
use crate::message::{Request, Response};
use crate::method::Method;
use crate::name;
use crate::values::{BRANCH_COOKIE, Via};

const MAX_FORWARDS: &str = "70";
const SIP_PORT: u16 = 5060;

impl Agent {
    /// Our host and port as peers on this flow are to see them.
    fn place(&self, flow: Flow) -> String {
        let ours = self.config.addresses.iter().find(|address| {
            let bound = address.bound.ip();
            address.transport == flow.transport
                && (bound == flow.local.ip()
                    || bound.is_unspecified() && bound.is_ipv4() == flow.local.is_ipv4())
        });
        match ours {
            None => flow.local.to_string(),
            Some(ours) => match &ours.host {
                Some(host) => format!("{host}:{}", ours.port),
                None => SocketAddr::new(flow.local.ip(), ours.port).to_string(),
            },
        }
    }

    /// Via and Max-Forwards of a new request.
    pub(super) fn begin(&self, flow: Flow, branch: u64) -> Headers {
        let mut headers = Headers::with_capacity(14);
        let mut via = String::with_capacity(72);
        let place = self.place(flow);
        let transport = flow.transport.as_str();
        // Writing to a String cannot fail.
        let _ = write!(via, "SIP/2.0/{transport} {place};branch={BRANCH_COOKIE}{branch:016x}");
        if flow.transport == Transport::Udp {
            via.push_str(";rport");
        }
        headers.push(name::VIA, via);
        headers.push(name::MAX_FORWARDS, MAX_FORWARDS);
        headers
    }

    /// Our Contact for a peer on this flow.
    pub(super) fn contact(&self, flow: Flow) -> String {
        let user = &self.config.user;
        let place = self.place(flow);
        match flow.transport {
            Transport::Udp => format!("<sip:{user}@{place}>"),
            Transport::Tcp => format!("<sip:{user}@{place};transport=tcp>"),
        }
    }

    /// Allow and Supported, for INVITE, its 2xx and OPTIONS.
    pub(super) fn push_abilities(&self, headers: &mut Headers) {
        if !self.allow.is_empty() {
            headers.push(name::ALLOW, self.allow.as_str());
        }
        if !self.supported.is_empty() {
            headers.push(name::SUPPORTED, self.supported.as_str());
        }
    }

    /// A branch nobody can guess.
    pub(super) fn next_branch(&mut self) -> ClientKey {
        ClientKey(self.tokens.next_u64(), Part::Main)
    }

    /// Where the next request of this dialog goes: by its route set or target, over the dialog's
    /// stream while that lives. A host that is a name has been resolved by whoever chose the flow.
    pub(super) fn route(&self, dialog: &Dialog) -> Flow {
        let flow = dialog.flow;
        let Some(uri) = dialog.next_hop().sip() else { return flow };
        let transport = match uri.params.value("transport") {
            Some(text) if text.eq_ignore_ascii_case("udp") => Transport::Udp,
            Some(text) if text.eq_ignore_ascii_case("tcp") => Transport::Tcp,
            _ => flow.transport,
        };
        if transport == Transport::Tcp && flow.connection.is_some() {
            return flow;
        }
        let Some(ip) = uri.host.address() else { return flow };
        let remote = SocketAddr::new(ip, uri.port.unwrap_or(SIP_PORT));
        let local = if transport == flow.transport {
            Some(flow.local)
        } else {
            self.config.addresses.iter().find_map(|address| {
                (address.transport == transport && address.bound.is_ipv4() == ip.is_ipv4())
                    .then_some(address.bound)
            })
        };
        match local {
            Some(local) if local.is_ipv4() == ip.is_ipv4() => {
                Flow { transport, local, remote, connection: None }
            }
            _ => flow,
        }
    }
}

/// Where the response to a request with this (stamped) Via goes, and where to dial for it should
/// its stream be gone. RFC 3261 §18.2.2, RFC 3581 §4.
///
/// `maddr` is not followed: it is for multicast, and would let a peer aim our answers at others.
pub(super) fn way_back(flow: Flow, via: &Via) -> (Flow, SocketAddr) {
    let source = flow.remote;
    let stated = SocketAddr::new(source.ip(), via.port.unwrap_or(SIP_PORT));
    match flow.transport {
        Transport::Udp if via.params.has("rport") => (flow, source),
        Transport::Udp => (Flow { remote: stated, ..flow }, stated),
        Transport::Tcp => (flow, stated),
    }
}

/// The identity of a server transaction. RFC 3261 §17.2.3: branch, sent-by and method, where ACK and
/// CANCEL look for their INVITE; without a branch of our time, what RFC 2543 compared.
pub(super) fn server_key(request: &Request, via: &Via, from_tag: &str) -> Box<str> {
    let for_invite = matches!(request.method, Method::Invite | Method::Ack | Method::Cancel);
    let class = if for_invite { Method::Invite.as_str() } else { request.method.as_str() };
    let mut key = String::with_capacity(96);
    // Writing to a String cannot fail.
    let _ = match via.unique_branch() {
        Some(branch) => {
            write!(key, "{branch} {} {} {class}", via.host, via.port.unwrap_or(SIP_PORT))
        }
        None => {
            let uri = &request.uri;
            let call_id = request.headers.call_id().unwrap_or_default();
            let seq = request.headers.cseq().map_or(0, |cseq| cseq.number);
            write!(key, "\n{uri}\n{from_tag}\n{call_id}\n{seq}\n{via}\n{class}")
        }
    };
    key.into_boxed_str()
}

/// The ACK of a refusal. RFC 3261 §17.1.1.3.
pub(super) fn ack_refusal(invite: &Request, response: &Response) -> Request {
    follow(invite, Method::Ack, response.headers.get(name::TO))
}

/// The ACK of a 2xx whose dialog is no more, by the way its INVITE went; `headers` begin it.
pub(super) fn ack_orphan(invite: &Request, response: &Response, mut headers: Headers) -> Request {
    headers.copy(&invite.headers, name::FROM);
    headers.copy(&response.headers, name::TO);
    headers.copy(&invite.headers, name::CALL_ID);
    let seq = invite.headers.cseq().map_or(0, |cseq| cseq.number);
    headers.push(name::CSEQ, format!("{seq} ACK"));
    headers.copy(&invite.headers, name::ROUTE);
    Request { method: Method::Ack, uri: invite.uri.clone(), headers, body: Vec::new() }
}

/// The CANCEL of an INVITE. RFC 3261 §9.1.
pub(super) fn cancel(invite: &Request) -> Request {
    follow(invite, Method::Cancel, invite.headers.get(name::TO))
}

/// A request that goes the way of its INVITE, in its transaction.
fn follow(invite: &Request, method: Method, to: Option<&str>) -> Request {
    let mut headers = Headers::with_capacity(8);
    for name in [name::VIA, name::MAX_FORWARDS, name::FROM] {
        headers.copy(&invite.headers, name);
    }
    headers.push(name::TO, to.unwrap_or_default());
    headers.copy(&invite.headers, name::CALL_ID);
    let seq = invite.headers.cseq().map_or(0, |cseq| cseq.number);
    headers.push(name::CSEQ, format!("{seq} {method}"));
    headers.copy(&invite.headers, name::ROUTE);
    Request { method, uri: invite.uri.clone(), headers, body: Vec::new() }
}

/// Adds what the application wants to say besides.
pub(super) fn push_all(headers: &mut Headers, more: &Headers) {
    for header in more.iter() {
        headers.push(header.name(), header.value());
    }
}

/// The number behind the cookie of a branch of ours.
pub(super) fn branch_number(branch: &str) -> Option<u64> {
    let digits = branch.strip_prefix(BRANCH_COOKIE)?;
    (digits.len() == 16).then(|| u64::from_str_radix(digits, 16).ok())?
}

/// The raw value of a parameter of a well-formed address or Via, read without taking it apart.
pub(super) fn param<'a>(value: &'a str, wanted: &str) -> Option<&'a str> {
    // What stands in quotes or angle brackets is no parameter of the header.
    let mut pieces = Pieces { rest: value };
    pieces.next();
    pieces.find_map(|piece| {
        let (name, value) = piece.split_once('=')?;
        name.trim().eq_ignore_ascii_case(wanted).then(|| value.trim())
    })
}

/// The parts of a header value between its semicolons.
struct Pieces<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        if self.rest.is_empty() {
            return None;
        }
        let (mut quoted, mut bracketed, mut escaped) = (false, false, false);
        let end = self.rest.bytes().position(|byte| {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' if !bracketed => quoted = !quoted,
                b'<' if !quoted => bracketed = true,
                b'>' if !quoted => bracketed = false,
                b';' if !quoted && !bracketed => return true,
                _ => {}
            }
            false
        });
        let (piece, rest) = self.rest.split_at_checked(end.unwrap_or(self.rest.len()))?;
        self.rest = rest.strip_prefix(';').unwrap_or(rest);
        Some(piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::NameAddr;

    #[test]
    fn a_tag_is_read_as_the_whole_address_would_read_it() {
        for text in [
            "<sip:a@b>;tag=1",
            "<sip:a@b;tag=no>;x; TAG = 2 ;y=3",
            "\"a;tag=no \\\" <sip:c>\" <sip:a@b>;tag=3",
            "sip:a@b;tag=4",
            "sip:a@b",
            "Alice <sip:a@b;user=phone>",
            "<sip:a@b>;x=\"y;tag=no\";tag=5",
        ] {
            let whole = NameAddr::parse(text).unwrap();
            assert_eq!(param(text, "tag"), whole.tag(), "{text}");
        }
        assert_eq!(param("SIP/2.0/UDP a:5060;branch=z9hG4bK1;rport", "branch"), Some("z9hG4bK1"));
        assert_eq!(param("", "tag"), None);
    }
}

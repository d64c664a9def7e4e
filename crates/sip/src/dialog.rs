//! Dialogs: who the peer is, how to reach it, and in which order its requests must come.
//! RFC 3261 §12.

use crate::agent::Flow;
use crate::headers::Headers;
use crate::message::{Request, Response};
use crate::method::Method;
use crate::name;
use crate::uri::AnyUri;
use crate::values::NameAddr;

/// Record-Route entries in one dialog; a message with more makes none.
pub const ROUTES_MAX: usize = 32;

/// One early or confirmed dialog.
#[derive(Clone, Debug)]
pub struct Dialog {
    call_id: Box<str>,
    /// Our From (or To) as it stands on the wire, with its tag.
    local: Box<str>,
    /// The peer's To (or From) as it stands on the wire, with its tag.
    remote: Box<str>,
    local_tag: Box<str>,
    /// Empty where the peer gave none (RFC 2543).
    remote_tag: Box<str>,
    local_seq: u32,
    remote_seq: Option<u32>,
    /// The peer's Contact.
    target: AnyUri,
    /// Route values in the order in which they are sent.
    routes: Vec<NameAddr>,
    /// Where the last message of this dialog came from.
    pub flow: Flow,
}

/// Why a message makes no dialog: the fault is the peer's.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NoDialog {
    /// There is no Contact with one usable URI.
    Contact,
    /// From, To, Call-ID or CSeq is missing or broken.
    Identity,
    /// Record-Route is malformed or has more than [`ROUTES_MAX`] entries.
    Routes,
}

/// The request is older than one that came before it: 500. RFC 3261 §12.2.2.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct OutOfOrder;

impl Dialog {
    /// The dialog that `request`, an INVITE from `flow`, makes on the side that answers it with `tag`.
    pub fn callee(request: &Request, tag: &str, flow: Flow) -> Result<Self, NoDialog> {
        let headers = &request.headers;
        let (from, to) = (headers.get(name::FROM), headers.get(name::TO));
        let (Some(from), Some(to), Some(call_id)) = (from, to, headers.call_id()) else {
            return Err(NoDialog::Identity);
        };
        let remote_tag = tag_of(headers.from().as_ref()).unwrap_or_default();
        let seq = headers.cseq().ok_or(NoDialog::Identity)?.number;
        let target = match headers.contact() {
            Some(contact) => contact.uri,
            // A client of RFC 2543 gives neither tag nor, if it likes, Contact; its From stands for
            // it. RFC 4475 §3.4.1.
            None if remote_tag.is_empty() && headers.get(name::CONTACT).is_none() => {
                headers.from().ok_or(NoDialog::Identity)?.uri
            }
            None => return Err(NoDialog::Contact),
        };
        Ok(Self {
            call_id: call_id.into(),
            local: format!("{to};tag={tag}").into(),
            remote: from.into(),
            local_tag: tag.into(),
            remote_tag,
            local_seq: 0,
            remote_seq: Some(seq),
            target,
            routes: record_routes(headers)?,
            flow,
        })
    }

    /// The dialog that `response` makes on the side that sent `request`.
    pub fn caller(request: &Request, response: &Response, flow: Flow) -> Result<Self, NoDialog> {
        let headers = &response.headers;
        let (from, to) = (request.headers.get(name::FROM), headers.get(name::TO));
        let (Some(from), Some(to), Some(call_id)) = (from, to, request.headers.call_id()) else {
            return Err(NoDialog::Identity);
        };
        let local_tag = tag_of(request.headers.from().as_ref()).ok_or(NoDialog::Identity)?;
        // A route set that cannot be read cannot be followed; the session must be ended all the same.
        let mut routes = record_routes(headers).unwrap_or_default();
        routes.reverse();
        Ok(Self {
            call_id: call_id.into(),
            local: from.into(),
            remote: to.into(),
            local_tag,
            remote_tag: tag_of(headers.to().as_ref()).unwrap_or_default(),
            local_seq: request.headers.cseq().ok_or(NoDialog::Identity)?.number,
            remote_seq: None,
            // Some answer without Contact; the address that was called then stands for it.
            target: headers.contact().map_or_else(|| request.uri.clone(), |contact| contact.uri),
            routes,
            flow,
        })
    }

    /// The peer's tag; empty where it gave none.
    pub fn remote_tag(&self) -> &str {
        &self.remote_tag
    }

    /// The Call-ID.
    pub fn call_id(&self) -> &str {
        &self.call_id
    }

    /// Our tag.
    pub fn local_tag(&self) -> &str {
        &self.local_tag
    }

    /// Where the peer wants requests to go: its last Contact.
    pub const fn target(&self) -> &AnyUri {
        &self.target
    }

    /// Whether a request with this Call-ID and From tag is the peer's in this dialog.
    pub fn is(&self, call_id: &str, remote_tag: &str) -> bool {
        *self.call_id == *call_id && *self.remote_tag == *remote_tag
    }

    /// Takes note of the peer's next CSeq; the peer may leave numbers out, not go back.
    pub fn order(&mut self, seq: u32) -> Result<(), OutOfOrder> {
        if self.remote_seq.is_some_and(|last| seq <= last) {
            return Err(OutOfOrder);
        }
        self.remote_seq = Some(seq);
        Ok(())
    }

    /// Takes the Contact of an accepted INVITE or UPDATE, or of its 2xx. RFC 3261 §12.2, RFC 6141 §4.
    pub fn refresh(&mut self, headers: &Headers) {
        if let Some(contact) = headers.contact() {
            self.target = contact.uri;
        }
    }

    /// Goes on where an early dialog with the same peer stopped counting.
    pub fn count_on_from(&mut self, early: &Self) {
        self.local_seq = self.local_seq.max(early.local_seq);
        self.remote_seq = self.remote_seq.max(early.remote_seq);
    }

    /// The next number for a request of ours.
    pub fn next_seq(&mut self) -> u32 {
        self.local_seq = self.local_seq.saturating_add(1);
        self.local_seq
    }

    /// A request in this dialog with the headers it has so far (Via first); the caller adds its own.
    /// RFC 3261 §12.2.1.1.
    pub fn request(&self, method: Method, seq: u32, mut headers: Headers) -> Request {
        headers.push(name::FROM, &*self.local);
        headers.push(name::TO, &*self.remote);
        headers.push(name::CALL_ID, &*self.call_id);
        headers.push(name::CSEQ, format!("{seq} {method}"));
        // A strict router (RFC 2543) takes the Request-URI for its own; the target goes last.
        let strict = self.routes.first().filter(|route| !route.is_loose_router());
        for route in self.routes.iter().skip(usize::from(strict.is_some())) {
            headers.push(name::ROUTE, route.to_string());
        }
        let uri = match strict {
            Some(route) => {
                headers.push(name::ROUTE, format!("<{}>", self.target));
                route.uri.clone()
            }
            None => self.target.clone(),
        };
        Request { method, uri, headers, body: Vec::new() }
    }

    /// The URI whose host is the next hop: the first route, else the target.
    pub fn next_hop(&self) -> &AnyUri {
        self.routes.first().map_or(&self.target, |route| &route.uri)
    }
}

fn tag_of(address: Option<&NameAddr>) -> Option<Box<str>> {
    address.and_then(NameAddr::tag).map(Into::into)
}

fn record_routes(headers: &Headers) -> Result<Vec<NameAddr>, NoDialog> {
    let routes = headers.record_routes().ok_or(NoDialog::Routes)?;
    if routes.len() > ROUTES_MAX { Err(NoDialog::Routes) } else { Ok(routes) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::Transport;
    use crate::message::Message;
    use crate::parse::parse;

    fn request(text: &str) -> Request {
        match parse(text.as_bytes()).unwrap() {
            Message::Request(request) => request,
            Message::Response(_) => panic!("a response"),
        }
    }

    fn response(text: &str) -> Response {
        match parse(text.as_bytes()).unwrap() {
            Message::Response(response) => response,
            Message::Request(_) => panic!("a request"),
        }
    }

    fn flow() -> Flow {
        let local = "127.0.0.1:5060".parse().unwrap();
        let remote = "127.0.0.1:5070".parse().unwrap();
        Flow { transport: Transport::Udp, local, remote, connection: None }
    }

    const INVITE: &str = "INVITE sip:bob@b SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\n\
        From: <sip:alice@a>;tag=f\r\nTo: <sip:bob@b>\r\nCall-ID: c@a\r\nCSeq: 7 INVITE\r\n\
        Contact: <sip:alice@10.0.0.1:5070>\r\n";

    /// The start line and the headers that matter of a BYE in the dialog, with `routes` recorded.
    fn check(routes: &str, callee: &str, caller: &str) {
        let mut invite = request(&format!("{INVITE}{routes}\r\n"));
        let mut dialog = Dialog::callee(&invite, "t", flow()).unwrap();
        let show = |dialog: &mut Dialog| {
            let seq = dialog.next_seq();
            let bye = dialog.request(Method::Bye, seq, Headers::new());
            let routes: Vec<_> = bye.headers.all("Route").collect();
            format!("{} {} | {}", bye.uri, bye.headers.get("CSeq").unwrap(), routes.join(" "))
        };
        assert_eq!(show(&mut dialog), callee);
        let ok = response(&format!(
            "SIP/2.0 200 OK\r\nFrom: <sip:alice@a>;tag=f\r\nTo: <sip:bob@b>;tag=t\r\n\
             Call-ID: c@a\r\nCSeq: 7 INVITE\r\nContact: <sip:bob@10.0.0.2>\r\n{routes}\r\n"
        ));
        invite.headers.remove("Record-Route");
        let mut dialog = Dialog::caller(&invite, &ok, flow()).unwrap();
        assert_eq!(dialog.remote_tag(), "t");
        assert_eq!(show(&mut dialog), caller);
    }

    #[test]
    fn section_12_2_1_1_requests_follow_the_route_set() {
        check("", "sip:alice@10.0.0.1:5070 1 BYE | ", "sip:bob@10.0.0.2 8 BYE | ");
        check(
            "Record-Route: <sip:p1;lr>, <sip:p2;lr>\r\n",
            "sip:alice@10.0.0.1:5070 1 BYE | <sip:p1;lr> <sip:p2;lr>",
            "sip:bob@10.0.0.2 8 BYE | <sip:p2;lr> <sip:p1;lr>",
        );
    }

    #[test]
    fn section_12_2_1_1_a_strict_router_finds_itself_in_the_request_uri() {
        check(
            "Record-Route: <sip:p1>\r\nRecord-Route: <sip:p2;lr>\r\n",
            "sip:p1 1 BYE | <sip:p2;lr> <sip:alice@10.0.0.1:5070>",
            "sip:bob@10.0.0.2 8 BYE | <sip:p2;lr> <sip:p1>",
        );
    }

    #[test]
    fn section_12_2_2_numbers_may_be_left_out_but_not_go_back() {
        let mut dialog = Dialog::callee(&request(&format!("{INVITE}\r\n")), "t", flow()).unwrap();
        assert!(dialog.is("c@a", "f") && !dialog.is("c@a", "g") && !dialog.is("x", "f"));
        assert_eq!(dialog.order(7), Err(OutOfOrder));
        assert_eq!(dialog.order(9), Ok(()));
        assert_eq!(dialog.order(8), Err(OutOfOrder));
    }

    #[test]
    fn section_12_2_the_contact_of_a_later_request_is_the_new_target() {
        let mut dialog = Dialog::callee(&request(&format!("{INVITE}\r\n")), "t", flow()).unwrap();
        let mut headers = Headers::new();
        dialog.refresh(&headers);
        assert_eq!(dialog.target().as_str(), "sip:alice@10.0.0.1:5070");
        headers.push("Contact", "<sip:alice@10.0.0.9>");
        dialog.refresh(&headers);
        assert_eq!(dialog.target().as_str(), "sip:alice@10.0.0.9");
    }

    #[test]
    fn more_routes_than_the_limit_make_no_dialog() {
        let routes = "Record-Route: <sip:p;lr>\r\n".repeat(ROUTES_MAX + 1);
        let invite = request(&format!("{INVITE}{routes}\r\n"));
        assert_eq!(Dialog::callee(&invite, "t", flow()).unwrap_err(), NoDialog::Routes);
        let invite = request(&format!("{INVITE}\r\n").replace("Contact", "X-Contact"));
        assert_eq!(Dialog::callee(&invite, "t", flow()).unwrap_err(), NoDialog::Contact);
        let old = format!("{INVITE}\r\n").replace("Contact", "X-Contact").replace(";tag=f", "");
        let old = Dialog::callee(&request(&old), "t", flow()).unwrap();
        assert_eq!(old.target().to_string(), "sip:alice@a");
    }
}

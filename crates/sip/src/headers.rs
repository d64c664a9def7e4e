//! The headers of a message: an ordered list, with typed readings on demand.

use std::borrow::Cow;
use std::net::SocketAddr;

use crate::method::Method;
use crate::name;
use crate::scan;
use crate::values::{CSeq, MediaType, NameAddr, RAck, Via};

/// One header line: canonical name, unfolded value.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Header {
    name: Cow<'static, str>,
    value: String,
    /// The bytes as they came, where they are no UTF-8.
    raw: Option<Box<[u8]>>,
}

impl Header {
    /// The canonical name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value; bytes that are no UTF-8 show as U+FFFD.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// The bytes to put on the wire.
    pub fn bytes(&self) -> &[u8] {
        self.raw.as_deref().unwrap_or(self.value.as_bytes())
    }
}

/// Headers in the order of the message. Names compare without case and in compact form too.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Headers(Vec<Header>);

impl Headers {
    /// None yet.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn with_capacity(lines: usize) -> Self {
        Self(Vec::with_capacity(lines))
    }

    /// The lines in order.
    pub fn iter(&self) -> impl Iterator<Item = &Header> {
        self.0.iter()
    }

    /// The number of lines.
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no lines.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of the first line with this name, commas and all.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.lines(name).next().map(Header::value)
    }

    /// Whether there is a line with this name.
    pub fn has(&self, name: &str) -> bool {
        self.lines(name).next().is_some()
    }

    /// The lines with this name, unsplit.
    pub fn lines<'a, 'n>(
        &'a self,
        name: &'n str,
    ) -> impl Iterator<Item = &'a Header> + use<'a, 'n> {
        self.0.iter().filter(move |header| header.name.eq_ignore_ascii_case(name))
    }

    /// Every value under this name: lines of list headers are split at their commas.
    pub fn all<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a str> + use<'a, 'n> {
        let list = name::is_list(name);
        self.lines(name).flat_map(move |line| {
            let (whole, listed) =
                if list { (None, line.value()) } else { (Some(line.value()), "") };
            whole.into_iter().chain(scan::split_list(listed))
        })
    }

    /// Adds a line at the end.
    pub fn push(&mut self, name: &str, value: impl Into<String>) {
        self.0.push(Self::header(name, value.into()));
    }

    /// Adds a line at the top: a new Via, a new Route.
    pub fn push_front(&mut self, name: &str, value: impl Into<String>) {
        self.0.insert(0, Self::header(name, value.into()));
    }

    /// Leaves one line with this name, where the first stood, else at the end.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        let new = Self::header(name, value.into());
        match self.0.iter().position(|h| h.name.eq_ignore_ascii_case(&new.name)) {
            Some(at) => {
                let name = new.name.clone();
                if let Some(slot) = self.0.get_mut(at) {
                    *slot = new;
                }
                let mut index = 0;
                self.0.retain(|h| {
                    index += 1;
                    index - 1 <= at || !h.name.eq_ignore_ascii_case(&name)
                });
            }
            None => self.0.push(new),
        }
    }

    /// Takes away every line with this name.
    pub fn remove(&mut self, name: &str) {
        let name = name::canonical(name);
        self.0.retain(|h| !h.name.eq_ignore_ascii_case(&name));
    }

    /// Copies every line with this name from another message, byte for byte.
    pub fn copy(&mut self, from: &Self, name: &str) {
        self.0.extend(from.lines(name).cloned());
    }

    pub(crate) fn push_bytes(&mut self, name: &str, value: &[u8]) {
        let name = name::canonical(name);
        self.0.push(match std::str::from_utf8(value) {
            Ok(text) => Header { name, value: text.to_owned(), raw: None },
            Err(_) => Header {
                name,
                value: String::from_utf8_lossy(value).into_owned(),
                raw: Some(value.into()),
            },
        });
    }

    /// Appends text to the first line with this name.
    pub(crate) fn append(&mut self, name: &str, text: &str) {
        if let Some(header) = self.0.iter_mut().find(|h| h.name.eq_ignore_ascii_case(name)) {
            header.value.push_str(text);
            if let Some(raw) = &mut header.raw {
                *raw = [raw, text.as_bytes()].concat().into();
            }
        }
    }

    fn header(name: &str, value: String) -> Header {
        // A line break in a value would begin a header of its own.
        let value =
            if value.contains(['\r', '\n']) { value.replace(['\r', '\n'], " ") } else { value };
        Header { name: name::canonical(name), value, raw: None }
    }
}

/// Typed readings. `None` means absent or malformed; admission has refused the malformed ones that matter.
impl Headers {
    /// The topmost Via.
    pub fn via(&self) -> Option<Via> {
        Via::parse(self.all(name::VIA).next()?)
    }

    /// Every Via, topmost first; `None` where one is malformed.
    pub fn vias(&self) -> Option<Vec<Via>> {
        self.all(name::VIA).map(Via::parse).collect()
    }

    /// Replaces the topmost Via element, leaving those behind it as they are.
    pub fn set_top_via(&mut self, via: &Via) {
        let Some(header) = self.0.iter_mut().find(|h| h.name == name::VIA) else {
            return self.push_front(name::VIA, via.to_string());
        };
        let rest: Vec<_> = scan::split_list(&header.value).skip(1).collect();
        let mut value = via.to_string();
        for element in rest {
            value.push_str(", ");
            value.push_str(element);
        }
        header.value = value;
        header.raw = None;
    }

    /// Notes in the topmost Via where the request really came from (see [`Via::stamp`]).
    pub fn stamp_via(&mut self, source: SocketAddr) {
        if let Some(mut via) = self.via() {
            let before = via.clone();
            via.stamp(source);
            if via != before {
                self.set_top_via(&via);
            }
        }
    }

    /// From.
    pub fn from(&self) -> Option<NameAddr> {
        NameAddr::parse(self.get(name::FROM)?)
    }

    /// To.
    pub fn to(&self) -> Option<NameAddr> {
        NameAddr::parse(self.get(name::TO)?)
    }

    /// Call-ID.
    pub fn call_id(&self) -> Option<&str> {
        self.get(name::CALL_ID)
    }

    /// CSeq.
    pub fn cseq(&self) -> Option<CSeq> {
        CSeq::parse(self.get(name::CSEQ)?)
    }

    /// The first Contact that is an address.
    pub fn contact(&self) -> Option<NameAddr> {
        NameAddr::parse(self.all(name::CONTACT).next()?)
    }

    /// The elements of Route, in order; `None` where one is malformed.
    pub fn routes(&self) -> Option<Vec<NameAddr>> {
        self.all(name::ROUTE).map(NameAddr::parse).collect()
    }

    /// The elements of Record-Route, in the message's order; `None` where one is malformed.
    pub fn record_routes(&self) -> Option<Vec<NameAddr>> {
        self.all(name::RECORD_ROUTE).map(NameAddr::parse).collect()
    }

    /// Max-Forwards.
    pub fn max_forwards(&self) -> Option<u8> {
        scan::number(self.get(name::MAX_FORWARDS)?.trim())
    }

    /// Expires in seconds; a number past 32 bits counts as the largest (RFC 4475 §3.1.2.4).
    pub fn expires(&self) -> Option<u32> {
        let text = self.get(name::EXPIRES)?.trim();
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| text.parse().unwrap_or(u32::MAX))
    }

    /// Content-Type.
    pub fn content_type(&self) -> Option<MediaType> {
        MediaType::parse(self.get(name::CONTENT_TYPE)?)
    }

    /// The option tags of Require.
    pub fn require(&self) -> impl Iterator<Item = &str> {
        self.all(name::REQUIRE)
    }

    /// Whether Supported or Require names this option tag.
    pub fn supports(&self, option: &str) -> bool {
        self.all(name::SUPPORTED).chain(self.require()).any(|tag| tag.eq_ignore_ascii_case(option))
    }

    /// Whether Allow is present and names this method.
    pub fn allows(&self, method: &Method) -> bool {
        self.all(name::ALLOW).any(|text| text == method.as_str())
    }

    /// RAck.
    pub fn rack(&self) -> Option<RAck> {
        RAck::parse(self.get(name::RACK)?)
    }

    /// RSeq.
    pub fn rseq(&self) -> Option<u32> {
        scan::number(self.get(name::RSEQ)?.trim())
    }

    /// The seconds of Retry-After, its comment and parameters left aside.
    pub fn retry_after(&self) -> Option<u32> {
        let text = self.get(name::RETRY_AFTER)?.trim();
        scan::number(text.split([' ', '(', ';']).next()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&str, &str)]) -> Headers {
        let mut headers = Headers::new();
        for (name, value) in lines {
            headers.push(name, *value);
        }
        headers
    }

    #[test]
    fn section_7_3_1_lists_split_over_lines_and_commas_alike() {
        let headers = headers(&[
            ("Route", "<sip:a;lr>, <sip:b;lr>"),
            ("Date", "Sat, 01 Dec 2040 16:00:00 GMT"),
            ("ROUTE", "<sip:c;lr>"),
        ]);
        let routes: Vec<_> = headers.all("route").collect();
        assert_eq!(routes, ["<sip:a;lr>", "<sip:b;lr>", "<sip:c;lr>"]);
        assert_eq!(headers.all("Date").count(), 1);
        assert!(headers.routes().unwrap().iter().all(NameAddr::is_loose_router));
    }

    #[test]
    fn setting_leaves_one_line_where_the_first_stood() {
        let mut headers =
            headers(&[("a1", "1"), ("Contact", "<sip:x>"), ("b1", "2"), ("m", "<sip:y>")]);
        headers.set("m", "<sip:z>");
        let lines: Vec<_> = headers.iter().map(|h| format!("{}={}", h.name(), h.value())).collect();
        assert_eq!(lines, ["a1=1", "Contact=<sip:z>", "b1=2"]);
        headers.remove("contact");
        assert_eq!((headers.len(), headers.has("Contact")), (2, false));
    }

    #[test]
    fn only_the_topmost_via_is_replaced() {
        let mut headers = headers(&[("Via", "SIP/2.0/UDP a;branch=z9hG4bK1 , SIP/2.0/TCP b")]);
        let mut via = headers.via().unwrap();
        via.params.set("received", Some("192.0.2.1"));
        headers.set_top_via(&via);
        let all: Vec<_> = headers.all("Via").collect();
        assert_eq!(all, ["SIP/2.0/UDP a;branch=z9hG4bK1;received=192.0.2.1", "SIP/2.0/TCP b"]);
    }

    #[test]
    fn a_value_cannot_smuggle_a_line() {
        let headers = headers(&[("Subject", "x\r\nRoute: <sip:evil>")]);
        assert_eq!(headers.get("Subject"), Some("x  Route: <sip:evil>"));
    }

    #[test]
    fn overlarge_expires_counts_as_the_largest() {
        assert_eq!(headers(&[("Expires", "10000000000000000000")]).expires(), Some(u32::MAX));
        assert_eq!(headers(&[("Expires", "soon")]).expires(), None);
        assert_eq!(headers(&[("Retry-After", "18 (busy);duration=3")]).retry_after(), Some(18));
    }
}

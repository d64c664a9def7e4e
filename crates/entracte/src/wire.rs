//! What passes on the wire, for those who look on: counters of SIP, [`Captures`], a [`Hep`] collector. None of them
//! holds a call up.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use engine::Way;
use sip::agent::{Flow, Transport};
use web::SipCount;

use crate::captures::{Captures, Carrier};
use crate::clock::wall;
use crate::hep::Hep;

/// Methods that are counted by name; others are counted as `other`. RFC 3261 and its extensions.
const METHODS: [&str; 14] = [
    "INVITE",
    "ACK",
    "BYE",
    "CANCEL",
    "OPTIONS",
    "REGISTER",
    "PRACK",
    "UPDATE",
    "INFO",
    "REFER",
    "SUBSCRIBE",
    "NOTIFY",
    "MESSAGE",
    "PUBLISH",
];
/// Status codes, 100 to 699. RFC 3261 §7.2.
const CODES: std::ops::Range<u16> = 100..700;

/// Those who look on.
#[derive(Clone, Debug)]
pub struct Wire(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    came: Counts,
    left: Counts,
    captures: Captures,
    hep: Option<Hep>,
}

/// One direction.
#[derive(Debug)]
struct Counts {
    /// By [`METHODS`], the others last.
    requests: [AtomicU64; METHODS.len() + 1],
    /// By [`CODES`].
    responses: Vec<AtomicU64>,
}

impl Default for Counts {
    fn default() -> Self {
        let responses = CODES.map(|_| AtomicU64::new(0)).collect();
        Self { requests: Default::default(), responses }
    }
}

impl Counts {
    fn count(&self, message: &[u8]) {
        let line = message.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
        let mut words = line.split(|byte| *byte == b' ');
        let first = words.next().unwrap_or_default();
        let counter = if first.starts_with(b"SIP/") {
            let code = words.next().and_then(|code| std::str::from_utf8(code).ok()?.parse().ok());
            let code = code.and_then(|code: u16| code.checked_sub(CODES.start));
            code.and_then(|at| self.responses.get(usize::from(at)))
        } else {
            let known = METHODS.iter().position(|method| method.as_bytes() == first);
            self.requests.get(known.unwrap_or(METHODS.len()))
        };
        if let Some(counter) = counter {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn read(&self, direction: &'static str) -> Vec<SipCount> {
        let mut all = Vec::new();
        for (counter, method) in self.requests.iter().zip(METHODS.iter().chain(&["other"])) {
            let (count, what) = (counter.load(Ordering::Relaxed), (*method).to_owned());
            all.push(SipCount { direction, is_request: true, what, count });
        }
        for (counter, code) in self.responses.iter().zip(CODES) {
            let (count, what) = (counter.load(Ordering::Relaxed), code.to_string());
            all.push(SipCount { direction, is_request: false, what, count });
        }
        all.retain(|each| each.count > 0);
        all
    }
}

impl Wire {
    /// For these.
    #[must_use]
    pub fn new(captures: Captures, hep: Option<Hep>) -> Self {
        let (came, left) = Default::default();
        Self(Arc::new(Inner { came, left, captures, hep }))
    }

    /// A SIP message, whole.
    pub fn sip(&self, way: Way, flow: &Flow, bytes: &[u8]) {
        let (from, to, counts) = match way {
            Way::In => (flow.remote, flow.local, &self.0.came),
            Way::Out => (flow.local, flow.remote, &self.0.left),
        };
        counts.count(bytes);
        tracing::debug!(
            target: "sip",
            ?way,
            remote = %flow.remote,
            message = %crate::wiring::headline(bytes),
            call_id = crate::captures::call_id_of(bytes),
        );
        if let Some(hep) = &self.0.hep {
            hep.send(wall(), flow.transport, (from, to), bytes);
        }
        // Streams are captured as they were cut, by `stream`.
        if flow.transport == Transport::Udp {
            self.0.captures.signal(Carrier::Udp, from, to, bytes);
        }
    }

    /// A part of a stream of SIP or MRCPv2, as it was read or written.
    pub fn stream(&self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        self.0.captures.signal(Carrier::Tcp, from, to, bytes);
    }

    /// The captures.
    #[must_use]
    pub fn captures(&self) -> &Captures {
        &self.0.captures
    }

    /// Copies that the HEP collector did not get.
    #[must_use]
    pub fn hep_lost(&self) -> u64 {
        self.0.hep.as_ref().map_or(0, Hep::lost)
    }

    /// SIP messages so far, without those that are nought.
    #[must_use]
    pub fn counts(&self) -> Vec<SipCount> {
        let mut all = self.0.came.read("in");
        all.extend(self.0.left.read("out"));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_counted_by_method_and_code_and_nothing_else_is_a_label() {
        let counts = Counts::default();
        for message in [
            "INVITE sip:a@b SIP/2.0\r\n\r\n",
            "INVITE sip:a@b SIP/2.0\r\n\r\n",
            "SIP/2.0 486 Busy Here\r\n\r\n",
            "invite sip:a@b SIP/2.0\r\n\r\n",
            "\u{fe}\u{fd}",
            "SIP/2.0 999999 x\r\n",
            "SIP/2.0 99 x\r\n",
            "SIP/2.0",
            "",
        ] {
            counts.count(message.as_bytes());
        }
        let read = counts.read("in");
        let read: Vec<_> = read.iter().map(|each| (each.what.as_str(), each.count)).collect();
        assert_eq!(read, [("INVITE", 2), ("other", 3), ("486", 1)]);
    }
}

//! Sockets of the control plane: SIP over UDP and TCP, MRCPv2 over TCP.
//!
//! Readers cut bytes into messages and hand them over a bounded channel; nothing is decided here.
//! A peer that floods is held to its share ([`udp`]), a peer that never reads loses its own
//! connection only ([`stream`]).

pub mod stream;
pub mod udp;

use std::net::SocketAddr;

use sip::agent::Flow;
use vocab::ConnectionId;

/// What the sockets tell the control loop.
#[derive(Debug)]
pub enum NetEvent {
    /// One SIP message, whole, from a datagram or cut from a stream.
    Sip {
        /// Where it came from, and where an answer goes.
        flow: Flow,
        /// The message as it stood on the wire.
        bytes: Vec<u8>,
    },
    /// One MRCPv2 message.
    Mrcp {
        /// The connection it came by, and by which it is answered.
        connection: ConnectionId,
        /// The message.
        message: Box<mrcp::Message>,
    },
    /// A peer asks whether its stream lives. RFC 5626 §3.5.1.
    KeepAlive {
        /// The stream.
        flow: Flow,
    },
    /// Bytes on a SIP stream that are no message, or one too large.
    SipFault {
        /// The stream.
        flow: Flow,
        /// What was wrong, and whether the stream goes on; if not, [`NetEvent::Closed`] follows.
        fault: sip::framing::Fault,
    },
    /// Bytes on an MRCPv2 connection that are no message. [`NetEvent::Closed`] follows where the
    /// fault cannot be recovered from.
    MrcpFault {
        /// The connection it came by.
        connection: ConnectionId,
        /// What was wrong.
        fault: mrcp::Fault,
    },
    /// A connection was accepted or dialled; from here on it can be written to.
    Opened {
        /// Its number.
        connection: ConnectionId,
        /// What is spoken on it.
        protocol: Protocol,
        /// Our end.
        local: SocketAddr,
        /// The peer's end.
        remote: SocketAddr,
        /// The end that writes; dropping it closes the connection.
        writer: stream::Writer,
        /// Who began.
        origin: Origin,
    },
    /// A SIP connection was silent for as long as it may be without a call.
    Idle {
        /// Its number.
        connection: ConnectionId,
    },
    /// A connection ended, whoever ended it.
    Closed {
        /// Its number.
        connection: ConnectionId,
    },
    /// A connection that a message wanted could not be made.
    DialFailed {
        /// The flow as the message named it.
        flow: Flow,
        /// Why, for the log.
        why: String,
    },
}

/// Who began a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Origin {
    /// The peer.
    Accepted,
    /// We.
    Dialled,
}

/// What is spoken on a stream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Protocol {
    /// SIP, RFC 3261.
    Sip,
    /// MRCPv2, RFC 6787.
    Mrcp,
}

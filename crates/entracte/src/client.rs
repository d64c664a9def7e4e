//! A client like those that users point at the server: it calls by SIP, controls by MRCPv2 and
//! listens to RTP. The demo, the load tool and the tests are built on it, over real sockets.
//!
//! - [`Phone`]: one SIP socket; places calls.
//! - [`link::Link`]: one MRCPv2 connection, shared by any number of channels.
//! - [`ear::Ear`]: one RTP port; keeps what it hears.
//! - [`crate::pcap::Capture`]: what was sent and received, for Wireshark.

pub mod ear;
pub mod link;
mod phone;

pub use phone::{Answer, CallError, Phone, PhoneError, Tap, flush};

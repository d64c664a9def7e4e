//! Measures a running server from outside, as its clients meet it: over real sockets, with the
//! kernel's time stamps. Nothing here reads the server's own counters.
//!
//! - [`load`]: N MRCPv2 sessions that listen to one live source.
//! - [`sip`]: the SIP side alone: calls a second, each held for half a second.
//! - [`speech`]: from SPEAK of a text to the first sound.
//! - [`subject`]: the server that is measured, ours or one that runs; [`usage`]: what it costs.
//! - [`receiver`]: many RTP ports, read late and timed early.

pub mod figures;
pub mod load;
pub mod receiver;
mod session;
pub mod sip;
pub mod speech;
pub mod subject;
pub mod usage;

pub use figures::Spread;

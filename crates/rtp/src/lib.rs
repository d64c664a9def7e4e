//! RTP as this server speaks it: G.711 out, telephone-events in, RTCP both ways. Pure, and nothing
//! here allocates, so a media tick may call all of it.
//!
//! - [`Packet`]: reads a received RTP packet; [`Sender`] numbers and writes the ones we send.
//! - [`EventReceiver`]: telephone-events (RFC 4733), each key press reported once.
//! - [`Reception`]: loss and jitter of what we receive (RFC 3550 appendices A.1, A.3, A.8).
//! - [`rtcp`]: compound packets; [`RtcpSchedule`]: when the next one is due (RFC 3550 §6.3).
//! - [`Ptime`]: the packet times we honour.
//!
//! Not here: sockets and clocks (`engine`), sound (`audio`), SRTP (a later issue).

mod events;
pub mod fuzz;
mod interval;
mod packet;
mod ptime;
mod reception;
pub mod rtcp;
mod sender;

pub use events::{EventReceiver, KeyPress};
pub use interval::RtcpSchedule;
pub use packet::{HEADER_BYTES, Packet, PacketError};
pub use ptime::Ptime;
pub use reception::Reception;
pub use sender::{Marker, Sender, Start};

/// RTP clock of every payload we send or read: G.711 and its telephone-events.
pub const CLOCK_HZ: u32 = 8_000;

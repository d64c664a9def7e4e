//! SIP (RFC 3261) and SDP (RFC 8866) without I/O: bytes in, typed messages and decisions out.
//!
//! Not here: sockets, clocks, DNS. Nothing in this crate panics on what a peer sends.
//!
//! Start reading at [`admission::admit`], which turns a datagram or one framed message into a request
//! to act on, a response, or the refusal that RFC 3261 wants; then [`message`] for what comes out.
//!
//! - [`method`], [`status`], [`uri`], [`headers`], [`values`], [`name`], [`message`]: the words of a message.
//! - [`parse`], [`write`](mod@write): bytes to message and back.
//! - [`framing`]: messages out of a byte stream.
//! - [`sdp`]: session descriptions, what an offer says, and what a media server answers.
//! - [`agent`]: the user agent, client and server side; it stands on [`transaction`], [`dialog`],
//!   [`invite`] and [`timers`].

pub mod admission;
pub mod agent;
pub mod dialog;
pub mod framing;
pub mod fuzz;
pub mod headers;
pub mod invite;
pub mod message;
pub mod method;
pub mod name;
pub mod params;
pub mod parse;
mod scan;
pub mod sdp;
pub mod status;
pub mod timers;
pub mod transaction;
pub mod uri;
pub mod values;
pub mod write;

pub use headers::Headers;
pub use message::{Message, Request, Response};
pub use method::Method;
pub use params::Params;
pub use status::StatusCode;
pub use uri::{AnyUri, Host, Scheme, Uri};
pub use values::{CSeq, MediaType, NameAddr, RAck, Via};

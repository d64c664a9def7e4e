//! MRCPv2 (RFC 6787): messages, framing, the two synthesizer resources, and a small client side.
//!
//! Pure: bytes and typed inputs come in, orders go out. No socket, clock or file; no SSML either
//! (a body is cut into its MIME parts here and read elsewhere).
//!
//! Where to start:
//! - [`Framer`]: a connection's bytes to [`Message`]s, or a [`Fault`] that says whether the
//!   connection may live on and what to answer.
//! - [`session::RequestIds`]: the rule that request ids rise in one session (RFC 6787 §5.2).
//! - [`synthesizer::Synthesizer`]: one `speechsynth` or `basicsynth` channel.
//! - [`client`]: what a client sends and how it reads what comes back.
//!
//! Whoever drives the machines looks the channel up first (an unknown one is answered 405), checks
//! the request id (410), and only then hands the request to the channel's machine.

pub mod client;
pub mod content;
mod fault;
mod framing;
pub mod fuzz;
mod headers;
mod ids;
mod length;
pub mod lexicon;
mod media_type;
mod message;
mod multipart;
mod ntp;
mod parse;
mod quoted;
pub mod session;
pub mod settings;
mod status;
pub mod synthesizer;
mod words;

pub use fault::{Fault, FaultKind};
pub use framing::{Framed, Framer, Limits, SKIP_BYTES_MAX};
pub use headers::{Header, Headers};
pub use ids::{ChannelId, ChannelIdError, RequestId, RequestIdError};
pub use length::{Jump, SpeakLength, Unit};
pub use media_type::MediaType;
pub use message::{Event, EventName, Message, Method, Request, Response, State};
pub use ntp::NtpTime;
pub use status::Status;

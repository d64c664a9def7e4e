//! Mail programs and the message store: LMTP brings messages into it, IMAP shows them. Shell: sockets and tasks; what the
//! store does may block and runs on threads for that.
//!
//! Start at [`Mailroom`], which says what all connections share. [`lmtp`] is RFC 2033, [`imap_server`] RFC 9051; the grammar
//! of both mail and IMAP is in the crates `email` and `imap`. [`retrieval`] is the other way round: messages for calls, from the store
//! and from the mail servers of others; [`outgoing`] sends them on by e-mail.

mod access;
pub mod agreement;
pub mod fuzz;
pub mod imap_server;
mod link;
pub mod lmtp;
mod mailroom;
pub mod outgoing;
pub mod retrieval;

pub use access::{Access, Refusal, Service, Who};
pub use mailroom::{Limits, Mailroom, Stats};

//! Decides: which call is taken, what is played into it, what is answered. Pure: events come in,
//! [`Effect`]s go out, and `entracte::wiring` carries them out.
//!
//! - [`Server`]: the one machine; owns every [`session`].
//! - [`Event`], [`Effect`]: all that can happen, all that can be ordered.
//! - [`playout`]: a request's body as a [`blueprint::Blueprint`] of steps.
//! - [`position`]: where in it the caller is, and where a jump lands.
//! - [`uri`]: what a URI to play names.
//! - [`capabilities`]: what OPTIONS advertises and INVITE accepts, one value (invariant 8).
//!
//! Start reading at [`Server::handle`].

pub mod blueprint;
pub mod capabilities;
mod channel;
mod door;
mod event;
pub mod negotiation;
pub mod player;
pub mod playout;
pub mod position;
mod server;
pub mod session;
#[cfg(test)]
mod testbed;
#[cfg(test)]
mod tests;
pub mod uri;

pub use event::{Busy, Effect, Event, Failure, Feed, Media, Moment, ProgramId};
pub use server::{Config, Counts, Liveness, Server};

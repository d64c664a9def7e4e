//! Decides: which call is taken, what is played into it, what is answered. Pure: events come in,
//! [`Effect`]s go out, and `entracte::wiring` carries them out.
//!
//! - [`Server`]: the one machine; owns every [`session`], which is one call: its agreement, its
//!   channels (private: a `mrcp` synthesizer each, and what its orders mean here) or the plain SIP
//!   door it came by, and its [`player`].
//! - [`Event`], [`Effect`]: all that can happen, all that can be ordered; [`Feed`]: a feeder's words.
//! - [`negotiation`]: what of an offer is served, or the refusal with its Warning.
//! - [`playout`]: a request's body as a [`blueprint::Blueprint`] of steps.
//! - [`player`]: what a call hears now, what waits, and what is to change in it.
//! - [`position`]: where in it the caller is, and where a jump lands.
//! - [`uri`]: what a URI to play names.
//! - [`Survey`]: what a call holds at one moment, for whoever looks on.
//! - [`capabilities`]: what OPTIONS advertises and INVITE accepts, one value (invariant 8).
//!
//! `testbed` (for tests) runs the whole between two SIP agents in virtual time; `tests` are tables of
//! steps and what they bring about, and every table ends with all counts at zero.
//!
//! Start reading at [`Server::handle`].

pub mod blueprint;
pub mod capabilities;
mod channel;
mod door;
mod event;
mod feature;
pub mod negotiation;
pub mod player;
pub mod playout;
pub mod position;
mod server;
pub mod session;
mod survey;
#[cfg(test)]
mod testbed;
#[cfg(test)]
mod tests;
pub mod uri;

pub use channel::{ASKS_TIMING, TELLS_FIRST_AUDIO, TELLS_PROVIDER, TELLS_VOICE};
pub use event::{Busy, Effect, Event, Failure, Feed, Media, Moment, ProgramId, Spoken};
pub use server::{Config, Counts, Liveness, Server};
pub use survey::{CallStage, ChannelSurvey, Survey};

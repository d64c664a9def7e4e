//! The words that all crates share. Pure: no clock, socket, file, thread or randomness.
//!
//! - [`Now`]: a moment, handed to every machine that must know the time.
//! - [`Tokens`]: unguessable strings (tags, branches, ids) from a seed that a shell drew once.
//! - [`SessionId`], [`ConnectionId`]: which call, which byte stream.
//! - [`Redacted`], [`Secret`]: what a log must not show.

mod ids;
mod now;
mod redacted;
mod tokens;

pub use ids::{ConnectionId, SessionId};
pub use now::Now;
pub use redacted::{Redacted, Secret};
pub use tokens::Tokens;

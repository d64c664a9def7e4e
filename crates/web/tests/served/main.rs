//! Pages and API of a server that is made up, over real sockets.

#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

mod access;
mod answers;
mod made;

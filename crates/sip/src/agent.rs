//! The user agent, client and server side, without I/O: transactions, dialogs and calls.
//!
//! What goes in and what comes out stands in [`Input`], [`Command`], [`Output`] and [`Event`].

mod face;

pub use face::*;

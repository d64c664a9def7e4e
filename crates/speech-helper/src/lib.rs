//! What every speech helper program has in common: it reads requests from standard input and writes
//! sound and points to standard output. `README.md` has the protocol.
//!
//! A helper is a [`Synthesizer`] and one call of [`main`]. One thread reads requests so that a cancel is
//! seen at once; the main thread owns the synthesizer and the output. A slow reader of the output makes
//! it wait, never grow.
//!
//! Not here: the asking side, which is in `crates/speech` and shares no code with this.

mod frames;
mod serve;
mod synthesizer;

pub use serve::main;
pub use synthesizer::{Listener, Point, Speak, Synthesizer, Then, Voice};

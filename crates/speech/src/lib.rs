//! Text to telephone audio: runs of [`ssml`] in, samples with the marks, words and sentences between
//! them out. Shell: it owns processes and pipes; needs a tokio runtime.
//!
//! - [`Speech`]: the pool of helper processes. [`Speech::start`] says at once if there is none to run;
//!   [`Speech::speak`] gives a channel of [`Chunk`]s; dropping the channel's end stops the work.
//! - [`SpeechConfig`], [`SpeechError`], [`SpeechState`]: what it takes, what can go wrong, how it is.
//! - [`VoiceInfo`], [`Choice`]: the voices, and which one a style gets.
//!
//! How a run becomes sound: `render` cuts it into units of a few sentences and writes each as SSML;
//! `pool` gives each unit to a free helper, which `helper` starts, feeds and starts again when it
//! dies; `run` follows one run through its units, and on a helper's death asks for the rest of the
//! unit again from the word it was in; `shape` turns blocks into 8 kHz, trims the silence that is not
//! part of the text and puts the points at their sample. `wire` is the helper's protocol, described
//! in `crates/speech-espeak/README.md`; no code is shared with it.
//!
//! Units keep a long text from holding a helper for as long as it is listened to: a helper is free
//! again as soon as it has made a unit, which takes it milliseconds.

mod helper;
mod pool;
mod render;
mod run;
mod shape;
mod speech;
mod voices;
mod wire;

pub use render::TEXT_CHARS_MAX;
pub use run::RUNS_MAX;
pub use speech::{
    Chunk, HelperState, Speech, SpeechConfig, SpeechError, SpeechState, helper_beside,
};
pub use voices::{Choice, VoiceInfo};

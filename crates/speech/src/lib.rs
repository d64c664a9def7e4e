//! Text to telephone audio: runs of [`ssml`] in, samples with the marks, words and sentences between
//! them out. Shell: it owns processes, pipes and connections; needs a tokio runtime.
//!
//! - [`Speech`]: all providers. [`Speech::start`] says at once what cannot be had; [`Speech::speak`]
//!   gives a channel of [`Chunk`]s; dropping the channel's end stops the work.
//! - [`SpeechConfig`], [`ProviderConfig`], [`Form`]: what it takes: helper processes, services over HTTP,
//!   programs. [`SpeechError`], [`SpeechState`]: what can go wrong, how it is.
//! - [`VoiceInfo`], [`Choice`]: the voices, and which one a style gets.
//!
//! How a run becomes sound: `roster` and `voices` choose who may speak it, the best first; `run` asks
//! the first, and, if that fails, the next for the rest of it; `render` cuts the run into units of a few
//! sentences and writes each as its provider wants it. A `provider` is one of three: `pool` gives a
//! unit to a free helper, which `helper` starts, feeds and starts again when it dies (`wire` is its
//! protocol, described in `crates/speech-helper/README.md`); `http` posts it; `command` runs a program.
//! `replay` keeps what slow helpers
//! made. What gives nothing but sound goes through `aloud`, which keeps it, brings it to its rate and tells
//! where the words probably are. `shape` turns blocks into 8 kHz, trims the silence that is not part
//! of the text and puts the points at their sample.
//!
//! Units keep a long text from holding a helper for as long as it is listened to: a helper is free
//! again as soon as it has made a unit, which takes it milliseconds.

mod aloud;
mod command;
mod helper;
mod http;
mod ipa;
mod pool;
mod provider;
mod render;
mod replay;
mod roster;
mod run;
mod shape;
mod sound;
mod speech;
mod voices;
mod wire;

pub use command::CommandConfig;
pub use http::{HttpConfig, HttpForm};
pub use pool::HELPERS_MAX;
pub use provider::{Form, HelperConfig, ProviderConfig};
pub use render::TEXT_CHARS_MAX;
pub use run::RUNS_MAX;
pub use speech::{
    Chunk, HelperState, PROVIDERS_MAX, ProviderState, Speech, SpeechConfig, SpeechError,
    SpeechState, helper_beside,
};
pub use voices::{Choice, VoiceInfo};

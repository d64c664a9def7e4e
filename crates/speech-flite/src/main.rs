//! A helper process that speaks English with flite; `crates/speech-helper` is the rest of it.
//!
//! `markup.rs` reads the text's letters, `script.rs` cuts them into words and utterances, `flite.rs`
//! speaks one utterance, `sound.rs` makes blocks of it with the points where they belong, `speaker.rs`
//! holds all this together.

mod flite;
mod letters;
mod markup;
mod script;
mod sound;
mod speaker;

use std::process::ExitCode;

fn main() -> ExitCode {
    speech_helper::main("speech-flite", speaker::Speaker::start)
}

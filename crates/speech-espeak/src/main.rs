//! A helper process that speaks with libespeak-ng; `crates/speech-helper` is the rest of it.
//! GPL-3.0-or-later, because it links that library.

mod espeak;
mod ffi;

use std::process::ExitCode;

fn main() -> ExitCode {
    speech_helper::main("speech-espeak", espeak::Espeak::start)
}

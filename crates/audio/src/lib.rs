//! Telephone audio: mono 16-bit samples at [`RATE_HZ`], and how everything else becomes that.
//! Pure: no clock, socket, file, thread or randomness.
//!
//! - [`Law`], [`g711`]: the two codes that calls speak.
//! - [`Gain`], [`Limiter`]: louder, softer, and never past full scale.
//! - [`decode`]: files and streams of many formats to samples; [`resample`]: any rate to ours.
//! - [`telephone`]: both in one, and the place to start for most.
//! - [`stretch`]: faster and slower at the same pitch.
//! - [`gsm`], [`truespeech`], [`voicemail`]: voice messages as files.
//! - [`wav`], [`tone`], [`measure`]: files, test signals, and how loud and how alike things are.
//! - [`live`]: the ring through which one source is heard by many calls.

pub mod decode;
pub mod fuzz;
pub mod g711;
mod gain;
pub mod gsm;
pub mod live;
pub mod measure;
pub mod resample;
pub mod stretch;
pub mod telephone;
pub mod tone;
pub mod truespeech;
pub mod voicemail;
pub mod wav;

pub use g711::Law;
pub use gain::{Gain, Limiter};

/// Samples a second of telephone audio. Everything audible inside is mono `i16` at this rate.
pub const RATE_HZ: u32 = 8_000;

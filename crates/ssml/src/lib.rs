//! SSML 1.0 and 1.1, and plain text, as a list of segments: what is spoken, what is played, how long
//! it is silent, where the marks are. Pure: bytes in, a [`Document`] out; nothing is fetched.
//!
//! Lenient in, exact out: unknown elements are spoken, bad attributes are skipped and told in
//! [`Document::notes`]; only what is not well-formed XML, or past a limit, is an [`SsmlError`].
//!
//! - [`parse`]: a document's bytes, in any declared encoding, under the session's [`Defaults`].
//! - [`text`], [`plain`]: a body without markup: its bytes, its words.
//! - [`Document`], [`Segment`], [`Run`], [`Style`]: the result. Its `Display` and `Debug` never show
//!   the words, so it may be logged.
//! - [`values`]: `rate`, `volume`, `pitch` and times as text, for headers that carry the same values.
//! - [`lexicon`]: pronunciation lexicons (PLS 1.0), and a [`Run`] said as they want it.
//! - [`resolve`]: a relative URI against its base (RFC 3986 §5.2).
//!
//! Start reading at [`Document`], then `read`.

mod decode;
mod document;
pub mod fuzz;
pub mod lexicon;
mod read;
mod sayas;
mod show;
mod uri;
pub mod values;

pub use decode::text;
pub use document::{
    Audio, Defaults, Document, Emphasis, Gender, Note, Pitch, Run, RunPiece, Segment, SsmlError,
    Style, Voice, plain,
};
pub use read::{BYTES_MAX, DEPTH_MAX, NOTES_MAX, PIECES_MAX, parse};
pub use uri::resolve;

//! E-mail messages as MIME has them (RFC 2045, 2046, 5322). Pure: bytes in, places and values out.
//!
//! Start at [`Part::scan`], which finds where each part of a message is, however deep, without decoding anything. Then
//! [`Header`] says what a header has, [`Decoder`] undoes a transfer encoding, and [`compose`] writes.
//!
//! The tree is found by our own scan, with bounds on depth and number: those who write messages choose both. What is
//! inside header fields is left to `mail-parser`.

pub mod compose;
mod encoding;
pub mod fuzz;
mod header;
mod part;
mod sort;

pub use encoding::{Decoder, Encoding, decode, decoded_length};
pub use header::{Date, Field, Header, Mailbox, Recipient, plain_text};
pub use part::{Body, DEPTH_MAX, HEADER_BYTES_MAX, PARTS_MAX, Parameter, Part};
pub use sort::{Voice, audio, text, voice};

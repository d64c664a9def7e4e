//! IMAP4 (RFC 9051, and RFC 3501 for those who know no more): the grammar of both sides. Pure: bytes in, values out, and back.
//!
//! - A server cuts what a client sends into commands with [`CommandFramer`] and reads each with [`Command::parse`].
//! - A client cuts what a server sends with [`ResponseFramer`] and reads each with [`Response::parse`].
//! - [`structure`] writes a message's ENVELOPE and BODYSTRUCTURE, and reads the latter.
//! - [`Url`] is RFC 5092, with the authorization of RFC 4467.
//!
//! What a command does is not decided here.

mod command;
mod fetch;
mod framing;
pub mod fuzz;
mod lexer;
mod name;
mod response;
mod search;
mod sequence;
pub mod structure;
mod url;
pub mod write;

pub use command::{
    Append, BadCommand, Command, ListOptions, Mode, Numbering, StatusItem, Store, StoreAction,
    UrlFetch,
};
pub use fetch::{Attribute, Fetch, Section, SectionPart};
pub use framing::{
    COMMAND_BYTES_MAX, CommandFrame, CommandFramer, LineTooLong, ResponseFrame, ResponseFramer,
};
pub use lexer::is_tag;
pub use name::modified_utf7;
pub use response::{Response, Status, Value};
pub use search::{KEYS_MAX, Key, ResultOption, Search};
pub use sequence::{RANGES_MAX, SequenceSet};
pub use url::{Access, Url, UrlAuth, UrlError};

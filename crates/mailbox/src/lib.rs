//! Voice mail and fax.

mod address;
mod catalog;
mod envelope;
mod moment;
mod name;

pub use address::{Address, AddressError, LEAF_BYTES_MAX, NAME_CHARS_MAX, Unique, friendly_name};
pub use catalog::{Counts, Row, Tally};
pub use envelope::*;
pub use moment::Moment;
pub use name::{FOLDERS, Folder, KINDS, Kind, Marks, MessageId, Name};

//! Voice mail and fax: mailboxes below one root, which several processes on several hosts may use at once.
//! Shell: most calls read or write a disk and may block.
//!
//! Start at [`MessageStore`]. Below it, the decisions are apart from the disk:
//! - [`Unique`], [`Address`]: whose mailbox, and in which folder that is.
//! - [`Name`]: the name of a message's file, which has all of it that changes; [`Envelope`]: all that does not.
//! - `catalog`: what a mailbox holds, as a list of records that can be read again.
//! - `opened`: a mailbox whose catalog this process knows; who owns it, and how that is found out.
//! - `draft`: the files of a new message, written so that they survive a power cut.
//! - `node`: the processes that use the root, and which of them are alive.
//! - `spool`: what waits on this machine while the root cannot be reached.
//!
//! The truth is in the files' names; the catalog repeats it and can be made anew from them. See
//! `docs/message-store.md`.

mod address;
mod catalog;
mod draft;
mod envelope;
mod error;
mod host;
mod incoming;
mod mail;
mod message_store;
mod moment;
mod name;
mod node;
mod opened;
mod sound;
mod spool;
#[cfg(test)]
mod testbed;
#[cfg(test)]
mod tests;
mod ticker;
mod users;

pub use address::{Address, AddressError, LEAF_BYTES_MAX, NAME_CHARS_MAX, Unique, friendly_name};
pub use audio::voicemail::Compression;
pub use catalog::{Counts, Row, Tally};
pub use draft::{Content, Draft, NewAttachment};
pub use envelope::{
    ATTACHMENT_BYTES_MAX, ATTACHMENTS_MAX, Attachment, BODY_BYTES_MAX, ENVELOPE_BYTES_MAX,
    Envelope, EnvelopeError, FIELD_BYTES_MAX, IMAP_BYTES_MAX, Importance, MailPart, NAMESPACE,
    PARTS_MAX, PEAKS_MAX, Sender, Sensitivity, hex,
};
pub use error::MailError;
pub use host::{Host, Identity, SystemHost};
pub use mail::{DOMAIN, Mail};
pub use message_store::{
    AgreeWith, Checked, Cursor, Damage, EmailAfter, EmailRule, EmailSend, Exported, GUARD,
    MailChange, MailEvent, Mailbox, MessageStore, Moved, NewUser, NodeState, Options, PAGE_MAX,
    Page, PendingMessage, Place, Purged, Query, Reads, Receipt, Repair, Stats, Swept, UserOutcome,
    View, is_email_address,
};
pub use moment::Moment;
pub use name::{FOLDERS, Folder, KINDS, Kind, Marks, MessageId, Name};
pub use node::LEASE;
pub use store::Reading;

pub use sound::{CompressionRule, HEARD_SECONDS_MAX, compressed, heard, peaks};
pub use ticker::{Sweeps, Ticker};
pub use users::{USERS_BYTES_MAX, UserFault};

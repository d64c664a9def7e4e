use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::address::AddressError;
use crate::name::MessageId;

/// Why something could not be done with the store.
#[derive(Debug)]
#[non_exhaustive]
pub enum MailError {
    /// The text is no address.
    Address(AddressError),
    /// There is no mailbox with this unique string.
    NoSuchMailbox(String),
    /// The file that says whose mailbox it is cannot be used: the unique string, and why.
    Damaged(String, String),
    /// A later version made the mailbox with this unique string.
    LaterMailbox(String),
    /// The mailbox was deleted; its data are still there.
    Deleted(String),
    /// The mailbox was not deleted, so its data are not taken away.
    NotDeleted(String),
    /// There is a mailbox with this unique string already.
    Exists(String),
    /// There is no such message, or no more.
    NoSuchMessage(MessageId),
    /// The message has no such attachment.
    NoSuchAttachment(usize),
    /// The message is damaged and was put aside; why.
    Broken(MessageId, String),
    /// A later version wrote the message.
    Later(MessageId),
    /// The mailbox has no room; the quota that was reached.
    Full(&'static str),
    /// More than a message can have; the limit.
    Limit(&'static str),
    /// What was asked for is none that there is; what it should be.
    Invalid(&'static str),
    /// What was given as audio cannot be decoded; why.
    Undecodable(String),
    /// The sender wants nobody to have it but the user.
    Private,
    /// Another node has the mailbox and does not let it go.
    Busy(String),
    /// The root cannot be reached, or not be written to.
    Away(io::Error),
    /// A folder that something is to go to cannot be used; why.
    Target(String),
    /// A file of this machine that is not the store's cannot be read or written.
    Here(PathBuf, io::Error),
    /// There is no message store in this folder, or another one than before.
    NoStore(String),
}

impl fmt::Display for MailError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(_) => f.write_str("not an address"),
            Self::NoSuchMailbox(unique) => write!(f, "there is no mailbox {unique}"),
            Self::Damaged(unique, why) => write!(
                f,
                "the mailbox {unique} is damaged: {why}; `entracte mailbox repair {unique}` mends it"
            ),
            Self::LaterMailbox(unique) => write!(f, "a later version made the mailbox {unique}"),
            Self::Deleted(unique) => write!(f, "the mailbox {unique} was deleted"),
            Self::NotDeleted(unique) => {
                write!(f, "the mailbox {unique} was not deleted: delete it first")
            }
            Self::Exists(unique) => write!(f, "there is a mailbox {unique} already"),
            Self::NoSuchMessage(id) => write!(f, "there is no message {id}"),
            Self::NoSuchAttachment(number) => write!(f, "the message has no attachment {number}"),
            Self::Broken(id, why) => write!(f, "message {id} is damaged: {why}"),
            Self::Later(id) => write!(f, "a later version wrote message {id}"),
            Self::Full(quota) => write!(f, "the mailbox is full: {quota}"),
            Self::Limit(which) => write!(f, "limit reached: {which}"),
            Self::Invalid(wanted) => f.write_str(wanted),
            Self::Undecodable(why) => write!(f, "the audio cannot be decoded: {why}"),
            Self::Private => f.write_str("the message is private: it is not forwarded"),
            Self::Busy(node) => write!(f, "{node} has the mailbox and does not let it go"),
            Self::Here(path, _) => write!(f, "{}", path.display()),
            Self::Away(_) => f.write_str("the message store cannot be reached"),
            Self::NoStore(why) | Self::Target(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for MailError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Address(error) => Some(error),
            Self::Away(error) | Self::Here(_, error) => Some(error),
            Self::NoSuchMailbox(_)
            | Self::Damaged(..)
            | Self::LaterMailbox(_)
            | Self::Later(_)
            | Self::Deleted(_)
            | Self::Exists(_)
            | Self::NotDeleted(_)
            | Self::NoSuchMessage(_)
            | Self::NoSuchAttachment(_)
            | Self::Broken(..)
            | Self::Full(_)
            | Self::Limit(_)
            | Self::Invalid(_)
            | Self::Private
            | Self::Undecodable(_)
            | Self::Busy(_)
            | Self::Target(_)
            | Self::NoStore(_) => None,
        }
    }
}

impl From<AddressError> for MailError {
    fn from(error: AddressError) -> Self {
        Self::Address(error)
    }
}

impl From<io::Error> for MailError {
    fn from(error: io::Error) -> Self {
        Self::Away(error)
    }
}

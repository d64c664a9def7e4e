//! Messages listed and read.

use std::io::{Read as _, SeekFrom};

use super::*;
use crate::catalog::Catalog;
use crate::draft::{Content, NewAttachment};
use crate::mail::{Mail, row_envelope};

/// Most messages of a page.
pub const PAGE_MAX: usize = 1_000;
/// Attachments up to this size are compared with their digest before a byte of them is given out.
const VERIFIED_BYTES_MAX: u64 = 16 << 20;

/// Where a list goes on. It stays right while messages come and go.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Cursor {
    at: u64,
    id: MessageId,
}

impl Cursor {
    /// Reads a cursor as it was printed.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (at, id) = text.split_once('-')?;
        Some(Self { at: at.parse().ok()?, id: MessageId::parse(id)? })
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.at, self.id)
    }
}

/// Which messages are listed; the youngest first.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// Only of this folder.
    pub folder: Option<Folder>,
    /// Only those not heard or read.
    pub unread: bool,
    /// Only those that have this text in caller, number or subject, in any case.
    pub search: String,
    /// Only those older than where this stands.
    pub after: Option<Cursor>,
    /// At most so many, up to [`PAGE_MAX`]; 0 is 50.
    pub limit: usize,
}

/// A part of a list.
#[derive(Clone, Debug)]
pub struct Page {
    /// The messages.
    pub rows: Vec<Row>,
    /// Where it goes on, if it does.
    pub next: Option<Cursor>,
    /// What the mailbox holds, all together.
    pub counts: Counts,
    /// What the UIDs of the mailbox are valid with, and the number of its last change.
    pub sequence: u64,
    /// What the numbers of messages are valid with, RFC 9051 §2.3.1.1.
    pub uid_validity: u32,
}

/// All of a mailbox at one moment.
#[derive(Debug)]
pub struct View<'a> {
    catalog: &'a Catalog,
    unique: &'a Unique,
}

impl View<'_> {
    /// The messages, the oldest first.
    pub fn rows(&self) -> impl DoubleEndedIterator<Item = &Row> {
        self.catalog.rows()
    }

    /// One message.
    #[must_use]
    pub fn row(&self, id: MessageId) -> Option<&Row> {
        self.catalog.row(id)
    }

    /// What it holds.
    #[must_use]
    pub const fn counts(&self) -> &Counts {
        self.catalog.counts()
    }

    /// The number of its last change.
    #[must_use]
    pub const fn sequence(&self) -> u64 {
        self.catalog.head.sequence
    }

    /// What the numbers of messages are valid with, RFC 9051 §2.3.1.1.
    #[must_use]
    pub const fn uid_validity(&self) -> u32 {
        self.catalog.head.uid_validity
    }

    /// The number that the next message gets.
    #[must_use]
    pub const fn uid_next(&self) -> u32 {
        self.catalog.head.uid_next
    }

    /// Appends the ENVELOPE of a message (RFC 9051 §7.5.2); false when it is to be asked of [`MessageStore::mail`].
    pub fn envelope(&self, row: &Row, out: &mut Vec<u8>) -> bool {
        if row.is_mail {
            out.extend_from_slice(row.envelope.as_bytes());
            return !row.envelope.is_empty();
        }
        row_envelope(row, self.unique.as_str(), out);
        true
    }
}

impl Query {
    fn wants(&self, row: &Row) -> bool {
        let has = |text: &str| text.to_lowercase().contains(&self.search);
        self.folder.is_none_or(|folder| folder == row.folder)
            && !(self.unread && row.marks.read)
            && (self.search.is_empty()
                || has(&row.from)
                || has(&row.number)
                || has(&row.subject)
                || has(&row.called))
    }
}

impl MessageStore {
    /// Looks at a mailbox as it is now, without needing to own it.
    pub(super) fn looked<T>(
        &self,
        unique: &Unique,
        look: impl Fn(&Opened) -> T,
    ) -> Result<T, MailError> {
        let done = self.waiting(unique, |opened, around, seen| {
            opened.follow(around, seen)?;
            Ok(look(opened))
        });
        match done {
            Err(MailError::Away(error)) if error.kind() == io::ErrorKind::NotFound => {
                // Perhaps there is no such mailbox; that is a better answer.
                self.mailbox_file(unique)?;
                Err(MailError::Away(error))
            }
            done => done,
        }
    }

    /// Lists messages.
    ///
    /// # Errors
    /// There is no such mailbox, or it cannot be reached.
    pub fn list(&self, unique: &Unique, query: &Query) -> Result<Page, MailError> {
        let limit = match query.limit {
            0 => 50,
            limit => limit.min(PAGE_MAX),
        };
        self.usable(unique)?;
        let query = Query { search: query.search.to_lowercase(), ..query.clone() };
        self.looked(unique, |opened| {
            let catalog = opened.catalog();
            let after = query.after.map(|cursor| (cursor.at, cursor.id));
            let mut found = catalog.before(after).filter(|row| query.wants(row));
            let rows: Vec<Row> = found.by_ref().take(limit).cloned().collect();
            let more = found.next().is_some();
            let last = rows.last().filter(|_| more);
            Page {
                next: last.map(|row| Cursor { at: row.at, id: row.id }),
                rows,
                counts: *catalog.counts(),
                sequence: catalog.head.sequence,
                uid_validity: catalog.head.uid_validity,
            }
        })
    }

    /// Looks at all of a mailbox at one moment: nothing changes in it meanwhile, so it should be short.
    ///
    /// # Errors
    /// As [`Self::list`].
    pub fn view<T>(&self, unique: &Unique, view: impl Fn(&View<'_>) -> T) -> Result<T, MailError> {
        self.usable(unique)?;
        self.looked(unique, |opened| view(&View { catalog: opened.catalog(), unique }))
    }

    /// The number of the mailbox's last change.
    ///
    /// # Errors
    /// As [`Self::list`].
    pub fn sequence(&self, unique: &Unique) -> Result<(u32, u64), MailError> {
        self.looked(unique, |opened| {
            let head = &opened.catalog().head;
            (head.uid_validity, head.sequence)
        })
    }

    /// A message as e-mail.
    ///
    /// # Errors
    /// As [`Self::message`], and as [`Self::attachment`] for one that came as e-mail.
    pub fn mail(&self, unique: &Unique, id: MessageId) -> Result<Mail, MailError> {
        let (row, envelope) = self.message(unique, id)?;
        if !envelope.is_mail {
            let open = |number| Ok(self.file(unique, &row, &envelope, number)?.1);
            return Mail::written(&envelope, open);
        }
        let (_, mut file) = self.file(unique, &row, &envelope, 0)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(Mail::came(bytes))
    }

    /// What a mailbox holds.
    ///
    /// # Errors
    /// As [`Self::list`].
    pub fn counts(&self, unique: &Unique) -> Result<Counts, MailError> {
        self.looked(unique, |opened| *opened.catalog().counts())
    }

    /// Messages that wait on this machine to be delivered to a mailbox.
    pub(super) fn spooled(&self, unique: &Unique) -> u64 {
        let Some(spool) = &self.spool else { return 0 };
        let theirs = spool.waiting().iter().filter(|one| one.to.unique == *unique).count();
        u64::try_from(theirs).unwrap_or(u64::MAX)
    }

    /// A message with all that is known of it. One that is damaged is put aside.
    ///
    /// # Errors
    /// There is none, or it is damaged; otherwise as [`Self::list`].
    pub fn message(&self, unique: &Unique, id: MessageId) -> Result<(Row, Envelope), MailError> {
        self.usable(unique)?;
        self.read_message(unique, id)
    }

    /// As [`Self::message`], of a mailbox that may be deleted.
    pub(super) fn read_message(
        &self,
        unique: &Unique,
        id: MessageId,
    ) -> Result<(Row, Envelope), MailError> {
        // Its file may get another name while we look.
        for _ in 0..3 {
            let row = self.looked(unique, |opened| opened.catalog().row(id).cloned())?;
            let Some(row) = row else { return Err(MailError::NoSuchMessage(id)) };
            let found = self.opened(unique);
            let found = lock(&found.opened).envelope(&*self.disk, &row.name());
            match found {
                Ok(envelope) => return Ok((row, envelope)),
                Err(Broken::Disk(error)) if error.kind() == io::ErrorKind::NotFound => {
                    self.waiting(unique, |opened, around, seen| {
                        opened.own(around, seen)?;
                        opened.catch_up(around, seen)
                    })?;
                }
                Err(Broken::Disk(error)) => return Err(error.into()),
                Err(Broken::Later) => return Err(MailError::Later(id)),
                Err(Broken::Message(why)) => return self.put_aside(unique, &row, why),
            }
        }
        Err(MailError::NoSuchMessage(id))
    }

    /// Puts a damaged message into quarantine, so that it is in nobody's way.
    fn put_aside<T>(&self, unique: &Unique, row: &Row, why: String) -> Result<T, MailError> {
        self.waiting(unique, |opened, around, seen| {
            opened.own(around, seen)?;
            if opened.catalog().row(row.id).is_some() {
                opened.quarantine(around.disk, &row.name(), &why)?;
                seen.push(Seen::Broken(row.name(), why.clone()));
                opened.catch_up(around, seen)?;
            }
            Ok(())
        })?;
        Err(MailError::Broken(row.id, why))
    }

    /// The bytes of an attachment, by its place in [`Envelope::contents`], from 0. Up to 16 MiB they are compared with their
    /// digest first; a message that fails is put aside. Of larger ones the size is.
    ///
    /// # Errors
    /// There is none, or it is damaged; otherwise as [`Self::list`].
    pub fn attachment(
        &self,
        unique: &Unique,
        id: MessageId,
        number: usize,
    ) -> Result<(crate::Attachment, Box<dyn Reading>), MailError> {
        let (row, envelope) = self.message(unique, id)?;
        if !envelope.is_mail {
            return self.file(unique, &row, &envelope, number);
        }
        let found = envelope.parts.get(number).map(|part| (part, part.as_attachment()));
        let Some((part, attachment)) = found else {
            return Err(MailError::NoSuchAttachment(number));
        };
        let (_, mut file) = self.file(unique, &row, &envelope, 0)?;
        file.seek(SeekFrom::Start(part.from))?;
        let mut body = Vec::new();
        file.take(part.length).read_to_end(&mut body)?;
        let bytes = email::decode(part.encoding, &body);
        let attachment = crate::Attachment { bytes: bytes.len() as u64, ..attachment };
        Ok((attachment, Box::new(io::Cursor::new(bytes))))
    }

    /// A file of a message.
    fn file(
        &self,
        unique: &Unique,
        row: &Row,
        envelope: &Envelope,
        number: usize,
    ) -> Result<(crate::Attachment, Box<dyn Reading>), MailError> {
        let Some(attachment) = envelope.attachments.get(number).cloned() else {
            return Err(MailError::NoSuchAttachment(number));
        };
        let file = row.name().attachment(number, attachment.extension);
        let path = self.folder(unique).join(MESSAGES).join(&file);
        if attachment.bytes > VERIFIED_BYTES_MAX {
            return Ok((attachment, self.disk.open(&path)?));
        }
        let bytes = read_all(&*self.disk, &path, VERIFIED_BYTES_MAX)?;
        let digest = ring::digest::digest(&ring::digest::SHA256, &bytes);
        if digest.as_ref() == attachment.sha256 {
            Ok((attachment, Box::new(io::Cursor::new(bytes))))
        } else {
            self.put_aside(unique, row, format!("{file} is not what was delivered"))
        }
    }

    /// A draft that passes a message on: its text and files, with where it came from.
    ///
    /// # Errors
    /// The message is private; otherwise as [`Self::message`].
    pub fn forwarded(&self, unique: &Unique, id: MessageId) -> Result<Draft, MailError> {
        let (row, envelope) = self.message(unique, id)?;
        if envelope.sensitivity == Sensitivity::Private {
            return Err(MailError::Private);
        }
        let folder = self.folder(unique).join(MESSAGES);
        let thread = envelope.thread.or(Some(id));
        let draft = if envelope.is_mail {
            self.unpacked(unique, &row, envelope)?
        } else {
            Draft::again(&row.name(), envelope, &self.disk, &folder)
        };
        Ok(Draft {
            expires: None,
            reply_to: None,
            forward_of: Some(id),
            received: None,
            thread,
            folder: Folder::Inbox,
            marks: Marks::default(),
            ..draft
        })
    }

    /// A draft of a message that came as e-mail, with what is in it as files of its own.
    fn unpacked(&self, unique: &Unique, row: &Row, envelope: Envelope) -> Result<Draft, MailError> {
        let attachment = |number| {
            let (about, mut file) = self.attachment(unique, row.id, number)?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok(NewAttachment {
                media_type: about.media_type,
                codec: about.codec,
                duration_ms: about.duration_ms,
                title: about.title,
                peaks: about.peaks,
                content: Content::Bytes(bytes.into()),
            })
        };
        let attachments =
            (0..envelope.parts.len()).map(attachment).collect::<Result<_, MailError>>()?;
        let folder = self.folder(unique).join(MESSAGES);
        let again = Draft::again(&row.name(), envelope, &self.disk, &folder);
        Ok(Draft {
            attachments,
            is_mail: false,
            parts: Vec::new(),
            imap_envelope: String::new(),
            ..again
        })
    }

    /// A draft of the same message again, as a copy in another folder has it.
    ///
    /// # Errors
    /// As [`Self::message`].
    pub fn copied(
        &self,
        unique: &Unique,
        id: MessageId,
        folder: Folder,
    ) -> Result<Draft, MailError> {
        let (row, envelope) = self.message(unique, id)?;
        let messages = self.folder(unique).join(MESSAGES);
        Ok(Draft { folder, ..Draft::again(&row.name(), envelope, &self.disk, &messages) })
    }
}

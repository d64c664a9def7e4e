use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ring::digest::{Context, SHA256};
use store::{Disk, Writing};

use crate::address::Address;
use crate::envelope::{
    ATTACHMENT_BYTES_MAX, ATTACHMENTS_MAX, Attachment, BODY_BYTES_MAX, Envelope, FIELD_BYTES_MAX,
    IMAP_BYTES_MAX, Importance, MailPart, PARTS_MAX, PEAKS_MAX, Sender, Sensitivity, xml_text,
};
use crate::moment::Moment;
use crate::name::{Extension, Folder, Kind, Marks, MessageId, Name};

/// Bytes that are copied at once.
const COPIED_BYTES: usize = 256 << 10;
/// The type of what nobody knows the type of, RFC 2046 §4.5.1.
const UNKNOWN_TYPE: &str = "application/octet-stream";

/// Where the bytes of a new attachment are.
#[derive(Clone, Debug)]
pub enum Content {
    /// Here.
    Bytes(Arc<[u8]>),
    /// In a file of this machine.
    File(PathBuf),
    /// In a file of such a disk.
    Elsewhere(Arc<dyn Disk>, PathBuf),
}

/// A file that is to go with a message.
#[derive(Clone, Debug)]
pub struct NewAttachment {
    /// What it is: `audio/x-wav`.
    pub media_type: String,
    /// How the audio is coded: `gsm`, `opus`; empty when it is none.
    pub codec: String,
    /// How long the audio is.
    pub duration_ms: Option<u64>,
    /// The name it had where it comes from.
    pub title: String,
    /// See [`Attachment::peaks`].
    pub peaks: Vec<u8>,
    /// Its bytes, at most [`ATTACHMENT_BYTES_MAX`].
    pub content: Content,
}

/// A message that is to be delivered. Texts are cut to what an envelope holds ([`FIELD_BYTES_MAX`]); characters that
/// XML has no form for are replaced.
#[derive(Clone, Debug)]
pub struct Draft {
    /// What it is.
    pub kind: Kind,
    /// See [`Envelope::from`].
    pub from: Sender,
    /// See [`Envelope::called`].
    pub called: String,
    /// See [`Envelope::subject`].
    pub subject: String,
    /// See [`Envelope::importance`].
    pub importance: Importance,
    /// See [`Envelope::sensitivity`].
    pub sensitivity: Sensitivity,
    /// See [`Envelope::expires`].
    pub expires: Option<Moment>,
    /// See [`Envelope::duration_ms`].
    pub duration_ms: Option<u64>,
    /// See [`Envelope::pages`].
    pub pages: Option<u32>,
    /// See [`Envelope::stopped`].
    pub stopped: String,
    /// See [`Envelope::reply_to`].
    pub reply_to: Option<MessageId>,
    /// See [`Envelope::forward_of`].
    pub forward_of: Option<MessageId>,
    /// See [`Envelope::thread`].
    pub thread: Option<MessageId>,
    /// The text, at most [`BODY_BYTES_MAX`].
    pub body: String,
    /// The files, at most [`ATTACHMENTS_MAX`].
    pub attachments: Vec<NewAttachment>,
    /// See [`Envelope::is_mail`].
    pub is_mail: bool,
    /// See [`Envelope::parts`]; at most [`PARTS_MAX`] are kept.
    pub parts: Vec<MailPart>,
    /// See [`Envelope::imap_envelope`].
    pub imap_envelope: String,
    /// When it was received, if that was before now.
    pub received: Option<Moment>,
    /// Where it begins.
    pub folder: Folder,
    /// With which marks.
    pub marks: Marks,
}

impl Draft {
    /// An empty message.
    #[must_use]
    pub const fn new(kind: Kind) -> Self {
        Self {
            kind,
            from: Sender { name: String::new(), number: String::new(), address: String::new() },
            called: String::new(),
            subject: String::new(),
            importance: Importance::Normal,
            sensitivity: Sensitivity::None,
            expires: None,
            duration_ms: None,
            pages: None,
            stopped: String::new(),
            reply_to: None,
            forward_of: None,
            thread: None,
            body: String::new(),
            attachments: Vec::new(),
            is_mail: false,
            parts: Vec::new(),
            imap_envelope: String::new(),
            received: None,
            folder: Folder::Inbox,
            marks: Marks {
                read: false,
                answered: false,
                flagged: false,
                forwarded: false,
                expunging: false,
            },
        }
    }

    /// What of it is more than a message can have; the text names it.
    ///
    /// # Errors
    /// The name of the limit.
    pub fn check(&self) -> Result<(), &'static str> {
        // A character that is replaced may grow.
        if self.body.len() > BODY_BYTES_MAX || xml_text(&self.body).len() > BODY_BYTES_MAX {
            return Err("bytes of a message's text");
        }
        if self.attachments.len() > ATTACHMENTS_MAX {
            return Err("attachments of a message");
        }
        let too_large = |attachment: &NewAttachment| match &attachment.content {
            Content::Bytes(bytes) => bytes.len() as u64 > ATTACHMENT_BYTES_MAX,
            Content::File(path) => {
                path.metadata().is_ok_and(|about| about.len() > ATTACHMENT_BYTES_MAX)
            }
            // It was checked when it came there.
            Content::Elsewhere(..) => false,
        };
        if self.attachments.iter().any(too_large) {
            return Err("bytes of an attachment");
        }
        Ok(())
    }

    /// What of its texts would be cut: a person who writes it shall know.
    ///
    /// # Errors
    /// The name of the limit.
    pub fn check_texts(&self) -> Result<(), &'static str> {
        let texts = [&self.subject, &self.called, &self.from.name, &self.from.number];
        if texts.into_iter().any(|text| field(text) != xml_text(text)) {
            return Err("1024 bytes of a subject, a name or a number");
        }
        Ok(())
    }

    /// Bytes of its attachments and its text, as far as they are known before.
    pub(crate) fn bytes(&self) -> u64 {
        let bytes = |attachment: &NewAttachment| match &attachment.content {
            Content::Bytes(bytes) => bytes.len() as u64,
            Content::File(path) => path.metadata().map_or(0, |about| about.len()),
            Content::Elsewhere(disk, path) => disk.about(path).map_or(0, |about| about.bytes),
        };
        self.attachments.iter().map(bytes).sum::<u64>() + self.body.len() as u64
    }

    /// A message that is there, to be delivered again: its envelope, and its files in `folder` of `disk`.
    pub(crate) fn again(
        name: &Name,
        envelope: Envelope,
        disk: &Arc<dyn Disk>,
        folder: &Path,
    ) -> Self {
        let attachment = |(number, from): (usize, Attachment)| NewAttachment {
            content: Content::Elsewhere(
                Arc::clone(disk),
                folder.join(name.attachment(number, from.extension)),
            ),
            media_type: from.media_type,
            codec: from.codec,
            duration_ms: from.duration_ms,
            title: from.title,
            peaks: from.peaks,
        };
        Self {
            kind: envelope.kind,
            from: envelope.from,
            called: envelope.called,
            subject: envelope.subject,
            importance: envelope.importance,
            sensitivity: envelope.sensitivity,
            expires: envelope.expires,
            duration_ms: envelope.duration_ms,
            pages: envelope.pages,
            stopped: envelope.stopped,
            reply_to: envelope.reply_to,
            forward_of: envelope.forward_of,
            thread: envelope.thread,
            body: envelope.body,
            attachments: envelope.attachments.into_iter().enumerate().map(attachment).collect(),
            is_mail: envelope.is_mail,
            parts: envelope.parts,
            imap_envelope: envelope.imap_envelope,
            received: Some(name.at),
            folder: name.folder,
            marks: name.marks,
        }
    }

    fn envelope(&self, name: &Name, to: &Address, attachments: Vec<Attachment>) -> Envelope {
        Envelope {
            id: name.id,
            kind: name.kind,
            at: name.at,
            to: to.clone(),
            from: Sender {
                name: field(&self.from.name),
                number: field(&self.from.number),
                address: field(&self.from.address),
            },
            called: field(&self.called),
            subject: field(&self.subject),
            importance: self.importance,
            sensitivity: self.sensitivity,
            expires: self.expires,
            duration_ms: self.duration_ms,
            pages: self.pages,
            stopped: field(&self.stopped),
            reply_to: self.reply_to,
            forward_of: self.forward_of,
            thread: self.thread,
            body: xml_text(&self.body),
            is_mail: self.is_mail && !attachments.is_empty(),
            attachments,
            parts: self.parts.iter().take(PARTS_MAX).map(part).collect(),
            imap_envelope: Some(&self.imap_envelope)
                // Its literals have lengths: what XML has no form for cannot be replaced.
                .filter(|text| text.len() <= IMAP_BYTES_MAX && xml_text(text) == **text)
                .cloned()
                .unwrap_or_default(),
        }
    }
}

fn part(part: &MailPart) -> MailPart {
    MailPart { media_type: field(&part.media_type), title: field(&part.title), ..part.clone() }
}

/// A text as an envelope holds it.
fn field(text: &str) -> String {
    let mut text = xml_text(text);
    let mut end = text.len().min(FIELD_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}

/// Writes a message's files into a folder, attachments first. When it returns, the message is there and
/// survives a power cut. Two syncs of files and one of the folder, for a message with one attachment.
///
/// What a draft that failed has left there has no envelope, so nobody sees it.
///
/// # Errors
/// `InvalidInput` when it cannot be written so that it is read again, `FileTooLarge` past [`ATTACHMENT_BYTES_MAX`], and
/// whatever the disk says.
pub(crate) fn commit(
    disk: &dyn Disk,
    folder: &Path,
    name: &Name,
    draft: &Draft,
    to: &Address,
) -> io::Result<Envelope> {
    let part = folder.join(format!("{}.part", name.base()));
    let path = folder.join(name.to_string());
    let mut made = Vec::new();
    let written = (|| {
        let mut files = Vec::with_capacity(draft.attachments.len() + 1);
        let mut attachments = Vec::with_capacity(draft.attachments.len());
        for (number, new) in draft.attachments.iter().enumerate() {
            let extension = extension(&new.media_type, &new.title);
            let target = folder.join(name.attachment(number, extension));
            let mut file = create_anew(disk, &target)?;
            made.push(target);
            let (bytes, sha256) = copy(&new.content, &mut *file)?;
            files.push(file);
            attachments.push(Attachment {
                media_type: Some(field(&new.media_type))
                    .filter(|known| !known.is_empty())
                    .unwrap_or_else(|| UNKNOWN_TYPE.to_owned()),
                codec: field(&new.codec),
                duration_ms: new.duration_ms,
                bytes,
                sha256,
                title: field(&new.title),
                peaks: new.peaks.iter().copied().take(PEAKS_MAX).collect(),
                extension,
            });
        }
        let envelope = draft.envelope(name, to, attachments);
        let xml = envelope.to_xml();
        // What nobody could read again must not be acknowledged.
        match Envelope::parse(xml.as_bytes()) {
            Ok(read) if read == envelope => {}
            Ok(_) => return Err(unreadable("it would be read as another")),
            Err(error) => return Err(unreadable(error)),
        }
        let mut file = create_anew(disk, &part)?;
        made.push(part.clone());
        file.write_all(xml.as_bytes())?;
        files.push(file);
        files.iter_mut().try_for_each(|file| file.sync())?;
        drop(files);
        disk.publish(&part, &path)?;
        Ok(envelope)
    })();
    let envelope = match written {
        // From here it may be there, or not, after a power cut; only the sync knows.
        Ok(envelope) => envelope,
        Err(error) => {
            // A share may have done what it says it did not: then these files are a message's.
            if matches!(disk.about(&path), Err(error) if error.kind() == io::ErrorKind::NotFound) {
                for made in made {
                    // What cannot be removed is found by a later check.
                    let _ = disk.remove(&made);
                }
            }
            return Err(error);
        }
    };
    disk.sync_folder(folder)?;
    // Somebody who took them for leftovers may have been at them before the envelope was there.
    for (number, attachment) in envelope.attachments.iter().enumerate() {
        let file = name.attachment(number, attachment.extension);
        if disk.about(&folder.join(&file))?.bytes != attachment.bytes {
            return Err(io::Error::other(format!("{file} was changed while it was delivered")));
        }
    }
    Ok(envelope)
}

fn unreadable(why: impl std::fmt::Display) -> io::Error {
    let text = format!("the message could not be read again: {why}");
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

/// A new file in place of what an earlier attempt has left, if one has.
fn create_anew(disk: &dyn Disk, path: &Path) -> io::Result<Box<dyn Writing>> {
    match disk.create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            disk.remove(path)?;
            disk.create(path)
        }
        done => done,
    }
}

fn copy(from: &Content, to: &mut dyn Writing) -> io::Result<(u64, [u8; 32])> {
    let mut context = Context::new(&SHA256);
    let mut all = 0;
    match from {
        Content::Bytes(bytes) => {
            context.update(bytes);
            to.write_all(bytes)?;
            all = bytes.len() as u64;
        }
        Content::File(path) => copy_from(&mut File::open(path)?, to, &mut context, &mut all)?,
        Content::Elsewhere(disk, path) => {
            copy_from(&mut disk.open(path)?, to, &mut context, &mut all)?;
        }
    }
    let digest = context.finish();
    // SHA-256 has 32 bytes.
    Ok((all, digest.as_ref().try_into().unwrap_or_default()))
}

fn copy_from(
    from: &mut dyn Read,
    to: &mut dyn Writing,
    context: &mut Context,
    all: &mut u64,
) -> io::Result<()> {
    let mut buffer = vec![0; COPIED_BYTES];
    loop {
        let got = match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(got) => got,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let bytes = buffer.get(..got).unwrap_or_default();
        *all += bytes.len() as u64;
        if *all > ATTACHMENT_BYTES_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        context.update(bytes);
        to.write_all(bytes)?;
    }
}

/// What a file's name ends in: by its type, or else as it did where it comes from.
pub(crate) fn extension(media_type: &str, title: &str) -> Extension {
    let kind = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let known = match &*kind {
        "audio/wav" | "audio/x-wav" | "audio/wave" | "audio/vnd.wave" => "wav",
        "audio/gsm" | "audio/x-gsm" => "gsm",
        "audio/ogg" | "application/ogg" | "audio/opus" => "ogg",
        "audio/mpeg" | "audio/mp3" => "mp3",
        "audio/amr" => "amr",
        "audio/basic" => "au",
        "audio/flac" | "audio/x-flac" => "flac",
        "audio/mp4" | "audio/x-m4a" => "m4a",
        "image/tiff" | "image/tiff-fx" => "tif",
        "image/jpeg" => "jpg",
        "application/pdf" => "pdf",
        "text/plain" => "txt",
        "message/rfc822" => "eml",
        _ => title.rsplit_once('.').map_or("", |(_, extension)| extension),
    };
    Extension::of(known)
}

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::envelope::{Envelope, Importance, Sensitivity};
use crate::moment::Moment;
use crate::name::{FOLDERS, Folder, Kind, Marks, MessageId, Name};

/// What the first line of every file of a catalog begins with, in every version.
pub(crate) const FAMILY: &str = "entracte-catalog ";
/// The version of what this program writes.
pub(crate) const VERSION: u32 = 1;
/// The first line of every file of a catalog.
pub(crate) const FORMAT: &str = "entracte-catalog 1\n";
/// Messages that were removed and are still known by their id, so that none is delivered again.
const REMEMBERED_MAX: usize = 4_096;

/// One message as a list shows it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Row {
    /// Which it is.
    #[schema(value_type = String)]
    pub id: MessageId,
    /// Its number in the mailbox, RFC 9051 §2.3.1.1: it rises, and is never used twice. In another folder it gets another.
    pub uid: u32,
    /// The sequence number of the mailbox's last change that was about it.
    pub changed: u64,
    /// When it was received, in microseconds since 1970.
    pub at: u64,
    /// What it is.
    pub kind: Kind,
    /// Where it is.
    pub folder: Folder,
    /// What was done with it.
    #[serde(default)]
    pub marks: Marks,
    /// The caller's name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub from: String,
    /// The caller's number.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub number: String,
    /// An address to answer to: `FBMC:`, `mailto:`, `tel:` or `sip:`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub address: String,
    /// The number that was called.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub called: String,
    /// What it is about.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub subject: String,
    /// How much it matters.
    #[serde(default, skip_serializing_if = "is_default")]
    pub importance: Importance,
    /// Who it is for.
    #[serde(default, skip_serializing_if = "is_default")]
    pub sensitivity: Sensitivity,
    /// How long its audio is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// Pages of a fax.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pages: Option<u32>,
    /// How its first attachment is coded.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub codec: String,
    /// Files that go with it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub attachments: u32,
    /// Bytes of its attachments and its text.
    pub bytes: u64,
    /// When it is deleted by itself, in microseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<u64>,
    /// The message that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub reply_to: Option<MessageId>,
    /// Bytes of it as e-mail; 0 when they were not counted.
    #[serde(default, skip_serializing_if = "is_default")]
    pub octets: u64,
    /// Whether it came as e-mail.
    #[serde(default, skip_serializing_if = "is_default")]
    pub is_mail: bool,
    /// Its ENVELOPE as IMAP has it, RFC 9051 §7.5.2, if it came as e-mail and that is not too long.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schema(ignore)]
    pub envelope: String,
    /// When it came to its folder, in microseconds since 1970; absent while it is where it was received.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved: Option<u64>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Row {
    /// The row of a message that has no number yet.
    pub(crate) fn of(name: &Name, envelope: &Envelope) -> Self {
        let body = u64::try_from(envelope.body.len()).unwrap_or(u64::MAX);
        let first = envelope.attachments.first();
        Self {
            id: name.id,
            uid: 0,
            changed: 0,
            at: name.at.as_micros(),
            kind: name.kind,
            folder: name.folder,
            marks: name.marks,
            from: envelope.from.name.clone(),
            number: envelope.from.number.clone(),
            address: envelope.from.address.clone(),
            called: envelope.called.clone(),
            subject: envelope.subject.clone(),
            importance: envelope.importance,
            sensitivity: envelope.sensitivity,
            duration_ms: envelope.duration_ms,
            pages: envelope.pages,
            codec: first.map(|first| first.codec.clone()).unwrap_or_default(),
            attachments: u32::try_from(envelope.attachments.len()).unwrap_or(u32::MAX),
            bytes: envelope.attachments.iter().map(|a| a.bytes).sum::<u64>().saturating_add(body),
            expires: envelope.expires.map(Moment::as_micros),
            reply_to: envelope.reply_to,
            octets: crate::mail::octets(envelope),
            is_mail: envelope.is_mail,
            envelope: envelope.imap_envelope.clone(),
            moved: None,
        }
    }

    /// The name of its file.
    pub(crate) const fn name(&self) -> Name {
        let Self { id, kind, marks, folder, .. } = *self;
        Name { at: Moment::from_micros(self.at), id, kind, marks, folder }
    }

    const fn key(&self) -> (u64, MessageId) {
        (self.at, self.id)
    }
}

/// How many messages there are of a kind.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Tally {
    /// Not heard or read yet.
    pub new: u64,
    /// Heard or read.
    pub old: u64,
    /// Of the new ones, urgent.
    pub urgent_new: u64,
    /// Of the old ones, urgent.
    pub urgent_old: u64,
}

/// What a mailbox holds. Of each kind, inbox and saved together are counted, as message waiting does
/// (RFC 3842 §5.2).
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Counts {
    /// Voice messages.
    pub voice: Tally,
    /// Faxes.
    pub fax: Tally,
    /// Texts, and word of what could not be delivered.
    pub text: Tally,
    /// Messages in each folder, in the order of [`FOLDERS`].
    pub folders: [u64; 5],
    /// Of those, not heard or read.
    pub unread: [u64; 5],
    /// Messages in all folders.
    pub messages: u64,
    /// Bytes of them all.
    pub bytes: u64,
}

impl Counts {
    /// Whether the lamp is lit: something in the inbox waits to be heard or read.
    #[must_use]
    pub const fn is_waiting(&self) -> bool {
        self.voice.new + self.fax.new + self.text.new > 0
    }

    fn count(&mut self, row: &Row, step: impl Fn(&mut u64, u64)) {
        step(&mut self.messages, 1);
        step(&mut self.bytes, row.bytes);
        let place = FOLDERS.iter().position(|folder| *folder == row.folder);
        if let Some(folder) = place.and_then(|place| self.folders.get_mut(place)) {
            step(folder, 1);
        }
        if let Some(unread) = place.and_then(|place| self.unread.get_mut(place))
            && !row.marks.read
        {
            step(unread, 1);
        }
        if !matches!(row.folder, Folder::Inbox | Folder::Saved) {
            return;
        }
        let tally = match row.kind {
            Kind::Voice => &mut self.voice,
            Kind::Fax => &mut self.fax,
            Kind::Text | Kind::NonDelivery => &mut self.text,
        };
        let urgent = row.importance == Importance::High;
        let (all, urgents) = if row.marks.read {
            (&mut tally.old, &mut tally.urgent_old)
        } else {
            (&mut tally.new, &mut tally.urgent_new)
        };
        step(all, 1);
        if urgent {
            step(urgents, 1);
        }
    }

    fn add(&mut self, row: &Row) {
        self.count(row, |all, one| *all = all.saturating_add(one));
    }

    fn take(&mut self, row: &Row) {
        self.count(row, |all, one| *all = all.saturating_sub(one));
    }
}

/// A line of a catalog's file: eight digits of its CRC-32, a space, JSON.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Record {
    /// Who writes this file; its first record.
    Claim { epoch: u64, node: String },
    /// What the catalog knew when the file was begun; then a `Row` for each message, then `Whole`.
    Head(Head),
    /// A message that was there when the file was begun.
    Row(Row),
    /// All rows were written.
    Whole { rows: u64 },
    /// A message came.
    Added(Row),
    /// A message has another place or other marks, since then (microseconds since 1970).
    Changed { sequence: u64, id: MessageId, folder: Folder, marks: Marks, at: u64 },
    /// A message is no more: somebody removed it, or it is lost.
    Removed {
        sequence: u64,
        id: MessageId,
        #[serde(default, skip_serializing_if = "is_default")]
        is_lost: bool,
    },
    /// The user logged in.
    LoggedIn { at: u64 },
    /// The writer is done with the file, and nothing will follow. The stamp of the folder that the
    /// messages are in, as text; a different one later means that somebody put something there.
    Released { stamp: String },
}

/// What else a catalog knows.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Head {
    pub(crate) uid_validity: u32,
    pub(crate) uid_next: u32,
    pub(crate) sequence: u64,
    #[serde(default)]
    pub(crate) last_login: Option<u64>,
    #[serde(default)]
    pub(crate) last_received: Option<u64>,
    #[serde(default)]
    pub(crate) removed: Vec<MessageId>,
}

impl Record {
    pub(crate) fn write(&self, out: &mut String) {
        // These types have no maps with odd keys and nothing else that JSON refuses.
        let json = serde_json::to_string(self).unwrap_or_default();
        // A `String` takes everything.
        let _ = writeln!(out, "{:08x} {json}", crc32fast::hash(json.as_bytes()));
    }

    fn read(line: &str) -> Option<Self> {
        let (sum, json) = line.split_once(' ')?;
        if sum != format!("{:08x}", crc32fast::hash(json.as_bytes())) {
            return None;
        }
        serde_json::from_str(json).ok()
    }
}

/// What a mailbox holds, as its files told it last.
#[derive(Clone, Debug, Default)]
pub(crate) struct Catalog {
    rows: BTreeMap<(u64, MessageId), Row>,
    by_id: BTreeMap<MessageId, u64>,
    removed: VecDeque<MessageId>,
    counts: Counts,
    pub(crate) head: Head,
}

impl Catalog {
    pub(crate) fn new(uid_validity: u32) -> Self {
        let head = Head { uid_validity, uid_next: 1, ..Head::default() };
        Self { head, ..Self::default() }
    }

    pub(crate) const fn counts(&self) -> &Counts {
        &self.counts
    }

    pub(crate) fn row(&self, id: MessageId) -> Option<&Row> {
        self.rows.get(&(*self.by_id.get(&id)?, id))
    }

    /// All rows, the oldest first.
    pub(crate) fn rows(&self) -> impl DoubleEndedIterator<Item = &Row> {
        self.rows.values()
    }

    /// The rows older than this one, the youngest first.
    pub(crate) fn before(&self, cursor: Option<(u64, MessageId)>) -> impl Iterator<Item = &Row> {
        let end = cursor.unwrap_or((u64::MAX, MessageId::MAX));
        self.rows.range(..end).rev().map(|(_, row)| row)
    }

    /// Whether a message was here and was removed, as far as that is remembered.
    pub(crate) fn was_removed(&self, id: MessageId) -> bool {
        self.removed.contains(&id)
    }

    /// Gives a message its numbers; the record that says so.
    pub(crate) fn add(&mut self, mut row: Row) -> Record {
        row.uid = self.head.uid_next;
        row.changed = self.head.sequence + 1;
        let record = Record::Added(row);
        self.apply(record.clone());
        record
    }

    /// Gives a message another place and other marks; the record that says so.
    pub(crate) fn change(&mut self, to: &Name, at: Moment) -> Record {
        let Name { id, folder, marks, .. } = *to;
        let (sequence, at) = (self.head.sequence + 1, at.as_micros());
        let record = Record::Changed { sequence, id, folder, marks, at };
        self.apply(record.clone());
        record
    }

    /// Forgets a message that somebody removed; the record that says so.
    pub(crate) fn remove(&mut self, id: MessageId) -> Record {
        self.forget(id, false)
    }

    /// Forgets a message whose files are not there, and nobody knows why. Should it be delivered again, it is welcome.
    pub(crate) fn lose(&mut self, id: MessageId) -> Record {
        self.forget(id, true)
    }

    fn forget(&mut self, id: MessageId, is_lost: bool) -> Record {
        let record = Record::Removed { sequence: self.head.sequence + 1, id, is_lost };
        self.apply(record.clone());
        record
    }

    pub(crate) fn apply(&mut self, record: Record) {
        match record {
            Record::Head(head) => {
                *self = Self { removed: head.removed.iter().copied().collect(), ..Self::default() };
                self.head = Head { removed: Vec::new(), ..head };
            }
            Record::Row(row) => self.put(row),
            Record::Added(row) => {
                self.head.uid_next = self.head.uid_next.max(row.uid.saturating_add(1));
                self.head.sequence = self.head.sequence.max(row.changed);
                self.head.last_received = self.head.last_received.max(Some(row.at));
                self.put(row);
            }
            Record::Changed { sequence, id, folder, marks, at } => {
                self.head.sequence = self.head.sequence.max(sequence);
                if let Some(row) = self.row(id).cloned() {
                    let (mut moved, mut uid) = (row.moved, row.uid);
                    if row.folder != folder {
                        // To IMAP it is a new message there, and new ones have greater numbers. RFC 9051 §2.3.1.1.
                        (moved, uid) = (Some(at), self.head.uid_next);
                        self.head.uid_next = self.head.uid_next.saturating_add(1);
                    }
                    self.put(Row { folder, marks, changed: sequence, moved, uid, ..row });
                }
            }
            Record::Removed { sequence, id, is_lost } => {
                self.head.sequence = self.head.sequence.max(sequence);
                if let Some(at) = self.by_id.remove(&id)
                    && let Some(row) = self.rows.remove(&(at, id))
                {
                    self.counts.take(&row);
                }
                if !is_lost {
                    if self.removed.len() == REMEMBERED_MAX {
                        self.removed.pop_front();
                    }
                    self.removed.push_back(id);
                }
            }
            Record::LoggedIn { at } => self.head.last_login = self.head.last_login.max(Some(at)),
            Record::Claim { .. } | Record::Whole { .. } | Record::Released { .. } => {}
        }
    }

    fn put(&mut self, row: Row) {
        self.counts.add(&row);
        self.by_id.insert(row.id, row.at);
        if let Some(old) = self.rows.insert(row.key(), row) {
            self.counts.take(&old);
        }
    }

    /// Everything, as the begin of a new file.
    pub(crate) fn snapshot(&self, out: &mut String) {
        let removed = self.removed.iter().copied().collect();
        Record::Head(Head { removed, ..self.head.clone() }).write(out);
        for row in self.rows.values() {
            Record::Row(row.clone()).write(out);
        }
        Record::Whole { rows: u64::try_from(self.rows.len()).unwrap_or(u64::MAX) }.write(out);
    }
}

/// What the last record of a file says that ends with these bytes, if it says that the writer is done.
pub(crate) fn released_by(end: &[u8]) -> Option<String> {
    let line = end.strip_suffix(b"\n")?.rsplit(|byte| *byte == b'\n').next()?;
    match Record::read(std::str::from_utf8(line).ok()?)? {
        Record::Released { stamp } => Some(stamp),
        Record::Claim { .. }
        | Record::Head(_)
        | Record::Row(_)
        | Record::Whole { .. }
        | Record::Added(_)
        | Record::Changed { .. }
        | Record::Removed { .. }
        | Record::LoggedIn { .. } => None,
    }
}

/// A file of a catalog, read as far as it is sound.
#[derive(Clone, Debug, Default)]
pub(crate) struct Read {
    pub(crate) catalog: Catalog,
    /// The node that wrote it; `None` when not even that can be read.
    pub(crate) node: Option<String>,
    /// Whether all that was known at its begin is there.
    pub(crate) is_whole: bool,
    /// The folder's stamp when the writer was done.
    pub(crate) released: Option<String>,
    /// Bytes that were understood.
    pub(crate) bytes: u64,
    /// Changes after the begin.
    pub(crate) changes: u64,
    pub(crate) rows: u64,
}

impl Read {
    /// Takes what follows what was taken before. What is torn, or damaged, ends it: a later call sees
    /// it again from [`Self::bytes`] on.
    pub(crate) fn take(&mut self, bytes: &[u8]) {
        self.take_telling(bytes, &mut |_, _| {});
    }

    /// The same; tells of each change, with the catalog as it is after it.
    pub(crate) fn take_telling(&mut self, bytes: &[u8], tell: &mut dyn FnMut(&Catalog, &Record)) {
        let mut rest = bytes;
        if self.bytes == 0 {
            let Some(after) = rest.strip_prefix(FORMAT.as_bytes()) else { return };
            self.bytes += u64::try_from(FORMAT.len()).unwrap_or(0);
            rest = after;
        }
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let (line, after) = rest.split_at(end + 1);
            let record = std::str::from_utf8(line)
                .ok()
                .and_then(|line| Record::read(line.trim_end_matches('\n')));
            let Some(record) = record else { return };
            self.bytes += u64::try_from(line.len()).unwrap_or(0);
            rest = after;
            match &record {
                Record::Claim { node, .. } => self.node = Some(node.clone()),
                Record::Row(_) => self.rows += 1,
                Record::Whole { rows } => self.is_whole = self.rows == *rows,
                Record::Released { stamp } => self.released = Some(stamp.clone()),
                Record::Head(_) => {}
                Record::Added(_)
                | Record::Changed { .. }
                | Record::Removed { .. }
                | Record::LoggedIn { .. } => {
                    self.changes += 1;
                    self.catalog.apply(record.clone());
                    tell(&self.catalog, &record);
                    continue;
                }
            }
            self.catalog.apply(record);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(n: u8) -> Row {
        let at = Moment::from_micros(1_000_000 + u64::from(n));
        Row {
            id: MessageId::new(at, [n; 10]),
            uid: 0,
            changed: 0,
            at: at.as_micros(),
            kind: if n.is_multiple_of(3) { Kind::Fax } else { Kind::Voice },
            folder: Folder::Inbox,
            marks: Marks::default(),
            from: format!("caller {n}"),
            number: String::new(),
            address: "mailto:a@b".into(),
            called: String::new(),
            reply_to: Some(MessageId::new(at, [1; 10])),
            octets: 200,
            is_mail: true,
            envelope: "(NIL \"x\")".into(),
            subject: "\u{e4}\n\"".into(),
            importance: if n.is_multiple_of(2) { Importance::High } else { Importance::Normal },
            sensitivity: Sensitivity::None,
            duration_ms: Some(1),
            pages: None,
            codec: "gsm".into(),
            attachments: 1,
            bytes: 100,
            expires: None,
            moved: None,
        }
    }

    fn text(records: &[Record]) -> String {
        let mut text = FORMAT.to_owned();
        Record::Claim { epoch: 1, node: "n".into() }.write(&mut text);
        Catalog::new(7).snapshot(&mut text);
        records.iter().for_each(|record| record.write(&mut text));
        text
    }

    fn some() -> (Catalog, Vec<Record>) {
        let mut catalog = Catalog::new(7);
        let mut records: Vec<_> = (0..20).map(|n| catalog.add(row(n))).collect();
        let read = Marks { read: true, ..Marks::default() };
        for n in 0..10 {
            let to = Name { folder: Folder::Saved, marks: read, ..row(n).name() };
            records.push(catalog.change(&to, Moment::from_micros(9)));
        }
        for n in 5..15 {
            records.push(catalog.remove(row(n).id));
        }
        (catalog, records)
    }

    #[test]
    fn what_is_read_is_what_was_written() {
        let (catalog, records) = some();
        let mut read = Read::default();
        read.take(text(&records).as_bytes());
        assert!(read.is_whole && read.released.is_none());
        assert_eq!(read.catalog.rows, catalog.rows);
        assert_eq!(read.catalog.counts, catalog.counts);
        assert_eq!(read.catalog.head, catalog.head);
        // Ten came to another folder, and have a new number there.
        assert_eq!((catalog.head.uid_next, catalog.head.sequence), (31, 40));
        assert!(catalog.row(row(0).id).is_some_and(|row| row.uid == 21));
        assert!(read.catalog.was_removed(row(5).id) && !read.catalog.was_removed(row(4).id));
        // And from the snapshot of that.
        let mut again = FORMAT.to_owned();
        read.catalog.snapshot(&mut again);
        let mut second = Read::default();
        second.take(again.as_bytes());
        assert_eq!(second.catalog.rows, catalog.rows);
        assert_eq!(second.catalog.counts, catalog.counts);
        assert!(second.catalog.was_removed(row(5).id));
    }

    #[test]
    fn counts_are_those_of_the_rows() {
        let (catalog, _) = some();
        let mut counted = Counts::default();
        catalog.rows().for_each(|row| counted.add(row));
        assert_eq!(catalog.counts(), &counted);
        assert_eq!((counted.messages, counted.bytes), (10, 1_000));
        assert_eq!((counted.folders, counted.unread), ([5, 5, 0, 0, 0], [5, 0, 0, 0, 0]));
        assert!(counted.is_waiting());
    }

    #[test]
    fn a_torn_end_is_a_shorter_catalog_and_comes_later() {
        let (catalog, records) = some();
        let text = text(&records);
        for end in 0..text.len() {
            let mut read = Read::default();
            read.take(&text.as_bytes()[..end]);
            let understood = usize::try_from(read.bytes).unwrap();
            assert!(understood <= end);
            read.take(&text.as_bytes()[understood..]);
            assert_eq!(read.catalog.rows, catalog.rows, "{end}");
        }
    }

    #[test]
    fn a_changed_bit_ends_it_there() {
        let (_, records) = some();
        let good = text(&records).into_bytes();
        for bit in (0..good.len() * 8).step_by(7) {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let mut read = Read::default();
            read.take(&bad);
            assert!(usize::try_from(read.bytes).unwrap() <= bit / 8, "bit {bit}");
        }
    }
}

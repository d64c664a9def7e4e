use std::collections::BTreeMap;

use imap::{Mode, Numbering, SequenceSet};
use mailbox::{Folder, MailError, Marks, MessageId, MessageStore, Unique};

/// A message as the client knows it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Entry {
    pub(super) uid: u32,
    pub(super) id: MessageId,
    pub(super) marks: Marks,
    pub(super) mod_seq: u64,
    /// Whether it is no more, and the client was not told yet.
    pub(super) is_gone: bool,
}

/// The folder that is open, as the client knows it.
#[derive(Debug)]
pub(super) struct Selected {
    pub(super) unique: Unique,
    pub(super) folder: Folder,
    pub(super) mode: Mode,
    /// Whether its UIDs are others by now.
    pub(super) is_void: bool,
    /// By UID; a message's number is its place here, from 1.
    pub(super) entries: Vec<Entry>,
    /// What the mailbox's last change was when this was true.
    pub(super) sequence: u64,
    pub(super) uid_validity: u32,
    pub(super) uid_next: u32,
    /// What a search has kept, as UIDs. RFC 5182.
    pub(super) saved: Vec<u32>,
}

/// Whether the client may be told now that messages are no more. RFC 9051 §7.5.1: not while it may be sending numbers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Expunges {
    Tell,
    Hold,
}

/// How flags of messages are told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Telling {
    /// With UIDs: the command was one of UIDs. RFC 9051 §6.4.9.
    pub(super) uid: bool,
    /// With the state of each. RFC 7162 §3.2.
    pub(super) mod_seq: bool,
}

/// What a folder holds.
#[derive(Debug)]
struct Holds {
    entries: Vec<Entry>,
    sequence: u64,
    uid_validity: u32,
    uid_next: u32,
}

fn holds(store: &MessageStore, unique: &Unique, folder: Folder) -> Result<Holds, MailError> {
    store.view(unique, |view| {
        let rows = view.rows().filter(|row| row.folder == folder);
        let mut entries: Vec<_> = rows
            .map(|row| Entry {
                uid: row.uid,
                id: row.id,
                marks: row.marks,
                mod_seq: row.changed,
                is_gone: false,
            })
            .collect();
        // They come in the order of their dates.
        entries.sort_unstable_by_key(|entry| entry.uid);
        Holds {
            entries,
            sequence: view.sequence(),
            uid_validity: view.uid_validity(),
            uid_next: view.uid_next(),
        }
    })
}

impl Selected {
    /// Opens a folder.
    pub(super) fn open(
        store: &MessageStore,
        unique: &Unique,
        folder: Folder,
        mode: Mode,
    ) -> Result<Self, MailError> {
        let Holds { entries, sequence, uid_validity, uid_next } = holds(store, unique, folder)?;
        let unique = unique.clone();
        Ok(Self {
            unique,
            folder,
            mode,
            is_void: false,
            entries,
            sequence,
            uid_validity,
            uid_next,
            saved: Vec::new(),
        })
    }

    /// The number of a message by its UID.
    pub(super) fn number_of(&self, uid: u32) -> Option<usize> {
        self.entries.binary_search_by_key(&uid, |entry| entry.uid).ok().map(|place| place + 1)
    }

    /// The places of the messages of a set, in ascending order.
    pub(super) fn places(&self, by: Numbering, set: &SequenceSet) -> Vec<usize> {
        let SequenceSet::Ranges(_) = set else {
            let places = self.saved.iter().filter_map(|uid| self.number_of(*uid));
            return places.map(|number| number - 1).collect();
        };
        let greatest = match by {
            Numbering::Sequence => u32::try_from(self.entries.len()).unwrap_or(u32::MAX),
            Numbering::Uid => self.entries.last().map_or(0, |entry| entry.uid),
        };
        let mut places = Vec::new();
        for range in set.ranges(greatest) {
            let (first, last) = match by {
                Numbering::Sequence => {
                    let first = usize::try_from(*range.start()).unwrap_or(usize::MAX);
                    let last = usize::try_from(*range.end()).unwrap_or(usize::MAX);
                    (first.saturating_sub(1), last.min(self.entries.len()))
                }
                Numbering::Uid => (
                    self.entries.partition_point(|entry| entry.uid < *range.start()),
                    self.entries.partition_point(|entry| entry.uid <= *range.end()),
                ),
            };
            places.extend(first..last);
        }
        places
    }

    /// Whether a set of numbers names one that there is not: a client that counts otherwise must know. RFC 9051 §6.4.5.
    pub(super) fn goes_beyond(&self, by: Numbering, set: &SequenceSet) -> bool {
        let count = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        by == Numbering::Sequence
            && set.ranges(count).iter().any(|range| *range.end() > count || *range.end() == 0)
    }

    /// Brings it up to date, and appends what the client must be told.
    pub(super) fn sync(
        &mut self,
        store: &MessageStore,
        (expunges, telling): (Expunges, Telling),
        out: &mut Vec<u8>,
    ) -> Result<(), MailError> {
        if store.sequence(&self.unique)? == (self.uid_validity, self.sequence) {
            self.tell_gone(expunges, out);
            return Ok(());
        }
        let now = holds(store, &self.unique, self.folder)?;
        if now.uid_validity != self.uid_validity {
            // All that the client knows is void, and there is no way to say so but to end. RFC 9051 §2.3.1.1.
            self.is_void = true;
            return Ok(());
        }
        let (count, mut fresh) = (self.entries.len(), Vec::new());
        let mut new: BTreeMap<u32, Entry> =
            now.entries.into_iter().map(|entry| (entry.uid, entry)).collect();
        let mut changed = Vec::new();
        for (place, entry) in self.entries.iter_mut().enumerate() {
            match new.remove(&entry.uid).filter(|found| found.id == entry.id) {
                Some(found) => {
                    if found.marks != entry.marks {
                        changed.push(place);
                    }
                    (entry.marks, entry.mod_seq) = (found.marks, found.mod_seq);
                }
                None => entry.is_gone = true,
            }
        }
        // New ones have greater numbers; one between would be another's, and is not shown before the folder is opened again.
        let last = self.entries.last().map_or(0, |entry| entry.uid);
        fresh.extend(new.into_values().filter(|entry| entry.uid > last));
        self.entries.append(&mut fresh);
        (self.sequence, self.uid_next) = (now.sequence, now.uid_next);
        for place in changed {
            self.tell_flags(place, telling, out);
        }
        let added = self.entries.len() > count;
        self.tell_gone(expunges, out);
        if added {
            out.extend_from_slice(format!("* {} EXISTS\r\n", self.entries.len()).as_bytes());
        }
        Ok(())
    }

    /// Takes out what is no more, and tells it, unless that must wait.
    fn tell_gone(&mut self, expunges: Expunges, out: &mut Vec<u8>) {
        if expunges == Expunges::Hold || !self.entries.iter().any(|entry| entry.is_gone) {
            return;
        }
        let mut number = 0;
        self.entries.retain(|entry| {
            number += 1;
            if entry.is_gone {
                out.extend_from_slice(format!("* {number} EXPUNGE\r\n").as_bytes());
                // Those after it move up.
                number -= 1;
            }
            !entry.is_gone
        });
    }

    /// Appends the flags of a message.
    pub(super) fn tell_flags(&self, place: usize, telling: Telling, out: &mut Vec<u8>) {
        let Some(entry) = self.entries.get(place) else { return };
        let mut line = format!("* {} FETCH (FLAGS ({})", place + 1, flags(entry.marks));
        if telling.uid {
            line.push_str(&format!(" UID {}", entry.uid));
        }
        if telling.mod_seq {
            line.push_str(&format!(" MODSEQ ({})", entry.mod_seq));
        }
        out.extend_from_slice(line.as_bytes());
        out.extend_from_slice(b")\r\n");
    }

    /// Takes in rows as a change of ours left them; what else was changed meanwhile is found by the next look.
    pub(super) fn changed(&mut self, rows: &[mailbox::Row]) {
        let before = self.sequence;
        for row in rows {
            let found = self.number_of(row.uid).and_then(|number| self.entries.get_mut(number - 1));
            if let Some(entry) = found {
                (entry.marks, entry.mod_seq) = (row.marks, row.changed);
            }
        }
        let last = rows.iter().map(|row| row.changed).max().unwrap_or(before);
        let own = rows.iter().filter(|row| row.changed > before).count() as u64;
        // Numbers without a gap are all ours.
        if last > before && last - before == own {
            self.sequence = last;
        }
    }
}

/// The flags of a message. RFC 9051 §2.3.2.
pub(super) fn flags(marks: Marks) -> String {
    set_flags(marks).collect::<Vec<_>>().join(" ")
}

/// The flags that are set.
pub(super) fn set_flags(marks: Marks) -> impl Iterator<Item = &'static str> {
    let all = [
        (marks.answered, "\\Answered"),
        (marks.flagged, "\\Flagged"),
        (marks.expunging, "\\Deleted"),
        (marks.read, "\\Seen"),
        (marks.forwarded, "$Forwarded"),
    ];
    all.into_iter().filter(|(is_set, _)| *is_set).map(|(_, flag)| flag)
}

/// Flags that a message can have here.
pub(super) const FLAGS: &str = "\\Answered \\Flagged \\Deleted \\Seen $Forwarded";

/// The mark of a flag; none for one that is not kept.
pub(super) fn mark<'a>(flag: &str, marks: &'a mut Marks) -> Option<&'a mut bool> {
    Some(match flag.to_ascii_lowercase().as_str() {
        "\\answered" => &mut marks.answered,
        "\\flagged" => &mut marks.flagged,
        "\\deleted" => &mut marks.expunging,
        "\\seen" => &mut marks.read,
        "$forwarded" => &mut marks.forwarded,
        _ => return None,
    })
}

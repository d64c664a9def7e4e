use std::collections::{BTreeMap, BTreeSet};

use mailbox::{Folder, MessageId};
use serde::{Deserialize, Serialize};

use crate::retrieval::There;

const FORMAT: &str = "entracte-agreement";
const VERSION: u32 = 1;

/// So many deletions at once there, if they are more than half of all, are taken for a fault of the mail server.
const GONE_MAX: usize = 10;

/// How a message stands in the store.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Here {
    pub(super) is_read: bool,
    pub(super) folder: Folder,
}

impl Here {
    fn is_deleted(self) -> bool {
        self.folder == Folder::Deleted
    }
}

/// What both sides said of a message last.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Pair {
    /// There is a message and a copy; not read.
    Unread,
    /// There is a message and a copy; read.
    Read,
    /// One of them was deleted, and then the other.
    Deleted,
    /// It was deleted here, and the INBOX was made anew: a copy that is there nobody put there on purpose. Both stay as they are.
    Apart,
}

/// What both sides of a mailbox said last, as the file beside it has it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Pairs {
    format: String,
    version: u32,
    /// Which INBOX it was; another one has other copies.
    #[serde(default)]
    place: String,
    /// What the numbers of the copies were valid with.
    #[serde(default)]
    uid_validity: u32,
    #[serde(default)]
    pairs: BTreeMap<MessageId, Pair>,
}

impl Pairs {
    /// Reads what an earlier run left; a file that cannot be read is as none: then nothing is taken for deleted.
    pub(super) fn from_bytes(bytes: Option<&[u8]>) -> Self {
        let read = bytes.and_then(|bytes| serde_json::from_slice::<Self>(bytes).ok());
        let known = read.filter(|pairs| pairs.format == FORMAT && pairs.version == VERSION);
        known.unwrap_or_else(|| Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            place: String::new(),
            uid_validity: 0,
            pairs: BTreeMap::new(),
        })
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        // These types have nothing that JSON refuses.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Forgets what was said of other copies: those of an INBOX that was made anew, as from a backup, were not deleted by anybody, and
    /// none was put back.
    pub(super) fn are_valid_with(&mut self, place: &str, uid_validity: u32) {
        if self.place != place || self.uid_validity != uid_validity {
            self.pairs.retain(|_, pair| matches!(*pair, Pair::Deleted | Pair::Apart));
            self.pairs.values_mut().for_each(|pair| *pair = Pair::Apart);
            (self.place, self.uid_validity) = (place.to_owned(), uid_validity);
        }
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = MessageId> + '_ {
        self.pairs.keys().copied()
    }
}

/// What is to be changed.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Changes {
    pub(super) read_here: Vec<MessageId>,
    pub(super) unread_here: Vec<MessageId>,
    /// With the folder that it was in.
    pub(super) deleted_here: Vec<(MessageId, Folder)>,
    pub(super) restored_here: Vec<MessageId>,
    pub(super) read_there: Vec<u32>,
    pub(super) unread_there: Vec<u32>,
    pub(super) deleted_there: Vec<u32>,
    /// Copies that are gone there, so many that nothing is deleted here for that.
    pub(super) held: usize,
}

/// What is to be changed, and what both sides say then. Whoever changed something since they agreed last is followed; where both did,
/// deleted comes before marked. At the first meeting what was read on one side is read. What the store has no more is not followed:
/// nobody knows whether somebody took it away, or its time, or a fault.
pub(super) fn settle(
    pairs: &Pairs,
    here: &BTreeMap<MessageId, Here>,
    there: &BTreeMap<MessageId, There>,
) -> (Changes, Pairs) {
    let mut changes = Changes::default();
    let mut after = BTreeMap::new();
    let ids: BTreeSet<MessageId> = pairs.ids().chain(there.keys().copied()).collect();
    for id in ids {
        let Some(here) = here.get(&id) else { continue };
        let pair = pairs.pairs.get(&id).copied();
        if let Some(pair) = one(id, pair, (*here, there.get(&id)), &mut changes) {
            after.insert(id, pair);
        }
    }
    let alive = pairs.pairs.values().filter(|pair| matches!(pair, Pair::Read | Pair::Unread));
    let gone = changes.deleted_here.len();
    if gone > GONE_MAX && gone * 2 > alive.count() {
        changes.held = gone;
        for (id, _) in changes.deleted_here.drain(..) {
            after.extend(pairs.pairs.get(&id).map(|pair| (id, *pair)));
        }
    }
    (changes, Pairs { pairs: after, ..pairs.clone() })
}

/// One message: what is to be changed goes into `changes`; what both say then, if anything.
fn one(
    id: MessageId,
    pair: Option<Pair>,
    (here, there): (Here, Option<&There>),
    changes: &mut Changes,
) -> Option<Pair> {
    match (here.is_deleted(), there, pair) {
        (true, Some(_), Some(Pair::Apart)) => Some(Pair::Apart),
        (true, Some(there), Some(Pair::Deleted)) => {
            // Somebody took it out of the bin there.
            changes.restored_here.push(id);
            Some(read(id, here.is_read, (there, None), changes))
        }
        (true, Some(there), Some(Pair::Read | Pair::Unread) | None) => {
            changes.deleted_there.extend(&there.uids);
            Some(Pair::Deleted)
        }
        (false, Some(there), pair) => Some(read(id, here.is_read, (there, pair), changes)),
        (false, None, Some(Pair::Read | Pair::Unread)) => {
            changes.deleted_here.push((id, here.folder));
            Some(Pair::Deleted)
        }
        (true, None, Some(_)) | (false, None, Some(Pair::Deleted | Pair::Apart)) => {
            Some(Pair::Deleted)
        }
        // It did not come yet, or nobody knows.
        (_, None, None) => None,
    }
}

/// There are both.
fn read(
    id: MessageId,
    is_read_here: bool,
    (there, pair): (&There, Option<Pair>),
    changes: &mut Changes,
) -> Pair {
    let is_read = match pair {
        Some(Pair::Read) => is_read_here && there.is_read,
        Some(Pair::Unread | Pair::Deleted | Pair::Apart) | None => is_read_here || there.is_read,
    };
    if is_read_here != is_read {
        let changed = if is_read { &mut changes.read_here } else { &mut changes.unread_here };
        changed.push(id);
    }
    if there.is_read != is_read {
        let changed = if is_read { &mut changes.read_there } else { &mut changes.unread_there };
        changed.extend(&there.uids);
    }
    if is_read { Pair::Read } else { Pair::Unread }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "01J0000000000000000000000A";

    fn id() -> MessageId {
        MessageId::parse(ID).unwrap()
    }

    fn paired(pair: Option<Pair>) -> Pairs {
        let mut pairs = Pairs::from_bytes(None);
        pairs.are_valid_with("office", 7);
        pairs.pairs.extend(pair.map(|pair| (id(), pair)));
        pairs
    }

    /// What is done: by words, as `read here`; and the pair after it.
    fn done(pair: Option<Pair>, here: Option<(bool, Folder)>, there: Option<bool>) -> String {
        let here = here.map(|(is_read, folder)| (id(), Here { is_read, folder }));
        let there = there.map(|is_read| (id(), There { uids: vec![3, 4], is_read }));
        let (changes, after) =
            settle(&paired(pair), &here.into_iter().collect(), &there.into_iter().collect());
        let ours = [
            ("read", !changes.read_here.is_empty()),
            ("unread", !changes.unread_here.is_empty()),
            ("delete", !changes.deleted_here.is_empty()),
            ("restore", !changes.restored_here.is_empty()),
        ];
        let theirs = [
            ("read", &changes.read_there),
            ("unread", &changes.unread_there),
            ("delete", &changes.deleted_there),
        ];
        // Every copy is changed.
        assert!(theirs.iter().all(|(_, uids)| uids.is_empty() || uids.len() == 2));
        let ours = ours.iter().filter(|(_, is_it)| *is_it);
        let theirs = theirs.iter().filter(|(_, uids)| !uids.is_empty());
        let words: Vec<String> = ours
            .map(|(word, _)| format!("{word} here"))
            .chain(theirs.map(|(word, _)| format!("{word} there")))
            .collect();
        format!("{} -> {:?}", words.join(", "), after.pairs.get(&id()))
    }

    #[test]
    fn whoever_changed_something_since_is_followed() {
        let (unread, read) = (Some(Pair::Unread), Some(Pair::Read));
        let (deleted, apart) = (Some(Pair::Deleted), Some(Pair::Apart));
        let new = Some((false, Folder::Inbox));
        let heard = Some((true, Folder::Saved));
        let bin = Some((false, Folder::Deleted));
        for (pair, here, there, expected) in [
            // They meet for the first time.
            (None, new, Some(false), " -> Some(Unread)"),
            (None, new, Some(true), "read here -> Some(Read)"),
            (None, heard, Some(false), "read there -> Some(Read)"),
            (None, bin, Some(false), "delete there -> Some(Deleted)"),
            (None, new, None, " -> None"),
            // They knew each other.
            (unread, new, Some(false), " -> Some(Unread)"),
            (unread, heard, Some(false), "read there -> Some(Read)"),
            (unread, new, Some(true), "read here -> Some(Read)"),
            (unread, heard, Some(true), " -> Some(Read)"),
            (read, new, Some(true), "unread there -> Some(Unread)"),
            (read, heard, Some(false), "unread here -> Some(Unread)"),
            (read, heard, Some(true), " -> Some(Read)"),
            (read, bin, Some(true), "delete there -> Some(Deleted)"),
            (read, heard, None, "delete here -> Some(Deleted)"),
            (read, bin, None, " -> Some(Deleted)"),
            // What was deleted comes back where somebody took it out of the bin.
            (deleted, bin, None, " -> Some(Deleted)"),
            (deleted, new, None, " -> Some(Deleted)"),
            (deleted, bin, Some(true), "read here, restore here -> Some(Read)"),
            (deleted, new, Some(false), " -> Some(Unread)"),
            // But not with a whole INBOX.
            (apart, bin, Some(true), " -> Some(Apart)"),
            (apart, bin, None, " -> Some(Deleted)"),
            (apart, new, Some(true), "read here -> Some(Read)"),
            // The store has it no more: by a fault, perhaps.
            (None, None, Some(false), " -> None"),
            (read, None, Some(true), " -> None"),
            (read, None, None, " -> None"),
            (deleted, None, Some(true), " -> None"),
        ] {
            assert_eq!(done(pair, here, there), expected, "{pair:?} {here:?} {there:?}");
        }
    }

    #[test]
    fn an_inbox_that_was_made_anew_deletes_nothing_and_puts_nothing_back() {
        for (place, uid_validity) in [("office", 8), ("elsewhere", 7)] {
            let here = |folder| BTreeMap::from([(id(), Here { is_read: true, folder })]);
            let mut pairs = paired(Some(Pair::Read));
            pairs.are_valid_with(place, uid_validity);
            let (changes, _) = settle(&pairs, &here(Folder::Inbox), &BTreeMap::new());
            assert_eq!(changes, Changes::default());
            let mut pairs = paired(Some(Pair::Deleted));
            pairs.are_valid_with(place, uid_validity);
            let there = BTreeMap::from([(id(), There { uids: vec![1], is_read: false })]);
            let (changes, _) = settle(&pairs, &here(Folder::Deleted), &there);
            assert_eq!(changes, Changes::default());
        }
        let kept = paired(Some(Pair::Read));
        assert_eq!(Pairs::from_bytes(Some(&kept.to_bytes())), kept);
        assert_eq!(Pairs::from_bytes(Some(b"{")), Pairs::from_bytes(None));
    }

    #[test]
    fn when_most_are_gone_at_once_nothing_is_deleted() {
        for (gone, deleted, held) in [(10, 10, 0), (11, 0, 11), (20, 0, 20)] {
            let mut pairs = paired(None);
            let ids: Vec<MessageId> = (0..20)
                .map(|n| MessageId::parse(&format!("01J000000000000000000000{n:02}")).unwrap())
                .collect();
            pairs.pairs.extend(ids.iter().map(|id| (*id, Pair::Read)));
            let here = Here { is_read: true, folder: Folder::Inbox };
            let here = ids.iter().map(|id| (*id, here)).collect();
            let there = There { uids: vec![1], is_read: true };
            let there = ids.iter().skip(gone).map(|id| (*id, there.clone())).collect();
            let (changes, after) = settle(&pairs, &here, &there);
            assert_eq!((changes.deleted_here.len(), changes.held), (deleted, held));
            assert_eq!(after.pairs.values().filter(|p| **p == Pair::Read).count(), 20 - deleted);
        }
    }
}

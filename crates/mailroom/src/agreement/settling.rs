use std::collections::BTreeMap;

use mailbox::{AgreeWith, MessageId};
use serde::{Deserialize, Serialize};

use crate::retrieval::Copy;

const FORMAT: &str = "entracte-agreement";
const VERSION: u32 = 1;

/// How a message stands in the store.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Here {
    pub(super) is_read: bool,
    pub(super) is_deleted: bool,
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
}

/// What both sides of a mailbox said last, as the file beside it has it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Pairs {
    format: String,
    version: u32,
    /// With whom; another one has other copies.
    #[serde(default)]
    with: Option<AgreeWith>,
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
            with: None,
            uid_validity: 0,
            pairs: BTreeMap::new(),
        })
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        // These types have nothing that JSON refuses.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Forgets what was said of other copies: those of an INBOX that was made anew, as from a backup, were not deleted by anybody.
    pub(super) fn are_valid_with(&mut self, with: &AgreeWith, uid_validity: u32) {
        if self.with.as_ref() != Some(with) || self.uid_validity != uid_validity {
            self.pairs.retain(|_, pair| *pair == Pair::Deleted);
            (self.with, self.uid_validity) = (Some(with.clone()), uid_validity);
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
    pub(super) deleted_here: Vec<MessageId>,
    pub(super) restored_here: Vec<MessageId>,
    pub(super) read_there: Vec<u32>,
    pub(super) unread_there: Vec<u32>,
    pub(super) deleted_there: Vec<u32>,
}

/// What is to be changed, and what both sides say then. Whoever changed something since they agreed last is followed; where both did,
/// it is the same change. At the first meeting what was read on one side is read.
pub(super) fn settle(
    pairs: &Pairs,
    here: &BTreeMap<MessageId, Here>,
    there: &[Copy],
) -> (Changes, Pairs) {
    let there: BTreeMap<MessageId, &Copy> = there.iter().map(|copy| (copy.id, copy)).collect();
    let mut changes = Changes::default();
    let mut after = BTreeMap::new();
    let mut ids: Vec<MessageId> = pairs.ids().chain(there.keys().copied()).collect();
    ids.sort_unstable();
    ids.dedup();
    for id in ids {
        let pair = pairs.pairs.get(&id).copied();
        if let Some(pair) = one(id, pair, (here.get(&id), there.get(&id).copied()), &mut changes) {
            after.insert(id, pair);
        }
    }
    (changes, Pairs { pairs: after, ..pairs.clone() })
}

/// One message: what is to be changed goes into `changes`; what both say then, if anything.
fn one(
    id: MessageId,
    pair: Option<Pair>,
    (here, there): (Option<&Here>, Option<&Copy>),
    changes: &mut Changes,
) -> Option<Pair> {
    match (here, there) {
        (Some(here), Some(there)) if here.is_deleted => {
            if pair == Some(Pair::Deleted) {
                // Somebody took it out of the bin there.
                changes.restored_here.push(id);
                return read(id, here.is_read, there, None, changes);
            }
            changes.deleted_there.push(there.uid);
            Some(Pair::Deleted)
        }
        (Some(here), Some(there)) => read(id, here.is_read, there, pair, changes),
        (Some(here), None) => match pair {
            // It did not come yet, or nobody knows.
            None => None,
            Some(Pair::Deleted) => Some(Pair::Deleted),
            Some(Pair::Read | Pair::Unread) => {
                if !here.is_deleted {
                    changes.deleted_here.push(id);
                }
                Some(Pair::Deleted)
            }
        },
        // It was taken away for good here.
        (None, Some(there)) => {
            if matches!(pair, Some(Pair::Read | Pair::Unread)) {
                changes.deleted_there.push(there.uid);
            }
            None
        }
        (None, None) => None,
    }
}

/// There are both.
fn read(
    id: MessageId,
    is_read_here: bool,
    there: &Copy,
    pair: Option<Pair>,
    changes: &mut Changes,
) -> Option<Pair> {
    let is_read = match pair {
        Some(Pair::Read) => is_read_here && there.is_read,
        Some(Pair::Unread | Pair::Deleted) | None => is_read_here || there.is_read,
    };
    if is_read_here != is_read {
        let changed = if is_read { &mut changes.read_here } else { &mut changes.unread_here };
        changed.push(id);
    }
    if there.is_read != is_read {
        let changed = if is_read { &mut changes.read_there } else { &mut changes.unread_there };
        changed.push(there.uid);
    }
    Some(if is_read { Pair::Read } else { Pair::Unread })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "01J0000000000000000000000A";

    fn id() -> MessageId {
        MessageId::parse(ID).unwrap()
    }

    fn with() -> AgreeWith {
        AgreeWith { server: "office".to_owned(), user: "anna".to_owned() }
    }

    fn paired(pair: Option<Pair>) -> Pairs {
        let mut pairs = Pairs::from_bytes(None);
        pairs.are_valid_with(&with(), 7);
        pairs.pairs.extend(pair.map(|pair| (id(), pair)));
        pairs
    }

    /// What is done: by words, as `read here`; and the pair after it.
    fn done(pair: Option<Pair>, here: Option<(bool, bool)>, there: Option<bool>) -> String {
        let here = here.map(|(is_read, is_deleted)| (id(), Here { is_read, is_deleted }));
        let there: Vec<Copy> =
            there.map(|is_read| Copy { id: id(), uid: 3, is_read }).into_iter().collect();
        let (changes, after) = settle(&paired(pair), &here.into_iter().collect(), &there);
        let ours = [
            ("read", &changes.read_here),
            ("unread", &changes.unread_here),
            ("delete", &changes.deleted_here),
            ("restore", &changes.restored_here),
        ];
        let theirs = [
            ("read", &changes.read_there),
            ("unread", &changes.unread_there),
            ("delete", &changes.deleted_there),
        ];
        let ours = ours.iter().filter(|(_, ids)| !ids.is_empty());
        let theirs = theirs.iter().filter(|(_, uids)| !uids.is_empty());
        let words: Vec<String> = ours
            .map(|(word, _)| format!("{word} here"))
            .chain(theirs.map(|(word, _)| format!("{word} there")))
            .collect();
        format!("{} -> {:?}", words.join(", "), after.pairs.get(&id()))
    }

    #[test]
    fn whoever_changed_something_since_is_followed() {
        let (unread, read, deleted) = (Some(Pair::Unread), Some(Pair::Read), Some(Pair::Deleted));
        let (new, heard, bin) = (Some((false, false)), Some((true, false)), Some((false, true)));
        for (pair, here, there, expected) in [
            // They meet for the first time.
            (None, new, Some(false), " -> Some(Unread)"),
            (None, new, Some(true), "read here -> Some(Read)"),
            (None, heard, Some(false), "read there -> Some(Read)"),
            (None, bin, Some(false), "delete there -> Some(Deleted)"),
            (None, new, None, " -> None"),
            (None, None, Some(false), " -> None"),
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
            (read, None, Some(true), "delete there -> None"),
            (read, None, None, " -> None"),
            // What was deleted comes back where somebody took it out of the bin.
            (deleted, bin, None, " -> Some(Deleted)"),
            (deleted, new, None, " -> Some(Deleted)"),
            (deleted, bin, Some(true), "read here, restore here -> Some(Read)"),
            (deleted, None, Some(true), " -> None"),
        ] {
            assert_eq!(done(pair, here, there), expected, "{pair:?} {here:?} {there:?}");
        }
    }

    #[test]
    fn an_inbox_that_was_made_anew_deletes_nothing() {
        for (other, uid_validity) in [(with(), 8), (AgreeWith { user: "b".into(), ..with() }, 7)] {
            let mut pairs = paired(Some(Pair::Read));
            pairs.are_valid_with(&other, uid_validity);
            let here = [(id(), Here { is_read: true, is_deleted: false })].into();
            assert_eq!(settle(&pairs, &here, &[]).0, Changes::default());
        }
        let kept = paired(Some(Pair::Read));
        assert_eq!(Pairs::from_bytes(Some(&kept.to_bytes())), kept);
        assert_eq!(Pairs::from_bytes(Some(b"{")), Pairs::from_bytes(None));
    }
}

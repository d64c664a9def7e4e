use imap::{ListOptions, StatusItem, write};
use mailbox::{Folder, MailError, MessageStore, Unique, View};

/// The folders in the order in which they are listed, with their names and special uses. RFC 6154 §2.
pub(super) const NAMES: [(Folder, &str, Option<&str>); 5] = [
    (Folder::Inbox, "INBOX", None),
    (Folder::Saved, "Saved", Some("\\Archive")),
    (Folder::Sent, "Sent", Some("\\Sent")),
    (Folder::Deleted, "Deleted", Some("\\Trash")),
    (Folder::Greetings, "Greetings", None),
];

/// The folder of this name; in any case, as people write them.
pub(super) fn by_name(name: &str) -> Option<Folder> {
    let known = NAMES.iter().find(|(_, known, _)| known.eq_ignore_ascii_case(name));
    known.map(|(folder, _, _)| *folder)
}

/// What a folder is called.
pub(super) fn name_of(folder: Folder) -> &'static str {
    NAMES.iter().find(|(known, _, _)| *known == folder).map_or("INBOX", |(_, name, _)| name)
}

/// Bytes of a pattern that is compared with names.
const PATTERN_BYTES_MAX: usize = 255;

/// Whether a name is of a pattern: `*` stands for anything, `%` for anything without a `/`. RFC 9051 §6.3.9.
fn fits(name: &str, pattern: &str) -> bool {
    // No name is as long.
    if pattern.len() > PATTERN_BYTES_MAX {
        return false;
    }
    let (name, pattern) = (name.to_ascii_uppercase(), pattern.to_ascii_uppercase());
    // Which ends of the name so far the pattern so far can be at.
    let letters: Vec<char> = name.chars().collect();
    let mut reached = vec![false; letters.len() + 1];
    if let Some(first) = reached.first_mut() {
        *first = true;
    }
    for one in pattern.chars() {
        let mut next = vec![false; letters.len() + 1];
        let mut open = false;
        for (at, was) in reached.iter().enumerate() {
            let before = at.checked_sub(1).and_then(|before| letters.get(before));
            let now = match one {
                '*' | '%' => {
                    open = *was || (open && (one == '*' || before != Some(&'/')));
                    open
                }
                letter => {
                    at.checked_sub(1).and_then(|b| reached.get(b)) == Some(&true)
                        && before == Some(&letter)
                }
            };
            if let Some(place) = next.get_mut(at) {
                *place = now;
            }
        }
        reached = next;
    }
    reached.last() == Some(&true)
}

/// The answers to LIST and LSUB, each with the folder that it tells of.
pub(super) fn list(
    reference: &str,
    patterns: &[String],
    options: &ListOptions,
    word: &str,
) -> Vec<(Option<Folder>, String)> {
    // An empty pattern asks for the separator. RFC 9051 §6.3.9.
    if patterns.iter().all(String::is_empty) {
        return vec![(None, format!("{word} (\\Noselect) \"/\" \"\""))];
    }
    let mut listed = Vec::new();
    for (folder, name, special) in NAMES {
        let matches = patterns.iter().any(|pattern| {
            reference.len() <= PATTERN_BYTES_MAX && fits(name, &format!("{reference}{pattern}"))
        });
        if !matches || (options.special_use && special.is_none()) {
            continue;
        }
        let mut attributes = vec!["\\HasNoChildren"];
        if options.subscribed || options.return_subscribed {
            attributes.push("\\Subscribed");
        }
        if word == "LIST" {
            attributes.extend(special);
        }
        let attributes = attributes.join(" ");
        let line = format!("{word} ({attributes}) \"/\" {}", write::astring(name));
        listed.push((Some(folder), line));
    }
    listed
}

/// Appends what is told of a folder. RFC 9051 §6.3.11.
pub(super) fn status(
    store: &MessageStore,
    unique: &Unique,
    folder: Folder,
    items: &[StatusItem],
    out: &mut Vec<u8>,
) -> Result<(), MailError> {
    let told = store.view(unique, |view| {
        let told: Vec<String> = items.iter().map(|item| item_of(view, folder, *item)).collect();
        told.join(" ")
    })?;
    let line = format!("* STATUS {} ({told})\r\n", write::astring(name_of(folder)));
    out.extend_from_slice(line.as_bytes());
    Ok(())
}

fn item_of(view: &View<'_>, folder: Folder, item: StatusItem) -> String {
    let place = mailbox::FOLDERS.iter().position(|known| *known == folder).unwrap_or(0);
    let counts = view.counts();
    let of = |all: &[u64; 5]| all.get(place).copied().unwrap_or(0);
    let rows = || view.rows().filter(|row| row.folder == folder);
    match item {
        StatusItem::Messages => format!("MESSAGES {}", of(&counts.folders)),
        StatusItem::Recent => "RECENT 0".to_owned(),
        StatusItem::UidNext => format!("UIDNEXT {}", view.uid_next()),
        StatusItem::UidValidity => format!("UIDVALIDITY {}", view.uid_validity()),
        StatusItem::Unseen => format!("UNSEEN {}", of(&counts.unread)),
        StatusItem::Deleted => {
            format!("DELETED {}", rows().filter(|row| row.marks.expunging).count())
        }
        StatusItem::Size => {
            format!("SIZE {}", rows().map(|row| row.octets.max(row.bytes)).sum::<u64>())
        }
        StatusItem::HighestModSeq => format!("HIGHESTMODSEQ {}", view.sequence().max(1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn section_6_3_9_patterns_fit_names() {
        for (name, pattern, expected) in [
            ("INBOX", "*", true),
            ("INBOX", "%", true),
            ("INBOX", "inbox", true),
            ("INBOX", "IN%", true),
            ("INBOX", "%BOX", true),
            ("INBOX", "I*B%X", true),
            ("INBOX", "", false),
            ("INBOX", "INBO", false),
            ("INBOX", "INBOX/%", false),
            ("a/b", "%", false),
            ("a/b", "a/%", true),
            ("a/b", "*", true),
            ("a/b", "%/%", true),
        ] {
            assert_eq!(fits(name, pattern), expected, "{name} {pattern}");
        }
    }
}

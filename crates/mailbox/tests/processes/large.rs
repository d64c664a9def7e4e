//! A mailbox with very many messages, and processes that see it for the first time.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use mailbox::{MessageStore, Query, Reads};

use crate::bed::{Other, address, listed, made, now, opened, role, say, setting, unique, voice};

const BODY: &str = "large::a_process_that_sees_it_first";

#[test]
fn a_large_mailbox_is_listed_at_once_and_its_catalog_is_made_anew_from_the_files() {
    let messages = setting("ENTRACTE_LARGE").unwrap_or(1_000);
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("mail");
    made(&root, &["a"]);
    let began = now();
    fill(&root, messages);
    println!("{messages} messages delivered: {:?}", began.elapsed());
    let look = |told: &str| {
        let other = Other::begin(BODY, &[&root.display().to_string(), &messages.to_string()]);
        other.end().iter().for_each(|line| println!("{told}: {line}"));
    };
    look("by its catalog");
    let place = opened(&root, None).mailbox(&unique("a")).unwrap().folder;
    for file in fs::read_dir(root.join(place).join("catalog")).unwrap() {
        let path = file.unwrap().path();
        if path.display().to_string().contains("log.") {
            fs::remove_file(path).unwrap();
        }
    }
    look("by its files, without a catalog");
    look("by the catalog that was made anew");
}

fn fill(root: &Path, messages: u64) {
    let store = opened(root, None);
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= messages {
                        return;
                    }
                    // Nobody else is here, but a sign of life is due from time to time.
                    if n.is_multiple_of(500) {
                        store.tick();
                    }
                    store.deliver(&voice(n), &[address("a")]).remove(0).unwrap();
                }
            });
        }
    });
}

#[test]
fn a_process_that_sees_it_first() {
    let Some(words) = role(BODY) else { return };
    let messages: u64 = words[1].parse().unwrap();
    let a = unique("a");
    let began = now();
    let store = opened(Path::new(&words[0]), None);
    let first = store.list(&a, &Query::default()).unwrap();
    say(&format!("opened, and its first page: {:?}", began.elapsed()));
    assert_eq!(first.counts.messages, messages);
    let numbers: BTreeSet<u64> = took("all pages", || {
        listed(&store, "a", 1_000).unwrap().into_iter().map(|one| one.n).collect()
    });
    assert_eq!(numbers, (0..messages).collect());
    change(&store);
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
    say(&format!("memory: {}", peak.split_whitespace().collect::<Vec<_>>().join(" ")));
}

/// Marks a message, delivers one, and removes it again.
fn change(store: &MessageStore) {
    let a = unique("a");
    let row = store.list(&a, &Query::default()).unwrap().rows.remove(0);
    let read = if row.marks.read { Reads::Unread } else { Reads::Read };
    took("the first mark, which takes the mailbox over", || {
        store.mark_read(&a, &[row.id], read).unwrap();
    });
    let new = took("a delivery", || store.deliver(&voice(7), &[address("a")]).remove(0).unwrap());
    took("a removal", || store.remove(&a, &[new.id]).unwrap());
}

fn took<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let began: Instant = now();
    let done = work();
    say(&format!("{what}: {:?}", began.elapsed()));
    done
}

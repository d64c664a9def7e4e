//! Lists while messages come, change and go.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use mailbox::{FOLDERS, Folder, Kind, Marks, MessageId, MessageStore, Query, Sender};

use crate::bed::{Chance, Other, address, made, now, opened, order, role, say, setting, unique};

const BODY: &str = "listings::a_process_that_lists";
/// Messages that nobody touches; and all, about.
const STILL: usize = 500;
const ALL: usize = 2_000;
const LISTERS: usize = 2;

#[test]
fn no_list_misses_or_doubles_a_message_that_nobody_touches() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("mail");
    made(&root, &["a"]);
    let wanted = setting("ENTRACTE_LISTINGS").unwrap_or(2_000);
    let owner = opened(&root, None);
    let mine = fill(&owner);
    owner.tick();
    let shown = root.display().to_string();
    let began = now();
    let lists = [const { AtomicU64::new(0) }; 2];
    let changes = AtomicU64::new(0);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // However this ends, the others end, too.
        let _guard = Stop(&stop);
        let ours: Vec<_> = (0..LISTERS)
            .map(|which| {
                let (owner, ours, stop) = (&owner, &lists[0], &stop);
                scope.spawn(move || look(owner, &mut Chance::new(90 + which as u64), ours, stop))
            })
            .collect();
        for mine in mine {
            let (owner, changes, stop) = (&owner, &changes, &stop);
            scope.spawn(move || disturb(owner, mine, changes, stop));
        }
        scope.spawn(|| tick(&owner, &stop));
        let other = Other::begin(BODY, &[&shown]);
        while lists.iter().map(|count| count.load(Ordering::Relaxed)).sum::<u64>() < wanted {
            let line = other.line().unwrap();
            lists[1].store(line.parse().unwrap(), Ordering::Relaxed);
            assert!(ours.iter().all(|one| !one.is_finished()), "a list was wrong");
        }
        other.end();
    });
    let [ours, theirs] = lists.map(AtomicU64::into_inner);
    assert!(ours > 0 && theirs > 0, "{ours} and {theirs} lists");
    println!(
        "{ours} lists by the owner, {theirs} by another process, {} changes meanwhile, in {:?}",
        changes.into_inner(),
        began.elapsed()
    );
}

struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Fills the mailbox: messages that nobody touches, in all folders, and among them those of two who will.
fn fill(store: &MessageStore) -> [Vec<MessageId>; 2] {
    let mut mine = [Vec::new(), Vec::new()];
    let next = AtomicU64::new(0);
    let all = std::thread::scope(|scope| {
        let deliver = || {
            let mut ids = Vec::new();
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= ALL as u64 {
                    return ids;
                }
                let is_still = n.is_multiple_of((ALL / STILL) as u64);
                let id = deliver(store, if is_still { "still" } else { "moving" }, n);
                if !is_still {
                    ids.push(id);
                }
            }
        };
        let threads: Vec<_> = (0..16).map(|_| scope.spawn(deliver)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    for (at, id) in all.into_iter().enumerate() {
        mine[at % 2].push(id);
    }
    mine
}

fn deliver(store: &MessageStore, called: &str, n: u64) -> MessageId {
    let folder = FOLDERS[usize::try_from(n / 4).unwrap() % FOLDERS.len()];
    let draft = mailbox::Draft {
        called: called.to_owned(),
        from: Sender { number: format!("+49{n}"), ..Sender::default() },
        folder,
        ..mailbox::Draft::new(Kind::Text)
    };
    store.deliver(&draft, &[address("a")]).remove(0).unwrap().id
}

/// Delivers, marks, moves and deletes, as fast as it can.
fn disturb(store: &MessageStore, mut mine: Vec<MessageId>, changes: &AtomicU64, stop: &AtomicBool) {
    let _guard = Stop(stop);
    let a = unique("a");
    let mut chance = Chance::new(mine.len() as u64);
    while !stop.load(Ordering::Relaxed) {
        let at = usize::try_from(chance.below(mine.len() as u64)).unwrap();
        match chance.below(6) {
            0 => {
                store.remove(&a, &[mine.swap_remove(at)]).unwrap();
                mine.push(deliver(store, "moving", chance.below(1_000)));
            }
            1 => {
                let folder = chance.of(&FOLDERS).copied().unwrap_or(Folder::Inbox);
                let rows = store.change(&a, &[mine[at]], |_, marks| (folder, marks)).unwrap();
                assert_eq!(rows[0].folder, folder);
            }
            _ => {
                let edit = |folder, marks: Marks| (folder, Marks { read: !marks.read, ..marks });
                assert_eq!(store.change(&a, &[mine[at]], edit).unwrap().len(), 1);
            }
        }
        changes.fetch_add(1, Ordering::Relaxed);
    }
}

/// Lists until it is told to stop, by pages of any size.
fn look(store: &MessageStore, chance: &mut Chance, lists: &AtomicU64, stop: &AtomicBool) {
    let _guard = Stop(stop);
    while !stop.load(Ordering::Relaxed) {
        let limit = usize::try_from(50 + chance.below(951)).unwrap();
        let mut ids = BTreeSet::new();
        let mut still = 0;
        let mut after = None;
        loop {
            let query = Query { after, limit, ..Query::default() };
            let page = store.list(&unique("a"), &query).unwrap();
            for row in &page.rows {
                assert!(ids.insert(row.id), "{} is listed twice", row.id);
                still += usize::from(row.called == "still");
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(still, STILL, "a list misses messages");
        lists.fetch_add(1, Ordering::Relaxed);
    }
}

fn tick(store: &MessageStore, stop: &AtomicBool) {
    let (_to, never) = sync_channel::<()>(0);
    while !stop.load(Ordering::Relaxed) {
        store.tick();
        let _ = never.recv_timeout(Duration::from_millis(500));
    }
}

#[test]
fn a_process_that_lists() {
    let Some(words) = role(BODY) else { return };
    let store = opened(Path::new(&words[0]), None);
    let lists = AtomicU64::new(0);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _guard = Stop(&stop);
        let lookers: Vec<_> = (0..LISTERS)
            .map(|which| {
                let (store, lists, stop) = (&store, &lists, &stop);
                scope.spawn(move || look(store, &mut Chance::new(70 + which as u64), lists, stop))
            })
            .collect();
        scope.spawn(|| tick(&store, &stop));
        // The test reads them one by one, and we wait for it.
        let (to, over) = sync_channel::<()>(0);
        std::thread::spawn(move || {
            while order().is_some() {}
            drop(to);
        });
        while over.recv_timeout(Duration::from_millis(50)) == Err(RecvTimeoutError::Timeout) {
            say(&lists.load(Ordering::Relaxed).to_string());
            assert!(lookers.iter().all(|one| !one.is_finished()), "a list was wrong");
        }
    });
}

//! A store that is moved while servers use it, and whose move is interrupted.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use store::Disk as _;
use store::testbed::{Fault, TornDisk};

use crate::testbed::{World, address, made, open, read, unique, voice};
use crate::*;

fn to() -> PathBuf {
    PathBuf::from("/moved/mail")
}

fn empty() -> TornDisk {
    let disk = TornDisk::new();
    disk.make_folder(Path::new("/moved")).unwrap();
    disk
}

/// What is at the new root, as a server finds it that was told of it.
fn opened(disk: &TornDisk, world: &World, local: &TornDisk) -> MessageStore {
    let (disk, local) = (Arc::new(disk.clone()), Arc::new(local.clone()));
    let spool = Some((local as Arc<dyn store::Disk>, PathBuf::from("/spool")));
    let host = Arc::new(world.host(0));
    let store = MessageStore::open(disk, host, &to(), spool, Options::default()).unwrap();
    store.tick();
    assert_eq!(store.trouble(), None);
    store
}

fn quiet() -> impl FnMut(u64, u64) {
    |_, _| {}
}

/// The one that moves it ends before each call to either disk; another is started and goes on.
#[test]
fn a_move_that_was_interrupted_anywhere_goes_on() {
    for is_old in [true, false] {
        let mut n = 0;
        loop {
            n += 1;
            let world = World::default();
            let (disk, new, local) = (made(&world), empty(), TornDisk::new());
            let store = open(&disk, &world.host(0), None);
            for name in ["a", "b"] {
                store.create(&address(name)).unwrap();
                store.deliver(&voice(1), &[address(name)]).remove(0).unwrap();
            }
            let failing = if is_old { &disk } else { &new };
            failing.fail(n, Fault::Error);
            let first = store.move_to(&new, &to(), &mut quiet());
            let was_met = failing.has_failed();
            std::mem::forget(store);
            if !was_met {
                break;
            }
            if first.is_err() {
                // Perhaps the root was shut, and is no store for anybody else.
                let again = open(&disk, &world.host(0), None);
                let second = again.move_to(&new, &to(), &mut quiet());
                // All was there, and only the last word was missing.
                let is_over = |error: &MailError| error.to_string().contains("has all of");
                assert!(second.as_ref().err().is_none_or(is_over), "{is_old} {n}: {second:?}");
            }
            let store = opened(&new, &world, &local);
            for name in ["a", "b"] {
                assert_eq!(read(&store, name).len(), 1, "{is_old} {n}");
                assert_eq!(store.check(&unique(name), Repair::No).unwrap().faults, vec![]);
            }
            let old = open(&disk, &world.host(0), None);
            let why = old.trouble().unwrap();
            assert!(why.contains("was moved to /moved/mail: set mail.root"), "{why}");
        }
        assert!(n > if is_old { 5 } else { 25 }, "only {n} calls failed");
    }
}

/// Another server delivers, marks and removes before each call of the move.
#[test]
fn what_another_server_acknowledges_during_a_move_is_there_after_it() {
    for deed in 0..3 {
        let mut at = 0;
        loop {
            at += 1;
            let told = format!("deed {deed} before call {at}");
            let world = World::default();
            let (disk, new, local) = (made(&world), empty(), TornDisk::new());
            let mover = open(&disk, &world.host(0), None);
            mover.create(&address("a")).unwrap();
            let ids = [1, 2].map(|n| mover.deliver(&voice(n), &[address("a")]).remove(0).unwrap());
            let ids = ids.map(|receipt| receipt.id);
            let server = open(&disk, &world.host(0), Some(&local));
            let acknowledged = Arc::new(Mutex::new(None));
            let done = Arc::clone(&acknowledged);
            disk.before(at, move || {
                let a = unique("a");
                let outcome = match deed {
                    0 => server.deliver(&voice(3), &[address("a")]).remove(0).is_ok(),
                    1 => server.mark_read(&a, &ids[..1], Reads::Read).is_ok_and(|r| r.len() == 1),
                    _ => server.remove(&a, &ids[..1]).is_ok(),
                };
                *done.lock().unwrap() = Some(outcome);
                // It does not leave as one does who knows.
                std::mem::forget(server);
            });
            mover.move_to(&new, &to(), &mut quiet()).unwrap();
            if !disk.is_done() {
                break;
            }
            drop(mover);
            let acknowledged = acknowledged.lock().unwrap().unwrap();
            let store = opened(&new, &world, &local);
            store.tick();
            assert_eq!(store.pending().len(), 0, "{told}");
            let found = read(&store, "a");
            let first = found.iter().find(|(id, ..)| *id == ids[0]);
            match deed {
                0 => {
                    assert!(acknowledged, "{told}");
                    assert_eq!(found.len(), 3, "{told}");
                }
                // Marked or not, it is there.
                1 => assert!(first.is_some_and(|first| first.3 || !acknowledged), "{told}"),
                _ => assert!(!acknowledged || first.is_none(), "{told}"),
            }
            assert!(found.iter().any(|(id, ..)| *id == ids[1]), "{told}");
            assert_eq!(store.check(&unique("a"), Repair::No).unwrap().faults, vec![], "{told}");
        }
        assert!(at > 40, "only {at} calls");
    }
}

/// One falls asleep within a delivery, wakes after the move, and goes on.
#[test]
fn what_is_delivered_to_a_root_that_was_moved_meanwhile_waits_in_the_spool() {
    let mut at = 0;
    loop {
        at += 1;
        let world = World::default();
        let (disk, new, local) = (made(&world), empty(), TornDisk::new());
        let mover = open(&disk, &world.host(0), None);
        mover.create(&address("a")).unwrap();
        let server = open(&disk, &world.host(0), Some(&local));
        let target = new.clone();
        disk.before(at, move || {
            mover.move_to(&target, &to(), &mut quiet()).unwrap();
        });
        let receipt = server.deliver(&voice(1), &[address("a")]).remove(0).unwrap();
        if !disk.is_done() {
            break;
        }
        std::mem::forget(server);
        let store = opened(&new, &world, &local);
        let found = read(&store, "a");
        assert_eq!(found.len(), 1, "asleep before call {at}");
        assert_eq!(found[0].0, receipt.id);
        assert_eq!(store.check(&unique("a"), Repair::No).unwrap().faults, vec![]);
    }
    assert!(at > 10, "only {at} calls");
}

#[test]
fn a_new_root_that_holds_something_else_is_refused_and_left_as_it_is() {
    let world = World::default();
    let (disk, local) = (made(&world), TornDisk::new());
    let store = open(&disk, &world.host(0), None);
    store.create(&address("a")).unwrap();
    let refused = |new: &TornDisk, words: &str| {
        let before = new.files();
        let error = store.move_to(new, &to(), &mut quiet()).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
        assert_eq!(new.files(), before);
    };
    let other = empty();
    MessageStore::initialise(&other, &world.host(0), &to()).unwrap();
    refused(&other, "is another message store");
    let full = empty();
    store::make_folders(&full, &to().join("photographs")).unwrap();
    refused(&full, "is not empty");
    let new = empty();
    store.move_to(&new, &to(), &mut quiet()).unwrap();
    let after = opened(&new, &world, &local);
    after.deliver(&voice(1), &[address("a")]).remove(0).unwrap();
    // A second time would take away what came since.
    refused(&new, "has all of this message store already");
    assert_eq!(read(&after, "a").len(), 1);
}

#[test]
fn a_second_move_is_refused_and_one_into_a_root_in_use_takes_nothing_there() {
    let world = World::default();
    let (disk, new) = (made(&world), empty());
    let store = open(&disk, &world.host(0), None);
    store.create(&address("a")).unwrap();
    store.deliver(&voice(1), &[address("a")]).remove(0).unwrap();
    let mut second = Vec::new();
    let (other, guard) = (new.clone(), disk);
    let moved = store.move_to(&new, &to(), &mut |done, of| {
        if done == of && second.is_empty() {
            second.push(store.move_to(&empty(), &to(), &mut quiet()).unwrap_err().to_string());
            // Another process was faster, and somebody uses the new root.
            let text = store::read_all(&guard, &Path::new("/mail").join(GUARD), 1 << 16).unwrap();
            store::replace_all(&other, &to().join(GUARD), &text).unwrap();
            store::make_folders(&other, &to().join("A/B/NEW/messages")).unwrap();
        }
    });
    assert_eq!(second, ["it is being moved already"]);
    let why = moved.unwrap_err().to_string();
    assert!(why.contains("is in use already"), "{why}");
    assert!(new.about(&to().join("A/B/NEW/messages")).unwrap().is_folder);
}

//! The power goes, or the disk fails, at every call that changes or syncs something, one after the other.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use store::Disk as _;
use store::testbed::{Fault, Left, TornDisk};

use crate::testbed::{World, address, made, open, read, unique, voice};
use crate::*;

/// What we were told, and so what must be true.
#[derive(Default)]
struct Known {
    /// Acknowledged messages: where they are and whether they were heard. Two when a change of one failed: either
    /// may be.
    messages: BTreeMap<MessageId, Vec<(Folder, bool)>>,
    /// Messages whose removal failed or was cut: they may be there.
    perhaps: BTreeMap<MessageId, ()>,
    subjects: BTreeMap<String, u32>,
    /// Acknowledged messages of the second recipient.
    others: Vec<MessageId>,
}

/// Deliveries, changes and removals, with what is known after each.
fn scenario(store: &MessageStore, known: &mut Known) {
    let a = unique("a");
    let mut ids = Vec::new();
    for n in 0..6 {
        *known.subjects.entry(format!("message {n}")).or_default() += 1;
        let recipients = [address("a"), address("b")];
        let to = if n % 3 == 1 { &recipients[..] } else { &recipients[..1] };
        let mut receipts = store.deliver(&voice(n), to).into_iter();
        if let Some(Ok(receipt)) = receipts.next() {
            ids.push(receipt.id);
            known.messages.insert(receipt.id, vec![(Folder::Inbox, false)]);
        }
        known.others.extend(receipts.flatten().map(|receipt| receipt.id));
        if n == 2 {
            store.tick();
        }
    }
    let change = |known: &mut Known, id: MessageId, folder: Folder, read: bool| {
        let done = store.change(&a, &[id], |_, marks| (folder, Marks { read, ..marks }));
        let states = known.messages.get_mut(&id).unwrap();
        // One in the spool is not there yet, and passed over.
        match done {
            Ok(rows) if rows.len() == 1 => *states = vec![(folder, read)],
            Ok(_) => {}
            Err(_) => states.push((folder, read)),
        }
    };
    for (place, id) in ids.iter().enumerate().take(4) {
        change(known, *id, if place % 2 == 0 { Folder::Saved } else { Folder::Inbox }, true);
    }
    if let [_, _, third, fourth, ..] = ids[..] {
        let listed = |id| store.message(&a, id).is_ok();
        let there = (listed(third), listed(fourth));
        match store.remove(&a, &[third, fourth]) {
            Ok(()) => {
                for (id, there) in [(third, there.0), (fourth, there.1)] {
                    if there {
                        known.messages.remove(&id);
                    }
                }
            }
            Err(_) => {
                for id in [third, fourth] {
                    known.messages.remove(&id);
                    known.perhaps.insert(id, ());
                }
            }
        }
    }
    store.tick();
}

/// Opens what is left and compares it with what is known.
fn verify(world: &World, disk: &TornDisk, local: &TornDisk, known: &Known, told: &str) {
    // The lease of the one that died is over.
    world.pass(LEASE * 2);
    let store = open(disk, &world.host(0), Some(local));
    store.tick();
    store.tick();
    assert_eq!(store.pending().len(), 0, "{told}: {:?}", store.pending());
    // Reading compares every byte.
    let found = read(&store, "a");
    let mut times: BTreeMap<&str, u32> = BTreeMap::new();
    for (id, subject, folder, heard) in &found {
        *times.entry(subject).or_default() += 1;
        if let Some(states) = known.messages.get(id) {
            assert!(
                states.contains(&(*folder, *heard)),
                "{told}: {subject} is {folder:?} {heard}, not one of {states:?}"
            );
        }
    }
    for (subject, times) in times {
        assert!(times <= known.subjects[subject], "{told}: {subject} is there {times} times");
    }
    for id in known.messages.keys() {
        assert!(
            found.iter().any(|(there, ..)| there == id),
            "{told}: {id} was acknowledged and is gone"
        );
    }
    let others = read(&store, "b");
    for id in &known.others {
        let times = others.iter().filter(|(there, ..)| there == id).count();
        assert_eq!(times, 1, "{told}: {id} of the second recipient");
    }
    let checked = store.check(&unique("a"), Repair::No).unwrap();
    let real: Vec<_> =
        checked.faults.iter().filter(|f| !f.what.starts_with("it belongs to no")).collect();
    assert!(real.is_empty(), "{told}: {real:?}");
    // It goes on as if nothing had been.
    let receipt = store.deliver(&voice(99), &[address("a")]).remove(0).unwrap();
    assert_eq!(receipt.place, Place::Mailbox, "{told}");
    assert_eq!(read(&store, "a").len(), found.len() + 1);
}

fn begin(world: &World) -> (TornDisk, TornDisk) {
    let (disk, local) = (made(world), TornDisk::new());
    let store = open(&disk, &world.host(0), Some(&local));
    store.create(&address("a")).unwrap();
    store.create(&address("b")).unwrap();
    (disk, local)
}

/// The power goes before the n-th call, for every n; what was not synced is then gone, there, or by chance.
#[test]
fn a_power_cut_at_any_moment_loses_and_tears_nothing_that_was_acknowledged() {
    let lefts = || [Left::Nothing, Left::Everything].into_iter().chain((0..6).map(Left::Chance));
    let mut n = 0;
    loop {
        n += 1;
        let mut met = false;
        for left in lefts() {
            let world = World::default();
            let (disk, local) = begin(&world);
            let host = world.host(0);
            let mut known = Known::default();
            let store = open(&disk, &host, Some(&local));
            disk.fail(n, Fault::Cut);
            scenario(&store, &mut known);
            met = disk.has_failed();
            // The machine is gone: so is the disk that the spool is on.
            let (disk, local) = (disk.cut(left), local.cut(left));
            world.kill(&host);
            drop(store);
            verify(&world, &disk, &local, &known, &format!("cut before call {n}, {left:?}"));
        }
        if !met {
            break;
        }
    }
    assert!(n > 60, "only {n} calls were cut");
}

/// Every n-th call fails once, with an error or for want of room; what failed is not acknowledged, or is in the
/// spool; then the power goes too.
#[test]
fn an_error_or_a_full_disk_at_any_moment_loses_and_tears_nothing_that_was_acknowledged() {
    for fault in [Fault::Error, Fault::Full] {
        let mut n = 0;
        loop {
            n += 1;
            let mut met = false;
            for left in
                [None, Some(Left::Nothing), Some(Left::Chance(n)), Some(Left::Chance(n + 1_000))]
            {
                let world = World::default();
                let (disk, local) = begin(&world);
                let host = world.host(0);
                let mut known = Known::default();
                let store = open(&disk, &host, Some(&local));
                disk.fail(n, fault);
                scenario(&store, &mut known);
                met = disk.has_failed();
                let (disk, local) = match left {
                    Some(left) => (disk.cut(left), local.cut(left)),
                    None => (disk, local),
                };
                world.kill(&host);
                drop(store);
                verify(&world, &disk, &local, &known, &format!("{fault:?} at call {n}, {left:?}"));
            }
            if !met {
                break;
            }
        }
        assert!(n > 60, "only {n} calls failed");
    }
}

/// What a full disk left of taking a mailbox over is in nobody's way when there is room again.
#[test]
fn a_mailbox_that_could_not_be_taken_over_is_taken_over_at_once_when_there_is_room() {
    let a = unique("a");
    let mut n = 0;
    loop {
        n += 1;
        let world = World::default();
        let disk = made(&world);
        let first = open(&disk, &world.host(0), None);
        first.create(&address("a")).unwrap();
        let id = first.deliver(&voice(1), &[address("a")]).remove(0).unwrap().id;
        first.close();
        let host = world.host(0);
        let store = open(&disk, &host, None);
        disk.fail(n, Fault::Full);
        let _ = store.mark_read(&a, &[id], Reads::Read);
        if !disk.has_failed() {
            break;
        }
        let before = host.uptime();
        let rows = store.mark_read(&a, &[id], Reads::Read).unwrap();
        assert!(rows[0].marks.read, "call {n}");
        assert!(host.uptime() - before < Duration::from_secs(1), "call {n}: it waited");
    }
    assert!(n > 5, "only {n} calls failed");
}

/// The catalog cannot be written; a list says what the files say all the same.
#[test]
fn on_a_full_disk_a_list_is_what_the_files_are() {
    let a = unique("a");
    let mut n = 0;
    loop {
        n += 1;
        let world = World::default();
        let disk = made(&world);
        let host = world.host(0);
        let first = open(&disk, &host, None);
        first.create(&address("a")).unwrap();
        let deliver = |n| first.deliver(&voice(n), &[address("a")]).remove(0).unwrap().id;
        let [kept, gone] = [deliver(1), deliver(2)];
        let is_theirs = |path: &PathBuf| path.to_string_lossy().contains(&gone.to_string());
        for path in disk.files().into_iter().filter(is_theirs) {
            disk.remove(&path).unwrap();
        }
        world.kill(&host);
        let store = open(&disk, &world.host(0), None);
        disk.fail(n, Fault::Full);
        let listed = store.list(&a, &Query::default());
        if !disk.has_failed() {
            break;
        }
        // A sync that fails is no lack of room, and an error; the next list is right then.
        let page = listed.or_else(|_| store.list(&a, &Query::default())).unwrap();
        let ids: Vec<_> = page.rows.iter().map(|row| row.id).collect();
        assert_eq!(ids, [kept], "call {n}");
    }
    assert!(n > 3, "only {n} calls failed");
}

/// The disk of the spool fails while the root is away: then nothing is acknowledged that is not kept.
#[test]
fn a_spool_that_fails_acknowledges_nothing() {
    for fault in [Fault::Cut, Fault::Error, Fault::Full] {
        for n in 1..30 {
            let world = World::default();
            let (disk, local) = begin(&world);
            let host = world.host(0);
            let mut known = Known::default();
            let store = open(&disk, &host, Some(&local));
            disk.unplug(true);
            local.fail(n, fault);
            for n in 0..3 {
                *known.subjects.entry(format!("message {n}")).or_default() += 1;
                if let Ok(receipt) = store.deliver(&voice(n), &[address("a")]).remove(0) {
                    known.messages.insert(receipt.id, vec![(Folder::Inbox, false)]);
                }
            }
            disk.unplug(false);
            let local = local.cut(Left::Chance(n));
            world.kill(&host);
            drop(store);
            verify(&world, &disk, &local, &known, &format!("{fault:?} of the spool at {n}"));
        }
    }
}

/// A share says that it failed, does all the same what it was asked for, and loses a part of it later.
#[test]
fn what_waits_in_the_spool_replaces_what_the_first_attempt_left_broken() {
    let world = World::default();
    let (disk, local) = (made(&world), TornDisk::new());
    let store = open(&disk, &world.host(0), Some(&local));
    store.create(&address("a")).unwrap();
    let before = disk.calls();
    store.deliver(&voice(1), &[address("a")]).remove(0).unwrap();
    let mut failed = 0;
    for at in 1..=disk.calls() - before {
        disk.fail(at, Fault::Error);
        let receipt = store.deliver(&voice(2), &[address("a")]).remove(0).unwrap();
        if receipt.place == Place::Spool {
            failed += 1;
            // If its envelope is there, somebody lists it.
            store.check(&unique("a"), Repair::Yes).unwrap();
            let attachments = disk.files().into_iter().filter(|file| {
                let name = file.file_name().unwrap().to_string_lossy().into_owned();
                name.contains(&receipt.id.to_string()) && name.contains(".a")
            });
            attachments.for_each(|file| disk.remove(&file).unwrap());
            store.tick();
        }
        assert_eq!(store.pending().len(), 0, "call {at}");
        assert!(read(&store, "a").iter().any(|(id, ..)| *id == receipt.id), "call {at}");
    }
    assert!(failed > 5, "{failed}");
    assert!(store.quarantined() > 0);
}

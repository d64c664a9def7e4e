//! Several hosts on one root, with calendars that differ by minutes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::node::{Node, Notice};
use crate::testbed::{ROOT, World, address, made, open, read, unique, voice};
use crate::*;

#[test]
fn a_mailbox_goes_from_host_to_host_and_each_sees_what_the_other_did() {
    let world = World::default();
    let disk = made(&world);
    let one = Arc::new(open(&disk, &world.host(300), None));
    let two = Arc::new(open(&disk, &world.host(-300), None));
    one.create(&address("a")).unwrap();
    let a = unique("a");
    let tick = [Arc::clone(&one), Arc::clone(&two)];
    world.meanwhile(move || tick.iter().for_each(|store| store.tick()));
    let mut ids = Vec::new();
    for n in 0..20 {
        let store = if n % 2 == 0 { &one } else { &two };
        ids.push(store.deliver(&voice(n), &[address("a")]).remove(0).unwrap().id);
        store.mark_read(&a, &ids[ids.len() - 1..], Reads::Read).unwrap();
    }
    one.tick();
    two.tick();
    for store in [&one, &two] {
        let found = read(store, "a");
        assert_eq!(found.len(), 20);
        assert!(found.iter().all(|(.., read)| *read));
    }
    let uids: BTreeSet<_> = one
        .list(&a, &Query { limit: 1_000, ..Query::default() })
        .unwrap()
        .rows
        .iter()
        .map(|r| r.uid)
        .collect();
    assert_eq!(uids.len(), 20);
}

#[test]
fn a_host_that_does_not_own_the_mailbox_delivers_and_the_owner_tells() {
    let world = World::default();
    let disk = made(&world);
    let (one, two) = (open(&disk, &world.host(0), None), open(&disk, &world.host(0), None));
    one.create(&address("a")).unwrap();
    one.deliver(&voice(1), &[address("a")]).remove(0).unwrap();
    one.tick();
    two.tick();
    let mut events = one.subscribe();
    let receipt = two.deliver(&voice(2), &[address("a")]).remove(0).unwrap();
    assert_eq!(receipt.place, Place::Mailbox);
    one.tick();
    let event = events.try_recv().unwrap();
    assert!(matches!(event.what, MailChange::Added { message } if message.id == receipt.id));
    // And the other way: who does not own it hears what the owner did.
    let mut events = two.subscribe();
    assert_eq!(read(&two, "a").len(), 2);
    one.mark_read(&unique("a"), &[receipt.id], Reads::Read).unwrap();
    two.tick();
    let told: Vec<_> = std::iter::from_fn(|| events.try_recv().ok()).collect();
    assert!(
        told.iter().any(
            |event| matches!(&event.what, MailChange::Changed { message } if message.marks.read)
        ),
        "{told:?}"
    );
}

#[test]
fn who_does_not_own_a_mailbox_hears_what_came_and_what_went() {
    let world = World::default();
    let disk = made(&world);
    let (one, two) = (open(&disk, &world.host(0), None), open(&disk, &world.host(0), None));
    one.create(&address("a")).unwrap();
    let a = unique("a");
    let first = one.deliver(&voice(1), &[address("a")]).remove(0).unwrap().id;
    assert_eq!(read(&two, "a").len(), 1);
    one.tick();
    two.tick();
    let mut events = two.subscribe();
    let second = one.deliver(&voice(2), &[address("a")]).remove(0).unwrap().id;
    one.remove(&a, &[first]).unwrap();
    two.tick();
    let told: Vec<_> = std::iter::from_fn(|| events.try_recv().ok()).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(matches!(&told[0].what, MailChange::Added { message } if message.id == second));
    assert!(matches!(told[1].what, MailChange::Removed { id } if id == first));
    // The lamp goes by this.
    assert_eq!(told[1].counts.unwrap().messages, 1);
}

#[test]
fn a_host_that_sleeps_and_wakes_has_lost_its_mailboxes_and_notices() {
    let world = World::default();
    let disk = made(&world);
    let (one, two) = (open(&disk, &world.host(0), None), open(&disk, &world.host(120), None));
    one.create(&address("a")).unwrap();
    let a = unique("a");
    let first = one.deliver(&voice(1), &[address("a")]).remove(0).unwrap().id;
    one.tick();
    two.tick();
    // The owner sleeps for a minute; the other works on after the lease.
    for _ in 0..60 {
        world.pass(Duration::from_secs(1));
        two.tick();
    }
    two.mark_read(&a, &[first], Reads::Read).unwrap();
    let second = two.deliver(&voice(2), &[address("a")]).remove(0).unwrap().id;
    two.remove(&a, &[first]).unwrap();
    // It wakes with a lease that is stale, and wants to change what is no more.
    let tick = Arc::new(two);
    let ticking = Arc::clone(&tick);
    world.meanwhile(move || ticking.tick());
    let third = one.deliver(&voice(3), &[address("a")]).remove(0).unwrap().id;
    assert!(one.mark_read(&a, &[first], Reads::Unread).unwrap().is_empty());
    let found: BTreeSet<_> = read(&one, "a").into_iter().map(|(id, ..)| id).collect();
    assert_eq!(found, [second, third].into());
    tick.tick();
    assert_eq!(read(&tick, "a").len(), 2);
    assert_eq!(one.check(&a, Repair::No).unwrap().faults, vec![]);
}

#[test]
fn the_mailboxes_of_a_host_that_died_are_free_after_its_lease_or_at_once_on_the_same_machine() {
    for surely in [true, false] {
        let world = World::default();
        let disk = made(&world);
        let host = world.host(0);
        let one = open(&disk, &host, None);
        one.create(&address("a")).unwrap();
        let id = one.deliver(&voice(1), &[address("a")]).remove(0).unwrap().id;
        let two = open(&disk, &world.host(0), None);
        std::mem::forget(one);
        if surely {
            world.kill(&host);
        }
        let before = two.mark_read(&unique("a"), &[id], Reads::Read);
        match before {
            Ok(_) => {}
            Err(error) => panic!("{surely}: {error}"),
        }
        assert_eq!(read(&two, "a").len(), 1);
    }
}

#[test]
fn a_host_that_is_alive_and_does_not_let_go_is_named() {
    let world = World::default();
    let disk = made(&world);
    let one = Arc::new(open(&disk, &world.host(0), None));
    let two = open(&disk, &world.host(0), None);
    one.create(&address("a")).unwrap();
    let id = one.deliver(&voice(1), &[address("a")]).remove(0).unwrap().id;
    // It gives signs of life, and hears nothing.
    let alive = disk.files().into_iter().find(|file| file.ends_with("alive")).unwrap();
    let beat = disk;
    world.meanwhile(move || {
        use store::Disk as _;
        beat.append(&alive).unwrap().write_all(b".").unwrap();
    });
    let busy = two.mark_read(&unique("a"), &[id], Reads::Read);
    assert!(matches!(&busy, Err(MailError::Busy(node)) if node.starts_with("h2-")), "{busy:?}");
    // Delivering needs nobody's leave.
    two.deliver(&voice(2), &[address("a")]).remove(0).unwrap();
}

/// What a host does while another is anywhere in the middle of something, asleep.
fn deed(store: &MessageStore, which: usize, ids: &[MessageId], n: u32) -> Option<MessageId> {
    let a = unique("a");
    match which {
        0 => {
            return store
                .deliver(&voice(n), &[address("a")])
                .remove(0)
                .ok()
                .map(|receipt| receipt.id);
        }
        1 => drop(store.change(&a, &ids[..1], |_, marks| (Folder::Saved, marks))),
        2 => drop(store.mark_read(&a, &ids[..2], Reads::Read)),
        _ => store.remove(&a, &ids[1..2]).unwrap(),
    }
    None
}

/// Every host lists what the files say, and that is what is wanted.
fn agree(stores: &[&MessageStore], wanted: &BTreeSet<MessageId>, told: &str) {
    for store in stores {
        // Before anything is read: reading would find out what a catalog does not know.
        let checked = store.check(&unique("a"), Repair::No).unwrap();
        assert_eq!(checked.faults, vec![], "{told}");
        let found = read(store, "a");
        assert_eq!(found.len(), wanted.len(), "{told}");
        let found: BTreeSet<_> = found.into_iter().map(|(id, ..)| id).collect();
        assert_eq!(found, *wanted, "{told}");
    }
}

/// The owner falls asleep before each of its calls to the disk in turn; another takes the mailbox over and works; the
/// owner wakes and goes on as if nothing had been.
#[test]
fn an_owner_that_wakes_in_the_middle_of_anything_harms_nothing() {
    for (mine, theirs) in (0..4).flat_map(|mine| (0..4).map(move |theirs| (mine, theirs))) {
        let mut at = 0;
        loop {
            at += 1;
            let told = format!("deed {mine}, asleep before call {at}, other deed {theirs}");
            let world = World::default();
            let disk = made(&world);
            let one = open(&disk, &world.host(0), None);
            let two = Arc::new(open(&disk, &world.host(90), None));
            one.create(&address("a")).unwrap();
            let mut ids: Vec<_> = (0..3)
                .map(|n| one.deliver(&voice(n), &[address("a")]).remove(0).unwrap().id)
                .collect();
            one.tick();
            two.tick();
            let mut events = [one.subscribe(), two.subscribe()];
            let (other, theirs_ids, time) = (Arc::clone(&two), ids.clone(), world.clone());
            let new = Arc::new(std::sync::Mutex::new(None));
            let made = Arc::clone(&new);
            disk.before(at, move || {
                for _ in 0..20 {
                    time.pass(Duration::from_secs(1));
                    other.tick();
                }
                *made.lock().unwrap() = deed(&other, theirs, &theirs_ids, 8);
            });
            let ticking = Arc::clone(&two);
            world.meanwhile(move || ticking.tick());
            ids.extend(deed(&one, mine, &ids, 7));
            let was_met = disk.is_done();
            if !was_met {
                break;
            }
            ids.extend(new.lock().unwrap().take());
            one.tick();
            two.tick();
            one.tick();
            let removed = mine == 3 || theirs == 3;
            let keeps = |(at, id): (usize, &MessageId)| (!(removed && at == 1)).then_some(*id);
            let wanted = ids.iter().enumerate().filter_map(keeps).collect();
            agree(&[&two, &one], &wanted, &told);
            // No number ever meant two messages, to nobody.
            let mut numbers = std::collections::BTreeMap::new();
            let all = Query { limit: 100, ..Query::default() };
            let listed = one.list(&unique("a"), &all).unwrap().rows;
            let told_of =
                events.iter_mut().flat_map(|events| std::iter::from_fn(|| events.try_recv().ok()));
            let told_of: Vec<_> = told_of
                .filter_map(|event| match event.what {
                    MailChange::Added { message } | MailChange::Changed { message } => {
                        Some(*message)
                    }
                    MailChange::Removed { .. }
                    | MailChange::Quarantined { .. }
                    | MailChange::Spooled { .. }
                    | MailChange::MailboxDeleted
                    | MailChange::Unspecified
                    | MailChange::MailboxRestored => None,
                })
                .collect();
            for row in listed.iter().chain(&told_of) {
                let before = numbers.insert(row.uid, row.id);
                assert!(before.is_none_or(|id| id == row.id), "{told}: number {}", row.uid);
            }
        }
        assert!(at > 5, "{mine}: only {at} calls");
    }
}

/// Three hosts: the owner lets the mailbox go to the second, and the third delivers at each moment of that.
#[test]
fn what_a_third_host_delivers_while_a_mailbox_changes_hands_is_listed() {
    let mut at = 0;
    loop {
        at += 1;
        let world = World::default();
        let disk = made(&world);
        let hosts = [0; 3].map(|skew| Arc::new(open(&disk, &world.host(skew), None)));
        let [one, two, three] = hosts.clone();
        one.create(&address("a")).unwrap();
        let mut ids: Vec<_> =
            (0..2).map(|n| one.deliver(&voice(n), &[address("a")]).remove(0).unwrap().id).collect();
        hosts.iter().for_each(|host| host.tick());
        let lets_go = Arc::new(AtomicBool::new(false));
        let (giving, is_giving) = (Arc::clone(&lets_go), Arc::clone(&lets_go));
        world.meanwhile(move || {
            giving.store(true, Ordering::Relaxed);
            one.tick();
            giving.store(false, Ordering::Relaxed);
        });
        let new = Arc::new(std::sync::Mutex::new(None));
        let (made, other, third) = (Arc::clone(&new), Arc::clone(&two), three);
        disk.before(at, move || {
            if is_giving.load(Ordering::Relaxed) {
                *made.lock().unwrap() = deed(&third, 0, &[], 7);
                other.tick();
            }
        });
        assert_eq!(two.mark_read(&unique("a"), &ids[..1], Reads::Read).unwrap().len(), 1);
        if !disk.is_done() {
            break;
        }
        ids.extend(new.lock().unwrap().take());
        hosts.iter().chain(&hosts).for_each(|host| host.tick());
        let [one, two, three] = hosts.each_ref().map(Arc::as_ref);
        agree(&[one, two, three], &ids.into_iter().collect(), &format!("before call {at}"));
    }
    assert!(at > 20, "only {at} calls");
}

#[test]
fn what_a_host_delivered_that_left_at_once_is_listed() {
    let world = World::default();
    let disk = made(&world);
    let (one, two) = (open(&disk, &world.host(0), None), open(&disk, &world.host(0), None));
    one.create(&address("a")).unwrap();
    let mut ids = BTreeSet::new();
    ids.extend(deed(&one, 0, &[], 1));
    one.tick();
    ids.extend(deed(&two, 0, &[], 2));
    two.close();
    one.tick();
    agree(&[&one], &ids, "the other has left");
    let nodes = one.nodes().unwrap();
    assert!(nodes.iter().all(|node| node.is_this || !node.is_alive), "{nodes:?}");
}

/// The old owner falls asleep before it renames a message; another takes the mailbox over; the old one wakes and renames;
/// then the new one is to do something with that message before it has heard of it.
#[test]
fn what_an_owner_is_told_to_do_is_done_although_another_renamed_the_message_just_now() {
    for (mine, theirs) in (1..3).flat_map(|mine| (1..4).map(move |theirs| (mine, theirs))) {
        let mut at = 0;
        loop {
            at += 1;
            let told = format!("deed {mine}, asleep before call {at}, then deed {theirs}");
            let world = World::default();
            let disk = made(&world);
            let one = open(&disk, &world.host(0), None);
            let two = Arc::new(open(&disk, &world.host(0), None));
            one.create(&address("a")).unwrap();
            let ids: Vec<_> = (0..3)
                .map(|n| one.deliver(&voice(n), &[address("a")]).remove(0).unwrap().id)
                .collect();
            one.tick();
            two.tick();
            let (other, last, time) = (Arc::clone(&two), ids[2], world.clone());
            disk.before(at, move || {
                for _ in 0..20 {
                    time.pass(Duration::from_secs(1));
                    other.tick();
                }
                other.mark_read(&unique("a"), &[last], Reads::Read).unwrap();
            });
            let ticking = Arc::clone(&two);
            world.meanwhile(move || ticking.tick());
            deed(&one, mine, &ids, 7);
            if !disk.is_done() {
                break;
            }
            deed(&two, theirs, &ids, 8);
            one.tick();
            two.tick();
            let found = read(&two, "a");
            let state = |id| found.iter().find(|one| one.0 == id).map(|one| (one.2, one.3));
            match theirs {
                1 => assert_eq!(state(ids[0]).map(|s| s.0), Some(Folder::Saved), "{told}"),
                2 => assert!([0, 1].iter().all(|n| state(ids[*n]).unwrap().1), "{told}"),
                _ => assert_eq!(state(ids[1]), None, "{told}"),
            }
        }
        assert!(at > 2, "{mine}: only {at} calls");
    }
}

/// The owner delivers whenever the other looks whether it let go.
#[test]
fn a_busy_owner_that_let_a_mailbox_go_leaves_it_to_the_one_who_asked() {
    let world = World::default();
    let disk = made(&world);
    let host = world.host(0);
    let (one, two) = (open(&disk, &world.host(0), None), open(&disk, &host, None));
    one.create(&address("a")).unwrap();
    let id = one.deliver(&voice(1), &[address("a")]).remove(0).unwrap().id;
    one.tick();
    two.tick();
    let before = host.uptime();
    let mut n = 1;
    world.meanwhile(move || {
        n += 1;
        one.tick();
        assert!(one.deliver(&voice(n), &[address("a")]).remove(0).is_ok());
    });
    let rows = two.mark_read(&unique("a"), &[id], Reads::Read).unwrap();
    assert!(rows[0].marks.read);
    assert!(host.uptime() - before < Duration::from_secs(1), "it waited");
    assert!(read(&two, "a").len() > 1);
}

/// A host that dies between making its claim and writing its name into it.
#[test]
fn a_claim_without_a_name_keeps_nobody_who_is_alone_and_others_for_a_lease() {
    for alone in [true, false] {
        let world = World::default();
        let disk = made(&world);
        let host = world.host(0);
        let one = open(&disk, &host, None);
        one.create(&address("a")).unwrap();
        one.deliver(&voice(1), &[address("a")]).remove(0).unwrap();
        let log = disk.files().into_iter().find(|f| f.to_string_lossy().contains("catalog/log"));
        let log = log.unwrap();
        drop(one);
        let whole = store::read_all(&disk, &log, 1 << 20).unwrap();
        // The next one delivered, made its claim, and died before it wrote a byte of it.
        let second = open(&disk, &host, None);
        let receipt = second.deliver(&voice(2), &[address("a")]).remove(0).unwrap();
        std::mem::forget(second);
        world.kill(&host);
        let name = log.file_name().unwrap().to_string_lossy().into_owned();
        let epoch: u64 = name.strip_prefix("log.").unwrap().parse().unwrap();
        let next = log.with_file_name(format!("log.{:010}", epoch + 1));
        store::Disk::remove(&disk, &next).unwrap();
        store::Disk::create(&disk, &next).unwrap();
        store::Disk::create(&disk, &log).unwrap().write_all(&whole).unwrap();
        let other = (!alone).then(|| open(&disk, &world.host(0), None));
        let third = open(&disk, &world.host(0), None);
        if let Some(other) = &other {
            // It may be the one that is about to write its name.
            assert_eq!(read(&third, "a").len(), 1);
            for _ in 0..12 {
                world.pass(Duration::from_secs(1));
                other.tick();
                third.tick();
            }
        }
        let found = read(&third, "a");
        assert!(found.len() == 2 && found.iter().any(|(id, ..)| *id == receipt.id), "{alone}");
    }
}

/// A sweep, or whatever takes a mailbox for long, is no reason to be taken for dead.
#[test]
fn who_works_long_at_a_mailbox_gives_signs_of_life_and_keeps_it() {
    let world = World::default();
    let disk = made(&world);
    let one = Arc::new(open(&disk, &world.host(0), None));
    let two = Arc::new(open(&disk, &world.host(0), None));
    one.create(&address("a")).unwrap();
    let ids: Vec<_> =
        (0..3).map(|n| one.deliver(&voice(n), &[address("a")]).remove(0).unwrap().id).collect();
    one.tick();
    two.tick();
    let (working, other, time) = (Arc::clone(&one), Arc::clone(&two), world.clone());
    let beating = Arc::clone(&one);
    let mut seconds = 0;
    world.meanwhile(move || {
        seconds += 1;
        if seconds % 50 == 0 {
            beating.beat();
        }
    });
    let wanted = ids[2];
    // In the middle of the removal, with the mailbox in its hands.
    disk.before(8, move || {
        for _ in 0..30 {
            time.pass(Duration::from_secs(1));
            working.beat();
            other.tick();
        }
        let refused = other.mark_read(&unique("a"), &[wanted], Reads::Read);
        assert!(matches!(refused, Err(MailError::Busy(_))), "{refused:?}");
    });
    one.remove(&unique("a"), &ids[..2]).unwrap();
    assert!(disk.is_done());
    agree(&[&one], &[wanted].into(), "after the removal");
}

#[test]
fn a_host_that_let_a_mailbox_go_is_told_what_happens_there_then() {
    let world = World::default();
    let disk = made(&world);
    let one = Arc::new(open(&disk, &world.host(0), None));
    let two = open(&disk, &world.host(0), None);
    one.create(&address("a")).unwrap();
    let a = unique("a");
    let first = one.deliver(&voice(1), &[address("a")]).remove(0).unwrap().id;
    one.tick();
    two.tick();
    let mut events = one.subscribe();
    let giving = Arc::clone(&one);
    world.meanwhile(move || giving.tick());
    two.mark_read(&a, &[first], Reads::Read).unwrap();
    let second = two.deliver(&voice(2), &[address("a")]).remove(0).unwrap().id;
    one.tick();
    let told: Vec<_> = std::iter::from_fn(|| events.try_recv().ok()).map(|e| e.what).collect();
    let is_marked = |one: &MailChange| matches!(one, MailChange::Changed { message } if message.id == first && message.marks.read);
    let is_new =
        |one: &MailChange| matches!(one, MailChange::Added { message } if message.id == second);
    assert!(told.len() == 2 && told.iter().any(is_marked) && told.iter().any(is_new), "{told:?}");
}

/// A host that owns nothing delivers, and the owner dies before it hears of that.
#[test]
fn who_listens_to_a_mailbox_that_nobody_has_is_told_what_came() {
    let world = World::default();
    let disk = made(&world);
    let host = world.host(0);
    let (owner, sender) = (open(&disk, &host, None), open(&disk, &world.host(0), None));
    let listener = open(&disk, &world.host(0), None);
    owner.create(&address("a")).unwrap();
    owner.deliver(&voice(1), &[address("a")]).remove(0).unwrap();
    [&owner, &sender, &listener].into_iter().for_each(MessageStore::tick);
    assert_eq!(read(&listener, "a").len(), 1);
    let mut events = listener.subscribe();
    let id = sender.deliver(&voice(2), &[address("a")]).remove(0).unwrap().id;
    world.kill(&host);
    std::mem::forget(owner);
    listener.tick();
    let told: Vec<_> = std::iter::from_fn(|| events.try_recv().ok()).map(|e| e.what).collect();
    assert!(matches!(&told[..], [MailChange::Added { message }] if message.id == id), "{told:?}");
}

/// The log cannot be written to at one call after the other; what happened is told all the same, once, when it is known
/// which numbers it has.
#[test]
fn what_could_not_be_written_down_is_told_later() {
    let a = unique("a");
    let mut n = 0;
    loop {
        n += 1;
        let world = World::default();
        let disk = made(&world);
        let store = open(&disk, &world.host(0), None);
        store.create(&address("a")).unwrap();
        let id = store.deliver(&voice(1), &[address("a")]).remove(0).unwrap().id;
        let mut events = store.subscribe();
        disk.fail(n, store::testbed::Fault::Error);
        let marked = store.mark_read(&a, &[id], Reads::Read);
        if !disk.has_failed() {
            break;
        }
        store.tick();
        store.tick();
        let heard = read(&store, "a")[0].3;
        let told: Vec<_> = std::iter::from_fn(|| events.try_recv().ok()).map(|e| e.what).collect();
        let changes = told.iter().filter(
            |one| matches!(one, MailChange::Changed { message } if message.marks.read == heard),
        );
        assert_eq!(changes.count(), usize::from(heard), "call {n}: {marked:?} {told:?}");
        assert_eq!(told.len(), usize::from(heard), "call {n}: {told:?}");
    }
    assert!(n > 2, "only {n} calls failed");
}

/// What a node tells is in files that are taken away one after the other.
#[test]
fn what_a_host_tells_takes_no_more_than_its_room_and_each_hears_all_of_it() {
    let world = World::default();
    let disk = made(&world);
    let shared: Arc<dyn store::Disk> = Arc::new(disk.clone());
    let join =
        || Node::join(Arc::clone(&shared), Arc::new(world.host(0)), Path::new(ROOT)).unwrap();
    let (one, two, late) = (join(), join(), join());
    one.all().unwrap();
    let leaf = |n: u32| format!("{n:0100}");
    let mut heard = Vec::new();
    for n in 0..40_000 {
        one.tell(Notice::Changed, &leaf(n)).unwrap();
        if n % 7_000 == 0 {
            let some = two.hear().unwrap();
            assert!(!some.has_missed);
            heard.extend(some.notices);
        }
    }
    heard.extend(two.hear().unwrap().notices);
    heard.extend(two.hear().unwrap().notices);
    assert_eq!(heard.len(), 40_000);
    assert!((0..).zip(&heard).all(|(n, (_, told))| *told == leaf(n)));
    let files = disk.files().into_iter().filter(|file| file.to_string_lossy().contains("notices."));
    let bytes: u64 = files.map(|file| store::Disk::about(&disk, &file).unwrap().bytes).sum();
    assert!((1 << 20..3 << 20).contains(&bytes), "{bytes}");
    // Who did not look for long knows that it has missed some, and hears the rest.
    let some = late.hear().unwrap();
    assert!(some.has_missed && some.notices.last().unwrap().1 == leaf(39_999));
    assert!(!late.hear().unwrap().has_missed);
}

#[test]
fn who_missed_what_was_told_looks_at_all_mailboxes() {
    let world = World::default();
    let disk = made(&world);
    let (one, two) = (open(&disk, &world.host(0), None), open(&disk, &world.host(0), None));
    one.create(&address("a")).unwrap();
    let a = unique("a");
    let id = one.deliver(&voice(1), &[address("a")]).remove(0).unwrap().id;
    one.tick();
    two.tick();
    two.list(&a, &Query::default()).unwrap();
    let mut events = two.subscribe();
    one.mark_read(&a, &[id], Reads::Read).unwrap();
    let told = |path: &PathBuf| {
        path.to_string_lossy().contains("notices.")
            && store::Disk::about(&disk, path).unwrap().bytes > 0
    };
    let notices = disk.files().into_iter().find(told).unwrap();
    store::Disk::replace(&disk, &notices, &notices.with_file_name("notices.00000009")).unwrap();
    store::Disk::remove(&disk, &notices.with_file_name("notices.00000009")).unwrap();
    store::Disk::create(&disk, &notices.with_file_name("notices.00000010")).unwrap();
    two.tick();
    let event = events.try_recv().unwrap();
    assert!(matches!(event.what, MailChange::Changed { message } if message.marks.read));
}

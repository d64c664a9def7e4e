mod damage;
mod hooked;
mod mails;
mod moves;
mod power;
mod seams;
mod several;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use store::Disk as _;

use crate::testbed::{World, address, made, open, read, unique, voice};
use crate::*;

#[test]
fn a_message_is_delivered_listed_heard_moved_and_removed() {
    let world = World::default();
    let disk = made(&world);
    let store = open(&disk, &world.host(0), None);
    let mut events = store.subscribe();
    store.create(&address("My.Name")).unwrap();
    let receipts = store.deliver(&voice(1), &[address("my.name"), address("nobody")]);
    let receipt = receipts[0].as_ref().unwrap();
    assert_eq!(receipt.place, Place::Mailbox);
    assert!(matches!(&receipts[1], Err(MailError::NoSuchMailbox(who)) if who == "nobody"));
    let me = unique("MY.NAME");
    let page = store.list(&me, &Query::default()).unwrap();
    assert_eq!((page.rows.len(), page.rows[0].uid, page.counts.voice.new), (1, 1, 1));
    assert!(page.counts.is_waiting());
    assert!(disk.files().iter().any(|file| file.starts_with("/mail/I/O/MY.NAME/messages")));
    store.mark_read(&me, &[receipt.id], Reads::Read).unwrap();
    store.change(&me, &[receipt.id], |_, marks| (Folder::Saved, marks)).unwrap();
    assert_eq!(read(&store, "my.name"), [(receipt.id, "message 1".into(), Folder::Saved, true)]);
    let (_, envelope) = store.message(&me, receipt.id).unwrap();
    assert_eq!(envelope.to.to_string(), "FBMC: somebody : My.Name");
    store.remove(&me, &[receipt.id]).unwrap();
    assert!(read(&store, "my.name").is_empty());
    let left = disk.files();
    assert!(!left.iter().any(|file| file.parent().unwrap().ends_with("messages")), "{left:?}");
    let told: Vec<_> = std::iter::from_fn(|| events.try_recv().ok()).collect();
    let words: Vec<_> = told
        .iter()
        .map(|event| serde_json::to_value(event).unwrap()["change"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(words, ["added", "changed", "changed", "removed"]);
    assert!(told.is_sorted_by_key(|event| event.sequence));
    assert_eq!(told[3].counts.unwrap().messages, 0);
}

#[test]
fn a_delivery_has_three_syncs_and_a_mark_has_one() {
    let world = World::default();
    let disk = made(&world);
    let store = open(&disk, &world.host(0), None);
    store.create(&address("a")).unwrap();
    let id = store.deliver(&voice(1), &[address("a")]).remove(0).unwrap().id;
    let before = disk.syncs();
    store.deliver(&voice(2), &[address("a")]).remove(0).unwrap();
    assert_eq!(disk.syncs() - before, 3);
    let before = disk.syncs();
    store.mark_read(&unique("a"), &[id], Reads::Read).unwrap();
    assert_eq!(disk.syncs() - before, 1);
    // The same while others are there, who are told.
    let other = open(&disk, &world.host(0), None);
    store.tick();
    let before = disk.syncs();
    store.deliver(&voice(3), &[address("a")]).remove(0).unwrap();
    assert_eq!(disk.syncs() - before, 3);
    other.tick();
    assert_eq!(read(&other, "a").len(), 3);
}

#[test]
fn what_is_removed_leaves_no_file_whether_it_is_one_message_or_many() {
    let world = World::default();
    let disk = made(&world);
    let store = open(&disk, &world.host(0), None);
    store.create(&address("a")).unwrap();
    let deliver = |n| store.deliver(&voice(n), &[address("a")]).remove(0).unwrap().id;
    let ids: Vec<_> = (0..70).map(deliver).collect();
    for ids in [&ids[..1], &ids[1..]] {
        store.remove(&unique("a"), ids).unwrap();
        let is_left =
            |path: &PathBuf| ids.iter().any(|id| path.to_string_lossy().contains(&id.to_string()));
        assert_eq!(
            disk.files().into_iter().filter(is_left).collect::<Vec<_>>(),
            [] as [PathBuf; 0]
        );
    }
    assert_eq!(read(&store, "a"), []);
}

#[test]
fn an_empty_mount_point_is_no_store_and_nothing_is_written_into_it() {
    let world = World::default();
    let disk = store::testbed::TornDisk::new();
    disk.make_folder(Path::new("/mail")).unwrap();
    let local = store::testbed::TornDisk::new();
    let store = open(&disk, &world.host(0), Some(&local));
    assert!(store.trouble().unwrap().contains("not mounted"), "{:?}", store.trouble());
    let receipt = store.deliver(&voice(1), &[address("a")]).remove(0).unwrap();
    assert_eq!(receipt.place, Place::Spool);
    store.tick();
    assert_eq!(disk.files(), Vec::<PathBuf>::new());
    assert_eq!(store.pending().len(), 1);
}

#[test]
fn complaint_44_what_comes_while_the_share_is_away_waits_lights_the_lamp_and_is_delivered_once() {
    let world = World::default();
    let (disk, local) = (made(&world), store::testbed::TornDisk::new());
    let store = open(&disk, &world.host(0), Some(&local));
    store.create(&address("a")).unwrap();
    store.deliver(&voice(1), &[address("a")]).remove(0).unwrap();
    let mut events = store.subscribe();
    disk.unplug(true);
    for n in 2..5 {
        let receipt = store.deliver(&voice(n), &[address("a")]).remove(0).unwrap();
        assert_eq!(receipt.place, Place::Spool);
        let event = events.try_recv().unwrap();
        assert!(matches!(event.what, MailChange::Spooled { .. }));
        assert_eq!(event.spooled, u64::from(n) - 1);
    }
    store.tick();
    assert!(store.trouble().is_some());
    // The power goes as well; the spool is on another disk.
    drop(store);
    world.pass(LEASE * 2);
    let local = local.cut(store::testbed::Left::Nothing);
    let store = open(&disk, &world.host(0), Some(&local));
    assert_eq!(store.pending().len(), 3);
    disk.unplug(false);
    // Twice: the second time there is nothing to do.
    store.tick();
    store.tick();
    assert_eq!(store.pending().len(), 0, "{:?}", store.pending());
    let subjects: Vec<_> = read(&store, "a").into_iter().map(|(_, subject, ..)| subject).collect();
    assert_eq!(subjects, ["message 4", "message 3", "message 2", "message 1"]);
    assert_eq!(local.files(), Vec::<PathBuf>::new());
}

#[test]
fn quotas_refuse_and_say_which() {
    let world = World::default();
    let disk = made(&world);
    let store = open(&disk, &world.host(0), None);
    let user = NewUser { unique: "a".into(), quota_messages: Some(2), ..NewUser::default() };
    store.import(&user).unwrap();
    let user = NewUser { unique: "b".into(), quota_bytes: Some(1_000), ..NewUser::default() };
    store.import(&user).unwrap();
    let result =
        |to: &str| store.deliver(&voice(1), &[address(to)]).remove(0).map_err(|e| e.to_string());
    assert!(result("a").is_ok() && result("a").is_ok() && result("b").is_ok());
    assert_eq!(result("a"), Err("the mailbox is full: messages".into()));
    assert_eq!(result("b"), Err("the mailbox is full: bytes".into()));
}

#[test]
fn old_messages_go_by_the_rule_of_their_folder_and_expired_ones_by_their_own() {
    let world = World::default();
    let disk = made(&world);
    let store = open(&disk, &world.host(0), None);
    store.create(&address("a")).unwrap();
    let ids: Vec<_> =
        (0..4).map(|n| store.deliver(&voice(n), &[address("a")]).remove(0).unwrap().id).collect();
    let a = unique("a");
    store.change(&a, &ids[..2], |_, marks| (Folder::Deleted, marks)).unwrap();
    let expires = Some(Moment::parse("2026-12-01T00:00:00Z").unwrap());
    store.deliver(&Draft { expires, ..voice(9) }, &[address("a")]).remove(0).unwrap();
    assert_eq!(store.sweep().unwrap().expired, 0);
    world.pass(Duration::from_hours(24 * 31));
    let swept = store.sweep().unwrap();
    assert_eq!((swept.mailboxes, swept.expired, swept.failed), (1, 3, 0));
    assert_eq!(read(&store, "a").len(), 2);
}

#[test]
fn users_are_imported_once_and_changed_when_they_changed() {
    let world = World::default();
    let disk = made(&world);
    let store = open(&disk, &world.host(0), None);
    let user = |name: &str| NewUser {
        unique: "Michael@Site".into(),
        name: name.into(),
        ..NewUser::default()
    };
    assert_eq!(store.import(&user("Michael")).unwrap(), UserOutcome::Made);
    assert_eq!(store.import(&user("Michael")).unwrap(), UserOutcome::Kept);
    assert_eq!(store.import(&user("Michael Cole")).unwrap(), UserOutcome::Changed);
    let other = NewUser {
        unique: "MICHAEL@site".into(),
        name: "Michael Cole".into(),
        ..NewUser::default()
    };
    assert_eq!(store.import(&other).unwrap(), UserOutcome::Kept, "the same in another case");
    let found = store.resolve(&unique("michael@site")).unwrap();
    assert_eq!(found.to_string(), "FBMC: Michael Cole : Michael@Site");
    assert_eq!(store.uniques().unwrap(), [unique("michael@site")]);
}

#[test]
fn a_deleted_mailbox_keeps_its_data_until_it_is_purged() {
    let world = World::default();
    let disk = made(&world);
    let store = open(&disk, &world.host(0), None);
    store.create(&address("a")).unwrap();
    store.deliver(&voice(1), &[address("a")]).remove(0).unwrap();
    let a = unique("a");
    assert!(matches!(store.purge_would(&a), Err(MailError::NotDeleted(_))), "not deleted yet");
    store.delete(&a).unwrap();
    assert!(matches!(store.resolve(&a), Err(MailError::Deleted(_))));
    assert!(matches!(
        store.deliver(&voice(2), &[address("a")]).remove(0),
        Err(MailError::Deleted(_))
    ));
    let would = store.purge_would(&a).unwrap();
    assert!(would.files >= 4 && would.bytes > 800, "{would:?}");
    store.restore(&a).unwrap();
    assert_eq!(read(&store, "a").len(), 1);
    store.delete(&a).unwrap();
    store.purge(&a).unwrap();
    assert!(matches!(store.resolve(&a), Err(MailError::NoSuchMailbox(_))));
    assert!(!disk.files().iter().any(|file| file.to_string_lossy().contains("messages")));
}

#[test]
fn unused_is_who_has_no_user_or_was_not_heard_of() {
    let world = World::default();
    let disk = made(&world);
    let store = open(&disk, &world.host(0), None);
    for name in ["new", "quiet", "busy", "called", "left"] {
        store.create(&address(name)).unwrap();
    }
    store.release_user(&unique("left")).unwrap();
    world.pass(Duration::from_hours(24 * 100));
    store.create(&address("newer")).unwrap();
    store.logged_in(&unique("busy")).unwrap();
    store.deliver(&voice(1), &[address("called")]).remove(0).unwrap();
    let unused: Vec<_> = store
        .uniques()
        .unwrap()
        .iter()
        .map(|unique| store.mailbox(unique).unwrap())
        .filter(|mailbox| store.is_unused(mailbox, 90))
        .map(|mailbox| mailbox.unique)
        .collect();
    assert_eq!(unused, ["left", "new", "quiet"]);
}

#[test]
fn complaint_42_a_damaged_message_is_put_aside_and_the_others_are_heard() {
    let world = World::default();
    for (what, hurts) in [("xml", ".xml"), ("audio", ".wav")] {
        let disk = made(&world);
        let store = open(&disk, &world.host(0), None);
        store.create(&address("a")).unwrap();
        let ids: Vec<_> = (0..5)
            .map(|n| store.deliver(&voice(n), &[address("a")]).remove(0).unwrap().id)
            .collect();
        let files = disk.files();
        let id = ids[2].to_string();
        let file = files.iter().find(|f| {
            let name = f.to_string_lossy();
            name.contains(&id) && name.ends_with(hurts)
        });
        disk.flip(file.unwrap(), 999);
        let a = unique("a");
        let broken = store.attachment(&a, ids[2], 0).map(|_| ());
        assert!(matches!(broken, Err(MailError::Broken(..))), "{what}: {broken:?}");
        assert!(matches!(store.message(&a, ids[2]), Err(MailError::NoSuchMessage(_))));
        assert_eq!(read(&store, "a").len(), 4);
        let aside: Vec<_> = disk
            .files()
            .into_iter()
            .filter(|f| f.to_string_lossy().contains("quarantine"))
            .collect();
        assert_eq!(aside.len(), 3, "{aside:?}");
        let checked = store.check(&a, Repair::No).unwrap();
        assert_eq!((checked.messages, checked.faults), (4, vec![]));
    }
}

#[test]
fn a_catalog_that_is_gone_or_damaged_is_made_anew_from_the_files() {
    let world = World::default();
    let disk = made(&world);
    let host = world.host(0);
    let store = open(&disk, &host, None);
    store.create(&address("a")).unwrap();
    let a = unique("a");
    for n in 0..20 {
        let id = store.deliver(&voice(n), &[address("a")]).remove(0).unwrap().id;
        if n % 2 == 0 {
            store
                .change(&a, &[id], |_, marks| (Folder::Saved, Marks { read: true, ..marks }))
                .unwrap();
        }
    }
    let before = read(&store, "a");
    let first = store.list(&a, &Query::default()).unwrap();
    drop(store);
    for damage in 0..3 {
        let files = disk.files();
        let log = files.iter().find(|f| f.to_string_lossy().contains("catalog/log")).unwrap();
        match damage {
            0 => disk.remove(log).unwrap(),
            1 => disk.flip(log, 8 * 40),
            _ => disk.flip(log, 8 * 4_000),
        }
        let store = open(&disk, &world.host(0), None);
        assert_eq!(read(&store, "a"), before, "damage {damage}");
        let page = store.list(&a, &Query::default()).unwrap();
        let moved_on =
            page.uid_validity > first.uid_validity || page.rows[0].uid >= first.rows[0].uid;
        assert!(moved_on, "no number is given twice");
        let checked = store.check(&a, Repair::No).unwrap();
        assert_eq!((checked.messages, checked.faults), (20, vec![]));
    }
}

#[test]
fn a_private_message_is_not_forwarded_and_a_chain_is_kept() {
    let world = World::default();
    let disk = made(&world);
    let store = open(&disk, &world.host(0), None);
    store.create(&address("a")).unwrap();
    store.create(&address("b")).unwrap();
    let a = unique("a");
    let id = store.deliver(&voice(1), &[address("a")]).remove(0).unwrap().id;
    let draft = store.forwarded(&a, id).unwrap();
    let second = store.deliver(&draft, &[address("b")]).remove(0).unwrap().id;
    let draft = store.forwarded(&unique("b"), second).unwrap();
    let third = store.deliver(&draft, &[address("a")]).remove(0).unwrap().id;
    let (_, envelope) = store.message(&a, third).unwrap();
    assert_eq!((envelope.forward_of, envelope.thread), (Some(second), Some(id)));
    let private = Draft { sensitivity: Sensitivity::Private, ..voice(2) };
    let id = store.deliver(&private, &[address("a")]).remove(0).unwrap().id;
    assert!(matches!(store.forwarded(&a, id), Err(MailError::Private)));
}

#[test]
fn moving_copies_all_once_and_the_old_root_takes_nothing_more() {
    let world = World::default();
    let (disk, local) = (made(&world), store::testbed::TornDisk::new());
    let host = world.host(0);
    let store = open(&disk, &host, Some(&local));
    for name in ["a", "b", "c"] {
        store.create(&address(name)).unwrap();
        for n in 0..5 {
            store.deliver(&voice(n), &[address(name)]).remove(0).unwrap();
        }
    }
    let new = store::testbed::TornDisk::new();
    // It is interrupted, and goes on.
    new.fail(90, store::testbed::Fault::Error);
    assert!(store.move_to(&new, Path::new("/mail"), &mut |_, _| {}).is_err());
    let moved = store.move_to(&new, Path::new("/mail"), &mut |_, _| {}).unwrap();
    assert!(moved.kept >= 5, "{moved:?}");
    let receipt = store.deliver(&voice(9), &[address("a")]).remove(0).unwrap();
    assert_eq!(receipt.place, Place::Spool);
    drop(store);
    let store = open(&new, &world.host(0), Some(&local));
    store.tick();
    assert_eq!(
        [read(&store, "a").len(), read(&store, "b").len(), read(&store, "c").len()],
        [6, 5, 5]
    );
    for name in ["a", "b", "c"] {
        assert_eq!(store.check(&unique(name), Repair::No).unwrap().faults, vec![]);
    }
}

#[test]
fn what_was_delivered_from_the_spool_and_deleted_does_not_come_back() {
    let world = World::default();
    let (disk, local) = (made(&world), store::testbed::TornDisk::new());
    let store = open(&disk, &world.host(0), Some(&local));
    store.create(&address("a")).unwrap();
    disk.unplug(true);
    let id = store.deliver(&voice(1), &[address("a")]).remove(0).unwrap().id;
    disk.unplug(false);
    // Its leaving the spool fails each time: the first call to that disk is the removal.
    for _ in 0..2 {
        local.fail(1, store::testbed::Fault::Error);
        store.tick();
        assert!(store.pending()[0].trouble.as_ref().unwrap().contains("cannot be taken away"));
    }
    assert_eq!(read(&store, "a").len(), 1);
    store.remove(&unique("a"), &[id]).unwrap();
    store.tick();
    assert_eq!((read(&store, "a").len(), store.pending().len()), (0, 0));
}

#[test]
fn the_longest_texts_are_read_as_they_were_delivered() {
    let world = World::default();
    let disk = made(&world);
    let store = open(&disk, &world.host(0), None);
    store.create(&address("a")).unwrap();
    let field = "\"".repeat(FIELD_BYTES_MAX);
    let attachment = NewAttachment {
        media_type: String::new(),
        codec: field.clone(),
        duration_ms: None,
        title: field.clone(),
        peaks: vec![255; PEAKS_MAX],
        content: Content::Bytes(Arc::from(&b"x"[..])),
    };
    let longest = Draft {
        subject: field,
        body: "\"".repeat(BODY_BYTES_MAX),
        attachments: vec![attachment; ATTACHMENTS_MAX],
        ..Draft::new(Kind::Text)
    };
    let id = store.deliver(&longest, &[address("a")]).remove(0).unwrap().id;
    let (_, read) = store.message(&unique("a"), id).unwrap();
    assert_eq!((read.subject, read.body), (longest.subject, longest.body));
    assert_eq!(read.attachments.len(), ATTACHMENTS_MAX);
    assert_eq!(read.attachments[99].media_type, "application/octet-stream");
    // One that has grown too long by what stands for what XML has no form for is refused, not lost.
    let grown = Draft { body: "\u{1}".repeat(BODY_BYTES_MAX / 2), ..Draft::new(Kind::Text) };
    let refused = store.deliver(&grown, &[address("a")]).remove(0);
    assert!(matches!(refused, Err(MailError::Limit("bytes of a message's text"))), "{refused:?}");
    assert_eq!(store.list(&unique("a"), &Query::default()).unwrap().rows.len(), 1);
    assert_eq!(store.quarantined(), 0);
}

#[test]
fn a_mailbox_that_is_there_is_not_changed_by_making_it_and_one_that_was_deleted_comes_back() {
    let world = World::default();
    let disk = made(&world);
    let store = open(&disk, &world.host(0), None);
    let named = |name: &str| Address { friendly: name.into(), unique: unique("Ann@Site") };
    store.create(&named("Ann")).unwrap();
    store.deliver(&voice(1), &[address("ann@site")]).remove(0).unwrap();
    store.release_user(&unique("ann@site")).unwrap();
    let refused = store.create(&named("Somebody else"));
    assert!(matches!(refused, Err(MailError::Exists(unique)) if unique == "Ann@Site"));
    let mailbox = store.mailbox(&unique("ann@site")).unwrap();
    assert_eq!((&*mailbox.friendly, mailbox.has_user), ("Ann", false));
    store.delete(&unique("ann@site")).unwrap();
    store.create(&named("Ann again")).unwrap();
    let mailbox = store.mailbox(&unique("ann@site")).unwrap();
    assert_eq!((&*mailbox.friendly, mailbox.has_user, mailbox.deleted), ("Ann again", true, None));
    assert_eq!(read(&store, "ann@site").len(), 1);
    // Imported without a name, it keeps the one it has.
    let user = NewUser { unique: "ann@site".into(), ..NewUser::default() };
    assert_eq!(store.import(&user).unwrap(), UserOutcome::Kept);
    assert_eq!(store.mailbox(&unique("ann@site")).unwrap().friendly, "Ann again");
}

#[test]
fn what_was_deleted_is_kept_from_then_on_and_what_is_taken_back_stays() {
    let world = World::default();
    let disk = made(&world);
    let store = Arc::new(open(&disk, &world.host(0), None));
    store.create(&address("a")).unwrap();
    let a = unique("a");
    let deliver = |n| store.deliver(&voice(n), &[address("a")]).remove(0).unwrap().id;
    let ids = [deliver(1), deliver(2)];
    world.pass(Duration::from_hours(24 * 100));
    store.change(&a, &ids, |_, marks| (Folder::Deleted, marks)).unwrap();
    assert_eq!(store.sweep().unwrap().expired, 0);
    world.pass(Duration::from_hours(24 * 29));
    assert_eq!(store.sweep().unwrap().expired, 0);
    // Where the catalog is lost, nobody knows since when, and it is kept anew.
    drop(store);
    let files = disk.files();
    let log = files.iter().find(|file| file.to_string_lossy().contains("catalog/log")).unwrap();
    disk.remove(log).unwrap();
    let store = open(&disk, &world.host(0), None);
    world.pass(Duration::from_hours(24 * 2));
    assert_eq!(store.sweep().unwrap().expired, 0);
    world.pass(Duration::from_hours(24 * 31));
    store.sweep().unwrap();
    assert_eq!(read(&store, "a").len(), 0);
}

/// The sweep falls asleep before each of its calls; somebody takes the message back meanwhile.
#[test]
fn what_is_taken_back_while_it_is_swept_stays() {
    let mut at = 0;
    let mut kept = 0;
    loop {
        at += 1;
        let world = World::default();
        let disk = made(&world);
        let store = open(&disk, &world.host(0), None);
        let other = Arc::new(open(&disk, &world.host(0), None));
        store.create(&address("a")).unwrap();
        let a = unique("a");
        let id = store.deliver(&voice(1), &[address("a")]).remove(0).unwrap().id;
        store.change(&a, &[id], |_, marks| (Folder::Deleted, marks)).unwrap();
        world.pass(Duration::from_hours(24 * 31));
        store.tick();
        other.tick();
        let (time, taking) = (world.clone(), Arc::clone(&other));
        let is_taken = Arc::new(std::sync::Mutex::new(false));
        let taken = Arc::clone(&is_taken);
        disk.before(at, move || {
            for _ in 0..20 {
                time.pass(Duration::from_secs(1));
                taking.tick();
            }
            let rows = taking.change(&unique("a"), &[id], |_, marks| (Folder::Saved, marks));
            *taken.lock().unwrap() = rows.is_ok_and(|rows| rows.len() == 1);
        });
        let giving = Arc::clone(&other);
        world.meanwhile(move || giving.tick());
        store.sweep().unwrap();
        if !disk.is_done() {
            break;
        }
        if *is_taken.lock().unwrap() {
            kept += 1;
            let found = read(&other, "a");
            assert!(found.len() == 1 && found[0].2 == Folder::Saved, "before call {at}: {found:?}");
        }
    }
    assert!(kept > 3, "{kept} of {at}");
}

#[test]
fn a_store_that_is_opened_looks_at_nothing_until_somebody_needs_it() {
    let world = World::default();
    let disk = made(&world);
    disk.before(1, || {});
    let host = Arc::new(world.host(0));
    let shared = Arc::new(disk.clone());
    let store = MessageStore::open(shared, host, Path::new("/mail"), None, Options::default());
    assert!(!disk.is_done(), "the disk was touched");
    let store = store.unwrap();
    store.create(&address("a")).unwrap();
    assert!(disk.is_done());
}

#[test]
fn numbers_are_left_out_only_where_the_end_of_a_catalog_may_be_lost() {
    let world = World::default();
    let disk = made(&world);
    let first = open(&disk, &world.host(0), None);
    first.create(&address("a")).unwrap();
    drop(first);
    for n in 1..=5 {
        let store = open(&disk, &world.host(0), None);
        store.deliver(&voice(n), &[address("a")]).remove(0).unwrap();
        let rows = store.list(&unique("a"), &Query::default()).unwrap().rows;
        assert_eq!(rows[0].uid, n);
    }
    let host = world.host(0);
    let store = open(&disk, &host, None);
    store.deliver(&voice(6), &[address("a")]).remove(0).unwrap();
    std::mem::forget(store);
    world.kill(&host);
    let store = open(&disk, &world.host(0), None);
    store.deliver(&voice(7), &[address("a")]).remove(0).unwrap();
    assert!(store.list(&unique("a"), &Query::default()).unwrap().rows[0].uid > 20_000);
}

#[test]
fn what_is_told_of_a_message_in_the_spool_is_what_is_known_of_its_mailbox() {
    let world = World::default();
    let (disk, local) = (made(&world), store::testbed::TornDisk::new());
    let store = open(&disk, &world.host(0), Some(&local));
    store.create(&address("a")).unwrap();
    store.create(&address("never.opened")).unwrap();
    store.deliver(&voice(1), &[address("a")]).remove(0).unwrap();
    disk.unplug(true);
    let mut events = store.subscribe();
    let to = [address("a"), address("never.opened")];
    assert!(store.deliver(&voice(2), &to).iter().all(Result::is_ok));
    let told = events.try_recv().unwrap();
    assert_eq!((told.counts.unwrap().messages, told.spooled, told.sequence), (1, 1, 1));
    let told = events.try_recv().unwrap();
    assert!(told.counts.is_none() && told.spooled == 1);
}

#[test]
fn what_the_spool_s_disk_could_not_read_once_is_delivered_later_and_not_put_aside() {
    let world = World::default();
    let (disk, local) = (made(&world), store::testbed::TornDisk::new());
    let store = open(&disk, &world.host(0), Some(&local));
    store.create(&address("a")).unwrap();
    disk.unplug(true);
    store.deliver(&voice(1), &[address("a")]).remove(0).unwrap();
    drop(store);
    disk.unplug(false);
    let mut at = 0;
    loop {
        at += 1;
        // Away for one moment after another of the start.
        let (away, state) = (local.clone(), local.cut(store::testbed::Left::Everything));
        away.unplug(false);
        let going = state.clone();
        state.before(at, move || going.unplug(true));
        let spool: (Arc<dyn store::Disk>, _) = (Arc::new(state.clone()), PathBuf::from("/spool"));
        let host = Arc::new(world.host(0));
        let shared = Arc::new(disk.clone());
        let opened =
            MessageStore::open(shared, host, Path::new("/mail"), Some(spool), Options::default());
        if !state.is_done() {
            break;
        }
        state.unplug(false);
        // Where the folder itself could not be read, there is no start.
        let Ok(store) = opened else { continue };
        let before = read(&store, "a").len();
        store.tick();
        assert_eq!((before, read(&store, "a").len(), store.pending().len()), (0, 1, 0), "{at}");
        let rows = store.list(&unique("a"), &Query::default()).unwrap().rows;
        store.remove(&unique("a"), &[rows[0].id]).unwrap();
        drop(store);
        // As if it had not been delivered.
        let files = disk.files();
        let of_catalog = |path: &&PathBuf| path.to_string_lossy().contains("/catalog/");
        files.iter().filter(of_catalog).for_each(|path| disk.remove(path).unwrap());
    }
    assert!(at > 4, "only {at} calls");
}

#[test]
fn a_message_for_a_mailbox_that_is_not_there_waits_until_it_is_made_or_discarded() {
    let world = World::default();
    let (disk, local) = (made(&world), store::testbed::TornDisk::new());
    let store = open(&disk, &world.host(0), Some(&local));
    disk.unplug(true);
    let deliver = |n| store.deliver(&voice(n), &[address("later")]).remove(0).unwrap().id;
    let ids = [deliver(1), deliver(2)];
    disk.unplug(false);
    store.tick();
    let why = store.pending()[0].trouble.clone().unwrap();
    assert!(why.contains("there is no mailbox later"), "{why}");
    store.discard(ids[0]).unwrap();
    assert!(matches!(store.discard(ids[0]), Err(MailError::NoSuchMessage(_))));
    store.create(&address("later")).unwrap();
    store.tick();
    assert_eq!((read(&store, "later").len(), store.pending().len()), (1, 0));
    assert_eq!(local.files(), Vec::<PathBuf>::new());
}

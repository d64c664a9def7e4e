//! Disks that are full, and shares that go away, with mounts that only one process sees.

use std::fs::File;
use std::path::Path;
use std::process::Command;

use mailbox::{MailError, MessageId, Place, Repair};
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind, unmount};

use crate::bed::{Other, address, made, opened, read, role, say, unique, voice};

const FULL: &str = "disks::a_process_on_a_small_disk";
const AWAY: &str = "disks::a_process_whose_share_goes_away";

#[test]
fn on_a_full_disk_nothing_is_lost_or_half_there_and_what_is_removed_makes_room() {
    run(FULL, "tmpfs");
}

/// It finds out that it is full only when it writes back.
#[test]
fn on_a_full_disk_that_writes_late_nothing_is_lost_or_half_there() {
    run(FULL, "ext4");
}

#[test]
fn while_a_share_is_not_mounted_messages_wait_in_the_spool_and_then_arrive_once() {
    run(AWAY, "bind");
}

fn run(body: &str, kind: &str) {
    let folder = tempfile::tempdir().unwrap();
    let other = Other::begin_with_mounts(body, &[&folder.path().display().to_string(), kind]);
    let said = other.end();
    match said.last().map(String::as_str) {
        Some("done") => println!("{said:?}"),
        // As an ordinary user, or where there is no device for it.
        Some("cannot mount") => println!("skipped: {kind} cannot be mounted here"),
        _ => panic!("{said:?}"),
    }
}

#[test]
fn a_process_on_a_small_disk() {
    let Some(words) = role(FULL) else { return };
    let folder = Path::new(&words[0]);
    let (root, spool) = (folder.join("mail"), folder.join("spool"));
    std::fs::create_dir(&root).unwrap();
    let is_mounted = match words[1].as_str() {
        "tmpfs" => mount("small", &root, "tmpfs", MountFlags::empty(), Some(c"size=2m")).is_ok(),
        _ => {
            let image = folder.join("image");
            File::create(&image).unwrap().set_len(8 << 20).unwrap();
            let done = |command: &mut Command| command.status().is_ok_and(|done| done.success());
            done(Command::new("mkfs.ext4").arg("-q").arg(&image))
                && done(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(&root))
        }
    };
    if !is_mounted {
        return say("cannot mount");
    }
    made(&root, &["a"]);
    let (a, to) = (unique("a"), [address("a")]);
    // Without a spool, what has no room is refused.
    let store = opened(&root, None);
    let mut wanted = Vec::new();
    let mut n = 0;
    let refused = loop {
        assert!(n < 5_000, "the disk is never full");
        match store.deliver(&voice(n), &to).remove(0) {
            Ok(receipt) => wanted.push((n, receipt.id)),
            Err(error) => break error,
        }
        n += 1;
    };
    assert!(matches!(refused, MailError::Away(_)), "{refused}");
    store.tick();
    // Whether what was refused is there is not known, as with every error of a disk; whole, if it is.
    wanted.extend(found(&store).into_iter().filter(|one| one.0 == n));
    compare(&store, &wanted, "full");
    // With one it waits there, and arrives when there is room.
    drop(store);
    let store = opened(&root, Some(&spool));
    compare(&store, &wanted, "full, for one who comes now");
    let mut waiting = Vec::new();
    for n in n + 1..n + 6 {
        let receipt = store.deliver(&voice(n), &to).remove(0).unwrap();
        match receipt.place {
            Place::Mailbox => wanted.push((n, receipt.id)),
            Place::Spool => waiting.push((n, receipt.id)),
        }
    }
    assert!(!waiting.is_empty(), "the smallest had room");
    let gone: Vec<MessageId> = wanted.drain(..wanted.len() / 2).map(|(_, id)| id).collect();
    store.remove(&a, &gone).unwrap();
    store.tick();
    assert!(store.pending().is_empty(), "{:?}", store.pending());
    wanted.extend(waiting);
    wanted.sort_unstable();
    compare(&store, &wanted, "with room again");
    assert_eq!(store.check(&a, Repair::No).unwrap().faults, []);
    say(&format!("{n} messages filled it"));
    drop(store);
    unmount(&root, UnmountFlags::empty()).unwrap();
    say("done");
}

#[test]
fn a_process_whose_share_goes_away() {
    let Some(words) = role(AWAY) else { return };
    let folder = Path::new(&words[0]);
    let (share, root, spool) = (folder.join("share"), folder.join("mail"), folder.join("spool"));
    std::fs::create_dir(&share).unwrap();
    std::fs::create_dir(&root).unwrap();
    if mount_bind(&share, &root).is_err() {
        return say("cannot mount");
    }
    made(&root, &["a", "b"]);
    let store = opened(&root, Some(&spool));
    let mut wanted = Vec::new();
    let mut deliver = |n, place| {
        let receipt = store.deliver(&voice(n), &[address("a")]).remove(0).unwrap();
        assert_eq!(receipt.place, place, "{n}");
        wanted.push((n, receipt.id));
    };
    for round in 0..3 {
        deliver(round * 10, Place::Mailbox);
        store.tick();
        unmount(&root, UnmountFlags::DETACH).unwrap();
        // Before anybody has noticed, and after.
        deliver(round * 10 + 1, Place::Spool);
        store.tick();
        assert!(store.trouble().is_some());
        deliver(round * 10 + 2, Place::Spool);
        assert_eq!(std::fs::read_dir(&root).unwrap().count(), 0, "it wrote below the mount");
        mount_bind(&share, &root).unwrap();
        assert_eq!(store.pending().len(), 2);
        store.tick();
        assert_eq!(store.trouble(), None);
        assert!(store.pending().is_empty(), "{:?}", store.pending());
    }
    wanted.sort_unstable();
    compare(&store, &wanted, "mounted again");
    assert_eq!(store.check(&unique("a"), Repair::No).unwrap().faults, []);
    drop(store);
    compare(&opened(&root, None), &wanted, "afterwards");
    unmount(&root, UnmountFlags::empty()).unwrap();
    say("done");
}

/// Whether what is listed is what is wanted, to the last byte.
fn compare(store: &mailbox::MessageStore, wanted: &[(u64, MessageId)], told: &str) {
    let found = found(store);
    let extra: Vec<_> = found.iter().filter(|one| !wanted.contains(one)).collect();
    let missing: Vec<_> = wanted.iter().filter(|one| !found.contains(one)).collect();
    assert!(extra.is_empty() && missing.is_empty(), "{told}: more {extra:?}, missing {missing:?}");
}

fn found(store: &mailbox::MessageStore) -> Vec<(u64, MessageId)> {
    let mut found: Vec<_> = read(store, "a").into_iter().map(|one| (one.n, one.id)).collect();
    found.sort_unstable();
    found
}

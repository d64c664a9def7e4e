//! What is at stake where two things meet: a cut and a list, a lost lease and a change, a purge and a move.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use store::Disk as _;
use store::testbed::{Fault, Left, TornDisk};

use crate::testbed::{World, address, made, open, unique, voice};
use crate::*;

fn told(events: &mut tokio::sync::broadcast::Receiver<MailEvent>) -> Vec<MailEvent> {
    std::iter::from_fn(|| events.try_recv().ok()).collect()
}

fn xml(disk: &TornDisk, id: MessageId) -> bool {
    disk.files().iter().any(|f| {
        let n = f.to_string_lossy().into_owned();
        n.starts_with("/mail") && n.contains(&id.to_string()) && n.ends_with(".xml")
    })
}

#[test]
fn what_was_listed_before_a_cut_took_it_is_delivered_from_the_spool() {
    let mut hit = 0;
    for at in 1..60 {
        let world = World::default();
        let (disk, local) = (made(&world), TornDisk::new());
        let store = open(&disk, &world.host(0), Some(&local));
        store.create(&address("a")).unwrap();
        disk.fail(at, Fault::Error);
        let Ok(receipt) = store.deliver(&voice(1), &[address("a")]).remove(0) else { continue };
        if receipt.place != Place::Spool || !xml(&disk, receipt.id) {
            continue;
        }
        hit += 1;
        let rows = store.list(&unique("a"), &Query::default()).unwrap().rows.len();
        assert_eq!(store.pending().len(), 1);
        let disk = disk.cut(Left::Nothing);
        drop(store);
        let store = open(&disk, &world.host(0), Some(&local));
        for _ in 0..20 {
            world.pass(Duration::from_secs(1));
            store.tick();
        }
        let n = store.list(&unique("a"), &Query::default()).unwrap().rows.len();
        assert!(n + store.pending().len() > 0, "LOST at {at}, listed before the cut: {rows}");
    }
    assert!(hit > 0);
}

#[test]
fn what_was_quarantined_is_delivered_from_the_spool_although_that_fails_once() {
    let mut hit = 0;
    for at in 1..60 {
        let world = World::default();
        let (disk, local) = (made(&world), TornDisk::new());
        let store = open(&disk, &world.host(0), Some(&local));
        store.create(&address("a")).unwrap();
        disk.fail(at, Fault::Error);
        let Ok(receipt) = store.deliver(&voice(1), &[address("a")]).remove(0) else { continue };
        if receipt.place != Place::Spool || !xml(&disk, receipt.id) {
            continue;
        }
        hit += 1;
        store.list(&unique("a"), &Query::default()).unwrap();
        let attachments = disk.files().into_iter().filter(|file| {
            let name = file.file_name().unwrap().to_string_lossy().into_owned();
            name.contains(&receipt.id.to_string()) && name.contains(".a")
        });
        attachments.for_each(|file| disk.remove(&file).unwrap());
        // the user opens it before the spool is at it
        let _ = store.message(&unique("a"), receipt.id);
        for _ in 0..20 {
            world.pass(Duration::from_secs(1));
            store.tick();
        }
        let n = store.list(&unique("a"), &Query::default()).unwrap().rows.len();
        assert!(n + store.pending().len() > 0, "LOST at {at}");
    }
    assert!(hit > 0);
}

#[test]
fn the_change_that_begins_a_new_file_of_the_catalog_is_told() {
    let world = World::default();
    let disk = made(&world);
    let store = open(&disk, &world.host(0), None);
    store.create(&address("a")).unwrap();
    let a = unique("a");
    let id = store.deliver(&voice(1), &[address("a")]).remove(0).unwrap().id;
    let mut events = store.subscribe();
    for n in 0..10_050u32 {
        let reads = if n % 2 == 0 { Reads::Read } else { Reads::Unread };
        store.mark_read(&a, &[id], reads).unwrap();
        assert_eq!(told(&mut events).len(), 1, "change {n}");
    }
}

#[test]
fn what_an_owner_did_that_died_is_told_by_the_one_who_takes_over() {
    let world = World::default();
    let disk = made(&world);
    let (h1, h2) = (world.host(0), world.host(0));
    let (one, two) = (Arc::new(open(&disk, &h1, None)), Arc::new(open(&disk, &h2, None)));
    one.create(&address("a")).unwrap();
    let a = unique("a");
    one.deliver(&voice(1), &[address("a")]).remove(0).unwrap();
    one.tick();
    two.tick();
    // two takes it over
    let ticking = Arc::clone(&one);
    world.meanwhile(move || ticking.tick());
    two.mark_read(&a, &[], Reads::Read).unwrap();
    two.logged_in(&a).unwrap();
    one.tick();
    one.list(&a, &Query::default()).unwrap();
    let mut events = one.subscribe();
    let id = two.deliver(&voice(2), &[address("a")]).remove(0).unwrap().id;
    // two dies before one looks
    world.kill(&h2);
    one.tick();
    one.tick();
    one.list(&a, &Query::default()).unwrap();
    let told = told(&mut events);
    assert!(
        told.iter().any(|e| matches!(&e.what, MailChange::Added { message } if message.id == id)),
        "{told:?}"
    );
    std::mem::forget(two);
}

#[test]
fn a_mailbox_that_was_purged_and_made_anew_is_not_taken_for_the_old_one() {
    let world = World::default();
    let disk = made(&world);
    let server = open(&disk, &world.host(0), None);
    server.create(&address("a")).unwrap();
    let a = unique("a");
    server.deliver(&voice(1), &[address("a")]).remove(0).unwrap();
    {
        let cli = open(&disk, &world.host(0), None);
        cli.delete(&a).unwrap();
        cli.purge(&a).unwrap();
        cli.create(&address("a")).unwrap();
        cli.deliver(&voice(2), &[address("a")]).remove(0).unwrap();
        cli.close();
    }
    for _ in 0..20 {
        world.pass(Duration::from_secs(1));
        server.tick();
    }
    let rows = server.list(&a, &Query::default()).unwrap().rows;
    let subjects: Vec<_> = rows.iter().map(|r| r.subject.clone()).collect();
    assert_eq!(subjects, ["message 2"]);
}

#[test]
fn no_number_is_given_twice_after_a_cut_of_a_catalog_that_began_empty() {
    let world = World::default();
    let disk = made(&world);
    let store = open(&disk, &world.host(0), None);
    store.create(&address("a")).unwrap();
    let a = unique("a");
    store.list(&a, &Query::default()).unwrap();
    let first = store.deliver(&voice(1), &[address("a")]).remove(0).unwrap().id;
    let second = store.deliver(&voice(2), &[address("a")]).remove(0).unwrap().id;
    let page = store.list(&a, &Query::default()).unwrap();
    let of = |page: &Page, id| page.rows.iter().find(|r| r.id == id).unwrap().uid;
    let (uid1, uid2) = (of(&page, first), of(&page, second));
    store.remove(&a, &[first]).unwrap();
    let disk = disk.cut(Left::Nothing);
    std::mem::forget(store);
    let store = open(&disk, &world.host(0), None);
    for _ in 0..20 {
        world.pass(Duration::from_secs(1));
        store.tick();
    }
    let after = store.list(&a, &Query::default()).unwrap();
    let now = of(&after, second);
    assert!(
        after.uid_validity > page.uid_validity || now == uid2 || now > uid2,
        "the second had {uid2}, the first {uid1}; now the second has {now}, validity {} and {}",
        page.uid_validity,
        after.uid_validity
    );
}

#[test]
fn the_last_number_of_a_numbering_is_no_end() {
    let world = World::default();
    let disk = made(&world);
    let store = open(&disk, &world.host(0), None);
    store.create(&address("a")).unwrap();
    let files = disk.files();
    let mailbox = files.iter().find(|file| file.ends_with("mailbox.json")).unwrap();
    let catalog = mailbox.with_file_name("catalog").join("uidvalidity");
    let mut file = disk.create(&catalog).unwrap();
    file.write_all(b"4294967295\n").unwrap();
    file.sync().unwrap();
    store.list(&unique("a"), &Query::default()).unwrap();
}

#[test]
fn what_is_purged_while_it_is_moved_does_not_come_back() {
    let world = World::default();
    let disk = made(&world);
    let new = TornDisk::new();
    new.make_folder(Path::new("/moved")).unwrap();
    let to = PathBuf::from("/moved/mail");
    let store = open(&disk, &world.host(0), None);
    for name in ["a", "b"] {
        store.create(&address(name)).unwrap();
        store.deliver(&voice(1), &[address(name)]).remove(0).unwrap();
    }
    let a = unique("a");
    let admin = open(&disk, &world.host(0), None);
    let mut n = 0;
    let mut progress = |done: u64, of: u64| {
        if done == of && n == 0 {
            n = 1;
            admin.delete(&a).unwrap();
            admin.purge(&a).unwrap();
        }
    };
    store.move_to(&new, &to, &mut progress).unwrap();
    let disk: Arc<dyn store::Disk> = Arc::new(new);
    let moved =
        MessageStore::open(disk, Arc::new(world.host(0)), &to, None, Options::default()).unwrap();
    moved.tick();
    let all = moved.uniques().unwrap();
    assert_eq!(all, [unique("b")]);
}

#[test]
fn who_joined_just_now_is_told() {
    let world = World::default();
    let disk = made(&world);
    let one = open(&disk, &world.host(0), None);
    one.create(&address("a")).unwrap();
    let a = unique("a");
    one.deliver(&voice(1), &[address("a")]).remove(0).unwrap();
    one.tick();
    let two = open(&disk, &world.host(0), None);
    assert_eq!(two.list(&a, &Query::default()).unwrap().rows.len(), 1);
    let mut events = two.subscribe();
    one.deliver(&voice(2), &[address("a")]).remove(0).unwrap();
    for _ in 0..60 {
        world.pass(Duration::from_secs(1));
        one.tick();
        two.tick();
    }
    assert_eq!(told(&mut events).len(), 1);
}

#[test]
fn who_listens_is_told_of_mailboxes_that_nobody_asked_for_here() {
    let world = World::default();
    let disk = made(&world);
    let one = open(&disk, &world.host(0), None);
    let two = open(&disk, &world.host(0), None);
    one.tick();
    two.tick();
    one.create(&address("a")).unwrap();
    let mut events = two.subscribe();
    one.deliver(&voice(2), &[address("a")]).remove(0).unwrap();
    for _ in 0..10 {
        world.pass(Duration::from_secs(1));
        one.tick();
        two.tick();
    }
    assert_eq!(told(&mut events).len(), 1);
}

#[test]
fn a_change_that_is_answered_as_done_was_done_although_the_mailbox_was_lost_meanwhile() {
    let mut bad = Vec::new();
    for at in 1..40u64 {
        let world = World::default();
        let disk = made(&world);
        let one = open(&disk, &world.host(0), None);
        let two = Arc::new(open(&disk, &world.host(0), None));
        one.create(&address("a")).unwrap();
        let a = unique("a");
        let id = one.deliver(&voice(1), &[address("a")]).remove(0).unwrap().id;
        one.tick();
        two.tick();
        let (other, w) = (Arc::clone(&two), world.clone());
        disk.before(at, move || {
            for _ in 0..12 {
                w.pass(Duration::from_secs(1));
                other.tick();
            }
            other.change(&unique("a"), &[id], |_, marks| (Folder::Saved, marks)).unwrap();
        });
        let ticking = Arc::clone(&two);
        world.meanwhile(move || ticking.tick());
        let done = one.mark_read(&a, &[id], Reads::Read);
        if !disk.is_done() {
            break;
        }
        one.tick();
        two.tick();
        let rows = two.list(&a, &Query::default()).unwrap().rows;
        if done.is_ok() && !rows[0].marks.read {
            bad.push((at, done.map(|rows| rows[0].marks.read)));
        }
        std::mem::forget(one);
    }
    assert!(bad.is_empty(), "acknowledged and not done: {bad:?}");
}

#[test]
fn a_repair_that_fails_leaves_a_mailbox_that_can_be_repaired() {
    for at in 1..15 {
        let world = World::default();
        let disk = made(&world);
        let store = open(&disk, &world.host(0), None);
        store.create(&address("a")).unwrap();
        let file = disk
            .files()
            .into_iter()
            .find(|f| f.to_string_lossy().ends_with("mailbox.json"))
            .unwrap();
        disk.flip(&file, 3);
        disk.fail(at, Fault::Error);
        if store.check(&unique("a"), Repair::Yes).is_err() {
            let again = store.check(&unique("a"), Repair::Yes);
            assert!(again.is_ok(), "call {at}: {again:?}");
        }
    }
}

#[test]
fn a_node_that_could_not_come_back_at_once_comes_back() {
    let mut bad = Vec::new();
    for at in 1..14u64 {
        let world = World::default();
        let disk = made(&world);
        let one = open(&disk, &world.host(0), None);
        let two = open(&disk, &world.host(0), None);
        one.create(&address("a")).unwrap();
        one.tick();
        two.tick();
        // one sleeps for long; its folder is taken away
        for _ in 0..700 {
            world.pass(Duration::from_secs(1));
            two.tick();
        }
        disk.fail(at, Fault::Error);
        one.tick();
        if !disk.has_failed() {
            break;
        }
        for _ in 0..1_500 {
            world.pass(Duration::from_secs(1));
            one.tick();
            two.tick();
        }
        let alive = two.nodes().unwrap().iter().filter(|n| n.is_alive && !n.is_this).count();
        if alive != 1 {
            bad.push((at, alive, one.trouble()));
        }
    }
    assert!(bad.is_empty(), "{bad:?}");
}

#[derive(Debug, Clone)]
struct FullDisk(TornDisk, Arc<std::sync::atomic::AtomicBool>);
#[derive(Debug)]
struct FullFile(Box<dyn store::Writing>, Arc<std::sync::atomic::AtomicBool>);
fn full() -> std::io::Error {
    std::io::Error::from_raw_os_error(28)
}
impl std::io::Write for FullFile {
    fn write(&mut self, b: &[u8]) -> std::io::Result<usize> {
        if self.1.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(full());
        }
        self.0.write(b)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}
impl store::Writing for FullFile {
    fn sync(&mut self) -> std::io::Result<()> {
        self.0.sync()
    }
}
impl store::Disk for FullDisk {
    fn create(&self, p: &Path) -> std::io::Result<Box<dyn store::Writing>> {
        if self.1.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(full());
        }
        Ok(Box::new(FullFile(self.0.create(p)?, Arc::clone(&self.1))))
    }
    fn append(&self, p: &Path) -> std::io::Result<Box<dyn store::Writing>> {
        self.0.append(p)
    }
    fn open(&self, p: &Path) -> std::io::Result<Box<dyn Reading>> {
        self.0.open(p)
    }
    fn replace(&self, f: &Path, t: &Path) -> std::io::Result<()> {
        self.0.replace(f, t)
    }
    fn publish(&self, f: &Path, t: &Path) -> std::io::Result<()> {
        self.0.publish(f, t)
    }
    fn link(&self, f: &Path, t: &Path) -> std::io::Result<()> {
        self.0.link(f, t)
    }
    fn remove(&self, p: &Path) -> std::io::Result<()> {
        self.0.remove(p)
    }
    fn make_folder(&self, p: &Path) -> std::io::Result<()> {
        self.0.make_folder(p)
    }
    fn remove_folder(&self, p: &Path) -> std::io::Result<()> {
        self.0.remove_folder(p)
    }
    fn list(&self, p: &Path) -> std::io::Result<Vec<store::Entry>> {
        self.0.list(p)
    }
    fn about(&self, p: &Path) -> std::io::Result<store::About> {
        self.0.about(p)
    }
    fn sync_folder(&self, p: &Path) -> std::io::Result<()> {
        self.0.sync_folder(p)
    }
}

#[test]
fn what_was_removed_on_a_full_disk_is_told_once() {
    let world = World::default();
    let torn = made(&world);
    let flag = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let disk: Arc<dyn store::Disk> = Arc::new(FullDisk(torn, Arc::clone(&flag)));
    let store = MessageStore::open(
        disk,
        Arc::new(world.host(0)),
        Path::new("/mail"),
        None,
        Options::default(),
    )
    .unwrap();
    store.tick();
    store.create(&address("a")).unwrap();
    let a = unique("a");
    let id = store.deliver(&voice(1), &[address("a")]).remove(0).unwrap().id;
    store.deliver(&voice(2), &[address("a")]).remove(0).unwrap();
    store.tick();
    let mut events = store.subscribe();
    flag.store(true, std::sync::atomic::Ordering::Relaxed);
    store.remove(&a, &[id]).unwrap();
    for _ in 0..4 {
        world.pass(Duration::from_secs(1));
        store.tick();
        let _ = store.list(&a, &Query::default());
    }
    flag.store(false, std::sync::atomic::Ordering::Relaxed);
    for _ in 0..4 {
        world.pass(Duration::from_secs(1));
        store.tick();
        let _ = store.list(&a, &Query::default());
    }
    let told = told(&mut events);
    assert!(matches!(&told[..], [MailEvent { what: MailChange::Removed { .. }, .. }]), "{told:?}");
}

#[test]
fn who_comes_to_a_full_disk_lists_reads_and_makes_room() {
    let world = World::default();
    let torn = made(&world);
    let is_full = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let disk: Arc<dyn store::Disk> = Arc::new(FullDisk(torn.clone(), Arc::clone(&is_full)));
    let first = open(&torn, &world.host(0), None);
    for name in ["a", "b"] {
        first.create(&address(name)).unwrap();
        first.deliver(&voice(1), &[address(name)]).remove(0).unwrap();
    }
    first.delete(&unique("b")).unwrap();
    first.close();
    is_full.store(true, std::sync::atomic::Ordering::Relaxed);
    let host = Arc::new(world.host(0));
    let store =
        MessageStore::open(disk, host, Path::new("/mail"), None, Options::default()).unwrap();
    store.join().unwrap();
    store.tick();
    assert_eq!(store.trouble(), None);
    let a = unique("a");
    let rows = store.list(&a, &Query::default()).unwrap().rows;
    store.message(&a, rows[0].id).unwrap();
    assert_eq!(store.check(&a, Repair::No).unwrap().faults, vec![]);
    store.purge(&unique("b")).unwrap();
    store.remove(&a, &[rows[0].id]).unwrap();
    assert!(store.list(&a, &Query::default()).unwrap().rows.is_empty());
    // There is room again, and it becomes one of those who use the root.
    is_full.store(false, std::sync::atomic::Ordering::Relaxed);
    store.tick();
    store.deliver(&voice(2), &[address("a")]).remove(0).unwrap();
    assert_eq!(store.list(&a, &Query::default()).unwrap().rows.len(), 1);
    assert!(store.nodes().unwrap().iter().any(|node| node.is_this && node.is_alive));
}

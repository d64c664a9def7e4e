//! What is done while one call or another of the disk fails, as often as the test wants.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use store::Disk as _;
use store::testbed::{Fault, TornDisk};

use crate::node::{Node, Notice};
use crate::testbed::{World, address, made, open, unique, voice};
use crate::*;

type Hook = Box<dyn FnMut(&str, &Path) -> std::io::Result<()> + Send>;
#[derive(Clone)]
struct Hooked(TornDisk, Arc<Mutex<Option<Hook>>>);
impl std::fmt::Debug for Hooked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hooked")
    }
}
impl Hooked {
    fn new(d: &TornDisk) -> Self {
        Self(d.clone(), Arc::default())
    }
    fn set(&self, h: impl FnMut(&str, &Path) -> std::io::Result<()> + Send + 'static) {
        *self.1.lock().unwrap() = Some(Box::new(h));
    }
    fn clear(&self) {
        *self.1.lock().unwrap() = None;
    }
    fn at(&self, what: &str, p: &Path) -> std::io::Result<()> {
        let h = self.1.lock().unwrap().take();
        let Some(mut h) = h else { return Ok(()) };
        let done = h(what, p);
        self.1.lock().unwrap().get_or_insert(h);
        done
    }
}
#[derive(Debug)]
struct HFile(Box<dyn store::Writing>, Hooked, PathBuf);
impl std::io::Write for HFile {
    fn write(&mut self, b: &[u8]) -> std::io::Result<usize> {
        self.1.at("write", &self.2)?;
        self.0.write(b)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}
impl store::Writing for HFile {
    fn sync(&mut self) -> std::io::Result<()> {
        self.0.sync()
    }
}
impl store::Disk for Hooked {
    fn create(&self, p: &Path) -> std::io::Result<Box<dyn store::Writing>> {
        self.at("create", p)?;
        Ok(Box::new(HFile(self.0.create(p)?, self.clone(), p.to_owned())))
    }
    fn append(&self, p: &Path) -> std::io::Result<Box<dyn store::Writing>> {
        self.0.append(p)
    }
    fn open(&self, p: &Path) -> std::io::Result<Box<dyn Reading>> {
        self.at("open", p)?;
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
        self.at("remove", p)?;
        self.0.remove(p)
    }
    fn make_folder(&self, p: &Path) -> std::io::Result<()> {
        self.0.make_folder(p)
    }
    fn remove_folder(&self, p: &Path) -> std::io::Result<()> {
        self.0.remove_folder(p)
    }
    fn list(&self, p: &Path) -> std::io::Result<Vec<store::Entry>> {
        if self.at("list", p).is_err() {
            return Ok(vec![]);
        }
        self.0.list(p)
    }
    fn about(&self, p: &Path) -> std::io::Result<store::About> {
        self.0.about(p)
    }
    fn sync_folder(&self, p: &Path) -> std::io::Result<()> {
        self.0.sync_folder(p)
    }
}
fn hopen(d: &Hooked, w: &World, patience: Duration) -> MessageStore {
    let s = MessageStore::open(
        Arc::new(d.clone()),
        Arc::new(w.host(0)),
        Path::new("/mail"),
        None,
        Options { patience, ..Options::default() },
    )
    .unwrap();
    let _ = s.join();
    s
}
fn told(events: &mut tokio::sync::broadcast::Receiver<MailEvent>) -> Vec<MailEvent> {
    std::iter::from_fn(|| events.try_recv().ok()).collect()
}
fn eio() -> std::io::Error {
    std::io::Error::from_raw_os_error(5)
}
fn full() -> std::io::Error {
    std::io::Error::from_raw_os_error(28)
}
const LONG: Duration = Duration::from_secs(15);
fn rows(s: &MessageStore) -> usize {
    s.list(&unique("a"), &Query::default()).unwrap().rows.len()
}

#[test]
fn what_was_learnt_before_a_scan_failed_is_learnt_again() {
    let world = World::default();
    let torn = made(&world);
    let hd = Hooked::new(&torn);
    let one = hopen(&hd, &world, LONG);
    let two = open(&torn, &world.host(0), None);
    one.create(&address("a")).unwrap();
    let a = unique("a");
    one.logged_in(&a).unwrap();
    one.tick();
    two.tick();
    two.deliver(&voice(1), &[address("a")]).remove(0).unwrap();
    world.pass(Duration::from_millis(5));
    let id2 = two.deliver(&voice(2), &[address("a")]).remove(0).unwrap().id;
    let t = id2.to_string();
    hd.set(
        move |w, p| {
            if w == "open" && p.to_string_lossy().contains(&t) { Err(eio()) } else { Ok(()) }
        },
    );
    one.tick();
    hd.clear();
    let first = rows(&one);
    let follower = rows(&two);
    torn.pass(Duration::from_secs(1));
    one.close();
    let after = rows(&two);
    assert_eq!((first, follower, after), (2, 2, 2));
}

#[test]
fn what_was_done_is_answered_as_done_although_letting_go_fails() {
    let world = World::default();
    let torn = made(&world);
    let hd = Hooked::new(&torn);
    let one = Arc::new(hopen(&hd, &world, LONG));
    let two = hopen(&Hooked::new(&torn), &world, Duration::from_millis(1));
    one.create(&address("a")).unwrap();
    let a = unique("a");
    let id = one.deliver(&voice(1), &[address("a")]).remove(0).unwrap().id;
    one.tick();
    two.tick();
    let busy = two.logged_in(&a);
    assert!(busy.is_err());
    let o = Arc::clone(&one);
    let mut started = false;
    hd.set(move |w, p| {
        if w == "remove" && p.to_string_lossy().contains("/messages/") && !started {
            started = true;
            o.want(&unique("a"));
        }
        if started && (w == "create" || w == "write") {
            return Err(full());
        }
        Ok(())
    });
    let done = one.remove(&a, &[id]);
    hd.clear();
    assert!(
        done.is_ok(),
        "{done:?}, and still there: {}",
        torn.files().iter().any(|f| f.to_string_lossy().contains(&id.to_string())
            && f.to_string_lossy().ends_with("xml"))
    );
}

#[test]
fn what_is_removed_on_a_full_disk_in_a_mailbox_not_read_before_is_told_once() {
    let world = World::default();
    let torn = made(&world);
    let first = open(&torn, &world.host(0), None);
    first.create(&address("a")).unwrap();
    let a = unique("a");
    let id1 = first.deliver(&voice(1), &[address("a")]).remove(0).unwrap().id;
    first.close();
    let hd = Hooked::new(&torn);
    let one = hopen(&hd, &world, LONG);
    one.tick();
    let mut events = one.subscribe();
    let fill = |w: &str, p: &Path| {
        if (w == "create" || w == "write") && p.to_string_lossy().contains("catalog") {
            Err(full())
        } else {
            Ok(())
        }
    };
    hd.set(fill);
    one.remove(&a, &[id1]).unwrap();
    hd.clear();
    let id2 = one.deliver(&voice(2), &[address("a")]).remove(0).unwrap().id;
    for _ in 0..3 {
        world.pass(Duration::from_secs(1));
        one.tick();
    }
    let e1 = told(&mut events);
    hd.set(fill);
    one.remove(&a, &[id2]).unwrap();
    hd.clear();
    for _ in 0..3 {
        world.pass(Duration::from_secs(1));
        one.tick();
        let _ = rows(&one);
    }
    let e2 = told(&mut events);
    let n = e1
        .iter()
        .chain(&e2)
        .filter(|e| matches!(&e.what, MailChange::Removed { id } if *id == id1))
        .count();
    assert_eq!(n, 1, "{e1:?}\n\n{e2:?}");
}

#[test]
fn who_asked_before_it_was_told_does_not_keep_others_from_being_told() {
    let world = World::default();
    let disk = made(&world);
    let one = open(&disk, &world.host(0), None);
    let two = open(&disk, &world.host(0), None);
    one.create(&address("a")).unwrap();
    one.tick();
    two.tick();
    let mut events = two.subscribe();
    one.deliver(&voice(2), &[address("a")]).remove(0).unwrap();
    two.counts(&unique("a")).unwrap();
    for _ in 0..5 {
        world.pass(Duration::from_secs(1));
        one.tick();
        two.tick();
    }
    assert_eq!(told(&mut events).len(), 1);
}

#[test]
fn two_who_begin_a_catalog_at_once_have_one() {
    let world = World::default();
    let torn = made(&world);
    let hd = Hooked::new(&torn);
    let one = hopen(&hd, &world, LONG);
    let two = Arc::new(open(&torn, &world.host(0), None));
    one.create(&address("a")).unwrap();
    one.tick();
    two.tick();
    let t = Arc::clone(&two);
    let mut n = 0;
    hd.set(move |w, p| {
        if w == "open" && p.ends_with("mailbox.json") {
            n += 1;
            if n == 2 {
                t.deliver(&voice(1), &[address("a")]).remove(0).unwrap();
                return Err(eio());
            }
        }
        Ok(())
    });
    one.deliver(&voice(2), &[address("a")]).remove(0).unwrap();
    hd.clear();
    two.deliver(&voice(3), &[address("a")]).remove(0).unwrap();
    one.deliver(&voice(4), &[address("a")]).remove(0).unwrap();
    for _ in 0..60 {
        world.pass(Duration::from_secs(1));
        one.tick();
        two.tick();
    }
    let logs: Vec<_> =
        torn.files().into_iter().filter(|f| f.to_string_lossy().contains("/log.")).collect();
    assert_eq!((rows(&one), rows(&two)), (4, 4), "{logs:?}");
}

#[test]
fn a_notice_that_was_torn_is_told_again_and_spoils_no_other() {
    let mut bad = Vec::new();
    for at in 1..30 {
        let world = World::default();
        let torn = made(&world);
        let one = open(&torn, &world.host(0), None);
        let two = open(&torn, &world.host(0), None);
        one.create(&address("a")).unwrap();
        one.logged_in(&unique("a")).unwrap();
        one.tick();
        two.tick();
        torn.fail(at, Fault::Full);
        let done = two.deliver(&voice(1), &[address("a")]).remove(0);
        if !torn.has_failed() {
            break;
        }
        for _ in 0..30 {
            world.pass(Duration::from_secs(1));
            two.tick();
            one.tick();
        }
        let r1 = rows(&one);
        let done2 = two.deliver(&voice(2), &[address("a")]).remove(0);
        for _ in 0..30 {
            world.pass(Duration::from_secs(1));
            two.tick();
            one.tick();
        }
        let r2 = rows(&one);
        let want = usize::from(done.is_ok());
        if r1 < want || r2 < want + usize::from(done2.is_ok()) {
            bad.push((at, done.is_ok(), r1, done2.is_ok(), r2));
        }
    }
    assert!(bad.is_empty(), "{bad:?}");
}

#[test]
fn a_mailbox_has_one_name_whoever_names_it() {
    let world = World::default();
    let disk = made(&world);
    let one = open(&disk, &world.host(0), None);
    one.create(&address("Big.User")).unwrap();
    let mut events = one.subscribe();
    one.deliver(&voice(2), &[address("Big.User")]).remove(0).unwrap();
    one.delete(&unique("big.user")).unwrap();
    one.restore(&unique("big.user")).unwrap();
    let names: Vec<_> = told(&mut events).into_iter().map(|e| e.mailbox).collect();
    assert!(names.iter().all(|n| n == "Big.User"), "{names:?}");
}

#[test]
fn a_check_tells_of_a_folder_that_is_missing() {
    let world = World::default();
    let disk = made(&world);
    let one = open(&disk, &world.host(0), None);
    one.create(&address("a")).unwrap();
    let f = disk.files().into_iter().find(|f| f.ends_with("mailbox.json")).unwrap();
    disk.remove_folder(&f.parent().unwrap().join("messages")).unwrap();
    let done = one.check(&unique("a"), Repair::No);
    assert!(done.is_ok(), "{done:?}");
}

#[test]
fn who_came_to_a_full_disk_and_wants_what_another_has_is_told_at_once() {
    let world = World::default();
    let torn = made(&world);
    let one = Arc::new(open(&torn, &world.host(0), None));
    one.create(&address("a")).unwrap();
    let a = unique("a");
    let id = one.deliver(&voice(1), &[address("a")]).remove(0).unwrap().id;
    one.tick();
    world.pass(Duration::from_secs(100));
    one.tick();
    let hd = Hooked::new(&torn);
    hd.set(|w, _| if w == "create" || w == "write" { Err(full()) } else { Ok(()) });
    let two = hopen(&hd, &world, LONG);
    two.tick();
    let t = Arc::clone(&one);
    world.meanwhile(move || t.tick());
    let before = world.host(0).uptime();
    let refused = two.remove(&a, &[id]);
    assert!(
        matches!(&refused, Err(MailError::Away(e)) if e.kind() == std::io::ErrorKind::StorageFull),
        "{refused:?}"
    );
    assert!(world.host(0).uptime() - before < Duration::from_secs(1));
}

#[test]
fn on_a_full_disk_messages_are_marked_and_moved() {
    let world = World::default();
    let torn = made(&world);
    let hd = Hooked::new(&torn);
    let one = hopen(&hd, &world, LONG);
    one.create(&address("a")).unwrap();
    let a = unique("a");
    let id = one.deliver(&voice(1), &[address("a")]).remove(0).unwrap().id;
    let id2 = one.deliver(&voice(2), &[address("a")]).remove(0).unwrap().id;
    one.tick();
    hd.set(|w, _| if w == "create" || w == "write" { Err(full()) } else { Ok(()) });
    let d1 = one.change(&a, &[id], |_, m| (Folder::Deleted, m)).map(|r| r.len());
    let d2 = one.mark_read(&a, &[id2], Reads::Read).map(|r| r.len());
    let l = one
        .list(&a, &Query::default())
        .unwrap()
        .rows
        .iter()
        .map(|r| (r.folder, r.marks.read))
        .collect::<Vec<_>>();
    assert!(d1.is_ok() && d2.is_ok(), "{d1:?} {d2:?} {l:?}");
}

#[test]
fn what_could_not_be_looked_at_once_is_looked_at_again() {
    let world = World::default();
    let torn = made(&world);
    let hd = Hooked::new(&torn);
    let one = hopen(&hd, &world, LONG);
    let two = open(&torn, &world.host(0), None);
    one.create(&address("a")).unwrap();
    one.logged_in(&unique("a")).unwrap();
    one.tick();
    two.tick();
    let mut events = one.subscribe();
    let id = two.deliver(&voice(1), &[address("a")]).remove(0).unwrap().id.to_string();
    hd.set(
        move |w, p| {
            if w == "open" && p.to_string_lossy().contains(&id) { Err(eio()) } else { Ok(()) }
        },
    );
    one.tick();
    hd.clear();
    for _ in 0..60 {
        world.pass(Duration::from_secs(1));
        one.tick();
        two.tick();
    }
    assert_eq!(told(&mut events).len(), 1);
}

#[test]
fn what_was_removed_on_a_full_disk_does_not_come_back_from_the_spool() {
    let mut bad = Vec::new();
    for at in 1..60 {
        let world = World::default();
        let (torn, local) = (made(&world), TornDisk::new());
        let hd = Hooked::new(&torn);
        let one = MessageStore::open(
            Arc::new(hd.clone()),
            Arc::new(world.host(0)),
            Path::new("/mail"),
            Some((Arc::new(local.clone()), PathBuf::from("/spool"))),
            Options::default(),
        )
        .unwrap();
        one.join().unwrap();
        one.create(&address("a")).unwrap();
        let a = unique("a");
        torn.fail(at, Fault::Error);
        let Ok(r) = one.deliver(&voice(1), &[address("a")]).remove(0) else { continue };
        if r.place != Place::Spool {
            continue;
        }
        if rows(&one) == 0 {
            continue;
        }
        hd.set(|w, p| {
            if (w == "create" || w == "write") && p.to_string_lossy().contains("catalog") {
                Err(full())
            } else {
                Ok(())
            }
        });
        let done = one.remove(&a, &[r.id]);
        hd.clear();
        for _ in 0..5 {
            world.pass(Duration::from_secs(1));
            one.tick();
        }
        if done.is_ok() && rows(&one) > 0 {
            bad.push(at);
        }
    }
    assert!(bad.is_empty(), "{bad:?}");
}

#[test]
fn a_root_that_vanishes_while_it_is_moved_takes_nothing_along() {
    let world = World::default();
    let torn = made(&world);
    let hd = Hooked::new(&torn);
    let one = hopen(&hd, &world, LONG);
    one.create(&address("a")).unwrap();
    one.deliver(&voice(1), &[address("a")]).remove(0).unwrap();
    let mut n = 0;
    hd.set(move |w, p| {
        if w == "list" && p == Path::new("/mail") {
            n += 1;
            if n >= 2 {
                return Err(eio());
            }
        }
        // An empty mount point has none.
        let is_guard = w == "open" && p == Path::new("/mail").join(GUARD);
        if is_guard && n >= 2 { Err(std::io::ErrorKind::NotFound.into()) } else { Ok(()) }
    });
    let new = TornDisk::new();
    let done = one.move_to(&new, Path::new("/new"), &mut |_, _| {});
    let left = new.files();
    let why = done.unwrap_err().to_string();
    assert!(why.contains("not mounted") && left.len() > 5, "{why} {left:?}");
}

#[test]
fn a_catalog_of_a_later_version_is_left_alone() {
    let world = World::default();
    let torn = made(&world);
    let one = open(&torn, &world.host(0), None);
    one.create(&address("a")).unwrap();
    let f = torn.files().into_iter().find(|f| f.ends_with("mailbox.json")).unwrap();
    torn.remove(&f).unwrap();
    torn.create(&f)
        .unwrap()
        .write_all(br#"{"format":"entracte-mailbox","version":2,"unique":"a"}"#)
        .unwrap();
    let log = f.parent().unwrap().join("catalog/log.1795942800000001");
    torn.create(&log)
        .unwrap()
        .write_all(format!("entracte-catalog 2\n{}", "x".repeat(2000)).as_bytes())
        .unwrap();
    let _ = one.mailbox(&unique("a"));
    let logs: Vec<_> =
        torn.files().into_iter().filter(|f| f.to_string_lossy().contains("/log.")).collect();
    assert_eq!(logs, vec![log]);
}

#[test]
fn what_is_delivered_by_who_came_to_a_full_disk_is_listed() {
    let world = World::default();
    let torn = made(&world);
    let one = open(&torn, &world.host(0), None);
    one.create(&address("a")).unwrap();
    one.logged_in(&unique("a")).unwrap();
    world.pass(Duration::from_secs(100));
    one.tick();
    let hd = Hooked::new(&torn);
    hd.set(|w, p| {
        if (w == "create" || w == "write") && p.to_string_lossy().contains("nodes") {
            Err(full())
        } else {
            Ok(())
        }
    });
    let two = hopen(&hd, &world, LONG);
    let done = two.deliver(&voice(1), &[address("a")]).remove(0);
    hd.clear();
    for _ in 0..60 {
        world.pass(Duration::from_secs(1));
        one.tick();
        two.tick();
    }
    assert_eq!((done.is_ok(), rows(&one)), (true, 1));
}

fn catalogs(t: &TornDisk) -> Vec<PathBuf> {
    let f = PathBuf::from("/mail").join({
        let [x, y] = unique("a").letters();
        format!("{x}/{y}/{}/catalog", unique("a").leaf())
    });
    t.list(&f)
        .unwrap()
        .into_iter()
        .filter(|e| e.name.starts_with("log."))
        .map(|e| f.join(e.name))
        .collect()
}
fn bytes(t: &TornDisk, p: &Path) -> Vec<u8> {
    store::read_all(t, p, 1 << 20).unwrap()
}

#[test]
fn a_catalog_that_a_later_version_let_go_is_left_alone() {
    let world = World::default();
    let torn = made(&world);
    let one = open(&torn, &world.host(0), None);
    one.create(&address("a")).unwrap();
    one.deliver(&voice(1), &[address("a")]).remove(0).unwrap();
    drop(one);
    let c = catalogs(&torn).remove(0);
    let text = String::from_utf8(bytes(&torn, &c)).unwrap().replacen(
        "entracte-catalog 1",
        "entracte-catalog 2",
        1,
    );
    store::replace_all(&torn, &c, text.as_bytes()).unwrap();
    let two = open(&torn, &world.host(0), None);
    let l = two.list(&unique("a"), &Query::default()).map(|p| p.rows.len());
    assert!(catalogs(&torn).contains(&c), "later catalog was taken away; list said {l:?}");
}

#[test]
fn a_catalog_of_which_not_even_a_line_was_written_is_in_nobody_s_way() {
    for begin in ["entracte-catalog 1", "entracte-catalog "] {
        let world = World::default();
        let torn = made(&world);
        let one = open(&torn, &world.host(0), None);
        one.create(&address("a")).unwrap();
        one.deliver(&voice(1), &[address("a")]).remove(0).unwrap();
        drop(one);
        let c = catalogs(&torn).remove(0);
        let n: u64 = c.extension().unwrap().to_str().unwrap().parse().unwrap();
        store::replace_all(
            &torn,
            &c.with_file_name(format!("log.{:010}", n + 1)),
            begin.as_bytes(),
        )
        .unwrap();
        let two = open(&torn, &world.host(0), None);
        for _ in 0..30 {
            world.pass(Duration::from_secs(1));
            two.tick();
        }
        let l = two.list(&unique("a"), &Query::default()).map(|p| p.rows.len());
        let r = two.check(&unique("a"), Repair::Yes);
        assert!(l.is_ok(), "{l:?} repair: {r:?}");
    }
}

#[test]
fn on_a_full_disk_numbers_and_counts_stay_what_they_were() {
    let world = World::default();
    let torn = made(&world);
    let hd = Hooked::new(&torn);
    let local = TornDisk::new();
    let one = MessageStore::open(
        Arc::new(hd.clone()),
        Arc::new(world.host(0)),
        Path::new("/mail"),
        Some((Arc::new(local), PathBuf::from("/spool"))),
        Options::default(),
    )
    .unwrap();
    one.join().unwrap();
    one.create(&address("a")).unwrap();
    let id = one.deliver(&voice(1), &[address("a")]).remove(0).unwrap().id;
    let id2 = one.deliver(&voice(2), &[address("a")]).remove(0).unwrap().id;
    one.change(&unique("a"), &[id2], |_, m| (Folder::Deleted, m)).unwrap();
    let before = one
        .list(&unique("a"), &Query { folder: Some(Folder::Deleted), ..Query::default() })
        .unwrap();
    world.pass(Duration::from_secs(3600));
    one.tick();
    let mut ev = one.subscribe();
    hd.set(|w, _| if w == "write" { Err(full()) } else { Ok(()) });
    let _ = one.mark_read(&unique("a"), &[id], Reads::Read);
    one.tick();
    let after = one
        .list(&unique("a"), &Query { folder: Some(Folder::Deleted), ..Query::default() })
        .unwrap();
    let of = |page: &Page| (page.rows[0].uid, page.rows[0].moved);
    assert_eq!(of(&after), of(&before));
    assert!(after.sequence >= before.sequence);
    for n in [3, 4] {
        let _ = one.deliver(&voice(n), &[address("a")]);
        one.tick();
    }
    let counts: Vec<_> = told(&mut ev).iter().map(|e| e.counts.map(|c| c.messages)).collect();
    assert_eq!(counts, [Some(2), Some(2)]);
}

#[test]
fn what_is_delivered_while_the_owner_is_newly_dead_is_told() {
    let world = World::default();
    let torn = made(&world);
    let (h1, h2, h3) = (world.host(0), world.host(0), world.host(0));
    let one = open(&torn, &h1, None);
    let two = open(&torn, &h2, None);
    let three = open(&torn, &h3, None);
    one.create(&address("a")).unwrap();
    one.deliver(&voice(1), &[address("a")]).remove(0).unwrap();
    for s in [&one, &two, &three] {
        s.tick();
    }
    assert!([&two, &three].iter().all(|store| store.counts(&unique("a")).is_ok()));
    for s in [&one, &two, &three] {
        s.tick();
    }
    // `one` is dead from here: it gives no sign.
    let (mut e2, mut e3) = (two.subscribe(), three.subscribe());
    two.deliver(&voice(2), &[address("a")]).remove(0).unwrap();
    for _ in 0..120 {
        world.pass(Duration::from_secs(1));
        two.tick();
        three.tick();
    }
    let (t2, t3) = (told(&mut e2).len(), told(&mut e3).len());
    std::mem::forget(one);
    assert!(t2 > 0 && t3 > 0, "{t2} {t3}");
}

#[test]
fn a_change_that_could_not_be_looked_at_is_told_later() {
    let world = World::default();
    let torn = made(&world);
    let hd = Hooked::new(&torn);
    let one = open(&torn, &world.host(0), None);
    let two = hopen(&hd, &world, LONG);
    one.create(&address("a")).unwrap();
    let id = one.deliver(&voice(1), &[address("a")]).remove(0).unwrap().id;
    two.counts(&unique("a")).unwrap();
    one.tick();
    two.tick();
    let mut e2 = two.subscribe();
    one.mark_read(&unique("a"), &[id], Reads::Read).unwrap();
    hd.set(|w, p| {
        if w == "open" && p.to_string_lossy().contains("/catalog/") { Err(eio()) } else { Ok(()) }
    });
    two.tick();
    hd.clear();
    for _ in 0..60 {
        world.pass(Duration::from_secs(1));
        one.tick();
        two.tick();
    }
    assert!(!told(&mut e2).is_empty());
}

#[test]
fn a_first_look_that_fails_is_told_later() {
    let world = World::default();
    let torn = made(&world);
    let hd = Hooked::new(&torn);
    let one = open(&torn, &world.host(0), None);
    let three = open(&torn, &world.host(0), None);
    let two = hopen(&hd, &world, LONG);
    one.create(&address("a")).unwrap();
    one.deliver(&voice(1), &[address("a")]).remove(0).unwrap();
    one.tick();
    two.tick();
    three.tick();
    let two = {
        drop(two);
        hopen(&hd, &world, LONG)
    };
    let mut e2 = two.subscribe();
    three.deliver(&voice(2), &[address("a")]).remove(0).unwrap();
    one.tick();
    hd.set(|w, p| {
        if w == "open" && p.to_string_lossy().contains("/catalog/") { Err(eio()) } else { Ok(()) }
    });
    two.tick();
    hd.clear();
    for _ in 0..60 {
        world.pass(Duration::from_secs(1));
        one.tick();
        three.tick();
        two.tick();
    }
    assert!(!told(&mut e2).is_empty());
}

#[test]
fn a_mailbox_that_is_no_more_is_not_looked_at_for_ever() {
    let world = World::default();
    let torn = made(&world);
    let hd = Hooked::new(&torn);
    let one = open(&torn, &world.host(0), None);
    let two = hopen(&hd, &world, LONG);
    one.create(&address("a")).unwrap();
    one.create(&address("b")).unwrap();
    one.deliver(&voice(1), &[address("a")]).remove(0).unwrap();
    two.counts(&unique("a")).unwrap();
    one.tick();
    two.tick();
    // a Look is on its way, and the mailbox is purged before `two` hears it.
    let n = Node::join(Arc::new(torn), Arc::new(world.host(0)), Path::new("/mail")).unwrap();
    two.tick();
    n.tell(Notice::Look, unique("a").leaf()).unwrap();
    one.delete(&unique("a")).unwrap();
    one.purge(&unique("a")).unwrap();
    for _ in 0..60 {
        world.pass(Duration::from_secs(1));
        one.tick();
        two.tick();
    }
    let count = Arc::new(Mutex::new(0));
    let c = Arc::clone(&count);
    hd.set(move |w, p| {
        if w == "list" && p.to_string_lossy().contains("/catalog") {
            *c.lock().unwrap() += 1;
        }
        Ok(())
    });
    for _ in 0..100 {
        world.pass(Duration::from_secs(1));
        one.tick();
        two.tick();
    }
    hd.clear();
    let n = *count.lock().unwrap();
    assert!(n < 10, "{n} lists in 100 s");
}

#[test]
fn a_mailbox_whose_owner_cannot_read_it_is_let_go() {
    let world = World::default();
    let torn = made(&world);
    let hd = Hooked::new(&torn);
    let one = Arc::new(hopen(&hd, &world, LONG));
    let two = Arc::new(open(&torn, &world.host(0), None));
    one.create(&address("a")).unwrap();
    one.deliver(&voice(1), &[address("a")]).remove(0).unwrap();
    one.tick();
    two.tick();
    let id = two.deliver(&voice(2), &[address("a")]).remove(0).unwrap().id;
    let t = id.to_string();
    let count = Arc::new(Mutex::new(0));
    let c = Arc::clone(&count);
    hd.set(move |w, p| {
        if w == "create" && p.to_string_lossy().contains("/catalog/log") {
            *c.lock().unwrap() += 1;
        }
        if w == "open" && p.to_string_lossy().contains(&t) { Err(eio()) } else { Ok(()) }
    });
    for _ in 0..60 {
        world.pass(Duration::from_secs(1));
        one.tick();
        two.tick();
    }
    let n = *count.lock().unwrap();
    let tick = [Arc::clone(&one), Arc::clone(&two)];
    world.meanwhile(move || tick.iter().for_each(|store| store.tick()));
    let done = two.mark_read(&unique("a"), &[id], Reads::Read).map(|r| r.len());
    let check = two.check(&unique("a"), Repair::Yes).map(|c| c.messages);
    assert!(done.is_ok(), "claims in 60 s: {n}; {done:?} {check:?}");
}

#[test]
fn a_purge_leaves_what_was_taken_back_while_it_waited() {
    let world = World::default();
    let torn = made(&world);
    let hd = Hooked::new(&torn);
    let one = hopen(&hd, &world, LONG);
    let two = open(&torn, &world.host(0), None);
    one.create(&address("a")).unwrap();
    one.deliver(&voice(1), &[address("a")]).remove(0).unwrap();
    one.delete(&unique("a")).unwrap();
    let mailbox = torn.files().into_iter().find(|file| file.ends_with("mailbox.json")).unwrap();
    let late = mailbox.with_file_name("catalog").join("log.9999999999999999");
    let disk = torn.clone();
    hd.set(move |what, path| {
        // Somebody who did not know claims it.
        if what == "remove" && path.to_string_lossy().ends_with(".xml") {
            drop(disk.create(&late).unwrap());
        }
        Ok(())
    });
    let taken = Arc::new(Mutex::new(None));
    let back = Arc::clone(&taken);
    let disk = torn.clone();
    world.meanwhile(move || {
        let mut back = back.lock().unwrap();
        if back.is_none() {
            let catalog = mailbox.with_file_name("catalog");
            for entry in disk.list(&catalog).unwrap() {
                disk.remove(&catalog.join(entry.name)).unwrap();
            }
            two.restore(&unique("a")).unwrap();
            *back = Some(two.deliver(&voice(2), &[address("a")]).remove(0).unwrap().id);
        }
    });
    let purged = one.purge(&unique("a"));
    assert!(matches!(purged, Err(MailError::NotDeleted(_))), "{purged:?}");
    let id = taken.lock().unwrap().take().unwrap();
    assert!(torn.files().iter().any(|file| file.to_string_lossy().contains(&id.to_string())));
}

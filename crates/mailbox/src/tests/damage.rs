//! Files that are missing, changed, or somebody else's.

use std::path::{Path, PathBuf};
use std::time::Duration;

use store::Disk as _;
use store::testbed::TornDisk;

use crate::testbed::{World, address, made, open, read, unique, voice};
use crate::*;

fn write(disk: &TornDisk, path: &Path, text: &str) {
    let _ = disk.remove(path);
    disk.create(path).unwrap().write_all(text.as_bytes()).unwrap();
}

fn file(disk: &TornDisk, part: &str) -> PathBuf {
    let found = disk.files().into_iter().find(|file| file.to_string_lossy().contains(part));
    found.unwrap_or_else(|| panic!("{part} is not there"))
}

#[test]
fn a_mailbox_whose_description_is_damaged_is_told_keeps_what_comes_and_is_mended() {
    for damage in ["", "{", "{\"format\":\"entracte-mailbox\",\"version\":1}", "missing", "other"] {
        let world = World::default();
        let (disk, local) = (made(&world), TornDisk::new());
        let store = open(&disk, &world.host(0), Some(&local));
        store.create(&address("a")).unwrap();
        store.create(&address("Quite.Well")).unwrap();
        store.deliver(&voice(1), &[address("a")]).remove(0).unwrap();
        let well = file(&disk, "QUITE.WELL/mailbox.json");
        let path = file(&disk, "/A/mailbox.json");
        match damage {
            "missing" => disk.remove(&path).unwrap(),
            "other" => {
                let text = store::read_all(&disk, &well, 1 << 16).unwrap();
                write(&disk, &path, &String::from_utf8(text).unwrap());
            }
            text => write(&disk, &path, text),
        }
        let a = unique("a");
        // The others are listed, and this one, with what is wrong.
        let all: Vec<_> =
            store.uniques().unwrap().iter().map(|one| store.mailbox(one).unwrap()).collect();
        let states: Vec<_> = all.iter().map(|one| one.damaged.is_some()).collect();
        assert_eq!(states, [true, false], "{damage}");
        assert_eq!(all[0].counts.unwrap().messages, 1);
        let stats = store.stats(&mut |_, _| {}).unwrap();
        assert_eq!((stats.damaged, stats.mailboxes, stats.messages), (1, 1, 1));
        let refused = store.resolve(&a).unwrap_err().to_string();
        assert!(refused.contains("entracte mailbox repair a"), "{refused}");
        assert!(matches!(store.create(&address("a")), Err(MailError::Damaged(..))));
        // What comes is kept.
        let receipt = store.deliver(&voice(2), &[address("a")]).remove(0).unwrap();
        assert_eq!(receipt.place, Place::Spool);
        store.tick();
        assert_eq!(store.pending().len(), 1);
        // By its folder's name, as a check of all does.
        let told = |repair| store.check(&unique("A"), repair).unwrap().faults;
        assert!(told(Repair::No)[0].what.contains("mailbox.json"), "{damage}");
        let mended = told(Repair::Yes);
        assert!(mended.len() == 1 && mended[0].mended, "{mended:?}");
        assert_eq!(told(Repair::No), vec![]);
        store.tick();
        assert_eq!(read(&store, "a").len(), 2, "{damage}");
        assert_eq!(store.resolve(&a).unwrap().to_string(), "FBMC: somebody : a");
        if damage != "missing" {
            file(&disk, "/A/quarantine/mailbox.json");
        }
    }
}

#[test]
fn a_mailbox_of_a_later_version_is_left_alone_and_what_comes_for_it_waits() {
    let world = World::default();
    let (disk, local) = (made(&world), TornDisk::new());
    let store = open(&disk, &world.host(0), Some(&local));
    store.create(&address("a")).unwrap();
    let path = file(&disk, "/A/mailbox.json");
    write(&disk, &path, "{\"format\":\"entracte-mailbox\",\"version\":2,\"unique\":\"a\"}");
    assert_eq!(
        store.mailbox(&unique("a")).unwrap().damaged.as_deref(),
        Some("a later version made it")
    );
    let error = store.check(&unique("a"), Repair::Yes).unwrap_err().to_string();
    assert!(error.contains("later version"), "{error}");
    let receipt = store.deliver(&voice(1), &[address("a")]).remove(0).unwrap();
    assert_eq!(receipt.place, Place::Spool);
}

#[test]
fn a_message_of_a_later_version_is_not_listed_and_left_where_it_is() {
    let world = World::default();
    let disk = made(&world);
    let host = world.host(0);
    let store = open(&disk, &host, None);
    store.create(&address("a")).unwrap();
    store.deliver(&voice(1), &[address("a")]).remove(0).unwrap();
    let id = store.deliver(&voice(2), &[address("a")]).remove(0).unwrap().id;
    drop(store);
    let path = disk.files().into_iter().find(|file| {
        let name = file.to_string_lossy();
        name.contains(&id.to_string()) && name.ends_with(".xml")
    });
    let path = path.unwrap();
    let xml = String::from_utf8(store::read_all(&disk, &path, 1 << 20).unwrap()).unwrap();
    let (xml, _) = xml.rsplit_once("<!-- crc32 ").unwrap();
    let later = xml.replace("version=\"1\"", "version=\"2\"");
    assert_ne!(xml.matches("version=\"2\"").count(), later.matches("version=\"2\"").count());
    let later = format!("{later}<!-- crc32 {:08x} -->\n", crc32fast::hash(later.as_bytes()));
    write(&disk, &path, &later);
    // The catalog that knows it is lost.
    disk.remove(&file(&disk, "catalog/log")).unwrap();
    let store = open(&disk, &world.host(0), None);
    assert_eq!(read(&store, "a").len(), 1);
    for repair in [Repair::No, Repair::Yes] {
        let faults = store.check(&unique("a"), repair).unwrap().faults;
        let whats: Vec<_> = faults.iter().map(|fault| (&*fault.what, fault.mended)).collect();
        assert_eq!(whats, [("a later version wrote it", false)]);
    }
    assert!(disk.files().contains(&path));
    assert_eq!(store.quarantined(), 0);
}

/// As a backup is that was made of what cannot be made anew.
#[test]
fn a_mailbox_without_its_catalog_s_folder_is_listed_and_takes_messages() {
    let world = World::default();
    let disk = made(&world);
    let host = world.host(0);
    let store = open(&disk, &host, None);
    store.create(&address("a")).unwrap();
    store.deliver(&voice(1), &[address("a")]).remove(0).unwrap();
    drop(store);
    for path in disk.files() {
        if path.to_string_lossy().contains("/catalog/") {
            disk.remove(&path).unwrap();
        }
    }
    disk.remove_folder(&file(&disk, "/A/mailbox.json").with_file_name("catalog")).unwrap();
    let store = open(&disk, &world.host(0), None);
    assert_eq!(read(&store, "a").len(), 1);
    store.deliver(&voice(2), &[address("a")]).remove(0).unwrap();
    assert_eq!(read(&store, "a").len(), 2);
    assert_eq!(store.check(&unique("a"), Repair::No).unwrap().faults, vec![]);
}

#[test]
fn a_mailbox_without_its_messages_folder_says_so_and_is_mended() {
    let world = World::default();
    let disk = made(&world);
    let store = open(&disk, &world.host(0), None);
    store.create(&address("a")).unwrap();
    disk.remove_folder(&file(&disk, "/A/mailbox.json").with_file_name("messages")).unwrap();
    let a = unique("a");
    assert_eq!(store.check(&a, Repair::Yes).unwrap().faults[0].what, "the folder is missing");
    assert_eq!(store.check(&a, Repair::No).unwrap().faults, vec![]);
    store.deliver(&voice(1), &[address("a")]).remove(0).unwrap();
}

#[test]
fn what_belongs_to_no_message_is_left_for_a_day_by_the_disk_s_clock_and_then_put_aside() {
    let world = World::default();
    let disk = made(&world);
    // Its calendar is wrong by a year.
    let store = open(&disk, &world.host(365 * 86_400), None);
    store.create(&address("a")).unwrap();
    store.deliver(&voice(1), &[address("a")]).remove(0).unwrap();
    let folder = file(&disk, "/messages/").parent().unwrap().to_owned();
    let draft = "20200101T000000.000000Z-01KAFM7C0000000000000000ZZ";
    for name in [&format!("{draft}.a0.wav"), &format!("{draft}.part"), "notes.txt", ".nfs0001"] {
        write(&disk, &folder.join(name), name);
    }
    let a = unique("a");
    let young = store.check(&a, Repair::Yes).unwrap();
    assert_eq!((young.unfinished, young.faults), (3, vec![]));
    disk.pass(Duration::from_hours(25));
    let old = store.check(&a, Repair::No).unwrap();
    assert_eq!((old.unfinished, old.faults.len(), old.quarantined), (0, 3, 0));
    // One of that name is there already.
    write(&disk, &folder.join("notes.txt"), "a second one");
    store::make_folders(&disk, &folder.with_file_name("quarantine")).unwrap();
    write(&disk, &folder.with_file_name("quarantine").join("notes.txt"), "the first");
    disk.pass(Duration::from_hours(25));
    let old = store.check(&a, Repair::Yes).unwrap();
    assert!(old.faults.len() == 3 && old.faults.iter().all(|fault| fault.mended), "{old:?}");
    assert_eq!(old.quarantined, 4);
    assert_eq!(store.check(&a, Repair::No).unwrap().faults, vec![]);
    assert!(disk.files().contains(&folder.join(".nfs0001")));
    let second = folder.with_file_name("quarantine").join("notes.txt.2");
    assert_eq!(store::read_all(&disk, &second, 100).unwrap(), b"a second one");
    assert_eq!(read(&store, "a").len(), 1);
}

#[test]
fn an_export_says_what_is_damaged_or_missing_and_has_all_else() {
    let world = World::default();
    let disk = made(&world);
    let store = open(&disk, &world.host(0), None);
    store.create(&address("a")).unwrap();
    let ids =
        [0; 4].map(|_| store.deliver(&voice(1), &[address("a")]).remove(0).unwrap().id.to_string());
    let find = |id: &str, end: &str| {
        let is_it = |path: &PathBuf| {
            let name = path.to_string_lossy();
            name.contains(id) && name.ends_with(end)
        };
        disk.files().into_iter().find(is_it).unwrap()
    };
    disk.flip(&find(&ids[0], ".wav"), 77);
    disk.remove(&find(&ids[1], ".wav")).unwrap();
    disk.flip(&find(&ids[2], ".xml"), 777);
    // It is exported although it was deleted, and nothing of it is changed by that.
    store.delete(&unique("a")).unwrap();
    let messages = || {
        let is_message = |path: &PathBuf| path.to_string_lossy().contains("/messages/");
        disk.files().into_iter().filter(is_message).collect::<Vec<_>>()
    };
    let before = messages();
    let to = tempfile::tempdir().unwrap();
    let exported = store.export(&unique("a"), &to.path().join("out")).unwrap();
    let whats: Vec<_> = exported.faults.iter().map(|fault| &*fault.what).collect();
    assert_eq!(whats.len(), 3, "{whats:?}");
    for (what, words) in whats.iter().zip(["not what was delivered", "is missing", "checksum"]) {
        assert!(what.contains(words), "{what}");
    }
    // All that is there comes along: of one the envelope alone.
    assert_eq!((exported.messages, exported.files), (4, 7));
    let list = std::fs::read_to_string(to.path().join("out/messages.csv")).unwrap();
    assert_eq!(list.lines().count(), 5);
    assert_eq!(messages(), before);
    // And what was put aside.
    store.restore(&unique("a")).unwrap();
    store.check(&unique("a"), Repair::Yes).unwrap();
    let exported = store.export(&unique("a"), &to.path().join("again")).unwrap();
    let whats: Vec<_> = exported.faults.iter().map(|fault| &*fault.what).collect();
    assert_eq!(whats, ["8 files were put aside earlier"]);
    assert_eq!((exported.messages, exported.files), (1, 10));
}

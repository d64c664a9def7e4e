//! Messages that come as e-mail, and all messages as e-mail.

use std::io::Read as _;

use super::*;
use crate::{Mail, Place};

const CAME: &[u8] = b"From: =?utf-8?q?J=C3=B6rg?= <4711@pbx.example>\r\nTo: a@b\r\nSubject: hi\r\n\
    Message-Context: voice-message\r\nImportance: High\r\nContent-Type: multipart/mixed; boundary=B\r\n\r\n\
    --B\r\nContent-Type: text/plain\r\n\r\nplease call\r\n--B\r\nContent-Type: audio/x-wav; name=m.wav\r\n\
    Content-Transfer-Encoding: base64\r\n\r\nUklGRiQAAABXQVZFZm10IBAAAAAHAAEAQB8AAEAfAAABAAgAZGF0YUAfAAA=\r\n--B--\r\n";

fn bytes(mail: &Mail) -> Vec<u8> {
    mail.bytes(0..mail.octets()).unwrap()
}

#[test]
fn what_comes_as_mail_is_kept_as_it_came_and_known_for_what_it_is() {
    let world = World::default();
    let disk = made(&world);
    let store = open(&disk, &world.host(0), None);
    store.create(&address("a")).unwrap();
    let receipt = store.deliver(&Draft::of_mail(CAME.into()), &[address("a")]).remove(0).unwrap();
    assert_eq!(receipt.place, Place::Mailbox);
    let a = unique("a");
    let (row, envelope) = store.message(&a, receipt.id).unwrap();
    assert_eq!((row.kind, &*row.from, &*row.number), (Kind::Voice, "Jörg", "4711"));
    assert_eq!((row.octets, row.duration_ms), (CAME.len() as u64, Some(1_000)));
    assert_eq!((&*row.address, row.importance), ("mailto:4711@pbx.example", Importance::High));
    assert_eq!(envelope.body, "please call");
    let contents = envelope.contents();
    assert_eq!(contents.len(), 1);
    assert_eq!((&*contents[0].media_type, &*contents[0].title), ("audio/x-wav", "m.wav"));
    let (_, mut file) = store.attachment(&a, receipt.id, 0).unwrap();
    let mut audio = Vec::new();
    file.read_to_end(&mut audio).unwrap();
    assert!(audio.starts_with(b"RIFF") && audio.len() as u64 == contents[0].bytes);
    let mail = store.mail(&a, receipt.id).unwrap();
    assert_eq!(bytes(&mail), CAME);
    let mut listed = Vec::new();
    assert!(
        store
            .view(&a, |view| view.envelope(view.row(receipt.id).unwrap(), &mut Vec::new()))
            .unwrap()
    );
    store
        .view(&a, |view| {
            let mut out = Vec::new();
            view.envelope(view.row(receipt.id).unwrap(), &mut out);
            out
        })
        .map(|out| listed = out)
        .unwrap();
    assert_eq!(listed, mail.envelope().unwrap());
}

#[test]
fn it_is_known_again_from_its_files_alone() {
    let world = World::default();
    let disk = made(&world);
    let store = open(&disk, &world.host(0), None);
    store.create(&address("a")).unwrap();
    let id = store.deliver(&Draft::of_mail(CAME.into()), &[address("a")]).remove(0).unwrap().id;
    let a = unique("a");
    let before = store.message(&a, id).unwrap().0;
    store.check(&a, Repair::Yes).unwrap();
    assert_eq!(store.message(&a, id).unwrap().0.envelope, before.envelope);
    // In another folder it is the same message, with another number.
    let moved = store.change(&a, &[id], |_, marks| (Folder::Saved, marks)).unwrap().remove(0);
    assert!(moved.uid > before.uid);
    assert_eq!(bytes(&store.mail(&a, id).unwrap()), CAME);
    // A copy is kept as it came, too; what is forwarded has its files by themselves.
    let copy = store.copied(&a, id, Folder::Inbox).unwrap();
    let copy = store.deliver(&copy, &[address("a")]).remove(0).unwrap().id;
    assert_eq!(bytes(&store.mail(&a, copy).unwrap()), CAME);
    let forwarded = store.forwarded(&a, id).unwrap();
    assert!(!forwarded.is_mail && forwarded.attachments[0].media_type == "audio/x-wav");
    let forwarded = store.deliver(&forwarded, &[address("a")]).remove(0).unwrap().id;
    let mail = store.mail(&a, forwarded).unwrap();
    assert_eq!(email::audio(mail.part()).unwrap().0, [2]);
    store.remove(&a, &[id, copy, forwarded]).unwrap();
    assert_eq!(store.counts(&a).unwrap().messages, 0);
}

#[test]
fn whatever_bytes_come_are_taken_and_given_back() {
    let world = World::default();
    let disk = made(&world);
    let store = open(&disk, &world.host(0), None);
    store.create(&address("a")).unwrap();
    let odd: [&[u8]; 6] = [
        b"",
        b"\0\xff\r\n\r\n\0",
        b"Subject: \x01\x02\xe4\r\n\r\nx",
        b"Content-Type: message/rfc822\r\n\r\nContent-Type: message/rfc822\r\n\r\n",
        b"From: a\r\nSubject: x\ty\x0bz\r\nTo: \"\x07\" <a@b>\r\n\r\n",
        &[b'a'; 100_000],
    ];
    for came in odd {
        let draft = Draft::of_mail(came.into());
        let id = store.deliver(&draft, &[address("a")]).remove(0).unwrap().id;
        assert_eq!(bytes(&store.mail(&unique("a"), id).unwrap()), came);
        let listed = store.view(&unique("a"), |view| {
            let mut out = Vec::new();
            view.envelope(view.row(id).unwrap(), &mut out).then_some(out)
        });
        if let Some(listed) = listed.unwrap() {
            assert_eq!(listed, store.mail(&unique("a"), id).unwrap().envelope().unwrap());
        }
    }
}

#[test]
fn passwords_and_keys_of_urls_are_kept_with_the_mailbox() {
    let world = World::default();
    let disk = made(&world);
    let store = open(&disk, &world.host(0), None);
    store.create(&address("a")).unwrap();
    let a = unique("a");
    assert_eq!(store.password_hash(&a).unwrap(), None);
    store.set_password_hash(&a, Some("$argon2id$x".to_owned())).unwrap();
    let key = store.make_url_key(&a, Folder::Inbox).unwrap();
    assert_eq!((key.len(), store.make_url_key(&a, Folder::Inbox).unwrap()), (40, key.clone()));
    let other = store.make_url_key(&a, Folder::Saved).unwrap();
    assert_ne!(other, key);
    store.rename(&a, "Anna").unwrap();
    store.reset_url_keys(&a, Some(Folder::Inbox)).unwrap();
    assert_eq!(store.url_key(&a, Folder::Inbox).unwrap(), None);
    assert_eq!(store.url_key(&a, Folder::Saved).unwrap(), Some(other));
    assert_eq!(store.password_hash(&a).unwrap().as_deref(), Some("$argon2id$x"));
    store.delete(&a).unwrap();
    assert!(store.password_hash(&a).is_err() && store.url_key(&a, Folder::Saved).is_err());
}

#[test]
fn what_is_put_into_a_folder_with_an_old_date_is_kept_from_then_on() {
    let world = World::default();
    let disk = made(&world);
    let store = open(&disk, &world.host(0), None);
    store.create(&address("a")).unwrap();
    world.pass(Duration::from_hours(24 * 100));
    let received = Some(Moment::parse("2020-01-01T00:00:00Z").unwrap());
    let draft = Draft { folder: Folder::Deleted, received, ..Draft::of_mail(CAME.into()) };
    store.deliver(&draft, &[address("a")]).remove(0).unwrap();
    assert_eq!(store.sweep().unwrap().expired, 0);
    world.pass(Duration::from_hours(24 * 29));
    assert_eq!(store.sweep().unwrap().expired, 0);
    world.pass(Duration::from_hours(24 * 2));
    assert_eq!(store.sweep().unwrap().expired, 1);
}

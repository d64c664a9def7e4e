//! Mailboxes and their messages, in a real browser.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use conformance::Subject;
use mailbox::{
    Address, Content, Draft, EmailAfter, EmailRule, EmailSend, Kind, MessageStore, NewAttachment,
    Options, Sender, SystemHost,
};
use store::SystemDisk;

use crate::bed::with_browser;
use crate::first_run;

/// A folder that is removed with all in it; in memory, where the system has such files: ten thousand deliveries sync
/// thirty thousand times.
struct Root(PathBuf);

impl Root {
    fn create() -> Self {
        let memory = Path::new("/dev/shm");
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        Self(parent.join(format!("entracte-test-mail-{}-{number}", std::process::id())))
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn address() -> Address {
    Address::parse("FBMC: Michael Cole : michaelc@site").unwrap()
}

/// A store with a mailbox that has so many messages, each of two seconds of a tone.
fn fill(root: &Path, messages: u32) {
    let disk = Arc::new(SystemDisk::new());
    MessageStore::initialise(&*disk, &SystemHost, root).unwrap();
    let host = Arc::new(SystemHost);
    let store = MessageStore::open(disk, host, root, None, Options::default()).unwrap();
    store.create(&address()).unwrap();
    let tone = |n: u32| (f64::from(n * 440) / 8_000.0 * std::f64::consts::TAU).sin() * 8_000.0;
    #[expect(clippy::cast_possible_truncation, reason = "within the range of i16")]
    let samples: Vec<i16> = (0..16_000).map(|n| tone(n) as i16).collect();
    let file: Arc<[u8]> = mailbox::Compression::Gsm.file(&samples).unwrap().into();
    let deliver = |n: u32| {
        let draft = Draft {
            subject: format!("message number {n}"),
            from: Sender {
                name: format!("Caller {}", n % 97),
                number: format!("+49{n}"),
                ..Sender::default()
            },
            duration_ms: Some(2_000),
            attachments: vec![NewAttachment {
                media_type: "audio/x-wav".to_owned(),
                codec: "gsm".to_owned(),
                duration_ms: Some(2_000),
                title: "voice.wav".to_owned(),
                peaks: mailbox::peaks(&samples),
                content: Content::Bytes(Arc::clone(&file)),
            }],
            ..Draft::new(Kind::Voice)
        };
        store.deliver(&draft, &[address()]).remove(0).unwrap();
    };
    (1..=messages).for_each(deliver);
    store.close();
}

const ROWS: &str = "return document.querySelectorAll('[data-message]').length";

#[tokio::test]
async fn complaint_45_ten_thousand_messages_are_searched_heard_and_deleted_without_a_stop() {
    let root = Root::create();
    fill(&root.0, 10_000);
    let mut subject =
        Subject::own(&format!("[text_to_speech]\nenabled = false\n[mail]\nroot = {:?}\n", root.0));
    let link = subject.setup_link();
    let (base, _) = link.split_once("/setup").unwrap();
    with_browser(base, async |browser| {
        first_run(&browser, &link).await;
        browser.open("/mailboxes").await;
        browser.until_text("Michael Cole").await;
        browser.press("td a[href='/mailboxes/michaelc%40site']").await;
        browser.until("all are new", "return document.querySelector('.tabs a small').textContent.includes('10000 new')").await;
        assert_eq!(browser.script(ROWS).await, 50);
        let cost = "const n = performance.getEntriesByType('navigation')[0]; return [n.responseEnd - n.requestStart, n.domInteractive, n.encodedBodySize]";
        let told = browser.script(cost).await;
        println!("a page of 10,000 messages: [answered ms, interactive ms, bytes] {told}");
        assert!(told[2].as_f64().unwrap() < 65_536.0, "{told}");
        for (scheme, width) in [("light", 1280), ("dark", 1280), ("light", 390)] {
            browser.scheme(scheme).await;
            browser.width(width).await;
            browser.check_accessible(&format!("mailbox {scheme} {width}")).await;
            browser.picture(&format!("mailbox-{scheme}-{width}")).await;
        }
        browser.width(1280).await;
        // By keys: the second message is heard to its end, and is new no more.
        let key = |key: &str| {
            format!("document.body.dispatchEvent(new KeyboardEvent('keydown', {{ key: '{key}', bubbles: true }}))")
        };
        browser.script("document.activeElement.blur()").await;
        browser.script(&key("j")).await;
        browser.script(&key("j")).await;
        browser.script(&key("Enter")).await;
        browser
            .until("it plays", "return document.getElementById('player-audio').currentTime > 0.3")
            .await;
        browser.check_accessible("player").await;
        browser.picture("mailbox-player").await;
        let waved = "const c = document.getElementById('player-wave'); return c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some(b => b > 0)";
        assert_eq!(browser.script(waved).await, true, "a wave is drawn");
        browser
            .until("it was heard", "return !document.querySelectorAll('[data-message]')[1].classList.contains('unread')")
            .await;
        browser.script(&key("d")).await;
        browser.until("it is gone", "return document.querySelectorAll('[data-message]').length === 49").await;
        // A search that finds the oldest, and another page.
        browser.fill("q", "number 77").await;
        browser.press_button("Search").await;
        browser.until_text("message number 7799").await;
        browser.press(".pages a").await;
        browser.until_text("message number 77").await;
        // Many at once.
        browser.press("#all").await;
        browser.press_button("Save").await;
        browser.until("some are saved", "return !document.querySelector('.tabs a:nth-child(2) small').textContent.startsWith('0')").await;
        assert_eq!(browser.console().await, Vec::<serde_json::Value>::new());
    })
    .await;
}

#[tokio::test]
async fn the_page_of_mail_servers_says_how_each_stands_and_what_failed() {
    let root = Root::create();
    fill(&root.0, 1);
    let disk = Arc::new(SystemDisk::new());
    let store =
        MessageStore::open(disk, Arc::new(SystemHost), &root.0, None, Options::default()).unwrap();
    let rule = EmailRule {
        address: "michael@elsewhere.example".to_owned(),
        send: EmailSend::Copy,
        after: EmailAfter::Keep,
        from_uid: 0,
        uid_validity: 0,
        agree_with: Some("office".parse().unwrap()),
    };
    store.set_email_rule(&address().unique, Some(rule)).unwrap();
    let draft = Draft { subject: "new".to_owned(), ..Draft::new(Kind::Text) };
    store.deliver(&draft, &[address()]).remove(0).unwrap();
    store.close();
    // Nobody listens at either.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut subject = Subject::own(&format!(
        "[text_to_speech]\nenabled = false\n[mail]\nretrieval_enabled = true\nroot = {:?}\nagree_seconds = 1\n\
         sender = \"voicemail@office.example\"\n[[mail.relays]]\nhost = \"127.0.0.1\"\nport = {closed}\n\
         security = \"none\"\n[[mail.servers]]\nname = \"office\"\nhost = \"127.0.0.1\"\nport = {closed}\n\
         security = \"none\"\nuser = \"service\"\nauthorization_id = \"*\"\npassword_file = \"/nonexistent\"\n",
        root.0
    ));
    let link = subject.setup_link();
    let (base, _) = link.split_once("/setup").unwrap();
    with_browser(base, async |browser| {
        first_run(&browser, &link).await;
        let parts = [
            "office",
            "failing",
            "Sent on by e-mail",
            "1 wait",
            "agree with an INBOX elsewhere: 1.",
            "MICHAELC@SITE: the mail server cannot be reached",
        ];
        let missing = async || {
            browser.open("/config/mail").await;
            let text = browser.script("return document.body.textContent").await.to_string();
            parts.iter().find(|part| !text.contains(**part)).copied()
        };
        let begun = entracte::clock::instant();
        while let Some(part) = missing().await {
            assert!(begun.elapsed() < Duration::from_secs(20), "{part} is not there");
        }
        for (scheme, width) in [("light", 1280), ("dark", 1280), ("light", 390)] {
            browser.scheme(scheme).await;
            browser.width(width).await;
            browser.check_accessible(&format!("mail servers {scheme} {width}")).await;
            // What is wider than the screen makes the whole page smaller.
            let wider = format!(
                "return [...document.querySelectorAll('main *')].filter(e => !e.closest('.scroll') && e.getBoundingClientRect().right > {width}).map(e => e.outerHTML.slice(0, 120))"
            );
            assert_eq!(browser.script(&wider).await, serde_json::json!([]), "{width}");
            browser.picture(&format!("mail-servers-{scheme}-{width}")).await;
        }
        assert_eq!(browser.console().await, Vec::<serde_json::Value>::new());
    })
    .await;
}

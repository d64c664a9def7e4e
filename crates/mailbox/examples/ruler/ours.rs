//! Our side.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mailbox::{
    Address, Content, Draft, Kind, MessageStore, NewAttachment, Options, Sender, SystemHost, Unique,
};
use store::SystemDisk;

use crate::{Outcome, audio};

/// The message that both sides take.
pub(crate) fn draft() -> Draft {
    Draft {
        from: Sender { name: "A caller".into(), number: "+4930123456".into(), ..Sender::default() },
        subject: "Voice message".into(),
        duration_ms: Some(30_000),
        body: "A voice message of 30 seconds.".into(),
        attachments: vec![NewAttachment {
            media_type: "audio/gsm".into(),
            codec: "gsm".into(),
            duration_ms: Some(30_000),
            title: "voice.gsm".into(),
            peaks: Vec::new(),
            content: Content::Bytes(audio().into()),
        }],
        ..Draft::new(Kind::Voice)
    }
}

pub(crate) fn address(mailbox: &str) -> Outcome<Address> {
    Ok(Address { friendly: "Somebody".into(), unique: Unique::parse(mailbox)? })
}

/// A store with these mailboxes, new where there is none.
pub(crate) fn open(root: &Path, mailboxes: &[String]) -> Outcome<MessageStore> {
    if !root.exists() {
        MessageStore::initialise(&SystemDisk::new(), &SystemHost, root)?;
    }
    let disk = Arc::new(SystemDisk::new());
    let store = MessageStore::open(disk, Arc::new(SystemHost), root, None, Options::default())?;
    for mailbox in mailboxes {
        match store.create(&address(mailbox)?) {
            Ok(()) | Err(mailbox::MailError::Exists(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    store.tick();
    Ok(store)
}

/// Runs `work` with the number of each of so many writers, and a sign of life each second.
pub(crate) fn with_ticks(store: &MessageStore, work: impl FnOnce()) {
    let (over, ticks) = std::sync::mpsc::sync_channel::<()>(0);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let second = std::time::Duration::from_secs(1);
            while ticks.recv_timeout(second) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                store.tick();
            }
        });
        work();
        drop(over);
    });
}

/// Delivers so many messages and ends.
pub(crate) fn deliver(root: &Path, count: u64, writers: usize) -> Outcome {
    let mailboxes: Vec<_> = (0..writers).map(|writer| format!("u{writer}")).collect();
    let store = open(root, &mailboxes)?;
    let draft = draft();
    let begun = AtomicU64::new(0);
    with_ticks(&store, || {
        std::thread::scope(|scope| {
            for mailbox in &mailboxes {
                let (store, draft, begun) = (&store, &draft, &begun);
                scope.spawn(move || {
                    let Ok(to) = address(mailbox) else { return };
                    while begun.fetch_add(1, Ordering::Relaxed) < count {
                        if let Some(Err(error)) =
                            store.deliver(draft, std::slice::from_ref(&to)).pop()
                        {
                            println!("{error}");
                        }
                    }
                });
            }
        });
    });
    Ok(())
}

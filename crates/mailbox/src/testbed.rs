//! Hosts on virtual time, and a store on a disk that can fail.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use store::Disk;
use store::testbed::TornDisk;

use crate::*;

/// The time of all hosts, and who died.
#[derive(Clone, Default)]
pub(crate) struct World {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    now: Duration,
    seed: u64,
    dead: BTreeSet<u32>,
    next: u32,
    /// What others do while one waits.
    meanwhile: Option<Box<dyn FnMut() + Send>>,
}

impl World {
    pub(crate) fn pass(&self, time: Duration) {
        self.state.lock().unwrap().now += time;
    }

    pub(crate) fn host(&self, skew: i64) -> TestHost {
        let mut state = self.state.lock().unwrap();
        state.next += 1;
        TestHost { world: self.clone(), process: state.next, skew }
    }

    pub(crate) fn kill(&self, host: &TestHost) {
        self.state.lock().unwrap().dead.insert(host.process);
    }

    pub(crate) fn meanwhile(&self, work: impl FnMut() + Send + 'static) {
        self.state.lock().unwrap().meanwhile = Some(Box::new(work));
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("World")
    }
}

#[derive(Clone, Debug)]
pub(crate) struct TestHost {
    world: World,
    process: u32,
    /// How many seconds its calendar is wrong by.
    skew: i64,
}

impl Host for TestHost {
    fn wall(&self) -> Moment {
        let mut state = self.world.state.lock().unwrap();
        state.now += Duration::from_micros(1);
        let seconds = 1_795_942_800 + self.skew;
        let micros = u64::try_from(seconds).unwrap() * 1_000_000
            + u64::try_from(state.now.as_micros()).unwrap();
        Moment::from_micros(micros)
    }

    fn uptime(&self) -> Duration {
        self.world.state.lock().unwrap().now
    }

    fn random(&self) -> [u8; 10] {
        let mut state = self.world.state.lock().unwrap();
        state.seed += 1;
        let mut bytes = [0; 10];
        bytes[..8].copy_from_slice(&state.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
        bytes
    }

    fn identity(&self) -> Identity {
        Identity {
            host: format!("h{}", self.process),
            process: self.process,
            ..Identity::default()
        }
    }

    fn has_ended(&self, other: &Identity) -> bool {
        self.world.state.lock().unwrap().dead.contains(&other.process)
    }

    fn pause(&self, time: Duration) {
        self.world.pass(time);
        let work = self.world.state.lock().unwrap().meanwhile.take();
        if let Some(mut work) = work {
            work();
            self.world.state.lock().unwrap().meanwhile.get_or_insert(work);
        }
    }
}

pub(crate) const ROOT: &str = "/mail";

pub(crate) fn unique(text: &str) -> Unique {
    Unique::parse(text).unwrap()
}

pub(crate) fn address(text: &str) -> Address {
    Address { friendly: "somebody".into(), unique: unique(text) }
}

/// A disk with an empty store.
pub(crate) fn made(world: &World) -> TornDisk {
    let disk = TornDisk::new();
    MessageStore::initialise(&disk, &world.host(0), Path::new(ROOT)).unwrap();
    disk
}

pub(crate) fn open(disk: &TornDisk, host: &TestHost, local: Option<&TornDisk>) -> MessageStore {
    let spool =
        local.map(|local| (Arc::new(local.clone()) as Arc<dyn Disk>, PathBuf::from("/spool")));
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let options = Options::default();
    let store = MessageStore::open(disk, Arc::new(host.clone()), Path::new(ROOT), spool, options);
    let store = store.unwrap();
    // Whether it can is a thing of the test's.
    let _ = store.join();
    store
}

/// A voice message whose bytes can be told from every other's.
pub(crate) fn voice(n: u32) -> Draft {
    let bytes: Vec<u8> = (0..200u32).flat_map(|at| (n * 1_000 + at).to_le_bytes()).collect();
    Draft {
        subject: format!("message {n}"),
        from: Sender { name: "A caller".into(), number: format!("+49{n}"), address: String::new() },
        duration_ms: Some(1_000),
        attachments: vec![NewAttachment {
            media_type: "audio/x-wav".into(),
            codec: "gsm".into(),
            duration_ms: Some(1_000),
            title: "voice.wav".into(),
            peaks: vec![1, 2, 3],
            content: Content::Bytes(bytes.into()),
        }],
        ..Draft::new(Kind::Voice)
    }
}

/// Every message of a mailbox, read to the last byte: its subject, folder, and whether it was heard.
pub(crate) fn read(store: &MessageStore, mailbox: &str) -> Vec<(MessageId, String, Folder, bool)> {
    let unique = unique(mailbox);
    let mut all = Vec::new();
    let mut after = None;
    loop {
        let page = store.list(&unique, &Query { after, limit: 7, ..Query::default() }).unwrap();
        for row in page.rows {
            let (_, envelope) = store.message(&unique, row.id).unwrap();
            let (_, mut file) = store.attachment(&unique, row.id, 0).unwrap();
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).unwrap();
            let n: u32 = envelope.subject.split(' ').nth(1).unwrap().parse().unwrap();
            let Content::Bytes(wanted) = voice(n).attachments.remove(0).content else { panic!() };
            assert_eq!(bytes, &*wanted);
            all.push((row.id, envelope.subject, row.folder, row.marks.read));
        }
        after = page.next;
        if after.is_none() {
            return all;
        }
    }
}

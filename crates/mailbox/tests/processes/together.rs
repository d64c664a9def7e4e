//! Several processes on one root at once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use mailbox::{Folder, LEASE, MessageId, MessageStore, Repair};
use rustix::process::Signal;

use crate::bed::{
    Chance, Found, Other, PATIENCE, made, now, opened, order, read, role, say, setting, unique,
};
use crate::deeds::Worker;
use crate::model::Model;

const BODY: &str = "together::a_process_among_several";
const MAILBOXES: [&str; 2] = ["a", "b"];
/// In each process.
const WORKERS: u64 = 2;
const TICK: Duration = Duration::from_secs(1);

#[test]
fn two_processes_in_the_same_mailboxes_lose_nothing_and_agree() {
    let mut bed = Bed::begin(2);
    bed.work(40);
    bed.end();
}

#[test]
fn three_processes_in_the_same_mailboxes_lose_nothing_and_agree_and_one_is_killed() {
    let mut bed = Bed::begin(3);
    bed.work(20);
    let killed = bed.others.remove(1);
    killed.kill().iter().for_each(|line| bed.model.take(line));
    bed.work(20);
    bed.end();
}

#[test]
fn a_process_that_was_stopped_for_longer_than_its_lease_goes_on_and_harms_nothing() {
    let Some(rounds) = setting("ENTRACTE_STOPPED") else {
        println!("skipped: it takes a minute; ENTRACTE_STOPPED=1 runs it");
        return;
    };
    let mut bed = Bed::begin(3);
    for round in 0..rounds {
        bed.work(40);
        let which = usize::try_from(round).unwrap() % 3;
        bed.others[which].signal(Signal::STOP);
        bed.pass(LEASE + Duration::from_secs(2));
        bed.others[which].signal(Signal::CONT);
        bed.work(40);
    }
    bed.end();
}

struct Bed {
    folder: tempfile::TempDir,
    others: Vec<Other>,
    model: Model,
}

impl Bed {
    fn begin(processes: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        made(&folder.path().join("mail"), &MAILBOXES);
        let shown = folder.path().display().to_string();
        let begin = |which: usize| {
            Other::begin(BODY, &[&shown, &which.to_string(), &processes.to_string()])
        };
        let others = (0..processes).map(begin).collect();
        Self { folder, others, model: Model::default() }
    }

    /// Listens until each process has said so much more.
    fn work(&mut self, lines: usize) {
        let began = now();
        let mut heard = vec![0; self.others.len()];
        while heard.iter().any(|heard| *heard < lines) {
            self.hear(&mut heard);
            assert!(began.elapsed() < PATIENCE, "they do not get on: {heard:?} of {lines}");
        }
    }

    /// Listens for so long.
    fn pass(&mut self, time: Duration) {
        let began = now();
        let mut heard = vec![0; self.others.len()];
        while began.elapsed() < time {
            self.hear(&mut heard);
        }
        println!("in {time:?} the processes said {heard:?} lines");
    }

    fn hear(&mut self, heard: &mut [usize]) {
        for (other, heard) in self.others.iter().zip(heard) {
            while let Some(line) = other.line_within(Duration::from_millis(2)) {
                self.model.take(&line);
                *heard += 1;
            }
        }
    }

    /// All stop; then each looks twice, so that each knows what the others said last; then each lists.
    fn end(mut self) {
        for other in &mut self.others {
            other.order("stop");
            until(other, "stopped", |line| self.model.take(line));
        }
        for _ in 0..2 {
            for other in &mut self.others {
                other.order("tick");
                until(other, "ticked", |line| panic!("{line}"));
            }
        }
        let mut lists: Vec<BTreeMap<String, Vec<Found>>> = Vec::new();
        for other in &mut self.others {
            other.order("list");
            let mut list: BTreeMap<String, Vec<Found>> = BTreeMap::new();
            until(other, "listed", |line| {
                let (mailbox, found) = found(line);
                list.entry(mailbox).or_default().push(found);
            });
            lists.push(list);
        }
        for (which, list) in lists.iter().enumerate() {
            assert_eq!(list, &lists[0], "process {which} lists something else than process 0");
            self.model.verify(list, &format!("process {which}"));
        }
        println!("{} acknowledgements", self.model.acknowledged);
        for other in self.others {
            other.end();
        }
        // One that comes after them finds the same.
        let store = opened(&self.folder.path().join("mail"), None);
        let listed = MAILBOXES.map(|mailbox| (mailbox.to_owned(), read(&store, mailbox)));
        self.model.verify(&listed.into(), "afterwards");
    }
}

/// Listens until a process says this word.
fn until(other: &Other, word: &str, mut each: impl FnMut(&str)) {
    loop {
        let line = other.line().unwrap();
        if line == word {
            return;
        }
        each(&line);
    }
}

fn found(line: &str) -> (String, Found) {
    let words: Vec<&str> = line.split(' ').collect();
    let ["found", mailbox, n, id, uid, folder, read, flagged] = words.as_slice() else {
        panic!("{line}")
    };
    let found = Found {
        n: n.parse().unwrap(),
        id: MessageId::parse(id).unwrap(),
        uid: uid.parse().unwrap(),
        folder: Folder::parse(folder).unwrap(),
        read: *read == "true",
        flagged: *flagged == "true",
    };
    ((*mailbox).to_owned(), found)
}

#[test]
fn a_process_among_several() {
    let Some(words) = role(BODY) else { return };
    let [folder, which, processes] = words.as_slice() else { panic!("{words:?}") };
    let (which, processes): (u64, u64) = (which.parse().unwrap(), processes.parse().unwrap());
    let folder = PathBuf::from(folder);
    let spool = folder.join(format!("spool-{which}"));
    let store = opened(&folder.join("mail"), Some(&spool));
    let stop = AtomicBool::new(false);
    // Orders of a process that is gone are awaited by nobody.
    let (to, orders) = sync_channel(1);
    std::thread::spawn(move || {
        while let Some(order) = order() {
            if to.send(order).is_err() {
                return;
            }
        }
    });
    std::thread::scope(|scope| {
        let mut workers = Vec::new();
        for own in 0..WORKERS {
            let worker = which * WORKERS + own;
            let mut worker = Worker {
                store: &store,
                mailboxes: &MAILBOXES,
                which: worker,
                workers: processes * WORKERS,
                next: worker,
                chance: Chance::new(worker + 1),
                mine: Vec::new(),
            };
            let stop = &stop;
            workers.push(scope.spawn(move || worker.run(stop)));
        }
        loop {
            match orders.recv_timeout(TICK) {
                Err(RecvTimeoutError::Timeout) => store.tick(),
                Err(RecvTimeoutError::Disconnected) => break,
                Ok(order) => match order.as_str() {
                    "stop" => {
                        stop.store(true, Ordering::Relaxed);
                        workers.drain(..).for_each(|worker| worker.join().unwrap());
                        say("stopped");
                    }
                    "tick" => {
                        store.tick();
                        say("ticked");
                    }
                    "list" => list(&store, &folder),
                    _ => panic!("{order}"),
                },
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
}

fn list(store: &MessageStore, folder: &Path) {
    assert!(store.pending().is_empty(), "{}: {:?}", folder.display(), store.pending());
    for mailbox in MAILBOXES {
        let checked = store.check(&unique(mailbox), Repair::No).unwrap();
        let is_left = |what: &str| what.starts_with("it belongs to no message");
        assert!(checked.faults.iter().all(|fault| is_left(&fault.what)), "{:?}", checked.faults);
        for one in read(store, mailbox) {
            let Found { n, id, uid, folder, read, flagged } = one;
            say(&format!("found {mailbox} {n} {id} {uid} {} {read} {flagged}", folder.word()));
        }
    }
    say("listed");
}

//! A process is killed at any moment.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use mailbox::Repair;

use crate::bed::{Chance, Found, Other, made, opened, order, read, role, say, setting, unique};
use crate::deeds::Worker;
use crate::model::Model;

const MAILBOXES: [&str; 3] = ["a", "b", "c"];
const WORKERS: u64 = 4;
/// A process gives its messages numbers from here on, times its round.
const MESSAGES: u64 = 1_000_000 * WORKERS;

#[test]
fn what_was_acknowledged_outlives_a_kill_at_any_moment() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("mail");
    made(&root, &MAILBOXES);
    let shown = root.display().to_string();
    let mut model = Model::default();
    let mut chance = Chance::new(1);
    let rounds = setting("ENTRACTE_KILLS").unwrap_or(25);
    for round in 0..rounds {
        let other = Other::begin("kills::a_process_that_is_killed", &[&shown, &round.to_string()]);
        // Some are killed while they open the store.
        for _ in 0..chance.below(140).saturating_sub(20) {
            model.take(&other.line().unwrap());
        }
        // Not for something to happen, but for it to be any moment.
        std::thread::sleep(Duration::from_micros(chance.below(4_000)));
        other.kill().iter().for_each(|line| model.take(line));
        model.verify(&all(&root), &format!("round {round}"));
    }
    assert!(model.acknowledged > rounds * 10, "{} acknowledgements", model.acknowledged);
    let (open, done) = (model.open, model.open_done);
    println!(
        "{rounds} kills, {} acknowledgements, {open} changes interrupted, {done} of them done",
        model.acknowledged
    );
}

/// What is in the mailboxes for a process that comes after, to the last byte.
fn all(root: &Path) -> BTreeMap<String, Vec<Found>> {
    let store = opened(root, None);
    let read = |mailbox: &str| {
        let found = read(&store, mailbox);
        let checked = store.check(&unique(mailbox), Repair::No).unwrap();
        let ids: Vec<_> = found.iter().map(|one| one.id.to_string()).collect();
        let listed = u64::try_from(found.len()).unwrap();
        assert_eq!(checked.messages, listed, "{mailbox}: {:?}; listed are {ids:?}", checked.faults);
        // A delivery that was interrupted leaves files that nobody sees, until they are old.
        let is_left = |what: &str| what.starts_with("it belongs to no message");
        assert!(checked.faults.iter().all(|fault| is_left(&fault.what)), "{:?}", checked.faults);
        (mailbox.to_owned(), found)
    };
    MAILBOXES.iter().map(|mailbox| read(mailbox)).collect()
}

#[test]
fn a_process_that_is_killed() {
    let Some(words) = role("kills::a_process_that_is_killed") else { return };
    let [root, round] = words.as_slice() else { panic!("{words:?}") };
    let round: u64 = round.parse().unwrap();
    let store = opened(Path::new(root), None);
    let stop = AtomicBool::new(false);
    let workers: Vec<_> = (0..WORKERS)
        .map(|which| {
            let mut worker = Worker {
                store: &store,
                mailboxes: &MAILBOXES,
                which,
                workers: WORKERS,
                next: round * MESSAGES + which,
                chance: Chance::new(round * WORKERS + which + 1),
                mine: Vec::new(),
            };
            worker.adopt();
            worker
        })
        .collect();
    say("ready");
    std::thread::scope(|scope| {
        for mut worker in workers {
            let stop = &stop;
            scope.spawn(move || worker.run(stop));
        }
        // Until the test is gone, should it forget to kill us.
        while order().is_some() {}
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

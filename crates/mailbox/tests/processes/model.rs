//! What must be in the mailboxes, from what the processes that changed them said.

use std::collections::{BTreeMap, BTreeSet};

use mailbox::Folder;

use crate::bed::Found;

/// How a message can be; `None` when it is not there.
type State = Option<(String, Folder, bool)>;

/// The states that each message can be in. One whose last change was acknowledged has one; one whose change was begun and
/// not acknowledged has that one, too.
#[derive(Debug, Default)]
pub(crate) struct Model {
    states: BTreeMap<u64, BTreeSet<State>>,
    flagged: BTreeSet<u64>,
    begun: BTreeMap<u64, State>,
    /// Acknowledgements.
    pub(crate) acknowledged: u64,
    /// Changes that were begun and not acknowledged; and those of them that were done.
    pub(crate) open: u64,
    pub(crate) open_done: u64,
}

impl Model {
    /// Takes a line of [`crate::deeds`]: `> begun`, `< acknowledged`, each with the message and how it is then;
    /// `! failed` says why.
    pub(crate) fn take(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            [">", n, state @ ..] => {
                let n = n.parse().unwrap();
                // One that is new may not be there.
                self.states.entry(n).or_insert_with(|| [None].into()).insert(state_of(state));
                self.begun.insert(n, state_of(state));
            }
            ["<", n, "flagged"] => {
                self.acknowledged += 1;
                self.flagged.insert(n.parse().unwrap());
            }
            ["<", n, state @ ..] => {
                self.acknowledged += 1;
                let n = n.parse().unwrap();
                self.begun.remove(&n);
                let states = self.states.get_mut(&n).unwrap();
                assert!(states.contains(&state_of(state)), "{line}: it was not begun");
                *states = [state_of(state)].into();
            }
            ["!", ..] => println!("{line}"),
            ["ready"] => {}
            _ => panic!("{line}"),
        }
    }

    /// Compares with what is there, which is known for sure from then on.
    pub(crate) fn verify(&mut self, found: &BTreeMap<String, Vec<Found>>, told: &str) {
        let mut there = BTreeMap::new();
        let mut ids = BTreeSet::new();
        for (mailbox, messages) in found {
            for one in messages {
                let state = (mailbox.clone(), one.folder, one.read);
                assert!(ids.insert(one.id), "{told}: {} is listed twice", one.id);
                assert!(there.insert(one.n, state).is_none(), "{told}: {} is there twice", one.n);
                assert!(
                    one.flagged || !self.flagged.contains(&one.n),
                    "{told}: {} lost its flag",
                    one.n
                );
            }
        }
        for n in there.keys() {
            assert!(self.states.contains_key(n), "{told}: nobody delivered {n}");
        }
        for (n, states) in &mut self.states {
            let state = there.get(n).cloned();
            assert!(states.contains(&state), "{told}: {n} is {state:?} and not one of {states:?}");
            *states = [state].into();
        }
        for (n, state) in std::mem::take(&mut self.begun) {
            self.open += 1;
            self.open_done += u64::from(there.get(&n).cloned() == state);
        }
        self.states.retain(|_, states| !states.contains(&None));
    }
}

fn state_of(words: &[&str]) -> State {
    match words {
        ["gone"] => None,
        [mailbox, folder, read] => {
            Some(((*mailbox).to_owned(), Folder::parse(folder).unwrap(), *read == "read"))
        }
        _ => panic!("{words:?}"),
    }
}

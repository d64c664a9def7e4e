//! The one deadline queue of an agent.

use std::collections::BTreeSet;

use vocab::Now;

/// Who wants to be woken when: each key stands in it at most once, under its own next deadline.
///
/// The owner of a key remembers the deadline it last asked for and hands it back, so that moving a
/// deadline removes the old entry exactly: the queue is as long as the number of waiting machines.
#[derive(Clone, Debug)]
pub struct Deadlines<K>(BTreeSet<(Now, K)>);

impl<K: Copy + Ord> Default for Deadlines<K> {
    fn default() -> Self {
        Self(BTreeSet::new())
    }
}

impl<K: Copy + Ord> Deadlines<K> {
    /// Moves `key` from the deadline it `had` to the one it `wants`.
    pub fn rearm(&mut self, key: K, had: Option<Now>, wants: Option<Now>) {
        if had == wants {
            return;
        }
        if let Some(at) = had {
            self.0.remove(&(at, key));
        }
        if let Some(at) = wants {
            self.0.insert((at, key));
        }
    }

    /// The earliest deadline and whose it is.
    pub fn first(&self) -> Option<(Now, K)> {
        self.0.first().copied()
    }

    /// The key whose deadline is the earliest, if that is not after `now`. It stays in the queue:
    /// whoever serves it rearms it.
    pub fn due(&self, now: Now) -> Option<K> {
        self.first().filter(|(at, _)| *at <= now).map(|(_, key)| key)
    }

    /// Throws away the earliest deadline, whoever's it is.
    pub fn discard_first(&mut self) {
        self.0.pop_first();
    }

    /// How many machines wait.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moved_deadline_leaves_nothing_behind_and_the_earliest_comes_first() {
        let mut queue = Deadlines::default();
        let at = Now::from_millis;
        queue.rearm('b', None, Some(at(20)));
        queue.rearm('a', None, Some(at(30)));
        queue.rearm('a', Some(at(30)), Some(at(10)));
        assert_eq!(queue.first(), Some((at(10), 'a')));
        assert_eq!(queue.due(at(9)), None);
        assert_eq!(queue.due(at(10)), Some('a'));
        queue.rearm('a', Some(at(10)), None);
        assert_eq!(queue.due(at(99)), Some('b'));
        queue.rearm('b', Some(at(20)), None);
        assert!(queue.is_empty());
        assert_eq!(queue.len(), 0);
    }
}

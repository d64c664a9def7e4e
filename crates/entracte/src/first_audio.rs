//! How soon a text was heard, by provider: from the order to the packet with its first sound.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The upper borders of the buckets, in milliseconds: a packet, what nobody notices, what one does, what
/// is too long.
pub const BORDERS_MS: [u64; 12] =
    [20, 40, 60, 100, 150, 250, 400, 700, 1_000, 2_000, 5_000, 10_000];

/// What was seen of one provider.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Seen {
    /// Texts that were heard no later than each of [`BORDERS_MS`].
    pub within: [u64; BORDERS_MS.len()],
    /// All texts.
    pub count: u64,
    /// All their waits together.
    pub sum: Duration,
}

/// All providers. There are no more of them than the configuration names.
#[derive(Debug, Default)]
pub struct FirstAudio(Mutex<BTreeMap<String, Seen>>);

impl FirstAudio {
    /// A text was heard.
    pub fn observe(&self, provider: &str, after: Duration) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !all.contains_key(provider) {
            all.insert(provider.to_owned(), Seen::default());
        }
        let Some(seen) = all.get_mut(provider) else { return };
        for (within, border) in seen.within.iter_mut().zip(BORDERS_MS) {
            *within += u64::from(after <= Duration::from_millis(border));
        }
        seen.count += 1;
        seen.sum += after;
    }

    /// What was seen of each.
    pub fn all(&self) -> BTreeMap<String, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_counts_in_every_bucket_that_it_fits() {
        let seen = FirstAudio::default();
        for millis in [5, 20, 21, 99_000] {
            seen.observe("espeak", Duration::from_millis(millis));
        }
        let all = seen.all();
        let espeak = all.get("espeak").unwrap();
        assert_eq!((espeak.within[0], espeak.within[1], espeak.within[11]), (2, 3, 3));
        assert_eq!((espeak.count, espeak.sum), (4, Duration::from_millis(99_046)));
    }
}

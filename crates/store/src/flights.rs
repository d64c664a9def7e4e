use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Keys whose askers are kept apart; past it, the ones nobody waits for are forgotten.
const FLIGHTS_MAX: usize = 1_024;

/// One lock a key, so that a hundred who want the same thing fetch it once: who holds the lock fetches it
/// and puts it where the next one looks first.
#[derive(Debug)]
pub struct Flights<K>(Mutex<BTreeMap<K, Weak<tokio::sync::Mutex<()>>>>);

impl<K> Default for Flights<K> {
    fn default() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }
}

impl<K: Ord> Flights<K> {
    /// The lock of this key.
    pub fn of(&self, key: K) -> Arc<tokio::sync::Mutex<()>> {
        let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = flights.get(&key).and_then(Weak::upgrade) {
            return flight;
        }
        if flights.len() >= FLIGHTS_MAX {
            flights.retain(|_, flight| flight.strong_count() > 0);
        }
        let flight = Arc::default();
        flights.insert(key, Arc::downgrade(&flight));
        flight
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_key_has_one_lock_for_as_long_as_somebody_holds_it() {
        let flights = Flights::default();
        let first = flights.of("a");
        assert!(Arc::ptr_eq(&first, &flights.of("a")));
        assert!(!Arc::ptr_eq(&first, &flights.of("b")));
        let taken = first.try_lock().unwrap();
        assert!(flights.of("a").try_lock().is_err());
        drop(taken);
        assert!(flights.of("a").try_lock().is_ok());
    }

    #[test]
    fn what_nobody_waits_for_is_forgotten_when_there_is_much() {
        let flights = Flights::default();
        let held = flights.of(0);
        for key in 1..3 * FLIGHTS_MAX {
            flights.of(key);
        }
        assert!(flights.0.lock().unwrap().len() <= FLIGHTS_MAX);
        assert!(Arc::ptr_eq(&held, &flights.of(0)));
    }
}

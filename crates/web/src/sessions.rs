//! Who is logged in, and who guesses passwords. Kept in memory: a restart logs everybody out.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::accounts::{Account, Accounts, Visitor, random_secret, sha256};

/// People logged in at one time; the one who did nothing for longest is logged out for the next.
const SESSIONS_MAX: usize = 1_000;
/// The longest that somebody stays logged in, however busy.
const LIFETIME: Duration = Duration::from_secs(12 * 3_600);
/// Addresses and names whose failures are remembered.
const GUESSERS_MAX: usize = 10_000;
/// Failures that cost no wait.
const FREE_FAILURES: u32 = 5;
/// The longest wait for an address, after many failures.
const ADDRESS_WAIT_MAX: Duration = Duration::from_secs(300);
/// The same for a name: short, since others can cause it.
const NAME_WAIT_MAX: Duration = Duration::from_secs(10);
/// Failures are forgotten after so long without one.
const FORGET: Duration = Duration::from_secs(900);

/// Sessions by the SHA-256 of their id, so that a look at memory opens nothing.
#[derive(Debug, Default)]
pub(crate) struct Sessions(Mutex<BTreeMap<[u8; 32], Session>>);

#[derive(Debug)]
struct Session {
    user: String,
    /// Of the password hash: who changes a password ends the sessions that began with the old one.
    stamp: [u8; 32],
    began: Duration,
    seen: Duration,
}

impl Sessions {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<[u8; 32], Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a session with a new id, which is all that opens it.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub(crate) fn begin(
        &self,
        account: &Account,
        now: Duration,
    ) -> Result<String, getrandom::Error> {
        let id = random_secret()?;
        let session =
            Session { user: account.name.clone(), stamp: stamp(account), began: now, seen: now };
        let mut sessions = self.lock();
        if sessions.len() >= SESSIONS_MAX {
            let idlest = sessions.iter().min_by_key(|(_, session)| session.seen);
            if let Some(id) = idlest.map(|(id, _)| *id) {
                sessions.remove(&id);
            }
        }
        sessions.insert(sha256(id.as_bytes()), session);
        Ok(id)
    }

    /// Whose session this is. `active` counts as a sign of life, which a page that only refreshes itself
    /// is not.
    pub(crate) fn visitor(
        &self,
        id: &str,
        accounts: &Accounts,
        idle_max: Duration,
        (now, active): (Duration, bool),
    ) -> Option<Visitor> {
        let key = sha256(id.as_bytes());
        let mut sessions = self.lock();
        let session = sessions.get_mut(&key)?;
        let account = accounts.user(&session.user).filter(|user| stamp(user) == session.stamp);
        let over = now.saturating_sub(session.seen) > idle_max
            || now.saturating_sub(session.began) > LIFETIME;
        let Some(account) = account.filter(|_| !over) else {
            sessions.remove(&key);
            return None;
        };
        if active {
            session.seen = now;
        }
        Some(Visitor { name: account.name.clone(), role: account.role })
    }

    /// Ends a session.
    pub(crate) fn end(&self, id: &str) {
        self.lock().remove(&sha256(id.as_bytes()));
    }
}

fn stamp(account: &Account) -> [u8; 32] {
    sha256(account.password_hash.reveal().as_bytes())
}

/// Failed log-ins, by address and by name.
#[derive(Debug, Default)]
pub(crate) struct Guessers(Mutex<BTreeMap<Guesser, Failures>>, Mutex<(u64, u32)>);

#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Guesser {
    Address(IpAddr),
    Name(String),
}

#[derive(Debug)]
struct Failures {
    count: u32,
    last: Duration,
}

/// Refused log-ins that the audit is told of in a minute.
const REFUSALS_A_MINUTE: u32 = 10;

impl Guessers {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Guesser, Failures>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long this address must wait before it may try this name; none when it may now. The try is
    /// counted as a failure at once, so that many at the same time are no way round.
    pub(crate) fn try_now(&self, from: IpAddr, name: &str, now: Duration) -> Result<(), Duration> {
        let keys = keys(from, name);
        let mut all = self.lock();
        let waits = keys.iter().filter_map(|(key, most)| {
            let failures = all.get(key)?;
            let until = failures.last + wait(failures.count).min(*most);
            (until > now).then(|| until.saturating_sub(now))
        });
        if let Some(longest) = waits.max() {
            return Err(longest);
        }
        for (key, _) in keys {
            if all.len() >= GUESSERS_MAX && !all.contains_key(&key) {
                let oldest = all.iter().min_by_key(|(_, failures)| failures.last);
                if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                    all.remove(&oldest);
                }
            }
            let failures = all.entry(key).or_insert(Failures { count: 0, last: now });
            let forgotten = now.saturating_sub(failures.last) > FORGET;
            failures.count = if forgotten { 1 } else { failures.count.saturating_add(1) };
            failures.last = now;
        }
        Ok(())
    }

    /// Whether another refusal is told in this minute: many addresses shall not push out what else was told.
    pub(crate) fn has_room_to_tell(&self, now: Duration) -> bool {
        let minute = now.as_secs() / 60;
        let mut told = self.1.lock().unwrap_or_else(PoisonError::into_inner);
        if told.0 != minute {
            *told = (minute, 0);
        }
        told.1 = told.1.saturating_add(1);
        told.1 <= REFUSALS_A_MINUTE
    }

    /// How often in a row this address has failed.
    pub(crate) fn failures(&self, from: IpAddr) -> u32 {
        let [(address, _), _] = keys(from, "");
        self.lock().get(&address).map_or(0, |failures| failures.count)
    }

    /// The try was right after all.
    pub(crate) fn right(&self, from: IpAddr, name: &str) {
        let mut all = self.lock();
        for (key, _) in keys(from, name) {
            all.remove(&key);
        }
    }
}

fn keys(from: IpAddr, name: &str) -> [(Guesser, Duration); 2] {
    // Whoever has one IPv6 address has 2^64 of them.
    let from = match from.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() >> 64 << 64).into()),
    };
    let name: String = name.chars().take(64).collect();
    // Behind a proxy everybody comes from this host: one shall not lock out the others.
    let most = if from.is_loopback() { NAME_WAIT_MAX } else { ADDRESS_WAIT_MAX };
    [(Guesser::Address(from), most), (Guesser::Name(name), NAME_WAIT_MAX)]
}

/// One second after the free failures, and twice as long after each more.
fn wait(failures: u32) -> Duration {
    match failures.checked_sub(FREE_FAILURES) {
        None => Duration::ZERO,
        Some(more) => Duration::from_secs(1 << more.min(20)),
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use vocab::Redacted;

    use super::*;
    use crate::accounts::Role;

    const IDLE: Duration = Duration::from_secs(60);

    fn accounts(hash: &str) -> Accounts {
        let ada = Account {
            name: "ada".into(),
            role: Role::Viewer,
            password_hash: Redacted::new(hash.into()),
        };
        Accounts { users: vec![ada], tokens: Vec::new() }
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_session_ends_by_log_out_idling_age_and_another_password() {
        let sessions = Sessions::default();
        let all = accounts("one");
        let begin = |now| sessions.begin(&all.users[0], at(now)).unwrap();
        let open = |id: &str, all: &Accounts, now| {
            sessions.visitor(id, all, IDLE, (at(now), true)).is_some()
        };
        let id = begin(0);
        assert!(open(&id, &all, 60) && open(&id, &all, 120) && !open(&id, &all, 181));
        assert!(!open(&id, &all, 100), "a session that idled out stays out");
        let id = begin(0);
        // A page that refreshes itself keeps nobody logged in.
        assert!(sessions.visitor(&id, &all, IDLE, (at(50), false)).is_some());
        assert!(sessions.visitor(&id, &all, IDLE, (at(70), false)).is_none());
        let id = begin(0);
        sessions.end(&id);
        assert!(!open(&id, &all, 1));
        let id = begin(0);
        assert!(!open(&id, &accounts("two"), 1));
        let id = begin(0);
        assert!((0..LIFETIME.as_secs()).step_by(50).all(|now| open(&id, &all, now)));
        assert!(!open(&id, &all, LIFETIME.as_secs() + 1));
        assert!(!open("", &all, 0) && !open("x", &all, 0));
    }

    #[test]
    fn sessions_are_bounded() {
        let sessions = Sessions::default();
        let all = accounts("one");
        let first = sessions.begin(&all.users[0], at(0)).unwrap();
        for _ in 0..SESSIONS_MAX {
            sessions.begin(&all.users[0], at(1)).unwrap();
        }
        assert_eq!(sessions.lock().len(), SESSIONS_MAX);
        assert!(sessions.visitor(&first, &all, IDLE, (at(1), true)).is_none());
    }

    #[test]
    fn who_guesses_waits_longer_each_time_and_cannot_lock_others_out() {
        let guessers = Guessers::default();
        let here = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1));
        let there = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
        let mut now = 0;
        let mut tries = 0;
        // A thousand seconds of trying as fast as it may.
        while now < 1_000 {
            match guessers.try_now(here, "ada", at(now)) {
                Ok(()) => tries += 1,
                Err(wait) => now += wait.as_secs().max(1),
            }
        }
        assert!((10..20).contains(&tries), "{tries} tries");
        // Somebody else at the same name waits seconds at most.
        let wait = guessers.try_now(there, "ada", at(now)).err().unwrap_or_default();
        assert!(wait <= NAME_WAIT_MAX, "{wait:?}");
        now += NAME_WAIT_MAX.as_secs();
        guessers.try_now(there, "ada", at(now)).unwrap();
        guessers.right(there, "ada");
        assert_eq!(guessers.try_now(there, "ada", at(now)), Ok(()));
        // Behind a proxy on this host nobody waits long for others.
        let proxy = IpAddr::V4(Ipv4Addr::LOCALHOST);
        for _ in 0..100 {
            let _ = guessers.try_now(proxy, "bob", at(5_000));
        }
        let wait = guessers.try_now(proxy, "ada", at(5_000)).err().unwrap_or_default();
        assert!(wait <= NAME_WAIT_MAX, "{wait:?}");
        // One address waits whatever names it tries.
        let tries = (0..20).filter(|n| guessers.try_now(here, &n.to_string(), at(2_000)).is_ok());
        assert!(tries.count() <= 6);
    }

    #[test]
    fn failures_of_many_addresses_are_bounded() {
        let guessers = Guessers::default();
        for n in 0..u32::try_from(GUESSERS_MAX).unwrap() * 2 {
            let _ = guessers.try_now(Ipv4Addr::from_bits(n).into(), &n.to_string(), at(n.into()));
        }
        assert!(guessers.lock().len() <= GUESSERS_MAX);
    }
}

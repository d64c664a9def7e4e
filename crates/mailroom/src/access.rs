use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordVerifier as _};
use mailbox::{MailError, MessageStore, Unique};
use ring::hmac;
use ring::rand::SystemRandom;
use tokio::sync::Semaphore;
use vocab::Redacted;

/// Passwords that are checked at one time: each takes 19 MiB and some 30 ms.
const CHECKS_MAX: usize = 2;
/// How long a password that was right is known to be, so that the many connections of a mail program cost one check.
const KNOWN_FOR: Duration = Duration::from_secs(600);
/// Passwords that are known at one time.
const KNOWN_MAX: usize = 10_000;
/// Wrong passwords from one address after which none from there is looked at for [`BARRED_FOR`].
const FAILURES_MAX: u32 = 20;
const BARRED_FOR: Duration = Duration::from_secs(60);
/// Addresses of which wrong passwords are counted.
const PEERS_MAX: usize = 10_000;
/// Bytes of a password that are looked at.
const PASSWORD_BYTES_MAX: usize = 1_024;

/// A program that may log in for any mailbox, such as a media server.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// The hash of its password, as a PHC string.
    pub password_hash: Redacted<String>,
}

/// Who logged in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Who {
    /// The user of a mailbox, or a service on that user's behalf.
    User(Unique),
    /// A service by itself: it has no mailbox, and may read what it is authorized to by URL. RFC 4467.
    Service(String),
}

/// Why somebody may not come in.
#[derive(Debug)]
pub enum Refusal {
    /// Name or password is wrong, or there is no such mailbox.
    Wrong,
    /// A service may not act for that mailbox, or a user not for another.
    NotAllowed,
    /// Too many wrong passwords came from there.
    Barred,
    /// The store cannot be asked.
    Store(MailError),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wrong => f.write_str("name or password is wrong"),
            Self::NotAllowed => f.write_str("that is not for this account to act for"),
            Self::Barred => f.write_str("too many wrong passwords: try again in a minute"),
            Self::Store(why) => why.fmt(f),
        }
    }
}

/// Checks who may come in.
pub struct Access {
    store: Arc<MessageStore>,
    services: Vec<Service>,
    checks: Semaphore,
    /// Makes what is kept of a password useless to anybody else.
    key: hmac::Key,
    known: Mutex<BTreeMap<[u8; 32], Instant>>,
    failures: Mutex<BTreeMap<IpAddr, (u32, Instant)>>,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").field("services", &self.services).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Access {
    /// For the users of a store, and these services.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn new(store: Arc<MessageStore>, services: Vec<Service>) -> Result<Self, &'static str> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())
            .map_err(|_| "the system has no random numbers")?;
        Ok(Self {
            store,
            services,
            checks: Semaphore::new(CHECKS_MAX),
            key,
            known: Mutex::default(),
            failures: Mutex::default(),
        })
    }

    /// Lets in who has the right password: `name` by itself, or on behalf of `act_for`, where that is not empty.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn log_in(
        self: &Arc<Self>,
        from: IpAddr,
        act_for: &str,
        name: &str,
        password: String,
    ) -> Result<Who, Refusal> {
        if self.is_barred(from) {
            return Err(Refusal::Barred);
        }
        let service = self.services.iter().find(|service| service.name == name);
        let (hash, mailbox) = match service {
            Some(service) => {
                let mailbox = Some(act_for).filter(|act_for| !act_for.is_empty());
                let mailbox = mailbox.map(Unique::parse).transpose().map_err(|_| Refusal::Wrong)?;
                (Some(service.password_hash.reveal().clone()), mailbox)
            }
            None => {
                let unique = Unique::parse(name).map_err(|_| Refusal::Wrong)?;
                let is_own =
                    act_for.is_empty() || Unique::parse(act_for).ok() == Some(unique.clone());
                (self.hash_of(&unique).await?, is_own.then_some(unique))
            }
        };
        if !self.is_right(from, hash, password).await {
            self.fail(from);
            return Err(Refusal::Wrong);
        }
        match (mailbox, service) {
            (Some(unique), _) => self.known_mailbox(unique).await.map(Who::User),
            (None, Some(service)) => Ok(Who::Service(service.name.clone())),
            (None, None) => Err(Refusal::NotAllowed),
        }
    }

    /// The hash of a user's password; none where there is no such mailbox, and nobody shall find out.
    async fn hash_of(self: &Arc<Self>, unique: &Unique) -> Result<Option<String>, Refusal> {
        let (access, unique) = (Arc::clone(self), unique.clone());
        let asked = tokio::task::spawn_blocking(move || access.store.password_hash(&unique)).await;
        match asked {
            Ok(Ok(hash)) => Ok(hash),
            Ok(Err(MailError::NoSuchMailbox(_) | MailError::Deleted(_))) | Err(_) => Ok(None),
            Ok(Err(error)) => Err(Refusal::Store(error)),
        }
    }

    async fn known_mailbox(self: &Arc<Self>, unique: Unique) -> Result<Unique, Refusal> {
        let access = Arc::clone(self);
        let asked = tokio::task::spawn_blocking(move || access.store.resolve(&unique)).await;
        match asked {
            Ok(Ok(address)) => Ok(address.unique),
            Ok(Err(MailError::NoSuchMailbox(_) | MailError::Deleted(_))) | Err(_) => {
                Err(Refusal::Wrong)
            }
            Ok(Err(error)) => Err(Refusal::Store(error)),
        }
    }

    async fn is_right(
        self: &Arc<Self>,
        from: IpAddr,
        hash: Option<String>,
        password: String,
    ) -> bool {
        if password.len() > PASSWORD_BYTES_MAX {
            return false;
        }
        // Where there is none, as much work is done: how long it takes tells nothing.
        let is_there = hash.is_some();
        let hash = hash.unwrap_or_else(|| NOBODY.to_owned());
        let mut context = hmac::Context::with_key(&self.key);
        context.update(hash.as_bytes());
        context.update(&[0]);
        context.update(password.as_bytes());
        let known_as: [u8; 32] = context.sign().as_ref().try_into().unwrap_or_default();
        let now = now();
        if lock(&self.known).get(&known_as).is_some_and(|until| *until > now) {
            return true;
        }
        let Ok(_turn) = self.checks.acquire().await else { return false };
        // Those who waited together with too many wrong ones are no better than those who come later.
        if self.is_barred(from) {
            return false;
        }
        let checked = tokio::task::spawn_blocking(move || {
            PasswordHash::new(&hash).is_ok_and(|hash| {
                Argon2::default().verify_password(password.as_bytes(), &hash).is_ok()
            })
        });
        let is_right = checked.await.unwrap_or(false) && is_there;
        if is_right {
            let mut known = lock(&self.known);
            if known.len() >= KNOWN_MAX {
                known.retain(|_, until| *until > now);
            }
            if known.len() < KNOWN_MAX {
                known.insert(known_as, now + KNOWN_FOR);
            }
        }
        is_right
    }

    fn is_barred(&self, from: IpAddr) -> bool {
        let failures = lock(&self.failures);
        failures.get(&network(from)).is_some_and(|(count, last)| {
            *count >= FAILURES_MAX && now().saturating_duration_since(*last) < BARRED_FOR
        })
    }

    fn fail(&self, from: IpAddr) {
        let now = now();
        let mut failures = lock(&self.failures);
        if failures.len() >= PEERS_MAX {
            failures.retain(|_, (_, last)| now.saturating_duration_since(*last) < BARRED_FOR);
        }
        if failures.len() < PEERS_MAX {
            let entry = failures.entry(network(from)).or_insert((0, now));
            let is_old = now.saturating_duration_since(entry.1) >= BARRED_FOR;
            *entry = (if is_old { 1 } else { entry.0 + 1 }, now);
        }
    }
}

/// Whose addresses one peer can choose among: of IPv6 a /64. RFC 4291 §2.5.1.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            IpAddr::V6(std::net::Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// The hash of a password that nobody has.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

#[expect(clippy::disallowed_methods, reason = "this is a shell, which has a clock")]
fn now() -> Instant {
    Instant::now()
}

//! Who may come in, and as what.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordHasher as _, PasswordVerifier as _};
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use vocab::Redacted;

/// Letters that a password has at least; fewer are guessed.
pub const PASSWORD_CHARS_MIN: usize = 8;
/// Bytes that a password has at most; more only cost time.
pub const PASSWORD_BYTES_MAX: usize = 1_024;
/// Passwords that are checked at one time: each takes 19 MiB and some 30 ms.
const CHECKS_MAX: usize = 2;

/// What somebody may do. Each may do what those before it may.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// See how the server stands.
    Viewer,
    /// Listen to sources and voices, test and capture.
    Operator,
    /// Change settings and accounts.
    Administrator,
}

impl Role {
    /// All of them, the least first.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Operator, Self::Administrator];

    /// As the configuration writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Administrator => "administrator",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or(())
    }
}

/// Somebody with a password.
#[derive(Clone, Debug, PartialEq)]
pub struct Account {
    /// The name to log in with.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// The argon2id hash of the password, as a PHC string.
    pub password_hash: Redacted<String>,
}

/// A program that brings a secret.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    /// What people call it.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// The SHA-256 of the secret, which is random and so needs no slow hash.
    pub sha256: [u8; 32],
}

/// Everybody who may come in.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Accounts {
    /// People.
    pub users: Vec<Account>,
    /// Programs.
    pub tokens: Vec<Token>,
}

/// Who asks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Visitor {
    /// Their name.
    pub name: String,
    /// What they may do.
    pub role: Role,
}

impl Accounts {
    /// Whom a token's secret stands for.
    #[must_use]
    pub fn by_token(&self, secret: &str) -> Option<Visitor> {
        let found = sha256(secret.as_bytes());
        // The hashes are compared, and nobody can choose theirs: time tells nothing.
        let token = self.tokens.iter().find(|token| token.sha256 == found)?;
        Some(Visitor { name: token.name.clone(), role: token.role })
    }

    /// The account of this name.
    #[must_use]
    pub fn user(&self, name: &str) -> Option<&Account> {
        self.users.iter().find(|user| user.name == name)
    }
}

/// The SHA-256 of some bytes.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
    hash
}

/// Bytes in hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A secret of 256 random bits, in hexadecimal.
///
/// # Errors
/// When the system has no randomness.
pub fn random_secret() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(hex(&bytes))
}

/// Why a password is not taken.
///
/// # Errors
/// In words, for whoever chose it.
pub fn check_password(password: &str) -> Result<(), String> {
    if password.chars().count() < PASSWORD_CHARS_MIN {
        return Err(format!("a password has at least {PASSWORD_CHARS_MIN} characters"));
    }
    if password.len() > PASSWORD_BYTES_MAX {
        return Err(format!("a password has at most {PASSWORD_BYTES_MAX} bytes"));
    }
    Ok(())
}

/// The argon2id hash of a password as a PHC string: what `administration.users[].password_hash` takes.
/// It takes some 30 ms.
///
/// # Errors
/// When the system has no randomness.
pub fn hash_password(password: &str) -> Result<String, String> {
    let hash = Argon2::default().hash_password(password.as_bytes());
    hash.map(|hash| hash.to_string()).map_err(|error| error.to_string())
}

/// Whether `text` is a hash that passwords can be checked against.
#[must_use]
pub fn is_password_hash(text: &str) -> bool {
    PasswordHash::new(text).is_ok_and(|hash| hash.algorithm.as_str().starts_with("argon2"))
}

/// Checks passwords, few at a time: many at once would take the machine from the calls.
#[derive(Clone, Debug)]
pub(crate) struct Checker {
    places: Arc<Semaphore>,
    /// What the password of somebody unknown is checked against, so that it takes as long.
    nobody: Arc<str>,
}

impl Checker {
    pub(crate) fn new() -> Self {
        let nobody = hash_password("nobody has this one").unwrap_or_default();
        Self { places: Arc::new(Semaphore::new(CHECKS_MAX)), nobody: nobody.into() }
    }

    /// Whether the account has this password; takes as long for an account that is not there.
    pub(crate) async fn check(&self, account: Option<&Account>, password: &str) -> bool {
        if password.len() > PASSWORD_BYTES_MAX {
            return false;
        }
        let Ok(_place) = self.places.acquire().await else { return false };
        let known = account.is_some();
        let hash = account.map_or(&*self.nobody, |account| account.password_hash.reveal());
        let (hash, password) = (hash.to_owned(), password.to_owned());
        let matches = tokio::task::spawn_blocking(move || {
            PasswordHash::new(&hash).is_ok_and(|hash| {
                Argon2::default().verify_password(password.as_bytes(), &hash).is_ok()
            })
        });
        matches.await.unwrap_or(false) && known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(name: &str, password: &str) -> Account {
        Account {
            name: name.to_owned(),
            role: Role::Operator,
            password_hash: Redacted::new(hash_password(password).unwrap()),
        }
    }

    #[tokio::test]
    async fn only_the_right_password_opens_and_nobody_has_none() {
        let checker = Checker::new();
        let ada = account("ada", "correct horse");
        assert!(checker.check(Some(&ada), "correct horse").await);
        assert!(!checker.check(Some(&ada), "correct horsf").await);
        assert!(!checker.check(Some(&ada), "").await);
        assert!(!checker.check(None, "nobody has this one").await);
        assert!(!checker.check(Some(&ada), &"x".repeat(PASSWORD_BYTES_MAX + 1)).await);
    }

    #[test]
    fn a_token_is_known_by_its_secret_alone() {
        let secret = random_secret().unwrap();
        let token =
            Token { name: "grafana".into(), role: Role::Viewer, sha256: sha256(secret.as_bytes()) };
        let accounts = Accounts { users: Vec::new(), tokens: vec![token] };
        let visitor = Visitor { name: "grafana".into(), role: Role::Viewer };
        assert_eq!(accounts.by_token(&secret), Some(visitor));
        assert_eq!(accounts.by_token("grafana"), None);
        assert_eq!(accounts.by_token(""), None);
    }

    #[test]
    fn a_hash_is_argon2id_and_a_password_is_none() {
        let hash = hash_password("correct horse").unwrap();
        assert!(hash.starts_with("$argon2id$"), "{hash}");
        assert!(is_password_hash(&hash) && !is_password_hash("correct horse"));
        assert!(check_password("1234567").is_err() && check_password("12345678").is_ok());
    }
}

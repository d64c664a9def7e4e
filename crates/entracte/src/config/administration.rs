//! `administration`: who may come in over HTTP.

use std::time::Duration;

use vocab::Redacted;
use web::{Account, Accounts, Role, Token};

use super::fault::Wrong;
use super::plan::Administration;
use super::reader::{Placed, Section};

const USER_KEYS: [&str; 3] = ["name", "role", "password_hash"];
const TOKEN_KEYS: [&str; 3] = ["name", "role", "sha256"];
const ROLES: [(&str, Role); 3] = [
    ("viewer", Role::Viewer),
    ("operator", Role::Operator),
    ("administrator", Role::Administrator),
];

pub(super) fn administration(section: &Section<'_>) -> Administration {
    let mut names: Vec<Placed<String>> = Vec::new();
    let mut accounts = Accounts::default();
    for entry in section.sections("users", &USER_KEYS) {
        let name = name(&entry, &mut names);
        let role = entry.choice("role", Role::Administrator, &ROLES);
        let hash = entry.required("password_hash").filter(|hash| {
            let fits = web::is_password_hash(&hash.value);
            if !fits {
                let found = Wrong::NotAllowed("this text".to_owned());
                let allowed = "an argon2 hash, as \"entracte hash-password\" makes it";
                entry.fault("password_hash", found, Some(allowed));
            }
            fits
        });
        if let (Some(name), Some(hash)) = (name, hash) {
            accounts.users.push(Account { name, role, password_hash: Redacted::new(hash.value) });
        }
    }
    let mut names: Vec<Placed<String>> = Vec::new();
    for entry in section.sections("tokens", &TOKEN_KEYS) {
        let name = name(&entry, &mut names);
        let role = entry.choice("role", Role::Viewer, &ROLES);
        let sha256 = entry.required("sha256").and_then(|text| {
            let bytes = sha256(&text.value);
            if bytes.is_none() {
                let found = Wrong::NotAllowed("this text".to_owned());
                entry.fault("sha256", found, Some("64 hexadecimal digits"));
            }
            bytes
        });
        if let (Some(name), Some(sha256)) = (name, sha256) {
            accounts.tokens.push(Token { name, role, sha256 });
        }
    }
    let minutes = section.integer("idle_minutes", 60_u32, 1..=720);
    Administration { accounts, idle: Duration::from_secs(u64::from(minutes) * 60) }
}

fn name(entry: &Section<'_>, names: &mut Vec<Placed<String>>) -> Option<String> {
    let name = entry.required("name")?;
    if web::check_name(&name.value).is_err() {
        let found = Wrong::NotAllowed(format!("{:?}", name.value));
        entry.fault(
            "name",
            found,
            Some("1 to 64 characters without a colon or a space around them"),
        );
        return None;
    }
    if let Some(first) = names.iter().find(|other| other.value == name.value) {
        let wrong = Wrong::Taken { name: name.value, first: first.place.clone() };
        entry.fault("name", wrong, None);
        return None;
    }
    names.push(name.clone());
    Some(name.value)
}

fn sha256(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

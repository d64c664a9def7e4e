//! URLs that others may read: RFC 4467, RFC 5524, RFC 5593.

use imap::structure::Detail;
use imap::{Access, Section, Url, UrlFetch, write};
use mailbox::{Mail, MailError, MessageStore, Unique};
use ring::hmac;

use super::fetching::{Binary, binary, binary_literal, section_bytes};
use super::folders;
use super::seconds_now;
use super::session::{Answer, Asked, Session};
use crate::access::Who;

/// The first byte of our tokens: how they are made.
const ALGORITHM: &str = "01";

impl Session {
    /// GENURLAUTH. RFC 4467 §7.
    pub(super) async fn authorize(&mut self, urls: Vec<(String, String)>) -> Result<Answer, Asked> {
        let unique = self.user()?;
        let mut told = Vec::new();
        for (text, mechanism) in urls {
            if mechanism != "INTERNAL" {
                return Ok(Answer::bad("the mechanism is INTERNAL"));
            }
            let url = match Url::parse(&text) {
                Ok(url) => url,
                Err(why) => return Ok(Answer::bad(why.to_string()).with("BADURL".to_owned())),
            };
            let bad =
                |why: &str| Answer::bad(why).with(format!("BADURL {}", write::astring(&text)));
            let whose = url.user.as_deref().and_then(|user| Unique::parse(user).ok());
            if whose.as_ref() != Some(&unique) {
                return Ok(bad("the URL is of another user"));
            }
            let Some(authorization) = url.authorization.filter(|auth| auth.token.is_none()) else {
                return Ok(bad("the URL has no ;URLAUTH= or is authorized already"));
            };
            let Some(folder) = folders::by_name(&url.mailbox) else {
                return Ok(bad("there is no such folder"));
            };
            let unique = unique.clone();
            let key = self.room.blocking(move |store| store.make_url_key(&unique, folder));
            let key = key.await.and_then(|key| key)?;
            let token = token(&key, &authorization.rump);
            let authorized = format!("{}:internal:{token}", authorization.rump);
            told.push(format!("\"{}\"", authorized.replace('"', "%22")));
        }
        self.untagged(&format!("GENURLAUTH {}", told.join(" ")));
        Ok(Answer::ok("authorized"))
    }

    /// RESETKEY. RFC 4467 §7.
    pub(super) async fn reset_key(&self, mailbox: Option<String>) -> Result<Answer, Asked> {
        let unique = self.user()?;
        let folder = match mailbox {
            None => None,
            Some(name) => match folders::by_name(&name) {
                Some(folder) => Some(folder),
                None => return Ok(Answer::no("NONEXISTENT", "there is no such folder")),
            },
        };
        let done = self.room.blocking(move |store| store.reset_url_keys(&unique, folder));
        done.await.and_then(|done| done)?;
        Ok(Answer::ok("all URLs are void").with("URLMECH INTERNAL".to_owned()))
    }

    /// URLFETCH. RFC 4467 §7, RFC 5524 §3.
    pub(super) async fn fetch_urls(&mut self, urls: Vec<UrlFetch>) -> Result<Answer, Asked> {
        let Some(who) = self.who.clone() else { return Ok(Answer::bad("log in first")) };
        for wanted in urls {
            let who = who.clone();
            let told = self.room.blocking(move |store| fetch(store, &who, &wanted));
            let mut told = told.await?;
            self.out.append(&mut told);
            self.link.write(&mut self.out).await?;
        }
        Ok(Answer::ok("that is all"))
    }
}

fn token(key: &str, rump: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes());
    format!("{ALGORITHM}{}", mailbox::hex(hmac::sign(&key, rump.as_bytes()).as_ref()))
}

/// Whether a token is the one of a URL; how long that takes to see does not tell how much of it is right.
fn is_token(key: &str, rump: &str, told: &str) -> bool {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes());
    let Some(digits) = told.strip_prefix(ALGORITHM) else { return false };
    let bytes: Option<Vec<u8>> = (0..digits.len() / 2)
        .map(|place| u8::from_str_radix(digits.get(2 * place..2 * place + 2)?, 16).ok())
        .collect();
    bytes.is_some_and(|bytes| hmac::verify(&key, rump.as_bytes(), &bytes).is_ok())
}

/// The answer for one URL: NIL where it may not be read, whatever the reason is.
fn fetch(store: &MessageStore, who: &Who, wanted: &UrlFetch) -> Vec<u8> {
    let mut out = Vec::from(&b"* URLFETCH "[..]);
    write::string(&mut out, wanted.url.as_bytes());
    out.push(b' ');
    let begin = out.len();
    let told = authorized(store, who, &wanted.url)
        .and_then(|named| told(&named, wanted, &mut out).ok()?);
    if told.is_none() {
        out.truncate(begin);
        out.extend_from_slice(b"NIL");
    }
    out.extend_from_slice(b"\r\n");
    out
}

/// What a URL names.
struct Named {
    mail: Mail,
    section: Section,
    /// From where, and how many bytes, where it is not all.
    partial: Option<(u64, u64)>,
}

/// What a URL names, if this one may read it.
fn authorized(store: &MessageStore, who: &Who, text: &str) -> Option<Named> {
    let url = Url::parse(text).ok()?;
    let unique = Unique::parse(url.user.as_deref()?).ok()?;
    let folder = folders::by_name(&url.mailbox)?;
    let authorization = url.authorization?;
    let is_user = |name: &str| match who {
        Who::User(unique) => Unique::parse(name).ok().as_ref() == Some(unique),
        Who::Service(_) => false,
    };
    let may = match &authorization.access {
        Access::Anonymous | Access::AuthUser => true,
        Access::User(name) => is_user(name),
        // Those are for programs, on whoever's behalf.
        Access::Submit(_) | Access::Stream(_) => matches!(who, Who::Service(_)),
    };
    let is_late = authorization.expires.is_some_and(|until| seconds_now() >= until);
    let (mechanism, told) = authorization.token?;
    let key = store.url_key(&unique, folder).ok().flatten()?;
    if !may || is_late || mechanism != "INTERNAL" || !is_token(&key, &authorization.rump, &told) {
        return None;
    }
    let found = store.view(&unique, |view| {
        let mut rows = view.rows().filter(|row| row.folder == folder);
        (view.uid_validity(), rows.find(|row| row.uid == url.uid).map(|row| row.id))
    });
    let (uid_validity, id) = found.ok()?;
    if url.uid_validity.is_some_and(|valid| valid != uid_validity) {
        return None;
    }
    let mail = store.mail(&unique, id?).ok()?;
    let partial = url.partial.map(|(from, length)| (from, length.unwrap_or(u64::MAX)));
    Some(Named { mail, section: url.section.unwrap_or_default(), partial })
}

/// Appends what is wanted of a section.
fn told(
    Named { mail, section, partial }: &Named,
    wanted: &UrlFetch,
    out: &mut Vec<u8>,
) -> Result<Option<()>, MailError> {
    let plain = !wanted.body && !wanted.binary && !wanted.structure;
    if plain {
        let Some(bytes) = section_bytes(mail, section, *partial)? else { return Ok(None) };
        write::literal(out, &bytes);
        return Ok(Some(()));
    }
    // Decoded, or described, it would be more than was authorized.
    if partial.is_some() && (wanted.binary || wanted.structure) {
        return Ok(None);
    }
    let Some(part) = mail.part().find(&section.part) else { return Ok(None) };
    let mut items = Vec::new();
    if wanted.structure {
        let mut item = b"(BODYPARTSTRUCTURE ".to_vec();
        mail.part_structure(part, Detail::Full, &mut item);
        item.push(b')');
        items.push(item);
    }
    if wanted.body {
        let Some(bytes) = section_bytes(mail, section, *partial)? else { return Ok(None) };
        let mut item = b"(BODY ".to_vec();
        write::literal(&mut item, &bytes);
        item.push(b')');
        items.push(item);
    }
    if wanted.binary {
        let mut item = b"(BINARY ".to_vec();
        match binary(mail, &section.part)? {
            Binary::Bytes(bytes) => binary_literal(&mut item, &bytes),
            Binary::None | Binary::Unknown => item.extend_from_slice(b"NIL"),
        }
        item.push(b')');
        items.push(item);
    }
    out.extend_from_slice(&items.join(&b' '));
    Ok(Some(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_of_one_key_and_one_url() {
        let made = token("key", "imap://a@h/INBOX/;uid=1;urlauth=anonymous");
        assert!(is_token("key", "imap://a@h/INBOX/;uid=1;urlauth=anonymous", &made));
        assert!(!is_token("other", "imap://a@h/INBOX/;uid=1;urlauth=anonymous", &made));
        assert!(!is_token("key", "imap://a@h/INBOX/;uid=2;urlauth=anonymous", &made));
        for told in ["", "01", "02ff", "01zz", made.trim_end_matches(|letter| letter != '0')] {
            assert!(!is_token("key", "imap://a@h/INBOX/;uid=1;urlauth=anonymous", told));
        }
    }
}

use std::fmt;

use crate::fetch::Section;
use crate::write::day;

/// Longest URL that is read, bytes.
const URL_BYTES_MAX: usize = 4_096;

/// An IMAP URL that names a message or a part of one. RFC 5092 §2.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Url {
    /// On whose behalf; `None` where the URL does not say.
    pub user: Option<String>,
    /// The mechanism to log in with, in upper case; `*` is any, `None` where the URL does not say.
    pub mechanism: Option<String>,
    /// The server's name or address, in lower case; an IPv6 address without its brackets.
    pub host: String,
    /// Its port; 143 where the URL does not say.
    pub port: Option<u16>,
    /// The mailbox.
    pub mailbox: String,
    /// What the UIDs are valid with.
    pub uid_validity: Option<u32>,
    /// The message.
    pub uid: u32,
    /// Which part of it.
    pub section: Option<Section>,
    /// From which byte on, and how many at most where that is said.
    pub partial: Option<(u64, Option<u64>)>,
    /// What allows others to read it.
    pub authorization: Option<UrlAuth>,
}

/// The authorization of a URL. RFC 4467 §3.
#[derive(Clone, Eq, PartialEq)]
pub struct UrlAuth {
    /// Until when, in seconds since 1970.
    pub expires: Option<u64>,
    /// Who may use it.
    pub access: Access,
    /// The URL up to there: what the token was made from.
    pub rump: String,
    /// The mechanism in upper case, and the token; `None` for a URL that is to be authorized.
    pub token: Option<(String, String)>,
}

/// Who may use a URL. RFC 4467 §3, RFC 5593.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Access {
    /// A submission server on behalf of this user.
    Submit(String),
    /// This user.
    User(String),
    /// Anybody who logged in.
    AuthUser,
    /// Anybody.
    Anonymous,
    /// A media server; on behalf of this user, where one is named. RFC 5593 §3.
    Stream(Option<String>),
}

/// Why a text is no such URL.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum UrlError {
    /// It does not begin with `imap://`.
    Scheme,
    /// It is longer than 4,096 bytes, or has a character that no URL has.
    Text,
    /// The server is missing, or its port is none.
    Server,
    /// The user or the mechanism is none.
    User,
    /// The mailbox is missing, or is not UTF-8.
    Mailbox,
    /// UIDVALIDITY is no number above 0.
    UidValidity,
    /// It names no message: UID is missing, or no number above 0.
    Uid,
    /// SECTION is none.
    Section,
    /// PARTIAL is none.
    Partial,
    /// EXPIRE is no date and time.
    Expire,
    /// URLAUTH is none.
    UrlAuth,
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scheme => "an IMAP URL begins with imap://",
            Self::Text => "the URL is too long or has a character that must be encoded",
            Self::Server => "the server is missing or is none",
            Self::User => "the user or ;AUTH= is none",
            Self::Mailbox => "the mailbox is missing or is not UTF-8",
            Self::UidValidity => "UIDVALIDITY is no number from 1 to 4294967295",
            Self::Uid => "the message is missing: ;UID= and a number from 1 to 4294967295",
            Self::Section => "SECTION is none",
            Self::Partial => "PARTIAL is no offset and length",
            Self::Expire => "EXPIRE is no date and time",
            Self::UrlAuth => "URLAUTH is none",
        })
    }
}

impl std::error::Error for UrlError {}

/// The token is a secret.
impl fmt::Debug for UrlAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let token = self.token.as_ref().map(|(mechanism, _)| mechanism);
        f.debug_struct("UrlAuth")
            .field("expires", &self.expires)
            .field("access", &self.access)
            .field("mechanism", &token)
            .finish_non_exhaustive()
    }
}

impl Url {
    /// Reads a URL that names a message or a part of one.
    ///
    /// # Errors
    /// [`UrlError`] names what of it is wrong.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        if text.len() > URL_BYTES_MAX || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(UrlError::Text);
        }
        let scheme = text.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("imap://"));
        let rest = scheme.and_then(|_| text.get(7..)).ok_or(UrlError::Scheme)?;
        let (server, path) = rest.split_once('/').ok_or(UrlError::Mailbox)?;
        let (user, server) = server.rsplit_once('@').map_or((None, server), |(u, s)| (Some(u), s));
        let (host, port) = host_and_port(server).ok_or(UrlError::Server)?;
        let (user, mechanism) = user.map_or(Ok((None, None)), user_and_mechanism)?;
        let (path, authorization) = authorization(text, path)?;
        let (mailbox, uid_at) = split_at_parameter(path, ";UID=").ok_or(UrlError::Uid)?;
        let mailbox = mailbox.strip_suffix('/').unwrap_or(mailbox);
        let (mailbox, uid_validity) = match split_at_parameter(mailbox, ";UIDVALIDITY=") {
            Some((mailbox, number)) => {
                let number: u32 = number.parse().map_err(|_| UrlError::UidValidity)?;
                (mailbox, Some(Some(number).filter(|n| *n > 0).ok_or(UrlError::UidValidity)?))
            }
            None => (mailbox, None),
        };
        let mailbox = decoded(mailbox).filter(|name| !name.is_empty()).ok_or(UrlError::Mailbox)?;
        let (rest, partial) = match split_at_parameter(uid_at, ";PARTIAL=") {
            Some((rest, range)) => (rest, Some(range_of(range).ok_or(UrlError::Partial)?)),
            None => (uid_at, None),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (uid, section) = match split_at_parameter(rest, ";SECTION=") {
            Some((uid, section)) => {
                let section = decoded(section).and_then(|section| Section::parse(&section));
                (uid, Some(section.ok_or(UrlError::Section)?))
            }
            None => (rest, None),
        };
        let uid = uid.strip_suffix('/').unwrap_or(uid);
        let uid = uid.parse().ok().filter(|uid| *uid > 0).ok_or(UrlError::Uid)?;
        Ok(Self {
            user,
            mechanism,
            host,
            port,
            mailbox,
            uid_validity,
            uid,
            section,
            partial,
            authorization,
        })
    }
}

/// Cuts at a parameter, in any case; a slash before it is left on the first half.
fn split_at_parameter<'a>(text: &'a str, name: &str) -> Option<(&'a str, &'a str)> {
    let at = find(text, name)?;
    Some((text.get(..at)?, text.get(at + name.len()..)?))
}

fn find(text: &str, name: &str) -> Option<usize> {
    text.as_bytes()
        .windows(name.len())
        .position(|window| window.eq_ignore_ascii_case(name.as_bytes()))
}

fn host_and_port(server: &str) -> Option<(String, Option<u16>)> {
    let (host, rest) = if let Some(inner) = server.strip_prefix('[') {
        inner.split_once(']')?
    } else {
        server.find(':').map_or((server, ""), |at| server.split_at(at))
    };
    let port = match rest.strip_prefix(':') {
        Some(port) => Some(port.parse().ok().filter(|port| *port > 0)?),
        None if rest.is_empty() => None,
        None => return None,
    };
    let host = decoded(host)?.to_ascii_lowercase();
    (!host.is_empty()).then_some((host, port))
}

type UserAndMechanism = (Option<String>, Option<String>);

fn user_and_mechanism(text: &str) -> Result<UserAndMechanism, UrlError> {
    let (user, mechanism) = match split_at_parameter(text, ";AUTH=") {
        Some((user, mechanism)) => {
            let mechanism = decoded(mechanism).filter(|mechanism| !mechanism.is_empty());
            (user, Some(mechanism.ok_or(UrlError::User)?.to_ascii_uppercase()))
        }
        None => (text, None),
    };
    let user = decoded(user).ok_or(UrlError::User)?;
    Ok((Some(user).filter(|user| !user.is_empty()), mechanism))
}

/// `10.20`, `10`
fn range_of(text: &str) -> Option<(u64, Option<u64>)> {
    match text.split_once('.') {
        Some((from, length)) => {
            Some((from.parse().ok()?, Some(length.parse().ok().filter(|n| *n > 0)?)))
        }
        None => Some((text.parse().ok()?, None)),
    }
}

/// What is left of the path, and the authorization at its end.
fn authorization<'a>(url: &str, path: &'a str) -> Result<(&'a str, Option<UrlAuth>), UrlError> {
    let Some((before, access)) = split_at_parameter(path, ";URLAUTH=") else {
        // An expiry without an authorization says nothing.
        return Ok((path, None));
    };
    let (before, expires) = match split_at_parameter(before, ";EXPIRE=") {
        Some((before, moment)) => (before, Some(date_time(moment).ok_or(UrlError::Expire)?)),
        None => (before, None),
    };
    let mut parts = access.splitn(3, ':');
    let who = parts.next().unwrap_or_default();
    let token = match (parts.next(), parts.next()) {
        (None, _) => None,
        (Some(mechanism), Some(token)) if !token.is_empty() => {
            Some((mechanism.to_ascii_uppercase(), token.to_owned()))
        }
        (Some(_), _) => return Err(UrlError::UrlAuth),
    };
    let end = url.len() - access.len() + who.len();
    let rump = url.get(..end).unwrap_or_default().to_owned();
    let access = Access::parse(who).ok_or(UrlError::UrlAuth)?;
    Ok((before, Some(UrlAuth { expires, access, rump, token })))
}

impl Access {
    fn parse(text: &str) -> Option<Self> {
        let (word, user) = match text.split_once('+') {
            Some((word, user)) => (word, Some(decoded(user).filter(|user| !user.is_empty())?)),
            None => (text, None),
        };
        Some(match (word.to_ascii_lowercase().as_str(), user) {
            ("submit", Some(user)) => Self::Submit(user),
            ("user", Some(user)) => Self::User(user),
            ("authuser", None) => Self::AuthUser,
            ("anonymous", None) => Self::Anonymous,
            ("stream", user) => Self::Stream(user),
            _ => return None,
        })
    }
}

/// `2006-12-20T18:31:45-08:00`, RFC 3339; in seconds since 1970.
fn date_time(text: &str) -> Option<u64> {
    let text = decoded(text)?;
    let (date, time) = text.split_once(['T', 't'])?;
    let mut date = date.splitn(3, '-').map(|part| part.parse::<i64>().ok());
    let (year, month, of_month) = (date.next()??, date.next()??, date.next()??);
    let month = email::compose::MONTHS.get(usize::try_from(month).ok()?.checked_sub(1)?)?;
    let days = day(year, month, of_month)?;
    let zone_at = time.find(['Z', 'z', '+', '-'])?;
    let (clock, zone) = time.split_at(zone_at);
    let mut clock = clock.splitn(3, ':');
    let in_range = |part: &str| part.parse::<i64>().ok().filter(|part| (0..=60).contains(part));
    let (hour, minute) = (in_range(clock.next()?)?, in_range(clock.next()?)?);
    let second = in_range(clock.next()?.split('.').next()?)?;
    let ahead = match zone.split_at_checked(1)? {
        ("Z" | "z", "") => 0,
        (sign @ ("+" | "-"), offset) => {
            let (hours, minutes) = offset.split_once(':')?;
            let ahead = in_range(hours)? * 3_600 + in_range(minutes)? * 60;
            if sign == "+" { ahead } else { -ahead }
        }
        _ => return None,
    };
    let fits = (0..24).contains(&hour) && (0..60).contains(&minute) && (0..=60).contains(&second);
    let seconds = days * 86_400 + hour * 3_600 + minute * 60 + second - ahead;
    u64::try_from(seconds).ok().filter(|_| fits && ahead.abs() < 86_400)
}

/// Undoes percent-encoding; `None` where an escape is broken or the bytes are not UTF-8.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            if !digits.iter().all(u8::is_ascii_hexdigit) {
                return None;
            }
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok().filter(|text| !text.contains(['\0', '\r', '\n']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn section_2_urls_name_messages_and_parts() {
        let url = Url::parse(
            "imap://minbari.example.org/gray-council;UIDVALIDITY=385759045/;UID=20/;PARTIAL=0.1024",
        )
        .unwrap();
        assert_eq!(
            (&*url.host, &*url.mailbox, url.uid),
            ("minbari.example.org", "gray-council", 20)
        );
        assert_eq!((url.uid_validity, url.partial), (Some(385_759_045), Some((0, Some(1_024)))));
        let url =
            Url::parse("IMAP://;AUTH=*@Host:1143/~peter/%E6%97%A5/;uid=20/;section=1.2").unwrap();
        assert_eq!((url.user, url.mechanism.as_deref(), url.port), (None, Some("*"), Some(1_143)));
        assert_eq!((&*url.host, &*url.mailbox), ("host", "~peter/日"));
        assert_eq!(url.section.unwrap().to_string(), "1.2");
        let url = Url::parse("imap://anna%40x;AUTH=PLAIN@[::1]:143/INBOX/;UID=5").unwrap();
        assert_eq!((url.user.as_deref(), &*url.host), (Some("anna@x"), "::1"));
        let url = Url::parse("imap://h/INBOX/;UID=7;EXPIRE=2026-01-01T00:00:00Z").unwrap_err();
        assert_eq!(url, UrlError::Uid);
    }

    #[test]
    fn rfc_4467_the_token_is_made_from_the_rump() {
        let rump = "imap://joe@example.com/INBOX/;uid=20/;section=1.2;expire=2006-12-20T18:31:45-08:00;urlauth=stream";
        let token = "internal:91354a473744909de610943775f92038";
        let url = Url::parse(&format!("{rump}:{token}")).unwrap();
        let authorization = url.authorization.unwrap();
        assert_eq!(authorization.rump, rump);
        assert_eq!(authorization.access, Access::Stream(None));
        assert_eq!(authorization.expires, Some(1_166_668_305));
        assert_eq!(
            authorization.token,
            Some(("INTERNAL".to_owned(), "91354a473744909de610943775f92038".to_owned()))
        );
        assert!(
            !format!("{:?}", Url::parse(&format!("{rump}:{token}")).unwrap()).contains("91354a")
        );
        for (access, expected) in [
            ("user+anna%40x", Some(Access::User("anna@x".to_owned()))),
            ("submit+x", Some(Access::Submit("x".to_owned()))),
            ("stream+ms", Some(Access::Stream(Some("ms".to_owned())))),
            ("authuser", Some(Access::AuthUser)),
            ("Anonymous", Some(Access::Anonymous)),
            ("user", None),
            ("user+", None),
            ("nobody", None),
        ] {
            let url = Url::parse(&format!("imap://u@h/INBOX/;UID=1;URLAUTH={access}"));
            assert_eq!(url.ok().and_then(|url| url.authorization).map(|a| a.access), expected);
        }
    }

    #[test]
    fn what_is_no_url_says_what_is_wrong() {
        for (text, expected) in [
            ("http://h/", UrlError::Scheme),
            ("imap://h", UrlError::Mailbox),
            ("imap://h/", UrlError::Uid),
            ("imap:///INBOX/;UID=1", UrlError::Server),
            ("imap://h:0/INBOX/;UID=1", UrlError::Server),
            ("imap://h:x/INBOX/;UID=1", UrlError::Server),
            ("imap://[::1/INBOX/;UID=1", UrlError::Server),
            ("imap://h/;UID=1", UrlError::Mailbox),
            ("imap://h/%ff/;UID=1", UrlError::Mailbox),
            ("imap://h/a%0d%0aNOOP/;UID=1", UrlError::Mailbox),
            ("imap://h/INBOX/;UID=0", UrlError::Uid),
            ("imap://h/INBOX/;UID=1:5", UrlError::Uid),
            ("imap://h/INBOX;UIDVALIDITY=0/;UID=1", UrlError::UidValidity),
            ("imap://h/INBOX/;UID=1/;SECTION=x", UrlError::Section),
            ("imap://h/INBOX/;UID=1/;PARTIAL=1.0", UrlError::Partial),
            ("imap://h/INBOX/;UID=1;EXPIRE=never;URLAUTH=anonymous", UrlError::Expire),
            ("imap://h/INBOX/;UID=1;URLAUTH=anonymous:internal", UrlError::UrlAuth),
            ("imap://h/IN BOX/;UID=1", UrlError::Text),
            ("imap://u;AUTH=@h/INBOX/;UID=1", UrlError::User),
        ] {
            assert_eq!(Url::parse(text), Err(expected), "{text}");
        }
    }
}

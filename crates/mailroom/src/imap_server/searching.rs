use email::{Header, plain_text};
use imap::{Key, Numbering, ResultOption, Search, write};
use mailbox::{Mail, MailError, MessageStore, Row};

use super::seconds_now;
use super::selected::{Entry, Selected, mark};

/// What a search found: places of messages in the folder, in ascending order.
pub(super) type Found = Vec<usize>;

const DAY: i64 = 86_400;

/// Looks for messages. It may block: what headers or bodies say is read from each message that nothing else rules out.
pub(super) fn search(
    store: &MessageStore,
    selected: &Selected,
    search: &Search,
) -> Result<Found, MailError> {
    let matcher = Matcher { store, selected, now: seconds_now() };
    let keys = sets_as_places(selected, &search.keys);
    // First what the list says, at one moment; then what takes reading.
    let likely: Vec<(usize, Row)> = store.view(&selected.unique, |view| {
        let entries = selected.entries.iter().enumerate();
        let rows = entries.filter(|(_, entry)| !entry.is_gone);
        let rows = rows.filter_map(|(place, entry)| Some((place, entry, view.row(entry.id)?)));
        let fits = rows.filter(|(place, entry, row)| {
            keys.iter().all(|key| matcher.by_row(key, *place, entry, row) != Some(false))
        });
        fits.map(|(place, _, row)| (place, row.clone())).collect()
    })?;
    let mut found = Vec::new();
    for (place, row) in likely {
        let Some(entry) = selected.entries.get(place) else { continue };
        let mut mail = None;
        let mut fits = true;
        for key in &keys {
            fits = match matcher.by_row(key, place, entry, &row) {
                Some(fits) => fits,
                None => matcher.by_mail(key, (place, entry, &row), &mut mail)?,
            };
            if !fits {
                break;
            }
        }
        if fits {
            found.push(place);
        }
    }
    Ok(found)
}

/// A key with its sets of numbers resolved.
enum Resolved {
    Places(Vec<usize>),
    Key(Key),
    Not(Box<Self>),
    Or(Box<Self>, Box<Self>),
    And(Vec<Self>),
}

fn sets_as_places(selected: &Selected, keys: &[Key]) -> Vec<Resolved> {
    let one = |key: &Key| match key {
        Key::Uid(set) => Resolved::Places(selected.places(Numbering::Uid, set)),
        Key::Sequence(set) => Resolved::Places(selected.places(Numbering::Sequence, set)),
        Key::Not(key) => {
            let mut inner = sets_as_places(selected, std::slice::from_ref(key));
            Resolved::Not(Box::new(inner.pop().unwrap_or(Resolved::Key(Key::All))))
        }
        Key::Or(one, other) => {
            let mut both = sets_as_places(selected, &[(**one).clone(), (**other).clone()]);
            let other = both.pop().unwrap_or(Resolved::Key(Key::All));
            Resolved::Or(Box::new(both.pop().unwrap_or(Resolved::Key(Key::All))), Box::new(other))
        }
        Key::And(keys) => Resolved::And(sets_as_places(selected, keys)),
        Key::All
        | Key::Flag(_)
        | Key::Before(_)
        | Key::On(_)
        | Key::Since(_)
        | Key::SentBefore(_)
        | Key::SentOn(_)
        | Key::SentSince(_)
        | Key::Younger(_)
        | Key::Older(_)
        | Key::Header(..)
        | Key::Body(_)
        | Key::Text(_)
        | Key::Larger(_)
        | Key::Smaller(_)
        | Key::ModSeq(_) => Resolved::Key(key.clone()),
    };
    keys.iter().map(one).collect()
}

struct Matcher<'a> {
    store: &'a MessageStore,
    selected: &'a Selected,
    now: u64,
}

impl Matcher<'_> {
    /// Whether a key fits, as far as the list says.
    fn by_row(&self, key: &Resolved, place: usize, entry: &Entry, row: &Row) -> Option<bool> {
        match key {
            Resolved::Places(places) => Some(places.binary_search(&place).is_ok()),
            Resolved::Not(key) => self.by_row(key, place, entry, row).map(|fits| !fits),
            Resolved::Or(one, other) => {
                match (self.by_row(one, place, entry, row), self.by_row(other, place, entry, row)) {
                    (Some(true), _) | (_, Some(true)) => Some(true),
                    (Some(false), Some(false)) => Some(false),
                    _ => None,
                }
            }
            Resolved::And(keys) => {
                let mut all = Some(true);
                for key in keys {
                    match self.by_row(key, place, entry, row) {
                        Some(false) => return Some(false),
                        Some(true) => {}
                        None => all = None,
                    }
                }
                all
            }
            Resolved::Key(key) => self.simple(key, entry, row),
        }
    }

    fn simple(&self, key: &Key, entry: &Entry, row: &Row) -> Option<bool> {
        let seconds = row.at / 1_000_000;
        let day = i64::try_from(seconds).unwrap_or(i64::MAX) / DAY;
        Some(match key {
            Key::All => true,
            Key::Flag(flag) => {
                let mut marks = entry.marks;
                mark(flag, &mut marks).is_some_and(|is_set| *is_set)
            }
            Key::Before(limit) => day < *limit,
            Key::On(limit) => day == *limit,
            Key::Since(limit) => day >= *limit,
            // What did not come as e-mail was sent when it was received.
            Key::SentBefore(limit) if !row.is_mail => day < *limit,
            Key::SentOn(limit) if !row.is_mail => day == *limit,
            Key::SentSince(limit) if !row.is_mail => day >= *limit,
            Key::Younger(span) => self.now.saturating_sub(seconds) <= *span,
            Key::Older(span) => self.now.saturating_sub(seconds) >= *span,
            Key::Larger(bytes) if row.octets > 0 => row.octets > *bytes,
            Key::Smaller(bytes) if row.octets > 0 => row.octets < *bytes,
            Key::ModSeq(limit) => row.changed >= *limit,
            Key::SentBefore(_)
            | Key::SentOn(_)
            | Key::SentSince(_)
            | Key::Larger(_)
            | Key::Smaller(_)
            | Key::Header(..)
            | Key::Body(_)
            | Key::Text(_) => return None,
            // These are resolved.
            Key::Uid(_) | Key::Sequence(_) | Key::Not(_) | Key::Or(..) | Key::And(_) => false,
        })
    }

    /// Whether a key fits, with the message read if need be.
    fn by_mail(
        &self,
        key: &Resolved,
        (place, entry, row): (usize, &Entry, &Row),
        mail: &mut Option<Mail>,
    ) -> Result<bool, MailError> {
        if let Some(fits) = self.by_row(key, place, entry, row) {
            return Ok(fits);
        }
        match key {
            Resolved::Places(_) => Ok(false),
            Resolved::Not(key) => Ok(!self.by_mail(key, (place, entry, row), mail)?),
            Resolved::Or(one, other) => Ok(self.by_mail(one, (place, entry, row), mail)?
                || self.by_mail(other, (place, entry, row), mail)?),
            Resolved::And(keys) => {
                for key in keys {
                    if !self.by_mail(key, (place, entry, row), mail)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Resolved::Key(key) => {
                if mail.is_none() {
                    *mail = match self.store.mail(&self.selected.unique, entry.id) {
                        Ok(mail) => Some(mail),
                        // It went meanwhile, or is damaged: it has nothing that is looked for.
                        Err(MailError::NoSuchMessage(_) | MailError::Broken(..)) => {
                            return Ok(false);
                        }
                        Err(error) => return Err(error),
                    };
                }
                match mail {
                    Some(mail) => Ok(says(mail, key)?),
                    None => Ok(false),
                }
            }
        }
    }
}

fn says(mail: &Mail, key: &Key) -> std::io::Result<bool> {
    let part = mail.part();
    let header = mail.bytes(part.header.clone())?;
    let header = Header::of(&header);
    let sent = || header.date("Date").map(|date| date.day);
    Ok(match key {
        Key::SentBefore(limit) => sent().is_some_and(|day| day < *limit),
        Key::SentOn(limit) => sent() == Some(*limit),
        Key::SentSince(limit) => sent().is_some_and(|day| day >= *limit),
        Key::Larger(bytes) => mail.octets() as u64 > *bytes,
        Key::Smaller(bytes) => (mail.octets() as u64) < *bytes,
        Key::Header(name, text) => {
            let of_name =
                header.fields().iter().filter(|field| field.name.eq_ignore_ascii_case(name));
            let mut values = of_name.map(email::Field::text);
            values.any(|value| has(&value, text))
        }
        Key::Body(text) => body_has(mail, text)?,
        Key::Text(text) => {
            let mut values = header.fields().iter().map(|f| format!("{}: {}", f.name, f.text()));
            values.any(|value| has(&value, text)) || body_has(mail, text)?
        }
        Key::All
        | Key::Flag(_)
        | Key::Before(_)
        | Key::On(_)
        | Key::Since(_)
        | Key::Younger(_)
        | Key::Older(_)
        | Key::Uid(_)
        | Key::Sequence(_)
        | Key::ModSeq(_)
        | Key::Not(_)
        | Key::Or(..)
        | Key::And(_) => false,
    })
}

/// Whether any text in it has these words; what is no text is not looked at.
fn body_has(mail: &Mail, text: &str) -> std::io::Result<bool> {
    let mut texts = Vec::new();
    mail.part().walk(&mut |_, part| {
        if part.media.0 == "text" && part.children().is_empty() {
            texts.push(part.clone());
        }
    });
    for mut part in texts {
        let bytes = mail.bytes(part.body.clone())?;
        part.body = 0..bytes.len();
        if has(&plain_text(&part, &bytes), text) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn has(text: &str, wanted: &str) -> bool {
    wanted.is_empty() || text.to_lowercase().contains(&wanted.to_lowercase())
}

/// Appends what was found. RFC 9051 §7.3.4; without RETURN as RFC 3501 §7.2.5 has it, unless the client knows rev2.
pub(super) fn tell(
    selected: &Selected,
    (by, search): (Numbering, &Search),
    (tag, is_rev2): (&str, bool),
    found: &[usize],
    out: &mut Vec<u8>,
) {
    let number = |place: &usize| match by {
        Numbering::Sequence => u32::try_from(place + 1).unwrap_or(u32::MAX),
        Numbering::Uid => selected.entries.get(*place).map_or(0, |entry| entry.uid),
    };
    let latest = found.iter().filter_map(|place| selected.entries.get(*place));
    let latest = latest.map(|entry| entry.mod_seq).max().filter(|_| search.asks_for_mod_seq());
    let options = match &search.results {
        None if !is_rev2 => {
            let numbers: String = found.iter().map(|place| format!(" {}", number(place))).collect();
            let state = latest.map(|latest| format!(" (MODSEQ {latest})")).unwrap_or_default();
            out.extend_from_slice(format!("* SEARCH{numbers}{state}\r\n").as_bytes());
            return;
        }
        None => &[ResultOption::All][..],
        Some(options) => options,
    };
    // SAVE alone asks for no answer. RFC 9051 §6.4.4.1.
    if options == [ResultOption::Save] {
        return;
    }
    let mut line = format!("* ESEARCH (TAG \"{tag}\")");
    if by == Numbering::Uid {
        line.push_str(" UID");
    }
    for option in options {
        match (option, found.first(), found.last()) {
            (ResultOption::Min, Some(first), _) => {
                line.push_str(&format!(" MIN {}", number(first)));
            }
            (ResultOption::Max, _, Some(last)) => line.push_str(&format!(" MAX {}", number(last))),
            (ResultOption::All, Some(_), _) => {
                line.push_str(&format!(" ALL {}", write::compact(found.iter().map(number))));
            }
            (ResultOption::Count, _, _) => line.push_str(&format!(" COUNT {}", found.len())),
            (
                ResultOption::Min | ResultOption::Max | ResultOption::All | ResultOption::Save,
                _,
                _,
            ) => {}
        }
    }
    if let Some(latest) = latest {
        line.push_str(&format!(" MODSEQ {latest}"));
    }
    out.extend_from_slice(line.as_bytes());
    out.extend_from_slice(b"\r\n");
}

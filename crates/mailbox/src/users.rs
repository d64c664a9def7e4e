use std::fmt;

use serde::Deserialize as _;

use crate::address::{Unique, friendly_name};
use crate::message_store::NewUser;

/// Most bytes of a list of users.
pub const USERS_BYTES_MAX: usize = 64 << 20;

/// What is wrong with a list of users, and where.
#[derive(Clone, Debug, Eq, PartialEq, serde::Serialize)]
pub struct UserFault {
    /// The line, from 1; in JSON the user's place in the list.
    pub line: u64,
    /// What is wrong.
    pub what: String,
    /// What it counts.
    #[serde(skip)]
    unit: &'static str,
}

const LINE: &str = "line";
const ENTRY: &str = "entry";

impl fmt::Display for UserFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.unit, self.line, self.what)
    }
}

impl NewUser {
    /// Reads a list of users: CSV with a line of names (`unique`, `name`, `quota_messages`, `quota_bytes`; a semicolon
    /// may divide), or JSON, a list of objects with the same keys. What is read is checked: unique strings are, and
    /// no two are the same.
    ///
    /// # Errors
    /// Everything that is wrong, in its order; then none of them is to be used.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, Vec<UserFault>> {
        let text = text.trim_start_matches('\u{feff}');
        if text.len() > USERS_BYTES_MAX {
            let what = format!("the list has more than {USERS_BYTES_MAX} bytes");
            return Err(vec![UserFault { line: 1, what, unit: LINE }]);
        }
        let mut faults = Vec::new();
        let is_json = text.trim_start().starts_with(['[', '{']);
        let (read, unit) =
            if is_json { (json(text, &mut faults), ENTRY) } else { (csv(text, &mut faults), LINE) };
        let mut known = std::collections::BTreeMap::new();
        let mut users = Vec::new();
        for (line, user) in read {
            let unique = Unique::parse(&user.unique);
            let wrong = match (&unique, friendly_name(&user.name)) {
                (Err(error), _) => Some(format!("unique: {error}")),
                (_, Err(error)) => Some(format!("name: {error}")),
                (Ok(_), Ok(_)) => None,
            };
            let first = unique.ok().and_then(|unique| known.insert(unique, line));
            let twice =
                first.map(|first| format!("{} stands in {unit} {first} already", user.unique));
            match wrong.or(twice) {
                Some(what) => faults.push(UserFault { line, what, unit }),
                None => users.push(user),
            }
        }
        faults.sort_by_key(|fault| fault.line);
        if faults.is_empty() { Ok(users) } else { Err(faults) }
    }
}

fn csv(text: &str, faults: &mut Vec<UserFault>) -> Vec<(u64, NewUser)> {
    let first = text.lines().next().unwrap_or_default();
    let delimiter = if first.contains(';') && !first.contains(',') { b';' } else { b',' };
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let names = match reader.headers() {
        Ok(names) => names.clone(),
        Err(error) => {
            faults.push(UserFault { line: 1, what: error.to_string(), unit: LINE });
            return Vec::new();
        }
    };
    if !names.iter().any(|name| name == "unique") {
        let what = format!(
            "the first line names the columns, and one is \"unique\"; here it is {:?}",
            first.chars().take(60).collect::<String>()
        );
        faults.push(UserFault { line: 1, what, unit: LINE });
        return Vec::new();
    }
    let mut users = Vec::new();
    for record in reader.records() {
        let read = record.and_then(|record| {
            let line = record.position().map_or(0, |at| line_of(text, at));
            Ok((line, record.deserialize(Some(&names))?))
        });
        match read {
            Ok(user) => users.push(user),
            Err(error) => {
                let line = error.position().map_or(0, |at| line_of(text, at));
                let what = match error.kind() {
                    csv::ErrorKind::Deserialize { err, .. } => {
                        let place = err.field().and_then(|field| usize::try_from(field).ok());
                        let column = place.and_then(|place| names.get(place));
                        let column = column.map(|name| format!("{name}: ")).unwrap_or_default();
                        format!("{column}{}", err.kind())
                    }
                    csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
                        format!("{len} fields where {expected_len} columns are named")
                    }
                    csv::ErrorKind::Io(_)
                    | csv::ErrorKind::Utf8 { .. }
                    | csv::ErrorKind::Seek
                    | csv::ErrorKind::Serialize(_)
                    | _ => error.to_string(),
                };
                faults.push(UserFault { line, what, unit: LINE });
            }
        }
    }
    users
}

/// The line that a record begins in; empty lines before it are counted to it by the reader.
fn line_of(text: &str, at: &csv::Position) -> u64 {
    let begin = usize::try_from(at.byte()).unwrap_or(usize::MAX);
    let rest = text.as_bytes().get(begin..).unwrap_or_default();
    let empty = rest.iter().take_while(|byte| byte.is_ascii_whitespace());
    at.line() + u64::try_from(empty.filter(|byte| **byte == b'\n').count()).unwrap_or(0)
}

fn json(text: &str, faults: &mut Vec<UserFault>) -> Vec<(u64, NewUser)> {
    let list: Vec<serde_json::Value> = match serde_json::from_str(text) {
        Ok(list) => list,
        Err(error) => {
            let line = u64::try_from(error.line()).unwrap_or(0);
            faults.push(UserFault { line, what: error.to_string(), unit: LINE });
            return Vec::new();
        }
    };
    let mut users = Vec::new();
    for (place, value) in (1..).zip(list) {
        match NewUser::deserialize(value) {
            Ok(user) => users.push((place, user)),
            Err(error) => {
                faults.push(UserFault { line: place, what: error.to_string(), unit: ENTRY });
            }
        }
    }
    users
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, wanted: Result<&str, &str>) {
        let read = NewUser::parse_list(text);
        let shown = read
            .map(|users| {
                let one = |user: &NewUser| {
                    format!("{}/{}/{:?}", user.unique, user.name, user.quota_messages)
                };
                users.iter().map(one).collect::<Vec<_>>().join(" ")
            })
            .map_err(|faults| {
                faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
            });
        match (shown, wanted) {
            (Ok(shown), Ok(wanted)) => assert_eq!(shown, wanted, "{text}"),
            (Err(shown), Err(wanted)) => assert!(shown.contains(wanted), "{text}: {shown}"),
            (shown, wanted) => panic!("{text}: {shown:?}, not {wanted:?}"),
        }
    }

    #[test]
    fn lists_of_users_are_read_and_every_fault_has_its_line() {
        check(
            "unique,name\na,Anna\nb,\"Bo, the \"\"B\"\"\"\n",
            Ok("a/Anna/None b/Bo, the \"B\"/None"),
        );
        check(
            "\u{feff}name;unique;quota_messages\nAnna;a;5\nBo;b;\n",
            Ok("a/Anna/Some(5) b/Bo/None"),
        );
        check(
            "[{\"unique\":\"a\",\"name\":\"Anna\"},{\"unique\":\"b\"}]",
            Ok("a/Anna/None b//None"),
        );
        check("", Err("line 1: the first line names the columns"));
        check("Anna,a\n", Err("\"Anna,a\""));
        check("unique,name\na\n", Err("line 2: 1 fields where 2 columns are named"));
        check("unique,quota_messages\na,many\n", Err("line 2: quota_messages: invalid digit"));
        check(
            "unique\na:b\n\nc\nC\n",
            Err("line 2: unique: ':' cannot be in it; line 5: C stands in line 4"),
        );
        check("[{\"unique\":\"a\",\"pin\":1}]", Err("entry 1: unknown field `pin`"));
        check("[{\"unique\":1}]", Err("entry 1: invalid type"));
        check("[\n{]", Err("line 2"));
    }
}

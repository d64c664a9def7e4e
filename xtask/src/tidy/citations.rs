//! Standards are cited in one form, `RFC 3261 §17.2.1`, so that a search finds them all.

use super::Complaint;
use super::files::Files;

const CURE: &str = "cite as RFC 3261 §17.2.1";

pub(super) fn complaints(files: &Files) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for (path, text) in files.ending(".rs").chain(files.ending(".md")) {
        for (number, line) in (1..).zip(text.lines()) {
            if let Some(wrong) = malformed(line) {
                complaints.push(Complaint::new(path, number, format!("{wrong:?}: {CURE}")));
            }
        }
    }
    complaints
}

/// The first citation in a line that is not of the form.
fn malformed(line: &str) -> Option<&str> {
    for (at, _) in line.match_indices("RFC") {
        let rest = line.get(at + 3..)?;
        let before = line.get(..at)?.chars().next_back();
        if before.is_some_and(|c| {
            c.is_alphanumeric() || "_-/\"'`(".contains(c) && !rest.starts_with(' ')
        }) {
            continue;
        }
        // IMAP has an attribute of this name, RFC 9051 §6.4.5.
        if rest.starts_with("822.SIZE") {
            continue;
        }
        let shown =
            || line.get(at..).map(|text| text.split_at_checked(24).map_or(text, |(a, _)| a));
        if rest.starts_with(|c: char| c.is_ascii_digit() || c == '-') {
            return shown();
        }
        let Some(number) = rest.strip_prefix(' ') else { continue };
        let digits = number.chars().take_while(char::is_ascii_digit).count();
        let after = number.get(digits..)?.trim_start_matches([',', ' ']).to_ascii_lowercase();
        if digits > 0 && (after.starts_with("section ") || after.starts_with("sec.")) {
            return shown();
        }
    }
    line.match_indices('§').find_map(|(at, sign)| {
        let after = line.get(at + sign.len()..)?.trim_start_matches('§');
        let fits =
            after.starts_with(|c: char| c.is_ascii_alphanumeric() || "{`\"')…,;".contains(c));
        (!fits && !after.is_empty()).then(|| line.get(at..).unwrap_or(line))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, wrong: bool) {
        assert_eq!(malformed(line).is_some(), wrong, "{line}");
    }

    #[test]
    fn citations_have_one_form() {
        check("RFC 3261 §17.2.1 and RFC 6026, RFC 3550 §A.3; RFCs in general", false);
        check("the file rfc3261.txt", false);
        check("FLAGS INTERNALDATE RFC822.SIZE", false);
        check(concat!("RF", "C3261 says"), true);
        check(concat!("RFC 3261 Sec", "tion 17 says"), true);
        check(concat!("RFC 3261, sec", "tion 17 says"), true);
        check(concat!("RFC 3261 §", " 17 says"), true);
    }
}

use std::time::Duration;

/// How long an answer may be used again: what RFC 9111 says about `Cache-Control` and `Age`, as far as
/// it concerns a private cache.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Freshness {
    /// Not at all: it must not even be kept.
    NoStore,
    /// This long without asking again; zero asks every time.
    For(Duration),
}

/// Longest freshness that is believed: a day.
pub(super) const FRESH_MAX: Duration = Duration::from_secs(86_400);

/// Reads the headers; `unsaid` is used when the server says nothing.
pub(super) fn freshness(control: Option<&str>, age: Option<&str>, unsaid: Duration) -> Freshness {
    let mut fresh = unsaid;
    for directive in control.unwrap_or_default().split(',') {
        let directive = directive.trim().to_ascii_lowercase();
        let (name, value) = directive.split_once('=').unwrap_or((&directive, ""));
        match name.trim() {
            "no-store" => return Freshness::NoStore,
            "no-cache" => return Freshness::For(Duration::ZERO),
            "max-age" => {
                // What cannot be read is stale: RFC 9111 §4.2.1.
                let seconds = value.trim().trim_matches('"').parse().unwrap_or(0);
                let age = age.and_then(|age| age.trim().parse().ok()).unwrap_or(0);
                fresh = Duration::from_secs(seconds).saturating_sub(Duration::from_secs(age));
            }
            _ => {}
        }
    }
    Freshness::For(fresh.min(FRESH_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_9111_section_5_2_2_says_how_long_an_answer_is_good() {
        let seconds = |n| Freshness::For(Duration::from_secs(n));
        for (control, age, expected) in [
            (None, None, seconds(60)),
            (Some("public"), None, seconds(60)),
            (Some("max-age=10"), None, seconds(10)),
            (Some("public, Max-Age = 10"), Some("4"), seconds(6)),
            (Some("max-age=10"), Some("40"), seconds(0)),
            (Some("max-age=x"), None, seconds(0)),
            (Some("no-cache, max-age=10"), None, seconds(0)),
            (Some("max-age=10, no-store"), None, Freshness::NoStore),
            (Some("max-age=99999999999"), None, seconds(86_400)),
        ] {
            assert_eq!(freshness(control, age, Duration::from_secs(60)), expected, "{control:?}");
        }
    }
}

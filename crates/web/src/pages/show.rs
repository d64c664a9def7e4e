//! Values as people read them.

use std::fmt::Display;

/// A span in its two largest units: `45 s`, `3 min 20 s`, `2 d 4 h`.
pub(crate) fn span(seconds: &f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "never negative")]
    let whole = seconds.max(0.0) as u64;
    match whole {
        0..60 => format!("{whole} s"),
        60..3_600 => format!("{} min {} s", whole / 60, whole % 60),
        3_600..86_400 => format!("{} h {} min", whole / 3_600, whole % 3_600 / 60),
        _ => format!("{} d {} h", whole / 86_400, whole % 86_400 / 3_600),
    }
}

/// As [`span`], of whole seconds.
pub(crate) fn span_of(seconds: &u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "nobody waits for 2^53 seconds")]
    let seconds = *seconds as f64;
    span(&seconds)
}

/// Seconds since 1970 as UTC: `2026-11-28 22:18:50`.
#[expect(clippy::cast_possible_truncation, reason = "a time of this era")]
pub(crate) fn utc(unix_seconds: &f64) -> String {
    let all = unix_seconds.floor() as i64;
    let (days, second) = (all.div_euclid(86_400), all.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second / 3_600, second % 3_600 / 60, second % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
}

/// As [`utc`], of whole seconds.
#[expect(clippy::cast_precision_loss, reason = "a time of this era")]
pub(crate) fn utc_of(unix_seconds: &u64) -> String {
    utc(&(*unix_seconds as f64))
}

/// The date of a day since 1970-01-01, in the Gregorian calendar. A year begins in March here, so that
/// its odd day is its last; 400 years have 146,097 days.
const fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march + 2) / 5 + 1;
    let month = if march < 10 { march + 3 } else { march - 9 };
    let year = year + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

/// The first second of a day since 1970; `None` before that, or when there is no such day.
pub(crate) fn seconds_of(year: i64, month: i64, day: i64) -> Option<u64> {
    // As above, the other way round.
    let (shifted, march) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let era = shifted.div_euclid(400);
    let of_era = shifted.rem_euclid(400);
    let of_year = (153 * march + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    (civil(days) == (year, month, day)).then(|| u64::try_from(days * 86_400).ok()).flatten()
}

/// A value, or a dash where there is none.
pub(crate) fn or_dash<T: Display>(value: &Option<T>) -> String {
    value.as_ref().map_or_else(|| "–".to_owned(), ToString::to_string)
}

/// One decimal.
pub(crate) fn tenth(value: &f64) -> String {
    format!("{value:.1}")
}

/// A level in dBFS; what is below all hearing is silence.
pub(crate) fn dbfs(level: &f32) -> String {
    if *level <= -90.0 { "silence".to_owned() } else { format!("{level:.0} dBFS") }
}

/// A level as a part of a meter from -60 to 0 dBFS.
pub(crate) fn meter(level: &f32) -> String {
    format!("{:.0}", (level.clamp(-60.0, 0.0) + 60.0) / 0.6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        for (unix, text) in [
            (0.0, "1970-01-01 00:00:00"),
            (951_782_400.0, "2000-02-29 00:00:00"),
            (1_795_904_330.9, "2026-11-28 22:18:50"),
            (4_107_542_399.0, "2100-02-28 23:59:59"),
            (4_107_542_400.0, "2100-03-01 00:00:00"),
        ] {
            assert_eq!(utc(&unix), text);
        }
        for (seconds, text) in [
            (0.4, "0 s"),
            (59.9, "59 s"),
            (200.0, "3 min 20 s"),
            (7_260.0, "2 h 1 min"),
            (187_200.0, "2 d 4 h"),
        ] {
            assert_eq!(span(&seconds), text);
        }
    }

    #[test]
    fn a_meter_goes_from_silence_to_full_scale() {
        assert_eq!(
            (meter(&-120.0), meter(&-30.0), meter(&0.0)),
            ("0".into(), "50".into(), "100".into())
        );
        assert_eq!((dbfs(&-100.0), dbfs(&-12.4)), ("silence".into(), "-12 dBFS".into()));
    }
}

use std::fmt;

/// A moment of the calendar, in microseconds since 1970, UTC. Up to the year 9999.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Moment(u64);

const DAY_MICROS: u64 = 86_400_000_000;
/// The end of the year 9999.
const MICROS_MAX: u64 = 253_402_300_799_999_999;

impl Moment {
    /// So many microseconds after 1970; what is past 9999 is its last moment.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(if micros > MICROS_MAX { MICROS_MAX } else { micros })
    }

    /// Microseconds since 1970.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Seconds since 1970.
    #[must_use]
    pub const fn as_seconds(self) -> u64 {
        self.0 / 1_000_000
    }

    /// So many days later.
    #[must_use]
    pub const fn plus_days(self, days: u32) -> Self {
        Self::from_micros(self.0.saturating_add(DAY_MICROS.saturating_mul(days as u64)))
    }

    /// As a file's name has it: `20261120T090000.123456Z`.
    #[must_use]
    pub fn compact(self) -> String {
        let Parts { year, month, day, hour, minute, second, micros } = self.parts();
        format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}.{micros:06}Z")
    }

    /// Reads [`Self::compact`].
    #[must_use]
    pub fn of_compact(text: &str) -> Option<Self> {
        let [year, month, day, hour, minute, second, micros] = [4, 2, 2, 2, 2, 2, 6];
        let mut rest = text;
        let mut take = |digits: usize, before: &str| {
            rest = rest.strip_prefix(before)?;
            let (number, after) = rest.split_at_checked(digits)?;
            rest = after;
            number.bytes().all(|b| b.is_ascii_digit()).then(|| number.parse::<u64>().ok())?
        };
        let parts = Parts {
            year: take(year, "")?,
            month: take(month, "")?,
            day: take(day, "")?,
            hour: take(hour, "T")?,
            minute: take(minute, "")?,
            second: take(second, "")?,
            micros: take(micros, ".")?,
        };
        (rest == "Z").then(|| Self::of(&parts))?
    }

    /// Reads [`fmt::Display`]'s form, RFC 3339 in UTC; a fraction is taken to six digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (date, time) = text.trim().strip_suffix(['Z', 'z'])?.split_once(['T', 't', ' '])?;
        let (clock, fraction) = time.split_once('.').unwrap_or((time, ""));
        let digits = fraction.bytes().all(|b| b.is_ascii_digit());
        let micros: String = fraction.chars().chain("000000".chars()).take(6).collect();
        let date: Vec<_> = date.split('-').collect();
        let clock: Vec<_> = clock.split(':').collect();
        match (&*date, &*clock) {
            ([year, month, day], [hour, minute, second])
                if digits && year.len() == 4 && month.len() == 2 && day.len() == 2 =>
            {
                Self::of(&Parts {
                    year: year.parse().ok()?,
                    month: month.parse().ok()?,
                    day: day.parse().ok()?,
                    hour: hour.parse().ok()?,
                    minute: minute.parse().ok()?,
                    second: second.parse().ok()?,
                    micros: micros.parse().ok()?,
                })
            }
            _ => None,
        }
    }

    fn of(parts: &Parts) -> Option<Self> {
        let Parts { year, month, day, hour, minute, second, micros } = *parts;
        let is_there = (1970..=9999).contains(&year)
            && (1..=12).contains(&month)
            && (1..=31).contains(&day)
            && hour < 24
            && minute < 60
            && second < 60;
        if !is_there {
            return None;
        }
        // Days since 1970 of a year that begins in March.
        let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
        let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719_468;
        let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second;
        let moment = Self(seconds * 1_000_000 + micros);
        let back = moment.parts();
        // The thirtieth of February is another day.
        (back.month == month && back.day == day).then_some(moment)
    }

    const fn parts(self) -> Parts {
        let (days, within) = (self.0 / DAY_MICROS + 719_468, self.0 % DAY_MICROS);
        let era = days / 146_097;
        let of_era = days % 146_097;
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let m = (5 * day_of_year + 2) / 153;
        let month = if m < 10 { m + 3 } else { m - 9 };
        let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
        let seconds = within / 1_000_000;
        Parts {
            year,
            month,
            day: day_of_year - (153 * m + 2) / 5 + 1,
            hour: seconds / 3_600,
            minute: seconds / 60 % 60,
            second: seconds % 60,
            micros: within % 1_000_000,
        }
    }
}

struct Parts {
    year: u64,
    month: u64,
    day: u64,
    hour: u64,
    minute: u64,
    second: u64,
    micros: u64,
}

impl fmt::Display for Moment {
    /// RFC 3339, UTC: `2026-11-20T09:00:00.123456Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Parts { year, month, day, hour, minute, second, micros } = self.parts();
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_as_they_are_printed() {
        let rows = [
            (0, "19700101T000000.000000Z", "1970-01-01T00:00:00.000000Z"),
            (951_827_696_000_001, "20000229T123456.000001Z", "2000-02-29T12:34:56.000001Z"),
            (1_795_942_800_123_456, "20261129T090000.123456Z", "2026-11-29T09:00:00.123456Z"),
            (MICROS_MAX, "99991231T235959.999999Z", "9999-12-31T23:59:59.999999Z"),
        ];
        for (micros, compact, long) in rows {
            let moment = Moment::from_micros(micros);
            assert_eq!((&*moment.compact(), &*moment.to_string()), (compact, long));
            assert_eq!(Moment::of_compact(compact), Some(moment));
            assert_eq!(Moment::parse(long), Some(moment));
        }
        for day in 0..60_000 {
            let moment = Moment::from_micros(day * DAY_MICROS);
            assert_eq!(Moment::parse(&moment.to_string()), Some(moment));
        }
        for wrong in [
            "",
            "20260230T000000.000000Z",
            "20261129T240000.000000Z",
            "+0261129T000000.000000Z",
            "20261129T000000.000000Zx",
        ] {
            assert_eq!(Moment::of_compact(wrong), None, "{wrong}");
        }
        assert_eq!(Moment::parse("2026-11-29 09:00:00Z"), Some(Moment(1_795_942_800_000_000)));
    }
}

//! What stands in a `say-as`, taken apart: the same for every language but for its marks and names.

/// A number as people write it.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Figure {
    pub(super) negative: bool,
    /// Digits only, at least one.
    pub(super) whole: String,
    /// Digits only; may be empty.
    pub(super) decimals: String,
    pub(super) percent: bool,
}

/// Reads sign, thousands separators, decimals and a percent sign; `decimal` is the language's mark.
///
/// The other mark before just three digits divides thousands; anywhere else it was meant as decimal.
pub(super) fn figure(text: &str, decimal: char) -> Option<Figure> {
    let text = text.trim();
    let (text, percent) = match text.strip_suffix('%') {
        Some(rest) => (rest.trim_end(), true),
        None => (text, false),
    };
    let (negative, text) = match text.strip_prefix(['-', '−']) {
        Some(rest) => (true, rest.trim_start()),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, decimals) = match text.rsplit_once(['.', ',']) {
        None => (text, ""),
        Some((before, after)) => {
            let mark = text.get(before.len()..)?.chars().next()?;
            let divides = text.matches(mark).count() > 1
                || mark != decimal
                    && after.len() == 3
                    && !before.is_empty()
                    && !before.contains(['.', ',']);
            if divides { (text, "") } else { (before, after) }
        }
    };
    let mut digits: String = whole
        .chars()
        .filter(|c| !matches!(c, '.' | ',' | '\'' | '’') && !c.is_whitespace())
        .collect();
    if digits.is_empty() && !decimals.is_empty() {
        digits.push('0');
    }
    let only_digits = |text: &str| text.chars().all(|c| c.is_ascii_digit());
    let sound = !digits.is_empty() && only_digits(&digits) && only_digits(decimals);
    sound.then(|| Figure { negative, whole: digits, decimals: decimals.to_owned(), percent })
}

/// Which one: "3rd", "3.", "3º", "1,000", "XIV".
pub(super) fn rank(text: &str, decimal: char) -> Option<u64> {
    if let Some(number) = roman(text) {
        return Some(number);
    }
    let number = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let figure = figure(number, decimal)?;
    if figure.negative || !figure.decimals.is_empty() { None } else { figure.whole.parse().ok() }
}

/// A Roman numeral in capitals, 1 to 3999, written as it should be.
pub(super) fn roman(text: &str) -> Option<u64> {
    const STEPS: [(u64, &str); 13] = [
        (1_000, "M"),
        (900, "CM"),
        (500, "D"),
        (400, "CD"),
        (100, "C"),
        (90, "XC"),
        (50, "L"),
        (40, "XL"),
        (10, "X"),
        (9, "IX"),
        (5, "V"),
        (4, "IV"),
        (1, "I"),
    ];
    let (mut number, mut rest, mut proper) = (0, text, String::new());
    for (value, letters) in STEPS {
        while let Some(after) = rest.strip_prefix(letters) {
            (number, rest) = (number + value, after);
        }
    }
    let mut left = number;
    for (value, letters) in STEPS {
        while left >= value && proper.len() < text.len() {
            left -= value;
            proper.push_str(letters);
        }
    }
    ((1..4_000).contains(&number) && rest.is_empty() && proper == text).then_some(number)
}

/// A date, or what is known of one.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Date {
    pub(super) year: Option<u64>,
    /// 1 to 12.
    pub(super) month: Option<usize>,
    /// 1 to 31.
    pub(super) day: Option<u64>,
}

/// How a language writes dates.
pub(super) struct Dating<'t> {
    /// `mdy` or `dmy`, where the document does not say.
    pub(super) order: &'t str,
    /// The lists of the names of months, comma and space between.
    pub(super) months: &'t [&'t str],
}

/// Reads a date in a format of letters `y`, `m`, `d`, or as it looks if the format is empty.
pub(super) fn date(text: &str, format: &str, dating: &Dating<'_>) -> Option<Date> {
    let mut parts: Vec<&str> = text
        .split(|c: char| !c.is_alphanumeric() && !matches!(c, '?' | 'º'))
        .filter(|part| !matches!(*part, "" | "de" | "of" | "the" | "den"))
        .collect();
    let format = if format.is_empty() { looks_like(&parts, dating.order) } else { format };
    if let [whole] = parts.as_slice()
        && format.len() > 1
    {
        parts = cut(whole, format)?;
    }
    if format.len() != parts.len() || !format.chars().all(|c| matches!(c, 'y' | 'm' | 'd')) {
        return None;
    }
    let mut date = Date { year: None, month: None, day: None };
    for (letter, part) in format.chars().zip(parts) {
        // VoiceXML has question marks for what is not known.
        if part.starts_with('?') {
            continue;
        }
        match letter {
            'y' => date.year = Some(year(part)?),
            'm' => date.month = Some(month(part, dating.months)?),
            _ => date.day = Some(day(part)?),
        }
    }
    (date.year.is_some() || date.month.is_some() || date.day.is_some()).then_some(date)
}

fn looks_like<'t>(parts: &[&str], order: &'t str) -> &'t str {
    let year = |part: &str| part.len() == 4 && part.chars().all(|c| c.is_ascii_digit());
    let named = parts.iter().position(|part| part.starts_with(char::is_alphabetic));
    match (parts, named) {
        ([first, _, _], _) if year(first) => "ymd",
        ([_, _, _], Some(0)) => "mdy",
        ([_, _, _], Some(_)) => "dmy",
        ([_, _, _], None) => order,
        ([first, _], _) if year(first) => "ym",
        ([_, second], _) if year(second) => "my",
        ([_, _], Some(0)) => "md",
        ([_, _], Some(_)) => "dm",
        ([_, _], None) => order.trim_end_matches('y'),
        ([_], Some(_)) => "m",
        ([whole], None) if whole.len() == 4 => "y",
        ([_], None) => "ymd",
        (_, _) => "",
    }
}

/// "20261120" by its format: two characters for month and day, the rest for the year.
fn cut<'t>(whole: &'t str, format: &str) -> Option<Vec<&'t str>> {
    let years = whole.len().checked_sub(2 * format.chars().filter(|c| *c != 'y').count())?;
    if format.contains('y') && !matches!(years, 2 | 4) {
        return None;
    }
    let (mut parts, mut rest) = (Vec::new(), whole);
    for letter in format.chars() {
        let (part, after) = rest.split_at_checked(if letter == 'y' { years } else { 2 })?;
        parts.push(part);
        rest = after;
    }
    rest.is_empty().then_some(parts)
}

fn year(part: &str) -> Option<u64> {
    let number: u64 = part.parse().ok()?;
    match (part.len(), number) {
        (2, 0..=69) => Some(2_000 + number),
        (2, _) => Some(1_900 + number),
        (_, 0..=9_999) => Some(number),
        _ => None,
    }
}

fn month(part: &str, lists: &[&str]) -> Option<usize> {
    if let Ok(number) = part.parse() {
        return (1..=12).contains(&number).then_some(number);
    }
    let part = part.to_lowercase();
    if part.chars().count() < 3 {
        return None;
    }
    for list in lists {
        let list = list.to_lowercase();
        let names = || list.split(", ");
        let begin = |name: &&str| name.starts_with(&part);
        // "jui" is two months in French.
        let only = names().filter(begin).count() == 1;
        let at = names().position(|name| name == part || only && name.starts_with(&part));
        if let Some(at) = at {
            return Some(at + 1);
        }
    }
    None
}

fn day(part: &str) -> Option<u64> {
    // "20th", "1er", "1º".
    let number = part.trim_end_matches(|c: char| !c.is_ascii_digit()).parse().ok()?;
    (1..=31).contains(&number).then_some(number)
}

/// A time of day.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Time {
    /// 0 to 24.
    pub(super) hours: u64,
    pub(super) minutes: u64,
    pub(super) seconds: u64,
    pub(super) half: Option<Half>,
}

/// Before or after noon.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Half {
    Morning,
    Afternoon,
}

impl Time {
    /// The hour of a day of twenty-four.
    pub(super) fn hour_of_day(&self) -> u64 {
        match (self.half, self.hours) {
            (Some(Half::Morning), 12) => 0,
            (Some(Half::Afternoon), hours @ 1..=11) => hours + 12,
            (Some(Half::Morning | Half::Afternoon) | None, hours) => hours,
        }
    }
}

/// Reads "14:30", "2.30 p.m.", "14h30", "0230p", "14:30:05".
pub(super) fn time(text: &str) -> Option<Time> {
    let compact: String = text.to_lowercase().chars().filter(|c| !c.is_whitespace()).collect();
    let (clock, tail) =
        compact.split_at_checked(compact.rfind(|c: char| c.is_ascii_digit())? + 1)?;
    let half = match tail.replace('.', "").as_str() {
        "am" | "a" => Some(Half::Morning),
        "pm" | "p" => Some(Half::Afternoon),
        // VoiceXML's "1030h" and "1030?".
        "" | "h" | "?" | "uhr" | "uur" => None,
        _ => return None,
    };
    let mut parts: Vec<&str> = clock.split([':', '.', 'h']).collect();
    if let [whole] = parts.as_slice()
        && whole.len() >= 3
    {
        let (hours, rest) = whole.split_at_checked(2 - whole.len() % 2)?;
        parts = vec![hours];
        parts.extend(rest.as_bytes().chunks(2).filter_map(|pair| str::from_utf8(pair).ok()));
    }
    let numbers: Vec<u64> = parts.iter().map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let at = |index: usize| numbers.get(index).copied().unwrap_or(0);
    let (hours, minutes, seconds) = (at(0), at(1), at(2));
    let sound = numbers.len() <= 3 && hours <= 24 && minutes <= 59 && seconds <= 59;
    sound.then_some(Time { hours, minutes, seconds, half })
}

/// How long in hours, minutes and seconds, as written: "1:02:03", "2:03" (minutes and seconds, if the
/// format does not say `hm`), "PT1H2M", "1h 30min".
pub(super) fn duration(text: &str, format: &str) -> Option<[u64; 3]> {
    let place = |letter: char| "hms".find(letter);
    let mut span = [0; 3];
    if text.contains(':') {
        let parts: Vec<u64> =
            text.split(':').map(|part| part.parse().ok()).collect::<Option<_>>()?;
        let format = match (format, parts.len()) {
            ("hm", 2) => "hm",
            (_, 2) => "ms",
            (_, 3) => "hms",
            (_, _) => return None,
        };
        for (letter, number) in format.chars().zip(parts) {
            *span.get_mut(place(letter)?)? = number;
        }
        return Some(span);
    }
    let compact: String = text.to_lowercase().chars().filter(|c| !c.is_whitespace()).collect();
    let mut rest = compact.strip_prefix("pt").unwrap_or(&compact);
    while !rest.is_empty() {
        let (number, after) = rest.split_at_checked(rest.find(|c: char| !c.is_ascii_digit())?)?;
        let end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(end)?;
        if !matches!(unit, "h" | "m" | "min" | "s" | "sec") {
            return None;
        }
        *span.get_mut(place(unit.chars().next()?)?)? = number.parse().ok()?;
        rest = after;
    }
    Some(span)
}

/// The codes of the currencies that are known, in the order of every language's table, with the signs
/// that stand for them. ISO 4217.
const CURRENCIES: [(&str, &[&str]); 10] = [
    ("EUR", &["€"]),
    ("USD", &["$", "US$"]),
    ("GBP", &["£"]),
    ("CHF", &["Fr.", "SFr."]),
    ("PLN", &["zł"]),
    ("SEK", &["kr"]),
    ("JPY", &["¥"]),
    ("CAD", &["CA$", "C$"]),
    ("AUD", &["A$", "AU$"]),
    ("INR", &["₹"]),
];

/// An amount of money.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Money {
    /// The place in every language's table.
    pub(super) currency: usize,
    pub(super) negative: bool,
    pub(super) whole: u64,
    /// 0 to 99.
    pub(super) hundredths: u64,
}

/// Reads "USD 12.50", "€12,50", "-5 EUR"; a format may give the code of a bare number.
pub(super) fn money(text: &str, format: &str, decimal: char) -> Option<Money> {
    let (minus, text) = match text.strip_prefix(['-', '−']) {
        Some(rest) => (true, rest.trim_start()),
        None => (false, text),
    };
    let mut best = None;
    for (currency, (code, signs)) in CURRENCIES.iter().enumerate() {
        for mark in signs.iter().chain([code]) {
            // The longer signs hold the shorter ones.
            if let Some(amount) = without(text, mark)
                && best.is_none_or(|(_, amount_before): (usize, &str)| {
                    amount.len() < amount_before.len()
                })
            {
                best = Some((currency, amount));
            }
        }
    }
    let bare = || {
        let at = CURRENCIES.iter().position(|(code, _)| code.eq_ignore_ascii_case(format))?;
        Some((at, text))
    };
    let (currency, amount) = best.or_else(bare)?;
    let figure = figure(amount, decimal).filter(|figure| !figure.percent)?;
    let hundredths: u64 = match figure.decimals.len() {
        0 => 0,
        1 => figure.decimals.parse::<u64>().ok()? * 10,
        2 => figure.decimals.parse().ok()?,
        _ => return None,
    };
    let negative = minus != figure.negative;
    Some(Money { currency, negative, whole: figure.whole.parse().ok()?, hundredths })
}

/// The text without this mark at its beginning or end, in any case.
fn without<'t>(text: &'t str, mark: &str) -> Option<&'t str> {
    let same = |part: &str| part.eq_ignore_ascii_case(mark);
    if let Some((begin, rest)) = text.split_at_checked(mark.len())
        && same(begin)
    {
        return Some(rest.trim());
    }
    let (rest, end) = text.split_at_checked(text.len().checked_sub(mark.len())?)?;
    same(end).then(|| rest.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn reads(text: &str, decimal: char, expected: &str) {
        let shown = figure(text, decimal).map_or_else(
            || "-".to_owned(),
            |f| {
                let sign = if f.negative { "-" } else { "" };
                let percent = if f.percent { "%" } else { "" };
                format!("{sign}{}|{}{percent}", f.whole, f.decimals)
            },
        );
        assert_eq!(shown, expected, "{text} with {decimal}");
    }

    #[test]
    fn either_mark_may_be_the_decimal_one() {
        reads("1,205", '.', "1205|");
        reads("1,205", ',', "1|205");
        reads("1.234,5", ',', "1234|5");
        reads("1.234,5", '.', "1234|5");
        reads("1,234,567.25", ',', "1234567|25");
        reads("12.50", ',', "12|50");
        reads("12,50", '.', "12|50");
        reads("1 234 567", ',', "1234567|");
        reads("1'200.–", '.', "-");
        reads(".5", '.', "0|5");
        reads("−15 %", '.', "-15|%");
        reads("1.2,3,4x", '.', "-");
        reads("", '.', "-");
    }

    #[test]
    fn roman_numerals_are_read_only_as_they_are_written() {
        for (text, number) in [
            ("XIV", Some(14)),
            ("MCMXCIX", Some(1999)),
            ("III", Some(3)),
            ("IIII", None),
            ("IXI", None),
            ("VX", None),
            ("", None),
            ("iv", None),
        ] {
            assert_eq!(roman(text), number, "{text}");
        }
    }

    #[test]
    fn times_and_spans_are_read() {
        for (text, expected) in [
            ("14:30", Some((14, 30, 0))),
            ("9.05", Some((9, 5, 0))),
            ("14h30", Some((14, 30, 0))),
            ("14 Uhr", Some((14, 0, 0))),
            ("2:30 p.m.", Some((14, 30, 0))),
            ("12 am", Some((0, 0, 0))),
            ("930", Some((9, 30, 0))),
            ("143005", Some((14, 30, 5))),
            ("25:00", None),
            ("noon", None),
            ("1:2:3:4", None),
        ] {
            let read = time(text).map(|time| (time.hour_of_day(), time.minutes, time.seconds));
            assert_eq!(read, expected, "{text}");
        }
        assert_eq!(duration("PT1H30M", ""), Some([1, 30, 0]));
        assert_eq!(duration("1h 5sec", ""), Some([1, 0, 5]));
        assert_eq!(duration("1:30", "hm"), Some([1, 30, 0]));
        assert_eq!(duration("soon", ""), None);
    }
}

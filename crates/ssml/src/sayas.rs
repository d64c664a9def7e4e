//! `say-as`: what it asks for as words. In English all of it; in other languages only what needs no
//! words (letters and digits one by one), the rest being left to the provider, which knows its language.

mod numbers;

use numbers::{cardinal, digit, ordinal, written, year};

/// What a `say-as` element asks for.
pub(crate) struct SayAs {
    /// In lower case.
    pub(crate) interpret_as: String,
    /// In lower case.
    pub(crate) format: String,
    pub(crate) language: String,
}

impl SayAs {
    fn kind(&self) -> &str {
        self.interpret_as.strip_prefix("vxml:").unwrap_or(&self.interpret_as)
    }

    /// Whether the value is one that is acted on or left to the provider on purpose.
    pub(crate) fn is_known(&self) -> bool {
        matches!(
            self.kind(),
            "digits"
                | "number"
                | "cardinal"
                | "ordinal"
                | "fraction"
                | "characters"
                | "spell-out"
                | "letters"
                | "verbatim"
                | "acronym"
                | "date"
                | "time"
                | "telephone"
                | "phone"
                | "currency"
                | "boolean"
                | "email"
                | "net"
                | "uri"
                | "url"
                | "address"
                | "name"
                | "unit"
                | "measure"
                | "duration"
        )
    }
}

/// The words for `text`, or `None` where the provider knows better than we do.
pub(crate) fn words(ask: &SayAs, text: &str) -> Option<String> {
    let text = text.trim();
    let english = ask.language.get(..2).is_some_and(|tag| tag.eq_ignore_ascii_case("en"));
    match (ask.kind(), ask.format.as_str()) {
        ("digits", _) | ("number", "digits") => return Some(digits(text, english)),
        ("characters" | "spell-out" | "letters" | "verbatim" | "acronym", _) => {
            return Some(spelled(text, english));
        }
        ("telephone" | "phone", _) | ("number", "telephone") => {
            return Some(telephone(text, english));
        }
        _ => {}
    }
    if !english {
        return None;
    }
    match (ask.kind(), ask.format.as_str()) {
        ("ordinal", _) | ("number", "ordinal") => {
            let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == '.');
            number.replace(',', "").parse().ok().map(ordinal)
        }
        ("cardinal" | "number", _) => written(text),
        ("fraction", _) => fraction(text),
        ("date", format) => date(text, format),
        ("time", format) => time(text, format),
        ("duration", _) => duration(text),
        ("currency", _) => currency(text),
        ("boolean", _) => match text {
            "true" => Some("yes".into()),
            "false" => Some("no".into()),
            _ => None,
        },
        ("email" | "net" | "uri" | "url", _) => Some(address(text)),
        _ => None,
    }
}

/// Every digit by itself.
fn digits(text: &str, english: bool) -> String {
    let mut parts: Vec<String> = Vec::new();
    for letter in text.chars() {
        match (digit(letter), letter) {
            (Some(name), _) if english => parts.push(name.into()),
            (None, '*') if english => parts.push("star".into()),
            (None, '#') if english => parts.push("pound".into()),
            (_, letter) if letter.is_alphanumeric() => parts.push(letter.into()),
            // A separator is a short rest.
            (_, _) => rest(&mut parts),
        }
    }
    parts.join(" ")
}

fn rest(parts: &mut [String]) {
    if let Some(last) = parts.last_mut()
        && !last.ends_with(',')
    {
        last.push(',');
    }
}

fn telephone(text: &str, english: bool) -> String {
    let lower = text.to_lowercase();
    let (number, extension) = match lower.find(['x', 'e', ';']) {
        Some(at) => lower.split_at_checked(at).unwrap_or((&lower, "")),
        None => (lower.as_str(), ""),
    };
    let plus = if number.trim_start().starts_with('+') {
        if english { "plus " } else { "+ " }
    } else {
        ""
    };
    let own = number.trim_start_matches(|c: char| !c.is_alphanumeric() && !matches!(c, '*' | '#'));
    let mut spoken = format!("{plus}{}", digits(own, english).trim_end_matches(','));
    let extension: String = extension.chars().filter(char::is_ascii_digit).collect();
    if !extension.is_empty() {
        spoken.push_str(if english { ", extension " } else { ", " });
        spoken.push_str(&digits(&extension, english));
    }
    spoken
}

/// Every character by its name.
fn spelled(text: &str, english: bool) -> String {
    let mut spoken = String::new();
    for letter in text.chars() {
        if letter.is_whitespace() {
            continue;
        }
        if !spoken.is_empty() {
            spoken.push(' ');
        }
        match name(letter).or_else(|| digit(letter)) {
            Some(name) if english => spoken.push_str(name),
            Some(_) | None => spoken.extend(letter.to_uppercase()),
        }
        // A lone A before another word would be the article.
        if english && letter.eq_ignore_ascii_case(&'a') {
            spoken.push(',');
        }
    }
    spoken
}

/// The English name of a sign.
fn name(letter: char) -> Option<&'static str> {
    Some(match letter {
        '.' => "dot",
        ',' => "comma",
        '-' => "dash",
        '_' => "underscore",
        '@' => "at",
        '/' => "slash",
        '\\' => "backslash",
        ':' => "colon",
        ';' => "semicolon",
        '!' => "exclamation mark",
        '?' => "question mark",
        '+' => "plus",
        '*' => "star",
        '#' => "hash",
        '&' => "ampersand",
        '%' => "percent",
        '=' => "equals",
        '(' => "open parenthesis",
        ')' => "close parenthesis",
        '\'' => "apostrophe",
        '"' => "quote",
        _ => return None,
    })
}

fn fraction(text: &str) -> Option<String> {
    let (whole, part) = match text.split_once(['+', ' ']) {
        Some((whole, part)) => (Some(written(whole)?), part),
        None => (None, text),
    };
    let (upper, lower) = part.split_once('/')?;
    let (upper, lower): (u64, u64) = (upper.trim().parse().ok()?, lower.trim().parse().ok()?);
    let name = match lower {
        0 | 1 => return None,
        2 if upper == 1 => "half".to_owned(),
        2 => "halves".to_owned(),
        4 if upper == 1 => "quarter".to_owned(),
        4 => "quarters".to_owned(),
        _ if upper == 1 => ordinal(lower),
        _ => format!("{}s", ordinal(lower)),
    };
    let part = format!("{} {name}", cardinal(upper));
    Some(whole.map_or_else(|| part.clone(), |whole| format!("{whole} and {part}")))
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

fn date(text: &str, format: &str) -> Option<String> {
    let parts: Vec<&str> =
        text.split(|c: char| !c.is_alphanumeric() && c != '?').filter(|p| !p.is_empty()).collect();
    // VoiceXML's "20261120", with question marks for what is not known.
    if let [whole] = parts.as_slice()
        && whole.len() == 8
        && whole.is_ascii()
    {
        let (y, md) = whole.split_at_checked(4)?;
        let (m, d) = md.split_at_checked(2)?;
        return spoken_date(Some(y), Some(m), Some(d));
    }
    let format = match (format, parts.as_slice()) {
        ("", [first, _, _]) if first.len() == 4 => "ymd",
        ("", [_, _, _]) => "mdy",
        ("", [_, second]) if second.len() == 4 => "my",
        ("", [_, _]) => "md",
        (given, _) => given,
    };
    if format.chars().count() != parts.len() {
        return None;
    }
    let part = |letter: char| {
        let at = format.chars().position(|c| c == letter)?;
        parts.get(at).copied()
    };
    if !format.chars().all(|c| matches!(c, 'y' | 'm' | 'd')) {
        return None;
    }
    spoken_date(part('y'), part('m'), part('d'))
}

fn spoken_date(y: Option<&str>, m: Option<&str>, d: Option<&str>) -> Option<String> {
    let known = |part: Option<&str>| part.filter(|text| !text.starts_with('?')).map(str::to_owned);
    let mut words = Vec::new();
    if let Some(month) = known(m) {
        words.push(match month.parse::<usize>() {
            Ok(number) => (*MONTHS.get(number.checked_sub(1)?)?).to_owned(),
            Err(_) => {
                let start = month.get(..3)?;
                let full = MONTHS
                    .iter()
                    .find(|full| full.get(..3).is_some_and(|f| f.eq_ignore_ascii_case(start)));
                (*full?).to_owned()
            }
        });
    }
    if let Some(day) = known(d) {
        let number: u64 = day.parse().ok()?;
        words.push(if (1..=31).contains(&number) { ordinal(number) } else { return None });
    }
    if let Some(text) = known(y) {
        let number: u64 = text.parse().ok()?;
        let number = match (text.len(), number) {
            (2, 0..=69) => 2_000 + number,
            (2, _) => 1_900 + number,
            (_, 0..=9_999) => number,
            _ => return None,
        };
        if words.len() == 2 {
            words.push(format!(", {}", year(number)));
        } else {
            words.push(year(number));
        }
    }
    if words.is_empty() { None } else { Some(words.join(" ").replace(" ,", ",")) }
}

fn time(text: &str, format: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase().replace(['.', ' '], "");
    let (clock, half) = if let Some(rest) = lower.strip_suffix("am") {
        (rest, " A M")
    } else if let Some(rest) = lower.strip_suffix("pm") {
        (rest, " P M")
    } else if let Some(rest) = lower.strip_suffix('a') {
        (rest, " A M")
    } else if let Some(rest) = lower.strip_suffix('p') {
        (rest, " P M")
    } else {
        // VoiceXML's "1030h" and "1030?".
        (lower.trim_end_matches(['h', '?']), "")
    };
    let mut parts: Vec<u64> = Vec::new();
    if clock.contains(':') {
        for part in clock.split(':') {
            parts.push(part.parse().ok()?);
        }
    } else if clock.len() == 4 {
        let (hours, minutes) = clock.split_at_checked(2)?;
        parts.extend([hours.parse::<u64>().ok()?, minutes.parse().ok()?]);
    } else {
        parts.push(clock.parse().ok()?);
    }
    let (&hours, minutes) = (parts.first()?, parts.get(1).copied().unwrap_or(0));
    let seconds = parts.get(2).copied();
    if hours > 24 || minutes > 59 || seconds.is_some_and(|s| s > 59) || parts.len() > 3 {
        return None;
    }
    let twelve = format.contains("12") || !half.is_empty();
    let mut spoken = match (minutes, twelve) {
        (0, true) => cardinal(hours),
        (0, false) if hours == 0 || hours > 12 => format!("{} hundred hours", cardinal(hours)),
        (0, false) => format!("{} o'clock", cardinal(hours)),
        (1..=9, _) => format!("{} oh {}", cardinal(hours), cardinal(minutes)),
        (_, _) => format!("{} {}", cardinal(hours), cardinal(minutes)),
    };
    if let Some(seconds) = seconds.filter(|seconds| *seconds > 0) {
        spoken.push_str(&format!(" and {}", counted(seconds, "second")));
    }
    Some(spoken + half)
}

/// "1:02:03" as hours, minutes and seconds; "2:03" as minutes and seconds.
fn duration(text: &str) -> Option<String> {
    const UNITS: [&str; 3] = ["hour", "minute", "second"];
    let parts: Vec<u64> = text.split(':').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let names = UNITS.get(3usize.checked_sub(parts.len())?..)?;
    let spoken: Vec<String> = parts
        .iter()
        .zip(names)
        .filter(|(number, _)| **number > 0)
        .map(|(number, unit)| counted(*number, unit))
        .collect();
    if spoken.is_empty() { None } else { Some(spoken.join(" ")) }
}

fn counted(number: u64, unit: &str) -> String {
    let end = if number == 1 { "" } else { "s" };
    format!("{} {unit}{end}", cardinal(number))
}

/// Signs and codes, the name of one and of many, and of the hundredth.
const CURRENCIES: [(&str, &str, &str, &str, &str, &str); 8] = [
    ("$", "USD", "dollar", "dollars", "cent", "cents"),
    ("€", "EUR", "euro", "euros", "cent", "cents"),
    ("£", "GBP", "pound", "pounds", "penny", "pence"),
    ("¥", "JPY", "yen", "yen", "sen", "sen"),
    ("CA$", "CAD", "Canadian dollar", "Canadian dollars", "cent", "cents"),
    ("A$", "AUD", "Australian dollar", "Australian dollars", "cent", "cents"),
    ("Fr.", "CHF", "Swiss franc", "Swiss francs", "centime", "centimes"),
    ("₹", "INR", "rupee", "rupees", "paisa", "paise"),
];

fn currency(text: &str) -> Option<String> {
    // The longer signs hold the shorter ones.
    for (sign, code, one, many, part, parts) in CURRENCIES.iter().rev() {
        let amount = [*sign, *code].iter().find_map(|mark| {
            text.strip_prefix(mark).or_else(|| text.strip_suffix(mark)).map(str::trim)
        });
        let Some(amount) = amount else { continue };
        let amount: String = amount.chars().filter(|c| *c != ',').collect();
        let (sign, amount) = match amount.strip_prefix('-') {
            Some(rest) => ("minus ", rest),
            None => ("", amount.as_str()),
        };
        let (whole, hundredths) = amount.split_once('.').unwrap_or((amount, "0"));
        let whole: u64 = whole.parse().ok()?;
        let hundredths: u64 = match hundredths.len() {
            1 => hundredths.parse::<u64>().ok()? * 10,
            2 => hundredths.parse().ok()?,
            _ => return None,
        };
        let named = |number: u64, one: &str, many: &str| {
            format!("{} {}", cardinal(number), if number == 1 { one } else { many })
        };
        return Some(match (whole, hundredths) {
            (_, 0) => format!("{sign}{}", named(whole, one, many)),
            (0, _) => format!("{sign}{}", named(hundredths, part, parts)),
            (_, _) => {
                format!("{sign}{} and {}", named(whole, one, many), named(hundredths, part, parts))
            }
        });
    }
    None
}

/// A mail or web address: its signs are said.
fn address(text: &str) -> String {
    let mut spoken = String::new();
    for letter in text.chars() {
        match letter {
            '.' | '@' | '/' | ':' | '_' | '-' | '?' | '=' | '&' | '#' | '+' => {
                spoken.push(' ');
                spoken.push_str(name(letter).unwrap_or_default());
                spoken.push(' ');
            }
            _ => spoken.push(letter),
        }
    }
    spoken
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(interpret_as: &str, text: &str, expected: &str) {
        let (kind, format) = interpret_as.split_once(' ').unwrap_or((interpret_as, ""));
        let (kind, language) = kind.split_once('/').unwrap_or((kind, "en-US"));
        let ask =
            SayAs { interpret_as: kind.into(), format: format.into(), language: language.into() };
        assert!(ask.is_known());
        let spoken = words(&ask, text).unwrap_or_else(|| "-".into());
        let collapsed: Vec<&str> = spoken.split_whitespace().collect();
        assert_eq!(collapsed.join(" "), expected, "{interpret_as} {text}");
    }

    #[test]
    fn digits_letters_and_telephone_numbers_one_by_one() {
        check("digits", "105", "one zero five");
        check("digits/de-DE", "105", "1 0 5");
        check("number digits", "12-3", "one two, three");
        check("characters", "aB2.", "A, B two dot");
        check("spell-out/de", "äb2", "Ä B 2");
        check(
            "telephone",
            "+1 (317) 555-0100 x12",
            "plus one, three one seven, five five five, zero one zero zero, extension one two",
        );
        check("telephone/fr", "01 42", "0 1, 4 2");
    }

    #[test]
    fn numbers() {
        check("cardinal", "1,205", "one thousand two hundred and five");
        check("number", "-2.5", "minus two point five");
        check("number ordinal", "3rd", "third");
        check("ordinal", "21", "twenty first");
        check("fraction", "2 3/4", "two and three quarters");
        check("cardinal/de", "12", "-");
        check("cardinal", "a dozen", "-");
    }

    #[test]
    fn dates_and_times() {
        check("date", "2026-11-20", "November twentieth, twenty twenty six");
        check("date mdy", "11/20/1999", "November twentieth, nineteen ninety nine");
        check("date dmy", "1.2.05", "February first, two thousand and five");
        check("date md", "Dec 24", "December twenty fourth");
        check("date my", "12/2026", "December twenty twenty six");
        check("vxml:date", "????1120", "November twentieth");
        check("date", "99/99/9999", "-");
        check("time", "10:05", "ten oh five");
        check("time hms12", "2:30 p.m.", "two thirty P M");
        check("time", "09:00", "nine o'clock");
        check("time hms24", "14:00:05", "fourteen hundred hours and five seconds");
        check("vxml:time", "0230p", "two thirty P M");
        check("time", "25:00", "-");
        check("duration", "1:02:03", "one hour two minutes three seconds");
    }

    #[test]
    fn money_and_addresses() {
        check("currency", "$1,200.50", "one thousand two hundred dollars and fifty cents");
        check("currency", "1 EUR", "one euro");
        check("currency", "USD0.01", "one cent");
        check("currency", "£-5", "minus five pounds");
        check("currency", "CA$2", "two Canadian dollars");
        check("currency", "5 groats", "-");
        check("email", "a.b@c.de", "a dot b at c dot de");
        check("boolean", "true", "yes");
    }
}

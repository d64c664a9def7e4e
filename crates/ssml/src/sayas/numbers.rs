//! Numbers as English words.

use super::parts::Figure;

const SMALL: [&str; 20] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];
const TENS: [&str; 10] =
    ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];
const SCALES: [(u64, &str); 5] = [
    (1_000_000_000_000, "trillion"),
    (1_000_000_000, "billion"),
    (1_000_000, "million"),
    (1_000, "thousand"),
    (100, "hundred"),
];
/// From here on a number is spelled digit by digit.
const SPOKEN_MAX: u64 = 1_000_000_000_000_000;

/// "one hundred and five": how many.
pub(super) fn cardinal(number: u64) -> String {
    let mut words = Vec::new();
    add(number, &mut words);
    words.join(" ")
}

fn add(number: u64, words: &mut Vec<&'static str>) {
    let mut rest = number;
    if rest == 0 && words.is_empty() {
        words.push("zero");
        return;
    }
    for (scale, name) in SCALES {
        if rest >= scale {
            add(rest / scale, words);
            words.push(name);
            rest %= scale;
            if rest > 0 && rest < 100 {
                words.push("and");
            }
        }
    }
    let small = usize::try_from(rest).unwrap_or(0);
    if small == 0 {
        return;
    }
    if let Some(word) = SMALL.get(small) {
        words.push(word);
    } else {
        words.extend(TENS.get(small / 10));
        if small % 10 > 0 {
            words.extend(SMALL.get(small % 10));
        }
    }
}

/// "twenty first": which one.
pub(super) fn ordinal(number: u64) -> String {
    let words = cardinal(number);
    let (before, last) = match words.rsplit_once(' ') {
        Some((before, last)) => (format!("{before} "), last),
        None => (String::new(), words.as_str()),
    };
    let last = match last {
        "one" => "first".to_owned(),
        "two" => "second".to_owned(),
        "three" => "third".to_owned(),
        "five" => "fifth".to_owned(),
        "eight" => "eighth".to_owned(),
        "nine" => "ninth".to_owned(),
        "twelve" => "twelfth".to_owned(),
        word => match word.strip_suffix('y') {
            Some(stem) => format!("{stem}ieth"),
            None => format!("{word}th"),
        },
    };
    before + &last
}

/// "nineteen oh five", "two thousand and seven": a year.
pub(super) fn year(number: u64) -> String {
    let (century, rest) = (number / 100, number % 100);
    if !(11..=99).contains(&century) || century % 10 == 0 && rest < 10 {
        return cardinal(number);
    }
    match rest {
        0 => format!("{} hundred", cardinal(century)),
        1..=9 => format!("{} oh {}", cardinal(century), cardinal(rest)),
        _ => format!("{} {}", cardinal(century), cardinal(rest)),
    }
}

/// The name of a digit.
pub(super) fn digit(letter: char) -> Option<&'static str> {
    SMALL.get(usize::try_from(letter.to_digit(10)?).ok()?).copied()
}

/// A number with its sign, its decimals one by one, and "percent".
pub(super) fn figured(figure: &Figure) -> String {
    let mut words = whole_number(&figure.whole);
    if figure.negative {
        words.insert_str(0, "minus ");
    }
    if !figure.decimals.is_empty() {
        words.push_str(" point");
        for name in figure.decimals.chars().filter_map(digit) {
            words.push(' ');
            words.push_str(name);
        }
    }
    if figure.percent {
        words.push_str(" percent");
    }
    words
}

fn whole_number(digits: &str) -> String {
    match digits.parse::<u64>() {
        Ok(number) if number < SPOKEN_MAX => cardinal(number),
        Ok(_) | Err(_) => {
            let words: Vec<&str> = digits.chars().filter_map(digit).collect();
            words.join(" ")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sayas::parts::figure;

    #[test]
    fn numbers_are_spoken_as_english_says_them() {
        for (number, words) in [
            (0, "zero"),
            (7, "seven"),
            (21, "twenty one"),
            (100, "one hundred"),
            (105, "one hundred and five"),
            (1_001, "one thousand and one"),
            (1_234, "one thousand two hundred and thirty four"),
            (2_000_000, "two million"),
            (1_000_000_000_001, "one trillion and one"),
        ] {
            assert_eq!(cardinal(number), words);
        }
        for (number, words) in [
            (1, "first"),
            (12, "twelfth"),
            (20, "twentieth"),
            (23, "twenty third"),
            (100, "one hundredth"),
            (105, "one hundred and fifth"),
        ] {
            assert_eq!(ordinal(number), words);
        }
        for (number, words) in [
            (1905, "nineteen oh five"),
            (1900, "nineteen hundred"),
            (2000, "two thousand"),
            (2007, "two thousand and seven"),
            (2026, "twenty twenty six"),
            (800, "eight hundred"),
        ] {
            assert_eq!(year(number), words);
        }
    }

    #[test]
    fn written_numbers_are_read() {
        for (text, words) in [
            ("1,234", Some("one thousand two hundred and thirty four")),
            ("-3.05", Some("minus three point zero five")),
            (".5", Some("zero point five")),
            ("15 %", Some("fifteen percent")),
            ("9999999999999999999999", Some(&*["nine"; 22].join(" "))),
            ("12a", None),
            ("", None),
        ] {
            assert_eq!(figure(text, '.').map(|f| figured(&f)).as_deref(), words, "{text}");
        }
    }
}

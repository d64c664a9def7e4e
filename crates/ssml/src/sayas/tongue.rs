//! One language as data, and what is said with it.

use super::numbers::cardinal;
use super::parts::{Date, Figure, Money, Time};

/// The signs that have names, in the order of every language's list.
const SIGNS: &str = ".,-_@/\\:;!?+*#&%=()'\"";

/// A language's words and forms. A list is one text, comma and space between its words.
pub(super) struct Tongue {
    /// The primary subtag. RFC 5646 §2.2.1.
    pub(super) tag: &'static str,
    /// What divides a number from its decimals.
    pub(super) decimal: char,
    pub(super) minus: &'static str,
    /// The names of [`SIGNS`].
    pub(super) signs: &'static str,
    /// Letters that would be read as words.
    pub(super) letters: &'static [(char, &'static str)],
    /// The key `#` of a telephone.
    pub(super) pound: &'static str,
    pub(super) extension: &'static str,
    /// Yes and no.
    pub(super) answers: [&'static str; 2],
    /// As they stand in a date.
    pub(super) months: &'static str,
    /// Hour, minute, second.
    pub(super) spans: [Noun; 3],
    /// Between an amount of money and its hundredths.
    pub(super) and: &'static str,
    /// The whole and the hundredth, in the order of the currencies in `parts`.
    pub(super) money: &'static [[Noun; 2]],
    pub(super) grammar: Grammar,
}

/// Who turns numbers into words.
pub(super) enum Grammar {
    /// We do: `english`.
    English,
    /// The provider does; we only put things so that it does it right.
    Provider(&'static Forms),
}

/// What a language says that is more than a number and a name.
pub(super) struct Forms {
    /// The months without a day, if that makes a difference.
    pub(super) months_alone: Option<&'static str>,
    /// Between day, month and year.
    pub(super) of: &'static str,
    pub(super) days: Days,
    /// What is said for the hundreds of a year of the last millennium, if the provider would not.
    pub(super) hundred: Option<&'static str>,
    pub(super) ordinals: Ordinals,
    pub(super) clock: Clock,
}

/// The day of a date.
pub(super) enum Days {
    /// A number, but for the first.
    Figures { first: &'static str },
    /// As any other ordinal.
    Ordinals,
    /// These words and this ending.
    Words { list: &'static str, ending: &'static str },
}

/// How an ordinal is written so that the provider says it.
pub(super) enum Ordinals {
    /// The first, and what stands behind any other number.
    Signed { first: &'static str, sign: &'static str },
    /// Swedish: `:a` behind a one or two, else `:e`.
    Swedish,
    /// From one on in words; past them the number with this behind, or as it was.
    Words { list: &'static str, sign: Option<&'static str> },
}

/// A time of day.
pub(super) struct Clock {
    /// Before the hours.
    pub(super) before: &'static str,
    pub(super) hours: Hours,
    /// Before the minutes.
    pub(super) between: &'static str,
    /// After the minutes.
    pub(super) minutes: Option<Noun>,
    /// Before the seconds.
    pub(super) then: &'static str,
}

/// The hours of a time of day.
pub(super) enum Hours {
    Counted(Noun),
    /// From zero on.
    Words(&'static str),
}

/// Something that is counted.
#[derive(Clone, Copy)]
pub(super) struct Noun {
    /// One of it, with the number.
    one: &'static str,
    /// Two of it, with the number, where its gender shows.
    two: Option<&'static str>,
    /// 2 to 4, 22 to 24 and so on, without the number.
    few: &'static str,
    many: &'static str,
}

/// A noun with one plural.
pub(super) const fn noun(one: &'static str, many: &'static str) -> Noun {
    Noun { one, two: None, few: many, many }
}

/// A noun whose two differs: of both plurals the first may be the same as the second.
pub(super) const fn gendered(
    one: &'static str,
    two: &'static str,
    few: &'static str,
    many: &'static str,
) -> Noun {
    Noun { one, two: Some(two), few, many }
}

/// A noun with two plurals.
pub(super) const fn slavic(one: &'static str, few: &'static str, many: &'static str) -> Noun {
    Noun { one, two: None, few, many }
}

/// The word at this place of a list, from 0.
fn word(list: &'static str, index: usize) -> Option<&'static str> {
    list.split(", ").nth(index)
}

/// The word for this number in a list that begins with one.
pub(super) fn numbered(list: &'static str, number: u64) -> Option<&'static str> {
    word(list, usize::try_from(number).ok()?.checked_sub(1)?)
}

impl Tongue {
    pub(super) fn is_english(&self) -> bool {
        matches!(self.grammar, Grammar::English)
    }

    /// The name of a sign.
    pub(super) fn sign(&self, sign: char) -> Option<&'static str> {
        word(self.signs, SIGNS.chars().position(|known| known == sign)?)
    }

    /// The name of a sign, or of a letter that is also a word.
    pub(super) fn name(&self, letter: char) -> Option<&'static str> {
        let lower = letter.to_lowercase().next()?;
        let named = self.letters.iter().find(|(known, _)| *known == lower);
        named.map(|(_, name)| *name).or_else(|| self.sign(letter))
    }

    /// So many of something.
    pub(super) fn counted(&self, number: u64, noun: &Noun) -> String {
        let name = match (number, noun.two) {
            (1, _) => return noun.one.to_owned(),
            (2, Some(two)) => return two.to_owned(),
            (_, _) if matches!(number % 10, 2..=4) && !matches!(number % 100, 12..=14) => noun.few,
            (_, _) => noun.many,
        };
        let number = if self.is_english() { cardinal(number) } else { number.to_string() };
        format!("{number} {name}")
    }

    pub(super) fn duration(&self, span: [u64; 3]) -> Option<String> {
        let said: Vec<String> = span
            .iter()
            .zip(&self.spans)
            .filter(|(number, _)| **number > 0)
            .map(|(number, noun)| self.counted(*number, noun))
            .collect();
        if said.is_empty() { None } else { Some(said.join(" ")) }
    }

    pub(super) fn money(&self, money: &Money) -> Option<String> {
        let [whole, part] = self.money.get(money.currency)?;
        let whole = || self.counted(money.whole, whole);
        let part = || self.counted(money.hundredths, part);
        let said = match (money.whole, money.hundredths) {
            (_, 0) => whole(),
            (0, _) => part(),
            (_, _) => format!("{} {} {}", whole(), self.and, part()),
        };
        Some(if money.negative { format!("{} {said}", self.minus) } else { said })
    }
}

impl Forms {
    pub(super) fn ordinal(&self, number: u64) -> Option<String> {
        match &self.ordinals {
            Ordinals::Signed { first, .. } if number == 1 => Some((*first).to_owned()),
            Ordinals::Signed { sign, .. } => Some(format!("{number}{sign}")),
            Ordinals::Swedish => {
                let a = matches!(number % 10, 1 | 2) && !matches!(number % 100, 11 | 12);
                Some(format!("{number}:{}", if a { 'a' } else { 'e' }))
            }
            Ordinals::Words { list, sign } => match (numbered(list, number), sign) {
                (Some(word), _) => Some(word.to_owned()),
                (None, Some(sign)) => Some(format!("{number}{sign}")),
                (None, None) => None,
            },
        }
    }

    pub(super) fn date(&self, date: &Date, months: &'static str) -> Option<String> {
        let mut said = Vec::new();
        if let Some(day) = date.day {
            said.push(match &self.days {
                Days::Figures { first } if day == 1 => (*first).to_owned(),
                Days::Figures { .. } => day.to_string(),
                Days::Ordinals => self.ordinal(day)?,
                Days::Words { list, ending } => format!("{}{ending}", numbered(list, day)?),
            });
        }
        if let Some(month) = date.month {
            let alone = self.months_alone.filter(|_| date.day.is_none());
            said.push(word(alone.unwrap_or(months), month.checked_sub(1)?)?.to_owned());
        }
        if let Some(year) = date.year {
            said.push(match (self.hundred, year) {
                (Some(hundred), 1_100..=1_999) if year % 100 == 0 => {
                    format!("{} {hundred}", year / 100)
                }
                (Some(hundred), 1_100..=1_999) => {
                    format!("{} {hundred} {}", year / 100, year % 100)
                }
                (Some(_) | None, _) => year.to_string(),
            });
        }
        Some(said.join(self.of))
    }

    pub(super) fn time(&self, time: &Time, tongue: &Tongue) -> Option<String> {
        let Clock { before, hours, between, minutes, then } = &self.clock;
        let hour = time.hour_of_day();
        let hours = match hours {
            Hours::Counted(noun) => tongue.counted(hour, noun),
            Hours::Words(list) => word(list, usize::try_from(hour).ok()?)?.to_owned(),
        };
        let mut said = format!("{before}{}", hours.trim_end());
        match (time.minutes, minutes) {
            (0, _) => {}
            (number, Some(noun)) => {
                said = format!("{said}{between}{}", tongue.counted(number, noun));
            }
            (number, None) => said = format!("{said}{between}{number}"),
        }
        if time.seconds > 0 {
            let [_, _, second] = &tongue.spans;
            said = format!("{said}{then}{}", tongue.counted(time.seconds, second));
        }
        Some(said)
    }
}

/// A number so that the provider reads it as one: no thousands separators, its own decimal mark.
pub(super) fn plain(figure: &Figure, decimal: char, minus: &str) -> String {
    let mut said = String::new();
    if figure.negative {
        said.push_str(minus);
        said.push(' ');
    }
    said.push_str(&figure.whole);
    if !figure.decimals.is_empty() {
        said.push(decimal);
        said.push_str(&figure.decimals);
    }
    if figure.percent {
        said.push_str(" %");
    }
    said
}

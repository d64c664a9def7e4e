//! `say-as`: what it asks for as words. W3C note "SSML 1.0 say-as attribute values".
//!
//! In English all of it is words. In the other languages of `tongues` numbers stay numbers, put so
//! that the provider reads them right; in any further language only letters and digits are divided,
//! the rest being left to the provider, which knows its language.

mod english;
mod numbers;
mod parts;
mod tongue;
mod tongues;

use numbers::{digit, figured, ordinal};
use tongue::{Grammar, Tongue, plain};

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
    let tongue = tongues::of(&ask.language);
    let format = ask.format.as_str();
    match (ask.kind(), format) {
        ("digits", _) | ("number", "digits") => return Some(digits(text, tongue)),
        ("characters" | "spell-out" | "letters" | "verbatim" | "acronym", _) => {
            return Some(spelled(text, tongue));
        }
        ("telephone" | "phone", _) | ("number", "telephone") => {
            return Some(telephone(text, tongue));
        }
        _ => {}
    }
    let tongue = tongue?;
    let decimal = tongues::decimal(tongue, &ask.language);
    match (ask.kind(), format) {
        ("ordinal", _) | ("number", "ordinal") => ranked(text, decimal, tongue),
        ("cardinal" | "number", _) => number(text, decimal, tongue),
        ("date", _) => date(text, format, tongue),
        ("time", _) => {
            let time = parts::time(text)?;
            match &tongue.grammar {
                Grammar::English => Some(english::time(&time, format, tongue)),
                Grammar::Provider(forms) => forms.time(&time, tongue),
            }
        }
        ("duration", _) => tongue.duration(parts::duration(text, format)?),
        ("currency", _) => tongue.money(&parts::money(text, format, decimal)?),
        ("boolean", _) => {
            let [yes, no] = tongue.answers;
            match text.to_ascii_lowercase().as_str() {
                "true" => Some(yes.to_owned()),
                "false" => Some(no.to_owned()),
                _ => None,
            }
        }
        ("email" | "net" | "uri" | "url", _) => Some(address(text, tongue)),
        ("fraction", _) if tongue.is_english() => english::fraction(text),
        ("unit" | "measure", _) if tongue.is_english() => english::measure(text),
        _ => None,
    }
}

fn ranked(text: &str, decimal: char, tongue: &Tongue) -> Option<String> {
    // A provider of a language with this sign reads it, and knows the gender.
    if text.contains('ª') {
        return None;
    }
    let number = parts::rank(text, decimal)?;
    match &tongue.grammar {
        Grammar::English => Some(ordinal(number)),
        Grammar::Provider(forms) => forms.ordinal(number),
    }
}

fn number(text: &str, decimal: char, tongue: &Tongue) -> Option<String> {
    let roman = parts::roman(text).map(|number| number.to_string());
    let figure = parts::figure(roman.as_deref().unwrap_or(text), decimal)?;
    Some(match &tongue.grammar {
        Grammar::English => figured(&figure),
        Grammar::Provider(_) => plain(&figure, decimal, tongue.minus),
    })
}

fn date(text: &str, format: &str, tongue: &Tongue) -> Option<String> {
    match &tongue.grammar {
        Grammar::English => {
            let dating = parts::Dating { order: "mdy", months: &[tongue.months] };
            english::date(&parts::date(text, format, &dating)?, tongue)
        }
        Grammar::Provider(forms) => {
            let alone = forms.months_alone.unwrap_or(tongue.months);
            let dating = parts::Dating { order: "dmy", months: &[tongue.months, alone] };
            forms.date(&parts::date(text, format, &dating)?, tongue.months)
        }
    }
}

/// Every digit by itself.
fn digits(text: &str, tongue: Option<&Tongue>) -> String {
    let mut parts: Vec<String> = Vec::new();
    for letter in text.chars() {
        let name = match (letter, tongue) {
            ('#', Some(tongue)) => Some(tongue.pound),
            ('*', Some(tongue)) => tongue.sign('*'),
            (_, Some(tongue)) if tongue.is_english() => digit(letter),
            (_, Some(_) | None) => None,
        };
        match name {
            Some(name) => parts.push(name.into()),
            None if letter.is_alphanumeric() => parts.push(letter.into()),
            // A separator is a short rest.
            None => rest(&mut parts),
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

fn telephone(text: &str, tongue: Option<&Tongue>) -> String {
    let lower = text.to_lowercase();
    let (number, extension) = lower.split_at_checked(number_end(&lower)).unwrap_or((&lower, ""));
    let plus = if number.trim_start().starts_with('+') {
        tongue.and_then(|tongue| tongue.sign('+')).unwrap_or("+")
    } else {
        ""
    };
    let own = number.trim_start_matches(|c: char| !c.is_alphanumeric() && !matches!(c, '*' | '#'));
    let mut spoken = format!("{plus} {}", digits(own, tongue).trim_end_matches(','));
    let extension: String = extension.chars().filter(char::is_ascii_digit).collect();
    if !extension.is_empty() {
        spoken.push_str(", ");
        if let Some(tongue) = tongue {
            spoken.push_str(tongue.extension);
            spoken.push(' ');
        }
        spoken.push_str(&digits(&extension, tongue));
    }
    spoken.trim_start().to_owned()
}

/// Where the number ends and "x12", "ext. 12" or ";ext=12" begins; letters of a name are part of it.
fn number_end(lower: &str) -> usize {
    let mut before = ' ';
    for (at, letter) in lower.char_indices() {
        let rest = lower.get(at..).unwrap_or_default();
        let begins = letter == ';'
            || !before.is_alphabetic() && rest.starts_with("ext")
            || !before.is_alphabetic()
                && rest.strip_prefix('x').is_some_and(|rest| {
                    rest.trim_start().starts_with(|c: char| c.is_ascii_digit())
                });
        if begins {
            return at;
        }
        before = letter;
    }
    lower.len()
}

/// Every character by its name.
fn spelled(text: &str, tongue: Option<&Tongue>) -> String {
    let english = tongue.is_some_and(Tongue::is_english);
    let mut spoken = String::new();
    for letter in text.chars() {
        if letter.is_whitespace() {
            continue;
        }
        if !spoken.is_empty() {
            spoken.push(' ');
        }
        let name = tongue.and_then(|tongue| tongue.name(letter));
        match name.or_else(|| if english { digit(letter) } else { None }) {
            Some(name) => spoken.push_str(name),
            None => spoken.extend(letter.to_uppercase()),
        }
        // A lone A before another word would be the article.
        if english && letter.eq_ignore_ascii_case(&'a') {
            spoken.push(',');
        }
    }
    spoken
}

/// A mail or web address: its signs are said.
fn address(text: &str, tongue: &Tongue) -> String {
    let mut spoken = String::new();
    for letter in text.chars() {
        match letter {
            '.' | '@' | '/' | ':' | '_' | '-' | '?' | '=' | '&' | '#' | '+' => {
                spoken.push(' ');
                spoken.push_str(tongue.sign(letter).unwrap_or_default());
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

    /// "kind/language format".
    fn asked(interpret_as: &str) -> SayAs {
        let (kind, format) = interpret_as.split_once(' ').unwrap_or((interpret_as, ""));
        let (kind, language) = kind.split_once('/').unwrap_or((kind, "en-US"));
        SayAs { interpret_as: kind.into(), format: format.into(), language: language.into() }
    }

    #[track_caller]
    fn check(interpret_as: &str, text: &str, expected: &str) {
        let ask = asked(interpret_as);
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
        check("telephone", "1-800-FLOWERS", "one, eight zero zero, f l o w e r s");
        check("digits", "*5#", "star five pound");
    }

    #[test]
    fn numbers() {
        check("cardinal", "1,205", "one thousand two hundred and five");
        check("number", "-2.5", "minus two point five");
        check("number ordinal", "3rd", "third");
        check("ordinal", "21", "twenty first");
        check("fraction", "2 3/4", "two and three quarters");
        check("cardinal/ja", "12", "-");
        check("cardinal", "MCMXC", "one thousand nine hundred and ninety");
        check("ordinal", "XIII", "thirteenth");
        check("ordinal", "1,000th", "one thousandth");
        check("measure", "5 kg", "five kilograms");
        check("unit", "1mi", "one mile");
        check("unit", "-2.5 °C", "minus two point five degrees Celsius");
        check("unit", "5 furlongs", "-");
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
        check("date mdy", "11202026", "November twentieth, twenty twenty six");
        check("date", "2026-11", "November twenty twenty six");
        check("date", "20th of November 2026", "November twentieth, twenty twenty six");
        check("date y", "1999", "nineteen ninety nine");
        check("date m", "2", "February");
        check("date", "99/99/9999", "-");
        check("time", "10:05", "ten oh five");
        check("time hms12", "2:30 p.m.", "two thirty P M");
        check("time", "09:00", "nine o'clock");
        check("time hms24", "14:00:05", "fourteen hundred hours and five seconds");
        check("vxml:time", "0230p", "two thirty P M");
        check("time", "25:00", "-");
        check("time", "9.05 pm", "nine oh five P M");
        check("duration", "1:02:03", "one hour two minutes three seconds");
        check("duration hm", "1:30", "one hour thirty minutes");
        check("duration", "PT2M", "two minutes");
    }

    #[test]
    fn money_and_addresses() {
        check("currency", "$1,200.50", "one thousand two hundred dollars and fifty cents");
        check("currency", "1 EUR", "one euro");
        check("currency", "USD0.01", "one cent");
        check("currency", "£-5", "minus five pounds");
        check("currency", "CA$2", "two Canadian dollars");
        check("currency", "€12,50", "twelve euros and fifty cents");
        check("currency", "50 SEK", "fifty Swedish kronor");
        check("currency usd", "12", "twelve dollars");
        check("currency", "5 groats", "-");
        check("email", "a.b@c.de", "a dot b at c dot de");
        check("boolean", "true", "yes");
    }

    #[test]
    fn other_languages_date_so_that_the_provider_reads_it_right() {
        check("date/de dmy", "12.03.2026", "zwölfter März 2026");
        check("date/de-AT", "1.5.1999", "erster Mai 19 hundert 99");
        check("date/de", "31. Dez. 1900", "einunddreißigster Dezember 19 hundert");
        check("date/de mdy", "3/12/26", "zwölfter März 2026");
        check("date/de ymd", "20260312", "zwölfter März 2026");
        check("date/de dm", "12.3.", "zwölfter März");
        check("date/de my", "03/2026", "März 2026");
        check("date/fr-FR dmy", "01/03/2026", "1er mars 2026");
        check("date/fr", "2026-03-12", "12 mars 2026");
        check("date/fr dmy", "1er août 2026", "1er août 2026");
        check("date/fr dmy", "3 jui 2026", "-");
        check("date/es dmy", "12/3/2026", "12 de marzo de 2026");
        check("date/es", "12 de marzo de 2026", "12 de marzo de 2026");
        check("date/es my", "3/2026", "marzo de 2026");
        check("date/it dmy", "1/3/2026", "1º marzo 2026");
        check("date/nl dmy", "12-3-2026", "12 maart 2026");
        check("date/pt-BR dmy", "1/3/2026", "1º de março de 2026");
        check("date/pl dmy", "12.03.2026", "dwunastego marca 2026");
        check("date/pl my", "03.2026", "marzec 2026");
        check("date/pl", "marzec 2026", "marzec 2026");
        check("date/sv", "2026-03-12", "12:e mars 2026");
        check("date/sv dm", "1/3", "1:a mars");
        check("date/de dmy", "32.1.2026", "-");
        check("date/ja ymd", "2026-03-12", "-");
        check("vxml:date/it", "????0312", "12 marzo");
    }

    #[test]
    fn other_languages_tell_the_time() {
        check("time/de hms24", "14:30", "14 Uhr 30");
        check("time/de hms24", "01:05:01", "ein Uhr 5 und eine Sekunde");
        check("time/de hms12", "2:30 pm", "14 Uhr 30");
        check("time/fr", "14h30", "14 heures 30");
        check("time/fr hms24", "01:00", "une heure");
        check("time/es", "14:30", "14 horas y 30 minutos");
        check("time/it", "13:05", "ore 13 e 5");
        check("time/it", "1:05", "ore una e 5");
        check("time/nl", "14:30", "14 uur 30");
        check("time/pt", "2:01", "duas horas e um minuto");
        check("time/pl", "14:30", "godzina czternasta 30");
        check("time/sv", "14:30:02", "klockan 14 och 30 och 2 sekunder");
        check("time/de", "25:00", "-");
        check("duration/de", "1:02:03", "eine Stunde 2 Minuten 3 Sekunden");
        check("duration/fr", "PT1H30M", "une heure 30 minutes");
        check("duration/pl", "2:22:05", "dwie godziny 22 minuty 5 sekund");
        check("duration/sv", "0:30", "30 sekunder");
    }

    #[test]
    fn other_languages_count_money() {
        check("currency/de", "12,50 EUR", "12 Euro und 50 Cent");
        check("currency/de", "€1.234", "1234 Euro");
        check("currency/de", "-$1", "minus ein Dollar");
        check("currency/fr", "USD 12.50", "12 dollars et 50 centimes");
        check("currency/es", "1,01 €", "un euro con un céntimo");
        check("currency/es-MX", "USD 1,200.50", "1200 dólares con 50 centavos");
        check("currency/it", "£2", "2 sterline");
        check("currency/nl", "€ 12,50", "12 euro en 50 cent");
        check("currency/pt", "GBP 2", "duas libras");
        check("currency/pl", "1 zł", "jeden złoty");
        check("currency/pl", "12 PLN", "12 złotych");
        check("currency/pl", "22,05 PLN", "22 złote i 5 groszy");
        check("currency/sv", "250 kr", "250 kronor");
        check("currency/sv CHF", "2", "2 franc");
        check("currency/de", "CA$5", "-");
        check("currency/de", "viel €", "-");
    }

    #[test]
    fn other_languages_numbers_are_left_to_the_provider_as_one_number() {
        check("cardinal/de", "1.234,5", "1234,5");
        check("number/de", "-12.50", "minus 12,50");
        check("cardinal/fr", "1 234 567", "1234567");
        check("cardinal/es", "1.234.567", "1234567");
        check("cardinal/es-MX", "1,234.5", "1234.5");
        check("cardinal/sv", "15%", "15 %");
        check("cardinal/pl", "XIV", "14");
        check("cardinal/de", "ein Dutzend", "-");
        check("ordinal/de", "3.", "dritte");
        check("ordinal/de", "32", "32.");
        check("ordinal/fr", "1er", "1er");
        check("ordinal/fr", "2e", "2ème");
        check("ordinal/es", "3.º", "3º");
        check("ordinal/it", "3ª", "-");
        check("ordinal/nl", "21e", "eenentwintigste");
        check("ordinal/nl", "100e", "-");
        check("ordinal/pt", "11", "11º");
        check("ordinal/pl", "22.", "dwudziesty drugi");
        check("ordinal/sv", "22", "22:a");
        check("ordinal/sv", "12", "12:e");
        check("fraction/de", "1/2", "-");
    }

    #[test]
    fn other_languages_name_signs_and_keys() {
        check("digits/de", "*5#", "Stern 5 Raute");
        check("telephone/de", "+49 30 123 x4", "plus 4 9, 3 0, 1 2 3, Durchwahl 4");
        check("telephone/es", "+34 91", "más 3 4, 9 1");
        check("telephone/ja", "+34;ext=5", "+ 3 4, 5");
        check("characters/de", "ß-a", "Eszett Bindestrich A");
        check("characters/fr", "y@2", "i grec arobase 2");
        check("characters/pl", "Wz", "wu zet");
        check("characters/ja", "a.", "A .");
        check("email/de", "a.b@c.de", "a Punkt b at c Punkt de");
        check("url/nl", "x.nl/y", "x punt nl schuine streep y");
        check("boolean/pl", "true", "tak");
        check("boolean/sv", "FALSE", "nej");
        check("boolean/de", "vielleicht", "-");
    }

    /// A list with a word too few would say the wrong sign, month or day.
    #[test]
    fn every_list_is_complete() {
        for tag in ["en", "de", "es", "fr", "it", "nl", "pl", "pt", "sv"] {
            let tongue = tongues::of(tag).expect("it is one of ours");
            for sign in ".,-_@/\\:;!?+*#&%=()'\"".chars() {
                assert!(tongue.sign(sign).is_some(), "{tag} {sign}");
            }
            assert_eq!(tongue.signs.split(", ").count(), 21, "{tag}");
            assert_eq!(tongue.months.split(", ").count(), 12, "{tag}");
            for number in 1..=31 {
                check_any(&format!("ordinal/{tag}"), &number.to_string());
                check_any(&format!("date/{tag} d"), &number.to_string());
            }
            for hour in 0..=24 {
                check_any(&format!("time/{tag}"), &format!("{hour}:00"));
            }
            for code in ["EUR", "USD", "GBP", "CHF", "PLN", "SEK"] {
                check_any(&format!("currency/{tag}"), &format!("{code} 2.02"));
            }
        }
    }

    #[track_caller]
    fn check_any(interpret_as: &str, text: &str) {
        let ask = asked(interpret_as);
        assert!(words(&ask, text).is_some(), "{interpret_as} {text}");
    }
}

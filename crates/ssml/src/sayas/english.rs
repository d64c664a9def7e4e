//! What English says of a value, in words only.

use super::numbers::{cardinal, figured, ordinal, year};
use super::parts::{Date, Half, Time, figure};
use super::tongue::{Tongue, numbered};

pub(super) fn fraction(text: &str) -> Option<String> {
    let (whole, part) = match text.split_once(['+', ' ']) {
        Some((whole, part)) => (Some(figured(&figure(whole, '.')?)), part),
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

pub(super) fn date(date: &Date, tongue: &Tongue) -> Option<String> {
    let mut words = Vec::new();
    if let Some(month) = date.month {
        words.push(numbered(tongue.months, u64::try_from(month).ok()?)?.to_owned());
    }
    if let Some(day) = date.day {
        words.push(ordinal(day));
    }
    if let Some(number) = date.year {
        if words.len() == 2 {
            words.push(format!(", {}", year(number)));
        } else {
            words.push(year(number));
        }
    }
    Some(words.join(" ").replace(" ,", ","))
}

pub(super) fn time(time: &Time, format: &str, tongue: &Tongue) -> String {
    let Time { hours, minutes, seconds, half } = *time;
    let twelve = format.contains("12") || half.is_some();
    let mut spoken = match (minutes, twelve) {
        (0, true) => cardinal(hours),
        (0, false) if hours == 0 || hours > 12 => format!("{} hundred hours", cardinal(hours)),
        (0, false) => format!("{} o'clock", cardinal(hours)),
        (1..=9, _) => format!("{} oh {}", cardinal(hours), cardinal(minutes)),
        (_, _) => format!("{} {}", cardinal(hours), cardinal(minutes)),
    };
    if seconds > 0 {
        let [_, _, second] = &tongue.spans;
        spoken = format!("{spoken} and {}", tongue.counted(seconds, second));
    }
    spoken.push_str(match half {
        Some(Half::Morning) => " A M",
        Some(Half::Afternoon) => " P M",
        None => "",
    });
    spoken
}

/// Signs of units, the name of one and of many.
const UNITS: [(&str, &str, &str); 44] = [
    ("mm", "millimeter", "millimeters"),
    ("cm", "centimeter", "centimeters"),
    ("m", "meter", "meters"),
    ("km", "kilometer", "kilometers"),
    ("in", "inch", "inches"),
    ("ft", "foot", "feet"),
    ("yd", "yard", "yards"),
    ("mi", "mile", "miles"),
    ("m²", "square meter", "square meters"),
    ("km²", "square kilometer", "square kilometers"),
    ("sqft", "square foot", "square feet"),
    ("m³", "cubic meter", "cubic meters"),
    ("mg", "milligram", "milligrams"),
    ("g", "gram", "grams"),
    ("kg", "kilogram", "kilograms"),
    ("t", "ton", "tons"),
    ("oz", "ounce", "ounces"),
    ("lb", "pound", "pounds"),
    ("lbs", "pound", "pounds"),
    ("ml", "milliliter", "milliliters"),
    ("l", "liter", "liters"),
    ("L", "liter", "liters"),
    ("ms", "millisecond", "milliseconds"),
    ("s", "second", "seconds"),
    ("min", "minute", "minutes"),
    ("h", "hour", "hours"),
    ("km/h", "kilometer per hour", "kilometers per hour"),
    ("m/s", "meter per second", "meters per second"),
    ("mph", "mile per hour", "miles per hour"),
    ("Hz", "hertz", "hertz"),
    ("kHz", "kilohertz", "kilohertz"),
    ("MHz", "megahertz", "megahertz"),
    ("GHz", "gigahertz", "gigahertz"),
    ("KB", "kilobyte", "kilobytes"),
    ("MB", "megabyte", "megabytes"),
    ("GB", "gigabyte", "gigabytes"),
    ("TB", "terabyte", "terabytes"),
    ("V", "volt", "volts"),
    ("A", "ampere", "amperes"),
    ("W", "watt", "watts"),
    ("kW", "kilowatt", "kilowatts"),
    ("°", "degree", "degrees"),
    ("°C", "degree Celsius", "degrees Celsius"),
    ("°F", "degree Fahrenheit", "degrees Fahrenheit"),
];

/// "5 kg", "1 mi", "-2.5 °C".
pub(super) fn measure(text: &str) -> Option<String> {
    let end = text.rfind(|c: char| c.is_ascii_digit())? + 1;
    let (number, sign) = text.split_at_checked(end)?;
    let sign = sign.trim();
    let (_, one, many) = UNITS.iter().find(|(unit, _, _)| *unit == sign)?;
    let figure = figure(number, '.')?;
    let single = figure.whole == "1" && figure.decimals.is_empty();
    Some(format!("{} {}", figured(&figure), if single { one } else { many }))
}

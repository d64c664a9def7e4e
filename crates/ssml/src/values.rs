//! Values as SSML and the MRCPv2 headers write them. Each reader takes the session's own value and
//! the one in force, and gives the new one, or `None` for what cannot be read.

use std::time::Duration;

use crate::document::Pitch;

/// The slowest speech.
pub const RATE_MIN: f32 = 0.5;
/// The fastest speech.
pub const RATE_MAX: f32 = 2.0;
/// At or below this gain nothing is heard.
pub const SILENT_DB: f32 = -96.0;
/// The largest gain.
pub const VOLUME_MAX_DB: f32 = 12.0;
/// The longest time that is read; a longer one is cut to it.
pub const TIME_MAX: Duration = Duration::from_secs(24 * 3600);

/// Where two values for the same thing come from.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// The session's value: what `default` means.
    pub default: f32,
    /// The value in force: what relative changes start from.
    pub current: f32,
}

/// A time: `500ms`, `1.5s`, `.5 s`; a bare number is milliseconds.
pub fn time(text: &str) -> Option<Duration> {
    let text = text.trim().to_ascii_lowercase();
    let (digits, per_second) = match text.strip_suffix("ms") {
        Some(number) => (number, 1_000.0),
        None => match text.strip_suffix('s') {
            Some(number) => (number, 1.0),
            None => (text.as_str(), 1_000.0),
        },
    };
    let seconds = f64::from(number(digits.trim())?) / per_second;
    if seconds < 0.0 {
        return None;
    }
    Some(Duration::try_from_secs_f64(seconds).unwrap_or(TIME_MAX).min(TIME_MAX))
}

/// A rate: `slow`, `1.5`, `150%` (of the default), `+10%`, `-0.2` (from the one in force).
pub fn rate(text: &str, scale: Scale) -> Option<f32> {
    let text = text.trim();
    let factor = match text.to_ascii_lowercase().as_str() {
        "x-slow" => Some(0.5),
        "slow" => Some(0.75),
        "medium" | "default" => Some(1.0),
        "fast" => Some(1.3),
        "x-fast" => Some(1.7),
        _ => None,
    };
    let value = match (factor, percent(text)) {
        (Some(factor), _) => scale.default * factor,
        (None, Some(change)) if signed(text) => scale.current * (1.0 + change),
        (None, Some(share)) => scale.default * share,
        (None, None) if signed(text) => scale.current + number(text)?,
        (None, None) => scale.default * number(text)?,
    };
    (value > 0.0).then(|| value.clamp(RATE_MIN, RATE_MAX))
}

/// A volume as a gain in decibels: `loud`, `80` (of 100), `+6dB`, `-10`, `+20%`.
pub fn volume_db(text: &str, scale: Scale) -> Option<f32> {
    let text = text.trim();
    let lower = text.to_ascii_lowercase();
    let word = match lower.as_str() {
        "silent" => Some(SILENT_DB),
        "x-soft" => Some(-12.0),
        "soft" => Some(-6.0),
        "medium" => Some(0.0),
        "loud" => Some(3.0),
        "x-loud" => Some(6.0),
        "default" => Some(scale.default),
        _ => None,
    };
    let level = amplitude(scale.current);
    let value = if let Some(decibels) = word {
        decibels
    } else if let Some(change) = lower.strip_suffix("db") {
        if scale.current <= SILENT_DB { SILENT_DB } else { scale.current + number(change.trim())? }
    } else if let Some(change) = percent(text) {
        decibels(if signed(text) { level * (1.0 + change) } else { change })
    } else if signed(text) {
        decibels((level + number(text)? / 100.0).min(1.0_f32.max(level)))
    } else {
        let of_hundred = number(text)?;
        decibels(of_hundred.min(100.0) / 100.0)
    };
    Some(value.clamp(SILENT_DB, VOLUME_MAX_DB))
}

/// A pitch: `high`, `120Hz`, `+10%`, `+2st`, `-20Hz`.
///
/// A change in hertz of a voice whose pitch is not known is read as if that were 130 Hz.
pub fn pitch(text: &str, default: Pitch, current: Pitch) -> Option<Pitch> {
    const USUAL_HZ: f32 = 130.0;
    let text = text.trim();
    let lower = text.to_ascii_lowercase();
    let times = |pitch: Pitch, factor: f32| match pitch {
        Pitch::Times(times) => Pitch::Times(times * factor),
        Pitch::Hertz(hertz) => Pitch::Hertz(hertz * factor),
    };
    let word = match lower.as_str() {
        "x-low" => Some(0.6),
        "low" => Some(0.8),
        "medium" | "default" => Some(1.0),
        "high" => Some(1.25),
        "x-high" => Some(1.6),
        _ => None,
    };
    let pitch = if let Some(factor) = word {
        times(default, factor)
    } else if let Some(hertz) = lower.strip_suffix("hz") {
        let hertz = number(hertz.trim())?;
        match (signed(text), current) {
            (false, _) => Pitch::Hertz(hertz),
            (true, Pitch::Hertz(now)) => Pitch::Hertz(now + hertz),
            (true, Pitch::Times(now)) => Pitch::Times(now * (1.0 + hertz / USUAL_HZ)),
        }
    } else if let Some(semitones) = lower.strip_suffix("st") {
        times(current, (number(semitones.trim())? / 12.0).exp2())
    } else if let Some(change) = percent(text) {
        if signed(text) { times(current, 1.0 + change) } else { times(default, change) }
    } else {
        return None;
    };
    Some(match pitch {
        Pitch::Times(factor) if factor > 0.0 => Pitch::Times(factor.clamp(0.25, 4.0)),
        Pitch::Hertz(hertz) if hertz > 0.0 => Pitch::Hertz(hertz.clamp(40.0, 600.0)),
        Pitch::Times(_) | Pitch::Hertz(_) => return None,
    })
}

/// A pitch range as a factor: `low`, `+20%`, `150%`; hertz and semitones say nothing about a factor.
pub fn range(text: &str, scale: Scale) -> Option<f32> {
    let text = text.trim();
    let value = match text.to_ascii_lowercase().as_str() {
        "x-low" => scale.default * 0.3,
        "low" => scale.default * 0.6,
        "medium" | "default" => scale.default,
        "high" => scale.default * 1.5,
        "x-high" => scale.default * 2.0,
        _ => match percent(text)? {
            change if signed(text) => scale.current * (1.0 + change),
            share => scale.default * share,
        },
    };
    (value >= 0.0).then(|| value.min(2.0))
}

/// A level change in decibels, as `soundLevel` has it: `+6dB`, `-3.5dB`.
pub fn level_db(text: &str) -> Option<f32> {
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.strip_suffix("db").unwrap_or(&lower);
    Some(number(digits.trim())?.clamp(SILENT_DB, VOLUME_MAX_DB))
}

/// A factor as a percentage or a number, as `speed` has it: `150%`, `1.5`.
pub fn factor(text: &str) -> Option<f32> {
    let text = text.trim();
    let value = match percent(text) {
        Some(share) => share,
        None => number(text)?,
    };
    (value > 0.0).then_some(value)
}

/// A plain number that is finite.
pub fn number(text: &str) -> Option<f32> {
    // Rust's own reader would take "inf", "nan" and "1e9", which no SSML value is.
    let plain = text.chars().all(|c| c.is_ascii_digit() || matches!(c, '+' | '-' | '.'));
    if plain { text.parse::<f32>().ok().filter(|value| value.is_finite()) } else { None }
}

fn percent(text: &str) -> Option<f32> {
    Some(number(text.strip_suffix('%')?.trim())? / 100.0)
}

fn signed(text: &str) -> bool {
    text.starts_with(['+', '-'])
}

fn amplitude(decibels: f32) -> f32 {
    if decibels <= SILENT_DB { 0.0 } else { 10.0_f32.powf(decibels / 20.0) }
}

fn decibels(amplitude: f32) -> f32 {
    if amplitude <= 0.0 { SILENT_DB } else { (20.0 * amplitude.log10()).max(SILENT_DB) }
}

/// A gender as SSML and the `Voice-Gender` header write it.
pub fn gender(text: &str) -> Option<crate::document::Gender> {
    use crate::document::Gender;
    match text.trim().to_ascii_lowercase().as_str() {
        "male" => Some(Gender::Male),
        "female" => Some(Gender::Female),
        "neutral" => Some(Gender::Neutral),
        _ => None,
    }
}

use std::fmt;
use std::time::Duration;

use super::{Wrong, text};
use crate::words::words;

words! {
    /// A volume by name.
    VolumeName {
        /// Nothing is heard.
        Silent = "silent",
        /// Very soft.
        XSoft = "x-soft",
        /// Soft.
        Soft = "soft",
        /// In between.
        Medium = "medium",
        /// Loud.
        Loud = "loud",
        /// Very loud.
        XLoud = "x-loud",
        /// As if nothing were said.
        Default = "default",
    }
}

words! {
    /// A rate by name.
    RateName {
        /// Very slow.
        XSlow = "x-slow",
        /// Slow.
        Slow = "slow",
        /// In between.
        Medium = "medium",
        /// Fast.
        Fast = "fast",
        /// Very fast.
        XFast = "x-fast",
        /// As if nothing were said.
        Default = "default",
    }
}

words! {
    /// A pitch or its range by name.
    PitchName {
        /// Very low.
        XLow = "x-low",
        /// Low.
        Low = "low",
        /// In between.
        Medium = "medium",
        /// High.
        High = "high",
        /// Very high.
        XHigh = "x-high",
        /// As if nothing were said.
        Default = "default",
    }
}

words! {
    /// The attributes of SSML's prosody element. RFC 6787 §8.4.7.
    ProsodyParam {
        /// How high.
        Pitch = "Prosody-Pitch",
        /// The pitch's course.
        Contour = "Prosody-Contour",
        /// How much the pitch varies.
        Range = "Prosody-Range",
        /// How fast.
        Rate = "Prosody-Rate",
        /// How long it shall take.
        Duration = "Prosody-Duration",
        /// How loud.
        Volume = "Prosody-Volume",
    }
}

/// SSML's `volume`: of 1.0 (0 to 100) and of 1.1 (decibels). Written back as SSML has it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Volume {
    /// By name.
    Named(VolumeName),
    /// 0 to 100.
    Level(f32),
    /// Added to the level before.
    Change(f32),
    /// Percent louder or softer than before; -100 at least.
    PercentChange(f32),
    /// Added in decibels.
    Decibels(f32),
}

/// SSML's `rate`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rate {
    /// By name.
    Named(RateName),
    /// Times the default; above 0.
    Times(f32),
    /// Percent of the default, as SSML 1.1 has it without a sign; above 0.
    Percent(f32),
    /// Percent faster or slower; above -100.
    Change(f32),
}

/// SSML's `pitch` and `range`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pitch {
    /// By name.
    Named(PitchName),
    /// In hertz.
    Hertz(f32),
    /// Hertz higher or lower.
    HertzChange(f32),
    /// Percent higher or lower.
    PercentChange(f32),
    /// Semitones higher or lower.
    Semitones(f32),
}

/// The attributes of SSML's prosody element; what is not said is left to the default.
/// RFC 6787 §8.4.7.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prosody {
    /// How high.
    pub pitch: Option<Pitch>,
    /// The pitch's course: pairs of time and pitch, checked, as they were written.
    pub contour: Option<String>,
    /// How much the pitch varies.
    pub range: Option<Pitch>,
    /// How fast.
    pub rate: Option<Rate>,
    /// How long it shall take.
    pub duration: Option<Duration>,
    /// How loud.
    pub volume: Option<Volume>,
}

impl Prosody {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn set(&mut self, param: ProsodyParam, value: &str) -> Result<(), Wrong> {
        match param {
            ProsodyParam::Pitch => self.pitch = Some(Pitch::parse(value).ok_or(Wrong::Illegal)?),
            ProsodyParam::Range => self.range = Some(Pitch::parse(value).ok_or(Wrong::Illegal)?),
            ProsodyParam::Rate => self.rate = Some(Rate::parse(value).ok_or(Wrong::Illegal)?),
            ProsodyParam::Volume => {
                self.volume = Some(Volume::parse(value).ok_or(Wrong::Illegal)?);
            }
            ProsodyParam::Duration => {
                self.duration = Some(duration(value).ok_or(Wrong::Illegal)?);
            }
            ProsodyParam::Contour if is_contour(value) => self.contour = Some(text(value)?),
            ProsodyParam::Contour => return Err(Wrong::Illegal),
        }
        Ok(())
    }

    pub(super) fn value(&self, param: ProsodyParam) -> String {
        let value = match param {
            ProsodyParam::Pitch => self.pitch.map(|pitch| pitch.to_string()),
            ProsodyParam::Range => self.range.map(|range| range.to_string()),
            ProsodyParam::Rate => self.rate.map(|rate| rate.to_string()),
            ProsodyParam::Volume => self.volume.map(|volume| volume.to_string()),
            ProsodyParam::Duration => self.duration.map(|span| format!("{}ms", span.as_millis())),
            ProsodyParam::Contour => self.contour.clone(),
        };
        value.unwrap_or_default()
    }
}

impl Volume {
    /// Reads the attribute's value.
    pub fn parse(value: &str) -> Option<Self> {
        if let Some(name) = VolumeName::parse(value) {
            return Some(Self::Named(name));
        }
        if let Some(decibels) = strip_unit(value, "dB") {
            return change(decibels).map(Self::Decibels);
        }
        if let Some(percent) = value.strip_suffix('%') {
            let change = change(percent).filter(|change| *change >= -100.0);
            return change.map(Self::PercentChange);
        }
        match change(value) {
            Some(change) => Some(Self::Change(change)),
            None => number(value).filter(|level| *level <= 100.0).map(Self::Level),
        }
    }
}

impl Rate {
    /// Reads the attribute's value.
    pub fn parse(value: &str) -> Option<Self> {
        if let Some(name) = RateName::parse(value) {
            return Some(Self::Named(name));
        }
        let positive = |number: &f32| *number > 0.0;
        let Some(percent) = value.strip_suffix('%') else {
            return number(value).filter(positive).map(Self::Times);
        };
        match change(percent) {
            Some(change) => (change > -100.0).then_some(Self::Change(change)),
            None => number(percent).filter(positive).map(Self::Percent),
        }
    }
}

impl Pitch {
    /// Reads the attribute's value.
    pub fn parse(value: &str) -> Option<Self> {
        if let Some(name) = PitchName::parse(value) {
            return Some(Self::Named(name));
        }
        if let Some(hertz) = strip_unit(value, "Hz") {
            return match change(hertz) {
                Some(change) => Some(Self::HertzChange(change)),
                None => number(hertz).map(Self::Hertz),
            };
        }
        match strip_unit(value, "st") {
            Some(semitones) => change(semitones).map(Self::Semitones),
            None => value.strip_suffix('%').and_then(change).map(Self::PercentChange),
        }
    }
}

impl fmt::Display for Volume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => name.fmt(f),
            Self::Level(level) => write!(f, "{level}"),
            Self::Change(change) => write!(f, "{change:+}"),
            Self::PercentChange(change) => write!(f, "{change:+}%"),
            Self::Decibels(decibels) => write!(f, "{decibels:+}dB"),
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => name.fmt(f),
            Self::Times(times) => write!(f, "{times}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
            Self::Change(change) => write!(f, "{change:+}%"),
        }
    }
}

impl fmt::Display for Pitch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => name.fmt(f),
            Self::Hertz(hertz) => write!(f, "{hertz}Hz"),
            Self::HertzChange(change) => write!(f, "{change:+}Hz"),
            Self::PercentChange(change) => write!(f, "{change:+}%"),
            Self::Semitones(change) => write!(f, "{change:+}st"),
        }
    }
}

/// Digits with at most one point: no sign, no exponent, not "inf".
fn number(text: &str) -> Option<f32> {
    let plain = text.bytes().any(|byte| byte.is_ascii_digit())
        && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    plain.then(|| text.parse::<f32>().ok())?.filter(|number| number.is_finite())
}

/// A number with its sign.
fn change(text: &str) -> Option<f32> {
    match text.split_at_checked(1)? {
        ("+", rest) => number(rest),
        ("-", rest) => number(rest).map(|number| -number),
        _ => None,
    }
}

fn strip_unit<'a>(text: &'a str, unit: &str) -> Option<&'a str> {
    let (number, found) = text.split_at_checked(text.len().checked_sub(unit.len())?)?;
    found.eq_ignore_ascii_case(unit).then_some(number)
}

/// A time as CSS2 has it: `250ms`, `1.5s`; a day at most.
fn duration(text: &str) -> Option<Duration> {
    const DAY_S: f32 = 86_400.0;
    let (count, unit) = match strip_unit(text, "ms") {
        Some(count) => (count, 0.001),
        None => (strip_unit(text, "s")?, 1.0),
    };
    let seconds = number(count)? * unit;
    (seconds <= DAY_S).then(|| Duration::try_from_secs_f32(seconds).ok())?
}

/// `(time%,target)` pairs with blanks between; a target is what `pitch` takes.
fn is_contour(text: &str) -> bool {
    let pair = |item: &str| {
        let inner = item.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
        let Some((time, target)) = inner.and_then(|inner| inner.split_once(',')) else {
            return false;
        };
        let percent = time.trim().strip_suffix('%').map(|time| time.trim_start_matches('+'));
        percent.is_some_and(|time| number(time).is_some()) && Pitch::parse(target.trim()).is_some()
    };
    let joined = text.replace(", ", ",");
    let mut pairs = joined.split_ascii_whitespace().peekable();
    pairs.peek().is_some() && pairs.all(pair)
}

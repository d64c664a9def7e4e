//! The languages that we have words for, a file each.

mod de;
mod en;
mod es;
mod fr;
mod it;
mod nl;
mod pl;
mod pt;
mod sv;

use super::tongue::Tongue;

const ALL: [&Tongue; 9] = [
    &en::ENGLISH,
    &de::GERMAN,
    &es::SPANISH,
    &fr::FRENCH,
    &it::ITALIAN,
    &nl::DUTCH,
    &pl::POLISH,
    &pt::PORTUGUESE,
    &sv::SWEDISH,
];

/// Where Spanish has a decimal point instead of a comma.
const POINT: [&str; 10] = ["419", "DO", "GT", "HN", "MX", "NI", "PA", "PR", "SV", "US"];

/// The language of a tag, whatever its region.
pub(super) fn of(tag: &str) -> Option<&'static Tongue> {
    let primary = tag.split(['-', '_']).next()?;
    ALL.into_iter().find(|tongue| tongue.tag.eq_ignore_ascii_case(primary))
}

/// What divides a number from its decimals in this language and region.
pub(super) fn decimal(tongue: &Tongue, tag: &str) -> char {
    let mut subtags = tag.split(['-', '_']).skip(1);
    let pointed =
        tongue.tag == "es" && subtags.any(|tag| POINT.iter().any(|p| p.eq_ignore_ascii_case(tag)));
    if pointed { '.' } else { tongue.decimal }
}

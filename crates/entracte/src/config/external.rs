//! `external_audio`: the live sources.

use std::path::PathBuf;
use std::time::Duration;

use super::fault::Wrong;
use super::plan::{ExternalAudio, Location, Order, SourcePlan, Start};
use super::read::{absolute, host, percent_decoded, seconds};
use super::reader::{Placed, Section};

const SOURCE_KEYS: [&str; 10] = [
    "name",
    "uri",
    "device",
    "gain_db",
    "fallback",
    "start",
    "linger",
    "loudness",
    "silence_after",
    "order",
];

pub(super) fn external_audio(section: &Section<'_>) -> ExternalAudio {
    let mut names: Vec<Placed<String>> = Vec::new();
    let mut sources = Vec::new();
    for entry in section.sections("sources", &SOURCE_KEYS) {
        let name = source_name(&entry, &mut names);
        let location = location(&entry);
        let gain_db = entry.number("gain_db", 0.0, -60.0..=20.0);
        let fallback = existing(&entry, "fallback");
        let starts = [("always", Start::Always), ("on-demand", Start::OnDemand)];
        let start = entry.choice("start", Start::Always, &starts);
        let linger = entry.parsed("linger", "a time of a day at most, as \"30s\" or \"5m\"", span);
        let loudness = entry.parsed("loudness", LOUDNESS, loudness);
        let silence_after = entry.parsed("silence_after", SILENCE, silence_span);
        let orders = [("sorted", Order::Sorted), ("shuffled", Order::Shuffled)];
        let order = entry.choice("order", Order::Sorted, &orders);
        if let (Some(name), Some(location)) = (name, location) {
            sources.push(SourcePlan {
                name,
                location,
                gain_db,
                fallback,
                start,
                linger: linger.unwrap_or(LINGER),
                loudness_lufs: loudness.flatten(),
                silence_after: silence_after.flatten(),
                order,
            });
        }
    }
    let fallback = existing(section, "fallback");
    ExternalAudio {
        enabled: section.flag("enabled", true),
        fallback,
        stall: seconds(section, "stall_seconds", 5.0, 0.5..=120.0),
        sound_server: section.text("sound_server").map(|text| text.value).filter(|t| !t.is_empty()),
        sources,
    }
}

/// What these keys take, for whoever wrote something else.
const LOUDNESS: &str = "\"off\", or -40 to -10 LUFS, as \"-20 LUFS\"";
const SILENCE: &str = "\"off\", or a time from 1 s to a day, as \"10s\" or \"2m\"";
/// How long a source on demand goes on without a listener, when nothing else is said.
const LINGER: Duration = Duration::from_secs(30);
/// A shorter silence is a pause.
const SILENCE_MIN: Duration = Duration::from_secs(1);
/// The longest time that makes sense here: a day.
const SPAN_MAX: Duration = Duration::from_secs(86_400);

/// A time with its unit: `500ms`, `10s`, `2m`, `1h`; a day at most.
pub(super) fn span(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (count, unit) = text.split_at_checked(digits)?;
    let count: u64 = count.parse().ok()?;
    let millis = match unit.trim() {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    let span = Duration::from_millis(count.checked_mul(millis)?);
    (span <= SPAN_MAX).then_some(span)
}

fn silence_span(text: &str) -> Option<Option<Duration>> {
    match text {
        "off" => Some(None),
        text => span(text).filter(|span| *span >= SILENCE_MIN).map(Some),
    }
}

/// `-20 LUFS`, or `off`.
fn loudness(text: &str) -> Option<Option<f64>> {
    if text == "off" {
        return Some(None);
    }
    let lufs: f64 = text.strip_suffix("LUFS")?.trim().parse().ok()?;
    (-40.0..=-10.0).contains(&lufs).then_some(Some(lufs))
}

/// A file that should be there.
pub(super) fn existing(section: &Section<'_>, key: &str) -> Option<PathBuf> {
    let path = absolute(section, key)?;
    if path.is_dir() {
        let allowed = "a file by its absolute path";
        section.fault(
            key,
            Wrong::NotAllowed(format!("{:?}", path.display().to_string())),
            Some(allowed),
        );
    } else if !path.exists() {
        section.note(key, Wrong::NotThere(path.display().to_string()));
    }
    Some(path)
}

/// The longest name of a source, in characters.
const SOURCE_NAME_MAX: usize = 128;

fn source_name(entry: &Section<'_>, names: &mut Vec<Placed<String>>) -> Option<String> {
    let name = entry.required("name")?;
    let text = &name.value;
    let fits = !text.is_empty() && text.chars().count() <= SOURCE_NAME_MAX;
    if !fits || text.trim() != text || text.chars().any(char::is_control) {
        let allowed = "1 to 128 characters, none of them a control character, no space at the ends";
        entry.fault("name", Wrong::NotAllowed(format!("{text:?}")), Some(allowed));
        return None;
    }
    let folded = text.to_lowercase();
    if let Some(first) = names.iter().find(|each| each.value.to_lowercase() == folded) {
        let allowed = "names that differ even when upper and lower case do not count";
        let wrong = Wrong::Taken { name: first.value.clone(), first: first.place.clone() };
        entry.fault("name", wrong, Some(allowed));
    }
    names.push(name.clone());
    Some(name.value)
}

fn location(entry: &Section<'_>) -> Option<Location> {
    if let Some(device) = entry.text("device") {
        if entry.text("uri").is_some() {
            entry.fault("device", Wrong::Beside("uri"), None);
            return None;
        }
        return device_location(entry, device.value);
    }
    let uri = entry.required("uri")?;
    let location = read_location(&uri.value);
    match &location {
        None => {
            let allowed = "file:/absolute/path (a file or a folder), http://host/path, \
                           https://host/path, rtp://address:port";
            let shown = without_password(&uri.value);
            entry.fault("uri", Wrong::NotAllowed(format!("{shown:?}")), Some(allowed));
        }
        Some(Location::Path(path)) if !path.exists() => {
            entry.note("uri", Wrong::NotThere(path.display().to_string()));
        }
        Some(Location::Path(_) | Location::Stream(_) | Location::Device(_)) => {}
    }
    location
}

fn device_location(entry: &Section<'_>, name: String) -> Option<Location> {
    if sources::is_device_name(&name) {
        return Some(Location::Device(name));
    }
    let allowed = "the name of a device as \"entracte sources devices\" lists them";
    entry.fault("device", Wrong::NotAllowed(format!("{name:?}")), Some(allowed));
    None
}

pub(super) fn read_location(uri: &str) -> Option<Location> {
    let (scheme, rest) = uri.split_once(':')?;
    match scheme.to_ascii_lowercase().as_str() {
        "http" | "https" => {
            let server = rest.strip_prefix("//")?.split(['/', '?', '#']).next()?;
            let server = server.rsplit('@').next()?;
            let (name, port) = match server.rsplit_once(':') {
                Some((name, port)) if !port.ends_with(']') => (name, port),
                _ => (server, "80"),
            };
            let clean = !uri.chars().any(|c| c.is_whitespace() || c.is_control());
            let fits = clean && host(name).is_some() && port.parse::<u16>().is_ok();
            fits.then(|| Location::Stream(uri.to_owned()))
        }
        "rtp" => {
            let kind = sources::SourceKind::parse(uri).ok()?;
            matches!(kind, sources::SourceKind::Rtp(_)).then(|| Location::Stream(uri.to_owned()))
        }
        "file" => {
            let path = match rest.strip_prefix("//") {
                Some(rest) => rest.strip_prefix("localhost").unwrap_or(rest),
                None => rest,
            };
            let path = percent_decoded(path)?;
            (path.starts_with('/') && !path.contains('\0')).then(|| Location::Path(path.into()))
        }
        _ => None,
    }
}

/// A URI as it may be shown.
pub(super) fn without_password(uri: &str) -> String {
    match (uri.find("//"), uri.rfind('@')) {
        (Some(from), Some(to)) if from < to => {
            let (start, end) = (uri.get(..from).unwrap_or(""), uri.get(to..).unwrap_or(""));
            format!("{start}//…{end}")
        }
        _ => uri.to_owned(),
    }
}

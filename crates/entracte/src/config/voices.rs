//! `text_to_speech`: who speaks.

use std::path::PathBuf;
use std::time::Duration;

use super::external::{existing, read_location, span, without_password};
use super::fault::Wrong;
use super::nearest::nearest;
use super::plan::{BuiltIn, Location, ProviderForm, ProviderPlan, TextToSpeech, VoicePlan};
use super::reader::{Placed, Section};

const PROVIDER_KEYS: [&str; 19] = [
    "name",
    "form",
    "tags",
    "uri",
    "key_file",
    "model",
    "format",
    "pcm_hz",
    "program",
    "arguments",
    "raw_hz",
    "processes",
    "first_audio",
    "stall",
    "voices",
    "voices[].id",
    "voices[].language",
    "voices[].gender",
    "voices[].age",
];
const VOICE_KEYS: [&str; 4] = ["id", "language", "gender", "age"];

/// The longest name of a provider or a voice, in characters.
const NAME_MAX: usize = 128;
/// The most providers that may be listed, so that the built-in ones have room behind them.
const PROVIDERS_MAX: usize = speech::PROVIDERS_MAX - 2;
/// Rates of samples that can be converted.
const RATES: std::ops::RangeInclusive<u32> = 8_000..=192_000;

pub(super) fn text_to_speech(section: &Section<'_>) -> TextToSpeech {
    TextToSpeech {
        enabled: section.flag("enabled", true),
        default_voice: section
            .parsed("default_voice", "the name of a voice, or a language", |text| {
                (!text.trim().is_empty()).then(|| text.to_owned())
            })
            .unwrap_or_else(|| "en-us".to_owned()),
        default_rate: section.number("default_rate", 1.0, 0.5..=2.0),
        built_in: built_in(section),
        helpers: section.integer("helpers", 4, 1..=speech::HELPERS_MAX),
        helper_path: existing(section, "helper_path"),
        cache_bytes_max: section.integer("cache_bytes_max", 268_435_456, 0..=1_099_511_627_776),
        providers: providers(section),
    }
}

/// In the order in which they stand, which is the order in which they are asked.
fn built_in(section: &Section<'_>) -> Vec<BuiltIn> {
    const ALLOWED: &str = "flite, espeak; or [] for none";
    let Some(texts) = section.texts("built_in") else {
        return vec![BuiltIn::Flite, BuiltIn::Espeak];
    };
    let mut found = Vec::new();
    for text in texts {
        let engine = match text.value.to_ascii_lowercase().as_str() {
            "flite" => BuiltIn::Flite,
            "espeak" => BuiltIn::Espeak,
            _ => {
                let wrong = Wrong::NotAllowed(format!("{:?}", text.value));
                section.fault_at(text.place, text.key, wrong, Some(ALLOWED));
                continue;
            }
        };
        if !found.contains(&engine) {
            found.push(engine);
        }
    }
    found
}

fn providers(section: &Section<'_>) -> Vec<ProviderPlan> {
    let mut names: Vec<Placed<String>> = Vec::new();
    let mut providers = Vec::new();
    for entry in section.sections("providers", &PROVIDER_KEYS) {
        let name = name(&entry, &mut names);
        let tags = tags(&entry);
        let form = form(&entry);
        let voices = voices(&entry);
        let allowed = "a time from 100 ms to a minute, as \"2s\" or \"500ms\"";
        let wait = |key: &str, default: Duration| {
            let fits = Duration::from_millis(100)..=Duration::from_secs(60);
            let read = |text: &str| span(text).filter(|span| fits.contains(span));
            entry.parsed(key, allowed, read).unwrap_or(default)
        };
        let (first_audio, stall) =
            (wait("first_audio", Duration::from_secs(2)), wait("stall", Duration::from_secs(3)));
        if let (Some(name), Some(form)) = (name, form) {
            providers.push(ProviderPlan { name, tags, form, voices, first_audio, stall });
        }
    }
    for provider in &providers {
        let other = |tag: &&String| {
            providers
                .iter()
                .any(|other| other.name != provider.name && other.name.eq_ignore_ascii_case(tag))
        };
        if let Some(tag) = provider.tags.iter().find(other) {
            let wrong = Wrong::NotAllowed(format!("the tag {tag:?}"));
            section.fault("providers", wrong, Some("tags that are no other provider's name"));
        }
    }
    if providers.len() > PROVIDERS_MAX {
        let wrong = Wrong::NotAllowed(format!("{} providers", providers.len()));
        section.fault("providers", wrong, Some(&format!("at most {PROVIDERS_MAX}")));
        providers.truncate(PROVIDERS_MAX);
    }
    providers
}

fn name(entry: &Section<'_>, names: &mut Vec<Placed<String>>) -> Option<String> {
    let name = entry.required("name")?;
    let text = &name.value;
    let fits = !text.is_empty() && text.chars().count() <= NAME_MAX;
    let odd = |letter: char| letter.is_control() || letter.is_whitespace() || letter == '/';
    if !fits || text.chars().any(odd) || is_reserved(text) {
        let allowed = "1 to 128 characters without spaces or \"/\"; not flite or espeak";
        entry.fault("name", Wrong::NotAllowed(format!("{text:?}")), Some(allowed));
        return None;
    }
    if let Some(first) = names.iter().find(|each| each.value.eq_ignore_ascii_case(text)) {
        let wrong = Wrong::Taken { name: first.value.clone(), first: first.place.clone() };
        entry.fault("name", wrong, Some("names that differ"));
    }
    names.push(name.clone());
    Some(name.value)
}

fn tags(entry: &Section<'_>) -> Vec<String> {
    let texts = entry.texts("tags").unwrap_or_default();
    let mut tags = Vec::new();
    for Placed { value, place, key } in texts {
        let odd = |letter: char| letter.is_control() || letter.is_whitespace() || letter == '/';
        if value.is_empty() || value.contains(odd) || is_reserved(&value) {
            let wrong = Wrong::NotAllowed(format!("{value:?}"));
            let allowed = "words without spaces or \"/\"; not flite or espeak";
            entry.fault_at(place, key, wrong, Some(allowed));
            continue;
        }
        tags.push(value);
    }
    tags
}

#[derive(Clone, Copy)]
enum FormName {
    OpenAi,
    Piper,
    Command,
}

impl FormName {
    /// The keys that mean something to other forms only.
    const fn of_others(self) -> &'static [&'static str] {
        match self {
            Self::OpenAi => &["program", "arguments", "raw_hz", "processes"],
            Self::Piper => {
                &["model", "format", "pcm_hz", "program", "arguments", "raw_hz", "processes"]
            }
            Self::Command => &["uri", "key_file", "model", "format", "pcm_hz"],
        }
    }
}

/// What stands in braces in a program's argument, a shell's variables apart.
fn placeholders(argument: &str) -> impl Iterator<Item = &str> {
    let mut before = argument.split('{');
    let mut last = before.next().unwrap_or_default();
    before.filter_map(move |rest| {
        let shell = std::mem::replace(&mut last, rest).ends_with('$');
        rest.split_once('}').map(|(word, _)| word).filter(|_| !shell)
    })
}

fn arguments(entry: &Section<'_>) -> Vec<String> {
    let known = ["voice", "language", "wav"].map(str::to_owned).into_iter().collect();
    let mut arguments = Vec::new();
    for Placed { value, place, key } in entry.texts("arguments").unwrap_or_default() {
        // Other braces are the program's own.
        let slip = |word: &&str| {
            nearest(word, &known).is_some_and(|meant| meant != **word) && !known.contains(*word)
        };
        if let Some(unknown) = placeholders(&value).find(slip) {
            let wrong = Wrong::NotAllowed(format!("{{{unknown}}}"));
            entry.fault_at(place, key, wrong, Some("{voice}, {language}, {wav}"));
        }
        arguments.push(value);
    }
    arguments
}

/// A program that should be there: by its path, or in `PATH`.
fn program(entry: &Section<'_>) -> Option<PathBuf> {
    let text = entry.required("program")?.value;
    let path = PathBuf::from(&text);
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let named = !text.contains('/')
        && std::env::split_paths(&folders).any(|folder| folder.join(&path).is_file());
    if text.is_empty() {
        entry.fault("program", Wrong::Empty, Some("a path, or the name of a program"));
        return None;
    }
    if !named && !path.is_file() {
        entry.note("program", Wrong::NotThere(text));
    }
    Some(path)
}

fn form(entry: &Section<'_>) -> Option<ProviderForm> {
    const FORMS: [(&str, FormName); 3] =
        [("openai", FormName::OpenAi), ("piper", FormName::Piper), ("command", FormName::Command)];
    entry.required("form")?;
    let form = entry.choice("form", FormName::OpenAi, &FORMS);
    for key in form.of_others() {
        if entry.is_set(key) {
            entry.fault(key, Wrong::OtherForm, None);
        }
    }
    match form {
        FormName::OpenAi => Some(ProviderForm::OpenAi {
            key_file: existing(entry, "key_file"),
            uri: uri(entry)?,
            model: entry.text("model").map_or_else(|| "tts-1".to_owned(), |text| text.value),
            format: entry
                .choice(
                    "format",
                    "pcm",
                    &["pcm", "wav", "mp3", "flac", "opus", "aac"].map(|f| (f, f)),
                )
                .to_owned(),
            pcm_hz: entry.integer("pcm_hz", 24_000, RATES),
        }),
        FormName::Piper => {
            Some(ProviderForm::Piper { key_file: existing(entry, "key_file"), uri: uri(entry)? })
        }
        FormName::Command => {
            let arguments = arguments(entry);
            let raw_hz = entry.integer("raw_hz", 0, 0..=*RATES.end());
            if raw_hz > 0 && !RATES.contains(&raw_hz) {
                let allowed = "0 for a file with a header, or 8000 to 192000";
                entry.fault("raw_hz", Wrong::NotAllowed(raw_hz.to_string()), Some(allowed));
            }
            Some(ProviderForm::Command {
                program: program(entry)?,
                arguments,
                raw_hz: Some(raw_hz).filter(|rate| *rate > 0),
                processes: entry.integer("processes", 4, 1..=256),
            })
        }
    }
}

fn uri(entry: &Section<'_>) -> Option<String> {
    let uri = entry.required("uri")?.value;
    if matches!(read_location(&uri), Some(Location::Stream(_))) && !uri.starts_with("rtp") {
        return Some(uri);
    }
    let shown = without_password(&uri);
    let allowed = "http://host/path or https://host/path";
    entry.fault("uri", Wrong::NotAllowed(format!("{shown:?}")), Some(allowed));
    None
}

fn voices(entry: &Section<'_>) -> Vec<VoicePlan> {
    const GENDERS: [(&str, Option<ssml::Gender>); 3] = [
        ("female", Some(ssml::Gender::Female)),
        ("male", Some(ssml::Gender::Male)),
        ("neutral", Some(ssml::Gender::Neutral)),
    ];
    let mut voices: Vec<VoicePlan> = Vec::new();
    let sections = entry.sections("voices", &VOICE_KEYS);
    if sections.is_empty() {
        entry.missing("voices", Some("[{ id = \"…\", language = \"en-US\" }, …]"));
    }
    for voice in sections {
        let id = voice.required("id");
        let languages = voice.texts("language");
        if languages.as_ref().is_none_or(Vec::is_empty) {
            voice.missing("language", Some("a language, as \"en-US\", or several"));
        }
        for language in languages.iter().flatten().filter(|language| !is_tag(&language.value)) {
            let wrong = Wrong::NotAllowed(format!("{:?}", language.value));
            let (place, key) = (language.place.clone(), language.key.clone());
            voice.fault_at(place, key, wrong, Some("a language tag, as \"en-US\""));
        }
        if let Some(id) = &id {
            let twice = voices.iter().any(|other| other.id.eq_ignore_ascii_case(&id.value));
            if id.value.trim().is_empty() || twice {
                let wrong = Wrong::NotAllowed(format!("{:?}", id.value));
                voice.fault("id", wrong, Some("what the provider calls it, once each"));
            }
        }
        let gender = voice.choice("gender", None, &GENDERS);
        let age = voice.integer("age", 0, 0..=120);
        if let (Some(id), Some(languages)) = (id, languages) {
            let age = u8::try_from(age).ok().filter(|age| *age > 0);
            let languages = languages.into_iter().map(|language| language.value).collect();
            voices.push(VoicePlan { id: id.value, languages, gender, age });
        }
    }
    voices
}

/// Whether it has the form of a language tag. RFC 5646 §2.1.
fn is_tag(text: &str) -> bool {
    let fits = |part: &str| {
        (1..=8).contains(&part.len()) && part.chars().all(|letter| letter.is_ascii_alphanumeric())
    };
    let first = text.split('-').next().unwrap_or_default();
    first.len() >= 2 && first.chars().all(|c| c.is_ascii_alphabetic()) && text.split('-').all(fits)
}

/// Whether it is the name of a provider that is built in.
fn is_reserved(name: &str) -> bool {
    ["flite", "espeak"].iter().any(|own| name.eq_ignore_ascii_case(own))
}

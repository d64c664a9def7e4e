//! Which voice speaks. A pure choice from the helper's list.

use ssml::{Gender, Style};

use crate::speech::SpeechError;

/// A voice, or a variant of all voices.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct VoiceInfo {
    /// What names it: `en-us`; a variant's stands behind a voice's: `en-us+f3`.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// The languages it speaks, its own first; none for a variant.
    pub languages: Vec<String>,
    /// Its gender.
    pub gender: Option<Gender>,
    /// Its age in years.
    pub age: Option<u8>,
    /// Whether it only changes another voice.
    pub variant: bool,
    /// How well it speaks each of its languages: the lowest is the best.
    pub(crate) priorities: Vec<u8>,
}

/// A voice that was chosen.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Choice {
    /// The voice's id, with a variant's after `+` if any.
    pub voice: String,
    /// The gender of what will be heard.
    pub gender: Option<Gender>,
    /// What was wanted and is not there.
    pub note: Option<String>,
}

/// Languages that voices list under another tag.
const ALIASES: [(&str, &str); 5] =
    [("zh", "cmn"), ("no", "nb"), ("iw", "he"), ("in", "id"), ("mo", "ro")];
/// The variants that sound like people, the best first.
const FEMALE: [&str; 5] = ["f2", "f3", "f4", "f5", "f1"];
/// For a man's voice the voice itself comes first.
const MALE: [&str; 8] = ["", "m3", "m2", "m4", "m5", "m6", "m7", "m1"];
/// From this age on a voice is an old one.
const OLD_YEARS: u8 = 65;

/// The helper's voices, and the default.
#[derive(Debug)]
pub(crate) struct Voices {
    all: Vec<VoiceInfo>,
    default: Found,
    default_language: String,
}

/// A voice by its place in the list, and a variant's id or nothing.
#[derive(Clone, Debug)]
struct Found {
    voice: usize,
    variant: String,
}

impl Voices {
    pub(crate) fn new(all: Vec<VoiceInfo>, default: &str) -> Result<Self, SpeechError> {
        let mut voices = Self {
            all,
            default: Found { voice: 0, variant: String::new() },
            default_language: String::new(),
        };
        voices.default = voices
            .named(default)
            .or_else(|| {
                let voice = voices.speaking(default)?;
                Some(Found { voice, variant: String::new() })
            })
            .ok_or_else(|| SpeechError::DefaultVoice(default.to_owned()))?;
        voices.default_language = voices
            .all
            .get(voices.default.voice)
            .and_then(|voice| voice.languages.first().cloned())
            .unwrap_or_default();
        Ok(voices)
    }

    pub(crate) fn all(&self) -> &[VoiceInfo] {
        &self.all
    }

    pub(crate) fn default_language(&self) -> &str {
        &self.default_language
    }

    pub(crate) fn choose(&self, style: &Style) -> Result<Choice, SpeechError> {
        let wanted = &style.voice;
        let mut note = None;
        for name in &wanted.names {
            if let Some(found) = self.named(name) {
                return Ok(self.choice(&found, note));
            }
            // "f3" or "Annie": how the voice sounds, in whatever language.
            if let Some(variant) = self.variant(name) {
                let voice = self.for_language(style)?;
                return Ok(self.choice(&Found { voice, variant: variant.id.clone() }, note));
            }
            note.get_or_insert_with(|| format!("there is no voice {name:?}"));
        }
        let voice = self.for_language(style)?;
        let asks_nothing =
            wanted.gender.is_none() && wanted.age.is_none() && wanted.variant.is_none();
        let variant = if asks_nothing && voice == self.default.voice {
            self.default.variant.clone()
        } else {
            self.like(style, voice, &mut note)
        };
        Ok(self.choice(&Found { voice, variant }, note))
    }

    fn choice(&self, found: &Found, note: Option<String>) -> Choice {
        let voice = self.all.get(found.voice);
        let id = voice.map(|voice| voice.id.as_str()).unwrap_or_default();
        let variant = self.variant(&found.variant);
        let gender = variant.or(voice).and_then(|voice| voice.gender);
        let voice = match variant {
            Some(variant) => format!("{id}+{}", variant.id),
            None => id.to_owned(),
        };
        Choice { voice, gender, note }
    }

    /// By id, name, or the two with a variant behind `+`.
    fn named(&self, name: &str) -> Option<Found> {
        let (base, variant) = name.split_once('+').unwrap_or((name, ""));
        let base = base.trim().replace('_', "-");
        let voice = self.all.iter().position(|voice| {
            !voice.variant
                && (voice.id.eq_ignore_ascii_case(&base) || voice.name.eq_ignore_ascii_case(&base))
        })?;
        let variant = match variant.trim() {
            "" => String::new(),
            id => self.variant(id)?.id.clone(),
        };
        Some(Found { voice, variant })
    }

    fn variant(&self, name: &str) -> Option<&VoiceInfo> {
        self.all.iter().find(|voice| {
            voice.variant
                && (voice.id.eq_ignore_ascii_case(name) || voice.name.eq_ignore_ascii_case(name))
        })
    }

    /// The voice for the languages the style wants, in their order.
    fn for_language(&self, style: &Style) -> Result<usize, SpeechError> {
        let languages = &style.voice.languages;
        let languages = if languages.is_empty() {
            std::slice::from_ref(&style.language)
        } else {
            languages.as_slice()
        };
        languages
            .iter()
            .find_map(|tag| self.speaking(tag))
            .ok_or_else(|| SpeechError::Language(languages.join(" ")))
    }

    /// RFC 4647 §3.4 lookup: the whole tag, then with its last part cut off, and so on. At the bare
    /// language any of its dialects will do. An empty tag is the default voice's language.
    fn speaking(&self, tag: &str) -> Option<usize> {
        let mut range = tag.trim().replace('_', "-").to_ascii_lowercase();
        if range.is_empty() {
            return Some(self.default.voice);
        }
        for (alias, language) in ALIASES {
            if let Some(rest) = range.strip_prefix(alias)
                && (rest.is_empty() || rest.starts_with('-'))
                && self.exact(&range).is_none()
            {
                range = format!("{language}{rest}");
                break;
            }
        }
        loop {
            if let Some(voice) = self.exact(&range) {
                return Some(voice);
            }
            let Some((shorter, _)) = range.rsplit_once('-') else { break };
            // RFC 4647 §3.4: a single letter goes with what followed it.
            let shorter = match shorter.rsplit_once('-') {
                Some((rest, single)) if single.len() == 1 => rest,
                Some(_) | None => shorter,
            };
            range = shorter.to_owned();
        }
        self.best(|language| {
            language.split('-').next().is_some_and(|first| first.eq_ignore_ascii_case(&range))
        })
    }

    fn exact(&self, tag: &str) -> Option<usize> {
        let own = |voice: usize| {
            let voice = self.all.get(voice)?;
            let dialect = |language: &String| {
                let language = language.to_ascii_lowercase();
                // "en" is spoken by the default voice "en-us" too.
                !tag.contains('-') && language.split('-').next() == Some(tag)
            };
            voice.languages.iter().any(dialect).then_some(())
        };
        if own(self.default.voice).is_some() {
            return Some(self.default.voice);
        }
        self.best(|language| language.eq_ignore_ascii_case(tag))
    }

    /// The default voice if it speaks such a language, or else the one with the lowest priority number
    /// for it.
    fn best(&self, speaks: impl Fn(&str) -> bool) -> Option<usize> {
        self.all
            .iter()
            .enumerate()
            .filter_map(|(place, voice)| {
                let languages = voice.languages.iter().zip(&voice.priorities).enumerate();
                let spoken = languages.filter(|(_, (language, _))| speaks(language));
                // Of two that are as good, the one whose language it is before others.
                let best = spoken.map(|(rank, (_, priority))| (*priority, rank)).min()?;
                Some((place != self.default.voice, best, place))
            })
            .min()
            .map(|(_, _, place)| place)
    }

    /// The variant that makes `voice` sound as the style wants.
    fn like(&self, style: &Style, voice: usize, note: &mut Option<String>) -> String {
        let wanted = &style.voice;
        let own = self.all.get(voice).and_then(|voice| voice.gender);
        let old = wanted.age.is_some_and(|age| age >= OLD_YEARS);
        let list: Vec<&str> = match wanted.gender.or(own) {
            Some(Gender::Female) if own == Some(Gender::Female) => {
                [""].into_iter().chain(FEMALE).collect()
            }
            Some(Gender::Female) if old => vec!["f1"],
            Some(Gender::Female) => FEMALE.to_vec(),
            Some(Gender::Male) if old => vec!["m1"],
            Some(Gender::Male | Gender::Neutral) | None => MALE.to_vec(),
        };
        let known: Vec<&str> = list
            .into_iter()
            .filter(|variant| variant.is_empty() || self.variant(variant).is_some())
            .collect();
        let number = wanted.variant.unwrap_or(1).max(1) - 1;
        let found = usize::try_from(number).ok().and_then(|number| known.get(number));
        match found.or_else(|| known.first()) {
            Some(variant) => {
                if found.is_none() {
                    note.get_or_insert_with(|| format!("there is no variant {}", number + 1));
                }
                (*variant).to_owned()
            }
            None => {
                note.get_or_insert_with(|| "there is no voice of that gender".to_owned());
                String::new()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn voices() -> Voices {
        let voice = |id: &str, name: &str, priority: u8, languages: &[&str]| VoiceInfo {
            id: id.into(),
            name: name.into(),
            languages: languages.iter().map(|tag| (*tag).to_owned()).collect(),
            gender: Some(Gender::Male),
            age: None,
            variant: false,
            priorities: vec![priority; languages.len()],
        };
        let variant = |id: &str, name: &str, gender| VoiceInfo {
            id: id.into(),
            name: name.into(),
            languages: Vec::new(),
            gender: Some(gender),
            age: None,
            variant: true,
            priorities: Vec::new(),
        };
        let all = vec![
            voice("de", "German", 5, &["de"]),
            voice("en-gb-scotland", "English (Scotland)", 5, &["en-gb-scotland", "en"]),
            voice("en-gb", "English (Great Britain)", 2, &["en-gb", "en"]),
            voice("en-us", "English (America)", 2, &["en-us", "en"]),
            voice("cmn", "Chinese (Mandarin)", 5, &["cmn", "zh-cmn"]),
            voice("fr-be", "French (Belgium)", 8, &["fr-be"]),
            voice("fr-fr", "French (France)", 5, &["fr-fr"]),
            variant("Annie", "Annie", Gender::Female),
            variant("f2", "female2", Gender::Female),
            variant("f3", "female3", Gender::Female),
            variant("m3", "male3", Gender::Male),
            variant("m1", "male1", Gender::Male),
        ];
        Voices::new(all, "en-us").unwrap()
    }

    /// `want` is a language, then `name=`, `gender=`, `age=`, `variant=`, `speaks=`.
    #[track_caller]
    fn check(want: &str, expected: &str) {
        let mut style = Style::default();
        for part in want.split(' ') {
            match part.split_once('=') {
                None => style.language = part.into(),
                Some(("name", name)) => style.voice.names.push(name.replace('~', " ")),
                Some(("gender", gender)) => style.voice.gender = ssml::values::gender(gender),
                Some(("age", age)) => style.voice.age = age.parse().ok(),
                Some(("variant", variant)) => style.voice.variant = variant.parse().ok(),
                Some((_, language)) => style.voice.languages.push(language.into()),
            }
        }
        let shown = match voices().choose(&style) {
            Ok(Choice { voice, note: None, .. }) => voice,
            Ok(Choice { voice, note: Some(note), .. }) => format!("{voice}; {note}"),
            Err(error) => error.to_string(),
        };
        assert_eq!(shown, expected, "{want}");
    }

    #[test]
    fn rfc_4647_section_3_4_the_language_decides() {
        check("", "en-us");
        check("en-US", "en-us");
        check("en", "en-us");
        check("en_GB", "en-gb");
        check("en-GB-oxendict", "en-gb");
        check("en-AU", "en-us");
        check("en-x-private", "en-us");
        check("fr", "fr-fr");
        check("fr-CA", "fr-fr");
        check("de-AT", "de");
        check("zh-CN", "cmn");
        check("tlh", "no voice speaks \"tlh\"");
    }

    #[test]
    fn a_name_wins_and_an_unknown_one_is_noted() {
        check("en-US name=de", "de");
        check("en-US name=English~(Great~Britain)", "en-gb");
        check("en-US name=de+f3", "de+f3");
        check("de name=Annie", "de+Annie");
        check("de name=Zira name=f2", "de+f2; there is no voice \"Zira\"");
        check("de name=Zira", "de; there is no voice \"Zira\"");
    }

    #[test]
    fn gender_age_and_variant_choose_a_variant() {
        check("en-US gender=female", "en-us+f2");
        check("en-US gender=female variant=2", "en-us+f3");
        check("en-US gender=female variant=9", "en-us+f2; there is no variant 9");
        check("de gender=male", "de");
        check("de gender=male variant=2", "de+m3");
        check("de gender=male age=80", "de+m1");
        check("en-US speaks=fr-FR", "fr-fr");
    }

    #[test]
    fn the_default_may_carry_a_variant() {
        let voices = Voices::new(voices().all, "en-us+f3").unwrap();
        assert_eq!(voices.choose(&Style::default()).unwrap().voice, "en-us+f3");
        assert_eq!(voices.default_language(), "en-us");
        assert!(Voices::new(voices.all, "nonesuch").is_err());
    }
}

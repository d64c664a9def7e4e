//! Which of a provider's voices speaks. A pure choice from its list.

use ssml::{Gender, Style};

/// A voice, or a variant of all voices.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct VoiceInfo {
    /// Whose voice it is: the provider's name.
    pub provider: String,
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

impl VoiceInfo {
    /// A whole voice of a provider that tells no more of it: what the provider calls it, its languages,
    /// its own first, and its gender.
    pub fn new(id: &str, languages: &[&str], gender: Option<Gender>) -> Self {
        Self {
            provider: String::new(),
            id: id.to_owned(),
            name: id.to_owned(),
            languages: languages.iter().map(|tag| (*tag).to_owned()).collect(),
            gender,
            age: None,
            variant: false,
            priorities: vec![0; languages.len()],
        }
    }
}

/// A voice that was chosen.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Choice {
    /// The provider's name.
    pub provider: String,
    /// The voice's id, with a variant's after `+` if any.
    pub voice: String,
    /// The language that is its own.
    pub language: String,
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

/// One provider's voices.
#[derive(Debug)]
pub(crate) struct Voices {
    all: Vec<VoiceInfo>,
    /// The voice that is taken where several would do, if the provider has the default one.
    default: Option<Found>,
}

/// A voice by its place in the list, and a variant's id or nothing.
#[derive(Clone, Debug)]
struct Found {
    voice: usize,
    variant: String,
}

/// How closely a voice was named.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Named {
    /// It is the voice of that name, or speaks that very language.
    Exactly,
    /// It speaks a dialect of that language.
    Loosely,
}

impl Voices {
    pub(crate) const fn new(all: Vec<VoiceInfo>) -> Self {
        Self { all, default: None }
    }

    pub(crate) fn all(&self) -> &[VoiceInfo] {
        &self.all
    }

    /// The id of the voice that is taken where several would do, if it is one of these.
    pub(crate) fn default_voice(&self) -> Option<String> {
        Some(self.choice(self.default.as_ref()?, None).voice)
    }

    /// Makes the voice that `name` means the one that is taken where several would do; its language,
    /// or `None` if it means no voice of these.
    pub(crate) fn set_default(&mut self, name: &str, named: Named) -> Option<String> {
        let found = match named {
            Named::Exactly => self.named(name).or_else(|| {
                let tag = name.trim().replace('_', "-").to_ascii_lowercase();
                let voice = self.best(|language| language.eq_ignore_ascii_case(&tag))?;
                Some(Found { voice, variant: String::new() })
            }),
            Named::Loosely if name.contains('+') => None,
            Named::Loosely => {
                let voice = *self.speaking(name)?.first()?;
                Some(Found { voice, variant: String::new() })
            }
        }?;
        let language = self.all.get(found.voice).and_then(|voice| voice.languages.first().cloned());
        self.default = Some(found);
        language
    }

    /// The voice of that name; "f3" or "Annie" is how a voice sounds, in whatever language.
    pub(crate) fn by_name(&self, name: &str, style: &Style) -> Option<Choice> {
        if let Some(found) = self.named(name) {
            return Some(self.choice(&found, None));
        }
        let variant = self.variant(name)?;
        let voice = self.for_language(style)?.first().copied()?;
        Some(self.choice(&Found { voice, variant: variant.id.clone() }, None))
    }

    /// The voice that comes nearest to what the style wants, its language first: SSML 1.1 §3.2.1 makes
    /// that the one thing a voice must have. `None` when none speaks it.
    pub(crate) fn fitting(&self, style: &Style) -> Option<Choice> {
        let wanted = &style.voice;
        let voices = self.for_language(style)?;
        let voice = voices.first().copied()?;
        let asks_nothing =
            wanted.gender.is_none() && wanted.age.is_none() && wanted.variant.is_none();
        if asks_nothing {
            let default = self.default.as_ref().filter(|default| default.voice == voice);
            let own = Found { voice, variant: String::new() };
            return Some(self.choice(default.unwrap_or(&own), None));
        }
        let mut note = None;
        let found = if self.has_variants() {
            Found { voice, variant: self.like(style, voice, &mut note) }
        } else {
            Found { voice: self.among(style, &voices, &mut note), variant: String::new() }
        };
        Some(self.choice(&found, note))
    }

    fn has_variants(&self) -> bool {
        self.all.iter().any(|voice| voice.variant)
    }

    /// Of several whole voices the one of the gender, then of the nearest age, then the one of that
    /// number.
    fn among(&self, style: &Style, voices: &[usize], note: &mut Option<String>) -> usize {
        let wanted = &style.voice;
        let about = |place: usize| self.all.get(place);
        let mut fit: Vec<usize> = voices.to_vec();
        if let Some(gender) = wanted.gender {
            fit.retain(|place| about(*place).is_some_and(|voice| voice.gender == Some(gender)));
            if fit.is_empty() {
                note.get_or_insert_with(|| "there is no voice of that gender".to_owned());
                fit = voices.to_vec();
            }
        }
        if let Some(age) = wanted.age {
            // Without an age a voice counts as a grown-up's.
            let years = |place: &usize| about(*place).and_then(|voice| voice.age).unwrap_or(35);
            fit.sort_by_key(|place| years(place).abs_diff(age));
        }
        let number = usize::try_from(wanted.variant.unwrap_or(1).max(1) - 1).unwrap_or(usize::MAX);
        let found = fit.get(number).or_else(|| {
            note.get_or_insert_with(|| format!("there is no variant {}", number.saturating_add(1)));
            fit.first()
        });
        found.copied().unwrap_or_default()
    }

    fn choice(&self, found: &Found, note: Option<String>) -> Choice {
        let voice = self.all.get(found.voice);
        let id = voice.map(|voice| voice.id.as_str()).unwrap_or_default();
        let language = voice.and_then(|voice| voice.languages.first().cloned()).unwrap_or_default();
        let variant = self.variant(&found.variant);
        let gender = variant.or(voice).and_then(|voice| voice.gender);
        let voice = match variant {
            Some(variant) => format!("{id}+{}", variant.id),
            None => id.to_owned(),
        };
        Choice { provider: String::new(), voice, language, gender, note }
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

    /// The voices for the languages the style wants, in their order.
    fn for_language(&self, style: &Style) -> Option<Vec<usize>> {
        let languages = &style.voice.languages;
        let languages = if languages.is_empty() {
            std::slice::from_ref(&style.language)
        } else {
            languages.as_slice()
        };
        languages.iter().find_map(|tag| self.speaking(tag))
    }

    /// RFC 4647 §3.4 lookup: the whole tag, then with its last part cut off, and so on. At the bare
    /// language any of its dialects will do. The best voice is the first.
    fn speaking(&self, tag: &str) -> Option<Vec<usize>> {
        let mut range = tag.trim().replace('_', "-").to_ascii_lowercase();
        if range.is_empty() {
            return None;
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
            if let Some(voices) = self.exact(&range) {
                return Some(voices);
            }
            let Some((shorter, _)) = range.rsplit_once('-') else { break };
            // RFC 4647 §3.4: a single letter goes with what followed it.
            let shorter = match shorter.rsplit_once('-') {
                Some((rest, single)) if single.len() == 1 => rest,
                Some(_) | None => shorter,
            };
            range = shorter.to_owned();
        }
        self.ranked(|language| {
            language.split('-').next().is_some_and(|first| first.eq_ignore_ascii_case(&range))
        })
    }

    fn exact(&self, tag: &str) -> Option<Vec<usize>> {
        let mut voices = self.ranked(|language| language.eq_ignore_ascii_case(tag));
        let dialect = |language: &String| {
            let language = language.to_ascii_lowercase();
            // "en" is spoken by the default voice "en-us" too.
            !tag.contains('-') && language.split('-').next() == Some(tag)
        };
        if let Some(default) = &self.default
            && self.all.get(default.voice).is_some_and(|voice| voice.languages.iter().any(dialect))
        {
            let voices = voices.get_or_insert_default();
            voices.retain(|voice| *voice != default.voice);
            voices.insert(0, default.voice);
        }
        voices
    }

    fn best(&self, speaks: impl Fn(&str) -> bool) -> Option<usize> {
        self.ranked(speaks)?.first().copied()
    }

    /// The voices that speak such a language: the default one first, then by their priority for it.
    fn ranked(&self, speaks: impl Fn(&str) -> bool) -> Option<Vec<usize>> {
        let default = self.default.as_ref().map(|default| default.voice);
        let mut ranked: Vec<_> = self
            .all
            .iter()
            .enumerate()
            .filter_map(|(place, voice)| {
                let languages = voice.languages.iter().zip(&voice.priorities).enumerate();
                let spoken = languages.filter(|(_, (language, _))| speaks(language));
                // Of two that are as good, the one whose language it is before others.
                let best = spoken.map(|(rank, (_, priority))| (*priority, rank)).min()?;
                Some((Some(place) != default, best, place))
            })
            .collect();
        ranked.sort_unstable();
        let voices: Vec<usize> = ranked.into_iter().map(|(_, _, place)| place).collect();
        (!voices.is_empty()).then_some(voices)
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

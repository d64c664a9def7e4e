//! Who may speak a text, best first: a pure choice among the providers' voices.

use ssml::Style;

use crate::speech::SpeechError;
use crate::voices::{Choice, Named, VoiceInfo, Voices};

/// The default voice of who sets none; where nobody speaks it, the first voice there is.
const USUAL: &str = "en-us";

/// A provider as the choice sees it.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) name: String,
    /// Words that mean this provider where a voice's name is asked for.
    pub(crate) tags: Vec<String>,
    pub(crate) voices: Voices,
}

/// All providers, the preferred ones first.
#[derive(Debug)]
pub(crate) struct Roster {
    members: Vec<Member>,
    default: usize,
    default_language: String,
}

impl Roster {
    /// `default` is a voice or a language: the first provider that has that voice, or speaks exactly
    /// that language, has the default voice; without one, the first that speaks it at all.
    pub(crate) fn new(mut members: Vec<Member>, default: &str) -> Result<Self, SpeechError> {
        for named in [Named::Exactly, Named::Loosely] {
            for (place, member) in members.iter_mut().enumerate() {
                let (provider, voice) = default.split_once('/').unwrap_or(("", default));
                if !provider.is_empty() && !member.is_called(provider) {
                    continue;
                }
                if let Some(language) = member.voices.set_default(voice, named) {
                    return Ok(Self { members, default: place, default_language: language });
                }
            }
        }
        // Nobody wrote that: it stands there where nobody wrote anything.
        let first = members.first().and_then(|member| member.voices.all().first()).cloned();
        match first {
            Some(first) if default == USUAL => Self::new(members, &first.id),
            Some(_) | None => Err(SpeechError::DefaultVoice(default.to_owned())),
        }
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &VoiceInfo> {
        self.members.iter().flat_map(|member| member.voices.all())
    }

    /// Names and tags of the providers.
    pub(crate) fn words(&self) -> impl Iterator<Item = &str> {
        self.members.iter().flat_map(|member| {
            let all = [&member.name].into_iter().chain(&member.tags);
            all.map(String::as_str)
        })
    }

    pub(crate) fn default_language(&self) -> &str {
        &self.default_language
    }

    /// The place of every provider that can speak in this style, and its voice: first those that were
    /// named, then those whose voice has the gender, then in their own order. Where nothing is asked
    /// for, the default voice's provider goes before others.
    pub(crate) fn candidates(&self, style: &Style) -> Result<Vec<(usize, Choice)>, SpeechError> {
        let mut style = style.clone();
        if style.language.trim().is_empty() {
            style.language.clone_from(&self.default_language);
        }
        let names = &style.voice.names;
        let mut ranked = Vec::new();
        for (place, member) in self.members.iter().enumerate() {
            let named = names
                .iter()
                .enumerate()
                .find_map(|(rank, name)| Some((rank, member.by_name(name, &style)?)));
            let fitting = || Some((names.len(), member.voices.fitting(&style)?));
            let Some((rank, mut choice)) = named.or_else(fitting) else { continue };
            choice.provider.clone_from(&member.name);
            let other_gender = style.voice.gender.is_some() && choice.gender != style.voice.gender;
            let is_default = place == self.default
                && member.voices.default_voice().as_deref() == Some(&*choice.voice);
            ranked.push(((rank, other_gender, !is_default, place), choice));
        }
        ranked.sort_by_key(|(rank, _)| *rank);
        let best = ranked.first().map_or(0, |((rank, ..), _)| *rank);
        let unknown = names.first().filter(|_| best > 0);
        let mut candidates: Vec<_> =
            ranked.into_iter().map(|((.., place), choice)| (place, choice)).collect();
        let Some((_, first)) = candidates.first_mut() else {
            let languages = &style.voice.languages;
            let wanted =
                if languages.is_empty() { style.language.clone() } else { languages.join(" ") };
            return Err(SpeechError::Language(wanted));
        };
        if let Some(name) = unknown {
            first.note = Some(format!("there is no voice {name:?}"));
        }
        Ok(candidates)
    }
}

impl Member {
    fn is_called(&self, name: &str) -> bool {
        let called = |own: &String| own.eq_ignore_ascii_case(name);
        called(&self.name) || self.tags.iter().any(called)
    }

    /// The voice that a name means here: a voice's own, `provider/voice`, or the provider's or one of
    /// its tags, which leaves the voice to the language.
    fn by_name(&self, name: &str, style: &Style) -> Option<Choice> {
        if self.is_called(name) {
            return self.voices.fitting(style);
        }
        match name.split_once('/') {
            Some((provider, voice)) if self.is_called(provider) => {
                self.voices.by_name(voice, style)
            }
            Some(_) | None => self.voices.by_name(name, style),
        }
    }
}

#[cfg(test)]
mod tests {
    use ssml::Gender;

    use super::*;

    fn voice(id: &str, name: &str, priority: u8, languages: &[&str]) -> VoiceInfo {
        VoiceInfo {
            provider: String::new(),
            id: id.into(),
            name: name.into(),
            languages: languages.iter().map(|tag| (*tag).to_owned()).collect(),
            gender: Some(Gender::Male),
            age: None,
            variant: false,
            priorities: vec![priority; languages.len()],
        }
    }

    fn variant(id: &str, name: &str, gender: Gender) -> VoiceInfo {
        VoiceInfo { variant: true, gender: Some(gender), ..voice(id, name, 0, &[]) }
    }

    /// As eSpeak NG lists its voices.
    fn formants() -> Member {
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
        Member { name: "formants".into(), tags: Vec::new(), voices: Voices::new(all) }
    }

    /// As a service lists them: whole voices, no variants.
    fn neural() -> Member {
        let all = vec![
            voice("onyx", "onyx", 5, &["en-us"]),
            VoiceInfo { gender: Some(Gender::Female), ..voice("nova", "nova", 5, &["en-us"]) },
            VoiceInfo {
                gender: Some(Gender::Female),
                age: Some(70),
                ..voice("sage", "sage", 5, &["en-us"])
            },
            VoiceInfo { gender: Some(Gender::Female), ..voice("vera", "vera", 5, &["de-de"]) },
        ];
        let tags = vec!["premium".to_owned()];
        Member { name: "neural".into(), tags, voices: Voices::new(all) }
    }

    /// `want` is a language, then `name=`, `gender=`, `age=`, `variant=`, `speaks=`.
    fn shown(roster: &Roster, want: &str) -> String {
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
        match roster.candidates(&style) {
            Ok(candidates) => candidates
                .into_iter()
                .map(|(_, choice)| match choice.note {
                    Some(note) => format!("{}; {note}", choice.voice),
                    None => choice.voice,
                })
                .collect::<Vec<_>>()
                .join(", "),
            Err(error) => error.to_string(),
        }
    }

    #[track_caller]
    fn check(want: &str, expected: &str) {
        let roster = Roster::new(vec![formants()], "en-us").unwrap();
        assert_eq!(shown(&roster, want), expected, "{want}");
    }

    #[track_caller]
    fn check_two(want: &str, expected: &str) {
        let roster = Roster::new(vec![neural(), formants()], "en-us").unwrap();
        assert_eq!(shown(&roster, want), expected, "{want}");
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
        let roster = Roster::new(vec![formants()], "en-us+f3").unwrap();
        assert_eq!(shown(&roster, "en-US"), "en-us+f3");
        assert_eq!(roster.default_language(), "en-us");
        assert!(Roster::new(vec![formants()], "nonesuch").is_err());
    }

    #[test]
    fn without_english_the_first_voice_is_the_default() {
        let member = |id: &str, language: &str| Member {
            name: "one".into(),
            tags: Vec::new(),
            voices: Voices::new(vec![voice(id, id, 5, &[language])]),
        };
        let roster = Roster::new(vec![member("vera", "de-de")], "en-us").unwrap();
        assert_eq!((roster.default_language(), shown(&roster, "").as_str()), ("de-de", "vera"));
        assert!(Roster::new(vec![member("vera", "de-de")], "fr").is_err());
        assert!(Roster::new(Vec::new(), "en-us").is_err());
    }

    #[test]
    fn of_several_providers_the_first_speaks_and_the_others_stand_by() {
        check_two("en-US", "onyx, en-us");
        check_two("", "onyx, en-us");
        check_two("de", "vera, de");
        check_two("fr", "fr-fr");
        check_two("en-US gender=female", "nova, en-us+f2");
        check_two("en-US gender=female age=60", "sage, en-us+f2");
        check_two("en-US gender=female variant=2", "sage, en-us+f3");
        check_two("de gender=male", "de, vera; there is no voice of that gender");
    }

    #[test]
    fn a_name_means_a_voice_a_provider_or_a_tag() {
        check_two("en-US name=nova", "nova, en-us");
        check_two("en-US name=en-us", "en-us, onyx");
        check_two("en-US name=formants", "en-us, onyx");
        check_two("de name=premium", "vera, de");
        check_two("en-US name=neural/sage", "sage, en-us");
        check_two("en-US name=formants/de", "de, onyx");
        check_two("fr name=premium", "fr-fr; there is no voice \"premium\"");
    }

    #[test]
    fn the_default_voice_may_be_any_providers() {
        for (default, expected) in
            [("en-us", "onyx, en-us"), ("en-gb", "en-gb, onyx"), ("neural/nova", "nova, en-us")]
        {
            let roster = Roster::new(vec![neural(), formants()], default).unwrap();
            assert_eq!(shown(&roster, ""), expected, "{default}");
        }
        let roster = Roster::new(vec![neural(), formants()], "en-us+f3").unwrap();
        assert_eq!(shown(&roster, "en-US"), "en-us+f3, onyx");
        assert_eq!(shown(&roster, "de"), "vera, de");
    }
}

//! The parameters of a synthesizer session and of one SPEAK. RFC 6787 §6.2, §8.4.
//!
//! Three levels, the higher wins: markup, the SPEAK request's header fields, the session's
//! (§8.6). An utterance gets the session's settings with its own laid over them; markup is
//! weighed where it is read.

use std::time::Duration;

use crate::words::words;

mod fetch;
mod prosody;
mod vendor;

pub use fetch::{
    AudioFetchHint, COOKIES_MAX, CacheControl, Cookie, Fetch, FetchHint, FetchParam, MaxStale,
};
pub use prosody::{Pitch, PitchName, Prosody, ProsodyParam, Rate, RateName, Volume, VolumeName};
pub use vendor::{VENDOR_PARAMETERS_MAX, Vendor, VendorParameter};

/// The longest Fetch-Timeout that is taken; a longer one is answered 409. RFC 6787 §6.2.12.
pub const FETCH_TIMEOUT_MAX: Duration = Duration::from_secs(300);
/// Bytes of a name, tag, URI or other free text in a setting.
pub const TEXT_BYTES_MAX: usize = 2048;
/// URIs in one Lexicon-Search-Order.
pub const SEARCH_ORDER_MAX: usize = 32;

words! {
    /// Whose voice. RFC 6787 §8.4.6.
    Gender {
        /// A man's.
        Male = "male",
        /// A woman's.
        Female = "female",
        /// Neither.
        Neutral = "neutral",
    }
}

words! {
    /// The parameters of the voice. RFC 6787 §8.4.6.
    VoiceParam {
        /// Whose voice.
        Gender = "Voice-Gender",
        /// How old.
        Age = "Voice-Age",
        /// Which of several.
        Variant = "Voice-Variant",
        /// By name.
        Name = "Voice-Name",
    }
}

words! {
    /// The parameters that belong to no group.
    SpeechParam {
        /// §8.4.9.
        Language = "Speech-Language",
        /// §8.4.3.
        SpeakerProfile = "Speaker-Profile",
        /// §8.4.2.
        KillOnBargeIn = "Kill-On-Barge-In",
        /// §8.4.17.
        LexiconSearchOrder = "Lexicon-Search-Order",
        /// §6.2.2.
        Accept = "Accept",
        /// §6.2.14.
        LoggingTag = "Logging-Tag",
        /// §6.2.16.
        VendorSpecific = "Vendor-Specific-Parameters",
    }
}

/// A header field that is a session parameter of a synthesizer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Param {
    /// Of the voice.
    Voice(VoiceParam),
    /// Of the prosody.
    Prosody(ProsodyParam),
    /// Of fetching.
    Fetch(FetchParam),
    /// Of none of these.
    Speech(SpeechParam),
}

impl Param {
    /// The parameter that a header field of this name sets, in any case.
    pub fn parse(name: &str) -> Option<Self> {
        Self::all().find(|param| param.as_str().eq_ignore_ascii_case(name))
    }

    /// Every parameter.
    pub fn all() -> impl Iterator<Item = Self> {
        let voice = VoiceParam::ALL.iter().copied().map(Self::Voice);
        let prosody = ProsodyParam::ALL.iter().copied().map(Self::Prosody);
        let fetch = FetchParam::ALL.iter().copied().map(Self::Fetch);
        let speech = SpeechParam::ALL.iter().copied().map(Self::Speech);
        voice.chain(prosody).chain(speech).chain(fetch)
    }

    /// The name of its header field.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Voice(param) => param.as_str(),
            Self::Prosody(param) => param.as_str(),
            Self::Fetch(param) => param.as_str(),
            Self::Speech(param) => param.as_str(),
        }
    }
}

/// Why a value is not taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Wrong {
    /// Against the syntax: 404.
    Illegal,
    /// Legal, but beyond our limits: 409.
    BeyondUs,
}

/// Which voice speaks; what is not said is left to the default. RFC 6787 §8.4.6.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Voice {
    /// Its gender.
    pub gender: Option<Gender>,
    /// Its age in years.
    pub age: Option<u16>,
    /// Which of several that fit; from 1.
    pub variant: Option<u64>,
    /// Its name, or several in order of preference with blanks between.
    pub name: Option<String>,
}

/// The session parameters of a synthesizer, or those of one utterance.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The voice.
    pub voice: Voice,
    /// How it speaks; for plain text only, as §8.4.7 says.
    pub prosody: Prosody,
    /// The language of what does not name its own.
    pub language: Option<String>,
    /// Where the speaker's profile is.
    pub speaker_profile: Option<String>,
    /// Whether the caller's voice or keys end the speech.
    pub kill_on_barge_in: bool,
    /// How documents and sounds are fetched.
    pub fetch: Fetch,
    /// The lexicons to use, first to last.
    pub lexicon_search_order: Vec<String>,
    /// Media types that the client takes.
    pub accept: Option<String>,
    /// What the client wants to see in our log.
    pub logging_tag: Option<String>,
    /// Parameters that we keep without knowing them.
    pub vendor: Vendor,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            voice: Voice::default(),
            prosody: Prosody::default(),
            language: None,
            speaker_profile: None,
            kill_on_barge_in: true,
            fetch: Fetch::default(),
            lexicon_search_order: Vec::new(),
            accept: None,
            logging_tag: None,
            vendor: Vendor::default(),
        }
    }
}

impl Settings {
    /// Sets one parameter from a header field's value; on an error nothing has changed.
    pub fn set(&mut self, param: Param, value: &str) -> Result<(), Wrong> {
        let param = match param {
            Param::Voice(param) => return self.voice.set(param, value),
            Param::Prosody(param) => return self.prosody.set(param, value),
            Param::Fetch(param) => return self.fetch.set(param, value),
            Param::Speech(param) => param,
        };
        match param {
            SpeechParam::Language => self.language = Some(language(value)?),
            SpeechParam::SpeakerProfile => self.speaker_profile = Some(uri(value)?),
            SpeechParam::KillOnBargeIn => self.kill_on_barge_in = boolean(value)?,
            SpeechParam::LexiconSearchOrder => self.lexicon_search_order = search_order(value)?,
            SpeechParam::Accept => self.accept = Some(text(value)?),
            SpeechParam::LoggingTag => self.logging_tag = Some(text(value)?),
            SpeechParam::VendorSpecific => self.vendor.set(value)?,
        }
        Ok(())
    }

    /// The parameter's values as header fields carry them; one empty text if it has none.
    pub fn values(&self, param: Param) -> Vec<String> {
        let param = match param {
            Param::Voice(param) => return vec![self.voice.value(param)],
            Param::Prosody(param) => return vec![self.prosody.value(param)],
            Param::Fetch(param) => return self.fetch.values(param),
            Param::Speech(param) => param,
        };
        vec![match param {
            SpeechParam::Language => self.language.clone().unwrap_or_default(),
            SpeechParam::SpeakerProfile => self.speaker_profile.clone().unwrap_or_default(),
            SpeechParam::KillOnBargeIn => self.kill_on_barge_in.to_string(),
            SpeechParam::LexiconSearchOrder => {
                let uris: Vec<String> =
                    self.lexicon_search_order.iter().map(|uri| format!("<{uri}>")).collect();
                uris.join(" ")
            }
            SpeechParam::Accept => self.accept.clone().unwrap_or_default(),
            SpeechParam::LoggingTag => self.logging_tag.clone().unwrap_or_default(),
            SpeechParam::VendorSpecific => self.vendor.to_string(),
        }]
    }
}

impl Voice {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn set(&mut self, param: VoiceParam, value: &str) -> Result<(), Wrong> {
        match param {
            VoiceParam::Gender => self.gender = Some(Gender::parse(value).ok_or(Wrong::Illegal)?),
            VoiceParam::Age => {
                // 1*3DIGIT: 999 at most, which fits.
                let age = whole(value, 3)?;
                self.age = Some(u16::try_from(age).map_err(|_| Wrong::Illegal)?);
            }
            VoiceParam::Variant => {
                let variant = whole(value, 19)?;
                self.variant = Some(if variant == 0 { Err(Wrong::Illegal)? } else { variant });
            }
            VoiceParam::Name => self.name = Some(text(value)?),
        }
        Ok(())
    }

    fn value(&self, param: VoiceParam) -> String {
        let value = match param {
            VoiceParam::Gender => self.gender.map(|gender| gender.to_string()),
            VoiceParam::Age => self.age.map(|age| age.to_string()),
            VoiceParam::Variant => self.variant.map(|variant| variant.to_string()),
            VoiceParam::Name => self.name.clone(),
        };
        value.unwrap_or_default()
    }
}

/// `true` or `false`, in any case.
pub(crate) fn boolean(value: &str) -> Result<bool, Wrong> {
    match value.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(Wrong::Illegal),
    }
}

/// 1 to `digits` digits.
fn whole(value: &str, digits: usize) -> Result<u64, Wrong> {
    if !crate::ids::is_digits(value, digits) {
        return Err(Wrong::Illegal);
    }
    value.parse().map_err(|_| Wrong::Illegal)
}

/// Free text that is not empty.
fn text(value: &str) -> Result<String, Wrong> {
    match value.len() {
        0 => Err(Wrong::Illegal),
        1..=TEXT_BYTES_MAX => Ok(value.to_owned()),
        _ => Err(Wrong::BeyondUs),
    }
}

/// A URI, absolute or not; only what can never stand in one is refused.
fn uri(value: &str) -> Result<String, Wrong> {
    if value.contains(|c: char| c.is_whitespace() || "<>\"".contains(c)) {
        return Err(Wrong::Illegal);
    }
    text(value)
}

/// A language tag: subtags of 1 to 8 letters and digits, the first of letters. RFC 5646 §2.1.
fn language(value: &str) -> Result<String, Wrong> {
    let mut subtags = value.split('-');
    let sound = |tag: &str| {
        (1..=8).contains(&tag.len()) && tag.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    let first = subtags.next().unwrap_or_default();
    if !sound(first) || !first.bytes().all(|b| b.is_ascii_alphabetic()) || !subtags.all(sound) {
        return Err(Wrong::Illegal);
    }
    text(value)
}

/// `"<" absoluteURI ">" *(" " "<" absoluteURI ">")`.
fn search_order(value: &str) -> Result<Vec<String>, Wrong> {
    let uris = value
        .split_ascii_whitespace()
        .map(|item| {
            let inner = item.strip_prefix('<').and_then(|rest| rest.strip_suffix('>'));
            inner.filter(|inner| inner.contains(':')).ok_or(Wrong::Illegal).and_then(uri)
        })
        .collect::<Result<Vec<_>, _>>()?;
    match uris.len() {
        0 => Err(Wrong::Illegal),
        1..=SEARCH_ORDER_MAX => Ok(uris),
        _ => Err(Wrong::BeyondUs),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each row: the header field, the value sent, and what GET-PARAMS then gives (or the error).
    fn check(name: &str, sent: &str, expected: Result<&str, Wrong>) {
        let param = Param::parse(name).unwrap();
        let mut settings = Settings::default();
        let before = settings.clone();
        let got = settings.set(param, sent).map(|()| settings.values(param).join(" | "));
        assert_eq!(got.as_deref(), expected.as_ref().map(|text| *text), "{name}: {sent}");
        if expected.is_err() {
            assert_eq!(settings, before, "{name}: {sent}");
        }
    }

    #[test]
    fn section_8_4_6_voices_are_checked() {
        check("Voice-Gender", "Female", Ok("female"));
        check("voice-gender", "robot", Err(Wrong::Illegal));
        check("Voice-Age", "25", Ok("25"));
        check("Voice-Age", "1000", Err(Wrong::Illegal));
        check("Voice-Age", "-1", Err(Wrong::Illegal));
        check("Voice-Variant", "3", Ok("3"));
        check("Voice-Variant", "0", Err(Wrong::Illegal));
        check("Voice-Name", "Mary Jane", Ok("Mary Jane"));
        check("Voice-Name", "", Err(Wrong::Illegal));
    }

    #[test]
    fn section_8_4_7_prosody_is_as_ssml_has_it() {
        for same in [
            "medium", "x-loud", "silent", "default", "100", "33.5", "+10", "-10.5", "+6dB", "+10%",
            "-8.5%",
        ] {
            check("Prosody-Volume", same, Ok(same));
        }
        for bad in ["101", "loudest", "", "1e2", "inf", "6dB", "+", "--1", "10%", "-101%"] {
            check("Prosody-Volume", bad, Err(Wrong::Illegal));
        }
        for same in ["x-slow", "fast", "default", "1.5", "+20%", "-20%", "120%"] {
            check("Prosody-Rate", same, Ok(same));
        }
        for bad in ["0", "-1", "quick", "nan", "-100%", "%"] {
            check("Prosody-Rate", bad, Err(Wrong::Illegal));
        }
        for same in ["x-low", "high", "200Hz", "+20Hz", "-10%", "+2st", "-0.5st"] {
            check("Prosody-Pitch", same, Ok(same));
            check("Prosody-Range", same, Ok(same));
        }
        check("Prosody-Pitch", "200", Err(Wrong::Illegal));
        check("Prosody-Contour", "(0%,+20Hz) (10%,+30%)", Ok("(0%,+20Hz) (10%,+30%)"));
        check("Prosody-Contour", "(0%;+20Hz)", Err(Wrong::Illegal));
        check("Prosody-Duration", "1.5s", Ok("1500ms"));
        check("Prosody-Duration", "250ms", Ok("250ms"));
        check("Prosody-Duration", "250", Err(Wrong::Illegal));
    }

    #[test]
    fn section_6_2_and_8_4_the_other_parameters_are_checked() {
        check("Speech-Language", "de-CH-1996", Ok("de-CH-1996"));
        check("Speech-Language", "german_de", Err(Wrong::Illegal));
        check("Kill-On-Barge-In", "FALSE", Ok("false"));
        check("Kill-On-Barge-In", "no", Err(Wrong::Illegal));
        check("Fetch-Hint", "safe", Ok("safe"));
        check("Fetch-Hint", "stream", Err(Wrong::Illegal));
        check("Audio-Fetch-Hint", "stream", Ok("stream"));
        check("Fetch-Timeout", "5000", Ok("5000"));
        check("Fetch-Timeout", "300001", Err(Wrong::BeyondUs));
        check("Fetch-Timeout", "5s", Err(Wrong::Illegal));
        check("Cache-Control", "max-age=86400 , max-stale", Ok("max-age=86400, max-stale"));
        check("Cache-Control", "max-stale=5, min-fresh=1", Ok("max-stale=5, min-fresh=1"));
        check("Cache-Control", "no-store", Err(Wrong::Illegal));
        check(
            "Lexicon-Search-Order",
            "<session:a@b>  <http://c/d>",
            Ok("<session:a@b> <http://c/d>"),
        );
        check("Lexicon-Search-Order", "http://c/d", Err(Wrong::Illegal));
        check("Speaker-Profile", "http://c/d", Ok("http://c/d"));
        check("Speaker-Profile", "http://c/ d", Err(Wrong::Illegal));
        check("Logging-Tag", "agent-7", Ok("agent-7"));
        check("Logging-Tag", &"x".repeat(TEXT_BYTES_MAX + 1), Err(Wrong::BeyondUs));
        check("Set-Cookie", "a=1; Path=/", Ok("a=1; Path=/"));
        check("Set-Cookie", "nothing", Err(Wrong::Illegal));
        check(
            "Vendor-Specific-Parameters",
            "com.a.x=1;com.a.y=\"p;q\"",
            Ok("com.a.x=1;com.a.y=\"p;q\""),
        );
        check("Vendor-Specific-Parameters", "com.a.x", Err(Wrong::Illegal));
    }
}

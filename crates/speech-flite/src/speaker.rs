//! The voices, and a request spoken from its first utterance to its last.

use speech_helper::{Listener, Speak, Synthesizer, Then, Voice};

use crate::flite::{Flite, Loaded, Manner, Model};
use crate::markup::Form;
use crate::script::Script;
use crate::sound::{RATE_HZ, Sound};

/// The pause of a sentence: 300 ms at the voice's own rate.
const PAUSE_SAMPLES: usize = 4_800;

const MALE: u8 = 1;
const FEMALE: u8 = 2;

/// A voice, as it is listed and as it is linked.
struct Row {
    id: &'static str,
    name: &'static str,
    model: Model,
    gender: u8,
    /// Each with its priority: less is better. That of kal16 is an older kind of voice.
    languages: &'static [(u8, &'static str)],
}

const VOICES: [Row; 4] = [
    Row {
        id: "slt",
        name: "CMU SLT",
        model: Model::Slt,
        gender: FEMALE,
        languages: &[(1, "en-us"), (2, "en")],
    },
    Row {
        id: "rms",
        name: "CMU RMS",
        model: Model::Rms,
        gender: MALE,
        languages: &[(2, "en-us"), (3, "en")],
    },
    Row {
        id: "awb",
        name: "CMU AWB",
        model: Model::Awb,
        gender: MALE,
        languages: &[(1, "en-gb-scotland"), (2, "en-gb"), (4, "en")],
    },
    Row {
        id: "kal16",
        name: "CMU KAL",
        model: Model::Kal16,
        gender: MALE,
        languages: &[(8, "en-us"), (9, "en")],
    },
];

/// The library and the voice that speaks.
pub(crate) struct Speaker {
    flite: Flite,
    loaded: Vec<(&'static str, Loaded)>,
    /// The voice before.
    voice: &'static str,
}

impl Speaker {
    /// Starts the library; voices are loaded when they are first asked for.
    pub(crate) fn start() -> Result<Self, String> {
        let first = VOICES.first().map_or("", |row| row.id);
        Ok(Self { flite: Flite::start(), loaded: Vec::new(), voice: first })
    }

    /// The voice with this id; the voice before if it is empty.
    fn voice(&mut self, id: &str) -> Result<Loaded, String> {
        let id = if id.is_empty() { self.voice } else { id };
        let row = VOICES.iter().find(|row| row.id == id);
        let row = row.ok_or_else(|| format!("there is no voice {id:?}"))?;
        self.voice = row.id;
        if let Some((_, loaded)) = self.loaded.iter().find(|(id, _)| *id == row.id) {
            return Ok(*loaded);
        }
        let loaded = self.flite.load(row.model);
        let loaded = loaded.ok_or_else(|| format!("the voice {id:?} does not load"))?;
        self.loaded.push((row.id, loaded));
        Ok(loaded)
    }
}

impl Synthesizer for Speaker {
    fn rate_hz(&self) -> u32 {
        RATE_HZ
    }

    fn voices(&self) -> Vec<Voice> {
        let voice = |row: &Row| Voice {
            id: row.id.to_owned(),
            name: row.name.to_owned(),
            languages: row.languages.iter().map(|(best, tag)| (*best, (*tag).to_owned())).collect(),
            gender: row.gender,
            age: 0,
            variant: false,
        };
        VOICES.iter().map(voice).collect()
    }

    fn speak(&mut self, speak: &Speak, listener: &mut dyn Listener) -> Result<(), String> {
        let voice = self.voice(&speak.voice)?;
        let manner = manner(speak);
        let form = if speak.ssml { Form::Ssml } else { Form::Plain };
        let mut sound = Sound::new(listener, speak.volume);
        for utterance in Script::new(&speak.text, form) {
            self.flite.speak(voice, manner, &utterance, &mut sound)?;
            if sound.end_utterance() == Then::Stop {
                return Ok(());
            }
        }
        let rate = usize::from(speak.rate.clamp(RATE.0, RATE.1));
        sound.end(if speak.end_pause { PAUSE_SAMPLES * 1_000 / rate } else { 0 });
        Ok(())
    }
}

/// The least and the most that rate and pitch are taken for, in thousandths.
const RATE: (u16, u16) = (250, 4_000);
const PITCH: (u16, u16) = (250, 4_000);
/// The most that the range is taken for.
const RANGE_MAX: u16 = 4_000;

fn manner(speak: &Speak) -> Manner {
    Manner {
        duration: 1_000.0 / f32::from(speak.rate.clamp(RATE.0, RATE.1)),
        pitch: f32::from(speak.pitch.clamp(PITCH.0, PITCH.1)) / 1_000.0,
        range: f32::from(speak.range.min(RANGE_MAX)) / 1_000.0,
    }
}

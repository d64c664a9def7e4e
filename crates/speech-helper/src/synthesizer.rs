//! What a helper brings along: a [`Synthesizer`], and the words between it and the pipe.

/// Turns texts into sound. It stays on the thread that started it, so it need not be `Send`.
pub trait Synthesizer {
    /// Samples per second of all it makes.
    fn rate_hz(&self) -> u32;

    /// All its voices, then all variants.
    fn voices(&self) -> Vec<Voice>;

    /// Speaks one text into `listener`; the reason if it cannot. After [`Then::Stop`] it returns soon,
    /// and what it returns does not matter.
    fn speak(&mut self, speak: &Speak, listener: &mut dyn Listener) -> Result<(), String>;
}

/// Who takes blocks of sound.
pub trait Listener {
    /// Takes the points that lie in a block, then its samples; either may be none.
    fn block(&mut self, points: Vec<Point>, samples: &[i16]) -> Then;
}

/// Whether to go on after a block.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Then {
    /// The next block is wanted.
    Continue,
    /// Nothing more is.
    Stop,
}

/// A point in the sound. Samples count from the request's first; positions count characters of the
/// text as it was sent, from 0.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Point {
    /// A mark of the markup.
    Mark {
        /// Where it is.
        sample: u64,
        /// Its name as the markup has it, entities not resolved.
        name: String,
    },
    /// A word begins.
    Word {
        /// Where it is heard.
        sample: u64,
        /// Where it stands.
        position: u32,
        /// Its characters.
        length: u32,
    },
    /// A sentence begins.
    Sentence {
        /// Where it is heard.
        sample: u64,
        /// Where it stands.
        position: u32,
    },
}

/// A text and how to speak it; the factors are thousandths of the voice's own.
#[derive(Debug)]
pub struct Speak {
    /// Stands in every answer.
    pub id: u32,
    /// Speed.
    pub rate: u16,
    /// Height of the voice.
    pub pitch: u16,
    /// How far the pitch moves.
    pub range: u16,
    /// Loudness.
    pub volume: u16,
    /// Whether the text is SSML.
    pub ssml: bool,
    /// Whether to add the pause of a sentence at the end.
    pub end_pause: bool,
    /// A voice's id, `+` and a variant's id if wanted; empty is the voice before.
    pub voice: String,
    /// What to speak.
    pub text: String,
}

/// A voice or a variant.
#[derive(Clone, Debug)]
pub struct Voice {
    /// What a request names it by.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Languages with their priority, best (lowest) first.
    pub languages: Vec<(u8, String)>,
    /// 0 none, 1 male, 2 female.
    pub gender: u8,
    /// In years; 0 if it has none.
    pub age: u8,
    /// Whether it only changes another voice, behind a `+`.
    pub variant: bool,
}

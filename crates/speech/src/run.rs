//! One run through its units, from the first to the listener's last chunk.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

use ssml::{Gender, Pitch, Run, Style};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::pool::{Job, Pool, Reply};
use crate::render::{Atom, Plan, Rendered};
use crate::shape::{Place, Shaped, Shaper};
use crate::speech::{Chunk, SpeechError};
use crate::voices::{Choice, Voices};
use crate::wire::{Point, Speak};

/// Runs that may be in hand at once; past it a run is refused with [`SpeechError::Busy`].
pub const RUNS_MAX: usize = 1_024;
/// Replies that wait for a run.
const REPLIES_MAX: usize = 64;
/// Sound that waits for the listener before the next unit is begun: two seconds.
const READY_SAMPLES: usize = 16_000;
/// How often a unit is begun again after a helper's death.
const DEATHS_MAX: u32 = 3;
/// The fundamental frequencies that a pitch in hertz is measured against.
const MALE_HZ: f32 = 110.0;
const FEMALE_HZ: f32 = 180.0;

type Outlet = mpsc::Sender<Result<Chunk, SpeechError>>;

/// Why a run ends before its text does.
enum Stop {
    /// Nobody listens.
    Unheard,
    Error(SpeechError),
}

/// Speaks the run into `outlet`; `limit` is the longest wait for sound.
pub(crate) async fn speak(
    pool: &Pool,
    voices: &Voices,
    run: &Run,
    limit: Duration,
    outlet: Outlet,
) {
    let outcome = match Speaking::new(pool, voices, run, limit, &outlet) {
        Ok(speaking) => speaking.all().await,
        Err(error) => Err(Stop::Error(error)),
    };
    match outcome {
        Ok(()) | Err(Stop::Unheard) => {}
        Err(Stop::Error(error)) => {
            tracing::debug!(%error, "speech ends early");
            // Nobody listening is no fault.
            let _ = outlet.send(Err(error)).await;
        }
    }
}

struct Speaking<'r> {
    pool: &'r Pool,
    outlet: &'r Outlet,
    limit: Duration,
    plan: Plan,
    /// How it is spoken; the text is put in for each unit.
    manner: Speak,
    shaper: Shaper,
    /// Chunks that the listener has no room for yet, and the samples in them.
    waiting: VecDeque<Chunk>,
    waiting_samples: usize,
    /// The next atom that was not reported or, for a word, not begun.
    reported: Reported,
}

/// What the listener was told, so that nothing is told twice.
#[derive(Default)]
struct Reported {
    word: Option<usize>,
    sentence: Option<usize>,
    mark: Option<usize>,
}

impl<'r> Speaking<'r> {
    fn new(
        pool: &'r Pool,
        voices: &Voices,
        run: &Run,
        limit: Duration,
        outlet: &'r Outlet,
    ) -> Result<Self, SpeechError> {
        let choice = voices.choose(&run.style)?;
        if let Some(note) = &choice.note {
            tracing::info!(note, voice = choice.voice, "another voice speaks");
        }
        let shaper = Shaper::new(pool.rate_hz(), run.style.volume_db)
            .ok_or_else(|| SpeechError::HelperFails("its sample rate is unusable".into()))?;
        Ok(Self {
            pool,
            outlet,
            limit,
            plan: Plan::new(run)?,
            manner: manner(&run.style, &choice),
            shaper,
            waiting: VecDeque::new(),
            waiting_samples: 0,
            reported: Reported::default(),
        })
    }

    async fn all(mut self) -> Result<(), Stop> {
        let units = self.plan.units().to_vec();
        let count = units.len();
        for (number, unit) in units.into_iter().enumerate() {
            self.give(READY_SAMPLES).await?;
            self.unit(&unit).await?;
            let mut shaped = Vec::new();
            self.shaper.end(self.plan.tail(&unit), number + 1 == count, &mut shaped);
            self.collect(shaped);
            if let Some(last) = unit.end.checked_sub(1) {
                self.report_words(last);
            }
        }
        self.give(0).await
    }

    /// Gives to the listener until no more than `samples` wait.
    async fn give(&mut self, samples: usize) -> Result<(), Stop> {
        while self.waiting_samples > samples || samples == 0 && !self.waiting.is_empty() {
            let permit = self.outlet.reserve().await.map_err(|_| Stop::Unheard)?;
            if let Some(chunk) = self.waiting.pop_front() {
                self.waiting_samples -= samples_in(&chunk);
                permit.send(Ok(chunk));
            }
        }
        Ok(())
    }

    /// One unit, by as many helpers as it takes.
    async fn unit(&mut self, unit: &Range<usize>) -> Result<(), Stop> {
        let mut from = unit.start;
        for deaths in 0..=DEATHS_MAX {
            self.shaper.begin();
            let rest = from..unit.end;
            if !rest.clone().any(|index| self.plan.atom(index).is_some_and(Atom::is_word)) {
                self.tell_points(rest);
                return Ok(());
            }
            let rendered = self.plan.render(rest);
            if self.attempt(&rendered, from).await? {
                if deaths > 0 {
                    self.pool.count_rescue();
                }
                return Ok(());
            }
            // The word it died in is spoken again, unless a mark says that it was over.
            let word = self.reported.word.unwrap_or(0);
            let mark = self.reported.mark.map_or(0, |mark| mark + 1);
            from = from.max(word).max(mark).min(unit.end);
            tracing::warn!(deaths = deaths + 1, "speech goes on with another helper");
        }
        Err(Stop::Error(SpeechError::Died { times: DEATHS_MAX + 1 }))
    }

    /// Points that no word follows in what is left of a unit.
    fn tell_points(&mut self, rest: Range<usize>) {
        for index in rest {
            let chunk = match self.plan.atom(index) {
                Some(Atom::Mark(name)) => Chunk::Mark(name.clone()),
                Some(Atom::Paragraph) => Chunk::Paragraph,
                Some(Atom::Word(_) | Atom::Sentence | Atom::Emphasis(_)) | None => continue,
            };
            self.report(Place { atom: index, chunk });
        }
    }

    /// One helper's try at a text: whether it came to its end.
    async fn attempt(&mut self, rendered: &Rendered, from: usize) -> Result<bool, Stop> {
        let (replies, mut heard) = mpsc::channel(REPLIES_MAX);
        let speak = Speak { ssml: rendered.ssml.clone(), ..self.manner.clone() };
        self.pool.submit(Job { speak, replies }).await;
        let deadline = Instant::now() + self.limit;
        let mut silent = true;
        loop {
            let reply = tokio::select! {
                biased;
                reply = heard.recv() => reply,
                permit = self.outlet.reserve(), if !self.waiting.is_empty() => {
                    let permit = permit.map_err(|_| Stop::Unheard)?;
                    if let Some(chunk) = self.waiting.pop_front() {
                        self.waiting_samples -= samples_in(&chunk);
                        permit.send(Ok(chunk));
                    }
                    continue;
                }
                () = self.outlet.closed() => return Err(Stop::Unheard),
                () = sleep_until(deadline), if silent => {
                    return Err(Stop::Error(SpeechError::TimedOut));
                }
            };
            match reply {
                Some(Reply::Audio(samples)) => {
                    silent = false;
                    let mut shaped = Vec::new();
                    self.shaper.take(&samples, &mut shaped);
                    self.collect(shaped);
                }
                Some(Reply::Point { sample, point }) => {
                    self.place(rendered, from, sample, &point);
                }
                Some(Reply::End) => return Ok(true),
                Some(Reply::Refused(why)) => {
                    return Err(Stop::Error(SpeechError::Refused(why)));
                }
                Some(Reply::Lost) | None => return Ok(false),
            }
            // With `biased` a fast helper would keep the first sound from its listener.
            self.give_now();
        }
    }

    fn give_now(&mut self) {
        while let Some(chunk) = self.waiting.pop_front() {
            let samples = samples_in(&chunk);
            match self.outlet.try_send(Ok(chunk)) {
                Ok(()) => self.waiting_samples -= samples,
                Err(
                    mpsc::error::TrySendError::Full(back) | mpsc::error::TrySendError::Closed(back),
                ) => {
                    if let Ok(chunk) = back {
                        self.waiting.push_front(chunk);
                    }
                    return;
                }
            }
        }
    }

    /// Puts a helper's point where it belongs in the run.
    fn place(&mut self, rendered: &Rendered, from: usize, sample: u64, point: &Point) {
        let place = match point {
            Point::Mark(index) => {
                let Ok(atom) = index.parse() else { return };
                let chunk = match self.plan.atom(atom) {
                    Some(Atom::Mark(name)) => Chunk::Mark(name.clone()),
                    Some(Atom::Paragraph) => Chunk::Paragraph,
                    Some(Atom::Word(_) | Atom::Sentence | Atom::Emphasis(_)) | None => return,
                };
                Place { atom, chunk }
            }
            Point::Word(position) => {
                let Some(atom) = rendered.word_at(*position) else { return };
                Place { atom, chunk: Chunk::Word }
            }
            Point::Sentence(position) => {
                let Some(atom) = rendered.word_at(*position) else { return };
                // A text that begins within a sentence does not begin one.
                if rendered.first_word() == Some(atom) && !self.plan.begins_sentence(from) {
                    return;
                }
                Place { atom, chunk: Chunk::Sentence }
            }
        };
        self.shaper.place(sample, place);
    }

    fn collect(&mut self, shaped: Vec<Shaped>) {
        for shaped in shaped {
            match shaped {
                Shaped::Samples(samples) => {
                    self.waiting_samples += samples.len();
                    self.waiting.push_back(Chunk::Samples(samples));
                }
                Shaped::Place(place) => self.report(place),
            }
        }
    }

    /// Tells a point unless it, or a later one of its kind, was told.
    fn report(&mut self, place: Place) {
        let last = match &place.chunk {
            Chunk::Word => return self.report_words(place.atom),
            Chunk::Sentence => &mut self.reported.sentence,
            Chunk::Mark(_) | Chunk::Paragraph => &mut self.reported.mark,
            Chunk::Samples(_) => return,
        };
        if last.is_none_or(|last| last < place.atom) {
            *last = Some(place.atom);
            self.waiting.push_back(place.chunk);
        }
    }
}

impl Speaking<'_> {
    /// Tells every word up to this one. A helper may say "of the" as one; to a listener they are two,
    /// as they are in [`Run::words`].
    fn report_words(&mut self, upto: usize) {
        let first = self.reported.word.map_or(0, |word| word + 1);
        for index in first..=upto {
            if self.plan.atom(index).is_some_and(Atom::is_word) {
                self.waiting.push_back(Chunk::Word);
                self.reported.word = Some(index);
            }
        }
    }
}

fn samples_in(chunk: &Chunk) -> usize {
    match chunk {
        Chunk::Samples(samples) => samples.len(),
        Chunk::Mark(_) | Chunk::Word | Chunk::Sentence | Chunk::Paragraph => 0,
    }
}

/// The style in the helper's thousandths. The volume stays with us: a gain is exact.
fn manner(style: &Style, choice: &Choice) -> Speak {
    let pitch = match style.pitch {
        Pitch::Times(times) => times,
        Pitch::Hertz(hertz) => {
            let own = match choice.gender {
                Some(Gender::Female) => FEMALE_HZ,
                Some(Gender::Male | Gender::Neutral) | None => MALE_HZ,
            };
            hertz / own
        }
    };
    Speak {
        voice: choice.voice.clone(),
        rate: permille(style.rate),
        pitch: permille(pitch),
        range: permille(style.range),
        ssml: String::new(),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to 0..=10,000 first; not a number becomes 0"
)]
fn permille(factor: f32) -> u16 {
    (factor * 1_000.0).round().clamp(0.0, 10_000.0) as u16
}

//! One run through its providers and units, from the first to the listener's last chunk.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use ssml::{Run, Style};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::aloud;
use crate::pool::Reply;
use crate::provider::Provider;
use crate::render::{Atom, Plan, Rendered};
use crate::shape::{Place, Shaped, Shaper};
use crate::speech::{Chunk, SpeechError};
use crate::voices::Choice;
use crate::wire::Point;

/// Runs that may be in hand at once; past it a run is refused with [`SpeechError::Busy`].
pub const RUNS_MAX: usize = 1_024;
/// Sound that waits for the listener before the next unit is begun: two seconds.
const READY_SAMPLES: usize = 16_000;
/// How often a unit is begun again after a helper's death.
const DEATHS_MAX: u32 = 3;

/// A provider's sound that waits for the listener before no more is taken from it: half a minute. A unit of
/// a helper's is shorter, so that a helper is free as soon as it has made one.
const WAITING_SAMPLES_MAX: usize = 240_000;
/// Nobody speaks slower than this, in letters a second, a digit being four letters and a Chinese sign three:
/// where a sound breaks off, so much of the text was heard at least.
const LETTERS_SURE: u64 = 4;

type Outlet = mpsc::Sender<Result<Chunk, SpeechError>>;

/// Who may speak: the best first.
pub(crate) type Candidates = Vec<(Arc<Provider>, Choice)>;

/// Why a run ends before its text does.
enum Stop {
    /// Nobody listens.
    Unheard,
    /// This provider cannot; another one may.
    Fails(SpeechError, Option<Duration>),
}

/// How one try at a text ended.
enum Tried {
    Whole,
    /// The helper is gone; another takes its place.
    Lost,
}

/// Speaks the run into `outlet`.
pub(crate) async fn speak(candidates: Candidates, run: &Run, outlet: Outlet) {
    let plan = match Plan::new(run) {
        Ok(plan) => plan,
        Err(error) => return fail(error, &outlet).await,
    };
    let mut told = Told::default();
    let mut from = 0;
    let mut last = None;
    let count = candidates.len();
    for (number, candidate) in candidates.into_iter().enumerate() {
        let (provider, choice) = &candidate;
        let asked = Instant::now();
        if let Some(note) = &choice.note {
            tracing::info!(note, voice = choice.voice, %provider, "another voice speaks");
        }
        let outcome = match Speaking::new(&candidate, &run.style, &plan, &outlet, &mut told) {
            Ok(speaking) => speaking.all(from).await,
            Err(error) => Err(Stop::Fails(error, None)),
        };
        match outcome {
            Ok(()) => return provider.did_well(),
            Err(Stop::Unheard) => return,
            Err(Stop::Fails(error, rest)) => {
                provider.failed(&error, rest, asked);
                let others = count - number - 1;
                tracing::warn!(%provider, voice = choice.voice, %error, others, "a speech provider fails");
                last = Some(if let SpeechError::Provider(why) = error {
                    SpeechError::Provider(format!("{provider}: {why}"))
                } else {
                    error
                });
            }
        }
        // The word it failed in is spoken again, unless a mark says that it was over.
        from = told.again.max(told.mark.map_or(0, |mark| mark + 1));
    }
    if let Some(error) = last {
        fail(error, &outlet).await;
    }
}

async fn fail(error: SpeechError, outlet: &Outlet) {
    tracing::debug!(%error, "speech ends early");
    // Nobody listening is no fault.
    let _ = outlet.send(Err(error)).await;
}

/// One run by one provider.
struct Speaking<'r> {
    provider: &'r Provider,
    choice: &'r Choice,
    style: &'r Style,
    plan: &'r Plan,
    outlet: &'r Outlet,
    shaper: Shaper,
    /// Chunks that the listener has no room for yet, and the samples in them.
    waiting: VecDeque<Chunk>,
    waiting_samples: usize,
    told: &'r mut Told,
}

/// What the listener was told, so that nothing is told twice: the last atom of each kind.
#[derive(Default)]
struct Told {
    word: Option<usize>,
    sentence: Option<usize>,
    mark: Option<usize>,
    /// Where the text goes on if it breaks off: the word that was begun last or, of a provider that tells no
    /// words, what was surely heard. The words above were told by estimate.
    again: usize,
}

impl Drop for Speaking<'_> {
    fn drop(&mut self) {
        self.provider.count_limited(self.shaper.limited());
    }
}

impl<'r> Speaking<'r> {
    fn new(
        (provider, choice): &'r (Arc<Provider>, Choice),
        style: &'r Style,
        plan: &'r Plan,
        outlet: &'r Outlet,
        told: &'r mut Told,
    ) -> Result<Self, SpeechError> {
        let shaper = Shaper::new(provider.rate_hz(), style.volume_db)
            .ok_or_else(|| SpeechError::HelperFails("its sample rate is unusable".into()))?;
        let by =
            Chunk::Voice { provider: Arc::clone(&provider.name), voice: (*choice.voice).into() };
        let waiting = VecDeque::from([by]);
        Ok(Self {
            provider,
            choice,
            style,
            plan,
            outlet,
            shaper,
            waiting,
            waiting_samples: 0,
            told,
        })
    }

    /// From this atom to the end.
    async fn all(mut self, from: usize) -> Result<(), Stop> {
        self.told.again = from;
        let units = self.plan.units(self.provider.dialect(), from);
        let count = units.len();
        for (number, unit) in units.into_iter().enumerate() {
            self.give(READY_SAMPLES).await?;
            let spoken = self.unit(&unit).await;
            let mut shaped = Vec::new();
            let over = number + 1 == count || spoken.is_err();
            self.shaper.end(self.plan.tail(&unit), over, &mut shaped);
            self.collect(shaped);
            if spoken.is_ok()
                && let Some(last) = unit.end.checked_sub(1)
            {
                self.tell_words(last);
            }
            if let Err(stop) = spoken {
                // What was made before it failed is heard all the same.
                self.give(0).await?;
                return Err(stop);
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
        let deaths_max = if self.provider.is_replaced() { DEATHS_MAX } else { 0 };
        for deaths in 0..=deaths_max {
            self.shaper.begin();
            let rest = from..unit.end;
            let begins =
                rest.clone().find(|index| self.plan.atom(*index).is_some_and(Atom::is_word));
            let Some(begins) = begins else {
                self.tell_points(rest);
                return Ok(());
            };
            let rendered = self.plan.render(rest, self.provider.dialect());
            if !self.provider.dialect().has_marks() {
                self.tell_points(from..begins);
            }
            match self.attempt(&rendered, from).await? {
                Tried::Whole => {
                    if deaths > 0 {
                        self.provider.count_rescue();
                    }
                    if !self.provider.dialect().has_marks() {
                        self.points_behind(begins..unit.end);
                    }
                    return Ok(());
                }
                Tried::Lost => {}
            }
            // The word it died in is spoken again, unless a mark says that it was over.
            let mark = self.told.mark.map_or(0, |mark| mark + 1);
            from = from.max(self.told.again).max(mark).min(unit.end);
            tracing::warn!(deaths = deaths + 1, "speech goes on with another helper");
        }
        Err(Stop::Fails(SpeechError::Died { times: deaths_max + 1 }, None))
    }

    /// Points that no word follows in what is left of a unit.
    fn tell_points(&mut self, rest: Range<usize>) {
        for index in rest {
            if let Some(chunk) = self.point(index) {
                self.tell(Place { atom: index, chunk });
            }
        }
    }

    /// What was not told when the sound of a unit ended.
    fn points_behind(&mut self, rest: Range<usize>) {
        for index in rest {
            if self.plan.atom(index).is_some_and(Atom::is_word) {
                if self.plan.begins_sentence(index) {
                    self.shaper.place_last(Place { atom: index, chunk: Chunk::Sentence });
                }
                self.shaper.place_last(Place { atom: index, chunk: Chunk::Word });
            } else if let Some(chunk) = self.point(index) {
                self.shaper.place_last(Place { atom: index, chunk });
            }
        }
    }

    fn point(&self, index: usize) -> Option<Chunk> {
        match self.plan.atom(index)? {
            Atom::Mark(name) => Some(Chunk::Mark(name.clone())),
            Atom::Paragraph => Some(Chunk::Paragraph),
            Atom::Word { .. } | Atom::Sentence | Atom::Emphasis(_) => None,
        }
    }

    /// One try at a text.
    async fn attempt(&mut self, rendered: &Rendered, from: usize) -> Result<Tried, Stop> {
        let asked = Instant::now();
        let deadline = asked + self.provider.first_audio;
        let mut heard = self.provider.ask(rendered, self.choice, self.style).await;
        let mut silent = true;
        // Until there is sound nothing of the text was said.
        let mut unsaid = Vec::new();
        let mut samples_heard = 0;
        self.told.again = self.surely_heard(rendered, 0).unwrap_or(self.told.again);
        loop {
            let reply = tokio::select! {
                biased;
                reply = heard.recv(), if self.waiting_samples < WAITING_SAMPLES_MAX => reply,
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
                    return Err(Stop::Fails(SpeechError::TimedOut, None));
                }
            };
            match reply {
                Some(Reply::Audio(samples)) => {
                    // The first byte is not the first sound.
                    if silent && aloud::is_sound(&samples) {
                        silent = false;
                        let waited = asked.elapsed();
                        tracing::debug!(provider = %self.provider, ?waited, "first sound");
                        for (sample, point) in unsaid.drain(..) {
                            self.place(rendered, from, sample, &point);
                        }
                    }
                    let mut shaped = Vec::new();
                    self.shaper.take(&samples, &mut shaped);
                    self.collect(shaped);
                    if !silent {
                        samples_heard += aloud::sounding(&samples, samples_heard == 0);
                        if let Some(sure) = self.surely_heard(rendered, samples_heard) {
                            self.told.again = sure;
                        }
                    }
                }
                Some(Reply::Kept) => self.waiting.push_back(Chunk::Kept),
                Some(Reply::Point { sample, point }) if silent => unsaid.push((sample, point)),
                Some(Reply::Point { sample, point }) => {
                    self.place(rendered, from, sample, &point);
                }
                Some(Reply::End) if silent && rendered.must_be_heard() => {
                    return Err(Stop::Fails(SpeechError::Silence, None));
                }
                Some(Reply::End) => {
                    for (sample, point) in unsaid {
                        self.place(rendered, from, sample, &point);
                    }
                    return Ok(Tried::Whole);
                }
                Some(Reply::Refused(why)) => {
                    return Err(Stop::Fails(SpeechError::Refused(why), None));
                }
                Some(Reply::Broke(broken)) => {
                    return Err(Stop::Fails(SpeechError::Provider(broken.why), broken.rest));
                }
                Some(Reply::Lost) | None => return Ok(Tried::Lost),
            }
            // With `biased` a fast helper would keep the first sound from its listener.
            self.give_now();
        }
    }

    /// The word up to which a text was surely heard after so much sound; `None` where the words are told
    /// as they come.
    fn surely_heard(&self, rendered: &Rendered, samples: u64) -> Option<usize> {
        if self.provider.dialect().has_marks() {
            return None;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a text has fewer letters than a float tells apart"
        )]
        let letters = (samples as f64 * f64::from(self.style.rate)) as u64 * LETTERS_SURE;
        let letters = letters / u64::from(audio::RATE_HZ);
        rendered.word_at(rendered.behind(usize::try_from(letters).unwrap_or(usize::MAX)))
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

    /// Puts a provider's point where it belongs in the run.
    fn place(&mut self, rendered: &Rendered, from: usize, sample: u64, point: &Point) {
        let place = match point {
            Point::Mark(index) => {
                let Ok(atom) = index.parse() else { return };
                let Some(chunk) = self.point(atom) else { return };
                Place { atom, chunk }
            }
            Point::Word(position) => {
                let Some(atom) = rendered.word_at(*position) else { return };
                if !self.provider.dialect().has_marks() && self.plan.begins_sentence(atom) {
                    self.shaper.place(sample, Place { atom, chunk: Chunk::Sentence });
                }
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
                Shaped::Place(place) => self.tell(place),
            }
        }
    }

    /// Tells a point unless it, or a later one of its kind, was told.
    fn tell(&mut self, place: Place) {
        let last = match &place.chunk {
            Chunk::Word => {
                if self.provider.dialect().has_marks() {
                    self.told.again = self.told.again.max(place.atom);
                }
                return self.tell_words(place.atom);
            }
            Chunk::Sentence => &mut self.told.sentence,
            Chunk::Mark(_) | Chunk::Paragraph => &mut self.told.mark,
            Chunk::Samples(_) | Chunk::Voice { .. } | Chunk::Kept => return,
        };
        if last.is_none_or(|last| last < place.atom) {
            *last = Some(place.atom);
            self.waiting.push_back(place.chunk);
        }
    }

    /// Tells every word up to this one. A helper may say "of the" as one; to a listener they are two,
    /// as they are in [`Run::words`].
    fn tell_words(&mut self, upto: usize) {
        let first = self.told.word.map_or(0, |word| word + 1);
        for index in first..=upto {
            if self.plan.atom(index).is_some_and(Atom::is_word) {
                self.waiting.push_back(Chunk::Word);
                self.told.word = Some(index);
            }
        }
    }
}

fn samples_in(chunk: &Chunk) -> usize {
    match chunk {
        Chunk::Samples(samples) => samples.len(),
        Chunk::Mark(_)
        | Chunk::Word
        | Chunk::Sentence
        | Chunk::Paragraph
        | Chunk::Kept
        | Chunk::Voice { .. } => 0,
    }
}

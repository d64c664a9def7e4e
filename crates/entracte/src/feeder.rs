//! Turns a [`Blueprint`] into the pieces that an engine plays: opens each step ahead of its turn,
//! shapes it, and keeps the program's ring filled. One task an utterance, ended by its drop.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use audio::decode::Hint;
use control::blueprint::{Blueprint, Play, Step};
use control::position::{Border, Limit, Skip, Start, Unit};
use control::uri::{After, PlayUri};
use control::{Failure, Feed, ProgramId};
use engine::Piece;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::messages::{self, Heard};
use crate::services::{Chunks, Services};
use crate::wiring::{Event, Voiced};

/// Pieces that may wait in a program's ring; a piece is mostly 20 to 100 ms.
pub const PIECES_MAX: usize = 64;

/// Steps opened ahead of the one that is being played, so that no gap is heard between them.
const STEPS_AHEAD: usize = 3;

/// How much must be ready before a program starts, samples: 60 ms ride out a slow hand-over.
const READY_SAMPLES: u64 = 480;

/// How long a full ring is left alone.
const FULL_WAIT: Duration = Duration::from_millis(60);

/// Samples shaped (speed, level) at a time.
const SHAPE_SAMPLES: usize = 4_000;

/// Samples of one clip that came in a request's body: ten minutes.
const ENCLOSED_SAMPLES_MAX: usize = 10 * 60 * 8_000;

/// Steps that fallbacks may put in place of others in one utterance.
const FALLBACK_STEPS_MAX: usize = 1_000;

/// The tag before the first sound of a program that begins with speech; marks have others.
pub const FIRST_SOUND: u32 = 0;

/// Tags from here on are before the first and after the last sound of a message, in turn.
const MESSAGES: u32 = 1 << 31;

/// What a tag says about messages: which, by number, and whether it was heard to its end; none where it is a mark.
#[must_use]
pub const fn message_of(tag: u32) -> Option<(u32, bool)> {
    match tag.checked_sub(MESSAGES) {
        Some(tag) => Some((tag / 2, tag % 2 == 1)),
        None => None,
    }
}

/// A message that is being played.
enum Hearing {
    /// Nothing of it was pushed: a jump may pass over all of it.
    Waiting(Heard),
    /// Its number.
    Begun(u32),
}

/// What one program plays, and how much of it.
#[derive(Debug)]
pub struct Order {
    /// The program's number, in every report about it.
    pub program: ProgramId,
    /// What is played.
    pub blueprint: Arc<Blueprint>,
    /// Where it begins.
    pub start: Start,
    /// Where it ends, unless it ends before.
    pub limit: Option<Limit>,
}

/// The engine has let go of the program, or the control loop is gone.
struct Gone;

/// Why feeding stopped before the last step.
enum Stop {
    Gone,
    LimitReached,
}

impl From<Gone> for Stop {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

/// Feeds `pieces` until the blueprint ends, its limit is reached, or it fails.
pub async fn run(
    order: Order,
    pieces: rtrb::Producer<Piece>,
    services: Arc<Services>,
    events: mpsc::Sender<Event>,
) {
    let Order { program, blueprint, start, limit } = order;
    let mut watch = Watch { program, events: Some(events.clone()) };
    let mut feeder = Feeder {
        program,
        pieces,
        events,
        pushed: 0,
        passed: 0,
        ready: false,
        skip: start.skip,
        limit,
        step: start.step,
        clip: false,
        word: 0,
        next_tag: FIRST_SOUND + 1,
        voice: None,
        hearing: None,
        messages: 0,
        text_steps: 0,
    };
    let mut line = Line::new(&blueprint, start.step, services);
    let failure = match feeder.play(&mut line).await {
        Ok(()) | Err(End::Stopped(Stop::LimitReached)) => None,
        Err(End::Stopped(Stop::Gone)) => return,
        Err(End::Failed(failure)) => Some(failure),
    };
    if let Some(failure) = failure
        && tell(&feeder.events, Feed::Failed { program, failure }).await.is_err()
    {
        return;
    }
    if feeder.push(Piece::End).await.is_ok() && feeder.start().await.is_ok() {
        watch.events = None;
    }
}

/// Tells the control loop when a feeder ends before its time: aborted, or by a panic.
struct Watch {
    program: ProgramId,
    /// Gone once everything was told.
    events: Option<mpsc::Sender<Event>>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(events) = &self.events {
            // With the loop's channel full there is no telling; then the call's end tidies up.
            let _ = events.try_send(Event::FeederGone(self.program));
        }
    }
}

enum End {
    Stopped(Stop),
    Failed(Failure),
}

impl From<Stop> for End {
    fn from(stop: Stop) -> Self {
        Self::Stopped(stop)
    }
}

impl From<Gone> for End {
    fn from(_: Gone) -> Self {
        Self::Stopped(Stop::Gone)
    }
}

/// The steps still to come, the next few of them being opened.
struct Line {
    steps: VecDeque<(usize, Step, Option<Opening>)>,
    fallbacks: usize,
    services: Arc<Services>,
}

/// A step that is being opened; dropping it stops that.
struct Opening(JoinHandle<Result<Ready, Failure>>);

impl Drop for Opening {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A step's audio.
#[derive(Debug)]
pub enum Opened {
    /// Speech, as it is made.
    Speech(Chunks),
    /// All of it.
    Clip(Arc<[i16]>),
    /// Pieces of it, as they come.
    Stream(mpsc::Receiver<Result<Arc<[i16]>, sources::PromptError>>),
    /// A live source.
    Live(Arc<audio::live::Ring>),
    /// A message that has only a text: it is spoken.
    Steps(Vec<Step>),
}

/// A step that is open.
#[derive(Debug)]
pub struct Ready {
    /// Its audio.
    pub audio: Opened,
    /// What is to become of it, if it is a message.
    pub heard: Option<Heard>,
}

impl From<Opened> for Ready {
    fn from(audio: Opened) -> Self {
        Self { audio, heard: None }
    }
}

impl Line {
    fn new(blueprint: &Blueprint, from: usize, services: Arc<Services>) -> Self {
        let steps = blueprint
            .steps
            .iter()
            .enumerate()
            .skip(from)
            .map(|(number, step)| (number, step.clone(), None))
            .collect();
        Self { steps, fallbacks: 0, services }
    }

    fn next(&mut self) -> Option<(usize, Step, Option<Opening>)> {
        for (_, step, opening) in self.steps.iter_mut().take(STEPS_AHEAD) {
            if opening.is_none() {
                *opening = open(step, &self.services);
            }
        }
        self.steps.pop_front()
    }

    /// Puts `steps` in place of the step `number`; false when there were too many already.
    fn replace(&mut self, number: usize, steps: Vec<Step>) -> bool {
        self.fallbacks += steps.len();
        for step in steps.into_iter().rev() {
            self.steps.push_front((number, step, None));
        }
        self.fallbacks <= FALLBACK_STEPS_MAX
    }
}

fn open(step: &Step, services: &Arc<Services>) -> Option<Opening> {
    let services = Arc::clone(services);
    let task = match step {
        Step::Silence(_) | Step::Mark(_) => return None,
        Step::Say(say) => {
            let say = say.as_ref().clone();
            tokio::spawn(async move {
                services.say(say).await.map(|chunks| Opened::Speech(chunks).into())
            })
        }
        Step::Play(play) => {
            let (uri, timeout) = (play.uri.clone(), play.fetch_timeout);
            tokio::spawn(async move { open_uri(&services, &uri, timeout).await })
        }
    };
    Some(Opening(task))
}

async fn open_uri(
    services: &Services,
    uri: &PlayUri,
    timeout: Option<Duration>,
) -> Result<Ready, Failure> {
    match uri {
        PlayUri::Source(name) => services.live(name).map(|ring| Opened::Live(ring).into()),
        PlayUri::Prompt(text) => match services.prompts.open(text, timeout).await {
            Ok(prompt) => Ok(Opened::of(prompt).into()),
            Err(error) => Err(prompt_failure(&error)),
        },
        PlayUri::Mail { uri, after } => {
            messages::open(services, uri, after.unwrap_or(After::Keep), timeout).await
        }
        PlayUri::Enclosed { id, media_type, bytes } => {
            let (bytes, hint) = (Arc::clone(bytes), Hint::none().with_media_type(media_type));
            let decoded = tokio::task::spawn_blocking(move || {
                audio::telephone::whole(
                    audio::decode::open_bytes(bytes, &hint)?,
                    ENCLOSED_SAMPLES_MAX,
                )
            });
            let failure = |why: String| Failure::Uri {
                uri: format!("cid:{id}"),
                why,
                cause: "unsupported-format".to_owned(),
            };
            match decoded.await {
                Ok(Ok(samples)) => Ok(Opened::Clip(samples.into()).into()),
                Ok(Err(error)) => Err(failure(error.to_string())),
                Err(error) => Err(failure(error.to_string())),
            }
        }
    }
}

impl Opened {
    /// A prompt that was opened.
    pub fn of(prompt: sources::Prompt) -> Self {
        match prompt {
            sources::Prompt::Whole(samples) => Self::Clip(samples),
            sources::Prompt::Stream(stream) => Self::Stream(stream),
        }
    }
}

/// What ends a request whose prompt cannot be had.
pub fn prompt_failure(error: &sources::PromptError) -> Failure {
    Failure::Uri { uri: error.uri.clone(), why: error.why.to_string(), cause: error.why.cause() }
}

struct Feeder {
    program: ProgramId,
    pieces: rtrb::Producer<Piece>,
    events: mpsc::Sender<Event>,
    pushed: u64,
    /// Samples passed over before the first that is heard.
    passed: u64,
    ready: bool,
    skip: Skip,
    limit: Option<Limit>,
    step: usize,
    /// Whether the step is stored or live audio.
    clip: bool,
    word: u32,
    next_tag: u32,
    /// Who speaks, until its first sound.
    voice: Option<Voiced>,
    /// The message that is being played.
    hearing: Option<Hearing>,
    /// Messages of which something was pushed.
    messages: u32,
    /// Steps of its text that are still to be spoken.
    text_steps: usize,
}

impl Feeder {
    async fn play(&mut self, line: &mut Line) -> Result<(), End> {
        while let Some((number, step, opening)) = line.next() {
            self.step = number;
            self.clip = matches!(step, Step::Play(_));
            self.word = 0;
            self.border(Unit::Step).await?;
            match step {
                Step::Silence(span) => {
                    self.silence(span).await?;
                    self.one_step_spoken().await?;
                }
                Step::Mark(name) => self.mark(name).await?,
                Step::Say(_) => {
                    let ready = opened(opening).await.map_err(End::Failed)?;
                    self.audio(ready.audio, None).await?;
                    self.one_step_spoken().await?;
                }
                Step::Play(play) => {
                    let result = match opened(opening).await {
                        Ok(ready) => self.play_one(ready, &play, (number, &mut *line)).await,
                        Err(failure) => Err(End::Failed(failure)),
                    };
                    match result {
                        Err(End::Failed(failure)) if !play.fallback.is_empty() => {
                            tracing::debug!(program = %self.program, %failure, "fallback content");
                            if !line.replace(number, play.fallback) {
                                return Err(End::Failed(failure));
                            }
                        }
                        other => other?,
                    }
                }
            }
        }
        Ok(())
    }

    /// The place from the start of the program's first step, passed-over samples included.
    const fn at(&self) -> u64 {
        self.passed + self.pushed
    }

    /// Plays what is open, and sees to what is to become of it.
    async fn play_one(
        &mut self,
        ready: Ready,
        play: &Play,
        (number, line): (usize, &mut Line),
    ) -> Result<(), End> {
        self.hearing = ready.heard.map(Hearing::Waiting);
        match ready.audio {
            Opened::Steps(steps) => {
                // The message was heard when the last of these was.
                self.text_steps = steps.len();
                if steps.is_empty() {
                    self.hearing = None;
                }
                let fits = line.replace(number, steps);
                let too_many = || End::Failed(Failure::Error("the text is too long".to_owned()));
                if fits { Ok(()) } else { Err(too_many()) }
            }
            audio @ (Opened::Speech(_) | Opened::Clip(_) | Opened::Stream(_) | Opened::Live(_)) => {
                self.stored(audio, play, line).await?;
                // Of what is cut by its order, nobody heard the end.
                let is_cut = play.to.is_some() || play.at_most.is_some() || play.times < 1.0;
                if is_cut {
                    self.hearing = None;
                    return Ok(());
                }
                Ok(self.message_ends().await?)
            }
        }
    }

    /// The first sound of a message comes next: the engine tells when it is sent.
    async fn message_begins(&mut self) -> Result<(), Stop> {
        self.hearing = match self.hearing.take() {
            Some(Hearing::Waiting(heard)) => {
                let number = self.messages;
                self.messages = number.saturating_add(1);
                let event = Event::Hears { program: self.program, number, heard };
                self.events.send(event).await.map_err(|_| Gone)?;
                self.push(Piece::Tag(MESSAGES | (2 * number))).await?;
                Some(Hearing::Begun(number))
            }
            begun_or_none => begun_or_none,
        };
        Ok(())
    }

    async fn message_ends(&mut self) -> Result<(), Gone> {
        match self.hearing.take() {
            Some(Hearing::Begun(number)) => {
                self.push(Piece::Tag(MESSAGES | (2 * number + 1))).await
            }
            Some(Hearing::Waiting(_)) | None => Ok(()),
        }
    }

    /// Counts one step of a text that is spoken.
    async fn one_step_spoken(&mut self) -> Result<(), Gone> {
        if self.text_steps > 0 {
            self.text_steps -= 1;
            if self.text_steps == 0 {
                self.message_ends().await?;
            }
        }
        Ok(())
    }

    /// Plays one URI as often as asked.
    async fn stored(&mut self, first: Opened, play: &Play, line: &Line) -> Result<(), End> {
        let mut cut = Cut::new(play, self.at());
        let mut opened = first;
        loop {
            let before = self.at();
            if let Opened::Live(ring) = opened {
                return Ok(self.live(ring, play).await?);
            }
            let again = match &opened {
                Opened::Clip(samples) => Some(Arc::clone(samples)),
                Opened::Speech(_) | Opened::Stream(_) | Opened::Live(_) | Opened::Steps(_) => None,
            };
            self.audio(opened, Some(&mut cut)).await?;
            // A time of which nothing is heard would be followed by many like it.
            if self.at() == before || !cut.again(play, self.at()) {
                return Ok(());
            }
            // A long skip may pass over many times at once; others have a right to this thread.
            tokio::task::consume_budget().await;
            opened = match again {
                Some(samples) => Opened::Clip(samples),
                None => open_uri(&line.services, &play.uri, play.fetch_timeout)
                    .await
                    .map(|ready| ready.audio)
                    .map_err(End::Failed)?,
            };
        }
    }

    /// A live source, for as long as the step says; without end nothing after it is ever heard.
    async fn live(&mut self, ring: Arc<audio::live::Ring>, play: &Play) -> Result<(), Stop> {
        let mut samples = play.at_most.or(play.to).map(samples_of);
        match &mut samples {
            Some(samples) => *samples -= self.pass_over(*samples).await?,
            None if matches!(self.skip, Skip::Samples(1..)) => self.arrive().await?,
            None => {}
        }
        if self.skip != Skip::Samples(0) {
            return Ok(());
        }
        let left = match self.limit {
            Some(Limit::Samples(limit)) => Some(limit.saturating_sub(self.pushed)),
            Some(Limit::Units(_, _) | Limit::Mark(_)) | None => None,
        };
        let heard = samples.into_iter().chain(left).min();
        self.push(Piece::Live { ring, samples: heard }).await?;
        self.start().await?;
        self.pushed += heard.unwrap_or(0);
        match heard {
            Some(heard) if left.is_none_or(|left| heard < left) => Ok(()),
            Some(_) | None => Err(Stop::LimitReached),
        }
    }

    async fn audio(&mut self, opened: Opened, mut cut: Option<&mut Cut>) -> Result<(), End> {
        match opened {
            Opened::Live(_) | Opened::Steps(_) => Ok(()),
            Opened::Clip(samples) => {
                if let Some(cut) = &mut cut {
                    cut.last_share(samples.len());
                }
                self.clip(&samples, cut.as_deref_mut()).await?;
                Ok(self.flush(cut).await?)
            }
            Opened::Stream(mut stream) => {
                while let Some(block) = stream.recv().await {
                    let block = block.map_err(|error| End::Failed(prompt_failure(&error)))?;
                    self.clip(&block, cut.as_deref_mut()).await?;
                    if cut.as_ref().is_some_and(|cut| cut.is_over(self.at())) {
                        break;
                    }
                }
                Ok(self.flush(cut).await?)
            }
            Opened::Speech(mut chunks) => {
                while let Some(chunk) = chunks.recv().await {
                    match chunk {
                        Ok(speech::Chunk::Samples(block)) => {
                            self.first_sound().await?;
                            self.clip(&block, None).await?;
                        }
                        Ok(speech::Chunk::Mark(name)) => self.mark(name).await?,
                        Ok(speech::Chunk::Word) => self.word().await?,
                        Ok(speech::Chunk::Sentence) => self.border(Unit::Sentence).await?,
                        Ok(speech::Chunk::Paragraph) => self.border(Unit::Paragraph).await?,
                        Ok(speech::Chunk::Voice { provider, voice }) => {
                            self.voice = Some(Voiced { provider, voice, cached: false });
                        }
                        Ok(speech::Chunk::Kept) => {
                            if let Some(voiced) = &mut self.voice {
                                voiced.cached = true;
                            }
                        }
                        Err(error) => {
                            return Err(End::Failed(crate::services::speech_failure(&error)));
                        }
                    }
                }
                Ok(())
            }
        }
    }

    /// Pushes samples, cut and shaped, less what is still to be skipped.
    async fn clip(&mut self, samples: &Arc<[i16]>, cut: Option<&mut Cut>) -> Result<(), Stop> {
        let Some(cut) = cut else { return self.samples(samples, 0, samples.len()).await };
        let (from, to) = cut.window(samples.len());
        if let Some(shape) = &mut cut.shape {
            for block in samples.get(from..to).unwrap_or_default().chunks(SHAPE_SAMPLES) {
                let shaped = shape.apply(block);
                let room = cut_room(cut.ends_at, self.at(), shaped.len());
                self.samples(&shaped, 0, room).await?;
                if room < shaped.len() {
                    return Ok(());
                }
            }
            return Ok(());
        }
        let room = cut_room(cut.ends_at, self.at(), to - from);
        self.samples(samples, from, from + room).await
    }

    async fn flush(&mut self, cut: Option<&mut Cut>) -> Result<(), Stop> {
        let Some(cut) = cut else { return Ok(()) };
        let Some(shape) = &mut cut.shape else { return Ok(()) };
        let rest = shape.finish();
        let room = cut_room(cut.ends_at, self.at(), rest.len());
        self.samples(&rest, 0, room).await
    }

    async fn samples(&mut self, samples: &Arc<[i16]>, from: usize, to: usize) -> Result<(), Stop> {
        let passed = self.pass_over((to - from) as u64).await?;
        let from = from + usize::try_from(passed).unwrap_or(usize::MAX);
        let mut to = to;
        let mut over = false;
        if let Some(Limit::Samples(limit)) = self.limit {
            let left = usize::try_from(limit.saturating_sub(self.pushed)).unwrap_or(usize::MAX);
            over = to - from >= left;
            to = from + (to - from).min(left);
        }
        if from < to {
            self.message_begins().await?;
            self.push(Piece::Clip { samples: Arc::clone(samples), from, to }).await?;
            self.pushed += (to - from) as u64;
        }
        if self.pushed >= READY_SAMPLES {
            self.start().await?;
        }
        if over { Err(Stop::LimitReached) } else { Ok(()) }
    }

    async fn silence(&mut self, span: Duration) -> Result<(), Stop> {
        let mut samples = samples_of(span);
        samples -= self.pass_over(samples).await?;
        if let Some(Limit::Samples(limit)) = self.limit {
            samples = samples.min(limit.saturating_sub(self.pushed));
        }
        if samples > 0 {
            self.message_begins().await?;
            self.push(Piece::Silence { samples }).await?;
            self.pushed += samples;
        }
        if self.pushed >= READY_SAMPLES {
            self.start().await?;
        }
        match self.limit {
            Some(Limit::Samples(limit)) if self.pushed >= limit => Err(Stop::LimitReached),
            Some(Limit::Samples(_) | Limit::Units(_, _) | Limit::Mark(_)) | None => Ok(()),
        }
    }

    /// How many of the next `samples` are not heard; tells where the first is that is.
    async fn pass_over(&mut self, samples: u64) -> Result<u64, Stop> {
        let passed = match &mut self.skip {
            Skip::Samples(0) => return Ok(0),
            Skip::Samples(left) => {
                let passed = samples.min(*left);
                *left -= passed;
                passed
            }
            Skip::Units(_, _) | Skip::Mark(_) => samples,
        };
        self.passed += passed;
        if self.skip == Skip::Samples(0) {
            self.arrive().await?;
        }
        Ok(passed)
    }

    /// From here on it is heard.
    async fn arrive(&mut self) -> Result<(), Stop> {
        self.skip = Skip::Samples(0);
        let skipped = Feed::Skipped { program: self.program, samples: self.passed };
        Ok(tell(&self.events, skipped).await?)
    }

    async fn mark(&mut self, name: String) -> Result<(), Stop> {
        match &self.skip {
            Skip::Samples(0) => {}
            Skip::Mark(wanted) if **wanted == *name => self.arrive().await?,
            Skip::Samples(_) | Skip::Units(_, _) | Skip::Mark(_) => return Ok(()),
        }
        if matches!(&self.limit, Some(Limit::Mark(last)) if **last == *name) {
            return Err(Stop::LimitReached);
        }
        let tag = self.next_tag;
        self.next_tag += 1;
        // The name goes first, so that whoever hears of the tag knows it.
        tell(&self.events, Feed::Mark { program: self.program, tag, name }).await?;
        Ok(self.push(Piece::Tag(tag)).await?)
    }

    /// Where the program begins with speech, the engine tells when its first sound is sent.
    async fn first_sound(&mut self) -> Result<(), Stop> {
        let Some(voiced) = self.voice.take() else { return Ok(()) };
        if self.pushed > 0 || self.skip != Skip::Samples(0) {
            return Ok(());
        }
        let event = Event::Speaks { program: self.program, voiced };
        self.events.send(event).await.map_err(|_| Gone)?;
        Ok(self.push(Piece::Tag(FIRST_SOUND)).await?)
    }

    async fn word(&mut self) -> Result<(), Stop> {
        self.border(Unit::Word).await?;
        self.word = self.word.saturating_add(1);
        Ok(())
    }

    /// Something begins here. What is passed over is told too, so that a jump back finds it.
    async fn border(&mut self, unit: Unit) -> Result<(), Stop> {
        let clip = self.clip;
        // A clip has no words: it counts as one of whatever is counted.
        let counts = |counted: Unit| unit == counted || unit == Unit::Step && clip;
        if let Skip::Units(counted, left) = &mut self.skip
            && counts(*counted)
        {
            match left.checked_sub(1) {
                Some(less) => *left = less,
                None => self.arrive().await?,
            }
        }
        if self.skip == Skip::Samples(0)
            && let Some(Limit::Units(counted, left)) = &mut self.limit
            && counts(*counted)
        {
            *left = left.checked_sub(1).ok_or(Stop::LimitReached)?;
        }
        let border = Border { at: self.at(), unit, step: self.step, word: self.word };
        Ok(tell(&self.events, Feed::Border { program: self.program, border }).await?)
    }

    async fn start(&mut self) -> Result<(), Gone> {
        if self.ready {
            return Ok(());
        }
        self.ready = true;
        tell(&self.events, Feed::Ready { program: self.program }).await
    }

    async fn push(&mut self, piece: Piece) -> Result<(), Gone> {
        let mut piece = piece;
        loop {
            match self.pieces.push(piece) {
                Ok(()) => return Ok(()),
                Err(rtrb::PushError::Full(back)) => {
                    // A program that never started would wait for ever: a full ring is ready.
                    self.start().await?;
                    if self.pieces.is_abandoned() {
                        return Err(Gone);
                    }
                    piece = back;
                    tokio::time::sleep(FULL_WAIT).await;
                }
            }
        }
    }
}

async fn tell(events: &mpsc::Sender<Event>, feed: Feed) -> Result<(), Gone> {
    events.send(Event::Feed(feed)).await.map_err(|_| Gone)
}

async fn opened(opening: Option<Opening>) -> Result<Ready, Failure> {
    let Some(mut opening) = opening else {
        return Err(Failure::Error("a step was not opened".to_owned()));
    };
    (&mut opening.0).await.unwrap_or_else(|error| Err(Failure::Error(error.to_string())))
}

/// Which part of stored audio is heard, and how it is shaped.
struct Cut {
    /// Samples of the clip still to pass over, and still to play.
    skip: u64,
    left: u64,
    /// The place, counted as in borders, at which it ends for good.
    ends_at: Option<u64>,
    times: f32,
    shape: Option<Shape>,
}

impl Cut {
    fn new(play: &Play, at: u64) -> Self {
        let mut cut = Self {
            skip: 0,
            left: 0,
            ends_at: play.at_most.map(|span| at.saturating_add(samples_of(span))),
            times: if play.at_most.is_some() && play.times <= 1.0 { f32::MAX } else { play.times },
            shape: None,
        };
        cut.rewind(play);
        cut
    }

    fn rewind(&mut self, play: &Play) {
        self.skip = samples_of(play.from);
        self.left = play.to.map_or(u64::MAX, |to| samples_of(to.saturating_sub(play.from)));
        self.shape = Shape::of(play);
    }

    /// Cuts the last time short where the count is a fraction.
    fn last_share(&mut self, length: usize) {
        if self.times < 1.0 {
            let heard = (length as u64).saturating_sub(self.skip).min(self.left);
            // Thousandths are as fine as anybody writes a fraction of a repeat.
            self.left = heard * thousandths(self.times) / 1_000;
        }
    }

    /// Counts one time played; true when it is to be heard again.
    fn again(&mut self, play: &Play, at: u64) -> bool {
        self.times -= 1.0;
        if self.times < 0.01 || self.ends_at.is_some_and(|end| at >= end) {
            return false;
        }
        self.rewind(play);
        true
    }

    fn is_over(&self, at: u64) -> bool {
        self.left == 0 || self.ends_at.is_some_and(|end| at >= end)
    }

    /// The part of the next `length` samples that is heard.
    fn window(&mut self, length: usize) -> (usize, usize) {
        let from = length.min(usize::try_from(self.skip).unwrap_or(usize::MAX));
        self.skip -= from as u64;
        let to = from + (length - from).min(usize::try_from(self.left).unwrap_or(usize::MAX));
        self.left -= (to - from) as u64;
        (from, to)
    }
}

/// Speed and level of stored audio.
struct Shape {
    stretch: Option<audio::stretch::Stretcher>,
    limiter: audio::Limiter,
}

impl Shape {
    fn of(play: &Play) -> Option<Self> {
        let faster = (play.speed - 1.0).abs() > 0.001;
        let louder = play.level_db.abs() > 0.01;
        (faster || louder).then(|| Self {
            stretch: faster.then(|| audio::stretch::Stretcher::new(play.speed)),
            limiter: audio::Limiter::new(audio::Gain::from_db(play.level_db)),
        })
    }

    fn apply(&mut self, samples: &[i16]) -> Arc<[i16]> {
        let mut out = Vec::with_capacity(samples.len());
        match &mut self.stretch {
            Some(stretch) => stretch.process(samples, &mut out),
            None => out.extend_from_slice(samples),
        }
        self.limiter.apply(&mut out);
        out.into()
    }

    fn finish(&mut self) -> Arc<[i16]> {
        let mut out = Vec::new();
        if let Some(stretch) = &mut self.stretch {
            stretch.finish(&mut out);
        }
        self.limiter.apply(&mut out);
        out.into()
    }
}

fn cut_room(ends_at: Option<u64>, at: u64, wanted: usize) -> usize {
    ends_at.map_or(wanted, |end| {
        wanted.min(usize::try_from(end.saturating_sub(at)).unwrap_or(usize::MAX))
    })
}

/// A fraction below one, in thousandths.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it lies in 0 to 1000")]
fn thousandths(fraction: f32) -> u64 {
    (fraction.clamp(0.0, 1.0) * 1_000.0) as u64
}

/// A span in samples at 8 kHz.
fn samples_of(span: Duration) -> u64 {
    u64::try_from(span.as_micros() * 8 / 1_000).unwrap_or(u64::MAX)
}

//! What one call hears: the utterance that plays, its changes on the way, and those that wait.
//!
//! Two channels of one call (a `speechsynth` and a `basicsynth`) share its audio stream; what the
//! second wants to play waits until the first is done.

use std::collections::{BTreeMap, VecDeque};
use std::mem;
use std::sync::Arc;

use vocab::SessionId;

use crate::blueprint::Blueprint;
use crate::event::{Effect, Failure, Feed, ProgramId};
use crate::position::{Border, Jump, Limit, Skip, Start, Timeline};

/// Utterances of one call that may wait for its stream; each channel plays one at a time.
const WAITING_MAX: usize = 8;

/// Marks whose passing is still to come that are kept for one program.
const MARKS_MAX: usize = 10_000;

/// Who wants something played: the number that the owner of the player gives its utterance.
pub type Ticket = u64;

/// Something to play.
#[derive(Clone, Debug)]
pub struct Utterance {
    /// Names it in every [`Notice`].
    pub ticket: Ticket,
    /// What is heard.
    pub blueprint: Arc<Blueprint>,
    /// Where it begins.
    pub start: Start,
    /// How much of it is heard.
    pub limit: Option<Limit>,
    /// What the client wants to find it by in the log. RFC 6787 §6.2.14.
    pub logging_tag: Option<Arc<str>>,
}

/// A change to what is playing; the jump comes first.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// Names it in [`Notice::Changed`].
    pub control: u32,
    /// Forward or back.
    pub jump: Option<Jump>,
    /// The same words in another voice or at another rate.
    pub restate: Option<Arc<Blueprint>>,
    /// End after so much more.
    pub limit: Option<Limit>,
}

/// What the player tells its owner.
#[derive(Clone, Debug, PartialEq)]
pub enum Notice {
    /// A mark was passed.
    Mark {
        /// Whose.
        ticket: Ticket,
        /// The mark's name.
        name: String,
        /// When, as NTP time.
        at: mrcp::NtpTime,
    },
    /// A change has taken effect.
    Changed {
        /// Whose.
        ticket: Ticket,
        /// Which change.
        control: u32,
        /// Whether a jump went back beyond the beginning.
        restarted: bool,
    },
    /// The utterance is over.
    Done {
        /// Whose.
        ticket: Ticket,
        /// Why, unless it was played to its end.
        failure: Option<Failure>,
    },
}

/// One call's player.
#[derive(Debug)]
pub struct Player {
    session: SessionId,
    stream: Stream,
    playing: Option<Playing>,
    waiting: VecDeque<Turn>,
}

/// Whether the call has a stream to play into.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stream {
    Closed,
    Open,
}

/// An utterance, and how far it has come.
#[derive(Debug)]
struct Turn {
    utterance: Utterance,
    pace: Pace,
    gain_db: f32,
    /// Where in the utterance the beginning of the program's first step lies, in samples.
    origin: u64,
    /// Where in the utterance the program's first sample lies.
    base: Base,
    timeline: Timeline,
}

/// Where in the utterance a program's first sample lies.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Base {
    /// Here.
    At(u64),
    /// The feeder still counts its way there, in words or to a mark; the jump began here.
    Sought(u64),
}

#[derive(Debug)]
struct Playing {
    turn: Turn,
    program: ProgramId,
    stage: Stage,
    marks: BTreeMap<u32, String>,
    failure: Option<Failure>,
}

#[derive(Debug)]
enum Stage {
    /// The feeder opens and fills.
    Preparing,
    /// The feeder is ready, and there is no stream.
    Ready,
    /// The engine plays.
    Started,
    /// The engine was told to stop, for these changes.
    Halting(Vec<Change>),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Pace {
    Running,
    Paused,
}

/// Changes that may gather while the engine stops; more of them replace the last.
const CHANGES_MAX: usize = 8;

impl Player {
    /// A silent player without a stream.
    pub const fn new(session: SessionId) -> Self {
        Self { session, stream: Stream::Closed, playing: None, waiting: VecDeque::new() }
    }

    /// The program that plays or is prepared.
    pub fn program(&self) -> Option<ProgramId> {
        self.playing.as_ref().map(|playing| playing.program)
    }

    /// What plays or is prepared, for pages.
    pub fn playing(&self) -> Option<(ProgramId, Arc<Blueprint>)> {
        let playing = self.playing.as_ref()?;
        Some((playing.program, Arc::clone(&playing.turn.utterance.blueprint)))
    }

    /// There is a stream now: what is ready begins.
    pub fn opened(&mut self, out: &mut Vec<Effect>) {
        self.stream = Stream::Open;
        let session = self.session;
        if let Some(playing) = &mut self.playing
            && matches!(playing.stage, Stage::Ready)
        {
            playing.start(session, out);
        }
    }

    /// The stream is about to go: what plays keeps its place until there is another.
    pub fn closed(&mut self, out: &mut Vec<Effect>) {
        self.stream = Stream::Closed;
        if let Some(playing) = &mut self.playing
            && matches!(playing.stage, Stage::Started)
        {
            out.push(Effect::Halt { session: self.session, program: playing.program });
            playing.stage = Stage::Halting(Vec::new());
        }
    }

    /// Plays `utterance`, or lets it wait; false when too many wait already.
    pub fn play(&mut self, utterance: Utterance, ids: &mut Ids, out: &mut Vec<Effect>) -> bool {
        let turn = Turn::new(utterance);
        if self.playing.is_none() {
            self.begin(turn, ids, out);
            return true;
        }
        if self.waiting.len() >= WAITING_MAX {
            return false;
        }
        self.waiting.push_back(turn);
        true
    }

    /// Drops the utterance, whether it plays or waits. Nothing is told of it any more.
    pub fn drop_utterance(&mut self, ticket: Ticket, ids: &mut Ids, out: &mut Vec<Effect>) {
        self.waiting.retain(|turn| turn.utterance.ticket != ticket);
        let dropped = self.playing.take_if(|playing| playing.turn.utterance.ticket == ticket);
        if let Some(playing) = dropped {
            if !matches!(playing.stage, Stage::Halting(_)) {
                out.push(Effect::Halt { session: self.session, program: playing.program });
            }
            self.next(ids, out);
        }
    }

    /// Stops sending and keeps the place.
    pub fn pause(&mut self, ticket: Ticket, out: &mut Vec<Effect>) {
        let session = self.session;
        if self.set_pace(ticket, Pace::Paused) {
            out.push(Effect::Pause { session });
        }
    }

    /// Goes on from the place.
    pub fn resume(&mut self, ticket: Ticket, out: &mut Vec<Effect>) {
        let session = self.session;
        if self.set_pace(ticket, Pace::Running) {
            out.push(Effect::Resume { session });
        }
    }

    /// Whether the engine must be told.
    fn set_pace(&mut self, ticket: Ticket, pace: Pace) -> bool {
        if let Some(turn) = self.waits(ticket) {
            turn.pace = pace;
            return false;
        }
        let Some(playing) = self.mine(ticket) else { return false };
        playing.turn.pace = pace;
        matches!(playing.stage, Stage::Started)
    }

    /// Changes what plays or waits. For what plays it takes a packet or two: the engine stops, says
    /// where it was, and a new program begins there.
    pub fn change(
        &mut self,
        ticket: Ticket,
        change: Change,
        out: &mut Vec<Effect>,
    ) -> Option<Notice> {
        let session = self.session;
        if let Some(turn) = self.waits(ticket) {
            return turn.land(0, vec![change]).pop();
        }
        let playing = self.mine(ticket)?;
        if change.restate.is_some() {
            // The volume is in the samples that are to come.
            playing.turn.gain_db = 0.0;
        }
        let changes = match mem::replace(&mut playing.stage, Stage::Preparing) {
            Stage::Halting(mut changes) => {
                if changes.len() >= CHANGES_MAX {
                    changes.pop();
                }
                changes.push(change);
                changes
            }
            Stage::Preparing | Stage::Ready | Stage::Started => {
                out.push(Effect::Halt { session, program: playing.program });
                vec![change]
            }
        };
        playing.stage = Stage::Halting(changes);
        None
    }

    /// A feeder's word.
    pub fn feed(&mut self, feed: Feed, out: &mut Vec<Effect>) {
        let (session, stream) = (self.session, self.stream);
        // A feeder that was halted may still have words on the way.
        let Some(playing) =
            self.playing.as_mut().filter(|playing| playing.program == feed.program())
        else {
            return;
        };
        match feed {
            Feed::Ready { .. } => match (&playing.stage, stream) {
                (Stage::Preparing, Stream::Open) => playing.start(session, out),
                (Stage::Preparing, Stream::Closed) => playing.stage = Stage::Ready,
                (Stage::Ready | Stage::Started | Stage::Halting(_), _) => {}
            },
            Feed::Mark { tag, name, .. } => {
                if playing.marks.len() < MARKS_MAX {
                    playing.marks.insert(tag, name);
                }
            }
            Feed::Border { border, .. } => {
                let at = border.at.saturating_add(playing.turn.origin);
                playing.turn.timeline.note(Border { at, ..border });
            }
            Feed::Skipped { samples, .. } => {
                playing.turn.base = Base::At(playing.turn.origin.saturating_add(samples));
            }
            Feed::Failed { failure, .. } => playing.failure = Some(failure),
        }
    }

    /// The engine passed a tag.
    pub fn passed(&mut self, program: ProgramId, tag: u32, at: mrcp::NtpTime) -> Option<Notice> {
        let playing = self.playing.as_mut().filter(|playing| playing.program == program)?;
        let name = playing.marks.remove(&tag)?;
        Some(Notice::Mark { ticket: playing.turn.utterance.ticket, name, at })
    }

    /// Which call's player it is.
    pub const fn session(&self) -> SessionId {
        self.session
    }

    /// Whose program that is, if it is the one being played.
    pub fn ticket(&self, program: ProgramId) -> Option<Ticket> {
        let playing = self.playing.as_ref().filter(|playing| playing.program == program)?;
        Some(playing.turn.utterance.ticket)
    }

    /// The engine played the program to its end.
    pub fn finished(
        &mut self,
        program: ProgramId,
        ids: &mut Ids,
        out: &mut Vec<Effect>,
    ) -> Option<Notice> {
        let done = self.playing.take_if(|playing| playing.program == program)?;
        self.next(ids, out);
        Some(Notice::Done { ticket: done.turn.utterance.ticket, failure: done.failure })
    }

    /// The engine dropped the program at `at` samples: time for the changes it was halted for.
    pub fn stopped(
        &mut self,
        program: ProgramId,
        at: u64,
        ids: &mut Ids,
        out: &mut Vec<Effect>,
    ) -> Vec<Notice> {
        let Some(mut playing) = self.playing.take_if(|playing| playing.program == program) else {
            return Vec::new();
        };
        let changes = match playing.stage {
            Stage::Halting(changes) => changes,
            // Dropped by somebody else: it goes on where it was.
            Stage::Preparing | Stage::Ready | Stage::Started => Vec::new(),
        };
        let notices = playing.turn.land(at, changes);
        self.begin(playing.turn, ids, out);
        notices
    }

    /// Louder or softer from the next packet on, against the material as it is.
    pub fn gain(&mut self, ticket: Ticket, db: f32, out: &mut Vec<Effect>) {
        let session = self.session;
        if let Some(turn) = self.waits(ticket) {
            turn.gain_db = db;
        } else if let Some(playing) = self.mine(ticket) {
            playing.turn.gain_db = db;
            if matches!(playing.stage, Stage::Started) {
                out.push(Effect::Gain { session, db });
            }
        }
    }

    fn mine(&mut self, ticket: Ticket) -> Option<&mut Playing> {
        self.playing.as_mut().filter(|playing| playing.turn.utterance.ticket == ticket)
    }

    fn waits(&mut self, ticket: Ticket) -> Option<&mut Turn> {
        self.waiting.iter_mut().find(|turn| turn.utterance.ticket == ticket)
    }

    fn begin(&mut self, turn: Turn, ids: &mut Ids, out: &mut Vec<Effect>) {
        let program = ids.next();
        out.push(prepare(self.session, program, &turn.utterance));
        let (stage, marks) = (Stage::Preparing, BTreeMap::new());
        self.playing = Some(Playing { turn, program, stage, marks, failure: None });
    }

    fn next(&mut self, ids: &mut Ids, out: &mut Vec<Effect>) {
        if let Some(turn) = self.waiting.pop_front() {
            self.begin(turn, ids, out);
        }
    }
}

impl Playing {
    fn start(&mut self, session: SessionId, out: &mut Vec<Effect>) {
        self.stage = Stage::Started;
        let gain_db = self.turn.gain_db;
        out.push(Effect::Start { session, program: self.program, gain_db });
        if self.turn.pace == Pace::Paused {
            out.push(Effect::Pause { session });
        }
    }
}

impl Turn {
    fn new(utterance: Utterance) -> Self {
        let (origin, base) = (0, Base::of(&utterance.start, 0));
        let timeline = Timeline::default();
        Self { utterance, pace: Pace::Running, gain_db: 0.0, origin, base, timeline }
    }

    /// Finds the place from which the changed utterance goes on, after `played` samples of it.
    fn land(&mut self, played: u64, changes: Vec<Change>) -> Vec<Notice> {
        let (known, at) = match self.base {
            Base::At(base) => (true, base.saturating_add(played)),
            Base::Sought(from) => (false, from),
        };
        self.count_down(played, at);
        let mut landing = self.timeline.resume(at);
        if !known {
            landing.start = self.utterance.start.clone();
            landing.origin = self.origin;
        }
        let mut notices = Vec::new();
        for change in changes {
            let mut restarted = false;
            if let Some(jump) = &change.jump {
                landing = self.timeline.jump(landing.at, jump);
                restarted = landing.restarted;
                if let Some(Limit::Units(_, left)) = &mut self.utterance.limit {
                    // The one that was being heard may be heard again.
                    *left = (*left).max(1);
                }
            }
            if let Some(blueprint) = change.restate {
                self.utterance.blueprint = blueprint;
                if change.jump.is_none() && known {
                    landing = self.timeline.restate(landing.at);
                }
            }
            if change.limit.is_some() {
                self.utterance.limit = change.limit;
            }
            let ticket = self.utterance.ticket;
            notices.push(Notice::Changed { ticket, control: change.control, restarted });
        }
        if self.utterance.blueprint.is_live() {
            // It is heard as it is now.
            landing.start.skip = Skip::Samples(0);
        }
        self.timeline.forget_after(landing.at);
        self.origin = landing.origin;
        self.base = match landing.start.skip {
            Skip::Samples(_) => Base::At(landing.at),
            Skip::Units(..) | Skip::Mark(_) => Base::Sought(landing.at),
        };
        self.utterance.start = landing.start;
        notices
    }

    /// Takes what was heard off the limit.
    fn count_down(&mut self, played: u64, at: u64) {
        match &mut self.utterance.limit {
            Some(Limit::Samples(left)) => *left = left.saturating_sub(played),
            Some(Limit::Units(unit, left)) => {
                if let Base::At(base) = self.base {
                    *left = left.saturating_sub(self.timeline.begun(*unit, base, at));
                }
            }
            Some(Limit::Mark(_)) | None => {}
        }
    }
}

impl Base {
    /// Where a program that begins so, in a step that lies at `origin`, has its first sample.
    const fn of(start: &Start, origin: u64) -> Self {
        match start.skip {
            Skip::Samples(samples) => Self::At(origin.saturating_add(samples)),
            Skip::Units(..) | Skip::Mark(_) => Self::Sought(origin),
        }
    }
}

/// Issues program numbers.
#[derive(Debug, Default)]
pub struct Ids(u64);

impl Ids {
    fn next(&mut self) -> ProgramId {
        self.0 += 1;
        ProgramId::from_number(self.0)
    }
}

fn prepare(session: SessionId, program: ProgramId, utterance: &Utterance) -> Effect {
    Effect::Prepare {
        session,
        program,
        blueprint: Arc::clone(&utterance.blueprint),
        start: utterance.start.clone(),
        limit: utterance.limit.clone(),
        logging_tag: utterance.logging_tag.clone(),
    }
}

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
use crate::position::{Border, Jump, Landing, Limit, Start, Timeline};

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
    playing: Option<Playing>,
    waiting: VecDeque<Utterance>,
}

#[derive(Debug)]
struct Playing {
    utterance: Utterance,
    program: ProgramId,
    stage: Stage,
    pace: Pace,
    /// Samples of the utterance before the program's first.
    base: u64,
    timeline: Timeline,
    marks: BTreeMap<u32, String>,
    failure: Option<Failure>,
    gain_db: f32,
}

#[derive(Debug)]
enum Stage {
    /// The feeder opens and fills.
    Preparing,
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
    /// A silent player.
    pub const fn new(session: SessionId) -> Self {
        Self { session, playing: None, waiting: VecDeque::new() }
    }

    /// The program that plays or is prepared.
    pub fn program(&self) -> Option<ProgramId> {
        self.playing.as_ref().map(|playing| playing.program)
    }

    /// What plays, for pages and logs.
    pub fn blueprint(&self) -> Option<&Blueprint> {
        self.playing.as_ref().map(|playing| playing.utterance.blueprint.as_ref())
    }

    /// Plays `utterance`, or lets it wait; false when too many wait already.
    pub fn play(&mut self, utterance: Utterance, ids: &mut Ids, out: &mut Vec<Effect>) -> bool {
        if self.playing.is_some() {
            if self.waiting.len() >= WAITING_MAX {
                return false;
            }
            self.waiting.push_back(utterance);
            return true;
        }
        let program = ids.next();
        out.push(prepare(self.session, program, &utterance));
        self.playing = Some(Playing {
            utterance,
            program,
            stage: Stage::Preparing,
            pace: Pace::Running,
            base: 0,
            timeline: Timeline::default(),
            marks: BTreeMap::new(),
            failure: None,
            gain_db: 0.0,
        });
        true
    }

    /// Drops the utterance, whether it plays or waits. Nothing is told of it any more.
    pub fn drop_utterance(&mut self, ticket: Ticket, ids: &mut Ids, out: &mut Vec<Effect>) {
        self.waiting.retain(|utterance| utterance.ticket != ticket);
        if let Some(playing) = self.playing.take_if(|playing| playing.utterance.ticket == ticket) {
            out.push(Effect::Halt { session: self.session, program: playing.program });
            self.next(ids, out);
        }
    }

    /// Stops sending and keeps the place.
    pub fn pause(&mut self, ticket: Ticket, out: &mut Vec<Effect>) {
        let session = self.session;
        if let Some(playing) = self.mine(ticket) {
            playing.pace = Pace::Paused;
            if matches!(playing.stage, Stage::Started) {
                out.push(Effect::Pause { session });
            }
        }
    }

    /// Goes on from the place.
    pub fn resume(&mut self, ticket: Ticket, out: &mut Vec<Effect>) {
        let session = self.session;
        if let Some(playing) = self.mine(ticket) {
            playing.pace = Pace::Running;
            if matches!(playing.stage, Stage::Started) {
                out.push(Effect::Resume { session });
            }
        }
    }

    /// Changes what plays. A change takes a packet or two: the engine stops, says where it was, and
    /// a new program begins there.
    pub fn change(&mut self, ticket: Ticket, change: Change, out: &mut Vec<Effect>) {
        let session = self.session;
        let Some(playing) = self.mine(ticket) else { return };
        let changes = match mem::replace(&mut playing.stage, Stage::Preparing) {
            Stage::Halting(mut changes) => {
                if changes.len() >= CHANGES_MAX {
                    changes.pop();
                }
                changes.push(change);
                changes
            }
            Stage::Preparing | Stage::Started => {
                out.push(Effect::Halt { session, program: playing.program });
                vec![change]
            }
        };
        playing.stage = Stage::Halting(changes);
    }

    /// A feeder's word.
    pub fn feed(&mut self, feed: Feed, out: &mut Vec<Effect>) {
        let session = self.session;
        let Some(playing) = &mut self.playing else { return };
        match feed {
            Feed::Ready { program } if program == playing.program => {
                if matches!(playing.stage, Stage::Preparing) {
                    playing.stage = Stage::Started;
                    out.push(Effect::Start { session, program, gain_db: playing.gain_db });
                    if playing.pace == Pace::Paused {
                        out.push(Effect::Pause { session });
                    }
                }
            }
            Feed::Mark { program, tag, name } if program == playing.program => {
                if playing.marks.len() < MARKS_MAX {
                    playing.marks.insert(tag, name);
                }
            }
            Feed::Border { program, border } if program == playing.program => {
                let at = border.at.saturating_add(playing.base);
                playing.timeline.note(Border { at, ..border });
            }
            Feed::Failed { program, failure } if program == playing.program => {
                playing.failure = Some(failure);
            }
            // A feeder that was halted may still have words on the way.
            Feed::Ready { .. } | Feed::Mark { .. } | Feed::Border { .. } | Feed::Failed { .. } => {}
        }
    }

    /// The engine passed a tag.
    pub fn passed(&mut self, program: ProgramId, tag: u32, at: mrcp::NtpTime) -> Option<Notice> {
        let playing = self.playing.as_mut().filter(|playing| playing.program == program)?;
        let name = playing.marks.remove(&tag)?;
        Some(Notice::Mark { ticket: playing.utterance.ticket, name, at })
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
        Some(Notice::Done { ticket: done.utterance.ticket, failure: done.failure })
    }

    /// The engine dropped the program at `at` samples: time for the changes it was halted for.
    pub fn stopped(
        &mut self,
        program: ProgramId,
        at: u64,
        ids: &mut Ids,
        out: &mut Vec<Effect>,
    ) -> Vec<Notice> {
        let session = self.session;
        let Some(playing) = self.playing.as_mut().filter(|playing| playing.program == program)
        else {
            return Vec::new();
        };
        let Stage::Halting(changes) = mem::replace(&mut playing.stage, Stage::Preparing) else {
            // Dropped by somebody else (the stream was released): the utterance ends with the call.
            return Vec::new();
        };
        if let Some(Limit::Samples(left)) = &mut playing.utterance.limit {
            *left = left.saturating_sub(at);
        }
        let notices = playing.land(playing.base.saturating_add(at), changes);
        playing.program = ids.next();
        out.push(prepare(session, playing.program, &playing.utterance));
        notices
    }

    /// Louder or softer from the next packet on, against the material as it is.
    pub fn gain(&mut self, ticket: Ticket, db: f32, out: &mut Vec<Effect>) {
        let session = self.session;
        if let Some(playing) = self.mine(ticket) {
            playing.gain_db = db;
            if matches!(playing.stage, Stage::Started) {
                out.push(Effect::Gain { session, db });
            }
        }
    }

    fn mine(&mut self, ticket: Ticket) -> Option<&mut Playing> {
        self.playing.as_mut().filter(|playing| playing.utterance.ticket == ticket)
    }

    fn next(&mut self, ids: &mut Ids, out: &mut Vec<Effect>) {
        if let Some(utterance) = self.waiting.pop_front() {
            self.play(utterance, ids, out);
        }
    }
}

impl Playing {
    /// Finds the place from which the changed utterance goes on.
    fn land(&mut self, at: u64, changes: Vec<Change>) -> Vec<Notice> {
        let mut landing = Landing { start: self.timeline.resume(at), at, restarted: false };
        if self.timeline.is_empty() {
            landing.start = self.utterance.start.clone();
        }
        let mut notices = Vec::new();
        for change in changes {
            let mut restarted = false;
            if let Some(jump) = &change.jump {
                landing = self.timeline.jump(landing.at, jump);
                restarted = landing.restarted;
            }
            if let Some(blueprint) = change.restate {
                self.utterance.blueprint = blueprint;
                self.gain_db = 0.0;
                if change.jump.is_none() {
                    landing = self.timeline.restate(landing.at);
                }
            }
            if change.limit.is_some() {
                self.utterance.limit = change.limit;
            }
            let ticket = self.utterance.ticket;
            notices.push(Notice::Changed { ticket, control: change.control, restarted });
        }
        self.timeline.forget_after(landing.at);
        self.marks.clear();
        self.failure = None;
        self.base = landing.at;
        self.utterance.start = landing.start;
        notices
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
    }
}

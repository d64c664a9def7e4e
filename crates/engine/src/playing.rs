use std::sync::Arc;

use audio::live::{Ring, UNIT_MS, UNIT_SAMPLES};
use audio::{Gain, Law, Limiter, g711};

use crate::clock::Mono;
use crate::desk::Desk;
use crate::program::{Piece, Program, ProgramId};
use crate::report::{Report, Retired, StreamKey};
use crate::shares::Hold;
use crate::stats::StreamStats;

/// Pieces that one packet may begin with; what comes behind them waits for the next.
pub(crate) const PIECES_PER_PACKET_MAX: usize = 64;

/// How far behind the clock live sources are heard, so that a late writer is not noticed: with the
/// units that it writes ahead, it may be 60 ms late at a packet time of 20 ms.
const LIVE_BEHIND_UNITS: u64 = 2;

const SAMPLES_PER_UNIT: u64 = UNIT_SAMPLES as u64;

/// A program that a stream plays, and how far it is.
///
/// What a packet in the middle of a piece needs lies in the first 64 bytes.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Playing {
    current: Current,
    /// Samples of the program that were sent.
    at: u64,
    limiter: Limiter,
    id: ProgramId,
    pieces: rtrb::Consumer<Piece>,
    begun: bool,
    starved: bool,
}

#[derive(Debug)]
enum Current {
    None,
    Clip { samples: Arc<[i16]>, from: usize, to: usize },
    Live { ring: Arc<Ring>, left: u64, cursor: u64, hold: Hold },
    Silence { left: u64 },
}

/// What became of the wish for a packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Filled {
    /// It is filled.
    Packet,
    /// The last one is filled; the program is over.
    Last,
    /// There is nothing to send yet.
    Nothing,
    /// The program was over before it.
    Over,
}

/// In whose name a packet is filled, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) stream: StreamKey,
    pub(crate) law: Law,
    /// The millisecond in which the packet is due.
    pub(crate) tick: u64,
    pub(crate) now: Mono,
}

impl Playing {
    pub(crate) fn new(program: Program) -> Self {
        Self {
            id: program.id,
            pieces: program.pieces,
            current: Current::None,
            at: 0,
            limiter: Limiter::new(program.gain),
            begun: false,
            starved: false,
        }
    }

    pub(crate) fn id(&self) -> ProgramId {
        self.id
    }

    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    /// Plays with another gain from the next packet on.
    pub(crate) fn set_gain(&mut self, gain: Gain, law: Law, desk: &mut Desk) {
        self.limiter.set_gain(gain);
        self.rejoin(law, desk);
    }

    /// Hears a live source in another law, or with another gain.
    pub(crate) fn rejoin(&mut self, law: Law, desk: &mut Desk) {
        if let Current::Live { ring, hold, .. } = &mut self.current {
            desk.shares.leave(hold);
            *hold = desk.shares.join(ring, law, self.limiter.gain());
        }
    }

    /// Fills `codes` with the next samples. Needs [`Desk::has_room`].
    pub(crate) fn fill(
        &mut self,
        moment: Moment,
        codes: &mut [u8],
        stats: &mut StreamStats,
        desk: &mut Desk,
    ) -> Filled {
        let (whole, mut filled, mut begun) = (codes.len(), 0, 0);
        while filled < whole {
            if matches!(self.current, Current::None) {
                if begun == PIECES_PER_PACKET_MAX {
                    break;
                }
                begun += 1;
                match self.pieces.pop() {
                    Ok(Piece::End) => return self.finish(moment, codes, filled, desk),
                    Ok(piece) => self.begin(piece, moment, desk),
                    Err(_) if self.pieces.is_abandoned() && self.pieces.is_empty() => {
                        return self.abandon(moment, codes, filled, desk);
                    }
                    Err(_) if !self.begun => return Filled::Nothing,
                    Err(_) => {
                        self.starve(moment, stats, desk);
                        break;
                    }
                }
            }
            let rest = codes.get_mut(filled..).unwrap_or_default();
            let taken = self.take(moment, (rest, filled), stats, desk);
            self.at += taken as u64;
            filled += taken;
        }
        silence(moment.law, codes, filled);
        if filled == whole && self.is_at_end() {
            self.end_here(moment, desk)
        } else {
            Filled::Packet
        }
    }

    /// Gives everything back that must not be dropped in a tick.
    pub(crate) fn retire(mut self, desk: &mut Desk) {
        self.close(desk);
        desk.retire(Retired::Pieces(self.pieces));
    }

    fn begin(&mut self, piece: Piece, moment: Moment, desk: &mut Desk) {
        self.begun = true;
        self.current = match piece {
            Piece::Clip { samples, from, to } => {
                let to = to.min(samples.len());
                Current::Clip { from: from.min(to), to, samples }
            }
            Piece::Live { ring, samples } => {
                let hold = desk.shares.join(&ring, moment.law, self.limiter.gain());
                let left = samples.unwrap_or(u64::MAX);
                Current::Live { ring, left, cursor: live_position(moment.tick), hold }
            }
            Piece::Silence { samples } => Current::Silence { left: samples },
            Piece::Tag(tag) => {
                desk.report(Report::Tag {
                    stream: moment.stream,
                    program: self.id,
                    tag,
                    at_samples: self.at,
                    sent_at: moment.now,
                });
                Current::None
            }
            Piece::End => Current::None,
        };
    }

    /// Takes samples of the present piece into `codes`; closes the piece when it is used up.
    fn take(
        &mut self,
        moment: Moment,
        (codes, filled): (&mut [u8], usize),
        stats: &mut StreamStats,
        desk: &mut Desk,
    ) -> usize {
        let (taken, over) = match &mut self.current {
            Current::None => return 0,
            Current::Clip { samples, from, to } => {
                let taken = codes.len().min(*to - *from);
                let clip = samples.get(*from..*from + taken).unwrap_or_default();
                encode(moment.law, clip, codes, &mut self.limiter, desk);
                *from += taken;
                (taken, *from >= *to)
            }
            Current::Silence { left } => {
                let taken = least(*left, codes.len());
                codes.iter_mut().take(taken).for_each(|code| *code = moment.law.silence());
                *left -= taken as u64;
                (taken, *left == 0)
            }
            Current::Live { ring, left, cursor, hold } => {
                let due = live_position(moment.tick) + filled as u64;
                // It runs on the clock: after a pause or a late tick it is heard where it is now.
                if cursor.abs_diff(due) > 2 * SAMPLES_PER_UNIT + (codes.len() + filled) as u64 {
                    *cursor = due - due % SAMPLES_PER_UNIT;
                }
                let taken = least(*left, codes.len());
                let way = (moment.law, self.limiter.gain());
                let wanted = codes.get_mut(..taken).unwrap_or_default();
                stats.missing_units += live(wanted, *cursor, way, desk, (ring, hold));
                *cursor += taken as u64;
                if *left != u64::MAX {
                    *left -= taken as u64;
                }
                (taken, *left == 0)
            }
        };
        if over {
            self.close(desk);
        }
        taken
    }

    fn close(&mut self, desk: &mut Desk) {
        match std::mem::replace(&mut self.current, Current::None) {
            Current::None | Current::Silence { .. } => {}
            Current::Clip { samples, .. } => desk.retire(Retired::Clip(samples)),
            Current::Live { ring, hold, .. } => {
                desk.shares.leave(&hold);
                desk.retire(Retired::Ring(ring));
            }
        }
    }

    /// Whether only tags and the end follow, so that the packet just filled is the last.
    fn is_at_end(&mut self) -> bool {
        if !matches!(self.current, Current::None) {
            return false;
        }
        let ahead = self.pieces.slots().min(PIECES_PER_PACKET_MAX);
        let Ok(chunk) = self.pieces.read_chunk(ahead) else { return false };
        let (first, second) = chunk.as_slices();
        let mut next =
            first.iter().chain(second).skip_while(|piece| matches!(piece, Piece::Tag(_)));
        matches!(next.next(), Some(Piece::End))
    }

    fn end_here(&mut self, moment: Moment, desk: &mut Desk) -> Filled {
        while let Ok(piece) = self.pieces.pop() {
            if matches!(piece, Piece::End) {
                break;
            }
            self.begin(piece, moment, desk);
        }
        self.finish(moment, &mut [0; 1], 1, desk)
    }

    fn finish(&self, moment: Moment, codes: &mut [u8], filled: usize, desk: &mut Desk) -> Filled {
        desk.report(Report::Finished {
            stream: moment.stream,
            program: self.id,
            at_samples: self.at,
            sent_at: moment.now,
        });
        last(moment.law, codes, filled)
    }

    fn abandon(&self, moment: Moment, codes: &mut [u8], filled: usize, desk: &mut Desk) -> Filled {
        let (stream, program, at_samples) = (moment.stream, self.id, self.at);
        desk.report(Report::Abandoned { stream, program, at_samples });
        last(moment.law, codes, filled)
    }

    fn starve(&mut self, moment: Moment, stats: &mut StreamStats, desk: &mut Desk) {
        stats.starved += 1;
        if !self.starved {
            self.starved = true;
            let (stream, program, at_samples) = (moment.stream, self.id, self.at);
            desk.report(Report::Starved { stream, program, at_samples });
        }
    }
}

/// The last packet is filled up with silence; one without a sample is none.
fn last(law: Law, codes: &mut [u8], filled: usize) -> Filled {
    silence(law, codes, filled);
    if filled == 0 { Filled::Over } else { Filled::Last }
}

pub(crate) fn silence(law: Law, codes: &mut [u8], from: usize) {
    codes.iter_mut().skip(from).for_each(|code| *code = law.silence());
}

fn encode(law: Law, clip: &[i16], codes: &mut [u8], limiter: &mut Limiter, desk: &mut Desk) {
    let codes = codes.get_mut(..clip.len()).unwrap_or_default();
    if limiter.gain() == Gain::UNITY {
        g711::encode(law, clip, codes);
    } else if let Some(samples) = desk.samples.get_mut(..clip.len()) {
        samples.copy_from_slice(clip);
        limiter.apply(samples);
        g711::encode(law, samples, codes);
    }
}

/// The live sample that is heard at the beginning of a packet due at `tick`.
fn live_position(tick: u64) -> u64 {
    (tick / UNIT_MS).saturating_sub(LIVE_BEHIND_UNITS) * SAMPLES_PER_UNIT
}

/// Copies live samples from `cursor` on; answers how many units were not there.
fn live(
    codes: &mut [u8],
    cursor: u64,
    way: (Law, Gain),
    desk: &mut Desk,
    (ring, hold): (&Arc<Ring>, &Hold),
) -> u64 {
    let (mut filled, mut missing) = (0, 0);
    while filled < codes.len() {
        let at = cursor + filled as u64;
        let skip = least(at % SAMPLES_PER_UNIT, UNIT_SAMPLES);
        let rest = codes.get_mut(filled..).unwrap_or_default();
        let count = rest.len().min(UNIT_SAMPLES - skip);
        let room = rest.get_mut(..count).unwrap_or_default();
        match desk.shares.unit(hold, ring, way, at / SAMPLES_PER_UNIT) {
            Some(unit) => room.copy_from_slice(unit.get(skip..skip + count).unwrap_or_default()),
            None => {
                missing += 1;
                silence(way.0, room, 0);
            }
        }
        filled += count;
    }
    missing
}

fn least(a: u64, b: usize) -> usize {
    usize::try_from(a).map_or(b, |a| a.min(b))
}

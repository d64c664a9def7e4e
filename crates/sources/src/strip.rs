//! One source's way from its supply of samples to the units that are heard. Pure: the pacer calls it
//! once for every 10 ms, and a test may call it as fast as it likes.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "mixes and bends samples as floats within the range of i16"
)]

use std::collections::VecDeque;
use std::f32::consts::PI;
use std::sync::Arc;
use std::time::Duration;

use audio::RATE_HZ;
use audio::live::{UNIT_MS, UNIT_SAMPLES, Unit};

use crate::intake::{Flow, Supply};
use crate::state::Heard;

/// Length of every cross-fade: 40 ms.
pub(crate) const FADE_SAMPLES: usize = 320;
/// How far above the target the buffer may grow before it is trimmed: 0.5 s.
const TRIM_ABOVE_SAMPLES: usize = 4_000;
/// The largest target that a stream which arrives in lumps can earn: 5 s.
const TARGET_SAMPLES_MAX: usize = 5 * RATE_HZ as usize;
/// What the target grows by when the buffer of a living connection ran dry: 0.4 s.
const TARGET_STEP_SAMPLES: usize = 3_200;
/// A lull that is longer is a fault, not the stream's manner: 2.5 s.
const LULL_SAMPLES_MAX: usize = 20_000;
/// What is held beyond the longest lull between two arrivals: 0.3 s at the start, when little of the
/// stream is known, and half of it later.
const MARGIN_SAMPLES: usize = 2_400;
/// The same for a device, which is nearer: 80 ms.
const CAPTURED_MARGIN_SAMPLES: usize = 640;
/// What is held of a device at least: 120 ms.
const CAPTURED_SAMPLES: usize = 960;
/// What may still be heard of a connection that is known to have ended: 1.5 s.
const ENDED_SAMPLES_MAX: usize = 12_000;
/// Samples from a file or download with which it is begun.
const PACED_START_SAMPLES: usize = 1_600;
/// The start burst is over when less than twice real time arrived within this many units.
const SETTLE_UNITS: usize = 10;
/// The end of a burst, and what comes after it, is waited for no longer than this: 2 s.
const SETTLE_UNITS_MAX: u32 = 200;
/// Between two samples dropped or doubled against clock drift; 1 in 640 is 0.16 %, too little to hear.
const DRIFT_EVERY_UNITS: u32 = 8;
/// The drift control leaves a level alone that is this close to its aim (one part in …).
const DRIFT_BAND: usize = 5;
/// The level is averaged over about this many units: 5 s.
const LEVEL_UNITS: f32 = 512.0;
/// Samples no louder than this are silence: -60 dBFS.
const SILENT: u16 = 33;
/// So many units in a row are sound, and no click: 100 ms.
const SOUND_UNITS: u32 = 10;
/// Units over which the level meter looks: 300 ms.
const METER_UNITS: u32 = 30;

/// Chooses between source and fallback, and joins them without a click.
#[derive(Debug)]
pub(crate) struct Strip {
    fallback: Arc<[i16]>,
    fallback_at: usize,
    /// The buffer level aimed for while samples arrive at the sender's pace.
    target: usize,
    target_first: usize,
    epoch: u64,
    /// What is heard, or faded to.
    voice: Voice,
    fade: Option<Fade>,
    arrival: Arrival,
    drift: Drift,
    /// This connection was heard, and ran dry since.
    ran_dry: bool,
    underruns: u64,
    silence: Silence,
    meter: Meter,
}

/// Watches for a source that plays, and plays nothing.
#[derive(Debug, Default)]
struct Silence {
    /// Units of silence that are a fault; `None` when none is.
    limit: Option<u32>,
    quiet: u32,
    loud: u32,
    /// The fallback is heard because of it.
    found: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Voice {
    Fallback,
    Live,
    Tail,
}

#[derive(Debug)]
struct Fade {
    from: Voice,
    done: usize,
}

/// Learns how a connection's samples arrive: whether the start burst is over, and how long the lulls
/// between two arrivals are. MP3 comes frame by frame, Ogg by the page, which often is a second.
#[derive(Debug, Default)]
struct Arrival {
    /// Samples pushed as of each of the last units, from the first sample on.
    pushed: VecDeque<u64>,
    /// Units since the first sample.
    units: u32,
    /// Units since there was enough for a beginning.
    ready_units: u32,
    burst_is_over: bool,
    /// Something came after the burst.
    met: bool,
    /// How far arrival after the burst is ahead of real time, and the furthest that it was: a lump
    /// must last until the next.
    ahead: usize,
    furthest_ahead: usize,
    /// The same for how far it is behind.
    behind: usize,
    furthest_behind: usize,
}

#[derive(Debug, Default)]
struct Drift {
    level: f32,
    correcting: bool,
    since: u32,
}

/// Peak and power of what is heard, over the last whole window.
#[derive(Clone, Copy, Debug, Default)]
struct Meter {
    units: u32,
    peak: u16,
    power: f64,
    shown: Loudness,
}

/// Peak and root mean square, as parts of full scale.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Loudness {
    pub(crate) peak: f32,
    pub(crate) rms: f32,
}

impl Strip {
    pub(crate) fn new(
        fallback: Arc<[i16]>,
        buffer: Duration,
        silence_after: Option<Duration>,
    ) -> Self {
        let target = (buffer.as_secs_f32() * RATE_HZ as f32) as usize;
        let target = target.clamp(4 * FADE_SAMPLES, TARGET_SAMPLES_MAX);
        Self {
            fallback,
            fallback_at: 0,
            target,
            target_first: target,
            epoch: 0,
            voice: Voice::Fallback,
            fade: None,
            arrival: Arrival::default(),
            drift: Drift::default(),
            ran_dry: false,
            underruns: 0,
            silence: Silence::after(silence_after),
            meter: Meter::default(),
        }
    }

    /// Goes on with other settings from the next unit on.
    pub(crate) fn change(&mut self, fallback: Arc<[i16]>, silence_after: Option<Duration>) {
        if self.fallback != fallback {
            (self.fallback, self.fallback_at) = (fallback, 0);
        }
        let silence = Silence::after(silence_after);
        if silence.limit != self.silence.limit {
            self.silence = silence;
        }
    }

    /// What a listener hears of this unit: the side that a fade leads to.
    pub(crate) const fn heard(&self) -> Heard {
        match self.voice {
            Voice::Fallback => Heard::Fallback,
            Voice::Live | Voice::Tail => Heard::Source,
        }
    }

    /// Whether the source plays silence, and the fallback is heard instead.
    pub(crate) const fn is_silent(&self) -> bool {
        self.silence.found
    }

    pub(crate) const fn underruns(&self) -> u64 {
        self.underruns
    }

    pub(crate) const fn loudness(&self) -> Loudness {
        self.meter.shown
    }

    /// The next 10 ms.
    pub(crate) fn next(&mut self, supply: &mut Supply) -> Unit {
        self.follow_connection(supply);
        self.arrival.watch(supply, self.target);
        self.target = self.target.max(self.arrival.wanted(margin(supply.flow)));
        if supply.ended {
            // It is gone, not silent.
            self.silence.begin();
        }
        if self.silence.found && self.voice == Voice::Fallback && self.fade.is_none() {
            // It runs on, unheard, so that it is where it should be when it sounds again.
            let unheard = take(&mut supply.live);
            self.silence.hear(&unheard);
        }
        if self.fade.is_none() {
            self.decide(supply);
        }
        let mut unit = self.read(self.voice, supply);
        if self.voice == Voice::Live && self.fade.is_none() {
            self.silence.hear(&unit);
        }
        if let Some(fade) = self.fade.take() {
            let before = self.read(fade.from, supply);
            mix(&mut unit, &before, fade.done);
            let done = fade.done + UNIT_SAMPLES;
            if done < FADE_SAMPLES {
                self.fade = Some(Fade { from: fade.from, done });
            } else if fade.from == Voice::Tail {
                supply.tail.clear();
            }
        }
        self.meter.take(&unit);
        unit
    }

    fn follow_connection(&mut self, supply: &mut Supply) {
        if supply.epoch == self.epoch {
            return;
        }
        self.epoch = supply.epoch;
        self.arrival = Arrival::default();
        self.silence.begin();
        self.target = match supply.flow {
            Flow::Paced | Flow::Arriving => self.target_first,
            Flow::Captured => CAPTURED_SAMPLES.min(self.target_first),
        };
        self.ran_dry = false;
        let retail = |voice: &mut Voice| {
            if *voice == Voice::Live {
                *voice = Voice::Tail;
            }
        };
        retail(&mut self.voice);
        if let Some(fade) = &mut self.fade {
            retail(&mut fade.from);
        }
        let tail_is_heard = self.voice == Voice::Tail
            || self.fade.as_ref().is_some_and(|fade| fade.from == Voice::Tail);
        if !tail_is_heard {
            supply.tail.clear();
        }
    }

    fn decide(&mut self, supply: &mut Supply) {
        match self.voice {
            Voice::Fallback if self.silence.found => {}
            Voice::Fallback | Voice::Tail if self.is_ready(supply) => self.enter_live(supply),
            Voice::Tail if supply.tail.len() < FADE_SAMPLES + UNIT_SAMPLES + 1 => {
                self.fade_to(Voice::Fallback);
            }
            Voice::Fallback | Voice::Tail => {}
            Voice::Live if supply.live.len() < FADE_SAMPLES + UNIT_SAMPLES + 1 => {
                self.underruns += u64::from(!supply.ended);
                self.ran_dry = true;
                self.arrival.ready_units = 0;
                self.fade_to(Voice::Fallback);
            }
            Voice::Live if self.silence.found => self.fade_to(Voice::Fallback),
            // A device that is gone is not heard to the end of what it left: it may be cut anywhere.
            Voice::Live if supply.flow == Flow::Captured && supply.ended => {
                self.fade_to(Voice::Fallback);
            }
            Voice::Live => self.trim(supply),
        }
    }

    /// Whether this connection has enough for a beginning.
    fn is_ready(&self, supply: &Supply) -> bool {
        match supply.flow {
            Flow::Paced => supply.live.len() >= PACED_START_SAMPLES,
            Flow::Arriving | Flow::Captured => {
                !supply.ended && self.arrival.is_settled(supply.live.len(), margin(supply.flow))
            }
        }
    }

    fn enter_live(&mut self, supply: &mut Supply) {
        if self.ran_dry {
            // It came back without a new connection: it arrives in lumps larger than our buffer.
            self.target = (self.target + TARGET_STEP_SAMPLES).min(TARGET_SAMPLES_MAX);
            self.ran_dry = false;
        }
        if supply.flow != Flow::Paced {
            let wanted = self.arrival.wanted_first(margin(supply.flow));
            self.target = self.target.max(wanted);
            let early = supply.live.len().saturating_sub(self.target);
            supply.live.drain(..early);
        }
        self.drift = Drift { level: self.aim() as f32, ..Drift::default() };
        self.fade_to(Voice::Live);
    }

    /// Cuts off what would be heard too late: by a fade from what comes next to what comes later.
    fn trim(&mut self, supply: &mut Supply) {
        let keep = match (supply.flow, supply.ended) {
            (Flow::Paced, _) => return,
            (Flow::Arriving | Flow::Captured, true) => (ENDED_SAMPLES_MAX, ENDED_SAMPLES_MAX),
            (Flow::Arriving | Flow::Captured, false) => {
                (self.target + TRIM_ABOVE_SAMPLES, self.target)
            }
        };
        let (above, to) = keep;
        if supply.live.len() <= above + FADE_SAMPLES {
            return;
        }
        let early = supply.live.len() - to;
        supply.tail = supply.live.iter().take(FADE_SAMPLES).copied().collect();
        supply.live.drain(..early);
        self.drift.level = self.aim() as f32;
        self.fade = Some(Fade { from: Voice::Tail, done: 0 });
    }

    const fn fade_to(&mut self, voice: Voice) {
        self.fade = Some(Fade { from: self.voice, done: 0 });
        self.voice = voice;
    }

    fn read(&mut self, voice: Voice, supply: &mut Supply) -> Unit {
        match voice {
            Voice::Fallback => self.read_fallback(),
            Voice::Tail => take(&mut supply.tail),
            Voice::Live => match self.drift.step(supply, self.aim(), self.fade.is_some()) {
                Step::Same => take(&mut supply.live),
                Step::Drop => bend(&mut supply.live, UNIT_SAMPLES + 1),
                Step::Double => bend(&mut supply.live, UNIT_SAMPLES - 1),
            },
        }
    }

    /// The mean level when what arrives in lumps fills the buffer to the target each time.
    fn aim(&self) -> usize {
        self.target - self.arrival.lull() / 2
    }

    fn read_fallback(&mut self) -> Unit {
        std::array::from_fn(|_| {
            let sample = self.fallback.get(self.fallback_at).copied().unwrap_or(0);
            self.fallback_at = (self.fallback_at + 1) % self.fallback.len().max(1);
            sample
        })
    }
}

impl Arrival {
    fn watch(&mut self, supply: &Supply, target: usize) {
        if supply.pushed == 0 {
            return;
        }
        self.burst_is_over |= self.is_slow();
        let arrived = supply.pushed - self.pushed.back().copied().unwrap_or(0);
        let arrived = usize::try_from(arrived).unwrap_or(usize::MAX);
        self.pushed.push_back(supply.pushed);
        if self.pushed.len() > SETTLE_UNITS + 1 {
            self.pushed.pop_front();
        }
        if supply.live.len() >= target {
            self.ready_units = self.ready_units.saturating_add(1);
        }
        // What the drift control makes good is no lull.
        self.units = self.units.wrapping_add(1);
        let mended = usize::from(self.units.is_multiple_of(DRIFT_EVERY_UNITS));
        self.behind = (self.behind + UNIT_SAMPLES).saturating_sub(arrived.saturating_add(mended));
        self.furthest_behind = self.furthest_behind.max(self.behind);
        if self.burst_is_over {
            self.met |= arrived > 0;
            self.ahead = self.ahead.saturating_add(arrived).saturating_sub(UNIT_SAMPLES);
            self.furthest_ahead = self.furthest_ahead.max(self.ahead);
        }
    }

    /// What came of late.
    fn of_late(&self) -> impl Iterator<Item = u64> {
        self.pushed.iter().zip(self.pushed.iter().skip(1)).map(|(before, after)| after - before)
    }

    /// Less than twice real time came of late. A lump that comes just now looks like a burst.
    fn is_slow(&self) -> bool {
        let arrived: u64 = self.of_late().sum();
        self.pushed.len() > SETTLE_UNITS && arrived < 2 * (SETTLE_UNITS * UNIT_SAMPLES) as u64
    }

    /// There is enough, and it is known what this stream's lumps are like.
    fn is_settled(&self, level: usize, margin: usize) -> bool {
        let between_lumps = self.of_late().last() == Some(0);
        let known = self.met && (between_lumps || self.is_slow());
        let enough = self.ready_units > 0 && level >= self.wanted_first(margin);
        known && enough || self.ready_units >= SETTLE_UNITS_MAX
    }

    /// What must be held for this stream to start.
    fn wanted_first(&self, margin: usize) -> usize {
        self.furthest_ahead.max(self.furthest_behind).min(LULL_SAMPLES_MAX) + margin
    }

    /// What must be held from then on: what comes early then may make good for a lull.
    fn wanted(&self, margin: usize) -> usize {
        self.lull() + margin / 2
    }

    /// The longest lull that was seen.
    fn lull(&self) -> usize {
        self.furthest_behind.min(LULL_SAMPLES_MAX)
    }
}

const fn margin(flow: Flow) -> usize {
    match flow {
        Flow::Paced | Flow::Arriving => MARGIN_SAMPLES,
        Flow::Captured => CAPTURED_MARGIN_SAMPLES,
    }
}

enum Step {
    Same,
    Drop,
    Double,
}

impl Drift {
    /// Keeps the mean level of a stream near its aim, against the difference between two clocks.
    fn step(&mut self, supply: &Supply, aim: usize, fading: bool) -> Step {
        if supply.flow == Flow::Paced || supply.ended {
            return Step::Same;
        }
        self.level += (supply.live.len() as f32 - self.level) / LEVEL_UNITS;
        self.since = self.since.saturating_add(1);
        let off = self.level - aim as f32;
        let band = (aim / DRIFT_BAND) as f32;
        self.correcting = off.abs() > if self.correcting { band / 4.0 } else { band };
        let enough = supply.live.len() > FADE_SAMPLES + UNIT_SAMPLES + 4;
        if !self.correcting || fading || self.since < DRIFT_EVERY_UNITS || !enough {
            return Step::Same;
        }
        self.since = 0;
        if off > 0.0 { Step::Drop } else { Step::Double }
    }
}

impl Silence {
    fn after(span: Option<Duration>) -> Self {
        let units = |span: Duration| span.as_millis() / u128::from(UNIT_MS);
        let limit = span.map(|span| u32::try_from(units(span)).unwrap_or(u32::MAX));
        Self { limit, ..Self::default() }
    }

    /// A new connection may sound.
    fn begin(&mut self) {
        *self = Self { limit: self.limit, ..Self::default() };
    }

    fn hear(&mut self, unit: &Unit) {
        let Some(limit) = self.limit else { return };
        if unit.iter().any(|sample| sample.unsigned_abs() > SILENT) {
            self.loud = self.loud.saturating_add(1);
            if self.loud >= SOUND_UNITS {
                self.found = false;
            }
            if !self.found {
                self.quiet = 0;
            }
        } else {
            self.loud = 0;
            self.quiet = self.quiet.saturating_add(1);
            self.found |= self.quiet >= limit;
        }
    }
}

impl Meter {
    fn take(&mut self, unit: &Unit) {
        for sample in unit {
            self.peak = self.peak.max(sample.unsigned_abs());
            self.power += f64::from(*sample) * f64::from(*sample);
        }
        self.units += 1;
        if self.units == METER_UNITS {
            let mean = self.power / f64::from(METER_UNITS) / UNIT_SAMPLES as f64;
            let rms = (mean.sqrt() / 32_768.0) as f32;
            let shown = Loudness { peak: f32::from(self.peak) / 32_768.0, rms };
            *self = Self { shown, ..Self::default() };
        }
    }
}

/// The next unit; silence where there is none.
fn take(samples: &mut VecDeque<i16>) -> Unit {
    let mut unit = [0; UNIT_SAMPLES];
    let there = samples.len().min(UNIT_SAMPLES);
    for (slot, sample) in unit.iter_mut().zip(samples.drain(..there)) {
        *slot = sample;
    }
    unit
}

/// Makes a unit out of `count` samples, one more or fewer than it holds: the curve through them is
/// read at slightly other places, and meets its neighbours exactly.
fn bend(samples: &mut VecDeque<i16>, count: usize) -> Unit {
    let at = |n: usize| f32::from(samples.get(n).or_else(|| samples.back()).copied().unwrap_or(0));
    let ratio = count as f32 / UNIT_SAMPLES as f32;
    let unit = std::array::from_fn(|n| {
        let place = n as f32 * ratio;
        let (whole, part) = (place as usize, place.fract());
        let before = if whole == 0 { 2.0 * at(0) - at(1) } else { at(whole - 1) };
        clip(cubic([before, at(whole), at(whole + 1), at(whole + 2)], part))
    });
    samples.drain(..count.min(samples.len()));
    unit
}

/// The Catmull-Rom curve between the middle two of four points.
fn cubic([a, b, c, d]: [f32; 4], part: f32) -> f32 {
    let slope = c - a;
    let bow = 2.0 * a - 5.0 * b + 4.0 * c - d;
    let twist = 3.0 * (b - c) + d - a;
    b + 0.5 * part * (slope + part * (bow + part * twist))
}

/// A unit of a fade of which so many samples are `done`.
fn mix(unit: &mut Unit, before: &Unit, done: usize) {
    for (n, (after, before)) in unit.iter_mut().zip(before).enumerate() {
        let share = ((done + n) as f32 + 0.5) / FADE_SAMPLES as f32;
        let rising = 0.5 - 0.5 * (PI * share.min(1.0)).cos();
        *after = clip(f32::from(*after) * rising + f32::from(*before) * (1.0 - rising));
    }
}

fn clip(sample: f32) -> i16 {
    sample.round().clamp(-32_768.0, 32_767.0) as i16
}

#[cfg(test)]
mod tests;

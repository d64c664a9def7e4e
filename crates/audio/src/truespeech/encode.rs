//! Samples to frames: the predictor from the autocorrelation, then for each part what of the past is repeated and where
//! the pulses are, so that the error is least where the ear hears it most.

use super::tables::{PULSE_GAINS, REFLECTIONS, TAPS};
use super::{
    Decoder, FRAME_BYTES, FRAME_SAMPLES, Frame, HALF, LAG_MIN, MEMORY, Memory, NO_PITCH, ORDER,
    PART, PULSES, Part, Predictor, arrangement, predictor, predictors, pulses, remember, repeated,
};

/// Samples behind a frame that its encoding looks at.
pub const AHEAD_SAMPLES: usize = 100;

/// The window for the predictor: so many samples, from this one of the frame on.
const WINDOW: usize = 320;
const WINDOW_FROM: usize = 20;
/// No error of speech is larger.
const ERROR_MAX: f32 = 200_000.0;
/// The energy of a frame that counts for the gain; how fast the gain follows, and the least it can be.
const AUDIBLE: f32 = 240.0 * 100.0 * 100.0;
const FOLLOWING: f32 = 0.2;
const GAIN_MIN: f32 = 0.5;
/// Predictors that are kept while the next coefficient is chosen.
const BEAM: usize = 12;
/// The error is heard through `A(z/first) / A(z/second)`: where the formants are it counts less. It is that of the speech, not of
/// the excitation: of a tone, which is all formant, a little of the one is much of the other.
const WEIGHTING: [f32; 2] = [0.92, 0.5];
/// Lags of a half that are tried to the end, and weights of each part.
const BASES: usize = 2;
const PITCHES: usize = 2;
/// How often pulses are moved after they were placed.
const PASSES: usize = 1;
/// The largest base that leaves all its lags within the memory.
const BASE_MAX: usize = 123;
/// Lags from one base.
const LAGS: usize = 5;

type Vector = [f32; PART];

/// Encodes telephone audio, frame after frame.
#[derive(Clone, Debug)]
pub struct Encoder {
    last: Predictor,
    memory: Memory,
    /// The last samples before the frame, the youngest first.
    before: [f32; ORDER],
    errors: Errors,
    /// What is heard of it, and how much quieter it is encoded, so that it is heard as loud as it was: the decoder makes
    /// formants clearer, and by that louder.
    decoder: Decoder,
    gain: [f32; 2],
}

impl Default for Encoder {
    fn default() -> Self {
        Self {
            last: [0; ORDER],
            memory: [0; MEMORY],
            before: [0.0; ORDER],
            errors: Errors::default(),
            decoder: Decoder::default(),
            gain: [1.0; 2],
        }
    }
}

/// The last errors of the speech, and the last of them weighted, the youngest first.
#[derive(Clone, Debug, Default)]
struct Errors {
    speech: [f32; ORDER],
    weighted: [f32; ORDER],
}

/// What is known of a part before it is searched.
struct Search {
    weights: [f32; ORDER],
    /// What the excitation should be if nothing were lost.
    residual: Vector,
    /// The same after weighting, with what earlier errors still do.
    target: Vector,
    response: Vector,
    /// The energy of each pair of places.
    pairs: Box<[Vector; PART]>,
}

/// A part as it could be.
struct Choice {
    part: Part,
    error: f32,
}

impl Encoder {
    /// Encodes a frame; `ahead` are the samples that follow it, or silence at the end.
    pub fn frame(
        &mut self,
        samples: &[i16; FRAME_SAMPLES],
        ahead: &[i16; AHEAD_SAMPLES],
    ) -> [u8; FRAME_BYTES] {
        let mut all = [0.0; FRAME_SAMPLES + AHEAD_SAMPLES];
        let [last, gain] = self.gain;
        let step = (gain - last) / FRAME_SAMPLES as f32;
        for (n, (to, from)) in all.iter_mut().zip(samples.iter().chain(ahead)).enumerate() {
            *to = f32::from(*from) * (last + step * n.min(FRAME_SAMPLES) as f32);
        }
        let reflections = chosen_reflections(&autocorrelation(&all));
        let this = predictor(&reflections);
        let mut frame = Frame { reflections, ..Frame::default() };
        let speech = &all[..FRAME_SAMPLES];
        frame.blends = self.loss(speech, &predictors(&self.last, &this, true))
            < self.loss(speech, &predictors(&self.last, &this, false));
        let weights = predictors(&self.last, &this, frame.blends);
        for half in 0..2 {
            let from = half * 2 * PART;
            let two = [&speech[from..from + PART], &speech[from + PART..from + 2 * PART]];
            let weights = [&weights[2 * half], &weights[2 * half + 1]];
            let (base, parts) = self.half(two, weights);
            frame.lags[half] = base as u32;
            frame.parts[2 * half..2 * half + 2].copy_from_slice(&parts);
        }
        self.last = this;
        let bytes = frame.to_bytes();
        self.listen(samples, &bytes);
        bytes
    }

    /// Compares what is heard with what it was, for the gain of the next frame.
    fn listen(&mut self, samples: &[i16; FRAME_SAMPLES], bytes: &[u8; FRAME_BYTES]) {
        let energy = |samples: &[i16; FRAME_SAMPLES]| -> f32 {
            samples.iter().map(|sample| f32::from(*sample) * f32::from(*sample)).sum()
        };
        let heard = energy(&self.decoder.frame(bytes));
        let [_, gain] = self.gain;
        let wanted = if heard < AUDIBLE { gain } else { gain * (energy(samples) / heard).sqrt() };
        self.gain = [gain, (gain + (wanted - gain) * FOLLOWING).clamp(GAIN_MIN, 1.0)];
    }

    /// What the predictors leave of the first half, where they can be chosen.
    fn loss(&self, speech: &[f32], weights: &[Predictor; 4]) -> f32 {
        let mut before = self.before;
        let mut loss = 0.0;
        for (part, weights) in speech.chunks_exact(PART).zip(&weights[..2]) {
            let residual = residual(part, &floats(weights), &mut before);
            loss += residual.iter().map(|r| r * r).sum::<f32>();
        }
        loss
    }

    /// Searches a half, and moves on behind it.
    fn half(&mut self, speech: [&[f32]; 2], weights: [&Predictor; 2]) -> (usize, [Part; 2]) {
        let mut best: Option<(f32, usize, [Part; 2], Self)> = None;
        for base in self.bases(speech, weights) {
            let mut after = self.clone();
            let (first, error) = after.part(speech[0], weights[0], base);
            let (second, more) = after.part(speech[1], weights[1], base);
            let error = error + more;
            if best.as_ref().is_none_or(|(least, ..)| error < *least) {
                best = Some((error, base, [first, second], after));
            }
        }
        let (_, base, parts, after) =
            best.unwrap_or_else(|| (0.0, 0, [Part::default(); 2], self.clone()));
        *self = after;
        (base, parts)
    }

    /// The bases whose lags promise most, not near each other. What the first part will be is guessed to be what it
    /// should.
    fn bases(&self, speech: [&[f32]; 2], weights: [&Predictor; 2]) -> Vec<usize> {
        let mut ahead = self.clone();
        let first = ahead.search(speech[0], weights[0]);
        let all = (LAG_MIN as usize, BASE_MAX + LAGS);
        let mut scores = lag_scores(&first, &self.memory, all);
        let mut guess = self.memory;
        guess.copy_within(PART.., 0);
        for (to, from) in guess[MEMORY - PART..].iter_mut().zip(first.residual) {
            *to = from as i32;
        }
        ahead.move_on(&first, speech[0], &first.residual);
        let second = ahead.search(speech[1], weights[1]);
        for (all, more) in scores.iter_mut().zip(lag_scores(&second, &guess, all)) {
            for (all, more) in all.iter_mut().zip(more) {
                *all += more;
            }
        }
        let best = |of: &[f32; 25]| of.iter().copied().fold(f32::MIN, f32::max);
        let lags: Vec<f32> = scores.iter().map(best).collect();
        let base_score =
            |base: usize| lags[base..base + LAGS].iter().copied().fold(f32::MIN, f32::max);
        let mut order: Vec<usize> = (0..=BASE_MAX).collect();
        order.sort_by(|a, b| base_score(*b).total_cmp(&base_score(*a)));
        let mut chosen: Vec<usize> = Vec::new();
        for base in order {
            if chosen.iter().all(|other| other.abs_diff(base) >= LAGS) {
                chosen.push(base);
            }
            if chosen.len() == BASES {
                break;
            }
        }
        chosen
    }

    fn search(&self, speech: &[f32], weights: &Predictor) -> Search {
        let weights = floats(weights);
        let mut before = self.before;
        let residual = residual(speech, &weights, &mut before);
        let mut response = [0.0; PART];
        response[0] = 1.0;
        let response = weighted(&response, &weights, &mut Errors::default());
        let target = weighted(&residual, &weights, &mut self.errors.clone());
        let mut pairs = Box::new([[0.0; PART]; PART]);
        for i in (0..PART).rev() {
            for j in (0..PART).rev() {
                let after = if i + 1 < PART && j + 1 < PART { pairs[i + 1][j + 1] } else { 0.0 };
                pairs[i][j] = after + response[PART - 1 - i] * response[PART - 1 - j];
            }
        }
        Search { weights, residual, target, response, pairs }
    }

    /// Encodes a part with a base for its lags, and moves on behind it.
    fn part(&mut self, speech: &[f32], weights: &Predictor, base: usize) -> (Part, f32) {
        let search = self.search(speech, weights);
        let scores = lag_scores(&search, &self.memory, (LAG_MIN as usize + base, LAGS));
        let mut pitches: Vec<(f32, u32)> =
            (0..LAGS * 25).map(|pitch| (scores[pitch / 25][pitch % 25], pitch as u32)).collect();
        pitches.sort_by(|a, b| b.0.total_cmp(&a.0));
        let kept = pitches.iter().take(PITCHES).map(|(_, pitch)| *pitch);
        let mut best: Option<Choice> = None;
        for pitch in kept.chain([NO_PITCH]) {
            let old = repeated(&self.memory, base as u32, pitch).map(|v| v as f32);
            let filtered = convolved(&old, &search.response);
            let target: Vector = std::array::from_fn(|n| search.target[n] - filtered[n]);
            let choice = placed(&search, &target, pitch);
            if best.as_ref().is_none_or(|best| choice.error < best.error) {
                best = Some(choice);
            }
        }
        let Choice { part, error } =
            best.unwrap_or_else(|| placed(&search, &search.target, NO_PITCH));
        let old = repeated(&self.memory, base as u32, part.pitch);
        let new = pulses(&part);
        remember(&mut self.memory, &new, &old);
        let excitation: Vector = std::array::from_fn(|n| (new[n] + old[n]) as f32);
        self.move_on(&search, speech, &excitation);
        (part, error)
    }

    /// Makes the state be that behind a part that has this excitation.
    fn move_on(&mut self, search: &Search, speech: &[f32], excitation: &Vector) {
        let error: Vector = std::array::from_fn(|n| search.residual[n] - excitation[n]);
        weighted(&error, &search.weights, &mut self.errors);
        // A predictor that rings for ever, as no speech has it, must not spoil all that follows.
        let lines = self.errors.speech.iter().chain(&self.errors.weighted);
        if !lines.map(|value| value.abs()).all(|value| value < ERROR_MAX) {
            self.errors = Errors::default();
        }
        residual(speech, &search.weights, &mut self.before);
    }
}

fn floats(weights: &Predictor) -> [f32; ORDER] {
    weights.map(|weight| weight as f32 / 4_096.0)
}

fn push(line: &mut [f32; ORDER], value: f32) {
    line.copy_within(..ORDER - 1, 1);
    line[0] = value;
}

/// What the predictor leaves of a part.
fn residual(speech: &[f32], weights: &[f32; ORDER], before: &mut [f32; ORDER]) -> Vector {
    let mut out = [0.0; PART];
    for (out, sample) in out.iter_mut().zip(speech) {
        let predicted: f32 = before.iter().zip(weights).map(|(b, w)| b * w).sum();
        *out = sample - predicted;
        push(before, *sample);
    }
    out
}

/// What an error of the excitation is heard as.
fn weighted(input: &Vector, weights: &[f32; ORDER], errors: &mut Errors) -> Vector {
    let widened = |by: f32| {
        let mut power = 1.0;
        weights.map(|weight| {
            power *= by;
            weight * power
        })
    };
    let [first, second] = WEIGHTING.map(widened);
    let sum = |line: &[f32; ORDER], by: &[f32; ORDER]| -> f32 {
        line.iter().zip(by).map(|(l, w)| l * w).sum()
    };
    input.map(|value| {
        let speech = value + sum(&errors.speech, weights);
        let out = speech - sum(&errors.speech, &first) + sum(&errors.weighted, &second);
        push(&mut errors.speech, speech);
        push(&mut errors.weighted, out);
        out
    })
}

fn convolved(input: &Vector, response: &Vector) -> Vector {
    let mut out = [0.0; PART];
    for (k, value) in input.iter().enumerate().filter(|(_, value)| **value != 0.0) {
        for (out, r) in out[k..].iter_mut().zip(response) {
            *out += value * r;
        }
    }
    out
}

fn dot(a: &Vector, b: &Vector) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// How much so many lags, from one on, take off the error with each pair of taps.
fn lag_scores(search: &Search, memory: &Memory, (first, lags): (usize, usize)) -> Vec<[f32; 25]> {
    // What was a lag ago; of a short one the repetition is guessed to be whole.
    let past =
        |lag: usize| -> Vector { std::array::from_fn(|n| memory[MEMORY - lag + n % lag] as f32) };
    let mut filtered: Vec<Vector> = Vec::with_capacity(lags + 1);
    for lag in first..=first + lags {
        let next = match filtered.last() {
            // A sample further back: all that was there is one later.
            Some(last) if lag > PART => {
                let oldest = memory[MEMORY - lag] as f32;
                std::array::from_fn(|n| {
                    let before = if n == 0 { 0.0 } else { last[n - 1] };
                    before + oldest * search.response[n]
                })
            }
            Some(_) | None => convolved(&past(lag), &search.response),
        };
        filtered.push(next);
    }
    let with_target: Vec<f32> = filtered.iter().map(|f| dot(f, &search.target)).collect();
    let energies: Vec<f32> = filtered.iter().map(|f| dot(f, f)).collect();
    filtered
        .windows(2)
        .enumerate()
        .map(|(at, two)| {
            let both = dot(&two[0], &two[1]);
            std::array::from_fn(|pair| {
                let [far, near] = TAPS[pair].map(|tap| tap as f32 / 16_384.0);
                2.0 * (far * with_target[at + 1] + near * with_target[at])
                    - far * far * energies[at + 1]
                    - near * near * energies[at]
                    - 2.0 * far * near * both
            })
        })
        .collect()
}

/// A pulse: where, and how many times the gain.
#[derive(Clone, Copy)]
struct Pulse {
    place: usize,
    size: f32,
}

/// The best pulses for a target.
fn placed(search: &Search, target: &Vector, pitch: u32) -> Choice {
    let wanted: Vector =
        std::array::from_fn(|i| target[i..].iter().zip(&search.response).map(|(t, r)| t * r).sum());
    let energy = dot(target, target);
    let largest =
        wanted.iter().enumerate().map(|(i, w)| w.abs() / search.pairs[i][i]).fold(0.0, f32::max);
    let mut best: Option<Choice> = None;
    for (number, gain) in PULSE_GAINS.iter().enumerate() {
        let gain = *gain as f32;
        let is_near = (largest / 4.5..=largest * 1.1).contains(&gain);
        let is_edge = (number == 0 && largest < 2.0) || (number == 15 && largest > gain);
        if !is_near && !is_edge {
            continue;
        }
        let (pulses, less) = pulses_for(search, &wanted, gain);
        let error = energy - less;
        if best.as_ref().is_none_or(|best| error < best.error) {
            best = Some(Choice { part: coded(pulses, number as u32, pitch), error });
        }
    }
    best.unwrap_or_else(|| {
        let (pulses, less) = pulses_for(search, &wanted, 2.0);
        Choice { part: coded(pulses, 0, pitch), error: energy - less }
    })
}

/// Places seven pulses of this gain one after the other, then moves each to where it is best among the others; how much
/// they take off the error.
fn pulses_for(search: &Search, wanted: &Vector, gain: f32) -> (Vec<Pulse>, f32) {
    let mut left = *wanted;
    let mut taken = [false; PART];
    let mut room = [PULSES.0, PULSES.1];
    let mut all: Vec<Pulse> = Vec::with_capacity(PULSES.0 + PULSES.1);
    let mut total = 0.0;
    let apply = |left: &mut Vector, pulse: Pulse, sign: f32| {
        for (left, pair) in left.iter_mut().zip(&search.pairs[pulse.place]) {
            *left -= sign * pulse.size * gain * pair;
        }
    };
    for _ in 0..PULSES.0 + PULSES.1 {
        let Some((pulse, less)) = best_place(search, &left, &taken, room, gain) else { break };
        apply(&mut left, pulse, 1.0);
        taken[pulse.place] = true;
        room[pulse.place / HALF] -= 1;
        total += less;
        all.push(pulse);
    }
    for _ in 0..PASSES {
        for slot in &mut all {
            let old = *slot;
            let half = old.place / HALF;
            apply(&mut left, old, -1.0);
            taken[old.place] = false;
            room[half] = 1;
            let size = old.size * gain;
            let was =
                2.0 * size * left[old.place] - size * size * search.pairs[old.place][old.place];
            let found = best_place(search, &left, &taken, room, gain);
            let (pulse, less) = found.unwrap_or((old, was));
            room[half] = 0;
            taken[pulse.place] = true;
            apply(&mut left, pulse, 1.0);
            total += less - was;
            *slot = pulse;
        }
    }
    (all, total)
}

/// Where one more pulse takes off most.
fn best_place(
    search: &Search,
    left: &Vector,
    taken: &[bool; PART],
    room: [usize; 2],
    gain: f32,
) -> Option<(Pulse, f32)> {
    let mut best: Option<(Pulse, f32)> = None;
    for place in 0..PART {
        if taken[place] || room[place / HALF] == 0 {
            continue;
        }
        let (wanted, own) = (left[place], search.pairs[place][place]);
        let less = |size: f32| {
            let size = size * gain;
            2.0 * size * wanted.abs() - size * size * own
        };
        let (size, less) = if less(3.0) > less(1.0) { (3.0, less(3.0)) } else { (1.0, less(1.0)) };
        if best.as_ref().is_none_or(|(_, most)| less > *most) {
            best = Some((Pulse { place, size: size * wanted.signum() }, less));
        }
    }
    best
}

fn coded(mut all: Vec<Pulse>, gain: u32, pitch: u32) -> Part {
    all.sort_by_key(|pulse| pulse.place);
    let code = |pulse: &Pulse| match (pulse.size < 0.0, pulse.size.abs() > 2.0) {
        (false, false) => 0,
        (false, true) => 1,
        (true, false) => 2,
        (true, true) => 3,
    };
    let sizes = all.iter().fold(0, |sizes, pulse| sizes << 2 | code(pulse));
    let first: Vec<usize> = all.iter().map(|p| p.place).filter(|place| *place < HALF).collect();
    let second: Vec<usize> =
        all.iter().map(|p| p.place).filter(|place| *place >= HALF).map(|p| p - HALF).collect();
    Part { pitch, sizes, places: arrangement(&first) << 15 | arrangement(&second), gain }
}

/// The windowed autocorrelation, with a little noise so that silence has a predictor, too.
fn autocorrelation(all: &[f32; FRAME_SAMPLES + AHEAD_SAMPLES]) -> [f32; ORDER + 1] {
    let step = std::f32::consts::TAU / WINDOW as f32;
    let windowed: Vec<f32> = all[WINDOW_FROM..WINDOW_FROM + WINDOW]
        .iter()
        .enumerate()
        .map(|(n, sample)| sample * (0.5 - 0.5 * (step * (n as f32 + 0.5)).cos()))
        .collect();
    std::array::from_fn(|lag| {
        let sum: f32 = windowed[lag..].iter().zip(&windowed).map(|(a, b)| a * b).sum();
        let widen = std::f32::consts::TAU * 60.0 / 8_000.0 * lag as f32;
        let sum = sum * (-0.5 * widen * widen).exp();
        if lag == 0 { sum * 1.000_1 + 100.0 } else { sum }
    })
}

/// Chooses the coefficients one after the other, with the best few kept at each.
fn chosen_reflections(r: &[f32; ORDER + 1]) -> [u32; ORDER] {
    struct Path {
        codes: [u32; ORDER],
        a: [f32; ORDER + 1],
        error: f32,
    }
    let mut first = [0.0; ORDER + 1];
    first[0] = 1.0;
    let mut paths = vec![Path { codes: [0; ORDER], a: first, error: r[0] }];
    for order in 0..ORDER {
        let mut next = Vec::with_capacity(BEAM * REFLECTIONS[order].len());
        for path in &paths {
            // What the errors forward and backward have in common.
            let mut common = 0.0;
            for m in 0..=order {
                for n in 0..=order {
                    common += path.a[m] * path.a[n] * r[(order + 1).abs_diff(m + n)];
                }
            }
            for (code, k) in REFLECTIONS[order].iter().enumerate() {
                let k = *k as f32 / 32_768.0;
                let error = path.error * (1.0 + k * k) + 2.0 * k * common;
                let mut a = path.a;
                for (a, mirrored) in a[1..=order].iter_mut().zip(path.a[1..=order].iter().rev()) {
                    *a += k * mirrored;
                }
                a[order + 1] = k;
                let mut codes = path.codes;
                codes[order] = code as u32;
                next.push(Path { codes, a, error });
            }
        }
        next.sort_by(|a, b| a.error.total_cmp(&b.error));
        next.truncate(BEAM);
        paths = next;
    }
    paths.first().map_or([0; ORDER], |path| path.codes)
}

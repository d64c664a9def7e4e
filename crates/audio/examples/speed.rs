//! Prints what the sample loops cost: nanoseconds for a 20 ms frame of 160 samples.
//!
//! `cargo run --release -p audio --example speed`

#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    reason = "a measuring program reads the clock and prints"
)]

use std::hint::black_box;
use std::time::Instant;

use audio::g711::{decode, encode};
use audio::resample::Resampler;
use audio::stretch::Stretcher;
use audio::tone::Tone;
use audio::{Gain, Law, Limiter, live};

const FRAME: usize = 160;

/// The best of several rounds, in nanoseconds a call.
fn time(name: &str, rounds: u32, mut work: impl FnMut()) {
    let mut best = f64::INFINITY;
    for _ in 0..20 {
        let begin = Instant::now();
        for _ in 0..rounds {
            work();
        }
        best = best.min(begin.elapsed().as_nanos() as f64 / f64::from(rounds));
    }
    println!("{name:<34} {best:>9.1} ns");
}

fn main() {
    let mut samples = [0i16; FRAME];
    Tone::chord(&[440.0, 1_130.0], -12.0).fill(&mut samples);
    let mut codes = [0u8; FRAME];
    for law in [Law::Mu, Law::A] {
        time(&format!("encode {law:?}"), 20_000, || {
            encode(law, black_box(&samples), &mut codes);
            black_box(&codes);
        });
        let mut back = [0i16; FRAME];
        time(&format!("decode {law:?}"), 20_000, || {
            decode(law, black_box(&codes), &mut back);
            black_box(&back);
        });
    }
    let half = Gain::from_factor(0.5);
    let mut work = samples;
    time("gain -6 dB", 20_000, || {
        work = samples;
        black_box(black_box(half).apply(black_box(&mut work)));
    });
    let mut limiter = Limiter::new(Gain::from_db(18.0));
    time("limiter +18 dB", 20_000, || {
        work = samples;
        limiter.apply(black_box(&mut work));
    });
    let (mut writer, ring) = live::ring();
    writer.write(0, &[1; live::UNIT_SAMPLES]);
    let mut unit = [0; live::UNIT_SAMPLES];
    time("live ring, read 2 units", 20_000, || {
        for _ in 0..2 {
            black_box(ring.read(black_box(0), black_box(&mut unit)));
        }
    });
    for from_hz in [48_000, 44_100, 22_050, 16_000] {
        let count = from_hz as usize / 50;
        let input: Vec<f32> = (0..count).map(|n| (n as f32 * 0.1).sin()).collect();
        let Ok(mut resampler) = Resampler::new(from_hz) else { continue };
        let mut out = Vec::new();
        time(&format!("resample from {from_hz}"), 2_000, || {
            out.clear();
            resampler.process(black_box(&input), &mut out);
        });
    }
    for speed in [0.7, 1.5] {
        let mut stretcher = Stretcher::new(speed);
        let mut out = Vec::new();
        time(&format!("stretch at {speed}"), 2_000, || {
            out.clear();
            stretcher.process(black_box(&samples), &mut out);
        });
    }
}

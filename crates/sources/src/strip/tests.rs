//! A sender at its own pace, a strip at the pacer's: virtual time, a unit a step.

use super::*;

const HZ: f32 = 300.0;
const BUFFER: Duration = Duration::from_millis(1_200);

/// What a stream's sender does: pushes `pending` (in samples) when told.
struct Bench {
    strip: Strip,
    supply: Supply,
    heard: Vec<i16>,
    phase: usize,
}

impl Bench {
    fn new(flow: Flow) -> Self {
        let fallback = (0..8_000).map(|n| wave(n, 200.0)).collect();
        let mut supply = Supply::default();
        supply.begin(flow);
        Self { strip: Strip::new(fallback, BUFFER, None), supply, heard: Vec::new(), phase: 0 }
    }

    fn arrive(&mut self, ms: usize) {
        self.arrive_samples(ms * 8);
    }

    fn arrive_samples(&mut self, count: usize) {
        let samples: Vec<_> = (self.phase..self.phase + count).map(|n| wave(n, HZ)).collect();
        self.phase += self.supply.push(&samples);
    }

    /// Plays, while this many samples arrive with every unit.
    fn play(&mut self, ms: usize, samples_a_unit: usize) {
        for _ in 0..ms / 10 {
            self.arrive_samples(samples_a_unit);
            let unit = self.strip.next(&mut self.supply);
            self.heard.extend(unit);
        }
    }

    /// Plays until this is heard; returns after how many ms.
    fn until(&mut self, heard: Heard, samples_a_unit: usize) -> usize {
        (0..1_000)
            .find(|_| {
                let before = self.strip.heard() == heard;
                if !before {
                    self.play(10, samples_a_unit);
                }
                before
            })
            .map(|units| units * 10)
            .expect("it is heard within 10 s")
    }

    fn level_ms(&self) -> usize {
        self.supply.live.len() / 8
    }

    /// The steepest step between two samples. The waves themselves make at most 2,400.
    fn steepest(&self) -> i32 {
        let steps = self.heard.windows(2).map(|pair| match pair {
            [a, b] => (i32::from(*b) - i32::from(*a)).abs(),
            _ => 0,
        });
        steps.max().unwrap_or(0)
    }
}

fn wave(n: usize, hz: f32) -> i16 {
    (8_000.0 * (2.0 * PI * hz * (n % 8_000) as f32 / 8_000.0).sin()) as i16
}

fn check_no_click(bench: &Bench) {
    assert!(bench.steepest() < 2_400, "a step of {}", bench.steepest());
}

#[test]
fn until_a_source_comes_its_listeners_hear_the_fallback_looped() {
    let mut bench = Bench::new(Flow::Arriving);
    bench.play(3_000, 0);
    assert_eq!(bench.strip.heard(), Heard::Fallback);
    let expected: Vec<_> = (0..24_000).map(|n| wave(n, 200.0)).collect();
    assert_eq!(bench.heard, expected);
}

#[test]
fn a_start_burst_is_trimmed_to_the_buffer() {
    let mut bench = Bench::new(Flow::Arriving);
    bench.arrive(8_000);
    let waited = bench.until(Heard::Source, 80);
    assert!(waited <= 200, "{waited} ms");
    assert!((1_100..=1_300).contains(&bench.level_ms()), "{} ms", bench.level_ms());
    bench.play(2_000, 80);
    check_no_click(&bench);
}

#[test]
fn a_burst_that_is_still_coming_is_waited_for() {
    let mut bench = Bench::new(Flow::Arriving);
    bench.play(400, 1_600);
    assert_eq!(bench.strip.heard(), Heard::Fallback);
    bench.until(Heard::Source, 80);
    assert!((1_100..=1_300).contains(&bench.level_ms()), "{} ms", bench.level_ms());
}

#[test]
fn a_server_without_a_burst_is_heard_when_the_buffer_is_full() {
    let mut bench = Bench::new(Flow::Arriving);
    let waited = bench.until(Heard::Source, 80);
    assert!((1_100..=1_400).contains(&waited), "{waited} ms");
}

#[test]
fn after_a_cut_the_fallback_is_heard_within_two_seconds_and_the_source_again_without_a_click() {
    let mut bench = Bench::new(Flow::Arriving);
    bench.arrive(3_000);
    bench.until(Heard::Source, 80);
    bench.play(2_000, 80);
    let waited = bench.until(Heard::Fallback, 0);
    assert!(waited <= 1_900, "{waited} ms");
    assert_eq!(bench.strip.underruns(), 1);
    bench.play(1_000, 0);
    bench.supply.begin(Flow::Arriving);
    bench.arrive(8_000);
    let waited = bench.until(Heard::Source, 80);
    assert!(waited <= 200, "{waited} ms");
    bench.play(1_000, 80);
    check_no_click(&bench);
}

#[test]
fn the_rest_of_an_ended_connection_is_not_an_underrun() {
    let mut bench = Bench::new(Flow::Arriving);
    bench.arrive(3_000);
    bench.until(Heard::Source, 80);
    bench.supply.ended = true;
    bench.until(Heard::Fallback, 0);
    assert_eq!(bench.strip.underruns(), 0);
}

#[test]
fn a_new_connection_takes_over_from_the_rest_of_the_old_one_without_the_fallback() {
    let mut bench = Bench::new(Flow::Arriving);
    bench.arrive(3_000);
    bench.until(Heard::Source, 80);
    bench.play(300, 0);
    bench.supply.begin(Flow::Arriving);
    bench.arrive(8_000);
    for _ in 0..200 {
        bench.play(10, 80);
        assert_eq!(bench.strip.heard(), Heard::Source);
    }
    assert!(bench.supply.tail.is_empty());
    check_no_click(&bench);
}

#[test]
fn what_arrives_all_at_once_after_a_pause_is_trimmed_without_a_click() {
    let mut bench = Bench::new(Flow::Arriving);
    bench.arrive(1_200);
    bench.until(Heard::Source, 80);
    bench.play(700, 0);
    bench.arrive(3_000);
    bench.play(200, 80);
    assert!(bench.level_ms() <= 1_300, "{} ms", bench.level_ms());
    assert_eq!(bench.strip.underruns(), 0);
    bench.play(500, 80);
    check_no_click(&bench);
}

/// A stream that comes in lumps, after a burst or without one; the buffer is short.
fn in_lumps(burst_ms: usize, before_ms: usize, lump_ms: usize) -> Bench {
    let mut bench = Bench::new(Flow::Arriving);
    bench.strip = Strip::new(Arc::clone(&bench.strip.fallback), Duration::from_millis(400), None);
    bench.arrive(burst_ms);
    bench.play(before_ms, 0);
    for _ in 0..20 {
        bench.arrive(lump_ms);
        bench.play(lump_ms, 0);
    }
    bench
}

#[test]
fn a_stream_that_comes_in_lumps_is_never_heard_to_run_dry() {
    for lump_ms in [100, 500, 1_000, 2_000] {
        for burst_ms in [0, 300, 4_000, 8_000] {
            // The first lump comes at any time after the burst.
            for before_ms in (0..=lump_ms).step_by(50) {
                let bench = in_lumps(burst_ms, before_ms, lump_ms);
                let what = format!("{burst_ms} ms, {before_ms} ms, then {lump_ms} ms");
                assert_eq!(bench.strip.underruns(), 0, "{what}");
                assert_eq!(bench.strip.heard(), Heard::Source, "{what}");
                // Held for as long as a lump lasts, and little more.
                let held = bench.strip.target / 8;
                assert!(held <= lump_ms + 400, "{what}: {held} ms held");
                check_no_click(&bench);
            }
        }
    }
}

#[test]
fn a_stream_in_lumps_is_heard_with_its_second_lump_at_the_latest() {
    let mut bench = Bench::new(Flow::Arriving);
    bench.arrive(8_000);
    bench.play(900, 0);
    assert_eq!(bench.strip.heard(), Heard::Fallback);
    bench.arrive(1_000);
    assert!(bench.until(Heard::Source, 0) <= 30);
}

#[test]
fn a_stream_whose_lumps_grow_is_caught_once() {
    let mut bench = in_lumps(8_000, 0, 500);
    for _ in 0..20 {
        bench.arrive(1_500);
        bench.play(1_500, 0);
    }
    assert_eq!(bench.strip.underruns(), 1);
    check_no_click(&bench);
}

#[test]
fn clocks_that_differ_neither_starve_nor_flood_and_nobody_hears_the_difference() {
    // A sender 500 parts in a million off: one sample more or fewer in 25 units.
    for odd in [81, 79] {
        let mut bench = Bench::new(Flow::Arriving);
        bench.arrive(1_200);
        bench.until(Heard::Source, 80);
        for _ in 0..1_600 {
            bench.play(240, 80);
            bench.play(10, odd);
        }
        assert_eq!(bench.strip.underruns(), 0);
        assert!((800..=1_600).contains(&bench.level_ms()), "{} ms", bench.level_ms());
        // A trim would have faded; the drift control alone keeps the wave steady.
        assert!(bench.steepest() < 1_960, "a step of {}", bench.steepest());
        let source = bench.heard.get(80_000..).unwrap_or_default();
        let power = source.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / source.len() as f64;
        assert!((power.sqrt() - 8_000.0 / 2f64.sqrt()).abs() < 15.0, "{}", power.sqrt());
    }
}

#[test]
fn a_device_whose_clock_is_off_is_heard_for_an_hour_without_a_click() {
    // 200 parts in a million: one sample more or fewer in 62.5 units.
    for more in [true, false] {
        let mut bench = Bench::new(Flow::Captured);
        bench.until(Heard::Source, 80);
        let mut owed = 0;
        let mut steepest = 0;
        let mut levels = (usize::MAX, 0);
        for _ in 0..3_600 {
            bench.heard.clear();
            for _ in 0..100 {
                owed += 2;
                let odd = usize::from(owed >= 125);
                owed -= 125 * odd;
                bench.play(10, if more { 80 + odd } else { 80 - odd });
            }
            steepest = steepest.max(bench.steepest());
            levels = (levels.0.min(bench.level_ms()), levels.1.max(bench.level_ms()));
        }
        assert_eq!((bench.strip.underruns(), bench.strip.heard()), (0, Heard::Source));
        assert!(levels.0 >= 80 && levels.1 <= 250, "{levels:?} ms held");
        assert!(steepest < 1_960, "a step of {steepest}");
    }
}

#[test]
fn a_device_is_heard_soon_and_gone_at_once() {
    let mut bench = Bench::new(Flow::Captured);
    let waited = bench.until(Heard::Source, 80);
    assert!(waited <= 300, "{waited} ms");
    bench.play(2_000, 80);
    assert!(bench.level_ms() <= 250, "{} ms", bench.level_ms());
    bench.supply.ended = true;
    // Not what was left of it: the pacer is 60 ms ahead as it is.
    assert!(bench.until(Heard::Fallback, 0) <= 10);
    bench.play(500, 0);
    bench.supply.begin(Flow::Captured);
    assert!(bench.until(Heard::Source, 80) <= 300);
    bench.play(500, 80);
    assert_eq!(bench.strip.underruns(), 0);
    check_no_click(&bench);
}

#[test]
fn a_stream_on_time_passes_bit_by_bit() {
    let mut bench = Bench::new(Flow::Arriving);
    bench.arrive(1_200);
    bench.until(Heard::Source, 80);
    bench.play(100, 80);
    bench.heard.clear();
    bench.play(60_000, 80);
    let start = bench.phase - bench.supply.live.len() - bench.heard.len();
    let expected: Vec<_> = (start..start + bench.heard.len()).map(|n| wave(n, HZ)).collect();
    assert!(bench.heard == expected);
}

#[test]
fn a_file_starts_at_once_and_loses_no_sample() {
    let mut bench = Bench::new(Flow::Paced);
    let waited = bench.until(Heard::Source, 400);
    assert!(waited <= 100, "{waited} ms");
    bench.play(40, 400);
    let before = bench.heard.len();
    bench.play(20_000, 400);
    let end = bench.phase - bench.supply.live.len();
    let heard = bench.heard.get(before..).unwrap_or_default();
    let expected: Vec<_> = (end - heard.len()..end).map(|n| wave(n, HZ)).collect();
    assert!(heard == expected);
}

#[test]
fn a_source_that_plays_silence_is_replaced_until_it_sounds_again() {
    let mut bench = Bench::new(Flow::Arriving);
    let fallback = Arc::clone(&bench.strip.fallback);
    bench.strip = Strip::new(fallback, BUFFER, Some(Duration::from_secs(10)));
    bench.arrive(1_200);
    bench.until(Heard::Source, 80);
    bench.play(3_000, 80);
    let silence = |bench: &mut Bench, ms: usize| {
        for _ in 0..ms / 10 {
            bench.supply.push(&[10; 80]);
            let unit = bench.strip.next(&mut bench.supply);
            bench.heard.extend(unit);
        }
    };
    // What is held is still to be heard, then 9 s of silence are let be.
    silence(&mut bench, 10_000);
    assert_eq!((bench.strip.heard(), bench.strip.is_silent()), (Heard::Source, false));
    silence(&mut bench, 2_000);
    assert_eq!((bench.strip.heard(), bench.strip.is_silent()), (Heard::Fallback, true));
    silence(&mut bench, 60_000);
    let level = bench.level_ms();
    assert!((1_000..1_400).contains(&level), "{level} ms held");
    // A click is no sound.
    bench.supply.push(&[9_000; 80]);
    silence(&mut bench, 3_000);
    assert!(bench.strip.is_silent());
    assert!(bench.until(Heard::Source, 80) < 1_700);
    bench.play(1_000, 80);
    assert!(!bench.strip.is_silent());
    assert_eq!(bench.strip.underruns(), 0);
}

#[test]
fn the_meter_shows_peak_and_power() {
    let mut bench = Bench::new(Flow::Paced);
    bench.until(Heard::Source, 400);
    bench.play(1_000, 400);
    let loudness = bench.strip.loudness();
    assert!((loudness.peak * 32_768.0 - 8_000.0).abs() < 10.0, "{loudness:?}");
    assert!((loudness.rms * 32_768.0 - 5_657.0).abs() < 20.0, "{loudness:?}");
}

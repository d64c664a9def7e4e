//! Live sources: one encode for all who hear alike.

use std::sync::Arc;

use audio::live::{self, UNIT_SAMPLES, Unit};
use audio::{Gain, Law};
use engine::Piece;
use rtp::Ptime;

use crate::bed::{Bed, clip, encoded, ramp};

/// The sample of a live source at a position.
fn sample(position: u64) -> i16 {
    i16::try_from(position * 37 % 20_011).unwrap() - 10_000
}

fn unit(number: u64) -> Unit {
    std::array::from_fn(|n| sample(number * UNIT_SAMPLES as u64 + n as u64))
}

/// Runs the bed while a writer keeps the ring six units ahead.
fn run(bed: &mut Bed, writer: &mut live::Writer, ms: u64) {
    for _ in 0..ms {
        let present = (bed.began + bed.now) / live::UNIT_MS;
        for number in present.saturating_sub(2)..=present + live::LIVE_AHEAD_UNITS {
            if number >= writer.next() {
                assert!(writer.write(number, &unit(number)));
            }
        }
        bed.run(1);
    }
}

fn live_piece(ring: &Arc<live::Ring>) -> Piece {
    Piece::Live { ring: Arc::clone(ring), samples: None }
}

/// Where in the source `codes` were taken from.
fn position(bed: &Bed, codes: &[u8], law: Law, gain: Gain) -> Option<u64> {
    let first = (bed.began / 10).saturating_sub(20) * 80;
    let mut samples: Vec<i16> = (first..first + (bed.now + 400) * 8).map(sample).collect();
    gain.apply(&mut samples);
    let all = encoded(law, &samples);
    let found = all.windows(codes.len()).position(|window| window == codes)?;
    Some(first + found as u64)
}

#[test]
fn all_listeners_hear_the_same_bytes_encoded_once() {
    let mut bed = Bed::new();
    let (mut writer, ring) = live::ring();
    run(&mut bed, &mut writer, 1);
    for _ in 0..12 {
        let key = bed.stream(|_| ());
        bed.play(key, 1, vec![live_piece(&ring)]);
    }
    run(&mut bed, &mut writer, 1_000);
    let load = bed.engines.loads()[0];
    assert!((100..=104).contains(&load.encoded_units), "{load:?}");
    assert_eq!((load.streams, load.elements), (12, 13));
    let first = position(&bed, &bed.peers[0].heard(), Law::Mu, Gain::UNITY).unwrap();
    for peer in &bed.peers {
        let at = position(&bed, &peer.heard(), Law::Mu, Gain::UNITY).unwrap();
        // All stand at the source's present position, to the unit that their slot lies in.
        assert!(at.abs_diff(first) <= 2 * 80 + 80, "{at} {first}");
    }
}

#[test]
fn other_laws_gains_and_packet_times_are_each_exact() {
    let mut bed = Bed::new();
    let (mut writer, ring) = live::ring();
    run(&mut bed, &mut writer, 1);
    let half = Gain::from_factor(0.5);
    let ways = [(Law::Mu, Gain::UNITY, 20), (Law::A, Gain::UNITY, 60), (Law::A, half, 10)];
    for (law, gain, ms) in ways {
        let key = bed.stream(|config| {
            config.law = law;
            config.ptime = Ptime::exact(ms).unwrap();
        });
        bed.play_with(key, 1, gain, vec![live_piece(&ring)]);
    }
    run(&mut bed, &mut writer, 600);
    for ((law, gain, ms), peer) in ways.into_iter().zip(&bed.peers) {
        assert_eq!(peer.got.len(), usize::try_from(600 / ms).unwrap());
        assert!(position(&bed, &peer.heard(), law, gain).is_some(), "{law:?} {gain:?} {ms}");
    }
    assert_eq!(bed.engines.loads()[0].elements, 6);
}

#[test]
fn a_live_piece_may_begin_and_end_in_the_middle_of_a_packet() {
    let mut bed = Bed::new();
    let (mut writer, ring) = live::ring();
    run(&mut bed, &mut writer, 1);
    let key = bed.stream(|_| ());
    let lead = ramp(500, 203);
    let live = Piece::Live { ring: Arc::clone(&ring), samples: Some(1_001) };
    bed.play(key, 1, vec![clip(&lead), live, Piece::Tag(9), clip(&lead), Piece::End]);
    run(&mut bed, &mut writer, 400);
    let heard = bed.peers[0].heard();
    assert_eq!(heard[..203], encoded(Law::Mu, &lead));
    assert!(position(&bed, &heard[203..1_204], Law::Mu, Gain::UNITY).is_some());
    assert_eq!(heard[1_204..1_407], encoded(Law::Mu, &lead));
    assert!(bed.told()[0].starts_with("tag 9 of 1 at 1204"), "{:?}", bed.told());
    assert_eq!(bed.engines.loads()[0].elements, 1, "the share is given back");
}

#[test]
fn after_a_pause_a_live_source_is_heard_where_it_is_now() {
    let mut bed = Bed::new();
    let (mut writer, ring) = live::ring();
    run(&mut bed, &mut writer, 1);
    let key = bed.stream(|_| ());
    bed.play(key, 1, vec![live_piece(&ring)]);
    run(&mut bed, &mut writer, 100);
    bed.engines.pause(key).unwrap();
    run(&mut bed, &mut writer, 1_000);
    let before = bed.peers[0].heard().len();
    bed.engines.resume(key).unwrap();
    run(&mut bed, &mut writer, 100);
    let heard = bed.peers[0].heard();
    let (early, late) = heard.split_at(before);
    let early = position(&bed, early, Law::Mu, Gain::UNITY).unwrap();
    let late = position(&bed, late, Law::Mu, Gain::UNITY).unwrap();
    assert!((8_000..=9_200).contains(&(late - early)), "{}", late - early);
}

#[test]
fn a_writer_that_stops_leaves_silence_and_a_count() {
    let mut bed = Bed::new();
    let (mut writer, ring) = live::ring();
    run(&mut bed, &mut writer, 1);
    let key = bed.stream(|_| ());
    bed.play(key, 1, vec![live_piece(&ring)]);
    run(&mut bed, &mut writer, 100);
    bed.run(300);
    let last = bed.peers[0].got.last().unwrap();
    assert!(last.payload.iter().all(|&code| code == Law::Mu.silence()));
    run(&mut bed, &mut writer, 300);
    let last = bed.peers[0].got.last().unwrap();
    assert!(position(&bed, &last.payload, Law::Mu, Gain::UNITY).is_some());
    let missing = bed.engines.stats(key).unwrap().missing_units;
    assert!((16..=30).contains(&missing), "{missing}");
}

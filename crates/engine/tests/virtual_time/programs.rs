//! What is heard of programs, and what is told of them.

use std::sync::Arc;

use audio::{Gain, Law};
use engine::{Piece, Program, ProgramId};

use crate::bed::{Bed, clip, encoded, ramp};

#[test]
fn pieces_follow_each_other_to_the_sample() {
    for law in [Law::Mu, Law::A] {
        let mut bed = Bed::new();
        let key = bed.stream(|config| config.law = law);
        let (one, two, three) = (ramp(0, 333), ramp(5_000, 1), ramp(-9_000, 1_234));
        let cut = Piece::Clip { samples: Arc::clone(&three), from: 100, to: 900 };
        let wrong = Piece::Clip { samples: Arc::clone(&three), from: 9_999, to: 77 };
        let pieces = vec![
            clip(&one),
            Piece::Tag(1),
            Piece::Silence { samples: 77 },
            clip(&two),
            Piece::Silence { samples: 0 },
            wrong,
            cut,
            clip(&one),
            Piece::End,
        ];
        bed.play(key, 1, pieces);
        bed.run(400);
        let mut expected = [&one[..], &[0; 77], &two, &three[100..900], &one].concat();
        let whole = expected.len();
        expected.resize(whole.next_multiple_of(160), 0);
        let silent = encoded(law, &[0])[0];
        let mut codes = encoded(law, &expected);
        codes[333..410].fill(silent);
        codes[whole..].fill(silent);
        assert_eq!(bed.peers[0].heard(), codes);
        assert_eq!(bed.told().last().unwrap().split(',').next().unwrap(), "finished 1 at 1544");
    }
}

/// Plays `pieces` from a tick that the first packet tells; `told` is relative to that.
#[track_caller]
fn check(pieces: Vec<Piece>, expected: &[&str]) {
    let mut bed = Bed::new();
    let key = bed.stream(|_| ());
    bed.run(1);
    bed.play(key, 1, pieces);
    let mut first = None;
    for _ in 0..200 {
        bed.run(1);
        if first.is_none() && !bed.peers[0].got.is_empty() {
            first = Some(bed.peers[0].got[0].at);
        }
    }
    let first = first.unwrap_or(0);
    let relative = |text: String| match text.rsplit_once(", ") {
        Some((head, tail)) if tail.ends_with(" ms") => {
            let at: u64 = tail.trim_end_matches(" ms").parse().unwrap();
            format!("{head}, {} ms", at - first)
        }
        _ => text,
    };
    assert_eq!(bed.told().into_iter().map(relative).collect::<Vec<_>>(), expected);
}

#[test]
fn tags_are_told_with_the_packet_that_carries_their_sample() {
    let (whole, part) = (ramp(0, 160), ramp(0, 100));
    check(
        vec![Piece::Tag(1), clip(&whole), Piece::Tag(2), clip(&part), Piece::Tag(3), clip(&part)]
            .into_iter()
            .chain([Piece::Tag(4), Piece::End])
            .collect(),
        &[
            "tag 1 of 1 at 0, 0 ms",
            "tag 2 of 1 at 160, 20 ms",
            "tag 3 of 1 at 260, 20 ms",
            "tag 4 of 1 at 360, 40 ms",
            "finished 1 at 360, 40 ms",
        ],
    );
}

#[test]
fn a_program_that_ends_with_a_packet_is_finished_with_that_packet() {
    let whole = ramp(0, 320);
    check(
        vec![clip(&whole), Piece::Tag(1), Piece::Tag(2), Piece::End],
        &["tag 1 of 1 at 320, 20 ms", "tag 2 of 1 at 320, 20 ms", "finished 1 at 320, 20 ms"],
    );
}

#[test]
fn more_tags_than_a_packet_may_begin_with_are_all_told_in_order() {
    let tags = (0..200).map(Piece::Tag).chain([clip(&ramp(0, 160)), Piece::End]).collect();
    let mut bed = Bed::new();
    let key = bed.stream(|_| ());
    bed.play(key, 1, tags);
    bed.run(200);
    let told = bed.told();
    assert_eq!(told.len(), 201);
    for (n, text) in told[..200].iter().enumerate() {
        assert!(text.starts_with(&format!("tag {n} of 1 at 0")), "{text}");
    }
}

#[test]
fn an_empty_program_is_finished_without_a_packet() {
    let mut bed = Bed::new();
    let key = bed.stream(|_| ());
    bed.play(key, 1, vec![Piece::End]);
    bed.run(40);
    assert!(bed.peers[0].got.is_empty());
    assert_eq!(bed.told().len(), 1);
}

#[test]
fn late_pieces_are_made_up_for_with_silence_and_told_once() {
    let mut bed = Bed::new();
    let key = bed.stream(|_| ());
    let (mut ring, program) = Program::new(ProgramId::from_number(1), Gain::UNITY, 8);
    bed.engines.play(key, program).unwrap();
    bed.run(100);
    assert!(bed.peers[0].got.is_empty(), "nothing before the first piece");
    ring.push(clip(&ramp(1_000, 200))).unwrap();
    bed.run(80);
    ring.push(clip(&ramp(1_200, 160))).unwrap();
    bed.run(60);
    drop(ring);
    bed.run(60);
    let heard = bed.peers[0].heard();
    assert_eq!(heard[..200], encoded(Law::Mu, &ramp(1_000, 200)));
    assert!(heard[200..].contains(&encoded(Law::Mu, &[1_200])[0]));
    assert_eq!(bed.told(), ["starved 1 at 200", "abandoned 1 at 360"]);
    assert!(bed.peers[0].got[1..].iter().all(|got| !got.marker), "no gap on the wire");
    bed.engines.remove(key).unwrap();
    bed.run(1);
    assert!(bed.told().contains(&"gone".into()));
}

#[test]
fn a_new_program_takes_the_old_ones_place_at_the_next_packet() {
    let mut bed = Bed::new();
    let key = bed.stream(|_| ());
    bed.play(key, 1, vec![clip(&ramp(0, 8_000)), Piece::End]);
    bed.run(60);
    bed.play(key, 2, vec![clip(&ramp(9_000, 8_000)), Piece::End]);
    bed.run(40);
    bed.engines.silence(key).unwrap();
    bed.run(40);
    let expected = [encoded(Law::Mu, &ramp(0, 480)), encoded(Law::Mu, &ramp(9_000, 320))].concat();
    assert_eq!(bed.peers[0].heard(), expected);
    assert_eq!(bed.told(), ["stopped 1 at 480, Replaced", "stopped 2 at 320, Silenced"]);
    assert!(bed.peers[0].got[1..].iter().all(|got| !got.marker));
}

#[test]
fn gain_is_the_programs_own_and_may_change_while_it_plays() {
    let mut bed = Bed::new();
    let key = bed.stream(|_| ());
    let half = Gain::from_factor(0.5);
    let loud: Arc<[i16]> = [8_000; 1_600].into();
    bed.play_with(key, 1, half, vec![clip(&loud), Piece::End]);
    bed.run(60);
    bed.engines.gain(key, Gain::UNITY).unwrap();
    bed.run(60);
    let heard = bed.peers[0].heard();
    assert_eq!(heard[..480], encoded(Law::Mu, &[4_000; 480]));
    assert_eq!(heard[480..], encoded(Law::Mu, &[8_000; 480]));
}

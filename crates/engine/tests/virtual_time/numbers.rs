//! Sequence numbers, timestamps, markers and the spacing of packets.

use engine::Piece;
use rtp::Ptime;

use crate::bed::{Bed, START, clip, ramp};

/// Each packet as `sequence+timestamp` relative to the start, with `m` for the marker.
fn row(bed: &Bed) -> String {
    let one = |got: &crate::bed::Got| {
        let sequence = got.sequence.wrapping_sub(START.sequence);
        let timestamp = got.timestamp.wrapping_sub(bed.peers[0].got[0].timestamp);
        format!("{sequence}+{timestamp}{}", if got.marker { "m" } else { "" })
    };
    bed.peers[0].got.iter().map(one).collect::<Vec<_>>().join(" ")
}

#[test]
fn rfc_3551_section_4_1_the_marker_begins_a_talk_spurt_and_the_timestamp_runs_on() {
    let mut bed = Bed::new();
    let key = bed.stream(|_| ());
    bed.run(100);
    assert_eq!(row_or_none(&bed), "", "nothing is sent before a program");
    bed.play(key, 1, vec![clip(&ramp(0, 8_000)), Piece::End]);
    bed.run(60);
    bed.engines.pause(key).unwrap();
    bed.run(100);
    assert_eq!(row(&bed), "0+0m 1+160 2+320");
    bed.engines.resume(key).unwrap();
    bed.run(40);
    assert_eq!(row(&bed), "0+0m 1+160 2+320 3+1280m 4+1440");
    // The program went on where it was paused: 480 samples in.
    let expected = crate::bed::encoded(audio::Law::Mu, &ramp(0, 800));
    assert_eq!(bed.peers[0].heard(), expected);
    bed.engines.silence(key).unwrap();
    bed.run(60);
    bed.play(key, 2, vec![clip(&ramp(0, 160)), Piece::End]);
    bed.run(40);
    let last = bed.peers[0].got.last().unwrap();
    assert!(last.marker);
    // The run's milliseconds and the timestamps agree to a tick, over all silence.
    let first = &bed.peers[0].got[0];
    let ms = u32::try_from(last.at - first.at).unwrap();
    assert_eq!(last.timestamp.wrapping_sub(first.timestamp), ms * 8);
}

fn row_or_none(bed: &Bed) -> String {
    if bed.peers[0].got.is_empty() { String::new() } else { row(bed) }
}

#[test]
fn every_packet_time_is_kept_to_the_millisecond() {
    for ptime in Ptime::ALL {
        let mut bed = Bed::new();
        let key = bed.stream(|config| config.ptime = ptime);
        bed.play(key, 1, vec![Piece::Silence { samples: 80_000 }, Piece::End]);
        bed.run(6_000);
        let got = &bed.peers[0].got;
        assert_eq!(got.len(), 6_000 / usize::try_from(ptime.ms()).unwrap(), "{ptime:?}");
        for pair in got.windows(2) {
            assert_eq!(pair[1].at - pair[0].at, u64::from(ptime.ms()));
            assert_eq!(pair[1].payload.len(), ptime.samples());
            assert_eq!(pair[1].sequence, pair[0].sequence.wrapping_add(1));
            let step = pair[1].timestamp.wrapping_sub(pair[0].timestamp);
            assert_eq!(step, ptime.ms() * 8);
        }
    }
}

#[test]
fn a_late_engine_never_skips_a_sequence_number_but_time() {
    let mut bed = Bed::new();
    let key = bed.stream(|_| ());
    bed.play(key, 1, vec![clip(&ramp(0, 16_000)), Piece::End]);
    bed.run(40);
    // Up to a period late: all is sent, at once.
    bed.stall(19);
    bed.run(20);
    assert_eq!(row(&bed), "0+0m 1+160 2+320 3+480");
    // Later: what lies between is left out.
    bed.stall(205);
    bed.run(60);
    let stats = bed.peers[0].got.clone();
    for pair in stats.windows(2) {
        assert_eq!(pair[1].sequence, pair[0].sequence.wrapping_add(1));
    }
    let jump = stats.windows(2).find(|pair| pair[1].marker).unwrap();
    let skipped = u64::from(jump[1].timestamp.wrapping_sub(jump[0].timestamp) / 160 - 1);
    assert!((9..=11).contains(&skipped), "{skipped}");
    bed.run(500);
    assert_eq!(bed.engines.stats(key).unwrap().skipped, skipped);
    assert!(bed.engines.loads()[0].left_out >= 200);
    // No sample was lost for it.
    let heard = bed.peers[0].heard();
    assert_eq!(heard, crate::bed::encoded(audio::Law::Mu, &ramp(0, heard.len())));
}

#[test]
fn streams_spread_evenly_and_a_first_packet_waits_no_longer_than_five_milliseconds() {
    let mut bed = Bed::new();
    for n in 0..60 {
        let key = bed.stream(|_| ());
        bed.run(7);
        bed.play(key, n, vec![Piece::Silence { samples: 80_000 }, Piece::End]);
        let before = bed.now;
        bed.run(20);
        let waited = bed.peers.last().unwrap().got[0].at - before;
        assert!(waited <= 5, "waited {waited} ms");
    }
    let mut slots = [0; 20];
    for peer in &bed.peers {
        slots[usize::try_from(peer.got[0].at % 20).unwrap()] += 1;
    }
    assert!(slots.iter().all(|&count| (1..=5).contains(&count)), "{slots:?}");
}

#[test]
fn a_new_offer_changes_code_packet_time_and_peer_but_not_the_numbers() {
    let mut bed = Bed::new();
    let key = bed.stream(|_| ());
    bed.play(key, 1, vec![clip(&ramp(0, 16_000)), Piece::End]);
    bed.run(100);
    let mut config = bed.peers[0].config();
    let other = crate::bed::Peer::new("127.0.0.1".parse().unwrap());
    config.remote_rtp = other.rtp.local_addr().unwrap();
    config.law = audio::Law::A;
    config.payload_type = 8;
    config.ptime = Ptime::exact(30).unwrap();
    bed.peers.push(other);
    bed.engines.update(key, &config).unwrap();
    bed.run(300);
    let (old, new) = (&bed.peers[0].got, &bed.peers[1].got);
    assert_eq!(old.len(), 5);
    let (last, first) = (old.last().unwrap(), new.first().unwrap());
    assert_eq!(first.sequence, last.sequence.wrapping_add(1));
    let gap = first.timestamp.wrapping_sub(last.timestamp);
    assert!((160..=400).contains(&gap), "no sound twice, hardly any late: {gap}");
    assert_eq!((first.payload_type, first.payload.len()), (8, 240));
    assert_eq!(u64::from(gap), (first.at - last.at) * 8);
    let expected = crate::bed::encoded(audio::Law::A, &ramp(800, new.len() * 240));
    assert_eq!(bed.peers[1].heard(), expected);
    for pair in new.windows(2) {
        assert_eq!(pair[1].at - pair[0].at, 30);
        assert!(!pair[1].marker);
    }
}

//! Adding, removing, refusing, and full rings.

use std::collections::BTreeSet;

use engine::{CommandError, EngineConfig, Piece, Receive, Refused, Report, ReserveError};

use crate::bed::{Bed, Peer, clip, ramp};

#[test]
fn exhausted_ports_are_an_error_and_a_removed_stream_frees_its_own() {
    let mut bed = Bed::with(EngineConfig {
        port_ranges: vec![23_420..=23_425],
        streams_max: 8,
        ..EngineConfig::default()
    });
    let keys: Vec<_> = (0..3).map(|_| bed.stream(|_| ())).collect();
    let exhausted = bed.engines.reserve().unwrap_err();
    assert!(matches!(exhausted, ReserveError::PortsExhausted { pairs: 3 }), "{exhausted}");
    assert_eq!(bed.engines.port_pairs(), (3, 0));
    bed.engines.remove(keys[1]).unwrap();
    bed.run(1);
    assert_eq!(bed.engines.reserve().unwrap().rtp(), 23_422);
}

#[test]
fn a_removed_stream_is_gone_for_good() {
    let mut bed = Bed::with(EngineConfig { streams_max: 2, ..EngineConfig::default() });
    let mut keys = BTreeSet::new();
    for _ in 0..50 {
        let (one, two) = (bed.stream(|_| ()), bed.stream(|_| ()));
        let ports = bed.engines.reserve().unwrap();
        let peer = Peer::new("127.0.0.1".parse().unwrap());
        let refused = bed.engines.add(ports, &peer.config()).unwrap_err();
        assert!(matches!(refused, Refused::StreamsFull));
        bed.play(one, 1, vec![Piece::Silence { samples: 800 }, Piece::End]);
        bed.run(3);
        for key in [one, two] {
            assert!(keys.insert(key), "never used again");
            bed.engines.remove(key).unwrap();
            let again = bed.engines.pause(key).unwrap_err();
            assert!(matches!(again, CommandError::NoSuchStream));
        }
        bed.run(1);
        assert_eq!(bed.engines.stats(one), None);
        bed.peers.clear();
    }
    let gone = bed.told().iter().filter(|told| *told == "gone").count();
    assert_eq!((gone, bed.engines.loads()[0].streams), (100, 0));
    let (pairs, free) = bed.engines.port_pairs();
    assert_eq!(pairs, free);
}

#[test]
fn a_full_command_ring_is_told_and_still_takes_removals() {
    let mut bed = Bed::new();
    let key = bed.stream(|_| ());
    let mut taken = 0;
    let refused = loop {
        match bed.engines.pause(key) {
            Ok(()) => taken += 1,
            Err(fault) => break fault,
        }
    };
    assert!(matches!(refused, CommandError::Busy));
    assert!(taken > 2_000, "{taken}");
    bed.engines.remove(key).unwrap();
    bed.run(100);
    assert_eq!(bed.told(), ["gone"]);
}

#[test]
fn while_reports_are_not_taken_programs_stand_still_and_nothing_is_lost() {
    let mut bed = Bed::new();
    let keys: Vec<_> = (0..40).map(|_| bed.stream(|_| ())).collect();
    let samples = ramp(0, 160);
    for &key in &keys {
        let tags = (0..600).flat_map(|tag| [Piece::Tag(tag), clip(&samples)]);
        bed.play(key, 1, tags.chain([Piece::End]).collect());
    }
    // 24,000 tags and as many clips for rings of 16,384, and nobody empties them.
    for _ in 0..13_000 {
        bed.engine.tick(engine::Mono::from_millis(bed.began + bed.now));
        bed.now += 1;
    }
    bed.run(13_000);
    let reports = bed.reports.lock().unwrap();
    for key in keys {
        let tags = reports.iter().filter_map(|report| {
            let Report::Tag { stream, tag, .. } = report else { return None };
            (*stream == key).then_some(*tag)
        });
        assert!(tags.eq(0..600));
        assert!(bed.engines.stats(key).unwrap().held > 0);
    }
}

#[test]
fn a_peer_that_is_not_there_is_counted_and_kept() {
    let mut bed = Bed::new();
    let key = bed.stream(|_| ());
    bed.peers.clear();
    bed.play(key, 1, vec![Piece::Silence { samples: 160 * 64 }, Piece::End]);
    bed.run(64 * 20 + 20);
    let stats = bed.engines.stats(key).unwrap();
    assert_eq!((stats.packets, stats.failed), (64, 0));
    // How often the kernel tells is its own choice.
    assert!(stats.refused >= 1, "{stats:?}");
    assert!(bed.told()[0].starts_with("finished 1"));
}

#[test]
fn ipv6_and_any_address_work_alike() {
    for (bind, peer) in
        [("::1", "::1"), ("::", "127.0.0.1"), ("::", "::1"), ("0.0.0.0", "127.0.0.1")]
    {
        let mut bed = Bed::with(EngineConfig {
            bind: bind.parse().unwrap(),
            streams_max: 4,
            ..EngineConfig::default()
        });
        let first = Peer::new(peer.parse().unwrap());
        let mut config = first.config();
        let key = bed.engines.add(bed.engines.reserve().unwrap(), &config).unwrap();
        bed.peers.push(first);
        bed.play(key, 1, vec![Piece::Silence { samples: 800_000 }, Piece::End]);
        bed.run(100);
        assert_eq!(bed.peers[0].got.len(), 5, "{bind} to {peer}");
        config.receive = Receive::Ignore;
        bed.engines.update(key, &config).unwrap();
        bed.run(8_000);
        assert!(!bed.peers[0].reports.is_empty(), "{bind} to {peer}");
    }
}

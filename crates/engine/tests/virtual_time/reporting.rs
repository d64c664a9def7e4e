//! RTCP.

use engine::Piece;
use rtp::rtcp::{Compound, ReportBlock, Said, SenderInfo, Writer, ntp};

use crate::bed::{Bed, START, local, packet};

fn said(bytes: &[u8]) -> Vec<Said> {
    let mut said = Vec::new();
    Compound::parse(bytes).unwrap().for_each(|one| said.push(one));
    said
}

#[test]
fn rfc_3550_section_6_4_sender_reports_say_what_was_sent_and_come_about_every_five_seconds() {
    let mut bed = Bed::new();
    let key = bed.stream(|_| ());
    bed.run(1);
    bed.play(key, 1, vec![Piece::Silence { samples: 80 * 6_000 }, Piece::End]);
    bed.run(60_000);
    let peer = &bed.peers[0];
    assert!((8..=24).contains(&peer.reports.len()), "{}", peer.reports.len());
    for (at, bytes) in &peer.reports {
        let sent = peer.got.iter().filter(|got| got.at < *at).count();
        let Said::Sender { ssrc, info } = said(bytes)[0] else { panic!("no sender report") };
        assert_eq!(ssrc, START.ssrc);
        assert_eq!(usize::try_from(info.packets).unwrap(), sent);
        assert_eq!(info.octets, info.packets * 160);
        let first = &peer.got[0];
        let since = u32::try_from(at - first.at).unwrap() * 8;
        assert_eq!(info.timestamp.wrapping_sub(first.timestamp), since, "at {at}");
        assert!(bytes.windows(5).any(|window| window == b"\x01\x03bed"), "a CNAME in each");
    }
    let times: Vec<_> = peer.reports.iter().map(|(at, bytes)| (*at, said(bytes))).collect();
    for pair in times.windows(2) {
        let gap = pair[1].0 - pair[0].0;
        assert!((2_000..=6_300).contains(&gap), "{gap}");
        let (Said::Sender { info: a, .. }, Said::Sender { info: b, .. }) =
            (pair[0].1[0], pair[1].1[0])
        else {
            panic!("no sender reports")
        };
        // The NTP time advances as the timestamp does.
        let ms = (u128::from(b.ntp - a.ntp) * 1_000) >> 32;
        assert!(ms.abs_diff(u128::from(gap)) <= 1, "{ms} {gap}");
    }
}

#[test]
fn rfc_3550_section_6_4_who_sent_nothing_lately_sends_receiver_reports() {
    let mut bed = Bed::new();
    let key = bed.stream(|_| ());
    bed.run(20_000);
    assert!(bed.peers[0].reports.iter().all(|(_, bytes)| bytes[1] == 201));
    bed.play(key, 1, vec![Piece::Silence { samples: 80_000 }, Piece::End]);
    bed.run(9_000);
    assert_eq!(bed.peers[0].reports.last().unwrap().1[1], 200);
    bed.run(30_000);
    assert_eq!(bed.peers[0].reports.last().unwrap().1[1], 201);
}

#[test]
fn rfc_3550_section_6_6_removal_says_goodbye_if_anything_was_ever_said() {
    let mut bed = Bed::new();
    let (silent, heard) = (bed.stream(|_| ()), bed.stream(|_| ()));
    bed.play(heard, 1, vec![Piece::Silence { samples: 80_000 }, Piece::End]);
    bed.run(100);
    bed.engines.remove(silent).unwrap();
    bed.engines.remove(heard).unwrap();
    bed.run(2);
    assert!(bed.peers[0].reports.is_empty(), "RFC 3550 §6.3.7");
    let (_, bytes) = bed.peers[1].reports.last().unwrap();
    assert_eq!(said(bytes).last(), Some(&Said::Bye { ssrc: START.ssrc }));
    assert_eq!(bed.told(), ["stopped 1 at 800, Removed", "gone", "gone"]);
}

#[test]
fn rfc_3550_section_6_4_a_peers_reports_and_goodbye_are_heard() {
    let mut bed = Bed::new();
    let peer = crate::bed::Peer::new("127.0.0.1".parse().unwrap());
    let ports = bed.engines.reserve().unwrap();
    let port = ports.rtp();
    let key = bed.engines.add(ports, &peer.config()).unwrap();
    bed.peers.push(peer);
    bed.run(10);
    // The peer sends, too: our reports then carry a block about it.
    for n in [1, 2, 3, 5] {
        let bytes = packet(0, n, u32::from(n) * 160, &[0; 160]);
        bed.peers[0].rtp.send_to(&bytes, local(port)).unwrap();
        bed.run(20);
    }
    let block = ReportBlock {
        ssrc: START.ssrc,
        fraction_lost: 3,
        lost: 12,
        jitter: 44,
        ..ReportBlock::default()
    };
    let info = SenderInfo { ntp: ntp(5_000_000_000), timestamp: 0, packets: 4, octets: 640 };
    let mut writer = Writer::new(7, Some(info), Some(block));
    writer.bye(7);
    for _ in 0..2 {
        bed.peers[0].rtcp.send_to(writer.bytes(), local(port + 1)).unwrap();
        bed.run(5);
    }
    let stats = bed.engines.stats(key).unwrap();
    assert_eq!((stats.peer_fraction_lost, stats.peer_lost, stats.peer_jitter), (3, 12, 44));
    assert_eq!(stats.reports_received, 2);
    assert_eq!(bed.told(), ["peer left"]);
    bed.run(8_000);
    let (_, bytes) = &bed.peers[0].reports[0];
    let Said::Block(about) = said(bytes)[0] else { panic!("no block in {bytes:?}") };
    assert_eq!((about.ssrc, about.lost, about.highest_sequence), (7, 1, 5));
    assert_eq!(u64::from(about.last_report), (ntp(5_000_000_000) >> 16) & 0xffff_ffff);
    assert!(about.delay > 0);
}

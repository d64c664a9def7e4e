//! What peers send.

use engine::Receive;

use crate::bed::{Bed, local, packet};

/// A stream whose ports are known.
fn known(bed: &mut Bed, receive: Receive) -> (engine::StreamKey, u16) {
    let peer = crate::bed::Peer::new("127.0.0.1".parse().unwrap());
    let mut config = peer.config();
    config.receive = receive;
    bed.peers.push(peer);
    let ports = bed.engines.reserve().unwrap();
    let port = ports.rtp();
    (bed.engines.add(ports, &config).unwrap(), port)
}

fn press(bed: &mut Bed, port: u16, packets: &[(u16, u32, [u8; 4])]) {
    for (sequence, timestamp, payload) in packets {
        let bytes = packet(101, *sequence, *timestamp, payload);
        bed.peers[0].rtp.send_to(&bytes, local(port)).unwrap();
        bed.run(20);
    }
}

#[test]
fn rfc_4733_section_2_5_a_key_press_is_told_once() {
    let mut bed = Bed::new();
    let (key, port) = known(&mut bed, Receive::Listen);
    bed.run(3_000);
    let end = [5, 0x8a, 2, 0x80];
    press(
        &mut bed,
        port,
        &[
            (1, 800, [5, 10, 0, 160]),
            (2, 800, [5, 10, 1, 64]),
            (3, 800, end),
            (4, 800, end),
            (5, 800, end),
            (6, 4_000, [11, 10, 0, 160]),
        ],
    );
    bed.run(500);
    assert_eq!(bed.told(), ["digit 5 80", "digit 11 20"]);
    let mut stats = bed.engines.stats(key).unwrap();
    if stats.digits != 2 {
        bed.run(7_000);
        stats = bed.engines.stats(key).unwrap();
    }
    assert_eq!((stats.digits, stats.lost, stats.received), (2, 0, 5));
}

#[test]
fn a_stream_that_ignores_its_peer_hears_nothing_until_a_new_offer() {
    let mut bed = Bed::new();
    let (key, port) = known(&mut bed, Receive::Ignore);
    bed.run(100);
    press(&mut bed, port, &[(1, 800, [5, 0x8a, 2, 0x80])]);
    bed.run(200);
    assert_eq!(bed.told(), [""; 0]);
    bed.engines.update(key, &bed.peers[0].config()).unwrap();
    bed.run(20);
    press(&mut bed, port, &[(2, 1_600, [6, 0x8a, 2, 0x80])]);
    bed.run(200);
    assert_eq!(bed.told(), ["digit 6 80"]);
}

#[test]
fn noise_and_strangers_are_let_be() {
    let mut bed = Bed::new();
    let (key, port) = known(&mut bed, Receive::Listen);
    let stranger = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let press = packet(101, 1, 800, &[5, 0x8a, 2, 0x80]);
    bed.run(20);
    stranger.send_to(&press, local(port)).unwrap();
    for bytes in [&b""[..], b"\x80", &[0xff; 1_400], &packet(101, 1, 1, &[5])] {
        bed.peers[0].rtp.send_to(bytes, local(port)).unwrap();
        bed.peers[0].rtcp.send_to(bytes, local(port + 1)).unwrap();
    }
    bed.run(400);
    assert_eq!(bed.told(), [""; 0]);
    assert_eq!(bed.engines.stats(key).unwrap().reports_received, 0);
}

#[test]
fn a_tap_has_what_goes_both_ways_and_the_stream_does_not_mind() {
    use engine::{Kind, Way};
    let mut bed = Bed::new();
    let (key, port) = known(&mut bed, Receive::Listen);
    bed.run(100);
    let before = bed.engines.tap(key).unwrap();
    let mut tap = bed.engines.tap(key).unwrap();
    bed.run(1);
    assert!(before.is_over(), "a new one ends the one before");
    bed.play(
        key,
        1,
        vec![crate::bed::clip(&std::sync::Arc::from([1_000_i16; 1_600])), engine::Piece::End],
    );
    press(&mut bed, port, &[(1, 800, [5, 0x8a, 2, 0x80])]);
    let mut report = rtp::rtcp::Writer::new(7, None, None);
    report.cname(7, b"peer");
    bed.peers[0].rtcp.send_to(report.bytes(), local(port + 1)).unwrap();
    bed.run(180);
    bed.engines.remove(key).unwrap();
    bed.run(20);
    let all: Vec<_> = std::iter::from_fn(|| tap.take()).collect();
    let of = |way, kind| {
        let those = all.iter().filter(move |each| each.way == way && each.kind == kind);
        those.map(|each| each.payload().to_vec()).collect::<Vec<_>>()
    };
    let sent: Vec<Vec<u8>> = of(Way::Out, Kind::Rtp);
    assert_eq!(
        sent.iter().map(|packet| packet[12..].to_vec()).collect::<Vec<_>>().concat(),
        bed.peers[0].heard()
    );
    assert_eq!((sent.len(), sent[0].len()), (10, 172));
    assert_eq!(of(Way::In, Kind::Rtp), [packet(101, 1, 800, &[5, 0x8a, 2, 0x80])]);
    assert_eq!(of(Way::In, Kind::Rtcp), [report.bytes().to_vec()]);
    assert_eq!(of(Way::Out, Kind::Rtcp), [bed.peers[0].reports[0].1.clone()], "the goodbye");
    assert!(all.is_sorted_by_key(|each| each.at));
    assert!(tap.is_over());
}

//! The engine with its threads, for half a second: nothing is lost. When is not asked here.

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, UdpSocket};
    use std::sync::mpsc;
    use std::time::Duration;

    use audio::{Gain, Law};
    use engine::{
        EngineConfig, Engines, Piece, Program, ProgramId, Receive, Refused, Report, StreamConfig,
    };
    use rtp::{Packet, Ptime, Start};

    /// `rtcp` takes the reports: the port above the peer's is somebody else's.
    fn config(peer: &UdpSocket, rtcp: &UdpSocket) -> StreamConfig {
        StreamConfig {
            remote_rtp: peer.local_addr().unwrap(),
            remote_rtcp: Some(rtcp.local_addr().unwrap()),
            law: Law::Mu,
            payload_type: 0,
            ptime: Ptime::DEFAULT,
            telephone_event: None,
            receive: Receive::Ignore,
            start: Start { ssrc: 1, sequence: 0, timestamp: 0 },
            cname: "smoke".into(),
            dscp: engine::Marks::default(),
        }
    }

    #[test]
    fn fifty_streams_on_two_engines_lose_nothing() {
        let rtcp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (told, reports) = mpsc::sync_channel(1_000);
        let config_of_all = EngineConfig {
            engines: 2,
            port_ranges: vec![30_000..=31_999],
            streams_max: 100,
            ..EngineConfig::default()
        };
        let sink = Box::new(move |report| told.send(report).unwrap());
        let (engines, _notes) = Engines::start(&config_of_all, sink).unwrap();
        let streams: Vec<_> = (0..50)
            .map(|n| {
                let peer = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
                peer.set_nonblocking(true).unwrap();
                let ports = engines.reserve().unwrap();
                let key = engines.add(ports, &config(&peer, &rtcp)).unwrap();
                let (mut ring, program) = Program::new(ProgramId::from_number(n), Gain::UNITY, 4);
                ring.push(Piece::Silence { samples: 20 * 160 }).unwrap();
                ring.push(Piece::End).unwrap();
                engines.play(key, program).unwrap();
                (peer, key, ring)
            })
            .collect();
        let mut finished = 0;
        while finished < 50 {
            let report = reports.recv_timeout(Duration::from_secs(20)).unwrap();
            assert!(matches!(report, Report::Finished { at_samples: 3_200, .. }), "{report:?}");
            finished += 1;
        }
        let loads = engines.loads();
        assert!(loads.iter().all(|load| load.streams == 25 && load.ticks > 0));
        for (peer, key, _) in &streams {
            let (mut bytes, mut next) = ([0; 500], 0);
            while let Ok(len) = peer.recv(&mut bytes) {
                let packet = Packet::parse(&bytes[..len]).unwrap();
                assert_eq!((packet.sequence, packet.payload.len()), (next, 160));
                next += 1;
            }
            assert_eq!(next, 20);
            engines.remove(*key).unwrap();
        }
        drop(engines);
        let gone = reports.try_iter().filter(|report| matches!(report, Report::Gone { .. }));
        assert_eq!(gone.count(), 50);
    }

    #[test]
    fn engines_above_their_limit_refuse_new_streams() {
        let config_of_all = EngineConfig {
            refuse_above: 0,
            priority: None,
            port_ranges: vec![30_000..=31_999],
            ..EngineConfig::default()
        };
        let (engines, _notes) = Engines::start(&config_of_all, Box::new(drop)).unwrap();
        while engines.loads()[0].ticks < 3 {
            std::thread::yield_now();
        }
        let peer = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let rtcp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let refused = engines.add(engines.reserve().unwrap(), &config(&peer, &rtcp)).unwrap_err();
        assert!(matches!(refused, Refused::Overloaded { .. }), "{refused}");
        let (pairs, free) = engines.port_pairs();
        assert_eq!(pairs, free);
    }
}

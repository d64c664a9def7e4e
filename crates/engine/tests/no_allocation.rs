//! A tick neither allocates nor frees. Only its own thread is counted: the one that waits for the test has work of its own.

#[cfg(test)]
#[path = "virtual_time/bed.rs"]
#[expect(dead_code, reason = "this test needs less of the bed")]
mod bed;

#[cfg(test)]
mod tests {
    use audio::live::{self, UNIT_SAMPLES};
    use audio::{Gain, Law};
    use engine::{EngineConfig, Mono, Piece, Receive, StreamKey};
    use rtp::Ptime;

    use super::bed::{Bed, START, clip, local, packet, ramp};

    /// A tick under the count; everything else of a run is not.
    fn tick(bed: &mut Bed) {
        let counted = allocation_counter::measure(|| {
            bed.engine.tick(Mono::from_millis(bed.began + bed.now));
        });
        // What is freed and was made before shows as less than nothing.
        assert_eq!(counted, Default::default(), "in millisecond {}", bed.now);
        bed.run(0);
        bed.pump.drain();
        bed.now += 1;
    }

    fn everything(bed: &Bed, key: StreamKey, n: u64, ring: &std::sync::Arc<live::Ring>) {
        let samples = ramp(0, 333);
        let live = |samples| Piece::Live { ring: ring.clone(), samples };
        let pieces = vec![
            Piece::Tag(1),
            clip(&samples),
            live(Some(500)),
            Piece::Silence { samples: 99 },
            Piece::Tag(2),
            clip(&samples),
            live(if n.is_multiple_of(3) { None } else { Some(4_000) }),
            Piece::Tag(3),
            Piece::End,
        ];
        let gain = if n.is_multiple_of(2) { Gain::UNITY } else { Gain::from_db(3.0) };
        bed.play_with(key, n, gain, pieces);
    }

    #[test]
    fn ten_thousand_ticks_of_all_that_there_is_allocate_nothing() {
        let mut bed = Bed::with(EngineConfig { streams_max: 64, ..EngineConfig::default() });
        let (mut writer, ring) = live::ring();
        let mut ports = Vec::new();
        let mut keys: Vec<StreamKey> = (0..48_u32)
            .map(|n| {
                let reserved = bed.engines.reserve().unwrap();
                ports.push(reserved.rtp());
                let peer = super::bed::Peer::new("127.0.0.1".parse().unwrap());
                let mut config = peer.config();
                config.ptime = Ptime::ALL[usize::try_from(n).unwrap() % 6];
                config.law = if n % 2 == 0 { Law::Mu } else { Law::A };
                config.receive = if n % 3 == 0 { Receive::Ignore } else { Receive::Listen };
                bed.peers.push(peer);
                bed.engines.add(reserved, &config).unwrap()
            })
            .collect();
        let mut taps = std::collections::VecDeque::new();
        let mut tapped = 0;
        for now in 0..10_000_u64 {
            let present = (bed.began + bed.now) / live::UNIT_MS;
            for unit in writer.next().max(present)..=present + live::LIVE_AHEAD_UNITS {
                writer.write(unit, &[i16::try_from(unit % 9_000).unwrap(); UNIT_SAMPLES]);
            }
            let n = usize::try_from(now).unwrap() % keys.len();
            match now % 97 {
                0..40 => everything(&bed, keys[n], now, &ring),
                40 => bed.engines.pause(keys[n]).unwrap(),
                50 => bed.engines.resume(keys[n]).unwrap(),
                60 => bed.engines.silence(keys[n]).unwrap(),
                70 => bed.engines.gain(keys[n], Gain::from_db(-6.0)).unwrap(),
                80 => {
                    let mut config = bed.peers[n].config();
                    config.ptime = Ptime::ALL[n % 5];
                    bed.engines.update(keys[n], &config).unwrap();
                }
                // Some are read, some run full, and some are let go of.
                85 => {
                    taps.push_back(bed.engines.tap(keys[n]).unwrap());
                    if taps.len() > 8 {
                        taps.pop_front();
                    }
                }
                86 => {
                    let taps = taps.iter_mut().step_by(2);
                    tapped +=
                        taps.map(|tap| std::iter::from_fn(|| tap.take()).count()).sum::<usize>();
                }
                90 => {
                    bed.engines.remove(keys[n]).unwrap();
                    let reserved = bed.engines.reserve().unwrap();
                    ports[n] = reserved.rtp();
                    keys[n] = bed.engines.add(reserved, &bed.peers[n].config()).unwrap();
                }
                _ => {
                    let (low, peer) = (u16::try_from(now).unwrap(), &bed.peers[n]);
                    let press = packet(101, low, u32::from(low) * 8, &[5, 0x8a, 2, 0x80]);
                    peer.rtp.send_to(&press, local(ports[n])).unwrap();
                    let mut writer = rtp::rtcp::Writer::new(7, None, None);
                    writer.bye(START.ssrc);
                    peer.rtcp.send_to(writer.bytes(), local(ports[n] + 1)).unwrap();
                }
            }
            tick(&mut bed);
        }
        bed.run(1);
        assert!(tapped > 1_000, "{tapped} datagrams were copied");
        let told = bed.told();
        for word in ["tag 1", "tag 3", "finished", "stopped", "digit", "peer left", "gone"] {
            assert!(told.iter().any(|told| told.starts_with(word)), "no {word} in {}", told.len());
        }
        assert!(bed.peers.iter().all(|peer| !peer.reports.is_empty()));
    }
}

//! Fuzz bodies: bytes that must never panic. Replayed over `corpus/` by the tests below.

use vocab::Now;

use crate::rtcp::{Compound, Said};
use crate::{EventReceiver, Packet, Reception};

/// Reads datagrams (each led by its length in one byte) as one RTP stream with telephone-events.
pub fn stream(data: &[u8]) {
    let (mut reception, mut events) = (Reception::default(), EventReceiver::default());
    let (mut rest, mut now) = (data, Now::ZERO);
    while let Some((&len, after)) = rest.split_first() {
        let (datagram, after) = after.split_at_checked(usize::from(len)).unwrap_or((after, &[]));
        rest = after;
        now = Now::from_micros(now.as_micros() + u64::from(len) * 500);
        if let Ok(packet) = Packet::parse(datagram) {
            assert!(packet.payload.len() < datagram.len());
            reception.receive(now, &packet);
            events.receive(now, &packet);
        }
        events.expire(now);
    }
    reception.report(now);
}

/// Reads one datagram as RTCP.
pub fn rtcp(data: &[u8]) {
    let mut reception = Reception::default();
    if let Some(compound) = Compound::parse(data) {
        compound.for_each(|said| match said {
            Said::Sender { ssrc, info } => reception.sender_report(Now::ZERO, ssrc, info.ntp),
            Said::Block(block) => assert!((-0x80_0000..=0x7f_ffff).contains(&block.lost)),
            Said::Bye { .. } => {}
        });
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use vocab::Tokens;

    /// Replays a body over its corpus, then over 20,000 mutations of it.
    fn replay(name: &str, body: fn(&[u8])) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
        let mut files: Vec<_> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let seeds: Vec<Vec<u8>> = files.iter().map(|file| std::fs::read(file).unwrap()).collect();
        assert!(!seeds.is_empty());
        seeds.iter().for_each(|seed| body(seed));
        let mut tokens = Tokens::new([9; 32]);
        let mut draw = |below: usize| {
            usize::try_from(tokens.next_u64() % u64::try_from(below.max(1)).unwrap()).unwrap()
        };
        for _ in 0..20_000 {
            let mut data = seeds[draw(seeds.len())].clone();
            for _ in 0..=draw(4) {
                let at = draw(data.len());
                match draw(3) {
                    0 => data.truncate(at),
                    1 => data.insert(at, u8::try_from(draw(256)).unwrap()),
                    _ => data.get_mut(at).into_iter().for_each(|byte| *byte ^= 1 << draw(8)),
                }
            }
            body(&data);
        }
    }

    #[test]
    fn mutated_streams_never_panic() {
        replay("stream", super::stream);
    }

    #[test]
    fn mutated_rtcp_never_panics() {
        replay("rtcp", super::rtcp);
    }
}

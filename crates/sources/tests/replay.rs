//! Every committed input of the fuzzer, and many that come from changing them.

#[cfg(test)]
mod replay {
    use std::path::Path;

    use sources::fuzz;

    /// Runs of changed inputs for each body.
    const CHANGES: u32 = 20_000;

    fn replay(name: &str, body: fn(&[u8])) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
        let entries = std::fs::read_dir(&folder).unwrap();
        let mut seeds: Vec<_> =
            entries.map(|entry| std::fs::read(entry.unwrap().path()).unwrap()).collect();
        seeds.sort();
        assert!(seeds.len() >= 2, "{name} has a corpus");
        seeds.iter().for_each(|seed| body(seed));
        // xorshift: the same changes every time.
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut next = move |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state >> 16).unwrap() % below.max(1)
        };
        for _ in 0..CHANGES {
            let mut data = seeds[next(seeds.len())].clone();
            for _ in 0..=next(4) {
                let at = next(data.len() + 1);
                match next(4) {
                    0 => data.truncate(at),
                    1 => data.insert(at, u8::try_from(next(256)).unwrap()),
                    2 => {
                        let other = &seeds[next(seeds.len())];
                        data.extend(&other[next(other.len())..]);
                    }
                    _ => {
                        if let Some(byte) = data.get_mut(at) {
                            *byte ^= 1 << next(8);
                        }
                    }
                }
            }
            body(&data);
        }
    }

    #[test]
    fn uris_name_what_they_may() {
        replay("uri", fuzz::uri);
    }

    #[test]
    fn titles_and_audio_come_apart() {
        replay("icy", fuzz::icy);
    }

    #[test]
    fn servers_say_what_they_like() {
        replay("server", fuzz::server);
    }

    #[test]
    fn the_guard_lets_nobody_else_through() {
        replay("guard", fuzz::guard);
    }
}

//! What fuzzers call: each takes any bytes and must come back.

use crate::decode::{self, DecodeError, Hint};
use crate::{telephone, tone, wav};

/// Samples after which a decoder is stopped.
const SAMPLES_MAX: usize = 40_000;

/// Decodes a file of any kind, from memory and as a stream.
pub fn decode(data: &[u8]) {
    // Even lengths are files, odd ones streams: half of the work finds as much.
    let opened = if data.len().is_multiple_of(2) {
        decode::open_bytes(data, &Hint::none())
    } else {
        decode::open(Box::new(std::io::Cursor::new(data.to_vec())), &Hint::from_name("a.mp3"))
    };
    match opened.and_then(|decoder| telephone::whole(decoder, SAMPLES_MAX)) {
        Ok(samples) => assert!(samples.len() <= SAMPLES_MAX),
        Err(DecodeError::Io(error)) => assert_ne!(error.kind(), std::io::ErrorKind::TimedOut),
        Err(_) => {}
    }
}

/// Reads a WAV file, and reads it again after writing what came out.
pub fn wav(data: &[u8]) {
    let Ok(read) = wav::read(data) else { return };
    let samples = read.samples();
    let again = wav::to_bytes(read.format, &samples);
    if let Ok(same) = wav::read(&again) {
        assert!(same.format == read.format && (samples.is_empty() || same.samples() == samples));
    }
}

/// Reads the text of a tone and begins to play it.
pub fn tone(data: &[u8]) {
    if let Ok((mut tone, length)) = tone::parse(&String::from_utf8_lossy(data)) {
        assert!(length <= tone::LENGTH_MS_MAX * 8);
        tone.unit();
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    fn corpus(name: &str) -> Vec<Vec<u8>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
        let mut paths: Vec<_> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths.iter().map(|path| fs::read(path).unwrap()).collect()
    }

    struct Dice(u64);

    impl Dice {
        fn roll(&mut self, sides: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 >> 16) as usize % sides.max(1)
        }
    }

    /// Some changes of the kinds that break parsers; headers are hit more than the rest.
    fn mutate(seed: &[u8], dice: &mut Dice) -> Vec<u8> {
        const NUMBERS: [u32; 6] = [0, 1, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 0xFFFE];
        let mut data = seed.to_vec();
        for _ in 0..=dice.roll(4) {
            let reach = if dice.roll(3) > 0 { data.len().min(300) } else { data.len() };
            let at = dice.roll(reach);
            match dice.roll(6) {
                0 => data.truncate(dice.roll(data.len() + 1)),
                1 => {
                    let number = NUMBERS[dice.roll(NUMBERS.len())];
                    let bytes =
                        if dice.roll(2) == 0 { number.to_le_bytes() } else { number.to_be_bytes() };
                    for (slot, byte) in data.iter_mut().skip(at).zip(bytes) {
                        *slot = byte;
                    }
                }
                2 => {
                    let end = (at + 1 + dice.roll(40)).min(data.len());
                    let part = data[at.min(end)..end].to_vec();
                    let to = dice.roll(data.len() + 1);
                    data.splice(to..to, part);
                }
                3 => {
                    let end = (at + 1 + dice.roll(8)).min(data.len());
                    data.drain(at.min(end)..end);
                }
                4 => data.iter_mut().skip(at).take(1).for_each(|b| *b ^= 1 << dice.roll(8)),
                _ => data
                    .iter_mut()
                    .skip(at)
                    .take(1)
                    .for_each(|b| *b = dice.roll(256).to_le_bytes()[0]),
            }
        }
        data
    }

    /// `FUZZ_ROUNDS` asks for more, for a night.
    fn replay(name: &str, rounds: usize, body: fn(&[u8])) {
        let seeds = corpus(name);
        assert!(!seeds.is_empty());
        seeds.iter().for_each(|seed| body(seed));
        let asked = std::env::var("FUZZ_ROUNDS").ok().and_then(|text| text.parse().ok());
        let mut dice = Dice(0x2545_F491_4F6C_DD1D);
        for round in 0..asked.unwrap_or(rounds) {
            body(&mutate(&seeds[round % seeds.len()], &mut dice));
        }
    }

    #[test]
    fn decode_comes_back_from_anything() {
        replay("decode", 4_000, decode);
    }

    #[test]
    fn wav_comes_back_from_anything() {
        replay("wav", 20_000, wav);
    }

    #[test]
    fn tone_comes_back_from_anything() {
        replay("tone", 20_000, tone);
    }
}

//! Every format that we say we decode, from files other programs made: 440 Hz, then, in the chains,
//! 660 Hz.

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use super::{DecodeError, Decoder, Hint};
use crate::decode;
use crate::telephone::{Telephone, whole};

const SAMPLES_MAX: usize = 80_000;

fn bytes(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/decode").join(name)).unwrap()
}

/// A reader that brings a few bytes at a time, as a socket does.
struct Trickle(io::Cursor<Vec<u8>>, usize);

impl Read for Trickle {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.1 = self.1 * 7 % 199 + 1;
        let count = buffer.len().min(self.1);
        self.0.read(&mut buffer[..count])
    }
}

fn open_both(name: &str) -> [Result<Decoder, DecodeError>; 2] {
    let hint = Hint::from_name(name);
    let stream = Trickle(io::Cursor::new(bytes(name)), 11);
    [decode::open(Box::new(stream), &hint), decode::open_bytes(bytes(name), &hint)]
}

/// Cycles a second from the first loud sample to the last: how often the wave comes from well below
/// zero to well above.
fn hertz(samples: &[i16]) -> f64 {
    let loud = |s: &i16| s.unsigned_abs() > 700;
    let first = samples.iter().position(loud).unwrap();
    let last = samples.iter().rposition(loud).unwrap();
    let sides: Vec<bool> = samples.iter().filter(|s| loud(s)).map(|s| *s > 0).collect();
    let rises = sides.windows(2).filter(|w| !w[0] && w[1]).count();
    rises as f64 * 8_000.0 / (last - first) as f64
}

fn tone(name: &str, samples: &[i16], hz: f64, ms: u64) {
    let heard_ms = samples.len() as u64 / 8;
    assert!(heard_ms.abs_diff(ms) <= 60, "{name}: {heard_ms} ms, not {ms}");
    let heard_hz = hertz(samples);
    assert!((heard_hz - hz).abs() < 12.0, "{name}: {heard_hz} Hz, not {hz}");
    let peak = samples.iter().map(|s| s.unsigned_abs()).max().unwrap();
    assert!((2_000..29_000).contains(&peak), "{name}: peak {peak}");
}

#[test]
fn what_we_say_we_decode_is_heard_from_a_stream_and_from_memory() {
    for (name, container, codec, rate_hz, channels, ms) in [
        ("pcm16.wav", "wave", "pcm_s16le", 8_000, 1, 400),
        ("mulaw.wav", "wave", "pcm_mulaw", 8_000, 1, 400),
        ("alaw.wav", "wave", "pcm_alaw", 8_000, 1, 400),
        ("gsm.wav", "wave", "gsm", 8_000, 1, 400),
        ("raw.gsm", "", "gsm", 8_000, 1, 400),
        ("u8-stereo.wav", "wave", "pcm_u8", 22_050, 2, 200),
        ("s24-six.wav", "wave", "pcm_s24le", 8_000, 6, 200),
        ("f32.wav", "wave", "pcm_f32le", 8_000, 1, 200),
        ("ms-adpcm.wav", "wave", "adpcm_ms", 22_050, 1, 440),
        ("ima-adpcm.wav", "wave", "adpcm_ima_wav", 22_050, 1, 440),
        ("stereo.mp3", "mp3", "mp3", 44_100, 2, 400),
        ("mono22.mp3", "mp3", "mp3", 22_050, 1, 400),
        ("aac.aac", "aac", "aac", 44_100, 1, 400),
        ("aac-front.m4a", "isomp4", "aac", 44_100, 1, 400),
        ("vorbis.ogg", "ogg", "vorbis", 44_100, 1, 400),
        ("opus.ogg", "ogg", "opus", 48_000, 1, 400),
        ("opus.webm", "matroska", "opus", 48_000, 1, 400),
        ("flac.flac", "flac", "flac", 16_000, 1, 400),
        ("flac.ogg", "ogg", "flac", 16_000, 1, 400),
        ("aiff.aiff", "aiff", "pcm_s16be", 8_000, 1, 400),
        ("mulaw.au", "au", "pcm_mulaw", 8_000, 1, 400),
        ("alaw.au", "au", "pcm_alaw", 8_000, 1, 400),
        ("s16-stereo.au", "au", "pcm_s16be", 16_000, 2, 200),
        ("mulaw.ul", "", "pcm_mulaw", 8_000, 1, 400),
    ] {
        for decoder in open_both(name) {
            let mut telephone = Telephone::new(decoder.unwrap_or_else(|e| panic!("{name}: {e}")));
            let mut samples = Vec::new();
            while let Some(block) = telephone.block().unwrap() {
                samples.extend_from_slice(block);
            }
            let info = telephone.decoder().info();
            let heard = (info.container, info.codec, info.rate_hz, info.channels);
            assert_eq!(heard, (container, codec, rate_hz, channels), "{name}");
            tone(name, &samples, 440.0, ms);
        }
    }
}

#[test]
fn an_index_at_the_end_needs_a_file_that_can_be_read_at_any_place() {
    for name in ["aac.m4a", "alac.m4a", "caf.caf"] {
        let [stream, memory] = open_both(name);
        tone(name, &whole(memory.unwrap(), SAMPLES_MAX).unwrap(), 440.0, 400);
        assert!(matches!(stream, Err(DecodeError::Unsupported(_))), "{name}: {stream:?}");
    }
}

#[test]
fn what_we_do_not_decode_says_so_and_leaves_it_to_others() {
    for name in ["layer2.mp2", "transport.ts", "windows.wma"] {
        for decoder in open_both(name) {
            assert!(matches!(decoder, Err(DecodeError::Unsupported(_))), "{name}: {decoder:?}");
        }
    }
}

#[test]
fn bytes_without_sense_are_refused() {
    let noise: Vec<u8> =
        (0..40_000u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[1]).collect();
    for bytes in [&b""[..], b"R", b"RIFF", b"OggS", b".snd", b"plain text", &noise] {
        let refused = decode::open_bytes(bytes, &Hint::none());
        let refused = refused.and_then(|decoder| whole(decoder, SAMPLES_MAX));
        assert!(refused.is_err(), "{} bytes: {refused:?}", bytes.len());
    }
}

#[test]
fn rfc_3533_section_4_a_chain_goes_on_with_the_next_piece_and_its_title() {
    for (name, rates) in
        [("chained-vorbis.ogg", [44_100, 22_050]), ("chained-opus.ogg", [48_000; 2])]
    {
        for decoder in open_both(name) {
            let mut telephone = Telephone::new(decoder.unwrap());
            let (mut samples, mut titles, mut seen) = (Vec::new(), Vec::new(), Vec::new());
            while let Some(block) = telephone.block().unwrap() {
                samples.extend_from_slice(block);
                titles.extend(telephone.decoder().take_title());
                seen.push(telephone.decoder().info().rate_hz);
            }
            let half = samples.len() / 2;
            tone(name, &samples[..half], 440.0, 400);
            tone(name, &samples[half..], 660.0, 400);
            assert_eq!(titles, ["First", "Second"], "{name}");
            assert_eq!([seen[0], seen[seen.len() - 1]], rates, "{name}");
        }
    }
}

#[test]
fn a_title_names_the_artist_and_comes_once() {
    let mut decoder = decode::open_bytes(bytes("stereo.mp3"), &Hint::none()).unwrap();
    let mut titles = Vec::new();
    while decoder.block().unwrap().is_some() {
        titles.extend(decoder.take_title());
    }
    assert_eq!(titles, ["Nobody - Two Words"]);
}

#[test]
fn a_length_that_is_too_much_is_a_limit() {
    let decoder = decode::open_bytes(bytes("pcm16.wav"), &Hint::none()).unwrap();
    assert!(matches!(whole(decoder, 3_000), Err(DecodeError::Limit(_))));
}

#[test]
fn a_reader_that_fails_is_an_error_of_reading() {
    struct Failing(usize, io::Cursor<Vec<u8>>);
    impl Read for Failing {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.0 == 0 {
                return Err(io::ErrorKind::TimedOut.into());
            }
            let count = buffer.len().min(self.0);
            let count = self.1.read(&mut buffer[..count])?;
            self.0 -= count;
            Ok(count)
        }
    }
    for name in ["stereo.mp3", "vorbis.ogg", "mulaw.au", "pcm16.wav"] {
        let reader = Failing(2_500, io::Cursor::new(bytes(name)));
        let result = decode::open(Box::new(reader), &Hint::from_name(name))
            .and_then(|decoder| whole(decoder, SAMPLES_MAX));
        assert!(matches!(result, Err(DecodeError::Io(_))), "{name}: {result:?}");
    }
}

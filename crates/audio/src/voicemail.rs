//! Voice messages: telephone audio as a file, compressed as much or as little as one likes.

use crate::g711::Law;
use crate::{RATE_HZ, gsm, wav};

/// How a voice message is compressed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Compression {
    /// GSM 6.10 in a WAV file, 13 kbit/s.
    #[default]
    Gsm,
    /// G.711 mu-law in a WAV file, 64 kbit/s.
    MuLaw,
    /// Linear samples in a WAV file, 128 kbit/s.
    Pcm,
}

impl Compression {
    /// The codec's short name, as decoders call it.
    #[must_use]
    pub const fn codec(self) -> &'static str {
        match self {
            Self::Gsm => "gsm",
            Self::MuLaw => "mulaw",
            Self::Pcm => "pcm",
        }
    }

    /// The media type of its files.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Gsm | Self::MuLaw | Self::Pcm => "audio/x-wav",
        }
    }

    /// The file of a message. Its last samples may be followed by less than a block of silence, and its header says how
    /// many there are.
    #[must_use]
    pub fn file(self, samples: &[i16]) -> Vec<u8> {
        let telephone = wav::Format::TELEPHONE;
        match self {
            Self::Gsm => gsm_file(samples),
            Self::MuLaw => {
                let coding = wav::Coding::G711(Law::Mu);
                wav::to_bytes(wav::Format { coding, ..telephone }, samples)
            }
            Self::Pcm => wav::to_bytes(telephone, samples),
        }
    }
}

/// A WAV file of GSM 6.10, as Microsoft's `GSM610WAVEFORMAT` has it.
fn gsm_file(samples: &[i16]) -> Vec<u8> {
    let mut encoder = gsm::Encoder::default();
    let mut data = Vec::with_capacity(samples.len() / gsm::BLOCK_SAMPLES * gsm::BLOCK_BYTES + 128);
    for part in samples.chunks(gsm::BLOCK_SAMPLES) {
        let mut block = [0; gsm::BLOCK_SAMPLES];
        for (to, from) in block.iter_mut().zip(part) {
            *to = *from;
        }
        data.extend_from_slice(&encoder.block(&block));
    }
    // Bytes a second, rounded as everybody does.
    const BYTES_PER_SECOND: u32 = 1_625;
    let length = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
    let padded = data.len() + data.len() % 2;
    let mut file = Vec::with_capacity(60 + padded);
    file.extend_from_slice(b"RIFF");
    file.extend_from_slice(&length(52 + padded).to_le_bytes());
    file.extend_from_slice(b"WAVEfmt \x14\0\0\0\x31\0\x01\0");
    file.extend_from_slice(&RATE_HZ.to_le_bytes());
    file.extend_from_slice(&BYTES_PER_SECOND.to_le_bytes());
    // Bytes of a block, no bits of a sample, two more bytes: samples of a block.
    file.extend_from_slice(&[65, 0, 0, 0, 2, 0, 0x40, 0x01]);
    file.extend_from_slice(b"fact\x04\0\0\0");
    file.extend_from_slice(&length(samples.len()).to_le_bytes());
    file.extend_from_slice(b"data");
    file.extend_from_slice(&length(data.len()).to_le_bytes());
    file.append(&mut data);
    if file.len() % 2 == 1 {
        file.push(0);
    }
    file
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::{self, Hint};
    use crate::{measure, telephone};

    #[test]
    fn what_is_compressed_is_heard_again_and_as_long() {
        let chirp = |n: u32| (f64::from(n * n) / 400_000.0).sin() * 9_000.0;
        #[expect(clippy::cast_possible_truncation, reason = "within the range of i16")]
        let samples: Vec<i16> = (0..12_345).map(|n| chirp(n) as i16).collect();
        for compression in [Compression::Gsm, Compression::MuLaw, Compression::Pcm] {
            let file = compression.file(&samples);
            let decoder = decode::open_bytes(file.clone(), &Hint::none()).unwrap();
            let heard = telephone::whole(decoder, 100_000).unwrap();
            assert_eq!(heard.len(), samples.len(), "{compression:?}");
            let alike = measure::find(&samples[..8_000], &heard, 40).unwrap();
            assert!(alike.correlation > 0.8, "{compression:?}: {alike:?}");
            let stream = Box::new(std::io::Cursor::new(file));
            let decoder = decode::open(stream, &Hint::none()).unwrap();
            assert_eq!(telephone::whole(decoder, 100_000).unwrap(), heard);
        }
        for (compression, bytes) in [(Compression::Gsm, 2_535), (Compression::MuLaw, 12_345)] {
            let over = compression.file(&samples).len() - bytes;
            assert!(over <= 62, "{compression:?}: {over} bytes more");
        }
        assert!(Compression::Gsm.file(&[]).len() == 60);
    }
}

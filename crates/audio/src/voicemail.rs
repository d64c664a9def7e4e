//! Voice messages: telephone audio as a file, compressed as much or as little as one likes.

use ogg::{PacketWriteEndInfo, PacketWriter};

use crate::g711::Law;
use crate::{RATE_HZ, gsm, truespeech, wav};

/// How a voice message is compressed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Compression {
    /// DSP Group TrueSpeech in a WAV file, 8.5 kbit/s.
    TrueSpeech,
    /// GSM 6.10 in a WAV file, 13 kbit/s.
    #[default]
    Gsm,
    /// G.711 mu-law in a WAV file, 64 kbit/s.
    MuLaw,
    /// Opus in an Ogg file, about 12 kbit/s.
    Opus,
    /// Linear samples in a WAV file, 128 kbit/s.
    Pcm,
}

impl Compression {
    /// The codec's short name, as decoders call it.
    #[must_use]
    pub const fn codec(self) -> &'static str {
        match self {
            Self::TrueSpeech => "truespeech",
            Self::Gsm => "gsm",
            Self::MuLaw => "mulaw",
            Self::Opus => "opus",
            Self::Pcm => "pcm",
        }
    }

    /// The media type of its files.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::TrueSpeech | Self::Gsm | Self::MuLaw | Self::Pcm => "audio/x-wav",
            Self::Opus => "audio/ogg",
        }
    }

    /// The file of a message. Its last samples may be followed by less than a block of silence, and the file says how
    /// many there are.
    ///
    /// # Errors
    /// The library of Opus refuses; the others do not.
    pub fn file(self, samples: &[i16]) -> Result<Vec<u8>, EncodeError> {
        let telephone = wav::Format::TELEPHONE;
        Ok(match self {
            Self::Opus => return opus_file(samples).map_err(EncodeError),
            Self::TrueSpeech => truespeech_file(samples),
            Self::Gsm => gsm_file(samples),
            Self::MuLaw => {
                let coding = wav::Coding::G711(Law::Mu);
                wav::to_bytes(wav::Format { coding, ..telephone }, samples)
            }
            Self::Pcm => wav::to_bytes(telephone, samples),
        })
    }
}

/// Why a message could not be compressed.
#[derive(Debug)]
pub struct EncodeError(opus::Error);

impl std::fmt::Display for EncodeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the library of Opus refuses")
    }
}

impl std::error::Error for EncodeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

/// Samples of a packet: 20 ms.
const OPUS_SAMPLES: usize = 160;
/// Bits a second.
const OPUS_BITS: i32 = 12_000;
/// Most bytes of a packet. RFC 6716 §3.4.
const OPUS_BYTES_MAX: usize = 1_275;
/// Packets of a page: a second.
const OPUS_PAGE: usize = 50;
/// Ogg counts samples of Opus at 48 kHz, whatever they were. RFC 7845 §4.
const OPUS_CLOCK: usize = 6;
/// The number of the stream in its file; there is one.
const SERIAL: u32 = 1;

/// An Ogg file of Opus. RFC 7845.
fn opus_file(samples: &[i16]) -> Result<Vec<u8>, opus::Error> {
    let mut encoder = opus::Encoder::new(RATE_HZ, opus::Channels::Mono, opus::Application::Voip)?;
    encoder.set_bitrate(opus::Bitrate::Bits(OPUS_BITS))?;
    // What comes out is so much later; as much silence brings out the last of it.
    let delay = usize::try_from(encoder.get_lookahead()?).unwrap_or(0);
    let mut head = b"OpusHead\x01\x01".to_vec();
    head.extend_from_slice(&u16::try_from(delay * OPUS_CLOCK).unwrap_or(0).to_le_bytes());
    head.extend_from_slice(&RATE_HZ.to_le_bytes());
    head.extend_from_slice(&[0; 3]);
    let mut tags = b"OpusTags\x08\0\0\0Entracte".to_vec();
    tags.extend_from_slice(&[0; 4]);
    let mut file = Vec::new();
    {
        // Writing to memory does not fail.
        let mut writer = PacketWriter::new(&mut file);
        let _ = writer.write_packet(head, SERIAL, PacketWriteEndInfo::EndPage, 0);
        let _ = writer.write_packet(tags, SERIAL, PacketWriteEndInfo::EndPage, 0);
        let packets = (samples.len() + delay).div_ceil(OPUS_SAMPLES).max(1);
        for number in 0..packets {
            let input: [i16; OPUS_SAMPLES] = part(samples, number * OPUS_SAMPLES);
            let packet = encoder.encode_vec(&input, OPUS_BYTES_MAX)?;
            let (info, at) = if number + 1 == packets {
                (PacketWriteEndInfo::EndStream, samples.len() + delay)
            } else if (number + 1) % OPUS_PAGE == 0 {
                (PacketWriteEndInfo::EndPage, (number + 1) * OPUS_SAMPLES)
            } else {
                (PacketWriteEndInfo::NormalPacket, (number + 1) * OPUS_SAMPLES)
            };
            let at = u64::try_from(at * OPUS_CLOCK).unwrap_or(u64::MAX);
            let _ = writer.write_packet(packet, SERIAL, info, at);
        }
    }
    Ok(file)
}

/// A WAV file of GSM 6.10, as Microsoft's `GSM610WAVEFORMAT` has it.
fn gsm_file(samples: &[i16]) -> Vec<u8> {
    let mut encoder = gsm::Encoder::default();
    let mut data = Vec::with_capacity(samples.len() / gsm::BLOCK_SAMPLES * gsm::BLOCK_BYTES + 128);
    for at in (0..samples.len()).step_by(gsm::BLOCK_SAMPLES) {
        data.extend_from_slice(&encoder.block(&part(samples, at)));
    }
    // Tag, one channel; bytes a second, rounded as everybody does; bytes of a block, no bits of a sample; then what is more:
    // samples of a block.
    let format = Coded { tag: 0x31, bytes_per_second: 1_625, block_bytes: 65, bits: 0 };
    format.file(&[0x40, 0x01], samples.len(), &data)
}

/// A WAV file of TrueSpeech, as Microsoft's `TRUESPEECHWAVEFORMAT` has it.
fn truespeech_file(samples: &[i16]) -> Vec<u8> {
    let mut encoder = truespeech::Encoder::default();
    let mut data = Vec::new();
    for at in (0..samples.len()).step_by(truespeech::FRAME_SAMPLES) {
        let ahead = part(samples, at + truespeech::FRAME_SAMPLES);
        data.extend_from_slice(&encoder.frame(&part(samples, at), &ahead));
    }
    // Revision 1, samples of a block, and 28 bytes of nothing.
    let mut more = [0; 32];
    for (to, from) in more.iter_mut().zip([1, 0, 240, 0]) {
        *to = from;
    }
    let format = Coded { tag: 0x22, bytes_per_second: 1_067, block_bytes: 32, bits: 1 };
    format.file(&more, samples.len(), &data)
}

/// So many samples from here on, with silence behind the last.
fn part<const N: usize>(samples: &[i16], at: usize) -> [i16; N] {
    let mut part = [0; N];
    for (to, from) in part.iter_mut().zip(samples.get(at..).unwrap_or_default()) {
        *to = *from;
    }
    part
}

/// The format chunk of a codec that comes in blocks.
struct Coded {
    tag: u16,
    bytes_per_second: u32,
    block_bytes: u16,
    bits: u16,
}

impl Coded {
    /// A whole file; `more` is what the codec adds to the format chunk.
    fn file(&self, more: &[u8], samples: usize, data: &[u8]) -> Vec<u8> {
        let length = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX).to_le_bytes();
        let mut format = Vec::with_capacity(18 + more.len());
        format.extend_from_slice(&self.tag.to_le_bytes());
        format.extend_from_slice(&1u16.to_le_bytes());
        format.extend_from_slice(&RATE_HZ.to_le_bytes());
        format.extend_from_slice(&self.bytes_per_second.to_le_bytes());
        format.extend_from_slice(&self.block_bytes.to_le_bytes());
        format.extend_from_slice(&self.bits.to_le_bytes());
        format.extend_from_slice(&u16::try_from(more.len()).unwrap_or(0).to_le_bytes());
        format.extend_from_slice(more);
        let padded = data.len() + data.len() % 2;
        let mut file = Vec::with_capacity(60 + format.len() + padded);
        file.extend_from_slice(b"RIFF");
        file.extend_from_slice(&length(4 + 8 + format.len() + 12 + 8 + padded));
        file.extend_from_slice(b"WAVEfmt ");
        file.extend_from_slice(&length(format.len()));
        file.append(&mut format);
        file.extend_from_slice(b"fact\x04\0\0\0");
        file.extend_from_slice(&length(samples));
        file.extend_from_slice(b"data");
        file.extend_from_slice(&length(data.len()));
        file.extend_from_slice(data);
        file.resize(file.len() + data.len() % 2, 0);
        file
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::{self, Hint};
    use crate::{measure, telephone};

    #[test]
    fn what_is_compressed_is_heard_again_and_as_long() {
        let chirp = |n: u32| (f64::from(n * n) / 40_000.0).sin() * 9_000.0;
        #[expect(clippy::cast_possible_truncation, reason = "within the range of i16")]
        let samples: Vec<i16> = (0..12_345).map(|n| chirp(n) as i16).collect();
        for (compression, least) in [
            (Compression::TrueSpeech, 0.5),
            (Compression::Gsm, 0.8),
            (Compression::MuLaw, 0.99),
            (Compression::Pcm, 0.999),
            (Compression::Opus, 0.6),
        ] {
            let file = compression.file(&samples).unwrap();
            let decoder = decode::open_bytes(file.clone(), &Hint::none()).unwrap();
            let heard = telephone::whole(decoder, 100_000).unwrap();
            assert_eq!(heard.len(), samples.len(), "{compression:?}");
            let alike = measure::find(&samples[200..8_200], &heard[100..], 200).unwrap();
            assert!(alike.correlation > least, "{compression:?}: {alike:?}");
            let stream = Box::new(std::io::Cursor::new(file));
            let decoder = decode::open(stream, &Hint::none()).unwrap();
            assert_eq!(telephone::whole(decoder, 100_000).unwrap(), heard);
        }
        for (compression, bytes) in [(Compression::Gsm, 2_535), (Compression::MuLaw, 12_345)] {
            let over = compression.file(&samples).unwrap().len() - bytes;
            assert!(over <= 62, "{compression:?}: {over} bytes more");
        }
        assert!(Compression::Gsm.file(&[]).unwrap().len() == 60);
    }
}

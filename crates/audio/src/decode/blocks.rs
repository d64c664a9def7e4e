//! Voice codecs that come in blocks of some tens of milliseconds: GSM 06.10, in WAV files and by itself, and TrueSpeech.

use std::io::{ErrorKind, Read};

use super::{DecodeError, Info};
use crate::{gsm, truespeech};

/// Chunks of a WAV file before its samples.
const CHUNKS_MAX: usize = 64;
/// Most bytes of a chunk that is passed over.
const CHUNK_BYTES_MAX: u64 = 1 << 20;

/// Which blocks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Coding {
    /// Frames of 33 bytes, one after the other.
    Gsm,
    /// Two frames in 65 bytes, as WAV files have them.
    GsmBlocks,
    /// TrueSpeech, in WAV files.
    TrueSpeech,
}

/// Reads blocks to the end.
pub(super) struct BlockReader {
    reader: Box<dyn Read + Send>,
    coding: Coding,
    container: &'static str,
    decoder: gsm::Decoder,
    truespeech: truespeech::Decoder,
    /// Samples that the file says it has, and were not given yet.
    left: u64,
}

impl std::fmt::Debug for BlockReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlockReader").field("coding", &self.coding).finish_non_exhaustive()
    }
}

/// The codec of a WAV file, if its blocks are ours; `head` is how it begins.
pub(super) fn coding(head: &[u8]) -> Option<Coding> {
    if !head.starts_with(b"RIFF") || head.get(8..12) != Some(b"WAVE") {
        return None;
    }
    let at = head.windows(4).position(|name| name == b"fmt ")?;
    match head.get(at + 8..at + 10)? {
        [0x31, 0] => Some(Coding::GsmBlocks),
        [0x22, 0] => Some(Coding::TrueSpeech),
        _ => None,
    }
}

impl BlockReader {
    fn new(
        reader: Box<dyn Read + Send>,
        coding: Coding,
        container: &'static str,
        left: u64,
    ) -> Self {
        let (decoder, truespeech) = (gsm::Decoder::default(), truespeech::Decoder::default());
        Self { reader, coding, container, decoder, truespeech, left }
    }

    /// Frames without a file around them.
    pub(super) fn bare(reader: Box<dyn Read + Send>) -> Self {
        Self::new(reader, Coding::Gsm, "", u64::MAX)
    }

    /// A WAV file, from its first byte.
    pub(super) fn wav(
        mut reader: Box<dyn Read + Send>,
        coding: Coding,
    ) -> Result<Self, DecodeError> {
        let mut head = [0; 12];
        reader.read_exact(&mut head).map_err(short)?;
        let mut left = u64::MAX;
        for _ in 0..CHUNKS_MAX {
            let mut chunk = [[0; 4]; 2];
            reader.read_exact(chunk.as_flattened_mut()).map_err(short)?;
            let [name, length] = chunk;
            let length = u32::from_le_bytes(length);
            if name == *b"data" {
                // A length that is not known yet, or was never written, is the file's end.
                let is_known = length != 0 && length != u32::MAX;
                let data = if is_known { u64::from(length) } else { u64::MAX };
                let reader: Box<dyn Read + Send> = Box::new(reader.take(data));
                return Ok(Self::new(reader, coding, "wave", left));
            }
            let length = u64::from(length) + u64::from(length & 1);
            if length > CHUNK_BYTES_MAX {
                return Err(DecodeError::Limit("a chunk of a WAV file"));
            }
            let mut body = Vec::new();
            reader.by_ref().take(length).read_to_end(&mut body).map_err(DecodeError::Io)?;
            if name == *b"fact"
                && let Some(samples) = body.first_chunk::<4>()
            {
                let samples = u32::from_le_bytes(*samples);
                left = if samples == 0 || samples == u32::MAX { u64::MAX } else { samples.into() };
            }
        }
        Err(DecodeError::Malformed("no samples"))
    }

    pub(super) const fn info(&self) -> Info {
        let codec = match self.coding {
            Coding::Gsm | Coding::GsmBlocks => "gsm",
            Coding::TrueSpeech => "truespeech",
        };
        Info { container: self.container, codec, rate_hz: crate::RATE_HZ, channels: 1 }
    }

    /// Appends a block; false at the end. A block that is cut short is nothing.
    pub(super) fn block(&mut self, mono: &mut Vec<f32>) -> Result<bool, DecodeError> {
        if self.left == 0 {
            return Ok(false);
        }
        let mut all = [0; gsm::BLOCK_SAMPLES];
        let samples: &[i16] = match self.coding {
            Coding::Gsm => {
                let Some(bytes) = self.read::<{ gsm::FRAME_BYTES }>()? else { return Ok(false) };
                let (frame, _) = all.split_at_mut(gsm::FRAME_SAMPLES);
                frame.copy_from_slice(&self.decoder.frame(&bytes));
                frame
            }
            Coding::TrueSpeech => {
                let Some(bytes) = self.read::<{ truespeech::FRAME_BYTES }>()? else {
                    return Ok(false);
                };
                let (frame, _) = all.split_at_mut(truespeech::FRAME_SAMPLES);
                frame.copy_from_slice(&self.truespeech.frame(&bytes));
                frame
            }
            Coding::GsmBlocks => {
                let Some(bytes) = self.read::<{ gsm::BLOCK_BYTES }>()? else { return Ok(false) };
                all = self.decoder.block(&bytes);
                &all
            }
        };
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(samples.len());
        let samples = samples.get(..wanted).unwrap_or_default();
        mono.extend(samples.iter().map(|sample| f32::from(*sample) / 32_768.0));
        if self.left != u64::MAX {
            self.left -= wanted as u64;
        }
        Ok(true)
    }

    fn read<const N: usize>(&mut self) -> Result<Option<[u8; N]>, DecodeError> {
        let mut bytes = [0; N];
        match self.reader.read_exact(&mut bytes) {
            Ok(()) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(DecodeError::Io(error)),
        }
    }
}

fn short(error: std::io::Error) -> DecodeError {
    if error.kind() == ErrorKind::UnexpectedEof {
        DecodeError::Malformed("the WAV header is cut short")
    } else {
        DecodeError::Io(error)
    }
}

//! Audio that is only samples: headerless telephone audio, and `.au` files with their short header.

#![expect(clippy::cast_possible_truncation, reason = "f64 samples become f32 samples")]

use std::io::{ErrorKind, Read};

use super::{CHANNELS_MAX, DecodeError, Info, mix_down};
use crate::g711;
use crate::resample::{FROM_HZ_MAX, FROM_HZ_MIN};

/// Bytes read at a time.
const READ_BYTES: usize = 8_192;
/// The most text an `.au` header may hold before its samples.
const ANNOTATION_BYTES_MAX: u32 = 65_536;
const AU_HEADER_BYTES: u32 = 24;
const AU_LENGTH_UNKNOWN: u32 = u32::MAX;

/// How one sample is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(missing_docs, reason = "the names are the explanation: kind, bits, byte order")]
pub enum Encoding {
    Mu,
    A,
    U8,
    S8,
    S16Le,
    S16Be,
    S24Be,
    S32Be,
    F32Le,
    F32Be,
    F64Be,
}

impl Encoding {
    const fn bytes(self) -> usize {
        match self {
            Self::Mu | Self::A | Self::U8 | Self::S8 => 1,
            Self::S16Le | Self::S16Be => 2,
            Self::S24Be => 3,
            Self::S32Be | Self::F32Le | Self::F32Be => 4,
            Self::F64Be => 8,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Mu => "pcm_mulaw",
            Self::A => "pcm_alaw",
            Self::U8 => "pcm_u8",
            Self::S8 => "pcm_s8",
            Self::S16Le => "pcm_s16le",
            Self::S16Be => "pcm_s16be",
            Self::S24Be => "pcm_s24be",
            Self::S32Be => "pcm_s32be",
            Self::F32Le => "pcm_f32le",
            Self::F32Be => "pcm_f32be",
            Self::F64Be => "pcm_f64be",
        }
    }

    /// One sample, full scale 1.0. Fewer bytes than a sample are silence.
    fn sample(self, bytes: &[u8]) -> f32 {
        let s16 = |value: i16| f32::from(value) / 32_768.0;
        let value = match (self, bytes) {
            (Self::Mu, [code]) => s16(g711::decode_one(g711::Law::Mu, *code)),
            (Self::A, [code]) => s16(g711::decode_one(g711::Law::A, *code)),
            (Self::U8, [byte]) => (f32::from(*byte) - 128.0) / 128.0,
            (Self::S8, [byte]) => f32::from(byte.cast_signed()) / 128.0,
            (Self::S16Le, [a, b]) => s16(i16::from_le_bytes([*a, *b])),
            (Self::S16Be, [a, b]) => s16(i16::from_be_bytes([*a, *b])),
            (Self::S24Be, [a, b, c]) => s32([*a, *b, *c, 0]),
            (Self::S32Be, [a, b, c, d]) => s32([*a, *b, *c, *d]),
            (Self::F32Le, [a, b, c, d]) => f32::from_le_bytes([*a, *b, *c, *d]),
            (Self::F32Be, [a, b, c, d]) => f32::from_be_bytes([*a, *b, *c, *d]),
            (Self::F64Be, bytes) => bytes.try_into().map_or(0.0, f64::from_be_bytes) as f32,
            _ => 0.0,
        };
        if value.is_finite() { value } else { 0.0 }
    }
}

fn s32(bytes: [u8; 4]) -> f32 {
    (f64::from(i32::from_be_bytes(bytes)) / 2_147_483_648.0) as f32
}

/// Samples without a header.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RawFormat {
    /// How one sample is written.
    pub encoding: Encoding,
    /// Samples a second.
    pub rate_hz: u32,
    /// Interleaved channels.
    pub channels: usize,
}

impl RawFormat {
    /// mu-law telephone audio.
    pub const MU: Self = Self { encoding: Encoding::Mu, rate_hz: 8_000, channels: 1 };
    /// A-law telephone audio.
    pub const A: Self = Self { encoding: Encoding::A, rate_hz: 8_000, channels: 1 };
}

/// Reads samples of one format to the end.
pub(super) struct RawReader {
    reader: Box<dyn Read + Send>,
    format: RawFormat,
    container: &'static str,
    buffer: Vec<u8>,
    /// Bytes at the buffer's front that do not fill a frame yet.
    kept: usize,
    interleaved: Vec<f32>,
}

impl std::fmt::Debug for RawReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RawReader").field("format", &self.format).finish_non_exhaustive()
    }
}

impl RawReader {
    pub(super) fn new(
        reader: Box<dyn Read + Send>,
        format: RawFormat,
    ) -> Result<Self, DecodeError> {
        if !(1..=CHANNELS_MAX).contains(&format.channels) {
            return Err(DecodeError::Unsupported("number of channels"));
        }
        if !(FROM_HZ_MIN..=FROM_HZ_MAX).contains(&format.rate_hz) {
            return Err(DecodeError::Unsupported("sample rate"));
        }
        let buffer = vec![0; READ_BYTES];
        Ok(Self { reader, format, container: "", buffer, kept: 0, interleaved: Vec::new() })
    }

    /// Reads the header of an `.au` file, all of whose numbers are big-endian.
    pub(super) fn au(mut reader: Box<dyn Read + Send>) -> Result<Self, DecodeError> {
        let mut header = [[0; 4]; 6];
        reader.read_exact(header.as_flattened_mut()).map_err(short)?;
        let [_, offset, length, encoding, rate_hz, channels] = header.map(u32::from_be_bytes);
        let encoding = match encoding {
            1 => Encoding::Mu,
            2 => Encoding::S8,
            3 => Encoding::S16Be,
            4 => Encoding::S24Be,
            5 => Encoding::S32Be,
            6 => Encoding::F32Be,
            7 => Encoding::F64Be,
            27 => Encoding::A,
            _ => return Err(DecodeError::Unsupported("encoding of an .au file")),
        };
        let annotation = offset
            .checked_sub(AU_HEADER_BYTES)
            .ok_or(DecodeError::Malformed("the samples begin inside the .au header"))?;
        if annotation > ANNOTATION_BYTES_MAX {
            return Err(DecodeError::Limit("annotation of an .au file"));
        }
        let mut skipped = vec![0; annotation as usize];
        reader.read_exact(&mut skipped).map_err(short)?;
        let channels = usize::try_from(channels).unwrap_or(usize::MAX);
        let format = RawFormat { encoding, rate_hz, channels };
        let length = if length == AU_LENGTH_UNKNOWN { u64::MAX } else { u64::from(length) };
        Ok(Self { container: "au", ..Self::new(Box::new(reader.take(length)), format)? })
    }

    pub(super) const fn info(&self) -> Info {
        Info {
            container: self.container,
            codec: self.format.encoding.name(),
            rate_hz: self.format.rate_hz,
            channels: self.format.channels,
        }
    }

    /// Appends what one read brings; false at the end.
    pub(super) fn block(&mut self, mono: &mut Vec<f32>) -> Result<bool, DecodeError> {
        let (encoding, channels) = (self.format.encoding, self.format.channels);
        let frame = encoding.bytes() * channels;
        while mono.is_empty() {
            let Some(room) = self.buffer.get_mut(self.kept..) else { return Ok(false) };
            let count = match self.reader.read(room) {
                Ok(0) => return Ok(false),
                Ok(count) => self.kept + count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(DecodeError::Io(error)),
            };
            let whole = count / frame * frame;
            let ready = self.buffer.get(..whole).unwrap_or_default();
            self.interleaved.clear();
            let samples = ready.chunks_exact(encoding.bytes()).map(|bytes| encoding.sample(bytes));
            self.interleaved.extend(samples);
            mix_down(&self.interleaved, channels, mono);
            self.buffer.copy_within(whole..count, 0);
            self.kept = count - whole;
        }
        Ok(true)
    }
}

fn short(error: std::io::Error) -> DecodeError {
    if error.kind() == ErrorKind::UnexpectedEof {
        DecodeError::Malformed("the .au header is cut short")
    } else {
        DecodeError::Io(error)
    }
}

//! From a file or a stream to mono samples at the rate they were made with.
//!
//! Symphonia decodes WAV, AIFF, CAF, MP3, AAC, FLAC, ALAC, Vorbis, Ogg, MP4 and Matroska; libopus
//! decodes Opus; `.au` and headerless telephone audio are read here. What none of them can do ends in
//! [`DecodeError::Unsupported`], so that the caller can ask another program.
//!
//! Start at [`open`], [`open_seekable`] or [`open_bytes`], then call [`Decoder::block`] until `None`.

mod blocks;
mod raw;
mod sniff;
mod symphony;
#[cfg(test)]
mod tests;

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;

pub use raw::{Encoding, RawFormat};

use blocks::BlockReader;
use symphony::Symphony;

/// Most channels that are mixed to one.
pub const CHANNELS_MAX: usize = 32;
/// Packets in a row without a sound (empty, broken, of other tracks) before the decoder gives up.
pub const BARREN_PACKETS_MAX: u32 = 10_000;
/// Packets in a row that could not be decoded before the decoder gives up.
pub const BROKEN_PACKETS_MAX: u32 = 100;
/// Bytes of a title that are kept.
pub const TITLE_BYTES_MAX: usize = 256;

/// Why nothing, or nothing more, can be decoded.
#[derive(Debug)]
#[non_exhaustive]
pub enum DecodeError {
    /// Not a format or codec of ours; another decoder may know it.
    Unsupported(&'static str),
    /// The bytes do not keep their own format's rules.
    Malformed(&'static str),
    /// The reader failed.
    Io(io::Error),
    /// A bound was reached; the text names it.
    Limit(&'static str),
    /// The decoder has a bug that these bytes found. It was stopped; nothing else was harmed.
    Bug,
}

impl std::fmt::Display for DecodeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unsupported(what) => write!(f, "unsupported: {what}"),
            Self::Malformed(what) => write!(f, "malformed: {what}"),
            Self::Io(_) => f.write_str("the bytes could not be read"),
            Self::Limit(which) => write!(f, "limit reached: {which}"),
            Self::Bug => f.write_str("the decoder failed on these bytes"),
        }
    }
}

impl std::error::Error for DecodeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::Unsupported(_) | Self::Malformed(_) | Self::Limit(_) | Self::Bug => None,
        }
    }
}

/// What is known of the format beforehand. It decides only where the bytes do not say.
#[derive(Clone, Debug, Default)]
pub struct Hint {
    extension: Option<String>,
    media_type: Option<String>,
    raw: Option<RawFormat>,
    endless: bool,
}

impl Hint {
    /// Nothing is known.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// From a file's name or a URI's path: only what follows the last dot counts.
    #[must_use]
    pub fn from_name(name: &str) -> Self {
        Self::default().with_name(name)
    }

    /// Adds a file's name.
    #[must_use]
    pub fn with_name(mut self, name: &str) -> Self {
        let file = name.rsplit(['/', '\\']).next().unwrap_or(name);
        self.extension = file.rsplit_once('.').map(|(_, end)| end.to_ascii_lowercase());
        self
    }

    /// Adds a media type, as in `Content-Type`, with its parameters.
    #[must_use]
    pub fn with_media_type(mut self, media_type: &str) -> Self {
        self.media_type = Some(media_type.to_ascii_lowercase());
        self
    }

    /// Says that this is a broadcast: a length that stands in the bytes is not its own.
    #[must_use]
    pub const fn endless(mut self) -> Self {
        self.endless = true;
        self
    }

    /// Says that the bytes have no header and what they are; then nothing else is looked at.
    #[must_use]
    pub const fn with_raw(mut self, format: RawFormat) -> Self {
        self.raw = Some(format);
        self
    }
}

/// What a decoder found out.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Info {
    /// The container's short name, such as `ogg`; empty when there is none.
    pub container: &'static str,
    /// The codec's short name, such as `vorbis`.
    pub codec: &'static str,
    /// Samples a second.
    pub rate_hz: u32,
    /// Channels before mixing.
    pub channels: usize,
}

/// Some decoded audio: mono, full scale is 1.0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Block<'a> {
    /// Samples a second; it may change from block to block in chained streams.
    pub rate_hz: u32,
    /// The samples, all channels averaged.
    pub samples: &'a [f32],
}

/// Decodes one file or stream, front to back.
#[derive(Debug)]
pub struct Decoder {
    body: Body,
    info: Info,
    title: Option<String>,
    mono: Vec<f32>,
}

#[derive(Debug)]
enum Body {
    Symphony(Box<Symphony>),
    Raw(Box<raw::RawReader>),
    Blocks(Box<BlockReader>),
    Ended,
}

/// Something that can be read at any place.
pub trait ReadSeek: Read + Seek + Send {}

impl<T: Read + Seek + Send> ReadSeek for T {}

/// Opens a stream that can only be read forward: a socket, a pipe, a live source.
///
/// # Errors
/// When the format is not recognised or not ours; when the reader fails.
pub fn open(mut reader: Box<dyn Read + Send>, hint: &Hint) -> Result<Decoder, DecodeError> {
    let mut head = sniff::head(&mut reader)?;
    if hint.endless {
        sniff::past_tag(&mut head, &mut reader)?;
        sniff::forget_length(&mut head);
    }
    if head.starts_with(b"caff") {
        // Symphonia walks over the samples to find all chunks, then back.
        return Err(DecodeError::Unsupported("CAF that can only be read forward"));
    }
    let kind = sniff::kind(&head, hint)?;
    let whole: Box<dyn Read + Send> = Box::new(io::Cursor::new(head).chain(reader));
    match kind {
        sniff::Kind::Symphony => Decoder::of(Symphony::stream(whole, hint)?),
        sniff::Kind::Au => Decoder::raw(raw::RawReader::au(whole)?),
        sniff::Kind::Raw(format) => Decoder::raw(raw::RawReader::new(whole, format)?),
        sniff::Kind::Gsm => Ok(Decoder::blocks(BlockReader::bare(whole))),
        sniff::Kind::Blocks(coding) => BlockReader::wav(whole, coding).map(Decoder::blocks),
    }
}

/// Opens something that can be read at any place, from its beginning. CAF needs it, and MP4 with its
/// index at the end.
///
/// # Errors
/// As [`open`].
pub fn open_seekable(mut reader: Box<dyn ReadSeek>, hint: &Hint) -> Result<Decoder, DecodeError> {
    let head = sniff::head(&mut reader)?;
    let kind = sniff::kind(&head, hint)?;
    let length = reader.seek(SeekFrom::End(0)).map_err(DecodeError::Io)?;
    reader.rewind().map_err(DecodeError::Io)?;
    match kind {
        sniff::Kind::Symphony => Decoder::of(Symphony::seekable(reader, length, hint)?),
        sniff::Kind::Au => Decoder::raw(raw::RawReader::au(Box::new(reader))?),
        sniff::Kind::Raw(format) => Decoder::raw(raw::RawReader::new(Box::new(reader), format)?),
        sniff::Kind::Gsm => Ok(Decoder::blocks(BlockReader::bare(Box::new(reader)))),
        sniff::Kind::Blocks(coding) => {
            BlockReader::wav(Box::new(reader), coding).map(Decoder::blocks)
        }
    }
}

/// Opens bytes in memory.
///
/// # Errors
/// As [`open`].
pub fn open_bytes(bytes: impl Into<Arc<[u8]>>, hint: &Hint) -> Result<Decoder, DecodeError> {
    open_seekable(Box::new(io::Cursor::new(bytes.into())), hint)
}

impl Decoder {
    fn of(symphony: Symphony) -> Result<Self, DecodeError> {
        let info = symphony.info()?;
        let body = Body::Symphony(Box::new(symphony));
        Ok(Self { body, info, title: None, mono: Vec::new() })
    }

    fn blocks(reader: BlockReader) -> Self {
        let info = reader.info();
        let body = Body::Blocks(Box::new(reader));
        Self { body, info, title: None, mono: Vec::new() }
    }

    fn raw(reader: raw::RawReader) -> Result<Self, DecodeError> {
        let info = reader.info();
        let body = Body::Raw(Box::new(reader));
        Ok(Self { body, info, title: None, mono: Vec::new() })
    }

    /// The next samples; `None` at the end. After an error there is nothing more.
    ///
    /// # Errors
    /// When the reader fails, or the rest cannot be decoded. Single broken packets are passed over.
    pub fn block(&mut self) -> Result<Option<Block<'_>>, DecodeError> {
        self.mono.clear();
        let more = match &mut self.body {
            Body::Symphony(symphony) => symphony.block(&mut self.info, &mut self.mono),
            Body::Raw(reader) => reader.block(&mut self.mono),
            Body::Blocks(reader) => reader.block(&mut self.mono),
            Body::Ended => Ok(false),
        };
        if let (Body::Symphony(symphony), Ok(_)) = (&mut self.body, &more) {
            self.title = symphony.title().or_else(|| self.title.take());
        }
        if !matches!(more, Ok(true)) {
            self.body = Body::Ended;
        }
        Ok(more?.then_some(Block { rate_hz: self.info.rate_hz, samples: &self.mono }))
    }

    /// What is being decoded. In a chained stream it may change with any block.
    #[must_use]
    pub const fn info(&self) -> &Info {
        &self.info
    }

    /// The title that came since the last call, as `artist - title`: from tags, or a chained stream's
    /// next piece. Control characters are gone and the length is bounded.
    pub const fn take_title(&mut self) -> Option<String> {
        self.title.take()
    }
}

/// Averages interleaved channels; what does not fill a frame is left away.
fn mix_down(interleaved: &[f32], channels: usize, mono: &mut Vec<f32>) {
    if channels <= 1 {
        mono.extend_from_slice(interleaved);
        return;
    }
    #[expect(clippy::cast_precision_loss, reason = "at most CHANNELS_MAX")]
    let share = 1.0 / channels as f32;
    mono.extend(interleaved.chunks_exact(channels).map(|f| f.iter().sum::<f32>() * share));
}

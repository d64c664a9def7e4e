//! The formats that Symphonia and libopus decode, behind a wall: nothing they do reaches further than
//! an error.

use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, OnceLock, PoisonError};

use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::{AudioDecoder, AudioDecoderOptions};
use symphonia::core::codecs::registry::CodecRegistry;
use symphonia::core::common::Limit;
use symphonia::core::errors::Error;
use symphonia::core::formats::probe::Hint as ProbeHint;
use symphonia::core::formats::{FormatOptions, FormatReader, TrackType};
use symphonia::core::io::{MediaSource, MediaSourceStream, ReadOnlySource};
use symphonia::core::meta::{MetadataOptions, MetadataRevision, StandardTag};
use symphonia::core::packet::Packet;

use super::{
    BARREN_PACKETS_MAX, BROKEN_PACKETS_MAX, CHANNELS_MAX, DecodeError, Hint, Info, ReadSeek,
    TITLE_BYTES_MAX, mix_down,
};
use crate::resample::{FROM_HZ_MAX, FROM_HZ_MIN};

/// Bytes of one tag, and of one picture, that are read at all.
const TAG_BYTES_MAX: usize = 65_536;
/// Logical streams in a chain that bring no sound before the decoder gives up.
const EMPTY_CHAINS_MAX: u32 = 16;

/// A container being read and one of its tracks being decoded.
pub(super) struct Symphony {
    format: Box<dyn FormatReader>,
    track: u32,
    decoder: Box<dyn AudioDecoder>,
    interleaved: Vec<f32>,
    /// The tags of this stream of the chain were not looked at yet.
    untitled: bool,
}

impl std::fmt::Debug for Symphony {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Symphony").field("track", &self.track).finish_non_exhaustive()
    }
}

impl Symphony {
    pub(super) fn stream(reader: Box<dyn Read + Send>, hint: &Hint) -> Result<Self, DecodeError> {
        Self::probe(Box::new(ReadOnlySource::new(Exclusive(Mutex::new(reader)))), hint)
    }

    pub(super) fn seekable(
        reader: Box<dyn ReadSeek>,
        length: u64,
        hint: &Hint,
    ) -> Result<Self, DecodeError> {
        Self::probe(Box::new(Seekable { reader: Exclusive(Mutex::new(reader)), length }), hint)
    }

    fn probe(source: Box<dyn MediaSource>, hint: &Hint) -> Result<Self, DecodeError> {
        walled(|| {
            let stream = MediaSourceStream::new(source, Default::default());
            let mut probe_hint = ProbeHint::new();
            if let Some(extension) = &hint.extension {
                probe_hint.with_extension(extension);
            }
            if let Some(media_type) = &hint.media_type {
                probe_hint.mime_type(media_type);
            }
            let tags = MetadataOptions::default()
                .limit_tag_bytes(Limit::Maximum(TAG_BYTES_MAX))
                .limit_visual_bytes(Limit::Maximum(TAG_BYTES_MAX));
            let format = symphonia::default::get_probe()
                .probe(&probe_hint, stream, FormatOptions::default(), tags)
                .map_err(refused)?;
            let (track, decoder) = choose(format.as_ref())?;
            Ok(Self { format, track, decoder, interleaved: Vec::new(), untitled: true })
        })
    }

    /// What the headers say.
    pub(super) fn info(&self) -> Result<Info, DecodeError> {
        let parameters = self.decoder.codec_params();
        Ok(Info {
            container: self.format.format_info().short_name,
            codec: self.decoder.codec_info().short_name,
            // Raw AAC may learn its rate and channels only from the first packet.
            rate_hz: parameters.sample_rate.map_or(Ok(crate::RATE_HZ), rate)?,
            channels: parameters.channels.as_ref().map_or(Ok(1), |c| channels(c.count()))?,
        })
    }

    /// Appends the sound of the next packet that has any; false at the end.
    pub(super) fn block(
        &mut self,
        info: &mut Info,
        mono: &mut Vec<f32>,
    ) -> Result<bool, DecodeError> {
        walled(|| {
            let (mut broken, mut barren, mut chains) = (0, 0, 0);
            while mono.is_empty() {
                let packet = match self.format.next_packet() {
                    Ok(Some(packet)) => packet,
                    Ok(None) => return Ok(false),
                    Err(Error::ResetRequired) => {
                        chains += 1;
                        if chains > EMPTY_CHAINS_MAX {
                            return Err(DecodeError::Limit("empty streams in a chain"));
                        }
                        (self.track, self.decoder) = choose(self.format.as_ref())?;
                        *info = self.info()?;
                        self.untitled = true;
                        continue;
                    }
                    Err(Error::IoError(e)) if e.kind() == ErrorKind::UnexpectedEof => {
                        return Ok(false);
                    }
                    Err(error) => return Err(refused(error)),
                };
                barren += 1;
                if barren > BARREN_PACKETS_MAX {
                    return Err(DecodeError::Limit("packets without sound"));
                }
                if packet.track_id != self.track {
                    continue;
                }
                match self.decode(&packet, info, mono) {
                    Ok(()) => broken = 0,
                    Err(DecodeError::Malformed(_) | DecodeError::Io(_))
                        if broken < BROKEN_PACKETS_MAX =>
                    {
                        broken += 1;
                    }
                    Err(error) => return Err(error),
                }
            }
            Ok(true)
        })
    }

    fn decode(
        &mut self,
        packet: &Packet,
        info: &mut Info,
        mono: &mut Vec<f32>,
    ) -> Result<(), DecodeError> {
        let decoded = match self.decoder.decode(packet) {
            Ok(decoded) => decoded,
            // The next packet will be of the new kind.
            Err(Error::ResetRequired) => return Ok(()),
            Err(error) => return Err(refused(error)),
        };
        if decoded.is_empty() {
            return Ok(());
        }
        info.rate_hz = rate(decoded.spec().rate())?;
        info.channels = channels(decoded.spec().channels().count())?;
        decoded.copy_to_vec_interleaved::<f32>(&mut self.interleaved);
        mix_down(&self.interleaved, info.channels, mono);
        // Float formats can hold anything.
        for sample in mono.iter_mut().filter(|sample| !sample.is_finite()) {
            *sample = 0.0;
        }
        Ok(())
    }

    /// The newest title, if tags came since the last call.
    pub(super) fn title(&mut self) -> Option<String> {
        let untitled = std::mem::take(&mut self.untitled);
        walled(|| {
            let mut metadata = self.format.metadata();
            if metadata.is_latest() && !untitled {
                return Ok(None);
            }
            // The last revision is never popped.
            let mut newest = None;
            while let Some(revision) = metadata.pop() {
                newest = title(&revision).or(newest);
            }
            Ok(metadata.current().and_then(title).or(newest))
        })
        .ok()
        .flatten()
    }
}

/// The first track with sound that can be decoded, and its decoder.
fn choose(format: &dyn FormatReader) -> Result<(u32, Box<dyn AudioDecoder>), DecodeError> {
    let track = format
        .default_track(TrackType::Audio)
        .ok_or(DecodeError::Unsupported("no track with a known audio codec"))?;
    let Some(CodecParameters::Audio(parameters)) = &track.codec_params else {
        return Err(DecodeError::Unsupported("no audio track"));
    };
    if let Some(count) = parameters.channels.as_ref().map(|c| c.count()) {
        channels(count)?;
    }
    parameters.sample_rate.map_or(Ok(crate::RATE_HZ), rate)?;
    let decoder = codecs()
        .make_audio_decoder(parameters, &AudioDecoderOptions::default())
        .map_err(refused)?;
    Ok((track.id, decoder))
}

fn codecs() -> &'static CodecRegistry {
    static CODECS: OnceLock<CodecRegistry> = OnceLock::new();
    CODECS.get_or_init(|| {
        let mut codecs = CodecRegistry::new();
        symphonia::default::register_enabled_codecs(&mut codecs);
        codecs.register_audio_decoder::<symphonia_adapter_libopus::OpusDecoder>();
        codecs
    })
}

fn rate(rate_hz: u32) -> Result<u32, DecodeError> {
    let known = (FROM_HZ_MIN..=FROM_HZ_MAX).contains(&rate_hz);
    known.then_some(rate_hz).ok_or(DecodeError::Unsupported("sample rate"))
}

fn channels(count: usize) -> Result<usize, DecodeError> {
    let known = (1..=CHANNELS_MAX).contains(&count);
    known.then_some(count).ok_or(DecodeError::Unsupported("number of channels"))
}

fn refused(error: Error) -> DecodeError {
    match error {
        Error::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => {
            DecodeError::Malformed("the bytes end too early")
        }
        Error::IoError(error) => DecodeError::Io(error),
        Error::DecodeError(what) => DecodeError::Malformed(what),
        Error::SeekError(_) => DecodeError::Unsupported("a stream that must be read out of order"),
        Error::Unsupported(what) => DecodeError::Unsupported(what),
        Error::LimitError(which) => DecodeError::Limit(which),
        Error::ResetRequired | _ => DecodeError::Malformed("a change of format where none can be"),
    }
}

/// Runs foreign code; a panic in it becomes an error. What it was working on is not used again.
fn walled<T>(work: impl FnOnce() -> Result<T, DecodeError>) -> Result<T, DecodeError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(DecodeError::Bug))
}

fn title(revision: &MetadataRevision) -> Option<String> {
    let (mut artist, mut title) = (None, None);
    let per_track = revision.per_track.iter().flat_map(|track| &track.metadata.tags);
    for tag in revision.media.tags.iter().chain(per_track) {
        match &tag.std {
            Some(StandardTag::TrackTitle(text)) => title = Some(text),
            Some(StandardTag::Artist(text)) => artist = Some(text),
            _ => {}
        }
    }
    let whole = match (artist, title) {
        (Some(artist), Some(title)) => format!("{artist} - {title}"),
        (None, Some(title)) => title.to_string(),
        (_, None) => return None,
    };
    Some(plain(&whole)).filter(|text| !text.is_empty())
}

/// Without control characters, and bounded.
fn plain(text: &str) -> String {
    let mut kept = String::new();
    for c in text.trim().chars().filter(|c| !c.is_control()) {
        if kept.len() + c.len_utf8() > TITLE_BYTES_MAX {
            break;
        }
        kept.push(c);
    }
    kept
}

/// Makes a reader `Sync` as Symphonia wants it. Nobody waits for the lock: there is one owner.
struct Exclusive<R: ?Sized>(Mutex<R>);

impl<R: Read> Read for Exclusive<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner).read(buffer)
    }
}

impl<R: Seek> Seek for Exclusive<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner).seek(to)
    }
}

struct Seekable {
    reader: Exclusive<Box<dyn ReadSeek>>,
    length: u64,
}

impl Read for Seekable {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reader.read(buffer)
    }
}

impl Seek for Seekable {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.reader.seek(to)
    }
}

impl MediaSource for Seekable {
    fn is_seekable(&self) -> bool {
        true
    }

    fn byte_len(&self) -> Option<u64> {
        Some(self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_in_foreign_code_is_an_error_and_titles_are_plain() {
        let result: Result<(), _> = walled(|| panic!("as a decoder might"));
        assert!(matches!(result, Err(DecodeError::Bug)));
        assert_eq!(plain(" a\r\nb\u{1b}[2J "), "ab[2J");
        assert_eq!(plain(&"ä".repeat(500)).len(), TITLE_BYTES_MAX);
    }
}

//! WAV files: written sample by sample to anything that can seek, and read from memory.
//!
//! [`crate::decode`] reads many more kinds; this reads back exactly what [`Writer`] writes, sample for
//! sample, and says what a file is without decoding it.

#![expect(clippy::cast_possible_truncation, reason = "sizes are checked against u32 before")]

use std::io::{self, Seek, SeekFrom, Write};

use crate::g711::{self, Law};

/// Most channels of a file.
pub const CHANNELS_MAX: u16 = 32;
/// Chunks of a file that are looked at before the samples must have come.
const CHUNKS_MAX: usize = 64;
/// Bytes of samples that a file's 32-bit sizes can name, with room for the header.
const DATA_BYTES_MAX: u64 = u32::MAX as u64 - 64;

/// How a sample is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Coding {
    /// 16 bits, linear.
    Pcm16,
    /// 8 bits, G.711.
    G711(Law),
}

impl Coding {
    const fn tag(self) -> u16 {
        match self {
            Self::Pcm16 => 1,
            Self::G711(Law::A) => 6,
            Self::G711(Law::Mu) => 7,
        }
    }

    const fn bytes(self) -> u16 {
        match self {
            Self::Pcm16 => 2,
            Self::G711(_) => 1,
        }
    }
}

/// What a file holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Format {
    /// How a sample is written.
    pub coding: Coding,
    /// Samples a second.
    pub rate_hz: u32,
    /// Interleaved channels.
    pub channels: u16,
}

impl Format {
    /// Telephone audio, linear.
    pub const TELEPHONE: Self =
        Self { coding: Coding::Pcm16, rate_hz: crate::RATE_HZ, channels: 1 };

    /// The header for so many bytes of samples. `None` stands for a length that is not known yet, as
    /// in a pipe; most readers then read to the end.
    #[must_use]
    pub fn header(self, data_bytes: Option<u32>) -> Vec<u8> {
        let frame = self.channels * self.coding.bytes();
        let extended = self.coding != Coding::Pcm16;
        // `fmt ` and, when not linear, its empty extension and a `fact` with the number of frames.
        let (format_bytes, fact_bytes) = if extended { (18u32, 12) } else { (16, 0) };
        let riff =
            data_bytes.map(|d| (4 + 8 + format_bytes + fact_bytes + 8 + d).saturating_add(d & 1));
        let mut header = Vec::with_capacity(58);
        header.extend_from_slice(b"RIFF");
        header.extend_from_slice(&riff.unwrap_or(u32::MAX).to_le_bytes());
        header.extend_from_slice(b"WAVEfmt ");
        header.extend_from_slice(&format_bytes.to_le_bytes());
        header.extend_from_slice(&self.coding.tag().to_le_bytes());
        header.extend_from_slice(&self.channels.to_le_bytes());
        header.extend_from_slice(&self.rate_hz.to_le_bytes());
        header.extend_from_slice(&self.rate_hz.saturating_mul(u32::from(frame)).to_le_bytes());
        header.extend_from_slice(&frame.to_le_bytes());
        header.extend_from_slice(&(self.coding.bytes() * 8).to_le_bytes());
        if extended {
            let frames = data_bytes.map_or(u32::MAX, |d| d / u32::from(frame.max(1)));
            header.extend_from_slice(&0u16.to_le_bytes());
            header.extend_from_slice(b"fact\x04\0\0\0");
            header.extend_from_slice(&frames.to_le_bytes());
        }
        header.extend_from_slice(b"data");
        header.extend_from_slice(&data_bytes.unwrap_or(u32::MAX).to_le_bytes());
        header
    }
}

/// Writes a file. The sizes in its header are right after [`Writer::finish`], or [`Writer::settle`];
/// dropped before, the file says zero samples and [`read`] still finds them.
#[derive(Debug)]
pub struct Writer<W: Write + Seek> {
    sink: W,
    format: Format,
    begin: u64,
    data_bytes: u64,
    buffer: Vec<u8>,
}

impl<W: Write + Seek> Writer<W> {
    /// Begins a file where `sink` stands.
    ///
    /// # Errors
    /// When the sink fails, or there are no channels or more than [`CHANNELS_MAX`].
    pub fn new(mut sink: W, format: Format) -> io::Result<Self> {
        if !(1..=CHANNELS_MAX).contains(&format.channels) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "number of channels"));
        }
        let begin = sink.stream_position()?;
        sink.write_all(&format.header(Some(0)))?;
        Ok(Self { sink, format, begin, data_bytes: 0, buffer: Vec::new() })
    }

    /// Appends samples, interleaved when there are several channels.
    ///
    /// # Errors
    /// When the sink fails, or a file of this kind can hold no more (4 GiB).
    pub fn write(&mut self, samples: &[i16]) -> io::Result<()> {
        self.buffer.clear();
        match self.format.coding {
            Coding::Pcm16 => self.buffer.extend(samples.iter().flat_map(|s| s.to_le_bytes())),
            Coding::G711(law) => {
                self.buffer.resize(samples.len(), 0);
                g711::encode(law, samples, &mut self.buffer);
            }
        }
        if self.data_bytes + self.buffer.len() as u64 > DATA_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "a WAV file ends at 4 GiB"));
        }
        self.sink.write_all(&self.buffer)?;
        self.data_bytes += self.buffer.len() as u64;
        Ok(())
    }

    /// Frames written: samples of each channel.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.data_bytes / u64::from(self.format.channels * self.format.coding.bytes())
    }

    /// Makes the header true for what was written, and stands ready for more.
    ///
    /// # Errors
    /// When the sink fails.
    pub fn settle(&mut self) -> io::Result<()> {
        self.sink.seek(SeekFrom::Start(self.begin))?;
        self.sink.write_all(&self.format.header(Some(self.data_bytes as u32)))?;
        self.sink.seek(SeekFrom::Current(self.data_bytes.cast_signed()))?;
        self.sink.flush()
    }

    /// Ends the file and gives the sink back.
    ///
    /// # Errors
    /// When the sink fails.
    pub fn finish(mut self) -> io::Result<W> {
        self.settle()?;
        if self.data_bytes % 2 == 1 {
            self.sink.write_all(&[0])?;
        }
        self.sink.flush()?;
        Ok(self.sink)
    }
}

/// A file of mono telephone audio or anything else of 16 bits, whole in memory.
#[must_use]
pub fn to_bytes(format: Format, samples: &[i16]) -> Vec<u8> {
    let mut data = Vec::new();
    match format.coding {
        Coding::Pcm16 => data.extend(samples.iter().flat_map(|s| s.to_le_bytes())),
        Coding::G711(law) => {
            data.resize(samples.len(), 0);
            g711::encode(law, samples, &mut data);
        }
    }
    let mut bytes = format.header(u32::try_from(data.len()).ok());
    bytes.append(&mut data);
    if bytes.len() % 2 == 1 {
        bytes.push(0);
    }
    bytes
}

/// Why a file could not be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum WavError {
    /// It does not begin as a WAV file does.
    NotWav,
    /// A chunk is missing, or does not fit the file.
    Malformed(&'static str),
    /// A WAV file whose format tag, width or channels are not ours; [`crate::decode`] may do it.
    Unsupported {
        /// The format tag: 1 is linear, 0x31 GSM, 0x22 TrueSpeech.
        tag: u16,
    },
}

impl std::fmt::Display for WavError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotWav => f.write_str("not a WAV file"),
            Self::Malformed(what) => write!(f, "malformed WAV file: {what}"),
            Self::Unsupported { tag } => write!(f, "WAV format {tag:#06x} is not supported"),
        }
    }
}

impl std::error::Error for WavError {}

/// A file's samples, still as they were written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Wav<'a> {
    /// What they are.
    pub format: Format,
    /// Their bytes: whole frames only.
    pub data: &'a [u8],
    /// Where in the file they begin.
    pub data_at: usize,
    /// How many bytes the file says they are; zero or more than there can be where its writer did not
    /// know yet.
    pub said_bytes: usize,
}

impl Wav<'_> {
    /// The samples, interleaved when there are several channels.
    #[must_use]
    pub fn samples(&self) -> Vec<i16> {
        match self.format.coding {
            Coding::Pcm16 => {
                self.data.as_chunks::<2>().0.iter().map(|b| i16::from_le_bytes(*b)).collect()
            }
            Coding::G711(law) => {
                let mut samples = vec![0; self.data.len()];
                g711::decode(law, self.data, &mut samples);
                samples
            }
        }
    }
}

/// Reads a file of 16-bit linear or G.711 samples. A data chunk of length zero, or longer than the
/// file, reaches to the file's end: so ends what a crash left behind.
///
/// # Errors
/// When it is not such a file.
pub fn read(bytes: &[u8]) -> Result<Wav<'_>, WavError> {
    let Some((b"RIFF", rest)) = bytes.split_first_chunk::<4>() else {
        return Err(WavError::NotWav);
    };
    let after_size = rest.get(4..).and_then(|rest| rest.split_first_chunk::<4>());
    let Some((b"WAVE", mut rest)) = after_size else { return Err(WavError::NotWav) };
    let mut format = None;
    for _ in 0..CHUNKS_MAX {
        let Some((name, after)) = rest.split_first_chunk::<4>() else { break };
        let Some((length, body)) = after.split_first_chunk::<4>() else { break };
        let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
        let kept = body.get(..length);
        match name {
            b"fmt " => {
                let chunk = kept.ok_or(WavError::Malformed("the format is cut short"))?;
                format = Some(read_format(chunk)?);
            }
            b"data" => {
                let format: Format =
                    format.ok_or(WavError::Malformed("samples before the format"))?;
                let data = kept.filter(|data| !data.is_empty()).unwrap_or(body);
                let frame = usize::from(format.channels * format.coding.bytes());
                let whole = data.len() / frame * frame;
                let data = data.get(..whole).unwrap_or_default();
                let data_at = bytes.len() - body.len();
                return Ok(Wav { format, data, data_at, said_bytes: length });
            }
            _ => {}
        }
        rest = body.get(length.saturating_add(length & 1)..).unwrap_or_default();
    }
    Err(WavError::Malformed("no samples"))
}

/// How long the audio of a WAV file of any coding is, by the lengths in its header alone, of which `begin` is as much as is
/// there; `None` when it does not say.
#[must_use]
pub fn duration_ms(begin: &[u8]) -> Option<u64> {
    let rest = begin.strip_prefix(b"RIFF")?.get(4..)?;
    let mut rest = rest.strip_prefix(b"WAVE")?;
    let mut bytes_per_second = None;
    for _ in 0..CHUNKS_MAX {
        let (name, after) = rest.split_first_chunk::<4>()?;
        let (length, body) = after.split_first_chunk::<4>()?;
        let length = u32::from_le_bytes(*length);
        if name == b"data" {
            let per_second = bytes_per_second.filter(|bytes| *bytes > 0)?;
            let is_said = length > 0 && length < u32::MAX - 64;
            return is_said.then(|| u64::from(length) * 1_000 / u64::from(per_second));
        }
        let length = usize::try_from(length).ok()?;
        if name == b"fmt " {
            let field = body.get(8..12)?.try_into().ok()?;
            bytes_per_second = Some(u32::from_le_bytes(field));
        }
        rest = body.get(length.checked_add(length & 1)?..)?;
    }
    None
}

fn read_format(chunk: &[u8]) -> Result<Format, WavError> {
    let word = |at: usize| -> Option<u16> {
        Some(u16::from_le_bytes([*chunk.get(at)?, *chunk.get(at + 1)?]))
    };
    let fields = || Some((word(0)?, word(2)?, [word(4)?, word(6)?], word(14)?));
    let (plain_tag, channels, [low, high], bits) =
        fields().ok_or(WavError::Malformed("the format is too short"))?;
    // The extensible format hides the tag behind its size, valid bits and channel mask.
    let tag = if plain_tag == 0xFFFE { word(24).unwrap_or(plain_tag) } else { plain_tag };
    let coding = match (tag, bits) {
        (1, 16) => Coding::Pcm16,
        (6, 8) => Coding::G711(Law::A),
        (7, 8) => Coding::G711(Law::Mu),
        _ => return Err(WavError::Unsupported { tag }),
    };
    if !(1..=CHANNELS_MAX).contains(&channels) {
        return Err(WavError::Unsupported { tag });
    }
    Ok(Format { coding, rate_hz: u32::from(low) | u32::from(high) << 16, channels })
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::decode::{self, Hint};
    use crate::telephone;

    const ALL: [Coding; 3] = [Coding::Pcm16, Coding::G711(Law::Mu), Coding::G711(Law::A)];

    fn ramp(count: usize) -> Vec<i16> {
        (0..count).map(|n| (n as u16).wrapping_mul(257).cast_signed()).collect()
    }

    #[test]
    fn a_header_says_how_long_the_audio_is() {
        for coding in ALL {
            let file = to_bytes(Format { coding, rate_hz: 8_000, channels: 1 }, &ramp(12_000));
            assert_eq!(duration_ms(&file[..100]), Some(1_500));
        }
        for bytes in [&b""[..], b"RIFF", b"RIFFxxxxWAVE", b"RIFFxxxxWAVEdata\0\x01\0\0"] {
            assert_eq!(duration_ms(bytes), None);
        }
    }

    #[test]
    fn what_is_written_is_read_back_and_decoded_by_others_alike() {
        for coding in ALL {
            for count in [0, 1, 2, 801] {
                let format = Format { coding, rate_hz: 8_000, channels: 1 };
                let mut writer = Writer::new(Cursor::new(Vec::new()), format).unwrap();
                for part in ramp(count).chunks(100) {
                    writer.write(part).unwrap();
                    writer.settle().unwrap();
                }
                assert_eq!(writer.frames(), count as u64);
                let bytes = writer.finish().unwrap().into_inner();
                assert_eq!(bytes, to_bytes(format, &ramp(count)));
                assert_eq!(bytes.len() % 2, 0);
                let sizes = u32::from_le_bytes(bytes[4..8].try_into().unwrap());
                assert_eq!(sizes as usize + 8, bytes.len());
                let wav = read(&bytes).unwrap();
                assert_eq!(wav.format, format);
                let samples = if count == 0 { Vec::new() } else { wav.samples() };
                if coding == Coding::Pcm16 {
                    assert_eq!(samples, ramp(count));
                }
                if count > 2 {
                    let decoder = decode::open_bytes(bytes.clone(), &Hint::none()).unwrap();
                    assert_eq!(telephone::whole(decoder, 10_000).unwrap(), samples, "{coding:?}");
                }
            }
        }
    }

    #[test]
    fn a_file_that_was_never_finished_still_holds_its_samples() {
        for length in [Some(0), None] {
            let mut bytes = Format::TELEPHONE.header(length);
            bytes.extend(ramp(500).iter().flat_map(|s| s.to_le_bytes()));
            bytes.push(7);
            assert_eq!(read(&bytes).unwrap().samples(), ramp(500));
        }
    }

    #[test]
    fn other_chunks_and_the_extensible_format_are_passed_over() {
        let mut bytes = b"RIFF\0\0\0\0WAVELIST\x03\0\0\0abc\0fmt \x28\0\0\0".to_vec();
        bytes.extend_from_slice(&[0xFE, 0xFF, 2, 0, 0x40, 0x1F, 0, 0, 0, 0, 0, 0, 4, 0, 16, 0]);
        bytes.extend_from_slice(&[22, 0, 16, 0, 3, 0, 0, 0, 1, 0]);
        bytes.extend_from_slice(&[0; 14]);
        bytes.extend_from_slice(b"data\x08\0\0\0");
        bytes.extend_from_slice(&[1, 0, 2, 0, 3, 0, 4, 0, 9, 9]);
        let wav = read(&bytes).unwrap();
        let format = Format { coding: Coding::Pcm16, rate_hz: 8_000, channels: 2 };
        assert_eq!((wav.format, wav.samples()), (format, vec![1, 2, 3, 4]));
    }

    #[test]
    fn what_is_not_ours_is_named() {
        let mut gsm = Format::TELEPHONE.header(Some(0));
        gsm[20] = 0x31;
        let mut eight = Format::TELEPHONE.header(Some(0));
        eight[34] = 8;
        for (bytes, expected) in [
            (&b""[..], WavError::NotWav),
            (b"RIFF\0\0\0\0WAVX", WavError::NotWav),
            (b"RIFF\0\0\0\0WAVE", WavError::Malformed("no samples")),
            (b"RIFF\0\0\0\0WAVEdata\0\0\0\0", WavError::Malformed("samples before the format")),
            (
                b"RIFF\0\0\0\0WAVEfmt \x02\0\0\0\x01\0",
                WavError::Malformed("the format is too short"),
            ),
            (&gsm, WavError::Unsupported { tag: 0x31 }),
            (&eight, WavError::Unsupported { tag: 1 }),
        ] {
            assert_eq!(read(bytes).unwrap_err(), expected);
        }
    }
}

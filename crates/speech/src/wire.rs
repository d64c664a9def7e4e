//! The helper's protocol, version 1, from the asking side. `crates/speech-espeak/README.md`.

use std::io;

use ssml::Gender;
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::voices::VoiceInfo;

/// The version spoken here.
pub(crate) const VERSION: u16 = 1;
/// The longest answer: a block of sound is a few kilobytes.
const FRAME_BYTES_MAX: usize = 1 << 20;

/// A text and how to speak it; the factors are thousandths of the voice's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Speak {
    pub(crate) voice: String,
    pub(crate) rate: u16,
    pub(crate) pitch: u16,
    pub(crate) range: u16,
    pub(crate) ssml: String,
}

/// A point in the sound.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Point {
    Mark(String),
    /// A word begins at this character of the text that was sent.
    Word(u32),
    /// A sentence begins at this character of the text that was sent.
    Sentence(u32),
}

/// What a helper answers.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Answer {
    Hello { version: u16, samples_per_second: u32 },
    Audio { id: u32, samples: Vec<i16> },
    Point { id: u32, sample: u64, point: Point },
    End { id: u32 },
    Error { id: u32, why: String },
    Voice(VoiceInfo),
    VoicesEnd,
}

/// The frame that asks for speech.
pub(crate) fn speak_frame(id: u32, speak: &Speak) -> Vec<u8> {
    const FLAG_SSML: u8 = 1;
    const VOLUME_SAME: u16 = 1_000;
    let mut rest = Vec::with_capacity(speak.ssml.len() + 64);
    rest.push(b'S');
    rest.extend(id.to_le_bytes());
    for factor in [speak.rate, speak.pitch, speak.range, VOLUME_SAME] {
        rest.extend(factor.to_le_bytes());
    }
    rest.push(FLAG_SSML);
    // A voice's id is short: it came from the helper.
    let voice = speak.voice.as_bytes();
    rest.extend(u16::try_from(voice.len()).unwrap_or(0).to_le_bytes());
    rest.extend(voice);
    rest.extend(speak.ssml.as_bytes());
    frame(&rest)
}

/// The frame that gives a text up.
pub(crate) fn cancel_frame(id: u32) -> Vec<u8> {
    frame(&[&b"C"[..], &id.to_le_bytes()].concat())
}

/// The frame that asks for the voices.
pub(crate) fn voices_frame() -> Vec<u8> {
    frame(b"V")
}

fn frame(rest: &[u8]) -> Vec<u8> {
    let length = u32::try_from(rest.len()).unwrap_or(u32::MAX);
    [&length.to_le_bytes()[..], rest].concat()
}

/// Reads one answer.
pub(crate) async fn read_answer(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Answer> {
    let length = usize::try_from(from.read_u32_le().await?).unwrap_or(usize::MAX);
    if length > FRAME_BYTES_MAX {
        return Err(broken());
    }
    let mut frame = vec![0; length];
    from.read_exact(&mut frame).await?;
    answer(&frame).ok_or_else(broken)
}

fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a broken frame")
}

fn answer(frame: &[u8]) -> Option<Answer> {
    let mut fields = Fields(frame);
    Some(match fields.u8()? {
        b'H' => Answer::Hello { version: fields.u16()?, samples_per_second: fields.u32()? },
        b'A' => {
            let id = fields.u32()?;
            let (pairs, _) = fields.0.as_chunks::<2>();
            Answer::Audio { id, samples: pairs.iter().map(|b| i16::from_le_bytes(*b)).collect() }
        }
        b'M' => {
            let (id, sample) = (fields.u32()?, fields.u64()?);
            Answer::Point { id, sample, point: Point::Mark(text(fields.0)) }
        }
        b'W' => {
            let (id, sample) = (fields.u32()?, fields.u64()?);
            Answer::Point { id, sample, point: Point::Word(fields.u32()?) }
        }
        b'N' => {
            let (id, sample) = (fields.u32()?, fields.u64()?);
            Answer::Point { id, sample, point: Point::Sentence(fields.u32()?) }
        }
        b'E' => Answer::End { id: fields.u32()? },
        b'X' => Answer::Error { id: fields.u32()?, why: text(fields.0) },
        b'v' => Answer::Voice(voice(&mut fields)?),
        b'L' => Answer::VoicesEnd,
        _ => return None,
    })
}

fn voice(fields: &mut Fields<'_>) -> Option<VoiceInfo> {
    let gender = match fields.u8()? {
        1 => Some(Gender::Male),
        2 => Some(Gender::Female),
        _ => None,
    };
    let age = Some(fields.u8()?).filter(|age| *age > 0);
    let variant = fields.u8()? == 1;
    let (id, name) = (fields.string()?, fields.string()?);
    let mut languages = Vec::new();
    let mut priorities = Vec::new();
    while !fields.0.is_empty() {
        priorities.push(fields.u8()?);
        languages.push(fields.string()?);
    }
    Some(VoiceInfo {
        provider: String::new(),
        id,
        name,
        languages,
        gender,
        age,
        variant,
        priorities,
    })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The rest of a frame.
struct Fields<'f>(&'f [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*head)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take().map(u8::from_le_bytes)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn string(&mut self) -> Option<String> {
        let length = usize::from(self.u16()?);
        let (head, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(text(head))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_and_broken_ones_refused() {
        assert_eq!(
            answer(b"H\x01\x00\x22\x56\x00\x00"),
            Some(Answer::Hello { version: 1, samples_per_second: 22_050 })
        );
        assert_eq!(
            answer(b"A\x07\0\0\0\x01\x00\xff\xff"),
            Some(Answer::Audio { id: 7, samples: vec![1, -1] })
        );
        assert_eq!(
            answer(b"W\x07\0\0\0\x05\0\0\0\0\0\0\0\x03\0\0\0\x02\0\0\0"),
            Some(Answer::Point { id: 7, sample: 5, point: Point::Word(3) })
        );
        for bad in [&b""[..], b"?", b"H\x01", b"M\x01\0\0\0", b"v\x01\x02\x00\x05\x00ab"] {
            assert_eq!(answer(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn requests_are_framed() {
        assert_eq!(cancel_frame(3), b"\x05\0\0\0C\x03\0\0\0");
        assert_eq!(voices_frame(), b"\x01\0\0\0V");
    }
}

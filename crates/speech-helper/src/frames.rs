//! The frames of README.md, both ways.

use std::io::{self, Read, Write};

use crate::synthesizer::{Speak, Voice};

/// The protocol's version.
pub(crate) const VERSION: u16 = 1;
/// The longest request frame.
pub(crate) const FRAME_BYTES_MAX: usize = 1 << 20;

/// What is asked for.
#[derive(Debug)]
pub(crate) enum Request {
    Speak(Speak),
    Cancel(u32),
    Voices,
}

/// What is answered.
#[derive(Debug)]
pub(crate) enum Answer<'a> {
    Hello { samples_per_second: u32 },
    Audio { id: u32, samples: &'a [i16] },
    Mark { id: u32, sample: u64, name: &'a str },
    Word { id: u32, sample: u64, position: u32, length: u32 },
    Sentence { id: u32, sample: u64, position: u32, length: u32 },
    End { id: u32, samples: u64, cancelled: bool },
    Error { id: u32, why: &'a str },
    Voice(&'a Voice),
    VoicesEnd,
}

/// Reads one request; `None` at the end of the input.
pub(crate) fn read_request(from: &mut impl Read) -> io::Result<Option<Request>> {
    let mut length = [0; 4];
    match from.read_exact(&mut length) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let length = usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX);
    if length > FRAME_BYTES_MAX {
        return Err(broken("a frame longer than 1 MiB"));
    }
    let mut frame = vec![0; length];
    from.read_exact(&mut frame)?;
    request(&frame).map(Some)
}

fn request(frame: &[u8]) -> io::Result<Request> {
    let mut fields = Fields(frame);
    match fields.u8()? {
        b'S' => {
            let id = fields.u32()?;
            let [rate, pitch, range, volume] =
                [fields.u16()?, fields.u16()?, fields.u16()?, fields.u16()?];
            let flags = fields.u8()?;
            let voice = fields.string()?;
            let text = fields.rest()?;
            let (ssml, end_pause) = (flags & 1 != 0, flags & 2 != 0);
            Ok(Request::Speak(Speak {
                id,
                rate,
                pitch,
                range,
                volume,
                ssml,
                end_pause,
                voice,
                text,
            }))
        }
        b'C' => Ok(Request::Cancel(fields.u32()?)),
        b'V' => Ok(Request::Voices),
        _ => Err(broken("a frame of unknown kind")),
    }
}

fn broken(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// The rest of a frame.
struct Fields<'f>(&'f [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk().ok_or_else(|| broken("a short frame"))?;
        self.0 = rest;
        Ok(*head)
    }

    fn u8(&mut self) -> io::Result<u8> {
        Ok(u8::from_le_bytes(self.take()?))
    }

    fn u16(&mut self) -> io::Result<u16> {
        Ok(u16::from_le_bytes(self.take()?))
    }

    fn u32(&mut self) -> io::Result<u32> {
        Ok(u32::from_le_bytes(self.take()?))
    }

    fn string(&mut self) -> io::Result<String> {
        let length = usize::from(self.u16()?);
        let (head, rest) =
            self.0.split_at_checked(length).ok_or_else(|| broken("a short frame"))?;
        self.0 = rest;
        text(head)
    }

    fn rest(&mut self) -> io::Result<String> {
        text(std::mem::take(&mut self.0))
    }
}

fn text(bytes: &[u8]) -> io::Result<String> {
    String::from_utf8(bytes.to_vec()).map_err(|_| broken("text that is not UTF-8"))
}

/// Appends one answer to `out`.
pub(crate) fn write_answer(out: &mut Vec<u8>, answer: &Answer<'_>) {
    let start = out.len();
    out.extend([0; 4]);
    match *answer {
        Answer::Hello { samples_per_second } => {
            out.push(b'H');
            out.extend(VERSION.to_le_bytes());
            out.extend(samples_per_second.to_le_bytes());
        }
        Answer::Audio { id, samples } => {
            out.push(b'A');
            out.extend(id.to_le_bytes());
            out.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
        }
        Answer::Mark { id, sample, name } => {
            out.push(b'M');
            out.extend(id.to_le_bytes());
            out.extend(sample.to_le_bytes());
            out.extend(name.as_bytes());
        }
        Answer::Word { id, sample, position, length } => {
            point(out, b'W', id, sample, [position, length]);
        }
        Answer::Sentence { id, sample, position, length } => {
            point(out, b'N', id, sample, [position, length]);
        }
        Answer::End { id, samples, cancelled } => {
            out.push(b'E');
            out.extend(id.to_le_bytes());
            out.extend(samples.to_le_bytes());
            out.push(u8::from(cancelled));
        }
        Answer::Error { id, why } => {
            out.push(b'X');
            out.extend(id.to_le_bytes());
            out.extend(why.as_bytes());
        }
        Answer::Voice(voice) => {
            out.extend([b'v', voice.gender, voice.age, u8::from(voice.variant)]);
            string(out, &voice.id);
            string(out, &voice.name);
            for (priority, language) in &voice.languages {
                out.push(*priority);
                string(out, language);
            }
        }
        Answer::VoicesEnd => out.push(b'L'),
    }
    let length = u32::try_from(out.len() - start - 4).unwrap_or(u32::MAX);
    if let Some(place) = out.get_mut(start..start + 4) {
        place.copy_from_slice(&length.to_le_bytes());
    }
}

fn point(out: &mut Vec<u8>, kind: u8, id: u32, sample: u64, place: [u32; 2]) {
    out.push(kind);
    out.extend(id.to_le_bytes());
    out.extend(sample.to_le_bytes());
    for number in place {
        out.extend(number.to_le_bytes());
    }
}

fn string(out: &mut Vec<u8>, text: &str) {
    let length = u16::try_from(text.len()).unwrap_or(0);
    out.extend(length.to_le_bytes());
    if length > 0 {
        out.extend(text.as_bytes());
    }
}

/// Writes what was gathered and empties it.
pub(crate) fn flush(to: &mut impl Write, out: &mut Vec<u8>) -> io::Result<()> {
    to.write_all(out)?;
    out.clear();
    to.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_and_a_broken_one_refused() {
        let read = |frame: &[u8]| {
            let length = u32::try_from(frame.len()).unwrap().to_le_bytes();
            read_request(&mut [&length[..], frame].concat().as_slice())
        };
        let speak = b"S\x07\0\0\0\x01\0\x02\0\x03\0\x04\0\x03\x02\0enHi";
        let Some(Request::Speak(speak)) = read(speak).unwrap() else { panic!("not a speak") };
        assert_eq!((speak.id, speak.rate, speak.volume), (7, 1, 4));
        assert_eq!((speak.voice.as_str(), speak.text.as_str()), ("en", "Hi"));
        assert!(speak.ssml && speak.end_pause);
        assert!(matches!(read(b"C\x03\0\0\0").unwrap(), Some(Request::Cancel(3))));
        for bad in [&b""[..], b"?", b"S\x07", b"C\x01", b"S\x07\0\0\0\0\0\0\0\0\0\0\0\0\x09\0"] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
        assert!(read_request(&mut &[0xff; 8][..]).is_err());
        assert!(read_request(&mut &[][..]).unwrap().is_none());
    }
}

//! Bytes of a sound file as they come, as telephone audio as soon as that is possible.

use audio::decode::{self, Hint};
use audio::telephone::{self, Converter};
use audio::wav::{self, Coding, Wav, WavError};
use audio::{RATE_HZ, g711};

/// The longest file of a kind that cannot be decoded before its end: 16 MiB.
const WHOLE_BYTES_MAX: usize = 16 << 20;
/// The most samples in one: ten minutes.
const WHOLE_SAMPLES_MAX: usize = 600 * RATE_HZ as usize;
/// A WAV file's samples begin before this.
const HEADER_BYTES_MAX: usize = 65_536;
/// Bytes that tell what a file is.
const MAGIC_BYTES: usize = 12;

/// Turns the bytes of one file into telephone audio. WAV and headerless samples come out as they go in;
/// anything else when its last byte was there.
#[derive(Debug)]
pub(crate) struct Sound {
    /// Samples per second where the bytes have no header: 16 bits, little-endian, mono.
    raw_hz: Option<u32>,
    state: State,
}

#[derive(Debug)]
enum State {
    /// What it is is not known yet.
    Begun(Vec<u8>),
    Stream(Box<Stream>),
    /// Must be seen whole.
    Whole(Vec<u8>),
}

#[derive(Debug)]
struct Stream {
    coding: Coding,
    channels: usize,
    converter: Converter,
    /// Bytes of a frame that is not whole yet.
    rest: Vec<u8>,
    /// Bytes of samples still to come, where the file says it.
    left: Option<usize>,
}

impl Sound {
    pub(crate) const fn new(raw_hz: Option<u32>) -> Self {
        Self { raw_hz, state: State::Begun(Vec::new()) }
    }

    /// Takes the next bytes and appends what they complete.
    pub(crate) fn take(&mut self, bytes: &[u8], out: &mut Vec<i16>) -> Result<(), String> {
        match &mut self.state {
            State::Begun(begun) => {
                begun.extend_from_slice(bytes);
                if begun.len() < MAGIC_BYTES {
                    return Ok(());
                }
                let begun = std::mem::take(begun);
                self.begin(begun, out)
            }
            State::Stream(stream) => {
                stream.take(bytes, out);
                Ok(())
            }
            State::Whole(whole) => {
                whole.extend_from_slice(bytes);
                if whole.len() > WHOLE_BYTES_MAX {
                    return Err(format!("more than {WHOLE_BYTES_MAX} bytes"));
                }
                Ok(())
            }
        }
    }

    /// The end of the bytes. May take a while for what had to be seen whole.
    pub(crate) fn finish(&mut self, out: &mut Vec<i16>) -> Result<(), String> {
        match std::mem::replace(&mut self.state, State::Begun(Vec::new())) {
            State::Begun(bytes) | State::Whole(bytes) => {
                if bytes.is_empty() {
                    return Err("nothing came".to_owned());
                }
                let decoded = decode::open_bytes(bytes, &Hint::none())
                    .and_then(|decoder| telephone::whole(decoder, WHOLE_SAMPLES_MAX));
                out.extend(decoded.map_err(|error| error.to_string())?);
                Ok(())
            }
            State::Stream(mut stream) => {
                stream.converter.finish(out);
                match stream.left {
                    // Not every writer counts its header right.
                    Some(left) if left > stream.tolerated() => {
                        Err(format!("it ends {left} bytes too soon"))
                    }
                    Some(_) | None => Ok(()),
                }
            }
        }
    }

    /// As [`Self::finish`], with what takes a while where that is allowed.
    pub(crate) async fn end(mut self) -> Result<Vec<i16>, String> {
        let work = move || {
            let mut out = Vec::new();
            self.finish(&mut out).map(|()| out)
        };
        tokio::task::spawn_blocking(work).await.map_err(|error| error.to_string())?
    }

    fn begin(&mut self, begun: Vec<u8>, out: &mut Vec<i16>) -> Result<(), String> {
        // An error page of a server that says 200.
        if is_text(&begun) {
            return Err("text, not sound".to_owned());
        }
        if begun.starts_with(b"RIFF") {
            return match wav::read(&begun) {
                Ok(wav) => {
                    let mut stream = Stream::of(&wav)?;
                    stream.take(begun.get(wav.data_at..).unwrap_or_default(), out);
                    self.state = State::Stream(Box::new(stream));
                    Ok(())
                }
                Err(WavError::Malformed("no samples")) if begun.len() < HEADER_BYTES_MAX => {
                    self.state = State::Begun(begun);
                    Ok(())
                }
                Err(WavError::NotWav | WavError::Malformed(_) | WavError::Unsupported { .. }) => {
                    self.state = State::Whole(begun);
                    Ok(())
                }
            };
        }
        let known = [&b"ID3"[..], b"OggS", b"fLaC", b"FORM", b"caff", b".snd", b"\x1a\x45\xdf\xa3"];
        let coded = known.iter().any(|magic| begun.starts_with(magic))
            || begun.get(4..8) == Some(b"ftyp")
            || is_mpeg(&begun);
        let raw = self.raw_hz.filter(|_| !coded);
        self.state = match raw {
            Some(rate_hz) => {
                let mut stream = Stream::new(Coding::Pcm16, rate_hz, 1, None)?;
                stream.take(&begun, out);
                State::Stream(Box::new(stream))
            }
            None => State::Whole(begun),
        };
        Ok(())
    }
}

impl Stream {
    fn of(wav: &Wav<'_>) -> Result<Self, String> {
        let format = wav.format;
        // Zero, or what fills a 32-bit field, is a writer that did not know.
        let known = 1..0x7FFF_0000;
        let left = Some(wav.said_bytes).filter(|bytes| known.contains(bytes));
        Self::new(format.coding, format.rate_hz, format.channels, left)
    }

    fn new(
        coding: Coding,
        rate_hz: u32,
        channels: u16,
        left: Option<usize>,
    ) -> Result<Self, String> {
        let converter = Converter::new(rate_hz)
            .map_err(|_| format!("{rate_hz} samples a second, which cannot be converted"))?;
        let channels = usize::from(channels.max(1));
        Ok(Self { coding, channels, converter, rest: Vec::new(), left })
    }

    /// The bytes of a tenth of a second.
    fn tolerated(&self) -> usize {
        let rate = usize::try_from(self.converter.from_hz()).unwrap_or(0);
        rate * self.channels * self.width() / 10
    }

    const fn width(&self) -> usize {
        match self.coding {
            Coding::Pcm16 => 2,
            Coding::G711(_) => 1,
        }
    }

    fn take(&mut self, bytes: &[u8], out: &mut Vec<i16>) {
        let count = bytes.len().min(self.left.unwrap_or(usize::MAX));
        let bytes = bytes.get(..count).unwrap_or_default();
        self.left = self.left.map(|left| left - count);
        self.rest.extend_from_slice(bytes);
        let width = self.width();
        let whole = self.rest.len() / (width * self.channels) * width * self.channels;
        let frames: Vec<u8> = self.rest.drain(..whole).collect();
        let samples: Vec<i16> = match self.coding {
            Coding::Pcm16 => {
                frames.as_chunks::<2>().0.iter().map(|pair| i16::from_le_bytes(*pair)).collect()
            }
            Coding::G711(law) => {
                let mut samples = vec![0; frames.len()];
                g711::decode(law, &frames, &mut samples);
                samples
            }
        };
        if self.channels == 1 {
            self.converter.integers(&samples, out);
        } else {
            let mono: Vec<i16> = samples.chunks_exact(self.channels).map(average).collect();
            self.converter.integers(&mono, out);
        }
    }
}

/// Whether it is words: what a server says of itself in place of a sound. Samples as good as always have
/// bytes among them that no text has.
fn is_text(begun: &[u8]) -> bool {
    let markup = begun.trim_ascii_start().strip_prefix(b"<").unwrap_or_default();
    let name = markup.strip_prefix(b"!").unwrap_or(markup);
    if name.get(..4).is_some_and(|name| name.iter().all(u8::is_ascii_alphabetic)) {
        return true;
    }
    // A letter may be cut at the end.
    let whole = match std::str::from_utf8(begun) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            let valid = begun.get(..error.valid_up_to()).unwrap_or_default();
            std::str::from_utf8(valid).unwrap_or_default()
        }
        Err(_) => return false,
    };
    let odd = |letter: char| letter.is_control() && !letter.is_whitespace();
    !whole.is_empty() && !whole.contains(odd) && whole.contains(char::is_alphabetic)
}

/// Whether it begins as MPEG audio of layer III does, or AAC in ADTS.
fn is_mpeg(begun: &[u8]) -> bool {
    let Some([0xFF, second, third, ..]) = begun.get(..4) else { return false };
    let layer_3 = second & 0xE6 == 0xE2 && third & 0xF0 != 0xF0 && third & 0x0C != 0x0C;
    layer_3 || second & 0xF6 == 0xF0
}

fn average(frame: &[i16]) -> i16 {
    let sum: i64 = frame.iter().map(|sample| i64::from(*sample)).sum();
    let count = i64::try_from(frame.len().max(1)).unwrap_or(1);
    // The mean of 16-bit numbers is one.
    i16::try_from(sum / count).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use audio::wav::Format;

    use super::*;

    fn tone(rate_hz: u32, count: usize) -> Vec<i16> {
        // A rising and falling line, 441 times a second.
        let period = usize::try_from(rate_hz / 441).unwrap();
        let wave = |n: usize| i16::try_from((n % period).min(period - n % period) * 500).unwrap();
        (0..count).map(wave).collect()
    }

    fn bytes_of(samples: &[i16]) -> Vec<u8> {
        samples.iter().flat_map(|sample| sample.to_le_bytes()).collect()
    }

    /// All of a file's sound, its bytes coming in such pieces.
    fn heard(raw_hz: Option<u32>, bytes: &[u8], piece: usize) -> Result<Vec<i16>, String> {
        let mut sound = Sound::new(raw_hz);
        let mut out = Vec::new();
        for bytes in bytes.chunks(piece) {
            sound.take(bytes, &mut out)?;
        }
        sound.finish(&mut out)?;
        Ok(out)
    }

    #[test]
    fn a_wav_file_is_heard_alike_in_pieces_of_any_size() {
        let samples = tone(24_000, 24_000);
        let format = Format { coding: Coding::Pcm16, rate_hz: 24_000, channels: 1 };
        let mut file = wav::to_bytes(format, &samples);
        // A chunk behind the samples is no sound.
        file.extend_from_slice(b"LIST\x04\0\0\0\xff\x7f\xff\x7f");
        let whole = heard(None, &file, file.len()).unwrap();
        assert!(whole.len().abs_diff(8_000) < 40, "{}", whole.len());
        for piece in [1, 7, 45, 1_000] {
            assert_eq!(heard(None, &file, piece).unwrap(), whole, "{piece}");
        }
        let mut endless = format.header(None);
        endless.extend(bytes_of(&samples));
        assert_eq!(heard(None, &endless, 999).unwrap(), whole);
        assert_eq!(heard(Some(24_000), &bytes_of(&samples), 333).unwrap(), whole);
        let cut = &wav::to_bytes(format, &samples)[..30_000];
        assert!(heard(None, cut, 999).unwrap_err().contains("bytes too soon"));
        // With the header in the middle of a promise of headerless samples, the header wins.
        assert_eq!(heard(Some(8_000), &file, 500).unwrap(), whole);
    }

    #[test]
    fn the_first_bytes_are_heard_before_the_last_came() {
        let samples = tone(24_000, 24_000);
        let mut sound = Sound::new(Some(24_000));
        let mut out = Vec::new();
        sound.take(&bytes_of(&samples[..4_800]), &mut out).unwrap();
        assert!(out.len() > 1_500, "{}", out.len());
    }

    #[test]
    fn what_is_no_sound_is_said() {
        let pages = ["<html lang='de'>Schöne Grüße vom Fehler</html>", "Kein Guthaben mehr: ä"];
        for page in pages {
            for piece in [1, 3, 5, 100] {
                assert!(heard(Some(24_000), page.as_bytes(), piece).is_err(), "{page} by {piece}");
            }
        }
        let mut mp3 = vec![0xFF, 0xFB, 0x90, 0x64];
        mp3.resize(4_000, 0);
        assert!(heard(Some(24_000), &mp3, 100).is_err(), "no samples without a header");
        for bytes in [&b"{\"error\": \"quota\"}"[..], b"<html><body>no</body></html>", b""] {
            assert!(heard(None, bytes, 5).is_err());
            assert!(heard(Some(24_000), bytes, 5).is_err());
        }
        assert!(heard(None, &[7; 100], 10).is_err());
    }
}

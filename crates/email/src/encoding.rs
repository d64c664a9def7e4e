use base64::Engine as _;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::engine::{DecodePaddingMode, general_purpose};

/// How the bytes of a part are written for the way. RFC 2045 §6.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Encoding {
    /// As they are, in lines of ASCII.
    #[default]
    SevenBit,
    /// As they are, in lines.
    EightBit,
    /// As they are.
    Binary,
    /// RFC 2045 §6.7.
    QuotedPrintable,
    /// RFC 2045 §6.8.
    Base64,
    /// One that nobody registered: the bytes mean nothing to us. RFC 2045 §6.4.
    Unknown,
}

impl Encoding {
    /// Reads the value of Content-Transfer-Encoding; in any case, with or without space around it.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let text = text.trim();
        let all = [
            ("7bit", Self::SevenBit),
            ("8bit", Self::EightBit),
            ("binary", Self::Binary),
            ("quoted-printable", Self::QuotedPrintable),
            ("base64", Self::Base64),
        ];
        let known = all.into_iter().find(|(word, _)| text.eq_ignore_ascii_case(word));
        known.map_or(Self::Unknown, |(_, encoding)| encoding)
    }

    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::SevenBit => "7bit",
            Self::EightBit => "8bit",
            Self::Binary => "binary",
            Self::QuotedPrintable => "quoted-printable",
            Self::Base64 => "base64",
            Self::Unknown => "x-unknown",
        }
    }

    /// Whether the bytes are as they stand.
    #[must_use]
    pub const fn is_identity(self) -> bool {
        matches!(self, Self::SevenBit | Self::EightBit | Self::Binary)
    }
}

/// Letters that are decoded at once.
const LETTERS: usize = 4_096;
/// Takes the last letters with padding or without, and with bits that nobody set to zero.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Undoes a transfer encoding, piece by piece. It takes what senders get wrong as RFC 2045 §6.7 and §6.8 advise: letters
/// that base64 does not have are passed over, and an escape that is none stands as it is.
#[derive(Clone, Debug)]
pub struct Decoder {
    encoding: Encoding,
    held: Vec<u8>,
}

impl Decoder {
    /// For the bytes of a part.
    #[must_use]
    pub const fn new(encoding: Encoding) -> Self {
        Self { encoding, held: Vec::new() }
    }

    /// Takes the next bytes of the part, and appends to `out` what they are.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        match self.encoding {
            Encoding::SevenBit | Encoding::EightBit | Encoding::Binary | Encoding::Unknown => {
                out.extend_from_slice(bytes);
            }
            Encoding::Base64 => self.base64(bytes, out),
            Encoding::QuotedPrintable => self.quoted_printable(bytes, out),
        }
    }

    /// Appends what the last bytes are.
    pub fn finish(mut self, out: &mut Vec<u8>) {
        match self.encoding {
            Encoding::Base64 => self.letters(true, out),
            Encoding::QuotedPrintable => {
                let line = std::mem::take(&mut self.held);
                quoted_line(&line, out);
            }
            Encoding::SevenBit | Encoding::EightBit | Encoding::Binary | Encoding::Unknown => {}
        }
    }

    fn base64(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        // Most of it is whole lines of letters.
        let mut lines = bytes;
        while !lines.is_empty() {
            let end = memchr::memchr2(b'\r', b'\n', lines).unwrap_or(lines.len());
            let (line, after) = lines.split_at(end);
            let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
            if line.iter().all(is_plain) {
                self.held.extend_from_slice(line);
            } else {
                self.base64_odd(line, out);
            }
            if self.held.len() >= LETTERS {
                self.letters(false, out);
            }
            lines = after.get(1..).unwrap_or_default();
        }
    }

    fn base64_odd(&mut self, line: &[u8], out: &mut Vec<u8>) {
        for byte in line {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' => self.held.push(*byte),
                // What follows the padding is not of it. Some writers pad each line; then letters follow.
                b'=' if self.held.len() % 4 >= 2 => self.letters(true, out),
                _ => {}
            }
        }
    }

    /// Decodes the letters that are held, four by four; the rest too when `is_last`.
    fn letters(&mut self, is_last: bool, out: &mut Vec<u8>) {
        let whole = self.held.len() - self.held.len() % 4;
        // One letter alone has six bits, which are no byte.
        let end = if is_last && self.held.len() % 4 != 1 { self.held.len() } else { whole };
        let letters = self.held.get(..end).unwrap_or_default();
        // Only letters that it has are held.
        let _ = LENIENT.decode_vec(letters, out);
        self.held.drain(..if is_last { self.held.len() } else { end });
    }

    fn quoted_printable(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        for byte in bytes {
            self.held.push(*byte);
            // Lines have 76 characters; what has far more is not held until it ends.
            if *byte == b'\n' || (self.held.len() >= LETTERS && !self.held.ends_with(b"=")) {
                let split = self.held.iter().rev().take(2).position(|byte| *byte == b'=');
                let keep = split.filter(|_| *byte != b'\n').map_or(0, |at| at + 1);
                let rest = self.held.split_off(self.held.len() - keep);
                let line = std::mem::replace(&mut self.held, rest);
                quoted_line(&line, out);
            }
        }
    }
}

/// A line of quoted-printable, with its line break.
fn quoted_line(line: &[u8], out: &mut Vec<u8>) {
    let (text, ending): (&[u8], &[u8]) = if let Some(text) = line.strip_suffix(b"\r\n") {
        (text, b"\r\n")
    } else if let Some(text) = line.strip_suffix(b"\n") {
        (text, b"\n")
    } else {
        (line, b"")
    };
    // Space at the end of a line was put there on the way.
    let text = if ending.is_empty() { text } else { text.trim_ascii_end() };
    let mut rest = text;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte != b'=' {
            out.push(*byte);
            continue;
        }
        match after {
            [] => return,
            [high, low, tail @ ..] => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => {
                    out.push(high << 4 | low);
                    rest = tail;
                }
                _ => out.push(b'='),
            },
            [_] => out.push(b'='),
        }
    }
    out.extend_from_slice(ending);
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// Undoes a transfer encoding at once.
#[must_use]
pub fn decode(encoding: Encoding, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut decoder = Decoder::new(encoding);
    decoder.push(bytes, &mut out);
    decoder.finish(&mut out);
    out
}

/// About how many bytes they are when the encoding is undone: for lists; of what keeps to the standard it is right.
#[must_use]
pub fn decoded_length(encoding: Encoding, bytes: &[u8]) -> usize {
    match encoding {
        Encoding::Base64 => {
            let breaks = memchr::memchr2_iter(b'\r', b'\n', bytes).count();
            let padding = bytes.iter().rev().take(8).filter(|byte| **byte == b'=').count();
            (bytes.len() - breaks).saturating_sub(padding) * 3 / 4
        }
        Encoding::QuotedPrintable => decode(encoding, bytes).len(),
        Encoding::SevenBit | Encoding::EightBit | Encoding::Binary | Encoding::Unknown => {
            bytes.len()
        }
    }
}

/// Bytes of a line of base64 as we write it: 76 letters. RFC 2045 §6.8.
pub(crate) const LINE_BYTES: usize = 57;

/// Appends base64 in lines of 76 letters, each ended by CRLF.
pub fn base64_lines(bytes: &[u8], out: &mut Vec<u8>) {
    let mut line = String::with_capacity(78);
    for piece in bytes.chunks(LINE_BYTES) {
        line.clear();
        general_purpose::STANDARD.encode_string(piece, &mut line);
        out.extend_from_slice(line.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(encoding: Encoding, text: &str, expected: &str) {
        for piece in 1..=text.len().max(1) {
            let (mut decoder, mut out) = (Decoder::new(encoding), Vec::new());
            text.as_bytes().chunks(piece).for_each(|bytes| decoder.push(bytes, &mut out));
            decoder.finish(&mut out);
            assert_eq!(String::from_utf8_lossy(&out), expected, "in pieces of {piece}");
        }
    }

    #[test]
    fn base64_is_taken_as_senders_write_it() {
        check(Encoding::Base64, "aGVsbG8=", "hello");
        check(Encoding::Base64, "aGVs\r\nbG8=\r\n", "hello");
        check(Encoding::Base64, "aGVsbG8", "hello");
        check(Encoding::Base64, "aG!Vs bG*8=", "hello");
        check(Encoding::Base64, "aGVsbG8=aGVsbG8=", "hellohello");
        check(Encoding::Base64, "aGVsbG9", "hello");
        check(Encoding::Base64, "a", "");
        check(Encoding::Base64, "====", "");
        check(Encoding::Base64, "", "");
    }

    #[test]
    fn quoted_printable_is_taken_as_senders_write_it() {
        check(Encoding::QuotedPrintable, "J=C3=B6rg", "Jörg");
        check(Encoding::QuotedPrintable, "a=\r\nb", "ab");
        check(Encoding::QuotedPrintable, "a=\nb", "ab");
        check(Encoding::QuotedPrintable, "a  \r\nb", "a\r\nb");
        check(Encoding::QuotedPrintable, "a=3db", "a=b");
        check(Encoding::QuotedPrintable, "a=zzb", "a=zzb");
        check(Encoding::QuotedPrintable, "a= \r\nb", "ab");
        check(Encoding::QuotedPrintable, "a=", "a");
    }

    #[test]
    fn a_line_without_end_is_not_held_until_it_ends() {
        let text = "=41".repeat(20_000);
        let mut decoder = Decoder::new(Encoding::QuotedPrintable);
        let mut out = Vec::new();
        for byte in text.as_bytes() {
            decoder.push(&[*byte], &mut out);
            assert!(decoder.held.len() <= LETTERS + 2);
        }
        decoder.finish(&mut out);
        assert_eq!(out, vec![b'A'; 20_000]);
    }

    #[test]
    fn what_we_write_we_read() {
        let bytes: Vec<u8> = (0..=255).cycle().take(1_000).collect();
        let mut text = Vec::new();
        base64_lines(&bytes, &mut text);
        assert!(text.split(|byte| *byte == b'\n').all(|line| line.len() <= 77));
        assert_eq!(decode(Encoding::Base64, &text), bytes);
        assert_eq!(decoded_length(Encoding::Base64, &text), bytes.len());
    }
}

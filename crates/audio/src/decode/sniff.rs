//! What the first bytes say.

use std::io::Read;

use super::blocks::{self, Coding};
use super::raw::{Encoding, RawFormat};
use super::{DecodeError, Hint};

/// Bytes that are looked at: three packets of an MPEG transport stream.
const HEAD_BYTES: usize = 1_024;
/// The most of ID3 tags that is looked past.
const TAG_BYTES_MAX: usize = 4 << 20;
/// Tags that may follow each other.
const TAGS_MAX: usize = 4;
const TRANSPORT_PACKET: usize = 188;

#[derive(Debug, PartialEq)]
pub(super) enum Kind {
    Symphony,
    Au,
    Raw(RawFormat),
    Gsm,
    Blocks(Coding),
}

/// Reads the head: fewer bytes only at the end.
pub(super) fn head(reader: &mut dyn Read) -> Result<Vec<u8>, DecodeError> {
    let mut head = Vec::with_capacity(HEAD_BYTES);
    reader.take(HEAD_BYTES as u64).read_to_end(&mut head).map_err(DecodeError::Io)?;
    if head.is_empty() { Err(DecodeError::Malformed("no bytes at all")) } else { Ok(head) }
}

/// Takes the length out of the head of an MP3 stream that has none: a broadcast of a file begins with
/// that file's tag, and a decoder that believes it falls silent where the file would have ended. The
/// frame that holds the tag is silence.
pub(super) fn forget_length(head: &mut [u8]) {
    let frame = tag_bytes(head);
    let Some(head) = head.get_mut(frame..) else { return };
    let [0xFF, second, _, fourth, ..] = *head else { return };
    // A header of layer III; the tag follows the side information, whose length the header tells.
    if second & 0xE6 != 0xE2 {
        return;
    }
    let side = match (second & 0x18 == 0x18, fourth & 0xC0 == 0xC0) {
        (true, false) => 32,
        (true, true) | (false, false) => 17,
        (false, true) => 9,
    };
    for (at, names) in [(4 + side, [*b"Xing", *b"Info"]), (36, [*b"VBRI", *b"VBRI"])] {
        if let Some(tag) =
            head.get_mut(at..at + 4).filter(|tag| names.iter().any(|name| tag == name))
        {
            tag.fill(0);
        }
    }
}

/// Reads on, where a long ID3 tag (a picture, mostly) keeps the first frame out of the head.
pub(super) fn past_tag(head: &mut Vec<u8>, reader: &mut dyn Read) -> Result<(), DecodeError> {
    // A second tag may begin where the first was thought to end.
    for _ in 0..TAGS_MAX {
        let wanted = (tag_bytes(head) + HEAD_BYTES).min(TAG_BYTES_MAX);
        let missing = wanted.saturating_sub(head.len());
        if missing == 0 {
            break;
        }
        reader.take(missing as u64).read_to_end(head).map_err(DecodeError::Io)?;
    }
    Ok(())
}

/// The length of the ID3v2 tags that a head begins with. ID3v2.4 §3.1: four times seven bits.
fn tag_bytes(head: &[u8]) -> usize {
    let mut length = 0;
    for _ in 0..TAGS_MAX {
        let Some([b'I', b'D', b'3', _, _, _, a, b, c, d, ..]) = head.get(length..) else { break };
        let size =
            [*a, *b, *c, *d].iter().fold(0, |size, part| size << 7 | usize::from(*part & 0x7F));
        length += 10 + size;
    }
    length
}

/// Who reads it. What Symphonia takes for something else, or looks through a megabyte for, is named
/// here.
pub(super) fn kind(head: &[u8], hint: &Hint) -> Result<Kind, DecodeError> {
    if let Some(format) = hint.raw {
        return Ok(Kind::Raw(format));
    }
    if head.starts_with(b".snd") {
        return Ok(Kind::Au);
    }
    if let Some(coding) = blocks::coding(head) {
        return Ok(Kind::Blocks(coding));
    }
    if let Some(what) = foreign(head) {
        return Err(DecodeError::Unsupported(what));
    }
    // Headerless audio can look like anything, so only bytes without a known name are taken for it.
    if !known(head) {
        if let Some(format) = raw_format(hint) {
            return Ok(Kind::Raw(format));
        }
        if is_gsm(head, hint) {
            return Ok(Kind::Gsm);
        }
        if let Some(what) = foreign_name(hint) {
            return Err(DecodeError::Unsupported(what));
        }
    }
    Ok(Kind::Symphony)
}

fn known(head: &[u8]) -> bool {
    const NAMES: [&[u8]; 8] =
        [b"RIFF", b"RIFX", b"FORM", b"OggS", b"fLaC", b"caff", b"ID3", &[0x1A, 0x45, 0xDF, 0xA3]];
    NAMES.iter().any(|name| head.starts_with(name)) || head.get(4..8) == Some(b"ftyp")
}

fn foreign(head: &[u8]) -> Option<&'static str> {
    const NAMES: [(&[u8], &str); 10] = [
        (b"#EXTM3U", "playlist (m3u8)"),
        (b"[playlist]", "playlist (pls)"),
        (b"#!AMR", "AMR"),
        (&[0x30, 0x26, 0xB2, 0x75, 0x8E, 0x66, 0xCF, 0x11], "ASF (Windows Media)"),
        (b"wvpk", "WavPack"),
        (b"MAC ", "Monkey's Audio"),
        (b"FLV", "Flash video"),
        (b"\0\0\x01\xBA", "MPEG program stream"),
        (b"<", "a text, not audio"),
        (b"{", "a text, not audio"),
    ];
    let name = NAMES.iter().find(|(name, _)| head.starts_with(name)).map(|(_, what)| *what);
    name.or_else(|| is_transport_stream(head).then_some("MPEG transport stream"))
        .or_else(|| layer_two(head).then_some("MPEG layer II"))
}

fn is_transport_stream(head: &[u8]) -> bool {
    [0, TRANSPORT_PACKET, 2 * TRANSPORT_PACKET].iter().all(|at| head.get(*at) == Some(&0x47))
}

/// A frame header of MPEG-1 or MPEG-2 layer II; Symphonia takes it for layer III.
fn layer_two(head: &[u8]) -> bool {
    matches!(head, [0xFF, second, third, ..]
        if second & 0xE6 == 0xE4 && second & 0x18 != 0x08 && third & 0xF0 != 0xF0 && third & 0x0C != 0x0C)
}

fn raw_format(hint: &Hint) -> Option<RawFormat> {
    let telephone = |encoding| RawFormat { encoding, rate_hz: 8_000, channels: 1 };
    let wide = |rate_hz| RawFormat { encoding: Encoding::S16Le, rate_hz, channels: 1 };
    let by_name = match hint.extension.as_deref().unwrap_or_default() {
        "ul" | "ulaw" | "mulaw" | "pcmu" => Some(telephone(Encoding::Mu)),
        "al" | "alaw" | "pcma" => Some(telephone(Encoding::A)),
        "sln" | "sln8" => Some(wide(8_000)),
        "sln16" => Some(wide(16_000)),
        _ => None,
    };
    by_name.or_else(|| raw_media_type(hint.media_type.as_deref()?))
}

/// RFC 3551 and RFC 2046 §4.3 media types without a header.
fn raw_media_type(media_type: &str) -> Option<RawFormat> {
    let mut parts = media_type.split(';').map(str::trim);
    let (encoding, default_hz) = match parts.next()? {
        "audio/basic" | "audio/pcmu" | "audio/x-mulaw" => (Encoding::Mu, 8_000),
        "audio/pcma" | "audio/x-alaw" => (Encoding::A, 8_000),
        "audio/l16" => (Encoding::S16Be, 44_100),
        _ => return None,
    };
    let mut format = RawFormat { encoding, rate_hz: default_hz, channels: 1 };
    for (name, value) in parts.filter_map(|part| part.split_once('=')) {
        match name {
            "rate" => format.rate_hz = value.parse().ok()?,
            "channels" => format.channels = value.parse().ok()?,
            _ => {}
        }
    }
    Some(format)
}

/// Frames of GSM 06.10, which all begin alike and have no other name in them.
fn is_gsm(head: &[u8], hint: &Hint) -> bool {
    let named = hint.extension.as_deref() == Some("gsm")
        || matches!(hint.media_type.as_deref(), Some("audio/gsm" | "audio/x-gsm"));
    named && head.first().is_some_and(|byte| byte >> 4 == 0xd)
}

/// Formats without a name in their bytes.
fn foreign_name(hint: &Hint) -> Option<&'static str> {
    let media_type = hint.media_type.as_deref().unwrap_or_default();
    match hint.extension.as_deref().unwrap_or_default() {
        "g722" => Some("G.722"),
        "g729" => Some("G.729"),
        "m3u" | "m3u8" | "pls" | "asx" | "xspf" => Some("playlist"),
        _ if media_type.contains("mpegurl") => Some("playlist (m3u8)"),
        _ if media_type.starts_with("video/mp2t") => Some("MPEG transport stream"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(head: &[u8], hint: &Hint, expected: &str) {
        let heard = match kind(head, hint) {
            Ok(Kind::Symphony) => "symphony".to_owned(),
            Ok(Kind::Au) => "au".to_owned(),
            Ok(Kind::Gsm) => "gsm".to_owned(),
            Ok(Kind::Blocks(coding)) => format!("{coding:?}"),
            Ok(Kind::Raw(f)) => format!("{:?} {} {}", f.encoding, f.rate_hz, f.channels),
            Err(error) => error.to_string(),
        };
        assert_eq!(heard, expected, "{head:?} {hint:?}");
    }

    #[test]
    fn the_length_of_a_broadcast_is_forgotten_and_nothing_else() {
        let frame = |second: u8, fourth: u8, at: usize, tag: &[u8; 4]| {
            let mut head = vec![0; 200];
            head[..4].copy_from_slice(&[0xFF, second, 0x90, fourth]);
            head[at..at + 4].copy_from_slice(tag);
            head
        };
        for (second, fourth, at, tag) in [
            (0xFB, 0x00, 36, b"Xing"),
            (0xFB, 0xC0, 21, b"Info"),
            (0xF3, 0x00, 21, b"Info"),
            (0xF3, 0xC0, 13, b"Xing"),
            (0xFB, 0x40, 36, b"VBRI"),
        ] {
            let plain = frame(second, fourth, at, &[0; 4]);
            let mut tagged = frame(second, fourth, at, tag);
            forget_length(&mut tagged);
            assert_eq!(tagged, plain, "{second:x} {fourth:x}");
            // Behind an ID3 tag of 200 bytes.
            let mut behind = b"ID3\x04\0\0\0\0\x01\x48".to_vec();
            behind.extend([7; 200]);
            behind.extend(frame(second, fourth, at, tag));
            forget_length(&mut behind);
            assert_eq!(behind[210..], plain);
        }
        for other in [&b"OggS and so on"[..], b"\xFF", b"", b"ID3", b"\xFF\xFB\x90\x00short"] {
            let mut head = other.to_vec();
            forget_length(&mut head);
            assert_eq!(head, other);
        }
    }

    #[test]
    fn the_first_bytes_decide_and_the_hint_only_where_they_are_silent() {
        let name = Hint::from_name;
        let media = |text: &str| Hint::none().with_media_type(text);
        let mut transport = vec![0; 600];
        for at in [0, 188, 376] {
            transport[at] = 0x47;
        }
        check(b"RIFF\0\0\0\0WAVE", &name("x.ul"), "symphony");
        check(b".snd\0\0\0", &media("audio/basic"), "au");
        check(&[0x55; 20], &media("Audio/Basic"), "Mu 8000 1");
        check(&[0x55; 20], &name("a/b.c/MENU.ULAW"), "Mu 8000 1");
        check(&[0x55; 20], &name("menu.al"), "A 8000 1");
        check(&[0x55; 20], &media("audio/L16; rate=16000;channels=2"), "S16Be 16000 2");
        check(&[0x55; 20], &name("a.sln16"), "S16Le 16000 1");
        check(&[0x55; 20], &name("a.gsm"), "symphony");
        check(&[0xD5; 33], &name("a.gsm"), "gsm");
        check(&[0xFF, 0xFD, 0x84, 0], &name("a.mp3"), "unsupported: MPEG layer II");
        check(&[0xFF, 0xFB, 0x90, 0], &name("a.mp3"), "symphony");
        check(&[0xFF, 0xF1, 0x50, 0x80], &Hint::none(), "symphony");
        check(&transport, &name("a.mp3"), "unsupported: MPEG transport stream");
        check(b"#EXTM3U\n", &Hint::none(), "unsupported: playlist (m3u8)");
        check(b"<html>", &name("a.wav"), "unsupported: a text, not audio");
        check(b"anything", &name("a.wav"), "symphony");
        check(b"RIFF", &Hint::none().with_raw(RawFormat::MU), "Mu 8000 1");
    }
}

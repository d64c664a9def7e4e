//! ICY: titles woven into the bytes of an HTTP audio stream, as SHOUTcast began and Icecast does.

/// Bytes of audio between two metadata blocks above which a server's word is not believed.
pub(crate) const INTERVAL_MAX: usize = 1 << 20;

/// Characters kept of a title.
pub(crate) const TITLE_CHARS_MAX: usize = 256;

/// Takes the metadata blocks out of a stream whose response said `icy-metaint`.
///
/// After every `interval` bytes of audio stands one length byte and 16 times as many bytes of text.
#[derive(Debug)]
pub(crate) struct Demux {
    interval: usize,
    at: At,
    block: Vec<u8>,
}

#[derive(Debug)]
enum At {
    Audio { left: usize },
    Length,
    Block { left: usize },
}

impl Demux {
    /// `None` when the interval is 0 or unbelievable: then the bytes are all audio.
    pub(crate) const fn new(interval: usize) -> Option<Self> {
        if interval == 0 || interval > INTERVAL_MAX {
            return None;
        }
        Some(Self { interval, at: At::Audio { left: interval }, block: Vec::new() })
    }

    /// Appends the audio in `bytes` to `audio`; returns the last title that was completed.
    pub(crate) fn push(&mut self, mut bytes: &[u8], audio: &mut Vec<u8>) -> Option<String> {
        let mut title = None;
        while !bytes.is_empty() {
            let ask = match self.at {
                At::Audio { left } | At::Block { left } => left,
                At::Length => 1,
            };
            let (now, rest) = bytes.split_at(ask.min(bytes.len()));
            bytes = rest;
            self.at = match self.at {
                At::Audio { left } => {
                    audio.extend_from_slice(now);
                    match left - now.len() {
                        0 => At::Length,
                        left => At::Audio { left },
                    }
                }
                At::Length => match now.first().map_or(0, |units| usize::from(*units) * 16) {
                    0 => At::Audio { left: self.interval },
                    left => At::Block { left },
                },
                At::Block { left } => {
                    self.block.extend_from_slice(now);
                    match left - now.len() {
                        0 => {
                            title = stream_title(&self.block).or(title);
                            self.block.clear();
                            At::Audio { left: self.interval }
                        }
                        left => At::Block { left },
                    }
                }
            };
        }
        title
    }
}

/// The title in a metadata block: `StreamTitle='It's a song';StreamUrl='';`.
///
/// Nothing in it is escaped, so the title ends at the last `'` that stands before a `;` and either
/// the next key or the end.
fn stream_title(block: &[u8]) -> Option<String> {
    const KEY: &[u8] = b"StreamTitle='";
    let start = block.windows(KEY.len()).position(|window| window.eq_ignore_ascii_case(KEY))?;
    let rest = block.get(start + KEY.len()..)?;
    let end = find(rest, b"';Stream")
        .or_else(|| rest.windows(2).rposition(|window| window == b"';"))
        .or_else(|| rest.iter().rposition(|byte| *byte == b'\''))
        .or_else(|| rest.iter().position(|byte| *byte == 0))
        .unwrap_or(rest.len());
    Some(clean_title(rest.get(..end)?))
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

/// Makes a title fit to be shown: UTF-8 or else Latin-1, no control characters, bounded.
pub(crate) fn clean_title(bytes: &[u8]) -> String {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().copied().map(char::from).collect(),
    };
    let shown = text.chars().filter(|c| !c.is_control()).take(TITLE_CHARS_MAX);
    shown.collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn woven(interval: usize, audio: &[u8], blocks: &[&str]) -> Vec<u8> {
        let mut blocks = blocks.iter();
        let mut out = Vec::new();
        for part in audio.chunks(interval) {
            out.extend_from_slice(part);
            if part.len() == interval {
                let text = blocks.next().unwrap_or(&"").as_bytes();
                out.push(u8::try_from(text.len().div_ceil(16)).unwrap());
                out.extend_from_slice(text);
                out.resize(out.len() + text.len().next_multiple_of(16) - text.len(), 0);
            }
        }
        out
    }

    #[test]
    fn audio_and_titles_come_apart_wherever_the_stream_is_cut() {
        let audio: Vec<u8> = (0..100).collect();
        let wire =
            woven(16, &audio, &["StreamTitle='One';", "", "StreamTitle='Two';StreamUrl='';"]);
        for cut in 1..wire.len() {
            let mut demux = Demux::new(16).unwrap();
            let (mut heard, mut titles) = (Vec::new(), Vec::new());
            for part in wire.chunks(cut) {
                titles.extend(demux.push(part, &mut heard));
            }
            assert_eq!(heard, audio, "cut every {cut}");
            assert_eq!(titles.last().unwrap(), "Two", "cut every {cut}");
        }
    }

    #[test]
    fn a_title_may_hold_quotes_and_old_letters() {
        for (block, expected) in [
            (&b"StreamTitle='It's; a 'song'';StreamUrl='x';\0\0"[..], "It's; a 'song'"),
            (b"StreamTitle='Caf\xe9';", "Caf\u{e9}"),
            (b"StreamTitle='Caf\xc3\xa9\x07';", "Caf\u{e9}"),
            (b"streamtitle='no end", "no end"),
            (b"StreamTitle='';", ""),
        ] {
            assert_eq!(stream_title(block).unwrap(), expected);
        }
        assert_eq!(stream_title(b"StreamUrl='x';"), None);
    }

    #[test]
    fn an_unbelievable_interval_is_no_interval() {
        assert!(Demux::new(0).is_none());
        assert!(Demux::new(INTERVAL_MAX + 1).is_none());
    }
}

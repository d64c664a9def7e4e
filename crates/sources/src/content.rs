//! What a server says its bytes are, and who can decode them.

/// How the bytes of a response become audio.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Route {
    /// Our decoders, with this hint; empty when the bytes must tell.
    Ours(&'static str),
    /// The ffmpeg process, fed with the bytes; with its name for a format that the bytes do not tell.
    Ffmpeg(Option<&'static str>),
    /// A playlist: either a list of addresses, or HLS, which only ffmpeg follows.
    Playlist,
}

/// Chooses by the content type, without its parameters; `Err` gives back a type that is no audio.
///
/// A type that says nothing (none, octet-stream) leaves it to the name's extension and the bytes.
pub(crate) fn route<'a>(content_type: Option<&'a str>, path: &str) -> Result<Route, &'a str> {
    let essence = content_type.unwrap_or("").split(';').next().unwrap_or("").trim();
    let lower = essence.to_ascii_lowercase();
    Ok(match lower.as_str() {
        "" | "application/octet-stream" | "binary/octet-stream" => by_extension(path),
        "audio/mpeg" | "audio/mp3" | "audio/x-mpeg" | "audio/x-mp3" | "audio/mpg" => {
            Route::Ours("mp3")
        }
        "audio/aac" | "audio/x-aac" => Route::Ours("aac"),
        "audio/ogg" | "application/ogg" | "audio/vorbis" | "audio/opus" | "audio/x-ogg"
        | "video/ogg" => Route::Ours("ogg"),
        "audio/wav" | "audio/x-wav" | "audio/wave" | "audio/vnd.wave" => Route::Ours("wav"),
        "audio/flac" | "audio/x-flac" => Route::Ours("flac"),
        "audio/aiff" | "audio/x-aiff" => Route::Ours("aiff"),
        "audio/basic" | "audio/x-au" => Route::Ours("au"),
        "audio/mp4" | "audio/x-m4a" | "audio/m4a" | "video/mp4" => Route::Ours("m4a"),
        "audio/webm" | "video/webm" => Route::Ours("webm"),
        // HE-AAC: symphonia would play only its lower half.
        "audio/aacp" | "audio/x-aacp" | "video/mp2t" | "audio/amr" | "audio/x-ms-wma" => {
            Route::Ffmpeg(None)
        }
        "audio/gsm" | "audio/x-gsm" => Route::Ours("gsm"),
        // G.726 with the first sample in the low bits: what VPIM has. RFC 3802 §3.
        "audio/32kadpcm" => Route::Ffmpeg(Some("g726le")),
        "audio/x-scpls"
        | "audio/mpegurl"
        | "audio/x-mpegurl"
        | "application/x-mpegurl"
        | "application/vnd.apple.mpegurl"
        | "application/pls+xml" => Route::Playlist,
        other if other.starts_with("audio/") => by_extension(path),
        _ => return Err(essence),
    })
}

/// Chooses by a file's name alone.
pub(crate) fn by_extension(path: &str) -> Route {
    let name = path.rsplit('/').next().unwrap_or("");
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    match extension.to_ascii_lowercase().as_str() {
        "mp3" => Route::Ours("mp3"),
        "aac" | "adts" => Route::Ours("aac"),
        "ogg" | "oga" | "opus" => Route::Ours("ogg"),
        "wav" | "wave" => Route::Ours("wav"),
        "flac" => Route::Ours("flac"),
        "aif" | "aiff" | "aifc" => Route::Ours("aiff"),
        "au" | "snd" => Route::Ours("au"),
        "m4a" | "mp4" | "m4b" => Route::Ours("m4a"),
        "webm" | "mka" => Route::Ours("webm"),
        "gsm" => Route::Ours("gsm"),
        "g722" => Route::Ffmpeg(Some("g722")),
        "amr" | "wma" | "ts" | "mp2" | "spx" | "wv" => Route::Ffmpeg(None),
        "m3u" | "m3u8" | "pls" => Route::Playlist,
        _ => Route::Ours(""),
    }
}

/// The most addresses of a playlist that are taken.
pub(crate) const ENTRIES_MAX: usize = 1_000;

/// What a playlist asks for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Playlist {
    /// Its addresses in order, as they stand in it: an M3U's may be relative to its own.
    Addresses(Vec<String>),
    /// HTTP Live Streaming: RFC 8216.
    Hls,
    /// Nothing.
    Empty,
}

/// Reads an M3U or PLS playlist.
pub(crate) fn playlist(bytes: &[u8]) -> Playlist {
    let text = String::from_utf8_lossy(bytes);
    if text.lines().any(|line| line.trim_start().starts_with("#EXT-X-")) {
        return Playlist::Hls;
    }
    let text = text.trim_start_matches('\u{feff}');
    let extended = text.trim_start().starts_with("#EXTM3U");
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let addresses: Vec<String> = lines
        .filter_map(|line| match line.split_once('=') {
            Some((key, value)) if is_pls_entry(key) => Some(value.trim()),
            _ if line.starts_with("http://") || line.starts_with("https://") => Some(line),
            _ if extended && !line.starts_with('#') => Some(line),
            _ => None,
        })
        .take(ENTRIES_MAX)
        .map(str::to_owned)
        .collect();
    if addresses.is_empty() { Playlist::Empty } else { Playlist::Addresses(addresses) }
}

/// `File1` and so on.
fn is_pls_entry(key: &str) -> bool {
    key.get(..4).is_some_and(|head| head.eq_ignore_ascii_case("file"))
        && key.get(4..).is_some_and(|number| number.chars().all(|c| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_type_decides_and_the_name_only_when_it_says_nothing() {
        for (content_type, path, expected) in [
            (Some("audio/mpeg"), "/a.ogg", Ok(Route::Ours("mp3"))),
            (Some("Application/Ogg; charset=x"), "/", Ok(Route::Ours("ogg"))),
            (Some("audio/aacp"), "/", Ok(Route::Ffmpeg(None))),
            (Some("application/octet-stream"), "/x/a.MP3", Ok(Route::Ours("mp3"))),
            (None, "/stream", Ok(Route::Ours(""))),
            (None, "/a.gsm", Ok(Route::Ours("gsm"))),
            (Some("audio/32KADPCM"), "", Ok(Route::Ffmpeg(Some("g726le")))),
            (Some("audio/x-unheard-of"), "/a.flac", Ok(Route::Ours("flac"))),
            (Some("audio/x-mpegurl"), "/", Ok(Route::Playlist)),
            (Some("text/html; charset=utf-8"), "/a.mp3", Err("text/html")),
            (Some("image/png"), "/a.mp3", Err("image/png")),
        ] {
            assert_eq!(route(content_type, path), expected, "{content_type:?} {path}");
        }
    }

    #[test]
    fn playlists_give_their_addresses() {
        let list = |texts: &[&str]| {
            Playlist::Addresses(texts.iter().map(|text| (*text).to_owned()).collect())
        };
        for (text, expected) in [
            (
                "#EXTM3U\n#EXTINF:1,x\nhttp://a/b\nhttp://c/d\n\nb/e.mp3\n",
                list(&["http://a/b", "http://c/d", "b/e.mp3"]),
            ),
            (
                "[playlist]\r\nNumberOfEntries=2\r\nFile1=http://a/b\r\nTitle1=x\r\nFile2=c",
                list(&["http://a/b", "c"]),
            ),
            ("http://a/b\nnothing", list(&["http://a/b"])),
            ("#EXTM3U\n#EXT-X-VERSION:3\nseg.ts\n", Playlist::Hls),
            ("#EXTM3U\n#EXTINF:1,x\n", Playlist::Empty),
            ("nothing", Playlist::Empty),
            ("", Playlist::Empty),
        ] {
            assert_eq!(playlist(text.as_bytes()), expected, "{text:?}");
        }
        let many = "http://a/\n".repeat(2 * ENTRIES_MAX);
        assert_eq!(playlist(many.as_bytes()), list(&["http://a/"; ENTRIES_MAX]));
    }
}

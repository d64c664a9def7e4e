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
        "audio/gsm" | "audio/x-gsm" => Route::Ffmpeg(Some("gsm")),
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
        "gsm" => Route::Ffmpeg(Some("gsm")),
        "g722" => Route::Ffmpeg(Some("g722")),
        "amr" | "wma" | "ts" | "mp2" | "spx" | "wv" => Route::Ffmpeg(None),
        "m3u" | "m3u8" | "pls" => Route::Playlist,
        _ => Route::Ours(""),
    }
}

/// What a playlist asks for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Playlist {
    /// The first address in it.
    Address(String),
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
    let first = text.trim_start_matches('\u{feff}').lines().map(str::trim).find_map(|line| {
        let is_pls_entry = |key: &str| {
            key.get(..4).is_some_and(|head| head.eq_ignore_ascii_case("file"))
                && key.get(4..).is_some_and(|n| n.chars().all(|c| c.is_ascii_digit()))
        };
        match line.split_once('=') {
            Some((key, value)) if is_pls_entry(key) => Some(value.trim()),
            _ if line.starts_with("http://") || line.starts_with("https://") => Some(line),
            _ => None,
        }
    });
    first.map_or(Playlist::Empty, |address| Playlist::Address(address.to_owned()))
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
            (None, "/a.gsm", Ok(Route::Ffmpeg(Some("gsm")))),
            (Some("audio/x-unheard-of"), "/a.flac", Ok(Route::Ours("flac"))),
            (Some("audio/x-mpegurl"), "/", Ok(Route::Playlist)),
            (Some("text/html; charset=utf-8"), "/a.mp3", Err("text/html")),
            (Some("image/png"), "/a.mp3", Err("image/png")),
        ] {
            assert_eq!(route(content_type, path), expected, "{content_type:?} {path}");
        }
    }

    #[test]
    fn playlists_give_their_first_address() {
        let address = |text: &str| Playlist::Address(text.to_owned());
        for (text, expected) in [
            ("#EXTM3U\n#EXTINF:1,x\nhttp://a/b\nhttp://c/d\n", address("http://a/b")),
            ("[playlist]\r\nNumberOfEntries=1\r\nFile1=http://a/b\r\n", address("http://a/b")),
            ("#EXTM3U\n#EXT-X-VERSION:3\nseg.ts\n", Playlist::Hls),
            ("nothing", Playlist::Empty),
            ("", Playlist::Empty),
        ] {
            assert_eq!(playlist(text.as_bytes()), expected, "{text:?}");
        }
    }
}

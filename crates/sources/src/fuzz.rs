//! Bodies for the fuzzer; each is replayed over `corpus/<name>/` by a test of this crate.

use std::path::Component;

use crate::config::{SourceKind, shown};
use crate::content::{by_extension, playlist, route};
use crate::file_uri::{from_path, path};
use crate::guard::{AddressGuard, Allowed};
use crate::icy::{Demux, TITLE_CHARS_MAX, clean_title};
use crate::shoutcast::read_head;

/// A URI never names a path that climbs, is relative or holds a NUL, and what is shown of a URL never
/// holds its password.
pub fn uri(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(named) = path(text) {
        assert!(named.is_absolute());
        assert!(named.components().all(|part| part != Component::ParentDir));
        assert!(!named.as_os_str().as_encoded_bytes().contains(&0));
        assert_eq!(path(&from_path(&named)).as_ref(), Ok(&named));
    }
    if let Ok(SourceKind::Http(url)) = SourceKind::parse(text) {
        let shown: reqwest::Url = match shown(&url).parse() {
            Ok(shown) => shown,
            Err(why) => unreachable!("what is shown is a URL: {why}"),
        };
        assert!(shown.password().is_none() && shown.username().is_empty());
    }
}

/// However a stream is cut, its audio and its titles come out the same. The first byte is the
/// interval.
pub fn icy(data: &[u8]) {
    let Some((interval, stream)) = data.split_first() else { return };
    let read = |piece: usize| {
        let mut demux = Demux::new(usize::from(*interval) + 1)?;
        let (mut audio, mut titles) = (Vec::new(), Vec::new());
        for bytes in stream.chunks(piece) {
            titles.extend(demux.push(bytes, &mut audio));
        }
        assert!(titles.iter().all(|title| title.chars().count() <= TITLE_CHARS_MAX));
        // In one piece only the last title is told.
        Some((audio, titles.pop()))
    };
    let bytewise = read(1);
    for piece in [7, stream.len().max(1)] {
        assert_eq!(read(piece), bytewise, "read otherwise in pieces of {piece}");
    }
}

/// What a server says of itself: head, content type, playlist, title.
pub fn server(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (first, rest) = text.split_once('\n').unwrap_or((&text, ""));
    let _ = (read_head(data), playlist(data), by_extension(rest), route(Some(first), rest));
    assert!(!clean_title(data).chars().any(char::is_control));
}

/// An entry of the allow-list, and addresses against it: an entry of one address lets through no other.
pub fn guard(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut lines = text.lines();
    let Some(Ok(allowed)) = lines.next().map(str::parse::<Allowed>) else { return };
    let guard = AddressGuard::new(vec![allowed.clone()]);
    for line in lines {
        let Ok(address) = line.parse::<std::net::IpAddr>() else { continue };
        let passes = guard.check(line, address).is_ok();
        let public = crate::guard::inner(address).is_none();
        assert!(passes || !public, "a public address is barred");
        let single = matches!(&allowed, Allowed::Network { base, bits }
            if *bits == if base.is_ipv4() { 32 } else { 128 } && base.is_ipv4() == address.is_ipv4()
                && *base != address);
        assert!(!(single && passes && !public), "another address passes");
    }
}

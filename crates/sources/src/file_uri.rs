use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

/// Why a `file:` URI names no file here.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FileUriError {
    /// It does not begin with `file:`.
    Scheme,
    /// It names another host than this one.
    Host,
    /// It has no absolute path.
    Relative,
    /// It climbs with `..`.
    Climbs,
    /// A percent sign without two hexadecimal digits, or an encoded NUL.
    Encoding,
    /// It has a query or fragment, which files do not have.
    Query,
}

impl fmt::Display for FileUriError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scheme => "not a file: URI",
            Self::Host => "names a file on another host",
            Self::Relative => "has no absolute path",
            Self::Climbs => "climbs with \"..\"",
            Self::Encoding => "is wrongly percent-encoded",
            Self::Query => "has a query or fragment",
        })
    }
}

impl std::error::Error for FileUriError {}

/// The path a `file:` URI names: RFC 8089, `file:/p`, `file:///p` and `file://localhost/p`.
///
/// Percent-encoding is undone once; `..` is refused, however it is written.
pub fn path(uri: &str) -> Result<PathBuf, FileUriError> {
    let rest = uri
        .split_at_checked(5)
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("file:"))
        .map(|(_, rest)| rest)
        .ok_or(FileUriError::Scheme)?;
    let path = match rest.strip_prefix("//") {
        None => rest,
        Some(rest) => {
            let end = rest.find('/').ok_or(FileUriError::Relative)?;
            let (host, path) = rest.split_at_checked(end).ok_or(FileUriError::Relative)?;
            if !host.is_empty() && !host.eq_ignore_ascii_case("localhost") {
                return Err(FileUriError::Host);
            }
            path
        }
    };
    if path.contains(['?', '#']) {
        return Err(FileUriError::Query);
    }
    let path = PathBuf::from(OsString::from_vec(decode(path)?));
    if !path.is_absolute() {
        return Err(FileUriError::Relative);
    }
    if path.components().any(|part| part == Component::ParentDir) {
        return Err(FileUriError::Climbs);
    }
    Ok(path)
}

/// The URI of a path.
pub(crate) fn from_path(path: &Path) -> String {
    let mut uri = String::from("file://");
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                uri.push(char::from(*byte));
            }
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}

/// Undoes percent-encoding, once.
fn decode(text: &str) -> Result<Vec<u8>, FileUriError> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    let digit = |bytes: &mut std::str::Bytes<'_>| {
        let digit = bytes.next().and_then(|byte| char::from(byte).to_digit(16));
        digit.and_then(|digit| u8::try_from(digit).ok()).ok_or(FileUriError::Encoding)
    };
    while let Some(byte) = bytes.next() {
        let byte = match byte {
            b'%' => digit(&mut bytes)? << 4 | digit(&mut bytes)?,
            byte => byte,
        };
        if byte == 0 {
            return Err(FileUriError::Encoding);
        }
        decoded.push(byte);
    }
    Ok(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_uri_names_one_path_on_this_host() {
        for (uri, expected) in [
            ("file:/a/b.wav", Ok("/a/b.wav")),
            ("file:///a/b.wav", Ok("/a/b.wav")),
            ("FILE://LocalHost/a%20b", Ok("/a b")),
            ("file:///%C3%A9", Ok("/\u{e9}")),
            ("file:///a%2Fb", Ok("/a/b")),
            ("file://server/a", Err(FileUriError::Host)),
            ("file://server", Err(FileUriError::Relative)),
            ("file:a.wav", Err(FileUriError::Relative)),
            ("file:", Err(FileUriError::Relative)),
            ("file:///a/../b", Err(FileUriError::Climbs)),
            ("file:///a/%2e%2E/b", Err(FileUriError::Climbs)),
            ("file:///a%2f..%2fb", Err(FileUriError::Climbs)),
            ("file:///a%00b", Err(FileUriError::Encoding)),
            ("file:///a%2", Err(FileUriError::Encoding)),
            ("file:///a%zz", Err(FileUriError::Encoding)),
            ("file:///a?x", Err(FileUriError::Query)),
            ("http://a/b", Err(FileUriError::Scheme)),
            ("é:", Err(FileUriError::Scheme)),
        ] {
            assert_eq!(path(uri), expected.map(PathBuf::from), "{uri}");
        }
    }

    #[test]
    fn a_path_comes_back_from_its_uri() {
        for text in ["/a/b.wav", "/a b/é%?#.wav", "/"] {
            assert_eq!(path(&from_path(Path::new(text))).unwrap(), Path::new(text));
        }
    }
}

//! The one-time link by which the first administrator comes in: a file beside the server's state holds
//! the hash of its secret and its end, so that a command on the host can make one, too.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::accounts::{hex, random_secret, sha256};

/// How long a link opens.
pub const SETUP_LINK: Duration = Duration::from_secs(15 * 60);

#[derive(Deserialize, Serialize)]
struct Link {
    format: String,
    sha256: String,
    until_unix_seconds: u64,
}

const FORMAT: &str = "entracte-setup-link 1";

/// Makes a new link, which replaces any before; answers its secret. `now` is the time since 1970.
///
/// # Errors
/// When the file cannot be written.
pub fn make_setup_link(file: &Path, now: Duration) -> io::Result<String> {
    let secret = random_secret().map_err(io::Error::other)?;
    let link = Link {
        format: FORMAT.to_owned(),
        sha256: hex(&sha256(secret.as_bytes())),
        until_unix_seconds: (now + SETUP_LINK).as_secs(),
    };
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    let fresh = file.with_extension("new");
    let _ = fs::remove_file(&fresh);
    let mut written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
    written.write_all(&serde_json::to_vec(&link)?)?;
    // Made by root, it is for the server to read: it belongs to whoever has the folder.
    if let Some(owner) = file.parent().and_then(|folder| fs::metadata(folder).ok()) {
        let _ = std::os::unix::fs::fchown(&written, Some(owner.uid()), Some(owner.gid()));
    }
    written.sync_all()?;
    fs::rename(&fresh, file)?;
    Ok(secret)
}

/// Whether the link with this secret opens now.
pub(crate) fn opens(file: &Path, secret: &str, now: Duration) -> bool {
    let Ok(bytes) = fs::read(file) else { return false };
    let Ok(link) = serde_json::from_slice::<Link>(&bytes) else { return false };
    link.format == FORMAT
        && link.sha256 == hex(&sha256(secret.as_bytes()))
        && now.as_secs() < link.until_unix_seconds
}

/// The link was used: it opens no more.
pub(crate) fn spend(file: &Path) {
    if let Err(error) = fs::remove_file(file) {
        tracing::warn!(%error, file = %file.display(), "a used setup link is still there");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_opens_once_for_a_quarter_of_an_hour_and_only_the_last_one() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("http/setup-link");
        let at = Duration::from_secs;
        let first = make_setup_link(&file, at(1_000)).unwrap();
        assert!(opens(&file, &first, at(1_899)) && !opens(&file, &first, at(1_900)));
        assert!(!opens(&file, "", at(1_000)));
        let second = make_setup_link(&file, at(1_000)).unwrap();
        assert!(!opens(&file, &first, at(1_000)) && opens(&file, &second, at(1_000)));
        spend(&file);
        assert!(!opens(&file, &second, at(1_000)));
        let text = fs::read_to_string(folder.path().join("http/setup-link"));
        assert!(text.is_err());
    }
}

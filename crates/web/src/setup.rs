//! The one-time link by which the first administrator comes in: a file beside the server's state holds
//! the hash of its secret and its end, so that a command on the host can make one, too.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
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
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
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

/// A link that was taken: nobody else can use it.
#[derive(Debug)]
pub(crate) struct Taken<'f> {
    file: &'f Path,
    aside: PathBuf,
}

/// Takes the link, if it opens; of several who try at the same moment one has it.
pub(crate) fn take<'f>(file: &'f Path, secret: &str, now: Duration) -> Option<Taken<'f>> {
    if !opens(file, secret, now) {
        return None;
    }
    let aside = file.with_extension("used");
    fs::rename(file, &aside).ok()?;
    Some(Taken { file, aside })
}

impl Taken<'_> {
    /// It was used: it opens no more.
    pub(crate) fn spend(self) {
        if let Err(error) = fs::remove_file(&self.aside) {
            tracing::warn!(%error, file = %self.aside.display(), "a used setup link is still there");
        }
    }

    /// It was of no use: it opens again.
    pub(crate) fn give_back(self) {
        if let Err(error) = fs::rename(&self.aside, self.file) {
            tracing::warn!(%error, "a setup link is lost; \"entracte reset-admin\" makes another");
        }
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
        assert!(take(&file, &first, at(1_000)).is_none());
        take(&file, &second, at(1_000)).unwrap().give_back();
        let taken = take(&file, &second, at(1_000)).unwrap();
        assert!(take(&file, &second, at(1_000)).is_none(), "two have it");
        taken.spend();
        assert!(!opens(&file, &second, at(1_000)));
        assert_eq!(fs::read_dir(folder.path().join("http")).unwrap().count(), 0);
    }
}

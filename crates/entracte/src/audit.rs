//! Who did what: in a file that is only ever added to, and its end in memory for the pages.

use std::collections::VecDeque;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use web::Audited;

use crate::clock::wall;

/// Entries that pages can show.
const SHOWN_MAX: usize = 1_000;
/// The first line.
const HEAD: &str = "{\"format\":\"entracte-audit 1\"}\n";
/// A longer file is put aside as `audit.1.jsonl`, in place of the one before.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// The audit: one JSON object a line, in `audit.jsonl` in the state folder.
#[derive(Debug)]
pub struct Audit {
    file: PathBuf,
    kept: Mutex<VecDeque<Audited>>,
}

impl Audit {
    /// Goes on with the audit in this folder.
    pub fn open(folder: &Path) -> Self {
        let file = folder.join("audit.jsonl");
        let text = fs::read_to_string(&file).unwrap_or_default();
        // A line that a crash cut short is left out.
        let lines = text.lines().rev().filter_map(|line| serde_json::from_str(line).ok());
        let mut kept: VecDeque<Audited> = lines.take(SHOWN_MAX).collect();
        kept.make_contiguous().reverse();
        Self { file, kept: Mutex::new(kept) }
    }

    /// Notes what was done.
    pub fn note(&self, who: &str, what: &str, detail: &str) {
        let entry = Audited {
            at_unix_seconds: wall().as_secs(),
            who: who.to_owned(),
            what: what.to_owned(),
            detail: detail.to_owned(),
        };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = self.write(&entry) {
            tracing::error!(%error, file = %self.file.display(), "the audit is not written");
        }
        if kept.len() == SHOWN_MAX {
            kept.pop_front();
        }
        kept.push_back(entry);
    }

    fn write(&self, entry: &Audited) -> io::Result<()> {
        if fs::metadata(&self.file).is_ok_and(|file| file.len() > FILE_BYTES_MAX) {
            fs::rename(&self.file, self.file.with_file_name("audit.1.jsonl"))?;
        }
        let line = serde_json::to_string(entry)?;
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&self.file);
        let mut file = file?;
        // The file says what it is before anything else. Invariant 9.
        let head = match file.metadata()?.len() {
            0 => HEAD,
            // What a crash cut short shall not take this line with it.
            length => {
                if ends_line(&self.file, length)? {
                    ""
                } else {
                    "\n"
                }
            }
        };
        file.write_all(format!("{head}{line}\n").as_bytes())
    }

    /// What is kept, the oldest first.
    pub fn entries(&self) -> Vec<Audited> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

/// Whether a file of this length ends with a line.
fn ends_line(file: &Path, length: u64) -> io::Result<bool> {
    let mut last = [0];
    fs::File::open(file)?.read_exact_at(&mut last, length - 1)?;
    Ok(last == *b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_outlives_a_restart_and_a_torn_line() {
        let folder = tempfile::tempdir().unwrap();
        let audit = Audit::open(folder.path());
        audit.note("ada", "logged in", "::1");
        audit.note("ada\n{}", "settings changed", "\"x\"");
        let file = folder.path().join("audit.jsonl");
        let mut torn = OpenOptions::new().append(true).open(&file).unwrap();
        torn.write_all(b"{\"at_unix").unwrap();
        let again = Audit::open(folder.path()).entries();
        assert_eq!(again, audit.entries());
        assert_eq!((again.len(), again[1].who.as_str()), (2, "ada\n{}"));
        assert!(fs::read_to_string(&file).unwrap().starts_with(HEAD));
        Audit::open(folder.path()).note("bob", "after the crash", "");
        assert_eq!(Audit::open(folder.path()).entries().len(), 3);
    }
}

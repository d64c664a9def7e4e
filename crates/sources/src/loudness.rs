//! How loud files are, measured ahead on a thread of its own, and kept while the server runs.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use crate::content;
use crate::decode;
use crate::ffmpeg::{Ffmpeg, Use};
use crate::folder::{FILES_MAX, Stop, files};
use crate::leveller::Measure;

/// How often a folder is looked at for files that are not measured yet.
const LOOK: Duration = Duration::from_secs(5);

/// What tells whether a file is still the same: when it was changed, and how long it is.
type Seen = (SystemTime, u64);

/// The loudness of one source's files, in LUFS; `None` for one that is silent or cannot be decoded.
#[derive(Debug, Default)]
pub(crate) struct Loudness {
    known: Mutex<BTreeMap<PathBuf, (Seen, Option<f64>)>>,
    news: Condvar,
}

impl Loudness {
    /// A file's loudness, waited for no longer than `patience`; `None` when it is not measured yet.
    pub(crate) fn of(&self, path: &Path, patience: Duration) -> Option<Option<f64>> {
        let seen = seen(path)?;
        let there = |known: &BTreeMap<PathBuf, (Seen, Option<f64>)>| {
            known.get(path).filter(|(then, _)| *then == seen).map(|(_, lufs)| *lufs)
        };
        let known = self.lock();
        let waited = self.news.wait_timeout_while(known, patience, |known| there(known).is_none());
        there(&waited.unwrap_or_else(PoisonError::into_inner).0)
    }

    /// Measures whatever is at `path`, a file or a folder, until stopped.
    pub(crate) fn run(&self, path: &Path, ffmpeg: &Ffmpeg, stop: &Arc<Stop>) {
        while !stop.wait(Duration::ZERO) {
            let all =
                if path.is_dir() { files(path).unwrap_or_default() } else { vec![path.to_owned()] };
            for file in all {
                let Some(seen) = seen(&file) else { continue };
                if self.lock().get(&file).is_some_and(|(then, _)| *then == seen) {
                    continue;
                }
                let lufs = measure(&file, ffmpeg, stop);
                if stop.wait(Duration::ZERO) {
                    return;
                }
                let mut known = self.lock();
                if known.len() >= FILES_MAX {
                    known.clear();
                }
                known.insert(file, (seen, lufs));
                drop(known);
                self.news.notify_all();
            }
            if stop.wait(LOOK) {
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PathBuf, (Seen, Option<f64>)>> {
        // A map of facts cannot be left in a state that would matter.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn seen(path: &Path) -> Option<Seen> {
    let data = fs::metadata(path).ok()?;
    Some((data.modified().ok()?, data.len()))
}

fn measure(path: &Path, ffmpeg: &Ffmpeg, stop: &Arc<Stop>) -> Option<f64> {
    let file = File::open(path).ok()?;
    let route = content::by_extension(&path.to_string_lossy());
    let source = decode::Source::File(file);
    let mut decoding = decode::open_source(source, route, ffmpeg, Use::Live).ok()?;
    let mut measure = Measure::new()?;
    let mut samples = Vec::new();
    while let Ok(true) = decoding.next(&mut samples) {
        if stop.wait(Duration::ZERO) {
            return None;
        }
        measure.hear(&samples);
        samples.clear();
    }
    measure.hear(&samples);
    measure.lufs()
}

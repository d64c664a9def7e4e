//! One source from the disk: a file, or the files of a folder one after the other, for ever.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::hash::{BuildHasher as _, RandomState};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime};

use audio::Gain;

use crate::backoff::Backoff;
use crate::board::Reporter;
use crate::config::{Order, Settings};
use crate::content;
use crate::decode::{self, DecodeError};
use crate::ffmpeg::{Ffmpeg, Use};
use crate::icy;
use crate::intake::{Closed, Door, Flow, Inlet};
use crate::leveller::Leveller;
use crate::loudness::Loudness;
use crate::state::Trouble;
use crate::stream::decode_trouble;

/// Files of a folder that are played; further ones are not looked at.
pub(crate) const FILES_MAX: usize = 10_000;
/// How long a file's loudness is waited for, with a second of the one before still to be heard.
const MEASURED_SOON: Duration = Duration::from_millis(300);
/// What lies beside music and is none.
const NEVER_AUDIO: [&str; 20] = [
    "jpg", "jpeg", "png", "gif", "webp", "bmp", "txt", "nfo", "md", "log", "pdf", "html", "xml",
    "json", "ini", "db", "cue", "m3u", "m3u8", "pls",
];

/// What drives one source from the disk, on a thread of its own.
#[derive(Debug)]
pub(crate) struct Folder {
    pub(crate) path: PathBuf,
    pub(crate) gain: Gain,
    pub(crate) loudness_lufs: Option<f64>,
    pub(crate) order: Order,
    pub(crate) ffmpeg: Ffmpeg,
    pub(crate) settings: Arc<Settings>,
    pub(crate) intake: Door,
    pub(crate) board: Reporter,
    pub(crate) stop: Arc<Stop>,
    /// How loud the files are.
    pub(crate) loudness: Arc<Loudness>,
    /// When the folder was last changed, and what was in it.
    pub(crate) listed: RefCell<Option<(SystemTime, Vec<PathBuf>)>>,
}

/// Told once; ends every wait.
#[derive(Debug, Default)]
pub(crate) struct Stop {
    told: Mutex<bool>,
    wake: Condvar,
}

impl Stop {
    pub(crate) fn tell(&self) {
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.wake.notify_all();
    }

    /// Waits this long; true when it was told meanwhile.
    pub(crate) fn wait(&self, span: Duration) -> bool {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.wake.wait_timeout_while(told, span, |told| !*told);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// Whose turn it is in one round of a folder.
struct Turns {
    order: Order,
    done: BTreeSet<PathBuf>,
}

impl Turns {
    /// The next of `files`, which are sorted, that had no turn yet.
    fn next(&mut self, files: Vec<PathBuf>) -> Option<PathBuf> {
        let mut waiting: Vec<_> = files.into_iter().filter(|f| !self.done.contains(f)).collect();
        let index = match self.order {
            Order::Sorted => 0,
            Order::Shuffled => usize::try_from(random()).unwrap_or(0) % waiting.len().max(1),
        };
        let next = (index < waiting.len()).then(|| waiting.swap_remove(index))?;
        self.done.insert(next.clone());
        Some(next)
    }
}

/// Not to be guessed, and nobody depends on that: each hasher of the library has other keys.
fn random() -> u64 {
    RandomState::new().hash_one(0) >> 1
}

enum Fault {
    Stopped(Closed),
    Trouble(Trouble),
}

/// Where one round's audio goes. The connection is opened with the first sample, so that a folder
/// of broken files never looks like one that plays.
struct Outlet<'a> {
    folder: &'a Folder,
    inlet: Option<Inlet>,
}

impl Folder {
    /// Runs until stopped.
    pub(crate) fn run(self) {
        if self.loudness_lufs.is_some() {
            let (loudness, stop) = (Arc::clone(&self.loudness), Arc::clone(&self.stop));
            let (path, ffmpeg) = (self.path.clone(), self.ffmpeg.clone());
            let thread = thread::Builder::new().name("source-loudness".to_owned());
            if let Err(why) = thread.spawn(move || loudness.run(&path, &ffmpeg, &stop)) {
                tracing::warn!(%why, "no thread to measure loudness: files are levelled as they play");
            }
        }
        let mut backoff = Backoff::new(self.settings.backoff_first, self.settings.backoff_most);
        let mut outlet = Outlet { folder: &self, inlet: None };
        while !self.stop.wait(Duration::ZERO) {
            match self.round(&mut outlet) {
                Ok(()) => backoff.succeeded(),
                Err(Fault::Stopped(Closed)) => return,
                Err(Fault::Trouble(trouble)) => {
                    if let Some(inlet) = outlet.inlet.take() {
                        inlet.end();
                    }
                    self.board.away(&trouble);
                    if self.stop.wait(backoff.failed()) {
                        return;
                    }
                }
            }
        }
    }

    /// Plays every file once.
    fn round(&self, outlet: &mut Outlet<'_>) -> Result<(), Fault> {
        let unreadable = |why: std::io::Error| Fault::Trouble(Trouble::Unreadable(why.to_string()));
        if !fs::metadata(&self.path).map_err(unreadable)?.is_dir() {
            return self.play(&self.path, outlet);
        }
        let mut turns = Turns { order: self.order, done: BTreeSet::new() };
        let mut played = false;
        // Looked at anew before each file: what was added or taken away meanwhile counts.
        while let Some(file) = turns.next(self.list().map_err(unreadable)?) {
            let name = shown(&file);
            match self.play(&file, outlet) {
                Ok(()) => {
                    played = true;
                    self.board.keep_skipped(|skipped| skipped != name);
                }
                // It was taken away between the look and its turn.
                Err(Fault::Trouble(_)) if !file.exists() => {}
                Err(Fault::Trouble(trouble)) => self.board.skipped(&name, trouble.to_string()),
                Err(stopped) => return Err(stopped),
            }
        }
        self.board.keep_skipped(|name| turns.done.iter().any(|file| shown(file) == name));
        if played { Ok(()) } else { Err(Fault::Trouble(Trouble::NothingPlayable)) }
    }

    /// The files, read anew when something came or went.
    fn list(&self) -> std::io::Result<Vec<PathBuf>> {
        let changed = fs::metadata(&self.path)?.modified()?;
        let mut listed = self.listed.borrow_mut();
        match &*listed {
            // A folder that was changed this very moment may be changed again within it.
            Some((then, files)) if *then == changed && is_past(changed) => Ok(files.clone()),
            Some(_) | None => {
                let files = files(&self.path)?;
                *listed = Some((changed, files.clone()));
                Ok(files)
            }
        }
    }

    /// A file that was measured is at its loudness from the first sample on; one that was not yet is
    /// brought there as a broadcast is.
    fn leveller(&self, path: &Path) -> Leveller {
        let measured = self.loudness_lufs.and_then(|_| self.loudness.of(path, MEASURED_SOON));
        match measured {
            Some(lufs) => Leveller::measured(self.gain, self.loudness_lufs, lufs),
            None => Leveller::live(self.gain, self.loudness_lufs),
        }
    }

    fn play(&self, path: &Path, outlet: &mut Outlet<'_>) -> Result<(), Fault> {
        let away = |error: DecodeError| Fault::Trouble(decode_trouble(error));
        let file =
            File::open(path).map_err(|why| Fault::Trouble(Trouble::Unreadable(why.to_string())))?;
        let route = content::by_extension(&path.to_string_lossy());
        let source = decode::Source::File(file);
        let mut decoding =
            decode::open_source(source, route, &self.ffmpeg, Use::Live).map_err(away)?;
        let mut leveller = self.leveller(path).counting(self.board.limited());
        let mut samples = Vec::new();
        let mut any = false;
        loop {
            let more = match decoding.next(&mut samples) {
                Ok(more) => more,
                // The rest of a file that is broken further on is passed over.
                Err(why) if any => {
                    self.board.skipped(&shown(path), decode_trouble(why).to_string());
                    return Ok(());
                }
                Err(why) => return Err(away(why)),
            };
            if !any && !samples.is_empty() {
                any = true;
                let title = decoding.title().map(|title| icy::clean_title(title.as_bytes()));
                let stem = || path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                outlet
                    .open(&decoding.codec(), &title.unwrap_or_else(stem))
                    .map_err(Fault::Stopped)?;
            }
            if self.stop.wait(Duration::ZERO) {
                return Err(Fault::Stopped(Closed));
            }
            leveller.apply(&mut samples);
            outlet.push(&samples).map_err(Fault::Stopped)?;
            samples.clear();
            if !more {
                let none = || away(DecodeError::NotAudio("no audio in it".to_owned()));
                return if any { Ok(()) } else { Err(none()) };
            }
        }
    }
}

impl Outlet<'_> {
    fn open(&mut self, codec: &str, title: &str) -> Result<(), Closed> {
        if self.inlet.is_none() {
            self.inlet = Some(self.folder.intake.begin(Flow::Paced)?);
            self.folder.board.playing(codec);
        } else {
            self.folder.board.codec(codec);
        }
        self.folder.board.title(title);
        Ok(())
    }

    fn push(&self, samples: &[i16]) -> Result<(), Closed> {
        self.inlet.as_ref().map_or(Ok(()), |inlet| inlet.push(samples))
    }
}

/// The files that may be audio, in the order of their names.
pub(crate) fn files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)?.take(FILES_MAX) {
        let path = entry?.path();
        let name = shown(&path);
        let extension = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        let hidden = name.starts_with('.');
        if !hidden && path.is_file() && !NEVER_AUDIO.contains(&extension.as_str()) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Whether this lies far enough back that no further change has the same time.
fn is_past(time: SystemTime) -> bool {
    time.elapsed().is_ok_and(|ago| ago > Duration::from_secs(1))
}

fn shown(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

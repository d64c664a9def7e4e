use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// So many at once are worth one sync of the whole file system; fewer sync their own files.
const TOGETHER_MIN: usize = 4;

/// Lets those who sync at the same moment share one sync. Whoever is alone does not wait for company:
/// a batch forms only out of those who come while another sync runs.
#[derive(Debug)]
pub(super) struct Group {
    /// Any file of the file system. It stays open: errors of writing back are told once to each
    /// open file, from when it was opened.
    anchor: Option<File>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Who is syncing, alone or in a batch, or waits for it.
    active: usize,
    /// Batches that have begun.
    begun: u64,
    /// Whether one runs.
    runs: bool,
    /// The last that is over, and the last that failed, with the system's code.
    over: u64,
    failed: Option<(u64, i32)>,
}

impl Group {
    /// For the file system that `folder` is on. Where the system does not tell errors of a sync of all
    /// (Linux before 5.8), everybody syncs alone.
    pub(super) fn new(folder: &Path) -> Self {
        let anchor = tells_errors().then(|| File::open(folder).ok()).flatten();
        Self { anchor, state: Mutex::default(), changed: Condvar::new() }
    }

    /// Runs `alone`, or takes part in a sync of all that begins after this call.
    pub(super) fn sync(&self, alone: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let Some(anchor) = &self.anchor else { return alone() };
        let mut state = self.lock();
        state.active += 1;
        let done = if state.active < TOGETHER_MIN {
            drop(state);
            alone()
        } else {
            self.together(state, anchor)
        };
        self.lock().active -= 1;
        done
    }

    fn together<'a>(&'a self, mut state: MutexGuard<'a, State>, anchor: &File) -> io::Result<()> {
        // What runs already may have passed our files by.
        let mine = state.begun + 1;
        while state.over < mine {
            if state.runs || state.begun >= mine {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            state.begun += 1;
            state.runs = true;
            let number = state.begun;
            drop(state);
            let done = rustix::fs::syncfs(anchor);
            state = self.lock();
            state.runs = false;
            state.over = number;
            if let Err(error) = done {
                // Whoever waits for an older batch has long been woken.
                state.failed = Some((number, error.raw_os_error()));
            }
            self.changed.notify_all();
        }
        // A failure after mine is of other files; but who can tell: the error may be about these.
        match state.failed {
            Some((number, code)) if number >= mine => Err(io::Error::from_raw_os_error(code)),
            Some(_) | None => Ok(()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the system tells errors of writing back to whoever syncs the whole file system.
fn tells_errors() -> bool {
    let uname = rustix::system::uname();
    let release = uname.release().to_string_lossy();
    let mut numbers = release.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (5, 8)
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn one_alone_syncs_alone_and_many_share() {
        let folder = tempfile::tempdir().unwrap();
        let group = Group::new(folder.path());
        let alone = AtomicUsize::new(0);
        for _ in 0..10 {
            group
                .sync(|| {
                    alone.fetch_add(1, Ordering::Relaxed);
                    Ok(())
                })
                .unwrap();
        }
        assert_eq!(alone.load(Ordering::Relaxed), 10);
        // Three are held inside while thirteen more come: these share.
        let inside = Barrier::new(4);
        let leave = Barrier::new(4);
        let stay = || {
            inside.wait();
            leave.wait();
            Ok(())
        };
        std::thread::scope(|scope| {
            let held: Vec<_> = (0..3).map(|_| scope.spawn(|| group.sync(stay))).collect();
            inside.wait();
            let late: Vec<_> = (0..13)
                .map(|_| scope.spawn(|| group.sync(|| panic!("not alone")).unwrap()))
                .collect();
            late.into_iter().for_each(|one| one.join().unwrap());
            leave.wait();
            held.into_iter().for_each(|one| one.join().unwrap().unwrap());
        });
        let begun = group.lock().begun;
        assert!((1..=13).contains(&begun), "{begun} batches");
        assert_eq!(group.lock().active, 0);
    }
}

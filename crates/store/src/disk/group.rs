use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};

/// So many at once are worth one sync of the whole file system; fewer sync their own files.
const TOGETHER_MIN: usize = 4;

/// File systems on which a sync of all keeps what a sync of one file keeps, by their magic numbers (`statfs(2)`): ext4,
/// xfs, btrfs, f2fs, tmpfs. A share, or one that a process serves (FUSE), may write back its own memory and ask nobody to
/// keep it.
const KEEPING: [i128; 5] = [0xef53, 0x5846_5342, 0x9123_683e, 0xf2f5_2010, 0x0102_1994];

/// The groups of the file systems that somebody has files open on.
#[derive(Debug)]
pub(super) struct Groups {
    tells_errors: bool,
    /// By the number of the device. While a group is there, its anchor keeps that number from being another's.
    all: Mutex<BTreeMap<u64, Weak<Group>>>,
}

impl Groups {
    pub(super) fn new() -> Self {
        Self { tells_errors: tells_errors(), all: Mutex::default() }
    }

    /// The group of the file system that an open file is on, which has `folder`, too; `None` where everybody must sync
    /// alone, or where it cannot be told.
    pub(super) fn of(&self, file: &File, folder: &Path) -> Option<Arc<Group>> {
        if !self.tells_errors {
            return None;
        }
        let device = file.metadata().ok()?.dev();
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(group) = all.get(&device).and_then(Weak::upgrade) {
            return Some(group);
        }
        all.retain(|_, group| group.strong_count() > 0);
        // The width of this field differs between architectures.
        let magic = i128::from(rustix::fs::fstatfs(file).ok()?.f_type);
        if !KEEPING.contains(&magic) {
            return None;
        }
        let anchor = File::open(folder).ok()?;
        if anchor.metadata().ok()?.dev() != device {
            return None;
        }
        let group = Arc::new(Group::new(anchor));
        all.insert(device, Arc::downgrade(&group));
        drop(all);
        Some(group)
    }
}

/// Lets those who sync at the same moment share one sync of their file system. Whoever is alone does not wait for
/// company: a batch forms only out of those who come while another sync runs.
#[derive(Debug)]
pub(super) struct Group {
    /// Any file of the file system, opened before those that are synced were written to. It stays open: errors of writing
    /// back are told once to each open file, from when it was opened.
    anchor: File,
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

/// What a file must know to take part.
#[derive(Clone, Copy, Debug)]
pub(super) struct Since {
    /// How many batches were over when it was opened, or the number of the one that failed of which it was told last. The
    /// error of a later one may be about it.
    told: u64,
    /// How many had begun when it was written to last. A later one has what was written.
    written: u64,
}

impl Group {
    fn new(anchor: File) -> Self {
        Self { anchor, state: Mutex::default(), changed: Condvar::new() }
    }

    /// For a file that is new to the group, or a folder.
    pub(super) fn since(&self) -> Since {
        let state = self.lock();
        Since { told: state.over, written: state.begun }
    }

    /// A file was written to.
    pub(super) fn written(&self, since: &mut Since) {
        since.written = self.lock().begun;
    }

    /// Runs `alone`, or takes part in a sync of all that begins after the file was written to.
    pub(super) fn sync(
        &self,
        since: &mut Since,
        alone: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<()> {
        let mut state = self.lock();
        if state.over > since.written {
            return state.told(since);
        }
        state.active += 1;
        let done = if state.active < TOGETHER_MIN {
            drop(state);
            alone()
        } else {
            self.together(state, since)
        };
        self.lock().active -= 1;
        done
    }

    fn together<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        since: &mut Since,
    ) -> io::Result<()> {
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
            let done = rustix::fs::syncfs(&self.anchor);
            state = self.lock();
            state.runs = false;
            state.over = number;
            if let Err(error) = done {
                state.failed = Some((number, error.raw_os_error()));
            }
            self.changed.notify_all();
        }
        state.told(since)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether any batch has failed that may have had something of this file: the system tells an error once, and not
    /// of which file. It is told once here, too.
    fn told(&self, since: &mut Since) -> io::Result<()> {
        match self.failed {
            Some((number, code)) if number > since.told => {
                since.told = number;
                Err(io::Error::from_raw_os_error(code))
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// Whether the system tells errors of writing back to whoever syncs the whole file system: Linux 5.8 and later.
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
        let group = Group::new(File::open(folder.path()).unwrap());
        let alone = AtomicUsize::new(0);
        let mut since = group.since();
        for _ in 0..10 {
            group
                .sync(&mut since, || {
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
            let held: Vec<_> =
                (0..3).map(|_| scope.spawn(|| group.sync(&mut group.since(), stay))).collect();
            inside.wait();
            let late: Vec<_> = (0..13)
                .map(|_| {
                    let shared = || {
                        let mut since = group.since();
                        group.sync(&mut since, || panic!("not alone")).unwrap();
                        // What was not written to since is kept already.
                        group.sync(&mut since, || panic!("a second time")).unwrap();
                    };
                    scope.spawn(shared)
                })
                .collect();
            late.into_iter().for_each(|one| one.join().unwrap());
            leave.wait();
            held.into_iter().for_each(|one| one.join().unwrap().unwrap());
        });
        let begun = group.lock().begun;
        assert!((1..=13).contains(&begun), "{begun} batches");
        assert_eq!(group.lock().active, 0);
        // Written to once more, it is synced once more.
        group.written(&mut since);
        let again = AtomicUsize::new(0);
        group
            .sync(&mut since, || {
                again.fetch_add(1, Ordering::Relaxed);
                Ok(())
            })
            .unwrap();
        assert_eq!(again.load(Ordering::Relaxed), 1);
    }

    /// The system tells an error of writing back once; it may be about a file of whoever syncs later.
    #[test]
    fn a_batch_that_failed_fails_every_file_that_was_open_then() {
        let folder = tempfile::tempdir().unwrap();
        let group = Group::new(File::open(folder.path()).unwrap());
        let (mut early, mut earlier) = (group.since(), group.since());
        let state = State { begun: 1, over: 1, failed: Some((1, 5)), ..State::default() };
        *group.state.lock().unwrap() = state;
        let mut late = group.since();
        group.sync(&mut late, || Ok(())).unwrap();
        // One whose bytes that batch had, and one that was written to after it.
        assert_eq!(group.sync(&mut early, || Ok(())).unwrap_err().raw_os_error(), Some(5));
        group.written(&mut earlier);
        let together = |since: &mut Since| {
            group.lock().active = TOGETHER_MIN;
            group.sync(since, || panic!("not alone"))
        };
        assert_eq!(together(&mut earlier).unwrap_err().raw_os_error(), Some(5));
        // Once.
        group.written(&mut earlier);
        together(&mut earlier).unwrap();
        together(&mut late).unwrap();
    }

    /// What was written while a batch ran may be what that batch failed to write.
    #[test]
    fn a_batch_that_failed_fails_the_files_that_were_made_while_it_ran() {
        let folder = tempfile::tempdir().unwrap();
        let group = Group::new(File::open(folder.path()).unwrap());
        *group.state.lock().unwrap() = State { begun: 1, runs: true, ..State::default() };
        let mut since = group.since();
        group.written(&mut since);
        *group.state.lock().unwrap() = State {
            begun: 1,
            over: 1,
            failed: Some((1, 5)),
            active: TOGETHER_MIN,
            ..State::default()
        };
        let done = group.sync(&mut since, || panic!("not alone"));
        assert_eq!(done.unwrap_err().raw_os_error(), Some(5));
    }

    #[test]
    fn files_of_two_file_systems_share_nothing() {
        let (one, other) = (tempfile::tempdir().unwrap(), Path::new("/dev/shm"));
        let groups = Groups::new();
        let file = File::create(one.path().join("a")).unwrap();
        let here = groups.of(&file, one.path());
        let again = groups.of(&file, one.path());
        assert_eq!(here.is_some(), again.is_some());
        if let (Some(here), Some(again)) = (&here, &again) {
            assert!(Arc::ptr_eq(here, again));
        }
        let elsewhere = tempfile::tempfile_in(other).unwrap();
        let there = groups.of(&elsewhere, other).expect("tmpfs keeps");
        if file.metadata().unwrap().dev() != elsewhere.metadata().unwrap().dev() {
            assert!(here.is_none_or(|here| !Arc::ptr_eq(&here, &there)));
            // A folder of another file system is no anchor of this one's.
            let other = Groups::new();
            assert!(other.of(&elsewhere, one.path()).is_none());
        }
        // Served by the kernel itself, and kept nowhere.
        let proc = Path::new("/proc/self");
        assert!(groups.of(&File::open(proc).unwrap(), proc).is_none());
    }
}

//! What a process costs, as the kernel counts it.

use std::fs;
use std::time::Duration;

/// The names of media threads begin with this.
const ENGINE: &str = "engine-";

/// One reading of `/proc/<pid>`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Usage {
    /// CPU time of the media threads.
    pub engine: Duration,
    /// CPU time of all other threads that live.
    pub rest: Duration,
    /// Memory in RAM that is the process's own, bytes.
    pub memory_bytes: u64,
}

impl Usage {
    /// Reads; `None` where there is no such process, or it may not be looked at.
    pub fn of(pid: u32) -> Option<Self> {
        let mut usage = Self::default();
        for task in fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten() {
            let path = task.path();
            // A thread may end between the list and the look.
            let Ok(name) = fs::read_to_string(path.join("comm")) else { continue };
            let Ok(line) = fs::read_to_string(path.join("schedstat")) else { continue };
            let ran = line.split(' ').next().and_then(|ran| ran.parse().ok()).unwrap_or_default();
            let ran = Duration::from_nanos(ran);
            if name.starts_with(ENGINE) {
                usage.engine += ran;
            } else {
                usage.rest += ran;
            }
        }
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let kilobytes = status.lines().find_map(|line| {
            line.strip_prefix("RssAnon:")?.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
        });
        usage.memory_bytes = kilobytes? * 1_024;
        Some(usage)
    }

    /// The CPU time since `earlier`; memory stays as it is now.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            engine: self.engine.saturating_sub(earlier.engine),
            rest: self.rest.saturating_sub(earlier.rest),
            memory_bytes: self.memory_bytes,
        }
    }
}

/// `cost` for each of `count`, in nanoseconds.
pub fn each(cost: Duration, count: u64) -> u64 {
    u64::try_from(cost.as_nanos()).unwrap_or(u64::MAX).checked_div(count).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_sees_its_own_cost_and_none_of_a_process_that_is_not() {
        let usage = Usage::of(std::process::id()).unwrap();
        assert!(usage.memory_bytes > 0);
        assert!(usage.engine.is_zero());
        assert!(Usage::of(u32::MAX).is_none());
    }
}

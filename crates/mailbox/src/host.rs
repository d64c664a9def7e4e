use std::fmt::Debug;
use std::fs;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::moment::Moment;

/// Which process on which machine, as far as others can find out whether it still runs.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Identity {
    /// The machine's name.
    pub host: String,
    /// Which of its starts this is.
    pub boot: String,
    /// Among which processes the number counts: containers have their own.
    pub space: String,
    /// The process's number.
    pub process: u32,
    /// When the process began, as its system counts.
    pub started: String,
}

/// What a store knows of the machine that it runs on.
pub trait Host: Debug + Send + Sync {
    /// The calendar's moment. It may be wrong and may jump: it names and sorts, and decides nothing.
    fn wall(&self) -> Moment;

    /// Time since some moment; it never jumps, and goes on while the machine sleeps.
    fn uptime(&self) -> Duration;

    /// Bits that nobody can guess.
    fn random(&self) -> [u8; 10];

    /// Who we are.
    fn identity(&self) -> Identity;

    /// Whether a process has surely ended. It may run although this is false, never although it is true.
    fn has_ended(&self, other: &Identity) -> bool;

    /// Waits so long.
    fn pause(&self, time: Duration);
}

/// The machine that this process runs on.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemHost;

impl Host for SystemHost {
    #[expect(clippy::disallowed_methods, reason = "here the clock is read")]
    fn wall(&self) -> Moment {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let micros = now.unwrap_or_default().as_micros();
        Moment::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }

    fn uptime(&self) -> Duration {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
    }

    fn random(&self) -> [u8; 10] {
        let mut bytes = [0; 10];
        if getrandom::fill(&mut bytes).is_err() {
            // Without it, no two ids of one process are the same, and hardly two of two.
            let uptime = self.uptime().as_nanos().to_le_bytes();
            bytes.iter_mut().zip(uptime).for_each(|(byte, from)| *byte = from);
        }
        bytes
    }

    fn identity(&self) -> Identity {
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
        let space = fs::read_link("/proc/self/ns/pid");
        Identity {
            host: text("/proc/sys/kernel/hostname"),
            boot: text("/proc/sys/kernel/random/boot_id"),
            space: space.map(|path| path.display().to_string()).unwrap_or_default(),
            process: std::process::id(),
            started: started(std::process::id()).unwrap_or_default(),
        }
    }

    fn has_ended(&self, other: &Identity) -> bool {
        let us = self.identity();
        let is_here = us.host == other.host && us.boot == other.boot && us.space == other.space;
        is_here
            && !us.boot.is_empty()
            && !us.space.is_empty()
            && fs::exists("/proc/self/stat").unwrap_or(false)
            && started(other.process).is_none_or(|started| started != other.started)
    }

    fn pause(&self, time: Duration) {
        std::thread::sleep(time);
    }
}

/// The 22nd field of `/proc/<process>/stat`; the second may hold spaces.
fn started(process: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(") ")?;
    // A zombie holds nothing.
    let mut fields = fields.split(' ');
    if fields.next() == Some("Z") {
        return None;
    }
    fields.nth(18).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_ended_is_known_to_have() {
        let host = SystemHost;
        let us = host.identity();
        assert!(!host.has_ended(&us));
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let child_is = Identity { process: child.id(), started: "1".into(), ..us.clone() };
        child.wait().unwrap();
        assert!(host.has_ended(&child_is));
        assert!(!host.has_ended(&Identity { host: "another".into(), ..child_is.clone() }));
        assert!(!host.has_ended(&Identity { space: "pid:[1]".into(), ..child_is }));
        assert!(
            host.has_ended(&Identity { started: "0".into(), ..us }),
            "the number was given again"
        );
    }
}

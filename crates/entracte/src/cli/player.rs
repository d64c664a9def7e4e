//! A player of this machine, for audio that a person wants to hear.

use std::io::{self, Write as _};
use std::process::{Child, Command, Stdio};

/// The players that are looked for, with what makes them take telephone audio on standard input.
const PLAYERS: [(&str, &[&str]); 2] = [
    ("pw-play", &["--rate=8000", "--channels=1", "--format=s16", "-"]),
    ("aplay", &["-q", "-t", "raw", "-f", "S16_LE", "-r", "8000", "-c", "1", "-"]),
];

/// A player that is running.
pub(super) struct Player {
    name: &'static str,
    child: Child,
}

impl Player {
    /// Starts the first player that there is; else says so.
    pub(super) fn start() -> Result<Self, String> {
        for (name, arguments) in PLAYERS {
            let started = Command::new(name).args(arguments).stdin(Stdio::piped()).spawn();
            if let Ok(child) = started {
                return Ok(Self { name, child });
            }
        }
        Err("--play wants aplay or pw-play, and neither is installed".to_owned())
    }

    /// Hands it samples; waits until it takes them.
    pub(super) fn play(&mut self, samples: &[i16]) -> io::Result<()> {
        let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        match &mut self.child.stdin {
            Some(stdin) => stdin.write_all(&bytes),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    /// Lets it play to the end.
    pub(super) fn finish(mut self) -> Result<(), String> {
        drop(self.child.stdin.take());
        match self.child.wait() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!("{} ended with {status}", self.name)),
            Err(error) => Err(format!("{}: {error}", self.name)),
        }
    }
}

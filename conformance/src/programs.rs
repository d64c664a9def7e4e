//! The programs of others: run to their end with a limit of time, killed by their number past it.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::Duration;

use crate::Folder;

/// How often a child is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// What a program left.
#[derive(Clone, Debug)]
pub struct Left {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote to stdout.
    pub out: String,
    /// What it wrote to stderr.
    pub err: String,
}

/// Waits for a child; `None`, and it is killed, when that takes too long.
pub fn wait(child: &mut Child, patience: Duration) -> Option<ExitStatus> {
    let end = entracte::clock::instant() + patience;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        if entracte::clock::instant() > end {
            let _ = child.kill();
            let _ = child.wait();
            return None;
        }
        sleep(LOOK);
    }
}

/// A child that holds something until it is killed by its number, which dropping does.
#[derive(Debug)]
pub struct Holder(Child);

impl Holder {
    /// Starts it, and waits for the line that says that it holds everything.
    pub fn start(command: &mut Command) -> (Self, String) {
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut holder = Self(child);
        let mut line = String::new();
        BufReader::new(holder.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
        (holder, line)
    }

    /// SIGKILL: no goodbye.
    pub fn kill(self) {}
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a program to its end.
pub fn run(command: &mut Command, patience: Duration) -> Left {
    run_with_input(command, b"", patience)
}

/// Runs a program to its end, with this on its standard input.
pub fn run_with_input(command: &mut Command, input: &[u8], patience: Duration) -> Left {
    let folder = Folder::create();
    let input = File::open(folder.write("in", input)).unwrap();
    let (out, err) = (folder.path().join("out"), folder.path().join("err"));
    let create = |path: &Path| Stdio::from(File::create(path).unwrap());
    let mut child = command
        .stdin(Stdio::from(input))
        .stdout(create(&out))
        .stderr(create(&err))
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start {:?}: {error}", command.get_program()));
    let status = wait(&mut child, patience);
    let read = |path: &Path| String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
    let (out, err) = (read(&out), read(&err));
    let Some(status) = status else {
        panic!("{:?} did not end within {patience:?}\n{out}\n{err}", command.get_program())
    };
    Left { status, out, err }
}

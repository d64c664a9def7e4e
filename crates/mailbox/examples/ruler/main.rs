//! The message store beside Dovecot, on the same disk, in turns: `cargo run --release -p mailbox --example ruler`.
//! What it measures and how to read it: `docs/benchmarks.md`.
//!
//! As root, with the Debian packages `dovecot-core`, `dovecot-lmtpd`, `dovecot-imapd` and `strace` (it installs what is
//! missing). Words after `--` choose: `pace` (deliveries a second), `syncs` (what a delivery costs), `list`; none is
//! all. `RULER_FOLDER` is where the files go, which must be on a real disk; `RULER_ROUNDS` how many rounds.

#![expect(clippy::print_stdout, reason = "a command that prints figures")]
#![expect(clippy::disallowed_methods, reason = "it measures time")]
#![expect(clippy::cast_precision_loss, reason = "figures that are rounded anyway")]

mod dovecot;
mod figures;
mod list;
mod ours;
mod pace;
mod syncs;

use std::error::Error;
use std::process::Command;

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// 30 seconds of GSM at 13 kbit/s.
const AUDIO_BYTES: usize = 48_750;

/// Sound as a disk sees it: nothing that compresses.
fn audio() -> Vec<u8> {
    let mut x = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(AUDIO_BYTES + 8);
    while bytes.len() < AUDIO_BYTES {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        bytes.extend(x.to_le_bytes());
    }
    bytes.truncate(AUDIO_BYTES);
    bytes
}

fn main() -> Outcome {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    // What a run begins as processes of their own.
    match words.as_slice() {
        ["deliver", root, count, writers] => {
            return ours::deliver(root.as_ref(), count.parse()?, writers.parse()?);
        }
        ["list-cold", root] => return list::cold(root.as_ref()),
        ["abandon", root] => return list::abandon(root.as_ref()),
        _ => {}
    }
    let wants = |word: &str| words.is_empty() || words.contains(&word);
    let near = std::env::var_os("RULER_FOLDER").unwrap_or_else(|| std::env::temp_dir().into());
    let folder = tempfile::Builder::new().prefix("ruler-").tempdir_in(&near)?;
    let kind = Command::new("stat").args(["-f", "-c", "%T"]).arg(folder.path()).output()?;
    let kind = String::from_utf8_lossy(&kind.stdout).trim().to_owned();
    if kind == "tmpfs" {
        return Err("that is no disk: set RULER_FOLDER to a folder on one".into());
    }
    println!("in {} ({kind})", folder.path().display());
    dovecot::install()?;
    if wants("pace") {
        pace::run(folder.path())?;
    }
    if wants("syncs") {
        syncs::run(folder.path())?;
    }
    if wants("list") {
        list::run(folder.path())?;
    }
    Ok(())
}

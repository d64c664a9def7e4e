//! Syncs of a delivery, counted by strace.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::Outcome;
use crate::dovecot::{Client, Dovecot, message};

const COUNT: u32 = 400;
const STRACE: [&str; 6] = ["strace", "-f", "-c", "-e", "trace=fsync,fdatasync,syncfs", "-o"];

pub(crate) fn run(folder: &Path) -> Outcome {
    println!("\nsyncs of a delivery, of {COUNT}, by strace");
    for writers in [1, 8, 32] {
        let root = folder.join(format!("ours-syncs-{writers}"));
        // What a process does to open and leave is not of its deliveries.
        ours(&root, 0, writers)?;
        let idle = ours(&root, 0, writers)?;
        let busy = ours(&root, COUNT, writers)?;
        let each: Vec<String> = busy
            .iter()
            .map(|(name, calls)| {
                let before = idle.iter().find(|(known, _)| known == name).map_or(0, |(_, n)| *n);
                let calls = f64::from(calls.saturating_sub(before)) / f64::from(COUNT);
                format!("{name} {calls:.2}")
            })
            .collect();
        println!("  Entracte, {writers} writers: {}", each.join(", "));
        let counts = dovecot(folder, writers)?;
        let each: Vec<String> = counts
            .iter()
            .map(|(name, calls)| format!("{name} {:.2}", f64::from(*calls) / f64::from(COUNT)))
            .collect();
        println!("  Dovecot,  {writers} writers: {}", each.join(", "));
    }
    Ok(())
}

fn ours(root: &Path, count: u32, writers: usize) -> Outcome<Vec<(String, u32)>> {
    let table = root.with_extension("strace");
    let done = Command::new("strace")
        .args(STRACE.iter().skip(1))
        .arg(&table)
        .arg(std::env::current_exe()?)
        .arg("deliver")
        .arg(root)
        .args([count.to_string(), writers.to_string()])
        .status()?;
    if !done.success() {
        return Err("strace failed".into());
    }
    read(&table)
}

fn dovecot(folder: &Path, writers: usize) -> Outcome<Vec<(String, u32)>> {
    let folder = folder.join(format!("dovecot-syncs-{writers}"));
    let table = folder.with_extension("strace");
    let shown = table.display().to_string();
    let dovecot = Dovecot::begin(&folder, &[&STRACE[..], &[&shown]].concat())?;
    let message = message();
    let each = usize::try_from(COUNT)? / writers;
    // The mailboxes are made by the first delivery; that is not counted as one, and few.
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..writers)
            .map(|writer| {
                let (folder, message) = (dovecot.folder(), &message);
                scope.spawn(move || {
                    let deliver = || -> Outcome {
                        let mut client = Client::connect(folder)?;
                        for _ in 0..each {
                            client.deliver(&format!("u{writer}"), message)?;
                        }
                        Ok(())
                    };
                    deliver().map_err(|error| error.to_string())
                })
            })
            .collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| "it panicked")?)
    })?;
    drop(dovecot);
    read(&table)
}

/// The calls in strace's table.
fn read(table: &Path) -> Outcome<Vec<(String, u32)>> {
    let text = fs::read_to_string(table)?;
    let row = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let name = words.last().filter(|name| name.contains("sync"))?;
        Some(((*name).to_owned(), words.get(3)?.parse().ok()?))
    };
    Ok(text.lines().filter_map(row).collect())
}

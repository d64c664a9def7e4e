//! A mailbox of 10,000 messages, listed by a process that was just begun.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use mailbox::{PAGE_MAX, Query, Reads, Unique};

use crate::Outcome;
use crate::dovecot::{Client, Dovecot, message};
use crate::figures::Spread;
use crate::ours;

const MESSAGES: usize = 10_000;
const RUNS: usize = 20;
const WRITERS: usize = 32;

pub(crate) fn run(folder: &Path) -> Outcome {
    println!("\n{MESSAGES} messages in a mailbox, listed by a new process; the page cache is warm");
    let root = folder.join("ours-list");
    fill_ours(&root)?;
    let (mut inside, mut outside) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let (own, all) = new_process(&root)?;
        inside.push(own);
        outside.push(all);
    }
    println!(
        "  Entracte: open and list by pages of {PAGE_MAX} {} ms; with the process {} ms",
        Spread::of(&inside).shown(1),
        Spread::of(&outside).shown(1)
    );
    let mut inside = Vec::new();
    for _ in 0..RUNS {
        let done = Command::new(std::env::current_exe()?).arg("abandon").arg(&root).status()?;
        if done.success() {
            return Err("it was to die".into());
        }
        inside.push(new_process(&root)?.0);
    }
    println!(
        "  Entracte: the same after its owner was killed, so that all names are read again {} ms",
        Spread::of(&inside).shown(1)
    );
    theirs(folder)
}

/// The time that a new process needs to open and list, by its own clock and by ours, in ms.
fn new_process(root: &Path) -> Outcome<(f64, f64)> {
    let began = Instant::now();
    let done = Command::new(std::env::current_exe()?).arg("list-cold").arg(root).output()?;
    let all = began.elapsed().as_secs_f64() * 1_000.0;
    let own = String::from_utf8_lossy(&done.stdout).trim().parse()?;
    Ok((own, all))
}

fn fill_ours(root: &Path) -> Outcome {
    let store = ours::open(root, &["big".to_owned()])?;
    let (draft, to) = (ours::draft(), [ours::address("big")?]);
    ours::with_ticks(&store, || {
        std::thread::scope(|scope| {
            for _ in 0..WRITERS {
                scope.spawn(|| {
                    for _ in 0..MESSAGES.div_ceil(WRITERS) {
                        store.deliver(&draft, &to);
                    }
                });
            }
        });
    });
    Ok(())
}

/// Opens a store, lists a mailbox, and prints the ms that it took.
pub(crate) fn cold(root: &Path) -> Outcome {
    let began = Instant::now();
    let store = ours::open(root, &[])?;
    let big = Unique::parse("big")?;
    let mut after = None;
    let mut rows = 0;
    loop {
        let page = store.list(&big, &Query { after, limit: PAGE_MAX, ..Query::default() })?;
        rows += page.rows.len();
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let took = began.elapsed().as_secs_f64() * 1_000.0;
    if rows < MESSAGES {
        return Err(format!("only {rows} messages").into());
    }
    println!("{took}");
    Ok(())
}

/// Owns the mailbox and dies.
pub(crate) fn abandon(root: &Path) -> Outcome {
    let store = ours::open(root, &[])?;
    let big = Unique::parse("big")?;
    let page = store.list(&big, &Query { limit: 1, ..Query::default() })?;
    for row in page.rows {
        let read = if row.marks.read { Reads::Unread } else { Reads::Read };
        store.mark_read(&big, &[row.id], read)?;
    }
    std::process::abort();
}

fn theirs(folder: &Path) -> Outcome {
    let dovecot = Dovecot::begin(&folder.join("dovecot-list"), &[])?;
    let message = message();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..WRITERS)
            .map(|_| {
                scope.spawn(|| {
                    let deliver = || -> Outcome {
                        let mut client = Client::connect(dovecot.folder())?;
                        for _ in 0..MESSAGES.div_ceil(WRITERS) {
                            client.deliver("big", &message)?;
                        }
                        Ok(())
                    };
                    deliver().map_err(|error| error.to_string())
                })
            })
            .collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| "it panicked")?)
    })?;
    let first = imap(&dovecot)?;
    let times = (0..RUNS).map(|_| imap(&dovecot)).collect::<Outcome<Vec<_>>>()?;
    println!(
        "  Dovecot:  SELECT and FETCH 1:* (FLAGS ENVELOPE), a new IMAP process {} ms; the first time {first:.0} ms",
        Spread::of(&times).shown(1)
    );
    Ok(())
}

/// The time that a new IMAP process needs, from its greeting on, in ms.
fn imap(dovecot: &Dovecot) -> Outcome<f64> {
    let mut child = Command::new("doveadm")
        .arg("-c")
        .arg(dovecot.folder().join("dovecot.conf"))
        .args(["exec", "imap", "-u", "big"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut to = child.stdin.take().ok_or("no stdin")?;
    let mut from = BufReader::new(child.stdout.take().ok_or("no stdout")?).lines();
    let greeting = from.next().ok_or("no greeting")??;
    if !greeting.starts_with("* PREAUTH") {
        return Err(format!("IMAP says {greeting:?}").into());
    }
    let began = Instant::now();
    to.write_all(b"1 SELECT INBOX\r\n2 FETCH 1:* (FLAGS ENVELOPE)\r\n")?;
    let mut rows = 0;
    for line in from.by_ref() {
        let line = line?;
        rows += usize::from(line.contains(" FETCH ("));
        if line.starts_with("2 ") {
            break;
        }
    }
    let took = began.elapsed().as_secs_f64() * 1_000.0;
    to.write_all(b"3 LOGOUT\r\n")?;
    drop(to);
    child.wait()?;
    if rows < MESSAGES { Err(format!("only {rows} messages").into()) } else { Ok(took) }
}

//! LMTP and IMAP on the message store beside Dovecot: the same client, on the same disk, in turns.
//! `cargo run --release -p mailroom --example ruler`. What it measures and how to read it: `docs/benchmarks.md`.
//!
//! As root, with the Debian packages `dovecot-core`, `dovecot-lmtpd` and `dovecot-imapd`. Words after `--` choose: `lmtp`, `imap`; none
//! is both. `RULER_FOLDER` is where the files go, which must be on a real disk; `RULER_ROUNDS` how many rounds, `RULER_MESSAGES` how many
//! messages the mailbox has that IMAP reads.

#![expect(clippy::print_stdout, reason = "a command that prints figures")]
#![expect(clippy::disallowed_methods, reason = "it measures time")]
#![expect(clippy::cast_precision_loss, reason = "figures that are rounded anyway")]

mod client;
mod servers;

use std::error::Error;
use std::time::{Duration, Instant};

use client::{Imap, Lmtp, message};
use servers::{Dovecot, Ours, Server};

type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

/// Who writes at the same time, each to a mailbox of its own.
const WRITERS: usize = 8;
/// Messages of each, in a round.
const EACH: usize = 150;
/// Single flags changed, and bodies fetched, in a round.
const SINGLE: u32 = 200;

fn number(name: &str, default: u32) -> u32 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn main() -> Outcome {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [word, root] = words.as_slice()
        && word == "serve"
    {
        return servers::serve(root.as_ref());
    }
    let wants = |word: &str| words.is_empty() || words.iter().any(|wanted| wanted == word);
    let near = std::env::var_os("RULER_FOLDER").unwrap_or_else(|| std::env::temp_dir().into());
    let folder = tempfile::Builder::new().prefix("ruler-").tempdir_in(&near)?;
    let dovecot = Dovecot::begin(&folder.path().join("dovecot"))?;
    let ours = Ours::begin(&folder.path().join("ours"))?;
    let rounds = number("RULER_ROUNDS", 5);
    if wants("lmtp") {
        lmtp(&dovecot, &ours, rounds)?;
    }
    if wants("imap") {
        imap(&dovecot, &ours, rounds)?;
    }
    Ok(())
}

/// Deliveries a second.
fn pace(server: &dyn Server) -> Outcome<f64> {
    let message = message();
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|n| {
                let message = &message;
                scope.spawn(move || -> Outcome {
                    let mut lmtp = Lmtp::connect(server.lmtp())?;
                    (0..EACH).try_for_each(|_| lmtp.deliver(&format!("u{n}"), message))
                })
            })
            .collect();
        writers.into_iter().try_for_each(|writer| writer.join().map_err(|_| "a writer died")?)
    })?;
    Ok((WRITERS * EACH) as f64 / begun.elapsed().as_secs_f64())
}

fn lmtp(dovecot: &Dovecot, ours: &Ours, rounds: u32) -> Outcome {
    println!("LMTP, {WRITERS} writers, {EACH} messages each, all synced; messages a second");
    let mut ratios = Vec::new();
    for round in 0..rounds {
        // In turns, and who begins changes.
        let (theirs, own) = if round % 2 == 0 {
            let theirs = pace(dovecot)?;
            (theirs, pace(ours)?)
        } else {
            let own = pace(ours)?;
            (pace(dovecot)?, own)
        };
        println!("  round {}: Dovecot {theirs:.0}, ours {own:.0}, {:.2}x", round + 1, own / theirs);
        ratios.push(own / theirs);
    }
    told("LMTP", &mut ratios);
    Ok(())
}

fn told(what: &str, ratios: &mut [f64]) {
    ratios.sort_by(f64::total_cmp);
    let middle = ratios.get(ratios.len() / 2).copied().unwrap_or_default();
    let (least, most) = (ratios.first().copied(), ratios.last().copied());
    println!(
        "{what}: {middle:.2}x ({:.2} to {:.2})",
        least.unwrap_or_default(),
        most.unwrap_or_default()
    );
}

/// What one round of IMAP takes: each operation's time.
fn session(server: &dyn Server, last: u32, round: u32) -> Outcome<Vec<(&'static str, Duration)>> {
    let mut imap = Imap::connect(server.imap(), "big")?;
    let mut times = Vec::new();
    let mut time = |what, work: &mut dyn FnMut(&mut Imap) -> Outcome| -> Outcome {
        let begun = Instant::now();
        work(&mut imap)?;
        times.push((what, begun.elapsed()));
        Ok(())
    };
    time("SELECT", &mut |imap| imap.ask("SELECT INBOX").map(drop))?;
    let all = |imap: &mut Imap, command: &str| -> Outcome {
        let lines = imap.ask(command)?;
        if lines < last as usize {
            Err(format!("{command}: {lines} lines only").into())
        } else {
            Ok(())
        }
    };
    time("FETCH flags", &mut |imap| all(imap, "UID FETCH 1:* (FLAGS)"))?;
    time("FETCH flags, date, size", &mut |imap| {
        all(imap, "UID FETCH 1:* (FLAGS INTERNALDATE RFC822.SIZE)")
    })?;
    time("FETCH envelopes", &mut |imap| all(imap, "UID FETCH 1:* (ENVELOPE)"))?;
    let sign = if round.is_multiple_of(2) { '+' } else { '-' };
    let at = |n: u32| 1 + (n * 37 + round * 11) % last;
    time("STORE, one by one", &mut |imap| {
        (0..SINGLE)
            .try_for_each(|n| imap.ask(&format!("STORE {} {sign}FLAGS (\\Seen)", at(n))).map(drop))
    })?;
    time("body, one by one", &mut |imap| {
        (0..SINGLE).try_for_each(|n| imap.ask(&format!("FETCH {} (BODY.PEEK[2])", at(n))).map(drop))
    })?;
    time("body in parts of 32 kB", &mut |imap| {
        (0..SINGLE).try_for_each(|n| {
            let from = (n % 2) * 32_768;
            imap.ask(&format!("FETCH {} (BODY.PEEK[2]<{from}.32768>)", at(n / 2))).map(drop)
        })
    })?;
    Ok(times)
}

fn imap(dovecot: &Dovecot, ours: &Ours, rounds: u32) -> Outcome {
    let messages = number("RULER_MESSAGES", 10_000);
    println!("IMAP, a mailbox of {messages} messages of 48,750 bytes of sound; filling it");
    let message = message();
    for server in [dovecot as &dyn Server, ours] {
        std::thread::scope(|scope| {
            let share = messages / 8;
            let writers: Vec<_> = (0..8)
                .map(|_| {
                    let message = &message;
                    scope.spawn(move || -> Outcome {
                        let mut lmtp = Lmtp::connect(server.lmtp())?;
                        (0..share).try_for_each(|_| lmtp.deliver("big", message))
                    })
                })
                .collect();
            writers.into_iter().try_for_each(|writer| writer.join().map_err(|_| "a writer died")?)
        })?;
    }
    let last = messages / 8 * 8;
    let mut all: Vec<(&'static str, Vec<(Duration, Duration)>)> = Vec::new();
    for round in 0..=rounds {
        let (theirs, own) = if round % 2 == 0 {
            let theirs = session(dovecot, last, round)?;
            (theirs, session(ours, last, round)?)
        } else {
            let own = session(ours, last, round)?;
            (session(dovecot, last, round)?, own)
        };
        for ((what, theirs), (_, own)) in theirs.into_iter().zip(own) {
            if round == 0 {
                println!("  first: {what}: Dovecot {:.1} ms, ours {:.1} ms", ms(theirs), ms(own));
                continue;
            }
            match all.iter_mut().find(|(known, _)| *known == what) {
                Some((_, times)) => times.push((theirs, own)),
                None => all.push((what, vec![(theirs, own)])),
            }
        }
    }
    for (what, times) in all {
        let mut ratios: Vec<f64> =
            times.iter().map(|(theirs, own)| theirs.as_secs_f64() / own.as_secs_f64()).collect();
        let middle = |pick: &dyn Fn(&(Duration, Duration)) -> Duration| {
            let mut all: Vec<_> = times.iter().map(pick).collect();
            all.sort();
            ms(all.get(all.len() / 2).copied().unwrap_or_default())
        };
        println!("{what}: Dovecot {:.1} ms, ours {:.1} ms", middle(&|t| t.0), middle(&|t| t.1));
        told(what, &mut ratios);
    }
    Ok(())
}

fn ms(span: Duration) -> f64 {
    span.as_secs_f64() * 1_000.0
}

//! Deliveries a second, in turns.

use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::Outcome;
use crate::dovecot::{Client, Dovecot, message};
use crate::figures::{Spread, part};
use crate::ours;

const ROUND: Duration = Duration::from_secs(3);

/// What one side did in one round.
struct Round {
    per_second: f64,
    latencies_ms: Vec<f64>,
    processor_ms: f64,
}

pub(crate) fn run(folder: &Path) -> Outcome {
    let rounds: usize = std::env::var("RULER_ROUNDS").ok().map_or(Ok(6), |text| text.parse())?;
    let dovecot = Dovecot::begin(&folder.join("dovecot"), &[])?;
    println!("deliveries of 48,750 bytes of GSM, {rounds} rounds of {ROUND:?} a side, in turns");
    for writers in [1, 8, 32] {
        let mailboxes: Vec<_> = (0..writers).map(|writer| format!("u{writer}")).collect();
        let store = ours::open(&folder.join("ours"), &mailboxes)?;
        let mut sides = [Vec::new(), Vec::new()];
        for _ in 0..rounds {
            let [one, other] = &mut sides;
            one.push(our_round(&store, &mailboxes)?);
            other.push(their_round(&dovecot, &mailboxes)?);
        }
        report(writers, &sides);
    }
    Ok(())
}

fn report(writers: usize, sides: &[Vec<Round>; 2]) {
    println!("\n{writers} writers, each to a mailbox of its own");
    for (name, rounds) in ["Entracte", "Dovecot"].iter().zip(sides) {
        let pace: Vec<f64> = rounds.iter().map(|round| round.per_second).collect();
        let mut times: Vec<f64> =
            rounds.iter().flat_map(|round| round.latencies_ms.iter().copied()).collect();
        times.sort_by(f64::total_cmp);
        let processor: f64 = rounds.iter().map(|round| round.processor_ms).sum();
        println!(
            "  {name:<9} {}/s, p50 {:.1} ms, p99 {:.1} ms, {:.2} ms of processor each ({} deliveries)",
            Spread::of(&pace).shown(0),
            part(&times, 50),
            part(&times, 99),
            processor / times.len() as f64,
            times.len()
        );
    }
    let [ours, theirs] = sides;
    let pairs = ours.iter().zip(theirs);
    let ratios: Vec<f64> = pairs.map(|(one, other)| one.per_second / other.per_second).collect();
    println!("  ratio of each pair: {}", Spread::of(&ratios).shown(2));
}

/// Lets each writer do `work` again and again for a round.
fn round<W>(mut writers: Vec<W>, work: impl Fn(&mut W) -> Outcome + Sync) -> Outcome<Round>
where
    W: Send,
{
    let began = Instant::now();
    let all = Mutex::new(Ok(Vec::new()));
    std::thread::scope(|scope| {
        for writer in &mut writers {
            let (all, work) = (&all, &work);
            scope.spawn(move || {
                let mut times = Vec::new();
                let mut failed = None;
                while began.elapsed() < ROUND && failed.is_none() {
                    let at = Instant::now();
                    failed = work(writer).err().map(|error| error.to_string());
                    times.push(at.elapsed().as_secs_f64() * 1_000.0);
                }
                let Ok(mut all) = all.lock() else { return };
                match (failed, &mut *all) {
                    (Some(error), all) => *all = Err(error),
                    (None, Ok(all)) => all.extend(times),
                    (None, Err(_)) => {}
                }
            });
        }
    });
    let took = began.elapsed().as_secs_f64();
    let latencies_ms = all.into_inner().map_err(|_| "a writer failed")??;
    Ok(Round { per_second: latencies_ms.len() as f64 / took, latencies_ms, processor_ms: 0.0 })
}

fn our_round(store: &mailbox::MessageStore, mailboxes: &[String]) -> Outcome<Round> {
    let draft = ours::draft();
    let to = mailboxes.iter().map(|name| ours::address(name)).collect::<Outcome<Vec<_>>>()?;
    let before = own_processor_ms();
    let mut done = None;
    ours::with_ticks(store, || {
        done = Some(round(to, |to| match store.deliver(&draft, std::slice::from_ref(to)).pop() {
            Some(Err(error)) => Err(error.into()),
            Some(Ok(_)) | None => Ok(()),
        }));
    });
    let mut done = done.ok_or("no round")??;
    done.processor_ms = own_processor_ms() - before;
    Ok(done)
}

fn their_round(dovecot: &Dovecot, mailboxes: &[String]) -> Outcome<Round> {
    let message = message();
    let connect = |name: &String| Ok((Client::connect(dovecot.folder())?, name.clone()));
    let clients = mailboxes.iter().map(connect).collect::<Outcome<Vec<_>>>()?;
    let before = dovecot.processor_ms();
    let mut done = round(clients, |(client, mailbox)| client.deliver(mailbox, &message))?;
    done.processor_ms = dovecot.processor_ms() - before;
    Ok(done)
}

fn own_processor_ms() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 * 1_000.0 + time.tv_nsec as f64 / 1_000_000.0
}

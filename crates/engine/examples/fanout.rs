//! What one engine pays for a packet of a live source that N calls hear:
//! `cargo run --release -p engine --example fanout -- N SECONDS [external]`.
//!
//! Sends from 127.8.0.1 to 127.9.0.1:32002, 32004, … as `rtpbench baseline --method send-conn`
//! does, so that the two can be set beside each other. The sink drops every packet behind the
//! socket lookup; with `external` it is another process's (`rtpbench sinkproc --mode filter`).

#![expect(clippy::print_stdout, reason = "prints its figures")]

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use audio::live::{self, LIVE_AHEAD_UNITS, UNIT_MS, UNIT_SAMPLES, Unit};
use audio::{Gain, Law};
use engine::{
    EngineConfig, EngineLoad, Engines, Piece, Program, ProgramId, Receive, StreamConfig, StreamKey,
};
use rtp::{Ptime, Start};
use socket2::{Domain, SockFilter, Socket, Type};
use vocab::Tokens;

type Fallible<T> = Result<T, Box<dyn Error>>;

const SINK: Ipv4Addr = Ipv4Addr::new(127, 9, 0, 1);
const SINK_PORT: u16 = 32_002;

fn main() -> Fallible<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |n: usize| arguments.get(n).and_then(|text| text.parse::<u16>().ok());
    let (Some(streams), Some(seconds)) = (number(0), number(1)) else {
        return Err("usage: fanout N SECONDS [external]".into());
    };
    let config = EngineConfig {
        bind: Ipv4Addr::new(127, 8, 0, 1).into(),
        port_ranges: vec![10_000..=10_001 + 2 * streams],
        refuse_above: 100,
        ..EngineConfig::default()
    };
    let (engines, notes) = Engines::start(&config, Box::new(drop))?;
    notes.iter().for_each(|note| println!("{note}"));
    let external = arguments.get(2).is_some_and(|word| word == "external");
    let _sinks: Vec<Socket> =
        if external { Vec::new() } else { (0..streams).map(sink).collect::<Result<_, _>>()? };
    let rtcp = sink(u16::MAX)?;
    let (writer, ring) = live::ring();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| write(writer, &stop));
        let measured = measure(&engines, &ring, &rtcp, (streams, seconds));
        stop.store(true, Ordering::Relaxed);
        measured
    })
}

/// A socket whose filter drops everything; the last port for what is not RTP.
fn sink(stream: u16) -> std::io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
    let port = if stream == u16::MAX { 0 } else { SINK_PORT + 2 * stream };
    socket.bind(&SocketAddr::from((SINK, port)).into())?;
    socket.attach_filter(&[SockFilter::new(6, 0, 0, 0)])?;
    Ok(socket)
}

/// Keeps the source ahead of the clock, as `sources` does.
fn write(mut writer: live::Writer, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let present = engine::clock::now().as_millis() / UNIT_MS;
        for unit in writer.next().max(present.saturating_sub(6))..=present + LIVE_AHEAD_UNITS {
            let tone: Unit = std::array::from_fn(|n| {
                let place = (unit * UNIT_SAMPLES as u64 + n as u64) % 20;
                i16::try_from(place).unwrap_or(0) * 900 - 8_550
            });
            writer.write(unit, &tone);
        }
        thread::sleep(Duration::from_millis(UNIT_MS));
    }
}

fn measure(
    engines: &Engines,
    ring: &Arc<live::Ring>,
    rtcp: &Socket,
    (streams, seconds): (u16, u16),
) -> Fallible<()> {
    let mut tokens = Tokens::new([1; 32]);
    let before = resident_kib();
    let (mut keys, mut rings) = (Vec::new(), Vec::new());
    for stream in 0..streams {
        let config = StreamConfig {
            remote_rtp: SocketAddr::from((SINK, SINK_PORT + 2 * stream)),
            remote_rtcp: rtcp.local_addr()?.as_socket(),
            law: Law::Mu,
            payload_type: 0,
            ptime: Ptime::DEFAULT,
            telephone_event: None,
            receive: Receive::Ignore,
            start: Start::draw(&mut tokens),
            cname: "fanout@127.8.0.1".into(),
            dscp: engine::Marks::default(),
        };
        let key = engines.add(engines.reserve()?, &config)?;
        let (mut pieces, program) = Program::new(ProgramId::from_number(1), Gain::UNITY, 2);
        pieces.push(Piece::Live { ring: Arc::clone(ring), samples: None })?;
        engines.play(key, program)?;
        keys.push(key);
        rings.push(pieces);
        // As calls come: not all in the same tick.
        if stream % 8 == 7 {
            thread::sleep(Duration::from_millis(1));
        }
    }
    thread::sleep(Duration::from_secs(1));
    let memory = resident_kib().saturating_sub(before);
    let (one, began) = (load(engines), engine::clock::now());
    thread::sleep(Duration::from_secs(u64::from(seconds)));
    let (two, ended) = (load(engines), engine::clock::now());
    // Streams show their figures every 16 packets only: what is due by the clock is the truer count.
    let due = ended.since(began).as_nanos() * u128::from(streams) / 20_000_000;
    let sent = u64::try_from(due)?.saturating_sub(skipped(engines, &keys)).max(1);
    println!(
        "fanout streams {streams} | sent {sent} | cpu {} ns/pkt busy {} ns/pkt | load {:.1}% max {:.1}% \
         | overruns {}/{} left out {} late p99 {} us | units encoded {} | memory {} B/stream | missing {}",
        (two.cpu_ns - one.cpu_ns) / sent,
        (two.busy_ns - one.busy_ns) / sent,
        two.load_percent,
        two.max_percent,
        two.overruns - one.overruns,
        two.ticks - one.ticks,
        two.left_out - one.left_out,
        two.lateness_p99_us,
        two.encoded_units - one.encoded_units,
        memory * 1_024 / u64::from(streams).max(1),
        keys.iter()
            .filter_map(|&key| engines.stats(key))
            .map(|stats| stats.missing_units)
            .sum::<u64>(),
    );
    Ok(())
}

fn load(engines: &Engines) -> EngineLoad {
    engines.loads().first().copied().unwrap_or_default()
}

/// Packets that were not sent though they were due.
fn skipped(engines: &Engines, keys: &[StreamKey]) -> u64 {
    let stats = keys.iter().filter_map(|&key| engines.stats(key));
    stats.map(|stats| stats.skipped + stats.failed + stats.refused).sum()
}

/// Memory of this process that is really there.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

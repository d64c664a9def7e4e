//! `entracte bench`: measures a server from outside.

use std::io::{IsTerminal as _, Write as _};
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::Exit;
use crate::bench::load::{self, Cost, Heard, LATE};
use crate::bench::subject::{SOURCE, Speech, Subject, Wanted};
use crate::bench::{figures, sip, speech};

/// Measures a server over real sockets: one that runs (--server), or one that is started for it.
///
/// Every measurement ends by itself. Exit status 1 if packets or calls were lost.
#[derive(Args, Debug)]
pub(super) struct Bench {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Load(Load),
    Sip(Sip),
    Speech(Texts),
}

/// Which server, and how it is told.
#[derive(Args, Clone, Debug)]
struct Common {
    /// Where a server takes SIP over UDP; without it one is started.
    #[arg(long, value_name = "HOST:PORT", value_parser = resolved)]
    server: Option<SocketAddr>,
    /// The process of that server, to read what it costs.
    #[arg(long, value_name = "PID", requires = "server")]
    server_pid: Option<u32>,
    /// Prints one JSON object instead of lines.
    #[arg(long)]
    json: bool,
}

/// Opens MRCPv2 sessions that listen to one live source, and tells set-up times, loss, lateness of
/// each packet against its own stream's schedule, and the server's CPU and memory.
#[derive(Args, Debug)]
struct Load {
    #[command(flatten)]
    common: Common,
    /// Sessions at one time.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    sessions: u16,
    /// How long all of them listen.
    #[arg(long, value_name = "S", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    seconds: u32,
    /// New calls a second while they are set up.
    #[arg(long, value_name = "CALLS", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rate: u32,
    /// The live source they listen to; a server that is started has "Bench".
    #[arg(long, value_name = "NAME", default_value = SOURCE)]
    source: String,
    /// Channels on one MRCPv2 connection.
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u16).range(1..))]
    channels: u16,
    /// Media threads of a server that is started.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=64))]
    engines: u8,
    /// Sends the audio to this port and every second one above it, where another program takes it;
    /// then only set-up and cost are told.
    #[arg(long, value_name = "ADDRESS:PORT")]
    receiver: Option<SocketAddr>,
}

/// Places calls with an offer for MRCPv2, each answered, held for half a second and ended.
#[derive(Args, Debug)]
struct Sip {
    #[command(flatten)]
    common: Common,
    /// New calls a second.
    #[arg(long, value_name = "CALLS", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: u32,
    /// How long new calls are placed.
    #[arg(long, value_name = "S", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3_600))]
    seconds: u32,
    /// How long each call is held.
    #[arg(long, value_name = "MS", default_value_t = 500, value_parser = clap::value_parser!(u32).range(0..=60_000))]
    hold_ms: u32,
}

/// Has texts spoken, one after the other or many at once, and tells the time from SPEAK to the first audible sample.
#[derive(Args, Debug)]
struct Texts {
    #[command(flatten)]
    common: Common,
    /// How many.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    times: u16,
    /// Sessions that have a text spoken at the same moment.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    at_once: u16,
    /// Whose voice: a voice's name, or a provider's ("flite", "espeak"); without it the server's choice.
    #[arg(long, value_name = "NAME")]
    voice: Option<String>,
}

impl Bench {
    pub(super) fn run(self) -> Exit {
        match self.what {
            What::Load(load) => load.run(),
            What::Sip(sip) => sip.run(),
            What::Speech(texts) => texts.run(),
        }
    }
}

/// The first address of a host, IPv4 before IPv6: the server listens on both where it can.
fn resolved(text: &str) -> Result<SocketAddr, String> {
    let found = text.to_socket_addrs().map_err(|error| error.to_string())?;
    found.min_by_key(SocketAddr::is_ipv6).ok_or_else(|| "it has no address".to_owned())
}

impl Common {
    fn subject(&self, wanted: Wanted) -> Result<Subject, Exit> {
        match self.server {
            Some(server) => Ok(Subject::given(server, self.server_pid)),
            None => Subject::start(wanted).map_err(|error| failed(&error)),
        }
    }

    /// What is left to say: the object, or the server's warnings.
    fn conclude(&self, passed: bool, found: &Value, subject: &Subject) -> Exit {
        line("");
        if self.json {
            println!("{found}");
        }
        eprint!("{}", subject.log());
        if passed { Exit::Done } else { Exit::Failed }
    }
}

impl Load {
    fn run(&self) -> Exit {
        let wanted = Wanted {
            // One that warms up, and some that linger while their goodbye is repeated.
            sessions: usize::from(self.sessions) + 8,
            engines: self.engines.into(),
            speech: Speech::Off,
        };
        let subject = match self.common.subject(wanted) {
            Ok(subject) => subject,
            Err(exit) => return exit,
        };
        let order = load::Order {
            sessions: self.sessions.into(),
            listen: Duration::from_secs(self.seconds.into()),
            rate: self.rate,
            uri: format!("source:{}", self.source),
            channels_each: self.channels.into(),
            elsewhere: self.receiver,
        };
        let tell = |progress: load::Progress| {
            let load::Progress { up, of, packets } = progress;
            line(&format!("{up} of {of} sessions up, {packets} packets"));
        };
        let Some(runtime) = super::runtime() else { return Exit::Failed };
        let found = match runtime.block_on(load::run(&order, &subject, tell)) {
            Ok(found) => found,
            Err(error) => return failed(&error),
        };
        line("");
        if !self.common.json {
            print_load(&found, &order);
        }
        self.common.conclude(found.passed(), &found.to_json(), &subject)
    }
}

fn print_load(found: &load::Found, order: &load::Order) {
    println!("sessions              {} up of {}", found.up, order.sessions);
    for failure in found.failures.iter().take(5) {
        println!("  failed              {failure}");
    }
    println!("INVITE to 200         {}", found.answered);
    println!("SPEAK to IN-PROGRESS  {}", found.speaking);
    if let Some(heard) = &found.heard {
        println!("INVITE to first RTP   {}", found.first_packet);
        print_heard(heard);
    }
    if let Some(cost) = &found.cost {
        print_cost(cost);
    }
}

fn print_heard(heard: &Heard) {
    println!(
        "packets               {} due, {} came, {} lost, {} twice, {} out of order, {} streams silent",
        heard.expected, heard.received, heard.lost, heard.duplicated, heard.reordered, heard.silent
    );
    println!("lateness              {}", heard.lateness);
    println!(
        "later than {} ms       {} of {} ({:.3} %)",
        LATE.as_millis(),
        heard.late,
        heard.timed,
        heard.late_share() * 100.0
    );
}

fn print_cost(cost: &Cost) {
    println!(
        "server CPU            engine {} ns a packet ({:.1} % of a core), rest {:.1} % of a core",
        cost.engine_nanos,
        cost.engine_share * 100.0,
        cost.rest_share * 100.0
    );
    println!(
        "for each session      {:.0} us CPU to set it up (engine not counted), {:.1} KB of memory",
        figures::millis(cost.setup) * 1e3,
        f64::from(u32::try_from(cost.memory_bytes).unwrap_or(u32::MAX)) / 1_024.0
    );
}

impl Sip {
    fn run(&self) -> Exit {
        let wanted = Wanted { sessions: 50_000, engines: 1, speech: Speech::Off };
        let subject = match self.common.subject(wanted) {
            Ok(subject) => subject,
            Err(exit) => return exit,
        };
        let order = sip::Order {
            rate: self.rate,
            seconds: self.seconds,
            hold: Duration::from_millis(self.hold_ms.into()),
        };
        let tell = |progress: sip::Progress| {
            let sip::Progress { begun, up, ended } = progress;
            line(&format!("{begun} calls begun, {up} up, {ended} ended"));
        };
        let found = match sip::run(order, &subject, tell) {
            Ok(found) => found,
            Err(error) => return failed(&error.to_string()),
        };
        line("");
        if !self.common.json {
            println!(
                "calls                 {} begun ({:.0} a second), {} ended well, {} requests sent again",
                found.begun, found.rate, found.ended, found.again
            );
            for (status, count) in &found.failed {
                println!("  failed              {count} with {status} (0: no answer)");
            }
            println!("INVITE to 200         {}", found.answered);
            if let (Some(cpu), Some(engine)) = (found.cpu_each, found.engine_each) {
                let micros = |span| figures::millis(span) * 1e3;
                println!(
                    "server CPU            {:.1} us a call, and {:.1} us of media threads",
                    micros(cpu),
                    micros(engine)
                );
            }
        }
        self.common.conclude(found.passed(), &found.to_json(), &subject)
    }
}

impl Texts {
    fn run(&self) -> Exit {
        let at_once = usize::from(self.at_once);
        let wanted = Wanted { sessions: at_once.max(8), engines: 1, speech: Speech::On };
        let subject = match self.common.subject(wanted) {
            Ok(subject) => subject,
            Err(exit) => return exit,
        };
        let times = usize::from(self.times);
        let tell = |number| line(&format!("round {} of {times}", number + 1));
        let order = speech::Order { times, at_once, voice: self.voice.clone() };
        let Some(runtime) = super::runtime() else { return Exit::Failed };
        let found = match runtime.block_on(speech::run(&order, &subject, tell)) {
            Ok(found) => found,
            Err(error) => return failed(&error),
        };
        line("");
        if !self.common.json {
            for failure in found.failures.iter().take(5) {
                println!("failed                {failure}");
            }
            println!("SPEAK to IN-PROGRESS  {}", found.in_progress);
            println!("SPEAK to audible      {}", found.audible);
        }
        self.common.conclude(found.passed(), &found.to_json(), &subject)
    }
}

/// One line on a terminal, over the last one; nothing where nobody looks.
fn line(text: &str) {
    let mut stderr = std::io::stderr();
    if stderr.is_terminal() {
        let _ = write!(stderr, "\r\x1b[K{text}");
        let _ = stderr.flush();
    }
}

fn failed(error: &str) -> Exit {
    line("");
    eprintln!("entracte: {error}");
    Exit::Failed
}

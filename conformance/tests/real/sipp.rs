//! sipp places calls by the thousand.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use conformance::programs;
use conformance::rig::Rig;

/// What a run is.
struct Run {
    scenario: &'static str,
    transport: &'static str,
    calls: usize,
    calls_a_second: usize,
}

/// Places the calls, and checks that each went as the scenario has it.
async fn check(rig: &Rig, server: SocketAddr, run: Run) {
    let scenario = Path::new(env!("CARGO_MANIFEST_DIR")).join("sipp").join(run.scenario);
    let (calls, rate) = (run.calls.to_string(), run.calls_a_second.to_string());
    let mut sipp = Command::new("sipp");
    sipp.arg(server.to_string()).arg("-sf").arg(scenario);
    sipp.args(["-t", run.transport, "-m", &calls, "-r", &rate, "-l", "4000"]);
    sipp.args(["-i", "127.0.0.1", "-nostdin", "-max_socket", "100", "-timeout", "40s"]);
    sipp.args(["-trace_err", "-error_file", "/dev/stderr"]);
    let left = tokio::task::spawn_blocking(move || programs::run(&mut sipp, SIPP)).await.unwrap();
    let count = |name: &str| {
        let line = left.out.lines().rfind(|line| line.contains(name));
        line.and_then(|line| line.rsplit('|').next()).map(|cell| cell.trim().to_owned())
    };
    let told = (count("Successful call"), count("Failed call"), left.status.code());
    println!("{} {}: {told:?}", run.transport, count("Response Time 1").unwrap_or_default());
    let wanted = (Some(calls), Some("0".to_owned()), Some(0));
    assert_eq!(told, wanted, "{}", left.err.lines().take(40).collect::<Vec<_>>().join("\n"));
    rig.settles_within(Duration::from_secs(5), |now| {
        (now.control.sessions, now.control.channels, now.streams, now.sip.calls) == (0, 0, 0, 0)
    })
    .await;
}

/// How long sipp may take.
const SIPP: Duration = Duration::from_secs(50);

#[tokio::test(flavor = "multi_thread")]
async fn sipp_places_a_thousand_calls_a_second_over_udp() {
    let rig = Rig::start().await;
    let run =
        Run { scenario: "mrcp_call.xml", transport: "u1", calls: 2_000, calls_a_second: 1_000 };
    check(&rig, rig.udp, run).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sipp_places_a_thousand_calls_a_second_over_one_tcp_connection() {
    let rig = Rig::start().await;
    let run =
        Run { scenario: "mrcp_call.xml", transport: "t1", calls: 2_000, calls_a_second: 1_000 };
    check(&rig, rig.tcp, run).await;
    rig.settles_within(Duration::from_secs(5), |now| now.connections == 0).await;
}

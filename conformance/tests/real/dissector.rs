//! Wireshark's dissector reads a session and finds nothing wrong with it.

use std::collections::BTreeSet;
use std::io::BufWriter;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use conformance::rig::{Rig, SOURCE, hasty};
use conformance::{Folder, programs};
use entracte::client::link::Link;
use entracte::client::{Phone, Tap};
use entracte::pcap::Capture;
use mrcp::{Headers, Method};

/// Runs tshark over a capture; one line of output a packet.
pub(crate) fn tshark(capture: &Path, rules: &[String], words: &[&str]) -> Vec<String> {
    let mut tshark = Command::new("tshark");
    tshark.arg("-n").arg("-r").arg(capture);
    for rule in rules {
        tshark.args(["-d", rule]);
    }
    tshark.args(words);
    let left = programs::run(&mut tshark, Duration::from_secs(30));
    assert!(left.status.success(), "{}", left.err);
    left.out.lines().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn tshark_dissects_a_session_without_a_malformed_packet() {
    let rig = Rig::with("", &hasty()).await;
    let folder = Folder::create();
    let file = folder.path().join("session.pcap");
    let capture = Capture::begin(BufWriter::new(std::fs::File::create(&file).unwrap())).unwrap();
    let tap: Tap = Arc::new(Mutex::new(capture));
    let phone = Phone::open(rig.udp, Some(Arc::clone(&tap))).await.unwrap();
    let link = Link::open(rig.mrcp, Some(Arc::clone(&tap))).await.unwrap();
    let mut call = rig.call_with(&phone, &link, Arc::clone(&tap)).await.unwrap();
    let answer = call.play(&format!("source:{SOURCE}")).await;
    assert_eq!(answer.status, mrcp::Status::SUCCESS, "{answer:?}");
    call.hears_within(Duration::from_secs(5)).await;
    for method in [Method::Pause, Method::Resume, Method::GetParams, Method::Stop] {
        tokio::time::sleep(Duration::from_millis(100)).await;
        call.channel.send(method, Headers::new(), Vec::new()).await.unwrap();
        call.channel.next().await.unwrap();
    }
    let ear = call.ear.local();
    phone.hang_up(call.answer).await;
    rig.leaves_nothing_within(Duration::from_secs(5)).await;
    entracte::client::flush(&tap);

    let rules = [
        format!("udp.port=={},sip", rig.udp.port()),
        format!("tcp.port=={},mrcpv2", rig.mrcp.port()),
        format!("udp.port=={},rtp", ear.port()),
    ];
    let packets = tshark(&file, &rules, &["-T", "fields", "-e", "frame.protocols"]);
    let seen: BTreeSet<&str> = packets.iter().flat_map(|packet| packet.split(':')).collect();
    println!("{} packets: {seen:?}", packets.len());
    for wanted in ["sip", "sdp", "mrcpv2", "rtp"] {
        assert!(seen.contains(wanted), "no {wanted} in {seen:?}");
    }
    let wrong = tshark(&file, &rules, &["-Y", "_ws.malformed || _ws.expert.severity >= error"]);
    assert_eq!(wrong, Vec::<String>::new());
    let summary = tshark(&file, &rules, &["-Y", "sip || mrcpv2"]).join("\n");
    let count = |filter: &str| tshark(&file, &rules, &["-Y", filter]).len();
    // INVITE and BYE have their answers; five requests have theirs.
    assert_eq!(count("sip.Status-Code == 200"), 2, "{summary}");
    assert_eq!(count("mrcpv2.Request-Line"), 5, "{summary}");
    assert_eq!(count("mrcpv2.Response-Line"), 5, "{summary}");
    assert!(count("rtp.p_type == 0") >= 10);
}

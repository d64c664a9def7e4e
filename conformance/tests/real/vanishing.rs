//! Clients that are gone without a goodbye leave nothing behind.

use std::process::Command;
use std::time::Duration;

use conformance::programs::Holder;
use conformance::rig::{Rig, SOURCE, hasty};
use entracte::client::Phone;

/// Beyond every timer of a [`hasty`] server.
const TIMERS: Duration = Duration::from_secs(12);

/// A crowd of clients in a process of its own.
pub(crate) async fn crowd(rig: &Rig, what: &'static str, count: usize) -> (Holder, usize) {
    let mut crowd = Command::new(env!("CARGO_BIN_EXE_crowd"));
    let tcp = if what == "calls" { rig.udp } else { rig.tcp };
    crowd.args([what, &tcp.to_string(), &rig.mrcp.to_string(), &count.to_string()]);
    let started = tokio::task::spawn_blocking(move || Holder::start(&mut crowd)).await;
    let (holder, line) = started.unwrap();
    (holder, line.trim().parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn complaint_15_a_hundred_clients_killed_amid_their_audio_leave_nothing() {
    let rig = Rig::with("", &hasty()).await;
    let (clients, count) = crowd(&rig, "calls", 100).await;
    assert_eq!(count, 100);
    let now = rig.standing().await;
    let held = (now.control.sessions, now.control.channels, now.streams, now.programs);
    assert_eq!(held, (100, 100, 100, 100));
    assert_eq!(now.connections, 100);
    clients.kill();
    rig.leaves_nothing_within(TIMERS).await;
    rig.settles_within(TIMERS, |now| now.connections == 0).await;
    // And the place is free again: the next one is served.
    let (phone, link) = (rig.phone().await, rig.link().await);
    let mut call = rig.call(&phone, &link).await.unwrap();
    call.play(&format!("source:{SOURCE}")).await;
    call.hears_within(TIMERS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_without_mrcp_that_is_gone_is_found_by_silence() {
    let rig = Rig::with("", &hasty()).await;
    let phone = Phone::open(rig.udp, None).await.unwrap();
    let ear = entracte::client::ear::Ear::open(rig.udp, None).await.unwrap();
    let offer = conformance::rig::offer(ear.local(), &[]);
    phone.call(&format!("sip:{SOURCE}@{}", rig.udp), offer).await.unwrap();
    assert_eq!(rig.standing().await.control.sessions, 1);
    // While it lives it is asked now and then, and stays.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(rig.standing().await.control.sessions, 1);
    drop((phone, ear));
    rig.leaves_nothing_within(TIMERS).await;
}

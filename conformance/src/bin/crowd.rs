//! Many clients in a process of their own, which a test can kill: `crowd calls SIP MRCP COUNT` holds
//! calls that hear the source; `crowd connections SIP MRCP COUNT` holds as many connections, half of
//! each protocol. It says so in one line, and stays until it is killed.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a part of tests")]

use std::net::SocketAddr;
use std::time::Duration;

use conformance::rig::{self, SOURCE};
use entracte::client::Phone;
use entracte::client::link::Link;
use rustix::process::{Resource, getrlimit, setrlimit};

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let words: Vec<String> = std::env::args().collect();
    let [_, what, sip, mrcp, count] = words.as_slice() else {
        println!("usage: crowd calls|connections SIP MRCP COUNT");
        return;
    };
    let (sip, mrcp): (SocketAddr, SocketAddr) = (sip.parse().unwrap(), mrcp.parse().unwrap());
    let count: usize = count.parse().unwrap();
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
    if what == "calls" {
        calls(sip, mrcp, count).await;
    } else {
        connections(sip, mrcp, count).await;
    }
}

async fn calls(sip: SocketAddr, mrcp: SocketAddr, count: usize) {
    let mut held = Vec::new();
    for _ in 0..count {
        let phone = Phone::open(sip, None).await.unwrap();
        let link = Link::open(mrcp, None).await.unwrap();
        let mut call = rig::call(sip, &phone, &link, None).await.unwrap();
        call.play(&format!("source:{SOURCE}")).await;
        held.push((phone, link, call));
    }
    for (_, _, call) in &held {
        call.hears_within(Duration::from_secs(5)).await;
    }
    println!("{}", held.len());
    std::future::pending::<()>().await;
}

async fn connections(sip: SocketAddr, mrcp: SocketAddr, count: usize) {
    let mut held = Vec::new();
    for number in 0..count {
        let server = if number % 2 == 0 { sip } else { mrcp };
        match tokio::net::TcpStream::connect(server).await {
            Ok(stream) => held.push(stream),
            // Out of descriptors.
            Err(_) => break,
        }
    }
    println!("{}", held.len());
    std::future::pending::<()>().await;
}

//! Peers that mean it no good, and a caller beside them who does not notice.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use conformance::rig::{Rig, SOURCE, hasty};
use entracte::clock::instant;
use entracte::serve::Options;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream, UdpSocket};

use crate::vanishing::crowd;

/// How long setting up a call may take while others are at it.
const SET_UP: Duration = Duration::from_secs(5);

/// How long a connection that is to be closed may live on.
const CLOSED: Duration = Duration::from_secs(20);

/// Calls, hears the source and hangs up, again and again, until `done`; gives how often and the
/// longest time from INVITE to the first audio.
async fn caller(rig: &Rig, done: impl Future<Output = ()>) -> (usize, Duration) {
    let (phone, link) = (rig.phone().await, rig.link().await);
    let (mut calls, mut longest) = (0, Duration::ZERO);
    let calling = async {
        loop {
            let begun: Instant = instant();
            let mut call = rig.call(&phone, &link).await.unwrap();
            call.play(&format!("source:{SOURCE}")).await;
            call.hears_within(Duration::from_secs(10)).await;
            longest = longest.max(begun.elapsed());
            calls += 1;
            phone.hang_up(call.answer).await;
        }
    };
    tokio::select! {
        () = calling => {}
        () = done => {}
    }
    println!("{calls} calls beside it, the slowest set up in {longest:?}");
    assert!(calls > 0 && longest < SET_UP, "{calls} calls, the slowest took {longest:?}");
    (calls, longest)
}

fn options(transport: &str, number: usize) -> String {
    format!(
        "OPTIONS sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/{transport} 127.0.0.1:9;branch=z9hG4bK{number}\r\n\
         Max-Forwards: 70\r\nFrom: <sip:a@127.0.0.1>;tag={number}\r\nTo: <sip:127.0.0.1>\r\n\
         Call-ID: {number}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    )
}

fn get_params(number: usize) -> String {
    let rest = format!(" GET-PARAMS {number}\r\nChannel-Identifier:0a0b@speechsynth\r\n\r\n");
    let length = "MRCP/2.0 ".len() + 3 + rest.len();
    format!("MRCP/2.0 {length:03}{rest}")
}

/// Sends without end and reads nothing, until the server has had enough; the caller's connection
/// is there already, and stays.
async fn never_reads(rig: &Rig, server: SocketAddr, message: impl Fn(usize) -> String) {
    rig.settles_within(CLOSED, |now| now.connections == 1).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(65_536).unwrap();
    let mut stream = socket.connect(server).await.unwrap();
    rig.settles_within(CLOSED, |now| now.connections == 2).await;
    let sending = async {
        for number in 1.. {
            let batch: String = (0..64).map(|each| message(number * 64 + each)).collect();
            if stream.write_all(batch.as_bytes()).await.is_err() {
                break;
            }
        }
        // Its own end may be told later than the server decided.
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = sending => {}
        () = rig.settles_within(CLOSED, |now| now.connections == 1) => {}
    }
}

async fn again_and_again(rig: &Rig, server: SocketAddr, message: impl Fn(usize) -> String) {
    let (end, mut times) = (instant() + Duration::from_secs(3), 0);
    while instant() < end {
        never_reads(rig, server, &message).await;
        times += 1;
    }
    println!("closed {times} times");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sip_peer_that_sends_and_never_reads_loses_its_own_connection() {
    let rig = Rig::start().await;
    caller(&rig, again_and_again(&rig, rig.tcp, |number| options("TCP", number))).await;
    rig.settles_within(CLOSED, |now| now.connections == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_mrcp_peer_that_sends_and_never_reads_loses_its_own_connection() {
    let rig = Rig::start().await;
    caller(&rig, again_and_again(&rig, rig.mrcp, get_params)).await;
    rig.settles_within(CLOSED, |now| now.connections == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_from_one_udp_peer_is_not_noticed_by_others() {
    let rig = Rig::start().await;
    let server = rig.udp;
    let flood = tokio::task::spawn_blocking(move || {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let (end, mut sent) = (instant() + Duration::from_secs(3), 0);
        while instant() < end {
            sent += 1;
            let _ = socket.send_to(options("UDP", sent).as_bytes(), server);
        }
        println!("{sent} requests in the flood");
    });
    caller(&rig, async { flood.await.unwrap() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_connections_are_not_noticed_by_others() {
    let rig = Rig::start().await;
    let mut holder = None;
    caller(&rig, async {
        let (clients, count) = crowd(&rig, "connections", 10_000).await;
        println!("{count} connections");
        assert_eq!(count, 10_000);
        holder = Some(clients);
        rig.settles_within(CLOSED, |now| now.connections >= count).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    })
    .await;
    drop(holder);
    rig.settles_within(CLOSED, |now| now.connections <= 1).await;
}

/// Sends `begun`, then a byte now and then; the connection must be closed in time.
async fn check_half(server: SocketAddr, begun: &str) {
    let mut stream = TcpStream::connect(server).await.unwrap();
    stream.write_all(begun.as_bytes()).await.unwrap();
    let since = instant();
    let mut buffer = [0; 4_096];
    loop {
        tokio::select! {
            read = stream.read(&mut buffer) => match read {
                Ok(1..) => {}
                Ok(0) | Err(_) => break,
            },
            () = tokio::time::sleep(Duration::from_millis(100)) => {
                let _ = stream.write_all(b"x").await;
            }
        }
        assert!(since.elapsed() < Duration::from_secs(5), "still open: {begun:?}");
    }
    assert!(since.elapsed() > Duration::from_millis(900), "closed too soon: {begun:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_message_is_waited_for_and_then_the_connection_is_closed() {
    let rig = Rig::with("", &hasty()).await;
    check_half(rig.tcp, "OPTIONS sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 127.0").await;
    check_half(rig.tcp, &options("TCP", 1).replace("Length: 0", "Length: 5000")).await;
    check_half(rig.mrcp, "MRCP/2.0 400 SPEAK 1\r\nChannel-Identifier:0a@speechsynth\r\n").await;
    let whole_and_half = format!("{}MRCP/2.0 400 SPEAK 1\r\nChannel-Ide", get_params(100));
    check_half(rig.mrcp, &whole_and_half).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_too_many_is_closed_at_once_and_an_idle_one_later() {
    let limits = "connections_max = 6\nconnections_per_peer_max = 4\nidle_seconds = 1";
    let rig = Rig::with(limits, &Options::default()).await;
    let mut open = Vec::new();
    for _ in 0..4 {
        open.push(TcpStream::connect(rig.tcp).await.unwrap());
    }
    rig.settles_within(CLOSED, |now| now.connections == 4).await;
    let mut fifth = TcpStream::connect(rig.tcp).await.unwrap();
    let read = tokio::time::timeout(CLOSED, fifth.read(&mut [0; 16])).await.unwrap();
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    assert_eq!(rig.standing().await.connections, 4);
    // 127.0.0.2 is another peer; two more are there for all others.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut other = socket.connect(rig.tcp).await.unwrap();
    rig.settles_within(CLOSED, |now| now.connections == 5).await;
    // Whoever is not heard is closed; whoever speaks is not.
    let mut buffer = vec![0; 65_535];
    for number in 0..8 {
        other.write_all(options("TCP", number).as_bytes()).await.unwrap();
        assert!(other.read(&mut buffer).await.unwrap() > 0);
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    assert_eq!(rig.standing().await.connections, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_connection_with_a_call_on_it_stays() {
    // The client below does not answer when it is asked whether it lives.
    let patient = Options { liveness: Options::default().liveness, ..hasty() };
    let rig = Rig::with("idle_seconds = 1", &patient).await;
    let media = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let body = conformance::rig::offer(media.local_addr().unwrap(), &["speechsynth"]);
    let mut stream = TcpStream::connect(rig.tcp).await.unwrap();
    let own = stream.local_addr().unwrap();
    let request = |method: &str, seq: u32, to: &str, body: &[u8]| {
        let head = format!(
            "{method} sip:mresources@{0} SIP/2.0\r\nVia: SIP/2.0/TCP {own};branch=z9hG4bK{seq}{method}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:a@{own}>;tag=1\r\nTo: <sip:mresources@{0}>{to}\r\n\
             Call-ID: 5@{own}\r\nCSeq: {seq} {method}\r\nContact: <sip:a@{own};transport=tcp>\r\n\
             Content-Type: application/sdp\r\nContent-Length: {1}\r\n\r\n",
            rig.tcp,
            body.len()
        );
        [head.as_bytes(), body].concat()
    };
    stream.write_all(&request("INVITE", 1, "", &body)).await.unwrap();
    let mut buffer = vec![0; 65_535];
    let mut text = String::new();
    while !text.contains("SIP/2.0 200 ") || !text.contains("m=application") {
        let length = stream.read(&mut buffer).await.unwrap();
        text.push_str(&String::from_utf8_lossy(buffer.get(..length).unwrap()));
    }
    let to = text.split("\r\n").filter(|line| line.starts_with("To:")).last().unwrap();
    let tag = to.split_once(";tag=").unwrap().1;
    stream.write_all(&request("ACK", 1, &format!(";tag={tag}"), b"")).await.unwrap();
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    let now = rig.standing().await;
    assert_eq!((now.connections, now.control.sessions), (1, 1));
    stream.write_all(&request("BYE", 2, &format!(";tag={tag}"), b"")).await.unwrap();
    rig.settles_within(CLOSED, |now| now.control.sessions == 0 && now.connections == 0).await;
}

//! What users of other servers suffer from, tried here. docs/complaints.md has the list.

use std::time::Duration;

use conformance::rig::{Rig, SOURCE, hasty};
use mrcp::{Headers, Method, State, Status};
use tokio::net::{TcpListener, UdpSocket};

const TIMERS: Duration = Duration::from_secs(12);

fn nothing() -> (Headers, Vec<u8>) {
    (Headers::new(), Vec::new())
}

fn uri_list(uri: &str) -> (Headers, Vec<u8>) {
    let mut headers = Headers::new();
    headers.push("Content-Type", "text/uri-list");
    (headers, format!("{uri}\r\n").into())
}

#[tokio::test(flavor = "multi_thread")]
async fn complaint_01_started_and_stopped_at_once_nothing_plays_on() {
    let rig = Rig::with("", &hasty()).await;
    let (phone, link) = (rig.phone().await, rig.link().await);
    let mut call = rig.call(&phone, &link).await.unwrap();
    for _ in 0..100 {
        // Both are on their way before the first is answered.
        let (headers, body) = uri_list(&format!("source:{SOURCE}"));
        call.channel.send(Method::Speak, headers, body).await.unwrap();
        let (headers, body) = nothing();
        let stopped = call.ask(Method::Stop, headers, body).await;
        assert_eq!((stopped.status, stopped.state), (Status::SUCCESS, State::Complete));
    }
    rig.settles_within(TIMERS, |now| now.programs == 0 && now.control.programs == 0).await;
    for _ in 0..20 {
        let mut short = rig.call(&phone, &link).await.unwrap();
        let (headers, body) = uri_list(&format!("source:{SOURCE}"));
        short.channel.send(Method::Speak, headers, body).await.unwrap();
        phone.hang_up(short.answer).await;
    }
    phone.hang_up(call.answer).await;
    rig.leaves_nothing_within(TIMERS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn complaint_13_an_invite_without_an_ack_is_answered_finally_and_hung_up() {
    let rig = Rig::with("", &hasty()).await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let own = socket.local_addr().unwrap();
    let body = conformance::rig::offer(own, &["speechsynth"]);
    let head = format!(
        "INVITE sip:mresources@{0} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bK77\r\n\
         Max-Forwards: 70\r\nFrom: <sip:a@{own}>;tag=1\r\nTo: <sip:mresources@{0}>\r\n\
         Call-ID: 77@{own}\r\nCSeq: 1 INVITE\r\nContact: <sip:a@{own}>\r\n\
         Content-Type: application/sdp\r\nContent-Length: {1}\r\n\r\n",
        rig.udp,
        body.len()
    );
    socket.send_to(&[head.as_bytes(), &body].concat(), rig.udp).await.unwrap();
    let mut seen = Vec::new();
    let mut buffer = vec![0; 65_535];
    let said_bye = async {
        loop {
            let length = socket.recv(&mut buffer).await.unwrap();
            let text = String::from_utf8_lossy(buffer.get(..length).unwrap()).into_owned();
            let line = text.lines().next().unwrap_or_default().to_owned();
            let bye = line.starts_with("BYE ");
            seen.push(line);
            if bye {
                return;
            }
        }
    };
    tokio::time::timeout(TIMERS, said_bye).await.unwrap();
    let finals = seen.iter().filter(|line| line.starts_with("SIP/2.0 200 ")).count();
    assert!(finals >= 3, "the 200 is sent again: {seen:?}");
    rig.leaves_nothing_within(TIMERS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn complaint_14_a_uri_that_never_answers_holds_neither_the_call_nor_the_next_one() {
    let rig = Rig::with("", &hasty()).await;
    // It listens, and says nothing.
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}/never.wav", mute.local_addr().unwrap());
    let (phone, link) = (rig.phone().await, rig.link().await);
    for _ in 0..5 {
        let mut call = rig.call(&phone, &link).await.unwrap();
        let answer = call.play(&uri).await;
        assert!(answer.status.is_success() || answer.state == State::Complete, "{answer:?}");
        phone.hang_up(call.answer).await;
    }
    rig.leaves_nothing_within(TIMERS).await;
    let mut call = rig.call(&phone, &link).await.unwrap();
    call.play(&format!("source:{SOURCE}")).await;
    call.hears_within(TIMERS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn complaint_16_a_connection_that_idled_serves_the_next_session() {
    let rig = Rig::with("idle_seconds = 1", &hasty()).await;
    let (phone, link) = (rig.phone().await, rig.link().await);
    for gap_s in [2, 3, 0] {
        let mut call = rig.call(&phone, &link).await.unwrap();
        let answer = call.play(&format!("source:{SOURCE}")).await;
        assert_eq!((answer.status, answer.state), (Status::SUCCESS, State::InProgress));
        call.hears_within(TIMERS).await;
        phone.hang_up(call.answer).await;
        tokio::time::sleep(Duration::from_secs(gap_s)).await;
    }
    rig.leaves_nothing_within(TIMERS).await;
}

/// What this process has in memory, KiB.
fn resident_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn complaint_17_a_session_that_never_ends_does_not_grow() {
    let rig = Rig::with("", &hasty()).await;
    let (phone, link) = (rig.phone().await, rig.link().await);
    let mut call = rig.call(&phone, &link).await.unwrap();
    let mut sizes = Vec::new();
    for _ in 0..4 {
        for _ in 0..500 {
            let (headers, body) = uri_list(&format!("source:{SOURCE}"));
            call.ask(Method::Speak, headers, body).await;
            let (headers, body) = nothing();
            call.ask(Method::Stop, headers, body).await;
        }
        sizes.push(resident_kb());
    }
    println!("KiB after each 500 utterances: {sizes:?}");
    let grown = sizes.last().unwrap().saturating_sub(*sizes.get(1).unwrap());
    // A kilobyte an utterance would be 1,000.
    assert!(grown < 600, "{sizes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn complaint_21_many_channels_on_one_connection_each_get_their_own_answers() {
    let rig = Rig::with("", &hasty()).await;
    let (phone, link) = (rig.phone().await, rig.link().await);
    let mut calls = Vec::new();
    for _ in 0..50 {
        calls.push(rig.call(&phone, &link).await.unwrap());
    }
    let busy = calls.into_iter().enumerate().map(|(number, mut call)| {
        tokio::spawn(async move {
            for turn in 0..20 {
                let (headers, body) = uri_list(&format!("source:{SOURCE}"));
                let wanted = [
                    (Method::Speak, headers, body, Status::SUCCESS),
                    (Method::Pause, Headers::new(), Vec::new(), Status::SUCCESS),
                    (Method::Resume, Headers::new(), Vec::new(), Status::SUCCESS),
                    (Method::Stop, Headers::new(), Vec::new(), Status::SUCCESS),
                ];
                for (method, headers, body, status) in wanted {
                    let answer = call.ask(method.clone(), headers, body).await;
                    assert_eq!(answer.status, status, "call {number} turn {turn}: {method:?}");
                }
            }
            call
        })
    });
    let busy: Vec<_> = busy.collect();
    for each in busy {
        phone.hang_up(each.await.unwrap().answer).await;
    }
    rig.leaves_nothing_within(TIMERS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn complaint_48_contact_names_the_signalling_address_and_sdp_the_media_address() {
    let settings = "[general.sip]\nadvertise = \"sip.example\"\n[general.mrcp]\n\
                    advertise = [\"198.51.100.7\"]\n[audio.rtp]\nadvertise = [\"198.51.100.8\"]\n";
    let subject = conformance::Subject::with_tables(settings);
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let own = socket.local_addr().unwrap();
    let body = conformance::rig::offer(own, &["speechsynth"]);
    let invite = format!(
        "INVITE sip:mresources@{0} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bK48\r\n\
         Max-Forwards: 70\r\nFrom: <sip:a@{own}>;tag=1\r\nTo: <sip:mresources@{0}>\r\n\
         Call-ID: 48@{own}\r\nCSeq: 1 INVITE\r\nContact: <sip:a@{own}>\r\n\
         Content-Type: application/sdp\r\nContent-Length: {1}\r\n\r\n",
        subject.sip,
        body.len()
    );
    socket.send_to(&[invite.as_bytes(), &body].concat(), subject.sip).await.unwrap();
    let mut buffer = vec![0; 65_535];
    let answer = loop {
        let received = tokio::time::timeout(TIMERS, socket.recv(&mut buffer)).await;
        let length = received.expect("no answer").unwrap();
        let text = String::from_utf8_lossy(buffer.get(..length).unwrap()).into_owned();
        if text.starts_with("SIP/2.0 200 ") {
            break text;
        }
    };
    let contact = answer.lines().find(|line| line.starts_with("Contact:")).unwrap();
    assert!(contact.contains("@sip.example:") || contact.contains("sip:sip.example:"), "{contact}");
    assert!(!contact.contains("198.51.100"), "{contact}");
    let media: Vec<_> = answer.lines().filter(|line| line.starts_with("c=")).collect();
    assert!(!media.is_empty() && media.iter().all(|line| line.contains("198.51.100.")), "{answer}");
    assert!(media.iter().any(|line| line.contains("198.51.100.8")), "{answer}");
}

//! Who looks on: captures, a HEP collector, webhooks, a collector of traces.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use ::entracte::client::Phone;
use ::entracte::client::ear::Ear;
use ::entracte::client::link::Link;
use ::entracte::clock::instant;
use base64::Engine as _;
use conformance::rig::{call, offer};
use conformance::{Folder, Subject, entracte, programs};

use crate::dissector::tshark;

const PATIENCE: Duration = Duration::from_secs(20);
const QUIET: &str = "[text_to_speech]\nenabled = false\n";
const MUSIC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/sources/assets/hold-music.wav");

fn settings(more: &str) -> String {
    format!("{QUIET}{more}[[external_audio.sources]]\nname = \"Music\"\nuri = \"file:{MUSIC}\"\n")
}

/// Where MRCPv2 is spoken, as the ready line says.
fn mrcp_of(subject: &Subject) -> SocketAddr {
    let (_, rest) = subject.ready().unwrap().split_once("mrcp/tcp ").unwrap();
    rest.split([' ', ',']).next().unwrap().parse().unwrap()
}

fn ask(subject: &Subject, words: &[&str]) -> Command {
    let mut program = Command::new(entracte());
    program.args(words).args(["--url", &format!("http://{}", subject.http())]);
    program.arg("--token-file").arg(subject.token_file());
    program
}

/// A program that ends with the test, however that ends.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // It has ended already where all is well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_capture_of_one_call_has_its_signalling_and_media_and_no_other_calls() {
    let subject = Subject::own(&settings(""));
    let folder = Folder::create();
    let file = folder.path().join("one.pcap");
    let link = Link::open(mrcp_of(&subject), None).await.unwrap();
    let phone = Phone::open(subject.sip, None).await.unwrap();
    let other_ear = Ear::open(subject.sip, None).await.unwrap();
    let target = format!("sip:Music@{}", subject.sip);
    let other = phone.call(&target, offer(other_ear.local(), &[])).await.unwrap();
    let mut one = call(subject.sip, &phone, &link, None).await.unwrap();
    // Calls are counted up from 1: the second is captured.
    let capture = ask(&subject, &["capture", "--session", "2", "--json"])
        .arg("--out")
        .arg(&file)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut capture = Ended(capture);
    let mut said = String::new();
    BufReader::new(capture.0.stderr.take().unwrap()).read_line(&mut said).unwrap();
    assert!(said.starts_with("capturing into"), "{said}");
    let answer = one.play("source:Music").await;
    assert_eq!(answer.status, mrcp::Status::SUCCESS, "{answer:?}");
    let until = instant() + PATIENCE;
    while one.ear.count() < 15 {
        assert!(instant() < until, "{} packets", one.ear.count());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let ear = one.ear.local();
    phone.hang_up(one.answer).await;
    // It ends with its call, while the other goes on.
    let status = programs::wait(&mut capture.0, PATIENCE);
    assert_eq!(status.and_then(|status| status.code()), Some(0));
    phone.hang_up(other).await;

    let rules = [
        format!("udp.port=={},sip", subject.sip.port()),
        format!("tcp.port=={},mrcpv2", mrcp_of(&subject).port()),
        format!("udp.port=={},rtp", ear.port()),
    ];
    let count = |filter: &str| tshark(&file, &rules, &["-Y", filter]).len();
    // Over UDP either may have come twice.
    assert!(count("sip.Method == \"BYE\"") >= 1);
    assert_eq!(count("sip.Method == \"INVITE\""), 0, "it came before");
    assert!(count("mrcpv2.Request-Line") >= 1 && count("mrcpv2.Response-Line") >= 1);
    assert!(count("rtp.p_type == 0") >= 10);
    assert_eq!(count(&format!("udp.port == {}", other_ear.local().port())), 0);
    assert_eq!(count("_ws.malformed || _ws.expert.severity >= error"), 0);
    // RTCP's goodbye goes from and to the ports above.
    let above = format!("udp.dstport == {}", ear.port() + 1);
    assert!(count(&above) >= 1, "{above}");

    let left = programs::run(&mut ask(&subject, &["capture", "--list", "--json"]), PATIENCE);
    let listed: serde_json::Value = serde_json::from_str(&left.out).unwrap();
    assert_eq!(listed[0]["bytes"], std::fs::metadata(&file).unwrap().len());
    let left = programs::run(&mut ask(&subject, &["capture", "--session", "99"]), PATIENCE);
    assert!(left.status.code() == Some(1) && left.err.contains("no session 99"), "{}", left.err);
}

/// A request as it came.
#[derive(Debug)]
struct Came {
    head: String,
    body: serde_json::Value,
    raw: String,
}

impl Came {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

fn read(stream: &TcpStream) -> Option<Came> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let length = head.lines().find_map(|line| {
        line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse::<usize>().ok()
    })?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let raw = String::from_utf8(body).ok()?;
    Some(Came { head, body: serde_json::from_str(&raw).ok()?, raw })
}

/// A web server that answers its first `refused` requests with 503, and takes the rest.
fn taker(mut refused: usize) -> (SocketAddr, Receiver<Came>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (came, taken) = sync_channel(64);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let Some(request) = read(&stream) else { continue };
            let status = if refused > 0 { "503 Unavailable" } else { "204 No Content" };
            refused = refused.saturating_sub(1);
            let answer =
                format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            let _ = stream.write_all(answer.as_bytes());
            // The test is over.
            if came.send(request).is_err() {
                return;
            }
        }
    });
    (address, taken)
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_posted_signed_and_again_until_they_are_taken() {
    let (address, taken) = taker(2);
    let (traces, spans) = taker(1);
    let folder = Folder::create();
    let secret = folder.write("secret", "whsec_c2VjcmV0\nnot this\n");
    let more = format!(
        "[traces]\nendpoint = \"http://{traces}/v1/traces\"\n\
         [[webhooks]]\nuri = \"http://{address}/hook\"\nsecret_file = {secret:?}\nevents = [\"call.ended\"]\n"
    );
    let subject = Subject::own(&settings(&more));
    let phone = Phone::open(subject.sip, None).await.unwrap();
    let ear = Ear::open(subject.sip, None).await.unwrap();
    let answer =
        phone.call(&format!("sip:Music@{}", subject.sip), offer(ear.local(), &[])).await.unwrap();
    let until = instant() + PATIENCE;
    while ear.count() < 10 && instant() < until {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    phone.hang_up(answer).await;
    // A call that is refused is told of, too, with the reason.
    let refused = phone.call(&format!("sip:Nobody@{}", subject.sip), offer(ear.local(), &[])).await;
    assert!(refused.is_err());

    let all: Vec<Came> = (0..4).map(|_| taken.recv_timeout(PATIENCE).unwrap()).collect();
    let ids: Vec<_> = all.iter().map(|came| came.header("webhook-id").unwrap()).collect();
    assert_eq!((ids[0], ids[0]), (ids[1], ids[2]), "the first was posted three times");
    assert_ne!(ids[2], ids[3]);
    for came in &all {
        assert!(came.head.starts_with("POST /hook "), "{}", came.head);
        let (id, at) =
            (came.header("webhook-id").unwrap(), came.header("webhook-timestamp").unwrap());
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"secret");
        let signed = ring::hmac::sign(&key, format!("{id}.{at}.{}", came.raw).as_bytes());
        let signature = base64::engine::general_purpose::STANDARD.encode(signed);
        assert_eq!(came.header("webhook-signature"), Some(format!("v1,{signature}").as_str()));
    }
    let of = |ended: &str| {
        let found = all.iter().find(|came| came.body["data"]["ended_by"] == ended).unwrap();
        assert_eq!(found.body["type"], "call.ended");
        &found.body["data"]
    };
    assert!(of("bye")["sent"].as_u64() >= Some(10), "{}", of("bye"));
    assert_eq!(of("refused")["code"], 404);

    // The first request was refused and came again.
    let first = spans.recv_timeout(PATIENCE).unwrap();
    let again = spans.recv_timeout(PATIENCE).unwrap();
    assert_eq!(first.raw, again.raw);
    let mut told: Vec<serde_json::Value> = Vec::new();
    let mut body = again.body;
    let (call, utterance) = loop {
        let those = &body["resourceSpans"][0]["scopeSpans"][0]["spans"];
        told.extend(those.as_array().unwrap().iter().cloned());
        let utterance = told.iter().find(|span| span["name"] == "utterance");
        let its_call = utterance.and_then(|utterance| {
            told.iter()
                .find(|span| span["name"] == "call" && span["traceId"] == utterance["traceId"])
        });
        if let (Some(call), Some(utterance)) = (its_call, utterance) {
            break (call.clone(), utterance.clone());
        }
        body = spans.recv_timeout(PATIENCE).unwrap().body;
    };
    assert_eq!(utterance["parentSpanId"], call["spanId"]);
    assert_eq!(call["kind"], 2);
    let nanos =
        |span: &serde_json::Value, key: &str| span[key].as_str().unwrap().parse::<u64>().unwrap();
    assert!(nanos(&call, "startTimeUnixNano") <= nanos(&utterance, "startTimeUnixNano"));
    assert!(
        nanos(&utterance, "endTimeUnixNano") <= nanos(&call, "endTimeUnixNano") + 1_000_000_000
    );
}

/// The chunks of a HEPv3 packet by their type; whatever is not as the format says fails.
fn chunks(packet: &[u8]) -> BTreeMap<u16, Vec<u8>> {
    let number =
        |at: usize| u16::from_be_bytes(packet.get(at..at + 2).unwrap().try_into().unwrap());
    assert_eq!((packet.get(..4).unwrap(), usize::from(number(4))), (&b"HEP3"[..], packet.len()));
    let (mut chunks, mut at) = (BTreeMap::new(), 6);
    while at < packet.len() {
        let (vendor, kind, length) = (number(at), number(at + 2), usize::from(number(at + 4)));
        assert_eq!(vendor, 0);
        let value = packet.get(at + 6..at + length).unwrap();
        assert_eq!(chunks.insert(kind, value.to_vec()), None);
        at += length;
    }
    chunks
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hep_collector_gets_every_sip_message_and_each_is_counted() {
    let collector = UdpSocket::bind("127.0.0.1:0").unwrap();
    collector.set_read_timeout(Some(PATIENCE)).unwrap();
    let here = collector.local_addr().unwrap();
    let folder = Folder::create();
    let key = folder.write("key", "myHep\n");
    let more = format!("[hep]\naddress = \"{here}\"\nagent_id = 77\nkey_file = {key:?}\n");
    let subject = Subject::own(&settings(&more));
    let phone = Phone::open(subject.sip, None).await.unwrap();
    let ear = Ear::open(subject.sip, None).await.unwrap();
    let target = format!("sip:Music@{}", subject.sip);
    let answer = phone.call(&target, offer(ear.local(), &[])).await.unwrap();
    phone.hang_up(answer).await;

    let mut buffer = vec![0; 65_536];
    // 100 may come or not; INVITE, 200, ACK, BYE and 200 do.
    let mut told = Vec::new();
    while told.iter().filter(|text: &&String| text.contains(" BYE\r\n")).count() < 2 {
        let (length, _) = collector.recv_from(&mut buffer).unwrap();
        let chunks = chunks(buffer.get(..length).unwrap());
        let of = |kind: u16| chunks.get(&kind).cloned().unwrap_or_default();
        let outward = of(7) == subject.sip.port().to_be_bytes();
        let port = if outward { of(8) } else { of(7) };
        assert_ne!(port, subject.sip.port().to_be_bytes());
        assert_eq!((of(1), of(2), of(11)), (vec![2], vec![17], vec![1]), "IPv4, UDP, SIP");
        assert_eq!((of(3).len(), of(4).len(), of(10).len()), (4, 4, 4));
        assert_eq!((of(12), of(14)), (77_u32.to_be_bytes().to_vec(), b"myHep".to_vec()));
        let seconds = u32::from_be_bytes(of(9).try_into().unwrap());
        assert!(::entracte::clock::wall().as_secs().abs_diff(seconds.into()) < 60);
        told.push(String::from_utf8(of(15)).unwrap());
    }
    for method in ["INVITE", "ACK", "BYE"] {
        assert!(told.iter().any(|text| text.starts_with(method)), "no {method}: {told:?}");
    }

    let mut stream = TcpStream::connect(subject.http()).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n").unwrap();
    let mut metrics = String::new();
    stream.read_to_string(&mut metrics).unwrap();
    let counted = |of: &str| {
        let line = metrics.lines().find_map(|line| line.strip_prefix(of));
        line.map_or(0, |count| count.trim().parse::<u64>().unwrap())
    };
    // A message that was repeated is counted each time.
    assert!(counted("entracte_sip_requests_total{direction=\"in\",method=\"INVITE\"}") >= 1);
    assert!(counted("entracte_sip_requests_total{direction=\"in\",method=\"BYE\"}") >= 1);
    assert!(counted("entracte_sip_responses_total{direction=\"out\",code=\"200\"}") >= 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_every_call_each_call_has_a_file_from_invite_to_bye() {
    let subject = Subject::own(&settings("[captures]\nevery_call = true\n"));
    let phone = Phone::open(subject.sip, None).await.unwrap();
    let ear = Ear::open(subject.sip, None).await.unwrap();
    let target = format!("sip:Music@{}", subject.sip);
    let answer = phone.call(&target, offer(ear.local(), &[])).await.unwrap();
    let until = instant() + PATIENCE;
    while ear.count() < 10 && instant() < until {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    phone.hang_up(answer).await;
    let folder = subject.config().unwrap().with_file_name("captures");
    let listed = || -> serde_json::Value {
        let left = programs::run(&mut ask(&subject, &["capture", "--list", "--json"]), PATIENCE);
        serde_json::from_str(&left.out).unwrap()
    };
    while listed()[0]["running"] != false {
        assert!(instant() < until, "it goes on behind its call");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let files: Vec<_> =
        std::fs::read_dir(&folder).unwrap().flatten().map(|file| file.path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    let rules = [
        format!("udp.port=={},sip", target.rsplit(':').next().unwrap()),
        format!("udp.port=={},rtp", ear.local().port()),
    ];
    let count = |filter: &str| tshark(&files[0], &rules, &["-Y", filter]).len();
    for method in ["INVITE", "ACK", "BYE"] {
        assert!(count(&format!("sip.Method == {method:?}")) >= 1, "{method}");
    }
    assert!(count("rtp.p_type == 0") >= 10);
    assert_eq!(count("_ws.malformed || _ws.expert.severity >= error"), 0);
}

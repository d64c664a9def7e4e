//! RTP from ffmpeg, and from sockets that lose, swap and repeat.

use std::net::UdpSocket;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use sources::{Heard, Phase, Trouble};

use crate::bed::{FALLBACK_HZ, Ours, SOURCE_HZ, Stage, share, tool};

const SOON: Duration = Duration::from_secs(6);

/// A port that is free now.
fn port() -> u16 {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// ffmpeg sending a sine.
fn feed(to: &str, format: &[&str]) -> Ours {
    let process = Command::new(tool("ffmpeg"))
        .args(["-nostdin", "-v", "error", "-re", "-f", "lavfi", "-i"])
        .arg(format!("sine=frequency={SOURCE_HZ}:sample_rate=48000,volume=8dB"))
        .args(format)
        .args(["-f", "rtp", to])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn();
    Ours(process.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_studios_send_is_heard_whatever_its_payload_type() {
    for (query, format, codec) in [
        ("", &["-c:a", "pcm_mulaw", "-ar", "8000", "-ac", "1"][..], "RTP PCMU 8000 Hz"),
        ("", &["-c:a", "pcm_alaw", "-ar", "8000", "-ac", "1"], "RTP PCMA 8000 Hz"),
        ("", &["-c:a", "pcm_s16be", "-ar", "44100", "-ac", "2"], "RTP L16 44100 Hz"),
        (
            "?encoding=L24&rate=48000&channels=2",
            &["-c:a", "pcm_s24be", "-ar", "48000", "-ac", "2"],
            "RTP L24 48000 Hz",
        ),
    ] {
        let to = format!("rtp://127.0.0.1:{}", port());
        let mut stage = Stage::start(&format!("{to}{query}"));
        let _fed = feed(&to, format);
        stage.ear.until(SOURCE_HZ, SOON);
        let state = stage.until(SOON, |state| state.phase == Phase::Playing);
        assert!(state.codec.as_deref().is_some_and(|c| c.starts_with(codec)), "{state:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sender_that_stops_is_replaced_and_heard_again() {
    let to = format!("rtp://127.0.0.1:{}", port());
    let mut stage = Stage::start(&to);
    let format = ["-c:a", "pcm_mulaw", "-ar", "8000", "-ac", "1"];
    let fed = feed(&to, &format);
    stage.ear.until(SOURCE_HZ, SOON);
    drop(fed);
    stage.ear.until(FALLBACK_HZ, SOON);
    stage.until(SOON, |state| matches!(state.phase, Phase::Away(_)));
    let _fed = feed(&to, &format);
    stage.ear.until(SOURCE_HZ, SOON);
    assert_eq!(stage.until(SOON, |state| state.phase == Phase::Playing).heard, Heard::Source);
}

/// A packet of 20 ms of a sine in mu-law.
fn packet(n: u16, ssrc: u32) -> Vec<u8> {
    let at = u32::from(n) * 160;
    let mut bytes = vec![0x80, 0];
    bytes.extend(n.to_be_bytes());
    bytes.extend(at.to_be_bytes());
    bytes.extend(ssrc.to_be_bytes());
    let sample = |k: u32| {
        let turn = f64::from((at + k) % 8_000) * SOURCE_HZ * std::f64::consts::TAU / 8_000.0;
        #[expect(clippy::cast_possible_truncation, reason = "within 16 bits")]
        let sample = (9_000.0 * turn.sin()) as i16;
        sample
    };
    let samples: Vec<i16> = (0..160).map(sample).collect();
    let mut codes = [0; 160];
    audio::g711::encode(audio::Law::Mu, &samples, &mut codes);
    bytes.extend(codes);
    bytes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn packets_that_are_swapped_repeated_or_of_a_stranger_are_not_heard_as_such() {
    let number = port();
    let mut stage = Stage::start(&format!("rtp://127.0.0.1:{number}"));
    let sender = std::thread::spawn(move || {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(("127.0.0.1", number)).unwrap();
        let begun = Instant::now();
        // From just before the numbers wrap round.
        for n in 0..200_u16 {
            let number = 65_450_u16.wrapping_add(n);
            let swapped = if n % 10 == 3 { number.wrapping_add(1) } else { number };
            let swapped = if n % 10 == 4 { number.wrapping_sub(1) } else { swapped };
            // Nobody listens before the socket is there.
            let _ = socket.send(&packet(swapped, 7));
            if n % 10 == 7 {
                let _ = socket.send(&packet(swapped, 7));
                let _ = socket.send(&[0x80, 0, 1]);
                let _ = socket.send(&packet(n, 99));
            }
            let due = begun + Duration::from_millis(20) * u32::from(n + 1);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
    });
    stage.ear.until(SOURCE_HZ, SOON);
    let heard = stage.ear.listen(Duration::from_millis(1_500));
    // A sine whose packets are in order is a sine; by 20 ms, for the drift control's sake.
    let clear = heard.chunks_exact(160).filter(|stretch| share(stretch, SOURCE_HZ) > 0.8).count();
    assert!(clear + 2 >= heard.len() / 160, "{clear} of {}", heard.len() / 160);
    assert_eq!(stage.state().underruns, 0);
    sender.join().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_payload_type_does_not_say_must_be_in_the_uri() {
    let number = port();
    let stage = Stage::start(&format!("rtp://127.0.0.1:{number}"));
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut unknown = packet(1, 7);
    unknown[1] = 96;
    let named = |state: &sources::SourceState| {
        // Nobody listens before the socket is there.
        let _ = socket.send_to(&unknown, ("127.0.0.1", number));
        matches!(&state.phase, Phase::Away(Trouble::NotAudio(why)) if why.contains("payload type 96"))
    };
    stage.until(SOON, named);
}

/// Sends a sine from one sender after another, without a pause between them; once the first is heard,
/// with what nobody waits for in between.
fn send_in_turn(to: u16, senders: &[u32], packets_each: u16, heard: &AtomicBool) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(("127.0.0.1", to)).unwrap();
    let begun = Instant::now();
    let mut sent = 0;
    for ssrc in senders {
        for n in 0..packets_each {
            // Nobody listens before the socket is there.
            let _ = socket.send(&packet(n, *ssrc));
            // Comfort noise between the packets: RFC 3389, payload type 13.
            let mut noise = packet(n, *ssrc);
            noise[1] = 13;
            let _ = socket.send(&noise);
            // What nobody waits for arrives oftener than the receiver looks at its clock.
            for _ in 0..3 {
                std::thread::sleep(Duration::from_millis(5));
                if heard.load(Ordering::Relaxed) {
                    let _ = socket.send(&packet(n, 99));
                }
            }
            sent += 1;
            let due = begun + Duration::from_millis(20) * sent;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sender_that_begins_anew_without_a_pause_is_heard_and_other_payloads_do_no_harm() {
    let number = port();
    let mut stage = Stage::start(&format!("rtp://127.0.0.1:{number}"));
    let heard = Arc::new(AtomicBool::new(false));
    let first = Arc::clone(&heard);
    let sender = std::thread::spawn(move || send_in_turn(number, &[7, 8], 150, &first));
    stage.ear.until(SOURCE_HZ, SOON);
    assert_eq!(stage.until(SOON, |state| state.phase == Phase::Playing).reconnects, 0);
    heard.store(true, Ordering::Relaxed);
    stage.until(SOON, |state| state.reconnects >= 1);
    stage.ear.until(SOURCE_HZ, SOON);
    sender.join().unwrap();
}

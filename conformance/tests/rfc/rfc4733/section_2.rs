//! RFC 4733 §2, and RFC 3550 from the peer: what comes in disturbs nothing that goes out.

use std::time::Duration;

use crate::call::{CONTROL, Call, values};
use crate::subject::Subject;

#[test]
fn telephone_events_and_strange_packets_are_taken_while_it_speaks() {
    let subject = Subject::any();
    let lines = [
        CONTROL,
        &[
            "m=audio {rtp} RTP/AVP 0 97",
            "a=rtpmap:97 telephone-event/8000",
            "a=sendrecv",
            "a=mid:1",
        ],
    ]
    .concat();
    let mut call = Call::offering(&subject, &lines);
    assert!(values(&call.answer.body, "a=rtpmap:").contains(&"97 telephone-event/8000".to_owned()));
    let port = &values(&call.answer.body, "m=audio ")[0];
    let port: u16 = port.split(' ').next().unwrap().parse().unwrap();
    assert_eq!(port % 2, 0, "RTP has the even port");
    assert_eq!(
        call.speak("text/uri-list", "tone:1000;ms=1500;db=-10\r\n").what(),
        "200 IN-PROGRESS"
    );
    let server = std::net::SocketAddr::new(subject.udp.ip(), port);
    for number in 0..20_u8 {
        let end = if number > 16 { 0x80 } else { 0 };
        let marker = if number == 0 { 0x80 } else { 0 };
        let mut packet = vec![0x80, marker | 97, 0, number, 0, 0, 0, 0, 1, 2, 3, 4];
        packet.extend([5, end | 10, 0, number.wrapping_mul(8)]);
        call.ear.socket.send_to(&packet, server).unwrap();
        call.ear.socket.send_to(&packet[..usize::from(number) % 14], server).unwrap();
        call.ear.socket.send_to(&[0xff; 60], server).unwrap();
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(call.event().get("Completion-Cause"), "000 normal");
    assert_eq!(call.ear.wait_for(75).len(), 75);
    call.dialog.bye();
    subject.settles();
}

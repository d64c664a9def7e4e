//! RFC 6787 §4.2: offers as real clients make them, and what is answered.

use std::time::Duration;

use crate::call::{AUDIO, CONTROL, Call, Dialog, describe, values};
use crate::ear::Ear;
use crate::mrcp_line::{MrcpLine, request};
use crate::sip_line::Line;
use crate::subject::Subject;

/// The media part of an answer, its lines divided by `|`, with `P` for a port and `C` for a channel's
/// number; or the refusal with its Warning.
fn answered(subject: &Subject, sdp: &str, ear: &Ear) -> String {
    let mut dialog = Dialog::new(Line::udp(subject.udp), subject.udp);
    let answer = dialog.invite(&sdp.replace("{rtp}", &ear.local.port().to_string()));
    if answer.status() != 200 {
        let warning = answer.header("Warning").unwrap_or_default();
        return format!("{} {}", answer.status(), warning.split(' ').next().unwrap_or_default());
    }
    dialog.bye();
    let lines = answer.body.lines().skip_while(|line| !line.starts_with("m="));
    let lines = lines.map(|line| {
        if let Some(channel) = line.strip_prefix("a=channel:") {
            let (number, resource) = channel.split_once('@').unwrap();
            assert!(number.len() >= 8, "{number}");
            return format!("a=channel:C@{resource}");
        }
        let mut words: Vec<&str> = line.split(' ').collect();
        if line.starts_with("m=") && words[1] != "0" {
            words[1] = "P";
        }
        words.join(" ")
    });
    lines.filter(|line| !line.starts_with("c=")).collect::<Vec<_>>().join("|")
}

const CONTROLLED: &str = "m=application P TCP/MRCPv2 1|a=setup:passive|a=connection:new|\
                          a=channel:C@speechsynth|a=cmid:1";
const HEARD: &str = "m=audio P RTP/AVP 0|a=rtpmap:0 PCMU/8000|a=ptime:20|a=sendonly|a=mid:1";

#[track_caller]
fn check(subject: &Subject, offer: &str, expected: &str) {
    let ear = Ear::open();
    let lines: Vec<&str> = offer.split('|').collect();
    assert_eq!(answered(subject, &describe(&lines, &ear), &ear), expected, "for {offer}");
}

#[test]
fn the_audio_line_stands_before_or_after_the_control_line() {
    let subject = Subject::any();
    let (control, audio) = (CONTROL.join("|"), AUDIO.join("|"));
    check(&subject, &format!("{control}|{audio}"), &format!("{CONTROLLED}|{HEARD}"));
    check(&subject, &format!("{audio}|{control}"), &format!("{HEARD}|{CONTROLLED}"));
    subject.settles();
}

#[test]
fn directions_are_mirrored() {
    let subject = Subject::any();
    for (offered, answered) in [
        ("recvonly", "sendonly"),
        ("sendrecv", "sendrecv"),
        ("sendonly", "recvonly"),
        ("inactive", "inactive"),
    ] {
        let offer = format!("{}|m=audio {{rtp}} RTP/AVP 0|a={offered}|a=mid:1", CONTROL.join("|"));
        let heard = HEARD.replace("sendonly", answered);
        check(&subject, &offer, &format!("{CONTROLLED}|{heard}"));
    }
}

#[test]
fn two_resources_share_one_session_and_each_speaks() {
    let subject = Subject::any();
    let second = [
        "m=application 9 TCP/MRCPv2 1",
        "a=setup:active",
        "a=connection:existing",
        "a=resource:basicsynth",
        "a=cmid:1",
    ];
    let mut call = Call::offering(&subject, &[CONTROL, &second, AUDIO].concat());
    let ids: Vec<&str> = call.channels.iter().map(|id| id.split('@').next().unwrap()).collect();
    assert_eq!(ids[0], ids[1], "RFC 6787 §4.3: one session, one number");
    assert!(call.channels[1].ends_with("@basicsynth"));
    for (number, channel) in call.channels.clone().iter().enumerate() {
        let id = number as u32 + 1;
        let headers = [&format!("Channel-Identifier: {channel}"), "Content-Type: text/uri-list"];
        call.mrcp.send(&request("SPEAK", id, &headers, b"tone:400;ms=200\r\n"));
        assert_eq!(call.mrcp.next().what(), "200 IN-PROGRESS");
        assert_eq!(call.event().get("Completion-Cause"), "000 normal");
    }
    // Both over one connection, and each over its own: RFC 6787 §4.2.
    let mut other = MrcpLine::open(call.mrcp.stream.peer_addr().unwrap());
    let channel = format!("Channel-Identifier: {}", call.channels[1]);
    other.send(&request("GET-PARAMS", 3, &[&channel], b""));
    assert_eq!(other.next().what(), "200 COMPLETE");
    call.dialog.bye();
    subject.settles();
}

#[test]
fn connection_existing_is_granted_with_and_without_a_connection() {
    let subject = Subject::any();
    let existing = CONTROL.join("|").replace("connection:new", "connection:existing");
    let expected = CONTROLLED.replace("connection:new", "connection:existing");
    let audio = AUDIO.join("|");
    check(&subject, &format!("{existing}|{audio}"), &format!("{expected}|{HEARD}"));
    let first = Call::place(&subject);
    let ear = Ear::open();
    let lines: Vec<&str> = existing.split('|').chain(AUDIO.iter().copied()).collect();
    let mut dialog = Dialog::new(Line::udp(subject.udp), subject.udp);
    let answer = dialog.invite(&describe(&lines, &ear));
    let channel = values(&answer.body, "a=channel:")[0].clone();
    let mut call = first;
    let channel = format!("Channel-Identifier: {channel}");
    call.mrcp.send(&request("GET-PARAMS", 1, &[&channel], b""));
    assert_eq!(call.mrcp.next().what(), "200 COMPLETE");
    dialog.bye();
    // The first call's connection outlives the second call.
    assert_eq!(call.ask("GET-PARAMS", &[], b"").what(), "200 COMPLETE");
    call.dialog.bye();
}

#[test]
fn what_clients_leave_out_or_add_does_no_harm() {
    let subject = Subject::any();
    let (control, audio) = (CONTROL.join("|"), AUDIO.join("|"));
    let both = format!("{CONTROLLED}|{HEARD}");
    // No format on the application line; a draft's way to write it.
    let bare = control.replace("TCP/MRCPv2 1", "TCP/MRCPv2");
    check(&subject, &format!("{bare}|{audio}"), &both);
    let unknown =
        format!("a=x-nobody-knows:1|{control}|a=what|{audio}|b=AS:64|a=silenceSupp:off - - - -");
    check(&subject, &unknown, &both);
    // No rtpmap is needed for a static payload type; another spelling of it does no harm.
    check(&subject, &format!("{control}|{audio}|a=rtpmap:0 pcmu/8000/1"), &both);
    let no_cmid = control.replace("|a=cmid:1", "");
    let no_mid = audio.replace("|a=mid:1", "");
    let expected = both.replace("|a=cmid:1", "").replace("|a=mid:1", "");
    check(&subject, &format!("{no_cmid}|{no_mid}"), &expected);
}

#[test]
fn line_ends_may_be_bare_line_feeds_and_the_last_one_may_be_missing() {
    let subject = Subject::any();
    let ear = Ear::open();
    let sdp = describe(&[CONTROL, AUDIO].concat(), &ear);
    let expected = format!("{CONTROLLED}|{HEARD}");
    assert_eq!(answered(&subject, &sdp.replace("\r\n", "\n"), &ear), expected);
    assert_eq!(answered(&subject, sdp.trim_end(), &ear), expected);
}

#[test]
fn a_line_with_port_0_is_not_wanted() {
    let subject = Subject::any();
    let control = CONTROL.join("|");
    check(
        &subject,
        &format!("{control}|m=audio 0 RTP/AVP 0|a=mid:1"),
        // A control line that commands no audio cannot be served, and nothing else is there.
        "488 399",
    );
    let away = control.replace("application 9", "application 0");
    // Without a control line it is a plain call, and nobody is called "mrcp".
    check(&subject, &format!("{away}|{}", AUDIO.join("|")), "404 399");
}

#[test]
fn what_cannot_be_served_is_refused_line_by_line_or_as_a_whole() {
    let subject = Subject::any();
    let control = CONTROL.join("|");
    let refused = [
        ("m=audio {rtp} RTP/SAVP 0|a=mid:1", "488 302"),
        ("m=audio {rtp} RTP/AVP 18 9|a=mid:1", "488 305"),
        ("m=video {rtp} RTP/AVP 34|a=mid:1", "488 304"),
    ];
    for (audio, status) in refused {
        check(&subject, &format!("{control}|{audio}"), status);
        check(&subject, audio, status);
    }
    let unknown = control.replace("speechsynth", "speechrecog");
    check(&subject, &unknown, "488 399");
    // Not 503: a proxy would take the server for overloaded.
    for (address, status) in [
        ("239.1.1.1/1", "488 330"),
        ("255.255.255.255", "488 330"),
        ("240.0.0.1", "488 399"),
        ("127.255.255.255", "488 399"),
    ] {
        let away = format!("m=audio {{rtp}} RTP/AVP 0|c=IN IP4 {address}|a=mid:1");
        check(&subject, &format!("{control}|{away}"), status);
    }
    check(
        &subject,
        &format!("{control}|{}|m=video {{rtp}} RTP/AVP 34", AUDIO.join("|")),
        &format!("{CONTROLLED}|{HEARD}|m=video 0 RTP/AVP 34"),
    );
    subject.settles();
}

#[test]
fn the_law_follows_the_offers_order_and_telephone_events_are_taken() {
    let subject = Subject::any();
    let control = CONTROL.join("|");
    check(
        &subject,
        &format!(
            "{control}|m=audio {{rtp}} RTP/AVP 8 0 101|a=rtpmap:101 telephone-event/8000|a=recvonly|a=mid:1"
        ),
        &format!(
            "{CONTROLLED}|m=audio P RTP/AVP 8 101|a=rtpmap:8 PCMA/8000|a=rtpmap:101 \
             telephone-event/8000|a=fmtp:101 0-15|a=ptime:20|a=sendonly|a=mid:1"
        ),
    );
}

#[test]
fn ptime_is_honoured_in_the_packets() {
    let subject = Subject::any();
    for (law, ptime) in [(0_u8, 10_usize), (8, 20), (0, 30), (8, 60)] {
        let (audio, ptime_line) =
            (format!("m=audio {{rtp}} RTP/AVP {law}"), format!("a=ptime:{ptime}"));
        let lines = [CONTROL, &[audio.as_str(), &ptime_line, "a=recvonly", "a=mid:1"]].concat();
        let mut call = Call::offering(&subject, &lines);
        assert_eq!(values(&call.answer.body, "a=ptime:"), [ptime.to_string()]);
        let done = call.spoken("text/uri-list", "tone:1000;ms=600;db=-10\r\n");
        assert_eq!(done.get("Completion-Cause"), "000 normal");
        let heard = call.ear.wait_for(600 / ptime);
        assert!(heard.iter().all(|packet| packet.payload.len() == ptime * 8));
        assert!(heard.iter().all(|packet| packet.payload_type == law));
        assert_eq!(heard.len(), 600_usize.div_ceil(ptime), "{ptime} ms");
        for pair in heard.windows(2) {
            assert_eq!(pair[1].sequence, pair[0].sequence.wrapping_add(1));
            assert_eq!(pair[1].timestamp, pair[0].timestamp.wrapping_add(ptime as u32 * 8));
        }
        assert!(heard[0].marker && !heard[1].marker, "a talk spurt begins once");
        let span = heard[heard.len() - 1].at - heard[0].at;
        let expected = Duration::from_millis((ptime * (heard.len() - 1)) as u64);
        assert!(span.abs_diff(expected) < Duration::from_millis(250), "{span:?} for {expected:?}");
        assert!(audio::measure::rms_dbfs(&call.ear.audio()) > -20.0);
        call.dialog.bye();
    }
    subject.settles();
}

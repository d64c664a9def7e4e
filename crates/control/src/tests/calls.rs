//! What INVITE, re-INVITE and their end do.

use super::{SPEECH, check, check_on};
use crate::event::Busy;
use crate::testbed::{Feeders, Stand};

#[test]
fn a_call_is_taken_and_ends() {
    check(&[SPEECH, ("bye", "ended LocalBye | release")]);
}

#[test]
fn an_offer_that_cannot_be_served_is_refused_with_the_reason() {
    check(&[
        (
            "a: invite mrcp@10.0.0.2 video",
            "488 Warning: 304 entracte \"Media type not available\" | ended Refused",
        ),
        (
            "b: invite mrcp@10.0.0.2 audio",
            "404 Warning: 399 entracte \"no source is called 'mrcp'\" | ended Refused",
        ),
        (
            "c: invite mrcp@10.0.0.2 audio recorder",
            "488 Warning: 399 entracte \"MRCP resource not available\" | ended Refused",
        ),
        (
            "d: invite mrcp@10.0.0.2 audio@media.example speechsynth",
            "488 Warning: 399 entracte \"the audio line names a host, and only addresses are taken\" | ended Refused",
        ),
        (
            "e: invite Radio@10.0.0.2 audio@media.example",
            "488 Warning: 399 entracte \"the audio line names a host, and only addresses are taken\" | ended Refused",
        ),
        (
            "f: invite Radio@10.0.0.2 -audio",
            "488 Warning: 399 entracte \"the offer has no audio line\" | ended Refused",
        ),
    ]);
}

#[test]
fn a_source_is_heard_by_dialling_its_name() {
    check(&[
        (
            "invite radio@10.0.0.2 audio",
            "open 10.0.0.1:4000 Mu sendrecv | 200 [20000 audio sendrecv] | prepare play source:Radio | start",
        ),
        ("options", "200"),
        ("info", "200"),
        ("end", "release | ended Bye"),
    ]);
}

#[test]
fn rfc_4240_an_announcement_is_played_and_the_call_ends() {
    check(&[
        (
            "a: invite annc@10.0.0.2;play=file:///a.wav;repeat=2;delay=500;duration=9000 audio",
            "open 10.0.0.1:4000 Mu sendrecv | 200 [20000 audio sendrecv] | prepare play file:///a.wav | silence 500 ms | play file:///a.wav for Samples(72000) | start",
        ),
        ("end", "release | ended Bye"),
        (
            "b: invite annc@10.0.0.2;play=source:Nowhere audio",
            "404 Warning: 399 entracte \"no source is called 'Nowhere'\" | ended Refused",
        ),
        (
            "c: invite annc@10.0.0.2 audio",
            "400 Warning: 399 entracte \"annc wants the parameter play= (RFC 4240)\" | ended Refused",
        ),
        (
            "d: invite annc@10.0.0.2;play=file:///none.wav audio",
            "open 10.0.0.1:4000 Mu sendrecv | 200 [20000 audio sendrecv] | prepare play file:///none.wav | start",
        ),
        ("fail file:///none.wav", ""),
        ("end", "release | ended Bye"),
    ]);
}

#[test]
fn section_13_2_1_an_invite_without_an_offer_gets_ours() {
    check(&[
        (
            "a: invite Radio@10.0.0.2 late audio",
            "200 [20000 audio sendrecv] | open 10.0.0.1:4000 Mu sendrecv | prepare play source:Radio | start",
        ),
        (
            "b: invite Radio@10.0.0.2 late nothing",
            "200 [20000 audio sendrecv] | release | ended Bye",
        ),
        (
            "c: invite Nowhere@10.0.0.2 late audio",
            "404 Warning: 399 entracte \"no source is called 'Nowhere'\" | ended Refused",
        ),
        (
            "d: invite Radio@10.0.0.2 late -audio",
            "200 [20000 audio sendrecv] | release | ended Bye",
        ),
    ]);
}

#[test]
fn calls_beyond_the_limit_get_503() {
    check_on(
        Stand::with(|config| config.sessions_max = 1),
        &[
            (
                "a: invite Radio@10.0.0.2 audio",
                "open 10.0.0.1:4000 Mu sendrecv | 200 [20000 audio sendrecv] | prepare play source:Radio | start",
            ),
            ("a: options", "200"),
            ("ping", "503 Warning: 399 entracte \"general.mrcp.max_sessions = 1\" Retry-After: 5"),
            (
                "b: invite Radio@10.0.0.2 audio",
                "503 Warning: 399 entracte \"general.mrcp.max_sessions = 1\" Retry-After: 5 | ended Refused",
            ),
            ("a: bye", "ended LocalBye | halt | release"),
            ("ping", "200"),
            (
                "c: invite Radio@10.0.0.2 audio",
                "open 10.0.0.1:4000 Mu sendrecv | 200 [20000 audio sendrecv] | prepare play source:Radio | start",
            ),
        ],
    );
}

#[test]
fn a_call_without_ports_or_engine_gets_503_and_one_without_a_way_488() {
    for (busy, expected) in [
        (
            Busy::Ports,
            "503 Warning: 399 entracte \"audio.rtp.port_ranges is exhausted\" Retry-After: 5 | ended Refused",
        ),
        (
            Busy::System("too many open files".into()),
            "503 Warning: 399 entracte \"too many open files\" Retry-After: 5 | ended Refused",
        ),
        (
            Busy::Load,
            "misplaced Bye | misplaced Accept | 503 Warning: 399 entracte \"engine.refuse_above_percent is reached\" Retry-After: 5 | ended Refused",
        ),
        // The offer's fault: a proxy must not take us for overloaded.
        (
            Busy::Unreachable("Network is unreachable".into()),
            "misplaced Bye | misplaced Accept | 488 Warning: 399 entracte \"Network is unreachable\" | ended Refused",
        ),
    ] {
        let mut stand = Stand::new();
        stand.trouble = Some(busy);
        check_on(stand, &[("invite Radio@10.0.0.2 audio", expected)]);
    }
}

#[test]
fn a_reinvite_for_which_there_are_no_ports_may_be_tried_again() {
    let mut stand = Stand::new();
    stand.step("invite Radio@10.0.0.2 audio");
    stand.step("reinvite -audio");
    stand.trouble = Some(Busy::Ports);
    check_on(
        stand,
        &[
            (
                "reinvite audio",
                "503 Warning: 399 entracte \"audio.rtp.port_ranges is exhausted\" Retry-After: 5",
            ),
            (
                "reinvite audio",
                "open 10.0.0.1:4000 Mu sendrecv | start | 200 [20000 audio sendrecv]",
            ),
        ],
    );
}

#[test]
fn a_drain_lets_calls_end_and_takes_no_more() {
    check(&[
        SPEECH,
        ("drain", ""),
        (
            "b: invite Radio@10.0.0.2 audio",
            "503 Warning: 399 entracte \"the server is going down\" Retry-After: 5 | ended Refused",
        ),
        ("a: options", "200"),
        (
            "speechsynth SPEAK 1 = source:Radio",
            "1 200 IN-PROGRESS | prepare play source:Radio | start",
        ),
        ("hangup", "halt | release | ended Bye"),
    ]);
}

#[test]
fn section_8_4_a_held_call_keeps_its_place() {
    check(&[
        SPEECH,
        (
            "speechsynth SPEAK 1 = file:///a.wav",
            "1 200 IN-PROGRESS | prepare play file:///a.wav | start",
        ),
        ("wait 1000", ""),
        (
            "reinvite audio,sendonly speechsynth",
            "change 10.0.0.1:4000 Mu recvonly | 200 [20000 audio recvonly] [8104 speechsynth]",
        ),
        ("reinvite audio@0.0.0.0 speechsynth", "200 [20000 audio sendrecv] [8104 speechsynth]"),
        ("wait 1000", ""),
        (
            "reinvite audio,4444 speechsynth",
            "change 10.0.0.1:4444 Mu sendrecv | 200 [20000 audio sendrecv] [8104 speechsynth]",
        ),
        (
            "speechsynth CONTROL 2 Jump-Size: +1 Second",
            "halt | prepare play file:///a.wav from 0 + 16000 | start | 2 200 COMPLETE of 1",
        ),
    ]);
}

#[test]
fn section_4_3_channels_come_and_go_by_reinvite() {
    check(&[
        SPEECH,
        (
            "speechsynth SPEAK 1 = file:///a.wav",
            "1 200 IN-PROGRESS | prepare play file:///a.wav | start",
        ),
        (
            "reinvite audio speechsynth basicsynth",
            "200 [20000 audio sendrecv] [8104 speechsynth] [8104 basicsynth]",
        ),
        ("basicsynth SPEAK 2 = file:///b.wav", "2 200 IN-PROGRESS"),
        (
            "reinvite audio -speechsynth basicsynth",
            "halt | prepare play file:///b.wav | start | 200 [20000 audio sendrecv] [0 application] [8104 basicsynth]",
        ),
        ("speechsynth STOP 3", "3 405 COMPLETE"),
        (
            "reinvite audio -speechsynth -basicsynth",
            "halt | 200 [20000 audio sendrecv] [0 application] [0 application]",
        ),
        ("basicsynth STOP 4", "4 405 COMPLETE"),
        (
            "reinvite audio speechsynth -basicsynth",
            "200 [20000 audio sendrecv] [8104 speechsynth] [0 application]",
        ),
        (
            "speechsynth SPEAK 5 = source:Radio",
            "5 200 IN-PROGRESS | prepare play source:Radio | start",
        ),
        (
            "reinvite -audio -speechsynth -basicsynth",
            "halt | release | 200 [0 audio sendrecv] [0 application] [0 application]",
        ),
        (
            "reinvite audio speechsynth -basicsynth",
            "open 10.0.0.1:4000 Mu sendrecv | 200 [20000 audio sendrecv] [8104 speechsynth] [0 application]",
        ),
    ]);
}

#[test]
fn a_reinvite_that_cannot_be_served_changes_nothing() {
    check(&[
        SPEECH,
        (
            "speechsynth SPEAK 1 = source:Radio",
            "1 200 IN-PROGRESS | prepare play source:Radio | start",
        ),
        ("reinvite video speechsynth", "488 Warning: 304 entracte \"Media type not available\""),
        (
            "reinvite audio@media.example speechsynth",
            "488 Warning: 399 entracte \"the audio line names a host, and only addresses are taken\"",
        ),
        ("reinvite late audio speechsynth", "200 [20000 audio sendrecv] [8104 speechsynth]"),
        (
            "reinvite late audio,4444 speechsynth",
            "200 [20000 audio sendrecv] [8104 speechsynth] | change 10.0.0.1:4444 Mu sendrecv",
        ),
        ("speechsynth STOP 2", "halt | 2 200 COMPLETE of 1"),
    ]);
}

#[test]
fn a_plain_call_goes_on_where_its_audio_returns() {
    check(&[
        (
            "invite Radio@10.0.0.2 audio",
            "open 10.0.0.1:4000 Mu sendrecv | 200 [20000 audio sendrecv] | prepare play source:Radio | start",
        ),
        ("wait 5000", ""),
        ("reinvite -audio", "halt | prepare play source:Radio | release | 200 [0 audio sendrecv]"),
        ("reinvite audio", "open 10.0.0.1:4000 Mu sendrecv | start | 200 [20000 audio sendrecv]"),
        ("reinvite audio speechsynth", "halt | 200 [20000 audio sendrecv] [8104 speechsynth]"),
        (
            "speechsynth SPEAK 1 = file:///a.wav",
            "1 200 IN-PROGRESS | prepare play file:///a.wav | start",
        ),
    ]);
}

#[test]
fn audio_that_goes_while_it_is_prepared_waits_for_its_return() {
    let mut stand = Stand::new();
    stand.feeders = Feeders::Slow;
    check_on(
        stand,
        &[
            (
                "invite annc@10.0.0.2;play=file:///a.wav audio",
                "open 10.0.0.1:4000 Mu sendrecv | 200 [20000 audio sendrecv] | prepare play file:///a.wav",
            ),
            ("reinvite -audio", "release | 200 [0 audio sendrecv]"),
            ("ready", ""),
            (
                "reinvite audio,4444",
                "open 10.0.0.1:4444 Mu sendrecv | start | 200 [20000 audio sendrecv]",
            ),
            ("border 0 step 0 0", ""),
            ("wait 3000", ""),
            (
                "reinvite -audio",
                "halt | prepare play file:///a.wav from 0 + 24000 | release | 200 [0 audio sendrecv]",
            ),
            ("reinvite audio,4444", "open 10.0.0.1:4444 Mu sendrecv | 200 [20000 audio sendrecv]"),
            ("ready", "start"),
            ("end", "release | ended Bye"),
        ],
    );
}

#[test]
fn a_peer_that_is_gone_is_found_out() {
    check(&[
        SPEECH,
        (
            "speechsynth SPEAK 1 = source:Radio",
            "1 200 IN-PROGRESS | prepare play source:Radio | start",
        ),
        ("close 1", ""),
        ("wait 2000", "probe | asked"),
        ("die", ""),
        ("gone", ""),
        ("wait 40000", "probe | halt | release"),
    ]);
    check(&[
        SPEECH,
        ("wait 61000", "probe | asked"),
        ("wait 61000", "probe | asked"),
        ("die", ""),
        ("wait 100000", "probe | release"),
    ]);
}

#[test]
fn an_ack_that_never_comes_ends_the_call() {
    check(&[
        ("die", ""),
        ("invite Radio@10.0.0.2 audio", "open 10.0.0.1:4000 Mu sendrecv"),
        ("wait 40000", "release"),
    ]);
}

//! Whole calls, faults and races, in virtual time.

use super::testbed::*;
use super::*;
use crate::invite::Carrier;
use crate::method::Method;
use crate::transaction::Timing;

fn none() -> Headers {
    Headers::new()
}

fn sdp(text: &str) -> Option<Vec<u8>> {
    Some(text.as_bytes().to_vec())
}

fn status(number: u16) -> StatusCode {
    StatusCode::from_number(number).unwrap()
}

fn bye(call: Call) -> Command {
    Command::Bye { call, headers: none() }
}

/// Two agents in fair weather.
fn udp() -> Duet {
    Duet::new(Transport::Udp, FAIR, 1)
}

/// The handle of the call that came to B: the second number B gave out.
const AT_B: Call = Call(2);

/// A call that is up, with a clean record.
fn live(transport: Transport) -> (Duet, Call) {
    let mut duet = Duet::new(transport, FAIR, 1);
    let call = duet.call();
    duet.run(1_000, &mut willing);
    duet.wire.clear();
    duet.events.clear();
    (duet, call)
}

#[test]
fn section_13_a_whole_call_over_both_transports_leaves_nothing() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut duet = Duet::new(transport, FAIR, 1);
        let call = duet.call();
        duet.run(1_000, &mut willing);
        duet.command(Who::A, bye(call), &mut willing);
        duet.run(1_000, &mut willing);
        assert_eq!(
            duet.wire.join(", "),
            "0 a INVITE+, 10 b 180 INVITE, 10 b 200 INVITE+, 20 a ACK, 1000 a BYE, 1010 b 200 BYE"
        );
        assert_eq!(
            duet.events.join(", "),
            "b Invited offer, a Progress 180, a Answered answer, b Acked, a Ended LocalBye, b Ended Bye"
        );
        duet.ends_empty(&mut willing);
    }
}

#[test]
fn section_13_2_1_a_late_offer_is_answered_in_the_ack() {
    let mut duet = udp();
    let call = duet.call_with(Who::A, None);
    duet.run(1_000, &mut willing);
    assert_eq!(
        duet.events.join(", "),
        "b Invited, a Progress 180, a Answered late-offer, b Acked late-answer"
    );
    duet.events.clear();
    let carrier = Carrier::Invite;
    duet.command(Who::B, Command::Reoffer { call: AT_B, carrier, sdp: None }, &mut willing);
    duet.run(1_000, &mut willing);
    assert_eq!(
        duet.events.join(", "),
        "a Offered Invite, b Answered late-offer, a Acked late-answer"
    );
    duet.command(Who::A, bye(call), &mut willing);
    duet.ends_empty(&mut willing);
}

#[test]
fn section_13_3_1_4_a_2xx_that_is_never_acknowledged_goes_out_11_times_then_bye() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut duet = Duet::new(transport, FAIR, 1);
        duet.lost = Box::new(|_, name| name == "ACK" || name == "BYE");
        duet.call();
        duet.run(100_000, &mut willing);
        let of_b = |word: &str| {
            let b: Vec<_> = duet.wire.iter().filter(|line| line.contains(" b")).collect();
            b.iter()
                .filter(|line| line.contains(word))
                .map(|line| line.split(' ').next().unwrap())
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(
            of_b("200 INVITE+"),
            "10 510 1510 3510 7510 11510 15510 19510 23510 27510 31510"
        );
        assert!(of_b("BYE").starts_with("32010"), "{}", of_b("BYE"));
        // Each 2xx was acknowledged anew.
        assert_eq!(duet.wire.iter().filter(|line| line.contains("a! ACK")).count(), 11);
        assert!(duet.events.contains(&"b Ended AckTimeout".to_owned()));
    }
}

#[test]
fn section_13_3_1_4_a_lost_ack_is_sent_again_and_heard_once() {
    let mut duet = udp();
    let mut acks = 0;
    duet.lost = Box::new(move |_, name| {
        acks += usize::from(name == "ACK");
        name == "ACK" && acks <= 2
    });
    let call = duet.call();
    duet.run(5_000, &mut willing);
    assert_eq!(duet.events.iter().filter(|event| *event == "b Acked").count(), 1);
    assert_eq!(duet.wire.iter().filter(|line| line.contains("ACK")).count(), 3);
    duet.command(Who::A, bye(call), &mut willing);
    duet.ends_empty(&mut willing);
}

#[test]
fn section_17_1_1_2_no_answer_is_seven_invites_and_408_at_32_s() {
    let mut duet = udp();
    duet.lost = Box::new(|_, _| true);
    duet.call();
    duet.run(40_000, &mut idle);
    assert_eq!(
        duet.wire.join(", "),
        "0 a! INVITE+, 500 a! INVITE+, 1500 a! INVITE+, 3500 a! INVITE+, 7500 a! INVITE+, \
         15500 a! INVITE+, 31500 a! INVITE+"
    );
    assert_eq!(duet.events.join(", "), "a Refused 408, a Ended TransactionTimeout");
    duet.ends_empty(&mut idle);
}

#[test]
fn section_17_2_1_a_slow_application_gets_a_100_sent_for_it() {
    let mut duet = udp();
    duet.call();
    duet.run(5_000, &mut idle);
    assert_eq!(duet.wire.join(", "), "0 a INVITE+, 210 b 100 INVITE");
    let reject = Command::Reject { call: AT_B, status: status(486), headers: none() };
    duet.command(Who::B, reject, &mut idle);
    duet.run(5_000, &mut idle);
    assert_eq!(
        duet.wire.join(", "),
        "0 a INVITE+, 210 b 100 INVITE, 5000 b 486 INVITE, 5010 a ACK"
    );
    assert_eq!(
        duet.events.join(", "),
        "b Invited offer, b Ended Refused, a Refused 486, a Ended Refused"
    );
    duet.ends_empty(&mut idle);
}

#[test]
fn section_9_1_a_cancel_waits_for_a_provisional_response() {
    // Before any response: the CANCEL goes out behind the 100.
    let mut duet = udp();
    let call = duet.call();
    duet.command(Who::A, Command::Cancel { call }, &mut idle);
    duet.run(1_000, &mut idle);
    assert_eq!(
        duet.wire.join(", "),
        "0 a INVITE+, 210 b 100 INVITE, 220 a CANCEL, 230 b 200 CANCEL, 230 b 487 INVITE, 240 a ACK"
    );
    assert_eq!(duet.events.join(", "), "b Invited offer, b Ended Cancelled, a Ended Cancelled");
    duet.ends_empty(&mut idle);
}

#[test]
fn section_9_1_a_cancel_after_180_and_one_for_a_silent_peer() {
    let mut duet = udp();
    let call = duet.call();
    duet.run(20, &mut idle);
    let ring = Command::Ring { call: AT_B, status: status(180), headers: none(), sdp: None };
    duet.command(Who::B, ring, &mut idle);
    duet.run(100, &mut idle);
    duet.command(Who::A, bye(call), &mut idle);
    duet.run(1_000, &mut idle);
    assert_eq!(
        duet.wire.join(", "),
        "0 a INVITE+, 20 b 180 INVITE, 120 a CANCEL, 130 b 200 CANCEL, 130 b 487 INVITE, 140 a ACK"
    );
    duet.ends_empty(&mut idle);

    let mut duet = udp();
    duet.lost = Box::new(|_, _| true);
    let call = duet.call();
    duet.command(Who::A, Command::Cancel { call }, &mut idle);
    duet.ends_empty(&mut idle);
    assert_eq!(duet.events.join(", "), "a Ended Cancelled");
}

#[test]
fn section_15_a_200_that_crosses_the_cancel_is_acknowledged_and_ended() {
    let mut duet = udp();
    let call = duet.call();
    duet.run(20, &mut idle);
    let ring = Command::Ring { call: AT_B, status: status(180), headers: none(), sdp: None };
    duet.command(Who::B, ring, &mut idle);
    duet.run(20, &mut idle);
    let accept = Command::Accept { call: AT_B, headers: none(), sdp: sdp("answer") };
    duet.command(Who::B, accept, &mut idle);
    duet.command(Who::A, Command::Cancel { call }, &mut idle);
    duet.run(1_000, &mut idle);
    assert_eq!(
        duet.wire.join(", "),
        "0 a INVITE+, 20 b 180 INVITE, 40 b 200 INVITE+, 40 a CANCEL, 50 a ACK, 50 a BYE, \
         50 b 200 CANCEL, 60 b 200 BYE"
    );
    assert_eq!(
        duet.events.join(", "),
        "b Invited offer, a Progress 180, a Ended Cancelled, b Acked, b Ended Bye"
    );
    duet.ends_empty(&mut idle);
}

#[test]
fn section_15_1_2_a_bye_in_an_early_dialog_ends_the_invite_with_487() {
    let mut solo = Solo::new(Transport::Udp);
    solo.say(&ask("INVITE 1", "", "", "offer"));
    let call = solo.calls[0];
    solo.command(Command::Ring { call, status: status(180), headers: none(), sdp: None });
    let tag = solo.last_response().headers.to().unwrap().tag().unwrap().to_owned();
    assert_eq!(solo.say(&ask("BYE 2", &tag, "", "")), "200 BYE, 487 INVITE, Ended Bye");
    assert_eq!(solo.say(&ask("ACK 1", &tag, "", "")), "");
    solo.wait(60_000);
    assert_eq!(solo.agent.counts(), Counts::default());
}

#[test]
fn section_14_re_invite_and_update_in_both_directions() {
    let (mut duet, call) = live(Transport::Udp);
    for (who, call) in [(Who::A, call), (Who::B, AT_B)] {
        for carrier in [Carrier::Invite, Carrier::Update] {
            let reoffer = Command::Reoffer { call, carrier, sdp: sdp("hold") };
            duet.command(who, reoffer, &mut willing);
            duet.run(1_000, &mut willing);
        }
    }
    let update = Command::Reoffer { call, carrier: Carrier::Update, sdp: None };
    duet.command(Who::A, update, &mut willing);
    duet.run(1_000, &mut willing);
    assert_eq!(
        duet.events.join(", "),
        "b Offered Invite hold, a Answered answer, b Acked, b Offered Update hold, a Updated answer, \
         a Offered Invite hold, b Answered answer, a Acked, a Offered Update hold, b Updated answer, \
         a Updated"
    );
    duet.command(Who::B, bye(AT_B), &mut willing);
    duet.ends_empty(&mut willing);
}

#[test]
fn section_15_1_1_a_re_invite_that_only_got_a_100_does_not_outlive_its_call_for_long() {
    let (mut solo, tag) = solo_call();
    let call = solo.calls[0];
    solo.command(Command::Reoffer { call, carrier: Carrier::Invite, sdp: sdp("hold") });
    let invite = solo.last_request();
    solo.say(&reply(&invite, 100, "-", "", ""));
    assert_eq!(solo.say(&ask("BYE 2", &tag, "", "")), "200 BYE, Ended Bye");
    solo.say(&reply(&invite, 183, "-", "", ""));
    solo.wait(120_000);
    assert_eq!(solo.agent.counts(), Counts::default());
}

#[test]
fn section_14_1_glare_is_settled_by_waiting() {
    for seed in 0..20 {
        let mut duet = Duet::new(Transport::Udp, FAIR, seed);
        let call = duet.call();
        duet.run(1_000, &mut willing);
        duet.events.clear();
        duet.wire.clear();
        let carrier = Carrier::Invite;
        for (who, call, text) in [(Who::A, call, "from-a"), (Who::B, AT_B, "from-b")] {
            duet.command(who, Command::Reoffer { call, carrier, sdp: sdp(text) }, &mut willing);
        }
        duet.run(10_000, &mut willing);
        assert_eq!(duet.wire.iter().filter(|line| line.contains("491 INVITE")).count(), 2);
        assert_eq!(
            duet.events.join(", "),
            "a Offered Invite from-b, b Answered answer, a Acked, \
             b Offered Invite from-a, a Answered answer, b Acked"
        );
        duet.command(Who::A, bye(call), &mut willing);
        duet.ends_empty(&mut willing);
    }
}

#[test]
fn section_14_2_a_second_re_invite_before_the_answer_gets_500_with_retry_after() {
    let (mut solo, tag) = solo_call();
    assert_eq!(solo.say(&ask("INVITE 2", &tag, "", "again")), "Offered Invite again");
    assert_eq!(solo.say(&ask("INVITE 3", &tag, "", "again")), "500 INVITE");
    assert!(solo.last_response().headers.retry_after().unwrap() <= 10);
    assert_eq!(solo.say(&ask("UPDATE 4", &tag, "", "again")), "500 UPDATE");
    assert!(solo.last_response().headers.retry_after().is_some());
    assert_eq!(
        solo.say(&ask("CANCEL/2 2", &tag, "", "")),
        "200 CANCEL, OfferWithdrawn, 487 INVITE"
    );
    let call = solo.calls[0];
    let answer = Command::AnswerOffer { call, sdp: None };
    assert_eq!(solo.command(answer), "Misplaced AnswerOffer");
    assert_eq!(solo.say(&ask("INVITE 5", &tag, "", "again")), "Offered Invite again");
    let reject = Command::RejectOffer { call, status: status(488), headers: none() };
    assert_eq!(solo.command(reject), "488 INVITE");
    assert_eq!(solo.say(&ask("BYE 6", &tag, "", "")), "200 BYE, Ended Bye");
    solo.wait(60_000);
    assert_eq!(solo.agent.counts(), Counts::default());
}

/// A peer's call that is up, and the agent's tag in it.
fn solo_call() -> (Solo, String) {
    let mut solo = Solo::new(Transport::Udp);
    assert_eq!(solo.say(&ask("INVITE 1", "", "", "offer")), "Invited offer");
    let call = solo.calls[0];
    let accept = Command::Accept { call, headers: none(), sdp: sdp("answer") };
    assert_eq!(solo.command(accept), "200 INVITE+");
    let tag = solo.last_response().headers.to().unwrap().tag().unwrap().to_owned();
    assert_eq!(solo.say(&ask("ACK/a 1", &tag, "", "")), "Acked");
    (solo, tag)
}

#[test]
fn section_12_2_2_a_lower_number_gets_500_and_a_skipped_one_passes() {
    let (mut solo, tag) = solo_call();
    assert_eq!(solo.say(&ask("INFO 9", &tag, "", "")), "Request INFO");
    assert_eq!(solo.say(&ask("INFO 8", &tag, "", "")), "500 INFO");
    assert_eq!(solo.say(&ask("INFO/x 9", &tag, "", "")), "500 INFO");
    let transaction = solo.transactions[0];
    let respond = |status: u16| Command::Respond {
        transaction,
        status: StatusCode::from_number(status).unwrap(),
        headers: none(),
        body: Vec::new(),
    };
    assert_eq!(solo.command(respond(200)), "200 INFO");
    assert_eq!(solo.say(&ask("INFO 9", &tag, "", "")), "200 INFO", "the stored answer");
    assert_eq!(solo.command(respond(200)), "Misplaced Respond");
}

#[test]
fn section_12_2_the_target_follows_contacts_of_re_invite_update_and_their_2xx() {
    let (mut solo, tag) = solo_call();
    let call = solo.calls[0];
    let at = |text: &str, to: &str| text.replace("10.0.0.1:5070>", to);
    let target = |solo: &mut Solo| {
        let within = Within { call, method: Method::Info, headers: none(), body: Vec::new() };
        let mut out = Vec::new();
        solo.agent.request_within(solo.now, within, &mut out).unwrap();
        solo.show(out);
        let (flow, _) = solo.sent.last().unwrap();
        format!("{} via {}", solo.last_request().uri, flow.remote)
    };
    assert_eq!(target(&mut solo), "sip:x@10.0.0.1:5070 via 10.0.0.1:5070");
    solo.say(&at(&ask("INVITE 2", &tag, "", "again"), "10.0.0.3>"));
    assert_eq!(target(&mut solo), "sip:x@10.0.0.1:5070 via 10.0.0.1:5070", "not yet accepted");
    solo.command(Command::AnswerOffer { call, sdp: sdp("answer") });
    assert_eq!(target(&mut solo), "sip:x@10.0.0.3 via 10.0.0.3:5060");
    solo.say(&ask("ACK/b 2", &tag, "", ""));
    solo.say(&at(&ask("UPDATE 3", &tag, "", ""), "10.0.0.4:9>"));
    assert_eq!(target(&mut solo), "sip:x@10.0.0.4:9 via 10.0.0.4:9");
    for (carrier, name, to) in
        [(Carrier::Update, "UPDATE", "10.0.0.5:9"), (Carrier::Invite, "INVITE", "10.0.0.6:9")]
    {
        let offer = Command::Reoffer { call, carrier, sdp: sdp("hold") };
        assert_eq!(solo.command(offer), format!("{name}+"));
        let contact = format!("Contact: <sip:x@{to}>");
        let ok = reply(&solo.last_request(), 200, "-", &contact, "answer");
        solo.say(&ok);
        if carrier == Carrier::Invite {
            assert_eq!(solo.command(Command::Ack { call, sdp: None }), "ACK");
        }
        assert_eq!(target(&mut solo), format!("sip:x@{to} via {to}"));
    }
}

#[test]
fn section_13_2_2_4_forks_are_told_apart_and_the_second_2xx_is_taken_back() {
    let mut solo = Solo::new(Transport::Udp);
    let (call, invite) = solo.invite(Some("offer"));
    let contact = "Contact: <sip:x@10.0.0.1:5070>";
    for tag in ["one", "two"] {
        assert_eq!(solo.say(&reply(&invite, 180, tag, contact, "")), "Progress 180");
    }
    // A request within the early dialog of either branch finds it, one of a third does not.
    let local = invite.headers.from().unwrap().tag().unwrap().to_owned();
    let early = |peer: &str| {
        let call_id = invite.headers.call_id().unwrap();
        ask("INFO 1", &local, "", "")
            .replace("tag=peer", &format!("tag={peer}"))
            .replace("Call-ID: c1", &format!("Call-ID: {call_id}"))
            .replace("z9hG4bK1", &format!("z9hG4bK{peer}"))
    };
    assert_eq!(solo.say(&early("one")), "Request INFO");
    assert_eq!(solo.say(&early("two")), "Request INFO");
    assert_eq!(solo.say(&early("three")), "481 INFO");

    let two = reply(&invite, 200, "two", contact, "answer");
    assert_eq!(solo.say(&two), "Answered answer");
    assert_eq!(solo.say(&two), "", "the application has not acknowledged yet");
    assert_eq!(solo.say(&reply(&invite, 200, "one", contact, "answer")), "ACK, BYE");
    let extra = solo.last_request();
    assert_eq!(extra.headers.to().unwrap().tag(), Some("one"));
    assert_eq!(solo.command(Command::Ack { call, sdp: None }), "ACK");
    assert_eq!(solo.say(&two), "ACK");
    assert_eq!(solo.say(&reply(&invite, 200, "one", contact, "answer")), "ACK");
    assert_eq!(solo.say(&reply(&extra, 200, "-", "", "")), "");
    assert_eq!(solo.command(bye(call)), "BYE, Ended LocalBye");
    assert_eq!(solo.say(&two), "ACK", "even after the end");
    solo.say(&reply(&solo.last_request(), 200, "-", "", ""));
    solo.wait(120_000);
    assert_eq!(solo.agent.counts(), Counts::default());
}

#[test]
fn section_12_1_2_the_route_set_carries_ack_and_bye() {
    let mut solo = Solo::new(Transport::Udp);
    let (call, invite) = solo.invite(Some("offer"));
    let routes = "Record-Route: <sip:10.0.0.8;lr>, <sip:10.0.0.7:5088;lr>\n\
        Contact: <sip:x@far.example>";
    solo.say(&reply(&invite, 200, "one", routes, "answer"));
    for command in [Command::Ack { call, sdp: None }, bye(call)] {
        solo.command(command);
        let (flow, _) = solo.sent.last().unwrap();
        assert_eq!(flow.remote.to_string(), "10.0.0.7:5088");
        let request = solo.last_request();
        assert_eq!(request.uri.as_str(), "sip:x@far.example");
        let routes: Vec<_> = request.headers.all("Route").collect();
        assert_eq!(routes, ["<sip:10.0.0.7:5088;lr>", "<sip:10.0.0.8;lr>"]);
        let via = request.headers.get("Via").unwrap();
        assert!(via.starts_with("SIP/2.0/UDP b.example:5060;branch=z9hG4bK"), "{via}");
    }
}

#[test]
fn section_8_2_requests_that_belong_to_nothing_get_their_answers() {
    let rows = [
        ("BYE 1", "gone", "481 BYE"),
        ("INFO 1", "gone", "481 INFO"),
        ("INVITE 1", "gone", "481 INVITE"),
        ("UPDATE 1", "gone", "481 UPDATE"),
        ("BYE 1", "", "481 BYE"),
        ("INFO 1", "", "481 INFO"),
        ("CANCEL 1", "", "481 CANCEL"),
        ("ACK 1", "gone", ""),
        ("ACK 1", "", ""),
        ("OPTIONS 1", "", "Options"),
        ("REGISTER 1", "", "405 REGISTER"),
        ("REFER 1", "gone", "405 REFER"),
        ("PRACK 1", "gone", "405 PRACK"),
        ("SUBSCRIBE 1", "", "405 SUBSCRIBE"),
        ("PLEASE 1", "", "501 PLEASE"),
    ];
    for (what, tag, wanted) in rows {
        let mut solo = Solo::new(Transport::Udp);
        assert_eq!(solo.say(&ask(what, tag, "", "")), wanted, "{what}");
    }
}

#[test]
fn section_8_2_2_2_a_request_that_came_by_two_ways_gets_482_the_second_time() {
    let mut solo = Solo::new(Transport::Udp);
    assert_eq!(solo.say(&ask("INVITE/one 1", "", "", "offer")), "Invited offer");
    assert_eq!(solo.say(&ask("INVITE/two 1", "", "", "offer")), "482 INVITE");
    assert_eq!(solo.say(&ask("INVITE/one 1", "", "", "offer")), "100 INVITE");
}

#[test]
fn section_17_2_3_a_peer_of_rfc_2543_is_matched_without_branch() {
    let mut solo = Solo::new(Transport::Udp);
    let old = |what: &str, tag: &str| ask(what, tag, "", "").replace(";branch=z9hG4bK1", "");
    assert_eq!(solo.say(&old("INVITE 1", "")), "Invited");
    assert_eq!(solo.say(&old("INVITE 1", "")), "100 INVITE");
    assert_eq!(solo.say(&old("CANCEL 1", "")), "200 CANCEL, 487 INVITE, Ended Cancelled");
    let tag = solo.last_response().headers.to().unwrap().tag().unwrap().to_owned();
    assert_eq!(solo.say(&old("INVITE 1", "")), "487 INVITE");
    assert_eq!(solo.say(&old("ACK 1", &tag)), "");
    assert_eq!(solo.wait(60_000), "", "the ACK stopped the repetitions");
    assert_eq!(solo.agent.counts(), Counts::default());
}

#[test]
fn rfc_3581_answers_go_to_where_the_request_came_from_if_asked_else_to_the_port_it_named() {
    let rows = [
        ("10.0.0.1:5070;rport", "10.0.0.1:7000", ";rport=7000;"),
        ("10.0.0.1:5070", "10.0.0.1:5070", ";branch=z9hG4bK1"),
        ("192.168.0.9:5070", "10.0.0.1:5070", ";received=10.0.0.1"),
        ("phone.example", "10.0.0.1:5060", ";received=10.0.0.1"),
    ];
    for (sent_by, to, via) in rows {
        let mut solo = Solo::new(Transport::Udp);
        solo.flow.remote = "10.0.0.1:7000".parse().unwrap();
        let text = ask("BYE 1", "gone", "", "").replace("10.0.0.1:5070;branch", "SENTBY;branch");
        let (host, more) = sent_by.split_once(';').unwrap_or((sent_by, ""));
        let text = text.replace("SENTBY;", &format!("{host};{more};").replace(";;", ";"));
        assert_eq!(solo.say(&text), "481 BYE");
        let (flow, _) = solo.sent.last().unwrap();
        assert_eq!(flow.remote.to_string(), to);
        let written = solo.last_response();
        assert!(written.headers.get("Via").unwrap().contains(via), "{written:?}");
    }
}

#[test]
fn past_the_limits_new_work_gets_503_with_retry_after_and_calls_can_still_end() {
    let mut config = AgentConfig::new([3; 32], Vec::new());
    config.calls_max = 1;
    config.transactions_max = 3;
    let mut solo = Solo::with(config, Transport::Udp);
    solo.say(&ask("INVITE 1", "", "", "offer"));
    let call = solo.calls[0];
    solo.command(Command::Accept { call, headers: none(), sdp: sdp("answer") });
    let tag = solo.last_response().headers.to().unwrap().tag().unwrap().to_owned();
    solo.say(&ask("ACK/a 1", &tag, "", ""));
    let other = ask("INVITE/other 1", "", "", "offer").replace("c1", "c2");
    assert_eq!(solo.say(&other), "503 INVITE");
    assert_eq!(solo.last_response().headers.retry_after(), Some(RETRY_AFTER_S));
    for number in 2..4 {
        solo.say(&ask(&format!("OPTIONS {number}"), "", "", "").replace("c1", "c3"));
    }
    assert_eq!(solo.say(&ask("OPTIONS 4", "", "", "").replace("c1", "c3")), "503 OPTIONS");
    assert_eq!(solo.say(&ask("BYE 9", &tag, "", "")), "503 BYE", "a quarter of three is none");
    let mut config = AgentConfig::new([3; 32], Vec::new());
    config.transactions_max = 4;
    let mut solo = Solo::with(config, Transport::Udp);
    solo.say(&ask("INVITE 1", "", "", "offer"));
    let call = solo.calls[0];
    solo.command(Command::Accept { call, headers: none(), sdp: sdp("answer") });
    let tag = solo.last_response().headers.to().unwrap().tag().unwrap().to_owned();
    for number in 2..9 {
        solo.say(&ask(&format!("OPTIONS {number}"), "", "", "").replace("c1", "c3"));
    }
    assert_eq!(solo.say(&ask("BYE 9", &tag, "", "")), "200 BYE, Ended Bye");
}

#[test]
fn a_peer_that_floods_leaves_an_eighth_of_the_transactions_to_others() {
    let mut config = AgentConfig::new([3; 32], Vec::new());
    config.transactions_max = 16;
    let mut solo = Solo::with(config, Transport::Udp);
    let options = |number: u32| ask(&format!("OPTIONS {number}"), "", "", "");
    let taken = (1..30).filter(|number| solo.say(&options(*number)).starts_with("Options"));
    assert_eq!(taken.count(), 14);
    assert_eq!(solo.say(&options(30)), "503 OPTIONS");
    solo.flow.remote = "10.9.9.9:5060".parse().unwrap();
    assert_eq!(solo.say(&options(31)), "Options");
}

#[test]
fn section_18_a_broken_stream_fails_what_waits_and_leaves_the_call() {
    let (mut duet, call) = live(Transport::Tcp);
    duet.within(Who::A, call, Method::Info);
    duet.cut(&mut willing);
    assert_eq!(duet.events.join(", "), "a Response 503, a FlowClosed, b FlowClosed");
    duet.command(Who::B, bye(AT_B), &mut willing);
    duet.run(1_000, &mut willing);
    assert_eq!(
        duet.events.join(", "),
        "a Response 503, a FlowClosed, b FlowClosed, b Ended LocalBye, a Ended Bye"
    );
    duet.ends_empty(&mut willing);
}

#[test]
fn section_18_a_stream_that_cannot_be_dialled_refuses_the_call_at_once() {
    let mut duet = Duet::new(Transport::Tcp, FAIR, 1);
    let flow = duet.flow(Who::A);
    duet.call();
    let (now, mut out) = (duet.now, Vec::new());
    duet.agent(Who::A).handle(now, Input::SendFailed { flow }, &mut out);
    let events: Vec<_> = out
        .iter()
        .map(|output| match output {
            Output::Event(event) => name_event(event),
            Output::Send { .. } => "sent".into(),
        })
        .collect();
    assert_eq!(events, ["Refused 503", "Ended FlowClosed"]);
    assert_eq!(duet.agent(Who::A).counts(), Counts::default());
}

#[test]
fn section_18_2_2_a_response_is_dialled_to_the_sent_by_port_once_its_stream_is_gone() {
    let mut solo = Solo::new(Transport::Tcp);
    solo.flow.remote = "10.0.0.1:40000".parse().unwrap();
    let invite = ask("INVITE 1", "", "", "offer").replace("UDP", "TCP");
    assert_eq!(solo.say(&invite), "Invited offer");
    assert_eq!(solo.input(Input::FlowClosed { flow: solo.flow }), "FlowClosed");
    let call = solo.calls[0];
    solo.command(Command::Reject { call, status: status(486), headers: none() });
    let (flow, _) = solo.sent.last().unwrap();
    assert_eq!((flow.remote.to_string().as_str(), flow.connection), ("10.0.0.1:5070", None));
}

#[test]
fn section_12_2_1_2_a_peer_that_lost_the_call_or_its_life_ends_it() {
    let (mut solo, _) = solo_call();
    let call = solo.calls[0];
    let carrier = Carrier::Invite;
    solo.command(Command::Reoffer { call, carrier, sdp: sdp("hold") });
    let said = solo.say(&reply(&solo.last_request(), 481, "-", "", ""));
    assert_eq!(said, "ACK, ReofferRefused 481, BYE, Ended Unknown");

    let (mut duet, call) = live(Transport::Udp);
    duet.lost = Box::new(|_, _| true);
    duet.within(Who::A, call, Method::Options);
    duet.run(80_000, &mut willing);
    assert_eq!(duet.events.join(", "), "a Response 408, a Ended TransactionTimeout");
}

#[test]
fn section_15_a_callee_that_hangs_up_before_the_ack_waits_for_it() {
    let mut solo = Solo::new(Transport::Udp);
    solo.say(&ask("INVITE 1", "", "", "offer"));
    let call = solo.calls[0];
    solo.command(Command::Accept { call, headers: none(), sdp: sdp("answer") });
    let tag = solo.last_response().headers.to().unwrap().tag().unwrap().to_owned();
    assert_eq!(solo.command(bye(call)), "");
    assert_eq!(solo.wait(600), "200 INVITE+");
    assert_eq!(solo.say(&ask("ACK/a 1", &tag, "", "")), "BYE, Ended LocalBye");
}

#[test]
fn section_13_3_1_1_a_ringing_call_says_so_once_a_minute() {
    let mut solo = Solo::new(Transport::Tcp);
    solo.say(&ask("INVITE 1", "", "", "offer"));
    let call = solo.calls[0];
    solo.command(Command::Ring { call, status: status(183), headers: none(), sdp: sdp("early") });
    assert_eq!(solo.wait(150_000), "183 INVITE+, 183 INVITE+");
}

#[test]
fn section_11_2_options_says_what_invite_would_take() {
    let mut solo = Solo::new(Transport::Udp);
    assert_eq!(solo.say(&ask("OPTIONS 1", "", "", "")), "Options");
    let transaction = solo.transactions[0];
    let mut headers = none();
    headers.push("Content-Type", "application/sdp");
    let body = b"v=0".to_vec();
    let ok = Command::Respond { transaction, status: status(200), headers, body };
    assert_eq!(solo.command(ok), "200 OPTIONS+");
    let headers = solo.last_response().headers;
    assert_eq!(headers.get("Allow"), Some("INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE"));
    assert_eq!(headers.get("Accept"), Some("application/sdp"));
}

#[test]
fn a_request_nobody_answers_gets_500_before_the_peer_gives_up() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut solo = Solo::new(transport);
        solo.say(&ask("OPTIONS 1", "", "", ""));
        assert_eq!(solo.wait(31_000), "500 OPTIONS");
        solo.wait(40_000);
        assert_eq!(solo.agent.counts(), Counts::default());
    }
    let (mut solo, tag) = solo_call();
    assert_eq!(solo.say(&ask("UPDATE 2", &tag, "", "hold")), "Offered Update hold");
    assert_eq!(solo.wait(31_000), "500 UPDATE");
    assert_eq!(solo.say(&ask("UPDATE 3", &tag, "", "hold")), "Offered Update hold");
}

#[test]
fn every_timer_follows_t1() {
    let mut config = AgentConfig::new([3; 32], Vec::new());
    config.timing = Timing { t1: std::time::Duration::from_millis(100), ..Timing::default() };
    let mut solo = Solo::with(config, Transport::Udp);
    solo.invite(Some("offer"));
    assert_eq!(solo.wait(6_399), "INVITE+, INVITE+, INVITE+, INVITE+, INVITE+, INVITE+");
    assert_eq!(solo.wait(1), "Refused 408, Ended TransactionTimeout");
}

/// Calls of every kind through a network that loses, doubles and reorders, until nothing is left.
#[test]
fn in_foul_weather_every_call_ends_and_nothing_is_left_behind() {
    let foul = Weather { loss_percent: 15, twice_percent: 10, delay_ms: 5, jitter_ms: 400 };
    let mut ended = 0;
    for seed in 0..40 {
        let mut duet = Duet::new(Transport::Udp, foul, seed);
        let mut dice = Tokens::new([seed ^ 0x55; 32]);
        let mut calls: Vec<(Who, Call)> = Vec::new();
        for round in 0..50 {
            let from = if dice.next_u32().is_multiple_of(2) { Who::A } else { Who::B };
            let late = dice.next_u32().is_multiple_of(4);
            calls.push((from, duet.call_with(from, (!late).then_some("offer"))));
            let pause = u64::from(dice.next_u32() % 600);
            duet.run(pause, &mut |who, event| {
                if let Event::Invited { call, .. } = &event {
                    calls.push((who, *call));
                }
                willing(who, event)
            });
            let pick = usize::try_from(dice.next_u32()).unwrap() % calls.len();
            let (who, call) = calls[pick];
            match dice.next_u32() % 6 {
                0 => duet.command(who, bye(call), &mut willing),
                1 => duet.within(who, call, Method::Info),
                2 => duet.command(who, Command::Cancel { call }, &mut willing),
                number => {
                    let carrier = if number == 3 { Carrier::Update } else { Carrier::Invite };
                    let text = if number == 4 { None } else { sdp("again") };
                    let reoffer = Command::Reoffer { call, carrier, sdp: text };
                    duet.command(who, reoffer, &mut willing);
                }
            }
            if round == 49 {
                duet.run(60_000, &mut willing);
                for (who, call) in calls.clone() {
                    duet.command(who, bye(call), &mut willing);
                }
            }
        }
        duet.ends_empty(&mut willing);
        let begun = 50 + duet.events.iter().filter(|event| event.contains("Invited")).count();
        let over = duet.events.iter().filter(|event| event.contains("Ended")).count();
        assert_eq!(begun, over, "seed {seed}");
        ended += over;
    }
    assert!(ended > 3_000, "{ended}");
}

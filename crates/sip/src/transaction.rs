//! The four transaction machines of RFC 3261 §17 with the corrections of RFC 6026.
//!
//! They hold no message: they say *when* something is sent, repeated, handed up or given up; the
//! table of the agent holds *what*. [`Client`] and [`Server`] each serve both kinds.

mod client;
mod server;

use std::time::Duration;

pub use client::{Client, ClientAct};
pub use server::{Server, ServerAct};

/// The three times all others are made of. RFC 3261 §17.1.1.1.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Timing {
    /// The round trip estimate: 500 ms.
    pub t1: Duration,
    /// The longest pause between two sendings of a non-INVITE request or a response: 4 s.
    pub t2: Duration,
    /// How long a message may live in the network: 5 s.
    pub t4: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            t1: Duration::from_millis(500),
            t2: Duration::from_secs(4),
            t4: Duration::from_secs(5),
        }
    }
}

impl Timing {
    /// 64 times T1: how long a peer is waited for (timers B, F, H, J, L and M).
    pub const fn patience(&self) -> Duration {
        self.t1.saturating_mul(64)
    }

    /// Timer D: how long a refused INVITE absorbs repeated refusals; at least 32 s.
    fn absorb(&self) -> Duration {
        self.patience().max(Duration::from_secs(32))
    }
}

/// Whether the transport repeats for us what is lost.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reach {
    /// TCP and what is built on it: nothing is sent twice by us.
    Reliable,
    /// UDP.
    Unreliable,
}

/// Which of the two machines of a side: INVITE has three messages, all others have two.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    /// INVITE.
    Invite,
    /// Every other method but ACK.
    Other,
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use vocab::Now;

    use super::*;

    /// Runs a machine through `script` and writes what it does as `<ms> <act>`.
    ///
    /// Words: `<ms>` moves time; `180`, `200`, `486` are responses; `again`, `ack`, `cancel`.
    fn client(kind: Kind, reach: Reach, script: &str) -> String {
        let mut said = String::new();
        let mut machine = Client::new(Now::ZERO, kind, reach, Timing::default());
        let mut now = Now::ZERO;
        for word in script.split_whitespace() {
            if let Some(ms) = word.strip_prefix('@') {
                let end = Now::from_millis(ms.parse().unwrap());
                while let Some(at) = machine.deadline().filter(|at| *at <= end) {
                    let act = machine.timer(at);
                    write!(said, "{} {act:?}, ", at.as_micros() / 1_000).unwrap();
                }
                now = end;
            } else {
                let act = match word {
                    "cancel" => {
                        machine.cancelled(now);
                        continue;
                    }
                    status => machine.response(now, status.parse().unwrap()),
                };
                write!(said, "{} {act:?}, ", now.as_micros() / 1_000).unwrap();
            }
        }
        said.trim_end_matches(", ").to_owned()
    }

    fn server(kind: Kind, reach: Reach, script: &str) -> String {
        let mut said = String::new();
        let mut machine = Server::new(Now::ZERO, kind, reach, Timing::default());
        let mut now = Now::ZERO;
        for word in script.split_whitespace() {
            if let Some(ms) = word.strip_prefix('@') {
                let end = Now::from_millis(ms.parse().unwrap());
                while let Some(at) = machine.deadline().filter(|at| *at <= end) {
                    let act = machine.timer(at);
                    write!(said, "{} {act:?}, ", at.as_micros() / 1_000).unwrap();
                }
                now = end;
            } else {
                let act = match word {
                    "again" => machine.repeated(now),
                    "ack" => machine.ack(now),
                    status => machine.respond(now, status.parse().unwrap()),
                };
                write!(said, "{} {act:?}, ", now.as_micros() / 1_000).unwrap();
            }
        }
        said.trim_end_matches(", ").to_owned()
    }

    use Kind::{Invite, Other};
    use Reach::{Reliable, Unreliable};

    #[test]
    fn section_17_1_1_2_an_invite_client_repeats_doubling_and_gives_up_at_32_s() {
        assert_eq!(
            client(Invite, Unreliable, "@40000"),
            "500 Resend, 1500 Resend, 3500 Resend, 7500 Resend, 15500 Resend, 31500 Resend, 32000 TimedOut"
        );
        assert_eq!(client(Invite, Reliable, "@40000"), "32000 TimedOut");
        assert_eq!(
            client(Invite, Unreliable, "@600 180 @90000 180"),
            "500 Resend, 600 Deliver, 90000 Deliver"
        );
    }

    #[test]
    fn section_17_1_1_2_a_refusal_is_acknowledged_each_time_until_timer_d() {
        assert_eq!(
            client(Invite, Unreliable, "@100 486 @600 486 486 @32099 @32100 486"),
            "100 DeliverAndAck, 600 Ack, 600 Ack, 32100 Gone, 32100 Ignore"
        );
        assert_eq!(client(Invite, Reliable, "@100 486"), "100 DeliverAckAndGo");
        assert_eq!(client(Invite, Unreliable, "@100 486 200"), "100 DeliverAndAck, 100 Ignore");
    }

    #[test]
    fn rfc_6026_an_accepted_invite_hands_up_every_2xx_until_timer_m() {
        for reach in [Reliable, Unreliable] {
            assert_eq!(
                client(Invite, reach, "@100 180 200 @600 200 180 486 @32100"),
                "100 Deliver, 100 Deliver, 600 Deliver, 600 Ignore, 600 Ignore, 32100 Gone"
            );
        }
    }

    #[test]
    fn section_9_1_a_cancelled_invite_waits_32_s_for_its_final_response() {
        assert_eq!(
            client(Invite, Unreliable, "@100 180 cancel @40000"),
            "100 Deliver, 32100 TimedOut"
        );
        assert_eq!(
            client(Invite, Reliable, "@100 180 cancel @200 487"),
            "100 Deliver, 200 DeliverAckAndGo"
        );
    }

    #[test]
    fn section_17_1_2_2_timers_e_f_and_k() {
        assert_eq!(
            client(Other, Unreliable, "@40000"),
            "500 Resend, 1500 Resend, 3500 Resend, 7500 Resend, 11500 Resend, 15500 Resend, \
             19500 Resend, 23500 Resend, 27500 Resend, 31500 Resend, 32000 TimedOut"
        );
        assert_eq!(
            client(Other, Unreliable, "@600 100 @9000 200 @9100 200 @13999 @14000"),
            "500 Resend, 600 Deliver, 1500 Resend, 5500 Resend, 9000 Deliver, 9100 Ignore, 14000 Gone"
        );
        assert_eq!(client(Other, Reliable, "@10 100 200"), "10 Deliver, 10 DeliverAndGo");
        assert_eq!(client(Other, Reliable, "@10 100 @40000"), "10 Deliver, 32000 TimedOut");
    }

    #[test]
    fn section_17_2_1_an_unanswered_invite_gets_a_100_after_200_ms_or_when_repeated() {
        assert_eq!(server(Invite, Unreliable, "@1000 again"), "200 Trying, 1000 ResendLast");
        assert_eq!(server(Invite, Unreliable, "@100 again @1000"), "100 Trying");
        assert_eq!(server(Invite, Reliable, "@100 180 @1000"), "100 Send");
    }

    #[test]
    fn section_17_2_1_timers_g_h_and_i() {
        assert_eq!(
            server(Invite, Unreliable, "486 @50000"),
            "0 Send, 500 ResendLast, 1500 ResendLast, 3500 ResendLast, 7500 ResendLast, 11500 ResendLast, \
             15500 ResendLast, 19500 ResendLast, 23500 ResendLast, 27500 ResendLast, 31500 ResendLast, 32000 Gone"
        );
        assert_eq!(
            server(Invite, Unreliable, "486 @100 again ack again ack @9000"),
            "0 Send, 100 ResendLast, 100 Nothing, 100 Nothing, 100 Nothing, 5100 Gone"
        );
        assert_eq!(server(Invite, Reliable, "486 @9000 ack"), "0 Send, 9000 Go");
        assert_eq!(server(Invite, Unreliable, "486 200 180"), "0 Send, 0 TooLate, 0 TooLate");
    }

    #[test]
    fn rfc_6026_an_accepted_invite_absorbs_repetitions_until_timer_l() {
        for reach in [Reliable, Unreliable] {
            assert_eq!(
                server(Invite, reach, "@50 180 200 again 200 486 ack @40000"),
                "50 Send, 50 Send, 50 Nothing, 50 Send, 50 TooLate, 50 HandUp, 32050 Gone"
            );
        }
    }

    #[test]
    fn section_17_2_2_timer_j_and_the_stored_answer() {
        assert_eq!(
            server(Other, Unreliable, "@10 again 200 again @5000 again 486 @33000"),
            "10 Nothing, 10 Send, 10 ResendLast, 5000 ResendLast, 5000 TooLate, 32010 Gone"
        );
        assert_eq!(server(Other, Reliable, "@10 200"), "10 SendAndGo");
    }

    #[test]
    fn a_request_that_nobody_answers_is_answered_before_the_peer_gives_up() {
        assert_eq!(server(Other, Unreliable, "@40000"), "30000 Overdue");
        assert_eq!(server(Other, Reliable, "@40000"), "30000 Overdue");
    }
}

//! The INVITE usage of one dialog: whose turn it is to offer, to answer, to acknowledge.
//!
//! RFC 3261 §13 and §14, RFC 3264, RFC 3311, RFC 6337. This part decides only; the agent sends.

use std::time::Duration;

use vocab::Now;

use crate::transaction::Timing;

/// Which transaction carries an offer or its answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Carrier {
    /// INVITE, its 2xx and its ACK.
    Invite,
    /// UPDATE and its 2xx.
    Update,
}

/// Whether a message brings a session description.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sdp {
    /// It does.
    Present,
    /// It does not.
    Absent,
}

/// The offer/answer exchange of a dialog.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Exchange {
    /// None is open.
    #[default]
    Stable,
    /// We offered and wait for the answer.
    Sent(Carrier),
    /// The peer offered and waits for ours.
    Received(Carrier),
}

/// The INVITE that is under way in a dialog: there is at most one, either way.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Pending {
    #[default]
    None,
    /// Ours, without a final response yet.
    Sent(Sdp),
    /// Ours, accepted: the application owes the ACK.
    Accepted,
    /// Theirs: the application owes the final response.
    Received(Sdp),
    /// Theirs, accepted by us: their ACK is awaited.
    Accepting,
}

/// What to do with an INVITE or UPDATE from the peer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// It may be handed up.
    Take,
    /// 491: it crossed one of ours.
    Glare,
    /// 500 with Retry-After: the one before it is not answered yet.
    Later,
}

/// The state of offers, answers and INVITEs in one dialog.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    exchange: Exchange,
    pending: Pending,
}

impl Usage {
    /// A dialog that our INVITE is to make.
    pub fn calling(sdp: Sdp) -> Self {
        let mut usage = Self::default();
        usage.send_invite(sdp);
        usage
    }

    /// Whether an INVITE or UPDATE with an offer of ours may be sent now.
    pub fn may_offer(&self, carrier: Carrier) -> bool {
        self.exchange == Exchange::Stable
            && match carrier {
                Carrier::Invite => self.pending == Pending::None,
                Carrier::Update => matches!(self.pending, Pending::None | Pending::Accepting),
            }
    }

    /// Our INVITE goes out.
    pub fn send_invite(&mut self, sdp: Sdp) {
        self.pending = Pending::Sent(sdp);
        if sdp == Sdp::Present {
            self.exchange = Exchange::Sent(Carrier::Invite);
        }
    }

    /// Our UPDATE goes out with an offer.
    pub fn send_update(&mut self) {
        self.exchange = Exchange::Sent(Carrier::Update);
    }

    /// Our INVITE was accepted. The description in the 2xx is the answer, or, if we sent none, the offer.
    pub fn accepted(&mut self, sdp: Sdp) {
        self.exchange = match (self.pending, sdp) {
            (Pending::Sent(Sdp::Absent), Sdp::Present) => Exchange::Received(Carrier::Invite),
            // An answer is final even if the peer left it out: nothing more can come for this offer.
            _ => Exchange::Stable,
        };
        self.pending = Pending::Accepted;
    }

    /// Our ACK goes out: whatever the 2xx offered is answered.
    pub fn acknowledged(&mut self) {
        if self.pending == Pending::Accepted {
            self.pending = Pending::None;
        }
        if self.exchange == Exchange::Received(Carrier::Invite) {
            self.exchange = Exchange::Stable;
        }
    }

    /// Whether the application owes an ACK.
    pub fn owes_ack(&self) -> bool {
        self.pending == Pending::Accepted
    }

    /// Our INVITE or UPDATE ended without being accepted.
    pub fn refused(&mut self, carrier: Carrier) {
        if self.exchange == Exchange::Sent(carrier) {
            self.exchange = Exchange::Stable;
        }
        if carrier == Carrier::Invite && matches!(self.pending, Pending::Sent(_)) {
            self.pending = Pending::None;
        }
    }

    /// Our UPDATE was accepted.
    pub fn updated(&mut self) {
        if self.exchange == Exchange::Sent(Carrier::Update) {
            self.exchange = Exchange::Stable;
        }
    }

    /// The peer's INVITE came. RFC 3261 §14.2; the rows UAS-IcI, IsI, UcI and UsI of RFC 6337 §4.3.
    pub fn receive_invite(&mut self, sdp: Sdp) -> Verdict {
        match (self.pending, self.exchange) {
            (Pending::Sent(_) | Pending::Accepted, _) => Verdict::Glare,
            (Pending::Received(_) | Pending::Accepting, _) => Verdict::Later,
            (Pending::None, Exchange::Sent(_)) => Verdict::Glare,
            (Pending::None, Exchange::Received(_)) => Verdict::Later,
            (Pending::None, Exchange::Stable) => {
                self.pending = Pending::Received(sdp);
                if sdp == Sdp::Present {
                    self.exchange = Exchange::Received(Carrier::Invite);
                }
                Verdict::Take
            }
        }
    }

    /// The peer's UPDATE came. RFC 3311 §5.2; the rows UAS-UcU, UsU, IcU and IsU of RFC 6337 §4.3.
    pub fn receive_update(&mut self, sdp: Sdp) -> Verdict {
        match (sdp, self.pending, self.exchange) {
            (Sdp::Absent, _, _) => Verdict::Take,
            (_, Pending::Sent(_), _) | (_, _, Exchange::Sent(Carrier::Update)) => Verdict::Glare,
            (_, Pending::Accepted, Exchange::Received(Carrier::Invite)) => Verdict::Glare,
            (_, Pending::Received(_), _)
            | (_, _, Exchange::Received(_) | Exchange::Sent(Carrier::Invite)) => Verdict::Later,
            (_, _, Exchange::Stable) => {
                self.exchange = Exchange::Received(Carrier::Update);
                Verdict::Take
            }
        }
    }

    /// Whether an INVITE of the peer proves that our 2xx reached it, though its ACK did not come:
    /// it may not send one before, unless that ACK was to bring the answer.
    pub fn implies_ack(&self) -> bool {
        self.pending == Pending::Accepting && self.exchange == Exchange::Stable
    }

    /// Whether the peer's INVITE or UPDATE waits for our final response.
    pub fn owes_answer(&self, carrier: Carrier) -> bool {
        match carrier {
            Carrier::Invite => matches!(self.pending, Pending::Received(_)),
            Carrier::Update => self.exchange == Exchange::Received(Carrier::Update),
        }
    }

    /// We accept the peer's INVITE. Where it brought no offer, what we send is one.
    pub fn accept_invite(&mut self, sdp: Sdp) {
        self.exchange = match (self.pending, sdp) {
            (Pending::Received(Sdp::Absent), Sdp::Present) => Exchange::Sent(Carrier::Invite),
            _ => Exchange::Stable,
        };
        self.pending = Pending::Accepting;
    }

    /// The ACK of our 2xx came. Whatever we offered is answered, or never will be.
    pub fn receive_ack(&mut self) {
        if self.pending == Pending::Accepting {
            self.pending = Pending::None;
            if self.exchange == Exchange::Sent(Carrier::Invite) {
                self.exchange = Exchange::Stable;
            }
        }
    }

    /// Whether our 2xx waits for its ACK.
    pub fn awaits_ack(&self) -> bool {
        self.pending == Pending::Accepting
    }

    /// We answer the peer's UPDATE, or refuse its INVITE or UPDATE.
    pub fn settle(&mut self, carrier: Carrier) {
        if self.exchange == Exchange::Received(carrier) {
            self.exchange = Exchange::Stable;
        }
        if carrier == Carrier::Invite && matches!(self.pending, Pending::Received(_)) {
            self.pending = Pending::None;
        }
    }
}

/// Repeats our 2xx until its ACK comes. RFC 3261 §13.3.1.4: on every transport, for the network
/// behind the next hop may lose it.
#[derive(Clone, Copy, Debug)]
pub struct Repeat {
    at: Now,
    interval: Duration,
    until: Now,
}

/// What [`Repeat`] wants done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RepeatAct {
    /// Send the 2xx once more.
    Resend,
    /// No ACK came in 64 T1: end the session with a BYE.
    GiveUp,
}

impl Repeat {
    /// The 2xx is sent for the first time at `now`.
    pub fn new(now: Now, timing: Timing) -> Self {
        Self { at: now + timing.t1, interval: timing.t1, until: now + timing.patience() }
    }

    /// When [`Self::timer`] is next due.
    pub fn deadline(&self) -> Now {
        self.at.min(self.until)
    }

    /// Time has reached [`Self::deadline`].
    pub fn timer(&mut self, now: Now, timing: Timing) -> RepeatAct {
        if self.until <= now {
            return RepeatAct::GiveUp;
        }
        self.interval = self.interval.saturating_mul(2).min(timing.t2);
        self.at = now + self.interval;
        RepeatAct::Resend
    }
}

/// How long to wait before an INVITE or UPDATE that met a 491 is sent again: 2.1 s to 4 s for the
/// side that chose the Call-ID, up to 2 s for the other, in steps of 10 ms. RFC 3261 §14.1.
pub fn glare_pause(draw: u32, owns_call_id: bool) -> Duration {
    let draw = u64::from(draw);
    Duration::from_millis(if owns_call_id { 2_100 + 10 * (draw % 191) } else { 10 * (draw % 201) })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the words of `script` and returns the verdicts and answers in order.
    fn check(script: &str, want: &str) {
        let mut usage = Usage::default();
        let mut said = Vec::new();
        for word in script.split_whitespace() {
            let (word, sdp) = match word.strip_suffix("+sdp") {
                Some(word) => (word, Sdp::Present),
                None => (word, Sdp::Absent),
            };
            match word {
                ">INVITE" => usage.send_invite(sdp),
                ">UPDATE" => usage.send_update(),
                ">ACK" => usage.acknowledged(),
                ">200" => usage.accept_invite(sdp),
                ">486" => usage.settle(Carrier::Invite),
                ">update-200" => usage.settle(Carrier::Update),
                "<200" => usage.accepted(sdp),
                "<486" => usage.refused(Carrier::Invite),
                "<update-491" => usage.refused(Carrier::Update),
                "<update-200" => usage.updated(),
                "<ACK" => usage.receive_ack(),
                "<INVITE" => said.push(format!("{:?}", usage.receive_invite(sdp))),
                "<UPDATE" => said.push(format!("{:?}", usage.receive_update(sdp))),
                "may" => said.push(format!(
                    "{}{}",
                    if usage.may_offer(Carrier::Invite) { "I" } else { "-" },
                    if usage.may_offer(Carrier::Update) { "U" } else { "-" },
                )),
                other => panic!("unknown word {other}"),
            }
        }
        assert_eq!(said.join(" "), want, "{script}");
    }

    #[test]
    fn rfc_6337_2_1_offer_in_invite_answer_in_2xx() {
        check(">INVITE+sdp may <200+sdp may >ACK may", "-- -- IU");
        check("<INVITE+sdp may >200+sdp may <ACK may", "Take -- -U IU");
    }

    #[test]
    fn rfc_6337_2_1_offer_in_2xx_answer_in_ack() {
        check(">INVITE may <200+sdp may >ACK+sdp may", "-- -- IU");
        check("<INVITE may >200+sdp may <ACK+sdp may", "Take -- -- IU");
    }

    #[test]
    fn rfc_3311_5_offer_in_update_answer_in_its_2xx() {
        check(">UPDATE+sdp may <update-200+sdp may", "-- IU");
        check("<UPDATE+sdp may >update-200+sdp may", "Take -- IU");
        check("<UPDATE may", "Take IU");
    }

    #[test]
    fn rfc_6337_4_3_glare_is_491_and_an_unanswered_offer_makes_the_next_wait() {
        check(">INVITE+sdp <INVITE+sdp <486 <INVITE+sdp", "Glare Take");
        check("<INVITE+sdp <INVITE+sdp >486 <INVITE+sdp", "Take Later Take");
        check(">UPDATE+sdp <UPDATE+sdp <INVITE+sdp <update-491 <UPDATE+sdp", "Glare Glare Take");
        check("<UPDATE+sdp <UPDATE+sdp <INVITE >update-200 <INVITE", "Take Later Later Take");
        check(">INVITE <UPDATE+sdp <UPDATE", "Glare Take");
        check("<INVITE <UPDATE+sdp", "Take Later");
        check("<INVITE >200+sdp <UPDATE+sdp <ACK+sdp <UPDATE+sdp", "Take Later Take");
        check(">INVITE <200+sdp <UPDATE+sdp >ACK+sdp <UPDATE+sdp", "Glare Take");
        check(">INVITE+sdp <200+sdp <UPDATE+sdp <INVITE", "Take Glare");
        check("<INVITE+sdp <UPDATE+sdp", "Take Later");
        check("<INVITE+sdp >200+sdp <UPDATE+sdp <INVITE", "Take Take Later");
    }

    #[test]
    fn section_14_1_the_owner_of_the_call_id_waits_longer() {
        for draw in [0, 1, 190, 191, 200, 201, u32::MAX] {
            let owner = glare_pause(draw, true).as_millis();
            let other = glare_pause(draw, false).as_millis();
            assert!((2_100..=4_000).contains(&owner) && other <= 2_000, "{owner} {other}");
        }
    }

    #[test]
    fn section_13_3_1_4_the_2xx_is_repeated_ten_times_and_given_up_at_32_s() {
        let timing = Timing::default();
        let mut repeat = Repeat::new(Now::ZERO, timing);
        let mut at = Vec::new();
        while repeat.timer(repeat.deadline(), timing) == RepeatAct::Resend {
            at.push(repeat.at.as_micros() / 1_000);
        }
        assert_eq!(at, [1500, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500, 35500]);
        assert_eq!(repeat.deadline(), Now::from_millis(32_000));
    }
}

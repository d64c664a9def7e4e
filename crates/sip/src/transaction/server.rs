use std::time::Duration;

use vocab::Now;

use super::{Kind, Reach, Timing};

/// How long an INVITE may go unanswered before it gets a 100. RFC 3261 §17.2.1.
const TRYING_AFTER: Duration = Duration::from_millis(200);

/// A server transaction: one request and what we answer. RFC 3261 §17.2, RFC 6026 §8.5.
#[derive(Debug)]
pub struct Server {
    kind: Kind,
    reach: Reach,
    timing: Timing,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Nothing was answered yet. An INVITE gets a 100 at `due`, any other request a refusal.
    Trying {
        due: Now,
    },
    /// A provisional response was sent. A request other than INVITE still has its `due`.
    Proceeding {
        due: Option<Now>,
    },
    /// A refusal of an INVITE waits for its ACK (timers G and H), or a final response absorbs
    /// repetitions (timer J).
    Completed {
        resend: Option<Now>,
        interval: Duration,
        until: Now,
    },
    /// The ACK of a refusal came. Timer I.
    Confirmed {
        until: Now,
    },
    /// A 2xx to INVITE was sent; whoever sent it repeats it. Timer L.
    Accepted {
        until: Now,
    },
    Terminated,
}

/// What a server transaction wants done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ServerAct {
    /// Send the response and keep it.
    Send,
    /// Send the response and forget the transaction.
    SendAndGo,
    /// Send the last response once more.
    ResendLast,
    /// Send 100 and keep it as the last response.
    Trying,
    /// The application owes an answer: refuse the request with 500 in its place.
    Overdue,
    /// The response comes after a final one and is not sent.
    TooLate,
    /// The ACK belongs to a 2xx: it is the dialog's.
    HandUp,
    /// Forget the transaction at once.
    Go,
    /// A timer ended the transaction: forget it.
    Gone,
    /// Nothing.
    Nothing,
}

impl Server {
    /// A transaction whose request came at `now`.
    pub fn new(now: Now, kind: Kind, reach: Reach, timing: Timing) -> Self {
        let due = match kind {
            Kind::Invite => now + TRYING_AFTER,
            // The peer gives up after 64 T1; an answer must reach it before. RFC 4320 §4.2.
            Kind::Other => now + timing.t1.saturating_mul(60),
        };
        Self { kind, reach, timing, state: State::Trying { due } }
    }

    /// Which of the two machines this is.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// When [`Self::timer`] is next due.
    pub fn deadline(&self) -> Option<Now> {
        match &self.state {
            State::Trying { due } => Some(*due),
            State::Proceeding { due } => *due,
            State::Completed { resend, until, .. } => {
                Some(resend.map_or(*until, |at| at.min(*until)))
            }
            State::Confirmed { until } | State::Accepted { until } => Some(*until),
            State::Terminated => None,
        }
    }

    /// Whether the final response is still owed.
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Trying { .. } | State::Proceeding { .. })
    }

    /// The same request came again.
    pub fn repeated(&mut self, _now: Now) -> ServerAct {
        match (&self.state, self.kind) {
            (State::Trying { .. }, Kind::Invite) => {
                self.state = State::Proceeding { due: None };
                ServerAct::Trying
            }
            (State::Proceeding { .. } | State::Completed { .. }, _) => ServerAct::ResendLast,
            (State::Trying { .. }, Kind::Other)
            | (State::Confirmed { .. } | State::Accepted { .. } | State::Terminated, _) => {
                ServerAct::Nothing
            }
        }
    }

    /// An ACK came for this INVITE.
    pub fn ack(&mut self, now: Now) -> ServerAct {
        match (&self.state, self.reach) {
            (State::Completed { .. }, Reach::Reliable) => {
                self.state = State::Terminated;
                ServerAct::Go
            }
            (State::Completed { .. }, Reach::Unreliable) => {
                self.state = State::Confirmed { until: now + self.timing.t4 };
                ServerAct::Nothing
            }
            (State::Accepted { .. }, _) => ServerAct::HandUp,
            (
                State::Trying { .. }
                | State::Proceeding { .. }
                | State::Confirmed { .. }
                | State::Terminated,
                _,
            ) => ServerAct::Nothing,
        }
    }

    /// A response with this status is to be sent.
    pub fn respond(&mut self, now: Now, status: u16) -> ServerAct {
        let due = match (&self.state, self.kind, status) {
            (State::Accepted { .. }, _, 200..=299) => return ServerAct::Send,
            (State::Trying { .. } | State::Proceeding { .. }, Kind::Invite, _) => None,
            (State::Trying { due }, Kind::Other, _) => Some(*due),
            (State::Proceeding { due }, Kind::Other, _) => *due,
            (
                State::Completed { .. }
                | State::Confirmed { .. }
                | State::Accepted { .. }
                | State::Terminated,
                _,
                _,
            ) => return ServerAct::TooLate,
        };
        let until = now + self.timing.patience();
        let interval = self.timing.t1;
        let (state, act) = match (self.kind, self.reach, status) {
            (_, _, ..=199) => (State::Proceeding { due }, ServerAct::Send),
            (Kind::Invite, _, 200..=299) => (State::Accepted { until }, ServerAct::Send),
            (Kind::Invite, Reach::Unreliable, _) => {
                let resend = Some(now + interval);
                (State::Completed { resend, interval, until }, ServerAct::Send)
            }
            (Kind::Invite, Reach::Reliable, _) | (Kind::Other, Reach::Unreliable, _) => {
                (State::Completed { resend: None, interval, until }, ServerAct::Send)
            }
            (Kind::Other, Reach::Reliable, _) => (State::Terminated, ServerAct::SendAndGo),
        };
        self.state = state;
        act
    }

    /// Time has reached [`Self::deadline`].
    pub fn timer(&mut self, now: Now) -> ServerAct {
        if self.deadline().is_none_or(|at| at > now) {
            return ServerAct::Nothing;
        }
        match (&mut self.state, self.kind) {
            (State::Trying { .. }, Kind::Invite) => {
                self.state = State::Proceeding { due: None };
                ServerAct::Trying
            }
            // The refusal that follows sets the next deadline; until then none stands.
            (State::Trying { .. }, Kind::Other) | (State::Proceeding { .. }, _) => {
                self.state = State::Proceeding { due: None };
                ServerAct::Overdue
            }
            (State::Completed { until, .. }, _) if *until <= now => {
                self.state = State::Terminated;
                ServerAct::Gone
            }
            (State::Completed { resend, interval, .. }, _) => {
                *interval = interval.saturating_mul(2).min(self.timing.t2);
                *resend = Some(now + *interval);
                ServerAct::ResendLast
            }
            (State::Confirmed { .. } | State::Accepted { .. }, _) => {
                self.state = State::Terminated;
                ServerAct::Gone
            }
            (State::Terminated, _) => ServerAct::Nothing,
        }
    }
}

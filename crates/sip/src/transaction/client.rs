use std::time::Duration;

use vocab::Now;

use super::{Kind, Reach, Timing};

/// A client transaction: one request and what may come back. RFC 3261 §17.1, RFC 6026 §8.4.
#[derive(Debug)]
pub struct Client {
    kind: Kind,
    reach: Reach,
    timing: Timing,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Calling or Trying: nothing came back yet. Timers A and B, or E and F.
    Waiting {
        resend: Option<Now>,
        interval: Duration,
        until: Now,
    },
    /// A provisional response came. An INVITE waits without end, unless it was cancelled.
    Proceeding {
        resend: Option<Now>,
        until: Option<Now>,
    },
    /// A final response came that is not a 2xx to INVITE. Timer D or K.
    Completed {
        until: Now,
    },
    /// A 2xx to INVITE came. Timer M.
    Accepted {
        until: Now,
    },
    Terminated,
}

/// What a client transaction wants done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ClientAct {
    /// Hand the response up.
    Deliver,
    /// Hand the final response up and forget the transaction.
    DeliverAndGo,
    /// Hand the refusal of an INVITE up and acknowledge it.
    DeliverAndAck,
    /// The same, and forget the transaction.
    DeliverAckAndGo,
    /// Acknowledge a repeated refusal.
    Ack,
    /// Send the request once more.
    Resend,
    /// No final response came in time: tell, and forget the transaction.
    TimedOut,
    /// Forget the transaction.
    Gone,
    /// Nothing: a repetition, or a response that comes too late.
    Ignore,
}

impl Client {
    /// A transaction whose request is sent at `now`.
    pub fn new(now: Now, kind: Kind, reach: Reach, timing: Timing) -> Self {
        let resend = (reach == Reach::Unreliable).then(|| now + timing.t1);
        let state = State::Waiting { resend, interval: timing.t1, until: now + timing.patience() };
        Self { kind, reach, timing, state }
    }

    /// When [`Self::timer`] is next due.
    pub fn deadline(&self) -> Option<Now> {
        match &self.state {
            State::Waiting { resend, until, .. } => {
                Some(resend.map_or(*until, |at| at.min(*until)))
            }
            State::Proceeding { resend, until } => match (resend, until) {
                (Some(resend), Some(until)) => Some(*resend.min(until)),
                (one, other) => one.or(*other),
            },
            State::Completed { until } | State::Accepted { until } => Some(*until),
            State::Terminated => None,
        }
    }

    /// Whether a provisional response came and no final one: only then may a CANCEL be sent.
    pub fn is_proceeding(&self) -> bool {
        matches!(self.state, State::Proceeding { .. })
    }

    /// Whether no response at all came yet.
    pub fn is_waiting(&self) -> bool {
        matches!(self.state, State::Waiting { .. })
    }

    /// Whether the final response is still to come.
    pub fn is_open(&self) -> bool {
        self.is_waiting() || self.is_proceeding()
    }

    /// The request was cancelled, or its call has ended: its final response is waited for no longer
    /// than 64 T1. RFC 3261 §9.1.
    pub fn cancelled(&mut self, now: Now) {
        if let State::Proceeding { until, .. } = &mut self.state {
            until.get_or_insert(now + self.timing.patience());
        }
    }

    /// A response with this status came.
    pub fn response(&mut self, now: Now, status: u16) -> ClientAct {
        match (&self.state, self.kind, status) {
            (State::Waiting { resend, until, .. }, kind, 100..=199) => {
                self.state = match kind {
                    Kind::Invite => State::Proceeding { resend: None, until: None },
                    // Timer E runs on; only its next interval is T2.
                    Kind::Other => State::Proceeding { resend: *resend, until: Some(*until) },
                };
                ClientAct::Deliver
            }
            (State::Proceeding { .. }, _, 100..=199) => ClientAct::Deliver,
            (State::Waiting { .. } | State::Proceeding { .. }, Kind::Invite, 200..=299) => {
                self.state = State::Accepted { until: now + self.timing.patience() };
                ClientAct::Deliver
            }
            (State::Waiting { .. } | State::Proceeding { .. }, Kind::Invite, _) => {
                match self.reach {
                    Reach::Reliable => {
                        self.state = State::Terminated;
                        ClientAct::DeliverAckAndGo
                    }
                    Reach::Unreliable => {
                        self.state = State::Completed { until: now + self.timing.absorb() };
                        ClientAct::DeliverAndAck
                    }
                }
            }
            (State::Waiting { .. } | State::Proceeding { .. }, Kind::Other, _) => {
                match self.reach {
                    Reach::Reliable => {
                        self.state = State::Terminated;
                        ClientAct::DeliverAndGo
                    }
                    Reach::Unreliable => {
                        self.state = State::Completed { until: now + self.timing.t4 };
                        ClientAct::Deliver
                    }
                }
            }
            (State::Completed { .. }, Kind::Invite, 300..) => ClientAct::Ack,
            (State::Accepted { .. }, _, 200..=299) => ClientAct::Deliver,
            (State::Completed { .. } | State::Accepted { .. } | State::Terminated, _, _) => {
                ClientAct::Ignore
            }
        }
    }

    /// Time has reached [`Self::deadline`].
    pub fn timer(&mut self, now: Now) -> ClientAct {
        if self.deadline().is_none_or(|at| at > now) {
            return ClientAct::Ignore;
        }
        match &mut self.state {
            State::Waiting { until, .. } if *until <= now => self.end(ClientAct::TimedOut),
            State::Waiting { resend, interval, .. } => {
                *interval = interval.saturating_mul(2);
                if self.kind == Kind::Other {
                    *interval = (*interval).min(self.timing.t2);
                }
                *resend = Some(now + *interval);
                ClientAct::Resend
            }
            State::Proceeding { until, .. } if until.is_some_and(|at| at <= now) => {
                self.end(ClientAct::TimedOut)
            }
            State::Proceeding { resend, .. } => {
                *resend = Some(now + self.timing.t2);
                ClientAct::Resend
            }
            State::Completed { .. } | State::Accepted { .. } => self.end(ClientAct::Gone),
            State::Terminated => ClientAct::Ignore,
        }
    }

    fn end(&mut self, act: ClientAct) -> ClientAct {
        self.state = State::Terminated;
        act
    }
}

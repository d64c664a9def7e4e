//! The words in which an agent and its owner speak: what goes in, what comes out.

use std::net::SocketAddr;
use std::sync::Arc;

use vocab::ConnectionId;

use crate::admission::Rules;
use crate::framing::Fault;
use crate::headers::Headers;
use crate::invite::Carrier;
use crate::message::{Request, Response};
use crate::method::Method;
use crate::status::StatusCode;
use crate::transaction::{Reach, Timing};
use crate::uri::AnyUri;

/// Calls that an agent holds at once unless told otherwise; past it INVITE gets 503.
pub const CALLS_MAX: usize = 20_000;

/// Transactions that an agent holds at once unless told otherwise; past it new requests get 503.
/// Requests within dialogs may use a quarter more, so that calls can end under a flood.
pub const TRANSACTIONS_MAX: usize = 200_000;

/// Early dialogs of one INVITE; provisional responses from further branches are not handed up.
pub const FORKS_MAX: usize = 16;

/// What the Retry-After of a 503 says, in seconds.
pub const RETRY_AFTER_S: u32 = 5;

/// How often an INVITE or UPDATE that meets 491 is sent again before the application hears of it.
pub const GLARE_RETRIES_MAX: u32 = 4;

/// How messages travel.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Transport {
    /// Datagrams.
    Udp,
    /// Streams.
    Tcp,
}

impl Transport {
    /// The word for a Via: `UDP`, `TCP`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
        }
    }

    /// Whether what is lost is repeated below us.
    pub const fn reach(self) -> Reach {
        match self {
            Self::Udp => Reach::Unreliable,
            Self::Tcp => Reach::Reliable,
        }
    }
}

/// A way to or from one peer address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Flow {
    /// How.
    pub transport: Transport,
    /// Our end. For a stream to be dialled, the bound address of that transport.
    pub local: SocketAddr,
    /// The peer's end.
    pub remote: SocketAddr,
    /// The stream. `None` for datagrams, and for a stream that is to be dialled: whoever sends
    /// looks for one to `remote` that it dialled before, else dials.
    pub connection: Option<ConnectionId>,
}

/// One bound address and what peers are told in its place.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Address {
    /// Of which transport.
    pub transport: Transport,
    /// As bound; may be unspecified, then any flow of that transport and address family is meant.
    pub bound: SocketAddr,
    /// The host for Via and Contact (IPv6 in brackets); `None`: the flow's own local address.
    pub host: Option<Box<str>>,
    /// The port for Via and Contact.
    pub port: u16,
}

/// What an agent is told once.
#[derive(Clone, Debug)]
pub struct AgentConfig {
    /// Tags, branches and Call-IDs follow from it; the shell draws it from the system.
    pub seed: [u8; 32],
    /// The addresses of this agent.
    pub addresses: Vec<Address>,
    /// The user part of our Contact.
    pub user: Box<str>,
    /// What User-Agent and Server say; `None`: nothing.
    pub product: Option<Box<str>>,
    /// What is admitted: methods, extensions, sizes. Allow, Supported and Accept follow from it.
    pub rules: Rules,
    /// T1, T2, T4.
    pub timing: Timing,
    /// Calls at once.
    pub calls_max: usize,
    /// Transactions at once.
    pub transactions_max: usize,
}

impl AgentConfig {
    /// The defaults of the RFC with this seed and these addresses.
    pub fn new(seed: [u8; 32], addresses: Vec<Address>) -> Self {
        Self {
            seed,
            addresses,
            user: "entracte".into(),
            product: Some("Entracte".into()),
            rules: Rules::default(),
            timing: Timing::default(),
            calls_max: CALLS_MAX,
            transactions_max: TRANSACTIONS_MAX,
        }
    }
}

macro_rules! handle {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $name(pub(crate) u64);

        impl $name {
            /// The number, for tables and logs.
            pub const fn number(self) -> u64 {
                self.0
            }
        }
    };
}

handle! {
    /// One call: an INVITE, the dialogs it makes and their end. Never reused.
    Call
}
handle! {
    /// A request of a peer that the application answers. Never reused.
    ServerTransaction
}
handle! {
    /// A request of ours outside INVITE usage. Never reused.
    ClientTransaction
}

/// What goes into an agent.
#[derive(Debug)]
pub enum Input {
    /// One datagram, or one framed message of a stream.
    Received {
        /// Where from.
        flow: Flow,
        /// The message.
        bytes: Vec<u8>,
    },
    /// A message of a stream that its framer could not take whole: it is answered as far as can be.
    Faulty {
        /// Where from.
        flow: Flow,
        /// What the framer said. Whether the stream lives on is for whoever holds it.
        fault: Fault,
    },
    /// A stream ended, either way, or could not be dialled.
    FlowClosed {
        /// Which.
        flow: Flow,
    },
    /// What was given out for this flow could not be sent (port unreachable, queue full).
    SendFailed {
        /// Which.
        flow: Flow,
    },
    /// The application wants something.
    Command(Command),
    /// The deadline is reached.
    Timeout,
}

/// What the application may want of a call or a request it was shown.
///
/// A command that does not fit the state it meets, most often because it crossed an event, does
/// nothing but [`Event::Misplaced`].
#[derive(Debug)]
pub enum Command {
    /// Provisional response to the INVITE of [`Event::Invited`].
    Ring {
        /// Which call.
        call: Call,
        /// 101 to 199.
        status: StatusCode,
        /// Further headers.
        headers: Headers,
        /// A preview of the answer (RFC 6337 §3.1.1), for 183.
        sdp: Option<Vec<u8>>,
    },
    /// 200 to the INVITE of [`Event::Invited`].
    Accept {
        /// Which call.
        call: Call,
        /// Further headers.
        headers: Headers,
        /// The answer; the offer where the INVITE brought none.
        sdp: Option<Vec<u8>>,
    },
    /// Refusal of the INVITE of [`Event::Invited`].
    Reject {
        /// Which call.
        call: Call,
        /// 300 to 699.
        status: StatusCode,
        /// Further headers: Warning, Retry-After, Contact.
        headers: Headers,
    },
    /// Ends the call whatever its state: BYE, or CANCEL, or 480; where our 2xx waits for its ACK,
    /// BYE after that.
    Bye {
        /// Which call.
        call: Call,
        /// Further headers: Reason.
        headers: Headers,
    },
    /// Gives up an INVITE of ours that has no final response.
    Cancel {
        /// Which call.
        call: Call,
    },
    /// ACK to the 2xx of [`Event::Answered`].
    Ack {
        /// Which call.
        call: Call,
        /// The answer, where the 2xx brought the offer.
        sdp: Option<Vec<u8>>,
    },
    /// re-INVITE or UPDATE.
    Reoffer {
        /// Which call.
        call: Call,
        /// INVITE or UPDATE.
        carrier: Carrier,
        /// The offer. An INVITE without one asks the peer for its offer.
        sdp: Option<Vec<u8>>,
    },
    /// 200 to the INVITE or UPDATE of [`Event::Offered`].
    AnswerOffer {
        /// Which call.
        call: Call,
        /// The answer; the offer where the INVITE brought none.
        sdp: Option<Vec<u8>>,
    },
    /// Refusal of the INVITE or UPDATE of [`Event::Offered`]; the session stays as it was.
    RejectOffer {
        /// Which call.
        call: Call,
        /// 300 to 699.
        status: StatusCode,
        /// Further headers.
        headers: Headers,
    },
    /// Response to [`Event::Options`] or [`Event::Request`].
    Respond {
        /// Which request.
        transaction: ServerTransaction,
        /// Any status.
        status: StatusCode,
        /// Further headers, Content-Type among them where there is a body.
        headers: Headers,
        /// The body.
        body: Vec<u8>,
    },
}

/// An INVITE of ours.
#[derive(Debug)]
pub struct Invite {
    /// Request-URI.
    pub target: AnyUri,
    /// Where to send it: whoever calls has resolved the name.
    pub flow: Flow,
    /// From without its tag: `"Name" <sip:user@host>`.
    pub from: String,
    /// To without a tag.
    pub to: String,
    /// Further headers: Route, …
    pub headers: Headers,
    /// The offer; without one the peer is asked for its offer.
    pub sdp: Option<Vec<u8>>,
}

/// A request of ours outside any dialog: OPTIONS, …
#[derive(Debug)]
pub struct Outside {
    /// The method; not INVITE, ACK or CANCEL.
    pub method: Method,
    /// Request-URI.
    pub target: AnyUri,
    /// Where to send it.
    pub flow: Flow,
    /// From without its tag.
    pub from: String,
    /// To.
    pub to: String,
    /// Further headers, Content-Type among them where there is a body.
    pub headers: Headers,
    /// The body.
    pub body: Vec<u8>,
}

/// A request of ours within a call: INFO, OPTIONS, …
#[derive(Debug)]
pub struct Within {
    /// Which call; it has rung or was answered.
    pub call: Call,
    /// The method.
    pub method: Method,
    /// Further headers, Content-Type among them where there is a body.
    pub headers: Headers,
    /// The body.
    pub body: Vec<u8>,
}

/// Why a request of ours was not sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NotSent {
    /// `calls_max` is reached.
    Calls,
    /// `transactions_max` is reached.
    Transactions,
    /// There is no such call, or it has no dialog yet.
    NoDialog,
    /// The method has machinery of its own (INVITE, ACK, CANCEL, BYE, PRACK, UPDATE).
    Method,
}

impl std::fmt::Display for NotSent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Calls => "the limit of calls is reached",
            Self::Transactions => "the limit of transactions is reached",
            Self::NoDialog => "the call has no dialog",
            Self::Method => "the method cannot be sent this way",
        })
    }
}

impl std::error::Error for NotSent {}

/// What comes out of an agent.
#[derive(Debug)]
pub enum Output {
    /// Send this message.
    Send {
        /// Where to.
        flow: Flow,
        /// The message.
        bytes: Vec<u8>,
    },
    /// Tell the application.
    Event(Event),
}

/// Who made a response.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Origin {
    /// The peer.
    Peer,
    /// We: none came in time.
    Timeout,
    /// We: the flow failed.
    FlowFailed,
}

/// Why a call ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EndReason {
    /// The peer sent BYE.
    Bye,
    /// The peer cancelled its INVITE, or we cancelled ours.
    Cancelled,
    /// We sent BYE.
    LocalBye,
    /// The INVITE was refused, by the peer or by us.
    Refused,
    /// Our 2xx was never acknowledged; a BYE was sent.
    AckTimeout,
    /// A request of ours within the call was never answered; a BYE was sent.
    TransactionTimeout,
    /// The peer does not know the call any more.
    Unknown,
    /// The INVITE could not be sent: its flow failed.
    FlowClosed,
}

/// What the application is told. For every [`Call`] the last event is [`Event::Ended`], and there is
/// exactly one.
#[derive(Debug)]
pub enum Event {
    /// A peer calls. Answer with Ring, Accept or Reject.
    Invited {
        /// The new call.
        call: Call,
        /// Where the INVITE came from.
        flow: Flow,
        /// The INVITE.
        request: Arc<Request>,
        /// Its session description; without one, Accept brings the offer.
        offer: Option<Vec<u8>>,
    },
    /// The peer wants to change the session. Answer with AnswerOffer or RejectOffer.
    Offered {
        /// Which call.
        call: Call,
        /// INVITE or UPDATE.
        carrier: Carrier,
        /// The request.
        request: Arc<Request>,
        /// The offer; without one, AnswerOffer brings it and [`Event::Acked`] the answer.
        offer: Option<Vec<u8>>,
    },
    /// The peer took back its re-INVITE; it was refused with 487.
    OfferWithdrawn {
        /// Which call.
        call: Call,
    },
    /// The ACK to our 2xx came.
    Acked {
        /// Which call.
        call: Call,
        /// The answer, where our 2xx brought the offer.
        answer: Option<Vec<u8>>,
    },
    /// A provisional response (not 100) to our INVITE.
    Progress {
        /// Which call.
        call: Call,
        /// The response; its To tag names the branch.
        response: Response,
        /// Its session description.
        sdp: Option<Vec<u8>>,
    },
    /// A 2xx to our INVITE, the first or a later one. Answer with Ack.
    Answered {
        /// Which call.
        call: Call,
        /// The response.
        response: Response,
        /// The answer, or the offer where our INVITE brought none.
        sdp: Option<Vec<u8>>,
    },
    /// A 2xx to our UPDATE.
    Updated {
        /// Which call.
        call: Call,
        /// The response.
        response: Response,
        /// The answer.
        answer: Option<Vec<u8>>,
    },
    /// Our re-INVITE or UPDATE was refused; the session stays as it was. A 491 comes here only
    /// after [`GLARE_RETRIES_MAX`] more tries.
    ReofferRefused {
        /// Which call.
        call: Call,
        /// INVITE or UPDATE.
        carrier: Carrier,
        /// The response; where none came, one of ours: 408 after time, 503 after a failed flow.
        response: Response,
    },
    /// Our INVITE was refused; [`Event::Ended`] follows.
    Refused {
        /// Which call.
        call: Call,
        /// The response; where none came, one of ours: 408 after time, 503 after a failed flow.
        response: Response,
    },
    /// The call is over and its handle dead.
    Ended {
        /// Which call.
        call: Call,
        /// Why.
        why: EndReason,
    },
    /// OPTIONS. Answer with Respond; Allow, Accept and Supported are added.
    Options {
        /// To answer it.
        transaction: ServerTransaction,
        /// Within this call.
        call: Option<Call>,
        /// The request.
        request: Arc<Request>,
    },
    /// INFO or another allowed method. Answer with Respond, or 500 goes out after 30 s.
    Request {
        /// To answer it.
        transaction: ServerTransaction,
        /// Within this call.
        call: Option<Call>,
        /// The request.
        request: Arc<Request>,
    },
    /// A response to a request sent outside INVITE usage; a final one is the last.
    Response {
        /// Who made it.
        origin: Origin,
        /// To which.
        transaction: ClientTransaction,
        /// Within this call.
        call: Option<Call>,
        /// The response; where none came, one of ours: 408 after time, 503 after a failed flow.
        response: Response,
    },
    /// The stream under this call ended. The call goes on, and what it sends next is dialled anew
    /// (RFC 3261 §18); an application that knows its peer to be gone ends the call.
    FlowClosed {
        /// Which call.
        call: Call,
    },
    /// The command did not fit the state of the call or transaction: nothing was done.
    Misplaced {
        /// Which command.
        command: &'static str,
    },
}

/// How much an agent holds. All zero once every call has ended and the last timer has run out.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// Calls.
    pub calls: usize,
    /// Client transactions.
    pub clients: usize,
    /// Server transactions.
    pub servers: usize,
    /// Entries of the lookup tables (tags, transaction keys, merge keys).
    pub lookups: usize,
    /// Entries of the table of flows.
    pub flows: usize,
    /// Deadlines.
    pub deadlines: usize,
}

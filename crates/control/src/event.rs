use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use mrcp::lexicon::Lexicon;
use mrcp::synthesizer::LexiconFailure;
use vocab::{ConnectionId, SessionId};

use crate::blueprint::Blueprint;
use crate::player::Ticket;
use crate::position::{Border, Limit, Start};

/// When something happens, on both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// On the monotonic clock.
    pub now: vocab::Now,
    /// On the wall clock, as MRCPv2 tells it.
    pub at: mrcp::NtpTime,
}

/// One program played into a call: an utterance, or what is left of it after a jump.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct ProgramId(u64);

impl ProgramId {
    /// The id with this number; the server counts up from 1.
    pub const fn from_number(number: u64) -> Self {
        Self(number)
    }

    /// The number, for the engine and for logs.
    pub const fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for ProgramId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Everything that can happen to the server.
#[derive(Debug)]
pub enum Event {
    /// The SIP agent speaks.
    Sip(sip::agent::Event),
    /// An MRCPv2 message came.
    Mrcp {
        /// The connection it came by.
        connection: ConnectionId,
        /// The message.
        message: Box<mrcp::Message>,
    },
    /// Bytes came on an MRCPv2 connection that are no message.
    MrcpFault {
        /// The connection they came by.
        connection: ConnectionId,
        /// What was wrong, and what to answer.
        fault: mrcp::Fault,
    },
    /// A connection ended.
    Closed {
        /// Its number.
        connection: ConnectionId,
    },
    /// The answer to [`Effect::Reserve`].
    Reserved {
        /// For which session.
        session: SessionId,
        /// Our RTP port, or why there is none.
        outcome: Result<u16, Busy>,
    },
    /// The answer to [`Effect::Open`] or [`Effect::Change`], when the engine would not have it.
    Refused {
        /// For which session.
        session: SessionId,
        /// Why.
        busy: Busy,
    },
    /// A feeder speaks.
    Feed(Feed),
    /// The first sound of an utterance that begins with speech was sent.
    Spoke {
        /// In which program.
        program: ProgramId,
        /// Who spoke.
        by: Spoken,
    },
    /// What became of [`Effect::FetchLexicons`].
    Lexicons {
        /// For which session.
        session: SessionId,
        /// Which request wanted them.
        ticket: Ticket,
        /// All of them, or why not.
        fetched: Result<Vec<Lexicon>, LexiconFailure>,
    },
    /// The engine passed a mark.
    Passed {
        /// In which program.
        program: ProgramId,
        /// The mark's tag.
        tag: u32,
        /// When it was sent, as NTP time.
        at: mrcp::NtpTime,
    },
    /// The engine played a program to its end.
    Finished {
        /// Which one.
        program: ProgramId,
    },
    /// The engine dropped a program where it was.
    Stopped {
        /// Which one.
        program: ProgramId,
        /// Samples of it that were played.
        at: u64,
    },
    /// The peer's media port is closed (ICMP), or it said RTCP BYE.
    MediaGone {
        /// Of which session.
        session: SessionId,
    },
    /// The sources or voices on offer have changed.
    Catalog(crate::capabilities::Catalog),
    /// Settings have changed; calls that are there keep what they began with.
    Settings {
        /// Calls at one time. More that are there already stay.
        sessions_max: usize,
        /// Language, voice, rate and volume where nothing else is said.
        defaults: crate::playout::Defaults,
    },
    /// No new calls from now on; those that are end when they end.
    Drain,
    /// End every call.
    HangUp,
    /// Time has passed; see [`crate::Server::deadline`].
    Timeout,
}

/// Who spoke, and how long it took from the order to the packet with the first sound.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Spoken {
    /// The provider's name.
    pub provider: Arc<str>,
    /// The voice's id.
    pub voice: Arc<str>,
    /// How long it took.
    pub after: Duration,
}

/// Why a call cannot have media.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Busy {
    /// Every port of the configured ranges is taken.
    Ports,
    /// The engines are loaded to the limit.
    Load,
    /// The system refused a socket.
    System(String),
    /// There is no way from here to the address that the peer named.
    Unreachable(String),
}

impl fmt::Display for Busy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ports => f.write_str("audio.rtp.port_ranges is exhausted"),
            Self::Load => f.write_str("engine.refuse_above_percent is reached"),
            Self::System(why) | Self::Unreachable(why) => f.write_str(why),
        }
    }
}

/// What a feeder tells about its program.
#[derive(Debug)]
pub enum Feed {
    /// Enough is there to start, or all of it.
    Ready {
        /// Which program.
        program: ProgramId,
    },
    /// The tag that a mark will be reported by.
    Mark {
        /// Which program.
        program: ProgramId,
        /// The tag.
        tag: u32,
        /// The mark's name.
        name: String,
    },
    /// Where something begins, in samples from the beginning of the program's first step: what is
    /// passed over counts, and is told too.
    Border {
        /// Which program.
        program: ProgramId,
        /// The place.
        border: Border,
    },
    /// The first sample that is heard is reached, this far from the beginning of the program's first
    /// step. Told by programs that begin elsewhere.
    Skipped {
        /// Which program.
        program: ProgramId,
        /// Samples passed over.
        samples: u64,
    },
    /// A step could not be had, and there was nothing to play instead; what was pushed before is
    /// still played.
    Failed {
        /// Which program.
        program: ProgramId,
        /// Why.
        failure: Failure,
    },
}

impl Feed {
    /// Which program it is about.
    pub const fn program(&self) -> ProgramId {
        match self {
            Self::Ready { program }
            | Self::Mark { program, .. }
            | Self::Border { program, .. }
            | Self::Skipped { program, .. }
            | Self::Failed { program, .. } => *program,
        }
    }
}

/// Why an utterance cannot be played to its end.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Failure {
    /// A URI could not be had.
    Uri {
        /// The URI as it was asked for.
        uri: String,
        /// What went wrong, for people.
        why: String,
        /// The same as a code of its protocol. RFC 6787 §8.4.13 `Failed-URI-Cause`.
        cause: String,
    },
    /// The markup could not be read.
    Parse(String),
    /// No voice speaks the language.
    Language(String),
    /// A pronunciation lexicon could not be had or read.
    Lexicon {
        /// Its URI.
        uri: String,
        /// What went wrong, for people.
        why: String,
    },
    /// Speech is switched off, or no provider can be had.
    Speech(String),
    /// Anything else on our side.
    Error(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uri { uri, why, .. } | Self::Lexicon { uri, why } => write!(f, "{uri}: {why}"),
            Self::Parse(why) | Self::Speech(why) | Self::Error(why) => f.write_str(why),
            Self::Language(language) => write!(f, "no voice speaks \"{language}\""),
        }
    }
}

/// A call's audio as it was agreed on.
#[derive(Clone, Debug, PartialEq)]
pub struct Media {
    /// Where the peer wants its RTP.
    pub remote: SocketAddr,
    /// Where the peer wants its RTCP.
    pub remote_rtcp: SocketAddr,
    /// The law we encode to.
    pub law: audio::Law,
    /// The payload type that carries it.
    pub payload_type: u8,
    /// Milliseconds of audio in a packet, 10 to 60.
    pub ptime_ms: u32,
    /// The payload type of telephone-events (RFC 4733), where agreed.
    pub telephone_event: Option<u8>,
    /// Whether the peer may send to us.
    pub receives: bool,
    /// Whether the peer takes audio from us.
    pub sends: bool,
}

/// Everything that the server can order.
#[derive(Debug)]
pub enum Effect {
    /// For the SIP agent.
    Sip(sip::agent::Command),
    /// Ask the peer whether it is still there: OPTIONS within the call.
    Probe {
        /// Which call.
        call: sip::agent::Call,
    },
    /// Fetch pronunciation lexicons; [`Event::Lexicons`] follows.
    FetchLexicons {
        /// For which session.
        session: SessionId,
        /// Which request wants them.
        ticket: Ticket,
        /// Where they are.
        uris: Vec<String>,
        /// How long that may take, where the request says so.
        timeout: Option<Duration>,
    },
    /// Bytes for an MRCPv2 connection.
    Send {
        /// Which connection.
        connection: ConnectionId,
        /// A whole message.
        bytes: Vec<u8>,
    },
    /// Close a connection once what was sent is written.
    Close {
        /// Which one.
        connection: ConnectionId,
    },
    /// Take a pair of RTP ports; [`Event::Reserved`] follows at once.
    Reserve {
        /// For which session.
        session: SessionId,
        /// The peer's address, for the address family.
        towards: SocketAddr,
    },
    /// Begin sending and receiving.
    Open {
        /// For which session.
        session: SessionId,
        /// What was agreed on.
        media: Media,
    },
    /// The peer changed its mind about the audio.
    Change {
        /// Of which session.
        session: SessionId,
        /// What was agreed on.
        media: Media,
    },
    /// Give the ports back; what was playing there is dropped.
    Release {
        /// Of which session.
        session: SessionId,
    },
    /// Prepare a program; [`Feed`]s follow.
    Prepare {
        /// For which session.
        session: SessionId,
        /// Its number.
        program: ProgramId,
        /// What is played.
        blueprint: Arc<Blueprint>,
        /// From where.
        start: Start,
        /// How much.
        limit: Option<Limit>,
        /// What the client wants to find it by in the log.
        logging_tag: Option<Arc<str>>,
    },
    /// Start a program that is ready, at once, in place of whatever plays; a pause of what played
    /// before is over.
    Start {
        /// In which session.
        session: SessionId,
        /// Which program.
        program: ProgramId,
        /// Louder or softer than the material is, in dB.
        gain_db: f32,
    },
    /// Drop a program; [`Event::Stopped`] follows, with 0 samples if it had not started.
    Halt {
        /// In which session.
        session: SessionId,
        /// Which program.
        program: ProgramId,
    },
    /// Stop sending, and keep the place.
    Pause {
        /// In which session.
        session: SessionId,
    },
    /// Go on sending.
    Resume {
        /// In which session.
        session: SessionId,
    },
    /// Louder or softer from the next packet on.
    Gain {
        /// In which session.
        session: SessionId,
        /// The change against the material, in dB.
        db: f32,
    },
}

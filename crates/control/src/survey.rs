//! What a call holds at one moment, for whoever looks on.

use std::net::SocketAddr;
use std::sync::Arc;

use mrcp::{ChannelId, RequestId};
use vocab::{Now, SessionId};

use crate::blueprint::Blueprint;
use crate::event::{Media, ProgramId};

/// One call.
#[derive(Clone, Debug)]
pub struct Survey {
    /// Its number here, counted up from 1.
    pub session: SessionId,
    /// Its SIP Call-ID.
    pub call_id: Arc<str>,
    /// When its INVITE came.
    pub began: Now,
    /// Where its signalling comes from.
    pub peer: SocketAddr,
    /// How far its agreement is.
    pub stage: CallStage,
    /// The media that was agreed on.
    pub media: Option<Media>,
    /// Our RTP port.
    pub rtp_port: Option<u16>,
    /// Its MRCPv2 channels.
    pub channels: Vec<ChannelSurvey>,
    /// What is heard or prepared.
    pub playing: Option<(ProgramId, Arc<Blueprint>)>,
}

/// How far a call's agreement is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CallStage {
    /// The INVITE is not answered yet, or its ACK has not come.
    Connecting,
    /// There is an agreement.
    Connected,
    /// The peer wants another.
    Changing,
}

impl CallStage {
    /// In one word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Connected => "connected",
            Self::Changing => "changing",
        }
    }
}

/// One channel of a call.
#[derive(Clone, Debug)]
pub struct ChannelSurvey {
    /// Its identifier. RFC 6787 §6.2.1.
    pub id: ChannelId,
    /// `idle`, `speaking` or `paused`: the states of RFC 6787 §8.1.
    pub state: &'static str,
    /// The SPEAK request that is spoken or held.
    pub request: Option<RequestId>,
}

//! An offer as this server sees it: the audio and the MRCPv2 channels that can be served, and the
//! refusal where nothing can. The rules are in `sip::sdp::mrcp`; here they meet media and channels.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use mrcp::synthesizer::Kind;
use sip::headers::Headers;
use sip::sdp::mrcp::Offer;
use sip::sdp::mrcp::{Capabilities, Connected, Given, Law, Plan, Refused, plan};
use sip::sdp::write::Origin;
use sip::sdp::{Connection, Direction, Kind as MediaKind, Sdp};
use sip::status::StatusCode;

use crate::capabilities::TELEPHONE_EVENT;
use crate::event::Media;

/// The name that our Warning headers carry as their agent. RFC 3261 §20.43.
const AGENT: &str = "entracte";

/// Seconds after which a caller may try again when a limit is reached.
const RETRY_AFTER_S: u32 = 5;

/// Why a call is not taken: a status, and a Warning that says more.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refusal {
    /// The status of the response.
    pub status: StatusCode,
    warning: Option<String>,
    retry_after: bool,
}

impl Refusal {
    fn new(status: StatusCode, why: &str) -> Self {
        // A quoted string has no quotes of its own, and a header no line breaks.
        let why: String = why
            .chars()
            .map(|c| if c == '"' || c == '\\' || c.is_control() { '\'' } else { c })
            .collect();
        Self { status, warning: Some(format!("399 {AGENT} \"{why}\"")), retry_after: false }
    }

    /// 503 with Retry-After, and the limit by name.
    pub fn unavailable(limit: &str) -> Self {
        Self { retry_after: true, ..Self::new(StatusCode::SERVICE_UNAVAILABLE, limit) }
    }

    /// 404.
    pub fn not_found(why: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, why)
    }

    /// 400.
    pub fn bad_request(why: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, why)
    }

    /// 488: nothing that could be sent.
    pub fn no_audio() -> Self {
        Self::new(StatusCode::NOT_ACCEPTABLE_HERE, "the offer has no audio line")
    }

    /// 488: audio to where nothing can be sent. It is the offer's fault: to try again is of no use.
    pub fn unreachable(why: &str) -> Self {
        Self::new(StatusCode::NOT_ACCEPTABLE_HERE, why)
    }

    /// 488: audio to many hosts at once, or to none. RFC 3261 §20.43.
    fn no_host(address: IpAddr) -> Self {
        let warning = format!("330 {AGENT} \"{address} is no host's address\"");
        let status = StatusCode::NOT_ACCEPTABLE_HERE;
        Self { status, warning: Some(warning), retry_after: false }
    }

    /// 488: audio to a host that would have to be looked up.
    fn named_host() -> Self {
        let why = "the audio line names a host, and only addresses are taken";
        Self::new(StatusCode::NOT_ACCEPTABLE_HERE, why)
    }

    /// The headers that say more.
    pub fn headers(&self) -> Headers {
        let mut headers = Headers::default();
        if let Some(warning) = &self.warning {
            headers.push("Warning", warning.clone());
        }
        if self.retry_after {
            headers.push("Retry-After", RETRY_AFTER_S.to_string());
        }
        headers
    }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        Self { status: Refused::STATUS, warning: Some(refused.warning(AGENT)), retry_after: false }
    }
}

/// A Reason header for a BYE that ends a call because of a fault. RFC 3326.
pub fn reason(why: &str) -> Headers {
    let mut headers = Headers::default();
    let why: String = why
        .chars()
        .map(|c| if c == '"' || c == '\\' || c.is_control() { '\'' } else { c })
        .collect();
    headers.push("Reason", format!("SIP;cause=500;text=\"{why}\""));
    headers
}

/// An offer and what can be served of it.
#[derive(Clone, Debug)]
pub struct Proposal {
    offer: Sdp,
    plan: Plan,
    /// The channels that can be served.
    pub channels: Vec<Wanted>,
}

/// A channel that can be served.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Wanted {
    /// Which m-line asks for it.
    pub line: usize,
    /// The resource.
    pub kind: Kind,
}

/// Reads an offer.
///
/// # Errors
/// 400 when it is no session description, 413 when it is too large, 488 when nothing of it can be served.
pub fn read(
    bytes: &[u8],
    capabilities: &Capabilities,
    connected: Connected,
) -> Result<Proposal, Refusal> {
    let offer = Sdp::parse(bytes).map_err(|error| {
        let status = match error {
            sip::sdp::SdpError::TooLarge => StatusCode::REQUEST_ENTITY_TOO_LARGE,
            sip::sdp::SdpError::Malformed(_) => StatusCode::BAD_REQUEST,
        };
        Refusal::new(status, &error.to_string())
    })?;
    let plan = plan(&offer, &Capabilities { connected, ..capabilities.clone() })?;
    if plan.audio.iter().any(|audio| audio.remote.address().is_none()) {
        return Err(Refusal::named_host());
    }
    let addresses = plan.audio.iter().flat_map(|audio| [&audio.remote, &audio.remote_rtcp]);
    if let Some(address) = addresses.filter_map(|remote| remote.address()).find(|ip| is_many(*ip)) {
        return Err(Refusal::no_host(address));
    }
    let channels = plan
        .control
        .iter()
        .filter_map(|control| {
            Some(Wanted { line: control.line, kind: Kind::parse(&control.resource)? })
        })
        .collect();
    Ok(Proposal { offer, plan, channels })
}

/// Whether more than one host would hear what is sent there.
fn is_many(address: IpAddr) -> bool {
    address.is_multicast() || address == IpAddr::V4(Ipv4Addr::BROADCAST)
}

impl Proposal {
    /// Why the first MRCPv2 line that is not served is not; `None` if there is no such line.
    pub fn unserved_channel(&self) -> Option<Refusal> {
        let control = |line: usize| {
            self.offer.media().get(line).is_some_and(|media| media.kind == MediaKind::Application)
        };
        let (_, why) = self.plan.refused.iter().find(|(line, _)| control(*line))?;
        Some(Refused { lines: self.plan.refused.clone(), why: *why }.into())
    }

    /// Whether an audio line is served.
    pub fn has_audio(&self) -> bool {
        !self.plan.audio.is_empty()
    }

    /// The audio that was agreed on; `None` without an audio line.
    pub fn media(&self) -> Option<Media> {
        let audio = self.plan.audio.first()?;
        let remote = SocketAddr::new(audio.remote.address()?, audio.remote_port);
        let rtcp = audio.remote_rtcp.address().unwrap_or_else(|| remote.ip());
        Some(Media {
            remote,
            remote_rtcp: SocketAddr::new(rtcp, audio.remote_rtcp_port),
            law: match audio.law {
                Law::Mu => audio::Law::Mu,
                Law::A => audio::Law::A,
            },
            payload_type: audio.payload_type,
            ptime_ms: u32::from(audio.ptime_ms),
            telephone_event: audio.telephone_event,
            receives: audio.direction.receives(),
            sends: audio.direction.sends() && !audio.held,
        })
    }

    /// The answer's text; `channel` gives the channel identifier of an m-line.
    pub fn answer(&self, given: &Given<'_>, channel: impl Fn(usize) -> String) -> Vec<u8> {
        self.plan.answer(&self.offer, given, |control| channel(control.line)).into_bytes()
    }
}

/// What we agreed to last, as an offer: a peer that asks for it may be taking us off hold, so the
/// hold that it forced upon us is not ours to offer. RFC 3264 §8, RFC 6337 §5.3.
pub fn reoffer(agreed: &[u8], version: u64) -> Vec<u8> {
    let mut offer = String::with_capacity(agreed.len());
    for line in String::from_utf8_lossy(agreed).lines() {
        match line {
            "a=recvonly" | "a=inactive" => offer.push_str("a=sendrecv"),
            origin if origin.starts_with("o=") => {
                let version = version.to_string();
                let fields = origin.split(' ').enumerate();
                let fields = fields.map(|(n, field)| if n == 2 { version.as_str() } else { field });
                offer.push_str(&fields.collect::<Vec<_>>().join(" "));
            }
            line => offer.push_str(line),
        }
        offer.push_str("\r\n");
    }
    offer.into_bytes()
}

/// The offer of a call whose INVITE brought none: audio that we send.
pub fn offer(origin: Origin, rtp_port: u16) -> Vec<u8> {
    Offer {
        origin,
        rtp_port,
        laws: &[Law::Mu, Law::A],
        telephone_event: Some(TELEPHONE_EVENT),
        ptime_ms: 20,
        direction: Direction::SendRecv,
        resources: &[],
        connection: Connection::New,
    }
    .to_text()
    .into_bytes()
}

//! Session descriptions (RFC 8866): read leniently, seen as what offer/answer needs (RFC 3264), written
//! exactly.
//!
//! - [`Sdp`]: one description; [`Media`]: one of its m-lines with everything it inherits.
//! - [`mod@write`]: our own descriptions, line by line; [`answer`](write::answer) keeps the offer's lines.
//! - [`mrcp`]: what an MRCPv2 server answers (RFC 6787 §4.2).

use std::fmt;

use sdp_types::{Attribute, Session};

use crate::scan;
use crate::uri::Host;

pub mod mrcp;
pub mod write;

/// Bytes a description may have.
pub const SDP_BYTES_MAX: usize = 64 * 1024;
/// Lines a description may have.
pub const SDP_LINES_MAX: usize = 2_000;
/// M-lines a description may have.
pub const MEDIA_LINES_MAX: usize = 32;

/// Why bytes are no session description.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SdpError {
    /// More bytes, lines or m-lines than the limits of this module.
    TooLarge,
    /// A line cannot be read; the text says which and why.
    Malformed(String),
}

impl fmt::Display for SdpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => f.write_str("session description too large"),
            Self::Malformed(what) => write!(f, "malformed session description: {what}"),
        }
    }
}

impl std::error::Error for SdpError {}

/// A session description as it was read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sdp {
    session: Session,
    media: Vec<Media>,
}

/// What an m-line is about.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Kind {
    /// `audio`
    Audio,
    /// `application`: for us, a control channel.
    Application,
    /// Anything else, by its name.
    Other(String),
}

impl Kind {
    /// The word of the m-line.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Audio => "audio",
            Self::Application => "application",
            Self::Other(name) => name,
        }
    }
}

/// Which way media flows, as the writer of the description sees it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Direction {
    /// Both ways.
    #[default]
    SendRecv,
    /// From the writer only.
    SendOnly,
    /// To the writer only.
    RecvOnly,
    /// Neither.
    Inactive,
}

impl Direction {
    /// The attribute's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }

    /// The same flow as the other side sees it: the answer's direction (RFC 3264 §6.1).
    #[must_use]
    pub const fn reversed(self) -> Self {
        match self {
            Self::SendOnly => Self::RecvOnly,
            Self::RecvOnly => Self::SendOnly,
            both @ (Self::SendRecv | Self::Inactive) => both,
        }
    }

    /// Whether the writer sends.
    pub const fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    /// Whether the writer receives.
    pub const fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }

    fn of(attributes: &[Attribute]) -> Option<Self> {
        [Self::SendRecv, Self::SendOnly, Self::RecvOnly, Self::Inactive]
            .into_iter()
            .find(|direction| has(attributes, direction.as_str()))
    }
}

/// One RTP format of an m-line: from its rtpmap, or the fixed table of RFC 3551 §6.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Codec {
    /// The number on the wire.
    pub payload_type: u8,
    /// `PCMU`, `telephone-event`, …, as written.
    pub name: String,
    /// The RTP clock.
    pub clock_hz: u32,
    /// Channels; 1 unless written.
    pub channels: u8,
    /// The fmtp parameters, raw.
    pub fmtp: Option<String>,
}

impl Codec {
    /// Whether this is the codec with this name and clock, with one channel.
    pub fn is(&self, name: &str, clock_hz: u32) -> bool {
        self.name.eq_ignore_ascii_case(name) && self.clock_hz == clock_hz && self.channels == 1
    }
}

/// Who opens the connection of an m-line (RFC 4145 §4).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Setup {
    /// The writer will open it.
    Active,
    /// The writer will wait for it.
    Passive,
    /// Either.
    ActPass,
    /// Nobody for now.
    HoldConn,
}

/// Whether an m-line wants a connection of its own (RFC 4145 §5).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Connection {
    /// A new one.
    New,
    /// One that is there may be shared.
    Existing,
}

impl Connection {
    /// The attribute's value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Existing => "existing",
        }
    }
}

/// One m-line with what belongs to it, inherited values included.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Media {
    /// What it is about.
    pub kind: Kind,
    /// The port; 0 means refused or ended.
    pub port: u16,
    /// The transport, as written: `RTP/AVP`, `TCP/MRCPv2`, …
    pub proto: String,
    /// The formats in order; may be empty where the peer left them out.
    pub formats: Vec<String>,
    /// Where to send to: the line's address, else the session's.
    pub address: Option<Host>,
    /// The line's direction, else the session's, else both ways.
    pub direction: Direction,
    /// Milliseconds a packet should hold.
    pub ptime_ms: Option<u16>,
    /// Milliseconds a packet may hold.
    pub maxptime_ms: Option<u16>,
    /// The RTP formats that are defined, in the order of the m-line.
    pub codecs: Vec<Codec>,
    /// Where RTCP goes where it is said (RFC 3605); else the port above.
    pub rtcp: Option<(u16, Option<Host>)>,
    /// The line's name (RFC 5888).
    pub mid: Option<String>,
    /// Who connects.
    pub setup: Option<Setup>,
    /// Whether a connection may be shared.
    pub connection: Option<Connection>,
    /// The MRCPv2 resource that is asked for.
    pub resource: Option<String>,
    /// The lines that this control line commands (RFC 6787 §4.4).
    pub cmids: Vec<String>,
    /// The MRCPv2 channel that was given.
    pub channel: Option<String>,
}

impl Media {
    /// Whether the line is about RTP, plain or not.
    pub fn is_rtp(&self) -> bool {
        self.proto.split('/').any(|part| part.eq_ignore_ascii_case("RTP"))
    }

    /// Whether the transport is this one.
    pub fn is_over(&self, proto: &str) -> bool {
        self.proto.eq_ignore_ascii_case(proto)
    }

    /// The payload type of telephone events at 8,000 Hz (RFC 4733).
    pub fn telephone_event(&self) -> Option<u8> {
        self.codecs.iter().find(|c| c.is("telephone-event", 8_000)).map(|c| c.payload_type)
    }

    /// Whether nothing may be sent to the address: the hold of RFC 2543, `c=0.0.0.0`.
    pub fn is_held(&self) -> bool {
        self.address.as_ref().and_then(Host::address).is_some_and(|ip| ip.is_unspecified())
    }

    fn read(media: &sdp_types::Media, session: &Session) -> Self {
        let attributes = &media.attributes;
        let formats: Vec<_> = media.fmt.split_ascii_whitespace().map(str::to_owned).collect();
        let address = media.connections.first().or(session.connection.as_ref());
        let kind = match media.media.as_str() {
            "audio" => Kind::Audio,
            "application" => Kind::Application,
            other => Kind::Other(other.to_owned()),
        };
        let number = |name| value(attributes, name).and_then(|v| scan::number(v.trim()));
        let text = |name| value(attributes, name).map(|v| v.trim().to_owned());
        Self {
            kind,
            port: media.port,
            proto: media.proto.clone(),
            address: address.and_then(|c| host(&c.connection_address)),
            direction: Direction::of(attributes)
                .or_else(|| Direction::of(&session.attributes))
                .unwrap_or_default(),
            ptime_ms: number("ptime").or_else(|| {
                value(&session.attributes, "ptime").and_then(|v| scan::number(v.trim()))
            }),
            maxptime_ms: number("maxptime"),
            codecs: formats.iter().filter_map(|format| codec(format, attributes)).collect(),
            formats,
            rtcp: value(attributes, "rtcp").and_then(rtcp),
            mid: text("mid"),
            setup: value(attributes, "setup")
                .or_else(|| value(&session.attributes, "setup"))
                .and_then(setup),
            connection: value(attributes, "connection")
                .or_else(|| value(&session.attributes, "connection"))
                .and_then(connection),
            resource: text("resource"),
            cmids: values(attributes, "cmid").map(|v| v.trim().to_owned()).collect(),
            channel: text("channel"),
        }
    }
}

impl Sdp {
    /// Reads a description. Lines may end in LF alone, the last one in nothing; unknown lines and
    /// attributes are kept or ignored; an m-line may lack its format.
    pub fn parse(bytes: &[u8]) -> Result<Self, SdpError> {
        if bytes.len() > SDP_BYTES_MAX {
            return Err(SdpError::TooLarge);
        }
        let text = String::from_utf8_lossy(bytes);
        let (mut lines, mut media_lines) = (0, 0);
        for line in text.lines() {
            lines += 1;
            media_lines += usize::from(line.starts_with("m="));
        }
        if lines > SDP_LINES_MAX || media_lines > MEDIA_LINES_MAX {
            return Err(SdpError::TooLarge);
        }
        let session = Session::parse(tidied(&text, |_| true).as_bytes()).or_else(|_| {
            // What we do not need may be wrong.
            let needed = |line: &str| !line.starts_with(['b', 'r', 'z', 'k', 'i', 'u', 'e', 'p']);
            Session::parse(tidied(&text, needed).as_bytes())
                .map_err(|error| SdpError::Malformed(error.to_string()))
        })?;
        let media = session.medias.iter().map(|media| Media::read(media, &session)).collect();
        Ok(Self { session, media })
    }

    /// The m-lines in order.
    pub fn media(&self) -> &[Media] {
        &self.media
    }

    /// The version number of the o-line: the same number, the same description (RFC 3264 §8).
    pub const fn version(&self) -> u64 {
        self.session.origin.sess_version
    }

    /// The session-level attribute with this name.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        value(&self.session.attributes, name)
    }

    /// Every attribute of the m-line with this index and name, whatever it is.
    pub fn media_attributes<'a>(
        &'a self,
        index: usize,
        name: &'a str,
    ) -> impl Iterator<Item = &'a str> {
        let attributes = self.session.medias.get(index).map(|media| media.attributes.as_slice());
        values(attributes.unwrap_or_default(), name)
    }

    /// The description as text with CRLF lines.
    pub fn to_text(&self) -> String {
        text(&self.session)
    }
}

fn text(session: &Session) -> String {
    let mut out = Vec::with_capacity(512);
    // Writing to a Vec cannot fail.
    let _ = session.write(&mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// The text as the strict parser likes it: no empty lines, no space at the end, single spaces and a
/// format in m-lines.
fn tidied(text: &str, wanted: impl Fn(&str) -> bool) -> String {
    let mut tidy = String::with_capacity(text.len() + 16);
    for line in text.lines().map(str::trim_end).filter(|l| !l.is_empty() && wanted(l)) {
        if let Some(media) = line.strip_prefix("m=") {
            tidy.push_str("m=");
            let mut fields = 0;
            for field in media.split_ascii_whitespace() {
                if fields > 0 {
                    tidy.push(' ');
                }
                tidy.push_str(field);
                fields += 1;
            }
            if fields == 3 {
                tidy.push(' ');
            }
        } else {
            tidy.push_str(line);
        }
        tidy.push('\n');
    }
    tidy
}

fn values<'a>(attributes: &'a [Attribute], name: &str) -> impl Iterator<Item = &'a str> {
    attributes
        .iter()
        .filter(move |a| a.attribute.eq_ignore_ascii_case(name))
        .filter_map(|a| a.value.as_deref())
}

fn value<'a>(attributes: &'a [Attribute], name: &str) -> Option<&'a str> {
    values(attributes, name).next()
}

fn has(attributes: &[Attribute], name: &str) -> bool {
    attributes.iter().any(|a| a.attribute.eq_ignore_ascii_case(name))
}

/// An address of a c-line: without the multicast suffix, IPv6 without brackets.
fn host(text: &str) -> Option<Host> {
    let text = text.split('/').next()?;
    match text.parse() {
        Ok(address) => Some(Host::Address(address)),
        Err(_) => Host::parse(text),
    }
}

fn codec(format: &str, attributes: &[Attribute]) -> Option<Codec> {
    let payload_type = scan::number::<u8>(format).filter(|number| *number < 128)?;
    let about = |text: &str| {
        let (number, rest) = text.trim().split_once([' ', '\t'])?;
        (scan::number(number) == Some(payload_type)).then(|| rest.trim().to_owned())
    };
    let fmtp = values(attributes, "fmtp").find_map(about);
    let Some(map) = values(attributes, "rtpmap").find_map(about) else {
        let (name, clock_hz) = static_format(payload_type)?;
        return Some(Codec { payload_type, name: name.into(), clock_hz, channels: 1, fmtp });
    };
    let mut parts = map.split('/');
    let name = parts.next()?.trim().to_owned();
    let clock_hz = scan::number(parts.next()?.trim())?;
    let channels = parts.next().and_then(|c| scan::number(c.trim())).unwrap_or(1);
    Some(Codec { payload_type, name, clock_hz, channels, fmtp })
}

/// The formats that need no rtpmap (RFC 3551 §6), as far as telephones use them.
const fn static_format(payload_type: u8) -> Option<(&'static str, u32)> {
    Some(match payload_type {
        0 => ("PCMU", 8_000),
        3 => ("GSM", 8_000),
        4 => ("G723", 8_000),
        8 => ("PCMA", 8_000),
        9 => ("G722", 8_000),
        13 => ("CN", 8_000),
        15 => ("G728", 8_000),
        18 => ("G729", 8_000),
        _ => return None,
    })
}

/// `a=rtcp:53020 IN IP6 2001:db8::1` (RFC 3605 §2.1).
fn rtcp(text: &str) -> Option<(u16, Option<Host>)> {
    let mut words = text.split_ascii_whitespace();
    let port = scan::number(words.next()?)?;
    Some((port, words.nth(2).and_then(host)))
}

fn setup(text: &str) -> Option<Setup> {
    Some(match text.trim().to_ascii_lowercase().as_str() {
        "active" => Setup::Active,
        "passive" => Setup::Passive,
        "actpass" => Setup::ActPass,
        "holdconn" => Setup::HoldConn,
        _ => return None,
    })
}

fn connection(text: &str) -> Option<Connection> {
    Some(match text.trim().to_ascii_lowercase().as_str() {
        "new" => Connection::New,
        "existing" => Connection::Existing,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFER: &str = "v=0\no=sarvi 2890844526 2890844527 IN IP4 192.0.2.12\ns=-\n\
        c=IN IP4 192.0.2.12\nt=0 0\na=recvonly\nx=unknown\n\n\
        m=application 9 TCP/MRCPv2\na=setup:active\na=connection:existing\n\
        a=resource:speechsynth\na=cmid:1\na=x-own:thing\n\
        m=audio 49170 RTP/AVP 8  0 96 18\na=rtpmap:96 telephone-event/8000\na=fmtp:96 0-15\n\
        a=ptime:30\na=mid:1\na=rtcp:53020 IN IP6 2001:db8::1\nc=IN IP6 2001:db8::2";

    #[test]
    fn an_offer_is_seen_with_all_it_inherits() {
        let sdp = Sdp::parse(OFFER.as_bytes()).unwrap();
        let [control, audio] = sdp.media() else { panic!() };
        assert_eq!((&control.kind, control.port), (&Kind::Application, 9));
        assert_eq!(control.formats, Vec::<String>::new());
        assert_eq!(control.setup, Some(Setup::Active));
        assert_eq!(control.connection, Some(Connection::Existing));
        assert_eq!(control.resource.as_deref(), Some("speechsynth"));
        assert_eq!(control.cmids, ["1"]);
        assert_eq!(control.address.as_ref().unwrap().to_string(), "192.0.2.12");
        assert_eq!(audio.direction, Direction::RecvOnly);
        assert_eq!(audio.ptime_ms, Some(30));
        assert_eq!(audio.address.as_ref().unwrap().to_string(), "[2001:db8::2]");
        let codecs: Vec<_> = audio.codecs.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(codecs, ["PCMA", "PCMU", "telephone-event", "G729"]);
        assert_eq!(audio.telephone_event(), Some(96));
        assert_eq!(audio.rtcp.as_ref().unwrap().0, 53_020);
        assert_eq!(sdp.version(), 2_890_844_527);
        assert_eq!(sdp.media_attributes(0, "x-own").next(), Some("thing"));
    }

    #[test]
    fn a_description_comes_back_as_it_was() {
        let text = "v=0\r\no=- 1 2 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nb=AS:64\r\n\
            t=0 0\r\na=group:LS 1 2\r\nm=audio 4 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n\
            a=x-unknown\r\n";
        assert_eq!(Sdp::parse(text.as_bytes()).unwrap().to_text(), text);
    }

    #[test]
    fn what_is_not_needed_may_be_wrong() {
        let text = "v=0\no=- 1 2 IN IP4 h\ns=\nt=0 0\nb=AS:6.5\nk=\nm=audio 4 RTP/AVP 0\nb=x\n";
        assert_eq!(Sdp::parse(text.as_bytes()).unwrap().media().len(), 1);
        assert!(Sdp::parse(b"v=0\r\ns=caf\xe9\r\nt=0 0\r\nm=audio 4 RTP/AVP 0\r\n").is_ok());
    }

    #[test]
    fn what_is_needed_may_not() {
        for text in
            ["", "v=1\n", "m=audio 1 RTP/AVP 0\n", "v=0\nm=audio x RTP/AVP 0\n", "v=0\nm=\n"]
        {
            assert!(matches!(Sdp::parse(text.as_bytes()), Err(SdpError::Malformed(_))), "{text}");
        }
    }

    #[test]
    fn bounds_are_kept() {
        let many = |line: &str, count: usize| format!("v=0\n{}", line.repeat(count));
        for text in [
            many("a=x\n", SDP_LINES_MAX),
            many("m=audio 1 RTP/AVP 0\n", MEDIA_LINES_MAX + 1),
            many(&format!("a={}\n", "x".repeat(60)), 1_100),
        ] {
            assert_eq!(Sdp::parse(text.as_bytes()), Err(SdpError::TooLarge));
        }
    }

    #[test]
    fn section_6_1_of_rfc_3264_the_answer_mirrors_the_direction() {
        for (offer, answer) in [
            (Direction::SendRecv, Direction::SendRecv),
            (Direction::SendOnly, Direction::RecvOnly),
            (Direction::RecvOnly, Direction::SendOnly),
            (Direction::Inactive, Direction::Inactive),
        ] {
            assert_eq!(offer.reversed(), answer);
        }
    }
}

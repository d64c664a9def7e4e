//! What a media server answers to an offer: audio lines, and the MRCPv2 control lines that command
//! them (RFC 6787 §4.2 to §4.4). A plain call is an offer without control lines.
//!
//! Two steps: [`plan`] says what can be served; then, with a port reserved for each audio line and a
//! channel for each control line, [`Plan::answer`] writes the text.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::write::{self, Line, Origin};
use super::{Connection, Direction, Kind, Media, Sdp, Setup};
use crate::status::StatusCode;
use crate::uri::Host;

/// What RFC 6787 §4.2 calls the transport of a control line.
pub const MRCP_TCP: &str = "TCP/MRCPv2";
/// The same over TLS.
pub const MRCP_TLS: &str = "TCP/TLS/MRCPv2";
/// The packet length where the offer names none.
pub const PTIME_MS_DEFAULT: u16 = 20;

/// A G.711 law.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Law {
    /// PCMU.
    Mu,
    /// PCMA.
    A,
}

impl Law {
    /// The codec's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mu => "PCMU",
            Self::A => "PCMA",
        }
    }

    /// The payload type of RFC 3551 §6.
    pub const fn payload_type(self) -> u8 {
        match self {
            Self::Mu => 0,
            Self::A => 8,
        }
    }
}

/// What we can serve.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Capabilities {
    /// The laws we speak; which one is used follows the order of the offer.
    pub laws: Vec<Law>,
    /// The resources on offer: `speechsynth`, `basicsynth`, ….
    pub resources: Vec<String>,
    /// Whether control lines over TLS are served.
    pub tls: bool,
    /// Audio lines that one call may have.
    pub audio_lines_max: usize,
    /// The address for offers over IPv4.
    pub ip4: Option<Ipv4Addr>,
    /// The address for offers over IPv6.
    pub ip6: Option<Ipv6Addr>,
    /// Whether the peer already has a control connection to us that may be shared.
    pub connected: Connected,
}

/// Whether a control connection from the peer is there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Connected {
    /// None: `existing` is answered with `new`.
    No,
    /// One is: `existing` is granted.
    Yes,
}

/// What is served of an offer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Plan {
    /// The audio lines, in the offer's order.
    pub audio: Vec<Audio>,
    /// The control lines, in the offer's order.
    pub control: Vec<Control>,
    /// The lines that are not served, and why; those offered with port 0 are not among them.
    pub refused: Vec<(usize, Why)>,
    /// The address that the answer names.
    pub address: IpAddr,
}

/// An audio line that is served.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Audio {
    /// Which m-line it is.
    pub line: usize,
    /// The law to send and receive.
    pub law: Law,
    /// Its payload type, as offered.
    pub payload_type: u8,
    /// The length of our packets: 10 to 60 ms in steps of 10.
    pub ptime_ms: u16,
    /// The payload type of telephone events, where offered.
    pub telephone_event: Option<u8>,
    /// The direction as we see it.
    pub direction: Direction,
    /// Where to send RTP.
    pub remote: Host,
    /// The port to send RTP to.
    pub remote_port: u16,
    /// Where to send RTCP.
    pub remote_rtcp: Host,
    /// The port to send RTCP to.
    pub remote_rtcp_port: u16,
    /// Whether nothing may be sent for now (`c=0.0.0.0`).
    pub held: bool,
    /// Our address for this line.
    pub address: IpAddr,
}

/// A control line that is served.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Control {
    /// Which m-line it is.
    pub line: usize,
    /// The resource, as our capabilities spell it.
    pub resource: String,
    /// Which entry of [`Plan::audio`] it commands.
    pub audio: usize,
    /// Whether it runs over TLS.
    pub tls: bool,
    /// What is answered to its `connection` attribute; nothing to none.
    pub connection: Option<Connection>,
}

/// Why a line is not served.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Why {
    /// We have nothing to do with such media.
    Media,
    /// Not over this transport.
    Transport,
    /// No codec in common.
    Codec,
    /// No address of ours in that family, or none of theirs.
    Address,
    /// More audio lines than a call may have.
    TooMany,
    /// The resource is not named, not on offer, or asked for twice (RFC 6787 §4.2).
    Resource,
    /// The peer would wait for our connection (`setup:passive`).
    Setup,
    /// The audio line that it would command is not served.
    NoAudio,
}

impl Why {
    /// The Warning code and text of RFC 3261 §20.43.
    pub const fn warning(self) -> (u16, &'static str) {
        match self {
            Self::Media => (304, "Media type not available"),
            Self::Transport => (302, "Incompatible transport protocol"),
            Self::Codec => (305, "Incompatible media format"),
            Self::Address => (301, "Incompatible network address formats"),
            Self::TooMany => (399, "Too many audio lines"),
            Self::Resource => (399, "MRCP resource not available"),
            Self::Setup => (399, "MRCP control lines must be setup:active"),
            Self::NoAudio => (399, "No audio line for this control line"),
        }
    }
}

/// The answer to an offer of which nothing can be served.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refused {
    /// The lines and why.
    pub lines: Vec<(usize, Why)>,
    /// What weighs most among them.
    pub why: Why,
}

impl Refused {
    /// 488.
    pub const STATUS: StatusCode = StatusCode::NOT_ACCEPTABLE_HERE;

    /// The value of a Warning header, in the name of `agent` (a host name or address).
    pub fn warning(&self, agent: &str) -> String {
        let (code, text) = self.why.warning();
        format!("{code} {agent} \"{text}\"")
    }
}

/// Decides what of `offer` is served.
pub fn plan(offer: &Sdp, capabilities: &Capabilities) -> Result<Plan, Refused> {
    let mut audio: Vec<Audio> = Vec::new();
    let mut refused = Vec::new();
    let lines = || offer.media().iter().enumerate().filter(|(_, media)| media.port != 0);
    for (line, media) in lines().filter(|(_, media)| media.kind != Kind::Application) {
        let room = audio.len() < capabilities.audio_lines_max;
        match plan_audio(line, media, capabilities) {
            Ok(planned) if room => audio.push(planned),
            Ok(_) => refused.push((line, Why::TooMany)),
            Err(why) => refused.push((line, why)),
        }
    }
    let mut control: Vec<Control> = Vec::new();
    for (line, media) in lines().filter(|(_, media)| media.kind == Kind::Application) {
        let planned = plan_control(media, capabilities, &control).and_then(|planned| {
            let audio = commanded(media, offer, &audio)?;
            Ok(Control { line, audio, ..planned })
        });
        match planned {
            Ok(planned) => control.push(planned),
            Err(why) => refused.push((line, why)),
        }
    }
    refused.sort_by_key(|(line, _)| *line);
    if audio.is_empty() && control.is_empty() && !refused.is_empty() {
        // A missing codec explains more than the control line that went with it.
        let weight = |why: Why| match why {
            Why::Codec => 0,
            Why::Transport => 1,
            Why::Address => 2,
            Why::Resource | Why::Setup => 3,
            Why::Media | Why::TooMany => 4,
            Why::NoAudio => 5,
        };
        let why = refused.iter().map(|(_, why)| *why).min_by_key(|why| weight(*why));
        return Err(Refused { lines: refused, why: why.unwrap_or(Why::Media) });
    }
    let own = audio.first().map(|audio| audio.address);
    let fallback = || capabilities.ip4.map(IpAddr::V4).or_else(|| capabilities.ip6.map(IpAddr::V6));
    let address = own.or_else(fallback).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    Ok(Plan { audio, control, refused, address })
}

fn plan_audio(line: usize, media: &Media, capabilities: &Capabilities) -> Result<Audio, Why> {
    if media.kind != Kind::Audio {
        return Err(Why::Media);
    }
    if !media.is_over("RTP/AVP") && !media.is_over("RTP/AVPF") {
        return Err(Why::Transport);
    }
    let law_of = |codec: &super::Codec| {
        let laws = capabilities.laws.iter().copied();
        Some((laws.into_iter().find(|law| codec.is(law.name(), 8_000))?, codec.payload_type))
    };
    let (law, payload_type) = media.codecs.iter().find_map(law_of).ok_or(Why::Codec)?;
    let remote = media.address.clone().ok_or(Why::Address)?;
    let address = own_address(&remote, capabilities).ok_or(Why::Address)?;
    let (rtcp_port, rtcp_host) = match &media.rtcp {
        Some((port, host)) => (*port, host.clone()),
        None => (media.port.saturating_add(1), None),
    };
    Ok(Audio {
        line,
        law,
        payload_type,
        ptime_ms: ptime(media),
        telephone_event: media.telephone_event(),
        direction: media.direction.reversed(),
        remote_rtcp: rtcp_host.unwrap_or_else(|| remote.clone()),
        remote,
        remote_port: media.port,
        remote_rtcp_port: rtcp_port,
        held: media.is_held(),
        address,
    })
}

/// Our address in the family of theirs; a name tells no family, so the first we have.
fn own_address(remote: &Host, capabilities: &Capabilities) -> Option<IpAddr> {
    let ip4 = capabilities.ip4.map(IpAddr::V4);
    let ip6 = capabilities.ip6.map(IpAddr::V6);
    match remote.address() {
        Some(IpAddr::V4(_)) => ip4,
        Some(IpAddr::V6(_)) => ip6,
        None => ip4.or(ip6),
    }
}

/// The packet length: as asked for, in steps of 10 ms from 10 to 60, and never above maxptime.
fn ptime(media: &Media) -> u16 {
    let wanted = media.ptime_ms.unwrap_or(PTIME_MS_DEFAULT);
    let most = media.maxptime_ms.unwrap_or(u16::MAX);
    (wanted.min(most) / 10 * 10).clamp(10, 60)
}

/// Everything of a control line but its place and its audio.
fn plan_control(
    media: &Media,
    capabilities: &Capabilities,
    planned: &[Control],
) -> Result<Control, Why> {
    let tls = media.is_over(MRCP_TLS);
    if !(media.is_over(MRCP_TCP) || tls && capabilities.tls) {
        return Err(Why::Transport);
    }
    // RFC 6787 §4.2: not more than one resource of each type.
    let wanted = media.resource.as_deref().ok_or(Why::Resource)?;
    let resource = capabilities
        .resources
        .iter()
        .find(|own| own.eq_ignore_ascii_case(wanted))
        .filter(|own| planned.iter().all(|control| control.resource != **own))
        .ok_or(Why::Resource)?;
    if matches!(media.setup, Some(Setup::Passive | Setup::HoldConn)) {
        return Err(Why::Setup);
    }
    let connection = media.connection.map(|wanted| match (wanted, capabilities.connected) {
        (Connection::Existing, Connected::Yes) => Connection::Existing,
        (Connection::Existing, Connected::No) | (Connection::New, _) => Connection::New,
    });
    Ok(Control { line: 0, resource: resource.clone(), audio: 0, tls, connection })
}

/// The audio that a control line commands: by cmid and mid (RFC 6787 §4.4), else the first.
fn commanded(media: &Media, offer: &Sdp, audio: &[Audio]) -> Result<usize, Why> {
    for cmid in &media.cmids {
        let named = offer.media().iter().position(|m| m.mid.as_ref() == Some(cmid));
        if let Some(line) = named {
            return audio.iter().position(|a| a.line == line).ok_or(Why::NoAudio);
        }
    }
    if audio.is_empty() { Err(Why::NoAudio) } else { Ok(0) }
}

/// What only the one who reserved it knows.
#[derive(Debug)]
pub struct Given<'a> {
    /// The session's number; the same in every answer of a call.
    pub session_id: u64,
    /// Rises with each answer of a call.
    pub version: u64,
    /// The RTP port for each entry of [`Plan::audio`].
    pub rtp_ports: &'a [u16],
    /// The port where control connections are taken.
    pub mrcp_port: u16,
    /// The same for TLS.
    pub mrcp_tls_port: u16,
}

impl Plan {
    /// The answer's text. `channel` gives the whole Channel-Identifier of a control line
    /// (`32AECB234338@speechsynth`); on a re-offer, the one that the line already has.
    pub fn answer(
        &self,
        offer: &Sdp,
        given: &Given<'_>,
        mut channel: impl FnMut(&Control) -> String,
    ) -> String {
        let origin =
            Origin { session_id: given.session_id, version: given.version, address: self.address };
        write::answer(offer, &origin, |index, media| {
            if let Some(at) = self.audio.iter().position(|audio| audio.line == index) {
                let audio = self.audio.get(at)?;
                return Some(audio_line(audio, media, *given.rtp_ports.get(at)?));
            }
            let control = self.control.iter().find(|control| control.line == index)?;
            let port = if control.tls { given.mrcp_tls_port } else { given.mrcp_port };
            Some(control_line(control, media, port, channel(control)))
        })
    }
}

fn audio_line(audio: &Audio, offered: &Media, port: u16) -> Line {
    let mut formats = vec![audio.payload_type.to_string()];
    formats.extend(audio.telephone_event.map(|event| event.to_string()));
    let mut line = Line::new(Kind::Audio, port, &offered.proto, formats);
    line.address = Some(audio.address);
    line = line.with("rtpmap", format!("{} {}/8000", audio.payload_type, audio.law.name()));
    if let Some(event) = audio.telephone_event {
        line = line.with("rtpmap", format!("{event} telephone-event/8000"));
        line = line.with("fmtp", format!("{event} 0-15"));
    }
    line = line.with("ptime", audio.ptime_ms.to_string()).flag(audio.direction.as_str());
    match &offered.mid {
        Some(mid) => line.with("mid", mid),
        None => line,
    }
}

fn control_line(control: &Control, offered: &Media, port: u16, channel: String) -> Line {
    let formats = match offered.formats.as_slice() {
        [] => vec!["1".to_owned()],
        formats => formats.to_vec(),
    };
    let mut line = Line::new(Kind::Application, port, &offered.proto, formats);
    line = line.with("setup", "passive");
    if let Some(connection) = control.connection {
        line = line.with("connection", connection.as_str());
    }
    line = line.with("channel", channel);
    for cmid in &offered.cmids {
        line = line.with("cmid", cmid);
    }
    line
}

/// An offer of ours.
#[derive(Clone, Debug)]
pub struct Offer<'a> {
    /// Who offers.
    pub origin: Origin,
    /// Where we receive RTP.
    pub rtp_port: u16,
    /// The laws in order of preference.
    pub laws: &'a [Law],
    /// The payload type for telephone events, where they are wanted.
    pub telephone_event: Option<u8>,
    /// The packet length we like to receive.
    pub ptime_ms: u16,
    /// The direction as we see it.
    pub direction: Direction,
    /// The MRCPv2 resources we ask for; none for a plain call.
    pub resources: &'a [&'a str],
    /// Whether the control lines share a connection that is there.
    pub connection: Connection,
}

impl Offer<'_> {
    /// The offer's text: control lines first, then the audio line, as RFC 6787 §4.3 shows it.
    pub fn to_text(&self) -> String {
        let control = |resource: &&str| {
            Line::new(Kind::Application, 9, MRCP_TCP, vec!["1".into()])
                .with("setup", "active")
                .with("connection", self.connection.as_str())
                .with("resource", *resource)
                .with("cmid", "1")
        };
        let mut lines: Vec<_> = self.resources.iter().map(control).collect();
        let audio = rtp_line(self.rtp_port, self.laws, self.telephone_event);
        let audio = audio.with("ptime", self.ptime_ms.to_string()).flag(self.direction.as_str());
        lines.push(if self.resources.is_empty() { audio } else { audio.with("mid", "1") });
        write::offer(&self.origin, lines)
    }
}

/// The description with which OPTIONS is answered (RFC 6787 §7): every resource, every codec, and on
/// the audio line whatever else is `on_offer`. All ports are 0.
pub fn advertisement(
    origin: &Origin,
    capabilities: &Capabilities,
    on_offer: &[(&'static str, String)],
) -> String {
    let mut lines = Vec::new();
    for resource in &capabilities.resources {
        let line = Line::new(Kind::Application, 0, MRCP_TCP, vec!["1".into()]);
        lines.push(line.with("resource", resource));
    }
    let mut audio = rtp_line(0, &capabilities.laws, Some(101));
    for (name, value) in on_offer {
        audio = audio.with(name, value);
    }
    lines.push(audio);
    write::offer(origin, lines)
}

fn rtp_line(port: u16, laws: &[Law], telephone_event: Option<u8>) -> Line {
    let laws_formats = laws.iter().map(|law| law.payload_type().to_string());
    let formats = laws_formats.chain(telephone_event.map(|event| event.to_string())).collect();
    let mut line = Line::new(Kind::Audio, port, "RTP/AVP", formats);
    for law in laws {
        line = line.with("rtpmap", format!("{} {}/8000", law.payload_type(), law.name()));
    }
    if let Some(event) = telephone_event {
        line = line.with("rtpmap", format!("{event} telephone-event/8000"));
        line = line.with("fmtp", format!("{event} 0-15"));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str =
        "v=0\r\no=c 1 1 IN IP4 192.0.2.12\r\ns=-\r\nc=IN IP4 192.0.2.12\r\nt=0 0\r\n";
    const OUR_HEAD: &str =
        "v=0\r\no=- 7 3 IN IP4 192.0.2.11\r\ns=-\r\nc=IN IP4 192.0.2.11\r\nt=0 0\r\n";
    const CONTROL: &str = "m=application 9 TCP/MRCPv2 1|a=setup:active|a=connection:new|\
        a=resource:speechsynth|a=cmid:1|";
    const CONTROL_ANSWER: &str = "m=application 8104 TCP/MRCPv2 1|a=setup:passive|\
        a=connection:new|a=channel:AB12@speechsynth|a=cmid:1|";

    fn capabilities() -> Capabilities {
        Capabilities {
            laws: vec![Law::Mu, Law::A],
            resources: vec!["speechsynth".into(), "basicsynth".into()],
            tls: false,
            audio_lines_max: 1,
            ip4: Some(Ipv4Addr::new(192, 0, 2, 11)),
            ip6: None,
            connected: Connected::No,
        }
    }

    fn answered(offer: &str, capabilities: &Capabilities) -> String {
        let offer = Sdp::parse(offer.as_bytes()).unwrap();
        let plan = match plan(&offer, capabilities) {
            Ok(plan) => plan,
            Err(refused) => return format!("488 {}", refused.warning("h")),
        };
        let given = Given {
            session_id: 7,
            version: 3,
            rtp_ports: &[16_384, 16_386],
            mrcp_port: 8104,
            mrcp_tls_port: 8105,
        };
        plan.answer(&offer, &given, |control| format!("AB12@{}", control.resource))
    }

    /// The m-lines of an offer (`|` ends a line) and those of the answer, or the refusal.
    fn check(offer: &str, expected: &str) {
        check_with(&capabilities(), offer, expected);
    }

    fn check_with(capabilities: &Capabilities, offer: &str, expected: &str) {
        let answer = answered(&format!("{HEAD}{}", offer.replace('|', "\r\n")), capabilities);
        let answer = answer.strip_prefix(OUR_HEAD).unwrap_or(&answer).replace("\r\n", "|");
        assert_eq!(answer, expected);
    }

    #[test]
    fn section_4_3_the_example_of_the_rfc() {
        check(
            &format!("{CONTROL}m=audio 49170 RTP/AVP 0|a=rtpmap:0 pcmu/8000|a=recvonly|a=mid:1|"),
            &format!(
                "{CONTROL_ANSWER}m=audio 16384 RTP/AVP 0|a=rtpmap:0 PCMU/8000|a=ptime:20|\
                 a=sendonly|a=mid:1|"
            ),
        );
    }

    #[test]
    fn the_audio_line_may_stand_before_the_control_line() {
        check(
            &format!("m=audio 49170 RTP/AVP 0|a=mid:1|{CONTROL}"),
            &format!(
                "m=audio 16384 RTP/AVP 0|a=rtpmap:0 PCMU/8000|a=ptime:20|a=sendrecv|a=mid:1|\
                 {CONTROL_ANSWER}"
            ),
        );
    }

    #[test]
    fn directions_are_mirrored() {
        for (offered, answered) in [
            ("sendrecv", "sendrecv"),
            ("sendonly", "recvonly"),
            ("recvonly", "sendonly"),
            ("inactive", "inactive"),
        ] {
            check(
                &format!("m=audio 4 RTP/AVP 8|a={offered}|"),
                &format!("m=audio 16384 RTP/AVP 8|a=rtpmap:8 PCMA/8000|a=ptime:20|a={answered}|"),
            );
        }
    }

    #[test]
    fn the_law_follows_the_offers_order_and_numbers() {
        for (formats, maps, law) in [
            ("0 8", "", "0 PCMU"),
            ("8 0", "", "8 PCMA"),
            ("18 9 8", "", "8 PCMA"),
            ("96 0", "a=rtpmap:96 PCMA/8000|", "96 PCMA"),
            ("96 0", "a=rtpmap:96 PCMU/16000|", "0 PCMU"),
            ("96 8", "a=rtpmap:96 PCMU/8000/2|", "8 PCMA"),
        ] {
            let number = law.split_once(' ').unwrap().0;
            check(
                &format!("m=audio 4 RTP/AVP {formats}|{maps}"),
                &format!(
                    "m=audio 16384 RTP/AVP {number}|a=rtpmap:{law}/8000|a=ptime:20|a=sendrecv|"
                ),
            );
        }
        let only_a = Capabilities { laws: vec![Law::A], ..capabilities() };
        check_with(
            &only_a,
            "m=audio 4 RTP/AVP 0 8|",
            "m=audio 16384 RTP/AVP 8|a=rtpmap:8 PCMA/8000|a=ptime:20|a=sendrecv|",
        );
    }

    #[test]
    fn packet_lengths_from_10_to_60_are_honoured() {
        for (asked, given) in [(10, 10), (30, 30), (60, 60), (5, 10), (200, 60), (25, 20)] {
            check(
                &format!("m=audio 4 RTP/AVP 0|a=ptime:{asked}|"),
                &format!(
                    "m=audio 16384 RTP/AVP 0|a=rtpmap:0 PCMU/8000|a=ptime:{given}|a=sendrecv|"
                ),
            );
        }
        check(
            "m=audio 4 RTP/AVP 0|a=ptime:60|a=maxptime:40|",
            "m=audio 16384 RTP/AVP 0|a=rtpmap:0 PCMU/8000|a=ptime:40|a=sendrecv|",
        );
    }

    #[test]
    fn telephone_events_are_accepted_by_their_offered_number() {
        check(
            "m=audio 4 RTP/AVP 0 97|a=rtpmap:97 telephone-event/8000|a=fmtp:97 0-11|",
            "m=audio 16384 RTP/AVP 0 97|a=rtpmap:0 PCMU/8000|a=rtpmap:97 telephone-event/8000|\
             a=fmtp:97 0-15|a=ptime:20|a=sendrecv|",
        );
    }

    #[test]
    fn two_resources_in_one_dialog_and_never_two_of_a_kind() {
        let line = |resource: &str| {
            format!(
                "m=application 9 TCP/MRCPv2 1|a=setup:active|a=connection:existing|\
                 a=resource:{resource}|a=cmid:1|"
            )
        };
        let (speech, basic) = (line("speechsynth"), line("BasicSynth"));
        check(
            &format!("{speech}{basic}{speech}m=audio 4 RTP/AVP 0|a=recvonly|a=mid:1|"),
            &format!(
                "{CONTROL_ANSWER}{}m=application 0 TCP/MRCPv2 1|a=cmid:1|m=audio 16384 RTP/AVP 0|\
                 a=rtpmap:0 PCMU/8000|a=ptime:20|a=sendonly|a=mid:1|",
                CONTROL_ANSWER.replace("speechsynth", "basicsynth"),
            ),
        );
    }

    #[test]
    fn section_4_2_an_existing_connection_is_shared_where_there_is_one() {
        let offer = format!("{CONTROL}m=audio 4 RTP/AVP 0|").replace(":new", ":existing");
        let audio = "m=audio 16384 RTP/AVP 0|a=rtpmap:0 PCMU/8000|a=ptime:20|a=sendrecv|";
        check(&offer, &format!("{CONTROL_ANSWER}{audio}"));
        let connected = Capabilities { connected: Connected::Yes, ..capabilities() };
        let existing = CONTROL_ANSWER.replace(":new", ":existing");
        check_with(&connected, &offer, &format!("{existing}{audio}"));
        // A client that wants a new one gets a new one.
        check_with(
            &connected,
            &offer.replace(":existing", ":new"),
            &format!("{CONTROL_ANSWER}{audio}"),
        );
        // A re-offer that says nothing is answered with nothing (the third example of §4.3).
        check_with(
            &connected,
            &offer.replace("a=connection:existing|", ""),
            &format!("{}{audio}", CONTROL_ANSWER.replace("a=connection:new|", "")),
        );
    }

    #[test]
    fn a_control_line_without_format_or_cmid_is_served() {
        check(
            "m=application 9 TCP/MRCPv2|a=setup:active|a=connection:new|a=resource:speechsynth|\
             m=audio 4 RTP/AVP 0|a=mid:x|",
            "m=application 8104 TCP/MRCPv2 1|a=setup:passive|a=connection:new|\
             a=channel:AB12@speechsynth|m=audio 16384 RTP/AVP 0|a=rtpmap:0 PCMU/8000|a=ptime:20|\
             a=sendrecv|a=mid:x|",
        );
    }

    #[test]
    fn section_4_4_the_cmid_names_the_audio_line() {
        let offer = format!(
            "{HEAD}m=audio 4 RTP/AVP 0|a=mid:a|m=audio 6 RTP/AVP 0|a=mid:b|\
             m=application 9 TCP/MRCPv2 1|a=resource:speechsynth|a=cmid:b|\
             m=application 9 TCP/MRCPv2 1|a=resource:basicsynth|a=cmid:none|"
        )
        .replace('|', "\n");
        let two = Capabilities { audio_lines_max: 2, ..capabilities() };
        let planned = plan(&Sdp::parse(offer.as_bytes()).unwrap(), &two).unwrap();
        let commanded: Vec<_> = planned.control.iter().map(|control| control.audio).collect();
        assert_eq!(commanded, [1, 0]);
        // With room for one audio line, the control line of the other goes with it.
        let planned = plan(&Sdp::parse(offer.as_bytes()).unwrap(), &capabilities()).unwrap();
        assert_eq!(planned.refused, [(1, Why::TooMany), (2, Why::NoAudio)]);
    }

    #[test]
    fn port_0_frees_a_line_and_is_answered_with_port_0() {
        check(
            "m=application 0 TCP/MRCPv2 1|a=resource:basicsynth|a=cmid:1|m=audio 4 RTP/AVP 0|",
            "m=application 0 TCP/MRCPv2 1|a=cmid:1|m=audio 16384 RTP/AVP 0|a=rtpmap:0 PCMU/8000|\
             a=ptime:20|a=sendrecv|",
        );
        check("m=audio 0 RTP/AVP 0|", "m=audio 0 RTP/AVP 0|");
        check("", "");
    }

    #[test]
    fn what_cannot_be_served_is_refused_line_by_line() {
        let audio = "m=audio 16384 RTP/AVP 0|a=rtpmap:0 PCMU/8000|a=ptime:20|a=sendrecv|";
        for (line, refused) in [
            ("m=video 4 RTP/AVP 31|", "m=video 0 RTP/AVP 31|"),
            ("m=audio 4 RTP/SAVP 0|", "m=audio 0 RTP/SAVP 0|"),
            ("m=audio 4 RTP/AVP 18|", "m=audio 0 RTP/AVP 18|"),
            (
                "m=application 9 TCP/TLS/MRCPv2 1|a=resource:speechsynth|",
                "m=application 0 TCP/TLS/MRCPv2 1|",
            ),
            (
                "m=application 9 TCP/MRCPv2 1|a=resource:speechrecog|",
                "m=application 0 TCP/MRCPv2 1|",
            ),
            ("m=application 9 TCP/MRCPv2 1|", "m=application 0 TCP/MRCPv2 1|"),
            (
                "m=application 9 TCP/MRCPv2 1|a=resource:speechsynth|a=setup:passive|",
                "m=application 0 TCP/MRCPv2 1|",
            ),
            ("m=image 9 udptl t38|", "m=image 0 udptl t38|"),
        ] {
            check(&format!("{line}m=audio 4 RTP/AVP 0|"), &format!("{refused}{audio}"));
        }
    }

    #[test]
    fn where_nothing_can_be_served_488_says_why() {
        check("m=audio 4 RTP/AVP 18|", "488 305 h \"Incompatible media format\"");
        check(
            &format!("{CONTROL}m=audio 4 RTP/AVP 18|a=mid:1|"),
            "488 305 h \"Incompatible media format\"",
        );
        check("m=audio 4 RTP/SAVP 0|", "488 302 h \"Incompatible transport protocol\"");
        check(
            "m=audio 4 RTP/AVP 0|c=IN IP6 2001:db8::1|",
            "488 301 h \"Incompatible network address formats\"",
        );
        check("m=video 4 RTP/AVP 31|", "488 304 h \"Media type not available\"");
        check(CONTROL, "488 399 h \"No audio line for this control line\"");
    }

    #[test]
    fn tls_control_lines_get_the_tls_port() {
        let tls = Capabilities { tls: true, ..capabilities() };
        let offer = format!("{CONTROL}m=audio 4 RTP/AVP 0|").replace("TCP/", "TCP/TLS/");
        let answer = CONTROL_ANSWER.replace("8104 TCP/", "8105 TCP/TLS/");
        check_with(
            &tls,
            &offer,
            &format!("{answer}m=audio 16384 RTP/AVP 0|a=rtpmap:0 PCMU/8000|a=ptime:20|a=sendrecv|"),
        );
    }

    #[test]
    fn an_offer_over_ipv6_is_answered_over_ipv6() {
        let both = Capabilities { ip6: Some(Ipv6Addr::LOCALHOST), ..capabilities() };
        let offer = "v=0\no=- 1 1 IN IP6 2001:db8::1\ns=-\nc=IN IP6 2001:db8::1\nt=0 0\n\
            m=audio 4 RTP/AVP 0\n";
        let answer = answered(offer, &both);
        assert!(
            answer.starts_with("v=0\r\no=- 7 3 IN IP6 ::1\r\ns=-\r\nc=IN IP6 ::1\r\n"),
            "{answer}"
        );
    }

    #[test]
    fn rtcp_and_hold_are_seen() {
        let offer = "v=0\ns=-\nc=IN IP4 192.0.2.1\nt=0 0\nm=audio 4 RTP/AVP 0\n";
        let planned = |text: &str| plan(&Sdp::parse(text.as_bytes()).unwrap(), &capabilities());
        let audio = planned(offer).unwrap().audio.remove(0);
        assert_eq!((audio.remote_port, audio.remote_rtcp_port, audio.held), (4, 5, false));
        let rtcp =
            planned(&format!("{offer}a=rtcp:99 IN IP4 192.0.2.2\n")).unwrap().audio.remove(0);
        assert_eq!((rtcp.remote_rtcp_port, rtcp.remote_rtcp.to_string()), (99, "192.0.2.2".into()));
        let held = planned(&offer.replace("192.0.2.1", "0.0.0.0")).unwrap().audio.remove(0);
        assert!(held.held);
    }

    #[test]
    fn lf_only_lines_and_unknown_attributes_change_nothing() {
        let offer =
            format!("{HEAD}{CONTROL}a=x-own:1|m=audio 4 RTP/AVP 0|a=ssrc:1 cname:x|a=mid:1|");
        let crlf = answered(&offer.replace('|', "\r\n"), &capabilities());
        let lf = answered(&offer.replace('|', "\n").replace("\r\n", "\n"), &capabilities());
        assert_eq!(crlf, lf);
        assert!(crlf.contains("m=application 8104"));
    }

    #[test]
    fn our_offer_is_one_that_we_serve() {
        let origin = Origin { session_id: 1, version: 1, address: IpAddr::V4(Ipv4Addr::LOCALHOST) };
        let offer = Offer {
            origin,
            rtp_port: 4000,
            laws: &[Law::A, Law::Mu],
            telephone_event: Some(101),
            ptime_ms: 20,
            direction: Direction::RecvOnly,
            resources: &["speechsynth"],
            connection: Connection::New,
        };
        let plan = plan(&Sdp::parse(offer.to_text().as_bytes()).unwrap(), &capabilities()).unwrap();
        assert_eq!((plan.audio.len(), plan.control.len(), plan.refused.len()), (1, 1, 0));
        assert_eq!((plan.audio[0].law, plan.audio[0].telephone_event), (Law::A, Some(101)));
    }

    #[test]
    fn section_7_what_is_on_offer_is_advertised() {
        let origin = Origin { session_id: 1, version: 1, address: IpAddr::V4(Ipv4Addr::LOCALHOST) };
        let text = advertisement(&origin, &capabilities(), &[("x-audiosrc", "Radio".into())]);
        let lines = text.split_once("t=0 0\r\n").unwrap().1.replace("\r\n", "|");
        assert_eq!(
            lines,
            "m=application 0 TCP/MRCPv2 1|a=resource:speechsynth|\
             m=application 0 TCP/MRCPv2 1|a=resource:basicsynth|\
             m=audio 0 RTP/AVP 0 8 101|a=rtpmap:0 PCMU/8000|a=rtpmap:8 PCMA/8000|\
             a=rtpmap:101 telephone-event/8000|a=fmtp:101 0-15|a=x-audiosrc:Radio|"
        );
    }
}

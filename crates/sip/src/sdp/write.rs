//! Descriptions of our own: offers and answers, built line by line.

use std::net::IpAddr;

use sdp_types::{AddrType, Attribute, Connection, NetType, Session, Time};

use super::{Kind, Media, Sdp};

/// Who writes: the o-line, and the address of the session's c-line.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Origin {
    /// A number that stays the same for the session.
    pub session_id: u64,
    /// A number that rises with each change (RFC 3264 §8).
    pub version: u64,
    /// The address to be reached at: never 0.0.0.0.
    pub address: IpAddr,
}

/// One m-line of ours with its attributes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Line {
    /// What it is about.
    pub kind: Kind,
    /// The port; 0 refuses.
    pub port: u16,
    /// The transport.
    pub proto: String,
    /// The formats, at least one.
    pub formats: Vec<String>,
    /// The line's own address where it is not the session's.
    pub address: Option<IpAddr>,
    /// The attributes in order: name, and value where there is one.
    pub attributes: Vec<(&'static str, Option<String>)>,
}

impl Line {
    /// A line without attributes.
    pub fn new(kind: Kind, port: u16, proto: &str, formats: Vec<String>) -> Self {
        Self { kind, port, proto: proto.into(), formats, address: None, attributes: Vec::new() }
    }

    /// Adds `a=name:value`.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.attributes.push((name, Some(value.into())));
        self
    }

    /// Adds `a=name`.
    #[must_use]
    pub fn flag(mut self, name: &'static str) -> Self {
        self.attributes.push((name, None));
        self
    }

    /// The answer that refuses this line of an offer: port 0, the formats as they were, and the names
    /// by which the offerer finds it (RFC 3264 §6).
    pub fn refusing(offered: &Media) -> Self {
        let formats = match (offered.formats.as_slice(), &offered.kind) {
            // One format must be there (RFC 3264 §6), and RFC 6787 §4.2 calls it 1.
            ([], Kind::Application) => vec!["1".to_owned()],
            ([], Kind::Audio | Kind::Other(_)) => vec!["0".to_owned()],
            (formats, _) => formats.to_vec(),
        };
        let mut line = Self::new(offered.kind.clone(), 0, &offered.proto, formats);
        for cmid in &offered.cmids {
            line = line.with("cmid", cmid);
        }
        if let Some(mid) = &offered.mid {
            line = line.with("mid", mid);
        }
        line
    }
}

/// An offer: these lines.
pub fn offer(origin: &Origin, lines: Vec<Line>) -> String {
    describe(origin, vec![Time::new(0, 0)], lines)
}

/// An answer: one line for each of the offer's, in its order, and its time. A line for which `line`
/// gives nothing is refused.
pub fn answer(
    offer: &Sdp,
    origin: &Origin,
    mut line: impl FnMut(usize, &Media) -> Option<Line>,
) -> String {
    let answered = |(index, media)| line(index, media).unwrap_or_else(|| Line::refusing(media));
    let lines = offer.media.iter().enumerate().map(answered).collect();
    let times = match offer.session.times.as_slice() {
        [] => vec![Time::new(0, 0)],
        times => times.to_vec(),
    };
    describe(origin, times, lines)
}

fn describe(origin: &Origin, times: Vec<Time>, lines: Vec<Line>) -> String {
    let Origin { session_id, version, address } = *origin;
    let own = sdp_types::Origin {
        username: None,
        sess_id: session_id.to_string(),
        sess_version: version,
        nettype: NetType::In,
        addrtype: if address.is_ipv4() { AddrType::Ip4 } else { AddrType::Ip6 },
        unicast_address: address.to_string(),
    };
    let mut session = Session::new(own, "-");
    session.connection = Some(Connection::from_ip_addr(address));
    session.times = times;
    session.medias = lines.into_iter().map(|line| media(line, address)).collect();
    super::text(&session)
}

fn media(line: Line, session_address: IpAddr) -> sdp_types::Media {
    let own_address = line.address.filter(|address| *address != session_address);
    let attribute =
        |(name, value): (&str, Option<String>)| Attribute { attribute: name.into(), value };
    sdp_types::Media {
        media: line.kind.as_str().to_owned(),
        port: line.port,
        num_ports: None,
        proto: line.proto,
        fmt: line.formats.join(" "),
        media_title: None,
        connections: own_address.map(Connection::from_ip_addr).into_iter().collect(),
        bandwidths: Vec::new(),
        key: None,
        attributes: line.attributes.into_iter().map(attribute).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: Origin =
        Origin { session_id: 7, version: 1, address: IpAddr::V4(std::net::Ipv4Addr::LOCALHOST) };

    #[test]
    fn section_6_of_rfc_3264_an_answer_keeps_the_lines_the_order_and_the_time() {
        let offer = Sdp::parse(
            b"v=0\no=- 1 1 IN IP4 h\ns=-\nt=5 6\nm=video 4 RTP/AVP 31\na=mid:v\n\
              m=application 9 TCP/MRCPv2\na=cmid:a\nm=audio 4 RTP/AVP 0 8\n",
        )
        .unwrap();
        let text = answer(&offer, &OURS, |index, media| {
            (index == 2).then(|| {
                Line::new(media.kind.clone(), 4000, &media.proto, vec!["0".into()]).flag("sendrecv")
            })
        });
        let wanted = "v=0\r\no=- 7 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=5 6\r\n\
            m=video 0 RTP/AVP 31\r\na=mid:v\r\n\
            m=application 0 TCP/MRCPv2 1\r\na=cmid:a\r\n\
            m=audio 4000 RTP/AVP 0\r\na=sendrecv\r\n";
        assert_eq!(text, wanted);
    }
}

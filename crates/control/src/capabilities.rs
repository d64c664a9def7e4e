//! What this server can do, as one value: OPTIONS advertises it, INVITE and SPEAK are held to it
//! (invariant 8).

use std::fmt::Write as _;
use std::net::IpAddr;

use crate::uri::percent_encode;

/// The MRCPv2 resources that can be asked for.
pub const RESOURCES: [&str; 2] = ["speechsynth", "basicsynth"];

/// The payload type that we name telephone-events by where we offer them ourselves.
pub const TELEPHONE_EVENT: u8 = 101;

/// The sources and features on offer now; what is switched off is not in it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Catalog {
    /// Names of live sources, as configured. Empty with `external_audio.enabled = false`.
    pub sources: Vec<String>,
    /// Whether text can be spoken.
    pub speech: Speech,
}

/// Whether text can be spoken.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Speech {
    /// A provider is there.
    On,
    /// `text_to_speech.enabled = false`.
    #[default]
    Off,
    /// Switched on, but no provider could be started; why.
    Missing(String),
}

impl Catalog {
    /// The configured name that `name` means: exact first, then in any ASCII case.
    pub fn source(&self, name: &str) -> Option<&str> {
        self.sources
            .iter()
            .find(|source| *source == name)
            .or_else(|| self.sources.iter().find(|source| source.eq_ignore_ascii_case(name)))
            .map(String::as_str)
    }

    /// The session description that answers OPTIONS: every line with port 0, as RFC 3264 §9 has it.
    pub fn session_description(&self, address: IpAddr) -> String {
        let family = if address.is_ipv4() { "IP4" } else { "IP6" };
        let event = TELEPHONE_EVENT;
        let mut sdp = format!(
            "v=0\r\no=entracte 0 0 IN {family} {address}\r\ns=-\r\nc=IN {family} {address}\r\n\
             t=0 0\r\n"
        );
        // Writing to a String cannot fail.
        for source in &self.sources {
            let _ = write!(sdp, "a=x-audiosrc:{}\r\n", percent_encode(source));
        }
        if self.speech == Speech::On {
            sdp.push_str("a=x-feature:text-to-speech\r\n");
        }
        let _ = write!(
            sdp,
            "m=audio 0 RTP/AVP 0 8 {event}\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n\
             a=rtpmap:{event} telephone-event/8000\r\na=fmtp:{event} 0-15\r\n"
        );
        for resource in RESOURCES {
            let _ = write!(
                sdp,
                "m=application 0 TCP/MRCPv2 1\r\na=setup:passive\r\na=resource:{resource}\r\n"
            );
        }
        sdp
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_found_exactly_first_and_then_in_any_case() {
        let catalog =
            Catalog { sources: vec!["Radio".into(), "Lobby".into()], speech: Speech::Off };
        assert_eq!(catalog.source("Radio"), Some("Radio"));
        assert_eq!(catalog.source("lobby"), Some("Lobby"));
        assert_eq!(catalog.source("Lob"), None);
    }

    #[test]
    fn options_names_each_source_and_only_the_features_that_are_on() {
        let mut catalog = Catalog { sources: vec!["Café 1".into()], speech: Speech::On };
        let sdp = catalog.session_description("192.0.2.1".parse().unwrap());
        assert!(sdp.contains("a=x-audiosrc:Caf%C3%A9%201\r\n"));
        assert!(sdp.contains("a=x-feature:text-to-speech\r\n"));
        assert!(sdp.contains("a=resource:speechsynth\r\n"));
        catalog.speech = Speech::Missing("no helper".into());
        assert!(!catalog.session_description("::1".parse().unwrap()).contains("text-to-speech"));
    }
}

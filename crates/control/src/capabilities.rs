//! What this server can do, as one value: OPTIONS advertises it, INVITE and SPEAK are held to it
//! (invariant 8).

use std::net::{IpAddr, Ipv4Addr};

use sip::sdp::mrcp::{Capabilities, advertisement};
use sip::sdp::write::Origin;

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
    /// Whether messages of the store and of mail servers can be played.
    pub mail: bool,
    /// Words that mean a provider of speech: names and tags.
    pub providers: Vec<String>,
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

    /// The session description that answers OPTIONS. RFC 6787 §7, RFC 3264 §9.
    pub fn session_description(&self, capabilities: &Capabilities) -> String {
        let ip4 = capabilities.ip4.map(IpAddr::V4);
        let own = ip4.or_else(|| capabilities.ip6.map(IpAddr::V6));
        let address = own.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let sources = self.sources.iter().map(|source| ("x-audiosrc", percent_encode(source)));
        let speech =
            (self.speech == Speech::On).then(|| ("x-feature", "text-to-speech".to_owned()));
        let mail = self.mail.then(|| ("x-feature", "mail".to_owned()));
        let on_offer: Vec<_> = sources.chain(speech).chain(mail).collect();
        advertisement(&Origin { session_id: 0, version: 0, address }, capabilities, &on_offer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sip::sdp::mrcp::{Connected, Law};

    #[test]
    fn a_source_is_found_exactly_first_and_then_in_any_case() {
        let catalog =
            Catalog { sources: vec!["Radio".into(), "Lobby".into()], ..Catalog::default() };
        assert_eq!(catalog.source("Radio"), Some("Radio"));
        assert_eq!(catalog.source("lobby"), Some("Lobby"));
        assert_eq!(catalog.source("Lob"), None);
    }

    #[test]
    fn options_names_each_source_and_only_the_features_that_are_on() {
        let capabilities = Capabilities {
            laws: vec![Law::Mu, Law::A],
            resources: RESOURCES.map(str::to_owned).to_vec(),
            tls: false,
            audio_lines_max: 1,
            ip4: Some(Ipv4Addr::LOCALHOST),
            ip6: None,
            connected: Connected::Yes,
        };
        let mut catalog = Catalog {
            sources: vec!["Café 1".into()],
            speech: Speech::On,
            mail: true,
            providers: Vec::new(),
        };
        let sdp = catalog.session_description(&capabilities);
        assert!(sdp.contains("a=x-audiosrc:Caf%C3%A9%201\r\n"));
        assert!(sdp.contains("a=x-feature:text-to-speech\r\n"));
        assert!(sdp.contains("a=x-feature:mail\r\n"));
        assert!(sdp.contains("a=resource:speechsynth\r\n"));
        catalog.speech = Speech::Missing("no helper".into());
        catalog.mail = false;
        let sdp = catalog.session_description(&capabilities);
        assert!(!sdp.contains("text-to-speech") && !sdp.contains("mail"));
    }
}

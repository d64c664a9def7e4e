//! The plain SIP doors: what a call without MRCPv2 hears, by the user part it dials.
//!
//! `sip:<source>@host` plays a live source; `sip:annc@host;play=<uri>` plays an announcement as
//! RFC 4240 §3 has it (`repeat`, `delay`, `duration`; `locale` is taken and says nothing to us, since what
//! is played is named by its URI).

use std::time::Duration;

use sip::message::Request;
use sip::uri::Uri;

use crate::blueprint::{Blueprint, Play, Step};
use crate::capabilities::Catalog;
use crate::negotiation::Refusal;
use crate::uri::{After, PlayUri, percent_decode};

/// Repeats of an announcement that are played at most; more are `forever`, which is not offered.
const REPEATS_MAX: u32 = 1_000;

/// What a call is for.
#[derive(Debug)]
pub(crate) enum Door {
    /// Its channels say what is heard.
    Control,
    /// It hears this from its ACK on; gone once it was entered.
    Plain(Option<Entrance>),
}

/// What a call hears without asking.
#[derive(Debug)]
pub(crate) struct Entrance {
    pub(crate) blueprint: Blueprint,
    /// How long at most.
    pub(crate) at_most: Option<Duration>,
}

impl Door {
    /// What the Request-URI stands for.
    pub(crate) fn knock(request: &Request, catalog: &Catalog) -> Result<Self, Refusal> {
        let Some(uri) = request.uri.sip() else {
            return Err(Refusal::not_found("the Request-URI names nobody"));
        };
        let user = uri.user_text().unwrap_or_default();
        if user.eq_ignore_ascii_case("annc") {
            return announcement(uri, catalog);
        }
        match catalog.source(&user) {
            Some(name) => Ok(Self::Plain(Some(Entrance {
                blueprint: Blueprint::of(PlayUri::Source(name.to_owned())),
                at_most: None,
            }))),
            None => Err(Refusal::not_found(&format!("no source is called \"{user}\""))),
        }
    }

    /// Takes what is to be played.
    pub(crate) const fn enter(&mut self) -> Option<Entrance> {
        match self {
            Self::Control => None,
            Self::Plain(entrance) => entrance.take(),
        }
    }
}

fn announcement(uri: &Uri, catalog: &Catalog) -> Result<Door, Refusal> {
    let parameter = |name: &str| uri.params.value(name).and_then(percent_decode);
    let Some(play) = parameter("play") else {
        return Err(Refusal::bad_request("annc wants the parameter play= (RFC 4240)"));
    };
    let play = match PlayUri::parse(&play, None) {
        Ok(PlayUri::Source(name)) => match catalog.source(&name) {
            Some(known) => PlayUri::Source(known.to_owned()),
            None => return Err(Refusal::not_found(&format!("no source is called \"{name}\""))),
        },
        Ok(PlayUri::Mail { .. }) if !catalog.mail => {
            return Err(Refusal::not_found(
                "mail is not played here: mail.retrieval_enabled is false",
            ));
        }
        // Whoever calls is nobody that we know: only what authorizes itself is played, and nothing is changed.
        Ok(PlayUri::Mail { uri, after }) => {
            let is_imap = uri.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("imap:"));
            if is_imap && !uri.to_ascii_lowercase().contains(";urlauth=") {
                let why = "an announcement plays imap: only with ;URLAUTH= (RFC 5616)";
                return Err(Refusal::bad_request(why));
            }
            if after.is_some_and(|after| after != After::Keep) {
                return Err(Refusal::bad_request("an announcement leaves messages as they are"));
            }
            PlayUri::Mail { uri, after: None }
        }
        Ok(uri) => uri,
        Err(error) => return Err(Refusal::not_found(&error.to_string())),
    };
    let millis = |name: &str| {
        let wrong = || Refusal::bad_request(&format!("{name}= wants milliseconds (RFC 4240)"));
        let text = parameter(name);
        text.map(|text| text.parse().map(Duration::from_millis).map_err(|_| wrong())).transpose()
    };
    let times = match parameter("repeat").as_deref() {
        Some("forever") => REPEATS_MAX,
        Some(text) => match text.parse::<u32>() {
            Ok(times) => times.clamp(1, REPEATS_MAX),
            Err(_) => {
                let why = "repeat= wants a number, or forever (RFC 4240)";
                return Err(Refusal::bad_request(why));
            }
        },
        None => 1,
    };
    let (delay, at_most) = (millis("delay")?, millis("duration")?);
    let mut steps = Vec::new();
    for time in 0..times {
        if let Some(pause) = delay.filter(|_| time > 0) {
            steps.push(Step::Silence(pause));
        }
        steps.push(Step::Play(Box::new(Play::once(play.clone()))));
    }
    Ok(Door::Plain(Some(Entrance { blueprint: Blueprint { steps }, at_most })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_hears_only_mail_that_authorizes_itself_and_changes_none() {
        let catalog = Catalog { mail: true, ..Catalog::default() };
        let status = |play: &str| {
            let uri = format!("sip:annc@h;play={play}");
            announcement(&Uri::parse(&uri).unwrap(), &catalog)
                .map(drop)
                .map_err(|refusal| refusal.status)
        };
        let token = "imap://a%2540h/INBOX/%3BUID=1%3BURLAUTH=anonymous:internal:01aa";
        assert_eq!(status(token), Ok(()));
        assert_eq!(status("fbmc:anna/01J0000000000000000000000A"), Ok(()));
        for wrong in [
            "imap://anna@h/INBOX/%3BUID=1",
            "IMAP://anna@h/INBOX/%3BUID=1",
            "fbmc:anna/01J0000000000000000000000A%3Bafter=delete",
        ] {
            assert_eq!(status(wrong), Err(sip::StatusCode::BAD_REQUEST), "{wrong}");
        }
    }
}

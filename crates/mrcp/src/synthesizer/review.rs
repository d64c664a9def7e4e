//! Which header field may stand on which request, and whether its value can be taken.
//! RFC 6787 §5.1, §6.1.1, §6.2, §8.4.

use super::Kind;
use crate::client::active_requests;
use crate::headers::{Header, Headers};
use crate::ids::RequestId;
use crate::length::{Jump, SpeakLength, Unit};
use crate::message::{Method, Request, Response};
use crate::settings::{FetchParam, Param, ProsodyParam, Settings, SpeechParam, Wrong, boolean};
use crate::status::Status;

/// A header field by what it does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Field {
    Param(Param),
    /// Describes the body; taken where there is one to be used, else without meaning (§6.2.11).
    Entity,
    ContentEncoding,
    AcceptCharset,
    ActiveRequestIdList,
    ProxySyncId,
    JumpSize,
    SpeakLength,
    LoadLexicon,
    /// Stands in answers and events only.
    AnswerOnly,
    /// A prosody attribute that SSML does not have.
    OtherProsody,
    /// None that a synthesizer has.
    Unknown,
}

/// What a header field means on one method.
enum Place {
    /// Its value is read.
    Used,
    /// Allowed and without effect.
    Passed,
    /// Not meant for here and harmless: 201.
    Ignored,
    /// Disallowed: 403.
    Refused,
}

/// What the header fields of a good request say.
#[derive(Debug)]
pub(super) struct Reviewed {
    /// 200, or 201 if something was ignored.
    pub(super) status: Status,
    /// The settings that were given, with the request's laid over them.
    pub(super) settings: Settings,
    pub(super) jump: Option<Jump>,
    pub(super) length: Option<SpeakLength>,
    pub(super) active: Option<Vec<RequestId>>,
    pub(super) load: bool,
}

/// The header fields at fault, by what is wrong with them.
#[derive(Debug, Default)]
struct Complaints {
    illegal: Vec<Header>,
    unsupported: Vec<Header>,
    beyond: Vec<Header>,
}

impl Field {
    pub(super) fn of(name: &str) -> Self {
        if let Some(param) = Param::parse(name) {
            return Self::Param(param);
        }
        match name.to_ascii_lowercase().as_str() {
            "content-type" | "content-id" | "content-base" | "content-location" => Self::Entity,
            "content-encoding" => Self::ContentEncoding,
            "accept-charset" => Self::AcceptCharset,
            "active-request-id-list" => Self::ActiveRequestIdList,
            "proxy-sync-id" => Self::ProxySyncId,
            "jump-size" => Self::JumpSize,
            "speak-length" => Self::SpeakLength,
            "load-lexicon" => Self::LoadLexicon,
            "completion-cause" | "completion-reason" | "speech-marker" | "failed-uri"
            | "failed-uri-cause" | "speak-restart" => Self::AnswerOnly,
            other if other.starts_with("prosody-") => Self::OtherProsody,
            _ => Self::Unknown,
        }
    }

    /// Whether several fields of this name are as one with commas between. RFC 6787 §6.2.
    const fn is_list(self) -> bool {
        matches!(
            self,
            Self::AcceptCharset
                | Self::ActiveRequestIdList
                | Self::ContentEncoding
                | Self::Unknown
                | Self::Param(
                    Param::Speech(SpeechParam::Accept | SpeechParam::VendorSpecific)
                        | Param::Fetch(FetchParam::CacheControl | FetchParam::SetCookie)
                )
        )
    }

    fn place(self, kind: Kind, method: &Method) -> Place {
        let used_if = |used: bool| if used { Place::Used } else { Place::Refused };
        let params = matches!(method, Method::SetParams | Method::GetParams);
        match self {
            Self::Param(param) => place_of_param(param, kind, method),
            Self::Entity | Self::ContentEncoding | Self::AcceptCharset => Place::Passed,
            Self::ActiveRequestIdList if *method == Method::Stop => Place::Used,
            Self::ActiveRequestIdList => Place::Ignored,
            Self::ProxySyncId if *method == Method::BargeInOccurred => Place::Passed,
            Self::JumpSize | Self::SpeakLength => {
                used_if(matches!(method, Method::Speak | Method::Control))
            }
            Self::LoadLexicon => used_if(*method == Method::DefineLexicon),
            Self::ProxySyncId | Self::AnswerOnly | Self::OtherProsody => Place::Refused,
            Self::Unknown if params => Place::Refused,
            Self::Unknown => Place::Ignored,
        }
    }
}

/// Whether the resource has that parameter at all. Clips have no voice and no pitch.
pub(super) const fn has(kind: Kind, param: Param) -> bool {
    match (kind, param) {
        (Kind::Speech, _) | (Kind::Basic, Param::Fetch(_)) => true,
        (Kind::Basic, Param::Voice(_)) => false,
        (Kind::Basic, Param::Prosody(param)) => {
            matches!(param, ProsodyParam::Rate | ProsodyParam::Duration | ProsodyParam::Volume)
        }
        (Kind::Basic, Param::Speech(param)) => {
            !matches!(param, SpeechParam::SpeakerProfile | SpeechParam::LexiconSearchOrder)
        }
    }
}

fn place_of_param(param: Param, kind: Kind, method: &Method) -> Place {
    let used = match (method, param) {
        (Method::SetParams | Method::GetParams, _) => true,
        (Method::Speak, param) => param != Param::Speech(SpeechParam::LoggingTag),
        (Method::Control, Param::Voice(_) | Param::Prosody(_)) => true,
        (Method::Control, param) => param == Param::Speech(SpeechParam::VendorSpecific),
        (Method::DefineLexicon, Param::Fetch(param)) => {
            !matches!(param, FetchParam::Hint | FetchParam::AudioHint)
        }
        _ => false,
    };
    if used && has(kind, param) {
        return Place::Used;
    }
    // The generic fields may stand on more methods than those that use them; a synthesizer's own
    // are disallowed where they are not listed (§5.1).
    match (method, param) {
        (Method::SetParams | Method::GetParams, _) => Place::Refused,
        (Method::Speak, _) => Place::Ignored,
        (_, Param::Fetch(FetchParam::CacheControl)) => Place::Passed,
        (_, Param::Speech(SpeechParam::Accept | SpeechParam::VendorSpecific)) => Place::Passed,
        (_, Param::Fetch(FetchParam::Timeout | FetchParam::SetCookie)) => Place::Ignored,
        (_, Param::Speech(SpeechParam::LoggingTag)) => Place::Ignored,
        (_, Param::Voice(_) | Param::Prosody(_) | Param::Fetch(_) | Param::Speech(_)) => {
            Place::Refused
        }
    }
}

/// Reads every header field of a request (not of GET-PARAMS, which has no values), with the
/// settings laid over `base`; or the refusal that tells what is wrong.
pub(super) fn review(kind: Kind, request: &Request, base: Settings) -> Result<Reviewed, Response> {
    let mut complaints = Complaints::default();
    let mut reviewed = Reviewed {
        status: Status::SUCCESS,
        settings: base,
        jump: None,
        length: None,
        active: None,
        load: true,
    };
    for (place, header) in request.headers.iter().enumerate() {
        let field = Field::of(&header.name);
        let again = request
            .headers
            .iter()
            .take(place)
            .any(|before| before.name.eq_ignore_ascii_case(&header.name));
        if again && !field.is_list() {
            complaints.illegal.push(header.clone());
            continue;
        }
        match field.place(kind, &request.method) {
            Place::Used => {
                if let Err(wrong) = reviewed.take(kind, field, header, &request.headers) {
                    complaints.add(wrong, header);
                }
            }
            Place::Passed => {}
            Place::Ignored => reviewed.status = Status::SUCCESS_SOME_IGNORED,
            Place::Refused => complaints.unsupported.push(header.clone()),
        }
    }
    complaints.verdict(request).map_or(Ok(reviewed), Err)
}

impl Reviewed {
    fn take(
        &mut self,
        kind: Kind,
        field: Field,
        header: &Header,
        all: &Headers,
    ) -> Result<(), Wrong> {
        let value = header.value.as_str();
        match field {
            // Several fields of these are one list.
            Field::Param(
                param @ (Param::Speech(SpeechParam::Accept)
                | Param::Fetch(FetchParam::CacheControl)),
            ) => {
                let list: Vec<&str> = all.all(&header.name).collect();
                self.settings.set(param, &list.join(", "))?;
            }
            Field::Param(param) => self.settings.set(param, value)?,
            Field::JumpSize => {
                let jump = Jump::parse(value).ok_or(Wrong::Illegal)?;
                measure(kind, jump.unit())?;
                self.jump = Some(jump);
            }
            Field::SpeakLength => {
                let length = SpeakLength::parse(value).ok_or(Wrong::Illegal)?;
                measure(kind, length.unit())?;
                self.length = Some(length);
            }
            Field::LoadLexicon => self.load = boolean(value)?,
            Field::ActiveRequestIdList => {
                self.active = Some(active_requests(all).ok_or(Wrong::Illegal)?);
            }
            Field::Entity
            | Field::ContentEncoding
            | Field::AcceptCharset
            | Field::ProxySyncId
            | Field::AnswerOnly
            | Field::OtherProsody
            | Field::Unknown => {}
        }
        Ok(())
    }
}

/// Clips have no words.
fn measure(kind: Kind, unit: Option<Unit>) -> Result<(), Wrong> {
    match (kind, unit) {
        (Kind::Basic, Some(Unit::Word | Unit::Sentence | Unit::Paragraph)) => Err(Wrong::BeyondUs),
        (Kind::Basic | Kind::Speech, _) => Ok(()),
    }
}

impl Complaints {
    fn add(&mut self, wrong: Wrong, header: &Header) {
        match wrong {
            Wrong::Illegal => self.illegal.push(header.clone()),
            Wrong::BeyondUs => self.beyond.push(header.clone()),
        }
    }

    /// 404 before 403 before 409, with the fields at fault as they came. RFC 6787 §6.1.1.
    fn verdict(self, request: &Request) -> Option<Response> {
        let (status, headers) = [
            (Status::ILLEGAL_VALUE, self.illegal),
            (Status::UNSUPPORTED_HEADER, self.unsupported),
            (Status::UNSUPPORTED_VALUE, self.beyond),
        ]
        .into_iter()
        .find(|(_, headers)| !headers.is_empty())?;
        let mut response = request.refuse(status);
        response.headers.extend(headers);
        Some(response)
    }
}

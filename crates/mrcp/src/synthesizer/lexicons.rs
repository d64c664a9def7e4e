//! DEFINE-LEXICON. RFC 6787 §8.5.2, §8.14.

use std::time::Duration;

use vocab::Now;

use super::cause::push_failed_uri;
use super::review::{Reviewed, review};
use super::{
    Cause, FETCH_WAIT_MS, FETCHES_MAX, Kind, LexiconFailure, Output, Synthesizer, WaitingFetch,
    answer,
};
use crate::content::{self, BodyFault, Part, bare_id};
use crate::ids::RequestId;
use crate::lexicon::Lexicon;
use crate::message::{Request, Response, State};
use crate::status::Status;

/// The answer to a DEFINE-LEXICON whose lexicon cannot be read. RFC 6787 §8.14.
pub fn refuse_lexicon(request: &Request, uri: &str, why: &str) -> Response {
    let mut response = failed(request, why);
    push_failed_uri(&mut response.headers, uri, "parse-failure");
    response
}

/// The lexicons that stand in a request's body, with the URIs they are called by in the session.
pub fn inline_lexicons(request: &Request) -> Vec<Lexicon> {
    read_body(request).map(|(inline, _)| inline).unwrap_or_default()
}

impl Synthesizer {
    pub(super) fn define_lexicon(&mut self, now: Now, request: &Request, out: &mut Vec<Output>) {
        if self.active().is_some() {
            return answer::send(request.refuse(Status::WRONG_STATE), out);
        }
        let reviewed = match review(self.kind, request, self.settings.clone()) {
            Ok(reviewed) => reviewed,
            Err(refusal) => return answer::send(refusal, out),
        };
        let done = match self.kind {
            Kind::Basic => Err(failed(request, "a basicsynth has no use for a lexicon")),
            Kind::Speech if reviewed.load => self.load_lexicon(now, request, &reviewed, out),
            Kind::Speech => self.unload_lexicon(request, reviewed.status).map(Some),
        };
        match done {
            Ok(Some(response)) | Err(response) => answer::send(response, out),
            Ok(None) => {}
        }
    }

    /// The answer, or none yet if documents must be fetched first.
    fn load_lexicon(
        &mut self,
        now: Now,
        request: &Request,
        reviewed: &Reviewed,
        out: &mut Vec<Output>,
    ) -> Result<Option<Response>, Response> {
        let (inline, uris) = read_body(request)?;
        if uris.is_empty() {
            return self.shelve(request, inline, reviewed.status).map(Some);
        }
        if self.fetches.len() >= FETCHES_MAX {
            let why = format!("{FETCHES_MAX} DEFINE-LEXICON requests are waiting already");
            return Err(failed(request, &why));
        }
        let fetch = reviewed.settings.fetch.clone();
        let wait = fetch.timeout.unwrap_or(Duration::from_millis(FETCH_WAIT_MS));
        self.fetches.push_back(WaitingFetch {
            request: request.clone(),
            status: reviewed.status,
            inline,
            until: now + wait,
        });
        out.push(Output::FetchLexicons { request: request.id, uris, fetch });
        Ok(None)
    }

    fn shelve(
        &mut self,
        request: &Request,
        lexicons: Vec<Lexicon>,
        status: Status,
    ) -> Result<Response, Response> {
        self.lexicons
            .load(lexicons)
            .map_err(|_| failed(request, "the session keeps too many lexicons already"))?;
        Ok(request.answer(status, State::Complete))
    }

    /// Unloads what Content-ID or a URI list names; what is not there needs no unloading.
    fn unload_lexicon(&mut self, request: &Request, status: Status) -> Result<Response, Response> {
        let id = request.headers.get("Content-ID").filter(|id| !id.is_empty());
        let mut uris: Vec<String> = id.map(session_uri).into_iter().collect();
        if !request.body.is_empty() {
            let parts = content::parts(request).map_err(|fault| refuse_body(request, fault))?;
            uris.extend(parts.iter().filter_map(|part| part.id.as_deref()).map(session_uri));
            let lists = parts.iter().filter(|part| part.media_type.is_uri_list());
            uris.extend(lists.flat_map(Part::uris));
        }
        if uris.is_empty() {
            return Err(request.refuse(Status::HEADER_MISSING));
        }
        for uri in uris {
            self.lexicons.unload(&uri);
        }
        Ok(request.answer(status, State::Complete))
    }

    pub(super) fn fetched(
        &mut self,
        request: RequestId,
        fetched: Result<Vec<Lexicon>, LexiconFailure>,
        out: &mut Vec<Output>,
    ) {
        // It may have been answered when its time was up.
        let place = self.fetches.iter().position(|waiting| waiting.request.id == request);
        let Some(waiting) = place.and_then(|place| self.fetches.remove(place)) else { return };
        let WaitingFetch { request, status, mut inline, until: _ } = waiting;
        let response = match fetched {
            Ok(lexicons) => {
                inline.extend(lexicons);
                self.shelve(&request, inline, status).unwrap_or_else(|refusal| refusal)
            }
            Err(LexiconFailure { uri, cause, why }) => {
                let mut response = failed(&request, &why);
                push_failed_uri(&mut response.headers, &uri, &cause);
                response
            }
        };
        answer::send(response, out);
    }
}

/// The lexicons in the body, and where others are.
fn read_body(request: &Request) -> Result<(Vec<Lexicon>, Vec<String>), Response> {
    let parts = content::parts(request).map_err(|fault| refuse_body(request, fault))?;
    let (mut inline, mut uris) = (Vec::new(), Vec::new());
    for part in parts {
        if part.media_type.is_uri_list() {
            uris.extend(part.uris());
        } else if !part.media_type.is_lexicon() {
            let why = format!("{} is no lexicon that we read", part.media_type.essence());
            return Err(failed(request, &why));
        } else if let Some(id) = &part.id {
            let (uri, bytes) = (session_uri(id), part.bytes.into());
            inline.push(Lexicon { uri, media_type: part.media_type, bytes });
        } else {
            // §8.5.2: an inline lexicon must have a Content-ID.
            return Err(request.refuse(Status::HEADER_MISSING));
        }
    }
    Ok((inline, uris))
}

/// How a lexicon of that Content-ID is called in this session. RFC 6787 §13.6.
fn session_uri(id: &str) -> String {
    format!("session:{}", bare_id(id))
}

/// "In an unsupported form" is a failure of the method here (§8.14), not of the entity.
fn refuse_body(request: &Request, fault: BodyFault) -> Response {
    match fault {
        BodyFault::Unsupported => failed(request, "the body is no lexicon that we read"),
        BodyFault::Missing | BodyFault::TypeIllegal | BodyFault::Encoding => {
            answer::refuse_body(request, fault)
        }
    }
}

fn failed(request: &Request, why: &str) -> Response {
    let mut response = request.refuse(Status::FAILED);
    response.headers.push("Completion-Cause", Cause::LexiconLoadFailure.as_str());
    response.explained(why)
}

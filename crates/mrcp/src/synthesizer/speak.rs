//! SPEAK and what ends, holds or follows it. RFC 6787 §8.6-8.10, §8.12.

use std::mem;

use super::review::review;
use super::{
    Cause, End, Kind, News, Output, QUEUE_MAX, Speak, Start, State, Synthesizer, Utterance,
    Waiting, answer,
};
use crate::content::{self, BodyFault, Content};
use crate::headers::Headers;
use crate::ids::RequestId;
use crate::message::{EventName, Request, Response, State as RequestState};
use crate::ntp::NtpTime;
use crate::settings::Settings;
use crate::status::Status;

impl Synthesizer {
    pub(super) fn speak(&mut self, request: &Request, at: NtpTime, out: &mut Vec<Output>) {
        let (waiting, status) = match self.accept(request) {
            Ok(accepted) => accepted,
            Err(refusal) => return answer::send(refusal, out),
        };
        if self.head().is_some() {
            if self.queue.len() >= QUEUE_MAX {
                let refusal = request.refuse(Status::FAILED);
                let why = format!("{QUEUE_MAX} SPEAK requests are waiting already");
                return answer::send(refusal.explained(&why), out);
            }
            self.keep_cookies(&waiting);
            self.queue.push_back(waiting);
            return answer::send(request.answer(status, RequestState::Pending), out);
        }
        self.keep_cookies(&waiting);
        let response = request.answer(status, RequestState::InProgress).marked(at, None);
        answer::send(response, out);
        self.queue.push_back(waiting);
        if let Some(speak) = self.begin(Start::Sounding, at, out) {
            self.state = State::Speaking(speak);
        }
    }

    /// Checks header fields and body; what comes of it, and 200 or 201.
    fn accept(&self, request: &Request) -> Result<(Waiting, Status), Response> {
        let reviewed = review(self.kind, request, self.settings.clone())?;
        let content = content::parts(request)
            .and_then(Content::of)
            .and_then(|content| self.speakable(content))
            .map_err(|fault| answer::refuse_body(request, fault))?;
        let active = self.lexicons.active(&reviewed.settings.lexicon_search_order);
        let (lexicons, missing_lexicon) = match active {
            Ok(lexicons) => (lexicons, None),
            Err(missing) => (Vec::new(), Some(missing)),
        };
        let utterance = Box::new(Utterance {
            request: request.id,
            channel: request.channel.clone(),
            content,
            settings: reviewed.settings,
            offset: reviewed.jump,
            length: reviewed.length,
            lexicons,
        });
        Ok((Waiting { utterance, missing_lexicon }, reviewed.status))
    }

    fn speakable(&self, content: Content) -> Result<Content, BodyFault> {
        let text = content.spoken.iter().any(|part| part.media_type.is_plain_text());
        match self.kind {
            Kind::Basic if text => Err(BodyFault::Unsupported),
            Kind::Basic | Kind::Speech => Ok(content),
        }
    }

    /// Cookies that a SPEAK brings are the session's from then on. RFC 6787 §6.2.15.
    fn keep_cookies(&mut self, waiting: &Waiting) {
        self.settings.fetch.cookies.clone_from(&waiting.utterance.settings.fetch.cookies);
    }

    /// Plays the first of the queue. None if there is none, or if it failed at once, which
    /// cancels the others.
    fn begin(&mut self, start: Start, at: NtpTime, out: &mut Vec<Output>) -> Option<Speak> {
        let Waiting { utterance, missing_lexicon } = self.queue.pop_front()?;
        let speak = Speak::of(&utterance);
        if let Some(uri) = missing_lexicon {
            let why = "no lexicon of this session has that Content-ID".into();
            out.push(speak.complete(End::LexiconLoadFailure { uri, why }.headers(), at));
            self.cancel_queue(&End::Cancelled.headers(), at, out);
            return None;
        }
        out.push(Output::Play { utterance, start });
        Some(speak)
    }

    /// Goes on with the next of the queue, if there is one, sounding or held.
    fn advance(&mut self, start: Start, at: NtpTime, out: &mut Vec<Output>) {
        self.state = match (self.begin(start, at, out), start) {
            (None, _) => State::Idle,
            (Some(speak), Start::Sounding) => {
                out.push(speak.started(at));
                State::Speaking(speak)
            }
            (Some(speak), Start::Held) => State::Paused(speak, News::Untold),
        };
    }

    fn cancel_queue(&mut self, headers: &Headers, at: NtpTime, out: &mut Vec<Output>) {
        for waiting in self.queue.drain(..) {
            out.push(Speak::of(&waiting.utterance).complete(headers.clone(), at));
        }
    }

    pub(super) fn finished(
        &mut self,
        request: RequestId,
        end: &End,
        at: NtpTime,
        out: &mut Vec<Output>,
    ) {
        // The player's last word can cross our Silence on the way.
        if self.active() != Some(request) {
            return;
        }
        self.settle_controls(at, out);
        let (speak, start) = match mem::take(&mut self.state) {
            State::Idle => return,
            State::Speaking(speak) => (speak, Start::Sounding),
            // It ended while PAUSE was on its way; the client still wants silence.
            State::Paused(speak, _) => (speak, Start::Held),
        };
        out.push(speak.complete(end.headers(), at));
        if end.cause() != Cause::Normal {
            // §8.6: if the current SPEAK fails, all that wait are cancelled.
            self.cancel_queue(&End::Cancelled.headers(), at, out);
        }
        self.advance(start, at, out);
    }

    /// §8.7. Without a list everything ends; with one, those that are named and are ours.
    pub(super) fn stop(&mut self, request: &Request, at: NtpTime, out: &mut Vec<Output>) {
        let marker = self.head().and_then(|speak| speak.marker.clone());
        let reviewed = match review(self.kind, request, Settings::default()) {
            Ok(reviewed) => reviewed,
            Err(refusal) => return answer::send(refusal.marked(at, marker.as_deref()), out),
        };
        let named = |id| reviewed.active.as_ref().is_none_or(|list| list.contains(&id));
        let mut stopped = Vec::new();
        let head = self.active().filter(|&id| named(id));
        if let Some(id) = head {
            self.settle_controls(at, out);
            stopped.push(id);
            out.push(Output::Silence { request: id });
        }
        self.queue.retain(|waiting| {
            let id = waiting.utterance.request;
            if named(id) {
                stopped.push(id);
            }
            !named(id)
        });
        let response = request
            .answer(reviewed.status, RequestState::Complete)
            .listing(&stopped)
            .marked(at, marker.as_deref());
        answer::send(response, out);
        if head.is_some() {
            let start = if self.is_paused() { Start::Held } else { Start::Sounding };
            self.state = State::Idle;
            self.advance(start, at, out);
        }
    }

    /// §8.8: an utterance that may be broken into ends, and all behind it, whatever they allow.
    pub(super) fn barge_in(&mut self, request: &Request, at: NtpTime, out: &mut Vec<Output>) {
        let marker = self.head().and_then(|speak| speak.marker.clone());
        let status = match review(self.kind, request, Settings::default()) {
            Ok(reviewed) => reviewed.status,
            Err(refusal) => return answer::send(refusal.marked(at, marker.as_deref()), out),
        };
        let mut stopped = Vec::new();
        if let Some(id) = self.head().filter(|speak| speak.kill_on_barge_in).map(|speak| speak.id) {
            self.settle_controls(at, out);
            self.state = State::Idle;
            out.push(Output::Silence { request: id });
            stopped.push(id);
            stopped.extend(self.queue.drain(..).map(|waiting| waiting.utterance.request));
        }
        let response = request
            .answer(status, RequestState::Complete)
            .listing(&stopped)
            .marked(at, marker.as_deref());
        answer::send(response, out);
    }

    /// The same, noticed by the server itself (§8.4.2). The client has not asked, so it is told
    /// by SPEAK-COMPLETE; its own BARGE-IN-OCCURRED then finds nothing to end.
    pub(super) fn barge_in_here(&mut self, at: NtpTime, out: &mut Vec<Output>) {
        if !self.head().is_some_and(|speak| speak.kill_on_barge_in) {
            return;
        }
        self.settle_controls(at, out);
        let headers = Headers::new().with("Completion-Cause", Cause::BargeIn.as_str());
        match mem::take(&mut self.state) {
            State::Idle => {}
            State::Speaking(speak) | State::Paused(speak, _) => {
                out.push(Output::Silence { request: speak.id });
                out.push(speak.complete(headers.clone(), at));
            }
        }
        self.cancel_queue(&headers, at, out);
    }

    /// §8.9.
    pub(super) fn pause(&mut self, request: &Request, out: &mut Vec<Output>) {
        let Some(id) = self.active() else {
            return answer::send(request.refuse(Status::WRONG_STATE), out);
        };
        let status = match review(self.kind, request, Settings::default()) {
            Ok(reviewed) => reviewed.status,
            Err(refusal) => return answer::send(refusal, out),
        };
        self.state = match mem::take(&mut self.state) {
            State::Speaking(speak) => {
                out.push(Output::Pause);
                State::Paused(speak, News::Told)
            }
            same @ (State::Idle | State::Paused(..)) => same,
        };
        answer::send(request.answer(status, RequestState::Complete).listing(&[id]), out);
    }

    /// §8.10: a list only if something was held.
    pub(super) fn resume(&mut self, request: &Request, at: NtpTime, out: &mut Vec<Output>) {
        if self.active().is_none() {
            return answer::send(request.refuse(Status::WRONG_STATE), out);
        }
        let status = match review(self.kind, request, Settings::default()) {
            Ok(reviewed) => reviewed.status,
            Err(refusal) => return answer::send(refusal, out),
        };
        let response = request.answer(status, RequestState::Complete);
        self.state = match mem::take(&mut self.state) {
            State::Paused(speak, news) => {
                out.push(Output::Resume);
                answer::send(response.listing(&[speak.id]), out);
                if news == News::Untold {
                    out.push(speak.started(at));
                }
                State::Speaking(speak)
            }
            same @ (State::Idle | State::Speaking(_)) => {
                answer::send(response, out);
                same
            }
        };
    }
}

impl Speak {
    fn of(utterance: &Utterance) -> Self {
        Self {
            id: utterance.request,
            channel: utterance.channel.clone(),
            kill_on_barge_in: utterance.settings.kill_on_barge_in,
            marker: None,
            cookies: Vec::new(),
            told: Vec::new(),
        }
    }

    /// §8.13: leaving the queue is told by a marker without a name.
    fn started(&self, at: NtpTime) -> Output {
        self.event(EventName::SpeechMarker, RequestState::InProgress, at, Headers::new())
    }

    fn complete(&self, mut headers: Headers, at: NtpTime) -> Output {
        for cookie in &self.cookies {
            headers.push("Set-Cookie", cookie);
        }
        if !self.told.is_empty() {
            let told = self.told.iter().map(|each| format!("{}={}", each.name, each.value));
            headers.push("Vendor-Specific-Parameters", &told.collect::<Vec<_>>().join(";"));
        }
        self.event(EventName::SpeakComplete, RequestState::Complete, at, headers)
    }
}

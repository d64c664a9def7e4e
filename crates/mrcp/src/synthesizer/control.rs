//! CONTROL: changes what is being spoken. RFC 6787 §8.11.

use std::time::Duration;

use vocab::Now;

use super::review::review;
use super::{
    CONTROL_WAIT_MS, CONTROLS_MAX, Change, ChangePart, Outcome, Output, Synthesizer,
    WaitingControl, answer,
};
use crate::ids::RequestId;
use crate::message::{Request, Response, State};
use crate::ntp::NtpTime;
use crate::settings::{Param, Settings};
use crate::status::Status;

impl Synthesizer {
    pub(super) fn control(
        &mut self,
        now: Now,
        request: &Request,
        at: NtpTime,
        out: &mut Vec<Output>,
    ) {
        let marker = self.head().and_then(|speak| speak.marker.clone());
        let marked = |response: Response| response.marked(at, marker.as_deref());
        let Some(speak) = self.active() else {
            return answer::send(marked(request.refuse(Status::WRONG_STATE)), out);
        };
        let reviewed = match review(self.kind, request, Settings::default()) {
            Ok(reviewed) => reviewed,
            Err(refusal) => return answer::send(marked(refusal.listing(&[speak])), out),
        };
        let change = Box::new(Change {
            jump: reviewed.jump,
            length: reviewed.length,
            voice: reviewed.settings.voice,
            prosody: reviewed.settings.prosody,
            vendor: reviewed.settings.vendor,
        });
        if *change == Change::default() {
            let response = request.answer(reviewed.status, State::Complete).listing(&[speak]);
            return answer::send(marked(response), out);
        }
        if self.controls.len() >= CONTROLS_MAX {
            let refusal = request.refuse(Status::FAILED).listing(&[speak]);
            let why = format!("{CONTROLS_MAX} CONTROL requests are waiting already");
            return answer::send(marked(refusal.explained(&why)), out);
        }
        self.controls.push_back(WaitingControl {
            request: request.clone(),
            status: reviewed.status,
            speak,
            until: now + Duration::from_millis(CONTROL_WAIT_MS),
        });
        out.push(Output::Change { request: speak, control: request.id, change });
    }

    /// Answers the CONTROL that the player has carried out, or not.
    pub(super) fn changed(
        &mut self,
        control: RequestId,
        outcome: &Outcome,
        at: NtpTime,
        out: &mut Vec<Output>,
    ) {
        // It may have been answered when its SPEAK ended, or when its time was up.
        let place = self.controls.iter().position(|waiting| waiting.request.id == control);
        let Some(waiting) = place.and_then(|place| self.controls.remove(place)) else { return };
        let request = &waiting.request;
        let mut response = match outcome {
            Outcome::Applied => request.answer(waiting.status, State::Complete),
            Outcome::Restarted => {
                let mut response = request.answer(waiting.status, State::Complete);
                response.headers.push("Speak-Restart", "true");
                response
            }
            Outcome::Unsupported(part) => unsupported(request, *part),
            Outcome::Failed(why) => request.refuse(Status::FAILED).explained(why),
        };
        response = response.listing(&[waiting.speak]);
        let marker = self.head().and_then(|speak| speak.marker.as_deref());
        answer::send(response.marked(at, marker), out);
    }

    /// The utterance ends: what was asked of it has had its effect or can have none. "The CONTROL
    /// request still succeeds", and its answer goes before SPEAK-COMPLETE (§8.11).
    pub(super) fn settle_controls(&mut self, at: NtpTime, out: &mut Vec<Output>) {
        while let Some(control) = self.controls.front().map(|waiting| waiting.request.id) {
            self.changed(control, &Outcome::Applied, at, out);
        }
    }
}

/// 409 for a measure, 403 for a voice or a prosody (§8.4.1, §8.4.6, §8.4.7, §8.4.15).
fn unsupported(request: &Request, part: ChangePart) -> Response {
    let named = |name: &str, wanted: &str| name.eq_ignore_ascii_case(wanted);
    let status = match part {
        ChangePart::Jump | ChangePart::Length => Status::UNSUPPORTED_VALUE,
        ChangePart::Voice | ChangePart::Prosody => Status::UNSUPPORTED_HEADER,
    };
    let mut response = request.refuse(status);
    let at_fault = request.headers.iter().filter(|header| match part {
        ChangePart::Jump => named(&header.name, "Jump-Size"),
        ChangePart::Length => named(&header.name, "Speak-Length"),
        ChangePart::Voice => matches!(Param::parse(&header.name), Some(Param::Voice(_))),
        ChangePart::Prosody => matches!(Param::parse(&header.name), Some(Param::Prosody(_))),
    });
    response.headers.extend(at_fault.cloned());
    response
}

//! SET-PARAMS and GET-PARAMS. RFC 6787 §6.1.

use super::review::{Field, has, review};
use super::{Output, Synthesizer, answer};
use crate::headers::Header;
use crate::message::{Request, Response, State};
use crate::settings::{Param, SpeechParam};
use crate::status::Status;

impl Synthesizer {
    /// All parameters or none of them.
    pub(super) fn set_params(&mut self, request: &Request, out: &mut Vec<Output>) {
        let response = match review(self.kind, request, self.settings.clone()) {
            Ok(reviewed) => {
                self.settings = reviewed.settings;
                request.answer(reviewed.status, State::Complete)
            }
            Err(refusal) => refusal,
        };
        answer::send(response, out);
    }

    pub(super) fn get_params(&self, request: &Request, out: &mut Vec<Output>) {
        let response = self.read_params(request).unwrap_or_else(|refusal| refusal);
        answer::send(response, out);
    }

    /// The parameters that are asked for, or all that can be set if none is.
    fn read_params(&self, request: &Request) -> Result<Response, Response> {
        let mut asked: Vec<(Param, &Header)> = Vec::new();
        let mut unsupported = Vec::new();
        for header in &request.headers {
            match Field::of(&header.name) {
                Field::Param(param) if has(self.kind, param) => {
                    if !asked.iter().any(|(before, _)| *before == param) {
                        asked.push((param, header));
                    }
                }
                Field::Entity | Field::ContentEncoding | Field::AcceptCharset => {}
                // Back as it came, without a value (§6.1.2).
                Field::Param(_)
                | Field::ActiveRequestIdList
                | Field::ProxySyncId
                | Field::JumpSize
                | Field::SpeakLength
                | Field::LoadLexicon
                | Field::AnswerOnly
                | Field::OtherProsody
                | Field::Unknown => {
                    unsupported.push(Header { name: header.name.clone(), value: String::new() });
                }
            }
        }
        if !unsupported.is_empty() {
            let mut refusal = request.refuse(Status::UNSUPPORTED_HEADER);
            refusal.headers.extend(unsupported);
            return Err(refusal);
        }
        let mut response = request.answer(Status::SUCCESS, State::Complete);
        if asked.is_empty() {
            for param in Param::all().filter(|&param| has(self.kind, param)) {
                self.write_param(&mut response, param, param.as_str());
            }
            return Ok(response);
        }
        for (param, header) in asked {
            if param == Param::Speech(SpeechParam::VendorSpecific) {
                let chosen = self.settings.vendor.select(&header.value).map_err(|_| {
                    let mut refusal = request.refuse(Status::ILLEGAL_VALUE);
                    refusal.headers.extend([header.clone()]);
                    refusal
                })?;
                response.headers.push(&header.name, &chosen.to_string());
            } else {
                self.write_param(&mut response, param, &header.name);
            }
        }
        Ok(response)
    }

    fn write_param(&self, response: &mut Response, param: Param, name: &str) {
        for value in self.settings.values(param) {
            response.headers.push(name, &value);
        }
    }
}

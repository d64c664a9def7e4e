//! One MRCPv2 channel of a call: its synthesizer, and what its requests mean to the call's player.

use std::collections::BTreeMap;
use std::sync::Arc;

use mrcp::settings::Settings;
use mrcp::synthesizer::{
    Change as Wanted, ChangePart, End, Input, Kind, LexiconFailure, Outcome, Output,
    Start as Begin, Synthesizer, Utterance,
};
use mrcp::{ChannelId, NtpTime, Request, RequestId};
use vocab::{ConnectionId, Now};

use crate::blueprint::Blueprint;
use crate::capabilities::Catalog;
use crate::event::{Effect, Failure};
use crate::player::{Change, Ids, Player, Ticket, Utterance as Audible};
use crate::playout::{self, Defaults, Prosody};
use crate::position::{self, Jump, Limit, Timeline, Unit};

/// Samples a second, of everything that is played.
const RATE_HZ: u64 = 8_000;

/// Requests whose connection is remembered, for the events that follow; the oldest go first.
const REQUESTS_MAX: usize = 128;

/// What a channel needs of its call while it handles something.
pub(crate) struct Stage<'a> {
    pub(crate) now: Now,
    pub(crate) at: NtpTime,
    pub(crate) catalog: &'a Catalog,
    pub(crate) defaults: &'a Defaults,
    pub(crate) player: &'a mut Player,
    /// Whether the call has audio that we send.
    pub(crate) audible: bool,
    pub(crate) ids: &'a mut Ids,
    pub(crate) out: &'a mut Vec<Effect>,
}

/// One channel.
#[derive(Debug)]
pub(crate) struct Channel {
    pub(crate) id: ChannelId,
    /// Its number in the call; part of its tickets.
    number: u32,
    machine: Synthesizer,
    /// The connection that its last message came by.
    connection: Option<ConnectionId>,
    /// The connection of each request that may still have events.
    asked_by: BTreeMap<RequestId, ConnectionId>,
    speaking: Option<Speaking>,
}

/// What is being spoken, as it would have to be cut anew.
#[derive(Debug)]
struct Speaking {
    utterance: Box<Utterance>,
    settings: Settings,
    blueprint: Arc<Blueprint>,
    prosody: Prosody,
    /// The volume that is in its samples, in dB.
    baked_db: f32,
}

impl Channel {
    pub(crate) fn new(id: ChannelId, kind: Kind, number: u32) -> Self {
        Self {
            id,
            number,
            machine: Synthesizer::new(kind, Settings::default()),
            connection: None,
            asked_by: BTreeMap::new(),
            speaking: None,
        }
    }

    /// Forgets a connection that is gone; true when it was the one last used.
    pub(crate) fn forget(&mut self, connection: ConnectionId) -> bool {
        self.asked_by.retain(|_, by| *by != connection);
        self.connection.take_if(|last| *last == connection).is_some()
    }

    /// The connections that its messages came by.
    pub(crate) fn connections(&self) -> impl Iterator<Item = ConnectionId> {
        self.asked_by.values().copied().chain(self.connection)
    }

    pub(crate) fn deadline(&self) -> Option<(Now, &'static str)> {
        self.machine.deadline()
    }

    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    pub(crate) fn request(&mut self, request: Request, by: ConnectionId, stage: &mut Stage<'_>) {
        self.connection = Some(by);
        if self.asked_by.len() >= REQUESTS_MAX {
            self.asked_by.pop_first();
        }
        self.asked_by.insert(request.id, by);
        self.input(Input::Request { request, at: stage.at }, stage);
    }

    pub(crate) fn expire(&mut self, stage: &mut Stage<'_>) {
        self.input(Input::Deadline { at: stage.at }, stage);
    }

    pub(crate) fn marked(
        &mut self,
        ticket: Ticket,
        name: String,
        at: NtpTime,
        stage: &mut Stage<'_>,
    ) {
        self.input(Input::Marker { request: request_of(ticket), name, at }, stage);
    }

    pub(crate) fn changed(&mut self, control: u32, restarted: bool, stage: &mut Stage<'_>) {
        let outcome = if restarted { Outcome::Restarted } else { Outcome::Applied };
        self.answer_control(RequestId::from_number(control), outcome, stage);
    }

    pub(crate) fn done(&mut self, ticket: Ticket, failure: Option<Failure>, stage: &mut Stage<'_>) {
        let end = failure.map_or(End::Normal, end_of);
        self.finish(request_of(ticket), end, stage);
    }

    fn finish(&mut self, request: RequestId, end: End, stage: &mut Stage<'_>) {
        self.input(Input::Finished { request, end, at: stage.at }, stage);
    }

    fn answer_control(&mut self, control: RequestId, outcome: Outcome, stage: &mut Stage<'_>) {
        self.input(Input::Changed { control, outcome, at: stage.at }, stage);
    }

    fn ticket(&self, request: RequestId) -> Ticket {
        (u64::from(self.number) << 32) | u64::from(request.number())
    }

    fn input(&mut self, input: Input, stage: &mut Stage<'_>) {
        let mut outputs = Vec::new();
        self.machine.handle(stage.now, input, &mut outputs);
        for output in outputs {
            self.carry_out(output, stage);
        }
    }

    fn carry_out(&mut self, output: Output, stage: &mut Stage<'_>) {
        match output {
            Output::Send(message) => self.send(&message, stage),
            Output::Play { utterance, start } => self.play(utterance, start, stage),
            Output::Silence { request } => {
                self.speaking = None;
                stage.player.drop_utterance(self.ticket(request), stage.ids, stage.out);
            }
            Output::Pause => {
                if let Some(ticket) = self.playing() {
                    stage.player.pause(ticket, stage.out);
                }
            }
            Output::Resume => {
                if let Some(ticket) = self.playing() {
                    stage.player.resume(ticket, stage.out);
                }
            }
            Output::Change { request, control, change } => {
                self.change(request, control, &change, stage);
            }
            Output::FetchLexicons { request, uris, .. } => {
                let failure = LexiconFailure {
                    uri: uris.into_iter().next().unwrap_or_default(),
                    cause: "not-supported".to_owned(),
                    why: "lexicons are taken from the request's body only".to_owned(),
                };
                self.input(Input::LexiconsFetched { request, fetched: Err(failure) }, stage);
            }
        }
    }

    fn send(&self, message: &mrcp::Message, stage: &mut Stage<'_>) {
        let id = match message {
            mrcp::Message::Request(request) => request.id,
            mrcp::Message::Response(response) => response.id,
            mrcp::Message::Event(event) => event.id,
        };
        // RFC 6787 §4.2: by the connection that the request came by; if that is gone, by the
        // channel's last.
        let by = self.asked_by.get(&id).copied().or(self.connection);
        if let Some(connection) = by {
            stage.out.push(Effect::Send { connection, bytes: message.to_bytes() });
        }
    }

    pub(crate) fn playing(&self) -> Option<Ticket> {
        self.speaking.as_ref().map(|speaking| self.ticket(speaking.utterance.request))
    }

    fn play(&mut self, utterance: Box<Utterance>, begin: Begin, stage: &mut Stage<'_>) {
        let request = utterance.request;
        if !stage.audible {
            let why = "the call has no audio line that takes audio from us".to_owned();
            return self.finish(request, End::Error(why), stage);
        }
        let (content, settings) = (&utterance.content, &utterance.settings);
        let cut = playout::cut(content, settings, Prosody::Request, stage.defaults, stage.catalog);
        let blueprint = match cut {
            Ok(blueprint) => Arc::new(blueprint),
            Err(failure) => return self.finish(request, end_of(failure), stage),
        };
        let start =
            utterance.offset.as_ref().map(jump_of).map_or_else(position::Start::default, |jump| {
                Timeline::default().jump(0, &jump).start
            });
        let ticket = self.ticket(request);
        let audible = Audible {
            ticket,
            blueprint: Arc::clone(&blueprint),
            start,
            limit: utterance.length.as_ref().map(limit_of),
        };
        let settings = utterance.settings.clone();
        let prosody = Prosody::Request;
        let mut speaking = Speaking { utterance, settings, blueprint, prosody, baked_db: 0.0 };
        speaking.baked_db = speaking.volume_db(prosody, stage.defaults);
        self.speaking = Some(speaking);
        if !stage.player.play(audible, stage.ids, stage.out) {
            let why = "too many utterances of other channels wait in this call".to_owned();
            return self.finish(request, End::Error(why), stage);
        }
        if begin == Begin::Held {
            stage.player.pause(ticket, stage.out);
        }
    }

    fn change(
        &mut self,
        request: RequestId,
        control: RequestId,
        wanted: &Wanted,
        stage: &mut Stage<'_>,
    ) {
        let ticket = self.ticket(request);
        let Some(speaking) =
            self.speaking.as_mut().filter(|speaking| speaking.utterance.request == request)
        else {
            let gone = Outcome::Failed("the utterance is over".to_owned());
            return self.answer_control(control, gone, stage);
        };
        if let Some(part) = speaking.cannot(wanted) {
            return self.answer_control(control, Outcome::Unsupported(part), stage);
        }
        overlay(&mut speaking.settings, wanted);
        let mut change = Change {
            control: control.number(),
            jump: wanted.jump.as_ref().map(jump_of),
            restate: None,
            limit: wanted.length.as_ref().map(limit_of),
        };
        if restates(wanted) {
            speaking.prosody = Prosody::Control;
            let cut = playout::cut(
                &speaking.utterance.content,
                &speaking.settings,
                Prosody::Control,
                stage.defaults,
                stage.catalog,
            );
            match cut {
                Ok(blueprint) => {
                    speaking.baked_db = speaking.volume_db(Prosody::Control, stage.defaults);
                    speaking.blueprint = Arc::new(blueprint);
                    change.restate = Some(Arc::clone(&speaking.blueprint));
                }
                Err(failure) => {
                    let failed = Outcome::Failed(failure.to_string());
                    return self.answer_control(control, failed, stage);
                }
            }
        } else if wanted.prosody.volume.is_some() {
            let after = speaking.volume_db(Prosody::Control, stage.defaults);
            stage.player.gain(ticket, after - speaking.baked_db, stage.out);
        }
        if change.jump.is_none() && change.restate.is_none() && change.limit.is_none() {
            return self.answer_control(control, Outcome::Applied, stage);
        }
        stage.player.change(ticket, change, stage.out);
    }
}

impl Speaking {
    fn volume_db(&self, prosody: Prosody, defaults: &Defaults) -> f32 {
        playout::volume_db(&self.utterance.content, &self.settings, prosody, defaults)
    }

    /// What of the change the audio does not allow: a live source has one speed, one voice and
    /// nowhere to jump to.
    fn cannot(&self, wanted: &Wanted) -> Option<ChangePart> {
        self.blueprint.only_live()?;
        if wanted.jump.is_some() {
            return Some(ChangePart::Jump);
        }
        if !wanted.voice.is_empty() {
            return Some(ChangePart::Voice);
        }
        if wanted.prosody.rate.is_some() || wanted.prosody.pitch.is_some() {
            return Some(ChangePart::Prosody);
        }
        match &wanted.length {
            Some(mrcp::SpeakLength::Amount(_, mrcp::Unit::Second)) | None => None,
            Some(mrcp::SpeakLength::Amount(_, _) | mrcp::SpeakLength::Tag(_)) => {
                Some(ChangePart::Length)
            }
        }
    }
}

/// Whether the words must be spoken anew: anything but the volume.
fn restates(wanted: &Wanted) -> bool {
    let prosody = &wanted.prosody;
    !wanted.voice.is_empty()
        || prosody.rate.is_some()
        || prosody.pitch.is_some()
        || prosody.range.is_some()
}

/// Lays the voice and the prosody of a CONTROL over the settings of the utterance.
fn overlay(settings: &mut Settings, wanted: &Wanted) {
    fn lay<T: Clone>(under: &mut Option<T>, over: &Option<T>) {
        if over.is_some() {
            under.clone_from(over);
        }
    }
    let (voice, said) = (&mut settings.voice, &wanted.voice);
    lay(&mut voice.gender, &said.gender);
    lay(&mut voice.age, &said.age);
    lay(&mut voice.variant, &said.variant);
    lay(&mut voice.name, &said.name);
    let (prosody, said) = (&mut settings.prosody, &wanted.prosody);
    lay(&mut prosody.pitch, &said.pitch);
    lay(&mut prosody.contour, &said.contour);
    lay(&mut prosody.range, &said.range);
    lay(&mut prosody.rate, &said.rate);
    lay(&mut prosody.duration, &said.duration);
    lay(&mut prosody.volume, &said.volume);
}

fn request_of(ticket: Ticket) -> RequestId {
    RequestId::from_number(u32::try_from(ticket & 0xffff_ffff).unwrap_or_default())
}

/// The number of the channel that a ticket belongs to.
pub(crate) fn channel_of(ticket: Ticket) -> u32 {
    u32::try_from(ticket >> 32).unwrap_or_default()
}

fn end_of(failure: Failure) -> End {
    match failure {
        Failure::Uri { uri, why, cause } => End::UriFailure { uri, cause, why },
        Failure::Parse(why) => End::ParseFailure(why),
        Failure::Language(language) => End::LanguageUnsupported(language),
        Failure::Speech(why) | Failure::Error(why) => End::Error(why),
    }
}

fn unit_of(unit: mrcp::Unit) -> Option<Unit> {
    match unit {
        mrcp::Unit::Second => None,
        mrcp::Unit::Word => Some(Unit::Word),
        mrcp::Unit::Sentence => Some(Unit::Sentence),
        mrcp::Unit::Paragraph => Some(Unit::Paragraph),
    }
}

fn jump_of(jump: &mrcp::Jump) -> Jump {
    let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    match jump {
        mrcp::Jump::Forward(count, unit) => match unit_of(*unit) {
            None => Jump::Seconds(signed(*count)),
            Some(unit) => Jump::Units(unit, signed(*count)),
        },
        mrcp::Jump::Back(count, unit) => match unit_of(*unit) {
            None => Jump::Seconds(-signed(*count)),
            Some(unit) => Jump::Units(unit, -signed(*count)),
        },
        mrcp::Jump::FromStart(count, unit) => match unit_of(*unit) {
            None => Jump::ToSecond(*count),
            Some(unit) => Jump::ToUnit(unit, u32::try_from(*count).unwrap_or(u32::MAX)),
        },
        mrcp::Jump::Tag(name) => Jump::Mark(name.as_str().into()),
    }
}

fn limit_of(length: &mrcp::SpeakLength) -> Limit {
    match length {
        mrcp::SpeakLength::Amount(count, unit) => match unit_of(*unit) {
            None => Limit::Samples(count.saturating_mul(RATE_HZ)),
            Some(unit) => Limit::Units(unit, u32::try_from(*count).unwrap_or(u32::MAX)),
        },
        mrcp::SpeakLength::Tag(name) => Limit::Mark(name.as_str().into()),
    }
}

//! One MRCPv2 channel of a call: its synthesizer, and what its requests mean to the call's player.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use mrcp::lexicon::Lexicon;
use mrcp::settings::{Settings, VendorParameter};
use mrcp::synthesizer::{
    Change as Wanted, ChangePart, End, Input, Kind, LexiconFailure, Outcome, Output,
    Start as Begin, Synthesizer, Utterance, inline_lexicons, refuse_lexicon,
};
use mrcp::{ChannelId, Method, NtpTime, Request, RequestId, State, Status};
use vocab::{ConnectionId, Now};

use crate::blueprint::Blueprint;
use crate::capabilities::Catalog;
use crate::event::{Effect, Failure, Spoken};
use crate::player::{Change, Ids, Notice, Player, Ticket, Utterance as Audible};
use crate::playout::{self, Defaults, Order, Prosody};
use crate::position::{self, Jump, Limit, Timeline, Unit};
use crate::survey::ChannelSurvey;

/// Samples a second, of everything that is played.
const RATE_HZ: u64 = 8_000;

/// Requests whose connection is remembered, for what is still to be said about them: more than a
/// synthesizer holds at one time.
const REQUESTS_MAX: usize = 128;

/// The vendor-specific parameter by which a client asks how soon it is spoken: with `true`, each
/// SPEAK-COMPLETE tells it. RFC 6787 §6.2.16.
pub const ASKS_TIMING: &str = "io.entracte.timing";
/// What it is told then: who spoke, with which voice, and the milliseconds from the order to the packet
/// with the first sound.
pub const TELLS_PROVIDER: &str = "io.entracte.provider";
/// See [`TELLS_PROVIDER`].
pub const TELLS_VOICE: &str = "io.entracte.voice";
/// See [`TELLS_PROVIDER`].
pub const TELLS_FIRST_AUDIO: &str = "io.entracte.first-audio-ms";

/// What a channel needs of its call while it handles something.
pub(crate) struct Stage<'a> {
    pub(crate) now: Now,
    pub(crate) at: NtpTime,
    pub(crate) catalog: &'a Catalog,
    pub(crate) defaults: &'a Defaults,
    /// The providers of speech that the caller prefers.
    pub(crate) providers: &'a [String],
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
        let last = self.connection.take_if(|last| *last == connection).is_some();
        // Another that the channel's messages came by serves as well.
        self.connection = self.connection.or_else(|| self.asked_by.values().next_back().copied());
        last
    }

    pub(crate) fn deadline(&self) -> Option<(Now, &'static str)> {
        self.machine.deadline()
    }

    pub(crate) fn survey(&self) -> ChannelSurvey {
        let request = self.machine.active();
        let state = match request {
            None => "idle",
            Some(_) if self.machine.is_paused() => "paused",
            Some(_) => "speaking",
        };
        ChannelSurvey { id: self.id.clone(), state, request }
    }

    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    pub(crate) fn request(&mut self, request: Request, by: ConnectionId, stage: &mut Stage<'_>) {
        self.connection = Some(by);
        if self.asked_by.len() >= REQUESTS_MAX {
            self.forget_one();
        }
        self.asked_by.insert(request.id, by);
        if let Some(refusal) = self.unreadable(&request) {
            return self.send(&mrcp::Message::Response(refusal), stage);
        }
        self.input(Input::Request { request, at: stage.at }, stage);
    }

    /// The refusal of a lexicon that cannot be read: it is said when it comes, not when it is used.
    fn unreadable(&self, request: &Request) -> Option<mrcp::Response> {
        let loads = request.method == Method::DefineLexicon
            && self.machine.active().is_none()
            && request.headers.get("Load-Lexicon").is_none_or(|load| load == "true");
        let inline = if loads { inline_lexicons(request) } else { Vec::new() };
        inline.iter().find_map(|lexicon| {
            let charset = lexicon.media_type.parameter("charset");
            let error = ssml::lexicon::Lexicon::parse(&lexicon.bytes, charset).err()?;
            Some(refuse_lexicon(request, &lexicon.uri, &error.to_string()))
        })
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

    /// The first sound was sent; the client hears of it if it has asked to.
    pub(crate) fn spoke(&mut self, ticket: Ticket, by: &Spoken, stage: &mut Stage<'_>) {
        let request = request_of(ticket);
        let speaking = self.speaking.as_ref();
        let asked = speaking.filter(|speaking| speaking.utterance.request == request);
        let asked = asked.and_then(|speaking| speaking.settings.vendor.get(ASKS_TIMING));
        if asked.is_none_or(|asked| !asked.plain().eq_ignore_ascii_case("true")) {
            return;
        }
        let parameters = vec![
            VendorParameter::new(TELLS_PROVIDER, &by.provider),
            VendorParameter::new(TELLS_VOICE, &by.voice),
            VendorParameter::new(TELLS_FIRST_AUDIO, &by.after.as_millis().to_string()),
        ];
        self.input(Input::Told { request, parameters }, stage);
    }

    pub(crate) fn lexicons(
        &mut self,
        ticket: Ticket,
        fetched: Result<Vec<Lexicon>, LexiconFailure>,
        stage: &mut Stage<'_>,
    ) {
        self.input(Input::LexiconsFetched { request: request_of(ticket), fetched }, stage);
    }

    pub(crate) fn changed(&mut self, control: u32, restarted: bool, stage: &mut Stage<'_>) {
        self.input(changed(control, restarted, stage.at), stage);
    }

    pub(crate) fn done(&mut self, ticket: Ticket, failure: Option<Failure>, stage: &mut Stage<'_>) {
        self.speaking.take_if(|speaking| speaking.utterance.request == request_of(ticket));
        let end = failure.map_or(End::Normal, end_of);
        self.input(Input::Finished { request: request_of(ticket), end, at: stage.at }, stage);
    }

    /// Forgets the oldest request that is over: one that was stopped in the queue, of which nothing
    /// was said.
    fn forget_one(&mut self) {
        let machine = &self.machine;
        let over = |id: RequestId| {
            machine.active() != Some(id) && machine.waiting().all(|waiting| waiting.request != id)
        };
        if let Some(id) = self.asked_by.keys().copied().find(|id| over(*id)) {
            self.asked_by.remove(&id);
        }
    }

    fn ticket(&self, request: RequestId) -> Ticket {
        (u64::from(self.number) << 32) | u64::from(request.number())
    }

    fn input(&mut self, input: Input, stage: &mut Stage<'_>) {
        // What the machine must hear about its own orders waits until all of them are carried out,
        // so that its messages keep their order.
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let mut outputs = Vec::new();
            self.machine.handle(stage.now, input, &mut outputs);
            self.tell_ignored_rate(&mut outputs, stage);
            inputs.extend(outputs.into_iter().filter_map(|output| self.carry_out(output, stage)));
        }
    }

    /// A live source has one speed: where a SPEAK asks for another, its answer says 201 and names the
    /// header field that was ignored. RFC 6787 §5.4.
    fn tell_ignored_rate(&self, outputs: &mut [Output], stage: &Stage<'_>) {
        let answered: Vec<RequestId> = outputs.iter().filter_map(accepted).collect();
        for id in answered {
            let begun = outputs.iter().find_map(|output| {
                let Output::Play { utterance, .. } = output else { return None };
                (utterance.request == id).then_some(&**utterance)
            });
            let waiting = || self.machine.waiting().find(|waiting| waiting.request == id);
            let Some(utterance) = begun.or_else(waiting) else { continue };
            let Some(rate) = utterance.settings.prosody.rate else { continue };
            let order = order_of(utterance, &utterance.settings, stage.providers);
            let cut = playout::cut(&order, Prosody::Request, stage.defaults, stage.catalog);
            if !cut.is_ok_and(|blueprint| blueprint.plays_live()) {
                continue;
            }
            for output in &mut *outputs {
                if let Output::Send(mrcp::Message::Response(response)) = output
                    && response.id == id
                {
                    response.status = Status::SUCCESS_SOME_IGNORED;
                    response.headers.push("Prosody-Rate", &rate.to_string());
                }
            }
        }
    }

    /// Does what the machine wants; the news for it, if there is any at once.
    fn carry_out(&mut self, output: Output, stage: &mut Stage<'_>) -> Option<Input> {
        match output {
            Output::Send(message) => self.send(&message, stage),
            Output::Play { utterance, start } => {
                let request = utterance.request;
                if let Err(end) = self.play(utterance, start, stage) {
                    self.speaking = None;
                    return Some(Input::Finished { request, end, at: stage.at });
                }
            }
            Output::Silence { request } => {
                self.speaking = None;
                self.asked_by.remove(&request);
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
                return match self.change(request, control, &change, stage) {
                    Ok(notice) => {
                        notice.map(|restarted| changed(control.number(), restarted, stage.at))
                    }
                    Err(outcome) => Some(Input::Changed { control, outcome, at: stage.at }),
                };
            }
            Output::FetchLexicons { request, uris, fetch } => {
                stage.out.push(Effect::FetchLexicons {
                    session: stage.player.session(),
                    ticket: self.ticket(request),
                    uris,
                    timeout: fetch.timeout,
                });
            }
        }
        None
    }

    fn send(&mut self, message: &mrcp::Message, stage: &mut Stage<'_>) {
        let (id, state) = match message {
            mrcp::Message::Request(request) => (request.id, &State::Pending),
            mrcp::Message::Response(response) => (response.id, &response.state),
            mrcp::Message::Event(event) => (event.id, &event.state),
        };
        let asked_by = match state {
            State::Complete => self.asked_by.remove(&id),
            State::Pending | State::InProgress => self.asked_by.get(&id).copied(),
        };
        // RFC 6787 §4.2: by the connection that the request came by; if that is gone, by the
        // channel's last.
        if let Some(connection) = asked_by.or(self.connection) {
            stage.out.push(Effect::Send { connection, bytes: message.to_bytes() });
        }
    }

    pub(crate) fn playing(&self) -> Option<Ticket> {
        self.speaking.as_ref().map(|speaking| self.ticket(speaking.utterance.request))
    }

    fn play(
        &mut self,
        utterance: Box<Utterance>,
        begin: Begin,
        stage: &mut Stage<'_>,
    ) -> Result<(), End> {
        if !stage.audible {
            return Err(End::Error("the call has no audio line".to_owned()));
        }
        let (content, settings) = (&utterance.content, &utterance.settings);
        let prosody = Prosody::Request;
        let order = order_of(&utterance, settings, stage.providers);
        let mut blueprint =
            playout::cut(&order, prosody, stage.defaults, stage.catalog).map_err(end_of)?;
        let mut baked_db = playout::volume_db(content, settings, prosody, stage.defaults);
        // What is live has its level from the engine, so that every listener shares its samples.
        let gain_db = if blueprint.is_live() { blueprint.take_level_db() } else { 0.0 };
        baked_db -= gain_db;
        let blueprint = Arc::new(blueprint);
        let start =
            utterance.offset.as_ref().map(jump_of).map_or_else(position::Start::default, |jump| {
                Timeline::default().jump(0, &jump).start
            });
        let ticket = self.ticket(utterance.request);
        let audible = Audible {
            ticket,
            blueprint: Arc::clone(&blueprint),
            start,
            limit: utterance.length.as_ref().map(limit_of),
            logging_tag: utterance.settings.logging_tag.as_deref().map(Arc::from),
        };
        let settings = utterance.settings.clone();
        self.speaking = Some(Speaking { utterance, settings, blueprint, baked_db });
        if !stage.player.play(audible, stage.ids, stage.out) {
            let why = "too many utterances of other channels wait in this call".to_owned();
            return Err(End::Error(why));
        }
        if gain_db != 0.0 {
            stage.player.gain(ticket, gain_db, stage.out);
        }
        if begin == Begin::Held {
            stage.player.pause(ticket, stage.out);
        }
        Ok(())
    }

    /// Changes what is spoken. `Some` when that is done already, and whether it began anew.
    fn change(
        &mut self,
        request: RequestId,
        control: RequestId,
        wanted: &Wanted,
        stage: &mut Stage<'_>,
    ) -> Result<Option<bool>, Outcome> {
        let ticket = self.ticket(request);
        let speaking = self
            .speaking
            .as_mut()
            .filter(|speaking| speaking.utterance.request == request)
            .ok_or_else(|| Outcome::Failed("the utterance is over".to_owned()))?;
        if let Some(part) = speaking.cannot(wanted) {
            return Err(Outcome::Unsupported(part));
        }
        let mut settings = speaking.settings.clone();
        overlay(&mut settings, wanted);
        let content = &speaking.utterance.content;
        let prosody = Prosody::Control;
        let volume_db = playout::volume_db(content, &settings, prosody, stage.defaults);
        let mut change = Change {
            control: control.number(),
            jump: wanted.jump.as_ref().map(jump_of),
            restate: None,
            limit: wanted.length.as_ref().map(limit_of),
        };
        if restates(wanted) {
            let order = order_of(&speaking.utterance, &settings, stage.providers);
            let blueprint = playout::cut(&order, prosody, stage.defaults, stage.catalog)
                .map_err(|failure| Outcome::Failed(failure.to_string()))?;
            speaking.baked_db = volume_db;
            speaking.blueprint = Arc::new(blueprint);
            change.restate = Some(Arc::clone(&speaking.blueprint));
        } else if wanted.prosody.volume.is_some() {
            stage.player.gain(ticket, volume_db - speaking.baked_db, stage.out);
        }
        speaking.settings = settings;
        if change.jump.is_none() && change.restate.is_none() && change.limit.is_none() {
            return Ok(Some(false));
        }
        Ok(match stage.player.change(ticket, change, stage.out) {
            Some(Notice::Changed { restarted, .. }) => Some(restarted),
            Some(Notice::Mark { .. } | Notice::Done { .. }) | None => None,
        })
    }
}

fn changed(control: u32, restarted: bool, at: NtpTime) -> Input {
    let outcome = if restarted { Outcome::Restarted } else { Outcome::Applied };
    Input::Changed { control: RequestId::from_number(control), outcome, at }
}

impl Speaking {
    /// What of the change the audio does not allow: there is no such mark in it, or it is a live source,
    /// which has one speed, one voice and nowhere to jump to.
    fn cannot(&self, wanted: &Wanted) -> Option<ChangePart> {
        // A length up to a mark that never comes is all of it; a jump there would be the end of it.
        if matches!(&wanted.jump, Some(mrcp::Jump::Tag(name)) if !self.blueprint.has_mark(name.as_str()))
        {
            return Some(ChangePart::Jump);
        }
        if !self.blueprint.is_live() {
            return None;
        }
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

/// An utterance under these settings, which a CONTROL may have changed.
fn order_of<'o>(
    utterance: &'o Utterance,
    settings: &'o Settings,
    providers: &'o [String],
) -> Order<'o> {
    Order { content: &utterance.content, settings, lexicons: &utterance.lexicons, providers }
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

/// The request that this output says yes to.
fn accepted(output: &Output) -> Option<RequestId> {
    let Output::Send(mrcp::Message::Response(response)) = output else { return None };
    let yes = matches!(response.status, Status::SUCCESS | Status::SUCCESS_SOME_IGNORED);
    (yes && response.state != State::Complete).then_some(response.id)
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
        Failure::Lexicon { uri, why } => End::LexiconLoadFailure { uri, why },
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

//! One call: what was agreed on, its channels, and what it hears.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use mrcp::lexicon::Lexicon;
use mrcp::synthesizer::LexiconFailure;
use mrcp::{ChannelId, NtpTime};
use sip::agent::{Call, Command};
use sip::headers::Headers;
use sip::message::Request;
use vocab::{ConnectionId, Now, SessionId, Tokens};

use crate::capabilities::Catalog;
use crate::channel::{self, Channel, Stage};
use crate::door::Door;
use crate::event::{Effect, Feed, Media, ProgramId, Spoken};
use crate::feature;
use crate::negotiation::{self, Proposal, Refusal};
use crate::player::{Ids, Notice, Player, Ticket, Utterance};
use crate::playout::Defaults;
use crate::position::{Limit, Start};
use crate::survey::{CallStage, Survey};
use sip::sdp::mrcp::{Capabilities, Connected, Given};
use sip::sdp::write::Origin;

/// Channels of one call; the two resources there are, with room for a client that tries others.
pub const CHANNELS_MAX: usize = 8;

/// The ticket of what a call without channels plays.
const DOOR_TICKET: Ticket = u64::MAX;

/// What a session may use while it acts.
pub(crate) struct Context<'a> {
    pub(crate) now: Now,
    pub(crate) at: NtpTime,
    pub(crate) catalog: &'a Catalog,
    pub(crate) defaults: &'a Defaults,
    pub(crate) capabilities: &'a Capabilities,
    pub(crate) mrcp_port: u16,
    pub(crate) tokens: &'a mut Tokens,
    pub(crate) ids: &'a mut Ids,
    /// Channels that now exist.
    pub(crate) opened: Vec<ChannelId>,
    /// Channels that no longer exist.
    pub(crate) closed: Vec<ChannelId>,
    pub(crate) out: &'a mut Vec<Effect>,
}

/// One call.
#[derive(Debug)]
pub struct Session {
    id: SessionId,
    call: Call,
    /// Its Call-ID, to find it by on pages.
    call_id: Arc<str>,
    /// When its INVITE came.
    began: Now,
    door: Door,
    /// The providers of speech that the caller prefers.
    providers: Vec<String>,
    /// Where the peer's signalling comes from; only its address family matters.
    peer: SocketAddr,
    stage: Agreement,
    media: Option<Media>,
    rtp: Option<u16>,
    channels: Vec<(usize, Channel)>,
    channel_numbers: u32,
    requests: mrcp::session::RequestIds,
    player: Player,
    local_sdp: Vec<u8>,
    version: u64,
    /// The connections that requests came by and that are still open; how many there can be is
    /// limited where they are accepted.
    pub(crate) connections: Vec<ConnectionId>,
    /// When the peer was last heard.
    pub(crate) heard: Now,
    /// Whether there is a sign that the peer is gone.
    pub(crate) suspected: bool,
    /// When the server looks at it next.
    pub(crate) check: Option<Now>,
}

/// An INVITE, as it came.
#[derive(Debug)]
pub(crate) struct Invitation {
    pub(crate) call: Call,
    pub(crate) peer: SocketAddr,
    pub(crate) request: Arc<Request>,
    pub(crate) offer: Option<Vec<u8>>,
}

/// What is being agreed on.
#[derive(Debug)]
enum Agreement {
    /// The INVITE's offer is being answered.
    Inviting(Option<Proposal>),
    /// The offer is ours; the answer comes with the ACK.
    Asked,
    /// Our answer is out, its ACK has not come.
    Answered,
    /// There is an agreement.
    Settled,
    /// The peer wants to change it.
    Changing(Option<Proposal>),
}

impl Session {
    /// Looks at an INVITE.
    ///
    /// # Errors
    /// [`Refusal`] when it cannot be served.
    pub(crate) fn invited(
        id: SessionId,
        invitation: &Invitation,
        (catalog, capabilities): (&Catalog, &Capabilities),
    ) -> Result<Self, Refusal> {
        // Whether the peer's other calls have a connection cannot be told from here, and `existing`
        // may always be granted: it is the client that dials if it has none. RFC 6787 §4.2.
        let Invitation { call, peer, request, offer } = invitation;
        let proposal = offer
            .as_deref()
            .map(|offer| negotiation::read(offer, capabilities, Connected::Yes))
            .transpose()?;
        let controlled = proposal.as_ref().is_some_and(|proposal| !proposal.channels.is_empty());
        let door = if controlled {
            Ok(Door::Control)
        } else {
            // Where a channel was asked for, why there is none says more than that the callee is
            // not known.
            let unserved = || proposal.as_ref().and_then(Proposal::unserved_channel);
            Door::knock(request, catalog).map_err(|refusal| unserved().unwrap_or(refusal))
        }?;
        if proposal.as_ref().is_some_and(|proposal| !controlled && !proposal.has_audio()) {
            return Err(Refusal::no_audio());
        }
        Ok(Self {
            id,
            call: *call,
            call_id: request.headers.call_id().unwrap_or_default().into(),
            began: Now::ZERO,
            door,
            providers: feature::preferred(&request.headers, &catalog.providers),
            peer: *peer,
            stage: Agreement::Inviting(proposal),
            media: None,
            rtp: None,
            channels: Vec::new(),
            channel_numbers: 0,
            requests: mrcp::session::RequestIds::new(),
            player: Player::new(id),
            local_sdp: Vec::new(),
            version: 0,
            connections: Vec::new(),
            heard: Now::ZERO,
            suspected: false,
            check: None,
        })
    }

    pub(crate) const fn call(&self) -> Call {
        self.call
    }

    pub(crate) fn program(&self) -> Option<ProgramId> {
        self.player.program()
    }

    pub(crate) fn survey(&self) -> Survey {
        Survey {
            session: self.id,
            call_id: Arc::clone(&self.call_id),
            began: self.began,
            peer: self.peer,
            stage: match &self.stage {
                Agreement::Inviting(_) | Agreement::Asked | Agreement::Answered => {
                    CallStage::Connecting
                }
                Agreement::Settled => CallStage::Connected,
                Agreement::Changing(_) => CallStage::Changing,
            },
            media: self.media.clone(),
            rtp_port: self.rtp,
            channels: self.channels.iter().map(|(_, channel)| channel.survey()).collect(),
            playing: self.player.playing(),
        }
    }

    pub(crate) fn channel_ids(&self) -> impl Iterator<Item = &ChannelId> {
        self.channels.iter().map(|(_, channel)| &channel.id)
    }

    pub(crate) fn deadline(&self) -> Option<(Now, &'static str)> {
        self.channels.iter().filter_map(|(_, channel)| channel.deadline()).min()
    }

    /// Starts to answer the INVITE.
    pub(crate) fn begin(&mut self, context: &mut Context<'_>) {
        (self.heard, self.began) = (context.now, context.now);
        let towards = match &self.stage {
            Agreement::Inviting(Some(proposal)) => proposal.media().map(|media| media.remote),
            Agreement::Inviting(None) => Some(self.peer),
            Agreement::Asked
            | Agreement::Answered
            | Agreement::Settled
            | Agreement::Changing(_) => None,
        };
        match towards {
            Some(towards) => context.out.push(Effect::Reserve { session: self.id, towards }),
            None => self.accept(context),
        }
    }

    /// Ports are there.
    pub(crate) fn reserved(&mut self, port: u16, context: &mut Context<'_>) {
        self.rtp = Some(port);
        self.accept(context);
    }

    /// No engine takes the stream; its ports are gone with it.
    pub(crate) fn unseated(&mut self, refusal: &Refusal, context: &mut Context<'_>) {
        (self.rtp, self.media) = (None, None);
        self.player.closed(context.out);
        self.refuse(refusal, context);
    }

    /// The call cannot have what it wants.
    pub(crate) fn refuse(&mut self, refusal: &Refusal, context: &mut Context<'_>) {
        let (call, status) = (self.call, refusal.status);
        let reject = Command::Reject { call, status, headers: refusal.headers() };
        let bye = Command::Bye { call, headers: refusal.headers() };
        match &self.stage {
            Agreement::Changing(_) => {
                self.stage = Agreement::Settled;
                let headers = refusal.headers();
                context.out.push(Effect::Sip(Command::RejectOffer { call, status, headers }));
            }
            Agreement::Inviting(_) => context.out.push(Effect::Sip(reject)),
            // The engine may refuse before our answer, which was ordered after the stream, is sent;
            // whichever of the two comes too late does nothing.
            Agreement::Answered => context.out.extend([reject, bye].map(Effect::Sip)),
            Agreement::Asked | Agreement::Settled => context.out.push(Effect::Sip(bye)),
        }
    }

    /// The peer's re-INVITE or UPDATE.
    pub(crate) fn offered(&mut self, offer: Option<&[u8]>, context: &mut Context<'_>) {
        let Some(offer) = offer else {
            self.stage = Agreement::Changing(None);
            self.version += 1;
            self.local_sdp = negotiation::reoffer(&self.local_sdp, self.version);
            let sdp = Some(self.local_sdp.clone());
            return context.out.push(Effect::Sip(Command::AnswerOffer { call: self.call, sdp }));
        };
        let proposal = match negotiation::read(offer, context.capabilities, Connected::Yes) {
            Ok(proposal) => proposal,
            Err(refusal) => {
                self.stage = Agreement::Changing(None);
                return self.refuse(&refusal, context);
            }
        };
        let towards = proposal.media().map(|media| media.remote).filter(|_| self.rtp.is_none());
        self.stage = Agreement::Changing(Some(proposal));
        match towards {
            Some(towards) => context.out.push(Effect::Reserve { session: self.id, towards }),
            None => self.accept(context),
        }
    }

    /// Answers the offer that is there, or makes one.
    fn accept(&mut self, context: &mut Context<'_>) {
        let call = self.call;
        match std::mem::replace(&mut self.stage, Agreement::Settled) {
            Agreement::Inviting(Some(proposal)) => {
                self.settle(&proposal, context);
                self.stage = Agreement::Answered;
                let sdp = Some(self.local_sdp.clone());
                let headers = Headers::default();
                context.out.push(Effect::Sip(Command::Accept { call, headers, sdp }));
            }
            Agreement::Inviting(None) => {
                let Some(rtp) = self.rtp else { return };
                self.local_sdp = negotiation::offer(self.origin(context), rtp);
                self.stage = Agreement::Asked;
                let sdp = Some(self.local_sdp.clone());
                let headers = Headers::default();
                context.out.push(Effect::Sip(Command::Accept { call, headers, sdp }));
            }
            Agreement::Changing(Some(proposal)) => {
                self.settle(&proposal, context);
                let sdp = Some(self.local_sdp.clone());
                context.out.push(Effect::Sip(Command::AnswerOffer { call, sdp }));
            }
            same @ (Agreement::Changing(None)
            | Agreement::Asked
            | Agreement::Answered
            | Agreement::Settled) => self.stage = same,
        }
    }

    /// Makes what was proposed true, and writes the answer.
    fn settle(&mut self, proposal: &Proposal, context: &mut Context<'_>) {
        self.settle_channels(proposal, context);
        self.settle_media(proposal.media(), context);
        self.version += 1;
        let ports = self.rtp.unwrap_or_default();
        let given = Given {
            session_id: self.id.number(),
            version: self.version,
            rtp_ports: &[ports],
            mrcp_port: context.mrcp_port,
            mrcp_tls_port: 0,
        };
        self.local_sdp = proposal.answer(&given, |line| {
            let channel = self.channels.iter().find(|(at, _)| *at == line);
            channel.map(|(_, channel)| channel.id.to_string()).unwrap_or_default()
        });
    }

    fn origin(&self, context: &Context<'_>) -> Origin {
        let ip4 = context.capabilities.ip4.map(IpAddr::V4);
        let ip6 = context.capabilities.ip6.map(IpAddr::V6);
        let own = if self.peer.is_ipv4() { ip4.or(ip6) } else { ip6.or(ip4) };
        Origin {
            session_id: self.id.number(),
            version: self.version,
            address: own.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        }
    }

    fn settle_channels(&mut self, proposal: &Proposal, context: &mut Context<'_>) {
        let kept = |line: usize, channel: &Channel| {
            proposal
                .channels
                .iter()
                .any(|wanted| wanted.line == line && wanted.kind.as_str() == channel.id.resource())
        };
        let (stay, go): (Vec<_>, Vec<_>) = std::mem::take(&mut self.channels)
            .into_iter()
            .partition(|(line, channel)| kept(*line, channel));
        self.channels = stay;
        for (_, channel) in go {
            if let Some(ticket) = channel.playing() {
                self.player.drop_utterance(ticket, context.ids, context.out);
            }
            context.closed.push(channel.id);
        }
        // RFC 6787 §4.3: the channels of one session share the part before the "@".
        let session = self.channels.first().map_or_else(
            || context.tokens.next_hex(),
            |(_, channel)| channel.id.session().to_owned(),
        );
        // A channel is large, and a second one is rare.
        self.channels.reserve_exact(proposal.channels.len().min(CHANNELS_MAX));
        for wanted in &proposal.channels {
            let there = self.channels.iter().any(|(line, _)| *line == wanted.line);
            if there || self.channels.len() >= CHANNELS_MAX {
                continue;
            }
            let Ok(id) = ChannelId::of(&session, wanted.kind.as_str()) else { continue };
            context.opened.push(id.clone());
            self.channels.push((wanted.line, Channel::new(id, wanted.kind, self.channel_numbers)));
            self.channel_numbers += 1;
        }
        if !self.channels.is_empty() && matches!(self.door, Door::Plain(_)) {
            // From now on the channels say what is heard.
            self.door = Door::Control;
            self.player.drop_utterance(DOOR_TICKET, context.ids, context.out);
        }
    }

    fn settle_media(&mut self, media: Option<Media>, context: &mut Context<'_>) {
        let session = self.id;
        let media = media.map(|new| match &self.media {
            // `c=0.0.0.0` holds the call and names no place: the one before stays.
            Some(old) if new.remote.ip().is_unspecified() => {
                Media { remote: old.remote, remote_rtcp: old.remote_rtcp, ..new }
            }
            Some(_) | None => new,
        });
        match (&self.media, media) {
            (Some(old), Some(new)) if *old == new => {}
            (Some(_), Some(new)) => {
                self.media = Some(new.clone());
                context.out.push(Effect::Change { session, media: new });
            }
            (None, Some(new)) => {
                self.media = Some(new.clone());
                context.out.push(Effect::Open { session, media: new });
                self.player.opened(context.out);
            }
            (_, None) => {
                self.media = None;
                self.player.closed(context.out);
                if self.rtp.take().is_some() {
                    context.out.push(Effect::Release { session });
                }
            }
        }
    }

    /// The ACK to our 2xx.
    pub(crate) fn acked(&mut self, answer: Option<&[u8]>, context: &mut Context<'_>) {
        match std::mem::replace(&mut self.stage, Agreement::Settled) {
            Agreement::Asked => {
                let agreed = answer.and_then(|answer| {
                    negotiation::read(answer, context.capabilities, Connected::Yes).ok()
                });
                let Some(media) = agreed.and_then(|proposal| proposal.media()) else {
                    let headers = Headers::default();
                    return context
                        .out
                        .push(Effect::Sip(Command::Bye { call: self.call, headers }));
                };
                self.settle_media(Some(media), context);
            }
            Agreement::Changing(None) => {
                let agreed = answer.and_then(|answer| {
                    negotiation::read(answer, context.capabilities, Connected::Yes).ok()
                });
                if let Some(proposal) = agreed {
                    self.settle_media(proposal.media(), context);
                }
            }
            // A late ACK meets a re-INVITE that is being answered already.
            changing @ (Agreement::Changing(Some(_)) | Agreement::Inviting(_)) => {
                self.stage = changing;
            }
            Agreement::Answered | Agreement::Settled => {}
        }
        self.enter(context);
    }

    /// Plays what the door stands for, once.
    fn enter(&mut self, context: &mut Context<'_>) {
        let Some(mut entrance) = self.door.enter() else { return };
        let style = &context.defaults.style;
        entrance.blueprint.shape_prompts(style.rate, style.volume_db);
        let utterance = Utterance {
            ticket: DOOR_TICKET,
            blueprint: Arc::new(entrance.blueprint),
            start: Start::default(),
            limit: entrance.at_most.map(|span| Limit::Samples(samples(span))),
            logging_tag: None,
        };
        self.player.play(utterance, context.ids, context.out);
    }

    /// A request for one of our channels.
    pub(crate) fn mrcp(
        &mut self,
        connection: ConnectionId,
        request: mrcp::Request,
        context: &mut Context<'_>,
    ) {
        if let Err(status) = self.requests.check(request.id) {
            let bytes = request.refuse(status).to_bytes();
            return context.out.push(Effect::Send { connection, bytes });
        }
        let wanted = request.channel.clone();
        self.on_channel(
            |channel| channel.id == wanted,
            context,
            |channel, stage| channel.request(request, connection, stage),
        );
    }

    /// A connection is gone; true when a channel of ours used it last.
    pub(crate) fn closed(&mut self, connection: ConnectionId) -> bool {
        let forgotten = self
            .channels
            .iter_mut()
            .filter_map(|(_, channel)| channel.forget(connection).then_some(()));
        forgotten.count() > 0
    }

    /// Time for a channel that waits for something.
    pub(crate) fn expire(&mut self, context: &mut Context<'_>) {
        let now = context.now;
        self.on_channel(
            |channel| channel.deadline().is_some_and(|(due, _)| due <= now),
            context,
            Channel::expire,
        );
    }

    pub(crate) fn feed(&mut self, feed: Feed, context: &mut Context<'_>) {
        self.player.feed(feed, context.out);
    }

    pub(crate) fn passed(&mut self, program: ProgramId, tag: u32, context: &mut Context<'_>) {
        let at = context.at;
        if let Some(notice) = self.player.passed(program, tag, at) {
            self.notice(notice, context);
        }
    }

    pub(crate) fn spoke(&mut self, program: ProgramId, by: &Spoken, context: &mut Context<'_>) {
        let Some(ticket) = self.player.ticket(program).filter(|ticket| *ticket != DOOR_TICKET)
        else {
            return;
        };
        let number = channel::channel_of(ticket);
        self.on_channel(
            |channel| channel.number() == number,
            context,
            |channel, stage| channel.spoke(ticket, by, stage),
        );
    }

    pub(crate) fn lexicons(
        &mut self,
        ticket: Ticket,
        fetched: Result<Vec<Lexicon>, LexiconFailure>,
        context: &mut Context<'_>,
    ) {
        let number = channel::channel_of(ticket);
        self.on_channel(
            |channel| channel.number() == number,
            context,
            |channel, stage| channel.lexicons(ticket, fetched, stage),
        );
    }

    pub(crate) fn finished(&mut self, program: ProgramId, context: &mut Context<'_>) {
        if let Some(notice) = self.player.finished(program, context.ids, context.out) {
            self.notice(notice, context);
        }
    }

    pub(crate) fn stopped(&mut self, program: ProgramId, at: u64, context: &mut Context<'_>) {
        for notice in self.player.stopped(program, at, context.ids, context.out) {
            self.notice(notice, context);
        }
    }

    /// The call is over: everything it held is given back.
    pub(crate) fn end(&mut self, out: &mut Vec<Effect>) {
        if let Some(program) = self.player.program() {
            out.push(Effect::Halt { session: self.id, program });
        }
        if self.rtp.take().is_some() {
            out.push(Effect::Release { session: self.id });
        }
    }

    fn notice(&mut self, notice: Notice, context: &mut Context<'_>) {
        let ticket = match &notice {
            Notice::Mark { ticket, .. }
            | Notice::Changed { ticket, .. }
            | Notice::Done { ticket, .. } => *ticket,
        };
        if ticket == DOOR_TICKET {
            if let Notice::Done { failure, .. } = notice {
                let headers = failure.map_or_else(Headers::default, |failure| {
                    negotiation::reason(&failure.to_string())
                });
                context.out.push(Effect::Sip(Command::Bye { call: self.call, headers }));
            }
            return;
        }
        let number = channel::channel_of(ticket);
        self.on_channel(
            |channel| channel.number() == number,
            context,
            |channel, stage| match notice {
                Notice::Mark { ticket, name, at } => channel.marked(ticket, name, at, stage),
                Notice::Changed { control, restarted, .. } => {
                    channel.changed(control, restarted, stage);
                }
                Notice::Done { ticket, failure } => channel.done(ticket, failure, stage),
            },
        );
    }

    fn on_channel(
        &mut self,
        which: impl Fn(&Channel) -> bool,
        context: &mut Context<'_>,
        act: impl FnOnce(&mut Channel, &mut Stage<'_>),
    ) {
        let audible = self.media.is_some();
        let Some((_, channel)) = self.channels.iter_mut().find(|(_, channel)| which(channel))
        else {
            return;
        };
        let mut stage = Stage {
            now: context.now,
            at: context.at,
            catalog: context.catalog,
            defaults: context.defaults,
            providers: &self.providers,
            player: &mut self.player,
            audible,
            ids: context.ids,
            out: context.out,
        };
        act(channel, &mut stage);
    }
}

fn samples(span: Duration) -> u64 {
    u64::try_from(span.as_millis() * 8).unwrap_or(u64::MAX)
}

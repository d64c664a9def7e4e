//! One MRCPv2 session as a client opens it: a call with a control line and an audio line, a channel
//! over a connection that many share, and a SPEAK.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use mrcp::{ChannelId, Message, Method, RequestId};
use sip::Host;
use sip::sdp::mrcp::{Law, Offer};
use sip::sdp::write::Origin;
use sip::sdp::{Connection, Direction, Kind as MediaKind, Sdp};
use tokio::sync::OnceCell;

use crate::client::link::{Channel, Link};
use crate::client::{Answer, Phone};
use crate::clock::{instant, wall};

/// How long the server may take to answer a SPEAK.
const ANSWER_WAIT: Duration = Duration::from_secs(10);

/// A phone and its MRCPv2 connections.
#[derive(Debug)]
pub(super) struct Caller {
    phone: Phone,
    target: String,
    links: Vec<OnceCell<Link>>,
    channels_each: usize,
    next: AtomicU32,
}

/// A session that is up.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) answer: Answer,
    pub(super) channel: Channel,
    /// When the INVITE was sent, as time since 1970.
    pub(super) invited: Duration,
}

impl Caller {
    /// A caller for so many sessions, with so many channels on each connection.
    pub(super) async fn open(
        server: SocketAddr,
        sessions: usize,
        channels_each: usize,
    ) -> Result<Self, String> {
        let phone = Phone::open(server, None).await.map_err(|error| error.to_string())?;
        let links = sessions.div_ceil(channels_each).max(1);
        Ok(Self {
            phone,
            target: format!("sip:mresources@{server}"),
            links: (0..links).map(|_| OnceCell::new()).collect(),
            channels_each,
            next: AtomicU32::new(0),
        })
    }

    /// Calls, and has a channel.
    pub(super) async fn call(&self, audio: SocketAddr) -> Result<Session, String> {
        let number = self.next.fetch_add(1, Ordering::Relaxed) as usize;
        let link = self.links.get(number / self.channels_each % self.links.len());
        let link = link.ok_or("there is no connection")?;
        let connection = if link.initialized() { Connection::Existing } else { Connection::New };
        let offer = offer(audio, number, connection);
        let answer = self.phone.call(&self.target, offer).await;
        let answer = answer.map_err(|error| error.to_string())?;
        let invited = wall().saturating_sub(instant().duration_since(answer.invited));
        let (control, id) = granted(&answer.sdp)?;
        let opened = link.get_or_try_init(|| Link::open(control, None)).await;
        let channel = opened.map_err(|error| format!("MRCPv2 connection: {error}"))?.channel(id);
        Ok(Session { answer, channel, invited })
    }

    /// Ends the call.
    pub(super) async fn hang_up(&self, session: Session) {
        self.phone.hang_up(session.answer).await;
    }
}

impl Session {
    /// Sends a SPEAK and waits until it is in progress; when it was sent, and when answered.
    pub(super) async fn speak(
        &mut self,
        content_type: &str,
        body: &str,
        voice: Option<&str>,
    ) -> Result<(Instant, Instant), String> {
        let mut headers = mrcp::Headers::new().with("Content-Type", content_type);
        if let Some(voice) = voice {
            headers.push("Voice-Name", voice);
        }
        let sent = instant();
        let id = self.channel.send(Method::Speak, headers, body.as_bytes().to_vec()).await;
        let answered = self.answer_to(id.map_err(|error| error.to_string())?).await?;
        Ok((sent, answered))
    }

    /// Where the audio comes from, as the answer has it.
    pub(super) fn audio(&self) -> Result<SocketAddr, String> {
        let sdp = Sdp::parse(&self.answer.sdp).map_err(|error| error.to_string())?;
        let audio = sdp.media().iter().find(|media| media.kind == MediaKind::Audio);
        match audio.map(|media| (media.address.clone(), media.port)) {
            Some((Some(Host::Address(ip)), port)) if port > 0 => Ok(SocketAddr::new(ip, port)),
            _ => Err("the answer names no address for audio".to_owned()),
        }
    }

    /// Why the SPEAK has ended already, if it has, and not as it should.
    pub(super) async fn failed(&mut self) -> Option<String> {
        while let Ok(Some((_, message))) =
            tokio::time::timeout(Duration::ZERO, self.channel.next()).await
        {
            if let Message::Event(event) = message
                && let Some(cause) = event.headers.get("Completion-Cause")
                && !cause.starts_with("000")
            {
                let reason = event.headers.get("Completion-Reason").unwrap_or_default();
                return Some(format!("SPEAK-COMPLETE {cause}: {reason}"));
            }
        }
        None
    }

    /// Sends STOP and waits for its answer.
    pub(super) async fn stop(&mut self) -> Result<(), String> {
        let id = self.channel.send(Method::Stop, mrcp::Headers::new(), Vec::new()).await;
        self.answer_to(id.map_err(|error| error.to_string())?).await.map(|_| ())
    }

    async fn answer_to(&mut self, id: RequestId) -> Result<Instant, String> {
        let answer = async {
            loop {
                match self.channel.next().await {
                    Some((at, Message::Response(response))) if response.id == id => {
                        return Ok((at, response));
                    }
                    Some((_, Message::Response(_) | Message::Event(_) | Message::Request(_))) => {}
                    None => return Err("the MRCPv2 connection is gone".to_owned()),
                }
            }
        };
        let timed = tokio::time::timeout(ANSWER_WAIT, answer).await;
        let (at, response) = timed.map_err(|_| "no answer over MRCPv2".to_owned())??;
        if response.status.is_success() {
            Ok(at)
        } else {
            Err(format!("refused over MRCPv2: {} {}", response.status, response.state))
        }
    }
}

fn offer(audio: SocketAddr, number: usize, connection: Connection) -> Vec<u8> {
    Offer {
        origin: Origin { session_id: number as u64 + 1, version: 1, address: audio.ip() },
        rtp_port: audio.port(),
        laws: &[Law::Mu, Law::A],
        telephone_event: None,
        ptime_ms: 20,
        direction: Direction::RecvOnly,
        resources: &["speechsynth"],
        connection,
    }
    .to_text()
    .into_bytes()
}

/// The address for MRCPv2 and the channel in an answer.
fn granted(sdp: &[u8]) -> Result<(SocketAddr, ChannelId), String> {
    let sdp = Sdp::parse(sdp).map_err(|error| error.to_string())?;
    let control = sdp.media().iter().find_map(|media| Some((media, media.channel.as_deref()?)));
    let (media, channel) = control.ok_or("the answer names no channel")?;
    let Some(Host::Address(ip)) = media.address else {
        return Err("the answer names no address for MRCPv2".to_owned());
    };
    let id = ChannelId::parse(channel).map_err(|error| error.to_string())?;
    Ok((SocketAddr::new(ip, media.port), id))
}

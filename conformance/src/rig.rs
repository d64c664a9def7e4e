//! The server within the test's process, and callers that behave.

use std::net::SocketAddr;
use std::time::Duration;

use entracte::client::ear::Ear;
use entracte::client::link::{Channel, Link};
use entracte::client::{Answer, CallError, Phone, Tap};
use entracte::config::{Layers, Plan};
use entracte::serve::{self, Options, Running};
use entracte::wiring::Standing;
use mrcp::{ChannelId, Headers, Message, Method, Response};
use sip::agent::Transport;
use sip::sdp::mrcp::{Law, Offer};
use sip::sdp::write::Origin;
use sip::sdp::{Connection, Direction, Sdp};

use crate::Folder;

/// The name of the one live source.
pub const SOURCE: &str = "Radio";

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Room for what tests do; nothing that a user would set.
const MANY: &str = "max_sessions = 20000\n";

/// Away from where servers begin that have the usual range: another test's, or a bench's.
const APART: &str = "port_ranges = [\"22528-32767\"]\n";

/// A running server, and where it is.
#[derive(Debug)]
pub struct Rig {
    /// The server.
    pub running: Running,
    /// SIP over UDP.
    pub udp: SocketAddr,
    /// SIP over TCP.
    pub tcp: SocketAddr,
    /// MRCPv2.
    pub mrcp: SocketAddr,
    _folder: Folder,
}

/// SIP as on a network that is never slower than a few milliseconds, and liveness to match: what
/// takes half a minute elsewhere takes about a second.
pub fn hasty() -> Options {
    let mut options = Options::default();
    options.timing.t1 = Duration::from_millis(15);
    options.timing.t2 = Duration::from_millis(120);
    options.timing.t4 = Duration::from_millis(150);
    options.liveness.silent = Duration::from_secs(1);
    options.liveness.suspect = Duration::from_millis(100);
    options.half_message = Duration::from_secs(1);
    options
}

impl Rig {
    /// Starts the server with the patience that users get.
    pub async fn start() -> Self {
        Self::with("", &Options::default()).await
    }

    /// Starts the server with `limits` (lines of `general.sip.limits`) and timers.
    pub async fn with(limits: &str, options: &Options) -> Self {
        let folder = Folder::create();
        let music = folder.write("radio.wav", serve::HOLD_MUSIC);
        let text = format!(
            "state_dir = {:?}\n[general]\nlisten_interface = \"127.0.0.1\"\n\
             [general.sip]\nport = 0\n[general.sip.limits]\n{limits}\n\
             [general.mrcp]\nport = 0\n{MANY}[audio.rtp]\ninterface = \"127.0.0.1\"\n{APART}\
             [external_audio]\nenabled = true\n\
             [[external_audio.sources]]\nname = \"{SOURCE}\"\nuri = \"file:{}\"\n\
             [text_to_speech]\nenabled = false\n[http]\nport = 0\n",
            folder.path(),
            music.display(),
        );
        let file = folder.write("entracte.toml", text);
        let layers = Layers { file: Some(file), ..Layers::default() };
        let plan = Plan::load(&layers).unwrap_or_else(|faults| panic!("{faults}"));
        let running = serve::start_with(&plan, options).await.unwrap();
        let sip = |wanted: Transport| {
            let found = running.sip.iter().find(|(transport, _)| *transport == wanted);
            found.map(|(_, address)| *address).unwrap()
        };
        let (udp, tcp, mrcp) = (sip(Transport::Udp), sip(Transport::Tcp), running.mrcp[0]);
        Self { running, udp, tcp, mrcp, _folder: folder }
    }

    /// What the server holds.
    pub async fn standing(&self) -> Standing {
        self.running.standing().await.unwrap()
    }

    /// Waits until no call, channel, stream or program is left, and no transaction either.
    pub async fn leaves_nothing_within(&self, patience: Duration) {
        self.settles_within(patience, |now| {
            let calls = (now.control, now.streams, now.programs);
            calls == (control::Counts::default(), 0, 0) && now.sip == sip::agent::Counts::default()
        })
        .await;
    }

    /// Waits until what the server holds is as it should be.
    pub async fn settles_within(&self, patience: Duration, good: impl Fn(&Standing) -> bool) {
        let end = entracte::clock::instant() + patience;
        loop {
            let now = self.standing().await;
            if good(&now) {
                return;
            }
            assert!(entracte::clock::instant() < end, "still there after {patience:?}: {now:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// A phone without a capture.
    pub async fn phone(&self) -> Phone {
        Phone::open(self.udp, None).await.unwrap()
    }

    /// An MRCPv2 connection without a capture.
    pub async fn link(&self) -> Link {
        Link::open(self.mrcp, None).await.unwrap()
    }

    /// A call for a `speechsynth`.
    ///
    /// # Errors
    /// When it is refused or nobody answers.
    pub async fn call(&self, phone: &Phone, link: &Link) -> Result<Controlled, CallError> {
        call(self.udp, phone, link, None).await
    }

    /// As [`Self::call`], with a copy of what is heard.
    ///
    /// # Errors
    /// When it is refused or nobody answers.
    pub async fn call_with(
        &self,
        phone: &Phone,
        link: &Link,
        tap: Tap,
    ) -> Result<Controlled, CallError> {
        call(self.udp, phone, link, Some(tap)).await
    }
}

/// A call for a `speechsynth` at the server that speaks SIP there.
///
/// # Errors
/// When it is refused or nobody answers.
pub async fn call(
    server: SocketAddr,
    phone: &Phone,
    link: &Link,
    tap: Option<Tap>,
) -> Result<Controlled, CallError> {
    let ear = Ear::open(server, tap).await.unwrap();
    let target = format!("sip:mresources@{server}");
    let answer = phone.call(&target, offer(ear.local(), &["speechsynth"])).await?;
    let channel = channel_of(&answer.sdp);
    Ok(Controlled { answer, ear, channel: link.channel(channel) })
}

/// The channel that an answer names.
pub fn channel_of(sdp: &[u8]) -> ChannelId {
    let sdp = Sdp::parse(sdp).unwrap();
    let channel = sdp.media().iter().find_map(|media| media.channel.as_deref());
    ChannelId::parse(channel.expect("the answer names a channel")).unwrap()
}

/// An offer as MRCPv2 clients make it.
pub fn offer(rtp: SocketAddr, resources: &[&str]) -> Vec<u8> {
    Offer {
        origin: Origin { session_id: 1, version: 1, address: rtp.ip() },
        rtp_port: rtp.port(),
        laws: &[Law::Mu, Law::A],
        telephone_event: Some(101),
        ptime_ms: 20,
        direction: if resources.is_empty() { Direction::SendRecv } else { Direction::RecvOnly },
        resources,
        connection: Connection::Existing,
    }
    .to_text()
    .into_bytes()
}

/// A call with an MRCPv2 channel.
#[derive(Debug)]
pub struct Controlled {
    /// The call.
    pub answer: Answer,
    /// What is heard.
    pub ear: Ear,
    /// What it is controlled by.
    pub channel: Channel,
}

impl Controlled {
    /// Asks for a URI to be played, and waits for the answer.
    pub async fn play(&mut self, uri: &str) -> Response {
        let mut headers = Headers::new();
        headers.push("Content-Type", "text/uri-list");
        self.ask(Method::Speak, headers, format!("{uri}\r\n").into()).await
    }

    /// Sends a request, and waits for its answer.
    pub async fn ask(&mut self, method: Method, headers: Headers, body: Vec<u8>) -> Response {
        let id = self.channel.send(method, headers, body).await.unwrap();
        loop {
            let next = tokio::time::timeout(PATIENCE, self.channel.next()).await;
            let (_, message) = next.expect("an answer in time").expect("the connection lives");
            if let Message::Response(response) = message
                && response.id == id
            {
                return response;
            }
        }
    }

    /// Waits until something is heard.
    pub async fn hears_within(&self, patience: Duration) {
        let heard = async {
            while self.ear.count() == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(patience, heard).await.expect("audio");
    }
}

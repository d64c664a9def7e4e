//! What the demo's scenes are played on: the server, the radio station, a phone and an MRCPv2 link.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mrcp::ChannelId;
use sip::agent::Transport;
use sip::sdp::mrcp::{Law, Offer};
use sip::sdp::write::Origin;
use sip::sdp::{Connection, Direction, Sdp};

use super::hearing::Music;
use super::radio::{Radio, TUNE};
use crate::client::ear::Ear;
use crate::client::link::{Channel, Link};
use crate::client::{Answer, Phone, Tap};
use crate::config::{Faults, Layers, Plan};
use crate::pcap::Capture;
use crate::serve::{self, Running, StartError};

/// The name under which calls ask for the station.
pub(super) const STATION: &str = "Radio";

/// How long the station may take to be heard by the server.
const TUNE_IN: Duration = Duration::from_secs(15);

/// Why the demo cannot begin.
#[derive(Debug)]
pub enum StageError {
    /// The settings given for it are wrong.
    Settings(Faults),
    /// The server does not start.
    Server(StartError),
    /// A file, folder or socket cannot be had: what for, and why.
    System(&'static str, io::Error),
    /// The server started, but something of it is not as it should be.
    Broken(String),
}

impl fmt::Display for StageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Settings(faults) => faults.fmt(f),
            Self::Server(error) => write!(f, "the server does not start: {error}"),
            Self::System(what, error) => write!(f, "{what}: {error}"),
            Self::Broken(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for StageError {}

/// A temporary folder, removed with everything in it.
#[derive(Debug)]
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Everything that the scenes need.
#[derive(Debug)]
pub struct Stage {
    /// The server.
    pub running: Running,
    /// The station.
    pub radio: Radio,
    /// What the station plays.
    pub tune: Music,
    /// What is heard while the station is away.
    pub hold_music: Music,
    sip: SocketAddr,
    phone: Phone,
    link: Link,
    tap: Tap,
    _state: Temporary,
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

impl Stage {
    /// Builds the stage; the capture goes to `pcap`.
    ///
    /// # Errors
    /// [`StageError`].
    pub async fn build(pcap: &Path) -> Result<Self, StageError> {
        let system = |what| move |error| StageError::System(what, error);
        let radio = Radio::start().await.map_err(system("the demo's radio station"))?;
        let folder = std::env::temp_dir().join(format!("entracte-demo-{}", std::process::id()));
        std::fs::create_dir_all(&folder).map_err(system("a temporary folder"))?;
        let state = Temporary(folder);
        let running = start(&state.0, &radio).await?;
        let sip = running
            .sip
            .iter()
            .find_map(|(transport, address)| (*transport == Transport::Udp).then_some(*address))
            .ok_or_else(|| StageError::Broken("SIP over UDP is not bound".to_owned()))?;
        let mrcp = running
            .mrcp
            .first()
            .copied()
            .ok_or_else(|| StageError::Broken("MRCPv2 is not bound".to_owned()))?;
        let file = std::fs::File::create(pcap).map_err(system("the capture file"))?;
        let capture = Capture::begin(io::BufWriter::new(file)).map_err(system("the capture"))?;
        let tap: Tap = Arc::new(Mutex::new(capture));
        let phone = Phone::open(sip, Some(Arc::clone(&tap)))
            .await
            .map_err(|error| StageError::Broken(error.to_string()))?;
        let link = Link::open(mrcp, Some(Arc::clone(&tap)))
            .await
            .map_err(system("the MRCPv2 connection"))?;
        let broken = |error: audio::decode::DecodeError| StageError::Broken(error.to_string());
        let tune = Music::decode(TUNE).map_err(broken)?;
        let hold_music = Music::decode_wav(serve::HOLD_MUSIC).map_err(broken)?;
        let stage = Self { running, radio, tune, hold_music, sip, phone, link, tap, _state: state };
        stage.tune_in().await?;
        Ok(stage)
    }

    /// Waits until the station, not the fallback, is heard.
    ///
    /// # Errors
    /// When it is not heard in time.
    pub async fn tune_in(&self) -> Result<(), StageError> {
        let tuned = async {
            while !self.on_air() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(TUNE_IN, tuned)
            .await
            .map_err(|_| StageError::Broken("the station is not heard by the server".to_owned()))
    }

    /// Whether the station is what calls hear now.
    pub fn on_air(&self) -> bool {
        let states = self.running.services().sources.snapshot();
        states.iter().any(|state| state.heard == sources::Heard::Source)
    }

    /// A URI at this server.
    pub fn uri(&self, user: &str) -> String {
        format!("sip:{user}@{}", self.sip)
    }

    /// An open ear.
    ///
    /// # Errors
    /// In words.
    pub async fn ear(&self) -> Result<Ear, String> {
        Ear::open(self.sip, Some(Arc::clone(&self.tap))).await.map_err(|error| error.to_string())
    }

    /// Calls `user` without MRCPv2, as a softphone would.
    ///
    /// # Errors
    /// In words.
    pub async fn call(&self, user: &str) -> Result<(Answer, Ear), String> {
        let ear = self.ear().await?;
        let offer = offer(&ear, &[], Direction::SendRecv);
        let answer = self.phone.call(&self.uri(user), offer).await;
        Ok((answer.map_err(|error| error.to_string())?, ear))
    }

    /// Calls for a `speechsynth`.
    ///
    /// # Errors
    /// In words.
    pub async fn controlled(&self) -> Result<Controlled, String> {
        let ear = self.ear().await?;
        let offer = offer(&ear, &["speechsynth"], Direction::RecvOnly);
        let answer = self.phone.call(&self.uri("mresources"), offer).await;
        let answer = answer.map_err(|error| error.to_string())?;
        let sdp = Sdp::parse(&answer.sdp).map_err(|error| error.to_string())?;
        let channel = sdp.media().iter().find_map(|media| media.channel.as_deref());
        let channel = channel.ok_or("the answer names no channel")?;
        let id = ChannelId::parse(channel).map_err(|error| error.to_string())?;
        Ok(Controlled { answer, ear, channel: self.link.channel(id) })
    }

    /// Ends a call.
    pub async fn hang_up(&self, answer: Answer) {
        self.phone.hang_up(answer).await;
    }

    /// Writes what the capture still holds back.
    pub fn flush(&self) {
        crate::client::flush(&self.tap);
    }
}

fn offer(ear: &Ear, resources: &[&str], direction: Direction) -> Vec<u8> {
    Offer {
        origin: Origin { session_id: 1, version: 1, address: ear.local().ip() },
        rtp_port: ear.local().port(),
        laws: &[Law::Mu, Law::A],
        telephone_event: Some(101),
        ptime_ms: 20,
        direction,
        resources,
        connection: Connection::Existing,
    }
    .to_text()
    .into_bytes()
}

/// The server, on its usual ports where they are free.
async fn start(state: &Path, radio: &Radio) -> Result<Running, StageError> {
    let usual = plan(state, radio, true)?;
    match serve::start(&usual).await {
        Ok(running) => Ok(running),
        Err(error) if error.is_busy_port() => {
            serve::start(&plan(state, radio, false)?).await.map_err(StageError::Server)
        }
        Err(error) => Err(StageError::Server(error)),
    }
}

fn plan(state: &Path, radio: &Radio, usual_ports: bool) -> Result<Plan, StageError> {
    let ports = if usual_ports { (6060, 8104, 8190) } else { (0, 0, 0) };
    let text = format!(
        "state_dir = {state:?}\n\
         [general]\nlisten_interface = \"127.0.0.1\"\n\
         [general.sip]\nport = {}\n[general.mrcp]\nport = {}\n\
         [audio.rtp]\ninterface = \"127.0.0.1\"\n\
         [external_audio]\nenabled = true\n\
         [[external_audio.sources]]\nname = \"{STATION}\"\nuri = \"{}\"\n\
         [mail]\nretrieval_enabled = true\nlmtp_listen = [\"127.0.0.1:0\"]\nimap_listen = [\"127.0.0.1:0\"]\n\
         [text_to_speech]\nenabled = true\n[http]\nport = {}\n",
        ports.0,
        ports.1,
        radio.url(),
        ports.2,
    );
    let file = state.join("entracte.toml");
    std::fs::write(&file, text).map_err(|error| StageError::System("the settings", error))?;
    let layers = Layers { file: Some(file), ..Layers::default() };
    Plan::load(&layers).map_err(StageError::Settings)
}

//! The checked settings, as the rest of the program is given them.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use mailroom::outgoing;
use mailroom::retrieval::{Login, Security};

use super::fault::Fault;
use super::network::{Addresses, Dscp, Network, PortRange};
use super::tree::Layers;

/// All settings, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// `state_dir`: what the server keeps between runs.
    pub state_dir: PathBuf,
    /// `general`.
    pub general: General,
    /// `audio`.
    pub audio: Audio,
    /// `external_audio`.
    pub external_audio: ExternalAudio,
    /// `text_to_speech`.
    pub text_to_speech: TextToSpeech,
    /// `media`.
    pub media: Media,
    /// `engine`.
    pub engine: Engine,
    /// `administration`.
    pub administration: Administration,
    /// `http`: where pages and the API are; `None` when they are switched off.
    pub http: Option<SocketAddr>,
    /// `http.tls`: how pages are served with TLS; `None` when they are not.
    pub tls: Option<TlsPlan>,
    /// `cdr`: how calls are recorded; `None` when they are not.
    pub cdr: Option<Cdr>,
    /// `captures`.
    pub captures: CapturePlan,
    /// `hep`: where copies of SIP messages go; `None` when nowhere.
    pub hep: Option<HepPlan>,
    /// `traces.endpoint`: where traces of calls go; `None` when nowhere.
    pub traces: Option<String>,
    /// `webhooks`: who is told of events.
    pub webhooks: Vec<WebhookPlan>,
    /// `mail`.
    pub mail: MailPlan,
    /// `log`.
    pub log: Log,
    /// What is strange and works all the same.
    pub notes: Vec<Fault>,
    /// Where all of it was read.
    pub layers: Layers,
}

impl Plan {
    /// Where files are written that are needed for a moment.
    pub fn temporary_directory(&self) -> PathBuf {
        let own = || self.state_dir.join("temporary");
        self.general.temporary_directory.clone().unwrap_or_else(own)
    }
}

/// `cdr`: a record of each call that is over.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Cdr {
    /// How it is written.
    pub format: CdrFormat,
    /// Days that files are kept.
    pub keep_days: u64,
}

/// How a record is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CdrFormat {
    /// One JSON object a line.
    Jsonl,
    /// RFC 4180.
    Csv,
}

/// `captures`: what was sent and received, in files.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CapturePlan {
    /// Captures at one time.
    pub max_active: usize,
    /// Whether each call has one.
    pub every_call: bool,
    /// A longer file ends its capture.
    pub file_bytes_max: u64,
    /// Past it the oldest files are deleted.
    pub keep_bytes_max: u64,
}

/// `hep`: a collector of SIP messages.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HepPlan {
    /// Its host and port.
    pub collector: (String, u16),
    /// Our number there.
    pub agent_id: u32,
    /// The file whose first line is the key that it wants.
    pub key_file: Option<PathBuf>,
}

/// What can happen that others are told of.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum EventKind {
    /// A call begins.
    CallBegan,
    /// A call is over.
    CallEnded,
    /// Something happened to a source.
    Source,
    /// Something is wrong.
    AlarmRaised,
    /// It is right again.
    AlarmCleared,
    /// Somebody did something over HTTP: logged in, changed settings.
    Audit,
    /// A message came into a mailbox, or into the spool on its way there.
    MessageCame,
    /// A message was heard, marked or moved.
    MessageChanged,
    /// A message is in its mailbox no more.
    MessageGone,
}

impl EventKind {
    /// All there are.
    pub const ALL: [Self; 9] = [
        Self::CallBegan,
        Self::CallEnded,
        Self::Source,
        Self::AlarmRaised,
        Self::AlarmCleared,
        Self::Audit,
        Self::MessageCame,
        Self::MessageChanged,
        Self::MessageGone,
    ];
    /// Their names.
    pub const WORDS: [(&str, Self); 9] = [
        ("call.began", Self::CallBegan),
        ("call.ended", Self::CallEnded),
        ("source", Self::Source),
        ("alarm.raised", Self::AlarmRaised),
        ("alarm.cleared", Self::AlarmCleared),
        ("audit", Self::Audit),
        ("message.came", Self::MessageCame),
        ("message.changed", Self::MessageChanged),
        ("message.gone", Self::MessageGone),
    ];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CallBegan => "call.began",
            Self::CallEnded => "call.ended",
            Self::Source => "source",
            Self::AlarmRaised => "alarm.raised",
            Self::AlarmCleared => "alarm.cleared",
            Self::Audit => "audit",
            Self::MessageCame => "message.came",
            Self::MessageChanged => "message.changed",
            Self::MessageGone => "message.gone",
        }
    }
}

/// One of `webhooks`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WebhookPlan {
    /// Where events are posted to.
    pub uri: String,
    /// The file whose first line is the secret that signs them.
    pub secret_file: Option<PathBuf>,
    /// Which events.
    pub events: BTreeSet<EventKind>,
}

/// `mail`: where voice mail is.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct MailPlan {
    /// Whether messages can be played into calls.
    pub retrieval_enabled: bool,
    /// How long an IMAP connection may stand idle; `None`: for ever.
    pub imap_timeout_seconds: Option<u32>,
    /// How long an IMAP server may take for an answer.
    pub imap_answer_seconds: u32,
    /// How often mailboxes are compared with the copies of their messages, in seconds.
    pub agree_seconds: u32,
    /// Whether there is a message store.
    pub store_enabled: bool,
    /// The folder of the message store; `None`: `mail` below `state_dir`.
    pub root: Option<PathBuf>,
    /// Most messages of a mailbox; 0: no bound.
    pub quota_messages: u64,
    /// Most bytes of a mailbox; 0: no bound.
    pub quota_bytes: u64,
    /// After how many days messages are deleted by themselves, in each folder in the order of
    /// [`mailbox::FOLDERS`]; 0: never.
    pub retention_days: [u32; 5],
    /// After how many days without a log-in and without a message a mailbox counts as unused.
    pub unused_days: u32,
    /// How voice messages are compressed.
    pub compression: mailbox::CompressionRule,
    /// The IMAP servers; names differ even when case is ignored.
    pub servers: Vec<MailServerPlan>,
    /// Where mail programs are served.
    pub listen: Listening,
    /// Domains whose addresses are mailboxes here, in lower case; empty: all.
    pub domains: Vec<String>,
    /// Bytes of a message that is taken.
    pub message_bytes_max: usize,
    /// Programs that may log in for any mailbox.
    pub services: Vec<mailroom::Service>,
    /// How messages go on by e-mail; `None` where no relay is set.
    pub outgoing: Option<outgoing::Config>,
}

/// `mail.lmtp_listen`, `mail.imap_listen`, `mail.imaps_listen`: where mail programs are served.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Listening {
    /// LMTP.
    pub lmtp: Vec<SocketAddr>,
    /// IMAP, with TLS where it is asked for.
    pub imap: Vec<SocketAddr>,
    /// IMAP with TLS from the first byte.
    pub imaps: Vec<SocketAddr>,
}

impl Listening {
    /// Whether TLS may be spoken anywhere.
    #[must_use]
    pub const fn wants_tls(&self) -> bool {
        !self.imap.is_empty() || !self.imaps.is_empty()
    }
}

impl MailPlan {
    /// The folder of the message store, whether it was set or not.
    #[must_use]
    pub fn root(&self, state_dir: &Path) -> PathBuf {
        self.root.clone().unwrap_or_else(|| state_dir.join("mail"))
    }

    /// What the message store is told.
    #[must_use]
    pub fn options(&self) -> mailbox::Options {
        mailbox::Options {
            quota_messages: self.quota_messages,
            quota_bytes: self.quota_bytes,
            retention_days: self.retention_days,
            compression: self.compression,
            ..mailbox::Options::default()
        }
    }
}

/// One of `mail.servers`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MailServerPlan {
    /// Its name here.
    pub name: String,
    /// Its host.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is secured.
    pub security: Security,
    /// Who logs in.
    pub user: Option<String>,
    /// As whom. RFC 4616 §2.
    pub authorization_id: Option<String>,
    /// With what.
    pub login: Login,
    /// The file whose first line is the password or the token.
    pub password_file: Option<PathBuf>,
    /// A file with certificates that are trusted, besides those of the system.
    pub ca_file: Option<PathBuf>,
}

/// `http.tls`, `http.certificate`, `http.key`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct TlsPlan {
    /// The files of the certificate and its key; `None` for one that the server makes for itself.
    pub files: Option<(PathBuf, PathBuf)>,
}

/// `administration`: who may come in over HTTP.
#[derive(Clone, Debug, PartialEq)]
pub struct Administration {
    /// Who may come in.
    pub accounts: web::Accounts,
    /// Who does nothing for so long is logged out.
    pub idle: Duration,
}

/// `general`: listening and signalling.
#[derive(Clone, Debug, PartialEq)]
pub struct General {
    /// Where SIP and MRCP listen; an unspecified address of each version for `any`.
    pub listen: Vec<IpAddr>,
    /// By which addresses others reach the listeners: for `any` one picked of each version.
    pub reachable: Addresses,
    /// `general.sip`.
    pub sip: Sip,
    /// `general.mrcp`.
    pub mrcp: Mrcp,
    /// Where files are written that are needed for a moment; `None`: `temporary` in the state folder.
    pub temporary_directory: Option<PathBuf>,
    /// Whether they stay, for troubleshooting.
    pub keep_temporary_files: bool,
}

/// What SIP runs over.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Transport {
    /// UDP.
    Udp,
    /// TCP.
    Tcp,
}

/// `general.sip`.
#[derive(Clone, Debug, PartialEq)]
pub struct Sip {
    /// The port, for every transport; 0 lets the system pick.
    pub port: u16,
    /// The transports; never empty.
    pub transports: BTreeSet<Transport>,
    /// The mark on packets; `None` with `qos = false`.
    pub mark: Option<Dscp>,
    /// The host that Contact names, where it is not the address itself.
    pub advertise: Option<String>,
    /// `general.sip.limits`.
    pub limits: SipLimits,
}

/// `general.sip.limits`.
#[derive(Clone, Debug, PartialEq)]
pub struct SipLimits {
    /// The longest message.
    pub message_bytes_max: usize,
    /// TCP connections at one time.
    pub connections_max: usize,
    /// TCP connections at one time from one address.
    pub connections_per_peer_max: usize,
    /// Bytes that may wait for a peer that does not read.
    pub write_queue_bytes_max: usize,
    /// A TCP connection silent for this long, and without a call, is closed.
    pub idle_timeout: Duration,
    /// Server transactions at one time; past it 503.
    pub transactions_max: usize,
}

/// `general.mrcp`.
#[derive(Clone, Debug, PartialEq)]
pub struct Mrcp {
    /// The TCP port; 0 lets the system pick.
    pub port: u16,
    /// Sessions at one time; past it 503 with Retry-After.
    pub max_sessions: usize,
    /// The mark on packets; `None` with `qos = false`.
    pub mark: Option<Dscp>,
    /// The longest body of a message.
    pub body_bytes_max: usize,
    /// The addresses that SDP names, where they are not the listener's.
    pub advertise: Addresses,
}

/// `audio`.
#[derive(Clone, Debug, PartialEq)]
pub struct Audio {
    /// Speed of stored audio and speech, 0.5 to 2.0; live sources keep theirs.
    pub default_prosody_rate: f64,
    /// Volume, 0 to 100.
    pub default_prosody_volume: f64,
    /// Where fetched prompts are kept; `None`: `cache/prompts` in the state folder.
    pub http_cache_directory: Option<PathBuf>,
    /// `audio.rtp`.
    pub rtp: Rtp,
    /// The mark on RTCP packets; `None` with `qos = false`.
    pub rtcp_mark: Option<Dscp>,
}

/// `audio.rtp`.
#[derive(Clone, Debug, PartialEq)]
pub struct Rtp {
    /// In the order of the file, apart from each other; never empty.
    pub port_ranges: Vec<PortRange>,
    /// The addresses to send from; picked once, at start, for `any`.
    pub bind: Addresses,
    /// The addresses that SDP names, where they are not those of `bind`.
    pub advertise: Addresses,
    /// The mark on packets; `None` with `qos = false`.
    pub mark: Option<Dscp>,
}

/// `external_audio`.
#[derive(Clone, Debug, PartialEq)]
pub struct ExternalAudio {
    /// Whether sources are on offer at all.
    pub enabled: bool,
    /// What is heard while a source is away; `None` is the built-in music.
    pub fallback: Option<PathBuf>,
    /// A stream that gives no audio for this long is connected to anew.
    pub stall: Duration,
    /// Where the sound server is; `None` for the usual place.
    pub sound_server: Option<String>,
    /// The sources; names differ even when case is ignored.
    pub sources: Vec<SourcePlan>,
}

/// One of `external_audio.sources`.
#[derive(Clone, Debug, PartialEq)]
pub struct SourcePlan {
    /// The name that callers ask for.
    pub name: String,
    /// Where it comes from.
    pub location: Location,
    /// Louder or quieter, in decibels.
    pub gain_db: f64,
    /// Heard while this source is away; `None` is `external_audio.fallback`.
    pub fallback: Option<PathBuf>,
    /// When it is connected to.
    pub start: Start,
    /// How long it goes on without a listener, when it starts on demand.
    pub linger: Duration,
    /// The loudness it is brought to, LUFS; `None` leaves it.
    pub loudness_lufs: Option<f64>,
    /// Silence that is taken for a fault; `None` takes none for one.
    pub silence_after: Option<Duration>,
    /// In which order a folder's files are played.
    pub order: Order,
}

/// When a source is connected to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Start {
    /// From the server's start on.
    Always,
    /// With its first listener.
    OnDemand,
}

/// In which order a folder's files are played.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Order {
    /// By name.
    Sorted,
    /// Shuffled anew in each round.
    Shuffled,
}

/// Where a source comes from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Location {
    /// A file, or a folder whose files are played in turn.
    Path(PathBuf),
    /// An `http:`, `https:` or `rtp:` stream.
    Stream(String),
    /// A device of the host, by the sound server's name for it.
    Device(String),
}

/// `text_to_speech`.
#[derive(Clone, Debug, PartialEq)]
pub struct TextToSpeech {
    /// Whether speech is on offer at all.
    pub enabled: bool,
    /// The voice when nothing else is asked for.
    pub default_voice: String,
    /// The speed when nothing else is asked for, 0.5 to 2.0.
    pub default_rate: f64,
    /// The engines that come with the server, after all listed providers, in this order.
    pub built_in: Vec<BuiltIn>,
    /// How many helper processes run for each of them, and so how many texts are spoken at one time.
    pub helpers: usize,
    /// eSpeak NG's helper program; `None` looks beside our own program, then in `PATH`.
    pub helper_path: Option<PathBuf>,
    /// The disk for rendered speech, in bytes; 0 keeps nothing.
    pub cache_bytes_max: u64,
    /// What is asked before the built-in engines, in this order.
    pub providers: Vec<ProviderPlan>,
}

/// An engine that comes with the server.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum BuiltIn {
    /// English, where its library is installed.
    Flite,
    /// All languages.
    Espeak,
}

/// A provider of speech.
#[derive(Clone, Debug, PartialEq)]
pub struct ProviderPlan {
    /// Its name.
    pub name: String,
    /// Other words that mean it where a voice's name is asked for.
    pub tags: Vec<String>,
    /// How it is asked.
    pub form: ProviderForm,
    /// Its voices, at least one.
    pub voices: Vec<VoicePlan>,
    /// The longest wait for a text's first audible sound.
    pub first_audio: Duration,
    /// The longest pause in the middle of a sound.
    pub stall: Duration,
}

/// How a provider is asked.
#[derive(Clone, Debug, PartialEq)]
pub enum ProviderForm {
    /// `POST /v1/audio/speech` as OpenAI has it.
    OpenAi {
        /// Where.
        uri: String,
        /// The file whose first line is the key.
        key_file: Option<PathBuf>,
        /// The model.
        model: String,
        /// The format that is asked for.
        format: String,
        /// Samples per second of `pcm`.
        pcm_hz: u32,
    },
    /// As Piper's HTTP server has it.
    Piper {
        /// Where.
        uri: String,
        /// The file whose first line is the key.
        key_file: Option<PathBuf>,
    },
    /// A program for each text.
    Command {
        /// The program.
        program: PathBuf,
        /// Its arguments.
        arguments: Vec<String>,
        /// Samples per second of a sound without a header.
        raw_hz: Option<u32>,
        /// How many at once.
        processes: usize,
    },
}

/// A provider's voice.
#[derive(Clone, Debug, PartialEq)]
pub struct VoicePlan {
    /// What the provider calls it.
    pub id: String,
    /// The languages it speaks, its own first.
    pub languages: Vec<String>,
    /// Its gender.
    pub gender: Option<ssml::Gender>,
    /// Its age in years.
    pub age: Option<u8>,
}

/// `media`: files and addresses that a request may name.
#[derive(Clone, Debug, PartialEq)]
pub struct Media {
    /// `file:` URIs may name nothing outside these; absolute.
    pub roots: Vec<PathBuf>,
    /// The longest body fetched by HTTP.
    pub http_bytes_max: u64,
    /// The longest wait for one, where the request names no shorter one.
    pub http_timeout: Duration,
    /// Private networks that `http:` URIs may reach all the same.
    pub allow_networks: Vec<Network>,
    /// Memory for decoded prompts.
    pub cache_bytes_max: u64,
    /// The disk for prompts that were fetched, in bytes; 0 keeps none over a restart.
    pub disk_cache_bytes_max: u64,
    /// The program for formats we do not read ourselves; `None` does without.
    pub ffmpeg: Option<PathBuf>,
}

/// `engine`: the threads that send audio.
#[derive(Clone, Debug, PartialEq)]
pub struct Engine {
    /// How many; `None` is one a core, less one core, at least one.
    pub threads: Option<usize>,
    /// Their real-time priority; `None` leaves them as they are.
    pub priority: Option<u8>,
    /// New work is refused while every engine is busier than this.
    pub refuse_above_percent: u8,
}

/// `log`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Log {
    /// Other levels for single areas: `sip=debug`.
    pub areas: Vec<String>,
    /// The least important line that is written.
    pub level: LogLevel,
    /// How a line looks.
    pub format: LogFormat,
}

/// How important a line is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum LogLevel {
    /// Broken; someone must act.
    Error,
    /// Strange, still working.
    Warn,
    /// A session or a file began or ended.
    Info,
    /// Why something was decided.
    Debug,
    /// Every packet.
    Trace,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

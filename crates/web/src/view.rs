use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use utoipa::ToSchema;

/// What can be told of a server, as it stands at this moment.
pub trait View: Send + Sync + 'static {
    /// Its live sources, in the order of the configuration.
    fn sources(&self) -> Vec<Source>;

    /// Times that the sources' clock came so late that listeners missed some of them.
    fn sources_late(&self) -> u64;

    /// What happened to the sources lately, the oldest first.
    fn happenings(&self) -> Vec<Happening>;

    /// The devices of the host that audio can be captured from. It waits for the sound server: it is
    /// called where that harms nobody.
    ///
    /// # Errors
    /// In words, when there is no sound server.
    fn devices(&self) -> Result<Vec<Device>, String>;

    /// What calls may ask for.
    fn capabilities(&self) -> Capabilities;

    /// How texts are spoken.
    fn speech(&self) -> Speech;

    /// What it holds; `None` when it is ending.
    fn standing(&self) -> impl Future<Output = Option<Standing>> + Send;

    /// Which server this is.
    fn about(&self) -> About;

    /// Every call and engine as it stands; `None` when it is ending.
    fn looks(&self) -> impl Future<Output = Option<Looks>> + Send;

    /// What the process takes of the host, and what is left.
    fn host(&self) -> Host;

    /// Looks over the host and the settings, and says what to do about what is wrong.
    fn doctor(&self) -> impl Future<Output = Vec<Finding>> + Send;

    /// Tries a source that need not be configured: a URI, or `device:` and a name.
    ///
    /// # Errors
    /// In words, when it is none that sources have, or too many are tried at this moment.
    fn try_source(&self, source: &str) -> impl Future<Output = Result<Tried, String>> + Send;

    /// The voices that can be asked for, those of the preferred provider first.
    fn voices(&self) -> Vec<Voice>;

    /// Speaks a text as a call would hear it.
    ///
    /// # Errors
    /// In words, what would end the SPEAK; or too many are spoken at this moment.
    fn preview(
        &self,
        text: &str,
        voice: Option<&str>,
        rate: Option<f64>,
    ) -> impl Future<Output = Result<Preview, String>> + Send;

    /// The message store, if there is one. Its calls may block.
    fn mail(&self) -> Option<Arc<mailbox::MessageStore>>;

    /// How it stands with the mail servers that messages are fetched from.
    fn mail_servers(&self) -> Vec<MailServer>;

    /// What a mailbox of a mail server holds, on behalf of a user.
    ///
    /// # Errors
    /// It cannot be asked: why, and what was known last; none when there is no such server.
    fn mail_counts(
        &self,
        server: &str,
        user: &str,
        mailbox: &str,
    ) -> impl Future<Output = Result<MailCounts, Option<(String, Option<MailCounts>)>>> + Send;

    /// What mail programs did since the start; none where they are not served.
    fn mail_programs(&self) -> Option<MailPrograms>;

    /// How it stands with messages that go on by e-mail; none where no relay is set.
    fn mail_sent_on(&self) -> Option<MailSentOn>;

    /// The names of the mail servers that are set.
    fn mail_server_names(&self) -> Vec<String>;

    /// SIP messages since the start.
    fn sip_counts(&self) -> Vec<SipCount>;

    /// What those who look on did not get.
    fn missed(&self) -> Missed;

    /// How events are delivered elsewhere.
    fn deliveries(&self) -> Vec<Delivery>;

    /// What happens from now on, as JSON objects; one that listens too slowly misses some.
    fn listen_events(&self) -> mpsc::Receiver<serde_json::Value>;

    /// Captures and their files, the youngest first. It reads the folder: it is called where that harms nobody.
    fn captures(&self) -> Vec<CaptureFile>;

    /// Begins a capture; answers its name.
    ///
    /// # Errors
    /// In words, when there is no such call or too many captures run.
    fn capture(&self, order: &CaptureOrder) -> impl Future<Output = Result<String, String>> + Send;

    /// Ends a capture; answers whether one runs by this name.
    fn stop_capture(&self, name: &str) -> bool;

    /// Deletes the file of a capture that is over.
    ///
    /// # Errors
    /// In words.
    fn remove_capture(&self, name: &str) -> Result<(), String>;

    /// The path of a capture's file.
    fn capture_file(&self, name: &str) -> Option<std::path::PathBuf>;

    /// What a source plays from now on, as a call would hear it; `None` when there is none of this name.
    /// Whoever holds it is a listener.
    fn listen(&self, source: &str) -> Option<Listening>;
}

/// A mail server that messages are fetched from, or one user there that the account acts for.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, ToSchema)]
pub struct MailServer {
    /// Its name.
    pub name: String,
    /// Its host and port.
    pub address: String,
    /// Who is acted for; empty: the account itself.
    pub user: String,
    /// In one word: `unused`, `working`, `failing`.
    pub state: String,
    /// Connections that stand idle.
    pub idle: usize,
    /// Connections in use.
    pub in_use: usize,
    /// How long it is left alone after it failed, in milliseconds; absent when it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_alone_ms: Option<u64>,
    /// What failed last; absent when nothing did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_fault: Option<MailFault>,
    /// When something succeeded last, RFC 3339; absent when nothing did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_success: Option<String>,
    /// Messages that were found for calls since the start.
    pub fetched: u64,
    /// Messages that could not be had.
    pub failed: u64,
    /// What a mailbox held when that was known last; absent while it never was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counts: Option<MailCounts>,
}

/// What failed at a mail server.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, ToSchema)]
pub struct MailFault {
    /// Why.
    pub why: String,
    /// When, RFC 3339.
    pub at: String,
}

/// What a mailbox of a mail server holds. What the server does not say is absent, and not 0.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, ToSchema)]
pub struct MailCounts {
    /// The mailbox.
    pub mailbox: String,
    /// Messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages: Option<u64>,
    /// Those not read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unseen: Option<u64>,
    /// When that was so, RFC 3339.
    pub at: String,
}

/// What mail programs did since the start.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, ToSchema)]
pub struct MailPrograms {
    /// Connections that are there.
    pub connections: u64,
    /// Connections that were refused because there were too many.
    pub refused: u64,
    /// Messages taken by LMTP, for each receiver.
    pub delivered: u64,
    /// Messages that LMTP refused, for each receiver.
    pub rejected: u64,
    /// Log-ins over IMAP.
    pub logins: u64,
    /// Log-ins that were refused.
    pub login_failures: u64,
    /// Commands over IMAP.
    pub commands: u64,
}

/// How it stands with messages that go on by e-mail.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, ToSchema)]
pub struct MailSentOn {
    /// Messages that wait, or are being sent.
    pub pending: u64,
    /// Messages that a relay took, since the start.
    pub sent: u64,
    /// Tries that failed for the time being, since the start.
    pub deferred: u64,
    /// Messages that were given up, since the start; their mailboxes were told.
    pub bounced: u64,
    /// What failed last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_fault: Option<MailFault>,
    /// How it stands with copies that are to agree with the messages; none where there are no mail servers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agreement: Option<MailAgreement>,
}

/// How it stands with mailboxes that agree with an INBOX elsewhere.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, ToSchema)]
pub struct MailAgreement {
    /// Mailboxes that are kept so.
    pub mailboxes: u64,
    /// Messages of the store that were changed, since the start.
    pub changed_here: u64,
    /// Copies that were changed, since the start.
    pub changed_there: u64,
    /// What failed last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_fault: Option<MailFault>,
}

/// SIP messages of one kind.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, ToSchema)]
pub struct SipCount {
    /// `in` or `out`.
    pub direction: &'static str,
    /// A request, or a response.
    pub is_request: bool,
    /// The method, or the status code.
    pub what: String,
    /// How many.
    pub count: u64,
}

/// How events are delivered to one address.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct Delivery {
    /// Its number in the settings, and its host.
    pub webhook: String,
    /// Events that were taken.
    pub taken: u64,
    /// Events that were given up.
    pub lost: u64,
    /// Why the last attempt failed, if it did.
    pub trouble: Option<String>,
}

/// What those who look on did not get.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct Missed {
    /// Datagrams and parts of streams that captures lack.
    pub captures: u64,
    /// Copies that the HEP collector lacks.
    pub hep: u64,
    /// Spans that the collector of traces lacks.
    pub spans: u64,
}

/// A capture that runs, or the file of one that did.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct CaptureFile {
    /// Its name.
    pub name: String,
    /// Bytes so far.
    pub bytes: u64,
    /// When it was written to last, in seconds since 1970.
    pub at_unix_seconds: u64,
    /// It still runs.
    pub running: bool,
    /// Why it ended, if that was lately.
    #[serde(default)]
    pub why: Option<String>,
}

/// What a capture shall have.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct CaptureOrder {
    /// The session of the one call; without it, all calls.
    #[serde(default)]
    pub session: Option<u64>,
    /// Seconds after which it ends by itself, 1 to 86400; without it, 60, and for one call 3600.
    #[serde(default)]
    pub seconds: Option<u64>,
    /// SIP and MRCPv2 only, without RTP and RTCP.
    #[serde(default)]
    pub signalling_only: bool,
}

/// Audio as it is heard: a WAV file without an end, in blocks.
pub type Listening = mpsc::Receiver<Vec<u8>>;

/// What the process takes of its host, and what is left.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct Host {
    /// Free space where each folder is, by its path.
    pub free_bytes: Vec<(String, u64)>,
    /// Memory of the process.
    pub resident_bytes: u64,
    /// Its processor time.
    pub cpu_seconds: u64,
    /// Files that it has open.
    pub open_files: usize,
    /// When it started, in seconds since 1970.
    pub started_unix_seconds: u64,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// As it should be.
    Fine,
    /// Good to know.
    Hint,
    /// Likely wrong.
    Warning,
    /// Wrong.
    Fault,
}

impl Severity {
    /// In one word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::Hint => "hint",
            Self::Warning => "warning",
            Self::Fault => "fault",
        }
    }
}

/// Something that was looked at.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What it is about: `ports`, `addresses`, `sound`, ….
    pub area: String,
    /// What was found.
    pub what: String,
    /// What to do about it.
    pub remedy: Option<String>,
}

/// What came of trying a source.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct Tried {
    /// It can be heard.
    pub ok: bool,
    /// Where it comes from.
    pub uri: String,
    /// What is wrong with it.
    pub error: Option<String>,
    /// Codec, rate and channels.
    pub codec: Option<String>,
    /// The title, as the stream or the file told it.
    pub title: Option<String>,
    /// How long the first sample took to be decoded.
    pub first_sample_ms: Option<u64>,
    /// How long the source took to be heard.
    pub heard_ms: Option<u64>,
    /// Integrated loudness by EBU R 128; none when all of it was silence.
    pub loudness_lufs: Option<f64>,
    /// The largest sample, dBFS.
    pub peak_dbfs: Option<f64>,
    /// The root mean square, dBFS.
    pub rms_dbfs: Option<f64>,
    /// Audio that is decoded and waits to be heard.
    pub buffered_ms: u64,
    /// Times the buffer ran dry although the connection stood.
    pub underruns: u64,
    /// Connections made after the first.
    pub reconnects: u64,
    /// Files of a folder that were passed over.
    pub skipped: Vec<Skipped>,
}

/// A voice that can be asked for.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct Voice {
    /// Whose it is.
    pub provider: String,
    /// What the provider calls it.
    pub id: String,
    /// Its languages.
    pub languages: Vec<String>,
    /// `female`, `male` or `neutral`, where it is known.
    pub gender: Option<String>,
}

/// A text that was spoken.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Preview {
    /// The sound as a WAV file.
    pub wav: Vec<u8>,
    /// How long it is, in milliseconds.
    pub duration_ms: u64,
    /// The largest sample of each of equally many parts, 0 to 1.
    pub peaks: Vec<f32>,
    /// Who spoke.
    pub provider: String,
    /// With which voice.
    pub voice: String,
    /// It was spoken before, and kept.
    pub cached: bool,
    /// From the order to the first sound, in milliseconds.
    pub first_audio_ms: u64,
    /// Silence before the first audible sample, in milliseconds.
    pub lead_ms: u64,
}

/// Which server this is.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct About {
    /// The name of its host.
    pub machine: String,
    /// Its version.
    pub version: String,
    /// When it started, in seconds since 1970.
    pub started_unix_seconds: u64,
    /// For how long it has run, in seconds.
    pub up_seconds: u64,
    /// Its process.
    pub process: u32,
    /// Where it listens, as its ready line says.
    pub listens: Vec<String>,
    /// What it started with and is not as it should be.
    pub notes: Vec<String>,
}

/// Every call and engine at one moment.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct Looks {
    /// The calls, in the order in which they came.
    pub calls: Vec<Call>,
    /// The engines.
    pub engines: Vec<Engine>,
}

/// One call.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct Call {
    /// Its number, counted up from 1 since the start.
    pub session: u64,
    /// Its SIP Call-ID.
    pub call_id: String,
    /// `connecting`, `connected` or `changing`.
    pub state: String,
    /// For how long it has been there, in seconds.
    pub age_seconds: f64,
    /// Where its signalling comes from.
    pub peer: String,
    /// Our address and port of RTP.
    #[schema(value_type = Option<String>)]
    pub local_rtp: Option<SocketAddr>,
    /// `sendonly`, `recvonly`, `sendrecv` or `inactive`, from our side.
    pub mode: Option<String>,
    /// The peer's address and port of RTP.
    #[schema(value_type = Option<String>)]
    pub remote_rtp: Option<SocketAddr>,
    /// The codec.
    pub codec: Option<String>,
    /// Its MRCPv2 channels.
    pub channels: Vec<Channel>,
    /// What is heard or prepared.
    pub resource: Option<Resource>,
    /// Its packets.
    pub rtp: Option<Packets>,
}

/// One MRCPv2 channel.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct Channel {
    /// Its identifier. RFC 6787 §6.2.1.
    pub id: String,
    /// `idle`, `speaking` or `paused`.
    pub state: String,
    /// The SPEAK request that is spoken or held.
    pub speak_request: Option<u32>,
}

/// What a call hears: one utterance.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct Resource {
    /// Its number, counted up from 1 since the start.
    pub id: u64,
    /// `source`, `speech`, `file`, or `mixed`.
    pub operation: String,
    /// When it was ordered, in seconds since 1970.
    pub created_unix_seconds: f64,
    /// How long ago that is, in seconds.
    pub age_seconds: f64,
    /// For how long it has been held, in seconds; 0 while it runs.
    pub idle_seconds: f64,
    /// The engine that sends it.
    pub engine: Option<u16>,
    /// The system's number of that engine's thread.
    pub engine_thread: Option<i32>,
    /// The stream that it is sent in, as the log names it.
    pub graph: Option<String>,
    /// What is played one after the other; never the words of a text.
    pub steps: Vec<String>,
}

/// The packets of a call, as of a moment ago.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct Packets {
    /// RTP packets that left.
    pub sent: u64,
    /// RTP packets that came.
    pub received: u64,
    /// Packets of the peer that never came.
    pub lost: i64,
    /// Packets of ours that the peer missed, as it says.
    pub peer_lost: i64,
    /// Packets left out or silent because something of ours came too late.
    pub late: u64,
    /// The jitter of what came, in milliseconds.
    pub jitter_ms: u64,
    /// The round-trip time in milliseconds; 0 while unknown.
    pub round_trip_ms: u64,
}

/// One engine: a thread that sends audio.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct Engine {
    /// Its number, from 0.
    pub number: usize,
    /// The system's number of its thread.
    pub thread_id: i32,
    /// The processor that it ran on last.
    pub cpu: Option<u32>,
    /// Where that processor is: socket, core, NUMA node.
    pub location: String,
    /// Busy time now, in percent.
    pub load_percent: f64,
    /// Busy time over the 30 s before the question, in percent.
    pub average_percent: f64,
    /// The busiest 20 ms of those, in percent.
    pub max_percent: f64,
    /// Lateness that 99 of 100 ticks stayed under, in microseconds.
    pub late_p99_us: u64,
    /// Ticks left out because the engine came too late, since the start.
    pub left_out: u64,
    /// Streams: one for each call that is sent audio.
    pub graphs: usize,
    /// Streams and shared encodings: all that a tick works on.
    pub elements: usize,
}

/// How a source's connection stands.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SourceState {
    /// On its way.
    Connecting,
    /// Audio comes.
    Playing,
    /// It failed, and is tried again.
    Away,
    /// Nobody listens; with the first listener it is connected to.
    Resting,
}

/// What those who listen to a source hear.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Heard {
    /// The source itself.
    Source,
    /// The fallback.
    Fallback,
}

/// One live source.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct Source {
    /// What callers ask for.
    pub name: String,
    /// Where it comes from, without user name and password.
    pub uri: String,
    /// The number of the settings that it plays by; 0 for those of the start.
    pub revision: u64,
    /// How its connection stands.
    pub state: SourceState,
    /// Why it is away.
    pub why: Option<String>,
    /// What is heard.
    pub heard: Heard,
    /// For how long that has been heard, in seconds.
    pub heard_seconds: f64,
    /// It plays, and what it plays has been silence for too long.
    pub silent: bool,
    /// Calls that hear it.
    pub listeners: usize,
    /// The largest sample of the last 300 ms, dBFS.
    pub peak_dbfs: f32,
    /// The root mean square of the last 300 ms, dBFS.
    pub rms_dbfs: f32,
    /// Audio that is decoded and waits to be heard, in milliseconds.
    pub buffered_ms: u64,
    /// The title, as the stream or the file last told it.
    pub title: Option<String>,
    /// Codec, rate and channels.
    pub codec: Option<String>,
    /// Connections made after the first.
    pub reconnects: u64,
    /// Times the buffer ran dry although the connection stood.
    pub underruns: u64,
    /// Sound that was turned down so as not to clip, in milliseconds: its gain is too high.
    pub limited_ms: u64,
    /// Files of a folder that were passed over.
    pub skipped: Vec<Skipped>,
}

/// A file that was passed over.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct Skipped {
    /// Its name within the folder.
    pub file: String,
    /// What was wrong with it.
    pub why: String,
}

/// Something that happened to a source.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct Happening {
    /// When, in seconds since 1970.
    pub at_unix_seconds: f64,
    /// To which source.
    pub source: String,
    /// What: `heard`, `fallback`, `playing`, `away`, `silent`, `sounds`, `skipped`.
    pub what: String,
    /// Why, or what exactly; may be empty.
    pub why: String,
}

/// Something that somebody should look after, for as long as it lasts.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct Alarm {
    /// What it is about: `source` or `speech`.
    pub about: String,
    /// Which of them.
    pub name: String,
    /// What is wrong.
    pub why: String,
}

/// What is wrong now. A source that is away but whose fallback nobody hears, since it rests, is no alarm.
pub fn alarms(view: &impl View) -> Vec<Alarm> {
    let (sources, speech) = (view.sources(), view.speech());
    let deliveries = view.deliveries();
    let alarm = |about: &str, name: &str, why: &str| Alarm {
        about: about.to_owned(),
        name: name.to_owned(),
        why: why.to_owned(),
    };
    let of_source = |source: &Source| match source.state {
        SourceState::Away => {
            Some(alarm("source", &source.name, source.why.as_deref().unwrap_or("it is away")))
        }
        SourceState::Playing if source.silent => {
            Some(alarm("source", &source.name, "it plays silence"))
        }
        SourceState::Connecting | SourceState::Playing | SourceState::Resting => None,
    };
    let of_provider = |provider: &Provider| {
        provider.failed.as_ref().map(|why| alarm("speech", &provider.name, why))
    };
    let of_delivery = |delivery: &Delivery| {
        delivery.trouble.as_ref().map(|why| alarm("webhook", &delivery.webhook, why))
    };
    let mail = view.mail().map(|store| of_mail(&store)).unwrap_or_default();
    let mail = mail.into_iter().map(|(name, why)| alarm("mail", name, &why));
    let speech = speech.providers.iter().filter_map(of_provider);
    let webhooks = deliveries.iter().filter_map(of_delivery);
    sources.iter().filter_map(of_source).chain(speech).chain(webhooks).chain(mail).collect()
}

/// What is wrong with the message store. It is asked for what it knows, and no disk.
fn of_mail(store: &mailbox::MessageStore) -> Vec<(&'static str, String)> {
    let mut wrong: Vec<_> = store.trouble().map(|why| ("root", why)).into_iter().collect();
    let pending = store.pending();
    if let Some(first) = pending.first() {
        let why = first.trouble.as_deref().unwrap_or("they are delivered one after the other");
        wrong.push(("spool", format!("{} messages wait: {why}", pending.len())));
    }
    let quarantined = store.quarantined();
    if quarantined > 0 {
        wrong.push(("quarantine", format!("{quarantined} damaged messages were put aside since the start; `entracte mailbox check` tells of them")));
    }
    wrong
}

/// Something that audio can be captured from.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct Device {
    /// The sound server's name for it: the `device` of a source.
    pub name: String,
    /// What people call it.
    pub description: String,
    /// The output whose sound it gives, when it is a monitor.
    pub monitor_of: Option<String>,
    /// `running`, `idle`, `suspended` or `unknown`.
    pub state: String,
    /// Samples a second.
    pub rate_hz: u32,
    /// Channels.
    pub channels: u8,
    /// The largest sample while it was listened to, dBFS; none when it gave nothing.
    pub peak_dbfs: Option<f32>,
    /// The root mean square of the same, dBFS.
    pub rms_dbfs: Option<f32>,
}

/// What calls may ask for; OPTIONS says the same.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct Capabilities {
    /// The MRCPv2 resources.
    pub resources: Vec<String>,
    /// The audio codecs, in the order of preference where the offer has none.
    pub codecs: Vec<String>,
    /// The names of the sources.
    pub sources: Vec<String>,
    /// Whether texts are spoken.
    pub text_to_speech: bool,
    /// Whether messages of the store and of mail servers are played.
    #[serde(default)]
    pub mail: bool,
}

/// How texts are spoken.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct Speech {
    /// Who speaks, the preferred ones first; none when speech is off.
    pub providers: Vec<Provider>,
    /// Texts being spoken.
    pub texts: usize,
    /// Speech and prompts that were turned down so as not to clip, in milliseconds.
    pub limited_ms: u64,
    /// What was rendered, on the disk.
    pub cache: Option<Cache>,
    /// What was fetched, on the disk.
    pub prompt_cache: Option<Cache>,
}

/// One provider of speech.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct Provider {
    /// Its name.
    pub name: String,
    /// What is behind it: `helper`, `openai`, `piper` or `command`.
    pub form: String,
    /// Why it failed when it was last asked; none once it has spoken again.
    pub failed: Option<String>,
    /// How much longer others are asked before it because of that, in seconds.
    pub rests_seconds: f64,
    /// Texts that it spoke.
    pub spoken: u64,
    /// Texts that it did not speak, so that the next was asked.
    pub failures: u64,
    /// Helper processes started in place of others.
    pub restarts: u64,
    /// How long calls waited for it, to the packet with the first sound.
    pub first_audio: Waits,
}

/// How long something took, each time.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct Waits {
    /// Times.
    pub count: u64,
    /// All of them together, in seconds.
    pub sum_seconds: f64,
    /// Pairs: seconds, and how often it took no longer.
    pub within: Vec<(f64, u64)>,
}

/// A cache on the disk.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct Cache {
    /// Entries.
    pub entries: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Times that something was found.
    pub hits: u64,
    /// Times that nothing was.
    pub misses: u64,
    /// Entries that were dropped because they were not what had been put in.
    pub corrupt: u64,
}

/// What a server holds: zero everywhere once every call is over and the timers have run out.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct Standing {
    /// It takes no new calls, and ends with the last one.
    pub draining: bool,
    /// Calls.
    pub sessions: usize,
    /// MRCPv2 channels.
    pub channels: usize,
    /// Media streams.
    pub streams: usize,
    /// Utterances that are prepared or played.
    pub utterances: usize,
    /// TCP connections.
    pub connections: usize,
    /// SIP transactions, of both sides.
    pub transactions: usize,
}

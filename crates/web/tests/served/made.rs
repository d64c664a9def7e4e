//! A server that is made up, and who may come in to it.

use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use tokio::sync::mpsc;
use vocab::Redacted;
use web::{
    About, Account, Accounts, Applied, Audited, Cache, Call, Capabilities, CaptureFile,
    CaptureOrder, Change, Channel, Delivery, Device, Difference, Engine, Field, FieldFault,
    Finding, Happening, Heard, Host, Listening, Looks, Missed, Options, Packets, Pending, Preview,
    Proposal, Provider, Resource, Revision, Role, Settings, Severity, SipCount, Skipped, Source,
    SourceState, Speech, Standing, Token, Tried, View, Voice, Waits,
};

/// The secret of a token that may do everything.
pub(crate) const TOKEN: &str = "a-secret-of-a-program";
/// The password of everybody: `vera` may see, `otto` listen, `ada` change.
pub(crate) const PASSWORD: &str = "correct horse";

static HASH: LazyLock<String> = LazyLock::new(|| web::hash_password(PASSWORD).unwrap());

#[derive(Clone, Default)]
pub(crate) struct Made {
    /// What its one device gives; without it there is no sound server.
    pub(crate) level: Option<f32>,
    pub(crate) ending: bool,
    pub(crate) mail: Option<Arc<mailbox::MessageStore>>,
    /// The first of several; as many more as it says.
    pub(crate) calls: u64,
    /// Text that a peer can set, in every place where it can.
    pub(crate) evil: Option<String>,
    pub(crate) audited: Arc<Mutex<Vec<(String, String)>>>,
}

pub(crate) fn options() -> Options {
    Options { setup_file: std::env::temp_dir().join("entracte-web-no-such-file"), secure: false }
}

fn source(name: &str, state: SourceState) -> Source {
    Source {
        name: name.to_owned(),
        uri: "http://h/radio".to_owned(),
        revision: 0,
        state,
        why: (state == SourceState::Away).then(|| "the server answers 404".to_owned()),
        heard: if state == SourceState::Playing { Heard::Source } else { Heard::Fallback },
        heard_seconds: 1.5,
        silent: false,
        listeners: 3,
        peak_dbfs: -6.5,
        rms_dbfs: -12.0,
        buffered_ms: 1_250,
        title: Some("It's \"2\" <b>".to_owned()),
        codec: Some("mp3 44100 Hz stereo".to_owned()),
        reconnects: 4,
        underruns: 1,
        limited_ms: 35,
        skipped: vec![Skipped { file: "a.mp3".to_owned(), why: "empty".to_owned() }],
    }
}

impl View for Made {
    fn sources(&self) -> Vec<Source> {
        let mut all =
            vec![source("Radio", SourceState::Playing), source("a \"b\"\\/ü", SourceState::Away)];
        if let Some(evil) = &self.evil {
            let own = source(evil, SourceState::Away);
            let (uri, why, title) = (evil.clone(), Some(evil.clone()), Some(evil.clone()));
            let skipped = vec![Skipped { file: evil.clone(), why: evil.clone() }];
            all.push(Source { uri, why, title, codec: Some(evil.clone()), skipped, ..own });
        }
        all
    }

    fn sources_late(&self) -> u64 {
        7
    }

    fn happenings(&self) -> Vec<Happening> {
        vec![Happening {
            at_unix_seconds: 1_700_000_000.5,
            source: "Radio".to_owned(),
            what: "away".to_owned(),
            why: "the server answers 404".to_owned(),
        }]
    }

    fn mail_servers(&self) -> Vec<web::MailServer> {
        let failing = web::MailServer {
            name: "office".to_owned(),
            address: "imap.example.com:993".to_owned(),
            user: "anna".to_owned(),
            state: "failing".to_owned(),
            left_alone_ms: Some(500),
            last_fault: Some(web::MailFault {
                why: "the mail server closed the connection".to_owned(),
                at: "2026-11-29T10:00:00Z".to_owned(),
            }),
            failed: 3,
            ..web::MailServer::default()
        };
        vec![failing]
    }

    async fn mail_counts(
        &self,
        _: &str,
        _: &str,
        _: &str,
    ) -> Result<web::MailCounts, Option<(String, Option<web::MailCounts>)>> {
        Err(None)
    }

    fn mail_server_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn mail_sent_on(&self) -> Option<web::MailSentOn> {
        None
    }

    fn mail_programs(&self) -> Option<web::MailPrograms> {
        Some(web::MailPrograms { logins: 2, ..web::MailPrograms::default() })
    }

    fn mail(&self) -> Option<Arc<mailbox::MessageStore>> {
        self.mail.clone()
    }

    fn devices(&self) -> Result<Vec<Device>, String> {
        let level = self.level.ok_or_else(|| "no sound server: Connection refused".to_owned())?;
        Ok(vec![Device {
            name: "mic".to_owned(),
            description: "A microphone".to_owned(),
            monitor_of: None,
            state: "idle".to_owned(),
            rate_hz: 48_000,
            channels: 2,
            peak_dbfs: Some(level),
            rms_dbfs: Some(level),
        }])
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            resources: vec!["speechsynth".to_owned()],
            codecs: vec!["PCMU".to_owned(), "PCMA".to_owned()],
            sources: vec!["Radio".to_owned()],
            text_to_speech: true,
            mail: true,
        }
    }

    fn speech(&self) -> Speech {
        let provider = |name: &str, failed: Option<&str>| Provider {
            name: name.to_owned(),
            form: "openai".to_owned(),
            failed: failed.map(str::to_owned),
            rests_seconds: if failed.is_some() { 4.5 } else { 0.0 },
            spoken: 12,
            failures: 2,
            restarts: 0,
            first_audio: Waits {
                count: 3,
                sum_seconds: 0.5,
                within: vec![(0.02, 0), (0.1, 2), (1.0, 3)],
            },
        };
        let cache = Cache { entries: 5, bytes: 4_096, hits: 7, misses: 8, corrupt: 1 };
        Speech {
            providers: vec![provider("neural", Some("it answers 500")), provider("a\"b", None)],
            texts: 1,
            limited_ms: 10,
            cache: Some(cache),
            prompt_cache: None,
        }
    }

    fn about(&self) -> About {
        About {
            machine: self.evil.clone().unwrap_or_else(|| "media1".to_owned()),
            version: "1.2.3".to_owned(),
            started_unix_seconds: 1_700_000_000,
            up_seconds: 3_700,
            process: 42,
            listens: vec!["sip/udp 127.0.0.1:6060".to_owned()],
            notes: self.evil.iter().cloned().collect(),
        }
    }

    async fn looks(&self) -> Option<Looks> {
        let calls = (1..=self.calls).map(|session| self.call(session)).collect();
        let engine = Engine { number: 0, thread_id: 77, load_percent: 12.5, ..Engine::default() };
        (!self.ending).then_some(Looks { calls, engines: vec![engine] })
    }

    fn host(&self) -> Host {
        let free_bytes = vec![("/var/lib/entracte".to_owned(), 5 << 30)];
        Host {
            free_bytes,
            resident_bytes: 4_096,
            cpu_seconds: 9,
            open_files: 33,
            started_unix_seconds: 1,
        }
    }

    async fn doctor(&self) -> Vec<Finding> {
        let (area, what) = ("ports".to_owned(), self.evil.clone().unwrap_or_default());
        let remedy = self.evil.clone();
        vec![Finding { severity: Severity::Fault, area, what, remedy }]
    }

    async fn try_source(&self, source: &str) -> Result<Tried, String> {
        let error = (source != "http://h/good").then(|| "the server answers 404".to_owned());
        Ok(Tried { ok: error.is_none(), uri: source.to_owned(), error, ..Tried::default() })
    }

    fn voices(&self) -> Vec<Voice> {
        Vec::new()
    }

    async fn preview(
        &self,
        _text: &str,
        _voice: Option<&str>,
        _rate: Option<f64>,
    ) -> Result<Preview, String> {
        Err("texts are not spoken".to_owned())
    }

    fn sip_counts(&self) -> Vec<SipCount> {
        let count = |is_request, what: &str| SipCount {
            direction: "in",
            is_request,
            what: what.to_owned(),
            count: 5,
        };
        vec![count(true, "INVITE"), count(false, "486")]
    }

    fn missed(&self) -> Missed {
        Missed { captures: 1, hep: 2, spans: 3 }
    }

    fn deliveries(&self) -> Vec<Delivery> {
        let trouble = Some("answers 500".to_owned());
        vec![Delivery { webhook: "1 crm.example.com".to_owned(), taken: 3, lost: 1, trouble }]
    }

    fn listen_events(&self) -> mpsc::Receiver<serde_json::Value> {
        let (told, listening) = mpsc::channel(1);
        told.try_send(serde_json::json!({ "type": "call.began" })).unwrap();
        listening
    }

    fn captures(&self) -> Vec<CaptureFile> {
        vec![CaptureFile { name: "one.pcap".to_owned(), bytes: 1_234, ..CaptureFile::default() }]
    }

    async fn capture(&self, order: &CaptureOrder) -> Result<String, String> {
        match order.session {
            Some(session) => Err(format!("there is no session {session}")),
            None => Ok("two.pcap".to_owned()),
        }
    }

    fn stop_capture(&self, name: &str) -> bool {
        name == "one.pcap"
    }

    fn remove_capture(&self, _name: &str) -> Result<(), String> {
        Err("it runs; stop it first".to_owned())
    }

    fn capture_file(&self, _name: &str) -> Option<std::path::PathBuf> {
        None
    }

    fn listen(&self, source: &str) -> Option<Listening> {
        let (heard, listening) = mpsc::channel(4);
        let _ = heard.try_send(b"RIFF".to_vec());
        (source == "Radio").then_some(listening)
    }

    async fn standing(&self) -> Option<Standing> {
        Some(Standing { sessions: 2, draining: self.ending, ..Standing::default() })
    }
}

impl Made {
    fn call(&self, session: u64) -> Call {
        let evil = self.evil.clone();
        let text = |usual: &str| evil.clone().unwrap_or_else(|| usual.to_owned());
        Call {
            session,
            call_id: text(&format!("{session:08x}@phone")),
            state: "connected".to_owned(),
            age_seconds: 12.5,
            peer: "127.0.0.1:5060".to_owned(),
            local_rtp: "127.0.0.1:16384".parse().ok(),
            mode: Some("sendonly".to_owned()),
            remote_rtp: "127.0.0.1:4000".parse().ok(),
            codec: Some("PCMU 20 ms".to_owned()),
            channels: vec![Channel {
                id: text(&format!("{session:x}@speechsynth")),
                state: "speaking".to_owned(),
                speak_request: Some(7),
            }],
            resource: Some(Resource {
                id: session + 100,
                operation: "source".to_owned(),
                created_unix_seconds: 1_700_000_000.0,
                age_seconds: 3.5,
                idle_seconds: 0.0,
                engine: Some(0),
                engine_thread: Some(77),
                graph: Some("0/3.1".to_owned()),
                steps: vec![text("play source:Radio")],
            }),
            rtp: Some(Packets { sent: 100, ..Packets::default() }),
        }
    }
}

impl Settings for Made {
    fn accounts(&self) -> Arc<Accounts> {
        let account = |name: &str, role| Account {
            name: name.to_owned(),
            role,
            password_hash: Redacted::new(HASH.clone()),
        };
        let users = vec![
            account("vera", Role::Viewer),
            account("otto", Role::Operator),
            account("ada", Role::Administrator),
        ];
        let sha256 = web::sha256(TOKEN.as_bytes());
        let token = Token { name: "program".to_owned(), role: Role::Administrator, sha256 };
        Arc::new(Accounts { users, tokens: vec![token] })
    }

    fn idle_max(&self) -> Duration {
        Duration::from_secs(60)
    }

    fn audit(&self, who: &str, what: &str, _detail: &str) {
        self.audited.lock().unwrap().push((who.to_owned(), what.to_owned()));
    }

    fn audited(&self) -> Vec<Audited> {
        let text = self.evil.clone().unwrap_or_else(|| "ada".to_owned());
        vec![Audited { at_unix_seconds: 1, who: text.clone(), what: text.clone(), detail: text }]
    }

    fn fields(&self) -> Vec<Field> {
        Vec::new()
    }

    fn blank(&self, _list: &str) -> Vec<(String, Field)> {
        Vec::new()
    }

    async fn propose(&self, _changes: &[Change]) -> Result<Proposal, Vec<FieldFault>> {
        Ok(Proposal { base: "b".to_owned(), differences: Vec::new(), notes: Vec::new() })
    }

    async fn apply(
        &self,
        _changes: &[Change],
        _base: Option<&str>,
        _who: &str,
    ) -> Result<Applied, Vec<FieldFault>> {
        Ok(Applied::default())
    }

    async fn reload(&self, _who: &str) -> Result<Applied, Vec<FieldFault>> {
        Ok(Applied::default())
    }

    fn revisions(&self) -> Vec<Revision> {
        Vec::new()
    }

    fn revision_text(&self, _number: u64) -> Option<String> {
        None
    }

    async fn restoring(&self, _number: u64) -> Result<Vec<Difference>, Vec<FieldFault>> {
        Ok(Vec::new())
    }

    async fn restore(&self, _number: u64, _who: &str) -> Result<Applied, Vec<FieldFault>> {
        Ok(Applied::default())
    }

    fn pending(&self) -> Pending {
        Pending::default()
    }
}

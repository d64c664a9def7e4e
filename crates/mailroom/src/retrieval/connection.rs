use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use imap::{Response, ResponseFrame, ResponseFramer, Status, Value, modified_utf7, write};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::fault::Fault;
use super::{Login, Security, Server};

/// How long an address of a server may take to connect.
const CONNECT_WAIT: Duration = Duration::from_secs(10);
/// Bytes of one response: the greatest is a part that a URL names, in base64.
const RESPONSE_BYTES_MAX: usize = 384 << 20;
/// Bytes of all that comes before a command is done.
pub(super) const ANSWER_BYTES_MAX: usize = RESPONSE_BYTES_MAX + (16 << 20);
/// How long a connection that stood idle may take to show that it is alive.
const ALIVE_WAIT: Duration = Duration::from_secs(2);
/// Responses that may come before a command is done.
const RESPONSES_MAX: usize = 10_000;

/// A connection to an IMAP server, logged in.
#[derive(Debug)]
pub(super) struct Connection {
    wire: Wire,
    framer: ResponseFramer,
    buffer: Vec<u8>,
    tag: u32,
    patience: Duration,
    capabilities: Vec<String>,
    /// The mailbox that is open, with its UIDVALIDITY.
    opened: Option<Opened>,
    pub(super) used: Instant,
    /// What came since the last command was sent, and the most that may; in bytes.
    came: usize,
    pub(super) bytes_max: usize,
}

/// A mailbox that is open.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Opened {
    pub(super) mailbox: String,
    pub(super) mode: Mode,
    pub(super) uid_validity: u32,
}

/// Whether a mailbox is opened to be changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Mode {
    Read,
    Write,
}

#[derive(Debug)]
enum Wire {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// What a server said to a command.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) responses: Vec<Response>,
    /// The code and the text of the last line.
    pub(super) code: Option<(String, Vec<Value>)>,
}

#[expect(clippy::disallowed_methods, reason = "this is a shell, which has a clock")]
pub(super) fn now() -> Instant {
    Instant::now()
}

impl Connection {
    /// Connects and logs in, as `as_whom` where that is not empty.
    pub(super) async fn open(
        server: &Server,
        as_whom: &str,
        patience: Duration,
    ) -> Result<Self, Fault> {
        let stream = connect(server).await?;
        let mut wire = Wire::Plain(stream);
        if server.security == Security::Tls {
            wire = secure(wire, server, patience).await?;
        }
        let mut connection = Self {
            wire,
            framer: ResponseFramer::new(RESPONSE_BYTES_MAX),
            buffer: vec![0; 64 << 10],
            tag: 0,
            patience,
            capabilities: Vec::new(),
            opened: None,
            used: now(),
            came: 0,
            bytes_max: ANSWER_BYTES_MAX,
        };
        let greeting = connection.response().await?;
        let Response::Status { tag: None, status, code, text } = greeting else {
            return Err(Fault::Nonsense("a greeting"));
        };
        connection.learn(code.as_ref());
        let is_in = match status {
            Status::Ok => false,
            Status::PreAuth => true,
            Status::Bye | Status::No | Status::Bad => return Err(Fault::Refused(text)),
        };
        if server.security == Security::StartTls {
            connection = connection.start_tls(server).await?;
        }
        if !is_in {
            connection.log_in(server, as_whom).await?;
        }
        if connection.capabilities.is_empty() {
            connection.ask_capabilities().await?;
        }
        Ok(connection)
    }

    async fn start_tls(mut self, server: &Server) -> Result<Self, Fault> {
        self.command("STARTTLS").await.map_err(|fault| {
            refused(fault, |said| Fault::Tls(format!("STARTTLS is refused: {said}")))
        })?;
        // What came in plain after that could be anybody's. RFC 9051 §11.1.
        if !self.framer.is_empty() {
            return Err(Fault::Tls("something came before TLS did".to_owned()));
        }
        self.wire = secure(self.wire, server, self.patience).await?;
        self.capabilities.clear();
        Ok(self)
    }

    async fn ask_capabilities(&mut self) -> Result<(), Fault> {
        for response in self.command("CAPABILITY").await?.responses {
            if let Response::Data(word, values) = response
                && word == "CAPABILITY"
            {
                self.capabilities = words(&values);
            }
        }
        Ok(())
    }

    fn learn(&mut self, code: Option<&(String, Vec<Value>)>) {
        if let Some((word, values)) = code
            && word == "CAPABILITY"
        {
            self.capabilities = words(values);
        }
    }

    pub(super) fn can(&self, capability: &str) -> bool {
        self.capabilities.iter().any(|known| known == capability)
    }

    async fn log_in(&mut self, server: &Server, as_whom: &str) -> Result<(), Fault> {
        if self.capabilities.is_empty() {
            self.ask_capabilities().await?;
        }
        let password = password(server).await?;
        if server.login == Login::OAuth {
            return self.log_in_by_token(server, as_whom, &password).await;
        }
        let refused = |fault| refused(fault, Fault::LoginRefused);
        let said = if self.can("AUTH=PLAIN") {
            let response =
                STANDARD.encode(format!("{as_whom}\0{}\0{password}", server.user).as_bytes());
            if self.can("SASL-IR") {
                self.command(&format!("AUTHENTICATE PLAIN {response}")).await.map_err(refused)?
            } else {
                self.answering("AUTHENTICATE PLAIN", &response).await.map_err(refused)?
            }
        } else if self.can("LOGINDISABLED") {
            return Err(Fault::LoginRefused("it takes no password without TLS".to_owned()));
        } else if as_whom.is_empty() {
            let (user, password) = (write::astring(&server.user), quoted(&password)?);
            self.command(&format!("LOGIN {user} {password}")).await.map_err(refused)?
        } else {
            let why = "it has no AUTH=PLAIN, and so nobody logs in for another";
            return Err(Fault::LoginRefused(why.to_owned()));
        };
        // They may be others now. RFC 9051 §6.2.2.
        self.capabilities.clear();
        self.learn(said.code.as_ref());
        Ok(())
    }

    /// RFC 7628 §3; and XOAUTH2, which Exchange and others had before it.
    async fn log_in_by_token(
        &mut self,
        server: &Server,
        as_whom: &str,
        token: &str,
    ) -> Result<(), Fault> {
        let user = if as_whom.is_empty() { &server.user } else { as_whom };
        let (mechanism, response) = if self.can("AUTH=OAUTHBEARER") {
            // In an authorization identity `,` and `=` stand for something else. RFC 5801 §4.
            let user = user.replace('=', "=3D").replace(',', "=2C");
            ("OAUTHBEARER", format!("n,a={user},\x01auth=Bearer {token}\x01\x01"))
        } else if self.can("AUTH=XOAUTH2") {
            ("XOAUTH2", format!("user={user}\x01auth=Bearer {token}\x01\x01"))
        } else {
            let why = "it takes no token: it has neither AUTH=OAUTHBEARER nor AUTH=XOAUTH2";
            return Err(Fault::LoginRefused(why.to_owned()));
        };
        let response = STANDARD.encode(response);
        let (tag, mut is_sent) = if self.can("SASL-IR") {
            (self.send(&format!("AUTHENTICATE {mechanism} {response}")).await?, true)
        } else {
            (self.send(&format!("AUTHENTICATE {mechanism}")).await?, false)
        };
        let mut why = String::new();
        loop {
            match self.response().await? {
                Response::Continue(_) if !is_sent => {
                    is_sent = true;
                    self.write(format!("{response}\r\n").as_bytes()).await?;
                }
                // What is wrong comes as a question, which is answered so that the command ends. RFC 7628 §3.2.3.
                Response::Continue(_) if !why.is_empty() => {
                    return Err(Fault::Nonsense("an end of the log-in"));
                }
                Response::Continue(text) => {
                    let told = STANDARD.decode(text.trim()).unwrap_or_default();
                    why = format!(" {}", String::from_utf8_lossy(&told));
                    let answer = if mechanism == "XOAUTH2" { "" } else { "AQ==" };
                    self.write(format!("{answer}\r\n").as_bytes()).await?;
                }
                Response::Status { tag: Some(ended), status, code, text } if ended == tag => {
                    if status != Status::Ok {
                        return Err(Fault::LoginRefused(format!("{text}{why}")));
                    }
                    self.capabilities.clear();
                    self.learn(code.as_ref());
                    return Ok(());
                }
                Response::Status { tag: None, status: Status::Bye, .. } => {
                    return Err(Fault::Closed);
                }
                Response::Status { .. } | Response::Numbered(..) | Response::Data(..) => {}
            }
        }
    }

    /// Sends a command and hears all that is said to it.
    pub(super) async fn command(&mut self, text: &str) -> Result<Said, Fault> {
        let tag = self.send(text).await?;
        self.hear(&tag).await
    }

    /// Sends a command that the server answers with a question, and answers that.
    async fn answering(&mut self, text: &str, answer: &str) -> Result<Said, Fault> {
        let tag = self.send(text).await?;
        match self.response().await? {
            Response::Continue(_) => {
                self.write(format!("{answer}\r\n").as_bytes()).await?;
                self.hear(&tag).await
            }
            Response::Status { tag: Some(_), text, .. } => Err(Fault::Refused(text)),
            Response::Status { .. } | Response::Numbered(..) | Response::Data(..) => {
                Err(Fault::Nonsense("a question"))
            }
        }
    }

    /// Sends a command; its tag.
    pub(super) async fn send(&mut self, text: &str) -> Result<String, Fault> {
        self.tag += 1;
        self.came = 0;
        let tag = format!("e{}", self.tag);
        self.write(format!("{tag} {text}\r\n").as_bytes()).await?;
        Ok(tag)
    }

    /// Hears all up to the end of a command.
    pub(super) async fn hear(&mut self, tag: &str) -> Result<Said, Fault> {
        let mut said = Said::default();
        loop {
            match self.response().await? {
                Response::Status { tag: Some(ended), status, code, text } => {
                    if ended != tag {
                        return Err(Fault::Nonsense("an answer to what was asked"));
                    }
                    self.learn(code.as_ref());
                    said.code = code;
                    return match status {
                        Status::Ok => Ok(said),
                        Status::No | Status::Bad | Status::Bye | Status::PreAuth => {
                            Err(Fault::Refused(text))
                        }
                    };
                }
                Response::Status { tag: None, status: Status::Bye, .. } => {
                    return Err(Fault::Closed);
                }
                response if said.responses.len() < RESPONSES_MAX => said.responses.push(response),
                Response::Continue(_)
                | Response::Status { .. }
                | Response::Numbered(..)
                | Response::Data(..) => return Err(Fault::Nonsense("an end of its answers")),
            }
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let write = async {
            match &mut self.wire {
                Wire::Plain(stream) => stream.write_all(bytes).await,
                Wire::Tls(stream) => {
                    stream.write_all(bytes).await?;
                    stream.flush().await
                }
            }
        };
        let written = timeout(self.patience, write).await;
        written.map_err(|_| Fault::Timeout(self.patience))?.map_err(broken)
    }

    /// The next response. Each piece of it must come in time: a server that sends a byte now and then is slow, not silent.
    async fn response(&mut self) -> Result<Response, Fault> {
        loop {
            match self.framer.next() {
                Some(ResponseFrame::Response(bytes)) => {
                    return Response::parse(&bytes).ok_or(Fault::Nonsense("IMAP"));
                }
                Some(ResponseFrame::TooLarge) => return Err(Fault::Nonsense("less than 384 MiB")),
                None => {}
            }
            let read = async {
                match &mut self.wire {
                    Wire::Plain(stream) => stream.read(&mut self.buffer).await,
                    Wire::Tls(stream) => stream.read(&mut self.buffer).await,
                }
            };
            let read = timeout(self.patience, read).await;
            let count = read.map_err(|_| Fault::Timeout(self.patience))?.map_err(broken)?;
            if count == 0 {
                return Err(Fault::Closed);
            }
            self.came += count;
            if self.came > self.bytes_max {
                return Err(Fault::Nonsense("an answer with an end"));
            }
            self.framer.push(self.buffer.get(..count).unwrap_or_default());
        }
    }

    /// Opens a mailbox, unless it is open already; what its UIDs are valid with.
    pub(super) async fn select(&mut self, mailbox: &str, mode: Mode) -> Result<u32, Fault> {
        if let Some(opened) = &self.opened
            && opened.mailbox == mailbox
            && (opened.mode == mode || opened.mode == Mode::Write)
        {
            return Ok(opened.uid_validity);
        }
        self.opened = None;
        let word = if mode == Mode::Write { "SELECT" } else { "EXAMINE" };
        // Names in UTF-8 want UTF8=ACCEPT, or a server of IMAP4rev2 only. RFC 9051 §5.1.
        let name = write::astring(&modified_utf7(mailbox));
        let said = self.command(&format!("{word} {name}")).await.map_err(|fault| {
            refused(fault, |said| Fault::NotFound(format!("the mailbox {mailbox}: {said}")))
        })?;
        let found = said.responses.iter().find_map(|response| match response {
            Response::Status { code: Some((word, values)), .. } if word == "UIDVALIDITY" => {
                values.first().and_then(Value::number)
            }
            Response::Status { .. }
            | Response::Continue(_)
            | Response::Numbered(..)
            | Response::Data(..) => None,
        });
        let uid_validity = found.and_then(|number| u32::try_from(number).ok());
        let uid_validity = uid_validity.ok_or(Fault::Nonsense("UIDVALIDITY"))?;
        self.opened = Some(Opened { mailbox: mailbox.to_owned(), mode, uid_validity });
        Ok(uid_validity)
    }

    /// Whether the server is still there; idle connections are closed by many.
    pub(super) async fn is_alive(&mut self) -> bool {
        let asked = timeout(self.patience.min(ALIVE_WAIT), self.command("NOOP")).await;
        matches!(asked, Ok(Ok(_)))
    }

    /// Says goodbye, without waiting for an answer.
    pub(super) async fn leave(mut self) {
        // Whoever does not hear it finds out.
        let _ = self.send("LOGOUT").await;
    }
}

/// What a refusal means here.
fn refused(fault: Fault, meaning: impl FnOnce(String) -> Fault) -> Fault {
    if let Fault::Refused(said) = fault { meaning(said) } else { fault }
}

fn words(values: &[Value]) -> Vec<String> {
    values.iter().filter_map(Value::text).map(|word| word.to_ascii_uppercase()).collect()
}

/// A password in quotes; one that cannot stand so would need a literal, and AUTH=PLAIN takes it.
fn quoted(password: &str) -> Result<String, Fault> {
    let fits = password.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    if !fits {
        return Err(Fault::Password(
            "the server has no AUTH=PLAIN, and it is not ASCII".to_owned(),
        ));
    }
    Ok(format!("\"{}\"", password.replace('\\', "\\\\").replace('"', "\\\"")))
}

#[expect(clippy::needless_pass_by_value, reason = "it is mapped over")]
fn broken(error: io::Error) -> Fault {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    if [UnexpectedEof, ConnectionReset, BrokenPipe].contains(&error.kind()) {
        Fault::Closed
    } else {
        Fault::Unreachable(error.to_string())
    }
}

async fn password(server: &Server) -> Result<String, Fault> {
    let Some(path) = server.password_file.clone() else {
        return Err(Fault::Password("mail.servers.password_file is not set".to_owned()));
    };
    let read = tokio::task::spawn_blocking(move || {
        std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))
    });
    let text = read.await.map_err(|_| Fault::Died)?.map_err(Fault::Password)?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

async fn connect(server: &Server) -> Result<TcpStream, Fault> {
    let host = server.host.trim_matches(['[', ']']);
    let found = timeout(CONNECT_WAIT, tokio::net::lookup_host((host, server.port))).await;
    let addresses = found
        .map_err(|_| Fault::Unreachable(format!("the name {host} is not answered")))?
        .map_err(|error| Fault::Unreachable(format!("{host}: {error}")))?;
    let mut last = format!("{host} has no address");
    for address in addresses {
        match timeout(CONNECT_WAIT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // What is written is a whole command.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => last = format!("{address}: {error}"),
            Err(_) => last = format!("{address}: no answer"),
        }
    }
    Err(Fault::Unreachable(last))
}

async fn secure(wire: Wire, server: &Server, patience: Duration) -> Result<Wire, Fault> {
    let Wire::Plain(stream) = wire else { return Ok(wire) };
    let ca_file = server.ca_file.clone();
    let config = tokio::task::spawn_blocking(move || tls(ca_file.as_deref())).await;
    let config = config.map_err(|_| Fault::Died)?.map_err(Fault::Tls)?;
    let host = server.host.trim_matches(['[', ']']).to_owned();
    let name = ServerName::try_from(host).map_err(|error| Fault::Tls(error.to_string()))?;
    let shaken = timeout(patience, TlsConnector::from(config).connect(name, stream)).await;
    let stream = shaken.map_err(|_| Fault::Timeout(patience))?.map_err(|error| {
        let hint = if error.to_string().contains("UnknownIssuer") {
            "; its certificate can be trusted by mail.servers.ca_file"
        } else {
            ""
        };
        Fault::Tls(format!("{error}{hint}"))
    })?;
    Ok(Wire::Tls(Box::new(stream)))
}

/// How many certificates to be trusted a file has.
///
/// # Errors
/// It cannot be read, or has none.
pub fn certificates_in(file: &std::path::Path) -> Result<usize, String> {
    let mut roots = RootCertStore::empty();
    trust(file, &mut roots)?;
    Ok(roots.len())
}

fn trust(file: &std::path::Path, roots: &mut RootCertStore) -> Result<(), String> {
    let shown = file.display();
    let before = roots.len();
    let all = CertificateDer::pem_file_iter(file).map_err(|error| format!("{shown}: {error}"))?;
    for certificate in all {
        let certificate = certificate.map_err(|error| format!("{shown}: {error}"))?;
        roots.add(certificate).map_err(|error| format!("{shown}: {error}"))?;
    }
    if roots.len() == before { Err(format!("{shown}: it has no certificate")) } else { Ok(()) }
}

fn tls(ca_file: Option<&std::path::Path>) -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(file) = ca_file {
        trust(file, &mut roots)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}

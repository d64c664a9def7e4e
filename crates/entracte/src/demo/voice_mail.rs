//! A message on its way: a mail server brings it by LMTP, a call hears it, and a mail program sees that it was heard.

use std::net::SocketAddr;
use std::time::Duration;

use audio::tone;
use email::compose::base64_lines;
use mailbox::{Address, MessageStore, Query};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use super::stage::Stage;

/// Whose message it is.
pub(super) const USER: &str = "demo@voicemail.example";
/// What they log in with.
const PASSWORD: &str = "only for the demo";
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// What is said in the message.
pub(super) const TONE_HZ: f64 = 440.0;

/// A connection on which lines are said and answered.
pub(super) struct Line(BufReader<TcpStream>);

impl Line {
    /// Connects, and hears the greeting.
    pub(super) async fn open(address: SocketAddr) -> Result<Self, String> {
        let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
        let mut line = Self(BufReader::new(stream));
        line.hear().await?;
        Ok(line)
    }

    async fn hear(&mut self) -> Result<String, String> {
        let mut text = String::new();
        let read = tokio::time::timeout(PATIENCE, self.0.read_line(&mut text)).await;
        let count = read.map_err(|_| "no answer")?.map_err(|error| error.to_string())?;
        if count == 0 { Err("the connection was closed".to_owned()) } else { Ok(text) }
    }

    /// Says something, and hears all up to the line that begins so.
    pub(super) async fn ask(&mut self, text: &[u8], until: &str) -> Result<Vec<String>, String> {
        self.0.write_all(text).await.map_err(|error| error.to_string())?;
        let mut all = Vec::new();
        loop {
            let line = self.hear().await?;
            let last = line.starts_with(until);
            all.push(line.trim_end().to_owned());
            if last {
                return Ok(all);
            }
        }
    }
}

/// Where a protocol is spoken.
pub(super) fn door(stage: &Stage, protocol: &str) -> Result<SocketAddr, String> {
    let prefix = format!("{protocol}/tcp ");
    let found = stage.running.listens.iter().find_map(|door| door.strip_prefix(&prefix));
    found
        .and_then(|address| address.parse().ok())
        .ok_or_else(|| format!("{protocol} is not spoken"))
}

/// The user's mailbox, with a password; made on a thread that may wait for the disk.
pub(super) async fn mailbox(store: std::sync::Arc<MessageStore>) -> Result<(), String> {
    let made = tokio::task::spawn_blocking(move || {
        let address = Address::parse(USER).map_err(|error| error.to_string())?;
        store.create(&address).map_err(|error| error.to_string())?;
        let hash = web::hash_password(PASSWORD)?;
        store.set_password_hash(&address.unique, Some(hash)).map_err(|error| error.to_string())
    });
    made.await.map_err(|error| error.to_string())?
}

/// A voice message as a mail server sends it.
pub(super) fn message() -> Result<Vec<u8>, String> {
    let (mut tone, samples) =
        tone::parse(&format!("{TONE_HZ};ms=2000")).map_err(|e| e.to_string())?;
    let mut sound = vec![0; usize::try_from(samples).unwrap_or(0)];
    tone.fill(&mut sound);
    let wav = audio::wav::to_bytes(audio::wav::Format::TELEPHONE, &sound);
    let mut text = format!(
        "From: A caller <+4930123456@pbx.example>\r\nTo: <{USER}>\r\nSubject: Voice message\r\nMIME-Version: 1.0\r\n\
         Message-Context: voice-message\r\nContent-Type: multipart/mixed; boundary=\"demo\"\r\n\r\n\
         --demo\r\nContent-Type: text/plain\r\n\r\nTwo seconds of a tone.\r\n\
         --demo\r\nContent-Type: audio/x-wav; name=\"voice.wav\"\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    )
    .into_bytes();
    base64_lines(&wav, &mut text);
    text.extend_from_slice(b"--demo--\r\n.\r\n");
    Ok(text)
}

/// Brings a message by LMTP.
pub(super) async fn deliver(address: SocketAddr, message: &[u8]) -> Result<(), String> {
    let mut lmtp = Line::open(address).await?;
    lmtp.ask(b"LHLO demo\r\n", "250 ").await?;
    lmtp.ask(b"MAIL FROM:<+4930123456@pbx.example>\r\n", "250 ").await?;
    lmtp.ask(format!("RCPT TO:<{USER}>\r\n").as_bytes(), "250 ").await?;
    lmtp.ask(b"DATA\r\n", "354 ").await?;
    lmtp.ask(message, "250 ").await.map(drop)
}

/// A mail program that waits for what happens in the inbox.
pub(super) async fn waiting(address: SocketAddr) -> Result<Line, String> {
    let mut imap = Line::open(address).await?;
    imap.ask(format!("a LOGIN {USER} \"{PASSWORD}\"\r\n").as_bytes(), "a OK").await?;
    imap.ask(b"b SELECT INBOX\r\n", "b OK").await?;
    imap.ask(b"c IDLE\r\n", "+ ").await?;
    Ok(imap)
}

/// The URI of the only message.
pub(super) async fn uri(store: std::sync::Arc<MessageStore>) -> Result<String, String> {
    let listed = tokio::task::spawn_blocking(move || {
        let address = Address::parse(USER).map_err(|error| error.to_string())?;
        store.list(&address.unique, &Query::default()).map_err(|error| error.to_string())
    });
    let page = listed.await.map_err(|error| error.to_string())??;
    let row = page.rows.first().ok_or("the message is not listed")?;
    Ok(format!("fbmc:{USER}/{}", row.id))
}

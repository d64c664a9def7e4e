//! The radio station of the demo: an HTTP audio stream as an Icecast server sends it, with a burst
//! at the start, ICY titles between the audio, and a switch that takes it off the air.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The tune on the air: made by the project's own synthesiser, 64 kbit/s MP3, CC0.
pub static TUNE: &[u8] = include_bytes!("../../assets/demo-radio.mp3");

/// Bit rate of [`TUNE`], bytes a second.
const BYTES_PER_SECOND: u64 = 8_000;

/// What a new listener gets at once, as Icecast's `burst-size` has it.
const BURST_BYTES: u64 = 65_536;

/// Audio bytes between two titles.
const METADATA_INTERVAL: usize = 16_000;

/// How often the pace is kept.
const PACE: Duration = Duration::from_millis(1_000 / PACES_PER_SECOND);
const PACES_PER_SECOND: u64 = 20;

/// Bytes of a request that are read before it counts as nonsense.
const REQUEST_BYTES_MAX: usize = 8_192;

/// Whether the station sends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum OnAir {
    Yes,
    No,
}

/// A running station. Dropping it takes it off the air for good.
#[derive(Debug)]
pub struct Radio {
    address: SocketAddr,
    on_air: watch::Sender<OnAir>,
    title: watch::Sender<String>,
    task: JoinHandle<()>,
}

impl Radio {
    /// Starts a station on a free port of the loopback interface.
    ///
    /// # Errors
    /// When no port can be bound.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let (on_air, watching) = watch::channel(OnAir::Yes);
        let (title, titles) = watch::channel("Entracte - The Interval".to_owned());
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (watching, titles) = (watching.clone(), titles.clone());
                tokio::spawn(async move {
                    // A listener that hangs up is nothing to tell.
                    let _ = serve(stream, watching, titles).await;
                });
            }
        });
        Ok(Self { address, on_air, title, task })
    }

    /// Where it can be heard.
    pub fn url(&self) -> String {
        format!("http://{}/radio.mp3", self.address)
    }

    /// Ends every listener's connection and answers new ones with 404, as Icecast does for a mount
    /// whose feed is gone.
    pub fn cut(&self) {
        self.on_air.send_replace(OnAir::No);
    }

    /// Back on the air.
    pub fn restore(&self) {
        self.on_air.send_replace(OnAir::Yes);
    }

    /// Changes the title that listeners are told.
    pub fn announce(&self, title: &str) {
        self.title.send_replace(title.to_owned());
    }
}

impl Drop for Radio {
    fn drop(&mut self) {
        self.cut();
        self.task.abort();
    }
}

async fn serve(
    mut stream: TcpStream,
    mut on_air: watch::Receiver<OnAir>,
    titles: watch::Receiver<String>,
) -> io::Result<()> {
    let wants_titles = request(&mut stream).await?;
    if *on_air.borrow() == OnAir::No {
        let answer =
            "HTTP/1.0 404 File Not Found\r\nContent-Type: text/plain\r\n\r\nno such mount\n";
        return stream.write_all(answer.as_bytes()).await;
    }
    let interval =
        if wants_titles { format!("icy-metaint: {METADATA_INTERVAL}\r\n") } else { String::new() };
    let head = format!(
        "HTTP/1.0 200 OK\r\nServer: Entracte demo radio\r\nContent-Type: audio/mpeg\r\n\
         icy-name: Entracte demo radio\r\nicy-br: 64\r\n{interval}\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    let mut play = Play { at: 0, until_title: METADATA_INTERVAL, told: String::new() };
    let titles = wants_titles.then_some(titles);
    let mut clock = tokio::time::interval(PACE);
    let mut due = BURST_BYTES;
    loop {
        tokio::select! {
            _ = clock.tick() => {}
            changed = on_air.changed() => {
                if changed.is_err() || *on_air.borrow() == OnAir::No {
                    return Ok(());
                }
            }
        }
        let out = play.next(due, titles.as_ref());
        stream.write_all(&out).await?;
        due += BYTES_PER_SECOND / PACES_PER_SECOND;
    }
}

/// Reads the request; true when the listener wants titles.
async fn request(stream: &mut TcpStream) -> io::Result<bool> {
    let mut request = Vec::new();
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        let mut buffer = [0; 1_024];
        let length = stream.read(&mut buffer).await?;
        if length == 0 || request.len() > REQUEST_BYTES_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        request.extend_from_slice(buffer.get(..length).unwrap_or_default());
    }
    let request = String::from_utf8_lossy(&request).to_ascii_lowercase();
    Ok(request.lines().any(|line| line.replace(' ', "") == "icy-metadata:1"))
}

/// One listener's place in the tune.
struct Play {
    at: u64,
    until_title: usize,
    told: String,
}

impl Play {
    /// The bytes from where the listener is up to the place `due`, titles included.
    fn next(&mut self, due: u64, titles: Option<&watch::Receiver<String>>) -> Vec<u8> {
        let mut out = Vec::new();
        while self.at < due {
            let from = usize::try_from(self.at % TUNE.len() as u64).unwrap_or_default();
            let mut part = TUNE.get(from..).unwrap_or_default();
            let wanted = usize::try_from(due - self.at).unwrap_or(usize::MAX);
            part = part.get(..wanted).unwrap_or(part);
            if titles.is_some() {
                part = part.get(..self.until_title).unwrap_or(part);
            }
            out.extend_from_slice(part);
            self.at += part.len() as u64;
            if let Some(titles) = titles {
                self.until_title -= part.len();
                if self.until_title == 0 {
                    self.until_title = METADATA_INTERVAL;
                    out.extend_from_slice(&self.title(&titles.borrow()));
                }
            }
        }
        out
    }

    /// A title block: a length in units of 16 bytes, the text, zeros. Empty when nothing changed.
    fn title(&mut self, title: &str) -> Vec<u8> {
        if self.told == title {
            return vec![0];
        }
        title.clone_into(&mut self.told);
        let text = format!("StreamTitle='{}';", title.replace('\'', "’"));
        let units = text.len().div_ceil(16).min(255);
        let mut block = vec![u8::try_from(units).unwrap_or(u8::MAX)];
        block.extend_from_slice(text.as_bytes());
        block.resize(1 + units * 16, 0);
        block
    }
}

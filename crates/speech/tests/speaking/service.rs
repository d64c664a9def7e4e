//! A speech service that can be told to misbehave, on a port of its own.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use audio::wav::{self, Coding, Format};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// How it answers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Manner {
    /// Two seconds of a tone, at once, as headerless samples at 24 kHz.
    Pcm,
    /// The same as a WAV file.
    Wav,
    /// The same, in blocks with pauses between them, each heard before the next is made.
    Slowly,
    /// The first byte comes so late.
    Late(Duration),
    /// Half a second of sound, and then the connection breaks.
    Cut,
    /// Half a second of sound, and then nothing, the connection standing.
    Stall,
    /// A refusal with this status.
    Status(u16),
    /// A refusal that says when to come again.
    Busy(u64),
    /// 200, and an error page for a body.
    Page,
    /// 200, and words, said to be sound.
    Words,
    /// A sound that never ends.
    Endless,
    /// A WAV file of which half is missing, with no word of that from HTTP.
    Short,
    /// 200, and noise that is in no format.
    Garbage,
    /// Two seconds of silence.
    Silence,
    /// Nobody answers: the connection closes at once.
    Hangup,
}

/// The service; it ends when it is dropped.
pub(crate) struct Service {
    pub(crate) uri: String,
    asked: Arc<AtomicUsize>,
    bodies: Arc<Mutex<Vec<String>>>,
    manner: Arc<Mutex<Manner>>,
    task: JoinHandle<()>,
}

impl Drop for Service {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Service {
    pub(crate) async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}/v1/audio/speech", listener.local_addr().unwrap());
        let asked = Arc::new(AtomicUsize::new(0));
        let (bodies, manner) = (Arc::<Mutex<Vec<String>>>::default(), Arc::new(Mutex::new(manner)));
        let (count, kept, now) = (Arc::clone(&asked), Arc::clone(&bodies), Arc::clone(&manner));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (count, kept) = (Arc::clone(&count), Arc::clone(&kept));
                let manner = *now.lock().unwrap();
                tokio::spawn(async move {
                    // A client that goes away in the middle is what some tests are about.
                    let _ = serve(stream, manner, &count, &kept).await;
                });
            }
        });
        Self { uri, asked, bodies, manner, task }
    }

    /// How often a text was asked for.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// The bodies of the requests.
    pub(crate) fn bodies(&self) -> Vec<String> {
        self.bodies.lock().unwrap().clone()
    }

    pub(crate) fn behave(&self, manner: Manner) {
        *self.manner.lock().unwrap() = manner;
    }
}

async fn serve(
    mut stream: TcpStream,
    manner: Manner,
    asked: &AtomicUsize,
    bodies: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut request = Vec::new();
    let (head, length) = loop {
        let mut bytes = [0; 4_096];
        let read = stream.read(&mut bytes).await?;
        if read == 0 {
            return Ok(());
        }
        request.extend_from_slice(&bytes[..read]);
        let text = String::from_utf8_lossy(&request).into_owned();
        if let Some((head, _)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
            });
            break (head.to_owned(), length.unwrap_or(0));
        }
    };
    while request.len() < head.len() + 4 + length {
        let mut bytes = [0; 4_096];
        let read = stream.read(&mut bytes).await?;
        if read == 0 {
            return Ok(());
        }
        request.extend_from_slice(&bytes[..read]);
    }
    let body = String::from_utf8_lossy(&request[head.len() + 4..]).into_owned();
    bodies.lock().unwrap().push(body);
    asked.fetch_add(1, Ordering::SeqCst);
    answer(&mut stream, manner).await?;
    stream.shutdown().await
}

async fn answer(stream: &mut TcpStream, manner: Manner) -> std::io::Result<()> {
    let pcm = bytes_of(&tone(48_000));
    let ok = "HTTP/1.1 200 OK\r\nContent-Type: audio/x\r\nConnection: close\r\n";
    let whole = |body: &[u8]| {
        let mut all = format!("{ok}Content-Length: {}\r\n\r\n", body.len()).into_bytes();
        all.extend_from_slice(body);
        all
    };
    match manner {
        Manner::Pcm => stream.write_all(&whole(&pcm)).await,
        Manner::Wav => {
            let format = Format { coding: Coding::Pcm16, rate_hz: 24_000, channels: 1 };
            stream.write_all(&whole(&wav::to_bytes(format, &tone(48_000)))).await
        }
        Manner::Slowly => {
            stream.write_all(format!("{ok}\r\n").as_bytes()).await?;
            for block in pcm.chunks(9_600) {
                stream.write_all(block).await?;
                stream.flush().await?;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Ok(())
        }
        Manner::Late(span) => {
            tokio::time::sleep(span).await;
            stream.write_all(&whole(&pcm)).await
        }
        Manner::Cut => {
            let head = format!("{ok}Content-Length: {}\r\n\r\n", pcm.len());
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(&pcm[..24_000]).await
        }
        Manner::Stall => {
            let head = format!("{ok}Content-Length: {}\r\n\r\n", pcm.len());
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(&pcm[..24_000]).await?;
            tokio::time::sleep(Duration::from_secs(30)).await;
            Ok(())
        }
        Manner::Status(_) | Manner::Busy(_) | Manner::Page => refuse(stream, manner).await,
        Manner::Words => stream.write_all(&whole("Kein Guthaben für heute".as_bytes())).await,
        Manner::Endless => {
            stream.write_all(format!("{ok}\r\n").as_bytes()).await?;
            loop {
                stream.write_all(&pcm).await?;
            }
        }
        Manner::Short => {
            let format = Format { coding: Coding::Pcm16, rate_hz: 24_000, channels: 1 };
            let file = wav::to_bytes(format, &tone(48_000));
            stream.write_all(format!("{ok}\r\n").as_bytes()).await?;
            stream.write_all(&file[..file.len() / 2]).await
        }
        Manner::Garbage => stream.write_all(&whole(&[0x55; 5_000])).await,
        Manner::Silence => stream.write_all(&whole(&vec![0; 96_000])).await,
        Manner::Hangup => Ok(()),
    }
}

/// What is no sound, and says so.
async fn refuse(stream: &mut TcpStream, manner: Manner) -> std::io::Result<()> {
    let answer = if let Manner::Status(status) = manner {
        let body = r#"{"error": {"code": "out_of_order", "message": "Hello world"}}"#;
        let length = body.len();
        format!("HTTP/1.1 {status} No\r\nContent-Length: {length}\r\n\r\n{body}")
    } else if let Manner::Busy(seconds) = manner {
        let head = "HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0";
        format!("{head}\r\nRetry-After: {seconds}\r\n\r\n")
    } else {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nConnection: close";
        format!("{head}\r\n\r\n<html><body>Schöne Grüße</body></html>")
    };
    stream.write_all(answer.as_bytes()).await
}

/// A tone of 440 Hz at 24 kHz.
fn tone(count: usize) -> Vec<i16> {
    let cycle: Vec<i16> = (0..600_u16)
        .map(|n| {
            let phase = f64::from(n) * 2.0 * std::f64::consts::PI * 440.0 / 24_000.0;
            #[expect(clippy::cast_possible_truncation, reason = "at most 10,000")]
            let sample = (phase.sin() * 10_000.0) as i16;
            sample
        })
        .collect();
    cycle.into_iter().cycle().take(count).collect()
}

fn bytes_of(samples: &[i16]) -> Vec<u8> {
    samples.iter().flat_map(|sample| sample.to_le_bytes()).collect()
}

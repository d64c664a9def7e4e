//! Files, a web server and a speech helper for one test.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::subject::Subject;

/// A folder that is gone when the test is.
pub(crate) struct Folder(conformance::Folder);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(conformance::Folder::create())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn put(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// A tone of `hz` made by ffmpeg, in whatever format the name and the arguments say.
    pub(crate) fn tone(&self, name: &str, hz: u32, seconds: f32, arguments: &[&str]) -> PathBuf {
        let path = self.path().join(name);
        let source = format!("sine=frequency={hz}:duration={seconds}:sample_rate=44100,volume=4");
        let made = Command::new("ffmpeg")
            .args(["-hide_banner", "-loglevel", "error", "-y", "-f", "lavfi", "-i", &source])
            .args(arguments)
            .arg(&path)
            .status()
            .expect("ffmpeg is installed");
        assert!(made.success(), "ffmpeg makes no {name}");
        path
    }

    /// A server of ours that may play the files of this folder.
    pub(crate) fn subject(&self, settings: &[&str]) -> Subject {
        let roots = format!("media.roots=['{}']", self.path().display());
        let mut all = vec![roots.as_str()];
        all.extend_from_slice(settings);
        Subject::with(&all)
    }
}

/// How a web server answers one path.
#[derive(Clone)]
pub(crate) enum Page {
    /// 200 with this type and body.
    Body(&'static str, Vec<u8>),
    /// This status and nothing.
    Status(u16),
    /// Nothing, for ever.
    Silence,
    /// Zeros without end, as audio/wav.
    Endless,
}

/// Serves pages over HTTP until the process ends.
pub(crate) fn web(pages: Vec<(&'static str, Page)>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (Ok(stream), pages) = (stream, pages.clone()) else { continue };
            std::thread::spawn(move || serve(stream, &pages));
        }
    });
    address
}

fn serve(mut stream: TcpStream, pages: &[(&'static str, Page)]) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && head.len() < 8_192 {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            Ok(_) | Err(_) => return,
        }
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<u64>().ok())?
    });
    // What is posted is taken whole, or its sender would see a reset.
    let _ = std::io::copy(&mut (&stream).take(length.unwrap_or(0)), &mut std::io::sink());
    let path = text.split(' ').nth(1).unwrap_or_default();
    let page = pages.iter().find(|(name, _)| *name == path).map(|(_, page)| page.clone());
    // Whoever asked may be gone before the end.
    let _ = match page.unwrap_or(Page::Status(404)) {
        Page::Body(kind, body) => {
            let length = body.len();
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\
                 Connection: close\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body))
        }
        Page::Status(status) => stream.write_all(
            format!("HTTP/1.1 {status} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                .as_bytes(),
        ),
        Page::Silence => {
            std::thread::sleep(Duration::from_secs(20));
            Ok(())
        }
        Page::Endless => {
            let head = "HTTP/1.1 200 OK\r\nContent-Type: audio/wav\r\nConnection: close\r\n\r\n";
            let format = audio::wav::Format::TELEPHONE.header(None);
            let mut done = stream.write_all(head.as_bytes());
            done = done.and_then(|()| stream.write_all(&format));
            while done.is_ok() {
                done = stream.write_all(&[0; 16_384]);
            }
            done
        }
    };
}

/// The speech helper, built if need be.
pub(crate) fn helper() -> PathBuf {
    conformance::entracte().with_file_name("speech-espeak")
}

/// A server of ours that speaks, by eSpeak NG if nothing else is set.
pub(crate) fn speaking(settings: &[&str]) -> Subject {
    let helper = format!("text_to_speech.helper_path={}", helper().display());
    let ground = ["text_to_speech.helpers=1", "text_to_speech.built_in=espeak"];
    let mut all = vec![helper.as_str()];
    all.extend(ground);
    all.extend_from_slice(settings);
    Subject::speaking(&all)
}

/// A document around `content`.
pub(crate) fn ssml(content: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?><speak version=\"1.1\" xml:lang=\"en-US\" \
         xmlns=\"http://www.w3.org/2001/10/synthesis\">{content}</speak>"
    )
}

/// How much of the energy of `samples` is at `hz`, 0 to 1.
pub(crate) fn share(samples: &[i16], hz: f64) -> f64 {
    let (mut real, mut imaginary, mut all) = (0.0_f64, 0.0_f64, 0.0_f64);
    for (number, sample) in samples.iter().enumerate() {
        let angle = std::f64::consts::TAU * hz * number as f64 / 8_000.0;
        let value = f64::from(*sample);
        real += value * angle.cos();
        imaginary += value * angle.sin();
        all += value * value;
    }
    2.0 * (real * real + imaginary * imaginary) / (samples.len() as f64 * all.max(1.0))
}

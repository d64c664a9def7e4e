//! MRCPv2 as bytes on one connection.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::sip_line::PATIENCE;

/// One connection.
pub(crate) struct MrcpLine {
    pub(crate) stream: TcpStream,
    waiting: Vec<u8>,
}

impl MrcpLine {
    pub(crate) fn open(server: SocketAddr) -> Self {
        let stream = TcpStream::connect(server).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, waiting: Vec::new() }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    pub(crate) fn next_within(&mut self, patience: Duration) -> Option<Told> {
        let end = Instant::now() + patience;
        let mut room = vec![0; 70_000];
        loop {
            if let Some(told) = self.cut() {
                return Some(told);
            }
            let left = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
            self.stream.set_read_timeout(Some(left)).unwrap();
            match self.stream.read(&mut room) {
                // A read with a time limit ends when a child does (SIGCHLD), whatever SA_RESTART says.
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => return None,
                Ok(length) => self.waiting.extend_from_slice(&room[..length]),
            }
        }
    }

    #[track_caller]
    pub(crate) fn next(&mut self) -> Told {
        self.next_within(PATIENCE).expect("no message came")
    }

    pub(crate) fn is_closed(&mut self) -> bool {
        self.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        matches!(self.stream.read(&mut [0; 1_000]), Ok(0))
    }

    fn cut(&mut self) -> Option<Told> {
        let line_end = self.waiting.windows(2).position(|two| two == b"\r\n")?;
        let line = String::from_utf8_lossy(&self.waiting[..line_end]).into_owned();
        let length: usize = line.split(' ').nth(1).and_then(|word| word.parse().ok()).expect(&line);
        if self.waiting.len() < length {
            return None;
        }
        let bytes: Vec<u8> = self.waiting.drain(..length).collect();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let (head, _) = text.split_once("\r\n\r\n").expect("headers end");
        Some(Told { at: Instant::now(), head: head.to_owned() })
    }
}

/// A response or an event.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) at: Instant,
    pub(crate) head: String,
}

impl Told {
    fn word(&self, place: usize) -> &str {
        self.head.split("\r\n").next().unwrap_or_default().split(' ').nth(place).unwrap_or_default()
    }

    /// `200 COMPLETE` of a response, `SPEAK-COMPLETE COMPLETE` of an event.
    pub(crate) fn what(&self) -> String {
        if self.is_event() {
            format!("{} {}", self.word(2), self.word(4))
        } else {
            format!("{} {}", self.word(3), self.word(4))
        }
    }

    pub(crate) fn is_event(&self) -> bool {
        self.word(3).parse::<u32>().is_ok() && self.word(2).parse::<u32>().is_err()
    }

    pub(crate) fn id(&self) -> u32 {
        let place = if self.is_event() { 3 } else { 2 };
        self.word(place).parse().unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.split("\r\n").skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The header, or nothing.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.header(name).unwrap_or_default()
    }
}

/// A request with the length that it has; header lines without line ends.
pub(crate) fn request(method: &str, id: u32, headers: &[&str], body: &[u8]) -> Vec<u8> {
    let mut rest = format!(" {method} {id}\r\n");
    for header in headers {
        rest.push_str(header);
        rest.push_str("\r\n");
    }
    if !body.is_empty() {
        rest.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    rest.push_str("\r\n");
    let short = "MRCP/2.0 ".len() + rest.len() + body.len();
    let digits = (1..20).find(|digits| (short + digits).to_string().len() == *digits).unwrap();
    let mut bytes = format!("MRCP/2.0 {}{rest}", short + digits).into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

//! SIP as bytes on one socket.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

/// How long an answer may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(3);

/// How long is waited for what must not come.
pub(crate) const QUIET: Duration = Duration::from_millis(250);

/// One socket.
pub(crate) enum Line {
    Udp(UdpSocket),
    Tcp(TcpStream, Vec<u8>),
}

impl Line {
    pub(crate) fn udp(server: SocketAddr) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(server).unwrap();
        Self::Udp(socket)
    }

    pub(crate) fn tcp(server: SocketAddr) -> Self {
        let stream = TcpStream::connect(server).unwrap();
        stream.set_nodelay(true).unwrap();
        Self::Tcp(stream, Vec::new())
    }

    pub(crate) fn local(&self) -> SocketAddr {
        match self {
            Self::Udp(socket) => socket.local_addr().unwrap(),
            Self::Tcp(stream, _) => stream.local_addr().unwrap(),
        }
    }

    pub(crate) fn transport(&self) -> &'static str {
        match self {
            Self::Udp(_) => "UDP",
            Self::Tcp(..) => "TCP",
        }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        match self {
            Self::Udp(socket) => assert_eq!(socket.send(bytes).unwrap(), bytes.len()),
            Self::Tcp(stream, _) => stream.write_all(bytes).unwrap(),
        }
    }

    /// The next message within `patience`.
    pub(crate) fn next_within(&mut self, patience: Duration) -> Option<Message> {
        let end = Instant::now() + patience;
        let mut room = vec![0; 70_000];
        loop {
            if let Self::Tcp(_, waiting) = self
                && let Some(message) = cut(waiting)
            {
                return Some(message);
            }
            let left = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
            match self {
                Self::Udp(socket) => {
                    socket.set_read_timeout(Some(left)).unwrap();
                    let length = socket.recv(&mut room).ok()?;
                    return Message::read(&room[..length]);
                }
                Self::Tcp(stream, waiting) => {
                    stream.set_read_timeout(Some(left)).unwrap();
                    match stream.read(&mut room) {
                        Ok(0) | Err(_) => return None,
                        Ok(length) => waiting.extend_from_slice(&room[..length]),
                    }
                }
            }
        }
    }

    pub(crate) fn next(&mut self) -> Option<Message> {
        self.next_within(PATIENCE)
    }

    /// The next response that is final.
    #[track_caller]
    pub(crate) fn answer(&mut self) -> Message {
        loop {
            let message = self.next().expect("no answer came");
            if message.status() >= 200 {
                return message;
            }
        }
    }

    /// Whether a stream's other end has closed it.
    pub(crate) fn is_closed(&mut self) -> bool {
        let Self::Tcp(stream, _) = self else { return false };
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        matches!(stream.read(&mut [0; 1_000]), Ok(0))
    }
}

fn cut(waiting: &mut Vec<u8>) -> Option<Message> {
    // The answer to a keep-alive. RFC 5626 §3.5.1.
    let blank = waiting.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    waiting.drain(..blank);
    let end = waiting.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&waiting[..end]).into_owned();
    let length = header(&head, "Content-Length").and_then(|text| text.parse().ok()).unwrap_or(0);
    if waiting.len() < end + length {
        return None;
    }
    let bytes: Vec<u8> = waiting.drain(..end + length).collect();
    Message::read(&bytes)
}

fn header(head: &str, name: &str) -> Option<String> {
    head.split("\r\n").skip(1).find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.trim().eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
    })
}

/// A message as it came.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Message {
    fn read(bytes: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n")?;
        Some(Self { head: head.to_owned(), body: body.to_owned() })
    }

    /// 0 for a request.
    pub(crate) fn status(&self) -> u16 {
        let words = self.head.strip_prefix("SIP/2.0 ").and_then(|rest| rest.split(' ').next());
        words.and_then(|word| word.parse().ok()).unwrap_or(0)
    }

    pub(crate) fn first_line(&self) -> &str {
        self.head.split("\r\n").next().unwrap_or_default()
    }

    pub(crate) fn header(&self, name: &str) -> Option<String> {
        header(&self.head, name)
    }
}

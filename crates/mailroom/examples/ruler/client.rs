//! The client of both.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use crate::Outcome;

/// 30 seconds of GSM at 13 kbit/s.
const AUDIO_BYTES: usize = 48_750;

/// A voice message with its sound in base64, and the dot that ends it.
pub(crate) fn message() -> Vec<u8> {
    let mut x = 0x9e37_79b9_7f4a_7c15_u64;
    let mut sound = Vec::with_capacity(AUDIO_BYTES + 8);
    while sound.len() < AUDIO_BYTES {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        sound.extend(x.to_le_bytes());
    }
    sound.truncate(AUDIO_BYTES);
    let mut text = "From: \"A caller\" <+4930123456@example.com>\r\nTo: <somebody@example.com>\r\n\
        Date: Fri, 20 Nov 2026 09:00:00 +0000\r\nMessage-ID: <ruler@example.com>\r\nSubject: Voice message\r\n\
        MIME-Version: 1.0\r\nMessage-Context: voice-message\r\nContent-Duration: 30\r\n\
        Content-Type: multipart/voice-message; version=2.0; boundary=\"ruler\"\r\n\r\n\
        --ruler\r\nContent-Type: text/plain\r\n\r\nA voice message of 30 seconds.\r\n\
        --ruler\r\nContent-Type: audio/gsm\r\nContent-Transfer-Encoding: base64\r\n\
        Content-Disposition: inline; voice=Voice-Message; filename=\"voice.gsm\"\r\n\r\n"
        .as_bytes()
        .to_vec();
    email::compose::base64_lines(&sound, &mut text);
    text.extend_from_slice(b"--ruler--\r\n.\r\n");
    text
}

/// A connection that delivers.
pub(crate) struct Lmtp {
    to: TcpStream,
    from: BufReader<TcpStream>,
}

impl Lmtp {
    pub(crate) fn connect(address: SocketAddr) -> Outcome<Self> {
        let to = TcpStream::connect(address)?;
        to.set_nodelay(true)?;
        let mut lmtp = Self { from: BufReader::new(to.try_clone()?), to };
        lmtp.answer("220")?;
        lmtp.say(b"LHLO ruler\r\n", "250")?;
        Ok(lmtp)
    }

    fn say(&mut self, what: &[u8], wanted: &str) -> Outcome {
        self.to.write_all(what)?;
        self.answer(wanted)
    }

    fn answer(&mut self, wanted: &str) -> Outcome {
        loop {
            let mut line = String::new();
            self.from.read_line(&mut line)?;
            if !line.starts_with(wanted) {
                return Err(format!("{line:?} and not {wanted}").into());
            }
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok(());
            }
        }
    }

    /// Delivers one message: when it returns, it was acknowledged.
    pub(crate) fn deliver(&mut self, mailbox: &str, message: &[u8]) -> Outcome {
        self.say(b"MAIL FROM:<caller@example.com>\r\n", "250")?;
        self.say(format!("RCPT TO:<{mailbox}>\r\n").as_bytes(), "250")?;
        self.say(b"DATA\r\n", "354")?;
        self.say(message, "250")
    }
}

/// A connection that reads.
pub(crate) struct Imap {
    to: TcpStream,
    from: BufReader<TcpStream>,
    tag: u32,
}

impl Imap {
    pub(crate) fn connect(address: SocketAddr, user: &str) -> Outcome<Self> {
        let to = TcpStream::connect(address)?;
        to.set_nodelay(true)?;
        let from = BufReader::with_capacity(256 << 10, to.try_clone()?);
        let mut imap = Self { from, to, tag: 0 };
        let mut greeting = String::new();
        imap.from.read_line(&mut greeting)?;
        imap.ask(&format!("LOGIN {user} secret"))?;
        Ok(imap)
    }

    /// Asks, reads all that is answered, literals too, and counts the untagged answers.
    pub(crate) fn ask(&mut self, command: &str) -> Outcome<usize> {
        self.tag += 1;
        let tag = format!("t{}", self.tag);
        self.to.write_all(format!("{tag} {command}\r\n").as_bytes())?;
        let (mut count, mut line, mut skipped) = (0, Vec::new(), Vec::new());
        loop {
            line.clear();
            if self.from.read_until(b'\n', &mut line)? == 0 {
                return Err(format!("{command}: closed").into());
            }
            let text = String::from_utf8_lossy(&line);
            let text = text.trim_end();
            if let Some(length) = text.strip_suffix('}').and_then(|text| text.rsplit_once('{')) {
                let length: u64 = length.1.parse()?;
                skipped.clear();
                self.from.by_ref().take(length).read_to_end(&mut skipped)?;
                continue;
            }
            if text.starts_with("* ") {
                count += 1;
            }
            if let Some(rest) = text.strip_prefix(&*tag).and_then(|rest| rest.strip_prefix(' ')) {
                return if rest.starts_with("OK") {
                    Ok(count)
                } else {
                    Err(format!("{command}: {text}").into())
                };
            }
        }
    }
}

//! One source from RTP, unicast or multicast, as studios send it: RFC 3550, RFC 3551 §6, RFC 3190.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use audio::telephone::Converter;
use audio::{Gain, Law, g711};
use reqwest::Url;
use rtp::Packet;

use crate::backoff::Backoff;
use crate::board::{Reporter, now};
use crate::config::Settings;
use crate::folder::Stop;
use crate::intake::{Closed, Door, Flow, Inlet};
use crate::leveller::Leveller;
use crate::state::Trouble;

/// How late a wish from outside may be noticed.
const LOOK: Duration = Duration::from_millis(20);
/// Packets that may wait for one that is missing before it counts as lost.
const REORDER_MAX: usize = 4;
/// A longer gap between two packets is no loss: the sender began anew.
const GAP_MAX: Duration = Duration::from_millis(500);
/// So many late packets in a row are a sender that has begun anew. RFC 3550 A.1 takes two.
const BEHIND_MAX: u32 = 4;
/// Another sender is listened to only after the one before was silent for this long.
const HANDOVER: Duration = Duration::from_millis(500);
/// Bytes of the largest datagram.
const DATAGRAM_BYTES_MAX: usize = 9_216;
/// The most channels.
const CHANNELS_MAX: u16 = 8;

/// Where audio comes to by RTP, and how it is written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RtpAddress {
    /// The group that is joined, or the address of ours that it is sent to.
    address: SocketAddr,
    /// The interface by which a group is joined; the system picks one when it is unspecified.
    interface: Ipv4Addr,
    /// What a dynamic payload type means. RFC 3551 §3.
    format: Option<Format>,
}

/// How samples are written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Format {
    encoding: Encoding,
    rate_hz: u32,
    channels: u16,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Encoding {
    Mu,
    A,
    L16,
    L24,
}

impl Encoding {
    const fn bytes(self) -> usize {
        match self {
            Self::Mu | Self::A => 1,
            Self::L16 => 2,
            Self::L24 => 3,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Mu => "PCMU",
            Self::A => "PCMA",
            Self::L16 => "L16",
            Self::L24 => "L24",
        }
    }

    fn read(name: &str) -> Option<Self> {
        let all = [Self::Mu, Self::A, Self::L16, Self::L24];
        all.into_iter().find(|encoding| encoding.name().eq_ignore_ascii_case(name))
    }
}

impl Format {
    /// What a static payload type means. RFC 3551 §6.
    fn of(payload_type: u8) -> Option<Self> {
        let format = |encoding, rate_hz, channels| Some(Self { encoding, rate_hz, channels });
        match payload_type {
            0 => format(Encoding::Mu, 8_000, 1),
            8 => format(Encoding::A, 8_000, 1),
            10 => format(Encoding::L16, 44_100, 2),
            11 => format(Encoding::L16, 44_100, 1),
            _ => None,
        }
    }

    /// Appends the frames of a payload, averaged; full scale is 1.0.
    fn decode(self, payload: &[u8], mono: &mut Vec<f32>) {
        let sample = |bytes: &[u8]| match (self.encoding, bytes) {
            (Encoding::Mu, [code]) => f32::from(g711::decode_one(Law::Mu, *code)) / 32_768.0,
            (Encoding::A, [code]) => f32::from(g711::decode_one(Law::A, *code)) / 32_768.0,
            (Encoding::L16, [a, b]) => f32::from(i16::from_be_bytes([*a, *b])) / 32_768.0,
            (Encoding::L24, [a, b, c]) => {
                let wide = i32::from_be_bytes([*a, *b, *c, 0]);
                #[expect(clippy::cast_precision_loss, reason = "24 bits fit")]
                let sample = (wide >> 8) as f32 / 8_388_608.0;
                sample
            }
            _ => 0.0,
        };
        let width = self.encoding.bytes();
        let share = 1.0 / f32::from(self.channels.max(1));
        let frames = payload.chunks_exact(width * usize::from(self.channels.max(1)));
        mono.extend(frames.map(|f| f.chunks_exact(width).map(sample).sum::<f32>() * share));
    }

    fn frames(self, payload: &[u8]) -> usize {
        payload.len() / (self.encoding.bytes() * usize::from(self.channels.max(1)))
    }
}

impl RtpAddress {
    /// Reads `rtp://239.1.2.3:5004?encoding=L24&rate=48000&channels=2&interface=192.0.2.7`. What stands
    /// behind the question mark is needed only for a dynamic payload type, and for a group that is not
    /// to be joined by the interface that the system would pick.
    pub(crate) fn parse(url: &Url) -> Option<Self> {
        let ip: IpAddr = url.host_str()?.trim_matches(['[', ']']).parse().ok()?;
        let address = SocketAddr::new(ip, url.port().filter(|port| *port > 0)?);
        let mut interface = Ipv4Addr::UNSPECIFIED;
        let (mut encoding, mut rate_hz, mut channels) = (None, None, None);
        for (key, value) in url.query_pairs() {
            match key.as_ref() {
                "encoding" => encoding = Some(Encoding::read(&value)?),
                "rate" => rate_hz = Some(value.parse().ok()?),
                "channels" => channels = Some(value.parse().ok()?),
                "interface" => interface = value.parse().ok()?,
                _ => return None,
            }
        }
        let format = match (encoding, rate_hz, channels) {
            (None, None, None) => None,
            (Some(encoding), rate_hz, channels) => {
                let telephone = matches!(encoding, Encoding::Mu | Encoding::A);
                let rate_hz = rate_hz.unwrap_or(if telephone { 8_000 } else { 48_000 });
                Some(Format { encoding, rate_hz, channels: channels.unwrap_or(1) })
            }
            (None, _, _) => return None,
        };
        let fits = format.is_none_or(|format| {
            (1..=CHANNELS_MAX).contains(&format.channels) && Converter::new(format.rate_hz).is_ok()
        });
        fits.then_some(Self { address, interface, format })
    }
}

impl fmt::Display for RtpAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rtp://{}", self.address)
    }
}

/// What drives one such source, on a thread of its own.
#[derive(Debug)]
pub(crate) struct Studio {
    pub(crate) from: RtpAddress,
    pub(crate) gain: Gain,
    pub(crate) loudness_lufs: Option<f64>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) intake: Door,
    pub(crate) board: Reporter,
    pub(crate) stop: Arc<Stop>,
}

impl Studio {
    /// Runs until stopped.
    pub(crate) fn run(self) {
        let mut backoff = Backoff::new(self.settings.backoff_first, self.settings.backoff_most);
        while !self.stop.wait(Duration::ZERO) {
            match self.open() {
                Ok(socket) => match self.listen(&socket) {
                    Ok(()) => return,
                    Err(trouble) => self.board.away(&trouble),
                },
                Err(why) => {
                    self.board.away(&Trouble::Unreachable(why.to_string()));
                    if self.stop.wait(backoff.failed()) {
                        return;
                    }
                }
            }
        }
    }

    fn open(&self) -> io::Result<UdpSocket> {
        let RtpAddress { address, interface, .. } = &self.from;
        let socket = UdpSocket::bind(address)?;
        match address.ip() {
            IpAddr::V4(group) if group.is_multicast() => {
                socket.join_multicast_v4(&group, interface)?;
            }
            IpAddr::V6(group) if group.is_multicast() => socket.join_multicast_v6(&group, 0)?,
            IpAddr::V4(_) | IpAddr::V6(_) => {}
        }
        socket.set_read_timeout(Some(LOOK))?;
        Ok(socket)
    }

    /// Takes packets until told to stop; the trouble when none come.
    fn listen(&self, socket: &UdpSocket) -> Result<(), Trouble> {
        let mut bytes = vec![0; DATAGRAM_BYTES_MAX];
        let mut last = now();
        let mut line: Option<Line<'_>> = None;
        loop {
            if self.stop.wait(Duration::ZERO) {
                return Ok(());
            }
            let length = match socket.recv(&mut bytes) {
                Ok(length) => length,
                Err(error) if is_pause(error.kind()) => {
                    let silent = now().saturating_duration_since(last);
                    if silent >= HANDOVER
                        && let Some(line) = line.take()
                    {
                        line.end();
                    }
                    if silent >= self.settings.stall {
                        return Err(Trouble::Stalled(self.settings.stall));
                    }
                    continue;
                }
                Err(error) => return Err(Trouble::Unreachable(error.to_string())),
            };
            let Ok(packet) = Packet::parse(bytes.get(..length).unwrap_or_default()) else {
                continue;
            };
            if line.as_ref().is_some_and(|line| line.ssrc != packet.ssrc) {
                // Somebody else on the same port, or the same sender begun anew: the first one is heard
                // for as long as it speaks.
                if now().saturating_duration_since(last) < HANDOVER {
                    continue;
                }
                if let Some(line) = line.take() {
                    line.end();
                }
            }
            let format = Format::of(packet.payload_type).or(self.from.format);
            let Some(format) = format else {
                if line.is_some() {
                    // Comfort noise, telephone-events: not for us, and no reason to stop.
                    continue;
                }
                let what =
                    format!("payload type {}, and the URI names no encoding", packet.payload_type);
                return Err(Trouble::NotAudio(what));
            };
            last = now();
            let begun = match line.take() {
                Some(line) => line,
                None => match Line::begin(self, packet.ssrc, format)? {
                    Some(line) => line,
                    None => return Ok(()),
                },
            };
            match line.insert(begun).take(&packet, format) {
                Ok(()) => {}
                Err(Closed) => return Ok(()),
            }
        }
    }
}

/// One sender's packets, in order.
struct Line<'a> {
    studio: &'a Studio,
    ssrc: u32,
    format: Format,
    converter: Converter,
    leveller: Leveller,
    inlet: Inlet,
    /// The number and timestamp that come next.
    next: Option<(u16, u32)>,
    /// Packets that came before one that is missing, by how far ahead they are.
    ahead: BTreeMap<u16, (u32, Vec<u8>)>,
    /// Packets in a row whose turn was over.
    behind: u32,
    mono: Vec<f32>,
    samples: Vec<i16>,
}

impl<'a> Line<'a> {
    /// `None` once the source was stopped.
    fn begin(studio: &'a Studio, ssrc: u32, format: Format) -> Result<Option<Self>, Trouble> {
        let converter = Converter::new(format.rate_hz)
            .map_err(|_| Trouble::NotAudio(format!("a rate of {} Hz", format.rate_hz)))?;
        let Format { encoding, rate_hz, channels } = format;
        studio
            .board
            .playing(&format!("RTP {} {rate_hz} Hz, channels: {channels}", encoding.name()));
        let Ok(inlet) = studio.intake.begin(Flow::Captured) else { return Ok(None) };
        Ok(Some(Self {
            studio,
            ssrc,
            format,
            converter,
            leveller: Leveller::live(studio.gain, studio.loudness_lufs)
                .counting(studio.board.limited()),
            inlet,
            next: None,
            ahead: BTreeMap::new(),
            behind: 0,
            mono: Vec::new(),
            samples: Vec::new(),
        }))
    }

    fn end(self) {
        self.inlet.end();
        self.studio.board.away(&Trouble::Closed);
    }

    fn take(&mut self, packet: &Packet<'_>, format: Format) -> Result<(), Closed> {
        if format != self.format {
            // RFC 3551 §3: a payload type may change within a stream; what is held is of the old kind.
            self.ahead.clear();
            self.next = None;
            self.format = format;
            if let Ok(converter) = Converter::new(format.rate_hz) {
                self.converter = converter;
            }
        }
        let (sequence, timestamp) = self.next.unwrap_or((packet.sequence, packet.timestamp));
        let step = packet.sequence.wrapping_sub(sequence);
        if step > u16::MAX / 2 {
            // Too late, or twice; unless it goes on like that: then the sender has begun anew.
            self.behind += 1;
            if self.behind < BEHIND_MAX {
                return Ok(());
            }
            self.ahead.clear();
            self.next = Some((packet.sequence, packet.timestamp));
            return self.take(packet, format);
        }
        self.behind = 0;
        if step > 0 {
            self.ahead.insert(packet.sequence, (packet.timestamp, packet.payload.to_vec()));
            if self.ahead.len() < REORDER_MAX {
                return Ok(());
            }
            // What was waited for is lost: its time passes in silence.
            return self.skip_to_next(sequence, timestamp);
        }
        self.play(packet.sequence, packet.timestamp, packet.payload);
        self.play_ahead();
        self.push()
    }

    /// Goes on with the packet that is the least ahead.
    fn skip_to_next(&mut self, sequence: u16, timestamp: u32) -> Result<(), Closed> {
        let nearest = self.ahead.keys().copied().min_by_key(|number| number.wrapping_sub(sequence));
        let Some(nearest) = nearest else { return Ok(()) };
        if let Some((at, payload)) = self.ahead.remove(&nearest) {
            let missing = usize::try_from(at.wrapping_sub(timestamp)).unwrap_or(usize::MAX);
            let rate = usize::try_from(self.format.rate_hz).unwrap_or(usize::MAX);
            let most =
                rate.saturating_mul(usize::try_from(GAP_MAX.as_millis()).unwrap_or(0)) / 1_000;
            if missing <= most {
                self.mono.resize(self.mono.len() + missing, 0.0);
            }
            self.play(nearest, at, &payload);
        }
        self.play_ahead();
        self.push()
    }

    /// Plays what was held and is next now.
    fn play_ahead(&mut self) {
        while let Some((sequence, _)) = self.next
            && let Some((timestamp, payload)) = self.ahead.remove(&sequence)
        {
            self.play(sequence, timestamp, &payload);
        }
    }

    fn play(&mut self, sequence: u16, timestamp: u32, payload: &[u8]) {
        self.format.decode(payload, &mut self.mono);
        let frames = u32::try_from(self.format.frames(payload)).unwrap_or(0);
        self.next = Some((sequence.wrapping_add(1), timestamp.wrapping_add(frames)));
    }

    fn push(&mut self) -> Result<(), Closed> {
        self.converter.floats(&self.mono, &mut self.samples);
        self.leveller.apply(&mut self.samples);
        let pushed = self.inlet.push(&self.samples);
        self.mono.clear();
        self.samples.clear();
        pushed
    }
}

fn is_pause(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(uri: &str, expected: Option<(&str, Option<Format>)>) {
        let found = RtpAddress::parse(&uri.parse().unwrap());
        let found = found.map(|found| (found.to_string(), found.format));
        assert_eq!(found, expected.map(|(shown, format)| (shown.to_owned(), format)), "{uri}");
    }

    #[test]
    fn an_address_says_where_and_if_need_be_how() {
        let format = |encoding, rate_hz, channels| Some(Format { encoding, rate_hz, channels });
        check("rtp://127.0.0.1:5004", Some(("rtp://127.0.0.1:5004", None)));
        check("rtp://[::1]:5004", Some(("rtp://[::1]:5004", None)));
        check(
            "rtp://239.1.2.3:5004?encoding=L24&rate=48000&channels=2&interface=192.0.2.7",
            Some(("rtp://239.1.2.3:5004", format(Encoding::L24, 48_000, 2))),
        );
        check(
            "rtp://127.0.0.1:5004?encoding=pcma",
            Some(("rtp://127.0.0.1:5004", format(Encoding::A, 8_000, 1))),
        );
        for wrong in [
            "rtp://127.0.0.1",
            "rtp://studio:5004",
            "rtp://127.0.0.1:0",
            "rtp://127.0.0.1:5004?encoding=opus",
            "rtp://127.0.0.1:5004?rate=48000",
            "rtp://127.0.0.1:5004?encoding=L16&channels=9",
            "rtp://127.0.0.1:5004?encoding=L16&rate=1",
            "rtp://127.0.0.1:5004?codec=L16",
        ] {
            check(wrong, None);
        }
    }

    #[test]
    fn frames_are_averaged_whatever_their_width() {
        let decode = |encoding, channels, payload: &[u8]| {
            let mut mono = Vec::new();
            Format { encoding, rate_hz: 48_000, channels }.decode(payload, &mut mono);
            mono
        };
        assert_eq!(decode(Encoding::L16, 2, &[0x40, 0, 0, 0, 0xC0, 0, 0, 0]), [0.25, -0.25]);
        assert_eq!(decode(Encoding::L24, 1, &[0x40, 0, 0, 0xC0, 0, 0, 1]), [0.5, -0.5]);
        let loud = decode(Encoding::Mu, 1, &[0x80, 0x00]);
        assert!((loud[0] - 0.98).abs() < 0.01 && (loud[1] + 0.98).abs() < 0.01, "{loud:?}");
    }
}

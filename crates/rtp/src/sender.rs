use vocab::Tokens;

use crate::packet::HEADER_BYTES;

/// Where a stream's numbers begin: all three at random, so that nobody guesses them. RFC 3550 §5.1.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Start {
    /// Who sends, unique among the session's members.
    pub ssrc: u32,
    /// The first packet's sequence number.
    pub sequence: u16,
    /// The timestamp of the stream's first moment.
    pub timestamp: u32,
}

impl Start {
    /// Draws fresh numbers.
    pub fn draw(tokens: &mut Tokens) -> Self {
        let [s0, s1, ..] = tokens.next_u32().to_be_bytes();
        Self {
            ssrc: tokens.next_u32(),
            sequence: u16::from_be_bytes([s0, s1]),
            timestamp: tokens.next_u32(),
        }
    }
}

/// Whether a packet begins a talk spurt. RFC 3551 §4.1.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Marker {
    /// The first packet after a pause in sending.
    Set,
    /// It follows its forerunner without a gap.
    Clear,
}

/// Numbers the packets of one stream and counts them for the sender report.
#[derive(Clone, Debug)]
pub struct Sender {
    ssrc: u32,
    next_sequence: u16,
    payload_type: u8,
    packets: u32,
    octets: u32,
}

impl Sender {
    /// A sender whose first packet bears `start`'s sequence number.
    pub fn new(start: Start, payload_type: u8) -> Self {
        Self {
            ssrc: start.ssrc,
            next_sequence: start.sequence,
            payload_type: payload_type & 0x7f,
            packets: 0,
            octets: 0,
        }
    }

    /// Sends with another payload type from the next packet on.
    pub fn set_payload_type(&mut self, payload_type: u8) {
        self.payload_type = payload_type & 0x7f;
    }

    /// The header of the next packet, which carries `payload_bytes`; counts it as sent.
    pub fn header(
        &mut self,
        timestamp: u32,
        marker: Marker,
        payload_bytes: u32,
    ) -> [u8; HEADER_BYTES] {
        let [s0, s1] = self.next_sequence.to_be_bytes();
        let [t0, t1, t2, t3] = timestamp.to_be_bytes();
        let [r0, r1, r2, r3] = self.ssrc.to_be_bytes();
        self.next_sequence = self.next_sequence.wrapping_add(1);
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add(payload_bytes);
        let second = self.payload_type | if marker == Marker::Set { 0x80 } else { 0 };
        [0x80, second, s0, s1, t0, t1, t2, t3, r0, r1, r2, r3]
    }

    /// Who sends.
    pub fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// Packets numbered so far, modulo 2^32 as a sender report wants it.
    pub fn packets(&self) -> u32 {
        self.packets
    }

    /// Payload bytes so far, modulo 2^32.
    pub fn octets(&self) -> u32 {
        self.octets
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Packet;

    #[test]
    fn section_5_1_sequence_numbers_wrap_and_headers_read_back() {
        let start = Start { ssrc: 0xdead_beef, sequence: 0xffff, timestamp: 5 };
        let mut sender = Sender::new(start, 8);
        let first = sender.header(5, Marker::Set, 160);
        let second = sender.header(165, Marker::Clear, 160);
        let (first, second) = (Packet::parse(&first).unwrap(), Packet::parse(&second).unwrap());
        assert_eq!((first.sequence, first.timestamp, first.marker), (0xffff, 5, true));
        assert_eq!((second.sequence, second.timestamp, second.marker), (0, 165, false));
        assert_eq!((second.ssrc, second.payload_type), (0xdead_beef, 8));
        assert_eq!((sender.packets(), sender.octets()), (2, 320));
    }

    #[test]
    fn starts_differ_from_draw_to_draw() {
        let mut tokens = Tokens::new([1; 32]);
        assert_ne!(Start::draw(&mut tokens), Start::draw(&mut tokens));
    }
}

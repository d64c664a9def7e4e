/// Bytes of the fixed RTP header, which is all we ever send. RFC 3550 §5.1.
pub const HEADER_BYTES: usize = 12;

/// A received RTP packet: its fields, and its payload where it lies. RFC 3550 §5.1.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Packet<'a> {
    /// The marker bit.
    pub marker: bool,
    /// The payload type, 0 to 127.
    pub payload_type: u8,
    /// The sequence number.
    pub sequence: u16,
    /// The timestamp in clock units.
    pub timestamp: u32,
    /// Who sends.
    pub ssrc: u32,
    /// The payload, without contributing sources, extension and padding.
    pub payload: &'a [u8],
}

/// Why some bytes are no RTP packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PacketError {
    /// Shorter than its own header says.
    Short,
    /// Not version 2: perhaps STUN or plain noise.
    Version,
    /// RTCP on the RTP port (payload types 72 to 76; RFC 5761 §4).
    Rtcp,
    /// The padding count is zero or longer than the packet.
    Padding,
}

impl<'a> Packet<'a> {
    /// Reads one datagram. RFC 3550 §5.1 and the checks of A.1.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, PacketError> {
        let (fixed, mut rest) =
            bytes.split_first_chunk::<HEADER_BYTES>().ok_or(PacketError::Short)?;
        let &[first, second, s0, s1, t0, t1, t2, t3, r0, r1, r2, r3] = fixed;
        if first >> 6 != 2 {
            return Err(PacketError::Version);
        }
        let payload_type = second & 0x7f;
        if (72..=76).contains(&payload_type) {
            return Err(PacketError::Rtcp);
        }
        let contributors = usize::from(first & 0x0f) * 4;
        rest = rest.get(contributors..).ok_or(PacketError::Short)?;
        if first & 0x10 != 0 {
            let (head, after) = rest.split_first_chunk::<4>().ok_or(PacketError::Short)?;
            let words = usize::from(u16::from_be_bytes([head[2], head[3]]));
            rest = after.get(words * 4..).ok_or(PacketError::Short)?;
        }
        if first & 0x20 != 0 {
            let padding = rest.last().copied().map_or(0, usize::from);
            let kept = rest.len().checked_sub(padding).ok_or(PacketError::Padding)?;
            if padding == 0 {
                return Err(PacketError::Padding);
            }
            rest = rest.get(..kept).ok_or(PacketError::Padding)?;
        }
        Ok(Self {
            marker: second & 0x80 != 0,
            payload_type,
            sequence: u16::from_be_bytes([s0, s1]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            ssrc: u32::from_be_bytes([r0, r1, r2, r3]),
            payload: rest,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], expected: Result<&[u8], PacketError>) {
        assert_eq!(Packet::parse(bytes).map(|packet| packet.payload), expected);
    }

    #[test]
    fn section_5_1_contributors_extension_and_padding_are_not_payload() {
        let head = |first: u8| [first, 0x88, 0, 7, 0, 0, 0, 9, 1, 2, 3, 4].to_vec();
        let with = |first, tail: &[u8]| [head(first), tail.to_vec()].concat();
        check(&with(0x80, b"ab"), Ok(b"ab"));
        check(&with(0x80, b""), Ok(b""));
        check(&with(0x81, &[0, 0, 0, 5, b'a']), Ok(b"a"));
        check(&with(0x90, &[0xbe, 0xde, 0, 1, 0, 0, 0, 0, b'a']), Ok(b"a"));
        check(&with(0xa0, &[b'a', 0, 0, 3]), Ok(b"a"));
        check(&with(0xa0, &[b'a', 0]), Err(PacketError::Padding));
        check(&with(0xa0, &[b'a', 9]), Err(PacketError::Padding));
        check(&with(0x81, &[0, 0, 0]), Err(PacketError::Short));
        check(&with(0x90, &[0xbe, 0xde, 0, 9]), Err(PacketError::Short));
        check(&head(0x40), Err(PacketError::Version));
        check(&[0x80; 11], Err(PacketError::Short));
        check(&[&[0x80, 200][..], &[0; 20]].concat(), Err(PacketError::Rtcp));
    }

    #[test]
    fn section_5_1_the_fields_stand_where_the_rfc_draws_them() {
        let bytes = [0x80, 0x88, 0x12, 0x34, 0, 1, 0, 2, 9, 8, 7, 6, 0x55];
        let packet = Packet::parse(&bytes).unwrap();
        assert!(packet.marker);
        assert_eq!((packet.payload_type, packet.sequence), (8, 0x1234));
        assert_eq!((packet.timestamp, packet.ssrc), (0x0001_0002, 0x0908_0706));
    }
}

use std::fmt;
use std::time::Duration;

/// Seconds from the NTP era's start (1900) to the Unix epoch (1970).
const UNIX_EPOCH_S: u64 = 2_208_988_800;

/// A wall-clock moment as NTP counts it: 32 bits of seconds, 32 of fraction. RFC 6787 §8.4.8.
///
/// It must come from the same clock as the NTP half of the stream's RTCP sender reports.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct NtpTime(u64);

impl NtpTime {
    /// The moment with these 64 bits.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The moment that lies `since` after the Unix epoch; wraps with the NTP era in 2036.
    pub fn from_unix(since: Duration) -> Self {
        let seconds = since.as_secs().wrapping_add(UNIX_EPOCH_S) & 0xffff_ffff;
        let fraction = (u64::from(since.subsec_nanos()) << 32) / 1_000_000_000;
        Self((seconds << 32) | fraction)
    }

    /// The 64 bits.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Reads the decimal form of a `timestamp=` value.
    pub fn parse(text: &str) -> Option<Self> {
        crate::ids::is_digits(text, 20).then(|| text.parse().ok().map(Self))?
    }
}

impl fmt::Display for NtpTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn section_8_4_8_a_timestamp_is_a_64_bit_ntp_time_in_decimal() {
        let half_past_epoch = NtpTime::from_unix(Duration::from_millis(500));
        assert_eq!(half_past_epoch.bits(), (UNIX_EPOCH_S << 32) | (1 << 31));
        assert_eq!(NtpTime::parse(&half_past_epoch.to_string()), Some(half_past_epoch));
        assert_eq!(NtpTime::parse("18446744073709551616"), None);
        assert_eq!(NtpTime::parse("-1"), None);
    }
}

use std::fmt;

/// Characters that either half of a channel identifier may have.
const CHANNEL_PART_MAX: usize = 128;

/// A request's identity in one MRCP session: 1 to 10 digits that fit 32 bits. RFC 6787 §5.2.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct RequestId(u32);

/// Why a text is no request id.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RequestIdError {
    /// Not 1 to 10 digits.
    NotDigits,
    /// More than 32 bits.
    TooLarge,
}

impl RequestId {
    /// The id with this number.
    pub const fn from_number(number: u32) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn number(self) -> u32 {
        self.0
    }

    /// Reads the id as it stands on the wire: digits only, no sign, no space.
    pub fn parse(text: &str) -> Result<Self, RequestIdError> {
        if !is_digits(text, 10) {
            return Err(RequestIdError::NotDigits);
        }
        text.parse().map(Self).map_err(|_| RequestIdError::TooLarge)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for RequestIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotDigits => "request id is not 1 to 10 digits",
            Self::TooLarge => "request id does not fit 32 bits",
        })
    }
}

impl std::error::Error for RequestIdError {}

/// Which control channel: the session's hard-to-guess part and the resource type. RFC 6787 §6.2.1.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ChannelId {
    session: Box<str>,
    resource: Box<str>,
}

/// The text is no `1*alphanum "@" 1*alphanum`, or longer than a channel identifier may be here.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ChannelIdError;

impl ChannelId {
    /// Reads the identifier as it stands in `Channel-Identifier` or in `a=channel`.
    pub fn parse(text: &str) -> Result<Self, ChannelIdError> {
        let (session, resource) = text.split_once('@').ok_or(ChannelIdError)?;
        Self::of(session, resource)
    }

    /// Joins the session's part and the resource type.
    pub fn of(session: &str, resource: &str) -> Result<Self, ChannelIdError> {
        let sound = |part: &str| {
            (1..=CHANNEL_PART_MAX).contains(&part.len())
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
        };
        if !sound(session) || !sound(resource) {
            return Err(ChannelIdError);
        }
        Ok(Self { session: session.into(), resource: resource.into() })
    }

    /// The part before the `@`, common to all channels of one SIP dialog.
    pub fn session(&self) -> &str {
        &self.session
    }

    /// The resource type, such as `speechsynth`.
    pub fn resource(&self) -> &str {
        &self.resource
    }
}

impl fmt::Display for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.session, self.resource)
    }
}

impl fmt::Display for ChannelIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("channel identifier is not of the form letters-and-digits@resource")
    }
}

impl std::error::Error for ChannelIdError {}

/// Whether `text` is 1 to `max` decimal digits.
pub(crate) fn is_digits(text: &str, max: usize) -> bool {
    (1..=max).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn section_5_2_a_request_id_is_up_to_ten_digits_of_32_bits() {
        let read = |text| RequestId::parse(text).map(RequestId::number);
        assert_eq!(read("0"), Ok(0));
        assert_eq!(read("0000000017"), Ok(17));
        assert_eq!(read("4294967295"), Ok(u32::MAX));
        assert_eq!(read("4294967296"), Err(RequestIdError::TooLarge));
        for bad in ["", "+1", "-1", " 1", "1a", "00000000001"] {
            assert_eq!(read(bad), Err(RequestIdError::NotDigits), "{bad:?}");
        }
    }

    #[test]
    fn section_6_2_1_a_channel_is_two_alphanumeric_parts() {
        let channel = ChannelId::parse("32AECB23433802@speechsynth").unwrap();
        assert_eq!((channel.session(), channel.resource()), ("32AECB23433802", "speechsynth"));
        assert_eq!(channel.to_string(), "32AECB23433802@speechsynth");
        let long = format!("{}@recorder", "a".repeat(129));
        for bad in ["", "@", "a@", "@b", "a@b@c", "a b@c", "a-b@c", long.as_str()] {
            assert_eq!(ChannelId::parse(bad), Err(ChannelIdError), "{bad:?}");
        }
    }
}

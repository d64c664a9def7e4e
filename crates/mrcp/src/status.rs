use std::fmt;

/// A response's three digits. RFC 6787 §5.4.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Status(u16);

impl Status {
    /// Success.
    pub const SUCCESS: Self = Self(200);
    /// Success with some optional header fields ignored.
    pub const SUCCESS_SOME_IGNORED: Self = Self(201);
    /// Method not allowed.
    pub const METHOD_NOT_ALLOWED: Self = Self(401);
    /// Method not valid in this state.
    pub const WRONG_STATE: Self = Self(402);
    /// Unsupported header field.
    pub const UNSUPPORTED_HEADER: Self = Self(403);
    /// Illegal value for a header field: the error for a syntax violation.
    pub const ILLEGAL_VALUE: Self = Self(404);
    /// Resource not allocated for this session, or it does not exist.
    pub const NO_RESOURCE: Self = Self(405);
    /// Mandatory header field missing.
    pub const HEADER_MISSING: Self = Self(406);
    /// Method or operation failed.
    pub const FAILED: Self = Self(407);
    /// Unrecognized or unsupported message entity.
    pub const UNSUPPORTED_ENTITY: Self = Self(408);
    /// Unsupported header field value: legal, but beyond what we do.
    pub const UNSUPPORTED_VALUE: Self = Self(409);
    /// Non-monotonic or out-of-order request id.
    pub const OUT_OF_ORDER: Self = Self(410);
    /// Server internal error.
    pub const INTERNAL: Self = Self(501);
    /// Protocol version not supported.
    pub const VERSION: Self = Self(502);
    /// Message too large.
    pub const TOO_LARGE: Self = Self(504);

    /// What a method that the resource does not know is answered.
    ///
    /// The table of §5.4 has two codes that could be meant: 401, and 405 ("resource not allocated
    /// for this session or does not exist"). This server answers 405, as clients of its model do
    /// expect; 401 stays for a method that the resource knows but is not let do.
    pub const UNKNOWN_METHOD: Self = Self::NO_RESOURCE;

    /// Reads three digits from 100 up.
    pub fn parse(text: &str) -> Option<Self> {
        let code = text.parse::<u16>().ok()?;
        (text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit()) && code >= 100)
            .then_some(Self(code))
    }

    /// The number.
    pub const fn code(self) -> u16 {
        self.0
    }

    /// Whether it is of the 2xx class.
    pub const fn is_success(self) -> bool {
        matches!(self.0, 200..=299)
    }

    /// The meaning by the tables of §5.4; empty for a code that they do not have.
    pub const fn meaning(self) -> &'static str {
        match self.0 {
            200 => "Success",
            201 => "Success with some optional header fields ignored",
            401 => "Method not allowed",
            402 => "Method not valid in this state",
            403 => "Unsupported header field",
            404 => "Illegal value for header field",
            405 => "Resource not allocated for this session or does not exist",
            406 => "Mandatory header field missing",
            407 => "Method or operation failed",
            408 => "Unrecognized or unsupported message entity",
            409 => "Unsupported header field value",
            410 => "Non-monotonic or out-of-order sequence number in request",
            501 => "Server internal error",
            502 => "Protocol version not supported",
            504 => "Message too large",
            _ => "",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:03}", self.0)
    }
}

use std::fmt;

/// A call as this server counts them: one SIP dialog with its media and its control channels.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SessionId(u64);

/// One accepted or dialled byte stream (TCP or TLS), never reused while the process lives.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ConnectionId(u64);

macro_rules! counted {
    ($name:ident) => {
        impl $name {
            /// The id with this number; whoever issues ids counts up from 1.
            pub const fn from_number(number: u64) -> Self {
                Self(number)
            }

            /// The number, for tables and logs.
            pub const fn number(self) -> u64 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

counted!(SessionId);
counted!(ConnectionId);

use std::fmt;

/// A value about a person (a number, a text to speak): usable, but not shown when printed.
///
/// Invariant 7 of the design: such values reach no log above DEBUG in the clear.
#[derive(Clone, Eq, Ord, PartialEq, PartialOrd)]
pub struct Redacted<T>(T);

impl<T> Redacted<T> {
    /// Wraps the value.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself; the caller answers for where it goes.
    pub const fn reveal(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Redacted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl<T> fmt::Display for Redacted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// A password or key: like [`Redacted`], and with nothing that compares or orders it by accident.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Wraps the text.
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// The text itself, for the one place that must send or check it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_redacted_is_printed() {
        assert_eq!(
            format!("{:?} {}", Redacted::new("5551234"), Redacted::new(7)),
            "[redacted] [redacted]"
        );
        assert_eq!(format!("{:?}", Secret::new("pin".into())), "[secret]");
    }
}
